"""A GAN as small as it gets: a generator and a discriminator of points in the plane."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from monkeynet_edu import losses


def gan_step(
    generator: nn.Module,
    discriminator: nn.Module,
    generator_optimizer: Optimizer,
    discriminator_optimizer: Optimizer,
    noise: Tensor,
    real: Tensor,
) -> tuple[Tensor, Tensor]:
    """One step of a GAN: the generator first, then the discriminator, on the same fakes.

    Args:
        generator: noise (B, n) to points (B, 2).
        discriminator: points (B, 2) to scores (B, 1).
        generator_optimizer: of the generator's parameters.
        discriminator_optimizer: of the discriminator's parameters.
        noise: (B, n).
        real: (B, 2), points of the data.

    Returns:
        Losses of generator and discriminator, detached, as they were before their steps.
    """
    fake = generator(noise)
    generator_loss = losses.generator_adversarial(discriminator(fake))
    generator_optimizer.zero_grad()
    torch.autograd.backward(generator_loss)
    generator_optimizer.step()
    still = fake.detach()
    discriminator_loss = losses.discriminator_adversarial(discriminator(real), discriminator(still))
    discriminator_optimizer.zero_grad()
    torch.autograd.backward(discriminator_loss)
    discriminator_optimizer.step()
    return generator_loss.detach(), discriminator_loss.detach()


def ring(count: int, random: torch.Generator) -> Tensor:
    """The data: points (count, 2) near a circle of radius 1 around (0, 0)."""
    angle = 2 * math.pi * torch.rand(count, generator=random)
    radius = 1 + 0.06 * torch.randn(count, generator=random)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)


def small_network(inputs: int, outputs: int, width: int = 64) -> nn.Sequential:
    """Three linear layers with bends between them: (B, inputs) to (B, outputs)."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, outputs),
    )


def pull_on(points: Tensor, discriminator: nn.Module) -> Tensor:
    """Where each generated point (B, 2) is pulled: minus the gradient of its own generator loss (1 - D)²."""
    leaf = points.detach().requires_grad_()
    loss = losses.generator_adversarial(discriminator(leaf)) * len(leaf)
    (gradient,) = torch.autograd.grad(loss, leaf)
    return -gradient
