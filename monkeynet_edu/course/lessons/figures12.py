"""Figures and sums of lesson 12: a divergence sampled, a latent nobody reads, what a step costs, votes against a metric."""

from __future__ import annotations

import hashlib
import json
import math
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from monkeynet_edu import baselines, experiments, training, viz
from monkeynet_edu.baselines.registry import takes_windows
from monkeynet_edu.course.character import Character, Colours, Proportions
from monkeynet_edu.course.lessons.figures08 import figure_films as figure_films
from monkeynet_edu.course.lessons.figures11 import beside as beside
from monkeynet_edu.course.study.folder import Study, build_study, open_study
from monkeynet_edu.course.study.methods import named_methods
from monkeynet_edu.course.study.votes import Reading, Vote, read_votes
from monkeynet_edu.data.datasets import Pair, open_dataset
from monkeynet_edu.data.sprites import Clip, training_clips
from monkeynet_edu.data.video import Frames, to_tensor
from monkeynet_edu.evaluators import PointDetector
from monkeynet_edu.experiments import Places, Reproduction
from monkeynet_edu.experiments.comparison import LABELS, PAPER
from monkeynet_edu.experiments.plans import EQUAL_STEPS, METHODS, SHIPPED_BUDGET, preset_of, shared_recipe
from monkeynet_edu.experiments.reports import paper_name, shown_value
from monkeynet_edu.files import kind_of
from monkeynet_edu.metrics import distances
from monkeynet_edu.model import Device, preset
from monkeynet_edu.paths import data_small, weights_path
from monkeynet_edu.viz import Picture

OURS = "monkey-net"
METHOD_NAMES = (OURS, "x2face")  # of the study
MOTIONS = tuple(range(10))  # of the ten pairs
EVERY = 2  # every second frame of a clip is shown and voted on
DATA = {"ours": "mini-taichi", "x2face": "mini-taichi", "mocogan": "mini-nemo", "cmmnet": "mini-nemo", "sv2p": "mini-bair"}
"""On what each method's steps are timed: where its shipped weights come from."""
SMALLER = 2  # steps are timed on half a batch, to spare memory

COLUMNS = {
    "l1": "L1",
    "l1_moving": "L1 moving",
    "akd": "AKD",
    "akd_l1": "AKD publ.",
    "mkr": "MKR",
    "aed": "AED",
    "fid": "mini-FID",
}
"""Figures of the tables, and what stands above them; lower is better in all."""

_INK, _ONE, _OTHER = "#1a1a1a", "#0072b2", "#d55e00"


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


# ------------------------------------------------------------------------------------------------------- divergences


def log_ratio(x: Tensor, mean: float, deviation: float) -> Tensor:
    """ln N(x; mean, deviation²) - ln N(x; 0, 1) for samples x, in nats."""
    return x.square() / 2 - ((x - mean) / deviation).square() / 2 - math.log(deviation)


def sampled_kl(mean: float, deviation: float, samples: int, generator: torch.Generator) -> Tensor:
    """Estimates of KL(N(mean, deviation²) ‖ N(0, 1)) from the first 1, 2, … samples: (samples,)."""
    x = mean + deviation * torch.randn(samples, generator=generator, dtype=torch.float64)
    return log_ratio(x, mean, deviation).cumsum(dim=0) / torch.arange(1, samples + 1)


def figure_sampled(estimates: Sequence[Tensor], exact: float) -> Picture:
    """Several running estimates of a divergence, and the closed form."""
    figure = _figure(5.6, 2.6)
    axis = figure.add_subplot()
    for number, values in enumerate(estimates):
        axis.plot(
            range(1, len(values) + 1), values.tolist(), linewidth=0.9, color="0.45", label=None if number else "sampled"
        )
    axis.axhline(exact, color=_OTHER, linestyle="--", linewidth=1.6, label="closed form")
    axis.set_xscale("log")
    axis.set_xlabel("samples", fontsize=8)
    axis.set_ylabel("nats", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=7)
    ends = ", ".join(f"{float(values[-1]):.3f}" for values in estimates)
    return Picture(
        figure,
        f"Running estimates of a divergence over the number of samples. They scatter at first and close in on the closed "
        f"form, {exact:.3f}; after {len(estimates[0])} samples: {ends}.",
    )


@dataclass(frozen=True)
class Latent:
    """How a small latent model learned.

    Attributes:
        nats: (steps + 1,) what z tells of x, the divergence of the posterior from the prior.
        error: (steps + 1,) mean squared error of the decoder, latent drawn from the posterior.
    """

    nats: Tensor
    error: Tensor


def learn_latent(betas: Sequence[float], rate: float = 0.05) -> Latent:
    """The smallest SV2P: one number x ~ N(0, 1), posterior N(a·x, s²), decoder w·z; descent on error + β·KL.

    Both terms are means over x and z in closed form, so nothing is drawn: E(x - w z)² = (1 - w a)² + w² s².

    Args:
        betas: β of each step.
        rate: of the descent.
    """
    a, w, log_s = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.05, 0.05, 0.0))
    nats, errors = [], []
    for beta in [*betas, 0.0]:
        error = (1 - w * a).square() + (w * log_s.exp()).square()
        kl = 0.5 * (a.square() + (2 * log_s).exp() - 1 - 2 * log_s)
        nats.append(kl.detach())
        errors.append(error.detach())
        gradients = torch.autograd.grad(error + beta * kl, (a, w, log_s))
        with torch.no_grad():
            for parameter, gradient in zip((a, w, log_s), gradients, strict=True):
                parameter -= rate * gradient
    return Latent(torch.stack(nats), torch.stack(errors))


def figure_latents(found: Mapping[str, Latent]) -> Picture:
    """Nats in z and error over the steps, one line a schedule."""
    figure = _figure(6.4, 2.6)
    left, right = figure.subplots(1, 2)
    styles = zip(("-", "--", ":"), (_ONE, _OTHER, _INK), strict=True)
    for (name, latent), (style, colour) in zip(found.items(), styles, strict=False):
        left.plot(latent.nats.tolist(), style, color=colour, label=name)
        right.plot(latent.error.tolist(), style, color=colour, label=name)
    for axis, title in ((left, "what z tells of x (nats)"), (right, "squared error")):
        axis.set_title(title, fontsize=8)
        axis.set_xlabel("step", fontsize=8)
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=7)
    left.legend(fontsize=7)
    said = "; ".join(
        f"{name}: at the end {float(latent.nats[-1]):.2f} nats and an error of {float(latent.error[-1]):.2f}"
        for name, latent in found.items()
    )
    return Picture(figure, f"Two curves of each schedule over the steps: nats that z carries, and squared error. {said}.")


# ----------------------------------------------------------------------------------------------------- small pictures


def sharpness(film: Tensor) -> float:
    """Mean difference of neighbouring pixels of frames 1… of a film (T, 3, H, W): blur lowers it."""
    return float(film[1:].diff(dim=-1).abs().mean() + film[1:].diff(dim=-2).abs().mean())


def squared_error(film: Tensor, truth: Tensor) -> float:
    """Mean squared difference of frames 1… of two films (T, 3, H, W)."""
    return float((film[1:] - truth[1:]).square().mean())


def figure_row(pictures: Mapping[str, Tensor], alt: str) -> Picture:
    """Pictures (3, H, W) side by side, with their names above."""
    figure = _figure(1.5 * len(pictures), 1.8)
    axes = figure.subplots(1, len(pictures), squeeze=False)[0]
    for axis, (name, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(viz.to_uint8(picture), interpolation="nearest")
        axis.set_title(name, fontsize=8)
        axis.set(xticks=[], yticks=[])
    return Picture(figure, alt)


# ------------------------------------------------------------------------------------------------------ what steps cost


@dataclass(frozen=True)
class Cost:
    """What a step of a method costs, measured here.

    Attributes:
        title: as in the paper's tables.
        parameters: of all networks that learn.
        seconds: of a step, the median; on a processor its own time, whatever else it is busy with.
        frames: that the method looks at in a step.
    """

    title: str
    parameters: int
    seconds: float
    frames: int


def step_cost(name: str, device: Device, steps: int) -> Cost:
    """Times some steps of a method of Tables 1 and 3 on one batch, half as large as there; the first one does not count.

    Args:
        name: ``ours``, or of a rival.
        device: where to compute.
        steps: that count, at least 1.
    """
    data = DATA[name]
    if name == "ours":
        run: Any = training.start(preset(preset_of(data)), shared_recipe(data, 0), data, device)
    else:
        run = baselines.start(name, baselines.recipe_for(name, data, 0, generated=True), data, device)
    run.recipe = replace(run.recipe, batch_size=run.recipe.batch_size // SMALLER)
    whole = name != "ours" and takes_windows(name)
    clips = training_clips(data, 0, run.recipe.batch_size, run.config.frame_size, None if whole else 4)
    run.model.train()
    batch, seconds = run.sampler(clips, device.device).batch(0), []
    for _ in range(steps + 1):
        began = _now(device)
        run.take(batch, 0.9, device)
        seconds.append(_now(device) - began)
    title = METHODS["ours"].title if name == "ours" else baselines.title(name)
    learned = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    frames = sum(math.prod(part.shape[:-3]) for part in batch)
    return Cost(title, learned, statistics.median(seconds[1:]), frames)


def step_costs(device: Device, steps: int) -> list[Cost]:
    """:func:`step_cost` of ours and of every rival, behind a progress bar where it takes long."""
    return [step_cost(name, device, steps) for name in tqdm(DATA, desc="timing steps", delay=1, leave=False)]


def _now(device: Device) -> float:
    """Seconds: of the processor, or on the clock once a graphics card has done all that was asked."""
    if device.device.type == "cpu":
        return time.process_time()
    if device.device.type == "cuda":
        torch.cuda.synchronize(device.device)
    return time.perf_counter()


def orders(costs: Sequence[Cost]) -> dict[str, list[str]]:
    """Who gets the most out of each kind of 'equal', by titles: equal steps → the most seconds, and so on."""

    def by(most: Mapping[str, float]) -> list[str]:
        return sorted(most, key=lambda title: -most[title])

    return {
        "equal steps: who gets the most minutes": by({c.title: c.seconds for c in costs}),
        "equal steps: who sees the most frames": by({c.title: c.frames for c in costs}),
        "equal minutes: who takes the most steps": by({c.title: 1 / c.seconds for c in costs}),
        "equal minutes: who sees the most frames": by({c.title: c.frames / c.seconds for c in costs}),
        "as they are: who has the most parameters": by({c.title: c.parameters for c in costs}),
    }


def figure_costs(costs: Sequence[Cost]) -> Picture:
    """Seconds a step, frames a step and parameters, one bar a method."""
    figure = _figure(6.6, 0.3 * len(costs) + 0.9)
    panels = figure.subplots(1, 3, sharey=True)
    values: dict[str, list[float]] = {
        "seconds a step": [c.seconds for c in costs],
        "frames a step": [c.frames for c in costs],
        "parameters (thousands)": [c.parameters / 1000 for c in costs],
    }
    for axis, (name, numbers) in zip(panels, values.items(), strict=True):
        bars = axis.barh(range(len(costs)), numbers, color=_ONE, edgecolor=_INK, linewidth=0.4)
        axis.bar_label(bars, [f"{n:.0f}" if n >= 100 else f"{n:.3g}" for n in numbers], fontsize=7, padding=2)
        axis.set_xlim(0, 1.35 * max(numbers))
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=7)
    panels[0].set_yticks(range(len(costs)), [c.title for c in costs], fontsize=8)
    panels[0].invert_yaxis()
    said = "; ".join(
        f"{c.title} {c.seconds:.2g} seconds, {c.frames} frames, {c.parameters / 1000:.0f} thousand parameters"
        for c in costs
    )
    return Picture(figure, f"Three bar charts, one bar a method. {said}.")


# ---------------------------------------------------------------------------------------------------------- the tables


def table(name: str) -> Reproduction | None:
    """The shipped runs of a table of the paper, compared; None while there are none."""
    what = experiments.EXPERIMENTS[name]
    places = Places(data_small() / "results", Path("runs"))
    for budget in (SHIPPED_BUDGET, "cpu", "gpu"):
        how = experiments.effort(budget)
        if any(places.records(name, budget).glob("*.json")):
            return experiments.report(what, how, places)
    return None


def winners(found: Reproduction) -> dict[str, dict[str, str]]:
    """Data set → figure's label → title of the method with the lowest mean, where two or more methods have it."""
    best: dict[str, dict[str, str]] = {}
    for data in found.what.data:
        rows = [outcome for outcome in found.outcomes if outcome.data == data]
        for figure, label in LABELS.items():
            known = {o.title: o.mean(figure) for o in rows if math.isfinite(o.mean(figure))}
            if len(known) > 1:
                best.setdefault(data, {})[label] = min(known, key=lambda title: known[title])
    return best


def table_lines(found: Reproduction) -> list[str]:
    """A table as text: the miniature's figures, below them the paper's, and what the first frame, repeated, would get."""
    named = {name: title for name, title in COLUMNS.items() if any(math.isfinite(o.mean(name)) for o in found.outcomes)}
    lines = [f"{'data':12} {'method':18}" + "".join(f"{title:>11}" for title in named.values())]
    for data in found.what.data:
        rows = [outcome for outcome in found.outcomes if outcome.data == data]
        for number, outcome in enumerate(rows):
            paper = PAPER.get((found.what.name, outcome.method, data), {})
            lines.append(_line("" if number else data, outcome.title, {name: outcome.mean(name) for name in named}))
            if paper:
                printed = {name: paper.get(paper_name(name), math.nan) for name in named}
                lines.append(_line("", "  paper", printed))
        if rows:
            lines.append(_line("", "still picture", {name: rows[0].mean(f"{name}_repeat_source") for name in named}))
    return lines


def _line(data: str, title: str, values: Mapping[str, float]) -> str:
    return f"{data:12} {title:18}" + "".join(f"{shown_value(name, value):>11}" for name, value in values.items())


def budgets(found: Reproduction) -> list[str]:
    """A line for each method and data set: steps, what is in one, minutes, seeds."""
    lines = []
    for outcome in found.outcomes:
        plan = outcome.records[0]["identity"]
        minutes = [record["training_seconds"] / 60 for record in outcome.records]
        shown = "windows," if takes_windows(METHODS[outcome.method].variant) else "pairs,"
        lines.append(
            f"{outcome.data:12} {outcome.title:18} {plan['steps']:5} steps of {plan['recipe']['batch_size']:2} {shown:8} "
            f"{min(minutes):.1f} to {max(minutes):.1f} minutes, seeds {', '.join(map(str, outcome.seeds))}"
        )
    return lines


def equal_minutes() -> dict[str, float]:
    """Steps that other methods take in the time of one of ours in Tables 1 and 3, by title."""
    return {method.title: EQUAL_STEPS[method.variant] for method in METHODS.values() if method.variant in EQUAL_STEPS}


def tried_rates() -> list[str]:
    """A line a method: the learning rates that were tried, what came out, and which one the tables take."""
    found: dict[str, dict[str, Any]] = json.loads((data_small() / "results" / "rates.json").read_text("utf-8"))
    lines = []
    for name in [name for name in DATA if any(key.split()[0] == name for key in found)]:
        tried = {key.split()[1]: came for key, came in found.items() if key.split()[0] == name}
        title = METHODS["ours"].title if name == "ours" else baselines.title(name)
        figures = ", ".join(f"{float(rate):g}: {came['value']:.3f}" for rate, came in tried.items())
        label = LABELS[next(iter(tried.values()))["figure"]]
        lines.append(f"{title:8} {label:19} {figures}; taken: {_rate(name):g}")
    return lines


def _rate(name: str) -> float:
    data = DATA[name]
    made = shared_recipe(data, 0) if name == "ours" else baselines.recipe_for(name, data, 0, generated=True)
    return made.learning_rate


def given(name: str) -> str:
    """What shipped weights were given, from their card: the command that trained them."""
    card = weights_path(name).with_suffix(".md").read_text("utf-8")
    found = re.search(r"`(monkeynet-edu train [^`]*?) --out", card)
    assert found is not None, name
    return " ".join(found[1].split())


# ----------------------------------------------------------------------------------------------------------- the study


def driver() -> Character:
    """Whose movements the learner's character takes over: somebody else, in another place."""
    colours = Colours("#2a9d8f", "#e9c46a", "#264653", "#f4a261", "#e0ac82", "#222222", "#dddddd")
    return Character("Kiri", Proportions(0.97, 1.1, 1.05, 0.95), colours, "bun", "long", "long", "plain", 11)


@dataclass(frozen=True)
class Ballot:
    """The ten pairs of the study.

    Attributes:
        study: as it lies on the disk.
        truths: the learner's character as it would really move, by the pair's name: (T, H, W, 3) uint8.
    """

    study: Study
    truths: dict[str, Frames]


def _films(who: Character, name: str) -> list[Clip]:
    clips = [who.clip(motion=motion) for motion in MOTIONS]
    return [Clip(f"{name}-{motion}", c.frames, c.fps, c.truth) for motion, c in zip(MOTIONS, clips, strict=True)]


def ballot(character: Character, place: Path, device: Device) -> Ballot:
    """The study of ten pairs with a character of one's own; made once for each character, later opened.

    Args:
        character: who is animated, by the movements of :func:`driver`.
        place: folder in which the study's folder lies.
        device: where to compute.

    Raises:
        UserError: no place to write, or no weights.
    """
    mark = hashlib.sha256(json.dumps(character.to_json(), sort_keys=True).encode()).hexdigest()[:8]
    folder = place / f"my_study-{mark}"
    mine, theirs = _films(character, "mine"), _films(driver(), "driver")
    if kind_of(folder) == "nothing":
        pairs = [Pair(number, len(mine) + number) for number in range(len(mine))]
        methods = named_methods(METHOD_NAMES, "mini-taichi", device)
        with tqdm(total=len(pairs), desc="filming pairs", delay=1, leave=False) as bar:
            films, progress = [*mine, *theirs], lambda *_: bar.update()
            build_study(films, pairs, methods, folder, data="mini-taichi", seed=0, step=EVERY, progress=progress)
    study = open_study(folder)
    by_name = {clip.name: clip.frames[::EVERY] for clip in mine}
    return Ballot(study, {t.id: by_name[t.source] for t in study.trials if not t.is_check})


def read_mine(study: Study) -> Reading:
    """The votes that lie in a study's folder."""
    return read_votes([study.votes]) if kind_of(study.votes) == "folder" else Reading((), ())


def synthetic_votes(study: Study, raters: int = 2, seed: int = 12) -> Reading:
    """Votes that a coin made, each marked so: what a report looks like, and no result. They are never written to a file."""
    random = np.random.default_rng(seed)
    votes = []
    for number in range(raters):
        rater = f"r-synthet{'abcdefgh'[number]}"
        for trial in study.trials:
            left, right = trial.methods
            heads = "left" if trial.is_check and left == "reference" else "right" if trial.is_check else None
            side: Any = heads or ("left" if random.random() < 0.5 else "right")
            votes.append(Vote(study.fingerprint, study.about.data, rater, trial.id, left, right, side, synthetic=True))
    return Reading(tuple(votes), ())


@dataclass(frozen=True)
class Judged:
    """One pair, measured and voted on.

    Attributes:
        pair: its name in the study.
        akd: AKD to the truth in pixels, by method.
        l1: mean absolute error to the truth, by method.
        films: (T, 3, H, W), by method.
        chosen: what the rater preferred.
    """

    pair: str
    akd: dict[str, float]
    l1: dict[str, float]
    films: dict[str, Tensor]
    chosen: str

    @property
    def favourite(self) -> str:
        """The method that AKD prefers."""
        return min(self.akd, key=lambda name: self.akd[name])

    @property
    def agreed(self) -> bool:
        """Whether L1 has the same favourite."""
        return min(self.l1, key=lambda name: self.l1[name]) == self.favourite

    @property
    def margin(self) -> float:
        """How much AKD prefers it by, in pixels."""
        return max(self.akd.values()) - min(self.akd.values())

    @property
    def against(self) -> bool:
        """Whether the vote went against the metric."""
        return self.chosen != self.favourite


def judged(votes: Sequence[Vote], held: Ballot, detector: PointDetector) -> list[Judged]:
    """Measures every pair that one rater voted on against the true film; the first frame, the source, is left out."""
    chosen = {vote.pair: vote.preferred for vote in votes if not vote.is_check}
    found = []
    for trial in held.study.trials:
        if trial.id not in chosen:
            continue
        truth = to_tensor(held.truths[trial.id])
        films = {film.method: to_tensor(held.study.frames(film)) for film in trial.films}
        real = detector(truth[1:])
        akd, l1 = {}, {}
        for name, film in films.items():
            seen = detector(film[1:])
            both = real.found() & seen.found()
            akd[name] = float(distances.average_keypoint_distance(real.position, seen.position, both))
            l1[name] = float((film[1:] - truth[1:]).abs().mean())
        found.append(Judged(trial.id, akd, l1, films, chosen[trial.id]))
    return found


def figure_interval(shares: Mapping[str, tuple[float, float, float]]) -> Picture:
    """Shares with their intervals (share, low, high), one row each; ½ is marked."""
    figure = _figure(5.6, 0.36 * len(shares) + 0.8)
    axis = figure.add_subplot()
    for row, (share, low, high) in enumerate(shares.values()):
        axis.plot([100 * low, 100 * high], [row, row], color=_ONE, linewidth=3, solid_capstyle="butt")
        axis.plot(100 * share, row, "D", color=_INK, markersize=5)
    axis.axvline(50, color="0.4", linestyle="--", linewidth=1)
    axis.set_yticks(range(len(shares)), list(shares), fontsize=8)
    axis.set_ylim(len(shares) - 0.5, -0.5)
    axis.set_xlim(0, 102)
    axis.set_xlabel("share of votes (%), 95 % interval; dashed: a coin", fontsize=8)
    axis.tick_params(axis="x", labelsize=7)
    said = "; ".join(f"{name}: {100 * s:.0f} %, {100 * a:.0f} to {100 * b:.0f} %" for name, (s, a, b) in shares.items())
    return Picture(figure, f"Shares with exact intervals, a dashed line at 50 %. {said}.")


def clips_of(data: str) -> Sequence[Clip]:
    """The shipped test clips of a miniature: characters and places that no training clip shows."""
    return open_dataset(data, "test")
