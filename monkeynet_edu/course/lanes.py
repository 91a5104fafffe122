"""What a lesson has to withstand before it is shipped; each lane returns what it found, a line each.

Two executions a lesson serve all lanes. The *solved* run is one kernel in which the solved notebook is followed by the
learner's notebook with the solutions put in: it shows verdicts, outputs to compare, swallowed errors, that a lesson runs
twice in one kernel, and what it costs. The *learner's* run is her notebook, untouched. Both run in the short mode, through
papermill, from a read-only copy of the checkout, without network.
"""

from __future__ import annotations

import compileall
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

from nbformat import NotebookNode

from monkeynet_edu.course.execution import (
    LIMIT_MEGABYTES,
    LIMIT_SECONDS,
    PEAK,
    Cost,
    faults,
    need,
    run_guarded,
    stabilise,
)
from monkeynet_edu.course.exercise import Lesson
from monkeynet_edu.course.sources import (
    Folders,
    code_cell,
    filled,
    node,
    read_notebook,
    submitted_in,
    tags_of,
    text_of,
)

VERDICT = "application/vnd.monkeynet.verdict+json"
FAST = {"FAST": True}
MIB = 2**20
SHIPPED = ("monkeynet_edu", "notebooks", "solutions", "data_small")
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")


@dataclass(frozen=True)
class Run:
    """What came of running a notebook.

    Attributes:
        notebook: with its outputs; each cell's metadata tell which cell of which pass it was; None if it never began.
        error: what stopped it, in one line, or empty.
        faults: errors that did not stop it.
        changed: files of the checkout that are not what they were.
        cost: time and memory.
    """

    notebook: NotebookNode | None
    error: str
    faults: tuple[str, ...]
    changed: tuple[str, ...]
    cost: Cost

    def cells(self, turn: int = 1) -> list[NotebookNode]:
        """Code cells of one pass, in order."""
        cells = self.notebook.cells if self.notebook is not None else []
        return [cell for cell in cells if cell.cell_type == "code" and cell.metadata.get("turn") == turn]

    def findings(self) -> list[str]:
        """What is wrong with a run in itself: errors, files written, over the limits."""
        written = [f"{name}: written into the checkout" for name in self.changed]
        return [*filter(None, [self.error]), *self.faults, *written, *over_limits(self.cost, "the short run")]


# ------------------------------------------------------------------------------------------------------------- running


def read_only_copy(root: Path, target: Path, shipped: Sequence[str] = SHIPPED) -> Path:
    """A copy of what a checkout ships that nobody but root may write; see also `guard`, which holds root back, too."""
    for name in shipped:
        if (root / name).is_dir():
            shutil.copytree(root / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    compileall.compile_dir(target, quiet=2)  # as a checkout that has been used; nothing is to be written later
    for path in [*target.rglob("*"), target]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return target


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything below a folder."""
    return {str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(root.rglob("*"))}


def changes(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    """Names that came, went or changed between two snapshots."""
    return tuple(sorted(name for name in {*before, *after} if before.get(name) != after.get(name)))


def turns(*notebooks: NotebookNode) -> NotebookNode:
    """One notebook that runs several in the same kernel; only the first sets parameters, and the peak memory comes last."""
    cells = []
    for turn, notebook in enumerate(notebooks, start=1):
        for index, cell in enumerate(notebook.cells):
            if turn > 1 and "parameters" in tags_of(cell):
                continue
            copy = node(cell)
            copy.metadata.update({"turn": turn, "cell": index})
            copy["id"] = f"{cell['id']}-{turn}"
            cells.append(copy)
    end = code_cell(PEAK, {"turn": 0, "cell": "at the end"})
    end["id"] = "peak"
    return node({**notebooks[0], "cells": [*cells, end]})


def run(
    notebook: NotebookNode,
    name: str,
    *,
    checkout: Path,
    folder: Path,
    scratch: Path,
    parameters: Mapping[str, Any] | None = None,
    seconds: float = LIMIT_SECONDS,
) -> Run:
    """Runs a notebook made by :func:`turns`, guarded.

    Args:
        notebook: to run.
        name: of the run; its files in `scratch` are called so.
        checkout: that must not change.
        folder: of the checkout, where the kernel works.
        scratch: for everything that is written.
        parameters: FAST by default.
        seconds: a longer run is stopped.
    """
    own = scratch / name
    own.mkdir(parents=True)
    given, made = own / "given.ipynb", own / "made.ipynb"
    given.write_text(text_of(notebook), "utf-8")
    before, began = snapshot(checkout), time.monotonic()
    error = run_guarded(
        given,
        made,
        FAST if parameters is None else parameters,
        protected=checkout,
        folder=folder,
        scratch=own,
        seconds=seconds,
    )
    took = time.monotonic() - began
    came = read_notebook(made) if made.exists() else None
    found = tuple(faults(came)) if came is not None else ()
    changed = changes(before, snapshot(checkout))
    return Run(came, error, () if error else found, changed, Cost(took, _peak(came)))


def _peak(notebook: NotebookNode | None) -> float:
    """Peak memory that the last cell printed; 0 where it was not reached."""
    outputs = notebook.cells[-1].outputs if notebook is not None else []
    return float(outputs[0].text) if outputs and outputs[0].output_type == "stream" else 0.0


class Runs:
    """The executions of several lessons, two at a time, begun at once and waited for where they are needed.

    Args:
        root: the checkout; a read-only copy of it is what runs.
        scratch: for the copy and for everything that is written.
        lessons: number to (name of the files, lesson).
        workers: executions at a time.
        shipped: folders of the checkout that are copied.
    """

    def __init__(
        self,
        root: Path,
        scratch: Path,
        lessons: Mapping[str, tuple[str, Lesson]],
        workers: int = 2,
        shipped: Sequence[str] = SHIPPED,
    ) -> None:
        need("papermill", "nbval")
        self.scratch = scratch
        self.copy = read_only_copy(root, scratch / "checkout", shipped)
        self.folders = Folders.of(self.copy)
        self.lessons = lessons
        self._pool = ThreadPoolExecutor(workers)
        self._solved = {number: self._pool.submit(self._run_solved, number) for number in lessons}
        self._learner = {number: self._pool.submit(self._run_learner, number) for number in lessons}

    def _run_solved(self, number: str) -> Run:
        stem, lesson = self.lessons[number]
        solved = read_notebook(self.folders.notebook(stem, "solved"))
        learner = read_notebook(self.folders.notebook(stem, "learner"))
        both = turns(without_outputs(solved), filled(learner, lesson))
        return self._run(both, f"{number}-solved", self.folders.solutions)

    def _run_learner(self, number: str) -> Run:
        learner = read_notebook(self.folders.notebook(self.lessons[number][0], "learner"))
        return self._run(turns(learner), f"{number}-learner", self.folders.notebooks)

    def _run(self, notebook: NotebookNode, name: str, folder: Path) -> Run:
        return run(notebook, name, checkout=self.copy, folder=folder, scratch=self.scratch)

    def solved(self, number: str) -> Run:
        """The solved notebook, then the learner's with solutions put in, in one kernel."""
        return self._solved[number].result()

    def learner(self, number: str) -> Run:
        """The learner's notebook, untouched."""
        return self._learner[number].result()

    def close(self) -> None:
        """Begins nothing more, and waits for what runs."""
        self._pool.shutdown(cancel_futures=True)


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """A copy that looks as if it had never run."""
    copy = node(notebook)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return copy


# ------------------------------------------------------------------------------------------------------------ verdicts


def wrong_verdicts(cells: Sequence[NotebookNode], exercises: Iterable[str], expected: str) -> list[str]:
    """Exercises whose cell of submission did not end as expected, read from the machine-readable outputs.

    Only the cells that the build adds count: a lesson may show a wrong answer on purpose elsewhere.
    """
    found = []
    came: dict[str, list[str]] = {name: [] for name in exercises}
    for cell in cells:
        name = submitted_in(cell)
        if name is None:
            continue
        statuses = [output["data"][VERDICT]["status"] for output in cell.outputs if VERDICT in output.get("data", {})]
        came.setdefault(name, []).extend(statuses)
        if statuses != [expected]:
            said = ", ".join(statuses) or "no verdict"
            found.append(f"cell {cell.metadata.get('cell')}: {name}: expected {expected}, got {said}")
    return found + [f"{name}: expected {expected}, was never submitted" for name, statuses in came.items() if not statuses]


# ------------------------------------------------------------------------------------------------------ stored outputs


def differences(stored: NotebookNode, cells: Sequence[NotebookNode], sanitize: Path) -> list[str]:
    """Where the outputs of a run differ from the stored ones, by nbval's own strict comparison.

    A cell tagged ``nbval-ignore-output`` is not compared; a stored cell that was never executed is itself a finding, for
    nbval would compare nothing.
    """
    compare = _nbval(sanitize)
    ran = {cell.metadata["cell"]: cell for cell in cells}
    found = []
    for index, cell in enumerate(stored.cells):
        if cell.cell_type != "code":
            continue
        if cell.execution_count is None:
            found.append(f"cell {index}: never executed, so there is nothing to compare with")
        elif index not in ran:
            found.append(f"cell {index}: did not run")
        elif "nbval-ignore-output" not in tags_of(cell):
            said = compare(_streams_joined(ran[index]), cell.outputs)
            found += [f"cell {index}: outputs differ: {said}"] if said else []
    return found


def _streams_joined(cell: NotebookNode) -> list[NotebookNode]:
    """Outputs of one run as they would have been stored."""
    from nbval.plugin import coalesce_streams

    notebook = node({"metadata": {}, "cells": [cell]})
    stabilise(notebook)
    outputs: list[NotebookNode] = coalesce_streams(notebook.cells[0].outputs)
    return outputs


def _nbval(sanitize: Path) -> Callable[[list[NotebookNode], list[NotebookNode]], str]:
    """nbval's comparison of one cell's outputs without its execution: there the run would serve nobody else."""
    from nbval.plugin import IPyNbCell, get_sanitize_patterns, nocolors

    class Comparison(IPyNbCell):  # type: ignore[misc]
        def format_output_compare(self, key: str, left: Any, right: Any) -> None:
            self.comparison_traceback.append(f"{key}: {_first_difference(str(left), str(right))}")

    comparison = Comparison.__new__(Comparison)
    patterns = dict(get_sanitize_patterns(sanitize.read_text("utf-8")))
    skipped = ("metadata", "traceback", "prompt_number", "output_type", "name", "execution_count", *_PICTURES[:2])
    comparison.parent = SimpleNamespace(sanitize_patterns=patterns, skip_compare=skipped)
    comparison.colors = nocolors

    def compare(came: list[NotebookNode], stored: list[NotebookNode]) -> str:
        same = comparison.compare_outputs(came, stored)
        return "" if same else " ".join(text.strip() for text in comparison.comparison_traceback)[:400]

    return compare


def _first_difference(stored: str, came: str) -> str:
    """The surroundings of the first place where two texts differ."""
    at = next((i for i, (a, b) in enumerate(zip(stored, came, strict=False)) if a != b), min(len(stored), len(came)))
    start = max(0, at - 20)
    return f"stored {stored[start : at + 40]!r}, now {came[start : at + 40]!r}"


def too_large(path: Path, limit: int = MIB) -> list[str]:
    """A solved notebook above the limit."""
    size = path.stat().st_size
    return [f"{path.name}: {size / MIB:.2f} MiB, expected at most {limit / MIB:.0f}"] if size > limit else []


def over_limits(cost: Cost, what: str) -> list[str]:
    """Time or memory above what an ordinary laptop has."""
    found = []
    if cost.seconds > LIMIT_SECONDS:
        found.append(f"{what}: {cost.seconds:.0f} s, expected at most {LIMIT_SECONDS}")
    if cost.megabytes > LIMIT_MEGABYTES:
        found.append(f"{what}: {cost.megabytes:.0f} MB, expected at most {LIMIT_MEGABYTES}")
    return found


# ------------------------------------------------------------------------------------------------------------- reading


class _Markup(HTMLParser):
    """Collects pictures with their alt texts, and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.alts: list[str | None] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img":
            self.alts.append(given.get("alt"))
        elif tag == "svg" and given.get("role") == "img":
            self.alts.append(given.get("aria-label"))
        for name in ("href", "src"):
            if given.get(name):
                self.links.append(str(given[name]))


def weak_alt_texts(notebook: NotebookNode) -> list[str]:
    """Pictures of outputs and text without an alt text, and alt texts that stand twice."""
    found, seen = [], dict[str, int]()
    for index, cell in enumerate(notebook.cells):
        for alt in _alts(cell):
            if not (alt or "").strip():
                found.append(f"cell {index}: a picture without alt text")
            elif alt in seen:
                found.append(f"cell {index}: the alt text of cell {seen[alt]} again: {alt[:80]!r}")
            else:
                seen[str(alt)] = index
    return found


def _alts(cell: NotebookNode) -> list[str | None]:
    """Alt texts of all pictures of a cell, None where there is none."""
    if cell.cell_type == "markdown":
        prose = _prose(cell.source)
        return [*re.findall(r"!\[([^\]]*)\]\(", prose), *_Markup(prose).alts]
    found: list[str | None] = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        alts = _Markup("".join(data.get(kind, "") for kind in ("text/html", "text/markdown"))).alts
        bare = [kind for kind in _PICTURES if kind in data]
        if bare and not alts:
            alts = [output.get("metadata", {}).get(bare[0], {}).get("alt")]
        found += alts
    return found


def skipped_headings(notebook: NotebookNode) -> list[str]:
    """Headings that skip a level, a lesson that does not begin with one of the first level, or a second of that level."""
    found, before = [], 0
    for index, level, text in _headings(notebook):
        if before == 0 and level != 1:
            found.append(f"cell {index}: expected the first heading to be of level 1, got {level}: {text}")
        elif level > before + 1:
            found.append(f"cell {index}: level {level} follows level {before}: {text}")
        elif before and level == 1:
            found.append(f"cell {index}: a second heading of level 1: {text}")
        before = level
    return found if before else ["no heading"]


def _headings(notebook: NotebookNode) -> list[tuple[int, int, str]]:
    """Cell, level and text of all headings."""
    return [
        (index, len(marks), text.strip())
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown"
        for marks, text in re.findall(r"^(#{1,6})\s+(.+)$", _fences_removed(cell.source), flags=re.MULTILINE)
    ]


def dead_links(notebook: NotebookNode, path: Path) -> list[str]:
    """Relative links of text and outputs that lead nowhere: to no file, or to no heading."""
    return [
        f"cell {index}: {link} leads nowhere"
        for index, cell in enumerate(notebook.cells)
        for link in _links(cell)
        if not re.match(r"[a-z][a-z0-9+.-]*:", link) and not _resolves(link, notebook, path)
    ]


def _links(cell: NotebookNode) -> list[str]:
    if cell.cell_type == "markdown":
        prose = _prose(cell.source)
        return [*re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", prose), *_Markup(prose).links]
    outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
    return [link for data in outputs for link in _Markup(data.get("text/html", "")).links]


def _resolves(link: str, notebook: NotebookNode, path: Path) -> bool:
    """Whether file and heading of a relative link exist."""
    file, _, anchor = unquote(link).partition("#")
    target = path.parent / file if file else path
    if file and not target.exists():
        return False
    if not anchor or target.suffix != ".ipynb":
        return True
    other = read_notebook(target) if file else notebook
    return anchor in {re.sub(r"\s", "-", text) for _, _, text in _headings(other)}


def _fences_removed(source: str) -> str:
    return re.sub(r"^(```|~~~).*?^\1", "", source, flags=re.MULTILINE | re.DOTALL)


def _prose(source: str) -> str:
    """Markdown without code."""
    return re.sub(r"`[^`\n]*`", "", _fences_removed(source))
