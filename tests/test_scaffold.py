"""What learners are given of a solution, level by level."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from monkeynet_edu.course import lessons, scaffold
from monkeynet_edu.course.exercise import LEVELS, Exercise, Level

SOLUTION = '''\
def spread(values: Tensor, weights: Tensor, floor: float = 2.0) -> Tensor:
    """Weighted spread of values.

    It is never negative.

    Args:
        values: (N,).
        weights: (N,), they sum to 1.
        floor: added.

    Returns:
        A number.
    """
    # the secret: subtract the mean first
    mean = (values * weights).sum()
    centred = values - mean  # secret shape
    total = (
        weights
        * centred**2  # secret power
    ).sum()
    return total + floor * 1e-7
'''
BODY = ["mean = (values", "centred = values", "total = (", "return total"]


@pytest.fixture
def exercise(monkeypatch: pytest.MonkeyPatch) -> Exercise:
    monkeypatch.setattr(scaffold, "solution_source", lambda exercise: SOLUTION)
    return Exercise(
        id="spread",
        title="Spread",
        target="anywhere:spread",
        statement="Write the spread of `values`.",
        level="stub",
        steps=("the mean", "what is left", "the mean square", "add floor times 1e-7"),
        blanks=("values - mean", "1e-7"),
        hints=("", "", ""),
        calls=list,
        properties=(),
        mutants=(),
        alternatives=(),
        box="",
    )


def text(exercise: Exercise, level: Level) -> str:
    return scaffold.learner_text(replace(exercise, level=level))


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "blank page"])
def test_signature_docstring_and_statement_stand_at_every_level_but_the_blank_page(
    exercise: Exercise, level: Level
) -> None:
    if level == "blanks":
        exercise = replace(exercise, blanks=("values - mean",))
    given = text(exercise, level)
    function = ast.parse(given).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert ast.get_docstring(function) == ast.get_docstring(ast.parse(SOLUTION).body[0])  # type: ignore[arg-type]
    assert [argument.arg for argument in function.args.args] == ["values", "weights", "floor"]
    assert given.startswith("# Write the spread of `values`.\n")


@pytest.mark.parametrize("level", ["worked", "order", "stub"])
def test_an_untouched_cell_only_raises(exercise: Exercise, level: Level) -> None:
    function = ast.parse(text(exercise, level)).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert len(function.body) == 2
    assert isinstance(function.body[1], ast.Raise)


def test_a_stub_holds_the_steps_and_nothing_of_the_body(exercise: Exercise) -> None:
    given = text(exercise, "stub")
    assert "    # 1. the mean\n    # 2. what is left\n" in given
    assert "secret" not in given
    assert not any(piece in given for piece in BODY)


def test_a_worked_example_gives_the_solution_back_when_its_lines_are_uncommented(exercise: Exercise) -> None:
    given = text(exercise, "worked").splitlines()
    steps = [f"    # {number}. {step}" for number, step in enumerate(exercise.steps, start=1)]
    assert [line for line in given if line in steps] == steps
    assert given.index(steps[1]) > next(i for i, line in enumerate(given) if "mean = (values" in line)
    code = [line.replace("# ", "", 1) if line.startswith("    #") else line for line in given if line not in steps]
    restored = "\n".join(line for line in code[2:] if line != "    raise NotImplementedError")
    assert ast.dump(ast.parse(restored)) == ast.dump(ast.parse(SOLUTION))


def test_lines_to_order_are_all_there_wrapped_ones_whole_and_never_in_a_right_order(exercise: Exercise) -> None:
    for name in ("a", "b", "c", "d", "e", "f", "g", "h"):
        given = text(replace(exercise, id=name), "order")
        places = [given.index(f"    # {piece}") for piece in BODY]
        assert max(places) != places[-1], "the return may not come last: then a swap of the others could be right"
        assert "    # total = (\n    #     weights\n    #     * centred**2\n    # ).sum()" in given
        assert "secret" not in given
    assert text(exercise, "order") == text(exercise, "order")


def test_blanks_replace_their_texts_and_comments_are_gone(exercise: Exercise) -> None:
    given = text(replace(exercise, blanks=("values - mean", "(values * weights)")), "blanks")
    assert "centred = ____\n" in given
    assert "mean = ____.sum()" in given
    assert "secret" not in given
    assert "NotImplementedError" not in given


def test_a_blank_page_defines_nothing_and_says_what_to_write(exercise: Exercise) -> None:
    exercise = replace(exercise, statement="Write the spread of `values`, plus floor times 1e-7.")
    given = text(exercise, "blank page")
    assert ast.parse(given).body == []
    assert "spread(values, weights, floor=2.0)" in given
    assert "in this cell, below." in given.splitlines()[-2]
    assert "#     weights: (N,), they sum to 1." in given
    assert "#     A number." in given
    assert "never negative" not in given
    assert "the mean square" not in given
    assert scaffold.submit_text(replace(exercise, level="blank page")) == 'ex.submit("spread", "spread")'
    assert scaffold.submit_text(exercise) == 'ex.submit("spread", spread)'


@pytest.mark.parametrize(
    ("level", "changes", "said"),
    [
        ("stub", {"steps": ()}, "steps"),
        ("stub", {"steps": ("the mean",)}, "1e-07"),
        ("blank page", {}, "1e-07"),
        ("blanks", {"blanks": ()}, "at least one"),
        ("blanks", {"blanks": ("mean",)}, "once"),
        ("blanks", {"blanks": ("median",)}, "once"),
        ("blanks", {"blanks": ("1e-7",), "steps": ()}, "1e-07"),
    ],
)
def test_a_specification_that_does_not_fit_is_refused_by_name(
    exercise: Exercise, level: Level, changes: dict[str, tuple[str, ...]], said: str
) -> None:
    with pytest.raises(ValueError, match="exercise spread") as caught:
        text(replace(exercise, **changes), level)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_a_function_on_one_line_is_refused() -> None:
    with pytest.raises(ValueError, match="below the signature"):
        scaffold.take_apart("def f(x): return x")
    with pytest.raises(ValueError, match="below the signature"):
        scaffold.take_apart("def f(): return 1")


def test_a_function_without_docstring_is_taken_apart_too() -> None:
    parts = scaffold.take_apart("@once\ndef f(\n    x: int,\n) -> int:\n    # why\n    return x")
    assert (parts.head, parts.docstring) == ("@once\ndef f(\n    x: int,\n) -> int:", "")
    assert parts.body == "    # why\n    return x"


def test_text_in_quotes_that_looks_like_a_comment_stays() -> None:
    assert scaffold.without_comments('    a = "# no"  # yes\n    # gone\n    b = 1') == '    a = "# no"\n    b = 1'


@pytest.mark.parametrize("number", lessons.numbers())
def test_every_exercise_of_the_course_has_a_learners_text_without_its_own_comments(number: str) -> None:
    for exercise in lessons.load(number).exercises:
        given = scaffold.learner_text(exercise)
        ast.parse(given)
        if exercise.level in ("stub", "blank page"):
            solution = scaffold.take_apart(scaffold.solved_text(exercise)).body
            for line in scaffold.logical_lines(scaffold.without_comments(solution)):
                assert line.strip() not in given, f"{exercise.id}: the text gives {line.strip()!r} away"
