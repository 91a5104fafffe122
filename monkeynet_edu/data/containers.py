"""Tells a whole file from a truncated one by the lengths that the file itself states.

Decoders are lenient: a film or an animation that was cut off often decodes to its first half in silence. The lengths
written in the file are exact, and reading them costs a few seeks.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_ISO_BOXES = frozenset(b"ftyp moov mdat free skip wide moof mfra sidx styp ssix uuid meta pnot udta emsg prft pdin".split())
_EBML, _MATROSKA_SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def truncation(path: Path) -> str | None:
    """Says how the file falls short of the length that it states, or None if it does not (or states none).

    Understands MP4/MOV (top-level boxes), AVI and WebP (RIFF size), WebM/Matroska (segment size) and GIF (the trailer
    that must end the chain of blocks).
    """
    actual = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:3] == b"GIF":
            return None if _gif_has_trailer(file.read()) else "its last block is missing"
        if head[4:8] in _ISO_BOXES:
            stated = _iso_length(file, actual)
        elif head[:4] == b"RIFF":
            size = int.from_bytes(head[4:8], "little")
            stated = actual if size in (0, 0xFFFFFFFF) else size + 8
        elif head[:4] == _EBML:
            stated = _matroska_length(file, actual)
        else:
            return None
    return f"it states {stated} bytes and has {actual}" if stated > actual else None


def _iso_length(file: BinaryIO, actual: int) -> int:
    """Follows the top-level boxes; returns where the last one ends."""
    offset = 0
    while offset < actual:
        file.seek(offset)
        head = file.read(16)
        if len(head) < 8:
            return offset + 8
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind not in _ISO_BOXES or size == 0:  # foreign bytes after the film, or a box that runs to the end
            return actual
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        offset += max(size, 8)
    return offset


def _matroska_length(file: BinaryIO, actual: int) -> int:
    """Reads the EBML header and the segment's size; a live recording may leave the size open."""
    file.seek(4, os.SEEK_SET)
    size, _ = _ebml_number(file)
    file.seek(size, os.SEEK_CUR)
    if file.read(4) != _MATROSKA_SEGMENT:
        return actual
    size, is_open = _ebml_number(file)
    return actual if is_open else file.tell() + size


def _ebml_number(file: BinaryIO) -> tuple[int, bool]:
    """Reads an EBML variable-length number; returns it and whether all its bits are 1 (meaning: unknown)."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, True
    length = 9 - first[0].bit_length()
    value = (first[0] & ((1 << (8 - length)) - 1)) << (8 * (length - 1)) | int.from_bytes(file.read(length - 1), "big")
    return value, value == (1 << (7 * length)) - 1


def _gif_has_trailer(data: bytes) -> bool:
    """Follows the blocks of a GIF (GIF89a specification, section 15 on) and says whether the trailer is reached."""
    try:
        position = 13 + _color_table_bytes(data[10])
        while data[position] != 0x3B:
            if data[position] == 0x21:  # an extension: label, then sub-blocks
                position += 2
            elif data[position] == 0x2C:  # an image: descriptor, local colour table, code size, then sub-blocks
                position += 11 + _color_table_bytes(data[position + 9])
            else:
                return False
            while data[position]:
                position += data[position] + 1
            position += 1
    except IndexError:
        return False
    return True


def _color_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
