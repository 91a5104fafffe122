"""How a verdict looks: a coloured and worded banner that screen readers announce, text elsewhere, JSON for machines."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monkeynet_edu import viz
from monkeynet_edu.course.judge import Status, Verdict
from monkeynet_edu.course.predict import markdown_to_html

MIME = "application/vnd.monkeynet.verdict+json"
NOTE_MIME = "application/vnd.monkeynet.note+json"
_LOOK: dict[Status, tuple[str, str]] = {  # colour, sign: never by colour alone
    "PASS": ("#007a57", "✔"),
    "FAIL": ("#b34700", "✘"),
    "NOT ATTEMPTED": ("#5a5a5a", "○"),
    "ERROR": ("#9a1b4c", "⚠"),
}
_BOX = "padding:0.4em 0.9em;margin:0.3em 0;line-height:1.45"


@dataclass(frozen=True)
class Note:
    """Something that is said in a notebook.

    Attributes:
        markup: HTML.
        text: the same as plain text.
        data: the same for machines.
    """

    markup: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/html": self.markup, "text/plain": self.text, NOTE_MIME: dict(self.data)}


def note(said: str, *, code: str = "", film: bytes = b"", alt: str = "", data: Mapping[str, Any] | None = None) -> Note:
    """Builds a note.

    Args:
        said: markdown.
        code: Python, shown below.
        film: as animated WebP, shown above; it can be folded away, which stops it.
        alt: what the film shows.
        data: for machines.
    """
    inner = markdown_to_html(said)
    if film:
        shown = viz.image_tag(film, alt)
        inner = f"<details open><summary>Film (fold it away to stop it)</summary>{shown}</details>{inner}"
    if code:
        inner += f"<pre><code>{html.escape(code, quote=False)}</code></pre>"
    text = "\n\n".join(filter(None, [said, alt, code]))
    markup = f'<div role="note" style="border-left:5px solid #0072b2;{_BOX}">{inner}</div>'
    return Note(markup, text, data or {})


@dataclass(frozen=True)
class Banner:
    """A verdict and what to do next.

    Attributes:
        verdict: what came of the answer.
        next_step: one sentence.
    """

    verdict: Verdict
    next_step: str = ""

    @property
    def status(self) -> Status:
        """PASS, FAIL, NOT ATTEMPTED or ERROR."""
        return self.verdict.status

    def _rows(self) -> list[tuple[str, str]]:
        v = self.verdict
        rows = [("tried", v.tried), ("expected", v.expected), ("got", v.got), ("hint", v.hint), ("next", self.next_step)]
        return [(name, text) for name, text in rows if text]

    def __str__(self) -> str:
        lines = [f"{self.status}: {self.verdict.message}", *(f"  {name}: {text}" for name, text in self._rows())]
        return "\n".join(lines)

    def markup(self) -> str:
        """The banner as HTML."""
        colour, sign = _LOOK[self.status]
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left;vertical-align:top;padding:0 0.8em 0 0">{name}</th>'
            f'<td style="text-align:left">{html.escape(text, quote=False)}</td></tr>'
            for name, text in self._rows()
        )
        table = f'<table style="margin:0.3em 0">{rows}</table>' if rows else ""
        drawn = self.verdict.drawn()
        picture = drawn._repr_html_() if drawn else ""
        return (
            f'<div role="status" aria-live="polite" style="border-left:6px solid {colour};{_BOX}">'
            f'<strong style="color:{colour}">{sign} {self.status}</strong> '
            f"<code>{html.escape(self.verdict.exercise)}</code><br>{html.escape(self.verdict.message, quote=False)}"
            f"{table}{picture}</div>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/html": self.markup(), "text/plain": str(self), MIME: self.verdict.to_json()}
