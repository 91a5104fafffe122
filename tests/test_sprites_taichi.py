"""What mini-taichi promises: reproducible clips, movements free of the character, exact flow, a pinned difficulty."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from monkeynet_edu.data.sprites import taichi
from monkeynet_edu.data.sprites.engine import Rendered, lattice, render


@functools.cache
def clip(identity: int, motion: int, frames: tuple[int, ...] | None = None) -> Rendered:
    return render(taichi.scene(identity, motion), frames)


def test_the_same_seeds_give_the_same_clip_bit_for_bit() -> None:
    again = render(taichi.scene(3, 5, length=32), [0, 20, 31])
    np.testing.assert_array_equal(render(taichi.scene(3, 5, length=32), [0, 20, 31]).frames, again.frames)


def test_another_identity_changes_the_look_and_another_motion_the_movement() -> None:
    base = render(taichi.scene(3, 5, length=40), [30])
    look, move = render(taichi.scene(4, 5, length=40), [30]), render(taichi.scene(3, 6, length=40), [30])
    assert np.abs(base.frames - look.frames.astype(float)).mean() > 12
    assert np.abs(base.truth.joints - move.truth.joints).max() > 0.1
    np.testing.assert_array_equal(
        taichi.scene(3, 5).background, taichi.scene(3, 6).background, "the place belongs to the identity"
    )


def test_a_movement_is_the_same_on_every_character_up_to_proportions() -> None:
    frames = tuple(range(0, 32, 4))
    for motion in range(6):
        one, other = (clip(identity, motion, frames).truth.joints for identity in (10, 11))
        gap = (one - one[0]) - (other - other[0])
        assert np.abs(gap).max() < 0.12
        assert np.abs(one - one[0]).max() > 0.25


def test_every_movement_begins_near_the_same_neutral_stance() -> None:
    starts = np.stack([clip(7, motion, (0,)).truth.joints[0] for motion in range(12)])
    assert np.ptp(starts, axis=0).max() < 0.06
    wrists = [taichi.JOINTS.index(name) for name in ("right_wrist", "left_wrist")]
    assert (np.abs(starts[:, wrists, 0]) > 0.2).all(), "arms hang away from the body"


@pytest.mark.parametrize("asked", [None, 50])
def test_clips_have_the_length_of_the_protocol_or_the_one_asked_for(asked: int | None) -> None:
    for motion in range(8):
        length = taichi.scene(0, motion, length=asked).length
        assert 32 <= length <= 100
        assert asked in (None, length)


def test_asking_for_a_length_cuts_or_continues_the_same_movement() -> None:
    short, long = (render(taichi.scene(2, 9, length=n), [10, 25]).truth.joints for n in (32, 90))
    np.testing.assert_allclose(short, long, atol=1e-6)


def test_joints_are_named_alike_stay_in_the_frame_and_lie_on_their_parts() -> None:
    for number in range(4):
        scene, truth = taichi.scene(number, number), clip(number, number).truth
        assert truth.joint_names == taichi.JOINTS
        assert np.abs(truth.joints).max() < 1.0
        for j, joint in enumerate(scene.joints):
            allowed = [truth.part_names.index(n) + 1 for n in joint.seen_on]
            for t in np.flatnonzero(truth.visible[:, j]):
                column, row = np.round((truth.joints[t, j] + 1) * 31.5).astype(int)
                assert truth.labels[t, row, column] in allowed
        assert truth.visible.mean() > 0.9


def test_limbs_keep_their_length_and_standing_feet_the_ground() -> None:
    for motion in range(4):
        truth = clip(motion, motion).truth
        at = {name: truth.joints[:, j] for j, name in enumerate(truth.joint_names)}
        lower = np.maximum(at["right_ankle"][:, 1], at["left_ankle"][:, 1])
        np.testing.assert_allclose(lower, lower[0], atol=0.015)
    for side in ("right", "left"):
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("knee", "ankle")):
            bone = np.linalg.norm(at[f"{side}_{a}"] - at[f"{side}_{b}"], axis=-1)
            assert np.ptp(bone) < 0.01


def test_motion_is_slow_and_smooth() -> None:
    for motion in range(4):
        joints = clip(motion, motion).truth.joints
        speed = np.diff(joints, axis=0)
        assert np.abs(speed).max() < 0.2
        assert np.abs(np.diff(speed, axis=0)).max() < 0.08


def test_the_near_arm_passes_before_the_body_and_the_far_arm_behind() -> None:
    names = [part.name for part in taichi.scene(0, 0).parts]
    assert names.index("left_forearm") < names.index("jacket") < names.index("right_forearm")


def test_warping_the_source_by_the_true_flow_gives_the_driving_frame() -> None:
    x, y = lattice(64)
    for number in range(4):
        clip_ = clip(20 + number, number, (0, 12, 24))
        source, driving = clip_.frames[0] / 255.0, clip_.frames[2] / 255.0
        flow, seen = clip_.truth.flow(2, 0)
        where = np.stack([(y + flow[..., 1] + 1) * 31.5, (x + flow[..., 0] + 1) * 31.5])
        warped = np.stack([map_coordinates(source[..., c], where, order=1, mode="nearest") for c in range(3)], -1)
        assert np.abs(warped - driving)[seen].mean() < 0.03
        assert np.abs(warped - driving)[seen].mean() < 0.6 * np.abs(source - driving).mean()


def test_the_difficulty_is_pinned() -> None:
    moving, change = [], []
    for number in range(12):
        clip_ = clip(1000 + number, 2000 + number, tuple(range(0, 32, 3)))
        moving.append(np.mean([clip_.truth.moving(t, 0).mean() for t in range(1, len(clip_.frames))]))
        change.append(np.abs(clip_.frames[1:] / 255.0 - clip_.frames[0] / 255.0).mean())
    assert 0.14 < np.mean(moving) < 0.27
    assert 0.03 < np.mean(change) < 0.06


def test_larger_frames_show_the_same_scene() -> None:
    small, large = (render(taichi.scene(6, 6, size=n), [15]) for n in (64, 127))
    np.testing.assert_allclose(small.truth.joints, large.truth.joints, atol=1e-6)
    halved = large.frames[0][::2, ::2].astype(float)
    assert np.abs(halved - small.frames[0]).mean() < 12
