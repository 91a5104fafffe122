"""Lesson 08: a still picture takes over the motion of a film; when that works, and when it may be done."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from monkeynet_edu.animation import hull_area
from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, expect

IMPORTS = """\
import math

import torch
from torch import Tensor

from monkeynet_edu import alignment, animation, viz
from monkeynet_edu.animation import Transfer, hull_area
from monkeynet_edu.keypoints import Keypoints"""


# --------------------------------------------------------------------------------------------------- relative transfer


def _film(frames: int, keypoints: int) -> tuple[Tensor, Tensor]:
    """Random source points (1, K, 2) and driving points (T, K, 2)."""
    return 0.6 * torch.rand(1, keypoints, 2) - 0.3, 1.6 * torch.rand(frames, keypoints, 2) - 0.8


def _relative_calls() -> Sequence[Call]:
    return (
        Call("4 driving frames of 3 random points, reference 2, scale 1.5", (*_film(4, 3), 2, 1.5)),
        Call("3 driving frames of 5 random points, reference 1, scale 0.5", (*_film(3, 5), 1, 0.5)),
        Call("3 driving frames of 2 random points, reference 1, no scale given", (*_film(3, 2), 1)),
    )


def _relative_rest(f: Function) -> None:
    source, driving = _film(4, 3)
    for reference in range(4):
        message = "At the reference frame nothing has moved yet: the points have to be the source's own"
        got = f(source, driving, reference, 1.7)[reference]
        expect(got, source[0], message, f"4 random frames, reference {reference}, scale 1.7; that frame")


def _relative_hand(f: Function) -> None:
    source = torch.tensor([[[0.5, -0.5]]])
    driving = torch.tensor([[[-0.2, 0.0]], [[0.0, 0.1]], [[0.1, 0.3]]])
    message = "The point computed by hand in the lesson has to land at (0.6, -0.3)"
    tried = "source (0.5, -0.5), film (-0.2, 0), (0, 0.1), (0.1, 0.3); reference 1"
    expect(f(source, driving, 1)[2], [[0.6, -0.3]], message, tried)


def _relative_loop(f: Function) -> None:
    source, driving = _film(3, 4)
    out = f(source, driving, 1, 0.8)
    wanted = torch.empty(3, 4, 2)
    for t in range(3):
        for k in range(4):
            for axis in range(2):
                moved = float(driving[t, k, axis]) - float(driving[1, k, axis])
                wanted[t, k, axis] = float(source[0, k, axis]) + 0.8 * moved
    expect(out, wanted, "Each point has to be h_source + scale · (h_driving,t - h_driving,reference)", "3 random frames")


def _relative_scale(f: Function) -> None:
    source, driving = _film(3, 4)
    once, twice = (f(source, driving, 0, scale) - source for scale in (1.0, 2.0))
    message = "Twice the scale has to move every point twice as far from the source's own place"
    expect(twice, 2 * once, message, "3 random frames, scale 1 and 2")


def _relative_place(f: Function) -> None:
    source, driving = _film(3, 4)
    message = "Where the driving figure stands must not matter, only how it moves"
    shifted = driving + torch.tensor([0.3, -0.2])
    expect(f(source, shifted, 1, 1.3), f(source, driving, 1, 1.3), message, "the whole film shifted by (0.3, -0.2)")


def _relative_by_loop(source: Tensor, driving: Tensor, reference: int, scale: float = 1.0) -> Tensor:
    return torch.stack([source[0] + scale * (frame - driving[reference]) for frame in driving])


def _relative_offset(source: Tensor, driving: Tensor, reference: int, scale: float = 1.0) -> Tensor:
    return scale * driving + (source - scale * driving[reference : reference + 1])


def _relative_wide(source: Tensor, driving: Tensor, reference: int, scale: float = 1.0) -> Tensor:
    moved = driving.double() - driving[reference].double()[None]
    return torch.add(source.double(), moved, alpha=scale).to(driving.dtype)


RELATIVE = Exercise(
    id="relative-transfer",
    title="Relative transfer",
    target="monkeynet_edu.animation:relative_means",
    statement=(
        "Move the source's points (1, K, 2) as the driving points (T, K, 2) have moved since the reference frame, times "
        "the scale (equation 10)."
    ),
    level="stub",
    steps=(
        "the driving points at the reference frame",
        "how far each point has moved since then, in every frame, times the scale",
        "the source's own points, moved so",
    ),
    hints=(
        "Not where the driving figure *is* counts, but how far each of its points has moved since the reference frame. "
        "The source starts from its own points.",
        "`driving[reference]` is (K, 2) and broadcasts against `driving`, (T, K, 2). The scale belongs to the movement "
        "alone.",
        "`source + scale * (driving - driving[reference])`.",
    ),
    calls=_relative_calls,
    properties=(
        Property("at-rest", "at the reference frame the points are the source's own", _relative_rest),
        Property("by-hand", "the point of the lesson lands at (0.6, -0.3)", _relative_hand),
        Property("loop", "it agrees with loops over frames, points and axes", _relative_loop),
        Property("scale", "the scale multiplies the movement", _relative_scale),
        Property("place", "where the driving figure stands does not matter", _relative_place),
    ),
    mutants=(
        Mutant(
            "always-frame-1",
            "movement is counted from the first frame",
            "You count from frame 0 whatever the reference. If the film passes the source's pose at frame 20, "
            "from which frame on does the source have to move?",
            (("driving[reference]", "driving[0]"),),
        ),
        Mutant(
            "sign",
            "movement is where it was minus where it is",
            "Your points move the opposite way. A movement is the new place minus the old one.",
            (("(driving - start)", "(start - driving)"),),
        ),
        Mutant(
            "scaled-points",
            "the scale multiplies the driving points",
            "At the reference frame your points are not the source's own. What has to be scaled: places, or the "
            "difference of two places?",
            (("scale * (driving - start)", "scale * driving - start"),),
        ),
        Mutant(
            "onto-the-driver",
            "the movement is added to the driving figure's own pose",
            "Your points stand where the driving figure stood: its place and its build. Whose body should move?",
            (("source + movement", "start + movement"),),
        ),
        Mutant(
            "frame-to-frame",
            "a movement is the difference of two neighbouring frames",
            "You take how far the points moved since the frame before. Then the source trembles round its pose. Since "
            "which frame does equation 10 count?",
            (("(driving - start)", "driving.diff(dim=0, prepend=driving[:1])"),),
        ),
        Mutant(
            "frame-to-frame-round",
            "a movement is the difference of two neighbouring frames, the first one's neighbour is the last",
            "You take how far the points moved since the frame before, and in the first frame since the last one. Since "
            "which frame does equation 10 count?",
            (("(driving - start)", "(driving - driving.roll(1, 0))"),),
        ),
        Mutant(
            "frames-from-1",
            "frames are counted from 1",
            "Your reference is one frame too early. `reference` counts like an index, from 0.",
            (("driving[reference]", "driving[reference - 1]"),),
        ),
        Mutant(
            "exchanged",
            "source and reference are interchangeable",
            "You start from the reference and count the movement since the source. Whose points are moved, and who did "
            "the moving?",
            (("(driving - start)", "(driving - source)"), ("source + movement", "start + movement")),
        ),
        Mutant(
            "all-scaled",
            "the scale multiplies everything",
            "At the reference frame your points are not the source's own: they are scaled too, about the middle of the "
            "picture. The scale belongs to the movement alone.",
            (("source + movement", "scale * source + movement"),),
        ),
        Mutant(
            "scale-ignored",
            "the scale is somebody else's business",
            "With a scale of 2 your points move as far as with 1. Where does `scale` come in?",
            (("scale * (driving - start)", "driving - start"),),
        ),
        Mutant(
            "keypoint-for-frame",
            "the second axis counts the frames",
            "You subtract one *keypoint* from all others in its frame. `driving` is (T, K, 2): which axis counts frames?",
            (("driving[reference]", "driving[:, reference, None]"),),
        ),
    ),
    alternatives=(_relative_by_loop, _relative_offset, _relative_wide),
    box="animation",
    differentiable=("source", "driving"),
)


# ------------------------------------------------------------------------------------------------------------ hull scale


def _cloud(count: int, size: float) -> Tensor:
    """Random points (K, 2) in a square of a size; their hull is no line."""
    corners = torch.tensor([[-1.0, -1.0], [1.0, -0.8], [0.1, 1.0]])
    return size * torch.cat([corners, 2 * torch.rand(count - 3, 2) - 1])


def _line(count: int) -> Tensor:
    return torch.linspace(-1, 1, count)[:, None].expand(count, 2).clone()


def _slanted(count: int) -> Tensor:
    """Points on y = 0.37 x, as float32 holds them."""
    x = torch.linspace(-0.9, 0.9, count)
    return torch.stack([x, 0.37 * x], dim=1)


def _hull_calls() -> Sequence[Call]:
    return (
        Call("10 random points in a square of 0.8 and 10 in one of 0.5", (_cloud(10, 0.8), _cloud(10, 0.5))),
        Call("6 random points in a square of 0.3 and 6 in one of 0.7", (_cloud(6, 0.3), _cloud(6, 0.7))),
        Call("a reference whose points lie on a line", (_cloud(5, 0.5), _line(5))),
        Call("a source whose points lie on a line", (_line(5), _cloud(5, 0.5))),
    )


def _rectangle(width: float, height: float) -> Tensor:
    """Four corners and the middle."""
    return torch.tensor([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height], [width / 2, height / 2]])


def _hull_double(f: Function) -> None:
    for factor in (2.0, 0.5, 3.0):
        small = _cloud(7, 0.3)
        message = "A figure that is n times as tall and n times as wide has to move n times as far"
        expect(f(factor * small, small), factor, message, f"7 random points, and the same {factor:g} times as large")


def _hull_hand(f: Function) -> None:
    message = "The two rectangles of the lesson, with areas 0.36 and 0.09, have to give 2"
    expect(f(_rectangle(0.4, 0.9), _rectangle(0.2, 0.45)), 2.0, message, "0.4 × 0.9 and 0.2 × 0.45")


def _hull_build(f: Function) -> None:
    message = "Twice as wide and half as tall is the same area, so the scale has to be 1"
    expect(f(_rectangle(0.8, 0.2), _rectangle(0.4, 0.4)), 1.0, message, "0.8 × 0.2 and 0.4 × 0.4")


def _hull_no_box(f: Function) -> None:
    diamond = torch.tensor([[-0.4, 0.0], [0.0, 0.4], [0.4, 0.0], [0.0, -0.4]])
    message = "The hull is a rubber band, no box: a diamond covers half of its box, so the box is √2 times as large"
    expect(f(_rectangle(0.8, 0.8), diamond), math.sqrt(2), message, "0.8 × 0.8, and a diamond as wide and as tall")


def _hull_none(f: Function) -> None:
    message = (
        "Points on a line have no area and say nothing about size: the scale has to be 1 (an area below 0.000001 is only "
        "rounding; hull_area says 0 then)"
    )
    for line, said in ((_line(4), "y = x"), (_slanted(10), "y = 0.37 x (up to rounding)")):
        expect(f(_rectangle(0.4, 0.9), line), 1.0, message, f"the reference's points on the line {said}")
        expect(f(line, _rectangle(0.4, 0.9)), 1.0, message, f"the source's points on the line {said}")


def _hull_back(f: Function) -> None:
    a, b = _cloud(6, 0.4), _cloud(6, 0.7)
    expect(f(a, b) * f(b, a), 1.0, "Scaling there and back again has to give 1", "two random sets of 6 points")


def _hull_of_roots(source: Tensor, reference: Tensor) -> float:
    sides = [math.sqrt(hull_area(points)) for points in (source, reference)]
    return sides[0] / sides[1] if all(sides) else 1.0


def _hull_by_shoelace(source: Tensor, reference: Tensor) -> float:
    from scipy.spatial import ConvexHull, QhullError

    areas = []
    for points in (source.double().tolist(), reference.double().tolist()):
        try:
            ring = [points[i] for i in ConvexHull(points).vertices]
        except QhullError:
            return 1.0
        crosses = [p[0] * q[1] - q[0] * p[1] for p, q in zip(ring, ring[1:] + ring[:1], strict=True)]
        areas.append(abs(sum(crosses)) / 2)
    if min(areas) < 1e-6:
        return 1.0
    return float((areas[0] / areas[1]) ** 0.5)


def _hull_of_logarithms(source: Tensor, reference: Tensor) -> float:
    ours, theirs = hull_area(source), hull_area(reference)
    if ours <= 0 or theirs <= 0:
        return 1.0
    return math.exp((math.log(ours) - math.log(theirs)) / 2)


def _hull_number(f: Function, call: Call) -> Tensor:
    """The answer as a tensor, so that it is compared with a tolerance."""
    return torch.as_tensor(f(*call.args), dtype=torch.float64)


HULL = Exercise(
    id="hull-scale",
    title="Larger figures move farther",
    target="monkeynet_edu.animation:hull_scale",
    statement=(
        "Say how many times as far the source has to move as the driving figure, from the areas of the hulls of their "
        "points, (K, 2) each. Where one of them has no area (points on a line): 1."
    ),
    level="stub",
    steps=(
        "the area of the hull of the source's points",
        "the area of the hull of the reference's points",
        "no area, no size: the scale is 1",
        "from areas to a ratio of lengths",
    ),
    hints=(
        "A movement is a length. An area grows with the square of lengths: a figure twice as tall and twice as wide "
        "covers four times the area.",
        "`hull_area(points)` takes (K, 2) and returns a plain number; it is 0 for points on a line. Return a plain "
        "number too.",
        "`math.sqrt(hull_area(source) / hull_area(reference))`, and 1.0 if one of the areas is 0.",
    ),
    calls=_hull_calls,
    properties=(
        Property("n-times", "n times as tall and as wide moves n times as far", _hull_double),
        Property("by-hand", "areas 0.36 and 0.09 give 2", _hull_hand),
        Property("build", "the same area gives 1", _hull_build),
        Property("no-box", "the hull is a rubber band, no box", _hull_no_box),
        Property("no-hull", "points on a line give 1", _hull_none),
        Property("back", "there and back again gives 1", _hull_back),
    ),
    mutants=(
        Mutant(
            "area-for-length",
            "movements grow with the area",
            "A figure twice as large in both directions has four times the area, and your scale is 4. How much longer "
            "are its arms?",
            (("math.sqrt(ours / theirs)", "ours / theirs"),),
        ),
        Mutant(
            "upside-down",
            "the ratio is reference to source",
            "Your large source makes small movements. A larger source has to move farther: which area is divided by "
            "which?",
            (("ours / theirs", "theirs / ours"),),
        ),
        Mutant(
            "no-hull-no-movement",
            "without an area the scale is 0",
            "With a scale of 0 a film whose points lie on a line would move nothing at all. If nothing is known about "
            "size, which factor changes nothing?",
            (("return 1.0", "return 0.0"),),
        ),
        Mutant(
            "only-the-reference",
            "only a division by zero does harm",
            "You ask whether the reference has an area, but not the source: with its points on a line your scale is 0, and "
            "nothing moves at all.",
            (("min(ours, theirs) == 0", "theirs == 0"),),
        ),
        Mutant(
            "bounding-box",
            "the area of a figure is that of its box",
            "You measure the box round the points. The hull is a rubber band: where no point lies in a corner, it cuts the "
            "corner off. `hull_area` measures it for you.",
            (
                ("hull_area(source)", "float((source.amax(dim=0) - source.amin(dim=0)).prod())"),
                ("hull_area(reference)", "float((reference.amax(dim=0) - reference.amin(dim=0)).prod())"),
            ),
        ),
    ),
    alternatives=(_hull_of_roots, _hull_by_shoelace, _hull_of_logarithms),
    observe=_hull_number,
    box="animation",
)


# ------------------------------------------------------------------------------------------------------------ procrustes


def _procrustes_calls() -> Sequence[Call]:
    return (
        Call("5 poses of 4 random points against 5 others", (torch.rand(5, 4, 2), torch.rand(5, 4, 2) + 0.3)),
        Call("two random sets of 7 points, one far away and large", (torch.rand(7, 2), 5 * torch.rand(7, 2) - 9)),
    )


def _procrustes_same(f: Function) -> None:
    points = torch.rand(6, 2)
    message = "Place and size must not count: a shifted, enlarged copy has the distance 0"
    expect(f(points, 3 * points + torch.tensor([1.0, -2.0])), 0.0, message, "6 random points, and 3 times them, shifted")


def _procrustes_hand(f: Function) -> None:
    lying, standing = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 1.0], [1.0, 5.0]])
    message = "The lying and the standing pair of points of the lesson are √2 apart"
    expect(f(lying, standing), math.sqrt(2), message, "(0, 0), (2, 0) and (1, 1), (1, 5)")
    expect(f(lying, lying.flip(0)), 2.0, "The same pair in the other order is 2 apart", "(0, 0), (2, 0) and (2, 0), (0, 0)")


def _procrustes_by_loop(points: Tensor, others: Tensor) -> float:
    """Lists and loops."""
    shapes = []
    for cloud in (points.double().tolist(), others.double().tolist()):
        middle = [sum(p[axis] for p in cloud) / len(cloud) for axis in (0, 1)]
        moved = [(p[0] - middle[0], p[1] - middle[1]) for p in cloud]
        size = math.sqrt(sum(x * x + y * y for x, y in moved))
        shapes.append([(x / size, y / size) for x, y in moved])
    return math.sqrt(sum((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 for p, q in zip(*shapes, strict=True)))


def _procrustes_loop(f: Function) -> None:
    points, others = torch.rand(5, 2), torch.rand(5, 2)
    wanted = _procrustes_by_loop(points, others)
    expect(f(points, others), wanted, "It has to agree with loops", "two random sets of 5 points")


def _procrustes_batch(f: Function) -> None:
    film, source = torch.rand(4, 6, 2), torch.rand(1, 6, 2)
    wanted = [_procrustes_by_loop(frame, source[0]) for frame in film]
    expect(f(film, source), wanted, "Each pose of a film has to get its own distance", "(4, 6, 2) and (1, 6, 2)")


def _procrustes_turned(f: Function) -> None:
    points = torch.rand(5, 2) - 0.5
    turned = torch.stack([-points[:, 1], points[:, 0]], dim=-1)
    message = "A turned copy is another pose: turning must not be undone"
    expect(f(points, turned), _procrustes_by_loop(points, turned), message, "5 random points, turned by 90°")


def _procrustes_cosine(points: Tensor, others: Tensor) -> Tensor:
    a, b = ((p - p.mean(-2, keepdim=True)).double().flatten(-2) for p in (points, others))
    away = 1 - torch.nn.functional.cosine_similarity(a, b, dim=-1)
    return (2 * away).clamp_min(0).sqrt().to(points.dtype)


def _procrustes_norms(points: Tensor, others: Tensor) -> Tensor:
    shapes = []
    for cloud in (points, others):
        flat = (cloud - cloud.mean(dim=-2, keepdim=True)).flatten(-2)
        shapes.append(flat / torch.linalg.vector_norm(flat, dim=-1, keepdim=True))
    found: Tensor = torch.linalg.vector_norm(shapes[0] - shapes[1], dim=-1)
    return found


def _procrustes_einsum(points: Tensor, others: Tensor) -> Tensor:
    def shape(cloud: Tensor) -> Tensor:
        wide = cloud.double() - torch.einsum("...pc->...c", cloud.double())[..., None, :] / cloud.shape[-2]
        return wide / torch.einsum("...pc,...pc->...", wide, wide).sqrt()[..., None, None]

    gap = shape(points) - shape(others)
    return torch.einsum("...pc,...pc->...", gap, gap).sqrt().to(points.dtype)


PROCRUSTES = Exercise(
    id="procrustes",
    title="The distance of two poses",
    target="monkeynet_edu.alignment:procrustes_distance",
    statement=(
        "Write `procrustes_distance(points, others)`: the distance (...) of two sets of points (..., P, 2), after both "
        "were moved to the origin and scaled to size 1. (Under its last root the library keeps at least 1e-24, so that "
        "equal poses have a gradient; yours need not.)"
    ),
    level="blank page",
    hints=(
        "Take away what must not count. Place: subtract the middle of the points. Size: divide by the root of the sum of "
        "all squared coordinates. What is left is the pose; compare that.",
        "The middle is a mean over the points (dim=-2), (..., 1, 2). Size is one number a set: the sum runs over both "
        "dim=-2 and dim=-1, with keepdim=True, (..., 1, 1). The result has neither of the two axes.",
        "`a = points - points.mean(dim=-2, keepdim=True)`; `a = a / a.square().sum(dim=(-2, -1), keepdim=True).sqrt()`; "
        "the same for b; `(a - b).square().sum(dim=(-2, -1)).sqrt()`.",
    ),
    calls=_procrustes_calls,
    properties=(
        Property("place-and-size", "a shifted, enlarged copy is at distance 0", _procrustes_same),
        Property("by-hand", "a lying and a standing pair are √2 apart", _procrustes_hand),
        Property("loop", "it agrees with loops", _procrustes_loop),
        Property("film", "each pose of a film gets its own distance", _procrustes_batch),
        Property("turned", "a turned copy is another pose", _procrustes_turned),
    ),
    mutants=(
        Mutant(
            "place-counts",
            "points can be compared where they are",
            "Your distance grows when a figure stands elsewhere in the frame. Which point of a set could be moved to the "
            "origin?",
            (
                ("points - points.mean(dim=-2, keepdim=True)", "points"),
                ("others - others.mean(dim=-2, keepdim=True)", "others"),
            ),
        ),
        Mutant(
            "size-counts",
            "centring is enough",
            "Your distance grows when a figure is filmed from nearer. After centring, divide each set by its size.",
            (
                ("a = a / a.square().sum(dim=(-2, -1), keepdim=True).sqrt()", "a = a"),
                ("b = b / b.square().sum(dim=(-2, -1), keepdim=True).sqrt()", "b = b"),
            ),
        ),
        Mutant(
            "area-for-length",
            "size is the sum of squares",
            "You divide lengths by a sum of squares, so the size still counts: a set twice as large becomes half as "
            "large. Which power of a length is a sum of squares?",
            (
                ("a.square().sum(dim=(-2, -1), keepdim=True).sqrt()", "a.square().sum(dim=(-2, -1), keepdim=True)"),
                ("b.square().sum(dim=(-2, -1), keepdim=True).sqrt()", "b.square().sum(dim=(-2, -1), keepdim=True)"),
            ),
        ),
        Mutant(
            "each-point-its-own-size",
            "every point is scaled to length 1",
            "Each of your points is divided by its own length, so a hand near the body and a hand far out look alike. "
            "Size is one number for the whole set.",
            (
                ("a.square().sum(dim=(-2, -1), keepdim=True)", "a.square().sum(dim=-1, keepdim=True)"),
                ("b.square().sum(dim=(-2, -1), keepdim=True)", "b.square().sum(dim=-1, keepdim=True)"),
            ),
        ),
        Mutant(
            "no-root",
            "the sum of squares is the distance",
            "A lying and a standing pair come out 2 apart instead of √2: yours is the squared distance.",
            (("squared.clamp_min(1e-24).sqrt()", "squared"),),
        ),
        Mutant(
            "mean-of-squares",
            "size is the root of the mean square",
            "You divide by the root of the *mean* of the squares; then the squares of n points sum to 2n, and a distance "
            "grows with the number of points. Take the sum.",
            (
                ("a.square().sum(dim=(-2, -1), keepdim=True)", "a.square().mean(dim=(-2, -1), keepdim=True)"),
                ("b.square().sum(dim=(-2, -1), keepdim=True)", "b.square().mean(dim=(-2, -1), keepdim=True)"),
            ),
        ),
        Mutant(
            "one-middle-for-both",
            "the mean of all numbers is the middle",
            "You subtract one number from x and from y. The middle of a figure is a point: a mean of x and a mean of y, "
            "each over the points.",
            (
                ("points.mean(dim=-2, keepdim=True)", "points.mean(dim=(-2, -1), keepdim=True)"),
                ("others.mean(dim=-2, keepdim=True)", "others.mean(dim=(-2, -1), keepdim=True)"),
            ),
        ),
        Mutant(
            "mean-over-frames",
            "the points are counted by the first axis",
            "You take a mean over the *frames* of a film (with a single pose everything becomes 0, and 0/0 is NaN). "
            "Counted from the end, (..., P, 2), the axis of the points is always the same.",
            (
                ("points.mean(dim=-2, keepdim=True)", "points.mean(dim=0, keepdim=True)"),
                ("others.mean(dim=-2, keepdim=True)", "others.mean(dim=0, keepdim=True)"),
            ),
        ),
        Mutant(
            "each-axis-its-own-size",
            "x and y are scaled separately",
            "You divide x by one size and y by another, so a tall figure and a wide one look alike. Size is one number for "
            "the whole set.",
            (
                ("a.square().sum(dim=(-2, -1), keepdim=True)", "a.square().sum(dim=-2, keepdim=True)"),
                ("b.square().sum(dim=(-2, -1), keepdim=True)", "b.square().sum(dim=-2, keepdim=True)"),
            ),
        ),
        Mutant(
            "middle-of-coordinates",
            "the mean of a point's x and y is its middle",
            "You average x with y. The middle of a figure is the mean over its points: which axis counts the points?",
            (
                ("points.mean(dim=-2, keepdim=True)", "points.mean(dim=-1, keepdim=True)"),
                ("others.mean(dim=-2, keepdim=True)", "others.mean(dim=-1, keepdim=True)"),
            ),
        ),
    ),
    alternatives=(_procrustes_cosine, _procrustes_norms, _procrustes_einsum),
    box="animation",
    differentiable=("points", "others"),
    survivors={
        "constant: return squared.clamp_min(1e-24).sqrt() -> return squared.clamp_min(2e-24).sqrt()": (
            "the floor is far below every distance of two poses that differ"
        ),
        "constant: return squared.clamp_min(1e-24).sqrt() -> return squared.clamp_min(-1e-24).sqrt()": (
            "without a floor only the gradient at distance 0 is lost; a plain root is a right answer too"
        ),
    },
)


LESSON = Lesson(
    number="08",
    slug="animation",
    title="Animation",
    minutes=100,
    imports=IMPORTS,
    exercises=(RELATIVE, HULL, PROCRUSTES),
)
