"""The authors' checkpoints and configurations: round trip, refusals, nothing executed."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from monkeynet_edu import official
from monkeynet_edu.discriminator import DiscriminatorConfig
from monkeynet_edu.errors import UserError
from monkeynet_edu.generator import GeneratorConfig
from monkeynet_edu.keypoints import DetectorConfig
from monkeynet_edu.losses import LossWeights
from monkeynet_edu.model import PRESETS, MonkeyNet, MonkeyNetConfig
from monkeynet_edu.motion import EmbeddingConfig, Feature, MotionConfig, Normalisation

FIXTURE = Path(__file__).parent / "fixtures" / "nemo_tiny.pth.tar"


def tiny(
    group_blocks: int = 0,
    normalisation: Normalisation = 100.0,
    features: tuple[Feature, ...] = ("heatmap", "deformed_source"),
    scale: float = 1.0,
    levels: int = 2,
) -> MonkeyNetConfig:
    """A small configuration with the peculiarities of one of the authors'."""
    motion = MotionConfig(
        4, 8, 2, EmbeddingConfig(features, normalisation=normalisation), group_blocks=group_blocks, scale=scale
    )
    embedding = EmbeddingConfig(normalisation=normalisation, scale=scale)
    shown = EmbeddingConfig(heatmap="gaussian", normalisation=normalisation)
    return MonkeyNetConfig(
        detector=DetectorConfig(2, 4, 8, 2, scale=scale),
        generator=GeneratorConfig(4, 8, levels, 2, embedding=embedding, motion=motion),
        discriminator=DiscriminatorConfig(4, 8, 2, shown),
        losses=LossWeights((10.0, 10.0, 1.0)),
    )


KINDS = {
    "shapes": tiny(),
    "nemo": tiny(group_blocks=2),
    "bair": tiny(group_blocks=2, normalisation="sum"),
    "mgif": tiny(2, features=("heatmap", "displacement", "deformed_source"), scale=0.5, levels=3),
}


def authors_name(name: str) -> tuple[str, str]:
    """One of our parameters in the authors' spelling: network and name."""
    network, rest = name.split(".", 1)
    if rest.startswith("last."):
        rest = "refinement_module.conv-" + rest
    elif rest.startswith("refinement_module."):
        rest = rest.replace("refinement_module.", "refinement_module.r")
    return ("kp_detector" if network == "detector" else network), rest


def authors_checkpoint(model: MonkeyNet, prefix: str = "") -> dict[str, Any]:
    """The weights of a model as the authors' training script stores them."""
    out: dict[str, Any] = {"generator": {}, "discriminator": {}, "kp_detector": {}, "epoch": 1, "it": 2}
    for name, value in model.state_dict().items():
        network, rest = authors_name(name)
        out[network][prefix + rest] = value[:, :, None] if value.ndim == 4 else value
    for network in ("generator", "discriminator", "kp_detector"):
        out[f"optimizer_{network}"] = {"state": {}, "param_groups": [{"lr": 2e-4, "params": [0]}]}
    return out


def write(checkpoint: dict[str, Any], path: Path) -> Path:
    torch.save(checkpoint, path, _use_new_zipfile_serialization=False)
    return path


def fresh(config: MonkeyNetConfig) -> MonkeyNet:
    """A model in which no tensor has its initial value, so that one that is not loaded shows."""
    torch.manual_seed(0)
    model = MonkeyNet(config)
    for tensor in model.state_dict().values():
        tensor.copy_(torch.randint(1, 9, tensor.shape) if tensor.ndim == 0 else torch.rand(tensor.shape))
    return model


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def one_line(error: pytest.ExceptionInfo[UserError], *parts: str) -> None:
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_in_the_authors_format_come_back_bit_by_bit(kind: str, prefix: str, tmp_path: Path) -> None:
    model = fresh(KINDS[kind])
    path = write(authors_checkpoint(model, prefix), tmp_path / "model.pth.tar")
    assert not path.read_bytes().startswith(b"PK")  # the old format, no archive
    loaded = MonkeyNet.from_official(path, KINDS[kind])
    assert same(loaded.state_dict(), model.state_dict())
    assert not loaded.training


def test_our_spelling_of_the_names_fits_a_checkpoint_of_the_authors() -> None:
    ours = official.convert_state(official.read_checkpoint(FIXTURE))
    theirs = torch.load(FIXTURE, weights_only=True)
    assert len(ours) == sum(len(theirs[n]) for n in ("generator", "discriminator", "kp_detector"))
    for name in ours:
        network, rest = authors_name(name)
        assert rest in theirs[network]
    assert {t.ndim for t in ours.values()} == {0, 1, 4}


def test_names_by_hand() -> None:
    assert official.our_name("kp_detector", "module.predictor.decoder.conv.bias") == "detector.predictor.decoder.conv.bias"
    assert official.our_name("generator", "refinement_module.r2.conv1.bias") == "generator.refinement_module.2.conv1.bias"
    assert official.our_name("generator", "refinement_module.conv-last.weight") == "generator.last.weight"


def test_the_wrong_preset_is_refused_and_names_the_first_differing_tensor() -> None:
    with pytest.raises(UserError) as error:
        MonkeyNet.from_official(FIXTURE, "shapes")
    # 10 keypoints and 8 channels in the file; 4 and 16 in the preset.
    one_line(error, "nemo_tiny.pth.tar", "detector.predictor.decoder.conv.bias is (10,) in the file", "(4,)")
    with pytest.raises(UserError, match="unknown preset"):
        MonkeyNet.from_official(FIXTURE, "monkeys")


@pytest.mark.parametrize("missing", ["generator", "discriminator", "kp_detector"])
def test_a_missing_network_is_named(missing: str, tmp_path: Path) -> None:
    checkpoint = authors_checkpoint(fresh(KINDS["shapes"]))
    del checkpoint[missing]
    with pytest.raises(UserError) as error:
        MonkeyNet.from_official(write(checkpoint, tmp_path / "part.pth.tar"), KINDS["shapes"])
    one_line(error, "part.pth.tar", f"got none named {missing}")


@pytest.mark.parametrize("content", [torch.ones(2), [torch.ones(2)]], ids=["tensor", "list"])
def test_a_file_that_is_no_dictionary_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "list.pth.tar", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match="got none named generator, discriminator, kp_detector"):
        official.read_checkpoint(tmp_path / "list.pth.tar")


class _Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("new_format", [False, True])
def test_a_file_that_wants_to_run_code_is_refused_and_nothing_is_run(new_format: bool, tmp_path: Path) -> None:
    sign = tmp_path / "executed"
    checkpoint = authors_checkpoint(fresh(KINDS["shapes"])) | {"note": _Trap(sign)}
    torch.save(checkpoint, tmp_path / "evil.pth.tar", _use_new_zipfile_serialization=new_format)
    with pytest.raises(UserError) as error:
        MonkeyNet.from_official(tmp_path / "evil.pth.tar", KINDS["shapes"])
    one_line(error, "evil.pth.tar", "refused", "nothing was run")
    assert not sign.exists()
    pickle.loads(pickle.dumps(_Trap(sign)))  # the trap does work
    assert sign.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", FIXTURE.read_bytes()[:20_000]])
def test_a_damaged_file_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "damaged.pth.tar").write_bytes(content)
    with pytest.raises(UserError) as error:
        official.read_checkpoint(tmp_path / "damaged.pth.tar")
    one_line(error, "damaged.pth.tar")


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        official.read_checkpoint(tmp_path / "absent.pth.tar")
    one_line(error, "absent.pth.tar", "no such file")


def yaml_dict(
    width: int = 32,
    bound: int = 512,
    keypoints: int = 10,
    norm_const: str | int = 100,
    clip: float | None = 0.001,
    groups: int | None = 2,
) -> dict[str, Any]:
    """A published configuration for 64×64 frames; keys left out there are left out here."""
    networks = {"block_expansion": width, "max_features": bound, "num_blocks": 5}
    mask = {
        "use_heatmap": True,
        "use_deformed_source_image": True,
        "heatmap_type": "difference",
        "norm_const": norm_const,
    }
    motion = networks | {"use_mask": True, "use_correction": True, "mask_embedding_params": mask}
    detector: dict[str, Any] = {"temperature": 0.1} | networks
    if groups is not None:
        motion["num_group_blocks"] = groups
    if clip is not None:
        detector["clip_variance"] = clip
    shown = {"use_heatmap": True, "norm_const": norm_const, "heatmap_type": "difference"}
    generator = networks | {"num_refinement_blocks": 4, "dense_motion_params": motion, "kp_embedding_params": shown}
    return {
        "dataset_params": {"image_shape": [64, 64, 3]},
        "model_params": {
            "common_params": {"num_kp": keypoints, "kp_variance": "matrix", "num_channels": 3},
            "kp_detector_params": detector,
            "generator_params": generator,
            "discriminator_params": {
                "kp_embedding_params": {"norm_const": norm_const},
                "block_expansion": 32,
                "max_features": 256,
                "num_blocks": 4,
            },
        },
        "train_params": {
            "loss_weights": {
                "reconstruction": [10, 10, 10, 10, 1],
                "reconstruction_deformed": 0,
                "generator_gan": 1,
                "discriminator_gan": 1,
            },
            "lr": 2.0e-4,
        },
        "transfer_params": {"normalization_params": {"move_location": True}},
    }


def bair() -> dict[str, Any]:
    config = yaml_dict(norm_const="sum")
    config["train_params"]["loss_weights"]["reconstruction_deformed"] = 10
    return config


def mgif() -> dict[str, Any]:
    config = yaml_dict(bound=1024)
    config["dataset_params"]["image_shape"] = [128, 128, 3]
    config["transfer_params"]["normalization_params"]["move_location"] = False
    params = config["model_params"]
    params["kp_detector_params"]["scale_factor"] = 0.5
    generator = params["generator_params"]
    generator["num_blocks"] = 6
    generator["kp_embedding_params"]["scale_factor"] = 0.5
    generator["dense_motion_params"]["scale_factor"] = 0.5
    generator["dense_motion_params"]["mask_embedding_params"]["use_difference"] = True
    return config


PUBLISHED = {
    "shapes": yaml_dict(16, 128, 4, 10, clip=None, groups=None),
    "actions": yaml_dict(clip=None),
    "nemo": yaml_dict(),
    "taichi": yaml_dict(bound=1024),
    "bair": bair(),
    "mgif": mgif(),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_configurations_are_our_presets(name: str) -> None:
    assert official.config_from_official(PUBLISHED[name]) == PRESETS[name]


def test_missing_loss_weights_are_the_published_ones() -> None:
    config = copy.deepcopy(PUBLISHED["nemo"])
    del config["train_params"]
    assert official.config_from_official(config) == PRESETS["nemo"]


def changed(path: str, value: object) -> MonkeyNetConfig:
    """Our reading of nemo's configuration with one value of ``model_params`` changed."""
    config = copy.deepcopy(PUBLISHED["nemo"])
    *folders, key = path.split(".")
    place = config["model_params"]
    for folder in folders:
        place = place[folder]
    place[key] = value
    return official.config_from_official(config)


def test_the_ablations_of_the_paper_are_read() -> None:
    dense = "generator_params.dense_motion_params"
    nemo = PRESETS["nemo"]
    motion = nemo.generator.motion
    assert motion is not None

    def with_motion(new: MotionConfig | None) -> MonkeyNetConfig:
        return dataclasses.replace(nemo, generator=dataclasses.replace(nemo.generator, motion=new))

    assert changed(dense, None) == with_motion(None)
    assert changed(f"{dense}.use_correction", False) == with_motion(dataclasses.replace(motion, flow=("coarse",)))
    assert changed(f"{dense}.use_mask", False) == with_motion(dataclasses.replace(motion, flow=("residual",)))
    no_source = dataclasses.replace(motion.embedding, features=("heatmap",))
    assert changed(f"{dense}.mask_embedding_params.use_deformed_source_image", False) == with_motion(
        dataclasses.replace(motion, embedding=no_source)
    )
    assert changed("common_params.kp_variance", 0.01).detector.covariance == 0.01
    assert changed("common_params.kp_variance", "single").detector.covariance == "isotropic"


def test_a_missing_key_is_named() -> None:
    config = copy.deepcopy(PUBLISHED["nemo"])
    del config["model_params"]["kp_detector_params"]["temperature"]
    with pytest.raises(UserError) as error:
        official.config_from_official(config)
    one_line(error, "'temperature'")
    with pytest.raises(UserError, match="'model_params'"):
        official.config_from_official({})


def test_a_checkpoint_loads_with_the_authors_configuration_alone() -> None:
    reference = torch.load(FIXTURE.with_name("nemo_tiny.expected.pt"), weights_only=True)
    model = MonkeyNet.from_official(FIXTURE, reference["config"])
    assert model.config.detector.keypoints == 10
    assert model.config.generator.motion is not None
    assert model.config.generator.motion.group_blocks == 2
