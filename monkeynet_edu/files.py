"""What holds for every file that is read: a regular one, of sane size, and as its checksum says where there is one.

A name may lead anywhere: to nothing, round in a circle of links, to a pipe on which a reader waits for ever.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any, Literal

from monkeynet_edu.errors import UserError

Kind = Literal["file", "folder", "nothing", "other"]

CHECKSUMS = "checksums.sha256"
LATER = "later"  # marks fields of a configuration that files of earlier versions do not have
LARGEST_TEXT = 64 * 2**20
_ANEW = "copy it again, or, if it was changed on purpose, write the checksums anew: monkeynet-edu data checksums {folder}"
_CHECKSUM_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def kind_of(path: Path) -> Kind:
    """What a path leads to, links followed; a name that no file can have leads to nothing.

    Raises:
        UserError: a folder on the way may not be looked into.
    """
    try:
        mode = os.stat(path).st_mode
    except PermissionError as error:
        raise UserError(f"{path}: expected a place that may be read, came an error ({error.strerror})") from error
    except (OSError, ValueError):  # nothing there, a circle of links, a name too long or with a zero byte
        return "nothing"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "other"


def check_file(path: Path, expected: str) -> None:
    """Refuses what is no regular file: reading a pipe would wait for ever, a device may never end.

    Args:
        path: of the file.
        expected: what it should be, for the message ("a truth file").

    Raises:
        UserError: nothing there, a folder, a pipe, a device.
    """
    came = {"nothing": "no such file", "folder": "a folder", "other": "a pipe or a device"}.get(kind_of(path))
    if came:
        raise UserError(f"{path}: {came}; expected {expected}; check the path")


def read_text(path: Path, expected: str, largest: int = LARGEST_TEXT) -> str:
    """Reads a text file in UTF-8, a byte order mark left out.

    Raises:
        UserError: no such file, larger than ``largest`` bytes, unreadable, or not UTF-8.
    """
    check_file(path, expected)
    try:
        if path.stat().st_size > largest:
            raise UserError(f"{path}: expected {expected} of at most {largest:,} bytes, got more; check the path")
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise UserError(f"{path}: expected {expected}, got a file that cannot be read ({said}); copy it again") from error


def read_json(path: Path, expected: str) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: see :func:`read_text`, or not JSON.
    """
    try:
        return json.loads(read_text(path, expected))
    except (json.JSONDecodeError, RecursionError) as error:
        said = f"{type(error).__name__}: {error}"[:80]
        raise UserError(f"{path}: expected {expected}, got a damaged or foreign file ({said}); copy it again") from error


def partial_name(path: Path) -> Path:
    """A new name beside ``path`` for what is being written: no two writers share one.

    Raises:
        OSError: the folder cannot be written to.
    """
    part = path.with_name(f".{path.name[:40]}.{os.getpid()}-{secrets.token_hex(4)}.part")
    with part.open("xb"):
        return part


def partial_files(path: Path) -> list[Path]:
    """What writers of ``path`` that were killed have left: all names that :func:`partial_name` may have given."""
    return sorted(path.parent.glob(f".{glob.escape(path.name[:40])}.*.part"))


# ------------------------------------------------------------------------------------------------------------ checksums


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> Path:
    """Writes ``checksums.sha256`` (the format of ``sha256sum``) over every file below a folder, pages of text left out.

    Raises:
        UserError: no such folder, no file in it, or it cannot be written to.
    """
    if kind_of(folder) != "folder":
        raise UserError(f"{folder}: expected a folder of files to check, got none; check the path")
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != CHECKSUMS and p.suffix != ".md")
    if not files:
        raise UserError(f"{folder}: expected files to check, got none; check the path")
    try:
        lines = [f"{digest_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
        (folder / CHECKSUMS).write_text("".join(lines), "utf-8")
    except OSError as error:
        raise UserError(f"{folder / CHECKSUMS}: could not be written ({error.strerror}); check the folder") from error
    return folder / CHECKSUMS


def enter_checksum(path: Path) -> None:
    """Brings the ``checksums.sha256`` beside a file up to date after that file was written; nothing where there is none."""
    known = read_checksums(path.parent)
    if known:
        known[path.name] = digest_of(path)
        lines = [f"{digest}  {name}\n" for name, digest in sorted(known.items())]
        (path.parent / CHECKSUMS).write_text("".join(lines), "utf-8")


def read_checksums(folder: Path) -> dict[str, str]:
    """Names and digests in a folder's ``checksums.sha256``; none where there is no such file.

    Raises:
        UserError: the file is damaged, or names something outside its folder.
    """
    path = folder / CHECKSUMS
    if kind_of(path) == "nothing":
        return {}
    found = {}
    for number, line in enumerate(read_text(path, "checksums as sha256sum writes them").splitlines(), start=1):
        match = _CHECKSUM_LINE.fullmatch(line)
        if match is None or match[2].startswith("/") or ".." in match[2].split("/"):
            raise UserError(
                f"{path}, line {number}: expected 64 digits, two spaces and the name of a file below this folder, got "
                f"{line[:80]!r}; {_ANEW.format(folder=folder)}"
            )
        found[match[2]] = match[1]
    return found


def damaged_files(folder: Path) -> list[str]:
    """Files that a folder's ``checksums.sha256`` names and that are missing or differ.

    Raises:
        UserError: see :func:`read_checksums`.
    """
    return [name for name, digest in read_checksums(folder).items() if not _is(folder / name, digest)]


def _is(path: Path, digest: str) -> bool:
    return kind_of(path) == "file" and digest_of(path) == digest


def check_digests(path: Path) -> None:
    """Compares a file, or every file below a folder, with the ``checksums.sha256`` beside it or one folder up.

    What no such file names is not checked.

    Raises:
        UserError: naming the first file that is missing or differs.
    """
    for folder in path.absolute().parents[:2]:
        own = path.absolute().relative_to(folder).as_posix()
        for name, digest in read_checksums(folder).items():
            if (name == own or name.startswith(f"{own}/")) and not _is(folder / name, digest):
                raise UserError(
                    f"{folder / name}: expected the file that {CHECKSUMS} names, got a damaged or another one; "
                    f"{_ANEW.format(folder=folder)}"
                )
