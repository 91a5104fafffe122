"""Pictures of lesson 09: curves that are continued, bumps and what is none, trails of keypoints, films and their motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from monkeynet_edu import geometry, viz
from monkeynet_edu.data.video import to_frames
from monkeynet_edu.viz import Picture

_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "0.45", "linewidth": 3.0, "alpha": 0.6},
    {"color": "#d55e00", "linestyle": "--", "marker": "o", "markersize": 3, "markevery": 2},
    {"color": "#0072b2", "linestyle": ":", "marker": "s", "markersize": 3, "markevery": 2},
    {"color": "#009e73", "linestyle": "-.", "marker": "^", "markersize": 3, "markevery": 2},
)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def figure_curves(panels: Mapping[str, Mapping[str, tuple[int, Tensor]]], alt: str) -> Picture:
    """Curves over time, one panel a title.

    Args:
        panels: title to curves; each curve has a name, the step at which it begins, and its values (T,).
        alt: what is seen.
    """
    figure = _figure(4.2 * len(panels), 2.5)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for look, (name, (begin, values)) in zip(_LOOKS, curves.items(), strict=False):
            axis.plot(range(begin, begin + len(values)), values.tolist(), label=name, **look)
        axis.set_title(title, fontsize=9)
        axis.set(ylim=(-1.1, 1.6))  # room for the legend
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7, loc="upper center", ncols=len(curves))
    return Picture(figure, alt)


def figure_bumps(rows: Mapping[str, Tensor], size: int = 32) -> Picture:
    """What a heatmap exp(-½dᵀΣ⁻¹d) around the middle looks like, for each of some matrices, and whether Σ is a covariance.

    Args:
        rows: name to matrices (N, 2, 2), symmetric or not; each is drawn as it is.
        size: pixels a side.
    """
    count = len(next(iter(rows.values())))
    figure = _figure(1.15 * count + 1.0, 1.35 * len(rows))
    grid = geometry.lattice(size, size, dtype=torch.float64)
    said = []
    for line, (name, matrices) in zip(figure.subplots(len(rows), count, squeeze=False), rows.items(), strict=True):
        words = [_verdict(matrix) for matrix in matrices]
        for axis, matrix, word in zip(line, matrices.double(), words, strict=True):
            inverse = torch.linalg.inv(matrix)
            height = torch.exp(-0.5 * torch.einsum("hwi,ij,hwj->hw", grid, inverse, grid)).clamp(max=2)
            axis.imshow(height.numpy(), cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.set_title(word, fontsize=7)
        line[0].set_ylabel(name, fontsize=9, rotation=0, ha="right", va="center")
        said.append(f"{name}: {', '.join(f'{words.count(word)} × {word}' for word in dict.fromkeys(words))}")
    return Picture(figure, f"Heatmaps of {count} random matrices for each recipe. {'; '.join(said)}.")


def _verdict(matrix: Tensor) -> str:
    """What is wrong with a matrix (2, 2) as a covariance, in two words, or that it makes a bump."""
    if is_covariance(matrix):
        return "a bump"
    grows = float(torch.linalg.eigvalsh((matrix + matrix.mT).double()).min()) < 0
    return "grows outwards" if grows else "not symmetric"


def is_covariance(matrix: Tensor) -> bool:
    """Whether a matrix (2, 2) is symmetric without a negative eigenvalue, up to rounding."""
    m = matrix.double()
    scale = 1e-6 * max(1.0, float(m.abs().max()))
    return bool((m - m.mT).abs().max() <= scale) and float(torch.linalg.eigvalsh(m).min()) >= -scale


def figure_trails(picture: Tensor, panels: Mapping[str, Tensor], alt: str) -> Picture:
    """Trails of keypoints over a faded picture: a dot where each begins, a line where it goes.

    Args:
        picture: (3, H, W).
        panels: title to means (T, K, 2).
        alt: what is seen.
    """
    figure = _figure(1.75 * len(panels), 2.0)
    side = picture.shape[-1]
    faded = 0.55 + 0.45 * viz.to_uint8(picture).mean(axis=2, keepdims=True) / 255
    for axis, (title, means) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        axis.imshow(np.repeat(faded, 3, axis=2), vmin=0, vmax=1)
        pixels = ((means + 1) / 2 * (side - 1)).double().cpu().numpy()
        colours = viz.keypoint_colors(pixels.shape[1]) / 255
        for k, colour in enumerate(colours):
            axis.plot(pixels[:, k, 0], pixels[:, k, 1], color="black", linewidth=2.2)
            axis.plot(pixels[:, k, 0], pixels[:, k, 1], color=colour, linewidth=1.2)
            axis.plot(*pixels[0, k], "o", color=colour, markeredgecolor="black", markersize=4)
        axis.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5), xticks=[], yticks=[])
        axis.set_title(title, fontsize=8)
    return Picture(figure, alt)


def figure_motion(rows: Mapping[str, tuple[Tensor, float]], frames: Sequence[int], alt: str) -> Picture:
    """Frames of films, one film a row, and beside each a bar: how far its keypoints go.

    Args:
        rows: name to film (T, 3, H, W) and motion amplitude in pixels.
        frames: which frames.
        alt: what is seen.
    """
    count = len(frames)
    figure = _figure(0.95 * count + 3.0, 1.0 * len(rows) + 0.4)
    axes = figure.subplots(len(rows), count + 1, squeeze=False, width_ratios=[*[1.0] * count, 1.7])
    widest = 1.3 * max(amplitude for _, amplitude in rows.values())
    for axis, number in zip(axes[0], frames, strict=False):
        axis.set_title(f"frame {number}", fontsize=8)
    axes[0][-1].set_title("motion (pixels)", fontsize=8)
    for line, (name, (film, amplitude)) in zip(axes, rows.items(), strict=True):
        for axis, number in zip(line, frames, strict=False):
            axis.imshow(_few_colours(viz.to_uint8(film[number])), interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
        bar = line[-1].barh([0], [amplitude], color="#56b4e9", edgecolor="black", height=0.4)
        line[-1].bar_label(bar, fmt=" %.1f", fontsize=9)
        line[-1].set(xlim=(0, widest), ylim=(-0.6, 0.6), yticks=[])
        line[-1].set_xticks([])
        line[-1].spines[["top", "right", "bottom"]].set_visible(False)
    return Picture(figure, alt)


def small_film(*films: Tensor, colours: int = 40) -> Any:
    """Films (T, 3, H, W) side by side as pixels (T, H, n·W, 3), in few colours: a small file."""
    pixels = to_frames(torch.cat([film.cpu() for film in films], dim=3))
    palette = Image.fromarray(np.concatenate(pixels[:: max(1, len(pixels) // 4)])).quantize(colours, kmeans=2)
    none = Image.Dither.NONE
    return np.stack([np.asarray(Image.fromarray(p).quantize(palette=palette, dither=none).convert("RGB")) for p in pixels])


def _few_colours(pixels: Any) -> Any:
    """The same picture (H, W, 3) in 28 colours: a notebook of many pictures stays small."""
    return np.asarray(Image.fromarray(pixels).quantize(28, kmeans=2, dither=Image.Dither.NONE).convert("RGB"))


def masked_rows(mask: Tensor) -> str:
    """A mask (B, T) as text: a full box where there is a frame, a dot where there is none."""
    return "\n".join("".join("█" if there else "·" for there in row) for row in mask.tolist())
