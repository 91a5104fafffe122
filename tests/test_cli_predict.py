"""predict and train-predictor: what they write and say, their exit codes, one clear line for every bad input."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from command_line import Command
from PIL import Image
from small_model import SIDE, TINY

from monkeynet_edu import prediction
from monkeynet_edu.alignment import fingerprint
from monkeynet_edu.data.video import read_video, write_image, write_video
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.prediction import Predictor, PredictorConfig


class Files(NamedTuple):
    """What the commands are given."""

    model: Path
    predictor: Path
    picture: Path
    clips: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A tiny model, a predictor for it that moves, a picture larger than its frames, a folder of clips."""
    folder = tmp_path_factory.mktemp("predict")
    torch.manual_seed(0)
    model = MonkeyNet(TINY)
    model.save(folder / "model.safetensors")
    predictor = Predictor(PredictorConfig(3, 8, form="several"), fingerprint(model))
    torch.nn.init.normal_(predictor.output.weight, std=0.5)
    predictor.save(folder / "predictor.safetensors")
    rng = np.random.default_rng(0)
    write_image(folder / "picture.png", rng.integers(0, 255, (30, 44, 3), dtype=np.uint8))
    for part, count in (("train", 3), ("test", 1)):
        (folder / "clips" / part).mkdir(parents=True)
        for i in range(count):
            write_video(folder / "clips" / part / f"{i}.png", rng.integers(0, 255, (4 + i, SIDE, SIDE, 3), dtype=np.uint8))
    return Files(folder / "model.safetensors", folder / "predictor.safetensors", folder / "picture.png", folder / "clips")


def pixels(path: Path) -> np.ndarray:
    """The whole picture, not the first frame of a strip."""
    return np.asarray(Image.open(path).convert("RGB"))


def given(files: Files, **changed: object) -> list[str | Path]:
    """Options of ``predict``."""
    options: dict[str, object] = {"source": files.picture, "model": files.model, "predictor": files.predictor, "label": ""}
    return [str(x) for key, value in (options | changed).items() for x in (f"--{key}", value)]


def test_predict_writes_a_film_of_a_picture_of_any_size(run: Command, files: Files, tmp_path: Path) -> None:
    done = run("predict", *given(files, out=tmp_path / "film.gif", frames=6))
    assert done.code == 0, done.err
    assert "6 frames" in done.out
    assert "warning" not in done.err
    assert read_video(tmp_path / "film.gif").frames.shape == (6, SIDE, SIDE, 3)
    other = run("predict", *given(files, out=tmp_path / "film.mp4", frames=4, fps=8))
    assert other.code == 0, other.err
    assert read_video(tmp_path / "film.mp4").fps == pytest.approx(8)


def test_predict_writes_a_strip_where_the_ending_is_a_picture(run: Command, files: Files, tmp_path: Path) -> None:
    assert run("predict", *given(files, out=tmp_path / "one.png", frames=5, seed=1)).code == 0
    assert run("predict", *given(files, out=tmp_path / "three.png", frames=5, futures=3)).code == 0
    one, three = pixels(tmp_path / "one.png"), pixels(tmp_path / "three.png")
    assert one.shape == (SIDE, 5 * SIDE, 3)
    assert three.shape == (3 * SIDE, 5 * SIDE, 3)
    rows = three.reshape(3, SIDE, 5 * SIDE, 3)
    assert np.array_equal(rows[1], one)  # the second future is that of the next seed
    assert not np.array_equal(rows[0], rows[1])


def test_several_futures_play_side_by_side(run: Command, files: Files, tmp_path: Path) -> None:
    assert run("predict", *given(files, out=tmp_path / "three.gif", frames=3, futures=3)).code == 0
    frames = read_video(tmp_path / "three.gif").frames
    assert len(frames) == 3
    assert frames.shape[2] > 2 * frames.shape[1]


def test_the_same_seed_gives_the_same_film(run: Command, files: Files, tmp_path: Path) -> None:
    for name, seed in (("a", 4), ("b", 4), ("c", 2)):
        assert run("predict", *given(files, out=tmp_path / f"{name}.png", frames=4, seed=seed)).code == 0
    a, b, c = (pixels(tmp_path / f"{name}.png") for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_every_frame_is_marked_as_synthetic(run: Command, files: Files, tmp_path: Path) -> None:
    for label in ("", "made"):
        assert run("predict", *given(files, out=tmp_path / f"x{label}.png", frames=2, label=label)).code == 0
    plain, marked = pixels(tmp_path / "x.png"), pixels(tmp_path / "xmade.png")
    assert not np.array_equal(plain[:, :SIDE], marked[:, :SIDE])
    assert not np.array_equal(plain[:, SIDE:], marked[:, SIDE:])


def test_predict_refuses_bad_input_in_one_line_and_writes_nothing(run: Command, files: Files, tmp_path: Path) -> None:
    other = tmp_path / "five.safetensors"
    Predictor(PredictorConfig(5, 8)).save(other)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(files.predictor.read_bytes()[:-20])
    wrong: list[tuple[dict[str, object], str]] = [
        ({"frames": 0}, "--frames: expected at least 2"),
        ({"futures": 0}, "--futures: expected at least 1"),
        ({"predictor": other}, "with 5, as it was trained on, got 3 of the model"),
        ({"predictor": cut}, "foreign or damaged"),
        ({"predictor": files.model}, "foreign or damaged"),
        ({"predictor": tmp_path / "none.safetensors"}, "got no file"),
        ({"source": tmp_path / "none.png"}, "none.png"),
        ({"out": tmp_path / "film.xyz"}, "film.xyz"),
    ]
    for changed, said in wrong:
        done = run("predict", *given(files, **({"out": tmp_path / "film.gif"} | changed)))
        assert done.code == 2, changed
        assert said in done.err
        assert len(done.err.strip().splitlines()[-1:]) == 1
        assert done.err.strip().splitlines()[-1].startswith("error: ")
        assert not (tmp_path / "film.gif").exists()
    done = run("predict", "--source", files.picture, "--model", files.model, "--out", tmp_path / "film.gif")
    assert done.code == 2
    assert "expected one beside a model of your own" in done.err


def test_a_predictor_of_other_weights_is_warned_about(run: Command, files: Files, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.safetensors"
    Predictor(PredictorConfig(3, 8)).save(stranger)
    done = run("predict", *given(files, out=tmp_path / "x.gif", frames=2, futures=2, predictor=stranger))
    assert done.code == 0
    assert "warning: the predictor learned the keypoints of other weights" in done.err
    assert "knows a single future" in done.err


def training(files: Files, out: Path, *more: str) -> list[str | Path]:
    """Options of ``train-predictor``."""
    return ["train-predictor", "--model", files.model, "--data", files.clips, "--out", out, "--hidden", "8", *more]


def test_train_predictor_writes_one_that_predict_takes(run: Command, files: Files, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    done = run(*training(files, out, "--steps", "3"))
    assert done.code == 0, done.err
    made = Predictor.load(out)
    assert (made.config.keypoints, made.config.form) == (3, "several")
    assert made.knows(MonkeyNet.load(files.model))
    assert (tmp_path / "mine.keypoints.safetensors").is_file()
    assert run("predict", *given(files, predictor=out, out=tmp_path / "x.gif", frames=3)).code == 0


def test_ctrl_c_saves_the_predictor_and_exits_with_130(
    run: Command, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = prediction.sequence_loss, []

    def stops(*arguments: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(prediction, "sequence_loss", stops)
    out = tmp_path / "mine.safetensors"
    done = run(*training(files, out, "--steps", "100"))
    assert done.code == 130
    assert "stopped at step 5" in done.err
    Predictor.load(out)


def test_train_predictor_refuses_bad_input_in_one_line(run: Command, files: Files, tmp_path: Path) -> None:
    (tmp_path / "stills" / "train").mkdir(parents=True)
    write_video(tmp_path / "stills" / "train" / "a.png", np.zeros((1, SIDE, SIDE, 3), np.uint8))
    out = tmp_path / "p.safetensors"
    wrong: list[tuple[list[str | Path], str]] = [
        (training(files, tmp_path / "p.pth"), "ends in .safetensors"),
        (training(files, out, "--steps", "0"), "--steps: expected at least 1"),
        (training(files, out, "--clips", "0"), "--clips: expected at least 1"),
        (["train-predictor", "--model", files.model, "--data", tmp_path / "stills", "--out", out], "at least 2 frames"),
        (["train-predictor", "--model", files.model, "--data", "mini-nemoo", "--out", out], "did you mean mini-nemo"),
    ]
    for command, said in wrong:
        done = run(*command)
        assert done.code == 2, done
        assert said in done.err
        assert done.err.strip().splitlines()[-1].startswith("error: ")
        assert not out.exists()
