"""One run: train (resuming), measure, and write the record at once.

A record is a JSON file that holds what was trained, how, on what, and what came out. It appears whole or not at all. A
record that is there is not made again; one of another configuration under the same name is an error, never overwritten.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from monkeynet_edu import metrics, training
from monkeynet_edu.data.datasets import open_dataset
from monkeynet_edu.data.sprites import Clip, held_out_clips, training_clips
from monkeynet_edu.errors import UserError
from monkeynet_edu.experiments.plans import Job
from monkeynet_edu.model import Device, MonkeyNet

FORMAT = 1
PLAN_FILE = "plan.json"
LOCK_FILE = ".lock"
DIGITS = 5
UNSEEN_SEED = 5_000  # of the further test clips; the shipped ones have another
Values = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where things lie.

    Attributes:
        results: folder of records, ``results/EXPERIMENT/NAME.json``; of other budgets than cpu one folder deeper.
        runs: folder of run folders with checkpoints, ``runs/BUDGET/VARIANT-DATA-seedN``.
    """

    results: Path
    runs: Path

    def records(self, experiment: str, budget: str) -> Path:
        """Folder of an experiment's records: budgets are never mixed."""
        base = self.results if budget == "cpu" else self.results / budget
        return base / experiment

    def record(self, job: Job) -> Path:
        """File of a run's record."""
        return self.records(job.experiment, job.effort.name) / f"{job.name}.json"

    def run(self, job: Job) -> Path:
        """Run folder of the model that a job needs; jobs that differ in the task alone share it."""
        return self.runs / job.effort.name / f"{job.variant}-{job.data}-seed{job.seed}"


# ------------------------------------------------------------------------------------------------------------- records


def write_json(path: Path, values: Values) -> None:
    """Writes JSON beside its place, then renames it.

    Raises:
        UserError: the folder cannot be written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True) if part.parent.is_dir() else None
        raise UserError(f"{path}: could not be written ({error.strerror}); choose another folder") from error


def rounded(value: Any) -> Any:
    """The same JSON value with numbers cut to five digits after the point, and NaN as null."""
    if isinstance(value, dict):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value


def read_json(path: Path) -> Values:
    """Reads what :func:`write_json` wrote.

    Raises:
        UserError: not such a file.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: expected a record that `reproduce` wrote, got a file that cannot be read ({str(error)[:60]}); "
            "delete it, and the same command makes it again from the kept model"
        ) from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(values).__name__}; delete it and run again")
    return values


def differing_field(ours: Any, theirs: Any, name: str = "") -> str | None:
    """Dotted name and both values of the first difference of two JSON values, or None."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            found = differing_field(ours.get(key), theirs.get(key), f"{name}.{key}".lstrip("."))
            if found:
                return found
        return None
    return None if ours == theirs else f"{name}: {ours} here, {theirs} there"


def check_identity(path: Path, job: Job, stored: Any) -> None:
    """Refuses what another configuration left under the same name.

    Raises:
        UserError: the first difference is named.
    """
    difference = differing_field(job.identity(), stored)
    if difference:
        raise UserError(
            f"{path}: a run of another configuration under the same name; first difference {difference}; "
            "choose another folder, or delete it"
        )


def read_record(path: Path, job: Job) -> Values:
    """Reads a run's record.

    Raises:
        UserError: unreadable, not a record, or of another configuration.
    """
    record = read_json(path)
    missing = [key for key in ("identity", "figures", "per_clip", "clips") if key not in record]
    if missing:
        raise UserError(f"{path}: expected a record with {', '.join(missing)}, got none of them; delete it and run again")
    check_identity(path, job, record["identity"])
    return record


# ------------------------------------------------------------------------------------------------------------ training


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a run folder: two processes must not train the same model.

    Raises:
        UserError: another process holds it, or it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE, timeout=0)
        with lock:
            yield
    except Timeout as error:
        raise UserError(f"{folder}: another process works on this run; wait for it, or choose another --runs") from error
    except OSError as error:
        raise UserError(f"{folder}: expected a folder to write in, got {error.strerror}; choose another --runs") from error


def trained(job: Job, folder: Path, device: Device) -> training.Run:
    """Trains a job's model, from its checkpoint where there is one, to the end of its steps.

    Args:
        job: what to train.
        folder: run folder.
        device: where and how exactly.

    Raises:
        UserError: the folder holds another configuration's run, or the training fails (see ``training.train``).
        KeyboardInterrupt: Ctrl-C; what was reached is kept.
    """
    plan = folder / PLAN_FILE
    if plan.is_file():
        check_identity(plan, job, read_json(plan))
    else:
        write_json(plan, job.identity())
    run = training.start(job.config, job.recipe, job.data, device)
    if (folder / training.CHECKPOINT_FILE).is_file():
        run.restore(folder)
    if run.step < job.effort.steps:
        clips = training_clips(job.data, job.seed, job.effort.clips, job.config.frame_size, job.effort.frames)
        pace = training.Pace(checkpoint=job.effort.checkpoint)
        report = training.train(run, clips, training.Budget(job.effort.steps), folder, device, pace)
        if not report.finished:
            raise KeyboardInterrupt
    return run


# ----------------------------------------------------------------------------------------------------------- measuring


def test_clips(job: Job) -> list[Clip]:
    """Clips of characters that no training saw: the shipped ones, then further ones."""
    shipped = open_dataset(job.data, "test")[: job.effort.shipped]
    unseen = held_out_clips(job.data, UNSEEN_SEED, job.effort.unseen, job.config.frame_size) if job.effort.unseen else []
    return [*shipped, *unseen]


def measure(model: MonkeyNet, clips: Sequence[Clip], job: Job, device: Device) -> tuple[Values, dict[str, list[float]]]:
    """Figures over all clips, and each clip's own.

    Args:
        model: trained.
        clips: to measure on.
        job: what its data and task are.
        device: where and how exactly.

    Returns:
        What ``metrics.evaluate`` says of all clips; and by name the figures of single clips, in the order of the clips.
    """
    rows = [metrics.evaluate(model, [clip], device) for clip in clips]
    shared = [name for name in rows[0] if name not in ("clips", "frames")]
    per_clip = {name: [float(row.get(name, math.nan)) for row in rows] for name in shared}
    return dict(metrics.evaluate(model, clips, device)), per_clip


def hardware(device: Device) -> Values:
    """What a run was computed on."""
    return {
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device.device) if device.device.type == "cuda" else device.device.type,
        "cores": torch.get_num_threads(),
        "precision": device.precision,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit of the clone, with ``+changes`` where the library differs from it; None outside a clone."""
    clone = Path(__file__).resolve().parents[2]
    try:
        said = [
            subprocess.run(["git", *what], cwd=clone, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
            for what in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--", "monkeynet_edu"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return said[0] + ("+changes" if said[1] else "")


def missing_figures(record: Values, job: Job, device: Device) -> list[str]:
    """Figures of single clips that can be computed now and that the record lacks.

    What can be computed is asked of ``metrics.evaluate`` itself, with an untrained model and one clip.
    """
    torch.manual_seed(0)
    clip = open_dataset(job.data, "test")[0]
    _, there = measure(MonkeyNet(job.config), [clip], job, device)
    return sorted(set(there) - set(record["per_clip"]))


def run_job(job: Job, places: Places, device: Device) -> Values:
    """Does what is left to do of a run, and returns its record.

    A finished record comes back as it is. One that lacks figures which can be computed now is measured again with the
    kept model, without training.

    Args:
        job: the run.
        places: where to.
        device: where to compute and how exactly.

    Raises:
        UserError: another configuration under the same name, a broken record, a folder in use or not writable.
        KeyboardInterrupt: Ctrl-C; what was reached is kept.
    """
    path, folder = places.record(job), places.run(job)
    kept = read_record(path, job) if path.is_file() else None
    if kept is not None and not missing_figures(kept, job, device):
        return kept
    if kept is not None and not (folder / training.CHECKPOINT_FILE).is_file():
        raise UserError(
            f"{path}: lacks figures that can be computed now, and {folder} holds no model to measure; "
            "delete the record to train again"
        )
    with locked(folder):
        run = trained(job, folder, device)
        began = time.monotonic()
        clips = test_clips(job)
        figures, per_clip = measure(run.model, clips, job, device)
        record = {
            "format": FORMAT,
            **({"note": job.effort.note} if job.effort.note else {}),
            "experiment": job.experiment,
            "task": job.task,
            "identity": job.identity(),
            "training_seconds": round(run.seconds, 1),
            "evaluation_seconds": round(time.monotonic() - began, 1),
            "hardware": kept["hardware"] if kept else hardware(device),
            "commit": kept["commit"] if kept else commit(),
            "figures": rounded(figures),
            "clips": _clip_labels(job, clips),
            "per_clip": rounded(per_clip),
        }
        write_json(path, record)
    return read_record(path, job)


def _clip_labels(job: Job, clips: Sequence[Clip]) -> list[str]:
    """Names that tell the shipped clips from the further ones."""
    shipped = len(clips) - job.effort.unseen
    return [clip.name if i < shipped else f"unseen-{clip.name}" for i, clip in enumerate(clips)]
