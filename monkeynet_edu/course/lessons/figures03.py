"""Figures of lesson 03: heatmaps with their moments, the temperature, tracks of keypoints.

State in, figure and alt text out; sliders and stored notebooks show the same pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from monkeynet_edu import geometry, keypoints, viz
from monkeynet_edu.viz import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW = 25  # pixels whose shares can be written into the picture
_MEAN, _PEAK = "#0072b2", "#d55e00"


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _two(value: float) -> str:
    """Two decimals, and no minus before zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def _peak(heatmap: Tensor) -> tuple[float, float]:
    """Point (x, y) of the strongest pixel; the first of several."""
    row, column = divmod(int(heatmap.argmax()), heatmap.shape[-1])
    x, y = geometry.lattice(*heatmap.shape, dtype=torch.float64)[row, column].tolist()
    return x, y


def _draw_moments(axis: Axes, heatmap: Tensor, title: str) -> str:
    """Draws one heatmap (H, W) with mean, strongest pixel and ellipse; returns them in words."""
    height, width = heatmap.shape
    mean = keypoints.heatmap_mean(heatmap[None, None])
    cov = keypoints.heatmap_covariance(heatmap[None, None], mean)[0, 0].double()
    (x, y), (px, py) = mean[0, 0].tolist(), _peak(heatmap)
    half, turn = geometry.ellipse_axes(cov)
    degrees = math.degrees(float(turn))
    few, (left, right, bottom, upper) = heatmap.numel() <= _FEW, _extent(height, width)
    top = (2.5 if few else 1.0) * float(heatmap.max())  # pale where numbers stand on it
    axis.imshow(heatmap.numpy(), cmap="Greys", vmin=0, vmax=top, extent=(left, right, bottom, upper), aspect="auto")
    axis.set_box_aspect(height / width)
    _add_ellipse(axis, (x, y), half.tolist(), degrees)
    square, cross = (13, 11) if few else (8, 8)
    axis.plot(px, py, "s", color=_PEAK, markersize=square, fillstyle="none", markeredgewidth=1.5, label="strongest pixel")
    axis.plot(x, y, "+", color="white", markersize=cross + 2, markeredgewidth=4)
    axis.plot(x, y, "+", color=_MEAN, markersize=cross, markeredgewidth=2, label="mean h")
    if few:
        points = geometry.lattice(height, width).reshape(-1, 2).tolist()
        for share, (gx, gy) in zip(heatmap.flatten().tolist(), points, strict=True):
            axis.text(gx, gy + 0.42, f"{share:.2f}", ha="center", fontsize=8)
    axis.set_title(title, fontsize=9)
    axis.set(xlabel="x", ylabel="y", xticks=(-1, 0, 1), yticks=(-1, 0, 1), xlim=(left, right), ylim=(bottom, upper))
    axis.tick_params(labelsize=7)
    long, short = half.tolist()
    said = (
        f"the mean lies at ({_two(x)}, {_two(y)}), the strongest pixel at ({_two(px)}, {_two(py)}), "
        f"the half axes are {long:.2f} and {short:.2f}"
    )
    return said if long - short < 0.005 else f"{said}, the long one turned by {round(degrees)}° from x towards y"


def _extent(height: int, width: int) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of a picture on whose axes -1 and 1 are the centres of the corner pixels."""
    x, y = 1 + 1 / (width - 1), 1 + 1 / (height - 1)
    return -x, x, y, -y


def _add_ellipse(axis: Axes, centre: tuple[float, float], half: Sequence[float], degrees: float) -> None:
    from matplotlib.patches import Ellipse

    for times, style in ((1, "-"), (2, "--")):
        size = (2 * times * half[0], 2 * times * half[1])
        axis.add_patch(Ellipse(centre, *size, angle=degrees, fill=False, edgecolor=_MEAN, linewidth=1.5, linestyle=style))


def figure_moments(heatmaps: Sequence[Tensor], titles: Sequence[str], finding: str = "") -> Picture:
    """Heatmaps (H, W) side by side, each with its mean, its strongest pixel and the ellipses of one and two half axes.

    Args:
        heatmaps: with a sum of about 1.
        titles: one text a heatmap.
        finding: what the figure shows, for the alt text; the numbers follow it.
    """
    figure = _figure(2.5 * len(heatmaps), 2.9)
    said = []
    for number, (heatmap, title) in enumerate(zip(heatmaps, titles, strict=True), start=1):
        axis = figure.add_subplot(1, len(heatmaps), number)
        said.append(f"{title}: {_draw_moments(axis, heatmap.detach(), title)}")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return Picture(figure, f"{finding} {'; '.join(said)}. Lines: one half axis; dashed: two.".strip())


def figure_temperature(logits: Tensor, temperatures: Sequence[float]) -> Picture:
    """What the temperature does to a map of logits (H, W): its shares, mean and ellipse at each temperature."""
    maps = [keypoints.spatial_softmax(logits[None, None], t)[0, 0] for t in temperatures]
    titles = [f"T = {t:g}, peak {float(p.max()):.2g}" for t, p in zip(temperatures, maps, strict=True)]
    finding = "The higher the temperature, the flatter the map, the wider the ellipse, the nearer to (0, 0) the mean."
    return figure_moments(maps, titles, finding)


def figure_points(
    frame: Tensor,
    points: Sequence[Tensor],
    titles: Sequence[str],
    finding: str,
    covs: Sequence[Tensor | None] = (),
) -> Picture:
    """A frame (3, H, W) several times, each time with other points (K, 2), numbered, and their ellipses where given.

    Points that are not finite are left out; the others keep their numbers.
    """
    figure = _figure(1.9 * len(points), 2.2)
    for number, (mean, cov, title) in enumerate(zip(points, covs or [None] * len(points), titles, strict=True), start=1):
        axis = figure.add_subplot(1, len(points), number)
        axis.imshow(viz.draw_keypoints(frame, mean, cov, scale=3))
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return Picture(figure, f"{finding} Panels: {'; '.join(titles)}.")


def figure_tracks(frame: Tensor, tracks: Sequence[Tensor], titles: Sequence[str], finding: str) -> Picture:
    """Paths over time: one panel for each of ``tracks`` (T, K, 2), numbered where they begin, on a pale frame (3, H, W)."""
    height, width = frame.shape[-2:]
    figure = _figure(3.0 * len(tracks), 3.2)
    for number, (paths, title) in enumerate(zip(tracks, titles, strict=True), start=1):
        axis = figure.add_subplot(1, len(tracks), number)
        axis.imshow(0.4 * frame.permute(1, 2, 0).numpy() + 0.6, extent=_extent(height, width))
        for k, color in enumerate(viz.keypoint_colors(paths.shape[1]) / 255):
            axis.plot(paths[:, k, 0], paths[:, k, 1], color="black", linewidth=2.6)
            axis.plot(paths[:, k, 0], paths[:, k, 1], color=color, linewidth=1.6)
            axis.text(*paths[0, k].tolist(), str(k), fontsize=8, fontweight="bold")
        axis.set_title(title, fontsize=9)
        axis.set(xlim=(-1.05, 1.05), ylim=(1.05, -1.05))
        axis.set_axis_off()
    return Picture(figure, finding)
