"""Lesson 11: strangers' answers to its exercises, the ablation that is shipped, what its figures and sums say.

The kill matrix itself is `verify`'s.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from monkeynet_edu.course import install
from monkeynet_edu.course.exercise import Exercise, compile_function
from monkeynet_edu.course.judge import Verdict, judge
from monkeynet_edu.course.lessons import figures11
from monkeynet_edu.course.lessons.lesson11 import LESSON
from monkeynet_edu.data.datasets import open_dataset
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.experiments import plans, statistics
from monkeynet_edu.experiments.comparison import PAPER, Outcome
from monkeynet_edu.model import MonkeyNet, preset
from monkeynet_edu.paths import weights_path

EXERCISES = {exercise.id: exercise for exercise in LESSON.exercises}


def verdict_on(name: str, source: str) -> Verdict:
    """The verdict on an answer that is given as text."""
    exercise = EXERCISES[name]
    return judge(exercise, compile_function(source, exercise.name, LESSON.namespace()))


def test_the_misconceptions_of_the_lesson_are_among_the_mutants() -> None:
    mutants = {(e.id, m.name) for e in LESSON.exercises for m in e.mutants}
    assert {
        ("paired-bootstrap", "unpaired"),
        ("paired-bootstrap", "ends-subtracted"),
        ("order-stability", "the-tables-order"),
        ("order-stability", "own-clips-each"),
    } <= mutants
    assert [e.id for e in LESSON.exercises if e.level == "blank page"] == ["order-stability"]


@pytest.mark.parametrize("exercise", LESSON.exercises, ids=lambda e: e.id)
def test_an_answer_that_returns_nothing_hears_so(exercise: Exercise) -> None:
    verdict = judge(exercise, lambda *args: None)
    assert verdict.status == "FAIL"
    assert "returned nothing" in verdict.message


# ------------------------------------------------------------------------------------------------------- one ablation


def test_without_flow_is_the_variant_no_flow_and_a_pass_takes_its_place() -> None:
    for name in ("mini-plain", "bair"):
        out = plans.without_flow(preset(name))
        assert out.generator.motion is None
        assert out == replace(preset(name), generator=out.generator, losses=out.losses)
        assert replace(out.losses, deformed=preset(name).losses.deformed) == preset(name).losses
    exercise = EXERCISES["without-flow"]
    counted = install.install(exercise, exercise.alternatives[1])
    try:
        plans.variant_config("no_flow")
    finally:
        install.remove(exercise)
    assert counted.calls == 1


def test_a_configuration_that_is_changed_in_place_is_told_that_it_is_frozen() -> None:
    source = "def without_flow(config):\n    config.generator.motion = None\n    return config\n"
    verdict = verdict_on("without-flow", source)
    assert verdict.status == "ERROR"
    assert "FrozenInstanceError" in verdict.message


def test_the_generators_settings_alone_are_no_configuration() -> None:
    verdict = verdict_on("without-flow", "def without_flow(config):\n    return replace(config.generator, motion=None)\n")
    assert verdict.status == "FAIL"
    assert verdict.got == "GeneratorConfig"


def test_another_setting_that_changes_is_named() -> None:
    source = (
        "def without_flow(config):\n"
        "    generator = replace(config.generator, motion=None)\n"
        "    return replace(config, generator=generator, losses=replace(config.losses, deformed=0.0, adversarial=0.0))\n"
    )
    verdict = verdict_on("without-flow", source)
    assert verdict.status == "FAIL"
    assert "`losses.adversarial`" in verdict.message


def test_what_changed_is_listed_once_each() -> None:
    full = preset("mini-plain")
    assert figures11.changed(full, full) == []
    assert figures11.changed(full, plans.without_flow(full)) == [
        "generator.motion: {…} -> None",
        "losses.deformed: 10.0 -> 0.0",
    ]
    assert figures11.changed(full, plans.variant_config("no_residual")) == [
        "generator.motion.flow: ('coarse', 'residual') -> ('coarse',)"
    ]


def test_the_shipped_ablation_is_the_table_rows_model_and_small() -> None:
    path = weights_path(figures11.ABLATION)
    model = MonkeyNet.load(path, plans.variant_config("no_flow"))
    assert model.config.generator.motion is None
    assert path.stat().st_size <= 2_200_000
    card = path.with_suffix(".md").read_text("utf-8")
    assert "reproduce table2" in card
    assert path.with_suffix(".full-model.png").name in card


def test_the_full_models_pictures_are_of_the_frames_that_the_lesson_shows() -> None:
    kept = figures11.full_at_same_steps()
    assert kept.shape == (len(figures11.SAME_STEPS), 3, 64, 64)
    film = to_tensor(open_dataset("mini-taichi", "test")[1].frames)
    assert max(figures11.SAME_STEPS) < len(film)
    assert float((kept[0] - film[0]).abs().mean()) < 0.05  # the first frame is rebuilt from itself


# ----------------------------------------------------------------------------------------------- the paired interval


def interval(draw: str, ends: str = "(means.quantile(0.025).item(), means.quantile(0.975).item())") -> str:
    """An answer's text: how the means of the draws are made, and what is returned."""
    return f"def paired_bootstrap(a, b, draws, generator):\n    n = len(a)\n    {draw}\n    return {ends}\n"


@pytest.mark.parametrize(
    "draw",
    [
        "d = a - b; means = d[torch.randint(n, (n, draws), generator=generator)].mean(dim=0)",
        "i = torch.randint(n, (draws, n), generator=generator); means = a[i].mean(1) - b[i].mean(1)",
        "i = (torch.rand(draws, n, generator=generator) * n).long(); means = (a - b).double()[i].mean(-1)",
    ],
)
def test_intervals_may_be_drawn_in_any_way(draw: str) -> None:
    assert verdict_on("paired-bootstrap", interval(draw)).status == "PASS"


def test_ends_may_be_tensors_and_a_list() -> None:
    means = "means = (a - b)[torch.randint(n, (draws, n), generator=generator)].mean(dim=1)"
    assert verdict_on("paired-bootstrap", interval(means, "means.quantile(0.025), means.quantile(0.975)")).status == "PASS"
    both = "torch.quantile(means, means.new_tensor([0.025, 0.975])).tolist()"
    assert verdict_on("paired-bootstrap", interval(means, both)).status == "PASS"
    one = verdict_on("paired-bootstrap", interval(means, "means"))
    assert one.status == "FAIL"
    assert "Two numbers" in one.message


@pytest.mark.parametrize(
    ("draw", "mutant"),
    [
        ("r = lambda v: v[torch.randint(n, (n, draws), generator=generator)].mean(dim=0); means = r(a) - r(b)", "unpaired"),
        ("means = (b - a)[torch.randint(n, (n, draws), generator=generator)].mean(dim=0)", "sign"),
        ("means = (a - b)[torch.randint(n, (draws,), generator=generator)]", "spread-of-clips"),
        ("means = (a - b)[torch.rand(draws, n).argsort(dim=1)].mean(dim=1)", "without-replacement"),
    ],
)
def test_slips_of_the_interval_get_their_hints_however_they_are_drawn(draw: str, mutant: str) -> None:
    assert verdict_on("paired-bootstrap", interval(draw)).mutant == mutant


def test_an_interval_that_ignores_the_generator_is_told_so() -> None:
    verdict = verdict_on("paired-bootstrap", interval("means = (a - b)[torch.randint(n, (draws, n))].mean(dim=1)"))
    assert verdict.status == "FAIL"
    assert "same seed" in verdict.message


def test_the_coins_of_the_lesson_by_hand() -> None:
    ways = [sum(w) for w in itertools.product((0, 1), repeat=8)]
    assert sum(w <= 1 for w in ways) / 256 == pytest.approx(0.035, abs=5e-4)
    assert sum(w == 0 for w in ways) / 256 == pytest.approx(0.004, abs=2e-4)
    a = torch.tensor([1.0] * 4 + [0.0] * 4)
    ends = statistics.paired_bootstrap(a, torch.zeros(8), 10_000, torch.Generator().manual_seed(1))
    assert ends == (1 / 8, 7 / 8)


# -------------------------------------------------------------------------------------------- the stability of an order


def stability(body: str) -> str:
    return f"def order_stability(values, draws, generator):\n    m, n = values.shape\n    {body}\n"


@pytest.mark.parametrize(
    "body",
    [
        "x = values[:, torch.randint(n, (n, draws), generator=generator)].mean(1)\n"
        "    return ((x[:, None] < x).float() + (x[:, None] <= x).float()).mean(-1) / 2",
        "x = values.T[(torch.rand(draws, n, generator=generator) * n).long()].sum(1)\n"
        "    return torch.stack([((x - x[:, [i]]).sign().double().mean(0) + 1) / 2 for i in range(m)])",
    ],
)
def test_shares_may_be_counted_in_any_way(body: str) -> None:
    assert verdict_on("order-stability", stability(body)).status == "PASS"


@pytest.mark.parametrize(
    ("body", "mutant"),
    [
        ("x = torch.stack([v[torch.randint(n, (draws, n))].mean(1) for v in values])", "own-clips-each"),
        ("x = values[:, torch.rand(draws, n).argsort(dim=1)].mean(-1)", "the-tables-order"),
        ("x = values", "share-of-clips"),
    ],
)
def test_slips_of_the_order_get_their_hints_however_they_are_drawn(body: str, mutant: str) -> None:
    rest = "\n    return ((x[:, None] < x).float() + (x[:, None] <= x).float()).mean(-1) / 2"
    assert verdict_on("order-stability", stability(body + rest)).mutant == mutant


def test_the_orders_worked_out_by_hand_in_the_lesson() -> None:
    def share(first: list[float]) -> float:
        values = torch.tensor([first, [3.0, 3.0]])
        return float(statistics.order_stability(values, 10_000, torch.Generator().manual_seed(0))[0, 1])

    assert share([2, 4]) == pytest.approx(0.5, abs=0.02)
    assert share([2, 3.5]) == pytest.approx(0.75, abs=0.02)


# ------------------------------------------------------------------------------------------------- sums and figures


def outcome(values: list[float]) -> Outcome:
    return Outcome("full", "mini-taichi", tuple(range(len(values))), {"l1": values}, {}, ())


def test_the_spread_of_seeds_is_pooled_and_relative() -> None:
    # 9 and 11: ±10 % of 10, squares 0.01 + 0.01; 2 and 2: none; two degrees of freedom: sqrt(0.02 / 2) = 0.1.
    assert figures11.seed_spread([outcome([9.0, 11.0]), outcome([2.0, 2.0])], "l1") == pytest.approx(0.1)
    assert math.isnan(figures11.seed_spread([outcome([9.0])], "l1"))


def test_pairs_in_the_same_order_are_counted() -> None:
    assert figures11.agreeing(["a", "b", "c"], ["a", "b", "c"]) == 3
    assert figures11.agreeing(["c", "b", "a"], ["a", "b", "c"]) == 0
    assert figures11.agreeing(["b", "a", "x", "c"], ["a", "b", "c"]) == 2


def test_the_error_is_taken_where_the_film_moves() -> None:
    truth = torch.zeros(2, 3, 2, 2)
    truth[1, :, 0, 0] = 0.5  # one pixel moves
    made = truth.clone()
    made[1, :, 0, 0] = 0.3
    made[:, :, 1, 1] = 1.0  # wrong, but nothing moves there
    assert figures11.error_where_it_moves(made, truth) == pytest.approx(0.2)


def test_figures_say_their_numbers() -> None:
    clips = figures11.figure_clips(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 3.5]), ("one", "other"), "AKD")
    assert "between -0.5 and 0.5; on 1 of 2 clips one is higher" in clips.alt
    intervals = figures11.figure_intervals({"No F": (0.5, (0.25, 0.75), (-1.0, 2.0))}, "AKD: row minus Full")
    assert "No F +0.5 (paired +0.25 to +0.75, unpaired -1 to +2)" in intervals.alt
    shares = figures11.figure_shares(torch.tensor([[0.5, 0.9], [0.1, 0.5]]), ["Full", "No F"])
    assert "Full below No F in 90 %" in shares.alt
    l1 = {name: PAPER["table2", name, "mini-taichi"]["l1"] for name in ("full", "no_source")}
    assert "full 0.050, no_source 0.051" in figures11.figure_printed(l1).alt
    assert "Full 10" in figures11.figure_table([outcome([9.0, 11.0])], "l1").alt


def test_films_side_by_side_keep_their_frames() -> None:
    one, other = torch.zeros(3, 3, 4, 4), torch.ones(3, 3, 4, 4)
    pair: Tensor = figures11.beside(one, other)
    assert pair.shape == (3, 3, 4, 8)
    assert pair[0, 0, 0].tolist() == [0.0] * 4 + [1.0] * 4
