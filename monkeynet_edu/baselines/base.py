"""What all rivals share: what one is, its files, its batches, and its place in the loop that trains Monkey-Net.

A rival is a network with a configuration, its optimizers and one step (:class:`Rival`). Everything around a step is
``training``'s: checkpoints, resuming, Ctrl-C, metrics, preview and monitor.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from monkeynet_edu import monitor as watching
from monkeynet_edu import viz
from monkeynet_edu.data.pairs import PairSampler
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import Device, check_side, save_tensors
from monkeynet_edu.training import AnyRun, OptimizerSet, Recipe

FORMAT = "monkeynet_edu rival"


@dataclass(frozen=True)
class RivalConfig:
    """What every rival's configuration holds.

    Attributes:
        frame_size: side of the frames in pixels.
    """

    stride: ClassVar[int] = 16
    """What the networks halve: a frame's side is a multiple of it."""

    frame_size: int = 64

    def __post_init__(self) -> None:
        """Checks the values: whole numbers are sizes and counts, and at least 1."""
        self.check_frame_size(self.frame_size)
        for field in fields(self):
            value, least = getattr(self, field.name), 2 if field.name == "frames" else 1
            if type(value) is int and value < least:
                raise UserError(f"{field.name}: expected at least {least}, got {value}; leave it at the default")

    def check_frame_size(self, size: int) -> None:
        """Refuses a frame side that the networks cannot halve often enough.

        Raises:
            UserError: naming the nearest that they can.
        """
        check_side(size, self.stride)

    def to_json(self) -> str:
        """JSON text, for the header of a file."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Practice:
    """What a step may know of the training around it.

    Attributes:
        progress: share of the training that is done, in [0, 1].
        noise: of everything drawn at random in the step, seeded from (seed, step), on the processor.
    """

    progress: float
    noise: torch.Generator

    @staticmethod
    def at(seed: int, step: int, progress: float) -> Practice:
        """That of one step: a resumed training draws what the uninterrupted one would have drawn."""
        drawn = np.random.SeedSequence([seed, 2, step]).generate_state(1, np.uint64)[0]
        return Practice(progress, torch.Generator().manual_seed(int(drawn >> np.uint64(1))))


@dataclass(frozen=True)
class RivalStep:
    """What one step computed.

    Attributes:
        losses: weighted terms by name, detached; ``frame`` is the reconstruction, ``adversarial`` and ``discriminator``
            are those of a game (least squares, as Monkey-Net's).
        pictures: label to (N, 3, H, W) in [0, 1]: columns of the preview.
        generated: (…) what was drawn, in [0, 1].
    """

    losses: dict[str, Tensor]
    pictures: dict[str, Tensor]
    generated: Tensor


class Rival(nn.Module, ABC):
    """A network that Monkey-Net is compared with.

    Attributes:
        title: as in the paper's tables.
        draws: what a batch is: ``pairs`` of frames (B, 3, H, W), or one ``windows`` (B, T, 3, H, W) of
            ``config.frames`` frames.
        config: its configuration.
    """

    title: ClassVar[str]
    draws: ClassVar[Literal["pairs", "windows"]]
    config: Any

    @abstractmethod
    def optimizers(self, rate: float) -> dict[str, torch.optim.Optimizer]:
        """Names and Adams, the generating side first."""

    @abstractmethod
    def gradients(self, batch: tuple[Tensor, ...], state: Practice, device: Device) -> RivalStep:
        """Fills the gradients of all parameters for one batch; nothing is stepped."""

    def animate(self, source: Tensor, driving: Tensor, device: Device) -> Tensor:
        """Draws a source image (3, H, W) in the poses of driving frames (T, 3, H, W): (T, 3, H, W)."""
        raise NotImplementedError

    def predict(self, first: Tensor, length: int, device: Device, futures: int = 1, seed: int = 0) -> Tensor:
        """Films (futures, length, 3, H, W) that begin with a picture (3, H, W)."""
        raise NotImplementedError

    def check_can(self, task: Literal["animate", "predict"]) -> None:
        """Refuses what this rival does not do.

        Raises:
            UserError: it has no such method.
        """
        wanted = {
            "animate": ("follows a driving clip", "makes films of one picture; use x2face, or the task prediction"),
            "predict": ("makes films of one picture", "needs a driving clip; use mocogan, cmmnet or sv2p"),
        }
        if task not in self.tasks:
            expected, got = wanted[task]
            raise UserError(f"{self.title}: expected a rival that {expected}, got one that {got}")

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Writes one safetensors file with name and configuration in its header; beside its place, then renamed.

        Args:
            path: where to; ends in ``.safetensors``.
            dtype: of the stored weights (float16 halves the file).
        """
        tensors = {n: t.to(dtype) if t.is_floating_point() else t for n, t in self.state_dict().items()}
        header = {"format": FORMAT, "rival": self.name, "config": self.config.to_json()}
        save_tensors(Path(path), tensors, header)

    @property
    def name(self) -> str:
        """Of its module, by which the command line knows it."""
        return type(self).__module__.rsplit(".", 1)[-1]

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it can do: ``animate``, ``predict``."""
        return tuple(task for task in ("animate", "predict") if getattr(type(self), task) is not getattr(Rival, task))


# ------------------------------------------------------------------------------------------------------------- batches


class WindowSampler:
    """Draws batches of consecutive frames; batch n depends on (seed, n) alone.

    Clips come in the order of ``PairSampler``: every clip once an epoch.

    Args:
        clips: whole clips of at least ``frames`` frames (those of fewer are named), all of one size.
        frames: T of a window.
        recipe: batch size, seed and flips.
        device: where the batches are put.

    Raises:
        UserError: fewer clips than a batch.
    """

    def __init__(self, clips: Sequence[Clip], frames: int, recipe: Recipe, device: torch.device) -> None:
        self._order = PairSampler(clips, recipe.batch_size, recipe.augmentation, recipe.seed)
        self.clips, self.frames, self.recipe, self.device = clips, frames, recipe, device

    def batch(self, step: int, reach: float = 1.0) -> tuple[Tensor]:
        """Windows (B, T, 3, H, W), float32 in [0, 1]; ``reach`` does not matter.

        Raises:
            UserError: a clip is shorter than a window.
        """
        rng = np.random.default_rng([self.recipe.seed, 3, step])
        drawn = [self._window(self.clips[index], rng) for index in self._order.clip_indices(step)]
        windows = torch.from_numpy(np.stack(drawn)).to(self.device)
        return (windows.movedim(-1, 2).float().div_(255).contiguous(),)

    def _window(self, clip: Clip, rng: np.random.Generator) -> Any:
        """(T, H, W, 3) uint8, turned round in time or left to right as often as the augmentation says."""
        spare = len(clip.frames) - self.frames
        if spare < 0:
            raise UserError(
                f"clip {clip.name}: expected at least {self.frames} frames, got {len(clip.frames)}; "
                "take the clip out of the training data"
            )
        start = int(rng.integers(spare + 1))
        window = clip.frames[start : start + self.frames]
        flips = self.recipe.augmentation
        if rng.random() < flips.time_flip:
            return window[::-1]
        return window[:, :, ::-1] if rng.random() < flips.horizontal_flip else window


# ------------------------------------------------------------------------------------------------------------ training


class RivalAdams(OptimizerSet):
    """A rival's optimizers."""

    def __init__(self, named: Mapping[str, torch.optim.Optimizer]) -> None:
        self._named = dict(named)

    def items(self) -> list[tuple[str, torch.optim.Optimizer]]:
        """Names and optimizers."""
        return list(self._named.items())


@dataclass
class RivalRun(AnyRun[Rival, RivalAdams, RivalStep]):
    """A training of a rival under way."""

    def sampler(self, clips: Sequence[Clip], device: torch.device) -> PairSampler | WindowSampler:
        """Pairs or windows, as the rival draws."""
        how = self.recipe
        if self.model.draws == "pairs":
            return PairSampler(clips, how.batch_size, how.augmentation, how.seed, device)
        return WindowSampler(clips, self.model.config.frames, how, device)

    def take(self, batch: tuple[Tensor, ...], progress: float, device: Device) -> RivalStep:
        """Gradients, then a step of every optimizer."""
        result = self.model.gradients(batch, Practice.at(self.recipe.seed, self.step, progress), device)
        self.optimizers.step()
        return result

    def observe(self, monitor: watching.Monitor, batch: tuple[Tensor, ...], result: RivalStep) -> list[watching.Finding]:
        """Shows frames and losses; a rival has no keypoints or masks that could fail."""

        def look(update: Tensor) -> watching.Vitals:
            return vitals(batch, result, update)

        parts = [part for part in self.model.children() if any(True for _ in part.parameters())]
        return monitor.watch(self.step, parts, look)

    def preview(self, batch: tuple[Tensor, ...], result: RivalStep) -> Any:
        """The step's own pictures, a row an example."""
        shown = {label: frames[:4].detach().float().cpu() for label, frames in result.pictures.items()}
        rows = min(len(frames) for frames in shown.values())
        table = [[viz.to_uint8(f[i]).repeat(2, 0).repeat(2, 1) for f in shown.values()] for i in range(rows)]
        return viz.grid(table, column_labels=tuple(shown))

    def stored_config(self, text: str) -> RivalConfig:
        """The configuration in a checkpoint's header."""
        from monkeynet_edu.baselines.registry import config_from  # it builds on this module

        return config_from(self.model.name, text)


def vitals(batch: tuple[Tensor, ...], result: RivalStep, update: Tensor) -> watching.Vitals:
    """The numbers of a step that a monitor can judge whatever the network; the others keep their sound values.

    Args:
        batch: pairs, or windows.
        result: of the step.
        update: (), change of the weights.
    """
    sound = watching.Vitals()
    source, driving = batch if len(batch) == 2 else (batch[0][:, 0], batch[0][:, -1])
    terms = {name: float(value) for name, value in result.losses.items()}
    return watching.Vitals(
        frames=float((source - driving).abs().mean()),
        generated=float(result.generated.detach().float().mean()),
        reconstruction=terms.get("frame", sound.reconstruction),
        adversarial=terms.get("adversarial", sound.adversarial),
        discriminator=terms.get("discriminator", sound.discriminator),
        total=sum(terms.values()),
        update=float(update),
    )
