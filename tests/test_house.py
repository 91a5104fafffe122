"""The rules of CONTRIBUTING.md: layers, light imports, agreeing dependencies, sizes, docstrings, CI's command."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "monkeynet_edu"
MIB = 2**20

# From bottom to top: a module imports only what stands before it. `data` alone is the package's __init__.
LAYERS = [
    "errors",
    "files",
    "paths",
    "interrupts",
    "geometry",
    "viz",
    "data.sprites",
    "data.containers",
    "data.video",
    "data.sound",
    "data.blocks",
    "data.miniatures",
    "data.datasets",
    "data.pairs",
    "data",
    "layers",
    "keypoints",
    "motion",
    "generator",
    "discriminator",
    "losses",
    "model",
    "official",
    "monitor",
    "run_folder",
    "processes",
    "training",
    "alignment",
    "animation",
    "streaming",
    "prediction",
    "evaluators",
    "metrics",
    "baselines",
    "experiments",
    "widgets",
    "course",
    "demo",
    "doctor",
    "cli",
    "__main__",
]
# One row of the table: `official` builds on `model`, whose `MonkeyNet.from_official` calls it by an import inside.
EXCEPTIONS = {("model", "official")}
HEAVY = {"matplotlib", "ipywidgets", "anywidget", "jupyter", "jupyterlab", "jupyter_core", "ipykernel", "IPython"}


def modules() -> dict[str, Path]:
    """Dotted name below the package (`data.video`; the package itself is the empty name) to file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def layer_of(name: str) -> str:
    """The entry of LAYERS that a module belongs to: parts of `data` have their own, other packages one."""
    parts = name.split(".")
    return ".".join(parts[: 2 if parts[0] == "data" else 1])


def imported(tree: ast.AST, importer: str, known: set[str], is_package: bool = False) -> Iterator[str]:
    """The library's modules that a syntax tree imports, at any depth, relative imports included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                head, _, rest = alias.name.partition(".")
                if head == "monkeynet_edu":
                    yield rest
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ["monkeynet_edu", *importer.split(".")] if importer else ["monkeynet_edu"]
                here = package[: len(package) - node.level + (1 if is_package else 0)]
                base = ".".join([*here, base] if base else here)
            head, _, rest = base.partition(".")
            if head != "monkeynet_edu":
                continue
            for alias in node.names:
                inner = f"{rest}.{alias.name}".strip(".")
                # A name that the bare package merely hands on must not be a way round the rule.
                yield inner if inner in known or (not rest and alias.name != "__version__") else rest


def violations(source: str, importer: str, known: set[str], is_package: bool = False) -> list[str]:
    """What a module imports although it does not stand below it."""
    own = layer_of(importer)
    bad = []
    for name in imported(ast.parse(source), importer, known, is_package):
        other = layer_of(name)
        if name == "" or other == own or (importer, name) in EXCEPTIONS:
            continue
        if other not in LAYERS or LAYERS.index(other) > LAYERS.index(own):
            bad.append(f"{importer} imports {name}")
    return bad


def test_every_module_has_its_place_in_the_table_of_layers() -> None:
    strangers = {layer_of(name) for name in modules() if name} - set(LAYERS)
    assert not strangers, f"give {sorted(strangers)} a place in LAYERS and in CONTRIBUTING.md"


def test_a_module_imports_only_modules_above_it() -> None:
    known = modules()
    bad = [
        text
        for name, path in known.items()
        if name
        for text in violations(path.read_text("utf-8"), name, set(known), path.name == "__init__.py")
    ]
    assert bad == []


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("geometry", "from monkeynet_edu import viz"),
        ("geometry", "import monkeynet_edu.viz as v"),
        ("geometry", "from . import viz"),
        ("geometry", "from monkeynet_edu import MonkeyNet"),
        ("geometry", "def f():\n    from .viz import grid"),
        ("data.video", "from monkeynet_edu.data import pairs"),
        ("data.video", "from . import pairs"),
        ("data.sprites", "from monkeynet_edu.data import anything"),
        ("data.sprites.faces", "from ..video import read_clip"),
        ("experiments", "if True:\n    from monkeynet_edu import widgets"),
        ("model", "from monkeynet_edu.course.checks import check"),
    ],
)
def test_the_layering_check_sees_an_import_that_goes_up(importer: str, source: str) -> None:
    known = {name for name in LAYERS if "." not in name} | set(LAYERS) | {"course.checks", "data.sprites.faces"}
    assert len(violations(source, importer, known)) == 1


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("viz", "from monkeynet_edu import geometry, __version__"),
        ("data.pairs", "from . import video\nfrom .sprites import render"),
        ("data.sprites.faces", "from .shapes import disc\nfrom ... import geometry"),
        ("course", "from monkeynet_edu import widgets"),
        ("cli", "from monkeynet_edu.widgets import show"),
    ],
)
def test_the_layering_check_allows_an_import_that_goes_down(importer: str, source: str) -> None:
    known = set(LAYERS) | {"data.sprites.faces", "data.sprites.shapes"}
    assert violations(source, importer, known) == []


def test_contributing_lists_the_layers_in_the_same_order() -> None:
    rule = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("## The layering rule")[1].split("Imports inside")[0]
    named = [name.rstrip("/") for name in re.findall(r"`([\w/]+)`", rule)]
    # `data/` stands before its parts on the page, and behind them in the table, where it is the package's __init__.
    table = [name.removeprefix("data.") for name in LAYERS if name not in ("data", "__main__")]
    assert [name for name in named if name != "data"] == table


def test_importing_the_library_loads_neither_matplotlib_nor_jupyter_nor_ipywidgets() -> None:
    names = [n for n in modules() if layer_of(n) not in ("widgets", "course", "__main__")]
    program = (
        "import importlib, sys\n"
        f"for name in {sorted(names)!r}:\n"
        "    importlib.import_module('.'.join(filter(None, ['monkeynet_edu', name])))\n"
        f"    heavy = sorted({HEAVY!r} & set(sys.modules))\n"
        "    if heavy:\n"
        "        sys.exit(f'importing {name} has loaded {heavy}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# --- dependencies ----------------------------------------------------------------------------------------------------


def pyproject() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def normal(requirement: str) -> str:
    """A requirement in one spelling: `Torch >= 2, <3` is `torch<3,>=2`."""
    name, limits = re.fullmatch(r"([\w.-]+)(.*)", requirement.replace(" ", "")).groups()
    return re.sub(r"[-_.]+", "-", name).lower() + ",".join(sorted(limits.split(",")))


def test_environment_yml_names_the_dependencies_of_pyproject() -> None:
    project = pyproject()
    wanted = {normal(text) for text in project["dependencies"]}
    for extra in project["optional-dependencies"].values():
        wanted |= {normal(text) for text in extra if not text.startswith("monkeynet-edu[")}
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    assert "--editable ." in pip
    listed = [normal(text) for text in pip if not text.startswith("-")]
    assert sorted(listed) == sorted(wanted)


def test_environment_yml_takes_a_python_that_pyproject_admits() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    python = next(entry for entry in conda if isinstance(entry, str) and entry.startswith("python"))
    floor = pyproject()["requires-python"]
    assert floor == ">=3.11"
    assert python.removeprefix("python").split(",")[0] == floor


def test_citation_names_the_version_of_the_package() -> None:
    from monkeynet_edu import __version__

    assert yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"] == __version__ == pyproject()["version"]


def test_every_script_of_pyproject_can_be_imported_and_called() -> None:
    scripts = pyproject()["scripts"]
    assert "monkeynet-edu" in scripts
    for target in scripts.values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


# --- sizes -----------------------------------------------------------------------------------------------------------


def tracked_sizes() -> dict[str, int]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("sizes are checked in a git checkout; this is none")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [name for name in listing.split("\0") if name and (ROOT / name).is_file()]
    return {name: (ROOT / name).stat().st_size for name in paths}


def test_the_repository_stays_small() -> None:
    sizes = tracked_sizes()
    assert sum(sizes.values()) <= 45 * MIB
    assert {name: size for name, size in sizes.items() if size > 10_000_000} == {}


def test_data_small_stays_small() -> None:
    small = {name: size for name, size in tracked_sizes().items() if name.startswith("data_small/")}
    weights = {name: size for name, size in small.items() if name.endswith(".safetensors")}
    assert sum(weights.values()) <= 21 * MIB
    results = {name: size for name, size in small.items() if name.startswith("data_small/results/")}
    assert sum(results.values()) <= 2 * MIB
    assert sum(small.values()) - sum(weights.values()) - sum(results.values()) <= 12 * MIB


# --- code ------------------------------------------------------------------------------------------------------------


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, source: str) -> int:
    """Lines of a function, signature included, without its docstring, comments and empty lines."""
    lines = source.splitlines()
    numbers = set(range(function.lineno, (function.end_lineno or function.lineno) + 1))
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        numbers -= set(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return sum(1 for number in numbers if lines[number - 1].strip() and not lines[number - 1].lstrip().startswith("#"))


def undocumented(tree: ast.Module) -> list[str]:
    """Public functions and classes of a module, and public methods of public classes, that have no docstring."""
    missing = []

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            setter = any(isinstance(mark, ast.Attribute) for mark in node.decorator_list) and prefix
            if ast.get_docstring(node) is None and not setter:
                missing.append(f"{prefix}{node.name}")
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{node.name}.")

    visit(tree.body, "")
    return missing


def test_code_lines_leave_out_docstring_comments_and_blanks() -> None:
    source = 'def f(\n    x,\n):\n    """One.\n\n    Two.\n    """\n    # why\n\n    return x\n'
    assert code_lines(next(functions(ast.parse(source))), source) == 4


def test_no_function_is_longer_than_sixty_lines() -> None:
    long = []
    for name, path in modules().items():
        source = path.read_text("utf-8")
        sizes = [(function.name, code_lines(function, source)) for function in functions(ast.parse(source))]
        long += [f"{name}.{function}: {size} lines" for function, size in sizes if size > 60]
    assert long == []


def test_every_public_function_has_a_docstring() -> None:
    bad = [
        f"{name}.{what}" for name, path in modules().items() for what in undocumented(ast.parse(path.read_text("utf-8")))
    ]
    assert bad == []


def test_the_docstring_check_sees_functions_classes_and_methods() -> None:
    source = "def f(): ...\ndef _g(): ...\nclass A:\n    def m(self): ...\n    def __len__(self): ...\n"
    assert undocumented(ast.parse(source)) == ["f", "A", "A.m"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [["ruff", "check", "."], ["mypy"]], ids=["ruff", "mypy"])
def test_style_and_types_are_clean(command: list[str], tmp_path: Path) -> None:
    # Own cache folders: nothing is written into the checkout.
    environment = {**os.environ, "RUFF_CACHE_DIR": str(tmp_path / "ruff"), "MYPY_CACHE_DIR": str(tmp_path / "mypy")}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- README and CI ---------------------------------------------------------------------------------------------------


def fenced_command(readme: str, name: str) -> str:
    """The fenced block right after the comment that names it; found here in another way than in .ci/run."""
    found = re.findall(rf"^<!-- command: {name} -->\n\s*```\w*\n(.*?)\n```$", readme, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"README.md has {len(found)} blocks marked <!-- command: {name} -->"
    return found[0]


def run_ci(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "MONKEYNET_CI_NO_APT": "1"}
    return subprocess.run(
        ["bash", str(folder / ".ci" / "run"), *arguments], env=environment, capture_output=True, text=True, timeout=120
    )


def ci_beside(readme: str, folder: Path) -> Path:
    """A folder with a README of our own and a copy of .ci/run."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    (folder / "README.md").write_text(readme, "utf-8")
    return folder


needs_bash = pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason=".ci/run needs bash")


def test_readme_names_one_command_for_the_demo_and_one_for_the_tests() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "monkeynet-edu demo" in fenced_command(readme, "demo")
    assert re.search(r"\bpytest$", fenced_command(readme, "test"))


@needs_bash
def test_ci_runs_readmes_test_command_word_for_word() -> None:
    done = run_ci(ROOT, "--print")
    assert done.returncode == 0, done.stderr
    assert done.stdout == fenced_command((ROOT / "README.md").read_text("utf-8"), "test") + "\n"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@needs_bash
@pytest.mark.parametrize(
    "readme",
    [
        "no command\n",
        "<!-- command: demo -->\n```bash\npytest\n```\n",
        "<!-- command: test -->\nwords\n```bash\npytest\n```\n",
        "<!-- command: test -->\n```bash\npytest\n",
        "<!-- command: test -->\n```bash\n```\n",
    ],
    ids=["none", "other", "apart", "unclosed", "empty"],
)
def test_ci_fails_when_readme_has_no_test_command(readme: str, tmp_path: Path) -> None:
    done = run_ci(ci_beside(readme, tmp_path))
    assert done.returncode == 2
    assert "command: test" in done.stderr


@needs_bash
def test_ci_runs_the_command_in_the_root_inside_a_new_environment_and_hands_on_its_failure(tmp_path: Path) -> None:
    lines = ["python -c 'import sys; print(sys.prefix != sys.base_prefix)'", "pwd", 'echo "$VIRTUAL_ENV"', "exit 3"]
    command = "\n".join(lines)
    folder = ci_beside(f"# A\n\n<!-- command: test -->\n\n```bash\n{command}\n```\nmore\n", tmp_path)
    done = run_ci(folder)
    isolated, where, environment = done.stdout.split()
    assert (isolated, Path(where).resolve()) == ("True", folder.resolve())
    assert not Path(environment).exists()
    assert done.returncode == 3
