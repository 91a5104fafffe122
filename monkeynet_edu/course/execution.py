"""Runs notebooks: for the build (full, outputs kept) and for the lanes (fast, guarded, in a process of their own)."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbformat import NotebookNode

from monkeynet_edu.course.sources import METADATA, code_cell, node, read_notebook, tags_of
from monkeynet_edu.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_SECONDS = 600
LIMIT_MEGABYTES = 1000
PACKAGE_ROOT = Path(__file__).resolve().parents[2]
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PEAK = "from monkeynet_edu.course.execution import peak_megabytes\n\nprint(peak_megabytes())"
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Cost:
    """What an execution took: seconds (the kernel's start and end apart), and the kernel's largest memory in MB."""

    seconds: float
    megabytes: float


def need(*modules: str) -> None:
    """Refuses to go on without packages of the test extra.

    Raises:
        UserError: one is not installed.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{module}: expected it to be installed, came nothing; pip install -e '.[test]'")


def peak_megabytes() -> float:
    """Largest memory of this process so far, in MB (10⁶ bytes)."""
    status = Path("/proc/self/status")
    if status.exists():  # `resource` would report the parent's peak where that was larger
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("utf-8"))
        if found:
            return int(found[1]) * 1024 / 1e6
    import psutil  # comes with ipykernel

    usage = psutil.Process().memory_info()
    return float(getattr(usage, "peak_wset", usage.rss)) / 1e6


def environment(scratch: Path, **changes: str) -> dict[str, str]:
    """Variables of a kernel: this package, own folders for progress and IPython, predictions skipped, nothing shortened."""
    dropped = {"MONKEYNET_EDU_FAST"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    paths = [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {
        "MONKEYNET_EDU_SKIP_PREDICTIONS": "1",
        "MONKEYNET_PROGRESS": str(scratch / "progress.json"),
        "IPYTHONDIR": str(scratch / "ipython"),
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(paths),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return {**kept, **own, **changes}


# ---------------------------------------------------------------------------------------------------------- the build


def execute(
    notebook: NotebookNode, name: str, watch: Callable[[int], None] = lambda index: None, *, devices: str = ""
) -> Cost:
    """Runs all cells in a new kernel, in an empty folder, and leaves the outputs in the notebook.

    Args:
        notebook: changed in place: outputs that would differ from run to run are made stable, see :func:`stabilise`.
        name: of the lesson, for errors.
        watch: told the number of each cell when it begins.
        devices: graphics cards that it may use (``"0"``); none by default, so that outputs do not depend on the machine.

    Raises:
        UserError: a cell raised, ran too long, or hid an error in a widget; one line with lesson, cell and error.
    """
    need("nbclient", "ipykernel")
    import nbclient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    silence_output_widgets()
    begun: list[float] = []  # when each cell began; the last one is ours

    def begin(cell: NotebookNode, cell_index: int) -> None:
        begun.append(time.monotonic())
        watch(cell_index)

    notebook.cells.append(code_cell(PEAK))
    with tempfile.TemporaryDirectory(prefix="lesson-", ignore_cleanup_errors=True) as folder:
        client = nbclient.NotebookClient(
            notebook,
            timeout=LIMIT_SECONDS,
            kernel_name="python3",
            record_timing=False,
            extra_arguments=["--log-level=ERROR"],
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
            on_cell_start=begin,
        )
        try:
            client.execute(env=environment(Path(folder), CUDA_VISIBLE_DEVICES=devices))
        except CellExecutionError as error:
            said = f"{error.ename}: {one_line(error.evalue)}"
            raise UserError(f"{name}, cell {len(begun) - 1}: {said}; mend it, nothing was written") from None
        except (CellTimeoutError, DeadKernelError) as error:
            raise UserError(
                f"{name}, cell {len(begun) - 1}: {one_line(str(error))}; mend it, nothing was written"
            ) from None
    last = notebook.cells.pop()
    found = faults(notebook)
    if found:
        raise UserError(f"{name}, {found[0]}; mend it, nothing was written")
    stabilise(notebook)
    return Cost(begun[-1] - begun[0], float(last.outputs[0].text))


def silence_output_widgets() -> None:
    """Keeps nbclient from sending what an ``Output`` shows back to the kernel, which only a front end needs.

    Sent while a cell still runs, it makes the kernel's reply to that cell get lost, and the run waits for ever.
    """
    from nbclient.output_widget import OutputWidget

    OutputWidget.sync_state = lambda self: None  # type: ignore[method-assign]


def stabilise(notebook: NotebookNode) -> None:
    """Takes out what differs from run to run: addresses, live widgets (their static pictures stay), versions."""
    notebook.metadata = node(METADATA)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        kept = []
        for output in cell.outputs:
            data = output.get("data", {})
            live = data.pop(WIDGET_VIEW, None) is not None
            if "text/plain" in data:
                data["text/plain"] = _ADDRESS.sub("0x0", data["text/plain"])
            if not (live and set(data) <= {"text/plain"}):  # a widget's repr tells a reader nothing
                kept.append(output)
        cell.outputs = kept


def one_line(text: str) -> str:
    """First line of a message that says something, without colours."""
    lines = [line.strip() for line in _COLOURS.sub("", text).splitlines() if line.strip()]
    return lines[0][:300] if lines else "no message"


def faults(notebook: NotebookNode) -> list[str]:
    """Errors that an execution swallowed: in cell outputs, in ``Output`` widgets, as tracebacks on standard error."""
    found = [
        f"cell {cell.metadata.get('cell', index)}: {text}"
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
        for text in _errors(cell.outputs)
    ]
    widgets = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for widget in widgets.values():
        state = widget.get("state", {})
        found += [f"an Output widget: {text}" for text in _errors(state.get("outputs", []))]
        if isinstance(state.get("error"), str) and state["error"]:
            found.append(f"a widget: {one_line(state['error'])}")
    return found


def _errors(outputs: list[NotebookNode]) -> Iterator[str]:
    for output in outputs:
        if output["output_type"] == "error":
            yield f"{output['ename']}: {one_line(output['evalue'])}"
        elif output["output_type"] == "stream" and "Traceback (most recent call last)" in output["text"]:
            yield one_line(output["text"].strip().splitlines()[-1])


# ---------------------------------------------------------------------------------------------------------- the lanes


class ParameterError(UserError):
    """A parameter that the notebook does not have."""


def parameters_of(path: Path) -> set[str]:
    """Names that papermill can set in a notebook."""
    need("papermill")
    from papermill import inspect_notebook

    return set(inspect_notebook(str(path)))


def run_guarded(
    path: Path,
    output: Path,
    parameters: Mapping[str, Any],
    *,
    protected: Path,
    folder: Path,
    scratch: Path,
    seconds: float = LIMIT_SECONDS,
) -> str:
    """Runs a notebook through papermill in a process of its own: no network, nothing under `protected` can be written.

    Args:
        path: the notebook to run.
        output: where the executed notebook goes, whether it raised or not.
        parameters: for the cell tagged ``parameters``.
        protected: the checkout; its package is the one that is imported.
        folder: where the kernel works.
        scratch: for progress, caches and what else a run may write.
        seconds: after this long the run is stopped.

    Returns:
        What went wrong, in one line; empty where nothing did.

    Raises:
        ParameterError: a parameter that the notebook does not have; papermill alone would only warn.
    """
    known = parameters_of(path)
    if unknown := sorted(set(parameters) - known):
        came = ", ".join(unknown)
        raise ParameterError(f"{path.name}: expected parameters among {sorted(known)}, got {came}; correct the name")
    guard = Path(__file__).with_name("guard")
    settings = environment(
        scratch,
        MONKEYNET_GUARD=str(protected),
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPATH=os.pathsep.join([str(guard), str(protected), str(PACKAGE_ROOT)]),
        OMP_NUM_THREADS="1",
    )
    program = "import sys; from monkeynet_edu.course.execution import papermill; papermill(*sys.argv[1:])"
    command = [sys.executable, "-c", program, str(path), str(output), str(folder), json.dumps(dict(parameters))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=scratch, env=settings, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            _, said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()  # the kernel ends itself when its parent is gone
            return f"stopped after {seconds:.0f} s"
    return one_line("\n".join(reversed(said.splitlines()))) if process.returncode else ""


def papermill(path: str, output: str, folder: str, parameters: str) -> None:
    """Runs one notebook in a folder and saves it, whether it raised or not; errors go to standard error."""
    from papermill import PapermillExecutionError, execute_notebook

    silence_output_widgets()
    options = {"kernel_name": "python3", "progress_bar": False, "cwd": folder}
    try:
        execute_notebook(path, output, json.loads(parameters), **options)
    except PapermillExecutionError as error:
        cells = [cell for cell in read_notebook(Path(output)).cells if "papermill-error-cell-tag" not in tags_of(cell)]
        cell = cells[error.cell_index]
        at = cell.metadata.get("cell", error.cell_index)
        sys.exit(f"cell {at}: {error.ename}: {one_line(error.evalue)}")
