"""What an exercise is: its target in the library, the properties that a right answer has, and the wrong ones people write.

An exercise is data. `judge` runs it, `verify` certifies it, `build` writes it into the notebooks.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from monkeynet_edu.viz import Picture

Function = Callable[..., Any]
Drawing = Callable[[], "Picture | None"]
Level = Literal["worked", "order", "blanks", "stub", "blank page"]
LEVELS: tuple[Level, ...] = ("worked", "order", "blanks", "stub", "blank page")


class Violation(Exception):  # noqa: N818 (an answer that is wrong is no error of the program)
    """A property that does not hold.

    Args:
        message: one sentence: what does not hold.
        tried: what the function was given, in words.
        expected: what should have come out.
        got: what came out.
        picture: draws both, where that tells more; called only when it is shown.
    """

    def __init__(
        self, message: str, tried: str = "", expected: str = "", got: str = "", picture: Drawing | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.tried, self.expected, self.got, self.picture = message, tried, expected, got, picture


@dataclass(frozen=True)
class Property:
    """Something that every right answer does, checked against an oracle that is not the library's function.

    Attributes:
        name: short, ``corners``.
        promise: one sentence for the learner: "the corners of the lattice are the centres of the corner pixels".
        check: called with the answer; raises :class:`Violation` (see :func:`expect`).
    """

    name: str
    promise: str
    check: Callable[[Function], None]


@dataclass(frozen=True)
class Mutant:
    """A wrong answer that learners really write, made from the right one by replacing text.

    Attributes:
        name: short, ``x-y-swapped``.
        misconception: what the writer believes, one sentence.
        hint: what to tell her: a question or a pointer, not the line.
        edits: (text in the solution, text instead); each text occurs exactly once; at most two statements change.
    """

    name: str
    misconception: str
    hint: str
    edits: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Call:
    """Arguments for one call of an answer; `said` names them in words (random 5×7 image)."""

    said: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Exercise:
    """One piece of Monkey-Net that the learner writes.

    Attributes:
        id: ``lattice``; unique in the course.
        title: for the banner.
        target: ``monkeynet_edu.geometry:lattice``: the function that is blanked for the learner, compared with, replaced.
        statement: what to write, in one or two sentences (markdown).
        level: how much of the solution the learner is given.
        steps: what the function does, step by step (comments of the stub).
        blanks: texts of the solution that are blanked at level ``blanks``; each occurs exactly once.
        hints: concept, shape, line.
        calls: makes the inputs on which answers are compared, timed and diagnosed: not square, not constant.
        properties: what holds for every right answer; independent oracles.
        mutants: at least three wrong versions (lesson 00 apart).
        alternatives: at least three right functions written differently.
        differentiable: names of the parameters through which a gradient has to flow.
        observe: what is compared where the result alone is not enough (a network's gradients): called with the function
            and a call; None compares the result.
        survivors: generated mutants that no input can tell from the right answer: their description and why.
        sites: more names that a pass replaces (``module:name``), beside the target.
        picture: draws (answer, right function) where the standard comparison of arrays tells too little.
        box: the box of the architecture map that this exercise belongs to.
        slow_after: seconds; an answer faster than this is never called slow.
    """

    id: str
    title: str
    target: str
    statement: str
    level: Level
    hints: tuple[str, str, str]
    calls: Callable[[], Sequence[Call]]
    properties: tuple[Property, ...]
    mutants: tuple[Mutant, ...]
    alternatives: tuple[Function, ...]
    box: str
    steps: tuple[str, ...] = ()
    blanks: tuple[str, ...] = ()
    differentiable: tuple[str, ...] = ()
    observe: Callable[[Function, Call], Any] | None = None
    survivors: Mapping[str, str] = field(default_factory=dict)
    sites: tuple[str, ...] = ()
    picture: Callable[[Function, Function], Picture] | None = None
    slow_after: float = 0.005

    @property
    def name(self) -> str:
        """Name of the function to write."""
        return self.target.partition(":")[2]

    @property
    def all_sites(self) -> tuple[str, ...]:
        """Everything that a pass replaces."""
        return (self.target, *self.sites)

    def inputs(self) -> Sequence[Call]:
        """The calls, the same numbers every time; the global random state stays as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.calls()

    def result(self, function: Function, call: Call) -> Any:
        """What is compared: the answer to a call, or what `observe` sees of it."""
        return self.observe(function, call) if self.observe else function(*call.args, **call.kwargs)


@dataclass(frozen=True)
class Lesson:
    """One lesson's exercises and what they need.

    Attributes:
        number: ``01``.
        slug: ``coordinates_and_warping``: the notebook is ``NN_slug.ipynb``.
        title: ``Coordinates and warping``.
        minutes: what a learner needs.
        imports: import lines of the notebook; every free name of every target is among them.
        exercises: in the order of the notebook.
    """

    number: str
    slug: str
    title: str
    minutes: int
    imports: str
    exercises: tuple[Exercise, ...]

    def namespace(self) -> dict[str, Any]:
        """Names that the imports give, for running answers outside a notebook."""
        names: dict[str, Any] = {"__name__": "my_monkeynet"}
        exec(self.imports, names)  # our own text
        return names


# ------------------------------------------------------------------------------------------------------- the solution

_ORIGINALS: dict[str, Function] = {}  # what the library had before an answer took its place


def resolve(site: str) -> tuple[Any, str]:
    """The object that holds a site's name, and that name: ``module:Class.method`` or ``module:function``."""
    module, _, path = site.partition(":")
    holder: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    return holder, name


def original(site: str) -> Function:
    """The library's own function at a site, whatever stands there now."""
    if site not in _ORIGINALS:
        holder, name = resolve(site)
        _ORIGINALS[site] = getattr(holder, name)
    return _ORIGINALS[site]


def solution_source(exercise: Exercise) -> str:
    """Text of the target, as the library has it."""
    return textwrap.dedent(inspect.getsource(original(exercise.target)))


def split_docstring(source: str) -> tuple[str, str]:
    """A function's text as (signature and docstring, the statements after it)."""
    function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    lines = source.splitlines(keepends=True)
    has_docstring = ast.get_docstring(function, clean=False) is not None
    last = function.body[0].end_lineno if has_docstring else function.body[0].lineno - 1
    return "".join(lines[:last]), "".join(lines[last:])


def mutant_source(exercise: Exercise, mutant: Mutant) -> str:
    """Text of the solution with a mutant's edits; the docstring is left alone.

    Raises:
        ValueError: a text to replace does not occur exactly once after the docstring.
    """
    head, body = split_docstring(solution_source(exercise))
    for old, new in mutant.edits:
        if body.count(old) != 1:
            raise ValueError(f"{exercise.id}/{mutant.name}: expected {old!r} once in the solution, got {body.count(old)}")
        body = body.replace(old, new)
    return head + body


def compile_function(source: str, name: str, namespace: dict[str, Any], filename: str = "<answer>") -> Function:
    """Runs a function's text in (a copy of) a namespace and returns it; its source stays readable for tracebacks."""
    import linecache

    scope = dict(namespace)
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), scope)  # the answer of the person who asked for it
    function: Function = scope[name]
    return function


# ------------------------------------------------------------------------------------------------------- comparing


def tensors(value: Any) -> list[Tensor]:
    """All tensors inside tuples, lists, dictionaries and dataclasses, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for item in value.values() for t in tensors(item)]
    if isinstance(value, tuple | list):
        return [t for item in value for t in tensors(item)]
    if is_dataclass(value) and not isinstance(value, type):
        return [t for f in fields(value) for t in tensors(getattr(value, f.name))]
    return []


def describe(value: Any) -> str:
    """A value in a few words: shape and type of tensors, small ones with their numbers."""
    if isinstance(value, Tensor):
        kind = f"tensor {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
        if value.numel() <= 8:
            numbers = [f"{v:.4g}" for v in value.detach().flatten().double().tolist()]
            return f"{kind}: {', '.join(numbers)}"
        return kind
    if isinstance(value, float):
        return f"{value:.5g}"
    text = repr(value)
    return text if len(text) < 120 else f"{text[:117]}…"


def expect(got: Any, expected: Any, message: str, tried: str = "", tolerance: float = 1e-4) -> None:
    """Holds an answer against an oracle.

    Args:
        got: what the answer returned: a tensor or a number.
        expected: what the oracle says; numbers, nested lists and arrays are taken as tensors.
        message: said where they differ, one sentence.
        tried: the input, in words.
        tolerance: relative to the largest expected value (at least 1).

    Raises:
        Violation: they differ in shape or by more than the tolerance, or the answer is not finite.
    """
    mine = got if isinstance(got, Tensor) else torch.as_tensor(got)
    right = expected if isinstance(expected, Tensor) else torch.as_tensor(expected)
    if mine.shape != right.shape:
        raise Violation(message, tried, f"shape {tuple(right.shape)}", f"shape {tuple(mine.shape)}")
    a, b = mine.detach().double().cpu(), right.detach().double().cpu()
    if not bool(a.isfinite().all()):
        raise Violation(f"{message}; some values are not finite", tried, describe(right), describe(mine))
    gap = (a - b).abs()
    scale = max(1.0, float(b.abs().max())) if b.numel() else 1.0
    if b.numel() and float(gap.max()) > tolerance * scale:
        where = tuple(int(i) for i in torch.unravel_index(gap.argmax(), gap.shape))
        place = f" at {list(where)}" if where else ""
        raise Violation(
            message,
            tried,
            f"{float(b[where]):.5g}{place}",
            f"{float(a[where]):.5g}{place}",
            functools.partial(comparison, a, b),
        )


def comparison(got: Tensor, expected: Tensor) -> Picture | None:
    """Yours | expected | difference, where both are at least two-dimensional and large enough to look at."""
    if got.shape != expected.shape or got.ndim < 2 or min(got.shape[-2:]) < 1 or got.numel() < 9:
        return None
    from monkeynet_edu.viz import figure_comparison

    return figure_comparison(got, expected)


def two_ends(came: Any, tried: str) -> tuple[float, float]:
    """An answer that has to be two numbers, the ends of an interval.

    Raises:
        Violation: it is something else.
    """
    if came is None:
        raise Violation("Your function returned nothing. Is there a `return`?", tried, "(low, high)", "None")
    try:
        low, high = came
        return float(low), float(high)
    except (TypeError, ValueError):
        kind = f"{len(came)} values" if isinstance(came, tuple | list) else type(came).__name__
        raise Violation("Two numbers have to come back: lower and upper end", tried, "(low, high)", kind) from None
