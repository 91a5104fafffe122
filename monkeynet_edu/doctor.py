"""Looks an installation over: versions, device, speed, write access, data and weights, each with what to do about it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from monkeynet_edu.animation import draw
from monkeynet_edu.data.datasets import MINIATURES
from monkeynet_edu.errors import UserError
from monkeynet_edu.files import damaged_files
from monkeynet_edu.model import Device, MonkeyNet, pick_device, preset
from monkeynet_edu.paths import data_set_path, data_small, weights_path
from monkeynet_edu.training import recipe_for, start, training_step

State = Literal["ok", "warn", "fail"]

_PACKAGES = ("torch", "numpy", "scipy", "pillow", "av", "imageio", "safetensors", "matplotlib")
_OLDEST_PYTHON = (3, 11)
_SLOW_STEP_SECONDS = 1.0
_SLOW_FRAME_SECONDS = 0.05


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at.
        state: ``ok``, ``warn`` (works, but not everything or not fast) or ``fail`` (broken).
        found: what is there, with figures.
        advice: what to do; empty where all is well.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def examine(folder: Path) -> list[Finding]:
    """Looks everything over; takes a few seconds, since it trains a step.

    Args:
        folder: the working folder, where runs and pictures would be written.
    """
    findings = [_python(), *map(_package, _PACKAGES)]
    try:
        device = pick_device()
        findings += [_device(device), _step_speed(device), _frame_speed(device)]
    except (UserError, RuntimeError) as error:
        findings.append(Finding("device", "fail", " ".join(str(error).split()), "reinstall torch for this machine"))
    return [*findings, write_access(folder), _data(), _weights(), _lab()]


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info[:2] >= _OLDEST_PYTHON:
        return Finding("python", "ok", found)
    return Finding("python", "fail", found, f"install Python {'.'.join(map(str, _OLDEST_PYTHON))} or newer")


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "fail", "not installed", "run `pip install -e .` in the clone")


def _device(device: Device) -> Finding:
    kind = device.device.type
    place = torch.cuda.get_device_name(device.device) if kind == "cuda" else f"{torch.get_num_threads()} threads"
    reason = {
        "cuda": "an NVIDIA card is there",
        "mps": "an Apple GPU is there",
        "cpu": "neither CUDA nor MPS is there",
    }.get(kind, "chosen")
    precision = "has" if device.precision == "bfloat16" else "lacks"
    return Finding("device", "ok", f"{kind} ({place}): {reason}; {device.precision}: it {precision} fast bfloat16")


def _finish(device: Device) -> None:
    """Waits for the accelerator, which runs behind the clock."""
    if device.device.type == "cuda":
        torch.cuda.synchronize()
    elif device.device.type == "mps":
        torch.mps.synchronize()


def _seconds(work: Callable[[], object], device: Device, repeats: int) -> float:
    """Shortest of a few runs, after one to warm up."""
    work()
    _finish(device)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        _finish(device)
        times.append(time.perf_counter() - began)
    return min(times)


def _step_speed(device: Device) -> Finding:
    run = start(preset("mini"), recipe_for("mini", "noise", 0, False), "noise", device)
    batch, side = run.recipe.batch_size, run.model.config.frame_size
    frames = torch.rand(2, batch, 3, side, side, device=device.device)
    run.model.train()
    seconds = _seconds(lambda: training_step(run.model, run.optimizers, frames[0], frames[1], device), device, 2)
    slow = seconds > _SLOW_STEP_SECONDS
    return Finding(
        "training step",
        "warn" if slow else "ok",
        f"{seconds:.2f} s (preset mini, {batch} pairs of {side}x{side})",
        "close other programs; lessons that train will take longer than they say" if slow else "",
    )


@torch.no_grad()
def _frame_speed(device: Device) -> Finding:
    model = MonkeyNet(preset("mini")).to(device.device).eval()
    side = model.config.frame_size
    image = torch.rand(1, 3, side, side, device=device.device)
    points = model.detect(image)
    seconds = _seconds(lambda: list(draw(model, image, points, points, device)), device, 5)
    slow = seconds > _SLOW_FRAME_SECONDS
    return Finding(
        "generated frame",
        "warn" if slow else "ok",
        f"{1000 * seconds:.1f} ms (preset mini, {side}x{side})",
        "close other programs; the webcam and the sliders of the lessons will lag" if slow else "",
    )


def write_access(folder: Path) -> Finding:
    """Whether a file can be made in the folder; leaves nothing there."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            "write access", "fail", f"{folder}: {error.strerror}", "change to a folder of your own, or give --out"
        )
    return Finding("write access", "ok", str(folder))


def _there(find: Callable[[str], Path]) -> list[str]:
    """The miniatures for which ``find`` finds something."""
    found = []
    for name in MINIATURES:
        try:
            find(name)
        except UserError:
            continue
        found.append(name)
    return found


def _shipped(name: str, find: Callable[[str], Path], advice: str) -> Finding:
    try:
        place = data_small()
    except UserError as error:
        return Finding(name, "fail", str(error), "correct or unset MONKEYNET_DATA")
    found = _there(find)
    missing = [miniature for miniature in MINIATURES if miniature not in found]
    try:
        folders = {find(miniature) for miniature in found}
        folders = {folder if folder.is_dir() else folder.parent for folder in folders}
        damaged = [str(folder / bad) for folder in sorted(folders) for bad in damaged_files(folder)]
    except UserError as error:
        damaged = [str(error)]
    if damaged:
        more = f" and {len(damaged) - 1} more" if damaged[1:] else ""
        return Finding(name, "fail", f"damaged or changed: {damaged[0]}{more}", "copy it again, or see CONTRIBUTING.md")
    listed = f"{', '.join(found) or 'none'} in {place}" + (f"; missing: {', '.join(missing)}" if missing else "")
    return Finding(name, "warn" if missing else "ok", listed, advice if missing else "")


def _data() -> Finding:
    return _shipped("data", data_set_path, "run `monkeynet-edu data make`, or set MONKEYNET_DATA to a data_small folder")


def _weights() -> Finding:
    advice = "run in a clone that holds them, set MONKEYNET_DATA, or train: `monkeynet-edu train --data mini-taichi`"
    return _shipped("weights", weights_path, advice)


def _lab() -> Finding:
    if importlib.util.find_spec("jupyterlab") is None:
        advice = 'for the notebooks: `pip install -e ".[lab]"` in the clone'
        return Finding("jupyterlab", "warn", "not installed", advice)
    return Finding("jupyterlab", "ok", importlib.metadata.version("jupyterlab"))
