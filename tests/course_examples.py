"""An exercise of our own for tests of the engine: to_pixels of the library, with checks that are easy to see through."""

from __future__ import annotations

import torch

from monkeynet_edu.course.exercise import Call, Exercise, Mutant, Property, expect


def _corners(answer: object) -> None:
    points = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.5]])
    expect(answer(points, 5, 9), [[0.0, 0.0], [8.0, 4.0], [4.0, 3.0]], "corners are pixels 0 and W-1, H-1", "three points")


def loop(points, height, width):
    """One point at a time."""
    flat = points.reshape(-1, 2)
    rows = [torch.stack([(p[0] + 1) / 2 * (width - 1), (p[1] + 1) / 2 * (height - 1)]) for p in flat]
    return torch.stack(rows).reshape(points.shape)


def whole(points, height, width):
    """All at once."""
    return (points + 1) / 2 * points.new_tensor([width - 1, height - 1])


def half(points, height, width):
    """From the centre."""
    centre = points.new_tensor([width - 1, height - 1]) / 2
    return centre + points * centre


def total(items):
    """A target that takes a list."""
    return torch.stack(items).sum(dim=0)


EXERCISE = Exercise(
    id="to-pixels",
    title="To pixels",
    target="monkeynet_edu.geometry:to_pixels",
    statement="Turn points into pixels.",
    level="stub",
    hints=("concept", "shape", "line"),
    calls=lambda: [Call("random points", (torch.rand(3, 5, 2) * 2 - 1, 7, 11))],
    properties=(Property("corners", "the corners are the corner pixels", _corners),),
    mutants=(
        Mutant("swapped", "rows first", "which comes first?", (("[column, row]", "[row, column]"),)),
        Mutant("sign", "-1 is the middle", "where is -1?", (("(x + 1)", "(x - 1)"), ("(y + 1)", "(y - 1)"))),
        Mutant("size", "W steps", "how many steps?", (("(width - 1)", "width"), ("(height - 1)", "height"))),
    ),
    alternatives=(loop, whole, half),
    box="lattice",
    differentiable=("points",),
)
