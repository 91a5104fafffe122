"""Lesson 02: what its text claims, and the helpers it shows pictures with; the kill matrix itself is `verify`'s."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from monkeynet_edu import layers
from monkeynet_edu.course.exercise import Exercise, compile_function
from monkeynet_edu.course.judge import Verdict, judge
from monkeynet_edu.course.lessons.lesson02 import LESSON
from monkeynet_edu.course.reference import normalisation, parts
from monkeynet_edu.data import pairs, sprites


def test_the_misconceptions_of_the_lesson_are_among_the_mutants() -> None:
    mutants = {(e.id, m.name) for e in LESSON.exercises for m in e.mutants}
    assert {("batch-norm", "always-the-batch"), ("batch-norm", "never-the-batch"), ("flip-pair", "separately")} <= mutants


@pytest.mark.parametrize("training", [True, False])
def test_the_reference_batch_norm_is_torchs(training: bool) -> None:
    norm = nn.BatchNorm2d(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.running_mean = torch.tensor([0.3, -1.0, 2.0])
    norm.running_var = torch.tensor([0.5, 2.0, 1.0])
    x = torch.randn(4, 3, 5, 6)
    kept = norm.running_mean.clone(), norm.running_var.clone()
    ours = normalisation.batch_norm(x, *kept, norm.weight, norm.bias, training)
    torch.testing.assert_close(ours, norm.train(training)(x), atol=1e-5, rtol=1e-5)


def test_a_pass_of_the_blocks_drives_every_u_net(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(name):
        function = getattr(layers, name)
        monkeypatch.setattr(layers, name, lambda *args: (calls.append(name), function(*args))[1])

    counted("down")
    counted("up_and_concatenate")
    layers.Hourglass(3, 2, 4, 8, 3)(torch.rand(2, 3, 8, 8))
    assert calls == ["down"] * 3 + ["up_and_concatenate"] * 3


def test_a_pass_of_the_pair_functions_drives_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = sprites.Clip("c", np.random.default_rng(0).integers(0, 255, (5, 4, 4, 3), dtype=np.uint8))
    monkeypatch.setattr(pairs, "two_frames", lambda length, rng: (0, 3))
    monkeypatch.setattr(pairs, "flip_pair", lambda pair, *rest: pair[:, ::-1])
    source, driving = pairs.PairSampler([clip], 1).batch(0)
    for image, frame in ((source, clip.frames[0]), (driving, clip.frames[3])):
        np.testing.assert_array_equal((image[0].permute(1, 2, 0) * 255).round().numpy(), frame[::-1])


def test_every_part_of_the_sprites_has_the_class_that_its_name_says() -> None:
    names = {name: parts.CLASSES[parts.class_of(name)] for name in ("left_forearm", "hips", "band", "right_shoe", "hat")}
    assert names == {"left_forearm": "arms", "hips": "trunk", "band": "head", "right_shoe": "legs", "hat": "head"}
    clip = sprites.training_clips("mini-taichi", clips=1, frames=2)[0]
    images, labels = parts.labelled_frames([clip])
    assert images.shape == (2, 3, 64, 64)
    assert set(labels.unique().tolist()) == {0, 1, 2, 3, 4}
    assert torch.equal(labels == 0, torch.from_numpy(clip.truth.labels == 0))
    assert parts.paint(labels).shape == (2, 64, 64, 3)


def test_pixels_near_borders_have_another_class_beside_them() -> None:
    labels = torch.zeros(1, 5, 6, dtype=torch.long)
    labels[0, :, 4:] = 2
    assert parts.near_borders(labels)[0].all(dim=0).tolist() == [False, False, False, True, True, False]


def test_without_skips_the_encoder_reaches_the_end_through_the_deepest_level_alone() -> None:
    network = layers.Hourglass(3, 2, 4, 8, 1).eval()
    x, (_, deep) = torch.rand(1, 3, 4, 4), network.encoder(torch.rand(1, 3, 4, 4))
    kept = layers.up_and_concatenate
    with parts.without_skips():
        blind = network.decoder([x, deep]), network.decoder([x + 1, deep])
    assert torch.equal(*blind)
    assert layers.up_and_concatenate is kept
    assert not torch.equal(network.decoder([x, deep]), network.decoder([x + 1, deep]))


def test_an_answer_that_detaches_is_told_that_no_gradient_arrives() -> None:
    exercise = next(e for e in LESSON.exercises if e.id == "down")
    verdict = judge(exercise, lambda x, conv, norm: F.avg_pool2d(F.relu(norm(conv(x.detach()))), 2).detach())
    assert verdict.status == "FAIL"
    assert "gradient" in verdict.message


@pytest.mark.parametrize("exercise", LESSON.exercises, ids=lambda e: e.id)
def test_an_answer_that_returns_nothing_hears_so(exercise: Exercise) -> None:
    verdict = judge(exercise, lambda *args: None)
    assert verdict.status == "FAIL"
    assert "None" in verdict.got or exercise.id == "flip-pair"


def _verdict(name: str, source: str) -> Verdict:
    """The verdict on an answer that is given as text."""
    exercise = next(e for e in LESSON.exercises if e.id == name)
    return judge(exercise, compile_function(source, exercise.name, LESSON.namespace()))


def test_two_frames_that_are_moved_apart_come_too_often_as_neighbours() -> None:
    moved_on = _verdict(
        "two-frames",
        "def two_frames(length, rng):\n"
        "    a, b = rng.choice(length, 2)\n"
        "    if a == b:\n"
        "        b = (b + 1) % length\n"
        "    return min(a, b), max(a, b)\n",
    )
    assert (moved_on.status, moved_on.mutant) == ("FAIL", "moved-on-by-one")
    assert "equally likely" in moved_on.message


def test_a_second_frame_drawn_after_the_first_is_told_why_that_is_unfair() -> None:
    uneven = _verdict(
        "two-frames",
        "def two_frames(length, rng):\n"
        "    first = int(rng.integers(0, length - 1))\n"
        "    return first, int(rng.integers(first + 1, length))\n",
    )
    assert (uneven.status, uneven.mutant) == ("FAIL", "second-after-first")


_FLIP = (
    "def flip_pair(pair, time_flip, horizontal_flip, rng):\n"
    "    if rng.random() < time_flip:\n"
    "        {time}\n"
    "    if rng.random() < horizontal_flip:\n"
    "        {mirror}\n"
    "    return pair\n"
)


@pytest.mark.parametrize(
    ("time", "mirror", "said"),
    [
        ("pair[:] = pair[::-1].copy(); return pair", "return pair[:, :, ::-1]", "changes the pair"),
        ("return pair[::-1]", "pair[:] = pair[:, :, ::-1].copy()", "changes the pair"),
        ("return pair[1], pair[0]", "return pair[:, :, ::-1]", "one array"),
        ("return pair[::-1]", "return [frame[:, ::-1] for frame in pair]", "one array"),
        ("return pair[::-1].astype(float)", "return pair[:, :, ::-1]", "shape and type"),
    ],
)
def test_a_flip_returns_an_array_and_leaves_the_clip_alone(time: str, mirror: str, said: str) -> None:
    verdict = _verdict("flip-pair", _FLIP.format(time=time, mirror=mirror))
    assert verdict.status == "FAIL"
    assert said in verdict.message


@pytest.mark.parametrize(("bound", "mutant"), [("h", "one-number"), ("t + h", "one-number-added")])
def test_one_number_for_both_flips_is_told_to_draw_another(bound: str, mutant: str) -> None:
    verdict = _verdict(
        "flip-pair",
        "def flip_pair(pair, t, h, rng):\n"
        "    r = rng.random()\n"
        "    if r < t:\n"
        "        return pair[::-1]\n"
        f"    return pair[:, :, ::-1] if r < {bound} else pair\n",
    )
    assert verdict.mutant == mutant
    assert "a new number decides about the mirror" in verdict.message


def test_exchanged_views_are_told_that_both_frames_are_the_same_now() -> None:
    exchanged = _FLIP.format(time="pair[0], pair[1] = pair[1], pair[0]; return pair", mirror="return pair[:, :, ::-1]")
    verdict = _verdict("flip-pair", exchanged)
    assert verdict.mutant == "views-swapped"
    assert verdict.got == "twice the driving frame"


def test_a_place_three_steps_down_sees_as_far_as_the_lesson_says() -> None:
    encoder = layers.Hourglass(3, 5, width=4, max_width=64, levels=3).eval().encoder
    x = torch.zeros(1, 3, 64, 64, requires_grad=True)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.fill_(0.1)  # nothing is cut off by a ReLU
    encoder(x)[3][0, 0, 4, 4].backward()
    assert x.grad is not None
    rows = x.grad[0].abs().sum(dim=(0, 2)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 22
