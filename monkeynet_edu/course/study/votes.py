"""Votes on disk: a JSON line each, flushed before the next pair is shown; read back with every bad line named.

A line holds no name, no date and no address: a random code of the rater, the pair, which method stood where, the choice,
and how long it took.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from monkeynet_edu.errors import UserError
from monkeynet_edu.files import LARGEST_TEXT, check_file, kind_of, partial_files, partial_name
from monkeynet_edu.model import flush_folder

Side = Literal["left", "right"]

REFERENCE, FROZEN, REVERSED = "reference", "frozen", "reversed"
CHECKS = (REFERENCE, FROZEN, REVERSED)
"""Names that stand for no method: both films of an attention check come from the driving film."""

FOLDER = "votes"
LOCK_SECONDS = 20.0
_CODE = re.compile(r"r-[a-z2-7]{8}")
_SHOWN = 60
LONGEST = 200
_MOST = 10_000_000


def new_code() -> str:
    """A rater's code, 40 random bits: nothing in it comes from the rater or the machine."""
    return "r-" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(8))


def is_code(text: object) -> bool:
    """Whether this is a rater's code."""
    return isinstance(text, str) and _CODE.fullmatch(text) is not None


@dataclass(frozen=True)
class Vote:
    """One choice of one rater.

    Attributes:
        study: fingerprint of the study.
        data: the data set of the films.
        rater: a random code, see :func:`new_code`.
        pair: of films, by its name in the study.
        left: the method whose film was on the left; one of :data:`CHECKS` in an attention check.
        right: the method whose film was on the right.
        choice: the side that corresponds better to the animation in the reference.
        seconds: from the first frame to the choice.
        replays: how often the films were started again.
        synthetic: made by a program, to try things out; such votes are no result and reports say so.
    """

    study: str
    data: str
    rater: str
    pair: str
    left: str
    right: str
    choice: Side
    seconds: float = 0.0
    replays: int = 0
    synthetic: bool = False

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            UserError: naming the field.
        """
        for name in ("study", "data", "pair", "left", "right"):
            text = getattr(self, name)
            if not (isinstance(text, str) and 0 < len(text) <= LONGEST and text.isprintable()):
                raise _wrong(name, "a short text", text)
        if not is_code(self.rater):
            raise _wrong("rater", "a random code like r-k3v7q2ma (never a name)", self.rater)
        if self.left == self.right:
            raise _wrong("right", "another method than on the left", self.right)
        if self.choice not in get_args(Side):
            raise _wrong("choice", "left or right", self.choice)
        if not _is_number(self.seconds) or not 0 <= self.seconds <= _MOST:
            raise _wrong("seconds", f"a number from 0 to {_MOST:,}", self.seconds)
        if not _is_number(self.replays) or not isinstance(self.replays, int) or not 0 <= self.replays <= _MOST:
            raise _wrong("replays", f"a whole number from 0 to {_MOST:,}", self.replays)
        if not isinstance(self.synthetic, bool):
            raise _wrong("synthetic", "true or false", self.synthetic)

    @property
    def preferred(self) -> str:
        """The method that was chosen."""
        return self.left if self.choice == "left" else self.right

    @property
    def other(self) -> str:
        """The method that was not chosen."""
        return self.right if self.choice == "left" else self.left

    @property
    def is_check(self) -> bool:
        """Whether this was an attention check, in which one side is plainly wrong."""
        return REFERENCE in (self.left, self.right)

    @property
    def key(self) -> tuple[str, str, str]:
        """What a rater may vote on once."""
        return self.study, self.rater, self.pair

    def line(self) -> str:
        """The vote as one line of JSON."""
        plain = asdict(self)
        if not self.synthetic:
            del plain["synthetic"]
        return json.dumps(plain, ensure_ascii=True) + "\n"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(name: str, expected: str, came: object) -> UserError:
    return UserError(f"{name}: expected {expected}, got {_short(came)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


# --------------------------------------------------------------------------------------------------------------- write


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes from writing to a file of votes, or to a folder of them.

    Raises:
        UserError: another process holds it, or the folder cannot be written to.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"{path}: expected to write, got a lock that another program holds; end it and try again"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: expected a place to write votes, got {error.strerror}; choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def append_vote(path: Path, vote: Vote) -> None:
    """Adds a vote to a file; when this returns, the vote is on the disk.

    A line that a killed process left without its end is closed first, so that it spoils nothing but itself.

    Raises:
        UserError: the file cannot be written to.
    """
    data = vote.line().encode()
    with locked(path):
        try:
            number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(number).st_size
                if size and _last_byte(path) != b"\n":
                    data = b"\n" + data
                while data:
                    data = data[os.write(number, data) :]
                os.fsync(number)
            finally:
                os.close(number)
        except OSError as error:
            raise UserError(
                f"{path}: the vote could not be written ({error.strerror}); make room and vote again"
            ) from error
        if not size:
            flush_folder(path.parent)


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def write_votes(path: Path, votes: Iterable[Vote]) -> Path:
    """Writes votes into a new file, whole or not at all; one that is there is replaced.

    Raises:
        UserError: it cannot be written.
    """
    replace_file(path, "".join(vote.line() for vote in votes).encode())
    return path


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; one that is there is replaced.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = partial_name(path)
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise UserError(f"{path}: could not be written ({error.strerror}); choose another place") from error


# ---------------------------------------------------------------------------------------------------------------- read


@dataclass(frozen=True)
class Reading:
    """What files of votes hold.

    Attributes:
        votes: those that count, in the order of files and lines.
        complaints: one line for every line that does not count: file, number of the line, and why.
    """

    votes: tuple[Vote, ...]
    complaints: tuple[str, ...]


def parse_vote(line: bytes) -> Vote:
    """Reads one line.

    Raises:
        UserError: no vote, and why.
    """
    try:
        plain = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UserError(f"expected a vote as one JSON object, got {_short(line.decode('utf-8', 'replace'))}") from error
    if not isinstance(plain, dict):
        raise UserError(f"expected a vote as one JSON object, got {_short(plain)}")
    known = {field.name for field in fields(Vote)}
    if strangers := sorted(set(plain) - known):
        raise UserError(f"expected the fields {', '.join(sorted(known))} alone, got {_short(strangers[0])}")
    if missing := [name for name in ("study", "data", "rater", "pair", "left", "right", "choice") if name not in plain]:
        raise UserError(f"expected the field {missing[0]!r}, got none")
    return Vote(**plain)


def vote_files(places: Sequence[Path]) -> list[Path]:
    """The files that places name: a study folder's ``votes/*.jsonl``, a folder's ``*.jsonl``, or a file itself.

    Raises:
        UserError: nothing there.
    """
    found: list[Path] = []
    for place in places:
        if kind_of(place) == "folder":
            inner = place / FOLDER if kind_of(place / FOLDER) == "folder" else place
            found += sorted(path for path in inner.glob("*.jsonl") if not path.name.startswith("."))
        else:
            check_file(place, "a file of votes (.jsonl) or a study's folder")
            found.append(place)
    return found


def read_votes(places: Sequence[Path]) -> Reading:
    """Reads files of votes; what cannot count is named line by line, the rest counts.

    A line that is no vote does not count. Of votes of one rater on one pair that prefer the same film the first counts;
    where they prefer different ones, none does.

    Args:
        places: see :func:`vote_files`.

    Raises:
        UserError: nothing there, a file that cannot be read, or one above 64 MiB.
    """
    lines: list[tuple[Path, int, Vote]] = []
    complaints: list[tuple[int, int, str]] = []
    files = vote_files(places)
    order = {path: index for index, path in enumerate(files)}

    def complain(path: Path, number: int, why: str) -> None:
        complaints.append((order[path], number, f"{path}, line {number}: {why}; not counted"))

    for path in order:
        for number, line in _lines(path):
            try:
                lines.append((path, number, parse_vote(line)))
            except UserError as error:
                complain(path, number, str(error))
    preferred: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    first: dict[tuple[str, str, str], tuple[Path, int]] = {}
    for path, number, vote in lines:
        preferred[vote.key][vote.preferred] += 1
        first.setdefault(vote.key, (path, number))
    votes = []
    for path, number, vote in lines:
        begun, line_number = first[vote.key]
        where = f"line {line_number}" if begun == path else f"{begun}, line {line_number}"
        if len(preferred[vote.key]) > 1:
            names = " and ".join(sorted(preferred[vote.key]))
            complain(path, number, f"{vote.rater} prefers {names} in pair {vote.pair}, a contradiction (first in {where})")
        elif (path, number) != first[vote.key]:
            complain(path, number, f"{vote.rater} has voted on pair {vote.pair} before, in {where}")
        else:
            votes.append(vote)
    return Reading(tuple(votes), tuple(text for *_, text in sorted(complaints)))


def voted(place: Path) -> dict[tuple[str, str], set[str]]:
    """On which pairs each rater has voted, contradictory votes included: (study, rater) → pairs; none where nothing is."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in vote_files([place]) if kind_of(place) != "nothing" else []:
        for _, line in _lines(path):
            with suppress(UserError):
                vote = parse_vote(line)
                found[vote.study, vote.rater].add(vote.pair)
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise UserError(f"{path}: expected votes of at most {LARGEST_TEXT:,} bytes, got more; check the path")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: expected a file of votes, got {error.strerror}; check its rights") from error
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield number, line


# -------------------------------------------------------------------------------------------------------- merge, erase


def merge(target: Path, places: Sequence[Path]) -> Reading:
    """Joins files of votes into one, in which every line counts.

    Args:
        target: file to write; it may be among the places.
        places: see :func:`vote_files`.

    Raises:
        UserError: see :func:`read_votes`, or the target cannot be written.
    """
    reading = read_votes(places)
    write_votes(target, reading.votes)
    return reading


def erase(place: Path, rater: str | None = None) -> list[Path]:
    """Removes votes for good: of one rater, or all.

    Args:
        place: a study's folder, a folder of votes or a file.
        rater: whose; every line that contains the code goes, torn ones too. None for everybody's.

    Returns:
        The files that were changed or removed.

    Raises:
        UserError: no such code, or nothing there.
    """
    if rater is not None and not is_code(rater):
        raise UserError(f"rater: expected a code like r-k3v7q2ma, got {rater!r}; it stands on the last page of the study")
    changed = []
    for path in vote_files([place]):
        with locked(path):
            before = path.read_bytes()
            kept = [line for line in before.split(b"\n") if line and rater is not None and rater.encode() not in line]
            after = b"".join(line + b"\n" for line in kept)
            own = rater is None or path.stem == rater
            if own or (not after and before):
                path.unlink()
            elif after != before and rater is not None and rater.encode() in before:
                replace_file(path, after)
            else:
                continue
            for part in partial_files(path):
                part.unlink(missing_ok=True)
            changed.append(path)
        path.with_name(f".{path.name}.lock").unlink(missing_ok=True)
    return changed


def as_plain(votes: Iterable[Vote]) -> list[dict[str, Any]]:
    """Votes as JSON objects."""
    return [json.loads(vote.line()) for vote in votes]
