"""Unsupervised keypoints: heatmap → moments, moments → heatmap, and the detector Δ (section 3.1 of the paper).

The pure functions do the mathematics in float32 or better whatever the precision around them: in bf16 the determinant of a
covariance can come out negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu import geometry
from monkeynet_edu.layers import Hourglass

Covariance = Literal["full", "isotropic"] | float
Normalisation = Literal["sum"] | float


@dataclass(frozen=True)
class Keypoints:
    """K keypoints of each item of a batch.

    Attributes:
        mean: (..., K, 2) points (x, y) in [-1, 1].
        cov: (..., K, 2, 2) covariances of the heatmaps, in squared lattice units.
    """

    mean: Tensor
    cov: Tensor

    def __getitem__(self, index: int | slice | Tensor | tuple[int | slice, ...]) -> Keypoints:
        """Indexes the leading dimensions."""
        return Keypoints(self.mean[index], self.cov[index])

    def __len__(self) -> int:
        """Size of the first dimension."""
        return len(self.mean)

    def detach(self) -> Keypoints:
        """The same keypoints, cut from the graph."""
        return Keypoints(self.mean.detach(), self.cov.detach())


def spatial_softmax(logits: Tensor, temperature: float) -> Tensor:
    """Softmax over all positions of each map: (B, K, H, W) → (B, K, H, W), each map sums to 1.

    Args:
        logits: detector output.
        temperature: the logits are divided by it; small values make sharp maps (0.1 in the paper's models).
    """
    flat = logits.flatten(2) / temperature  # (B, K, H·W)
    probability = flat.softmax(dim=-1)
    return probability.view_as(logits)


def heatmap_mean(heatmap: Tensor) -> Tensor:
    """First moment h_k = Σ p·g over the lattice points g: (B, K, H, W) → (B, K, 2) as (x, y) (Eq. 1).

    The heatmap is taken as it is: with a sum of 1 + ε the mean is scaled by 1 + ε.
    """
    grid = geometry.lattice(*heatmap.shape[-2:], device=heatmap.device, dtype=heatmap.dtype)
    x = (heatmap.sum(dim=-2) * grid[0, :, 0]).sum(dim=-1)
    y = (heatmap.sum(dim=-1) * grid[:, 0, 1]).sum(dim=-1)
    return torch.stack([x, y], dim=-1)


def heatmap_covariance(heatmap: Tensor, mean: Tensor) -> Tensor:
    """Second central moment Σ_k = Σ p·(g-h_k)(g-h_k)ᵀ: (B, K, H, W), (B, K, 2) → (B, K, 2, 2).

    The lattice is centred before it is squared: Σ p·ggᵀ - hhᵀ is the same on paper and cancels catastrophically in float32.
    """
    grid = geometry.lattice(*heatmap.shape[-2:], device=heatmap.device, dtype=heatmap.dtype)
    dx = grid[0, :, 0] - mean[..., 0:1]  # (B, K, W)
    dy = grid[:, 0, 1] - mean[..., 1:2]  # (B, K, H)
    xx = (heatmap.sum(dim=-2) * dx * dx).sum(dim=-1)
    yy = (heatmap.sum(dim=-1) * dy * dy).sum(dim=-1)
    xy = ((heatmap * dx[..., None, :]).sum(dim=-1) * dy).sum(dim=-1)
    return torch.unflatten(torch.stack([xx, xy, xy, yy], dim=-1), -1, (2, 2))


def smallest_singular_value(cov: Tensor) -> Tensor:
    """Smallest singular value of symmetric positive semi-definite matrices: (..., 2, 2) → (...).

    It is (a+d)/2 - √(((a-d)/2)² + b²). The root's argument is kept above zero, so that the gradient is finite at isotropic
    covariances.
    """
    half_trace = (cov[..., 0, 0] + cov[..., 1, 1]) / 2
    half_gap = (cov[..., 0, 0] - cov[..., 1, 1]) / 2
    radicand = half_gap.square() + cov[..., 0, 1].square()
    return half_trace - radicand.clamp_min(torch.finfo(cov.dtype).tiny).sqrt()


def clip_covariance(cov: Tensor, least: float) -> Tensor:
    """Scales covariances (..., 2, 2) up so that their smallest singular value is at least ``least``; shape is kept.

    Σ ← Σ·max(least, s)/s with s the smallest singular value; a keypoint can then not shrink to less than a pixel.
    """
    s = smallest_singular_value(cov)
    return cov * (s.clamp_min(least) / s)[..., None, None]


def heatmap_to_keypoints(heatmap: Tensor, covariance: Covariance = "full", least: float | None = None) -> Keypoints:
    """Moments of heatmaps (Eq. 1, 2).

    Args:
        heatmap: (B, K, H, W), each map with a sum of about 1.
        covariance: ``full`` 2×2 matrices; ``isotropic``: the mean of both variances times the identity; a number: that
            constant times the identity (the paper's ablation "No Σ_k").
        least: smallest singular value allowed (``full`` only), or None.

    Returns:
        Keypoints of float32 or better.
    """
    heatmap = heatmap if heatmap.dtype == torch.float64 else heatmap.float()
    mean = heatmap_mean(heatmap)
    eye = torch.eye(2, device=mean.device, dtype=mean.dtype)
    if covariance == "full":
        cov = heatmap_covariance(heatmap, mean)
        return Keypoints(mean, cov if least is None else clip_covariance(cov, least))
    if covariance == "isotropic":
        variance = heatmap_covariance(heatmap, mean).diagonal(dim1=-2, dim2=-1).mean(dim=-1)
        return Keypoints(mean, variance[..., None, None] * eye)
    return Keypoints(mean, (float(covariance) * eye).expand(*mean.shape, 2))


def inverse_covariance(cov: Tensor) -> Tensor:
    """Inverse of 2×2 matrices (..., 2, 2) in closed form, in float32 or better."""
    cov = cov if cov.dtype == torch.float64 else cov.float()
    a, b, c, d = cov[..., 0, 0], cov[..., 0, 1], cov[..., 1, 0], cov[..., 1, 1]
    adjugate = torch.unflatten(torch.stack([d, -b, -c, a], dim=-1), -1, (2, 2))
    return adjugate / (a * d - b * c)[..., None, None]


def gaussian_heatmap(keypoints: Keypoints, height: int, width: int) -> Tensor:
    """Draws H_k(g) = exp(-½ (g-h_k)ᵀ Σ_k⁻¹ (g-h_k)): keypoints (..., K) → (..., K, height, width), peak 1 (Eq. 3)."""
    mean, inverse = keypoints.mean, inverse_covariance(keypoints.cov)
    grid = geometry.lattice(height, width, device=mean.device, dtype=inverse.dtype)
    dx = grid[0, :, 0] - mean[..., 0:1]  # (..., K, W)
    dy = grid[:, 0, 1] - mean[..., 1:2]  # (..., K, H)
    xx = (inverse[..., 0, 0, None] * dx * dx)[..., None, :]
    yy = (inverse[..., 1, 1, None] * dy * dy)[..., :, None]
    cross = inverse[..., 0, 1] + inverse[..., 1, 0]
    xy = (cross[..., None] * dx)[..., None, :] * dy[..., :, None]
    return torch.exp(-0.5 * (xx + yy + xy))


def normalise_heatmap(heatmap: Tensor, normalisation: Normalisation) -> Tensor:
    """Divides heatmaps (..., H, W) by their own sum (``sum``) or by a constant α.

    A keypoint so far outside that its map sums to 0 gives zeros, not NaN.
    """
    if normalisation == "sum":
        total = heatmap.sum(dim=(-2, -1), keepdim=True)
        return heatmap / total.clamp_min(torch.finfo(heatmap.dtype).tiny)
    return heatmap / float(normalisation)


@dataclass(frozen=True)
class DetectorConfig:
    """Configuration of Δ.

    Attributes:
        keypoints: K.
        width: b, channels at full resolution.
        max_width: m, upper bound of the channels.
        levels: n, number of Down (and Up) blocks.
        temperature: of the softmax.
        covariance: ``full``, ``isotropic`` or a constant.
        least_covariance: lower bound for the smallest singular value of Σ_k (``full`` only), or None.
        scale: the image is shrunk by it first.
        channels: of the image.
    """

    keypoints: int = 10
    width: int = 32
    max_width: int = 512
    levels: int = 5
    temperature: float = 0.1
    covariance: Covariance = "full"
    least_covariance: float | None = None
    scale: float = 1.0
    channels: int = 3

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.keypoints < 1:
            raise ValueError(f"DetectorConfig.keypoints: expected at least 1, got {self.keypoints}")
        if isinstance(self.covariance, str) and self.covariance not in ("full", "isotropic"):
            raise ValueError(
                f"DetectorConfig.covariance: expected 'full', 'isotropic' or a positive number, got {self.covariance!r}"
            )
        if self.temperature <= 0:
            raise ValueError(f"DetectorConfig.temperature: expected a positive number, got {self.temperature}")

    @property
    def stride(self) -> int:
        """Frame sides must be multiples of this."""
        return round((1 << self.levels) / self.scale)


class KeypointDetector(nn.Module):
    """Δ: image (B, C, H, W) → :class:`Keypoints` (B, K), learned without labels (section 3.1).

    A U-Net draws K maps, a softmax makes each a distribution over positions, its moments are the keypoint.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.predictor = Hourglass(config.channels, config.keypoints, config.width, config.max_width, config.levels)

    def _logits(self, image: Tensor) -> Tensor:
        """Maps before the softmax, float32 or better.

        Where float32 is asked for, the last convolution and what follows it are computed in float64: the temperature
        multiplies their rounding error by ten, M passes it on, and at 1e-4 it would show against the authors' model.
        """
        x = geometry.downscale(image, self.config.scale)
        rough = self.training or torch.is_autocast_enabled(x.device.type) or x.device.type == "mps"
        if rough or x.dtype != torch.float32:
            logits: Tensor = self.predictor(x)
            return logits if logits.dtype == torch.float64 else logits.float()
        last = self.predictor.decoder.conv
        assert last is not None
        assert last.bias is not None
        features = self.predictor.decoder.features(self.predictor.encoder(x))
        return F.conv2d(features.double(), last.weight.double(), last.bias.double(), padding=1)

    def heatmap(self, image: Tensor) -> Tensor:
        """Probability maps (B, K, H·scale, W·scale), float32 or better; 1e-7 keeps every covariance invertible."""
        return spatial_softmax(self._logits(image), self.config.temperature) + 1e-7

    def forward(self, image: Tensor) -> Keypoints:
        """Detects the keypoints of each image; never in less than float32."""
        found = heatmap_to_keypoints(self.heatmap(image), self.config.covariance, self.config.least_covariance)
        return found if image.dtype == torch.float64 else Keypoints(found.mean.float(), found.cov.float())
