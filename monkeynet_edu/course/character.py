"""The learner's own character: designed in lesson 00, in the films of every lesson. No training clip shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from monkeynet_edu.course.progress import Progress
from monkeynet_edu.data.sprites import taichi
from monkeynet_edu.data.sprites.engine import RGB, Clip, render
from monkeynet_edu.errors import UserError
from monkeynet_edu.viz import Picture
from monkeynet_edu.widgets import Button, Choice, Colour, Panel, Range, Still, Text, panel
from monkeynet_edu.widgets.panels import Control, Values

Frame = NDArray[np.uint8]

LONGEST_NAME = 24
MOTION, LENGTH = 3, 32
KEEP = "keep"  # the designer's button
_FILE_SAFE = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Proportions:
    """Sizes relative to the middle of the training characters; each from its least to its greatest value.

    Attributes:
        height: 0.85 to 1.05.
        build: width of trunk and limbs, 0.8 to 1.25.
        head: 0.8 to 1.25.
        arms: length, 0.85 to 1.1.
    """

    height: float = 1.0
    build: float = 1.0
    head: float = 1.0
    arms: float = 1.0

    def __post_init__(self) -> None:
        """Checks the values."""
        for item in fields(self):
            low, high = PROPORTIONS[item.name]
            value = getattr(self, item.name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
                raise UserError(f"{item.name}: expected a number from {low} to {high}, got {value!r}; choose one between")


PROPORTIONS = {"height": (0.85, 1.05), "build": (0.8, 1.25), "head": (0.8, 1.25), "arms": (0.85, 1.1)}


@dataclass(frozen=True)
class Colours:
    """Colours as ``#rrggbb``.

    Attributes:
        jacket: of the trunk.
        sleeve: of the arms.
        trousers: of the legs.
        accent: belt, collar, headband.
        skin: of face and hands.
        hair: of the head.
        shoe: of the feet.
    """

    jacket: str = "#d1495b"
    sleeve: str = "#f4e3c1"
    trousers: str = "#30638e"
    accent: str = "#edae49"
    skin: str = "#cf935f"
    hair: str = "#3b2519"
    shoe: str = "#f4f1ea"

    def __post_init__(self) -> None:
        """Checks the values."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
                raise UserError(f"{item.name}: expected a colour like #d1495b, got {value!r}; give six hexadecimal digits")


STYLES: dict[str, tuple[str, ...]] = {
    "hairstyle": ("short", "bun", "long", "tail", "hat", "band"),
    "sleeves": ("long", "wide", "short", "none"),
    "legs": ("long", "wide", "shorts"),
    "pattern": tuple(p for p in get_args(taichi.Pattern) if p != "fade"),
}


@dataclass(frozen=True)
class Character:
    """A character of tai-chi: a name, a body, colours, clothes and a place.

    Attributes:
        name: what films call it; at most 24 characters, none of them a control character.
        proportions: sizes.
        colours: of clothes, skin and hair.
        hairstyle: ``short``, ``bun``, ``long``, ``tail``, ``hat`` or ``band``.
        sleeves: ``long``, ``wide``, ``short`` or ``none``.
        legs: ``long``, ``wide`` or ``shorts``.
        pattern: of the jacket: ``plain``, ``stripes``, ``checks`` or ``dots``.
        background: number of the place, from 0.
    """

    name: str = "Momo"
    proportions: Proportions = field(default_factory=Proportions)
    colours: Colours = field(default_factory=Colours)
    hairstyle: str = "band"
    sleeves: str = "long"
    legs: str = "wide"
    pattern: str = "stripes"
    background: int = 3

    def __post_init__(self) -> None:
        """Checks the values."""
        if (
            not isinstance(self.name, str)
            or not self.name.strip()
            or len(self.name) > LONGEST_NAME
            or not self.name.isprintable()
        ):
            raise UserError(f"name: expected 1 to {LONGEST_NAME} characters in one line, got {self.name!r}; shorten it")
        for key, allowed in STYLES.items():
            if getattr(self, key) not in allowed:
                raise UserError(
                    f"{key}: expected one of {', '.join(allowed)}, got {getattr(self, key)!r}; choose one of them"
                )
        if not isinstance(self.background, int) or isinstance(self.background, bool) or not 0 <= self.background < 10**6:
            raise UserError(f"background: expected a whole number from 0 to 999999, got {self.background!r}; choose one")

    # ------------------------------------------------------------------------------------------------------- JSON

    def to_json(self) -> dict[str, Any]:
        """The character as plain data."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Character:
        """Reads what :meth:`to_json` gave.

        Raises:
            UserError: a value is missing, unknown or out of its range.
        """
        wanted = {item.name for item in fields(Character)}
        if not isinstance(data, Mapping) or set(data) != wanted:
            came = ", ".join(sorted(map(str, data))) if isinstance(data, Mapping) else type(data).__name__
            raise UserError(f"character: expected {', '.join(sorted(wanted))}, got {came}; design it again in lesson 00")
        try:
            proportions, colours = Proportions(**data["proportions"]), Colours(**data["colours"])
        except TypeError as error:
            raise UserError(f"character: expected its proportions and colours, got {error}; design it again") from error
        return Character(**{**data, "proportions": proportions, "colours": colours})

    # ------------------------------------------------------------------------------------------------------- pictures

    @property
    def look(self) -> taichi.Look:
        """What the renderer draws."""
        p, c = self.proportions, self.colours
        return taichi.Look(
            thigh=0.34 * p.height,
            shin=0.34 * p.height,
            trunk=0.47 * p.height,
            upper_arm=0.27 * p.height * p.arms,
            forearm=0.25 * p.height * p.arms,
            shoulder=0.185 * p.build,
            hip=0.095 * p.build,
            head=0.18 * p.head,
            arm=0.078 * p.build,
            leg=0.1 * p.build,
            jacket=_rgb(c.jacket),
            sleeve=_rgb(c.sleeve),
            trousers=_rgb(c.trousers),
            accent=_rgb(c.accent),
            skin=_rgb(c.skin),
            hair=_rgb(c.hair),
            shoe=_rgb(c.shoe),
            pattern=next(p for p in get_args(taichi.Pattern) if p == self.pattern),
            trouser_pattern="plain",
            angle=0.0,
            sleeves=self.sleeves,
            legs=self.legs,
            hairstyle=self.hairstyle,
            collar="v",
        )

    def clip(self, motion: int = MOTION, length: int = LENGTH, size: int = 64) -> Clip:
        """A film of the character, with the truth about joints, masks and flow.

        Args:
            motion: number of the movement, as in mini-taichi.
            length: number of frames.
            size: side of the frames in pixels.
        """
        # Odd numbers are those of test characters and places: training never shows them.
        number = 2 * self.background + 1
        scene = taichi.scene_of(self.look, motion, identity=number, place=number, size=size, length=length)
        drawn = render(scene)
        name = _FILE_SAFE.sub("-", self.name.lower()).strip("-") or "character"
        return Clip(name, drawn.frames, drawn.fps, drawn.truth)

    def still(self, size: int = 64) -> Frame:
        """One picture (size, size, 3) of the character in its neutral stance."""
        picture: Frame = self.clip(length=1, size=size).frames[0]
        return picture

    def describe(self) -> str:
        """The character in words, for alt texts."""
        p = self.proportions
        build = "slender" if p.build < 0.95 else "stout" if p.build > 1.08 else "of middling build"
        height = "small" if p.height < 0.95 else "tall" if p.height > 1.01 else "of middling height"
        worn = {"hat": "a straw hat", "band": "a headband", "bun": "a bun", "tail": "a ponytail"}
        hair = worn.get(self.hairstyle, f"{self.hairstyle} hair")
        pattern = "" if self.pattern == "plain" else f" with {self.pattern}"
        return (
            f"{self.name}, {height} and {build}, with {hair}, jacket {self.colours.jacket}{pattern}, "
            f"trousers {self.colours.trousers}"
        )

    def picture(self, size: int = 128) -> Picture:
        """The character as a figure with alt text."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2.4, 2.6), layout="constrained")
        axis = figure.add_subplot()
        axis.imshow(self.still(size))
        axis.set_title(self.name, fontsize=11, parse_math=False)
        axis.set_axis_off()
        return Picture(figure, f"Drawn character: {self.describe()}.")


def _rgb(code: str) -> RGB:
    r, g, b = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return r, g, b


# --------------------------------------------------------------------------------------------------------- the designer


def saved(progress: Progress) -> Character:
    """The learner's character, or the default one where none was designed or what was kept is not valid."""
    data = progress.character()
    if data is None:
        return Character()
    try:
        return Character.from_json(data)
    except UserError:
        return Character()


def changed(character: Character, key: str, value: Any) -> Character:
    """The character with one thing changed: a field, a proportion or a colour by its name.

    Raises:
        UserError: nothing has that name, or the value is out of its range.
    """
    if key in PROPORTIONS:
        return replace(character, proportions=replace(character.proportions, **{key: value}))
    if key in {item.name for item in fields(Colours)}:
        return replace(character, colours=replace(character.colours, **{key: value}))
    if key not in {item.name for item in fields(Character)}:
        raise UserError(f"character: expected the name of something to change, got {key!r}; try height, jacket or name")
    return replace(character, **{key: value})


def design_state(character: Character, size: int = 192) -> tuple[Frame, str]:
    """What the designer shows: the character standing and in mid-movement, side by side, and alt text.

    Args:
        character: to draw.
        size: side of each of the two pictures in pixels.

    Returns:
        Picture (size, 2·size, 3) and what it shows in words.
    """
    drawn = render(
        taichi.scene_of(
            character.look,
            MOTION,
            identity=2 * character.background + 1,
            place=2 * character.background + 1,
            size=size,
            length=LENGTH,
        ),
        [0, 16],
    )
    alt = f"{character.describe()}: standing on the left, in mid-movement on the right."
    return np.concatenate(list(drawn.frames), axis=1), alt


def designer(progress: Progress, character: Character | None = None) -> Panel:
    """The sprite designer: sliders, colours, name, place; the button keeps the character.

    Args:
        progress: where the character is kept.
        character: to begin with; default the one kept.
    """
    start = character or saved(progress)
    kept = 0

    def draw(values: Values) -> Still:
        nonlocal kept
        chosen = start
        for key, value in values.items():
            if key != KEEP:
                chosen = changed(chosen, key, value)
        said = ""
        if values[KEEP] > kept:
            kept = values[KEEP]
            progress.set_character(chosen.to_json())
            said = f"{chosen.name} is kept and appears in the films of all lessons."
        frame, alt = design_state(chosen)
        return replace(Still.of((frame, alt)), said=said)

    hint = "Everything here can be changed, and changed again later. Nothing is kept before you press the button."
    return panel(draw, _controls(start), "Design your character", hint)


def _controls(start: Character) -> list[Control]:
    """One control for each thing that can be changed, and the button."""
    controls: list[Control] = [Text("name", "name", start.name)]
    for key, (low, high) in PROPORTIONS.items():
        controls.append(Range(key, key, low, high, 0.01, getattr(start.proportions, key)))
    controls += [Choice(key, key, allowed, getattr(start, key)) for key, allowed in STYLES.items()]
    controls.append(Range("background", "place", 0, 40, 1, min(start.background, 40)))
    controls += [Colour(item.name, item.name, getattr(start.colours, item.name)) for item in fields(Colours)]
    return [*controls, Button(KEEP, "Keep this character")]
