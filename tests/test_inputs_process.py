"""The worst inputs in processes of their own, with a stopwatch and a scale: at most 10 seconds, at most 1 GB."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import malformed as made
import pytest

from monkeynet_edu import cli
from monkeynet_edu.data.video import read_video, write_image, write_video

SECONDS, BYTES = 10.0, 2**30


class Ended(NamedTuple):
    """What a process left behind; seconds of its own processor time, and most memory in bytes."""

    code: int
    out: str
    err: str
    seconds: float
    memory: int


def without_privilege() -> None:
    """Takes from root (alone) the right to write where the mode forbids it; for a new process, before it starts."""
    if os.geteuid() == 0:
        drop_from_bounding_set, dac_override = 24, 1
        ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


def started(
    arguments: list[str], folder: Path, out: object, err: object, first: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    """The command line in a process of its own, begun."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(cli.__file__).parent.parent),
        "OMP_NUM_THREADS": "1",
        "MONKEYNET_PROGRESS": str(folder / "progress.json"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "monkeynet_edu", *map(str, arguments)]
    streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err}
    return subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=first, **streams)


def ended(arguments: list[str], folder: Path, first: Callable[[], None] | None = None) -> Ended:
    """Runs the command line; a process that hangs is ended after a minute on the clock (the machine may be busy)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = started(arguments, folder, out, err, first)
        deadline = time.monotonic() + 60
        while True:
            number, status, used = os.wait4(process.pid, os.WNOHANG)
            if number:
                break
            if time.monotonic() > deadline:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(status)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode("utf-8", "replace"))
        return Ended(process.returncode, *said, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound files, and the worst."""
    folder = tmp_path_factory.mktemp("worst")
    made.tiny_model().save(folder / "tiny.safetensors")
    write_image(folder / "picture.png", made.clip(1)[0])
    write_video(folder / "film.gif", made.clip(3), 12)
    for kind in ("png", "webp", "avi"):
        (folder / f"huge.{kind}").write_bytes(made.huge_header(kind))
    (folder / "legacy.pth.tar").write_bytes(made.authors_checkpoint(False)[:-100])
    write_video(folder / "secret.mp4", made.clip(3, 32), 12)
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    (folder / "pipes").mkdir()
    os.mkfifo(folder / "pipes" / "endless.mp4")
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "zero.gif").symlink_to("/dev/zero")
    return folder


@pytest.fixture(scope="module")
def baseline(place: Path) -> Ended:
    """``monkeynet-edu --help``."""
    done = ended(["--help"], place)
    assert done.code == 0
    return done


def animate(
    source: str = "picture.png", driving: str = "film.gif", net: str = "tiny.safetensors", out: str = "a.gif"
) -> list[str]:
    """A command."""
    return ["animate", "--source", source, "--driving", driving, "--model", net, "--out", out, "--device", "cpu"]


WORST: dict[str, list[str]] = {
    "huge PNG": animate(source="huge.png"),
    "huge WebP": animate(driving="huge.webp"),
    "huge AVI": ["data", "convert", "huge.avi", "a.gif"],
    "device": ["data", "convert", "zero.gif", "a.gif"],
    "pipe in a folder": ["data", "info", "pipes"],
    "pipe of weights": animate(net="pipe.safetensors"),
    "playlist": ["data", "convert", "list.mp4", "a.gif"],
    "truncated pickle": [*animate(net="legacy.pth.tar"), "--preset", "mini"],
    "name too long": animate(source="x" * 3000),
    "file for a folder": animate(out="picture.png/a.gif"),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_inputs_end_in_one_line_soon_and_in_little_memory(name: str, place: Path, baseline: Ended) -> None:
    before = sorted(path.name for path in place.rglob("*"))
    done = ended(WORST[name], place)
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) == 1, done.err
    assert done.seconds < SECONDS
    assert done.memory - baseline.memory < BYTES
    assert sorted(path.name for path in place.rglob("*")) == before


def test_a_folder_that_may_only_be_read_is_refused_and_stays_as_it_is(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "kept.txt").write_text("kept")
    folder.chmod(0o555)
    try:
        for command in (animate(out=str(folder / "a.gif")), ["data", "convert", "film.gif", str(folder / "b.gif")]):
            done = ended(command, place, without_privilege)
            assert done.code == 2, done
            assert done.err.splitlines()[-1].startswith("error: ")
            assert "Permission denied" in done.err
            assert "Traceback" not in done.err
        assert [path.name for path in folder.iterdir()] == ["kept.txt"]
    finally:
        folder.chmod(0o755)


def both(command: Callable[[int], list[str]], folder: Path) -> list[int]:
    """Exit codes of two processes that run at once."""
    processes = [started(command(n), folder, subprocess.DEVNULL, subprocess.PIPE) for n in range(2)]
    for process in processes:
        process.communicate(timeout=120)
    return [process.returncode for process in processes]


def test_two_processes_that_write_into_one_folder_leave_every_file_whole(place: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "clips" / "one.png", made.clip(3))
    out = tmp_path / "out"
    common = ["reconstruct", "--data", str(tmp_path / "clips"), "--split", "all", "--model", "tiny.safetensors"]
    assert both(lambda _: [*common, "--out", str(out), "--device", "cpu"], place) == [0, 0]
    assert sorted(path.name for path in out.iterdir()) == ["one.gif", "one.mp4", "summary.png"]
    assert len(read_video(out / "one.gif").frames) == len(read_video(out / "one.mp4").frames) == 3
