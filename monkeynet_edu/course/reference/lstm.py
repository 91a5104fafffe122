"""An LSTM one step at a time: the gates written out, layers that run on them, and a small network that continues curves."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from monkeynet_edu import prediction

State = tuple[Tensor, Tensor]


def lstm_step(
    x: Tensor, hidden: Tensor, cell: Tensor, weight_x: Tensor, weight_hidden: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM layer with H units.

    The 4H rows of weights and bias are four blocks of H: input gate i, forget gate f, candidate g, output gate o.

    Args:
        x: (B, F), what comes in now.
        hidden: (B, H), what the layer said last time.
        cell: (B, H), what it remembers.
        weight_x: (4H, F).
        weight_hidden: (4H, H).
        bias: (4H,).

    Returns:
        New hidden state and new cell, each (B, H).
    """
    blocks = x @ weight_x.mT + hidden @ weight_hidden.mT + bias  # (B, 4H)
    i, f, g, o = blocks.chunk(4, dim=-1)
    new_cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    new_hidden = o.sigmoid() * new_cell.tanh()
    return new_hidden, new_cell


class SteppedLSTM(nn.Module):
    """Takes the place of an ``nn.LSTM`` and runs on :func:`lstm_step`, with the same weights.

    Args:
        lstm: one with ``batch_first``, one direction, and biases. Its parameters are shared, not copied.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm

    def layer(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of a layer as :func:`lstm_step` takes them; torch keeps two biases, of which only the sum matters."""
        weight_x, weight_hidden, one, other = self.lstm.all_weights[number][:4]
        return weight_x, weight_hidden, one + other

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Sequences (B, T, F) and state (layers, B, H) twice, to outputs (B, T, H) and the last state."""
        hiddens, cells = [list(part) for part in state]
        outputs = []
        layers = [self.layer(number) for number in range(len(hiddens))]
        for x in inputs.unbind(dim=1):
            for number, weights in enumerate(layers):
                hiddens[number], cells[number] = lstm_step(x, hiddens[number], cells[number], *weights)
                x = hiddens[number]
            outputs.append(x)
        return torch.stack(outputs, dim=1), (torch.stack(hiddens), torch.stack(cells))


class Forecaster(nn.Module):
    """Continues curves: reads one value a step and says the next one, as the last value plus a change.

    Args:
        hidden: H, units of its one layer.
    """

    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        self.layer = SteppedLSTM(nn.LSTM(1, hidden, batch_first=True))
        self.output = nn.Linear(hidden, 1)

    def start(self, batch: int) -> State:
        """An empty memory."""
        still = self.output.weight.new_zeros(1, batch, self.output.in_features)
        return still, still

    def forced(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Teacher forcing: true values (B, T, 1) in, a guess (B, T, 1) of each one's next value out, and the last state."""
        hidden, state = self.layer(inputs, state)
        return inputs + self.output(hidden), state

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One value (B, 1) and state to the next value (B, 1) and state."""
        guesses, state = self.forced(x[:, None], state)
        return guesses[:, 0], state

    def continued(self, seen: Tensor, length: int) -> Tensor:
        """Reads true values (B, S, 1), then runs freely: the next ``length`` values (B, length, 1)."""
        state = self.start(len(seen))
        if seen.shape[1] > 1:
            _, state = self.forced(seen[:, :-1], state)
        return prediction.roll_out(self.step, seen[:, -1], state, length)


def sines(phases: Tensor, length: int, period: float = 24.0) -> Tensor:
    """Curves 0.8·sin(phase + 2πt / period) for t = 0 … length - 1: phases (B,) to (B, length, 1)."""
    turn = 2 * math.pi / period * torch.arange(length)
    return 0.8 * torch.sin(phases[:, None] + turn)[..., None]
