"""Lesson 12: strangers' answers to its exercises, and what its sums and figures say.

The kill matrix itself is `verify`'s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from monkeynet_edu.baselines import sv2p, x2face
from monkeynet_edu.course import install
from monkeynet_edu.course.character import Character
from monkeynet_edu.course.exercise import Exercise, compile_function
from monkeynet_edu.course.judge import Verdict, judge
from monkeynet_edu.course.lessons import figures12
from monkeynet_edu.course.lessons.lesson12 import LESSON, at_least
from monkeynet_edu.course.study import report, statistics
from monkeynet_edu.course.study.votes import REFERENCE
from monkeynet_edu.evaluators import Points
from monkeynet_edu.experiments import EXPERIMENTS, Reproduction
from monkeynet_edu.experiments.comparison import Outcome
from monkeynet_edu.experiments.plans import METHODS
from monkeynet_edu.model import pick_device

EXERCISES = {exercise.id: exercise for exercise in LESSON.exercises}


def verdict_on(name: str, source: str) -> Verdict:
    """The verdict on an answer that is given as text."""
    exercise = EXERCISES[name]
    return judge(exercise, compile_function(source, exercise.name, LESSON.namespace()))


def calls_of(name: str, run: Callable[[], object]) -> int:
    """How often an installed answer is called while something runs."""
    exercise = EXERCISES[name]
    counted = install.install(exercise, exercise.alternatives[0])
    try:
        run()
    finally:
        install.remove(exercise)
    return counted.calls


def test_the_misconceptions_of_the_lesson_are_among_the_mutants() -> None:
    mutants = {(e.id, m.name) for e in LESSON.exercises for m in e.mutants}
    assert {
        ("embedded-face", "other-order"),
        ("embedded-face", "fields-added"),
        ("embedded-face", "half-pixel-off"),
        ("cdna", "mirrored"),
        ("cdna", "dark-border"),
        ("clopper-pearson", "wald"),
        ("clopper-pearson", "wald-cut"),
        ("clopper-pearson", "one-tail"),
    } <= mutants
    assert [e.id for e in LESSON.exercises if e.level == "blank page"] == ["clopper-pearson"]


@pytest.mark.parametrize("exercise", LESSON.exercises, ids=lambda e: e.id)
def test_an_answer_that_returns_nothing_hears_so(exercise: Exercise) -> None:
    verdict = judge(exercise, lambda *args, **kwargs: None)
    assert verdict.status == "FAIL"
    assert "returned nothing" in verdict.message


# --------------------------------------------------------------------------------------------------- passes take over


def test_x2face_draws_with_a_passed_answer() -> None:
    model = x2face.X2Face(x2face.X2FaceConfig(frame_size=32, width=4, max_width=8)).eval()
    assert (
        calls_of("embedded-face", lambda: model.animate(torch.rand(3, 32, 32), torch.rand(2, 3, 32, 32), pick_device())) > 0
    )


def test_sv2p_draws_with_a_passed_answer() -> None:
    model = sv2p.SV2P(sv2p.SV2PConfig(frame_size=32, width=4, kernels=2)).eval()
    assert calls_of("cdna", lambda: model.predict(torch.rand(3, 32, 32), 4, pick_device())) == 3


def test_a_report_counts_with_a_passed_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = small_ballot(tmp_path, monkeypatch)
    assert calls_of("clopper-pearson", lambda: report(figures12.synthetic_votes(held.study))) == 1


# ------------------------------------------------------------------------------------------- reading the embedded face


def reading(body: str) -> str:
    """An answer's text."""
    head = "def read_embedded_face(source, embedding_field, driving_field):\n"
    return f"{head}    h, w = source.shape[-2:]\n    still = geometry.lattice(h, w)\n    {body}\n"


@pytest.mark.parametrize(
    "body",
    [
        "return geometry.warp(geometry.warp(source, embedding_field + still), still[None] + driving_field)",
        "for field in (embedding_field, driving_field):\n        source = geometry.warp(source, still + field)\n"
        "    return source",
    ],
)
def test_the_face_may_be_read_in_any_way(body: str) -> None:
    assert verdict_on("embedded-face", reading(body)).status == "PASS"


@pytest.mark.parametrize(
    ("body", "mutant"),
    [
        (
            "face = geometry.warp(source, driving_field + still)\n    return geometry.warp(face, embedding_field + still)",
            "other-order",
        ),
        ("return geometry.warp(source, still + driving_field + embedding_field)", "fields-added"),
        ("return geometry.warp(geometry.warp(source, embedding_field), driving_field)", "no-lattice"),
        ("return geometry.warp(source, still + driving_field)", "source-read"),
        (
            "return geometry.warp(source, geometry.compose(still + driving_field, still + embedding_field))",
            "fields-composed",
        ),
        (
            "for field in (embedding_field, driving_field):\n"
            "        source = F.grid_sample(source, still + field, align_corners=False)\n    return source",
            "half-pixel-off",
        ),
        (
            "for field in (embedding_field, driving_field):\n"
            "        source = F.grid_sample(source, (still + field).clamp(-1, 1), align_corners=True)\n    return source",
            "border-goes-on",
        ),
    ],
)
def test_slips_of_the_reading_get_their_hints_however_they_are_written(body: str, mutant: str) -> None:
    assert verdict_on("embedded-face", reading(body)).mutant == mutant


def test_what_the_border_does_is_said_before_the_library_is_called_upon() -> None:
    face = "F.grid_sample(source, still + embedding_field, padding_mode='reflection', align_corners=True)"
    verdict = verdict_on("embedded-face", reading(f"return geometry.warp({face}, still + driving_field)"))
    assert "Beyond the border there is nothing" in verdict.message


def test_the_row_of_four_pixels_by_hand() -> None:
    source = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 1, 2, 4)
    step = torch.zeros(1, 2, 4, 2)
    step[..., 0] = 2 / 3  # one pixel of four
    first_only = step.clone()
    first_only[:, :, 1:] = 0
    made = x2face.read_embedded_face(source, step, first_only)
    assert made[0, 0, 0].tolist() == pytest.approx([3.0, 3.0, 4.0, 0.0], abs=1e-5)  # C C D ·


# --------------------------------------------------------------------------------------------------------------- CDNA


def kernels_by(body: str) -> str:
    """An answer's text."""
    return f"def cdna(frame, kernels):\n    b, c, h, w = frame.shape\n    k = kernels.shape[1]\n    {body}\n"


@pytest.mark.parametrize(
    "body",
    [
        "p = F.pad(frame, (2, 2, 2, 2), mode='replicate')\n"
        "    return sum(kernels[:, :, i, j].view(b, k, 1, 1, 1) * p[:, None, :, i:i + h, j:j + w]"
        " for i in range(5) for j in range(5))",
        "p = F.pad(frame, (2, 2, 2, 2), mode='replicate').unfold(2, 5, 1).unfold(3, 5, 1)\n"
        "    return torch.einsum('bcyxij,bkij->bkcyx', p, kernels)",
    ],
)
def test_kernels_may_be_applied_in_any_way(body: str) -> None:
    assert verdict_on("cdna", kernels_by(body)).status == "PASS"


@pytest.mark.parametrize(
    ("body", "mutant"),
    [
        (
            "p = F.pad(frame, (2, 2, 2, 2)).unfold(2, 5, 1).unfold(3, 5, 1)\n"
            "    return torch.einsum('bcyxij,bkij->bkcyx', p, kernels)",
            "dark-border",
        ),
        (
            "p = F.pad(frame, (2, 2, 2, 2), mode='replicate').unfold(2, 5, 1).unfold(3, 5, 1)\n"
            "    return torch.einsum('bcyxji,bkij->bkcyx', p, kernels)",
            "rows-for-columns",
        ),
        (
            "p = F.pad(frame, (2, 2, 2, 2), mode='replicate')\n"
            "    return torch.stack([F.conv2d(one[:, None], kernels[0][:, None]) for one in p]).transpose(1, 2)",
            "first-for-all",
        ),
        (
            "p = F.pad(frame, (2, 2, 2, 2), mode='replicate')\n"
            "    return sum(kernels[:, :, i, j].view(b, k, 1, 1, 1) * p[:, None, :, 4 - i:4 - i + h, 4 - j:4 - j + w]"
            " for i in range(5) for j in range(5))",
            "mirrored",
        ),
        (
            "p = F.pad(frame, (2, 2, 2, 2), mode='reflect').unfold(2, 5, 1).unfold(3, 5, 1)\n"
            "    return torch.einsum('bcyxij,bkij->bkcyx', p, kernels)",
            "reflected-border",
        ),
        (
            "p = F.pad(frame, (2, 2, 2, 2), mode='replicate').unfold(2, 5, 1).unfold(3, 5, 1)\n"
            "    own = kernels.flatten(2)\n    own = (own / own.sum(-1, keepdim=True)).view_as(kernels)\n"
            "    return torch.einsum('bcyxij,bkij->bkcyx', p, own)",
            "divided-by-sum",
        ),
    ],
)
def test_slips_of_the_kernels_get_their_hints_however_they_are_written(body: str, mutant: str) -> None:
    assert verdict_on("cdna", kernels_by(body)).mutant == mutant


def test_a_picture_is_drawn_that_is_wrong() -> None:
    body = "return torch.stack([torch.stack([F.conv2d(F.pad(frame[n, c][None, None], (2, 2, 2, 2), mode='replicate'), "
    body += "kernels[0, :, None])[0] for c in range(c)], dim=1) for n in range(b)])"  # the first frame is right
    verdict = verdict_on("cdna", kernels_by(body))
    assert verdict.mutant == "first-for-all"
    assert verdict.tried.endswith("entry [1, 0, 0] of the result")
    assert verdict.expected.split(" at ")[0] != verdict.got.split(" at ")[0]


# --------------------------------------------------------------------------------------------------- the exact interval


def test_the_tail_is_that_of_coins() -> None:
    assert at_least(10, 10, 0.5) == pytest.approx(1 / 1024)
    assert at_least(1, 2, 0.5) == pytest.approx(0.75)
    assert at_least(0, 3, 0.2) == pytest.approx(1)


def test_the_ten_votes_of_the_lesson_by_hand() -> None:
    low, high = statistics.clopper_pearson(10, 10)
    assert low == pytest.approx(0.025**0.1)
    assert high == 1
    assert round(low, 2) == 0.69
    assert statistics.clopper_pearson(8, 10)[0] < 0.5  # "a fair coin is inside": 56 of 1024 throws have 8 heads or more
    assert (45 + 10 + 1) / 1024 > 0.025


def test_an_interval_by_bisection_passes() -> None:
    source = (
        "def clopper_pearson(wins, votes, level=0.95):\n"
        "    tail = (1 - level) / 2\n"
        "    def more(k, p):\n"
        "        return sum(math.comb(votes, i) * p**i * (1 - p) ** (votes - i) for i in range(k, votes + 1))\n"
        "    def end(k, t):\n"
        "        a, b = 0.0, 1.0\n"
        "        for _ in range(40):\n"
        "            m = (a + b) / 2\n"
        "            a, b = (m, b) if more(k, m) < t else (a, m)\n"
        "        return a\n"
        "    return [0.0 if wins == 0 else end(wins, tail), 1.0 if wins == votes else end(wins + 1, 1 - tail)]\n"
    )
    verdict = verdict_on("clopper-pearson", source)
    assert verdict.status == "PASS"


@pytest.mark.parametrize(
    ("ends", "mutant"),
    [
        ("p - 1.96 * (p * (1 - p) / votes) ** 0.5, p + 1.96 * (p * (1 - p) / votes) ** 0.5", "wald"),
        ("max(0, p - 1.96 * (p * (1 - p) / votes) ** 0.5), min(1, p + 1.96 * (p * (1 - p) / votes) ** 0.5)", "wald-cut"),
        ("low(wins, (1 - level) / 2), high(wins, 1 - (1 - level) / 2)", "upper-tail-of-more"),
        ("low(wins, 1 - level), high(wins, 1 - level)", "one-tail"),
        ("low(wins, 0.025), high(wins, 0.025)", "always-95"),
        ("1 - high(wins, (1 - level) / 2), 1 - low(wins, (1 - level) / 2)", "losers-share"),
    ],
)
def test_slips_of_the_interval_get_their_hints_however_they_are_written(ends: str, mutant: str) -> None:
    source = (
        "def clopper_pearson(wins, votes, level=0.95):\n"
        "    p = wins / votes\n"
        "    low = lambda k, t: 0.0 if k == 0 else float(betaincinv(k, votes - k + 1, t))\n"
        "    high = lambda k, t: 1.0 if k == votes else float(betaincinv(k + 1, votes - k, 1 - t))\n"
        f"    return {ends}\n"
    )
    assert verdict_on("clopper-pearson", source).mutant == mutant


def test_the_first_study_that_is_tried_is_the_one_by_hand() -> None:
    verdict = verdict_on("clopper-pearson", "def clopper_pearson(wins, votes, level=0.95):\n    return 0.5, 1.0\n")
    assert verdict.tried == "10 of 10 votes"
    assert "p^10 = 2.5 %" in verdict.message
    assert verdict.expected.startswith("0.6915 ")


def test_one_number_is_no_interval() -> None:
    verdict = verdict_on("clopper-pearson", "def clopper_pearson(wins, votes, level=0.95):\n    return 0.5\n")
    assert verdict.status == "FAIL"
    assert "Two numbers" in verdict.message


# ---------------------------------------------------------------------------------------------------- the box on KL


def test_sampled_divergences_close_in_on_the_closed_form() -> None:
    exact = float(sv2p.gaussian_kl(torch.tensor([1.0]), torch.tensor([2 * math.log(0.5)])))
    assert exact == pytest.approx(0.5 * (1 + 0.25 - 1 + 2 * math.log(2)))
    values = figures12.sampled_kl(1.0, 0.5, 200_000, torch.Generator().manual_seed(1))
    assert float(values[-1]) == pytest.approx(exact, abs=0.01)
    at_mean = float(figures12.log_ratio(torch.tensor(1.0), 1.0, 0.5))
    assert at_mean == pytest.approx(0.5 + math.log(2))  # ln p(1) - ln q(1): no distance, twice the height


def test_a_latent_that_is_punished_late_tells_more_and_the_lesson_is_right_about_the_rest() -> None:
    steps, third = 120, 40
    at_once = figures12.learn_latent([1.5] * steps).nats[-1]
    later = figures12.learn_latent([0.0] * third + [1.5 * (n + 1) / third for n in range(third)] + [1.5] * third).nats[-1]
    assert later > 3 * at_once
    patient, raised = (figures12.learn_latent([b] * 200 + [1.5] * 600).nats[-1] for b in (1.5, 0.0))
    assert float(patient) == pytest.approx(float(raised), rel=0.02)
    assert float(figures12.learn_latent([0.0] * 200 + [3.0] * 600).nats[-1]) == pytest.approx(0, abs=1e-3)


def test_the_first_entry_of_a_latent_is_the_untrained_one() -> None:
    start = figures12.learn_latent([0.0])
    assert len(start.nats) == 2
    assert float(start.nats[0]) == pytest.approx(0.5 * 0.05**2)
    assert float(start.error[0]) == pytest.approx((1 - 0.05**2) ** 2 + 0.05**2)


# --------------------------------------------------------------------------------------------------- sums and orders


def test_errors_and_sharpness_leave_out_the_source() -> None:
    truth, film = torch.zeros(3, 3, 4, 4), torch.zeros(3, 3, 4, 4)
    film[0] = 1.0
    assert figures12.squared_error(film, truth) == 0
    film[1:] = 0.5
    assert figures12.squared_error(film, truth) == pytest.approx(0.25)
    assert figures12.sharpness(film) == 0
    film[1:, :, :, ::2] = 0.0  # columns 0 and 0.5 by turns
    assert figures12.sharpness(film) == pytest.approx(0.5)


def test_each_kind_of_equal_has_its_order() -> None:
    costs = [figures12.Cost("slow", 10, 4.0, 40), figures12.Cost("quick", 30, 1.0, 20)]
    orders = figures12.orders(costs)
    assert orders["equal steps: who gets the most minutes"] == ["slow", "quick"]
    assert orders["equal steps: who sees the most frames"] == ["slow", "quick"]
    assert orders["equal minutes: who takes the most steps"] == ["quick", "slow"]
    assert orders["equal minutes: who sees the most frames"] == ["quick", "slow"]  # 20 a second against 10
    assert orders["as they are: who has the most parameters"] == ["quick", "slow"]
    assert "slow 4 seconds, 40 frames, 0 thousand parameters" in figures12.figure_costs(costs).alt


def test_a_step_of_a_rival_is_timed_on_half_a_batch() -> None:
    cost = figures12.step_cost("x2face", pick_device(precision="float32"), steps=1)
    assert cost.title == "X2Face"
    assert cost.seconds > 0
    assert cost.frames == 16  # 8 pairs, half of the recipe's
    assert cost.parameters == sum(p.numel() for p in x2face.X2Face(x2face.X2FaceConfig()).parameters())


def outcome(method: str, data: str, **figures: float) -> Outcome:
    record = {"identity": {"steps": 7, "recipe": {"batch_size": 4}}, "training_seconds": 90.0}  # as far as it is read
    return Outcome(method, data, (0,), {name: [value] for name, value in figures.items()}, {}, (record,))


def made_up(*outcomes: Outcome) -> Reproduction:
    return Reproduction(EXPERIMENTS["table1"], list(outcomes), {}, "", [], [], [], [], [])


def test_the_winner_of_each_figure_is_named() -> None:
    found = made_up(
        outcome("x2face", "mini-taichi", l1=0.2, akd=1.0, aed=math.nan),
        outcome("ours", "mini-taichi", l1=0.1, akd=2.0, aed=1.0),
        outcome("ours", "mini-bair", l1=0.1),
    )
    titles = METHODS["ours"].title, METHODS["x2face"].title
    assert figures12.winners(found) == {"mini-taichi": {"L1": titles[0], "AKD (px)": titles[1]}}
    line = " ".join(figures12.budgets(found)[0].split())
    assert line == "mini-taichi X2Face 7 steps of 4 pairs, 1.5 to 1.5 minutes, seeds 0"
    windows = figures12.budgets(made_up(outcome("sv2p", "mini-bair", l1=0.2)))[0]
    assert "7 steps of  4 windows, " in windows


def test_a_table_has_the_papers_figures_below_and_the_still_picture_last() -> None:
    both = {"l1_repeat_source": 0.3, "akd_repeat_source": 5.0}
    found = made_up(
        outcome("x2face", "mini-taichi", l1=0.2, akd=1.0, akd_l1=0.6, **both),
        outcome("ours-mini", "mini-taichi", l1=0.1, akd=2.0, akd_l1=1.2, **both),
    )
    lines = [line.split() for line in figures12.table_lines(found)]
    assert lines == [
        ["data", "method", "L1", "AKD", "AKD", "publ."],
        ["mini-taichi", "X2Face", "0.2000", "1.00", "0.60"],
        ["paper", "0.0680", "–", "4.50"],  # its AKD is the published form
        ["Ours,", "preset", "mini", "0.1000", "2.00", "1.20"],  # the paper has no such row
        ["still", "picture", "0.3000", "5.00", "–"],
    ]


def test_the_rates_that_were_tried_are_said_and_the_best_is_taken() -> None:
    lines = figures12.tried_rates()
    assert [line.split()[0] for line in lines] == ["Ours", "X2Face", "MoCoGAN", "CMM-Net", "SV2P"]
    for line in lines:
        pairs, taken = line.split("; taken: ")
        tried = {rate: float(value) for rate, value in re.findall(r"([\d.e-]+): ([\d.]+)", pairs)}
        assert len(tried) >= 3
        assert min(tried, key=lambda rate: tried[rate]) == taken


def test_shipped_weights_say_what_they_were_given() -> None:
    assert figures12.given("mini-taichi") == "monkeynet-edu train --data mini-taichi --steps 4000 --seed 0"
    assert "--preset x2face --steps" in figures12.given("x2face-mini-taichi")


# ---------------------------------------------------------------------------------------------------------- the study


def still(source: Tensor, driving: Tensor) -> Tensor:
    return source.expand(len(driving), -1, -1, -1)


def small_ballot(place: Path, monkeypatch: pytest.MonkeyPatch) -> figures12.Ballot:
    """Two pairs by two made-up methods: a still film, and a flipped one."""
    monkeypatch.setattr(figures12, "MOTIONS", (0, 3))
    methods = {"monkey-net": still, "x2face": lambda source, driving: still(source, driving).flip(-1)}
    monkeypatch.setattr(figures12, "named_methods", lambda *args: methods)
    return figures12.ballot(Character(), place, pick_device(precision="float32"))


def test_a_study_is_made_once_for_each_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = small_ballot(tmp_path, monkeypatch)
    assert len(held.truths) == 2
    assert len(held.study.trials) == 3  # and a check
    assert all(len(film) == 16 for film in held.truths.values())
    before = (held.study.folder / "study.json").stat().st_mtime_ns
    again = figures12.ballot(Character(), tmp_path, pick_device(precision="float32"))
    assert (again.study.folder / "study.json").stat().st_mtime_ns == before
    other = figures12.ballot(Character(hairstyle="bun"), tmp_path, pick_device(precision="float32"))
    assert other.study.folder != held.study.folder


def test_coins_votes_are_marked_and_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = small_ballot(tmp_path, monkeypatch)
    made = figures12.synthetic_votes(held.study, raters=3)
    assert len(made.votes) == 9
    assert all(vote.synthetic for vote in made.votes)
    assert all(vote.preferred == REFERENCE for vote in made.votes if vote.is_check)
    assert "no result" in report(made).markdown()
    assert figures12.read_mine(held.study).votes == ()
    assert "No votes yet" in report(figures12.read_mine(held.study)).markdown()


def test_votes_against_the_metric_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = small_ballot(tmp_path, monkeypatch)

    def middle(frames: Tensor) -> Points:
        """One point: the mean place of what differs from the frame's upper left pixel."""
        weight = (frames - frames[..., :1, :1]).abs().sum(dim=1)
        x = (weight.sum(dim=1) * torch.arange(64)).sum(dim=1) / weight.sum(dim=(1, 2))
        y = (weight.sum(dim=2) * torch.arange(64)).sum(dim=1) / weight.sum(dim=(1, 2))
        return Points(torch.stack([x, y], dim=-1)[:, None], torch.ones(len(frames), 1))

    one_rater = figures12.synthetic_votes(held.study, raters=1).votes
    found = figures12.judged(one_rater, held, middle)
    assert [one.pair for one in found] == [trial.id for trial in held.study.trials if not trial.is_check]
    for one in found:
        truth = torch.from_numpy(held.truths[one.pair]).permute(0, 3, 1, 2) / 255
        assert one.l1["monkey-net"] == pytest.approx(float((truth[1:] - truth[:1]).abs().mean()), abs=1e-5)
        assert one.against == (one.chosen != one.favourite)
        assert one.margin == pytest.approx(abs(one.akd["monkey-net"] - one.akd["x2face"]))
        assert one.favourite == min(one.akd, key=lambda name: one.akd[name])
        assert one.agreed == (min(one.l1, key=lambda name: one.l1[name]) == one.favourite)


def test_figures_say_their_numbers() -> None:
    interval = figures12.figure_interval({"8 of 10": (0.8, 0.444, 0.975)})
    assert "8 of 10: 80 %, 44 to 98 %" in interval.alt
    sampled = figures12.figure_sampled([torch.tensor([1.0, 2.0])], 1.5)
    assert "closed form, 1.500; after 2 samples: 2.000" in sampled.alt
    latents = figures12.figure_latents({"late": figures12.Latent(torch.tensor([0.0, 0.25]), torch.tensor([1.0, 0.5]))})
    assert "late: at the end 0.25 nats and an error of 0.50" in latents.alt
    assert figures12.figure_row({"a": torch.rand(3, 4, 4)}, "one picture").alt == "one picture"
