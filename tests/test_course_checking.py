"""`check` and its like on the command line: files of strangers, right and wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monkeynet_edu.cli import app
from monkeynet_edu.course import checking
from monkeynet_edu.course.checking import check_file
from monkeynet_edu.errors import UserError

RIGHT = "def to_pixels(points, height, width):\n    return (points + 1) / 2 * points.new_tensor([width - 1, height - 1])\n"


def answer(folder: Path, text: str, name: str = "answer.py") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (RIGHT, "PASS", "part of your model"),
        ("print('noise')\n" + RIGHT, "PASS", ""),
        ("to_pixels = lambda p, h, w: (p + 1) / 2 * torch.tensor([w - 1.0, h - 1.0], dtype=p.dtype)", "PASS", ""),
        (RIGHT.replace("width - 1, height - 1", "height - 1, width - 1"), "FAIL", "corner"),
        ("def to_pixels(points, height, width:\n", "ERROR", "not Python yet"),
        ("1 / 0\n", "ERROR", "ZeroDivisionError"),
        ("{}['a']\n", "ERROR", "KeyError"),
        ("import sys\nsys.exit()\n", "ERROR", "SystemExit"),
        ("input('name? ')\n" + RIGHT, "ERROR", "EOFError"),
        ("def to_pixel(points): return points\n", "NOT ATTEMPTED", "It defines to_pixel."),
        ("", "NOT ATTEMPTED", "no function"),
        ("def to_pixels(points, height, width):\n    raise NotImplementedError\n", "NOT ATTEMPTED", "not written"),
    ],
)
def test_a_strangers_file_gets_a_verdict(tmp_path: Path, text: str, status: str, words: str) -> None:
    verdict = check_file("to-pixels", answer(tmp_path, text))
    assert verdict.status == status, verdict
    assert words in verdict.message


def test_an_endless_file_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "SECONDS", 0.3)
    verdict = check_file("to-pixels", answer(tmp_path, "while True: pass\n"))
    assert (verdict.status, "did not finish" in verdict.message) == ("ERROR", True)


def test_a_notebook_is_searched_for_the_function(tmp_path: Path) -> None:
    cells = [{"cell_type": "markdown", "source": "# x"}, {"cell_type": "code", "source": RIGHT.splitlines(keepends=True)}]
    path = answer(tmp_path, json.dumps({"cells": [*cells, {"cell_type": "code", "source": ["ex.submit(1)"]}]}), "a.ipynb")
    assert check_file("to-pixels", path).status == "PASS"


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("none.py", None, "No such file"),
        ("bytes.py", b"\xff\xfe\x00", "UTF-8"),
        ("large.py", b"#" * 1_000_001, "1,000,000 bytes"),
        ("bad.ipynb", b"[1]", "Jupyter notebook"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, word: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=word):
        check_file("to-pixels", path)


def test_check_prints_json_alone_and_exits_with_1_unless_the_answer_is_right(tmp_path: Path) -> None:
    wrong = answer(tmp_path, "print('noise')\n" + RIGHT.replace("[width - 1, height - 1]", "[height - 1, width - 1]"))
    command = [sys.executable, "-m", "monkeynet_edu", "check", "to-pixels", str(wrong), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"]) == (1, "FAIL")
    assert {"status", "hint", "message", "mutant"} <= set(found)
    assert found["mutant"]
    assert found["hint"]


def test_an_unknown_exercise_is_answered_with_the_nearest_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean to-pixels"):
        check_file("to-pixel", answer(tmp_path, RIGHT))


def test_exercises_are_listed_with_their_lessons() -> None:
    done = CliRunner().invoke(app, ["exercises", "--json"])
    rows = json.loads(done.stdout)
    assert done.exit_code == 0
    assert {"lesson", "id", "function", "level", "statement"} <= set(rows[0])
    assert "to-pixels" in {row["id"] for row in rows}


def test_a_call_that_nothing_interrupts_is_given_up() -> None:
    program = (
        "import time\nfrom monkeynet_edu.course.checking import give_up\n"
        "with give_up(0.2, lambda: print('gave up')):\n    time.sleep(30)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=25)
    assert (done.returncode, done.stdout.strip()) == (1, "gave up")
