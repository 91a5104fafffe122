"""Lesson 10, metrics: its exercises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, Violation, expect
from monkeynet_edu.metrics.frechet import gaussian, matrix_root

IMPORTS = """\
import math

import torch
from torch import Tensor

from monkeynet_edu import metrics, viz
from monkeynet_edu.course import microscope
from monkeynet_edu.course.lessons import figures10
from monkeynet_edu.metrics import distances, frechet
from monkeynet_edu.metrics.distances import Form, Norm
from monkeynet_edu.metrics.frechet import gaussian, matrix_root"""


def _came(value: Any, tried: str) -> Any:
    """The answer; says so in words where nothing was returned."""
    if value is None:
        raise Violation("Your function returned nothing. Is there a `return`?", tried, "one number", "None")
    return value


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# ------------------------------------------------------------------------------------------------------------------ AKD


def _joints(frames: int, joints: int, lost: float = 0.3) -> tuple[Tensor, Tensor, Tensor]:
    """Random joints (T, J, 2) in pixels, generated ones beside them, and which were found in both; frame 1 has none."""
    real = 64 * torch.rand(frames, joints, 2)
    both = torch.rand(frames, joints) > lost
    both[0, 0], both[0, 1], both[2, :2] = True, False, True
    both[1] = False
    generated = real + 4 * torch.randn(frames, joints, 2)
    return real, torch.where(both[..., None], generated, generated + 40), both


def _akd_calls() -> Sequence[Call]:
    return (
        Call("5 frames of 4 random joints, in frame 1 none is found in both", (*_joints(5, 4), "euclidean")),
        Call("6 frames of 3 random joints, in frame 1 none is found in both; l1", (*_joints(6, 3), "l1")),
        Call("4 frames of 5 random joints, in frame 1 none is found in both; no norm given", _joints(4, 5)),
    )


_AKD_REAL = torch.tensor([[[10.0, 10.0], [20.0, 20.0]], [[30.0, 30.0], [40.0, 40.0]]])
_AKD_MADE = torch.tensor([[[13.0, 14.0], [20.0, 22.0]], [[30.0, 36.0], [0.0, 0.0]]])
_AKD_BOTH = torch.tensor([[True, True], [True, False]])
_AKD_SAID = "the two frames of the lesson: offsets (3, 4), (0, 2) and (0, 6); one joint lost"


def _akd_hand(f: Function) -> None:
    got = _came(f(_AKD_REAL, _AKD_MADE, _AKD_BOTH), _AKD_SAID)
    expect(got, 4.75, "frame 0: (5 + 2)/2 = 3.5; frame 1: 6; their mean is 4.75", _AKD_SAID)


def _akd_hand_published(f: Function) -> None:
    message = 'norm="l1": frame 0: (3.5 + 1)/2 = 2.25; frame 1: 3; their mean is 2.625'
    expect(_came(f(_AKD_REAL, _AKD_MADE, _AKD_BOTH, "l1"), _AKD_SAID), 2.625, message, _AKD_SAID)


def _akd_lost(f: Function) -> None:
    real, made, both = _joints(4, 3, lost=0.0)
    before = _came(f(real, made, both), "4 random frames")
    wild = torch.where(both[..., None], made, made + 1000)
    message = "Where a joint was not found in both frames, the numbers that stand there mean nothing and must not count"
    expect(f(real, wild, both), before.detach(), message, "4 random frames; lost joints moved away by 1000 pixels")


def _akd_empty(f: Function) -> None:
    real, made, both = _joints(3, 2, lost=0.0)  # frame 1 has none
    kept = torch.tensor([0, 2])
    message = "A frame without a joint found in both says nothing: leave it out of the mean (its 0/0 is NaN)"
    wanted = _loop_akd(real[kept], made[kept], both[kept], "euclidean")
    expect(_came(f(real, made, both), "3 frames"), wanted, message, "3 frames; in the middle one nothing is found in both")


def _akd_frames(f: Function) -> None:
    real = torch.zeros(2, 4, 2)
    made = torch.zeros(2, 4, 2)
    made[0, :, 0], made[1, 0, 0] = 1.0, 5.0
    both = torch.tensor([[True] * 4, [True, False, False, False]])
    message = "Each frame counts once, however many joints were found: frame 0 has 1, frame 1 has 5, the mean is 3"
    expect(f(real, made, both), 3.0, message, "four joints off by 1 in frame 0, one joint off by 5 in frame 1")


def _loop_akd(real: Tensor, made: Tensor, both: Tensor, norm: str) -> float:
    frames = []
    for t in range(len(real)):
        found = []
        for j in range(real.shape[1]):
            if both[t, j]:
                dx, dy = (float(made[t, j, axis] - real[t, j, axis]) for axis in range(2))
                found.append(math.hypot(dx, dy) if norm == "euclidean" else (abs(dx) + abs(dy)) / 2)
        if found:
            frames.append(_mean(found))
    return _mean(frames)


def _akd_loop(f: Function) -> None:
    for norm in ("euclidean", "l1"):
        real, made, both = _joints(6, 5)
        message = f'norm="{norm}" agrees with loops over frames and joints'
        expect(f(real, made, both, norm), _loop_akd(real, made, both, norm), message, "6 random frames of 5 joints")


def _akd_turn(f: Function) -> None:
    """Turning the picture by 45 degrees keeps Euclidean distances and changes the published ones."""
    real = torch.zeros(1, 1, 2)
    both = torch.ones(1, 1, dtype=torch.bool)
    side = 1 / math.sqrt(2)
    straight, slanted = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[side, side]]])
    for offset, said in ((straight, "to the right"), (slanted, "along the diagonal")):
        expect(f(real, offset, both), 1.0, "One pixel is one pixel in every direction", f"one joint, one pixel {said}")
    expect(f(real, slanted, both, "l1"), side, 'norm="l1" says 0.71 to the same pixel along the diagonal', "one joint")


def _akd_by_loop(real: Tensor, generated: Tensor, both: Tensor, norm: str = "euclidean") -> Tensor:
    return torch.tensor(_loop_akd(real, generated, both, norm))


def _akd_by_weights(real: Tensor, generated: Tensor, both: Tensor, norm: str = "euclidean") -> Tensor:
    weight = both.double()
    gap = (real - generated).double()
    apart = torch.hypot(gap[..., 0], gap[..., 1]) if norm == "euclidean" else (gap[..., 0].abs() + gap[..., 1].abs()) / 2
    kept = weight.sum(1) > 0
    return ((apart * weight).sum(1)[kept] / weight.sum(1)[kept]).mean().to(real.dtype)


def _akd_by_nanmean(real: Tensor, generated: Tensor, both: Tensor, norm: str = "euclidean") -> Tensor:
    gap = generated - real
    apart = torch.cdist(gap[..., None, :], torch.zeros(1, 2))[..., 0, 0] if norm == "euclidean" else gap.abs().sum(-1) / 2
    return torch.where(both, apart, torch.nan).nanmean(dim=1).nanmean()


AKD = Exercise(
    id="keypoint-distance",
    title="Average keypoint distance, both forms",
    target="monkeynet_edu.metrics.distances:average_keypoint_distance",
    statement=(
        "How far apart the same joint lies in the real and in the generated frame, both (T, J, 2): over the joints of each "
        'frame that were found in both, then over the frames that have any. `norm="euclidean"` is √(Δx² + Δy²), '
        '`norm="l1"` what was published, (|Δx| + |Δy|)/2.'
    ),
    level="stub",
    steps=(
        "how far each joint is off, along x and along y",
        "from two numbers to one distance a joint, by the norm asked for",
        "how many joints of each frame were found in both",
        "the mean distance of each frame, over those joints alone",
        "the mean over the frames that have any",
    ),
    hints=(
        "A joint that was not found has no place; whatever number stands there is to be ignored. Average inside each frame "
        "first, then over frames, and leave out frames in which nothing is left.",
        "The offset is (T, J, 2), the distance (T, J), the sum over found joints and their number are (T,), and one number "
        "comes out. `both` is bool, (T, J): `distance.masked_fill(~both, 0)` or `distance * both` silences the others.",
        "`per_frame = (distance * both).sum(dim=1) / joints`, then `per_frame[joints > 0].mean()`, with "
        "`joints = both.sum(dim=1)`.",
    ),
    calls=_akd_calls,
    properties=(
        Property("by hand", "4.75 for the two frames of the lesson", _akd_hand),
        Property("by hand, published", "2.625 with the published norm", _akd_hand_published),
        Property("lost joints", "what stands at a joint that was not found does not count", _akd_lost),
        Property("frames", "each frame counts once", _akd_frames),
        Property("empty frames", "a frame without joints is left out", _akd_empty),
        Property("direction", "a pixel is a pixel in every direction, but not for l1", _akd_turn),
        Property("loop", "it agrees with loops", _akd_loop),
    ),
    mutants=(
        Mutant(
            "lost-joints-count",
            "All joints have a distance.",
            "You add up the distances of joints that were not found. What a detector writes there is no place at all. "
            "Which of your numbers has to become 0 before the sum?",
            (("distance.masked_fill(~both, 0).sum(dim=1)", "distance.sum(dim=1)"),),
        ),
        Mutant(
            "lost-joints-are-perfect",
            "A joint that was not found is 0 pixels off.",
            "You divide by all joints, so a lost one counts as a perfect one. Divide by the number of joints that were "
            "found in both.",
            ((".sum(dim=1) / joints", ".sum(dim=1) / both.shape[1]"),),
        ),
        Mutant(
            "all-joints-of-the-film",
            "A mean is a mean: all joints of all frames at once.",
            "You average over all joints of the film at once, so a frame with many joints counts more than one with few. "
            "Average inside each frame first.",
            (("per_frame[joints > 0].mean()", "distance[both].mean()"),),
        ),
        Mutant(
            "empty-frames-are-perfect",
            "Where nothing was found the error is 0.",
            "A frame in which nothing was found counts as a perfect one with you. It says nothing; leave it out.",
            (("per_frame[joints > 0].mean()", "per_frame.nan_to_num().mean()"),),
        ),
        Mutant(
            "l1-is-the-sum",
            "The L1 norm is |Δx| + |Δy|.",
            'That is the L1 norm of a textbook. The published code takes the *mean* of |Δx| and |Δy|: `norm="l1"` is '
            "half of yours.",
            (("offset.abs().mean(dim=-1)", "offset.abs().sum(dim=-1)"),),
        ),
        Mutant(
            "forms-exchanged",
            "AKD as defined is the published one.",
            'The two forms are exchanged: `norm="euclidean"` is the root of the sum of squares.',
            (('norm == "euclidean"', 'norm != "euclidean"'),),
        ),
        Mutant(
            "root-mean-square",
            "A distance is the root of the mean square.",
            "Your Euclidean distance of (3, 4) is 3.54 instead of 5: you take the mean of the squares, not their sum.",
            (("offset.norm(dim=-1)", "offset.square().mean(dim=-1).sqrt()"),),
        ),
        Mutant(
            "squared",
            "The root can be left out.",
            "Your distance of (3, 4) is 25. A distance in pixels is the root of that.",
            (("offset.norm(dim=-1)", "offset.square().sum(dim=-1)"),),
        ),
        Mutant(
            "sign-kept",
            "Differences can be averaged as they are.",
            "With you, 3 pixels to the left and 3 to the right cancel. Take absolute values before the mean of x and y.",
            (("offset.abs().mean(dim=-1)", "offset.mean(dim=-1)"),),
        ),
    ),
    alternatives=(_akd_by_loop, _akd_by_weights, _akd_by_nanmean),
    box="metrics",
)

# ------------------------------------------------------------------------------------------------------------------ MKR


def _found(frames: int, joints: int) -> tuple[Tensor, Tensor]:
    """Random found joints (T, J) of real and generated frames; in frame 1 none is found in the real one."""
    real, generated = torch.rand(frames, joints) > 0.3, torch.rand(frames, joints) > 0.4
    real[0, 0], real[2, :2], generated[:, 0], generated[1, 1] = True, True, True, False
    generated[0, 1] = real[0, 1] = True
    generated[2, 1], real[2, 2], generated[2, 2] = False, False, True
    real[1] = False
    return real, generated


def _mkr_calls() -> Sequence[Call]:
    return (
        Call("5 frames of 4 joints, in frame 1 none is found in the real frame", _found(5, 4)),
        Call("7 frames of 3 joints, in frame 1 none is found in the real frame", _found(7, 3)),
    )


_MKR_REAL = torch.tensor([[True, True, True, True], [True, True, False, False]])
_MKR_MADE = torch.tensor([[True, True, True, False], [True, False, True, True]])


def _mkr_hand(f: Function) -> None:
    message = "frame 0 loses 1 of 4, frame 1 loses 1 of 2: (0.25 + 0.5)/2 = 0.375"
    expect(_came(f(_MKR_REAL, _MKR_MADE), "two frames"), 0.375, message, "the two frames of the lesson")


def _mkr_extremes(f: Function) -> None:
    real, _ = _found(4, 5)
    expect(_came(f(real, real), "4 frames"), 0.0, "Nothing lost: 0", "the generated frames have the same joints")
    expect(f(real, torch.zeros_like(real)), 1.0, "Everything lost: 1", "no joint is found in the generated frames")


def _mkr_extra(f: Function) -> None:
    real = torch.tensor([[True, False, False]])
    message = "What is found in the generated frame alone was not lost"
    tried = "one joint in the real frame, three in the generated one"
    expect(_came(f(real, torch.ones_like(real)), tried), 0.0, message, tried)


def _mkr_empty(f: Function) -> None:
    real, made = torch.tensor([[True, True], [False, False]]), torch.tensor([[True, False], [True, False]])
    message = "A real frame without joints has nothing to lose: leave it out of the mean (its 0/0 is NaN)"
    tried = "frame 0 loses 1 of 2; in frame 1 of the real film nothing is found"
    expect(_came(f(real, made), tried), 0.5, message, tried)


def _mkr_loop(f: Function) -> None:
    for _ in range(4):
        real, made = _found(6, 5)
        rates = []
        for a, b in zip(real.tolist(), made.tolist(), strict=True):
            if any(a):
                rates.append(sum(x and not y for x, y in zip(a, b, strict=True)) / sum(a))
        tried = "6 random frames of 5 joints"
        expect(_came(f(real, made), tried), _mean(rates), "it agrees with a loop over frames", tried)


def _mkr_by_loop(real_found: Tensor, generated_found: Tensor) -> Tensor:
    rates = [1 - made[real].float().mean() for real, made in zip(real_found, generated_found, strict=True) if real.any()]
    return torch.stack(rates).mean()


def _mkr_by_kept(real_found: Tensor, generated_found: Tensor) -> Tensor:
    real, made = real_found.double(), generated_found.double()
    kept = real.sum(1) > 0
    return (1 - (real * made).sum(1)[kept] / real.sum(1)[kept]).mean().float()


def _mkr_by_nanmean(real_found: Tensor, generated_found: Tensor) -> Tensor:
    lost = torch.where(real_found, (~generated_found).float(), torch.nan)
    return lost.nanmean(dim=1).nanmean()


MKR = Exercise(
    id="missing-rate",
    title="Missing keypoint rate",
    target="monkeynet_edu.metrics.distances:missing_keypoint_rate",
    statement=(
        "The share of the joints found in the real frame that are not found in the generated one, both bool (T, J): in "
        "each frame, then the mean over the frames whose real picture has any."
    ),
    level="stub",
    steps=(
        "how many joints of each frame were found in the real picture and not in the generated one",
        "how many were found in the real picture",
        "the share of each frame, and the mean over frames that have joints to lose",
    ),
    hints=(
        "Only what was there can be lost. So the joints of the *real* frame are the whole, and those of them that are gone "
        "in the generated frame are the part.",
        "`&` is *and*, `~` is *not*, both work on bool tensors. The sum of a bool tensor (T, J) over dim=1 counts joints, "
        "(T,).",
        "`lost = (real_found & ~generated_found).sum(dim=1)`; then `(lost / joints)[joints > 0].mean()`.",
    ),
    calls=_mkr_calls,
    properties=(
        Property("by hand", "0.375 for the two frames of the lesson", _mkr_hand),
        Property("extra joints", "what appears was not lost", _mkr_extra),
        Property("empty frames", "a real frame without joints is left out", _mkr_empty),
        Property("extremes", "nothing lost: 0; everything: 1", _mkr_extremes),
        Property("loop", "it agrees with a loop", _mkr_loop),
    ),
    mutants=(
        Mutant(
            "any-difference",
            "A joint that is found in one of the two only is a mistake.",
            "You also count joints that are found in the generated frame alone. Those appeared; asked is what is missing.",
            (("real_found & ~generated_found", "real_found ^ generated_found"),),
        ),
        Mutant(
            "of-all-joints",
            "The rate is a share of all joints.",
            "You divide by the number of all joints. A joint that the real frame hides cannot get lost: divide by those "
            "found in the real frame.",
            (("(lost / joints)", "(lost / real_found.shape[1])"),),
        ),
        Mutant(
            "hidden-counts-as-lost",
            "What is not found in the generated frame is missing.",
            "You count joints that the real frame does not show either: an arm behind the back is not missing.",
            (("real_found & ~generated_found", "~generated_found"),),
        ),
        Mutant(
            "exchanged",
            "The order of the two does not matter.",
            "You count what the generated frame shows and the real one does not. Which of the two can lose something?",
            (("real_found & ~generated_found", "generated_found & ~real_found"),),
        ),
        Mutant(
            "kept-for-lost",
            "The rate says how many were found again.",
            "Yours is the share of joints that are still there. Missing is the rest.",
            (("real_found & ~generated_found", "real_found & generated_found"),),
        ),
        Mutant(
            "share-of-the-generated",
            "The generated frame is the whole.",
            "You divide by the joints of the generated frame. Losing 3 of 4 would be 3: more than everything. What is the "
            "whole, of which something gets lost?",
            (("joints = real_found", "joints = generated_found"),),
        ),
        Mutant(
            "all-joints-of-the-film",
            "A mean is a mean: all joints of all frames at once.",
            "You divide all lost joints of the film by all there were. Then frames with many joints count more. Take the "
            "share in each frame first.",
            (("(lost / joints)[joints > 0].mean()", "lost.sum() / joints.sum()"),),
        ),
        Mutant(
            "empty-frames-are-perfect",
            "Where there is nothing to lose, nothing was lost.",
            "A real frame without joints counts as a rate of 0 with you, and makes the film look better. It has nothing to "
            "say; leave it out.",
            (("(lost / joints)[joints > 0].mean()", "(lost / joints).nan_to_num().mean()"),),
        ),
    ),
    alternatives=(_mkr_by_loop, _mkr_by_kept, _mkr_by_nanmean),
    box="metrics",
)

# ------------------------------------------------------------------------------------------------------------------ AED


def _vectors(frames: int, dimension: int) -> tuple[Tensor, Tensor]:
    real = torch.randn(frames, dimension)
    return real, real + torch.rand(frames, 1) * torch.randn(frames, dimension)


def _aed_calls() -> Sequence[Call]:
    return (
        Call("5 frames with 3 random numbers each", _vectors(5, 3)),
        Call("4 frames with 6 random numbers each; squared", (*_vectors(4, 6), "squared")),
        Call("7 frames with 2 random numbers each; euclidean", (*_vectors(7, 2), "euclidean")),
    )


def _aed_hand(f: Function) -> None:
    real, made = torch.zeros(2, 2), torch.tensor([[0.6, 0.8], [0.0, 3.0]])
    tried = "the two frames of the lesson: differences (0.6, 0.8) and (0, 3)"
    expect(_came(f(real, made), tried), 2.0, "the lengths are 1 and 3, their mean is 2", tried)
    expect(f(real, made, "squared"), 5.0, 'form="squared": the mean of 1 and 9 is 5', tried)


def _aed_loop(f: Function) -> None:
    real, made = _vectors(5, 4)
    lengths = [
        math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
        for x, y in zip(real.tolist(), made.tolist(), strict=True)
    ]
    tried = "5 random frames with 4 numbers"
    expect(_came(f(real, made, "euclidean"), tried), _mean(lengths), "the mean length of the differences", tried)
    message = 'form="squared": the mean of the squared lengths'
    expect(f(real, made, "squared"), _mean([length**2 for length in lengths]), message, tried)


def _aed_units(f: Function) -> None:
    real, made = _vectors(6, 3)
    tried = "6 random frames, and the same with all numbers 3 times as large"
    once = _came(f(real, made), tried)
    expect(f(3 * real, 3 * made), 3 * once, "Three times as far apart is three times the distance", tried)
    expect(f(3 * real, 3 * made, "squared"), 9 * f(real, made, "squared"), "and nine times the squared one", tried)


def _aed_frames(f: Function) -> None:
    real = torch.zeros(2, 2)
    made = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    message = "Two frames that are off in opposite directions do not cancel: each is 1 off"
    expect(_came(f(real, made), "two frames"), 1.0, message, "differences (1, 0) and (-1, 0)")


def _aed_by_loop(real: Tensor, generated: Tensor, form: str = "euclidean") -> Tensor:
    power = 2 if form == "squared" else 1
    return torch.stack([torch.dist(a, b) ** power for a, b in zip(real, generated, strict=True)]).mean()


def _aed_by_product(real: Tensor, generated: Tensor, form: str = "euclidean") -> Tensor:
    gap = (real - generated).double()
    squared = torch.einsum("td,td->t", gap, gap)
    out: Tensor = (squared if form == "squared" else squared.sqrt()).mean().to(real.dtype)
    return out


def _aed_by_pairwise(real: Tensor, generated: Tensor, form: str = "euclidean") -> Tensor:
    apart: Tensor = torch.linalg.vector_norm(real - generated, dim=1)
    return {"euclidean": apart.mean(), "squared": apart.pow(2).mean()}[form]


AED = Exercise(
    id="embedding-distance",
    title="Average Euclidean distance, both forms",
    target="monkeynet_edu.metrics.distances:average_euclidean_distance",
    statement=(
        'Write `average_euclidean_distance(real, generated, form="euclidean")` for (T, D) and (T, D), one vector a frame: '
        'the mean over frames of how far apart the two vectors lie. `form="squared"`, as published, is the mean of the '
        "squared distance."
    ),
    level="blank page",
    hints=(
        "Each frame has one vector that says who is to be seen. Measure the length of the difference of the two vectors, "
        "frame by frame; then the mean.",
        "The difference is (T, D), its length (T,): sum the squares over dim=-1, take the root. One number comes out. "
        "`form` is a text: \"euclidean\" or \"squared\".",
        "`distance = (generated - real).norm(dim=-1)`, then `distance.mean()`, or `distance.square().mean()` for squared.",
    ),
    calls=_aed_calls,
    properties=(
        Property("by hand", "2, and squared 5", _aed_hand),
        Property("frames", "opposite frames do not cancel", _aed_frames),
        Property("units", "twice as far is twice the distance", _aed_units),
        Property("loop", "it agrees with loops", _aed_loop),
    ),
    mutants=(
        Mutant(
            "root-of-the-mean",
            "Mean and root can be exchanged.",
            "You take the root after the mean: lengths 1 and 3 become √5 = 2.24 instead of 2. The distance of each frame "
            "first, then the mean.",
            (("distance.mean()", "distance.square().mean().sqrt()"),),
        ),
        Mutant(
            "square-of-the-mean",
            "Mean and square can be exchanged.",
            'With `form="squared"` you square the mean: lengths 1 and 3 become 4 instead of 5. Square the distance of each '
            "frame first.",
            (("distance.square().mean()", "distance.mean().square()"),),
        ),
        Mutant(
            "forms-exchanged",
            "AED as defined is the published one.",
            'The two forms are exchanged: `form="squared"` is the one with the squares.',
            (('form == "squared"', 'form != "squared"'),),
        ),
        Mutant(
            "mean-over-numbers",
            "A distance is the root of the mean square.",
            "You average over the D numbers of a vector. Then the distance depends on how long the vectors are made. A "
            "length takes the sum of squares.",
            (("offset.norm(dim=-1)", "offset.square().mean(dim=-1).sqrt()"),),
        ),
        Mutant(
            "averaged-first",
            "The mean frame stands for all frames.",
            "You average over frames before you measure: two frames that are off in opposite directions cancel. Measure "
            "each frame.",
            (("generated - real", "(generated - real).mean(dim=0, keepdim=True)"),),
        ),
        Mutant(
            "city-block",
            "Distance is the sum of absolute differences.",
            "Your distance of (0.6, 0.8) is 1.4 instead of 1: you add up absolute values. *Euclidean* is the root of the "
            "sum of squares.",
            (("offset.norm(dim=-1)", "offset.abs().sum(dim=-1)"),),
        ),
        Mutant(
            "over-frames",
            "The first axis has the numbers.",
            "You take lengths along the *frames*. Each frame has a vector of D numbers: which axis has to go first?",
            (("offset.norm(dim=-1)", "offset.norm(dim=0)"),),
        ),
    ),
    alternatives=(_aed_by_loop, _aed_by_product, _aed_by_pairwise),
    box="metrics",
)

# -------------------------------------------------------------------------------------------------------------- Fréchet


def _cloud(dimension: int, seed: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of a random slanted cloud, float64."""
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(dimension, dimension, generator=random, dtype=torch.float64)
    points = torch.randn(6 * dimension, dimension, generator=random, dtype=torch.float64) @ mix
    return gaussian(points + torch.randn(dimension, generator=random, dtype=torch.float64))


def _frechet_calls() -> Sequence[Call]:
    return (
        Call("two random Gaussians in 3 dimensions", (*_cloud(3, 1), *_cloud(3, 2))),
        Call("two random Gaussians in 5 dimensions", (*_cloud(5, 3), *_cloud(5, 4))),
        Call("two random Gaussians in 2 dimensions", (*_cloud(2, 5), *_cloud(2, 6))),
    )


def _double(rows: list[Any]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def _frechet_hand(f: Function) -> None:
    one = (_double([1.0]), _double([[4.0]]), _double([4.0]), _double([[1.0]]))
    tried = "in one dimension: mean 1, variance 4; mean 4, variance 1"
    expect(_came(f(*one), tried), 10.0, "(1 - 4)² + (2 - 1)² = 10", tried)


def _frechet_turned_hand(f: Function) -> None:
    zero = _double([0.0, 0.0])
    lying, standing = _double([[9.0, 0.0], [0.0, 1.0]]), _double([[1.0, 0.0], [0.0, 9.0]])
    tried = "the same mean; one cloud lies (variances 9, 1), the other stands (1, 9)"
    expect(_came(f(zero, lying, zero, standing), tried), 8.0, "(3 - 1)² + (1 - 3)² = 8", tried)


def _frechet_same(f: Function) -> None:
    for dimension in (1, 4):
        mean, cov = _cloud(dimension, 7)
        tried = f"a random Gaussian in {dimension} dimensions, twice"
        expect(_came(f(mean, cov, mean, cov), tried), 0.0, "A Gaussian is at distance 0 from itself", tried)


def _frechet_pair(f: Function) -> None:
    (mean1, cov1), (mean2, cov2) = _cloud(2, 8), _cloud(2, 9)
    # In two dimensions tr(Σ₁Σ₂)^½ = √(tr Σ₁Σ₂ + 2 √det Σ₁Σ₂).
    product = cov1 @ cov2
    root = math.sqrt(float(product.trace()) + 2 * math.sqrt(float(torch.det(product))))
    wanted = float((mean1 - mean2).square().sum()) + float(cov1.trace() + cov2.trace()) - 2 * root
    tried = "two random slanted Gaussians in 2 dimensions"
    message = "For two slanted Gaussians in two dimensions the distance is known (tr R = √(tr Σ₁Σ₂ + 2 √det Σ₁Σ₂))"
    expect(_came(f(mean1, cov1, mean2, cov2), tried), wanted, message, tried)


def _frechet_scaled(f: Function) -> None:
    mean, cov = _cloud(4, 10)
    shift = _double([1.0, -2.0, 0.5, 0.0])
    tried = "a random Gaussian in 4 dimensions, and the same one 3 times as large and moved"
    # The nearest way from a point to its image is known: x goes to 3x + c.
    wanted = float((3 * mean + shift - mean).square().sum()) + 4 * float(cov.trace())
    message = "Enlarged n times, each direction's σ grows to nσ: (n - 1)² · tr Σ, beside the squared distance of the means"
    expect(_came(f(mean, cov, 3 * mean + shift, 9 * cov), tried), wanted, message, tried)


def _frechet_turned(f: Function) -> None:
    (mean1, cov1), (mean2, cov2) = _cloud(4, 11), _cloud(4, 12)
    turn, _ = torch.linalg.qr(_cloud(4, 13)[1])
    tried = "two random Gaussians in 4 dimensions, and both turned the same way"
    before = _came(f(mean1, cov1, mean2, cov2), tried)
    after = f(turn @ mean1, turn @ cov1 @ turn.T, turn @ mean2, turn @ cov2 @ turn.T)
    expect(after, before, "Turning both clouds together must not change their distance", tried)


def _frechet_both_ways(f: Function) -> None:
    one, other = _cloud(3, 14), _cloud(3, 15)
    tried = "two random Gaussians in 3 dimensions, in both orders"
    expect(_came(f(*one, *other), tried), f(*other, *one), "There and back is equally far", tried)


def _frechet_by_eigenvalues(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    values = torch.linalg.eigvals(cov1 @ cov2).real.clamp(min=0)
    out: Tensor = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * values.sqrt().sum()
    return out


def _frechet_by_scipy(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    from scipy.linalg import sqrtm

    cross = torch.as_tensor(sqrtm((cov1 @ cov2).double().numpy()).real, dtype=cov1.dtype)
    gap = mean1 - mean2
    return gap @ gap + torch.trace(cov1 + cov2 - 2 * cross)


def _frechet_by_singular_values(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    shared: Tensor = torch.linalg.svdvals(matrix_root(cov1) @ matrix_root(cov2)).sum()
    return torch.dist(mean1, mean2) ** 2 + cov1.diagonal().sum() + cov2.diagonal().sum() - 2 * shared


FRECHET = Exercise(
    id="frechet-distance",
    title="The Fréchet distance of two Gaussians",
    target="monkeynet_edu.metrics.frechet:frechet_distance",
    statement=(
        "Write `frechet_distance(mean1, cov1, mean2, cov2)`: means (D,), covariances (D, D), one number comes out: the "
        "squared distance of the means plus the trace of Σ₁ + Σ₂ - 2(Σ₁^½ Σ₂ Σ₁^½)^½. `matrix_root(matrix)` is given."
    ),
    level="blank page",
    hints=(
        "Two parts are added: how far apart the middles are, squared; and how differently the two clouds are spread. Only "
        "the second needs roots of matrices, and `matrix_root` takes them of *symmetric* matrices.",
        "Σ₁ is (D, D); its root is (D, D); root @ Σ₂ @ root is symmetric again, (D, D); its root is (D, D). `.trace()` "
        "adds up the diagonal: one number.",
        "`root = matrix_root(cov1)`, `cross = matrix_root(root @ cov2 @ root)`, and the result is "
        "`(mean1 - mean2).square().sum() + (cov1 + cov2 - 2 * cross).trace()`.",
    ),
    calls=_frechet_calls,
    properties=(
        Property("by hand", "10 in one dimension", _frechet_hand),
        Property("lying and standing", "8 for the two clouds of the lesson", _frechet_turned_hand),
        Property("itself", "a Gaussian is at distance 0 from itself", _frechet_same),
        Property("closed form", "two dimensions have a closed form", _frechet_pair),
        Property("enlarged", "enlarging n times costs (n - 1)² tr Σ", _frechet_scaled),
        Property("turned", "turning both changes nothing", _frechet_turned),
        Property("both ways", "there and back is equally far", _frechet_both_ways),
    ),
    mutants=(
        Mutant(
            "root-of-the-product",
            "matrix_root takes the root of any matrix.",
            "Σ₁Σ₂ is not symmetric, and `matrix_root` trusts that its argument is: it reads one triangle only, and what "
            "comes out is the root of something else. Σ₁^½ Σ₂ Σ₁^½ is symmetric.",
            (("root @ cov2 @ root", "cov1 @ cov2"),),
        ),
        Mutant(
            "product-of-roots",
            "The root of a product is the product of the roots.",
            "(Σ₁Σ₂)^½ = Σ₁^½Σ₂^½ holds for numbers, and for matrices that share their axes. Slanted clouds do not.",
            (("matrix_root(root @ cov2 @ root)", "root @ matrix_root(cov2)"),),
        ),
        Mutant(
            "diagonal-only",
            "A root is taken number by number.",
            "You take roots number by number; a matrix's root R has R @ R = matrix. Yours only sees the spread along the "
            "axes, not in which direction the clouds slant.",
            (("matrix_root(root @ cov2 @ root)", "(cov1 * cov2).clamp(min=0).sqrt()"),),
        ),
        Mutant(
            "once-only",
            "The cross term is counted once.",
            "Your Gaussian is not at distance 0 from itself. There Σ₁ + Σ₂ is 2Σ: how often does the root have to be "
            "taken away?",
            (("2 * cross", "cross"),),
        ),
        Mutant(
            "distance-of-the-means",
            "The first term is the distance of the means.",
            "Your first term is a distance, the second is made of variances, squared lengths. Square the first as well.",
            (("(mean1 - mean2).square().sum()", "(mean1 - mean2).norm()"),),
        ),
        Mutant(
            "means-only",
            "Two crowds with the same average are the same.",
            "You compare the middles alone: a lying and a standing cloud would be the same.",
            ((" + (cov1 + cov2 - 2 * cross).trace()", ""),),
        ),
        Mutant(
            "spread-only",
            "The covariances say it all.",
            "You compare the spreads alone: a cloud that is moved away as a whole stays at distance 0.",
            (("(mean1 - mean2).square().sum() + ", ""),),
        ),
        Mutant(
            "rooted",
            "A distance has a root at the end.",
            "Yours is the root of what is asked for. The Fréchet *distance* of the books has that root; the number called "
            "FID is its square.",
            (
                (
                    "(mean1 - mean2).square().sum() + (cov1 + cov2 - 2 * cross).trace()",
                    "((mean1 - mean2).square().sum() + (cov1 + cov2 - 2 * cross).trace()).clamp(min=0).sqrt()",
                ),
            ),
        ),
        Mutant(
            "sum-for-trace",
            "All numbers of the matrix are added up.",
            "You add up the whole matrix. The trace is the sum of the diagonal alone.",
            (("2 * cross).trace()", "2 * cross).sum()"),),
        ),
        Mutant(
            "roots-forgotten",
            "Sandwiching with Σ₁ is as good as with its root.",
            "You put Σ₂ between Σ₁ and Σ₁; it belongs between their *roots*. Check with one dimension: variances 4 and 1.",
            (("root @ cov2 @ root", "cov1 @ cov2 @ cov1"),),
        ),
    ),
    alternatives=(_frechet_by_eigenvalues, _frechet_by_scipy, _frechet_by_singular_values),
    box="metrics",
)

LESSON = Lesson(
    number="10",
    slug="metrics",
    title="Metrics",
    minutes=120,
    imports=IMPORTS,
    exercises=(AKD, MKR, AED, FRECHET),
)
