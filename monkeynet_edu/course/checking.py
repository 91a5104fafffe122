"""Checks answers that lie in files: for teachers, for tests, for whoever prefers an editor."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from monkeynet_edu.course import lessons
from monkeynet_edu.course.exercise import Exercise, Function, Lesson, compile_function
from monkeynet_edu.course.judge import SECONDS, Verdict, judge
from monkeynet_edu.course.watchdog import TooSlow, time_limit
from monkeynet_edu.errors import UserError

LARGEST = 1_000_000  # bytes of a file that is read
PATIENCE = 120.0  # seconds for everything: then even a call that cannot be interrupted is given up


def list_exercises() -> list[dict[str, Any]]:
    """All exercises, in the order of the course."""
    return [
        {
            "lesson": lesson.number,
            "id": exercise.id,
            "title": exercise.title,
            "function": exercise.name,
            "level": exercise.level,
            "statement": exercise.statement,
            "mutants": [mutant.name for mutant in exercise.mutants],
        }
        for lesson in lessons.all_lessons()
        for exercise in lesson.exercises
    ]


def check_file(exercise_id: str, path: Path) -> Verdict:
    """Judges the answer in a Python file or a notebook; what it prints goes to stderr.

    Args:
        exercise_id: which exercise.
        path: defines a function of the exercise's name; the lesson's imports are there already.

    Raises:
        UserError: no such exercise, or the file cannot be read.
    """
    lesson, exercise = lessons.find(exercise_id)
    source = _read(path, exercise.name)
    with _quiet():
        function, verdict = _define(lesson, exercise, source, path)
        if verdict is not None:
            return verdict
        return judge(exercise, function)


def _read(path: Path, name: str) -> str:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise UserError(f"{path}: expected an answer of at most {LARGEST:,} bytes, got {size:,}; shorten it")
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected Python text in UTF-8, got other bytes; save it as UTF-8") from error
    except OSError as error:
        raise UserError(f"{path}: expected a Python file or a notebook, got {error.strerror}; check the name") from error
    return _from_notebook(path, text, name) if path.suffix == ".ipynb" else text


def _from_notebook(path: Path, text: str, name: str) -> str:
    """The last code cell that defines the function."""
    try:
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: expected a Jupyter notebook, got something else ({error}); save it again") from error
    holders = [source for source in sources if f"def {name}(" in source]
    return holders[-1] if holders else ""


def _define(
    lesson: Lesson, exercise: Exercise, source: str, path: Path
) -> tuple[Function | None, Verdict | None]:
    """Runs the file; the function, or a verdict on why there is none."""
    broken = Verdict(exercise.id, "ERROR", "", f"running {path.name}")
    try:
        tree = ast.parse(source)
        with time_limit(SECONDS):
            return compile_function(source, exercise.name, lesson.namespace(), str(path)), None
    except SyntaxError as error:
        line = (error.text or "").strip()
        return None, replace(broken, message=f"This is not Python yet: {error.msg} in line {error.lineno}, `{line}`.")
    except ValueError as error:
        return None, replace(broken, message=f"This is not Python yet: {error}.")
    except KeyError as error:
        if error.args != (exercise.name,):
            return None, replace(broken, message=f"The file stopped with KeyError: {error}.")
        found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        said = f"It defines {', '.join(found)}." if found else "It defines no function."
        message = f"{path.name} does not define {exercise.name}. {said}"
        return None, Verdict(exercise.id, "NOT ATTEMPTED", message)
    except TooSlow:
        return None, replace(broken, message=f"The file did not finish within {SECONDS:.0f} seconds, so it was stopped.")
    except (Exception, SystemExit) as error:
        return None, replace(broken, message=f"The file stopped with {type(error).__name__}: {str(error)[:200]}.")


@contextmanager
def _quiet() -> Iterator[None]:
    """What an answer prints goes to stderr; it finds nothing to read on stdin."""
    before = sys.stdin
    sys.stdin = io.StringIO()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdin = before


@contextmanager
def give_up(after: float, say: Callable[[], None]) -> Iterator[None]:
    """Ends the whole process when the block hangs in one call that nothing can interrupt."""

    def end() -> None:
        say()
        sys.stdout.flush()
        os._exit(1)

    timer = threading.Timer(after, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def given_up(exercise_id: str) -> Verdict:
    """The verdict on an answer that hung."""
    message = f"Your function did not come back within {PATIENCE:.0f} seconds, so the check was given up."
    return Verdict(exercise_id, "ERROR", message)
