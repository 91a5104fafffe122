"""Runs in parallel processes: each is the command line with ``--only``, so that one that dies takes no other down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from tqdm.auto import tqdm

from monkeynet_edu.errors import UserError
from monkeynet_edu.experiments.plans import Job
from monkeynet_edu.experiments.records import Places
from monkeynet_edu.run_folder import METRICS_FILE, read_metrics

LOG_FILE = "log.txt"
POLL = 0.5  # seconds between looks at the processes
GRACE = 60.0  # seconds that a process has to save what it reached
PER_GPU = 4  # processes that one GPU holds: a small model leaves it idle between its kernels


def cores() -> int:
    """Processor cores that this process may use."""
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1


def gpus() -> list[str]:
    """Names by which the visible GPUs are given to a process."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] or [str(i) for i in range(count)]


def default_jobs() -> int:
    """One process for every two cores; on GPUs, a few to each, as far as there are cores to feed them."""
    found = len(gpus())
    if found:
        return max(found, min(PER_GPU * found, cores() // 2))
    return max(1, cores() // 2)


def environment(slot: int, jobs: int) -> dict[str, str]:
    """What a process of a slot sees: its share of the threads, unless it is set from outside, and one GPU.

    Args:
        slot: number of the process among those that run at once.
        jobs: how many run at once.
    """
    values = dict(os.environ)
    values.setdefault("OMP_NUM_THREADS", str(max(1, cores() // jobs)))
    if found := gpus():
        values["CUDA_VISIBLE_DEVICES"] = found[slot % len(found)]
    return values


@dataclass
class Process:
    """A run in a process of its own.

    Attributes:
        job: the run.
        slot: its number among those that run at once.
        handle: the process.
        folder: its run folder.
        log: what it says.
    """

    job: Job
    slot: int
    handle: subprocess.Popen[bytes]
    folder: Path
    log: IO[bytes]

    @property
    def steps(self) -> int:
        """Training steps done, as far as they are logged."""
        return logged_steps(self.folder)

    def last_words(self) -> str:
        """The last line of its log, cleared of progress bars."""
        text = (self.folder / LOG_FILE).read_text("utf-8", "replace").replace("\r", "\n")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"

    def stop(self) -> None:
        """Asks it to save and stop, as Ctrl-C does."""
        if self.handle.poll() is None:
            self.handle.send_signal(signal.SIGINT) if os.name == "posix" else self.handle.terminate()


def logged_steps(folder: Path) -> int:
    """Training steps of a run folder, as far as they are logged."""
    rows = read_metrics(folder / METRICS_FILE)
    return int(rows[-1]["step"]) if rows else 0


@dataclass
class Pool:
    """Works a list of runs off, so many at once.

    Attributes:
        places: of run folders and logs.
        command: a run's command line.
        jobs: how many at once.
        failed: run → its last words.
    """

    places: Places
    command: Callable[[Job], list[str]]
    jobs: int
    failed: dict[str, str] = field(default_factory=dict)
    _alive: list[Process] = field(default_factory=list)

    def work(self, todo: Sequence[Job]) -> None:
        """Runs everything; what dies is noted in ``failed``.

        Raises:
            KeyboardInterrupt: Ctrl-C (or a request to end): all processes were asked to save and have ended.
        """
        waiting = list(todo)
        total = sum(job.steps for job in waiting)
        with _terminated_like_ctrl_c(), tqdm(total=total, unit="step", desc="runs", dynamic_ncols=True) as bar:
            try:
                while waiting or self._alive:
                    while waiting and len(self._alive) < self.jobs:
                        self._start(waiting.pop(0))
                    time.sleep(POLL)
                    self._look()
                    self._show(bar, todo, waiting)
            finally:
                self._stop_all()

    def _start(self, job: Job) -> None:
        folder = self.places.run(job)
        slot = min(set(range(self.jobs)) - {process.slot for process in self._alive})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            log = (folder / LOG_FILE).open("ab")
        except OSError as error:
            raise UserError(f"{folder}: expected a folder to write in, got {error.strerror}; change --runs") from error
        # A session of its own: Ctrl-C in the terminal reaches this process alone, which then asks each run once.
        handle = subprocess.Popen(
            self.command(job),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(slot, self.jobs),
            start_new_session=True,
        )
        self._alive.append(Process(job, slot, handle, folder, log))

    def _look(self) -> None:
        """Takes note of processes that ended."""
        for process in [p for p in self._alive if p.handle.poll() is not None]:
            process.log.close()
            self._alive.remove(process)
            code = process.handle.returncode
            if code:
                why = f"killed by signal {-code}" if code < 0 else process.last_words()
                self.failed[process.job.name] = why
                tqdm.write(f"{process.job.name} failed: {why} ({process.folder / LOG_FILE})", file=sys.stderr)

    def _show(self, bar: Any, todo: Sequence[Job], waiting: Sequence[Job]) -> None:
        alive = {process.job.name: process.steps for process in self._alive}
        queued = {job.name for job in waiting}
        steps = [alive.get(job.name, 0 if job.name in queued else job.steps) for job in todo]
        bar.update(sum(steps) - bar.n)
        ended = len(todo) - len(waiting) - len(alive)
        bar.set_postfix_str(f"{ended}/{len(todo)} runs; " + ", ".join(f"{name} {step}" for name, step in alive.items()))

    def _stop_all(self) -> None:
        """Asks what still runs to save and stop, and waits; after a while it does not ask any more."""
        for process in self._alive:
            process.stop()
        deadline = time.monotonic() + GRACE
        for process in self._alive:
            try:
                process.handle.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.handle.kill()
                process.handle.wait()
            process.log.close()
        self._alive.clear()


@contextmanager
def _terminated_like_ctrl_c() -> Iterator[None]:
    """A request to end (SIGTERM) stops the runs as Ctrl-C does, instead of leaving them behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # only the main thread may listen
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
