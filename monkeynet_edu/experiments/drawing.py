"""Pictures of an experiment: every seed a dot, differences with their intervals, the paper's as hollow diamonds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from monkeynet_edu.experiments.comparison import LABELS, PAPER, PAPER_FIGURE, RANKED_BY, Comparison, Outcome, reference_of
from monkeynet_edu.experiments.plans import COUNTS, KEYPOINT_COUNTS, METHODS, Experiment
from monkeynet_edu.viz import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "os^vD<>p*X"  # a seed each: told apart without colour
_INK, _PAPER_INK, _GRID = "#1a1a1a", "#0072b2", "#d0d0d0"


def draw(
    what: Experiment,
    outcomes: Sequence[Outcome],
    comparisons: Mapping[tuple[str, str], Comparison],
    title: str,
) -> Picture:
    """The figure of an experiment.

    Args:
        what: the experiment.
        outcomes: of every method and data set that has records.
        comparisons: by data set and figure.
        title: over the figure.
    """
    if what.name == "fig7":
        return _curves(what, outcomes, title)
    return _rows(what, outcomes, comparisons, title)


def _figures(what: Experiment, outcomes: Sequence[Outcome]) -> list[str]:
    """What is shown: what methods are ranked by; for the task prediction FID first."""
    wanted = ("fid", *RANKED_BY[what.task]) if what.task == "prediction" else RANKED_BY[what.task]
    there = [name for name in wanted if any(math.isfinite(o.mean(name)) for o in outcomes)]
    return there or ["l1"]


def _new(width: float, height: float, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure


def _dots(axis: Axes, place: float, outcome: Outcome, name: str, upright: bool) -> None:
    """The seeds of one method, and their mean as a line across."""
    values = outcome.figures.get(name, [])
    for i, (seed, value) in enumerate(zip(outcome.seeds, values, strict=False)):
        beside = place + 0.14 * (i - (len(values) - 1) / 2)  # equal values stay apart
        x, y = (beside, value) if upright else (value, beside)
        axis.plot(x, y, _MARKERS[seed % len(_MARKERS)], color=_INK, markersize=5, markerfacecolor="#808080", zorder=3)
    mean = outcome.mean(name)
    if upright:
        axis.plot([place - 0.18, place + 0.18], [mean, mean], "-", color=_INK, linewidth=2, zorder=2)
    else:
        axis.plot([mean, mean], [place - 0.28, place + 0.28], "-", color=_INK, linewidth=2, zorder=2)


def _seed_key(axis: Axes, outcomes: Sequence[Outcome]) -> None:
    """Which marker is which seed."""
    for seed in sorted({seed for outcome in outcomes for seed in outcome.seeds}):
        axis.plot([], [], _MARKERS[seed % len(_MARKERS)], color=_INK, markerfacecolor="#808080", label=f"seed {seed}")
    axis.plot([], [], "-", color=_INK, linewidth=2, label="mean")
    axis.legend(fontsize=7, frameon=True, loc="best")


# ---------------------------------------------------------------------------------------------------------------- rows


def _rows(
    what: Experiment, outcomes: Sequence[Outcome], comparisons: Mapping[tuple[str, str], Comparison], title: str
) -> Picture:
    """A row of panels for each data set and figure: values on the left, differences to the reference on the right."""
    panels = [(data, name) for data in what.data for name in _figures(what, [o for o in outcomes if o.data == data])]
    panels = [(d, n) for d, n in panels if any(o.data == d for o in outcomes)]
    most = max(sum(o.data == data for o in outcomes) for data, _ in panels)
    wide = 2 if comparisons else 1
    figure = _new(4.6 * wide, (0.36 * most + 1.15) * len(panels) + 0.4, title)
    axes = figure.subplots(len(panels), wide, squeeze=False)
    said = []
    for line, (data, name) in zip(axes, panels, strict=True):
        own = [o for o in outcomes if o.data == data]
        where = f"{data}: " if len(what.data) > 1 else ""
        _values(line[0], own, name, f"{where}{LABELS[name]}, lower is better")
        said.append(f"{where}{LABELS[name]}: " + ", ".join(f"{o.title} {o.mean(name):.3g}" for o in own))
        found = comparisons.get((data, name))
        if found is not None:
            said.append(_differences(line[1], what, data, own, found))
        elif wide == 2:
            line[1].axis("off")
    if len(outcomes[0].seeds) > 1 or len(outcomes) > 1:
        _seed_key(axes[0][0], outcomes)
    return Picture(figure, f"{title}. {'. '.join(said)}.")


def _values(axis: Axes, own: Sequence[Outcome], name: str, label: str) -> None:
    for place, outcome in enumerate(own):
        _dots(axis, place, outcome, name, upright=False)
    _name_rows(axis, [outcome.title for outcome in own])
    axis.set_xlabel(label, fontsize=9)


def _name_rows(axis: Axes, titles: Sequence[str]) -> None:
    axis.set_yticks(range(len(titles)), titles)
    axis.set_ylim(len(titles) - 0.5, -0.5)
    axis.tick_params(labelsize=8)
    axis.grid(axis="x", color=_GRID, linewidth=0.6)
    axis.set_axisbelow(True)


def _legend_in_row(axis: Axes, row: int, rows: int) -> None:
    """A legend in the reference's row, where nothing is drawn but the line at 0, on the side with more room."""
    left, right = axis.get_xlim()
    height = 1 - (row + 0.5) / rows
    if right > -left:
        axis.legend(fontsize=7, loc="center right", bbox_to_anchor=(1.0, height))
    else:
        axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(0.0, height))


def _differences(axis: Axes, what: Experiment, data: str, own: Sequence[Outcome], found: Comparison) -> str:
    """Differences in per cent of the reference's mean, with intervals; the paper's as hollow diamonds."""
    reference = reference_of(what, [o.method for o in own])
    assert reference is not None
    by_method = {difference.method: difference for difference in found.differences}
    name = PAPER_FIGURE[found.figure]
    base = PAPER.get((what.name, reference, data), {}).get(name)
    words = []
    for place, outcome in enumerate(own):
        if outcome.method == reference:
            continue
        d = by_method[outcome.method]
        low, mean, high = (value * d.percent for value in (d.low, d.mean, d.high))
        axis.plot([low, high], [place, place], "-", color=_INK, linewidth=2)
        axis.plot(mean, place, "o", color=_INK, markersize=5)
        text = f"{outcome.title} {mean:+.0f} % ({low:+.0f} to {high:+.0f})"
        theirs = PAPER.get((what.name, outcome.method, data), {}).get(name)
        if base is not None and theirs is not None:
            percent = 100 * (theirs - base) / base
            axis.plot(percent, place + 0.26, "D", color=_PAPER_INK, markerfacecolor="none", markersize=5)
            text += f", paper {percent:+.0f} %"
        words.append(text)
    axis.axvline(0, color=_INK, linewidth=0.8, linestyle="--")
    _name_rows(axis, [o.title if o.method != reference else f"{o.title} = 0" for o in own])
    ours, theirs_label = (LABELS[label].split(" (")[0] for label in (found.figure, name))
    axis.set_xlabel(f"{ours} against {METHODS[reference].title}, % (95 % interval)", fontsize=9)
    if base is not None:
        axis.plot([], [], "D", color=_PAPER_INK, markerfacecolor="none", label=f"the paper's {theirs_label}")
    axis.plot([], [], "o-", color=_INK, label="in miniature")
    _legend_in_row(axis, [outcome.method for outcome in own].index(reference), len(own))
    return f"Against {METHODS[reference].title}: " + ", ".join(words)


# -------------------------------------------------------------------------------------------------------------- curves


def _curves(what: Experiment, outcomes: Sequence[Outcome], title: str) -> Picture:
    """Figures over the number of keypoints."""
    names = _figures(what, outcomes)
    figure = _new(4.2 * len(names), 3.4, title)
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    said = []
    for axis, name in zip(axes, names, strict=True):
        own = [o for o in outcomes if o.method in COUNTS]
        places = [list(COUNTS).index(o.method) for o in own]
        for place, outcome in zip(places, own, strict=True):
            _dots(axis, place, outcome, name, upright=True)
        axis.plot(places, [o.mean(name) for o in own], "--", color=_INK, linewidth=0.8, zorder=1)
        axis.set_xticks(range(len(KEYPOINT_COUNTS)), [str(count) for count in KEYPOINT_COUNTS])
        axis.set_xlim(-0.5, len(KEYPOINT_COUNTS) - 0.5)
        axis.set_xlabel("number of keypoints K", fontsize=9)
        axis.set_ylabel(f"{LABELS[name]}, lower is better", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(axis="y", color=_GRID, linewidth=0.6)
        said.append(f"{LABELS[name]}: " + ", ".join(f"{o.title} {o.mean(name):.3g}" for o in own))
    _seed_key(axes[0], outcomes)
    return Picture(figure, f"{title}. {'. '.join(said)}. The paper's curves fall as K grows.")
