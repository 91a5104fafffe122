"""What Monkey-Net minimises: least-squares adversarial losses and feature matching (section 3.4, Eq. 7 to 9).

Two further terms are not the paper's; they are 0 in its models and serve ``mini``, which has minutes where the paper's
models have days: the deformed frame compared at several sizes, and :func:`coverage`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from monkeynet_edu import keypoints as kp
from monkeynet_edu.files import LATER
from monkeynet_edu.keypoints import Keypoints

COVERAGE_WIDTH = 0.08  # standard deviation of a keypoint's disc, in [-1, 1] units: 2.5 pixels of 64
COVERAGE_SIZE = 32  # side of the pictures on which coverage is measured


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms.

    Attributes:
        feature_matching: of |D_i(x̂) - D_i(x')| for the frame itself, then each block of D; one too many is an error.
        deformed: of |deformed - x'|.
        adversarial: of the generator's least-squares term.
        discriminator: of the discriminator's loss.
        deformed_scales: at how many sizes the deformed frame is compared, each half of the one before; 1 (published): as it
            is. At small sizes a limb that has to move far is still near.
        coverage: of :func:`coverage`; 0 (published): none.
    """

    feature_matching: tuple[float, ...] = (10.0, 10.0, 10.0, 10.0, 1.0)
    deformed: float = 0.0
    adversarial: float = 1.0
    discriminator: float = 1.0
    deformed_scales: int = field(default=1, metadata={LATER: True})
    coverage: float = field(default=0.0, metadata={LATER: True})

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.deformed_scales < 1:
            raise ValueError(f"LossWeights.deformed_scales: expected at least 1, got {self.deformed_scales}")


def full_precision(x: Tensor) -> Tensor:
    """The same values in float32 or better: losses are never summed in half precision."""
    return x if x.dtype == torch.float64 else x.float()


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference over everything."""
    return (full_precision(prediction) - full_precision(target)).abs().mean()


def pyramid_l1(prediction: Tensor, target: Tensor, scales: int) -> Tensor:
    """Mean of :func:`l1` at several sizes, each half of the one before (2×2 means).

    Args:
        prediction: (B, C, H, W).
        target: (B, C, H, W).
        scales: how many sizes; 1 is :func:`l1`. H and W must be divisible by 2^(scales - 1).

    Returns:
        One number.
    """
    made, wanted = full_precision(prediction), full_precision(target)
    terms = [l1(made, wanted)]
    for _ in range(scales - 1):
        made, wanted = F.avg_pool2d(made, 2), F.avg_pool2d(wanted, 2)
        terms.append(l1(made, wanted))
    return torch.stack(terms).mean()


def coverage(source: Tensor, driving: Tensor, kp_source: Keypoints, kp_driving: Keypoints) -> Tensor:
    """How much of what differs between the two frames lies away from every keypoint: 0 all covered, 1 none.

    A warp pulls a keypoint no farther than a limb is thick, so a keypoint that starts beside an arm never finds it. This
    term does: each keypoint covers a disc of one width, whatever its covariance, and the change is weighted by what no disc
    of either frame covers. After the idea of Transporter (Kulkarni et al., 2019), that keypoints have to be where the
    frames differ, without its networks.

    Args:
        source: (B, C, H, W).
        driving: (B, C, H, W).
        kp_source: keypoints (B, K) of the source, (x, y) in [-1, 1].
        kp_driving: keypoints (B, K) of the driving frame.

    Returns:
        One number, the mean over pairs.
    """
    size = (COVERAGE_SIZE, COVERAGE_SIZE)
    change = F.adaptive_avg_pool2d((full_precision(source) - full_precision(driving)).abs(), size).mean(dim=1)  # (B, h, w)
    mean = torch.cat([kp_source.mean, kp_driving.mean], dim=1)  # (B, 2K, 2)
    disc = COVERAGE_WIDTH**2 * torch.eye(2, device=mean.device, dtype=mean.dtype)
    covered = kp.gaussian_heatmap(Keypoints(mean, disc.expand(*mean.shape, 2)), *size)  # (B, 2K, h, w)
    free = (1 - covered).clamp_min(1e-3).log().sum(dim=1).exp()  # the product, with a gradient at its zeros
    share = (free * change).sum(dim=(1, 2)) / change.sum(dim=(1, 2)).clamp_min(1e-3)
    return share.mean()


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
        terms["deformed"] = weights.deformed * pyramid_l1(deformed, real[0], weights.deformed_scales)
    for i, (weight, term) in enumerate(zip(weights.feature_matching, matching, strict=True)):
        if weight:
            terms["frame" if i == 0 else f"feature_{i}"] = weight * term
    if weights.adversarial:
        terms["adversarial"] = weights.adversarial * generator_adversarial(fake[-1])
    return terms
