"""Warping written out: what `geometry.warp` leaves to one call of `grid_sample`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from monkeynet_edu import geometry


def bilinear_warp(image: Tensor, deformation: Tensor) -> Tensor:
    """Reads an image at the points of a deformation (bilinear, zeros outside, corners aligned).

    Args:
        image: (B, C, H, W), any content: colours, features, a flow field.
        deformation: (B, h, w, 2) points (x, y) in [-1, 1]: where each pixel of the result reads.

    Returns:
        (B, C, h, w).
    """
    channels, height, width = image.shape[1:]
    column, row = geometry.to_pixels(deformation, height, width).flatten(1, 2).unbind(dim=-1)  # (B, h·w) each
    left, top = column.floor(), row.floor()
    pixels = image.flatten(2)  # (B, C, H·W)
    out = image.new_zeros(len(image), channels, row.shape[1])
    for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        weight = (1 - (row - r).abs()) * (1 - (column - c).abs())
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        index = r.long().clamp(0, height - 1) * width + c.long().clamp(0, width - 1)  # (B, h·w)
        value = pixels.gather(2, index[:, None].expand(-1, channels, -1))  # (B, C, h·w)
        out = out + weight[:, None] * inside[:, None] * value
    return out.reshape(len(image), channels, *deformation.shape[1:3])


def read_by_loops(image: Tensor, points: Tensor) -> Tensor:
    """The definition of a bilinear warp, pixel by pixel: an oracle for checks, too slow for anything else.

    Args:
        image: (B, C, H, W).
        points: (B, h, w, 2).

    Returns:
        (B, C, h, w), without gradients for ``points``.
    """
    batch, channels, height, width = image.shape
    out = image.new_zeros(batch, channels, *points.shape[1:3])
    for b, i, j in torch.cartesian_prod(*(torch.arange(n) for n in points.shape[:3])).tolist():
        column = (float(points[b, i, j, 0]) + 1) / 2 * (width - 1)
        row = (float(points[b, i, j, 1]) + 1) / 2 * (height - 1)
        for r in (math.floor(row), math.floor(row) + 1):
            for c in (math.floor(column), math.floor(column) + 1):
                if 0 <= r < height and 0 <= c < width:
                    out[b, :, i, j] += (1 - abs(row - r)) * (1 - abs(column - c)) * image[b, :, r, c]
    return out
