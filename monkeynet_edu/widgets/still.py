"""What every widget is underneath: a state, a plain function from it to a picture with alt text, and words for errors.

A notebook shows the live view where a front end runs. The same output also holds the static picture, so that a stored
notebook (papermill, nbconvert, GitHub) shows something, and something true.
"""

from __future__ import annotations

import html
import io
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

from monkeynet_edu import viz
from monkeynet_edu.errors import UserError

if TYPE_CHECKING:
    from monkeynet_edu.widgets.front import View

MISSING_FRONT_END = "Install the extra `lab` (pip install 'monkeynet-edu[lab]') to move it."


@dataclass(frozen=True)
class Still:
    """A picture as a file, and the text for those who cannot see it.

    Attributes:
        png: bytes of a PNG file.
        alt: what it shows, in words.
        said: a sentence for the line below the controls, spoken by screen readers; empty for none.
    """

    png: bytes = field(repr=False)
    alt: str
    said: str = ""

    @staticmethod
    def of(shown: Shown, dpi: int = 80) -> Still:
        """Makes a still of whatever a drawing function returned.

        Args:
            shown: a :class:`Still`, a figure, or pixels (anything that `viz.to_uint8` takes) with their alt text.
            dpi: of a figure.
        """
        if isinstance(shown, Still):
            return shown
        if isinstance(shown, viz.Picture):
            return Still(shown.png(dpi), shown.alt)
        pixels, alt = shown
        buffer = io.BytesIO()
        Image.fromarray(viz.to_uint8(pixels)).save(buffer, "PNG")
        return Still(buffer.getvalue(), alt)

    def _repr_html_(self) -> str:
        return viz.image_tag(self.png, self.alt)


Shown = Still | viz.Picture | tuple[viz.ArrayLike, str]


def say_error(error: BaseException) -> str:
    """An error in one or two sentences: what it was and the line of code that raised it."""
    if isinstance(error, UserError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" (in {last[0].name}, line {last[0].lineno}: {last[0].line})" if last else ""
    return f"{type(error).__name__}: {error or 'no message'}{where}"


class Live(ABC):
    """Base of the widgets.

    Attributes:
        error: what went wrong in the last callback in words, empty where nothing did. It is also shown in the widget: a
            front end would otherwise hide it in a log.
        errors: all of them, the first one first.
    """

    def __init__(self) -> None:
        self.error = ""
        self.errors: list[str] = []
        self._made: View | None = None

    @abstractmethod
    def picture(self) -> Still:
        """The state as a static picture."""

    @abstractmethod
    def _make_view(self) -> View:
        """Builds the live view."""

    @property
    def view(self) -> View | None:
        """The live view, made when first asked for; None without ipywidgets and anywidget."""
        if self._made is None:
            try:
                self._made = self._make_view()
            except ModuleNotFoundError:
                return None
            self._catch_up()
        return self._made

    def _catch_up(self) -> None:
        """Hands the view what may have changed in another thread while it was made."""
        self._show(error=self.error)

    def _show(self, **traits: Any) -> None:
        """Hands values to the live view, if there is one."""
        if self._made is not None:
            with self._made.hold_sync():
                for name, value in traits.items():
                    setattr(self._made, name, value)

    @contextmanager
    def _errors_said(self) -> Iterator[None]:
        """Keeps an error of a callback in words and shows it; the next success takes it off the widget."""
        try:
            yield
        except Exception as error:  # whatever a drawing function raises has to be seen
            self._note(error)
        else:
            self.error = ""
        self._show(error=self.error)

    def _note(self, error: BaseException) -> None:
        self.error = say_error(error)
        self.errors.append(self.error)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        still = self.picture()
        note = "" if self.view is not None else f"<p>{MISSING_FRONT_END}</p>"
        alarm = f'<p role="alert">{html.escape(self.error)}</p>' if self.error else ""
        bundle: dict[str, Any] = {"text/plain": still.alt, "text/html": still._repr_html_() + note + alarm}
        if self.view is not None:
            shown = self.view._repr_mimebundle_()
            data = shown[0] if isinstance(shown, tuple) else shown
            kind = "application/vnd.jupyter.widget-view+json"
            bundle |= {kind: data[kind]} if data else {}
        return bundle
