"""CMM-Net in miniature: a smile is first imagined as moving landmarks, then drawn.

The idea (Wang, Alameda-Pineda, Xu, Fua, Ricci, Sebe, "Every Smile is Unique: Landmark-Guided Diverse Smile Generation",
CVPR 2018), three networks of which no public code exists, so each choice below is ours:

    first frame (B, 3, H, W) ── detector ── landmarks p₁ (B, J, 2)
    1. a variational autoencoder of landmarks: (p_t, p₁) ─► code (B, C) ─► p_t - p₁. Given p₁, no code need hold a face.
    2. a recurrent network over codes: (p₁, mode m) ─► codes of frames 2…T, judged by the landmarks that they decode to.
       Mode 0 is taught by every clip; of the others the nearest to the clip is pulled to it, and all are pushed apart.
    3. a translator: first frame, heatmaps of p_t minus those of p₁ ─► colours, and a mask that lays them over it.

Each has an Adam and a loss of its own, with no gradient between them, so all three learn at once. Landmarks come from the
frozen estimator that also measures AKD; a joint that it does not see stays where it was seen last and counts in no loss.
Seeds 0 to M - 1 are the modes; with others codes drift at random. Cut: sizes, labels (posed or spontaneous smiles),
adversarial losses. Different: landmarks are numbers, not pictures; mode 0 stands for the paper's single-mode network.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from monkeynet_edu import geometry, losses
from monkeynet_edu.baselines.base import Practice, Rival, RivalConfig, RivalStep
from monkeynet_edu.baselines.sv2p import gaussian_kl
from monkeynet_edu.evaluators import PoseEstimator, shipped_pose
from monkeynet_edu.layers import Hourglass
from monkeynet_edu.model import Device

_REMEMBERED: dict[tuple[str, bytes], tuple[Tensor, Tensor]] = {}  # by clip: detection would be 2/3 of a step
_REACH = 0.1  # displacement (of 2 across the frame) that the decoder's output 1 stands for
_PUSH, _APART = 0.5, 0.3  # weight of the diversity; distance of modes (in _REACH) from which on they are not pushed
_KL, _OTHERS, _DRAWN = 1e-3, 0.05, 2  # weight of the divergence; pull on modes that are not nearest; frames drawn a step


@dataclass(frozen=True)
class CMMNetConfig(RivalConfig):
    """Sizes of the three networks.

    Attributes:
        frames: T of a training window.
        joints: J of them.
        code: C, numbers in a code.
        hidden: units of the recurrent network and of the autoencoder.
        modes: M, ways to go on from one picture.
        width: channels of the translator at full resolution.
    """

    frames: int = 32
    joints: int = 13
    code: int = 12
    hidden: int = 64
    modes: int = 5
    width: int = 16


@lru_cache(maxsize=1)
def _estimator() -> PoseEstimator:
    return PoseEstimator.load(shipped_pose("mini-nemo")).eval()


def landmark_maps(landmarks: Tensor, side: int, width: float = 0.07) -> Tensor:
    """Discs of radius ``width`` (in [-1, 1] units): (B, J, 2) → (B, J, side, side)."""
    away = geometry.lattice(side, side, device=landmarks.device) - landmarks[:, :, None, None]
    return (away.square().sum(dim=-1) / (-2 * width**2)).exp()


def _mlp(ins: int, hidden: int, outs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(ins, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outs))


class CMMNet(Rival):
    """The three networks; see the module."""

    title = "CMM-Net"
    draws = "windows"

    def __init__(self, config: CMMNetConfig) -> None:
        super().__init__()
        self.config = config
        face = 2 * config.joints
        self.encoder = _mlp(2 * face, config.hidden, 2 * config.code)
        self.decoder = _mlp(config.code + face, config.hidden, face)
        self.start = nn.Linear(face + config.modes, config.hidden)
        self.recurrent = nn.GRUCell(config.code + config.modes, config.hidden)
        self.next_code = nn.Linear(config.hidden, config.code)
        self.translator = Hourglass(3 + config.joints, 4, config.width, 48, 4)

    @torch.no_grad()
    def detect(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks (T, J, 2) in [-1, 1] of a clip (T, 3, H, W), and whether each is seen (T, J); see the module."""
        key = (str(frames.device), hashlib.blake2b(frames.cpu().numpy().tobytes()).digest())
        if key not in _REMEMBERED:
            points = _estimator().to(frames.device)(frames)
            place = points.position / points.position.new_tensor([frames.shape[-1] - 1, frames.shape[-2] - 1]) * 2 - 1
            seen = points.found()
            for t in range(1, len(place)):
                place[t] = torch.where(seen[t, :, None], place[t], place[t - 1])
            if len(_REMEMBERED) >= 2048:
                _REMEMBERED.clear()
            _REMEMBERED[key] = place, seen
        return _REMEMBERED[key]

    def decode(self, codes: Tensor, first: Tensor, taught: bool = True) -> Tensor:
        """Codes (B, T, C) → displacements (B, T, J, 2) in tenths from landmarks (B, J, 2); ``taught``: weights learn."""
        face = first.flatten(1)[:, None].expand(-1, codes.shape[1], -1)
        weights = {name: p if taught else p.detach() for name, p in self.decoder.named_parameters()}
        moved: Tensor = functional_call(self.decoder, weights, (torch.cat([codes, face], dim=-1),))
        return torch.stack(moved.chunk(self.config.joints, dim=-1), dim=-2)

    def roll_out(self, first: Tensor, mode: Tensor, length: int) -> Tensor:
        """Codes (B, length, C) of the frames after the first, given its landmarks (B, J, 2) and modes (B,)."""
        chosen = F.one_hot(mode, self.config.modes).to(first)
        hidden = self.start(torch.cat([first.flatten(1), chosen], dim=1)).tanh()
        codes = [first.new_zeros(len(first), self.config.code)]
        for _ in range(length):
            hidden = self.recurrent(torch.cat([codes[-1], chosen], dim=1), hidden)
            codes.append(self.next_code(hidden))
        return torch.stack(codes, dim=1)[:, 1:]

    def translate(self, frame: Tensor, first: Tensor, wanted: Tensor) -> Tensor:
        """Draws the first frame (B, 3, H, W), of landmarks ``first`` (B, J, 2), with landmarks ``wanted`` (B, J, 2)."""
        maps = landmark_maps(wanted, frame.shape[-1]) - landmark_maps(first, frame.shape[-1])
        out: Tensor = self.translator(torch.cat([frame, maps], dim=1)).float()
        return torch.lerp(frame, out[:, :3].sigmoid(), (out[:, 3:] - 2).sigmoid())

    def optimizers(self, rate: float) -> dict[str, torch.optim.Optimizer]:
        """An Adam for each of the three."""
        parts = {"autoencoder": (self.encoder, self.decoder), "recurrent": (self.start, self.recurrent, self.next_code)}
        named = {"translator": nn.ModuleList([self.translator])} | {n: nn.ModuleList(ms) for n, ms in parts.items()}
        return {name: torch.optim.Adam(part.parameters(), lr=rate) for name, part in named.items()}

    def gradients(self, batch: tuple[Tensor, ...], state: Practice, device: Device) -> RivalStep:
        """The three losses of a batch of windows; see the module."""
        video = batch[0]
        places, seen = map(torch.stack, zip(*map(self.detect, video), strict=True))  # (B, T, J[, 2])
        terms = self.landmark_terms(places, seen, state.noise)
        rows = torch.arange(len(video), device=video.device).repeat_interleave(_DRAWN)
        picked = torch.randint(1, video.shape[1], (len(rows),), generator=state.noise).to(video.device)
        source, target = video[rows, 0], video[rows, picked]
        with device.autocast():
            made = self.translate(source, places[rows, 0], places[rows, picked])
        terms["frame"] = 10 * losses.pyramid_l1(made, target, 2)
        self.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        shown = {"first": source[:4], "wanted": target[:4], "generated": made[:4].detach()}
        return RivalStep({name: term.detach() for name, term in terms.items()}, shown, made.detach())

    def landmark_terms(self, places: Tensor, seen: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        """Losses of autoencoder and recurrent network, of landmarks (B, T, J, 2) of which ``seen`` (B, T, J) count."""
        count, modes, first, moved = len(places), self.config.modes, places[:, 0], (places[:, 1:] - places[:, :1]) / _REACH
        weight = (seen[:, 1:] & seen[:, :1])[..., None].expand_as(moved).float()
        weight = weight / weight.mean().clamp(min=1e-6)
        read = torch.cat([moved, places[:, :1].expand_as(moved)], dim=2).flatten(2)
        mean, log_variance = self.encoder(read).clamp(-8, 8).chunk(2, dim=-1)
        drawn = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=noise).to(mean)
        terms = {"landmarks": (weight * (self.decode(drawn, first) - moved).abs()).mean()}
        terms["kl"] = _KL * gaussian_kl(mean, log_variance).mean()
        which, faces = torch.arange(modes, device=first.device).repeat(count), first.repeat_interleave(modes, 0)
        futures = self.decode(self.roll_out(faces, which, moved.shape[1]), faces, taught=False)
        rolled = torch.stack(futures.chunk(count))  # (B, M, T - 1, J, 2)
        errors = (weight[:, None] * (rolled - moved[:, None]).abs()).mean(dim=(2, 3, 4))  # (B, M)
        nearest = errors[:, -(modes - 1 or 1) :]  # all but mode 0, if there are others
        terms["futures"] = (errors[:, 0] + (1 - _OTHERS) * nearest.amin(dim=1) + _OTHERS * nearest.mean(dim=1)).mean()
        away = (rolled[:, :, None] - rolled[:, None]).abs().mean(dim=(3, 4, 5))  # (B, M, M), 0 on the diagonal
        near = F.relu(_APART - away).sum(dim=(1, 2)).mean() - modes * _APART
        return terms | {"diversity": _PUSH * near / max(1, modes * (modes - 1))}

    @torch.no_grad()
    def predict_landmarks(self, first: Tensor, length: int, futures: int = 1, seed: int = 0) -> Tensor:
        """Landmarks (futures, length, J, 2) that begin with those of a face (J, 2); future i is of ``seed + i``."""
        seeds, modes = range(seed, seed + futures), self.config.modes
        draws = [torch.randn(self.config.code, generator=torch.Generator().manual_seed(s)) for s in seeds]
        drift = torch.stack([draw * (not 0 <= s < modes) for s, draw in zip(seeds, draws, strict=True)])
        start = first.expand(futures, -1, -1)
        codes = self.roll_out(start, torch.tensor([s % modes for s in seeds], device=first.device), length - 1)
        drifting = codes + torch.linspace(0, 0.3, length)[1:, None].to(first) * drift.to(first)[:, None]
        return start[:, None] + _REACH * F.pad(self.decode(drifting, start), (0, 0, 0, 0, 1, 0))

    @torch.no_grad()
    def predict(self, first: Tensor, length: int, device: Device, futures: int = 1, seed: int = 0) -> Tensor:
        """Films (futures, length, 3, H, W) that begin with a picture (3, H, W)."""
        self.eval()
        frame = first.to(device.device)[None]
        place = self.detect(frame)[0]
        wanted = self.predict_landmarks(place[0], length, futures, seed)  # (futures, length, J, 2)
        with device.autocast():
            films = [[frame, *(self.translate(frame, place, landmarks[None]) for landmarks in film[1:])] for film in wanted]
        return torch.stack([torch.cat(film) for film in films]).float().cpu()
