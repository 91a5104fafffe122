"""Judges an answer: right, wrong (and in which way), not attempted, or broken, in words that help.

The order: can it be called; does it return the right kind of thing and leave its input alone; do the exercise's properties
hold; does it agree with the library. A wrong answer that behaves like one of the exercise's mutants gets that mutant's
hint; any other wrong answer gets the property that it violates, never a guess.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from monkeynet_edu.course import install
from monkeynet_edu.course.exercise import (
    Call,
    Drawing,
    Exercise,
    Function,
    Violation,
    compile_function,
    describe,
    expect,
    mutant_source,
    original,
    tensors,
)
from monkeynet_edu.course.watchdog import TooSlow, time_limit
from monkeynet_edu.model import pick_device

if TYPE_CHECKING:
    from monkeynet_edu.viz import Picture

Status = Literal["PASS", "FAIL", "NOT ATTEMPTED", "ERROR"]
SLOW = 5.0  # times the library's time
SECONDS = 10.0  # for one call or one property


@dataclass(frozen=True)
class Verdict:
    """What came of an answer.

    Attributes:
        exercise: id.
        status: PASS, FAIL, NOT ATTEMPTED or ERROR.
        message: what holds or does not, one or two sentences.
        tried: the input, in words.
        expected: what should have come out.
        got: what came out.
        hint: of the mutant that the answer behaves like, or empty.
        mutant: its name, or empty.
        picture: draws what was expected and what came, where that tells more.
        uses_library: the answer calls the very function that it is to replace.
        slowness: time in multiples of the library's, where it is more than allowed; else 0.
        leaves_card: it would stop on a graphics card; said, and installed on machines that have none.
    """

    exercise: str
    status: Status
    message: str
    tried: str = ""
    expected: str = ""
    got: str = ""
    hint: str = ""
    mutant: str = ""
    picture: Drawing | None = field(default=None, compare=False)
    uses_library: bool = False
    slowness: float = 0.0
    leaves_card: bool = False

    @property
    def installs(self) -> bool:
        """Whether the model will run on this answer."""
        safe = not self.leaves_card or pick_device().device.type == "cpu"
        return self.status == "PASS" and not self.uses_library and not self.slowness and safe

    def drawn(self) -> Picture | None:
        """The picture; None where there is none, or the answer is so wrong that it cannot be drawn."""
        if self.picture is None:
            return None
        try:
            with time_limit(SECONDS):
                return self.picture()
        except (Exception, SystemExit, TooSlow):
            return None  # the words and numbers stand

    def to_json(self) -> dict[str, Any]:
        """Everything but the picture."""
        names = ("exercise", "status", "message", "tried", "expected", "got", "hint", "mutant", "uses_library")
        return {name: getattr(self, name) for name in names} | {"installs": self.installs}


class _NotWritten(Exception):  # noqa: N818
    """The stub is still a stub."""


class _Changed(Violation):
    """The answer changed what it was given: whatever it returns, that comes first."""


class _Broken(Exception):  # noqa: N818
    """The answer raised an error of its own."""

    def __init__(self, message: str, tried: str) -> None:
        super().__init__(message)
        self.message, self.tried = message, tried


def judge(exercise: Exercise, answer: Function | None) -> Verdict:
    """Judges an answer; never raises because of what the answer does.

    Args:
        exercise: what was asked.
        answer: a function, or None where nothing was defined.
    """
    if answer is None or (callable(answer) and unwritten(answer)):
        return _not_attempted(exercise)
    if not callable(answer):
        return Verdict(exercise.id, "FAIL", f"Expected a function, got {describe(answer)}. Submit {exercise.name} itself.")
    with install.library_only(exercise.all_sites):
        probe = _Probe(exercise, answer)
        try:
            calls = exercise.inputs()
            _check_signature(exercise, answer, calls)
            _check_kind(exercise, probe, calls)
            for promise in exercise.properties:
                _check_property(probe, promise.promise, promise.check)
            _check_agreement(exercise, probe, calls)
            if exercise.differentiable:
                _check_gradients(exercise, probe, calls)
            slowness, leaves_card = _slowness(exercise, answer), _leaves_card(exercise, answer, calls)
        except _NotWritten:
            return _not_attempted(exercise)
        except _Broken as broken:
            return Verdict(exercise.id, "ERROR", broken.message, broken.tried)
        except Violation as found:
            return _diagnosed(exercise, answer, found)
    return _passed(exercise, probe.uses_library, slowness, leaves_card)


def violated_property(exercise: Exercise, answer: Function) -> str | None:
    """Name of the first property that an answer violates (an error counts), or None; nothing else is looked at."""
    with install.library_only(exercise.all_sites):
        for promise in exercise.properties:
            try:
                _check_property(_Probe(exercise, answer), promise.promise, promise.check)
            except (Violation, _Broken, _NotWritten):
                return promise.name
    return None


def diagnose(exercise: Exercise, answer: Function) -> str:
    """Name of the mutant that an answer behaves like on all calls, or an empty text."""
    with install.library_only(exercise.all_sites):
        calls = exercise.inputs()
        mine = _results(exercise, answer, calls)
        if mine is None or _alike(mine, _results(exercise, original(exercise.target), calls)):
            return ""
        for mutant in exercise.mutants:
            function = mutant_function(exercise, mutant.name)
            if _alike(mine, _results(exercise, function, calls)):
                return mutant.name
    return ""


def mutant_function(exercise: Exercise, name: str) -> Function:
    """A mutant, ready to be called; its free names are those of the library's module."""
    mutant = next(m for m in exercise.mutants if m.name == name)
    return library_variant(exercise, mutant_source(exercise, mutant), f"{exercise.id}-{name}")


def library_variant(exercise: Exercise, source: str, label: str) -> Function:
    """A function made from a changed text of the solution, with the globals of the library's module."""
    namespace = dict(original(exercise.target).__globals__)
    return compile_function(f"from __future__ import annotations\n{source}", exercise.name, namespace, f"<{label}>")


# ----------------------------------------------------------------------------------------------------- what was written


def unwritten(answer: Function) -> bool:
    """Whether a function is still the stub: blanks are left, or its body only raises NotImplementedError."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(answer)))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError, IndentationError):
        return False
    if any(isinstance(node, ast.Name | ast.Attribute) and _name(node) == "____" for node in ast.walk(tree)):
        return True
    function = next((n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)), None)
    return function is not None and all(_says_nothing(statement) for statement in function.body)


def _name(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)  # a docstring, or ...
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Raise) and "NotImplementedError" in ast.dump(statement)
    )


def _not_attempted(exercise: Exercise) -> Verdict:
    message = f"{exercise.name} is not written yet. Until it is, the library's own version stands in."
    return Verdict(exercise.id, "NOT ATTEMPTED", message)


# ---------------------------------------------------------------------------------------------------------- the checks


class _Probe:
    """The answer, watched: stops when it takes too long, must not change its input, is seen to call the target."""

    def __init__(self, exercise: Exercise, answer: Function) -> None:
        self.exercise, self.answer = exercise, answer
        self.uses_library = any(answer is original(site) for site in exercise.all_sites)
        self._inside = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = tensors([args, kwargs])
        before = [t.detach().clone() for t in given]
        order = _containers([args, kwargs])
        target = original(self.exercise.target)

        def watched(*a: Any, **k: Any) -> Any:
            self.uses_library = self.uses_library or self._inside > 0
            return target(*a, **k)

        self._inside += 1
        try:
            with install.temporarily(dict.fromkeys(self.exercise.all_sites, watched)):
                result = self.answer(*args, **kwargs)
        finally:
            self._inside -= 1
        same = all(_same(t, b) for t, b in zip(given, before, strict=True))
        if not same or _containers([args, kwargs]) != order:
            raise _Changed(
                "Your function changes its input. Callers still need it: work on a copy, "
                "or use operations that return something new (x.flip(…), x + 1; not x[…] = …, x += 1, x.add_(…), "
                "x.append(…)).",
                "the input before and after the call", "the same numbers", "other numbers",
            )
        return result


def _containers(value: Any) -> Any:
    """Which objects lie in lists and dictionaries, however deep: it changes when somebody adds, removes or replaces one."""
    if isinstance(value, tuple | list):
        return [_containers(item) for item in value]
    if isinstance(value, dict):
        return {key: _containers(item) for key, item in value.items()}
    return id(value)


def _same(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.device.type == "meta":
        return a.shape == b.shape
    return bool(torch.equal(a.detach().nan_to_num(nan=12345.0), b.nan_to_num(nan=12345.0)))


def _run(probe: _Probe, tried: str, work: Callable[[], Any]) -> Any:
    """Runs a piece of a check; errors of the answer become words."""
    try:
        with time_limit(SECONDS):
            return work()
    except TooSlow:
        raise _Broken(
            f"Your function did not finish within {SECONDS:.0f} seconds, so it was stopped. Is there a loop whose "
            "condition never becomes false?",
            tried,
        ) from None
    except Violation as found:
        raise found if found.tried else type(found)(
            found.message, tried, found.expected, found.got, found.picture
        ) from None
    except NotImplementedError as error:
        if "meta" in str(error) or "kernel" in str(error) or "implemented for" in str(error):
            raise _Broken(_explained(probe.answer, error), tried) from None
        raise _NotWritten from None
    except (Exception, SystemExit) as error:
        raise _Broken(_explained(probe.answer, error), tried) from None


def _explained(answer: Function, error: BaseException) -> str:
    """The error's kind and text, and the line of the answer in which it happened."""
    file = getattr(getattr(inspect.unwrap(answer), "__code__", None), "co_filename", "")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file and f.line]
    where = f" in the line `{frames[-1].line.strip()}`" if frames and frames[-1].line else ""
    words = str(error).strip().splitlines()
    said = f": {words[0][:200]}" if words else ""
    more = " Does your function call itself?" if isinstance(error, RecursionError) else ""
    return f"Your function stopped with {type(error).__name__}{where}{said}.{more}"


def _check_signature(exercise: Exercise, answer: Function, calls: Sequence[Call]) -> None:
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):
        return
    right = inspect.signature(original(exercise.target))
    for call in calls:
        try:
            signature.bind(*call.args, **call.kwargs)
        except TypeError as error:
            wanted = ", ".join(map(_plain, right.parameters.values()))
            raise Violation(
                f"{exercise.name} cannot be called as the model calls it: {error}. "
                f"It has to take {exercise.name}({wanted}).",
                call.said,
                f"{len(right.parameters)} parameters: {wanted}",
                f"{len(signature.parameters)}: {', '.join(map(_plain, signature.parameters.values())) or 'none'}",
            ) from None


def _plain(parameter: inspect.Parameter) -> str:
    return str(parameter.replace(annotation=parameter.empty))


def _check_kind(exercise: Exercise, probe: _Probe, calls: Sequence[Call]) -> None:
    """Kind, shape, type and device of what comes back."""
    target = original(exercise.target)
    for call in calls:
        mine = _run(probe, call.said, lambda call=call: exercise.result(probe, call))  # type: ignore[misc]
        _compare_kind(mine, exercise.result(target, call), call.said)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same tuples, lists, dictionaries and dataclasses with changed tensors."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {k: _mapped(v, change) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_mapped(v, change) for v in value)
    names = getattr(value, "__dataclass_fields__", None)
    return replace(value, **{n: _mapped(getattr(value, n), change) for n in names}) if names and tensors(value) else value


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Copies of arguments with float tensors of another type, cut from any graph."""
    return _mapped(value, lambda t: t.detach().to(dtype, copy=True) if t.is_floating_point() else t)


def _compare_kind(mine: Any, right: Any, tried: str) -> None:
    if mine is None and right is not None:
        raise Violation("Your function returned nothing. Is there a `return`?", tried, describe(right), "None")
    if isinstance(right, Tensor) and not isinstance(mine, Tensor):
        raise Violation("Your function must return a tensor.", tried, describe(right), f"{type(mine).__name__}")
    a, b = tensors(mine), tensors(right)
    if len(a) != len(b):
        raise Violation(f"Expected {len(b)} tensors, got {len(a)}.", tried, f"{len(b)} tensors", f"{len(a)} tensors")
    for one, other in zip(a, b, strict=True):
        if one.shape != other.shape:
            shapes = str(tuple(other.shape)), str(tuple(one.shape))
            raise Violation(f"The shape is not right: expected {shapes[0]}, got {shapes[1]}.", tried, *shapes)
        if one.dtype != other.dtype:
            raise Violation(
                f"The type is not right: expected {other.dtype}, got {one.dtype}. Take dtype and device from the input "
                "(x.new_tensor(…), dtype=x.dtype) instead of writing them down.", tried, str(other.dtype), str(one.dtype),
            )
        if one.device != other.device:
            raise Violation(
                f"The result is on the wrong device: expected {other.device}, got {one.device}. Make new tensors with "
                "device=x.device.", tried, str(other.device), str(one.device),
            )
        if bool(other.isfinite().all()) and not bool(one.isfinite().all()):
            kind = "NaN" if bool(one.isnan().any()) else "infinity"
            why = "Is something divided by zero, or the root of a negative number taken?"
            raise Violation(f"The result contains {kind}. {why}", tried, "finite numbers", kind)


def _check_gradients(exercise: Exercise, probe: _Probe, calls: Sequence[Call]) -> None:
    """A gradient reaches the named parameters, and it is that of the library's function."""
    target, call = original(exercise.target), calls[0]
    names = list(inspect.signature(target).parameters)
    for name in exercise.differentiable:
        tried = f"{call.said}; gradient with respect to {name} (parameter {names.index(name) + 1})"
        mine, right = _gradients(exercise, probe, call, name)
        if mine is None:
            raise Violation(
                f"No gradient reaches {name}: the result is cut from the graph. Leave out .detach(), .item(), .numpy(), "
                "torch.tensor(…) of a tensor, and round or argmax: training needs the gradient.",
                tried,
                "a gradient",
                "none",
            )
        expect(mine, right, f"The gradient with respect to {name} is not right", tried, 1e-3)


def _gradients(exercise: Exercise, probe: _Probe, call: Call, name: str) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of answer and library: in float64, or in float32 where the answer knows only that."""

    def gradient(function: Function, cast: Callable[[Any], Any]) -> Tensor | None:
        bound = inspect.signature(original(exercise.target)).bind(*cast(call.args), **cast(dict(call.kwargs)))
        leaves = [t.requires_grad_() for t in tensors(bound.arguments[name]) if t.is_floating_point()]
        out = _run(probe, call.said, lambda: function(*bound.args, **bound.kwargs))
        return _gradient(tensors(out), leaves)

    wide, narrow = functools.partial(_cast, dtype=torch.float64), functools.partial(_cast, dtype=torch.float32)
    try:
        return gradient(probe, wide), gradient(original(exercise.target), wide)
    except _Broken:
        return gradient(probe, narrow), gradient(original(exercise.target), narrow)


def _gradient(results: list[Tensor], leaves: list[Tensor]) -> Tensor | None:
    """Gradient of a fixed random projection of the results, flattened; None where none arrives."""
    parts = [r for r in results if r.requires_grad]
    if not parts or not leaves:
        return None
    generator = torch.Generator().manual_seed(0)
    total = sum((r * torch.rand(r.shape, generator=generator, dtype=torch.float64).to(r)).sum() for r in parts)
    grads = torch.autograd.grad(total, leaves, allow_unused=True)  # type: ignore[arg-type]
    if all(g is None for g in grads):
        return None
    filled = [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(grads, leaves, strict=True)]
    return torch.cat([g.flatten() for g in filled])


def _leaves_card(exercise: Exercise, answer: Function, calls: Sequence[Call]) -> bool:
    """Whether an answer stops on a graphics card, or leaves it, where the library's function does not."""
    if exercise.observe is not None:
        return False
    fine = [call for call in calls if all_on_card(original(exercise.target), call)]
    return any(all_on_card(answer, call) is False for call in fine)


def all_on_card(function: Function, call: Call) -> bool | None:
    """Whether a function would compute on a graphics card what it is given there; None where that cannot be told.

    No card is needed, and nothing is computed: the device ``meta`` keeps shapes and types alone, and mixing it with the
    processor is an error here as it is on a card. What asks for a number stops: whether it would on a card is not known.
    """
    try:
        args, kwargs = _mapped((call.args, dict(call.kwargs)), lambda tensor: tensor.detach().to("meta"))
        if "device" in inspect.signature(function).parameters:
            kwargs["device"] = torch.device("meta")
        with time_limit(SECONDS), _OneDevice():  # type: ignore[no-untyped-call]
            results = tensors(function(*args, **kwargs))
    except _Mixed:
        return False
    except (Exception, SystemExit, TooSlow):
        return None
    return all(result.is_meta for result in results) if results else None


class _Mixed(Exception):  # noqa: N818
    """An operation was given tensors of two devices."""


_aten = torch.ops.aten
_MAY_MIX = (_aten.copy_, _aten._to_copy, _aten.index, _aten.index_put, _aten.index_put_)  # indices may lie on the processor


class _OneDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations on tensors of two devices, single numbers, copies and indices apart, as a graphics card does."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        places = {t.device.type for t in tensors([args, kwargs or {}]) if t.ndim}
        if len(places) > 1 and func.overloadpacket not in _MAY_MIX:
            raise _Mixed
        return func(*args, **(kwargs or {}))


def _check_property(probe: _Probe, promise: str, check: Callable[[Function], None]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _run(probe, promise, lambda: check(probe))


def _check_agreement(exercise: Exercise, probe: _Probe, calls: Sequence[Call]) -> None:
    """The last net: every property holds, and yet the numbers are not the library's."""
    target = original(exercise.target)
    for call in calls:
        mine = _run(probe, call.said, lambda call=call: exercise.result(probe, call))  # type: ignore[misc]
        right = exercise.result(target, call)
        for a, b in zip(tensors(mine), tensors(right), strict=True):
            expect(a, b, "The result is not what the library computes", call.said)
        if not tensors(right) and mine != right:
            raise Violation("The result is not what the library computes.", call.said, describe(right), describe(mine))


def _slowness(exercise: Exercise, answer: Function) -> float:
    """Time of the answer in multiples of the library's, where it is more than allowed; else 0."""
    if exercise.observe is not None:
        return 0.0
    calls = exercise.inputs()

    def seconds(function: Function) -> float:
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            for call in calls:
                function(*call.args, **call.kwargs)
            best = min(best, time.perf_counter() - began)
            if best < exercise.slow_after:
                break
        return best

    mine = seconds(answer)
    if mine < exercise.slow_after:
        return 0.0
    ratio = mine / seconds(original(exercise.target))
    return ratio if ratio > SLOW else 0.0


# ----------------------------------------------------------------------------------------------------------- the words


def _results(exercise: Exercise, function: Function, calls: Sequence[Call]) -> list[Any] | None:
    """Results of all calls; None where the function stops with an error."""
    try:
        with time_limit(SECONDS):
            return [exercise.result(function, call) for call in calls]
    except (Exception, SystemExit, TooSlow):
        return None


def _alike(one: list[Any] | None, other: list[Any] | None) -> bool:
    """Whether two lists of results agree to 1e-4."""
    if one is None or other is None:
        return False
    try:
        pairs = list(zip(tensors(one), tensors(other), strict=True))
        for a, b in pairs:
            expect(a, b, "")
    except (Violation, ValueError, RuntimeError):
        return False
    return bool(pairs) or one == other


def _diagnosed(exercise: Exercise, answer: Function, found: Violation) -> Verdict:
    name = "" if isinstance(found, _Changed) else diagnose(exercise, answer)
    hint = next((m.hint for m in exercise.mutants if m.name == name), "")
    picture = found.picture
    if exercise.picture is not None:
        picture = functools.partial(exercise.picture, answer, original(exercise.target))
    return Verdict(
        exercise.id, "FAIL", found.message, found.tried, found.expected, found.got, hint, name, picture
    )


def _passed(exercise: Exercise, uses_library: bool, slowness: float, leaves_card: bool) -> Verdict:
    message = f"{exercise.title}: right. {exercise.name} is now part of your model."
    if uses_library:
        message = (
            f"{exercise.title}: right, by calling the library's own {exercise.name}. That is allowed and marked as such; "
            "the library's version stays in the model. Try it without."
        )
    elif slowness:
        message = (
            f"{exercise.title}: right, slow, not installed: it takes {slowness:.0f} times as long as the library's, and "
            "the model calls it often. Replace loops over pixels by operations on whole tensors, then submit again."
        )
    elif leaves_card:
        message += (
            " On a graphics card it would stop: it makes a tensor on the processor, whatever it is given. Make new tensors "
            "with device=x.device, or as x.new_tensor(…), torch.zeros_like(x)."
        )
    return Verdict(exercise.id, "PASS", message, uses_library=uses_library, slowness=slowness, leaves_card=leaves_card)
