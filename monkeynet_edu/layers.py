"""The blocks that Δ, M and G are made of: convolution blocks, encoder, decoder, U-Net ("hourglass"), refinement."""

from __future__ import annotations

import itertools
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def level_width(width: int, max_width: int, level: int) -> int:
    """Channels at a level: ``width·2^level``, never more than ``max_width`` (level 0 is the full resolution)."""
    return min(max_width, width << level)


def down(x: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    """What a Down block computes: convolution → norm → ReLU → 2×2 average pool.

    Args:
        x: (B, C_in, H, W).
        conv: a convolution that keeps H and W.
        norm: a batch norm over its output channels.

    Returns:
        (B, C_out, H/2, W/2).
    """
    features = norm(conv(x))  # (B, C_out, H, W)
    active = F.relu(features)
    return F.avg_pool2d(active, 2)


def up_and_concatenate(below: Tensor, skip: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    """One step up in a U-Net: nearest ×2 → convolution → norm → ReLU, then the skipped level is put behind it.

    Args:
        below: (B, C_in, H, W), from the level below.
        skip: (B, C_skip, 2H, 2W), the encoder's level of this resolution.
        conv: a convolution that keeps height and width.
        norm: a batch norm over its output channels.

    Returns:
        (B, C_out + C_skip, 2H, 2W).
    """
    larger = F.interpolate(below, scale_factor=2.0, mode="nearest")
    features = F.relu(norm(conv(larger)))  # (B, C_out, 2H, 2W)
    return torch.cat([features, skip], dim=1)


def up_and_concatenate_at_once(below: Tensor, skip: Tensor, conv: nn.Conv2d, norm: nn.Module) -> Tensor:
    """What :func:`up_and_concatenate` computes, in 2.25 times fewer products and without the enlarged input.

    Nearest ×2 and a convolution 3×3 are one transposed convolution 4×4 of stride 2: an output pixel reads each pixel
    below through the sum of the weights that fall on it.

    Args:
        below: (B, C_in, H, W), from the level below.
        skip: (B, C_skip, 2H, 2W), the encoder's level of this resolution.
        conv: a convolution 3×3 that keeps height and width.
        norm: a batch norm over its output channels.

    Returns:
        (B, C_out + C_skip, 2H, 2W).
    """
    features = F.relu(norm(F.conv_transpose2d(below, _enlarging(conv.weight), conv.bias, stride=2, padding=1)))
    return torch.cat([gradient_as_read(features), skip], dim=1)


_TAUGHT = up_and_concatenate


def _enlarging(weight: Tensor) -> Tensor:
    """Weights (C_out, C_in, 3, 3) of a convolution after nearest ×2 → (C_in, C_out, 4, 4) of the transposed one.

    Both axes are turned round, and of four places each holds the sum of the weights that fall on it: along one axis
    w₂, w₂ + w₁, w₁ + w₀, w₀. Written as one product, since flips and paddings of many small planes are slow.
    """
    with torch.autocast(weight.device.type, enabled=False):
        planes = weight.reshape(-1, 9) @ _sums(weight.device, weight.dtype)  # (C_out · C_in, 16)
    return planes.reshape(*weight.shape[:2], 4, 4).transpose(0, 1)


@lru_cache
@torch.inference_mode(False)
def _sums(device: torch.device, dtype: torch.dtype) -> Tensor:
    """(9, 16): which of 3×3 weights fall on which of 4×4 places; kept, so that a GPU does not wait for it in every step."""
    along = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]], device=device, dtype=dtype)
    return torch.kron(along, along)


def as_convolutions_read(x: Tensor) -> Tensor:
    """The same (B, C, H, W) with channels last in memory and, under autocast, in its precision.

    Once done where a picture enters a network, every layer hands it on like that; a concatenation of two formats or two
    precisions would fall back to the slower ones.
    """
    kind = x.device.type
    lower = torch.is_autocast_enabled(kind) and x.dtype == torch.float32
    return x.to(torch.get_autocast_dtype(kind) if lower else x.dtype, memory_format=torch.channels_last)


def gradient_as_read(x: Tensor) -> Tensor:
    """The same (B, C, H, W), for a reader whose gradient comes back in another memory format: channels last again, dense.

    Warping and the losses return theirs with channels first; added to a convolution's, they would make the sum so too,
    and all that follows slower. A concatenation returns a part of a larger tensor, which a ReLU goes through slowly.
    """
    alias = x.view_as(x)
    if alias.requires_grad:
        format_ = torch.channels_last
        alias.register_hook(lambda gradient: gradient.contiguous(memory_format=format_))  # type: ignore[no-untyped-call]
    return alias


class DownBlock(nn.Module):
    """conv3×3 → batch norm → ReLU → 2×2 average pool: (B, C_in, H, W) → (B, C_out, H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Halves the resolution."""
        return down(x, self.conv, self.norm)


class UpBlock(nn.Module):
    """nearest ×2 → conv3×3 → batch norm → ReLU, beside a skipped level: (B, C_in, H, W) → (B, C_out + C_skip, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Doubles the resolution and appends the encoder's level of that resolution."""
        step = up_and_concatenate_at_once if up_and_concatenate is _TAUGHT else up_and_concatenate  # a learner's own
        return step(below, skip, self.conv, self.norm)


class GroupBlock(nn.Module):
    """Grouped conv1×1 → batch norm → ReLU: each keypoint's channels are mixed among themselves alone."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, groups=groups)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return F.relu(self.norm(self.conv(x)))


class ResidualBlock(nn.Module):
    """BN → ReLU → conv3×3 → BN → ReLU → conv3×3, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        out = self.conv1(F.relu(self.norm1(x)))
        change: Tensor = self.conv2(F.relu(self.norm2(out)))
        return x + change


class Encoder(nn.Module):
    """A chain of Down blocks that keeps every level."""

    def __init__(self, in_channels: int, width: int, max_width: int, levels: int) -> None:
        super().__init__()
        widths = [in_channels] + [level_width(width, max_width, i + 1) for i in range(levels)]
        self.down_blocks = nn.ModuleList(DownBlock(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Returns all levels, the input first, each half the size of the one before."""
        levels = [x]
        for block in self.down_blocks:
            levels.append(block(levels[-1]))
        return levels


class Decoder(nn.Module):
    """Up blocks, each followed by concatenation with the encoder level of its resolution.

    Args:
        in_channels: channels of level 0 (the picture).
        out_channels: of the last conv3×3; None leaves that convolution out.
        width: b, ``width·2^i`` channels at level i.
        max_width: upper bound m of the channels.
        levels: number of Up blocks.
        extra_channels: channels appended to every level, the deepest included (keypoint heatmaps).
    """

    def __init__(
        self, in_channels: int, out_channels: int | None, width: int, max_width: int, levels: int, extra_channels: int = 0
    ) -> None:
        super().__init__()
        blocks = []
        for i in reversed(range(levels)):
            from_below = level_width(width, max_width, i + 1) * (1 if i == levels - 1 else 2) + extra_channels
            blocks.append(UpBlock(from_below, level_width(width, max_width, i)))
        self.up_blocks = nn.ModuleList(blocks)
        self.out_channels = width + in_channels + extra_channels
        self.conv = None if out_channels is None else nn.Conv2d(self.out_channels, out_channels, 3, padding=1)

    def features(self, levels: list[Tensor]) -> Tensor:
        """What the last convolution reads; see :meth:`forward`."""
        out = levels[-1]
        for block, skip in zip(self.up_blocks, reversed(levels[:-1]), strict=True):
            out = block(out, skip)
        return out

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Decodes levels (full resolution first, as the encoder returns them; the list is left as it was)."""
        out = self.features(levels)
        return out if self.conv is None else self.conv(out)


class Hourglass(nn.Module):
    """U-Net: encoder and decoder with skip connections, (B, C_in, H, W) → (B, C_out, H, W).

    H and W must be divisible by 2^levels.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, max_width: int, levels: int) -> None:
        super().__init__()
        self.encoder = Encoder(in_channels, width, max_width, levels)
        self.decoder = Decoder(in_channels, out_channels, width, max_width, levels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps an image to as many output channels."""
        out: Tensor = self.decoder(self.encoder(as_convolutions_read(x)))
        return out
