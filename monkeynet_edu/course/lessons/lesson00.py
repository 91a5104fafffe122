"""Lesson 00, a still picture moves: its one exercise, which teaches how exercises work."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, expect

IMPORTS = """\
import torch
from torch import Tensor
"""


def _calls() -> Sequence[Call]:
    return (
        Call("a random picture of 4 rows and 6 columns", (torch.rand(3, 4, 6),)),
        Call("two random pictures of 5 rows and 3 columns", (torch.rand(2, 3, 5, 3),)),
    )


def _by_hand(f: Function) -> None:
    picture = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    wanted = [[[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]]
    expect(f(picture), wanted, "Each row has to run backwards, and the rows keep their places", "rows 1 2 3 / 4 5 6")


def _twice(f: Function) -> None:
    picture = torch.rand(3, 4, 6)
    expect(f(f(picture)), picture, "Mirrored twice, a picture is what it was", "a random picture of 4 rows, 6 columns")


def _columns(f: Function) -> None:
    picture = torch.zeros(3, 4, 6)
    picture[0, 1, 0] = 1.0  # one red dot at the left edge
    out = f(picture)
    expect(out.sum(), 1.0, "A single dot stays a single dot", "one red dot at the left edge, in row 1")
    expect(out[0, 1, 5], 1.0, "A red dot at the left edge has to be red, in the same row, at the right edge", "row 1")


def _loops(image: Tensor) -> Tensor:
    out = torch.empty_like(image)
    width = image.shape[-1]
    for j in range(width):
        out[..., j] = image[..., width - 1 - j]
    return out


def _index(image: Tensor) -> Tensor:
    return image[..., torch.arange(image.shape[-1] - 1, -1, -1)]


def _product(image: Tensor) -> Tensor:
    mirror = torch.eye(image.shape[-1], dtype=torch.float64).flip(0)
    return (image.double() @ mirror).to(image.dtype)


FLIP = Exercise(
    id="flip-x",
    title="A mirror",
    target="monkeynet_edu.course.reference.pictures:flip_x",
    statement="Mirror a picture left to right. It is a tensor (..., H, W): H rows downwards, W columns from left on.",
    level="stub",
    steps=("Return a new tensor whose columns run from the last to the first.",),
    hints=(
        "Left and right are columns. Which axis of (..., H, W) counts the columns?",
        "The shape stays as it is; only the order along the last axis, axis -1, is reversed.",
        "A tensor has a method `flip` that takes the axis to reverse and returns a new tensor.",
    ),
    calls=_calls,
    properties=(
        Property("by-hand", "each row runs backwards", _by_hand),
        Property("twice", "mirrored twice, a picture is what it was", _twice),
        Property("columns", "what was at the left edge is at the right edge, in its row and colour", _columns),
    ),
    mutants=(
        Mutant(
            "nothing",
            "The picture is handed back as it came.",
            "What comes out equals what went in. Which picture would look the same in a mirror, and does yours?",
            (("image.flip(-1)", "image.clone()"),),
        ),
        Mutant(
            "upside-down",
            "The axis before the last is taken for x.",
            "Your picture stands on its head: rows were swapped. x runs along a row. Which axis counts along a row?",
            (("image.flip(-1)", "image.flip(-2)"),),
        ),
        Mutant(
            "colours-swapped",
            "The first axis of (3, H, W) is taken for x.",
            "Nothing moved, but red and blue changed places: that was the axis of the colours. Count from the back.",
            (("image.flip(-1)", "image.flip(-3)"),),
        ),
        Mutant(
            "turned",
            "A mirror is taken for half a turn: both axes are reversed.",
            "That is half a turn, not a mirror: in a mirror left and right change places, and up stays up. How many axes?",
            (("image.flip(-1)", "image.flip(-2, -1)"),),
        ),
    ),
    alternatives=(_loops, _index, _product),
    differentiable=("image",),
    box="flip",
)

LESSON = Lesson(
    number="00",
    slug="a_still_picture_moves",
    title="A still picture moves",
    minutes=45,
    imports=IMPORTS,
    exercises=(FLIP,),
)
