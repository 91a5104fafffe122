"""CMM-Net in miniature: a smile is first imagined as moving landmarks, then drawn.

The idea (Wang, Alameda-Pineda, Xu, Fua, Ricci, Sebe, "Every Smile is Unique: Landmark-Guided Diverse Smile Generation",
CVPR 2018), three networks of which no public code exists, so each choice below is ours:

    first frame (B, 3, H, W) ── detector ── landmarks p₁ (B, J, 2)
    1. a variational autoencoder of landmarks: (p_t, p₁) ─► code (B, C) ─► p_t. Given p₁, a code need not hold a face.
    2. a recurrent network over codes: (p₁, mode m) ─► codes of frames 2…T. Mode 0 is taught by every clip, the others by
       clips that they are nearest to, and a diversity term pushes all of them apart (the paper's push and pull).
    3. a translator: first frame, heatmaps of p_t minus those of p₁ ─► colours, and a mask.

Each has an Adam and a loss of its own, and no gradient goes from one to another; all three learn at once. Landmarks come
from the supervised estimator that also measures AKD, frozen, as a face detector gave them in the paper; where it does not
see a joint, the joint stays where it was. What is random in a film is its mode, and an offset of its codes. What was cut:
sizes; the classification of smiles as posed or spontaneous; the adversarial loss of the translator.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu import geometry, losses
from monkeynet_edu.baselines.base import Practice, Rival, RivalConfig, RivalStep
from monkeynet_edu.evaluators import Points, PoseEstimator, shipped_pose
from monkeynet_edu.layers import Hourglass
from monkeynet_edu.model import Device


@dataclass(frozen=True)
class CMMNetConfig(RivalConfig):
    """Sizes, and the weights of what pulls and pushes.

    Attributes:
        frames: T of a training window.
        landmarks: miniature whose pose estimator finds the landmarks.
        joints: J of them.
        code: C, numbers in a code.
        hidden: units of the recurrent network and of the autoencoder.
        modes: ways to go on from one picture.
        diversity: weight of the push that keeps modes apart.
        apart: mean distance of two modes' codes from which on they are not pushed.
        kl: weight of the autoencoder's divergence.
        drawn: frames of each window that the translator draws in a step.
        width: channels of the translator at full resolution.
    """

    frames: int = 32
    landmarks: str = "mini-nemo"
    joints: int = 13
    code: int = 12
    hidden: int = 64
    modes: int = 3
    diversity: float = 0.5
    apart: float = 0.3
    kl: float = 1e-3
    drawn: int = 2
    width: int = 16


@lru_cache(maxsize=2)
def _estimator(data: str) -> PoseEstimator:
    return PoseEstimator.load(shipped_pose(data)).eval()


def landmark_maps(landmarks: Tensor, side: int, width: float = 0.07) -> Tensor:
    """Discs of radius ``width`` (in [-1, 1] units): (B, J, 2) → (B, J, side, side)."""
    away = geometry.lattice(side, side, device=landmarks.device) - landmarks[:, :, None, None]
    return (away.square().sum(dim=-1) / (-2 * width**2)).exp()


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    first, second = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(hidden, outputs))


class CMMNet(Rival):
    """The three networks; see the module."""

    title = "CMM-Net"
    draws = "windows"

    def __init__(self, config: CMMNetConfig) -> None:
        super().__init__()
        self.config = config
        both = 4 * config.joints
        self.encoder = _mlp(both, config.hidden, 2 * config.code)
        self.decoder = _mlp(config.code + both // 2, config.hidden, both // 2)
        self.start = nn.Linear(both // 2 + config.modes, config.hidden)
        self.recurrent = nn.GRUCell(config.code + config.modes, config.hidden)
        self.next_code = nn.Linear(config.hidden, config.code)
        self.translator = Hourglass(3 + config.joints, 4, config.width, 48, 4)

    def detect(self, frames: Tensor) -> Tensor:
        """Landmarks (T, J, 2) in [-1, 1] of a clip's frames (T, 3, H, W); an unseen one stays where it was seen last."""
        points: Points = _estimator(self.config.landmarks).to(frames.device)(frames)
        seen, extent = points.found(), torch.tensor([frames.shape[-1] - 1, frames.shape[-2] - 1], device=frames.device)
        place = points.position / extent * 2 - 1
        for t in range(1, len(place)):
            place[t] = torch.where(seen[t, :, None], place[t], place[t - 1])
        return place

    def decode(self, codes: Tensor, first: Tensor) -> Tensor:
        """Landmarks (B, T, J, 2) of codes (B, T, C) and the first frame's landmarks (B, J, 2)."""
        face = first.flatten(1)[:, None].expand(-1, codes.shape[1], -1)
        moved: Tensor = self.decoder(torch.cat([codes, face], dim=-1))
        return first[:, None] + 0.1 * moved.reshape(*moved.shape[:2], -1, 2)

    def roll_out(self, first: Tensor, mode: Tensor, length: int) -> Tensor:
        """Codes (B, length, C) of the frames after the first, given its landmarks (B, J, 2) and modes (B,)."""
        chosen = F.one_hot(mode, self.config.modes).to(first)
        hidden = self.start(torch.cat([first.flatten(1), chosen], dim=1)).tanh()
        code, codes = first.new_zeros(len(first), self.config.code), []
        for _ in range(length):
            hidden = self.recurrent(torch.cat([code, chosen], dim=1), hidden)
            code = self.next_code(hidden)
            codes.append(code)
        return torch.stack(codes, dim=1)

    def translate(self, frame: Tensor, first: Tensor, wanted: Tensor) -> Tensor:
        """Draws the first frame (B, 3, H, W), of landmarks ``first`` (B, J, 2), with landmarks ``wanted`` (B, J, 2)."""
        side = frame.shape[-1]
        maps = landmark_maps(wanted, side) - landmark_maps(first, side)
        out: Tensor = self.translator(torch.cat([frame, maps], dim=1)).float()
        mask = (out[:, 3:] - 2).sigmoid()
        return mask * out[:, :3].sigmoid() + (1 - mask) * frame

    def optimizers(self, rate: float) -> dict[str, torch.optim.Optimizer]:
        """An Adam for each of the three."""
        parts: dict[str, list[nn.Module]] = {
            "translator": [self.translator],
            "autoencoder": [self.encoder, self.decoder],
            "recurrent": [self.start, self.recurrent, self.next_code],
        }
        return {n: torch.optim.Adam([p for m in ms for p in m.parameters()], lr=rate) for n, ms in parts.items()}

    def gradients(self, batch: tuple[Tensor, ...], state: Practice, device: Device) -> RivalStep:
        """The three losses of a batch of windows; see the module."""
        (video,) = batch
        count, length = video.shape[:2]
        places = torch.stack([self.detect(clip) for clip in video])  # (B, T, J, 2)
        first, later = places[:, 0], places[:, 1:]
        before = first[:, None].expand_as(later)
        posterior: Tensor = self.encoder(torch.cat([later, before], dim=2).flatten(2)).clamp(-8, 8)
        mean, log_variance = posterior.chunk(2, dim=-1)
        noise = torch.randn(mean.shape, generator=state.noise).to(mean)
        rebuilt = self.decode(mean + (log_variance / 2).exp() * noise, first)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=-1).mean()
        terms = {"landmarks": 10 * losses.l1(rebuilt, later), "kl": self.config.kl * kl}
        terms |= self._futures(mean.detach(), first, later)
        picked = torch.randint(1, length, (count, self.config.drawn), generator=state.noise).to(video.device)
        rows = torch.arange(count, device=video.device).repeat_interleave(self.config.drawn)
        source, target = video[rows, 0], video[rows, picked.flatten()]
        with device.autocast():
            made = self.translate(source, first[rows], places[rows, picked.flatten()])
        terms["frame"] = 10 * losses.pyramid_l1(made, target, 2)
        self.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        shown = {"first": source[:4], "wanted": target[:4], "generated": made[:4].detach()}
        return RivalStep({name: term.detach() for name, term in terms.items()}, shown, made.detach())

    def _futures(self, codes: Tensor, first: Tensor, later: Tensor) -> dict[str, Tensor]:
        """Losses of the recurrent network: nearness of mode 0 and of the nearest mode, and distance between modes."""
        count, modes = len(first), self.config.modes
        which = torch.arange(modes, device=first.device).repeat(count)
        rolled = self.roll_out(first.repeat_interleave(modes, 0), which, later.shape[1])
        rolled = rolled.reshape(count, modes, *rolled.shape[1:])  # (B, M, T - 1, C)
        errors = (rolled - codes[:, None]).abs().mean(dim=(2, 3))  # (B, M)
        apart = (rolled[:, :, None] - rolled[:, None]).abs().mean(dim=(3, 4))  # (B, M, M)
        between = apart.sum(dim=(1, 2)).mean() / max(1, modes * (modes - 1))
        push = self.config.diversity * F.relu(self.config.apart - between)
        return {"codes": errors[:, 0].mean() + errors.amin(dim=1).mean(), "diversity": push}

    @torch.no_grad()
    def predict_landmarks(self, first: Tensor, length: int, futures: int = 1, seed: int = 0) -> Tensor:
        """Landmarks (futures, length, J, 2) that begin with those of a face (J, 2); future i has mode (seed + i) mod M."""
        seeds = range(seed, seed + futures)
        drawn = [torch.randn(self.config.code, generator=torch.Generator().manual_seed(s)) for s in seeds]
        start = first.expand(futures, -1, -1)
        mode = torch.tensor([s % self.config.modes for s in seeds], device=first.device)
        codes = self.roll_out(start, mode, length - 1)
        ramp = torch.linspace(0, 0.2, length, device=first.device)[1:, None]
        codes = codes + ramp * torch.stack(drawn).to(first)[:, None]
        return torch.cat([start[:, None], self.decode(codes, start)], dim=1)

    @torch.no_grad()
    def predict(self, first: Tensor, length: int, device: Device, futures: int = 1, seed: int = 0) -> Tensor:
        """Films (futures, length, 3, H, W) that begin with a picture (3, H, W)."""
        self.eval()
        frame, films = first.to(device.device)[None], []
        place = self.detect(frame)
        for wanted in self.predict_landmarks(place[0], length, futures, seed):
            with device.autocast():
                drawn = [self.translate(frame, place, landmarks[None]) for landmarks in wanted[1:]]
            films.append(torch.cat([frame, *drawn]))
        return torch.stack(films).float().cpu()
