"""Batch norm written out: what `nn.BatchNorm2d` computes in training and afterwards."""

from __future__ import annotations

import torch
from torch import Tensor


def batch_norm(
    x: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor, bias: Tensor, training: bool
) -> Tensor:
    """Shifts and scales each channel: by the batch's own numbers while training, by the kept averages afterwards.

    Args:
        x: (B, C, H, W).
        running_mean: (C,) averages kept during training.
        running_var: (C,) variances kept during training.
        weight: (C,) learned: what the normalised channel is multiplied by.
        bias: (C,) learned: what is then added.
        training: whether the network is being trained.

    Returns:
        (B, C, H, W).
    """
    if training:
        mean = x.mean(dim=(0, 2, 3))  # (C,)
        var = x.var(dim=(0, 2, 3), correction=0)
    else:
        mean, var = running_mean, running_var
    centred = x - mean[:, None, None]
    normalised = centred / torch.sqrt(var + 1e-5)[:, None, None]
    return normalised * weight[:, None, None] + bias[:, None, None]
