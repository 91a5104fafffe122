"""Do discovered keypoints mean anything? True joints told from them by ridge regression, on identities never seen.

The standard test of unsupervised landmarks: on frames of training characters a linear map from keypoints to joints is
learned, on frames of other characters its error is measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monkeynet_edu.animation import detect_clip
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.errors import UserError
from monkeynet_edu.evaluators import regressed_joints
from monkeynet_edu.metrics.distances import Counted
from monkeynet_edu.metrics.external import counted_distance
from monkeynet_edu.model import Device, MonkeyNet


def known_keypoints(model: MonkeyNet, clips: Sequence[Clip], device: Device) -> tuple[list[Tensor], list[Tensor]]:
    """Keypoints (T_i, K, 2) that a model finds in clips with truth, and their true joints (T_i, J, 2), both in [-1, 1]."""
    keypoints, joints = [], []
    for clip in clips:
        if clip.truth is not None:
            keypoints.append(detect_clip(model, to_tensor(clip.frames), device).mean.float().cpu())
            joints.append(torch.from_numpy(clip.truth.joints).float())
    return keypoints, joints


def landmark_errors(
    training: tuple[Sequence[Tensor], Sequence[Tensor]], keypoints: Sequence[Tensor], clips: Sequence[Clip]
) -> list[dict[str, Counted]]:
    """Error of joints told from keypoints, for each clip.

    Args:
        training: keypoints and joints of other characters' clips, see :func:`known_keypoints`.
        keypoints: (T_i, K, 2) of each clip.
        clips: with truth.

    Returns:
        For each clip ``landmark_error``, the mean Euclidean distance in pixels over the visible joints of each frame, then
        over frames, and ``landmark_error_constant``, the same of the training joints' mean position: what one knows
        without looking.

    Raises:
        UserError: clips with other joints than those of training, or see ``evaluators.regressed_joints``.
    """
    told = regressed_joints(*training, keypoints)
    constant = torch.cat(list(training[1])).double().mean(dim=0)  # (J, 2)
    rows = []
    for clip, joints in zip(clips, told, strict=True):
        assert clip.truth is not None
        true, visible = torch.from_numpy(clip.truth.joints).double(), torch.from_numpy(clip.truth.visible)
        if true.shape[1:] != joints.shape[1:]:
            raise UserError(
                f"clip {clip.name}: expected {joints.shape[1]} true joints as in the training clips, got {true.shape[1]}; "
                "measure landmarks on clips of one data set"
            )
        extent = torch.tensor([clip.frames.shape[2] - 1, clip.frames.shape[1] - 1]) / 2
        rivals = {"landmark_error": joints, "landmark_error_constant": constant.expand_as(true)}
        real = (true * extent, visible)
        rows.append({name: counted_distance(real, (rival * extent, visible)) for name, rival in rivals.items()})
    return rows
