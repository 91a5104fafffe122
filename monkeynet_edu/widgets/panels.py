"""Controls beside a picture: layers to switch, a slider over stored pictures, forms.

`panel(draw, controls)` is the general one: `draw` takes the values by name and returns a picture; :func:`layers` and
:func:`slider` are panels with one kind of control.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.widgets.still import Live, Shown, Still

if TYPE_CHECKING:
    from monkeynet_edu.widgets.front import View


@dataclass(frozen=True)
class Check:
    """A box to tick.

    Attributes:
        name: of the value (bool).
        label: beside it.
        value: at first.
    """

    name: str
    label: str
    value: bool = False
    kind: str = "check"


@dataclass(frozen=True)
class Choice:
    """One of several options.

    Attributes:
        name: of the value (str).
        label: beside it.
        options: to choose from.
        value: at first.
    """

    name: str
    label: str
    options: tuple[str, ...]
    value: str
    kind: str = "choice"


@dataclass(frozen=True)
class Range:
    """A slider.

    Attributes:
        name: of the value (a number).
        label: beside it.
        low: least value.
        high: largest value.
        step: between values.
        value: at first.
        said: what is shown instead of the number, one text a step; none shows the number.
        fps: steps a second when played; 0 leaves the play button out.
    """

    name: str
    label: str
    low: float
    high: float
    step: float
    value: float
    said: tuple[str, ...] = ()
    fps: float = 0.0
    kind: str = "range"


@dataclass(frozen=True)
class Colour:
    """A colour as ``#rrggbb``.

    Attributes:
        name: of the value (str).
        label: beside it.
        value: at first.
    """

    name: str
    label: str
    value: str
    kind: str = "color"


@dataclass(frozen=True)
class Text:
    """A short text.

    Attributes:
        name: of the value (str).
        label: beside it.
        value: at first.
    """

    name: str
    label: str
    value: str
    kind: str = "text"


@dataclass(frozen=True)
class Button:
    """Something to press.

    Attributes:
        name: of the value: how often it was pressed.
        label: on it.
        value: 0 at first.
    """

    name: str
    label: str
    value: int = 0
    kind: str = "button"


Control = Check | Choice | Range | Colour | Text | Button
Values = Mapping[str, Any]


class Panel(Live):
    """A picture and the controls that it depends on; see :func:`panel`.

    Attributes:
        title: name of the whole, for screen readers too.
        controls: in the order shown.
        values: the state: value of every control by name.
    """

    def __init__(self, draw: Callable[[Values], Shown], controls: Sequence[Control], title: str, hint: str = "") -> None:
        super().__init__()
        self.title, self.hint, self.controls = title, hint, tuple(controls)
        self.values: dict[str, Any] = {control.name: control.value for control in controls}
        self._draw = draw
        self._lock = threading.RLock()  # a front end's messages may arrive in a thread of their own
        self._still = Still.of(draw(self.values))

    def set(self, **values: Any) -> None:
        """Changes values as the controls would.

        Raises:
            UserError: unknown name.
        """
        for name in values:
            if name not in self.values:
                raise unknown_name("control", name, self.values)
        self._take(values)
        self._show(values=dict(self.values))

    def picture(self) -> Still:
        """The picture of the values as they are; the last good one where drawing failed."""
        return self._still

    def _take(self, values: Values) -> None:
        with self._lock, self._errors_said():
            self.values |= values
            self._still = Still.of(self._draw(dict(self.values)))
            self._show(image=self._still.png, alt=self._still.alt, status=self._still.said)

    def _make_view(self) -> View:
        from monkeynet_edu.widgets.front import PanelView

        view = PanelView(
            title=self.title,
            hint=self.hint,
            controls=[asdict(control) for control in self.controls],
            values=dict(self.values),
            image=self._still.png,
            alt=self._still.alt,
            status=self._still.said,
        )
        view.observe(lambda change: self._take(change["new"]) if change["new"] != self.values else None, "values")
        return view


def panel(draw: Callable[[Values], Shown], controls: Sequence[Control], title: str, hint: str = "") -> Panel:
    """Controls beside a picture that is drawn anew when one of them changes.

    Args:
        draw: values by name → :class:`Still`, figure, or pixels and alt text. What it raises is shown in words.
        controls: at least one.
        title: name of the whole.
        hint: one sentence on how to use it.

    Raises:
        UserError: no control, or two with one name.
    """
    names = [control.name for control in controls]
    if not names or len(set(names)) < len(names):
        raise UserError(f"controls: expected at least one and different names, got {names}; name each control once")
    return Panel(draw, controls, title, hint)


def layers(
    draw: Callable[[tuple[str, ...]], Shown], names: Sequence[str], on: Sequence[str] = (), title: str = "layers"
) -> Panel:
    """Layers to switch on and off.

    Args:
        draw: names of the layers that are on, in the order of ``names`` → picture.
        names: of all layers.
        on: those that are on at first.
        title: name of the whole.

    Raises:
        UserError: a layer in ``on`` that is not in ``names``.
    """
    for name in on:
        if name not in names:
            raise unknown_name("layer", name, names)
    boxes = [Check(name, name, name in on) for name in names]
    hint = "Switch a layer with the mouse, or with Tab and the space bar."
    return panel(lambda values: draw(tuple(n for n in names if values[n])), boxes, title, hint)


def slider(
    draw: Callable[[int], Shown], states: Sequence[str], title: str, label: str = "state", value: int = 0, fps: float = 5.0
) -> Panel:
    """A slider over a row of states, to scrub by hand or to play.

    Args:
        draw: index of a state → picture; called once for each index, then remembered.
        states: what each state is called: ``step 120``.
        title: name of the whole.
        label: of the slider.
        value: index shown at first.
        fps: states a second when played.

    Raises:
        UserError: no state, or an index that is none.
    """
    if not 0 <= value < len(states):
        raise UserError(f"slider: expected an index from 0 to {len(states) - 1}, got {value}; give a state that exists")
    kept: dict[int, Still] = {}

    def show(values: Values) -> Still:
        index = int(values["index"])
        if index not in kept:
            kept[index] = Still.of(draw(index))
        return kept[index]

    control = Range("index", label, 0, len(states) - 1, 1, value, tuple(states), fps)
    hint = "Drag the slider, or use the arrow keys, Home and End; Play runs through all states and can be paused."
    return panel(show, [control], title, hint)
