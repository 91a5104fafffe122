"""Lesson 01, coordinates and warping: its exercises."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from monkeynet_edu import geometry, viz
from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, expect
from monkeynet_edu.course.reference.warping import read_by_loops
from monkeynet_edu.data import sprites

IMPORTS = """\
import numpy as np
import torch
from torch import Tensor

from monkeynet_edu import geometry, viz
from monkeynet_edu.data import sprites
from monkeynet_edu.geometry import warp
"""

# ------------------------------------------------------------------------------------------------------------ material


def _rand(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@cache
def _character() -> Tensor:
    """One frame of a figure (1, 3, 64, 64) for pictures of answers."""
    frame = sprites.render(sprites.make_scene("mini-taichi", 7, 3, length=32), [16]).frames[0]
    return torch.from_numpy(frame).permute(2, 0, 1)[None] / 255


def _grid(height: int, width: int) -> Tensor:
    """The lattice from its definition, x_j = 2j/(W-1) - 1, in loops: (1, H, W, 2)."""
    points = [[(2 * j / (width - 1) - 1, 2 * i / (height - 1) - 1) for j in range(width)] for i in range(height)]
    return torch.tensor(points)[None]


def _swirl(height: int, width: int, turn: float = 0.8) -> Tensor:
    """A deformation that turns the middle of the picture and leaves its border."""
    grid = _grid(height, width)
    angle = turn * (1 - grid.square().sum(-1)).clamp(min=0)
    x, y = grid.unbind(-1)
    return torch.stack([angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y], dim=-1)


def _beside(mine: Tensor, right: Tensor, what: str) -> viz.Picture:
    """Yours | expected | difference of two pictures (3, H, W)."""
    gap = float((mine - right).abs().mean())
    alt = f"{what}, yours beside what was expected: they differ by {gap:.3f} on average (0 black, 1 white)."
    difference = viz.error_map(mine, right)
    return viz.figure_images([mine.clamp(0, 1), right, difference], ["yours", "expected", "difference"], alt)


# ------------------------------------------------------------------------------------------------------------- lattice


def _lattice_corners(f: Function) -> None:
    got = f(3, 5)
    expect(got[0, 0], [-1.0, -1.0], "the upper left pixel is the point (-1, -1)", "lattice(3, 5)[0, 0]")
    expect(got[0, -1], [1.0, -1.0], "the upper right pixel is the point (1, -1): x first", "lattice(3, 5)[0, -1]")
    expect(got[-1, 0], [-1.0, 1.0], "the lower left pixel is the point (-1, 1): y points down", "lattice(3, 5)[-1, 0]")


def _lattice_steps(f: Function) -> None:
    expect(
        f(3, 5)[1],
        [[-1.0, 0.0], [-0.5, 0.0], [0.0, 0.0], [0.5, 0.0], [1.0, 0.0]],
        "5 pixels have 4 steps between them, each 2/4 = 0.5 wide",
        "the middle row of lattice(3, 5)",
    )


def _lattice_loops(f: Function) -> None:
    for height, width in ((4, 7), (6, 2), (9, 9)):
        said = f"lattice({height}, {width})"
        expect(f(height, width), _grid(height, width)[0], "row i, column j is (2j/(W-1) - 1, 2i/(H-1) - 1)", said)


def _lattice_type(f: Function) -> None:
    got = f(2, 3, dtype=torch.float64)
    expect(got.element_size(), 8, "the result has the type that was asked for", "lattice(2, 3, dtype=torch.float64)")


def _lattice_by_meshgrid(
    height: int, width: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    rows = torch.arange(height, device=device, dtype=dtype or torch.float32)
    columns = torch.arange(width, device=device, dtype=dtype or torch.float32)
    y, x = torch.meshgrid(rows / max(height - 1, 1), columns / max(width - 1, 1), indexing="ij")
    return torch.stack([x, y], dim=-1) * 2 - 1


def _lattice_by_loops(
    height: int, width: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    return _grid(height, width)[0].to(device=device, dtype=dtype)


def _lattice_by_affine_grid(
    height: int, width: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    still = torch.eye(2, 3, dtype=torch.float64)[None]
    return F.affine_grid(still, [1, 1, height, width], align_corners=True)[0].to(device, dtype or torch.float32)


LATTICE = Exercise(
    id="lattice",
    title="The lattice",
    target="monkeynet_edu.geometry:lattice",
    statement=(
        "Return the point (x, y) of every pixel centre, as a tensor `(height, width, 2)`. Column `j` of `W` sits at "
        "`x = 2j/(W-1) - 1`, row `i` of `H` at `y = 2i/(H-1) - 1`."
    ),
    level="worked",
    steps=(
        "x of the columns: W numbers from -1 to 1, both ends included",
        "y of the rows: H numbers from -1 to 1",
        "both as pictures (H, W), stacked as the last dimension: x first",
    ),
    hints=(
        "The corners of the square from -1 to 1 are the *centres* of the corner pixels, so the first column is exactly -1 "
        "and the last exactly 1. How many steps lie between W columns?",
        "The result has shape (H, W, 2), and `[i, j]` is (x, y). x depends on the column j alone, y on the row i alone.",
        "`torch.linspace(-1, 1, width)` has both ends; `.expand(height, width)` repeats it for every row. For y, "
        "`[:, None]` first makes a column of the row.",
    ),
    calls=lambda: [
        Call("3 rows, 5 columns", (3, 5)),
        Call("7 rows, 4 columns", (7, 4)),
        Call("4 rows, 6 columns in float64", (4, 6), {"dtype": torch.float64}),
    ],
    properties=(
        Property("corners", "the corners of the lattice are the centres of the corner pixels", _lattice_corners),
        Property("steps", "W pixels have W - 1 steps between them", _lattice_steps),
        Property("definition", "row i, column j is (2j/(W-1) - 1, 2i/(H-1) - 1)", _lattice_loops),
        Property("type", "the type asked for comes out", _lattice_type),
    ),
    mutants=(
        Mutant(
            "row-first",
            "Arrays are indexed [row, column], so points are (y, x).",
            "Which of the two changes as you walk along a row, the first number of your points or the second? "
            "It should be the first: points are (x, y).",
            (
                (
                    "[x.expand(height, width), y[:, None].expand(height, width)]",
                    "[y[:, None].expand(height, width), x.expand(height, width)]",
                ),
            ),
        ),
        Mutant(
            "pixel-edges",
            "-1 and 1 are the outer edges of the picture, half a pixel outside the first centre.",
            "Your corners lie half a pixel inside the square. That is the other convention (align_corners=False): there -1 "
            "is the picture's edge. Here -1 is the *centre* of the first pixel.",
            (
                ("torch.linspace(-1, 1, width,", "torch.linspace(-1 + 1 / width, 1 - 1 / width, width,"),
                ("torch.linspace(-1, 1, height,", "torch.linspace(-1 + 1 / height, 1 - 1 / height, height,"),
            ),
        ),
        Mutant(
            "y-up",
            "y points up, as on graph paper.",
            "Look at your first row: it is at y = 1. Row 0 of a picture is its top; where does y start in this lesson, and "
            "which way does it grow?",
            (("torch.linspace(-1, 1, height,", "torch.linspace(1, -1, height,"),),
        ),
        Mutant(
            "zero-to-one",
            "Coordinates run from 0 to 1, as texture coordinates do.",
            "Your upper left corner is (0, 0), but the middle of the picture should have that name. From where to where do "
            "coordinates run here?",
            (
                ("torch.linspace(-1, 1, width,", "torch.linspace(0, 1, width,"),
                ("torch.linspace(-1, 1, height,", "torch.linspace(0, 1, height,"),
            ),
        ),
        Mutant(
            "w-steps",
            "W pixels make W steps.",
            "Your last column stops short of 1. Count the gaps between the fingers of one hand: how many steps lie between "
            "W pixels?",
            (
                ("torch.linspace(-1, 1, width,", "torch.linspace(-1, 1 - 2 / width, width,"),
                ("torch.linspace(-1, 1, height,", "torch.linspace(-1, 1 - 2 / height, height,"),
            ),
        ),
    ),
    alternatives=(_lattice_by_meshgrid, _lattice_by_loops, _lattice_by_affine_grid),
    box="lattice",
)

# ----------------------------------------------------------------------------------------------------------- to_pixels


def _pixels_corners(f: Function) -> None:
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    expect(
        f(corners, 4, 7),
        [[0.0, 0.0], [6.0, 0.0], [0.0, 3.0], [6.0, 3.0]],
        "the corners are the pixels 0 and W-1, H-1 (column first)",
        "the four corners of a picture of 4 rows and 7 columns",
    )


def _pixels_by_hand(f: Function) -> None:
    expect(f(torch.tensor([0.5, 0.0]), 3, 5), [3.0, 1.0], "(0.5 + 1)/2·4 = 3 and (0 + 1)/2·2 = 1", "(0.5, 0) in 3×5")
    expect(f(torch.tensor([2.0, -3.0]), 3, 5), [6.0, -2.0], "points outside have pixels outside", "(2, -3) in 3×5")


def _pixels_invert(f: Function) -> None:
    height, width = 5, 8
    rows = [[(float(j), float(i)) for j in range(width)] for i in range(height)]
    expect(f(_grid(height, width)[0], height, width), rows, "the lattice's point of (row i, column j) is pixel (j, i)")


def _pixels_between(f: Function) -> None:
    points = _rand(2, 1, 3, 2, seed=2) * 4 - 2
    loops = [[(x + 1) * 8 / 2, (y + 1) * 3 / 2] for x, y in points.reshape(-1, 2).tolist()]
    message = "each point becomes its own pixel, fractions and all, whatever the leading shape of the points"
    expect(f(points, 4, 9), torch.tensor(loops).reshape(2, 1, 3, 2), message, "points (2, 1, 3, 2), between the pixels")


def _pixels_by_extent(points: Tensor, height: int, width: int) -> Tensor:
    return (points + 1) / 2 * points.new_tensor([width - 1, height - 1])


def _pixels_in_double(points: Tensor, height: int, width: int) -> Tensor:
    wide = points.double()
    out = torch.stack([wide[..., 0] * (width - 1), wide[..., 1] * (height - 1)], dim=-1)
    return (0.5 * (out + wide.new_tensor([width - 1, height - 1]))).to(points.dtype)


def _pixels_by_loops(points: Tensor, height: int, width: int) -> Tensor:
    rows = [torch.stack([(p[0] + 1) * (width - 1) / 2, (p[1] + 1) * (height - 1) / 2]) for p in points.reshape(-1, 2)]
    return torch.stack(rows).reshape(points.shape)


TO_PIXELS = Exercise(
    id="to-pixels",
    title="From points to pixels",
    target="monkeynet_edu.geometry:to_pixels",
    statement=(
        "Turn points (x, y) in [-1, 1] into pixels (column, row): the way back from the lattice. `(-1, -1)` is pixel "
        "(0, 0), `(1, 1)` is pixel (W-1, H-1)."
    ),
    level="order",
    steps=(
        "take the two coordinates apart",
        "-1 … 1 becomes 0 … W-1",
        "-1 … 1 becomes 0 … H-1",
        "put them together again, column first",
    ),
    hints=(
        "Undo the lattice step by step: it maps column j to 2j/(W-1) - 1. Which operation did it do last? Undo that first.",
        "Points of any shape (..., 2) come in; the same shape goes out. The last dimension holds (column, row).",
        "`column = (x + 1) / 2 * (width - 1)`, and the same for the row with the height.",
    ),
    calls=lambda: [
        Call("random points, some outside, of a 4×7 picture", (_rand(2, 5, 2) * 3 - 1.5, 4, 7)),
        Call("random points of a 9×3 picture", (_rand(6, 2, seed=3) * 2 - 1, 9, 3)),
    ],
    properties=(
        Property("corners", "(-1, -1) is pixel (0, 0) and (1, 1) is pixel (W-1, H-1)", _pixels_corners),
        Property("by hand", "(0.5, 0) of a 3×5 picture is column 3, row 1", _pixels_by_hand),
        Property("inverse", "it undoes the lattice", _pixels_invert),
        Property("between", "pixels keep their fractions, and points may have any leading shape", _pixels_between),
    ),
    mutants=(
        Mutant(
            "times-width",
            "The picture is W pixels wide, so 0 … 1 is multiplied by W.",
            "Your right edge is pixel W, and there is none: columns are 0 … W-1. (The authors' own drawing "
            "code has this slip.)",
            (
                ("(x + 1) / 2 * (width - 1)", "(x + 1) / 2 * width"),
                ("(y + 1) / 2 * (height - 1)", "(y + 1) / 2 * height"),
            ),
        ),
        Mutant(
            "pixel-edges",
            "-1 is the outer edge of the picture, half a pixel before the centre of column 0.",
            "Your point -1 becomes pixel -0.5. That belongs to the other convention (align_corners=False). Here -1 is the "
            "centre of column 0.",
            (
                ("(x + 1) / 2 * (width - 1)", "((x + 1) * width - 1) / 2"),
                ("(y + 1) / 2 * (height - 1)", "((y + 1) * height - 1) / 2"),
            ),
        ),
        Mutant(
            "row-first",
            "A pixel is (row, column), as in an array.",
            "Points are (x, y), so their pixels are (column, row): the same order. What do you put first?",
            (("[column, row]", "[row, column]"),),
        ),
        Mutant(
            "sizes-swapped",
            "x goes with the first size of the picture, which is the height.",
            "Try a picture that is much wider than high: x runs along the width. Which size do you stretch x by?",
            (("* (width - 1)", "* (height - 1)"), ("(y + 1) / 2 * (height - 1)", "(y + 1) / 2 * (width - 1)")),
        ),
    ),
    alternatives=(_pixels_by_extent, _pixels_in_double, _pixels_by_loops),
    differentiable=("points",),
    box="to-pixels",
)

# ------------------------------------------------------------------------------------------------------- bilinear_warp


def _warp_identity(f: Function) -> None:
    image = _rand(2, 3, 5, 8)
    tried = "a random picture and its own lattice"
    expect(f(image, _grid(5, 8).repeat(2, 1, 1, 1)), image, "the lattice reads every pixel where it is", tried)


def _warp_between(f: Function) -> None:
    image = torch.tensor([[10.0, 30.0], [50.0, 90.0]])[None, None]
    points = torch.tensor([[[[0.0, -1.0], [-0.5, -1.0], [-1.0, 0.0], [0.0, 0.0]]]])
    expect(
        f(image, points),
        torch.tensor([[[[20.0, 15.0, 30.0, 45.0]]]]),
        "between pixels the nearer one counts more: halfway between 10 and 30 is 20, a quarter of the way is 15",
        "the picture [[10, 30], [50, 90]] at (0, -1), (-0.5, -1), (-1, 0) and (0, 0)",
    )


def _warp_backward(f: Function) -> None:
    image = _rand(1, 2, 4, 6, seed=4)
    points = _grid(4, 6) + torch.tensor([0.4, 0.0])  # a column is 2/5 wide
    said = "lattice + one column to the right"
    expect(f(image, points)[..., :-1], image[..., 1:], "reading further right shows what lies further right", said)


def _warp_outside(f: Function) -> None:
    image = torch.full((1, 1, 3, 3), 8.0)  # a pixel is 1 wide here
    points = torch.tensor([[[[-1.5, 0.0], [1.0, -1.5], [1.5, 1.5], [3.0, 0.0], [0.0, -9.0]]]])
    wanted = torch.tensor([[[[4.0, 4.0, 2.0, 0.0, 0.0]]]])
    expect(f(image, points), wanted, "outside there is black: half a pixel out reads half the border", "a picture of 8s")


def _warp_loops(f: Function) -> None:
    image, points = _rand(2, 2, 4, 7, seed=5), _rand(2, 3, 5, 2, seed=6) * 3 - 1.5
    expect(f(image, points), read_by_loops(image, points), "the definition, pixel by pixel", "random points, some outside")


def _warp_by_rows_and_columns(image: Tensor, deformation: Tensor) -> Tensor:
    """Tents over all rows and all columns in place of four neighbours."""
    height, width = image.shape[-2:]
    column = (deformation[..., 0] + 1) / 2 * (width - 1)
    row = (deformation[..., 1] + 1) / 2 * (height - 1)
    across = (1 - (column[..., None] - torch.arange(width)).abs()).clamp(min=0)
    down = (1 - (row[..., None] - torch.arange(height)).abs()).clamp(min=0)
    return torch.einsum("bcij,bhwi,bhwj->bchw", image, down.to(image.dtype), across.to(image.dtype))


def _warp_on_padded_picture(image: Tensor, deformation: Tensor) -> Tensor:
    """A black frame around the picture takes the place of the question whether a neighbour is inside."""
    height, width = image.shape[-2:]
    padded = F.pad(image.double(), (1, 2, 1, 2)).permute(0, 2, 3, 1)
    column = ((deformation[..., 0].double() + 1) / 2 * (width - 1) + 1).clamp(0, width + 1)
    row = ((deformation[..., 1].double() + 1) / 2 * (height - 1) + 1).clamp(0, height + 1)
    left, top = column.long(), row.long()
    a, b = (column - left)[..., None], (row - top)[..., None]
    item = torch.arange(len(image))[:, None, None]
    upper = padded[item, top, left] * (1 - a) + padded[item, top, left + 1] * a
    lower = padded[item, top + 1, left] * (1 - a) + padded[item, top + 1, left + 1] * a
    return (upper * (1 - b) + lower * b).permute(0, 3, 1, 2).to(image.dtype)


def _warp_by_torch(image: Tensor, deformation: Tensor) -> Tensor:
    return F.grid_sample(image, deformation, align_corners=True)


def _warp_picture(mine: Function, right: Function) -> viz.Picture:
    image, swirl = _character(), _swirl(64, 64)
    return _beside(mine(image, swirl)[0].detach(), right(image, swirl)[0], "A figure read through a swirl")


BILINEAR_WARP = Exercise(
    id="bilinear-warp",
    title="A warp by hand",
    target="monkeynet_edu.course.reference.warping:bilinear_warp",
    statement=(
        "Read a picture at the points of a deformation. A point falls between four pixels: sum them up, each weighted by "
        "`(1 - distance in rows) * (1 - distance in columns)`. Pixels outside the picture count as 0."
    ),
    level="blanks",
    steps=(
        "sizes of the picture",
        "where each pixel of the result reads, in pixels (`geometry.to_pixels` is yours by now), as long lists",
        "the neighbour to the upper left",
        "the picture as one long row of pixels, so that a pixel has one index",
        "a sum that starts at 0",
        "for each of the four neighbours, as pairs (row r, column c):",
        "the nearer, the heavier",
        "is there such a pixel?",
        "its index in the long row (kept inside, so that there is always something to read)",
        "its colours",
        "add them",
        "back from the long row to a picture of the deformation's size",
    ),
    blanks=(
        "geometry.to_pixels(deformation, height, width)",
        "(top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)",
        "(1 - (row - r).abs()) * (1 - (column - c).abs())",
        "(r >= 0) & (r < height) & (c >= 0) & (c < width)",
    ),
    hints=(
        "A deformation is a shopping list: each pixel of the result says where in the picture it gets its colour. A point "
        "between pixels gets a mixture of the four around it, and the weights of the four sum to 1.",
        "`column` and `row` are (B, h·w), one number for each pixel of the result, with fractions. `r` and `c` are whole "
        "numbers of the same shape. `weight` and `inside` have that shape too.",
        "`weight = (1 - (row - r).abs()) * (1 - (column - c).abs())`; a neighbour is there if `0 <= r < height` and "
        "`0 <= c < width`, written with `&`.",
    ),
    calls=lambda: [
        Call(
            "a random picture 4×7 at random points, some outside", (_rand(2, 3, 4, 7), _rand(2, 5, 6, 2, seed=2) * 3 - 1.5)
        ),
        Call("a random picture 6×5 through a swirl", (_rand(1, 2, 6, 5, seed=3), _swirl(6, 5))),
    ],
    properties=(
        Property("identity", "read at its own lattice, a picture comes back unchanged", _warp_identity),
        Property("between pixels", "between pixels, the nearer one counts more", _warp_between),
        Property("backward", "reading further right shows what lies further right", _warp_backward),
        Property("outside", "outside the picture is black", _warp_outside),
        Property("definition", "the sum over four neighbours, pixel by pixel", _warp_loops),
    ),
    mutants=(
        Mutant(
            "pixel-edges",
            "-1 and 1 are the outer edges of the picture (align_corners=False).",
            "Your warp by the lattice should return the picture, and it does not: it blurs it and darkens the border. "
            "Which convention turns your points into pixels, the lattice's?",
            (
                (
                    "geometry.to_pixels(deformation, height, width)",
                    "(((deformation + 1) * deformation.new_tensor([width, height]) - 1) / 2)",
                ),
            ),
        ),
        Mutant(
            "forward",
            "The flow says where a pixel goes, so the picture moves along with it.",
            "Read one pixel further right: the content must move to the *left*. Yours moves right. The deformation says "
            "where to read, not where to go.",
            (
                (
                    "geometry.to_pixels(deformation, height, width)",
                    "geometry.to_pixels(\n"
                    "        2 * geometry.lattice(*deformation.shape[1:3], dtype=deformation.dtype) - deformation,\n"
                    "        height, width)",
                ),
            ),
        ),
        Mutant(
            "row-first",
            "The two numbers of a point are (row, column).",
            "Your picture comes out mirrored at its diagonal. Points are (x, y): which of the two is the column?",
            (("column, row = ", "row, column = "),),
        ),
        Mutant(
            "points-flipped",
            "A deformation holds (y, x), as arrays are indexed.",
            "You exchange x and y before you turn them into pixels, so a picture wider than high comes out mirrored "
            "and stretched. The first number of a point is x. Does anything have to be exchanged at all?",
            (
                (
                    "geometry.to_pixels(deformation, height, width)",
                    "geometry.to_pixels(deformation.flip(-1), height, width)",
                ),
            ),
        ),
        Mutant(
            "border-repeated",
            "Outside the picture, its border goes on.",
            "Read a white picture far outside: the answer should be black. Where do you ask whether a neighbour exists?",
            (("weight[:, None] * inside[:, None] * value", "weight[:, None] * value"),),
        ),
        Mutant(
            "weights-crossed",
            "A neighbour's weight is its distance.",
            "Read exactly at a pixel: it has distance 0 from the point and should count fully. What weight do you give it?",
            (("(1 - (row - r).abs()) * (1 - (column - c).abs())", "(row - r).abs() * (column - c).abs()"),),
        ),
        Mutant(
            "points-as-pixels",
            "The deformation already says which pixels to read.",
            "You read almost only the upper left pixels, or black. The points run from -1 to 1, but `column` and `row` "
            "count pixels, from 0 to W-1 and H-1. Which function of yours turns the one into the other?",
            (("geometry.to_pixels(deformation, height, width)", "deformation"),),
        ),
    ),
    alternatives=(_warp_by_rows_and_columns, _warp_on_padded_picture, _warp_by_torch),
    differentiable=("image", "deformation"),
    sites=("monkeynet_edu.geometry:warp",),
    picture=_warp_picture,
    box="warp",
)

# ------------------------------------------------------------------------------------------------------------- compose


def _affine(matrix: Sequence[Sequence[float]], shift: Sequence[float], height: int, width: int) -> Tensor:
    """The deformation p → matrix·p + shift: (1, H, W, 2)."""
    return _grid(height, width) @ torch.tensor(matrix, dtype=torch.float32).T + torch.tensor(shift)


SHRINK, TURN = ((0.5, 0.0), (0.0, 0.5)), ((0.0, -0.6), (0.6, 0.0))


def _compose_by_hand(f: Function) -> None:
    shift, shrink = _affine(((1, 0), (0, 1)), (0.5, 0), 5, 5), _affine(SHRINK, (0, 0), 5, 5)
    expect(
        f(shift, shrink)[0, 2, 2],
        [0.25, 0.0],
        "the middle of the final frame reads the middle frame at 0.5, which reads the source at 0.5·0.5 = 0.25",
        "first: p + (0.5, 0); second: 0.5·p; at the centre",
    )


def _compose_affine(f: Function) -> None:
    for one, two in ((SHRINK, TURN), (TURN, SHRINK)):
        first, second = _affine(one, (0.2, -0.3), 4, 7), _affine(two, (-0.1, 0.25), 4, 7)
        middle = first.clamp(-1, 1)
        wanted = middle @ torch.tensor(two).T + torch.tensor([-0.1, 0.25])
        expect(f(first, second), wanted, "the second map is applied to what the first one returns", "two affine maps")


def _compose_still(f: Function) -> None:
    some = _grid(4, 7) + 0.5 * (_rand(1, 4, 7, 2, seed=7) - 0.5)
    expect(f(_grid(4, 7), some), some, "composed with the lattice, a deformation stays what it is", "first = lattice")
    wanted = some.clamp(-1, 1)
    expect(f(some, _grid(4, 7)), wanted, "composed with the lattice, a deformation stays what it is", "second = lattice")


def _compose_border(f: Function) -> None:
    second = _affine(SHRINK, (0.25, 0), 3, 3)
    got = f(_grid(3, 3) + 5, second)[0, 1, 1]
    expect(got, [0.75, 0.5], "outside the frame, the nearest border value of the second is read", "first: p + (5, 5)")


def _compose_sizes(f: Function) -> None:
    first = _affine(SHRINK, (0, 0.1), 3, 4)[0].expand(2, 3, 4, 2)
    second = _affine(TURN, (0.1, 0), 6, 5)[0].expand(2, 6, 5, 2)
    wanted = first @ torch.tensor(TURN).T + torch.tensor([0.1, 0])
    expect(f(first, second), wanted, "the result has the size of the first deformation", "first 3×4, second 6×5")


def _compose_by_flows(first: Tensor, second: Tensor) -> Tensor:
    """Flows: read the second's flow where the first points, then add."""
    flow = (second - geometry.lattice(*second.shape[1:3], dtype=second.dtype)).permute(0, 3, 1, 2)
    inside = first.clamp(-1, 1)
    return inside + geometry.warp(flow, inside).permute(0, 2, 3, 1)


def _compose_by_coordinate(first: Tensor, second: Tensor) -> Tensor:
    x = geometry.warp(second[..., 0][:, None].double(), first.double().clamp(-1, 1))[:, 0]
    y = geometry.warp(second[..., 1][:, None].double(), first.double().clamp(-1, 1))[:, 0]
    return torch.stack([x, y], dim=-1).to(first.dtype)


def _compose_by_border_padding(first: Tensor, second: Tensor) -> Tensor:
    planes = second.movedim(-1, 1)
    return F.grid_sample(planes, first, padding_mode="border", align_corners=True).movedim(1, -1)


def _compose_picture(mine: Function, right: Function) -> viz.Picture:
    image = _character()
    first, second = _affine(((1, 0), (0, 1)), (0.4, 0), 64, 64), _affine(((0.0, -1.0), (1.0, 0.0)), (0, 0), 64, 64)
    yours, expected = (geometry.warp(image, f(first, second).detach())[0] for f in (mine, right))
    return _beside(yours, expected, "A figure that was turned by a quarter and then shifted")


COMPOSE = Exercise(
    id="compose",
    title="Two deformations in a row",
    target="monkeynet_edu.geometry:compose",
    statement=(
        "Chain two deformations into one: `first` says where the final frame reads in the middle one, `second` where the "
        "middle one reads in the source. Points of `first` outside [-1, 1] are brought to the border before."
    ),
    level="stub",
    steps=(
        "the second deformation as a picture with two channels (B, 2, H, W)",
        "the first one's points, those outside brought to the border",
        "read that picture at these points: `warp`",
        "points last again: (B, h, w, 2)",
    ),
    hints=(
        "Each pixel of the final frame asks `first` and gets a point of the middle frame. At that point, it asks `second`. "
        "A deformation can be read between its pixels just as a picture can: you have a function for that.",
        "`warp(image, deformation)` wants the image as (B, C, H, W) and the points as (B, h, w, 2). Which of the two "
        "deformations is the image here, and where do its 2 channels have to be?",
        "`read = warp(second.permute(0, 3, 1, 2), first.clamp(-1, 1))`, then bring the 2 channels back to the end.",
    ),
    calls=lambda: [
        Call(
            "two random deformations 4×7, some points outside",
            (_grid(4, 7) + _rand(1, 4, 7, 2) - 0.5, _grid(4, 7) + 0.8 * (_rand(1, 4, 7, 2, seed=2) - 0.5)),
        ),
        Call("a turn and a shrinking, 5×6", (_affine(TURN, (0.6, 0), 5, 6), _affine(SHRINK, (0.1, 0.2), 5, 6))),
    ],
    properties=(
        Property("by hand", "a shift, then a shrinking: 0 → 0.5 → 0.25", _compose_by_hand),
        Property("affine maps", "the second map is applied to what the first returns", _compose_affine),
        Property("lattice", "the lattice changes nothing, before or after", _compose_still),
        Property("border", "outside the frame, the nearest border value is read", _compose_border),
        Property("sizes", "the result has the size of the first deformation", _compose_sizes),
    ),
    mutants=(
        Mutant(
            "flows-added",
            "Two motions in a row are the sum of their flows.",
            "Your answer is the same whichever deformation comes first. Turning and then shifting is not shifting and then "
            "turning: the second flow has to be read *where the first one points*.",
            (
                (
                    "warp(planes, inside)",
                    "(first + second - lattice(*first.shape[1:3], dtype=first.dtype)).permute(0, 3, 1, 2)",
                ),
            ),
        ),
        Mutant(
            "deformations-added",
            "Deformations are displacements, so they add.",
            "Compose the lattice with itself: nothing should move, but your points are twice as far out. A deformation "
            "holds places, not shifts.",
            (("warp(planes, inside)", "(first + second).permute(0, 3, 1, 2)"),),
        ),
        Mutant(
            "wrong-order",
            "What is named first is read first in the source.",
            "You read `first` at the points of `second`. Start at a pixel of the final frame: which of the two "
            "deformations belongs to it?",
            (("planes = second.permute", "planes = first.permute"), ("inside = first.clamp", "inside = second.clamp")),
        ),
        Mutant(
            "outside-is-zero",
            "Outside the frame there is nothing to do.",
            "Outside, warp returns 0. In a picture that is black; as a point it is (0, 0), the middle of the source. What "
            "should a point outside read instead?",
            (("first.clamp(-1, 1)", "first"),),
        ),
        Mutant(
            "reshaped",
            "reshape moves a dimension to another place.",
            "Your first channel holds x and y in turn, not x alone: `reshape` and `view` keep the numbers in their order "
            "and only cut them into other rows. Which operation moves the dimension of the two coordinates itself?",
            (("second.permute(0, 3, 1, 2)", "second.reshape(len(second), 2, *second.shape[1:3])"),),
        ),
        Mutant(
            "second-clamped",
            "All points have to stay inside the frame.",
            "You bring the points of `second` to the border too. They are what is read, not where: a point outside the "
            "source is a good answer (there, warp reads black). Whose points are places to read at in `second`?",
            (("second.permute(0, 3, 1, 2)", "second.clamp(-1, 1).permute(0, 3, 1, 2)"),),
        ),
    ),
    alternatives=(_compose_by_flows, _compose_by_coordinate, _compose_by_border_padding),
    differentiable=("first", "second"),
    picture=_compose_picture,
    box="compose",
)

LESSON = Lesson(
    number="01",
    slug="coordinates_and_warping",
    title="Coordinates and warping",
    minutes=120,
    imports=IMPORTS,
    exercises=(LATTICE, TO_PIXELS, BILINEAR_WARP, COMPOSE),
)
