"""Trainings that are killed, or whose disk is full, at whatever moment: resumed, they end on the same bits.

What dies here are real processes that run the command line; see ``killing.py``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monkeynet_edu import training
from monkeynet_edu.training import CHECKPOINT_FILE, METRICS_FILE, MODEL_FILE

pytestmark = pytest.mark.skipif(
    not (hasattr(os, "fork") and Path("/proc/self/fd").is_dir()), reason="needs forks, and /proc to watch what is written"
)
HERE = Path(__file__).parent


def carried_out(plan: str, place: Path) -> tuple[dict[str, Any], str]:
    """What a plan of killing.py prints, and what the trainings said."""
    environment = {**os.environ, "PYTHONPATH": str(Path(training.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "killing.py"), plan, str(place)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def by_step(known: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {int(row["step"]): row for row in known}


def assert_whole(left: dict[str, Any], known: dict[int, dict[str, Any]]) -> None:
    """Checkpoint and model hold the very bits of an uninterrupted training, and the model is at most one save behind."""
    step = left["step"]
    if step is None:
        assert left["model"] is None
        return
    assert left["checkpoint"] == known[step]["checkpoint"], left
    assert left["model"] in (known[step]["model"], known.get(step - 1, {"model": None})["model"]), left


def assert_as_never_interrupted(run: dict[str, Any], known: dict[int, dict[str, Any]]) -> None:
    """A finished run folder: the bits, rows that are whole and told once, and nothing that a death has left behind."""
    last = max(known)
    assert (run["weights"], run["checkpoint"]) == (known[last]["model"], known[last]["checkpoint"])
    assert run["rows"] == sorted(set(run["rows"]))
    assert len(run["rows"]) == run["lines"]
    assert {1, *range(2, last + 1, 2)} <= set(run["rows"])  # every second step is logged
    assert run["files"] == sorted([CHECKPOINT_FILE, METRICS_FILE, MODEL_FILE, "preview.png"])


@pytest.mark.slow
def test_killed_at_20_random_moments_and_resumed_the_weights_are_those_of_an_uninterrupted_run(tmp_path: Path) -> None:
    said, _ = carried_out("random", tmp_path)
    known = by_step(said["known"])
    assert len(said["left"]) >= 20
    assert len({left["step"] for left in said["left"]}) >= 4
    for left in said["left"]:
        assert_whole(left, known)
    for run in said["runs"]:
        assert_as_never_interrupted(run, known)


@pytest.mark.slow
def test_killed_before_any_of_its_file_operations_a_training_goes_on_from_a_whole_checkpoint(tmp_path: Path) -> None:
    said, _ = carried_out("events", tmp_path)
    known = by_step(said["known"])
    died = {left["event"] for left in said["left"]}
    for name in (CHECKPOINT_FILE, MODEL_FILE):  # before the first byte, before the flush, before and after the renaming
        assert {f"open w {name}.part", f"flush {name}.part", f"rename {name}", "flush run0"} <= died
    assert {f"open a {METRICS_FILE}", f"rename {METRICS_FILE}", "rename preview.png", "open w preview.png"} <= died
    steps = [left["step"] or 0 for left in said["left"]]
    assert steps == sorted(steps)
    assert steps[-1] > 20
    for left in said["left"]:
        assert_whole(left, known)
    assert_as_never_interrupted(said["runs"][0], known)


@pytest.mark.slow
def test_killed_or_refused_amid_the_writing_of_a_file_the_previous_checkpoint_is_there(tmp_path: Path) -> None:
    said, words = carried_out("half", tmp_path)
    known = by_step(said["known"])
    assert len(said["runs"]) == 4
    for run in said["runs"]:
        assert run["left"] == known[2]
        if run["lives"]:
            assert (run["code"], run["parts"]) == (2, {})
            told = f"{run['file']}-True/{run['file']}: could not be written (File too large); what was there before"
            assert words.count(told) == 1
        else:  # the file was really cut
            assert (run["code"], run["parts"]) == (-signal.SIGXFSZ, {f"{run['file']}.part": run["limit"]})
        assert_as_never_interrupted(run, known)
    assert "Traceback" not in words


def test_on_a_full_disk_training_ends_with_one_line_and_goes_on_from_the_previous_checkpoint(tmp_path: Path) -> None:
    said, words = carried_out("full", tmp_path)
    if "skipped" in said:
        pytest.skip(said["skipped"])
    known, run = by_step(said["known"]), said["runs"][0]
    assert (run["code"], run["parts"]) == (2, [])
    assert run["left"] == known[2]
    lines = [line for line in words.splitlines() if "error: " in line]
    assert len(lines) == 1
    for word in (CHECKPOINT_FILE, "No space left on device", "what was there before is untouched", "free some space"):
        assert word in lines[0]
    assert_as_never_interrupted(run, known)
