"""mini-nemo: what its protocol promises and what makes its clips worth learning from."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from monkeynet_edu.data.sprites import nemo
from monkeynet_edu.data.sprites.engine import Rendered, render

SOME = tuple((1000 + 7 * k, 500 + k) for k in range(12))


@cache
def clip(identity: int, motion: int) -> Rendered:
    return render(nemo.scene(identity, motion))


def joint(rendered: Rendered, name: str) -> np.ndarray:
    return rendered.truth.joints[:, nemo.JOINTS.index(name)]


def mouth_width(rendered: Rendered) -> np.ndarray:
    return np.linalg.norm(joint(rendered, "mouth_right") - joint(rendered, "mouth_left"), axis=-1)


def corner_rise(rendered: Rendered) -> np.ndarray:
    """Height of the mouth's corners over the middle of the lips, upright in the head's own frame."""
    across = joint(rendered, "eye_right") - joint(rendered, "eye_left")
    up = np.stack([across[:, 1], -across[:, 0]], axis=-1) / np.linalg.norm(across, axis=-1, keepdims=True)
    corners = 0.5 * (joint(rendered, "mouth_left") + joint(rendered, "mouth_right"))
    middle = 0.5 * (joint(rendered, "lip_upper") + joint(rendered, "lip_lower"))
    return ((corners - middle) * up).sum(-1)


def test_equal_seeds_give_the_same_clip_bit_for_bit() -> None:
    one, two = (render(nemo.scene(3, 4), [0, 20]) for _ in range(2))
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.truth.joints, two.truth.joints)


def test_a_clip_has_the_protocols_32_frames_and_the_joints_of_the_set() -> None:
    for identity, motion in SOME:
        made = nemo.scene(identity, motion)
        assert made.length == 32
        assert made.fps == 16.0
        assert tuple(j.name for j in made.joints) == nemo.JOINTS


def test_a_shorter_clip_shows_the_same_smile_from_start_to_end() -> None:
    whole, short = clip(8, 9), render(nemo.scene(8, 9, length=5))
    assert len(short.frames) == 5
    np.testing.assert_array_equal(short.frames[0], whole.frames[0])
    np.testing.assert_allclose(short.truth.joints[-1], whole.truth.joints[-1], atol=1e-6)


def test_identities_look_different() -> None:
    first = [render(nemo.scene(i, 0), [0]).frames[0].astype(float) for i in range(12)]
    for i, one in enumerate(first):
        for other in first[:i]:
            assert np.abs(one - other).mean() > 12.0


def test_every_clip_starts_neutral_whatever_the_motion() -> None:
    first = [render(nemo.scene(21, motion), [0]).frames for motion in range(5)]
    for other in first[1:]:
        np.testing.assert_array_equal(other, first[0])


@pytest.mark.parametrize(("identity", "motion"), SOME[:6])
def test_a_smile_widens_the_mouth_and_raises_its_corners_and_the_cheeks(identity: int, motion: int) -> None:
    made = clip(identity, motion)
    peak = int(np.argmax(mouth_width(made)))
    assert peak > 8
    assert mouth_width(made)[peak] > 1.15 * mouth_width(made)[0]
    assert corner_rise(made)[0] < 0.0 < 0.03 < corner_rise(made)[peak]
    gap = [np.linalg.norm(joint(made, f"cheek_{s}") - joint(made, f"eye_{s}"), axis=-1) for s in ("left", "right")]
    assert np.mean([g[peak] - g[0] for g in gap]) < -0.02


def test_some_smiles_are_lopsided_and_some_are_not() -> None:
    lean = np.array([nemo._motion(motion, 8).lean for motion in range(40)])
    assert 5 < np.count_nonzero(lean) < 35


def test_the_same_motion_moves_another_face_alike() -> None:
    one, other, another = (clip(i, m) for i, m in ((40, 7), (41, 7), (41, 8)))
    moved = [c.truth.joints - c.truth.joints[0] for c in (one, other, another)]
    spread = np.abs(moved[0]).mean()
    assert np.abs(moved[0] - moved[1]).mean() < 0.2 * spread
    assert np.abs(moved[2] - moved[1]).mean() > 0.5 * spread


def test_nothing_jumps_between_frames() -> None:
    for identity, motion in SOME:
        speed = np.linalg.norm(np.diff(clip(identity, motion).truth.joints, axis=0), axis=-1)
        assert speed.max() * 31.5 < 1.5


def test_joints_lie_on_the_face_and_are_nearly_always_seen() -> None:
    seen = np.mean([clip(i, m).truth.visible.mean(0) for i, m in SOME], axis=0)
    assert seen.min() > 0.8
    for identity, motion in SOME:
        assert np.abs(clip(identity, motion).truth.joints).max() < 1.0


def test_the_true_flow_carries_the_first_frame_to_the_others() -> None:
    y, x = np.mgrid[:64, :64]
    for identity, motion in SOME[:6]:
        made = clip(identity, motion)
        frames = made.frames / 255.0
        flow, seen = made.truth.flow(24, 0)
        at = [y + flow[..., 1] * 31.5, x + flow[..., 0] * 31.5]
        warped = np.stack([map_coordinates(frames[0, ..., c], at, order=1, mode="nearest") for c in range(3)], -1)
        assert np.abs(warped - frames[24])[seen].mean() < 0.03


def test_the_difficulty_stays_where_trainings_expect_it() -> None:
    moving, still, pixels = [], [], []
    for identity, motion in SOME:
        made = clip(identity, motion)
        frames = made.frames / 255.0
        still.append(np.abs(frames[1:] - frames[0]).mean())
        moving.append(np.mean([made.truth.moving(t, 0).mean() for t in range(1, 32)]))
        for t in range(12, 32, 4):
            flow, seen = made.truth.flow(t, 0)
            pixels.append(np.hypot(*np.moveaxis(flow[made.truth.displaced(flow, seen, t)], -1, 0)).mean() * 31.5)
    assert 0.15 < np.mean(moving) < 0.30
    assert 0.02 < np.mean(still) < 0.05
    assert np.mean(pixels) > 1.5


def test_a_bigger_frame_shows_the_same_picture() -> None:
    small, big = (render(nemo.scene(5, 6, size=size), [16]).frames[0].astype(float) for size in (64, 127))
    # The corners of both lattices coincide, so every second pixel of the big one is a pixel of the small one.
    assert np.abs(big[::2, ::2] - small).mean() < 8.0
