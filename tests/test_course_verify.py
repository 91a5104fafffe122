"""Every exercise of the course is certified: named mutants get their own hints, right answers pass."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from monkeynet_edu.cli import app
from monkeynet_edu.course import lessons, verify
from monkeynet_edu.course.exercise import Exercise, original, solution_source, split_docstring
from monkeynet_edu.course.map import BOXES
from monkeynet_edu.course.verify import certify

EXERCISES = [(lesson, exercise) for lesson in lessons.all_lessons() for exercise in lesson.exercises]
IDS = [exercise.id for _, exercise in EXERCISES]


@pytest.mark.slow
@pytest.mark.parametrize("exercise", [exercise for _, exercise in EXERCISES], ids=IDS)
def test_an_exercise_is_certified(exercise: Exercise) -> None:
    assert certify(exercise).problems == []


def test_ids_are_unique_and_every_exercise_has_a_box_on_the_map() -> None:
    assert len(set(IDS)) == len(IDS)
    assert {exercise.box for _, exercise in EXERCISES} <= set(BOXES)


@pytest.mark.parametrize("exercise", [exercise for _, exercise in EXERCISES], ids=IDS)
def test_a_target_is_short_and_blanks_and_edits_quote_it_once(exercise: Exercise) -> None:
    import ast

    source = solution_source(exercise)
    function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
    assert len(statements) - 2 <= 15  # without the def itself and its docstring
    body = split_docstring(source)[1]
    for text in [*exercise.blanks, *(old for mutant in exercise.mutants for old, _ in mutant.edits)]:
        assert body.count(text) == 1, text


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=IDS)
def test_free_names_of_a_target_are_among_the_lessons_imports(lesson: lessons.Lesson, exercise: Exercise) -> None:
    from inspect import getclosurevars

    names = set(getclosurevars(original(exercise.target)).globals)
    assert names - {exercise.name} <= set(lesson.namespace())


@pytest.mark.parametrize("exercise", [exercise for _, exercise in EXERCISES], ids=IDS)
def test_hints_of_mutants_differ_and_do_not_give_the_solution_away(exercise: Exercise) -> None:
    hints = [mutant.hint for mutant in exercise.mutants]
    assert len(set(hints)) == len(hints)
    lines = [line.strip() for line in split_docstring(solution_source(exercise))[1].splitlines() if len(line.strip()) > 12]
    for text in [*hints, *exercise.hints[:2]]:
        assert not any(line in text for line in lines), text


def test_every_lesson_from_03_on_has_a_blank_page_and_levels_fade() -> None:
    for lesson in lessons.all_lessons():
        if lesson.number >= "03":
            assert "blank page" in {exercise.level for exercise in lesson.exercises}, lesson.number


def test_the_command_exits_with_1_when_a_check_is_not_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = verify.Certificate("x", {"m": ""}, {"m": ""}, (), 10, (), ())
    monkeypatch.setattr(verify, "certify_all", lambda numbers: [bad])
    done = CliRunner().invoke(app, ["verify"])
    assert (done.exit_code, "m survives" in done.stdout) == (1, True)
    found = json.loads(CliRunner().invoke(app, ["verify", "--json"]).stdout)
    assert re.match("mutant m survives", found[0]["problems"][0])
