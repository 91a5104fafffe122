"""One step of training, written as the paper describes it: first G and Δ, then D, with nothing shared between the two."""

from __future__ import annotations

import torch
from torch import Tensor

from monkeynet_edu import losses
from monkeynet_edu.model import Device, MonkeyNet
from monkeynet_edu.training import StepResult, detect_pair


def two_phase_gradients(model: MonkeyNet, source: Tensor, driving: Tensor, device: Device) -> StepResult:
    """Fills the gradients of all parameters for one batch of pairs; nothing is stepped (section 3.4).

    Args:
        model: Δ (``model.detect``), M and G (``model(source, kp_source, kp_driving)``), D (``model.discriminator``).
        source: (B, 3, H, W).
        driving: (B, 3, H, W), other frames of the same videos.
        device: where the model is; not needed in float32.

    Returns:
        ``StepResult(terms, generated, (kp_source, kp_driving))``: the loss terms by name, D's as ``discriminator``; all
        that the model generated; the keypoints as a pair. Terms and keypoints are detached.
    """
    model.zero_grad()
    kp_source, kp_driving = detect_pair(model, source, driving)
    generated = model(source, kp_source, kp_driving)
    fake = model.discriminator(generated.prediction, kp_source, kp_driving)
    real = model.discriminator(driving, kp_source, kp_driving)
    terms = losses.generator_losses(fake, real, generated.deformed, model.config.losses)
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    model.discriminator.zero_grad()
    kp_source, kp_driving = kp_source.detach(), kp_driving.detach()
    fake = model.discriminator(generated.prediction.detach(), kp_source, kp_driving)
    real = model.discriminator(driving, kp_source, kp_driving)
    judge = model.config.losses.discriminator * losses.discriminator_adversarial(real[-1], fake[-1])
    torch.autograd.backward(judge)
    named = terms | {"discriminator": judge}
    return StepResult({name: term.detach() for name, term in named.items()}, generated, (kp_source, kp_driving))
