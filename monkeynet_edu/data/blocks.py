"""Clips of any length: read and written block by block, so that memory does not grow with the number of frames.

Films (MP4, M4V, MOV) and folders of frames are written as the blocks come. The other formats need the whole clip at once:
they are held in memory up to :data:`MOST_HELD` bytes, and refused beyond.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from monkeynet_edu.data.sound import CARRIED, Soundtrack, open_film
from monkeynet_edu.data.video import (
    FILM_OPTIONS,
    STACKED_SUFFIXES,
    Fit,
    Frames,
    Video,
    Writer,
    add_h264,
    check_frames,
    check_stackable,
    each_frame,
    even_sides,
    frame_files,
    is_film,
    save_picture,
    writer_for,
    written_beside,
)
from monkeynet_edu.errors import UserError
from monkeynet_edu.files import kind_of

BLOCK = 32
"""Frames of a block: as many as the detector takes at a time."""
MOST_HELD = 256 * 2**20
"""Bytes of frames that a format may hold in memory which cannot be written block by block."""

_TICKS = 90_000  # a second, in films of varying frame rate


@dataclass(frozen=True)
class Clock:
    """When the frames of a film are shown.

    Attributes:
        start: time stamp of the first frame in the film's own time, in seconds.
        times: (T,) seconds since the first frame, or None where frames follow each other evenly.
    """

    start: Fraction = Fraction(0)
    times: npt.NDArray[np.float64] | None = None


EVEN = Clock()


# ---------------------------------------------------------------------------------------------------------------- read


def read_blocks(path: str | Path, *, size: int | None = None, how: Fit = "crop", length: int = BLOCK) -> Iterator[Video]:
    """Decodes a clip in blocks of frames; only one block is in memory at a time.

    Args:
        path: any clip that `monkeynet_edu.data.video.read_video` reads. A stacked picture is one picture: it is decoded
            whole.
        size: fits every frame to `size` x `size` as it is decoded.
        how: see `monkeynet_edu.data.video.fit`.
        length: frames of a block; the last one holds what is left.

    Yields:
        Clips of `length` frames. Their `fps` is the rate as far as it is known by then: the last one's is right.

    Raises:
        UserError: as `read_video`, when decoding reaches what is wrong; or a length below 1.
    """
    path = Path(path)
    if length < 1:
        raise UserError(f"block: expected at least 1 frame, came {length}; use for instance {BLOCK}")
    name = path.name if kind_of(path) == "folder" else path.stem
    frames: list[Frames] = []
    fps: float | None = None
    for count, (frame, rate) in enumerate(each_frame(path, size=size, how=how), start=1):
        frames.append(frame)
        fps = rate if count > 1 else None
        if len(frames) == length:
            yield Video(np.stack(frames), fps, name)
            frames = []
    if frames:
        yield Video(np.stack(frames), fps, name)


def stated_length(path: str | Path) -> int | None:
    """How many frames a film says that it has, or a folder holds; None where nothing says so. It need not be true."""
    path = Path(path)
    if kind_of(path) == "folder":
        return len(frame_files(path))
    if not is_film(path):
        return None
    try:
        with open_film(path) as film:
            stream = film.streams.video[0]
            seconds = film.duration / av.time_base if film.duration else 0
            rate = stream.average_rate or stream.guessed_rate or 0
            return stream.frames or round(seconds * rate) or None
    except (av.error.FFmpegError, IndexError, ValueError, OSError):
        return None


def read_clock(path: str | Path, length: int) -> Clock:
    """Reads when the frames of a film are shown; nothing is decoded.

    Frames that are less than half a frame away from even steps count as even: containers round time stamps.

    Args:
        path: a clip. One that is no film has an even clock.
        length: frames that were decoded; where the film holds time stamps for another number, they do not say which
            belongs to which, and the clock is even.
    """
    path = Path(path)
    if not is_film(path):
        return EVEN
    try:
        with open_film(path) as film:
            stream = film.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            shown = (packet for packet in film.demux(stream) if packet.size and not packet.is_discard)
            stamps = np.array(sorted(packet.pts for packet in shown if packet.pts is not None), dtype=np.int64)
            base = stream.time_base
    except (av.error.FFmpegError, IndexError, ValueError, OSError):
        return EVEN
    if not len(stamps) or base is None:
        return EVEN
    start = int(stamps[0]) * base
    times = (stamps - stamps[0]) * float(base)
    gaps = np.diff(times)
    even = not rate or bool((np.abs(times - np.arange(len(times)) / float(rate)) < 0.5 / float(rate)).all())
    return Clock(start, None if even or len(times) != length or not (gaps * _TICKS >= 1).all() else times)


# --------------------------------------------------------------------------------------------------------------- write


def write_blocks(
    path: str | Path,
    blocks: Iterable[Frames],
    fps: float | None = None,
    *,
    length: int,
    clock: Clock = EVEN,
    sound: Path | None = None,
) -> int:
    """Writes a clip as its blocks come, in the format that the path's ending names; nothing half-written is left behind.

    Whoever gives the blocks ends the clip: where they stop early, the file holds what came until then, and is whole.

    Args:
        path: as for `monkeynet_edu.data.video.write_video`.
        blocks: frames (n, H, W, 3) uint8, RGB, of one size.
        fps: frames per second (25 if None).
        length: frames that are expected; fewer may come.
        clock: when the frames are shown, in films; its times beyond the last frame are ignored.
        sound: film whose sound goes with the pictures, trimmed to them, without its first `clock.start` seconds; for the
            endings of `monkeynet_edu.data.sound.CARRIED`.

    Returns:
        How many frames were written.

    Raises:
        UserError: as `write_video`; if no block comes; or if the format needs more than `MOST_HELD` bytes in memory.
    """
    path = Path(path)
    writer, rate = writer_for(path, fps)
    coming = iter(blocks)
    with written_beside(path) as partial:
        first = next(coming, None)
        if first is None:
            raise UserError(f"{path}: expected at least one frame to write, came none; give another clip")
        check_frames(first, path)
        coming = chain([first], coming)
        if path.suffix.lower() in CARRIED:
            return _write_film(partial, coming, rate, clock, sound)
        if not path.suffix:
            return _write_folder(partial, coming)
        _check_held(path, length, first)
        return _write_held(partial, coming, rate, length, writer)


def _write_film(path: Path, blocks: Iterator[Frames], fps: float, clock: Clock, sound: Path | None) -> int:
    with ExitStack() as opened:
        container = opened.enter_context(av.open(str(path), "w", options=FILM_OPTIONS))
        first = next(blocks)
        film = _Film(container, even_sides(first), fps, clock)
        track: Soundtrack | None = None
        if sound is not None:
            track = opened.enter_context(closing(Soundtrack(sound, container, path.suffix.lower(), clock.start)))
        for block in chain([first], blocks):
            film.add(block)
            if track is not None:
                track.write(film.end)
        film.finish()
        return film.written


class _Film:
    """The pictures of a film that is being written: H.264, evenly spaced or as a clock says."""

    def __init__(self, container: Any, first: Frames, fps: float, clock: Clock) -> None:
        self._container, self._clock = container, clock
        self._stream = add_h264(container, first, fps)
        self._step = 1 / Fraction(fps).limit_denominator(10_000)
        if clock.times is not None:
            self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self.written = 0

    @property
    def end(self) -> Fraction:
        """When the last frame stops being shown, in seconds."""
        return self._time(self.written)

    def add(self, block: Frames) -> None:
        """Encodes a block (n, H, W, 3)."""
        for frame in even_sides(block):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            base = self._step if self._clock.times is None else Fraction(1, _TICKS)
            picture.time_base = base
            picture.pts = round(self._time(self.written) / base)
            self._container.mux(self._stream.encode(picture))
            self.written += 1

    def finish(self) -> None:
        """Brings out the pictures that the encoder still holds."""
        self._container.mux(self._stream.encode(None))

    def _time(self, number: int) -> Fraction:
        """When a frame is shown, in seconds; the one after the last comes an average step later."""
        times = self._clock.times
        if times is None:
            return number * self._step
        return Fraction(times[number]) if number < len(times) else Fraction(times[-1]) + self._step


def _write_folder(path: Path, blocks: Iterator[Frames]) -> int:
    path.mkdir()
    written = 0
    for block in blocks:
        for frame in block:
            save_picture(path / f"{written:05d}.png", frame)
            written += 1
    return written


def _check_held(path: Path, length: int, first: Frames) -> None:
    """Refuses a clip that would not fit into memory, and one that cannot be stacked, before the rest of it is made."""
    _, height, width, _ = first.shape
    most = MOST_HELD // first[0].nbytes
    if length > most:
        raise UserError(
            f"{path}: expected at most {most} frames of {width}x{height} in this format, which needs all of them in "
            f"memory, came {length}; write .mp4, which may be of any length"
        )
    if path.suffix.lower() in STACKED_SUFFIXES:
        check_stackable(path, length, height, width)


def _write_held(path: Path, blocks: Iterator[Frames], fps: float, length: int, writer: Writer) -> int:
    held: Frames | None = None
    written = 0
    for block in blocks:
        if held is None:
            held = np.empty((length, *block.shape[1:]), dtype=np.uint8)
        if written + len(block) > length:
            raise UserError(f"{path.name}: expected {length} frames, came more; say how many there are")
        held[written : written + len(block)] = block
        written += len(block)
    assert held is not None
    writer(path, held[:written], fps)
    return written
