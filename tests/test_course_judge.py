"""The judge: every kind of answer gets the verdict, and the words, that it deserves."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest
import torch
from course_examples import EXERCISE, half, loop, whole

from monkeynet_edu import geometry
from monkeynet_edu.course import judge as judging
from monkeynet_edu.course.exercise import Call, Exercise, Property, Violation, expect, original, solution_source
from monkeynet_edu.course.judge import judge, mutant_function
from monkeynet_edu.model import Device


@pytest.mark.parametrize("answer", [whole, half])
def test_a_right_answer_passes_and_is_installed(answer: object) -> None:
    verdict = judge(EXERCISE, answer)
    assert verdict.status == "PASS", verdict
    assert verdict.installs


@pytest.mark.parametrize("name", ["swapped", "sign", "size"])
def test_a_known_wrong_answer_gets_its_own_hint(name: str) -> None:
    verdict = judge(EXERCISE, mutant_function(EXERCISE, name))
    mutant = next(m for m in EXERCISE.mutants if m.name == name)
    assert (verdict.status, verdict.mutant, verdict.hint) == ("FAIL", name, mutant.hint)


def test_an_unknown_wrong_answer_gets_the_violated_property_and_no_guess() -> None:
    def answer(points, height, width):
        return points * 3.7

    verdict = judge(EXERCISE, answer)
    assert (verdict.status, verdict.hint, verdict.mutant) == ("FAIL", "", "")
    assert "corners are pixels" in verdict.message
    assert verdict.expected
    assert verdict.got


def stub(points, height, width):
    """Doc."""
    raise NotImplementedError("write me")


def blanks(points, height, width):
    return (points + ____) / 2  # noqa: F821


def empty(points, height, width):
    """Doc."""
    pass  # noqa: PIE790 (what a learner leaves)


def half_done(points, height, width):
    inside = points + 1
    assert inside is not None
    raise NotImplementedError


@pytest.mark.parametrize("answer", [None, stub, blanks, empty, half_done])
def test_what_is_not_written_is_not_attempted(answer: object) -> None:
    assert judge(EXERCISE, answer).status == "NOT ATTEMPTED"


def test_something_that_is_no_function_is_said_to_be_none() -> None:
    verdict = judge(EXERCISE, 3)
    assert verdict.status == "FAIL"
    assert "Expected a function" in verdict.message


def test_a_wrong_signature_is_told_in_words() -> None:
    verdict = judge(EXERCISE, lambda points, height: points)
    assert verdict.status == "FAIL"
    assert "to_pixels(points, height, width)" in verdict.message


def wrong_shape(points, height, width):
    return whole(points, height, width)[..., :1]


def wrong_type(points, height, width):
    return whole(points, height, width).double()


def float32_only(points, height, width):
    return whole(points, height, width).float()


def nothing(points, height, width):
    whole(points, height, width)


def a_list(points, height, width):
    return whole(points, height, width).tolist()


def not_a_number(points, height, width):
    return whole(points, height, width) * (points[..., :1] * 0 / 0)


def in_place(points, height, width):
    points += 1
    return points / 2 * points.new_tensor([width - 1, height - 1])


def detached(points, height, width):
    return whole(points, height, width).detach()


def on_meta(points, height, width):
    return whole(points, height, width).to("meta")


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (wrong_shape, "shape"),
        (wrong_type, "type"),
        (nothing, "return"),
        (a_list, "tensor"),
        (not_a_number, "NaN"),
        (in_place, "changes its input"),
        (detached, "No gradient"),
        (on_meta, "device"),
    ],
)
def test_the_wrong_kind_of_result_is_named(answer: object, word: str) -> None:
    verdict = judge(EXERCISE, answer)
    assert verdict.status == "FAIL"
    assert word in verdict.message


def float32_inside(points, height, width):
    return (points + 1) / 2 @ torch.diag(torch.tensor([width - 1.0, height - 1.0]))


@pytest.mark.parametrize("answer", [float32_only, float32_inside])
def test_a_right_answer_that_knows_only_float32_passes(answer: object) -> None:
    assert judge(EXERCISE, answer).status == "PASS"


def raising(points, height, width):
    rows = [1]
    return rows[3]


def exiting(points, height, width):
    raise SystemExit(0)


def recursive(points, height, width):
    return recursive(points, height, width)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raising, ["IndexError", "rows[3]", "list index out of range"]),
        (exiting, ["SystemExit"]),
        (recursive, ["RecursionError", "call itself"]),
    ],
)
def test_an_exception_is_explained_with_its_line(answer: object, words: list[str]) -> None:
    verdict = judge(EXERCISE, answer)
    assert verdict.status == "ERROR"
    assert all(word in verdict.message for word in words), verdict.message


def endless(points, height, width):
    while True:
        try:
            while True:
                pass
        except Exception:
            continue


def test_an_endless_loop_is_stopped_and_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "SECONDS", 0.3)
    verdict = judge(EXERCISE, endless)
    assert verdict.status == "ERROR"
    assert "did not finish" in verdict.message


def test_calling_the_librarys_own_is_allowed_marked_and_not_installed() -> None:
    def answer(points, height, width):
        return geometry.to_pixels(points, height, width)

    verdict = judge(EXERCISE, answer)
    assert (verdict.status, verdict.uses_library, verdict.installs) == ("PASS", True, False)
    assert "library's own" in verdict.message


def test_submitting_the_librarys_function_itself_is_marked_too() -> None:
    verdict = judge(EXERCISE, geometry.to_pixels)
    assert (verdict.status, verdict.uses_library, verdict.installs) == ("PASS", True, False)


def test_a_list_that_is_changed_is_noticed() -> None:
    def total(items):
        return torch.stack(items).sum(dim=0)

    def popping(items):
        items.append(items[0] * 0)
        return total(items)

    calls = lambda: [Call("two tensors", ([torch.ones(2), torch.ones(2)],))]  # noqa: E731
    exercise = replace(EXERCISE, calls=calls, properties=(), differentiable=(), target="course_examples:total")
    assert judge(exercise, total).status == "PASS"
    assert "changes its input" in judge(exercise, popping).message


def test_an_answer_that_changes_its_input_gets_no_other_hint() -> None:
    def answer(points, height, width):
        points += 1
        return (points / 2 * points.new_tensor([width - 1, height - 1])).flip(-1)

    verdict = judge(EXERCISE, answer)
    assert "changes its input" in verdict.message
    assert verdict.hint == ""


def test_right_but_slow_is_not_installed() -> None:
    calls = lambda: [Call("many points", (torch.rand(2000, 2) * 2 - 1, 7, 11))]  # noqa: E731
    verdict = judge(replace(EXERCISE, calls=calls), loop)
    assert (verdict.status, verdict.installs) == ("PASS", False)
    assert "right, slow, not installed" in verdict.message
    assert judge(replace(EXERCISE, calls=calls), whole).installs


def test_an_answer_that_only_the_library_shows_to_be_wrong_fails_too() -> None:
    def answer(points, height, width):
        return whole(points, height, width) + (0.5 if height == 7 else 0)  # right wherever the property looks

    verdict = judge(EXERCISE, answer)
    assert verdict.status == "FAIL"
    assert "what the library computes" in verdict.message


def test_a_wrong_gradient_is_seen_where_the_values_are_right() -> None:
    def answer(points, height, width):
        right = whole(points, height, width)
        return right.detach() + points - points.detach()

    verdict = judge(EXERCISE, answer)
    assert verdict.status == "FAIL"
    assert "gradient" in verdict.message


def test_judging_leaves_the_library_and_the_random_state_as_they_were() -> None:
    before, state = geometry.to_pixels, torch.get_rng_state()
    judge(EXERCISE, whole)
    judge(EXERCISE, raising)
    assert geometry.to_pixels is before
    assert torch.equal(torch.get_rng_state(), state)


def test_expect_says_where_and_by_how_much() -> None:
    with pytest.raises(Violation) as found:
        expect(torch.tensor([[1.0, 2.0], [3.0, 9.0]]), [[1.0, 2.0], [3.0, 4.0]], "sums", "a matrix")
    assert (found.value.expected, found.value.got) == ("4 at [1, 1]", "9 at [1, 1]")


def test_expect_refuses_what_is_not_finite_and_takes_what_is_within_tolerance() -> None:
    expect(torch.tensor(100.005), 100.0, "")
    with pytest.raises(Violation):
        expect(torch.tensor(100.02), 100.0, "")
    with pytest.raises(Violation, match="not finite"):
        expect(torch.tensor(float("nan")), 1.0, "")


def test_a_property_that_raises_in_the_answer_is_an_error_not_a_crash() -> None:
    def check(answer: object) -> None:
        answer(torch.zeros(2), 0, "wide")

    odd = replace(EXERCISE, properties=(Property("odd", "odd input", check),))
    assert judge(odd, whole).status == "ERROR"


def test_the_picture_is_drawn_only_when_asked_for_and_a_failing_drawing_is_left_out() -> None:
    verdict = judge(EXERCISE, mutant_function(EXERCISE, "swapped"))
    assert verdict.drawn() is None  # three points are no picture
    wide = replace(EXERCISE, properties=())
    picture = judge(wide, mutant_function(EXERCISE, "swapped")).drawn()
    assert picture is not None
    assert "yours beside expected" in picture.alt

    def broken(answer: object, right: object) -> None:
        raise RuntimeError

    assert judge(replace(EXERCISE, picture=broken), mutant_function(EXERCISE, "sign")).drawn() is None


# -------------------------------------------------------------------------------------------------------- other devices


def exercise_of(number: int, name: str) -> Exercise:
    lesson = importlib.import_module(f"monkeynet_edu.course.lessons.lesson{number:02}").LESSON
    return next(exercise for exercise in lesson.exercises if exercise.id == name)


@pytest.mark.parametrize(
    ("number", "name", "old", "new"),
    [
        (1, "lattice", ", device=device", ""),
        (3, "gaussian", "torch.exp(", "torch.exp(torch.zeros(1) + "),
    ],
    ids=["makes its numbers", "adds a new tensor"],
)
def test_a_tensor_made_on_the_processor_whatever_is_given_is_named(number: int, name: str, old: str, new: str) -> None:
    exercise = exercise_of(number, name)
    source = solution_source(exercise)
    assert old in source
    verdict = judge(exercise, judging.library_variant(exercise, source.replace(old, new), "on-the-processor"))
    assert verdict.status == "PASS", verdict
    assert "On a graphics card it would stop" in verdict.message
    assert "device=x.device" in verdict.message


@pytest.mark.parametrize(("here", "installed"), [("cpu", True), ("cuda", False)])
def test_what_would_stop_on_a_graphics_card_is_installed_where_there_is_none(
    here: str, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "pick_device", lambda: Device(torch.device(here), "float32"))
    right, leaves = (judging.Verdict("e", "PASS", "right", leaves_card=value) for value in (False, True))
    assert right.installs
    assert leaves.installs == installed


def test_an_answer_that_asks_for_a_number_is_not_blamed_for_its_device() -> None:
    def answer(points, height, width):
        return whole(points, height, width) + 0 * points.sum().item()

    verdict = judge(EXERCISE, answer)
    assert verdict.status == "PASS", verdict
    assert "graphics card" not in verdict.message


def test_an_index_may_lie_on_the_processor() -> None:
    picture = Call("a picture", (torch.rand(1, 3, 4, 5),))
    assert judging.all_on_card(lambda x: x[..., torch.arange(4, -1, -1)], picture)
    assert judging.all_on_card(lambda x: x * torch.tensor(2.0), picture)  # a single number may, too
    assert judging.all_on_card(lambda x: x * torch.ones(5), picture) is False
    assert judging.all_on_card(lambda x: x.sum().item(), picture) is None


def test_most_exercises_on_tensors_are_tried_on_a_graphics_card() -> None:
    lessons = [importlib.import_module(f"monkeynet_edu.course.lessons.lesson{n:02}").LESSON for n in range(13)]
    plain = [e for lesson in lessons for e in lesson.exercises if e.observe is None]
    tried = {e.id for e in plain if all(judging.all_on_card(original(e.target), call) for call in e.inputs())}
    assert {e.id for e in plain} - tried == {"keypoint-distance", "missing-rate", "without-flow"}  # no tensor comes back
