"""What votes between two films allow one to say: a share and its interval, agreement of raters, a ranking of methods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Array = NDArray[np.float64]

STEPS = 10_000
STEADY = 1e-10


def clopper_pearson(wins: int, votes: int, level: float = 0.95) -> tuple[float, float]:
    """The exact binomial interval of a share (Clopper and Pearson, Biometrika 26, 1934).

    The lower end is the share p under which ``wins`` or more of ``votes`` have the probability (1 - level) / 2; the upper
    end the one under which ``wins`` or fewer have it. A binomial tail is a beta distribution's, whose quantiles these are.

    Args:
        wins: how many votes went one way, 0 to ``votes``.
        votes: how many there were, at least 1.
        level: probability with which such an interval holds the true share, at least.

    Returns:
        Lower and upper end, in [0, 1].
    """
    tail = (1 - level) / 2
    low = 0.0 if wins == 0 else float(betaincinv(wins, votes - wins + 1, tail))
    high = 1.0 if wins == votes else float(betaincinv(wins + 1, votes - wins, 1 - tail))
    return low, high


def krippendorff_alpha(counts: Array) -> float | None:
    """How far raters agree beyond chance: 1 always, 0 as if each had drawn from all votes, below 0 less than that.

    Krippendorff's alpha of names without order (Content Analysis, 2004, chapter 11). With the same number of raters for
    every pair it is Fleiss' kappa with a correction for small samples, α = 1 - (1 - κ)(1 - 1/n) of n votes; unlike kappa
    it takes pairs that some have not seen. Pairs with fewer than two votes say nothing about agreement and are left out.

    Args:
        counts: (pairs, choices), how many raters made each choice.

    Returns:
        Alpha; None where nothing can be said: no pair has two votes, or all votes are alike.
    """
    seen = counts[counts.sum(axis=1) >= 2]
    votes = seen.sum(axis=1, keepdims=True)
    observed = (seen * (votes - seen) / (votes - 1)).sum() if len(seen) else 0.0
    total = seen.sum(axis=0)
    expected = (total * (total.sum() - total)).sum() / (total.sum() - 1) if len(seen) else 0.0
    return None if expected == 0 else float(1 - observed / expected)


def agreement(counts: Array) -> float | None:
    """The share of pairs of raters, over all pairs of films that two or more have seen, who chose the same film.

    Args:
        counts: (pairs, choices), how many raters made each choice.
    """
    votes = counts.sum(axis=1)
    together = (votes * (votes - 1)).sum()
    return None if together == 0 else float((counts * (counts - 1)).sum() / together)


def reaches_all(wins: Array) -> bool:
    """Whether every method beat every other, directly or over others; else no finite strengths exist (Ford 1957).

    Args:
        wins: (methods, methods), how often the row was preferred to the column.
    """
    step = (wins > 0) | np.eye(len(wins), dtype=bool)
    path = step
    for _ in range(len(wins)):
        path = path @ step
    return bool(path.all())


def bradley_terry(wins: Array) -> Array | None:
    """Strengths s under which method i is preferred to j with the probability s_i / (s_i + s_j) (Biometrika 39, 1952).

    The likelihood is climbed by minorization-maximization (Hunter, Annals of Statistics 32, 2004). Of two methods the
    strengths are their shares of the votes.

    Args:
        wins: (methods, methods), how often the row was preferred to the column; the diagonal is 0.

    Returns:
        (methods,), they sum to 1; None where no finite ones exist, see :func:`reaches_all`.
    """
    if not wins.any() or (len(wins) > 2 and not reaches_all(wins)):
        return None
    won, met = wins.sum(axis=1), wins + wins.T
    strength = np.full(len(wins), 1 / len(wins))
    for _ in range(STEPS):
        before = strength
        both = np.where(met > 0, before[:, None] + before[None], 1)
        strength = won / (met / both).sum(axis=1)
        strength = strength / strength.sum()
        if np.abs(strength - before).max() < STEADY:
            break
    return strength


def win_table(preferences: Sequence[tuple[str, str]], methods: Sequence[str]) -> Array:
    """Counts preferences.

    Args:
        preferences: (preferred, other), one a vote.
        methods: in the order of rows and columns.

    Returns:
        (methods, methods), how often the row was preferred to the column.
    """
    place = {name: index for index, name in enumerate(methods)}
    wins = np.zeros((len(methods), len(methods)))
    for preferred, other in preferences:
        wins[place[preferred], place[other]] += 1
    return wins
