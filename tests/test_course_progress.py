"""Progress: kept whatever happens: several notebooks, a crash, a damaged file; and gone when she wants it gone."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from monkeynet_edu.course import lessons, progress
from monkeynet_edu.course.progress import Progress, calibration
from monkeynet_edu.errors import UserError


@pytest.fixture
def mine(tmp_path: Path) -> Progress:
    return Progress.open(tmp_path / "progress.json")


# --- where -----------------------------------------------------------------------------------------------------------


def test_the_environment_variable_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONKEYNET_PROGRESS", str(tmp_path / "here.json"))
    assert Progress.open().path == tmp_path / "here.json"


def test_else_it_lies_beside_the_notebooks_if_they_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONKEYNET_PROGRESS", raising=False)
    notebooks = Path(progress.__file__).parents[2] / "notebooks"
    monkeypatch.setattr(progress.os, "access", lambda path, mode: True)
    assert Progress.open().path == notebooks / "progress.json"


def test_else_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONKEYNET_PROGRESS", raising=False)
    monkeypatch.setattr(progress.os, "access", lambda path, mode: False)
    path = Progress.open().path
    assert path.name == "progress.json"
    assert "monkeynet-edu" in path.parts[-2]


def test_opening_and_asking_write_nothing(mine: Progress) -> None:
    assert mine.passed() == {}
    assert mine.all_passed() == set()
    assert mine.attempts("lattice") == mine.hints_used("lattice") == 0
    assert mine.predictions() == []
    assert mine.character() is None
    assert list(mine.path.parent.iterdir()) == []


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_a_later_failure_keeps_the_last_pass(mine: Progress) -> None:
    mine.record_verdict("01", "lattice", "FAIL", "wrong", False)
    mine.record_verdict("01", "lattice", "PASS", "right", True)
    mine.record_verdict("01", "lattice", "FAIL", "wrong again", False)
    mine.record_verdict("01", "lattice", "ERROR", "broken", False)
    assert mine.passed() == {"lattice": "right"}
    assert mine.attempts("lattice") == 4


def test_not_attempted_is_no_try(mine: Progress) -> None:
    mine.record_verdict("01", "lattice", "NOT ATTEMPTED", "pass", False)
    assert mine.attempts("lattice") == 0
    assert not mine.path.exists()


def test_right_but_slow_counts_as_passed_and_does_not_run_in_the_model(mine: Progress) -> None:
    mine.record_verdict("01", "warp", "PASS", "slow", False)
    assert (mine.passed(), mine.all_passed()) == ({}, {"warp"})
    mine.record_verdict("01", "warp", "PASS", "fast", True)
    mine.record_verdict("01", "warp", "PASS", "slow", False)
    assert mine.passed() == {"warp": "fast"}, "the fast one stays in the model"


def test_hints_are_counted_and_do_not_count_as_tries(mine: Progress) -> None:
    mine.record_hint("lattice")
    mine.record_hint("lattice")
    assert (mine.hints_used("lattice"), mine.attempts("lattice")) == (2, 0)


def test_what_is_kept_holds_no_time_and_nobodys_name(mine: Progress) -> None:
    mine.record_verdict("01", "lattice", "PASS", "right", True)
    entry = json.loads(mine.path.read_text("utf-8"))
    assert set(entry) == {"format", "version", "exercises", "predictions", "character"}
    assert set(entry["exercises"]["lattice"]) == {"lesson", "tries", "last", "hints", "passed", "installed"}


# --- several at once, crashes, damage ----------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from monkeynet_edu.course.progress import Progress
mine = Progress.open(Path(sys.argv[1]))
for i in range(12):
    mine.record_hint("shared")
    mine.record_verdict("01", f"{sys.argv[2]}-{i}", "PASS", "x", True)
"""


def test_several_processes_lose_nothing_of_each_other(mine: Progress) -> None:
    root = str(Path(progress.__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": root}
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(mine.path), name], env=env) for name in "ab"]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert mine.hints_used("shared") == 24
    assert len(mine.passed()) == 24


def test_a_crash_while_writing_leaves_the_old_file(mine: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.record_verdict("01", "lattice", "PASS", "right", True)
    before = mine.path.read_bytes()

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress.os, "fsync", crash)
    with pytest.raises(UserError, match="No space left"):
        mine.record_verdict("01", "warp", "PASS", "right", True)
    assert mine.path.read_bytes() == before
    assert {p.name for p in mine.path.parent.iterdir()} <= {"progress.json", "progress.json.lock"}


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "\x00" * 20,
        '{"format": "something else"}',
        '{"format": "monkeynet-edu progress", "version": 1, "exercises": [], "predictions": [], "character": null}',
        '{"format": "monkeynet-edu progress", "version": 1, "exercises": {"a": 3}, "predictions": [], "character": null}',
        "[" * 100_000,
    ],
    ids=["empty", "cut off", "a list", "zeros", "foreign", "wrong types", "wrong entry", "deep"],
)
def test_a_damaged_file_is_set_aside_in_one_line_and_nothing_is_lost(
    damage: str, mine: Progress, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.path.write_text(damage, "utf-8")
    mine.record_verdict("01", "lattice", "PASS", "right", True)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "progress.json.damaged-1" in said
    assert mine.path.with_name("progress.json.damaged-1").read_text("utf-8") == damage
    assert mine.passed() == {"lattice": "right"}
    mine.path.write_text("again", "utf-8")
    assert mine.passed() == {}
    assert mine.path.with_name("progress.json.damaged-2").read_text("utf-8") == "again"


def test_bytes_that_are_no_text_are_set_aside_too(mine: Progress) -> None:
    mine.path.write_bytes(b"\xff\xfe\x00\x80")
    assert mine.passed() == {}
    assert mine.path.with_name("progress.json.damaged-1").read_bytes() == b"\xff\xfe\x00\x80"


def test_a_file_of_a_later_version_is_refused_and_left_alone(mine: Progress) -> None:
    mine.path.write_text('{"format": "monkeynet-edu progress", "version": 2}', "utf-8")
    with pytest.raises(UserError, match="version 1, got 2"):
        mine.record_hint("lattice")
    assert '"version": 2' in mine.path.read_text("utf-8")


def test_a_lock_held_by_somebody_is_said_in_one_line(mine: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOCK_SECONDS", 0.05)
    with FileLock(f"{mine.path}.lock"), pytest.raises(UserError, match="lock that another program holds") as caught:
        mine.record_hint("lattice")
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_a_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="MONKEYNET_PROGRESS"):
        Progress.open(tmp_path / "file" / "progress.json").record_hint("lattice")


# --- predictions -------------------------------------------------------------------------------------------------------


def test_a_prediction_can_be_changed_until_it_is_revealed(mine: Progress) -> None:
    mine.record_prediction("01", "way", "a", 50, None, False)
    mine.record_prediction("01", "way", "b", 90, None, False)
    mine.record_prediction("01", "way", "b", 90, True, False)
    mine.record_prediction("01", "way", "c", 99, True, False)
    mine.record_prediction("02", "way", "c", 40, None, False)
    kept = [(p["lesson"], p["option"], p["sure"], p["correct"]) for p in mine.predictions()]
    assert kept == [("01", "b", 90, True), ("02", "c", 40, None)]


def test_skipped_stays_skipped(mine: Progress) -> None:
    mine.record_prediction("01", "way", None, None, None, True)
    mine.record_prediction("01", "way", "a", 50, True, False)
    assert [p["skipped"] for p in mine.predictions()] == [True]


def made(sure: float | None, correct: bool | None, skipped: bool = False) -> dict[str, object]:
    return {"lesson": "01", "id": "x", "option": "a", "sure": sure, "correct": correct, "skipped": skipped}


def test_calibration_by_hand() -> None:
    given = [made(100, True), made(100, False), made(60, True), made(50, True), made(64, False)]
    found = calibration([*given, made(None, True), made(70, None), made(70, True, skipped=True)])
    # (1-1)² + (1-0)² + (0.6-1)² + (0.5-1)² + (0.64-0)² = 0 + 1 + 0.16 + 0.25 + 0.4096
    assert found.brier == pytest.approx(1.8196 / 5)
    assert (found.answers, found.right) == (5, 3)
    assert [(low, high, n) for low, high, _, _, n in found.bins] == [(50, 64, 3), (95, 100, 2)]
    assert [round(share, 3) for _, _, _, share, _ in found.bins] == [0.667, 0.5]


def test_no_predictions_no_brier() -> None:
    assert calibration([]).bins == ()
    assert progress.say_calibration(calibration([])) == "Predictions: none answered yet."


# --- my_monkeynet, export, erase -----------------------------------------------------------------------------------------


def test_my_monkeynet_can_be_imported_and_stands_in_course_order(mine: Progress) -> None:
    first = lessons.load(lessons.numbers()[0])
    names = [exercise.id for exercise in first.exercises]
    for number, name in reversed(list(enumerate(names))):
        mine.record_verdict(
            first.number, name, "PASS", f"def f{number}():\n    return torch.tensor({number})\n", number != 1
        )
    mine.record_verdict("99", "later", "PASS", "def later():\n    return 99", True)
    path = mine.write_my_monkeynet("import torch\nimport torch\nimport math")
    assert path == mine.path.with_name("my_monkeynet.py")
    text = path.read_text("utf-8")
    heads = [line.split(" (")[0] for line in text.splitlines() if line.startswith("# lesson")]
    assert heads == [*(f"# lesson {first.number}: {name}" for name in names), "# lesson 99: later"]
    assert text.count("import torch\n") == 1
    spec = importlib.util.spec_from_file_location("my_monkeynet", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert int(module.f0()) == 0
    assert module.later() == 99


def test_export_writes_what_is_kept_and_refuses_a_folder(mine: Progress, tmp_path: Path) -> None:
    mine.record_verdict("01", "lattice", "PASS", "right", True)
    mine.export(tmp_path / "out.json")
    assert Progress.open(tmp_path / "out.json").passed() == {"lattice": "right"}
    with pytest.raises(UserError, match="got a folder"):
        mine.export(tmp_path)


def test_erase_removes_all_that_was_kept(mine: Progress) -> None:
    mine.path.write_text("damaged")
    mine.record_verdict("01", "lattice", "PASS", "x = 1", True)
    mine.write_my_monkeynet("")
    stranger = mine.path.with_name("mine.txt")
    stranger.write_text("keep")
    assert {path.name for path in mine.erase()} == {"progress.json", "my_monkeynet.py", "progress.json.damaged-1"}
    assert {p.name for p in mine.path.parent.iterdir()} - {"progress.json.lock"} == {"mine.txt"}
    assert mine.all_passed() == set()


# --- report --------------------------------------------------------------------------------------------------------------


def test_table_and_picture_say_what_is_passed(mine: Progress) -> None:
    lesson = lessons.load(lessons.numbers()[0])
    name = lesson.exercises[0].id
    mine.record_verdict(lesson.number, name, "PASS", "x", True)
    mine.record_hint(name)
    mine.record_prediction(lesson.number, "way", "a", 80, True, False)
    text = progress.table(mine)
    assert f"{lesson.number} {lesson.title}: 1 of {len(lesson.exercises)} passed" in text
    line = next(line for line in text.splitlines() if f"] {name} " in line)
    assert "[✓]" in line
    assert "passed, 1 try, 1 hint" in line
    assert "1 answer, 1 right, 0 skipped; Brier score 0.04" in text
    picture = progress.picture(mine)
    assert f"lesson {lesson.number}: 1 of {len(lesson.exercises)} exercises passed ({name})" in picture.alt
    assert picture.png()[:4] == b"\x89PNG"
    assert json.loads(json.dumps(progress.report(mine)))["predictions"]["brier"] == pytest.approx(0.04)
