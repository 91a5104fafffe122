"""Malformed inputs, made by the hundred: one clear line and exit code 2, never a traceback, never much memory or time."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import malformed as made
import numpy as np
import pytest
import torch
from command_line import Done
from hypothesis import HealthCheck, Phase, given, settings
from malformed import CPU, clip
from PIL import Image
from small_model import SIDE, TINY

from monkeynet_edu import cli, evaluators, model, official, training
from monkeynet_edu.alignment import Domain, fingerprint
from monkeynet_edu.animation import animate, mark_synthetic
from monkeynet_edu.course import progress
from monkeynet_edu.course.checking import check_file as check_answer
from monkeynet_edu.course.study.folder import open_study
from monkeynet_edu.course.study.lists import read_film_list
from monkeynet_edu.data import miniatures, video
from monkeynet_edu.data.datasets import read_pairs
from monkeynet_edu.data.sprites import Clip, Truth
from monkeynet_edu.data.video import read_image, read_video, to_frames, to_tensor, write_image, write_video
from monkeynet_edu.errors import UserError
from monkeynet_edu.experiments.records import read_json, write_json
from monkeynet_edu.metrics import evaluate
from monkeynet_edu.model import MonkeyNet, load_tensors, save_tensors
from monkeynet_edu.prediction import Predictor, PredictorConfig, predicted_film

SECONDS, BYTES = 10.0, 2**30
READER_EXAMPLES, COMMAND_EXAMPLES = 40, 7


def peak() -> int:
    """Most memory that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def examples(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Settings of every property here: the same inputs in every run, no smaller ones looked for, no database."""
    phases, silent = [Phase.explicit, Phase.generate], list(HealthCheck)
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=silent,
    )


# ------------------------------------------------------------------------------------------------------------ readers


class _Names:
    """Clips of which only the names are asked for."""

    names = ("0", "1")


def _restored(path: Path) -> None:
    run = training.start(TINY, training.recipe_for("mini", "clips", 0, False), "clips", CPU)
    folder = path.parent / "run"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(path, folder / training.CHECKPOINT_FILE)
    run.restore(folder)


def _logged(path: Path) -> None:
    folder = path.parent / "log"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(path, folder / training.METRICS_FILE)
    assert all(isinstance(value, float) for value in training.MetricsLog(folder, 1000).last.values())


def _progress(path: Path) -> None:
    progress.report(progress.Progress.open(path))


def _clip(path: Path) -> None:
    frames = read_video(path).frames
    assert frames.ndim == 4
    assert frames.dtype == np.uint8
    assert frames.size


def _answer(path: Path) -> None:
    check_answer("lattice", path)


def _study(path: Path) -> None:
    films = path.parent / "films"
    if not films.exists():
        shutil.copytree(made.study_folder() / "films", films)
    open_study(path.parent)


def readers(name: str) -> list[Callable[[Path], object]]:
    """What the library has to read a file of this name."""
    if name in made.CLIPS:
        return [_clip, read_image]
    net = made.tiny_model()
    others: dict[str, Callable[[Path], object]] = {
        "model.safetensors": MonkeyNet.load,
        "checkpoint.safetensors": _restored,
        "predictor.safetensors": Predictor.load,
        "domain.safetensors": lambda path: Domain.load(path, net),
        "pose.safetensors": evaluators.PoseEstimator.load,
        "features.safetensors": evaluators.MiniFeatures.load,
        "zip.pth.tar": lambda path: official.load(path, TINY),
        "legacy.pth.tar": lambda path: official.load(path, TINY),
        "0.truth.npz": Truth.load,
        "pairs.csv": lambda path: read_pairs(path, _Names()),
        "metrics.csv": _logged,
        "checksums.sha256": lambda path: miniatures.damaged_files(path.parent),
        "record.json": read_json,
        "progress.json": _progress,
        "answer.ipynb": _answer,
        "films.csv": read_film_list,
        "study.json": _study,
    }
    return [others[name]]


@pytest.mark.parametrize("name", made.SOUND)
def test_the_sound_files_that_are_damaged_below_can_be_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for read in readers(name):
        path.write_bytes(made.sound(name))
        read(path)


@cache
def drive_readers(name: str) -> Counter[str]:
    """Gives many damaged files of a name to their readers; counts those that were refused and those that were read."""
    came: Counter[str] = Counter()
    before = peak()

    @examples(READER_EXAMPLES)
    @given(made.damaged(name))
    def damaged_file(data: bytes) -> None:
        path = Path(folder) / name
        path.write_bytes(data)
        for read in readers(name):
            began = time.monotonic()
            try:
                read(path)
            except UserError as error:
                said = str(error)
                came["refused"] += 1
            else:
                said = name
                came["read"] += 1
            assert len(said.splitlines()) == 1
            assert name in said or training.METRICS_FILE in said or training.CHECKPOINT_FILE in said
            assert time.monotonic() - began < SECONDS

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        damaged_file()
    assert peak() - before < BYTES
    return came


@pytest.mark.parametrize("name", made.SOUND)
@pytest.mark.filterwarnings("ignore")
def test_a_reader_takes_a_damaged_file_or_refuses_it_in_one_line(name: str) -> None:
    came = drive_readers(name)
    assert came.total() >= READER_EXAMPLES
    if name not in ("progress.json", "answer.ipynb"):  # set aside; judged
        assert came["refused"] >= 0.2 * came.total()


# ------------------------------------------------------------------------------------------------------- command line


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Sound files to go with each damaged one."""
    folder = tmp_path_factory.mktemp("inputs")
    made.tiny_model().save(folder / "tiny.safetensors")
    write_image(folder / "picture.png", clip(1)[0])
    write_video(folder / "film.gif", clip(3), 12)
    Predictor(PredictorConfig(3, 4), fingerprint(made.tiny_model())).save(folder / "predictor.safetensors")
    for number in range(4):
        write_video(folder / "clips" / f"{number}.png", clip(2, seed=number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(model.PRESETS, "mini", TINY)
        patch.setenv("MONKEYNET_PROGRESS", str(folder / "kept" / "progress.json"))
        yield folder


def called(*arguments: str | Path) -> Done:
    """The command line in this process; what decoders write to standard error past Python counts as well."""
    with tempfile.TemporaryFile() as beneath, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["monkeynet-edu", *map(str, arguments)])
        out, err = io.StringIO(), io.StringIO()
        kept = os.dup(2)
        os.dup2(beneath.fileno(), 2)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                cli.main()
            code: object = 0
        except SystemExit as left:
            code = left.code
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        beneath.seek(0)
        return Done(int(code or 0), out.getvalue(), err.getvalue() + beneath.read().decode("utf-8", "replace"))


def one_error(done: Done) -> str:
    """The one line of a refusal; progress bars may stand above it."""
    assert done.code == 2, done
    assert done.out == ""
    lines = [line for line in done.err.replace("\r", "\n").splitlines() if line.strip() and "%|" not in line]
    assert lines[-1].startswith("error: "), done.err
    said = [line for line in lines if not line.startswith(("domain: ", "reference frame: ", "warning: ", "mini on "))]
    assert said == lines[-1:], done.err
    return lines[-1]


def everything_below(folder: Path) -> dict[str, float]:
    return {str(p.relative_to(folder)): p.lstat().st_mtime for p in folder.rglob("*")}


def commands(name: str, path: Path, place: Path, out: Path) -> list[list[str | Path]]:
    """Commands that read a file of this name."""
    with_model = ["--model", place / "tiny.safetensors", "--device", "cpu"]
    if name in made.CLIPS:
        return [
            ["animate", "--source", path, "--driving", place / "film.gif", "--out", out / "a.gif", *with_model],
            ["animate", "--source", place / "picture.png", "--driving", path, "--out", out / "a.gif", *with_model],
            ["data", "info", path.parent, "--json"],
            ["data", "convert", path, out / "b.gif", "--size", "16"],
        ]
    source = ["--source", place / "picture.png"]
    film = [*source, "--driving", place / "film.gif", "--out", out / "a.gif", "--device", "cpu"]
    run = ["train", "--data", place / "clips", "--batch-size", "2", "--steps", "1", "--device", "cpu", "--resume"]
    return {
        "model.safetensors": [["animate", *film, "--model", path]],
        "zip.pth.tar": [["animate", *film, "--model", path, "--preset", "mini"]],
        "legacy.pth.tar": [["animate", *film, "--model", path, "--preset", "mini"]],
        "predictor.safetensors": [["predict", *source, "--predictor", path, "--out", out / "a.gif", *with_model]],
        "checkpoint.safetensors": [[*run, "--out", path.parent]],
        "record.json": [["reproduce", "table2", "--out", path.parents[1], "--runs", out / "runs", "--device", "cpu"]],
        "answer.ipynb": [["check", "lattice", path]],
    }[name]


COMMANDED = (
    *made.CLIPS,
    "model.safetensors",
    "zip.pth.tar",
    "legacy.pth.tar",
    "predictor.safetensors",
    "checkpoint.safetensors",
    "record.json",
    "answer.ipynb",
)


PLACES = {"record.json": "results/table2/full-seed0.json", "checkpoint.safetensors": "in/checkpoint.safetensors"}


@cache
def drive_commands(name: str, place: Path) -> Counter[str]:
    """Gives damaged files of a name to the command line; counts refusals and successes."""
    came: Counter[str] = Counter()
    before = peak()

    @examples(COMMAND_EXAMPLES)
    @given(made.damaged(name))
    def damaged_file(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / PLACES.get(name, f"in/{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            out = Path(scratch) / "out"
            out.mkdir()
            path.write_bytes(data)
            given_files = everything_below(path.parent)
            for command in commands(name, path, place, out):
                began = time.monotonic()
                done = called(*command)
                assert time.monotonic() - began < SECONDS
                came[f"exit code {done.code}"] += 1
                if done.code == 2:
                    one_error(done)
                    assert not list(out.iterdir()), "something half-written stayed"
                    assert everything_below(path.parent) == given_files
                else:
                    assert done.code == 0 or name == "answer.ipynb"

    damaged_file()
    assert peak() - before < BYTES
    return came


@pytest.mark.parametrize("name", COMMANDED)
@pytest.mark.filterwarnings("ignore")
def test_a_command_takes_a_damaged_file_or_ends_with_one_line_and_2(name: str, place: Path) -> None:
    came = drive_commands(name, place)
    if name != "answer.ipynb":  # an answer that cannot be judged is a verdict, exit code 1
        assert came["exit code 2"] >= 0.2 * came.total(), came


@pytest.mark.filterwarnings("ignore")
def test_the_command_line_met_at_least_two_hundred_damaged_files_that_it_refused(place: Path) -> None:
    came = sum((drive_commands(name, place) for name in COMMANDED), Counter())
    assert came["exit code 2"] >= 200, came


# -------------------------------------------------------------------------------------------------------- huge headers


@pytest.mark.parametrize("side", [made.HUGE, 16_000, 8_000])
@pytest.mark.parametrize("kind", made.HUGE_KINDS)
def test_a_huge_picture_is_refused_by_its_header(kind: str, side: int, place: Path, tmp_path: Path) -> None:
    path = tmp_path / f"huge.{kind}"
    path.write_bytes(made.huge_header(kind, side, side))
    before, began = peak(), time.monotonic()
    for read in (read_video, read_image):
        if kind == "mp4":  # the frames themselves say 16x16: what the container says is not believed
            with contextlib.suppress(UserError):
                assert read(path).nbytes < BYTES if read is read_image else read(path).frames.nbytes < BYTES
        else:
            with pytest.raises(UserError) as error:
                read(path)
            assert len(str(error.value).splitlines()) == 1
    assert peak() - before < 100 * 2**20
    assert time.monotonic() - began < 2


def test_a_clip_that_would_fill_the_memory_is_refused_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "long.gif", clip(9))
    monkeypatch.setattr(video, "MOST_BYTES", 4 * SIDE * SIDE * 3)
    with pytest.raises(UserError, match=r"long.gif: expected a clip of at most .* more than 4 frames of 16x16; ask for a"):
        read_video(path)
    assert len(read_video(path, size=4).frames) == 9


def test_a_picture_just_below_the_limit_takes_less_than_a_gigabyte(place: Path, tmp_path: Path) -> None:
    side = 6_320
    assert side * side < video.MOST_PIXELS
    Image.new("RGBA", (side, side - 1), (255, 0, 0, 100)).save(tmp_path / "large.png", compress_level=1)
    before, began = peak(), time.monotonic()
    assert read_image(tmp_path / "large.png").shape == (side - 1, side, 3)
    assert peak() - before < BYTES
    assert time.monotonic() - began < SECONDS


# ------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", made.NAMES, ids=ascii)
def test_files_of_any_name_are_read_and_written(name: str, place: Path, tmp_path: Path) -> None:
    folder = tmp_path / name[:40]
    folder.mkdir()
    shutil.copyfile(place / "picture.png", folder / f"{name}.png")
    shutil.copyfile(place / "tiny.safetensors", folder / f"{name}.safetensors"[-250:])
    write_video(folder / f"{name}.mp4", clip(3, 32))
    source, driving, net = f"{name}.png", f"{name}.mp4", f"{name}.safetensors"[-250:]
    if "\udce9" in name:  # the format's reader takes names in UTF-8 alone
        net = str(place / "tiny.safetensors")
    with contextlib.chdir(folder):
        for ending in (".gif", ".mp4", ".png", ""):
            out = f"out {name}"[:200] + ending
            given_files = [f"--source={source}", f"--driving={driving}", f"--model={net}"]
            done = called("animate", *given_files, f"--out={out}", "--device=cpu", "--mode=absolute")
            assert done.code == 0, done
            if ending:
                assert len(read_video(Path(out)).frames) == 3
        done = called("data", "info", folder, "--json")
        assert json.loads(done.out)["clips"] == 6


@pytest.mark.parametrize("name", [*made.NAMES, "b" * 300, "deep/" * 900, ""], ids=lambda name: ascii(name)[:30])
def test_a_missing_file_of_any_name_is_refused_in_one_line(name: str, place: Path, tmp_path: Path) -> None:
    picture, film = place / "picture.png", place / "film.gif"
    tiny = place / "tiny.safetensors"
    with contextlib.chdir(tmp_path):
        missing = [
            ["animate", f"--source={name}", f"--driving={film}", "--out=a.gif", f"--model={tiny}"],
            ["animate", f"--source={picture}", f"--driving={name}", "--out=a.gif", f"--model={tiny}"],
            ["animate", f"--source={picture}", f"--driving={film}", "--out=a.gif", f"--model={name or '.'}"],
            ["predict", f"--source={picture}", f"--predictor={name or '.'}", "--out=a.gif", f"--model={tiny}"],
            ["evaluate", f"--dataset={name or 'x/'}", f"--model={tiny}"],
            ["train", f"--data={name or 'x/'}", "--steps=1"],
            ["data", "info", "--json", "--", name or "x/"],
            ["check", "--", "lattice", name or "."],
        ]
        for command in missing:
            if name == "~" and command[0] in ("evaluate", "train", "data", "check"):
                continue  # the home folder is there
            one_error(called(*command))
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["c" * 300 + ".gif", "", "."], ids=["long", "empty", "dot"])
def test_a_place_that_no_file_can_have_is_refused_in_one_line(name: str, place: Path, tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        source, driving = f"--source={place / 'picture.png'}", f"--driving={place / 'film.gif'}"
        one_error(called("animate", source, driving, f"--out={name}", f"--model={place / 'tiny.safetensors'}"))
        one_error(called("data", "convert", place / "film.gif", name or "."))
        assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------------------------- links and pipes


def test_links_to_sound_files_are_followed_and_others_are_named(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "out.gif").symlink_to(place / "film.gif")
    assert json.loads(called("data", "info", folder, "--json").out)["frames"] == 3
    (folder / "nothing.gif").symlink_to(tmp_path / "gone.gif")
    assert "nothing.gif" in one_error(called("data", "info", folder))
    (folder / "nothing.gif").unlink()
    (folder / "circle.gif").symlink_to(folder / "circle.gif")
    assert "circle.gif" in one_error(called("data", "info", folder))
    (folder / "circle.gif").unlink()
    (folder / "endless.mp4").symlink_to("/dev/zero")
    assert "a pipe or a device" in one_error(called("data", "info", folder))
    (folder / "endless.mp4").unlink()
    (folder / "itself").symlink_to(folder)  # read as a folder of one frame, never deeper
    assert json.loads(called("data", "info", folder, "--json").out)["clips"] == 2


def test_a_checksum_file_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    for name in ("../secret", "/etc/passwd", "a/../../b"):
        (tmp_path / "checksums.sha256").write_text(f"{'0' * 64}  {name}\n")
        with pytest.raises(UserError, match="line 1: expected 64 digits"):
            miniatures.damaged_files(tmp_path)


# --------------------------------------------------------------------------------------------------------- odd pixels


def spoiled(value: float, frames: int = 3) -> torch.Tensor:
    """A video with one pixel that is no number, in its second frame."""
    bad = to_tensor(clip(frames))
    bad[1, 0, 3, 5] = value
    return bad


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_pixels_that_are_not_finite_are_refused_and_their_frame_is_named(value: float, tmp_path: Path) -> None:
    net, sound, bad = made.tiny_model(), to_tensor(clip(3)), spoiled(value)
    with pytest.raises(UserError, match=r"driving clip: .* in frame 1"):
        animate(net, sound[0], bad, CPU)
    with pytest.raises(UserError, match=r"source image: .* in frame 0"):
        animate(net, bad[1], sound, CPU)
    with pytest.raises(UserError, match="source image"):
        predicted_film(net, Predictor(PredictorConfig(3, 4)), bad[1], 3, 0, CPU)
    with pytest.raises(UserError, match="frames: expected finite pixels"):
        to_frames(bad)
    with pytest.raises(UserError, match="uint8"):
        write_video(tmp_path / "a.gif", bad.permute(0, 2, 3, 1).numpy())
    with pytest.raises(UserError, match="uint8"):
        evaluate(net, [Clip("spoiled", bad.permute(0, 2, 3, 1).numpy())], CPU)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".png", ".jpg", ".gif", ".webp", ".mp4", ".mov", ""])
def test_frames_of_one_pixel_are_animated_measured_and_converted(ending: str, place: Path, tmp_path: Path) -> None:
    frames = np.full((3, 1, 1, 3), 90, np.uint8)
    write_video(tmp_path / "clips" / "dot.png", frames)
    dot = tmp_path / "clips" / "dot.png"
    done = called("data", "convert", dot, tmp_path / f"out{ending}")
    assert done.code == 0 or one_error(done)
    net = place / "tiny.safetensors"
    animation = tmp_path / f"animated{ending or '.gif'}"
    assert called("animate", "--source", dot, "--driving", dot, "--out", animation, "--model", net).code == 0
    assert called("data", "info", tmp_path / "clips", "--picture", tmp_path / "sheet.png").code == 0
    assert called("evaluate", "--dataset", tmp_path / "clips", "--model", net, "--split", "all", "--json").code == 0


def test_a_label_of_any_text_fits_into_the_frame() -> None:
    for label in ("two\nlines", "кошка", "🐈", "a" * 100_000, "tab\there", "\udce9", "\0", " "):
        assert mark_synthetic(clip(2), label).shape == (2, SIDE, SIDE, 3)


# ------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "more",
    [
        ["--reference", "9" * 5000],
        ["--reference", "²"],
        ["--reference", "-1"],
        ["--device", "meta"],
        ["--device", ""],
        ["--device", "cuda:99"],
        ["--device", "cpu:x"],
        ["--preset", ""],
        ["--model", ""],
        ["--model", "~nobody-of-this-name/x"],
        ["--model", "/dev/null"],
        ["--out", "film.gif"],
        ["--out", "picture.png"],
        ["--out", "picture.png/a.gif"],
        ["--out", "/proc/nowhere/a.gif"],
        ["--out", "clips"],
        ["--out", "a.xyz"],
    ],
    ids=lambda more: " ".join(more)[:40],
)
def test_animate_refuses_odd_options_in_one_line(more: list[str], place: Path) -> None:
    before = everything_below(place)
    with contextlib.chdir(place):
        options = ["--source", "picture.png", "--driving", "film.gif", "--out", "a.gif", "--model", "tiny.safetensors"]
        one_error(called("animate", *options, *more))
    assert everything_below(place) == before


@pytest.mark.parametrize(
    "command",
    [
        ["data", "convert", "film.gif", "film.gif"],
        ["data", "convert", "film.gif", "a.gif", "--size", "1000000"],
        ["data", "convert", "film.gif", "a.gif", "--size", "-3"],
        ["data", "convert", "film.gif", "a.gif", "--fps", "nan"],
        ["data", "convert", "film.gif", "a.gif", "--fps", "inf"],
        ["data", "convert", "clips", "picture.png/b", "--to", "gif"],
        ["data", "convert", "clips", "clips", "--to", "gif"],
        ["data", "checksums", "nowhere"],
        ["train", "--data", "clips", "--minutes", "inf"],
        ["train", "--data", "clips", "--minutes", "nan"],
        ["train", "--data", "clips", "--steps", "1", "--size", "0"],
        ["train", "--data", "clips", "--steps", "1", "--batch-size", "1000000000000"],
        ["train", "--data", "clips", "--steps", "1", "--batch-size", "2", "--out", "picture.png"],
        ["predict", "--source", "picture.png", "--out", "a.gif", "--frames", "1000000000"],
        ["predict", "--source", "picture.png", "--out", "a.gif", "--futures", "1000000000"],
        ["predict", "--source", "picture.png", "--out", "picture.png"],
        ["evaluate", "--dataset", "picture.png"],
        ["evaluate", "--dataset", "clips", "--limit", "-1"],
        ["reconstruct", "--data", "clips", "--out", "picture.png", "--model", "tiny.safetensors"],
    ],
    ids=lambda command: " ".join(command)[:60],
)
def test_other_commands_refuse_odd_options_in_one_line(command: list[str], place: Path) -> None:
    before = everything_below(place)
    with contextlib.chdir(place):
        one_error(called(*command))
    assert everything_below(place) == before


def test_a_seed_beyond_all_numbers_is_refused(place: Path) -> None:
    assert called("train", "--data", place / "clips", "--seed", "9" * 30).code == 2


# --------------------------------------------------------------------------------------------------------- two writers


def both(write: Callable[[int], object], look: Callable[[], object], turns: int = 25) -> list[BaseException]:
    """Two writers at one place, and a reader: what any of them ran into."""
    faults: list[BaseException] = []
    done = threading.Event()

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as fault:
            faults.append(fault)

    def read_on() -> None:
        while not done.is_set():
            look()

    write(0)
    writers = [threading.Thread(target=guarded, args=(lambda n=n: [write(n) for _ in range(turns)],)) for n in (1, 2)]
    reader = threading.Thread(target=guarded, args=(read_on,))
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    return faults


def test_two_writers_of_one_file_of_weights_never_leave_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"

    def look() -> None:
        tensors, header = load_tensors(path)
        assert {float(x) for x in tensors["w"].unique()} == {float(header["number"])}

    def write(number: int) -> None:
        save_tensors(path, {"w": torch.full((50_000 * (number + 1),), float(number))}, {"number": str(number)})

    assert both(write, look) == []
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_two_writers_of_one_film_picture_and_record_never_leave_a_mixture(tmp_path: Path) -> None:
    film, picture, record = tmp_path / "film.gif", tmp_path / "picture.png", tmp_path / "record.json"

    def look() -> None:
        assert len(np.unique(read_video(film).frames)) == 1
        assert len(np.unique(read_image(picture))) == 1
        assert len(set(read_json(record)["values"])) == 1

    def write(number: int) -> None:
        frames = np.full((3 + number, 20, 20, 3), 50 * number, np.uint8)
        write_video(film, frames)
        write_image(picture, frames[0])
        write_json(record, {"values": [number] * 500})

    assert both(write, look) == []
    assert {p.name for p in tmp_path.iterdir()} == {"film.gif", "picture.png", "record.json"}


def test_of_two_writers_of_one_folder_of_frames_one_wins_whole(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    came: list[object] = []

    def write(number: int) -> None:
        try:
            came.append(write_video(folder, np.full((4, 8, 8, 3), 50 * number, np.uint8)))
        except UserError as error:
            came.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [isinstance(x, Path) for x in came].count(True) == 1
    assert all(len(str(x).splitlines()) == 1 for x in came)
    frames = read_video(folder).frames
    assert len(frames) == 4
    assert len(np.unique(frames)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]


def test_a_file_replaced_while_it_is_opened_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = tmp_path / "model.safetensors", []
    real = model.safetensors.safe_open

    def replaced(*arguments: object, **options: object) -> object:
        opened.append(real(*arguments, **options))
        if len(opened) == 1:
            save_tensors(path, {"w": torch.ones(3)}, {"number": "1"})
        return opened[-1]

    save_tensors(path, {"w": torch.zeros(3)}, {"number": "0"})
    monkeypatch.setattr(model.safetensors, "safe_open", replaced)
    tensors, header = load_tensors(path)
    assert (tensors["w"].tolist(), header["number"], len(opened)) == ([1.0, 1.0, 1.0], "1", 2)
