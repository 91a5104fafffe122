"""Training: one visible step, the loop around it, checkpoints that survive a crash, resuming bit for bit."""

from __future__ import annotations

import json
import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, cast, get_args

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from monkeynet_edu import geometry, losses, viz
from monkeynet_edu import monitor as watching
from monkeynet_edu.data.pairs import PUBLISHED_AUGMENTATIONS, Augmentation, PairSampler
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.data.video import write_image
from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.files import LATER
from monkeynet_edu.generator import Generated
from monkeynet_edu.interrupts import CtrlC
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import (
    MODEL_FILE,
    Device,
    MonkeyNet,
    MonkeyNetConfig,
    first_difference,
    later_defaults,
    load_tensors,
    load_weights,
    parsed,
    save_tensors,
)
from monkeynet_edu.processes import ALONE, Processes
from monkeynet_edu.run_folder import CHECKPOINT_FILE as CHECKPOINT_FILE
from monkeynet_edu.run_folder import FINDINGS_FILE as FINDINGS_FILE
from monkeynet_edu.run_folder import LAST_GOOD_FILE as LAST_GOOD_FILE
from monkeynet_edu.run_folder import METRICS_FILE as METRICS_FILE
from monkeynet_edu.run_folder import MetricsLog as MetricsLog
from monkeynet_edu.run_folder import claimed, keep_last_good, write_finding
from monkeynet_edu.run_folder import read_metrics as read_metrics

Learns = Literal["all", "generator", "drawing"]
SHOWN_LOSSES = ("frame", "deformed", "coverage", "adversarial", "discriminator")  # beside the progress bar


class OptimizerSet(ABC):
    """The optimizers of one model."""

    @abstractmethod
    def items(self) -> list[tuple[str, torch.optim.Optimizer]]:
        """Names and optimizers, in the order in which they step."""

    def step(self) -> None:
        """Steps all of them."""
        for _, optimizer in self.items():
            optimizer.step()

    def set_learning_rate(self, rate: float) -> None:
        """Sets the rate of all of them, times the ``scale`` that a group of weights may have."""
        for _, optimizer in self.items():
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("scale", 1.0)


@dataclass(frozen=True)
class Optimizers(OptimizerSet):
    """Three Adams: one each for G (with M), Δ and D."""

    generator: torch.optim.Optimizer
    detector: torch.optim.Optimizer
    discriminator: torch.optim.Optimizer

    @staticmethod
    def of(model: MonkeyNet, learning_rate: float) -> Optimizers:
        """Adam with betas (0.5, 0.999), as published; on a GPU one kernel steps a whole network."""
        fused = next(model.parameters()).is_cuda or None

        def adam(network: torch.nn.Module) -> torch.optim.Optimizer:
            return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=(0.5, 0.999), fused=fused)

        return Optimizers(adam(model.generator), adam(model.detector), adam(model.discriminator))

    def items(self) -> list[tuple[str, torch.optim.Optimizer]]:
        """Names and optimizers: G and Δ step first, then D."""
        return [("generator", self.generator), ("detector", self.detector), ("discriminator", self.discriminator)]


def detect_pair(model: MonkeyNet, source: Tensor, driving: Tensor) -> tuple[Keypoints, Keypoints]:
    """Runs source and driving frames through Δ in one batch, so that they share batch-norm statistics."""
    both = model.detect(torch.cat([source, driving]))
    return both[: len(source)], both[len(source) :]


@dataclass(frozen=True)
class StepResult:
    """What one step computed.

    Attributes:
        losses: weighted terms by name: those of G and Δ, and ``discriminator``.
        generated: the frames drawn; after :func:`compute_motion_gradients` the deformed ones.
        keypoints: (B, K) of the source and of the driving frames.
    """

    losses: dict[str, Tensor]
    generated: Generated
    keypoints: tuple[Keypoints, Keypoints]


def compute_gradients(model: MonkeyNet, source: Tensor, driving: Tensor, device: Device) -> StepResult:
    """Fills the gradients of all parameters for one batch of pairs; nothing is stepped (section 3.4).

    D is evaluated once on each frame. That is exact: its weights stay the same until both losses are known, so the
    scores in its own loss equal those in the generator's; only the gradients differ, G and Δ taking those of their terms
    and D those of its own.

    Args:
        model: in training mode.
        source: (B, 3, H, W).
        driving: (B, 3, H, W), other frames of the same videos.
        device: precision of the networks.
    """
    with device.autocast():
        kp_source, kp_driving = detect_pair(model, source, driving)
        generated = model(source, kp_source, kp_driving)
        fake = model.discriminator(generated.prediction, kp_source, kp_driving)
        real = model.discriminator(driving, kp_source, kp_driving)
    weights = model.config.losses
    terms = losses.generator_losses(fake, real, generated.deformed, weights)
    if weights.coverage:
        terms["coverage"] = weights.coverage * losses.coverage(source, driving, kp_source, kp_driving)
    judge = weights.discriminator * losses.discriminator_adversarial(real[-1], fake[-1])
    judged = list(model.discriminator.parameters())
    learners = [p for p in (*model.generator.parameters(), *model.detector.parameters()) if p.requires_grad]
    for parameter in model.parameters():
        parameter.grad = None  # of what rests as well: an optimizer would step on with the gradient from before
    torch.autograd.backward(judge, inputs=judged, retain_graph=True)
    torch.autograd.backward(torch.stack(list(terms.values())).sum(), inputs=learners)
    said = {name: term.detach() for name, term in (terms | {"discriminator": judge}).items()}
    return StepResult(said, generated, (kp_source.detach(), kp_driving.detach()))


def training_step(
    model: MonkeyNet, optimizers: Optimizers, source: Tensor, driving: Tensor, device: Device
) -> StepResult:
    """One step of training on a batch of pairs: gradients, then G and Δ step, then D."""
    result = compute_gradients(model, source, driving, device)
    optimizers.step()
    return result


def compute_motion_gradients(model: MonkeyNet, source: Tensor, driving: Tensor, device: Device) -> StepResult:
    """Fills the gradients of Δ and M alone, from the deformed frame and the keypoints; nothing is drawn, nothing stepped.

    It costs a fifth of :func:`compute_gradients` and teaches what everything else rests on: where parts go. The other
    gradients are None, so that an optimizer passes them over.

    Args:
        model: in training mode, with a motion network.
        source: (B, 3, H, W).
        driving: (B, 3, H, W), other frames of the same videos.
        device: precision of the networks.

    Raises:
        ValueError: the configuration gives the deformed frame no weight, or has no motion network.
    """
    weights = model.config.losses
    if not weights.deformed or model.generator.dense_motion_module is None:
        raise ValueError("compute_motion_gradients: expected a motion network and a weight of the deformed frame, got none")
    with device.autocast():
        kp_source, kp_driving = detect_pair(model, source, driving)
        found = model.generator.estimate_motion(source, kp_source, kp_driving)
    deformed = model.generator.deform(source, found)
    terms = {"deformed": weights.deformed * losses.pyramid_l1(deformed, driving, weights.deformed_scales)}
    if weights.coverage:
        terms["coverage"] = weights.coverage * losses.coverage(source, driving, kp_source, kp_driving)
    for parameter in model.parameters():
        parameter.grad = None
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    said = {name: term.detach() for name, term in terms.items()}
    return StepResult(said, Generated(deformed, deformed, found), (kp_source.detach(), kp_driving.detach()))


def let_rest(model: MonkeyNet, learns: Learns) -> None:
    """Lets rest what does not learn: no gradients, and the statistics of batch norm that it has.

    Args:
        model: in training mode.
        learns: ``all``: nothing rests; ``generator``: Δ rests, M, G and D learn; ``drawing``: Δ and M rest, G and D learn.
    """
    motion = model.generator.dense_motion_module
    resting = {"all": (), "generator": (model.detector,), "drawing": (model.detector, motion)}[learns]
    for part in resting:
        if part is not None:
            part.eval().requires_grad_(False)


def motion_step(
    model: MonkeyNet, optimizers: Optimizers, source: Tensor, driving: Tensor, device: Device
) -> StepResult:
    """One step of training in which Δ and M alone learn; see :func:`compute_motion_gradients`."""
    result = compute_motion_gradients(model, source, driving, device)
    optimizers.step()
    return result


# ---------------------------------------------------------------------------------------------------------- the recipe


def cosine_rate(highest: float, progress: float) -> float:
    """Learning rate that falls from ``highest`` to a fiftieth of it along half a cosine.

    Args:
        highest: rate at the start.
        progress: share of the training that is done; beyond 1 the rate stays.
    """
    share = min(progress, 1.0)
    wave = (1 + math.cos(math.pi * share)) / 2
    return highest * (0.02 + 0.98 * wave)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        batch_size: pairs in a step.
        learning_rate: of all three Adams at the start.
        schedule: ``milestone``: ×0.1 once; ``cosine``: down to a fiftieth along half a cosine.
        milestone: share of the training after which the rate drops (``milestone`` only).
        epochs: how long, where neither steps nor minutes are given.
        augmentation: of the pairs.
        seed: of the first weights and of everything drawn.
        first_reach: share of a clip within which both frames of a pair lie at first; it grows to the whole clip by half
            of the training. 1 (published): the whole clip from the start. Less helps where motions are so large that a
            warp finds no gradient towards the right place.
        motion_first: share of the training in which Δ and M learn alone (:func:`motion_step`); 0 (published): none.
        motion_rate: learning rate at the start of that share; the schedule runs once in it, and once in the rest.
        learns: what learns after that share, the rest resting (:func:`let_rest`): ``all`` (published); the ``drawing``: G
            and D alone, which keeps what Δ and M have learned from what an untrained G and D ask of them; or the
            ``generator``, M and G, and D: keypoints stay where they are.

    Raises:
        UserError: a value is out of its range.
    """

    batch_size: int = 32
    learning_rate: float = 2e-4
    schedule: Literal["milestone", "cosine"] = "milestone"
    milestone: float = 2 / 3
    epochs: int = 750
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    first_reach: float = 1.0
    motion_first: float = 0.0
    motion_rate: float = 2e-3
    learns: Learns = field(default="all", metadata={LATER: True})

    def __post_init__(self) -> None:
        """Checks the values."""
        if not 0 <= self.motion_first < 1:
            raise UserError(
                f"recipe motion_first: expected a share from 0 to below 1, got {self.motion_first}; use 0 for none"
            )
        if not 0 < self.first_reach <= 1:
            raise UserError(f"recipe first_reach: expected a share above 0 and up to 1, got {self.first_reach}; use 1")
        for name, least in (("batch_size", 1), ("epochs", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"recipe {name}: expected at least {least}, got {getattr(self, name)}; correct it")
        for name in ("learning_rate", "motion_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"recipe {name}: expected more than 0, got {getattr(self, name)}; try 2e-4")
        for name, known in (("schedule", ("milestone", "cosine")), ("learns", get_args(Learns))):
            if getattr(self, name) not in known:
                raise unknown_name(name, getattr(self, name), known)

    def all_at_once(self) -> Recipe:
        """The same, with everything learning from the first step on."""
        return replace(self, motion_first=0.0, learns="all")

    def with_resting(self, learns: Learns) -> Recipe:
        """The same for a trained model of which only a part learns on, on pairs of whole clips from the start."""
        return replace(self, motion_first=0.0, first_reach=1.0, learns=learns)

    def moves_first(self, progress: float) -> bool:
        """Whether Δ and M still learn alone when a share ``progress`` of the training is done."""
        return progress < self.motion_first

    def rate(self, progress: float) -> float:
        """Learning rate when a share ``progress`` in [0, 1] of the training is done."""
        first = self.motion_first
        if self.moves_first(progress):
            highest, share = self.motion_rate, progress / first
        else:
            highest, share = self.learning_rate, (progress - first) / (1 - first)
        if self.schedule == "cosine":
            return cosine_rate(highest, share)
        return highest * (0.1 if share >= self.milestone else 1.0)

    def reach(self, progress: float) -> float:
        """Share of a clip within which pairs are drawn when a share ``progress`` of the training is done."""
        grown = progress / (self.motion_first or 1.0)
        return min(1.0, self.first_reach + (1.0 - self.first_reach) * 2 * grown)


_PLAIN = Recipe(16, 8e-4, "cosine", epochs=80)
_MINI = replace(_PLAIN, motion_first=0.5, learns="drawing")
RECIPES: dict[str, Recipe] = {
    "shapes": Recipe(16, milestone=4 / 8, epochs=8, augmentation=PUBLISHED_AUGMENTATIONS["shapes"]),
    "actions": Recipe(32, epochs=4500, augmentation=PUBLISHED_AUGMENTATIONS["actions"]),
    "nemo": Recipe(augmentation=PUBLISHED_AUGMENTATIONS["nemo"]),
    "taichi": Recipe(augmentation=PUBLISHED_AUGMENTATIONS["taichi"]),
    "bair": Recipe(epochs=15, augmentation=PUBLISHED_AUGMENTATIONS["bair"]),
    "mgif": Recipe(64, augmentation=PUBLISHED_AUGMENTATIONS["mgif"]),
    "mini": _MINI,
    "mini-absolute": _MINI,
    "mini-plain": _PLAIN,
    "mini-plain-absolute": _PLAIN,
}


def recipe(preset: str) -> Recipe:
    """The recipe that goes with a preset: the published one, or that of a small model.

    Raises:
        UserError: unknown name.
    """
    if preset not in RECIPES:
        raise unknown_name("preset", preset, RECIPES)
    return RECIPES[preset]


@dataclass(frozen=True)
class Budget:
    """When training ends: after ``steps`` in all or after ``minutes`` of training; exactly one is set.

    With steps a run is repeatable to the bit, whatever interrupts it; with minutes it depends on the machine's speed.
    """

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        """Checks the values."""
        if (self.steps is None) == (self.minutes is None):
            raise UserError(f"budget: expected either steps or minutes, got steps={self.steps} and minutes={self.minutes}")
        if self.steps is not None and self.steps < 1:
            raise UserError(f"--steps: expected at least 1, got {self.steps}; leave it out for the preset's epochs")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise UserError(f"--minutes: expected more than 0, got {self.minutes:g}")

    def progress(self, step: int, seconds: float) -> float:
        """Share done, in [0, 1]."""
        if self.steps is not None:
            return step / self.steps
        assert self.minutes is not None
        return min(seconds / (60 * self.minutes), 1.0)


# --------------------------------------------------------------------------------------------------------- checkpoints


def checkpoint_tensors(model: MonkeyNet, optimizers: Optimizers) -> dict[str, Tensor]:
    """Every tensor that a resumed training needs: the model's, and those that its three Adams remember.

    Args:
        model: its state holds weights, and the running statistics of batch norm.
        optimizers: the state of an Adam holds, for each weight, both moments and how many steps it has taken.

    Returns:
        ``model.NAME`` and ``optimizer.NETWORK.INDEX.KEY`` → tensor.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for network, optimizer in optimizers.items():
        remembered = optimizer.state_dict()["state"]
        for index, state in remembered.items():
            tensors |= {f"optimizer.{network}.{index}.{key}": value for key, value in state.items()}
    return tensors


class Sampler(Protocol):
    """Draws batches; batch n depends on (seed, n) alone."""

    def batch(self, step: int, reach: float = 1.0) -> tuple[Tensor, ...]:
        """Batch ``step``, each tensor with one entry an example; what is drawn lies within ``reach`` of its clip."""


class Result(Protocol):
    """What one step computed, as far as the loop looks at it."""

    @property
    def losses(self) -> dict[str, Tensor]:
        """Weighted terms by name."""


class Configuration(Protocol):
    """What the loop asks of a model's configuration."""

    @property
    def frame_size(self) -> int:
        """Side of the frames in pixels."""

    def check_frame_size(self, size: int) -> None:
        """Raises an error for frames that the networks cannot halve."""

    def to_json(self) -> str:
        """The configuration, for headers."""


class Trainable(Protocol):
    """A network that the loop trains: a ``torch.nn.Module`` that knows its configuration and can be saved."""

    @property
    def config(self) -> Configuration:
        """How it is made."""

    def save(self, path: Path) -> None:
        """Writes it whole or not at all."""


Net = TypeVar("Net", bound=nn.Module)
Adams = TypeVar("Adams", bound=OptimizerSet)
Took = TypeVar("Took", bound=Result)


@dataclass
class AnyRun(ABC, Generic[Net, Adams, Took]):
    """A training under way, whatever is trained: everything that a checkpoint has to hold, and what a step does.

    Attributes:
        model: being trained; see :class:`Trainable`.
        optimizers: its Adams.
        recipe: how it is trained.
        data: name of the training data, for the record.
        step: steps done.
        seconds: training time so far, over all sittings.
    """

    model: Net
    optimizers: Adams
    recipe: Recipe
    data: str
    step: int = 0
    seconds: float = 0.0

    @property
    def config(self) -> Configuration:
        """The model's configuration."""
        return cast(Trainable, self.model).config

    @abstractmethod
    def sampler(self, clips: Sequence[Clip], device: torch.device) -> Sampler:
        """What draws the batches of this training."""

    @abstractmethod
    def take(self, batch: tuple[Tensor, ...], progress: float, device: Device) -> Took:
        """Takes one step on a batch, as far as ``progress`` of the training is done."""

    @abstractmethod
    def observe(self, monitor: watching.Monitor, batch: tuple[Tensor, ...], result: Took) -> list[watching.Finding]:
        """Shows the step just taken to a monitor; returns what is new."""

    @abstractmethod
    def preview(self, batch: tuple[Tensor, ...], result: Took) -> Any:
        """A contact sheet of the step just taken (uint8, RGB)."""

    @abstractmethod
    def stored_config(self, text: str) -> Any:
        """The configuration in a checkpoint's header."""

    def save(self, folder: Path) -> None:
        """Writes the checkpoint and the bare model into the run folder; each appears whole or not at all."""
        # Written for Monkey-Net, as lesson 07 has it; it serves whatever has a state and named Adams.
        tensors = checkpoint_tensors(cast(MonkeyNet, self.model), cast(Optimizers, self.optimizers))
        header = {
            "format": "monkeynet_edu checkpoint",
            "config": self.config.to_json(),
            "recipe": json.dumps(asdict(self.recipe)),
            "progress": json.dumps({"step": self.step, "seconds": self.seconds, "data": self.data}),
        }
        save_tensors(folder / CHECKPOINT_FILE, tensors, header)
        self.save_model(folder)

    def save_model(self, folder: Path) -> None:
        """Writes the bare model into the run folder."""
        cast(Trainable, self.model).save(folder / MODEL_FILE)

    def restore(self, folder: Path) -> None:
        """Takes up where the run folder's checkpoint stopped.

        Raises:
            UserError: there is none, or it was trained with another configuration, recipe or data (the first
                difference is named).
        """
        path = folder / CHECKPOINT_FILE
        tensors, header = load_tensors(path)
        try:
            stored, progress = self.stored_config(header["config"]), parsed(header["progress"])
            theirs = dict(_flat(later_defaults(Recipe) | parsed(header["recipe"])))
            step, seconds, data = int(progress["step"]), float(progress["seconds"]), str(progress["data"])
        except (AttributeError, KeyError, ValueError, TypeError, OverflowError) as error:
            raise UserError(f"{path}: expected a training's checkpoint, got another file ({str(error)[:80]})") from error
        ours = dict(_flat(json.loads(json.dumps(asdict(self.recipe))))) | {"data": self.data}
        theirs |= {"data": data}
        difference = first_difference(self.config, stored) or next(
            (f"{k}: {ours[k]} here, {theirs.get(k)} there" for k in ours if ours[k] != theirs.get(k)), None
        )
        if difference:
            raise UserError(
                f"{path}: a checkpoint of another configuration; first difference {difference}; "
                "give the same options as before, or another --out"
            )
        restore_tensors(self.model, self.optimizers, tensors, str(path))
        self.step, self.seconds = step, seconds


@dataclass
class Run(AnyRun[MonkeyNet, Optimizers, StepResult]):
    """A training of Monkey-Net under way."""

    def sampler(self, clips: Sequence[Clip], device: torch.device) -> PairSampler:
        """Pairs of frames."""
        return PairSampler(clips, self.recipe.batch_size, self.recipe.augmentation, self.recipe.seed, device)

    def take(self, batch: tuple[Tensor, ...], progress: float, device: Device) -> StepResult:
        """A motion step in the recipe's first share, a whole one after it."""
        source, driving = batch
        if self.recipe.moves_first(progress):
            return motion_step(self.model, self.optimizers, source, driving, device)
        let_rest(self.model, self.recipe.learns)
        return training_step(self.model, self.optimizers, source, driving, device)

    def observe(self, monitor: watching.Monitor, batch: tuple[Tensor, ...], result: StepResult) -> list[watching.Finding]:
        """Shows keypoints, masks, frames and losses."""
        source, driving = batch
        return monitor.observe(
            self.step, source, driving, result.keypoints, result.generated, result.losses, self.model
        )

    def preview(self, batch: tuple[Tensor, ...], result: StepResult) -> Any:
        """Frames, what was drawn, keypoints as the network finds them outside training, and flow."""
        source, driving = batch
        model = self.model.eval()
        with torch.no_grad():
            points = detect_pair(model, source[:4], driving[:4])
        model.train()
        return preview(source, driving, result, points)

    def stored_config(self, text: str) -> MonkeyNetConfig:
        """The configuration in a checkpoint's header."""
        return MonkeyNetConfig.from_json(text)


def _flat(values: dict[str, Any], prefix: str = "recipe") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested JSON objects."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", value


def restore_tensors(model: nn.Module, optimizers: OptimizerSet, tensors: dict[str, Tensor], name: str) -> None:
    """Fills a model and its Adams from what :func:`checkpoint_tensors` returned.

    Args:
        model: to fill.
        optimizers: to fill.
        tensors: by name.
        name: of the file that they come from, for the message.

    Raises:
        UserError: a tensor of the model is missing, unknown or of another shape.
    """
    own = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    load_weights(model, own, name)
    for network, optimizer in optimizers.items():
        _restore_optimizer(optimizer, network, tensors, name)


def _restore_optimizer(optimizer: torch.optim.Optimizer, network: str, tensors: dict[str, Tensor], file: str) -> None:
    """Fills an Adam's moments from a checkpoint's tensors, every one of them of its weight's shape."""
    shapes: dict[str, torch.Size] = {}
    for number, weight in enumerate(weight for group in optimizer.param_groups for weight in group["params"]):
        prefix = f"optimizer.{network}.{number}"
        shapes |= {f"{prefix}.step": torch.Size(), f"{prefix}.exp_avg": weight.shape, f"{prefix}.exp_avg_sq": weight.shape}
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"optimizer.{network}."):
            if shapes.get(name) != value.shape:
                raise UserError(f"{file}: expected {name} as {shapes.get(name)}, got {value.shape}; choose another one")
            index, key = name.split(".")[2:]
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


# ------------------------------------------------------------------------------------------------------------ the loop


@dataclass(frozen=True)
class Report:
    """How a training went.

    Attributes:
        step: steps done in all.
        seconds: training time in all.
        finished: False where it was interrupted (the checkpoint holds what was reached).
        losses: mean of the last logged losses by name.
    """

    step: int
    seconds: float
    finished: bool
    losses: dict[str, float]


def preview(source: Tensor, driving: Tensor, result: StepResult, kp: tuple[Keypoints, Keypoints], rows: int = 4) -> Any:
    """Contact sheet of a training batch (uint8): frames, what was drawn, keypoints and flow."""
    made = result.generated
    table = []
    size = made.motion.deformation.shape[1]
    still = geometry.lattice(size, size)
    for i in range(min(rows, len(source))):
        flow = (made.motion.deformation[i].detach().cpu() - still) * (size - 1) / 2
        pictures = [source[i], driving[i], made.deformed[i], made.prediction[i]]
        row = [viz.to_uint8(p.detach().float().cpu()).repeat(2, 0).repeat(2, 1) for p in pictures]
        row += [
            viz.draw_keypoints(frame[i].float().cpu(), k.mean[i].detach().cpu(), scale=2)
            for frame, k in zip((source, driving), kp, strict=True)
        ]
        side = source.shape[-1] * 2
        grow = side // size
        table.append([*row, viz.flow_to_rgb(flow).repeat(grow, 0).repeat(grow, 1)])
    labels = ("source", "driving", "deformed", "generated", "keypoints: source", "keypoints: driving", "flow")
    return viz.grid(table, column_labels=labels)


def start(config: MonkeyNetConfig, how: Recipe, data: str, device: Device) -> Run:
    """A new training: weights drawn from the recipe's seed, fresh optimizers.

    A model without a flow, or whose deformed frame has no loss, has nothing to learn from motion steps: it takes whole ones
    from the first on (``Recipe.motion_first`` 0), in which everything learns.
    """
    if how.motion_first and (not config.losses.deformed or config.generator.motion is None):
        how = how.all_at_once()
    torch.manual_seed(how.seed)
    model = MonkeyNet(config).to(device.device)
    return Run(model, Optimizers.of(model, how.learning_rate), how, data)


@dataclass(frozen=True)
class Pace:
    """How often the loop does what is not training.

    Attributes:
        log: steps between rows of losses.
        preview: steps between pictures.
        checkpoint: seconds between checkpoints.
    """

    log: int = 20
    preview: int = 250
    checkpoint: float = 120.0


def train(
    run: AnyRun[Any, Any, Any],
    clips: Sequence[Clip],
    budget: Budget,
    folder: Path,
    device: Device,
    pace: Pace | None = None,
    monitor: watching.Monitor | None = None,
    processes: Processes = ALONE,
) -> Report:
    """Trains until the budget is used up; Ctrl-C finishes the step, saves and stops (a second one does not wait).

    Whatever else ends it, the steps done so far are saved, unless they led to losses or weights that are not finite:
    then the checkpoint from before stays. What the monitor finds is printed once and kept in ``findings.jsonl``; the
    checkpoint from before its first finding is kept as ``last_good.safetensors``.

    Args:
        run: from :func:`start`, perhaps restored.
        clips: training clips, at least a batch of them, all of the configuration's frame size.
        budget: when to stop.
        folder: run folder: checkpoint, model, ``metrics.csv``, ``preview.png``; one training at a time.
        device: where and how exactly.
        pace: how often to log, draw and save.
        monitor: watches; a new one where None.
        processes: that train this model together, each on its share of the recipe's batch; the first one writes. On
            processors, batch norm takes its statistics from each share.

    Raises:
        UserError: too few clips, frames that the networks cannot halve, a batch that the processes cannot share, an
            unwritable folder or one in use, or losses that are no longer finite.
        ToldElsewhereError: another process failed, and says why.
    """
    pace = pace or Pace()
    run.config.check_frame_size(run.config.frame_size)
    sampler = run.sampler(clips, device.device)
    processes.check_batch(run.recipe.batch_size)
    _check_clip(clips[0], run.config.frame_size)
    with claimed(folder) if processes.first else nullcontext():
        processes.begin_alike(run.model, device.device)
        log = _opened(run, folder) if processes.first else None
        run.model.train()
        shown = log.last if log else {}
        loop = _Loop(run, sampler, budget, folder, device, pace, log, monitor or watching.Monitor(), shown, processes)
        try:
            return loop.whole()
        finally:
            if log:
                log.close()
            run.model.eval()


def _opened(run: AnyRun[Any, Any, Any], folder: Path) -> MetricsLog:
    """The metrics of a run folder; brings its model up to the checkpoint, where a crash fell between the two."""
    if run.step and (folder / CHECKPOINT_FILE).is_file():
        run.save_model(folder)
    return MetricsLog(folder, run.step)


def _check_clip(clip: Clip, size: int) -> None:
    height, width = clip.frames.shape[1:3]
    if (height, width) != (size, size):
        raise UserError(f"clip {clip.name}: expected frames of {size}x{size} pixels, got {width}x{height}; give a size")




@dataclass
class _Loop:
    """The loop's own state; see :func:`train`.

    ``sums`` holds the losses that are not logged yet; ``halfway`` is true while a step is under way.
    """

    run: AnyRun[Any, Any, Any]
    sampler: Sampler
    budget: Budget
    folder: Path
    device: Device
    pace: Pace
    log: MetricsLog | None
    monitor: watching.Monitor
    shown: dict[str, float]
    processes: Processes
    sums: dict[str, list[Tensor]] = field(default_factory=dict)
    halfway: bool = False

    @property
    def progress(self) -> float:
        """Share of the budget that is used up."""
        return self.budget.progress(self.run.step, self.run.seconds)

    def whole(self) -> Report:
        """Runs to the end and saves; whatever else ends it, saves what was reached."""
        several = self.processes.count > 1
        try:
            with self._averaging(), nullcontext() if several else suppress(KeyboardInterrupt):
                self.go()
            self.save()
        except Exception:
            if self.processes.first and not (several and self.halfway):
                self.processes = ALONE  # the others wait for no average any more
                with suppress(UserError):
                    self.save()
            raise
        return Report(self.run.step, self.run.seconds, self.progress >= 1, self.shown)

    @contextmanager
    def _averaging(self) -> Iterator[None]:
        """Averages gradients over all processes before the first of the optimizers steps."""
        if self.processes.count == 1:
            yield
            return
        processes, model = self.processes, self.run.model
        first = self.run.optimizers.items()[0][1]
        handle = first.register_step_pre_hook(lambda *_: processes.average_step(model))
        try:
            yield
        finally:
            handle.remove()

    def go(self) -> None:
        """Runs to the end of the budget, or to a Ctrl-C."""
        total = self.budget.steps or round(60 * (self.budget.minutes or 0))
        unit, silent = "step" if self.budget.steps else "s", not self.processes.first
        done = min(self.run.step if self.budget.steps else round(self.run.seconds), total)
        bar = tqdm(total=total, initial=done, unit=unit, desc="training", dynamic_ncols=True, disable=silent)
        saved, stop = time.monotonic(), False
        with CtrlC() as ctrl_c, bar:
            while self.progress < 1 and not stop:
                self._step()
                due = time.monotonic() - saved > self.pace.checkpoint
                agreed = self.processes.agree(ctrl_c.wanted, due, self.run.seconds)
                self.run.seconds, stop = agreed.seconds, agreed.stop
                bar.update(1 if self.budget.steps else min(round(self.run.seconds), total) - bar.n)
                postfix = {name: f"{self.shown[name]:.3f}" for name in SHOWN_LOSSES if name in self.shown}
                bar.set_postfix(postfix, refresh=False)
                if agreed.save:
                    self.save()
                    saved = time.monotonic()

    def save(self) -> None:
        """Writes checkpoint and model, unless they are not finite, then logs what is pending.

        Raises:
            UserError: losses or weights are not finite, or the disk is full.
        """
        means = self._means()
        if not all(bool(p.isfinite().all()) for p in self.run.model.parameters()):
            raise self._diverged("weights", "nan or inf")
        if self.processes.first:
            self.run.save(self.folder)
        self._note(means)

    def _step(self) -> None:
        """One step with everything around it."""
        run, began = self.run, time.monotonic()
        drawn = self.sampler.batch(run.step, run.recipe.reach(self.progress))
        batch = tuple(self.processes.share(frames) for frames in drawn)
        run.optimizers.set_learning_rate(run.recipe.rate(self.progress))
        self.halfway = True
        result = run.take(batch, self.progress, self.device)
        self.halfway = False
        run.step += 1
        for name, value in result.losses.items():
            self.sums.setdefault(name, []).append(value)
        if run.step % self.pace.log == 0 or run.step == 1:
            self._note(self._means())
        if self.processes.first:
            if run.step % self.pace.preview == 0 or run.step == 1:
                write_image(self.folder / "preview.png", run.preview(batch, result))
            self._watch(batch, result)
        run.seconds += time.monotonic() - began

    def _watch(self, batch: tuple[Tensor, ...], result: Result) -> None:
        """Lets the monitor look, and says what it finds; losses that are not finite end the training."""
        known = bool(self.monitor.findings)
        found = self.run.observe(self.monitor, batch, result)
        for number, finding in enumerate(found):
            kept = "" if known or number else keep_last_good(self.folder)
            tqdm.write(f"{finding}{kept}", file=sys.stderr)
            write_finding(self.folder / FINDINGS_FILE, finding)
        if any(finding.name == watching.NOT_FINITE for finding in found):
            self._check_finite({name: float(value) for name, value in result.losses.items()})

    def _means(self) -> dict[str, float]:
        """Means of the losses that are not logged yet, over all processes; empty where there are none."""
        means = {name: torch.stack(values).mean() for name, values in self.sums.items()}
        if means:
            self.processes.average(means.values())
        self.sums = {name: [mean] for name, mean in means.items()}  # one process's NaN is every process's
        plain = {name: float(value) for name, value in means.items()}
        self._check_finite(plain)
        return plain

    def _check_finite(self, values: dict[str, float]) -> None:
        if bad := {name: value for name, value in values.items() if not math.isfinite(value)}:
            raise self._diverged("losses", ", ".join(f"{name} {value}" for name, value in bad.items()))

    def _note(self, means: dict[str, float]) -> None:
        """Writes a row of the log, if there is anything to write."""
        if not means:
            return
        if self.log:
            self.log.add(self.run.step, means)
        self.shown = means
        self.sums.clear()

    def _diverged(self, what: str, came: str) -> UserError:
        before = (self.folder / CHECKPOINT_FILE).is_file()
        way = f"resume in float32 ({self.folder} holds a checkpoint from before)" if before else "start in float32"
        return UserError(
            f"step {self.run.step}: expected finite {what}, got {came}; {way}, or start with a lower learning rate"
        )


def sabotage(
    fault: watching.Plant, config: MonkeyNetConfig, how: Recipe, clips: Sequence[Clip], data: str, device: Device
) -> tuple[Run, Sequence[Clip]]:
    """A new training with a planted fault, and its clips; for the rest as :func:`start`.

    It takes whole steps from the first one on (``Recipe.motion_first`` 0): some faults lie in what motion steps leave out.
    """
    how = replace(how.all_at_once(), learning_rate=how.learning_rate * fault.rate)
    run = start(fault.config(config), how, data, device)
    fault.model(run.model)
    return run, fault.clips(clips, how.batch_size)


LARGE_MOTIONS = ("mini-bair", "mini-taichi")  # limbs move by more than their thickness: nearby frames first


def sprite_augmentation(name: str) -> Augmentation:
    """Augmentation for generated clips: time flip alone, and for mini-bair (like BAIR) not even that."""
    return Augmentation(time_flip=0.0 if name == "mini-bair" else 0.5, horizontal_flip=0.0)


def recipe_for(preset: str, data: str, seed: int, generated: bool) -> Recipe:
    """The preset's recipe, with the seed given and, for generated clips, their augmentation."""
    base = replace(recipe(preset), seed=seed)
    if not generated:
        return base
    return replace(base, augmentation=sprite_augmentation(data), first_reach=0.15 if data in LARGE_MOTIONS else 1.0)
