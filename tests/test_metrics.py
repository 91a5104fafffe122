"""Figures of a reconstruction, computed by hand where that is possible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from monkeynet_edu import geometry
from monkeynet_edu.animation import Animation
from monkeynet_edu.data.sprites import Clip, held_out_clips
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.errors import UserError
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.metrics import MotionTruth, clip_figures, evaluate, masked_mean, model_flow
from monkeynet_edu.model import Device, MonkeyNet

CPU = Device(torch.device("cpu"), "float32")


def short(name: str, seed: int, count: int, length: int = 7) -> list[Clip]:
    """Test clips cut to a few frames spread over their length, so that something moves."""
    cut = []
    for clip in held_out_clips(name, seed, count):
        assert clip.truth is not None
        chosen = np.linspace(0, len(clip.frames) // 2, length).astype(int)
        cut.append(replace(clip, frames=clip.frames[chosen], truth=clip.truth.at(chosen)))
    return cut


@pytest.fixture(scope="module")
def clip() -> Clip:
    return short("mini-taichi", 1, 1)[0]


@pytest.fixture(scope="module")
def model() -> MonkeyNet:
    torch.manual_seed(0)
    return MonkeyNet.from_preset("mini").eval()


def made_of(prediction: torch.Tensor, deformed: torch.Tensor, deformation: torch.Tensor) -> Animation:
    none = Keypoints(torch.zeros(1, 1, 2), torch.eye(2).expand(1, 1, 2, 2))
    return Animation(prediction, deformed, deformation, None, none, none, none)


def perfect(clip: Clip) -> Animation:
    """The true frames, and the true flow as deformation."""
    assert clip.truth is not None
    flows = [torch.from_numpy(clip.truth.flow(t, 0)[0]) for t in range(len(clip.frames))]
    deformation = geometry.lattice(64, 64) + torch.stack(flows)
    video = to_tensor(clip.frames)
    return made_of(video, geometry.warp(video[:1].expand(len(video), -1, -1, -1), deformation), deformation)


def test_masked_mean_averages_over_pixels_then_frames() -> None:
    values = torch.tensor([[[1.0, 3.0]], [[10.0, 0.0]], [[5.0, 5.0]]])
    mask = torch.tensor([[[True, True]], [[True, False]], [[False, False]]])
    assert masked_mean(values, mask) == (2.0 + 10.0) / 2  # the last frame has nothing to average
    assert np.isnan(masked_mean(values, torch.zeros_like(mask)))


def test_a_deformation_one_pixel_to_the_right_is_a_flow_of_one_pixel(model: MonkeyNet) -> None:
    deformation = geometry.lattice(64, 64)[None] + torch.tensor([2 / 63, 0.0])
    torch.testing.assert_close(model_flow(model, deformation, 64, 64)[0, 5, 7], torch.tensor([1.0, 0.0]), atol=1e-5, rtol=0)


def test_a_half_size_lattice_is_no_flow_for_mini(model: MonkeyNet) -> None:
    assert model_flow(model, geometry.lattice(32, 32)[None], 64, 64).abs().max() < 1e-4


def test_a_perfect_reconstruction_has_no_error_and_the_rivals_keep_theirs(model: MonkeyNet, clip: Clip) -> None:
    figures = clip_figures(model, clip, perfect(clip))
    assert figures["l1"] == 0
    assert figures["l1_moving"] == 0
    assert figures["flow_epe"] == pytest.approx(0, abs=1e-4)
    assert figures["flow_epe_zero"] > 1
    assert figures["l1_deformed_moving"] < 0.8 * figures["l1_moving_repeat_source"]


def test_a_copy_of_the_source_equals_the_yardsticks(model: MonkeyNet, clip: Clip) -> None:
    video = to_tensor(clip.frames)
    copies = video[:1].expand(len(video), -1, -1, -1)
    still = geometry.lattice(64, 64).expand(len(video), 64, 64, 2)
    figures = clip_figures(model, clip, made_of(copies, copies, still))
    assert figures["l1"] == figures["l1_deformed"] == figures["l1_repeat_source"]
    assert figures["l1_moving"] == figures["l1_deformed_moving"] == figures["l1_moving_repeat_source"]
    assert figures["flow_epe"] == pytest.approx(figures["flow_epe_zero"], rel=1e-4)
    frames = clip.frames.astype(float) / 255
    assert figures["l1_repeat_source"] == pytest.approx(np.abs(frames[1:] - frames[0]).mean(), rel=1e-4)


def test_moving_pixels_come_from_the_truth_not_from_differences(clip: Clip) -> None:
    assert clip.truth is not None
    truth = MotionTruth.of(clip.truth)
    assert truth.flow.shape == (len(clip.frames) - 1, 64, 64, 2)
    frame = len(clip.frames) // 2
    np.testing.assert_array_equal(truth.moving[frame - 1].numpy(), clip.truth.moving(frame, 0))
    assert (truth.displaced & ~truth.moving).sum() == 0


def test_an_untrained_model_is_no_better_than_no_motion(model: MonkeyNet) -> None:
    figures = evaluate(model, short("mini-mgif", 0, 2), CPU)
    assert figures["flow_epe"] >= 0.95 * figures["flow_epe_zero"]
    assert figures["clips"] == 2
    assert list(figures)[-2:] == ["frames", "clips"]


def test_means_are_per_clip_then_over_clips(model: MonkeyNet) -> None:
    clips = [short("mini-mgif", 0, 1, 4)[0], short("mini-mgif", 1, 1, 9)[0]]
    alone = [evaluate(model, [clip], CPU) for clip in clips]
    both = evaluate(model, clips, CPU)
    assert both["l1"] == pytest.approx((alone[0]["l1"] + alone[1]["l1"]) / 2, rel=1e-6)
    assert both["frames"] == alone[0]["frames"] + alone[1]["frames"] == sum(len(c.frames) - 1 for c in clips)


def test_without_truth_only_the_error_over_all_pixels_is_told(model: MonkeyNet) -> None:
    clips = [replace(clip, truth=None) for clip in short("mini-mgif", 0, 1)]
    names = ["l1", "l1_repeat_source", "l1_deformed", "l1_published", "frames", "clips"]
    assert list(evaluate(model, clips, CPU)) == names


def test_clips_of_one_frame_are_passed_over_and_nothing_left_is_an_error(model: MonkeyNet) -> None:
    still = Clip("still", np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(UserError, match="at least two frames"):
        evaluate(model, [still], CPU)


def test_frames_that_the_networks_cannot_halve_are_refused(model: MonkeyNet) -> None:
    with pytest.raises(UserError, match="nearest that works is 64"):
        evaluate(model, [Clip("odd", np.zeros((3, 60, 60, 3), np.uint8))], CPU)


