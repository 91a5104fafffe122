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
    """Joint 0 is the brightest pixel; joint 1 lies at (t, t) in frame t and is seen in frames 0 and 1 alone."""
    spot = frames.mean(dim=1).flatten(1).argmax(dim=1)
    place = torch.stack([torch.stack([spot % 16, spot // 16], dim=-1), torch.arange(len(frames))[:, None].expand(-1, 2)], 1)
    sure = torch.ones(len(frames), 2)
    sure[2:, 1] = 0
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
    assert torch.allclose(place[:, 1], torch.tensor([0.0, 1.0, 1.0, 1.0])[:, None].expand(4, 2) / 15 * 2 - 1)
    assert torch.allclose(place[:, 0, 0], torch.tensor([0.0, 2.0, 4.0, 6.0]) / 15 * 2 - 1)
    assert seen[:, 1].tolist() == [True, True, False, False]


def test_detections_are_remembered_per_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    one, other = model.detect(moving_spot())[0], model.detect(moving_spot(3))[0]
    assert not torch.equal(one, other)
    monkeypatch.setattr(cmmnet, "_estimator", lambda: pytest.fail("detected twice"))
    assert torch.equal(model.detect(moving_spot())[0], one)


def test_unseen_joints_count_in_no_loss() -> None:
    model, places = small(), torch.randn(2, 4, 2, 2)
    seen = torch.tensor([[True, False], [True, True], [False, True], [True, True]]).expand(2, 4, 2)
    model.decode = lambda codes, first, taught=True: torch.zeros(len(codes), 3, 2, 2)  # type: ignore[method-assign]
    found = model.landmark_terms(places, seen, torch.Generator())
    # Joint 1 is unseen in the first frame, joint 0 in frame 2: joint 0 counts in frames 1 and 3. All modes err alike.
    error = float((places[:, [1, 3], 0] - places[:, :1, 0]).abs().mean()) / 0.1
    assert float(found["landmarks"]) == pytest.approx(error, rel=1e-5)
    assert float(found["futures"]) == pytest.approx(2 * error, rel=1e-5)


def test_the_autoencoder_reads_and_gives_displacements_from_the_first_landmarks_in_tenths() -> None:
    model, places, read, given = small(), torch.randn(2, 4, 2, 2), [], []
    moved = (places[:, 1:] - places[:, :1]) * 10

    def encode(x: Tensor) -> Tensor:
        read.append(x)
        return torch.tensor([2.0, math.log(4.0)]).repeat_interleave(3).expand(2, 3, 6)  # mean 2, variance 4

    def decode(codes: Tensor, first: Tensor, taught: bool = True) -> Tensor:
        if taught:
            given.append(codes)
        return moved if taught else torch.zeros(len(codes), 3, 2, 2)

    model.encoder.forward = encode  # type: ignore[method-assign]
    model.decode = decode  # type: ignore[method-assign]
    found = model.landmark_terms(places, torch.ones(2, 4, 2, dtype=torch.bool), torch.Generator().manual_seed(3))
    assert float(found["landmarks"]) == pytest.approx(0, abs=1e-5)
    first = places[:, None, 0].flatten(2).expand(2, 3, 4)
    assert torch.allclose(read[0], torch.cat([moved.flatten(2), first], dim=2), atol=1e-5)
    noise = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(given[0], 2 + 2 * noise, atol=1e-5)
    assert float(found["kl"]) == pytest.approx(1e-3 * 3 * 0.5 * (4 + 4 - 1 - math.log(4.0)), rel=1e-5)


def test_decoded_numbers_are_x_and_y_of_each_joint() -> None:
    model, read = small(), []

    def decoder(x: Tensor) -> Tensor:
        read.append(x)
        return torch.arange(4.0).expand(*x.shape[:2], 4)

    model.decoder.forward = decoder  # type: ignore[method-assign]
    codes, first = torch.rand(1, 3, 3), torch.rand(1, 2, 2)
    assert model.decode(codes, first)[0, 1].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert torch.equal(read[0], torch.cat([codes, first.flatten(1)[:, None].expand(1, 3, 4)], dim=-1))


def test_mode_0_and_the_nearest_of_the_others_are_pulled_to_each_clip() -> None:
    model, seen = small(), torch.ones(2, 4, 2, dtype=torch.bool)
    places = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 4, 2, 2)  # two clips in which nothing moves
    errors = torch.tensor([[1.0, 4.0, 2.0], [3.0, 7.0, 5.0]])  # of each clip's modes
    model.roll_out = lambda first, mode, length: mode[:, None, None].expand(-1, length, 3).float()  # type: ignore[method-assign]

    def decode(codes: Tensor, first: Tensor, taught: bool = True) -> Tensor:
        wrong = torch.zeros(len(codes)) if taught else errors[first[:, 0, 0].long(), codes[:, 0, 0].long()]
        return wrong[:, None, None, None].expand(-1, 3, 2, 2)

    model.decode = decode  # type: ignore[method-assign]
    found = model.landmark_terms(places, seen, torch.Generator())
    pulled = [1 + 0.95 * 2 + 0.05 * 3, 3 + 0.95 * 5 + 0.05 * 6]  # mode 0; the nearest; a little of the mean of the others
    assert float(found["futures"]) == pytest.approx(sum(pulled) / 2)


def test_the_recurrent_network_reads_mode_and_code_before_it() -> None:
    model, read = small(), []
    model.recurrent.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    codes = model.roll_out(torch.rand(2, 2, 2), torch.tensor([2, 0]), 3)
    assert codes.shape == (2, 3, 3)
    before = torch.cat([torch.zeros(2, 1, 3), codes[:, :2]], dim=1)
    assert torch.equal(torch.stack(read, dim=1)[..., :3], before)
    assert all(step[:, 3:].tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]] for step in read)


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


def test_a_picture_is_drawn_from_the_landmarks_of_its_own_frame() -> None:
    model, batch, asked = small(), torch.stack([moving_spot(), moving_spot(3)]), []

    def translate(frame: Tensor, first: Tensor, wanted: Tensor) -> Tensor:
        asked.append((frame, first, wanted))
        return frame

    model.translate = translate  # type: ignore[method-assign]
    steps = [model.gradients((batch,), Practice.at(0, step, 0.0), CPU) for step in [*range(12), 0]]
    for step, (source, first, wanted) in zip(steps, asked, strict=True):
        target = step.pictures["wanted"]
        assert torch.equal(source, batch[[0, 0, 1, 1], 0])
        for frames, landmarks in ((source, first), (target, wanted)):
            assert torch.allclose(landmarks[:, 0], brightest_and_corner(frames).position[:, 0] / 15 * 2 - 1)
        assert not any(torch.equal(a, b) for a, b in zip(target, source, strict=True)), "the first frame is never wanted"
    assert torch.equal(steps[0].pictures["wanted"], steps[-1].pictures["wanted"]), "of seed and step"
    assert len({tuple(wanted[:, 0, 0].tolist()) for _, _, wanted in asked}) > 6


def test_the_translator_sees_where_landmarks_come_from_and_go_to_and_lays_colours_over_the_frame() -> None:
    model, frame, read = small(), torch.rand(1, 3, 16, 16), []
    first, wanted = torch.tensor([[[-1.0, -1.0], [1.0, 1.0]]]), torch.tensor([[[1.0, -1.0], [1.0, 1.0]]])
    mask = torch.full((1, 1, 16, 16), -100.0)
    mask[..., 8:, :] = 100.0

    def translator(x: Tensor) -> Tensor:
        read.append(x)
        return torch.cat([torch.full((1, 3, 16, 16), math.log(3.0)), mask], dim=1)

    model.translator.forward = translator  # type: ignore[method-assign]
    drawn = model.translate(frame, first, wanted)
    assert torch.equal(drawn[:, :, :8], frame[:, :, :8])
    assert torch.allclose(drawn[:, :, 8:], torch.tensor(0.75))
    assert torch.equal(read[0][:, :3], frame)
    assert (float(read[0][0, 3, 0, 0]), float(read[0][0, 3, 0, 15])) == pytest.approx((-1.0, 1.0))  # joint 0 goes right
    assert torch.equal(read[0][0, 4], torch.zeros(16, 16))  # joint 1 stays


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
    model.decode = lambda codes, first, taught=True: torch.ones(len(codes), codes.shape[1], 2, 2)  # type: ignore[method-assign]
    assert torch.allclose(model.predict_landmarks(face, 3)[0, 1:], face + 0.1), "a decoded 1 is a tenth"


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


def test_each_frame_of_a_film_is_drawn_from_the_picture_with_landmarks_of_its_future() -> None:
    model, first, asked = small().eval(), moving_spot()[0], []
    place = model.detect(first[None])[0][0]
    films = model.predict(first, 4, CPU, futures=2, seed=1)
    assert torch.allclose(films[1], model.predict(first, 4, CPU, seed=2)[0], atol=1e-5)
    assert not torch.equal(films[0], films[1])

    def translate(frame: Tensor, came: Tensor, wanted: Tensor) -> Tensor:
        asked.append((frame[0], came[0], wanted[0]))
        return frame

    model.translate = translate  # type: ignore[method-assign]
    model.predict(first, 4, CPU, futures=2, seed=1)
    future = model.predict_landmarks(place, 4, 2, 1)
    assert torch.equal(torch.stack([wanted for _, _, wanted in asked]).reshape(2, 3, 2, 2), future[:, 1:])
    assert all(torch.equal(frame, first) and torch.equal(came, place) for frame, came, _ in asked)
