"""Animation of clips of any length: keypoints of the whole clip first, then the frames, drawn one block after the other.

The transfer needs to know all of the motion (which frame is nearest to the source's pose, how large the figure is there),
but of a frame it only needs the keypoints: 60 numbers where a frame has 12,000. So a first pass over the clip keeps the
keypoints and forgets the pictures. What comes out equals :func:`monkeynet_edu.animation.animate`, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from monkeynet_edu import alignment
from monkeynet_edu.animation import Transfer, detect_clip, draw, transfer_keypoints
from monkeynet_edu.data.blocks import BLOCK
from monkeynet_edu.errors import UserError
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import Device, MonkeyNet

SAMPLE = 32
"""Least number of frames of a longer clip that :class:`Sample` keeps; at most twice as many."""


def regroup(blocks: Iterable[Tensor], length: int = BLOCK) -> Iterator[Tensor]:
    """Cuts a clip that comes in blocks (n, 3, H, W) of any lengths into blocks of one length; the last holds the rest."""
    waiting: list[Tensor] = []
    count = 0
    for block in blocks:
        while count + len(block) >= length:
            missing = length - count
            yield torch.cat([*waiting, block[:missing]])
            waiting, count, block = [], 0, block[missing:]
        if len(block):
            waiting.append(block)
            count += len(block)
    if waiting:
        yield torch.cat(waiting)


def read_motion(model: MonkeyNet, blocks: Iterable[Tensor], device: Device) -> Keypoints:
    """Finds the keypoints of a clip that comes in blocks; only one block is in memory at a time.

    Args:
        model: set to eval mode.
        blocks: frames (n, 3, H, W) in [0, 1], H and W multiples of ``model.config.stride``.
        device: where to compute.

    Returns:
        Keypoints (T, K) of all frames, on the model's device: those of :func:`monkeynet_edu.animation.detect_clip`.

    Raises:
        UserError: no frame, or frames that the networks cannot halve.
    """
    model.eval()
    found: list[Keypoints] = []
    for block in regroup(blocks):
        _check_sides(model, block)
        found.append(detect_clip(model, block, device))
    if not found:
        raise UserError("driving clip: expected at least one frame, got none; give another clip")
    return Keypoints(torch.cat([k.mean for k in found]), torch.cat([k.cov for k in found]))


def animate_blocks(
    model: MonkeyNet, image: Tensor, motion: Keypoints, device: Device, transfer: Transfer | Literal["auto"] = "auto"
) -> Iterator[Tensor]:
    """Animates a source image with a motion, block by block: :func:`monkeynet_edu.animation.animate` for long clips.

    Args:
        model: set to eval mode.
        image: (3, H, W) in [0, 1], H and W multiples of ``model.config.stride``.
        motion: keypoints (T, K) of the driving clip, from :func:`read_motion`.
        device: where to compute.
        transfer: how; ``auto``: as the model's configuration says, relative to the frame that
            :func:`monkeynet_edu.alignment.align` chooses.

    Returns:
        An iterator over the generated frames, in blocks (n, 3, H, W) in [0, 1], on the CPU; T frames in all. Each is drawn
        when it is asked for.

    Raises:
        UserError: at once: a picture that the networks cannot halve, or see
            :func:`monkeynet_edu.animation.transfer_keypoints`.
    """
    model.eval()
    _check_sides(model, image)
    source = detect_clip(model, image[None], device)
    if transfer == "auto":
        transfer = Transfer(model.config.transfer, alignment.align(source, motion).reference)
    moved = transfer_keypoints(source, motion, transfer)
    return (drawn.prediction.cpu() for drawn in draw(model, image[None], source, moved, device))


def _check_sides(model: MonkeyNet, frames: Tensor) -> None:
    for side in set(frames.shape[-2:]):
        model.config.check_frame_size(side)


class Sample:
    """Some frames of a clip of unknown length, evenly spread: up to 63, and no fewer than 32 of a clip that has them."""

    def __init__(self) -> None:
        self._kept: list[Tensor] = []
        self._step = 1
        self._seen = 0

    def add(self, block: Tensor) -> None:
        """Looks at the next frames (n, 3, H, W)."""
        for frame in block:
            if self._seen % self._step == 0:
                self._kept.append(frame.clone())
            if len(self._kept) == 2 * SAMPLE:
                self._kept = self._kept[::2]
                self._step *= 2
            self._seen += 1

    @property
    def frames(self) -> Tensor:
        """(m, 3, H, W): the first frame and every further one at equal steps, a power of two."""
        return torch.stack(self._kept)
