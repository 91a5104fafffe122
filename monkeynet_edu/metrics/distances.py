"""Distances between real and generated frames, from what an external network found in both (section 4, "Metrics").

Pure functions: T frames of one clip or of many one after the other, J joints, positions in pixels, embeddings of D
numbers. "Published" is what the authors' evaluation code computes, where it differs from what the paper's words say.
The library calls them through this module (``distances.…``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Norm = Literal["euclidean", "l1"]
Form = Literal["euclidean", "squared"]


@dataclass(frozen=True)
class Counted:
    """A figure and what it was computed from; a figure without its count invites comparing two frames with two thousand.

    Attributes:
        value: the figure, or None where nothing could be measured.
        frames: how many frames entered.
        points: how many points entered (joints or keypoints; of embeddings and features, frames).
    """

    value: float | None
    frames: int
    points: int


def average_keypoint_distance(real: Tensor, generated: Tensor, both: Tensor, norm: Norm = "euclidean") -> Tensor:
    """AKD: how far apart the same joint lies in the real and in the generated frame.

    Args:
        real: (T, J, 2) positions in pixels.
        generated: (T, J, 2) likewise.
        both: (T, J) whether the joint was found in both frames; what stands at the others does not count.
        norm: ``euclidean``: √(Δx² + Δy²), the distance of the paper's words; ``l1``, published: (|Δx| + |Δy|) / 2, which
            is smaller, and not by the same factor for all errors.

    Returns:
        Scalar: the mean over the joints of each frame, then over the frames that have any; NaN where none has.
    """
    offset = generated - real  # (T, J, 2)
    distance = offset.norm(dim=-1) if norm == "euclidean" else offset.abs().mean(dim=-1)  # (T, J)
    joints = both.sum(dim=1)  # (T,)
    per_frame = distance.masked_fill(~both, 0).sum(dim=1) / joints  # (T,); 0/0 where nothing was found in both
    return per_frame[joints > 0].mean()


def missing_keypoint_rate(real_found: Tensor, generated_found: Tensor) -> Tensor:
    """MKR: the share of the joints found in the real frame that are not found in the generated one.

    Args:
        real_found: (T, J) bool.
        generated_found: (T, J) bool; what is found here alone does not count.

    Returns:
        Scalar in [0, 1]: the share in each frame, then the mean over frames with at least one joint found in the real
        one; NaN where there is none.
    """
    lost = (real_found & ~generated_found).sum(dim=1)  # (T,)
    joints = real_found.sum(dim=1)  # (T,)
    return (lost / joints)[joints > 0].mean()


def average_euclidean_distance(real: Tensor, generated: Tensor, form: Form = "euclidean") -> Tensor:
    """AED: how far apart the identity embeddings of the real and of the generated frames lie.

    Args:
        real: (T, D) embeddings.
        generated: (T, D) likewise.
        form: ``euclidean``, as the name says; ``squared``, published: the mean of the squared distance, so large errors
            weigh more and the figure has another unit.

    Returns:
        Scalar: mean over frames; NaN where there is none.
    """
    offset = generated - real  # (T, D)
    distance: Tensor = offset.norm(dim=-1)  # (T,)
    return distance.square().mean() if form == "squared" else distance.mean()
