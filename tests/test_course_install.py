"""Answers in the library: replaced, counted, given back."""

from __future__ import annotations

import time

import pytest
import torch
from course_examples import EXERCISE, whole

from monkeynet_edu import geometry
from monkeynet_edu.course import install
from monkeynet_edu.course.exercise import original, solution_source
from monkeynet_edu.course.watchdog import TooSlow, time_limit


@pytest.fixture(autouse=True)
def _give_back() -> object:
    yield
    install.remove(EXERCISE)


def test_an_installed_answer_is_what_the_library_calls_and_its_calls_are_counted() -> None:
    right = original(EXERCISE.target)
    counted = install.install(EXERCISE, whole)
    geometry.to_pixels(torch.zeros(1, 2), 3, 3)
    geometry.to_pixels(torch.zeros(1, 2), 3, 3)
    assert (counted.calls, install.installed(EXERCISE)) == (2, counted)
    install.remove(EXERCISE)
    assert geometry.to_pixels is right
    assert install.installed(EXERCISE) is None


def test_the_solution_stays_readable_while_an_answer_is_installed() -> None:
    before = solution_source(EXERCISE)
    install.install(EXERCISE, whole)
    assert solution_source(EXERCISE) == before
    assert "def to_pixels" in before


def test_temporarily_gives_back_what_was_there_even_after_an_error() -> None:
    counted = install.install(EXERCISE, whole)

    def fails() -> None:
        with install.temporarily({EXERCISE.target: lambda *_: 0}):
            raise RuntimeError(geometry.to_pixels(1, 2, 3))

    with pytest.raises(RuntimeError, match="0"):
        fails()
    assert geometry.to_pixels is counted


def test_library_only_hides_installed_answers() -> None:
    install.install(EXERCISE, whole)
    with install.library_only([EXERCISE.target]):
        assert geometry.to_pixels is original(EXERCISE.target)


def test_the_time_limit_counts_the_processors_time_but_stops_sleepers_too() -> None:
    def sleep(seconds: float) -> None:
        with time_limit(0.2):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(0.01)

    sleep(0.6)
    with pytest.raises(TooSlow):
        sleep(30)


def test_the_time_limit_stops_a_loop_and_leaves_quick_code_alone() -> None:
    def forever() -> None:
        with time_limit(0.1):
            while True:
                pass

    with pytest.raises(TooSlow):
        forever()
    with time_limit(5.0):
        total = sum(range(1000))
    assert total == 499500
