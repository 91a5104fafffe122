"""AKD, MKR, AED: numbers worked by hand, a second implementation in plain loops, and what must hold for any input."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monkeynet_edu.evaluators import Points
from monkeynet_edu.metrics import (
    average_euclidean_distance,
    average_keypoint_distance,
    identity_figures,
    missing_keypoint_rate,
    over_clips,
    point_figures,
)
from monkeynet_edu.metrics.external import find_points

YES, NO = True, False


def loops_akd(real: np.ndarray, generated: np.ndarray, both: np.ndarray, norm: str) -> float:
    """AKD, one number at a time."""
    frames = []
    for t in range(len(real)):
        distances = []
        for j in range(real.shape[1]):
            if both[t, j]:
                dx, dy = abs(real[t, j, 0] - generated[t, j, 0]), abs(real[t, j, 1] - generated[t, j, 1])
                distances.append(math.hypot(dx, dy) if norm == "euclidean" else (dx + dy) / 2)
        if distances:
            frames.append(sum(distances) / len(distances))
    return sum(frames) / len(frames)


def loops_mkr(real: np.ndarray, generated: np.ndarray) -> float:
    """MKR, one joint at a time."""
    shares = []
    for mine, theirs in zip(real, generated, strict=True):
        there = [j for j in range(len(mine)) if mine[j]]
        if there:
            shares.append(sum(not theirs[j] for j in there) / len(there))
    return sum(shares) / len(shares)


def found(seed: int, frames: int = 9, joints: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Positions in real and generated frames, and what was found; one frame of each has nothing."""
    g = torch.Generator().manual_seed(seed)
    real, noise = (64 * torch.rand(frames, joints, 2, generator=g) for _ in range(2))
    mine, theirs = (torch.rand(frames, joints, generator=g) > 0.4 for _ in range(2))
    mine[2], theirs[5] = False, False
    return real, real + noise / 8 - 4, mine, theirs


# --------------------------------------------------------------------------------------------------------------- by hand

# Frame 0: offsets (3, 4) and (0, 2), both found. Euclidean 5 and 2, mean 3.5; per coordinate 3.5 and 1, mean 2.25.
# Frame 1: offsets (6, 8), found, and (100, 0), not found. Euclidean 10; per coordinate 7.
# Frame 2: nothing found in both: it does not count.
REAL = torch.tensor([[[10.0, 10.0], [20.0, 20.0]], [[0.0, 0.0], [5.0, 5.0]], [[1.0, 1.0], [2.0, 2.0]]])
MADE = REAL + torch.tensor([[[3.0, 4.0], [0.0, -2.0]], [[-6.0, 8.0], [100.0, 0.0]], [[50.0, 50.0], [50.0, 50.0]]])
BOTH = torch.tensor([[YES, YES], [YES, NO], [NO, NO]])


def test_akd_by_hand() -> None:
    assert average_keypoint_distance(REAL, MADE, BOTH).item() == pytest.approx((3.5 + 10) / 2)
    assert average_keypoint_distance(REAL, MADE, BOTH, "l1").item() == pytest.approx((2.25 + 7) / 2)


def test_akd_of_all_points_at_once_would_be_another_number() -> None:
    """The mean over points, (5 + 2 + 10)/3, gives frames with many points more weight: it is not AKD."""
    assert average_keypoint_distance(REAL, MADE, BOTH).item() != pytest.approx((5 + 2 + 10) / 3)


def test_mkr_by_hand() -> None:
    real = torch.tensor([[YES, YES, YES, NO], [YES, NO, NO, NO], [NO, NO, NO, NO]])
    made = torch.tensor([[YES, NO, NO, YES], [YES, YES, YES, YES], [YES, NO, NO, NO]])
    # Frame 0: two of three lost; frame 1: none of one; frame 2 had nothing to lose.
    assert missing_keypoint_rate(real, made).item() == pytest.approx((2 / 3 + 0) / 2)


def test_aed_by_hand() -> None:
    real, made = torch.zeros(2, 2), torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert average_euclidean_distance(real, made).item() == pytest.approx((5 + 1) / 2)
    assert average_euclidean_distance(real, made, "squared").item() == pytest.approx((25 + 1) / 2)


# ------------------------------------------------------------------------------------------------- second implementations


@pytest.mark.parametrize("seed", range(3))
def test_loops_agree(seed: int) -> None:
    real, made, mine, theirs = found(seed)
    both = mine & theirs
    for norm in ("euclidean", "l1"):
        plain = loops_akd(real.numpy(), made.numpy(), both.numpy(), norm)
        assert average_keypoint_distance(real, made, both, norm).item() == pytest.approx(plain, rel=1e-5)
    assert missing_keypoint_rate(mine, theirs).item() == pytest.approx(loops_mkr(mine.numpy(), theirs.numpy()), rel=1e-5)
    differences = (real - made).flatten(1).numpy().astype(float)
    rows = [math.sqrt(sum(x * x for x in row)) for row in differences]
    flat = real.flatten(1), made.flatten(1)
    assert average_euclidean_distance(*flat).item() == pytest.approx(sum(rows) / len(rows), rel=1e-5)
    squares = sum(r * r for r in rows) / len(rows)
    assert average_euclidean_distance(*flat, "squared").item() == pytest.approx(squares, rel=1e-5)


# ------------------------------------------------------------------------------------------------------- what must hold


def test_equal_frames_have_no_distance() -> None:
    real, _, mine, _ = found(0)
    assert average_keypoint_distance(real, real, mine) == 0
    assert average_keypoint_distance(real, real, mine, "l1") == 0
    assert missing_keypoint_rate(mine, mine) == 0
    assert average_euclidean_distance(real.flatten(1), real.flatten(1)) == 0


def test_mkr_is_one_where_all_is_lost() -> None:
    mine = found(0)[2]
    assert missing_keypoint_rate(mine, torch.zeros_like(mine)) == 1


def test_a_shift_of_both_frames_changes_no_akd() -> None:
    real, made, mine, theirs = found(1)
    shift = torch.tensor([7.0, -3.0])
    for norm in ("euclidean", "l1"):
        before = average_keypoint_distance(real, made, mine & theirs, norm)
        torch.testing.assert_close(average_keypoint_distance(real + shift, made + shift, mine & theirs, norm), before)


def test_the_published_akd_is_pi_halves_smaller_for_errors_without_direction() -> None:
    g = torch.Generator().manual_seed(0)
    real, everything = torch.zeros(400, 100, 2), torch.ones(400, 100, dtype=torch.bool)
    made = torch.randn(400, 100, 2, generator=g)
    ratio = average_keypoint_distance(real, made, everything) / average_keypoint_distance(real, made, everything, "l1")
    assert ratio.item() == pytest.approx(math.pi / 2, rel=0.01)


def test_the_published_akd_is_between_half_and_root_half_of_the_euclidean() -> None:
    real, everything = torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool)
    for offset, share in (([1.0, 0.0], 1 / 2), ([1.0, 1.0], math.sqrt(1 / 2))):
        made = torch.tensor([[offset]])
        published = average_keypoint_distance(real, made, everything, "l1")
        assert (published / average_keypoint_distance(real, made, everything)).item() == pytest.approx(share)


def test_what_was_not_found_does_not_count_even_where_it_is_no_number() -> None:
    real, made, mine, theirs = found(2)
    both = mine & theirs
    before = average_keypoint_distance(real, made, both)
    assert average_keypoint_distance(real, made.masked_fill(~both[..., None], math.nan), both) == before


def test_nothing_found_is_no_number_and_not_zero() -> None:
    real, made, mine, _ = found(0)
    nothing = torch.zeros_like(mine)
    assert average_keypoint_distance(real, made, nothing).isnan()
    assert missing_keypoint_rate(nothing, mine).isnan()
    assert average_euclidean_distance(real[:0].flatten(1), made[:0].flatten(1)).isnan()


# -------------------------------------------------------------------------------------------------------- of whole clips


def test_a_lost_limb_improves_akd_and_worsens_mkr() -> None:
    """The badly drawn hand is 20 px off; smeared away altogether, it no longer counts in AKD."""
    real = torch.tensor([[[10.0, 10.0], [30.0, 30.0]]]).expand(4, 2, 2)
    made = real + torch.tensor([[1.0, 0.0], [20.0, 0.0]])
    seen = torch.ones(4, 2, dtype=torch.bool)
    lost = torch.tensor([YES, NO]).expand(4, 2)
    whole, maimed = point_figures((real, seen), (made, seen), None), point_figures((real, seen), (made, lost), None)
    assert (whole["akd"].value, maimed["akd"].value) == (10.5, 1.0)
    assert (whole["mkr"].value, maimed["mkr"].value) == (0.0, 0.5)
    assert (whole["akd"].points, maimed["akd"].points) == (6, 3)


def test_plain_figures_leave_the_source_out_and_published_ones_count_it() -> None:
    """Frame 0 is 8 px off along x and has lost a joint, the two others are right."""
    real, seen = torch.zeros(3, 2, 2), torch.ones(3, 2, dtype=torch.bool)
    made, left = real.clone(), seen.clone()
    made[0, :, 0], left[0, 1] = 8, False
    figures = point_figures((real, seen), (made, left), None)
    assert (figures["akd"].value, figures["akd"].frames, figures["akd"].points) == (0, 2, 4)
    assert figures["akd_l1"].value == pytest.approx(4 / 3)  # (8 + 0)/2 in one of three frames
    assert (figures["akd_l1"].frames, figures["akd_l1"].points) == (3, 5)
    assert figures["mkr"].value == 0
    assert figures["mkr_published"].value == pytest.approx(0.5 / 3)
    embedded = identity_figures(torch.zeros(3, 2), torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]]))
    assert (embedded["aed"].value, embedded["aed"].frames) == (0, 2)
    assert embedded["aed_squared"].value == pytest.approx(25 / 3)


def test_repeating_the_source_is_measured_with_the_points_of_its_real_frame() -> None:
    real = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]], [[6.0, 8.0]]])
    seen = torch.tensor([[YES], [YES], [YES]])
    figures = point_figures((real, seen), (real, seen), None)
    assert figures["akd_repeat_source"].value == pytest.approx((5 + 10) / 2)
    assert figures["mkr_repeat_source"].value == 0
    unseen = torch.tensor([[NO], [YES], [YES]])
    assert point_figures((real, unseen), (real, unseen), None)["mkr_repeat_source"].value == 1
    assert point_figures((real, unseen), (real, unseen), None)["akd_repeat_source"].value is None


def test_the_detector_s_own_error_is_measured_on_joints_that_are_visible() -> None:
    real, seen = torch.zeros(2, 3, 2), torch.ones(2, 3, dtype=torch.bool)
    true = torch.tensor([[0.0, 2.0], [0.0, 40.0]]).expand(2, 2, 2)
    visible = torch.tensor([[NO, NO], [YES, NO]])
    figure = point_figures((real, seen), (real, seen), ([2, 0], (true, visible)))["akd_detector"]
    assert (figure.value, figure.frames, figure.points) == (2.0, 1, 1)


def test_published_figures_weigh_clips_by_frames_and_plain_ones_do_not() -> None:
    def clip(frames: int, off: float) -> dict:
        real, seen = torch.zeros(frames, 1, 2), torch.ones(frames, 1, dtype=torch.bool)
        return point_figures((real, seen), (real + off, seen), None)

    rows = [clip(2, 1.0), clip(8, 3.0)]
    assert over_clips(rows, "akd").value == pytest.approx(math.sqrt(2) * (1 + 3) / 2)
    assert over_clips(rows, "akd_l1").value == pytest.approx((2 * 1 + 8 * 3) / 10)
    assert (over_clips(rows, "akd").frames, over_clips(rows, "akd_l1").frames) == (1 + 7, 2 + 8)


CONFIDENCES = st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 6), min_size=2, max_size=5)


@settings(max_examples=60, deadline=None)
@given(CONFIDENCES, st.sampled_from([math.nan, math.inf, 5.0]))
def test_no_detection_whatever_gives_nan(confidences: list[tuple[float, ...]], odd: float) -> None:
    """Empty, partly empty, full, and positions that are no numbers: valid JSON, and a value wherever points counted."""
    real, made = torch.tensor(confidences).chunk(2, dim=1)
    position = torch.ones(*real.shape, 2)
    position[0, 0, 1] = odd
    frames = torch.zeros(len(real), 3, 4, 4)
    seen = find_points(lambda _: Points(position, real), frames), find_points(lambda _: Points(position, made), frames)
    figures = point_figures(*seen, ([0, 2], (torch.zeros(len(real), 2, 2), real[:, :2] > 0)))
    json.dumps({name: figure.value for name, figure in figures.items()}, allow_nan=False)
    assert all((figure.value is None) == (figure.points == 0) for figure in figures.values())
