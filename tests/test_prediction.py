"""Prediction: each idea against hand-worked values and a loop, what training and files promise, the shipped predictors."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monkeynet_edu import animation, prediction
from monkeynet_edu.data.datasets import MINIATURES
from monkeynet_edu.data.sprites import Clip, SpriteClips, held_out_clips, training_clips
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.errors import UserError
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import Device, MonkeyNet, mini_config
from monkeynet_edu.paths import weights_path
from monkeynet_edu.prediction import (
    Predictor,
    PredictorConfig,
    PredictorRecipe,
    covariance_from_factor,
    extract,
    extract_cached,
    first_latents,
    future_errors,
    future_spread,
    keypoint_vector,
    masked_l1,
    motion_amplitude,
    one_at_a_time,
    predicted_film,
    random_windows,
    roll_out,
    several_loss,
    shifted,
    shipped_predictor,
    train_predictor,
    vector_covariances,
    vector_means,
)

CPU = Device(torch.device("cpu"), "float32")
SMALL = PredictorConfig(keypoints=3, hidden=16, frames=8)


def keypoints(*shape: int, seed: int = 0) -> Keypoints:
    """Points (..., K, 2) within ±0.8 and positive definite covariances of a sprite's size."""
    drawn = torch.Generator().manual_seed(seed)
    factor = 0.1 * torch.randn(*shape, 2, 2, generator=drawn)
    return Keypoints(1.6 * torch.rand(*shape, 2, generator=drawn) - 0.8, factor.mT @ factor + 0.002 * torch.eye(2))


def circling(frames: int = 10, count: int = 3, turns: float = 0.5, sign: float = 1.0) -> Keypoints:
    """K points (T, K) on circles; their covariances grow."""
    angle = sign * 2 * math.pi * turns * torch.linspace(0, 1, frames)[:, None] + torch.arange(count)
    mean = torch.stack([0.5 * angle.cos(), 0.3 * angle.sin()], dim=-1)
    size = 0.01 * (1 + torch.linspace(0, 1, frames))
    return Keypoints(mean, (size[:, None, None, None] * torch.eye(2)).expand(frames, count, 2, 2))


def moving(config: PredictorConfig, seed: int = 0) -> Predictor:
    """An untrained predictor that moves what it is given."""
    torch.manual_seed(seed)
    made = Predictor(config)
    torch.nn.init.normal_(made.output.weight, std=0.1)
    return made.eval()


# --- the heart of the matter -------------------------------------------------------------------------------------------


def test_shifted_gives_every_frame_its_next_one() -> None:
    sequence = torch.tensor([[[1.0], [2.0], [4.0]], [[5.0], [7.0], [6.0]]])
    inputs, targets = shifted(sequence)
    assert inputs.tolist() == [[[1.0], [2.0]], [[5.0], [7.0]]]
    assert targets.tolist() == [[[2.0], [4.0]], [[7.0], [6.0]]]


def test_keypoint_vector_holds_means_then_covariances_and_comes_apart_again() -> None:
    one = Keypoints(torch.tensor([[0.1, 0.2], [0.3, 0.4]]), torch.arange(1.0, 9.0).view(2, 2, 2))
    assert keypoint_vector(one, "first").tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert keypoint_vector(one, "factor").tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 1, 2, 3, 4, 5, 6, 7, 8])
    many = keypoints(2, 5, 3)
    vector = keypoint_vector(many, "factor")
    assert vector.shape == (2, 5, 18)
    assert torch.equal(vector_means(vector, 3), many.mean)
    assert torch.equal(vector_covariances(vector, 3), many.cov)


def test_covariance_from_factor_by_hand() -> None:
    # A = [[1, 2], [3, 4]]: AᵀA = [[1+9, 2+12], [2+12, 4+16]].
    assert covariance_from_factor(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [[10.0, 14.0], [14.0, 20.0]]


@given(st.lists(st.floats(-100, 100), min_size=4, max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_transposed_a_is_symmetric_and_positive_semi_definite_whatever_comes(raw: list[float]) -> None:
    cov = covariance_from_factor(torch.tensor(raw, dtype=torch.float64))
    assert torch.equal(cov, cov.mT)
    assert float(torch.linalg.eigvalsh(cov).min()) >= -1e-9 * (1 + float(cov.abs().max()))


def test_a_times_a_is_not_positive_semi_definite() -> None:
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])  # a quarter turn, twice: everything points backwards
    squared = turn @ turn
    assert torch.linalg.eigvals(squared).real.tolist() == [-1.0, -1.0]
    assert torch.equal(covariance_from_factor(turn.flatten()), torch.eye(2))


def test_masked_l1_by_hand_and_against_a_loop() -> None:
    prediction_ = torch.tensor([[[1.0, 1.0], [5.0, 5.0]], [[0.0, 2.0], [9.0, 9.0]]])
    target = torch.zeros(2, 2, 2)
    mask = torch.tensor([[True, True], [True, False]])
    assert float(masked_l1(prediction_, target, mask)) == pytest.approx((1 + 1 + 5 + 5 + 0 + 2) / 6)
    drawn = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, 4, 5, generator=drawn), torch.randn(3, 4, 5, generator=drawn)
    there = torch.rand(3, 4, generator=drawn) < 0.6
    terms = [abs(float(a[i, t, f] - b[i, t, f])) for i in range(3) for t in range(4) for f in range(5) if there[i, t]]
    assert float(masked_l1(a, b, there)) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


@given(st.integers(0, 2**31), st.sampled_from([0.0, 1e6, math.nan, math.inf]))
@settings(max_examples=50, deadline=None)
def test_masked_l1_and_its_gradient_ignore_what_is_masked(seed: int, rubbish: float) -> None:
    drawn = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 5, 3, generator=drawn), torch.randn(2, 5, 3, generator=drawn)
    mask = torch.rand(2, 5, generator=drawn) < 0.5
    mask[0, 0] = True
    plain = float(masked_l1(a, b, mask))
    spoilt = torch.where(mask[..., None], a, rubbish).requires_grad_()
    loss = masked_l1(spoilt, torch.where(mask[..., None], b, -rubbish), mask)
    loss.backward()
    assert float(loss.detach()) == plain
    assert spoilt.grad is not None
    assert bool((spoilt.grad[~mask] == 0).all())


def test_roll_out_feeds_each_output_back() -> None:
    # y = 2x + state, the state counts up: 1 → 2·1+0 = 2 → 2·2+1 = 5 → 2·5+2 = 12.
    made = roll_out(lambda x, s: (2 * x + s, s + 1), torch.tensor([[1.0]]), 0, 3)
    assert made.tolist() == [[[2.0], [5.0], [12.0]]]


def test_roll_out_of_the_network_equals_step_by_step() -> None:
    network, first = moving(SMALL), keypoint_vector(keypoints(2, 3), "factor")
    made = network.run_freely(first, 5)
    x, state = first, network.start(2)
    for t in range(5):
        x, state = network.step(x, state)
        assert torch.equal(made[:, t], x)


def test_zeros_are_fed_after_the_first_frame_where_asked() -> None:
    network = moving(replace(SMALL, feedback="zeros"))
    first = keypoint_vector(keypoints(2, 3), "factor")
    made = network.run_freely(first, 3)
    inputs = torch.cat([first[:, None], torch.zeros(2, 2, first.shape[1])], dim=1)
    torch.testing.assert_close(made, network.forced(inputs, network.start(2))[0])
    assert network.run_freely(first, 1).shape == (2, 1, 18)


def test_motion_amplitude_by_hand() -> None:
    # One point goes (3, 4) away and back, the other rests: distances 5, 0 and 0, 0; the mean is 1.25.
    means = torch.tensor([[[[0.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 1.0]]]])
    assert motion_amplitude(means).tolist() == [1.25]
    assert motion_amplitude(means[:, :1].expand(-1, 3, -1, -1)).tolist() == [0.0]


def test_errors_and_spread_of_futures_by_hand() -> None:
    futures = torch.tensor([[[[1.0], [9.0]], [[-3.0], [9.0]]]])  # two futures; the second frame is absent
    mask = torch.tensor([[True, False]])
    assert future_errors(futures, torch.zeros(1, 2, 1), mask).tolist() == [[1.0, 3.0]]
    assert future_spread(futures, mask).tolist() == [4.0]
    assert future_spread(futures[:, :1], mask).tolist() == [0.0]


def test_future_errors_are_the_masked_l1_of_each() -> None:
    drawn = torch.Generator().manual_seed(1)
    futures, target = torch.randn(2, 3, 4, 5, generator=drawn), torch.randn(2, 4, 5, generator=drawn)
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])
    for b in range(2):
        for n in range(3):
            one = masked_l1(futures[b, n][None], target[b][None], mask[b][None])
            assert float(future_errors(futures, target, mask)[b, n]) == pytest.approx(float(one), rel=1e-5)


def test_several_loss_weighs_best_all_and_spread() -> None:
    errors, spread = torch.tensor([[1.0, 3.0], [6.0, 2.0]]), torch.tensor([0.5, 1.5])
    # best: (1+2)/2 = 1.5; all: 3; spread: 1.
    assert float(several_loss(errors, spread, 0.25, 0.1)) == pytest.approx(0.75 * 1.5 + 0.25 * 3 - 0.1)


def test_the_criterion_of_several_futures_prefers_two_ways_to_their_middle() -> None:
    ways = torch.tensor([-1.0, 1.0]).view(2, 1, 1)  # half of the films go left, half right
    mask = torch.ones(2, 1, dtype=torch.bool)
    apart = torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1).expand(2, -1, -1, -1)
    middle = torch.zeros(2, 2, 1, 1)
    losses = [several_loss(future_errors(f, ways, mask), future_spread(f, mask), 0.1, 0.0) for f in (apart, middle)]
    assert float(losses[0]) == pytest.approx(0.1)  # the best is right, the mean over both is off by 1
    assert float(losses[1]) == pytest.approx(1.0)


def test_futures_in_a_row_start_near_different_corners() -> None:
    assert first_latents(torch.arange(4), torch.zeros(4, 3)).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    noise = torch.tensor([[4.0, -4.0]])
    assert first_latents(torch.tensor([1]), noise).tolist() == [[1.0, 0.0]]


def test_random_windows_are_consecutive_and_short_clips_are_filled_up() -> None:
    clips = [torch.arange(20.0)[:, None], torch.arange(100.0, 103.0)[:, None]]
    batch, mask = random_windows(clips, 6, 300, torch.Generator().manual_seed(0))
    starts = set()
    for row, there in zip(batch[..., 0], mask, strict=True):
        if row[0] >= 100:
            assert row.tolist() == [100, 101, 102, 0, 0, 0]
            assert there.tolist() == [True] * 3 + [False] * 3
        else:
            assert torch.equal(row.diff(), torch.ones(5))
            assert there.all()
            starts.add(int(row[0]))
    assert {0, 14} <= starts <= set(range(15))


# --- the network -------------------------------------------------------------------------------------------------------


def test_a_network_that_says_nothing_repeats_the_picture() -> None:
    network = Predictor(SMALL)
    torch.nn.init.zeros_(network.output.weight)
    first = keypoints(2, 3)
    film = network.predict(first, 5)
    torch.testing.assert_close(film.mean, first.mean[:, None].expand(-1, 5, -1, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(film.cov, first.cov[:, None].expand(-1, 5, -1, -1, -1), atol=2e-4, rtol=0)


@pytest.mark.parametrize("feedback", ["previous", "zeros"])
@pytest.mark.parametrize("layers", [1, 2])
def test_predicted_keypoints_start_at_the_picture_stay_inside_and_can_be_inverted(feedback: str, layers: int) -> None:
    network = moving(replace(SMALL, feedback=feedback, layers=layers))  # type: ignore[arg-type]
    torch.nn.init.normal_(network.output.weight, std=5.0)  # wild
    first = keypoints(4, 3)
    film = network.predict(first, 12)
    assert film.mean.shape == (4, 12, 3, 2)
    assert torch.equal(film.mean[:, 0], first.mean)
    assert torch.equal(film.cov[:, 0], first.cov)
    assert float(film.mean.abs().max()) <= 1
    assert float(torch.linalg.eigvalsh(film.cov[:, 1:].double()).min()) > 0


def test_first_keeps_the_covariances_of_the_picture() -> None:
    first = keypoints(2, 3)
    film = moving(replace(SMALL, covariance="first")).predict(first, 4)
    assert torch.equal(film.cov, first.cov[:, None].expand(-1, 4, -1, -1, -1))
    assert not torch.equal(film.mean[:, 1], film.mean[:, 0])


def test_several_futures_differ_and_repeat_with_their_seed_a_single_one_is_always_the_same() -> None:
    first = keypoints(2, 3)
    several, single = moving(replace(SMALL, form="several")), moving(SMALL)
    films = [several.predict(first, 6, seed).mean for seed in (0, 1, 5, 0)]
    assert torch.equal(films[0], films[3])
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert float((films[a] - films[b]).abs().max()) > 1e-4
    assert torch.equal(single.predict(first, 6, 0).mean, single.predict(first, 6, 1).mean)


def test_a_longer_film_begins_as_the_shorter_one() -> None:
    network, first = moving(replace(SMALL, form="several")), keypoints(1, 3)
    torch.testing.assert_close(network.predict(first, 9, 2).mean[:, :4], network.predict(first, 4, 2).mean)
    assert torch.equal(network.predict(first, 1).mean, first.mean[:, None])


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (lambda p: p.predict(keypoints(1, 3), 0), "frames: expected at least 1, got 0"),
        (lambda p: p.predict(keypoints(1, 3), 4, -1), "seed: expected a whole number from 0, got -1"),
        (lambda p: p.predict(keypoints(1, 4), 4), "expected keypoints of a model with 3, as it was trained on, got 4"),
        (lambda p: p.check_fits(MonkeyNet(mini_config())), "with 3, as it was trained on, got 10 of the model"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_one_line(request_: object, said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        request_(Predictor(SMALL))  # type: ignore[operator]
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"frames": 1}, {"form": "some"}, {"covariance": "no"}, {"latent": 1.5}])
def test_a_configuration_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        PredictorConfig(**wrong)  # type: ignore[arg-type]


# --- files -------------------------------------------------------------------------------------------------------------


def test_a_saved_predictor_comes_back(tmp_path: Path) -> None:
    network, first = moving(replace(SMALL, form="several", layers=2)), keypoints(2, 3)
    network.weights = "those"
    network.save(tmp_path / "p.safetensors")
    back = Predictor.load(tmp_path / "p.safetensors")
    assert (back.config, back.weights) == (network.config, "those")
    assert torch.equal(back.predict(first, 6, 3).mean, network.predict(first, 6, 3).mean)
    network.save(tmp_path / "half.safetensors", torch.float16)
    half = Predictor.load(tmp_path / "half.safetensors").predict(first, 6, 3).mean
    assert float((half - network.predict(first, 6, 3).mean).abs().max()) < 5e-3


def test_a_file_that_is_no_predictor_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    Predictor(SMALL).save(whole)
    cut, rubbish = tmp_path / "cut.safetensors", tmp_path / "rubbish.safetensors"
    cut.write_bytes(whole.read_bytes()[:-100])
    rubbish.write_bytes(b"not weights at all")
    for path in (cut, rubbish, weights_path("mini-nemo")):
        with pytest.raises(UserError, match="got a foreign or damaged file") as raised:
            Predictor.load(path)
        assert str(raised.value).startswith(str(path))
        assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="got no file"):
        Predictor.load(tmp_path / "nowhere.safetensors")


def test_a_predictor_knows_the_model_that_it_learned_from() -> None:
    torch.manual_seed(0)
    ours, other = MonkeyNet(mini_config()), MonkeyNet(mini_config())
    network = Predictor(PredictorConfig(), prediction.fingerprint(ours))
    assert network.knows(ours)
    assert not network.knows(other)


# --- training ----------------------------------------------------------------------------------------------------------

QUICK = PredictorRecipe(steps=150, batch_size=4, learning_rate=1e-2, look=25)


@pytest.mark.parametrize("covariance", ["factor", "first"])
def test_training_overfits_one_clip(covariance: str) -> None:
    clip = circling(8)
    config = replace(SMALL, hidden=32, covariance=covariance)  # type: ignore[arg-type]
    made = train_predictor([clip], config, QUICK, progress=False)
    film = made.predictor.predict(clip[:1], 8)
    still = float((clip.mean - clip.mean[:1]).abs().mean())
    assert float((film.mean[0] - clip.mean).abs().mean()) < 0.1 * still
    assert made.finished
    assert made.steps == 150
    if covariance == "factor":
        assert float((film.cov[0] - clip.cov).abs().mean()) < 0.5 * float((clip.cov - clip.cov[:1]).abs().mean())


def test_of_two_ways_one_future_takes_the_middle_and_several_take_both() -> None:
    ways = [circling(8, sign=sign, turns=0.25) for sign in (1.0, -1.0)]
    steps = replace(QUICK, steps=120, batch_size=8)
    single = train_predictor(ways, SMALL, steps, progress=False).predictor
    several = train_predictor(ways, replace(SMALL, form="several", latent=2), steps, progress=False).predictor
    still = float(motion_amplitude(ways[0].mean[None]))
    errors = [
        min(float((several.predict(way[:1], 8, seed).mean[0] - way.mean).abs().mean()) for seed in (0, 1)) for way in ways
    ]
    alone = [float((single.predict(way[:1], 8).mean[0] - way.mean).abs().mean()) for way in ways]
    assert sum(errors) < 0.5 * sum(alone)
    for seed in (0, 1):
        assert 0.5 < float(motion_amplitude(several.predict(ways[0][:1], 8, seed).mean)) / still < 1.5


def weights_of(network: Predictor) -> Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("form", ["single", "several"])
def test_the_same_seed_trains_the_same_predictor(form: str) -> None:
    clips = [circling(8, sign=sign) for sign in (1.0, -1.0)] + [circling(3)]
    config = replace(SMALL, form=form)  # type: ignore[arg-type]
    brief = replace(QUICK, steps=6, look=3)
    one, same = (weights_of(train_predictor(clips, config, brief, progress=False).predictor) for _ in range(2))
    other = weights_of(train_predictor(clips, config, replace(brief, seed=1), progress=False).predictor)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_teacher_forcing_reads_the_true_frames() -> None:
    network = moving(SMALL)
    windows = keypoint_vector(keypoints(2, 8, 3), "factor")
    mask = torch.ones(2, 8, dtype=torch.bool)
    drawn = torch.Generator()
    forced = prediction.sequence_loss(network, windows, mask, replace(QUICK, feeding="teacher"), drawn)
    guess = network.forced(windows[:, :-1], network.start(2))[0]
    forced = forced.detach()
    assert float(forced) == float((guess - windows[:, 1:]).abs().mean().detach())
    assert float(forced) != float(prediction.sequence_loss(network, windows, mask, QUICK, drawn).detach())


def test_training_refuses_what_it_cannot_learn_from() -> None:
    with pytest.raises(UserError, match="expected some of at least 2 frames, got at most 1"):
        train_predictor([circling(1)], SMALL, QUICK, progress=False)
    with pytest.raises(UserError, match="got at most 0"):
        train_predictor([], SMALL, QUICK, progress=False)
    with pytest.raises(UserError, match="with 3, as it was trained on, got 4 of the clips"):
        train_predictor([circling(8, count=4)], SMALL, QUICK, progress=False)
    endless = Keypoints(circling(8).mean * math.inf, circling(8).cov)
    with pytest.raises(UserError, match="expected a finite loss"):
        train_predictor([endless], SMALL, QUICK, progress=False)
    with pytest.raises(UserError, match="predictor steps"):
        PredictorRecipe(steps=0)
    with pytest.raises(UserError, match="learning_rate"):
        PredictorRecipe(learning_rate=0)


def test_ctrl_c_keeps_what_was_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = prediction.sequence_loss, []

    def stops(*arguments: object) -> Tensor:
        calls.append(1)
        if len(calls) > 80:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(prediction, "sequence_loss", stops)
    made = train_predictor([circling(8)], SMALL, QUICK, progress=False)
    assert not made.finished
    assert 50 < made.steps < 150
    assert made.set_aside[-1] < made.set_aside[0]


# --- keypoints of clips ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> MonkeyNet:
    """The shipped weights of mini-nemo."""
    return MonkeyNet.load(weights_path("mini-nemo"))


def test_extracted_keypoints_are_those_that_the_detector_finds(model: MonkeyNet) -> None:
    clips = [held_out_clips("mini-nemo", 3, 2)[i] for i in range(2)]
    found = extract(model, iter(clips), CPU)
    for clip, k in zip(clips, found, strict=True):
        torch.testing.assert_close(k.mean, animation.detect_clip(model, to_tensor(clip.frames), CPU).mean)
    with pytest.raises(UserError, match="clip odd: frame size 50"):
        extract(model, [Clip("odd", np.zeros((2, 50, 50, 3), np.uint8))], CPU)


def test_clips_come_one_at_a_time_and_generated_ones_are_not_kept() -> None:
    clips = training_clips("mini-mgif", 0, 3, 32, None)
    seen = list(one_at_a_time(clips, 1))
    assert clips._drawn == {}
    assert [np.array_equal(a.frames, clips[i].frames) for i, a in enumerate(seen, 1)] == [True, True]
    assert isinstance(clips, SpriteClips)
    assert [clip.name for clip in one_at_a_time(list(clips))] == ["0000", "0001", "0002"]


def test_interrupted_extraction_goes_on_and_another_model_starts_anew(
    model: MonkeyNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "_BLOCK", 1)
    clips = [Clip(str(i), np.random.default_rng(i).integers(0, 255, (2, 64, 64, 3), np.uint8)) for i in range(3)]
    looked: list[str] = []
    real = prediction.extract

    def noted(net: MonkeyNet, some: object, device: Device) -> list[Keypoints]:
        some = list(some)  # type: ignore[call-overload]
        looked.extend(clip.name for clip in some)
        if looked == ["0", "1"]:
            raise KeyboardInterrupt
        return real(net, some, device)

    monkeypatch.setattr(prediction, "extract", noted)
    cache = tmp_path / "k.safetensors"
    with pytest.raises(KeyboardInterrupt):
        extract_cached(model, clips, "three", cache, CPU)
    found = extract_cached(model, clips, "three", cache, CPU)
    assert looked == ["0", "1", "1", "2"]
    again = extract_cached(model, clips, "three", cache, CPU)
    assert len(looked) == 4
    for a, b, c in zip(found, again, real(model, clips, CPU), strict=True):
        assert torch.equal(a.mean, b.mean)
        torch.testing.assert_close(a.cov, c.cov, rtol=1e-3, atol=1e-6)  # half precision in between
    extract_cached(MonkeyNet.from_preset("mini"), clips, "three", cache, CPU)
    assert len(looked) == 7


# --- films and what is shipped -----------------------------------------------------------------------------------------


def test_a_predicted_film_starts_at_the_picture_and_follows_the_predicted_keypoints(model: MonkeyNet) -> None:
    image = to_tensor(held_out_clips("mini-nemo", 3, 1)[0].frames[:1])[0]
    network = moving(PredictorConfig(hidden=8))
    film = predicted_film(model, network, image, 3, 0, CPU)
    source = animation.detect_clip(model, image[None], CPU)
    assert film.prediction.shape == (3, 3, 64, 64)
    torch.testing.assert_close(film.moved.mean, network.predict(source, 3)[0].mean)
    drawn = torch.cat([g.prediction for g in animation.draw(model, image[None], source, film.moved, CPU)])
    torch.testing.assert_close(film.prediction, drawn)
    with pytest.raises(UserError, match="with 3, as it was trained on, got 10"):
        predicted_film(model, moving(SMALL), image, 3, 0, CPU)
    with pytest.raises(UserError, match="frame size 50"):
        predicted_film(model, network, image[:, :50, :50], 3, 0, CPU)


@pytest.mark.parametrize("name", MINIATURES)
def test_the_shipped_predictors_fit_the_shipped_models(name: str) -> None:
    net = MonkeyNet.load(weights_path(name))
    for form in ("several", "single"):
        network = shipped_predictor(name, form)  # type: ignore[arg-type]
        network.check_fits(net)
        assert network.knows(net), f"the weights of {name} are new: run `python benchmarks/prediction.py --train {name}`"
        assert network.config.form == form
    for path in weights_path(name).parent.glob(f"{name}*.predictor.safetensors"):
        assert path.stat().st_size <= 300_000


def test_the_shipped_predictor_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"mini-nothing\.predictor"):
        shipped_predictor("mini-nothing")


def test_predicted_parts_stay_as_wide_as_in_the_picture() -> None:
    needle, first = torch.diag(torch.tensor([4.0, 0.5])), torch.diag(torch.tensor([1.0, 2.0]))
    assert prediction.keep_width(needle, first).tolist() == [[4.5, 0.0], [0.0, 1.0]]
    wide = torch.diag(torch.tensor([3.0, 2.0]))
    assert torch.equal(prediction.keep_width(wide, first), wide)
