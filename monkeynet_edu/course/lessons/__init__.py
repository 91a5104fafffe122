"""The lessons, one module each, found by their number."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from monkeynet_edu.course.exercise import Exercise, Lesson
from monkeynet_edu.errors import UserError, unknown_name


def numbers() -> list[str]:
    """Numbers of all lessons, in order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [name.removeprefix("lesson") for name in names if name.startswith("lesson")]


@cache
def load(number: str) -> Lesson:
    """The lesson with a number.

    Raises:
        UserError: no such lesson.
    """
    if number not in numbers():
        raise UserError(f"lesson {number!r}: expected one of {', '.join(numbers())}; choose one of them")
    lesson: Lesson = importlib.import_module(f"{__name__}.lesson{number}").LESSON
    return lesson


def all_lessons() -> list[Lesson]:
    """Every lesson, in order."""
    return [load(number) for number in numbers()]


def find(exercise_id: str) -> tuple[Lesson, Exercise]:
    """An exercise and its lesson.

    Raises:
        UserError: no such exercise; the nearest names are offered.
    """
    known = {exercise.id: (lesson, exercise) for lesson in all_lessons() for exercise in lesson.exercises}
    if exercise_id not in known:
        raise unknown_name("exercise", exercise_id, known)
    return known[exercise_id]
