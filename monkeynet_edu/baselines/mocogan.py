"""MoCoGAN in miniature: a film is a content that stays and a motion that is drawn step by step, learned in a game.

The idea (Tulyakov, Liu, Yang, Kautz, "MoCoGAN: Decomposing Motion and Content for Video Generation", CVPR 2018): a
content code is drawn once a film, a motion code for every frame by a recurrent network that reads noise; a generator draws
each frame of both codes, and two discriminators judge: one single frames, one whole clips.

    first frame (B, 3, H, W) ── encoder ──┬─► content: code (B, C) and levels, the same for every frame
                                          └─► first state of the GRU (B, M) ◄── noise (B, T, N)
    content, state of frame t ── generator ─► colours and mask ─► laid over the first frame: (B, T, 3, H, W)
    frames (B, 3, H, W) ── 2-D discriminator;  clips (B, T, 3, H, W) ── 3-D discriminator

Conditioned on a first frame by the encoder and an L1 on that frame (the film's first against it), as the comparison
with Monkey-Net needs; the original makes films of nothing. What else differs: sizes (every third of 24 frames); the
content has skip connections, and colours of half the resolution are laid over the first frame by a mask, so that no
identity need be learned by heart (the original draws all pixels from codes); the clip discriminator also sees what differs
from the first frame, or a still film would pass; the image discriminator sees every frame and not one of each film; least
squares instead of cross-entropy, as in Monkey-Net's own losses; feature matching and larger steps of the discriminators.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu import losses
from monkeynet_edu.baselines.base import Practice, Rival, RivalConfig, RivalStep
from monkeynet_edu.layers import Decoder, Encoder
from monkeynet_edu.model import Device


@dataclass(frozen=True)
class MoCoGANConfig(RivalConfig):
    """Sizes and weights.

    Attributes:
        frames: of a training window; every ``every``-th of them is looked at.
        every: frames from one that is looked at to the next.
        content: C, numbers in the content code.
        motion: M, units of the GRU.
        noise: N, numbers drawn for each frame.
        width: channels of encoder and generator at half the resolution.
        judges: channels of the discriminators' first layers.
        first: weight of the L1 on the first frame.
        matching: weight of the features that the clip discriminator sees.
    """

    frames: int = 24
    every: int = 3
    content: int = 32
    motion: int = 32
    noise: int = 8
    width: int = 12
    judges: int = 14
    first: float = 10.0
    matching: float = 1.0


def _eager(layer: nn.Module) -> None:
    """First weights that hand on all of the signal (He and others, 2015): with PyTorch's, a judge sees next to nothing."""
    if isinstance(layer, nn.Conv2d | nn.Conv3d):
        nn.init.kaiming_normal_(layer.weight, 0.2)


class ImageDiscriminator(nn.Module):
    """Scores of frames: (B, 3, H, W) → (B, 1, H/8, W/8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths, layers = (3, width, 2 * width, 4 * width), []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 1)).apply(_eager)

    def forward(self, frames: Tensor) -> Tensor:
        """Least squares: 1 for real, 0 for generated."""
        score: Tensor = self.layers(4 * frames - 2)
        return score


class VideoDiscriminator(nn.Module):
    """Scores of clips, and what it sees in them: (B, 3, T, H, W) → (B, 1, T', H/8, W/8), (B, 4w, T', H/8, W/8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths, layers = (6, width, 2 * width, 4 * width), []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Conv3d(a, b, (3, 4, 4), (1, 2, 2), (1, 1, 1)), nn.LeakyReLU(0.2)]
        self.layers, self.last = nn.Sequential(*layers).apply(_eager), nn.Conv3d(widths[-1], 1, 1)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and features."""
        moved = 8 * (clips - clips[:, :, :1])
        features = self.layers(torch.cat([4 * clips - 2, moved], dim=1))
        return self.last(features), features


class MoCoGAN(Rival):
    """Encoder, GRU, generator and two discriminators; see the module."""

    title = "MoCoGAN"
    draws = "windows"

    def __init__(self, config: MoCoGANConfig) -> None:
        super().__init__()
        self.config = config
        w, self.side = config.width, config.frame_size // 16
        self.encoder = Encoder(3, w, 8 * w, 3)
        seen = 8 * w * self.side**2
        self.content = nn.Linear(seen, config.content)
        self.state = nn.Linear(seen, config.motion)
        self.recurrent = nn.GRUCell(config.noise, config.motion)
        self.spread = nn.Linear(config.content + config.motion, seen)
        self.generator = Decoder(3, 4, w, 8 * w, 3)
        self.image_judge = ImageDiscriminator(config.judges)
        self.video_judge = VideoDiscriminator(config.judges)

    def forward(self, first: Tensor, noise: Tensor) -> Tensor:
        """Films (B, T, 3, H, W) that begin with pictures (B, 3, H, W), of noise (B, T, N)."""
        count, length = noise.shape[:2]
        levels = self.encoder(F.avg_pool2d(first, 2))  # from (B, 3, H/2, W/2) to (B, 8w, H/16, W/16)
        seen = levels[-1].flatten(1)
        content, state, motion = self.content(seen), self.state(seen).tanh(), []
        for t in range(length):
            motion.append(state)
            state = self.recurrent(noise[:, t].to(state), state)
        codes = torch.cat([content[:, None].expand(-1, length, -1), torch.stack(motion, dim=1).to(content)], dim=-1)
        *kept, deep = (level.repeat_interleave(length, 0) for level in levels)
        moved = deep + self.spread(codes.flatten(0, 1)).reshape(deep.shape)
        behind = first.repeat_interleave(length, 0)
        small = self.generator([*kept, moved]).float()  # (B·T, 4, H/2, W/2)
        out = F.interpolate(small, scale_factor=2.0, mode="bilinear")
        mask = (out[:, 3:] - 2).sigmoid()
        film: Tensor = mask * out[:, :3].sigmoid() + (1 - mask) * behind
        return film.reshape(count, length, *first.shape[1:])

    def _sides(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Weights of the drawing side, and of the discriminators."""
        judges = [*self.image_judge.parameters(), *self.video_judge.parameters()]
        return [p for p in self.parameters() if all(p is not judge for judge in judges)], judges

    def optimizers(self, rate: float) -> dict[str, torch.optim.Optimizer]:
        """Adams of the drawing side and of the discriminators, which take steps half as large again."""
        groups = [{"params": weights, "scale": scale} for weights, scale in zip(self._sides(), (1.0, 1.5), strict=True)]
        adams = [torch.optim.Adam([group], lr=rate, betas=(0.5, 0.999)) for group in groups]
        return dict(zip(("generator", "discriminator"), adams, strict=True))

    def judge(self, real: Tensor, made: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Losses of clips (B, T, 3, H, W), which the 2-D discriminator sees frame by frame.

        Returns:
            The discriminators', the generator's, and the distance of the mean features of real and generated clips.
        """
        real_clips, real_features = self.video_judge(real.transpose(1, 2))
        made_clips, made_features = self.video_judge(made.transpose(1, 2))
        frames = [self.image_judge(film.flatten(0, 1)) for film in (real, made)]
        scores = [(real_clips, made_clips), (frames[0], frames[1])]
        own = torch.stack([losses.discriminator_adversarial(r, m) for r, m in scores]).sum()
        others = torch.stack([losses.generator_adversarial(m) for _, m in scores]).sum()
        return own, others, losses.l1(made_features.mean(dim=0), real_features.mean(dim=0).detach())

    def gradients(self, batch: tuple[Tensor, ...], state: Practice, device: Device) -> RivalStep:
        """Both sides of the game on one batch; the gradients of one side leave the other's weights alone."""
        real = batch[0][:, :: self.config.every]  # (B, T, 3, H, W)
        count, length = real.shape[:2]
        noise = torch.randn(count, length, self.config.noise, generator=state.noise).to(real)
        drawing, judging = self._sides()
        self.zero_grad()
        with device.autocast():
            made = self(real[:, 0], noise)
            own, others, matching = self.judge(real, made)
        terms = {
            "frame": self.config.first * losses.l1(made[:, 0], real[:, 0]),
            "adversarial": others,
            "matching": self.config.matching * matching,
        }
        torch.autograd.backward(own, inputs=judging, retain_graph=True)
        torch.autograd.backward(torch.stack(list(terms.values())).sum(), inputs=drawing)
        said = {name: term.detach() for name, term in (terms | {"discriminator": own}).items()}
        shown = {f"{n} {t}": film[:4, t].detach() for t in (1, length - 1) for n, film in (("real", real), ("made", made))}
        return RivalStep(said, shown, made.detach())

    @torch.no_grad()
    def predict(self, first: Tensor, length: int, device: Device, futures: int = 1, seed: int = 0) -> Tensor:
        """Films (futures, length, 3, H, W) that begin with a picture (3, H, W); between drawn frames they are blended."""
        self.eval()
        drawn = -(-(length - 1) // self.config.every) + 1
        seeds = range(seed, seed + futures)
        noise = [torch.randn(drawn, self.config.noise, generator=torch.Generator().manual_seed(s)) for s in seeds]
        with device.autocast():
            film = self(first.to(device.device).expand(futures, -1, -1, -1), torch.stack(noise).to(device.device))
        film = torch.cat([first.to(film).expand(futures, 1, -1, -1, -1), film[:, 1:]], dim=1)
        places = torch.arange(length, device=film.device) / self.config.every
        before, share = places.long(), (places % 1).reshape(1, -1, 1, 1, 1)
        after = (before + 1).clamp(max=film.shape[1] - 1)
        return torch.lerp(film[:, before], film[:, after], share.expand(1, -1, 1, 1, 1)).float().cpu()
