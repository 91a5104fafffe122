"""Losses, by hand."""

from __future__ import annotations

import pytest
import torch

from monkeynet_edu import losses
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.losses import LossWeights


def test_l1_is_the_mean_absolute_difference() -> None:
    assert float(losses.l1(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 1.0]))) == 2


def test_the_generator_wants_scores_of_one() -> None:
    assert float(losses.generator_adversarial(torch.tensor([1.0, 1.0]))) == 0
    assert float(losses.generator_adversarial(torch.tensor([0.0, 3.0]))) == (1 + 4) / 2


def test_the_discriminator_wants_one_for_real_and_zero_for_generated_frames() -> None:
    real, fake = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0])
    assert float(losses.discriminator_adversarial(real, fake)) == 0
    assert float(losses.discriminator_adversarial(fake, real)) == 2
    assert float(losses.discriminator_adversarial(torch.tensor([0.5, 2.0]), torch.tensor([2.0, 1.0]))) == 0.625 + 2.5


def features(*values: float) -> list[torch.Tensor]:
    """A frame, blocks and a score of constant value, each of another size."""
    return [torch.full((1, 1, 2 + i, 2), v) for i, v in enumerate(values)]


def test_feature_matching_compares_frame_and_blocks_and_leaves_the_score_out() -> None:
    terms = losses.feature_matching(features(1.0, 2.0, 9.0), features(0.5, 5.0, -9.0))
    assert [float(t) for t in terms] == [0.5, 3.0]


def test_feature_matching_sends_gradients_to_both_sides() -> None:
    fake, real = (features(a, b) for a, b in ((1.0, 0.0), (0.0, 0.0)))
    fake[0].requires_grad_()
    real[0].requires_grad_()
    losses.feature_matching(fake, real)[0].backward()
    assert fake[0].grad is not None
    assert real[0].grad is not None
    assert torch.equal(fake[0].grad, -real[0].grad)
    assert fake[0].grad.sum() == 1


def test_generator_losses_are_weighted_named_and_in_the_published_order() -> None:
    fake, real = features(1.0, 2.0, 4.0, 0.0), features(0.5, 5.0, 4.5, 7.0)
    terms = losses.generator_losses(fake, real, torch.full((1, 1, 2, 2), 0.25), LossWeights((10.0, 2.0, 4.0), 8.0, 3.0))
    assert list(terms) == ["deformed", "frame", "feature_1", "feature_2", "adversarial"]
    assert [float(t) for t in terms.values()] == [8 * 0.25, 10 * 0.5, 2 * 3.0, 4 * 0.5, 3 * 1.0]


def test_terms_of_weight_zero_are_left_out() -> None:
    fake, real = features(1.0, 2.0, 0.0), features(0.5, 5.0, 0.0)
    terms = losses.generator_losses(fake, real, real[0], LossWeights((1.0, 0.0), adversarial=0.0))
    assert list(terms) == ["frame"]


def test_one_weight_too_many_is_an_error_that_says_how_many() -> None:
    with pytest.raises(ValueError, match=r"expected 1 weights.*got 2"):
        losses.generator_losses(features(1.0, 2.0), features(1.0, 2.0), torch.zeros(1), LossWeights((1.0, 1.0)))


def test_half_precision_is_summed_in_float32() -> None:
    ones = torch.full((70_000,), 0.1, dtype=torch.float16)
    loss = losses.l1(ones, torch.zeros_like(ones))
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(0.1, abs=1e-4)
    assert losses.generator_adversarial(ones).dtype == torch.float32
    assert losses.l1(torch.zeros(1).double(), torch.zeros(1).double()).dtype == torch.float64


# ------------------------------------------------------------------------------------------- beyond the paper: for mini


def test_one_scale_is_the_plain_l1_and_two_add_the_means_of_squares_of_four_pixels() -> None:
    made, wanted = torch.tensor([[[[1.0, -1.0], [0.0, 4.0]]]]), torch.zeros(1, 1, 2, 2)
    assert float(losses.pyramid_l1(made, wanted, 1)) == 6 / 4
    assert float(losses.pyramid_l1(made, wanted, 2)) == (6 / 4 + 4 / 4) / 2  # the small picture: |1 - 1 + 0 + 4| / 4


def test_at_small_sizes_a_far_thing_draws_the_warp_that_at_full_size_feels_nothing() -> None:
    """A square seven pixels beside its place: moving it by one changes the L1 at 4×4, and not at 32×32."""

    def square(x: int) -> torch.Tensor:
        frame = torch.zeros(1, 1, 32, 32)
        frame[..., 14:18, x : x + 4] = 1
        return frame

    for scales, falls in ((1, False), (4, True)):
        now, nearer = (float(losses.pyramid_l1(square(x), square(8), scales)) for x in (16, 15))
        assert (nearer < now - 1e-4) == falls


def keypoints_at(*points: tuple[float, float]) -> Keypoints:
    """Keypoints (1, K)."""
    mean = torch.tensor([points])
    return Keypoints(mean, 0.01 * torch.eye(2).expand(*mean.shape, 2))


def a_square(column: int) -> torch.Tensor:
    """A white square of four pixels on black (1, 3, 64, 64), its middle on row 31.5 and column + 1.5."""
    frame = torch.zeros(1, 3, 64, 64)
    frame[..., 30:34, column : column + 4] = 1
    return frame


def test_coverage_is_0_where_keypoints_lie_on_what_differs_and_1_where_they_lie_elsewhere() -> None:
    source, driving = a_square(10), a_square(50)
    here, there = ((2 * (column + 1.5) / 63 - 1, 0.0) for column in (10, 50))
    away = keypoints_at((0.0, -0.9))
    assert float(losses.coverage(source, driving, keypoints_at(here), keypoints_at(there))) < 0.3
    assert float(losses.coverage(source, driving, away, away)) == pytest.approx(1, abs=1e-4)
    assert float(losses.coverage(source, driving, keypoints_at(here), away)) == pytest.approx(
        0.5 + float(losses.coverage(source, driving, keypoints_at(here), keypoints_at(there))) / 2, abs=0.01
    )


def test_coverage_draws_a_keypoint_towards_the_change() -> None:
    source, driving = a_square(10), a_square(50)
    beside = keypoints_at((2 * 51.5 / 63 - 1 - 0.15, 0.0))  # two widths to the left of the square
    beside.mean.requires_grad_()
    losses.coverage(source, driving, keypoints_at((0.0, -0.9)), beside).backward()
    assert beside.mean.grad is not None
    assert float(beside.mean.grad[0, 0, 0]) < -0.1  # down is to the right
    assert abs(float(beside.mean.grad[0, 0, 1])) < 1e-3


def test_coverage_of_equal_frames_and_of_a_keypoint_on_a_pixel_has_finite_gradients() -> None:
    centre = keypoints_at((1 / 31, 1 / 31), (1 / 31, 1 / 31))  # on a pixel of 32, twice: nothing is left uncovered there
    centre.mean.requires_grad_()
    for driving in (a_square(10), a_square(30)):
        losses.coverage(a_square(10), driving, centre, centre).backward()
        assert centre.mean.grad is not None
        assert bool(centre.mean.grad.isfinite().all())
    assert float(losses.coverage(a_square(10), a_square(10), centre, centre).detach()) == 0


def test_a_pyramid_without_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="deformed_scales: expected at least 1, got 0"):
        LossWeights(deformed_scales=0)
