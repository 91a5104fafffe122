"""How good a reconstruction is pixel by pixel: L1 over all and over moving pixels, and the error of the flow.

A clip is rebuilt from its first frame (the source) and the keypoints of frames 2…T (the driving frames); a figure is the
mean over a clip's driving frames, then over clips. What moves is taken from the sprites' truth, never from differences of
pixels: a copy of the source has a good L1 wherever nothing moves, and moving pixels are where it is found out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from monkeynet_edu import geometry
from monkeynet_edu.animation import Animation
from monkeynet_edu.data.sprites import Clip, Truth
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.metrics.distances import Counted
from monkeynet_edu.model import MonkeyNet

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


def counted_mean(values: Tensor, mask: Tensor) -> Counted:
    """:func:`masked_mean` and the numbers of frames and pixels in it."""
    value, pixels = masked_mean(values, mask), mask.flatten(1).sum(dim=1)
    return Counted(value if math.isfinite(value) else None, int((pixels > 0).sum()), int(pixels.sum()))


def film_figures(clip: Clip, film: Tensor) -> dict[str, Counted]:
    """L1 of a film, whatever made it; without truth only that over all pixels.

    Args:
        clip: the real frames, T of them.
        film: (T, 3, H, W), the generated ones; frame 0 is the source's own.

    Returns:
        ``l1``, ``l1_repeat_source`` and, with truth, the same over moving pixels; and ``l1_published``, the mean over all
        T frames, where the others leave frame 0 out.
    """
    return _film_figures(to_tensor(clip.frames), film, None if clip.truth is None else MotionTruth.of(clip.truth))


def _film_figures(video: Tensor, film: Tensor, truth: MotionTruth | None) -> dict[str, Counted]:
    whole = (film.float() - video).abs().mean(dim=1)
    errors = {"l1": whole[1:], "l1_repeat_source": (video[:1] - video[1:]).abs().mean(dim=1)}
    figures = {name: _plain_mean(error) for name, error in errors.items()} | {"l1_published": _plain_mean(whole)}
    if truth is None:
        return figures
    return figures | {_MOVING[name]: counted_mean(error, truth.moving) for name, error in errors.items()}


_MOVING = {"l1": "l1_moving", "l1_repeat_source": "l1_moving_repeat_source", "l1_deformed": "l1_deformed_moving"}
_ORDER = (
    *_MOVING,
    *_MOVING.values(),
    "flow_epe",
    "flow_epe_zero",
    "l1_published",
)


def _plain_mean(error: Tensor) -> Counted:
    return Counted(float(error.mean()), len(error), error.numel())


def pixel_figures(model: MonkeyNet, clip: Clip, made: Animation) -> dict[str, Counted]:
    """L1 and flow error of one clip; without truth only the L1 over all pixels.

    Args:
        model: that made the frames.
        clip: the real frames, T of them.
        made: the generated ones, T as well; frame 0 is the source's reconstruction.

    Returns:
        The figures that :func:`monkeynet_edu.metrics.evaluate` explains. All leave frame 0 out (it is the source, and
        nothing has moved) but ``l1_published``: the mean over all T frames.
    """
    video = to_tensor(clip.frames)
    truth = None if clip.truth is None else MotionTruth.of(clip.truth)  # once a clip: it is most of the work
    deformed = (made.deformed[1:].float() - video[1:]).abs().mean(dim=1)
    figures = _film_figures(video, made.prediction, truth) | {"l1_deformed": _plain_mean(deformed)}
    if truth is not None:
        figures["l1_deformed_moving"] = counted_mean(deformed, truth.moving)
        flow = model_flow(model, made.deformation[1:].float(), *video.shape[-2:])
        figures["flow_epe"] = counted_mean((flow - truth.flow).norm(dim=-1), truth.displaced)
        figures["flow_epe_zero"] = counted_mean(truth.flow.norm(dim=-1), truth.displaced)
    return {name: figures[name] for name in _ORDER if name in figures}


def clip_figures(model: MonkeyNet, clip: Clip, made: Animation) -> Figures:
    """:func:`pixel_figures` without the counts; NaN where nothing moves."""
    found = pixel_figures(model, clip, made)
    return {name: math.nan if figure.value is None else figure.value for name, figure in found.items()}
