"""The discriminator D: is this frame real, given the keypoints (section 3.4)?"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu import geometry, motion
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.layers import as_convolutions_read, gradient_as_read, level_width
from monkeynet_edu.motion import EmbeddingConfig


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Configuration of D.

    Attributes:
        width: b; block i has b·2^(i+1) channels.
        max_width: m, upper bound of the channels.
        blocks: n.
        embedding: how the driving keypoints are shown to D, or None for not at all.
        scale: frame and heatmaps are shrunk by it first.
    """

    width: int = 32
    max_width: int = 256
    blocks: int = 4
    embedding: EmbeddingConfig | None = field(default_factory=lambda: EmbeddingConfig(heatmap="gaussian"))
    scale: float = 1.0


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm that leaves channels last where they are, on a processor.

    PyTorch's own copies them to channels first and its reader back again; a batch norm of one picture is an instance norm
    and needs neither. A GPU would rather have one launch than one for each picture.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape: each channel of each picture at mean 0 and variance 1, then scaled and shifted."""
        if x.device.type != "cpu":
            return super().forward(x)
        normed = [F.batch_norm(one, None, None, self.weight, self.bias, True, eps=self.eps) for one in torch.split(x, 1)]
        return torch.cat(normed)


class DiscriminatorBlock(nn.Module):
    """conv4×4 without padding → instance norm (not in the first block) → LeakyReLU 0.2 → 2×2 average pool."""

    def __init__(self, in_channels: int, out_channels: int, norm: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 4)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C_out, (H-3)/2, (W-3)/2)."""
        normed = as_convolutions_read(self.norm(self.conv(x)))  # instance norm takes its input's format apart
        return F.avg_pool2d(F.leaky_relu(normed, 0.2), 2)


class Discriminator(nn.Module):
    """D: frame (B, 3, H, W) and keypoints → features of every block and a score map."""

    def __init__(self, config: DiscriminatorConfig, keypoints: int, channels: int = 3) -> None:
        super().__init__()
        self.config = config
        extra = config.embedding.channels_per_keypoint(channels) * keypoints if config.embedding else 0
        widths = [channels + extra] + [level_width(config.width, config.max_width, i + 1) for i in range(config.blocks)]
        self.down_blocks = nn.ModuleList(
            DiscriminatorBlock(a, b, InstanceNorm(b, affine=True) if i else nn.Identity())
            for i, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.conv = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, frame: Tensor, source: Keypoints, driving: Keypoints) -> list[Tensor]:
        """Returns [frame, output of block 1 … n, score (B, 1, h, w)]; the frame counts as the first feature."""
        x = frame
        if self.config.embedding is not None:
            shown = motion.movement_embedding(frame, source, driving, self.config.embedding, "none")
            x = torch.cat([x, geometry.resize(shown, *x.shape[-2:]).to(x.dtype)], dim=1)
        x = geometry.downscale(x, self.config.scale)
        features, x = [frame], as_convolutions_read(x)
        for block in self.down_blocks:
            x = block(x)
            features.append(gradient_as_read(x))
        return [*features, self.conv(x)]
