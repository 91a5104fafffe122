"""The user study in a notebook: films and buttons in the browser, every vote a message that is answered when it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from monkeynet_edu.widgets.still import Live, Still

if TYPE_CHECKING:
    from monkeynet_edu.widgets.front import View

Answer = dict[str, Any]


class StudyWidget(Live):
    """A study to take part in.

    Args:
        answer: what the page asks → what it is told.
        cover: the picture that stands where no front end runs.
    """

    def __init__(self, answer: Callable[[Mapping[str, Any]], Answer], cover: Callable[[], Still]) -> None:
        super().__init__()
        self._answer, self._cover = answer, cover

    def picture(self) -> Still:
        """A look at the first films, and how far the votes are."""
        return self._cover()

    def take(self, content: object) -> Answer:
        """Answers a message of the front end: ``{"number": …, "message": …}``; what goes wrong is said in words."""
        plain = content if isinstance(content, dict) else {}
        message = plain.get("message")
        reply: Answer = {"stage": "error", "error": "the study could not answer"}
        with self._errors_said():
            reply = self._answer(message if isinstance(message, dict) else {})
        if self.error:
            reply = {"stage": "error", "error": self.error}
        return {"number": plain.get("number"), "answer": reply}

    def _make_view(self) -> View:
        from monkeynet_edu.widgets.front import StudyView

        view = StudyView(title="User study")
        view.on_msg(lambda _, content, buffers: view.send(self.take(content)))
        return view
