"""Reconstruction and animation: move a still picture's keypoints as a driving video's move (section 3.5).

Videos are (T, 3, H, W) here: one source, one driving clip, time as the batch of the networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from monkeynet_edu import alignment
from monkeynet_edu.data.video import Frames, check_pixels
from monkeynet_edu.errors import UserError
from monkeynet_edu.generator import Generated
from monkeynet_edu.keypoints import Keypoints, inverse_covariance
from monkeynet_edu.model import Device, MonkeyNet

Mode = Literal["relative", "absolute"]
Scaling = Literal["none", "hull"]
CovarianceSource = Literal["driving", "adapted"]


@dataclass(frozen=True)
class Transfer:
    """How the driving motion is put on the source.

    Attributes:
        mode: ``relative``: h_t = h_source + (h_driving,t - h_driving,reference); ``absolute``: h_t = h_driving,t.
        reference: driving frame whose pose counts as the source's (``relative`` only).
        scaling: ``hull`` multiplies movements by √(hull area of the source keypoints / of the reference's); ``none``.
        covariance: the ``driving`` frames' own, or ``adapted`` to the source's shape.
        clip: whether means stay within [-1, 1] (``relative`` only).
    """

    mode: Mode = "relative"
    reference: int = 0
    scaling: Scaling = "none"
    covariance: CovarianceSource = "driving"
    clip: bool = False


@dataclass(frozen=True)
class Animation:
    """A generated clip and what it was made from.

    Attributes:
        prediction: (T, 3, H, W) generated frames in [0, 1].
        deformed: (T, 3, H, W) the source sampled at the deformation.
        deformation: (T, h, w, 2).
        masks: (T, K+1, h, w), or None where the model has no coarse flow.
        source: keypoints (1, K) of the source.
        driving: keypoints (T, K) of the driving clip.
        moved: keypoints (T, K) that were drawn.
    """

    prediction: Tensor
    deformed: Tensor
    deformation: Tensor
    masks: Tensor | None
    source: Keypoints
    driving: Keypoints
    moved: Keypoints


LEAST_AREA = 1e-6
"""Points whose hull is smaller lie on a line, up to rounding: a thousandth of a pixel at 64×64."""


def hull_area(points: Tensor) -> float:
    """Area of the convex hull of points (K, 2); 0 where they lie (nearly) on a line or are fewer than three."""
    try:
        # In two dimensions Qhull calls the area "volume".
        area = float(ConvexHull(points.detach().cpu().double().numpy()).volume)
    except (QhullError, ValueError):
        return 0.0
    return area if area >= LEAST_AREA else 0.0


def hull_scale(source: Tensor, reference: Tensor) -> float:
    """How many times as far the source's figure has to move as the reference's, by the hulls of points (K, 2) each.

    A figure twice as tall and twice as wide moves twice as far. Points without a hull say nothing about size: 1.
    """
    ours = hull_area(source)
    theirs = hull_area(reference)
    if min(ours, theirs) == 0:
        return 1.0
    return math.sqrt(ours / theirs)


def relative_means(source: Tensor, driving: Tensor, reference: int, scale: float = 1.0) -> Tensor:
    """Moves the source's points as the driving points have moved since the reference frame (Eq. 10).

    Args:
        source: h_source (1, K, 2).
        driving: h_driving,t (T, K, 2).
        reference: the driving frame whose pose counts as the source's.
        scale: movements are multiplied by it.

    Returns:
        (T, K, 2): h_source + scale·(h_driving,t - h_driving,reference).
    """
    start = driving[reference]
    movement = scale * (driving - start)
    return source + movement


def adapt_covariance(driving: Tensor, reference: Tensor, source: Tensor) -> Tensor:
    """Carries the change of covariance over to the source: A = Σ_t Σ_1⁻¹ Σ_source, made symmetric and positive.

    Args:
        driving: Σ_t (T, K, 2, 2).
        reference: Σ_1 (1, K, 2, 2).
        source: Σ_source (1, K, 2, 2).

    Returns:
        (T, K, 2, 2): (A + Aᵀ)/2 with eigenvalues ≤ 0 set to 1e-6.
    """
    product = driving @ inverse_covariance(reference) @ source
    values, vectors = torch.linalg.eigh((product + product.mT) / 2)
    values = torch.where(values > 0, values, torch.full_like(values, 1e-6))
    adapted: Tensor = vectors @ torch.diag_embed(values) @ vectors.mT
    return adapted


def transfer_keypoints(source: Keypoints, driving: Keypoints, transfer: Transfer) -> Keypoints:
    """Keypoints to draw for each driving frame (Eq. 10).

    Args:
        source: (1, K).
        driving: (T, K).
        transfer: how.

    Returns:
        Keypoints (T, K).

    Raises:
        UserError: the reference is not one of the T frames, or clipping with absolute transfer.
    """
    frames = len(driving)
    if not 0 <= transfer.reference < frames:
        raise UserError(
            f"reference: expected a frame from 0 to {frames - 1} of the driving clip, got {transfer.reference}; choose one"
        )
    if transfer.mode == "absolute":
        if transfer.clip:
            raise UserError("clip: expected 'relative' transfer, got 'absolute'; leave clip out: driving means are inside")
        return driving
    reference = driving[transfer.reference : transfer.reference + 1]
    scale = hull_scale(source.mean[0], reference.mean[0]) if transfer.scaling == "hull" else 1.0
    mean = relative_means(source.mean, driving.mean, transfer.reference, scale)
    if transfer.clip:
        mean = mean.clamp(-1, 1)
    if transfer.covariance == "adapted":
        return Keypoints(mean, adapt_covariance(driving.cov, reference.cov, source.cov))
    return Keypoints(mean, driving.cov)


@torch.no_grad()
def detect_clip(model: MonkeyNet, frames: Tensor, device: Device, chunk: int = 32) -> Keypoints:
    """Keypoints (T, K) of a clip (T, 3, H, W), ``chunk`` frames at a time; on the model's device."""
    found = []
    for part in torch.split(frames, chunk):
        with device.autocast():
            found.append(model.detect(part.to(device.device)))
    return Keypoints(torch.cat([k.mean for k in found]), torch.cat([k.cov for k in found]))


@torch.no_grad()
def draw(
    model: MonkeyNet, image: Tensor, source: Keypoints, moved: Keypoints, device: Device, chunk: int = 16
) -> Iterator[Generated]:
    """Draws the source image (1, 3, H, W) with keypoints (1, K) in each of T poses; yields ``chunk`` frames at a time.

    The source is encoded once.
    """
    image = image.to(device.device)
    with device.autocast():
        encoded = model.generator.appearance_encoder(image)
    for start in range(0, len(moved), chunk):
        pose = moved[start : start + chunk]
        n = len(pose)
        levels = [level.expand(n, *level.shape[1:]) for level in encoded]
        still = Keypoints(source.mean.expand(n, -1, -1), source.cov.expand(n, -1, -1, -1))
        with device.autocast():
            drawn: Generated = model.generator(image.expand(n, *image.shape[1:]), still, pose, levels)
        yield drawn


def animate(
    model: MonkeyNet, image: Tensor, driving: Tensor, device: Device, transfer: Transfer | Literal["auto"] = "auto"
) -> Animation:
    """Animates a source image with a driving clip.

    Args:
        model: in eval mode.
        image: (3, H, W) in [0, 1], H and W multiples of ``model.config.stride``.
        driving: (T, 3, H, W) in [0, 1].
        device: where to compute.
        transfer: how; ``auto``: as the model's configuration says, relative to the frame that
            :func:`monkeynet_edu.alignment.align` chooses.

    Raises:
        UserError: frames that the networks cannot halve, pixels that are not finite, no driving frame, or see
            :func:`transfer_keypoints`.
    """
    model.eval()
    if len(driving) == 0:
        raise UserError("driving clip: expected at least one frame, got none; give another clip")
    check_pixels(image[None], "source image")
    check_pixels(driving, "driving clip")
    for side in {*image.shape[-2:], *driving.shape[-2:]}:
        model.config.check_frame_size(side)
    source = detect_clip(model, image[None], device)
    motion = detect_clip(model, driving, device)
    if transfer == "auto":
        transfer = Transfer(model.config.transfer, alignment.align(source, motion).reference)
    moved = transfer_keypoints(source, motion, transfer)
    return collect(list(draw(model, image[None], source, moved, device)), source, motion, moved)


def reconstruct(model: MonkeyNet, video: Tensor, device: Device) -> Animation:
    """Rebuilds a clip (T, 3, H, W) from its first frame and the keypoints of all (the paper's proxy task)."""
    return animate(model, video[0], video, device, Transfer("absolute"))


def collect(drawn: list[Generated], source: Keypoints, driving: Keypoints, moved: Keypoints) -> Animation:
    """Joins the chunks of :func:`draw` on the CPU."""
    masks = [d.motion.masks for d in drawn if d.motion.masks is not None]
    return Animation(
        torch.cat([d.prediction for d in drawn]).cpu(),
        torch.cat([d.deformed for d in drawn]).cpu(),
        torch.cat([d.motion.deformation for d in drawn]).cpu(),
        torch.cat(masks).cpu() if masks else None,
        source,
        driving,
        moved,
    )


SYNTHETIC = "synthetic"
_MOST_LABEL = 200


def mark_synthetic(frames: Frames, label: str = SYNTHETIC) -> Frames:
    """Writes a label into the upper left corner of all frames (T, H, W, 3) uint8: nobody shall take them for a recording.

    In the pixels, where copying and converting leave it; metadata is lost at the first upload. Above, since feet and
    captions are below. An empty label changes nothing.
    """
    label = " ".join(label.split())[:_MOST_LABEL].encode("utf-8", "replace").decode()
    if not label:
        return frames
    height, width = frames.shape[1:3]
    font = ImageFont.load_default(max(8.0, 0.055 * height))
    left, top, right, bottom = (round(edge) for edge in font.getbbox(label))
    box = Image.new("RGB", (min(right - left + 4, width), min(bottom - top + 3, height)), (24, 24, 24))
    ImageDraw.Draw(box).text((2 - left, 1 - top), label, (255, 255, 255), font)
    marked = frames.copy()
    marked[:, : box.height, : box.width] = np.asarray(box)
    return marked
