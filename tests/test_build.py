"""The build: what it writes, that it writes the same again, and that drift is found. Nothing is executed here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_course
from nbformat import NotebookNode
from tiny_course import TinyCourse

from monkeynet_edu.course import build as builder
from monkeynet_edu.course import execution, scaffold, sources
from monkeynet_edu.course.execution import Cost
from monkeynet_edu.errors import UserError


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyCourse]:
    monkeypatch.syspath_prepend(str(tmp_path / "tiny"))
    yield tiny_course.make(tmp_path / "tiny")
    for name in [name for name in sys.modules if name.partition(".")[0] == "course_90"]:
        del sys.modules[name]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In place of executions: their names; each cell prints its source."""
    names: list[str] = []

    def fake(notebook: NotebookNode, name: str, watch: object = None, *, devices: str = "") -> Cost:
        names.append(name)
        if "raise" in notebook.cells[-1].source:
            raise UserError(f"{name}, cell {len(notebook.cells) - 1}: ZeroDivisionError: no; mend it, nothing was written")
        for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
            cell.execution_count = count
            cell.outputs = [sources.node({"output_type": "stream", "name": "stdout", "text": f"{cell.source}\n"})]
        return Cost(12.0, 345.0)

    monkeypatch.setattr(builder, "execute", fake)
    return names


def build(course: TinyCourse, **options: object) -> list[builder.Built]:
    return builder.build(folders=course.folders, load=course.load, quiet=True, **options)  # type: ignore[arg-type]


def check(course: TinyCourse) -> list[str]:
    return builder.check(folders=course.folders, load=course.load)


def files(course: TinyCourse) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(course.root.rglob("*")) if path.suffix in (".ipynb", ".json")}


def rewrite(path: Path, change: object) -> None:
    notebook = sources.read_notebook(path)
    change(notebook)  # type: ignore[operator]
    path.write_text(sources.text_of(notebook), "utf-8")


# --------------------------------------------------------------------------------------------------------------- text


def test_the_two_notebooks_differ_only_in_the_cells_of_exercises(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    learner, solved = sources.read_notebook(course.learner), sources.read_notebook(course.solved)
    assert [cell.id for cell in learner.cells] == [cell.id for cell in solved.cells]
    different = [i for i, (a, b) in enumerate(zip(learner.cells, solved.cells, strict=True)) if a.source != b.source]
    assert [learner.cells[i].metadata["exercise"] for i in different] == ["tiny-flip"]
    assert "return image[..., order]" in solved.cells[different[0]].source
    assert "return image[..., order]" not in sources.text_of(learner)
    assert learner.cells[different[0] + 1].source == 'ex.submit("tiny-flip", flip)'
    assert all(not cell.outputs and cell.execution_count is None for cell in learner.cells if cell.cell_type == "code")


def test_the_cell_of_imports_opens_the_lesson_with_the_parameter(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    imports = next(cell for cell in sources.read_notebook(course.learner).cells if "imports" in sources.tags_of(cell))
    assert "import torch" in imports.source
    assert 'ex = open_lesson("90", FAST)' in imports.source


def test_a_learners_notebook_with_solutions_put_in_is_the_solved_one(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    put_in = sources.filled(sources.read_notebook(course.learner), course.load("90"))
    solved = sources.read_notebook(course.solved)
    assert [cell.source for cell in put_in.cells] == [cell.source for cell in solved.cells]


def test_building_again_changes_no_byte_and_runs_nothing(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    before = files(course)
    assert [built.written for built in build(course)] == [()]
    assert files(course) == before
    assert runs == ["90_tiny"]
    assert check(course) == []


def test_nothing_of_an_execution_but_outputs_and_counts_is_stored(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    solved = json.loads(course.solved.read_text("utf-8"))
    assert solved["metadata"] == sources.METADATA
    assert {key for cell in solved["cells"] for key in cell["metadata"]} == {"tags", "exercise", "submit"}


def test_a_changed_code_cell_is_executed_again_a_changed_text_is_not(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    course.edit("# ### What it does", "# ### What it did")
    build(course)
    assert runs == ["90_tiny"]
    course.edit("ex.steps(40)", "ex.steps(41)")
    build(course)
    assert runs == ["90_tiny"] * 2
    assert check(course) == []


def test_built_without_execution_unchanged_cells_keep_their_outputs_and_the_check_asks_for_the_others(
    course: TinyCourse, runs: list[str]
) -> None:
    build(course)
    course.edit("ex.steps(40)", "ex.steps(41)")
    build(course, execution="never")
    assert runs == ["90_tiny"]
    assert check(course) == ["solutions/90_tiny.ipynb, cell 8: never executed"]


def test_a_lesson_that_raises_leaves_all_files_as_they_were(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    before = files(course)
    course.edit('"A white diagonal on black.")', '"A white diagonal on black.")\nraise ZeroDivisionError')
    with pytest.raises(UserError, match=r"^90_tiny, cell 9: ZeroDivisionError: no; mend it"):
        build(course)
    assert files(course) == before


# -------------------------------------------------------------------------------------------------------------- drift


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("learner", lambda n: n.cells[0].update(source="# Other"), "notebooks/90_tiny.ipynb, cell 0: source differ"),
        (
            "learner",
            lambda n: n.cells[1].update(execution_count=1),
            "notebooks/90_tiny.ipynb, cell 1: execution_count differ",
        ),
        ("learner", lambda n: n.cells.pop(), "notebooks/90_tiny.ipynb, 9 cells instead of 10"),
        ("solved", lambda n: n.cells[4].update(source="1"), "solutions/90_tiny.ipynb, cell 4: source differ"),
        ("solved", lambda n: n.cells[4].update(id="another"), "solutions/90_tiny.ipynb, cell 4: id differ"),
        ("solved", lambda n: n.cells[7].metadata.update(tags=["a"]), "solutions/90_tiny.ipynb, cell 7: metadata differ"),
        ("solved", lambda n: n.metadata.update(author="x"), "solutions/90_tiny.ipynb, metadata of the notebook differ"),
        ("solved", lambda n: n.cells[7].update(execution_count=None), "solutions/90_tiny.ipynb, cell 7: never executed"),
    ],
)
def test_drift_is_named_with_file_and_cell(
    course: TinyCourse, runs: list[str], kind: sources.Kind, change: object, said: str
) -> None:
    build(course)
    rewrite(course.folders.notebook(tiny_course.STEM, kind), change)
    assert check(course) == [said]


def test_outputs_are_no_drift(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    rewrite(course.solved, lambda n: n.cells[7].update(outputs=[]))
    assert check(course) == []


def test_a_changed_solution_of_the_library_is_drift(
    course: TinyCourse, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(course)
    text = tiny_course.FLIP.partition("\n\n\n")[2].replace("columns + 1)", "1 + columns)")
    monkeypatch.setattr(scaffold, "solution_source", lambda exercise: text)
    assert check(course) == ["solutions/90_tiny.ipynb, cell 4: source differ"]


def test_a_missing_notebook_one_without_source_and_other_formatting_are_drift(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    course.solved.write_bytes(course.solved.read_bytes() + b"\n")
    (course.root / "notebooks" / "91_other.ipynb").write_bytes(course.learner.read_bytes())
    course.learner.unlink()
    assert check(course) == [
        "notebooks/90_tiny.ipynb, missing",
        "solutions/90_tiny.ipynb, written differently, although it says the same",
        "notebooks/91_other.ipynb: no source in solutions; remove it",
    ]


# ------------------------------------------------------------------------------------------------------------ measures


def test_measuring_writes_the_file_and_the_header_in_both_notebooks(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    assert "not measured yet" in course.learner.read_text("utf-8")
    build(course, measured=True)
    found = json.loads((course.root / "solutions" / "measured.json").read_text("utf-8"))["90"]
    assert (found["seconds"], found["megabytes"]) == (15, 350)
    for path in (course.learner, course.solved):
        head = sources.read_notebook(path).cells[0].source
        assert "about 5 minutes" in head
        assert "15 seconds without a graphics card" in head
        assert "350 MB" in head
        assert sources.HEADER not in head
    assert check(course) == []


@pytest.mark.parametrize(
    ("value", "old", "step", "new"),
    [(12.0, None, 5, 15), (12.0, 15, 5, 15), (18.7, 15, 5, 15), (19.0, 15, 5, 20), (11.0, 15, 5, 15), (0.2, None, 5, 5)],
)
def test_measured_numbers_do_not_flap(value: float, old: int | None, step: int, new: int) -> None:
    assert builder.steady(value, old, step) == new


# ------------------------------------------------------------------------------------------------------------- sources


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('# %% tags=["parameters"]\nFAST', "# %%\nFAST", "FAST = False"),
        ("FAST = False", "QUICK = False", "FAST = False"),
        ('# %% tags=["imports"]\n', "", "right after the parameters"),
        ('# %% tags=["imports"]\n', '# %% tags=["imports"]\nimport os\n', "empty cell"),
        ('exercise="tiny-flip"', 'exercise="tiny-flop"', "did you mean tiny-flip"),
        ('# %% exercise="tiny-flip"\n', "", "each exercise once"),
        ('# %% exercise="tiny-flip"\n', '# %% exercise="tiny-flip"\n\n# %% exercise="tiny-flip"\n', "each exercise once"),
        ("# <!-- header -->\n", "", "got it 0 times"),
    ],
)
def test_a_source_that_breaks_the_rules_is_refused_in_one_line(
    course: TinyCourse, runs: list[str], old: str, new: str, said: str
) -> None:
    course.edit(old, new)
    with pytest.raises(UserError) as caught:
        build(course)
    assert "90_tiny.py" in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not course.learner.exists()


def test_an_unknown_lesson_is_refused_with_the_known_ones(course: TinyCourse) -> None:
    with pytest.raises(UserError, match=r"unknown lesson '9': expected one of 90"):
        builder.build(["9"], folders=course.folders, load=course.load)


def test_a_broken_notebook_and_a_broken_measured_json_are_named(course: TinyCourse, runs: list[str]) -> None:
    build(course)
    course.learner.write_text("{", "utf-8")
    with pytest.raises(UserError, match=r"90_tiny\.ipynb: expected a notebook"):
        check(course)
    (course.root / "solutions" / "measured.json").write_text("{", "utf-8")
    with pytest.raises(UserError, match=r"measured\.json: expected JSON"):
        check(course)


def test_the_module_is_a_command_that_refuses_in_one_line() -> None:
    command = [sys.executable, "-m", "monkeynet_edu.course.build"]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([*command, "77", "--text"], capture_output=True, text=True, timeout=120, cwd=root)
    assert done.returncode == 2
    assert done.stderr.startswith("unknown lesson '77'")
    assert done.stderr.count("\n") == 1


# ------------------------------------------------------------------------------------------------------- stored outputs


def output(**data: str) -> dict[str, object]:
    mime = {"html": "text/html", "text": "text/plain", "view": execution.WIDGET_VIEW}
    return {"output_type": "display_data", "metadata": {}, "data": {mime[key]: value for key, value in data.items()}}


def test_addresses_and_live_widgets_are_not_stored_static_pictures_are() -> None:
    cell = sources.code_cell("x")
    cell.outputs = sources.node(
        {
            "o": [
                output(text="<f at 0x7f00deadbeef>"),
                output(view="1", text="Slider()"),
                output(view="1", html="<b>", text="S"),
            ]
        }
    ).o
    notebook = sources.node(
        {"cells": [cell], "metadata": {"widgets": {"random": 1}, "language_info": {"version": "3.11.7"}}}
    )
    execution.stabilise(notebook)
    assert notebook.metadata == sources.METADATA
    assert [out.data for out in notebook.cells[0].outputs] == [
        {"text/plain": "<f at 0x0>"},
        {"text/html": "<b>", "text/plain": "S"},
    ]
