"""The loop around a training step, and nothing else: for lesson 07."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def training_loop(
    first: int,
    steps: int,
    rate: Callable[[float], float],
    batch: Callable[[int], tuple[Any, Any]],
    take: Callable[[Any, Any, float], Any],
) -> list[Any]:
    """Takes the steps first, first + 1, …, steps - 1 of a training.

    Args:
        first: number of the first step to take: 0, or where an interrupted training goes on.
        steps: length of the whole training, in steps.
        rate: share of the whole training that is done, in [0, 1) → learning rate.
        batch: number of a step → its source and driving frames.
        take: source, driving, learning rate → the losses; changes the model.

    Returns:
        What `take` returned, for each step taken.
    """
    history = []
    for step in range(first, steps):
        progress = step / steps
        source, driving = batch(step)
        history.append(take(source, driving, rate(progress)))
    return history
