"""Compares this library with reference outputs of the authors' model.

Usage: python tests/parity.py CHECKPOINT.pth.tar EXPECTED.pt [--float32]

Prints one line a quantity with its relative error, max |ours - expected| / max |expected|; exits 1 if any exceeds 1e-6
(--float32: forward passes only, 1e-4).
"""

from __future__ import annotations

import argparse
import pickle
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from monkeynet_edu import official
from monkeynet_edu.animation import Transfer, transfer_keypoints
from monkeynet_edu.errors import UserError
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import Device, MonkeyNet
from monkeynet_edu.training import Optimizers, compute_gradients

TRANSFERS = {
    "relative": Transfer("relative"),
    "absolute": Transfer("absolute"),
    "relative_adapt_movement": Transfer("relative", scaling="hull", clip=True),
    "relative_adapt_covariance": Transfer("relative", covariance="adapted"),
}
# Names of the quantities of a training step, which cannot be compared in float32.
TRAINING = ("train_", "grad_", "after_")


def relative_error(ours: Tensor, expected: Tensor) -> float:
    """max |ours - expected| / max |expected|; infinite for another shape or NaN on either side."""
    if ours.shape != expected.shape or not (torch.isfinite(ours).all() and torch.isfinite(expected).all()):
        return float("inf")
    return float((ours.double() - expected.double()).abs().max() / expected.double().abs().max().clamp_min(1e-300))


def spread(keypoints: Keypoints, frames: int) -> Keypoints:
    """Keypoints (B, K) repeated for each of T frames: (B·T, K)."""
    return Keypoints(keypoints.mean.repeat_interleave(frames, 0), keypoints.cov.repeat_interleave(frames, 0))


@torch.no_grad()
def forward_quantities(model: MonkeyNet, source: Tensor, driving: Tensor) -> dict[str, Tensor]:
    """Every quantity of the evaluation mode, named as in the reference."""
    b, t = driving.shape[:2]
    frames = driving.flatten(0, 1)
    kp_source, kp_driving = model.detect(source), model.detect(frames)
    repeated = spread(kp_source, t)
    drawn = model(source.repeat_interleave(t, 0), repeated, kp_driving)
    score = model.discriminator(frames, repeated, kp_driving)[-1]
    side = 1 if model.config.detector.covariance == "isotropic" else 2
    out = {
        "kp_source_mean": kp_source.mean,
        "kp_source_cov": kp_source.cov[..., :side, :side],
        "kp_driving_mean": kp_driving.mean.unflatten(0, (b, t)),
        "kp_driving_cov": kp_driving.cov[..., :side, :side].unflatten(0, (b, t)),
        "deformation": drawn.motion.deformation.unflatten(0, (b, t)),
        "prediction": drawn.prediction.unflatten(0, (b, t)),
        "deformed": drawn.deformed.unflatten(0, (b, t)),
        "discriminator_score": score.unflatten(0, (b, t)),
    }
    for name, transfer in TRANSFERS.items():
        moved = transfer_keypoints(kp_source[:1], kp_driving[:t], transfer)
        image = source[:1].expand(t, -1, -1, -1)
        out[f"transfer_{name}"] = model(image, spread(kp_source[:1], t), moved).prediction
        out[f"transfer_{name}_kp_mean"] = moved.mean
    return out


def gradient_norm(network: torch.nn.Module) -> Tensor:
    """Euclidean norm of the gradient over all parameters of a network."""
    return torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()


def training_quantities(
    model: MonkeyNet, source: Tensor, driving: Tensor, rate: float, names: list[str]
) -> dict[str, Tensor]:
    """Losses, gradient norms and sums of weights of one training step, named as in the reference."""
    model.train()
    optimizers = Optimizers.of(model, rate)
    device = Device(torch.device("cpu"), "float32")
    result = compute_gradients(model, source, driving[:, 0], device)
    terms = [value for name, value in result.losses.items() if name != "discriminator"]
    out = {
        "train_losses_generator": torch.stack(terms),
        "grad_norm_generator": gradient_norm(model.generator),
        "grad_norm_kp_detector": gradient_norm(model.detector),
        "train_loss_discriminator": result.losses["discriminator"],
        "grad_norm_discriminator": gradient_norm(model.discriminator),
    }
    optimizers.step()
    state = model.state_dict()
    out["after_step_abs_sum"] = torch.stack([state[official.our_name(*n.split(".", 1))].abs().sum() for n in names])
    return out


def compare(checkpoint: Path, expected: Path, dtype: torch.dtype) -> dict[str, float]:
    """Relative error of every quantity that the reference holds."""
    try:
        reference: dict[str, Any] = torch.load(expected, weights_only=True)
        config, wanted = reference["config"], reference["expected"]
        source, driving = reference["source"].to(dtype), reference["driving"].to(dtype)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise UserError(f"{expected}: expected a file of reference outputs, got {type(error).__name__}") from error
    model = MonkeyNet.from_official(checkpoint, config).to(dtype)
    ours = forward_quantities(model, source, driving)
    if dtype == torch.float64:
        rate = float(config["train_params"]["lr"])
        ours |= training_quantities(model, source, driving, rate, reference["after_step_names"])
    asked = [name for name in wanted if dtype == torch.float64 or not name.startswith(TRAINING)]
    # What the reference holds and we do not compute is a failure, never left out in silence.
    errors = {name: relative_error(ours[name], wanted[name]) if name in ours else float("inf") for name in asked}
    if "after_step_abs_sum" in asked:
        mine, theirs = ours["after_step_abs_sum"], wanted["after_step_abs_sum"]
        errors["after_step_abs_sum"] = max(relative_error(a, b) for a, b in zip(mine, theirs, strict=True))
    return errors


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compares this library with reference outputs of the authors' model.")
    parser.add_argument("checkpoint", type=Path, help="checkpoint of the authors (.pth.tar)")
    parser.add_argument("expected", type=Path, help="reference outputs (.pt)")
    parser.add_argument("--float32", action="store_true", help="forward passes in float32, to 1e-4")
    args = parser.parse_args(arguments)
    dtype, bound = (torch.float32, 1e-4) if args.float32 else (torch.float64, 1e-6)
    try:
        errors = compare(args.checkpoint, args.expected, dtype)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, error in errors.items():
        print(f"{name:45s} {error:.2e}  {'ok' if error <= bound else 'EXCEEDS'}")
    worst = max(errors.values())
    print(f"{len(errors)} quantities, worst {worst:.2e}, bound {bound:.0e}: {'PASS' if worst <= bound else 'FAIL'}")
    return 0 if worst <= bound else 1


if __name__ == "__main__":
    sys.exit(main())
