"""Deformed skips: what is read where, the ablation without flow, reuse of the encoded source."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from monkeynet_edu import generator as gen
from monkeynet_edu import geometry
from monkeynet_edu.generator import Generator, GeneratorConfig
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.motion import EmbeddingConfig, MotionConfig


def keypoints(batch: int, seed: int, dtype: torch.dtype = torch.float32) -> Keypoints:
    mean = torch.rand(batch, 2, 2, generator=torch.Generator().manual_seed(seed)) - 0.5
    return Keypoints(mean.to(dtype), (0.05 * torch.eye(2, dtype=dtype)).expand(batch, 2, 2, 2))


def picture(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(4))


def small(**changes: object) -> GeneratorConfig:
    motion = MotionConfig(width=4, max_width=8, levels=2)
    settings = {"width": 4, "max_width": 8, "levels": 2, "refinement_blocks": 1, "motion": motion}
    return GeneratorConfig(**(settings | changes))  # type: ignore[arg-type]


def build(**changes: object) -> Generator:
    torch.manual_seed(0)
    return Generator(small(**changes), keypoints=2).eval()


SHIFT = torch.tensor([0.25, 0.0])


def test_without_flow_the_deformation_is_the_lattice_and_the_deformed_picture_the_source() -> None:
    source = picture(2, 3, 8, 12)
    drawn = build(motion=None)(source, keypoints(2, 0), keypoints(2, 1))
    assert torch.equal(drawn.motion.deformation, geometry.lattice(8, 12).expand(2, 8, 12, 2))
    torch.testing.assert_close(drawn.deformed, source, atol=1e-5, rtol=0)
    assert drawn.motion.masks is None
    assert drawn.motion.coarse is None
    assert drawn.motion.residual is None


def test_the_prediction_is_a_picture_between_zero_and_one() -> None:
    drawn = build()(picture(2, 3, 8, 12), keypoints(2, 0), keypoints(2, 1))
    assert drawn.prediction.shape == (2, 3, 8, 12)
    assert 0 < drawn.prediction.min() < drawn.prediction.max() < 1


def test_deformed_is_the_source_read_at_the_deformation() -> None:
    source = picture(2, 3, 8, 12)
    drawn = build()(source, keypoints(2, 0), keypoints(2, 1))
    torch.testing.assert_close(drawn.deformed, geometry.warp(source, drawn.motion.deformation))
    assert not torch.allclose(drawn.deformed, source, atol=1e-3)  # something did move


def test_the_motion_is_that_from_source_to_driving_keypoints() -> None:
    model, source = build(), picture(1, 3, 8, 8)
    a, b = keypoints(1, 0), keypoints(1, 1)
    assert model.dense_motion_module is not None
    wanted = model.dense_motion_module(source, a, b).deformation
    assert torch.equal(model(source, a, b).motion.deformation, wanted)
    assert not torch.equal(model(source, b, a).motion.deformation, wanted)


def test_every_level_is_read_at_the_deformation_brought_to_its_size() -> None:
    levels = [picture(1, 3, 8, 16), picture(1, 5, 4, 8), picture(1, 7, 2, 4)]
    deformation = (geometry.lattice(8, 16) + SHIFT)[None]
    out = gen.deform_levels(levels, deformation)
    for level, moved in zip(levels, out, strict=True):
        step = deformation.shape[2] // level.shape[-1]
        assert torch.equal(moved, geometry.warp(level, deformation[:, ::step, ::step]))


def test_a_deformation_smaller_than_the_picture_is_enlarged_as_configured() -> None:
    image, half = picture(1, 3, 8, 16), geometry.lattice(4, 8)[None]
    torch.testing.assert_close(gen.deform_levels([image], half, "bilinear")[0], image, atol=1e-5, rtol=0)
    nearest = gen.deform_levels([image], half, "nearest")[0]
    assert torch.equal(nearest[..., ::2, ::2], nearest[..., 1::2, 1::2])


def test_the_networks_use_the_configured_enlargement() -> None:
    source, points = picture(1, 3, 16, 16), keypoints(1, 0)
    half = MotionConfig(width=4, max_width=8, levels=2, scale=0.5)
    still = build(motion=half, resize="bilinear")(source, points, points).deformed
    torch.testing.assert_close(still, source, atol=1e-5, rtol=0)
    assert not torch.allclose(build(motion=half)(source, points, points).deformed, source, atol=1e-2)


def test_features_keep_their_precision_when_they_are_deformed() -> None:
    features = picture(1, 2, 4, 4).bfloat16()
    out = gen.deform_levels([features], geometry.lattice(4, 4)[None])[0]
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, features)


def test_the_encoded_source_can_be_used_again() -> None:
    model, source = build(), picture(2, 3, 8, 8)
    a, b = keypoints(2, 0), keypoints(2, 1)
    encoded = model.appearance_encoder(source)
    again, anew = model(source, a, b, encoded).prediction, model(source, a, b).prediction
    assert torch.allclose(again, anew, atol=1e-6)  # in another memory format the last digit may differ
    assert len(encoded) == 3
    zeros = [torch.zeros_like(level) for level in encoded]
    assert not torch.equal(model(source, a, b, zeros).prediction, model(source, a, b).prediction)


def test_the_heatmaps_are_appended_last_to_every_level_by_nearest_without_background() -> None:
    model, source = build(), picture(1, 3, 8, 8)
    a, b = keypoints(1, 0), keypoints(1, 1)
    levels = model.appearance_encoder(source)
    joined = model.append_keypoints(levels, source, a, b)
    assert [x.shape[1] for x in joined] == [3 + 2, 8 + 2, 8 + 2]
    assert torch.equal(joined[1][:, :8], levels[1])
    assert torch.equal(joined[2][:, 8:], joined[0][:, 3:, ::4, ::4])
    assert torch.equal(build(embedding=None).append_keypoints(levels, source, a, b)[0], levels[0])


def test_the_last_convolution_sees_width_picture_and_heatmaps() -> None:
    assert build().last.in_channels == 4 + 3 + 2
    assert build(embedding=None).last.in_channels == 4 + 3
    assert build().last.kernel_size == (1, 1)
    assert len(build(refinement_blocks=3).refinement_module) == 3


def test_the_prediction_is_the_sigmoid_of_the_last_convolution() -> None:
    model = build()
    nn.init.zeros_(model.last.weight)
    assert model.last.bias is not None
    nn.init.zeros_(model.last.bias)
    assert (model(picture(1, 3, 8, 8), keypoints(1, 0), keypoints(1, 1)).prediction == 0.5).all()


def assembled(model: Generator) -> list[Tensor]:
    """What the decoder reads of a picture that does not move."""
    source, points = picture(1, 3, 8, 8), keypoints(1, 0)
    return model.append_keypoints(model.appearance_encoder(source), source, points, points)


def test_an_untrained_generator_that_draws_changes_draws_the_deformed_frame() -> None:
    drawn = build(draws="change")(picture(2, 3, 8, 12), keypoints(2, 0), keypoints(2, 1))
    torch.testing.assert_close(drawn.prediction, drawn.deformed, atol=1 / 500, rtol=0)
    assert not torch.allclose(build()(picture(2, 3, 8, 12), keypoints(2, 0), keypoints(2, 1)).prediction, drawn.deformed)


@pytest.mark.parametrize(
    ("colour", "drawn"),
    # sigmoid(log 3 + log(c / (1 - c))) = 3c / (1 + 2c); black counts as 1/512, white as 511/512
    [(0.5, 3 / 4), (0.25, 1 / 2), (0.0, 3 / 514), (1.0, 1533 / 1534), (-0.1, 3 / 514)],
)
def test_a_change_is_added_to_what_the_sigmoid_makes_the_colour_of(colour: float, drawn: float) -> None:
    model = build(draws="change")
    assert model.last.bias is not None
    nn.init.constant_(model.last.bias, math.log(3))
    levels = assembled(model)
    made = model.draw(levels, torch.full((1, 3, 8, 8), colour))
    torch.testing.assert_close(made, torch.full_like(made, drawn))


def test_a_change_of_black_and_white_has_a_gradient() -> None:
    model = build(draws="change")
    levels = assembled(model)
    model.draw(levels, torch.ones(1, 3, 8, 8)).sum().backward()
    assert model.last.weight.grad is not None
    assert model.last.weight.grad.abs().max() > 0


def test_the_change_of_a_frame_keeps_the_precision_of_the_frame() -> None:
    model = build(draws="change").double()
    source = picture(1, 3, 8, 8).double()
    drawn = model(source, keypoints(1, 0, torch.float64), keypoints(1, 1, torch.float64))
    assert drawn.prediction.dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        half = build(draws="change")(picture(1, 3, 8, 8), keypoints(1, 0), keypoints(1, 1))
    torch.testing.assert_close(half.prediction, half.deformed, atol=1 / 500, rtol=0)  # bf16 is off by up to 1/512 itself


def test_an_unknown_way_of_drawing_is_refused() -> None:
    with pytest.raises(ValueError, match="'half'"):
        small(draws="half")


def test_gradients_reach_the_keypoints_of_both_frames() -> None:
    a, b = keypoints(1, 0), keypoints(1, 1)
    a.mean.requires_grad_()
    b.mean.requires_grad_()
    build()(picture(1, 3, 8, 8), a, b).prediction.sum().backward()
    for mean in (a.mean, b.mean):
        assert mean.grad is not None
        assert mean.grad.abs().min() > 0


def test_the_stride_is_the_largest_that_a_part_needs() -> None:
    assert small().stride == 4
    assert small(motion=None, levels=3).stride == 8
    assert small(motion=MotionConfig(levels=2, scale=0.5, embedding=EmbeddingConfig(scale=0.5))).stride == 16


def test_an_unknown_enlargement_is_refused() -> None:
    with pytest.raises(ValueError, match="'cubic'"):
        small(resize="cubic")
