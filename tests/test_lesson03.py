"""Lesson 03: numbers by hand, strangers' answers, figures; the kill matrix itself is `verify`'s."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monkeynet_edu import geometry, keypoints, viz
from monkeynet_edu.course import lessons
from monkeynet_edu.course.exercise import Exercise, Violation, solution_source
from monkeynet_edu.course.judge import judge, violated_property
from monkeynet_edu.course.lessons import figures03, lesson03
from monkeynet_edu.course.mutation import generate
from monkeynet_edu.course.scaffold import learner_text
from monkeynet_edu.keypoints import Keypoints

EXERCISES = {exercise.id: exercise for exercise in lesson03.LESSON.exercises}


# ------------------------------------------------------------------------------------------------ the library's part


def test_half_axes_and_angle_by_hand() -> None:
    # Σ = (¼, -¼; -¼, ½): ⅜ ± √(1/64 + 1/16), roots 0.809 and 0.309 (the golden ratio's halves), ½·atan2(-¼, -⅛).
    half, angle = geometry.ellipse_axes(torch.tensor([[0.25, -0.25], [-0.25, 0.5]], dtype=torch.float64))
    assert half.tolist() == pytest.approx([(1 + math.sqrt(5)) / 4, (math.sqrt(5) - 1) / 4])
    assert math.degrees(float(angle)) == pytest.approx(-58.2825, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_half_axes_agree_with_the_eigendecomposition(seed: int) -> None:
    a = torch.randn(4, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    cov = a @ a.mT + 0.01 * torch.eye(2, dtype=torch.float64)
    half, angle = geometry.ellipse_axes(cov)
    values, vectors = torch.linalg.eigh(cov)
    torch.testing.assert_close(half, values.sqrt().flip(-1))
    along = (torch.stack([angle.cos(), angle.sin()], dim=-1) * vectors[..., 1]).sum(dim=-1)
    if bool((values[..., 1] > 1.01 * values[..., 0]).all()):  # a circle has no direction
        torch.testing.assert_close(along.abs(), torch.ones(4, dtype=torch.float64))


def test_a_covariance_that_rounding_made_negative_has_a_half_axis_of_zero() -> None:
    half, _ = geometry.ellipse_axes(torch.tensor([[0.5, 0.5000001], [0.5000001, 0.5]]))
    assert half.tolist() == [pytest.approx(1.0), 0.0]


def test_pictures_draw_their_ellipses_with_the_function_of_the_lesson(monkeypatch: pytest.MonkeyPatch) -> None:
    image, cov = torch.full((3, 32, 32), 0.5), torch.tensor([[[0.09, 0.0], [0.0, 0.01]]])
    right = viz.draw_keypoints(image, [[0.0, 0.0]], cov)
    axes = geometry.ellipse_axes
    monkeypatch.setattr(geometry, "ellipse_axes", lambda c: (axes(c)[0], axes(c)[1] + math.pi / 2))
    turned = viz.draw_keypoints(image, [[0.0, 0.0]], cov)
    assert (turned != right).any()
    drawn = np.abs(turned.astype(int) - np.rot90(right).astype(int))[20:-20, 20:-20]
    assert drawn.mean() < 2  # the same picture, turned by 90° (the number in the middle stays upright)


# ------------------------------------------------------------------------------------------------ the specifications


def test_the_lesson_is_registered_with_five_exercises_whose_support_fades() -> None:
    assert lessons.load("03") is lesson03.LESSON
    assert [e.level for e in lesson03.LESSON.exercises] == ["blanks", "blanks", "stub", "stub", "blank page"]


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_the_learners_cell_can_be_made_and_keeps_the_answer_to_itself(exercise: Exercise) -> None:
    text = learner_text(exercise)
    answer = solution_source(exercise).strip().splitlines()[-1].strip()
    assert answer not in text or exercise.level == "blanks"
    assert all(blank not in text for blank in exercise.blanks)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_every_justified_survivor_is_generated_and_changes_no_number(exercise: Exercise) -> None:
    made = {mutant.description: mutant.source for mutant in generate(solution_source(exercise))}
    assert set(exercise.survivors) <= set(made)
    for description in exercise.survivors:
        scope = dict(vars(keypoints))
        exec(made[description], scope)
        for call in exercise.inputs():
            torch.testing.assert_close(scope[exercise.name](*call.args), getattr(keypoints, exercise.name)(*call.args))


def test_the_numbers_by_hand_belong_together() -> None:
    heatmap = torch.tensor([[lesson03.BY_HAND]])
    mean = keypoints.heatmap_mean(heatmap)
    assert mean[0, 0].tolist() == list(lesson03.MEAN_BY_HAND)
    assert keypoints.heatmap_covariance(heatmap, mean)[0, 0].tolist() == [list(row) for row in lesson03.COVARIANCE_BY_HAND]
    drawn = keypoints.gaussian_heatmap(Keypoints(mean, torch.tensor([[lesson03.COVARIANCE_BY_HAND]])), 3, 3)
    assert drawn[heatmap > 0].tolist() == pytest.approx([math.exp(-1)] * 4)


# ------------------------------------------------------------------------------------------------ strangers' answers


def softmax_in_two_passes(logits: Tensor, temperature: float) -> Tensor:
    """Rows first, then columns: not the softmax over the picture, and none of the named mistakes."""
    return (logits / temperature).softmax(dim=-1).softmax(dim=-2)


def mean_squared_votes(heatmap: Tensor) -> Tensor:
    grid = geometry.lattice(*heatmap.shape[-2:], dtype=heatmap.dtype)
    weights = heatmap**2 / (heatmap**2).sum(dim=(-2, -1), keepdim=True)
    return (weights[..., None] * grid).sum(dim=(2, 3))


def covariance_of_first_map(heatmap: Tensor, mean: Tensor) -> Tensor:
    right: Tensor = lesson03.COVARIANCE.alternatives[0](heatmap, mean)
    return right[:, :1].expand_as(right)


def axes_by_diagonal(cov: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviations of x and y in any order, angle 0."""
    return cov.diagonal(dim1=-2, dim2=-1).sqrt(), torch.zeros_like(cov[..., 0, 0])


def gaussian_taxicab(points: Keypoints, height: int, width: int) -> Tensor:
    d = geometry.lattice(height, width).to(points.mean) - points.mean[..., None, None, :]
    return torch.exp(-d.abs().sum(dim=-1))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("spatial-softmax", softmax_in_two_passes),
        ("heatmap-mean", mean_squared_votes),
        ("heatmap-covariance", covariance_of_first_map),
        ("ellipse-axes", axes_by_diagonal),
        ("gaussian", gaussian_taxicab),
    ],
)
def test_a_wrong_answer_of_another_kind_gets_the_property_and_no_guessed_hint(name: str, answer: object) -> None:
    verdict = judge(EXERCISES[name], answer)  # type: ignore[arg-type]
    assert (verdict.status, verdict.mutant, verdict.hint) == ("FAIL", "", "")
    assert verdict.message


def gaussian_without_gradient(points: Keypoints, height: int, width: int) -> Tensor:
    return keypoints.gaussian_heatmap(points.detach(), height, width)


def test_a_gaussian_cut_from_the_graph_is_told_so() -> None:
    verdict = judge(EXERCISES["gaussian"], gaussian_without_gradient)
    assert verdict.status == "FAIL"
    assert "gradient" in verdict.message


def test_an_argmax_is_told_that_all_pixels_vote() -> None:
    def hardest(heatmap: Tensor) -> Tensor:
        points = geometry.lattice(*heatmap.shape[-2:], dtype=heatmap.dtype).reshape(-1, 2)
        return points[heatmap.flatten(2).argmax(dim=-1)]

    verdict = judge(EXERCISES["heatmap-mean"], hardest)
    assert (verdict.status, verdict.mutant) == ("FAIL", "argmax")
    assert "vote" in verdict.hint


def test_the_shortcut_that_cancels_fails_the_needle_alone_in_float32() -> None:
    def shortcut(heatmap: Tensor, mean: Tensor) -> Tensor:
        grid = geometry.lattice(*heatmap.shape[-2:], dtype=heatmap.dtype)
        square = (heatmap[..., None, None] * grid[..., :, None] * grid[..., None, :]).sum(dim=(2, 3))
        return square - mean[..., :, None] * mean[..., None, :]

    needle = next(p for p in lesson03.COVARIANCE.properties if p.name == "needle")
    with pytest.raises(Violation, match="Subtract the mean first"):
        needle.check(shortcut)
    for centred_first in lesson03.COVARIANCE.alternatives:
        needle.check(centred_first)
    verdict = judge(EXERCISES["heatmap-covariance"], shortcut)
    assert (verdict.status, verdict.mutant) == ("FAIL", "square-minus-square")
    assert "Subtract the mean first" in verdict.message


# Answers that were right in every case but one: readers of the lesson wrote them.


def softmax_with_one_maximum(logits: Tensor, temperature: float) -> Tensor:
    flat = logits.flatten(2) / temperature
    weights = (flat - flat.amax()).exp()
    return (weights / weights.sum(dim=-1, keepdim=True)).view_as(logits)


def softmax_with_one_maximum_an_image(logits: Tensor, temperature: float) -> Tensor:
    weights = (logits / temperature - (logits / temperature).amax(dim=(1, 2, 3), keepdim=True)).exp()
    return weights / weights.sum(dim=(2, 3), keepdim=True)


def covariance_with_a_mean_of_its_own(heatmap: Tensor, mean: Tensor) -> Tensor:
    right: Tensor = lesson03.COVARIANCE.alternatives[0](heatmap, keypoints.heatmap_mean(heatmap))
    return right


def axes_with_eigenvalues_of_at_least(least: float) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def ellipse_axes(cov: Tensor) -> tuple[Tensor, Tensor]:
        half_trace, half_gap = (cov[..., 0, 0] + cov[..., 1, 1]) / 2, (cov[..., 0, 0] - cov[..., 1, 1]) / 2
        root = torch.hypot(half_gap, cov[..., 0, 1])
        values = torch.stack([half_trace + root, half_trace - root], dim=-1).clamp_min(least)
        return values.sqrt(), torch.atan2(cov[..., 0, 1], half_gap) / 2

    return ellipse_axes


def softmax_by_logsumexp(logits: Tensor, temperature: float) -> Tensor:
    return (logits / temperature - torch.logsumexp(logits / temperature, dim=(-2, -1), keepdim=True)).exp()


@pytest.mark.parametrize(
    ("name", "answer", "held"),
    [
        ("spatial-softmax", softmax_with_one_maximum, "far-apart"),
        ("spatial-softmax", softmax_with_one_maximum_an_image, "far-apart"),
        ("spatial-softmax", softmax_by_logsumexp, None),
        ("heatmap-covariance", covariance_with_a_mean_of_its_own, "given"),
        ("ellipse-axes", axes_with_eigenvalues_of_at_least(-1.0), "needle"),
        ("ellipse-axes", axes_with_eigenvalues_of_at_least(1e-3), "needle"),
        ("ellipse-axes", axes_with_eigenvalues_of_at_least(2e-6), "tiny"),
        ("ellipse-axes", axes_with_eigenvalues_of_at_least(0.0), None),
    ],
)
def test_an_answer_that_is_wrong_in_a_rare_case_alone_is_rejected(
    name: str, answer: Callable[..., object], held: str | None
) -> None:
    assert violated_property(EXERCISES[name], answer) == held
    assert judge(EXERCISES[name], answer).status == ("FAIL" if held else "PASS")


def test_a_gaussian_divided_by_its_sum_is_told_that_its_peak_is_one() -> None:
    def divided(points: Keypoints, height: int, width: int) -> Tensor:
        drawn = lesson03.GAUSSIAN.alternatives[0](points, height, width)
        result: Tensor = drawn / drawn.sum(dim=(-1, -2), keepdim=True)
        return result

    verdict = judge(EXERCISES["gaussian"], divided)
    assert (verdict.status, verdict.mutant) == ("FAIL", "divided-by-sum")
    assert "The peak has to be 1" in verdict.message


# ------------------------------------------------------------------------------------------------ figures


def test_the_figure_of_moments_says_where_mean_and_strongest_pixel_are() -> None:
    heatmap = torch.tensor(lesson03.BY_HAND)
    picture = figures03.figure_moments([heatmap], ["by hand"], "It leans.")
    assert picture.alt.startswith("It leans. by hand: the mean lies at (0.50, 0.00), the strongest pixel at (1.00, -1.00)")
    assert "0.81 and 0.31, the long one turned by -58°" in picture.alt


def test_the_figure_of_the_temperature_widens_the_ellipse() -> None:
    logits = torch.full((9, 9), -1.0)
    logits[1, 1] = 1.0
    cold, hot = figures03.figure_temperature(logits, (0.1, 10.0)).alt.split("T = ")[1:]
    assert "the mean lies at (-0.75, -0.75)" in cold
    assert "the half axes are 0.00 and 0.00" in cold
    assert "the mean lies at (-0.00" not in hot
    assert "the strongest pixel at (-0.75, -0.75)" in hot
    mean = keypoints.heatmap_mean(keypoints.spatial_softmax(logits[None, None], 10.0))
    assert float(mean.abs().max()) < 0.05


def test_figures_of_points_and_tracks_can_be_drawn() -> None:
    frame, points = torch.rand(3, 16, 24), torch.rand(5, 4, 2) - 0.5
    covs = [None, torch.eye(2).expand(4, 2, 2)]
    both = figures03.figure_points(frame, [points[0], points[1]], ["a", "b"], "Found.", covs)
    assert both.alt == "Found. Panels: a; b."
    tracks = figures03.figure_tracks(frame, [points], ["paths"], "Short paths.")
    assert len(tracks.figure.axes[0].lines) == 8
    assert both.png() != tracks.png()
