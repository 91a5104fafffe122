"""Predict first: the learner commits to an answer, and how sure she is, before a result is shown."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from monkeynet_edu.course.progress import Progress, calibration, draw_calibration, say_calibration
from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.viz import Picture

Explanation = str | Picture | Sequence[str | Picture]
State = Literal["asked", "answered", "skipped", "predict first", "right", "wrong", "not predicted"]

MIME = "application/vnd.monkeynet.prediction+json"
SKIP_VARIABLE = "MONKEYNET_EDU_SKIP_PREDICTIONS"
ENOUGH = 20  # answers before calibration says anything
LEAST_SURE, MOST_SURE = 33, 100


@dataclass(frozen=True)
class Prediction:
    """A question and what the learner said to it.

    Attributes:
        id: unique in its lesson.
        question: asked before the result is computed.
        options: text of each answer by its key, in the order shown; at least three.
        answer: key of her answer, None before she gave one.
        sure: how sure she is, per cent, or None.
        skipped: she wants to see the result without predicting.
    """

    id: str
    question: str
    options: Mapping[str, str]
    answer: str | None = None
    sure: float | None = None
    skipped: bool = False

    def __post_init__(self) -> None:
        """Checks the number of options."""
        if len(self.options) < 3:
            raise UserError(
                f"prediction {self.id}: expected at least three options, got {len(self.options)}; "
                "add what learners commonly believe"
            )


@dataclass(frozen=True)
class Panel:
    """Something to show: HTML for the notebook, text elsewhere, and data for machines.

    Attributes:
        state: what it says.
        markup: HTML.
        text: the same as plain text.
        data: the same for machines.
    """

    state: State
    markup: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/html": self.markup, "text/plain": self.text, MIME: {"state": self.state, **self.data}}

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Form(Panel):
    """A question with radio buttons, a slider and two buttons below it, where ipywidgets is installed."""

    prediction: Prediction | None = None
    book: Predictions | None = None

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]
        if self.prediction is not None and self.book is not None:
            controls = form_widget(self.prediction, self.book)
            if controls is not None:
                display(controls)  # type: ignore[no-untyped-call]


@dataclass
class Predictions:
    """The predictions of one lesson.

    Args:
        lesson: its number.
        progress: where answers are kept.
        skip_all: show every result at once, recording nothing: CI. Also switched on by
            ``MONKEYNET_EDU_SKIP_PREDICTIONS=1``.
    """

    lesson: str
    progress: Progress
    skip_all: bool = False
    asked: dict[str, Prediction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Looks at the environment."""
        self.skip_all = self.skip_all or os.environ.get(SKIP_VARIABLE, "") not in ("", "0")

    def ask(self, prediction_id: str, question: str, options: Mapping[str, str]) -> Panel:
        """Shows a question.

        Args:
            prediction_id: unique in the lesson.
            question: one question (markdown).
            options: text of each answer by its key; the order is kept.

        Raises:
            UserError: fewer than three options.
        """
        prediction = Prediction(prediction_id, question, dict(options))
        known = self._kept(prediction)
        self.asked[prediction_id] = known
        panel = _question(prediction)
        if self.skip_all or known.answer is not None or known.skipped:
            return panel
        return Form(panel.state, panel.markup, panel.text, panel.data, prediction, self)

    def answer(self, prediction_id: str, key: str, sure: float | None = None) -> Panel:
        """Commits to an answer; it can be changed until the result is revealed.

        Args:
            prediction_id: of a question asked above.
            key: of the option.
            sure: how sure, per cent (100: certain; with three options, 33 is a guess).

        Raises:
            UserError: the question was not asked, there is no such option, or sure is not a percentage.
        """
        prediction = self._find(prediction_id)
        _check_key(prediction, key)
        if sure is not None and not 0 <= sure <= MOST_SURE:
            raise UserError(f"sure={sure}: expected a percentage from 0 to 100, got {sure}; 33 is a guess among three")
        if self._revealed(prediction_id):
            return _panel("answered", "The result is out: your first prediction stands.", prediction)
        self.asked[prediction_id] = Prediction(prediction_id, prediction.question, prediction.options, key, sure)
        self.progress.record_prediction(self.lesson, prediction_id, key, sure, None, False)
        how = f", {sure:.0f} % sure" if sure is not None else ""
        said = f"Kept: {key} – {prediction.options[key]}{how}. Run the next cell to see."
        return _panel("answered", said, self.asked[prediction_id])

    def skip(self, prediction_id: str) -> Panel:
        """Chooses to see the result without predicting."""
        prediction = self._find(prediction_id)
        if prediction.answer is not None:
            return _panel("answered", "You have predicted already: the next cell shows the result.", prediction)
        if not prediction.skipped:
            self.asked[prediction_id] = Prediction(prediction_id, prediction.question, prediction.options, skipped=True)
            self.progress.record_prediction(self.lesson, prediction_id, None, None, None, True)
        return _panel("skipped", "Skipped: the next cell shows the result.", self.asked[prediction_id])

    def reveal(self, prediction_id: str, key: str, explanation: Explanation = "") -> Panel:
        """Shows the result, once she has answered or skipped.

        Args:
            prediction_id: of a question asked above.
            key: of the right option, computed from a result.
            explanation: why: markdown, a picture, or a list of both.

        Raises:
            UserError: the question was not asked, or the key is none of its options.
        """
        prediction = self._find(prediction_id)
        _check_key(prediction, key)
        if prediction.answer is None and not prediction.skipped and not self.skip_all:
            return _predict_first(prediction)
        if prediction.answer is None:
            return _revealed(
                "not predicted", f"The answer is {key}: {prediction.options[key]}", prediction, key, explanation
            )
        right = prediction.answer == key
        if not self.skip_all:
            self.progress.record_prediction(self.lesson, prediction_id, prediction.answer, prediction.sure, right, False)
        how = f" ({prediction.sure:.0f} % sure)" if prediction.sure is not None else ""
        yours = f"You predicted {prediction.answer}{how}: {prediction.options[prediction.answer]}"
        if right:
            return _revealed("right", f"✓ Right. {yours}", prediction, key, explanation)
        said = f"✗ Wrong, and worth knowing. {yours}. What happens is {key}: {prediction.options[key]}"
        return _revealed("wrong", said, prediction, key, explanation)

    def _find(self, prediction_id: str) -> Prediction:
        if prediction_id not in self.asked:
            if not self.asked:
                raise UserError(f"prediction {prediction_id!r}: expected a question asked above; run its cell first")
            raise unknown_name("prediction", prediction_id, self.asked)
        return self.asked[prediction_id]

    def _records(self, prediction_id: str) -> list[dict[str, Any]]:
        found = self.progress.predictions()
        return [p for p in found if (p["lesson"], p["id"]) == (self.lesson, prediction_id)]

    def _revealed(self, prediction_id: str) -> bool:
        return any(p["correct"] is not None or p["skipped"] for p in self._records(prediction_id))

    def _kept(self, prediction: Prediction) -> Prediction:
        """The question with the answer of an earlier run, if its options are still there."""
        if self.skip_all:
            return prediction
        for old in self._records(prediction.id):
            if old["skipped"] or old["option"] in prediction.options:
                return Prediction(
                    prediction.id, prediction.question, prediction.options, old["option"], old["sure"], bool(old["skipped"])
                )
        return prediction


def _check_key(prediction: Prediction, key: str) -> None:
    if key not in prediction.options:
        names = ", ".join(prediction.options)
        raise UserError(f"prediction {prediction.id}: expected one of {names}, got {key!r}; choose one of these keys")


# --------------------------------------------------------------------------------------------------------- what is shown

_EDGE: dict[State, str] = {"right": "#007a57", "wrong": "#b34700", "predict first": "#8a6d00"}


def _frame(state: State, inner: str, role: str = "status") -> str:
    edge = _EDGE.get(state, "#0072b2")
    return (
        f'<div role="{role}" style="border-left:5px solid {edge};padding:0.4em 0.9em;margin:0.3em 0;'
        f'line-height:1.45">{inner}</div>'
    )


def _panel(state: State, said: str, prediction: Prediction) -> Panel:
    data = {"id": prediction.id, "answer": prediction.answer, "sure": prediction.sure}
    return Panel(state, _frame(state, markdown_to_html(said)), said, data)


def _how(prediction: Prediction) -> str:
    key = next(iter(prediction.options))
    return f'ex.answer("{prediction.id}", "{key}", sure=70)'


def _question(prediction: Prediction) -> Panel:
    options = "".join(
        f"<li><code>{html.escape(key)}</code> – {_inline(text)}</li>" for key, text in prediction.options.items()
    )
    how = _how(prediction)
    inner = (
        f"<strong>Predict.</strong> {_inline(prediction.question)}"
        f'<ol type="a" style="margin:0.4em 0">{options}</ol>'
        f"<small>Answer with the buttons below where there are some, or in a cell: <code>{html.escape(how)}</code> – "
        "your key, and how sure you are in per cent (33 is a guess among three). "
        f'No wish to predict? <code>ex.skip("{html.escape(prediction.id)}")</code></small>'
    )
    lines = [f"Predict. {prediction.question}", *(f"  {key} – {text}" for key, text in prediction.options.items())]
    text = "\n".join([*lines, f"Answer: {how}", f'Or: ex.skip("{prediction.id}")'])
    data = {"id": prediction.id, "question": prediction.question, "options": dict(prediction.options)}
    return Panel("asked", _frame("asked", inner, "group"), text, data)


def _predict_first(prediction: Prediction) -> Panel:
    how = _how(prediction)
    said = (
        f"Predict first: {prediction.question} Keys: {', '.join(prediction.options)}. Commit with `{how}` (your key, your "
        f'per cent), or `ex.skip("{prediction.id}")`; then run this cell again.'
    )
    return _panel("predict first", said, prediction)


def _revealed(state: State, said: str, prediction: Prediction, key: str, explanation: Explanation) -> Panel:
    pieces = [explanation] if isinstance(explanation, str | Picture) else list(explanation)
    shown = [markdown_to_html(piece) if isinstance(piece, str) else piece._repr_html_() for piece in pieces if piece]
    texts = [piece if isinstance(piece, str) else piece.alt for piece in pieces if piece]
    inner = f"<p><strong>{_inline(_full_stop(said))}</strong></p>{''.join(shown)}"
    data = {"id": prediction.id, "answer": prediction.answer, "sure": prediction.sure, "key": key}
    return Panel(state, _frame(state, inner), "\n\n".join([_full_stop(said), *texts]), data)


def _full_stop(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _inline(text: str) -> str:
    """Markdown inside a line: code, bold, italics, links. Formulas in dollars stay as they are."""
    kept: list[str] = []

    def keep(markup: str) -> str:
        kept.append(markup)
        return f"\x00{len(kept) - 1}\x00"

    out = re.sub(r"`([^`]+)`", lambda m: keep(f"<code>{html.escape(m[1], quote=False)}</code>"), text)
    out = re.sub(r"\$[^$\n]+\$", lambda m: keep(html.escape(m[0], quote=False)), out)
    out = html.escape(out, quote=False)
    out = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", out)
    out = re.sub(r"(?<![\w*])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])", r"<em>\1</em>", out)
    out = re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="\2">\1</a>', out)
    return re.sub(r"\x00(\d+)\x00", lambda m: kept[int(m[1])], out)


def markdown_to_html(text: str) -> str:
    """The little markdown that explanations use: paragraphs, lists, code, bold, italics, links; formulas stay."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines()]
        if lines and all(line.startswith(("- ", "* ")) for line in lines):
            blocks.append("<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>")
        else:
            blocks.append(f"<p>{_inline(' '.join(lines))}</p>")
    return "".join(blocks)


# --------------------------------------------------------------------------------------------------------- widgets


def form_widget(prediction: Prediction, book: Predictions) -> Any:
    """Radio buttons, a slider from 33 to 100 per cent, Commit and Skip; None where ipywidgets is not installed."""
    try:
        import ipywidgets as widgets
    except ImportError:
        return None
    named = [(f"{key} – {text}", key) for key, text in prediction.options.items()]
    style, wide = {"description_width": "initial"}, widgets.Layout(width="auto")
    choice = widgets.RadioButtons(options=named, value=None, layout=wide)
    sure = widgets.IntSlider(min=LEAST_SURE, max=MOST_SURE, value=50, description="How sure? (%)", style=style)
    commit = widgets.Button(description="Commit", button_style="primary", tooltip="Keep this prediction")
    skip = widgets.Button(description="Skip", tooltip="See the result without predicting")
    said = widgets.HTML('<div role="status"></div>')

    def on_commit(_: Any) -> None:
        if choice.value is None:
            said.value = _frame("predict first", "Choose an option first.")
        else:
            said.value = book.answer(prediction.id, choice.value, sure.value).markup

    def on_skip(_: Any) -> None:
        said.value = book.skip(prediction.id).markup

    commit.on_click(on_commit)
    skip.on_click(on_skip)
    return widgets.VBox([choice, sure, widgets.HBox([commit, skip]), said])


# --------------------------------------------------------------------------------------------------------- ledger


def ledger(progress: Progress) -> Picture | str:
    """How well the learner knows what she knows: a plot once there are 20 answers, before that how many are missing."""
    known = calibration(progress.predictions())
    if known.answers < ENOUGH:
        missing, noun = ENOUGH - known.answers, "prediction" if known.answers == 1 else "predictions"
        return (
            f"{known.answers} {noun} answered and revealed; {missing} more and you see how well your sureness "
            "matches being right."
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    draw_calibration(figure.add_subplot(), known)
    return Picture(figure, say_calibration(known))
