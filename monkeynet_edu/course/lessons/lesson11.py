"""Lesson 11: one thing taken away at a time; what a handful of trained models allows one to say."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, Violation, expect, two_ends
from monkeynet_edu.generator import GeneratorConfig
from monkeynet_edu.losses import LossWeights
from monkeynet_edu.model import MonkeyNetConfig, preset

IMPORTS = """\
import math
from dataclasses import replace

import torch
from torch import Tensor

from monkeynet_edu import animation, experiments, training
from monkeynet_edu.course.lessons import figures11 as figures
from monkeynet_edu.experiments import comparison, plans, statistics
from monkeynet_edu.model import MonkeyNet, MonkeyNetConfig"""

DRAWS = 10_000


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------------------- one ablation


def _config(came: Any, tried: str) -> MonkeyNetConfig:
    """The answer, which has to be a configuration."""
    if came is None:
        raise Violation("Your function returned nothing. Is there a `return`?", tried, "a MonkeyNetConfig", "None")
    if not isinstance(came, MonkeyNetConfig):
        raise Violation("A whole configuration has to come back", tried, "a MonkeyNetConfig", type(came).__name__)
    return came


def _odd_config() -> MonkeyNetConfig:
    """A configuration in which hardly anything is a default."""
    full = preset("mini-plain-absolute")
    detector = replace(full.detector, keypoints=7)
    generator = replace(full.generator, width=24, refinement_blocks=3, resize="nearest")
    losses = replace(full.losses, deformed=3.0, adversarial=0.5, discriminator=0.25)
    return replace(full, frame_size=128, detector=detector, generator=generator, losses=losses)


def _settings(config: MonkeyNetConfig) -> dict[str, Any]:
    """All settings by their dotted names, but for the flow network and the loss on the deformed frame."""
    flat: dict[str, Any] = {}

    def walk(values: dict[str, Any], prefix: str) -> None:
        for name, value in values.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")
            else:
                flat[prefix + name] = value

    values = asdict(config)
    del values["generator"]["motion"]
    del values["losses"]["deformed"]
    walk(values, "")
    return flat


def _no_motion(f: Function) -> None:
    tried = "the configuration of our small model"
    out = _config(f(preset("mini-plain")), tried)
    if out.generator.motion is not None:
        message = "Without a flow there is no motion network: G's setting `motion` has to be None"
        raise Violation(message, tried, "generator.motion = None", "generator.motion = MotionConfig(…)")


def _no_loss_on_it(f: Function) -> None:
    tried = "a configuration whose loss on the deformed frame has the weight 3"
    weight = _config(f(_odd_config()), tried).losses.deformed
    expect(weight, 0.0, "Nothing is deformed any more, so the loss on the deformed frame must not count", tried)


def _rest_stays(f: Function) -> None:
    for config, tried in ((preset("mini-plain"), "our small model"), (_odd_config(), "a model with other settings")):
        mine, right = _settings(_config(f(config), tried)), _settings(config)
        for name, value in right.items():
            if mine.get(name) != value:
                message = f"An ablation changes one thing: `{name}` has to stay what it was"
                raise Violation(message, tried, f"{name} = {value!r}", f"{name} = {mine.get(name)!r}")


def _without_flow_by_hand(config: MonkeyNetConfig) -> MonkeyNetConfig:
    g, w = config.generator, config.losses
    return MonkeyNetConfig(
        config.frame_size,
        config.detector,
        GeneratorConfig(g.width, g.max_width, g.levels, g.refinement_blocks, g.embedding, None, g.resize),
        config.discriminator,
        LossWeights(w.feature_matching, 0.0, w.adversarial, w.discriminator),
        config.transfer,
    )


def _without_flow_by_json(config: MonkeyNetConfig) -> MonkeyNetConfig:
    values = json.loads(config.to_json())
    values["generator"]["motion"] = None
    values["losses"]["deformed"] = 0.0
    return MonkeyNetConfig.from_json(json.dumps(values))


def _without_flow_nested(config: MonkeyNetConfig) -> MonkeyNetConfig:
    silent = replace(config, losses=replace(config.losses, deformed=0.0))
    return replace(silent, generator=replace(silent.generator, motion=None))


ABLATION = Exercise(
    id="without-flow",
    title="One ablation",
    target="monkeynet_edu.experiments.plans:without_flow",
    statement=(
        "Make the configuration of the model without a flow out of the full one: no motion network, no loss on the "
        "deformed frame; everything else as it was."
    ),
    level="stub",
    steps=(
        "a copy of the generator's settings (config.generator) with motion=None",
        "a copy of the losses' weights (config.losses) with deformed=0.0",
        "a copy of the whole configuration with these two in their places",
    ),
    hints=(
        "Two settings of the full model change, in two places; the other thirty stay. `replace(settings, name=value)` "
        "gives a copy of some settings with one of them changed.",
        "The settings lie inside each other: `config.generator` is an object of its own, with `motion` in it, and "
        "`config.losses` is another, with `deformed` in it. Make both copies, then a copy of `config` that holds them.",
        "`generator = replace(config.generator, motion=None)`, the same for the losses, then "
        "`replace(config, generator=generator, losses=losses)`.",
    ),
    calls=lambda: (
        Call("the configuration of our small model", (preset("mini-plain"),)),
        Call("a configuration with hardly any default in it", (_odd_config(),)),
        Call("the published configuration for BAIR", (preset("bair"),)),
    ),
    properties=(
        Property("no-motion", "there is no motion network", _no_motion),
        Property("no-loss", "the loss on the deformed frame does not count", _no_loss_on_it),
        Property("the-rest", "everything else stays what it was", _rest_stays),
    ),
    mutants=(
        Mutant(
            "loss-kept",
            "taking M away is enough; the loss takes care of itself",
            "The loss on the deformed frame still counts. Without a flow that frame is the source picture itself: what "
            "could anybody learn from the loss, and what would its curve look like beside the other rows'?",
            (("losses = replace(config.losses, deformed=0.0)", "losses = config.losses"),),
        ),
        Mutant(
            "loss-alone",
            "`replace` changes the object that it is given",
            "The motion network is still there. `replace` changes nothing: it returns a *changed copy*, which has to be "
            "put into the copy of the whole.",
            (("replace(config, generator=generator, losses=losses)", "replace(config, losses=losses)"),),
        ),
        Mutant(
            "no-residual",
            "no flow means without F_residual",
            "That is another row of the table, *No F_residual*: flow from parts alone. Here there shall be no flow at "
            "all.",
            (("motion=None", 'motion=replace(config.generator.motion, flow=("coarse",))'),),
        ),
        Mutant(
            "fresh-generator",
            "a generator without motion is a new one",
            "You build the generator's settings anew, and all others in it fall back to their defaults: another width, "
            "another depth. Then two things differ from the full model, and nobody knows which one made the difference.",
            (("replace(config.generator, motion=None)", "type(config.generator)(motion=None)"),),
        ),
        Mutant(
            "keypoints-gone-too",
            "without a flow, G needs no keypoints",
            "You take the keypoints' heatmaps from the generator as well. They are then all that tells it where things "
            "shall be; and an ablation takes away one thing, not two.",
            (("motion=None", "motion=None, embedding=None"),),
        ),
    ),
    alternatives=(_without_flow_by_hand, _without_flow_by_json, _without_flow_nested),
    box="experiments",
    survivors={
        "constant: losses = replace(config.losses, deformed=0.0) -> losses = replace(config.losses, deformed=-0.0)": (
            "a weight of -0 is a weight of 0"
        ),
    },
)

# ------------------------------------------------------------------------------------------------ the paired interval

# The differences of these eight clips are four times 0 and four times 1, so that eighths of 0…8 are the only possible
# means and both ends fall on one of them whatever is drawn, in which order ever: comparing needs no common random numbers.
_EIGHT_A = (2.0, 0.0, 1.0, 1.0, 0.0, 2.0, 1.0, 1.0)
_EIGHT_B = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0)


def _interval_calls() -> Sequence[Call]:
    a, b = torch.tensor(_EIGHT_A), torch.tensor(_EIGHT_B)
    return (
        Call("8 clips whose differences are 0 or 1, 10 000 draws", (a, b, DRAWS, _generator())),
        Call("8 clips whose differences are -0.5 or 2.5, 10 000 draws", (3 * a + 4, 3 * b + 4.5, DRAWS, _generator(1))),
    )


def _observe_interval(f: Function, call: Call) -> Tensor:
    a, b, draws, generator = call.args
    again = torch.Generator().manual_seed(generator.initial_seed())
    return torch.tensor(two_ends(f(a, b, draws, again), call.said), dtype=torch.float64)


def _interval_by_hand(f: Function) -> None:
    tried = "two clips with the differences 1 and 3, 4000 draws"
    message = "The means of two drawn clips are 1, 2 or 3, and 1 and 3 come up in a quarter of the draws each"
    got = two_ends(f(torch.tensor([2.0, 7.0]), torch.tensor([1.0, 4.0]), 4000, _generator()), tried)
    expect(torch.tensor(got), [1.0, 3.0], message, tried)


def _interval_constant(f: Function) -> None:
    tried = "clips of very different difficulty, all with the difference 0.25"
    b = 40 * torch.rand(12)
    message = "Where every clip has the same difference there is nothing to doubt: both ends are that difference"
    expect(torch.tensor(two_ends(f(b + 0.25, b, 2000, _generator()), tried)), [0.25, 0.25], message, tried)


def _interval_binomial(f: Function) -> None:
    tried = "8 clips, four with the difference 1 and four with 0; 10 000 draws"
    message = (
        "The number of ones among 8 drawn clips is a coin thrown 8 times: 1 or fewer in 3.5 % of the draws, 7 or more in "
        "3.5 %; so 2.5 % lie below 1/8 and above 7/8"
    )
    got = two_ends(f(torch.tensor(_EIGHT_A), torch.tensor(_EIGHT_B), DRAWS, _generator(2)), tried)
    expect(torch.tensor(got), [1 / 8, 7 / 8], message, tried)


def _interval_mirror(f: Function) -> None:
    a, b = 3 * torch.tensor(_EIGHT_A) + 4, 3 * torch.tensor(_EIGHT_B) + 4.5
    tried = "8 clips, and the same with the two methods exchanged"
    low, high = two_ends(f(a, b, DRAWS, _generator()), tried)
    back = two_ends(f(b, a, DRAWS, _generator()), tried)
    message = "The difference is a - b: exchanging the methods changes the sign of both ends, and the ends change places"
    expect(torch.tensor(back), [-high, -low], message, tried)
    expect(torch.tensor((low, high)), [-0.125, 2.125], "8 clips with the differences -0.5 and 2.5, four times each", tried)


def _interval_many(f: Function) -> None:
    random = _generator(3)
    difference = torch.randn(400, generator=random, dtype=torch.float64) + 0.3
    b = 50 * torch.rand(400, generator=random, dtype=torch.float64)
    mean, error = float(difference.mean()), float(difference.std()) / 400**0.5
    message = "For many clips the ends come close to the mean ± 1.96 standard errors of the difference"
    tried = "400 clips, normal differences, clips of very different difficulty; 2000 draws"
    got = torch.tensor(two_ends(f(b + difference, b, 2000, _generator()), tried))
    expect(got, [mean - 1.96 * error, mean + 1.96 * error], message, tried, tolerance=0.02)


def _interval_repeats(f: Function) -> None:
    random = _generator(4)
    a, b = torch.rand(30, generator=random), torch.rand(30, generator=random)
    tried = "30 random clips, twice, with two generators of the same seed"
    first, second = (torch.tensor(two_ends(f(a, b, 300, _generator(5)), tried)) for _ in range(2))
    message = "The generator that you are given decides the draws: the same seed has to give the same interval"
    expect(second, first, message, tried, tolerance=1e-9)


def _interval_by_loop(a: Tensor, b: Tensor, draws: int, generator: torch.Generator) -> tuple[float, float]:
    difference = (a - b).double()
    means = []
    for _ in range(draws):
        chosen = torch.randint(len(a), (len(a),), generator=generator)
        means.append(float(difference[chosen].sum()) / len(a))
    ordered = sorted(means)
    return ordered[round(0.025 * (draws - 1))], ordered[round(0.975 * (draws - 1))]


def _interval_by_counts(a: Tensor, b: Tensor, draws: int, generator: torch.Generator) -> tuple[float, float]:
    """How often each clip comes up in a draw, as weights."""
    clips = len(a)
    drawn = torch.randint(clips, (clips, draws), generator=generator)
    counts = torch.zeros(clips, draws, dtype=torch.float64).scatter_add_(0, drawn, torch.ones(clips, draws).double())
    means = (a.double() - b.double()) @ counts / clips
    ends = np.percentile(means.numpy(), [2.5, 97.5])
    return float(ends[0]), float(ends[1])


def _interval_of_both_means(a: Tensor, b: Tensor, draws: int, generator: torch.Generator) -> tuple[float, float]:
    """The means of both methods over the same drawn clips."""
    drawn = torch.multinomial(torch.ones(len(a)), draws * len(a), replacement=True, generator=generator).view(draws, -1)
    gap = a[drawn].double().mean(dim=1) - b[drawn].double().mean(dim=1)
    ordered = gap.sort().values
    return float(ordered[int(0.025 * draws)]), float(ordered[-int(0.025 * draws) - 1])


INTERVAL = Exercise(
    id="paired-bootstrap",
    title="The paired interval",
    target="monkeynet_edu.experiments.statistics:paired_bootstrap",
    statement=(
        "The 95 % interval of the mean of `a - b` over clips, by a paired bootstrap: draw the clips again, with "
        "replacement, `draws` times; take the mean difference of each draw; return the 2.5 % and the 97.5 % point of "
        "those means."
    ),
    level="stub",
    steps=(
        "the difference of the two methods, clip by clip",
        "numbers of clips, drawn with replacement from the generator: one row a draw, as many as there are clips",
        "the mean difference of each draw",
        "the point below which 2.5 % of these means lie, and the one above which 2.5 % lie",
        "both as plain numbers (float)",
    ),
    hints=(
        "Which clips happened to be in the test set is luck. Play that luck again and again: draw as many clips as you "
        "have, some of them twice, some not at all, and see how much the mean *difference* jumps about. Both methods "
        "are always seen on the same clips.",
        "`torch.randint(clips, (draws, clips), generator=generator)` gives the drawn clips. Indexing (n,) differences "
        "with it gives (draws, n); a mean over the clips leaves (draws,); `torch.quantile` of that gives one end.",
        "`means = (a - b)[drawn].mean(dim=1)`, then `torch.quantile(means, 0.025)` and `torch.quantile(means, 0.975)`.",
    ),
    calls=_interval_calls,
    observe=_observe_interval,
    properties=(
        Property("by-hand", "differences 1 and 3: the interval is 1 to 3", _interval_by_hand),
        Property("constant", "the same difference on every clip: nothing to doubt", _interval_constant),
        Property("coins", "4 of 8 clips differ by 1: from 1/8 to 7/8", _interval_binomial),
        Property("mirror", "exchanging the methods mirrors the interval", _interval_mirror),
        Property("many", "for many clips: the mean ± 1.96 standard errors", _interval_many),
        Property("repeats", "the same seed gives the same interval", _interval_repeats),
    ),
    mutants=(
        Mutant(
            "unpaired",
            "each method has its own luck with its clips",
            "You draw the clips of each method by themselves. But both were measured on the *same* clips: a hard clip "
            "is hard for both. In your interval that difficulty counts as doubt about the difference.",
            (
                (
                    "difference[drawn].mean(dim=1)",
                    "a[drawn].mean(dim=1) - b[torch.randint(clips, (draws, clips), generator=generator)].mean(dim=1)",
                ),
            ),
        ),
        Mutant(
            "ends-subtracted",
            "the interval of a difference comes from the intervals of the two",
            "You make an interval for each method and compare their ends. Two intervals may overlap by far although the "
            "difference is there on every single clip: look at the *differences*.",
            (
                (
                    "low = torch.quantile(means, 0.025)",
                    "low = a[drawn].mean(dim=1).quantile(0.025) - b[drawn].mean(dim=1).quantile(0.975)",
                ),
                (
                    "high = torch.quantile(means, 0.975)",
                    "high = a[drawn].mean(dim=1).quantile(0.975) - b[drawn].mean(dim=1).quantile(0.025)",
                ),
            ),
        ),
        Mutant(
            "spread-of-clips",
            "the interval shows where single clips lie",
            "Yours says where the difference of a *single clip* lies. Asked is how sure the *mean* is: of many clips it "
            "is much surer than one of them.",
            (("means = difference[drawn].mean(dim=1)", "means = difference[drawn].flatten()"),),
        ),
        Mutant(
            "without-replacement",
            "a drawn clip is used up",
            "You shuffle. Whoever draws all clips once has the same clips each time, and the same mean. Drawn *with "
            "replacement*, a clip may come up twice, and another one is missing.",
            (
                (
                    "torch.randint(clips, (draws, clips), generator=generator)",
                    "torch.stack([torch.randperm(clips, generator=generator) for _ in range(draws)])",
                ),
            ),
        ),
        Mutant(
            "sign",
            "the order of the two does not matter",
            "Your interval is of b - a. Whoever reads it would take the worse method for the better one.",
            (("a - b", "b - a"),),
        ),
        Mutant(
            "ninety",
            "5 % at each end make 95 %",
            "You cut off 5 % on each side; 90 % are left between. For 95 % in the middle, how much goes off at each end?",
            (("0.025", "0.05"), ("0.975", "0.95")),
        ),
        Mutant(
            "formula",
            "mean ± 1.96 standard errors is the interval, whatever the distribution",
            "You use the formula for normal distributions. It is close where clips are many; with few, or with some "
            "clips far off, the means are not normal, often not even symmetric. The draws themselves tell: count off "
            "2.5 % from below and from above.",
            (
                ("low = torch.quantile(means, 0.025)", "low = difference.mean() - 1.96 * difference.std() / clips**0.5"),
                ("high = torch.quantile(means, 0.975)", "high = difference.mean() + 1.96 * difference.std() / clips**0.5"),
            ),
        ),
    ),
    alternatives=(_interval_by_loop, _interval_by_counts, _interval_of_both_means),
    box="experiments",
)

# ------------------------------------------------------------------------------------------------ the stability of an order

# Before they are compared, answers are rounded to 0.1. Over all 4⁴ (5⁵) ways to draw these clips no share is near a step of
# that rounding: it does not matter how somebody draws.
_THREE = ((3.0, 1.0, 5.0, 2.0), (2.0, 2.0, 5.0, 3.0), (1.0, 3.0, 5.0, 4.0))
_TWO = ((3.0, 5.0, 1.0, 4.0, 2.0), (2.0, 5.0, 2.0, 5.0, 2.0))


def _shares(came: Any, methods: int, tried: str) -> Tensor:
    """The answer, which has to be a square tensor of shares."""
    if came is None:
        raise Violation("Your function returned nothing. Is there a `return`?", tried, "a tensor (M, M)", "None")
    if not isinstance(came, Tensor):
        raise Violation("Your function must return a tensor", tried, "a tensor (M, M)", type(came).__name__)
    if came.shape != (methods, methods):
        shapes = f"({methods}, {methods})", str(tuple(came.shape))
        raise Violation("One share for each pair of methods has to come back", tried, *shapes)
    return came.detach().double()


def _observe_shares(f: Function, call: Call) -> Tensor:
    values, draws, generator = call.args
    again = torch.Generator().manual_seed(generator.initial_seed())
    return (10 * _shares(f(values, draws, again), len(values), call.said)).round() / 10


def _stability_calls() -> Sequence[Call]:
    return (
        Call("3 methods on 4 clips, 10 000 draws", (torch.tensor(_THREE), DRAWS, _generator())),
        Call("2 methods on 5 clips, 10 000 draws", (torch.tensor(_TWO), DRAWS, _generator(1))),
    )


def _order_certain(f: Function) -> None:
    tried = "three methods on hard and easy clips; the second is 0.01 below the first on each, the third 0.01 above"
    first = 30 * torch.rand(10)
    out = _shares(f(torch.stack([first, first - 0.01, first + 0.01]), 1000, _generator()), 3, tried)
    off = ~torch.eye(3, dtype=torch.bool)
    message = "A method that is lower on every clip is lower in every draw, since all are compared on the same drawn clips"
    expect(out[off], [0.0, 1.0, 1.0, 1.0, 0.0, 0.0], message, tried)


def _order_ties(f: Function) -> None:
    same = torch.rand(6)
    tried = "two methods with the same figures"
    message = "Equal means count half: on the diagonal, and between two methods with the same figures, stands ½"
    expect(_shares(f(torch.stack([same, same]), 500, _generator()), 2, tried), [[0.5, 0.5], [0.5, 0.5]], message, tried)


def _order_all_draws(f: Function) -> None:
    for values, said in ((_THREE, "3 methods on 4 clips: all 256 draws"), (_TWO, "2 methods on 5 clips: all 3125 draws")):
        right = torch.zeros(len(values), len(values))
        ways = list(itertools.product(range(len(values[0])), repeat=len(values[0])))
        for way in ways:
            sums = [sum(row[clip] for clip in way) for row in values]
            for i, mine in enumerate(sums):
                for j, other in enumerate(sums):
                    right[i, j] += (1.0 if mine < other else 0.5 if mine == other else 0.0) / len(ways)
        got = _shares(f(torch.tensor(values), DRAWS, _generator(2)), len(values), said)
        expect(got, right, "Entry [i, j] is the share of draws in which method i has the lower mean", said, tolerance=0.025)


def _order_complement(f: Function) -> None:
    tried = "four random methods on 7 clips"
    out = _shares(f(torch.rand(4, 7), 500, _generator()), 4, tried)
    expect(out + out.T, torch.ones(4, 4), "Either i is lower or j is: [i, j] and [j, i] sum to 1", tried)


def _order_repeats(f: Function) -> None:
    values, tried = torch.rand(3, 9), "three random methods, twice, with two generators of the same seed"
    first, second = (_shares(f(values, 300, _generator(5)), 3, tried) for _ in range(2))
    message = "The generator that you are given decides the draws: the same seed has to give the same shares"
    expect(second, first, message, tried, tolerance=1e-9)


def _stability_by_loop(values: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    count, clips = values.shape
    wide, ones = values.double(), torch.zeros(count, count, dtype=torch.float64)
    for _ in range(draws):
        means = wide[:, torch.randint(clips, (clips,), generator=generator)].mean(dim=1)
        ones += (means[:, None] < means).double() + (means[:, None] == means).double() / 2
    return ones / draws


def _stability_by_sign(values: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    count, clips = values.shape
    drawn = torch.randint(clips, (clips, draws), generator=generator)
    means = sum(values.double()[:, row] for row in drawn) / clips
    assert isinstance(means, Tensor)
    out = torch.full((count, count), 0.5)
    for i, j in itertools.permutations(range(count), 2):
        out[i, j] = float(((means[j] - means[i]).sign() + 1).mean()) / 2
    return out


def _stability_by_counts(values: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    clips = values.shape[1]
    drawn = torch.multinomial(torch.ones(clips), draws * clips, replacement=True, generator=generator).view(draws, clips)
    counts = torch.nn.functional.one_hot(drawn, clips).sum(dim=1).double()
    means = counts @ values.double().T  # (draws, M)
    gap = means[:, :, None] - means[:, None, :]
    return ((gap < 0).double() + (gap <= 0).double()).mean(dim=0) / 2


STABILITY = Exercise(
    id="order-stability",
    title="How stable is an order?",
    target="monkeynet_edu.experiments.statistics:order_stability",
    statement=(
        "For each pair of methods, the share of bootstrap draws in which the first has the lower mean; equal means count "
        "half. The same drawn clips for all methods."
    ),
    level="blank page",
    hints=(
        "Play the luck of the clips again, as for the interval; but instead of a difference, write down *who is lower*. "
        "How often of all draws is it method i?",
        "`values[:, drawn]` is (M, draws, n) and its mean over the clips (M, draws). Comparing it with itself, "
        "`means[:, None]` against `means[None]`, gives (M, M, draws); a mean over the draws leaves (M, M).",
        "`below = (mine < other).double() + 0.5 * (mine == other).double()` with `mine = means[:, None]` and "
        "`other = means[None]`, then `below.mean(dim=2)`.",
    ),
    calls=_stability_calls,
    observe=_observe_shares,
    properties=(
        Property("certain", "lower on every clip: lower in every draw", _order_certain),
        Property("ties", "equal means count half", _order_ties),
        Property("all-draws", "it agrees with all possible draws, one by one", _order_all_draws),
        Property("complement", "[i, j] and [j, i] sum to 1", _order_complement),
        Property("repeats", "the same seed gives the same shares", _order_repeats),
    ),
    mutants=(
        Mutant(
            "higher",
            "more is better",
            "Yours is the share in which method i has the *higher* mean. These figures are errors.",
            (("mine < other", "mine > other"),),
        ),
        Mutant(
            "the-tables-order",
            "the order of the means is the order: the table says it to three decimals",
            "All your shares are 0, ½ or 1: you look at the means over all clips only, as a table prints them. Which of "
            "them would still be in that order with other clips? Draw them.",
            (("means = values[:, drawn].mean(dim=2)", "means = values.mean(dim=1, keepdim=True).expand(-1, draws)"),),
        ),
        Mutant(
            "own-clips-each",
            "each method has its own luck with its clips",
            "You draw other clips for each method. Then the difficulty of the clips decides who is lower. All methods "
            "have to be compared on the *same* drawn clips.",
            (
                (
                    "means = values[:, drawn].mean(dim=2)",
                    "means = torch.stack([v[torch.randint(clips, drawn.shape, generator=generator)].mean(dim=1) for v "
                    "in values])",
                ),
            ),
        ),
        Mutant(
            "share-of-clips",
            "the share of clips on which a method is lower says how stable the order is",
            "You count clips. A method may be lower on most clips and yet, by a few large errors, have the higher mean. "
            "Count *draws*, by their means.",
            (("mine, other = means[:, None], means[None]", "mine, other = values[:, None], values[None]"),),
        ),
        Mutant(
            "ties-for-the-first",
            "≤ is as good as <",
            "Equal means count as a whole win for method i, so on the diagonal you have 1 and two methods with the same "
            "figures both win. A tie says nothing for either: count it half.",
            (("0.5 * (mine == other)", "1.0 * (mine == other)"),),
        ),
        Mutant(
            "ties-for-nobody",
            "equal means are nobody's win",
            "Equal means count for nobody, so [i, j] and [j, i] do not sum to 1. Count a tie half for each.",
            (("0.5 * (mine == other)", "0.0 * (mine == other)"),),
        ),
    ),
    alternatives=(_stability_by_loop, _stability_by_sign, _stability_by_counts),
    box="experiments",
)

LESSON = Lesson(
    number="11",
    slug="experiments",
    title="Experiments",
    minutes=90,
    imports=IMPORTS,
    exercises=(ABLATION, INTERVAL, STABILITY),
)
