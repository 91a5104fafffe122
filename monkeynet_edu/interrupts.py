"""Ctrl-C as a wish that long work grants where it can leave something whole behind."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Any


class CtrlC:
    """Turns the first Ctrl-C into a wish that a loop grants between two steps: what is cut in half could not be kept.

    A second one interrupts at once.

    Attributes:
        wanted: whether Ctrl-C has been pressed.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before: Any = None

    def _note(self, *_: object) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True

    def __enter__(self) -> CtrlC:
        if callable(signal.getsignal(signal.SIGINT)):  # not where it is ignored (nohup)
            with suppress(ValueError):  # only the main thread may listen
                self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
