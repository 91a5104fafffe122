"""Fixtures that several test files share."""

from __future__ import annotations

import signal

import pytest
from command_line import Command, runner


def pytest_configure() -> None:
    """Hears Ctrl-C again where a shell that runs the tests in the background told them, and what they start, not to."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process."""
    return runner(monkeypatch, capsys)
