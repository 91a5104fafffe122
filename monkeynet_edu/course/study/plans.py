"""The plan of one rater: in which order the pairs come and which film stands on the left; a seed decides."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from monkeynet_edu.course.study.folder import Study, Trial
from monkeynet_edu.course.study.votes import REFERENCE


@dataclass(frozen=True)
class Showing:
    """A pair as one rater sees it.

    Attributes:
        trial: the pair.
        mirrored: whether the first of its films stands on the right.
        token: what the page calls it; says nothing of pair, method or check.
    """

    trial: Trial
    mirrored: bool
    token: str

    @property
    def sides(self) -> tuple[int, int]:
        """Which of the trial's films stand on the left and on the right."""
        return (1, 0) if self.mirrored else (0, 1)

    @property
    def methods(self) -> tuple[str, str]:
        """What made the films on the left and on the right."""
        left, right = self.sides
        return self.trial.films[left].method, self.trial.films[right].method


def plan(study: Study, rater: str) -> tuple[Showing, ...]:
    """The order and the sides for a rater: the same whenever it is asked for.

    Of every two methods each stands on the left in half of their pairs (of an odd number in one more or less), so that a
    habit of one side favours none. Attention checks stand anywhere but at the very beginning.

    Args:
        study: whose pairs.
        rater: the code.
    """
    draw = random.Random(f"plan/{study.about.seed}/{study.fingerprint}/{rater}")
    mirrored = _sides(study.trials, draw)
    order = [trial for trial in study.trials if not trial.is_check]
    draw.shuffle(order)
    for check in (trial for trial in study.trials if trial.is_check):
        order.insert(draw.randint(1, len(order)) if order else 0, check)
    return tuple(Showing(trial, mirrored[trial.id], _token(study, rater, trial)) for trial in order)


def _sides(trials: Sequence[Trial], draw: random.Random) -> dict[str, bool]:
    groups: dict[tuple[str, ...], list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[("checks",) if trial.is_check else trial.methods].append(trial)
    mirrored: dict[str, bool] = {}
    for group in groups.values():
        draw.shuffle(group)
        late = draw.random() < 0.5
        for place, trial in enumerate(group):
            lead = REFERENCE if trial.is_check else trial.methods[0]  # stands on the left in half of the pairs
            on_left = (place % 2 == 0) != late
            mirrored[trial.id] = (trial.films[0].method == lead) != on_left
    return mirrored


def _token(study: Study, rater: str, trial: Trial) -> str:
    return hashlib.sha256(f"{study.fingerprint}/{rater}/{trial.id}".encode()).hexdigest()[:12]
