"""Lesson 12: the paper's rivals, what makes a comparison fair, and what votes allow one to say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import beta, binomtest
from torch import Tensor

from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, Violation, expect, two_ends

IMPORTS = """\
import math

import torch
import torch.nn.functional as F
from scipy.special import betaincinv
from torch import Tensor

from monkeynet_edu import animation, baselines, geometry
from monkeynet_edu.baselines import sv2p, x2face
from monkeynet_edu.course import study
from monkeynet_edu.course.lessons import figures12 as figures
from monkeynet_edu.course.study import statistics"""


def _expect_planes(got: Tensor, expected: Tensor, message: str, tried: str) -> None:
    """Holds pictures (…, H, W) against an oracle one by one, so that the one that is drawn is one that is wrong."""
    if got.shape != expected.shape:
        expect(got, expected, message, tried)
    for entry in itertools.product(*(range(n) for n in expected.shape[:-2])):
        expect(got[entry], expected[entry], message, f"{tried}; entry {list(entry)} of the result")


# ---------------------------------------------------------------------------------------- reading the embedded face


def _moves(targets: Tensor) -> Tensor:
    """Fields (B, H, W, 2) that read the pixels (x, y) named in ``targets`` (B, H, W, 2)."""
    _, height, width, _ = targets.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    offsets = targets - torch.stack([x, y], dim=-1)
    return 2 * offsets / torch.tensor([width - 1, height - 1])


def _targets(batch: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """A pixel (x, y) drawn for every pixel: (B, H, W, 2)."""
    x = torch.randint(width, (batch, height, width), generator=generator)
    y = torch.randint(height, (batch, height, width), generator=generator)
    return torch.stack([x, y], dim=-1)


def _reading_calls() -> Sequence[Call]:
    return (
        Call(
            "two random 6×9 pictures, two random fields",
            (torch.rand(2, 3, 6, 9), 0.6 * torch.rand(2, 6, 9, 2) - 0.3, 0.6 * torch.rand(2, 6, 9, 2) - 0.3),
        ),
        Call(
            "a random grey 7×5 picture, two random fields",
            (torch.rand(1, 1, 7, 5), 0.8 * torch.rand(1, 7, 5, 2) - 0.4, 0.8 * torch.rand(1, 7, 5, 2) - 0.4),
        ),
    )


def _zeros_give_the_source(f: Function) -> None:
    source, zeros = torch.rand(2, 3, 5, 8), torch.zeros(2, 5, 8, 2)
    expect(f(source, zeros, zeros), source, "Two fields of zeros give the source back", "a random 5×8 picture, zeros")


def _reads_by_pixels(f: Function) -> None:
    generator = torch.Generator().manual_seed(3)
    height, width = 5, 7
    source = torch.rand(2, 3, height, width, generator=generator)
    first, second = (_targets(2, height, width, generator) for _ in range(2))
    right = torch.empty_like(source)
    for b, y, x in itertools.product(range(2), range(height), range(width)):
        x1, y1 = second[b, y, x].tolist()  # where the frame reads the embedded face
        x2, y2 = first[b, y1, x1].tolist()  # where that pixel of the embedded face reads the source
        right[b, :, y, x] = source[b, :, y2, x2]
    message = "A pixel of the frame reads the embedded face, and the pixel found there reads the source"
    tried = "a random 5×7 picture; fields that point at whole pixels, drawn for each pixel"
    _expect_planes(f(source, _moves(first), _moves(second)), right, message, tried)


def _driving_field_alone(f: Function) -> None:
    source = torch.rand(1, 3, 4, 6)
    still, right_neighbour = torch.zeros(1, 4, 6, 2), torch.zeros(1, 4, 6, 2)
    right_neighbour[..., 0] = 2 / 5  # one pixel of six
    moved = torch.cat([source[..., 1:], source[..., -1:]], dim=-1)
    message = "An offset of one pixel to the right reads the neighbour on the right"
    got = f(source, still, right_neighbour)
    expect(got[..., :5], moved[..., :5], message, "a 4×6 picture, an embedded face that is the source")
    got = f(source, right_neighbour, still)
    expect(got[..., :5], moved[..., :5], message, "a 4×6 picture, a driving field of zeros")


def _nothing_beyond(f: Function) -> None:
    source = torch.rand(1, 3, 4, 6)
    still, right_neighbour = torch.zeros(1, 4, 6, 2), torch.zeros(1, 4, 6, 2)
    right_neighbour[..., 0] = 2 / 5  # the last column reads beyond the border
    message = "Beyond the border there is nothing: who reads there gets 0"
    for fields, name in (((right_neighbour, still), "embedding"), ((still, right_neighbour), "driving")):
        tried = f"the last column of a 4×6 picture, the {name} field one pixel to the right"
        expect(f(source, *fields)[..., 5:], torch.zeros(1, 3, 4, 1), message, tried)


def _between_pixels(f: Function) -> None:
    source = torch.rand(1, 3, 4, 6)
    still, half = torch.zeros(1, 4, 6, 2), torch.zeros(1, 4, 6, 2)
    half[..., 0] = 1 / 5  # half a pixel of six
    twice = (source[..., :-2] + 2 * source[..., 1:-1] + source[..., 2:]) / 4
    message = "Between two pixels a reading gives their mean; read twice, the mean of means"
    expect(f(source, half, half)[..., :4], twice, message, "a 4×6 picture, both fields half a pixel to the right")
    once = (source[..., :-1] + source[..., 1:]) / 2
    expect(f(source, half, still)[..., :5], once, message, "a 4×6 picture, the embedding field half a pixel to the right")


def _read_by_grid_sample(source: Tensor, embedding_field: Tensor, driving_field: Tensor) -> Tensor:
    height, width = source.shape[-2:]
    y, x = torch.linspace(-1, 1, height).to(source), torch.linspace(-1, 1, width).to(source)
    still = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=-1)
    face = F.grid_sample(source, still + embedding_field, padding_mode="zeros", align_corners=True)
    return F.grid_sample(face, still + driving_field, padding_mode="zeros", align_corners=True)


def _read_by_gathering(source: Tensor, embedding_field: Tensor, driving_field: Tensor) -> Tensor:
    """Bilinear reading from four neighbours, written out."""

    def read(picture: Tensor, field: Tensor) -> Tensor:
        batch, channels, height, width = picture.shape
        x = torch.arange(width).to(field) + field[..., 0] * (width - 1) / 2
        y = torch.arange(height).to(field)[:, None] + field[..., 1] * (height - 1) / 2
        flat = picture.reshape(batch, channels, -1)
        out = torch.zeros_like(picture)
        for dy, dx in itertools.product((0, 1), repeat=2):
            xi, yi = x.floor().long() + dx, y.floor().long() + dy
            inside = (xi >= 0) & (xi < width) & (yi >= 0) & (yi < height)  # beyond the border there is nothing
            weight = inside * (1 - (x - xi).abs()) * (1 - (y - yi).abs())
            index = (
                (yi.clamp(0, height - 1) * width + xi.clamp(0, width - 1)).reshape(batch, 1, -1).expand(-1, channels, -1)
            )
            out = out + flat.gather(2, index).reshape(picture.shape) * weight[:, None]
        return out

    return read(read(source, embedding_field), driving_field)


def _read_in_double(source: Tensor, embedding_field: Tensor, driving_field: Tensor) -> Tensor:
    fields = (embedding_field.double(), driving_field.double())
    return _read_by_grid_sample(source.double(), *fields).to(source.dtype)


_READ = ("source, still + embedding_field", "face, still + driving_field")

READING = Exercise(
    id="embedded-face",
    title="Reading the embedded face",
    target="monkeynet_edu.baselines.x2face:read_embedded_face",
    statement=(
        "Draw X2Face's frame: read the source at the embedding field, which gives the *embedded face*; then read the "
        "embedded face at the driving field. Both fields are offsets to the lattice; beyond a border there is nothing (0)."
    ),
    level="stub",
    steps=(
        "the lattice of the picture's size: where each pixel reads if nothing moves",
        "the embedded face: the source, read at the lattice plus the first field",
        "the frame: the embedded face, read at the lattice plus the second field",
    ),
    hints=(
        "Nothing is painted here. Twice a picture is made by *reading* another one: at every pixel, a field says how far "
        "from here to look. Which picture does the driving field look into?",
        "`geometry.lattice(height, width, device=source.device)` is (H, W, 2), and a field (B, H, W, 2): they add up to a "
        "deformation. `geometry.warp(picture, deformation)` reads; source and result are (B, C, H, W).",
        "`face = geometry.warp(source, still + embedding_field)`, then the same with `face` and the other field.",
    ),
    calls=_reading_calls,
    properties=(
        Property("zeros", "two fields of zeros give the source back", _zeros_give_the_source),
        Property("one-field", "one pixel to the right reads the neighbour on the right", _driving_field_alone),
        Property("pixel-by-pixel", "the frame reads the embedded face, which reads the source", _reads_by_pixels),
        Property("between", "between two pixels lies their mean", _between_pixels),
        Property("beyond", "beyond the border there is nothing", _nothing_beyond),
    ),
    mutants=(
        Mutant(
            "other-order",
            "two readings can be exchanged",
            "You read the source at the *driving* field first. The driving field knows the embedded face, not this "
            "source: it says where in the embedded face a frame finds its pixels. Which reading has to come first?",
            (
                ("geometry.warp(source, still + embedding_field)", "geometry.warp(source, still + driving_field)"),
                ("geometry.warp(face, still + driving_field)", "geometry.warp(face, still + embedding_field)"),
            ),
        ),
        Mutant(
            "fields-added",
            "two movements one after the other are their sum",
            "You add both fields and read once. But the first field has to be looked up *where the second one points to*, "
            "not where you started (lesson 01, composition). Read twice.",
            (
                (
                    "geometry.warp(face, still + driving_field)",
                    "geometry.warp(source, still + embedding_field + driving_field)",
                ),
            ),
        ),
        Mutant(
            "source-read",
            "the driving field says where in the source a pixel comes from",
            "Your frame is read from the source, and the embedded face is never looked at. The driving network has not "
            "seen this source: its field points into the embedded face.",
            (("geometry.warp(face, still + driving_field)", "geometry.warp(source, still + driving_field)"),),
        ),
        Mutant(
            "no-lattice",
            "a field holds places",
            "You read at the fields themselves. They are *offsets*: zeros have to mean 'stay', and with you they mean "
            "'the middle of the picture'.",
            (("still + embedding_field", "embedding_field"), ("still + driving_field", "driving_field")),
        ),
        Mutant(
            "carried-along",
            "a field says where a pixel goes",
            "You subtract the fields, as if they said where a pixel *goes*. They say where a pixel is *read* (backward, "
            "as everywhere in this course).",
            (("still + embedding_field", "still - embedding_field"), ("still + driving_field", "still - driving_field")),
        ),
        Mutant(
            "x-y-swapped",
            "the first number of an offset is the row",
            "Your offsets are taken as (y, x). In fields and lattices x stands first.",
            (
                ("still + embedding_field", "still + embedding_field.flip(-1)"),
                ("still + driving_field", "still + driving_field.flip(-1)"),
            ),
        ),
        Mutant(
            "half-pixel-off",
            "-1 and 1 are the outer edges of a picture",
            "You read by the other convention (`align_corners=False`, PyTorch's default): there -1 and 1 are the outer "
            "edges of the corner pixels, here their *centres* (lesson 01). `geometry.warp` knows that.",
            tuple((f"geometry.warp({a})", f"nn.functional.grid_sample({a}, align_corners=False)") for a in _READ),
        ),
        Mutant(
            "border-goes-on",
            "beyond the border, the border goes on",
            "Beyond the border you repeat the border. That is how exercise 2 wants it; here there is nothing (0), as "
            "everywhere that `geometry.warp` reads.",
            tuple(
                (
                    f"geometry.warp({a})",
                    f'nn.functional.grid_sample({a}, padding_mode="border", align_corners=True)',
                )
                for a in _READ
            ),
        ),
        Mutant(
            "fields-composed",
            "two readings are one reading at the composed field",
            "You compose the two fields and read once. At whole pixels that is nearly the same; between them it is not. "
            "X2Face really makes the embedded face, a picture, and reads that: colours are mixed twice. Read twice.",
            (
                (
                    "geometry.warp(face, still + driving_field)",
                    "geometry.warp(source, geometry.compose(still + driving_field, still + embedding_field))",
                ),
            ),
        ),
    ),
    alternatives=(_read_by_grid_sample, _read_by_gathering, _read_in_double),
    differentiable=("source", "embedding_field", "driving_field"),
    box="rivals",
)

# --------------------------------------------------------------------------------------------------- SV2P's kernels


def _kernels(*shape: int) -> Tensor:
    """Random kernels (…, 5, 5) with sums of 1."""
    return (2 * torch.randn(*shape, 25)).softmax(dim=-1).reshape(*shape, 5, 5)


def _only(row: int, column: int) -> Tensor:
    """One kernel (1, 1, 5, 5) with all its weight at one place."""
    kernel = torch.zeros(1, 1, 5, 5)
    kernel[0, 0, row, column] = 1.0
    return kernel


def _cdna_calls() -> Sequence[Call]:
    return (
        Call("two random 6×9 pictures, four random kernels each", (torch.rand(2, 3, 6, 9), _kernels(2, 4))),
        Call("three random grey 7×5 pictures, two random kernels each", (torch.rand(3, 1, 7, 5), _kernels(3, 2))),
        Call("a random 5×6 picture, two kernels of half the weight", (torch.rand(1, 3, 5, 6), _kernels(1, 2) / 2)),
    )


def _middle_stays(f: Function) -> None:
    frame = torch.rand(1, 3, 5, 8)
    message = "A kernel with all its weight in the middle leaves the picture as it is"
    expect(f(frame, _only(2, 2)), frame[:, None], message, "a random 5×8 picture, one kernel")


def _reads_where_the_weight_is(f: Function) -> None:
    frame = torch.rand(1, 3, 6, 8)
    message = "Weight 1 at column offset +2 reads the pixel two columns to the right"
    got = f(frame, _only(2, 4))[:, 0]
    expect(got[..., :-2], frame[..., 2:], message, "a random 6×8 picture, kernels[0, 0, 2, 4] = 1")
    message = "Weight 1 at row offset -1 reads the pixel one row above"
    got = f(frame, _only(1, 2))[:, 0]
    expect(got[..., 1:, :], frame[..., :-1, :], message, "a random 6×8 picture, kernels[0, 0, 1, 2] = 1")


def _border_goes_on(f: Function) -> None:
    frame = torch.full((1, 3, 6, 7), 0.7)
    message = "A picture of one colour stays so up to its border: beyond the border, the border goes on"
    expect(f(frame, _kernels(1, 3)), torch.full((1, 3, 3, 6, 7), 0.7), message, "a picture of 0.7, three random kernels")
    frame = torch.rand(1, 3, 6, 7)
    message = "Beyond the border, the border goes on: who reads there gets the pixel at the border"
    got = f(frame, _only(2, 4))[:, 0]
    tried = "the last two columns of a random 6×7 picture, kernels[0, 0, 2, 4] = 1"
    expect(got[..., -2:], frame[..., -1:].expand(1, 3, 6, 2), message, tried)
    got = f(frame, _only(0, 2))[:, 0]
    tried = "the first two rows of a random 6×7 picture, kernels[0, 0, 0, 2] = 1"
    expect(got[..., :2, :], frame[..., :1, :].expand(1, 3, 2, 7), message, tried)


def _taken_as_they_come(f: Function) -> None:
    frame, kernels = torch.rand(1, 3, 5, 6), _kernels(1, 2)
    message = "Kernels are taken as they come: half the weight gives half the picture"
    tried = "a random 5×6 picture, two random kernels, and the same with half the weight"
    expect(f(frame, kernels / 2), f(frame, kernels) / 2, message, tried)


def _loops(frame: Tensor, kernels: Tensor) -> Tensor:
    """The definition, number by number."""
    batch, channels, height, width = frame.shape
    out = torch.zeros(batch, kernels.shape[1], channels, height, width, dtype=torch.float64)
    for b, k, c, y, x in itertools.product(*(range(n) for n in out.shape)):
        for i, j in itertools.product(range(5), repeat=2):
            yy, xx = min(max(y + i - 2, 0), height - 1), min(max(x + j - 2, 0), width - 1)
            out[b, k, c, y, x] += float(kernels[b, k, i, j]) * float(frame[b, c, yy, xx])
    return out


def _as_defined(f: Function) -> None:
    frame, kernels = torch.rand(2, 3, 4, 3), _kernels(2, 2)
    message = "Entry [b, k, c] is channel c of frame b under the k-th kernel of frame b"
    tried = "two random 4×3 pictures, two random kernels each"
    _expect_planes(f(frame, kernels), _loops(frame, kernels).float(), message, tried)


def _each_its_own(f: Function) -> None:
    frame, kernels = torch.rand(3, 3, 5, 6), _kernels(3, 4)
    alone = torch.cat([f(frame[b : b + 1], kernels[b : b + 1]) for b in range(3)])
    message = "Each frame of a batch meets its own kernels: together or alone, the same comes out"
    tried = "three random 5×6 pictures with four kernels each, together and one by one"
    _expect_planes(f(frame, kernels), alone, message, tried)


def _cdna_by_unfold(frame: Tensor, kernels: Tensor) -> Tensor:
    batch, channels, height, width = frame.shape
    patches = F.unfold(F.pad(frame, (2, 2, 2, 2), mode="replicate"), 5).reshape(batch, channels, 25, height, width)
    return torch.einsum("bcnyx,bkn->bkcyx", patches, kernels.flatten(2))


def _cdna_by_shifts(frame: Tensor, kernels: Tensor) -> Tensor:
    height, width = frame.shape[-2:]
    around = F.pad(frame, (2, 2, 2, 2), mode="replicate")
    shifts = itertools.product(range(5), repeat=2)
    return sum(  # type: ignore[return-value]
        kernels[:, :, i, j, None, None, None] * around[:, None, :, i : i + height, j : j + width] for i, j in shifts
    )


def _cdna_one_by_one(frame: Tensor, kernels: Tensor) -> Tensor:
    padded = F.pad(frame.double(), (2, 2, 2, 2), mode="replicate")
    rows = [F.conv2d(one[:, None], own.double()[:, None]) for one, own in zip(padded, kernels, strict=True)]
    return torch.stack(rows).transpose(1, 2).to(frame.dtype)


CDNA = Exercise(
    id="cdna",
    title="SV2P's kernels",
    target="monkeynet_edu.baselines.sv2p:cdna",
    statement=(
        "Apply K kernels of 5×5 numbers to a frame. Every frame of the batch has kernels of its own; all colours of a "
        "frame use the same. (B, C, H, W) and (B, K, 5, 5) → (B, K, C, H, W)."
    ),
    level="stub",
    steps=(
        "the frame with two more pixels on every side, copies of the border (F.pad, mode replicate)",
        "frames side by side as channels, (C, B, H + 4, W + 4): then each channel can meet its own kernels",
        "one convolution in B groups: (C, B·K, H, W)",
        "apart again and in order: (B, K, C, H, W)",
    ),
    hints=(
        "Each result is the picture, moved a little: every pixel becomes a weighted sum of the 25 around it. The weights "
        "are the same all over the picture, and different from frame to frame.",
        "`F.pad(frame, (2, 2, 2, 2), mode='replicate')` is (B, C, H + 4, W + 4). A convolution mixes no groups: with "
        "`groups=B` and weights (B·K, 1, 5, 5), channel b of the input meets kernels b·K … b·K + K - 1. Or go another way: "
        "25 shifted copies, each times its weight, summed up.",
        "`moved = F.conv2d(around.transpose(0, 1), kernels.flatten(0, 1)[:, None], groups=len(frame))`, then reshape to "
        "(C, B, K, H, W) and permute.",
    ),
    calls=_cdna_calls,
    properties=(
        Property("middle", "weight in the middle leaves the picture as it is", _middle_stays),
        Property("offsets", "the picture is read where the weight is", _reads_where_the_weight_is),
        Property("border", "beyond the border, the border goes on", _border_goes_on),
        Property("as-they-come", "half the weight gives half the picture", _taken_as_they_come),
        Property("definition", "every number is the sum of its 25 products", _as_defined),
        Property("own-kernels", "each frame meets its own kernels", _each_its_own),
    ),
    mutants=(
        Mutant(
            "dark-border",
            "beyond a picture there is nothing, so zeros",
            "Beyond the border you read zeros: black creeps in from the edges, a little farther in every frame. Let the "
            "border go on instead.",
            (('mode="replicate"', 'mode="constant"'),),
        ),
        Mutant(
            "reflected-border",
            "beyond a picture there is its mirror image",
            "Beyond the border you mirror the picture: what leaves it comes back from outside. Let the border's own pixels "
            "go on instead.",
            (('mode="replicate"', 'mode="reflect"'),),
        ),
        Mutant(
            "mirrored",
            "a convolution turns its kernel round",
            "Your kernels are turned by 180°: what should be read on the right is read on the left. Mathematicians' "
            "convolution does that; `kernels[…, i, j]` is to weigh the pixel at row offset i - 2, column offset j - 2.",
            (("kernels.flatten(0, 1)[:, None]", "kernels.flatten(0, 1)[:, None].flip(-1, -2)"),),
        ),
        Mutant(
            "rows-for-columns",
            "the first index of a kernel is x",
            "Rows and columns of your kernels are exchanged. The first of the two indices is the row, as in every picture.",
            (("kernels.flatten(0, 1)[:, None]", "kernels.flatten(0, 1)[:, None].transpose(-1, -2)"),),
        ),
        Mutant(
            "first-for-all",
            "a batch shares its kernels",
            "All frames of your batch are moved by the kernels of the first. Each future has its own latent, and with it "
            "its own kernels.",
            (("kernels.flatten(0, 1)", "kernels[:1].expand_as(kernels).flatten(0, 1)"),),
        ),
        Mutant(
            "softmax-again",
            "kernels still have to be normalised",
            "You normalise the kernels again. They come with a sum of 1 already; a second softmax makes them all nearly "
            "equal, and the picture a blur.",
            (("kernels.flatten(0, 1)[:, None]", "kernels.flatten(2).softmax(-1).reshape(-1, 1, 5, 5)"),),
        ),
        Mutant(
            "divided-by-sum",
            "to be on the safe side, kernels are divided by their sum",
            "You divide the kernels by their sum. It is 1 already, so the picture stays the same; but the gradient that "
            "reaches the kernels becomes another one. Take them as they come.",
            (
                (
                    "kernels.flatten(0, 1)[:, None]",
                    "(kernels / kernels.sum(dim=(-2, -1), keepdim=True)).flatten(0, 1)[:, None]",
                ),
            ),
        ),
        Mutant(
            "reshaped-only",
            "reshape puts axes in another order",
            "The shape is right, the numbers are in the wrong places: colours, frames and kernels are mixed up. `reshape` "
            "only cuts the same row of numbers anew; to exchange axes, `permute` them.",
            (
                (
                    "moved.reshape(len(moved), len(frame), -1, *moved.shape[-2:]).permute(1, 2, 0, 3, 4)",
                    "moved.reshape(len(frame), -1, len(moved), *moved.shape[-2:])",
                ),
            ),
        ),
    ),
    alternatives=(_cdna_by_unfold, _cdna_by_shifts, _cdna_one_by_one),
    differentiable=("frame", "kernels"),
    box="rivals",
)

# ------------------------------------------------------------------------------------------------ the exact interval


def _interval_calls() -> Sequence[Call]:
    return (
        Call("7 of 10 votes", (7, 10)),
        Call("no vote of 12 (0 or more always happen: at the lower end there is nothing to invert)", (0, 12)),
        Call("all of 5 votes, level 0.9 (5 or fewer always happen)", (5, 5), {"level": 0.9}),
        Call("1 of 30 votes, level 0.8", (1, 30, 0.8)),
    )


def _observe_interval(f: Function, call: Call) -> Tensor:
    return torch.tensor(two_ends(f(*call.args, **call.kwargs), call.said), dtype=torch.float64)


def at_least(wins: int, votes: int, share: float) -> float:
    """Probability of ``wins`` or more of ``votes`` where each goes this way with the probability ``share``."""
    ways = (math.comb(votes, n) * share**n * (1 - share) ** (votes - n) for n in range(wins, votes + 1))
    return math.fsum(ways)


def _all_and_none(f: Function) -> None:
    for votes in (10, 1, 40):
        tried = f"{votes} of {votes} votes"
        least = 0.025 ** (1 / votes)
        message = f"If all of {votes} votes are wins, the lower end p has p^{votes} = 2.5 %, and the upper end is 1"
        expect(torch.tensor(two_ends(f(votes, votes), tried)), [least, 1.0], message, tried)
        message = f"If none of {votes} votes is a win, the lower end is 0, and the upper end p has (1 - p)^{votes} = 2.5 %"
        tried = f"0 of {votes} votes"
        expect(torch.tensor(two_ends(f(0, votes), tried)), [0.0, 1 - least], message, tried)


def _tails(f: Function) -> None:
    for wins, votes in ((1, 2), (1, 10), (7, 10), (9, 10), (11, 30)):
        tried = f"{wins} of {votes} votes"
        low, high = two_ends(f(wins, votes), tried)
        message = f"At the lower end, {wins} or more of {votes} votes have to have a probability of 2.5 %"
        expect(at_least(wins, votes, low), 0.025, message, tried)
        message = f"At the upper end, {wins} or fewer of {votes} votes have to have a probability of 2.5 %"
        expect(1 - at_least(wins + 1, votes, high), 0.025, message, tried)


def _mirror(f: Function) -> None:
    for wins, votes in ((2, 9), (13, 20)):
        tried = f"{wins} of {votes} votes, and {votes - wins} of {votes}"
        low, high = two_ends(f(wins, votes), tried)
        back = two_ends(f(votes - wins, votes), tried)
        message = "Who counts the other film's votes gets the same interval, seen from 1"
        expect(torch.tensor(back), [1 - high, 1 - low], message, tried)


def _other_levels(f: Function) -> None:
    for level in (0.5, 0.8, 0.99):
        tried = f"4 of 11 votes, level {level}"
        low, high = two_ends(f(4, 11, level), tried)
        message = f"At the lower end, 4 or more of 11 votes have to have the probability (1 - {level}) / 2"
        expect(at_least(4, 11, low), (1 - level) / 2, message, tried)
        message = f"At the upper end, 4 or fewer of 11 votes have to have the probability (1 - {level}) / 2"
        expect(1 - at_least(5, 11, high), (1 - level) / 2, message, tried)


def _covers(f: Function) -> None:
    votes = 8
    ends = [two_ends(f(wins, votes), f"{wins} of {votes} votes") for wins in range(votes + 1)]
    for share in np.linspace(0.01, 0.99, 99).tolist():
        held = [wins for wins, (low, high) in enumerate(ends) if low <= share <= high]
        chance = math.fsum(math.comb(votes, n) * share**n * (1 - share) ** (votes - n) for n in held)
        if chance < 0.95 - 1e-9:
            message = "Whatever the true share is, the interval has to hold it in at least 95 % of all studies"
            raise Violation(message, f"studies of 8 votes, true share {share:.2f}", "0.95 or more", f"{chance:.3f}")


def _by_bisection(wins: int, votes: int, level: float = 0.95) -> tuple[float, float]:
    """Halves [0, 1] until the tail fits."""

    def least(count: int, tail: float) -> float:
        below, above = 0.0, 1.0
        for _ in range(45):
            middle = (below + above) / 2
            below, above = (middle, above) if at_least(count, votes, middle) < tail else (below, middle)
        return below

    tail = (1 - level) / 2
    return (least(wins, tail) if wins else 0.0, least(wins + 1, 1 - tail) if wins < votes else 1.0)


def _by_scipy(wins: int, votes: int, level: float = 0.95) -> tuple[float, float]:
    found = binomtest(wins, votes).proportion_ci(confidence_level=level, method="exact")
    return float(found.low), float(found.high)


def _by_quantiles(wins: int, votes: int, level: float = 0.95) -> tuple[float, float]:
    losses = votes - wins
    low = beta.ppf((1 - level) / 2, wins, losses + 1) if wins else 0.0
    return float(low), float(beta.isf((1 - level) / 2, wins + 1, losses)) if losses else 1.0


_LOW = "0.0 if wins == 0 else float(betaincinv(wins, votes - wins + 1, tail))"
_HIGH = "1.0 if wins == votes else float(betaincinv(wins + 1, votes - wins, 1 - tail))"

BINOMIAL = Exercise(
    id="clopper-pearson",
    title="The exact interval of a share",
    target="monkeynet_edu.course.study.statistics:clopper_pearson",
    statement=(
        "The exact interval of a share of votes, lower and upper end. At the lower end p, `wins` or more of `votes` have "
        "the probability (1 - level) / 2; at the upper end, `wins` or fewer have it."
    ),
    level="blank page",
    steps=(
        "how much goes off at each end",
        "the lower end; where there are no wins it is 0",
        "the upper end; where there are only wins it is 1",
    ),
    hints=(
        "Do not ask how likely each share is. Ask of each share how likely *your votes* are: too small a share hardly "
        "ever gives so many wins, too large a one hardly ever so few. The ends are where 'hardly ever' begins.",
        "`betaincinv(k, votes - k + 1, t)` is the share p at which k or more of the votes have the probability t. 'wins or "
        "fewer' is the opposite of 'wins + 1 or more'. Two plain numbers come back.",
        "The lower end is `betaincinv(wins, votes - wins + 1, tail)`; for the upper end take k = wins + 1 and 1 - tail. "
        "Treat no wins and only wins apart.",
    ),
    calls=_interval_calls,
    observe=_observe_interval,
    properties=(
        Property("all-or-none", "all votes or none: a closed form", _all_and_none),
        Property("tails", "each end leaves 2.5 % outside", _tails),
        Property("mirror", "the other film's share has the mirrored interval", _mirror),
        Property("levels", "other levels, other tails", _other_levels),
        Property("covers", "the true share lies inside in at least 95 % of all studies", _covers),
    ),
    mutants=(
        Mutant(
            "one-tail",
            "5 % are left outside at each end",
            "You leave all of 1 - level outside at *each* end, so that twice as much is outside together.",
            (("(1 - level) / 2", "1 - level"),),
        ),
        Mutant(
            "wald",
            "share ± 1.96 standard errors always holds",
            "You use the formula for many votes. With ten it is too narrow, and with ten of ten its width is 0: certainty "
            "out of ten votes. Use the binomial tails themselves.",
            (
                (_LOW, "wins / votes - 1.96 * (wins * (votes - wins) / votes**3) ** 0.5"),
                (_HIGH, "wins / votes + 1.96 * (wins * (votes - wins) / votes**3) ** 0.5"),
            ),
        ),
        Mutant(
            "wald-cut",
            "share ± 1.96 standard errors, kept within [0, 1], always holds",
            "You use the formula for many votes, and cut it off at 0 and 1. With ten of ten its width is 0 all the same: "
            "certainty out of ten votes. Use the binomial tails themselves.",
            (
                (_LOW, "max(0.0, wins / votes - 1.96 * (wins * (votes - wins) / votes**3) ** 0.5)"),
                (_HIGH, "min(1.0, wins / votes + 1.96 * (wins * (votes - wins) / votes**3) ** 0.5)"),
            ),
        ),
        Mutant(
            "upper-tail-of-more",
            "at the upper end, too, it is wins or more that have 2.5 %",
            "Your upper end is the share at which *more* than your wins have 2.5 %: too small. Asked for is the one "
            "at which your wins *or fewer* have it. How much do more than your wins have there?",
            (("betaincinv(wins + 1, votes - wins, 1 - tail)", "betaincinv(wins + 1, votes - wins, tail)"),),
        ),
        Mutant(
            "one-curve",
            "both ends are quantiles of one distribution of the share",
            "Both of your ends come from one curve. But they are answers to two questions: at the lower end *wins or "
            "more*, at the upper end *wins or fewer*; the case of exactly `wins` counts in both.",
            (
                ("betaincinv(wins, votes - wins + 1, tail)", "betaincinv(wins + 1, votes - wins + 1, tail)"),
                ("betaincinv(wins + 1, votes - wins, 1 - tail)", "betaincinv(wins + 1, votes - wins + 1, 1 - tail)"),
            ),
        ),
        Mutant(
            "always-95",
            "an interval is a 95 % interval",
            "Your interval is right for 95 %, and the same whatever level is asked for.",
            (("(1 - level) / 2", "0.025"),),
        ),
        Mutant(
            "losers-share",
            "the share is that of the others",
            "Your interval is that of the *other* film's share.",
            (("tail = (1 - level) / 2", "tail, wins = (1 - level) / 2, votes - wins"),),
        ),
        Mutant(
            "lower-end-only",
            "an interval lies evenly around the share",
            "You mirror the lower end about the share to get the upper one. A share cannot pass 1, so near the ends the "
            "interval is lopsided: work out each end by itself.",
            ((_HIGH, "min(1.0, 2 * wins / votes - low)"),),
        ),
    ),
    alternatives=(_by_bisection, _by_scipy, _by_quantiles),
    survivors={f"constant: low = {_LOW} -> low = -{_LOW}": "minus zero is zero"},
    box="rivals",
)

LESSON = Lesson(
    number="12",
    slug="rivals",
    title="Rivals and fair comparison",
    minutes=120,
    imports=IMPORTS,
    exercises=(READING, CDNA, BINOMIAL),
)
