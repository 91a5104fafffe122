"""Lesson 04: what the text says of true masks, layers and flows holds, and the switches do what they say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from monkeynet_edu import geometry, motion
from monkeynet_edu.course.character import Character
from monkeynet_edu.course.judge import judge
from monkeynet_edu.course.lessons import figures04, lesson04
from monkeynet_edu.course.reference import pasting
from monkeynet_edu.errors import UserError

CLIP = Character().clip(motion=3, length=20)
FRAMES, POINTS = pasting.clip_with_joints(CLIP)
DRIVING = 16


@pytest.fixture
def pair() -> tuple[Tensor, Tensor, Tensor]:
    """Source (1, 3, 64, 64), true masks and shifts of the lesson's pair."""
    masks = pasting.true_masks(CLIP.truth, DRIVING, 0)
    return FRAMES[:1], masks, motion.displacements(POINTS[:1], POINTS[DRIVING : DRIVING + 1])


def test_true_masks_share_out_every_pixel_and_cover_the_figure(pair: tuple[Tensor, Tensor, Tensor]) -> None:
    masks = pair[1]
    assert masks.shape == (1, 12, 64, 64)
    assert torch.equal(masks.sum(dim=1), torch.ones(1, 64, 64))
    assert torch.equal(masks[0, 0] == 1, torch.from_numpy(CLIP.truth.labels[DRIVING] == 0))
    assert (masks.sum(dim=(0, 2, 3)) > 20).all(), "every joint has a patch of its own"


def test_a_patch_lies_around_its_joint(pair: tuple[Tensor, Tensor, Tensor]) -> None:
    grid = geometry.lattice(64, 64)
    for k, name in enumerate(pasting.PARTS[1:], start=1):
        middle = grid[pair[1][0, k] == 1].mean(dim=0)
        assert (middle - POINTS.mean[DRIVING, k - 1]).norm() < 0.25, name


def test_motion_between_is_what_displacements_give(pair: tuple[Tensor, Tensor, Tensor]) -> None:
    torch.testing.assert_close(pasting.motion_between(CLIP.truth, DRIVING, 0)[None], pair[2])


def test_with_hard_masks_pasting_and_flow_are_one(pair: tuple[Tensor, Tensor, Tensor]) -> None:
    image, masks, shifts = pair
    read = geometry.warp(image, geometry.lattice(64, 64) + motion.coarse_flow(masks, shifts))
    torch.testing.assert_close(pasting.paste_parts(image, masks, shifts), read, atol=1e-5, rtol=0)


def test_each_step_of_the_lesson_comes_nearer_to_the_driving_frame(pair: tuple[Tensor, Tensor, Tensor]) -> None:
    image, masks, shifts = pair
    target, grid = FRAMES[DRIVING : DRIVING + 1], geometry.lattice(64, 64)
    flow, seen = pasting.true_flow(CLIP.truth, DRIVING, 0)
    coarse = pasting.read_by(image, grid + motion.coarse_flow(masks, shifts))
    in_source = pasting.paste_parts(image, pasting.true_masks(CLIP.truth, 0, DRIVING), shifts)
    errors = [pasting.error(p, target, seen) for p in (image, in_source, coarse, pasting.read_by(image, grid + flow))]
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 0.4 * errors[0]


def test_the_error_counts_grey_values_of_the_chosen_pixels() -> None:
    black, grey = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    grey[..., 0, 0] = 0.2
    chosen = torch.zeros(1, 2, 2, dtype=torch.bool)
    chosen[0, 0, 0] = True
    assert pasting.error(black, grey) == pytest.approx(255 * 0.2 / 4)
    assert pasting.error(black, grey, chosen) == pytest.approx(255 * 0.2)


def test_a_clip_without_truth_is_refused() -> None:
    with pytest.raises(UserError, match="expected a clip with its truth"):
        pasting.clip_with_joints(replace(CLIP, truth=None))


def test_training_frames_show_other_characters_with_their_joints() -> None:
    frames, joints = pasting.training_frames(clips=2, frames=3)
    assert frames.shape == (2, 3, 3, 64, 64)
    assert joints.mean.shape == (2, 3, 11, 2)
    assert joints.cov.shape == (2, 3, 11, 2, 2)
    assert float(frames.max()) <= 1


# --- figures -----------------------------------------------------------------------------------------------------------


def test_layers_switched_on_cover_the_frame_and_are_named(pair: tuple[Tensor, Tensor, Tensor]) -> None:
    everything, said = figures04.layers_state(*pair, range(12), scale=1)
    assert said.endswith("They cover 100 % of the frame.")
    assert np.abs(everything / 255 - pasting.paste_parts(*pair)[0].permute(1, 2, 0).numpy()).max() < 0.01
    nothing, said = figures04.layers_state(*pair, [], scale=1)
    assert said == "Layers on: none. They cover 0 % of the frame."
    assert len(np.unique(nothing)) == 2, "a checkerboard alone"
    wrist, said = figures04.layers_state(*pair, [pasting.PARTS.index("left_wrist")], scale=1)
    assert "Layers on: left wrist." in said
    patch = pair[1][0, pasting.PARTS.index("left_wrist")].bool().numpy()
    np.testing.assert_array_equal(wrist[~patch], nothing[~patch])
    assert (wrist[patch] != nothing[patch]).any()


def test_copies_say_in_pixels_where_they_read() -> None:
    shifts = torch.tensor([[[0.0, 0.0], [2 / 63, -4 / 63]]])
    picture = figures04.figure_copies(FRAMES[:1], shifts, ["background", "wrist"])
    assert "wrist reads 1 pixels in x and -2 in y" in picture.alt


def test_layer_figures_have_a_panel_for_each_choice(pair: tuple[Tensor, Tensor, Tensor]) -> None:
    picture = figures04.figure_layers(*pair, [("still", [0]), ("all", range(12))])
    assert len(picture.figure.axes) == 2
    assert "still: Layers on: background." in picture.alt


def test_flow_in_pixels_and_films_side_by_side() -> None:
    assert figures04.in_pixels(torch.ones(3, 5, 2))[0, 0].tolist() == [2, 1]
    assert figures04.beside(torch.zeros(2, 3, 4, 5), torch.ones(2, 3, 4, 5)).shape == (2, 3, 4, 10)


def found(widget: object, kind: str) -> list[object]:
    below = [w for child in getattr(widget, "children", ()) for w in found(child, kind)]
    return [widget, *below] if type(widget).__name__ == kind else below


def test_switches_redraw_and_say_what_is_on(pair: tuple[Tensor, Tensor, Tensor]) -> None:
    pytest.importorskip("ipywidgets")
    panel = figures04.layer_switches(*pair)
    (image,), (words,), switches = found(panel, "Image"), found(panel, "HTML"), found(panel, "ToggleButton")
    assert [button.description for button in switches] == [name.replace("_", " ") for name in pasting.PARTS]
    before = image.value
    switches[0].value = False
    assert image.value != before
    assert "background" not in words.value
    everything, nothing = found(panel, "Button")
    nothing.click()
    assert "Layers on: none" in words.value
    everything.click()
    assert image.value == before


def test_without_ipywidgets_the_switches_are_a_picture(
    pair: tuple[Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert "100 % of the frame" in figures04.layer_switches(*pair).alt


# --- answers that readers tried -----------------------------------------------------------------------------------------


def _rest_for_the_background(image: Tensor, masks: Tensor, shifts: Tensor) -> Tensor:
    copies = motion.shifted_copies(image, shifts)
    rest = 1 - masks[:, 1:].sum(1, keepdim=True)
    return rest * copies[:, 0] + (masks[:, 1:, None] * copies[:, 1:]).sum(1)


def _weighted_mean(masks: Tensor, shifts: Tensor) -> Tensor:
    return torch.einsum("bkhw,bkc->bhwc", masks, shifts) / masks.sum(1)[..., None]


def test_a_mean_over_masks_that_sum_to_1_is_right_in_other_words() -> None:
    assert judge(lesson04.PASTE, _rest_for_the_background).status == "PASS"
    assert judge(lesson04.FLOW, _weighted_mean).status == "PASS"


def _types_as_they_come(image: Tensor, shifts: Tensor) -> Tensor:
    n = shifts.shape[1]
    d = geometry.lattice(*image.shape[2:]) + shifts[:, :, None, None, :]
    many = image[:, None].expand(-1, n, -1, -1, -1)
    return geometry.warp(many.flatten(0, 1), d.flatten(0, 1)).unflatten(0, (-1, n))


def _types_of_the_image(image: Tensor, shifts: Tensor) -> Tensor:
    return motion.shifted_copies(image, shifts).to(image.dtype)


@pytest.mark.parametrize("answer", [_types_as_they_come, _types_of_the_image])
def test_copies_are_asked_with_two_types(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert judge(lesson04.COPIES, answer).status in ("FAIL", "ERROR")


def _masks_cut_off(masks: Tensor, shifts: Tensor) -> Tensor:
    return motion.coarse_flow(masks.detach(), shifts)


def _masks_half_cut_off(masks: Tensor, shifts: Tensor) -> Tensor:
    half = masks / 2
    return torch.einsum("bkhw,bkc->bhwc", half + half.detach(), shifts)


def test_masks_have_to_learn() -> None:
    verdict = judge(lesson04.FLOW, lambda masks, shifts: _masks_half_cut_off(masks.detach(), shifts))
    assert "No gradient reaches the masks" in verdict.message
    assert "would learn wrongly" in judge(lesson04.FLOW, _masks_half_cut_off).message
    assert judge(lesson04.FLOW, _masks_cut_off).status == "FAIL"


def _laid_over(image: Tensor, masks: Tensor, shifts: Tensor) -> Tensor:
    copies = motion.shifted_copies(image, shifts)
    out = copies[:, 0]
    for k in range(1, masks.shape[1]):
        out = (1 - masks[:, k : k + 1]) * out + masks[:, k : k + 1] * copies[:, k]
    return out


def test_layers_laid_over_each_other_get_their_hint() -> None:
    verdict = judge(lesson04.PASTE, _laid_over)
    assert verdict.status == "FAIL"
    assert "nobody lies above anybody" in verdict.hint
