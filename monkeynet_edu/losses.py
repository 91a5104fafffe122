"""What Monkey-Net minimises: least-squares adversarial losses and feature matching (section 3.4, Eq. 7 to 9)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms.

    Attributes:
        feature_matching: of |D_i(x̂) - D_i(x')| for the frame itself, then each block of D; one too many is an error.
        deformed: of |deformed - x'|.
        adversarial: of the generator's least-squares term.
        discriminator: of the discriminator's loss.
    """

    feature_matching: tuple[float, ...] = (10.0, 10.0, 10.0, 10.0, 1.0)
    deformed: float = 0.0
    adversarial: float = 1.0
    discriminator: float = 1.0


def full_precision(x: Tensor) -> Tensor:
    """The same values in float32 or better: losses are never summed in half precision."""
    return x if x.dtype == torch.float64 else x.float()


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference over everything."""
    return (full_precision(prediction) - full_precision(target)).abs().mean()


def generator_adversarial(fake_score: Tensor) -> Tensor:
    """mean (1 - D(x̂))²: small when D takes the generated frame for real (LSGAN, Eq. 8).

    Args:
        fake_score: D's scores for generated frames, of any shape.

    Returns:
        One number.
    """
    fake = full_precision(fake_score)
    missing = 1 - fake  # D says 1 where it takes a frame for real
    return missing.square().mean()


def discriminator_adversarial(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """mean (1 - D(x'))² + mean D(x̂)²: small when D tells them apart (LSGAN, Eq. 7).

    Args:
        real_score: D's scores for real frames, of any shape.
        fake_score: for generated frames, of any shape.

    Returns:
        One number.
    """
    real, fake = full_precision(real_score), full_precision(fake_score)
    real_term = (1 - real).square().mean()
    fake_term = fake.square().mean()
    return real_term + fake_term


def feature_matching(fake: list[Tensor], real: list[Tensor]) -> list[Tensor]:
    """mean |D_i(x̂) - D_i(x')| for the frame itself and each block of D (Eq. 9); the score is left out.

    Args:
        fake: what D returned for the generated frame: the frame, its blocks' outputs, the score.
        real: what D returned for the real one.

    Returns:
        One number for the frame and one for each block.
    """
    terms = []
    for made, wanted in zip(fake[:-1], real[:-1], strict=True):
        gap = full_precision(made) - full_precision(wanted)
        terms.append(gap.abs().mean())
    return terms


def generator_losses(
    fake: list[Tensor], real: list[Tensor], deformed: Tensor, weights: LossWeights
) -> dict[str, Tensor]:
    """All weighted terms for G and Δ, by name; terms of weight 0 are left out.

    Args:
        fake: what D returned for the generated frame: frame, blocks, score.
        real: what D returned for the driving frame.
        deformed: the source sampled at the deformation (B, 3, H, W).
        weights: of the terms.

    Raises:
        ValueError: not one feature-matching weight for each feature of D.
    """
    matching = feature_matching(fake, real)
    if len(matching) != len(weights.feature_matching):
        raise ValueError(
            f"LossWeights.feature_matching: expected {len(matching)} weights (the frame and each block of D), "
            f"got {len(weights.feature_matching)}"
        )
    terms: dict[str, Tensor] = {}
    if weights.deformed:
        terms["deformed"] = weights.deformed * l1(deformed, real[0])
    for i, (weight, term) in enumerate(zip(weights.feature_matching, matching, strict=True)):
        if weight:
            terms["frame" if i == 0 else f"feature_{i}"] = weight * term
    if weights.adversarial:
        terms["adversarial"] = weights.adversarial * generator_adversarial(fake[-1])
    return terms
