"""Lesson 01: the reference warp is the library's, and each wrong answer violates a property."""

from __future__ import annotations

import inspect
import re

import pytest
import torch

from monkeynet_edu import geometry
from monkeynet_edu.course.exercise import Exercise, Mutant, original, tensors
from monkeynet_edu.course.judge import mutant_function, violated_property
from monkeynet_edu.course.lessons.lesson01 import LESSON
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
