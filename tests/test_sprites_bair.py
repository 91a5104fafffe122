"""Promises of the miniature BAIR set: what is drawn, what moves, and what is true about it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from monkeynet_edu.data.sprites import bair
from monkeynet_edu.data.sprites.engine import Rendered, lattice, render

ARM = [bair.JOINTS.index(n) for n in ("base", "shoulder", "elbow", "wrist")]
FINGERS = [bair.JOINTS.index(n) for n in ("left_finger", "right_finger")]
TOYS = [bair.JOINTS.index(f"object_{k}") for k in (1, 2, 3)]


@lru_cache(maxsize=32)
def clip(identity: int, motion: int) -> Rendered:
    return render(bair.scene(identity, motion))


def test_the_same_seeds_give_the_same_clip_bit_for_bit() -> None:
    first = clip(3, 4)
    bair._sweep.cache_clear()
    again = render(bair.scene(3, 4))
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.truth.pose, again.truth.pose)


def test_a_clip_has_thirty_frames_at_ten_a_second() -> None:
    made = clip(0, 0)
    assert made.frames.shape == (30, 64, 64, 3)
    assert made.fps == 10.0
    assert made.truth.joint_names == bair.JOINTS


def test_another_length_samples_the_same_sweep() -> None:
    short = render(bair.scene(5, 6, length=2))
    full = clip(5, 6)
    assert np.array_equal(short.frames[0], full.frames[0])
    assert np.array_equal(short.frames[1], full.frames[29])


def test_another_identity_makes_the_same_movement_in_other_colours() -> None:
    one, other = clip(10, 7), clip(11, 7)
    assert np.abs(one.frames.astype(float) - other.frames).mean() > 10
    same = [0, 1, 3, *TOYS]
    assert np.allclose(one.truth.joints[:, same], other.truth.joints[:, same], atol=1e-5)
    elbow = one.truth.joints[:, 2] - other.truth.joints[:, 2]
    assert np.hypot(*elbow.T).max() < 0.2


def test_another_motion_keeps_the_looks() -> None:
    one, other = bair.scene(12, 1), bair.scene(12, 2)
    assert np.array_equal(one.background, other.background)
    paints = [{p.name: p.paint for p in s.parts} for s in (one, other)]
    assert all(paints[0][name] == paints[1][name] for name in paints[0].keys() & paints[1].keys())


def test_the_first_toy_is_pushed_in_every_clip() -> None:
    for motion in range(24):
        toys = bair._sweep(motion).toys
        assert 0.2 < np.hypot(*(toys[-1, 0] - toys[0, 0])) < 0.9


def test_a_toy_moves_only_while_something_touches_it() -> None:
    for motion in range(6):
        sweep = bair._sweep(motion)
        moved = np.hypot(*np.moveaxis(np.diff(sweep.toys, axis=0), -1, 0)) > 1e-9
        gripper = np.hypot(*np.moveaxis(sweep.toys[:-1] - sweep.tip[1:, None], -1, 0)) < bair._TOY + bair._GRIPPER
        pairs = np.hypot(*np.moveaxis(sweep.toys[:-1, :, None] - sweep.toys[:-1, None], -1, 0))
        pairs += 10 * np.eye(pairs.shape[-1])
        # A neighbour comes at most a few hundredths nearer within one step.
        near = (pairs < 2 * bair._TOY + 0.08).any(-1)
        assert moved.any()
        assert not (moved & ~gripper & ~near).any()


def test_toys_stay_on_the_table_and_out_of_the_gripper() -> None:
    for motion in range(12):
        sweep = bair._sweep(motion)
        assert np.abs(sweep.toys).max() <= 0.8 + 1e-9
        gap = np.hypot(*np.moveaxis(sweep.toys - sweep.tip[:, None], -1, 0))
        assert gap.min() > bair._TOY + bair._GRIPPER - 0.03


def test_the_gripper_moves_without_jumps() -> None:
    for motion in range(12):
        tip = bair._sweep(motion).sampled(30).tip
        assert np.hypot(*np.diff(tip, axis=0).T).max() < 0.3
        assert np.hypot(*np.diff(tip, n=2, axis=0).T).max() < 0.13


def test_the_links_reach_the_wrist_for_short_and_for_long_arms() -> None:
    for seed in range(8):
        truth = clip(seed, seed + 20).truth
        number = truth.part_names.index("forearm")
        length = bair._look(seed).lengths[1]
        shown = truth.pose[:, number]
        end = shown[:, :2] + length * shown[:, [2, 4]]
        assert np.allclose(end, truth.joints[:, ARM[3]], atol=1e-4)
        assert np.hypot(shown[:, 2], shown[:, 4]).max() <= 1.0 + 1e-3


def test_joints_stay_in_the_frame_and_a_visible_one_lies_on_its_part() -> None:
    for seed in range(6):
        made = bair.scene(seed, seed + 40)
        truth = clip(seed, seed + 40).truth
        assert np.abs(truth.joints).max() <= 1.0
        assert truth.visible[:, FINGERS].mean() > 0.9
        assert truth.visible[:, TOYS].mean() > 0.5
        for j, joint in enumerate(made.joints):
            allowed = {truth.part_names.index(n) + 1 for n in (joint.seen_on or (joint.part,))}
            for t in np.flatnonzero(truth.visible[:, j]):
                column, row = np.round((truth.joints[t, j] + 1) * 63 / 2).astype(int)
                assert int(truth.labels[t, row, column]) in allowed


def test_warping_the_source_by_the_true_flow_gives_the_driving_frame() -> None:
    from scipy.ndimage import map_coordinates

    errors = []
    for seed in range(3):
        made = clip(seed, seed + 40)
        frames = made.frames / 255.0
        flow, seen = made.truth.flow(20, 0)
        x, y = lattice(64)
        where = (np.stack([y + flow[..., 1], x + flow[..., 0]]) + 1) * 63 / 2
        warped = [map_coordinates(frames[0][..., c], where, order=1, mode="nearest") for c in range(3)]
        errors.append(np.abs(np.stack(warped, -1) - frames[20])[seen].mean())
    assert np.mean(errors) < 0.03


def test_the_difficulty_is_that_of_the_set() -> None:
    moving, still = [], []
    for seed in range(12):
        made = clip(100 + seed, 200 + seed)
        moving.append(np.mean([made.truth.moving(t, 0).mean() for t in range(1, 30)]))
        still.append(np.abs(made.frames[1:] / 255.0 - made.frames[0] / 255.0).mean())
    assert 0.15 < np.mean(moving) < 0.26
    assert 0.03 < np.mean(still) < 0.06


def test_toys_and_robot_stand_out_from_their_table() -> None:
    for identity in range(200):
        look = bair._look(identity)
        assert bair._apart(look.shell, look.table[1]) > 0.24
        assert min(bair._apart(toy.colour, look.table[1]) for toy in look.toys) > 0.24
        assert len({toy.kind for toy in look.toys}) == 5
        assert len({toy.colour for toy in look.toys}) == 5


@pytest.mark.parametrize("size", [32, 128])
def test_other_sizes_show_the_same_picture(size: int) -> None:
    small, big = sorted((size, 64))
    kinds = {bair._look(i).table[0]: i for i in range(60)}
    assert kinds.keys() == bair._TEXTURES.keys()
    for identity in kinds.values():
        coarse, fine = (bair.scene(identity, 9, size=s, length=2) for s in (small, big))
        pooled = fine.background.reshape(small, 2, small, 2, 3).mean((1, 3))
        assert np.abs(pooled - coarse.background).mean() < 0.025
        for a, b in zip(coarse.parts, fine.parts, strict=True):
            assert a.shape == b.shape
            assert np.array_equal(a.pose.matrix, b.pose.matrix)
            assert np.array_equal(a.pose.centre, b.pose.centre)
