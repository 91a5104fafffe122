"""Rivals on the command line: trained, resumed, animated, predicted, rebuilt and measured as Monkey-Net is; exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Command

from monkeynet_edu import baselines
from monkeynet_edu.baselines.registry import RIVALS, shipped_path
from monkeynet_edu.data.video import read_video, write_image, write_video
from monkeynet_edu.run_folder import CHECKPOINT_FILE

SIDE = 32
FILMS = [name for name, entry in RIVALS.items() if name != "x2face"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of a dot that walks: two to learn from, one to test on."""
    folder = tmp_path_factory.mktemp("rivals") / "clips"
    frames = np.full((40, 64, 64, 3), 90, np.uint8)
    for t in range(40):
        frames[t, 20:30, t : t + 10] = (250, 40, 10)
    for part, count in (("train", 2), ("test", 1)):
        (folder / part).mkdir(parents=True)
        for i in range(count):
            write_video(folder / part / f"{i}.png", frames[i : i + 36])
    return folder


@pytest.fixture(scope="module")
def picture(clips: Path) -> Path:
    return write_image(clips.parent / "picture.png", read_video(clips / "test" / "0.png").frames[0])


@pytest.mark.parametrize("name", list(RIVALS))
def test_a_rival_is_trained_resumed_and_refused_under_other_options(
    run: Command, clips: Path, tmp_path: Path, name: str
) -> None:
    options = ("train", "--data", clips, "--preset", name, "--batch-size", "2", "--out", tmp_path / "run")
    done = run(*options, "--steps", "1")
    assert done.code == 0, done.err
    assert f"{name} on 2 clips" in done.err
    assert (tmp_path / "run" / CHECKPOINT_FILE).is_file()
    assert baselines.load(tmp_path / "run").name == name
    again = run(*options, "--steps", "2", "--resume")
    assert again.code == 0, again.err
    assert "trained 2 steps" in again.out
    other = run(*options, "--steps", "3", "--resume", "--seed", "1")
    assert other.code == 2
    assert "first difference recipe.seed: 1 here, 0 there" in other.err


def test_a_picture_follows_a_clip_by_x2face(run: Command, clips: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "made.gif"
    done = run(
        "animate", "--source", picture, "--driving", clips / "test" / "0.png", "--model", "x2face-mini-taichi", "--out", out
    )
    assert done.code == 0, done.err
    assert "by X2Face" in done.out
    assert read_video(out).frames.shape == (36, 64, 64, 3)


@pytest.mark.parametrize("name", FILMS)
def test_a_picture_becomes_a_film(run: Command, picture: Path, tmp_path: Path, name: str) -> None:
    model = f"{name}-{RIVALS[name].shipped[0]}"
    options = ("predict", "--source", picture, "--model", model, "--frames", "5")
    films = []
    for seed in ("0", "0", "1"):
        out = tmp_path / f"{len(films)}.png"
        done = run(*options, "--seed", seed, "--out", out)
        assert done.code == 0, done.err
        films.append(read_video(out).frames)
    assert films[0].shape == (5, 64, 64, 3)
    assert np.array_equal(films[0], films[1])
    assert not np.array_equal(films[0][1:], films[2][1:])


def test_figures_of_a_rival_are_those_that_it_can_have(run: Command) -> None:
    done = run("evaluate", "--dataset", "mini-taichi", "--limit", "1", "--model", "x2face-mini-taichi", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert {"l1", "l1_moving", "l1_moving_repeat_source", "akd", "mkr", "aed", "fid"} <= set(found)
    assert not {"flow_epe", "l1_deformed", "landmark_error"} & set(found)


def test_a_clip_is_rebuilt_by_x2face(run: Command, clips: Path, tmp_path: Path) -> None:
    done = run("reconstruct", "--data", clips, "--model", "x2face-mini-taichi", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert {"0.gif", "0.mp4", "summary.png"} <= {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "--dataset", "mini-bair", "--model", "sv2p-mini-bair"], "SV2P: expected a rival that follows"),
        (["reconstruct", "--data", "mini-bair", "--model", "sv2p-mini-bair"], "SV2P: expected a rival that follows"),
        (
            ["evaluate", "--dataset", "mini-taichi", "--task", "prediction", "--model", "x2face-mini-taichi"],
            "makes films of one",
        ),
        (["train", "--data", "mini-bair", "--preset", "sv2pp"], "unknown preset 'sv2pp'"),
        (["train", "--data", "mini-bair", "--preset", "sv2p", "--size", "50"], "frame size 50: expected a multiple of"),
        (
            ["train", "--data", "mini-bair", "--preset", "sv2p", "--steps", "1", "--plant", "nan"],
            "--plant nan: expected a preset",
        ),
        (["predict", "--source", "nothing.png", "--model", "sv2p-mini-bair", "--out", "a.gif"], "nothing.png"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_rival_whose_file_is_cut_short_is_named(run: Command, picture: Path, tmp_path: Path) -> None:
    whole = shipped_path("sv2p", "mini-bair").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    done = run("predict", "--source", picture, "--model", tmp_path / "cut.safetensors", "--out", tmp_path / "a.gif")
    assert done.code == 2
    assert "cut.safetensors" in done.err
    assert not (tmp_path / "a.gif").exists()
