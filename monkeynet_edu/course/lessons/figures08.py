"""Figures of lesson 08: rows of film frames, the fit of poses, domain scores; and a stand-in for the learner's photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from monkeynet_edu import viz
from monkeynet_edu.data.video import Frames, fit, read_image, to_frames, to_tensor
from monkeynet_edu.viz import Picture

_SCORE, _TRUTH = "#0072b2", "#d55e00"


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def figure_films(rows: Mapping[str, Tensor], frames: Sequence[int], alt: str) -> Picture:
    """Some frames of several films, one film a row.

    Args:
        rows: name to film (T, 3, H, W) in [0, 1]; a single picture (3, H, W) is repeated.
        frames: which frames.
        alt: alt text: what the rows show.
    """
    cells = []
    for film in rows.values():
        shown = film[None].expand(max(frames) + 1, -1, -1, -1) if film.ndim == 3 else film
        cells.append([_few_colours(viz.to_uint8(frame)) for frame in shown[list(frames)]])
    figure = _figure(1.0 * len(frames) + 1.0, 1.02 * len(rows) + 0.3)
    axes = figure.subplots(len(rows), len(frames), squeeze=False)
    for axis, number in zip(axes[0], frames, strict=True):
        axis.set_title(f"frame {number}", fontsize=8)
    for row, name, line in zip(cells, rows, axes, strict=True):
        for picture, axis in zip(row, line, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center", wrap=True)
    return Picture(figure, alt)


def _few_colours(pixels: Frames) -> Frames:
    """The same picture (H, W, 3) in 28 colours: a notebook of many pictures stays small."""
    chosen = Image.fromarray(pixels).quantize(28, kmeans=2, dither=Image.Dither.NONE)
    return np.asarray(chosen.convert("RGB"))


def figure_fit(scores: Tensor, pixels: Tensor, chosen: int) -> Picture:
    """The fit score of every driving frame (T,), above the true distance of joints (T,) in pixels."""
    figure = _figure(6.2, 3.0)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axis, values, colour, name in (
        (upper, scores, _SCORE, "fit score"),
        (lower, pixels, _TRUTH, "true joints\n(pixels apart)"),
    ):
        axis.plot(values.tolist(), color=colour, marker=".", markersize=4)
        axis.axvline(chosen, color="0.4", linestyle="--", linewidth=1)
        axis.set_ylabel(name, fontsize=8)
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=7)
    upper.set_title(f"dashed: the frame that fits best, {chosen}", fontsize=9)
    lower.set_xlabel("frame of the film", fontsize=8)
    nearest = int(pixels.argmin())
    return Picture(
        figure,
        f"Two curves over the frames of the film that rise and fall together. The fit score is {float(scores[0]):.2f} at "
        f"frame 0 and lowest, {float(scores[chosen]):.2f}, at frame {chosen}; the true distance of the joints is "
        f"{float(pixels[0]):.1f} pixels at frame 0 and lowest, {float(pixels[nearest]):.1f}, at frame {nearest}.",
    )


def figure_domain(scores: Mapping[str, Tensor]) -> Picture:
    """Domain scores of several kinds of pictures, one dot a picture, with the limit at 1."""
    figure = _figure(6.2, 0.5 * len(scores) + 0.9)
    axis = figure.add_subplot()
    for row, values in enumerate(scores.values()):
        axis.plot(values.tolist(), [row] * len(values), "o", markersize=5, alpha=0.5, color=_SCORE)
    axis.axvline(1, color=_TRUTH, linestyle="--", linewidth=1.2)
    axis.set_xlim(left=0)
    axis.set_yticks(range(len(scores)), list(scores), fontsize=8)
    axis.set_ylim(len(scores) - 0.5, -0.5)
    axis.set_xlabel("domain score (dashed: the limit, 1)", fontsize=8)
    axis.tick_params(axis="x", labelsize=7)
    said = [f"{name}: {float(values.min()):.2f} to {float(values.max()):.2f}" for name, values in scores.items()]
    return Picture(figure, f"Domain scores, one dot a picture, limit 1. {'; '.join(said)}.")


def stand_in(size: int = 64) -> Frames:
    """A shaded head before a window, drawn by a few formulas: what a photo has and a sprite has not."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    noise = np.random.default_rng(8).normal(0, 0.025, (size, size, 1))
    light = 0.75 - 0.35 * x + 0.1 * np.sin(5 * y)
    picture = light[..., None] * np.array([0.55, 0.65, 0.75])
    shoulders = np.hypot(x / 0.85, (y - 1.15) / 0.6) < 1
    picture[shoulders] = (0.45 + 0.25 * (0.4 - x[shoulders]))[:, None] * np.array([0.5, 0.4, 0.45])
    head = np.hypot(x / 0.42, (y + 0.1) / 0.58)
    shade = (0.95 - 0.45 * np.clip(x + 0.15, 0, 1) - 0.2 * head)[..., None] * np.array([0.95, 0.72, 0.6])
    picture = np.where((head < 1)[..., None], shade, picture)
    hair = (head < 1.12) & (y < -0.32 + 0.3 * x**2)
    picture[hair] = (0.16 + 0.1 * (0.5 - x[hair]))[:, None] * np.array([1.0, 0.8, 0.65])
    for side in (-0.17, 0.17):
        picture[np.hypot((x - side) / 0.07, (y + 0.12) / 0.045) < 1] = 0.12
    picture[np.hypot(x / 0.13, (y - 0.22) / 0.035) < 1] = (0.55, 0.25, 0.25)
    pixels: Frames = (255 * (picture + noise).clip(0, 1)).astype(np.uint8)
    return pixels


def photo(path: str, size: int = 64) -> Tensor:
    """The picture of a file, cut to a square (3, size, size); the stand-in where no path is given."""
    pixels = fit(read_image(path), size) if path else stand_in(size)
    return to_tensor(pixels[None].copy())[0]


def beside(*films: Tensor) -> Frames:
    """Films (T, 3, H, W) side by side as pixels (T, H, n·W, 3)."""
    return to_frames(torch.cat(films, dim=3))
