"""What mini-mgif promises: reproducible loops on white, movements free of the animal, exact flow, a pinned difficulty."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from monkeynet_edu.data.sprites import mgif
from monkeynet_edu.data.sprites.engine import Rendered, lattice, render

NAMES = list(mgif.JOINTS)


@functools.cache
def clip(identity: int, motion: int) -> Rendered:
    return render(mgif.scene(identity, motion, length=16))


def period_of(motion: int) -> int:
    return round(1 / float(np.diff(mgif.gait_of(motion, 2).cycle)[0]))


def test_the_same_seeds_give_the_same_clip_bit_for_bit() -> None:
    one, other = (render(mgif.scene(3, 5, length=6)) for _ in range(2))
    np.testing.assert_array_equal(one.frames, other.frames)
    np.testing.assert_array_equal(one.truth.pose, other.truth.pose)


def test_another_identity_changes_the_look_and_another_motion_the_movement() -> None:
    base, look, move = (clip(*seeds) for seeds in ((3, 5), (4, 5), (3, 6)))
    assert np.abs(base.frames - look.frames.astype(float)).mean() > 12
    assert np.abs(base.truth.joints - move.truth.joints).max() > 0.1


def test_a_movement_is_the_same_on_every_animal_up_to_proportions() -> None:
    feet = [i for i, name in enumerate(NAMES) if name.endswith("foot")]
    for motion in range(5):
        paths = [clip(identity, motion).truth.joints[:, feet, 0] for identity in (0, 5, 10)]
        paths = [p - p.mean(0) for p in paths]
        steps = [p / np.ptp(p) for p in paths]
        assert np.abs(steps[1] - steps[0]).max() < 0.04
        assert np.abs(steps[2] - steps[0]).max() < 0.04
        assert np.ptp(paths[0]) > 0.25, "feet stride"


def test_all_animals_stand_about_the_same_place() -> None:
    joints = np.stack([clip(identity, 1).truth.joints.mean(0) for identity in range(12)])
    spread = joints.std(0)
    feet = [i for i, name in enumerate(NAMES) if name.endswith("foot")]
    assert spread[[NAMES.index("hip"), NAMES.index("shoulder")], 0].max() < 0.04
    assert spread[feet].max() < 0.04


def test_clips_hold_whole_periods_within_the_protocol_and_loop() -> None:
    for motion in range(12):
        scene = mgif.scene(0, motion)
        assert 5 <= scene.length <= 100
        assert scene.length % period_of(motion) == 0
        ends = render(mgif.scene(0, motion, length=scene.length + 1), [0, scene.length]).frames
        assert np.abs(np.diff(ends.astype(int), axis=0)).max() <= 2


@pytest.mark.parametrize("asked", [1, 17])
def test_a_length_can_be_asked_for(asked: int) -> None:
    assert mgif.scene(1, 2, length=asked).length == asked


def test_a_foot_on_the_ground_moves_evenly_back_and_returns_without_a_jump() -> None:
    phase = np.linspace(0, 1, 401)
    ahead, up = mgif.foot_path(phase, 0.6)
    ground = phase <= 0.6
    np.testing.assert_allclose(ahead[ground], 1 - phase[ground] / 0.3, atol=1e-9)
    np.testing.assert_allclose(up[ground], 0.0, atol=1e-12)
    assert np.abs(np.diff(np.diff(ahead))).max() < 1e-3, "position and speed are continuous"
    assert up.max() == pytest.approx(1.0, abs=1e-3)
    assert ahead[-1] == pytest.approx(ahead[0])


def test_each_gait_has_its_order_of_feet() -> None:
    """Far and near legs alternate in a walk and a trot; a trot moves diagonal pairs."""
    seen = {}
    for motion in range(40):
        gait = mgif.gait_of(motion, 2)
        far_hind, far_fore, near_hind, near_fore = gait.touch
        kind = {4: "walk", 2: "trot"}.get(len(set(gait.touch)), "") if gait.duty > 0.45 else "gallop"
        seen[kind] = gait.duty
        if kind != "gallop":
            assert (far_hind - near_hind) % 1 == (far_fore - near_fore) % 1 == 0.5
        if kind == "trot":
            assert (far_hind, far_fore) == (near_fore, near_hind)
    assert seen.keys() == {"walk", "trot", "gallop"}
    assert seen["walk"] > 0.5 > seen["trot"] > seen["gallop"], "only a walk always has feet on the ground"


def test_the_background_is_pure_white_and_animals_stand_out() -> None:
    for identity in range(8):
        shown = render(mgif.scene(identity, identity), [0, 3])
        body = (shown.truth.labels > 0).any(0)
        assert (shown.frames[:, [0, -1]] == 255).all(), "nothing leaves the frame above or below"
        rows = np.nonzero(body.any(0))[0]
        assert 40 <= np.ptp(rows) + 1 <= 64
        assert shown.frames[shown.truth.labels > 0].mean() < 190


def test_joints_are_named_alike_and_mostly_seen_near_their_parts() -> None:
    assert 10 <= len(NAMES) <= 14
    for identity in range(8):
        truth = clip(identity, 1).truth
        assert truth.joint_names == mgif.JOINTS
        seen = dict(zip(NAMES, truth.visible.mean(0), strict=True))
        assert all(seen[name] == 1 for name in ("hip", "shoulder")), seen
        assert seen["head"] > 0.9
        assert all(seen[f"near_{leg}_foot"] > 0.6 for leg in ("hind", "fore")), seen
        assert np.mean(list(seen.values())) > 0.7


def test_knees_join_thigh_and_shin_at_every_frame() -> None:
    truth = clip(2, 4).truth
    parts = list(truth.part_names)
    for leg in mgif.LEGS:
        knee = truth.joints[:, NAMES.index(f"{leg}_knee")]
        thigh, shin = (truth.pose[:, parts.index(f"{leg}_{p}"), :6] for p in ("thigh", "shin"))
        np.testing.assert_allclose(shin[:, :2], knee, atol=1e-5)
        reach = np.hypot(*(knee - thigh[:, :2]).T)
        np.testing.assert_allclose(reach, reach[0], atol=1e-4)


def test_the_true_flow_warps_the_source_into_the_driving_frame() -> None:
    errors = []
    for seed in range(8):
        shown = clip(seed, seed + 30)
        source, frame = shown.frames[0] / 255.0, shown.frames[7] / 255.0
        flow, seen = shown.truth.flow(7, 0)
        x, y = (np.broadcast_to(axis, seen.shape) for axis in lattice(64))
        at = (np.stack([y + flow[..., 1], x + flow[..., 0]]) + 1) * 31.5
        warped = np.stack([map_coordinates(source[..., c], at, order=1, mode="nearest") for c in range(3)], axis=-1)
        errors.append(np.abs(warped - frame)[seen].mean())
    assert np.mean(errors) < 0.02
    assert max(errors) < 0.04


def test_frames_of_any_size_show_the_same() -> None:
    small, large = (render(mgif.scene(6, 8, size=size, length=3)) for size in (64, 128))
    np.testing.assert_allclose(small.truth.joints, large.truth.joints)
    halved = large.frames.reshape(3, 64, 2, 64, 2, 3).mean((2, 4))
    assert np.abs(small.frames - halved).mean() / 255 < 0.02


def test_the_difficulty_is_pinned() -> None:
    moving, still = [], []
    for seed in range(12):
        shown = clip(seed * 5, seed * 11)
        frames = shown.frames.astype(np.float32) / 255
        moving.append(np.mean([shown.truth.moving(t, 0).mean() for t in range(1, len(frames))]))
        still.append(np.abs(frames[1:] - frames[0]).mean())
    assert 0.12 < np.mean(moving) < 0.28
    assert 0.03 < np.mean(still) < 0.06
