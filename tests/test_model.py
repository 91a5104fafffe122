"""Presets, JSON, saving and loading, choice of device."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from monkeynet_edu import model as model_module
from monkeynet_edu.discriminator import DiscriminatorConfig
from monkeynet_edu.errors import UserError
from monkeynet_edu.generator import GeneratorConfig
from monkeynet_edu.keypoints import DetectorConfig
from monkeynet_edu.losses import LossWeights
from monkeynet_edu.model import MonkeyNet, MonkeyNetConfig, first_difference, pick_device, preset
from monkeynet_edu.motion import MotionConfig

TINY = MonkeyNetConfig(
    frame_size=16,
    detector=DetectorConfig(2, 4, 8, 2),
    generator=GeneratorConfig(4, 8, 2, 1, motion=MotionConfig(4, 8, 2)),
    discriminator=DiscriminatorConfig(4, 8, 1),
    losses=LossWeights((10.0, 1.0)),
)
# Generator with M, M, detector, discriminator, in millions, as published.
PUBLISHED = {
    "shapes": (2.11, 1.03, 1.03, 1.71),
    "actions": (19.09, 9.44, 9.41, 1.72),
    "nemo": (19.09, 9.44, 9.41, 1.72),
    "taichi": (28.53, 14.16, 14.13, 1.72),
    "bair": (19.09, 9.44, 9.41, 1.72),
    "mgif": (52.24, 14.18, 14.13, 1.72),
}


def millions(module: nn.Module | None) -> float:
    assert module is not None
    return round(sum(p.numel() for p in module.parameters()) / 1e6, 2)


def fresh(config: MonkeyNetConfig = TINY, seed: int = 0) -> MonkeyNet:
    torch.manual_seed(seed)
    return MonkeyNet(config)


def one_line(error: pytest.ExceptionInfo[UserError], *parts: str) -> None:
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_have_the_published_numbers_of_parameters(name: str) -> None:
    with torch.device("meta"):
        model = MonkeyNet.from_preset(name)
    g = model.generator
    found = (millions(g), millions(g.dense_motion_module), millions(model.detector), millions(model.discriminator))
    assert found == PUBLISHED[name]


def test_presets_differ_where_the_published_configurations_do() -> None:
    assert (preset("mgif").frame_size, preset("nemo").frame_size) == (128, 64)
    assert (preset("mgif").transfer, preset("taichi").transfer) == ("absolute", "relative")
    assert (preset("bair").losses.deformed, preset("nemo").losses.deformed) == (10, 0)
    assert preset("actions").detector.least_covariance is None
    motions = [preset(name).generator.motion for name in ("shapes", "nemo")]
    assert [m.group_blocks for m in motions if m is not None] == [0, 2]
    assert preset("nemo").detector.least_covariance == 0.001
    assert preset("nemo").losses.feature_matching == (10, 10, 10, 10, 1)
    for name, normalisation in {"shapes": 10, "nemo": 100, "bair": "sum"}.items():
        config = preset(name)
        assert config.generator.motion is not None
        embeddings = (config.generator.embedding, config.generator.motion.embedding, config.discriminator.embedding)
        assert [e.normalisation for e in embeddings if e is not None] == [normalisation] * 3


def test_an_unknown_preset_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(UserError) as error:
        MonkeyNet.from_preset("taici")
    one_line(error, "'taici'", "taichi")


@pytest.mark.parametrize("name", model_module.PRESETS)
def test_every_preset_survives_json(name: str) -> None:
    text = preset(name).to_json()
    assert MonkeyNetConfig.from_json(text) == preset(name)
    assert MonkeyNetConfig.from_json(text).to_json() == text


def test_ablations_survive_json() -> None:
    for changed in (
        dataclasses.replace(TINY, generator=dataclasses.replace(TINY.generator, motion=None, embedding=None)),
        dataclasses.replace(TINY, detector=dataclasses.replace(TINY.detector, covariance=0.01)),
    ):
        assert MonkeyNetConfig.from_json(changed.to_json()) == changed


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_json_with_a_missing_or_unknown_field_is_refused(change: str) -> None:
    plain = json.loads(TINY.to_json())
    if change == "missing":
        del plain["detector"]["levels"]
    else:
        plain["detector"]["depth"] = 3
    with pytest.raises(ValueError, match="DetectorConfig"):
        MonkeyNetConfig.from_json(json.dumps(plain))


def test_the_first_differing_field_is_named_with_both_values() -> None:
    other = dataclasses.replace(TINY, detector=dataclasses.replace(TINY.detector, temperature=0.2), transfer="absolute")
    assert first_difference(TINY, other) == "detector.temperature: 0.1 here, 0.2 there"
    assert first_difference(TINY, TINY) is None


def test_a_configuration_whose_losses_do_not_fit_the_discriminator_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 2 weights.*got 5"):
        dataclasses.replace(TINY, losses=LossWeights())
    with pytest.raises(ValueError, match="'sideways'"):
        dataclasses.replace(TINY, transfer="sideways")


def test_frame_sizes_must_be_multiples_of_the_stride() -> None:
    assert preset("nemo").stride == 32
    assert preset("mgif").stride == 64  # 6 halvings in G; 5 at half size in Δ and M
    assert dataclasses.replace(TINY, detector=DetectorConfig(levels=3)).stride == 8
    assert dataclasses.replace(TINY, generator=GeneratorConfig(levels=3, motion=None)).stride == 8
    preset("nemo").check_frame_size(96)
    with pytest.raises(UserError) as error:
        preset("nemo").check_frame_size(30)
    one_line(error, "30", "multiple of 32", "works is 32")
    with pytest.raises(UserError):
        preset("nemo").check_frame_size(0)


def test_a_model_detects_and_draws() -> None:
    model = fresh().eval()
    frames = torch.rand(2, 3, 16, 16)
    found = model.detect(frames)
    drawn = model(frames, found, found)
    assert found.mean.shape == (2, 2, 2)
    assert drawn.prediction.shape == frames.shape


def test_saving_and_loading_in_float32_changes_no_bit(tmp_path: Path) -> None:
    model = fresh()
    with torch.no_grad():
        model.detector.predictor.encoder.down_blocks[0].norm.num_batches_tracked += 3
    model.save(tmp_path / "run" / "model.safetensors")
    for path in (tmp_path / "run" / "model.safetensors", tmp_path / "run"):
        loaded = MonkeyNet.load(path, TINY)
        assert loaded.config == TINY
        assert not loaded.training
        assert loaded.state_dict().keys() == model.state_dict().keys()
        for name, tensor in model.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], tensor), name
            assert loaded.state_dict()[name].dtype == tensor.dtype
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["model.safetensors"]


def test_float16_halves_the_file_and_changes_weights_by_less_than_a_thousandth(tmp_path: Path) -> None:
    model = fresh()
    model.save(tmp_path / "full.safetensors")
    model.save(tmp_path / "half.safetensors", torch.float16)
    tensors = safetensors.torch.load_file(tmp_path / "half.safetensors")
    assert {t.dtype for t in tensors.values()} == {torch.float16, torch.int64}
    loaded = MonkeyNet.load(tmp_path / "half.safetensors")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=1e-3, atol=1e-7)
    header = 40_000  # names, shapes and configuration
    full, half = (os.path.getsize(tmp_path / f"{n}.safetensors") for n in ("full", "half"))
    assert half < full / 2 + header


def test_another_configuration_is_refused_and_its_first_difference_named(tmp_path: Path) -> None:
    fresh().save(tmp_path / "m.safetensors")
    wanted = dataclasses.replace(TINY, detector=dataclasses.replace(TINY.detector, keypoints=5))
    with pytest.raises(UserError) as error:
        MonkeyNet.load(tmp_path / "m.safetensors", wanted)
    one_line(error, "m.safetensors", "detector.keypoints: 5 here, 2 there")


@pytest.mark.parametrize("path", ["absent.safetensors", "."])
def test_a_missing_file_is_refused_in_one_line(path: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        MonkeyNet.load(tmp_path / path)
    one_line(error, "no such file", ".safetensors")


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(UserError) as error:
        MonkeyNet.load(tmp_path / "foreign.safetensors")
    one_line(error, "foreign.safetensors", "foreign file")


def test_a_file_with_another_models_tensors_is_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "m.safetensors", {"config": TINY.to_json()})
    with pytest.raises(UserError) as error:
        MonkeyNet.load(tmp_path / "m.safetensors")
    one_line(error, "m.safetensors", "detector.predictor.decoder.conv.bias", "nothing in the file")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(share: float, tmp_path: Path) -> None:
    fresh().save(tmp_path / "m.safetensors")
    data = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError) as error:
        MonkeyNet.load(tmp_path / "m.safetensors")
    one_line(error, "m.safetensors", "expected a safetensors file")


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError) as error:
        fresh().save(tmp_path / "file" / "m.safetensors")
    one_line(error, "m.safetensors", "could not be written")


def test_a_failed_write_leaves_the_old_file_as_it_was_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh().save(tmp_path / "m.safetensors")
    before = (tmp_path / "m.safetensors").read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UserError) as error:
        fresh(seed=1).save(tmp_path / "m.safetensors")
    one_line(error, "No space left on device", "untouched")
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
    assert (tmp_path / "m.safetensors").read_bytes() == before


def test_weights_of_another_shape_are_refused_by_name(tmp_path: Path) -> None:
    state = dict(fresh().state_dict())
    state["generator.last.weight"] = torch.zeros(3, 1, 1, 1)
    with pytest.raises(UserError) as error:
        model_module.load_weights(fresh(), state, "here.pt")
    one_line(error, "here.pt", "generator.last.weight is (3, 1, 1, 1) in the file", "(3, 9, 1, 1)")


def test_pick_device_finds_the_processor_and_keeps_the_precision_that_is_asked_for() -> None:
    found = pick_device("cpu", "bfloat16")
    assert found.device == torch.device("cpu")
    assert found.precision == "bfloat16"
    with found.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with pick_device("cpu", "float32").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize(("fast", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_bfloat16_is_picked_only_where_the_processor_has_it(
    fast: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "_bfloat16_is_fast", lambda _: fast)
    assert pick_device("cpu").precision == precision


def test_cuda_is_preferred_to_mps_and_mps_to_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto", "float32").device.type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto", "float32").device.type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto", "float32").device.type == "cpu"


@pytest.mark.parametrize("name", ["cuda:99", "toaster"])
def test_a_device_that_is_not_there_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError) as error:
        pick_device(name)
    one_line(error, name, "cpu")
