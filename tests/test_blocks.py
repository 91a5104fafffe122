"""Clips block by block: the same frames as when read or written whole, one block in memory, sound that stays in time."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from sound_films import even, flash_film, perceive, sound_packets

from monkeynet_edu.data import blocks as blocks_module
from monkeynet_edu.data.blocks import EVEN, read_blocks, read_clock, stated_length, write_blocks
from monkeynet_edu.data.sound import has_sound
from monkeynet_edu.data.video import Frames, read_video, write_video
from monkeynet_edu.errors import UserError

UNEVEN = np.cumsum([0, *[0.04] * 20, *[0.1] * 15, *[0.02] * 30]).tolist()
"""Times of 66 frames: 25, then 10, then 50 a second."""


def walking_dot(count: int, height: int = 32, width: int = 32) -> Frames:
    """A bright dot that walks over a gradient. At sides other than 16n libx264 writes other bytes now and then."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 0] = np.linspace(0, 90, width, dtype=np.uint8)
    for t in range(count):
        frames[t, (t // width * 3) % height, t % width] = (250, 240, 10)
    return frames


def cut(frames: Frames, length: int) -> Iterator[Frames]:
    """A clip in blocks."""
    return (frames[start : start + length] for start in range(0, len(frames), length))


def assert_same_clip(parts: Frames, whole: Frames, *, lossy: bool) -> None:
    """Equal, or as close as an encoder that need not repeat itself on every processor brings the same frames."""
    assert parts.shape == whole.shape
    if not lossy:
        assert np.array_equal(parts, whole)
        return
    apart = np.abs(parts[:, None].astype(float) - whole[None]).mean((2, 3, 4))  # (T, T): each frame against each
    assert (apart.diagonal() <= 0.5).all()
    assert (apart.argmin(1) == np.arange(len(whole))).all()


def turned(path: Path) -> Path:
    """Writes into a film of 24x24 that it is to be shown a quarter turn clockwise."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 24 * one, 0, 1 << 30)
    path.write_bytes(data)
    return path


# ---------------------------------------------------------------------------------------------------------------- read


@pytest.mark.parametrize("name", ["clip.mp4", "turned.mov", "clip.gif", "clip.webp", "clip.png", "folder"])
@pytest.mark.parametrize("length", [1, 7, 13, 14, 100])
def test_blocks_joined_are_the_clip_read_whole(tmp_path: Path, name: str, length: int) -> None:
    path = write_video(tmp_path / name, walking_dot(14), 12.5)
    if name == "turned.mov":
        turned(path)
    whole = read_video(path, size=16, how="pad")
    parts = list(read_blocks(path, size=16, how="pad", length=length))
    assert [len(part.frames) for part in parts] == [length] * (14 // length) + [14 % length] * (14 % length > 0)
    assert np.array_equal(np.concatenate([part.frames for part in parts]), whole.frames)
    assert (parts[-1].fps, parts[-1].name) == (whole.fps, whole.name)


def test_a_block_comes_before_the_next_one_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "clip.mp4", walking_dot(20), 10)
    decoded = []
    real = blocks_module.each_frame

    def counted(*arguments: object, **options: object) -> Iterator[tuple[Frames, float | None]]:
        for frame in real(*arguments, **options):
            decoded.append(1)
            yield frame

    monkeypatch.setattr(blocks_module, "each_frame", counted)
    coming = read_blocks(path, length=6)
    next(coming)
    assert len(decoded) == 6
    next(coming)
    assert len(decoded) == 12


def test_a_clip_of_one_frame_has_no_rate_but_a_last_block_of_one_frame_has(tmp_path: Path) -> None:
    one = write_video(tmp_path / "one.mp4", walking_dot(1), 10)
    assert [part.fps for part in read_blocks(one)] == [None] == [read_video(one).fps]
    more = write_video(tmp_path / "more.mp4", walking_dot(5), 10)
    assert [part.fps for part in read_blocks(more, length=4)] == [10, 10]


def test_a_length_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="block: expected at least 1 frame, came 0"):
        next(read_blocks(write_video(tmp_path / "clip.gif", walking_dot(2)), length=0))


def test_a_folder_whose_later_frame_is_damaged_is_refused_where_it_is_reached(tmp_path: Path) -> None:
    folder = write_video(tmp_path / "frames", walking_dot(9))
    (folder / "00007.png").write_bytes((folder / "00007.png").read_bytes()[:60])
    coming = read_blocks(folder, length=4)
    assert len(next(coming).frames) == 4
    with pytest.raises(UserError, match=r"00007\.png: expected"):
        next(coming)


def test_the_stated_length_is_the_containers_word(tmp_path: Path) -> None:
    frames = walking_dot(9)
    assert stated_length(write_video(tmp_path / "clip.mp4", frames, 10)) == 9
    assert stated_length(flash_film(tmp_path / "clip.mkv", even(30))) == pytest.approx(30, abs=6)  # by its duration
    assert stated_length(write_video(tmp_path / "folder", frames)) == 9
    assert stated_length(write_video(tmp_path / "clip.gif", frames)) is None


def test_even_frames_have_an_even_clock_and_others_their_times(tmp_path: Path) -> None:
    late = read_clock(flash_film(tmp_path / "even.mkv", even(30), delay=1.5), 30)
    assert (late.times, late.start) == (None, Fraction(3, 2))
    uneven = flash_film(tmp_path / "uneven.mp4", UNEVEN)
    assert read_clock(uneven, len(UNEVEN)).times == pytest.approx(UNEVEN, abs=1e-4)
    assert read_clock(uneven, len(UNEVEN) - 1).times is None  # which time belongs to which frame is not known
    assert read_clock(write_video(tmp_path / "clip.gif", walking_dot(3)), 3) == EVEN


# --------------------------------------------------------------------------------------------------------------- write


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.m4v", "a.gif", "a.webp", "a.png", "a.jpg", "folder"])
@pytest.mark.parametrize("length", [1, 6, 50])
def test_a_clip_written_in_blocks_is_the_clip_written_whole(tmp_path: Path, name: str, length: int) -> None:
    frames = walking_dot(13)
    whole = read_video(write_video(tmp_path / "whole" / name, frames, 12.5))
    assert write_blocks(tmp_path / "parts" / name, cut(frames, length), 12.5, length=13) == 13
    parts = read_video(tmp_path / "parts" / name)
    assert_same_clip(parts.frames, whole.frames, lossy=name.endswith((".mp4", ".mov", ".m4v")))
    assert parts.fps == whole.fps
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [name]


def test_an_odd_film_written_in_blocks_grows_by_the_same_pixel(tmp_path: Path) -> None:
    frames = walking_dot(5, 31, 47)
    whole = read_video(write_video(tmp_path / "whole.mp4", frames)).frames
    assert whole.shape == (5, 32, 48, 3)
    write_blocks(tmp_path / "parts.mp4", cut(frames, 2), length=5)
    assert_same_clip(read_video(tmp_path / "parts.mp4").frames, whole, lossy=True)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.png", "folder"])
def test_blocks_that_end_early_leave_a_whole_file_of_what_came(tmp_path: Path, name: str) -> None:
    frames = walking_dot(9)
    assert write_blocks(tmp_path / name, cut(frames, 4), 10, length=300) == 9
    assert len(read_video(tmp_path / name).frames) == 9


def test_a_block_is_encoded_before_the_next_one_is_asked_for(tmp_path: Path) -> None:
    sizes = []

    def blocks() -> Iterator[Frames]:
        noise = np.random.default_rng(0)
        for _ in range(4):
            sizes.append(sum(path.stat().st_size for path in tmp_path.rglob("*.png")))
            yield noise.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)

    write_blocks(tmp_path / "folder", blocks(), length=12)
    assert sizes == sorted(set(sizes))  # it grows with every block


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "folder"])
@pytest.mark.parametrize("fault", [UserError, KeyboardInterrupt, MemoryError])
def test_a_fault_between_two_blocks_leaves_the_place_as_it_was(
    tmp_path: Path, name: str, fault: type[BaseException]
) -> None:
    if name != "folder":
        (tmp_path / name).write_text("older")

    def blocks() -> Iterator[Frames]:
        yield walking_dot(4)
        raise fault

    with pytest.raises(fault):
        write_blocks(tmp_path / name, blocks(), length=8)
    assert [path.name for path in tmp_path.rglob("*")] == ([] if name == "folder" else [name])
    assert name == "folder" or (tmp_path / name).read_text() == "older"


def test_no_block_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.mp4: expected at least one frame"):
        write_blocks(tmp_path / "a.mp4", iter([]), length=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.jpg"])
def test_more_frames_than_fit_into_memory_are_refused_after_one_block_and_mp4_is_named(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks_module, "MOST_HELD", 10 * 32 * 32 * 3 + 5)
    given = []

    def blocks(count: int) -> Iterator[Frames]:
        for block in cut(walking_dot(count), 4):
            given.append(len(block))
            yield block

    with pytest.raises(UserError, match=rf"{name}: expected at most 10 frames of 32x32.*came 11; write \.mp4"):
        write_blocks(tmp_path / name, blocks(11), length=11)
    assert given == [4]
    assert list(tmp_path.iterdir()) == []
    assert write_blocks(tmp_path / name, blocks(10), length=10) == 10
    assert write_blocks(tmp_path / "a.mp4", blocks(11), length=11) == 11


def test_a_gif_of_ten_thousand_small_frames_is_not_refused() -> None:
    assert blocks_module.MOST_HELD > 10_000 * 64 * 64 * 3


def test_a_stack_too_wide_for_a_jpeg_is_refused_after_one_block(tmp_path: Path) -> None:
    given = []

    def blocks() -> Iterator[Frames]:
        for block in cut(walking_dot(20), 4):
            given.append(len(block))
            yield block

    with pytest.raises(UserError, match="at most 65500 pixels of width in JPEG, came 96000"):
        write_blocks(tmp_path / "a.jpg", blocks(), length=3000)
    assert given == [4]


def test_more_blocks_than_announced_are_refused_where_the_clip_is_held(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.gif: expected 5 frames, came more"):
        write_blocks(tmp_path / "a.gif", cut(walking_dot(6), 4), length=5)
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------------------------------- sound


def rewritten(source: Path, out: Path, frames: int | None = None) -> int:
    """Writes the pictures of a film, or the first of them, with its sound into another."""
    clip = read_video(source)
    clock = read_clock(source, len(clip.frames))
    return write_blocks(out, cut(clip.frames[:frames], 7), clip.fps, length=len(clip.frames), clock=clock, sound=source)


@pytest.mark.parametrize(
    ("name", "sound", "out", "codec"),
    [
        ("film.mp4", "aac", "out.mp4", "aac"),
        ("film.mkv", "libmp3lame", "out.mp4", "mp3"),
        ("film.mkv", "libopus", "out.mp4", "opus"),
        ("film.mkv", "libopus", "out.mov", "aac"),
        ("film.mkv", "pcm_s16le", "out.mp4", "aac"),
        ("film.mkv", "pcm_s16le", "out.mov", "pcm_s16le"),
        ("film.mkv", "libmp3lame", "out.m4v", "aac"),
    ],
)
def test_clicks_stay_with_flashes_and_the_sound_ends_with_the_pictures(
    tmp_path: Path, name: str, sound: str, out: str, codec: str
) -> None:
    source = flash_film(tmp_path / name, even(100), sound)
    assert rewritten(source, tmp_path / out, 60) == 60
    made = perceive(tmp_path / out)
    assert made.codec == codec
    assert made.times == pytest.approx(even(60), abs=1e-3)
    assert made.flashes == pytest.approx([0, 1, 2], abs=1e-3)
    assert made.clicks == pytest.approx([0, 1, 2], abs=5e-3)
    assert made.sound_ends == pytest.approx(60 / 25, abs=0.03)


def test_sound_that_the_container_takes_is_copied_byte_by_byte(tmp_path: Path) -> None:
    source = flash_film(tmp_path / "film.mkv", even(60), "libmp3lame")
    rewritten(source, tmp_path / "out.mp4")
    copied, given = sound_packets(tmp_path / "out.mp4"), sound_packets(source)
    assert len(copied) > 50
    assert copied == given[: len(copied)]


def test_clicks_stay_with_flashes_where_frames_come_unevenly(tmp_path: Path) -> None:
    source = flash_film(tmp_path / "film.mp4", UNEVEN)
    given = perceive(source)
    assert len(given.flashes) == 3
    assert rewritten(source, tmp_path / "out.mp4") == len(UNEVEN)
    made = perceive(tmp_path / "out.mp4")
    assert made.times == pytest.approx(given.times, abs=1e-3)
    assert made.flashes == pytest.approx(made.clicks, abs=5e-3)


@pytest.mark.parametrize(("sound", "out"), [("aac", "out.mp4"), ("pcm_s16le", "out.mp4")])
def test_clicks_stay_with_flashes_where_the_films_clock_begins_late(tmp_path: Path, sound: str, out: str) -> None:
    source = flash_film(tmp_path / "film.mkv", even(60), sound, delay=1.4)
    rewritten(source, tmp_path / out)
    made = perceive(tmp_path / out)
    assert made.flashes == pytest.approx([0, 1, 2], abs=1e-3)
    assert made.clicks == pytest.approx([0, 1, 2], abs=5e-3)


def test_sound_of_coarse_time_stamps_is_encoded_in_step(tmp_path: Path) -> None:
    source = flash_film(tmp_path / "film.avi", even(100), "libmp3lame", codec="mpeg4")
    given = perceive(source)
    rewritten(source, tmp_path / "out.m4v")
    made = perceive(tmp_path / "out.m4v")
    assert made.codec == "aac"
    assert made.clicks == pytest.approx(given.clicks, abs=5e-3)


def test_sound_shorter_than_the_pictures_is_no_fault(tmp_path: Path) -> None:
    source = flash_film(tmp_path / "film.mp4", even(30))
    frames = walking_dot(400)
    assert write_blocks(tmp_path / "out.mp4", cut(frames, 32), 25, length=400, sound=source) == 400
    made = perceive(tmp_path / "out.mp4")
    assert len(made.times) == 400
    assert made.sound_ends < 2


def test_damaged_sound_is_passed_over_and_the_pictures_are_whole(tmp_path: Path) -> None:
    source = flash_film(tmp_path / "film.mkv", even(100), "libmp3lame")
    data = bytearray(source.read_bytes())
    end = 0
    for number, packet in enumerate(sound_packets(source)):
        start = data.index(packet, end)
        end = start + len(packet)
        if 50 <= number < 70:  # from 1.2 to 1.7 seconds
            data[start:end] = bytes(len(packet))
    source.write_bytes(data)
    assert rewritten(source, tmp_path / "out.m4v") == 100
    made = perceive(tmp_path / "out.m4v")
    assert (len(made.times), made.flashes) == (100, pytest.approx([0, 1, 2, 3], abs=1e-3))
    assert made.clicks == pytest.approx([0, 1, 2, 3], abs=0.03)


def test_the_sound_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = flash_film(tmp_path / "film.mkv", even(100), "pcm_s16le")
    read = []
    real = av.container.input.InputContainer.demux
    from monkeynet_edu.data import sound

    class Counted:
        """An open film that counts its packets of sound."""

        def __init__(self, path: Path) -> None:
            self._film = av.open(str(path))

        def __getattr__(self, name: str) -> object:
            return getattr(self._film, name)

        def demux(self, stream: object) -> Iterator[object]:
            for packet in real(self._film, stream):
                read.append(1)
                yield packet

    monkeypatch.setattr(sound, "open_film", Counted)
    seen = []

    def blocks() -> Iterator[Frames]:
        for block in cut(walking_dot(100), 10):
            seen.append(len(read))
            yield block

    write_blocks(tmp_path / "out.mp4", blocks(), 25, length=100, sound=source)
    steps = np.diff(seen)
    assert seen[0] == 0
    assert steps.max() <= 3 * np.median(steps)


def test_only_films_with_sound_have_sound(tmp_path: Path) -> None:
    assert has_sound(flash_film(tmp_path / "loud.mp4", even(10)))
    assert not has_sound(flash_film(tmp_path / "silent.mp4", even(10), None))
    assert not has_sound(write_video(tmp_path / "a.gif", walking_dot(3)))
    assert not has_sound(write_video(tmp_path / "folder", walking_dot(3)))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert not has_sound(tmp_path / "a.png")
