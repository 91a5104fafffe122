"""Losses, by hand."""

from __future__ import annotations

import pytest
import torch

from monkeynet_edu import losses
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
