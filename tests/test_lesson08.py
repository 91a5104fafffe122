"""Lesson 08: slips that are told apart; its figures say what they show, and a photo is taken from a file or drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from monkeynet_edu.alignment import procrustes_distance
from monkeynet_edu.animation import hull_area, hull_scale
from monkeynet_edu.course.exercise import compile_function
from monkeynet_edu.course.judge import Verdict, judge
from monkeynet_edu.course.lessons import figures08
from monkeynet_edu.course.lessons.lesson08 import LESSON
from monkeynet_edu.data.video import write_image
from monkeynet_edu.errors import UserError


def test_a_photo_comes_from_its_file_cut_to_a_square(tmp_path: Path) -> None:
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = (250, 10, 10)  # the middle
    path = write_image(tmp_path / "me.png", wide)
    got = figures08.photo(str(path), 32)
    assert got.shape == (3, 32, 32)
    assert got[0].min() > 0.9
    assert got[1].max() < 0.1


def test_without_a_path_a_portrait_is_drawn_and_always_the_same() -> None:
    one, two = figures08.photo(""), figures08.photo("")
    assert one.shape == (3, 64, 64)
    assert torch.equal(one, two)
    assert one.std() > 0.1


def test_a_photo_that_is_not_there_is_named_in_one_line() -> None:
    with pytest.raises(UserError, match=r"nowhere\.jpg"):
        figures08.photo("nowhere.jpg")


def test_a_row_may_be_a_film_or_a_single_picture() -> None:
    film = torch.rand(9, 3, 16, 16)
    picture = figures08.figure_films({"film": film, "picture": film[0]}, (0, 4, 8), "Two rows.")
    assert picture.alt == "Two rows."
    axes = picture.figure.axes
    assert len(axes) == 6
    assert [axis.get_title() for axis in axes[:3]] == ["frame 0", "frame 4", "frame 8"]
    shown = [np.asarray(axis.images[0].get_array(), dtype=float) for axis in axes]
    assert np.array_equal(shown[3], shown[5])
    assert not np.array_equal(shown[0], shown[2])


def test_the_figures_of_scores_say_their_numbers() -> None:
    fit = figures08.figure_fit(torch.tensor([0.4, 0.2, 0.1, 0.3]), torch.tensor([6.0, 2.5, 3.0, 4.0]), 2)
    assert "0.40 at frame 0 and lowest, 0.10, at frame 2" in fit.alt
    assert "6.0 pixels at frame 0 and lowest, 2.5, at frame 1" in fit.alt
    domain = figures08.figure_domain({"known": torch.tensor([0.5, 0.9]), "strange": torch.tensor([3.25])})
    assert "known: 0.50 to 0.90; strange: 3.25 to 3.25" in domain.alt


def _verdict(name: str, source: str) -> Verdict:
    """The verdict on an answer that is given as text."""
    exercise = next(e for e in LESSON.exercises if e.id == name)
    return judge(exercise, compile_function(source, exercise.name, LESSON.namespace()))


@pytest.mark.parametrize(
    ("result", "mutant"),
    [
        ("source + s * torch.cat([0 * driving[:1], driving[1:] - driving[:-1]])", "frame-to-frame"),
        ("source + s * (driving - driving[r - 1])", "frames-from-1"),
        ("driving[r] + s * (driving - source)", "exchanged"),
        ("s * (source + driving - driving[r])", "all-scaled"),
        ("source + driving - driving[r]", "scale-ignored"),
        ("source + s * (driving - driving[:, r : r + 1])", "keypoint-for-frame"),
    ],
)
def test_natural_slips_of_the_transfer_get_hints_of_their_own(result: str, mutant: str) -> None:
    source = f"def relative_means(source, driving, r, s=1.0):\n    return {result}\n"
    assert _verdict("relative-transfer", source).mutant == mutant


def test_an_area_compared_with_zero_is_enough_on_a_slanted_line_too() -> None:
    source = (
        "def hull_scale(source, reference):\n"
        "    a, b = hull_area(source), hull_area(reference)\n"
        "    return 1.0 if a == 0 or b == 0 else math.sqrt(a / b)\n"
    )
    assert _verdict("hull-scale", source).status == "PASS"
    own = source.replace("hull_area(source), hull_area(reference)", "box(source), box(reference)").replace(
        "    a, b", "    def box(p):\n        return float((p.max(0).values - p.min(0).values).prod())\n    a, b"
    )
    verdict = _verdict("hull-scale", own)
    assert verdict.mutant == "bounding-box"
    assert "rubber band" in verdict.message


@pytest.mark.parametrize(
    ("middle", "size", "mutant"),
    [
        ("mean(dim=-2, keepdim=True)", "square().mean(dim=(-2, -1), keepdim=True).sqrt()", "mean-of-squares"),
        ("mean(dim=(-2, -1), keepdim=True)", "square().sum(dim=(-2, -1), keepdim=True).sqrt()", "one-middle-for-both"),
        ("mean(dim=0)", "square().sum(dim=(-2, -1), keepdim=True).sqrt()", "mean-over-frames"),
        ("mean(dim=-2, keepdim=True)", "norm(dim=-2, keepdim=True)", "each-axis-its-own-size"),
    ],
)
def test_natural_slips_of_the_distance_get_hints_of_their_own(middle: str, size: str, mutant: str) -> None:
    source = (
        "def procrustes_distance(points, others):\n"
        f"    a, b = points - points.{middle}, others - others.{middle}\n"
        f"    a, b = a / a.{size}, b / b.{size}\n"
        "    return (a - b).square().sum(dim=(-2, -1)).sqrt()\n"
    )
    assert _verdict("procrustes", source).mutant == mutant


@pytest.mark.parametrize("slope", [0.0, 0.37, -1.9])
def test_points_on_a_slanted_line_have_no_size_though_they_are_rounded(slope: float) -> None:
    x = torch.linspace(-0.45, 0.45, 10)
    line = torch.stack([x, slope * x + 0.05], dim=1)
    figure = torch.tensor([[0.0, 0.0], [0.4, 0.0], [0.4, 0.9], [0.0, 0.9]])
    assert hull_area(line) == 0
    assert hull_scale(figure, line) == hull_scale(line, figure) == 1
    pixel = torch.tensor([[0.0, 0.0], [2 / 63, 0.0], [0.0, 2 / 63]])
    assert hull_area(pixel) == pytest.approx(2 / 63**2)


def test_the_distance_of_equal_poses_is_nothing_and_has_a_gradient() -> None:
    points = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    distance = procrustes_distance(points, points.detach())
    assert distance.max().item() < 1e-9
    distance.sum().backward()
    assert points.grad is not None
    assert bool(points.grad.isfinite().all())
