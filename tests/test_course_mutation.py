"""Mutants made by machine, and the certificate that counts them."""

from __future__ import annotations

from dataclasses import replace

from course_examples import EXERCISE, whole

from monkeynet_edu.course.exercise import Mutant, Property
from monkeynet_edu.course.mutation import generate
from monkeynet_edu.course.verify import certify, report

SOURCE = '''def f(x: float, y: int = 3) -> float:
    """Adds 1 + 2."""
    z = x[0] + 2.5
    return -z.sum(dim=-1) * 4
'''


def test_one_sign_axis_index_or_constant_changes_at_a_time() -> None:
    found = {mutant.description for mutant in generate(SOURCE)}
    assert "sign: z = x[0] + 2.5 -> z = x[0] - 2.5" in found
    assert "index: z = x[0] + 2.5 -> z = x[1] + 2.5" in found
    assert "constant: z = x[0] + 2.5 -> z = x[0] + 5.0" in found
    assert "axis: return -z.sum(dim=-1) * 4 -> return -z.sum(dim=-2) * 4" in found
    assert "operator: return -z.sum(dim=-1) * 4 -> return -z.sum(dim=-1) / 4" in found
    assert any("return +z.sum(dim=-1)" in text for text in found)


def test_docstring_defaults_and_annotations_are_not_mutated() -> None:
    for mutant in generate(SOURCE):
        assert "y: int=3" in mutant.source
        assert "Adds 1 + 2." in mutant.source


def test_all_mutants_differ_from_each_other_and_from_the_source() -> None:
    sources = [mutant.source for mutant in generate(SOURCE)]
    assert len(sources) == len(set(sources)) > 8


def test_a_sound_exercise_is_certified() -> None:
    certificate = certify(EXERCISE)
    assert certificate.problems == []
    assert certificate.generated > 10
    assert "NOT" not in report([certificate])


def test_a_surviving_mutant_is_reported() -> None:
    loose = replace(EXERCISE, properties=(Property("nothing", "holds always", lambda answer: None),))
    problems = certify(loose).problems
    assert any("survives all properties" in line for line in problems)


def test_a_mutant_with_the_hint_of_another_is_reported() -> None:
    twin = Mutant("twin", "the same", "another hint", EXERCISE.mutants[0].edits)
    problems = certify(replace(EXERCISE, mutants=(*EXERCISE.mutants, twin))).problems
    assert problems == ["mutant twin gets the hint of swapped"]


def test_a_right_answer_that_is_rejected_is_reported() -> None:
    def wrong(points, height, width):
        return points

    problems = certify(replace(EXERCISE, alternatives=(whole, whole, wrong))).problems
    assert len(problems) == 1
    assert problems[0].startswith("right answer rejected: wrong (2): FAIL")


def test_too_few_mutants_and_a_needless_justification_are_reported() -> None:
    thin = replace(EXERCISE, mutants=EXERCISE.mutants[:2], survivors={"sign: nothing": "because"})
    problems = certify(thin).problems
    assert "expected at least 3 mutants, got 2" in problems
    assert any("justified survivor" in line for line in problems)
