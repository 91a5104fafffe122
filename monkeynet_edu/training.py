"""Training: one visible step, the loop around it, checkpoints that survive a crash, resuming bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from monkeynet_edu import losses
from monkeynet_edu.generator import Generated
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import Device, MonkeyNet


@dataclass(frozen=True)
class Optimizers:
    """Three Adams: one each for G (with M), Δ and D."""

    generator: torch.optim.Optimizer
    detector: torch.optim.Optimizer
    discriminator: torch.optim.Optimizer

    @staticmethod
    def of(model: MonkeyNet, learning_rate: float) -> Optimizers:
        """Adam with betas (0.5, 0.999), as published."""

        def adam(network: torch.nn.Module) -> torch.optim.Optimizer:
            return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=(0.5, 0.999))

        return Optimizers(adam(model.generator), adam(model.detector), adam(model.discriminator))

    def items(self) -> list[tuple[str, torch.optim.Optimizer]]:
        """Names and optimizers."""
        return [("generator", self.generator), ("detector", self.detector), ("discriminator", self.discriminator)]

    def step(self) -> None:
        """Steps G and Δ, then D."""
        for _, optimizer in self.items():
            optimizer.step()

    def set_learning_rate(self, rate: float) -> None:
        """Sets the rate of all three."""
        for _, optimizer in self.items():
            for group in optimizer.param_groups:
                group["lr"] = rate


def detect_pair(model: MonkeyNet, source: Tensor, driving: Tensor) -> tuple[Keypoints, Keypoints]:
    """Runs source and driving frames through Δ in one batch, so that they share batch-norm statistics."""
    both = model.detect(torch.cat([source, driving]))
    return both[: len(source)], both[len(source) :]


@dataclass(frozen=True)
class StepResult:
    """What one step computed.

    Attributes:
        losses: weighted terms by name: those of G and Δ, and ``discriminator``.
        generated: the frames drawn.
    """

    losses: dict[str, Tensor]
    generated: Generated


def compute_gradients(model: MonkeyNet, source: Tensor, driving: Tensor, device: Device) -> StepResult:
    """Fills the gradients of all parameters for one batch of pairs; nothing is stepped (section 3.4).

    D is evaluated once on each frame. That is exact: its weights stay the same until both losses are known, so the
    scores in its own loss equal those in the generator's; only the gradients differ, G and Δ taking those of their terms
    and D those of its own.

    Args:
        model: in training mode.
        source: (B, 3, H, W).
        driving: (B, 3, H, W), other frames of the same videos.
        device: precision of the networks.
    """
    with device.autocast():
        kp_source, kp_driving = detect_pair(model, source, driving)
        generated = model(source, kp_source, kp_driving)
        fake = model.discriminator(generated.prediction, kp_source, kp_driving)
        real = model.discriminator(driving, kp_source, kp_driving)
    weights = model.config.losses
    terms = losses.generator_losses(fake, real, generated.deformed, weights)
    judge = weights.discriminator * losses.discriminator_adversarial(real[-1], fake[-1])
    judged = list(model.discriminator.parameters())
    for parameter, gradient in zip(judged, torch.autograd.grad(judge, judged, retain_graph=True), strict=True):
        parameter.grad = gradient
    learners = [*model.generator.parameters(), *model.detector.parameters()]
    for parameter in learners:
        parameter.grad = None
    torch.stack(list(terms.values())).sum().backward(inputs=learners)
    return StepResult({name: term.detach() for name, term in (terms | {"discriminator": judge}).items()}, generated)


def training_step(
    model: MonkeyNet, optimizers: Optimizers, source: Tensor, driving: Tensor, device: Device
) -> StepResult:
    """One step of training on a batch of pairs: gradients, then G and Δ step, then D."""
    result = compute_gradients(model, source, driving, device)
    optimizers.step()
    return result
