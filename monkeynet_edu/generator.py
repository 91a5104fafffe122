"""The generator G: an encoder-decoder whose skips are deformed to the driving pose (section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from monkeynet_edu import geometry, motion
from monkeynet_edu.files import LATER
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.layers import Decoder, Encoder, ResidualBlock, as_convolutions_read, gradient_as_read
from monkeynet_edu.motion import EmbeddingConfig, Motion, MotionConfig, MotionNetwork

Resize = Literal["nearest", "bilinear"]
Draws = Literal["whole", "change"]
_BLACK = 1 / 512  # half a grey level: where colours are taken for no darker than that, and for no lighter than 1 less it


@dataclass(frozen=True)
class GeneratorConfig:
    """Configuration of G and, inside it, M.

    Attributes:
        width: b, channels at full resolution.
        max_width: m, upper bound of the channels.
        levels: n, number of Down (and Up) blocks.
        refinement_blocks: residual blocks after the decoder.
        embedding: keypoint heatmaps appended to every level, or None for none.
        motion: configuration of M, or None for no flow at all (the paper's ablation "No F").
        resize: how the deformation is brought to the size of a level: ``nearest`` (published) or ``bilinear``.
        draws: what the last layer gives: the ``whole`` frame (published), or the ``change`` of the deformed frame; see
            :meth:`Generator.draw`.
    """

    width: int = 32
    max_width: int = 512
    levels: int = 5
    refinement_blocks: int = 4
    embedding: EmbeddingConfig | None = field(default_factory=EmbeddingConfig)
    motion: MotionConfig | None = field(default_factory=MotionConfig)
    resize: Resize = "nearest"
    draws: Draws = field(default="whole", metadata={LATER: True})

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.draws not in ("whole", "change"):
            raise ValueError(f"GeneratorConfig.draws: expected 'whole' or 'change', got {self.draws!r}")
        if self.resize not in ("nearest", "bilinear"):
            raise ValueError(f"GeneratorConfig.resize: expected 'nearest' or 'bilinear', got {self.resize!r}")

    @property
    def stride(self) -> int:
        """Frame sides must be multiples of this."""
        return max(1 << self.levels, self.motion.stride if self.motion else 1)


@dataclass(frozen=True)
class Generated:
    """A drawn frame.

    Attributes:
        prediction: (B, 3, H, W) the generated frame, in [0, 1].
        deformed: (B, 3, H, W) the source image sampled at the deformation, nothing else.
        motion: what M found.
    """

    prediction: Tensor
    deformed: Tensor
    motion: Motion


def deform_levels(levels: list[Tensor], deformation: Tensor, resize: Resize = "nearest") -> list[Tensor]:
    """Reads every encoder level through the deformation, brought to its size (Eq. 6).

    Args:
        levels: of the encoder, each (B, C, h, w) with its own C, h and w; the picture itself is level 0.
        deformation: (B, H, W, 2), points (x, y); its type may be another than that of the levels.
        resize: how it is brought to the size of a level.

    Returns:
        The levels in the same order, each of its own shape and its own type (dtype).
    """
    deformed = []
    for level in levels:
        height, width = level.shape[-2:]
        at_size = geometry.resize_deformation(deformation, height, width, resize)
        deformed.append(geometry.warp(level.to(at_size.dtype), at_size).to(level.dtype))
    return deformed


def assemble(levels: list[Tensor], shown: Tensor) -> list[Tensor]:
    """Appends the pictures of the keypoints, resized by nearest, to the channels of every level.

    Args:
        levels: what the decoder will read, each (B, C, h, w) with its own C, h and w.
        shown: (B, n, H, W), pictures of the keypoints; their type may be another than that of the levels.

    Returns:
        The levels in the same order, each (B, C + n, h, w) and of its own type (dtype): the level's channels first.
    """
    joined = []
    for level in levels:
        height, width = level.shape[-2:]
        small = geometry.resize(shown, height, width).to(level.dtype)
        joined.append(torch.cat([level, small], dim=1))
    return joined


class Generator(nn.Module):
    """G: source image and two sets of keypoints → the source in the driving pose."""

    def __init__(self, config: GeneratorConfig, keypoints: int, channels: int = 3) -> None:
        super().__init__()
        self.config = config
        self.appearance_encoder = Encoder(channels, config.width, config.max_width, config.levels)
        extra = config.embedding.channels_per_keypoint(channels) * keypoints if config.embedding else 0
        self.dense_motion_module = MotionNetwork(config.motion, keypoints, channels) if config.motion else None
        self.video_decoder = Decoder(channels, None, config.width, config.max_width, config.levels, extra)
        width = self.video_decoder.out_channels
        self.refinement_module = nn.Sequential(*(ResidualBlock(width) for _ in range(config.refinement_blocks)))
        self.last = nn.Conv2d(width, channels, 1)
        if config.draws == "change":
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def estimate_motion(self, image: Tensor, source: Keypoints, driving: Keypoints) -> Motion:
        """Runs M, or stays still where the configuration has none."""
        if self.dense_motion_module is not None:
            found: Motion = self.dense_motion_module(image, source, driving)
            return found
        grid = geometry.lattice(*image.shape[-2:], device=image.device, dtype=source.mean.dtype)
        return Motion(grid.expand(len(image), *grid.shape), None, None, None)

    def deform(self, image: Tensor, found: Motion) -> Tensor:
        """The image (B, C, H, W) sampled at a deformation, nothing else: what the driving frame looks like to the warp."""
        return deform_levels([image], found.deformation, self.config.resize)[0]

    def append_keypoints(self, levels: list[Tensor], image: Tensor, source: Keypoints, driving: Keypoints) -> list[Tensor]:
        """Concatenates the keypoint embedding, resized by nearest, to every level."""
        if self.config.embedding is None:
            return levels
        shown = motion.movement_embedding(image, source, driving, self.config.embedding, "none")
        return assemble(levels, as_convolutions_read(shown))

    def draw(self, levels: list[Tensor], deformed: Tensor) -> Tensor:
        """Decodes what is deformed and assembled into a frame (B, C, H, W) in [0, 1], of the type of ``deformed``.

        The last layer gives three numbers a pixel, and a sigmoid makes colours of them. Where the configuration says
        ``change``, they are added to the number that the sigmoid turns into the colour of the deformed frame. An untrained
        last layer is zero there, so G begins with the deformed frame and learns what has to be different.

        Args:
            levels: from :func:`assemble`.
            deformed: (B, C, H, W), the source image deformed: level 0 before it is assembled.
        """
        out: Tensor = self.last(self.refinement_module(self.video_decoder(levels))).to(deformed.dtype)
        if self.config.draws == "change":
            out = out + torch.logit(deformed, eps=_BLACK)
        return torch.sigmoid(out)

    def forward(
        self, image: Tensor, source: Keypoints, driving: Keypoints, encoded: list[Tensor] | None = None
    ) -> Generated:
        """Draws one frame for each item.

        Args:
            image: source (B, C, H, W); H and W multiples of ``config.stride``.
            source: its keypoints (B, K).
            driving: keypoints (B, K) of the pose wanted.
            encoded: levels of the source from ``appearance_encoder``, where the same source is drawn many times.
        """
        found = self.estimate_motion(image, source, driving)
        if encoded is None:
            encoded = self.appearance_encoder(image.contiguous(memory_format=torch.channels_last))
        levels = [gradient_as_read(level) for level in encoded]
        levels = deform_levels(levels, found.deformation, self.config.resize)
        deformed = levels[0]
        levels = self.append_keypoints([as_convolutions_read(level) for level in levels], image, source, driving)
        return Generated(self.draw(levels, deformed), deformed, found)
