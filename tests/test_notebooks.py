"""The lanes that every lesson has to withstand, and for each lane a planted fault that it has to see.

A lesson is executed twice, whatever the number of tests that look at it; see `monkeynet_edu.course.lanes`.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_course
from nbformat import NotebookNode
from tiny_course import TinyCourse

from monkeynet_edu.course import build as builder
from monkeynet_edu.course import execution, lanes, lessons, sources
from monkeynet_edu.course.execution import Cost, ParameterError
from monkeynet_edu.course.lanes import Run, Runs
from monkeynet_edu.course.sources import Folders
from monkeynet_edu.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
SANITIZE = Path(__file__).with_name("nbval_sanitize.cfg")
FOLDERS = Folders.of(ROOT)
STEMS = sources.stems(FOLDERS)

pytestmark = pytest.mark.slow
every_lesson = pytest.mark.parametrize("number", list(STEMS))
both_kinds = pytest.mark.parametrize("kind", ["learner", "solved"])


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Executions of the lessons that the chosen tests ask for, begun at once."""
    chosen = {item.callspec.params.get("number") for item in request.session.items if hasattr(item, "callspec")}
    wanted = {number: (stem, lessons.load(number)) for number, stem in STEMS.items() if number in chosen}
    made = Runs(ROOT, tmp_path_factory.mktemp("lessons"), wanted)
    yield made
    made.close()


def stored(number: str, kind: sources.Kind = "solved") -> NotebookNode:
    return sources.read_notebook(FOLDERS.notebook(STEMS[number], kind))


def exercises(number: str) -> list[str]:
    return [exercise.id for exercise in lessons.load(number).exercises]


# ------------------------------------------------------------------------------------------------------ every lesson


def test_notebooks_are_what_the_build_would_write() -> None:
    assert builder.check() == []


@every_lesson
def test_the_solved_lesson_runs_twice_in_one_kernel_read_only_without_network_and_within_its_limits(
    number: str, runs: Runs
) -> None:
    assert runs.solved(number).findings() == []


@every_lesson
def test_every_answer_of_the_solved_lesson_passes(number: str, runs: Runs) -> None:
    assert lanes.wrong_verdicts(runs.solved(number).cells(1), exercises(number), "PASS") == []


@every_lesson
def test_the_learners_lesson_with_solutions_put_in_is_the_solved_one_and_passes(number: str, runs: Runs) -> None:
    put_in = sources.filled(stored(number, "learner"), lessons.load(number))
    assert [cell.source for cell in put_in.cells] == [cell.source for cell in stored(number).cells]
    assert lanes.wrong_verdicts(runs.solved(number).cells(2), exercises(number), "PASS") == []


@every_lesson
def test_the_learners_lesson_runs_to_its_end_untouched_with_nothing_attempted(number: str, runs: Runs) -> None:
    assert runs.learner(number).findings() == []
    assert lanes.wrong_verdicts(runs.learner(number).cells(), exercises(number), "NOT ATTEMPTED") == []


@every_lesson
def test_deterministic_outputs_are_the_stored_ones(number: str, runs: Runs) -> None:
    assert lanes.differences(stored(number), runs.solved(number).cells(1), SANITIZE) == []


@every_lesson
@both_kinds
def test_a_lesson_has_the_one_parameter(number: str, kind: sources.Kind) -> None:
    assert execution.parameters_of(FOLDERS.notebook(STEMS[number], kind)) == {"FAST"}


@every_lesson
def test_every_picture_has_an_alt_text_of_its_own(number: str) -> None:
    assert lanes.weak_alt_texts(stored(number)) == []


@every_lesson
@both_kinds
def test_headings_descend_and_links_lead_somewhere(number: str, kind: sources.Kind) -> None:
    path = FOLDERS.notebook(STEMS[number], kind)
    assert lanes.skipped_headings(stored(number, kind)) == []
    assert lanes.dead_links(stored(number, kind), path) == []


@every_lesson
def test_a_solved_lesson_is_small_and_its_measured_cost_within_the_limits(number: str) -> None:
    assert lanes.too_large(FOLDERS.notebook(STEMS[number], "solved")) == []
    measured = builder.read_measured(FOLDERS).get(number)
    assert measured is not None, "never measured: run `monkeynet-edu build --measure`"
    assert lanes.over_limits(Cost(measured["seconds"], measured["megabytes"]), "the full run") == []


# ------------------------------------------------------------------------------------------------------- a tiny lesson


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyCourse]:
    """A good lesson, built and executed."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("course") / "tiny"
        patch.syspath_prepend(str(root))
        patch.setenv("PYTHONPATH", str(root))
        course = tiny_course.make(root)
        builder.build(folders=course.folders, load=course.load, quiet=True, measured=True)
        yield course
    for name in [name for name in sys.modules if name.partition(".")[0] == "course_90"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def tiny_runs(tiny: TinyCourse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    lesson = {tiny_course.NUMBER: (tiny_course.STEM, tiny.load(tiny_course.NUMBER))}
    made = Runs(tiny.root, tmp_path_factory.mktemp("tiny"), lesson, shipped=("solutions", "notebooks", "course_90"))
    yield made
    made.close()


def raw(*cells: str) -> NotebookNode:
    """A notebook of these cells behind the one of parameters."""
    made = [sources.code_cell("FAST = False", {"tags": ["parameters"]}), *map(sources.code_cell, cells)]
    for index, cell in enumerate(made):
        cell["id"] = f"cell-{index}"
    return sources.node({"nbformat": 4, "nbformat_minor": 5, "metadata": sources.METADATA, "cells": made})


def try_out(notebook: NotebookNode, folder: Path, **options: Any) -> Run:
    """Runs a notebook in a checkout of its own."""
    checkout = folder / "checkout"
    checkout.mkdir()
    (checkout / "there.txt").write_text("before", "utf-8")
    return lanes.run(lanes.turns(notebook), "run", checkout=checkout, folder=checkout, scratch=folder / "out", **options)


def test_a_good_lesson_withstands_all_lanes(tiny: TinyCourse, tiny_runs: Runs) -> None:
    solved, learner = tiny_runs.solved("90"), tiny_runs.learner("90")
    notebook = sources.read_notebook(tiny.solved)
    assert solved.findings() == learner.findings() == []
    assert lanes.wrong_verdicts(solved.cells(1), ["tiny-flip"], "PASS") == []
    assert lanes.wrong_verdicts(solved.cells(2), ["tiny-flip"], "PASS") == []
    assert lanes.wrong_verdicts(learner.cells(), ["tiny-flip"], "NOT ATTEMPTED") == []
    assert lanes.differences(notebook, solved.cells(1), SANITIZE) == []
    assert builder.check(folders=tiny.folders, load=tiny.load) == []
    assert lanes.weak_alt_texts(notebook) == lanes.skipped_headings(notebook) == []
    assert lanes.dead_links(notebook, tiny.solved) == []
    assert 100 < solved.cost.megabytes < lanes.LIMIT_MEGABYTES


def test_the_short_mode_reaches_both_turns(tiny_runs: Runs) -> None:
    printed = [
        out.text for turn in (1, 2) for cell in tiny_runs.solved("90").cells(turn) for out in cell.outputs if "text" in out
    ]
    assert printed.count("steps: 2\n") == 2


# --- verdicts


def test_the_identity_submitted_as_a_flip_is_seen(tiny: TinyCourse, tiny_runs: Runs, tmp_path: Path) -> None:
    notebook = lanes.without_outputs(sources.read_notebook(tiny.solved))
    answer = next(cell for cell in notebook.cells if sources.exercise_of(cell))
    answer.source = "def flip(image):\n    return image"
    copy = tiny_runs.copy
    ran = lanes.run(lanes.turns(notebook), "identity", checkout=copy, folder=copy / "solutions", scratch=tmp_path)
    assert ran.findings() == []
    assert lanes.wrong_verdicts(ran.cells(), ["tiny-flip"], "PASS") == ["cell 5: tiny-flip: expected PASS, got FAIL"]


def test_an_exercise_that_is_never_submitted_is_seen(tiny_runs: Runs) -> None:
    cells = [cell for cell in tiny_runs.solved("90").cells(1) if not sources.submitted_in(cell)]
    assert lanes.wrong_verdicts(cells, ["tiny-flip"], "PASS") == ["tiny-flip: expected PASS, was never submitted"]


# --- swallowed errors

SWALLOWED = (
    "import threading, ipywidgets as widgets\n\nout = widgets.Output()\nwith out:\n    [][1]",
    "def show(x):\n    raise KeyError('in interact')\n\nwidgets.interact(show, x=3);",
    "button = widgets.Button()\nbutton.on_click(lambda b: 1 / 0)\nwith out:\n    button.click()",
    "thread = threading.Thread(target=lambda: int('in a thread'))\nthread.start()\nthread.join()",
)


def test_errors_inside_output_interact_callbacks_and_threads_are_seen(tmp_path: Path) -> None:
    ran = try_out(raw(*SWALLOWED), tmp_path)
    assert ran.error == "", "papermill itself lets all of them pass"
    said = "\n".join(ran.faults)
    for error in ("IndexError", "KeyError: 'in interact'", "ZeroDivisionError", "'in a thread'"):
        assert error in said


def test_the_build_refuses_a_lesson_that_swallows_an_error_and_writes_nothing() -> None:
    notebook = raw(SWALLOWED[0])
    with pytest.raises(UserError, match=r"^90, an Output widget: IndexError: .*nothing was written$"):
        execution.execute(notebook, "90")


def test_the_build_refuses_a_lesson_that_raises_with_its_cell() -> None:
    with pytest.raises(UserError, match=r"^90, cell 2: ZeroDivisionError: division by zero; mend it"):
        execution.execute(raw("1", "1 / 0"), "90")


# --- stored outputs


def test_a_changed_number_is_seen(tiny: TinyCourse, tiny_runs: Runs) -> None:
    notebook = sources.read_notebook(tiny.solved)
    notebook.cells[7].outputs[0].text = notebook.cells[7].outputs[0].text.replace("7.0", "7.5")
    (found,) = lanes.differences(notebook, tiny_runs.solved("90").cells(1), SANITIZE)
    assert found.startswith("cell 7: outputs differ: stdout: stored ")
    assert "7.5" in found


def test_a_changed_alt_text_and_a_missing_picture_are_seen(tiny: TinyCourse, tiny_runs: Runs) -> None:
    notebook = sources.read_notebook(tiny.solved)
    data = notebook.cells[9].outputs[0].data
    data["text/html"] = data["text/html"].replace("white diagonal", "black diagonal")
    assert [found[:6] for found in lanes.differences(notebook, tiny_runs.solved("90").cells(1), SANITIZE)] == ["cell 9"]
    notebook.cells[9].outputs = []
    assert [found[:6] for found in lanes.differences(notebook, tiny_runs.solved("90").cells(1), SANITIZE)] == ["cell 9"]


def test_a_notebook_that_was_never_executed_is_seen(tiny: TinyCourse, tiny_runs: Runs) -> None:
    empty = lanes.without_outputs(sources.read_notebook(tiny.solved))
    found = lanes.differences(empty, tiny_runs.solved("90").cells(1), SANITIZE)
    assert len(found) == sum(cell.cell_type == "code" for cell in empty.cells)
    assert "never executed" in found[0]


def test_nbval_by_its_own_command_line_agrees(tiny: TinyCourse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = tmp_path / "good.ipynb", tmp_path / "bad.ipynb"
    text = tiny.solved.read_text("utf-8")
    good.write_text(text, "utf-8")
    bad.write_text(text.replace("7.0", "7.5"), "utf-8")
    environment = {**execution.environment(tmp_path), "MONKEYNET_EDU_FAST": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--nbval-sanitize-with={SANITIZE}",
    ]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", str(good), str(bad)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 1, done.stdout
    assert "bad.ipynb" in failed[0]


# --- parameters and limits


def test_a_mistyped_parameter_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="FSAT"):
        try_out(raw("1"), tmp_path, parameters={"FSAT": True})


def test_what_does_not_end_is_stopped(tmp_path: Path) -> None:
    ran = try_out(raw("import time\n\ntime.sleep(100)"), tmp_path, seconds=6)
    assert ran.findings()[0] == "stopped after 6 s"


def test_a_lesson_of_more_than_ten_minutes_is_seen() -> None:
    assert lanes.over_limits(Cost(601, 10), "the full run") == ["the full run: 601 s, expected at most 600"]


# --- the checkout and the network

REFUSED = {
    "import socket\n\nsocket.socket().connect(('192.0.2.1', 80))": "no network in this run: 192.0.2.1",
    "import urllib.request\n\nurllib.request.urlopen('http://example.org')": "no network in this run: example.org",
    "open('new.txt', 'w')": "the checkout is read-only",
    "import os\n\nos.remove('there.txt')": "the checkout is read-only",
    "import os\n\nos.makedirs('folder/inside')": "the checkout is read-only",
}
ALLOWED = """\
import socket, tempfile

server = socket.create_server(('127.0.0.1', 0))
socket.create_connection(server.getsockname())
open('there.txt').read()
open(tempfile.mkstemp()[1], 'w').write('x')
"""


def test_the_network_and_writing_into_the_checkout_are_refused_and_seen(tmp_path: Path) -> None:
    caught = [f"try:\n{textwrap.indent(cell, '    ')}\nexcept OSError as error:\n    print(error)" for cell in REFUSED]
    ran = try_out(raw(ALLOWED, *caught, "open('new.txt', 'w')"), tmp_path)
    assert ran.findings()[0].startswith("cell 7: OSError: [Errno 30] the checkout is read-only in this run")
    for cell, said in zip(ran.cells()[2:7], REFUSED.values(), strict=True):
        assert said in cell.outputs[0].text
    assert ran.changed == ()


def test_what_another_program_writes_into_the_checkout_and_what_eats_a_gigabyte_are_seen(tmp_path: Path) -> None:
    write = "import subprocess\n\nsubprocess.run(['sh', '-c', 'echo after > there.txt'])"
    ran = try_out(raw(write, "much = b'1' * 1_100_000_000"), tmp_path)
    written, large = ran.findings()
    assert written == "there.txt: written into the checkout"
    assert large.endswith("MB, expected at most 1000")


# --- reading


def page(markdown: str = "", **outputs: str) -> NotebookNode:
    """A notebook of one text and one code cell with outputs by kind (`html`, `png`)."""
    kinds = {"html": "text/html", "png": "image/png"}
    cell = sources.code_cell("x")
    data = {kinds[kind]: content for kind, content in outputs.items()}
    cell.outputs = [sources.node({"output_type": "display_data", "metadata": {}, "data": data})] if data else []
    return sources.node({"cells": [{"cell_type": "markdown", "source": markdown, "metadata": {}}, cell]})


@pytest.mark.parametrize(
    ("notebook", "findings"),
    [
        (page(html='<img src="data:x" alt="a">'), 0),
        (page(html='<img src="data:x">'), 1),
        (page(html='<img src="data:x" alt=" ">'), 1),
        (page(html='<img alt="a"><p></p><img alt="a">'), 1),
        (page("![a](x.png)", html='<img alt="a">'), 1),
        (page("![a](x.png)", html='<img alt="b">'), 0),
        (page("`![](x.png)`\n\n```\n<img>\n```"), 0),
        (page("![](x.png)"), 1),
        (page(png="iVBORw0"), 1),
        (page(png="iVBORw0", html='<img alt="a">'), 0),
        (page(html='<svg role="img"></svg>'), 1),
        (page(html='<svg role="img" aria-label="a"></svg>'), 0),
    ],
)
def test_missing_empty_and_repeated_alt_texts_are_seen(notebook: NotebookNode, findings: int) -> None:
    assert len(lanes.weak_alt_texts(notebook)) == findings


@pytest.mark.parametrize(
    ("markdown", "findings"),
    [
        ("# A\n\n## B\n\n### C\n\n## D", 0),
        ("# A\n\n### C", 1),
        ("## A\n\n### B", 1),
        ("# A\n\n# B", 1),
        ("# A\n\n```python\n### no heading\n```", 0),
        ("no heading", 1),
    ],
)
def test_skipped_levels_of_headings_are_seen(markdown: str, findings: int) -> None:
    assert len(lanes.skipped_headings(page(markdown))) == findings


@pytest.mark.parametrize(
    ("markdown", "findings"),
    [
        ("[a](other.ipynb)", 0),
        ("[a](gone.ipynb)", 1),
        ("[a](other.ipynb#Its-heading)", 0),
        ("[a](other.ipynb#Another)", 1),
        ("# One heading\n\n[a](#One-heading)", 0),
        ("[a](#One-heading)", 1),
        ("[a](https://example.org) [b](mailto:a@b.c)", 0),
        ('[a](gone.png "title") <a href="gone.html">', 2),
        ("`[a](gone.png)`", 0),
        ("[a](with%20space.txt)", 0),
    ],
)
def test_dead_links_are_seen(markdown: str, findings: int, tmp_path: Path) -> None:
    other = sources.node(
        {**raw(), "cells": [{"id": "a", "cell_type": "markdown", "source": "# Its heading", "metadata": {}}]}
    )
    (tmp_path / "other.ipynb").write_text(sources.text_of(other), "utf-8")
    (tmp_path / "with space.txt").write_text("", "utf-8")
    assert len(lanes.dead_links(page(markdown), tmp_path / "this.ipynb")) == findings


def test_a_dead_link_in_an_output_is_seen(tmp_path: Path) -> None:
    assert len(lanes.dead_links(page(html='<a href="gone.html">'), tmp_path / "this.ipynb")) == 1


def test_a_large_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "large.ipynb"
    path.write_bytes(b"0" * (2**20 + 1))
    assert lanes.too_large(path) == ["large.ipynb: 1.00 MiB, expected at most 1"]


def test_an_error_that_a_widget_of_ours_has_kept_is_seen() -> None:
    from nbformat.v4 import new_notebook

    notebook = new_notebook()
    state = {"good": {"state": {"error": ""}}, "bad": {"state": {"error": "ValueError: no such frame"}}}
    notebook.metadata["widgets"] = {execution.WIDGET_STATE: {"state": state}}
    assert execution.faults(notebook) == ["a widget: ValueError: no such frame"]
