"""Figures of generated clips: L1, AKD, MKR, AED, FID, error of the flow, error of landmarks, each with what was counted.

``pixels``: L1 and flow; ``distances``: AKD, MKR, AED; ``frechet``: Fréchet distance and FID.
"""

from monkeynet_edu.metrics.distances import (
    Counted,
    average_euclidean_distance,
    average_keypoint_distance,
    missing_keypoint_rate,
)
from monkeynet_edu.metrics.frechet import frechet_distance, gaussian, matrix_root
from monkeynet_edu.metrics.pixels import (
    Figures,
    MotionTruth,
    clip_figures,
    evaluate,
    masked_mean,
    model_flow,
    pixel_errors,
)

__all__ = [
    "Counted",
    "Figures",
    "MotionTruth",
    "average_euclidean_distance",
    "average_keypoint_distance",
    "clip_figures",
    "evaluate",
    "frechet_distance",
    "gaussian",
    "masked_mean",
    "matrix_root",
    "missing_keypoint_rate",
    "model_flow",
    "pixel_errors",
]
