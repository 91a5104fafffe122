"""Flow from parts: the movement embedding, part masks, coarse and residual flow, and the motion network M (section 3.2).

For every pixel of the driving frame M says which keypoint's motion it follows (a mask over K+1 parts, the background
first) and adds a free correction: F = Σ_k mask_k·(h_source,k - h_driving,k) + F_residual; deformation = lattice + F.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu import geometry
from monkeynet_edu import keypoints as kp
from monkeynet_edu.keypoints import Keypoints, Normalisation
from monkeynet_edu.layers import GroupBlock, Hourglass

Feature = Literal["heatmap", "displacement", "deformed_source"]
FlowTerm = Literal["coarse", "residual"]


@dataclass(frozen=True)
class EmbeddingConfig:
    """How keypoints are shown to a network as pictures.

    Attributes:
        features: what each keypoint contributes, in this order: ``heatmap`` (1 channel), ``displacement`` (2 channels,
            h_source - h_driving), ``deformed_source`` (the source moved by that displacement).
        heatmap: ``gaussian``: the driving frame's; ``difference``: driving minus source.
        normalisation: heatmaps are divided by their ``sum`` or by this constant α.
        scale: the source is shrunk by it first; the embedding has that size.
    """

    features: tuple[Feature, ...] = ("heatmap",)
    heatmap: Literal["gaussian", "difference"] = "difference"
    normalisation: Normalisation = 100.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Checks the values."""
        order = ("heatmap", "displacement", "deformed_source")
        if not self.features or tuple(f for f in order if f in self.features) != self.features:
            raise ValueError(f"EmbeddingConfig.features: expected some of {order} in that order, got {self.features}")
        if self.heatmap not in ("gaussian", "difference"):
            raise ValueError(f"EmbeddingConfig.heatmap: expected 'gaussian' or 'difference', got {self.heatmap!r}")
        if self.normalisation != "sum" and not float(self.normalisation) > 0:
            raise ValueError(
                f"EmbeddingConfig.normalisation: expected 'sum' or a positive number, got {self.normalisation}"
            )

    def channels_per_keypoint(self, image_channels: int = 3) -> int:
        """Channels that one keypoint contributes."""
        sizes = {"heatmap": 1, "displacement": 2, "deformed_source": image_channels}
        return sum(sizes[feature] for feature in self.features)


def movement_heatmap(
    source: Keypoints, driving: Keypoints, height: int, width: int, config: EmbeddingConfig
) -> Tensor:
    """Normalised heatmaps (B, K, height, width) of the driving keypoints, minus the source's for ``difference``."""
    heat = kp.normalise_heatmap(kp.gaussian_heatmap(driving, height, width), config.normalisation)
    if config.heatmap == "gaussian":
        return heat
    return heat - kp.normalise_heatmap(kp.gaussian_heatmap(source, height, width), config.normalisation)


def displacements(source: Keypoints, driving: Keypoints) -> Tensor:
    """How far each part was moved, as a backward map: where to read relative to the driving pixel.

    Args:
        source: keypoints with ``mean`` (B, K, 2), (x, y) in [-1, 1].
        driving: keypoints with ``mean`` (B, K, 2).

    Returns:
        (B, K+1, 2): h_source - h_driving of each keypoint. Part 0 is the background, which does not move.
    """
    moved = source.mean - driving.mean  # (B, K, 2)
    background = torch.zeros_like(moved[:, :1])  # (B, 1, 2)
    return torch.cat([background, moved], dim=1)


def shifted_copies(image: Tensor, shifts: Tensor) -> Tensor:
    """The whole image once for each shift, read at lattice + shift.

    Args:
        image: (B, C, H, W).
        shifts: (B, N, 2), (x, y) in [-1, 1] units.

    Returns:
        (B, N, C, H, W): copy n of image b is ``geometry.warp`` of it with the deformation lattice + shift n.
    """
    batch, count = shifts.shape[:2]
    grid = geometry.lattice(*image.shape[-2:], device=image.device, dtype=shifts.dtype)  # (H, W, 2)
    deformation = grid + shifts[:, :, None, None, :]  # (B, N, H, W, 2)
    copies = image.to(shifts.dtype)[:, None].expand(batch, count, *image.shape[1:])
    read = geometry.warp(copies.flatten(0, 1), deformation.flatten(0, 1))  # (B·N, C, H, W)
    return torch.unflatten(read, 0, (batch, count))


def movement_embedding(
    image: Tensor, source: Keypoints, driving: Keypoints, config: EmbeddingConfig, background: Literal["none", "first"]
) -> Tensor:
    """Pictures of the movement, keypoint-major: for each keypoint its heatmap, displacement and deformed source.

    Args:
        image: source image (B, C, H, W).
        source: keypoints (B, K) of the source.
        driving: keypoints (B, K) of the driving frame.
        config: which features.
        background: ``first`` puts an unmoved part with an empty heatmap before the K others.

    Returns:
        (B, K·n or (K+1)·n, H·scale, W·scale) with n = ``config.channels_per_keypoint()``.
    """
    image = geometry.downscale(image, config.scale)
    h, w = image.shape[-2:]
    first = 0 if background == "first" else 1
    shifts = displacements(source, driving)[:, first:]  # (B, N, 2)
    parts = []
    if "heatmap" in config.features:
        heat = movement_heatmap(source, driving, h, w, config)
        parts.append(F.pad(heat, (0, 0, 0, 0, 1 - first, 0))[:, :, None])
    if "displacement" in config.features:
        parts.append(shifts[..., None, None].expand(*shifts.shape, h, w))
    if "deformed_source" in config.features:
        parts.append(shifted_copies(image, shifts))
    return torch.cat(parts, dim=2).flatten(1, 2)


def part_masks(logits: Tensor) -> Tensor:
    """Softmax over the parts: (B, K+1, H, W) → masks that sum to 1 at every pixel, the background first."""
    return logits.softmax(dim=1)


def coarse_flow(masks: Tensor, shifts: Tensor) -> Tensor:
    """The flow from parts: at every pixel the mean of the parts' shifts, weighted by the masks (Eq. 4).

    Args:
        masks: (B, K+1, H, W), sum 1 over the parts at every pixel, the background first.
        shifts: (B, K+1, 2), (x, y) in [-1, 1] units, the background first.

    Returns:
        (B, H, W, 2): Σ_k mask_k·shift_k, (x, y) in [-1, 1] units.
    """
    weights = masks.flatten(2)  # (B, K+1, H·W)
    flow = weights.transpose(1, 2) @ shifts  # (B, H·W, 2)
    return torch.unflatten(flow, 1, masks.shape[-2:])


def assemble_deformation(coarse: Tensor, residual: Tensor) -> Tensor:
    """Where every driving pixel reads in the source: its own place, plus the flow from parts, plus the correction.

    Args:
        coarse: flow from parts (B, H, W, 2), (x, y) in [-1, 1] units.
        residual: the network's correction as two channels (B, 2, H, W), x first, in the same units.

    Returns:
        (B, H, W, 2) points (x, y): the deformation that ``geometry.warp`` takes.
    """
    flow = coarse + residual.permute(0, 2, 3, 1)
    grid = geometry.lattice(*coarse.shape[1:3], device=coarse.device, dtype=coarse.dtype)  # (H, W, 2)
    return grid + flow


@dataclass(frozen=True)
class MotionConfig:
    """Configuration of M.

    Attributes:
        width: b, channels at full resolution.
        max_width: m, upper bound of the channels.
        levels: n, number of Down (and Up) blocks.
        embedding: what M sees of the keypoints (the background is always added).
        flow: which terms make the flow: ``coarse`` (parts), ``residual`` (correction) or both.
        group_blocks: grouped 1×1 blocks before the U-Net.
        background_bias: start value of the background's mask logit.
        scale: the source is shrunk by it first; the deformation has that size.
    """

    width: int = 32
    max_width: int = 512
    levels: int = 5
    embedding: EmbeddingConfig = field(default_factory=lambda: EmbeddingConfig(("heatmap", "deformed_source")))
    flow: tuple[FlowTerm, ...] = ("coarse", "residual")
    group_blocks: int = 2
    background_bias: float = 2.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.flow not in (("coarse", "residual"), ("coarse",), ("residual",)):
            raise ValueError(f"MotionConfig.flow: expected ('coarse', 'residual') or one of them, got {self.flow}")

    @property
    def stride(self) -> int:
        """Frame sides must be multiples of this."""
        return round((1 << self.levels) / (self.scale * self.embedding.scale))


@dataclass(frozen=True)
class Motion:
    """What M found.

    Attributes:
        deformation: (B, h, w, 2) where each driving pixel reads in the source.
        masks: (B, K+1, h, w) part masks, the background first, or None without a coarse flow.
        coarse: (B, h, w, 2) flow from parts, or None.
        residual: (B, h, w, 2) correction, or None.
    """

    deformation: Tensor
    masks: Tensor | None
    coarse: Tensor | None
    residual: Tensor | None


class MotionNetwork(nn.Module):
    """M: source image and two sets of keypoints → :class:`Motion` (section 3.2).

    Its last convolution starts at zero with a bias for the background, so that an untrained M moves almost nothing.
    """

    def __init__(self, config: MotionConfig, keypoints: int, channels: int = 3) -> None:
        super().__init__()
        self.config = config
        self.parts = keypoints + 1
        width = config.embedding.channels_per_keypoint(channels) * self.parts
        self.group_blocks = nn.ModuleList(GroupBlock(width, self.parts) for _ in range(config.group_blocks))
        mask_channels = self.parts if "coarse" in config.flow else 0
        out = mask_channels + (2 if "residual" in config.flow else 0)
        self.hourglass = Hourglass(width, out, config.width, config.max_width, config.levels)
        last = self.hourglass.decoder.conv
        assert last is not None
        assert last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        if mask_channels:
            nn.init.constant_(last.bias[:1], config.background_bias)

    def forward(self, image: Tensor, source: Keypoints, driving: Keypoints) -> Motion:
        """Image (B, C, H, W) and keypoints (B, K) of source and driving frame."""
        image = geometry.downscale(image, self.config.scale)
        x = movement_embedding(image, source, driving, self.config.embedding, "first")
        for block in self.group_blocks:
            x = block(x)
        logits = self.hourglass(x)
        logits = logits.to(source.mean.dtype)  # flow and masks leave the network's precision here
        masks = coarse = residual = None
        none = torch.zeros_like(logits[:, :2])
        if "coarse" in self.config.flow:
            masks = part_masks(logits[:, : self.parts])
            coarse = coarse_flow(masks, displacements(source, driving))
        if "residual" in self.config.flow:
            residual = logits[:, -2:]
        flow = none.permute(0, 2, 3, 1) if coarse is None else coarse
        deformation = assemble_deformation(flow, none if residual is None else residual)
        return Motion(deformation, masks, coarse, None if residual is None else residual.permute(0, 2, 3, 1))
