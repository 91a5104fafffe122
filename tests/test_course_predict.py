"""Predict first: nothing is revealed before she answered or skipped; the first prediction stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from monkeynet_edu import viz
from monkeynet_edu.course import predict
from monkeynet_edu.course.predict import MIME, Form, Predictions, ledger, markdown_to_html
from monkeynet_edu.course.progress import Progress
from monkeynet_edu.errors import UserError

OPTIONS = {"left": "to the left", "right": "to the right", "none": "it stays <here>"}


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(predict.SKIP_VARIABLE, raising=False)


@pytest.fixture
def book(tmp_path: Path) -> Predictions:
    return asked(Predictions("01", Progress.open(tmp_path / "progress.json")))


def asked(book: Predictions) -> Predictions:
    book.ask("way", "Which way does it go?", OPTIONS)
    return book


def test_nothing_is_revealed_before_an_answer(book: Predictions) -> None:
    panel = book.reveal("way", "right", "Because it is read on the *left*.")
    assert panel.state == "predict first"
    assert "Because" not in str(panel._repr_mimebundle_())
    assert "key" not in panel._repr_mimebundle_()[MIME]
    assert 'ex.answer("way", "left", sure=70)' in panel.text
    assert book.progress.predictions() == []


@pytest.mark.parametrize(("key", "state", "word"), [("right", "right", "✓ Right"), ("left", "wrong", "✗ Wrong")])
def test_the_reveal_says_in_words_whether_she_was_right(book: Predictions, key: str, state: str, word: str) -> None:
    book.answer("way", key, sure=80)
    panel = book.reveal("way", "right", "Because.")
    assert panel.state == state
    assert word in panel.text
    assert word in panel.markup
    assert "80 % sure" in panel.text
    assert "Because." in panel.markup
    (kept,) = book.progress.predictions()
    assert (kept["option"], kept["sure"], kept["correct"], kept["skipped"]) == (key, 80, key == "right", False)


def test_an_answer_can_be_changed_until_the_reveal_and_not_after(book: Predictions) -> None:
    book.answer("way", "left", sure=50)
    book.answer("way", "right", sure=90)
    assert book.reveal("way", "right").state == "right"
    assert "first prediction stands" in book.answer("way", "left").text
    assert book.reveal("way", "right").state == "right"
    assert [p["option"] for p in book.progress.predictions()] == ["right"]


def test_skipping_reveals_and_is_kept(book: Predictions) -> None:
    book.skip("way")
    panel = book.reveal("way", "right", "Because.")
    assert panel.state == "not predicted"
    assert "Because." in panel.text
    assert [p["skipped"] for p in book.progress.predictions()] == [True]


def test_skipping_after_an_answer_changes_nothing(book: Predictions) -> None:
    book.answer("way", "right")
    assert "already" in book.skip("way").text
    assert book.reveal("way", "right").state == "right"


def test_another_kernel_finds_the_answer(book: Predictions) -> None:
    book.answer("way", "right", sure=60)
    later = asked(Predictions("01", book.progress))
    assert later.reveal("way", "right").state == "right"
    other_lesson = asked(Predictions("02", book.progress))
    assert other_lesson.reveal("way", "right").state == "predict first"


def test_an_answer_that_is_no_option_any_more_is_asked_again(book: Predictions) -> None:
    book.answer("way", "none")
    later = Predictions("01", book.progress)
    later.ask("way", "Which way?", {"left": "l", "right": "r", "up": "u"})
    assert later.reveal("way", "right").state == "predict first"


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_ci_sees_every_result_and_leaves_no_trace(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "environment":
        monkeypatch.setenv(predict.SKIP_VARIABLE, "1")
    book = asked(Predictions("01", Progress.open(tmp_path / "progress.json"), skip_all=how == "argument"))
    assert book.reveal("way", "right", "Because.").state == "not predicted"
    assert not book.progress.path.exists()


def test_zero_in_the_environment_skips_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(predict.SKIP_VARIABLE, "0")
    assert not Predictions("01", Progress.open(tmp_path / "progress.json")).skip_all


def test_fewer_than_three_options_are_refused(book: Predictions) -> None:
    with pytest.raises(UserError, match="at least three options, got 2"):
        book.ask("short", "Yes?", {"yes": "yes", "no": "no"})


@pytest.mark.parametrize("key", ["up", "Left", ""])
def test_an_unknown_key_names_the_options(book: Predictions, key: str) -> None:
    with pytest.raises(UserError, match="expected one of left, right, none"):
        book.answer("way", key)
    with pytest.raises(UserError, match="expected one of left, right, none"):
        book.reveal("way", key)


def test_a_question_not_asked_offers_the_nearest(book: Predictions) -> None:
    with pytest.raises(UserError, match="did you mean way"):
        book.answer("wav", "left")


@pytest.mark.parametrize("sure", [-1, 101, float("nan")])
def test_sureness_is_a_percentage(book: Predictions, sure: float) -> None:
    with pytest.raises(UserError, match="0 to 100"):
        book.answer("way", "left", sure=sure)


def test_panels_have_three_faces_and_are_the_same_each_time(book: Predictions) -> None:
    bundle = book.ask("way", "Which way does it go?", OPTIONS)._repr_mimebundle_()
    assert bundle == book.ask("way", "Which way does it go?", OPTIONS)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain", MIME}
    assert bundle[MIME]["options"] == OPTIONS
    assert list(bundle[MIME]["options"]) == list(OPTIONS)
    assert "it stays &lt;here&gt;" in bundle["text/html"]


def test_an_explanation_may_mix_words_and_pictures(book: Predictions) -> None:
    book.answer("way", "right")
    picture = viz.figure_images([torch.zeros(3, 4, 4)], ["black"])
    panel = book.reveal("way", "right", ["See:", picture])
    assert "<img" in panel.markup
    assert picture.alt in panel.text


# --- the form ---------------------------------------------------------------------------------------------------------


def find(widget: object, kind: str) -> list[object]:
    below = [w for child in getattr(widget, "children", ()) for w in find(child, kind)]
    return [widget, *below] if type(widget).__name__ == kind else below


def test_the_form_commits_and_skips(book: Predictions) -> None:
    pytest.importorskip("ipywidgets")
    form = predict.form_widget(book.asked["way"], book)
    (choice,), (slider,), (commit, skip) = find(form, "RadioButtons"), find(form, "IntSlider"), find(form, "Button")
    assert (slider.min, slider.max) == (33, 100)
    assert choice.value is None, "no option is suggested"
    commit.click()
    assert "Choose an option first" in find(form, "HTML")[0].value
    choice.value, slider.value = "right", 75
    commit.click()
    assert [(p["option"], p["sure"]) for p in book.progress.predictions()] == [("right", 75)]
    skip.click()
    assert book.reveal("way", "right").state == "right"


def test_without_ipywidgets_the_question_stands_as_text(book: Predictions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert predict.form_widget(book.asked["way"], book) is None
    assert isinstance(book.ask("way", "Which way?", OPTIONS), Form)


def test_ci_gets_no_form(tmp_path: Path) -> None:
    book = Predictions("01", Progress.open(tmp_path / "p.json"), skip_all=True)
    assert not isinstance(book.ask("way", "Which way?", OPTIONS), Form)


# --- markdown, ledger --------------------------------------------------------------------------------------------------


def test_the_little_markdown() -> None:
    assert markdown_to_html("a **b** *c* `d<e` [f](g.html)") == (
        '<p>a <strong>b</strong> <em>c</em> <code>d&lt;e</code> <a href="g.html">f</a></p>'
    )
    assert markdown_to_html("- a\n- b\n\nc\nd") == "<ul><li>a</li><li>b</li></ul><p>c d</p>"
    assert markdown_to_html("$a_1*b*c < 2$ and 2 * 3 * 4") == "<p>$a_1*b*c &lt; 2$ and 2 * 3 * 4</p>"
    assert "<script>" not in markdown_to_html("<script>`<script>`$<script>$")


def test_the_ledger_waits_for_twenty_answers(tmp_path: Path) -> None:
    kept = Progress.open(tmp_path / "progress.json")
    for number in range(19):
        kept.record_prediction("01", f"p{number}", "a", 80, number % 2 == 0, False)
    kept.record_prediction("01", "skipped", None, None, None, True)
    said = ledger(kept)
    assert isinstance(said, str)
    assert "19 predictions answered and revealed; 1 more" in said
    kept.record_prediction("01", "p19", "a", 80, False, False)
    shown = ledger(kept)
    assert isinstance(shown, viz.Picture)
    # Ten right at 0.04, ten wrong at 0.64.
    assert "10 of 20 right; 80 % sure: 50 % of 20 right" in shown.alt
    assert "Brier score 0.34" in shown.alt
