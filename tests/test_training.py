"""Training: the step is the published one, and no crash costs more than the time since the last checkpoint."""

from __future__ import annotations

import collections
import dataclasses
import errno
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from monkeynet_edu import keypoints, losses, training
from monkeynet_edu.data.pairs import NO_AUGMENTATION, Augmentation
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.discriminator import DiscriminatorConfig
from monkeynet_edu.errors import UserError
from monkeynet_edu.generator import GeneratorConfig
from monkeynet_edu.keypoints import DetectorConfig
from monkeynet_edu.losses import LossWeights
from monkeynet_edu.model import MODEL_FILE, PRESETS, Device, MonkeyNet, MonkeyNetConfig, load_tensors, save_tensors
from monkeynet_edu.motion import EmbeddingConfig, MotionConfig
from monkeynet_edu.training import (
    CHECKPOINT_FILE,
    METRICS_FILE,
    RECIPES,
    Budget,
    Learns,
    Optimizers,
    Pace,
    Recipe,
    Run,
    compute_gradients,
    compute_motion_gradients,
    detect_pair,
    motion_step,
    read_metrics,
    recipe,
    recipe_for,
    start,
    train,
    training_step,
)

CPU = Device(torch.device("cpu"), "float32")
SIZE = 32
TINY = MonkeyNetConfig(
    frame_size=SIZE,
    detector=DetectorConfig(3, 8, 16, 3, least_covariance=0.001),
    generator=GeneratorConfig(
        8, 16, 3, refinement_blocks=1, motion=MotionConfig(8, 16, 3, EmbeddingConfig(("heatmap", "deformed_source")))
    ),
    discriminator=DiscriminatorConfig(8, 16, 2),
    losses=LossWeights((10.0, 10.0, 1.0), deformed=10.0),
)
HOW = Recipe(batch_size=2, learning_rate=2e-3, schedule="cosine", augmentation=Augmentation(0.5, 0.5), seed=3)
OFTEN = Pace(log=2, preview=1000, checkpoint=0)


def discs(count: int = 3, length: int = 4) -> list[Clip]:
    """Clips (length, 32, 32, 3) of a disc that crosses a gradient, each in a colour of its own."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    clips = []
    for c in range(count):
        frames = np.zeros((length, SIZE, SIZE, 3), np.uint8)
        frames[..., 0], frames[..., 1] = 60 * (x + 1), 60 * (y + 1)
        for t, centre in enumerate(np.linspace(-0.5, 0.5, length)):
            frames[t, (x - centre) ** 2 + (y - 0.2 * c) ** 2 < 0.1] = (250, 80 * c, 200)
        clips.append(Clip(f"disc{c}", frames))
    return clips


def new_run(how: Recipe = HOW, config: MonkeyNetConfig = TINY, data: str = "discs") -> Run:
    return start(config, how, data, CPU)


def resumed(folder: Path) -> Run:
    run = new_run(dataclasses.replace(HOW))
    torch.rand(7)  # whatever else the process has drawn
    run.restore(folder)
    return run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return MonkeyNet.load(folder).state_dict()


def assert_same_bits(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder after 12 steps in one sitting."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(new_run(), discs(), Budget(steps=12), folder, CPU, Pace(log=2, preview=6))
    return folder


# ------------------------------------------------------------------------------------------------------------- one step


def a_batch(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pairs (2, 3, 32, 32)."""
    frames = torch.from_numpy(np.stack([c.frames for c in discs(2)])).to(dtype).permute(0, 1, 4, 2, 3) / 255
    return frames[:, 0], frames[:, 2]


def a_model(seed: int = 5) -> MonkeyNet:
    """TINY in float64 with an M that moves and sees its keypoints."""
    torch.manual_seed(seed)
    model = MonkeyNet(TINY).double()
    motion = model.generator.dense_motion_module
    torch.nn.init.normal_(motion.hourglass.decoder.conv.weight, std=0.05)
    return model.train()


def gradients(model: MonkeyNet) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def published_gradients(model: MonkeyNet, source: torch.Tensor, driving: torch.Tensor) -> dict[str, torch.Tensor]:
    """Two passes as in the authors' code: G and Δ first; then D anew on detached keypoints and a detached picture."""
    model.zero_grad()
    kp_source, kp_driving = detect_pair(model, source, driving)
    made = model(source, kp_source, kp_driving)
    fake = model.discriminator(made.prediction, kp_source, kp_driving)
    real = model.discriminator(driving, kp_source, kp_driving)
    loss = 10 * (made.deformed - driving).abs().mean() + (1 - fake[-1]).square().mean()
    for weight, f, r in zip((10.0, 10.0, 1.0), fake[:-1], real[:-1], strict=True):
        loss = loss + weight * (f - r).abs().mean()
    loss.backward()
    learners = {n: g for n, g in gradients(model).items() if not n.startswith("discriminator.")}
    model.zero_grad()
    still_source, still_driving = kp_source.detach(), kp_driving.detach()
    real_score = model.discriminator(driving, still_source, still_driving)[-1]
    fake_score = model.discriminator(made.prediction.detach(), still_source, still_driving)[-1]
    ((1 - real_score).square().mean() + fake_score.square().mean()).backward()
    judge = {f"discriminator.{n}": p.grad.clone() for n, p in model.discriminator.named_parameters()}
    return learners | judge


def test_evaluating_d_once_gives_the_gradients_of_the_published_two_passes():
    source, driving = a_batch(torch.float64)
    expected = published_gradients(a_model(), source, driving)
    model = a_model()
    compute_gradients(model, source, driving, CPU)
    got = gradients(model)
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-9, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")
    for network in ("generator", "detector", "discriminator"):
        assert max(g.abs().max() for n, g in got.items() if n.startswith(network)) > 1e-4


def test_gradients_do_not_pile_up_from_step_to_step():
    source, driving = a_batch(torch.float64)
    model = a_model().eval()  # batch statistics would not matter, running ones would drift
    compute_gradients(model, source, driving, CPU)
    once = gradients(model)
    compute_gradients(model, source, driving, CPU)
    assert_same_bits(gradients(model), once)


@pytest.mark.parametrize("frame", ["generated", "real"])
def test_gradients_reach_the_detector_through_ds_heatmaps(frame: str, monkeypatch: pytest.MonkeyPatch):
    source, driving = a_batch(torch.float64)
    model = a_model()
    compute_gradients(model, source, driving, CPU)
    whole = gradients(model)
    model, calls = a_model(), itertools.count()
    plain = type(model.discriminator).forward

    def cut(self, image, kp_source, kp_driving):
        if ("generated", "real")[next(calls)] == frame:
            kp_source, kp_driving = kp_source.detach(), kp_driving.detach()
        return plain(self, image, kp_source, kp_driving)

    monkeypatch.setattr(type(model.discriminator), "forward", cut)
    compute_gradients(model, source, driving, CPU)
    without = gradients(model)
    name = "detector.predictor.decoder.conv.weight"
    assert (whole[name] - without[name]).norm() > 1e-3 * whole[name].norm()
    assert_same_bits(*({n: g for n, g in gs.items() if n.startswith("discriminator")} for gs in (whole, without)))


def test_gradients_lie_in_memory_as_their_weights_do_so_that_a_fused_adam_may_step_them():
    model = a_model().float()
    compute_gradients(model, *a_batch(), CPU)
    for p in model.parameters():
        steps = [
            (step, of_grad) for side, step, of_grad in zip(p.shape, p.stride(), p.grad.stride(), strict=True) if side > 1
        ]
        assert all(step == of_grad for step, of_grad in steps)  # along a side of 1 a stride means nothing


def test_a_step_draws_and_convolves_nothing_twice_over(monkeypatch: pytest.MonkeyPatch):
    model, drawn, convolved = a_model().float(), [], []
    plain = keypoints.gaussian_heatmap
    monkeypatch.setattr(keypoints, "gaussian_heatmap", lambda *args: (drawn.append(args), plain(*args))[1])
    for name, part in model.named_modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(lambda *_, name=name: convolved.append(name))
    with FlopCounterMode(display=False) as counter:
        compute_gradients(model, *a_batch(), CPU)
    times = collections.Counter(convolved)
    judges = [name for name in times if name.startswith("discriminator.")]
    assert len(judges) == 3
    assert all(times[name] == (2 if name in judges else 1) for name in times)  # D: once on each frame
    assert len(drawn) <= 6  # source and driving for M and for G, driving for D on each frame
    calls = counter.get_flop_counts()["Global"]
    backward = calls[torch.ops.aten.convolution_backward]
    assert backward < 2.5 * calls[torch.ops.aten.convolution]  # plain: 2; D's inputs a second time, its weights never


def test_a_step_moves_all_three_networks_by_adams_first_step():
    source, driving = a_batch()
    torch.manual_seed(1)
    model = MonkeyNet(TINY).train()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    result = training_step(model, Optimizers.of(model, 1e-3), source, driving, CPU)
    assert set(result.losses) == {"frame", "deformed", "feature_1", "feature_2", "adversarial", "discriminator"}
    # Adam's first step is the learning rate against the gradient's sign, wherever the gradient is not tiny.
    for n, p in model.named_parameters():
        clear = p.grad.abs() > 1e-4
        torch.testing.assert_close((before[n] - p.detach())[clear], 1e-3 * p.grad[clear].sign(), rtol=1e-3, atol=1e-6)


def test_the_losses_reported_are_weighted():
    source, driving = a_batch(torch.float64)
    result = compute_gradients(a_model(), source, driving, CPU)
    assert float(result.losses["frame"]) == pytest.approx(
        10 * float(losses.l1(result.generated.prediction.detach(), driving))
    )
    assert not any(value.requires_grad for value in result.losses.values())


def test_one_batch_is_learned_by_heart():
    source, driving = a_batch()
    torch.manual_seed(0)
    model = MonkeyNet(TINY).train()
    optimizers = Optimizers.of(model, 4e-3)
    frame = [float(training_step(model, optimizers, source, driving, CPU).losses["frame"]) for _ in range(60)]
    assert min(frame[-5:]) < frame[0] / 3


# ----------------------------------------------------------------------------------------------------- recipe and budget


MOVING = dataclasses.replace(TINY, losses=LossWeights((10.0, 10.0, 1.0), deformed=10.0, deformed_scales=3, coverage=2.0))


def a_moving_model() -> MonkeyNet:
    """As :func:`a_model`, with the losses of ``mini``."""
    model = MonkeyNet(MOVING).double()
    model.load_state_dict(a_model().state_dict())
    return model.train()


def test_a_motion_step_learns_from_the_same_terms_as_a_whole_one_and_draws_nothing():
    batch, model = a_batch(torch.float64), a_moving_model()
    whole = compute_gradients(model, *batch, CPU).losses
    part = compute_motion_gradients(model, *batch, CPU)
    assert set(part.losses) == {"deformed", "coverage"}
    assert all(float(part.losses[name]) == pytest.approx(float(whole[name])) for name in part.losses)
    assert part.generated.prediction is part.generated.deformed


def test_the_gradients_of_a_motion_step_are_those_of_its_terms_and_reach_the_detector_and_m_alone():
    batch, model = a_batch(torch.float64), a_moving_model()
    compute_gradients(model, *batch, CPU)  # leaves gradients behind
    compute_motion_gradients(model, *batch, CPU)
    learned = {name for name, p in model.named_parameters() if p.grad is not None}
    moving = ("detector.", "generator.dense_motion_module.")
    assert learned == {name for name, _ in model.named_parameters() if name.startswith(moving)}
    ours = gradients_of(model, learned)
    kp = detect_pair(model, *batch)
    made = model(batch[0], *kp)
    terms = losses.generator_losses([batch[1]] * 4, [batch[1]] * 4, made.deformed, MOVING.losses)
    (terms["deformed"] + 2 * losses.coverage(*batch, *kp)).backward()
    theirs = {name: p.grad for name, p in model.named_parameters() if name in learned}
    assert all(torch.allclose(ours[name], theirs[name] - 0, rtol=1e-6, atol=1e-12) for name in learned)


def gradients_of(model: MonkeyNet, names: set[str]) -> dict[str, torch.Tensor]:
    """Copies of some gradients, which are then cleared."""
    found = {name: p.grad.clone() for name, p in model.named_parameters() if name in names}
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("config", [dataclasses.replace(TINY, losses=LossWeights((10.0, 10.0, 1.0)))], ids=["no weight"])
def test_a_motion_step_without_anything_to_learn_from_is_refused(config: MonkeyNetConfig):
    with pytest.raises(ValueError, match="expected a motion network and a weight of the deformed frame"):
        compute_motion_gradients(MonkeyNet(config).train(), *a_batch(), CPU)


def test_the_keypoints_of_motion_steps_find_what_moves():
    """A small square jumps across the frame: a warp feels nothing of it, and yet a keypoint comes to lie on it."""
    frames = torch.zeros(2, 3, SIZE, SIZE)
    frames[0, :, 4:8, 4:8], frames[1, :, 20:24, 22:26] = 1, 1
    run = new_run(config=MOVING)
    run.optimizers.set_learning_rate(5e-3)
    run.model.train()
    batch = frames[:1].repeat(2, 1, 1, 1), frames[1:].repeat(2, 1, 1, 1)
    covered = [float(motion_step(run.model, run.optimizers, *batch, CPU).losses["coverage"]) for _ in range(80)]
    assert covered[-1] < 0.7 * covered[0]


def test_the_loop_takes_motion_steps_first_then_whole_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    taken: list[str] = []
    for name, real in (("motion_step", motion_step), ("training_step", training_step)):
        monkeypatch.setattr(training, name, lambda *args, name=name, real=real: (taken.append(name), real(*args))[1])
    how = dataclasses.replace(HOW, motion_first=0.5)
    train(new_run(how, MOVING), discs(), Budget(steps=6), tmp_path / "run", CPU, Pace(log=1, preview=1000))
    assert taken == ["motion_step"] * 3 + ["training_step"] * 3
    rows = read_metrics(tmp_path / "run" / METRICS_FILE)
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [row["frame"] == "nan" for row in rows] == [True] * 3 + [False] * 3
    assert all(float(row["coverage"]) > 0 for row in rows)


def stopping(step: Callable[..., training.StepResult], after: int) -> Callable[..., training.StepResult]:
    """A step that is interrupted by Ctrl-C once it was taken so often."""
    taken: list[int] = []

    def stop(*args):
        if len(taken) == after:
            raise KeyboardInterrupt
        taken.append(1)
        return step(*args)

    return stop


def test_a_run_stopped_among_its_motion_steps_and_resumed_equals_the_uninterrupted_one(tmp_path: Path, monkeypatch):
    how = dataclasses.replace(HOW, motion_first=0.5)
    train(new_run(how, MOVING), discs(), Budget(steps=6), tmp_path / "whole", CPU)
    with monkeypatch.context() as patch:
        patch.setattr(training, "motion_step", stopping(motion_step, after=2))
        train(new_run(how, MOVING), discs(), Budget(steps=6), tmp_path / "cut", CPU)
    run = new_run(how, MOVING)
    run.restore(tmp_path / "cut")
    assert run.step == 2
    train(run, discs(), Budget(steps=6), tmp_path / "cut", CPU)
    assert_same_bits(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


MOTION = ("detector.", "generator.dense_motion_module.")
PARTS = (*MOTION, "generator.appearance_encoder.", "generator.video_decoder.", "generator.last.", "discriminator.")
RESTING = pytest.mark.parametrize(("learns", "resting"), [("drawing", MOTION), ("generator", MOTION[:1])])


def held(run: Run, parts: tuple[str, ...] = MOTION) -> dict[str, torch.Tensor]:
    """Copies of everything that these parts hold, statistics included."""
    return {name: value.clone() for name, value in run.model.state_dict().items() if name.startswith(parts)}


@RESTING
def test_what_rests_stays_bit_for_bit_and_every_other_part_learns(tmp_path: Path, learns: Learns, resting: tuple[str, ...]):
    run = new_run(dataclasses.replace(HOW, learns=learns), MOVING)
    before = held(run, PARTS)
    train(run, discs(), Budget(steps=3), tmp_path / "run", CPU, Pace(log=1, preview=1, checkpoint=0))
    after = held(run, PARTS)
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {part for part in PARTS if any(name.startswith(part) for name in changed)} == set(PARTS) - set(resting)


def test_what_learned_first_rests_while_the_drawing_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = new_run(dataclasses.replace(HOW, motion_first=0.5, learns="drawing"), MOVING)
    states: list[dict[str, torch.Tensor]] = []

    def watched(*args):
        states.append(held(run))
        return training_step(*args)

    monkeypatch.setattr(training, "training_step", watched)
    first = held(run)
    train(run, discs(), Budget(steps=8), tmp_path / "run", CPU, Pace(log=1, preview=1, checkpoint=0))
    assert len(states) == 4
    assert any(not torch.equal(value, first[name]) for name, value in states[0].items())
    assert_same_bits(states[0], states[-1])
    assert_same_bits(states[0], held(run))


@pytest.mark.parametrize("cut", [1, 3])
def test_a_run_that_learns_motion_then_drawing_resumes_bit_for_bit(tmp_path: Path, cut: int):
    how = dataclasses.replace(HOW, motion_first=0.5, learns="drawing")
    train(new_run(how, MOVING), discs(), Budget(steps=4), tmp_path / "whole", CPU)
    halted = new_run(how, MOVING)
    sampler = halted.sampler(discs(), torch.device("cpu"))
    halted.model.train()
    for step in range(cut):
        halted.optimizers.set_learning_rate(how.rate(step / 4))
        halted.take(sampler.batch(step, how.reach(step / 4)), step / 4, CPU)
        halted.step += 1
    halted.save(tmp_path / "cut")
    run = new_run(how, MOVING)
    run.restore(tmp_path / "cut")
    train(run, discs(), Budget(steps=4), tmp_path / "cut", CPU)
    assert_same_bits(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


@RESTING
def test_what_learns_beside_resting_parts_gets_the_gradients_that_it_gets_while_all_learn(
    learns: Learns, resting: tuple[str, ...]
):
    model = a_moving_model().train()
    for part in resting:
        model.get_submodule(part.rstrip(".")).eval()
    compute_gradients(model, *a_batch(torch.float64), CPU)
    names = {n for n, _ in model.named_parameters() if not n.startswith(resting)}
    wanted = gradients_of(model, names)
    training.let_rest(model, learns)
    compute_gradients(model, *a_batch(torch.float64), CPU)
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert found.keys() == names
    for name in names:
        torch.testing.assert_close(found[name], wanted[name])


@pytest.mark.parametrize("learns", ["drawing", "generator"])
def test_a_part_that_learns_alone_stopped_and_resumed_equals_the_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learns: Learns
):
    how = dataclasses.replace(HOW, learns=learns)
    train(new_run(how, MOVING), discs(), Budget(steps=4), tmp_path / "whole", CPU)
    with monkeypatch.context() as patch:
        patch.setattr(training, "training_step", stopping(training_step, after=2))
        train(new_run(how, MOVING), discs(), Budget(steps=4), tmp_path / "cut", CPU)
    run = new_run(how, MOVING)
    run.restore(tmp_path / "cut")
    assert run.step == 2
    train(run, discs(), Budget(steps=4), tmp_path / "cut", CPU)
    assert_same_bits(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


@pytest.mark.parametrize(("learns", "resumes"), [("all", True), ("drawing", False)])
def test_a_checkpoint_of_before_a_setting_existed_resumes_with_its_default(tmp_path: Path, learns: Learns, resumes: bool):
    train(new_run(), discs(), Budget(steps=1), tmp_path, CPU)
    path = tmp_path / CHECKPOINT_FILE
    tensors, header = load_tensors(path)
    earlier = json.loads(header["recipe"])
    del earlier["learns"]
    save_tensors(path, tensors, header | {"recipe": json.dumps(earlier)})
    run = new_run(dataclasses.replace(HOW, learns=learns))
    if resumes:
        run.restore(tmp_path)
        assert run.step == 1
    else:
        with pytest.raises(UserError, match="learns: drawing here, all there"):
            run.restore(tmp_path)


@pytest.mark.parametrize("what", ["no flow", "no loss"])
def test_what_has_nothing_to_learn_from_motion_steps_takes_none(what: str):
    no_flow = dataclasses.replace(TINY, generator=dataclasses.replace(TINY.generator, motion=None))
    no_loss = dataclasses.replace(TINY, losses=LossWeights((10.0, 10.0, 1.0)))
    config = no_flow if what == "no flow" else no_loss
    assert new_run(dataclasses.replace(HOW, motion_first=0.5), config).recipe.motion_first == 0
    assert new_run(dataclasses.replace(HOW, motion_first=0.5), TINY).recipe.motion_first == 0.5


def test_the_schedule_runs_once_in_the_motion_steps_and_once_in_the_rest():
    how = Recipe(learning_rate=1e-3, schedule="cosine", motion_first=0.5, motion_rate=4e-3)
    assert [how.rate(p) for p in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([4e-3, 2.04e-3, 1e-3, 5.1e-4, 2e-5])
    assert how.rate(0.4999) == pytest.approx(8e-5, rel=1e-2)


def test_the_reach_is_whole_half_way_through_the_motion_steps():
    how = Recipe(first_reach=0.2, motion_first=0.4)
    assert [how.reach(p) for p in (0, 0.1, 0.2, 0.4, 1)] == pytest.approx([0.2, 0.6, 1, 1, 1])


def test_the_milestone_schedule_drops_to_a_tenth_once():
    how = Recipe(learning_rate=2e-4, milestone=2 / 3)
    assert [how.rate(p) for p in (0, 0.5, 0.66, 0.67, 1)] == pytest.approx([2e-4, 2e-4, 2e-4, 2e-5, 2e-5])


def test_the_cosine_schedule_goes_from_the_rate_to_a_fiftieth():
    how = Recipe(learning_rate=1e-3, schedule="cosine")
    # 0.02 + 0.98·(1 + cos πp)/2: cosine is 1, 1/2, 0, -1 at p = 0, 1/3, 1/2, 1.
    assert [how.rate(p) for p in (0, 1 / 3, 0.5, 1, 1.5)] == pytest.approx([1e-3, 7.55e-4, 5.1e-4, 2e-5, 2e-5])


def test_the_reach_grows_to_the_whole_clip_by_half_of_the_training():
    assert [Recipe(first_reach=0.2).reach(p) for p in (0, 0.25, 0.5, 1)] == pytest.approx([0.2, 0.6, 1, 1])
    assert {Recipe().reach(p) for p in (0, 0.3, 1)} == {1.0}


def test_the_loop_draws_within_the_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[float] = []
    draw = training.PairSampler.batch

    def spy(self, step, reach=1.0):
        seen.append(reach)
        return draw(self, step, reach)

    monkeypatch.setattr(training.PairSampler, "batch", spy)
    train(new_run(dataclasses.replace(HOW, first_reach=0.2)), discs(), Budget(steps=4), tmp_path, CPU)
    assert seen == pytest.approx([0.2, 0.6, 1, 1])


def test_the_loop_sets_the_rate_of_the_share_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[float, ...]] = []

    def spy(model, optimizers, source, driving, device):
        seen.append(tuple(group["lr"] for _, o in optimizers.items() for group in o.param_groups))
        return training_step(model, optimizers, source, driving, device)

    monkeypatch.setattr(training, "training_step", spy)
    how = dataclasses.replace(HOW, schedule="milestone", milestone=0.5, learning_rate=1e-3)
    train(new_run(how), discs(), Budget(steps=4), tmp_path, CPU)
    assert [rates[0] for rates in seen] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])
    assert all(len(set(rates)) == 1 and len(rates) == 3 for rates in seen)


def test_every_preset_has_a_recipe_and_the_published_ones_are_the_papers():
    assert RECIPES.keys() == PRESETS.keys()
    published = {name: RECIPES[name] for name in ("shapes", "actions", "nemo", "taichi", "bair", "mgif")}
    assert {name: (r.batch_size, r.epochs, round(r.epochs * r.milestone)) for name, r in published.items()} == {
        "shapes": (16, 8, 4),
        "actions": (32, 4500, 3000),
        "nemo": (32, 750, 500),
        "taichi": (32, 750, 500),
        "bair": (32, 15, 10),
        "mgif": (64, 750, 500),
    }
    assert all(r.learning_rate == 2e-4 and r.schedule == "milestone" for r in published.values())


def test_generated_clips_take_their_own_augmentation_and_bair_no_time_flip():
    assert recipe_for("mini", "mini-bair", 4, True).augmentation == NO_AUGMENTATION
    assert recipe_for("mini", "mini-nemo", 4, True).augmentation == Augmentation(0.5, 0.0)
    assert recipe_for("nemo", "films", 4, False) == dataclasses.replace(recipe("nemo"), seed=4)


def test_an_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean taichi"):
        recipe("taichy")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"steps": 0}, "--steps: expected at least 1, got 0"),
        ({"steps": -3}, "--steps: expected at least 1, got -3"),
        ({"minutes": 0.0}, "--minutes: expected more than 0, got 0"),
        ({"minutes": math.nan}, "--minutes: expected more than 0, got nan"),
        ({}, "either steps or minutes"),
        ({"steps": 1, "minutes": 1.0}, "either steps or minutes"),
    ],
)
def test_a_budget_of_nothing_is_refused(values: dict[str, float], said: str):
    with pytest.raises(UserError, match=said) as error:
        Budget(**values)
    one_line(error)


def test_a_budget_knows_the_share_that_is_used_up():
    assert Budget(steps=8).progress(2, 1e9) == 0.25
    assert Budget(minutes=2).progress(10**6, 30) == 0.25
    assert Budget(minutes=2).progress(0, 500) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"batch_size": 0},
        {"epochs": 0},
        {"seed": -1},
        {"learning_rate": 0.0},
        {"schedule": "cosinus"},
        {"motion_first": 1.0},
        {"motion_rate": 0.0},
        {"learns": "keypoints"},
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(values: dict[str, object]):
    with pytest.raises(UserError, match=next(iter(values))):
        Recipe(**values)


def test_a_budget_of_minutes_ends_training(tmp_path: Path):
    report = train(new_run(), discs(), Budget(minutes=0.3 / 60), tmp_path, CPU)
    assert report.finished
    assert report.step >= 1
    assert report.seconds >= 0.3


# ----------------------------------------------------------------------------------------------- run folder, refusals


def test_a_run_folder_holds_model_checkpoint_metrics_and_preview(uninterrupted: Path):
    names = {path.name for path in uninterrupted.iterdir()}
    assert names - {"tensorboard"} == {CHECKPOINT_FILE, MODEL_FILE, METRICS_FILE, "preview.png"}
    assert MonkeyNet.load(uninterrupted).config == TINY


def test_metrics_hold_means_of_the_losses_at_their_steps(uninterrupted: Path):
    rows = read_metrics(uninterrupted / METRICS_FILE)
    assert [int(row["step"]) for row in rows] == [1, 2, 4, 6, 8, 10, 12]
    assert {"frame", "deformed", "adversarial", "discriminator"} < set(rows[0])
    assert float(rows[-1]["frame"]) < float(rows[0]["frame"])


def test_the_preview_is_a_readable_picture(uninterrupted: Path):
    with Image.open(uninterrupted / "preview.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[0] > 2 * 2 * SIZE  # two pairs, each drawn at twice its size
    assert pixels.shape[1] > 7 * 2 * SIZE
    pink = (pixels == (250, 0, 200)).all(-1).sum()  # the disc of clip 0, or of clip 1: its pixels are drawn in fours
    blue = (pixels == (250, 80, 200)).all(-1).sum()
    assert pink + blue > 200


def test_the_report_tells_steps_losses_and_that_it_finished(tmp_path: Path):
    report = train(new_run(), discs(), Budget(steps=3), tmp_path, CPU, Pace(log=2))
    assert (report.step, report.finished) == (3, True)
    assert report.losses["frame"] > 0
    assert [row["step"] for row in read_metrics(tmp_path / METRICS_FILE)] == ["1", "2", "3"]  # the last step is never lost


def test_fewer_clips_than_a_batch_are_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(UserError, match=r"expected at least 2.*came 1"):
        train(new_run(), discs(1), Budget(steps=1), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_a_frame_size_that_cannot_be_halved_names_the_nearest(tmp_path: Path):
    run = new_run(config=dataclasses.replace(TINY, frame_size=30))
    with pytest.raises(UserError, match=r"frame size 30: .*nearest that works is 32"):
        train(run, discs(), Budget(steps=1), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_clips_of_another_size_are_refused(tmp_path: Path):
    clips = [Clip(c.name, c.frames[:, :24]) for c in discs()]
    with pytest.raises(UserError, match="clip disc0: expected frames of 32x32 pixels, got 32x24"):
        train(new_run(), clips, Budget(steps=1), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(UserError, match=r"run: expected a folder that can be written to"):
        train(new_run(), discs(), Budget(steps=1), tmp_path / "run", CPU)
    assert (tmp_path / "run").read_text() == "mine"


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path: Path):
    with pytest.raises(UserError, match=r"checkpoint.safetensors: no such file"):
        new_run().restore(tmp_path)


def test_a_bare_model_is_no_checkpoint(uninterrupted: Path, tmp_path: Path):
    (tmp_path / CHECKPOINT_FILE).write_bytes((uninterrupted / MODEL_FILE).read_bytes())
    with pytest.raises(UserError, match="expected a training's checkpoint") as error:
        new_run().restore(tmp_path)
    one_line(error)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (new_run(dataclasses.replace(HOW, learning_rate=1e-3)), "recipe.learning_rate: 0.001 here, 0.002 there"),
        (new_run(dataclasses.replace(HOW, seed=4)), "recipe.seed: 4 here, 3 there"),
        (new_run(dataclasses.replace(HOW, augmentation=Augmentation(0.1))), "recipe.augmentation.time_flip: 0.1 here, 0.5"),
        (new_run(data="films"), "data: films here, discs there"),
        (
            new_run(config=dataclasses.replace(TINY, detector=dataclasses.replace(TINY.detector, keypoints=4))),
            "detector.keypoints: 4 here, 3 there",
        ),
    ],
)
def test_resuming_something_else_names_the_first_difference(uninterrupted: Path, other: Run, said: str):
    with pytest.raises(UserError, match=f"first difference {said}") as error:
        other.restore(uninterrupted)
    one_line(error)


# ------------------------------------------------------------------------------------------------ interrupted and resumed


def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(uninterrupted: Path, tmp_path: Path, monkeypatch):
    run = new_run()
    after_five = iter(range(5))

    def stop(*args):
        if next(after_five, None) is None:
            raise KeyboardInterrupt
        return training_step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(training, "training_step", stop)
        report = train(run, discs(), Budget(steps=12), tmp_path, CPU, OFTEN)
    assert (report.step, report.finished) == (5, False)
    del run
    run = resumed(tmp_path)
    assert run.step == 5
    assert train(run, discs(), Budget(steps=12), tmp_path, CPU, OFTEN).finished
    assert_same_bits(weights(tmp_path), weights(uninterrupted))
    steps = [int(row["step"]) for row in read_metrics(tmp_path / METRICS_FILE)]
    assert steps == sorted(set(steps))
    assert steps[-1] == 12


def test_a_finished_run_resumed_stays_as_it_is(uninterrupted: Path, tmp_path: Path):
    train(new_run(), discs(), Budget(steps=12), tmp_path, CPU, OFTEN)
    report = train(resumed(tmp_path), discs(), Budget(steps=12), tmp_path, CPU, OFTEN)
    assert (report.step, report.finished) == (12, True)
    assert report.losses["frame"] > 0
    assert_same_bits(weights(tmp_path), weights(uninterrupted))


KILLED = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads({threads})
from pathlib import Path
import test_training as t
t.train(t.new_run(), t.discs(), t.Budget(steps=12), Path({folder!r}), t.CPU, t.OFTEN)
"""


def start_process(folder: Path) -> subprocess.Popen[bytes]:
    """A training in a process of its own that has reached at least its second checkpoint."""
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(folder), threads=torch.get_num_threads())
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until = time.monotonic() + 300  # a busy machine takes long to start it
    while len(read_metrics(folder / METRICS_FILE)) < 2 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.005)
    return process


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_at_a_random_moment_and_resumed_equals_uninterrupted(uninterrupted: Path, tmp_path: Path):
    process = start_process(tmp_path)
    time.sleep(float(np.random.default_rng().uniform(0, 0.15)))
    process.kill()
    _, said = process.communicate()
    assert process.returncode in (-signal.SIGKILL, 0), said.decode()
    assert MonkeyNet.load(tmp_path).config == TINY  # whatever the moment, both files are whole
    run = resumed(tmp_path)
    assert 1 <= run.step <= 12
    train(run, discs(), Budget(steps=12), tmp_path, CPU, OFTEN)
    assert_same_bits(weights(tmp_path), weights(uninterrupted))
    steps = [int(row["step"]) for row in read_metrics(tmp_path / METRICS_FILE)]
    assert steps == sorted(set(steps))


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_finishes_the_step_and_saves(uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def press(*args):
        result = training_step(*args)
        if run.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return result

    before = signal.getsignal(signal.SIGINT)
    run = new_run()
    with monkeypatch.context() as patch:
        patch.setattr(training, "training_step", press)
        report = train(run, discs(), Budget(steps=12), tmp_path, CPU)
    assert (report.step, report.finished) == (4, False)
    assert signal.getsignal(signal.SIGINT) is before
    train(resumed(tmp_path), discs(), Budget(steps=12), tmp_path, CPU)
    assert_same_bits(weights(tmp_path), weights(uninterrupted))


def test_a_crash_amid_training_loses_no_finished_step(uninterrupted: Path, tmp_path: Path):
    class Broken(list[Clip]):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            if self.reads == 10:
                raise UserError("disc1: truncated")
            return super().__getitem__(index)

    with pytest.raises(UserError, match="disc1: truncated"):
        train(new_run(), Broken(discs()), Budget(steps=12), tmp_path, CPU)
    run = resumed(tmp_path)
    assert run.step == 4  # read once at the start, then two clips a step: the tenth read is step 5's first or second
    train(run, discs(), Budget(steps=12), tmp_path, CPU)
    assert_same_bits(weights(tmp_path), weights(uninterrupted))


@pytest.mark.parametrize("what", ["replace", "fsync"])
def test_a_full_disk_leaves_the_previous_checkpoint_intact(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = new_run()
    train(run, discs(), Budget(steps=2), tmp_path, CPU)
    before = {name: (tmp_path / name).read_bytes() for name in (CHECKPOINT_FILE, MODEL_FILE)}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, what, full)
        run.step += 1
        with pytest.raises(UserError, match=r"checkpoint.safetensors: could not be written \(No space left") as error:
            run.save(tmp_path)
    one_line(error)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert not list(tmp_path.glob("*.part"))
    assert resumed(tmp_path).step == 2


def test_a_crash_between_checkpoint_and_model_leaves_both_loadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = new_run()
    train(run, discs(), Budget(steps=2), tmp_path, CPU)
    model = (tmp_path / MODEL_FILE).read_bytes()
    run.step = 3

    def power_cut(*_):
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(MonkeyNet, "save", power_cut)
        with pytest.raises(RuntimeError, match="power cut"):
            run.save(tmp_path)
    assert resumed(tmp_path).step == 3
    assert (tmp_path / MODEL_FILE).read_bytes() == model
    assert MonkeyNet.load(tmp_path).config == TINY


def test_metrics_that_cannot_be_written_are_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = training.MetricsLog(tmp_path, 0)
    (tmp_path / METRICS_FILE).mkdir()
    with pytest.raises(UserError, match=r"metrics.csv: could not be written") as error:
        log.add(1, {"frame": 1.0})
    one_line(error)


def test_rows_of_steps_that_no_checkpoint_holds_are_dropped(tmp_path: Path):
    (tmp_path / METRICS_FILE).write_text("step,frame\n1,0.5\n20,0.4\n40,0.3\n")
    log = training.MetricsLog(tmp_path, 20)
    assert log.last == {"frame": 0.4}
    log.add(25, {"frame": 0.35})
    assert read_metrics(tmp_path / METRICS_FILE) == [
        {"step": "1", "frame": "0.5"},
        {"step": "20", "frame": "0.4"},
        {"step": "25", "frame": "0.35"},
    ]


def test_a_row_that_a_crash_cut_short_is_dropped(tmp_path: Path):
    (tmp_path / METRICS_FILE).write_text("step,frame,deformed\n1,0.5,0.5\n2,0.4,0.4\n3,0.3")
    training.MetricsLog(tmp_path, 9)
    assert [row["step"] for row in read_metrics(tmp_path / METRICS_FILE)] == ["1", "2"]


def nan_after(steps: int):
    done = itertools.count(1)

    def step(*args):
        result = training_step(*args)
        if next(done) < steps:
            return result
        return dataclasses.replace(result, losses=result.losses | {"frame": torch.tensor(math.nan)})

    return step


def test_losses_that_are_not_finite_stop_training_with_a_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training, "training_step", nan_after(1))
    with pytest.raises(UserError, match="step 1: expected finite losses, got frame nan; start in float32") as error:
        train(new_run(), discs(), Budget(steps=12), tmp_path, CPU)
    one_line(error)
    assert not (tmp_path / CHECKPOINT_FILE).exists()


@pytest.mark.parametrize("checkpoint", [0.0, 1e9])
def test_what_is_not_finite_is_never_saved(checkpoint: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train(new_run(), discs(), Budget(steps=2), tmp_path, CPU)
    monkeypatch.setattr(training, "training_step", nan_after(3))  # between two rows of the log, at step 5
    with pytest.raises(UserError, match="expected finite losses, got frame nan; resume in float32"):
        train(resumed(tmp_path), discs(), Budget(steps=6), tmp_path, CPU, Pace(log=1000, checkpoint=checkpoint))
    assert resumed(tmp_path).step == (4 if checkpoint == 0 else 2)


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def spoil(model, *args):
        result = training_step(model, *args)
        with torch.no_grad():
            model.detector.predictor.decoder.conv.bias.fill_(math.inf)
        return result

    monkeypatch.setattr(training, "training_step", spoil)
    with pytest.raises(UserError, match="step 1: expected finite weights"):
        train(new_run(), discs(), Budget(steps=1), tmp_path, CPU)
    assert not (tmp_path / CHECKPOINT_FILE).exists()
