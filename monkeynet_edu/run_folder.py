"""The folder of a training: who may write in it, its metrics and findings, and what a crash leaves behind.

Checkpoint and model are written by ``training.Run``; everything that keeps them apart from another process's, and the rows
beside them whole, is here.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from monkeynet_edu.errors import UserError
from monkeynet_edu.files import kind_of, partial_files, read_text
from monkeynet_edu.model import MODEL_FILE, flush_folder
from monkeynet_edu.monitor import Finding

CHECKPOINT_FILE = "checkpoint.safetensors"
METRICS_FILE = "metrics.csv"
FINDINGS_FILE = "findings.jsonl"
LAST_GOOD_FILE = "last_good.safetensors"  # the checkpoint from before the monitor's first finding
LOCK_FILE = ".training.lock"
_WRITTEN_BESIDE = (CHECKPOINT_FILE, MODEL_FILE, METRICS_FILE, LAST_GOOD_FILE)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Creates a run folder, proves that it can be written to, keeps others out of it, and clears a crash's remains away.

    The lock is the operating system's: it ends with the process that holds it, however that ends.

    Raises:
        UserError: the folder cannot be written to, or another training works in it.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-test"
        probe.touch()
        probe.unlink()
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"{folder}: another training works in this folder; wait for it, end it, or choose another --out"
        ) from error
    except OSError as error:
        raise UserError(
            f"{folder}: expected a folder that can be written to, got {error.strerror}; choose another --out"
        ) from error
    try:
        _sweep(folder)
        yield
    finally:
        with suppress(OSError):  # while the lock is held, so that nobody's but our own file goes
            (folder / LOCK_FILE).unlink(missing_ok=True)
        lock.release()


def _sweep(folder: Path) -> None:
    """Removes half-written files of a training that was killed; the whole ones stay."""
    for name in _WRITTEN_BESIDE:
        for part in (folder / f"{name}.part", *partial_files(folder / name)):
            with suppress(OSError):
                part.unlink(missing_ok=True)
    for scratch in folder.glob(".partial-*"):  # of a picture
        shutil.rmtree(scratch, ignore_errors=True)
    findings = folder / FINDINGS_FILE
    if findings.is_file():
        with suppress(OSError):
            os.truncate(findings, len(whole_lines(findings.read_bytes())))


def whole_lines(data: bytes) -> bytes:
    """Data up to its last line break: what a crash has cut short is left out."""
    return data[: data.rfind(b"\n") + 1]


class MetricsLog:
    """Losses as rows of ``metrics.csv`` in the run folder and, where it is installed, for TensorBoard.

    Rows after ``step`` (of a sitting that ended without a checkpoint) are dropped. A loss that appears later gets a column
    when it does; where a row has no such loss, ``nan`` stands.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / METRICS_FILE
        self._rows = [row for row in read_metrics(self._path) if int(row["step"]) <= step]
        self._columns = list(self._rows[0]) if self._rows else []
        with self._write_errors():
            self._rewrite()
        self._board = self._open_board(folder, step)

    @property
    def last(self) -> dict[str, float]:
        """Losses of the last row that was there at the start."""
        values = {k: float(v) for k, v in self._rows[-1].items() if k != "step"} if self._rows else {}
        return {name: value for name, value in values.items() if not math.isnan(value)}

    @contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self._path}: could not be written ({error.strerror}); rows written before are untouched; free some "
                "space, then --resume"
            ) from error

    @staticmethod
    def _open_board(folder: Path, step: int) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def _rewrite(self) -> None:
        if self._path.is_file():
            part = self._path.with_name(METRICS_FILE + ".part")
            with open(part, "w", newline="") as file:
                if self._rows:
                    writer = csv.DictWriter(file, self._columns, restval="nan")
                    writer.writeheader()
                    writer.writerows(self._rows)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self._path)
            flush_folder(self._path.parent)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Appends one row, whole or not at all, and flushes it.

        Raises:
            UserError: the file cannot be written.
        """
        row = {"step": str(step)} | {name: f"{value:.6g}" for name, value in values.items()}
        with self._write_errors():
            if self._rows and not set(row) <= set(self._columns):
                self._columns += [name for name in row if name not in self._columns]
                self._rewrite()
            self._columns = self._columns or list(row)
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, self._columns, restval="nan")
            if not self._rows:
                writer.writeheader()
            writer.writerow(row)
            append(self._path, text.getvalue())
        self._rows.append(row)
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Finishes the TensorBoard file."""
        if self._board is not None:
            self._board.close()


def append(path: Path, text: str) -> None:
    """Appends text to a file; where that fails half-way, the file is as it was.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    size = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "ab") as file:
            file.write(text.encode("utf-8"))
    except OSError:
        with suppress(OSError):
            os.truncate(path, size)
        raise


def write_finding(path: Path, finding: Finding) -> None:
    """Appends a finding of the monitor to a file of JSON lines.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        append(path, json.dumps(asdict(finding)) + "\n")
    except OSError as error:
        raise UserError(f"{path}: could not be written ({error.strerror}); free some space") from error


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Rows of a ``metrics.csv``, without those that a crash cut short or filled with rubbish; none where there is no file.

    Raises:
        UserError: another file under this name.
    """
    if kind_of(path) == "nothing":
        return []
    text = read_text(path, "losses as a training writes them (CSV)")
    whole = text[: text.rfind("\n") + 1]
    try:
        read = csv.DictReader(io.StringIO(whole, newline=""))
        rows = [row for row in read if _is_whole(row)]
        columns = read.fieldnames
    except csv.Error as error:
        columns, rows = None, []
        text = str(error)
    if whole and "step" not in (columns or ()):
        raise UserError(
            f"{path}: expected losses with a column step, got another file ({' '.join(text.split())[:60]}); "
            "move it away: a training goes on without it"
        )
    return rows


def _is_whole(row: dict[str, str]) -> bool:
    """Whether a row has a number in every column, and the number of a step."""
    if None in row or None in row.values() or not row.get("step", "").isdecimal():
        return False
    try:
        return all(isinstance(float(value), float) for value in row.values())
    except ValueError:
        return False


def keep_last_good(folder: Path) -> str:
    """Copies the checkpoint, which was written before a finding, beside itself; says where, or why not."""
    path, kept = folder / CHECKPOINT_FILE, folder / LAST_GOOD_FILE
    if not path.is_file():
        return ""
    part = kept.with_name(LAST_GOOD_FILE + ".part")
    try:
        shutil.copyfile(path, part)
        os.replace(part, kept)
    except OSError as error:
        part.unlink(missing_ok=True)
        return f" (The checkpoint from before could not be copied: {error.strerror}.)"
    return f" (The checkpoint from before is kept as {kept}.)"
