"""AKD, MKR and AED of one clip: what external networks find in its real frames, beside what they find in the generated.

Frame 0 is the source. The plain figures leave it out, for nothing has to move there; the published ones count it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.errors import UserError
from monkeynet_edu.evaluators import Embedder, Evaluators, PointDetector, Points
from monkeynet_edu.metrics import distances
from monkeynet_edu.metrics.distances import Counted, Form, Norm

POINT_FIGURES = ("akd", "akd_repeat_source", "akd_l1", "akd_detector", "mkr", "mkr_repeat_source", "mkr_published")
IDENTITY_FIGURES = ("aed", "aed_repeat_source", "aed_squared")
OVER_FRAMES = ("akd_l1", "mkr_published", "aed_squared")
"""Published figures: the mean over the frames of all clips together; of the others each clip counts once."""

_Joints = tuple[Tensor, Tensor]  # positions (T, J, 2) in pixels, whether they count (T, J)


def _known(value: Tensor) -> float | None:
    """A scalar; None where there was nothing to average."""
    number = float(value)
    return number if math.isfinite(number) else None


def counted_distance(real: _Joints, generated: _Joints, norm: Norm = "euclidean") -> Counted:
    """AKD of two sets of (positions (T, J, 2), found (T, J)), with frames and joints found in both."""
    both = real[1] & generated[1]
    value = distances.average_keypoint_distance(real[0], generated[0], both, norm)
    return Counted(_known(value), int(both.any(dim=1).sum()), int(both.sum()))


def counted_rate(real_found: Tensor, generated_found: Tensor) -> Counted:
    """MKR of (T, J) found joints, with frames and joints found in the real frames."""
    value = distances.missing_keypoint_rate(real_found, generated_found)
    return Counted(_known(value), int(real_found.any(dim=1).sum()), int(real_found.sum()))


def counted_embedding(real: Tensor, generated: Tensor, form: Form = "euclidean") -> Counted:
    """AED of embeddings (T, D), with the number of frames."""
    return Counted(_known(distances.average_euclidean_distance(real, generated, form)), len(real), len(real))


def find_points(detector: PointDetector, frames: Tensor) -> _Joints:
    """Positions (T, J, 2) and whether each was found (T, J), on the CPU; one that is no number was not found.

    Raises:
        UserError: the detector gives other shapes.
    """
    points: Points = detector(frames)
    position, confidence = points.position.detach().cpu().float(), points.confidence.detach().cpu()
    if position.ndim != 3 or position.shape != (len(frames), *confidence.shape[1:], 2):
        raise UserError(
            f"detector: expected positions (T, J, 2) and confidences (T, J) of {len(frames)} frames, got "
            f"{tuple(position.shape)} and {tuple(confidence.shape)}; mend the detector"
        )
    sure = points.found().detach().cpu() & position.isfinite().all(dim=-1)
    return position.masked_fill(~sure[..., None], 0), sure


def embed(embedder: Embedder, frames: Tensor) -> Tensor:
    """Embeddings (T, D) on the CPU.

    Raises:
        UserError: the embedder gives another shape, or what is no number.
    """
    found = embedder(frames).detach().cpu().float()
    finite = bool(found.isfinite().all())
    if found.ndim != 2 or len(found) != len(frames) or not finite:
        raise UserError(
            f"embedder: expected finite vectors (T, D) of {len(frames)} frames, got {tuple(found.shape)}"
            f"{'' if finite else ' with NaN or infinity'}; mend the embedder"
        )
    return found


def true_joints(clip: Clip, names: tuple[str, ...]) -> tuple[list[int], _Joints] | None:
    """Those of a detector's joints that the truth knows.

    Returns:
        Their numbers in ``names``, and of these joints true positions (T, J', 2) in pixels and visibility (T, J'); None
        without truth or without a common name.
    """
    if clip.truth is None:
        return None
    known = {name: number for number, name in enumerate(clip.truth.joint_names)}
    chosen = [number for number, name in enumerate(names) if name in known]
    if not chosen:
        return None
    columns = [known[names[number]] for number in chosen]
    height, width = clip.frames.shape[1:3]
    extent = torch.tensor([width - 1, height - 1]) / 2
    position = (torch.from_numpy(clip.truth.joints).float() + 1) * extent
    return chosen, (position[:, columns], torch.from_numpy(clip.truth.visible)[:, columns])


def point_figures(
    real: _Joints, generated: _Joints, truth: tuple[list[int], _Joints] | None
) -> dict[str, Counted]:
    """AKD and MKR of one clip.

    Args:
        real: positions (T, J, 2) in pixels and found (T, J) of the real frames; frame 0 is the source.
        generated: of the generated frames.
        truth: see :func:`true_joints`.

    Returns:
        ``POINT_FIGURES``; ``akd_detector`` only with truth.
    """
    (place, found), (made, still_found) = real, generated
    driving, drawn = (place[1:], found[1:]), (made[1:], still_found[1:])
    source = (place[:1].expand_as(place[1:]), found[:1].expand_as(found[1:]))
    figures = {
        "akd": counted_distance(driving, drawn),
        "akd_repeat_source": counted_distance(driving, source),
        "akd_l1": counted_distance(real, generated, "l1"),
        "mkr": counted_rate(found[1:], still_found[1:]),
        "mkr_repeat_source": counted_rate(found[1:], source[1]),
        "mkr_published": counted_rate(found, still_found),
    }
    if truth is not None:
        chosen, (position, visible) = truth
        figures["akd_detector"] = counted_distance(
            (position[1:], visible[1:]), (driving[0][:, chosen], driving[1][:, chosen])
        )
    return {name: figures[name] for name in POINT_FIGURES if name in figures}


def identity_figures(real: Tensor, generated: Tensor) -> dict[str, Counted]:
    """AED of one clip from embeddings (T, D); frame 0 is the source. Returns ``IDENTITY_FIGURES``."""
    return {
        "aed": counted_embedding(real[1:], generated[1:]),
        "aed_repeat_source": counted_embedding(real[1:], real[:1].expand_as(real[1:])),
        "aed_squared": counted_embedding(real, generated, "squared"),
    }


@torch.no_grad()
def external_figures(evaluators: Evaluators, clip: Clip, real: Tensor, generated: Tensor) -> dict[str, Counted]:
    """AKD, MKR and AED of real and generated frames (T, 3, H, W), as far as there are networks."""
    figures: dict[str, Counted] = {}
    if evaluators.detector is not None:
        seen = find_points(evaluators.detector, real), find_points(evaluators.detector, generated)
        if seen[0][0].shape != seen[1][0].shape:
            raise UserError(
                f"detector: expected as many joints in generated as in real frames, got {seen[1][0].shape[1]} and "
                f"{seen[0][0].shape[1]}; mend the detector"
            )
        figures |= point_figures(*seen, true_joints(clip, evaluators.joint_names))
    if evaluators.embedder is not None:
        figures |= identity_figures(embed(evaluators.embedder, real), embed(evaluators.embedder, generated))
    return figures
