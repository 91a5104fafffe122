"""Lesson 05, a generator that deforms: its exercises."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from monkeynet_edu import geometry
from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, Violation, expect
from monkeynet_edu.course.reference.warping import read_by_loops
from monkeynet_edu.generator import Resize

IMPORTS = """\
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from monkeynet_edu import animation, generator, geometry, motion, paths, viz
from monkeynet_edu.data import sprites
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.generator import Generator, GeneratorConfig, Resize
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import MonkeyNet
"""

# ------------------------------------------------------------------------------------------------------------ material


def _rand(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _grid(height: int, width: int) -> Tensor:
    """The lattice from its definition, x_j = 2j/(W-1) - 1, in loops: (1, H, W, 2)."""
    points = [[(2 * j / (width - 1) - 1, 2 * i / (height - 1) - 1) for j in range(width)] for i in range(height)]
    return torch.tensor(points)[None]


def _turned(height: int, width: int) -> Tensor:
    """A quarter turn with a shrinking and a shift, the same map at any size: (1, H, W, 2)."""
    return _grid(height, width) @ torch.tensor([[0.0, 0.6], [-0.5, 0.0]]) + torch.tensor([0.1, -0.2])


def _nearest_by_loops(deformation: Tensor, height: int, width: int) -> Tensor:
    """Row ⌊i·H/h⌋, column ⌊j·W/w⌋, one by one."""
    tall, wide = deformation.shape[1:3]
    rows = [[deformation[:, i * tall // height, j * wide // width] for j in range(width)] for i in range(height)]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def _bilinear_by_loops(deformation: Tensor, height: int, width: int) -> Tensor:
    """The deformation read as a picture at the lattice of the new size."""
    places = _grid(height, width).expand(len(deformation), -1, -1, -1)
    return read_by_loops(deformation.movedim(-1, 1), places).movedim(1, -1)


# --------------------------------------------------------------------------------------------- the deformation's size


def _resize_lattice(f: Function) -> None:
    for height, width in ((4, 3), (9, 13)):
        tried = f"the lattice of 5×7, brought to {height}×{width}"
        expect(
            f(_grid(5, 7), height, width), _grid(height, width), "the lattice of one size becomes that of another", tried
        )


def _resize_by_hand(f: Function) -> None:
    row = torch.tensor([[[[-1.0, 0.2], [0.0, 0.4], [1.0, 0.8]]] * 2])  # (1, 2, 3, 2)
    wanted = torch.tensor([[[[-1.0, 0.2], [-0.5, 0.3], [0.0, 0.4], [0.5, 0.6], [1.0, 0.8]]] * 2])
    said = "three points to five: the old ones stay what they are, the new ones lie halfway between"
    expect(f(row, 2, 5), wanted, said, "points (-1, 0.2), (0, 0.4), (1, 0.8) in each row")


def _resize_map(f: Function) -> None:
    for height, width in ((3, 4), (11, 8)):
        tried = f"a turn of 6×5, brought to {height}×{width}"
        expect(f(_turned(6, 5), height, width), _turned(height, width), "it is the same map at any size", tried)


def _resize_loops(f: Function) -> None:
    points = _rand(2, 4, 6, 2, seed=3) * 3 - 1.5
    for height, width in ((3, 3), (7, 8)):
        wanted = _bilinear_by_loops(points, height, width)
        expect(
            f(points, height, width),
            wanted,
            "each new place reads between the old ones",
            f"random points to {height}×{width}",
        )


def _resize_outside(f: Function) -> None:
    said = "a point beyond the border stays where it is: nothing is clamped to [-1, 1]"
    expect(f(1.5 * _grid(5, 7), 4, 9), 1.5 * _grid(4, 9), said, "1.5 times the lattice of 5×7, brought to 4×9")


def _resize_by_reading(deformation: Tensor, height: int, width: int) -> Tensor:
    """A deformation is a picture: read it at the lattice of the new size."""
    places = geometry.lattice(height, width, dtype=deformation.dtype).expand(len(deformation), -1, -1, -1)
    return geometry.compose(places, deformation)


def _weights(old: int, new: int) -> Tensor:
    """How much each of ``old`` points counts for each of ``new`` ones: (new, old)."""
    places = torch.linspace(0, old - 1, new, dtype=torch.float64)
    return (1 - (places[:, None] - torch.arange(old, dtype=torch.float64)).abs()).clamp(min=0)


def _resize_by_weights(deformation: Tensor, height: int, width: int) -> Tensor:
    down, across = (_weights(old, new) for old, new in zip(deformation.shape[1:3], (height, width), strict=True))
    return torch.einsum("im,jn,bmnd->bijd", down, across, deformation.double()).to(deformation.dtype)


def _resize_by_coordinate(deformation: Tensor, height: int, width: int) -> Tensor:
    parts = [
        F.interpolate(deformation[..., d][:, None], (height, width), mode="bilinear", align_corners=True)[:, 0]
        for d in range(2)
    ]
    return torch.stack(parts, dim=-1)


RESIZE = Exercise(
    id="resize-deformation",
    title="A deformation of another size",
    target="monkeynet_edu.geometry:bilinear_deformation",
    statement=(
        "Bring a deformation (B, H, W, 2) to the size (B, height, width, 2), bilinearly and with aligned corners: the "
        "lattice of one size has to become the lattice of the other."
    ),
    level="stub",
    steps=(
        "the points as a picture with two channels: channels second",
        "resize it bilinearly, corners aligned (`F.interpolate` with `align_corners=True`)",
        "points last again",
    ),
    hints=(
        "A deformation is a picture whose two channels are x and y. Resizing it interpolates *places*. Do the places "
        "themselves change when the picture that they point into gets smaller? Think of what (1, 1) means.",
        "`F.interpolate` wants (B, channels, H, W). Your deformation is (B, H, W, 2): which operation moves an axis "
        "without mixing up the numbers?",
        '`F.interpolate(deformation.permute(0, 3, 1, 2), (height, width), mode="bilinear", align_corners=True)`, then '
        "`.permute(0, 2, 3, 1)`.",
    ),
    calls=lambda: [
        Call("a random deformation 4×6, partly beyond the border, brought to 7×5", (_rand(2, 4, 6, 2) * 3 - 1.5, 7, 5)),
        Call("a turn of 8×6, brought to 4×3", (_turned(8, 6), 4, 3)),
    ],
    properties=(
        Property("lattice", "the lattice of one size becomes that of another", _resize_lattice),
        Property("by hand", "three points to five: old ones stay, new ones lie halfway between", _resize_by_hand),
        Property("same map", "a turn is the same turn at any size", _resize_map),
        Property("outside", "points beyond the border stay where they are", _resize_outside),
        Property("definition", "each new place reads the old deformation bilinearly", _resize_loops),
    ),
    mutants=(
        Mutant(
            "rescaled",
            "Half as many pixels, so displacements and places have to be halved, too.",
            "Bring the lattice of 64 pixels to 32: its last point is no longer 1. Your values are scaled with the size, "
            "which would be right for pixels. What do ours count in?",
            (("resized.permute(0, 2, 3, 1)", "resized.permute(0, 2, 3, 1) * width / deformation.shape[2]"),),
        ),
        Mutant(
            "rescaled-each",
            "x has to be scaled with the width, y with the height.",
            "Bring the lattice of 5×7 to 4×3: its last point is no longer (1, 1). Your x and y are scaled with the size, "
            "which would be right for pixels. What do ours count in?",
            (
                (
                    "resized.permute(0, 2, 3, 1)",
                    "resized.permute(0, 2, 3, 1) * resized.new_tensor([width / planes.shape[3], height / planes.shape[2]])",
                ),
            ),
        ),
        Mutant(
            "transposed",
            "x comes first, so the axis of the columns does, too.",
            "Rows and columns are exchanged on the way in: your deformation lies on its side. Points are (x, y), but "
            "pictures are (rows, columns). In which order must the four axes go to `F.interpolate`?",
            (("deformation.permute(0, 3, 1, 2)", "deformation.permute(0, 3, 2, 1)"),),
        ),
        Mutant(
            "clamped",
            "Points lie in [-1, 1].",
            "Your points end at the border. The picture ends there; a deformation may well point beyond it (what is read "
            "there is black). Does anything ask for points to be changed?",
            (("resized.permute(0, 2, 3, 1)", "resized.permute(0, 2, 3, 1).clamp(-1, 1)"),),
        ),
        Mutant(
            "pixel-edges",
            "The default of interpolate will do.",
            "Your corners moved: the lattice does not become a lattice. It is lesson 01's switch again, this time in "
            "`F.interpolate`: whose default is it?",
            (("align_corners=True", "align_corners=False"),),
        ),
        Mutant(
            "nearest",
            "Places cannot be interpolated, so take the nearest.",
            "Your new points repeat old ones: neighbours read the same place. That is how the published model does it; "
            "here the points in between are asked for.",
            (('mode="bilinear", align_corners=True', 'mode="nearest"'),),
        ),
        Mutant(
            "reshaped",
            "reshape brings the channels to the front, just as permute does.",
            "The shape is right and the numbers are scrambled: x and y got mixed up. reshape keeps the order in memory and "
            "cuts it anew; which operation moves an axis?",
            (
                ("deformation.permute(0, 3, 1, 2)", "deformation.reshape(-1, 2, *deformation.shape[1:3])"),
                ("resized.permute(0, 2, 3, 1)", "resized.reshape(-1, height, width, 2)"),
            ),
        ),
    ),
    alternatives=(_resize_by_reading, _resize_by_weights, _resize_by_coordinate),
    differentiable=("deformation",),
    box="skips",
)

# ----------------------------------------------------------------------------------------------------------- the skips


def _levels(batch: int = 1, seed: int = 5) -> list[Tensor]:
    """A pyramid of three levels, the picture first."""
    shapes = ((3, 8, 12), (4, 4, 6), (5, 2, 3))
    return [_rand(batch, *shape, seed=seed + i) for i, shape in enumerate(shapes)]


def _uneven(batch: int = 1, seed: int = 6, channels: tuple[int, ...] = (3, 2, 2)) -> list[Tensor]:
    """Three levels whose sizes do not divide one another, nor do they fall."""
    sizes = ((7, 9), (3, 8), (5, 6))
    return [_rand(batch, c, *size, seed=seed + i) for i, (c, size) in enumerate(zip(channels, sizes, strict=True))]


_TYPES = ((torch.float16, torch.float32, 2e-2), (torch.float64, torch.float32, 1e-4), (torch.float32, torch.float64, 1e-4))


def _own_type(run: Callable[[], list[Tensor]], level: torch.dtype, other: torch.dtype, what: str) -> list[Tensor]:
    """What an answer makes of levels of one type and something of another; each has to come back in its level's type."""
    tried = f"levels of {level}, {what} of {other}"
    said = f"levels and {what} may differ in type (half precision on a graphics card): each level keeps its own"
    try:
        got = run()
    except RuntimeError as error:
        stopped = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}"
        more = ". Bring both to one type before they meet (`.to(….dtype)`)"
        raise Violation(said + more, tried, f"levels of {level}", stopped) from None
    for one in got:
        if one.dtype != level:
            raise Violation(f"{said}. Take it from the level: `.to(level.dtype)`", tried, str(level), str(one.dtype))
    return got


def _skips_still(f: Function) -> None:
    levels = _levels()
    for got, level in zip(f(levels, _grid(8, 12), "bilinear"), levels, strict=True):
        tried = f"the lattice, resized bilinearly, and a level of {level.shape[2]}×{level.shape[3]}"
        expect(got, level, "where nothing moves, every level stays what it is", tried)


def _skips_picture(f: Function) -> None:
    levels = _levels()
    got = f(levels, _grid(8, 12) + torch.tensor([2 / 11, 0.0]))[0]
    wanted = F.pad(levels[0][..., 1:], (0, 1))
    expect(got, wanted, "the picture is level 0, and it is read through the deformation, too", "lattice + one column")


def _skips_definition(f: Function) -> None:
    levels, points = _levels(2), _rand(2, 8, 12, 2, seed=9) * 2.4 - 1.2
    for mode, resized in (("nearest", _nearest_by_loops), ("bilinear", _bilinear_by_loops)):
        for got, level in zip(f(levels, points, mode), levels, strict=True):
            height, width = level.shape[-2:]
            tried = f"random points brought to {height}×{width} ({mode})"
            wanted = read_by_loops(level, resized(points, height, width))
            expect(got, wanted, "each level is read at the deformation of its own size", tried)


def _skips_each_anew(f: Function) -> None:
    levels, points = _uneven(2), _rand(2, 10, 11, 2, seed=8) * 2 - 1
    for mode, resized in (("nearest", _nearest_by_loops), ("bilinear", _bilinear_by_loops)):
        for got, level in zip(f(levels, points, mode), levels, strict=True):
            height, width = level.shape[-2:]
            tried = f"random points of 10×11 for levels of 7×9, 3×8 and 5×6, here {height}×{width} ({mode})"
            said = "every level starts from the deformation that came in, not from that of the level before"
            expect(got, read_by_loops(level, resized(points, height, width)), said, tried)


def _skips_types(f: Function) -> None:
    levels, points = _levels(), _turned(8, 12)
    for mine, other, tolerance in _TYPES:
        cast = [level.to(mine) for level in levels]
        moved = _own_type(functools.partial(f, cast, points.to(other)), mine, other, "deformation")
        for got, level in zip(moved, cast, strict=True):
            height, width = level.shape[-2:]
            wanted = read_by_loops(level.float(), _nearest_by_loops(points, height, width))
            tried = f"levels of {mine}, deformation of {other}"
            expect(got, wanted, "each level is read at the deformation of its own size", tried, tolerance)


def _skips_small_deformation(f: Function) -> None:
    level = _levels()[:1]
    said = "a deformation that is smaller than the level is enlarged"
    expect(f(level, _grid(4, 6), "bilinear")[0], level[0], said, "the lattice of 4×6 and a picture of 8×12")


def _skips_list(f: Function) -> None:
    levels = _levels()
    before = list(levels)
    f(levels, _grid(8, 12))
    if len(levels) != len(before) or any(a is not b for a, b in zip(levels, before, strict=False)):
        raise Violation(
            "The list that comes in must stay as it is: the caller still needs it. Collect the results in a list of your "
            "own.",
            "a list of three levels, before and after",
            "the same three tensors",
            f"{len(levels)} tensors, not the same",
        )


def _skips_comprehension(levels: list[Tensor], deformation: Tensor, resize: Resize = "nearest") -> list[Tensor]:
    return [
        F.grid_sample(
            level,
            geometry.resize_deformation(deformation, level.shape[2], level.shape[3], resize).to(level.dtype),
            align_corners=True,
        )
        for level in levels
    ]


def _skips_in_double(levels: list[Tensor], deformation: Tensor, resize: Resize = "nearest") -> list[Tensor]:
    wide = deformation.double()
    out = []
    for level in levels:
        points = geometry.resize_deformation(wide, level.shape[2], level.shape[3], resize)
        out.append(geometry.warp(level.double(), points).to(level.dtype))
    return out


def _skips_channel_by_channel(levels: list[Tensor], deformation: Tensor, resize: Resize = "nearest") -> list[Tensor]:
    out = []
    for level in levels:
        points = geometry.resize_deformation(deformation, level.shape[2], level.shape[3], resize).to(level.dtype)
        out.append(torch.cat([geometry.warp(level[:, c : c + 1], points) for c in range(level.shape[1])], dim=1))
    return out


_READ = "geometry.warp(level.to(at_size.dtype), at_size).to(level.dtype)"
_RESIZED = "geometry.resize_deformation(deformation, height, width, resize)"

SKIPS = Exercise(
    id="deform-skips",
    title="Skips that move along",
    target="monkeynet_edu.generator:deform_levels",
    statement=(
        "Read every level of the encoder (a list of tensors, the picture itself is level 0) through the deformation, "
        "brought to the size of that level in the way that `resize` names. Return a new list, each level in its own type."
    ),
    level="stub",
    steps=(
        "an empty list for the results",
        "for each level:",
        "its height and width",
        "the deformation at that size (`geometry.resize_deformation`; hand on `resize`)",
        "the level, read there (`geometry.warp`; both need the same dtype, and the result gets the level's); into the list",
        "return the list",
    ),
    hints=(
        "Each level is a picture of the same scene, smaller and with more channels. What moved in the picture moved in "
        "all of them. What does a warp need to know about channels?",
        "Level i is (B, C_i, h_i, w_i) and the deformation (B, H, W, 2). `geometry.warp` gives a result of the "
        "*deformation's* size, so the deformation has to have (h_i, w_i) first.",
        "`at_size = geometry.resize_deformation(deformation, height, width, resize)` with `height, width = "
        "level.shape[-2:]`, then `geometry.warp(level.to(at_size.dtype), at_size).to(level.dtype)`.",
    ),
    calls=lambda: [
        Call("three levels and a random deformation", (_levels(2), _rand(2, 8, 12, 2, seed=2) * 2 - 1)),
        Call("three levels and a turn, resized bilinearly", (_levels(), _turned(8, 12), "bilinear")),
        Call("levels of 7×9, 3×8 and 5×6, random points of 10×11", (_uneven(), _rand(1, 10, 11, 2, seed=4) * 2 - 1)),
    ],
    properties=(
        Property("still", "where nothing moves, every level stays what it is", _skips_still),
        Property("picture", "level 0, the picture, is read through the deformation, too", _skips_picture),
        Property("definition", "each level is read at the deformation of its own size", _skips_definition),
        Property("each anew", "every level starts from the deformation that came in", _skips_each_anew),
        Property("types", "each level keeps its own type", _skips_types),
        Property("small deformation", "a deformation smaller than a level is enlarged", _skips_small_deformation),
        Property("list", "the list that comes in stays as it is", _skips_list),
    ),
    mutants=(
        Mutant(
            "picture-only",
            "Moving the picture is enough; the features follow.",
            "Your level 0 moves, the others stay. Nothing makes features follow: the encoder saw the *source*, where the "
            "arm still hangs down.",
            ((_READ, f"{_READ} if level is levels[0] else level"),),
        ),
        Mutant(
            "features-only",
            "The picture is the input, not a skip connection.",
            "Your features move, the picture does not. In this U-Net the picture itself is level 0, and the decoder reads "
            "it last of all: an arm that stays in it will show.",
            ((_READ, f"level if level is levels[0] else {_READ}"),),
        ),
        Mutant(
            "rescaled",
            "On a level with half the pixels, points have to be halved.",
            "Try the lattice: your smaller levels shrink towards the middle. Places run from -1 to 1 at every size. What "
            "is left to rescale?",
            ((_RESIZED, f"{_RESIZED} * width / deformation.shape[2]"),),
        ),
        Mutant(
            "forward",
            "The features have to be pushed along the motion.",
            "Your features move against the motion. The deformation says where to *read*, in features as in pictures.",
            ((_RESIZED, f"2 * geometry.lattice(height, width, dtype=deformation.dtype) - {_RESIZED}"),),
        ),
        Mutant(
            "always-nearest",
            "How the deformation is resized makes no difference.",
            "Right for `nearest`, wrong for `bilinear`: what becomes of the parameter `resize` in your function?",
            (("height, width, resize)", "height, width)"),),
        ),
        Mutant(
            "always-bilinear",
            "Bilinear is better, so always take it.",
            "Right for `bilinear`, wrong for `nearest`. A model that was trained with `nearest` has learned to live with "
            "it: what becomes of the parameter `resize` in your function?",
            (("height, width, resize)", 'height, width, "bilinear")'),),
        ),
        Mutant(
            "chained",
            "The next level is smaller still, so resize what is already small.",
            "Your first level is right. From then on you resize a deformation that was resized before: under which name "
            "does the one that came in live on?",
            ((f"at_size = {_RESIZED}", f"deformation = at_size = {_RESIZED}"),),
        ),
    ),
    alternatives=(_skips_comprehension, _skips_in_double, _skips_channel_by_channel),
    differentiable=("levels", "deformation"),
    box="skips",
)

# ------------------------------------------------------------------------------------------------------------ assemble


def _assemble_order(f: Function) -> None:
    levels, shown = _levels(2), _rand(2, 6, 8, 12, seed=3)
    for got, level in zip(f(levels, shown), levels, strict=True):
        channels = level.shape[1]
        said = "a level's own channels come first, then the keypoints'"
        expect(got.shape[1], channels + 6, "every level gets all channels of the keypoints", f"{channels} and 6 channels")
        expect(got[:, :channels], level, said, f"a level of {channels} channels and 6 of keypoints")


def _assemble_every_second(f: Function) -> None:
    levels, shown = _levels(), _rand(1, 2, 8, 12, seed=4)
    for step, (got, level) in zip((1, 2, 4), zip(f(levels, shown), levels, strict=True), strict=True):
        wanted = shown[:, :, ::step, ::step]
        tried = f"pictures of 8×12 for a level of {level.shape[2]}×{level.shape[3]}"
        expect(got[:, level.shape[1] :], wanted, "nearest: half the size keeps every second pixel, unchanged", tried)


def _assemble_enlarges(f: Function) -> None:
    level, shown = torch.zeros(1, 1, 4, 4), torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    wanted = [[1.0, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    expect(
        f([level], shown)[0][0, 1],
        wanted,
        "where the pictures are smaller, each pixel is repeated",
        "[[1, 2], [3, 4]] to 4×4",
    )


def _assemble_each_anew(f: Function) -> None:
    levels, shown = _uneven(2), _rand(2, 4, 10, 11, seed=7)
    for got, level in zip(f(levels, shown), levels, strict=True):
        height, width = level.shape[-2:]
        wanted = _nearest_by_loops(shown.movedim(1, -1), height, width).movedim(-1, 1)
        tried = f"pictures of 10×11 for levels of 7×9, 3×8 and 5×6, here {height}×{width}"
        said = "row ⌊i·H/h⌋, column ⌊j·W/w⌋ of the pictures that came in, whatever the level before"
        expect(got[:, level.shape[1] :], wanted, said, tried)


def _assemble_types(f: Function) -> None:
    levels, shown = _levels(), _rand(1, 2, 8, 12, seed=4)
    for mine, other, tolerance in _TYPES:
        cast = [level.to(mine) for level in levels]
        joined = _own_type(functools.partial(f, cast, shown.to(other)), mine, other, "pictures")
        for got, level in zip(joined, cast, strict=True):
            step = 8 // level.shape[2]
            wanted = torch.cat([level.float(), shown[:, :, ::step, ::step]], dim=1)
            said = "a level's own channels come first, then the keypoints', whatever their types"
            expect(got, wanted, said, f"levels of {mine}, pictures of {other}", tolerance)


def _assemble_list(f: Function) -> None:
    levels = _levels()
    before = list(levels)
    f(levels, _rand(1, 2, 8, 12))
    if len(levels) != len(before) or any(a is not b for a, b in zip(levels, before, strict=False)):
        raise Violation(
            "The list that comes in must stay as it is: encoded levels are used again for the next frame. (The authors' "
            "own decoder empties its caller's list.)",
            "a list of three levels, before and after",
            "the same three tensors",
            f"{len(levels)} tensors, not the same",
        )


def _assemble_by_interpolate(levels: list[Tensor], shown: Tensor) -> list[Tensor]:
    return [torch.cat((level, F.interpolate(shown, level.shape[-2:], mode="nearest").to(level)), 1) for level in levels]


def _assemble_by_index(levels: list[Tensor], shown: Tensor) -> list[Tensor]:
    out = []
    for level in levels:
        rows = torch.arange(level.shape[2]) * shown.shape[2] // level.shape[2]
        columns = torch.arange(level.shape[3]) * shown.shape[3] // level.shape[3]
        out.append(torch.cat([level, shown[:, :, rows][..., columns].to(level.dtype)], dim=1))
    return out


def _assemble_into_zeros(levels: list[Tensor], shown: Tensor) -> list[Tensor]:
    out = []
    for level in levels:
        channels = level.shape[1]
        joined = level.new_zeros(len(level), channels + shown.shape[1], *level.shape[-2:])
        joined[:, :channels] = level
        joined[:, channels:] = geometry.resize(shown.double(), *level.shape[-2:]).to(level.dtype)
        out.append(joined)
    return out


ASSEMBLE = Exercise(
    id="assemble",
    title="What the decoder reads",
    target="monkeynet_edu.generator:assemble",
    statement=(
        "Append the pictures of the keypoints to every level: resized to the level's height and width by nearest "
        "neighbours (`geometry.resize(image, height, width)`), as further channels behind the level's own. Return a new "
        "list, each level in its own type (`level.dtype`)."
    ),
    level="blank page",
    hints=(
        "The decoder has to know, at every resolution, where the keypoints are. A convolution reads channels, so tell it "
        "by channels.",
        "A level (B, C, h, w) and pictures (B, n, H, W) become (B, C + n, h, w). The batch and the size have to agree "
        "before two tensors can be joined along their channels, which are axis 1.",
        "`torch.cat([level, geometry.resize(shown, *level.shape[-2:]).to(level.dtype)], dim=1)` for each level.",
    ),
    calls=lambda: [
        Call("three levels and 2 pictures of 8×12", (_levels(2), _rand(2, 2, 8, 12, seed=2))),
        Call("three levels and 5 pictures of 8×12", (_levels(), _rand(1, 5, 8, 12, seed=3) - 0.5)),
        Call("levels of 7×9, 3×8 and 5×6, 4 pictures of 10×11", (_uneven(), _rand(1, 4, 10, 11, seed=4))),
    ],
    properties=(
        Property("order", "a level's own channels come first, then the keypoints'", _assemble_order),
        Property("nearest", "half the size keeps every second pixel, unchanged", _assemble_every_second),
        Property("each anew", "every level takes the pictures that came in", _assemble_each_anew),
        Property("types", "each level keeps its own type", _assemble_types),
        Property("enlarged", "where the pictures are smaller, each pixel is repeated", _assemble_enlarges),
        Property("list", "the list that comes in stays as it is", _assemble_list),
    ),
    mutants=(
        Mutant(
            "keypoints-first",
            "The order of channels does not matter, the network learns it anyway.",
            "It would not matter to a network that is trained from now on. This one was trained already: it expects the "
            "level's own channels first.",
            (("torch.cat([level, small], dim=1)", "torch.cat([small, level], dim=1)"),),
        ),
        Mutant(
            "chained",
            "The next level is smaller still, so resize what is already small.",
            "Your first level is right. From then on you resize pictures that were resized before: under which name do "
            "those that came in live on?",
            (("small = geometry.resize", "shown = small = geometry.resize"),),
        ),
        Mutant(
            "cropped",
            "A smaller level takes the part of the pictures that fits.",
            "Your small levels see the upper left corner of the pictures only. A small level shows the *whole* scene, in "
            "less detail. So must the pictures.",
            (("geometry.resize(shown, height, width)", "shown[..., :height, :width]"),),
        ),
        Mutant(
            "averaged",
            "Smaller means averaged.",
            "Averaging is a good way to shrink a picture; here the nearest pixel is asked for (the weights were trained "
            "with it).",
            (
                (
                    "geometry.resize(shown, height, width)",
                    "nn.functional.adaptive_avg_pool2d(shown, (height, width))",
                ),
            ),
        ),
        Mutant(
            "rescaled",
            "A heatmap has a sum, and a smaller picture of it has to keep that sum.",
            "Your values grow as levels get smaller. `resize` takes pixels as they are; nothing asks for the sum to stay.",
            (
                (
                    "geometry.resize(shown, height, width)",
                    "(geometry.resize(shown, height, width) * (shown.shape[-1] / width) ** 2)",
                ),
            ),
        ),
    ),
    alternatives=(_assemble_by_interpolate, _assemble_by_index, _assemble_into_zeros),
    differentiable=("levels", "shown"),
    box="assemble",
)

LESSON = Lesson(
    number="05",
    slug="a_generator_that_deforms",
    title="A generator that deforms",
    minutes=120,
    imports=IMPORTS,
    exercises=(RESIZE, SKIPS, ASSEMBLE),
)
