"""True body parts of tai-chi sprites as labels, and ways to look at what a network makes of them: for lesson 02."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu import layers, viz
from monkeynet_edu.data.sprites import Clip

CLASSES = ("background", "head", "trunk", "arms", "legs")
_WORDS = {
    "head": ("hair", "face", "eyes", "mouth", "neck", "hat", "locks"),
    "arms": ("hand", "arm", "sleeve"),
    "legs": ("shoe", "shin", "thigh"),
}


def class_of(part: str) -> int:
    """Index into `CLASSES` of a part of the tai-chi sprites, ``left_upper_arm``; what is no limb or head is trunk."""
    if part == "band":  # a headband, not an arm, though it shares letters with hand
        return CLASSES.index("head")
    found = [name for name, words in _WORDS.items() if any(word in part for word in words)]
    return CLASSES.index(found[0] if found else "trunk")


def labelled_frames(clips: Iterable[Clip]) -> tuple[Tensor, Tensor]:
    """Frames and the true class of every pixel.

    Args:
        clips: of tai-chi sprites, with their truth.

    Returns:
        Frames (N, 3, H, W) float32 in [0, 1] and labels (N, H, W) int64, indices into `CLASSES`.
    """
    frames, labels = [], []
    for clip in clips:
        assert clip.truth is not None
        table = np.array([0] + [class_of(part) for part in clip.truth.part_names])
        frames.append(clip.frames)
        labels.append(table[clip.truth.labels])
    images = torch.from_numpy(np.concatenate(frames)).permute(0, 3, 1, 2).float() / 255
    return images, torch.from_numpy(np.concatenate(labels))


def paint(labels: Tensor) -> npt.NDArray[np.uint8]:
    """Labels (N, H, W) as pictures (N, H, W, 3): grey background, one colour for each class of parts."""
    grey = np.full((1, 3), 200, dtype=np.uint8)
    palette = np.concatenate([grey, viz.keypoint_colors(len(CLASSES) - 1)])
    painted: npt.NDArray[np.uint8] = palette[labels.numpy()]
    return painted


def near_borders(labels: Tensor) -> Tensor:
    """Pixels (N, H, W) with a pixel of another class among their eight neighbours."""
    padded = F.pad(labels[:, None].float(), (1, 1, 1, 1), mode="replicate")
    highest = F.max_pool2d(padded, 3, stride=1)[:, 0]
    lowest = -F.max_pool2d(-padded, 3, stride=1)[:, 0]
    return highest != lowest


def share_right(predicted: Tensor, labels: Tensor, where: Tensor) -> float:
    """Share of the pixels in ``where`` whose class is right."""
    return float((predicted == labels)[where].float().mean())


@contextmanager
def without_skips() -> Iterator[None]:
    """Inside, every skip connection carries zeros; whatever stands in `layers.up_and_concatenate` still does the rest."""
    kept = layers.up_and_concatenate

    def blind(below: Tensor, skip: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
        return kept(below, torch.zeros_like(skip), conv, norm)

    setattr(layers, "up_and_concatenate", blind)  # noqa: B010 (mypy: a function is not assigned to)
    try:
        yield
    finally:
        setattr(layers, "up_and_concatenate", kept)  # noqa: B010
