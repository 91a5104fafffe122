"""Animation: what transfer does to keypoints, by hand; what drawing promises."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from monkeynet_edu.animation import (
    Transfer,
    adapt_covariance,
    animate,
    detect_clip,
    draw,
    hull_area,
    hull_scale,
    mark_synthetic,
    reconstruct,
    relative_means,
    transfer_keypoints,
)
from monkeynet_edu.errors import UserError
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import Device, MonkeyNet, mini_config

CPU = Device(torch.device("cpu"), "float32")
SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def keypoints(mean: torch.Tensor) -> Keypoints:
    """Points (T, K, 2) with a covariance of their own each."""
    count = mean.shape[:-1]
    scale = 0.01 * (1 + torch.arange(math.prod(count), dtype=mean.dtype).view(count))
    return Keypoints(mean, scale[..., None, None] * torch.eye(2, dtype=mean.dtype))


@pytest.fixture(scope="module")
def model() -> MonkeyNet:
    """An untrained mini whose M moves something and whose batch norms have seen data."""
    torch.manual_seed(0)
    net = MonkeyNet(mini_config())
    motion = net.generator.dense_motion_module
    torch.nn.init.normal_(motion.hourglass.decoder.conv.weight, std=0.02)
    net.train()
    frames = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        found = net.detect(frames)
        net(frames, found, found[torch.tensor([1, 2, 3, 0])])
    return net.eval()


@pytest.fixture(scope="module")
def video() -> torch.Tensor:
    """(5, 3, 64, 64): a bright disc crosses a gradient."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    frames = []
    for centre in torch.linspace(-0.5, 0.5, 5):
        disc = ((x - centre) ** 2 + (y + 0.1) ** 2 < 0.1).float()
        frames.append(torch.stack([disc, (x + 1) / 2, (y + 1) / 2]))
    return torch.stack(frames)


# ------------------------------------------------------------------------------------------------------------ keypoints


def test_relative_transfer_of_the_reference_pose_leaves_the_source_where_it_is():
    source, driving = keypoints(SQUARE[None] * 0.5), keypoints(torch.stack([SQUARE - 0.3, SQUARE * 0.2]))
    moved = transfer_keypoints(source, driving, Transfer("relative", reference=1))
    torch.testing.assert_close(moved.mean[1], source.mean[0])


def test_relative_transfer_adds_the_driving_movement_since_the_reference():
    source = keypoints(torch.tensor([[[0.5, -0.5]]]))
    driving = keypoints(torch.tensor([[[0.0, 0.0]], [[0.1, 0.2]], [[-0.3, 0.4]]]))
    moved = transfer_keypoints(source, driving, Transfer("relative", reference=1))
    torch.testing.assert_close(moved.mean, torch.tensor([[[0.4, -0.7]], [[0.5, -0.5]], [[0.1, -0.3]]]))
    assert torch.equal(moved.cov, driving.cov)


def test_absolute_transfer_returns_the_driving_keypoints():
    source, driving = keypoints(SQUARE[None]), keypoints(torch.stack([SQUARE - 0.3, SQUARE * 0.2]))
    moved = transfer_keypoints(source, driving, Transfer("absolute"))
    assert torch.equal(moved.mean, driving.mean)
    assert torch.equal(moved.cov, driving.cov)


def test_hull_area_of_a_unit_square_is_one_and_points_inside_do_not_count():
    assert hull_area(SQUARE) == pytest.approx(1)
    assert hull_area(torch.cat([SQUARE, torch.tensor([[0.5, 0.4]])])) == pytest.approx(1)
    assert hull_area(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])) == pytest.approx(1)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_points_have_no_hull(count: int):
    assert hull_area(SQUARE[:count]) == 0


def test_points_on_a_line_have_no_hull():
    t = torch.linspace(-1, 1, 6)
    assert hull_area(torch.stack([t, 0.5 * t], dim=-1)) == pytest.approx(0, abs=1e-6)


def test_a_source_twice_as_large_moves_twice_as_far():
    first = SQUARE * 0.4
    driving = keypoints(torch.stack([first, first + torch.tensor([0.1, -0.05])]))
    source = keypoints(SQUARE[None] * 0.8)
    moved = transfer_keypoints(source, driving, Transfer("relative", scaling="hull"))
    torch.testing.assert_close(moved.mean[1] - source.mean[0], torch.tensor([0.2, -0.1]).expand(4, 2))
    plain = transfer_keypoints(source, driving, Transfer("relative"))
    torch.testing.assert_close(plain.mean[1] - source.mean[0], torch.tensor([0.1, -0.05]).expand(4, 2))


def test_hull_scaling_measures_the_reference_frame_not_the_first():
    driving = keypoints(torch.stack([SQUARE * 0.2, SQUARE * 0.4, SQUARE * 0.4 + 0.1]))
    source = keypoints(SQUARE[None] * 0.8)
    moved = transfer_keypoints(source, driving, Transfer("relative", reference=1, scaling="hull"))
    torch.testing.assert_close(moved.mean[2] - source.mean[0], torch.full((4, 2), 0.2))


def test_keypoints_without_a_hull_are_not_scaled():
    two = torch.tensor([[0.0, 0.0], [0.2, 0.1]])
    driving = keypoints(torch.stack([two, two + 0.1]))
    moved = transfer_keypoints(keypoints(two[None]), driving, Transfer("relative", scaling="hull"))
    torch.testing.assert_close(moved.mean[1], two + 0.1)


def test_clipping_keeps_points_inside_the_frame_and_only_when_asked():
    source = keypoints(torch.tensor([[[0.9, -0.9]]]))
    driving = keypoints(torch.tensor([[[0.0, 0.0]], [[0.5, -0.5]]]))
    assert transfer_keypoints(source, driving, Transfer(clip=True)).mean[1, 0].tolist() == [1.0, -1.0]
    torch.testing.assert_close(transfer_keypoints(source, driving, Transfer()).mean[1, 0], torch.tensor([1.4, -1.4]))


def test_clipping_with_absolute_transfer_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"clip: expected 'relative'.*got 'absolute'; ") as error:
        transfer_keypoints(keypoints(SQUARE[None]), keypoints(SQUARE[None]), Transfer("absolute", clip=True))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reference", [-1, 2, 99])
def test_a_reference_beyond_the_driving_clip_is_refused_with_its_range(reference: int):
    driving = keypoints(torch.stack([SQUARE, SQUARE]))
    with pytest.raises(UserError, match=f"from 0 to 1 .*got {reference};"):
        transfer_keypoints(keypoints(SQUARE[None]), driving, Transfer(reference=reference))


def test_an_unchanged_driving_covariance_leaves_the_sources():
    driving = torch.tensor([[[[0.04, 0.01], [0.01, 0.02]]]], dtype=torch.float64)
    source = torch.tensor([[[[0.03, -0.01], [-0.01, 0.05]]]], dtype=torch.float64)
    torch.testing.assert_close(adapt_covariance(driving, driving, source), source)


def test_a_stretch_of_the_driving_covariance_stretches_the_sources():
    # Along the axes: Σ_t Σ_1⁻¹ Σ_source = diag(8/2·3, 6/3·5) = diag(12, 10), in hundredths.
    cov = [torch.diag(torch.tensor(d, dtype=torch.float64))[None, None] / 100 for d in ([8, 6], [2, 3], [3, 5])]
    expected = torch.diag(torch.tensor([12.0, 10.0], dtype=torch.float64))[None, None] / 100
    torch.testing.assert_close(adapt_covariance(*cov), expected)


def test_an_adapted_covariance_is_the_symmetric_part_with_eigenvalues_at_least_a_millionth():
    # A = [[1, 0.99], [0.99, 1]]·diag(100, 1)/100 = [[1, 0.0099], [0.99, 0.01]]; (A + Aᵀ)/2 has determinant
    # 0.01 - 0.49995² = -0.2399, so one eigenvalue is negative: it becomes 1e-6 and the other, with its direction, stays.
    driving = torch.tensor([[[[1, 0.99], [0.99, 1]]]], dtype=torch.float64)
    reference = torch.eye(2, dtype=torch.float64)[None, None]
    source = torch.diag(torch.tensor([1, 0.01], dtype=torch.float64))[None, None]
    got = adapt_covariance(driving, reference, source)[0, 0]
    assert torch.equal(got, got.T) or torch.allclose(got, got.T, atol=1e-12)
    largest = (1.01 + math.sqrt(1.01**2 + 4 * (0.49995**2 - 0.01))) / 2
    torch.testing.assert_close(torch.linalg.eigvalsh(got), torch.tensor([1e-6, largest], dtype=torch.float64))
    assert torch.linalg.eigh(got).eigenvectors[:, 1].abs()[0] > 0.8  # along (1, 0.4), not the axis that was cut off


def test_relative_transfer_with_adapted_covariance_keeps_the_means():
    source, driving = keypoints(SQUARE[None]), keypoints(torch.stack([SQUARE * 0.5, SQUARE * 0.2]))
    moved = transfer_keypoints(source, driving, Transfer(covariance="adapted"))
    torch.testing.assert_close(moved.mean, transfer_keypoints(source, driving, Transfer()).mean)
    torch.testing.assert_close(moved.cov, adapt_covariance(driving.cov, driving[:1].cov, source.cov))


def test_the_scale_of_figures_is_the_root_of_the_ratio_of_their_areas():
    assert hull_scale(SQUARE * 0.6, SQUARE * 0.2) == pytest.approx(3)  # nine times the area
    wide = SQUARE * torch.tensor([2.0, 0.5])
    assert hull_scale(wide, SQUARE) == pytest.approx(1)  # twice as wide, half as tall
    line = torch.stack([torch.linspace(-1, 1, 4)] * 2, dim=-1)
    assert hull_scale(SQUARE, line) == hull_scale(line, SQUARE) == 1


def test_relative_means_add_the_scaled_movement_since_the_reference():
    source = torch.tensor([[[0.1, -0.2]]])
    driving = torch.tensor([[[0.0, 0.5]], [[0.4, 0.3]], [[0.2, 0.7]]])
    expected = torch.tensor([[[-0.7, 0.2]], [[0.1, -0.2]], [[-0.3, 0.6]]])
    torch.testing.assert_close(relative_means(source, driving, 1, 2.0), expected)


# -------------------------------------------------------------------------------------------------------------- marking


def test_every_frame_is_marked_in_its_corner_and_nowhere_else():
    frames = np.random.default_rng(0).integers(60, 200, (3, 64, 64, 3)).astype(np.uint8)
    before = frames.copy()
    marked = mark_synthetic(frames)
    assert np.array_equal(frames, before)
    changed = (marked != frames).any(axis=-1)
    rows, columns = np.where(changed.any(axis=0))
    assert rows.max() < 14
    assert columns.max() < 48
    box = marked[:, : rows.max() + 1, : columns.max() + 1]
    assert (box == box[:1]).all()  # no frame shines through
    assert box.min() == 24  # light letters on dark ground
    assert (box > 150).all(axis=-1).sum() > 3 * 15
    assert np.array_equal(mark_synthetic(frames, ""), frames)


def test_a_frame_smaller_than_the_mark_is_marked_as_far_as_it_goes():
    assert mark_synthetic(np.zeros((1, 6, 8, 3), np.uint8)).shape == (1, 6, 8, 3)


# -------------------------------------------------------------------------------------------------------------- drawing


def test_an_untrained_model_returns_finite_frames_of_the_right_shapes(model: MonkeyNet, video: torch.Tensor):
    fresh = MonkeyNet(mini_config())
    made = animate(fresh, video[0], video, CPU)
    assert made.prediction.shape == made.deformed.shape == (5, 3, 64, 64)
    assert made.deformation.shape == (5, 32, 32, 2)
    assert made.masks is not None
    assert made.masks.shape == (5, 11, 32, 32)
    assert (len(made.source), len(made.driving), len(made.moved)) == (1, 5, 5)
    assert made.prediction.isfinite().all()
    assert made.prediction.min() >= 0
    assert made.prediction.max() <= 1


def test_drawing_in_chunks_equals_drawing_at_once(model: MonkeyNet, video: torch.Tensor):
    found = detect_clip(model, video, CPU)
    once = torch.cat([d.prediction for d in draw(model, video[:1], found[:1], found, CPU, chunk=5)])
    parts = list(draw(model, video[:1], found[:1], found, CPU, chunk=2))
    assert [len(d.prediction) for d in parts] == [2, 2, 1]
    torch.testing.assert_close(torch.cat([d.prediction for d in parts]), once, rtol=0, atol=1e-5)
    assert (once[0] - once[-1]).abs().max() > 1e-3  # frames do differ


def test_detecting_in_chunks_equals_detecting_at_once(model: MonkeyNet, video: torch.Tensor):
    torch.testing.assert_close(
        detect_clip(model, video, CPU, chunk=2).mean, detect_clip(model, video, CPU).mean, rtol=0, atol=1e-5
    )


def test_encoding_the_source_once_equals_running_the_whole_model(model: MonkeyNet, video: torch.Tensor):
    found = detect_clip(model, video, CPU)
    drawn = next(iter(draw(model, video[:1], found[:1], found[3:4], CPU)))
    with torch.no_grad():
        whole = model(video[:1], found[:1], found[3:4])
    torch.testing.assert_close(drawn.prediction, whole.prediction, rtol=0, atol=1e-5)


def test_reconstruction_draws_the_first_frame_in_the_poses_of_all(model: MonkeyNet, video: torch.Tensor):
    made = reconstruct(model, video, CPU)
    found = detect_clip(model, video, CPU)
    torch.testing.assert_close(made.source.mean, found.mean[:1])
    torch.testing.assert_close(made.moved.mean, found.mean)
    still = made.deformed[0] - video[0]  # source and pose agree: only the mask-free residual moves it
    assert still.abs().mean() < (made.deformed[0] - video[-1]).abs().mean()


def test_auto_follows_the_configuration(model: MonkeyNet, video: torch.Tensor):
    made = animate(model, video[3], video, CPU)
    expected = transfer_keypoints(made.source, made.driving, Transfer("relative", 3))
    torch.testing.assert_close(made.moved.mean, expected.mean)
    absolute = MonkeyNet(dataclasses.replace(model.config, transfer="absolute"))
    absolute.load_state_dict(model.state_dict())
    made = animate(absolute, video[3], video, CPU)
    assert torch.equal(made.moved.mean, made.driving.mean)


def test_animation_of_a_model_left_in_training_mode_does_not_change_its_statistics(model: MonkeyNet, video: torch.Tensor):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    animate(model.train(), video[0], video, CPU)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_pictures_that_the_networks_cannot_halve_are_refused_with_the_nearest_size(model: MonkeyNet, video: torch.Tensor):
    with pytest.raises(UserError, match=r"frame size 60: expected a multiple of 32.*nearest that works is 64"):
        animate(model, video[0, :, :60, :], video, CPU)
    with pytest.raises(UserError, match="frame size 40:"):
        animate(model, video[0], video[..., :40], CPU)


def test_an_empty_driving_clip_is_refused_in_one_line(model: MonkeyNet, video: torch.Tensor):
    with pytest.raises(UserError, match="driving clip: expected at least one frame, got none"):
        animate(model, video[0], video[:0], CPU)
