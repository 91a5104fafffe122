"""Pairs of frames for training: published sampling and augmentation, the same for both frames of a pair.

A pair is two frames of one video, the earlier one the source; the later one, which the generator must reconstruct, is all
the supervision there is. The published sampler draws with replacement, so sometimes the same frame twice, which teaches
nothing about motion; here the two always differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from monkeynet_edu.data.datasets import Clip
from monkeynet_edu.errors import UserError
from monkeynet_edu.geometry import lattice, warp


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a pair; 0 (or None) switches a transform off. Checked when built.

    Attributes:
        time_flip: probability of swapping source and driving.
        horizontal_flip: probability of mirroring both frames, drawn only where time was not flipped.
        hue: both hues turn by an angle drawn from ±hue, in turns of the colour circle; at most 0.5.
        rotation: both frames turn by an angle drawn from ±rotation, in degrees; at most 180.
        resize: both frames are enlarged by a factor drawn from this range; what sticks out is cropped at a random
            place, what is missing is filled by reflecting the picture.

    Raises:
        UserError: if a value is out of its range.
    """

    time_flip: float = 0.5
    horizontal_flip: float = 0.5
    hue: float = 0.0
    rotation: float = 0.0
    resize: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name, highest in (("time_flip", 1.0), ("horizontal_flip", 1.0), ("hue", 0.5), ("rotation", 180.0)):
            value = getattr(self, name)
            if not 0 <= value <= highest:
                raise UserError(f"augmentation {name}: expected a value in 0…{highest:g}, came {value}; correct it")
        if self.resize is not None and not 0 < self.resize[0] <= self.resize[1]:
            raise UserError(
                f"augmentation resize: expected (lowest, highest) with 0 < lowest <= highest, came {self.resize}; "
                f"use for instance (0.9, 1.1)"
            )


NO_AUGMENTATION = Augmentation(time_flip=0.0, horizontal_flip=0.0)

PUBLISHED_AUGMENTATIONS = {
    "shapes": Augmentation(),
    "actions": Augmentation(hue=0.5, rotation=10.0, resize=(0.9, 1.1)),
    "nemo": Augmentation(),
    "taichi": Augmentation(),
    "bair": Augmentation(time_flip=0.0),
    "mgif": Augmentation(hue=0.5, resize=(0.9, 1.1)),
}


class PairSampler:
    """Draws batches of training pairs; batch n depends on (seed, n) alone, so a resumed run goes on where it stopped.

    Clips come as one endless row: every epoch is a seeded permutation of all clips, and batch n takes the places
    n·B … n·B + B - 1 of the row. Every clip is drawn exactly once an epoch, none is dropped, and a batch at the seam
    takes its last pairs from the next epoch.

    Args:
        clips: the data set; all frames of one size, every clip of at least two frames.
        batch_size: B, pairs in a batch.
        augmentation: see `Augmentation`.
        seed: of everything drawn.
        device: where the batches are put (and augmented).

    Raises:
        UserError: if the batch size is not positive or there are fewer clips than a batch.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        batch_size: int,
        augmentation: Augmentation = NO_AUGMENTATION,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch size: expected at least 1, came {batch_size}; use for instance 16")
        if len(clips) < batch_size:
            raise UserError(
                f"training clips: expected at least {batch_size}, one for each pair of a batch, came {len(clips)}; "
                f"use a batch size of {len(clips)} or less, or add clips"
            )
        self.clips, self.batch_size, self.augmentation = clips, batch_size, augmentation
        self.seed, self.device = seed, torch.device(device)
        self._permutation: tuple[int, npt.NDArray[np.int64]] | None = None
        self._size: tuple[int, ...] | None = None

    def epoch(self, step: int) -> int:
        """The epoch in which batch `step` begins."""
        return step * self.batch_size // len(self.clips)

    def steps(self, epochs: int) -> int:
        """How many batches it takes to draw every clip `epochs` times."""
        return math.ceil(epochs * len(self.clips) / self.batch_size)

    def clip_indices(self, step: int) -> list[int]:
        """Which clips batch `step` draws from, in order."""
        places = range(step * self.batch_size, (step + 1) * self.batch_size)
        return [int(self._order(place // len(self.clips))[place % len(self.clips)]) for place in places]

    def batch(self, step: int, reach: float = 1.0) -> tuple[Tensor, Tensor]:
        """Draws batch `step`.

        Args:
            step: number of the batch.
            reach: both frames of a pair lie within this share of their clip; 1 (published): anywhere.

        Returns:
            Source and driving frames, each (B, 3, H, W) float32 in [0, 1].

        Raises:
            UserError: if a clip has fewer than two frames, or another frame size than the rest of the batch.
        """
        rng = np.random.default_rng([self.seed, 1, step])
        drawn = [self._frames(index, rng, reach) for index in self.clip_indices(step)]
        pairs = torch.from_numpy(np.stack(drawn))  # (B, 2, H, W, 3) uint8
        if self.device.type == "cuda":  # pinned, so that the copy runs while the step before is still computed
            pairs = pairs.pin_memory()
        pairs = pairs.to(self.device, non_blocking=pairs.is_pinned())
        images = pairs.permute(0, 1, 4, 2, 3).flatten(1, 2).float().div_(255)  # (B, 6, H, W)
        source, driving = self._augment(images, rng).chunk(2, dim=1)
        return source.contiguous(), driving.contiguous()

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if self._permutation is None or self._permutation[0] != epoch:
            self._permutation = epoch, np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.clips))
        return self._permutation[1]

    def _frames(self, index: int, rng: np.random.Generator, reach: float) -> npt.NDArray[np.uint8]:
        """Two frames (2, H, W, 3) of a clip, flips done."""
        clip = self.clips[index]
        if len(clip.frames) < 2:
            raise UserError(
                f"clip {clip.name}: a pair needs two frames, expected at least 2, came {len(clip.frames)}; "
                f"take the clip out of the training data"
            )
        size = clip.frames.shape[1:3]
        self._size = self._size or size
        if size != self._size:
            raise UserError(
                f"clip {clip.name}: expected frames of {self._size[1]}x{self._size[0]} pixels as in other clips, "
                f"came {size[1]}x{size[0]}; open the data set with a size"
            )
        widest = max(1, round(reach * (len(clip.frames) - 1)))
        whole = widest >= len(clip.frames) - 1
        drawn = two_frames(len(clip.frames), rng) if whole else near_frames(len(clip.frames), widest, rng)
        return flip_pair(clip.frames[list(drawn)], self.augmentation.time_flip, self.augmentation.horizontal_flip, rng)

    def _augment(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        chosen, count = self.augmentation, len(images)
        if chosen.rotation or chosen.resize:
            angle = np.deg2rad(rng.uniform(-chosen.rotation, chosen.rotation, count))
            scale = rng.uniform(*(chosen.resize or (1.0, 1.0)), count)
            shift = rng.uniform(-1, 1, (count, 2)) * np.maximum(0, 1 - 1 / scale)[:, None]
            images = rotate_and_resize(images, *(_on(images, values) for values in (angle, scale, shift)))
        if chosen.hue:
            turn = _on(images, rng.uniform(-chosen.hue, chosen.hue, count))
            frames = images.reshape(2 * count, 3, *images.shape[-2:])  # source and driving as pictures of their own
            images = shift_hue(frames, turn.repeat_interleave(2)).reshape(images.shape)
        return images


def two_frames(length: int, rng: np.random.Generator) -> tuple[int, int]:
    """Draws two different frames of a clip, the earlier one first; all pairs are equally likely.

    Args:
        length: frames in the clip, at least 2.
        rng: where the randomness comes from: the same generator, the same frames.

    Returns:
        Indices (source, driving), 0 <= source < driving < length.
    """
    drawn = rng.choice(length, size=2, replace=False)
    first, second = sorted(drawn.tolist())
    return first, second


def near_frames(length: int, widest: int, rng: np.random.Generator) -> tuple[int, int]:
    """Draws two different frames in order, at most ``widest`` frames apart (``widest`` < ``length``); see `two_frames`."""
    gap = int(rng.integers(1, widest + 1))
    first = int(rng.integers(0, length - gap))
    return first, first + gap


def flip_pair(
    pair: npt.NDArray[np.uint8], time_flip: float, horizontal_flip: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Swaps a pair's frames in time, or else mirrors both, or else leaves them as they are.

    Args:
        pair: (2, H, W, 3), source and driving frame.
        time_flip: probability of swapping source and driving frame.
        horizontal_flip: probability of mirroring both frames left to right, where time was not flipped.
        rng: where the randomness comes from; time is drawn first.

    Returns:
        (2, H, W, 3).
    """
    if rng.random() < time_flip:
        return pair[::-1]
    if rng.random() < horizontal_flip:
        return pair[:, :, ::-1]
    return pair


def _on(images: Tensor, values: npt.NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values).to(images)


def rotate_and_resize(images: Tensor, angle: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Turns and enlarges pictures about their centres; beyond the border the picture is reflected.

    Args:
        images: (B, C, H, W).
        angle: (B,) in radians; positive turns the content clockwise on the screen (x right, y down).
        scale: (B,) factor by which the content grows.
        shift: (B, 2) point (x, y) in [-1, 1] of the picture that comes to lie at the centre.

    Returns:
        (B, C, H, W).
    """
    height, width = images.shape[-2:]
    extent = images.new_tensor([max(width - 1, 1), max(height - 1, 1)])
    grid = lattice(height, width, device=images.device, dtype=images.dtype) * extent  # in half pixels: turns keep angles
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    backward = torch.stack([torch.stack([cos, sin], dim=-1), torch.stack([-sin, cos], dim=-1)], dim=-2)  # (B, 2, 2)
    points = torch.einsum("bij,hwj->bhwi", backward, grid) / extent + shift[:, None, None]
    # A triangle wave of period 4 that is the identity on [-1, 1] reflects points back into the frame.
    return warp(images, ((points + 3) % 4 - 2).abs() - 1)


def shift_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turns the hue of pictures; value and saturation (HSV), so greys too, stay.

    Args:
        images: (B, 3, H, W) in [0, 1].
        turn: (B,) in turns of the colour circle: 1/3 makes red green.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    red, green, blue = images.unbind(dim=1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    other = torch.where(green == value, blue - red + 2 * chroma, red - green + 4 * chroma)
    ascent = torch.where(red == value, green - blue, other)  # hue times chroma
    hue = ascent / chroma.clamp_min(1e-12) + 6 * turn[:, None, None]  # in sixths of a turn
    phase = hue[:, None] + images.new_tensor([5.0, 3.0, 1.0])[:, None, None]  # one for red, green, blue
    phase = phase - 6 * torch.floor(phase / 6)  # several times faster than %
    return value[:, None] - chroma[:, None] * (2 - (phase - 2).abs()).clamp(0, 1)
