"""The rivals by name: their configurations, recipes and files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from monkeynet_edu import metrics
from monkeynet_edu.baselines.base import FORMAT, Rival, RivalAdams, RivalConfig, RivalRun
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.evaluators import Evaluators
from monkeynet_edu.metrics import Task
from monkeynet_edu.model import Device, built, from_plain, in_float32, load_tensors, load_weights, model_file, parsed
from monkeynet_edu.paths import data_small
from monkeynet_edu.training import LARGE_MOTIONS, Recipe, sprite_augmentation


@dataclass(frozen=True)
class Entry:
    """A rival that can be trained.

    Attributes:
        network: name of its class, in the module of its own name.
        config: name of its configuration's class.
        recipe: how it is trained.
        data: miniatures on which the paper compares it.
        shipped: miniatures whose weights come with the library.
    """

    network: str
    config: str
    recipe: Recipe
    data: tuple[str, ...]
    shipped: tuple[str, ...]


# Rates: the best of three at equal minutes (benchmarks/rivals.py --rates; data_small/results/rates.json).
_RECIPE = Recipe(16, 5e-4, "cosine", epochs=80)
RIVALS: dict[str, Entry] = {
    "x2face": Entry("X2Face", "X2FaceConfig", _RECIPE, ("mini-taichi", "mini-nemo", "mini-bair"), ("mini-taichi",)),
    "mocogan": Entry(
        "MoCoGAN",
        "MoCoGANConfig",
        replace(_RECIPE, batch_size=8, learning_rate=8e-4),
        ("mini-taichi", "mini-nemo", "mini-bair"),
        ("mini-nemo",),
    ),
    "cmmnet": Entry(
        "CMMNet", "CMMNetConfig", replace(_RECIPE, batch_size=8, learning_rate=4e-3), ("mini-nemo",), ("mini-nemo",)
    ),
    "sv2p": Entry("SV2P", "SV2PConfig", replace(_RECIPE, batch_size=8), ("mini-bair",), ("mini-bair",)),
}


def entry(name: str) -> Entry:
    """Looks a rival up.

    Raises:
        UserError: unknown name.
    """
    if name not in RIVALS:
        raise unknown_name("rival", name, RIVALS)
    return RIVALS[name]


def _classes(name: str) -> tuple[Callable[[RivalConfig], Rival], type[RivalConfig]]:
    found = entry(name)
    module = import_module(f"monkeynet_edu.baselines.{name}")
    return getattr(module, found.network), getattr(module, found.config)


def takes_windows(preset: str) -> bool:
    """Whether what is trained under this name learns from whole windows of frames, and not from pairs."""
    if preset not in RIVALS:
        return False
    network: Any = _classes(preset)[0]
    return bool(network.draws == "windows")


def config_of(name: str) -> RivalConfig:
    """A rival's configuration in miniature.

    Raises:
        UserError: unknown name.
    """
    return _classes(name)[1]()


def config_from(name: str, text: str) -> RivalConfig:
    """Reads ``RivalConfig.to_json``'s text.

    Raises:
        UserError: unknown name, or values out of range.
        ValueError: unknown or missing fields.
    """
    config: RivalConfig = from_plain(_classes(name)[1], parsed(text))
    return config


def title(name: str) -> str:
    """As in the paper's tables."""
    network: Any = _classes(name)[0]
    return str(network.title)


def recipe_for(name: str, data: str, seed: int, generated: bool) -> Recipe:
    """The rival's recipe, with the seed given and, for generated clips, their augmentation.

    Raises:
        UserError: unknown name.
    """
    how = replace(entry(name).recipe, seed=seed)
    if not generated:
        return how
    if takes_windows(name):  # a film that begins as those of the test do is not turned round in time
        return replace(how, augmentation=replace(sprite_augmentation(data), time_flip=0.0))
    reach = 0.15 if data in LARGE_MOTIONS else 1.0  # of pairs, as for ours: nearby frames first
    return replace(how, augmentation=sprite_augmentation(data), first_reach=reach)


def start(name: str, how: Recipe, data: str, device: Device, config: RivalConfig | None = None) -> RivalRun:
    """A new training: weights drawn from the recipe's seed, fresh optimizers.

    Args:
        name: of the rival.
        how: recipe.
        data: name of the training data, for the record.
        device: where to.
        config: None for the miniature's.
    """
    torch.manual_seed(how.seed)
    network = _classes(name)[0](config or config_of(name)).to(device.device)
    return RivalRun(network, RivalAdams(network.optimizers(how.learning_rate)), how, data)


def is_rival(path: Path) -> bool:
    """Whether a file, or the model of a run folder, says that it holds a rival."""
    file = model_file(path)
    if file.suffix != ".safetensors" or not file.is_file():
        return False
    try:
        with safe_open(file, "pt") as opened:
            return (opened.metadata() or {}).get("format") == FORMAT
    except (SafetensorError, OSError):
        return False


def load(path: str | Path) -> Rival:
    """Reads what ``Rival.save`` wrote: a safetensors file, or a run folder that holds ``model.safetensors``.

    Raises:
        UserError: no such file, no rival, or a damaged one.
    """
    file = model_file(path)
    tensors, header = load_tensors(file)
    if header.get("format") != FORMAT:
        raise UserError(f"{file}: expected a rival's weights, got another file; rivals are trained with --preset NAME")
    try:
        name = header["rival"]
        make, config = _classes(name)[0], config_from(name, header["config"])
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{file}: expected a rival's configuration, got a damaged one ({error})") from error
    rival = built(lambda: make(config), tensors, str(file))
    load_weights(rival, in_float32(tensors), str(file))
    return rival.eval()


def shipped_path(name: str, data: str) -> Path:
    """Where the shipped weights of a rival lie."""
    return data_small() / "weights" / f"{name}-{data}.safetensors"


def shipped(name: str, data: str) -> Rival:
    """A rival with the weights that come with the library.

    Raises:
        UserError: there are none for that miniature.
    """
    if data not in entry(name).shipped:
        raise UserError(
            f"{name}: expected a miniature with shipped weights ({', '.join(entry(name).shipped)}), got {data}; choose one "
            f"of them, or train: monkeynet-edu train --preset {name} --data {data}"
        )
    return load(shipped_path(name, data))


def film(rival: Rival, video: Tensor, task: Task, device: Device, seed: int = 0) -> Tensor:
    """Remakes a clip (T, 3, H, W): from the motion of its frames (reconstruction), or from the first frame alone.

    Raises:
        UserError: a task that this rival cannot do.
    """
    if task == "reconstruction":
        return rival.animate(video[0], video, device)
    return rival.predict(video[0], len(video), device, 1, seed)[0]


def measure(
    rival: Rival,
    clips: Sequence[Clip],
    device: Device,
    task: Task = "reconstruction",
    evaluators: Evaluators | None = None,
    seed: int = 0,
) -> metrics.Evaluation:
    """Measures a rival as ``metrics.measure`` measures Monkey-Net, as far as a rival has what is measured.

    Args:
        rival: trained.
        clips: as for ``metrics.evaluate``.
        device: where to compute.
        task: ``reconstruction`` or ``prediction``.
        evaluators: external networks, or None.
        seed: of the predicted films.

    Raises:
        UserError: a task that this rival cannot do, or no clip of two frames.
    """
    rival.check_can("animate" if task == "reconstruction" else "predict")
    rival = rival.to(device.device).eval()
    return metrics.measure_films(lambda video: film(rival, video, task, device, seed), clips, device, task, evaluators)
