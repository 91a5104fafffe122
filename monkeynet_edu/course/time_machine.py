"""The time machine: a nano model's training, stored as pictures at 55 steps, figures, and three checkpoints to branch from.

Made by ``benchmarks/time_machine.py``; see ``data_small/time_machine/README.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from monkeynet_edu import files, paths, training, viz
from monkeynet_edu.data.video import read_whole
from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.viz import Picture, Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 64
COLUMNS = ("source", "driving", "deformed", "generated")
# Which figure is compared with repeating the source, how it is called, and how its line is drawn.
SHARES = (
    ("l1", "all pixels", ":"),
    ("l1_moving", "moving pixels", "-"),
    ("flow_epe", "flow", "--"),
)


@dataclass(frozen=True)
class TimeMachine:
    """What is stored of a training.

    Attributes:
        steps: at which the pictures were drawn.
        pairs: (N, 2, 64, 64, 3) source and driving frames, of test clips.
        drawn: (steps, N, 2, 64, 64, 3) deformed source and generated frame of each pair.
        keypoints: (steps, 2, N, K, 2) of source and driving frames.
        figures: errors on one pair of each of the 20 test clips, by name, one for each step.
        repeat_source: the same errors of a model that answers with the source.
        losses: weighted terms by name, mean between two steps.
        checkpoints: step of each stored checkpoint.
        folder: where it lies.
    """

    steps: tuple[int, ...]
    pairs: Pixels
    drawn: Pixels
    keypoints: Tensor
    figures: Mapping[str, Sequence[float]]
    repeat_source: Mapping[str, float]
    losses: Mapping[str, Sequence[float]]
    checkpoints: Mapping[str, int]
    folder: Path

    def share(self, name: str) -> list[float]:
        """An error as a share of that of repeating the source, at each step."""
        return [value / self.repeat_source[name] for value in self.figures[name]]

    def nearest(self, step: int) -> int:
        """Index of the stored step nearest to one."""
        return int(np.abs(np.array(self.steps) - step).argmin())

    def model(self, checkpoint: str) -> MonkeyNet:
        """The model of a checkpoint, in evaluation mode: weights and running statistics, without Adam's memory.

        Raises:
            UserError: no such checkpoint.
        """
        if checkpoint not in self.checkpoints:
            raise unknown_name("checkpoint", checkpoint, self.checkpoints)
        return MonkeyNet.load(self.folder / f"{checkpoint}.safetensors")

    def frames(self) -> tuple[Tensor, Tensor]:
        """Source and driving frames of the pairs, each (N, 3, 64, 64) in [0, 1]."""
        images = torch.from_numpy(self.pairs).permute(1, 0, 4, 2, 3).float() / 255
        return images[0], images[1]

    def sheet(self, index: int, scale: int = 2) -> Pixels:
        """One row a pair: source and driving frames with keypoints, deformed source, generated frame."""
        rows = []
        for n, pair in enumerate(self.pairs):
            points = [viz.draw_keypoints(frame, self.keypoints[index, i, n], scale=scale) for i, frame in enumerate(pair)]
            rows.append([*points, *(large(picture, scale) for picture in self.drawn[index, n])])
        return viz.grid(rows, column_labels=COLUMNS)

    def picture(self, index: int) -> Picture:
        """The pairs at a stored step, beside the errors over all steps."""
        figure = Figure(figsize=(8.4, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[3, 2])
        left.imshow(self.sheet(index))
        left.set_axis_off()
        left.set_title(f"step {self.steps[index]}", fontsize=10)
        self._draw_shares(right, index)
        said = ", ".join(f"{words} {self.share(name)[index]:.2f}" for name, words, _ in SHARES)
        return Picture(
            figure,
            f"Step {self.steps[index]} of {self.steps[-1]}: three pairs of source and driving frame with keypoints, the "
            f"deformed source and the generated frame. Errors as shares of those of repeating the source: {said}.",
        )

    def curves(self) -> Picture:
        """The errors over all steps."""
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        self._draw_shares(figure.subplots(), len(self.steps) - 1)
        ends = ", ".join(
            f"{words} from {self.share(name)[0]:.2f} to {self.share(name)[-1]:.2f}" for name, words, _ in SHARES
        )
        return Picture(figure, f"Errors over {self.steps[-1]} steps, as shares of those of repeating the source: {ends}.")

    def _draw_shares(self, axis: Axes, index: int) -> None:
        for name, words, line in SHARES:
            axis.plot(np.array(self.steps) + 1, self.share(name), line, color="black", label=words)
        axis.axhline(1, color="0.6", linewidth=0.8)
        axis.axvline(self.steps[index] + 1, color="tab:blue", linewidth=1.5)
        axis.set(xscale="log", xlabel="step + 1", ylim=(0, 2.3), ylabel="error / error of repeating the source")
        axis.legend(fontsize=7, loc="lower left")


def large(picture: Pixels, scale: int = 2) -> Pixels:
    """A picture with each pixel drawn as a square."""
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def folder() -> Path:
    """Where the time machine lies.

    Raises:
        UserError: it is not there.
    """
    found = paths.data_small() / "time_machine"
    if not (found / "history.json").is_file():
        raise UserError(
            f"{found}: expected the stored training of lesson 07, got nothing; clone the repository, or make it: "
            "python benchmarks/time_machine.py"
        )
    return found


@cache
def load() -> TimeMachine:
    """Reads the stored training.

    Raises:
        UserError: it is not there, or damaged.
    """
    place = folder()
    for name in ("history.json", "pictures.webp"):
        files.check_digests(place / name)
    story = files.read_json(place / "history.json", "the story of a training")
    sheet = read_whole(place / "pictures.webp")
    try:
        return _told(story, sheet, place)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{place}: expected the stored training of lesson 07, got damaged files ({str(error)[:80]}); clone the "
            "repository again, or make it: python benchmarks/time_machine.py"
        ) from error


def _told(story: dict[str, Any], pixels: Pixels, place: Path) -> TimeMachine:
    """Puts story and sheet together; their sizes have to agree."""
    count = len(story["steps"])
    rows = pixels.reshape(count + 1, SIDE, -1, 2, SIDE, 3).transpose(0, 2, 3, 1, 4, 5)
    lengths = {len(story["keypoints"]), *map(len, story["figures"].values())}
    if lengths != {count} or not all(isinstance(step, int) for step in story["steps"]):
        raise ValueError(f"{count} steps, and {sorted(lengths)} figures")
    return TimeMachine(
        steps=tuple(story["steps"]),
        pairs=np.ascontiguousarray(rows[0]),
        drawn=np.ascontiguousarray(rows[1:]),
        keypoints=torch.tensor(story["keypoints"]),
        figures=story["figures"],
        repeat_source=story["repeat_source"],
        losses=story["losses"],
        checkpoints=story["checkpoints"],
        folder=place,
    )


def draw(model: MonkeyNet, source: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
    """What a model makes of pairs (N, 3, H, W), in evaluation mode: generated frames, and keypoints (2, N, K, 2)."""
    was_training, place = model.training, next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        first, second = training.detect_pair(model, source.to(place), driving.to(place))
        made = model(source.to(place), first, second).prediction
    model.train(was_training)
    return made.cpu(), torch.stack([first.mean, second.mean]).cpu()


def compare(source: Tensor, driving: Tensor, columns: Mapping[str, Tensor], alt: str, scale: int = 2) -> Picture:
    """Source and driving frames beside what several models made of them.

    Args:
        source: (N, 3, H, W).
        driving: (N, 3, H, W).
        columns: title → generated frames (N, 3, H, W).
        alt: what it shows.
        scale: how many times larger.
    """
    shown = {"source": source, "driving": driving, **columns}
    rows = [[large(viz.to_uint8(frames[n]), scale) for frames in shown.values()] for n in range(len(source))]
    figure = viz.figure_images([viz.grid(rows, column_labels=list(shown))], [""], alt)
    figure.figure.set_size_inches(1.1 * len(shown), 1.1 * len(rows) + 0.4)
    return figure
