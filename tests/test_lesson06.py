"""Lesson 06: the step in two phases is the library's, the small GAN by hand, the ways of a gradient, strangers' answers.

The kill matrix itself is `verify`'s.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from monkeynet_edu import losses, training
from monkeynet_edu.course import install
from monkeynet_edu.course.exercise import Exercise
from monkeynet_edu.course.judge import judge
from monkeynet_edu.course.lessons import figures06, lesson06
from monkeynet_edu.course.reference import gan
from monkeynet_edu.course.reference.routes import Routes, gradient_routes
from monkeynet_edu.course.reference.step import two_phase_gradients
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.training import Optimizers, StepResult, detect_pair

EXERCISES = {exercise.id: exercise for exercise in lesson06.LESSON.exercises}
CPU = lesson06.CPU


def a_model() -> tuple[MonkeyNet, Tensor, Tensor]:
    """A small model in float64 and two pairs."""
    model, source, driving, _ = lesson06._step_call().args
    return copy.deepcopy(model), source, driving


def gradients(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_the_misconceptions_of_the_lesson_are_among_the_mutants() -> None:
    mutants = {(e.id, m.name) for e in lesson06.LESSON.exercises for m in e.mutants}
    assert {
        ("generator-loss", "d-should-win"),
        ("two-phase-step", "detached-for-the-generator"),
        ("two-phase-step", "frame-not-detached"),
        ("two-phase-step", "keypoints-not-detached"),
    } <= mutants
    assert any(exercise.level == "blank page" for exercise in lesson06.LESSON.exercises)


# ------------------------------------------------------------------------------------------------ the step in two phases


def test_two_phases_give_the_gradients_and_terms_of_the_librarys_step() -> None:
    ours, source, driving = a_model()
    theirs = copy.deepcopy(ours)
    one, other = two_phase_gradients(ours, source, driving, CPU), training.compute_gradients(theirs, source, driving, CPU)
    assert list(one.losses) == list(other.losses)
    for name, term in one.losses.items():
        torch.testing.assert_close(term, other.losses[name])
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-12, msg=name)
    for mine, right in zip(one.keypoints, other.keypoints, strict=True):
        assert torch.equal(mine.mean, right.mean)
        assert not mine.mean.requires_grad


def test_coverage_is_all_that_the_librarys_step_adds_to_the_two_phases() -> None:
    ours, source, driving = a_model()
    ours.config = replace(ours.config, losses=replace(ours.config.losses, coverage=2.0))
    theirs = copy.deepcopy(ours)
    one, other = two_phase_gradients(ours, source, driving, CPU), training.compute_gradients(theirs, source, driving, CPU)
    assert set(other.losses) - set(one.losses) == {"coverage"}
    for part in ("generator", "discriminator"):  # the term is of the keypoints alone, so only Δ feels it
        torch.testing.assert_close(gradients(getattr(ours, part)), gradients(getattr(theirs, part)), rtol=1e-9, atol=1e-12)
    assert not torch.allclose(gradients(ours.detector), gradients(theirs.detector))


def test_a_pass_of_the_two_phases_drives_the_librarys_training_step() -> None:
    exercise, (model, source, driving) = EXERCISES["two-phase-step"], a_model()
    counted = install.install(exercise, two_phase_gradients)
    try:
        training.training_step(model, Optimizers.of(model, 1e-3), source, driving, CPU)
    finally:
        install.remove(exercise)
    assert counted.calls == 1
    assert training.compute_gradients is not counted


def test_the_napkin_model_agrees_with_its_sums_by_hand() -> None:
    # One pixel: source 0.2, driving 0.9; Δ: k = 0.7·x + 0.2; so k' = 0.83 and k' - k = 0.49; x̂ = 1.3·0.2 + 0.4·0.49.
    toy = lesson06._Toy()
    source, driving = (torch.tensor([[[[v]]]], dtype=torch.float64) for v in (0.2, 0.9))
    kp_source, kp_driving = detect_pair(toy, source, driving)
    assert kp_driving.mean[0, 0, 0].item() == pytest.approx(0.83)
    made = toy(source, kp_source, kp_driving)
    assert made.prediction.item() == pytest.approx(0.26 + 0.196)
    assert toy.discriminator(driving, kp_source, kp_driving)[-1].item() == pytest.approx(-0.3 * 0.9 + 0.6 * 0.83)


# --------------------------------------------------------------------------------------------- strangers' answers


def step_without_detach(model: MonkeyNet, source: Tensor, driving: Tensor, device: object) -> StepResult:
    model.zero_grad()
    kp = detect_pair(model, source, driving)
    made = model(source, *kp)
    fake, real = model.discriminator(made.prediction, *kp), model.discriminator(driving, *kp)
    terms = losses.generator_losses(fake, real, made.deformed, model.config.losses)
    sum(terms.values()).backward()
    model.discriminator.zero_grad()
    fake, real = model.discriminator(made.prediction, *kp), model.discriminator(driving, *kp)
    loss = model.config.losses.discriminator * losses.discriminator_adversarial(real[-1], fake[-1])
    loss.backward()
    return StepResult({n: t.detach() for n, t in terms.items()} | {"discriminator": loss.detach()}, made, kp)


def test_a_step_that_never_detaches_is_told_what_torch_says() -> None:
    verdict = judge(EXERCISES["two-phase-step"], step_without_detach)
    assert verdict.status == "ERROR"
    assert "second time" in verdict.message
    assert "keypoints?" in verdict.message
    assert "loss.backward()" in verdict.message


def test_a_step_that_steps_is_wrong() -> None:
    def eager(model: MonkeyNet, source: Tensor, driving: Tensor, device: object) -> StepResult:
        result = two_phase_gradients(model, source, driving, CPU)
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
        return result

    verdict = judge(EXERCISES["two-phase-step"], eager)
    assert verdict.status == "FAIL"
    assert "weights stay" in verdict.message


def test_stacked_features_are_refused_with_a_word_about_lists() -> None:
    def stacked(fake: list[Tensor], real: list[Tensor]) -> Tensor:
        return torch.stack([(f - r).abs().mean() for f, r in zip(fake[:-1], real[:-1], strict=True)])

    verdict = judge(EXERCISES["feature-matching"], stacked)
    assert verdict.status == "FAIL"
    assert "a list of numbers" in verdict.message


def test_a_feature_matching_that_keeps_the_score_hears_about_the_score() -> None:
    def all_of_them(fake: list[Tensor], real: list[Tensor]) -> list[Tensor]:
        return [(f - r).abs().mean() for f, r in zip(fake, real, strict=True)]

    verdict = judge(EXERCISES["feature-matching"], all_of_them)
    assert verdict.status == "FAIL"
    assert verdict.mutant == "score-included"
    assert "none for the score" in verdict.message
    assert (verdict.expected, verdict.got) == ("2 numbers", "3")


def test_differences_that_are_not_averaged_hear_about_one_number() -> None:
    def raw(fake: list[Tensor], real: list[Tensor]) -> list[Tensor]:
        return [(f - r).abs() for f, r in zip(fake[:-1], real[:-1], strict=True)]

    verdict = judge(EXERCISES["feature-matching"], raw)
    assert verdict.status == "FAIL"
    assert "one number" in verdict.message


def test_a_step_that_returns_the_frame_alone_is_wrong() -> None:
    def frame_alone(model: MonkeyNet, source: Tensor, driving: Tensor, device: object) -> StepResult:
        result = two_phase_gradients(model, source, driving, CPU)
        return StepResult(result.losses, result.generated.prediction, result.keypoints)

    verdict = judge(EXERCISES["two-phase-step"], frame_alone)
    assert verdict.status == "FAIL"
    assert "as a whole" in verdict.message


def test_a_step_whose_keypoints_keep_their_graph_is_wrong() -> None:
    def attached(model: MonkeyNet, source: Tensor, driving: Tensor, device: object) -> StepResult:
        result = two_phase_gradients(model, source, driving, CPU)
        return StepResult(result.losses, result.generated, detect_pair(model, source, driving))

    verdict = judge(EXERCISES["two-phase-step"], attached)
    assert verdict.status == "FAIL"
    assert "keypoints come back detached" in verdict.message


def test_a_step_that_returns_its_keypoints_exchanged_is_wrong() -> None:
    def exchanged(model: MonkeyNet, source: Tensor, driving: Tensor, device: object) -> StepResult:
        result = two_phase_gradients(model, source, driving, CPU)
        return StepResult(result.losses, result.generated, result.keypoints[::-1])

    verdict = judge(EXERCISES["two-phase-step"], exchanged)
    assert verdict.status == "FAIL"
    assert "keypoints of the source" in verdict.message


@pytest.mark.filterwarnings("error")
def test_terms_with_their_graphs_are_refused_without_a_warning() -> None:
    def attached(model: MonkeyNet, source: Tensor, driving: Tensor, device: object) -> StepResult:
        result = two_phase_gradients(model, source, driving, CPU)
        return StepResult({n: t.requires_grad_() for n, t in result.losses.items()}, result.generated, result.keypoints)

    verdict = judge(EXERCISES["two-phase-step"], attached)
    assert verdict.status == "FAIL"
    assert "detached" in verdict.message


def test_a_loss_that_detaches_its_scores_is_wrong() -> None:
    verdict = judge(EXERCISES["generator-loss"], lambda fake_score: (1 - fake_score.detach()).square().mean())
    assert verdict.status == "FAIL"
    assert "gradient" in verdict.message


def test_a_gan_step_written_with_backward_methods_passes() -> None:
    def mine(g_net, d_net, g_optimizer, d_optimizer, noise, real):
        g_optimizer.zero_grad()
        fake = g_net(noise)
        forged = losses.generator_adversarial(d_net(fake))
        forged.backward()
        g_optimizer.step()
        d_optimizer.zero_grad()
        judged = losses.discriminator_adversarial(d_net(real), d_net(fake.detach()))
        judged.backward()
        d_optimizer.step()
        return forged.detach(), judged.detach()

    assert judge(EXERCISES["gan-step"], mine).status == "PASS"


# ------------------------------------------------------------------------------------------------ what the pictures show


def test_points_of_the_ring_lie_on_it_all_around() -> None:
    points = gan.ring(2000, torch.Generator().manual_seed(0))
    assert float(points.norm(dim=1).mean()) == pytest.approx(1, abs=0.01)
    assert float(points.norm(dim=1).std()) == pytest.approx(0.06, abs=0.01)
    sectors = torch.histc(torch.atan2(points[:, 1], points[:, 0]), 8, -math.pi, math.pi) / 2000
    assert float((sectors - 1 / 8).abs().max()) < 0.03


def test_the_pull_on_a_point_is_up_the_slope_of_the_score() -> None:
    judge_ = nn.Linear(2, 1, bias=False)
    nn.init.constant_(judge_.weight, 0.25)
    points = torch.tensor([[1.0, 1.0], [0.0, 0.0], [4.0, 0.0]])  # scores ½, 0, 1: 2·(1 - score)·¼ along both axes
    expected = torch.tensor([[0.25, 0.25], [0.5, 0.5], [0.0, 0.0]])
    torch.testing.assert_close(gan.pull_on(points, judge_), expected)


def test_the_ways_of_the_gradient_add_up_to_what_training_computes() -> None:
    model, source, driving = a_model()
    found = gradient_routes(model, source, driving)
    training.compute_gradients(model, source, driving, CPU)
    assert found.together == pytest.approx(float(gradients(model.detector).norm()), rel=1e-6)
    assert min(found.motion, found.fake, found.real) > 0


def test_a_way_that_is_cut_has_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    model, source, driving = a_model()
    see = model.discriminator.forward

    def blind(frame: Tensor, *keypoints: Keypoints) -> list[Tensor]:
        return see(frame, *(Keypoints(k.mean * 0, k.cov.detach()) for k in keypoints))

    monkeypatch.setattr(model.discriminator, "forward", blind)
    found = gradient_routes(model, source, driving)
    assert (found.fake, found.real) == (0.0, 0.0)
    assert found.motion > 0


def test_figures_say_their_numbers() -> None:
    alt = figures06.figure_routes(Routes(1.5, 0.25, 0.125, 1.6, 0.1)).alt
    assert all(number in alt for number in ("1.50", "0.25", "0.12", "1.60"))
    assert "frame 0.50" in figures06.figure_terms({"frame": torch.tensor(0.5)}).alt
    scores = figures06.score_map(nn.Linear(2, 1), side=5)
    picture = figures06.figure_game(torch.zeros(3, 2), [("now", torch.ones(3, 2), scores)], "said", nn.Linear(2, 1))
    assert picture.alt == "said"


def test_the_score_map_has_x_to_the_right_and_y_from_below() -> None:
    linear = nn.Linear(2, 1)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 10.0]]))
        linear.bias.zero_()
    scores = figures06.score_map(linear, side=3)
    assert scores[0].tolist() == pytest.approx([-17.6, -16.0, -14.4])
    assert scores[:, 0].tolist() == pytest.approx([-17.6, -1.6, 14.4])


@pytest.mark.parametrize("exercise", lesson06.LESSON.exercises, ids=lambda e: e.id)
def test_an_answer_that_returns_nothing_hears_so(exercise: Exercise) -> None:
    verdict = judge(exercise, lambda *args: None)
    assert verdict.status == "FAIL"
    assert "returned nothing" in verdict.message
