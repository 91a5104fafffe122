"""Lesson 07: the learning rate, the loop, what a checkpoint must hold, and telling what is wrong with a training."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, Violation, expect
from monkeynet_edu.monitor import Vitals

IMPORTS = """\
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from monkeynet_edu import monitor, training, viz, widgets
from monkeynet_edu.course.reference import training_loop as loop
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.monitor import Vitals
from monkeynet_edu.training import Optimizers"""


# ------------------------------------------------------------------------------------------------------- learning rate


def _rate_calls() -> Sequence[Call]:
    shares = (0.0, 0.1, 1 / 3, 0.5, 0.8, 1.0, 1.3)
    return tuple(Call(f"highest rate {h:g}, {p:.0%} of the training done", (h, p)) for h in (0.8, 3.0) for p in shares)


def _number(function: Function, call: Call) -> Tensor:
    return torch.as_tensor(function(*call.args), dtype=torch.float64)


def _rate_ends(f: Function) -> None:
    expect(f(0.8, 0.0), 0.8, "A training begins with the highest rate", "highest rate 0.8, progress 0")
    expect(f(0.8, 1.0), 0.016, "It ends with a fiftieth of the highest rate, not with 0", "highest rate 0.8, progress 1")


def _rate_hand(f: Function) -> None:
    # cos(π/3) = ½ and cos(π/2) = 0: the wave is ¾ and ½ there.
    expect(f(1.0, 1 / 3), 0.755, "A third of the way, half a cosine has fallen to ¾: 0.02 + 0.98·¾", "progress 1/3")
    expect(f(1.0, 0.5), 0.51, "Half way, half a cosine has fallen to ½: 0.02 + 0.98·½", "progress 1/2")


def _rate_falls(f: Function) -> None:
    values = [float(f(1.0, i / 20)) for i in range(21)]
    for i, (one, other) in enumerate(itertools.pairwise(values)):
        if not one > other:
            raise Violation(
                "The rate has to fall all the way",
                f"progress {i / 20:.2f} and {(i + 1) / 20:.2f}",
                f"less than {one:.4f}",
                f"{other:.4f}",
            )


def _rate_after(f: Function) -> None:
    message = "Who trains on after the planned end keeps the last rate: a cosine would rise again"
    expect(f(1.0, 1.4), 0.02, message, "progress 1.4")


def _rate_symmetric(highest: float, progress: float) -> float:
    angle = math.pi * (progress if progress < 1 else 1)
    return 0.51 * highest + 0.49 * highest * math.cos(angle)


def _rate_squared(highest: float, progress: float) -> float:
    return highest / 50 + 0.98 * highest * math.cos(math.pi / 2 * min(1.0, progress)) ** 2


def _rate_tensor(highest: float, progress: float) -> float:
    share = torch.tensor(progress, dtype=torch.float64).clamp(max=1)
    return float(highest * (0.02 + 0.98 * (0.5 + 0.5 * torch.cos(torch.pi * share))))


RATE = Exercise(
    id="cosine-rate",
    title="A learning rate that falls",
    target="monkeynet_edu.training:cosine_rate",
    statement=(
        "Let the learning rate fall along half a cosine, from `highest` to a fiftieth of it: highest · (0.02 + "
        "0.98 · wave). "
        "The wave goes from 1 at the start to 0 at the end."
    ),
    level="blanks",
    steps=("beyond the planned end, nothing changes any more", "half a cosine, from 1 down to 0", "a fiftieth stays"),
    blanks=("min(progress, 1.0)", "(1 + math.cos(math.pi * share)) / 2"),
    hints=(
        "A cosine goes from 1 to -1. Shift and shrink it, so that it goes from 1 to 0.",
        "Two numbers in, one number out. `share` stops at 1; math.cos takes radians, and half a cosine wave is π long.",
        "`share = min(progress, 1.0)` and `wave = (1 + math.cos(math.pi * share)) / 2`.",
    ),
    calls=_rate_calls,
    observe=_number,
    properties=(
        Property("ends", "it begins with the highest rate and ends with a fiftieth of it", _rate_ends),
        Property("by-hand", "after a third it is 0.755, after a half 0.51 of the highest", _rate_hand),
        Property("falls", "it falls all the way", _rate_falls),
        Property("after", "beyond the end it stays", _rate_after),
    ),
    mutants=(
        Mutant(
            "down-to-nothing",
            "the last steps should have the rate 0",
            "Your last steps have a rate of nearly 0: they cost time and change nothing. How much should stay?",
            (("0.02 + 0.98 * wave", "wave"),),
        ),
        Mutant(
            "quarter-wave",
            "a cosine has fallen as far as it can at a right angle",
            "Your rate ends half way up. How long is the piece of a cosine that goes from its top to its bottom?",
            (("math.pi * share", "math.pi / 2 * share"),),
        ),
        Mutant(
            "degrees",
            "math.cos takes degrees",
            "Your rate goes up and down many times. In which unit does math.cos take an angle?",
            (("math.pi * share", "180 * share"),),
        ),
        Mutant(
            "rises-again",
            "nobody trains beyond the planned end",
            "Beyond the planned end your rate rises again. What should it do there?",
            (("min(progress, 1.0)", "progress"),),
        ),
        Mutant(
            "straight-line",
            "from 1 to 0 means 1 - progress",
            "A straight line has the right ends. What is special about the first and the last steps along a cosine?",
            (("(1 + math.cos(math.pi * share)) / 2", "1 - share"),),
        ),
    ),
    alternatives=(_rate_symmetric, _rate_squared, _rate_tensor),
    box="training",
)


# -------------------------------------------------------------------------------------------------------------- the loop


def _halving(progress: float) -> float:
    return 1.0 - 0.5 * progress


def _numbered(step: int) -> tuple[Tensor, Tensor]:
    return torch.tensor([1.0 * step, 2.0]), torch.tensor([10.0 * step, 3.0])


def _noted(source: Tensor, driving: Tensor, rate: float) -> Tensor:
    return torch.cat([source, driving, torch.tensor([float(rate)])])


def _loop_calls() -> Sequence[Call]:
    return tuple(
        Call(f"steps {first} to {steps - 1} of {steps}", (first, steps, _halving, _numbered, _noted))
        for first, steps in ((0, 6), (3, 8), (7, 8), (2, 5))
    )


def _loop_observed(function: Function, call: Call) -> Any:
    """What each step saw, as plain numbers, and the numbers of the batches drawn; None where nothing came back."""
    first, steps, rate, batch, take = call.args
    drawn: list[float] = []

    def noting(number: int) -> tuple[Tensor, Tensor]:
        drawn.append(float(number))
        return batch(number)  # type: ignore[no-any-return]

    made = function(first, steps, rate, noting, take)
    if made is None:
        return None
    return [[round(float(x), 4) for x in row] for row in made], drawn


def _rows(f: Function, first: int, steps: int) -> list[list[float]]:
    """For each step taken: number of the batch's source, of its driving frame, and rate."""
    call = Call("", (first, steps, _halving, _numbered, _noted))
    made = _loop_observed(f, call)
    return [] if made is None else [[row[0], row[2] / 10, row[4]] for row in made[0]]


def _expect_rows(rows: list[list[float]], wanted: list[list[float]], first: int, message: str, tried: str) -> None:
    if len(rows) != len(wanted):
        raise Violation(
            f"{message}; the list has one entry for each step taken",
            tried,
            f"{len(wanted)} entries",
            f"{len(rows)} entries",
        )
    for step, (row, right) in enumerate(zip(rows, wanted, strict=True), first):
        for what, got, value in zip(("source of batch", "driving frame of batch", "rate"), row, right, strict=True):
            if abs(got - value) > 2e-4:
                raise Violation(message, tried, f"step {step}: {what} {value:.4g}", f"step {step}: {what} {got:.4g}")


def _loop_whole(f: Function) -> None:
    wanted = [[s, s, 1 - s / 10] for s in range(5)]
    message = "Five steps take the batches 0 to 4, with the rates of 0, 20, … 80 %"
    _expect_rows(_rows(f, 0, 5), wanted, 0, message, "steps 0 to 4 of 5")


def _loop_resumed(f: Function) -> None:
    wanted = [[s, s, 1 - s / 14] for s in range(4, 7)]
    message = "Stopped after step 3 and gone on with step 4, the batches and rates have to be those of a run without a stop"
    _expect_rows(_rows(f, 4, 7), wanted, 4, message, "first = 4, steps = 7")


def _loop_last(f: Function) -> None:
    message = "Only the last step is left: one step, with the batch of that number"
    _expect_rows(_rows(f, 7, 8), [[7.0, 7.0, 1 - 7 / 16]], 7, message, "first = 7, steps = 8")


def _loop_draws(f: Function) -> None:
    made = _loop_observed(f, Call("", (2, 5, _halving, _numbered, _noted)))
    drawn = [] if made is None else made[1]
    if len(drawn) != 3:
        raise Violation(
            "Drawing a batch costs time: draw one for each step",
            "first = 2, steps = 5",
            "batch is called 3 times",
            f"batch is called {len(drawn)} times",
        )


def _loop_learns(f: Function) -> None:
    weight = [0.0]

    def take(source: float, driving: float, rate: float) -> float:
        error = weight[0] * source - driving
        weight[0] -= rate * 2 * error * source
        return error * error

    f(0, 60, lambda progress: 0.1 if progress < 0.5 else 0.01, lambda step: (1.0, 3.0), take)
    expect(weight[0], 3.0, "One weight has to learn that driving = 3 · source", "60 steps with the pair (1, 3)", 1e-3)


def _loop_while(
    first: int,
    steps: int,
    rate: Callable[[float], float],
    batch: Callable[[int], tuple[Any, Any]],
    take: Callable[[Any, Any, float], Any],
) -> list[Any]:
    made: list[Any] = []
    number = first
    while number < steps:
        pair = batch(number)
        made += [take(pair[0], pair[1], rate(number / steps))]
        number += 1
    return made


def _loop_short(
    first: int,
    steps: int,
    rate: Callable[[float], float],
    batch: Callable[[int], tuple[Any, Any]],
    take: Callable[[Any, Any, float], Any],
) -> list[Any]:
    return [take(*batch(n), rate(n / steps)) for n in range(first, steps)]


def _loop_recursive(
    first: int,
    steps: int,
    rate: Callable[[float], float],
    batch: Callable[[int], tuple[Any, Any]],
    take: Callable[[Any, Any, float], Any],
) -> list[Any]:
    if first >= steps:
        return []
    here = take(*batch(first), rate(1 - (steps - first) / steps))
    return [here, *_loop_recursive(first + 1, steps, rate, batch, take)]


LOOP = Exercise(
    id="training-loop",
    title="The training loop",
    target="monkeynet_edu.course.reference.training_loop:training_loop",
    statement=(
        "Take the steps first, first + 1, …, steps - 1: draw the batch of that number, ask for the rate at the "
        "share of the "
        "whole training that is done, take the step, and collect what it returns."
    ),
    level="stub",
    steps=(
        "a list for what the steps return",
        "for the number of each step that is left:",
        "the share of the whole training that is done before it",
        "its batch: two frames",
        "take the step with the rate at that share; keep what comes back",
    ),
    hints=(
        "What has to be the same, whether a training was interrupted or not? Everything that depends on the "
        "number of the "
        "step: its batch and its rate.",
        "`steps` is the length of the *whole* training, from step 0. Before step n, n of all `steps` steps are done.",
        "`for step in range(first, steps):`, then `source, driving = batch(step)` and "
        "`history.append(take(source, driving, rate(step / steps)))`.",
    ),
    calls=_loop_calls,
    observe=_loop_observed,
    properties=(
        Property("whole", "five steps take the batches 0 to 4 with their rates", _loop_whole),
        Property("resumed", "stopped and resumed equals uninterrupted", _loop_resumed),
        Property("last", "one step left is one step taken", _loop_last),
        Property("draws", "one batch is drawn for each step", _loop_draws),
        Property("learns", "a weight learns", _loop_learns),
    ),
    mutants=(
        Mutant(
            "batches-from-the-start",
            "a resumed training may draw the first batches again",
            "After a stop your loop draws the batches 0, 1, 2, … again: clips that it has seen twice, others never. "
            "Which number does the first step have that is still to be taken?",
            (("range(first, steps)", "range(steps - first)"),),
        ),
        Mutant(
            "steps-more",
            "steps says how many are still to be taken",
            "Resumed, your loop goes beyond the planned end. Is `steps` the length of the whole training or of what "
            "is left?",
            (("range(first, steps)", "range(first, first + steps)"),),
        ),
        Mutant(
            "rate-of-this-sitting",
            "the learning rate starts afresh when a training is resumed",
            "After a stop your learning rate jumps up to its start again and shakes what was nearly settled. A share "
            "of what: "
            "of this sitting, or of the whole training?",
            (("step / steps", "(step - first) / (steps - first)"),),
        ),
        Mutant(
            "one-batch",
            "the batch is drawn once",
            "Each of your steps sees the same pairs: the model learns them by heart. What does the batch depend on?",
            (("batch(step)", "batch(first)"),),
        ),
        Mutant(
            "source-and-driving-swapped",
            "the order of the two frames does not matter",
            "Your model learns to redraw the source in the driving frame's place. In which order does `take` want them?",
            (("take(source, driving", "take(driving, source"),),
        ),
        Mutant(
            "rate-of-the-next",
            "the share counts the step that is being taken",
            "Your first step has the rate of the second. How much of the training is done *before* step 0?",
            (("step / steps", "(step + 1) / steps"),),
        ),
        Mutant(
            "numbers-from-0",
            "the number of a batch counts the steps of this sitting",
            "Your rates go on after a stop, but your batches are numbered from 0 again. What the model saw before the "
            "stop it sees twice. Which number does the step have in the whole training?",
            (("batch(step)", "batch(step - first)"),),
        ),
        Mutant(
            "return-in-the-loop",
            "the return belongs to the loop",
            "Your loop ends after its first step. How far is the `return` indented?",
            (("    return history", "        return history"),),
        ),
        Mutant(
            "drawn-twice",
            "batch(step) can be asked for each frame by itself",
            "You draw each batch twice, and throw half of it away each time. One call returns both frames.",
            (("= batch(step)", "= batch(step)[0], batch(step)[1]"),),
        ),
        Mutant(
            "share-for-rate",
            "the share of the training is the rate",
            "Your step gets the share itself: the training begins with a rate of 0, and it rises. Who turns a share "
            "into a rate?",
            (("rate(progress)", "progress"),),
        ),
        Mutant(
            "one-rate",
            "the rate is asked for once",
            "All your steps have the same rate. On what does it depend?",
            (("rate(progress)", "rate(first / steps)"),),
        ),
        Mutant(
            "share-of-one-less",
            "the last step has the share 1",
            "Your rates fall a little too fast: at the last step your training counts as done. How much of it is done "
            "*before* the last of 5 steps?",
            (("step / steps", "step / (steps - 1)"),),
        ),
        Mutant(
            "one-step-short",
            "range includes its end",
            "The last step is missing. Is the second number of `range` the last one, or the first that is left out?",
            (("range(first, steps)", "range(first, steps - 1)"),),
        ),
    ),
    alternatives=(_loop_while, _loop_short, _loop_recursive),
    box="training",
)


# ------------------------------------------------------------------------------------------------------------ checkpoint


class Adams:
    """Named Adams of a small network's two halves, like `training.Optimizers`."""

    def __init__(self, model: nn.Sequential) -> None:
        self._named = [
            (name, torch.optim.Adam(model[i].parameters(), lr=0.05, betas=(0.5, 0.999)))
            for name, i in (("body", 0), ("norm", 1), ("head", 2))
        ]

    def items(self) -> list[tuple[str, torch.optim.Optimizer]]:
        """Names and optimizers."""
        return list(self._named)


def _small() -> tuple[nn.Sequential, Adams]:
    """A network with batch norm, always the same one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    return model, Adams(model)


def _train_small(model: nn.Sequential, adams: Adams, first: int, steps: int) -> None:
    """Steps first … steps - 1 towards random targets; batch n depends on n alone."""
    model.train()
    for step in range(first, steps):
        drawn = torch.Generator().manual_seed(step)
        x, y = torch.randn(8, 3, generator=drawn), torch.randn(8, 2, generator=drawn)
        model.zero_grad()
        (model(x) - y).square().mean().backward()
        for _, adam in adams.items():
            adam.step()


def _trained(steps: int) -> tuple[nn.Sequential, Adams]:
    model, adams = _small()
    _train_small(model, adams, 0, steps)
    return model, adams


def _restore(model: nn.Sequential, adams: Adams, tensors: dict[str, Tensor]) -> None:
    """Fills what the tensors name; what they do not, stays as it is in a new training."""
    own = {n.removeprefix("model."): t.clone() for n, t in tensors.items() if n.startswith("model.")}
    model.load_state_dict(own, strict=False)
    for network, adam in adams.items():
        state: dict[int, dict[str, Tensor]] = {}
        start = f"optimizer.{network}."
        for name, value in tensors.items():
            if name.startswith(start):
                index, key = name.removeprefix(start).split(".")
                state.setdefault(int(index), {})[key] = value.clone()
        whole = {i: entry for i, entry in state.items() if {"exp_avg", "exp_avg_sq"} & set(entry)}
        for entry in whole.values():
            zero = torch.zeros_like(next(t for k, t in entry.items() if k != "step"))
            entry.setdefault("exp_avg", zero)
            entry.setdefault("exp_avg_sq", zero.clone())
            entry.setdefault("step", torch.zeros(()))
        adam.load_state_dict({"state": whole, "param_groups": adam.state_dict()["param_groups"]})


def _named_tensors(function: Function, call: Call) -> Any:
    """Name → type and numbers, all of it plain; None where nothing came back."""
    found = function(*call.args)
    if found is None:
        return None
    return {
        name: (str(value.dtype), value.detach().double().flatten().tolist()) if isinstance(value, Tensor) else str(value)
        for name, value in found.items()
    }


def _kept(f: Function, model: nn.Sequential, adams: Adams) -> dict[str, Tensor]:
    """What an answer keeps, if it is a dict of tensors by name."""
    found = f(model, adams)
    if not isinstance(found, dict):
        raise Violation("Return one dict", "a network with batch norm, three Adams", "a dict", type(found).__name__)
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise Violation(
                "Each entry of the dict is one tensor under its full name: no dict within a dict, no list",
                "a network with batch norm, three Adams",
                "a text → a tensor",
                f"{_short(name)} → {type(value).__name__}",
            )
    return found


def _short(name: object) -> str:
    text = " ".join(str(name).split())
    return text if len(text) < 40 else f"{text[:36]} …"


def _checkpoint_calls() -> Sequence[Call]:
    return tuple(Call(f"a small network with batch norm after {n} steps, three Adams", _trained(n)) for n in (3, 5))


_TRIED = "a small network, stopped after 4 steps, restored from your tensors, trained to step 8"


def _checkpoint_resumed(f: Function) -> None:
    whole, _ = _trained(8)
    model, adams = _trained(4)
    kept = {name: value.detach().clone() for name, value in _kept(f, model, adams).items()}
    again, new_adams = _small()
    _restore(again, new_adams, kept)
    _train_small(again, new_adams, 4, 8)
    for (name, one), other in zip(again.state_dict().items(), whole.state_dict().values(), strict=True):
        expect(one.float(), other.float(), f"Resumed, `{name}` is not what it is without a stop", _TRIED, 1e-6)


def _checkpoint_model(f: Function) -> None:
    model, adams = _trained(3)
    kept = _kept(f, model, adams)
    for name in kept:
        if not name.startswith(("model.", "optimizer.")):
            raise Violation(
                "Each name begins with `model.` or with `optimizer.`, so that both can be told apart",
                "a network with batch norm, three Adams",
                "model.0.weight, …, optimizer.body.0.exp_avg, …",
                _short(name),
            )
    found = {n for n in kept if n.startswith("model.")}
    wanted = {f"model.{part}" for part in ("0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias")}
    wanted |= {f"model.1.{part}" for part in ("running_mean", "running_var", "num_batches_tracked")}
    _same_names(found, wanted, "of the model")
    for name, value in model.state_dict().items():
        if kept[f"model.{name}"].dtype != value.dtype:
            raise Violation(
                "A training that goes on exactly needs every digit: keep each tensor in its own type",
                f"model.{name}",
                str(value.dtype),
                str(kept[f"model.{name}"].dtype),
            )


def _checkpoint_adams(f: Function) -> None:
    model, adams = _trained(3)
    found = {n for n in _kept(f, model, adams) if not n.startswith("model.")}
    keys = ("exp_avg", "exp_avg_sq", "step")
    wanted = {f"optimizer.{net}.{i}.{key}" for net in ("body", "norm", "head") for i in (0, 1) for key in keys}
    _same_names(found, wanted, "of the optimizers")


def _same_names(found: set[str], wanted: set[str], of: str) -> None:
    if found != wanted:
        missing, extra = sorted(wanted - found), sorted(found - wanted)
        unknown = ", ".join(map(_short, extra[:3])) or "none"
        said = f"missing: {', '.join(missing[:3]) or 'none'}; unknown: {unknown}"
        raise Violation(
            f"The names {of} are not right", "a network with batch norm, three Adams", f"{len(wanted)} names", said
        )


def _checkpoint_loops(model: Any, optimizers: Any) -> dict[str, Tensor]:
    tensors = {}
    for name in model.state_dict():
        tensors["model." + name] = model.state_dict()[name]
    for network, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for key in state:
                tensors[".".join(["optimizer", network, str(index), key])] = state[key]
    return tensors


def _checkpoint_live(model: Any, optimizers: Any) -> dict[str, Tensor]:
    tensors = {f"model.{n}": t for n, t in [*model.named_parameters(), *model.named_buffers()]}
    for network, optimizer in optimizers.items():
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        for index, weight in enumerate(weights):
            for key, value in optimizer.state[weight].items():
                tensors[f"optimizer.{network}.{index}.{key}"] = value
    return tensors


def _checkpoint_copies(model: Any, optimizers: Any) -> dict[str, Tensor]:
    tensors = {f"model.{name}": value.clone() for name, value in model.state_dict().items()}
    memories = {network: optimizer.state_dict()["state"] for network, optimizer in optimizers.items()}
    return tensors | {
        f"optimizer.{network}.{index}.{key}": value.clone()
        for network, memory in memories.items()
        for index, state in memory.items()
        for key, value in state.items()
    }


CHECKPOINT = Exercise(
    id="checkpoint",
    title="What a checkpoint holds",
    target="monkeynet_edu.training:checkpoint_tensors",
    statement=(
        "Collect every tensor that a training needs to go on as if it had never stopped: the model's as "
        "`model.NAME`, what "
        "each optimizer remembers as `optimizer.NETWORK.INDEX.KEY`."
    ),
    level="stub",
    steps=(
        "everything in the model's state, by name",
        "for each of the optimizers:",
        'what it remembers: state_dict()["state"], a dict of dicts: index of a weight → key → tensor',
        "all of it, by name",
    ),
    hints=(
        "Two things change in a training besides the weights: the running statistics of batch norm, and the "
        "memory of Adam.",
        '`model.state_dict()` is a dict name → tensor. `optimizer.state_dict()["state"]` is a dict index → dict key → '
        "tensor, with the keys step, exp_avg and exp_avg_sq. `optimizers.items()` gives name and optimizer.",
        'In two nested loops: `tensors |= {f"optimizer.{network}.{index}.{key}": value for key, value in state.items()}`.',
    ),
    calls=_checkpoint_calls,
    observe=_named_tensors,
    properties=(
        Property("model", "all tensors of the model are there, running statistics included", _checkpoint_model),
        Property("adams", "both moments and the number of steps of each weight are there", _checkpoint_adams),
        Property("resumed", "stopped and resumed equals uninterrupted", _checkpoint_resumed),
    ),
    mutants=(
        Mutant(
            "weights-are-all",
            "to resume a training one needs the weights, and nothing else",
            "You keep the model and forget the optimizers. Adam would start without its memory, and its first steps "
            "would "
            "all be as long as the learning rate allows.",
            (("in optimizers.items()", "in ()"),),
        ),
        Mutant(
            "parameters-without-statistics",
            "a model is its parameters",
            "The running mean and variance of batch norm are no parameters: no gradient reaches them, and yet a drawn "
            "frame "
            "depends on them. Which dict of a module holds both?",
            (("model.state_dict().items()", "model.named_parameters()"),),
        ),
        Mutant(
            "no-step-count",
            "Adam needs its moments only",
            "Adam divides young moments by 1 - β^t, because they start at 0. Without t it would take old moments for "
            "young "
            "ones and overshoot.",
            (("in state.items()", 'in state.items() if key != "step"'),),
        ),
        Mutant(
            "no-second-moment",
            "Adam remembers one average, like momentum",
            "Adam remembers two averages of each gradient: of its value and of its square. You keep one of them.",
            (("in state.items()", 'in state.items() if key != "exp_avg_sq"'),),
        ),
        Mutant(
            "one-name-for-all-networks",
            "the index of a weight is a name",
            "Each optimizer counts its weights from 0, so your names collide, and only the last network's memory is "
            "left. "
            "What else belongs into the name?",
            (("optimizer.{network}.{index}", "optimizer.{index}"),),
        ),
    ),
    alternatives=(_checkpoint_loops, _checkpoint_live, _checkpoint_copies),
    box="training",
)


# -------------------------------------------------------------------------------------------------------------- diagnosis

_NAN = {field.name: math.nan for field in dataclasses.fields(Vitals)}
# What shows, in words; how it differs from a sound training; what it is called.
CASES: tuple[tuple[str, dict[str, float], str | None], ...] = (
    ("a sound training", {}, None),
    ("all is NaN", _NAN, "nan"),
    ("the losses are infinite", {"total": math.inf}, "nan"),
    ("NaN, and the frames are the same", {"total": math.nan, "frames": 0.0}, "nan"),
    ("NaN, and a step changes half of the weights", {"total": math.nan, "update": 0.5}, "nan"),
    ("frames differ by 0.0003", {"frames": 0.0003, "displacement": 0.1}, "identical"),
    ("frames differ by 0.0008, keypoints move", {"frames": 0.0008}, None),
    ("frames are the same, so keypoints rest", {"frames": 0.0002, "displacement": 0.0}, "identical"),
    ("a step changes a fifth of the weights", {"update": 0.2}, "learning-rate"),
    ("a step changes a tenth of the weights", {"update": 0.1}, None),
    ("wild steps have thrown all keypoints to the edge", {"update": 2.0, "border": 1.0, "spread": 0.02}, "learning-rate"),
    ("nine in ten keypoints at the edge", {"border": 0.9}, "outside"),
    ("half of the keypoints at the edge", {"border": 0.5}, None),
    ("keypoints 0.04 around their centre", {"spread": 0.04}, "collapsed"),
    ("keypoints 0.08 around their centre", {"spread": 0.08}, None),
    ("keypoints in one place, so they rest", {"spread": 0.0, "displacement": 0.0}, "collapsed"),
    ("frames differ by 0.1, keypoints by 0.008", {"displacement": 0.008}, "resting"),
    ("frames differ by 0.1, keypoints by 0.015", {"displacement": 0.015}, None),
    ("frames and keypoints of a smile: 0.01 and 0.004", {"frames": 0.01, "displacement": 0.004}, None),
    ("keypoints rest, and the loss is low", {"displacement": 0.0, "reconstruction": 0.3}, "resting"),
    ("keypoints move, and the loss is high", {"reconstruction": 3.0}, None),
    ("keypoints rest, so M gives all to the background", {"displacement": 0.0, "foreground": 0.01}, "resting"),
    ("no part gets more than 4 % of a pixel", {"foreground": 0.04}, "background"),
    (
        "no part gets more than 1 % of a pixel; G's loss 0.9, D's 0.5",
        {"foreground": 0.01, "adversarial": 0.9, "discriminator": 0.5},
        "background",
    ),
    (
        "a step changes half of the weights; G's loss 0.9, D's 0.5",
        {"update": 0.5, "adversarial": 0.9, "discriminator": 0.5},
        "learning-rate",
    ),
    (
        "keypoints rest; G's loss 0.9, D's 0.5",
        {"displacement": 0.0, "adversarial": 0.9, "discriminator": 0.5},
        "resting",
    ),
    ("a part gets 8 % of a pixel", {"foreground": 0.08}, None),
    ("G's loss 0.75, D's 0.5", {"adversarial": 0.75, "discriminator": 0.5}, "d-won"),
    ("G's loss 0.55, D's 0.5", {"adversarial": 0.55, "discriminator": 0.5}, None),
    ("G's loss 0.25, D's 0.5", {"adversarial": 0.25, "discriminator": 0.5}, None),
)


def _symptom_calls() -> Sequence[Call]:
    return tuple(Call(said, (Vitals(**values),)) for said, values, _ in CASES)


def _cases(f: Function, chosen: Callable[[str | None], bool], message: str) -> None:
    for said, values, wanted in CASES:
        if chosen(wanted):
            got = f(Vitals(**values))
            if got is None and wanted is not None:
                raise Violation("Your function says None, nothing is wrong; but a fault shows", said, repr(wanted), "None")
            if got != wanted:
                raise Violation(message, said, repr(wanted), repr(got))


def _symptom_observed(function: Function, call: Call) -> str:
    """The answer as text: None is a lawful one."""
    return repr(function(*call.args))


def _symptom_sound(f: Function) -> None:
    _cases(f, lambda name: name is None, "A training that is well deserves silence")


def _symptom_alone(f: Function) -> None:
    _cases(f, lambda name: name is not None, "The fault has another name")


def _symptom_chain(vitals: Vitals) -> str | None:
    v = vitals
    if math.isnan(v.total) or math.isinf(v.total):
        return "nan"
    if v.frames < 0.0005:
        return "identical"
    if v.update > 0.15:
        return "learning-rate"
    if v.border > 0.8:
        return "outside"
    if v.spread < 0.05:
        return "collapsed"
    if v.displacement / v.frames < 0.1:
        return "resting"
    if v.foreground < 0.05:
        return "background"
    return "d-won" if v.adversarial / 1.2 > v.discriminator else None


def _symptom_generator(vitals: Vitals) -> str | None:
    signs = (
        (vitals.total - vitals.total != 0, "nan"),
        (vitals.frames < 5e-4, "identical"),
        (vitals.update > 0.15, "learning-rate"),
        (vitals.border > 0.8, "outside"),
        (vitals.spread < 0.05, "collapsed"),
        (10 * vitals.displacement < vitals.frames, "resting"),
        (vitals.foreground < 0.05, "background"),
        (vitals.adversarial > 1.2 * vitals.discriminator, "d-won"),
    )
    return next((name for seen, name in signs if seen), None)


def _symptom_backwards(vitals: Vitals) -> str | None:
    found = None
    if vitals.adversarial > 1.2 * vitals.discriminator:
        found = "d-won"
    if vitals.foreground < 0.05:
        found = "background"
    if vitals.displacement < 0.1 * vitals.frames:
        found = "resting"
    if vitals.spread < 0.05:
        found = "collapsed"
    if vitals.border > 0.8:
        found = "outside"
    if vitals.update > 0.15:
        found = "learning-rate"
    if vitals.frames < 0.0005:
        found = "identical"
    return found if math.isfinite(vitals.total) else "nan"


SYMPTOM = Exercise(
    id="diagnosis",
    title="What is wrong with this training?",
    target="monkeynet_edu.monitor:symptom",
    statement=(
        "Write `symptom(vitals)`: the name of the fault that the numbers show, causes before their effects, or "
        "None. The "
        "signs, by name: background: foreground < 0.05. collapsed: spread < 0.05. d-won: adversarial > 1.2 · "
        "discriminator. "
        "identical: frames < 0.0005. learning-rate: update > 0.15. nan: total is not finite (NaN or infinite). "
        "outside: border > 0.8. resting: "
        "displacement < 0.1 · frames. The order is for you to find; where the text says nothing, either order is right."
    ),
    level="blank page",
    hints=(
        "Several signs can show at once. Keypoints cannot move where the frames are the same. They do not move "
        "either where "
        "all of them sit in one place. Which of the two names helps the person who has to mend it?",
        "vitals.frames, vitals.spread, … are numbers; the answer is a text or None. Comparisons with NaN are "
        "False, even "
        "NaN == NaN, so ask math.isfinite first. Then: frames, steps that are too long, keypoints, masks, D.",
        '`if not math.isfinite(vitals.total): return "nan"`, then identical, learning-rate, outside, collapsed, '
        "resting, "
        "background, d-won in that order, and `return None`.",
    ),
    calls=_symptom_calls,
    observe=_symptom_observed,
    properties=(
        Property("sound", "a training that is well draws no word", _symptom_sound),
        Property("named", "each fault has its name, and a cause is named before its effects", _symptom_alone),
    ),
    mutants=(
        Mutant(
            "low-l1-is-motion",
            "a low loss of the generated frames says that things move",
            "You look at the loss to tell whether keypoints move. A blurred copy of the source has a low loss, too. "
            "Which two "
            "numbers speak of movement itself?",
            (("vitals.displacement < 0.1 * vitals.frames", "vitals.reconstruction > 2"),),
        ),
        Mutant(
            "effect-before-cause",
            "the last sign in the row counts",
            "Where several signs show, you name the effect. What would a reader mend first?",
            (("shown[0]", "shown[-1]"),),
        ),
        Mutant(
            "nan-equals-nan",
            "NaN can be found with ==",
            "NaN is not equal to anything, itself included. What does math offer for such numbers?",
            (("not math.isfinite(vitals.total)", "vitals.total == math.nan"),),
        ),
        Mutant(
            "d-should-win",
            "the better D tells the frames apart, the better",
            "You complain when D cannot tell the frames apart: but that is what G works for. Whose loss is high when "
            "D wins?",
            (
                (
                    "vitals.adversarial > 1.2 * vitals.discriminator",
                    "vitals.discriminator > 1.2 * vitals.adversarial",
                ),
            ),
        ),
        Mutant(
            "small-is-none",
            "a movement by less than a fixed length is none",
            "In a film of smiles everything moves little, and yet it moves. Against what should a movement be measured?",
            (("0.1 * vitals.frames", "0.1"),),
        ),
        Mutant(
            "same-frames-last",
            "any order of the signs will do",
            "When all pairs are identical, you blame the keypoints. They cannot help resting. What comes before them?",
            (
                ('"identical": vitals.frames < 0.0005,', ""),
                ('"d-won": ', '"identical": vitals.frames < 0.0005,\n        "d-won": '),
            ),
        ),
        Mutant(
            "infinity-is-a-number",
            "math.isnan finds every loss that is no number",
            "An infinite loss passes for a sound one. Is infinity a NaN? Is it finite?",
            (("not math.isfinite(vitals.total)", "math.isnan(vitals.total)"),),
        ),
        Mutant(
            "nan-last",
            "a NaN is one sign among others",
            "Where the total is NaN and something else shows, too, you name the other one. Can any of the other numbers "
            "be trusted then?",
            (
                ('"nan": not math.isfinite(vitals.total),', ""),
                (
                    '"d-won": vitals.adversarial > 1.2 * vitals.discriminator,',
                    '"d-won": vitals.adversarial > 1.2 * vitals.discriminator,\n        '
                    '"nan": not math.isfinite(vitals.total),',
                ),
            ),
        ),
        Mutant(
            "d-won-first",
            "whoever wins is to blame",
            "Where D wins and something else shows, too, you blame D. Why may D have an easy game?",
            (('"learning-rate": ', '"d-won": False,\n        "learning-rate": '),),
        ),
        Mutant(
            "d-won-before-background",
            "the losses come before the masks",
            "M gives everything to the background, G has nothing to offer, D wins: you name the last of the three. What "
            "began it?",
            (('"background": ', '"d-won": False,\n        "background": '),),
        ),
        Mutant(
            "resting-before-collapsed",
            "keypoints that do not move are the fault",
            "Keypoints that sit in one place, always the same, do not move either. Which of the two brings about the "
            "other?",
            (('"collapsed": ', '"resting": False,\n        "collapsed": '),),
        ),
        Mutant(
            "background-before-resting",
            "the masks come before the keypoints",
            "Where no keypoint moves, M has no use for any part but the background. You blame the masks; what is the "
            "cause?",
            (('"resting": ', '"background": False,\n        "resting": '),),
        ),
        Mutant(
            "outside-before-learning-rate",
            "keypoints at the edge are the fault",
            "Wild steps have thrown the keypoints to the edge, and you blame the keypoints. Who threw them?",
            (('"learning-rate": ', '"outside": False,\n        "learning-rate": '),),
        ),
        Mutant(
            "collapsed-before-learning-rate",
            "keypoints in one place are the fault",
            "Wild steps have thrown the keypoints into one place, and you blame the keypoints. Who threw them?",
            (('"learning-rate": ', '"collapsed": False,\n        "learning-rate": '),),
        ),
        Mutant(
            "alphabet",
            "the order of the table is the order of the questions",
            "Your questions follow the alphabet. It does not know what brings about what.",
            (("shown[0]", "sorted(shown)[0]"),),
        ),
    ),
    alternatives=(_symptom_chain, _symptom_generator, _symptom_backwards),
    box="training",
)


LESSON = Lesson(
    number="07",
    slug="training",
    title="Training",
    minutes=150,
    imports=IMPORTS,
    exercises=(RATE, LOOP, SYMPTOM, CHECKPOINT),
)
