"""What the records of an experiment say: means, paired intervals, and which of the paper's orders hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import torch
from torch import Tensor

from monkeynet_edu.errors import UserError
from monkeynet_edu.experiments import statistics
from monkeynet_edu.experiments.plans import COUNTS, METHODS, Effort, Experiment, Task, covers, job_of
from monkeynet_edu.experiments.records import Places, Values, is_words, read_record

RANKED_BY: dict[Task, tuple[str, ...]] = {"reconstruction": ("akd", "l1_moving"), "prediction": ("aed",)}
"""Figures by which methods are ranked; those that the records lack are passed over, which is said."""

LABELS = {
    "l1": "L1",
    "l1_moving": "L1 of moving pixels",
    "akd": "AKD (px)",
    "akd_l1": "AKD as published (px)",
    "mkr": "MKR",
    "aed": "AED",
    "fid": "mini-FID",
}
"""Figures in the tables, in this order; lower is better in all."""

PaperFigures = dict[str, float]


def _row(l1: float, akd: float, mkr: float, aed: float) -> PaperFigures:
    return {"l1": l1, "akd": akd, "mkr": mkr, "aed": aed}


PAPER: dict[tuple[str, str, str], PaperFigures] = {
    ("table2", "no_flow", "mini-taichi"): _row(0.057, 3.11, 0.238, 0.24),
    ("table2", "no_residual", "mini-taichi"): _row(0.051, 2.81, 0.180, 0.22),
    ("table2", "no_coarse", "mini-taichi"): _row(0.052, 2.75, 0.197, 0.22),
    ("table2", "no_covariance", "mini-taichi"): _row(0.054, 2.86, 0.206, 0.23),
    ("table2", "no_source", "mini-taichi"): _row(0.051, 2.71, 0.193, 0.21),
    ("table2", "full", "mini-taichi"): _row(0.050, 2.53, 0.174, 0.21),
    ("table1", "x2face", "mini-taichi"): _row(0.068, 4.50, 0.357, 0.27),
    ("table1", "ours", "mini-taichi"): _row(0.050, 2.53, 0.174, 0.21),
    ("table1", "x2face", "mini-nemo"): {"l1": 0.022, "akd": 0.47, "aed": 0.140},
    ("table1", "ours", "mini-nemo"): {"l1": 0.017, "akd": 0.37, "aed": 0.072},
    ("table1", "x2face", "mini-bair"): {"l1": 0.069},
    ("table1", "ours", "mini-bair"): {"l1": 0.025},
    ("table3", "mocogan", "mini-taichi"): {"fid": 54.83, "aed": 0.27, "mkr": 0.462},
    ("table3", "ours", "mini-taichi"): {"fid": 19.75, "aed": 0.17, "mkr": 0.303},
    ("table3", "mocogan", "mini-nemo"): {"fid": 51.50, "aed": 0.33},
    ("table3", "cmm-net", "mini-nemo"): {"fid": 27.27, "aed": 0.13},
    ("table3", "ours", "mini-nemo"): {"fid": 11.97, "aed": 0.12},
    ("table3", "mocogan", "mini-bair"): {"fid": 244.00},
    ("table3", "sv2p", "mini-bair"): {"fid": 57.90},
    ("table3", "ours", "mini-bair"): {"fid": 23.20},
}
"""The paper's figures, on the real data sets that the miniatures stand for. Its AKD is the published form."""

PAPER_NAMES = {"mini-taichi": "Tai-Chi", "mini-nemo": "Nemo", "mini-bair": "Bair"}
PAPER_FIGURE = {"akd": "akd", "l1_moving": "l1", "aed": "aed"}
"""Which figure of the paper stands beside ours; it has none of moving pixels alone."""


@dataclass(frozen=True)
class Outcome:
    """All seeds of one method on one data set.

    Attributes:
        method: row.
        data: miniature.
        seeds: that have a record.
        figures: by name, one value a seed, over all clips.
        per_clip: by name (seeds, clips), NaN where a clip has no such figure.
        records: the files' contents.
    """

    method: str
    data: str
    seeds: tuple[int, ...]
    figures: dict[str, list[float]]
    per_clip: dict[str, Tensor]
    records: tuple[Values, ...]

    @property
    def title(self) -> str:
        """As it is printed."""
        return METHODS[self.method].title

    def mean(self, name: str) -> float:
        """Mean over the seeds; NaN where there is none."""
        values = [value for value in self.figures.get(name, []) if math.isfinite(value)]
        return sum(values) / len(values) if values else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def gather(what: Experiment, how: Effort, places: Places, methods: Sequence[str]) -> list[Outcome]:
    """Reads the records of an experiment: every seed that lies there.

    Raises:
        UserError: a broken record, one of another configuration, or one measured on other clips than the first.
    """
    outcomes = []
    for data in what.data:
        for method in [name for name in methods if covers(name, data)]:
            found = _seeds_of(what, how, places, method, data)
            if found:
                outcomes.append(_outcome(method, data, found))
        _check_clips([o for o in outcomes if o.data == data])
    return outcomes


def _seeds_of(what: Experiment, how: Effort, places: Places, method: str, data: str) -> dict[int, Values]:
    first = job_of(what, method, data, 0, how)
    base = places.record(first).name.removesuffix("0.json")
    found = {}
    for path in places.record(first).parent.glob(f"{base}*.json"):
        number = path.stem.rpartition("seed")[2]
        if number.isdecimal():
            found[int(number)] = read_record(path, job_of(what, method, data, int(number), how))
    return dict(sorted(found.items()))


def _outcome(method: str, data: str, found: dict[int, Values]) -> Outcome:
    records = tuple(found.values())
    said = records[0]["figures"]  # numbers, None where one could not be computed, and the words of ``evaluate``
    names = [n for n in said if not is_words(said[n]) and all(n in r["figures"] for r in records)]
    figures = {n: [_number(r["figures"][n]) for r in records] for n in names}
    single = [n for n in records[0]["per_clip"] if all(n in r["per_clip"] for r in records)]
    per_clip = {
        n: torch.tensor([[_number(v) for v in r["per_clip"][n]] for r in records], dtype=torch.float64) for n in single
    }
    return Outcome(method, data, tuple(found), figures, per_clip, records)


def _check_clips(outcomes: Sequence[Outcome]) -> None:
    """Pairs need the same clips in the same order."""
    for outcome in outcomes:
        for seed, record in zip(outcome.seeds, outcome.records, strict=True):
            if record["clips"] != outcomes[0].records[0]["clips"]:
                raise UserError(
                    f"{outcome.method}-seed{seed}: expected the same test clips as {outcomes[0].method}, got others; "
                    "delete its record, and the same command measures it again"
                )


# --------------------------------------------------------------------------------------------------------- comparisons


@dataclass(frozen=True)
class Difference:
    """A method against the reference, by one figure.

    Attributes:
        method: that is compared.
        mean: of its figure minus the reference's.
        low: lower end of the 95 % interval.
        high: upper end.
        percent: 100 % / the reference's mean: turns the others into per cent.
    """

    method: str
    mean: float
    low: float
    high: float
    percent: float


@dataclass(frozen=True)
class Claim:
    """An order of the paper, and what became of it.

    Attributes:
        better: method with the lower figure in the paper.
        worse: the other.
        share: of the draws in which the order holds here.
        seeds: in how many seeds alone it holds.
        of: how many seeds there are.
    """

    better: str
    worse: str
    share: float
    seeds: int
    of: int

    def words(self) -> str:
        """The verdict."""
        return f"{verdict(self.share)}; in {self.seeds} of {self.of} seed{'s' if self.of > 1 else ''}"


def verdict(share: float) -> str:
    """Says what a share of bootstrap draws allows to say about an order."""
    said = f"in {100 * share:.0f} % of the draws"
    kind = statistics.decided(share)
    return f"holds {said}" if kind == "holds" else f"{kind} (holds {said})"


@dataclass(frozen=True)
class Comparison:
    """Methods compared on the same clips by one figure.

    Attributes:
        figure: its name.
        ranking: methods, the best first.
        differences: of each to the reference.
        claims: the paper's orders.
        seeds: that all methods share.
        clips: compared; a clip on which one method has no such figure is left out for all.
    """

    figure: str
    ranking: list[str]
    differences: list[Difference]
    claims: list[Claim]
    seeds: tuple[int, ...]
    clips: int


def paper_orders(what: Experiment, data: str, figure: str, methods: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs (better, worse) of methods that the paper puts in that order; ties of the paper are no order.

    Of Figure 7 the paper says that more keypoints give lower errors: each count against the next smaller one.
    """
    if what.name == "fig7":
        counts = [name for name in COUNTS if name in methods]
        return [(more, fewer) for fewer, more in pairwise(counts)]
    printed = {m: PAPER.get((what.name, m, data), {}).get(PAPER_FIGURE[figure], math.nan) for m in methods}
    ranked = sorted((m for m in methods if math.isfinite(printed[m])), key=lambda m: printed[m])
    return [(a, b) for a, b in combinations(ranked, 2) if printed[a] < printed[b]]


def reference_of(what: Experiment, methods: Sequence[str]) -> str | None:
    """The method that the others are compared with."""
    return next((name for name in ("full", "k10", "ours") if name in methods and name in what.methods), None)


def compare(what: Experiment, outcomes: Sequence[Outcome], figure: str) -> Comparison | None:
    """Compares the methods of one data set by one figure, clip by clip.

    A clip counts once, whatever the number of seeds: differences are taken within a seed, then averaged over the seeds that
    all methods share, then clips are drawn. The interval therefore speaks of *these* trained models on other clips; how
    far another seed would fall, the seeds themselves must show.

    Args:
        what: the experiment.
        outcomes: of one data set.
        figure: name of a figure that single clips have.

    Returns:
        None where fewer than two methods, seeds or clips are comparable.
    """
    shared = sorted(set.intersection(*(set(o.seeds) for o in outcomes))) if outcomes else []
    reference = reference_of(what, [o.method for o in outcomes])
    if len(outcomes) < 2 or not shared or reference is None or any(figure not in o.per_clip for o in outcomes):
        return None
    values = torch.stack([o.per_clip[figure][[o.seeds.index(s) for s in shared]] for o in outcomes])  # (M, seeds, clips)
    values = values[:, :, values.isfinite().flatten(0, 1).all(dim=0)]
    if values.shape[2] < 2:
        return None
    names = [o.method for o in outcomes]
    pooled = values.mean(dim=1)  # (M, clips)
    base = pooled[names.index(reference)]
    means = dict(zip(names, pooled.mean(dim=1).tolist(), strict=True))
    differences = [_difference(name, mine, base) for name, mine in zip(names, pooled, strict=True) if name != reference]
    shares = statistics.order_stability(pooled, statistics.DRAWS, torch.Generator().manual_seed(0))
    by_seed = values.mean(dim=2)  # (M, seeds)
    claims = []
    for better, worse in paper_orders(what, outcomes[0].data, figure, names):
        i, j = names.index(better), names.index(worse)
        holding = int((by_seed[i] < by_seed[j]).sum())
        claims.append(Claim(better, worse, float(shares[i, j]), holding, len(shared)))
    ranking = sorted(names, key=lambda name: means[name])
    return Comparison(figure, ranking, differences, claims, tuple(shared), values.shape[2])


def _difference(name: str, mine: Tensor, base: Tensor) -> Difference:
    low, high = statistics.paired_bootstrap(mine, base, statistics.DRAWS, torch.Generator().manual_seed(0))
    mean = float(base.mean())
    return Difference(name, float((mine - base).mean()), low, high, 100 / mean if mean else math.nan)
