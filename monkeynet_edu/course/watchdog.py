"""Stops code that does not end: works wherever Python runs, also where there are no signals."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TooSlow(BaseException):
    """Raised inside code that ran out of time."""


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises :class:`TooSlow` in the calling thread when the block takes longer.

    It comes between two lines of Python: one long call into torch cannot be interrupted.
    """
    thread, done = threading.get_ident(), threading.Event()

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):
            _raise_in(thread, TooSlow)
            wait = 0.5  # again: the first may have been swallowed

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        _raise_in(thread, None)  # one that was still on its way is called back
