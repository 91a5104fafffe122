"""One training in several processes: equal weights, the gradients of one process, and all of them stop together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from monkeynet_edu import processes
from monkeynet_edu.data.video import write_video
from monkeynet_edu.errors import UserError
from monkeynet_edu.processes import ALONE, Processes, joined, local_device
from monkeynet_edu.training import CHECKPOINT_FILE, METRICS_FILE, MODEL_FILE

needs_forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")


def test_the_shares_of_all_processes_are_the_batch():
    batch = torch.arange(12).reshape(6, 2)
    shares = [Processes(rank, 3).share(batch) for rank in range(3)]
    assert [len(share) for share in shares] == [2, 2, 2]
    assert torch.equal(torch.cat(shares), batch)
    assert torch.equal(ALONE.share(batch), batch)


@pytest.mark.parametrize(("size", "count", "near"), [(5, 2, 4), (7, 4, 8), (1, 4, 4), (33, 8, 32)])
def test_a_batch_that_cannot_be_shared_names_the_nearest_that_can(size: int, count: int, near: int):
    with pytest.raises(UserError, match=f"multiple of {count}, .*got {size}; .*--batch-size {near}$") as error:
        Processes(0, count).check_batch(size)
    assert "\n" not in str(error.value)
    Processes(0, count).check_batch(near)


def test_alone_nothing_is_averaged_and_one_s_own_word_is_the_agreement():
    model = nn.Linear(2, 2)
    before = [p.detach().clone() for p in model.parameters()]
    ALONE.begin_alike(model, torch.device("cpu"))
    ALONE.average(model.parameters())
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    said = ALONE.agree(stop=True, save=False, seconds=3.5)
    assert (said.stop, said.save, said.seconds) == (True, False, 3.5)


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with joined() as together:
        assert together is ALONE
    monkeypatch.setenv("WORLD_SIZE", "8")  # set by a scheduler, for instance: nobody has numbered us
    with joined() as together:
        assert together is ALONE


def test_each_process_has_a_gpu_of_its_own_where_there_are_gpus(monkeypatch: pytest.MonkeyPatch):
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [local_device(name) for name in ("auto", "cuda", "cuda:0", "cpu")] == ["cuda:1", "cuda:1", "cuda:0", "cpu"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert local_device("auto") == "auto"


def test_on_cuda_batch_norm_sees_the_whole_batch_and_weights_stay_the_same_objects(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes.dist, "broadcast", lambda *_, **__: None)
    monkeypatch.setattr(Processes, "agree", lambda *_, **__: None)
    for kind, expected in (("cpu", nn.BatchNorm2d), ("cuda", nn.SyncBatchNorm)):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4)))
        weights, names = list(model.parameters()), list(model.state_dict())
        Processes(0, 2).begin_alike(model, torch.device(kind))
        assert type(model[1][0]) is expected
        assert all(new is old for new, old in zip(model.parameters(), weights, strict=True))
        assert list(model.state_dict()) == names


# ------------------------------------------------------------------------------------------------------- two processes


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of the scenarios of pairs.py, each two real processes over gloo."""
    place = tmp_path_factory.mktemp("pairs")
    environment = {**os.environ, "PYTHONPATH": str(Path(processes.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).parent / "pairs.py"), str(place)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


WHOLE = sorted([CHECKPOINT_FILE, METRICS_FILE, MODEL_FILE, "preview.png"])


@needs_forks
@pytest.mark.slow
def test_the_mean_gradients_of_two_processes_are_those_of_one_on_the_joint_batch(came: dict[str, Any]):
    found = came["gradients"]
    assert found["codes"] == [0, 0, 0]
    assert found["alike"]
    assert found["apart"] < 1e-12  # float64, batch norm's statistics frozen


@needs_forks
@pytest.mark.slow
def test_two_processes_end_with_the_same_bits_and_the_first_alone_writes_and_speaks(came: dict[str, Any]):
    found = came["whole"]
    assert found["codes"] == [0, 0]
    assert found["processes"] == [{"step": 4, "digest": found["model"]}] * 2
    assert (found["step"], found["bars"], found["files"]) == (4, 1, WHOLE)


@needs_forks
@pytest.mark.slow
def test_a_budget_of_minutes_ends_by_the_first_one_s_clock(came: dict[str, Any]):
    found = came["minutes"]
    assert found["codes"] == [0, 0]
    first, second = found["processes"]
    assert first == second
    assert first["step"] >= 1


@needs_forks
@pytest.mark.slow
@pytest.mark.parametrize(("name", "codes"), [("resumed 2 to 1", [130, 130, 0]), ("resumed 1 to 2", [130, 0, 0])])
def test_another_number_of_processes_goes_on(name: str, codes: list[int], came: dict[str, Any]):
    found = came[name]
    assert found["codes"] == codes
    assert (found["step"], found["files"]) == (4, WHOLE)


@needs_forks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said", "step"),
    [
        ("odd", "batch size 3: expected a multiple of 2", None),
        ("error in the second", "clip 2: expected a whole file", 2),
        ("error in both", "clip 2: expected a whole file", None),
        ("nan in the second", "step 3: expected finite losses, got frame nan", 2),
        ("full disk", "No space left on device", None),
    ],
)
def test_an_error_in_one_process_ends_all_with_one_line_and_exit_code_2(
    name: str, said: str, step: int | None, came: dict[str, Any]
):
    found = came[name]
    assert found["codes"] == [2, 2]
    assert len(found["errors"]) == 1
    assert said in found["errors"][0]
    assert not found["traceback"]
    assert found["step"] == step  # the checkpoint of the last step that all of them finished


@needs_forks
@pytest.mark.slow
def test_a_ctrl_c_in_one_process_stops_all_after_the_same_step(came: dict[str, Any]):
    found = came["Ctrl-C in the second"]
    assert found["codes"] == [130, 130]
    assert found["processes"] == [{"step": 2, "digest": found["model"]}] * 2
    assert (found["step"], found["errors"]) == (2, [])


@needs_forks
@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_other_with_one_line(came: dict[str, Any]):
    found = came["second killed"]
    assert found["codes"] == [2, -9]
    assert len(found["errors"]) == 1
    assert "expected an answer of the other 1, got none" in found["errors"][0]
    assert (found["step"], found["traceback"]) == (2, False)


# ------------------------------------------------------------------------------------------------------------- torchrun


def torchrun(place: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """README's command with two processes, on six small clips."""
    for number in range(6):
        frames = np.random.default_rng(number).integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
        write_video(place / "clips" / "train" / f"{number}.png", frames)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "monkeynet_edu", "train"]
    options = ["--data", "clips", "--size", "32", "--steps", "2", "--device", "cpu", "--out", "run", *more]
    environment = {**os.environ, "PYTHONPATH": str(Path(processes.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *options], cwd=place, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_torchrun_trains_with_two_processes(tmp_path: Path):
    done = torchrun(tmp_path, "--batch-size", "4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 2 steps") == 1
    assert done.stderr.count("2 steps of 4 pairs, shared by 2 processes, cpu") == 1
    assert sorted(p.name for p in (tmp_path / "run").iterdir() if p.name != "tensorboard") == WHOLE


@pytest.mark.slow
def test_under_torchrun_bad_input_is_one_line_of_ours_and_both_processes_exit_with_2(tmp_path: Path):
    done = torchrun(tmp_path, "--batch-size", "5")
    assert done.returncode != 0  # torchrun's own: 1 whatever its processes end with
    assert done.stderr.count("error: batch size 5: expected a multiple of 2") == done.stderr.count("error: batch") == 1
    assert "(exitcode: 2)" in done.stderr
    assert not (tmp_path / "run").exists()
