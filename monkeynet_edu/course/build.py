"""Builds the notebooks of the lessons from their sources, and finds where the two have drifted apart.

``python -m monkeynet_edu.course.build [NN …] [--check | --text | --force | --measure]``
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from nbformat import NotebookNode

from monkeynet_edu.course import lessons
from monkeynet_edu.course.execution import Cost, execute, need
from monkeynet_edu.course.exercise import Lesson
from monkeynet_edu.course.sources import Folders, Kind, checkout, lesson_texts, node, read_notebook, stems, text_of
from monkeynet_edu.errors import UserError

Execution = Literal["when changed", "always", "never"]
Load = Callable[[str], Lesson]
SECONDS_STEP, MEGABYTES_STEP, STEADY = 5, 50, 0.25


@dataclass(frozen=True)
class Built:
    """What came of one lesson.

    Attributes:
        number: of the lesson.
        written: files that changed.
        cost: of the execution, if there was one.
    """

    number: str
    written: tuple[Path, ...]
    cost: Cost | None


def build(
    numbers: Sequence[str] = (),
    *,
    folders: Folders | None = None,
    load: Load = lessons.load,
    execution: Execution = "when changed",
    measured: bool = False,
    quiet: bool = False,
) -> list[Built]:
    """Writes the learner's and the solved notebook of lessons; the solved one is executed.

    Args:
        numbers: of the lessons; all where none is named.
        folders: where sources and notebooks live; beside the package by default.
        load: finds a lesson by its number.
        execution: ``when changed`` keeps stored outputs while the text of all code cells is the same; ``never`` keeps
            those of the unchanged cells, and the check then asks for the others.
        measured: executes, and writes time and memory into ``measured.json``, from which the headers are made.
        quiet: no progress bar.

    Raises:
        UserError: a source breaks the rules, or a lesson raised; its files are left as they were.
    """
    need("jupytext", "nbclient", "tqdm")
    places = folders or checkout()
    return [
        _build_one(load(number), stem, places, "always" if measured else execution, measured, quiet)
        for number, stem in stems(places, tuple(numbers)).items()
    ]


def _build_one(lesson: Lesson, stem: str, folders: Folders, execution: Execution, measured: bool, quiet: bool) -> Built:
    costs = read_measured(folders)
    texts = lesson_texts(folders.source(stem), lesson, costs.get(lesson.number))
    solved, path = texts["solved"], folders.notebook(stem, "solved")
    old = read_notebook(path) if path.exists() else None
    cost = None
    if execution == "always" or not (keep_outputs(solved, old) or execution == "never"):
        cost = _executed(solved, stem, quiet)
    if measured and cost is not None:
        costs[lesson.number] = _measurement(lesson_texts(folders.source(stem), lesson, None), stem, cost, costs, quiet)
        texts = lesson_texts(folders.source(stem), lesson, costs[lesson.number])
        keep_outputs(texts["solved"], solved)
    wanted = {folders.notebook(stem, kind): text_of(texts[kind]) for kind in texts}
    if measured:
        wanted[folders.solutions / "measured.json"] = json.dumps(costs, indent=1, sort_keys=True) + "\n"
    return Built(lesson.number, _write(wanted), cost)


def _executed(notebook: NotebookNode, stem: str, quiet: bool, devices: str = "") -> Cost:
    """Executes a notebook behind a progress bar, a step a cell."""
    from tqdm import tqdm

    with tqdm(total=len(notebook.cells), desc=stem, unit="cell", disable=quiet, file=sys.stderr) as bar:
        return execute(notebook, stem, lambda index: bar.update(index - bar.n), devices=devices)


def keep_outputs(new: NotebookNode, old: NotebookNode | None) -> bool:
    """Moves stored outputs to the cells with the same text; whether every cell got its own.

    All outputs depend on all cells before: the answer is no as soon as the text of one code cell differs.
    """
    mine = [cell for cell in new.cells if cell.cell_type == "code"]
    theirs = [cell for cell in old.cells if cell.cell_type == "code"] if old else []
    complete = len(mine) == len(theirs)
    for cell, stored in zip(mine, theirs, strict=False):
        same = cell.source == stored.source and stored.execution_count is not None
        if same:
            cell.outputs, cell.execution_count = node({"o": stored.outputs}).o, stored.execution_count
        complete = complete and same
    return complete


def _write(wanted: Mapping[Path, str]) -> tuple[Path, ...]:
    """Writes the files that change: all beside their places first, then renamed."""
    changed = {path: text for path, text in wanted.items() if not path.exists() or path.read_bytes() != text.encode()}
    beside: list[tuple[str, Path]] = []
    try:
        for path, text in changed.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            beside.append((name, path))
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode())
            os.chmod(name, 0o644)
        for name, path in beside:
            os.replace(name, path)
    finally:
        for name, _ in beside:
            Path(name).unlink(missing_ok=True)
    return tuple(changed)


# ----------------------------------------------------------------------------------------------------------- measuring


def read_measured(folders: Folders) -> dict[str, dict[str, int]]:
    """Time and memory of the lessons, by number; empty where nothing was measured."""
    path = folders.solutions / "measured.json"
    try:
        found: dict[str, dict[str, int]] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: expected JSON, came something else ({error}); mend or remove it, then measure") from None
    return found


def _measurement(
    texts: Mapping[Kind, NotebookNode], stem: str, cost: Cost, before: Mapping[str, dict[str, int]], quiet: bool
) -> dict[str, int]:
    """The new entry of a lesson; on a machine with a graphics card the lesson runs on that one, too."""
    import torch

    old = before.get(stem[:2], {})
    entry = {
        "seconds": steady(cost.seconds, old.get("seconds"), SECONDS_STEP),
        "megabytes": steady(cost.megabytes, old.get("megabytes"), MEGABYTES_STEP),
    }
    if torch.cuda.is_available():
        graphics = _executed(texts["solved"], stem, quiet, devices="0")
        entry["gpu_seconds"] = steady(graphics.seconds, old.get("gpu_seconds"), SECONDS_STEP)
    elif "gpu_seconds" in old:
        entry["gpu_seconds"] = old["gpu_seconds"]
    return entry


def steady(value: float, old: int | None, step: int) -> int:
    """A measured number, rounded up to a step; the old one stays while the new is within a quarter of it."""
    if old is not None and abs(value - old) <= STEADY * old:
        return old
    return step * max(1, math.ceil(value / step))


# --------------------------------------------------------------------------------------------------------------- drift


def check(numbers: Sequence[str] = (), *, folders: Folders | None = None, load: Load = lessons.load) -> list[str]:
    """Where notebooks differ from what the build would write (outputs apart), a line each, with file and cell.

    A solved notebook with a cell that was never executed has drifted, too: nothing could be compared with it.
    """
    need("jupytext")
    places = folders or checkout()
    costs, found = read_measured(places), []
    chosen = stems(places, tuple(numbers))
    for number, stem in chosen.items():
        texts = lesson_texts(places.source(stem), load(number), costs.get(number))
        for kind, wanted in texts.items():
            path = places.notebook(stem, kind)
            name = f"{path.parent.name}/{path.name}"
            found += [f"{name}, {text}" for text in _drift(wanted, path, kind)]
    if not numbers:
        for folder in (places.notebooks, places.solutions):
            strays = [path for path in sorted(folder.glob("*.ipynb")) if path.stem not in chosen.values()]
            found += [f"{folder.name}/{path.name}: no source in solutions; remove it" for path in strays]
    return found


def _drift(wanted: NotebookNode, path: Path, kind: Kind) -> list[str]:
    """Differences of one file from what the build would write."""
    if not path.exists():
        return ["missing"]
    came = read_notebook(path)
    canonical = text_of(came) == path.read_bytes().decode("utf-8", "replace")
    found = []
    for index, cell in enumerate(came.cells):
        if cell.cell_type == "code" and kind == "solved":
            if cell.execution_count is None:
                found.append(f"cell {index}: never executed")
            cell.outputs, cell.execution_count = [], None
    if dict(came.metadata) != dict(wanted.metadata):
        found.append("metadata of the notebook differ")
    if len(came.cells) != len(wanted.cells):
        found.append(f"{len(came.cells)} cells instead of {len(wanted.cells)}")
    for index, (mine, theirs) in enumerate(zip(wanted.cells, came.cells, strict=False)):
        parts = [part for part in sorted({*mine, *theirs}) if mine.get(part) != theirs.get(part)]
        if parts:
            found.append(f"cell {index}: {', '.join(parts)} differ")
    if not found and not canonical:
        found.append("written differently, although it says the same")
    return found


# ------------------------------------------------------------------------------------------------------------ commands


def command_build(
    numbers: Sequence[str], execution: Execution = "when changed", measured: bool = False, folders: Folders | None = None
) -> str:
    """Builds, and says what was written (``monkeynet-edu build``)."""
    lines = []
    for built in build(numbers, folders=folders, execution=execution, measured=measured):
        files = ", ".join(f"{path.parent.name}/{path.name}" for path in built.written) or "unchanged"
        took = f" ({built.cost.seconds:.0f} s, {built.cost.megabytes:.0f} MB)" if built.cost else ""
        lines.append(f"{built.number}: {files}{took}")
    return "\n".join(lines)


def command_check(numbers: Sequence[str], folders: Folders | None = None) -> tuple[str, int]:
    """Looks for drift; what to say and the exit code, 1 where there is any (``monkeynet-edu build --check``)."""
    found = check(numbers, folders=folders)
    if not found:
        return "notebooks and sources agree", 0
    return "\n".join([*found, "run `monkeynet-edu build`"]), 1


def run(
    numbers: Annotated[list[str] | None, typer.Argument(help="Lessons, such as 01; all by default.")] = None,
    check_only: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where notebooks drifted.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Execute nothing; changed cells lose their outputs.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Execute although no cell has changed.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Execute; write time and memory to measured.json.")] = False,
) -> None:
    """Builds the notebooks of the lessons."""
    chosen: Sequence[str] = numbers or []
    if sum([check_only, text, force, measure]) > 1:
        raise UserError("build: expected at most one of --check, --text, --force, --measure; leave the others out")
    if check_only:
        said, code = command_check(chosen)
    else:
        said, code = command_build(chosen, "never" if text else "always" if force else "when changed", measure), 0
    print(said)
    if code:
        raise typer.Exit(code)


def main() -> Any:
    """The command line of this module."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(run)
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
