"""Lesson 05: right answers keep every property, wrong ones do not, and the model runs on what is replaced."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from monkeynet_edu import generator
from monkeynet_edu.course import install
from monkeynet_edu.course.exercise import Exercise, Mutant, compile_function, original, tensors
from monkeynet_edu.course.judge import diagnose, judge, mutant_function, violated_property
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


_AT_SIZE = "geometry.resize_deformation(deformation, *level.shape[-2:], resize)"
_SMALL = "geometry.resize(shown, *level.shape[-2:])"
_FACTOR = 'F.interpolate(shown, scale_factor=level.shape[2] / shown.shape[2], mode="nearest").to(level.dtype)'
ONCE_ACCEPTED = {  # one expression for a level; a trial found that the checks let these pass
    "deform-skips/no cast": f"geometry.warp(level, {_AT_SIZE})",
    "deform-skips/type of the deformation": f"geometry.warp(level.to(deformation.dtype), {_AT_SIZE})",
    "deform-skips/always float": f"geometry.warp(level.float(), {_AT_SIZE}.float())",
    "assemble/no cast": f"torch.cat([level, {_SMALL}], dim=1)",
    "assemble/type of the pictures": f"torch.cat([level.to(shown.dtype), {_SMALL}], dim=1)",
    "assemble/overwritten": f"torch.cat([level, (shown := {_SMALL}).to(level.dtype)], dim=1)",
    "assemble/one factor": f"torch.cat([level, {_FACTOR}], dim=1)",
}
HEADS = {"deform-skips": 'deform_levels(levels, deformation, resize="nearest")', "assemble": "assemble(levels, shown)"}


@pytest.mark.parametrize("case", ONCE_ACCEPTED)
def test_wrong_answers_that_were_accepted_once_are_rejected(case: str) -> None:
    name = case.partition("/")[0]
    exercise = next(e for e in LESSON.exercises if e.id == name)
    loop = ("out = []", "for level in levels:", f"    out.append({ONCE_ACCEPTED[case]})", "return out")
    lines = (f"def {HEADS[name]}:", *loop)
    wrong = compile_function("\n    ".join(lines), exercise.name, LESSON.namespace(), f"<{case}>")
    assert violated_property(exercise, wrong)
    assert judge(exercise, wrong).status in ("FAIL", "ERROR")


def test_a_missing_cast_is_named() -> None:
    skips = next(e for e in LESSON.exercises if e.id == "deform-skips")
    source = f"def {HEADS['deform-skips']}:\n    return [{ONCE_ACCEPTED['deform-skips/no cast']} for level in levels]"
    verdict = judge(skips, compile_function(source, skips.name, LESSON.namespace(), "<no cast>"))
    assert verdict.status == "FAIL"
    assert "differ in type" in verdict.message
    assert "dtype" in verdict.message


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
