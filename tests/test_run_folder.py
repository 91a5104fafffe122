"""The run folder: one training at a time, rows whole or not there, and a crash's remains cleared away."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from test_training import CPU, HOW, TINY, Budget, discs, new_run, one_line, train

from monkeynet_edu import files, model, run_folder, training
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import MODEL_FILE, MonkeyNet, save_tensors, weights_digest
from monkeynet_edu.run_folder import CHECKPOINT_FILE, FINDINGS_FILE, LOCK_FILE, METRICS_FILE, MetricsLog, claimed

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_second_training_in_the_same_folder_is_refused_in_one_line_and_changes_nothing(tmp_path: Path):
    with claimed(tmp_path / "other"), pytest.raises(UserError, match="another training works in this folder") as error:
        train(new_run(), discs(), Budget(steps=2), tmp_path / "other", CPU)
    assert "other: another training" in one_line(error)
    assert names(tmp_path / "other") == set()
    train(new_run(), discs(), Budget(steps=1), tmp_path / "other", CPU)  # free again


def test_the_remains_of_the_first_are_its_own_while_it_lives(tmp_path: Path):
    with claimed(tmp_path):
        (tmp_path / f"{CHECKPOINT_FILE}.part").write_bytes(b"being written")
        with pytest.raises(UserError), claimed(tmp_path):
            pass
        assert names(tmp_path) == {f"{CHECKPOINT_FILE}.part", LOCK_FILE}


def test_a_lock_that_a_killed_training_left_behind_keeps_nobody_out(tmp_path: Path):
    (tmp_path / LOCK_FILE).touch()
    with claimed(tmp_path):
        pass
    assert names(tmp_path) == set()


def test_what_a_killed_training_left_half_written_is_removed_and_nothing_else(tmp_path: Path):
    for name in (CHECKPOINT_FILE, MODEL_FILE, METRICS_FILE):
        (tmp_path / name).write_bytes(b"whole\n")
        (tmp_path / f"{name}.part").write_bytes(b"half")
        files.partial_name(tmp_path / name).write_bytes(b"half")
    (tmp_path / ".partial-x1").mkdir()
    (tmp_path / ".partial-x1" / "preview.png").write_bytes(b"half")
    (tmp_path / "film.mp4.part").write_bytes(b"a download of yours")
    (tmp_path / FINDINGS_FILE).write_text('{"name": "resting"}\n{"na')
    with claimed(tmp_path):
        assert names(tmp_path) == {CHECKPOINT_FILE, MODEL_FILE, METRICS_FILE, FINDINGS_FILE, "film.mp4.part", LOCK_FILE}
        assert [json.loads(line)["name"] for line in (tmp_path / FINDINGS_FILE).read_text().splitlines()] == ["resting"]
        assert (tmp_path / CHECKPOINT_FILE).read_bytes() == b"whole\n"


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder_is_refused_before_the_first_step(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def read_only(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "touch", read_only)
    run = new_run()
    with pytest.raises(UserError, match=rf"expected a folder that can be written to, got {os.strerror(code)}") as error:
        train(run, discs(), Budget(steps=1), tmp_path, CPU)
    one_line(error)
    assert (run.step, names(tmp_path)) == (0, set())


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_permission_to_write_is_refused(tmp_path: Path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(UserError, match="expected a folder that can be written to"), claimed(tmp_path):
            pass
    finally:
        tmp_path.chmod(0o755)


# -------------------------------------------------------------------------------------------------------- full disks


@needs_full
@pytest.mark.parametrize("name", [CHECKPOINT_FILE, MODEL_FILE])
def test_where_the_system_says_no_space_the_file_from_before_stays(name: str, tmp_path: Path, monkeypatch):
    run = new_run()
    run.save(tmp_path)
    before = (tmp_path / name).read_bytes()
    (tmp_path / f"{name}.part").symlink_to("/dev/full")
    real = model.partial_name
    monkeypatch.setattr(
        model, "partial_name", lambda path: tmp_path / f"{name}.part" if path.name == name else real(path)
    )
    with pytest.raises(UserError, match=rf"{name}: could not be written \(No space left on device\); what was") as error:
        run.save(tmp_path)
    one_line(error)
    assert (tmp_path / name).read_bytes() == before
    assert names(tmp_path) == {CHECKPOINT_FILE, MODEL_FILE}


@needs_full
def test_where_the_system_says_no_space_the_metrics_say_so_in_one_line(tmp_path: Path):
    log = MetricsLog(tmp_path, 0)
    (tmp_path / METRICS_FILE).symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"metrics.csv: could not be written \(No space left on device\)") as error:
        log.add(1, {"frame": 1.0})
    one_line(error)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A limit of the system's, as a full disk sets one (Python ignores its signal)."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_row_that_does_not_fit_is_not_there_at_all(tmp_path: Path):
    log, path = MetricsLog(tmp_path, 0), tmp_path / METRICS_FILE
    log.add(1, {"frame": 0.5})
    before = path.read_bytes()
    with files_no_larger_than(len(before) + 3), pytest.raises(UserError, match=r"metrics\.csv: could not be written"):
        log.add(2, {"frame": 0.25})
    assert path.read_bytes() == before
    log.add(2, {"frame": 0.25})
    assert [row["step"] for row in run_folder.read_metrics(path)] == ["1", "2"]


def test_a_checkpoint_is_written_even_where_the_row_of_its_losses_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise UserError("metrics.csv: could not be written")

    monkeypatch.setattr(MetricsLog, "add", full)
    with pytest.raises(UserError, match=r"metrics\.csv"):
        train(new_run(), discs(), Budget(steps=3), tmp_path, CPU)
    again = new_run()
    again.restore(tmp_path)
    assert again.step == 1


# ------------------------------------------------------------------------------------------------------------- crashes


def test_a_row_cut_within_its_last_number_is_dropped(tmp_path: Path):
    (tmp_path / METRICS_FILE).write_text("step,frame\n1,0.5\n2,0.25\n3,0.1")  # of 0.125
    MetricsLog(tmp_path, 9)
    assert [row["step"] for row in run_folder.read_metrics(tmp_path / METRICS_FILE)] == ["1", "2"]


@pytest.mark.parametrize("row", ["\0\0\0\0,\0", "12,0.5,3,0.25", "x,0.5"])
def test_a_row_of_rubbish_is_dropped(row: str, tmp_path: Path):
    (tmp_path / METRICS_FILE).write_text(f"step,frame\n1,0.5\n{row}\n2,0.25\n")
    log = MetricsLog(tmp_path, 9)
    assert log.last == {"frame": 0.25}
    assert len(run_folder.read_metrics(tmp_path / METRICS_FILE)) == 2


def test_a_model_that_is_older_than_the_checkpoint_is_brought_up_to_it_when_resumed(tmp_path: Path):
    run = new_run()
    run.save(tmp_path)
    old = (tmp_path / MODEL_FILE).read_bytes()
    with torch.no_grad():
        run.model.detector.predictor.decoder.conv.bias.fill_(0.5)
    run.step = 1
    run.save(tmp_path)
    (tmp_path / MODEL_FILE).write_bytes(old)  # as if the crash had come between the two
    again = training.start(TINY, HOW, "discs", CPU)
    again.restore(tmp_path)

    class Broken(list):
        """Refuses the first pair; the clip that is looked at before is there."""

        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            if self.reads > 1:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    train(again, Broken(discs()), Budget(steps=2), tmp_path, CPU)
    assert weights_digest(MonkeyNet.load(tmp_path).state_dict()) == weights_digest(run.model.state_dict())


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be flushed there")
def test_the_folder_is_flushed_after_the_renaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done: list[str] = []
    rename, flush = os.replace, os.fsync

    def renamed(*values: object) -> None:
        done.append("rename")
        rename(*values)

    def flushed(number: int) -> None:
        done.append("folder" if os.path.isdir(f"/dev/fd/{number}") else "file")
        flush(number)

    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(os, "fsync", flushed)
    save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(2)}, {})
    assert done == ["file", "rename", "folder"]


def test_a_folder_that_cannot_be_flushed_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model.flush_folder(tmp_path / "nowhere")
