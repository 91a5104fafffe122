from __future__ import annotations

import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from monkeynet_edu.data.containers import truncation
from monkeynet_edu.data.video import fit, read_image, read_video, to_frames, to_tensor, write_image, write_video
from monkeynet_edu.errors import UserError

CLIPS = Path(__file__).resolve().parents[1].parent / "shared" / "clips"


def moving_square(count: int = 8, height: int = 32, width: int = 32) -> np.ndarray:
    """A red square on a smooth background, moving one pixel right a frame."""
    y, x = np.mgrid[:height, :width]
    background = np.stack([x * 3, y * 3, 0 * x + 90], axis=-1).astype(np.uint8)
    frames = np.repeat(background[None], count, axis=0)
    for t in range(count):
        frames[t, 8:20, 2 + t : 14 + t] = (250, 20, 30)
    return frames


def flat_cartoon(count: int = 6) -> np.ndarray:
    """Few colours on white; frames 2 and 3 are equal."""
    frames = np.full((count, 24, 24, 3), 255, dtype=np.uint8)
    for t in range(count):
        shift = t if t < 3 else t - 1
        frames[t, 5:15, shift : shift + 8] = (10, 200, 60)
        frames[t, 7:9, shift + 2 : shift + 4] = (0, 0, 0)
    return frames


def refusal(action, *args, **kwargs) -> str:
    with pytest.raises(UserError) as caught:
        action(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    assert "expected" in message
    return message


@pytest.mark.parametrize("ending", [".mp4", ".m4v", ".mov"])
@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 12.5])
def test_a_film_keeps_frames_colours_and_rate(tmp_path, ending, fps):
    frames = moving_square()
    clip = read_video(write_video(tmp_path / f"clip{ending}", frames, fps))
    assert clip.name == "clip"
    assert clip.frames.shape == frames.shape
    assert clip.frames.dtype == np.uint8
    assert clip.fps == pytest.approx(fps, rel=1e-6)
    error = np.abs(clip.frames.astype(int) - frames)
    assert error.mean() < 6  # halved chroma blurs edges only
    inside = error[3, 10:18, 7:15]
    assert inside.mean() < 8


def test_an_odd_film_grows_by_one_repeated_pixel_and_is_not_resized(tmp_path):
    frames = moving_square(height=33, width=47)
    clip = read_video(write_video(tmp_path / "odd.mp4", frames, 20))
    assert clip.frames.shape == (8, 34, 48, 3)
    assert np.abs(clip.frames[:, :33, :47].astype(int) - frames).mean() < 4
    assert np.abs(clip.frames[:, 33].astype(int) - clip.frames[:, 32]).mean() < 6


def test_a_film_that_says_it_is_turned_comes_upright(tmp_path):
    path = write_video(tmp_path / "turned.mov", moving_square(), 25)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # version and flags, times, ids, layer …: the matrix stands at byte 40
    one = 1 << 16
    # Display matrix [a b u; c d v; x y w] of a quarter turn clockwise, as phones write it when held upright.
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 32 * one, 0, 1 << 30)
    path.write_bytes(data)
    upright = read_video(path).frames
    assert np.abs(upright.astype(int) - np.rot90(moving_square(), -1, axes=(1, 2))).mean() < 6


@pytest.mark.parametrize("fps", [5, 10, 25, 30, 50])
def test_a_gif_keeps_every_frame_and_its_running_time(tmp_path, fps):
    frames = moving_square(count=12)
    path = write_video(tmp_path / "clip.gif", frames, fps)
    clip = read_video(path)
    assert clip.frames.shape == frames.shape
    assert clip.fps == pytest.approx(fps, rel=0.02)
    with Image.open(path) as image:
        assert image.info["loop"] == 0
    assert np.abs(clip.frames.astype(int) - frames).mean() < 4


def test_a_gif_of_few_colours_is_exact_and_equal_neighbours_stay_apart(tmp_path):
    frames = flat_cartoon()
    assert (frames[2] == frames[3]).all()
    clip = read_video(write_video(tmp_path / "cartoon.gif", frames, 10))
    np.testing.assert_array_equal(clip.frames, frames)
    assert clip.fps == pytest.approx(10)


def test_a_gif_of_256_colours_is_exact(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    frames = np.stack([np.roll(colours, shift, axis=0).reshape(16, 16, 3) for shift in range(3)])
    np.testing.assert_array_equal(read_video(write_video(tmp_path / "many.gif", frames, 10)).frames, frames)


def test_a_gif_whose_delays_browsers_ignore_is_read_as_they_show_it(tmp_path):
    first, *rest = [Image.fromarray(frame) for frame in moving_square(count=3)]
    first.save(tmp_path / "zero.gif", save_all=True, append_images=rest)
    assert read_video(tmp_path / "zero.gif").fps == pytest.approx(10)


def test_a_webp_and_an_apng_keep_frames_and_rate(tmp_path):
    frames = moving_square()
    clip = read_video(write_video(tmp_path / "clip.webp", frames, 20))
    assert clip.frames.shape == frames.shape
    assert clip.fps == pytest.approx(20)
    assert np.abs(clip.frames.astype(int) - frames).mean() < 5
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(tmp_path / "clip.apng", format="PNG", save_all=True, append_images=rest, duration=40)
    moving_png = read_video(tmp_path / "clip.apng")
    np.testing.assert_array_equal(moving_png.frames, frames)
    assert moving_png.fps == pytest.approx(25)


@pytest.mark.parametrize("name", ["clip.png", "clip"])
def test_a_stacked_png_and_a_frame_folder_are_exact(tmp_path, name):
    frames = moving_square(count=11)
    path = write_video(tmp_path / name, frames)
    clip = read_video(path)
    np.testing.assert_array_equal(clip.frames, frames)
    assert clip.fps is None
    assert clip.name == "clip"


def test_a_stacked_jpeg_is_close(tmp_path):
    clip = read_video(write_video(tmp_path / "clip.jpg", moving_square()))
    assert np.abs(clip.frames.astype(int) - moving_square()).mean() < 3


def test_frames_of_a_folder_come_in_natural_order(tmp_path):
    for number in (10, 9, 1):
        write_image(tmp_path / f"frame{number}.png", np.full((4, 4, 3), number, dtype=np.uint8))
    (tmp_path / ".hidden.png").write_text("no picture")
    (tmp_path / "notes.txt").write_text("left out")
    assert read_video(tmp_path).frames[:, 0, 0, 0].tolist() == [1, 9, 10]


def test_what_a_file_is_counts_and_not_its_ending(tmp_path):
    write_video(tmp_path / "a.png", moving_square()).rename(tmp_path / "a.jpg")
    write_video(tmp_path / "b.gif", flat_cartoon(), 10).rename(tmp_path / "b.mp4")
    np.testing.assert_array_equal(read_video(tmp_path / "a.jpg").frames, moving_square())
    np.testing.assert_array_equal(read_video(tmp_path / "b.mp4").frames, flat_cartoon())


def test_grey_palette_and_sixteen_bit_pictures_give_the_same_grey(tmp_path):
    ramp = np.linspace(0, 255, 16).astype(np.uint8)
    grey = np.tile(ramp, (16, 1))
    expected = np.repeat(grey[..., None], 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for name in ("grey", "palette", "deep"):
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.png"), expected, err_msg=name)
        assert read_video(tmp_path / f"{name}.png").frames.shape == (1, 16, 16, 3)
    Image.fromarray(grey > 127).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png")[0, :, 0], np.where(ramp > 127, 255, 0))


def test_transparent_pixels_become_white_whatever_lies_beneath(tmp_path):
    rgba = np.zeros((2, 2, 4), dtype=np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    rgba[0, 1] = (200, 0, 0, 0)
    rgba[1, 0] = (0, 0, 0, 128)
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    picture = read_image(tmp_path / "alpha.png")
    assert picture[0, 0].tolist() == [10, 20, 30]
    assert picture[0, 1].tolist() == [255, 255, 255]
    assert picture[1, 0].tolist() == [127, 127, 127]
    Image.fromarray(rgba[..., [0, 3]].copy(), mode=None).convert("LA").save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png")[0, 1].tolist() == [255, 255, 255]
    indexed = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    indexed.putpalette([9, 9, 9, 50, 60, 70])
    indexed.save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png")[0].tolist()[0] == [255, 255, 255]


def test_exif_orientation_is_obeyed(tmp_path):
    picture = np.zeros((20, 30, 3), dtype=np.uint8)
    picture[:, :10] = 250
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turn: show it turned clockwise
    Image.fromarray(picture).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    upright = read_image(tmp_path / "phone.jpg")
    assert upright.shape == (30, 20, 3)
    assert upright[:8].mean() > 240
    assert upright[12:].mean() < 10


def test_a_source_picture_may_be_stacked_wide_tall_or_a_clip(tmp_path):
    frames = moving_square()
    np.testing.assert_array_equal(read_image(write_video(tmp_path / "stack.png", frames)), frames[0])
    np.testing.assert_array_equal(read_image(write_video(tmp_path / "folder", frames)), frames[0])
    np.testing.assert_array_equal(read_image(write_video(tmp_path / "a.gif", flat_cartoon(), 10)), flat_cartoon()[0])
    assert read_image(write_video(tmp_path / "film.mp4", frames, 25)).shape == (32, 32, 3)
    for shape in ((20, 30, 3), (40, 20, 3)):
        assert read_image(write_image(tmp_path / "photo.png", np.zeros(shape, dtype=np.uint8))).shape == shape


def test_a_photograph_asked_for_as_a_clip_is_refused_with_both_numbers(tmp_path):
    write_image(tmp_path / "photo.png", np.zeros((480, 640, 3), dtype=np.uint8))
    message = refusal(read_video, tmp_path / "photo.png")
    assert "640" in message
    assert "480" in message
    assert "photo.png" in message


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".gif", ".webp", ".png", ".jpg"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, ending, share):
    noise = np.random.default_rng(0).integers(0, 255, (10, 32, 32, 3), dtype=np.uint8)
    path = write_video(tmp_path / f"cut{ending}", noise, 25)
    read_video(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert path.name in refusal(read_video, path)


@pytest.mark.parametrize(("ending", "codec"), [(".avi", "mpeg4"), (".webm", "libvpx")])
def test_other_films_are_read_and_their_truncation_noticed(tmp_path, ending, codec):
    path = tmp_path / f"other{ending}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for frame in moving_square(count=10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    clip = read_video(path)
    assert clip.frames.shape == (10, 32, 32, 3)
    assert clip.fps == pytest.approx(24)
    assert truncation(path) is None
    path.write_bytes(path.read_bytes()[:-4])
    assert "truncated" in refusal(read_video, path)


def test_a_gif_that_lacks_nothing_but_its_trailer_is_refused(tmp_path):
    path = write_video(tmp_path / "cut.gif", flat_cartoon(), 10)
    path.write_bytes(path.read_bytes()[:-1])
    assert "last block" in refusal(read_video, path)


def test_lengths_of_large_films_are_understood(tmp_path):
    """A box longer than 4 GiB states 1 and then its length in 64 bits; a length of 0 runs to the end."""
    start = struct.pack(">I4s8x", 16, b"ftyp")
    path = tmp_path / "large.mp4"
    for box, expected in ((struct.pack(">I4sQ", 1, b"mdat", 24), None), (struct.pack(">I4s8x", 0, b"mdat"), None)):
        path.write_bytes(start + box + bytes(8))
        assert truncation(path) is expected
    path.write_bytes(start + struct.pack(">I4sQ", 1, b"mdat", 25) + bytes(8))
    assert truncation(path) == "it states 41 bytes and has 40"


def test_an_animation_with_fewer_frames_than_it_states_is_refused(tmp_path):
    first, *rest = [Image.fromarray(frame) for frame in moving_square()]
    path = tmp_path / "lies.png"
    first.save(path, save_all=True, append_images=rest, duration=40)
    data = bytearray(path.read_bytes())
    chunk = data.index(b"acTL")
    data[chunk + 4 : chunk + 8] = struct.pack(">I", 9)
    data[chunk + 12 : chunk + 16] = struct.pack(">I", zlib.crc32(data[chunk : chunk + 12]))
    path.write_bytes(data)
    assert "lies.png" in refusal(read_video, path)


def test_a_film_damaged_in_the_middle_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (10, 64, 64, 3), dtype=np.uint8)
    path = write_video(tmp_path / "holed.mp4", noise, 25)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    refusal(read_video, path)


def test_a_film_whose_title_is_not_utf8_is_read_all_the_same(tmp_path):
    path = write_video(tmp_path / "latin.mp4", moving_square(), 25)
    assert b"Lavf" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"\xdcavf"))
    assert read_video(path).frames.shape == (8, 32, 32, 3)


def test_a_film_without_frames_is_refused(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    assert "without pictures" in refusal(read_video, path)


def test_what_is_no_clip_is_refused_and_named(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.png").write_text("this is a letter, not a picture")
    (tmp_path / "text.mp4").write_text("this is a letter, not a film, however long it may be")
    (tmp_path / "bare").mkdir()
    assert "nothing there" in refusal(read_video, tmp_path / "missing.mp4")
    assert "empty file" in refusal(read_video, tmp_path / "empty.mp4")
    assert "picture's name" in refusal(read_video, tmp_path / "text.png")
    assert "picture's name" in refusal(read_image, tmp_path / "text.png")
    assert "text.mp4" in refusal(read_video, tmp_path / "text.mp4")
    assert "without pictures" in refusal(read_video, tmp_path / "bare")


def test_a_folder_of_frames_of_two_sizes_is_refused_with_both(tmp_path):
    write_image(tmp_path / "1.png", np.zeros((8, 8, 3), dtype=np.uint8))
    write_image(tmp_path / "2.png", np.zeros((9, 8, 3), dtype=np.uint8))
    message = refusal(read_video, tmp_path)
    assert "8x8" in message
    assert "8x9" in message
    assert "2.png" in message


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    write_image(tmp_path / "big.png", np.zeros((64, 64, 3), dtype=np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "huge" in refusal(read_image, tmp_path / "big.png")


def test_writing_bad_frames_or_to_a_bad_place_leaves_nothing_behind(tmp_path):
    frames = moving_square()
    assert ".gif" in refusal(write_video, tmp_path / "clip.mpq", frames, 25)
    assert "float" in refusal(write_video, tmp_path / "clip.mp4", frames.astype(np.float32), 25)
    assert "(0, 32, 32, 3)" in refusal(write_video, tmp_path / "clip.mp4", frames[:0], 25)
    assert "frame rate" in refusal(write_video, tmp_path / "clip.mp4", frames, 0)
    assert "square" in refusal(write_video, tmp_path / "clip.png", frames[:, :20])
    assert "JPEG" in refusal(write_video, tmp_path / "clip.jpg", np.zeros((700, 100, 100, 3), dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    refusal(write_video, tmp_path / "file" / "clip.gif", frames, 25)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    assert "in use" in refusal(write_video, tmp_path / "full", frames)
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"


def test_fit_crops_the_centre_pads_the_border_and_leaves_the_right_size_alone():
    wide = np.zeros((2, 10, 30, 3), dtype=np.uint8)
    wide[:, :, 10:20] = 200
    wide[:, :, 20:] = 90
    assert (fit(wide, 10, "crop") == 200).all()
    wide[1] += 1  # the filling does not flicker: the first frame decides
    padded = fit(wide, 30, "pad")
    assert padded.shape == (2, 30, 30, 3)
    np.testing.assert_array_equal(padded[:, 10:20], wide)
    assert (padded[:, :10] == 90).all()  # the median of 0, 200 and 90, ten pixels of each
    assert (padded[:, 20:] == 90).all()
    tall = np.zeros((12, 4, 3), dtype=np.uint8)
    tall[4:8] = 100
    assert (fit(tall, 4, "crop") == 100).all()
    square = moving_square()
    assert fit(square, 32) is square
    assert np.abs(fit(square, 16).mean(axis=(1, 2)) - square.mean(axis=(1, 2))).max() < 2
    assert "crop or pad" in refusal(fit, square, 16, "stretch")
    assert "positive" in refusal(fit, square, 0)


def test_frames_are_fitted_while_a_film_is_read(tmp_path):
    path = write_video(tmp_path / "film.mp4", moving_square(height=32, width=48), 25)
    assert read_video(path, size=16).frames.shape == (8, 16, 16, 3)
    np.testing.assert_array_equal(read_video(path, size=16, how="pad").frames, fit(read_video(path).frames, 16, "pad"))


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the authors' sample clips are not here")
def test_the_authors_clips_are_read_whatever_they_are_called():
    assert read_video(CLIPS / "actions/test/00000002.jpg").frames.shape == (61, 64, 64, 3)
    assert read_video(CLIPS / "mgif_driving.png").frames.shape == (26, 128, 128, 3)
    assert read_video(CLIPS / "shapes/00000000.png").frames.shape == (32, 64, 64, 3)
    source = read_image(CLIPS / "mgif_source.png")
    assert source.shape == (128, 128, 3)
    assert (source[:20] == 255).all()


def test_frames_become_tensors_and_come_back_exactly() -> None:
    frames = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3) * 3
    video = to_tensor(frames)
    assert video.shape == (2, 3, 3, 4)
    assert video[1, 2, 0, 3] == frames[1, 0, 3, 2] / np.float32(255)
    np.testing.assert_array_equal(to_frames(video), frames)
    assert to_frames(video * 0 + 2).min() == 255
    assert to_frames(video * 0 - 1).max() == 0


def test_a_flat_white_background_stays_white_in_a_gif_of_many_colours(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = np.full((4, 64, 64, 3), 255, dtype=np.uint8)
    frames[:, 20:44, 20:44] = rng.integers(0, 256, (4, 24, 24, 3))
    write_video(tmp_path / "a.gif", frames, 10)
    assert (read_video(tmp_path / "a.gif").frames[:, :20] == 255).all()
