"""Lesson 08: its figures say what they show, and a photo is taken from a file or drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from monkeynet_edu.course.lessons import figures08
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
