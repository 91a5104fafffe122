"""``monkeynet-edu evaluate``: figures, their counts, reasons for what is missing, and refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Command, Done
from small_model import TINY
from torch import Tensor

from monkeynet_edu import evaluators, metrics, model
from monkeynet_edu.data import sprites
from monkeynet_edu.data.miniatures import make
from monkeynet_edu.data.video import write_video
from monkeynet_edu.evaluators import Evaluators, Points
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.prediction import Predictor, PredictorConfig


def refused(done: Done, *words: str) -> None:
    """Exit code 2, nothing on standard output, one line that holds the words."""
    assert done.code == 2, done
    assert done.out == ""
    lines = [line for line in done.err.splitlines() if "error: " in line]
    assert len(lines) == 1, done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in lines[0]


def film(seed: int, count: int, height: int, width: int) -> np.ndarray:
    frames = np.repeat(np.random.default_rng(seed).integers(0, 99, (1, height, width, 3), dtype=np.uint8), count, axis=0)
    for t in range(count):
        frames[t, 4:9, 2 + t : 7 + t] = 250
    return frames


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clips of different lengths and sizes, a tiny model and a predictor of its keypoints."""
    write_video(tmp_path / "clips" / "test" / "short", film(0, 3, 16, 16))
    write_video(tmp_path / "clips" / "test" / "long", film(1, 6, 20, 24))
    (tmp_path / "hollow").mkdir()
    torch.manual_seed(0)
    MonkeyNet(TINY).save(tmp_path / "tiny.safetensors")
    Predictor(PredictorConfig(keypoints=3, hidden=8)).save(tmp_path / "three.safetensors")
    Predictor(PredictorConfig(keypoints=4, hidden=8)).save(tmp_path / "four.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(model.PRESETS, "mini", TINY)
    return tmp_path


@pytest.fixture
def mini(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data_small with two clips of mini-nemo, as large as the tiny model's; the networks are small functions."""
    MonkeyNet(replace(TINY, frame_size=64)).save(place / "tiny.safetensors")
    few = list(sprites.training_clips("mini-nemo", clips=3, frames=2))
    monkeypatch.setattr(sprites, "training_clips", lambda *_, **__: few)
    (place / "small").mkdir()
    monkeypatch.setenv("MONKEYNET_DATA", str(place / "small"))
    make(place / "small", ["mini-nemo"], 2, 0)
    monkeypatch.setattr(evaluators, "evaluators_for", lambda data: networks())
    return place


class Colours:
    name, dimension = "colours", 3

    def __call__(self, frames: Tensor) -> Tensor:
        return frames.mean(dim=(2, 3))


def centres(frames: Tensor) -> Points:
    """The centre of brightness, always found."""
    light = frames.mean(dim=1)
    light = light / light.sum(dim=(1, 2), keepdim=True)
    x, y = (light.sum(dim=dim) @ torch.arange(light.shape[3 - dim]).float() for dim in (1, 2))
    return Points(torch.stack([x, y], dim=-1)[:, None], torch.ones(len(frames), 1))


def blind(frames: Tensor) -> Points:
    return Points(torch.full((len(frames), 1, 2), math.nan), torch.zeros(len(frames), 1))


def networks(detector: object = centres, joint: str = "nose") -> Evaluators:
    return Evaluators(detector, Colours(), Colours(), (joint,))


SHIPPED = evaluators.evaluators_for
TASKS = {"reconstruction": (), "prediction": ("--task", "prediction", "--predictor", "three.safetensors")}
NEW = ("akd", "akd_l1", "akd_repeat_source", "akd_detector", "mkr", "mkr_repeat_source", "aed", "aed_squared", "fid")


def test_own_clips_get_what_can_be_measured_and_one_line_on_the_rest(run: Command, place: Path) -> None:
    done = run("evaluate", "--dataset", "clips", "--model", "tiny.safetensors")
    assert done.code == 0, done.err
    assert "l1_published" in done.out
    assert "akd" not in done.out
    lines = [line for line in done.err.splitlines() if "detector" in line]
    assert len(lines) == 1
    assert "monkeynet_edu.evaluators" in lines[0]


def test_own_clips_as_json_have_every_key_and_a_reason_for_null(run: Command, place: Path) -> None:
    done = run("evaluate", "--dataset", "clips", "--model", "tiny.safetensors", "--json")
    said = json.loads(done.out)
    assert (said["clips"], said["frames"]) == (2, 2 + 5)
    for name in (*NEW, "landmark_error"):
        assert said[name] is None
        assert said["not_measurable"][name]


@pytest.mark.parametrize("task", TASKS)
def test_a_miniature_has_all_figures_with_their_counts(run: Command, mini: Path, task: str) -> None:
    asked = ("evaluate", "--dataset", "mini-nemo", "--model", "tiny.safetensors", *TASKS[task], "--json")
    done = run(*asked)
    assert done.code == 0, done.err
    said = json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    landmarks = ("landmark_error", "landmark_error_constant") if task == "reconstruction" else ()
    for name in (*NEW, *landmarks):
        assert said[name] >= 0, name
        assert isinstance(said[f"{name}_frames"], int)
    assert "not_measurable" not in said
    assert any("colours" in note and "compares to no" in note for note in said["notes"])
    assert "compares to no" in done.err
    if task == "prediction":
        assert said["frames"] == 2 * 31


def test_the_table_shows_figures_with_frames_and_points(
    run: Command, mini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluators, "evaluators_for", lambda data: networks(joint="tail"))
    done = run("evaluate", "--dataset", "mini-nemo", "--model", "tiny.safetensors", "--limit", "1")
    assert done.code == 0, done.err
    row = next(line for line in done.out.splitlines() if " akd " in line)
    cells = [cell.strip() for cell in row.strip("│ ").split("│")]
    assert len(cells) == 4
    assert float(cells[1]) >= 0
    assert int(cells[2]) == int(cells[3]) > 0
    assert "not measurable: akd_detector: no joint" in done.err


def test_no_point_in_any_frame_is_said_in_words(run: Command, mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluators, "evaluators_for", lambda data: networks(blind))
    asked = ("evaluate", "--dataset", "mini-nemo", "--model", "tiny.safetensors", "--limit", "1")
    done = run(*asked)
    assert done.code == 0
    assert "not measurable" in done.out
    assert "nan" not in done.out.lower()
    assert "no point was found in any real frame" in done.err
    said = json.loads(run(*asked, "--json").out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert said["akd"] is said["mkr"] is None
    assert said["aed"] is not None


def test_networks_that_are_missing_are_said_and_the_rest_is_measured(
    run: Command, mini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluators, "evaluators_for", SHIPPED)
    done = run("evaluate", "--dataset", "mini-nemo", "--model", "tiny.safetensors", "--limit", "1", "--json")
    assert done.code == 0, done.err
    assert "AKD, MKR, AED and FID are left out" in done.err
    assert json.loads(done.out)["landmark_error"] is not None


def test_an_empty_folder_is_refused(run: Command, place: Path) -> None:
    refused(run("evaluate", "--dataset", "hollow", "--model", "tiny.safetensors"), "hollow")


def test_clips_of_a_single_frame_alone_are_refused(run: Command, place: Path) -> None:
    write_video(place / "stills" / "test" / "one", film(0, 1, 16, 16))
    refused(run("evaluate", "--dataset", "stills", "--model", "tiny.safetensors"), "at least two frames")


def test_a_predictor_for_another_number_of_keypoints_is_refused(run: Command, place: Path) -> None:
    asked = ("evaluate", "--dataset", "clips", "--model", "tiny.safetensors", "--task", "prediction", "--predictor")
    refused(run(*asked, "four.safetensors"), "4", "3")
    refused(run(*asked, "nowhere.safetensors"), "nowhere.safetensors")


def test_a_predictor_without_its_task_is_refused(run: Command, place: Path) -> None:
    asked = ("evaluate", "--dataset", "clips", "--model", "tiny.safetensors", "--predictor", "three.safetensors")
    refused(run(*asked), "--predictor", "--task prediction")


def test_an_own_model_needs_its_own_predictor(run: Command, place: Path) -> None:
    refused(run("evaluate", "--dataset", "clips", "--model", "tiny.safetensors", "--task", "prediction"), "--predictor")


def test_inception_without_its_weights_is_refused(run: Command, place: Path) -> None:
    asked = ("evaluate", "--dataset", "clips", "--model", "tiny.safetensors", "--inception")
    refused(run(*asked, "nowhere.pth"), "nowhere.pth")


def test_inception_takes_the_place_of_the_mini_features(
    run: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for = []

    class Fake(Colours):
        name = "inception"

        def __init__(self, weights: str | None) -> None:
            asked_for.append(weights)

    monkeypatch.setattr(metrics, "InceptionFeatures", Fake)
    for wanted in ("download", "file.pth"):
        said = json.loads(
            run("evaluate", "--dataset", "clips", "--model", "tiny.safetensors", "--inception", wanted, "--json").out
        )
        assert said["fid"] is not None
        assert any("inception" in note for note in said["notes"])
    assert asked_for == [None, "file.pth"]


def test_an_unknown_task_is_refused(run: Command, place: Path) -> None:
    done = run("evaluate", "--dataset", "clips", "--task", "guessing")
    assert done.code == 2
    assert "--task" in done.err
