"""Runs the command line inside the test's process; the fixture ``run`` is in conftest.py."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from monkeynet_edu import cli


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *first: str) -> Command:
    """Calls ``monkeynet-edu FIRST … ARGUMENTS …``."""

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["monkeynet-edu", *first, *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as left:
            code = left.code
        else:
            code = 0
        said = capsys.readouterr()
        return Done(int(code or 0), said.out, said.err)

    return call
