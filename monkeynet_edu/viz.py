"""Pictures of what the model sees and does: raw tensors in, a picture out.

Two layers. The *rasters* need only numpy and Pillow and return uint8 arrays (H, W, 3); previews during training and
the command line use them. The *figures* need matplotlib, imported when they are called, and return a `Picture`: the
figure together with alt text that states in words and numbers what it shows.

Keypoints and masks carry numbers as well as colours, so that nothing is told by colour alone. Keypoints count from 0;
channel 0 of the masks is the background and channel k + 1 belongs to keypoint k. Points are (x, y) in [-1, 1], where
-1 and 1 are the centres of the corner pixels.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from monkeynet_edu import geometry
from monkeynet_edu.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
ArrayLike = torch.Tensor | npt.NDArray[Any]

# Okabe and Ito's colours (without black), then four of Paul Tol's: all apart for the common kinds of colour blindness.
_PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (51, 34, 136),
    (136, 34, 85),
    (153, 153, 51),
    (170, 221, 204),
)
_BACKGROUND = (96, 96, 96)
_NOT_FINITE = (255, 0, 255)
_DARK = (20, 20, 20)
_PAPER = 255
_MAX_WEBP_SIDE = 16383

# Black, violet, orange, white: lightness rises all the way, so that the map also reads in grey.
_ERROR_RAMP = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 220))

# Corners of the Middlebury colour wheel: red, yellow, green, cyan, blue, magenta, red, at these steps of 55.
_WHEEL_STEPS = (0, 15, 21, 25, 36, 49, 55)
_WHEEL_COLORS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0))


# ---------------------------------------------------------------------------------------------------------------------
# Rasters
# ---------------------------------------------------------------------------------------------------------------------


def keypoint_colors(count: int) -> Pixels:
    """One colour a keypoint, apart for colour-blind readers too; after eleven they come back paler.

    Args:
        count: number of keypoints K.

    Returns:
        Colours (K, 3), uint8.
    """
    base = np.array(_PALETTE, dtype=np.float64)
    rounds = np.arange(count) // len(base)
    paler = 0.5 ** rounds[:, None]
    return _round_to_uint8(base[np.arange(count) % len(base)] * paler + 255 * (1 - paler))


def to_uint8(image: ArrayLike) -> Pixels:
    """Turns an image into pixels that can be written to a file.

    Args:
        image: (3, H, W), (1, H, W) or (H, W); floats in [0, 1] (clipped) or uint8. uint8 (H, W, 3) comes back as it is.

    Returns:
        Pixels (H, W, 3). A pixel that is not finite becomes magenta, so that a failed computation is seen.

    Raises:
        UserError: the shape is none of these.
    """
    array = _array(image)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3:
        return array
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[0] not in (1, 3):
        raise UserError(
            f"image: expected (3, H, W), (1, H, W) or (H, W), or uint8 (H, W, 3), got {array.dtype} "
            f"{tuple(array.shape)}; pick one image of a batch, or move the channels to the front."
        )
    planes = np.moveaxis(np.broadcast_to(array, (3, *array.shape[1:])), 0, -1)
    if array.dtype == np.uint8:
        return np.ascontiguousarray(planes)
    finite = np.asarray(np.isfinite(planes).all(axis=-1))
    pixels = _round_to_uint8(255 * np.where(finite[..., None], planes.astype(np.float64), 0))
    pixels[~finite] = _NOT_FINITE
    return pixels


def draw_keypoints(image: ArrayLike, mean: ArrayLike, cov: ArrayLike | None = None, scale: int = 4) -> Pixels:
    """Draws numbered keypoints on an enlarged image.

    Args:
        image: (3, H, W) in [0, 1], or anything that `to_uint8` takes.
        mean: positions (K, 2), (x, y) in [-1, 1]. Not finite: left out. Outside: not seen.
        cov: covariances (K, 2, 2) in the units of `mean`; each is drawn as the ellipse of two standard deviations.
        scale: how many times larger than the image, a whole number.

    Returns:
        Pixels (H * scale, W * scale, 3).
    """
    pixels = to_uint8(image)
    points = _check_shape("mean", mean, (None, 2))
    height, width = pixels.shape[:2]
    canvas = _enlarge(pixels, scale, Image.Resampling.BICUBIC).astype(np.float64)
    centres = _to_canvas(points, height, width, scale)
    colors = keypoint_colors(len(points))
    if cov is not None:
        half = np.array([width - 1, height - 1]) / 2 * scale
        in_pixels = _check_shape("cov", cov, (len(points), 2, 2)) * half[:, None] * half
        for centre, matrix, color in zip(centres, in_pixels, colors, strict=True):
            _paint_ellipse(canvas, centre, matrix, color)
    return _stamp_numbers(canvas, centres, colors)


def flow_to_rgb(flow: ArrayLike, max_magnitude: float | None = None) -> Pixels:
    """Colours of a flow field on the Middlebury wheel: hue is direction, white is no motion.

    Red points right, yellow-green down, cyan left, blue-violet up (see `flow_wheel`). Motion beyond `max_magnitude`
    is darkened; flow that is not finite is black.

    Args:
        flow: displacement (dx, dy) as (2, H, W) or (H, W, 2), in any unit; where both fit, (H, W, 2) is meant.
        max_magnitude: length at full saturation, in the unit of the flow; None takes the largest of this field.

    Returns:
        Pixels (H, W, 3).
    """
    field = _flow_last(flow)
    finite = np.asarray(np.isfinite(field).all(axis=-1))
    field = np.where(finite[..., None], field, 0)
    length = np.hypot(field[..., 0], field[..., 1])
    longest = float(length.max(initial=0)) if max_magnitude is None else max_magnitude
    radius = length / longest if longest > 0 else length
    step = np.arctan2(field[..., 1], field[..., 0]) % (2 * np.pi) / (2 * np.pi) * _WHEEL_STEPS[-1]
    hue = _ramp(step, _WHEEL_STEPS, _WHEEL_COLORS)
    saturated = 1 - radius[..., None] * (1 - hue)
    # A rounding error above 1 must not darken the longest vector.
    color = np.where(radius[..., None] <= 1 + 1e-9, saturated, 0.75 * hue)
    return _round_to_uint8(255 * color * finite[..., None])


def flow_wheel(size: int = 64) -> Pixels:
    """The key to `flow_to_rgb`: the colour of every direction and length, the longest at the rim.

    Args:
        size: side of the picture in pixels.

    Returns:
        Pixels (size, size, 3), white outside the wheel.
    """
    axis = np.linspace(-1, 1, size)
    field = np.stack(np.meshgrid(axis, axis), axis=-1)
    inside = np.hypot(field[..., 0], field[..., 1]) <= 1
    return flow_to_rgb(field * inside[..., None], max_magnitude=1)


def masks_to_rgb(masks: ArrayLike, scale: int = 4) -> Pixels:
    """Mixes the part masks: each part in the colour of its keypoint and with its number, the background in grey.

    Args:
        masks: (K + 1, H, W), softmax over the first axis, background in channel 0 (paper, section 3.2).
        scale: how many times larger than the masks, a whole number.

    Returns:
        Pixels (H * scale, W * scale, 3). The number of a part stands in the middle of where it is the strongest; a part
        that is nowhere the strongest has none.
    """
    weights = np.nan_to_num(_check_shape("masks", masks, (None, None, None)))
    colors = keypoint_colors(len(weights) - 1)
    mixed = np.einsum("khw,kc->hwc", weights, np.vstack([_BACKGROUND, colors]))
    canvas = _enlarge(_round_to_uint8(mixed), scale, Image.Resampling.NEAREST).astype(np.float64)
    strongest = weights.argmax(axis=0)
    centres = np.full((len(colors), 2), np.nan)
    for part in np.intersect1d(strongest, np.arange(1, len(weights))):
        centres[part - 1] = _middle_of(strongest == part)
    return _stamp_numbers(canvas, (centres + 0.5) * scale - 0.5, colors)


def heatmaps_to_rgb(heatmaps: ArrayLike, scale: int = 4) -> Pixels:
    """Lays all heatmaps over each other on black, each in the colour of its keypoint and with its number at the peak.

    Args:
        heatmaps: (K, H, W), not negative. Each is divided by its own maximum: a broad one is as bright as a sharp one.
        scale: how many times larger than the heatmaps, a whole number.

    Returns:
        Pixels (H * scale, W * scale, 3).
    """
    maps = np.nan_to_num(_check_shape("heatmaps", heatmaps, (None, None, None)))
    colors = keypoint_colors(len(maps))
    peaks = maps.max(axis=(1, 2), keepdims=True)
    relative = np.divide(maps, peaks, out=np.zeros_like(maps), where=peaks > 0)
    glow = np.einsum("khw,kc->hwc", relative, colors.astype(np.float64))
    canvas = _enlarge(_round_to_uint8(glow), scale, Image.Resampling.BICUBIC).astype(np.float64)
    centres = np.array([_peak_of(heatmap) if heatmap.any() else (np.nan, np.nan) for heatmap in maps]).reshape(-1, 2)
    return _stamp_numbers(canvas, (centres + 0.5) * scale - 0.5, colors)


def error_map(a: ArrayLike, b: ArrayLike, max_error: float = 0.5) -> Pixels:
    """Where and how much two images differ: black is equal, lighter is more, near white is `max_error` or beyond.

    Args:
        a: image, anything that `to_uint8` takes.
        b: image of the same size.
        max_error: mean absolute difference over the channels, in units of [0, 1], that is drawn lightest. It is fixed,
            not taken from the images, so that error maps can be compared with each other.

    Returns:
        Pixels (H, W, 3).
    """
    first, second = (to_uint8(image).astype(np.float64) / 255 for image in (a, b))
    if first.shape != second.shape:
        raise UserError(
            f"error_map: expected two images of one size, got {first.shape[1]}x{first.shape[0]} and "
            f"{second.shape[1]}x{second.shape[0]}; resize one of them."
        )
    error = np.abs(first - second).mean(axis=-1) / max_error
    return _round_to_uint8(_ramp(error, np.linspace(0, 1, len(_ERROR_RAMP)), _ERROR_RAMP))


def grid(
    rows: Sequence[Sequence[ArrayLike | None]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    title: str = "",
    font_size: int = 14,
    gap: int = 6,
) -> Pixels:
    """Contact sheet: rows of images on white paper, with labels to the left and on top.

    Labels are wrapped, and columns and rows grow until everything fits: nothing is cut off. Images keep their size
    and stand in the middle of their cell.

    Args:
        rows: images, anything that `to_uint8` takes; None leaves a cell empty. Rows may differ in length.
        row_labels: one text a row, or none at all.
        column_labels: one text a column, or none at all.
        title: text over everything.
        font_size: height of the letters in pixels.
        gap: white pixels between cells and around the sheet.

    Returns:
        Pixels (H, W, 3).

    Raises:
        UserError: no image at all, or another number of labels than of rows or columns.
    """
    cells = [[None if cell is None else to_uint8(cell) for cell in row] for row in rows]
    columns = max((len(row) for row in cells), default=0)
    if columns == 0:
        raise UserError("grid: expected at least one image, got none; give a row with an image.")
    for kind, labels, count in (("row", row_labels, len(cells)), ("column", column_labels, columns)):
        if labels and len(labels) != count:
            raise UserError(f"grid: expected {count} {kind} labels, got {len(labels)}; give one a {kind}, or none.")
    table: list[list[Pixels | None]] = [[*row, *[None] * (columns - len(row))] for row in cells]
    if column_labels:
        widths = [max(_sizes(row[j] for row in table)[1], 6 * font_size) for j in range(columns)]
        heads = [_text_block(text, font_size, width) for text, width in zip(column_labels, widths, strict=True)]
        table.insert(0, [*heads])
    if row_labels:
        sides = [_text_block(text, font_size, 10 * font_size) for text in row_labels]
        for row, side in zip(table, [None, *sides] if column_labels else sides, strict=True):
            row.insert(0, side)
    sheet = _paste_table(table, gap)
    if not title:
        return sheet
    heading = _text_block(title, font_size + 4, max(sheet.shape[1] - 2 * gap, 16 * font_size))
    return _paste_table([[heading], [sheet]], gap)


# ---------------------------------------------------------------------------------------------------------------------
# Figures
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure and the text for those who cannot see it; notebooks show both together."""

    figure: Figure
    """The figure, made without pyplot: it needs no display and no closing."""
    alt: str
    """What the figure shows, in words and numbers."""

    def with_alt(self, alt: str) -> Picture:
        """Returns the same figure with another text, for a caller who knows better what matters in it."""
        return replace(self, alt=alt)

    def png(self, dpi: int = 100) -> bytes:
        """Returns the figure as a PNG file, alt text in its `Description`; nothing is cut off at the edges.

        Args:
            dpi: pixels an inch.
        """
        buffer = io.BytesIO()
        metadata = {"Description": self.alt, "Software": None}
        self.figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", metadata=metadata)
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str], dpi: int = 100) -> Path:
        """Writes the figure as a PNG file, whole or not at all.

        Args:
            path: where to; an existing file is replaced.
            dpi: pixels an inch.

        Returns:
            The path.
        """
        target = Path(path)
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            beside.write_bytes(self.png(dpi))
            beside.replace(target)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise UserError(
                f"{target}: expected a place to write a PNG file, got {error.strerror}; choose another folder."
            ) from error
        return target

    def _repr_html_(self) -> str:
        return image_tag(self.png(), self.alt)


def image_tag(file: bytes, alt: str) -> str:
    """Puts a picture into HTML, the file and all: a PNG becomes WebP of the same pixels, at little more than half the size.

    Args:
        file: bytes of a PNG, or of a WebP (a film), which stays as it is.
        alt: what it shows, in words.

    Returns:
        An `<img>` whose source is a data URL.
    """
    kind, data = ("webp", file) if file[8:12] == b"WEBP" else _smallest(file)
    return f'<img src="data:image/{kind};base64,{base64.b64encode(data).decode("ascii")}" alt="{html.escape(alt)}"/>'


def _smallest(png: bytes) -> tuple[str, bytes]:
    """The kind and the bytes of a lossless file for a browser: WebP, or the PNG itself where WebP cannot hold it."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        if max(picture.size) > _MAX_WEBP_SIDE:
            return "png", png
        buffer = io.BytesIO()
        # More effort (quality 100, method 6) gains 3 % and takes up to seconds; this takes about as long as the PNG did.
        picture.save(buffer, "WEBP", lossless=True, exact=True, quality=75, method=2)
    return "webp", buffer.getvalue()


def figure_images(images: Sequence[ArrayLike], titles: Sequence[str], alt: str | None = None) -> Picture:
    """Shows images side by side, each under its title.

    Args:
        images: anything that `to_uint8` takes; sizes may differ.
        titles: one text an image.
        alt: alt text in place of the one made here.
    """
    pixels = [to_uint8(image) for image in images]
    if len(pixels) != len(titles):
        raise UserError(f"figure_images: expected {len(pixels)} titles, got {len(titles)}; give one an image.")
    figure, axes = _panels(len(pixels))
    for axis, picture, text in zip(axes, pixels, titles, strict=True):
        axis.imshow(picture)
        axis.set_title(text, fontsize=9, wrap=True)
        axis.set_axis_off()
    said = [
        f"{text} ({picture.shape[1]} by {picture.shape[0]} pixels, mean brightness {picture.mean() / 255:.2f})"
        for text, picture in zip(titles, pixels, strict=True)
    ]
    return Picture(figure, alt or f"{_count(len(said), 'image')}: {'; '.join(said)}.")


def figure_comparison(
    got: ArrayLike, expected: ArrayLike, titles: Sequence[str] = ("yours", "expected", "difference"), alt: str | None = None
) -> Picture:
    """Shows two arrays and their difference as colours, the first plane of each: for answers that are wrong somewhere.

    Args:
        got: (..., H, W); small last dimensions of 2 (points, flow) are moved to the front first.
        expected: the same shape.
        titles: of the three panels.
        alt: alt text in place of the one made here.
    """
    planes = [_first_plane(_array(values)) for values in (got, expected)]
    gap = planes[0] - planes[1]
    figure, axes = _panels(3)
    finite = np.concatenate([p[np.isfinite(p)] for p in planes])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    far = float(np.abs(gap[np.isfinite(gap)]).max(initial=0.0)) or 1.0
    for axis, values, text, limits, colours in zip(
        axes, (*planes, gap), titles, ((low, high), (low, high), (-far, far)), ("viridis", "viridis", "RdBu_r"), strict=True
    ):
        shown = axis.imshow(values, vmin=limits[0], vmax=limits[1], cmap=colours, aspect="auto", interpolation="nearest")
        axis.set_title(text, fontsize=9)
        axis.set_axis_off()
        figure.colorbar(shown, ax=axis, shrink=0.7).ax.tick_params(labelsize=7)
    row, column = np.unravel_index(int(np.nan_to_num(np.abs(gap), nan=np.inf).argmax()), gap.shape)
    said = (
        f"{titles[0]} beside {titles[1]} beside their {titles[2]}; it is largest in row {row}, column {column}: "
        f"{planes[0][row, column]:.4g} in place of {planes[1][row, column]:.4g}."
    )
    return Picture(figure, alt or said)


def _first_plane(values: npt.NDArray[Any]) -> Floats:
    """The first (H, W) plane of an array; points and flow (..., H, W, 2) give their x."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 2 and array.shape[-1] == 2:
        array = np.moveaxis(array, -1, 0)
    while array.ndim > 2:
        array = array[0]
    return array


def figure_keypoints(
    image: ArrayLike, mean: ArrayLike, cov: ArrayLike | None = None, title: str = "keypoints", alt: str | None = None
) -> Picture:
    """Shows an image with numbered keypoints, on axes in the coordinates of the points.

    Args:
        image: (3, H, W) in [0, 1], or anything that `to_uint8` takes.
        mean: positions (K, 2), (x, y) in [-1, 1].
        cov: covariances (K, 2, 2); each is drawn as the ellipse of two standard deviations.
        title: text over the figure.
        alt: alt text in place of the one made here.
    """
    pixels = to_uint8(image)
    points = _check_shape("mean", mean, (None, 2))
    colors = keypoint_colors(len(points)) / 255
    figure, (axis,) = _panels(1, side=4.5)
    axis.imshow(pixels, extent=_lattice_extent(*pixels.shape[:2]), interpolation="nearest", aspect="auto")
    axis.set_box_aspect(pixels.shape[0] / pixels.shape[1])
    reach = max(1.05, 1.1 * float(np.abs(points[np.isfinite(points)]).max(initial=0)))
    axis.set(xlabel="x", ylabel="y", title=title, xlim=(-reach, reach), ylim=(reach, -reach))
    if cov is not None:
        _add_ellipses(axis, points, _check_shape("cov", cov, (len(points), 2, 2)), colors)
    for k, (x, y) in enumerate(points):
        if np.isfinite((x, y)).all():
            axis.plot(x, y, "o", markersize=12, color=colors[k], markeredgecolor="black", clip_on=True)
            ink = "black" if _is_light(255 * colors[k]) else "white"
            axis.text(x, y, str(k), color=ink, fontsize=8, ha="center", va="center_baseline", clip_on=True)
    said = ", ".join(f"{k} at ({x:.2f}, {y:.2f})" for k, (x, y) in enumerate(points))
    ellipses = "" if cov is None else " Ellipses show two standard deviations."
    return Picture(figure, alt or f"Image with {_count(len(points), 'keypoint')} (x right, y down): {said}.{ellipses}")


def figure_heatmaps(heatmaps: ArrayLike, title: str = "heatmaps", alt: str | None = None) -> Picture:
    """Shows every heatmap in a panel of its own, with its largest value and where that is.

    Args:
        heatmaps: (K, H, W).
        title: text over the figure.
        alt: alt text in place of the one made here.
    """
    maps = _check_shape("heatmaps", heatmaps, (None, None, None))
    figure, axes = _panels(len(maps), side=1.7)
    figure.suptitle(title)
    said = []
    for k, (axis, heatmap) in enumerate(zip(axes, maps, strict=True)):
        column, row = _peak_of(np.nan_to_num(heatmap, nan=-np.inf))
        x, y = 2 * column / max(maps.shape[2] - 1, 1) - 1, 2 * row / max(maps.shape[1] - 1, 1) - 1
        peak = heatmap[int(row), int(column)]
        axis.imshow(heatmap, cmap="magma", vmin=min(0.0, float(np.nanmin(heatmap))), interpolation="nearest")
        axis.set_title(f"{k}: {peak:.2g} at\n({x:.2f}, {y:.2f})", fontsize=8)
        axis.set_axis_off()
        said.append(f"{k} peaks with {peak:.2g} at ({x:.2f}, {y:.2f})")
    return Picture(figure, alt or f"{_count(len(maps), 'heatmap')}, x right, y down in [-1, 1]: {'; '.join(said)}.")


def figure_masks(masks: ArrayLike, title: str = "part masks", alt: str | None = None) -> Picture:
    """Shows all masks mixed, then every mask in a panel of its own, with the share of the picture that it takes.

    Args:
        masks: (K + 1, H, W), background in channel 0; black is 0, white is 1.
        title: text over the figure.
        alt: alt text in place of the one made here.
    """
    weights = _check_shape("masks", masks, (None, None, None))
    names = ["background", *[f"part {k}" for k in range(len(weights) - 1)]]
    shares = [f"{name} {100 * weight.mean():.0f} %" for name, weight in zip(names, weights, strict=True)]
    figure, axes = _panels(len(weights) + 1, side=1.7)
    figure.suptitle(title)
    axes[0].imshow(masks_to_rgb(weights, scale=max(1, round(128 / max(weights.shape[1:])))))
    axes[0].set_title("all, strongest\nnumbered", fontsize=8)
    for axis, weight, share in zip(axes[1:], weights, shares, strict=True):
        axis.imshow(weight, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(share, fontsize=8)
    for axis in axes:
        axis.set_axis_off()
    return Picture(figure, alt or f"{_count(len(weights), 'mask')} by mean weight: {', '.join(shares)}.")


def figure_flow(
    flow: ArrayLike, image: ArrayLike | None = None, title: str = "flow", alt: str | None = None
) -> Picture:
    """Shows a flow field twice, as colours with their key and as arrows at their true length.

    Args:
        flow: displacement in pixels, (2, H, W) or (H, W, 2); where both fit, (H, W, 2) is meant.
        image: picture (3, H, W) of the same size to draw the arrows on; None leaves white.
        title: text over the figure.
        alt: alt text in place of the one made here.
    """
    field = _flow_last(flow)
    height, width = field.shape[:2]
    length = np.hypot(field[..., 0], field[..., 1])
    longest = float(np.nanmax(length, initial=0))
    paper = np.full((height, width, 3), _PAPER, dtype=np.uint8) if image is None else to_uint8(image)
    if paper.shape[:2] != (height, width):
        raise UserError(
            f"figure_flow: expected an image of the flow's size {width}x{height}, got "
            f"{paper.shape[1]}x{paper.shape[0]}; resize one of them."
        )
    figure, (colored, arrows, key) = _panels(3, side=3.0, columns=3)
    figure.suptitle(title)
    colored.imshow(flow_to_rgb(field))
    colored.set_title("as colour", fontsize=9)
    arrows.imshow(paper)
    arrows.set_title("as arrows, true length", fontsize=9)
    step = max(1, round(max(height, width) / 16))
    rows, columns = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    x, y = field[rows, columns, 0], field[rows, columns, 1]
    look: dict[str, Any] = {"width": 0.006, "color": "white", "edgecolor": "black", "linewidth": 0.6}
    arrows.quiver(columns, rows, x, y, angles="xy", scale_units="xy", scale=1, **look)
    _add_wheel(key, longest)
    for axis in (colored, arrows):
        axis.set_axis_off()
    return Picture(figure, alt or _say_flow(field, length))


def figure_training(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    step: str = "step",
    title: str = "training",
    alt: str | None = None,
) -> Picture:
    """Shows how the numbers of a training went, one panel a column, raw and as a running mean.

    Args:
        rows: rows of the metrics file, as `csv.DictReader` gives them; empty fields are left out.
        columns: what to show; None shows every column but `step` that holds a number.
        step: name of the column for the horizontal axis.
        title: text over the figure.
        alt: alt text in place of the one made here.

    Raises:
        UserError: no row has a number both in `step` and in a column to show.
    """
    names = list(dict.fromkeys(key for row in rows for key in row if key != step)) if columns is None else columns
    series = {name: _numbers(rows, step, name) for name in names}
    series = {name: points for name, points in series.items() if len(points)}
    if not series:
        raise UserError(
            f"figure_training: expected rows with numbers under {step!r} and at least one other column, got "
            f"{len(rows)} rows with none; train for a few steps first, or name the columns."
        )
    figure, axes = _panels(len(series), side=2.6)
    figure.suptitle(f"{title} (grey: every row; dashed: running mean)")
    said = []
    for axis, (name, points) in zip(axes, series.items(), strict=True):
        _plot_series(axis, points, name, step)
        said.append(f"{name} from {points[0, 1]:.3g} to {points[-1, 1]:.3g}, lowest {points[:, 1].min():.3g}")
    reach = [points[[0, -1], 0] for points in series.values()]
    first, last = min(ends[0] for ends in reach), max(ends[1] for ends in reach)
    return Picture(figure, alt or f"Training, {step} {first:g} to {last:g}: {'; '.join(said)}.")


# ---------------------------------------------------------------------------------------------------------------------
# Arrays
# ---------------------------------------------------------------------------------------------------------------------


def _array(values: ArrayLike) -> npt.NDArray[Any]:
    if isinstance(values, torch.Tensor):
        # numpy knows no bfloat16.
        tensor = values.detach().cpu()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return np.asarray(values)


def _check_shape(name: str, values: ArrayLike, shape: tuple[int | None, ...]) -> Floats:
    array = _array(values).astype(np.float64)
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise UserError(f"{name}: expected the shape ({wanted}), got {tuple(array.shape)}; pick one item of a batch.")
    return array


def _flow_last(flow: ArrayLike) -> Floats:
    array = _array(flow).astype(np.float64)
    if array.ndim == 3 and array.shape[2] == 2:
        return array
    if array.ndim == 3 and array.shape[0] == 2:
        return np.moveaxis(array, 0, -1)
    raise UserError(f"flow: expected (2, H, W) or (H, W, 2), got {tuple(array.shape)}; pick one field of a batch.")


def _round_to_uint8(values: Floats) -> Pixels:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _ramp(position: Floats, stops: Sequence[float] | Floats, colors: Sequence[Sequence[float]]) -> Floats:
    """Colour (…, 3) at each position, linear between stops and constant beyond."""
    return np.stack([np.interp(position, stops, channel) for channel in zip(*colors, strict=True)], axis=-1)


def _peak_of(heatmap: Floats) -> tuple[float, float]:
    row, column = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
    return float(column), float(row)


def _middle_of(region: npt.NDArray[np.bool_]) -> Floats:
    """The pixel (column, row) of the region nearest to its centre of mass: a ring has its number on the ring."""
    inside = np.argwhere(region)[:, ::-1].astype(np.float64)
    nearest: Floats = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
    return nearest


def _numbers(rows: Sequence[Mapping[str, Any]], step: str, name: str) -> Floats:
    """Points (N, 2) of (step, value), without the rows where either is no finite number."""
    points = []
    for row in rows:
        try:
            point = (float(row[step]), float(row[name]))
        except (KeyError, TypeError, ValueError):
            continue
        if np.isfinite(point).all():
            points.append(point)
    return np.array(points, dtype=np.float64).reshape(-1, 2)


# ---------------------------------------------------------------------------------------------------------------------
# Painting pixels
# ---------------------------------------------------------------------------------------------------------------------


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _is_light(color: npt.NDArray[Any]) -> bool:
    return float(color @ (0.299, 0.587, 0.114)) > 110


def _enlarge(pixels: Pixels, scale: int, resampling: Image.Resampling) -> Pixels:
    if not isinstance(scale, int) or scale < 1:
        raise UserError(f"scale: expected a whole number of at least 1, got {scale!r}; give one such as 4.")
    size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
    return np.asarray(Image.fromarray(pixels).resize(size, resampling))


def _to_canvas(points: Floats, height: int, width: int, scale: int) -> Floats:
    """Points (K, 2) in [-1, 1] to (column, row) on the enlarged image; a pixel's centre goes to its block's middle."""
    pixels = (points + 1) / 2 * (width - 1, height - 1)
    return (pixels + 0.5) * scale - 0.5


def _blend(canvas: Floats, color: npt.NDArray[Any], alpha: Floats) -> None:
    canvas += alpha[..., None] * (color - canvas)


def _half_axes(cov: Floats) -> tuple[Floats, float]:
    """Half axes (2,), the long one first, and the long one's angle, of the ellipse of one standard deviation."""
    half, angle = geometry.ellipse_axes(torch.from_numpy((cov + cov.T) / 2))
    return half.numpy(), float(angle)


def _paint_ellipse(canvas: Floats, centre: Floats, cov: Floats, color: npt.NDArray[Any]) -> None:
    """Outlines the ellipse of two standard deviations, coloured on a dark rim so that it shows on any background."""
    if not (np.isfinite(centre).all() and np.isfinite(cov).all()):
        return
    half, angle = _half_axes(cov)
    # A covariance without extent has no inverse; a quarter of a pixel keeps it a visible dot.
    radii = 2 * np.maximum(half, 0.25)
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    along = np.stack([columns, rows], axis=-1) - centre
    along = along @ axes / radii
    level = np.linalg.norm(along, axis=-1)
    slope = np.linalg.norm(along / radii, axis=-1) / np.maximum(level, 1e-9)
    distance = np.abs(level - 1) / np.maximum(slope, 1e-9)
    _blend(canvas, np.array(_DARK), np.clip(2.3 - distance, 0, 1))
    _blend(canvas, color, np.clip(1.3 - distance, 0, 1))


def _stamp_numbers(canvas: Floats, centres: Floats, colors: Pixels) -> Pixels:
    """Paints at each (column, row) a disc with a dark rim and its index; places that are not finite are left out."""
    radius = max(6.5, 0.028 * max(canvas.shape[:2]))
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    seen = [k for k, centre in enumerate(centres) if np.isfinite(centre).all()]
    for k in seen:
        distance = np.hypot(columns - centres[k, 0], rows - centres[k, 1])
        _blend(canvas, np.array(_DARK), np.clip(radius + 1.5 - distance, 0, 1))
        _blend(canvas, colors[k], np.clip(radius - distance, 0, 1))
    image = Image.fromarray(_round_to_uint8(canvas))
    draw = ImageDraw.Draw(image)
    for k in seen:
        ink = _DARK if _is_light(colors[k]) else (255, 255, 255)
        font = _font(radius * (1.6 if k < 10 else 1.25))
        # The disc stays where the point is; at the border the number alone moves inwards, so that it can be read.
        inside = np.clip(centres[k], 0.75 * radius, np.array(image.size) - 1 - 0.75 * radius)
        if np.abs(inside - centres[k]).max() <= 1.75 * radius:
            rim = 0 if np.array_equal(inside, centres[k]) else 2
            color = tuple(int(channel) for channel in colors[k])
            draw.text(tuple(inside), str(k), ink, font, anchor="mm", stroke_width=rim, stroke_fill=color)
    return np.asarray(image)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """Breaks the text at spaces so that lines stay within the width; a longer word has a line of its own."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return "\n".join(lines)


def _text_block(text: str, font_size: int, width: float) -> Pixels:
    """Text, black on white, wrapped to the width and just as large as it needs."""
    font = _font(font_size)
    lines = _wrap(text, font, width)
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left, top, right, bottom = ruler.multiline_textbbox((0, 0), lines, font=font, align="center")
    size = (int(np.ceil(right - left)) + 2, int(np.ceil(bottom - top)) + 2)
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).multiline_text((1 - left, 1 - top), lines, font=font, align="center", fill=_DARK)
    return np.asarray(image)


def _sizes(cells: Iterable[Pixels | None]) -> tuple[int, int]:
    """Largest height and largest width among the cells, 0 where there is none."""
    shapes = [cell.shape[:2] for cell in cells if cell is not None] or [(0, 0)]
    return max(height for height, _ in shapes), max(width for _, width in shapes)


def _paste_table(table: Sequence[Sequence[Pixels | None]], gap: int) -> Pixels:
    """Puts every cell into the middle of its place; rows and columns are as large as their largest cell."""
    heights = [_sizes(row)[0] for row in table]
    widths = [_sizes(column)[1] for column in zip(*table, strict=True)]
    tops = gap + np.cumsum([0, *[height + gap for height in heights]])
    lefts = gap + np.cumsum([0, *[width + gap for width in widths]])
    sheet = np.full((int(tops[-1]), int(lefts[-1]), 3), _PAPER, dtype=np.uint8)
    for i, row in enumerate(table):
        for j, cell in enumerate(row):
            if cell is not None:
                top = int(tops[i]) + (heights[i] - cell.shape[0]) // 2
                left = int(lefts[j]) + (widths[j] - cell.shape[1]) // 2
                sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


# ---------------------------------------------------------------------------------------------------------------------
# Parts of figures
# ---------------------------------------------------------------------------------------------------------------------


def _panels(count: int, side: float = 2.2, columns: int = 6) -> tuple[Figure, list[Axes]]:
    """A figure with so many axes in reading order, and no axes left empty."""
    # Figure without pyplot: no display, and no global list that keeps every figure alive.
    from matplotlib.figure import Figure

    if count == 0:
        raise UserError("figure: expected at least one thing to show, got none; give one image, heatmap or mask.")
    across = min(count, columns)
    down = -(-count // across)
    figure = Figure(figsize=(side * across, (side + 0.3) * down + 0.3), layout="constrained")
    return figure, [figure.add_subplot(down, across, index + 1) for index in range(count)]


def _lattice_extent(height: int, width: int) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of the picture when -1 and 1 are the centres of the corner pixels."""
    x, y = 1 + 1 / max(width - 1, 1), 1 + 1 / max(height - 1, 1)
    return -x, x, y, -y


def _add_ellipses(axis: Axes, points: Floats, covs: Floats, colors: Floats) -> None:
    from matplotlib.patches import Ellipse

    for point, cov, color in zip(points, covs, colors, strict=True):
        if not (np.isfinite(point).all() and np.isfinite(cov).all()):
            continue
        half, turn = _half_axes(cov)
        (width, height), angle = 4 * half, float(np.degrees(turn))
        for edge, line in (("black", 3.5), (color, 1.8)):
            axis.add_patch(
                Ellipse(tuple(point), width, height, angle=angle, fill=False, edgecolor=edge, linewidth=line)
            )


def _add_wheel(axis: Axes, longest: float) -> None:
    axis.imshow(flow_wheel(128), extent=(-1, 1, 1, -1))
    axis.set_title(f"key: rim = {longest:.2g} pixels", fontsize=9)
    axis.set(xlim=(-1.6, 1.6), ylim=(1.6, -1.6))
    for text, x, y in (("right", 1.05, 0), ("down", 0, 1.2), ("left", -1.05, 0), ("up", 0, -1.2)):
        align = {1.05: "left", -1.05: "right"}.get(x, "center")
        axis.text(x, y, text, ha=align, va="center", fontsize=8)
    axis.set_axis_off()


def _say_flow(field: Floats, length: Floats) -> str:
    if not np.isfinite(length).any():
        return "Flow field without a single finite value."
    column, row = _peak_of(np.nan_to_num(length, nan=-1.0, posinf=-1.0))
    x, y = field[int(row), int(column)]
    moving = float((length > 0.5).mean())
    return (
        f"Flow field of {field.shape[1]} by {field.shape[0]} pixels: {100 * moving:.0f} % moves by more than half "
        f"a pixel, {np.nanmean(length):.2f} pixels on average. The longest motion is {np.hypot(x, y):.2f} pixels, "
        f"{abs(x):.2f} {'right' if x >= 0 else 'left'} and {abs(y):.2f} {'down' if y >= 0 else 'up'}, "
        f"at column {column:.0f}, row {row:.0f}."
    )


def _plot_series(axis: Axes, points: Floats, name: str, step: str) -> None:
    axis.plot(points[:, 0], points[:, 1], color="0.6", linewidth=0.8, marker="." if len(points) < 3 else "")
    window = len(points) // 20
    if window > 1:
        mean = np.convolve(points[:, 1], np.ones(window) / window, mode="valid")
        axis.plot(points[window - 1 :, 0], mean, color="black", linewidth=1.6, linestyle="--")
    axis.set_title(f"{name}: {points[-1, 1]:.3g}", fontsize=9)
    axis.set_xlabel(step, fontsize=8)
    axis.tick_params(labelsize=7)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
