"""Pictures of lesson 06: the game of points, and the ways of a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from monkeynet_edu.course.reference.gan import pull_on
from monkeynet_edu.course.reference.routes import Routes
from monkeynet_edu.viz import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REACH = 1.6  # of the plane shown


@torch.no_grad()
def score_map(discriminator: nn.Module, side: int = 48) -> Tensor:
    """D's scores over the plane from -1.6 to 1.6: (side, side), rows from below."""
    axis = torch.linspace(-REACH, REACH, side)
    plane = torch.stack([axis.expand(side, side), axis[:, None].expand(side, side)], dim=-1)
    scores: Tensor = discriminator(plane.reshape(-1, 2)).reshape(side, side)
    return scores


def figure_game(
    real: Tensor, moments: Sequence[tuple[str, Tensor, Tensor]], alt: str, discriminator: nn.Module | None = None
) -> Picture:
    """The game at some moments: D's scores as shades of grey, real points as dots, generated ones as crosses.

    Args:
        real: (N, 2).
        moments: title, generated points (N, 2) and score map of each panel.
        alt: what is seen.
        discriminator: where given, arrows show how it pulls on the generated points of the last panel.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.5 * len(moments), 2.9), layout="constrained")
    axes = figure.subplots(1, len(moments), squeeze=False)[0]
    for axis, (title, fake, scores) in zip(axes, moments, strict=True):
        shown = axis.imshow(
            scores.numpy(), origin="lower", extent=(-REACH, REACH, -REACH, REACH), cmap="gray", vmin=-0.2, vmax=1.2
        )
        axis.plot(*real[:150].T.numpy(), "o", color="#0072b2", markersize=2.5)
        axis.plot(*fake[:150].detach().T.numpy(), "x", color="#d55e00", markersize=4)
        axis.set_title(title, fontsize=9)
        axis.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xticks=[], yticks=[])
    if discriminator is not None:
        points = moments[-1][1][:40].detach()
        pulls = pull_on(points, discriminator)
        look: dict[str, Any] = {"color": "#d55e00", "angles": "xy", "scale_units": "xy", "scale": 3}
        axes[-1].quiver(*points.T.numpy(), *pulls.T.numpy(), **look)
    figure.colorbar(shown, ax=list(axes), shrink=0.7, label="D's score")
    return Picture(figure, alt)


def figure_routes(routes: Routes) -> Picture:
    """The three routes on which a gradient reaches Δ: arrows as thick as the gradient is long, each with its norm."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.9), layout="constrained")
    axis = figure.add_subplot()
    axis.set(xlim=(0, 12), ylim=(0, 6))
    axis.set_axis_off()
    for x, y, label in (
        (1.0, 3.0, "Δ"),
        (4.2, 3.0, "M, G"),
        (6.4, 3.0, "frame x̂"),
        (8.7, 4.2, "D on x̂"),
        (8.7, 1.6, "D on x′"),
        (11.2, 3.0, "loss of\nG and Δ"),
    ):
        axis.text(x, y, label, ha="center", va="center", fontsize=10, bbox={"boxstyle": "round,pad=0.45", "fc": "white"})
    longest = max(routes.motion, routes.fake, routes.real)
    for start, end, width, bend in (
        ((10.5, 3.3), (9.7, 4.1), 0.0, 0.0),
        ((10.5, 2.7), (9.7, 1.7), 0.0, 0.0),
        ((7.75, 4.0), (6.6, 3.45), 0.0, 0.0),
        ((5.6, 3.0), (4.95, 3.0), 0.0, 0.0),
        ((3.5, 3.0), (1.5, 3.0), routes.motion / longest, 0.0),
        ((7.9, 4.6), (1.1, 3.5), routes.fake / longest, 0.28),
        ((7.9, 1.2), (1.1, 2.5), routes.real / longest, -0.28),
    ):
        _arrow(axis, start, end, 1.0 + 5.0 * width, bend)
    axis.text(2.6, 3.35, f"by M and G: {routes.motion:.2f}", ha="center", fontsize=10)
    axis.text(4.3, 5.35, f"heatmaps beside the generated frame: {routes.fake:.2f}", ha="center", fontsize=10)
    axis.text(4.3, 0.1, f"heatmaps beside the real frame: {routes.real:.2f}", ha="center", fontsize=10)
    alt = (
        "Ways of the gradient from the loss of G and Δ back to the weights of the detector Δ, by norm: "
        f"through the generated frame and M and G {routes.motion:.2f}; through the heatmaps that D is shown beside the "
        f"generated frame {routes.fake:.2f}; through those beside the real frame {routes.real:.2f}; all added up as "
        f"vectors {routes.together:.2f}."
    )
    return Picture(figure, alt)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], width: float, bend: float) -> None:
    from matplotlib.patches import FancyArrowPatch

    colour = "#0072b2" if width > 1 else "#777777"
    style = f"arc3,rad={bend}"
    look: dict[str, Any] = {"mutation_scale": 10 + 2 * width, "color": colour, "linewidth": width, "shrinkA": 0}
    axis.add_patch(FancyArrowPatch(start, end, connectionstyle=style, arrowstyle="-|>", **look))


def figure_terms(terms: dict[str, Tensor]) -> Picture:
    """Loss terms as bars, each with its value."""
    from matplotlib.figure import Figure

    values = np.array([float(term) for term in terms.values()])
    figure = Figure(figsize=(5.2, 0.36 * len(values) + 0.7), layout="constrained")
    axis = figure.add_subplot()
    bars = axis.barh(list(terms), values, color="#56b4e9", edgecolor="black")
    axis.bar_label(bars, fmt=" %.2f", fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.2 * values.max())
    axis.spines[["top", "right"]].set_visible(False)
    said = ", ".join(f"{name} {value:.2f}" for name, value in zip(terms, values, strict=True))
    return Picture(figure, f"Weighted terms of one batch: {said}.")
