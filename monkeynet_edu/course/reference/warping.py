"""Warping written out: what `geometry.warp` leaves to one call of `grid_sample`."""

from __future__ import annotations

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
