"""The session that notebooks call `ex`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monkeynet_edu import geometry
from monkeynet_edu.course import install, lessons
from monkeynet_edu.course.banner import MIME
from monkeynet_edu.course.exercise import original
from monkeynet_edu.course.notebook import LessonSession
from monkeynet_edu.course.progress import Progress
from monkeynet_edu.errors import UserError

ID = "to-pixels"


def right(points, height, width):
    return (points + 1) / 2 * points.new_tensor([width - 1, height - 1])


def wrong(points, height, width):
    return (points + 1) / 2 * points.new_tensor([height - 1, width - 1])


def unwritten(points, height, width):
    raise NotImplementedError


def shout(points, height, width):
    raise IndexError("loud")


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    return Progress.open(tmp_path / "progress.json")


@pytest.fixture
def ex(progress: Progress) -> object:
    yield LessonSession("01", progress=progress)
    for lesson in lessons.all_lessons():
        for exercise in lesson.exercises:
            install.remove(exercise)


def test_a_pass_replaces_the_librarys_function_and_is_seen_to_run(ex: LessonSession) -> None:
    assert ex.submit(ID, right).status == "PASS"
    assert torch.equal(geometry.to_pixels(torch.ones(1, 2), 3, 5), torch.tensor([[4.0, 2.0]]))
    assert ex.used(ID).data == {"exercise": ID, "ran": True, "whose": "learner"}
    assert ex.used(ID).data["ran"] is False


def test_untouched_the_librarys_version_stands_in_and_says_so(ex: LessonSession) -> None:
    assert ex.submit(ID, unwritten).status == "NOT ATTEMPTED"
    assert geometry.to_pixels is original("monkeynet_edu.geometry:to_pixels")
    assert ex.used(ID).data["whose"] == "library"
    assert "stood in" in ex.used(ID).text


def test_a_later_failure_keeps_the_last_pass_visibly(ex: LessonSession, progress: Progress) -> None:
    ex.submit(ID, right)
    banner = ex.submit(ID, wrong)
    assert banner.status == "FAIL"
    assert "last right version stays" in banner.next_step
    assert geometry.to_pixels(torch.ones(1, 2), 3, 5)[0, 0] == 4
    assert "width - 1, height - 1" in progress.passed()[ID]


def test_passed_answers_drive_later_lessons_and_are_kept_as_a_file(progress: Progress, ex: LessonSession) -> None:
    ex.submit(ID, right)
    mine = progress.path.with_name("my_monkeynet.py").read_text("utf-8")
    names: dict[str, object] = {}
    exec(compile(mine, "my_monkeynet.py", "exec"), names)
    assert names["to_pixels"](torch.ones(1, 2), 3, 5)[0, 0] == 4


def test_a_new_session_installs_what_was_passed(progress: Progress, ex: LessonSession) -> None:
    ex.submit(ID, right)  # under another name than the exercise's
    later = LessonSession("03", progress=progress)
    assert isinstance(geometry.to_pixels, install.Counted)
    assert later.notices == []


HELPER = 2


def with_helper(points, height, width):
    return (points + 1) / HELPER * points.new_tensor([width - 1, height - 1])


def test_an_answer_that_needs_the_rest_of_the_notebook_runs_here_and_says_that_it_does_not_run_later(
    ex: LessonSession, progress: Progress
) -> None:
    banner = ex.submit(ID, with_helper)
    assert banner.status == "PASS"
    assert "HELPER" in banner.next_step
    assert isinstance(geometry.to_pixels, install.Counted)
    assert ID not in progress.passed()


def test_a_stored_answer_that_no_longer_runs_is_named_and_left_out(
    progress: Progress, ex: LessonSession, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.record_verdict("01", ID, "PASS", "def to_pixels(points\n", True)
    later = LessonSession("01", progress=progress)
    assert len(later.notices) == 1
    assert ID in later.notices[0]
    assert later.notices[0] in capsys.readouterr().out
    assert geometry.to_pixels is original("monkeynet_edu.geometry:to_pixels")


def test_run_mine_lets_the_wrong_version_drive_and_then_gives_the_library_back(ex: LessonSession) -> None:
    with pytest.raises(UserError, match="submit yours first"), ex.run_mine(ID):
        pass
    ex.submit(ID, wrong)
    with ex.run_mine(ID):
        assert geometry.to_pixels(torch.ones(1, 2), 3, 5)[0, 0] == 2
    assert geometry.to_pixels(torch.ones(1, 2), 3, 5)[0, 0] == 4


def test_hints_come_in_order_and_the_solution_only_after_a_try(ex: LessonSession) -> None:
    assert "Try first" in ex.solution(ID).text
    said = [ex.hint(ID).text for _ in range(4)]
    assert [text.count("Hint") for text in said] == [1, 2, 3, 3]
    assert "concept" in said[0]
    ex.submit(ID, unwritten)
    assert "Try first" in ex.solution(ID).text
    ex.submit(ID, wrong)
    assert "def to_pixels" in ex.solution(ID).text


def test_a_name_is_looked_up_where_the_cell_runs(ex: LessonSession) -> None:
    assert ex.submit(ID, "right").status == "PASS"
    assert ex.submit(ID, "no_such_name").status == "NOT ATTEMPTED"


def test_an_unknown_exercise_is_answered_with_the_nearest_names(ex: LessonSession) -> None:
    with pytest.raises(UserError, match="to-pixels"):
        ex.submit("to-pixel", right)


def test_the_banner_is_worded_coloured_announced_and_machine_readable(ex: LessonSession) -> None:
    for answer, status in ((right, "PASS"), (wrong, "FAIL"), (unwritten, "NOT ATTEMPTED"), (shout, "ERROR")):
        shown = ex.submit(ID, answer)._repr_mimebundle_()
        assert status in shown["text/html"]
        assert 'role="status"' in shown["text/html"]
        assert shown[MIME]["status"] == status
        assert shown["text/plain"].startswith(status)


def test_words_of_an_answer_cannot_become_markup(ex: LessonSession) -> None:
    def to_pixels(points, height, width):
        raise ValueError("<script>alert(1)</script>")

    assert "<script>" not in ex.submit(ID, to_pixels).markup()


def test_the_film_names_her_functions_and_that_it_is_synthetic(ex: LessonSession) -> None:
    ex.submit(ID, right)
    film = ex.film(torch.rand(3, 3, 8, 8), "a test")
    assert "**Written by you:** `to_pixels`" in film.text
    assert "Synthetic" in film.text
    assert "data:image/webp;base64," in film.markup
    assert 'alt="Film of 3 frames, 8 by 8 pixels: a test"' in film.markup


def test_the_short_mode_takes_two_steps(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LessonSession("01", progress=progress).steps(200) == 200
    assert LessonSession("01", fast=True, progress=progress).steps(200) == 2
    monkeypatch.setenv("MONKEYNET_EDU_FAST", "1")
    assert LessonSession("01", progress=progress).fast


def test_a_training_cell_that_does_not_train_is_caught(ex: LessonSession) -> None:
    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    def train(steps: int, rate: float = 1.0) -> None:
        with ex.training(layer):
            for _ in range(steps):
                optimizer.zero_grad()
                (rate * layer(torch.ones(1, 2)).sum()).backward()
                optimizer.step()

    train(2)
    with pytest.raises(AssertionError, match="at least 2"):
        train(1)
    with pytest.raises(AssertionError, match="did not change"):
        train(2, rate=0.0)
    with pytest.raises(AssertionError, match="finite"):
        train(2, rate=float("nan"))
