"""The map: her pieces have a tick, a word and a border; words in the drawing say the same; nothing overlaps."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pytest

from monkeynet_edu.course import lessons
from monkeynet_edu.course.map import BOXES, HEIGHT, LAST_WRITTEN, WIDTH, Box, Map, draw_map
from monkeynet_edu.errors import UserError

SVG = "{http://www.w3.org/2000/svg}"
PIECES = [box for box in BOXES.values() if not any(other.stage == box.id for other in BOXES.values())]


def exercise(name: str, box: str = "") -> SimpleNamespace:
    return SimpleNamespace(id=name, box=box or name)


def texts(drawn: Map) -> list[str]:
    return [element.text or "" for element in ET.fromstring(drawn.svg).iter(f"{SVG}text")]


def test_what_is_passed_has_a_tick_a_word_and_a_bold_border() -> None:
    exercises = [exercise("lattice"), exercise("warp")]
    before, after = draw_map(set(), exercises), draw_map({"warp"}, exercises)
    assert (before.standing["warp"], after.standing["warp"]) == ("library", "yours")
    assert "✓ warp" in texts(after)
    assert "✓ warp" not in texts(before)
    assert texts(after).count("yours") == texts(before).count("yours") + 1
    assert before.svg.count('stroke-width="3"') + 1 == after.svg.count('stroke-width="3"')


def test_a_box_is_hers_only_when_all_its_exercises_are_passed() -> None:
    exercises = [exercise("a", "masks"), exercise("b", "masks")]
    assert draw_map({"a"}, exercises).standing["masks"] == "in part"
    assert "1 of 2 yours" in texts(draw_map({"a"}, exercises))
    assert draw_map({"a", "b"}, exercises).standing["masks"] == "yours"


def test_a_stage_is_hers_when_all_in_it_is() -> None:
    exercises = [exercise("lattice"), exercise("warp"), exercise("whole", "geometry")]
    assert draw_map({"lattice", "warp"}, exercises).standing["geometry"] == "in part"
    assert draw_map({"lattice", "warp", "whole"}, exercises).standing["geometry"] == "yours"


def test_the_description_says_what_is_built_and_what_is_not() -> None:
    drawn = draw_map({"warp"}, [exercise("lattice"), exercise("warp")], "04", "at the end")
    root = ET.fromstring(drawn.svg)
    assert root.get("role") == "img"
    said = root.find(f"{SVG}desc").text
    assert "Yours: warp." in said
    assert "Still the library's: lattice." in said
    assert "This lesson: Motion M." in said
    assert root.find(f"{SVG}title").text == "Map of Monkey-Net at the end"
    assert said in root.get("aria-label")
    assert drawn._repr_mimebundle_()["application/vnd.monkeynet.map+json"] == {"yours": ["warp"]}


def test_only_the_current_lesson_is_outlined_in_words_too() -> None:
    assert texts(draw_map(set(), [], "04")).count("this lesson") == 1
    assert "this lesson" not in texts(draw_map(set(), []))


def test_later_lessons_are_grey_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = draw_map(set(), [])
    assert "later" not in everything.standing.values()
    assert "Later lessons" not in everything.description
    monkeypatch.setattr("monkeynet_edu.course.map.LAST_WRITTEN", "11")
    drawn = draw_map(set(), [])
    assert {name for name, standing in drawn.standing.items() if standing == "later"} == {"rivals"}
    assert texts(drawn).count("later") == 1
    assert "Later lessons: Rivals." in drawn.description


def test_the_same_state_gives_the_same_bytes() -> None:
    exercises = [exercise(box.id) for box in PIECES]
    assert draw_map(["warp", "flip"], exercises, "01").svg == draw_map({"flip", "warp"}, exercises, "01").svg


def test_an_unknown_box_offers_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean masks"):
        draw_map(set(), [exercise("x", "mask")])


def test_every_exercise_of_the_course_has_a_box_of_its_own_lesson() -> None:
    for lesson in lessons.all_lessons():
        for item in lesson.exercises:
            assert item.box in BOXES, f"{item.id}: no box {item.box} among {', '.join(BOXES)}"
            assert BOXES[item.box].lesson == lesson.number, item.id


def overlap(a: Box, b: Box) -> bool:
    return a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h


def test_boxes_do_not_overlap_and_pieces_lie_inside_their_stage() -> None:
    for box in BOXES.values():
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.w <= WIDTH
        assert box.y + box.h <= HEIGHT
        for other in BOXES.values():
            if other.id == box.stage:
                assert other.x < box.x
                assert box.x + box.w < other.x + other.w
                assert other.y + 34 < box.y
                assert box.y + box.h < other.y + other.h
            elif box.id != other.id and other.stage != box.id:
                assert not overlap(box, other), (box.id, other.id)


def test_words_fit_into_their_boxes() -> None:
    for box in PIECES:
        tick = "" if box.lesson > LAST_WRITTEN else "✓ "
        label = f"{tick}{box.label}" if box.stage else f"{tick}{box.lesson} {box.label}"
        # Bold sans serif of 13 px: at most about 8.3 px a letter on average.
        assert len(label) * 8.3 < box.w, box.id
        assert box.h >= 34
