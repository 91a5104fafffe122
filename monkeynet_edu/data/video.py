"""Reads and writes clips and pictures: films (PyAV), animations, stacked pictures, frame folders (Pillow, imageio).

A clip in memory is uint8 (T, H, W, 3), RGB. What a file *is* decides how it is read, never its ending: the authors'
sample data holds PNG pictures that are named `.jpg`. A *stacked* picture holds square frames side by side, so its width
is a multiple of its height.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import av
import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
import torch
from PIL import GifImagePlugin, Image, ImageOps, ImageSequence
from scipy.spatial import cKDTree
from torch import Tensor

from monkeynet_edu.data.containers import truncation
from monkeynet_edu.errors import UserError
from monkeynet_edu.files import check_file, kind_of

Frames = npt.NDArray[np.uint8]
Fit = Literal["crop", "pad"]
Writer = Callable[[Path, Frames, float], None]

DEFAULT_FPS = 25.0
FILM_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi"})
PICTURE_SUFFIXES = frozenset({".png", ".apng", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
STACKED_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
CLIP_SUFFIXES = FILM_SUFFIXES | PICTURE_SUFFIXES
FILM_OPTIONS = {"movflags": "faststart"}  # of the containers that are written

MOST_PIXELS = 40_000_000
"""Pixels of a picture or frame; more are refused by its header. Decoding takes about 20 bytes a pixel."""
MOST_BYTES = 768 * 2**20
"""Bytes of a clip in memory."""

_PICTURE_MAGIC = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8|RIFF....WEBP|BM|II\*\x00|MM\x00\*|....ftypavi[fs]", re.DOTALL
)
_PICTURE_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")  # Pillow knows some that run programs
# Containers that are whole by themselves: a playlist would have FFmpeg open other files, or addresses in the network.
_FILM_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,asf,ogg,mjpeg,ivf,nut,yuv4mpegpipe"
    ",mxf,dv,rm,gif,apng"
)
READING_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FILM_FORMATS}
# What decoders raise.
_DAMAGE: tuple[type[Exception], ...] = (OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError)
_DAMAGE += (ArithmeticError, AttributeError, AssertionError, MemoryError, NotImplementedError, struct.error, zlib.error)
_FILM_DAMAGE: tuple[type[Exception], ...] = (*_DAMAGE, av.error.FFmpegError)
_IGNORED_GIF_DELAY_MS, _DELAY_INSTEAD_MS = 10, 100  # browsers show a GIF frame of 0 or 10 ms for 100 ms
_MAX_JPEG_SIDE = 65500
_FLAT_SHARE = 0.05
_SMALL_PICTURE = 2**20
_PALETTE_SAMPLE_PIXELS = 200_000


@dataclass(frozen=True)
class Video:
    """A clip in memory.

    Attributes:
        frames: (T, H, W, 3) uint8, RGB.
        fps: frames per second; None where the file states none (stacked pictures, frame folders).
        name: the file's name without its ending.
    """

    frames: Frames
    fps: float | None
    name: str


# ---------------------------------------------------------------------------------------------------------------- read


def to_tensor(frames: Frames) -> Tensor:
    """Frames (T, H, W, 3) uint8 → video (T, 3, H, W) float32 in [0, 1].

    Raises:
        UserError: other numbers, or no frames.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise UserError(
            f"frames: expected (T, H, W, 3) of uint8, came {frames.shape} of {frames.dtype}; convert them first"
        )
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255


def to_frames(video: Tensor) -> Frames:
    """Video (T, 3, H, W) in [0, 1] → frames (T, H, W, 3) uint8; values outside are clipped.

    Raises:
        UserError: no such video, or pixels that are not finite.
    """
    check_pixels(video, "frames")
    pixels = (video.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()


def check_pixels(video: Tensor, name: str) -> None:
    """Refuses what is no video (T, 3, H, W) of finite floating-point numbers: NaN spreads to everything it touches.

    Args:
        video: to look at.
        name: of it, for the message.

    Raises:
        UserError: another shape or kind of numbers; or naming the first frame with NaN or infinity.
    """
    if video.ndim != 4 or video.shape[1] != 3 or not video.is_floating_point():
        raise UserError(
            f"{name}: expected frames (T, 3, H, W) with values in [0, 1], came {tuple(video.shape)} of {video.dtype}; "
            "see monkeynet_edu.data.video.to_tensor"
        )
    finite = video.isfinite().flatten(1).all(dim=1)
    if not finite.all():
        raise UserError(
            f"{name}: expected finite pixels, came NaN or infinity in frame {int((~finite).nonzero()[0])}; look at where "
            "they come from"
        )


def read_video(path: str | Path, *, size: int | None = None, how: Fit = "crop") -> Video:
    """Reads a clip: a film, an animation, a stacked picture or a folder of frames.

    Args:
        path: MP4/MOV/M4V/WebM/MKV/AVI; GIF, WebP, APNG; a stacked PNG or JPEG; or a folder of pictures of one size, in
            natural order of their names (2 before 10). A square picture is a clip of one frame.
        size: fits every frame to `size` x `size` as it is decoded, so that a long film in full HD needs little memory.
        how: see `fit`; without effect where `size` is None.

    Returns:
        The clip. `fps` is the mean rate where the frames' durations differ. Rotation (films) and EXIF orientation
        (pictures) are obeyed; transparent pixels become white.

    Raises:
        UserError: if the file is missing, empty, truncated, without frames or of another kind; if a picture's width is
            no multiple of its height; if the pictures of a folder differ in size.
    """
    path = Path(path)
    frames: list[Frames] = []
    fps: float | None = None
    for frame, rate in each_frame(path, size=size, how=how):
        frames.append(frame)
        fps = rate
        _check_length(path, len(frames), frame)
    name = path.name if kind_of(path) == "folder" else path.stem
    fps = fps if len(frames) > 1 else None
    return Video(_joined(frames), fps, name)


def each_frame(path: Path, *, size: int | None = None, how: Fit = "crop") -> Iterator[tuple[Frames, float | None]]:
    """Decodes a clip frame by frame, keeping none of them; arguments and errors are those of `read_video`.

    Yields:
        The frame (H, W, 3) uint8, fitted, and the frame rate as far as it is known by then: the last one is right.
    """
    if size is not None:
        _check_fit(size, how)
    first: Frames | None = None
    for frame, rate in _decode(path):
        if first is None:
            first, border = frame, _border_color(frame)
        fitted = frame if size is None else _fit_picture(frame, size, how, border)
        if size is None and frame.shape != first.shape:
            (h0, w0, _), (h, w, _) = first.shape, frame.shape
            raise UserError(
                f"{path}: expected frames of one size, came {w0}x{h0} and later {w}x{h}; export it again at one size"
            )
        yield fitted, rate
    if first is None:
        raise UserError(f"{path}: expected a clip, came a file with zero frames; record or export it again")


def read_image(path: str | Path) -> Frames:
    """Reads one picture; of a clip, its first frame.

    A picture whose width is an exact multiple (2 or more) of its height is taken for a stacked one and gives its first
    frame; any other picture is returned whole.

    Args:
        path: anything that `read_video` reads, or a picture of any shape.

    Returns:
        (H, W, 3) uint8, RGB, upright.

    Raises:
        UserError: if the file is missing, empty, damaged or no picture.
    """
    path = Path(path)
    if kind_of(path) != "folder" and _is_picture(path):
        picture = read_whole(path)
        height, width = picture.shape[:2]
        return picture[:, :height] if width % height == 0 else picture
    for frame, _ in _decode(path):
        return frame
    raise UserError(f"{path}: expected a picture, came a file with zero frames; choose another")


def read_whole(path: Path) -> Frames:
    """Reads a picture (H, W, 3) as it lies, stacked or not; raises UserError as :func:`read_image` does."""
    with _opened(path) as image:
        return _to_rgb(image)


def fit(frames: Frames, size: int, how: Fit = "crop") -> Frames:
    """Makes frames square and resizes them (Lanczos, antialiased).

    Args:
        frames: (T, H, W, 3) or one picture (H, W, 3), uint8.
        size: the side wanted, in pixels.
        how: `crop` keeps the central square; `pad` keeps everything and fills up with one colour for the whole clip, the
            median of the first frame's sides that are filled up (repeating the border pixels would draw stripes
            wherever a figure touches the border).

    Returns:
        (T, size, size, 3) or (size, size, 3); the very same array where nothing is to be done.

    Raises:
        UserError: if `size` is not positive or `how` is unknown.
    """
    _check_fit(size, how)
    if frames.shape[-3:-1] == (size, size):
        return frames
    if frames.ndim == 3:
        return _fit_picture(frames, size, how, _border_color(frames))
    border = _border_color(frames[0])
    return np.stack([_fit_picture(frame, size, how, border) for frame in frames])


def _check_fit(size: int, how: str) -> None:
    if size < 1:
        raise UserError(f"size: expected a positive number of pixels, came {size}; use for instance 64")
    if size * size > MOST_PIXELS:
        raise UserError(f"size: expected at most {math.isqrt(MOST_PIXELS)} pixels, came {size}; use for instance 64")
    if how not in ("crop", "pad"):
        raise UserError(f"fit: expected crop or pad, came {how!r}; choose one of them")


def _fit_picture(picture: Frames, size: int, how: Fit, border: Frames) -> Frames:
    height, width = picture.shape[:2]
    if height == width == size:
        return picture
    side = min(height, width) if how == "crop" else max(height, width)
    top, left = abs(height - side) // 2, abs(width - side) // 2
    if how == "crop":
        square = picture[top : top + side, left : left + side]
    else:
        square = np.broadcast_to(border, (side, side, 3)).copy()
        square[top : top + height, left : left + width] = picture
    image = Image.fromarray(np.ascontiguousarray(square))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def _border_color(picture: Frames) -> Frames:
    """The median colour (3,) of the two longer sides of a picture: next to them `pad` fills up."""
    sides = picture[:, [0, -1]] if picture.shape[0] > picture.shape[1] else picture[[0, -1]]
    color: Frames = np.median(sides.reshape(-1, 3), axis=0).astype(np.uint8)
    return color


def frame_files(folder: Path) -> list[Path]:
    """Returns the pictures that lie directly in a folder, in natural order of their names; hidden files left out."""
    files = [p for p in folder_entries(folder) if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")]
    return sorted(files, key=natural_key)


def folder_entries(folder: Path) -> list[Path]:
    """What lies in a folder.

    Raises:
        UserError: it may not be looked into.
    """
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: expected a readable folder, came an error ({error.strerror}); check it") from error


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key by which `frame2` comes before `frame10`."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part.lower()) for part in parts], path.name


def _decode(path: Path) -> Iterator[tuple[Frames, float | None]]:
    """Yields every frame of a clip with the clip's frame rate."""
    if kind_of(path) == "folder":
        yield from _decode_folder(path)
    elif _is_picture(path):
        yield from _decode_picture(path)
    else:
        yield from _decode_film(path)


def is_film(path: Path) -> bool:
    """Says whether a clip is read as a film: it is neither a folder nor a picture. Errors are those of `read_video`."""
    return kind_of(path) != "folder" and not _is_picture(path)


def _is_picture(path: Path) -> bool:
    """Says by its first bytes whether a file is a picture; refuses what is no readable, whole file."""
    if kind_of(path) == "nothing":
        raise UserError(f"{path}: expected a file or a folder of frames, came nothing there; check the path")
    check_file(path, "a clip or a picture")
    try:
        with path.open("rb") as file:
            head = file.read(16)
        short_of = truncation(path)
    except OSError as error:
        raise UserError(
            f"{path}: expected a readable file, came an error ({error.strerror}); check its permissions"
        ) from error
    if not head:
        raise UserError(f"{path}: expected a clip or a picture, came an empty file; copy or download it again")
    if short_of:
        raise UserError(f"{path}: expected a whole file, came a truncated one ({short_of}); copy or download it again")
    is_picture = _PICTURE_MAGIC.match(head) is not None
    if not is_picture and path.suffix.lower() in PICTURE_SUFFIXES:
        raise UserError(
            f"{path}: expected a picture, came a file that only has a picture's name (it begins with {head[:8]!r}); "
            f"export it as PNG or JPEG"
        )
    return is_picture


@contextmanager
def _picture_errors(path: Path) -> Iterator[None]:
    """Turns Pillow's exceptions about damaged or dangerous pictures into one clear line."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: expected a picture of sane size, came a huge one; shrink it ({error})") from error
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(
            f"{path}: expected a whole picture, came a damaged or truncated one ({_one_line(error)}); "
            f"copy or download it again"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Opens a picture for decoding, refusing a huge one by its header."""
    with _picture_errors(path), path.open("rb") as file:
        tiff = file.read(2) in (b"II", b"MM")
        with _silent_stderr() if tiff else nullcontext(), Image.open(path, formats=_PICTURE_FORMATS) as image:
            _check_pixels(path, *image.size)
            yield image


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """libtiff writes what it dislikes straight to standard error, past Python; the exception that follows says it too."""
    try:
        before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is no standard error
        yield
        return
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def _check_pixels(path: Path, width: int, height: int) -> None:
    if not 0 < width * height <= MOST_PIXELS or min(width, height) < 1:
        raise UserError(
            f"{path}: expected pictures of 1 to {MOST_PIXELS:,} pixels, came {width}x{height}; shrink it, or save it anew"
        )


def _check_length(path: Path, count: int, frame: Frames) -> None:
    if count * frame.nbytes > MOST_BYTES:
        raise UserError(
            f"{path}: expected a clip of at most {MOST_BYTES // 2**20} MiB in memory, came one of more than {count - 1} "
            f"frames of {frame.shape[1]}x{frame.shape[0]}; ask for a smaller size, or cut the clip"
        )


def _joined(frames: list[Frames]) -> Frames:
    """One array of a list of frames, which is emptied on the way: a long clip is not in memory twice."""
    whole = np.empty((len(frames), *frames[0].shape), np.uint8)
    for t in reversed(range(len(frames))):
        whole[t] = frames.pop()
    return whole


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _decode_folder(folder: Path) -> Iterator[tuple[Frames, float | None]]:
    files = frame_files(folder)
    if not files:
        raise UserError(f"{folder}: expected a folder of frames, came one without pictures; put PNG or JPEG files in it")
    first: tuple[int, int] | None = None
    for file in files:
        if not _is_picture(file):
            raise UserError(f"{file}: expected a picture, came another kind of file; export it as PNG or JPEG")
        with _opened(file) as image:
            frame = _to_rgb(image)
        first = first or (frame.shape[1], frame.shape[0])
        if (frame.shape[1], frame.shape[0]) != first:
            raise UserError(
                f"{file}: expected {first[0]}x{first[1]} pixels as in {files[0].name}, came "
                f"{frame.shape[1]}x{frame.shape[0]}; make all frames of a folder one size"
            )
        yield frame, None


def _decode_picture(path: Path) -> Iterator[tuple[Frames, float | None]]:
    with _opened(path) as image:
        if getattr(image, "n_frames", 1) > 1 or image.format == "GIF":
            yield from _decode_animation(image, path)
        else:
            for frame in _unstack(_to_rgb(image), path):
                yield frame, None


def _decode_animation(image: Image.Image, path: Path) -> Iterator[tuple[Frames, float]]:
    """Yields the frames with the mean rate so far, so that the last one brings the mean rate of the whole."""
    elapsed_ms = 0.0
    ignored = _IGNORED_GIF_DELAY_MS if image.format == "GIF" else 0
    for came, frame in enumerate(ImageSequence.Iterator(image), start=1):
        _check_pixels(path, *frame.size)  # a frame may reach beyond the canvas
        picture = _to_rgb(frame)
        delay = float(frame.info.get("duration", 0))
        elapsed_ms += delay if delay > ignored else _DELAY_INSTEAD_MS
        yield picture, 1000.0 * came / elapsed_ms


def _unstack(picture: Frames, path: Path) -> Iterator[Frames]:
    height, width = picture.shape[:2]
    if width % height:
        raise UserError(
            f"{path}: expected square frames side by side, so a width that is a multiple of the height, came "
            f"width {width} and height {height}; crop it, or give a film, an animation or a folder of frames"
        )
    yield from np.split(picture, width // height, axis=1)


def _to_rgb(image: Image.Image) -> Frames:
    """Any Pillow picture as (H, W, 3) uint8: upright, 16 bits scaled to 8, transparency over white.

    The published loader drops alpha. Where pixels are transparent the colour beneath them is arbitrary (often black or
    leftovers of an editor), so dropping shows rubbish; cartoons and GIFs are drawn to be seen on a white page. Opaque
    pictures, the authors' samples among them, come out the same either way.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = np.clip((np.asarray(image).astype(np.int64) + 128) // 257, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if "A" in image.getbands() or "transparency" in image.info:
        canvas = Image.new("RGBA", image.size, "white")
        canvas.alpha_composite(image.convert("RGBA"))
        image = canvas
    return np.array(image.convert("RGB"))


def _decode_film(path: Path) -> Iterator[tuple[Frames, float | None]]:
    try:
        # An absolute path: FFmpeg takes what stands before a colon for a protocol.
        with av.open(str(path.absolute()), metadata_errors="replace", options=READING_OPTIONS) as container:
            if not container.streams.video:
                raise UserError(f"{path}: expected a film, came a file without pictures; choose another")
            stream = container.streams.video[0]
            _check_pixels(path, stream.width, stream.height)
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # what a frame itself says
            stream.thread_type = "AUTO"
            rate = stream.average_rate or stream.guessed_rate
            for frame in container.decode(stream):
                quarter_turns = round(frame.rotation / 90)
                upright = np.rot90(frame.to_ndarray(format="rgb24"), quarter_turns)
                yield np.ascontiguousarray(upright), float(rate) if rate else None
    except UserError:
        raise
    except _FILM_DAMAGE as error:
        raise UserError(
            f"{path}: expected a film or an animation, came a file that cannot be decoded "
            f"({getattr(error, 'strerror', None) or _one_line(error)}); copy, download or export it again"
        ) from error


# --------------------------------------------------------------------------------------------------------------- write


def write_video(path: str | Path, frames: Frames, fps: float | None = None) -> Path:
    """Writes a clip in the format that the path's ending names; nothing half-written is left behind.

    Args:
        path: `.mp4`, `.m4v`, `.mov` (H.264, yuv420p), `.gif` or `.webp` (looping), `.png` or `.jpg` (stacked; frames
            must be square), or no ending: a folder of PNG frames, which must not hold anything yet.
        frames: (T, H, W, 3) uint8, RGB. For H.264 an odd height or width grows by one pixel, the border repeated.
        fps: frames per second (25 if None). GIF counts in 10 ms and browsers honour no frame shorter than 20 ms: delays
            are rounded so that the running time is kept, and more than 50 frames per second are shown at 50. WebP
            encoders merge equal neighbours into one frame that is shown longer.

    Returns:
        The path.

    Raises:
        UserError: if the ending is unknown, the frames are no clip, the rate is not positive, or the place is not
            writable.
    """
    path = Path(path)
    writer, rate = writer_for(path, fps)
    check_frames(frames, path)
    with written_beside(path) as partial:
        writer(partial, frames, rate)
    return path


def writer_for(path: Path, fps: float | None) -> tuple[Writer, float]:
    """Finds what writes a clip (path, frames, rate) in the format of the path's ending, and the rate, 25 where None.

    Raises:
        UserError: if the ending is unknown or the rate is not positive.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        endings = ", ".join(sorted(suffix for suffix in _WRITERS if suffix))
        raise UserError(f"{path}: expected one of the endings {endings} or none, came {path.suffix!r}; rename it")
    rate = DEFAULT_FPS if fps is None else float(fps)
    if not 0.01 <= rate <= 1000:
        raise UserError(f"{path}: expected a frame rate between 0.01 and 1000, came {fps}; use for instance 25")
    return writer, rate


def write_image(path: str | Path, image: Frames) -> Path:
    """Writes one picture (H, W, 3) uint8 as PNG, JPEG or WebP, by the path's ending; nothing half-written stays.

    Raises:
        UserError: if the ending is unknown, the array is no picture, or the place is not writable.
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UserError(f"{path}: expected one of the endings .png, .jpg, .webp, came {path.suffix!r}; rename it")
    check_frames(image[None], path)
    with written_beside(path) as partial:
        save_picture(partial, image)
    return path


def check_frames(frames: Frames, path: Path) -> None:
    """Refuses what is no clip (T, H, W, 3) uint8, naming the path that it should go to."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise UserError(
            f"{path}: expected frames (T, H, W, 3) of uint8 with at least one frame, came {frames.shape} of "
            f"{frames.dtype}; convert them first"
        )


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Gives a temporary name of the same ending in the same folder; renames it on success, removes it on failure."""
    if kind_of(path) == "folder" and (path.suffix or folder_entries(path)):
        raise UserError(f"{path}: expected a place to write, came a folder in use; choose another name or empty it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=path.parent))
    except OSError as error:
        raise UserError(
            f"{path.parent}: expected a folder that can be written, came an error ({error.strerror}); choose another"
        ) from error
    try:
        partial = folder / path.name
        yield partial
        os.replace(partial, path)
    except (OSError, av.error.FFmpegError) as error:
        raise UserError(
            f"{path}: expected to write it, came an error ({_one_line(error)}); choose another place"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_h264(path: Path, frames: Frames, fps: float) -> None:
    frames = even_sides(frames)
    with av.open(str(path), "w", options=FILM_OPTIONS) as container:
        stream = add_h264(container, frames, fps)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = number, 1 / stream.codec_context.rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def even_sides(frames: Frames) -> Frames:
    """Repeats the border of frames (T, H, W, 3) of odd height or width: H.264 in yuv420p halves the chroma."""
    _, height, width, _ = frames.shape
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def add_h264(container: Any, frames: Frames, fps: float) -> Any:
    """Adds an H.264 stream for frames (T, H, W, 3) of even sides to an open container of PyAV; returns the stream."""
    stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(10_000))
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = "yuv420p"
    stream.options = {"crf": "16", "preset": "medium"}
    return stream


def _write_gif(path: Path, frames: Frames, fps: float) -> None:
    """Writes frames with one palette for the whole clip (no flicker); only the changed rectangle of each is stored.

    Assembled here because Pillow's own writer merges equal neighbours, which would change the number of frames.
    """
    indices, palette = _quantize(frames)
    count, height, width = indices.shape
    delays = _delays_ms(count, min(fps, 50.0), unit=10)
    with path.open("wb") as file:
        file.write(b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + b"\xf7\x00\x00" + palette)
        file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
        for t in range(count):
            top, bottom, left, right = (0, height, 0, width) if t == 0 else _changed(indices[t - 1], indices[t])
            part = Image.fromarray(np.ascontiguousarray(indices[t, top:bottom, left:right])).convert("P")
            part.putpalette(palette)
            file.writelines(GifImagePlugin.getdata(part, (left, top), duration=delays[t]))
        file.write(b";")


def _quantize(frames: Frames) -> tuple[Frames, bytes]:
    """Maps a clip to one palette of 256 colours: (T, H, W) indices and 768 bytes. At most 256 colours stay exact."""
    colors, counts = _count_colors(frames)
    indices = np.empty(frames.shape[:3], dtype=np.uint8)
    if len(colors) <= 256:
        table = np.zeros((256, 3), dtype=np.uint8)
        table[: len(colors)] = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=1)
        for t, frame in enumerate(frames):
            indices[t] = np.searchsorted(colors, _pack(frame))
        return indices, table.tobytes()
    flat = frames.reshape(-1, 3)
    sample = flat[:: max(1, len(flat) // _PALETTE_SAMPLE_PIXELS) | 1]  # odd, so that it walks through all columns
    palette = Image.fromarray(sample[None]).quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)
    table = np.frombuffer(bytes(palette.getpalette() or []).ljust(768, b"\0"), dtype=np.uint8).reshape(256, 3).copy()
    # A flat background keeps its colour: a white one that is nearly white shows.
    fixed = {}
    for color in colors[counts >= _FLAT_SHARE * indices.size]:
        exact = np.array([color >> 16, color >> 8 & 255, color & 255])
        fixed[int(color)] = int(np.abs(table - exact).sum(axis=1).argmin())
        table[fixed[int(color)]] = exact
    nearest = _nearest_colors(table)
    for t, frame in enumerate(frames):
        packed = _pack(frame)
        indices[t] = nearest[_coarse(packed)]
        for color, index in fixed.items():
            indices[t][packed == color] = index
    return indices, table.tobytes()


def _pack(picture: Frames) -> npt.NDArray[np.int32]:
    """Colours of a picture (H, W, 3) as one number each (H, W): red in the upper byte."""
    return (picture[..., 0].astype(np.int32) << 16) | (picture[..., 1].astype(np.int32) << 8) | picture[..., 2]


def _count_colors(frames: Frames) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint32]]:
    """The colours of a clip, packed and in order, and how often each occurs; frame by frame, for the sake of memory."""
    table = np.zeros(2**24, dtype=np.uint32)
    for frame in frames:
        colors, counts = np.unique(_pack(frame), return_counts=True)
        table[colors] += counts.astype(np.uint32)
    present = np.flatnonzero(table)
    return present, table[present]


def _coarse(packed: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Cell of each packed colour in a cube of 64 cells a side."""
    return (packed >> 18 << 12) | (packed >> 10 & 63) << 6 | (packed >> 2 & 63)


def _nearest_colors(table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Index of the nearest colour of a palette (256, 3) for the centre of every cell of the cube (Pillow's is coarser)."""
    side = np.arange(64) * 4 + 1.5
    cells = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    out: npt.NDArray[np.uint8] = cKDTree(table).query(cells)[1].astype(np.uint8)
    return out


def _changed(before: Frames, after: Frames) -> tuple[int, int, int, int]:
    """The rectangle (top, bottom, left, right) outside which two pictures are equal; one pixel where they all are."""
    rows, columns = np.nonzero(before != after)
    if not len(rows):
        return 0, 1, 0, 1
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


def _delays_ms(count: int, fps: float, *, unit: int) -> list[int]:
    """Whole multiples of `unit` milliseconds whose running sum follows t / fps as closely as it can."""
    ends = [round(1000 * t / (fps * unit)) for t in range(count + 1)]
    return [unit * (b - a) for a, b in pairwise(ends)]


def _write_webp(path: Path, frames: Frames, fps: float) -> None:
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(
        path,
        save_all=True,
        append_images=rest,
        duration=_delays_ms(len(frames), fps, unit=1),
        loop=0,
        quality=90,
        method=4,
    )


def _write_stacked(path: Path, frames: Frames, fps: float) -> None:
    check_stackable(path, *frames.shape[:3])
    save_picture(path, np.concatenate(list(frames), axis=1))


def check_stackable(path: Path, count: int, height: int, width: int) -> None:
    """Refuses what cannot be stacked into one picture: frames that are not square, or too many for a JPEG."""
    if height != width:
        raise UserError(
            f"{path.name}: expected square frames to stack, came {width}x{height}; crop them, or write .mp4 or .gif"
        )
    if count * width > _MAX_JPEG_SIDE and path.suffix.lower() != ".png":
        raise UserError(
            f"{path.name}: expected at most {_MAX_JPEG_SIDE} pixels of width in JPEG, came {count * width}; write .png"
        )


def _write_folder(path: Path, frames: Frames, fps: float) -> None:
    path.mkdir()
    for t, frame in enumerate(frames):
        save_picture(path / f"{t:05d}.png", frame)


def save_picture(path: Path, picture: Frames) -> None:
    """Writes a picture (H, W, 3) in the format of the path's ending, in place; for `written_beside`."""
    # Full chroma resolution: at 64 pixels a frame, halved chroma visibly bleeds from one stacked frame into the next.
    png = {"optimize": picture.nbytes < _SMALL_PICTURE}  # a contact sheet would take a second
    options: dict[str, dict[str, Any]] = {".png": png, ".webp": {"quality": 95}}
    jpeg: dict[str, Any] = {"quality": 95, "subsampling": 0}
    iio.imwrite(path, np.ascontiguousarray(picture), plugin="pillow", **options.get(path.suffix.lower(), jpeg))


_WRITERS: dict[str, Writer] = {
    ".mp4": _write_h264,
    ".m4v": _write_h264,
    ".mov": _write_h264,
    ".gif": _write_gif,
    ".webp": _write_webp,
    ".png": _write_stacked,
    ".jpg": _write_stacked,
    ".jpeg": _write_stacked,
    "": _write_folder,
}
