"""Figures of lesson 10: distances in all directions, clouds of features, FID by the number of frames, coarse features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from monkeynet_edu.course.microscope import few_colours
from monkeynet_edu.data.video import Frames
from monkeynet_edu.metrics import frechet
from monkeynet_edu.metrics.distances import Counted
from monkeynet_edu.viz import Picture

_FIRST, _SECOND = "#0072b2", "#d55e00"


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


class CoarseColours:
    """Another feature network, and a simple one: the mean colours of 4 by 4 patches, 48 numbers a frame."""

    name = "coarse colours"
    dimension = 48

    def __call__(self, frames: Tensor) -> Tensor:
        """(T, 3, H, W) in [0, 1] → (T, 48)."""
        return F.adaptive_avg_pool2d(frames, 4).flatten(1)


def fid(real: Tensor, made: Tensor) -> float:
    """Fréchet distance of Gaussians fitted to features (N, D) and (M, D)."""
    return max(0.0, float(frechet.frechet_distance(*frechet.gaussian(real.double()), *frechet.gaussian(made.double()))))


def fid_by_count(real: Tensor, made: Tensor, counts: Sequence[int], draws: int = 8) -> dict[int, float]:
    """FID of two handfuls of frames, by their size: no frame number is in both; the mean over draws.

    Args:
        real: features (N, D).
        made: features (N, D) of the same frames of another film, or the same ones.
        counts: sizes, at most N/2.
        draws: how often to draw.
    """
    random = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(real), generator=random) for _ in range(draws)]
    return {n: float(np.mean([fid(real[order[:n]], made[order[-n:]]) for order in orders])) for n in counts}


def _number(figure: Counted) -> str:
    return "–" if figure.value is None else f"{figure.value:.3f}"


def table(rows: Mapping[str, Mapping[str, Counted]], names: Sequence[str]) -> str:
    """Figures as text: one film a line, one metric a column."""
    wide = max(map(len, rows))
    lines = [" " * wide + "".join(f"{name:>11}" for name in names)]
    for film, told in rows.items():
        lines.append(f"{film:<{wide}}" + "".join(f"{_number(told[name]):>11}" for name in names))
    return "\n".join(lines)


def listed(rows: Mapping[str, Mapping[str, Counted]], names: Sequence[str]) -> str:
    """The same as a markdown list."""
    return "\n".join(
        f"- {film}: " + ", ".join(f"{name} {_number(told[name])}" for name in names) for film, told in rows.items()
    )


def figure_frames(films: Mapping[str, Frames], frames: Sequence[int], alt: str) -> Picture:
    """Some frames of several films (T, H, W, 3), one film a row."""
    figure = _figure(0.82 * len(frames) + 0.9, 0.86 * len(films) + 0.2)
    axes = figure.subplots(len(films), len(frames), squeeze=False)
    for line, (name, film) in zip(axes, films.items(), strict=True):
        for axis, number in zip(line, frames, strict=True):
            axis.imshow(few_colours(film[number]), interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    for axis, number in zip(axes[0], frames, strict=True):
        axis.set_title(f"frame {number}", fontsize=8)
    return Picture(figure, alt)


def figure_directions(angles: Tensor, euclidean: Tensor, published: Tensor) -> Picture:
    """Both distances of an error of one pixel, by its direction (radians)."""
    figure = _figure(5.4, 2.3)
    axis = figure.add_subplot()
    degrees = torch.rad2deg(angles)
    axis.plot(degrees, euclidean, color=_FIRST, linewidth=2, label="Euclidean")
    axis.plot(degrees, published, color=_SECOND, linewidth=2, linestyle="--", label="published: (|Δx| + |Δy|)/2")
    axis.axhline(2 / math.pi, color="0.5", linewidth=1, linestyle=":")
    axis.set(ylim=(0, 1.1), xticks=[0, 90, 180, 270, 360])
    axis.set_xlabel("direction of an error of 1 pixel (degrees)", fontsize=8)
    axis.set_ylabel("distance (pixels)", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=7, loc="lower right")
    return Picture(
        figure,
        "An error of one pixel in every direction. Euclidean: always 1. Published: between "
        f"{float(published.min()):.2f} along an axis and {float(published.max()):.2f} along a diagonal, on average "
        f"{float(published.mean()):.2f} (dotted).",
    )


def figure_clouds(clouds: Mapping[str, tuple[Tensor, Tensor]], alt: str) -> Picture:
    """Pairs of clouds of points (N, 2), dots against crosses, one pair a panel; the title is the key."""
    figure = _figure(2.5 * len(clouds), 2.4)
    axes = figure.subplots(1, len(clouds), squeeze=False)[0]
    for axis, (title, (first, second)) in zip(axes, clouds.items(), strict=True):
        axis.scatter(first[:, 0], first[:, 1], s=7, color=_FIRST, marker="o")
        axis.scatter(second[:, 0], second[:, 1], s=12, color=_SECOND, marker="x", linewidths=0.8)
        axis.set_title(title, fontsize=8)
        axis.set(xlim=(-10, 10), ylim=(-10, 10), aspect="equal", xticks=[], yticks=[])
    return Picture(figure, alt)


def figure_counts(curves: Mapping[str, Mapping[int, float]]) -> Picture:
    """FID against the number of frames, one line a film."""
    figure = _figure(5.0, 2.4)
    axis = figure.add_subplot()
    for (name, curve), (colour, style) in zip(curves.items(), ((_FIRST, "o-"), (_SECOND, "x--")), strict=False):
        axis.plot(list(curve), list(curve.values()), style, color=colour, label=name)
    axis.set_xlabel("frames in each handful", fontsize=8)
    axis.set_ylabel("mini-FID", fontsize=8)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=7)
    said = [f"{name}: " + ", ".join(f"{v:.3g} with {n}" for n, v in curve.items()) for name, curve in curves.items()]
    return Picture(figure, f"FID against the number of frames. {'; '.join(said)}.")
