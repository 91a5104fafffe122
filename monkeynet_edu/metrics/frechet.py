"""The Fréchet distance between clouds of features, and FID: how unlike real frames generated ones look, as a crowd.

A Gaussian is fitted to the features of the real frames and one to those of the generated; FID is the Fréchet distance of
the two. It says nothing about a single frame or about motion, and compares only with figures of the same feature network.
What ``evaluate`` prints comes from torchmetrics; :func:`frechet_distance` is the formula to read, and agrees with it.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from monkeynet_edu.errors import UserError
from monkeynet_edu.evaluators import FeatureNetwork
from monkeynet_edu.metrics.distances import Counted
from monkeynet_edu.paths import expanded

if TYPE_CHECKING:
    from torchmetrics.image.fid import FrechetInceptionDistance


def matrix_root(matrix: Tensor) -> Tensor:
    """Square root R of a symmetric matrix without negative eigenvalues: R @ R = matrix, by its eigen-decomposition.

    Args:
        matrix: (D, D), or (…, D, D), symmetric; eigenvalues that rounding made negative count as 0.

    Returns:
        (…, D, D), symmetric, without negative eigenvalues.
    """
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors @ torch.diag_embed(values.clamp(min=0).sqrt()) @ vectors.mT
    return root


def gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D), divided by N - 1, of features (N, D); N is at least 2."""
    mean = features.mean(dim=0)
    centred = features - mean
    return mean, centred.mT @ centred / (len(features) - 1)


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """Squared Fréchet (Wasserstein-2) distance of two Gaussians, the "FID" of their features.

    |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁Σ₂)^½). Σ₁Σ₂ is not symmetric, but Σ₁^½ Σ₂ Σ₁^½ is, and has the same eigenvalues, so the
    same trace of the root.

    Args:
        mean1: (D,).
        cov1: (D, D), symmetric without negative eigenvalues.
        mean2: (D,).
        cov2: (D, D).

    Returns:
        Scalar ≥ 0 (up to rounding), in squared units of the features.
    """
    root = matrix_root(cov1)
    cross = matrix_root(root @ cov2 @ root)
    return (mean1 - mean2).square().sum() + (cov1 + cov2 - 2 * cross).trace()


class _Features(nn.Module):
    """A feature network as torchmetrics wants it, in float64 on the CPU: not every accelerator has float64."""

    def __init__(self, network: FeatureNetwork) -> None:
        super().__init__()
        self.network = network
        self.num_features = network.dimension

    def forward(self, frames: Tensor) -> Tensor:
        """(T, 3, H, W) in [0, 1] → (T, D)."""
        features = self.network(frames).detach().cpu().double()
        finite = bool(features.isfinite().all())
        if features.shape != (len(frames), self.num_features) or not finite:
            raise UserError(
                f"{self.network.name}: expected finite features {(len(frames), self.num_features)}, got "
                f"{tuple(features.shape)}{'' if finite else ' with NaN or infinity'}; mend the network"
            )
        return features


class FrechetMeter:
    """FID of all the frames that it is shown, real and generated; torchmetrics' mathematics, in float64.

    It keeps sums alone, so any number of frames fits.

    Args:
        network: names and computes the features.

    Raises:
        UserError: torchmetrics is not installed.
    """

    def __init__(self, network: FeatureNetwork) -> None:
        self.name, self.dimension, self.frames = network.name, network.dimension, 0
        self._distance = _torchmetrics()(feature=_Features(network))

    @torch.no_grad()
    def add(self, real: Tensor, generated: Tensor) -> None:
        """Takes real and generated frames (T, 3, H, W) in [0, 1], as many of each.

        Raises:
            UserError: features that are not (T, ``dimension``), or no numbers.
        """
        for frames, is_real in ((real, True), (generated, False)):
            for part in torch.split(frames, 64):
                self._distance.update(part, real=is_real)
        self.frames += len(generated)

    def figure(self) -> Counted:
        """FID with the number of generated frames; None for fewer than two, of which there is no covariance."""
        if self.frames < 2:
            return Counted(None, self.frames, self.frames)
        value = float(self._distance.compute())
        # Rounding leaves a tiny negative number where both clouds are the same.
        return Counted(max(0.0, value) if math.isfinite(value) else None, self.frames, self.frames)

    def notes(self) -> list[str]:
        """What has to be said beside the figure: its network, and whether there were enough frames for it."""
        said = [f"fid: features of {self.name} ({self.dimension} numbers a frame); compares to no FID of other features"]
        if 2 <= self.frames <= self.dimension:
            said.append(
                f"warning: fid: {self.frames} frames for covariances of {self.dimension} numbers, so these are singular "
                "and fid comes out too high; compare only with fid of as many frames, or measure more clips"
            )
        return said


class InceptionFeatures:
    """The 2048 features of the Inception network that published FIDs use; frames are enlarged to 299×299 inside.

    Args:
        weights: file of torch-fidelity's weights; None lets torch-fidelity look for its own, or download them.

    Raises:
        UserError: torchmetrics or torch-fidelity is not installed, or the weights cannot be had.
    """

    name = "inception-v3-2048"
    dimension = 2048

    def __init__(self, weights: str | Path | None = None) -> None:
        path = None if weights is None else expanded(weights)
        if path is not None and not path.is_file():
            raise UserError(f"{path}: expected a file of Inception's weights, got nothing there; check the path")
        made = _torchmetrics()
        try:
            chosen = None if path is None else str(path)
            self._network = made(feature=2048, feature_extractor_weights_path=chosen).inception.eval()
        except ModuleNotFoundError as error:
            raise UserError(
                "Inception: expected the package torch-fidelity, got none; install it (pip install torch-fidelity), or "
                "leave --inception out for the mini-FID"
            ) from error
        except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise UserError(
                f"{path or 'Inception'}: expected torch-fidelity's weights of Inception, got an error "
                f"({str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}); download "
                "pt_inception-2015-12-05-6726825d.pth from its releases and name the file with --inception"
            ) from error

    @torch.no_grad()
    def __call__(self, frames: Tensor) -> Tensor:
        """Features (T, 2048) of frames (T, 3, H, W) in [0, 1]."""
        place = next(self._network.parameters()).device
        features: Tensor = self._network((frames * 255).round().clamp(0, 255).to(place, torch.uint8))
        return features


def _torchmetrics() -> type[FrechetInceptionDistance]:
    """The class, imported when it is needed: it takes seconds, and brings matplotlib along."""
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError as error:
        raise UserError("FID: expected the package torchmetrics, got none; install it: pip install torchmetrics") from error
    return FrechetInceptionDistance
