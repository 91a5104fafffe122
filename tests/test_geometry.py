"""Lattice, warp, compose, resize: corners, sign, identity, and an oracle of loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monkeynet_edu import geometry

few = settings(max_examples=15, deadline=None)
sides = st.integers(2, 9)


def picture(height: int, width: int, batch: int = 1, channels: int = 2) -> Tensor:
    return torch.rand(batch, channels, height, width, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def grid(height: int, width: int) -> Tensor:
    return geometry.lattice(height, width, dtype=torch.float64)[None]


def read_by_loops(image: Tensor, points: Tensor) -> Tensor:
    """Bilinear reading of (C, H, W) at (h, w, 2), written from the definition: zeros outside, corners at pixel centres."""
    c, height, width = image.shape
    out = torch.zeros(c, *points.shape[:2], dtype=image.dtype)
    for i in range(points.shape[0]):
        for j in range(points.shape[1]):
            column = (float(points[i, j, 0]) + 1) / 2 * (width - 1)
            row = (float(points[i, j, 1]) + 1) / 2 * (height - 1)
            for r in (math.floor(row), math.floor(row) + 1):
                for s in (math.floor(column), math.floor(column) + 1):
                    if 0 <= r < height and 0 <= s < width:
                        out[:, i, j] += (1 - abs(row - r)) * (1 - abs(column - s)) * image[:, r, s]
    return out


def test_the_lattice_puts_x_first_and_its_corners_at_plus_and_minus_one() -> None:
    points = geometry.lattice(3, 5)
    assert points.shape == (3, 5, 2)
    assert points[0, 0].tolist() == [-1, -1]
    assert points[0, -1].tolist() == [1, -1]
    assert points[-1, 0].tolist() == [-1, 1]
    assert points[1, 1].tolist() == [-0.5, 0]  # x = 2·1/4 - 1, y = 2·1/2 - 1


def test_the_lattice_has_the_type_that_is_asked_for() -> None:
    points = geometry.lattice(8, 8, dtype=torch.float64, device="cpu")
    assert points.dtype == torch.float64
    assert points[3, 5].tolist() == pytest.approx([2 * 5 / 7 - 1, 2 * 3 / 7 - 1], abs=1e-15)


@few
@given(sides, sides)
def test_to_pixels_inverts_the_lattice(height: int, width: int) -> None:
    pixels = geometry.to_pixels(grid(height, width)[0], height, width)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    torch.testing.assert_close(pixels, torch.stack([columns, rows], dim=-1).double())


@pytest.mark.parametrize("side", [4, 5, 64, 65])
def test_an_identity_warp_returns_its_input(side: int) -> None:
    image = picture(side, side + 3).float()
    out = geometry.warp(image, geometry.lattice(side, side + 3)[None])
    torch.testing.assert_close(out, image, rtol=0, atol=side * 1e-6)  # rounding of a coordinate times the slope


def test_an_identity_warp_is_exact_where_the_coordinates_are() -> None:
    image = picture(5, 9)  # 4 and 8 steps: every coordinate is a binary fraction
    assert torch.equal(geometry.warp(image, grid(5, 9)), image)


def test_reading_one_pixel_to_the_right_moves_the_content_one_pixel_to_the_left() -> None:
    image = picture(4, 6)
    step = torch.tensor([2 / 5, 0.0], dtype=torch.float64)
    out = geometry.warp(image, grid(4, 6) + step)
    torch.testing.assert_close(out[..., :-1], image[..., 1:])
    torch.testing.assert_close(out[..., -1], torch.zeros_like(out[..., -1]))


def test_reading_one_pixel_lower_moves_the_content_one_pixel_up() -> None:
    image = picture(4, 6)
    out = geometry.warp(image, grid(4, 6) + torch.tensor([0.0, 2 / 3], dtype=torch.float64))
    torch.testing.assert_close(out[..., :-1, :], image[..., 1:, :])
    torch.testing.assert_close(out[..., -1, :], torch.zeros_like(out[..., -1, :]))


def test_half_a_pixel_outside_reads_half_of_the_border_and_far_outside_reads_zero() -> None:
    image = torch.full((1, 1, 3, 3), 8.0)
    points = torch.tensor([[[[-1.5, 0.0], [1.0, -1.5], [1.5, 1.5], [3.0, 0.0]]]])  # a pixel is 1 wide here
    assert geometry.warp(image, points).flatten().tolist() == [4, 4, 2, 0]


@few
@given(sides, sides, st.integers(0, 1000))
def test_warp_agrees_with_loops(height: int, width: int, seed: int) -> None:
    points = torch.rand(1, 3, 4, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3 - 1.5
    image = picture(height, width)
    torch.testing.assert_close(geometry.warp(image, points)[0], read_by_loops(image[0], points[0]))


def test_warp_has_the_right_gradient_for_image_and_deformation() -> None:
    image = picture(4, 5).requires_grad_()
    points = torch.rand(1, 2, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1.6 - 0.8
    assert torch.autograd.gradcheck(geometry.warp, (image, points.requires_grad_()))


@pytest.mark.parametrize(
    ("image", "deformation"), [((1, 3, 4, 4), (2, 4, 4, 2)), ((1, 3, 4, 4), (1, 2, 4, 4)), ((3, 4, 4), (1, 4, 4, 2))]
)
def test_warp_names_both_shapes_where_they_do_not_fit(image: tuple[int, ...], deformation: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="warp: expected") as caught:
        geometry.warp(torch.zeros(image), torch.zeros(deformation))
    assert str(image) in str(caught.value)
    assert str(deformation) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_compose_reads_through_the_first_deformation_and_then_the_second() -> None:
    # The middle frame reads 2 columns further right in the source, the final one 1 row lower in the middle.
    down, right = grid(5, 5).clone(), grid(5, 5).clone()
    down[..., 1] += 0.5
    right[..., 0] += 1.0
    both = geometry.compose(down, right)
    torch.testing.assert_close(both[0, 0, 0], torch.tensor([0.0, -0.5], dtype=torch.float64))
    image = picture(5, 5)
    torch.testing.assert_close(
        geometry.warp(image, both)[..., :-1, :], geometry.warp(geometry.warp(image, right), down)[..., :-1, :]
    )


def test_compose_is_not_symmetric_and_its_first_argument_is_the_later_one() -> None:
    # A scaling about the centre and a shift do not commute: 0.5·(x + 0.5) is the shift read first, 0.5·x + 0.5 the other.
    shrink, shift = grid(5, 5) * 0.5, grid(5, 5) + torch.tensor([0.5, 0.0], dtype=torch.float64)
    centre = torch.tensor([0.25, 0.0], dtype=torch.float64)
    torch.testing.assert_close(geometry.compose(shift, shrink)[0, 2, 2], centre)
    torch.testing.assert_close(geometry.compose(shrink, shift)[0, 2, 2], 2 * centre)


def test_compose_with_the_lattice_changes_nothing() -> None:
    deformation = picture(5, 9).permute(0, 2, 3, 1) * 2 - 1
    torch.testing.assert_close(geometry.compose(grid(5, 9), deformation), deformation)
    torch.testing.assert_close(geometry.compose(deformation, grid(5, 9)), deformation)


def test_compose_reads_the_border_where_the_first_deformation_leaves_the_frame() -> None:
    second = grid(3, 3) * 0.5
    torch.testing.assert_close(geometry.compose(grid(3, 3) + 5, second)[0, 1, 1], second[0, -1, -1])


@few
@given(sides, sides, sides, sides)
def test_resize_takes_the_pixel_at_the_floor_of_the_scaled_index(height: int, width: int, h: int, w: int) -> None:
    image = picture(height, width)
    rows = torch.tensor([i * height // h for i in range(h)])
    columns = torch.tensor([j * width // w for j in range(w)])
    assert torch.equal(geometry.resize(image, h, w), image[:, :, rows][..., columns])


def test_resize_to_the_same_size_returns_its_input() -> None:
    image = picture(4, 6)
    assert geometry.resize(image, 4, 6) is image


def test_nearest_resize_of_a_deformation_keeps_its_values_and_shares_them_among_neighbours() -> None:
    small = grid(2, 3)
    large = geometry.resize_deformation(small, 4, 6)
    assert torch.equal(large[0, 2:, 2:4], small[0, 1, 1].expand(2, 2, 2))
    assert geometry.resize_deformation(small, 2, 3) is small


def test_bilinear_resize_turns_one_lattice_into_another() -> None:
    torch.testing.assert_close(geometry.resize_deformation(grid(3, 5), 7, 4, "bilinear"), grid(7, 4))


def test_downscale_by_half_keeps_every_second_pixel() -> None:
    image = picture(4, 6)
    assert torch.equal(geometry.downscale(image, 0.5), image[..., ::2, ::2])
    assert geometry.downscale(image, 1.0) is image
