"""The dashboard: a training in a thread, with its losses, its latest picture, what the monitor says, and a Stop that works.

A training that ran in a cell would never see a button: the kernel reads messages between cells only.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monkeynet_edu import viz
from monkeynet_edu.widgets.panels import Button
from monkeynet_edu.widgets.still import Live, Still

if TYPE_CHECKING:
    from monkeynet_edu.widgets.front import View

State = Literal["waiting", "running", "paused", "finished", "stopped", "failed"]
Row = dict[str, float]
Monitor = Callable[[Sequence[Row]], Iterable[str]] | Iterable[str]
Preview = Callable[[], viz.ArrayLike]

_PAUSE_BETWEEN_PICTURES = 0.5  # seconds: at most two a second
_SHARE_OF_TIME = 9  # a picture waits for nine times what the last one took, so that drawing takes a tenth at most
_CURVE = (220, 110)
_PREVIEW = 128
_MARGIN = 22
_INK = (40, 40, 40)


class Stopped(KeyboardInterrupt):
    """Raised inside a training whose Stop was pressed.

    It is a KeyboardInterrupt so that `except Exception` lets it through and a loop that saves on Ctrl-C saves.
    """


def curve(name: str, steps: Sequence[float], values: Sequence[float]) -> viz.Pixels:
    """One loss over the steps as a small picture; drawn without matplotlib, which would cost a training its time.

    Args:
        name: over the curve.
        steps: x.
        values: y; what is not finite is left out.
    """
    width, height = _CURVE
    image = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    said = f"{name}: {values[-1]:.3g}" if values else f"{name}: –"
    points = np.array([(s, v) for s, v in zip(steps, values, strict=True) if math.isfinite(v)]).reshape(-1, 2)
    pen.rectangle((4, _MARGIN, width - 5, height - _MARGIN + 4), outline=(190, 190, 190))
    if len(points) > 1:
        low, high = points.min(axis=0), points.max(axis=0)
        said = f"{name}: {values[-1]:.3g}  ({low[1]:.3g} to {high[1]:.3g})"
        size = np.array([width - 16, height - 2 * _MARGIN - 4])
        place = (points - low) / np.where(high > low, high - low, 1)
        place[:, 1] = 1 - place[:, 1]
        pen.line([tuple(p) for p in (place * size + (8, _MARGIN + 4)).tolist()], fill=_INK, width=2)
        pen.text((4, height - 16), f"{low[0]:.0f}", fill=_INK, font=font)
        pen.text((width - 5, height - 16), f"step {high[0]:.0f}", fill=_INK, font=font, anchor="ra")
    pen.text((4, 3), said, fill=_INK, font=font)
    return np.asarray(image)


def picture_of_training(rows: Sequence[Row], preview: viz.Pixels | None, state: State) -> Still:
    """Curves of all losses and the latest preview as one picture.

    Args:
        rows: losses by name, and ``step``.
        preview: (H, W, 3), or None.
        state: of the training.
    """
    names = list(dict.fromkeys(name for row in rows for name in row if name != "step"))
    if not names:
        return Still.of((np.full((24, 320, 3), 255, np.uint8), f"Training {state}: no step yet."))
    thin = rows[:: max(1, len(rows) // 400)]
    thin = [*thin, rows[-1]] if thin[-1] is not rows[-1] else list(thin)
    curves: list[viz.ArrayLike | None] = []
    for name in names:
        own = [row for row in thin if name in row]
        curves.append(curve(name, [row["step"] for row in own], [row[name] for row in own]))
    table = [curves[i : i + 3] for i in range(0, len(curves), 3)]
    sheet = viz.grid(table)
    if preview is not None:
        factor = -(-_PREVIEW // preview.shape[0])  # small frames are enlarged
        preview = preview.repeat(factor, 0).repeat(factor, 1)
        sheet = viz.grid([[sheet], [preview]])
    first = {name: next(row[name] for row in rows if name in row) for name in names}
    last = {name: next(row[name] for row in reversed(rows) if name in row) for name in names}
    said = "; ".join(f"{name} from {first[name]:.3g} to {last[name]:.3g}" for name in names)
    also = "" if preview is None else " Below, the latest preview."
    return Still.of((sheet, f"Training {state} at step {rows[-1]['step']:.0f}: {said}.{also}"))


class Dashboard(Live):
    """A training under way; see :func:`dashboard`.

    Attributes:
        rows: losses by name and ``step``, one row a report.
        words: what the monitor said last.
        state: ``running``, ``paused``, ``finished``, ``stopped`` or ``failed`` (``waiting`` before the start).
        result: what the training returned.
        exception: what it raised, or None.
    """

    def __init__(self, train: Callable[[Report], Any], title: str, monitor: Monitor, preview: Preview | None) -> None:
        super().__init__()
        self.title, self.rows, self.words = title, list[Row](), list[str]()
        self.state: State = "waiting"
        self.result: Any = None
        self.exception: BaseException | None = None
        self._train, self._monitor, self._draw_preview = train, monitor, preview
        self._preview: viz.Pixels | None = None
        self._stop, self._go_on = threading.Event(), threading.Event()
        self._go_on.set()
        self._next_picture = 0.0
        self._thread = threading.Thread(target=self._run, name=f"training: {title}", daemon=True)

    # ------------------------------------------------------------------------------------------------ for the learner

    def start(self) -> Dashboard:
        """Starts the thread; returns the dashboard."""
        self._say("running")
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the training after the step that it is in."""
        self._stop.set()
        self._go_on.set()

    def pause(self) -> None:
        """Holds the training after the step that it is in."""
        if self.state == "running":
            self._go_on.clear()
            self._say("paused")

    def resume(self) -> None:
        """Lets a paused training go on."""
        if self.state == "paused":
            self._say("running")
            self._go_on.set()

    def wait(self, seconds: float | None = None) -> Still:
        """Waits until the training ends, then returns its picture.

        A kernel that waits hears no button; interrupting it (the ■ of the notebook) stops the training as Stop does.

        Args:
            seconds: at most so long; None waits for the end.

        Raises:
            BaseException: what the training raised.
        """
        end = math.inf if seconds is None else time.monotonic() + seconds
        try:
            while self._thread.is_alive() and time.monotonic() < end:
                self._thread.join(0.1)  # a longer one cannot be interrupted everywhere
        except KeyboardInterrupt:
            self.stop()
            self._thread.join()
        if self.exception is not None:
            raise self.exception
        return self.picture()

    def picture(self) -> Still:
        """Curves and preview as they are now."""
        return picture_of_training(list(self.rows), self._preview, self.state)

    # ----------------------------------------------------------------------------------------------- inside the thread

    def report(self, step: int, losses: Mapping[str, Any], preview: viz.ArrayLike | Preview | None = None) -> None:
        """Called by the training after each step: notes the losses, holds while paused, ends it when stopped.

        Args:
            step: number of the step.
            losses: by name; tensors with one element are taken as numbers.
            preview: picture to show, or a function that makes it and is called only when it is shown.

        Raises:
            Stopped: Stop was pressed.
        """
        self.rows.append({"step": float(step)} | {name: float(value) for name, value in losses.items()})
        if time.monotonic() >= self._next_picture:
            self._refresh(preview)
        self._go_on.wait()
        if self._stop.is_set():
            raise Stopped(f"stopped after step {step}")

    def _run(self) -> None:
        try:
            self.result = self._train(self.report)
            # A loop that saves on Ctrl-C takes the stop for itself and returns.
            end: State = "stopped" if self._stop.is_set() else "finished"
        except Stopped:
            end = "stopped"
        except BaseException as error:  # shown here, raised again by wait()
            self.exception, end = error, "failed"
            self._note(error)
        self.state = end
        self._refresh(None)
        self._say(end)

    def _refresh(self, preview: viz.ArrayLike | Preview | None) -> None:
        """Draws curves and preview, asks the monitor, shows all; an error of these does not end the training."""
        began = time.monotonic()
        try:
            chosen = self._draw_preview if preview is None else preview
            if chosen is not None:
                self._preview = viz.to_uint8(chosen() if callable(chosen) else chosen)
            self.words = list(self._monitor(self.rows) if callable(self._monitor) else self._monitor)
        except Exception as error:  # said in the widget
            self._note(error)
        self._catch_up()
        now = time.monotonic()
        self._next_picture = now + max(_PAUSE_BETWEEN_PICTURES, _SHARE_OF_TIME * (now - began))

    # ---------------------------------------------------------------------------------------------------- the live view

    def _catch_up(self) -> None:
        still = self.picture()
        self._show(image=still.png, alt=still.alt, words=self.words, error=self.error)
        self._show(status=self._status(), disabled=self._disabled())

    def _status(self) -> str:
        reached = f" at step {self.rows[-1]['step']:.0f}" if self.rows else ""
        return f"The training is {self.state}{reached}." if self.state != "failed" else f"The training failed{reached}."

    def _disabled(self) -> list[str]:
        allowed = {"running": {"stop", "pause"}, "paused": {"stop", "resume"}}.get(self.state, set())
        return [name for name in ("stop", "pause", "resume") if name not in allowed]

    def _say(self, state: State) -> None:
        self.state = state
        self._show(status=self._status(), disabled=self._disabled())

    def _press(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        for name, act in (("stop", self.stop), ("pause", self.pause), ("resume", self.resume)):
            if after.get(name, 0) > before.get(name, 0):
                act()

    def _make_view(self) -> View:
        from dataclasses import asdict

        from monkeynet_edu.widgets.front import PanelView

        still = self.picture()
        buttons = [Button("stop", "Stop"), Button("pause", "Pause"), Button("resume", "Go on")]
        view = PanelView(
            title=self.title,
            hint="The training runs in the background. Pause holds it, Stop ends it after the step that it is in.",
            controls=[asdict(button) for button in buttons],
            values={button.name: 0 for button in buttons},
            disabled=self._disabled(),
            status=self._status(),
            words=self.words,
            image=still.png,
            alt=still.alt,
        )
        view.observe(lambda change: self._press(change["old"], change["new"]), "values")
        return view


Report = Callable[..., None]


def dashboard(
    train: Callable[[Report], Any] | Iterable[tuple[int, Mapping[str, Any]]],
    title: str = "Training",
    monitor: Monitor = (),
    preview: Preview | None = None,
) -> Dashboard:
    """Starts a training in a thread and shows it: losses, latest picture, the monitor's words, Pause and Stop.

    Args:
        train: called with ``report`` (see :meth:`Dashboard.report`), which it calls after each step; or the steps
            themselves: an iterable (a generator that trains as it goes) of step number and losses by name.
        title: name of the training.
        monitor: called with all rows so far, at most twice a second, returns sentences to show; or sentences, read anew
            each time.
        preview: draws the latest picture, at most twice a second, between two steps.

    Returns:
        The dashboard, running. ``.wait()`` waits for the end and raises what the training raised.
    """
    if callable(train):
        return Dashboard(train, title, monitor, preview).start()
    rows = train

    def walk(report: Report) -> None:
        for step, losses in rows:
            report(step, losses)

    return Dashboard(walk, title, monitor, preview).start()
