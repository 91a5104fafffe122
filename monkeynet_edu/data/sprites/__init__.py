"""Sprites: articulated figures drawn on the fly, with the truth about every frame; four miniatures of the paper's data.

Characters come from an *identity* number and movements from a *motion* number. Even identities are for training and odd
ones for testing, so no character or background is ever in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from monkeynet_edu.data.sprites import bair, mgif, nemo, taichi
from monkeynet_edu.data.sprites.engine import Clip, Joint, LazyClips, Part, Rendered, Scene, Truth, render
from monkeynet_edu.errors import unknown_name

__all__ = [
    "SETS",
    "Clip",
    "Joint",
    "LazyClips",
    "Part",
    "Rendered",
    "Scene",
    "SpriteClips",
    "Truth",
    "held_out_clips",
    "make_scene",
    "render",
    "training_clips",
]


class SceneMaker(Protocol):
    """A miniature: numbers in, scene out."""

    def __call__(self, identity: int, motion: int, *, size: int = 64, length: int | None = None) -> Scene:
        """Builds the scene."""
        ...


SETS: dict[str, SceneMaker] = {
    "mini-nemo": nemo.scene,
    "mini-taichi": taichi.scene,
    "mini-bair": bair.scene,
    "mini-mgif": mgif.scene,
}


def make_scene(name: str, identity: int, motion: int, *, size: int = 64, length: int | None = None) -> Scene:
    """Builds the scene of a miniature.

    Args:
        name: ``mini-nemo``, ``mini-taichi``, ``mini-bair`` or ``mini-mgif``.
        identity: number of the character and its background.
        motion: number of the movement.
        size: side of the frames in pixels.
        length: number of frames; None for the protocol's (or a random one within it).

    Raises:
        UserError: unknown name; the nearest ones are offered.
    """
    if name not in SETS:
        raise unknown_name("data set", name, SETS)
    return SETS[name](identity, motion, size=size, length=length)


class SpriteClips(LazyClips):
    """Clips of a miniature, drawn when first asked for and kept in memory.

    Args:
        name: of the miniature.
        seeds: (identity, motion) of each clip.
        size: side of the frames in pixels.
        frames: how many frames of each clip are drawn, spread at random over its length; None for all.
    """

    def __init__(self, name: str, seeds: Sequence[tuple[int, int]], size: int, frames: int | None) -> None:
        if name not in SETS:
            raise unknown_name("data set", name, SETS)
        self.name, self.seeds, self.size, self.frames = name, list(seeds), size, frames
        self.names = tuple(f"{i:04d}" for i in range(len(self.seeds)))
        self._drawn: dict[int, Clip] = {}

    def __len__(self) -> int:
        return len(self.seeds)

    def _clip(self, index: int) -> Clip:
        if index not in self._drawn:
            self._drawn[index] = self._draw(index)
        return self._drawn[index]

    def _draw(self, index: int) -> Clip:
        identity, motion = self.seeds[index]
        scene = make_scene(self.name, identity, motion, size=self.size)
        chosen: Sequence[int] = range(scene.length)
        if self.frames is not None and self.frames < scene.length:
            rng = np.random.default_rng([identity, motion])
            chosen = sorted(rng.choice(scene.length, size=self.frames, replace=False).tolist())
        drawn = render(scene, chosen)
        return Clip(self.names[index], drawn.frames, drawn.fps, drawn.truth)


def _seeds(seed: int, count: int, parity: int) -> list[tuple[int, int]]:
    """(identity, motion) of ``count`` clips; all identities are even (parity 0) or odd (1)."""
    state = np.random.SeedSequence([seed, parity]).generate_state(2 * count, np.uint32)
    return [(2 * int(i) + parity, int(m)) for i, m in state.reshape(count, 2)]


def training_clips(
    name: str, seed: int = 0, clips: int = 1000, size: int = 64, frames: int | None = 12
) -> SpriteClips:
    """Training clips of a miniature, drawn on the fly from a seed.

    Args:
        name: of the miniature.
        seed: another seed, other characters and movements.
        clips: how many.
        size: side of the frames in pixels.
        frames: frames drawn of each clip: a dozen hold all the poses that pairs need; None for whole clips.
    """
    return SpriteClips(name, _seeds(seed, clips, 0), size, frames)


def held_out_clips(name: str, seed: int = 0, clips: int = 20, size: int = 64) -> SpriteClips:
    """Whole clips of characters that no training clip shows."""
    return SpriteClips(name, _seeds(seed, clips, 1), size, None)
