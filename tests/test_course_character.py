"""The character: checked, kept as JSON, drawn with the truth, like no character of the training."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monkeynet_edu.course import character
from monkeynet_edu.course.character import PROPORTIONS, STYLES, Character, Colours, Proportions, changed, design_state
from monkeynet_edu.course.progress import Progress
from monkeynet_edu.data.sprites import engine, taichi
from monkeynet_edu.errors import UserError


def test_json_there_and_back() -> None:
    mine = Character(name="Zoë", proportions=Proportions(height=0.9), colours=Colours(hair="#00FF7f"), background=12)
    assert Character.from_json(json.loads(json.dumps(mine.to_json()))) == mine


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("name", "", "1 to 24"),
        ("name", "a\nb", "1 to 24"),
        ("name", "x" * 25, "1 to 24"),
        ("name", 7, "1 to 24"),
        ("hairstyle", "afro", "expected one of short, bun"),
        ("sleeves", None, "expected one of long"),
        ("pattern", "fade", "expected one of plain"),
        ("background", -1, "whole number"),
        ("background", 1.5, "whole number"),
        ("background", True, "whole number"),
        ("height", 2.0, "from 0.85 to 1.05"),
        ("height", float("nan"), "from 0.85 to 1.05"),
        ("build", "wide", "from 0.8"),
        ("skin", "red", "hexadecimal"),
        ("skin", "#12345", "hexadecimal"),
        ("tail", 3, "something to change"),
    ],
)
def test_bad_values_are_refused_in_one_line(key: str, value: object, word: str) -> None:
    with pytest.raises(UserError, match=word) as caught:
        changed(Character(), key, value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [{}, [], {"name": "x"}, {**Character().to_json(), "more": 1}])
def test_json_of_something_else_is_refused(data: object) -> None:
    with pytest.raises(UserError, match="character: expected"):
        Character.from_json(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("inner", [{"height": 1.0, "wings": 2}, [], None])
def test_json_with_other_proportions_is_refused(inner: object) -> None:
    with pytest.raises(UserError):
        Character.from_json({**Character().to_json(), "proportions": inner})


def test_a_clip_is_a_clip_of_mini_taichi_with_the_truth() -> None:
    clip = Character().clip(length=12)
    assert clip.frames.shape == (12, 64, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.name == "momo"
    truth = clip.truth
    assert truth is not None
    assert truth.joint_names == taichi.JOINTS
    assert truth.labels.shape == (12, 64, 64)
    assert truth.identity % 2 == 1, "odd numbers are never trained on"
    np.testing.assert_array_equal(clip.frames, Character().clip(length=12).frames)


def test_motion_place_and_look_are_separate() -> None:
    base = Character()
    still = base.still().astype(int)
    assert (
        np.abs(base.clip(motion=8, length=20).frames[19] - base.clip(motion=3, length=20).frames[19].astype(int)).max() > 50
    )
    other_place = replace(base, background=9).still()
    mask = base.clip(length=1).truth.labels[0] > 0
    inner = mask & np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1)
    assert np.abs(other_place.astype(int) - still)[~mask].mean() > 10
    assert np.abs(other_place.astype(int) - still)[inner].max() <= 3


def test_a_look_drawn_by_number_gives_the_very_clip_of_that_number() -> None:
    by_number = engine.render(taichi.scene(11, 4, length=6))
    look = taichi.Look.of(11)
    by_look = engine.render(taichi.scene_of(look, 4, identity=11, place=11, length=6))
    np.testing.assert_array_equal(by_number.frames, by_look.frames)


@pytest.mark.parametrize("extreme", [0, 1])
@pytest.mark.parametrize("motion", range(5))
def test_the_smallest_and_the_largest_stay_in_the_frame(extreme: int, motion: int) -> None:
    sizes = Proportions(**{key: limits[extreme] for key, limits in PROPORTIONS.items()})
    clip = Character(proportions=sizes).clip(motion=motion, length=40)
    assert np.abs(clip.truth.joints).max() < 1


def test_colours_and_styles_are_seen() -> None:
    base = Character()
    for key, value in [("jacket", "#00ff00"), ("trousers", "#00ff00"), ("skin", "#00ff00"), ("hair", "#00ff00")]:
        assert np.abs(changed(base, key, value).still().astype(int) - base.still()).max() > 60, key
    for key, allowed in STYLES.items():
        pictures = {changed(base, key, value).still(128).tobytes() for value in allowed}
        assert len(pictures) == len(allowed), key


def test_the_picture_says_who_it_is() -> None:
    picture = Character(name="Ana $1$").picture()
    assert "Ana $1$" in picture.alt
    assert "headband" in picture.alt
    assert picture.png()[:4] == b"\x89PNG"


def test_the_designers_state_is_a_picture_and_words() -> None:
    frame, alt = design_state(Character(), size=64)
    assert frame.shape == (64, 128, 3)
    assert "Momo" in alt
    assert "standing on the left" in alt
    assert not np.array_equal(frame[:, :64], frame[:, 64:])


def test_the_kept_character_is_found_and_a_broken_one_is_the_default(tmp_path: Path) -> None:
    kept = Progress.open(tmp_path / "progress.json")
    assert character.saved(kept) == Character()
    kept.set_character(Character(name="Ana").to_json())
    assert character.saved(kept).name == "Ana"
    kept.set_character({"name": "broken"})
    assert character.saved(kept) == Character()


def test_the_designer_redraws_warns_and_keeps(tmp_path: Path) -> None:
    kept = Progress.open(tmp_path / "progress.json")
    shown = character.designer(kept)
    before = shown.picture()
    shown.set(height=0.87, jacket="#00ff00")
    assert shown.picture().png != before.png
    assert "#00ff00" in shown.picture().alt
    shown.set(name="")
    assert "expected 1 to 24" in shown.error
    shown.set(name="Ana <b>")
    assert shown.error == ""
    assert "Ana &lt;b&gt;" in shown._repr_mimebundle_()["text/html"]
    assert kept.character() is None
    shown.set(keep=1)
    assert "is kept" in shown.picture().said
    found = character.saved(kept)
    assert (found.name, found.proportions.height, found.colours.jacket) == ("Ana <b>", 0.87, "#00ff00")
    shown.set(name="Another")
    assert shown.picture().said == ""
    assert character.saved(kept).name == "Ana <b>"


def test_without_a_front_end_the_designer_is_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "monkeynet_edu.widgets.front", raising=False)
    shown = character.designer(Progress.open(tmp_path / "progress.json"))
    assert "Momo" in shown.picture().alt
    assert shown.view is None
