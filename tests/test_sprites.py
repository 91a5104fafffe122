"""The renderer and its truth, by hand; the four miniatures as data sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monkeynet_edu import geometry
from monkeynet_edu.data.sprites import SETS, engine, held_out_clips, make_scene, training_clips
from monkeynet_edu.data.sprites.engine import (
    Box,
    Capsule,
    Ellipse,
    Joint,
    Paint,
    Part,
    Polygon,
    Pose,
    Scene,
    Shape,
    Truth,
    Union,
    render,
)
from monkeynet_edu.errors import UserError

SIZE = 65  # a pixel is exactly 1/32 scene unit
PIXEL = 2 / (SIZE - 1)
RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def scene_of(*parts: Part, joints: tuple[Joint, ...] = (), size: int = SIZE) -> Scene:
    """Parts over a grey background."""
    anchor = Joint("anchor", parts[0].name, (0.0, 0.0))
    return Scene(np.full((size, size, 3), 0.5, np.float32), parts, (anchor, *joints), identity=7)


def square(name: str, centres: list[tuple[float, float]], side: float = 0.25, color: engine.RGB = RED) -> Part:
    return Part(name, Box(side, side), Paint(color), Pose.of(np.array(centres)))


def test_a_square_that_moves_four_pixels_right_flows_back_four_pixels() -> None:
    drawn = render(scene_of(square("a", [(0.0, 0.0), (4 * PIXEL, 0.0)])))
    flow, seen = drawn.truth.flow(1, 0)
    on_part = drawn.truth.labels[1] == 1
    assert on_part.sum() == 15 * 15  # 17 pixels wide, the outer ring exactly half covered
    np.testing.assert_allclose(flow[on_part], [[-4 * PIXEL, 0.0]] * on_part.sum(), atol=1e-6)
    assert seen[on_part].all()
    assert not flow[~on_part].any()


def test_background_uncovered_by_a_moving_square_is_not_seen_in_the_source() -> None:
    drawn = render(scene_of(square("a", [(0.0, 0.0), (4 * PIXEL, 0.0)])))
    _, seen = drawn.truth.flow(1, 0)
    uncovered = (drawn.truth.labels[0] == 1) & (drawn.truth.labels[1] == 0)
    assert uncovered.sum() == 4 * 15
    assert not seen[uncovered].any()
    still = (drawn.truth.labels[0] == 0) & (drawn.truth.labels[1] == 0)
    assert seen[still].all()


def test_moving_pixels_are_those_displaced_uncovered_or_newly_covered() -> None:
    drawn = render(scene_of(square("a", [(0.0, 0.0), (4 * PIXEL, 0.0)]), square("b", [(-0.6, 0.6)] * 2)))
    # 19 columns are touched by the moving square, 15 rows; the square at rest does not count.
    assert drawn.truth.moving(1, 0).sum() == 19 * 15
    assert not drawn.truth.moving(0, 0).any()


def test_motion_of_less_than_half_a_pixel_does_not_count_as_moving() -> None:
    drawn = render(scene_of(square("a", [(0.0, 0.0), (0.4 * PIXEL, 0.0)])))
    flow, seen = drawn.truth.flow(1, 0)
    assert not drawn.truth.displaced(flow, seen, 1).any()


def test_a_quarter_turn_flows_as_computed_by_hand() -> None:
    part = Part("a", Box(0.5, 0.25), Paint(RED), Pose.of(np.zeros((2, 2)), np.array([0.0, np.pi / 2])))
    flow, _ = render(scene_of(part)).truth.flow(1, 0)
    # The point now at (0, 0.25), below the centre, was at (0.25, 0): x turns towards y.
    row, column = 32 + 8, 32
    np.testing.assert_allclose(flow[row, column], [0.25, -0.25], atol=1e-6)


def test_later_parts_cover_earlier_ones() -> None:
    truth = render(scene_of(square("under", [(0.0, 0.0)], 0.5), square("over", [(0.0, 0.0)], 0.2, BLUE))).truth
    assert truth.labels[0, 32, 32] == 2
    assert truth.labels[0, 32, 32 + 12] == 1
    masks = truth.masks(0)
    assert masks.shape == (3, SIZE, SIZE)
    assert (masks.sum(axis=0) == 1).all()


def test_a_part_inside_another_is_clipped_by_it() -> None:
    mouth = Part("mouth", Ellipse(0.2, 0.2), Paint(RED), Pose.of(np.zeros((1, 2))))
    teeth = Part("teeth", Box(0.9, 0.05), Paint((1.0, 1.0, 1.0)), Pose.of(np.zeros((1, 2))), inside="mouth")
    labels = render(scene_of(mouth, teeth)).truth.labels[0]
    assert labels[32, 32] == 2
    assert labels[32, 60] == 0


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (Ellipse(0.6, 0.3), np.pi * 0.6 * 0.3),
        (Box(0.5, 0.25), 0.5),
        (Capsule(0.5, 0.2, 0.2), np.pi * 0.04 + 0.5 * 0.4),
        (Polygon(((-0.5, -0.5), (0.5, -0.5), (0.0, 0.5))), 0.5),
        (Union(((Box(0.2, 0.2), (-0.4, 0.0)), (Box(0.2, 0.2), (0.4, 0.0)))), 0.32),
    ],
)
def test_anti_aliased_coverage_adds_up_to_the_area(shape: Shape, area: float) -> None:
    part = Part("a", shape, Paint((1.5, 0.5, 0.5)), Pose.of(np.array([[0.013, 0.007]]), 0.3))
    red = render(scene_of(part)).frames[0, ..., 0].astype(float) / 255
    assert (red - 128 / 255).sum() / (1 - 128 / 255) * PIXEL**2 == pytest.approx(area, rel=0.02)


@given(angle=st.floats(-3, 3), scale=st.floats(0.5, 2), squash=st.floats(0.5, 2), bend=st.floats(-1, 1))
@settings(max_examples=40, deadline=None)
def test_local_coordinates_come_back_from_the_scene(angle: float, scale: float, squash: float, bend: float) -> None:
    pose = Pose.of(np.array([[0.4, -0.3]]), angle, np.array([[scale, squash]]), bend)
    points = np.array([[0.3, -0.2], [-0.5, 0.4]], dtype=np.float32)
    there = pose.to_scene(points)[0]
    u, v = engine._to_local(pose.centre, pose.matrix, pose.bend, there[:, 0], there[:, 1])
    np.testing.assert_allclose(np.stack([u, v], -1), points, atol=1e-4)


def test_a_joint_is_visible_on_its_part_and_hidden_under_another_or_outside() -> None:
    carrier = square("carrier", [(0.0, 0.0), (0.0, 0.0), (3.0, 0.0)])
    cover = square("cover", [(0.8, 0.8), (0.0, 0.0), (0.8, 0.8)], 0.4, BLUE)
    truth = render(scene_of(carrier, cover)).truth
    assert truth.visible[:, 0].tolist() == [True, False, False]
    np.testing.assert_allclose(truth.joints[2, 0], [3.0, 0.0])
    generous = Joint("generous", "carrier", (0.0, 0.0), seen_on=("carrier", "cover"))
    assert render(scene_of(carrier, cover, joints=(generous,))).truth.visible[:, 1].tolist() == [True, True, False]


def test_truth_survives_saving_and_a_foreign_file_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    truth = held_out_clips("mini-nemo", 0, 1)[0].truth
    assert truth is not None
    truth.save(tmp_path / "a.npz")
    back = Truth.load(tmp_path / "a.npz")
    for name in ("joints", "visible", "labels", "pose"):
        np.testing.assert_array_equal(getattr(back, name), getattr(truth, name))
    assert (back.identity, back.joint_names, back.part_names) == (truth.identity, truth.joint_names, truth.part_names)
    (tmp_path / "b.npz").write_text("no truth")
    with pytest.raises(UserError, match=r"b\.npz: expected the ground truth"):
        Truth.load(tmp_path / "b.npz")


@pytest.mark.parametrize("name", SETS)
def test_warping_the_source_by_the_true_flow_gives_the_driving_frame(name: str) -> None:
    clip = held_out_clips(name, 3, 1)[0]
    assert clip.truth is not None
    frame = len(clip.frames) // 2
    flow, seen = clip.truth.flow(frame, 0)
    images = torch.from_numpy(clip.frames[[0, frame]]).permute(0, 3, 1, 2).float() / 255
    grid = geometry.lattice(64, 64) + torch.from_numpy(flow)
    error = (geometry.warp(images[:1], grid[None])[0] - images[1]).abs().mean(0).numpy()[seen].mean()
    repeated = (images[0] - images[1]).abs().mean(0).numpy()[seen].mean()
    assert error < 0.03
    assert error < 0.7 * repeated


@pytest.mark.parametrize("name", SETS)
def test_difficulty_is_pinned(name: str) -> None:
    moving, still, texture, white = [], [], [], []
    for clip in held_out_clips(name, 0, 10):
        assert clip.truth is not None
        frames = clip.frames.astype(np.float32) / 255
        chosen = range(1, len(frames), 7)
        moving.append(np.mean([clip.truth.moving(t, 0).mean() for t in chosen]))
        still.append(np.mean([np.abs(frames[t] - frames[0]).mean() for t in chosen]))
        background = frames[0][clip.truth.labels[0] == 0]
        texture.append(background.std(axis=0).mean())
        white.append((background == 1).all(axis=-1).mean())
    assert 0.08 <= np.mean(moving) <= 0.35
    assert 0.02 <= np.mean(still) <= 0.06
    if name == "mini-mgif":
        assert np.min(white) > 0.8, "white paper, but for the soft edges of the animal"
    else:
        assert np.min(texture) > 0.01


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("make", [training_clips, held_out_clips])
def test_the_same_seed_draws_the_same_clips(name: str, make: Callable[..., engine.Clip]) -> None:
    first, again, other = (make(name, seed, 2)[0].frames for seed in (5, 5, 6))  # type: ignore[index]
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


def test_no_character_is_in_both_training_and_test() -> None:
    train = {identity for identity, _ in training_clips("mini-nemo", 0, 500).seeds}
    test = {identity for seed in range(3) for identity, _ in held_out_clips("mini-nemo", seed, 500).seeds}
    assert {i % 2 for i in train} == {0}
    assert {i % 2 for i in test} == {1}
    assert len(train) == 500


def test_training_clips_are_drawn_on_demand_with_few_frames() -> None:
    clips = training_clips("mini-taichi", 0, 1000)
    assert len(clips) == 1000
    assert clips[-1].frames.shape == (12, 64, 64, 3)
    assert clips[-1].truth is not None
    assert len(clips[-1].truth.labels) == 12
    assert clips[-1] is clips[999]


def test_an_unknown_miniature_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(UserError, match="did you mean mini-taichi"):
        make_scene("mini-taishi", 0, 0)
    with pytest.raises(UserError, match="did you mean mini-taichi"):
        training_clips("mini-taishi")
