"""Mini MGif: cartoon animals walking, trotting and galloping in place, seen from the side, on pure white.

Miniaturises the MGif data set of Monkey-Net (Siarohin et al., CVPR 2019, section 4): short looping animations of very
different animals on a white background, cut out with the animal always at the same place. One quadruped skeleton with
parameters (:class:`Kind`) gives dogs, horses, giraffes, elephants and so on. All of them face right and stand on one
ground line, so that absolute key points mean about the same place on every animal.

Protocol: 5-100 frames at 12 frames a second. ``motion`` chooses gait, speed, strides, swings and the phase of frame 0;
``identity`` chooses kind, proportions, colours and pattern. Lengths chosen here hold whole periods, so the clips loop.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from monkeynet_edu.data.sprites.engine import (
    RGB,
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
)

Points = NDArray[np.float64]

LEGS = ("far_hind", "far_fore", "near_hind", "near_fore")
JOINTS = (
    "nose",
    "head",
    "neck_base",
    "shoulder",
    "hip",
    "tail_tip",
    *(f"{leg}_{end}" for leg in LEGS for end in ("knee", "foot")),
)
FPS = 12.0
# The animal is built in its own units and then shrunk by ZOOM about MIDDLE (x, y), which comes to the frame's centre.
GROUND = 0.84
LINE = 0.036
ZOOM = 0.89
MIDDLE = (0.0, 0.05)
_SEED = 7193


@dataclass(frozen=True)
class Kind:
    """Proportions and features of an animal; lengths in scene units before ``ZOOM``, angles in radians (upwards positive).

    Attributes:
        name: the animal.
        leg: height of the hip above the ground.
        thick: radius of the lower legs.
        rump: radius of the body at the hip.
        chest: radius of the body at the shoulder.
        spine: distance from hip to shoulder.
        neck: length of the neck.
        rise: angle of the neck.
        skull: radius of the head.
        snout: how far the snout sticks out of the skull.
        muzzle: radius of the snout.
        ear: ``pointed``, ``round``, ``floppy``, ``leaf`` or ``fan``.
        tail: ``hair``, ``tuft``, ``long``, ``bushy`` or ``stub``.
        extra: ``none``, ``horns``, ``antlers``, ``knobs``, ``trunk``, ``crest``, ``mane`` or ``rhino``.
        hoof: ``hoof`` or ``paw``.
        coats: patterns that suit it.
        palettes: palettes that suit it.
    """

    name: str
    leg: float
    thick: float
    rump: float
    chest: float
    spine: float
    neck: float
    rise: float
    skull: float
    snout: float
    muzzle: float
    ear: str
    tail: str
    extra: str
    hoof: str
    coats: tuple[str, ...]
    palettes: tuple[str, ...]


KINDS = (
    Kind("dog", 0.62, 0.084, 0.21, 0.25, 0.66, 0.30, 0.85, 0.20, 0.16, 0.105, "floppy", "long", "none", "paw",
         ("plain", "patches", "saddle", "belly"), ("chestnut", "tan", "grey", "black", "gold")),
    Kind("hound", 0.42, 0.086, 0.20, 0.22, 0.78, 0.24, 0.80, 0.18, 0.20, 0.095, "floppy", "long", "none", "paw",
         ("belly", "saddle", "plain"), ("chestnut", "bay", "black", "rust")),
    Kind("cat", 0.54, 0.080, 0.22, 0.22, 0.62, 0.24, 0.90, 0.23, 0.05, 0.11, "pointed", "long", "none", "paw",
         ("stripes", "belly", "plain", "patches"), ("grey", "fox", "black", "tan", "slate")),
    Kind("horse", 0.78, 0.082, 0.24, 0.25, 0.66, 0.42, 0.95, 0.17, 0.22, 0.105, "pointed", "hair", "crest", "hoof",
         ("plain", "socks", "dapple", "patches"), ("bay", "chestnut", "black", "grey", "gold")),
    Kind("zebra", 0.74, 0.082, 0.24, 0.25, 0.64, 0.38, 0.95, 0.17, 0.20, 0.105, "pointed", "tuft", "crest", "hoof",
         ("stripes",), ("zebra",)),
    Kind("giraffe", 0.78, 0.082, 0.20, 0.23, 0.60, 0.70, 1.12, 0.15, 0.18, 0.09, "leaf", "tuft", "knobs", "hoof",
         ("spots",), ("sand", "gold", "rust")),
    Kind("elephant", 0.62, 0.120, 0.33, 0.33, 0.62, 0.24, 0.62, 0.26, 0.02, 0.14, "fan", "tuft", "trunk", "paw",
         ("plain", "belly"), ("grey", "slate", "violet", "pink")),
    Kind("cow", 0.62, 0.090, 0.29, 0.30, 0.72, 0.24, 0.55, 0.19, 0.18, 0.13, "leaf", "tuft", "horns", "hoof",
         ("patches", "plain", "saddle"), ("holstein", "bay", "chestnut", "rust")),
    Kind("fox", 0.52, 0.080, 0.20, 0.21, 0.62, 0.24, 0.80, 0.19, 0.18, 0.075, "pointed", "bushy", "none", "paw",
         ("socks", "belly"), ("fox", "rust", "grey", "slate")),
    Kind("pig", 0.44, 0.088, 0.31, 0.31, 0.58, 0.20, 0.40, 0.23, 0.12, 0.12, "pointed", "stub", "none", "hoof",
         ("plain", "patches", "belly"), ("pink", "rose", "tan", "black")),
    Kind("deer", 0.74, 0.080, 0.21, 0.22, 0.58, 0.38, 1.02, 0.17, 0.17, 0.085, "leaf", "stub", "antlers", "hoof",
         ("spots", "belly", "socks"), ("chestnut", "tan", "rust", "bay")),
    Kind("lion", 0.58, 0.094, 0.22, 0.26, 0.68, 0.24, 0.70, 0.21, 0.12, 0.12, "round", "tuft", "mane", "paw",
         ("plain", "belly"), ("gold", "sand", "tan", "fox")),
    Kind("tiger", 0.54, 0.094, 0.24, 0.26, 0.70, 0.22, 0.65, 0.22, 0.10, 0.12, "round", "long", "none", "paw",
         ("stripes", "spots"), ("fox", "gold", "sand", "slate")),
    Kind("bear", 0.52, 0.115, 0.31, 0.29, 0.60, 0.22, 0.45, 0.23, 0.13, 0.11, "round", "stub", "none", "paw",
         ("plain", "belly"), ("bay", "black", "chestnut", "slate")),
    Kind("goat", 0.58, 0.080, 0.25, 0.24, 0.62, 0.28, 0.90, 0.17, 0.16, 0.095, "floppy", "stub", "horns", "hoof",
         ("saddle", "socks", "patches", "plain"), ("grey", "tan", "bay", "black", "violet")),
    Kind("rhino", 0.48, 0.112, 0.31, 0.32, 0.66, 0.22, 0.10, 0.21, 0.20, 0.14, "leaf", "tuft", "rhino", "paw",
         ("plain", "belly", "dapple"), ("grey", "slate", "teal", "tan")),
)  # fmt: skip

FANTASY = ("teal", "violet", "mint", "rose", "slate", "plum")

# base, second (pattern), light (belly, muzzle), dark (mane, hooves)
_PALETTES = {
    "bay": ("8a4f2a", "5a3018", "d9a878", "2f1b14"),
    "chestnut": ("b8683a", "824020", "eec49a", "4a2414"),
    "tan": ("c59563", "8f6238", "efd6b0", "4d3220"),
    "grey": ("8a94a4", "596473", "cfd6df", "343b47"),
    "black": ("4a4654", "2c2a35", "a39daf", "1d1a24"),
    "gold": ("dca23c", "a66a1c", "f7dd9c", "6b3c14"),
    "fox": ("e2762c", "8f3c12", "fbe3c8", "40231a"),
    "rust": ("b04a30", "74291c", "f0b998", "3c1812"),
    "sand": ("e4b45a", "9a5826", "f6dea6", "5a3418"),
    "pink": ("e88da0", "c25c7a", "f9cad2", "7a3048"),
    "rose": ("d8697c", "9f3b57", "f5bcbc", "5a1f38"),
    "slate": ("6785b9", "415a8e", "bccdea", "283657"),
    "teal": ("45a398", "257069", "aadfd2", "174543"),
    "violet": ("8f6dba", "5f438c", "d0bce9", "3a275c"),
    "mint": ("69b877", "3b8350", "c5ebb9", "23502f"),
    "plum": ("a4557f", "6f2f58", "e6aac2", "431a38"),
    "zebra": ("cfcfd8", "2c2b36", "e6e6ec", "24232c"),
    "holstein": ("c9cbd4", "35323c", "f0b9b4", "2b2932"),
}

# Gait: duty (share of the period on the ground), touch-down times of LEGS, range of periods in frames,
# range of strides and of lifts (in leg heights), bobs a period
_GAITS = {
    "walk": (0.60, (0.50, 0.75, 0.00, 0.25), (12, 18), (0.24, 0.32), (0.12, 0.18), 2),
    "trot": (0.48, (0.50, 0.00, 0.00, 0.50), (9, 13), (0.26, 0.36), (0.16, 0.25), 2),
    "gallop": (0.38, (0.12, 0.58, 0.00, 0.46), (7, 10), (0.33, 0.43), (0.20, 0.28), 1),
}


@dataclass(frozen=True)
class Look:
    """What an identity decides.

    Attributes:
        kind: proportions, already varied.
        base: main colour.
        second: colour of the pattern.
        light: colour of belly and muzzle.
        dark: colour of mane, hooves and nose.
        coat: name of the pattern.
        spots: centres (along the spine, across it, radius) of the patches, as shares of the body.
        period: size of repeated patterns.
    """

    kind: Kind
    base: RGB
    second: RGB
    light: RGB
    dark: RGB
    coat: str
    spots: tuple[tuple[float, float, float], ...]
    period: float

    @property
    def line(self) -> RGB:
        """Outline colour: a deep tone of the animal's own."""
        return _blend(self.base, _blend(self.dark, (0.05, 0.04, 0.08), 0.3), 0.8)


@dataclass(frozen=True)
class Gait:
    """What a motion decides, sampled at every frame.

    Attributes:
        cycle: (T,) periods gone by; its fraction is the phase.
        duty: share of the period that a foot is on the ground.
        touch: phases at which the feet of ``LEGS`` touch down.
        stride: half the length of a step, in leg heights.
        lift: height of a swinging foot, in leg heights.
        bob: (T,) displacement of the body, downwards, scene units.
        surge: (T,) displacement of the body, forwards, scene units.
        pitch: (T,) turn of the body, radians.
        nod: (T,) turn of the neck.
        tail: (T,) turn of the tail.
        curl: (T,) bending of tail and trunk.
        ear: (T,) turn of the ears.
    """

    cycle: Points
    duty: float
    touch: tuple[float, ...]
    stride: float
    lift: float
    bob: Points
    surge: Points
    pitch: Points
    nod: Points
    tail: Points
    curl: Points
    ear: Points


def _rgb(code: str) -> RGB:
    """Hexadecimal colour to RGB in [0, 1]."""
    r, g, b = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return r, g, b


def _blend(a: RGB, b: RGB, share: float) -> RGB:
    """Mixes ``share`` of b into a."""
    r, g, c = (p + (q - p) * share for p, q in zip(a, b, strict=True))
    return r, g, c


def look_of(identity: int) -> Look:
    """Draws an animal."""
    rng = np.random.default_rng([_SEED, 1, identity])
    kind = KINDS[rng.integers(len(KINDS))]
    varied = {f.name: getattr(kind, f.name) * float(rng.uniform(0.92, 1.08)) for f in fields(Kind) if f.type == "float"}
    coat = str(rng.choice(kind.coats))
    palette = str(rng.choice(FANTASY if rng.random() < 0.2 and kind.name != "zebra" else kind.palettes))
    tint = _rgb(f"{rng.integers(2**24):06x}")
    base, second, light, dark = (_blend(_rgb(code), tint, 0.08) for code in _PALETTES[palette])
    if coat == "patches" and palette != "holstein":
        second = light if rng.random() < 0.5 else second
    spots = tuple((float(rng.uniform(*ends)), float(rng.uniform(-0.6, 0.4)), float(rng.uniform(0.45, 0.8)))
                  for ends in ((-0.1, 0.15), (0.4, 0.65), (0.85, 1.1)))  # fmt: skip
    varied["thick"] = max(varied["thick"], 0.09)
    return Look(replace(kind, **varied), base, second, light, dark, coat, spots, float(rng.uniform(0.15, 0.21)))


def gait_of(motion: int, length: int | None = None) -> Gait:
    """Draws a movement; without ``length`` it holds whole periods, 7 to 90 frames in all."""
    rng = np.random.default_rng([_SEED, 2, motion])
    name = str(rng.choice(list(_GAITS)))
    duty, touch, periods, strides, lifts, beats = _GAITS[name]
    period = int(rng.integers(periods[0], periods[1] + 1))
    count = period * int(rng.integers(1, 6))
    start, stride, lift = rng.random(), float(rng.uniform(*strides)), float(rng.uniform(*lifts))
    bob, surge, pitch, nod, tail, curl, ear = rng.uniform(0.75, 1.25, 7)
    turn = rng.random()
    cycle = start + np.arange(count if length is None else length) / period
    once, beat = 2 * np.pi * cycle, 2 * np.pi * beats * cycle
    fast = {"walk": 0.0, "trot": 0.4, "gallop": 1.0}[name]
    return Gait(
        cycle, duty, touch, stride, lift,
        bob=bob * (0.014 + 0.010 * fast) * np.sin(beat - 0.6),
        surge=surge * (0.005 + 0.007 * fast) * np.cos(beat),
        pitch=pitch * (0.010 + 0.030 * fast) * np.sin(once + 0.9),
        nod=nod * (0.06 + 0.02 * fast) * np.sin(beat + 0.5),
        tail=tail * 0.22 * np.sin(once + 2 * np.pi * turn) + 0.25 * fast,
        curl=curl * 0.5 * np.sin(once + 2 * np.pi * turn - 0.9),
        ear=ear * 0.16 * np.sin(beat - 0.4),
    )  # fmt: skip


def _polar(angle: NDArray[np.floating] | float, radius: float = 1.0) -> Points:
    """Vector of an angle (x towards y, y down): (..., 2)."""
    a = np.asarray(angle, dtype=np.float64)
    return radius * np.stack([np.cos(a), np.sin(a)], axis=-1)


def _turned(angle: Points, u: float, v: float) -> Points:
    """The local vector (u, v) turned by angles (T,): (T, 2)."""
    return _polar(angle, u) + _polar(angle + np.pi / 2, v)


def foot_path(phase: Points, duty: float) -> tuple[Points, Points]:
    """Path of a foot under its hip.

    Args:
        phase: (T,) periods since touch-down (any real number).
        duty: share of the period on the ground.

    Returns:
        ``ahead`` in about [-1, 1]: falls evenly on the ground as the treadmill runs, returns with the same speed at both
        ends of the swing; ``up`` in [0, 1]: 0 on the ground.
    """
    p = phase % 1.0
    s = np.clip((p - duty) / (1 - duty), 0.0, 1.0)
    slope = -2.0 * (1 - duty) / duty
    # Cubic Hermite from -1 to 1 with the speed of the ground at both ends.
    back = -1 + slope * s + (6 - 3 * slope) * s**2 + (2 * slope - 4) * s**3
    return np.where(p < duty, 1 - 2 * p / duty, back), np.sin(np.pi * s) ** 2


def _two_links(hip: Points, ankle: Points, upper: float, lower: float, side: float) -> tuple[Points, Points]:
    """Knee of a leg from hip to ankle, and the ankle pulled into reach; ``side`` +1 bends backwards."""
    gap = ankle - hip
    far = np.hypot(gap[:, 0], gap[:, 1])
    reach = np.clip(far, 1.02 * abs(upper - lower) + 0.02, 0.998 * (upper + lower))[:, None]
    along = gap / far[:, None]
    a = (upper**2 - lower**2 + reach**2) / (2 * reach)
    h = np.sqrt(np.maximum(upper**2 - a**2, 0.0))
    across = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    return hip + a * along + side * h * across, hip + reach * along


def _angle(start: Points, end: Points) -> Points:
    """Direction from start to end, radians."""
    out: Points = np.arctan2(end[:, 1] - start[:, 1], end[:, 0] - start[:, 0])
    return out


@dataclass(frozen=True)
class _Frame:
    """The body's moving coordinates: origin (T, 2) and turn (T,)."""

    origin: Points
    turn: Points

    def point(self, u: float, v: float) -> Points:
        """Scene positions (T, 2) of a point of the body."""
        return self.origin + _turned(self.turn, u, v)


def _trunk_frame(look: Look, gait: Gait) -> _Frame:
    """Frame at the rump end of the spine."""
    k = look.kind
    middle = np.stack([-0.13 + gait.surge, GROUND - k.leg - 0.3 * k.rump + gait.bob], axis=-1)
    return _Frame(middle + _turned(gait.pitch, -k.spine / 2, 0.0), gait.pitch)


def _leg(look: Look, gait: Gait, body: _Frame, number: int) -> list[Part]:
    """Upper leg, lower leg, a seam that hides the knee's outline, and the foot."""
    k, name = look.kind, LEGS[number]
    hind, far = "hind" in name, "far" in name
    ahead, up = foot_path(gait.cycle - gait.touch[number], gait.duty)
    hip = body.point(0.02 if hind else k.spine - 0.02, 0.3 * k.rump)
    hip = hip + (np.array([0.07, -0.015]) if far else 0.0)
    heel = 0.06
    rest = -0.13 + (0.02 - k.spine / 2 if hind else k.spine / 2 - 0.02) + (0.07 if far else 0.0)
    ground = GROUND - heel - (0.035 if far else 0.0)
    ankle = np.stack([rest + gait.stride * k.leg * ahead, ground - gait.lift * k.leg * up], axis=-1)
    total = (k.leg - heel) * (1.08 if hind else 1.04)
    upper, lower = 0.5 * total, 0.5 * total
    knee, ankle = _two_links(hip, ankle, upper, lower, 1.0 if hind else -1.0)
    bend = _angle(knee, ankle)
    dim = 0.30 if far else 0.0
    ink = look.line

    def paint(colour: RGB, outlined: RGB | None) -> Paint:
        return Paint(_blend(colour, ink, dim), outline=outlined, outline_width=LINE)

    shin = look.light if look.coat == "socks" else look.base
    if look.coat == "stripes":
        shin = _blend(look.base, look.second, 0.25)
    thigh = Capsule(upper, k.thick * (1.5 if hind else 1.25), k.thick)
    foot: Shape = Box(k.thick * 1.12, heel, 0.03) if k.hoof == "hoof" else Ellipse(k.thick * 1.35, heel * 1.1)
    boot = look.dark if k.hoof == "hoof" else _blend(shin, look.light, 0.5)
    reach = 0.03 if k.hoof == "paw" else 0.01
    tilt = 0.8 * (bend - np.pi / 2) * up
    lower_pose = Pose.of(knee, bend)
    return [
        Part(f"{name}_foot", foot, paint(boot, ink), Pose.of(ankle + _turned(tilt, reach, 0.01), tilt)),
        Part(f"{name}_shin", Capsule(lower, k.thick, k.thick * 0.95), paint(shin, ink), lower_pose),
        Part(f"{name}_thigh", thigh, paint(look.base, ink), Pose.of(hip, _angle(hip, knee))),
        Part(f"{name}_seam", Capsule(lower * 0.8, k.thick - LINE, k.thick - LINE), paint(shin, None), lower_pose),
    ]


def _tail(look: Look, gait: Gait, body: _Frame) -> list[Part]:
    """Tail with its tuft or tip; its angle is measured from straight back."""
    k = look.kind
    length, r0, r1, hang, bend = {
        "hair": (0.42, 0.06, 0.10, 1.15, 0.5),
        "tuft": (0.36, 0.052, 0.05, 1.20, 0.4),
        "long": (0.44, 0.070, 0.06, -0.55, -0.9),
        "bushy": (0.36, 0.08, 0.13, -0.15, -0.7),
        "stub": (0.12, 0.075, 0.06, -0.50, 0.0),
    }[k.tail]
    swing = np.pi - hang + gait.tail * (1.0 if k.tail != "stub" else 1.5)
    pose = Pose.of(body.point(-0.88 * k.rump, -0.35 * k.rump), swing, 1.0, -bend + gait.curl * min(1.0, 0.4 / length))
    colour = look.dark if k.tail == "hair" else look.base
    parts = [Part("tail", Capsule(length, r0, r1), Paint(colour, outline=look.line, outline_width=LINE), pose)]
    end = pose.to_scene(np.array([[length, 0.0]]))[:, 0]
    if k.tail == "tuft":
        brush = Paint(look.dark, outline=look.line, outline_width=LINE)
        parts.append(Part("tail_end", Ellipse(0.10, 0.075), brush, Pose.of(end, swing)))
    if k.tail == "bushy":
        tip, place = Paint(look.light, outline=look.line, outline_width=0.02), Pose.of(end + _polar(swing, 0.06), swing)
        parts.append(Part("tail_end", Ellipse(0.13, 0.2), tip, place, inside="tail"))
    return parts


def _coat(look: Look) -> Paint:
    """Paint of the body."""
    pattern = {"stripes": "stripes", "spots": "dots", "dapple": "dots"}.get(look.coat)
    second = look.light if look.coat == "dapple" or look.kind.name == "deer" else look.second
    period = look.period * (1.5 if pattern == "dots" else 1.0)
    plain = Paint(look.base, second, outline=look.line, outline_width=LINE, shade=0.25, period=period)
    if pattern == "stripes":
        return replace(plain, pattern="stripes", angle=0.12)
    return replace(plain, pattern="dots", angle=0.6) if pattern == "dots" else plain


def _body(look: Look, body: _Frame) -> list[Part]:
    """Body with patches, saddle or belly."""
    k = look.kind
    barrel = Ellipse(0.55 * k.spine + 0.3 * k.rump, 0.5 * (k.rump + k.chest) * 1.02)
    shape = Union(((Capsule(k.spine, k.rump, k.chest), (0.0, 0.0)), (barrel, (k.spine / 2, 0.02))))
    pose = Pose.of(body.origin, body.turn)
    parts = [Part("body", shape, _coat(look), pose)]
    marks: list[tuple[float, float, Shape, RGB]] = []
    if look.coat == "patches":
        marks = [(k.spine * a, k.rump * b, Ellipse(k.rump * r, k.rump * r * 0.85), look.second) for a, b, r in look.spots]
    elif look.coat == "saddle":
        marks = [(k.spine * 0.45, -0.85 * k.rump, Ellipse(0.5 * k.spine, 0.75 * k.rump), look.second)]
    elif look.coat in ("belly", "socks"):
        marks = [(k.spine * 0.55, 1.0 * k.rump, Ellipse(0.55 * k.spine, 0.5 * k.rump), look.light)]
    for i, (u, v, mark, colour) in enumerate(marks):
        place = Pose.of(body.point(u, v), body.turn)
        parts.append(Part(f"mark_{i}", mark, Paint(colour), place, inside="body"))
    return parts


def _neck(look: Look, gait: Gait, body: _Frame) -> tuple[list[Part], Part, Points]:
    """Neck parts behind the body, the seam in front of it, and the positions (T, 2) of the head."""
    k = look.kind
    base = body.point(k.spine + 0.25 * k.chest, -0.30 * k.chest)
    angle = body.turn - k.rise + gait.nod
    r0, r1 = 0.62 * k.chest, max(0.62 * k.skull, 0.1)
    pose = Pose.of(base, angle)
    coat = replace(_coat(look), shade=0.0)
    parts = []
    if k.extra == "crest":
        hair = Paint(look.dark, outline=look.line, outline_width=LINE)
        back = Pose.of(base + _turned(angle, 0.0, -0.72 * r0), angle)
        parts.append(Part("crest", Capsule(k.neck + 0.06, 0.09, 0.085), hair, back))
    parts.append(Part("neck", Capsule(k.neck, r0, r1), coat, pose))
    seam = Part("neck_seam", Capsule(k.neck, r0 - LINE, r1 - LINE), replace(coat, outline=None), pose)
    return parts, seam, base + _turned(angle, k.neck, 0.0)


def _head(look: Look, gait: Gait, centre: Points) -> list[Part]:
    """Head with all that it carries."""
    k, ink = look.kind, look.line
    turn = 0.25 + 0.35 * gait.nod - 0.5 * gait.pitch + (0.2 if k.extra in ("crest", "rhino") else 0.0)
    frame = _Frame(centre + _turned(turn, 0.15 * k.skull, 0.0), turn)
    skin = Paint(look.base, outline=ink, outline_width=LINE)
    snout = Capsule(k.skull * 0.55 + k.snout, max(k.muzzle, 0.6 * k.skull), k.muzzle)
    drop = 0.22 * k.skull
    shape = Union(((Ellipse(k.skull, 0.92 * k.skull), (0.0, 0.0)), (snout, (0.1 * k.skull, drop))))
    tip = 0.65 * k.skull + k.snout
    pale = Paint(look.light)
    parts = [*_extras(look, frame), _ear(look, gait, frame, "far_ear")]
    parts.append(Part("head", shape, skin, Pose.of(frame.origin, turn)))
    if k.extra != "trunk":
        lips = Ellipse(k.muzzle * 1.0, k.muzzle * 1.3)
        parts.append(Part("muzzle", lips, pale, Pose.of(frame.point(tip + 0.2 * k.muzzle, drop), turn), inside="head"))
        button = Ellipse(0.045, 0.04)
        parts.append(Part("nose", button, Paint(look.dark), Pose.of(frame.point(tip + 0.75 * k.muzzle, drop - 0.02), turn)))
    else:
        curve = Pose.of(frame.point(tip - 0.02, drop), turn + 1.05, 1.0, -0.5 + 0.9 * gait.curl)
        parts.append(Part("nose", Capsule(0.46, 0.125, 0.08), skin, curve))
    white = Paint((0.98, 0.98, 0.96), outline=ink, outline_width=0.02)
    parts.append(Part("eye", Ellipse(0.068, 0.075), white, Pose.of(frame.point(0.38 * k.skull, -0.22 * k.skull), turn)))
    pupil = Pose.of(frame.point(0.38 * k.skull + 0.022, -0.22 * k.skull + 0.005), turn)
    parts.append(Part("pupil", Ellipse(0.036, 0.044), Paint((0.08, 0.06, 0.1)), pupil))
    return [*parts, _ear(look, gait, frame, "near_ear")]


def _ear(look: Look, gait: Gait, head: _Frame, name: str) -> Part:
    """An ear; u points from its root to its tip."""
    k, far = look.kind, name == "far_ear"
    shapes: dict[str, tuple[Shape, float]] = {
        "pointed": (Polygon(((-0.03, -0.07), (0.19, 0.0), (-0.03, 0.07)), 0.025), -1.75),
        "round": (Ellipse(0.10, 0.095), -2.0),
        "floppy": (Capsule(0.20, 0.07, 0.085), 1.75),
        "leaf": (Ellipse(0.14, 0.065), -2.75),
        "fan": (Ellipse(0.22, 0.25), 2.55),
    }
    shape, angle = shapes[k.ear]
    reach = {"round": 0.05, "leaf": 0.1, "fan": 0.10}.get(k.ear, 0.0)
    direction = head.turn + angle + (0.25 if far else 0.0) + gait.ear * (1.4 if k.ear == "floppy" else 1.0)
    root = head.point((-0.05 if far else -0.38) * k.skull, (-0.55 if k.ear == "floppy" else -0.72) * k.skull)
    if k.ear == "fan":
        root = head.point((0.0 if far else -0.35) * k.skull, -0.15 * k.skull)
    colour = _blend(look.base, look.line, 0.35) if far else _blend(look.base, look.second, 0.55)
    paint = Paint(colour, outline=look.line, outline_width=LINE)
    return Part(name, shape, paint, Pose.of(root + _polar(direction, reach), direction))


def _extras(look: Look, head: _Frame) -> list[Part]:
    """Horns, antlers, knobs or a lion's mane behind the head."""
    k = look.kind
    bone = Paint(_blend(look.light, (0.75, 0.68, 0.55), 0.5), outline=look.line, outline_width=0.03)
    hair = Paint(look.dark, look.second, "stripes", 0.16, 0.5, outline=look.line, outline_width=LINE)
    crown = head.point(0.10 * k.skull, -0.7 * k.skull)
    twig = Capsule(0.15, 0.045, 0.035)
    fork = Polygon(((0.0, -0.01), (0.12, 0.0), (0.19, -0.1), (0.16, 0.0), (0.26, 0.06), (0.15, 0.03), (0.0, 0.01)), 0.032)
    shapes: dict[str, tuple[Shape, Paint, Points, float, float]] = {
        "horns": (Capsule(0.20, 0.055, 0.03), bone, crown, -1.25, 1.8),
        "antlers": (fork, bone, crown, -1.5, 0.0),
        "knobs": (Union(((twig, (0.0, 0.0)), (Ellipse(0.06, 0.055), (0.15, 0.0)))), bone, crown, -1.7, 0.0),
        "rhino": (Capsule(0.18, 0.075, 0.025), bone, head.point(0.7 * k.skull + k.snout, -0.2 * k.muzzle), -1.2, -0.9),
        "mane": (Ellipse(0.36, 0.38), hair, head.point(-0.45 * k.skull, 0.1 * k.skull), 0.0, 0.0),
    }
    if k.extra not in shapes:
        return []
    shape, paint, place, angle, bend = shapes[k.extra]
    return [Part(k.extra, shape, paint, Pose.of(place, head.turn + angle, 1.0, bend))]


def _joints(look: Look, parts: dict[str, Part]) -> tuple[Joint, ...]:
    """The landmarks ``JOINTS`` on their parts."""
    k = look.kind
    neck, tail = parts["neck"].shape, parts["tail"].shape
    nose = (0.44, 0.0) if k.extra == "trunk" else (0.0, 0.0)
    assert isinstance(neck, Capsule)
    assert isinstance(tail, Capsule)
    marks = tuple(name for name in parts if name.startswith("mark_"))
    head = ("head", "muzzle", "eye", "pupil")
    points = [
        Joint("nose", "nose", nose),
        Joint("head", "head", (0.38 * k.skull, -0.22 * k.skull), head),
        Joint("neck_base", "neck", (0.0, 0.0), ("neck", "neck_seam", "body")),
        Joint("shoulder", "body", (k.spine, 0.0), ("body", "near_fore_thigh", "neck_seam", *marks)),
        Joint("hip", "body", (0.0, 0.0), ("body", "near_hind_thigh", *marks)),
        Joint("tail_tip", "tail", (tail.length, 0.0), ("tail", "tail_end")),
    ]
    for leg in LEGS:
        points.append(
            Joint(f"{leg}_knee", f"{leg}_shin", (0.0, 0.0), tuple(f"{leg}_{p}" for p in ("thigh", "shin", "seam")))
        )
        points.append(
            Joint(f"{leg}_foot", f"{leg}_foot", (0.0, 0.0), tuple(f"{leg}_{p}" for p in ("foot", "shin", "seam")))
        )
    return tuple(replace(p, seen_on=tuple(name for name in p.seen_on if name in parts)) for p in points)


def _framed(part: Part) -> Part:
    """Fits a part into the frame: the animal is built a little larger than it is shown."""
    pose = part.pose
    centre = (pose.centre - np.array(MIDDLE, dtype=np.float32)) * np.float32(ZOOM)
    return replace(part, pose=Pose(centre, pose.matrix * np.float32(ZOOM), pose.bend))


def scene(identity: int, motion: int, *, size: int = 64, length: int | None = None) -> Scene:
    """One animal moving in place.

    Args:
        identity: seed of everything about the animal's looks.
        motion: seed of the movement and, without ``length``, of the number of frames.
        size: side of the square frames in pixels.
        length: number of frames; default whole periods of the gait, 7 to 90 frames.

    Returns:
        The scene, with the landmarks :data:`JOINTS`.
    """
    look, gait = look_of(identity), gait_of(motion, length)
    body = _trunk_frame(look, gait)
    legs = [_leg(look, gait, body, number) for number in range(len(LEGS))]
    neck, seam, head = _neck(look, gait, body)
    parts = [*legs[0], *legs[1], *_tail(look, gait, body), *neck, *_body(look, body), seam]
    parts += [*legs[2], *legs[3], *_head(look, gait, head)]
    white = np.ones((size, size, 3), dtype=np.float32)
    joints = _joints(look, {part.name: part for part in parts})
    return Scene(white, tuple(_framed(part) for part in parts), joints, identity, FPS)
