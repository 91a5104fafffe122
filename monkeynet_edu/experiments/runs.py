"""One run: train (resuming), measure, and write the record at once.

A record that is there is not made again. A run that was cut short, by whatever, goes on from its checkpoint to the same
figures.
"""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from monkeynet_edu import baselines, training
from monkeynet_edu.data.sprites import training_clips
from monkeynet_edu.errors import UserError
from monkeynet_edu.experiments.measuring import clip_values, instruments, measure, measured_clips, outdated
from monkeynet_edu.experiments.plans import Job, variant_config
from monkeynet_edu.experiments.records import Places, Values, check_identity, read_json, read_record, rounded, write_json
from monkeynet_edu.model import Device
from monkeynet_edu.prediction import Predictor, extract, train_predictor
from monkeynet_edu.run_folder import CHECKPOINT_FILE

FORMAT = 1
PLAN_FILE = "plan.json"
LOCK_FILE = ".lock"
PREDICTOR_FILE = "predictor.safetensors"
PREDICTOR_PLAN_FILE = "predictor.json"


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


def trained(job: Job, folder: Path, device: Device) -> training.AnyRun[Any, Any, Any]:
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
        check_identity(plan, job.training_identity(), read_json(plan))
    else:
        write_json(plan, job.training_identity())
    run = begun(job, device)
    if (folder / CHECKPOINT_FILE).is_file():
        run.restore(folder)
    if run.step < job.steps:
        count, frames = job.training_clips
        clips = training_clips(job.data, job.seed, count, job.config.frame_size, frames)
        pace = training.Pace(checkpoint=job.effort.checkpoint)
        report = training.train(run, clips, training.Budget(job.steps), folder, device, pace)
        if not report.finished:
            raise KeyboardInterrupt
    return run


def begun(job: Job, device: Device) -> training.AnyRun[Any, Any, Any]:
    """A job's training, before its first step."""
    if job.rival:
        return baselines.start(job.rival, job.recipe, job.data, device)
    return training.start(variant_config(job.variant, job.data), job.recipe, job.data, device)


def trained_predictor(job: Job, run: training.AnyRun[Any, Any, Any], folder: Path, device: Device) -> Predictor | None:
    """The predictor of a job's model, trained where the run folder has none; None where the task needs none.

    Raises:
        UserError: the folder holds one of another configuration.
        KeyboardInterrupt: Ctrl-C; a predictor trains in a minute and is begun again.
    """
    if job.predictor is None:
        return None
    path, plan = folder / PREDICTOR_FILE, folder / PREDICTOR_PLAN_FILE
    if path.is_file() and plan.is_file():
        check_identity(plan, job.identity(), read_json(plan))
        return Predictor.load(path)
    clips = training_clips(job.data, job.seed, job.effort.predictor_clips, job.config.frame_size, None)
    config, how = job.predictor
    came = train_predictor(extract(run.model, clips, device), config, how)
    if not came.finished:
        raise KeyboardInterrupt
    came.predictor.save(path)
    write_json(plan, job.identity())
    return came.predictor


# -------------------------------------------------------------------------------------------------------------- record


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


def run_job(job: Job, places: Places, device: Device) -> Values:
    """Does what is left to do of a run, and returns its record.

    A finished record comes back as it is. One that lacks figures which can be computed now, or whose figures come from
    evaluators that have changed since, is measured again with the kept model, without training.

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
    reason = None if kept is None else outdated(kept, job, device)
    if kept is not None and reason is None:
        return kept
    if reason is not None and not (folder / CHECKPOINT_FILE).is_file():
        raise UserError(
            f"{path}: {reason}, and {folder} holds no model to measure; give the --runs folder that it was trained in, or "
            "delete the record to train again"
        )
    with locked(folder):
        write_json(path, _made(job, folder, device, kept))
    return read_record(path, job)


def _made(job: Job, folder: Path, device: Device, kept: Values | None) -> Values:
    """Trains and measures; what was noted of a training that was done before stays."""
    run = trained(job, folder, device)
    predictor = trained_predictor(job, run, folder, device)
    began = time.monotonic()
    clips = measured_clips(job)
    found = measure(run.model, predictor, clips, job, device)
    return {
        "format": FORMAT,
        **({"note": job.effort.note} if job.effort.note else {}),
        "experiment": job.experiment,
        "task": job.task,
        "identity": job.identity(),
        "training_seconds": round(run.seconds, 1),
        "evaluation_seconds": round(time.monotonic() - began, 1),
        "hardware": kept["hardware"] if kept else hardware(device),
        "commit": kept["commit"] if kept else commit(),
        "instruments": instruments(job.data),
        "figures": rounded(found.flat()),
        "clips": [clip.name for clip in clips],
        "per_clip": rounded(clip_values(found)),
    }
