"""A model of three keypoints for frames of 16×16 pixels: small enough to be trained in a test."""

from __future__ import annotations

from monkeynet_edu.discriminator import DiscriminatorConfig
from monkeynet_edu.generator import GeneratorConfig
from monkeynet_edu.keypoints import DetectorConfig
from monkeynet_edu.losses import LossWeights
from monkeynet_edu.model import MonkeyNetConfig
from monkeynet_edu.motion import EmbeddingConfig, MotionConfig

SIDE = 16
TINY = MonkeyNetConfig(
    frame_size=SIDE,
    detector=DetectorConfig(3, 4, 8, 2),
    generator=GeneratorConfig(
        4,
        8,
        2,
        refinement_blocks=1,
        motion=MotionConfig(4, 8, 2, embedding=EmbeddingConfig(("heatmap", "deformed_source"))),
    ),
    discriminator=DiscriminatorConfig(4, 8, 1),
    losses=LossWeights(feature_matching=(10.0, 1.0)),
)
