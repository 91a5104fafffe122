"""The architecture map of Monkey-Net: what runs after what, and which pieces the learner has built herself.

Drawn as SVG, the same bytes for the same state. A piece that is hers has a tick, the word "yours", a colour and a bold
border, so that nothing is told by colour alone; the description in the drawing says the same in words.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from monkeynet_edu.course.exercise import Exercise
from monkeynet_edu.errors import unknown_name

Standing = Literal["yours", "in part", "library", "given", "later"]

WIDTH, HEIGHT = 1000, 690
LAST_WRITTEN = "12"


@dataclass(frozen=True)
class Box:
    """A box of the map: a stage of Monkey-Net or, inside one, a piece of it.

    Attributes:
        id: what :attr:`Exercise.box` names.
        label: written in the box.
        lesson: in which it is built.
        x: left edge.
        y: upper edge.
        w: width.
        h: height.
        stage: id of the box around it; empty for a stage.
    """

    id: str
    label: str
    lesson: str
    x: int
    y: int
    w: int
    h: int
    stage: str = ""


def _stack(stage: Box, pieces: Sequence[tuple[str, str]], columns: int = 1) -> list[Box]:
    """A stage and its pieces, laid out below its title in rows of `columns`."""
    gap, top = 14, 40
    w = (stage.w - gap * (columns + 1)) // columns
    rows = -(-len(pieces) // columns)
    h = (stage.h - top - gap * rows) // rows
    boxes = [stage]
    for number, (name, label) in enumerate(pieces):
        row, column = divmod(number, columns)
        x, y = stage.x + gap + column * (w + gap), stage.y + top + row * (h + gap)
        boxes.append(Box(name, label, stage.lesson, x, y, w, h, stage.id))
    return boxes


def _all_boxes() -> dict[str, Box]:
    boxes = [
        *_stack(
            Box("detector", "Keypoints Δ", "03", 150, 100, 195, 250),
            [("heatmap", "heatmap"), ("mean", "mean"), ("covariance", "covariance"), ("gaussian", "Gaussian")],
        ),
        *_stack(
            Box("motion", "Motion M", "04", 395, 100, 185, 250),
            [("shifts", "shifted copies"), ("masks", "masks × shifts"), ("flow", "whole flow")],
        ),
        *_stack(
            Box("generator", "Generator G", "05", 630, 100, 185, 250),
            [("skips", "deformed skips"), ("assemble", "assemble")],
        ),
        *_stack(Box("start", "Flip", "00", 15, 405, 125, 150), [("flip", "flip")]),
        *_stack(
            Box("geometry", "Coordinates, warping", "01", 155, 405, 235, 150),
            [("lattice", "lattice"), ("to-pixels", "to pixels"), ("warp", "warp"), ("compose", "compose")],
            columns=2,
        ),
        *_stack(Box("networks", "U-Net, pairs", "02", 405, 405, 175, 150), [("unet", "U-Net"), ("pairs", "pairs")]),
        *_stack(
            Box("learning", "Losses and one step", "06", 630, 405, 355, 150),
            [("discriminator", "discriminator D"), ("losses", "losses"), ("step", "training step"), ("gan", "first GAN")],
            columns=2,
        ),
        *(
            Box(name, label, lesson, 8 + 166 * number, 605, 159, 60)
            for number, (name, label, lesson) in enumerate(
                [
                    ("training", "Training", "07"),
                    ("animation", "Animation", "08"),
                    ("prediction", "Image to video", "09"),
                    ("metrics", "Metrics", "10"),
                    ("experiments", "Experiments", "11"),
                    ("rivals", "Rivals", "12"),
                ]
            )
        ),
    ]
    return {box.id: box for box in boxes}


BOXES: dict[str, Box] = _all_boxes()

_PICTURES = (("source", "source picture", 15, 135), ("driving", "driving frame", 15, 255), ("film", "film", 870, 195))
# Points of each arrow; the last one has the head.
_ARROWS = (
    ((115, 160), (150, 160)),
    ((115, 280), (150, 280)),
    ((65, 135), (65, 72), (722, 72), (722, 100)),
    ((345, 225), (395, 225)),
    ((580, 225), (630, 225)),
    ((815, 220), (870, 220)),
    ((920, 245), (920, 405)),
)
_ARROW_WORDS = (
    (390, 64, "colours and features of the source"),
    (370, 372, "keypoints"),
    (605, 372, "where to read"),
    (868, 376, "is it real?"),
)
# fill, border, width of the border
_PAINT: dict[Standing, tuple[str, str, float]] = {
    "yours": ("#d5efe3", "#00694a", 3),
    "in part": ("#fff4d6", "#8a6100", 2),
    "library": ("#ffffff", "#777777", 1),
    "given": ("#ffffff", "#777777", 1),
    "later": ("#eeeeee", "#bbbbbb", 1),
}


@dataclass(frozen=True)
class Map:
    """The drawing and its description.

    Attributes:
        svg: the picture, an `img` for screen readers, with title and description inside.
        description: what is built and what is not, in words.
        standing: of each box.
    """

    svg: str
    description: str
    standing: dict[str, Standing]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        data = {"yours": [name for name, standing in self.standing.items() if standing == "yours"]}
        shown = f'<div style="max-width:{WIDTH}px">{self.svg}</div>'
        return {"text/html": shown, "text/plain": self.description, "application/vnd.monkeynet.map+json": data}

    def __str__(self) -> str:
        return self.description


def draw_map(passed: Collection[str], exercises: Sequence[Exercise], lesson: str | None = None, caption: str = "") -> Map:
    """Draws the map.

    Args:
        passed: ids of the exercises with a right answer.
        exercises: all exercises of the course, in order.
        lesson: number of the lesson whose boxes are outlined, or None.
        caption: where in the lesson it stands ("at the beginning"): two maps of one page have titles apart.

    Raises:
        UserError: an exercise names a box that does not exist.
    """
    counts = _counts(passed, exercises)
    standing = {name: _standing(box, *counts[name]) for name, box in BOXES.items()}
    description = _describe(standing, lesson)
    title = " ".join(filter(None, ["Map of Monkey-Net", caption]))
    done = sum(exercise.id in passed for exercise in exercises)
    marks = [
        _head(title, f"{done} of {len(exercises)} exercises passed"),
        *(_picture(*picture) for picture in _PICTURES),
        *(_arrow(points) for points in _ARROWS),
        *(_text(x, y, words, 12, style="italic") for x, y, words in _ARROW_WORDS),
        *(_box(box, standing[name], counts[name], lesson) for name, box in BOXES.items()),
    ]
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" '
        f'aria-label="{html.escape(f"{title}. {description}")}" font-family="Verdana, DejaVu Sans, sans-serif">'
        f"<title>{html.escape(title)}</title><desc>{html.escape(description)}</desc>{''.join(marks)}</svg>"
    )
    return Map(svg, f"{title}. {description}", standing)


# ------------------------------------------------------------------------------------------------------------ standing


def _counts(passed: Collection[str], exercises: Sequence[Exercise]) -> dict[str, tuple[int, int]]:
    """Passed and all exercises of each box; a stage counts those of its pieces too."""
    counts = dict.fromkeys(BOXES, (0, 0))
    for exercise in exercises:
        if exercise.box not in BOXES:
            raise unknown_name("box of the map", exercise.box, BOXES)
        for name in filter(None, (exercise.box, BOXES[exercise.box].stage)):
            done, of = counts[name]
            counts[name] = (done + (exercise.id in passed), of + 1)
    return counts


def _standing(box: Box, done: int, of: int) -> Standing:
    if box.lesson > LAST_WRITTEN:
        return "later"
    if not of:
        return "given"
    return "yours" if done == of else "in part" if done else "library"


def _describe(standing: dict[str, Standing], lesson: str | None) -> str:
    def names(which: Standing) -> str:
        found = [BOXES[name].label for name, state in standing.items() if state == which and not _around(name)]
        return ", ".join(found) or "nothing yet"

    now = [box.label for box in BOXES.values() if box.lesson == lesson and not box.stage]
    said = [
        f"Yours: {names('yours')}.",
        *([f"In part: {names('in part')}."] if "in part" in standing.values() else []),
        f"Still the library's: {names('library')}.",
        *([f"This lesson: {', '.join(now)}."] if now else []),
        "Source picture and driving frame go into the keypoint detector, its keypoints into the motion network, whose "
        "flow tells the generator where to read in the source; out comes the film. The losses and the discriminator "
        "judge it.",
        *([f"Later lessons: {names('later')}."] if "later" in standing.values() else []),
    ]
    return " ".join(said)


def _around(name: str) -> bool:
    """Whether other boxes stand inside this one."""
    return any(box.stage == name for box in BOXES.values())


# ------------------------------------------------------------------------------------------------------------ drawing


def _text(
    x: float, y: float, words: str, size: int, *, weight: str = "normal", style: str = "normal", ink: str = "#222"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" font-style="{style}" fill="{ink}" '
        f'text-anchor="middle">{html.escape(words)}</text>'
    )


def _rect(box: tuple[float, float, float, float], fill: str, edge: str, width: float, more: str = "") -> str:
    x, y, w, h = box
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="8" fill="{fill}" stroke="{edge}" '
        f'stroke-width="{width:g}"{more}/>'
    )


def _head(title: str, count: str) -> str:
    arrow = (
        '<defs><marker id="mk-head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="#333"/></marker></defs>'
    )
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    return arrow + paper + _text(WIDTH / 2, 32, f"{title}: {count}", 18, weight="bold")


def _picture(_: str, label: str, x: int, y: int) -> str:
    first, _sep, second = label.partition(" ")
    words = _text(x + 50, y + (22 if second else 30), first, 13) + (_text(x + 50, y + 39, second, 13) if second else "")
    return _rect((x, y, 100, 50), "#eaf2fb", "#333333", 1) + words


def _arrow(points: Sequence[tuple[int, int]]) -> str:
    line = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{line}" fill="none" stroke="#333" stroke-width="2" marker-end="url(#mk-head)"/>'


def _words(standing: Standing, counts: tuple[int, int]) -> str:
    done, of = counts
    return {"yours": "yours", "in part": f"{done} of {of} yours", "library": "library's", "given": "", "later": "later"}[
        standing
    ]


def _box(box: Box, standing: Standing, counts: tuple[int, int], lesson: str | None) -> str:
    fill, edge, width = _PAINT[standing]
    ink = "#666" if standing == "later" else "#222"
    tick = "✓ " if standing == "yours" else ""
    middle = box.x + box.w / 2
    area = (box.x, box.y, box.w, box.h)
    words = _words(standing, counts)
    if not _around(box.id):
        weight = "bold" if standing == "yours" else "normal"
        label = box.label if box.stage else f"{box.lesson} {box.label}"
        y = box.y + box.h / 2
        marks = _rect(area, fill, edge, width)
        marks += _text(middle, y - 2 if words else y + 5, tick + label, 13, weight=weight, ink=ink)
        marks += _text(middle, y + 13, words, 11, ink=ink) if words else ""
        return marks + ("" if box.stage else _now(box, lesson))
    shade = "#f3faf7" if standing == "yours" else "#f8f8f8"
    title = _text(middle, box.y + 26, f"{tick}{box.lesson} {box.label}", 14, weight="bold")
    return _rect(area, shade, edge, width) + title + _now(box, lesson)


def _now(box: Box, lesson: str | None) -> str:
    """The outline and label of the current lesson's boxes."""
    if box.lesson != lesson:
        return ""
    around = (box.x - 6, box.y - 6, box.w + 12, box.h + 12)
    tab = _rect((box.x + box.w / 2 - 48, box.y - 19, 96, 22), "#0b5394", "#0b5394", 1)
    label = _text(box.x + box.w / 2, box.y - 4, "this lesson", 12, weight="bold", ink="#fff")
    return _rect(around, "none", "#0b5394", 3, ' stroke-dasharray="8 5"') + tab + label
