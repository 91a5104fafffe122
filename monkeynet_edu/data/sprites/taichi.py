"""Mini-taichi: cartoon people in slow, large motion, a miniature of the Tai-Chi videos used for image animation.

Whole bodies in three-quarter view stand on the ground of a textured scene and go from one tai-chi pose to the next: the
weight shifts, arms sweep in arcs, knees bend, the torso leans, feet step. Clips have 32 to 100 frames at 12 fps.

Protocol: *right* and *left* are the figure's own. The right arm and leg, on the left of the picture, are near the
viewer and pass before the body; the left arm passes behind it. Every motion begins near the same neutral stance, so
that displacements since frame 0 can be carried from one clip to another. A movement is made of angles and of
distances in units of the leg, so two characters with the same ``motion`` move alike up to their proportions.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    "head",
    "chest",
    "pelvis",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_knee",
    "right_ankle",
    "left_knee",
    "left_ankle",
)
LENGTHS = (32, 100)

_SEED_LOOK, _SEED_MOTION, _SEED_PLACE = 7101, 7102, 7103
_GROUND = 0.86
_SIDES = {"right": -1.0, "left": 1.0}

Curve = NDArray[np.float64]
Pattern = Literal["plain", "stripes", "checks", "dots", "fade"]

_JACKET_PATTERNS: tuple[Pattern, ...] = ("plain", "stripes", "checks", "dots", "stripes")
_TROUSER_PATTERNS: tuple[Pattern, ...] = ("plain", "plain", "stripes", "checks")


def _hex(code: str) -> RGB:
    """Colour from six hexadecimal digits."""
    r, g, b = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return r, g, b


def _tone(colour: RGB, factor: float) -> RGB:
    """The colour darkened by a factor below 1, or moved towards white by one above."""
    r, g, b = (c * factor if factor <= 1 else c + (1 - c) * (factor - 1) for c in colour)
    return r, g, b


# Each outfit: jacket, sleeves, trousers, accent (belt, collar, pattern).
_OUTFITS = tuple(
    tuple(_hex(code) for code in row.split())
    for row in (
        "c8372d f3e3c3 3d4166 f2b134",
        "1f6f8b f4f1de 34495c e07a5f",
        "2a9d8f 14574f 35546a f4c95d",
        "e9c46a c7792b 7a432e 2a6f77",
        "6d3b8c d9b8ea 46316b f2c14e",
        "f25f5c ffe066 247ba0 f4f1de",
        "264653 e76f51 8a3324 f4e9cd",
        "f7f3e8 2f4b7c b02e3c 2f4b7c",
        "3e4163 e04848 8d99ae edf2f4",
        "3a7d44 f8f5d0 2f6140 d9a441",
        "ff8c42 fff3dc 3c3c6b 8c2f39",
        "d6518c 7a1f55 2d3a6b fbe3ef",
        "3f5fbf f2c84b 2e3f7d f4f4f4",
        "7b2d26 d7c9aa 3a4d54 d7a13b",
        "f4d35e ee964b 0d3b66 f95738",
        "0f7173 f05d5e 3f4354 e7ecef",
    )
)
_SKINS = tuple(_hex(c) for c in ["ffdbc4", "f6c9a4", "e8b088", "cf935f", "b0713f", "8d5524", "65402a"])
_HAIRS = tuple(_hex(c) for c in ["221c1a", "3b2519", "6a3f1f", "a8622a", "d9a441", "b23a1e", "8f8f95", "e8e6e1", "2c3350"])
_SHOES = tuple(_hex(c) for c in ["33333f", "f4f1ea", "9c2f2b", "2d4a73", "6a4526", "33643f"])


@dataclass(frozen=True)
class Look:
    """Proportions (scene units), colours and clothes of a character."""

    thigh: float
    shin: float
    trunk: float
    upper_arm: float
    forearm: float
    shoulder: float
    hip: float
    head: float
    arm: float
    leg: float
    jacket: RGB
    sleeve: RGB
    trousers: RGB
    accent: RGB
    skin: RGB
    hair: RGB
    shoe: RGB
    pattern: Pattern
    trouser_pattern: Pattern
    angle: float
    sleeves: str
    legs: str
    hairstyle: str
    collar: str

    @property
    def reach(self) -> float:
        """Length of the stretched leg."""
        return self.thigh + self.shin

    @staticmethod
    def of(identity: int) -> Look:
        """Draws the character with this number."""
        rng = np.random.default_rng([_SEED_LOOK, identity])
        tall, stout = rng.uniform(0.95, 1.03), rng.uniform(0.94, 1.14)
        jacket, sleeve, trousers, accent = _OUTFITS[rng.integers(len(_OUTFITS))]
        head = rng.uniform(0.165, 0.195)
        return Look(
            thigh=0.34 * tall,
            shin=0.34 * tall * rng.uniform(0.97, 1.03),
            trunk=0.47 * tall * rng.uniform(0.96, 1.03),
            upper_arm=0.27 * tall * rng.uniform(0.97, 1.03),
            forearm=0.25 * tall * rng.uniform(0.97, 1.03),
            shoulder=0.185 * stout,
            hip=0.095 * stout,
            head=head,
            arm=0.078 * stout,
            leg=0.1 * stout,
            jacket=jacket,
            sleeve=sleeve,
            trousers=trousers,
            accent=accent,
            skin=_SKINS[rng.integers(len(_SKINS))],
            hair=_HAIRS[rng.integers(len(_HAIRS))],
            shoe=_SHOES[rng.integers(len(_SHOES))],
            pattern=_JACKET_PATTERNS[rng.integers(len(_JACKET_PATTERNS))],
            trouser_pattern=_TROUSER_PATTERNS[rng.integers(len(_TROUSER_PATTERNS))],
            angle=float(rng.choice([0.0, np.pi / 2, np.pi / 4])),
            sleeves=str(rng.choice(["long", "wide", "short", "none"])),
            legs=str(rng.choice(["long", "wide", "shorts"])),
            hairstyle=str(rng.choice(["short", "bun", "long", "tail", "hat", "band"])),
            collar=str(rng.choice(["v", "row", "sash"])),
        )


# A pose of the whole body, for the leading and the following side: (abduction, elbow) of both arms in radians, lean
# towards the leading side, weight shift, crouch, places of both feet and lift of the leading one in units of the leg.
_POSES = np.array(
    [
        # lead arm     other arm      lean   shift crouch lead  other lift
        [1.75, 0.25, 0.75, -0.35, 0.12, 0.15, 0.08, 0.56, 0.34, 0.0],  # parting the mane
        [1.15, 1.25, 0.80, 0.10, 0.05, 0.09, 0.09, 0.44, 0.40, 0.0],  # brush and push
        [2.45, 0.30, 0.75, 0.15, -0.05, -0.17, 0.02, 0.26, 0.24, 0.36],  # crane
        [0.85, -1.85, 1.30, 1.10, 0.06, 0.10, 0.09, 0.40, 0.40, 0.0],  # cloud hands
        [1.50, 0.20, 1.50, 0.20, 0.00, 0.00, 0.14, 0.52, 0.52, 0.0],  # horse stance, open arms
        [2.35, 0.45, 2.35, 0.45, 0.00, 0.00, 0.02, 0.30, 0.30, 0.0],  # circle overhead
        [0.80, -1.65, 0.80, -1.65, 0.00, 0.00, 0.12, 0.46, 0.46, 0.0],  # press
        [1.10, 0.25, 2.20, 0.25, 0.30, 0.15, 0.14, 0.60, 0.42, 0.0],  # snake creeps down
        [-0.50, -0.55, 1.65, 0.25, -0.14, -0.07, 0.06, 0.38, 0.42, 0.0],  # crossing the body
        [1.65, 0.15, 1.40, -0.85, 0.10, 0.12, 0.10, 0.54, 0.38, 0.0],  # single whip
        [1.10, 1.60, 1.10, 1.60, 0.00, 0.00, 0.06, 0.36, 0.36, 0.0],  # lifting hands
        [2.60, -0.10, 0.35, -1.30, -0.20, -0.10, 0.06, 0.36, 0.44, 0.0],  # fair lady
    ]
)
_NEUTRAL = np.array([0.42, -0.12, 0.42, -0.12, 0.0, 0.0, 0.015, 0.25, 0.25, 0.0])
# Frames by which each column follows the beat: the feet first, then the waist, the shoulders and the elbows.
_LAG = np.array([1.5, 2.5, 1.5, 2.5, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0])


@dataclass(frozen=True)
class Movement:
    """A movement of T frames, free of proportions; columns of the pairs are right, left.

    Attributes:
        abduction: (T, 2) angle of each upper arm away from the trunk, radians.
        elbow: (T, 2) angle of each forearm to its upper arm, positive upwards and outwards.
        lean: (T,) angle of the trunk, positive towards +x.
        shift: (T,) sideways place of the pelvis, in legs.
        crouch: (T,) lowering of the pelvis, in legs.
        feet: (T, 2) sideways places of the feet (outwards positive), in legs.
        lift: (T, 2) heights of the feet, in legs.
    """

    abduction: Curve
    elbow: Curve
    lean: Curve
    shift: Curve
    crouch: Curve
    feet: Curve
    lift: Curve

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(self.lean)

    @staticmethod
    def of(motion: int, length: int | None = None) -> Movement:
        """Draws the movement with this number; ``length`` None lets the number decide it too."""
        rng = np.random.default_rng([_SEED_MOTION, motion])
        drawn = int(rng.integers(LENGTHS[0], LENGTHS[1] + 1))
        frames = drawn if length is None else length
        beat = rng.uniform(13.0, 19.0)
        breath = 0.02 * np.sin(2 * np.pi * np.arange(frames) / rng.uniform(20, 32))
        keys = _keys(rng, frames // 13 + 1)
        track, steps = _interpolate(keys, beat, frames)
        return Movement(
            abduction=track[:, [0, 2]] + breath[:, None],
            elbow=track[:, [1, 3]],
            lean=track[:, 4],
            shift=track[:, 5],
            crouch=track[:, 6] + 0.5 * breath,
            feet=track[:, 7:9],
            lift=track[:, 9:11] + steps,
        )


def _keys(rng: np.random.Generator, count: int) -> Curve:
    """Key poses (count, 11): neutral, then tai-chi poses, no two alike in a row; columns in the order right, left."""
    amplitude = rng.uniform(0.78, 0.98)
    rows, last = [np.append(_NEUTRAL, 0.0) + rng.normal(0.0, 0.01, 11) * ([1] * 7 + [0] * 4)], -1
    for _ in range(count):
        number = int((last + rng.integers(1, len(_POSES))) % len(_POSES)) if last >= 0 else int(rng.integers(len(_POSES)))
        last = number
        pose = _NEUTRAL + (_POSES[number] - _NEUTRAL) * amplitude * rng.uniform(0.88, 1.1, _NEUTRAL.shape)
        arms, (lean, shift, crouch), feet, lift = pose[:4], pose[4:7], pose[7:9], pose[9]
        if rng.random() < 0.5:
            rows.append(np.array([*arms, -lean, -shift, crouch, *feet, lift, 0.0]))
        else:
            rows.append(np.array([*arms[2:], *arms[:2], lean, shift, crouch, *feet[::-1], 0.0, lift]))
    return np.stack(rows)


def _first_foot(change: Curve, beat: int) -> int:
    """Index of the foot (0 right, 1 left) that moves first, so that one of the two always stands."""
    lowered, raised = np.flatnonzero(change[9:11] < -0.05), np.flatnonzero(change[9:11] > 0.05)
    if len(lowered):
        return int(lowered[0])
    return 1 - int(raised[0]) if len(raised) else beat % 2


def _interpolate(keys: Curve, beat: float, frames: int) -> tuple[Curve, Curve]:
    """Minimum-jerk curves (T, 11) through the keys, one every ``beat`` frames, and the lift (T, 2) of stepping feet."""
    track = np.tile(keys[0], (frames, 1))
    steps = np.zeros((frames, 2))
    for k in range(len(keys) - 1):
        change = keys[k + 1] - keys[k]
        s = np.clip((np.arange(frames)[:, None] - k * beat - _LAG) / (beat - 1.0), 0.0, 1.0)
        first = _first_foot(change, k)
        for foot in range(2):
            columns = [7 + foot, 9 + foot]
            s[:, columns] = np.clip(1.9 * s[:, columns] - 0.9 * (foot != first), 0.0, 1.0)
        ease = s**3 * (10 - 15 * s + 6 * s * s)
        track += ease * change
        arch = (4 * ease[:, 7:9] * (1 - ease[:, 7:9])) ** 2
        steps += arch * np.minimum(0.5 * np.abs(change[7:9]), 0.1)
    return track, steps


@dataclass(frozen=True)
class Skeleton:
    """Scene positions (T, 2) and angles (T,) of a character in a movement; dictionaries are keyed by side."""

    pelvis: Curve
    lean: Curve
    neck: Curve
    head: Curve
    shoulder: dict[str, Curve]
    elbow: dict[str, Curve]
    arm: dict[str, Curve]
    forearm: dict[str, Curve]
    hip: dict[str, Curve]
    knee: dict[str, Curve]
    ankle: dict[str, Curve]


def _towards(origin: Curve, angle: Curve, length: float) -> Curve:
    """Point at a distance from ``origin`` in a direction (radians, x axis towards y axis)."""
    return origin + length * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _pelvis(look: Look, move: Movement, ankle: dict[str, Curve]) -> Curve:
    """Place of the pelvis: as high as the crouch asks for and no higher than both legs reach."""
    x = move.shift * look.reach
    limits = [_GROUND - 0.055 - look.reach * (0.985 - move.crouch)]
    for side, sign in _SIDES.items():
        across = ankle[side][:, 0] - (x + sign * look.hip)
        limits.append(ankle[side][:, 1] - np.sqrt(np.maximum((0.985 * look.reach) ** 2 - across**2, 0.01)))
    # A soft maximum (y points down) keeps the pelvis from jerking when another limit takes over.
    y = 0.02 * np.logaddexp.reduce(np.stack(limits) / 0.02, axis=0)
    return np.stack([x, y], axis=-1)


def _knee(hip: Curve, ankle: Curve, look: Look, sign: float) -> Curve:
    """The knee of a two-bone leg that bends outwards."""
    span = ankle - hip
    distance = np.clip(np.hypot(span[:, 0], span[:, 1]), 0.05, 0.999 * look.reach)
    cosine = (look.thigh**2 + distance**2 - look.shin**2) / (2 * look.thigh * distance)
    bend = np.arccos(np.clip(cosine, -1.0, 1.0))
    return _towards(hip, np.arctan2(span[:, 1], span[:, 0]) - sign * bend, look.thigh)


def _skeleton(look: Look, move: Movement) -> Skeleton:
    """Forward kinematics for the upper body, inverse for the legs."""
    ankle = {
        side: np.stack(
            [sign * move.feet[:, i] * look.reach, _GROUND - 0.055 - move.lift[:, i] * look.reach],
            axis=-1,
        )
        for i, (side, sign) in enumerate(_SIDES.items())
    }
    pelvis = _pelvis(look, move, ankle)
    up = move.lean - np.pi / 2
    neck = _towards(pelvis, up, look.trunk)
    head = _towards(neck, up - 0.4 * move.lean, look.head + 0.045)
    base = _towards(pelvis, up, look.trunk - 0.035)
    shoulder = {side: _towards(base, move.lean, sign * look.shoulder) for side, sign in _SIDES.items()}
    arm = {s: np.pi / 2 + move.lean - sign * move.abduction[:, i] for i, (s, sign) in enumerate(_SIDES.items())}
    forearm = {s: arm[s] - sign * move.elbow[:, i] for i, (s, sign) in enumerate(_SIDES.items())}
    elbow = {s: _towards(shoulder[s], arm[s], look.upper_arm) for s in _SIDES}
    hip = {s: _towards(pelvis, 0.4 * move.lean, sign * look.hip) for s, sign in _SIDES.items()}
    knee = {s: _knee(hip[s], ankle[s], look, sign) for s, sign in _SIDES.items()}
    return Skeleton(pelvis, move.lean, neck, head, shoulder, elbow, arm, forearm, hip, knee, ankle)


def _paint(
    colour: RGB,
    *,
    second: RGB | None = None,
    pattern: Pattern = "plain",
    period: float = 0.2,
    angle: float = 0.0,
    far: bool = False,
) -> Paint:
    """House style: a thin dark outline, light shading, parts on the far side a tone darker."""
    dim = 0.8 if far else 1.0
    return Paint(
        base=_tone(colour, dim),
        second=_tone(second or colour, dim),
        pattern=pattern,
        period=period,
        angle=angle,
        outline=_tone(colour, 0.5 * dim),
        outline_width=0.036,
        shade=0.18,
    )


def _direction(start: Curve, end: Curve) -> Curve:
    """Angle (T,) of the way from one joint to another."""
    out: Curve = np.arctan2(end[:, 1] - start[:, 1], end[:, 0] - start[:, 0])
    return out


def _arm(look: Look, bones: Skeleton, side: str) -> list[Part]:
    """Hand, forearm, upper arm and, for short sleeves, the sleeve of one side, hindmost first."""
    far, r = side == "left", look.arm
    dressed = look.sleeves in ("long", "wide")
    cloth = _paint(look.sleeve, far=far)
    skin = _paint(look.skin, far=far)
    cuff = r * (1.3 if look.sleeves == "wide" else 0.95)
    low = Pose.of(bones.elbow[side], bones.forearm[side])
    high = Pose.of(bones.shoulder[side], bones.arm[side])
    wrist = _towards(bones.elbow[side], bones.forearm[side], look.forearm + 0.045)
    parts = [
        Part(f"{side}_hand", Ellipse(r * 1.05, r * 0.92), skin, Pose.of(wrist, bones.forearm[side])),
        Part(f"{side}_forearm", Capsule(look.forearm, r, cuff if dressed else r * 0.85), cloth if dressed else skin, low),
        Part(f"{side}_upper_arm", Capsule(look.upper_arm, r * 1.08, r), cloth if dressed else skin, high),
    ]
    if look.sleeves == "short":
        sleeve = _paint(look.sleeve, far=far)
        parts.append(Part(f"{side}_sleeve", Capsule(look.upper_arm * 0.5, r * 1.15, r * 1.2), sleeve, high))
    return parts


def _leg(look: Look, bones: Skeleton, side: str) -> list[Part]:
    """Shoe, shin and thigh of one side, hindmost first."""
    far, r, sign = side == "left", look.leg, _SIDES[side]
    cloth = _paint(
        look.trousers, second=_tone(look.trousers, 1.35), pattern=look.trouser_pattern, period=0.13, angle=0.0, far=far
    )
    bare = look.legs == "shorts"
    ankle_r = r * {"wide": 1.0, "long": 0.78, "shorts": 0.66}[look.legs]
    shin = Pose.of(bones.knee[side], _direction(bones.knee[side], bones.ankle[side]))
    thigh = Pose.of(bones.hip[side], _direction(bones.hip[side], bones.knee[side]))
    # A lifted foot hangs with its toes down.
    raised = np.maximum(_GROUND - 0.055 - bones.ankle[side][:, 1], 0.0)
    turn = np.pi / 2 * (1 - sign) + sign * np.minimum(raised * 2.2, 0.7)
    shoe = Union(((Capsule(0.12, 0.064, 0.056), (-0.01, 0.0)),))
    sole = Pose.of(bones.ankle[side] + np.array([0.0, 0.02]), turn)
    return [
        Part(f"{side}_shoe", shoe, _paint(look.shoe, far=far), sole),
        Part(f"{side}_shin", Capsule(look.shin, r * 0.9, ankle_r), _paint(look.skin, far=far) if bare else cloth, shin),
        Part(f"{side}_thigh", Capsule(look.thigh, r * 1.12, r * 0.95), cloth, thigh),
    ]


def _trunk(look: Look, bones: Skeleton) -> list[Part]:
    """Hips, neck, jacket, collar and belt."""
    w, h, b = look.shoulder, look.trunk, look.hip + look.leg * 0.8
    jacket = Polygon(((-b, 0.02), (-w, 0.03 - h), (w, 0.03 - h), (b, 0.02)), 0.045)
    collars: dict[str, Shape] = {
        "v": Polygon(((-0.07, -h - 0.01), (0.09, -h - 0.01), (0.03, -0.62 * h)), 0.012),
        "row": Box(0.032, h * 0.36, 0.03),
        "sash": Polygon(((-w, 0.06 - h), (-w + 0.1, 0.0 - h), (b, -0.18), (b - 0.05, -0.06)), 0.01),
    }
    place = {"v": 0.0, "row": -0.56 * h, "sash": 0.0}[look.collar]
    trunk = Pose.of(bones.pelvis, bones.lean)
    front = _towards(bones.pelvis, bones.lean + np.pi / 2, place) + np.array([0.03 * (look.collar == "row"), 0.0])
    cloth = _paint(look.jacket, second=_tone(look.jacket, 0.68), pattern=look.pattern, period=0.17, angle=look.angle)
    belt_at = _towards(bones.pelvis, bones.lean - np.pi / 2, 0.045)
    return [
        Part("hips", Box(b + 0.01, 0.1, 0.08), _paint(look.trousers), Pose.of(bones.pelvis, 0.4 * bones.lean)),
        Part(
            "neck",
            Capsule(0.12, 0.07, 0.07),
            _paint(_tone(look.skin, 0.9)),
            Pose.of(bones.neck, bones.lean - np.pi / 2),
        ),
        Part("jacket", jacket, cloth, trunk),
        Part("collar", collars[look.collar], _paint(look.accent), Pose.of(front, bones.lean)),
        Part("belt", Box(b + 0.05, 0.045, 0.03), _paint(look.accent), Pose.of(belt_at, bones.lean)),
    ]


def _back_hair(look: Look, bones: Skeleton) -> list[Part]:
    """What the hairstyle shows behind the trunk."""
    r, tilt = look.head, 0.6 * bones.lean
    if look.hairstyle == "long":
        at = _towards(bones.head, tilt + np.pi / 2, 0.5 * r)
        return [Part("locks", Box(r * 1.12, r * 1.0, r * 0.6), _paint(look.hair, far=True), Pose.of(at, tilt))]
    if look.hairstyle == "tail":
        swing = np.pi * 0.72 + 1.3 * bones.lean
        at = _towards(bones.head, tilt + np.pi, 0.75 * r)
        return [Part("tail", Capsule(r * 1.25, r * 0.42, r * 0.26), _paint(look.hair), Pose.of(at, swing))]
    if look.hairstyle == "bun":
        at = _towards(bones.head, tilt - np.pi / 2 - 0.25, 1.15 * r)
        return [Part("bun", Ellipse(r * 0.46, r * 0.4), _paint(look.hair), Pose.of(at, tilt))]
    return []


def _head(look: Look, bones: Skeleton) -> list[Part]:
    """Hair around a face that looks a little to the right of the picture, with eyes, and a hat or a headband."""
    r, pose = look.head, Pose.of(bones.head, 0.6 * bones.lean)
    face = Union(((Ellipse(0.8 * r, 0.76 * r), (0.12 * r, 0.2 * r)),))
    dark = _tone(look.skin, 0.28)
    eye = Ellipse(0.14 * r, 0.19 * r)
    eyes = Union(((eye, (-0.14 * r, 0.14 * r)), (eye, (0.5 * r, 0.14 * r))))
    parts = [
        Part("hair", Ellipse(1.02 * r, r), _paint(look.hair), pose),
        Part("face", face, _paint(look.skin), pose),
        Part("eyes", eyes, Paint(base=dark), pose),
        Part("mouth", Union(((Box(0.2 * r, 0.07 * r, 0.05 * r), (0.18 * r, 0.58 * r)),)), Paint(base=dark), pose),
    ]
    if look.hairstyle == "hat":
        cone = Polygon(((-1.35 * r, -0.3 * r), (0.05 * r, -1.2 * r), (1.4 * r, -0.3 * r)), 0.03)
        straw = _paint(_hex("e3c070"), second=_hex("b98a3a"), pattern="stripes", period=0.09, angle=np.pi / 2)
        parts.append(Part("hat", cone, straw, pose))
    elif look.hairstyle == "band":
        parts.append(Part("band", Union(((Box(1.0 * r, 0.17 * r, 0.03), (0.0, -0.32 * r)),)), _paint(look.accent), pose))
    return parts


def _joints(look: Look) -> tuple[Joint, ...]:
    """The landmarks in the order of ``JOINTS``."""
    h = look.trunk
    face = ("face", "eyes", "mouth", "hair", "hat", "band")
    out = [
        Joint("head", "hair", (0.0, 0.0), face),
        Joint("chest", "jacket", (0.0, -0.7 * h), ("jacket", "collar")),
        Joint("pelvis", "hips", (0.0, 0.0), ("hips", "belt", "jacket", "right_thigh", "left_thigh")),
    ]
    for s in _SIDES:
        arm = (f"{s}_upper_arm", f"{s}_forearm", f"{s}_sleeve")
        out += [
            Joint(f"{s}_shoulder", f"{s}_upper_arm", (0.0, 0.0), (*arm, "jacket")),
            Joint(f"{s}_elbow", f"{s}_forearm", (0.0, 0.0), arm),
            Joint(f"{s}_wrist", f"{s}_forearm", (look.forearm, 0.0), (f"{s}_hand", f"{s}_forearm")),
        ]
    for s in _SIDES:
        out += [
            Joint(f"{s}_knee", f"{s}_shin", (0.0, 0.0), (f"{s}_shin", f"{s}_thigh")),
            Joint(f"{s}_ankle", f"{s}_shin", (look.shin, 0.0), (f"{s}_shin", f"{s}_shoe")),
        ]
    return tuple(out)


def _existing(joints: tuple[Joint, ...], names: set[str]) -> tuple[Joint, ...]:
    """The joints with only those covering parts that this character has."""
    return tuple(Joint(j.name, j.part, j.point, tuple(n for n in j.seen_on if n in names)) for j in joints)


# Each place: wall light, wall dark, floor light, floor dark.
_PLACES = tuple(
    tuple(_hex(code) for code in row.split())
    for row in (
        "d9c7a3 b79f77 c2a676 a5895b",
        "bcd3dd 93b3c2 a9bfa0 86a07d",
        "cfd8c9 9fb596 b9b08c 98906c",
        "e0cfc4 bfa395 b8a79a 998779",
        "c9cfe0 a0a9c6 aeb2bd 8f94a3",
        "e3d8bd c4b489 aebd93 8aa071",
        "d8c6d6 b39cb2 b9b0b8 988e98",
        "c3dcd3 94bbae c9bfa5 a89d80",
    )
)


def _blend(low: RGB, high: RGB, share: Array) -> Array:
    """Picture (H, W, 3) between two colours."""
    a, b = np.asarray(low, dtype=np.float32), np.asarray(high, dtype=np.float32)
    out: Array = a + np.clip(share, 0.0, 1.0)[..., None] * (b - a)
    return out


def _ridge(x: Array, rng: np.random.Generator, level: float, height: float) -> Array:
    """Height (1, W) of a line of hills around ``level``."""
    waves = rng.uniform(1.5, 5.0, 3), rng.uniform(0, 2 * np.pi, 3), np.array([1.0, 0.6, 0.35])
    out: Array = level + height * sum(a * np.sin(f * x + p) for f, p, a in zip(*waves, strict=True)).astype(np.float32)
    return out


def _soft(field: Array, size: int) -> Array:
    """Step from 0 to 1 where ``field`` (scene units) crosses zero, as wide as a pixel."""
    out: Array = np.clip(0.5 + field * (size - 1) / 2, 0.0, 1.0)
    return out


def _wall(style: str, x: Array, y: Array, rng: np.random.Generator, size: int) -> Array:
    """Share (H, W) of the light colour on the part above the floor."""
    phase = rng.uniform(0, 1)
    if style == "planks":
        width = rng.uniform(0.22, 0.34)
        seam = np.abs((x / width + phase) % 1 - 0.5) * width
        board = 0.62 + 0.25 * np.sin(7.3 * np.floor(x / width + phase + 0.5))
        return np.asarray(np.where(seam > 0.5 * width - 0.02, 0.0, board) + 0 * y, dtype=np.float32)
    if style == "bricks":
        row = np.floor(y / 0.17)
        col = x / 0.36 + 0.5 * (row % 2) + phase
        mortar = np.minimum(np.abs((y / 0.17) % 1 - 0.5) * -0.17 + 0.085, np.abs(col % 1 - 0.5) * -0.36 + 0.18)
        tone = 0.45 + 0.3 * np.sin(5.1 * np.floor(col) + 3.7 * row)
        return np.asarray(np.where(mortar < 0.018, 1.0, tone), dtype=np.float32)
    if style == "bamboo":
        stem = np.sin(2 * np.pi * (x / rng.uniform(0.28, 0.4) + phase))
        knot = np.abs((y / 0.4 + np.sin(3 * np.floor(x / 0.3))) % 1 - 0.5) > 0.46
        return np.asarray(0.75 - 0.55 * np.clip(2 * stem - 0.8, 0, 1) * (1 - 0.6 * knot), dtype=np.float32)
    hills = 0.45 * _soft(y - _ridge(x, rng, -0.25, 0.16), size) + 0.55 * _soft(y - _ridge(x, rng, 0.12, 0.12), size)
    return np.asarray(1.0 - hills, dtype=np.float32)


def _floor(style: str, x: Array, y: Array, horizon: float, size: int) -> Array:
    """Share (H, W) of the light colour on the floor, drawn in perspective."""
    depth = np.maximum(y - horizon, 0.02)
    if style == "tiles":
        far, across = 0.5 / (depth + 0.25), x / (depth + 0.55)
        tile = (np.floor(far * 5) + np.floor(across * 2.5 + 100)) % 2
        return np.asarray(0.3 + 0.55 * tile, dtype=np.float32)
    if style == "boards":
        seam = np.abs((x / (depth + 0.6) * 3) % 1 - 0.5)
        return np.asarray(np.where(seam > 0.46, 0.05, 0.7), dtype=np.float32)
    rug = np.hypot(x / 0.86, (y - _GROUND) / 0.15)
    ring = np.clip((rug - 0.82) * 12, 0, 1) * np.clip((1.0 - rug) * 12 + 1, 0, 1)
    return np.asarray(0.35 + 0.45 * _soft((1 - rug) * 0.15, size) - 0.3 * ring, dtype=np.float32)


def _background(identity: int, size: int) -> Array:
    """The static place (H, W, 3): a wall or a view above a floor, both with texture."""
    rng = np.random.default_rng([_SEED_PLACE, identity])
    wall_light, wall_dark, floor_light, floor_dark = _PLACES[rng.integers(len(_PLACES))]
    style = str(rng.choice(["planks", "bricks", "bamboo", "hills"]))
    ground = str(rng.choice(["tiles", "boards", "rug"]))
    horizon = float(rng.uniform(0.42, 0.56))
    x, y = lattice(size)
    grain = noise(rng, size, 9) - 0.5
    fine = noise(rng, size, 22) - 0.5
    texture = 0.35 * grain + 0.3 * fine
    wall = _blend(wall_dark, wall_light, _wall(style, x, y, rng, size) + texture)
    floor = _blend(floor_dark, floor_light, _floor(ground, x, y, horizon, size) + texture)
    edge = _soft(y - horizon, size)[..., None]
    picture = wall + edge * (floor - wall)
    skirting = np.exp(-(((y - horizon) / 0.03) ** 2))[..., None]
    out: Array = np.clip(picture * (0.84 - 0.22 * skirting), 0.0, 1.0).astype(np.float32)
    return out


def scene_of(
    look: Look, motion: int, *, identity: int, place: int, size: int = 64, length: int | None = None
) -> Scene:
    """A clip of a character with any look.

    Args:
        look: proportions, colours and clothes.
        motion: seed of the movement and, where ``length`` is None, of the number of frames (32 to 100).
        identity: number of the character, for the truth.
        place: seed of the background.
        size: side of the frames in pixels.
        length: number of frames, or None.

    Returns:
        The scene; the same arguments give the same one.
    """
    bones = _skeleton(look, Movement.of(motion, length))
    parts = [
        *_arm(look, bones, "left"),
        *_back_hair(look, bones),
        *_leg(look, bones, "left"),
        *_leg(look, bones, "right"),
        *_trunk(look, bones),
        *_head(look, bones),
        *_arm(look, bones, "right"),
    ]
    joints = _existing(_joints(look), {part.name for part in parts})
    return Scene(_background(place, size), tuple(parts), joints, identity)


def scene(identity: int, motion: int, *, size: int = 64, length: int | None = None) -> Scene:
    """One clip of the set.

    Args:
        identity: seed of the character and the place.
        motion: seed of the movement and, where ``length`` is None, of the number of frames (32 to 100).
        size: side of the frames in pixels.
        length: number of frames, or None.

    Returns:
        The scene; the same arguments give the same one.
    """
    return scene_of(Look.of(identity), motion, identity=identity, place=identity, size=size, length=length)
