"""The authors' checkpoint files and configurations, brought to this library.

Their convolutions are 3-D with a kernel of depth 1, M sits in the generator, and the configuration is a YAML file. The
mathematics is the same, so weights carry over by dropping that depth and renaming a few modules.
"""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from monkeynet_edu.discriminator import DiscriminatorConfig
from monkeynet_edu.errors import UserError
from monkeynet_edu.files import check_file
from monkeynet_edu.generator import GeneratorConfig
from monkeynet_edu.keypoints import Covariance, DetectorConfig
from monkeynet_edu.losses import LossWeights
from monkeynet_edu.model import MonkeyNet, MonkeyNetConfig, load_weights, preset
from monkeynet_edu.motion import EmbeddingConfig, Feature, FlowTerm, MotionConfig

# What reading a damaged pickle raises.
_DAMAGE: tuple[type[Exception], ...] = (RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError)
_DAMAGE += (ArithmeticError, AttributeError, AssertionError, MemoryError, ImportError, struct.error)
_NETWORKS = {"generator": "generator", "discriminator": "discriminator", "kp_detector": "detector"}


def our_name(network: str, name: str) -> str:
    """Name in this library of one of the authors' parameters.

    Args:
        network: ``generator``, ``discriminator`` or ``kp_detector``.
        name: inside that network's state dict.
    """
    name = name.removeprefix("module.")  # left behind by DataParallel
    name = name.replace("refinement_module.conv-last.", "last.").replace("refinement_module.r", "refinement_module.")
    return f"{_NETWORKS[network]}.{name}"


def convert_state(checkpoint: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The authors' three state dicts as one of ours; kernels (O, I, 1, h, w) become (O, I, h, w)."""
    state = {}
    for network in _NETWORKS:
        for name, value in checkpoint[network].items():
            state[our_name(network, name)] = value.squeeze(2) if value.ndim == 5 else value
    return state


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Opens a ``*.pth.tar`` file (PyTorch's old format) without executing anything in it.

    Raises:
        UserError: no such file, not a checkpoint, or one that wants to run code.
    """
    check_file(Path(path), "a checkpoint of the authors (.pth.tar)")
    checkpoint = read_tensors(Path(path))
    missing = [name for name in _NETWORKS if not isinstance(checkpoint, dict) or name not in checkpoint]
    if missing:
        raise UserError(f"{path}: expected the networks {', '.join(_NETWORKS)}, got none named {', '.join(missing)}")
    for network in _NETWORKS:
        state = checkpoint[network]
        if not isinstance(state, dict) or not all(isinstance(x, str) and isinstance(y, Tensor) for x, y in state.items()):
            raise UserError(f"{path}: expected named tensors as {network}, got something else; copy the file again")
    return dict(checkpoint)


def read_tensors(path: Path) -> Any:
    """What ``torch.save`` wrote, as far as it is tensors and plain containers; nothing in the file is executed.

    Raises:
        UserError: damaged, foreign, or it wants to run code.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # on the version of a damaged pickle
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: refused: expected tensors alone, got a file that is damaged or wants to run code when it is "
            "opened (nothing was run); get the file from its authors again"
        ) from error
    except _DAMAGE as error:
        raise UserError(f"{path}: expected a PyTorch checkpoint, got a damaged or foreign file; copy it again") from error


def _embedding(params: Mapping[str, Any] | None, heatmap: Literal["gaussian", "difference"]) -> EmbeddingConfig | None:
    """An embedding from the authors' keys; ``heatmap`` is their default where the file says nothing."""
    if params is None:
        return None
    keys: dict[Feature, tuple[str, bool]] = {
        "heatmap": ("use_heatmap", True),
        "displacement": ("use_difference", False),
        "deformed_source": ("use_deformed_source_image", False),
    }
    features = tuple(feature for feature, (key, default) in keys.items() if params.get(key, default))
    return EmbeddingConfig(
        features,
        params.get("heatmap_type", heatmap),
        params.get("norm_const", "sum"),
        float(params.get("scale_factor", 1)),
    )


def _motion(params: Mapping[str, Any] | None) -> MotionConfig | None:
    """M from the authors' ``dense_motion_params``; None is the ablation "No F"."""
    if params is None:
        return None
    terms: dict[FlowTerm, str] = {"coarse": "use_mask", "residual": "use_correction"}
    embedding = _embedding(params["mask_embedding_params"], "gaussian")
    assert embedding is not None
    return MotionConfig(
        width=params["block_expansion"],
        max_width=params["max_features"],
        levels=params["num_blocks"],
        embedding=embedding,
        flow=tuple(term for term, key in terms.items() if params[key]),
        group_blocks=params.get("num_group_blocks", 0),
        background_bias=float(params.get("bg_init", 2)),
        scale=float(params.get("scale_factor", 1)),
    )


def _covariance(value: str | float) -> Covariance:
    """The authors' ``kp_variance``: ``matrix``, ``single`` or a number."""
    if value == "matrix":
        return "full"
    return "isotropic" if value == "single" else float(value)


def config_from_official(config: Mapping[str, Any], frame_size: int = 64) -> MonkeyNetConfig:
    """Reads a configuration in the structure of the authors' YAML files.

    Args:
        config: with ``model_params`` and, for the loss weights, ``train_params``; ``dataset_params.image_shape``,
            where present, decides the frame size.
        frame_size: where the file does not say.

    Raises:
        UserError: a key that a model needs is missing.
    """
    try:
        model, train = config["model_params"], config.get("train_params", {})
        common, det, gen, dis = (
            model[k] for k in ("common_params", "kp_detector_params", "generator_params", "discriminator_params")
        )
        weights = train.get("loss_weights", {})
        shape = config.get("dataset_params", {}).get("image_shape", [frame_size])
        absolute = config.get("transfer_params", {}).get("normalization_params", {}).get("move_location") is False
        return MonkeyNetConfig(
            frame_size=int(shape[0]),
            detector=DetectorConfig(
                common["num_kp"],
                det["block_expansion"],
                det["max_features"],
                det["num_blocks"],
                float(det["temperature"]),
                _covariance(common["kp_variance"]),
                det.get("clip_variance"),
                float(det.get("scale_factor", 1)),
                common.get("num_channels", 3),
            ),
            generator=GeneratorConfig(
                gen["block_expansion"],
                gen["max_features"],
                gen["num_blocks"],
                gen["num_refinement_blocks"],
                _embedding(gen.get("kp_embedding_params"), "gaussian"),
                _motion(gen.get("dense_motion_params")),
            ),
            discriminator=DiscriminatorConfig(
                dis["block_expansion"],
                dis["max_features"],
                dis["num_blocks"],
                _embedding(dis.get("kp_embedding_params"), "gaussian"),
                float(dis.get("scale_factor", 1)),
            ),
            losses=_losses(weights, dis["num_blocks"]),
            transfer="absolute" if absolute else "relative",
        )
    except KeyError as error:
        raise UserError(f"configuration: expected the authors' YAML structure, got no {error}; add that key") from error


def _losses(weights: Mapping[str, Any], blocks: int) -> LossWeights:
    """Loss weights from the authors' keys; the published ones where a key is missing."""
    matching = weights.get("reconstruction") or [0.0] * (blocks + 1)
    if "reconstruction" not in weights:
        matching = [10.0] * blocks + [1.0]
    return LossWeights(
        tuple(float(w) for w in matching),
        float(weights.get("reconstruction_deformed", 0)),
        float(weights.get("generator_gan", 1)),
        float(weights.get("discriminator_gan", 1)),
    )


def load(path: str | Path, config: str | MonkeyNetConfig | Mapping[str, Any]) -> MonkeyNet:
    """Loads a checkpoint of the authors; see :meth:`monkeynet_edu.model.MonkeyNet.from_official`."""
    checkpoint = read_checkpoint(path)
    if isinstance(config, str):
        config = preset(config)
    elif not isinstance(config, MonkeyNetConfig):
        config = config_from_official(config)
    state = convert_state(checkpoint)
    load_weights(model := MonkeyNet(config), state, str(path))
    return model.eval()
