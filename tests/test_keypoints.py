"""Moments of heatmaps and back: by hand, against loops, at the edge cases that used to give NaN."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monkeynet_edu import geometry
from monkeynet_edu import keypoints as kp
from monkeynet_edu.keypoints import DetectorConfig, KeypointDetector, Keypoints

few = settings(max_examples=15, deadline=None)


def heat(height: int, width: int, *peaks: tuple[int, int, float]) -> Tensor:
    """A map (1, 1, H, W) in float64 that is zero but for (row, column, mass)."""
    out = torch.zeros(1, 1, height, width, dtype=torch.float64)
    for row, column, mass in peaks:
        out[0, 0, row, column] = mass
    return out


def random_heat(*shape: int, seed: int = 0) -> Tensor:
    logits = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return kp.spatial_softmax(logits, 1.0)


def random_cov(*shape: int, seed: int = 0) -> Tensor:
    a = torch.randn(*shape, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return a @ a.mT + 0.01 * torch.eye(2, dtype=torch.float64)


def one(x: float, y: float, cov: Tensor) -> Keypoints:
    return Keypoints(torch.tensor([[[x, y]]], dtype=cov.dtype), cov[None, None])


def test_spatial_softmax_sums_to_one_over_the_positions_of_each_map() -> None:
    out = random_heat(2, 3, 4, 5)
    torch.testing.assert_close(out.sum(dim=(-2, -1)), torch.ones(2, 3, dtype=torch.float64))


def test_the_temperature_divides_the_logits() -> None:
    logits = torch.tensor([[[[0.0, 0.1 * math.log(3)]]]])
    torch.testing.assert_close(kp.spatial_softmax(logits, 0.1).flatten(), torch.tensor([0.25, 0.75]))


def test_the_softmax_does_not_overflow() -> None:
    out = kp.spatial_softmax(torch.tensor([[[[1e4, -1e4]]]]), 0.1)
    assert out.flatten().tolist() == [1, 0]


@few
@given(st.integers(0, 3), st.integers(0, 5))
def test_a_single_peak_gives_its_point_and_no_covariance(row: int, column: int) -> None:
    found = kp.heatmap_to_keypoints(heat(4, 6, (row, column, 1.0)))
    assert found.mean[0, 0].tolist() == geometry.lattice(4, 6, dtype=torch.float64)[row, column].tolist()
    assert found.cov.abs().max() == 0


def test_two_peaks_give_mean_and_covariance_by_hand() -> None:
    # ¼ at (-1, -1) and ¾ at (1, 0) on 3 rows and 5 columns: mean (½, -¼);
    # deviations (-3/2, -¾) and (½, ¼): xx ¼·9/4 + ¾·¼ = ¾, yy ¼·9/16 + ¾·1/16 = 3/16, xy ¼·9/8 + ¾·1/8 = 3/8.
    found = kp.heatmap_to_keypoints(heat(3, 5, (0, 0, 0.25), (1, 4, 0.75)))
    assert found.mean[0, 0].tolist() == [0.5, -0.25]
    assert found.cov[0, 0].tolist() == [[0.75, 0.375], [0.375, 0.1875]]


def test_x_is_the_column_and_comes_first() -> None:
    found = kp.heatmap_to_keypoints(heat(3, 9, (1, 0, 0.5), (1, 8, 0.5)))  # spread along the columns alone
    assert found.mean[0, 0].tolist() == [0, 0]
    assert found.cov[0, 0].tolist() == [[1, 0], [0, 0]]


def test_a_heatmap_is_taken_as_it_is_and_not_renormalised() -> None:
    full = heat(3, 5, (0, 4, 1.0))
    assert kp.heatmap_mean(2 * full)[0, 0].tolist() == [2, -2]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_covariance_agrees_with_a_double_loop(dtype: torch.dtype) -> None:
    p = random_heat(1, 1, 5, 7, seed=3)
    grid = geometry.lattice(5, 7, dtype=torch.float64)
    mean = sum(p[0, 0, i, j] * grid[i, j] for i in range(5) for j in range(7))
    assert isinstance(mean, Tensor)
    wanted = torch.zeros(2, 2, dtype=torch.float64)
    for i in range(5):
        for j in range(7):
            wanted += p[0, 0, i, j] * torch.outer(grid[i, j] - mean, grid[i, j] - mean)
    found = kp.heatmap_to_keypoints(p.to(dtype))
    torch.testing.assert_close(found.mean[0, 0], mean.to(dtype))
    torch.testing.assert_close(found.cov[0, 0], wanted.to(dtype))


def test_a_narrow_peak_far_from_the_centre_keeps_its_covariance_in_float32() -> None:
    # Σ p·ggᵀ - hhᵀ loses it: variance 1e-6 beside a squared mean of 0.9.
    grid = geometry.lattice(64, 64, dtype=torch.float64)
    p = heat(64, 64, (61, 62, 1 - 1e-3), (61, 63, 1e-3))
    step = 2 / 63
    found = kp.heatmap_to_keypoints(p.float())
    wanted = 1e-3 * (1 - 1e-3) * step**2
    assert float(found.cov[0, 0, 0, 0]) == pytest.approx(wanted, rel=1e-3)
    assert float(found.mean[0, 0, 0]) == pytest.approx(float(grid[61, 62, 0]) + 1e-3 * step, abs=1e-6)


@few
@given(st.integers(0, 10_000))
def test_covariances_are_symmetric_and_positive(seed: int) -> None:
    cov = kp.heatmap_to_keypoints(random_heat(2, 3, 4, 6, seed=seed)).cov
    assert torch.equal(cov, cov.mT)
    assert (torch.linalg.eigvalsh(cov) > 0).all()


@few
@given(st.integers(0, 10_000))
def test_the_smallest_singular_value_agrees_with_the_decomposition(seed: int) -> None:
    cov = random_cov(5, seed=seed)
    torch.testing.assert_close(kp.smallest_singular_value(cov), torch.linalg.svdvals(cov)[..., -1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_isotropic_covariance_has_its_variance_and_a_finite_gradient(dtype: torch.dtype) -> None:
    cov = (0.25 * torch.eye(2, dtype=dtype)).requires_grad_()
    value = kp.smallest_singular_value(cov)
    value.backward()
    assert float(value.detach()) == 0.25
    assert cov.grad is not None
    assert torch.isfinite(cov.grad).all()
    assert cov.grad.diagonal().tolist() == [0.5, 0.5]


def test_clipping_scales_small_covariances_and_keeps_their_shape() -> None:
    cov = torch.diag(torch.tensor([4e-4, 1e-4], dtype=torch.float64))[None]
    torch.testing.assert_close(kp.clip_covariance(cov, 1e-3), cov * 10)


def test_clipping_leaves_large_covariances_alone() -> None:
    cov = random_cov(6) + 0.1 * torch.eye(2)
    assert torch.equal(kp.clip_covariance(cov, 1e-3), cov)


def test_the_clip_is_used_where_the_configuration_sets_it() -> None:
    p = heat(8, 8, (2, 3, 0.9), (2, 4, 0.05), (3, 3, 0.05)) + 1e-7
    found = kp.heatmap_to_keypoints(p, least=0.05)
    torch.testing.assert_close(torch.linalg.svdvals(found.cov)[..., -1], torch.full((1, 1), 0.05, dtype=torch.float64))


def test_isotropic_covariance_is_the_mean_of_both_variances() -> None:
    found = kp.heatmap_to_keypoints(heat(3, 5, (0, 0, 0.25), (1, 4, 0.75)), "isotropic")
    assert found.cov[0, 0].tolist() == [[0.46875, 0], [0, 0.46875]]


def test_a_constant_covariance_ignores_the_heatmap() -> None:
    found = kp.heatmap_to_keypoints(random_heat(2, 3, 4, 5), 0.01)
    assert found.cov.shape == (2, 3, 2, 2)
    assert torch.equal(found.cov[1, 2], 0.01 * torch.eye(2, dtype=torch.float64))


def test_the_inverse_times_the_covariance_is_the_identity() -> None:
    cov = random_cov(4)
    torch.testing.assert_close(kp.inverse_covariance(cov) @ cov, torch.eye(2, dtype=torch.float64).expand(4, 2, 2))
    skew = torch.tensor([[2.0, 1.0], [0.0, 4.0]], dtype=torch.float64)  # not symmetric: tells b from c
    torch.testing.assert_close(kp.inverse_covariance(skew), torch.linalg.inv(skew))


def test_the_drawn_heatmap_agrees_with_a_double_loop_on_a_map_that_is_not_square() -> None:
    cov = torch.tensor([[0.2, 0.1], [0.1, 0.3]], dtype=torch.float64)
    drawn = kp.gaussian_heatmap(one(0.3, -0.4, cov), 4, 7)
    assert drawn.shape == (1, 1, 4, 7)
    inverse = torch.linalg.inv(cov)
    for i in range(4):
        for j in range(7):
            d = torch.tensor([2 * j / 6 - 1 - 0.3, 2 * i / 3 - 1 + 0.4], dtype=torch.float64)
            assert float(drawn[0, 0, i, j]) == pytest.approx(math.exp(-0.5 * float(d @ inverse @ d)))


def test_the_moments_of_a_drawn_gaussian_are_its_mean_and_covariance() -> None:
    cov = torch.tensor([[0.02, 0.008], [0.008, 0.01]], dtype=torch.float64)
    drawn = kp.gaussian_heatmap(one(0.1, -0.2, cov), 65, 97)
    found = kp.heatmap_to_keypoints(kp.normalise_heatmap(drawn, "sum"))
    torch.testing.assert_close(found.mean[0, 0], torch.tensor([0.1, -0.2], dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.cov[0, 0], cov, atol=1e-6, rtol=0)


def test_drawing_accepts_any_leading_dimensions() -> None:
    many = Keypoints(torch.zeros(2, 3, 4, 2), (0.1 * torch.eye(2)).expand(2, 3, 4, 2, 2))
    assert kp.gaussian_heatmap(many, 5, 6).shape == (2, 3, 4, 5, 6)


def test_normalising_divides_by_the_sum_or_by_the_constant() -> None:
    maps = torch.tensor([[[[1.0, 3.0]], [[4.0, 4.0]]]])
    assert kp.normalise_heatmap(maps, "sum").flatten().tolist() == [0.25, 0.75, 0.5, 0.5]
    assert kp.normalise_heatmap(maps, 10.0).flatten().tolist() == pytest.approx([0.1, 0.3, 0.4, 0.4])


def test_a_keypoint_far_outside_gives_zeros_and_no_nan() -> None:
    far = one(50.0, 0.0, 0.01 * torch.eye(2))
    far.mean.requires_grad_()
    out = kp.normalise_heatmap(kp.gaussian_heatmap(far, 6, 6), "sum")
    assert out.abs().max() == 0
    out.sum().backward()
    assert far.mean.grad is not None
    assert torch.isfinite(far.mean.grad).all()


def test_heatmap_to_moments_has_the_right_gradient() -> None:
    logits = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        found = kp.heatmap_to_keypoints(kp.spatial_softmax(x, 0.5), least=0.3)  # the clip is active in one map
        return found.mean, found.cov

    assert torch.autograd.gradcheck(moments, (logits.requires_grad_(),))


def test_moments_to_heatmap_has_the_right_gradient() -> None:
    mean = torch.tensor([[0.2, -0.3], [0.0, 0.5]], dtype=torch.float64, requires_grad=True)
    cov = random_cov(2, seed=2).requires_grad_()

    def drawn(m: Tensor, c: Tensor) -> Tensor:
        return kp.normalise_heatmap(kp.gaussian_heatmap(Keypoints(m, c), 3, 4), "sum")

    assert torch.autograd.gradcheck(drawn, (mean, cov))


def tiny(**changes: object) -> KeypointDetector:
    torch.manual_seed(0)
    return KeypointDetector(DetectorConfig(keypoints=3, width=4, max_width=8, levels=2, **changes))  # type: ignore[arg-type]


def test_the_detector_finds_k_points_inside_the_frame_and_its_maps_carry_the_floor() -> None:
    detector = tiny().eval()
    image = torch.rand(2, 3, 8, 12)
    assert detector(image).mean.shape == (2, 3, 2)
    assert detector(image).mean.abs().max() <= 1 + 1e-5
    heatmap = detector.heatmap(image).float()
    torch.testing.assert_close(heatmap.sum(dim=(-2, -1)), torch.full((2, 3), 1 + 8 * 12 * 1e-7), atol=2e-6, rtol=0)
    assert float(tiny(temperature=1e-5).eval().heatmap(image).detach().min()) == pytest.approx(1e-7)  # softmax: 0


def test_the_scale_shrinks_the_map_and_not_the_coordinates() -> None:
    detector = tiny(scale=0.5).eval()
    assert detector.heatmap(torch.rand(1, 3, 16, 24)).shape == (1, 3, 8, 12)
    assert detector.config.stride == 8


def test_the_temperature_of_the_configuration_is_used() -> None:
    image = torch.rand(1, 3, 8, 8)
    sharp, soft = tiny(temperature=0.01).eval(), tiny(temperature=10.0).eval()
    assert sharp.heatmap(image).amax() > 2 * soft.heatmap(image).amax()


def test_under_bfloat16_moments_stay_in_float32_and_determinants_positive() -> None:
    detector = tiny(temperature=0.01).eval()
    with torch.autocast("cpu", torch.bfloat16):
        found = detector(torch.rand(4, 3, 32, 32))
        drawn = kp.gaussian_heatmap(found, 32, 32)
    assert found.mean.dtype == found.cov.dtype == drawn.dtype == torch.float32
    assert (torch.linalg.det(found.cov.double()) > 0).all()
    assert torch.isfinite(drawn).all()


def test_half_precision_heatmaps_are_summed_in_float32() -> None:
    p = random_heat(1, 2, 8, 8)
    found = kp.heatmap_to_keypoints(p.bfloat16())
    assert found.cov.dtype == torch.float32
    torch.testing.assert_close(found.mean, kp.heatmap_to_keypoints(p.bfloat16().double()).mean.float())
    assert kp.inverse_covariance(found.cov.half()).dtype == torch.float32


def test_keypoints_are_indexed_by_item_counted_and_cut_from_the_graph() -> None:
    points = Keypoints(torch.zeros(3, 4, 2, requires_grad=True), torch.zeros(3, 4, 2, 2, requires_grad=True))
    assert len(points) == 3
    assert points[1:].mean.shape == (2, 4, 2)
    assert points[0].cov.shape == (4, 2, 2)
    assert not points.detach().mean.requires_grad
    assert not points.detach().cov.requires_grad


def test_float32_keypoints_are_as_exact_as_the_features_allow() -> None:
    """The last convolution and the temperature's softmax add no error of their own where float32 is asked for."""
    torch.manual_seed(0)
    detector = kp.KeypointDetector(kp.DetectorConfig(4, 8, 16, 2)).eval()
    with torch.no_grad():
        detector.predictor.decoder.conv.weight.mul_(30)  # sharp maps, as after training
        image = torch.rand(2, 3, 32, 32)
        features = detector.predictor.decoder.features(detector.predictor.encoder(image))
        last = copy.deepcopy(detector.predictor.decoder.conv).double()
        exact = kp.heatmap_to_keypoints(kp.spatial_softmax(last(features.double()), 0.1) + 1e-7)
        found = detector(image)
    assert found.mean.dtype == found.cov.dtype == torch.float32
    torch.testing.assert_close(found.mean, exact.mean.float(), atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(found.cov, exact.cov.float(), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"keypoints": 0}, "keypoints"), ({"covariance": "matrix"}, "'matrix'"), ({"temperature": 0.0}, "temperature")],
)
def test_a_wrong_configuration_names_field_and_value(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match="DetectorConfig") as caught:
        DetectorConfig(**changes)  # type: ignore[arg-type]
    assert said in str(caught.value)
