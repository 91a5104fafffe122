"""Lesson 03: a heatmap becomes a point and an ellipse, and an ellipse becomes a heatmap again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, Violation, expect
from monkeynet_edu.keypoints import Keypoints

IMPORTS = """\
import torch
from torch import Tensor

from monkeynet_edu import geometry, keypoints, viz
from monkeynet_edu.keypoints import Keypoints, inverse_covariance"""


# ------------------------------------------------------------------------------------------------------------- inputs


def _maps(*shape: int, spread: float = 1.0) -> Tensor:
    """Random heatmaps (B, K, H, W), each with the sum 1."""
    weights = (spread * torch.randn(*shape)).exp()
    return weights / weights.sum(dim=(-2, -1), keepdim=True)


def _points(height: int, width: int) -> list[tuple[int, int, float, float]]:
    """(row, column, x, y) of every pixel, by the formula of lesson 01 and not by the library's lattice."""
    return [
        (i, j, 2 * j / (width - 1) - 1, 2 * i / (height - 1) - 1) for i in range(height) for j in range(width)
    ]


def _mean_by_loop(heatmap: Tensor) -> Tensor:
    """Σ p·g with two loops: (B, K, H, W) → (B, K, 2)."""
    total = heatmap.new_zeros(*heatmap.shape[:2], 2)
    for i, j, x, y in _points(*heatmap.shape[-2:]):
        total = total + heatmap[..., i, j, None] * heatmap.new_tensor([x, y])
    return total


def _covariance_by_loop(heatmap: Tensor, mean: Tensor) -> Tensor:
    """Σ p·(g-h)(g-h)ᵀ with two loops: (B, K, H, W), (B, K, 2) → (B, K, 2, 2)."""
    total = heatmap.new_zeros(*heatmap.shape[:2], 2, 2)
    for i, j, x, y in _points(*heatmap.shape[-2:]):
        d = heatmap.new_tensor([x, y]) - mean
        total = total + heatmap[..., i, j, None, None] * d[..., :, None] * d[..., None, :]
    return total


def _matrices(*shape: int) -> Tensor:
    """Random covariances (..., 2, 2), well away from circles."""
    a = torch.rand(*shape, 2, 2) - 0.5
    return a @ a.mT + torch.tensor([[0.3, 0.05], [0.05, 0.1]])


_ELSEWHERE = (
    ("[0, :, 0]", "[1, :, 0]"),
    ("[0, :, 0]", "[-1, :, 0]"),
    ("[:, 0, 1]", "[:, 1, 1]"),
    ("[:, 0, 1]", "[:, -1, 1]"),
)


def _same_lattice(*statements: str) -> dict[str, str]:
    """Generated mutants that read x in another row, or y in another column: the lattice holds the same numbers there."""
    why = "x is the same in every row of the lattice, and y in every column"
    found = {}
    for statement in statements:
        for old, new in _ELSEWHERE:
            if old in statement:
                found[f"index: {statement} -> {statement.replace(old, new)}"] = why
    return found


def _same_distances() -> dict[str, str]:
    """The same for the lines of dx and dy; and 1:3 of two numbers is 1:2."""
    dx, dy = "dx = grid[0, :, 0] - mean[..., 0:1]", "dy = grid[:, 0, 1] - mean[..., 1:2]"
    beyond = {f"index: {dy} -> {dy.replace('1:2', '1:3')}": "a point has two coordinates: 1:3 ends where 1:2 does"}
    return _same_lattice(dx, dy) | beyond


# The heatmap that the lesson computes by hand: a quarter at each of four pixels of a 3×3 frame.
BY_HAND = ((0.0, 0.0, 0.25), (0.0, 0.25, 0.25), (0.0, 0.25, 0.0))
MEAN_BY_HAND = (0.5, 0.0)
COVARIANCE_BY_HAND = ((0.25, -0.25), (-0.25, 0.5))


def _by_hand() -> Tensor:
    return torch.tensor([[BY_HAND]])


# ----------------------------------------------------------------------------------------------------- spatial softmax


def _softmax_calls() -> Sequence[Call]:
    return (
        Call("random logits for 3 maps of 4×6 pixels, two images, temperature 0.5", (torch.randn(2, 3, 4, 6), 0.5)),
        Call("random logits for 2 maps of 5×3 pixels, temperature 2", (torch.randn(1, 2, 5, 3), 2.0)),
    )


def _softmax_sums(f: Function) -> None:
    out = f(torch.randn(2, 3, 4, 6), 0.7)
    tried = "random logits, 2 images, 3 maps, 4×6 pixels; the sum of each map"
    expect(out.sum(dim=(-2, -1)), torch.ones(2, 3), "Each map has to sum to 1 over all of its pixels", tried)


def _softmax_hand(f: Function) -> None:
    logits = torch.tensor([[[[0.0, math.log(3.0), 0.0], [0.0, math.log(2.0), 0.0]]]])
    wanted = torch.tensor([[[[1.0, 3.0, 1.0], [1.0, 2.0, 1.0]]]]) / 9
    tried = "logits 0, ln 3, 0 / 0, ln 2, 0, temperature 1"
    expect(f(logits, 1.0), wanted, "The shares have to be 1, 3, 1 / 1, 2, 1 ninths", tried)


def _softmax_temperature(f: Function) -> None:
    logits = torch.tensor([[[[0.0, math.log(3.0)]]]])
    for temperature, ratio in ((0.5, 9.0), (2.0, math.sqrt(3.0))):
        wanted = torch.tensor([[[[1 / (1 + ratio), ratio / (1 + ratio)]]]])
        message = "The logits have to be divided by the temperature: a smaller one makes a sharper map"
        expect(f(logits, temperature), wanted, message, f"logits 0 and ln 3, temperature {temperature}")


def _softmax_independent(f: Function) -> None:
    logits = torch.randn(1, 3, 4, 6)
    changed = logits.clone()
    changed[:, 0] += 3 * torch.rand(4, 6)
    message = "A change of one map's logits must not change the other maps"
    expect(f(changed, 1.0)[:, 1:], f(logits, 1.0)[:, 1:], message, "map 0 changed; maps 1 and 2")


def _softmax_large(f: Function) -> None:
    out = f(torch.tensor([[[[900.0, 0.0], [0.0, -900.0]]]]), 0.1)
    message = "Large logits must not overflow: subtract the largest one first (torch's softmax does)"
    expect(out, torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]]), message, "logits 900, 0 / 0, -900, temperature 0.1")


def _softmax_far_apart(f: Function) -> None:
    one = torch.tensor([[0.0, math.log(3.0), 0.0], [0.0, math.log(2.0), 0.0]])
    wanted = torch.tensor([[1.0, 3.0, 1.0], [1.0, 2.0, 1.0]]).expand(2, 2, 2, 3) / 9
    offsets = torch.tensor([[0.0, 300.0], [-600.0, 50.0]])[:, :, None, None]
    message = "A number added to all logits of one map must not change it, nor any other map: each has a maximum of its own"
    tried = "4 maps with the same differences, at 0 and 300 in one image, at -600 and 50 in the other, temperature 1"
    expect(f(one + offsets, 1.0), wanted, message, tried, 1e-3)  # around 600, float32 has steps of 6e-5


def _softmax_two_axes(logits: Tensor, temperature: float) -> Tensor:
    scaled = logits / temperature
    weights = (scaled - scaled.amax(dim=(2, 3), keepdim=True)).exp()
    return weights / weights.sum(dim=(2, 3), keepdim=True)


def _softmax_loops(logits: Tensor, temperature: float) -> Tensor:
    images = []
    for image in logits:
        maps = [torch.softmax(one.reshape(-1) / temperature, 0).reshape(one.shape) for one in image]
        images.append(torch.stack(maps))
    return torch.stack(images)


def _softmax_logsumexp(logits: Tensor, temperature: float) -> Tensor:
    wide = logits.double() / temperature
    return (wide - wide.logsumexp(dim=(-2, -1), keepdim=True)).exp().to(logits.dtype)


SOFTMAX = Exercise(
    id="spatial-softmax",
    title="Spatial softmax",
    target="monkeynet_edu.keypoints:spatial_softmax",
    statement=(
        "Turn each map of logits into shares: positive numbers that sum to 1 over all pixels of that map. "
        "Divide the logits by the temperature first."
    ),
    level="blanks",
    steps=(
        "one long row of H·W numbers for each map, divided by the temperature",
        "softmax along that row",
        "back to the shape of a picture",
    ),
    blanks=("logits.flatten(2) / temperature", "flat.softmax(dim=-1)"),
    hints=(
        "One map answers one question: where is keypoint k? So its shares compete with each other, pixel against "
        "pixel, "
        "and with nothing else.",
        "Tensor.softmax works along one axis, but the pixels lie on two (H and W). First make one axis of them: "
        "(B, K, H, W) → (B, K, H·W).",
        "`flat = logits.flatten(2) / temperature`, then `flat.softmax(dim=-1)`.",
    ),
    calls=_softmax_calls,
    properties=(
        Property("sums", "each map sums to 1 over its pixels", _softmax_sums),
        Property("by-hand", "logits 0 and ln 3 give shares of 1 to 3", _softmax_hand),
        Property("temperature", "a smaller temperature makes a sharper map", _softmax_temperature),
        Property("independent", "maps do not compete with each other", _softmax_independent),
        Property("large", "large logits do not overflow", _softmax_large),
        Property("far-apart", "maps far apart in height do not swallow each other", _softmax_far_apart),
    ),
    mutants=(
        Mutant(
            "over-the-keypoints",
            "the softmax runs over the K maps, as over the classes of a classifier",
            "At each pixel your K numbers sum to 1: that asks which keypoint a pixel belongs to. Which question "
            "should a map "
            "answer, and so along which axis do its shares compete?",
            (("flat.softmax(dim=-1)", "flat.softmax(dim=1)"),),
        ),
        Mutant(
            "rows-only",
            "the softmax over the last axis is the softmax over the picture",
            "Each row of a map sums to 1, so the whole map sums to H. A pixel competes with those above and below it "
            "too.",
            (("logits.flatten(2)", "logits"),),
        ),
        Mutant(
            "one-softmax-an-image",
            "all maps of an image share one softmax",
            "All K maps together sum to 1. Then a sure keypoint takes the shares away from the others. How many "
            "distributions do "
            "you want for one image?",
            (("logits.flatten(2)", "logits.flatten(1)"),),
        ),
        Mutant(
            "temperature-multiplied",
            "a higher temperature makes a sharper map",
            "Your maps get sharper as the temperature rises. Think of heat: hot means spread out. Is the temperature "
            "a factor "
            "or a divisor?",
            (("/ temperature", "* temperature"),),
        ),
        Mutant(
            "no-temperature",
            "the temperature cancels in the softmax",
            "The result does not depend on the temperature. A constant *added* to all logits cancels in a softmax; "
            "does a factor?",
            ((" / temperature", ""),),
        ),
    ),
    alternatives=(_softmax_two_axes, _softmax_loops, _softmax_logsumexp),
    box="heatmap",
    differentiable=("logits",),
)


# ---------------------------------------------------------------------------------------------------------------- mean


def _mean_calls() -> Sequence[Call]:
    return (
        Call("random heatmaps, 2 images, 3 keypoints, 4×6 pixels", (_maps(2, 3, 4, 6),)),
        Call("random heatmaps of 7×5 pixels with sums of 0.9", (0.9 * _maps(1, 2, 7, 5),)),
    )


def _mean_peak(f: Function) -> None:
    for row, column in ((0, 0), (2, 1), (3, 5)):
        heatmap = torch.zeros(1, 1, 4, 6)
        heatmap[0, 0, row, column] = 1
        wanted = torch.tensor([[[2 * column / 5 - 1, 2 * row / 3 - 1]]])
        message = "Where all the weight is on one pixel, the keypoint has to be that pixel's point (x, y)"
        expect(f(heatmap), wanted, message, f"4×6 pixels, all weight at row {row}, column {column}")


def _mean_hand(f: Function) -> None:
    message = "The heatmap computed by hand in the lesson has the mean (½, 0)"
    expect(f(_by_hand()), [[MEAN_BY_HAND]], message, "0 0 ¼ / 0 ¼ ¼ / 0 ¼ 0")


def _mean_halves(f: Function) -> None:
    heatmap = torch.zeros(1, 1, 3, 5)
    heatmap[0, 0, 0, 0], heatmap[0, 0, 2, 4] = 0.25, 0.75
    message = "With ¼ of the weight at one corner and ¾ at the opposite one, the mean lies between them"
    expect(f(heatmap), [[[0.5, 0.5]]], message, "3×5 pixels, ¼ at the upper left, ¾ at the lower right corner")


def _mean_as_it_is(f: Function) -> None:
    heatmap = _maps(1, 2, 4, 6)
    message = "The heatmap has to be taken as it is, whatever its sum"
    expect(f(1.5 * heatmap), 1.5 * _mean_by_loop(heatmap), message, "random heatmaps with a sum of 1.5")


def _mean_loop(f: Function) -> None:
    heatmap = _maps(2, 3, 5, 7)
    expect(f(heatmap), _mean_by_loop(heatmap), "The mean has to be Σ p·g over all pixels", "random heatmaps of 5×7 pixels")


def _mean_matrix(heatmap: Tensor) -> Tensor:
    height, width = heatmap.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], dim=-1).to(heatmap)
    return heatmap.flatten(2) @ grid.reshape(-1, 2)


def _mean_einsum(heatmap: Tensor) -> Tensor:
    x = torch.linspace(-1, 1, heatmap.shape[-1], dtype=heatmap.dtype, device=heatmap.device)
    y = torch.linspace(-1, 1, heatmap.shape[-2], dtype=heatmap.dtype, device=heatmap.device)
    return torch.stack([torch.einsum("bkij,j->bk", heatmap, x), torch.einsum("bkij,i->bk", heatmap, y)], dim=-1)


def _mean_wide_loop(heatmap: Tensor) -> Tensor:
    return _mean_by_loop(heatmap.double()).to(heatmap.dtype)


_MEAN_X = "(heatmap.sum(dim=-2) * grid[0, :, 0]).sum(dim=-1)"
_MEAN_Y = "(heatmap.sum(dim=-1) * grid[:, 0, 1]).sum(dim=-1)"
_BEST = "grid[..., {}].flatten()[heatmap.flatten(-2).argmax(dim=-1)]"

MEAN = Exercise(
    id="heatmap-mean",
    title="The point of a heatmap",
    target="monkeynet_edu.keypoints:heatmap_mean",
    statement="Compute the keypoint h = Σ p·g: every pixel's point (x, y) from the lattice, weighted by the heatmap.",
    level="blanks",
    steps=(
        "the points of all pixels, (H, W, 2)",
        "how much weight each column has; times the x of the columns; summed",
        "how much weight each row has; times the y of the rows; summed",
        "x first, then y",
    ),
    blanks=("heatmap.sum(dim=-2)", "grid[0, :, 0]", "heatmap.sum(dim=-1)", "grid[:, 0, 1]", "[x, y]"),
    hints=(
        "A weighted mean: each pixel votes for its own point, and its share is the weight of its vote. No pixel is "
        "chosen; "
        "all are averaged.",
        "x depends on the column alone. Sum the heatmap over the rows (dim=-2): (B, K, H, W) → (B, K, W), one weight "
        "a column. "
        "`grid[0, :, 0]` holds the W values of x.",
        "`x = (heatmap.sum(dim=-2) * grid[0, :, 0]).sum(dim=-1)`, and `y` with dim=-1 and `grid[:, 0, 1]`.",
    ),
    calls=_mean_calls,
    properties=(
        Property("one-peak", "all weight on one pixel gives that pixel's point", _mean_peak),
        Property("by-hand", "the heatmap of the lesson has the mean (½, 0)", _mean_hand),
        Property("between", "two peaks give a point between them", _mean_halves),
        Property("loop", "it agrees with two loops over all pixels", _mean_loop),
        Property("as-it-is", "the heatmap is not divided by its sum", _mean_as_it_is),
    ),
    mutants=(
        Mutant(
            "x-y-swapped",
            "a point is (row, column)",
            "A point is (x, y): the column's coordinate comes first. Indexing a tensor goes the other way round, "
            "[row, column].",
            (("[x, y]", "[y, x]"),),
        ),
        Mutant(
            "argmax",
            "the soft-argmax is the place of the largest value",
            "First of all: you return the point of the strongest pixel. All pixels vote here: where two are equally "
            "strong, the mean lies between them. And what would the gradient of a choice be?",
            ((_MEAN_X, _BEST.format(0)), (_MEAN_Y, _BEST.format(1))),
        ),
        Mutant(
            "in-pixels",
            "points are counted in pixels",
            "Your numbers are columns and rows. The model's points live in [-1, 1], whatever the size of the frame: "
            "lesson 01's "
            "lattice holds them.",
            (("grid[0, :, 0]", "torch.arange(heatmap.shape[-1])"), ("grid[:, 0, 1]", "torch.arange(heatmap.shape[-2])")),
        ),
        Mutant(
            "weights-averaged",
            "the weight of a column is the average of its shares",
            "Your point lies too near to the middle. A column's weight is all that its pixels have together; you divide it "
            "by the number of its pixels.",
            (("heatmap.sum(dim=-2)", "heatmap.mean(dim=-2)"), ("heatmap.sum(dim=-1)", "heatmap.mean(dim=-1)")),
        ),
        Mutant(
            "along-the-wrong-axis",
            "`grid[:, 0, 0]` runs along x, for its last index is x",
            "All your points are (-1, -1) times the sum. `grid[:, 0]` walks *down* the first column: which of x and y "
            "stays the same there?",
            (
                (_MEAN_X, "(heatmap.sum(dim=-1) * grid[:, 0, 0]).sum(dim=-1)"),
                (_MEAN_Y, "(heatmap.sum(dim=-2) * grid[0, :, 1]).sum(dim=-1)"),
            ),
        ),
        Mutant(
            "averaged",
            "a mean is computed by .mean()",
            "The weights already sum to 1, so the weighted mean is a plain sum. Yours is divided by the number of "
            "columns "
            "(and rows) once more.",
            (
                (_MEAN_X, "(heatmap.sum(dim=-2) * grid[0, :, 0]).mean(dim=-1)"),
                (_MEAN_Y, "(heatmap.sum(dim=-1) * grid[:, 0, 1]).mean(dim=-1)"),
            ),
        ),
        Mutant(
            "renormalised",
            "a heatmap has to be divided by its sum first",
            "You divide by the heatmap's sum. The softmax has done that already (plus a floor of 1e-7 that the "
            "published model "
            "leaves in): take the heatmap as it is.",
            (("torch.stack([x, y], dim=-1)", "torch.stack([x, y], dim=-1) / heatmap.sum(dim=(-2, -1))[..., None]"),),
        ),
    ),
    alternatives=(_mean_matrix, _mean_einsum, _mean_wide_loop),
    survivors=_same_lattice(f"x = {_MEAN_X}", f"y = {_MEAN_Y}"),
    box="mean",
    differentiable=("heatmap",),
)


# ---------------------------------------------------------------------------------------------------------- covariance


def _with_mean(heatmap: Tensor) -> tuple[Tensor, Tensor]:
    return heatmap, _mean_by_loop(heatmap)


def _covariance_calls() -> Sequence[Call]:
    return (
        Call("random heatmaps of 4×6 pixels, 2 images, 3 keypoints", _with_mean(_maps(2, 3, 4, 6, spread=2.0))),
        Call("random heatmaps of 7×5 pixels with sums of 1.2", _with_mean(1.2 * _maps(1, 3, 7, 5, spread=2.0))),
    )


def _covariance_axis(f: Function) -> None:
    heatmap = torch.zeros(1, 1, 3, 9)
    heatmap[0, 0, 1, 0] = heatmap[0, 0, 1, 8] = 0.5
    message = "Weight spread along a row (in x) has to show in Σ[0, 0], and nowhere else"
    tried = "½ at both ends of the middle row of 3×9 pixels"
    expect(f(heatmap, torch.zeros(1, 1, 2)), [[[[1.0, 0.0], [0.0, 0.0]]]], message, tried)


def _covariance_hand(f: Function) -> None:
    message = "The heatmap computed by hand in the lesson has the covariance ¼, -¼ / -¼, ½"
    out = f(_by_hand(), torch.tensor([[MEAN_BY_HAND]]))
    expect(out, [[COVARIANCE_BY_HAND]], message, "0 0 ¼ / 0 ¼ ¼ / 0 ¼ 0, mean (½, 0)")


def _covariance_slant(f: Function) -> None:
    heatmap = torch.zeros(1, 1, 5, 5)
    heatmap[0, 0, 0, 0] = heatmap[0, 0, 4, 4] = 0.5
    message = "Weight along the falling diagonal: x and y grow together, and Σ[0, 1] = Σ[1, 0] has to be positive"
    tried = "½ at the upper left and lower right corners"
    expect(f(heatmap, torch.zeros(1, 1, 2)), [[[[1.0, 1.0], [1.0, 1.0]]]], message, tried)


def _covariance_shift(f: Function) -> None:
    small = _maps(1, 1, 3, 4)
    results = []
    for row, column in ((0, 0), (5, 6)):
        heatmap = torch.zeros(1, 1, 8, 10)
        heatmap[..., row : row + 3, column : column + 4] = small
        results.append(f(*_with_mean(heatmap)))
    message = "The same spot elsewhere in the frame has to have the same covariance: distances count from the mean"
    expect(results[1], results[0], message, "a spot of 3×4 pixels in two corners of the frame")


def _covariance_loop(f: Function) -> None:
    for scale in (1.0, 1.2):
        heatmap, mean = _with_mean(scale * _maps(2, 2, 5, 7, spread=2.0))
        message = "The covariance has to be Σ p·(g-h)(g-h)ᵀ, the heatmap taken as it is"
        expect(f(heatmap, mean), _covariance_by_loop(heatmap, mean), message, f"random heatmaps of 5×7 pixels, sum {scale}")


def _covariance_needle(f: Function) -> None:
    heatmap = torch.zeros(1, 1, 64, 64)
    heatmap[0, 0, 61, 62], heatmap[0, 0, 61, 63] = 1 - 1e-5, 1e-5
    x = 2 * 62 / 63 - 1 + 1e-5 * 2 / 63
    variance = float(f(heatmap, torch.tensor([[[x, 2 * 61 / 63 - 1]]]))[0, 0, 0, 0])
    wanted = 1e-5 * (1 - 1e-5) * (2 / 63) ** 2
    if not 0.9 * wanted < variance < 1.1 * wanted:
        raise Violation(
            "A needle-sharp peak far from the centre has lost its variance to rounding. Subtract the mean first, "
            "then square: "
            "Σ p·g² - h² takes two nearly equal numbers from each other",
            "64×64 pixels, nearly all weight on one pixel, float32",
            f"variance {wanted:.3g}",
            f"{variance:.3g}",
        )


def _covariance_outer(heatmap: Tensor, mean: Tensor) -> Tensor:
    height, width = heatmap.shape[-2:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    d = torch.stack([x, y], dim=-1).to(heatmap) - mean[:, :, None, None, :]
    return (heatmap[..., None, None] * d[..., :, None] * d[..., None, :]).sum(dim=(2, 3))


def _covariance_given(f: Function) -> None:
    heatmap = _maps(1, 2, 5, 7)
    elsewhere = torch.tensor([[[0.6, -0.4], [0.0, 0.0]]])
    message = "The distances have to be measured from the mean that is given, whichever it is: do not compute it anew"
    tried = "random heatmaps of 5×7 pixels with the points (0.6, -0.4) and (0, 0) given as means"
    expect(f(heatmap, elsewhere), _covariance_by_loop(heatmap, elsewhere), message, tried)


def _covariance_matrix(heatmap: Tensor, mean: Tensor) -> Tensor:
    height, width = heatmap.shape[-2:]
    rows = torch.linspace(-1, 1, height, dtype=heatmap.dtype)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, dtype=heatmap.dtype).expand(height, width)
    d = torch.stack([columns, rows], dim=-1).reshape(-1, 2) - mean[:, :, None, :]
    return d.mT @ (heatmap.flatten(2)[..., None] * d)


def _covariance_wide_loop(heatmap: Tensor, mean: Tensor) -> Tensor:
    return _covariance_by_loop(heatmap.double(), mean.double()).to(heatmap.dtype)


_RESULT = "torch.unflatten(torch.stack([xx, xy, xy, yy], dim=-1), -1, (2, 2))"
_SQUARES = "torch.einsum('bkhw,hwi,hwj->bkij', heatmap, grid, grid)"

COVARIANCE = Exercise(
    id="heatmap-covariance",
    title="The spread of a heatmap",
    target="monkeynet_edu.keypoints:heatmap_covariance",
    statement=(
        "Compute the covariance Σ = Σ p·(g-h)(g-h)ᵀ: the mean square of the distances in x, in y, and of both "
        "together. "
        "Subtract the given mean before you square; take the heatmap as it is, do not divide by its sum."
    ),
    level="stub",
    steps=(
        "distance of each column from the mean in x, (B, K, W), and of each row in y, (B, K, H)",
        "xx and yy: squared distances, weighted and summed",
        "xy: the product of both distances, weighted with the whole map and summed",
        "[[xx, xy], [xy, yy]]: (B, K, 2, 2)",
    ),
    hints=(
        "The covariance is a mean too: not of the points, but of the squares and products of their distances from "
        "the mean point.",
        "`dx = grid[0, :, 0] - mean[..., 0:1]` is (B, K, W); with the column weights `heatmap.sum(dim=-2)`, also (B, "
        "K, W), it gives xx. "
        "xy needs the map itself: (B, K, H, W) times dx of the columns times dy of the rows.",
        "`xy = ((heatmap * dx[..., None, :]).sum(dim=-1) * dy).sum(dim=-1)`; at the end stack [xx, xy, xy, yy] and "
        "unflatten to (2, 2).",
    ),
    calls=_covariance_calls,
    properties=(
        Property("axes", "Σ[0, 0] is the spread in x", _covariance_axis),
        Property("by-hand", "the heatmap of the lesson has the covariance ¼, -¼ / -¼, ½", _covariance_hand),
        Property("slant", "a falling diagonal has a positive Σ[0, 1]", _covariance_slant),
        Property("shift", "moving the spot does not change its covariance", _covariance_shift),
        Property("needle", "a needle-sharp peak keeps its variance in float32", _covariance_needle),
        Property("given", "distances count from the mean that is given", _covariance_given),
        Property("loop", "it agrees with two loops over all pixels", _covariance_loop),
    ),
    mutants=(
        Mutant(
            "rows-first",
            "Σ[0, 0] belongs to the rows",
            "Your Σ[0, 0] measures the spread down the rows. Index 0 of a point is x, so Σ[0, 0] is the spread in x, "
            "along the columns.",
            (("[xx, xy, xy, yy]", "[yy, xy, xy, xx]"),),
        ),
        Mutant(
            "not-centred",
            "the spread is the mean of the squared coordinates",
            "Your spread grows when the same spot moves away from the middle of the frame. From where should the "
            "distances be measured?",
            ((" - mean[..., 0:1]", ""), (" - mean[..., 1:2]", "")),
        ),
        Mutant(
            "square-minus-square",
            "Σ p·x² - h² is just as good as Σ p·(x-h)²",
            "On paper, E[x²] - E[x]² is the same. In 32 bits two nearly equal numbers are subtracted and only "
            "rounding remains (and with a sum "
            "other than 1 it is not even the same on paper). Subtract the mean first, then square.",
            ((_RESULT, f"{_SQUARES} - mean[..., :, None] * mean[..., None, :]"),),
        ),
        Mutant(
            "no-slant",
            "a spread in x and one in y say everything",
            "Your Σ[0, 1] is always 0: an ellipse that cannot lean. How do you tell a spot along the falling "
            "diagonal from one along the "
            "rising diagonal?",
            (("[xx, xy, xy, yy]", "[xx, 0 * xy, 0 * xy, yy]"),),
        ),
        Mutant(
            "standard-deviations",
            "Σ holds standard deviations",
            "The numbers on your diagonal are roots. The covariance holds squares (variances); the root comes later, "
            "when the ellipse is drawn.",
            (("[xx, xy, xy, yy]", "[xx.sqrt(), xy, xy, yy.sqrt()]"),),
        ),
    ),
    alternatives=(_covariance_outer, _covariance_matrix, _covariance_wide_loop),
    survivors=_same_distances(),
    box="covariance",
    differentiable=("heatmap",),
)


# -------------------------------------------------------------------------------------------------------- ellipse axes


def _axes_calls() -> Sequence[Call]:
    return (
        Call("three random covariances", (_matrices(3),)),
        Call("covariances of 2 images with 4 keypoints", (_matrices(2, 4),)),
        Call("one covariance alone", (torch.tensor([[0.25, -0.25], [-0.25, 0.5]]),)),
    )


def _axes_seen(function: Function, call: Call) -> Tensor:
    """Half axes and the direction as (cos 2θ, sin 2θ): an axis turned by half a turn is the same axis."""
    half, angle = function(*call.args)
    return torch.cat([half, torch.stack([torch.cos(2 * angle), torch.sin(2 * angle)], dim=-1)], dim=-1)


def _axes_pair(f: Function, cov: Tensor, tried: str) -> tuple[Tensor, Tensor]:
    out = f(cov)
    if not (isinstance(out, tuple) and len(out) == 2):
        message = "Two things have to come back: half axes (..., 2) and angle (...)"
        raise Violation(message, tried, "(half axes, angle)", type(out).__name__)
    return out[0], out[1]


def _turned(long: float, short: float, degrees: float) -> Tensor:
    """Covariance with these half axes, the long one turned from the x axis towards the y axis."""
    t = math.radians(degrees)
    turn = torch.tensor([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]], dtype=torch.float64)
    return (turn @ torch.diag(torch.tensor([long**2, short**2], dtype=torch.float64)) @ turn.T).float()


def _axes_lying(f: Function) -> None:
    tried = "Σ = 0.09, 0 / 0, 0.04"
    half, angle = _axes_pair(f, torch.tensor([[0.09, 0.0], [0.0, 0.04]]), tried)
    expect(half, [0.3, 0.2], "Variances of 0.09 and 0.04 have the half axes 0.3 and 0.2", tried)
    expect(torch.sin(angle), 0.0, "A spread that is larger in x has its long axis along x: angle 0", tried)


def _axes_standing(f: Function) -> None:
    tried = "Σ = 0.04, 0 / 0, 0.09"
    half, angle = _axes_pair(f, torch.tensor([[0.04, 0.0], [0.0, 0.09]]), tried)
    expect(half, [0.3, 0.2], "The long half axis has to come first", tried)
    message = "A spread that is larger in y has its long axis along y: an angle of a quarter turn"
    expect(torch.sin(angle).abs(), 1.0, message, tried)


def _axes_turned(f: Function) -> None:
    for degrees in (20.0, 45.0, 70.0, -35.0, 110.0):
        tried = f"half axes 0.5 and 0.2, the long one turned by {degrees:.0f}° from x towards y"
        half, angle = _axes_pair(f, _turned(0.5, 0.2, degrees), tried)
        expect(half, [0.5, 0.2], "Turning an ellipse must not change its half axes", tried)
        double = math.radians(2 * degrees)
        seen = torch.stack([torch.cos(2 * angle), torch.sin(2 * angle)])
        message = "The angle has to be that of the long axis, from x towards y"
        expect(seen, [math.cos(double), math.sin(double)], message, tried)


def _axes_on_the_ellipse(f: Function) -> None:
    cov = _matrices(6)
    half, angle = _axes_pair(f, cov, "random covariances")
    long = half[:, :1] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)
    short = half[:, 1:] * torch.stack([-torch.sin(angle), torch.cos(angle)], dim=-1)
    for tip in (long, short):
        level = (tip[:, None, :] @ torch.linalg.inv(cov) @ tip[:, :, None])[:, 0, 0]
        message = "The tip d of each axis has to lie on the ellipse of one standard deviation: dᵀ Σ⁻¹ d = 1"
        expect(level, torch.ones(6), message, "random covariances", 1e-3)


def _axes_circle(f: Function) -> None:
    half, angle = _axes_pair(f, 0.25 * torch.eye(2), "Σ = ¼, 0 / 0, ¼")
    expect(half, [0.5, 0.5], "A circle with the variance ¼ has the radius ½", "Σ = ¼, 0 / 0, ¼")
    expect(angle * 0, 0.0, "A circle has no direction, but the angle has to stay a number", "Σ = ¼, 0 / 0, ¼")


def _axes_needle(f: Function) -> None:
    for degrees in range(3, 180, 6):
        across = torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
        tried = f"Σ = d dᵀ with d of length 1, turned by {degrees}° from x towards y"
        half, _ = _axes_pair(f, across[:, None] * across, tried)
        message = (
            "A Σ with no spread across its long axis has the half axes 1 and 0. Rounding can make the small eigenvalue a "
            "hair negative: bring that to 0, and nothing else, before the root"
        )
        expect(half, [1.0, 0.0], message, tried, 2e-3)  # the root of a rounding error of 1e-6


def _axes_tiny(f: Function) -> None:
    tried = "half axes 0.002 and 0.001, the long one turned by 30°; in thousandths"
    half, _ = _axes_pair(f, _turned(0.002, 0.001, 30.0), tried)
    expect(1000 * half, [2.0, 1.0], "A tiny ellipse has to stay as small as it is", tried, 1e-3)


def _axes_eigh(cov: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(cov)
    long = vectors[..., :, 1]
    return values.clamp_min(0).sqrt().flip(-1), torch.atan2(long[..., 1], long[..., 0])


def _axes_trace_and_determinant(cov: Tensor) -> tuple[Tensor, Tensor]:
    a, b, d = cov[..., 0, 0].double(), cov[..., 0, 1].double(), cov[..., 1, 1].double()
    trace, determinant = a + d, a * d - b * b
    root = (trace**2 / 4 - determinant).clamp_min(0).sqrt()
    half = torch.stack([(trace / 2 + root).sqrt(), (trace / 2 - root).clamp_min(0).sqrt()], dim=-1)
    angle = torch.atan2(2 * b, a - d) / 2
    return half.to(cov.dtype), angle.to(cov.dtype)


def _axes_svd(cov: Tensor) -> tuple[Tensor, Tensor]:
    u, s, _ = torch.linalg.svd(cov)
    return torch.sqrt(s), torch.atan2(u[..., 1, 0], u[..., 0, 0])


_ANGLE = "torch.atan2(cov[..., 0, 1], half_gap)"

AXES = Exercise(
    id="ellipse-axes",
    title="The axes of an ellipse",
    target="monkeynet_edu.geometry:ellipse_axes",
    statement=(
        "From covariances (..., 2, 2) compute the half axes (..., 2) of the ellipse of one standard deviation, the "
        "long one first, and the "
        "angle (...) of the long one in radians."
    ),
    level="stub",
    steps=(
        "half the sum and half the difference of the two variances",
        "the root √(half difference² + b²), with b = Σ[0, 1]",
        "eigenvalues: half the sum plus the root, half the sum minus the root",
        "angle of the long axis: half of atan2(b, half difference)",
        "half axes: what has the unit of a point?",
    ),
    hints=(
        "An eigenvalue of Σ is a variance: a squared length. The eigenvector says in which direction.",
        "For [[a, b], [b, d]] the eigenvalues are (a+d)/2 ± √(((a-d)/2)² + b²). The direction of the long axis is "
        "half the angle of the "
        "vector ((a-d)/2, b).",
        "`half_gap = (cov[..., 0, 0] - cov[..., 1, 1]) / 2`, `root = torch.hypot(half_gap, cov[..., 0, 1])`, "
        "`angle = torch.atan2(cov[..., 0, 1], half_gap) / 2`; the half axes are the square roots of half_trace ± root. "
        "torch.linalg.eigh works as well: its eigenvalues rise, its eigenvectors are columns.",
    ),
    calls=_axes_calls,
    properties=(
        Property("lying", "variances 0.09 and 0.04 have the half axes 0.3 and 0.2", _axes_lying),
        Property("standing", "the long half axis comes first", _axes_standing),
        Property("turned", "the angle is that of the long axis, from x towards y", _axes_turned),
        Property("tips", "the tips of the axes lie on the ellipse", _axes_on_the_ellipse),
        Property("circle", "a circle has two equal half axes", _axes_circle),
        Property("needle", "an ellipse without width has half axes that are numbers", _axes_needle),
        Property("tiny", "a tiny ellipse stays tiny", _axes_tiny),
    ),
    mutants=(
        Mutant(
            "eigenvalue-as-half-axis",
            "the eigenvalue of Σ is the half axis",
            "Your half axes are variances: for Σ = 0.09, 0 / 0, 0.04 you return 0.09 and 0.04. In which unit is a "
            "variance, in which a length?",
            (("eigenvalues.clamp_min(0).sqrt()", "eigenvalues.clamp_min(0)"),),
        ),
        Mutant(
            "whole-axes",
            "an axis reaches from tip to tip",
            "Yours are twice as long: whole axes, from tip to tip. Half axes are asked for, from the centre to the "
            "tip.",
            (("eigenvalues.clamp_min(0).sqrt()", "2 * eigenvalues.clamp_min(0).sqrt()"),),
        ),
        Mutant(
            "diagonal-only",
            "the half axes are the standard deviations of x and y",
            "Your half axes ignore Σ[0, 1]. √Σ[0, 0] is the spread along x, which is an axis only of an ellipse that "
            "does not lean.",
            (("torch.hypot(half_gap, cov[..., 0, 1])", "half_gap.abs()"),),
        ),
        Mutant(
            "double-angle",
            "atan2(b, half difference) is the angle of the axis",
            "Your angle is twice the right one. Try the ellipse along the diagonal (a = d): it leans by 45°, and "
            "yours?",
            (("half_gap) / 2", "half_gap)"),),
        ),
        Mutant(
            "y-upwards",
            "y grows upwards",
            "Your ellipses lean the wrong way: mirrored. In a picture y grows downwards, and the angle counts from x "
            "towards y; Σ[0, 1] > 0 "
            "is an ellipse along the falling diagonal.",
            (("torch.atan2(cov[..., 0, 1], half_gap)", "torch.atan2(-cov[..., 0, 1], half_gap)"),),
        ),
        Mutant(
            "short-first",
            "the order of the axes does not matter",
            "Your first half axis is the short one, while the angle is that of the long one: the ellipse is drawn "
            "turned by 90°.",
            (("[half_trace + root, half_trace - root]", "[half_trace - root, half_trace + root]"),),
        ),
        Mutant(
            "degrees",
            "angles are counted in degrees",
            "A quarter turn comes out as 90. Radians are asked for: torch's sin and cos take nothing else.",
            ((_ANGLE, f"torch.rad2deg({_ANGLE})"),),
        ),
        Mutant(
            "atan2-swapped",
            "atan2 takes x first, as a point does",
            "For an ellipse that lies flat (Σ[0, 1] = 0, more spread in x) the angle has to be 0. What does yours give? "
            "atan2 takes the *second* coordinate of the vector first.",
            ((_ANGLE, "torch.atan2(half_gap, cov[..., 0, 1])"),),
        ),
        Mutant(
            "atan",
            "atan of the quotient is the same as atan2",
            "Your angle is right for ellipses wider than tall, and a quarter turn off for the others: a quotient has "
            "forgotten which of its two numbers was negative. What does atan2 know that atan does not?",
            ((_ANGLE, "torch.atan(cov[..., 0, 1] / half_gap)"),),
        ),
    ),
    alternatives=(_axes_eigh, _axes_trace_and_determinant, _axes_svd),
    box="covariance",
    observe=_axes_seen,
)


# ------------------------------------------------------------------------------------------------------------ Gaussian


def _gaussian_calls() -> Sequence[Call]:
    two = Keypoints(torch.rand(2, 3, 2) - 0.5, _matrices(2, 3))
    one = Keypoints(torch.rand(4, 2) - 0.5, _matrices(4))
    return (
        Call("2 images with 3 keypoints, drawn on 5×7 pixels", (two, 5, 7)),
        Call("4 keypoints of one image, drawn on 6×4 pixels", (one, 6, 4)),
    )


def _one(x: float, y: float, cov: Sequence[Sequence[float]]) -> Keypoints:
    return Keypoints(torch.tensor([[[x, y]]]), torch.tensor([[cov]]))


def _gaussian_peak(f: Function) -> None:
    wanted = torch.zeros(1, 1, 5, 9)
    wanted[0, 0, 1, 6] = 1
    out = f(_one(0.5, -0.5, [[1e-4, 0.0], [0.0, 1e-4]]), 5, 9)
    message = "A tiny keypoint at the centre of a pixel has to give 1 there and 0 elsewhere"
    expect(out, wanted, message, "5×9 pixels, keypoint (0.5, -0.5): row 1, column 6")


def _gaussian_round(f: Function) -> None:
    near, far = math.exp(-2), math.exp(-4)
    wanted = [[[[far, near, far], [near, 1.0, near], [far, near, far]]]]
    message = "With Σ = ¼ in x and y, a distance of 1 has to give exp(-½·1·4) = exp(-2)"
    drawn = f(_one(0.0, 0.0, [[0.25, 0.0], [0.0, 0.25]]), 3, 3)
    peak = "The peak has to be 1, however large Σ is: nothing is divided by a sum or an area"
    expect(drawn[0, 0, 1, 1], 1.0, peak, "3×3 pixels, keypoint (0, 0), Σ = ¼, 0 / 0, ¼; the pixel in the middle")
    expect(drawn, wanted, message, "3×3 pixels, keypoint (0, 0), Σ = ¼, 0 / 0, ¼")


def _gaussian_hand(f: Function) -> None:
    wanted = torch.tensor([[[[-17.0, -5.0, -1.0], [-9.0, -1.0, -1.0], [-5.0, -1.0, -5.0]]]]).exp()
    message = "The keypoint computed by hand in the lesson has to give exp(-1) at the four pixels that made it"
    drawn = f(_one(*MEAN_BY_HAND, COVARIANCE_BY_HAND), 3, 3)
    expect(drawn, wanted, message, "3×3 pixels, keypoint (½, 0), Σ = ¼, -¼ / -¼, ½", 1e-5)


def _gaussian_wide(f: Function) -> None:
    out = f(_one(0.0, 0.0, [[0.25, 0.0], [0.0, 0.01]]), 3, 3)
    message = "A keypoint that is wide in x and narrow in y has to reach left and right, not up and down"
    expect(out[0, 0, 1, 0], math.exp(-2), message, "Σ = 0.25, 0 / 0, 0.01; the pixel to the left")
    expect(out[0, 0, 0, 1], 0.0, message, "Σ = 0.25, 0 / 0, 0.01; the pixel above")


def _gaussian_loop(f: Function) -> None:
    points = Keypoints(torch.rand(2, 3, 2) - 0.5, _matrices(2, 3))
    inverse = torch.linalg.inv(points.cov)
    wanted = torch.zeros(2, 3, 4, 7)
    for i, j, x, y in _points(4, 7):
        d = torch.tensor([x, y]) - points.mean
        wanted[..., i, j] = torch.exp(-0.5 * (d[..., None, :] @ inverse @ d[..., :, None])[..., 0, 0])
    message = "Every pixel has to hold exp(-½ (g-h)ᵀ Σ⁻¹ (g-h))"
    expect(f(points, 4, 7), wanted, message, "2 images with 3 keypoints, 4×7 pixels, leaning ellipses")


def _gaussian_gradient(f: Function) -> None:
    mean = torch.rand(2, 2, dtype=torch.float64) - 0.5
    entries = torch.tensor([[0.3, 0.1, 0.4], [0.5, -0.2, 0.3]], dtype=torch.float64)  # variance in x, slant, variance in y

    def drawn(h: Tensor, e: Tensor) -> Tensor:
        cov = torch.stack([e[:, 0], e[:, 1], e[:, 1], e[:, 2]], dim=-1).reshape(-1, 2, 2)
        result: Tensor = f(Keypoints(h, cov), 3, 4)
        return result

    leaves = (mean.requires_grad_(), entries.requires_grad_())
    if not drawn(*leaves).requires_grad:
        raise Violation(
            "No gradient reaches the keypoints: the result is cut from the graph. Leave out .detach(), .item(), "
            ".numpy() and "
            "torch.tensor(…) of a tensor: this is the path on which Δ learns",
            "two keypoints with a gradient", "a gradient", "none",
        )
    if not torch.autograd.gradcheck(drawn, leaves, raise_exception=False):
        message = "The gradient with respect to mean and covariance is not that of exp(-½ (g-h)ᵀ Σ⁻¹ (g-h))"
        raise Violation(message, "two keypoints, float64")


def _gaussian_einsum(points: Keypoints, height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    d = torch.stack([x, y], dim=-1).to(points.mean) - points.mean[..., None, None, :]
    return torch.exp(-0.5 * torch.einsum("...hwi,...ij,...hwj->...hw", d, torch.linalg.inv(points.cov), d))


def _gaussian_closed_form(points: Keypoints, height: int, width: int) -> Tensor:
    a, b, c = points.cov[..., 0, 0], points.cov[..., 0, 1], points.cov[..., 1, 1]
    x = torch.linspace(-1, 1, width).to(points.mean) - points.mean[..., 0, None]
    y = torch.linspace(-1, 1, height).to(points.mean) - points.mean[..., 1, None]
    dx, dy = x[..., None, :], y[..., :, None]
    a, b, c = a[..., None, None], b[..., None, None], c[..., None, None]
    return torch.exp(-(c * dx * dx - 2 * b * dx * dy + a * dy * dy) / (2 * (a * c - b * b)))


def _gaussian_columns(points: Keypoints, height: int, width: int) -> Tensor:
    inverse, columns = torch.linalg.inv(points.cov.double()), []
    for j in range(width):
        rows = []
        for i in range(height):
            place = points.mean.new_tensor([2 * j / (width - 1) - 1, 2 * i / (height - 1) - 1]).double()
            d = (place - points.mean)[..., None]
            rows.append(torch.exp(-0.5 * (d.mT @ inverse @ d)[..., 0, 0]))
        columns.append(torch.stack(rows, dim=-1))
    return torch.stack(columns, dim=-1).to(points.mean.dtype)


_DRAWN = "torch.exp(-0.5 * (xx + yy + xy))"

GAUSSIAN = Exercise(
    id="gaussian",
    title="An ellipse becomes a heatmap",
    target="monkeynet_edu.keypoints:gaussian_heatmap",
    statement=(
        "Write `gaussian_heatmap(keypoints, height, width)`: keypoints with `mean` (..., K, 2) and `cov` (..., K, 2, "
        "2) become heatmaps "
        "(..., K, height, width), exp(-½ (g-h)ᵀ Σ⁻¹ (g-h)) at the point g of every pixel; 1 at h."
    ),
    level="blank page",
    steps=(
        "Σ⁻¹ of every keypoint",
        "distance of every pixel from every keypoint",
        "the squared distance, measured with Σ⁻¹",
        "exp of minus one half of it",
    ),
    hints=(
        "Distance counted in standard deviations: a step along the long axis costs little, the same step along the "
        "short one costs much. "
        "Σ⁻¹ is the price list.",
        "With d = g - h and S = Σ⁻¹ the exponent is S₀₀·dx² + 2·S₀₁·dx·dy + S₁₁·dy². Let dx be (..., K, 1, W) and dy "
        "(..., K, H, 1); "
        "broadcasting makes (..., K, H, W).",
        "`d = geometry.lattice(height, width).to(keypoints.mean) - keypoints.mean[..., None, None, :]`, then "
        "`torch.einsum('...hwi,...ij,...hwj->...hw', d, inverse_covariance(keypoints.cov), d)`, then exp(-0.5 · that).",
    ),
    calls=_gaussian_calls,
    properties=(
        Property("peak", "the peak is 1, at the keypoint", _gaussian_peak),
        Property("round", "Σ = ¼ and a distance of 1 give exp(-2)", _gaussian_round),
        Property("by-hand", "the keypoint of the lesson gives exp(-1) at the four pixels that made it", _gaussian_hand),
        Property("wide", "a keypoint wide in x reaches left and right", _gaussian_wide),
        Property("loop", "it agrees with two loops over all pixels", _gaussian_loop),
        Property("gradient", "the gradient reaches mean and covariance", _gaussian_gradient),
    ),
    mutants=(
        Mutant(
            "covariance-not-inverted",
            "a large covariance in the exponent makes a broad heatmap",
            "Your heatmaps shrink when the covariance grows. The distance is *divided* by the spread: which matrix "
            "stands between the two d?",
            (("inverse_covariance(keypoints.cov)", "keypoints.cov"),),
        ),
        Mutant(
            "no-half",
            "the Gaussian is exp(-distance²)",
            "Your heatmaps are the squares of the right ones: too narrow by √2. What stands before the squared "
            "distance?",
            (("-0.5 * ", "-1.0 * "),),
        ),
        Mutant(
            "density",
            "a Gaussian is a probability density",
            "Yours has an area of 1: the peak depends on Σ. Here the peak is 1; how the maps are scaled is decided "
            "later, by the network that reads them.",
            ((_DRAWN, f"{_DRAWN} / (2 * torch.pi * torch.linalg.det(keypoints.cov).sqrt()[..., None, None])"),),
        ),
        Mutant(
            "divided-by-sum",
            "a heatmap has to sum to 1",
            "Each of your maps sums to 1, as the votes did. This one is a drawing, not a vote: its peak is 1, whatever the "
            "rest sums to.",
            ((_DRAWN, f"normalise_heatmap({_DRAWN}, 'sum')"),),
        ),
        Mutant(
            "rows-first",
            "Σ⁻¹[0, 0] belongs to the rows",
            "Your keypoints are wide where they should be tall. Index 0 is x: with which distance does Σ⁻¹[0, 0] go?",
            (
                ("inverse[..., 0, 0, None] * dx", "inverse[..., 1, 1, None] * dx"),
                ("inverse[..., 1, 1, None] * dy", "inverse[..., 0, 0, None] * dy"),
            ),
        ),
        Mutant(
            "x-y-swapped",
            "a point is (row, column)",
            "Your peaks lie at the mirrored place, (y, x). mean[..., 0] is x, the column's coordinate.",
            (
                ("grid[0, :, 0] - mean[..., 0:1]", "grid[0, :, 0] - mean[..., 1:2]"),
                ("grid[:, 0, 1] - mean[..., 1:2]", "grid[:, 0, 1] - mean[..., 0:1]"),
            ),
        ),
        Mutant(
            "cross-once",
            "the mixed term occurs once",
            "Your ellipses lean too little. Multiply (dx, dy) Σ⁻¹ (dx, dy)ᵀ out: how often does dx·dy occur?",
            (("inverse[..., 0, 1] + inverse[..., 1, 0]", "inverse[..., 0, 1]"),),
        ),
        Mutant(
            "no-cross",
            "x and y can be treated apart",
            "Your ellipses never lean: dx·dy is missing from the exponent.",
            (("(xx + yy + xy)", "(xx + yy + 0 * xy)"),),
        ),
    ),
    alternatives=(_gaussian_einsum, _gaussian_closed_form, _gaussian_columns),
    survivors=_same_distances(),
    box="gaussian",
)


LESSON = Lesson(
    number="03",
    slug="keypoints",
    title="Keypoints",
    minutes=150,
    imports=IMPORTS,
    exercises=(SOFTMAX, MEAN, COVARIANCE, AXES, GAUSSIAN),
)
