"""Puts answers into the library: what a learner has passed is what the lessons and the model run on."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from monkeynet_edu.course.exercise import Exercise, Function, original, resolve


class Counted:
    """An answer that counts how often it is called; stands in the library in place of the original."""

    def __init__(self, exercise: Exercise, function: Function) -> None:
        self.exercise_id, self.function, self.calls = exercise.id, function, 0
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the answer."""
        self.calls += 1
        return self.function(*args, **kwargs)


def install(exercise: Exercise, function: Function) -> Counted:
    """Replaces the library's function at all sites of an exercise."""
    counted = Counted(exercise, function)
    for site in exercise.all_sites:
        _put(site, counted)
    return counted


def remove(exercise: Exercise) -> None:
    """Gives the library its own function back."""
    for site in exercise.all_sites:
        _put(site, original(site))


def installed(exercise: Exercise) -> Counted | None:
    """The answer that stands in the library, or None."""
    holder, name = resolve(exercise.target)
    here = getattr(holder, name)
    return here if isinstance(here, Counted) else None


def _put(site: str, function: Function) -> None:
    original(site)  # remembered before it is replaced
    holder, name = resolve(site)
    setattr(holder, name, function)


@contextmanager
def temporarily(functions: Mapping[str, Function]) -> Iterator[None]:
    """Replaces sites for the length of a block."""
    before = {site: getattr(*resolve(site)) for site in functions}
    for site, function in functions.items():
        _put(site, function)
    try:
        yield
    finally:
        for site, function in before.items():
            _put(site, function)


@contextmanager
def library_only(sites: Iterable[str]) -> Iterator[None]:
    """Inside, the library's own functions stand at these sites: checks do not depend on other answers."""
    with temporarily({site: original(site) for site in sites}):
        yield
