"""Stops code that does not end: works wherever Python runs, also where there are no signals."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class TooSlow(BaseException):
    """Raised inside code that ran out of time."""


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises :class:`TooSlow` in the calling thread when the block takes longer.

    What counts is the processor's time, so that a busy machine makes nobody's answer wrong; code that sleeps is stopped
    after ten times as long. The exception comes between two lines of Python: one long call into torch cannot be
    interrupted.
    """
    thread, over = threading.get_ident(), threading.Event()
    began, worked = time.monotonic(), time.process_time()

    def watch() -> None:
        while not over.wait(min(0.1, seconds / 4)):
            if time.process_time() - worked > seconds or time.monotonic() - began > 10 * seconds:
                _raise_in(thread, TooSlow)
                over.wait(0.5)  # again after that: the first may have been swallowed

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        _raise_in(thread, None)  # one that was still on its way is called back
