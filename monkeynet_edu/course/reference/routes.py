"""Where a gradient comes from: the routes on which the loss of G and Δ reaches the keypoint detector."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from monkeynet_edu import losses
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.training import detect_pair


@dataclass(frozen=True)
class Routes:
    """Norms of gradients of the loss of G and Δ.

    Attributes:
        motion: of Δ's weights, through M and G: what the keypoints do to the picture.
        fake: through the heatmaps that D is shown beside the generated frame.
        real: through the heatmaps beside the real frame.
        together: all three, added up as vectors.
        prediction: of the generated frame's pixels.
    """

    motion: float
    fake: float
    real: float
    together: float
    prediction: float


def gradient_routes(model: MonkeyNet, source: Tensor, driving: Tensor) -> Routes:
    """Measures the routes for one batch of pairs (B, 3, H, W); the model's gradients stay as they are.

    Each use of the keypoints gets a copy of its own, so that the gradient says by which use it came.
    """
    found = detect_pair(model, source, driving)
    copies = {route: tuple(_leaf(k) for k in found) for route in ("motion", "fake", "real")}
    generated = model(source, *copies["motion"])
    fake = model.discriminator(generated.prediction, *copies["fake"])
    real = model.discriminator(driving, *copies["real"])
    total = torch.stack(
        list(losses.generator_losses(fake, real, generated.deformed, model.config.losses).values())
    ).sum()
    leaves = [t for pair in copies.values() for t in _tensors(pair)]
    *reached, pixels = torch.autograd.grad(total, [*leaves, generated.prediction], allow_unused=True)
    filled = [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, reached, strict=True)]
    weights = list(model.detector.parameters())
    parts = {}
    for number, route in enumerate(copies):
        onward = torch.autograd.grad(_tensors(found), weights, filled[4 * number : 4 * number + 4], retain_graph=True)
        parts[route] = torch.cat([g.flatten() for g in onward])
    norms = {route: float(part.norm()) for route, part in parts.items()}
    return Routes(**norms, together=float(torch.stack(list(parts.values())).sum(0).norm()), prediction=float(pixels.norm()))


def _leaf(keypoints: Keypoints) -> Keypoints:
    return Keypoints(keypoints.mean.detach().requires_grad_(), keypoints.cov.detach().requires_grad_())


def _tensors(pair: tuple[Keypoints, ...]) -> list[Tensor]:
    return [t for k in pair for t in (k.mean, k.cov)]
