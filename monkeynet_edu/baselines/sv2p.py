"""SV2P in miniature: a film from one frame, its future drawn from a latent that a whole clip has taught.

The idea (Babaeizadeh, Finn, Erhan, Campbell, Levine, "Stochastic Variational Video Prediction", ICLR 2018): what cannot
be known from the first frame is put into a latent z. While training, a posterior reads z from the whole clip; at test z
comes from the prior N(0, I), one draw a film. A recurrent generator makes each frame of the one before:

    z (B, Z), from the clip (B, T, 3, H, W) ──┐
    frame (B, 3, H, W) ── encoder ── (B, 2w, H/4, W/4) ── ConvLSTM ──┬─► 10 kernels 5×5 ─► 10 moved copies (CDNA)
                                                                     ├─► new pixels (B, 3, H, W)
                                                                     └─► masks, softmax over [first, frame, new, copies]

Loss: mean squared error + β·KL(posterior ‖ prior), in three phases of the training: without a latent; with the posterior's
and β = 0; β raised to its value, so that the prior comes to fit. Reality is fed at first, the model's own frames by half of
the training (scheduled sampling).

What was cut, and what differs: sizes (64×64, one ConvLSTM where there are seven, 0.3 M parameters); one z for the whole
film (the paper's time-invariant form); no actions and no second known frame, since the comparison gives one; kernels by a
softmax that starts at "stay", where the original cuts at 0. Where z does not decide, frames are blurred: so is the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu.baselines.base import Practice, Rival, RivalConfig, RivalStep
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import Device

KERNEL = 5
State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class SV2PConfig(RivalConfig):
    """Sizes, and how the latent is taught.

    Attributes:
        frames: T of a training window.
        width: channels at half the resolution; twice as many below.
        kernels: that are applied to the frame before.
        latent: Z, numbers in z.
        beta: weight of the KL divergence at the end.
        phases: shares of the training at which the latent is switched on, and from which β grows to the end.
    """

    frames: int = 10
    width: int = 24
    kernels: int = 10
    latent: int = 8
    beta: float = 1e-4
    phases: tuple[float, float] = (0.25, 0.5)

    def __post_init__(self) -> None:
        """Checks the values."""
        super().__post_init__()
        if not 0 <= self.phases[0] <= self.phases[1] < 1 or self.beta < 0:
            raise UserError(f"sv2p phases, beta: expected 0 ≤ first ≤ second < 1 and β ≥ 0, got {self.phases}, {self.beta}")


def cdna(frame: Tensor, kernels: Tensor) -> Tensor:
    """Moves a frame by each of K kernels: every pixel becomes a weighted sum of those around it.

    Args:
        frame: (B, C, H, W).
        kernels: (B, K, 5, 5), each with a sum of 1; ``kernels[:, :, i, j]`` weighs the pixel at row offset i - 2 and column
            offset j - 2. Beyond the border, the border goes on.

    Returns:
        (B, K, C, H, W).
    """
    around = F.pad(frame, (2, 2, 2, 2), mode="replicate")  # (B, C, H + 4, W + 4)
    beside = around.transpose(0, 1)  # (C, B, …): each frame a channel, so that each meets its own kernels
    moved = F.conv2d(beside, kernels.flatten(0, 1)[:, None], groups=len(frame))  # (C, B·K, H, W)
    return moved.reshape(len(moved), len(frame), -1, *moved.shape[-2:]).permute(1, 2, 0, 3, 4)


def as_kernels(raw: Tensor) -> Tensor:
    """Raw numbers (B, K, 25) → kernels (B, K, 5, 5) with sums of 1; zeros become kernels that mostly stay."""
    stay = torch.zeros(KERNEL**2, device=raw.device)
    stay[KERNEL**2 // 2] = 3.0
    return (raw + stay).softmax(dim=-1).reshape(*raw.shape[:-1], KERNEL, KERNEL)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) ‖ N(0, 1)) in nats, summed over the last dimension: (…, Z) → (…)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=-1)


class ConvLSTM(nn.Module):
    """A long short-term memory whose gates are convolutions: input (B, C, h, w), state twice (B, D, h, w)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, 3, padding=1)

    def forward(self, x: Tensor, state: State) -> State:
        """The next state: what it shows, and what it keeps."""
        shown, kept = state
        entered, forgotten, let_out, new = self.gates(torch.cat([x, shown], dim=1)).chunk(4, dim=1)
        kept = (forgotten + 1).sigmoid() * kept + entered.sigmoid() * new.tanh()
        return let_out.sigmoid() * kept.tanh(), kept


class SV2P(Rival):
    """Posterior and generator; see the module."""

    title = "SV2P"
    draws = "windows"

    def __init__(self, config: SV2PConfig) -> None:
        super().__init__()
        self.config = config
        w, k = config.width, config.kernels
        self.posterior = nn.Sequential(
            *(nn.Conv2d(3 * config.frames, w, 5, stride=2, padding=2), nn.ReLU()),
            *(nn.Conv2d(w, w, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(w, w, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * w, 2 * config.latent)),
        )
        self.to_half = nn.Conv2d(3, w, 5, stride=2, padding=2)
        self.to_quarter = nn.Conv2d(w, 2 * w, 3, stride=2, padding=1)
        self.memory = ConvLSTM(2 * w + config.latent, 2 * w)
        self.kernels = nn.Sequential(nn.Conv2d(2 * w, 16, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.to_kernels = nn.Linear(16 * 16, k * KERNEL**2)
        self.up = nn.Conv2d(2 * w + w, w, 3, padding=1)
        self.out = nn.Conv2d(w + 3, k + 3 + 3, 3, padding=1)
        nn.init.constant_(self.out.bias[3:4], 2.0)  # type: ignore[index]  # what nothing speaks for stays as it was at first

    def next_frame(self, first: Tensor, frame: Tensor, z: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The frame after ``frame``, given the first (B, 3, H, W) each, z (B, Z) and the memory; None at the start."""
        half = F.relu(self.to_half(frame))  # (B, w, H/2, W/2)
        quarter = F.relu(self.to_quarter(half))  # (B, 2w, H/4, W/4)
        state = state or (torch.zeros_like(quarter), torch.zeros_like(quarter))
        spread = z[:, :, None, None].expand(-1, -1, *quarter.shape[-2:]).to(quarter)
        state = self.memory(torch.cat([quarter, spread], dim=1), state)
        kernels = as_kernels(self.to_kernels(self.kernels(state[0])).float().reshape(len(frame), -1, KERNEL**2))
        wide = F.relu(self.up(torch.cat([F.interpolate(state[0], scale_factor=2.0), half], dim=1)))
        raw = self.out(torch.cat([F.interpolate(wide, scale_factor=2.0), frame.to(wide)], dim=1)).float()
        new, masks = raw[:, :3].sigmoid(), raw[:, 3:].softmax(dim=1)  # (B, 3, H, W), (B, K + 3, H, W)
        still = torch.stack([first, frame, new], dim=1)
        layers = torch.cat([still, cdna(frame, kernels)], dim=1)  # (B, K + 3, 3, H, W)
        return (layers * masks[:, :, None]).sum(dim=1), state

    def optimizers(self, rate: float) -> dict[str, torch.optim.Optimizer]:
        """One Adam for both."""
        return {"networks": torch.optim.Adam(self.parameters(), lr=rate)}

    def gradients(self, batch: tuple[Tensor, ...], state: Practice, device: Device) -> RivalStep:
        """Squared error of frames 2…T, and β times the divergence of the posterior; see the phases."""
        (video,) = batch
        count, (latent_from, beta_from) = len(video), self.config.phases
        with device.autocast():
            mean, log_variance = self.posterior(video.flatten(1, 2)).float().clamp(-8, 8).chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=state.noise).to(mean)
        z = mean + (log_variance / 2).exp() * noise if state.progress >= latent_from else 0 * mean
        given = torch.rand(count, video.shape[1], generator=state.noise).to(mean) >= 2 * state.progress
        frame, memory, made = video[:, 0], None, []
        for t in range(1, video.shape[1]):
            with device.autocast():
                frame, memory = self.next_frame(video[:, 0], frame, z, memory)
            made.append(frame)
            frame = torch.where(given[:, t, None, None, None], video[:, t], frame)
        film = torch.stack(made, dim=1)
        growth = max(0.0, (state.progress - beta_from) / (1 - beta_from))
        beta = self.config.beta * min(1.0, 2 * growth)
        terms = {"frame": F.mse_loss(film, video[:, 1:]), "kl": beta * gaussian_kl(mean, log_variance).mean()}
        self.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        middle = film.shape[1] // 2
        shown = {"first": video[:, 0], "middle": video[:, middle + 1], "made": film[:, middle]}
        shown |= {"last": video[:, -1], "made last": film[:, -1]}
        losses = {name: term.detach() for name, term in terms.items()}
        return RivalStep(losses, {name: frames[:4].detach() for name, frames in shown.items()}, film.detach())

    @torch.no_grad()
    def predict(self, first: Tensor, length: int, device: Device, futures: int = 1, seed: int = 0) -> Tensor:
        """Films (futures, length, 3, H, W) that begin with a picture (3, H, W), each with a z of its own from the prior."""
        self.eval()
        drawn = [torch.randn(self.config.latent, generator=torch.Generator().manual_seed(seed + i)) for i in range(futures)]
        z, frame = torch.stack(drawn).to(device.device), first.to(device.device).expand(futures, -1, -1, -1)
        film, memory = [frame], None
        with device.autocast():
            for _ in range(length - 1):
                frame, memory = self.next_frame(film[0], frame, z, memory)
                film.append(frame)
        return torch.stack(film, dim=1).float().cpu()
