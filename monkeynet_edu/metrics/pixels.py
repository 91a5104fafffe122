"""How good a reconstruction is: L1 over all and over moving pixels, and the error of the flow, measured against the truth.

A clip is rebuilt from its first frame (the source) and the keypoints of frames 2…T (the driving frames); a figure is the
mean over a clip's driving frames, then over clips. What moves is taken from the sprites' truth, never from differences of
pixels: a copy of the source has a good L1 wherever nothing moves, and moving pixels are where it is found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from monkeynet_edu import geometry
from monkeynet_edu.animation import Animation, reconstruct
from monkeynet_edu.data.sprites import Clip, Truth
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import Device, MonkeyNet

Figures = dict[str, float]


def model_flow(model: MonkeyNet, deformation: Tensor, height: int, width: int) -> Tensor:
    """Backward flow in pixels (T, height, width, 2) of deformations (T, h, w, 2), enlarged as the generator does it."""
    full = geometry.resize_deformation(deformation, height, width, model.config.generator.resize)
    extent = torch.tensor([width - 1, height - 1], dtype=full.dtype) / 2
    return (full - geometry.lattice(height, width, dtype=full.dtype)) * extent


@dataclass(frozen=True)
class MotionTruth:
    """What truly moves between the source (frame 0) and the driving frames 1…T-1 of a clip.

    Attributes:
        flow: (T-1, H, W, 2) true backward flow in pixels.
        displaced: (T-1, H, W) pixels on parts that are visible in the source and moved by more than half a pixel.
        moving: (T-1, H, W) those, and what was uncovered or newly covered.
    """

    flow: Tensor
    displaced: Tensor
    moving: Tensor

    @staticmethod
    def of(truth: Truth) -> MotionTruth:
        """Collects the truth of all driving frames."""
        half = (truth.labels.shape[-1] - 1) / 2
        flows, displaced, moving = [], [], []
        for frame in range(1, len(truth.labels)):
            flow, seen = truth.flow(frame, 0)
            flows.append(flow * np.float32(half))
            displaced.append(truth.displaced(flow, seen, frame))
            moving.append(truth.moving(frame, 0))
        return MotionTruth(*(torch.from_numpy(np.stack(x)) for x in (flows, displaced, moving)))


def masked_mean(values: Tensor, mask: Tensor) -> float:
    """Mean of values (T, H, W) over the mask in each frame, then over frames that have any; NaN where none has."""
    counts = mask.flatten(1).sum(dim=1)
    sums = (values * mask).flatten(1).sum(dim=1)
    some = counts > 0
    return float((sums[some] / counts[some]).mean()) if some.any() else float("nan")


def pixel_errors(video: Tensor, made: Animation) -> dict[str, Tensor]:
    """L1 per pixel (T-1, H, W), mean over colours, of driving frames: generated, source repeated, source deformed."""
    target = video[1:]
    rivals = {"l1": made.prediction[1:], "l1_repeat_source": video[:1], "l1_deformed": made.deformed[1:]}
    return {name: (rival.float() - target).abs().mean(dim=1) for name, rival in rivals.items()}


def clip_figures(model: MonkeyNet, clip: Clip, made: Animation) -> Figures:
    """Figures of one clip; without truth only the L1 over all pixels."""
    video = to_tensor(clip.frames)
    errors = pixel_errors(video, made)
    figures = {name: float(error.mean()) for name, error in errors.items()}
    if clip.truth is None:
        return figures
    truth = MotionTruth.of(clip.truth)
    names = {"l1": "l1_moving", "l1_repeat_source": "l1_moving_repeat_source", "l1_deformed": "l1_deformed_moving"}
    figures |= {names[name]: masked_mean(error, truth.moving) for name, error in errors.items()}
    flow = model_flow(model, made.deformation[1:].float(), *video.shape[-2:])
    figures["flow_epe"] = masked_mean((flow - truth.flow).norm(dim=-1), truth.displaced)
    figures["flow_epe_zero"] = masked_mean(truth.flow.norm(dim=-1), truth.displaced)
    return figures


def evaluate(model: MonkeyNet, clips: Sequence[Clip], device: Device) -> dict[str, float | int]:
    """Reconstructs clips and measures them.

    Args:
        model: any model; its frame size need not be the clips', whose sides must be multiples of its stride.
        clips: with truth (all figures) or without (L1 over all pixels alone). Clips of one frame are passed over.
        device: where to compute.

    Returns:
        ``l1``, ``l1_repeat_source``, ``l1_deformed`` in [0, 1]; with truth also the three over moving pixels
        (``l1_moving``, ``l1_moving_repeat_source``, ``l1_deformed_moving``) and ``flow_epe``, ``flow_epe_zero`` in
        pixels: end-point error on moving parts visible in the source, of the model and of no motion; ``frames``
        compared and ``clips``.

    Raises:
        UserError: no clip has two frames, or the networks cannot halve the frames.
    """
    model = model.to(device.device).eval()
    rows, frames = [], 0
    for clip in tqdm(clips, desc="evaluating", unit="clip", leave=False, dynamic_ncols=True):
        if len(clip.frames) < 2:
            continue
        model.config.check_frame_size(clip.frames.shape[1])
        rows.append(clip_figures(model, clip, reconstruct(model, to_tensor(clip.frames), device)))
        frames += len(clip.frames) - 1
    if not rows:
        raise UserError("evaluate: expected clips of at least two frames, got none; choose another data set")
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    means = {name: _mean([row[name] for row in rows]) for name in shared}
    return {**means, "frames": frames, "clips": len(rows)}


def _mean(values: list[float]) -> float:
    """Mean over clips; a clip without the thing measured (NaN) does not count."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
