"""A watcher of training that says in words, early, what is going wrong and what to try.

Every few steps it takes eleven numbers (:class:`Vitals`) from tensors that the step has computed anyway. :func:`symptom`
turns them into the name of a fault, root causes before what they bring about; a fault that shows several times in a row
is a :class:`Finding`. Nothing here draws random numbers or touches a weight: training is the same, bit for bit, with and
without it.

Each fault can also be caused on purpose (:data:`PLANTS`, ``monkeynet-edu train … --plant NAME``): failures are worth a
look.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.errors import unknown_name
from monkeynet_edu.generator import Generated
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.losses import LossWeights
from monkeynet_edu.model import MonkeyNet, MonkeyNetConfig

EVERY = 5  # steps between two looks
PATIENCE = 4  # looks in a row that have to show a fault
NOT_FINITE = "nan"

# ---------------------------------------------------------------------------------------------------- what is looked at


@dataclass(frozen=True)
class Vitals:
    """What one look at a training sees.

    Attributes:
        frames: mean absolute difference of source and driving frames, in [0, 1]; NaN where a pixel is not finite.
        spread: mean distance of the keypoints of a frame from their common centre, in [-1, 1] units.
        displacement: mean distance between a keypoint in the source and in the driving frame, in [-1, 1] units.
        border: share of keypoints beyond 0.95 in x or y: at the edge of the frame, or outside it.
        foreground: the largest share of a pixel that M gives to parts other than the background; mean over pairs. 1
            where the flow has no parts.
        generated: mean of the generated frames, in [0, 1]; NaN where a pixel is not finite.
        reconstruction: loss of the generated frames, with its weight.
        adversarial: loss of G against D without its weight: mean (1 - D(x̂))²; 1 where D takes no generated frame for real.
        discriminator: loss of D without its weight: mean (1 - D(x'))² + mean D(x̂)². Where D cannot tell the frames apart
            this is at least as large as ``adversarial``; 0 where it always can.
        total: sum of all losses.
        update: change of the weights by the last step, as a share of the size that such weights have at first.
    """

    frames: float = 0.1
    spread: float = 0.5
    displacement: float = 0.1
    border: float = 0.0
    foreground: float = 0.5
    generated: float = 0.5
    reconstruction: float = 1.0
    adversarial: float = 0.3
    discriminator: float = 0.5
    total: float = 5.0
    update: float = 0.01


def measure(
    source: Tensor,
    driving: Tensor,
    keypoints: tuple[Keypoints, Keypoints],
    generated: Generated,
    losses: Mapping[str, Tensor],
    weights: LossWeights,
    update: Tensor,
) -> Vitals:
    """Takes the numbers of one step; one transfer from the device, whatever the batch.

    Args:
        source: (B, 3, H, W).
        driving: (B, 3, H, W).
        keypoints: (B, K) of source and driving frames.
        generated: what G drew.
        losses: weighted terms by name.
        weights: of the terms.
        update: (), see :attr:`Vitals.update`.
    """
    zero = torch.zeros((), device=source.device)
    first, second = keypoints[0].mean.detach(), keypoints[1].mean.detach()
    both = torch.cat([first, second])  # (2B, K, 2)
    masks = generated.motion.masks
    seen = [
        (source - driving).abs().mean(),
        (both - both.mean(dim=1, keepdim=True)).norm(dim=-1).mean(),
        (first - second).norm(dim=-1).mean(),
        (both.abs().amax(dim=-1) > 0.95).float().mean(),
        zero + 1 if masks is None else (1 - masks.detach()[:, 0].flatten(1).amin(dim=1)).mean(),
        generated.prediction.detach().mean(),
        losses.get("frame", zero),
        losses.get("adversarial", zero) / (weights.adversarial or 1),
        losses.get("discriminator", zero) / (weights.discriminator or 1),
        torch.stack(list(losses.values())).sum(),
        update,
    ]
    return Vitals(*torch.stack([value.float() for value in seen]).tolist())


def symptom(vitals: Vitals) -> str | None:
    """Name of the fault that one look shows, or None.

    Root causes come before what they bring about: keypoints cannot move where the frames do not, nor where all of them
    sit in one place.
    """
    signs = {
        "nan": not math.isfinite(vitals.total),
        "identical": vitals.frames < 0.0005,
        "learning-rate": vitals.update > 0.15,
        "outside": vitals.border > 0.8,
        "collapsed": vitals.spread < 0.05,
        "resting": vitals.displacement < 0.1 * vitals.frames,
        "background": vitals.foreground < 0.05,
        "d-won": vitals.adversarial > 1.2 * vitals.discriminator,
    }
    shown = [name for name, is_seen in signs.items() if is_seen]
    return shown[0] if shown else None


# ------------------------------------------------------------------------------------------------------- what is said


@dataclass(frozen=True)
class Finding:
    """Something that is going wrong.

    Attributes:
        name: of the fault, short.
        step: at which it was found.
        message: what is seen, with the numbers.
        advice: what to try.
    """

    name: str
    step: int
    message: str
    advice: str

    def __str__(self) -> str:
        """One line."""
        return f"step {self.step}, {self.name}: {self.message}. Try: {self.advice}."


SAID: dict[str, tuple[str, str]] = {
    "nan": (
        "{origin} are not finite",
        "float32 instead of bf16, a learning rate half as high; look for a division by 0 in what you changed last",
    ),
    "identical": (
        "source and driving frames of every pair are the same picture (mean difference {frames:.1g})",
        "clips in which something moves; check that the two frames of a pair are drawn apart",
    ),
    "learning-rate": (
        "a step changes the weights by {update:.0%} of the size that they begin with (sound: below 5%), so each step "
        "undoes the last",
        "a learning rate ten times lower",
    ),
    "outside": (
        "{border:.0%} of the keypoints lie at the edge of the frame or outside it",
        "points in [-1, 1], not in pixels; a sum of 1 in every heatmap; less augmentation that turns or crops",
    ),
    "collapsed": (
        "all keypoints of a frame sit in one place (mean distance from their centre {spread:.2g}, the frame is 2 wide)",
        "a lower temperature of the softmax (0.1), a fresh start with another seed",
    ),
    "resting": (
        "the frames differ (by {frames:.2g}) and the keypoints do not (they move by {displacement:.1g}): they rest on "
        "nothing that moves",
        "another frame as driving frame than as source, a loss on the deformed frame, pairs further apart",
    ),
    "background": (
        "the masks give every pixel to the background (at most {foreground:.1%} to a part), so nothing is moved",
        "a lower start value of the background's mask (2), a loss on the deformed frame (10)",
    ),
    "d-won": (
        "D tells generated frames from real ones (its loss {discriminator:.2g}, that of G against it {adversarial:.2g}; "
        "where it cannot tell, G's is the smaller one), so it soon teaches G nothing",
        "frames of the same range and finish for D, a lower rate or fewer steps for D, a smaller adversarial weight",
    ),
}
FEW_CLIPS = "few-clips"  # refused before the first step, by data.pairs.PairSampler


def origin(vitals: Vitals) -> str:
    """What was not finite first: in the order in which a step computes it."""
    if not math.isfinite(vitals.frames):
        return "the frames that came in"
    if not math.isfinite(vitals.displacement):
        return "the keypoints"
    return "the losses" if math.isfinite(vitals.generated) else "the generated frames"


def describe(name: str, step: int, vitals: Vitals) -> Finding:
    """The finding of a fault, in words.

    Args:
        name: of the fault.
        step: at which it was found.
        vitals: that show it.
    """
    message, advice = SAID[name]
    return Finding(name, step, message.format(origin=origin(vitals), **asdict(vitals)), advice)


class Monitor:
    """Looks at a training every few steps; see :func:`symptom`.

    Attributes:
        findings: all so far, each fault once.
        vitals: (step, what was seen) of each look.

    Args:
        every: steps between two looks.
        patience: looks in a row that have to show a fault before it is said; what is not finite is said at once.
    """

    def __init__(self, every: int = EVERY, patience: int = PATIENCE) -> None:
        self.every, self.patience = every, patience
        self.findings: list[Finding] = []
        self.vitals: list[tuple[int, Vitals]] = []
        self._row: list[str] = []
        self._before: list[Tensor] = []

    @torch.no_grad()
    def observe(
        self,
        step: int,
        source: Tensor,
        driving: Tensor,
        keypoints: tuple[Keypoints, Keypoints],
        generated: Generated,
        losses: Mapping[str, Tensor],
        model: MonkeyNet,
    ) -> list[Finding]:
        """Looks at a step that has just been taken.

        Args:
            step: its number, from 1.
            source: frames (B, 3, H, W).
            driving: frames (B, 3, H, W).
            keypoints: (B, K) of source and driving frames.
            generated: what G drew.
            losses: weighted terms by name.
            model: its weights are looked at.

        Returns:
            Faults that are new.
        """
        weights = model.config.losses

        def look(update: Tensor) -> Vitals:
            return measure(source, driving, keypoints, generated, losses, weights, update.to(source.device))

        return self.watch(step, (model.generator, model.detector, model.discriminator), look)

    @torch.no_grad()
    def watch(self, step: int, networks: Sequence[nn.Module], look: Callable[[Tensor], Vitals]) -> list[Finding]:
        """Looks at a step of any model.

        Args:
            step: its number, from 1.
            networks: of which one weight each is followed.
            look: takes the step's numbers, given the :attr:`Vitals.update`; called on some steps only.

        Returns:
            Faults that are new.
        """
        if (step + 1) % self.every == 0:
            self._before = [weight.detach().clone() for weight in _probes(networks)]
        if step % self.every:
            return []
        seen = look(self._update(networks))
        self.vitals.append((step, seen))
        return self._conclude(step, seen)

    def _update(self, networks: Sequence[nn.Module]) -> Tensor:
        """Largest change of the networks' probes by the last step, as a share of their size at first.

        At first, because a rate that is too high has blown the weights up by the second look: beside their own size now,
        the next step would seem small. PyTorch draws weights with a mean square of 1 / (3·inputs).
        """
        if not self._before:
            return torch.zeros(())
        pairs = zip(_probes(networks), self._before, strict=True)
        changes = [(now - before).square().mean() * 3 * before[0].numel() for now, before in pairs]
        return torch.stack(changes).amax().sqrt()

    def _conclude(self, step: int, seen: Vitals) -> list[Finding]:
        name = symptom(seen)
        known = {finding.name for finding in self.findings}
        self._row = [*self._row, name] if name and set(self._row) <= {name} else [name] if name else []
        if name is None or name in known or (name != NOT_FINITE and len(self._row) < self.patience):
            return []
        self.findings.append(describe(name, step, seen))
        return self.findings[-1:]


def _probes(networks: Sequence[nn.Module]) -> list[nn.Parameter]:
    """The largest weight of each network: enough to see how far a step goes, and cheap to copy."""
    return [max(network.parameters(), key=nn.Parameter.numel) for network in networks]


# --------------------------------------------------------------------------------------------------------- planted faults


def _same(config: MonkeyNetConfig) -> MonkeyNetConfig:
    return config


def _all(clips: Sequence[Clip], batch_size: int) -> Sequence[Clip]:
    return clips


def _sound(model: MonkeyNet) -> None:
    pass


@dataclass(frozen=True)
class Plant:
    """A fault that is caused on purpose.

    Attributes:
        said: what is broken, one sentence.
        rate: factor of the learning rate.
        config: changes the configuration.
        clips: changes the training clips; also given the batch size.
        model: changes the new model (hooks; its weights stay those of the seed).
    """

    said: str
    rate: float = 1.0
    config: Callable[[MonkeyNetConfig], MonkeyNetConfig] = _same
    clips: Callable[[Sequence[Clip], int], Sequence[Clip]] = _all
    model: Callable[[MonkeyNet], None] = _sound


def _hot(config: MonkeyNetConfig) -> MonkeyNetConfig:
    return dataclasses.replace(config, detector=dataclasses.replace(config.detector, temperature=1000.0))


def _all_background(config: MonkeyNetConfig) -> MonkeyNetConfig:
    motion = config.generator.motion
    if motion is None:
        return config
    motion = dataclasses.replace(motion, background_bias=20.0)
    return dataclasses.replace(config, generator=dataclasses.replace(config.generator, motion=motion))


def _frozen(clips: Sequence[Clip], batch_size: int) -> Sequence[Clip]:
    chosen = [clips[i] for i in range(min(len(clips), 4 * batch_size))]
    return [Clip(clip.name, clip.frames[:1].repeat(len(clip.frames), axis=0)) for clip in chosen]


def _too_few(clips: Sequence[Clip], batch_size: int) -> Sequence[Clip]:
    return [clips[i] for i in range(min(len(clips), batch_size - 1))]


def _in_pixels(model: MonkeyNet) -> None:
    half = (model.config.frame_size - 1) / 2

    def scale(_: nn.Module, __: Any, found: Keypoints) -> Keypoints:
        return Keypoints((found.mean + 1) * half, found.cov)

    model.detector.register_forward_hook(scale)


def _source_twice(model: MonkeyNet) -> None:
    def copy(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        source = inputs[0][: len(inputs[0]) // 2]
        return (torch.cat([source, source]),)

    model.detector.register_forward_pre_hook(copy)


def _divided_by_zero(model: MonkeyNet) -> None:
    calls = iter(range(10**9))

    def spoil(_: nn.Module, __: Any, found: Keypoints) -> Keypoints:
        factor = 0 if next(calls) == 20 else 1
        return Keypoints(found.mean * factor / factor if factor else found.mean * math.nan, found.cov)

    model.detector.register_forward_hook(spoil)


def _striped(model: MonkeyNet) -> None:
    def stamp(_: nn.Module, __: Any, made: Generated) -> Generated:
        column = torch.arange(made.prediction.shape[-1], device=made.prediction.device)
        return dataclasses.replace(made, prediction=made.prediction.masked_fill(column % 8 == 0, 1.0))

    model.generator.register_forward_hook(stamp)


PLANTS: dict[str, Plant] = {
    "nan": Plant("a division by zero in the detector, at step 21", model=_divided_by_zero),
    "identical": Plant("clips in which nothing moves: every frame is the first", clips=_frozen),
    "learning-rate": Plant("a learning rate 100 times too high", rate=100.0),
    "outside": Plant("keypoints in pixels instead of [-1, 1]", model=_in_pixels),
    "collapsed": Plant("a softmax with temperature 1000: every heatmap is flat", config=_hot),
    "resting": Plant("the detector sees the source twice and never the driving frame", model=_source_twice),
    "background": Plant("a start value of 20 for the background's mask", config=_all_background),
    "d-won": Plant("every eighth column of a generated frame is white, by which D knows it", model=_striped),
    FEW_CLIPS: Plant("one clip fewer than a batch has pairs", clips=_too_few),
}


def plant(name: str) -> Plant:
    """A fault by its name.

    Raises:
        UserError: no such fault; the nearest names are offered.
    """
    if name not in PLANTS:
        raise unknown_name("fault", name, PLANTS)
    return PLANTS[name]
