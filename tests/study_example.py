"""A small study: two made-up methods over noise with a square that moves; and votes, marked as synthetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from monkeynet_edu.course.study.folder import Study, build_study
from monkeynet_edu.course.study.votes import Vote
from monkeynet_edu.data.datasets import Pair
from monkeynet_edu.data.sprites import Clip

FIRST, SECOND = "zebrafinch", "quaggamussel"
"""Names of methods that occur nowhere by chance."""
RATERS = ("r-aaaaaaa2", "r-bbbbbbb3", "r-ccccccc4")
SIDE, FRAMES = 16, 4


def clips(count: int = 4) -> list[Clip]:
    """Noise over which a bright square moves to the right, (FRAMES, SIDE, SIDE, 3)."""
    made = []
    for number in range(count):
        frames = np.random.default_rng(number).integers(0, 100, (1, SIDE, SIDE, 3), np.uint8).repeat(FRAMES, axis=0)
        for t in range(FRAMES):
            frames[t, 4:9, 2 * t : 2 * t + 5] = 250
        made.append(Clip(f"ibexclip{number}", frames, None, None))
    return made


def still(source: Tensor, driving: Tensor) -> Tensor:
    """The source, repeated."""
    return source.expand(len(driving), *source.shape)


def negative(source: Tensor, driving: Tensor) -> Tensor:
    """The driving clip with light and dark exchanged."""
    return 1 - driving


def small_study(folder: Path, pairs: int = 4, checks: int = 1, fps: float = 25.0) -> Study:
    """A study of two methods."""
    chosen = [Pair(k % 4, (k + 1 + k // 4) % 4) for k in range(pairs)]
    methods = {FIRST: still, SECOND: negative}
    return build_study(clips(), chosen, methods, folder, data="noise", checks=checks, fps=fps)


def vote(pair: str = "p001", rater: str = RATERS[0], **changes: object) -> Vote:
    """A synthetic vote for FIRST, which stands on the left."""
    plain: dict[str, object] = {
        "study": "0123456789abcdef",
        "data": "noise",
        "left": FIRST,
        "right": SECOND,
        "choice": "left",
        "synthetic": True,
    }
    return Vote(pair=pair, rater=rater, **(plain | changes))  # type: ignore[arg-type]
