"""The Fréchet distance against closed forms, scipy and torchmetrics; FID of frames."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from monkeynet_edu.errors import UserError
from monkeynet_edu.metrics import FrechetMeter, InceptionFeatures, frechet, frechet_distance, gaussian, matrix_root


def covariance(seed: int, size: int, rank: int | None = None) -> Tensor:
    factor = torch.randn(size, rank or size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return factor @ factor.mT / (rank or size)


def vector(seed: int, size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Colours:
    """Mean, standard deviation and mean of squares of each colour: nine features."""

    name, dimension = "colours", 9

    def __call__(self, frames: Tensor) -> Tensor:
        pixels = frames.flatten(2)
        return torch.cat([pixels.mean(dim=2), pixels.std(dim=2), pixels.square().mean(dim=2)], dim=1)


def pictures(seed: int, count: int, brightness: float = 1.0) -> Tensor:
    return brightness * torch.rand(count, 3, 5, 7, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------------------------------------------------ pure parts


def test_a_root_times_itself_is_the_matrix() -> None:
    # [[2, 1], [1, 2]] has eigenvalues 3 and 1 along the diagonals: its root is ((√3+1)/2, (√3-1)/2).
    matrix = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    high, low = (math.sqrt(3) + 1) / 2, (math.sqrt(3) - 1) / 2
    torch.testing.assert_close(matrix_root(matrix), torch.tensor([[high, low], [low, high]], dtype=torch.float64))
    for rank in (None, 2):
        root = matrix_root(covariance(0, 6, rank))
        torch.testing.assert_close(root @ root, covariance(0, 6, rank))
        torch.testing.assert_close(root, root.mT)


def test_frechet_distance_by_hand() -> None:
    """In one dimension (μ₁-μ₂)² + (σ₁-σ₂)²: here (1-4)² + (2-5)² = 18. Independent dimensions add up."""
    one = [torch.tensor(x, dtype=torch.float64) for x in ([1.0], [[4.0]], [4.0], [[25.0]])]
    assert frechet_distance(*one).item() == pytest.approx(18)
    diagonal = [torch.tensor([1.0, 0.0]), torch.diag(torch.tensor([4.0, 9.0]))]
    other = [torch.tensor([4.0, 2.0]), torch.diag(torch.tensor([25.0, 1.0]))]
    assert frechet_distance(*diagonal, *other).item() == pytest.approx(18 + (4 + 4), rel=1e-5)


@pytest.mark.parametrize("ranks", [(None, None), (3, None), (2, 4)])
def test_scipy_agrees(ranks: tuple[int | None, int | None]) -> None:
    cov1, cov2 = covariance(1, 5, ranks[0]), covariance(2, 5, ranks[1])
    mean1, mean2 = vector(3, 5), vector(4, 5)
    root = np.real(scipy.linalg.sqrtm((cov1 @ cov2).numpy()))
    plain = float(((mean1 - mean2) ** 2).sum()) + np.trace(cov1.numpy() + cov2.numpy() - 2 * root)
    tolerance = 1e-8 if ranks == (None, None) else 1e-4  # sqrtm is inexact where the product is singular
    assert frechet_distance(mean1, cov1, mean2, cov2).item() == pytest.approx(plain, rel=tolerance)


def test_the_distance_is_symmetric_not_negative_and_zero_for_equal_gaussians() -> None:
    for seed in range(5):
        first = vector(seed, 6), covariance(seed, 6)
        second = vector(seed + 50, 6), covariance(seed + 50, 6, 3)
        there, back = frechet_distance(*first, *second), frechet_distance(*second, *first)
        torch.testing.assert_close(there, back)
        assert there > 0
        assert abs(frechet_distance(*first, *first)) < 1e-10


def test_a_gaussian_is_fitted_as_numpy_does() -> None:
    features = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, cov = gaussian(features)
    np.testing.assert_allclose(mean.numpy(), features.numpy().mean(axis=0))
    np.testing.assert_allclose(cov.numpy(), np.cov(features.numpy(), rowvar=False))


# ------------------------------------------------------------------------------------------------------------ of frames


def test_torchmetrics_fid_is_the_frechet_distance_of_the_features() -> None:
    real, made = pictures(0, 90), pictures(1, 90, 0.7)
    meter = FrechetMeter(Colours())
    for part in (slice(0, 20), slice(20, 90)):  # 70 at once are more than the 64 of a batch
        meter.add(real[part], made[part])
    plain = frechet_distance(*gaussian(Colours()(real).double()), *gaussian(Colours()(made).double()))
    figure = meter.figure()
    assert figure.value == pytest.approx(plain.item(), rel=1e-6)
    assert (figure.frames, figure.points) == (90, 90)


def test_fid_of_the_same_frames_is_zero_in_any_order() -> None:
    real = pictures(0, 40)
    meter = FrechetMeter(Colours())
    meter.add(real, real.flip(0))
    assert meter.figure().value == pytest.approx(0, abs=1e-6)
    assert meter.figure().value >= 0


def test_the_network_is_named_and_it_is_said_that_nothing_else_compares() -> None:
    meter = FrechetMeter(Colours())
    meter.add(pictures(0, 30), pictures(1, 30))
    assert len(meter.notes()) == 1
    for word in ("colours", "9 numbers", "compares to no FID of other features"):
        assert word in meter.notes()[0]


@pytest.mark.parametrize(("frames", "warned"), [(2, True), (9, True), (10, False)])
def test_fewer_frames_than_a_covariance_needs_are_warned_of_with_their_number(frames: int, warned: bool) -> None:
    meter = FrechetMeter(Colours())
    meter.add(pictures(0, frames), pictures(1, frames))
    said = [note for note in meter.notes() if note.startswith("warning")]
    assert len(said) == warned
    assert all(f"{frames} frames" in note and "9 numbers" in note for note in said)
    assert meter.figure().value is not None


def test_no_frame_and_a_single_frame_have_no_fid() -> None:
    meter = FrechetMeter(Colours())
    assert (meter.figure().value, meter.figure().frames) == (None, 0)
    meter.add(pictures(0, 1), pictures(1, 1))
    assert (meter.figure().value, meter.figure().frames) == (None, 1)


class Odd(Colours):
    def __init__(self, spoil: object) -> None:
        self.spoil = spoil

    def __call__(self, frames: Tensor) -> Tensor:
        return self.spoil(super().__call__(frames))


@pytest.mark.parametrize("spoil", [lambda f: f[:, :5], lambda f: f[:1], lambda f: f * math.nan])
def test_a_feature_network_that_gives_something_else_is_named(spoil: object) -> None:
    with pytest.raises(UserError, match="colours: expected finite features"):
        FrechetMeter(Odd(spoil)).add(pictures(0, 6), pictures(1, 6))


# ------------------------------------------------------------------------------------------------------------- Inception


def test_without_torch_fidelity_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(**_: object) -> None:
        raise ModuleNotFoundError("FrechetInceptionDistance metric requires that `Torch-fidelity` is installed.\nSee …")

    monkeypatch.setattr(frechet, "_torchmetrics", lambda: missing)
    with pytest.raises(UserError, match="pip install torch-fidelity") as error:
        InceptionFeatures()
    assert "\n" not in str(error.value)


def test_missing_or_damaged_inception_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"nowhere.pth"):
        InceptionFeatures(tmp_path / "nowhere.pth")

    def damaged(**_: object) -> None:
        raise RuntimeError("PytorchStreamReader failed\nmore")

    monkeypatch.setattr(frechet, "_torchmetrics", lambda: damaged)
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"bad.pth.*PytorchStreamReader failed") as error:
        InceptionFeatures(tmp_path / "bad.pth")
    assert "\n" not in str(error.value)


def test_inception_sees_whole_numbers_as_they_were_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, frames: Tensor) -> Tensor:
            self.seen = frames
            return torch.zeros(len(frames), 2048)

    class Distance:
        def __init__(self, **_: object) -> None:
            self.inception = Network()

    monkeypatch.setattr(frechet, "_torchmetrics", lambda: Distance)
    features = InceptionFeatures()
    numbers = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert features(numbers.float() / 255).shape == (1, features.dimension)
    assert torch.equal(features._network.seen, numbers)


def test_without_torchmetrics_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(UserError, match="pip install torchmetrics"):
        FrechetMeter(Colours())
