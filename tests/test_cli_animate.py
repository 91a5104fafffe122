"""`monkeynet-edu animate` with long clips: the frames of the whole clip, Ctrl-C, sound, bounded memory."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Command
from PIL import Image
from small_model import SIDE, TINY
from sound_films import even, flash_film, perceive

from monkeynet_edu import cli, model, streaming
from monkeynet_edu.animation import Transfer, animate, mark_synthetic
from monkeynet_edu.data import blocks
from monkeynet_edu.data.video import Frames, read_image, read_video, to_frames, to_tensor, write_video
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import Device, MonkeyNet

FRAMES = 65  # the last block of the detector and of the generator holds one frame
CPU = Device(torch.device("cpu"), "float32")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with tiny weights, a picture and a film of 65 frames with sound."""
    torch.manual_seed(0)
    MonkeyNet(TINY).save(tmp_path / "tiny.safetensors")
    Image.fromarray(np.random.default_rng(7).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(tmp_path / "p.png")
    flash_film(tmp_path / "film.mp4", even(FRAMES), side=2 * SIDE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(model.PRESETS, "mini", TINY)
    return tmp_path


def command(out: str, *more: str, driving: str = "film.mp4") -> list[str]:
    given = ["--source", "p.png", "--driving", driving, "--model", "tiny.safetensors", "--precision", "float32"]
    return ["animate", *given, "--device", "cpu", "--out", out, *more]


def expected(transfer: Transfer) -> Frames:
    """What the animation of the whole clip shows."""
    net = MonkeyNet.load("tiny.safetensors")
    video = to_tensor(read_video("film.mp4", size=SIDE).frames)
    made = animate(net, to_tensor(read_image("p.png")[None])[0], video, CPU, transfer)
    return mark_synthetic(to_frames(made.prediction))


@pytest.mark.parametrize("out", ["a.png", "folder"])
@pytest.mark.parametrize(
    ("options", "transfer"),
    [
        (("--mode", "absolute"), Transfer("absolute")),
        (
            ("--mode", "relative", "--reference", "64", "--scaling", "hull", "--covariance", "adapted"),
            Transfer("relative", 64, "hull", "adapted"),
        ),
    ],
    ids=["absolute", "relative"],
)
def test_a_clip_of_several_blocks_is_animated_as_a_whole_one(
    run: Command, place: Path, out: str, options: tuple[str, ...], transfer: Transfer
) -> None:
    assert run(*command(out, *options)).code == 0
    assert np.array_equal(read_video(out).frames, expected(transfer))


@pytest.mark.parametrize("stated", [None, 3, 10_000])
def test_a_container_that_lies_about_its_length_changes_nothing(
    run: Command, place: Path, monkeypatch: pytest.MonkeyPatch, stated: int | None
) -> None:
    monkeypatch.setattr(blocks, "stated_length", lambda path: stated)
    done = run(*command("a.mp4"))
    assert (done.code, len(read_video("a.mp4").frames)) == (0, FRAMES)
    assert f"{FRAMES} frames, 25 a second" in done.out


# --------------------------------------------------------------------------------------------------------------- Ctrl-C


def press(monkeypatch: pytest.MonkeyPatch, name: str, at: int, times: int = 1) -> None:
    """Presses Ctrl-C while a block is drawn (``draw``) or its keypoints are found (``detect_clip``), counted from 1."""
    real = getattr(streaming, name)
    calls = []

    def now() -> None:
        calls.append(1)
        if len(calls) == at:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    def draw(*arguments: object) -> Iterator[object]:
        for block in real(*arguments):
            now()
            yield block

    def detect_clip(*arguments: object) -> object:
        now()
        return real(*arguments)

    monkeypatch.setattr(streaming, name, draw if name == "draw" else detect_clip)


@pytest.mark.parametrize("out", ["a.mp4", "a.mov", "a.gif", "a.png", "folder"])
def test_ctrl_c_leaves_a_playable_part_and_says_how_far_it_got(
    run: Command, place: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    press(monkeypatch, "draw", 2)
    done = run(*command(f"made/{out}"))
    assert done.code == 130
    assert f"stopped after 32 of {FRAMES} frames; made/{out} holds them" in done.err
    assert len(read_video(f"made/{out}").frames) == 32
    assert [path.name for path in Path("made").iterdir()] == [out]
    if out.startswith("a.m"):
        assert perceive(Path("made") / out).sound_ends == pytest.approx(32 / 25, abs=0.03)


def test_ctrl_c_while_the_motion_is_read_writes_nothing(
    run: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(monkeypatch, "detect_clip", 1)
    done = run(*command("made/a.mp4"))
    assert done.code == 130
    assert "stopped while reading the motion, after 32 frames; nothing was written" in done.err
    assert not Path("made").exists()


def test_ctrl_c_in_the_last_block_changes_nothing(run: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    press(monkeypatch, "draw", 5)
    assert run(*command("a.mp4")).code == 0
    assert len(read_video("a.mp4").frames) == FRAMES


@pytest.mark.parametrize("out", ["a.mp4", "a.gif", "folder"])
def test_a_second_ctrl_c_leaves_the_target_as_it_was(
    run: Command, place: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    Path("made").mkdir()
    if out != "folder":
        (Path("made") / out).write_text("older")
    press(monkeypatch, "draw", 2, times=2)
    done = run(*command(f"made/{out}"))
    assert done.code == 130
    assert "Traceback" not in done.err
    assert [path.name for path in Path("made").rglob("*")] == ([] if out == "folder" else [out])
    assert out == "folder" or (Path("made") / out).read_text() == "older"


def test_ctrl_c_is_as_it_was_afterwards(run: Command, place: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    run(*command("a.gif"))
    assert signal.getsignal(signal.SIGINT) is before


def shell(place: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, with lines of a program around it."""
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    lines = f"import sys\nsys.argv = ['monkeynet-edu', *sys.argv[1:]]\n{program}"
    return subprocess.run(
        [sys.executable, "-c", lines, *arguments],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
@pytest.mark.parametrize("out", ["a.mp4", "folder"])
def test_a_killed_animation_leaves_nothing_under_the_targets_name(place: Path, out: str) -> None:
    program = (
        "import os, signal\nfrom monkeynet_edu import cli, streaming\nreal = streaming.draw\n"
        "def draw(*arguments):\n"
        "    for number, block in enumerate(real(*arguments)):\n"
        "        if number == 3:\n            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        yield block\n"
        "streaming.draw = draw\ncli.main()\n"
    )
    done = shell(place, program, *command(f"made/{out}"))
    assert done.returncode == -signal.SIGKILL, done.stderr
    remains = list((place / "made").iterdir())
    assert [path.name.startswith(".partial-") for path in remains] == [True]  # writing had begun
    assert list(remains[0].rglob("*"))


# ---------------------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize(("options", "codec"), [((), "aac"), (("--audio", "drop"), None), (("--side-by-side",), "aac")])
def test_the_sound_of_the_driving_film_is_carried_over_unless_dropped(
    run: Command, place: Path, options: tuple[str, ...], codec: str | None
) -> None:
    done = run(*command("a.mp4", *options))
    assert done.code == 0, done.err
    made = perceive(Path("a.mp4"))
    assert (made.codec, len(made.times)) == (codec, FRAMES)
    assert ("with the sound of the film" in done.out) is (codec is not None)
    if codec:
        assert made.clicks == pytest.approx([0, 1, 2], abs=5e-3)
        assert made.sound_ends == pytest.approx(FRAMES / 25, abs=0.03)


@pytest.mark.parametrize(("out", "said"), [("a.gif", 1), ("folder", 1), ("a.mp4", 0)])
def test_a_format_without_sound_is_named_once(run: Command, place: Path, out: str, said: int) -> None:
    assert run(*command(out)).err.count("this format has no sound") == said
    assert "no sound" not in run(*command(f"b{out}", "--audio", "drop")).err


def test_a_silent_film_makes_no_words_of_sound(run: Command, place: Path) -> None:
    flash_film(Path("silent.mp4"), even(5), None, side=SIDE)
    done = run(*command("a.gif", driving="silent.mp4"))
    assert done.code == 0
    assert "sound" not in done.err + done.out


def test_frames_of_a_film_with_changing_rate_keep_their_times(run: Command, place: Path) -> None:
    times = [*np.arange(10) * 0.04, *(0.4 + np.arange(10) * 0.12)]
    flash_film(Path("uneven.mp4"), times)
    assert run(*command("a.mp4", driving="uneven.mp4")).code == 0
    assert perceive(Path("a.mp4")).times == pytest.approx(times, abs=1e-3)


def test_a_driving_clip_that_shrinks_while_it_is_shown_is_refused(place: Path) -> None:
    driving = write_video(place / "short.gif", np.zeros((5, SIDE, SIDE, 3), np.uint8))
    made = iter([np.zeros((4, SIDE, SIDE, 3), np.uint8)] * 2)
    shown = cli._beside(np.zeros((SIDE, SIDE, 3), np.uint8), driving, "crop", made)
    assert len(next(shown)) == 4
    with pytest.raises(UserError, match=r"short\.gif: expected the same clip"):
        next(shown)


# --------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of one process is read from /proc")
def test_memory_does_not_grow_with_the_length_of_the_clip_and_progress_is_shown(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")  # what is freed goes back at once, so the peak repeats
    side = 64
    net = MonkeyNet(dataclasses.replace(TINY, frame_size=side))
    net.save(place / "tiny.safetensors")
    Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(place / "p.png")
    peaks, said = [], ""
    program = (
        "import atexit\nfrom monkeynet_edu import cli\n"
        "peak = lambda: next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "atexit.register(lambda: print(peak()))\ncli.main()\n"
    )
    for count in (1000, 3000):
        flash_film(place / "long.mp4", even(count), side=side)
        done = shell(place, program, *command("long_out.mp4", driving="long.mp4"))
        assert done.returncode == 0, done.stderr
        assert len(perceive(place / "long_out.mp4").times) == count
        peaks.append(int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1]) / 1000)
        said = done.stderr
    # 2,000 frames more are 25 MB as bytes, and 98 MB as the numbers that the networks take.
    assert peaks[1] - peaks[0] < 15, peaks
    for phase in ("reading the motion", "drawing"):
        assert re.search(rf"{phase}: .*/3000 .*frame/s", said), said
