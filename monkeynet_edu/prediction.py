"""Image to video: from the keypoints of one picture to those of a film, and from these to its frames (section 3.5).

A recurrent network reads the keypoints of the first frame and writes those of the next ones; G then draws each. Nothing
but keypoints is predicted, some tens of numbers a frame, and that is why so small a network is enough.

Two forms. ``single`` is the paper's: one future for each picture. A picture does not tell the direction of its motion, and
the best single answer under an L1 loss is then the middle of all directions: the film hardly moves. ``several`` starts
the recurrence from a state that is drawn at random, and of N futures only the one nearest to the truth is corrected
(best of N): futures that do not have to agree stop meeting in the middle. See :func:`several_loss`.

A sequence is a tensor (B, T, F) of keypoint vectors: F = 2K means and, where covariances are predicted, 4K more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from monkeynet_edu import animation
from monkeynet_edu.alignment import covariance_root, fingerprint
from monkeynet_edu.animation import Animation
from monkeynet_edu.data.sprites import Clip, SpriteClips
from monkeynet_edu.data.video import check_pixels, to_tensor
from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.keypoints import Keypoints, smallest_singular_value
from monkeynet_edu.model import (
    Device,
    MonkeyNet,
    built,
    from_plain,
    in_float32,
    load_tensors,
    load_weights,
    parsed,
    save_tensors,
)
from monkeynet_edu.paths import weights_path

CovarianceForm = Literal["factor", "first"]
Form = Literal["single", "several"]
Feedback = Literal["previous", "zeros"]
State = tuple[Tensor, Tensor]

FRAMES = 32
"""Length of the paper's predicted films, the first frame included."""

FORMAT = "monkeynet_edu predictor"
"""What the header of a predictor's file says."""

LEAST_COVARIANCE = 1e-5
"""Added to the variances of predicted covariances, in squared lattice units (a tenth of a pixel at 64×64): AᵀA may be
singular, and the heatmaps need its inverse."""

_BLOCK = 50  # clips between two writings of the file of keypoints

MOST_MEAN = 0.999
"""Means are kept within this before atanh, which is infinite at the border."""


# ------------------------------------------------------------------------------------------------- the heart of the matter


def shifted(sequence: Tensor) -> tuple[Tensor, Tensor]:
    """Splits sequences (B, T, F) into inputs (B, T-1, F) and targets (B, T-1, F): to every frame its next one."""
    inputs = sequence[:, :-1]
    targets = sequence[:, 1:]
    return inputs, targets


def keypoint_vector(keypoints: Keypoints, covariance: CovarianceForm) -> Tensor:
    """Writes keypoints (..., K) as vectors (..., F) for the network.

    Args:
        keypoints: means (..., K, 2), covariances (..., K, 2, 2).
        covariance: ``factor``: means (x1, y1, x2, …), then covariances (xx, xy, yx, yy of each), F = 6K;
            ``first``: means alone, F = 2K.
    """
    means = keypoints.mean.flatten(-2)
    if covariance == "first":
        return means
    return torch.cat([means, keypoints.cov.flatten(-3)], dim=-1)


def vector_means(vector: Tensor, keypoints: int) -> Tensor:
    """The means (..., K, 2) in vectors (..., F)."""
    return torch.unflatten(vector[..., : 2 * keypoints], -1, (keypoints, 2))


def vector_covariances(vector: Tensor, keypoints: int) -> Tensor:
    """The covariances (..., K, 2, 2) in vectors (..., 6K)."""
    return torch.unflatten(vector[..., 2 * keypoints :], -1, (keypoints, 2, 2))


def covariance_from_factor(raw: Tensor) -> Tensor:
    """Makes covariances of any four numbers each: (..., 4) → (..., 2, 2), Σ = AᵀA with A = [[r1, r2], [r3, r4]].

    vᵀAᵀAv = |Av|² ≥ 0 for every v: symmetric and positive semi-definite, whatever the network says. A·A need be neither.
    """
    factor = torch.unflatten(raw, -1, (2, 2))
    transposed = factor.mT
    return transposed @ factor


def keep_width(cov: Tensor, first: Tensor) -> Tensor:
    """Widens predicted covariances (..., 2, 2) until their narrow side is as wide as in the first frame.

    The L1 middle of a part in many directions is a needle: drawn so, limbs that turn shrink to dots.
    """
    lacking = (smallest_singular_value(first) - smallest_singular_value(cov)).clamp_min(0.0)
    return cov + lacking[..., None, None] * torch.eye(2, dtype=cov.dtype, device=cov.device)


def masked_l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean |prediction - target| over the frames that are there.

    Args:
        prediction: (B, T, F).
        target: (B, T, F); what stands in absent frames does not matter, not even NaN.
        mask: (B, T) bool, true where the clip has a frame; at least one is.

    Returns:
        A scalar.
    """
    there = prediction[mask]  # (frames, F)
    wanted = target[mask]
    return (there - wanted).abs().mean()


def roll_out(step: Callable[[Tensor, Any], tuple[Tensor, Any]], first: Tensor, state: Any, length: int) -> Tensor:
    """Runs a network freely: each output is the next input.

    Args:
        step: (x, state) → (y, state), x and y (B, F).
        first: (B, F), the only true input.
        state: what ``step`` starts from.
        length: how many frames to predict.

    Returns:
        (B, length, F): the frames *after* the first.
    """
    x = first
    outputs = []
    for _ in range(length):
        x, state = step(x, state)
        outputs.append(x)
    return torch.stack(outputs, dim=1)


def motion_amplitude(means: Tensor) -> Tensor:
    """How far keypoints go: their mean distance from their own place in the first frame, (B, T, K, 2) → (B,).

    Over keypoints and frames 2…T, in lattice units (2 is the frame's width). The measure of a film that freezes.
    """
    moved = means[:, 1:] - means[:, :1]
    distance: Tensor = moved.norm(dim=-1)  # (B, T-1, K)
    return distance.mean(dim=(1, 2))


def first_latents(which: Tensor, noise: Tensor) -> Tensor:
    """Draws first states of the form with several futures: near one of L corners each.

    Independent Gaussian draws would repeat themselves: of five, two or three would go the same way. Drawn in strata, any L
    futures in a row start near L different corners; the noise tells two near the same corner apart.

    Args:
        which: (...) whole numbers, the future's number; modulo L it is the corner.
        noise: (..., L), standard normal.

    Returns:
        (..., L): the corner's unit vector plus a quarter of the noise.
    """
    corners = torch.eye(noise.shape[-1], dtype=noise.dtype, device=noise.device)
    return corners[which % noise.shape[-1]] + 0.25 * noise


def future_errors(futures: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """:func:`masked_l1` of each of N futures of each item: (B, N, T, F), (B, T, F), (B, T) → (B, N)."""
    error = (futures - target[:, None]).abs().mean(dim=-1)  # (B, N, T)
    error = torch.where(mask[:, None], error, 0.0)
    return error.sum(dim=-1) / mask.sum(dim=-1, keepdim=True)


def several_loss(errors: Tensor, spread: Tensor, share: float, diversity: float) -> Tensor:
    """Criterion of the form with several futures.

    The best of N is pulled to the truth, so that each drawn state may keep a direction of its own (with a mean over the
    N they would all learn the same middle). Alone it has two faults. A future that never wins learns nothing and may
    melt: ``share`` of the weight goes to the mean over all. That share draws them together again, to the middle:
    ``diversity`` rewards the distance between them.

    Args:
        errors: (B, N) of :func:`future_errors`.
        spread: (B,) mean distance between two futures of an item, see :func:`future_spread`.
        share: weight of the mean over all futures, in [0, 1]; the best one has the rest.
        diversity: weight of the spread.

    Returns:
        A scalar.
    """
    best = errors.min(dim=1).values.mean()
    everyone = errors.mean()
    return (1 - share) * best + share * everyone - diversity * spread.mean()


def future_spread(futures: Tensor, mask: Tensor) -> Tensor:
    """Mean L1 distance between two different futures of an item: (B, N, T, F), (B, T) → (B,); 0 for N = 1."""
    count = futures.shape[1]
    apart = (futures[:, :, None] - futures[:, None]).abs().mean(dim=-1)  # (B, N, N, T)
    apart = torch.where(mask[:, None, None], apart, 0.0).sum(dim=-1) / mask.sum(dim=-1)[:, None, None]
    return apart.sum(dim=(1, 2)) / max(count * (count - 1), 1)


# ------------------------------------------------------------------------------------------------------------ the network


@dataclass(frozen=True)
class PredictorConfig:
    """Configuration of the recurrent network.

    Attributes:
        keypoints: K, of the model that draws.
        hidden: units of each LSTM layer (published: a GRU of 1024).
        layers: LSTM layers.
        covariance: ``factor``: covariances are predicted as AᵀA; ``first``: the first frame's are kept.
        form: ``single``: one future (the paper's); ``several``: the first state is drawn at random.
        latent: L, how many different directions there are, see :func:`first_latents` (``several`` only).
        feedback: what enters after the first frame: the ``previous`` output, or ``zeros`` (published).
        frames: longest sequence in training, the first frame included.

    Raises:
        UserError: a value is out of its range.
    """

    keypoints: int = 10
    hidden: int = 96
    layers: int = 1
    covariance: CovarianceForm = "factor"
    form: Form = "single"
    latent: int = 5
    feedback: Feedback = "previous"
    frames: int = FRAMES

    def __post_init__(self) -> None:
        """Checks the values."""
        for name, least in (("keypoints", 1), ("hidden", 1), ("layers", 1), ("latent", 1), ("frames", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise UserError(f"predictor {name}: expected a whole number from {least}, got {value!r}; correct it")
        choices = {"covariance": ("factor", "first"), "form": ("single", "several"), "feedback": ("previous", "zeros")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise unknown_name(f"predictor {name}", str(getattr(self, name)), known)

    @property
    def features(self) -> int:
        """F, length of a keypoint vector."""
        return self.keypoints * (6 if self.covariance == "factor" else 2)

    @staticmethod
    def from_json(text: str) -> PredictorConfig:
        """Reads the JSON of ``asdict``; unknown or missing fields are errors."""
        config: PredictorConfig = from_plain(PredictorConfig, parsed(text), "predictor")
        return config


class Predictor(nn.Module):
    """LSTM over keypoint vectors: the first frame's in, the next ones' out (section 3.5).

    Each output is its input plus what the network says, so an untrained network repeats the frame that it is given;
    means are added before tanh, which keeps them in (-1, 1), covariances as factors before AᵀA. With ``feedback="zeros"``
    there is nothing to add to, as in the published code.

    Attributes:
        config: its configuration.
        weights: :func:`monkeynet_edu.alignment.fingerprint` of the model whose keypoints it learned; empty: not known.
    """

    def __init__(self, config: PredictorConfig, weights: str = "") -> None:
        super().__init__()
        self.config, self.weights = config, weights
        self.lstm = nn.LSTM(config.features, config.hidden, config.layers, batch_first=True)
        self.output = nn.Linear(config.hidden, config.features)
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)
        states = 2 * config.layers * config.hidden
        self.initial = nn.Linear(config.latent, states) if config.form == "several" else None

    def start(self, batch: int, latent: Tensor | None = None) -> State:
        """First state (hidden, cell), each (layers, B, hidden): zeros, or made of ``latent`` (B, latent)."""
        if self.initial is None or latent is None:
            still = self.output.weight.new_zeros(self.config.layers, batch, self.config.hidden)
            return still, still
        drawn = self.initial(latent).view(batch, 2, self.config.layers, self.config.hidden)
        return drawn[:, 0].transpose(0, 1).contiguous(), drawn[:, 1].transpose(0, 1).contiguous()

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: vectors (B, F) and state to the next frame's vectors (B, F) and state."""
        outputs, state = self.forced(x[:, None], state)
        return outputs[:, 0], state

    def forced(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Teacher forcing: true frames (B, T, F) in, guesses (B, T, F) of each one's next frame out, and the last state."""
        hidden, state = self.lstm(inputs, state)
        return self._vector(self.output(hidden), inputs), state

    def _vector(self, raw: Tensor, x: Tensor) -> Tensor:
        """Keypoint vectors (..., F) of raw outputs (..., F) and the inputs (..., F) that they are added to."""
        k = self.config.keypoints
        means = torch.tanh(torch.atanh(x[..., : 2 * k].clamp(-MOST_MEAN, MOST_MEAN)) + raw[..., : 2 * k])
        if self.config.covariance == "first":
            return means
        floor = LEAST_COVARIANCE * torch.eye(2, dtype=x.dtype, device=x.device)
        # The root of the input is the factor that gives it again; the floor keeps it finite where zeros are fed.
        factor = covariance_root(vector_covariances(x, k) + floor).flatten(-2)
        cov = covariance_from_factor(factor + torch.unflatten(raw[..., 2 * k :], -1, (k, 4))) + floor
        return torch.cat([means, cov.flatten(-3)], dim=-1)

    def run_freely(self, first: Tensor, length: int, latent: Tensor | None = None) -> Tensor:
        """Vectors (B, length, F) of the frames after ``first`` (B, F)."""
        state = self.start(len(first), latent)
        if self.config.feedback == "previous":
            return roll_out(self.step, first, state, length)
        second, state = self.step(first, state)
        rest = roll_out(lambda x, s: self.step(torch.zeros_like(x), s), second, state, length - 1) if length > 1 else None
        return second[:, None] if rest is None else torch.cat([second[:, None], rest], dim=1)

    def futures(self, first: Tensor, length: int, latent: Tensor) -> Tensor:
        """Vectors (B, N, length, F) of N futures: ``first`` (B, F), ``latent`` (B, N, latent)."""
        count = latent.shape[1]
        made = self.run_freely(first.repeat_interleave(count, 0), length, latent.flatten(0, 1))
        return torch.unflatten(made, 0, (len(first), count))

    @torch.no_grad()
    def predict(self, first: Keypoints, frames: int, seed: int = 0) -> Keypoints:
        """Predicts films of keypoints.

        Args:
            first: (B, K), the keypoints of each picture.
            frames: how many, the first included; more than in training are possible, and less sure.
            seed: which future (``several``): the first state is drawn with it, and ``latent`` seeds in a row go different
                ways; with ``single`` every seed gives the same.

        Returns:
            Keypoints (B, frames, K) on the device of ``first``; frame 0 is the input itself.

        Raises:
            UserError: another number of keypoints, no frame asked for, or a seed below 0.
        """
        self._check_request(first, frames, seed)
        weights = self.output.weight
        start = keypoint_vector(first, self.config.covariance).to(weights)
        latent = None
        if self.config.form == "several":
            drawn = torch.Generator().manual_seed(seed)
            noise = torch.randn(len(start), self.config.latent, generator=drawn)
            latent = first_latents(torch.full((len(start),), seed), noise).to(weights)
        still = Keypoints(first.mean[:, None], first.cov[:, None])
        if frames == 1:
            return still
        made = self.run_freely(start, frames - 1, latent).to(first.mean)
        mean = vector_means(made, self.config.keypoints)
        cov = still.cov.expand(-1, frames - 1, -1, -1, -1)
        if self.config.covariance == "factor":
            cov = keep_width(vector_covariances(made, self.config.keypoints), still.cov)
        return Keypoints(torch.cat([still.mean, mean], dim=1), torch.cat([still.cov, cov], dim=1))

    def _check_request(self, first: Keypoints, frames: int, seed: int) -> None:
        if frames < 1:
            raise UserError(f"frames: expected at least 1, got {frames}; ask for 32 as in the paper")
        if seed < 0:
            raise UserError(f"seed: expected a whole number from 0, got {seed}; choose another")
        if first.mean.shape[-2] != self.config.keypoints:
            raise _other_keypoints(self.config.keypoints, first.mean.shape[-2], "pictures")

    def check_fits(self, model: MonkeyNet) -> None:
        """Makes sure that this predictor and a model speak of equally many keypoints.

        Raises:
            UserError: they do not.
        """
        if model.config.detector.keypoints != self.config.keypoints:
            raise _other_keypoints(self.config.keypoints, model.config.detector.keypoints, "model")

    def knows(self, model: MonkeyNet) -> bool:
        """Whether it learned this model's keypoints: those of another model number other parts of the figure."""
        return self.weights == fingerprint(model)

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Writes one safetensors file with the configuration in its header; beside its place, then renamed.

        Raises:
            UserError: it cannot be written there.
        """
        tensors = {name: t.to(dtype) for name, t in self.state_dict().items()}
        header = {"format": FORMAT, "config": json.dumps(asdict(self.config)), "weights": self.weights}
        save_tensors(Path(path), tensors, header)

    @staticmethod
    def load(path: str | Path) -> Predictor:
        """Reads what :meth:`save` wrote.

        Raises:
            UserError: no such file, or not one of a predictor (foreign, damaged, cut off).
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: expected a predictor (.safetensors), got no file; check the path")
        try:
            tensors, header = load_tensors(path)
            config = PredictorConfig.from_json(header["config"] if header.get("format") == FORMAT else "null")
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{path}: expected a predictor that `monkeynet-edu train-predictor` wrote, got a foreign or damaged file; "
                "train one, or take a shipped one (data_small/weights/*.predictor.safetensors)"
            ) from error
        predictor = built(lambda: Predictor(config, header.get("weights", "")), tensors, str(path))
        load_weights(predictor, in_float32(tensors), str(path))
        return predictor.eval()


def _other_keypoints(ours: int, theirs: int, whose: str) -> UserError:
    return UserError(
        f"predictor: expected keypoints of a model with {ours}, as it was trained on, got {theirs} of the {whose}; take "
        "the predictor of that model, or train one (monkeynet-edu train-predictor)"
    )


def shipped_predictor(data: str, form: Form = "several") -> Predictor:
    """The shipped predictor of a miniature.

    Args:
        data: for instance ``mini-taichi``.
        form: ``several`` (what ``monkeynet-edu predict`` uses) or ``single`` (the paper's deterministic form).

    Raises:
        UserError: there is none of that name.
    """
    return Predictor.load(weights_path(f"{data}.predictor" if form == "several" else f"{data}.single.predictor"))


# --------------------------------------------------------------------------------------------------------------- training


def extract(model: MonkeyNet, clips: Iterable[Clip], device: Device) -> list[Keypoints]:
    """Keypoints (T, K) of each clip, found by a trained Δ, on the CPU; clips are read one at a time and not kept.

    Raises:
        UserError: frames that the networks cannot halve, naming the clip.
    """
    model.eval()
    found = []
    for clip in clips:
        for side in set(clip.frames.shape[1:3]):
            try:
                model.config.check_frame_size(side)
            except UserError as error:
                raise UserError(f"clip {clip.name}: {error}") from error
        keypoints = animation.detect_clip(model, to_tensor(clip.frames), device)
        found.append(Keypoints(keypoints.mean.float().cpu(), keypoints.cov.float().cpu()))
    return found


def one_at_a_time(clips: Sequence[Clip], start: int = 0) -> Iterator[Clip]:
    """Clips from number ``start`` on; generated ones are drawn and forgotten (hundreds of whole clips fill a memory)."""
    for index in range(start, len(clips)):
        if isinstance(clips, SpriteClips):
            yield SpriteClips(clips.name, clips.seeds[index : index + 1], clips.size, clips.frames)[0]
        else:
            yield clips[index]


def extract_cached(model: MonkeyNet, clips: Sequence[Clip], name: str, cache: Path, device: Device) -> list[Keypoints]:
    """:func:`extract`, kept in a file (rounded to half precision): interrupted, it goes on; done, it is read.

    Args:
        model: finds the keypoints.
        clips: of the data set.
        name: of the clips; the file is used again only for the same name, length and model.
        cache: file, ``.safetensors``.
        device: where to compute.

    Raises:
        UserError: the file cannot be written, or see :func:`extract`.
    """
    header = {"format": "monkeynet_edu keypoints", "clips": f"{name}, {len(clips)}", "weights": fingerprint(model)}
    found = _read_keypoints(cache, header)
    remaining = one_at_a_time(clips, len(found))
    with tqdm(total=len(clips), initial=len(found), desc="finding keypoints", unit="clip", leave=False) as bar:
        while block := extract(model, islice(remaining, _BLOCK), device):
            found += [Keypoints(k.mean.half().float(), k.cov.half().float()) for k in block]
            _write_keypoints(cache, header, found)
            bar.update(len(block))
    return found


def _write_keypoints(path: Path, header: dict[str, str], found: list[Keypoints]) -> None:
    tensors = {"mean": torch.cat([k.mean for k in found]).half(), "cov": torch.cat([k.cov for k in found]).half()}
    save_tensors(path, tensors | {"frames": torch.tensor([len(k) for k in found])}, header)


def _read_keypoints(path: Path, header: dict[str, str]) -> list[Keypoints]:
    """What the file holds, or nothing where there is none for these clips."""
    try:
        tensors, theirs = load_tensors(path)
        frames = tensors["frames"].tolist()
        parts = zip(*(torch.split(tensors[name].float(), frames) for name in ("mean", "cov")), strict=True)
    except (UserError, KeyError):
        return []
    return [Keypoints(*part) for part in parts] if theirs == header else []


@dataclass(frozen=True)
class PredictorRecipe:
    """How a predictor is trained.

    Attributes:
        steps: of Adam.
        batch_size: windows in a step (published: 256).
        learning_rate: at the start.
        patience: looks at the clips set aside, one every ``look`` steps, without progress before the rate is halved.
        look: steps between two looks.
        share: weight of all futures against the best one, see :func:`several_loss`.
        diversity: weight of the distance between futures.
        feeding: what the network reads in training: its own outputs (``free``, as when it is used) or the true frames
            (``teacher``: easier to learn, and a loss that says little about the film).
        seed: of first weights, windows and drawn states.
    """

    steps: int = 400
    batch_size: int = 32
    learning_rate: float = 1e-3
    patience: int = 4
    look: int = 20
    share: float = 0.1
    diversity: float = 0.0
    feeding: Literal["free", "teacher"] = "free"
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the values."""
        for name, least in (("steps", 1), ("batch_size", 1), ("patience", 0), ("look", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"predictor {name}: expected at least {least}, got {getattr(self, name)}; correct it")
        if not 0 < self.learning_rate < math.inf:
            raise UserError(f"predictor learning_rate: expected more than 0, got {self.learning_rate}; try 1e-3")


@dataclass(frozen=True)
class Training:
    """What came of a training.

    Attributes:
        predictor: with the weights that did best on the clips set aside.
        steps: done.
        losses: of the training, one every look.
        set_aside: the same loss on the clips set aside, one every look.
        finished: False where Ctrl-C ended it.
    """

    predictor: Predictor
    steps: int
    losses: tuple[float, ...]
    set_aside: tuple[float, ...]
    finished: bool


def random_windows(
    sequences: Sequence[Tensor], length: int, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draws windows of consecutive frames.

    Args:
        sequences: clips (T, F) of at least two frames.
        length: of a window; a shorter clip is taken whole and filled up with zeros.
        count: B; clips are drawn with replacement, then the first frame.
        generator: makes the draw repeatable.

    Returns:
        (B, length, F) and a mask (B, length), true where there is a frame.
    """
    batch = sequences[0].new_zeros(count, length, sequences[0].shape[-1])
    mask = torch.zeros(count, length, dtype=torch.bool)
    for row, clip in enumerate(torch.randint(len(sequences), (count,), generator=generator).tolist()):
        chosen = sequences[clip]
        there = min(length, len(chosen))
        begin = int(torch.randint(len(chosen) - there + 1, (), generator=generator))
        batch[row, :there] = chosen[begin : begin + there]
        mask[row, :there] = True
    return batch, mask


def sequence_loss(
    predictor: Predictor, windows: Tensor, mask: Tensor, recipe: PredictorRecipe, generator: torch.Generator
) -> Tensor:
    """Loss of windows (B, T, F) with mask (B, T): L1 over the frames after the first; of several futures the best one's."""
    inputs, targets = shifted(windows)
    there = mask[:, 1:]
    if predictor.config.form == "several":
        count = predictor.config.latent
        noise = torch.randn(len(windows), count, count, generator=generator).to(windows)
        latent = first_latents(torch.arange(count), noise)
        futures = predictor.futures(windows[:, 0], targets.shape[1], latent)
        errors = future_errors(futures, targets, there)
        return several_loss(errors, future_spread(futures, there), recipe.share, recipe.diversity)
    if recipe.feeding == "teacher":
        return masked_l1(predictor.forced(inputs, predictor.start(len(windows)))[0], targets, there)
    return masked_l1(predictor.run_freely(windows[:, 0], targets.shape[1]), targets, there)


def train_predictor(
    sequences: Sequence[Keypoints],
    config: PredictorConfig,
    recipe: PredictorRecipe | None = None,
    weights: str = "",
    progress: bool = True,
) -> Training:
    """Trains a predictor on keypoints that a trained Δ found; a tenth of the clips is set aside to choose the weights by.

    Args:
        sequences: keypoints (T, K) of each clip; see :func:`extract`. Clips of a single frame are passed over.
        config: of the network.
        recipe: how; the default where None.
        weights: fingerprint of the model whose Δ found them, see :class:`Predictor`.
        progress: whether a bar is shown on standard error.

    Returns:
        The predictor on the CPU and how it went. Ctrl-C ends the training early and keeps what was learned.

    Raises:
        UserError: no clip of two frames, keypoints of another number, or a loss that is no longer finite.
    """
    recipe = recipe or PredictorRecipe()
    vectors = [keypoint_vector(k, config.covariance) for k in _usable(sequences, config)]
    torch.manual_seed(recipe.seed)
    run = _Training(Predictor(config, weights), vectors, recipe)
    with suppress(KeyboardInterrupt), tqdm(total=recipe.steps, desc="training", unit="step", disable=not progress) as bar:
        run.go(bar)
    return run.finish()


def _usable(sequences: Sequence[Keypoints], config: PredictorConfig) -> list[Keypoints]:
    """Clips of two frames or more; refuses wrong numbers of keypoints."""
    for found in sequences:
        if found.mean.shape[-2] != config.keypoints:
            raise _other_keypoints(config.keypoints, found.mean.shape[-2], "clips")
    usable = [found for found in sequences if len(found) >= 2]
    if not usable:
        longest = max((len(found) for found in sequences), default=0)
        raise UserError(f"training clips: expected some of at least 2 frames, got at most {longest}; give longer clips")
    return usable


class _Training:
    """The loop's own state."""

    def __init__(self, predictor: Predictor, vectors: list[Tensor], recipe: PredictorRecipe) -> None:
        self.predictor, self.recipe = predictor, recipe
        aside = len(vectors) // 10
        self.train_on = vectors[aside:]
        self.drawn = torch.Generator().manual_seed(recipe.seed)
        fixed = torch.Generator().manual_seed(recipe.seed)
        count = min(256, 4 * max(aside, 1))
        self.looked_at = random_windows(vectors[:aside] or vectors, predictor.config.frames, count, fixed)
        self.optimizer = torch.optim.Adam(predictor.parameters(), lr=recipe.learning_rate)
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, factor=0.5, patience=recipe.patience)
        self.best = {name: t.clone() for name, t in predictor.state_dict().items()}
        self.losses: list[float] = []
        self.set_aside: list[float] = []
        self.steps = 0

    def go(self, bar: Any) -> None:
        """Trains to the end of the recipe."""
        recent = []
        while self.steps < self.recipe.steps:
            recent.append(self._step())
            bar.update()
            if self.steps % self.recipe.look == 0 or self.steps == self.recipe.steps:
                self._look(sum(recent) / len(recent))
                recent = []
                bar.set_postfix(loss=f"{self.losses[-1]:.4f}", set_aside=f"{self.set_aside[-1]:.4f}")

    def _step(self) -> float:
        windows, mask = random_windows(self.train_on, self.predictor.config.frames, self.recipe.batch_size, self.drawn)
        loss = sequence_loss(self.predictor, windows, mask, self.recipe, self.drawn)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise UserError(
                f"predictor: expected a finite loss, got {value} at step {self.steps}; lower the learning rate, or "
                "look for keypoints that are not finite"
            )
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.predictor.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        return value

    @torch.no_grad()
    def _look(self, loss: float) -> None:
        """Notes both losses; keeps the weights where the clips set aside say that they are the best so far."""
        fixed = torch.Generator().manual_seed(self.recipe.seed)
        aside = float(sequence_loss(self.predictor, *self.looked_at, self.recipe, fixed))
        if aside <= min(self.set_aside, default=math.inf):
            self.best = {name: t.clone() for name, t in self.predictor.state_dict().items()}
        self.losses.append(loss)
        self.set_aside.append(aside)
        self.schedule.step(aside)

    def finish(self) -> Training:
        """The best weights, and the figures."""
        self.predictor.load_state_dict(self.best)
        done = self.steps >= self.recipe.steps
        return Training(self.predictor.eval(), self.steps, tuple(self.losses), tuple(self.set_aside), done)


# ------------------------------------------------------------------------------------------------------------------ films


@torch.no_grad()
def predicted_film(
    model: MonkeyNet, predictor: Predictor, image: Tensor, frames: int, seed: int, device: Device
) -> Animation:
    """Makes a film of a picture: Δ on the picture, the predictor, then G for each frame.

    The predicted keypoints start at the picture's own, so they are drawn as they are, whatever the model's transfer.

    Args:
        model: in eval mode.
        predictor: for equally many keypoints.
        image: (3, H, W) in [0, 1], sides multiples of ``model.config.stride``.
        frames: how many, the picture included.
        seed: which of the futures.
        device: where to compute.

    Returns:
        The film; ``driving`` and ``moved`` are the predicted keypoints.

    Raises:
        UserError: predictor and model do not fit, no frame asked for, or frames that the networks cannot halve.
    """
    model.eval()
    predictor.check_fits(model)
    check_pixels(image[None], "source image")
    for side in set(image.shape[-2:]):
        model.config.check_frame_size(side)
    source = animation.detect_clip(model, image[None], device)
    film = predictor.predict(source, frames, seed)[0]
    return animation.collect(list(animation.draw(model, image[None], source, film, device)), source, film, film)
