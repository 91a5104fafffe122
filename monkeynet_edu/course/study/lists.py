"""Lists of pairs: the authors' published ones, which name films, and our own, which name clips.

The authors' lists (``sup-mat/user-study/*.csv`` of their repository) have the columns ``first,second`` and then
``apperance,video`` (so spelled; image animation) or ``appearance`` (image to video). A film's method stands before the
first hyphen of its file's name: ``x2face-taichi/mtm-00003377.jpg-00004073.jpg.gif`` is by ``mtm``, the paper's own model.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from monkeynet_edu.course.study.votes import CHECKS
from monkeynet_edu.data.datasets import Pair, clip_names, seeded_pairs
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.errors import UserError
from monkeynet_edu.files import read_text

Row = TypeVar("Row")

APPEARANCE = ("appearance", "apperance")
OURS, RIVAL = "monkey-net", "x2face"
PUBLISHED_NAMES = {"mtm": OURS, "wei": "cmm-net"}
"""What the authors' files call the methods, and what they are called here."""


@dataclass(frozen=True)
class FilmPair:
    """A row of a list of films.

    Attributes:
        first: file of one film.
        second: file of the other.
        first_method: what made the first.
        second_method: what made the second.
        appearance: file of the source.
        video: file of the driving film; None where the task has none (image to video).
    """

    first: str
    second: str
    first_method: str
    second_method: str
    appearance: str
    video: str | None


def method_of(name: str) -> str:
    """The method that a film's file names: what stands before the first hyphen.

    Raises:
        UserError: no hyphen, nothing before it, or a name that is kept for attention checks.
    """
    prefix, hyphen, _ = PurePosixPath(name).name.partition("-")
    if not (prefix and hyphen):
        raise UserError(f"expected a file METHOD-….gif, got {name!r}; put the method and a hyphen before its name")
    if prefix in CHECKS:
        raise UserError(f"{prefix!r} names films of attention checks, got it as a method in {name!r}; choose another name")
    return PUBLISHED_NAMES.get(prefix, prefix)


def is_film_list(path: Path) -> bool:
    """Whether a list names films (``first,second``) and not clips (``source,driving``)."""
    head = read_text(path, "a list of pairs (CSV)").partition("\n")[0]
    return {"first", "second"} <= {name.strip() for name in head.split(",")}


def read_film_list(path: Path) -> list[FilmPair]:
    """Reads a published list, or another one of its form.

    Raises:
        UserError: naming the line: columns missing, an empty cell, a film that does not say its method, twice the same
            method; or no pairs.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, "a list of pairs of films (CSV)")), strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        appearance = next((name for name in APPEARANCE if name in columns), None)
        if not {"first", "second"} <= set(columns) or appearance is None:
            raise UserError(
                f"{path}, line 1: expected the columns first,second,appearance and, of animations, video, got "
                f"{','.join(columns)[:80]!r}; correct the header"
            )
        reader.fieldnames = columns
        rows = [_film_pair(row, appearance, "video" in columns, f"{path}, line {reader.line_num}") for row in reader]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: expected a row of a CSV file, got {error}; correct it") from error
    if not rows:
        raise UserError(f"{path}: expected at least one pair below the header, got none; add one")
    return rows


def _film_pair(row: dict[str, str | None], appearance: str, has_video: bool, where: str) -> FilmPair:
    names = ["first", "second", appearance, *(["video"] if has_video else [])]
    cells = {name: (row.get(name) or "").strip() for name in names}
    if empty := [name for name, cell in cells.items() if not cell]:
        raise UserError(f"{where}, column {empty[0]}: expected the name of a file, got none; fill it in")
    try:
        methods = method_of(cells["first"]), method_of(cells["second"])
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    if methods[0] == methods[1]:
        raise UserError(f"{where}: expected films of two methods, got twice {methods[0]}; correct a name")
    return FilmPair(cells["first"], cells["second"], *methods, cells[appearance], cells.get("video"))


# ------------------------------------------------------------------------------------------------------------ our lists


def _first_pose(clip: Clip) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Joints (J, 2) of the first frame as they truly are, around their mean: where somebody stands is no pose."""
    if clip.truth is None:
        raise UserError(f"{clip.name}: expected a clip with its truth, got none; draw pairs with seeded_pairs instead")
    joints = clip.truth.joints[0]
    return np.asarray(joints - joints.mean(axis=0), np.float32)


def similar_pairs(clips: Sequence[Clip], count: int, seed: int = 0) -> list[Pair]:
    """Draws pairs "of videos where objects in the first frame have a similar pose", as the paper's study (section 4.2).

    All ordered pairs stand in the order of :func:`monkeynet_edu.data.datasets.seeded_pairs`; of these the first ``count``
    are taken whose joints in the first frames lie no farther apart than in half of all pairs. Truth decides, no method.

    Raises:
        UserError: clips without truth, or fewer such pairs than asked for.
    """
    poses = [_first_pose(clip) for clip in clips]
    everything = seeded_pairs(clips, len(clips) * (len(clips) - 1), seed)
    apart = [float(np.linalg.norm(poses[pair.source] - poses[pair.driving], axis=-1).mean()) for pair in everything]
    middle = float(np.median(apart))
    near = [pair for pair, distance in zip(everything, apart, strict=True) if distance <= middle]
    if not 1 <= count <= len(near):
        raise UserError(f"pairs: expected between 1 and {len(near)} pairs of similar pose, got {count}; ask for fewer")
    return near[:count]


def pair_list(clips: Sequence[Clip], pairs: Sequence[Pair]) -> str:
    """Pairs as CSV with the columns ``source,driving``, which :func:`monkeynet_edu.data.datasets.read_pairs` reads."""
    names = clip_names(clips)
    return "source,driving\n" + "".join(f"{names[pair.source]},{names[pair.driving]}\n" for pair in pairs)


def choose(pairs: Sequence[Row], count: int | None, seed: int) -> list[Row]:
    """Some of the pairs of a list, drawn by a seed, in the list's order; all where ``count`` is None.

    Raises:
        UserError: more than there are, or fewer than one.
    """
    if count is None:
        return list(pairs)
    if not 1 <= count <= len(pairs):
        raise UserError(f"pairs: expected between 1 and {len(pairs)}, as the list has, got {count}; ask for fewer")
    return [pairs[index] for index in sorted(random.Random(f"study/{seed}").sample(range(len(pairs)), count))]
