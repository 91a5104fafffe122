"""Lesson 02, U-Net and a first training: its exercises."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, Violation, expect

IMPORTS = """\
import copy

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu import layers, viz
from monkeynet_edu.course.reference import normalisation, parts
from monkeynet_edu.data import pairs, sprites
"""

Pixels = npt.NDArray[np.uint8]


def _normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _generators(count: int, first: int = 0) -> Iterable[np.random.Generator]:
    """As many seeded generators, each with numbers of its own."""
    return (np.random.default_rng([7, first + n]) for n in range(count))


# ---------------------------------------------------------------------------------------------------------- two frames


def _drawn(f: Function, length: int, draws: int, first: int = 0) -> npt.NDArray[np.int64]:
    """How often each (source, driving) was drawn: (length, length) counts.

    Raises:
        Violation: what came back is no two frames of the clip.
    """
    counts = np.zeros((length, length), dtype=np.int64)
    for rng in _generators(draws, first):
        counts[_two_numbers(f, length, rng)] += 1
    return counts


def _two_numbers(f: Function, length: int, rng: np.random.Generator) -> tuple[int, int]:
    """One draw, held to be two frames of the clip."""
    came = f(length, rng)
    try:
        source, driving = (int(i) for i in came)
    except (TypeError, ValueError):
        raise Violation("two numbers come back", f"a clip of {length} frames", "(2, 4)", repr(came)) from None
    if not (0 <= source < length and 0 <= driving < length):
        said = f"indices from 0 to {length - 1}"
        raise Violation("both are frames of the clip", f"a clip of {length} frames", said, f"({source}, {driving})")
    return source, driving


def _of_four(f: Function) -> npt.NDArray[np.float64]:
    """Counts of 5000 draws from a clip of 4 frames, one generator for all; 1 is a sixth of them."""
    counts, rng = np.zeros((4, 4)), np.random.default_rng(7)
    for _ in range(5000):
        counts[_two_numbers(f, 4, rng)] += 1
    return counts * 6 / 5000


def _see_two_frames(f: Function, call: Call) -> list[Tensor]:
    """What does not depend on how chance is used: which pairs come, which too often or too seldom, repeatability.

    One standard deviation of a share is 0.03 of it.
    """
    length, shares = call.args[0], _of_four(f)
    again = [_two_numbers(f, length, rng) for _ in range(2) for rng in _generators(12)]
    marks = np.stack([shares > 0, shares > 1.7, shares < 0.875])
    return [torch.from_numpy(seen).double() for seen in (_drawn(f, length, 700) > 0, marks)] + [
        torch.tensor(float(again[:12] == again[12:]))
    ]


def _frames_differ(f: Function) -> None:
    counts = _drawn(f, 3, 60)
    message = "the two frames are never the same one: a frame paired with itself teaches nothing about motion"
    expect(int(np.trace(counts)), 0, message, "60 draws from a clip of 3 frames, counted: both frames the same")


def _frames_in_order(f: Function) -> None:
    counts = _drawn(f, 5, 80)
    message = "the earlier frame, the source, comes first"
    expect(int(np.tril(counts, -1).sum()), 0, message, "80 draws from a clip of 5 frames, counted: later one first")


def _frames_all(f: Function) -> None:
    counts = _drawn(f, 4, 300)
    for source, driving in ((a, b) for a in range(4) for b in range(a + 1, 4)):
        if counts[source, driving] == 0:
            message = f"every pair can be drawn; ({source}, {driving}) never was"
            raise Violation(message, "300 draws from a clip of 4 frames", "about 50", "0")


def _frames_fair(f: Function) -> None:
    shares = _of_four(f)
    for source, driving in ((a, b) for a in range(4) for b in range(a + 1, 4)):
        if not 0.86 <= shares[source, driving] <= 1.14:  # more than four standard deviations
            message = f"all 6 pairs are equally likely; ({source}, {driving}) is not"
            came = f"{5000 / 6 * shares[source, driving]:.0f}"
            raise Violation(message, "5000 draws from a clip of 4 frames", "about 833", came)


def _frames_repeat(f: Function) -> None:
    one, other = (_drawn(f, 30, 40) for _ in range(2))
    if (one != other).any():
        message = "the same generator gives the same frames: all chance comes from `rng`"
        raise Violation(message, "40 seeded draws, twice", "the same 40 pairs", "other pairs")


def _frames_of_two(f: Function) -> None:
    counts = _drawn(f, 2, 5)
    expect(int(counts[0, 1]), 5, "a clip of two frames has one pair, (0, 1)", "5 draws from a clip of 2 frames")


def _two_frames_by_permutation(length: int, rng: np.random.Generator) -> tuple[int, int]:
    order = rng.permutation(length)
    return int(min(order[0], order[1])), int(max(order[0], order[1]))


def _two_frames_by_rejection(length: int, rng: np.random.Generator) -> tuple[int, int]:
    while True:
        a, b = (int(rng.integers(length)) for _ in range(2))
        if a < b:
            return a, b


def _two_frames_from_a_list(length: int, rng: np.random.Generator) -> tuple[int, int]:
    every = [(a, b) for a in range(length) for b in range(a + 1, length)]
    return every[int(rng.random() * len(every))]


TWO_FRAMES = Exercise(
    id="two-frames",
    title="Two frames of a clip",
    target="monkeynet_edu.data.pairs:two_frames",
    statement=(
        "Draw two *different* frames of a clip, the earlier one first; every pair is equally likely, and all chance comes "
        "from `rng`."
    ),
    level="blanks",
    steps=(
        "two numbers below `length`, not the same one twice",
        "put them in order",
    ),
    blanks=("rng.choice(length, size=2, replace=False)", "sorted(drawn.tolist())"),
    hints=(
        "Think of a bag with one numbered ball for every frame: you draw two balls. Do you put the first back before you "
        "draw the second? And in which order do you read them out?",
        "`rng.choice` can draw several numbers at once and returns an array (2,); `sorted` of its list gives the smaller "
        "one first.",
        "`rng.choice(length, size=2, replace=False)` draws without putting back; then `sorted(drawn.tolist())`.",
    ),
    calls=lambda: [
        Call("clips of 4 and of 8 frames, many draws", (8, np.random.default_rng(0))),
    ],
    observe=_see_two_frames,
    properties=(
        Property("different", "the two frames are never the same one", _frames_differ),
        Property("in order", "the earlier frame comes first", _frames_in_order),
        Property("all pairs", "every pair can be drawn", _frames_all),
        Property("fair", "all pairs are equally likely", _frames_fair),
        Property("repeatable", "the same generator gives the same frames", _frames_repeat),
        Property("shortest", "a clip of two frames has one pair", _frames_of_two),
    ),
    mutants=(
        Mutant(
            "with-replacement",
            "Two draws from the clip are two frames (the published sampler draws like this).",
            "Sometimes both numbers are the same. What would the network learn from a picture that is to be moved to where "
            "it already is? Draw without putting back. (The authors' sampler has this slip.)",
            (("replace=False", "replace=True"),),
        ),
        Mutant(
            "unordered",
            "The order of the two does not matter.",
            "Half of your pairs run backwards in time. The sampler decides about that in a later step, with a probability "
            "of its own; here the earlier frame is the source.",
            (("sorted(drawn.tolist())", "drawn.tolist()"),),
        ),
        Mutant(
            "later-first",
            "The driving frame comes first.",
            "All of your pairs run backwards in time. Which of the two frames is the picture that will be moved, and which "
            "one says where to?",
            (("return first, second", "return second, first"),),
        ),
        Mutant(
            "neighbours",
            "A pair is a frame and the next one, as in optical flow.",
            "Your frames always follow each other directly. Between neighbours almost nothing moves; what would the "
            "network then know of large motions?",
            (
                ("rng.choice(length, size=2, replace=False)", "rng.choice(length - 1, size=2, replace=False)"),
                ("return first, second", "return first, first + 1"),
            ),
        ),
        Mutant(
            "own-chance",
            "Any random number will do.",
            "Ask twice with the same generator and you get other frames: chance comes from somewhere else than `rng`. "
            "Then no training can be repeated or resumed.",
            (("rng.choice", "np.random.default_rng().choice"),),
        ),
        Mutant(
            "last-one-missing",
            "The largest index is length - 2.",
            "One frame is never drawn. `rng.choice(n)` draws from 0 … n-1 already: who subtracts one more?",
            (("rng.choice(length, size=2", "rng.choice(length - 1, size=2"),),
        ),
        Mutant(
            "moved-on-by-one",
            "Where both numbers are the same, the next frame can be taken.",
            "You draw with putting back and move on by one where both are the same. All those draws become neighbours, "
            "so neighbours come half as often again as other pairs. Draw without putting back: then there is nothing to "
            "repair.",
            (("size=2, replace=False)", "size=2)\n    drawn[1] = (drawn[1] + (drawn[0] == drawn[1])) % length"),),
        ),
        Mutant(
            "second-after-first",
            "First the source, then any later frame: that is fair.",
            "You draw the first frame and then one of the later ones. After a late first frame few are left, so each of "
            "those pairs comes too often: of 4 frames, how likely is (2, 3), and how likely (0, 1)? Draw both at once, "
            "then put them in order.",
            (
                ("rng.choice(length, size=2, replace=False)", "int(rng.integers(length - 1))"),
                ("sorted(drawn.tolist())", "drawn, int(rng.integers(drawn + 1, length))"),
            ),
        ),
    ),
    alternatives=(_two_frames_by_permutation, _two_frames_by_rejection, _two_frames_from_a_list),
    box="pairs",
)

# ----------------------------------------------------------------------------------------------------------- flip pair

_OUTCOMES = (
    "as it was",
    "swapped in time",
    "both mirrored",
    "swapped and both mirrored",
    "only the source mirrored",
    "only the driving frame mirrored",
    "upside down",
    "red and blue swapped",
    "twice the driving frame",
    "twice the source",
    "something else",
)


def _noise_pair(seed: int = 3) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)


def _outcome(pair: Pixels, came: object) -> int:
    """Which of `_OUTCOMES` happened to a pair."""
    source, driving = pair
    known = (
        (source, driving),
        (driving, source),
        (source[:, ::-1], driving[:, ::-1]),
        (driving[:, ::-1], source[:, ::-1]),
        (source[:, ::-1], driving),
        (source, driving[:, ::-1]),
        (source[::-1], driving[::-1]),
        (source[..., ::-1], driving[..., ::-1]),
        (driving, driving),
        (source, source),
    )
    array = np.asarray(came)
    return next((i for i, two in enumerate(known) if np.array_equal(array, np.stack(two))), len(known))


def _outcomes(f: Function, time_flip: float, horizontal_flip: float, draws: int) -> Tensor:
    """Share of each outcome."""
    pair, counts = _noise_pair(), torch.zeros(len(_OUTCOMES))
    for rng in _generators(draws):
        counts[_outcome(pair, f(pair.copy(), time_flip, horizontal_flip, rng))] += 1
    return counts / draws


def _see_flip(f: Function, call: Call) -> Tensor:
    """Which outcomes are common: the same for every right use of chance."""
    return (_outcomes(f, call.args[1], call.args[2], 150) > 0.04).double()


def _expect_outcomes(f: Function, flips: tuple[float, float], allowed: tuple[int, ...], message: str) -> None:
    shares = _outcomes(f, *flips, 60)
    for i, share in enumerate(shares.tolist()):
        if share and i not in allowed:
            tried = f"time_flip={flips[0]}, horizontal_flip={flips[1]}, 60 draws"
            raise Violation(message, tried, " or ".join(_OUTCOMES[a] for a in allowed), _OUTCOMES[i])


def _flip_off(f: Function) -> None:
    _expect_outcomes(f, (0.0, 0.0), (0,), "with both probabilities 0 nothing happens")


def _flip_time(f: Function) -> None:
    _expect_outcomes(f, (1.0, 0.0), (1,), "with time_flip 1 source and driving frame always change places")


def _flip_together(f: Function) -> None:
    message = "a mirror turns both frames of a pair or none: one mirrored frame would be a motion that never happened"
    _expect_outcomes(f, (0.0, 0.5), (0, 2), message)


def _flip_always(f: Function) -> None:
    _expect_outcomes(f, (0.0, 1.0), (2,), "with horizontal_flip 1 both frames are always mirrored left to right")


def _flip_never_both(f: Function) -> None:
    _expect_outcomes(f, (1.0, 1.0), (1,), "the mirror is drawn only where time was not flipped")


def _flip_rates(f: Function) -> None:
    for in_time, mirror in ((0.2, 0.5), (0.5, 0.5)):
        shares = _outcomes(f, in_time, mirror, 400)
        for index, rate in ((1, in_time), (2, (1 - in_time) * mirror)):
            if abs(float(shares[index]) - rate) > 0.1:
                said = f"{_OUTCOMES[index]} in about {rate:.0%} of the pairs"
                if index == 2:
                    said += ": where time was not flipped, a new number decides about the mirror"
                tried = f"time_flip={in_time}, horizontal_flip={mirror}, 400 draws"
                raise Violation(said, tried, f"{rate:.0%}", f"{shares[index]:.0%}")


def _flip_kind(f: Function) -> None:
    """An array of two frames comes back, whatever happens, and the caller's array stays as it was."""
    for flips in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        pair, tried = _noise_pair(), f"time_flip={flips[0]:g}, horizontal_flip={flips[1]:g}"
        came = f(pair, *flips, np.random.default_rng(0))
        if not isinstance(came, np.ndarray):
            message = "one array with both frames comes back, as pair is one"
            raise Violation(message, tried, "array (2, 4, 5, 3)", f"a {type(came).__name__}")
        if came.shape != pair.shape or came.dtype != pair.dtype:
            message = "the array that comes back has the shape and type of the pair"
            raise Violation(message, tried, f"{pair.shape} {pair.dtype}", f"{came.shape} {came.dtype}")
        if not np.array_equal(pair, _noise_pair()):
            message = (
                "your function changes the pair that it was given: those are frames of the clip itself. Return a view or "
                "a copy; not pair[…] = …"
            )
            raise Violation(message, tried, "the same numbers as before the call", "other numbers")


def _flip_repeat(f: Function) -> None:
    one, other = (
        [_outcome(_noise_pair(), f(_noise_pair(), 0.5, 0.5, rng)) for rng in _generators(40)] for _ in range(2)
    )
    if one != other:
        message = "the same generator gives the same flips: all chance comes from `rng`"
        raise Violation(message, "40 seeded pairs, twice", "the same flips", "other flips")


def _flip_by_stack(pair: Pixels, time_flip: float, horizontal_flip: float, rng: np.random.Generator) -> Pixels:
    source, driving = pair
    if rng.random() < time_flip:
        return np.stack([driving, source])
    if rng.random() < horizontal_flip:
        return np.stack([np.fliplr(source), np.fliplr(driving)])
    return pair.copy()


def _flip_by_one_number(pair: Pixels, time_flip: float, horizontal_flip: float, rng: np.random.Generator) -> Pixels:
    chance = rng.uniform()
    if chance < time_flip:
        return np.flip(pair, 0)
    if chance < time_flip + (1 - time_flip) * horizontal_flip:
        return np.flip(pair, 2)
    return pair


def _flip_by_loops(pair: Pixels, time_flip: float, horizontal_flip: float, rng: np.random.Generator) -> Pixels:
    in_time = bool(rng.random() < time_flip)
    mirrored = not in_time and bool(rng.random() < horizontal_flip)
    out = np.empty_like(pair)
    width = pair.shape[2]
    for i in range(2):
        for column in range(width):
            out[i, :, column] = pair[1 - i if in_time else i, :, width - 1 - column if mirrored else column]
    return out


_TIME = "if rng.random() < time_flip:\n        return pair[::-1]\n"
_MIRROR = "    if rng.random() < horizontal_flip:\n        return pair[:, :, ::-1]\n"

FLIP_PAIR = Exercise(
    id="flip-pair",
    title="Flipping a pair",
    target="monkeynet_edu.data.pairs:flip_pair",
    statement=(
        "With probability `time_flip`, return the pair with its two frames swapped. Otherwise, with probability "
        "`horizontal_flip`, return it mirrored left to right. Otherwise return it as it is."
    ),
    level="stub",
    steps=(
        "a number in [0, 1) from rng.random() is below p with probability p: where it is below time_flip, swap the frames",
        "a new number for the mirror: one decision for the pair, not one for each frame",
        "no flip: the pair itself",
    ),
    hints=(
        "Who decides whether a frame is mirrored, the frame or the pair? Ask yourself what the motion from source to "
        "driving frame looks like in each case.",
        "`pair` has the axes (frame, row, column, colour). Swapping the two frames reverses axis 0; mirroring left to "
        "right reverses the axis that counts columns.",
        "`pair[::-1]` swaps the frames, `pair[:, :, ::-1]` mirrors both; `if rng.random() < time_flip:` decides.",
    ),
    calls=lambda: [
        Call("both flips with probability ½, 150 draws", (_noise_pair(), 0.5, 0.5, np.random.default_rng(0))),
        Call("always mirrored", (_noise_pair(), 0.0, 1.0, np.random.default_rng(0))),
        Call("time always flipped", (_noise_pair(), 1.0, 0.5, np.random.default_rng(0))),
    ],
    observe=_see_flip,
    properties=(
        Property("off", "with both probabilities 0 nothing happens", _flip_off),
        Property("time", "swapping in time exchanges source and driving frame", _flip_time),
        Property("together", "both frames are mirrored or none", _flip_together),
        Property("mirror", "the mirror exchanges left and right", _flip_always),
        Property("one at most", "the mirror is drawn only where time was not flipped", _flip_never_both),
        Property("rates", "each flip comes with its probability", _flip_rates),
        Property("repeatable", "the same generator gives the same flips", _flip_repeat),
        Property("array", "one array with both frames comes back, and the pair itself is not changed", _flip_kind),
    ),
    mutants=(
        Mutant(
            "separately",
            "Augmentation is drawn for each picture, as when a classifier is trained.",
            "In some of your pairs one frame is mirrored and the other is not. What would the network have to believe "
            "about how the figure moved between them? Draw once for the pair.",
            (
                (
                    _MIRROR,
                    "    pair = np.stack([x[:, ::-1] if rng.random() < horizontal_flip else x for x in pair])\n",
                ),
            ),
        ),
        Mutant(
            "source-only",
            "The driving frame is what the network has to reach, so it must not be touched.",
            "You mirror the source and leave the driving frame. The two then show a motion that never happened. "
            "Whatever is done to one frame of a pair is done to both.",
            (("return pair[:, :, ::-1]", "return np.stack([pair[0, :, ::-1], pair[1]])"),),
        ),
        Mutant(
            "upside-down",
            "Axis 1 is x.",
            "Your figures stand on their heads. The axes are (frame, row, column, colour): reversing rows exchanges top "
            "and bottom.",
            (("pair[:, :, ::-1]", "pair[:, ::-1]"),),
        ),
        Mutant(
            "colours",
            "The last axis is the column.",
            "The figures stand where they stood, but red has become blue: the last axis holds the colours. Which one holds "
            "the columns?",
            (("pair[:, :, ::-1]", "pair[..., ::-1]"),),
        ),
        Mutant(
            "both-flips",
            "The two flips are drawn independently.",
            "Some of your pairs are swapped in time *and* mirrored. The published recipe draws the mirror only where time "
            "was not flipped: be done as soon as you have swapped.",
            (("return pair[::-1]", "pair = pair[::-1]"),),
        ),
        Mutant(
            "one-number",
            "One random number can decide about both flips.",
            "You ask the same number twice. Where it was not below `time_flip`, it is hardly ever below "
            "`horizontal_flip` (with ½ and ½ never). A second decision needs a second number.",
            (
                ("if rng.random() < time_flip:", "chance = rng.random()\n    if chance < time_flip:"),
                ("if rng.random() < horizontal_flip:", "if chance < horizontal_flip:"),
            ),
        ),
        Mutant(
            "one-number-added",
            "Probabilities of two flips are added.",
            "With ½ and ½ none of your pairs stays as it was. The mirror is drawn among the pairs that time left alone: "
            "half of those, not half of all. The easiest way to that is a new number.",
            (
                ("if rng.random() < time_flip:", "chance = rng.random()\n    if chance < time_flip:"),
                ("if rng.random() < horizontal_flip:", "if chance < time_flip + horizontal_flip:"),
            ),
        ),
        Mutant(
            "views-swapped",
            "a, b = b, a swaps the frames of an array.",
            "Both frames have become the same one. `pair[0]` and `pair[1]` are views into the array: as soon as the first "
            "is written, the old one is gone. (And the clip's own frames are overwritten.) A slice gives the frames in "
            "the other order without writing anything.",
            (("return pair[::-1]", "pair[0], pair[1] = pair[1], pair[0]\n        return pair"),),
        ),
        Mutant(
            "mirror-first",
            "It does not matter which flip is drawn first.",
            "You draw the mirror first, and time only where nothing was mirrored. With `time_flip` 1 every pair should "
            "be swapped in time: which one has to be drawn first?",
            (
                (_TIME, _MIRROR.lstrip()),
                (f"{_MIRROR}    return pair\n", f"    {_TIME}    return pair\n"),
            ),
        ),
    ),
    alternatives=(_flip_by_stack, _flip_by_one_number, _flip_by_loops),
    box="pairs",
)

# ---------------------------------------------------------------------------------------------------------- batch norm


def _norm_call(training: bool) -> Call:
    x = 3 * _normal(4, 3, 3, 5, seed=4) + torch.tensor([5.0, -2.0, 0.5])[:, None, None]
    kept = torch.tensor([4.0, 1.0, 2.0]), torch.tensor([2.0, 9.0, 0.5])
    learned = torch.tensor([1.5, 0.5, -2.0]), torch.tensor([0.3, 1.0, -1.0])
    said = "a batch of 4 pictures with 3 channels, " + ("while training" if training else "after training")
    return Call(said, (x, *kept, *learned, training))


def _plain(channels: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Kept mean 0 and variance 1, weight 1 and bias 0."""
    zeros, ones = torch.zeros(channels), torch.ones(channels)
    return zeros, ones, ones, zeros


def _norm_by_hand(f: Function) -> None:
    x = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
    message = "1 and 3 have mean 2 and variance 1 (the mean squared distance from it), so they become -1 and 1"
    expect(f(x, *_plain(), True).flatten(), [-1.0, 1.0], message, "two pictures of one pixel, 1 and 3, in training", 1e-3)


def _norm_in_training(f: Function) -> None:
    x, *_ = _norm_call(True).args
    out = f(x, *_plain(3), True)
    message = "while training, every channel comes out with mean 0 over the batch and all positions"
    expect(out.transpose(0, 1).flatten(1).mean(1), [0.0] * 3, message, _norm_call(True).said)
    squares = out.transpose(0, 1).flatten(1).square().mean(1)
    expect(squares, [1.0] * 3, "while training, the mean square of every channel is 1", _norm_call(True).said, 1e-3)


def _norm_afterwards(f: Function) -> None:
    x = torch.tensor([6.0, 10.0]).reshape(1, 1, 1, 2)
    kept = torch.tensor([2.0]), torch.tensor([16.0]), torch.tensor([1.0]), torch.tensor([0.0])
    message = "after training the kept numbers are used: (6 - 2)/√16 = 1 and (10 - 2)/√16 = 2"
    expect(f(x, *kept, False).flatten(), [1.0, 2.0], message, "6 and 10, kept mean 2 and variance 16", 1e-4)


def _norm_alone(f: Function) -> None:
    x, *rest = _norm_call(False).args
    message = "after training a picture comes out the same alone and in a batch"
    expect(f(x[:1], *rest), f(x, *rest)[:1], message, "the first of 4 pictures, alone and with the others")
    x, *rest = _norm_call(True).args
    if bool((f(x[:1], *rest) - f(x, *rest)[:1]).abs().max() < 1e-3):
        message = "while training, the other pictures of the batch have a say in what comes out"
        raise Violation(message, "the first of 4 pictures, alone and with the others", "two results", "the same result")


def _norm_learned(f: Function) -> None:
    x = torch.tensor([6.0, 10.0]).reshape(1, 1, 1, 2)
    kept = torch.tensor([4.0]), torch.tensor([4.0]), torch.tensor([10.0]), torch.tensor([0.5])
    message = "the normalised values 1 and 3 are multiplied by the weight 10, then the bias 0.5 is added"
    expect(f(x, *kept, False).flatten(), [10.5, 30.5], message, "6 and 10, kept mean and variance 4", 1e-4)


def _norm_constant(f: Function) -> None:
    x = torch.full((2, 1, 2, 2), 7.0)
    expect(f(x, *_plain(), True), torch.zeros(2, 1, 2, 2), "a channel without any variation becomes 0, not NaN", "all 7")
    zeros, ones = torch.zeros(1), torch.ones(1)
    message = "with variance 0, the distance from the mean is divided by √0.00001, which makes 0.001 to 0.316"
    expect(f(torch.full((1, 1, 1, 1), 1e-3), zeros, zeros, ones, zeros, False).flatten(), [0.3162], message, "0.001")


def _norm_loops(f: Function) -> None:
    for call in (_norm_call(True), _norm_call(False)):
        x, kept_mean, kept_var, weight, bias, training = call.args
        right = torch.empty_like(x)
        for c in range(x.shape[1]):
            values = x[:, c].flatten().tolist()
            mean = sum(values) / len(values) if training else float(kept_mean[c])
            var = sum((v - mean) ** 2 for v in values) / len(values) if training else float(kept_var[c])
            right[:, c] = (x[:, c] - mean) / math.sqrt(var + 1e-5) * weight[c] + bias[c]
        expect(f(*call.args), right, "each channel: minus its mean, divided by √(variance + 1e-5)", call.said)


def _norm_by_einsum(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, training: bool) -> Tensor:
    if training:
        mean = torch.einsum("bchw->c", x) / (x.numel() / x.shape[1])
        var = torch.einsum("bchw->c", (x - mean.view(1, -1, 1, 1)) ** 2) / (x.numel() / x.shape[1])
    scale = weight * (var + 1e-5) ** -0.5
    return x * scale.view(1, -1, 1, 1) + (bias - mean * scale).view(1, -1, 1, 1)


def _norm_in_double(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, training: bool) -> Tensor:
    wide = x.double().transpose(0, 1)  # (C, B, H, W)
    if training:
        var, mean = torch.var_mean(wide, dim=(1, 2, 3), unbiased=False)
    shape = (-1, 1, 1, 1)
    out = (wide - mean.double().view(shape)) / (var.double().view(shape) + 1e-5).sqrt()
    return (out * weight.double().view(shape) + bias.double().view(shape)).transpose(0, 1).to(x.dtype)


def _norm_by_torch(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, training: bool) -> Tensor:
    if training:
        return F.batch_norm(x, None, None, weight, bias, training=True)
    return F.batch_norm(x, mean, var, weight, bias)


BATCH_NORM = Exercise(
    id="batch-norm",
    title="Batch norm",
    target="monkeynet_edu.course.reference.normalisation:batch_norm",
    statement=(
        "Bring every channel to mean 0 and variance 1, then multiply by `weight` and add `bias`. While training, mean and "
        "variance are those of the batch; afterwards the kept ones."
    ),
    level="blanks",
    steps=(
        "in training: mean and variance of each channel over pictures, rows and columns (correction=0 divides by the "
        "number of values); afterwards: the kept ones",
        "subtract the mean; [:, None, None] lines a number per channel up with (B, C, H, W)",
        "divide by the root of variance + 1e-5, so that a constant channel does not divide by zero",
        "what was learned: multiply and add",
    ),
    blanks=(
        "x.mean(dim=(0, 2, 3))",
        "running_mean, running_var",
        "torch.sqrt(var + 1e-5)",
        "normalised * weight[:, None, None] + bias[:, None, None]",
    ),
    hints=(
        "While training, a channel is compared with itself in the other pictures of the batch. Afterwards there may be no "
        "other pictures: where do mean and variance come from then?",
        "Mean and variance are numbers per channel, shape (C,). So the mean goes over the axes 0 (pictures), 2 (rows) and "
        "3 (columns).",
        "`x.mean(dim=(0, 2, 3))`; afterwards `running_mean, running_var`; divide by `torch.sqrt(var + 1e-5)`; at the "
        "end `normalised * weight[:, None, None] + bias[:, None, None]`.",
    ),
    calls=lambda: [_norm_call(True), _norm_call(False)],
    properties=(
        Property("by hand", "1 and 3 become -1 and 1", _norm_by_hand),
        Property("in training", "every channel of a batch comes out with mean 0 and mean square 1", _norm_in_training),
        Property("afterwards", "after training the kept mean and variance are used", _norm_afterwards),
        Property("alone", "after training a picture does not depend on the others of its batch", _norm_alone),
        Property("learned", "the learned weight multiplies, the learned bias is added", _norm_learned),
        Property("constant", "a constant channel becomes 0, not NaN", _norm_constant),
        Property("definition", "each channel: minus its mean, divided by the root of its variance", _norm_loops),
    ),
    mutants=(
        Mutant(
            "always-the-batch",
            "Batch norm normalises the batch, in training and afterwards alike.",
            "After training a picture comes out differently depending on which others are in its batch, and alone it "
            "differs again. What are the kept averages for?",
            (("if training:", "if True:"),),
        ),
        Mutant(
            "never-the-batch",
            "The kept averages are used in training too.",
            "While training you use the kept averages. At the first step those are just 0 and 1: nothing would be "
            "normalised. Whose mean is taken while training?",
            (("if training:", "if False:"),),
        ),
        Mutant(
            "all-channels-alike",
            "One mean and one variance for the whole batch.",
            "You take one mean over all channels. A channel that measures edges and one that measures brightness have "
            "nothing to do with each other: each has its own.",
            (
                ("x.mean(dim=(0, 2, 3))", "x.mean().expand(x.shape[1])"),
                ("x.var(dim=(0, 2, 3), correction=0)", "x.var(correction=0).expand(x.shape[1])"),
            ),
        ),
        Mutant(
            "variance-for-root",
            "Dividing by the variance makes it 1.",
            "Values twice as large have a variance four times as large. What do you have to divide by so that the variance "
            "becomes 1?",
            (("torch.sqrt(var + 1e-5)", "(var + 1e-5)"),),
        ),
        Mutant(
            "sample-variance",
            "The variance divides by n - 1.",
            "Your variance divides by the number of values minus one, which is torch's default. Batch norm divides by "
            "their number: 1 and 3 have the variance ((1-2)² + (3-2)²)/2 = 1.",
            (("correction=0", "correction=1"),),
        ),
        Mutant(
            "bias-first",
            "The bias is added before the weight multiplies.",
            "You add the bias before you multiply. With weight 10 and bias 0.5 a normalised 1 should become 10·1 + 0.5.",
            (
                (
                    "normalised * weight[:, None, None] + bias[:, None, None]",
                    "(normalised + bias[:, None, None]) * weight[:, None, None]",
                ),
            ),
        ),
        Mutant(
            "kept-exchanged",
            "The kept variance comes first.",
            "After training you subtract the kept variance and divide by the root of the kept mean (of a negative one: "
            "NaN). In which order do `mean` and `var` stand on the left?",
            (("mean, var = running_mean, running_var", "mean, var = running_var, running_mean"),),
        ),
    ),
    alternatives=(_norm_by_einsum, _norm_in_double, _norm_by_torch),
    differentiable=("x", "weight", "bias"),
    box="unet",
)

# --------------------------------------------------------------------------------------------------------- down and up


def _block(inputs: int, outputs: int, seed: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution and a batch norm that has already seen something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        conv, norm = nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
        norm(conv(torch.randn(4, inputs, 6, 6) + 1))
    return conv, norm


def _see_block(f: Function, call: Call) -> list[Tensor]:
    """Result and gradient while training, and the result afterwards, each with fresh copies of the modules."""
    *given, conv, norm = call.args
    seen: list[Tensor] = []
    for training in (True, False):
        modules = [copy.deepcopy(module).train(training) for module in (conv, norm)]
        maps = [x.clone().requires_grad_() for x in given]
        out = f(*maps, *modules)
        if not isinstance(out, Tensor):
            message = "Your function returned nothing. Is there a `return`?" if out is None else "a tensor comes back"
            raise Violation(message, call.said, "a tensor", type(out).__name__)
        seen.append(out.detach())
        if training:
            leaves = [*maps, modules[0].weight]
            grads: Iterable[Tensor | None] = [None] * len(leaves)
            if out.requires_grad:
                grads = torch.autograd.grad(out.square().sum(), leaves, allow_unused=True)
            seen += [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, grads, strict=True)]
    return seen


def _simple(factor: float, shift: float) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution that multiplies by ``factor``, and a norm (after training) that adds ``shift``."""
    conv, norm = nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.BatchNorm2d(1, eps=0.0).eval()
    with torch.no_grad():
        conv.weight.zero_()[0, 0, 1, 1] = factor
        norm.bias.fill_(shift)
    return conv, norm


_FOUR = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]


def _down_by_hand(f: Function) -> None:
    message = (
        "×2 gives 2, 4, 6, 8; the norm's -5 gives -3, -1, 1, 3; ReLU gives 0, 0, 1, 3; the mean of the four is 1"
    )
    with torch.no_grad():
        out = f(_FOUR, *_simple(2.0, -5.0))
    expect(out.flatten(), [1.0], message, "[[1, 2], [3, 4]], a convolution that doubles, a norm that subtracts 5")


def _down_halves(f: Function) -> None:
    conv, norm = _block(3, 5, 1)
    out = f(_normal(2, 3, 6, 10), conv, norm)
    expect(list(out.shape), [2, 5, 3, 5], "height and width are halved, channels become the convolution's", "(2, 3, 6, 10)")


def _down_loops(f: Function) -> None:
    conv, norm = _block(2, 3, 2)
    x = _normal(1, 2, 4, 6, seed=5)
    with torch.no_grad():
        full = norm.eval()(conv(x))
        right = torch.zeros(1, 3, 2, 3)
        for c in range(3):
            for i in range(2):
                for j in range(3):
                    four = full[0, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten().tolist()
                    right[0, c, i, j] = sum(max(v, 0.0) for v in four) / 4
        expect(f(x, conv, norm), right, "every value is the mean of four: ReLU first, then the mean", "a 4×6 map")


def _down_learns(f: Function) -> None:
    conv, norm = _block(2, 3, 3)
    before = int(norm.num_batches_tracked or 0)
    out = f(_normal(2, 2, 4, 4), conv.train(), norm.train())
    if not out.requires_grad:
        raise Violation("a gradient reaches the convolution", "in training", "a gradient", "none: cut from the graph")
    out.square().sum().backward()
    if conv.weight.grad is None or norm.weight.grad is None:
        raise Violation("a gradient reaches convolution and norm", "in training", "a gradient", "none")
    seen = int(norm.num_batches_tracked or 0) - before
    expect(seen, 1, "the norm sees the batch once: its kept averages move one step", "one call in training")


def _down_by_reshape(x: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    y = norm(conv(x)).clamp(min=0)
    b, c, h, w = y.shape
    four: Tensor = y.reshape(b, c, h // 2, 2, w // 2, 2).mean(dim=(3, 5))
    return four


def _down_by_slices(x: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    y = torch.relu(norm(conv(x)))
    return (y[..., ::2, ::2] + y[..., 1::2, ::2] + y[..., ::2, 1::2] + y[..., 1::2, 1::2]) / 4


def _down_in_double(x: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    y = nn.ReLU()(norm(conv(x))).double()
    return nn.AvgPool2d(2)(y).to(x.dtype)  # type: ignore[no-any-return]


DOWN = Exercise(
    id="down",
    title="One step down",
    target="monkeynet_edu.layers:down",
    statement="Convolution, then norm, then ReLU, then the mean of every 2×2 block: one step down into the U-Net.",
    level="stub",
    steps=(
        "convolve, then normalise",
        "ReLU: what is below zero becomes zero",
        "average pooling: the mean of each 2×2 block",
    ),
    hints=(
        "Four things happen one after the other, in the order of the statement. Two of them, `conv` and `norm`, you are "
        "handed; the other two have no weights.",
        "`conv` and `norm` keep (H, W); only the last step halves it. There is a ReLU and an average pooling in "
        "`torch.nn.functional`, imported as `F`.",
        "`F.relu(norm(conv(x)))`, then `F.avg_pool2d(…, 2)`.",
    ),
    calls=lambda: [
        Call("2 maps of 3 channels, 6×10", (_normal(2, 3, 6, 10, seed=6), *_block(3, 4, 4))),
        Call("3 maps of 2 channels, 4×4", (_normal(3, 2, 4, 4, seed=7), *_block(2, 5, 5))),
    ],
    observe=_see_block,
    properties=(
        Property("by hand", "1, 2, 3, 4 doubled, minus 5, ReLU, mean: 1", _down_by_hand),
        Property("halves", "height and width are halved", _down_halves),
        Property("means of four", "every value is the mean of four after the ReLU", _down_loops),
        Property("learns", "convolution and norm receive gradients, and the norm sees the batch once", _down_learns),
    ),
    mutants=(
        Mutant(
            "relu-before-norm",
            "The activation follows the convolution directly.",
            "You cut at zero before the norm, which then moves everything again: the result has negative values, or has "
            "lost more than it should. Which comes first here, norm or ReLU?",
            (
                ("features = norm(conv(x))", "features = F.relu(conv(x))"),
                ("active = F.relu(features)", "active = norm(features)"),
            ),
        ),
        Mutant(
            "max-pool",
            "Pooling takes the largest.",
            "You keep the largest of each four. Monkey-Net averages: all four then receive a gradient, and positions shift "
            "less.",
            (("F.avg_pool2d", "F.max_pool2d"),),
        ),
        Mutant(
            "pool-before-relu",
            "ReLU and pooling can be exchanged.",
            "You average first and cut at zero afterwards. With -3, -1, 1, 3 that gives 0; cutting first gives 0, 0, 1, 3 "
            "and a mean of 1.",
            (
                ("active = F.relu(features)", "active = F.avg_pool2d(features, 2)"),
                ("return F.avg_pool2d(active, 2)", "return F.relu(active)"),
            ),
        ),
        Mutant(
            "no-relu",
            "Norm is the non-linearity.",
            "Negative values come out. Convolution, norm and mean are all straight lines: without a bend between them, "
            "ten blocks could do no more than one.",
            (("active = F.relu(features)", "active = features"),),
        ),
        Mutant(
            "every-second-pixel",
            "To halve a picture, leave out every second row and column.",
            "You keep one pixel of each four and drop three. What was only in those three is lost; which operation "
            "lets all four have a say?",
            (("F.avg_pool2d(active, 2)", "active[:, :, ::2, ::2]"),),
        ),
        Mutant(
            "no-norm",
            "The norm is only for training.",
            "Your result is that of the convolution alone: `norm` is handed to you and not used. It belongs between "
            "convolution and ReLU, while training and afterwards.",
            (("norm(conv(x))", "conv(x)"),),
        ),
        Mutant(
            "pool-first",
            "The picture is made small first, then looked at.",
            "You halve the picture before the convolution sees it: fine edges are averaged away unseen. The mean comes "
            "last.",
            (
                ("norm(conv(x))", "norm(conv(F.avg_pool2d(x, 2)))"),
                ("return F.avg_pool2d(active, 2)", "return active"),
            ),
        ),
    ),
    alternatives=(_down_by_reshape, _down_by_slices, _down_in_double),
    box="unet",
)


def _up_by_hand(f: Function) -> None:
    below, skip = torch.tensor([[1.0, 4.0]])[None, None], torch.tensor([[-1.0, 0.0, 1.0, 2.0]] * 2)[None, None]
    with torch.no_grad():
        out = f(below, skip, *_simple(2.0, -5.0))
    message = "1 and 4 become 2×2 blocks; ×2 - 5 gives -3 and 3, ReLU 0 and 3; the skip stands behind, untouched"
    row = [[0.0, 0.0, 3.0, 3.0], [-1.0, 0.0, 1.0, 2.0]]
    right = torch.tensor([[row[0]] * 2, [row[1]] * 2])[None]
    expect(out, right, message, "[[1, 4]] and a skip with -1, 0, 1, 2 in each row")


def _up_shape(f: Function) -> None:
    conv, norm = _block(4, 3, 6)
    out = f(_normal(2, 4, 3, 5), _normal(2, 2, 6, 10), conv, norm)
    expect(list(out.shape), [2, 5, 6, 10], "3 channels of its own and 2 of the skip, at twice the size", "(2, 4, 3, 5)")


def _up_order(f: Function) -> None:
    conv, norm = _block(4, 3, 7)
    skip = _normal(1, 2, 6, 6, seed=8)
    out = f(_normal(1, 4, 3, 3, seed=9), skip, conv, norm)
    message = "the skip comes last, exactly as it was"
    expect(out[:, 3:], skip, message, "4 channels below, 2 in the skip; what comes out in channels 3 and 4")


def _up_nearest(f: Function) -> None:
    conv, norm = _simple(1.0, 0.0)
    below = _normal(1, 1, 2, 3, seed=10).abs()
    with torch.no_grad():
        out = f(below, torch.zeros(1, 1, 4, 6), conv, norm)[0, 0]
    right = torch.tensor([[float(below[0, 0, i // 2, j // 2]) for j in range(6)] for i in range(4)])
    tried = "a 2×3 map, convolution and norm that do nothing"
    expect(out, right, "nearest ×2: every value becomes a block of 2×2 equal ones", tried)


def _up_border(f: Function) -> None:
    conv, norm = nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.BatchNorm2d(1, eps=0.0).eval()
    nn.init.ones_(conv.weight)
    with torch.no_grad():
        out = f(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 2, 2), conv, norm)[0, 0]
    message = "the convolution works at the larger size: each of the four pixels then sees all four (and zeros around)"
    expect(out, [[4.0, 4.0], [4.0, 4.0]], message, "one pixel of value 1, a convolution that adds up nine neighbours")


def _up_learns(f: Function) -> None:
    conv, norm = _block(2, 3, 8)
    below, skip = _normal(1, 2, 2, 2).requires_grad_(), _normal(1, 1, 4, 4).requires_grad_()
    out = f(below, skip, conv.train(), norm.train())
    if not out.requires_grad:
        raise Violation("a gradient reaches the level below", "in training", "a gradient", "none: cut from the graph")
    out.square().sum().backward()
    for grad, name in ((below.grad, "the level below"), (skip.grad, "the skip"), (conv.weight.grad, "the convolution")):
        if grad is None:
            raise Violation(f"a gradient reaches {name}", "in training", "a gradient", "none")


def _up_by_repeat(below: Tensor, skip: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    larger = below.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    return torch.cat((norm(conv(larger)).clamp_min(0), skip), 1)


def _up_by_kron(below: Tensor, skip: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    larger = torch.kron(below, below.new_ones(2, 2))
    return torch.cat([torch.relu(norm(conv(larger))), skip], dim=-3)


def _up_by_filling(below: Tensor, skip: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    b, c, h, w = below.shape
    larger = below[:, :, :, None, :, None].expand(b, c, h, 2, w, 2).reshape(b, c, 2 * h, 2 * w)
    own = norm(conv(larger))
    own = torch.where(own > 0, own.double(), torch.zeros((), dtype=torch.float64)).to(skip.dtype)
    out = skip.new_empty(b, own.shape[1] + skip.shape[1], 2 * h, 2 * w)
    out[:, : own.shape[1]], out[:, own.shape[1] :] = own, skip
    return out


UP = Exercise(
    id="up-and-concatenate",
    title="One step up, with a skip",
    target="monkeynet_edu.layers:up_and_concatenate",
    statement=(
        "Double the size of `below` (nearest: every value becomes a 2×2 block), then convolution, norm, ReLU; put `skip` "
        "behind the result as more channels."
    ),
    level="stub",
    steps=(
        "enlarge: nearest ×2",
        "convolve, normalise, ReLU, as on the way down",
        "concatenate along the channels: own first, skip last",
    ),
    hints=(
        "The coarse level knows *what* is there, the skip knows *where* exactly. They are not added up: the next "
        "convolution shall see both and decide. What puts channels side by side?",
        "below (B, C, H, W) → (B, C, 2H, 2W) → (B, C_out, 2H, 2W) → with the skip (B, C_out + C_skip, 2H, 2W). The "
        "channels are axis 1.",
        '`F.interpolate(below, scale_factor=2.0, mode="nearest")`, then `F.relu(norm(conv(…)))`, then '
        "`torch.cat([…, skip], dim=1)`.",
    ),
    calls=lambda: [
        Call("2 maps 3×4 of 3 channels, a skip of 2", (_normal(2, 3, 3, 4), _normal(2, 2, 6, 8), *_block(3, 4, 9))),
        Call("one map 2×5 of 2 channels, a skip of 5", (_normal(1, 2, 2, 5), _normal(1, 5, 4, 10), *_block(2, 3, 10))),
    ],
    observe=_see_block,
    properties=(
        Property("by hand", "1 and 4 doubled in size, ×2 - 5, ReLU; the skip behind them", _up_by_hand),
        Property("shape", "twice the size, and the channels of both", _up_shape),
        Property("order", "the skip comes last and is not changed", _up_order),
        Property("nearest", "every value becomes a block of 2×2 equal ones", _up_nearest),
        Property("convolves large", "the convolution works at the larger size", _up_border),
        Property("learns", "the level below, the skip and the convolution receive gradients", _up_learns),
    ),
    mutants=(
        Mutant(
            "skip-first",
            "The order of the channels does not matter.",
            "Your skip stands before the network's own channels. A network trained like that would work, but trained "
            "weights expect the order of the statement.",
            (("[features, skip]", "[skip, features]"),),
        ),
        Mutant(
            "bilinear",
            "Enlarging is bilinear.",
            "Between neighbours you have in-between values. Nearest repeats each value as a 2×2 block: the convolution "
            "after it learns to smooth, if smoothing helps.",
            (('mode="nearest"', 'mode="bilinear"'),),
        ),
        Mutant(
            "convolve-first",
            "It is cheaper to convolve before enlarging, and the same.",
            "You convolve the small map and enlarge the result: all four pixels of a block come out equal. Enlarged "
            "first, the convolution can make them differ.",
            (
                ('larger = F.interpolate(below, scale_factor=2.0, mode="nearest")', "larger = below"),
                (
                    "features = F.relu(norm(conv(larger)))",
                    'features = F.interpolate(F.relu(norm(conv(larger))), scale_factor=2.0, mode="nearest")',
                ),
            ),
        ),
        Mutant(
            "relu-on-the-skip",
            "The activation comes at the end, on everything.",
            "Negative values of the skip have become 0. The skip is handed over as it is: ReLU belongs to the new channels "
            "alone.",
            (
                ("F.relu(norm(conv(larger)))", "norm(conv(larger))"),
                ("return torch.cat([features, skip], dim=1)", "return F.relu(torch.cat([features, skip], dim=1))"),
            ),
        ),
        Mutant(
            "no-relu",
            "ReLU is for the way down.",
            "Your new channels have negative values. The blocks of the way up are built like those of the way down.",
            (("F.relu(norm(conv(larger)))", "norm(conv(larger))"),),
        ),
        Mutant(
            "no-norm",
            "The norm is for the way down.",
            "Your new channels are those of the convolution alone: `norm` is handed to you and not used. It stands "
            "between convolution and ReLU, as on the way down.",
            (("F.relu(norm(conv(larger)))", "F.relu(conv(larger))"),),
        ),
        Mutant(
            "tiled",
            "To repeat a map makes it larger.",
            "`repeat` lays whole copies of the map side by side, like tiles: four small pictures. Every *value* has to "
            "become a block of 2×2.",
            (('F.interpolate(below, scale_factor=2.0, mode="nearest")', "below.repeat(1, 1, 2, 2)"),),
        ),
    ),
    alternatives=(_up_by_repeat, _up_by_kron, _up_by_filling),
    box="unet",
)

LESSON = Lesson(
    number="02",
    slug="unet_and_a_first_training",
    title="U-Net and a first training",
    minutes=110,
    imports=IMPORTS,
    exercises=(TWO_FRAMES, FLIP_PAIR, BATCH_NORM, DOWN, UP),
)
