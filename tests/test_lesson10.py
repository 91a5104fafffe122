"""Lesson 10: its checks accept strangers' right answers and reject wrong ones with the right word; its numbers and figures.

The kill matrix itself is `verify`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.image.fid import _compute_fid

from monkeynet_edu.course import install
from monkeynet_edu.course.exercise import Exercise
from monkeynet_edu.course.judge import judge
from monkeynet_edu.course.lessons import figures10, lesson10
from monkeynet_edu.metrics import external, frechet
from monkeynet_edu.metrics.distances import Counted

EXERCISES = {exercise.id: exercise for exercise in lesson10.LESSON.exercises}


@pytest.fixture
def installed() -> Iterator[list[Exercise]]:
    """Exercises whose answers were put into the library, to be taken out again."""
    used: list[Exercise] = []
    yield used
    for exercise in used:
        install.remove(exercise)


def test_each_exercise_has_a_blank_page_or_steps() -> None:
    levels = {exercise.id: exercise.level for exercise in lesson10.LESSON.exercises}
    assert list(levels.values()).count("blank page") == 2
    assert all(EXERCISES[name].steps for name, level in levels.items() if level == "stub")


# --------------------------------------------------------------------------------------------- a pass drives the library


def test_a_passed_distance_is_what_evaluate_measures_with(installed: list[Exercise]) -> None:
    exercise = EXERCISES["keypoint-distance"]
    installed.append(exercise)
    counted = install.install(exercise, lambda real, generated, both, norm="euclidean": torch.tensor(3.25))
    found = torch.zeros(3, 2, 2), torch.ones(3, 2, dtype=torch.bool)
    figures = external.point_figures(found, found, None)
    assert figures["akd"].value == figures["akd_l1"].value == 3.25
    assert counted.calls >= 2


def test_passed_rates_and_embeddings_are_what_evaluate_measures_with(installed: list[Exercise]) -> None:
    rate, embedding = EXERCISES["missing-rate"], EXERCISES["embedding-distance"]
    installed += [rate, embedding]
    install.install(rate, lambda real_found, generated_found: torch.tensor(0.5))
    install.install(embedding, lambda real, generated, form="euclidean": torch.tensor(2.0))
    found = torch.zeros(3, 2, 2), torch.ones(3, 2, dtype=torch.bool)
    assert external.point_figures(found, found, None)["mkr"].value == 0.5
    assert external.identity_figures(torch.zeros(3, 4), torch.zeros(3, 4))["aed_squared"].value == 2.0


def test_a_passed_frechet_distance_is_what_the_lesson_measures_with(installed: list[Exercise]) -> None:
    exercise = EXERCISES["frechet-distance"]
    installed.append(exercise)
    install.install(exercise, lambda *gaussians: torch.tensor(9.0))
    assert figures10.fid(torch.randn(9, 2), torch.randn(9, 2)) == 9.0


# ----------------------------------------------------------------------------------------------------- right answers


def akd_with_a_mask(real: Tensor, generated: Tensor, both: Tensor, norm: str = "euclidean") -> Tensor:
    apart = (real - generated).norm(dim=2) if norm == "euclidean" else (real - generated).abs().mean(2)
    frames = [row[mask].mean() for row, mask in zip(apart, both, strict=True) if mask.any()]
    return sum(frames) / len(frames)


def akd_with_numpy(real: Tensor, generated: Tensor, both: Tensor, norm: str = "euclidean") -> Tensor:
    gap = np.abs((real - generated).numpy())
    apart = np.hypot(gap[..., 0], gap[..., 1]) if norm == "euclidean" else gap.mean(-1)
    weights = both.numpy().astype(float)
    kept = weights.sum(1) > 0
    return torch.tensor(np.average(apart[kept], axis=1, weights=weights[kept]).mean(), dtype=real.dtype)


def mkr_with_a_loop(real_found: Tensor, generated_found: Tensor) -> Tensor:
    rates = []
    for a, b in zip(real_found, generated_found, strict=True):
        if a.sum() > 0:
            rates.append(1 - (a & b).sum() / a.sum())
    return torch.stack(rates).mean()


def aed_with_a_root(real: Tensor, generated: Tensor, form: str = "euclidean") -> Tensor:
    squared = ((real - generated) ** 2).sum(1)
    if form == "squared":
        return squared.mean()
    return torch.sqrt(squared).mean()


def frechet_from_the_other_side(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    root = frechet.matrix_root(cov2)
    cross = frechet.matrix_root(root @ cov1 @ root)
    return torch.linalg.vector_norm(mean1 - mean2) ** 2 + torch.trace(cov1) + torch.trace(cov2) - 2 * torch.trace(cross)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("keypoint-distance", akd_with_a_mask),
        ("keypoint-distance", akd_with_numpy),
        ("missing-rate", mkr_with_a_loop),
        ("embedding-distance", aed_with_a_root),
        ("frechet-distance", frechet_from_the_other_side),
    ],
)
def test_right_answers_written_differently_pass(name: str, answer) -> None:
    verdict = judge(EXERCISES[name], answer)
    assert verdict.status == "PASS", f"{verdict.message} {verdict.expected} {verdict.got}"


# ----------------------------------------------------------------------------------------------------- wrong answers


def test_an_average_that_keeps_empty_frames_hears_of_nan() -> None:
    def mine(real: Tensor, generated: Tensor, both: Tensor, norm: str = "euclidean") -> Tensor:
        apart = (real - generated).norm(dim=-1) if norm == "euclidean" else (real - generated).abs().mean(-1)
        return ((apart * both).sum(1) / both.sum(1)).mean()

    verdict = judge(EXERCISES["keypoint-distance"], mine)
    assert verdict.status == "FAIL"
    assert "divided by zero" in verdict.message
    assert "in frame 1 none is found in both" in verdict.tried


def test_a_rate_that_keeps_empty_frames_hears_of_nan() -> None:
    verdict = judge(EXERCISES["missing-rate"], lambda a, b: ((a & ~b).sum(1) / a.sum(1)).mean())
    assert verdict.status == "FAIL"
    assert "NaN" in verdict.message


def test_an_answer_that_knows_only_one_form_is_wrong() -> None:
    def mine(real: Tensor, generated: Tensor, form: str = "euclidean") -> Tensor:
        return (real - generated).norm(dim=-1).mean()

    verdict = judge(EXERCISES["embedding-distance"], mine)
    assert verdict.status == "FAIL"
    assert 'form="squared"' in verdict.message


def test_the_root_of_a_product_that_is_not_symmetric_is_recognised() -> None:
    def mine(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
        return ((mean1 - mean2) ** 2).sum() + torch.trace(cov1 + cov2 - 2 * frechet.matrix_root(cov1 @ cov2))

    verdict = judge(EXERCISES["frechet-distance"], mine)
    assert (verdict.status, verdict.mutant) == ("FAIL", "root-of-the-product")


@pytest.mark.parametrize("exercise", lesson10.LESSON.exercises, ids=lambda e: e.id)
def test_an_answer_that_returns_nothing_hears_so(exercise: Exercise) -> None:
    verdict = judge(exercise, lambda *args, **kwargs: None)
    assert verdict.status == "FAIL"
    assert "returned nothing" in verdict.message


# ---------------------------------------------------------------------------------------------- numbers of the lesson


def test_the_oracle_of_two_dimensions_agrees_with_torchmetrics() -> None:
    # The same sum as torchmetrics', which takes roots of eigenvalues of the product: two independent ways to one number.
    lesson10._frechet_pair(lambda *gaussians: _compute_fid(*gaussians))
    lesson10._frechet_scaled(lambda *gaussians: _compute_fid(*gaussians))


def test_the_clouds_of_the_lesson_cost_what_is_said() -> None:
    lying, standing = torch.diag(torch.tensor([9.0, 1.0])), torch.diag(torch.tensor([1.0, 9.0]))
    nothing = torch.zeros(2)
    assert float(frechet.frechet_distance(nothing, lying, nothing, standing)) == pytest.approx(8, abs=1e-4)


def test_coarse_colours_are_the_means_of_patches() -> None:
    frames = torch.zeros(1, 3, 64, 64)
    frames[0, 0, :16, 16:32] = 1.0
    features = figures10.CoarseColours()(frames)
    assert features.shape == (1, figures10.CoarseColours.dimension)
    assert features[0].nonzero().flatten().tolist() == [1]  # red, first row, second patch


def test_handfuls_of_one_crowd_are_farther_apart_when_they_are_small() -> None:
    features = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    curve = figures10.fid_by_count(features, features, (5, 20, 200))
    assert curve[5] > 2 * curve[20] > 2 * curve[200] > 0


def test_tables_say_what_could_not_be_measured() -> None:
    rows = {"a film": {"AKD": Counted(1.25, 2, 3)}, "no joints": {"AKD": Counted(None, 0, 0)}}
    assert figures10.table(rows, ("AKD",)).splitlines()[1:] == ["a film         1.250", "no joints          –"]
    assert figures10.listed(rows, ("AKD",)) == "- a film: AKD 1.250\n- no joints: AKD –"


def test_figures_say_their_numbers() -> None:
    angles = torch.linspace(0, 2 * math.pi, 5)[:-1]
    alt = figures10.figure_directions(angles, torch.ones(4), torch.tensor([0.5, 0.7, 0.5, 0.7])).alt
    assert "between 0.50 along an axis and 0.70 along a diagonal, on average 0.60" in alt
    assert "a: 3 with 4, 1.5 with 8" in figures10.figure_counts({"a": {4: 3.0, 8: 1.5}}).alt
    cloud = torch.zeros(3, 2)
    assert figures10.figure_clouds({"pair": (cloud, cloud)}, "said").alt == "said"
    film = np.zeros((2, 8, 8, 3), np.uint8)
    assert figures10.figure_frames({"a": film}, (0, 1), "frames").alt == "frames"
