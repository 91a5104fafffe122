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


def _batch(f: Function) -> None:
    pictures = torch.rand(2, 3, 4, 5)
    wanted = torch.stack([pictures[..., 4 - j] for j in range(5)], dim=-1)
    message = "Of two pictures at once, each has to be mirrored, and each by its columns"
    expect(f(pictures), wanted, message, "two random pictures, (2, 3, 4, 5): now the columns are axis 3")


def _loops(image: Tensor) -> Tensor:
    out = torch.empty_like(image)
    width = image.shape[-1]
    for j in range(width):
        out[..., j] = image[..., width - 1 - j]
    return out


def _index(image: Tensor) -> Tensor:
    return image[..., torch.arange(image.shape[-1] - 1, -1, -1)]


def _numpy(image: Tensor) -> Tensor:
    return torch.from_numpy(image.numpy()[..., ::-1].copy())


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
        "The shape stays as it is; only the order along the last axis, axis -1, is reversed. (PyTorch does not slice "
        "backwards: `[::-1]`, known from lists, is an error here.)",
        "A tensor has a method `flip` that takes the axis to reverse and returns a new tensor.",
    ),
    calls=_calls,
    properties=(
        Property("by-hand", "each row runs backwards", _by_hand),
        Property("twice", "mirrored twice, a picture is what it was", _twice),
        Property("columns", "what was at the left edge is at the right edge, in its row and colour", _columns),
        Property("batch", "several pictures at once are mirrored one by one", _batch),
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
        Mutant(
            "axis-2",
            "A picture is (3, H, W), so the columns are axis 2.",
            "Right for one picture, (3, H, W). With two, (2, 3, H, W), axis 2 counts the rows. Which number means the last "
            "axis, however many there are?",
            (("image.flip(-1)", "image.flip(2)"),),
        ),
        Mutant(
            "axis-1",
            "Axis 1 is x, as in a table of rows and columns.",
            "Axis 1 counts the rows of (3, H, W), and the colours of (2, 3, H, W). Columns are the last axis: count from "
            "the end.",
            (("image.flip(-1)", "image.flip(1)"),),
        ),
    ),
    alternatives=(_loops, _index, _product, _numpy),
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
