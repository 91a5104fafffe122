"""Lesson 05: right answers keep every property, wrong ones do not, and the model runs on what is replaced."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from monkeynet_edu import generator
from monkeynet_edu.course import install
from monkeynet_edu.course.exercise import Exercise, Mutant, original, tensors
from monkeynet_edu.course.judge import diagnose, mutant_function, violated_property
from monkeynet_edu.course.lessons.lesson05 import LESSON
from monkeynet_edu.generator import Generator, GeneratorConfig
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.motion import MotionConfig

MUTANTS = [pytest.param(e, m, id=f"{e.id}/{m.name}") for e in LESSON.exercises for m in e.mutants]
EXERCISES = [pytest.param(e, id=e.id) for e in LESSON.exercises]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_right_answer_and_its_alternatives_keep_every_property(exercise: Exercise) -> None:
    right = original(exercise.target)
    for answer in (right, *exercise.alternatives):
        for held in exercise.properties:
            held.check(answer)
        for call in exercise.calls():
            pairs = zip(tensors(exercise.result(answer, call)), tensors(exercise.result(right, call)), strict=True)
            for mine, theirs in pairs:
                torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("exercise", "mutant"), MUTANTS)
def test_a_wrong_answer_violates_a_property_and_gets_its_own_hint(exercise: Exercise, mutant: Mutant) -> None:
    wrong = mutant_function(exercise, mutant.name)
    assert violated_property(exercise, wrong)
    assert diagnose(exercise, wrong) == mutant.name


def test_every_answer_of_the_lesson_is_called_when_the_generator_draws() -> None:
    small = MotionConfig(width=4, max_width=8, levels=2, scale=0.5)
    config = GeneratorConfig(width=4, max_width=8, levels=2, refinement_blocks=1, motion=small, resize="bilinear")
    torch.manual_seed(0)
    model = Generator(config, keypoints=2).eval()
    points = Keypoints(torch.rand(1, 2, 2) - 0.5, (0.05 * torch.eye(2)).expand(1, 2, 2, 2))

    def draw() -> Tensor:
        picture: Tensor = model(torch.linspace(0, 1, 768).reshape(1, 3, 16, 16), points, points).prediction
        return picture

    before = draw()
    try:
        counted = [install.install(exercise, original(exercise.target)) for exercise in LESSON.exercises]
        assert torch.equal(draw(), before)
        assert all(answer.calls > 0 for answer in counted)
    finally:
        for exercise in LESSON.exercises:
            install.remove(exercise)


def test_assembled_levels_keep_their_precision() -> None:
    joined = generator.assemble([torch.zeros(1, 2, 4, 4, dtype=torch.bfloat16)], torch.ones(1, 3, 8, 8))
    assert joined[0].dtype == torch.bfloat16
    assert joined[0].shape == (1, 5, 4, 4)
