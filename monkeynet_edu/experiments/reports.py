"""An experiment's table, words and picture, beside the paper's figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monkeynet_edu.errors import UserError
from monkeynet_edu.experiments import comparison, drawing, statistics
from monkeynet_edu.experiments.comparison import LABELS, PAPER, PAPER_FIGURE, PAPER_NAMES, RANKED_BY, Comparison, Outcome
from monkeynet_edu.experiments.plans import METHODS, Effort, Experiment, choose_methods
from monkeynet_edu.experiments.records import Places, Values
from monkeynet_edu.files import partial_name
from monkeynet_edu.viz import Picture

NOTHING = "–"


@dataclass(frozen=True)
class Reproduction:
    """What an experiment came to.

    Attributes:
        what: the experiment.
        outcomes: of every method and data set that has records.
        comparisons: by data set and figure, where methods can be compared.
        title: with the budget, and with the note that it is no result where it is none.
        columns: of the table.
        rows: of the table, as printed.
        differences: lines on the intervals against the reference.
        orders: lines on the paper's orders.
        remarks: lines on how it was made and what it does not say.
    """

    what: Experiment
    outcomes: list[Outcome]
    comparisons: dict[tuple[str, str], Comparison]
    title: str
    columns: list[str]
    rows: list[list[str]]
    differences: list[str]
    orders: list[str]
    remarks: list[str]

    def picture(self) -> Picture:
        """The figure, with alt text."""
        return drawing.draw(self.what, self.outcomes, self.comparisons, self.title)

    def markdown(self, picture: str | None = None, alt: str = "") -> str:
        """The page: table, picture, intervals, orders, remarks.

        Args:
            picture: name of the picture's file, beside the page.
            alt: what it shows.
        """
        lines = [f"# {self.title}", ""]
        lines += ["| " + " | ".join(self.columns) + " |", "|" + " --- |" * len(self.columns)]
        lines += ["| " + " | ".join(cell.replace("\n", "<br>") for cell in row) + " |" for row in self.rows]
        lines += ["", f"![{alt}]({picture})"] if picture else []
        parts = {"Differences": self.differences, "The paper's orders": self.orders, "Remarks": self.remarks}
        for name, said in parts.items():
            lines += ["", f"## {name}", "", *(f"- {line}" for line in said)] if said else []
        return "\n".join(lines) + "\n"

    def save(self, folder: Path) -> list[Path]:
        """Writes page and picture beside the records; each appears whole or not at all.

        Raises:
            UserError: the folder cannot be written to.
        """
        shown = self.picture()
        page, image = folder / f"{self.what.name}.md", folder / f"{self.what.name}.png"
        shown.save(image)
        try:
            part = partial_name(page)
            part.write_text(self.markdown(image.name, shown.alt), "utf-8")
            part.replace(page)
        except OSError as error:
            raise UserError(f"{page}: could not be written ({error.strerror}); choose another --out") from error
        return [page, image]


def report(what: Experiment, how: Effort, places: Places, methods: Sequence[str] | None = None) -> Reproduction:
    """Reads the records of an experiment and says what they show.

    Args:
        what: the experiment.
        how: the budget whose records are meant; others are never mixed in.
        places: where the records lie.
        methods: rows; None for all.

    Raises:
        UserError: no record at all, a broken one, or one of another configuration.
    """
    rows = choose_methods(what, methods)
    outcomes = comparison.gather(what, how, places, rows)
    if not outcomes:
        raise UserError(
            f"{places.records(what.name, how.name)}: expected records of {what.name}, got none; "
            f"run `monkeynet-edu reproduce {what.name} --budget {how.name}`"
        )
    comparisons = _comparisons(what, outcomes)
    columns = ["method", "data", *(LABELS[name] for name in _shown(outcomes)), "seeds"]
    if len(what.data) == 1:
        columns.remove("data")
    return Reproduction(
        what,
        outcomes,
        comparisons,
        _title(what, how, outcomes),
        columns,
        _rows(what, outcomes),
        [line for (data, _), found in comparisons.items() for line in _difference_lines(what, data, found)],
        [line for (data, _), found in comparisons.items() for line in _order_lines(what, data, found)],
        _remarks(what, how, outcomes, comparisons, rows),
    )


def _title(what: Experiment, how: Effort, outcomes: Sequence[Outcome]) -> str:
    notes = dict.fromkeys(str(record["note"]) for outcome in outcomes for record in outcome.records if "note" in record)
    return f"{what.title} (budget {how.name}{''.join(f'; {note}' for note in notes)})"


def _comparisons(what: Experiment, outcomes: Sequence[Outcome]) -> dict[tuple[str, str], Comparison]:
    found = {}
    for data in what.data:
        for figure in RANKED_BY[what.task]:
            came = comparison.compare(what, [o for o in outcomes if o.data == data], figure)
            if came is not None:
                found[data, figure] = came
    return found


# ------------------------------------------------------------------------------------------------------------ the table


def shown_value(name: str, value: float) -> str:
    """A figure as it is printed."""
    if not math.isfinite(value):
        return NOTHING
    if name.startswith("mkr"):
        return f"{100 * value:.1f} %"
    return f"{value:.2f}" if name.startswith(("akd", "fid")) else f"{value:.4f}"


def _paper_value(name: str, value: float) -> str:
    if name == "mkr":
        return f"{100 * value:.1f} %"
    return f"{value:.3f}" if name in ("l1", "aed") else f"{value:.2f}"


def _shown(outcomes: Sequence[Outcome]) -> list[str]:
    return [name for name in LABELS if any(math.isfinite(o.mean(name)) for o in outcomes)]


def paper_name(name: str) -> str:
    """The paper's figure that stands beside ours: its AKD is the published form."""
    return {"akd_l1": "akd"}.get(name, name if name != "akd" else "")


def _rows(what: Experiment, outcomes: Sequence[Outcome]) -> list[list[str]]:
    """A row a method and data set: the mean over seeds, each seed where they are several, and the paper's figure."""
    names = _shown(outcomes)
    rows = []
    for outcome in outcomes:
        printed = PAPER.get((what.name, outcome.method, outcome.data), {})
        row = [outcome.title, *([outcome.data] if len(what.data) > 1 else [])]
        for name in names:
            cell = shown_value(name, outcome.mean(name))
            paper = printed.get(paper_name(name))
            row.append(cell if paper is None else f"{cell}\npaper {_paper_value(paper_name(name), paper)}")
        rows.append([*row, ", ".join(map(str, outcome.seeds))])
    return rows


# --------------------------------------------------------------------------------------------------------------- words


def _label(what: Experiment, data: str, figure: str) -> str:
    """A figure's name, with that of the data set where there are several."""
    return f"{LABELS[figure]} on {data}" if len(what.data) > 1 else LABELS[figure]


def _difference_lines(what: Experiment, data: str, found: Comparison) -> list[str]:
    lines = []
    for d in found.differences:
        ends = f"{shown_value(found.figure, d.low)} to {shown_value(found.figure, d.high)}"
        side = "worse" if d.low > 0 else "better" if d.high < 0 else "not told apart"
        lines.append(
            f"{_label(what, data, found.figure)}, {METHODS[d.method].title} minus the reference: "
            f"{d.mean:+.4f} ({d.mean * d.percent:+.0f} %), 95 % interval {ends}: {side}."
        )
    return lines


def _order_lines(what: Experiment, data: str, found: Comparison) -> list[str]:
    label = _label(what, data, found.figure)
    ranking = ", ".join(METHODS[name].title for name in found.ranking)
    lines = [f"Ranked by {label}, best first: {ranking}. {_count(found)}".rstrip()]
    for claim in found.claims:
        better, worse = METHODS[claim.better].title, METHODS[claim.worse].title
        lines.append(f"{label}, {better} below {worse}{_paper_pair(what, data, found.figure, claim)}: {claim.words()}.")
    return lines


def _count(found: Comparison) -> str:
    """How many of the paper's orders hold."""
    kinds = [statistics.decided(claim.share) for claim in found.claims]
    counted = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    said = ", ".join(f"{n} {'hold' if (kind, n > 1) == ('holds', True) else kind}" for kind, n in counted.items())
    return f"Of the paper's {len(kinds)} order{'s' if len(kinds) > 1 else ''}: {said}." if kinds else ""


def _paper_pair(what: Experiment, data: str, figure: str, claim: comparison.Claim) -> str:
    name = PAPER_FIGURE[figure]
    pair = [PAPER.get((what.name, method, data), {}).get(name) for method in (claim.better, claim.worse)]
    if pair[0] is None or pair[1] is None:
        return " (so the paper)"
    return f" (paper: {LABELS[name].split(' (')[0]} {_paper_value(name, pair[0])} against {_paper_value(name, pair[1])})"


def _remarks(
    what: Experiment,
    how: Effort,
    outcomes: Sequence[Outcome],
    comparisons: dict[tuple[str, str], Comparison],
    rows: Sequence[str],
) -> list[str]:
    """How it was made, what is missing, and what it does not say."""
    said = [f"{how.note[0].upper()}{how.note[1:]}: {how.steps} steps on {how.clips} clips."] if how.note else []
    records = [record for outcome in outcomes for record in outcome.records]
    said.append(
        f"{len(records)} runs of {_steps(outcomes)}, {_spread([r['training_seconds'] / 60 for r in records])} minutes of "
        f"training each; measured on {_spread([len(r['clips']) for r in records])} clips of characters never seen."
    )
    said.append(f"Computed on {'; '.join(sorted({_machine(r['hardware']) for r in records}))}.")
    commits = sorted({str(r["commit"]) for r in records})
    said.append(f"Commit{'s' if len(commits) > 1 else ''}: {', '.join(commits)}.")
    absent = [METHODS[name].title for name in rows if name not in {o.method for o in outcomes}]
    said += [f"No record yet: {', '.join(absent)}."] if absent else []
    uneven = len({outcome.seeds for outcome in outcomes}) > 1
    said += ["Not every row has the same seeds: rows are compared on those that all share."] if uneven else []
    missing = [LABELS[name] for name in RANKED_BY[what.task] if not any(figure == name for _, figure in comparisons)]
    if len(outcomes) > len(what.data):
        said += [f"Not ranked by {name}: not measured on at least two shared clips." for name in missing]
    if comparisons:
        said.append(
            "Intervals and shares are of 10 000 paired bootstrap draws of clips: they say what other clips would "
            "change, not what other seeds would; for those look at the seeds' dots. They are not corrected for the number "
            "of comparisons."
        )
    names = ", ".join(PAPER_NAMES[data] for data in what.data)
    said.append(
        f"The paper's figures are of real films ({names}), other detectors and a larger model: orders compare, values do "
        "not. Its AKD is the published form (mean of |Δx| and |Δy|)."
    )
    return said


def _steps(outcomes: Sequence[Outcome]) -> str:
    """Steps of each method: equal minutes are other numbers of steps."""
    steps: dict[int, list[str]] = {}
    for outcome in outcomes:
        named = steps.setdefault(outcome.records[0]["identity"]["steps"], [])
        named += [outcome.title] if outcome.title not in named else []
    if len(steps) == 1:
        return f"{next(iter(steps))} steps"
    return "equal minutes (" + "; ".join(f"{', '.join(names)} {count} steps" for count, names in steps.items()) + ")"


def _spread(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _machine(hardware: Values) -> str:
    where = "" if hardware["device"] == "cpu" else f", {hardware['device']}"
    cores = hardware["cores"]
    return (
        f"{hardware['processor']}{where}, {cores} thread{'s' if cores != 1 else ''} a run, {hardware['precision']}, "
        f"torch {hardware['torch']}"
    )
