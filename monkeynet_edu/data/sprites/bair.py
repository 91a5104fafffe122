"""A miniature of BAIR robot pushing: a jointed arm sweeps over a table and pushes toys about.

The table is seen obliquely from above and fills the frame; the arm's base stands at the far (upper) edge. Protocol:
every clip has 30 frames at 10 frames a second, as in BAIR (another ``length`` samples the same sweep more or less
finely). As there, robot and camera stand still. ``motion`` decides the layout of 3 to 5 toys, the gripper's path and
hence every push;
``identity`` decides the robot's colours and proportions, the toys' shapes and colours, and the table. All toys push
like discs of one radius, so the toys and the gripper of two identities follow the very same paths; only the elbow
answers to the proportions of the links. The first toy is pushed in every clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monkeynet_edu.data.sprites.engine import (
    RGB,
    Array,
    Box,
    Capsule,
    Ellipse,
    Joint,
    Paint,
    Part,
    Polygon,
    Pose,
    Scene,
    Shape,
    Union,
    lattice,
    noise,
)

JOINTS = (
    "base",
    "shoulder",
    "elbow",
    "wrist",
    "left_finger",
    "right_finger",
    "object_1",
    "object_2",
    "object_3",
)
LENGTH = 30
FPS = 10.0

_SEED = 0xBA18
_TOY = 0.19  # radius of every toy as far as contacts go
_GRIPPER = 0.14  # radius of the disc around the finger tips that pushes
_HAND = 0.30  # from the wrist to the middle between the finger tips
_BASE_Y = -0.86
_BASE_X = 0.25  # as in BAIR, camera and robot stand still
_STRAY = 0.3  # how far from the push a sweep begins and ends
_STEPS = 117  # simulation steps over a clip, whatever its number of frames
_LOW, _HIGH = np.array([-0.66, -0.02]), np.array([0.66, 0.74])  # where the gripper may go
_EDGE_LOW, _EDGE_HIGH = np.array([-0.8, -0.3]), np.array([0.8, 0.8])  # where the toys stay

Points = NDArray[np.float64]
Pattern = Literal["plain", "stripes", "checks", "dots"]


def _rgb(code: str) -> RGB:
    """'e0402a' → RGB in [0, 1]."""
    r, g, b = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return r, g, b


def _blend(a: RGB, b: RGB, share: float) -> RGB:
    """``a`` moved towards ``b`` by ``share``."""
    r, g, c = (x + share * (y - x) for x, y in zip(a, b, strict=True))
    return r, g, c


def _apart(a: RGB, b: RGB) -> float:
    """Distance of two colours; lightness is what the eye separates shapes by, so it counts more than the rest."""
    d = np.subtract(a, b)
    return float(np.hypot(np.linalg.norm(d) * 0.7, d @ np.array([0.3, 0.59, 0.11])))


_PATTERNS: tuple[Pattern, ...] = ("plain", "plain", "stripes", "stripes", "checks", "dots")
_INK = _rgb("1d1b26")
_WHITE = _rgb("fbf7ee")

# Robot: shell, accent (inlays and bands), joint discs.
_ROBOTS = tuple(
    (_rgb(shell), _rgb(accent), _rgb(disc))
    for shell, accent, disc in (
        ("d3302f", "2b2b33", "f2ede4"),
        ("c9253e", "f4d9b0", "3a3540"),
        ("f0862a", "2e3440", "f6eadb"),
        ("ef7b1f", "fff3df", "4a4e5a"),
        ("f2f0ea", "d64541", "5b6472"),
        ("eceff2", "2f7fc1", "39424f"),
        ("f5f3ec", "f0a030", "4b4b58"),
        ("c4cad2", "e2574c", "2f3743"),
        ("2f6fd0", "f6d24a", "eef2f6"),
        ("2563a8", "f3f5f7", "f08a3c"),
        ("f4c62f", "2c2c34", "5a5f6b"),
        ("f7cf47", "d94f3a", "fdf6e3"),
        ("2fa58c", "f7f1dc", "23404a"),
        ("3aa65b", "f5e9b8", "27402f"),
        ("7b52c4", "f2c94c", "f1ecf8"),
        ("e85d8f", "fdf0f4", "4a3050"),
        ("3c4454", "f0a030", "d9dde3"),
        ("2d3038", "46c1c9", "e7e9ec"),
    )
)

_TOYS = tuple(
    _rgb(code)
    for code in (
        "e4483f", "f28a2e", "f6cb3c", "8cc63f", "2f9e58", "27b3b0",
        "3b8fe0", "3d4fc4", "8a55cf", "e063a8", "f6f1e4", "33333d",
    )
)  # fmt: skip

# Table: texture, main colour, its companion (lines, grain, other tiles).
_TABLES = tuple(
    (kind, _rgb(main), _rgb(other))
    for kind, main, other in (
        ("planks", "c89a68", "8f6238"),
        ("planks", "a9744a", "6e4526"),
        ("planks", "e0c49a", "b48f60"),
        ("planks", "7d5a46", "4e3529"),
        ("planks", "b9b2a6", "857d72"),
        ("felt", "3f7d5c", "2c5f45"),
        ("felt", "486f9e", "34547c"),
        ("felt", "8d4653", "6b323e"),
        ("felt", "9aa58c", "76826a"),
        ("tiles", "d9d3c5", "aaa08c"),
        ("tiles", "a9c2c4", "789799"),
        ("tiles", "cfa58e", "a0745d"),
        ("chequer", "cfc7b6", "b3a994"),
        ("chequer", "8fa9a0", "789489"),
        ("chequer", "9c93ad", "847b98"),
        ("mat", "44505a", "5d6b75"),
        ("mat", "2f6f6a", "4f8f88"),
        ("mat", "6a6f78", "8a8f97"),
        ("mat", "45577f", "6074a0"),
        ("stone", "c9c6c4", "9d9a9c"),
        ("stone", "8b8f94", "6a6d74"),
        ("cork", "c69c6d", "9a6f44"),
        ("linen", "e3dccb", "c0b69c"),
        ("linen", "a7b4c4", "8693a6"),
    )
)


@dataclass(frozen=True)
class _Toy:
    """Looks of one toy."""

    kind: str
    colour: RGB
    second: RGB
    pattern: Pattern
    size: float


@dataclass(frozen=True)
class _Look:
    """Looks of one identity: the robot, five toys and the table.

    Attributes:
        shell: colour of the links.
        accent: colour of inlays, bands and finger pads.
        disc: colour of the joint discs.
        style: how the links are decorated.
        lengths: upper arm, forearm, in scene units when seen from the side.
        radii: half thickness at the base, shoulder, elbow and wrist.
        hub: what share of a joint's thickness its disc takes.
        claw: bow of the fingers, 0 for straight ones.
        toys: five toys, of which a clip uses the first 3 to 5.
        table: texture, main colour and companion.
    """

    shell: RGB
    accent: RGB
    disc: RGB
    style: str
    lengths: tuple[float, float]
    radii: tuple[float, float, float, float]
    hub: float
    claw: float
    toys: tuple[_Toy, ...]
    table: tuple[str, RGB, RGB]


def _toys(rng: np.random.Generator, ground: RGB, shell: RGB) -> tuple[_Toy, ...]:
    """Five toys of different kinds and colours that stand out from the table."""
    colours = [c for c in _TOYS if _apart(c, ground) > 0.24 and _apart(c, shell) > 0.12]
    order = rng.permutation(len(colours))[:5]
    kinds = rng.permutation(list(_KINDS))[:5]
    toys = []
    for kind, index in zip(kinds, order, strict=True):
        colour = colours[index]
        far = [c for c in (*_TOYS, _WHITE) if _apart(c, colour) > 0.3]
        second = far[int(rng.integers(len(far)))]
        pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
        toys.append(_Toy(str(kind), colour, second, pattern, _TOY * float(rng.uniform(0.98, 1.12))))
    return tuple(toys)


def _look(identity: int) -> _Look:
    """Draws the looks of an identity."""
    rng = np.random.default_rng([_SEED, 1, identity])
    table = _TABLES[int(rng.integers(len(_TABLES)))]
    fitting = [robot for robot in _ROBOTS if _apart(robot[0], table[1]) > 0.24]
    shell, accent, disc = fitting[int(rng.integers(len(fitting)))]
    thick = rng.uniform(0.135, 0.165)
    return _Look(
        shell=shell,
        accent=accent,
        disc=disc,
        style=str(rng.choice(["inlay", "bands", "hazard", "spine"])),
        lengths=(float(rng.uniform(0.90, 1.0)), float(rng.uniform(0.86, 0.96))),
        radii=(thick * 1.12, thick, thick * float(rng.uniform(0.82, 0.92)), thick * float(rng.uniform(0.68, 0.78))),
        hub=float(rng.uniform(0.5, 0.68)),
        claw=float(rng.choice([0.0, 1.2, 2.2])),
        toys=_toys(rng, table[1], shell),
        table=table,
    )


@dataclass(frozen=True)
class _Sweep:
    """The motion over N moments, the same for every identity.

    Attributes:
        base: (2,) where the arm stands.
        side: +1 or -1, the way the elbow bends.
        tip: (N, 2) middle between the finger tips.
        heading: (N,) direction of the hand in radians.
        opening: (N,) half distance of the fingers.
        toys: (N, n, 2) centres.
        turns: (N, n) angles of the toys.
    """

    base: Points
    side: float
    tip: Points
    heading: Points
    opening: Points
    toys: Points
    turns: Points

    def sampled(self, length: int) -> _Sweep:
        """The same sweep at ``length`` moments."""
        at = np.linspace(0.0, 1.0, length) * (len(self.tip) - 1)
        low = np.minimum(at.astype(int), len(self.tip) - 2)

        def pick(values: Points) -> Points:
            share = (at - low).reshape(-1, *[1] * (values.ndim - 1))
            mixed: Points = values[low] * (1 - share) + values[low + 1] * share
            return mixed

        arrays = (pick(a) for a in (self.tip, self.heading, self.opening, self.toys, self.turns))
        return _Sweep(self.base, self.side, *arrays)


def _layout(rng: np.random.Generator, count: int) -> Points:
    """Centres (count, 2) of toys that lie well apart."""
    gap = 2 * _TOY + 0.12
    while True:
        placed: list[Points] = []
        for spot in rng.uniform([-0.72, -0.05], [0.72, 0.72], size=(40, 2)):
            if all(math.hypot(*(spot - other)) > gap for other in placed):
                placed.append(spot)
            if len(placed) == count:
                return np.array(placed)


def _waypoints(rng: np.random.Generator, toys: Points) -> Points:
    """A start near the first toy, a point behind it and one beyond it, then an end near that."""
    goal = rng.uniform([-0.5, 0.0], [0.5, 0.6])
    way = (goal - toys[0]) / max(float(np.hypot(*(goal - toys[0]))), 1e-6)
    behind, beyond = toys[0] - way * (_TOY + _GRIPPER + 0.05), toys[0] + way * rng.uniform(0.1, 0.3)
    start, end = rng.uniform(-_STRAY, _STRAY, (2, 2))
    kept: Points = np.clip(np.array([behind + start, behind, beyond, beyond + end]), _LOW, _HIGH)
    return kept


def _path(stops: Points) -> Points:
    """Minimum-jerk reaches from stop to stop; each begins before the last one ends, which rounds the corners."""
    legs = np.diff(stops, axis=0)
    spans = (0.25 + np.hypot(legs[:, 0], legs[:, 1])) ** 0.8
    starts = np.concatenate([[0.0], np.cumsum(spans)[:-1]])
    lasts = spans * 1.3
    time = np.linspace(0.0, float((starts + lasts).max()), _STEPS)
    s = np.clip((time[:, None] - starts) / lasts, 0.0, 1.0)
    ease: Points = s**3 * (10 - 15 * s + 6 * s**2)
    path: Points = stops[0] + ease @ legs
    return path


def _push(tip: Points, start: Points) -> tuple[Points, Points, float]:
    """Quasi-static pushing: toys step out of the gripper's way and out of each other's.

    Returns:
        Centres (N, n, 2), angles (N, n), and how deep the gripper ever stayed inside a toy that the table's edge held.
    """
    toys, turns, deepest = start, np.zeros(len(start)), 0.0
    centres, angles = [toys], [turns]
    for before, now in pairwise(tip):
        away = toys - now
        distance = np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-6)
        touched = distance < _TOY + _GRIPPER
        if not touched.any():
            centres.append(toys)
            angles.append(turns)
            continue
        normal, move = away / distance[:, None], now - before
        slip = normal[:, 0] * move[1] - normal[:, 1] * move[0]
        turns = turns + np.where(touched, 0.5 * slip / _TOY, 0.0)
        for _ in range(2):
            toys = _separate(now, toys)
        away = toys - now
        deepest = max(deepest, float((_TOY + _GRIPPER - np.hypot(away[:, 0], away[:, 1])).max()))
        centres.append(toys)
        angles.append(turns)
    return np.array(centres), np.array(angles), deepest


def _separate(gripper: Points, toys: Points) -> Points:
    """Moves toys (n, 2) out of the gripper, out of each other and back onto the table, once."""
    away = toys - gripper
    distance = np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-6)[:, None]
    toys = toys + away / distance * np.maximum(_TOY + _GRIPPER - distance, 0.0)
    between = toys[:, None] - toys[None]
    gaps = np.hypot(between[..., 0], between[..., 1]) + 10.0 * np.eye(len(toys))
    overlap = np.maximum(2 * _TOY - gaps, 0.0) / 2
    toys = toys + (between / gaps[..., None] * overlap[..., None]).sum(axis=1)
    kept: Points = np.clip(toys, _EDGE_LOW, _EDGE_HIGH)
    return kept


@lru_cache(maxsize=64)
def _sweep(motion: int) -> _Sweep:
    """Draws sweeps until one pushes its first toy well, never ploughs through a held toy, and moves about enough."""
    rng = np.random.default_rng([_SEED, 2, motion])
    count = int(rng.integers(3, 6))
    while True:
        start = _layout(rng, count)
        tip = _path(_waypoints(rng, start))
        if np.hypot(*(start - tip[0]).T).min() < _TOY + _GRIPPER + 0.02:
            continue
        if not 0.16 < np.hypot(*(tip - tip[0]).T).mean() < 0.34:
            continue
        toys, turns, deepest = _push(tip, start)
        if deepest < 0.03 and 0.15 < np.hypot(*(toys[-1, 0] - start[0])) < 0.6:
            break
    side, base = 1.0, np.array([_BASE_X, _BASE_Y])
    aim = tip - base - [0.0, 0.35]
    heading = np.pi / 2 - 0.6 * np.arctan2(aim[:, 0], np.maximum(aim[:, 1], 0.3)) - 0.25 * side
    wave = np.sin(2 * np.pi * (np.linspace(0, 1, _STEPS) * rng.uniform(0.6, 1.2) + rng.random()))
    return _Sweep(base, side, tip, heading, 0.095 + 0.02 * wave, toys, turns)


@dataclass(frozen=True)
class _Arm:
    """Joint positions (T, 2) of the arm."""

    base: Points
    shoulder: Points
    elbow: Points
    wrist: Points


def _solve(look: _Look, sweep: _Sweep) -> _Arm:
    """Inverse kinematics: the elbow that joins shoulder and wrist.

    The arm bends in a plane that leans towards the viewer, so the elbow's offset from the line shoulder–wrist is seen
    foreshortened, and so are the links.
    """
    tip, heading = sweep.tip, sweep.heading
    wrist = tip - _HAND * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    base = np.broadcast_to(sweep.base, wrist.shape)
    swing = np.pi / 2 - 0.45 * np.arctan2(wrist[:, 0] - base[:, 0], wrist[:, 1] - base[:, 1] + 0.5) + 0.3 * sweep.side
    shoulder = base + 0.24 * np.stack([np.cos(swing), np.sin(swing)], axis=-1)
    line = wrist - shoulder
    reach = np.hypot(line[:, 0], line[:, 1])
    upper, fore = look.lengths
    span = np.clip(reach, abs(upper - fore) + 0.02, upper + fore - 0.02)
    along = (upper**2 - fore**2 + span**2) / (2 * span)
    aside = 0.5 * np.sqrt(np.maximum(upper**2 - along**2, 1e-4))
    unit = line / reach[:, None]
    across = np.stack([-unit[:, 1], unit[:, 0]], axis=-1) * sweep.side
    elbow = shoulder + unit * (along / span * reach)[:, None] + across * aside[:, None]
    return _Arm(base, shoulder, elbow, wrist)


def _link(start: Points, end: Points, length: float) -> Pose:
    """Pose of a link drawn with ``length`` that is seen from ``start`` to ``end`` (T, 2), shortened along itself."""
    line = end - start
    shown = np.hypot(line[:, 0], line[:, 1])
    scale = np.stack([shown / length, np.ones_like(shown)], axis=-1)
    return Pose.of(start, np.arctan2(line[:, 1], line[:, 0]), scale)


def _ink(colour: RGB) -> RGB:
    """The outline that goes with a colour."""
    return _blend(_blend(colour, (0.0, 0.0, 0.0), 0.42), _INK, 0.4)


def _paint(colour: RGB, *, shade: float = 0.0, width: float = 0.032) -> Paint:
    """A plain colour with its outline."""
    return Paint(colour, outline=_ink(colour), outline_width=width, shade=shade)


def _link_parts(name: str, look: _Look, pose: Pose, length: float, radii: tuple[float, float]) -> list[Part]:
    """A link and its decoration in the robot's style."""
    paint = _paint(look.shell, shade=0.4)
    if look.style == "hazard":
        paint = Paint(
            look.shell, look.accent, "stripes", 0.30, 0.6, outline=_ink(look.shell), outline_width=0.032, shade=0.3
        )
    parts = [Part(name, Capsule(length, *radii), paint, pose)]
    thin = min(radii)
    decoration: dict[str, Shape] = {
        "inlay": Box(length * 0.24, thin * 0.46, thin * 0.3),
        "bands": Union(((Box(0.05, thin * 0.82), (-0.12, 0.0)), (Box(0.05, thin * 0.82), (0.12, 0.0)))),
        "spine": Box(length * 0.36, thin * 0.26),
    }
    if look.style in decoration:
        middle = Pose(pose.to_scene(np.array([[length / 2, 0.0]]))[:, 0], pose.matrix, pose.bend)
        parts.append(Part(f"{name}_{look.style}", decoration[look.style], Paint(look.accent, shade=0.3), middle))
    return parts


def _arm_parts(look: _Look, sweep: _Sweep, arm: _Arm) -> list[Part]:
    """The robot, from the base outwards, with the discs over the links they join."""
    r_base, r_shoulder, r_elbow, r_wrist = look.radii
    upper, fore = look.lengths
    hub = look.hub
    boom = _link(arm.base, arm.shoulder, 0.24)
    upper_pose, fore_pose = _link(arm.shoulder, arm.elbow, upper), _link(arm.elbow, arm.wrist, fore)
    plate = Part("plate", Box(0.27, 0.2, 0.08), _paint(_blend(look.disc, _INK, 0.35)), Pose.of(arm.base - [0.0, 0.06]))
    parts = [plate, Part("boom", Capsule(0.24, r_base, r_shoulder), _paint(_blend(look.shell, _INK, 0.22)), boom)]
    parts += _hand_parts(look, sweep, arm.wrist, r_wrist)
    parts += _link_parts("forearm", look, fore_pose, fore, (r_elbow, r_wrist))
    parts.append(Part("wrist_disc", Ellipse(r_wrist * hub, r_wrist * hub), _paint(look.disc), Pose.of(arm.wrist)))
    parts += _link_parts("upper_arm", look, upper_pose, upper, (r_shoulder, r_elbow * 1.06))
    for name, spot, radius in (("base", arm.base, r_base), ("shoulder", arm.shoulder, r_shoulder)):
        turned = upper_pose if name == "shoulder" else boom
        angle = np.arctan2(turned.matrix[:, 1, 0], turned.matrix[:, 0, 0])
        parts.append(Part(f"{name}_disc", Ellipse(radius * hub, radius * hub), _paint(look.disc), Pose.of(spot, angle)))
    parts.append(Part("elbow_disc", Ellipse(r_elbow * hub, r_elbow * hub), _paint(look.disc), Pose.of(arm.elbow)))
    return parts


def _hand_parts(look: _Look, sweep: _Sweep, wrist: Points, thick: float) -> list[Part]:
    """Two fingers and the palm that carries them; the left finger is the one on the hand's -v side."""
    heading = sweep.heading
    ahead = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    across = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    dark = _blend(look.accent if _apart(look.accent, look.table[1]) > 0.24 else look.disc, _INK, 0.1)
    parts = []
    for name, sign in (("left", -1.0), ("right", 1.0)):
        root = wrist + 0.15 * ahead + sign * sweep.opening[:, None] * across
        bend = -sign * look.claw
        pose = Pose.of(root, heading + sign * (0.1 + 0.1 * look.claw), bend=bend)
        parts.append(Part(f"{name}_finger", Capsule(0.17, 0.068, 0.056), _paint(dark, width=0.03), pose))
    palm = Box(0.075, 0.165, 0.05)
    pose = Pose.of(wrist + 0.11 * ahead, heading)
    parts.append(Part("palm", palm, _paint(_blend(look.shell, _INK, 0.12), shade=0.2), pose))
    return parts


def _star(size: float) -> Shape:
    """A five-pointed star with blunt tips."""
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    reach = np.where(np.arange(10) % 2 == 0, size, size * 0.55)
    corners = zip(reach * np.cos(angles), reach * np.sin(angles), strict=True)
    return Polygon(tuple((float(u), float(v)) for u, v in corners), radius=size * 0.1)


def _wedge(size: float) -> Shape:
    """A triangle with rounded corners."""
    return Polygon(((-0.8 * size, 0.62 * size), (0.8 * size, 0.62 * size), (0.0, -0.72 * size)), radius=size * 0.18)


def _cross(size: float) -> Shape:
    """A plus sign."""
    return Union(((Box(size, size * 0.42, size * 0.12), (0.0, 0.0)), (Box(size * 0.42, size, size * 0.12), (0.0, 0.0))))


def _mug(size: float) -> Shape:
    """A mug from above: a round body with a handle."""
    body: tuple[Shape, tuple[float, float]] = (Ellipse(size * 0.88, size * 0.88), (0.0, 0.0))
    return Union((body, (Box(size * 0.3, size * 0.2, size * 0.1), (size * 1.02, 0.0))))


def _car(size: float) -> Shape:
    """A toy car from above: a body on four wheels."""
    wheels = tuple((Box(size * 0.22, size * 0.72, size * 0.08), (side * size * 0.55, 0.0)) for side in (-1, 1))
    return Union(((Box(size * 1.05, size * 0.58, size * 0.25), (0.0, 0.0)), *wheels))


# The outline of every kind of toy, and what lies on top of it (None: its pattern alone).
_KINDS: dict[str, tuple[Callable[[float], Shape], Callable[[float], Shape] | None]] = {
    "block": (lambda s: Box(s * 0.9, s * 0.9, s * 0.2), None),
    "plank": (lambda s: Box(s * 1.1, s * 0.66, s * 0.15), None),
    "puck": (lambda s: Ellipse(s, s), lambda s: Ellipse(s * 0.52, s * 0.52)),
    "ball": (lambda s: Ellipse(s * 0.95, s * 0.95), lambda s: Box(s * 0.93, s * 0.22)),
    "mug": (_mug, lambda s: Ellipse(s * 0.6, s * 0.6)),
    "star": (_star, lambda s: Ellipse(s * 0.32, s * 0.32)),
    "wedge": (_wedge, None),
    "cross": (_cross, lambda s: Ellipse(s * 0.3, s * 0.3)),
    "car": (_car, lambda s: Box(s * 0.36, s * 0.42, s * 0.12)),
    "crate": (lambda s: Box(s * 0.92, s * 0.92, s * 0.08), lambda s: Box(s * 0.52, s * 0.52, s * 0.05)),
    "egg": (lambda s: Ellipse(s * 1.1, s * 0.8), None),
}


def _toy_parts(number: int, toy: _Toy, centre: Points, turn: Points) -> tuple[list[Part], list[Part]]:
    """The sides of a toy, seen below its top as if it stood up from the table; and its top with what lies on it."""
    outline, detail = _KINDS[toy.kind]
    shape, pose = outline(toy.size), Pose.of(centre - np.array([0.0, 0.03]), turn)
    name, ink = f"object_{number}", _ink(toy.colour)
    standing = Pose.of(centre + np.array([0.0, 0.035]), turn)
    side = Part(f"{name}_side", shape, Paint(_blend(toy.colour, _INK, 0.62)), standing)
    pattern = Paint(toy.colour, outline=ink)
    if detail is None or toy.kind in ("puck", "crate"):
        second = _blend(toy.colour, toy.second, 0.35 if detail else 0.9)
        period = toy.size * (0.9 if toy.pattern == "stripes" else 1.25)
        kind: Pattern = "stripes" if toy.pattern == "plain" and detail is None else toy.pattern
        pattern = Paint(toy.colour, second, kind, period, 0.4, outline=ink)
    tops = [Part(name, shape, pattern, pose)]
    if detail is not None:
        colour = _rgb("4a2c20") if toy.kind == "mug" else toy.second
        tops.append(Part(f"{name}_mark", detail(toy.size), Paint(colour), pose))
    return [side], tops


def _planks(rng: np.random.Generator, u: Array, v: Array, size: int) -> Array:
    """Boards that run away from the viewer, with grain and a tone for each."""
    count = int(rng.integers(4, 7))
    place = (u + 1.6) / 3.2 * count * 1.3
    board = np.floor(place).astype(int)
    tone = rng.random(32)[np.clip(board, 0, 31)]
    seam = np.abs(place - np.round(place)) < 0.035
    grain = noise(rng, size, 9)
    rings = 0.5 + 0.5 * np.sin(14.0 * place + 5.0 * grain + 3.0 * tone)
    level: Array = np.maximum(0.45 * tone + 0.3 * rings, seam * 1.0)
    return level


def _tiles(rng: np.random.Generator, u: Array, v: Array, size: int) -> Array:
    """Square tiles with joints between them."""
    per = float(rng.uniform(2.0, 3.0))
    a, b = u * per + 0.3, v * per + 0.2
    joint = np.maximum(np.abs(a - np.round(a)) < 0.05, np.abs(b - np.round(b)) < 0.05)
    tone = rng.random((32, 32))[np.round(a - 0.5).astype(int) % 32, np.round(b - 0.5).astype(int) % 32]
    level: Array = np.maximum(0.4 * tone + 0.15 * noise(rng, size, 8), joint * 0.9)
    return level


def _chequer(rng: np.random.Generator, u: Array, v: Array, size: int) -> Array:
    """Two tones in turn."""
    per = float(rng.uniform(2.2, 3.2))
    wave = np.sin(np.pi * u * per) * np.sin(np.pi * (v * per + 0.4))
    level: Array = np.clip(0.5 + 6.0 * wave, 0.0, 1.0) * 0.85 + 0.15 * noise(rng, size, 7)
    return level


def _mat(rng: np.random.Generator, u: Array, v: Array, size: int) -> Array:
    """A rubber or cutting mat with a fine ruled grid."""
    per = float(rng.uniform(3.5, 4.5))
    a, b = np.abs(u * per - np.round(u * per)), np.abs(v * per - np.round(v * per))
    level: Array = 0.75 * np.maximum(a < 0.07, b < 0.07) + 0.25 * noise(rng, size, 10)
    return level


def _linen(rng: np.random.Generator, u: Array, v: Array, size: int) -> Array:
    """A tablecloth with crossing bands."""
    per = float(rng.uniform(1.3, 2.2))
    bands = np.clip(0.5 + 4 * np.sin(2 * np.pi * u * per), 0, 1) + np.clip(0.5 + 4 * np.sin(2 * np.pi * v * per), 0, 1)
    level: Array = 0.42 * bands + 0.16 * noise(rng, size, 16)
    return level


def _mottled(coarse: int, fine: int, share: float) -> Callable[..., Array]:
    """Cloudy textures: felt, stone, cork differ in their grain."""

    def texture(rng: np.random.Generator, u: Array, v: Array, size: int) -> Array:
        return (1 - share) * noise(rng, size, coarse) + share * noise(rng, size, fine)

    return texture


_TEXTURES: dict[str, Callable[..., Array]] = {
    "planks": _planks,
    "tiles": _tiles,
    "chequer": _chequer,
    "mat": _mat,
    "linen": _linen,
    "felt": _mottled(4, 20, 0.5),
    "stone": _mottled(5, 12, 0.4),
    "cork": _mottled(10, 22, 0.6),
}


def _table(look: _Look, identity: int, size: int) -> Array:
    """The table: its texture in perspective, a little darker far away and in the corners."""
    rng = np.random.default_rng([_SEED, 3, identity])
    x, y = lattice(size)
    depth = 1.0 - 0.22 * y
    u, v = np.broadcast_to(x * depth, (size, size)), np.broadcast_to(y * depth * 1.15, (size, size))
    kind, main, other = look.table
    level = _TEXTURES[kind](rng, u, v, size).astype(np.float32)[..., None]
    colour = np.asarray(main, dtype=np.float32) + level * (np.asarray(other, dtype=np.float32) - np.asarray(main))
    light = 1.0 + 0.05 * y - 0.07 * (x**2 + y**2)
    out: Array = np.clip(colour * light[..., None], 0.0, 1.0).astype(np.float32)
    return out


def _joints(look: _Look) -> tuple[Joint, ...]:
    """The landmarks of the arm and of the first three toys."""
    arm = [Joint(name, f"{name}_disc", (0.0, 0.0)) for name in ("base", "shoulder", "elbow", "wrist")]
    fingers = [Joint(f"{side}_finger", f"{side}_finger", (0.15, 0.0)) for side in ("left", "right")]
    toys = []
    for number, toy in enumerate(look.toys[:3], start=1):
        name = f"object_{number}"
        marked = (name, f"{name}_mark") if _KINDS[toy.kind][1] is not None else (name,)
        toys.append(Joint(name, name, (0.0, 0.0), marked))
    return (*arm, *fingers, *toys)


def scene(identity: int, motion: int, *, size: int = 64, length: int | None = None) -> Scene:
    """Builds one clip of the set.

    Args:
        identity: seed of the robot's, the toys' and the table's looks.
        motion: seed of the layout, of the gripper's path and so of what is pushed where.
        size: side of the frames in pixels.
        length: number of frames that the sweep is sampled with; None for the 30 of BAIR.

    Returns:
        The scene; equal arguments give equal scenes.
    """
    look = _look(identity)
    sweep = _sweep(motion).sampled(LENGTH if length is None else length)
    sides: list[Part] = []
    tops: list[Part] = []
    for k in range(sweep.toys.shape[1]):
        side, top = _toy_parts(k + 1, look.toys[k], sweep.toys[:, k], sweep.turns[:, k])
        sides += side
        tops += top
    arm = _arm_parts(look, sweep, _solve(look, sweep))
    return Scene(_table(look, identity, size), (*sides, *tops, *arm), _joints(look), identity, FPS)
