"""Figures of lesson 11: clips in pairs, two kinds of intervals, shares of draws, decimals; and the shipped records."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from monkeynet_edu import experiments
from monkeynet_edu.course.lessons.figures08 import figure_films as figure_films
from monkeynet_edu.data.video import read_video, to_tensor
from monkeynet_edu.experiments import Places, Reproduction, statistics
from monkeynet_edu.experiments.comparison import LABELS, Outcome
from monkeynet_edu.experiments.plans import SHIPPED_BUDGET
from monkeynet_edu.model import MonkeyNetConfig
from monkeynet_edu.paths import data_small, weights_path
from monkeynet_edu.viz import Picture

ABLATION = "ablation-no_flow"
SAME_STEPS = (0, 8, 18, 26)  # frames of the test clip of which the full model's pictures are kept
ROUNDED_TO = 0.001  # last decimal of L1 in the paper's tables

_INK, _PAIRED, _UNPAIRED = "#1a1a1a", "#0072b2", "#d55e00"
_MARKERS = "os^vD<>p"


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


# -------------------------------------------------------------------------------------------------- what is shipped


def table2() -> Reproduction:
    """The shipped runs of Table 2, compared.

    Raises:
        UserError: no records are there.
    """
    return _shipped("table2")


def figure7() -> Reproduction:
    """The shipped runs of Figure 7, compared.

    Raises:
        UserError: no records are there.
    """
    return _shipped("fig7")


def _shipped(name: str) -> Reproduction:
    places = Places(data_small() / "results", Path("runs"))
    return experiments.report(experiments.EXPERIMENTS[name], experiments.effort(SHIPPED_BUDGET), places)


def full_at_same_steps() -> Tensor:
    """Frames ``SAME_STEPS`` of the second test clip, rebuilt by the full model of as many steps: (4, 3, 64, 64)."""
    return to_tensor(read_video(weights_path(ABLATION).with_suffix(".full-model.png")).frames)


def changed(before: MonkeyNetConfig, after: MonkeyNetConfig) -> list[str]:
    """Settings that differ, as ``name: before -> after``; an object that becomes None counts once."""
    found: list[str] = []

    def walk(one: Any, other: Any, name: str) -> None:
        if isinstance(one, dict) and isinstance(other, dict):
            for key in one:
                walk(one[key], other[key], f"{name}.{key}".lstrip("."))
        elif one != other:
            found.append(f"{name}: {_short(one)} -> {_short(other)}")

    walk(asdict(before), asdict(after), "")
    return found


def _short(value: Any) -> str:
    return "{…}" if isinstance(value, dict) else repr(value)


# ------------------------------------------------------------------------------------------------------- small sums


def error_where_it_moves(film: Tensor, truth: Tensor) -> float:
    """Mean |film - truth| over the pixels that differ from the first frame of the true film by more than a tenth.

    Args:
        film: (T, 3, H, W) in [0, 1].
        truth: (T, 3, H, W), the film as it was.
    """
    moving = (truth - truth[:1]).abs().amax(dim=1) > 0.1
    return float((film - truth).abs().mean(dim=1)[moving].mean())


def seed_spread(outcomes: Sequence[Outcome], name: str) -> float:
    """Standard deviation of a figure from seed to seed, pooled over rows, as a share of the mean; NaN for one seed."""
    squares, freedom = 0.0, 0
    for outcome in outcomes:
        values = torch.tensor(outcome.figures[name], dtype=torch.float64)
        if len(values) > 1:
            squares += float(((values / values.mean() - 1) ** 2).sum())
            freedom += len(values) - 1
    return math.sqrt(squares / freedom) if freedom else math.nan


def agreeing(order: Sequence[str], ranking: Sequence[str]) -> int:
    """How many pairs of a ranking's names stand in the same order in another list."""
    return sum(order.index(a) < order.index(b) for a, b in itertools.combinations(ranking, 2))


# ---------------------------------------------------------------------------------------------------------- figures


def figure_table(outcomes: Sequence[Outcome], name: str) -> Picture:
    """One figure of every row: each seed a marker, the mean a line."""
    figure = _figure(5.6, 0.34 * len(outcomes) + 0.9)
    axis = figure.add_subplot()
    for row, outcome in enumerate(outcomes):
        for seed, value in zip(outcome.seeds, outcome.figures[name], strict=True):
            label = f"seed {seed}" if row == 0 else None
            axis.plot(value, row, _MARKERS[seed % len(_MARKERS)], color=_INK, markerfacecolor="0.6", label=label)
        mean = outcome.mean(name)
        axis.plot([mean, mean], [row - 0.3, row + 0.3], color=_INK, linewidth=2)
    _rows(axis, [outcome.title for outcome in outcomes], f"{LABELS[name]}, lower is better")
    axis.legend(fontsize=7)
    said = ", ".join(f"{o.title} {o.mean(name):.3g}" for o in outcomes)
    return Picture(figure, f"{LABELS[name]} of each row, mean over seeds: {said}.")


def _rows(axis: Any, names: Sequence[str], label: str) -> None:
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlabel(label, fontsize=8)
    axis.tick_params(axis="x", labelsize=7)
    axis.grid(axis="x", color="0.85", linewidth=0.6)
    axis.set_axisbelow(True)


def figure_clips(one: Tensor, other: Tensor, names: tuple[str, str], label: str) -> Picture:
    """The same clips under two methods (n,): on the left joined by lines, on the right their differences."""
    figure = _figure(6.4, 2.6)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.2])
    for a, b in zip(one.tolist(), other.tolist(), strict=True):
        left.plot([0, 1], [a, b], "-o", color=_INK, markersize=2.5, linewidth=0.6)
    left.set_xticks([0, 1], list(names), fontsize=8)
    left.set_xlim(-0.25, 1.25)
    left.set_ylabel(label, fontsize=8)
    left.set_title("each line a clip", fontsize=8)
    gap = (one - other).sort().values
    right.bar(range(len(gap)), gap.tolist(), color=_PAIRED, edgecolor=_INK, linewidth=0.4)
    right.axhline(0, color=_INK, linewidth=0.8)
    right.set_title(f"{names[0]} - {names[1]}, clip by clip, sorted", fontsize=8)
    for axis in (left, right):
        axis.tick_params(labelsize=7)
    spread, above = float(one.max() - one.min()), int((gap > 0).sum())
    return Picture(
        figure,
        f"{len(gap)} clips. Left: under {names[0]} alone the clips spread over {spread:.3g}; lines join each clip with its "
        f"figure under {names[1]}. Right: the differences lie between {float(gap[0]):.3g} and {float(gap[-1]):.3g}; on "
        f"{above} of {len(gap)} clips {names[0]} is higher.",
    )


Interval = tuple[float, float]


def figure_intervals(rows: Mapping[str, tuple[float, Interval, Interval]], label: str) -> Picture:
    """Mean differences with two intervals each: solid the paired one, dotted the unpaired one.

    Args:
        rows: name to (mean difference, paired interval, unpaired interval).
        label: of the axis.
    """
    figure = _figure(6.2, 0.46 * len(rows) + 1.0)
    axis = figure.add_subplot()
    said = []
    for row, (name, (mean, paired, unpaired)) in enumerate(rows.items()):
        first = row == 0
        axis.plot(unpaired, [row + 0.2] * 2, ":", color=_UNPAIRED, linewidth=2.5, label="unpaired" if first else None)
        axis.plot(paired, [row - 0.1] * 2, "-", color=_PAIRED, linewidth=2.5, label="paired" if first else None)
        axis.plot(mean, row - 0.1, "o", color=_INK, markersize=4)
        ends = f"paired {paired[0]:+.3g} to {paired[1]:+.3g}, unpaired {unpaired[0]:+.3g} to {unpaired[1]:+.3g}"
        said.append(f"{name} {mean:+.3g} ({ends})")
    axis.axvline(0, color=_INK, linestyle="--", linewidth=0.8)
    _rows(axis, list(rows), label)
    axis.legend(fontsize=7)
    return Picture(figure, f"{label}, with 95 % intervals: {'; '.join(said)}.")


def figure_shares(shares: Tensor, names: Sequence[str]) -> Picture:
    """The share of draws in which the row's method is below the column's, in per cent, as a table with shades.

    Args:
        shares: (M, M).
        names: of the methods, the best first.
    """
    count = len(names)
    figure = _figure(0.62 * count + 1.6, 0.42 * count + 1.0)
    axis = figure.add_subplot()
    shown = shares.clone().double()
    shown.fill_diagonal_(math.nan)
    axis.imshow(shown.tolist(), cmap="Greys", vmin=0, vmax=2.2, aspect="auto")
    for i, j in itertools.product(range(count), repeat=2):
        if i != j:
            sure = max(float(shares[i, j]), float(shares[j, i])) >= statistics.SURE
            weight = "bold" if sure else "normal"
            axis.text(j, i, f"{100 * float(shares[i, j]):.0f}", ha="center", va="center", fontsize=8, weight=weight)
    axis.set_xticks(range(count), names, fontsize=7, rotation=30, ha="right")
    axis.set_yticks(range(count), names, fontsize=7)
    axis.set_title("row below column, % of the draws (bold: 95 or more, or 5 or fewer)", fontsize=8)
    neighbours = [f"{names[i]} below {names[i + 1]} in {100 * float(shares[i, i + 1]):.0f} %" for i in range(count - 1)]
    return Picture(figure, f"Share of draws in which one row is below another. Neighbours: {', '.join(neighbours)}.")


def figure_printed(printed: Mapping[str, float]) -> Picture:
    """What a printed value may have been before it was rounded, one bar a row."""
    figure = _figure(5.6, 0.3 * len(printed) + 0.9)
    axis = figure.add_subplot()
    half = ROUNDED_TO / 2
    for row, value in enumerate(printed.values()):
        axis.plot([value - half, value + half], [row, row], color=_PAIRED, linewidth=7, solid_capstyle="butt")
        axis.plot(value, row, "|", color="white", markersize=8, markeredgewidth=1.5)
    _rows(axis, list(printed), "L1 in the paper's Table 2, and what may be behind the rounded value")
    said = ", ".join(f"{name} {value:.3f}" for name, value in printed.items())
    return Picture(
        figure, f"Each printed value is a bar as wide as its last decimal, {ROUNDED_TO}; neighbouring bars touch: {said}."
    )


def beside(*films: Tensor) -> Tensor:
    """Films (T, 3, H, W) side by side: (T, 3, H, n·W)."""
    return torch.cat([film.cpu() for film in films], dim=3)


def parameters(model: torch.nn.Module) -> str:
    """How many numbers a network learns, in thousands."""
    return f"{sum(p.numel() for p in model.parameters()) / 1000:,.0f} thousand"

