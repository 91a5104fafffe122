"""Fixtures that several test files share."""

from __future__ import annotations

import pytest
from command_line import Command, runner


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process."""
    return runner(monkeypatch, capsys)
