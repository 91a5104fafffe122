"""The Fréchet distance between clouds of features, and FID: how unlike real frames generated ones look, as a crowd.

A Gaussian is fitted to the features of the real frames and one to those of the generated; FID is the Fréchet distance of
the two. It says nothing about a single frame or about motion, and compares only with figures of the same feature network.
The library calls :func:`matrix_root` through this module (``frechet.…``); what ``evaluate`` prints comes from torchmetrics.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
