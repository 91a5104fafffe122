"""A picture put together from shifted layers, and whose motion each pixel of a sprite really follows: for lesson 04."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from monkeynet_edu import geometry, motion
from monkeynet_edu.data.sprites import Clip, Truth, training_clips
from monkeynet_edu.errors import UserError
from monkeynet_edu.keypoints import Keypoints

JOINTS = (
    "head",
    "chest",
    "pelvis",
    "right_elbow",
    "right_wrist",
    "left_elbow",
    "left_wrist",
    "right_knee",
    "right_ankle",
    "left_knee",
    "left_ankle",
)
PARTS = ("background", *JOINTS)
# Which joints a painted part may follow, by a word in its name; the first word that fits counts.
_FOLLOWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("hand", ("wrist",)),
    ("forearm", ("wrist", "elbow")),
    ("arm", ("elbow", "chest")),
    ("sleeve", ("elbow", "chest")),
    ("shoe", ("ankle",)),
    ("shin", ("ankle", "knee")),
    ("thigh", ("knee", "pelvis")),
    ("hips", ("pelvis",)),
    ("belt", ("pelvis",)),
    ("jacket", ("chest", "pelvis")),
    ("collar", ("chest",)),
    ("neck", ("chest", "head")),
)


def paste_parts(image: Tensor, masks: Tensor, shifts: Tensor) -> Tensor:
    """Builds the driving frame from layers: each part's shifted copy of the source, seen through its mask.

    Args:
        image: source (B, C, H, W).
        masks: (B, K+1, H, W) in the coordinates of the driving frame, sum 1 over the parts at every pixel.
        shifts: (B, K+1, 2), where each part reads relative to the driving pixel.

    Returns:
        (B, C, H, W): Σ_k mask_k·copy_k.
    """
    copies = motion.shifted_copies(image, shifts)  # (B, K+1, C, H, W)
    layers = copies * masks[:, :, None]
    return layers.sum(dim=1)


def joints(truth: Truth, frame: int, names: Sequence[str] = JOINTS) -> Keypoints:
    """True joints of a frame as keypoints (1, K), each with a small round covariance."""
    chosen = [truth.joint_names.index(name) for name in names]
    mean = torch.from_numpy(truth.joints[frame][chosen])[None]
    return Keypoints(mean, (0.01 * torch.eye(2)).expand(1, len(chosen), 2, 2))


def true_flow(truth: Truth, driving: int, source: int) -> tuple[Tensor, Tensor]:
    """The sprites' own backward flow (1, H, W, 2), and where its material is seen in the source (1, H, W)."""
    flow, seen = truth.flow(driving, source)
    return torch.from_numpy(flow)[None], torch.from_numpy(seen)[None]


def true_masks(truth: Truth, frame: int, other: int) -> Tensor:
    """Which joint's motion each pixel of a frame follows: masks (1, K+1, H, W) of zeros and ones, the background first.

    A pixel on a limb has the choice between the joints at its two ends, and takes the one that moves more like it.

    Args:
        truth: of the clip.
        frame: the masks lie in its coordinates.
        other: the frame to which the motion is compared.
    """
    flow, _ = true_flow(truth, frame, other)
    shifts = motion_between(truth, frame, other)  # (K+1, 2)
    gap = (flow[0, :, :, None] - shifts).norm(dim=-1)  # (H, W, K+1)
    label = torch.from_numpy(truth.labels[frame].astype(np.int64))
    allowed = torch.tensor([_allowed(name) for name in ("background", *truth.part_names)])  # (P+1, K+1)
    chosen = gap.masked_fill(~allowed[label], float("inf")).argmin(dim=-1)
    return torch.nn.functional.one_hot(chosen, len(PARTS)).permute(2, 0, 1)[None].float()


def motion_between(truth: Truth, frame: int, other: int) -> Tensor:
    """Displacements (K+1, 2) of the true joints from one frame to another, zero for the background."""
    here, there = joints(truth, frame), joints(truth, other)
    return torch.cat([torch.zeros(1, 2), (there.mean - here.mean)[0]])


def _allowed(part: str) -> list[bool]:
    """For every entry of `PARTS`, whether a painted part may follow it."""
    if part == "background":
        names = ["background"]
    else:
        side = part.split("_")[0] + "_" if part.startswith(("left_", "right_")) else ""
        joint = next((found for word, found in _FOLLOWS if word in part), ("head",))
        names = [name if name in PARTS else f"{side}{name}" for name in joint]
    return [name in names for name in PARTS]


def error(picture: Tensor, target: Tensor, where: Tensor | None = None) -> float:
    """Mean absolute difference of two pictures, in grey values from 0 to 255.

    Args:
        picture: (1, 3, H, W) in [0, 1].
        target: (1, 3, H, W) in [0, 1].
        where: (1, H, W), the pixels that count; all by default.
    """
    gap = 255 * (picture - target).abs().mean(dim=1)
    return float(gap.mean() if where is None else gap[where].mean())


def read_by(image: Tensor, deformation: Tensor) -> Tensor:
    """The source read through a deformation, with the nearest border colour outside the frame."""
    return geometry.warp(image, deformation.clamp(-1, 1))


def clip_with_joints(clip: Clip) -> tuple[Tensor, Keypoints]:
    """Frames (T, 3, H, W) in [0, 1] and the true joints (T, K) of a sprite clip."""
    if clip.truth is None:
        raise UserError(f"clip {clip.name}: expected a clip with its truth, got one without; take one of mini-taichi")
    found = [joints(clip.truth, t) for t in range(len(clip.frames))]
    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 255
    return frames, Keypoints(torch.cat([k.mean for k in found]), torch.cat([k.cov for k in found]))


def training_frames(clips: int = 40, frames: int = 8) -> tuple[Tensor, Keypoints]:
    """Frames (N, T, 3, H, W) and true joints (N, T, K) of mini-taichi clips; none shows the learner's character."""
    drawn = [clip_with_joints(clip) for clip in training_clips("mini-taichi", seed=4, clips=clips, frames=frames)]
    mean, cov = torch.stack([k.mean for _, k in drawn]), torch.stack([k.cov for _, k in drawn])
    return torch.stack([f for f, _ in drawn]), Keypoints(mean, cov)
