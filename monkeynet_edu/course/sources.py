"""From a lesson's one source to the text of its two notebooks, the learner's and the solved one.

Nothing here runs a lesson. Texts are functions of the source, the library and ``measured.json`` alone: no times, no random
identifiers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nbformat
from nbformat import NotebookNode

from monkeynet_edu.course import scaffold
from monkeynet_edu.course.exercise import Exercise, Lesson
from monkeynet_edu.errors import UserError, unknown_name

Kind = Literal["learner", "solved"]
HEADER = "<!-- header -->"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
_KEPT = ("tags", "exercise")  # metadata of a source's cell that the notebooks keep


@dataclass(frozen=True)
class Folders:
    """Where lessons live.

    Attributes:
        solutions: sources, solved notebooks, ``measured.json``.
        notebooks: learners' notebooks.
    """

    solutions: Path
    notebooks: Path

    @classmethod
    def of(cls, root: Path) -> Folders:
        """The folders of a checkout."""
        return cls(root / "solutions", root / "notebooks")

    def source(self, stem: str) -> Path:
        """The hand-edited text of a lesson."""
        return self.solutions / f"{stem}.py"

    def notebook(self, stem: str, kind: Kind) -> Path:
        """One of the two notebooks of a lesson."""
        return (self.solutions if kind == "solved" else self.notebooks) / f"{stem}.ipynb"


def checkout() -> Folders:
    """The folders beside the package.

    Raises:
        UserError: the package is not part of a checkout.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "solutions").is_dir():
        raise UserError(f"{root}: expected a folder solutions, came none; build from a clone of the repository")
    return Folders.of(root)


def stems(folders: Folders, numbers: tuple[str, ...] = ()) -> dict[str, str]:
    """Number to file name (without ending) of the lessons asked for; all where none is named.

    Raises:
        UserError: a number without a source.
    """
    found = {path.stem[:2]: path.stem for path in sorted(folders.solutions.glob("[0-9][0-9]_*.py"))}
    for number in numbers:
        if number not in found:
            raise unknown_name("lesson", number, found)
    return {number: found[number] for number in (numbers or found)}


def exercise_of(cell: NotebookNode) -> str | None:
    """The exercise whose answer a cell is, if it is one."""
    answer: str | None = cell.metadata.get("exercise")
    return answer


def submitted_in(cell: NotebookNode) -> str | None:
    """The exercise that a cell made by the build submits, if it does."""
    answer: str | None = cell.metadata.get("submit")
    return answer


def tags_of(cell: NotebookNode) -> list[str]:
    """Tags of a cell."""
    return list(cell.metadata.get("tags", []))


def lesson_texts(source: Path, lesson: Lesson, measured: Mapping[str, Any] | None) -> dict[Kind, NotebookNode]:
    """The two notebooks of a lesson, without outputs.

    Args:
        source: jupytext percent text, see :func:`cells_of`.
        lesson: gives imports and exercises.
        measured: seconds and megabytes of the lesson, for its header; None: not measured.

    Raises:
        UserError: the source breaks the rules for sources; the message names the cell.
    """
    cells = cells_of(source, lesson)
    return {kind: _notebook(cells, lesson, kind, header(lesson, measured)) for kind in ("learner", "solved")}


# --------------------------------------------------------------------------------------------------------- the source


def cells_of(source: Path, lesson: Lesson) -> list[NotebookNode]:
    """Cells of a lesson's source, held to the rules.

    The first code cell is tagged ``parameters`` and sets FAST; an empty cell tagged ``imports`` follows; an empty cell with
    ``exercise="ID"`` stands for each exercise of the lesson, in their order; the line ``<!-- header -->`` stands once.

    Raises:
        UserError: one of these does not hold.
    """
    import jupytext

    def must(holds: bool, expected: str) -> None:
        if not holds:
            raise UserError(f"{source.name}: expected {expected}")

    cells: list[NotebookNode] = jupytext.reads(source.read_text("utf-8"), fmt="py:percent").cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    first = bool(code) and "parameters" in tags_of(code[0]) and re.search(r"^FAST\b.*=", code[0].source, re.MULTILINE)
    must(bool(first), 'a first code cell `# %% tags=["parameters"]` with FAST = False; add it')
    imports = [cell for cell in code if "imports" in tags_of(cell)]
    must(imports == code[1:2], 'one cell `# %% tags=["imports"]`, right after the parameters; move it there')
    known = [exercise.id for exercise in lesson.exercises]
    came = [str(exercise_of(cell)) for cell in code if exercise_of(cell) is not None]
    for name in came:
        if name not in known:
            raise unknown_name(f"exercise in {source.name}:", name, known)
    must(
        came == known, f"each exercise once, in the order {', '.join(known)}, got {', '.join(came) or 'none'}; reorder them"
    )
    for cell in code:
        if exercise_of(cell) or "imports" in tags_of(cell):
            must(not cell.source.strip(), f"an empty cell where the build fills in, got {cell.source[:40]!r}; empty it")
    headers = sum(cell.source.count(HEADER) for cell in cells if cell.cell_type == "markdown")
    must(headers == 1, f"the line {HEADER} once, in a markdown cell, got it {headers} times; put it below the title")
    return cells


def header(lesson: Lesson, measured: Mapping[str, Any] | None) -> str:
    """Minutes of the learner, and time and memory of the computer, as a line of markdown."""
    learner = f"**Your time:** about {lesson.minutes} minutes."
    if not measured:
        return f"{learner} **The computer's:** not measured yet."
    parts = [f"{_duration(measured['seconds'])} without a graphics card"]
    if "gpu_seconds" in measured:
        parts.append(f"{_duration(measured['gpu_seconds'])} with one")
    return f"{learner} **The computer's:** about {', '.join(parts)}, and {measured['megabytes']} MB of memory."


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"


# ------------------------------------------------------------------------------------------------------ the notebooks


def _notebook(cells: list[NotebookNode], lesson: Lesson, kind: Kind, head: str) -> NotebookNode:
    """One notebook: every cell with a derived id, exercises filled in, no outputs."""
    exercises = {exercise.id: exercise for exercise in lesson.exercises}
    made: list[NotebookNode] = []
    for cell in cells:
        metadata = {key: cell.metadata[key] for key in _KEPT if key in cell.metadata}
        if cell.cell_type != "code":
            text = {"cell_type": cell.cell_type, "source": cell.source.replace(HEADER, head), "metadata": metadata}
            made.append(node(text))
        elif "imports" in metadata.get("tags", []):
            made.append(code_cell(imports_text(lesson), metadata))
        elif "exercise" in metadata:
            exercise = exercises[metadata["exercise"]]
            made.append(code_cell(_answer(exercise, kind), metadata))
            made.append(code_cell(scaffold.submit_text(exercise), {"submit": exercise.id}))
        else:
            made.append(code_cell(cell.source, metadata))
    for index, cell in enumerate(made):
        cell["id"] = hashlib.sha256(f"{lesson.number}:{index}:{cell.cell_type}".encode()).hexdigest()[:12]
    return node({"nbformat": 4, "nbformat_minor": 5, "metadata": METADATA, "cells": made})


def imports_text(lesson: Lesson) -> str:
    """The cell that imports what the lesson needs and opens it."""
    opening = f'from monkeynet_edu.course import open_lesson\n\nex = open_lesson("{lesson.number}", FAST)'
    return f"{lesson.imports.strip()}\n{opening}"


def _answer(exercise: Exercise, kind: Kind) -> str:
    """What stands in the cell of an exercise."""
    try:
        return scaffold.solved_text(exercise) if kind == "solved" else scaffold.learner_text(exercise)
    except ValueError as error:
        raise UserError(str(error)) from None


def text_of(notebook: NotebookNode) -> str:
    """A notebook as it stands in its file."""
    return str(nbformat.writes(notebook, version=4)).rstrip("\n") + "\n"  # type: ignore[no-untyped-call]


def read_notebook(path: Path) -> NotebookNode:
    """A notebook from its file.

    Raises:
        UserError: the file is no notebook.
    """
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (ValueError, nbformat.ValidationError) as error:
        raise UserError(f"{path}: expected a notebook, came something else ({type(error).__name__}); rebuild it") from None
    return notebook


def node(content: Mapping[str, Any]) -> NotebookNode:
    """A copy of a notebook or of a part of it."""
    made: NotebookNode = nbformat.from_dict(content)  # type: ignore[no-untyped-call]
    return made


def code_cell(source: str, metadata: Mapping[str, Any] | None = None) -> NotebookNode:
    """A code cell that never ran."""
    cell: dict[str, Any] = {"cell_type": "code", "source": source, "metadata": dict(metadata or {})}
    return node({**cell, "outputs": [], "execution_count": None})


def filled(learner: NotebookNode, lesson: Lesson) -> NotebookNode:
    """A learner's notebook with the solutions put into its cells."""
    notebook = node(learner)
    exercises = {exercise.id: exercise for exercise in lesson.exercises}
    for cell in notebook.cells:
        if exercise_of(cell) is not None:
            cell.source = scaffold.solved_text(exercises[str(exercise_of(cell))])
    return notebook
