"""The alignment gate: distances by hand, what is chosen, what is said; the domain of a model."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from monkeynet_edu import alignment, geometry
from monkeynet_edu.alignment import (
    GOOD_FIT,
    POOR_FIT,
    Alignment,
    Domain,
    align,
    appearance,
    covariance_root,
    domain_path,
    ellipse_points,
    fit_score,
    procrustes_distance,
)
from monkeynet_edu.data.datasets import MINIATURES, Clip, ClipFolder
from monkeynet_edu.data.sprites import held_out_clips
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.errors import UserError
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import MonkeyNet, mini_config
from monkeynet_edu.paths import data_set_path, weights_path


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def keypoints(mean: torch.Tensor, cov: torch.Tensor | None = None) -> Keypoints:
    """Points (T, K, 2); all covariances 0.01 unless given."""
    plain = 0.01 * torch.eye(2).expand(*mean.shape, 2)
    return Keypoints(mean, plain if cov is None else cov.expand(*mean.shape, 2))


# ------------------------------------------------------------------------------------------------------------- distance


def test_place_and_size_do_not_count():
    points = random(0, 10, 2)
    assert procrustes_distance(points, 0.3 * points + torch.tensor([2.0, -1.0])).item() == pytest.approx(0, abs=1e-6)


def test_turning_counts():
    # A line lying and the same line standing are orthogonal unit vectors: √2 apart. Upside down: 2.
    line = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    got = procrustes_distance(line, torch.stack([line, line.flip(-1), -line]))
    assert got.tolist() == pytest.approx([0, 2**0.5, 2])


def test_the_distance_of_two_triangles_is_the_one_computed_by_hand():
    # Centred: (-1, -1), (2, -1), (-1, 2) over √12; and (-1, -1), (1, -1), (0, 2) over √8.
    a = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    b = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]])
    inner = (1 + 1 + 2 + 1 + 0 + 4) / math.sqrt(12 * 8)
    assert procrustes_distance(a, b).item() == pytest.approx(math.sqrt(2 - 2 * inner))


def test_the_root_of_a_covariance_times_itself_is_the_covariance():
    a = random(1, 6, 2, 2)
    cov = a @ a.mT + 0.01 * torch.eye(2)
    root = covariance_root(cov)
    torch.testing.assert_close(root @ root, cov)
    torch.testing.assert_close(root, root.mT)


def test_ellipse_points_lie_on_the_ellipse_at_one_sigma():
    a = random(2, 3, 2, 2)
    found = keypoints(random(3, 1, 3, 2), (a @ a.mT + 0.1 * torch.eye(2)))
    away = (ellipse_points(found).view(1, 3, 4, 2) - found.mean[:, :, None])[..., None]
    squared = (away.mT @ torch.linalg.inv(found.cov)[:, :, None] @ away).squeeze()
    torch.testing.assert_close(squared, torch.ones(3, 4))


def test_the_shape_of_parts_counts_beside_their_places():
    mean = random(4, 1, 10, 2)
    round_, long = keypoints(mean), keypoints(mean, torch.diag(torch.tensor([0.3, 0.01])))
    assert fit_score(round_, round_).item() == pytest.approx(0, abs=1e-6)
    assert fit_score(round_, long).item() > 0.1


# --------------------------------------------------------------------------------------------------------------- choice


def test_the_reference_is_the_planted_frame_however_shifted_and_scaled():
    poses = random(5, 1, 10, 2) + 0.5 * random(6, 7, 10, 2)
    poses -= poses.mean(dim=1, keepdim=True)
    source = keypoints(poses[4:5] + 0.1 * random(7, 1, 10, 2))
    for scale, place in ((6.0, 0.0), (0.3, 2.0)):
        driving = poses.clone()
        driving[4] = scale * driving[4] + place
        cov = torch.full((7, 1, 1, 1), 0.01)
        cov[4] *= scale**2
        found = align(source, Keypoints(driving, cov * torch.eye(2).expand(7, 10, 2, 2)))
        assert found.reference == 4
        assert found.score < found.first


def test_the_first_frame_is_the_reference_unless_another_is_clearly_nearer():
    base, nudge = random(8, 1, 10, 2), random(9, 1, 10, 2)
    far, nearer, near = (base + size * nudge for size in (0.2, 0.18, 0.1))
    assert align(keypoints(base), keypoints(torch.cat([far, nearer]))).reference == 0
    assert align(keypoints(base), keypoints(torch.cat([far, nearer, near]))).reference == 2


def test_a_reference_that_is_asked_for_is_judged_and_not_changed():
    source, film = keypoints(random(10, 1, 10, 2)), keypoints(random(11, 3, 10, 2))
    found = align(source, film, 1)
    assert (found.reference, found.frames) == (1, 3)
    assert [found.first, found.score] == pytest.approx(fit_score(source, film)[:2].tolist())
    assert found.movement == pytest.approx(max(float(fit_score(film[1:2], film[t : t + 1])) for t in (0, 2)))


@pytest.mark.parametrize(
    ("score", "movement", "verdict"),
    [
        (GOOD_FIT - 0.01, 1.0, "good"),
        (GOOD_FIT + 0.01, 1.0, "fair"),
        (POOR_FIT + 0.01, 1.0, "poor"),
        (POOR_FIT + 0.01, 0.05, "fair"),  # two faces of different build, hardly moving
    ],
)
def test_the_verdict_follows_the_score_and_how_far_the_film_moves(score: float, movement: float, verdict: str):
    found = Alignment(3, score, 0.9, movement, 40)
    assert found.verdict == verdict
    assert found.describe().startswith(f"reference frame: 3 of 40, fit score {score:.2f}: ")
    assert ("--mode absolute" in found.advice()) is (verdict == "poor")


# --------------------------------------------------------------------------------------------------------------- domain


@pytest.fixture(scope="module")
def model() -> MonkeyNet:
    torch.manual_seed(0)
    return MonkeyNet(mini_config()).eval()


def clips_of(kind: str, count: int, seed: int = 0) -> list[Clip]:
    """Clips of three frames: bright discs on grey, or fine stripes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    made = []
    for number in range(count):
        frames = []
        for _ in range(3):
            a, b = rng.uniform(20, 44, 2)
            field = (np.hypot(x - a, y - b) < rng.uniform(8, 14)) if kind == "discs" else ((x + int(a)) // 2 % 2 == 0)
            frames.append((90 + 120 * field[..., None] + rng.normal(0, 4, (64, 64, 3))).clip(0, 255).astype(np.uint8))
        made.append(Clip(str(number), np.stack(frames)))
    return made


def test_pictures_of_the_known_kind_score_up_to_one_and_others_above(model: MonkeyNet):
    domain = Domain.of(model, clips_of("discs", 40))
    fresh = torch.cat([to_tensor(clip.frames) for clip in clips_of("discs", 20, seed=1)])
    strange = torch.cat([to_tensor(clip.frames) for clip in clips_of("stripes", 5, seed=1)])
    assert (domain.scores(model, fresh) <= 1).float().mean() > 0.9
    assert (domain.scores(model, strange) > 1.5).all()


def test_the_score_counts_in_standard_deviations_along_each_direction(model: MonkeyNet, monkeypatch: pytest.MonkeyPatch):
    # Three numbers, centre (1, 1, 1), spread 2; variance 3 + 1 along the first, 1 along the others; limit 0.5.
    centre, spread = torch.ones(3), torch.full((3,), 2.0)
    domain = Domain(centre, spread, torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([3.0]), 1.0, 0.5, "")
    z = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [2.0, 1.0, 1.0]])
    monkeypatch.setattr(alignment, "appearance", lambda model, frames: 1 + 2 * z)
    expected = [2 * math.sqrt(1 / 3), 2 * math.sqrt(4 / 3), 2 * math.sqrt(3 / 3)]
    assert domain.scores(model, torch.zeros(3, 3, 8, 8)).tolist() == pytest.approx(expected)


def test_the_appearance_is_the_mean_and_logarithmic_variance_of_every_channel(model: MonkeyNet):
    frames = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    got = appearance(model, frames)
    torch.testing.assert_close(got[:, :3], frames.mean(dim=(2, 3)), rtol=0.05, atol=0)
    half = got.shape[1] // 2
    with torch.no_grad():
        level = model.detector.predictor.encoder(geometry.downscale(frames, 0.5))[-1]
    channels = level.shape[1]
    torch.testing.assert_close(got[:, half - channels : half], level.mean(dim=(2, 3)))
    torch.testing.assert_close(got[:, -channels:], (level.var(dim=(2, 3), correction=0) + 1e-6).log())


def test_a_domain_survives_saving_and_belongs_to_its_weights(model: MonkeyNet, tmp_path):
    domain = Domain.of(model, clips_of("discs", 12))
    path = tmp_path / "own.domain.safetensors"
    domain.save(path)
    again = Domain.load(path, model)
    assert all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(vars(domain).values(), vars(again).values(), strict=True)
    )
    with pytest.raises(UserError, match="expected the domain of these weights, got that of others"):
        Domain.load(path, MonkeyNet(mini_config()))
    model.save(tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="foreign file"):
        Domain.load(tmp_path / "weights.safetensors", model)


def test_the_domain_lies_beside_the_weights(tmp_path):
    assert domain_path("a/mini.safetensors").name == "mini.domain.safetensors"
    assert domain_path(tmp_path) == tmp_path / "model.domain.safetensors"


def test_too_few_clips_are_refused_in_one_line(model: MonkeyNet):
    with pytest.raises(UserError, match=r"domain: expected at least 10 clips .* got 9"):
        Domain.of(model, clips_of("discs", 9))


@pytest.mark.parametrize("name", MINIATURES)
def test_shipped_weights_know_their_own_kind_and_refuse_the_others(name: str):
    weights = weights_path(name)
    model = MonkeyNet.load(weights)
    domain = Domain.load(domain_path(weights), model)
    scores = {}
    for kind in MINIATURES:
        clips = ClipFolder(data_set_path(kind), "test", size=64)[:8]
        scores[kind] = domain.scores(model, torch.cat([to_tensor(clip.frames[::20]) for clip in clips]))
    own = scores.pop(name)
    assert (own <= 1).float().mean() >= 0.95
    for other in scores.values():
        assert (own[:, None] < other[None]).float().mean() > 0.98  # AUROC


# ----------------------------------------------------------------------------------------------------- against the truth


def test_the_fit_score_tells_near_poses_from_far_ones_on_mini_taichi():
    model = MonkeyNet.load(weights_path("mini-taichi"))
    frames, joints = [], []
    for clip in held_out_clips("mini-taichi", 3, 8):
        assert clip.truth is not None
        frames.append(to_tensor(clip.frames[:30:6]))
        joints.append(torch.from_numpy(clip.truth.joints[:30:6]))
    with torch.no_grad():
        found = model.detect(torch.cat(frames))
    true = torch.cat(joints)
    true = true - true.mean(dim=1, keepdim=True)
    clip_of = torch.arange(8).repeat_interleave(5)
    a, b = torch.where(clip_of[:, None] < clip_of[None])
    gap = (true[a] - true[b]).norm(dim=-1).mean(dim=-1)
    score = fit_score(found[a], found[b])
    low, high = (score[gap <= gap.quantile(0.25)], score[gap >= gap.quantile(0.75)])
    assert (low[:, None] < high[None]).float().mean() >= 0.95


def test_an_alignment_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Alignment(0, 0.0, 0.0, 0.0, 1).reference = 3  # type: ignore[misc]
