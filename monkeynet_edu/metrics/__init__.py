"""Figures of generated clips: L1, AKD, MKR, AED, FID, error of the flow, error of landmarks, each with what was counted.

``pixels``: L1 and flow; ``distances``: AKD, MKR, AED as pure functions; ``external``: the same from networks' findings;
``frechet``: Fréchet distance and FID; ``landmarks``: what the keypoints mean; ``evaluation``: all of them on a data set.
"""

from monkeynet_edu.metrics.distances import (
    Counted,
    average_euclidean_distance,
    average_keypoint_distance,
    missing_keypoint_rate,
)
from monkeynet_edu.metrics.evaluation import Evaluation, Task, evaluate, measure, measure_films, over_clips, remake
from monkeynet_edu.metrics.external import external_figures, identity_figures, point_figures, true_joints
from monkeynet_edu.metrics.frechet import FrechetMeter, InceptionFeatures, frechet_distance, gaussian, matrix_root
from monkeynet_edu.metrics.landmarks import known_keypoints, landmark_errors
from monkeynet_edu.metrics.pixels import (
    Figures,
    MotionTruth,
    clip_figures,
    counted_mean,
    film_figures,
    masked_mean,
    model_flow,
    pixel_figures,
)

__all__ = [
    "Counted",
    "Evaluation",
    "Figures",
    "FrechetMeter",
    "InceptionFeatures",
    "MotionTruth",
    "Task",
    "average_euclidean_distance",
    "average_keypoint_distance",
    "clip_figures",
    "counted_mean",
    "evaluate",
    "external_figures",
    "film_figures",
    "frechet_distance",
    "gaussian",
    "identity_figures",
    "known_keypoints",
    "landmark_errors",
    "masked_mean",
    "matrix_root",
    "measure",
    "measure_films",
    "missing_keypoint_rate",
    "model_flow",
    "over_clips",
    "pixel_figures",
    "point_figures",
    "remake",
    "true_joints",
]
