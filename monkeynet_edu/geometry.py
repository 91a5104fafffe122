"""Coordinates and warping: the lattice, reading an image through a deformation, composing deformations, resizing.

Points are (x, y) in [-1, 1]. The corners of that square are the *centres* of the corner pixels: column j of W sits at
x = 2j/(W-1) - 1. A deformation (B, H, W, 2) is a backward map: for every pixel of the driving frame it says where to read
in the source.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def lattice(
    height: int, width: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """Coordinates of all pixel centres: the deformation that changes nothing.

    Args:
        height: H, at least 1.
        width: W, at least 1.
        device: of the result.
        dtype: of the result.

    Returns:
        (H, W, 2): ``[i, j]`` is the point (x, y) of row i, column j.
    """
    x = torch.linspace(-1, 1, width, device=device, dtype=dtype)
    y = torch.linspace(-1, 1, height, device=device, dtype=dtype)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)


def to_pixels(points: Tensor, height: int, width: int) -> Tensor:
    """Turns points into pixels; the inverse of the lattice: column = (x + 1)/2·(W-1), row = (y + 1)/2·(H-1).

    Args:
        points: (..., 2), (x, y) in [-1, 1].
        height: H.
        width: W.

    Returns:
        (..., 2): column and row; the centre of the upper left pixel is (0, 0).
    """
    x, y = points.unbind(dim=-1)
    column = (x + 1) / 2 * (width - 1)
    row = (y + 1) / 2 * (height - 1)
    return torch.stack([column, row], dim=-1)


def warp(image: Tensor, deformation: Tensor) -> Tensor:
    """Reads an image at the points of a deformation (bilinear, zeros outside, corners aligned).

    Args:
        image: (B, C, H, W), any content: colours, features, a flow field.
        deformation: (B, h, w, 2) points (x, y) in [-1, 1], same type as ``image``.

    Returns:
        (B, C, h, w).

    Raises:
        ValueError: the batches differ, or the last dimension of ``deformation`` is not 2.
    """
    if image.ndim != 4 or deformation.ndim != 4 or deformation.shape[-1] != 2 or len(image) != len(deformation):
        raise ValueError(
            "warp: expected image (B, C, H, W) and deformation (B, h, w, 2) with the same B, got "
            f"{tuple(image.shape)} and {tuple(deformation.shape)}; put channels second and points last"
        )
    return F.grid_sample(image, deformation, mode="bilinear", padding_mode="zeros", align_corners=True)


def compose(first: Tensor, second: Tensor) -> Tensor:
    """Chains two deformations: ``warp(warp(image, second), first)`` up to interpolation.

    Points of ``first`` outside the frame read the nearest border value of ``second``.

    Args:
        first: (B, h, w, 2), from the final frame to the middle one.
        second: (B, H, W, 2), from the middle frame to the source.

    Returns:
        (B, h, w, 2), from the final frame to the source.
    """
    planes = second.permute(0, 3, 1, 2)  # (B, 2, H, W): a picture of where to read
    inside = first.clamp(-1, 1)
    read = warp(planes, inside)  # (B, 2, h, w)
    return read.permute(0, 2, 3, 1)


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Nearest-neighbour resize of (B, C, H, W) to (B, C, height, width); returns its input where nothing changes."""
    if image.shape[-2:] == (height, width):
        return image
    return F.interpolate(image, size=(height, width), mode="nearest")


def resize_deformation(
    deformation: Tensor, height: int, width: int, mode: Literal["nearest", "bilinear"] = "nearest"
) -> Tensor:
    """Brings a deformation (B, H, W, 2) to (B, height, width, 2); its values are points and stay what they are.

    ``nearest``, the published way, makes neighbours share a point when it enlarges: even the lattice then reads every
    second pixel twice. ``bilinear`` with aligned corners turns the lattice of one size exactly into that of the other.
    """
    if deformation.shape[1:3] == (height, width):
        return deformation
    if mode == "bilinear":
        return bilinear_deformation(deformation, height, width)
    return resize(deformation.permute(0, 3, 1, 2), height, width).permute(0, 2, 3, 1)


def bilinear_deformation(deformation: Tensor, height: int, width: int) -> Tensor:
    """Brings a deformation to another size, interpolating between its points: corners stay corners.

    Args:
        deformation: (B, H, W, 2), points (x, y); [-1, 1] is the picture, and points may lie beyond it.
        height: h, of the result.
        width: w, of the result.

    Returns:
        (B, h, w, 2). The lattice of H by W becomes exactly the lattice of h by w.
    """
    planes = deformation.permute(0, 3, 1, 2)  # (B, 2, H, W)
    resized = F.interpolate(planes, (height, width), mode="bilinear", align_corners=True)
    return resized.permute(0, 2, 3, 1)


def downscale(image: Tensor, scale: float) -> Tensor:
    """Shrinks (B, C, H, W) by ``scale`` (0.5: half the side) with nearest-neighbour sampling; 1 changes nothing."""
    return image if scale == 1 else F.interpolate(image, scale_factor=scale, mode="nearest")


def ellipse_axes(cov: Tensor) -> tuple[Tensor, Tensor]:
    """Half axes and direction of the ellipse of one standard deviation: the points d with dᵀ Σ⁻¹ d = 1.

    The eigenvalues of [[a, b], [b, d]] are (a+d)/2 ± √(((a-d)/2)² + b²): the variances along the two axes.

    Args:
        cov: symmetric positive (semi-)definite matrices (..., 2, 2).

    Returns:
        Half axes (..., 2), the long one first, in the unit of the points (a standard deviation, not a variance), and the
        angle (...) of the long one in radians, from the x axis towards the y axis (downwards in pictures), modulo π.
    """
    half_trace = (cov[..., 0, 0] + cov[..., 1, 1]) / 2
    half_gap = (cov[..., 0, 0] - cov[..., 1, 1]) / 2
    root = torch.hypot(half_gap, cov[..., 0, 1])
    eigenvalues = torch.stack([half_trace + root, half_trace - root], dim=-1)
    angle = torch.atan2(cov[..., 0, 1], half_gap) / 2
    return eigenvalues.clamp_min(0).sqrt(), angle
