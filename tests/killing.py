"""Trainings that really die: a program that starts them as processes of its own and kills them.

``python tests/killing.py PLAN FOLDER`` prints JSON, what happened. The library is imported once and every sitting is a
fork of it, which takes a fifth of a second, so that dozens of deaths are affordable. Each runs the command line
(``train … --steps N``, with ``--resume`` where there is a checkpoint) on the small model, with a checkpoint after every
step.

Plans: ``random`` kills from outside at random moments; ``events`` dies right before every single file operation of a
sitting; ``half`` dies with a checkpoint or a model half written, by a limit on the size of files; ``full`` fills a disk
(needs root).
"""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from small_model import TINY

from monkeynet_edu import cli, model, training
from monkeynet_edu.data.video import write_video
from monkeynet_edu.training import CHECKPOINT_FILE, METRICS_FILE, MODEL_FILE, Pace, read_metrics

PACE = Pace(log=2, preview=1000, checkpoint=0.0)
Deed = Callable[[], None]


def nothing() -> None:
    """Lets a sitting live."""


def make_clips(folder: Path) -> None:
    """Four clips of a square that moves over noise, 16x16."""
    for number in range(4):
        frames = np.random.default_rng(number).integers(0, 100, (1, 16, 16, 3), dtype=np.uint8).repeat(4, axis=0)
        for t in range(4):
            frames[t, 4:9, 2 + t : 7 + t] = 250
        write_video(folder / "train" / f"{number}.png", frames)


def sitting(folder: Path, steps: int, deed: Deed = nothing) -> int:
    """Starts one; returns its process's number. ``deed`` is done in it before the training begins."""
    number = os.fork()
    if number:
        return number
    try:
        again = ["--resume"] if (folder / CHECKPOINT_FILE).is_file() else []
        command = ["train", "--data", "clips", "--steps", str(steps), "--batch-size", "2", "--device", "cpu"]
        sys.argv = ["monkeynet-edu", *command, "--precision", "float32", "--out", str(folder), *again]
        deed()
        cli.main()
    except SystemExit as left:
        os._exit(int(left.code or 0))
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended(number: int) -> int:
    """Waits; the exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def finish(folder: Path, steps: int) -> None:
    """Resumes until the training is done."""
    code = ended(sitting(folder, steps))
    if code:
        raise SystemExit(f"{folder}: resumed, it ended with {code}")


def state(folder: Path) -> dict[str, object]:
    """What a finished run folder holds."""
    rows = [int(row["step"]) for row in read_metrics(folder / METRICS_FILE)]
    lines = (folder / METRICS_FILE).read_text().splitlines()
    return {
        "weights": model.weights_digest(model.load_tensors(folder / MODEL_FILE)[0]),
        "checkpoint": model.weights_digest(model.load_tensors(folder / CHECKPOINT_FILE)[0]),
        "rows": rows,
        "lines": len(lines) - 1,
        "files": sorted(path.name for path in folder.iterdir() if path.name != "tensorboard"),
    }


def digests(folder: Path) -> dict[str, object]:
    """What a run folder holds now: step and bits of the checkpoint, bits of the model; fails where a file is broken."""
    found: dict[str, object] = {"step": None, "checkpoint": None, "model": None}
    if (folder / CHECKPOINT_FILE).is_file():
        tensors, header = model.load_tensors(folder / CHECKPOINT_FILE)
        found |= {"step": json.loads(header["progress"])["step"], "checkpoint": model.weights_digest(tensors)}
    if (folder / MODEL_FILE).is_file():
        found["model"] = model.weights_digest(model.MonkeyNet.load(folder).state_dict())
    return found


def noting(record: Path) -> Deed:
    """Writes down what a run folder holds after every checkpoint."""

    def deed() -> None:
        save = training.Run.save

        def noted(run: training.Run, folder: Path) -> None:
            save(run, folder)
            with open(record, "a") as file:
                file.write(json.dumps(digests(folder)) + "\n")

        training.Run.save = noted

    return deed


def warm_up(place: Path) -> None:
    """Imports what a training imports: later sittings find it, and take a fifth of the time."""
    names = place / "modules.txt"

    def deed() -> None:
        leave = os._exit

        def last(code: int) -> None:
            names.write_text(" ".join(sys.modules))
            leave(code)

        os._exit = last

    if ended(sitting(place / "first", 1, deed)):
        raise SystemExit("the training that nobody kills ended with an error")
    for name in names.read_text().split():
        with suppress(Exception):
            importlib.import_module(name)


def uninterrupted(place: Path, steps: int) -> tuple[list[dict[str, object]], float]:
    """What an uninterrupted training holds after every step, and how many seconds it took."""
    warm_up(place)
    record, folder = place / "record.txt", place / "whole"
    began = time.monotonic()
    if ended(sitting(folder, steps, noting(record))):
        raise SystemExit("the training that nobody kills ended with an error")
    return [json.loads(line) for line in record.read_text().splitlines()], time.monotonic() - began


# ---------------------------------------------------------------------------------------------------------------- plans


def random_deaths(place: Path, steps: int = 20, deaths: int = 20) -> dict[str, object]:
    """So many deaths at random moments; a training that reaches its end between them is followed by a new one."""
    known, seconds = uninterrupted(place, steps)
    rng, left, folders = np.random.default_rng(), [], [place / "run0"]
    while len(left) < deaths:
        number = sitting(folders[-1], steps)
        time.sleep(float(rng.uniform(0, seconds / 3)))
        os.kill(number, signal.SIGKILL)
        if ended(number) == -signal.SIGKILL:
            left.append(digests(folders[-1]))
        if left and left[-1]["step"] == steps and len(left) < deaths:
            folders.append(place / f"run{len(folders)}")
    for folder in folders:
        finish(folder, steps)
    return {"known": known, "left": left, "runs": [state(folder) for folder in folders]}


class Events:
    """Counts what a training does to the files of its run folder, and dies right before number ``last``."""

    def __init__(self, folder: Path, last: int = 10**9, record: Path | None = None) -> None:
        self.folder, self.last, self.seen = str(folder), last, 0
        self.record = None if record is None else open(record, "a")  # noqa: SIM115

    def __call__(self) -> None:
        """Begins to count, in the process that calls."""
        flush = os.fsync

        def counted(descriptor: int) -> None:
            self._note("flush", os.readlink(f"/proc/self/fd/{descriptor}"))
            flush(descriptor)

        os.fsync = counted
        sys.addaudithook(self._audit)

    def _audit(self, event: str, values: tuple[object, ...]) -> None:
        if event == "os.rename":
            self._note("rename", values[1])
        elif event in ("os.remove", "os.mkdir", "os.rmdir"):
            self._note(event.removeprefix("os."), values[0])
        elif event == "open" and isinstance(values[1], str) and set(values[1]) & set("wax+"):
            self._note(f"open {values[1]}", values[0])

    def _note(self, event: str, name: object) -> None:
        if not str(name).startswith(self.folder):
            return
        self.seen += 1
        if self.record is not None:
            self.record.write(f"{event} {without_number(Path(str(name)).name)}\n")
            self.record.flush()
        if self.seen == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def without_number(name: str) -> str:
    """``X.part`` for every name that a file X may have while it is being written (``files.partial_name``)."""
    return re.sub(r"^\.(.+)\.\d+-[0-9a-f]+\.part$", r"\1.part", name)


def deaths_at_events(place: Path, steps: int = 48) -> dict[str, object]:
    """Sittings of one training; the n-th dies right before its n-th file operation, and the next one goes on from there."""
    known, _ = uninterrupted(place, steps)
    folder, log, left = place / "run0", place / "events.txt", []
    for last in range(1, 44):
        log.unlink(missing_ok=True)
        code = ended(sitting(folder, steps, Events(folder, last, log)))
        event = log.read_text().splitlines()[-1]
        if code != -signal.SIGKILL:
            raise SystemExit(f"event {last}, {event}: expected it to be killed, it ended with {code}")
        left.append({"event": event, **digests(folder)})
    finish(folder, steps)
    return {"known": known, "left": left, "runs": [state(folder)]}


def limited(size: int, lives: bool) -> Deed:
    """No file may grow beyond ``size`` bytes: one that does ends the process, or fails to be written."""

    def deed() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN if lives else signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    return deed


def dying_before(step: int) -> Deed:
    """Dies before a step of this sitting, counted from 1."""

    def deed() -> None:
        train, counted = training.training_step, iter(range(1, step))

        def last(*values: object) -> training.StepResult:
            if next(counted, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return train(*values)

        training.training_step = last

    return deed


def begun(folder: Path, steps: int) -> None:
    """A training that died before its third step."""
    if ended(sitting(folder, steps, dying_before(3))) != -signal.SIGKILL:
        raise SystemExit(f"{folder}: expected it to die before step 3")


def half_written(place: Path, steps: int = 4) -> dict[str, object]:
    """Dies amid the writing of the checkpoint, and of the model; then the same where the disk is only full."""
    known, _ = uninterrupted(place, steps)
    runs = []
    for name in (CHECKPOINT_FILE, MODEL_FILE):
        size = (place / "whole" / name).stat().st_size
        for lives in (False, True):
            folder = place / f"{name}-{lives}"
            begun(folder, steps)
            code = ended(sitting(folder, steps, limited(size - 9, lives)))
            parts = {without_number(path.name): path.stat().st_size for path in folder.glob("*.part")}
            left = {"left": digests(folder), "parts": parts, "limit": size - 9, "code": code}
            finish(folder, steps)
            runs.append({"file": name, "lives": lives, **left, **state(folder)})
    return {"known": known, "runs": runs}


def full_disk(place: Path, steps: int = 4) -> dict[str, object]:
    """Fills a small disk until the next checkpoint does not fit, trains, then makes room."""
    disk = place / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        return {"skipped": "this machine lets nobody mount a small disk"}
    try:
        known, _ = uninterrupted(place, steps)
        folder, ballast = disk / "run", disk / "ballast"
        begun(folder, steps)
        room = os.statvfs(disk)
        size = (folder / CHECKPOINT_FILE).stat().st_size
        ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - size // 2))
        code = ended(sitting(folder, steps))
        left = {"left": digests(folder), "parts": [path.name for path in folder.glob("*.part")], "code": code}
        ballast.unlink()
        finish(folder, steps)
        return {"known": known, "runs": [{**left, **state(folder)}]}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def main() -> None:
    """Runs one plan in a folder and prints what happened."""
    plan, place = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    os.chdir(place)
    make_clips(place / "clips")
    model.PRESETS["mini"] = TINY
    training.Pace = lambda: PACE
    plans = {"random": random_deaths, "events": deaths_at_events, "half": half_written, "full": full_disk}
    print(json.dumps(plans[plan](place)))


if __name__ == "__main__":
    main()
