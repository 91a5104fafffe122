"""Pictures: right pixel, right colour, right words."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from monkeynet_edu import viz
from monkeynet_edu.errors import UserError


def gray(height: int = 12, width: int = 20, value: float = 0.5) -> torch.Tensor:
    return torch.full((3, height, width), value)


def centre_of(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def is_color(picture: np.ndarray, color: np.ndarray) -> np.ndarray:
    return np.asarray((picture == color).all(axis=-1))


# --- to_uint8 --------------------------------------------------------------------------------------------------------


def test_to_uint8_moves_channels_last_and_rounds() -> None:
    image = torch.zeros(3, 2, 5)
    image[0, 1, 4], image[1, 0, 0], image[2] = 1.0, 0.5, -3.0
    pixels = viz.to_uint8(image)
    assert (pixels.shape, pixels.dtype) == ((2, 5, 3), np.uint8)
    assert pixels[1, 4].tolist() == [255, 0, 0]
    assert pixels[0, 0].tolist() == [0, 128, 0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_to_uint8_takes_every_float_type_with_gradient(dtype: torch.dtype) -> None:
    image = torch.ones(3, 4, 6, dtype=dtype, requires_grad=True)
    assert (viz.to_uint8(image) == 255).all()


def test_to_uint8_repeats_grey_and_keeps_pixels() -> None:
    ramp = np.linspace(0, 1, 6).reshape(2, 3)
    assert viz.to_uint8(ramp)[0, 2].tolist() == viz.to_uint8(ramp[None])[0, 2].tolist() == [102, 102, 102]
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    assert (viz.to_uint8(pixels) == pixels).all()
    assert (viz.to_uint8(torch.tensor(pixels).permute(2, 0, 1)) == pixels).all()


def test_to_uint8_shows_what_is_not_finite_in_magenta() -> None:
    image = gray(2, 3)
    image[1, 0, 2], image[0, 1, 1] = float("nan"), float("inf")
    pixels = viz.to_uint8(image)
    magenta = is_color(pixels, np.array([255, 0, 255]))
    assert np.argwhere(magenta).tolist() == [[0, 2], [1, 1]]


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (2, 4, 4), (4, 4, 3), (4,)])
def test_to_uint8_refuses_other_shapes_in_one_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="expected") as caught:
        viz.to_uint8(torch.zeros(shape))
    assert str(shape) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- keypoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "column"), [(-1.0, 0), (1.0, 40), (0.5, 30)])
@pytest.mark.parametrize(("y", "row"), [(-1.0, 0), (1.0, 24), (-0.5, 6)])
def test_a_keypoint_is_drawn_around_the_centre_of_its_pixel(x: float, column: int, y: float, row: int) -> None:
    # Width 41: x = -1, 0.5, 1 are the centres of columns 0, 30, 40. In a picture 6 times as large, the centre of
    # column j is at 6j + 2.5. A margin of 5 pixels around the same lattice keeps the discs at the border whole.
    height, width, scale, margin = 25, 41, 6, 5
    wide = ((width - 1) / (width - 1 + 2 * margin), (height - 1) / (height - 1 + 2 * margin))
    image = gray(height + 2 * margin, width + 2 * margin)
    picture = viz.draw_keypoints(image, torch.tensor([[x * wide[0], y * wide[1]]], dtype=torch.float64), scale=scale)
    changed = (picture != 128).any(axis=-1)
    wanted = ((column + margin + 0.5) * scale - 0.5, (row + margin + 0.5) * scale - 0.5)
    assert centre_of(changed) == pytest.approx(wanted, abs=0.05)


def test_drawing_keypoints_enlarges_the_image_and_nothing_else() -> None:
    picture = viz.draw_keypoints(gray(12, 20, 0.2), np.zeros((0, 2)), scale=3)
    assert (picture.shape, picture.dtype) == ((36, 60, 3), np.uint8)
    assert (picture == 51).all()


def test_every_keypoint_has_its_colour_and_its_number() -> None:
    same = np.tile([[0.0, 0.0]], (1, 1))
    pictures = [viz.draw_keypoints(gray(32, 32), np.vstack([np.full((k, 2), np.nan), same])) for k in range(3)]
    colors = viz.keypoint_colors(3)
    for picture, color in zip(pictures, colors, strict=True):
        assert is_color(picture, color).sum() > 40
    numbers = [is_color(picture, color) for picture, color in zip(pictures, colors, strict=True)]
    assert (numbers[0] != numbers[1]).any()
    assert (numbers[1] != numbers[2]).any()


def test_the_number_of_a_keypoint_in_the_corner_is_still_whole() -> None:
    # In white on dark blue, where nothing else is white. Nearly all of its ink is there, unlike when it is cut off.
    mean = np.full((5, 2), np.nan)
    mean[4] = 0
    whole = (viz.draw_keypoints(gray(32, 32), mean).min(axis=-1) > 170).sum()
    mean[4] = -1
    corner = (viz.draw_keypoints(gray(32, 32), mean).min(axis=-1) > 170).sum()
    assert corner >= 0.8 * whole > 5


def test_points_outside_or_not_finite_leave_the_picture_alone() -> None:
    mean = np.array([[3.0, 0.0], [0.0, -5.0], [np.nan, 0.0], [np.inf, 0.0]])
    cov = np.tile(np.eye(2) * 0.01, (4, 1, 1))
    cov[2:] = np.nan
    assert (viz.draw_keypoints(gray(), mean, cov) == 128).all()


def test_the_ellipse_lies_two_standard_deviations_away() -> None:
    # Variances 0.04 and 0.01: radii 0.4 and 0.2 in units of half the distance between the corner pixels' centres.
    # 101 x 81 pixels, twice as large: 0.4 * 50 * 2 = 40 to the right and 0.2 * 40 * 2 = 16 down, from (100.5, 80.5).
    cov = np.array([[[0.04, 0.0], [0.0, 0.01]]])
    picture = viz.draw_keypoints(gray(81, 101), [[0.0, 0.0]], cov, scale=2)
    outline = is_color(picture, viz.keypoint_colors(1)[0])
    rows, columns = np.nonzero(outline)
    assert columns.max() - 100.5 == pytest.approx(40, abs=1.1)
    assert 100.5 - columns.min() == pytest.approx(40, abs=1.1)
    assert rows.max() - 80.5 == pytest.approx(16, abs=1.1)


def test_a_slanted_ellipse_slants_the_way_of_its_covariance() -> None:
    # x and y grow together and y points down: the long axis runs from the top left to the bottom right.
    cov = np.array([[[0.04, 0.035], [0.035, 0.04]]])
    outline = is_color(viz.draw_keypoints(gray(64, 64), [[0.0, 0.0]], cov), viz.keypoint_colors(1)[0])
    assert outline[:100, :100].sum() > 20
    assert outline[:100, 156:].sum() == 0


def test_a_covariance_without_extent_is_no_accident() -> None:
    with np.errstate(all="raise"):
        assert viz.draw_keypoints(gray(), [[0.0, 0.0]], np.zeros((1, 2, 2))).shape == (48, 80, 3)


@pytest.mark.parametrize(
    ("mean", "cov", "scale", "word"),
    [
        (np.zeros((1, 3, 2)), None, 4, "mean"),
        (np.zeros((3, 2)), np.zeros((2, 2, 2)), 4, "cov"),
        (np.zeros((3, 2)), None, 0, "scale"),
        (np.zeros((3, 2)), None, 1.5, "scale"),
    ],
)
def test_keypoints_of_another_shape_are_refused(mean: np.ndarray, cov: np.ndarray | None, scale: int, word: str) -> None:
    with pytest.raises(UserError, match=f"^{word}: expected"):
        viz.draw_keypoints(gray(), mean, cov, scale=scale)


@pytest.mark.parametrize(("count", "apart"), [(11, 80), (20, 30)])
def test_colours_of_keypoints_are_all_apart(count: int, apart: int) -> None:
    colors = viz.keypoint_colors(count).astype(int)
    distance = np.abs(colors[:, None] - colors[None]).sum(axis=-1) + 1000 * np.eye(count, dtype=int)
    assert distance.min() >= apart


# --- flow ------------------------------------------------------------------------------------------------------------


def test_flow_colours_are_those_of_the_middlebury_wheel() -> None:
    # Steps of 55 from red: right is 0; left is 27.5, between cyan (25) and blue (36): green 1 - 2.5/11; down is 13.75,
    # between red and yellow (15); up is 41.25, between blue (36) and magenta (49).
    field = np.array([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.0, 0.0]]])
    wanted = [
        [255, 0, 0],
        [0, round(255 * (1 - 2.5 / 11)), 255],
        [255, round(255 * 13.75 / 15), 0],
        [round(255 * 5.25 / 13), 0, 255],
        [255, 255, 255],
    ]
    assert viz.flow_to_rgb(field)[0].tolist() == wanted


def test_flow_is_taken_channels_first_and_last() -> None:
    field = np.random.default_rng(0).normal(size=(5, 7, 2))
    assert (viz.flow_to_rgb(field) == viz.flow_to_rgb(torch.tensor(field).permute(2, 0, 1))).all()


def test_flow_saturation_is_relative_to_the_given_length() -> None:
    field = np.array([[[1.0, 0.0], [2.0, 0.0], [4.0, 0.0]]])
    assert viz.flow_to_rgb(field, max_magnitude=2)[0].tolist() == [[255, 128, 128], [255, 0, 0], [191, 0, 0]]
    assert viz.flow_to_rgb(field)[0, 2].tolist() == [255, 0, 0]


def test_the_longest_vector_of_any_direction_is_not_darkened() -> None:
    for angle in np.linspace(0, 2 * np.pi, 50):
        field = np.array([[[np.cos(angle), np.sin(angle)], [0.0, 0.0]]]) * 3.7
        assert viz.flow_to_rgb(field)[0, 0].max() == 255


def test_no_flow_is_white_and_flow_that_is_not_finite_is_black() -> None:
    field = np.zeros((2, 3, 4))
    assert (viz.flow_to_rgb(field) == 255).all()
    field[0, 1, 2] = np.nan
    black = is_color(viz.flow_to_rgb(field), np.zeros(3))
    assert np.argwhere(black).tolist() == [[1, 2]]


def test_flow_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match="flow: expected"):
        viz.flow_to_rgb(torch.zeros(1, 2, 4, 4))


def test_the_wheel_is_white_in_the_middle_and_outside_and_red_at_the_right() -> None:
    wheel = viz.flow_wheel(65)
    assert wheel[32, 32].tolist() == wheel[0, 0].tolist() == [255, 255, 255]
    assert wheel[32, 64].tolist() == [255, 0, 0]


# --- masks, heatmaps, errors -----------------------------------------------------------------------------------------


def three_masks() -> np.ndarray:
    """Background on the left third, part 0 in the middle, part 1 on the right; 30 x 36."""
    masks = np.zeros((3, 30, 36))
    masks[0, :, :12], masks[1, :, 12:24], masks[2, :, 24:] = 1, 1, 1
    return masks


def test_masks_wear_the_colours_of_their_keypoints_and_the_background_is_grey() -> None:
    picture = viz.masks_to_rgb(torch.tensor(three_masks()), scale=2)
    assert picture.shape == (60, 72, 3)
    assert picture[2, 2].tolist() == [96, 96, 96]
    assert picture[2, 40].tolist() == viz.keypoint_colors(2)[0].tolist()
    assert picture[2, 60].tolist() == viz.keypoint_colors(2)[1].tolist()


def test_the_numbers_of_masks_stand_in_the_middle_of_their_parts() -> None:
    # Middle of the 12 columns of part 0 is 17.5; the nearest pixels are 17 and 18. Rows 0 to 29: 14 or 15.
    picture = viz.masks_to_rgb(three_masks(), scale=4)
    part = (picture != viz.keypoint_colors(2)[0]).any(axis=-1)[:, 48:96]
    column, row = centre_of(part)
    assert abs(column + 48 - 71.5) <= 2.6
    assert abs(row - 59.5) <= 2.6


def test_a_part_that_is_nowhere_the_strongest_has_no_number() -> None:
    masks = np.zeros((2, 10, 10))
    masks[0], masks[1] = 0.75, 0.25
    picture = viz.masks_to_rgb(masks)
    assert (picture == picture[0, 0]).all()


def test_half_a_mask_is_half_the_colour() -> None:
    picture = viz.masks_to_rgb(np.full((2, 30, 30), 0.5), scale=1)
    mixed = (np.array([96, 96, 96]) + viz.keypoint_colors(1)[0]) / 2
    assert np.abs(picture[0, 0] - mixed).max() <= 0.5


def test_heatmaps_glow_at_their_peaks_whatever_their_scale() -> None:
    maps = np.zeros((2, 30, 40))
    maps[0, 5, 10], maps[1, 20, 30] = 1e-4, 300.0
    picture = viz.heatmaps_to_rgb(maps, scale=4)
    assert picture.shape == (120, 160, 3)
    for k, (row, column) in enumerate([(5, 10), (20, 30)]):
        found = centre_of(is_color(picture, viz.keypoint_colors(2)[k]))
        assert found == pytest.approx((4 * column + 1.5, 4 * row + 1.5), abs=1.0)


def test_a_faint_heatmap_glows_as_brightly_as_a_strong_one() -> None:
    # Blocks far larger than the disc with the number, looked at away from it.
    maps = np.zeros((2, 30, 60))
    maps[0, :, :28], maps[1, :, 32:] = 1e-4, 300.0
    picture = viz.heatmaps_to_rgb(maps)
    assert (picture[100, [60, 180]] == viz.keypoint_colors(2)).all()


def test_a_heatmap_of_zeros_is_black_and_unnumbered() -> None:
    assert (viz.heatmaps_to_rgb(np.zeros((3, 8, 8))) == 0).all()


def test_the_error_map_is_darkest_for_equal_and_grows_lighter_with_the_error() -> None:
    errors = torch.linspace(0, 0.6, 7).expand(3, 2, 7)
    picture = viz.error_map(errors, torch.zeros(3, 2, 7))
    lightness = picture[0].astype(float) @ (0.299, 0.587, 0.114)
    assert picture[0, 0].tolist() == [0, 0, 4]
    assert (np.diff(lightness[:6]) > 10).all()
    assert picture[0, 5].tolist() == picture[0, 6].tolist()
    assert (viz.error_map(torch.zeros(3, 2, 7), errors) == picture).all()


def test_the_error_map_refuses_images_of_two_sizes() -> None:
    with pytest.raises(UserError, match="20x12 and 12x20"):
        viz.error_map(gray(12, 20), gray(20, 12))


# --- contact sheet ---------------------------------------------------------------------------------------------------


def test_the_grid_shows_every_image_whole() -> None:
    rng = np.random.default_rng(0)
    images = [[rng.integers(0, 250, (h, w, 3)).astype(np.uint8) for h, w in row] for row in ([(8, 9), (20, 5)], [(7, 30)])]
    sheet = viz.grid([[images[0][0], images[0][1]], [images[1][0], None]], gap=2)
    # Columns of 30 and 5 pixels, rows of 20 and 7, gaps of 2 all around.
    assert sheet.shape == (2 + 20 + 2 + 7 + 2, 2 + 30 + 2 + 5 + 2, 3)
    assert (sheet[8:16, 12:21] == images[0][0]).all()
    assert (sheet[2:22, 34:39] == images[0][1]).all()
    assert (sheet[24:31, 2:32] == images[1][0]).all()
    assert (sheet[24:31, 34:] == 255).all()


@pytest.mark.parametrize("text", ["g", "source", "Wq" * 40, "a label of many words " * 6, "two\nlines", "jgpqy|"])
def test_no_label_is_cut_off(text: str) -> None:
    tile = np.full((16, 16, 3), 255, np.uint8)
    sheet = viz.grid([[tile], [tile]], row_labels=[text, "b"], column_labels=[text], title=text, gap=3)
    edge = np.concatenate([sheet[:3].ravel(), sheet[-3:].ravel(), sheet[:, :3].ravel(), sheet[:, -3:].ravel()])
    assert (edge == 255).all()
    # As much ink as the same labels have on a sheet that is far too large to cut anything.
    wide = np.full((400, 1200, 3), 255, np.uint8)
    alone = (viz.grid([[tile]], title=text) < 128).sum()
    roomy = (viz.grid([[wide]], title=text) < 128).sum()
    assert alone == pytest.approx(roomy, rel=0.03)


@pytest.mark.parametrize("text", ["g", "jgpqy|", "Source"])
def test_a_label_has_all_the_ink_of_its_letters(text: str) -> None:
    page = Image.new("L", (300, 100), "white")
    ImageDraw.Draw(page).text((100, 40), text, font=ImageFont.load_default(30), fill=20)
    sheet = viz.grid([[np.full((9, 9, 3), 255, np.uint8)]], column_labels=[text], font_size=30)
    assert (sheet[..., 0] < 128).sum() == pytest.approx((np.asarray(page) < 128).sum(), rel=0.01)


def test_long_labels_are_wrapped_and_a_title_that_fits_is_not() -> None:
    tile = np.full((200, 300, 3), 200, np.uint8)
    plain = viz.grid([[tile]])
    assert viz.grid([[tile]], row_labels=["many words " * 9]).shape[1] < plain.shape[1] + 160
    assert viz.grid([[tile]], column_labels=["many words " * 9]).shape[1] == plain.shape[1]
    one_word, three_words = viz.grid([[tile]], title="words"), viz.grid([[tile]], title="words words words")
    assert three_words.shape == one_word.shape


def test_labels_stand_beside_their_rows_and_over_their_columns() -> None:
    tile = np.full((30, 40, 3), 200, np.uint8)
    plain, labelled = (
        viz.grid([[tile, tile]]),
        viz.grid([[tile, tile]], row_labels=["row"], column_labels=["", "second"]),
    )
    assert labelled.shape[0] > plain.shape[0]
    assert labelled.shape[1] > plain.shape[1]
    ink = (labelled < 100).all(axis=-1)
    tiles = np.nonzero((labelled == 200).all(axis=-1).any(axis=0))[0]
    top = np.nonzero((labelled == 200).all(axis=-1).any(axis=1))[0].min()
    assert ink[top:, : tiles.min()].any()
    assert ink[:top, tiles.max() - 39 :].any()
    assert not ink[:top, : tiles.min() + 40].any()


@pytest.mark.parametrize(
    ("rows", "labels"),
    [([], {}), ([[]], {}), ([["x"]], {"row_labels": ["a", "b"]}), ([["x"]], {"column_labels": ["a", "b"]})],
)
def test_a_grid_of_nothing_or_of_other_labels_is_refused(rows: list[list[str]], labels: dict[str, list[str]]) -> None:
    tiles = [[gray() for _ in row] for row in rows]
    with pytest.raises(UserError, match=r"^grid: expected"):
        viz.grid(tiles, **labels)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_a_picture_is_saved_whole_with_its_text_inside(tmp_path: Path) -> None:
    picture = viz.figure_images([gray()], ["source"])
    path = picture.save(tmp_path / "a.png")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    with Image.open(path) as image:
        assert image.text["Description"] == picture.alt


def test_a_picture_that_cannot_be_written_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere") as caught:
        viz.figure_images([gray()], ["source"]).save(tmp_path / "nowhere" / "a.png")
    assert "\n" not in str(caught.value)


def test_a_notebook_gets_the_picture_with_its_text() -> None:
    picture = viz.figure_images([gray()], ["source"]).with_alt('a "quoted" <text>')
    kind, file, alt = tag(picture._repr_html_())
    assert (kind, alt) == ("webp", "a &quot;quoted&quot; &lt;text&gt;")
    np.testing.assert_array_equal(pixels_of(file), pixels_of(picture.png()))


def tag(markup: str) -> tuple[str, bytes, str]:
    """Kind, bytes and text of an image in HTML."""
    shown = re.fullmatch(r'<img src="data:image/(\w+);base64,([^"]+)" alt="([^"]+)"/>', markup)
    assert shown is not None
    return shown[1], base64.b64decode(shown[2]), shown[3]


def pixels_of(file: bytes) -> np.ndarray:
    """What a browser shows of an image file, transparency included."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGBA"))


def png_of(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [1, 3, 4], ids=["grey", "colour", "transparent"])
def test_html_holds_every_pixel_of_a_png(channels: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, channels), np.uint8)
    png = png_of(noise.squeeze(2) if channels == 1 else noise)
    kind, file, _ = tag(viz.image_tag(png, "noise"))
    assert kind == "webp"
    np.testing.assert_array_equal(pixels_of(file), pixels_of(png))


def test_a_figure_takes_less_room_in_html_than_as_a_png() -> None:
    picture = viz.figure_images([gray()], ["source"])
    assert len(tag(picture._repr_html_())[1]) < 0.8 * len(picture.png())


@pytest.mark.parametrize(("width", "kind"), [(16383, "webp"), (16384, "png")])
def test_a_picture_too_long_for_a_webp_stays_a_png(width: int, kind: str) -> None:
    png = png_of(np.zeros((1, width, 3), np.uint8))
    said, file, _ = tag(viz.image_tag(png, "long"))
    assert said == kind
    np.testing.assert_array_equal(pixels_of(file), pixels_of(png))


def test_a_film_in_html_is_the_file_itself() -> None:
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    buffer = io.BytesIO()
    first.save(buffer, "WEBP", save_all=True, append_images=[second], duration=100)
    assert tag(viz.image_tag(buffer.getvalue(), "film")) == ("webp", buffer.getvalue(), "film")


def test_a_picture_is_frozen() -> None:
    picture = viz.figure_images([gray()], ["source"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        picture.alt = ""  # type: ignore[misc]


def test_the_text_of_keypoints_states_their_places() -> None:
    picture = viz.figure_keypoints(gray(), [[-1.0, 0.25], [0.5, 1.0]], np.tile(np.eye(2) * 0.01, (2, 1, 1)))
    assert "2 keypoints" in picture.alt
    assert "0 at (-1.00, 0.25), 1 at (0.50, 1.00)" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


def test_figure_keypoints_puts_minus_one_and_one_on_the_centres_of_corner_pixels() -> None:
    (axis,) = viz.figure_keypoints(gray(5, 11), [[0.0, 0.0]]).figure.axes
    # 11 columns from -1 to 1 are 0.2 apart, 5 rows are 0.5 apart: the picture's edge is half of that further out.
    assert axis.images[0].get_extent() == pytest.approx([-1.1, 1.1, 1.25, -1.25])
    assert [text.get_text() for text in axis.texts] == ["0"]


def test_the_text_of_heatmaps_states_peaks_and_places() -> None:
    maps = np.zeros((2, 5, 9))
    maps[0, 4, 2], maps[1, 0, 8] = 0.5, 0.25
    picture = viz.figure_heatmaps(torch.tensor(maps))
    assert "0 peaks with 0.5 at (-0.50, 1.00); 1 peaks with 0.25 at (1.00, -1.00)" in picture.alt
    assert len(picture.figure.axes) == 2


def test_the_text_of_masks_states_their_shares() -> None:
    masks = three_masks()
    masks[0, :, :12], masks[2, :, :12] = 0.25, 0.75
    picture = viz.figure_masks(masks)
    assert picture.alt == "3 masks by mean weight: background 8 %, part 0 33 %, part 1 58 %."
    assert picture.png().startswith(b"\x89PNG")


def test_the_text_of_a_flow_states_share_mean_and_longest() -> None:
    field = np.zeros((2, 10, 20))
    field[:, 3, 7] = (3.0, -4.0)
    picture = viz.figure_flow(field, gray(10, 20))
    assert "20 by 10 pixels: 0 % moves" in picture.alt
    assert "0.03 pixels on average" in picture.alt
    assert "5.00 pixels, 3.00 right and 4.00 up, at column 7, row 3." in picture.alt
    assert picture.figure.axes[2].get_title() == "key: rim = 5 pixels"


def test_arrows_of_a_flow_have_their_true_length_and_direction() -> None:
    field = np.zeros((16, 16, 2))
    field[..., 0], field[..., 1] = 2.0, 5.0
    picture = viz.figure_flow(field)
    (quiver,) = (part for part in picture.figure.axes[1].collections if hasattr(part, "U"))
    assert (quiver.scale, quiver.angles, quiver.scale_units) == (1, "xy", "xy")
    assert set(quiver.U) == {2.0}
    assert set(quiver.V) == {5.0}


def test_a_flow_without_a_finite_value_is_still_a_picture() -> None:
    with np.errstate(all="ignore"):
        picture = viz.figure_flow(np.full((2, 8, 8), np.nan))
    assert "without a single finite value" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


def test_figure_flow_refuses_an_image_of_another_size() -> None:
    with pytest.raises(UserError, match="9x8"):
        viz.figure_flow(np.zeros((2, 8, 9)), gray(4, 4))


def test_the_text_of_a_training_states_first_last_and_lowest_and_skips_what_is_no_number() -> None:
    rows = [
        {"step": "0", "loss": "8", "note": "start", "rare": ""},
        {"step": "10", "loss": "2", "note": "", "rare": "5"},
        {"step": "20", "loss": "4", "note": "", "rare": "nan"},
    ]
    picture = viz.figure_training(rows)
    assert picture.alt == "Training, step 0 to 20: loss from 8 to 4, lowest 2; rare from 5 to 5, lowest 5."
    assert [axis.get_title() for axis in picture.figure.axes] == ["loss: 4", "rare: 5"]


def test_a_running_mean_is_drawn_over_long_trainings_without_lag_in_its_values() -> None:
    rows = [{"step": k, "loss": 2.0 * k} for k in range(60)]
    (axis,) = viz.figure_training(rows).figure.axes
    raw, mean = axis.lines
    assert len(raw.get_xdata()) == 60
    # A window of 60 // 20 = 3 rows ends at the row it is drawn at: the mean of 2k, 2(k-1), 2(k-2) is 2(k-1).
    assert list(mean.get_xdata()) == list(range(2, 60))
    assert np.allclose(mean.get_ydata(), 2.0 * (np.arange(2, 60) - 1))


@pytest.mark.parametrize("rows", [[], [{"step": "1"}], [{"loss": "1"}], [{"step": "x", "loss": "1"}]])
def test_a_training_without_numbers_is_refused(rows: list[dict[str, str]]) -> None:
    with pytest.raises(UserError, match="figure_training: expected rows"):
        viz.figure_training(rows)


def test_every_figure_takes_a_text_of_the_caller() -> None:
    pictures = [
        viz.figure_images([gray()], ["a"], alt="mine"),
        viz.figure_keypoints(gray(), np.zeros((1, 2)), alt="mine"),
        viz.figure_heatmaps(np.ones((1, 4, 4)), alt="mine"),
        viz.figure_masks(three_masks(), alt="mine"),
        viz.figure_flow(np.zeros((2, 4, 4)), alt="mine"),
        viz.figure_training([{"step": 1, "loss": 2}], alt="mine"),
    ]
    assert {picture.alt for picture in pictures} == {"mine"}


def test_figures_of_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="got none"):
        viz.figure_images([], [])
    with pytest.raises(UserError, match="expected 1 titles"):
        viz.figure_images([gray()], ["a", "b"])


CLIPS = Path(__file__).resolve().parent.parent.parent / "shared" / "clips" / "actions" / "test"


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the authors' sample clips are not beside the repository")
def test_real_frames_make_a_contact_sheet() -> None:
    with Image.open(sorted(CLIPS.glob("*.jpg"))[0]) as stack:
        pixels = np.asarray(stack.convert("RGB"))
    side = pixels.shape[0]
    frames = [pixels[:, k * side : (k + 1) * side] for k in (0, 5)]
    sheet = viz.grid([[*frames, viz.error_map(*frames)]], column_labels=["source", "driving", "difference"])
    assert sheet.shape[1] >= 3 * side
    assert viz.error_map(*frames).max() > 50
