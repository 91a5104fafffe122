"""A study's folder: ``study.json``, ``films/`` and ``votes/``.

``study.json`` names the films of every pair and what made them; any film that the library reads can be put in. Names of
film files say nothing of the method. The fingerprint of ``study.json``, which holds the films' digests, stands in every
vote.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from monkeynet_edu.course.study.lists import FilmPair
from monkeynet_edu.course.study.votes import CHECKS, FOLDER, FROZEN, LONGEST, REFERENCE, REVERSED
from monkeynet_edu.data.datasets import Pair
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.data.video import Frames, read_video, to_frames, to_tensor, write_video
from monkeynet_edu.errors import UserError
from monkeynet_edu.files import digest_of, kind_of, read_json
from monkeynet_edu.model import from_plain

Method = Callable[[Tensor, Tensor], Tensor]
"""What animates: source (3, H, W) and driving clip (T, 3, H, W), both in [0, 1] → film (T, 3, H, W)."""

FILE, FILMS = "study.json", "films"
FORMAT = 1
QUESTION = "Which film corresponds better to the animation in the reference?"
FPS = 15.0
_SHARE_OF_CHECKS = 10  # one check for so many pairs


@dataclass(frozen=True)
class Film:
    """One film of a study.

    Attributes:
        method: what made it; in an attention check one of :data:`~monkeynet_edu.course.study.votes.CHECKS`.
        file: below the study's folder.
        sha256: of the file.
    """

    method: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Trial:
    """Two films to choose from, and the driving film.

    Attributes:
        id: name in the study.
        source: what was animated, in words; never shown.
        driving: what drove it, in words; never shown.
        reference: the driving film.
        first: one of the two to choose from; which stands on the left is decided for each rater.
        second: the other one.
    """

    id: str
    source: str
    driving: str
    reference: Film
    first: Film
    second: Film

    @property
    def films(self) -> tuple[Film, Film]:
        """The two to choose from."""
        return self.first, self.second

    @property
    def methods(self) -> tuple[str, str]:
        """What made the two films, in alphabetical order."""
        first, second = sorted(film.method for film in self.films)
        return first, second

    @property
    def is_check(self) -> bool:
        """Whether one of the two films is plainly wrong."""
        return REFERENCE in self.methods


@dataclass(frozen=True)
class About:
    """What ``study.json`` holds besides its trials.

    Attributes:
        format: of the file.
        title: for reports; raters never see it.
        data: the data set of the clips.
        question: that raters are asked.
        seed: text from which sides and order are drawn.
        fps: frames per second at which all films are shown.
    """

    format: int
    title: str
    data: str
    question: str
    seed: str
    fps: float

    def __post_init__(self) -> None:
        """Checks what is not a matter of types."""
        if self.format != FORMAT:
            raise UserError(f"format: expected {FORMAT}, got {self.format}; update monkeynet-edu")
        if not 0.1 <= self.fps <= 200:
            raise UserError(f"fps: expected 0.1 to 200 frames per second, got {self.fps}; correct it")


def _says(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def _check_trials(about: About, trials: Sequence[Trial]) -> None:
    if not trials:
        raise UserError("trials: expected at least one, got none; make the study again")
    if len({trial.id for trial in trials}) != len(trials):
        raise UserError("trials: expected a different id for each, got one twice; make the study again")
    for trial in trials:
        texts = (about.data, trial.id, *trial.methods)
        if bad := [text for text in texts if not (0 < len(text) <= LONGEST and text.isprintable())]:
            raise UserError(f"trial {trial.id[:20]!r}: expected short names, got {bad[0][:40]!r}; correct it")
        if trial.methods[0] == trial.methods[1]:
            raise UserError(f"trial {trial.id!r}: expected two methods, got twice {trial.methods[0]!r}; correct it")
        named = [name for name in trial.methods if name not in CHECKS and _says(about.question, name)]
        if named:
            raise UserError(f"question: expected no method in it, got {named[0]!r}; raters must not know it")
        for film in (trial.reference, *trial.films):
            inside = Path(film.file)
            if inside.is_absolute() or ".." in inside.parts:
                raise UserError(f"trial {trial.id!r}: expected a film below the folder, got {film.file!r}; correct it")


@dataclass(frozen=True)
class Study:
    """A study that lies in a folder.

    Attributes:
        folder: where.
        about: what its file says.
        trials: pairs and attention checks.
        fingerprint: of the file, 16 digits.
    """

    folder: Path
    about: About
    trials: tuple[Trial, ...]
    fingerprint: str

    @property
    def votes(self) -> Path:
        """Folder of the votes, a file for each rater."""
        return self.folder / FOLDER

    def frames(self, film: Film) -> Frames:
        """Reads a film: uint8 (T, H, W, 3).

        Raises:
            UserError: it is missing, damaged or another one than ``study.json`` names.
        """
        path = self.folder / film.file
        if kind_of(path) != "file" or digest_of(path) != film.sha256:
            raise UserError(f"{path}: expected the film that {FILE} names, got none or another; make the study again")
        return read_video(path).frames


def open_study(folder: Path) -> Study:
    """Opens a study.

    Raises:
        UserError: no study there, a damaged ``study.json``, or a film that it names is missing.
    """
    path = Path(folder) / FILE
    if kind_of(path) == "nothing":
        raise UserError(f"{path}: expected a study, got nothing there; make one with `monkeynet-edu study make {folder}`")
    plain = read_json(path, "a study's description")
    try:
        if not isinstance(plain, dict) or not isinstance(plain.get("trials"), list):
            raise UserError(f"expected an object with a list of trials, got {str(plain)[:60]!r}; make the study again")
        about = from_plain(About, {name: value for name, value in plain.items() if name != "trials"}, "study")
        rows = enumerate(plain["trials"], start=1)
        trials = tuple(from_plain(Trial, row, f"trial number {number}") for number, row in rows)
        _check_trials(about, trials)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    for film in (film for trial in trials for film in (trial.reference, *trial.films)):
        if kind_of(path.parent / film.file) != "file":
            raise UserError(f"{path}: expected the film {film.file!r} beside it, got none; make the study again")
    return Study(path.parent, about, trials, fingerprint(plain))


def fingerprint(plain: Any) -> str:
    """Of a description as JSON: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


# ---------------------------------------------------------------------------------------------------------------- make


class _Filler:
    """Writes films into a new study's folder under names that say nothing."""

    def __init__(self, folder: Path, seed: int, fps: float) -> None:
        self.folder, self.fps = folder, fps
        self.names = random.Random(f"films/{seed}")
        self.trials: list[Trial] = []

    def name(self, ending: str) -> str:
        return f"{FILMS}/{self.names.getrandbits(48):012x}{ending}"

    def write(self, method: str, frames: Frames) -> Film:
        """Losslessly where frames are square: the quality of a file format is not what is asked for."""
        square = frames.shape[1] == frames.shape[2] and len(frames) * frames.shape[2] < 60_000
        file = self.name(".png" if square else ".mp4")
        path = write_video(self.folder / file, frames, self.fps)
        return Film(method, file, digest_of(path))

    def copy(self, method: str, path: Path) -> Film:
        read_video(path)  # a film that cannot be read is complained of now and not in front of a rater
        file = self.name(path.suffix.lower())
        (self.folder / FILMS).mkdir(exist_ok=True)
        shutil.copyfile(path, self.folder / file)
        return Film(method, file, digest_of(self.folder / file))

    def add(self, source: str, driving: str, reference: Film, films: tuple[Film, Film]) -> None:
        self.trials.append(Trial(f"p{len(self.trials) + 1:03d}", source, driving, reference, *films))

    def add_checks(self, clips: Sequence[tuple[str, Frames, Film]]) -> None:
        """Attention checks: the driving film itself against a plainly wrong one."""
        for name, frames, reference in clips:
            method, wrong = wrong_film(frames)
            self.add(name, name, reference, (self.write(REFERENCE, frames), self.write(method, wrong)))

    def finish(self, title: str, data: str, seed: int) -> Study:
        about = asdict(About(FORMAT, title, data, QUESTION, str(seed), self.fps))
        plain = about | {"trials": [asdict(trial) for trial in self.trials]}
        (self.folder / FILE).write_text(json.dumps(plain, indent=1) + "\n", "utf-8")
        return open_study(self.folder)


def wrong_film(frames: Frames) -> tuple[str, Frames]:
    """A film (T, H, W, 3) made plainly wrong: frozen at its first frame, or backwards, whichever differs more from it.

    Raises:
        UserError: a film in which nothing moves has no wrong version.
    """
    frozen, backwards = np.repeat(frames[:1], len(frames), axis=0), frames[::-1]

    def apart(other: Frames) -> float:
        return float(np.abs(frames.astype(np.int16) - other).mean())

    if apart(frozen) == 0:
        raise UserError("attention check: expected a film in which something moves, got a still one; choose another pair")
    return (FROZEN, frozen) if apart(frozen) >= apart(backwards) else (REVERSED, np.ascontiguousarray(backwards))


def _new_folder(folder: Path) -> None:
    if kind_of(folder) not in ("folder", "nothing") or (folder.is_dir() and any(folder.iterdir())):
        raise UserError(f"{folder}: expected a new or empty folder for the study, got one in use; choose another")


def _built(folder: Path, fill: Callable[[Path], Study]) -> Study:
    """Builds beside the place, then renames: a study appears whole or not at all."""
    folder = Path(folder)
    _new_folder(folder)
    scratch = folder.with_name(f".partial-{folder.name}-{os.getpid()}")
    try:
        scratch.mkdir(parents=True)
        fill(scratch)
        if folder.exists():
            folder.rmdir()
        scratch.replace(folder)
    except OSError as error:
        raise UserError(f"{folder}: expected a folder to write in, got {error.strerror}; choose another") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return open_study(folder)


def checks_for(pairs: int, checks: int | None) -> int:
    """How many attention checks go with so many pairs: one for ten, at least one, where nothing is said.

    Raises:
        UserError: more than there are pairs to make them from, or fewer than none.
    """
    count = max(1, round(pairs / _SHARE_OF_CHECKS)) if checks is None else checks
    if not 0 <= count <= pairs:
        raise UserError(f"checks: expected 0 to {pairs}, as many as pairs, got {checks}; ask for fewer")
    return count


def build_study(
    clips: Sequence[Clip],
    pairs: Sequence[Pair],
    methods: Mapping[str, Method],
    folder: Path,
    *,
    data: str,
    seed: int = 0,
    checks: int | None = None,
    step: int = 1,
    fps: float = FPS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Study:
    """Makes a study: every pair is animated by every method, and every two methods meet on every pair.

    Args:
        clips: that the pairs index; the source is the first frame of one.
        pairs: source and driving clip.
        methods: what animates, by name; two or more.
        folder: new or empty.
        data: name of the data set, for votes and tables.
        seed: of file names, sides and order.
        checks: how many attention checks; None for one in ten pairs.
        step: every how many-th frame of the driving clip is taken.
        fps: at which the films are shown.
        progress: is told how many pairs are done.

    Raises:
        UserError: fewer than two methods, a name that says what nobody may know, a film of another shape than the driving
            one, or no place to write.
    """
    _check_methods(methods)
    count = checks_for(len(pairs), checks)

    def fill(place: Path) -> Study:
        filler, moving = _Filler(place, seed, fps), []
        for done, pair in enumerate(pairs):
            source, driving = clips[pair.source], clips[pair.driving]
            frames = driving.frames[::step]
            made = make_films(methods, source.frames[0], frames)
            reference = filler.write(REFERENCE, frames)
            films = {name: filler.write(name, film) for name, film in made.items()}
            for first, second in itertools.combinations(methods, 2):
                filler.add(source.name, driving.name, reference, (films[first], films[second]))
            moving.append((driving.name, frames, reference))
            progress(done + 1, len(pairs))
        chosen = random.Random(f"checks/{seed}").sample(range(len(moving)), count)
        filler.add_checks([moving[index] for index in chosen])
        return filler.finish(" against ".join(methods), data, seed)

    return _built(folder, fill)


def _check_methods(methods: Mapping[str, Method]) -> None:
    if len(methods) < 2:
        raise UserError(f"methods: expected two or more, got {len(methods)}; name another one to compare with")
    for name in methods:
        if name in CHECKS or not name.isprintable() or not name.strip():
            raise UserError(f"method {name!r}: expected a name other than {', '.join(CHECKS)}; rename it")


def make_films(methods: Mapping[str, Method], source: Frames, driving: Frames) -> dict[str, Frames]:
    """Animates a picture by every method.

    Args:
        methods: by name.
        source: uint8 (H, W, 3).
        driving: uint8 (T, H, W, 3).

    Returns:
        Films uint8 (T, H, W, 3) by method.

    Raises:
        UserError: a film of another shape.
    """
    image, clip = to_tensor(source[None])[0], to_tensor(driving)
    made = {name: to_frames(method(image, clip)) for name, method in methods.items()}
    for name, film in made.items():
        if film.shape != (len(driving), *source.shape):
            raise UserError(f"method {name}: expected a film {(len(driving), *source.shape)}, got {film.shape}; correct it")
    return made


def import_study(
    rows: Sequence[FilmPair],
    films: Path,
    folder: Path,
    *,
    data: str,
    seed: int = 0,
    checks: int | None = None,
    fps: float = FPS,
) -> Study:
    """Makes a study from films that are there, as a list names them (the authors', for instance).

    Args:
        rows: of the list; each needs its driving film.
        films: folder below which the list's names lie.
        folder: new or empty.
        data: name of the data set.
        seed: of file names, sides and order.
        checks: how many attention checks; None for one in ten pairs.
        fps: at which the films are shown.

    Raises:
        UserError: a film is missing or cannot be read, or a row has no driving film.
    """
    count = checks_for(len(rows), checks)

    def fill(place: Path) -> Study:
        filler, moving = _Filler(place, seed, fps), []
        for row in rows:
            if row.video is None:
                raise UserError(
                    f"{row.first}: expected a driving film to compare with, got a list without the column video; "
                    "a list of image to video has none"
                )
            reference = filler.copy(REFERENCE, films / row.video)
            pair = (
                filler.copy(row.first_method, films / row.first),
                filler.copy(row.second_method, films / row.second),
            )
            filler.add(row.appearance, row.video, reference, pair)
            moving.append((row.video, films / row.video, reference))
        for index in random.Random(f"checks/{seed}").sample(range(len(moving)), count):
            name, path, reference = moving[index]
            filler.add_checks([(name, read_video(path).frames, reference)])
        names = dict.fromkeys(name for row in rows for name in (row.first_method, row.second_method))
        return filler.finish(" against ".join(names), data, seed)

    return _built(folder, fill)
