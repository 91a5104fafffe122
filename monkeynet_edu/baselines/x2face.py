"""X2Face in miniature: a picture is turned into an "embedded face", and a driving frame says where to read it.

The idea (Wiles, Koepke, Zisserman, "X2Face: A network for controlling face generation by using images, audio, and pose
codes", ECCV 2018): two networks and nothing but sampling, so every colour of a generated frame is a colour of the source.

    source (B, 3, H, W) ── embedding U-Net ──► field (B, H, W, 2) ──► embedded face = source read at lattice + field
    driving (B, 3, H, W) ── encoder ──► code (B, 128) ── decoder ──► field (B, H, W, 2) ──► frame = embedded face read there

The driving network has no skip connections: what it knows of the driving frame has to pass a vector of 128 numbers, too few
for an identity. Trained with L1 on pairs of frames of one video.

What was cut, and what differs: sizes (64×64 where the original has 256×256, about 0.4 M parameters); several source frames;
the second stage of training, in which a face-recognition network keeps the driving identity out of the code (it needs that
network, and pairs across identities); driving by audio and by pose. Fields are offsets to the lattice whose last layer
starts at 0, so that training starts from "nothing moves"; and the L1 is taken at four sizes (``losses.pyramid_l1``), since
a limb that moves by more than its thickness gives a warp no gradient at one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from monkeynet_edu import geometry, losses
from monkeynet_edu.baselines.base import Practice, Rival, RivalConfig, RivalStep
from monkeynet_edu.layers import DownBlock, Hourglass, as_convolutions_read, level_width
from monkeynet_edu.model import Device


@dataclass(frozen=True)
class X2FaceConfig(RivalConfig):
    """Sizes of the two networks.

    Attributes:
        width: channels at full resolution, doubled at each level.
        max_width: upper bound of the channels.
        levels: how often the networks halve.
        code: length of the vector that says what the driving frame looks like.
        scales: sizes at which frames are compared.
    """

    width: int = 12
    max_width: int = 48
    levels: int = 4
    code: int = 128
    scales: int = 4


def read_embedded_face(source: Tensor, embedding_field: Tensor, driving_field: Tensor) -> Tensor:
    """Reads the source through two fields: first into the embedded face, then from it.

    Args:
        source: (B, C, H, W).
        embedding_field: (B, H, W, 2), offsets (x, y) in units of [-1, 1]: where each pixel of the embedded face reads the
            source.
        driving_field: (B, H, W, 2), offsets: where each pixel of the frame reads the embedded face.

    Returns:
        (B, C, H, W). Two fields of zeros give the source back.
    """
    height, width = source.shape[-2:]
    still = geometry.lattice(height, width, device=source.device, dtype=source.dtype)
    face = geometry.warp(source, still + embedding_field)
    return geometry.warp(face, still + driving_field)


class DrivingNetwork(nn.Module):
    """Driving frame → code → field, without skip connections: (B, 3, H, W) → (B, H, W, 2) at half the resolution."""

    def __init__(self, config: X2FaceConfig) -> None:
        super().__init__()
        widths = [3] + [level_width(config.width, config.max_width, i + 1) for i in range(config.levels)]
        self.side = config.frame_size >> config.levels
        self.encoder = nn.Sequential(*(DownBlock(a, b) for a, b in itertools.pairwise(widths)))
        self.squeeze = nn.Linear(widths[-1] * self.side**2, config.code)
        self.spread = nn.Linear(config.code, widths[-1] * self.side**2)
        steps = zip(widths[:1:-1], widths[-2:0:-1], strict=True)
        self.decoder = nn.Sequential(*(_up(a, b) for a, b in steps))
        self.field = nn.Conv2d(widths[1], 2, 3, padding=1)
        nn.init.zeros_(self.field.weight)
        nn.init.zeros_(self.field.bias)  # type: ignore[arg-type]

    def forward(self, driving: Tensor) -> Tensor:
        """(B, H/2, W/2, 2): offsets to the lattice."""
        code = self.squeeze(self.encoder(as_convolutions_read(driving)).flatten(1))  # (B, code)
        coarse = self.spread(code).unflatten(1, (-1, self.side, self.side))
        field: Tensor = self.field(self.decoder(coarse))
        return field.float().permute(0, 2, 3, 1)


def _up(in_channels: int, out_channels: int) -> nn.Module:
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    return nn.Sequential(nn.Upsample(scale_factor=2.0), conv, nn.BatchNorm2d(out_channels), nn.ReLU())


class X2Face(Rival):
    """The two networks; see the module."""

    title = "X2Face"
    draws = "pairs"

    def __init__(self, config: X2FaceConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = Hourglass(3, 2, config.width, config.max_width, config.levels)
        self.driving = DrivingNetwork(config)
        last = self.embedding.decoder.conv
        assert last is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, source: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, 3, H, W) in the poses of the driving frames, and the embedded faces (B, 3, H, W)."""
        height, width = source.shape[-2:]
        embedding_field = self.embedding(source).float().permute(0, 2, 3, 1)
        driving_field = geometry.bilinear_deformation(self.driving(driving), height, width)
        still = torch.zeros_like(driving_field)
        face = read_embedded_face(source, embedding_field, still)
        return read_embedded_face(source, embedding_field, driving_field), face

    def optimizers(self, rate: float) -> dict[str, torch.optim.Optimizer]:
        """One Adam for both networks."""
        return {"networks": torch.optim.Adam(self.parameters(), lr=rate, betas=(0.5, 0.999))}

    def gradients(self, batch: tuple[Tensor, ...], state: Practice, device: Device) -> RivalStep:
        """L1 between the driving frame and the source read through both fields."""
        source, driving = batch
        with device.autocast():
            made, face = self(source, driving)
        loss = losses.pyramid_l1(made, driving, self.config.scales)
        self.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        pictures = {"source": source, "driving": driving, "embedded face": face.detach(), "generated": made.detach()}
        return RivalStep({"frame": loss.detach()}, {name: p[:4] for name, p in pictures.items()}, made.detach())

    @torch.no_grad()
    def animate(self, source: Tensor, driving: Tensor, device: Device) -> Tensor:
        """Draws a source image (3, H, W) in the poses of driving frames (T, 3, H, W): (T, 3, H, W)."""
        self.eval()
        frames = driving.to(device.device)
        with device.autocast():
            made: Tensor = self(source.to(device.device).expand(len(frames), -1, -1, -1), frames)[0]
        return made.float().cpu()
