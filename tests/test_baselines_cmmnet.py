"""CMM-Net: what each of its three networks promises, on landmarks and frames of a few pixels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from monkeynet_edu.baselines import Practice, cmmnet
from monkeynet_edu.baselines.cmmnet import CMMNet, CMMNetConfig, gaussian_kl, landmark_maps
from monkeynet_edu.evaluators import Points
from monkeynet_edu.model import Device

CPU = Device(torch.device("cpu"), "float32")
SMALL = CMMNetConfig(frame_size=16, frames=4, joints=2, code=3, hidden=16, modes=3, width=4)


def brightest_and_corner(frames: Tensor) -> Points:
    """Joint 0 is the brightest pixel; joint 1 lies in the corner, seen in frame 0 alone."""
    spot = frames.mean(dim=1).flatten(1).argmax(dim=1)
    place = torch.stack([torch.stack([spot % 16, spot // 16], dim=-1), torch.arange(len(frames))[:, None].expand(-1, 2)], 1)
    sure = torch.ones(len(frames), 2)
    sure[1:, 1] = 0
    return Points(place.float(), sure)


class Stub:
    def to(self, device: torch.device) -> object:
        return brightest_and_corner


@pytest.fixture(autouse=True)
def detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cmmnet, "_estimator", Stub)
    monkeypatch.setattr(cmmnet, "_REMEMBERED", {})


def moving_spot(start: int = 0) -> Tensor:
    """(4, 3, 16, 16): a bright pixel that goes right by two a frame."""
    frames = torch.full((4, 3, 16, 16), 0.2)
    for t in range(4):
        frames[t, :, 8, start + 2 * t] = 1.0
    return frames


def small() -> CMMNet:
    torch.manual_seed(0)
    return CMMNet(SMALL)


def test_divergence_of_gaussians() -> None:
    assert gaussian_kl(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0.0, 0.0]
    found = gaussian_kl(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, math.log(4.0)]]))
    assert float(found) == pytest.approx(0.5 * 4 + 0.5 * (4 - 1 - math.log(4.0)))


def test_heatmaps_peak_at_their_landmarks() -> None:
    maps = landmark_maps(torch.tensor([[[-1.0, 1.0], [0.0, 0.0]]]), 5)
    assert maps.shape == (1, 2, 5, 5)
    assert float(maps[0, 0, 4, 0]) == 1.0  # left, below
    assert float(maps[0, 1, 2, 2]) == 1.0
    assert float(maps[0, 1, 2, 3]) == pytest.approx(math.exp(-(0.5**2) / (2 * 0.07**2)), rel=1e-4)


def test_unseen_joint_stays_where_it_was_seen_last() -> None:
    place, seen = small().detect(moving_spot())
    assert torch.equal(place[:, 1], torch.full((4, 2), -1.0))
    assert torch.allclose(place[:, 0, 0], torch.tensor([0.0, 2.0, 4.0, 6.0]) / 15 * 2 - 1)
    assert seen[:, 1].tolist() == [True, False, False, False]


def test_detections_are_remembered_per_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    one, other = model.detect(moving_spot())[0], model.detect(moving_spot(3))[0]
    assert not torch.equal(one, other)
    monkeypatch.setattr(cmmnet, "_estimator", lambda: pytest.fail("detected twice"))
    assert torch.equal(model.detect(moving_spot())[0], one)


def test_unseen_joints_count_in_no_loss() -> None:
    model = small()
    places, seen = torch.randn(2, 4, 2, 2), torch.tensor([True, False]).expand(2, 4, 2)
    drawn = torch.zeros(2, 3, 2, 2)
    model.decode = lambda codes, first, taught=True: drawn.repeat_interleave(len(codes) // 2, 0)  # type: ignore[method-assign]
    found = model.landmark_terms(places, seen, torch.Generator())["landmarks"]
    assert float(found) == pytest.approx(float((places[:, 1:, 0] - places[:, :1, 0]).abs().mean()) / 0.1, rel=1e-5)


def test_recurrent_loss_does_not_teach_the_decoder() -> None:
    model = small()
    terms = model.landmark_terms(torch.randn(2, 4, 2, 2), torch.ones(2, 4, 2, dtype=torch.bool), torch.Generator())
    (terms["futures"] + terms["diversity"]).backward()
    assert all(p.grad is None for part in (model.decoder, model.encoder) for p in part.parameters())
    assert all(p.grad is not None for part in (model.start, model.recurrent) for p in part.parameters())


def test_modes_that_agree_are_pushed_and_modes_apart_are_not() -> None:
    model, places, seen = small(), torch.zeros(2, 4, 2, 2), torch.ones(2, 4, 2, dtype=torch.bool)
    model.decode = lambda codes, first, taught=True: torch.zeros(len(codes), 3, 2, 2)  # type: ignore[method-assign]
    same = model.landmark_terms(places, seen, torch.Generator())["diversity"]
    assert float(same) == pytest.approx(cmmnet._PUSH * cmmnet._APART)
    spread = torch.arange(6.0)[:, None, None, None].expand(-1, 3, 2, 2)
    model.decode = lambda codes, first, taught=True: spread[: len(codes)]  # type: ignore[method-assign]
    assert float(model.landmark_terms(places, seen, torch.Generator())["diversity"]) == pytest.approx(0.0, abs=1e-6)


def test_every_parameter_gets_a_gradient_and_an_optimizer() -> None:
    model = small().train()
    step = model.gradients((torch.stack([moving_spot(), moving_spot(3)]),), Practice.at(0, 0, 0.0), CPU)
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    held = [id(p) for a in model.optimizers(1e-3).values() for g in a.param_groups for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    assert not any("trunk" in name for name in model.state_dict())  # the detector is not saved again
    assert step.generated.shape == (4, 3, 16, 16)
    assert 0 <= float(step.generated.min()) <= float(step.generated.max()) <= 1


def test_a_single_batch_is_learned() -> None:
    model, losses = small().train(), []
    adams = model.optimizers(1e-2).values()
    for step in range(80):
        found = model.gradients((moving_spot()[None],), Practice.at(0, step, 0.0), CPU).losses
        losses.append({name: float(value) for name, value in found.items()})
        for adam in adams:
            adam.step()
    first, last = losses[0], losses[-1]
    assert all(last[name] < 0.5 * first[name] for name in ("landmarks", "futures", "frame"))


def test_futures_are_modes_and_begin_with_the_face() -> None:
    model, face = small().eval(), torch.tensor([[0.1, -0.2], [0.3, 0.4]])
    four = model.predict_landmarks(face, 5, futures=4)
    assert four.shape == (4, 5, 2, 2)
    assert all(torch.equal(future[0], face) for future in four)
    assert torch.equal(four[2:3], model.predict_landmarks(face, 5, seed=2))  # future i is that of seed + i
    assert len({tuple(future.flatten().tolist()) for future in four}) == 4  # seed 3: mode 0, drifting
    assert model.predict_landmarks(face, 1).shape == (1, 1, 2, 2)


@pytest.mark.parametrize("length", [1, 6])
def test_films_begin_with_the_picture(length: int) -> None:
    model, first = small().train(), moving_spot()[0]
    films = model.predict(first, length, CPU, futures=2, seed=1)
    assert films.shape == (2, length, 3, 16, 16)
    assert torch.equal(films[:, 0], first.expand(2, -1, -1, -1))
    assert films.dtype == torch.float32
    assert 0 <= float(films.min()) <= float(films.max()) <= 1
    assert torch.equal(films, model.predict(first, length, CPU, futures=2, seed=1))
    assert not model.training
