"""Lesson 01: the reference warp is the library's, and each wrong answer violates a property."""

from __future__ import annotations

import inspect
import re

import pytest
import torch
from torch import Tensor

from monkeynet_edu import geometry
from monkeynet_edu.course.exercise import Exercise, Function, Mutant, original, tensors
from monkeynet_edu.course.judge import judge, mutant_function, violated_property
from monkeynet_edu.course.lessons.lesson01 import BILINEAR_WARP, COMPOSE, LESSON, TO_PIXELS
from monkeynet_edu.course.reference import warping

MUTANTS = [pytest.param(e, m, id=f"{e.id}/{m.name}") for e in LESSON.exercises for m in e.mutants]
EXERCISES = [pytest.param(e, id=e.id) for e in LESSON.exercises]


def test_the_reference_warp_takes_what_the_librarys_takes() -> None:
    assert inspect.signature(warping.bilinear_warp) == inspect.signature(geometry.warp)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_reference_warp_equals_the_librarys_with_its_gradients(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    for size, out in (((5, 8), (5, 8)), ((4, 4), (7, 3)), ((1, 6), (2, 2)), ((2, 2), (64, 64))):
        image = torch.randn(3, 4, *size, generator=generator, dtype=dtype, requires_grad=True)
        points = (torch.rand(3, *out, 2, generator=generator, dtype=dtype) * 3 - 1.5).requires_grad_()
        results = []
        for warp in (warping.bilinear_warp, geometry.warp):
            read = warp(image, points)
            results.append((read, *torch.autograd.grad(read.square().sum(), (image, points))))
        for mine, theirs in zip(*results, strict=True):
            torch.testing.assert_close(mine, theirs, atol=2e-3 if dtype == torch.float32 else 1e-9, rtol=1e-4)


def test_a_point_that_is_not_a_number_does_not_stop_the_reference_warp() -> None:
    points = torch.full((1, 2, 2, 2), float("nan"))
    assert warping.bilinear_warp(torch.ones(1, 1, 3, 3), points).isnan().all()


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_right_answer_and_its_alternatives_keep_every_property(exercise: Exercise) -> None:
    for answer in (original(exercise.target), *exercise.alternatives):
        for held in exercise.properties:
            held.check(answer)
        for call in exercise.calls():
            mine, right = (tensors(exercise.result(f, call)) for f in (answer, original(exercise.target)))
            for a, b in zip(mine, right, strict=True):
                torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("exercise", "mutant"), MUTANTS)
def test_a_wrong_answer_violates_a_property_and_differs_on_the_calls(exercise: Exercise, mutant: Mutant) -> None:
    wrong = mutant_function(exercise, mutant.name)
    assert violated_property(exercise, wrong)
    gaps = []
    for call in exercise.calls():
        mine, right = exercise.result(wrong, call), exercise.result(original(exercise.target), call)
        assert mine.shape == right.shape
        assert mine.dtype == right.dtype
        assert mine.isfinite().all()
        gaps.append(float((mine - right).abs().max()))
    assert max(gaps) > 1e-2


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.values[0].picture])  # type: ignore[attr-defined]
def test_a_wrong_answer_is_drawn_beside_the_right_one(exercise: Exercise) -> None:
    assert exercise.picture is not None
    wrong = mutant_function(exercise, exercise.mutants[0].name)
    picture = exercise.picture(wrong, original(exercise.target))
    gap = re.search(r"differ by (0\.\d+) on average", picture.alt)
    assert gap
    assert 0.02 < float(gap[1]) < 0.5


def warp_at_points_as_if_they_were_pixels(image: Tensor, deformation: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    extent = deformation.new_tensor([width - 1, height - 1])
    return geometry.warp(image, 2 * deformation / extent - 1)


def compose_by_view(first: Tensor, second: Tensor) -> Tensor:
    batch, height, width, _ = second.shape
    return geometry.warp(second.contiguous().view(batch, 2, height, width), first.clamp(-1, 1)).permute(0, 2, 3, 1)


def compose_inside_the_source(first: Tensor, second: Tensor) -> Tensor:
    return geometry.compose(first, second.clamp(-1, 1))


@pytest.mark.parametrize(
    ("exercise", "answer", "name"),
    [
        pytest.param(BILINEAR_WARP, warp_at_points_as_if_they_were_pixels, "points-as-pixels", id="points-as-pixels"),
        pytest.param(COMPOSE, compose_by_view, "reshaped", id="reshaped"),
        pytest.param(COMPOSE, compose_inside_the_source, "second-clamped", id="second-clamped"),
    ],
)
def test_a_wrong_answer_in_other_words_gets_the_hint_for_it(exercise: Exercise, answer: Function, name: str) -> None:
    verdict = judge(exercise, answer)
    assert (verdict.status, verdict.mutant) == ("FAIL", name)


def test_rounded_pixels_are_told_of_fractions() -> None:
    verdict = judge(TO_PIXELS, lambda points, height, width: geometry.to_pixels(points, height, width).round())
    assert verdict.status == "FAIL"
    assert "fractions" in verdict.message
