"""The course: exercises and their checks, the build of the notebooks, progress.

It imports the library, never the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monkeynet_edu.course.notebook import LessonSession


def open_lesson(number: str, fast: bool = False) -> LessonSession:
    """Opens a lesson inside a notebook: what was passed before is installed, progress is found.

    Args:
        number: of the lesson, ``"01"``.
        fast: the short mode of CI; also switched on by ``MONKEYNET_EDU_FAST=1``.
    """
    from monkeynet_edu.course.notebook import LessonSession

    return LessonSession(number, fast)
