"""What votes say: shares with intervals, agreement, attention, ranking; and the miniature of the paper's Table 4."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monkeynet_edu.course.study import statistics
from monkeynet_edu.course.study.folder import Study
from monkeynet_edu.course.study.lists import OURS, RIVAL
from monkeynet_edu.course.study.votes import REFERENCE, Reading, Vote, read_votes
from monkeynet_edu.data.datasets import open_dataset, read_pairs
from monkeynet_edu.files import kind_of
from monkeynet_edu.paths import data_small

PASS = 0.75
"""Share of attention checks that a rater has to get right. Who tosses a coin gets all of n right in 1 of 2**n cases."""

PAPER_SHARES = {"mini-taichi": ("Tai-Chi", 0.850), "mini-nemo": ("Nemo", 0.792), "mini-bair": ("Bair", 0.908)}
"""The paper's Table 4: its data set, and how often Monkey-Net was preferred to X2Face (50 pairs, 10 raters each)."""

NOTHING = "–"
_MADE_UP = "made by a program to try things out: no result"


@dataclass(frozen=True)
class Attention:
    """How a rater did in the attention checks.

    Attributes:
        rater: the code.
        right: checks that were answered rightly.
        seen: checks that were answered.
    """

    rater: str
    right: int
    seen: int

    @property
    def failed(self) -> bool:
        """Whether too many were wrong; who has seen none has failed none."""
        return self.seen > 0 and self.right < PASS * self.seen


@dataclass(frozen=True)
class Matchup:
    """Two methods on one data set.

    Attributes:
        data: the data set.
        method: the one whose share is given.
        other: the other one.
        wins: how often ``method`` was preferred.
        votes: of both.
        pairs: of films that were voted on.
        raters: who voted.
        low: lower end of the exact 95 % interval of the share.
        high: upper end.
        alpha: Krippendorff's; None where nothing can be said.
        agreement: share of pairs of raters who chose alike; None where no pair of films has two votes.
    """

    data: str
    method: str
    other: str
    wins: int
    votes: int
    pairs: int
    raters: int
    low: float
    high: float
    alpha: float | None
    agreement: float | None

    @property
    def share(self) -> float:
        """How often ``method`` was preferred."""
        return self.wins / self.votes


@dataclass(frozen=True)
class Report:
    """What came of a study.

    Attributes:
        matchups: of every two methods and data set that have votes.
        rankings: data set → methods with their Bradley–Terry strengths, the strongest first, where there are more than two;
            None where no finite strengths exist.
        attention: of every rater.
        left_out: raters whose votes are left out.
        synthetic: how many of the votes were made by a program.
        complaints: lines of vote files that do not count.
    """

    matchups: tuple[Matchup, ...]
    rankings: Mapping[str, tuple[tuple[str, float], ...] | None]
    attention: tuple[Attention, ...]
    left_out: tuple[str, ...]
    synthetic: int
    complaints: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        found = asdict(self)
        for row, matchup in zip(found["matchups"], self.matchups, strict=True):
            row["share"] = matchup.share
        for row, one in zip(found["attention"], self.attention, strict=True):
            row["failed"] = one.failed
        return found

    def markdown(self) -> str:
        """The page."""
        lines = ["# User study" + (f" ({_MADE_UP})" if self.synthetic else ""), ""]
        if self.matchups:
            lines += _markdown_table(MATCHUP_COLUMNS, [matchup_row(matchup) for matchup in self.matchups])
        else:
            lines += ["No votes yet."]
        lines += ["", *(f"- {line}" for line in self.remarks())]
        return "\n".join(lines) + "\n"

    def remarks(self) -> list[str]:
        """Ranking, attention and what the figures do not say, a line each."""
        lines = [f"{self.synthetic} votes were {_MADE_UP}."] if self.synthetic else []
        for data, ranking in self.rankings.items():
            if ranking is None:
                lines.append(
                    f"{data}: no Bradley–Terry ranking, since some methods were never preferred to the others; collect "
                    "more votes."
                )
            else:
                said = ", ".join(f"{name} {strength:.3f}" for name, strength in ranking)
                lines.append(f"{data}: Bradley–Terry strengths (they sum to 1): {said}.")
        for one in self.attention:
            if one.failed:
                done = "left out" if one.rater in self.left_out else "counted; --leave-out-failed leaves them out"
                lines.append(f"{one.rater} got {one.right} of {one.seen} attention checks right: these votes are {done}.")
        unseen = sum(one.seen == 0 for one in self.attention)
        if unseen:
            lines.append(f"{unseen} raters answered no attention check.")
        if self.matchups:
            lines.append(
                "The interval (Clopper–Pearson, 95 %) takes votes to be independent; votes of one rater or on one pair are "
                "not quite, so it is rather too narrow. Alpha is Krippendorff's: 1 is full agreement, 0 that of chance; "
                "alike is how many of every two raters of a pair chose the same film."
            )
        if self.complaints:
            lines.append(f"{len(self.complaints)} lines of the vote files do not count.")
        return lines


# -------------------------------------------------------------------------------------------------------------- figures


def attention(votes: Sequence[Vote]) -> tuple[Attention, ...]:
    """How every rater did in the attention checks, by code."""
    right: dict[str, int] = defaultdict(int)
    seen: dict[str, int] = defaultdict(int)
    for vote in votes:
        seen[vote.rater] += vote.is_check
        right[vote.rater] += vote.is_check and vote.preferred == REFERENCE
    return tuple(Attention(rater, right[rater], seen[rater]) for rater in sorted(seen))


def matchup(votes: Sequence[Vote], data: str, method: str, other: str) -> Matchup | None:
    """Two methods on a data set; None without votes."""
    own = [vote for vote in votes if vote.data == data and {vote.left, vote.right} == {method, other}]
    if not own:
        return None
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for vote in own:
        counts[vote.study, vote.pair][vote.preferred != method] += 1
    table = np.array(list(counts.values()), float)
    wins = sum(vote.preferred == method for vote in own)
    low, high = statistics.clopper_pearson(wins, len(own))
    return Matchup(
        data,
        method,
        other,
        wins,
        len(own),
        len(counts),
        len({vote.rater for vote in own}),
        low,
        high,
        statistics.krippendorff_alpha(table),
        statistics.agreement(table),
    )


def _order(methods: set[str]) -> list[str]:
    """Ours first, the rest by name: a share is ours wherever it can be."""
    return sorted(methods, key=lambda name: (name != OURS, name))


def report(reading: Reading, leave_out_failed: bool = False) -> Report:
    """Says what votes show.

    Args:
        reading: votes, and lines that do not count.
        leave_out_failed: leave out raters who failed the attention checks.
    """
    every = attention(reading.votes)
    out = tuple(one.rater for one in every if one.failed) if leave_out_failed else ()
    votes = [vote for vote in reading.votes if vote.rater not in out]
    real = [vote for vote in votes if not vote.is_check]
    found, rankings = [], {}
    for data in sorted({vote.data for vote in real}):
        own = [vote for vote in real if vote.data == data]
        names = _order({name for vote in own for name in (vote.left, vote.right)})
        rows = [matchup(own, data, a, b) for index, a in enumerate(names) for b in names[index + 1 :]]
        found += [row for row in rows if row is not None]
        if len(names) > 2:
            rankings[data] = ranking(own, names)
    synthetic = sum(vote.synthetic for vote in votes)
    return Report(tuple(found), rankings, every, out, synthetic, reading.complaints)


def ranking(votes: Sequence[Vote], methods: Sequence[str]) -> tuple[tuple[str, float], ...] | None:
    """Methods with their Bradley–Terry strengths, the strongest first; None where no finite ones exist."""
    wins = statistics.win_table([(vote.preferred, vote.other) for vote in votes], methods)
    strengths = statistics.bradley_terry(wins)
    if strengths is None:
        return None
    return tuple(sorted(zip(methods, map(float, strengths), strict=True), key=lambda pair: -pair[1]))


def check_against(study: Study, reading: Reading) -> Reading:
    """Leaves out votes of other studies, on unknown pairs, and with other methods than the study's; each is named."""
    trials = {trial.id: trial for trial in study.trials}
    kept, complaints = [], list(reading.complaints)
    for vote in reading.votes:
        who = f"{vote.rater}, pair {vote.pair}"
        if vote.study != study.fingerprint:
            complaints.append(f"{who}: expected a vote on study {study.fingerprint}, got one on {vote.study}; not counted")
        elif vote.pair not in trials or {vote.left, vote.right} != set(trials[vote.pair].methods):
            complaints.append(f"{who}: expected a pair of this study, got {vote.left} and {vote.right}; not counted")
        else:
            kept.append(vote)
    return Reading(tuple(kept), tuple(complaints))


# ------------------------------------------------------------------------------------------------------------- printing

MATCHUP_COLUMNS = ["data", "preferred", "share", "95 % interval", "votes", "pairs", "raters", "alpha", "alike"]


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f} %"


def matchup_row(found: Matchup) -> list[str]:
    """A row of :data:`MATCHUP_COLUMNS`."""
    return [
        found.data,
        f"{found.method} to {found.other}",
        _percent(found.share),
        f"{100 * found.low:.1f} – {100 * found.high:.1f} %",
        str(found.votes),
        str(found.pairs),
        str(found.raters),
        NOTHING if found.alpha is None else f"{found.alpha:.2f}",
        _percent(found.agreement),
    ]


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows)]


# -------------------------------------------------------------------------------------------------------------- table 4


@dataclass(frozen=True)
class Table4:
    """The miniature of the paper's Table 4.

    Attributes:
        title: what it is.
        columns: of the table.
        rows: of the table, as printed.
        remarks: lines on what it does and does not say.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    remarks: list[str]

    def markdown(self) -> str:
        """The page."""
        lines = [f"# {self.title}", "", *_markdown_table(self.columns, self.rows), ""]
        return "\n".join(lines + [f"- {line}" for line in self.remarks]) + "\n"


def table4(votes: Sequence[Vote], pairs: Mapping[str, Sequence[tuple[str, str]]]) -> Table4:
    """Pairs and whatever votes are there, beside the paper's figures.

    Args:
        votes: that count, see :func:`~monkeynet_edu.course.study.votes.read_votes`; none are needed.
        pairs: names of source and driving clip by data set.

    Returns:
        A row for every data set that has pairs, votes, or a figure in the paper.
    """
    found = report(Reading(tuple(votes), ()))
    by_data = {row.data: row for row in found.matchups if (row.method, row.other) == (OURS, RIVAL)}
    rows = []
    for data in dict.fromkeys([*PAPER_SHARES, *pairs, *by_data]):
        name, share = PAPER_SHARES.get(data, (NOTHING, None))
        count = str(len(pairs[data])) if pairs.get(data) else NOTHING
        own = by_data.get(data)
        cells = ["no votes yet" if count != NOTHING else NOTHING, *[NOTHING] * 4]
        if own is not None:
            cells = [matchup_row(own)[column] for column in (2, 3, 4, 6, 7)]
        rows.append([data, count, *cells, NOTHING if share is None else f"{_percent(share)} ({name})"])
    columns = ["data", "pairs", "Monkey-Net preferred", "95 % interval", "votes", "raters", "alpha", "paper"]
    title = "Table 4 in miniature: how often Monkey-Net is preferred to X2Face"
    return Table4(title + (f" ({_MADE_UP})" if found.synthetic else ""), columns, rows, _table4_remarks(found))


def _table4_remarks(found: Report) -> list[str]:
    paper = (
        "The paper asked ten raters about each of 50 pairs of videos, other videos and other models: its figures stand "
        "beside ours for orientation, not to be reached."
    )
    if not found.matchups:
        return ["Nobody has voted yet; `monkeynet-edu study make` and `study run` collect votes.", paper]
    return [paper, *found.remarks()]


def load_pairs(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """The lists ``pairs-DATA.csv`` of a folder: names of source and driving clip by data set.

    Raises:
        UserError: a list is broken or names clips that are not there.
    """
    found = {}
    for path in sorted(folder.glob("pairs-*.csv")):
        data = path.stem.removeprefix("pairs-")
        clips = open_dataset(data, "test")
        names: Sequence[str] = clips.names  # type: ignore[attr-defined]
        found[data] = [(names[pair.source], names[pair.driving]) for pair in read_pairs(path, clips)]
    return found


def shipped_table4(folder: Path | None = None) -> tuple[Table4, tuple[str, ...]]:
    """Table 4 from a folder of ``pairs-DATA.csv`` and ``*.jsonl``.

    Args:
        folder: None for the shipped ``results/table4``.

    Returns:
        The table, and the lines of vote files that do not count.
    """
    place = data_small() / "results" / "table4" if folder is None else folder
    reading = read_votes([place]) if kind_of(place) == "folder" else Reading((), ())
    return table4(reading.votes, load_pairs(place)), reading.complaints
