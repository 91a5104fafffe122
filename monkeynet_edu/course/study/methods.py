"""What can take part in a study by name: methods made of shipped weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from monkeynet_edu import baselines
from monkeynet_edu.animation import Transfer, animate
from monkeynet_edu.course.study.folder import Method
from monkeynet_edu.course.study.lists import OURS, RIVAL
from monkeynet_edu.errors import unknown_name
from monkeynet_edu.model import Device, MonkeyNet
from monkeynet_edu.paths import weights_path


def monkey_net(data: str, device: Device) -> Method:
    """Monkey-Net with the weights of a data set, transferring as its configuration says."""
    model = MonkeyNet.load(weights_path(data))

    def method(source: Tensor, driving: Tensor) -> Tensor:
        return animate(model.to(device.device), source, driving, device).prediction.float().cpu()

    return method


def monkey_net_absolute(data: str, device: Device) -> Method:
    """Monkey-Net with absolute transfer: the driving clip's own keypoints, without aligning poses."""
    model = MonkeyNet.load(weights_path(data))

    def method(source: Tensor, driving: Tensor) -> Tensor:
        return animate(model.to(device.device), source, driving, device, Transfer("absolute")).prediction.float().cpu()

    return method


def rival(name: str, data: str, device: Device) -> Method:
    """A rival with the weights that come with the library.

    Raises:
        UserError: there are none for the data set.
    """
    network = baselines.shipped(name, data)

    def method(source: Tensor, driving: Tensor) -> Tensor:
        return network.to(device.device).animate(source, driving, device).clamp(0, 1)

    return method


def still(data: str, device: Device) -> Method:
    """The source, repeated: what a method has to be better than."""

    def method(source: Tensor, driving: Tensor) -> Tensor:
        return source.expand(len(driving), *source.shape)

    return method


METHODS: dict[str, Callable[[str, Device], Method]] = {
    OURS: monkey_net,
    "monkey-net-absolute": monkey_net_absolute,
    RIVAL: partial(rival, RIVAL),
    "still": still,
}
"""Name → from a data set and a device to a method."""


def named_methods(names: Sequence[str], data: str, device: Device) -> dict[str, Method]:
    """Methods by their names.

    Raises:
        UserError: an unknown name, or no weights for the data set.
    """
    for name in names:
        if name not in METHODS:
            raise unknown_name("method", name, METHODS)
    with torch.inference_mode():
        return {name: METHODS[name](data, device) for name in names}
