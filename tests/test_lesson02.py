"""Lesson 02: what its text claims, and the helpers it shows pictures with; the kill matrix itself is `verify`'s."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from monkeynet_edu import layers
from monkeynet_edu.course.exercise import Exercise
from monkeynet_edu.course.judge import judge
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
