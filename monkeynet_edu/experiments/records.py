"""Records: a JSON file a run, which holds what was trained, how, on what, and what came out.

A record appears whole or not at all. One of another configuration under the same name is an error, never overwritten.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monkeynet_edu import files
from monkeynet_edu.errors import UserError
from monkeynet_edu.experiments.plans import SHIPPED_BUDGET, Effort, Experiment, Job
from monkeynet_edu.generator import GeneratorConfig
from monkeynet_edu.model import later_defaults
from monkeynet_edu.paths import data_small
from monkeynet_edu.training import Recipe

DIGITS = 5
FIELDS = ("identity", "figures", "per_clip", "clips", "instruments")
Values = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where things lie.

    Attributes:
        results: folder of records, ``results/EXPERIMENT/NAME.json``; others than the shipped budget one deeper.
        runs: folder of run folders with checkpoints, ``runs/BUDGET/VARIANT-DATA-seedN``.
    """

    results: Path
    runs: Path

    def records(self, experiment: str, budget: str) -> Path:
        """Folder of an experiment's records: budgets are never mixed."""
        base = self.results if budget == SHIPPED_BUDGET else self.results / budget
        return base / experiment

    def record(self, job: Job) -> Path:
        """File of a run's record."""
        return self.records(job.experiment, job.effort.name) / f"{job.name}.json"

    def run(self, job: Job) -> Path:
        """Run folder of the model that a job needs; jobs that differ in the task alone share it."""
        return self.runs / job.effort.name / f"{job.variant}-{job.data}-seed{job.seed}"


def default_results(what: Experiment, how: Effort) -> Path:
    """Where records lie if nothing is said: with the shipped ones of that budget, if there are any, else in ``runs``."""
    shipped = Places(data_small() / "results", Path())
    return shipped.results if shipped.records(what.name, how.name).is_dir() else Path("runs/results")


def write_json(path: Path, values: Values) -> None:
    """Writes JSON beside its place, then renames it.

    Raises:
        UserError: the folder cannot be written to.
    """
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = files.partial_name(path)
        part.write_text(json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
        os.replace(part, path)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
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
        values = files.read_json(path, "a record that `reproduce` wrote")
    except UserError as error:
        raise UserError(
            f"{path}: expected a record that `reproduce` wrote, got a file that cannot be read ({str(error)[:60]}); "
            "delete it, and the same command makes it again from the kept model"
        ) from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(values).__name__}; delete it and run again")
    return values


_EARLIER = later_defaults(Recipe, GeneratorConfig)


def differing_field(ours: Any, theirs: Any, name: str = "") -> str | None:
    """Dotted name and both values of the first difference of two JSON values, or None.

    A field that records of earlier versions lack counts as its default.
    """
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            found = differing_field(ours.get(key), theirs.get(key, _EARLIER.get(key)), f"{name}.{key}".lstrip("."))
            if found:
                return found
        return None
    return None if ours == theirs else f"{name}: {ours} here, {theirs} there"


def check_identity(path: Path, ours: Values, stored: Any) -> None:
    """Refuses what another configuration left under the same name.

    Raises:
        UserError: the first difference is named.
    """
    difference = differing_field(ours, stored)
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
    missing = [key for key in FIELDS if key not in record]
    if missing:
        raise UserError(f"{path}: expected a record with {', '.join(missing)}, got none of it; delete it and run again")
    wrong = _wrong_field(record)
    if wrong:
        raise UserError(f"{path}: expected a record that `reproduce` wrote, got {wrong}; delete it and run again")
    check_identity(path, job.identity(), record["identity"])
    return record


def _wrong_field(record: Values) -> str | None:
    """What is wrong with the first field of a record that does not hold what we write there, or None."""
    figures, per_clip, clips = (record[name] for name in ("figures", "per_clip", "clips"))
    kinds = {"identity": dict, "figures": dict, "per_clip": dict, "clips": list, "instruments": dict}
    for name, kind in kinds.items():
        if not isinstance(record[name], kind):
            return f"{name} as {type(record[name]).__name__}"
    for name, value in figures.items():
        if not (_is_figure(value) or is_words(value)):
            return f"no number as {name}"
    for name, values in per_clip.items():
        if not isinstance(values, list) or len(values) != len(clips) or not all(map(_is_figure, values)):
            return f"no number for each of {len(clips)} clips as {name}"
    return None


def is_words(value: Any) -> bool:
    """Whether an entry of the figures is no figure: notes, or the reason in words for each figure that is missing."""
    words = value.values() if isinstance(value, dict) else value
    return isinstance(value, list | dict) and all(isinstance(word, str) for word in words)


def _is_figure(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and math.isfinite(value))
