"""Lesson 09: a film out of one picture. What comes next, a memory with gates, free running, and keypoints that move."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, Violation, expect

IMPORTS = """\
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from monkeynet_edu import animation, prediction, viz
from monkeynet_edu.course.lessons import figures09 as figures
from monkeynet_edu.course.reference import lstm
from monkeynet_edu.data import sprites
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.paths import weights_path
"""


def _normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _two(came: Any, what: str, tried: str) -> tuple[Tensor, Tensor]:
    """The two tensors that came back, or words about what came instead."""
    if came is None:
        raise Violation("Your function returned nothing. Is there a `return`?", tried, what, "None")
    if not isinstance(came, tuple | list) or len(came) != 2 or not all(isinstance(t, Tensor) for t in came):
        raise Violation(f"{what} have to come back, in this order", tried, "two tensors", type(came).__name__)
    return came[0], came[1]


# ----------------------------------------------------------------------------------------------------- shifted targets


def _shifted_by_hand(f: Function) -> None:
    tried = "the sequence 1, 2, 3, 4"
    inputs, targets = _two(f(torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1)), "inputs and targets", tried)
    expect(inputs.flatten(), [1.0, 2.0, 3.0], "1, 2, 3, 4 has the inputs 1, 2, 3", tried)
    expect(targets.flatten(), [2.0, 3.0, 4.0], "1, 2, 3, 4 has the targets 2, 3, 4", tried)


def _shifted_loops(f: Function) -> None:
    sequence = _normal(2, 5, 3)
    inputs, targets = _two(f(sequence), "inputs and targets", "2 random sequences of 5 frames of 3 numbers")
    for b in range(2):
        for t in range(4):
            message = f"input {t} of sequence {b} has to be frame {t}, its target frame {t + 1}"
            expect(inputs[b, t], sequence[b, t], message)
            expect(targets[b, t], sequence[b, t + 1], message)


def _shifted_shape(f: Function) -> None:
    tried = "3 sequences of 2 frames of 4 numbers"
    for part in _two(f(_normal(3, 2, 4)), "inputs and targets", tried):
        expect(list(part.shape), [3, 1, 4], "T frames make T - 1 pairs; every sequence keeps all its numbers", tried)


def _shifted_by_loop(sequence: Tensor) -> tuple[Tensor, Tensor]:
    pairs = [(sequence[:, t], sequence[:, t + 1]) for t in range(sequence.shape[1] - 1)]
    return torch.stack([now for now, _ in pairs], dim=1), torch.stack([after for _, after in pairs], dim=1)


def _shifted_narrow(sequence: Tensor) -> tuple[Tensor, Tensor]:
    count = sequence.shape[1] - 1
    return sequence.narrow(1, 0, count), sequence.narrow(1, 1, count)


def _shifted_unfolded(sequence: Tensor) -> tuple[Tensor, Tensor]:
    pairs = sequence.unfold(1, 2, 1)  # (B, T-1, F, 2)
    return pairs[..., 0], pairs[..., 1]


SHIFTED = Exercise(
    id="shifted",
    title="Shifted targets",
    target="monkeynet_edu.prediction:shifted",
    statement="Split sequences (B, T, F) into what the network reads and what it should say: to every frame its next one.",
    level="stub",
    steps=(
        "inputs: all frames but the last, which has no next one",
        "targets: all frames but the first, which is nobody's next one",
        "return (inputs, targets)",
    ),
    hints=(
        "Write the frames in a row, and the same row below, moved by one. Which frames have a partner?",
        "Time is the second axis. Both parts are (B, T-1, F).",
        "`inputs = sequence[:, :-1]`, `targets = sequence[:, 1:]`, and return both.",
    ),
    calls=lambda: [
        Call("2 random sequences of 5 frames of 3 numbers", (_normal(2, 5, 3),)),
        Call("4 random sequences of 2 frames of 3 numbers", (_normal(4, 2, 3, seed=2),)),
        Call("a random sequence of 6 frames of 2 numbers", (_normal(1, 6, 2, seed=3),)),
    ],
    properties=(
        Property("by hand", "1, 2, 3, 4: inputs 1, 2, 3 and targets 2, 3, 4", _shifted_by_hand),
        Property("definition", "the target of each frame is the next one", _shifted_loops),
        Property("shape", "T frames make T - 1 pairs", _shifted_shape),
    ),
    mutants=(
        Mutant(
            "exchanged",
            "Inputs and targets are a pair; the order does not matter.",
            "Your network reads a frame and should say the one *before* it: a film run backwards. Which of the two comes "
            "later in time?",
            (("return inputs, targets", "return targets, inputs"),),
        ),
        Mutant(
            "not-shifted",
            "A network learns a sequence by being shown the sequence, as input and as target.",
            "Your targets are the inputs. Such a network has to learn nothing but to repeat what it has just been told.",
            (("sequence[:, 1:]", "sequence[:, :-1]"),),
        ),
        Mutant(
            "differences",
            "What has to be predicted is the change.",
            "Your targets are the changes from frame to frame. That can be done, too, but this network is asked for the "
            "next frame itself.",
            (("sequence[:, 1:]", "sequence[:, 1:] - sequence[:, :-1]"),),
        ),
        Mutant(
            "wrapped-round",
            "Rolling the sequence by one shifts it.",
            "The last frame's target is the *first* frame: `roll` wraps round. The last frame has no next one; it can only "
            "be a target.",
            (("sequence[:, :-1]", "sequence"), ("sequence[:, 1:]", "sequence.roll(-1, dims=1)")),
        ),
        Mutant(
            "along-the-batch",
            "The first axis is time.",
            "You shift from one sequence of the batch to the next one. Which axis is time in (B, T, F)?",
            (("sequence[:, :-1]", "sequence[:-1]"), ("sequence[:, 1:]", "sequence[1:]")),
        ),
        Mutant(
            "two-ahead",
            "Cutting one off at each end gives a distance of one.",
            "You cut at both ends of both parts: the last pair is lost. Frames 0 … T-2 are inputs, frames 1 … T-1 their "
            "targets.",
            (("sequence[:, :-1]", "sequence[:, :-2]"), ("sequence[:, 1:]", "sequence[:, 1:-1]")),
        ),
        Mutant(
            "always-the-last",
            "The target is the end of the film.",
            "All your frames have the same target, the last one. The network should say what comes *next*.",
            (("sequence[:, 1:]", "sequence[:, -1:].expand_as(inputs)"),),
        ),
    ),
    alternatives=(_shifted_by_loop, _shifted_narrow, _shifted_unfolded),
    box="prediction",
)

# ------------------------------------------------------------------------------------------------- one step of an LSTM


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _one_unit(blocks: tuple[float, float, float, float], cell: float) -> tuple[Tensor, ...]:
    """Arguments for one unit whose blocks i, f, g, o come out as given, from the bias alone."""
    nothing = torch.zeros(4, 1)
    return torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([[cell]]), nothing, nothing, torch.tensor(blocks)


def _lstm_by_hand(f: Function) -> None:
    weight_x, weight_hidden = torch.tensor([[1.0], [0.0], [1.0], [2.0]]), torch.tensor([[-2.0], [2.0], [2.0], [0.0]])
    bias = torch.tensor([0.0, 0.0, -1.0, 0.0])
    tried = "the unit of the lesson: x 1, hidden 0.5, cell 0.8; blocks i 0, f 1, g 1, o 2"
    state = torch.tensor([[0.5]]), torch.tensor([[0.8]])
    hidden, cell = _two(f(torch.ones(1, 1), *state, weight_x, weight_hidden, bias), "hidden state and cell", tried)
    kept = _sigmoid(1) * 0.8 + _sigmoid(0) * math.tanh(1)
    expect(cell, [[kept]], "the new cell of the lesson's unit is 0.731 · 0.8 + 0.5 · 0.762 = 0.966", tried)
    said = _sigmoid(2) * math.tanh(kept)
    expect(hidden, [[said]], "the new hidden state of the lesson's unit is 0.881 · tanh(0.966) = 0.658", tried)


def _lstm_remembers(f: Function) -> None:
    tried = "input gate shut, forget gate open, cell 0.7"
    _, cell = _two(f(*_one_unit((-30.0, 30.0, 1.0, 0.0), 0.7)), "hidden state and cell", tried)
    expect(cell, [[0.7]], "with the input gate shut (0) and the forget gate open (1) the cell stays what it was", tried)


def _lstm_forgets(f: Function) -> None:
    tried = "input gate open, forget gate shut, candidate -1, cell 0.7"
    _, cell = _two(f(*_one_unit((30.0, -30.0, -1.0, 0.0), 0.7)), "hidden state and cell", tried)
    message = "with the forget gate shut (0) and the input gate open (1) the cell is the candidate, tanh(-1)"
    expect(cell, [[math.tanh(-1)]], message, tried)


def _lstm_speaks(f: Function) -> None:
    tried = "output gate open, cell 3 kept"
    hidden, _ = _two(f(*_one_unit((-30.0, 30.0, 0.0, 30.0), 3.0)), "hidden state and cell", tried)
    expect(hidden, [[math.tanh(3)]], "with the output gate open the hidden state is tanh of the *new* cell", tried)


def _named(weight_x: Tensor, weight_hidden: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """Weights by the names that torch gives them."""
    return {"weight_ih": weight_x, "weight_hh": weight_hidden, "bias_ih": bias, "bias_hh": torch.zeros_like(bias)}


def _cell_of(weight_x: Tensor, weight_hidden: Tensor, bias: Tensor) -> nn.LSTMCell:
    """torch's own cell with these weights."""
    made = nn.LSTMCell(weight_x.shape[1], weight_hidden.shape[1]).to(weight_x.dtype)
    with torch.no_grad():
        for name, value in _named(weight_x, weight_hidden, bias).items():
            made.get_parameter(name).copy_(value)
    return made


def _lstm_call(batch: int, features: int, units: int, seed: int) -> Call:
    shapes = ((batch, features), (batch, units), (batch, units), (4 * units, features), (4 * units, units), (4 * units,))
    args = tuple(_normal(*shape, seed=seed + n) for n, shape in enumerate(shapes))
    return Call(f"{batch} random inputs of {features} numbers, {units} units", args)


def _lstm_like_torch(f: Function) -> None:
    for call in (_lstm_call(3, 2, 5, 20), _lstm_call(2, 4, 3, 30)):
        x, hidden, cell, *weights = call.args
        right = _cell_of(*weights)(x, (hidden, cell))
        for got, wanted, name in zip(_two(f(*call.args), "hidden state and cell", call.said), right, "hc", strict=True):
            what = "hidden state" if name == "h" else "cell"
            expect(got, wanted, f"the new {what} has to be that of torch's own cell, nn.LSTMCell", call.said)


def _lstm_by_torch(
    x: Tensor, hidden: Tensor, cell: Tensor, weight_x: Tensor, weight_hidden: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    made = nn.LSTMCell(weight_x.shape[1], weight_hidden.shape[1])
    weights = _named(weight_x, weight_hidden, bias)
    out: tuple[Tensor, Tensor] = torch.func.functional_call(made, weights, (x, (hidden, cell)))
    return out


def _lstm_gate_by_gate(
    x: Tensor, hidden: Tensor, cell: Tensor, weight_x: Tensor, weight_hidden: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    units = hidden.shape[-1]
    together = torch.cat([x, hidden, torch.ones_like(x[:, :1])], dim=1).double()
    weights = torch.cat([weight_x, weight_hidden, bias[:, None]], dim=1).double()
    block = [torch.einsum("bn,un->bu", together, weights[n * units : (n + 1) * units]) for n in range(4)]
    kept = cell.double() / (1 + torch.exp(-block[1])) + torch.tanh(block[2]) / (1 + torch.exp(-block[0]))
    return (torch.tanh(kept) / (1 + torch.exp(-block[3]))).to(x.dtype), kept.to(x.dtype)


def _lstm_by_units(
    x: Tensor, hidden: Tensor, cell: Tensor, weight_x: Tensor, weight_hidden: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    units, hiddens, cells = hidden.shape[1], [], []
    for u in range(units):
        i, f, g, o = (
            (x * weight_x[row]).sum(dim=1) + (hidden * weight_hidden[row]).sum(dim=1) + bias[row]
            for row in range(u, 4 * units, units)
        )
        cells.append(torch.sigmoid(f) * cell[:, u] + torch.sigmoid(i) * torch.tanh(g))
        hiddens.append(torch.sigmoid(o) * torch.tanh(cells[-1]))
    return torch.stack(hiddens, dim=1), torch.stack(cells, dim=1)


_NEW_CELL = "f.sigmoid() * cell + i.sigmoid() * g.tanh()"
_NEW_HIDDEN = "o.sigmoid() * new_cell.tanh()"

LSTM_STEP = Exercise(
    id="lstm-step",
    title="One step of an LSTM",
    target="monkeynet_edu.course.reference.lstm:lstm_step",
    statement=(
        "One step of an LSTM layer: from the input and the old state, four blocks; from these the new cell and the new "
        "hidden state. Return (new hidden state, new cell)."
    ),
    level="stub",
    steps=(
        "the blocks, (B, 4H): weights times input, weights times hidden state, and the bias, added up",
        "cut into i, f, g, o, each (B, H), in this order",
        "the new cell: the old one through the forget gate, and the candidate (tanh of g) through the input gate; a gate "
        "is the sigmoid of its block",
        "the new hidden state: tanh of the new cell, through the output gate",
        "return (new hidden state, new cell)",
    ),
    hints=(
        "A gate is a number between 0 and 1 that something is multiplied by. Three gates, three products: what is kept of "
        "the old memory, what is let in, and what is said aloud.",
        "The weights are (4H, F) and (4H, H), inputs (B, F) and (B, H): transpose the weights. `chunk(4, dim=-1)` cuts "
        "(B, 4H) into four (B, H).",
        "`blocks = x @ weight_x.mT + hidden @ weight_hidden.mT + bias`, `i, f, g, o = blocks.chunk(4, dim=-1)`, "
        f"`new_cell = {_NEW_CELL}`, `new_hidden = {_NEW_HIDDEN}`.",
    ),
    calls=lambda: [_lstm_call(3, 2, 5, 40), _lstm_call(2, 4, 3, 50), _lstm_call(4, 1, 1, 60)],
    properties=(
        Property("by hand", "the unit of the lesson: cell 0.966, hidden state 0.658", _lstm_by_hand),
        Property("remembers", "input gate shut, forget gate open: the cell stays", _lstm_remembers),
        Property("forgets", "forget gate shut, input gate open: the cell is the candidate", _lstm_forgets),
        Property("speaks", "output gate open: the hidden state is tanh of the new cell", _lstm_speaks),
        Property("torch", "with the same weights, torch's own cell says the same", _lstm_like_torch),
    ),
    mutants=(
        Mutant(
            "forget-gate-inverted",
            "The forget gate at 1 forgets.",
            "With your forget gate at 1 the memory is wiped. Its name misleads: it says how much is *kept*.",
            (("f.sigmoid() * cell", "(1 - f.sigmoid()) * cell"),),
        ),
        Mutant(
            "order-i-f-o-g",
            "The blocks stand in the order of the formulas: i, f, o, g.",
            "You take the third block for the output gate and the fourth for the candidate. Books differ; torch's weights "
            "come in the order i, f, g, o.",
            (("i, f, g, o = ", "i, f, o, g = "),),
        ),
        Mutant(
            "order-f-i-g-o",
            "First forget, then let in: f, i, g, o.",
            "Your input gate and your forget gate are exchanged. Which block comes first?",
            (("i, f, g, o = ", "f, i, g, o = "),),
        ),
        Mutant(
            "candidate-through-a-sigmoid",
            "Everything in an LSTM goes through a sigmoid.",
            "Your candidate lies between 0 and 1, so the cell can only grow. What is written into the memory has to be "
            "able to be negative: a tanh.",
            (("g.tanh()", "g.sigmoid()"),),
        ),
        Mutant(
            "one-gate-for-two",
            "What is not kept is replaced: the input gate is one minus the forget gate.",
            "You let in 1 - f, and the input gate's block is never used. (A GRU does so.) An LSTM has a gate of its own "
            "for what comes in.",
            (("i.sigmoid() * g", "(1 - f.sigmoid()) * g"),),
        ),
        Mutant(
            "old-cell-said",
            "The hidden state is what the memory said before.",
            "Your hidden state comes from the *old* cell: whatever has just been written is said one step late.",
            (("new_cell.tanh()", "cell.tanh()"),),
        ),
        Mutant(
            "cell-without-tanh",
            "The output gate is enough.",
            "Your hidden state is not limited: the cell can grow over many steps, and tanh keeps what is said between -1 "
            "and 1.",
            (("o.sigmoid() * new_cell.tanh()", "o.sigmoid() * new_cell"),),
        ),
        Mutant(
            "returns-exchanged",
            "The cell comes first.",
            "You return (cell, hidden state). The hidden state, what the layer says, comes first.",
            (("return new_hidden, new_cell", "return new_cell, new_hidden"),),
        ),
        Mutant(
            "bias-forgotten",
            "The bias is a detail.",
            "Whatever the bias is, your result does not change. It belongs to the blocks.",
            ((" + bias", ""),),
        ),
        Mutant(
            "deaf-to-itself",
            "The memory is in the cell; the hidden state is only the output.",
            "Your gates look at the input alone: what the layer said last time has no say. What does the second weight "
            "belong to?",
            ((" + hidden @ weight_hidden.mT", ""),),
        ),
        Mutant(
            "gates-not-squashed",
            "f multiplies the cell, i multiplies the candidate.",
            "You multiply by the blocks themselves. A gate is the *sigmoid* of its block, between 0 and 1.",
            ((_NEW_CELL, "f * cell + i * g.tanh()"), (_NEW_HIDDEN, "o * new_cell.tanh()")),
        ),
        Mutant(
            "unit-by-unit",
            "Each unit has its four numbers side by side.",
            "You take every fourth row for a gate. The rows come in four blocks of H: first i of *all* units, then f of "
            "all, and so on.",
            (("blocks.chunk(4, dim=-1)", "blocks.unflatten(-1, (-1, 4)).unbind(-1)"),),
        ),
    ),
    alternatives=(_lstm_by_torch, _lstm_gate_by_gate, _lstm_by_units),
    differentiable=("x", "hidden", "cell", "weight_x", "weight_hidden", "bias"),
    box="prediction",
)

# ------------------------------------------------------------------------------------------------------ running freely


def _doubler(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return 2 * x + state, state + 1


def _roller(x: Tensor, state: tuple[Tensor, int]) -> tuple[Tensor, tuple[Tensor, int]]:
    """A step with a memory of two parts: what it adds grows, and it counts."""
    kept, count = state
    kept = 0.5 * kept + x.roll(1, dims=-1)
    return (0.8 * x + 0.3 * kept * (1 + 0.1 * count)).sin(), (kept, count + 1)


def _roll_by_hand(f: Function) -> None:
    tried = "step: y = 2·x + state, and the state grows by 1; first 1, state 0, length 3"
    out = f(_doubler, torch.ones(1, 1), torch.zeros(1, 1), 3)
    _must_be_tensor(out, tried)
    expect(list(out.shape), [1, 3, 1], "one frame for each of the steps: (B, length, F)", tried)
    message = "2·1 + 0 = 2, then 2·2 + 1 = 5, then 2·5 + 2 = 12; the first itself is not among them"
    expect(out.flatten(), [2.0, 5.0, 12.0], message, tried)


def _must_be_tensor(out: Any, tried: str) -> None:
    if out is None:
        raise Violation("Your function returned nothing. Is there a `return`?", tried, "a tensor (B, length, F)", "None")
    if not isinstance(out, Tensor):
        raise Violation("The outputs come back as one tensor", tried, "a tensor (B, length, F)", type(out).__name__)


def _roll_feeds_back(f: Function) -> None:
    read: list[Tensor] = []
    states: list[Any] = []

    def watched(x: Tensor, state: str) -> tuple[Tensor, str]:
        read.append(x.detach().clone())
        states.append(state)
        return 1 - 0.5 * x, state + "x"

    first, tried = _normal(2, 3, seed=3), "a step that writes down what it is given; length 4"
    out = f(watched, first, "", 4)
    _must_be_tensor(out, tried)
    expect(len(read), 4, "the step is called once for each frame", tried)
    if states != ["", "x", "xx", "xxx"]:
        message = "each call has to get the state that the last call gave back"
        raise Violation(message, tried, "the states after 0, 1, 2, 3 steps", repr(states))
    expect(read[0], first, "the first call reads the first frame", tried)
    for n in range(1, 4):
        expect(read[n], 1 - 0.5 * read[n - 1], f"call {n} (from 0) has to read what call {n - 1} said", tried)


def _roll_loops(f: Function) -> None:
    first, state = _normal(3, 2, seed=4), (_normal(3, 2, seed=5), 0)
    wanted = torch.zeros(3, 5, 2)
    x, memory = first, state
    for t in range(5):
        x, memory = _roller(x, memory)
        wanted[:, t] = x
    tried = "a step with a memory of two parts, 3 first frames of 2 numbers, length 5"
    out = f(_roller, first, state, 5)
    _must_be_tensor(out, tried)
    expect(out, wanted, "each frame is the step of the one before", tried)


def _roll_once(f: Function) -> None:
    tried = "length 1"
    out = f(_doubler, torch.full((2, 1), 3.0), torch.ones(2, 1), 1)
    _must_be_tensor(out, tried)
    expect(out, [[[7.0]], [[7.0]]], "one step from 3 with state 1: 2·3 + 1 = 7", tried)


def _roll_filled(step: Callable[[Tensor, Any], tuple[Tensor, Any]], first: Tensor, state: Any, length: int) -> Tensor:
    parts: tuple[Tensor, ...] = ()
    now, memory, made = first, state, 0
    while made < length:
        now, memory = step(now, memory)
        parts, made = (*parts, now[:, None]), made + 1
    return torch.cat(parts, dim=1)


def _roll_recursive(step: Callable[[Tensor, Any], tuple[Tensor, Any]], first: Tensor, state: Any, length: int) -> Tensor:
    def onward(x: Tensor, memory: Any, left: int) -> list[Tensor]:
        if not left:
            return []
        said, after = step(x, memory)
        return [said, *onward(said, after, left - 1)]

    return torch.stack(onward(first, state, length)).transpose(0, 1)


def _roll_indexed(step: Callable[[Tensor, Any], tuple[Tensor, Any]], first: Tensor, state: Any, length: int) -> Tensor:
    film = [first]
    for t in range(length):
        said, state = step(film[t], state)
        film.append(said)
    return torch.stack(film, 1)[:, 1:]


ROLL_OUT = Exercise(
    id="roll-out",
    title="Running freely",
    target="monkeynet_edu.prediction:roll_out",
    statement=(
        "Let a network run freely: it reads the first frame, and from then on its own outputs. `step(x, state)` gives "
        "(output, new state)."
    ),
    level="blank page",
    hints=(
        "A chain: what comes out at one end of `step` goes in at its front the next time, the frame *and* the state.",
        "Keep a list of the outputs, each (B, F), and stack them along a new axis 1. The first frame was given; it is not "
        "an output.",
        "`x, outputs = first, []`, then `length` times `x, state = step(x, state)` and `outputs.append(x)`; at the end "
        "`torch.stack(outputs, dim=1)`.",
    ),
    calls=lambda: [
        Call(
            "a step with a memory, 3 first frames of 2 numbers, length 5",
            (_roller, _normal(3, 2), (_normal(3, 2, seed=2), 0), 5),
        ),
        Call(
            "a step that doubles and adds its state, length 4",
            (_doubler, _normal(2, 3, seed=3), _normal(2, 3, seed=4), 4),
        ),
    ],
    properties=(
        Property("by hand", "2·x + state from 1 and 0: 2, 5, 12", _roll_by_hand),
        Property("feeds back", "each call gets what the last one gave: output and state", _roll_feeds_back),
        Property("once", "length 1 is one step", _roll_once),
        Property("definition", "each frame is the step of the one before", _roll_loops),
    ),
    mutants=(
        Mutant(
            "always-the-first",
            "The network knows where it is from its state.",
            "Your step reads the first frame again and again. From the second step on it has to read what it has said "
            "itself.",
            (("step(x, state)", "step(first, state)"),),
        ),
        Mutant(
            "state-not-carried",
            "The frame is all that has to be passed on.",
            "Each of your steps starts from the old state: the network forgets everything between two frames.",
            (("x, state = step", "x, _ = step"),),
        ),
        Mutant(
            "first-for-the-last",
            "The film starts with the first frame.",
            "Your film begins with the frame that was given, and its last one is missing. Only what the network has said "
            "comes back.",
            (("outputs = []", "outputs = [first]"), ("range(length)", "range(length - 1)")),
        ),
        Mutant(
            "first-besides",
            "The film is the first frame and the predicted ones.",
            "You return one frame too many: the first one was given, the others are asked for.",
            (("outputs = []", "outputs = [first]"),),
        ),
        Mutant(
            "zeros-fed",
            "After the first frame there is nothing to read.",
            "From the second step on your network reads zeros. (The published code does so.) Here it shall read its own "
            "last output.",
            (("outputs.append(x)", "outputs.append(x)\n        x = torch.zeros_like(x)"),),
        ),
        Mutant(
            "added-twice",
            "The network says the change.",
            "You add the output to the input. `step` already says the next frame itself, not the change.",
            (("x, state = step(x, state)", "change, state = step(x, state)\n        x = x + change"),),
        ),
        Mutant(
            "time-first",
            "Stacking puts the frames one after the other.",
            "Your result is (length, B, F): `torch.stack` makes the new axis in front, unless told otherwise. Where does "
            "time belong?",
            (("torch.stack(outputs, dim=1)", "torch.stack(outputs)"),),
        ),
        Mutant(
            "one-long-frame",
            "cat and stack are the same.",
            "You lay the frames side by side in the axis of the features, (B, length·F). A new axis is needed.",
            (("torch.stack(outputs, dim=1)", "torch.cat(outputs, dim=1)"),),
        ),
        Mutant(
            "last-only",
            "The last output is the result.",
            "Every frame of your film is the last one. All outputs on the way are wanted.",
            (("torch.stack(outputs, dim=1)", "torch.stack([x] * length, dim=1)"),),
        ),
    ),
    alternatives=(_roll_filled, _roll_recursive, _roll_indexed),
    differentiable=("first",),
    box="prediction",
)

# --------------------------------------------------------------------------------------------------------- covariances


def _factor_by_hand(f: Function) -> None:
    message = "A = [[0, 1], [-1, 0]], a quarter turn: AᵀA is the unit matrix"
    expect(f(torch.tensor([0.0, 1.0, -1.0, 0.0])), [[1.0, 0.0], [0.0, 1.0]], message, "0, 1, -1, 0")
    message = "A = [[1, 2], [3, 4]]: AᵀA = [[10, 14], [14, 20]]"
    expect(f(torch.tensor([1.0, 2.0, 3.0, 4.0])), [[10.0, 14.0], [14.0, 20.0]], message, "1, 2, 3, 4")


def _factor_shape(f: Function) -> None:
    expect(list(f(_normal(2, 5, 3, 4)).shape), [2, 5, 3, 2, 2], "four numbers become a 2×2 matrix", "numbers (2, 5, 3, 4)")


def _factor_symmetric(f: Function) -> None:
    cov, tried = f(_normal(200, 4)), "200 times four random numbers"
    expect(cov, cov.mT, "a covariance is symmetric", tried)
    least = float(torch.linalg.eigvalsh(cov.double()).min())
    if least < -1e-4:
        message = "a covariance has no negative eigenvalue"
        raise Violation(message, tried, "at least 0", f"an eigenvalue of {least:.3g}")


def _factor_lengths(f: Function) -> None:
    raw, v = _normal(6, 4, seed=2), _normal(6, 2, seed=3)
    got = torch.einsum("ni,nij,nj->n", v, f(raw), v)
    wanted = []
    for (a, b, c, d), (x, y) in zip(raw.tolist(), v.tolist(), strict=True):
        wanted.append((a * x + b * y) ** 2 + (c * x + d * y) ** 2)
    message = "vᵀΣv has to be |Av|², with A's rows (r1, r2) and (r3, r4)"
    expect(got, wanted, message, "6 times four random numbers and a random v")


def _factor_by_columns(raw: Tensor) -> Tensor:
    a, b, c, d = raw.unbind(dim=-1)
    off = a * b + c * d
    return torch.stack([torch.stack([a * a + c * c, off], -1), torch.stack([off, b * b + d * d], -1)], -2)


def _factor_einsum(raw: Tensor) -> Tensor:
    a = raw.double().reshape(*raw.shape[:-1], 2, 2)
    return torch.einsum("...ki,...kj->...ij", a, a).to(raw.dtype)


def _factor_rows(raw: Tensor) -> Tensor:
    upper, lower = raw[..., :2], raw[..., 2:]
    out: Tensor = upper[..., :, None] * upper[..., None, :] + lower[..., :, None] * lower[..., None, :]
    return out


COVARIANCE = Exercise(
    id="covariance-from-factor",
    title="Covariances out of any numbers",
    target="monkeynet_edu.prediction:covariance_from_factor",
    statement="Make covariances Σ = AᵀA out of any four numbers each, A = [[r1, r2], [r3, r4]].",
    level="stub",
    steps=(
        "the four numbers as a 2×2 matrix A, row by row",
        "Aᵀ: rows and columns exchanged, in the last two axes only",
        "AᵀA, for all leading dimensions at once",
    ),
    hints=(
        "Whatever A does to a vector v, the square of a length is never negative: vᵀ(AᵀA)v = (Av)ᵀ(Av) = |Av|².",
        "(..., 4) → (..., 2, 2), then a product of matrices. `.mT` transposes the last two axes, whatever stands before.",
        "`factor = torch.unflatten(raw, -1, (2, 2))`, and `factor.mT @ factor`.",
    ),
    calls=lambda: [
        Call("random numbers (3, 5, 4)", (_normal(3, 5, 4),)),
        Call("four numbers", (torch.tensor([1.0, 2.0, 3.0, 4.0]),)),
        Call("random numbers (2, 1, 3, 4)", (_normal(2, 1, 3, 4, seed=2),)),
    ],
    properties=(
        Property("by hand", "a quarter turn gives the unit matrix, 1, 2, 3, 4 give [[10, 14], [14, 20]]", _factor_by_hand),
        Property("shape", "(..., 4) becomes (..., 2, 2)", _factor_shape),
        Property("covariance", "symmetric, no negative eigenvalue", _factor_symmetric),
        Property("lengths", "vᵀΣv is the square of the length of Av", _factor_lengths),
    ),
    mutants=(
        Mutant(
            "a-times-a",
            "A·A is positive semi-definite: a square is never negative.",
            "Your Σ is A·A. That holds for numbers, not for matrices: two quarter turns make a half turn, and a half turn "
            "points every vector backwards. Which product is a *length* squared?",
            (("transposed @ factor", "factor @ factor"),),
        ),
        Mutant(
            "made-symmetric",
            "A symmetric matrix is a covariance.",
            "Your Σ is (A + Aᵀ)/2: symmetric, but its eigenvalues may be negative. Being symmetric is only half of it.",
            (("transposed @ factor", "(factor + factor.mT) / 2"),),
        ),
        Mutant(
            "a-a-transposed",
            "AᵀA and AAᵀ are the same.",
            "Your Σ is AAᵀ. That is a covariance, too, but another one; the predictor was trained with AᵀA.",
            (("transposed @ factor", "factor @ factor.mT"),),
        ),
        Mutant(
            "squared-entries",
            "A matrix is squared number by number.",
            "You square each entry by itself. The off-diagonal entries are then never negative, and need not be equal: "
            "`@` multiplies matrices, `*` numbers.",
            (("transposed @ factor", "factor * factor"),),
        ),
        Mutant(
            "entry-by-entry",
            "Aᵀ * A multiplies matrices.",
            "`*` multiplies entry by entry. For matrices there is `@`.",
            (("transposed @ factor", "factor.mT * factor"),),
        ),
        Mutant(
            "absolute",
            "Positive entries make a positive matrix.",
            "You make the entries positive. [[1, 2], [2, 1]] has positive entries and the eigenvalue -1.",
            (("transposed @ factor", "factor.abs()"),),
        ),
        Mutant(
            "triangle",
            "Three numbers are enough: a triangle, as in Cholesky's factor.",
            "You throw r2 away. Three numbers would be enough, but here there are four, and all of them count.",
            (("(2, 2))", "(2, 2)).tril()"),),
        ),
        Mutant(
            "diagonal",
            "Variances are what matters.",
            "Your ellipses always lie along the axes: nothing stands off the diagonal.",
            (("transposed @ factor", "torch.diag_embed((factor * factor).sum(dim=-2))"),),
        ),
    ),
    alternatives=(_factor_by_columns, _factor_einsum, _factor_rows),
    differentiable=("raw",),
    box="prediction",
)

# ---------------------------------------------------------------------------------------------------------- masked loss


def _padded(batch: int, frames: int, features: int, seed: int, junk: float) -> tuple[Tensor, Tensor, Tensor]:
    """Random predictions and targets; clip n lacks its last n frames, and junk stands there."""
    prediction, target = _normal(batch, frames, features, seed=seed), _normal(batch, frames, features, seed=seed + 1)
    mask = torch.arange(frames)[None] < frames - torch.arange(batch)[:, None]
    target[~mask] = junk
    return prediction, target, mask


def _masked_by_hand(f: Function) -> None:
    guess, target = torch.zeros(2, 2, 1), torch.tensor([[[1.0], [3.0]], [[5.0], [100.0]]])
    mask = torch.tensor([[True, True], [True, False]])
    message = "errors 1 and 3 in the first clip, 5 in the second: (1 + 3 + 5)/3 = 3"
    expect(f(guess, target, mask), 3.0, message, "two clips, the second one frame short; 100 stands where it has none")


def _masked_loops(f: Function) -> None:
    prediction, target, mask = _padded(3, 4, 2, 6, 50.0)
    errors = []
    for b in range(3):
        for t in range(4):
            if bool(mask[b, t]):
                errors += [abs(float(prediction[b, t, i]) - float(target[b, t, i])) for i in range(2)]
    message = "mean |difference| over all numbers of present frames"
    expect(f(prediction, target, mask), sum(errors) / len(errors), message, "3 clips of 4, 3 and 2 frames")


def _masked_nan(f: Function) -> None:
    prediction, target, mask = _padded(3, 4, 2, 8, 0.0)
    tried = "NaN in the frames that are not there"
    right = float((prediction - target).abs()[mask].mean())
    target[~mask] = math.nan
    got = f(prediction, target, mask)
    if bool(torch.as_tensor(got).isnan().any()):
        raise Violation("What stands in absent frames must not matter, not even NaN", tried, f"{right:.4g}", "NaN")
    expect(got, right, "what stands in absent frames must not matter", tried)


def _masked_whole(f: Function) -> None:
    prediction, target = _normal(2, 3, 4), _normal(2, 3, 4, seed=2)
    right = float((prediction - target).abs().mean())
    got = f(prediction, target, torch.ones(2, 3, dtype=torch.bool))
    expect(got, right, "with all frames there it is the plain mean of |difference|", "all frames there")


def _see_masked(f: Function, call: Call) -> Any:
    """The result, with -7 for NaN, so that two versions that give NaN can be compared."""
    out = f(*call.args)
    return out.nan_to_num(nan=-7.0) if isinstance(out, Tensor) else out


def _masked_where(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    there = mask[..., None].expand_as(prediction)
    gap = torch.where(there, prediction - target, 0.0)
    return gap.abs().sum() / there.sum()


def _masked_loop(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    errors = [
        (prediction[b, t].double() - target[b, t].double()).abs()
        for b in range(len(mask))
        for t in range(mask.shape[1])
        if mask[b, t]
    ]
    return torch.cat(errors).mean().to(prediction.dtype)


def _masked_weights(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    gap = torch.nan_to_num(target) - prediction
    weight = mask.to(prediction.dtype)[..., None]
    return (gap.abs() * weight).sum() / (weight.sum() * prediction.shape[-1])


_MEAN = "return (there - wanted).abs().mean()"
_CLIP_BY_CLIP = (
    "return torch.stack([(p[m] - t[m]).abs().mean() for p, t, m in zip(prediction, target, mask, strict=True)]).mean()"
)

MASKED = Exercise(
    id="masked-l1",
    title="A loss for clips of different length",
    target="monkeynet_edu.prediction:masked_l1",
    statement=(
        "The mean of |prediction - target| over the frames that are there: all their numbers count alike, absent frames do "
        "not count at all. What stands in absent frames must not matter, not even NaN."
    ),
    level="blank page",
    hints=(
        "Two numbers make a mean: a sum, and how many were added up. The mask has a say in both.",
        "Indexing (B, T, F) with a bool mask (B, T) gives (number of frames that are there, F).",
        "`(prediction[mask] - target[mask]).abs().mean()`",
    ),
    calls=lambda: [
        Call("3 clips of 5, 4 and 3 frames of 2 numbers", _padded(3, 5, 2, 10, 9.0)),
        Call("2 clips of 4 and 3 frames of 3 numbers", _padded(2, 4, 3, 20, -5.0)),
        Call("the same with NaN in the frames that are not there", _padded(2, 4, 3, 30, math.nan)),
    ],
    observe=_see_masked,
    properties=(
        Property("by hand", "errors 1, 3 and 5: the mean is 3", _masked_by_hand),
        Property("all there", "with all frames there: the plain mean", _masked_whole),
        Property("definition", "mean |difference| over all numbers of present frames", _masked_loops),
        Property("absent", "what stands in absent frames does not matter, not even NaN", _masked_nan),
    ),
    mutants=(
        Mutant(
            "all-frames",
            "Absent frames are zeros, zeros do no harm.",
            "You count frames that are not there: whatever stands in them is part of your loss.",
            (("prediction[mask]", "prediction"), ("target[mask]", "target")),
        ),
        Mutant(
            "divided-by-all",
            "Zeroing what is absent is enough; the mean does the rest.",
            "You set absent frames to zero and then divide by *all* frames. A batch of short clips would seem to be easier "
            "than it is. By how many do you have to divide?",
            (
                ("there = prediction[mask]", "there = torch.where(mask[..., None], prediction, 0.0)"),
                ("wanted = target[mask]", "wanted = torch.where(mask[..., None], target, 0.0)"),
            ),
        ),
        Mutant(
            "multiplied",
            "Times zero is zero.",
            "You multiply by the mask. 0 times NaN is NaN: choose the frames (indexing, `torch.where`) instead.",
            (
                ("there = prediction[mask]", "there = (prediction - target).abs() * mask[..., None]"),
                (_MEAN, "return there.sum() / wanted.numel()"),
            ),
        ),
        Mutant(
            "clip-by-clip",
            "The mean of the clips' means is the mean.",
            "You take the mean of each clip first, then the mean of those: a frame of a short clip counts more. By hand: "
            "(2 + 5)/2 is 3.5, not 3.",
            ((_MEAN, _CLIP_BY_CLIP),),
        ),
        Mutant(
            "squared",
            "A loss is squared.",
            "You square the differences. L1 takes them as they are, without their sign.",
            (("(there - wanted).abs()", "(there - wanted).square()"),),
        ),
        Mutant(
            "signed",
            "Differences are averaged.",
            "Errors to the left and to the right cancel in your mean: there is no |…|.",
            (("(there - wanted).abs()", "(there - wanted)"),),
        ),
        Mutant(
            "mask-inverted",
            "The mask hides what it marks.",
            "You take the mean over the frames that are *not* there. True means that there is a frame.",
            (("prediction[mask]", "prediction[~mask]"), ("target[mask]", "target[~mask]")),
        ),
        Mutant(
            "summed",
            "A loss adds up.",
            "You add up where a mean is asked for: longer clips would have a larger loss.",
            ((".abs().mean()", ".abs().sum()"),),
        ),
        Mutant(
            "divided-by-frames",
            "The mean is over frames.",
            "You divide by the number of frames alone, so it matters how many numbers a frame has. All numbers count "
            "alike.",
            (("(there - wanted).abs().mean()", "(there - wanted).abs().sum() / len(there)"),),
        ),
    ),
    alternatives=(_masked_where, _masked_loop, _masked_weights),
    differentiable=("prediction",),
    box="prediction",
)

LESSON = Lesson(
    number="09",
    slug="image_to_video",
    title="Image to video",
    minutes=130,
    imports=IMPORTS,
    exercises=(SHIFTED, LSTM_STEP, ROLL_OUT, COVARIANCE, MASKED),
)
