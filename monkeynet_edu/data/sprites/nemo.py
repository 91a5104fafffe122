"""mini-nemo: cartoon faces that go from neutral to a smile, after UvA-NEMO.

Like the original (Dibeklioglu et al., ECCV 2012, as used in Monkey-Net, section 4), every clip starts with a neutral
face and shows the onset of a smile; a clip has exactly 32 frames. The smile differs in its time of onset, speed,
amplitude, opening of the mouth and symmetry. With it the cheeks rise, the eyes narrow, the brows lift, and the head
tilts, turns and nods by a few pixels; now and then the eyes blink. Mouth and brows bend: the motion is not rigid.

``identity`` decides everything about the look and ``motion`` everything about the movement: the same motion with
another identity makes another face do the same, in its own proportions.

Head coordinates: origin at the middle of the face, x right, y down, scene units. *Left* and *right* are the picture's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

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

SET = 5021
LENGTH = 32
FPS = 16.0
JOINTS = (
    "mouth_left",
    "mouth_right",
    "lip_upper",
    "lip_lower",
    "nose",
    "eye_left",
    "eye_right",
    "brow_left",
    "brow_right",
    "chin",
    "cheek_left",
    "cheek_right",
    "head_top",
)

Curve = NDArray[np.float64]
PIVOT = (0.0, 0.8)


@dataclass(frozen=True)
class Cut:
    """A shape with other shapes taken away; ``removed`` come with the local offsets of their origins."""

    whole: Shape
    removed: tuple[tuple[Shape, tuple[float, float]], ...]

    def distance(self, u: Array, v: Array) -> Array:
        """See :class:`~monkeynet_edu.data.sprites.engine.Shape`."""
        out: Array = np.maximum(self.whole.distance(u, v), -Union(self.removed).distance(u, v))
        return out

    def extent(self) -> tuple[float, float, float, float]:
        """See :class:`~monkeynet_edu.data.sprites.engine.Shape`."""
        return self.whole.extent()


@dataclass(frozen=True)
class Rim:
    """The band of half width ``half`` along the border of a shape (frames of glasses)."""

    shape: Shape
    half: float

    def distance(self, u: Array, v: Array) -> Array:
        """See :class:`~monkeynet_edu.data.sprites.engine.Shape`."""
        out: Array = np.abs(self.shape.distance(u, v)) - np.float32(self.half)
        return out

    def extent(self) -> tuple[float, float, float, float]:
        """See :class:`~monkeynet_edu.data.sprites.engine.Shape`."""
        u0, v0, u1, v1 = self.shape.extent()
        return u0 - self.half, v0 - self.half, u1 + self.half, v1 + self.half


def _rgb(code: str) -> RGB:
    """Colour from six hexadecimal digits."""
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def _blend(one: RGB, other: RGB, share: float) -> RGB:
    """Colour between ``one`` (share 0) and ``other`` (share 1)."""
    red, green, blue = (a + share * (b - a) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _darker(colour: RGB, share: float) -> RGB:
    """A darker, slightly bluer tone of a colour; outlines look softer than with black."""
    return _blend(colour, (0.10, 0.06, 0.14), share)


class Skin(NamedTuple):
    """Colours of a face, as hexadecimal digits."""

    base: str
    blush: str
    lips: str


SKINS = (
    Skin("fbe0cf", "f6b3a6", "d9787a"),
    Skin("f7d2b4", "efa48f", "cf6d6a"),
    Skin("f0c39b", "e59a7c", "c26258"),
    Skin("e6b184", "d98c66", "b4574b"),
    Skin("d79d6c", "c9784f", "a34c40"),
    Skin("bd8155", "b0643f", "8f3f3a"),
    Skin("9c6540", "9c4a35", "7a2c34"),
    Skin("7d4d32", "87402e", "b25a58"),
    Skin("613a28", "743628", "a9545a"),
)
HAIRS = ("1f1a1c", "2c2026", "3b271d", "5a3822", "7a4a28", "9c5b2b", "b8452c", "c98f45", "e2bd6a", "8f8a8c", "d9d4cf")
DYED = ("2f8f9c", "d4568f", "6a55b5", "3f7d4e", "e0793a")
IRISES = ("4a2f1d", "6b4423", "2f6f9c", "3f8a5a", "6f7f8a", "2a9aa0")
# First and second colour of clothes, colour of hats and frames.
CLOTHES = (
    ("d1495b", "edae49", "00798c"),
    ("2a6f97", "a9d6e5", "f28482"),
    ("386641", "a7c957", "bc4749"),
    ("5f0f40", "fb8b24", "0f4c5c"),
    ("f4a261", "e76f51", "264653"),
    ("6d597a", "e56b6f", "355070"),
    ("f2f0e6", "3d5a80", "ee6c4d"),
    ("22333b", "eae0d5", "c6ac8f"),
    ("ef476f", "ffd166", "118ab2"),
    ("3a5a40", "dad7cd", "e09f3e"),
)
PATTERNS: tuple[Literal["plain", "stripes", "checks", "dots"], ...] = ("plain", "stripes", "stripes", "checks", "dots")
WALLS = (
    ("a8d5d0", "7fb8b5"),
    ("cfe3c2", "a3c59a"),
    ("f3e3b8", "e0c686"),
    ("bcd2ee", "8fb0da"),
    ("f0c8c0", "dfa298"),
    ("d8cbe8", "b5a2d2"),
    ("7ea3b0", "5d8494"),
    ("8fae86", "6d8f68"),
    ("c7b198", "a98f74"),
    ("5b7a99", "46627f"),
)


class Hair(NamedTuple):
    """A hair style: what hangs behind the head, how the hairline runs, and what may go with it."""

    back: str
    front: str
    ears: bool
    hat: bool
    beard: bool


STYLES = (
    Hair("none", "round", True, True, True),
    Hair("none", "parted", True, True, True),
    Hair("none", "wavy", True, True, True),
    Hair("none", "buzz", True, True, True),
    Hair("none", "bald", True, True, True),
    Hair("none", "tuft", True, False, True),
    Hair("curls", "wavy", True, False, True),
    Hair("bob", "bangs", False, True, False),
    Hair("bob", "parted", False, True, False),
    Hair("long", "round", False, True, False),
    Hair("long", "bangs", False, True, False),
    Hair("long", "swept", False, True, False),
    Hair("afro", "round", True, False, True),
    Hair("bun", "swept", True, False, False),
    Hair("bun", "bangs", True, False, False),
    Hair("pigtails", "parted", True, True, False),
    Hair("ponytail", "swept", True, True, False),
    Hair("scarf", "scarf", False, False, False),
)


def _is_dark(skin: Skin) -> bool:
    """Whether a skin is darker than most paints."""
    return sum(_rgb(skin.base)) < 1.6


@dataclass(frozen=True)
class Look:
    """Everything about a face that does not change over time; lengths in scene units."""

    a: float
    b: float
    jaw: float
    eye_x: float
    eye_r: float
    nose: float
    mouth: float
    lip: float
    brow: float
    skin: Skin
    hair: RGB
    iris: RGB
    cloth: tuple[RGB, RGB, RGB]
    pattern: Paint
    style: Hair
    beard: str
    moustache: bool
    hat: str
    glasses: str
    freckles: bool
    earrings: bool

    @property
    def tone(self) -> RGB:
        """Colour of the skin."""
        return _rgb(self.skin.base)

    @property
    def dark(self) -> bool:
        """Whether the skin is darker than most paints."""
        return _is_dark(self.skin)

    @property
    def line(self) -> RGB:
        """Colour of the outlines of the skin."""
        return _darker(self.tone, 0.55)

    @property
    def middle(self) -> tuple[float, float]:
        """Scene position of the middle of the face at rest."""
        return 0.0, 0.06


def _skin_and_hair(rng: np.random.Generator) -> tuple[Skin, RGB]:
    """Skin and a colour of hair that goes with it, sometimes dyed."""
    skin = SKINS[int(rng.integers(len(SKINS)))]
    natural = HAIRS[:5] if _is_dark(skin) else HAIRS
    colours = DYED if rng.random() < 0.1 else natural
    return skin, _rgb(colours[int(rng.integers(len(colours)))])


def _look(identity: int) -> Look:
    """Draws a character."""
    rng = np.random.default_rng([SET, 1, identity])

    between = rng.uniform

    def chance(p: float) -> bool:
        return bool(rng.random() < p)

    skin, hair = _skin_and_hair(rng)
    dark = _is_dark(skin)
    style = STYLES[int(rng.integers(len(STYLES)))]
    codes = CLOTHES[int(rng.integers(len(CLOTHES)))]
    cloth = (_rgb(codes[0]), _rgb(codes[1]), _rgb(codes[2]))
    kind = PATTERNS[int(rng.integers(len(PATTERNS)))]
    pattern = Paint(cloth[0], cloth[1], kind, between(0.2, 0.3), (0.0, np.pi / 2, 0.8)[int(rng.integers(3))])
    beard = ("full", "goatee", "stubble")[int(rng.integers(3))] if style.beard and chance(0.4) else "none"
    hat = ("beanie", "cap", "band")[int(rng.integers(3))] if style.hat and chance(0.4) else "none"
    return Look(
        a=between(0.51, 0.57),
        b=between(0.61, 0.67),
        jaw=between(0.62, 0.86),
        eye_x=between(0.40, 0.46),
        eye_r=between(0.125, 0.15),
        nose=between(0.06, 0.095),
        mouth=between(0.36, 0.44),
        lip=between(0.028, 0.045),
        brow=between(0.026, 0.042),
        skin=skin,
        hair=hair,
        iris=_rgb(IRISES[int(rng.integers(2 if dark else len(IRISES)))]),
        cloth=cloth,
        pattern=pattern,
        style=style,
        beard=beard,
        moustache=style.beard and chance(0.6 if beard != "none" else 0.12),
        hat=hat,
        glasses=("round", "square")[int(rng.integers(2))] if chance(0.3) else "none",
        freckles=not dark and chance(0.25),
        earrings=style.ears and chance(0.35),
    )


@dataclass(frozen=True)
class Motion:
    """What the face does in T frames; every curve is 0 in the first.

    ``smile``, ``opening``, ``squint``, ``lift`` (brows) and ``blink`` run from 0 to about 1; ``lean`` is the asymmetry
    of the smile in [-1, 1]; ``tilt`` in radians; ``turn`` and ``nod`` shift near features against far ones, ``slide``
    and ``sink`` the whole head, ``gaze`` (T, 2) the irises, all in scene units.
    """

    smile: Curve
    opening: Curve
    squint: Curve
    lift: Curve
    blink: Curve
    lean: float
    tilt: Curve
    turn: Curve
    nod: Curve
    slide: Curve
    sink: Curve
    gaze: Curve


def _ease(phase: Curve) -> Curve:
    """Minimum-jerk course from 0 (phase <= 0) to 1 (phase >= 1)."""
    p = np.clip(phase, 0.0, 1.0)
    out: Curve = p**3 * (10.0 - 15.0 * p + 6.0 * p * p)
    return out


def _motion(motion: int, length: int) -> Motion:
    """Draws a smile; times are shares of the clip, so that a shorter clip shows the same smile in fewer frames."""
    rng = np.random.default_rng([SET, 2, motion])
    tau = np.arange(length) / max(length - 1, 1)
    onset, rise = rng.uniform(0.06, 0.26), rng.uniform(0.25, 0.5)
    late, fall, drop = rng.uniform(0.7, 0.85), rng.uniform(0.2, 0.3), rng.uniform(0.0, 0.45)
    amplitude = rng.uniform(0.65, 1.0)
    smile = amplitude * (_ease((tau - onset) / rise) - drop * _ease((tau - late) / fall))
    opening = rng.choice([0.0, 0.55, 0.8, 1.0]) * smile * _ease((tau - onset) / (rise * 1.2))
    blink = np.zeros(length)
    for when in rng.uniform(0.2, 0.95, size=int(rng.choice([0, 1, 1, 2]))):
        blink = np.maximum(blink, np.exp(-(((tau - when) / 0.045) ** 2)))

    def sway(most: float) -> Curve:
        # Out to one pose and on to another, the second often on the other side.
        start, again = rng.uniform(0.1, 0.35), rng.uniform(0.55, 0.7)
        first = rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.0) * most
        second = -first * rng.uniform(-0.2, 1.6)
        out: Curve = first * _ease((tau - start) / 0.4) + second * _ease((tau - again) / 0.35)
        return out

    return Motion(
        smile=smile,
        opening=opening,
        squint=smile * rng.uniform(0.5, 1.0),
        lift=smile * rng.uniform(0.3, 1.0),
        blink=blink,
        lean=float(rng.choice([0.0, 0.0, 1.0]) * rng.uniform(-1.0, 1.0)),
        tilt=sway(0.115),
        turn=sway(0.06),
        nod=sway(0.04),
        slide=sway(0.062),
        sink=sway(0.036),
        gaze=np.stack([sway(0.02), sway(0.01)], axis=-1),
    )


@dataclass(frozen=True)
class Rig:
    """A look in motion: places parts of the head."""

    look: Look
    motion: Motion

    def pose(
        self,
        x: float,
        y: float,
        *,
        depth: float = 0.0,
        shift: Curve | None = None,
        angle: Curve | float = 0.0,
        scale: Curve | float = 1.0,
        bend: Curve | float = 0.0,
    ) -> Pose:
        """Pose of a part at head point (x, y).

        Args:
            x: head coordinate.
            y: head coordinate.
            depth: how far in front of the middle of the head; near parts go with a turn, far ones against it.
            shift: own movement (T, 2) in head coordinates.
            angle: own turning in radians.
            scale: one number, (T,) or (T, 2).
            bend: bending of the u axis.
        """
        m, (mx, my) = self.motion, self.look.middle
        local = np.stack([x + mx + depth * m.turn, y + my + depth * m.nod], axis=-1) - PIVOT
        local = local + (0.0 if shift is None else shift)
        c, s = np.cos(m.tilt), np.sin(m.tilt)
        turned = np.stack([c * local[:, 0] - s * local[:, 1], s * local[:, 0] + c * local[:, 1]], axis=-1)
        centre = turned + PIVOT + np.stack([m.slide, m.sink], axis=-1)
        return Pose.of(centre, m.tilt + angle, np.asarray(scale), bend)


def _hair_paint(colour: RGB, angle: float = 0.0) -> Paint:
    """Strands: soft stripes in two tones of the hair colour."""
    light = _blend(colour, (1.0, 0.9, 0.8), 0.16)
    return Paint(colour, light, "stripes", 0.2, angle, outline=_darker(colour, 0.55), outline_width=0.035)


def _back_hair(rig: Rig) -> list[Part]:
    """Hair behind head and shoulders."""
    k, kind = rig.look, rig.look.style.back
    a, b = k.a, k.b
    ring = [(1.03 * a * np.cos(t), 1.03 * b * np.sin(t) - 0.06 * b) for t in np.linspace(-3.4, 0.26, 9)]
    shapes: dict[str, Shape] = {
        "bob": Union(
            ((Ellipse(1.17 * a, 1.08 * b), (0.0, -0.06 * b)), (Box(1.2 * a, 0.5 * b, 0.35 * a), (0.0, 0.28 * b)))
        ),
        "long": Union(
            ((Ellipse(1.17 * a, 1.08 * b), (0.0, -0.06 * b)), (Box(1.22 * a, 0.7 * b, 0.4 * a), (0.0, 0.55 * b)))
        ),
        "afro": Union(((Ellipse(1.38 * a, 1.08 * b), (0.0, -0.28 * b)),)),
        "curls": Union(tuple((Ellipse(0.3 * a, 0.3 * a), (float(x), float(y))) for x, y in ring)),
        "bun": Union(((Ellipse(0.42 * a, 0.36 * a), (0.0, -1.18 * b)),)),
        "pigtails": Union(tuple((Ellipse(0.34 * a, 0.62 * b), (s * 1.22 * a, 0.2 * b)) for s in (-1.0, 1.0))),
        "ponytail": Union(((Ellipse(0.4 * a, 0.8 * b), (1.05 * a, 0.15 * b)),)),
        "scarf": Union(((Box(1.15 * a, 0.85 * b, 0.8 * a), (0.0, 0.45 * b)),)),
    }
    if kind not in shapes:
        return []
    paint = _scarf_paint(k) if kind == "scarf" else _hair_paint(_darker(k.hair, 0.18))
    if kind == "afro":
        paint = replace(_hair_paint(k.hair), pattern="dots")
    return [Part("hair_back", shapes[kind], paint, rig.pose(0.0, 0.0, depth=-0.4))]


def _scarf_paint(k: Look) -> Paint:
    """Cloth of a head scarf."""
    second = _blend(k.cloth[2], k.cloth[1], 0.35)
    return Paint(k.cloth[2], second, "dots", 0.24, 0.5, outline=_darker(k.cloth[2], 0.5), outline_width=0.04)


def _body(rig: Rig) -> list[Part]:
    """Neck and shoulders; the shoulders stay where they are."""
    k, m = rig.look, rig.motion
    still = np.zeros_like(m.tilt)
    base = np.stack([still, still + 1.0], axis=-1)
    neck = Pose.of(base, -np.pi / 2 + 0.6 * m.tilt + m.slide)
    skin = _darker(k.tone, 0.22)
    outline = _darker(k.cloth[0], 0.55)
    p = k.pattern
    shirt = Paint(p.base, p.second, p.pattern, p.period, p.angle, outline=outline, outline_width=0.045)
    torso = Union(((Ellipse(0.88, 0.4), (0.0, 0.3)), (Box(0.88, 0.3, 0.05), (0.0, 0.6))))
    return [
        Part("neck", Capsule(0.55, 0.2, 0.2), Paint(skin, outline=k.line, outline_width=0.04), neck),
        Part("body", torso, shirt, Pose.of(base - [0.0, 0.13])),
        Part(
            "collar", Ellipse(0.25, 0.12), Paint(skin, outline=outline, outline_width=0.05), Pose.of(base - [0.0, 0.17])
        ),
        Part("throat", Capsule(0.3, 0.19, 0.19), Paint(skin), neck),
    ]


def _ears(rig: Rig) -> list[Part]:
    """Ears, perhaps with earrings."""
    k = rig.look
    if not k.style.ears:
        return []
    parts = []
    paint = Paint(_blend(k.tone, _rgb(k.skin.blush), 0.45), outline=k.line, outline_width=0.04)
    for name, side in (("left", -1.0), ("right", 1.0)):
        parts.append(
            Part(f"ear_{name}", Ellipse(0.11, 0.14), paint, rig.pose(side * 1.0 * k.a, 0.06 * k.b, depth=-0.25))
        )
        if k.earrings:
            gold = Paint(_rgb("ffd166"), outline=_rgb("a8741a"), outline_width=0.025)
            pose = rig.pose(side * 1.08 * k.a, 0.06 * k.b + 0.17, depth=-0.25)
            parts.append(Part(f"earring_{name}", Ellipse(0.055, 0.065), gold, pose))
    return parts


def _head(rig: Rig) -> list[Part]:
    """The face itself with what is painted on its skin: cheeks, freckles, beard."""
    k, m = rig.look, rig.motion
    a, b = k.a, k.b
    jaw = Ellipse(k.jaw * a, 0.62 * b)
    shape = Union(((Ellipse(a, 0.88 * b), (0.0, -0.12 * b)), (jaw, (0.0, 0.38 * b))))
    squash = np.stack([1.0 + 0.03 * m.smile, 1.0 + 0.02 * m.opening], axis=-1)
    paint = Paint(k.tone, outline=k.line, outline_width=0.045, shade=0.12)
    parts = [Part("head", shape, paint, rig.pose(0.0, 0.0, scale=squash))]
    blush = Paint(_blend(k.tone, _rgb(k.skin.blush), 0.75))
    for name, side in (("left", -1.0), ("right", 1.0)):
        shift = np.stack([side * 0.02 * m.smile, -0.075 * m.smile * (1.0 + side * 0.4 * m.lean)], axis=-1)
        grow = np.stack([1.0 + 0.12 * m.smile, 1.0 + 0.2 * m.smile], axis=-1)
        pose = rig.pose(side * 0.58 * a, 0.33 * b, depth=0.5, shift=shift, scale=grow)
        parts.append(Part(f"cheek_{name}", Ellipse(0.115, 0.085), blush, pose, inside="head"))
    if k.freckles:
        spots = [(-0.6, 0.24), (-0.42, 0.3), (-0.54, 0.4), (0.42, 0.3), (0.6, 0.24), (0.54, 0.4)]
        dots = Union(tuple((Ellipse(0.022, 0.022), (x * a, y * b)) for x, y in spots))
        shift = np.stack([0.0 * m.smile, -0.05 * m.smile], axis=-1)
        parts.append(Part("freckles", dots, Paint(_darker(k.tone, 0.32)), rig.pose(0.0, 0.0, depth=0.5, shift=shift)))
    return parts + _beard(rig)


def _beard(rig: Rig) -> list[Part]:
    """Beard on the skin below the cheeks, moving with the jaw."""
    k, m = rig.look, rig.motion
    a, b = k.a, k.b
    if k.beard == "none":
        return []
    around: Shape = Cut(
        Ellipse(1.1 * a, 1.15 * b), ((Ellipse(0.84 * a, 0.95 * b), (0.0, -0.6 * b)), (Box(2.0, b), (0.0, -0.85 * b)))
    )
    shape = Union(((Ellipse(0.34 * a, 0.3 * b), (0.0, 0.86 * b)),)) if k.beard == "goatee" else around
    colour = _blend(k.hair, k.tone, 0.62 if k.beard == "stubble" else 0.06)
    light = _blend(colour, k.tone, 0.14)
    paint = Paint(colour, light, "stripes", 0.12, 0.0)
    shift = np.stack([0.0 * m.smile, 0.02 * m.opening], axis=-1)
    wide = np.stack([1.0 + 0.04 * m.smile, np.ones_like(m.smile)], axis=-1)
    return [Part("beard", shape, paint, rig.pose(0.0, 0.0, depth=0.15, shift=shift, scale=wide), inside="head")]


def _mouth(rig: Rig) -> list[Part]:
    """Lips, the opening with teeth and tongue, and a moustache; all bend with the smile."""
    k, m = rig.look, rig.motion
    half = k.mouth * k.a
    y = 0.50 * k.b
    wide = 1.0 + 0.34 * m.smile
    # Height that the corners gain, in scene units; a mouth at rest is a little flat or sad.
    gain = 0.012 - 0.15 * m.smile
    gap, still = 0.2 + 0.9 * m.opening, np.ones_like(m.opening)
    drop = 0.035 * m.opening + 0.045 * m.smile
    shift = np.stack([0.035 * m.lean * m.smile, drop], axis=-1)
    angle = -0.22 * m.lean * m.smile

    def pose(scale_v: Curve, width: float, dy: float = 0.0) -> Pose:
        bend = gain / (scale_v * half**2)
        both = np.stack([wide * width, scale_v], axis=-1)
        return rig.pose(0.0, y + dy, depth=0.8, shift=shift, angle=angle, scale=both, bend=bend * width**2)

    lips = _rgb(k.skin.lips)
    outer = (0.1 * gap + k.lip) / (0.02 + k.lip)
    parts = [
        Part(
            "lips",
            Ellipse(half, 0.02 + k.lip),
            Paint(lips, _blend(lips, k.line, 0.3), "fade", 0.2, -np.pi / 2),
            pose(outer, 1.0),
        ),
        Part("mouth", Ellipse(half, 0.1), Paint(_rgb("4a1420")), pose(gap, 0.84)),
        Part("tongue", Ellipse(0.5 * half, 0.05), Paint(_rgb("c8434f")), pose(still, 0.9, 0.1), inside="mouth"),
        Part(
            "teeth",
            Box(0.86 * half, 0.05, 0.02),
            Paint(_rgb("fffaf0")),
            pose(still, 0.84, -0.075),
            inside="mouth",
        ),
    ]
    if k.moustache:
        hair = _blend(k.hair, k.tone, 0.06)
        whisker = Union(tuple((Ellipse(0.62 * half, 0.062), (s * 0.5 * half, 0.0)) for s in (-1.0, 1.0)))
        parts.append(Part("moustache", whisker, _hair_paint(hair), _moustache_pose(rig, half)))
    return parts


def _moustache_pose(rig: Rig, half: float) -> Pose:
    """Pose of a moustache of half width ``half``: it hangs at rest and spreads with the smile."""
    k, m = rig.look, rig.motion
    wide = np.stack([1.0 + 0.22 * m.smile, np.ones_like(m.smile)], axis=-1)
    bend = (0.05 - 0.09 * m.smile) / half**2
    shift = np.stack([0.02 * m.lean * m.smile, -0.012 * m.smile], axis=-1)
    return rig.pose(0.0, 0.36 * k.b, depth=0.9, shift=shift, angle=-0.15 * m.lean * m.smile, scale=wide, bend=bend)


def _eyes(rig: Rig) -> list[Part]:
    """Eyes with irises and lids; the lids narrow with the smile and close in a blink."""
    k, m = rig.look, rig.motion
    x, y, r = k.eye_x * k.a, -0.08 * k.b, k.eye_r

    def pair(shape: Shape) -> Union:
        return Union(((shape, (-x, 0.0)), (shape, (x, 0.0))))

    white = Paint(_rgb("fffdf8"), outline=_darker(k.tone, 0.8), outline_width=0.035)
    iris = Paint(k.iris, outline=_darker(k.iris, 0.55), outline_width=0.02)
    look = rig.pose(0.0, y + 0.005, depth=0.75, shift=m.gaze)
    lid = Paint(_darker(k.tone, 0.13), outline=_darker(k.tone, 0.8), outline_width=0.03)
    parts = [
        Part("eyes", pair(Ellipse(r, 0.86 * r)), white, rig.pose(0.0, y, depth=0.65)),
        Part("irises", pair(Ellipse(0.58 * r, 0.62 * r)), iris, look, inside="eyes"),
        Part("pupils", pair(Ellipse(0.3 * r, 0.32 * r)), Paint(_rgb("17121a")), look, inside="eyes"),
        Part(
            "glints",
            Union(((Ellipse(0.025, 0.025), (-x - 0.03, -0.032)), (Ellipse(0.025, 0.025), (x - 0.03, -0.032)))),
            Paint((1.0, 1.0, 1.0)),
            look,
            inside="eyes",
        ),
    ]
    close = np.maximum(0.16 * m.squint, m.blink)
    for name, side in (("left", -1.0), ("right", 1.0)):
        shift = np.stack([0.0 * close, r * (1.55 * close - 0.3)], axis=-1)
        pose = rig.pose(side * x, y - 1.5 * r, depth=0.65, shift=shift)
        parts.append(Part(f"lid_{name}", Box(1.15 * r, r), lid, pose, inside="eyes"))
    under = np.stack([0.0 * close, -r * (0.62 * m.squint + 0.2 * m.blink)], axis=-1)
    below = pair(Ellipse(1.25 * r, 0.8 * r))
    parts.append(Part("lids_lower", below, lid, rig.pose(0.0, y + 1.75 * r, depth=0.65, shift=under), inside="eyes"))
    return parts


def _nose_and_brows(rig: Rig) -> list[Part]:
    """Nose, and brows that lift and arch with the smile."""
    k, m = rig.look, rig.motion
    tone = _blend(k.tone, _rgb(k.skin.blush), 0.55)
    widen = np.stack([1.0 + 0.12 * m.smile, np.ones_like(m.smile)], axis=-1)
    nose = Part(
        "nose",
        Ellipse(k.nose, 0.9 * k.nose),
        Paint(tone, outline=k.line, outline_width=0.03, shade=0.2),
        rig.pose(0.0, 0.2 * k.b, depth=1.25, scale=widen),
    )
    brows = []
    colour = _darker(_blend(k.hair, k.tone, 0.08), 0.3)
    half = 0.24 * k.a
    for name, side in (("left", -1.0), ("right", 1.0)):
        shift = np.stack([0.0 * m.lift, -0.07 * m.lift], axis=-1)
        bend = (0.03 + 0.05 * m.lift) / half**2
        shape = Union(((Capsule(2 * half, k.brow, k.brow), (-half, 0.0)),))
        pose = rig.pose(side * k.eye_x * k.a, -0.385 * k.b, depth=0.6, shift=shift, angle=side * 0.06, bend=bend)
        brows.append(Part(f"brow_{name}", shape, Paint(colour), pose))
    return [*brows, nose]


def _glasses(rig: Rig) -> list[Part]:
    """Frames before the eyes."""
    k = rig.look
    if k.glasses == "none":
        return []
    x, r = k.eye_x * k.a, min(1.32 * k.eye_r, 0.88 * k.eye_x * k.a)
    lens = Box(r, r if k.glasses == "round" else 0.86 * r, r if k.glasses == "round" else 0.3 * r)
    rim = Rim(lens, 0.022)
    bridge = Box(x - r, 0.022)
    arm = Box(0.5 * (k.a - x - r) + 0.02, 0.022)
    reach = 0.5 * (k.a + x + r)
    shape = Union(
        ((rim, (-x, 0.0)), (rim, (x, 0.0)), (bridge, (0.0, -0.03)), (arm, (-reach, -0.03)), (arm, (reach, -0.03)))
    )
    colour = _blend(k.cloth[2], (1.0, 0.96, 0.9), 0.4) if k.dark else _darker(k.cloth[2], 0.35)
    return [Part("glasses", shape, Paint(colour), rig.pose(0.0, -0.07 * k.b, depth=0.75))]


def _hairline(kind: str, a: float, b: float) -> tuple[tuple[Shape, tuple[float, float]], ...]:
    """What a hairline leaves free of the cap of hair."""
    lines: dict[str, tuple[tuple[Shape, tuple[float, float]], ...]] = {
        "round": ((Ellipse(0.86 * a, 1.05 * b), (0.0, 0.46 * b)),),
        "buzz": ((Ellipse(0.86 * a, 1.05 * b), (0.0, 0.38 * b)),),
        "parted": (
            (Ellipse(0.58 * a, 1.0 * b), (-0.3 * a, 0.46 * b)),
            (Ellipse(0.58 * a, 1.0 * b), (0.3 * a, 0.46 * b)),
        ),
        "swept": ((Ellipse(0.95 * a, 1.02 * b), (-0.16 * a, 0.46 * b)), (Ellipse(0.86 * a, 0.9 * b), (0.0, 0.5 * b))),
        "bangs": ((Box(0.85 * a, b, 0.25 * a), (0.0, 0.5 * b)),),
        "wavy": (
            *((Ellipse(0.26 * a, 0.24 * b), (s * a, -0.28 * b)) for s in (-0.58, -0.2, 0.2, 0.58)),
            (Ellipse(0.84 * a, b), (0.0, 0.62 * b)),
        ),
    }
    return lines[kind]


def _front_hair(rig: Rig) -> list[Part]:
    """The cap of hair with its hairline, a tuft, or the front of a scarf."""
    k = rig.look
    a, b, kind = k.a, k.b, k.style.front
    if kind == "bald":
        return []
    if kind == "scarf":
        shape: Shape = Cut(
            Union(((Ellipse(1.17 * a, 1.13 * b), (0.0, 0.0)),)), ((Ellipse(0.86 * a, 0.93 * b), (0.0, 0.06 * b)),)
        )
        return [Part("hair", shape, _scarf_paint(k), rig.pose(0.0, 0.0))]
    if kind == "tuft":
        tuft = Polygon(
            ((-0.3, -0.62), (-0.36, -0.98), (-0.14, -0.88), (0.0, -1.12), (0.14, -0.88), (0.36, -0.98), (0.3, -0.62))
        )
        points = tuple((x * a, y * b) for x, y in tuft.points)
        return [Part("hair", Polygon(points, 0.05), _hair_paint(k.hair), rig.pose(0.0, 0.0, depth=0.1))]
    grow = 1.03 if kind == "buzz" else 1.1
    cap = Union(((Ellipse(grow * a, (grow - 0.06) * b), (0.0, -0.07 * b)),))
    lower = (Box(2.0, b), (0.0, (1.02 if k.style.ears else 1.45) * b))
    colour = _blend(k.hair, k.tone, 0.25) if kind == "buzz" else k.hair
    shape = Cut(cap, (*_hairline(kind, a, b), lower))
    paint = _hair_paint(colour)
    if k.style.back == "afro":
        # No line between the cap and the round mass of hair behind it.
        paint = replace(paint, pattern="dots", outline=None)
    return [Part("hair", shape, paint, rig.pose(0.0, 0.0, depth=0.1))]


def _hat(rig: Rig) -> list[Part]:
    """Beanie, cap or headband."""
    k = rig.look
    a, b = k.a, k.b
    cloth, line = k.cloth[2], _darker(k.cloth[2], 0.55)
    if k.hat == "none":
        return []
    pose = rig.pose(0.0, 0.0, depth=0.1)
    second = Paint(_blend(k.cloth[1], cloth, 0.15), cloth, "stripes", 0.14, outline=line, outline_width=0.035)
    if k.hat == "band":
        band = Cut(Ellipse(1.12 * a, 1.12 * b), ((Box(2.0, b), (0.0, 0.42 * b)), (Box(2.0, b), (0.0, -1.78 * b))))
        return [Part("hat", band, second, pose)]
    crown = Cut(Union(((Ellipse(1.15 * a, 1.1 * b), (0.0, -0.06 * b)),)), ((Box(2.0, b), (0.0, 0.48 * b)),))
    knit = Paint(cloth, _blend(cloth, k.cloth[1], 0.3), "stripes", 0.24, np.pi / 2, outline=line, outline_width=0.04)
    if k.hat == "beanie":
        trim: Shape = Box(1.1 * a, 0.1 * b, 0.08 * b)
        return [Part("hat", crown, knit, pose), Part("trim", trim, second, rig.pose(0.0, -0.56 * b, depth=0.15))]
    visor = Ellipse(1.0 * a, 0.15 * b)
    plain = Paint(k.cloth[1], outline=_darker(k.cloth[1], 0.55), outline_width=0.04)
    return [
        Part("hat", crown, knit, pose),
        Part("trim", visor, plain, rig.pose(0.0, -0.6 * b, depth=0.5, bend=0.22 / a)),
    ]


def _joints(look: Look, parts: Sequence[Part]) -> tuple[Joint, ...]:
    """The landmarks of :data:`JOINTS`; things worn over a landmark do not hide it when they move with it."""
    names = {part.name for part in parts}

    def on(*candidates: str) -> tuple[str, ...]:
        return tuple(c for c in candidates if c in names)

    half, x = 0.9 * look.mouth * look.a, look.eye_x * look.a
    mouth = on("lips", "mouth", "teeth", "tongue", "moustache", "beard", "head")
    eye = on("eyes", "irises", "pupils", "glints", "lid_left", "lid_right", "lids_lower", "glasses")
    tall = 0.02 + look.lip
    joints = [
        Joint("mouth_left", "lips", (-half, 0.0), mouth),
        Joint("mouth_right", "lips", (half, 0.0), mouth),
        Joint("lip_upper", "lips", (0.0, -0.7 * tall), mouth),
        Joint("lip_lower", "lips", (0.0, 0.7 * tall), mouth),
        Joint("nose", "nose", (0.0, 0.0), on("nose", "moustache")),
        Joint("eye_left", "eyes", (-x, 0.0), eye),
        Joint("eye_right", "eyes", (x, 0.0), eye),
        Joint("brow_left", "brow_left", (0.0, 0.0), on("brow_left", "glasses")),
        Joint("brow_right", "brow_right", (0.0, 0.0), on("brow_right", "glasses")),
        Joint("chin", "head", (0.0, 0.9 * look.b), on("head", "beard")),
        Joint("cheek_left", "cheek_left", (0.0, 0.0), on("cheek_left", "freckles", "beard")),
        Joint("cheek_right", "cheek_right", (0.0, 0.0), on("cheek_right", "freckles", "beard")),
        Joint("head_top", "head", (0.0, -0.86 * look.b), on("head", "hair", "hat", "trim")),
    ]
    return tuple(joints)


def _ramp(first: RGB, second: RGB, share: Array) -> Array:
    """Colours (H, W, 3) between two, by a share (H, W)."""
    one, two = np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)
    out: Array = (one + np.clip(share, 0.0, 1.0)[..., None] * (two - one)).astype(np.float32)
    return out


def _wall(look: Look, rng: np.random.Generator) -> tuple[RGB, RGB]:
    """Colours of a wall, one of those that the hair and skin stand out from best."""
    figure = [
        np.array(look.cloth[2] if look.style.back == "scarf" or look.hat != "none" else look.hair),
        np.array(look.tone),
    ]
    contrast = [min(float(np.abs(np.array(_rgb(w[0])) - c).sum()) for c in figure) for w in WALLS]
    first, second = WALLS[int(np.argsort(contrast)[-int(rng.integers(1, 7))])]
    return _rgb(first), _rgb(second)


def _background(look: Look, identity: int, size: int) -> Array:
    """Curtains, striped or diamond wallpaper, lights out of focus, or painted plaster, always soft."""
    rng = np.random.default_rng([SET, 3, identity])
    first, second = _wall(look, rng)
    x, y = (np.broadcast_to(axis, (size, size)) for axis in lattice(size))
    style, phase, period = int(rng.integers(5)), float(rng.uniform(0, 6.28)), float(rng.uniform(0.28, 0.42))
    grain = noise(rng, size, 9)
    broad = noise(rng, size, 3)
    if style == 0:
        share = 0.5 + 0.5 * np.sin(2 * np.pi * (x + 0.05 * np.sin(2 * y + phase)) / period + 1.2 * broad)
    elif style == 1:
        share = np.clip(0.5 + 3 * np.sin(2 * np.pi * x / period + phase), 0, 1)
    elif style == 2:
        share = np.clip(0.5 + 3 * np.sin(np.pi * (x + y) / period + phase) * np.sin(np.pi * (x - y) / period), 0, 1)
    elif style == 3:
        share = 0.35 + 0.4 * y
        for cx, cy, r in rng.uniform((-1.0, -1.0, 0.1), (1.0, 0.8, 0.26), (14, 3)):
            share = share - 0.45 * np.clip((r - np.hypot(x - cx, y - cy)) * 16, 0, 1)
        second, first = first, _blend(first, (1.0, 1.0, 0.95), 0.35)
    else:
        share = 1.3 * broad - 0.15
    fall = 0.10 * np.clip(np.hypot(x, y) - 0.5, 0, 1) + 0.08 * (grain - 0.5)
    out: Array = np.clip(_ramp(first, second, 0.85 * share) - fall[..., None], 0.0, 1.0).astype(np.float32)
    return out


def scene(identity: int, motion: int, *, size: int = 64, length: int | None = None) -> Scene:
    """A face that smiles.

    Args:
        identity: seed of the look.
        motion: seed of the movement.
        size: side of the frames in pixels.
        length: number of frames, default the protocol's 32.

    Returns:
        The scene; equal arguments give equal scenes.
    """
    look = _look(identity)
    rig = Rig(look, _motion(motion, LENGTH if length is None else length))
    parts = [
        *_back_hair(rig),
        *_body(rig),
        *_ears(rig),
        *_head(rig),
        *_mouth(rig),
        *_eyes(rig),
        *_front_hair(rig),
        *_nose_and_brows(rig),
        *_glasses(rig),
        *_hat(rig),
    ]
    return Scene(_background(look, identity, size), tuple(parts), _joints(look, parts), identity, FPS)
