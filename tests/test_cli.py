"""The command line: what each command writes and prints, its exit codes, and one clear line for every bad input."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Command, Done
from PIL import Image
from small_model import SIDE, TINY

from monkeynet_edu import __version__, cli, demo, doctor, model
from monkeynet_edu.data.miniatures import make
from monkeynet_edu.data.video import read_image, read_video, write_video
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.training import CHECKPOINT_FILE, Learns


def moving_frames(seed: int, count: int = 4, side: int = SIDE) -> np.ndarray:
    """A bright square that moves over noise."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 100, (1, side, side, 3), dtype=np.uint8), count, axis=0)
    for t in range(count):
        frames[t, 4:9, 2 + t : 7 + t] = 250
    return frames


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained tiny model."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    MonkeyNet(TINY).save(path)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with clips (4 to train, 2 to test, 16x16), a picture and a film; `mini` is tiny."""
    for number in range(6):
        write_video(tmp_path / "clips" / ("train" if number < 4 else "test") / f"{number}.png", moving_frames(number))
    Image.fromarray(moving_frames(7)[0]).save(tmp_path / "picture.png")
    write_video(tmp_path / "film.mp4", moving_frames(8, 5), 12.5)
    write_video(tmp_path / "film.gif", moving_frames(8, 5), 12.5)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(model.PRESETS, "mini", TINY)
    return tmp_path


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def refused(done: Done, *words: str) -> None:
    """Exit code 2, nothing on standard output, and one line on standard error that holds the words."""
    assert done.code == 2, done
    assert done.out == ""
    lines = [line for line in done.err.splitlines() if "error: " in line]
    assert len(lines) == 1, done.err
    assert done.err.rstrip().endswith(lines[0].rstrip())
    assert "Traceback" not in done.err
    for word in words:
        assert word in lines[0]


# ------------------------------------------------------------------------------------------------------- the whole app


def shell(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(cli.__file__).parent.parent),
        "COLUMNS": "120",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "monkeynet_edu", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def test_help_names_every_command_and_loads_neither_torch_nor_numpy(tmp_path: Path) -> None:
    done = shell("--help", cwd=tmp_path)
    assert done.returncode == 0
    for name in ("demo", "train", "reconstruct", "animate", "evaluate", "data", "doctor", "lab"):
        assert f" {name} " in done.stdout
    program = "import sys, monkeynet_edu.cli; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'av')))"
    assert (
        subprocess.run(
            [sys.executable, "-c", program],
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)},
        ).returncode
        == 0
    )


def test_a_bad_input_in_a_real_process_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = shell("train", "--data", "mini-taichy", "--steps", "1", cwd=tmp_path)
    refused(Done(done.returncode, done.stdout, done.stderr), "mini-taichy", "did you mean mini-taichi")
    assert files(tmp_path) == set()


def test_version_is_that_of_the_package(run: Command) -> None:
    assert run("--version") == Done(0, f"monkeynet-edu {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--nonsense"], ["trian"], ["train"], ["animate", "--source", "a.png"]])
def test_a_wrong_command_line_exits_with_2(run: Command, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.err


@pytest.mark.parametrize(
    "command", [[c] for c in ("demo", "train", "reconstruct", "animate", "evaluate", "doctor", "lab")]
    + [["data", c] for c in ("make", "info", "convert")], ids="-".join,
)  # fmt: skip
def test_every_option_of_every_command_has_a_help_text(run: Command, command: list[str]) -> None:
    from typer.main import get_command

    found = get_command(cli.app)
    for name in command:
        found = found.commands[name]
    assert all(getattr(option, "help", None) for option in found.params)
    assert run(*command, "--help").code == 0


def test_the_help_names_the_presets_and_the_miniatures_that_there_are() -> None:
    assert sorted(cli._PRESETS.split(", ")) == sorted(model.PRESETS)
    assert sorted(cli._SETS.split(", ")) == sorted(doctor.MINIATURES)


def test_an_unexpected_error_keeps_its_traceback(run: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cli, "_pick_device", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run("train", "--data", "clips", "--batch-size", "2", "--steps", "1")


# --------------------------------------------------------------------------------------------------------------- train


def train(*more: str | Path) -> list[str]:
    return ["train", "--data", "clips", "--batch-size", "2", *map(str, more)]


def test_train_leaves_a_model_and_says_what_to_do_next(run: Command, place: Path) -> None:
    done = run(*train("--steps", "2", "--out", "r"))
    assert done.code == 0, done.err
    assert "trained 2 steps" in done.out
    assert "monkeynet-edu reconstruct --data clips --model r" in done.out
    assert MonkeyNet.load(place / "r").config == TINY
    assert {"model.safetensors", CHECKPOINT_FILE, "metrics.csv", "preview.png"} <= files(place / "r")


def test_resume_goes_on_to_the_same_weights_as_one_sitting(run: Command, place: Path) -> None:
    assert run(*train("--steps", "3", "--out", "whole")).code == 0
    assert run(*train("--steps", "1", "--out", "halves")).code == 0
    assert run(*train("--steps", "3", "--out", "halves", "--resume")).code == 0
    # The milestone of the learning rate depends on the number of steps asked for: only names and shapes are compared.
    states = [MonkeyNet.load(place / name).state_dict() for name in ("whole", "halves")]
    assert states[0].keys() == states[1].keys()
    assert "trained 3 steps" in run(*train("--steps", "3", "--out", "halves", "--resume")).out


def test_neither_steps_nor_minutes_means_epochs(run: Command, place: Path) -> None:
    done = run(*train("--epochs", "3"))
    assert "trained 6 steps" in done.out  # 3 epochs of 4 clips in batches of 2
    assert (place / "runs" / "clips" / "model.safetensors").is_file()


def test_init_starts_from_trained_weights(
    run: Command, place: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monkeynet_edu import training

    started = []
    real = training.train

    def spy(sitting: training.Run, *rest: object) -> training.Report:
        started.append({name: value.clone() for name, value in sitting.model.state_dict().items()})
        return real(sitting, *rest)

    monkeypatch.setattr(training, "train", spy)
    assert run(*train("--steps", "1", "--seed", "5", "--out", "r", "--init", weights)).code == 0
    for name, value in MonkeyNet.load(weights).state_dict().items():
        assert torch.equal(started[0][name], value), name


@pytest.mark.parametrize(
    ("part", "kept"), [("drawing", ("detector.", "generator.dense_motion_module.")), ("generator", ("detector.",))]
)
def test_learn_a_part_keeps_the_others_of_the_weights_given(
    run: Command, place: Path, weights: Path, part: str, kept: tuple[str, ...]
) -> None:
    done = run(*train("--steps", "2", "--out", "r", "--init", weights, "--learn", part))
    assert done.code == 0
    assert f"the {part} alone" in done.err
    assert run(*train("--steps", "3", "--out", "r", "--learn", part, "--resume")).code == 0
    before, after = (MonkeyNet.load(path).state_dict() for path in (weights, place / "r"))
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert not [name for name in changed if name.startswith(kept)]
    assert "generator.last.weight" in changed


def test_a_model_that_learned_motion_then_drawing_is_told_that_everything_can_learn_once_more(
    run: Command, place: Path, weights: Path
) -> None:
    done = run(*train("--steps", "1", "--out", "r", "--init", weights, "--learn", "drawing"))
    assert "--init r --learn all --minutes 20 --out r-more" in done.out
    more = run(*train("--steps", "1", "--out", "r-more", "--init", "r", "--learn", "all"))
    assert more.code == 0, more.err
    assert "--learn all" not in more.out


@pytest.mark.parametrize(
    ("learn", "learns", "motion_first"),
    [(None, "drawing", 0.5), ("all", "all", 0.0), ("generator", "generator", 0.0), ("drawing", "drawing", 0.0)],
)
def test_learn_says_what_learns_and_without_it_the_recipe_does(
    learn: Learns | None, learns: str, motion_first: float
) -> None:
    found = cli._recipe("mini", "mini-taichi", 0, None, learn)
    assert (found.learns, found.motion_first) == (learns, motion_first)


def test_ctrl_c_in_a_training_keeps_what_was_reached_and_exits_with_130(
    run: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monkeynet_edu import training

    real = training.training_step
    calls = []

    def interrupted(*arguments: object) -> training.StepResult:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(training, "training_step", interrupted)
    done = run(*train("--steps", "9", "--out", "r"))
    assert done.code == 130
    assert "stopped at step 2" in done.err
    assert "--resume" in done.err
    assert (place / "r" / CHECKPOINT_FILE).is_file()


def test_ctrl_c_elsewhere_exits_with_130(run: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "resolve_model", interrupted)
    done = run("evaluate", "--dataset", "clips")
    assert done.code == 130
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--steps", "0"], ["--steps", "got 0"]),
        (["--minutes", "0"], ["--minutes"]),
        (["--epochs", "0"], ["--epochs"]),
        (["--steps", "1", "--minutes", "1"], ["--steps and --minutes", "one of them"]),
        (["--steps", "1", "--epochs", "1"], ["--steps and --epochs"]),
        (["--preset", "tachi"], ["tachi", "did you mean taichi"]),
        (["--preset", "nemo", "--size", "70"], ["70", "nearest that works is 64"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--batch-size", "5"], ["at least 5", "got 4", "--batch-size 4"]),
        (["--resume"], ["checkpoint"]),
        (["--device", "abacus"], ["abacus"]),
        (["--init", "none.safetensors"], ["none.safetensors"]),
        (["--learn", "drawing"], ["--learn drawing", "--init MODEL"]),
        (["--learn", "generator"], ["--learn generator", "--init MODEL"]),
        (["--learn", "drawing", "--preset", "x2face"], ["--learn drawing", "preset of Monkey-Net", "x2face"]),
        (["--out", "film.mp4/run"], ["film.mp4"]),
    ],
    ids=lambda value: "-".join(value) if value[0].startswith("-") else "",
)
def test_train_refuses(run: Command, place: Path, more: list[str], words: list[str]) -> None:
    before = files(place)
    steps = [] if {"--steps", "--minutes", "--epochs"} & set(more) else ["--steps", "1"]
    refused(run(*train(*steps, *more)), *words)
    assert files(place) == before


def test_train_refuses_to_overwrite_a_run(run: Command, place: Path) -> None:
    assert run(*train("--steps", "1", "--out", "r")).code == 0
    reached = (place / "r" / CHECKPOINT_FILE).read_bytes()
    refused(run(*train("--steps", "1", "--out", "r")), "r:", "--resume", "another --out")
    assert (place / "r" / CHECKPOINT_FILE).read_bytes() == reached


def test_resuming_with_another_configuration_names_the_first_field(run: Command, place: Path) -> None:
    assert run(*train("--steps", "1", "--out", "r")).code == 0
    refused(run(*train("--steps", "2", "--out", "r", "--resume", "--size", "32")), "frame_size: 32 here, 16 there")
    refused(run(*train("--steps", "2", "--out", "r", "--resume", "--seed", "3")), "seed: 3 here, 0 there")


def test_init_with_another_configuration_names_the_first_field(run: Command, place: Path, weights: Path) -> None:
    before = files(place)
    done = run(*train("--steps", "1", "--preset", "mini-absolute", "--init", weights))
    refused(done, "--init", "first difference detector.keypoints: 10 here, 3 there")
    assert files(place) == before


def test_a_clip_of_one_frame_is_refused_before_training_starts(run: Command, place: Path) -> None:
    write_video(place / "clips" / "train" / "lonely.png", moving_frames(1, 1))
    before = files(place)
    refused(run(*train("--steps", "1")), "lonely", "at least 2, got 1")
    assert files(place) == before


def test_a_truncated_clip_is_refused_before_training_starts(run: Command, place: Path) -> None:
    whole = (place / "film.mp4").read_bytes()
    (place / "clips" / "train" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    before = files(place)
    refused(run(*train("--steps", "1")), "cut.mp4", "truncated")
    assert files(place) == before


def test_an_unknown_data_set_is_refused(run: Command, place: Path) -> None:
    refused(run("train", "--data", "mini-nemmo", "--steps", "1"), "did you mean mini-nemo")
    refused(run("evaluate", "--dataset", "no/where"), "no/where")


# ------------------------------------------------------------------------------------------- reconstruct and evaluate


def test_reconstruct_writes_films_and_a_summary_and_its_l1_is_that_of_evaluate(
    run: Command, place: Path, weights: Path
) -> None:
    done = run("reconstruct", "--data", "clips", "--model", weights, "--out", "o", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert files(place / "o") == {"4.gif", "4.mp4", "5.gif", "5.mp4", "summary.png"}
    assert len(read_video(place / "o" / "4.gif").frames) == 4
    measured = json.loads(run("evaluate", "--dataset", "clips", "--model", weights, "--json").out)
    assert said["l1"] == pytest.approx(measured["l1"], rel=1e-5)
    assert (measured["clips"], measured["frames"]) == (2, 6)


def test_limit_takes_the_first_clips(run: Command, place: Path, weights: Path) -> None:
    done = run("reconstruct", "--data", "clips", "--split", "all", "--limit", "1", "--model", weights, "--out", "o")
    assert "over 1 clips" in done.out
    assert files(place / "o") == {"0.gif", "0.mp4", "summary.png"}


def test_evaluate_prints_a_table_without_json(run: Command, place: Path, weights: Path) -> None:
    done = run("evaluate", "--dataset", "clips", "--model", weights)
    assert done.code == 0
    assert "l1_repeat_source" in done.out


@pytest.mark.parametrize("limit", ["0", "-3"])
def test_a_limit_below_one_is_refused(run: Command, place: Path, weights: Path, limit: str) -> None:
    refused(run("evaluate", "--dataset", "clips", "--model", weights, "--limit", limit), "--limit", limit)


def test_reconstruct_refuses_a_clip_of_one_frame_and_a_place_it_cannot_write_to(
    run: Command, place: Path, weights: Path
) -> None:
    before = files(place)
    refused(run("reconstruct", "--data", "clips", "--model", weights, "--out", "picture.png/o"), "picture.png")
    assert files(place) == before
    write_video(place / "one" / "test" / "lonely.png", moving_frames(1, 1))
    refused(run("reconstruct", "--data", "one", "--model", weights, "--out", "o"), "lonely")
    assert not (place / "o").exists()


# ------------------------------------------------------------------------------------------------------------- animate


def animate(weights: Path, *more: str | Path, source: str = "picture.png", driving: str = "film.mp4") -> list[str]:
    return ["animate", "--source", source, "--driving", driving, "--model", str(weights), *map(str, more)]


@pytest.mark.parametrize("out", ["a.mp4", "a.mov", "a.gif", "a.webp", "a.png", "a.jpg", "folder"])
def test_animate_writes_in_the_format_that_the_ending_names(run: Command, place: Path, weights: Path, out: str) -> None:
    done = run(*animate(weights, "--out", f"made/{out}"))
    assert done.code == 0, done.err
    made = read_video(place / "made" / out)
    assert made.frames.shape[1:] == (SIDE, SIDE, 3)
    assert len(made.frames) == 5 or out == "a.webp"  # WebP merges equal neighbours
    if out in ("a.mp4", "a.mov", "a.gif"):
        assert made.fps == pytest.approx(12.5)
    assert [path.name for path in (place / "made").iterdir()] == [out]


def test_animate_says_which_frame_it_took_as_reference(run: Command, place: Path, weights: Path) -> None:
    assert "chosen by pose" in run(*animate(weights, "--out", "a.gif")).err
    assert "reference frame: 3 of 5" in run(*animate(weights, "--reference", "3", "--out", "a.gif")).err
    assert "reference frame: 0 of 5" in run(*animate(weights, "--reference", "first", "--out", "a.gif")).err
    assert "reference" not in run(*animate(weights, "--mode", "absolute", "--out", "a.gif")).err


def test_animate_hands_every_choice_to_the_transfer(
    run: Command, place: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monkeynet_edu import animation, streaming

    seen = []
    real = streaming.animate_blocks

    def spy(*arguments: object) -> Iterator[torch.Tensor]:
        seen.append(arguments[-1])
        return real(*arguments)

    monkeypatch.setattr(streaming, "animate_blocks", spy)
    choices = ("--reference", "2", "--scaling", "hull", "--covariance", "adapted", "--clip-keypoints")
    assert run(*animate(weights, *choices, "--mode", "relative", "--out", "a.png")).code == 0
    assert run(*animate(weights, "--mode", "absolute", "--out", "b.png")).code == 0
    assert seen == [animation.Transfer("relative", 2, "hull", "adapted", True), animation.Transfer("absolute")]


@pytest.mark.parametrize(("score", "warned"), [(0.1, False), (0.9, True)])
def test_poses_that_do_not_fit_are_warned_of(
    run: Command, place: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, score: float, warned: bool
) -> None:
    from monkeynet_edu import alignment

    found = alignment.Alignment(2, score, score, 0.9, 5)
    monkeypatch.setattr(alignment, "align", lambda still, motion, wanted: found)
    said = run(*animate(weights, "--out", "a.gif")).err
    assert "reference frame: 2 of 5" in said
    assert ("relative transfer will not work" in said) is warned


@pytest.mark.parametrize(("factor", "warned"), [(0.5, False), (3.0, True)])
def test_a_picture_unlike_those_of_training_is_warned_of(
    run: Command, place: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, factor: float, warned: bool
) -> None:
    from monkeynet_edu import alignment

    own = place / "own.safetensors"
    own.write_bytes(weights.read_bytes())
    assert "domain: unknown" in run(*animate(own, "--out", "a.gif")).err
    alignment.domain_path(own).write_bytes(b"foreign")
    assert "domain: unknown" in run(*animate(own, "--out", "a.gif")).err
    monkeypatch.setattr(alignment.Domain, "load", lambda path, model: Scores(factor))
    said = run(*animate(own, "--out", "a.gif")).err
    assert f"picture {factor:.2f}, film {factor:.2f}" in said
    assert ("warning: the picture and film is unlike anything" in said) is warned


class Scores:
    """A domain that gives every picture the same score."""

    def __init__(self, score: float) -> None:
        self.score = score

    def scores(self, model: MonkeyNet, frames: torch.Tensor) -> torch.Tensor:
        return torch.full((len(frames),), self.score)


def test_generated_frames_are_marked_unless_the_label_is_empty(run: Command, place: Path, weights: Path) -> None:
    corner = {}
    for name, more in (("a", ()), ("b", ("--label", ""))):
        assert run(*animate(weights, *more, "--out", f"{name}.png")).code == 0
        corner[name] = read_video(place / f"{name}.png").frames[:, :14, :40]
    assert (corner["a"] > 200).all(axis=-1).any(axis=(1, 2)).all()
    assert not (corner["b"] > 200).all(axis=-1).any()


def test_side_by_side_is_wider_and_fit_pads_or_crops(run: Command, place: Path, weights: Path) -> None:
    wide = np.full((8, 24, 3), (200, 30, 30), np.uint8)
    wide[:, 8:16] = (30, 200, 30)
    Image.fromarray(wide).resize((48, 17)).save(place / "wide.png")
    corner = {}
    for fit in ("crop", "pad"):
        done = run(*animate(weights, "--fit", fit, "--side-by-side", "--out", f"{fit}.mp4", source="wide.png"))
        assert done.code == 0, done.err
        frames = read_video(place / f"{fit}.mp4").frames
        assert frames.shape[2] > 2.5 * frames.shape[1] * 0.9
        corner[fit] = frames[0, frames.shape[1] // 2, 20].astype(int)
    assert corner["crop"][1] > corner["crop"][0]  # the green middle
    assert corner["pad"][0] > corner["pad"][1]  # the red end


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1"])
def test_grey_palette_and_alpha_pictures_work(run: Command, place: Path, weights: Path, mode: str) -> None:
    Image.fromarray(moving_frames(7)[0]).convert(mode).save(place / "other.png")
    assert run(*animate(weights, "--out", "a.gif", source="other.png")).code == 0
    assert len(read_video(place / "a.gif").frames) == 5


def bad_file(name: str, place: Path) -> str:
    """Makes the bad input of this name in the folder; the name of the file."""
    whole = {ending: (place / f"film{ending}").read_bytes() for ending in (".mp4", ".gif")}
    contents = {
        "truncated.mp4": whole[".mp4"][: len(whole[".mp4"]) * 2 // 3],
        "truncated.gif": whole[".gif"][: len(whole[".gif"]) * 2 // 3],
        "noframes.gif": b"GIF89a\x10\x00\x10\x00\x00\x00\x00;",
        "empty.mp4": b"",
        "text.png": b"this is no picture at all\n",
    }
    if name in contents:
        (place / name).write_bytes(contents[name])
    elif name == "ragged.png":
        Image.new("RGB", (50, 16)).save(place / name)
    elif name == "hollow":
        (place / name).mkdir()
    return name


BAD_FILES = ["missing.mp4", "truncated.mp4", "truncated.gif", "noframes.gif", "empty.mp4", "text.png", "hollow"]


@pytest.mark.parametrize("name", [*BAD_FILES, "ragged.png"])
def test_a_bad_driving_clip_is_refused_in_one_line(run: Command, place: Path, weights: Path, name: str) -> None:
    driving = bad_file(name, place)
    before = files(place)
    refused(run(*animate(weights, "--out", "o/a.gif", driving=driving)), name)
    assert files(place) == before


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_source_is_refused_in_one_line(run: Command, place: Path, weights: Path, name: str) -> None:
    source = bad_file(name, place)
    before = files(place)
    refused(run(*animate(weights, "--out", "o/a.gif", source=source)), name)
    assert files(place) == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--reference", "5"], ["--reference", "0 to 4", "got 5"]),
        (["--reference", "last"], ["--reference", "'last'"]),
        (["--mode", "absolute", "--clip-keypoints"], ["--clip-keypoints", "relative"]),
        (["--out", "a.xyz"], ["a.xyz", ".gif"]),
        (["--out", "picture.png/a.gif"], ["picture.png"]),
        (["--device", "abacus"], ["abacus"]),
    ],
    ids=lambda value: "-".join(value) if value[0].startswith("-") else "",
)
def test_animate_refuses(run: Command, place: Path, weights: Path, more: list[str], words: list[str]) -> None:
    before = files(place)
    refused(run(*animate(weights, "--out", "a.gif", *more)), *words)
    assert files(place) == before


def test_what_the_options_alone_show_to_be_wrong_is_refused_before_anything_is_read(
    run: Command, place: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monkeynet_edu.data import datasets

    def read(*_: object, **__: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(cli, "resolve_model", read)
    monkeypatch.setattr(datasets, "open_dataset", read)
    refused(run(*animate(weights, "--out", "a.xyz")), "a.xyz")
    refused(run(*animate(weights, "--reference", "x", "--out", "a.gif")), "--reference")
    refused(run(*train("--steps", "1", "--preset", "nemo", "--size", "70")), "64")


# -------------------------------------------------------------------------------------------------------------- models


class Evil:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_nothing(run: Command, place: Path) -> None:
    proof = place / "executed"
    (place / "evil.pth.tar").write_bytes(pickle.dumps({"generator": Evil(proof)}, protocol=2))
    torch.save({"generator": Evil(proof)}, place / "modern.pth.tar")
    for name in ("evil.pth.tar", "modern.pth.tar"):
        refused(run(*animate(place / name, "--preset", "taichi", "--out", "a.gif")), name, "refused")
    assert not proof.exists()
    assert not (place / "a.gif").exists()
    pickle.loads((place / "evil.pth.tar").read_bytes())  # the trap does work
    assert proof.exists()


def test_a_pth_tar_needs_a_preset(run: Command, place: Path) -> None:
    torch.save({"generator": {}}, place / "theirs.pth.tar")
    refused(run(*animate(place / "theirs.pth.tar", "--out", "a.gif")), "theirs.pth.tar", "--preset")


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("nowhere/model.safetensors", ["nowhere/model.safetensors"]),
        ("mini-tachi", ["mini-tachi", "did you mean mini-taichi"]),
        ("clips", ["clips/model.safetensors"]),
        ("broken.safetensors", ["broken.safetensors"]),
    ],
)
def test_a_model_that_is_none_is_refused(run: Command, place: Path, which: str, words: list[str]) -> None:
    (place / "broken.safetensors").write_bytes(b"no weights")
    refused(run(*animate(Path(which), "--out", "a.gif")), *words)


def test_weights_of_another_configuration_name_the_first_field(run: Command, place: Path, weights: Path) -> None:
    refused(run(*animate(weights, "--preset", "nemo", "--out", "a.gif")), "frame_size: 64 here, 16 there")
    refused(run(*animate(weights, "--preset", "nmo", "--out", "a.gif")), "did you mean nemo")
    assert run(*animate(weights, "--preset", "mini", "--out", "a.gif")).code == 0


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data_small of its own, without weights."""
    folder = tmp_path / "small"
    folder.mkdir()
    monkeypatch.setenv("MONKEYNET_DATA", str(folder))
    return folder


def test_the_default_model_is_that_of_the_data_set_else_of_mini_taichi(
    run: Command, place: Path, small: Path, weights: Path
) -> None:
    make(small, ["mini-nemo"], 2, 0)
    refused(run("evaluate", "--dataset", "mini-nemo"), "weights of mini-nemo")
    refused(run("evaluate", "--dataset", "clips"), "weights of mini-taichi")
    (small / "weights").mkdir()
    (small / "weights" / "mini-taichi.safetensors").write_bytes(weights.read_bytes())
    assert run("evaluate", "--dataset", "clips", "--json").code == 0
    assert run("evaluate", "--dataset", "clips", "--model", "mini-taichi", "--json").code == 0
    refused(run("evaluate", "--dataset", "clips", "--model", "mini-nemo"), "weights of mini-nemo")


# ---------------------------------------------------------------------------------------------------------------- demo


def test_the_demo_takes_sources_whose_pose_is_that_in_which_the_films_begin(weights: Path) -> None:
    net = MonkeyNet.load(weights)
    film = moving_frames(3)
    others = [moving_frames(seed)[seed % 4] for seed in (10, 11, 13)]
    chosen = demo.choose_sources(net, [*others, film[0]], [film], model.pick_device("cpu", "float32"))
    assert np.array_equal(chosen[0], film[0])
    assert len(chosen) == 4


def test_demo_writes_a_moving_gif_a_film_and_a_sheet_and_names_what_it_skipped(
    run: Command, place: Path, small: Path, weights: Path
) -> None:
    refused(run("demo"), "weights")
    assert not (place / "demo_out").exists()
    make(small, ["mini-mgif"], 4, 0)
    (small / "weights").mkdir()
    (small / "weights" / "mini-mgif.safetensors").write_bytes(weights.read_bytes())
    done = run("demo", "--out", "shown", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert [left["name"] for left in said["skipped"]] == ["mini-bair", "mini-nemo", "mini-taichi"]
    (shown,) = said["shown"]
    assert files(place / "shown") == {"mini-mgif.gif", "mini-mgif.mp4", "mini-mgif-inside.png"}
    frames = read_video(shown["gif"]).frames
    assert frames.shape == read_video(shown["mp4"]).frames.shape
    assert np.abs(frames[1:].astype(int) - frames[:-1]).max() > 30
    assert read_image(shown["sheet"]).shape[1] > 1000


def test_demo_without_json_says_where_the_pictures_are(run: Command, place: Path, small: Path, weights: Path) -> None:
    make(small, ["mini-mgif"], 2, 0)
    (small / "weights").mkdir()
    (small / "weights" / "mini-mgif.safetensors").write_bytes(weights.read_bytes())
    done = run("demo", "--out", "shown")
    for name in ("mini-mgif.gif", "mini-mgif.mp4", "mini-mgif-inside.png"):
        assert str(Path("shown") / name) in done.out
    assert "skipped mini-nemo" in done.err


# ---------------------------------------------------------------------------------------------------------------- data


def test_data_make_writes_the_sets_asked_for(run: Command, place: Path) -> None:
    done = run("data", "make", "--out", "sets", "--name", "mini-nemo", "--clips", "2", "--seed", "3")
    assert done.code == 0, done.err
    assert done.out == f"{Path('sets/mini-nemo')}\n"
    assert {"mini-nemo/test/0000.png", "mini-nemo/truth/0001.truth.npz"} <= files(place / "sets")
    info = json.loads(run("data", "info", "sets/mini-nemo", "--json").out)
    assert (info["clips"], info["sizes"], info["clips with truth"]) == (2, ["64x64"], 2)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--name", "mini-nemmo"], ["did you mean mini-nemo"]),
        (["--clips", "0"], ["--clips"]),
        (["--out", "film.mp4/x"], ["film.mp4"]),
    ],
    ids=["name", "clips", "place"],
)
def test_data_make_refuses(run: Command, place: Path, more: list[str], words: list[str]) -> None:
    before = files(place)
    refused(run("data", "make", "--out", "sets", *more), *words)
    assert files(place) == before


def test_data_info_counts_and_draws(run: Command, place: Path) -> None:
    done = run("data", "info", "clips", "--picture", "sheet.png", "--json")
    info = json.loads(done.out)
    assert (info["clips"], info["frames"], info["frames of a clip"], info["sizes"]) == (6, 24, [4, 4], ["16x16"])
    assert (info["frames per second"], info["clips with truth"]) == (["unknown"], 0)
    assert (place / "sheet.png").is_file()
    assert "16x16" in run("data", "info", "clips", "--split", "test").out


@pytest.mark.parametrize("name", [*BAD_FILES[1:6], "ragged.png"])
def test_data_info_names_the_bad_clip(run: Command, place: Path, name: str) -> None:
    (place / "films").mkdir()
    bad_file(name, place)
    (place / name).rename(place / "films" / name)
    refused(run("data", "info", "films"), name)


def test_data_convert_keeps_frames_and_rate(run: Command, place: Path) -> None:
    assert run("data", "convert", "film.mp4", "film2.gif").code == 0
    made = read_video(place / "film2.gif")
    assert (len(made.frames), made.fps) == (5, pytest.approx(12.5))
    assert run("data", "convert", "film.mp4", "film3.png", "--size", "8").code == 0
    assert Image.open(place / "film3.png").size == (40, 8)


@pytest.mark.parametrize(("to", "name"), [("gif", "4.gif"), ("mp4", "4.mp4"), ("png", "4.png"), ("folder", "4")])
def test_data_convert_of_a_folder_keeps_its_splits(run: Command, place: Path, to: str, name: str) -> None:
    done = run("data", "convert", "clips", "other", "--to", to, "--fps", "10")
    assert done.code == 0, done.err
    assert len(list((place / "other" / "train").iterdir())) == 4
    made = read_video(place / "other" / "test" / name)
    assert made.frames.shape == (4, SIDE, SIDE, 3)
    assert made.fps == (pytest.approx(10) if to in ("gif", "mp4") else None)
    if to in ("png", "folder"):
        assert np.array_equal(made.frames, moving_frames(4))


def test_data_convert_keeps_the_truth(run: Command, place: Path) -> None:
    make(place / "sets", ["mini-nemo"], 1, 0)
    assert run("data", "convert", "sets/mini-nemo", "films", "--to", "folder").code == 0
    assert json.loads(run("data", "info", "films", "--json").out)["clips with truth"] == 1


def test_data_convert_of_a_folder_with_a_bad_clip_leaves_nothing(run: Command, place: Path) -> None:
    (place / "clips" / "test" / "text.png").write_bytes(b"no picture")
    before = files(place)
    refused(run("data", "convert", "clips", "other", "--to", "gif"), "text.png")
    refused(run("data", "convert", "clips", "clips", "--to", "gif"), "clips", "new or empty")
    refused(run("data", "convert", "missing.mp4", "a.gif"), "missing.mp4")
    refused(run("data", "convert", "film.mp4", "a.txt"), "a.txt")
    refused(run("data", "convert", "film.mp4", "a.gif", "--fps", "0"), "frame rate")
    assert files(place) == before


# -------------------------------------------------------------------------------------------------------- installation


def test_doctor_reports_and_exits_with_1_only_when_something_is_broken(
    run: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.loads(run("doctor", "--json").out)
    names = {finding["name"] for finding in said["findings"]}
    assert {"python", "torch", "device", "training step", "generated frame", "write access", "data", "weights"} <= names
    assert all(finding["advice"] for finding in said["findings"] if finding["state"] != "ok")
    broken = doctor.Finding("write access", "fail", "/: read-only", "change the folder")
    monkeypatch.setattr(doctor, "write_access", lambda folder: broken)
    done = run("doctor")
    assert done.code == 1
    assert "-> change the folder" in done.out
    assert "1 fail" in done.out


def test_doctor_finds_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    assert doctor.write_access(tmp_path).state == "ok"
    assert list(tmp_path.iterdir()) == []
    finding = doctor.write_access(tmp_path / "not there")
    assert finding.state == "fail"
    assert finding.advice


def test_doctor_names_the_weights_that_are_missing(small: Path, weights: Path) -> None:
    (small / "weights").mkdir()
    (small / "weights" / "mini-nemo.safetensors").write_bytes(weights.read_bytes())
    finding = doctor._weights()
    assert finding.state == "warn"
    assert "missing: mini-bair, mini-mgif, mini-taichi" in finding.found


def test_lab_opens_the_first_lesson(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util
    import subprocess

    called: list[list[str]] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(subprocess, "call", lambda command: called.append(command) or 0)
    assert run("lab").code == 0
    (command,) = called
    root = Path(__file__).resolve().parent.parent
    assert f"--ServerApp.root_dir={root}" in command
    # `ServerApp.default_url` would be overruled by JupyterLab's own.
    assert "--LabApp.default_url=/lab/tree/notebooks/00_a_still_picture_moves.ipynb" in command
    assert (root / "notebooks" / "00_a_still_picture_moves.ipynb").is_file()


def test_lab_says_how_to_install_jupyterlab(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(run("lab"), 'pip install -e ".[lab]"')
