"""What a handful of trained models allows one to say: paired bootstrap intervals, and how often an order holds.

The unit that is drawn again and again is the *clip*. Figures of one clip under several methods belong together, since
a hard clip is hard for all of them; drawing the clips of each method by themselves would drown a small difference in the
differences between clips.
"""

from __future__ import annotations

import torch
from torch import Tensor

DRAWS = 10_000
SURE = 0.95  # share of the draws from which on an order is said to hold


def decided(share: float) -> str:
    """What a share of the draws says of an order: ``holds``, ``reversed`` or ``not decided``."""
    if share >= SURE:
        return "holds"
    return "reversed" if share <= 1 - SURE else "not decided"


def paired_bootstrap(a: Tensor, b: Tensor, draws: int, generator: torch.Generator) -> tuple[float, float]:
    """The 95 % interval of mean(a - b) over clips, by the percentiles of a paired bootstrap (Efron 1979).

    Args:
        a: (n,), one method's figure on each clip.
        b: (n,), the other's on the same clips in the same order.
        draws: how many times n clips are drawn with replacement.
        generator: of the draws.

    Returns:
        Lower and upper end, in the figures' unit.
    """
    difference = a - b
    clips = len(difference)
    drawn = torch.randint(clips, (draws, clips), generator=generator)
    means = difference[drawn].mean(dim=1)  # (draws,)
    low = torch.quantile(means, 0.025)
    high = torch.quantile(means, 0.975)
    return float(low), float(high)


def order_stability(values: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """In which share of bootstrap draws one method's mean is below another's.

    Args:
        values: (M, n), figures of M methods on the same n clips; lower is better.
        draws: how many times n clips are drawn with replacement, the same ones for all methods.
        generator: of the draws.

    Returns:
        (M, M): entry [i, j] is the share of draws in which method i has the lower mean; a tie counts half, so that
        [i, j] + [j, i] = 1 and the diagonal is ½.
    """
    clips = values.shape[1]
    drawn = torch.randint(clips, (draws, clips), generator=generator)
    means = values[:, drawn].mean(dim=2)  # (M, draws)
    mine, other = means[:, None], means[None]
    below = (mine < other).double() + 0.5 * (mine == other).double()
    return below.mean(dim=2)
