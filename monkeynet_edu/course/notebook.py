"""What a notebook calls `ex`: submitting, hints, predictions, the map, the film at the end."""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from tqdm.auto import tqdm

from monkeynet_edu.course import install, lessons
from monkeynet_edu.course.banner import Banner, Note, note
from monkeynet_edu.course.character import Character, saved
from monkeynet_edu.course.exercise import Exercise, Function, compile_function, solution_source
from monkeynet_edu.course.judge import Verdict, judge
from monkeynet_edu.course.map import draw_map
from monkeynet_edu.course.predict import Explanation, Panel, Predictions, ledger
from monkeynet_edu.course.progress import Progress
from monkeynet_edu.data.video import to_frames, write_video
from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.model import Device, pick_device
from monkeynet_edu.viz import Picture

FAST_VARIABLE = "MONKEYNET_EDU_FAST"
HINT_KINDS = ("concept", "shape", "line")


class LessonSession:
    """One lesson, open in a notebook.

    Args:
        number: of the lesson, ``01``.
        fast: the short mode of CI; also switched on by ``MONKEYNET_EDU_FAST=1``.
        progress: where to keep it; None for the usual place.
    """

    def __init__(self, number: str, fast: bool = False, progress: Progress | None = None) -> None:
        self.lesson = lessons.load(number)
        self.fast = fast or os.environ.get(FAST_VARIABLE, "") not in ("", "0")
        self.progress = progress or Progress.open()
        self.device: Device = pick_device(precision="float32")
        self._predictions = Predictions(number, self.progress, self.fast)
        self._last: dict[str, Function] = {}
        self._seen_calls: dict[str, int] = {}
        self.notices = self._install_passed()
        for notice in self.notices:
            print(notice)

    def _install_passed(self) -> list[str]:
        """Puts what was passed before into the library; says what could not be."""
        notices = []
        passed = self.progress.passed()
        for lesson in lessons.all_lessons():
            for exercise in lesson.exercises:
                if exercise.id not in passed:
                    install.remove(exercise)
                    continue
                try:
                    source = passed[exercise.id]
                    function = compile_function(source, exercise.name, lesson.namespace(), f"<your {exercise.name}>")
                except Exception as error:
                    notices.append(f"{exercise.id}: your stored answer does not run any more ({error}); submit it again")
                    continue
                install.install(exercise, function)
                self._last[exercise.id] = function
        return notices

    # ----------------------------------------------------------------------------------------------------- exercises

    def _find(self, exercise_id: str) -> Exercise:
        known = {exercise.id: exercise for exercise in self.lesson.exercises}
        if exercise_id not in known:
            raise unknown_name(f"exercise of lesson {self.lesson.number}", exercise_id, known)
        return known[exercise_id]

    def submit(self, exercise_id: str, answer: Function | str | None) -> Banner:
        """Judges an answer; a right one becomes part of the model.

        Args:
            exercise_id: of this lesson.
            answer: the function, or its name where it may not be defined yet.

        Raises:
            UserError: no such exercise; the nearest names are offered.
        """
        exercise = self._find(exercise_id)
        if isinstance(answer, str):
            answer = _user_namespace(sys._getframe(1).f_globals).get(answer)
        if isinstance(answer, install.Counted):
            answer = answer.function
        verdict = judge(exercise, answer)
        if callable(answer) and verdict.status != "NOT ATTEMPTED":
            self._last[exercise_id] = answer
        kept = self._record(exercise, answer, verdict)
        return Banner(verdict, kept or self._next_step(exercise, verdict))

    def _record(self, exercise: Exercise, answer: Function | None, verdict: Verdict) -> str:
        """Keeps and installs an answer; says so where later lessons cannot run on it."""
        source = _source(answer, exercise.name) if callable(answer) else ""
        trouble = self._not_alone(exercise, source) if verdict.installs else ""
        kept = verdict.installs and not trouble
        self.progress.record_verdict(self.lesson.number, exercise.id, verdict.status, source, kept)
        if verdict.installs and answer is not None:
            install.install(exercise, answer)
            self._seen_calls[exercise.id] = 0
        if verdict.status == "PASS":
            self.progress.write_my_monkeynet("\n".join(lesson.imports for lesson in lessons.all_lessons()))
        return trouble

    def _not_alone(self, exercise: Exercise, source: str) -> str:
        """Why an answer cannot run outside this notebook, or nothing."""
        call = exercise.inputs()[0]
        try:
            function = compile_function(source, exercise.name, self.lesson.namespace(), f"<your {exercise.name}>")
            exercise.result(function, call)
        except Exception as error:
            return (
                f"It runs here, but not on its own ({type(error).__name__}: {error}), so later lessons will use the "
                "library's. Put helpers and constants inside the function, then submit again."
            )
        return ""

    def _next_step(self, exercise: Exercise, verdict: Verdict) -> str:
        if verdict.status == "PASS":
            return ""
        kept = ""
        if install.installed(exercise) is not None and verdict.status in ("FAIL", "ERROR"):
            kept = "Your last right version stays in the model. "
        if verdict.status == "NOT ATTEMPTED":
            return "" if not kept else kept.strip()
        return f'{kept}Change the cell and run it again; ex.hint("{exercise.id}") helps; ex.run_mine shows what yours does.'

    def hint(self, exercise_id: str) -> Note:
        """The next hint: concept, then shape, then line."""
        exercise = self._find(exercise_id)
        used = min(self.progress.hints_used(exercise_id), len(HINT_KINDS) - 1)
        if self.progress.hints_used(exercise_id) < len(HINT_KINDS):
            self.progress.record_hint(exercise_id, self.lesson.number)
        shown = [
            f"**Hint {i + 1} of 3 ({kind}).** {text}"
            for i, (kind, text) in enumerate(zip(HINT_KINDS, exercise.hints, strict=True))
            if i <= used
        ]
        return note("\n\n".join(shown))

    def solution(self, exercise_id: str) -> Note:
        """The library's own text, after a try."""
        exercise = self._find(exercise_id)
        if not self.progress.attempts(exercise_id):
            return note(f'Try first: submit something to **{exercise_id}**, or ask `ex.hint("{exercise_id}")`.')
        return note(f"The library's own version of **{exercise_id}**:", code=solution_source(exercise))

    @contextmanager
    def run_mine(self, exercise_id: str) -> Iterator[None]:
        """Inside, the last version that was submitted drives the library, right or wrong.

        Raises:
            UserError: nothing was submitted yet.
        """
        exercise = self._find(exercise_id)
        if exercise_id not in self._last:
            raise UserError(f"run_mine {exercise_id}: expected an answer submitted before, got none; submit yours first")
        with install.temporarily(dict.fromkeys(exercise.all_sites, self._last[exercise_id])):
            yield

    def used(self, exercise_id: str) -> Note:
        """Says whether her function ran since the last time, or the library's stood in."""
        exercise = self._find(exercise_id)
        counted = install.installed(exercise)
        if counted is None:
            return note(
                f"`{exercise.name}`: the library's version stood in here. Yours takes over once it has passed.",
                data={"exercise": exercise_id, "ran": False, "whose": "library"},
            )
        before = self._seen_calls.get(exercise_id, 0)
        self._seen_calls[exercise_id] = counted.calls
        said = "your own version did this." if counted.calls > before else "yours was not called here."
        return note(
            f"`{exercise.name}`: {said}",
            data={"exercise": exercise_id, "ran": counted.calls > before, "whose": "learner"},
        )

    # ----------------------------------------------------------------------------------------------------- predictions

    def predict(self, prediction_id: str, question: str, options: Mapping[str, str]) -> Panel:
        """Asks before a result is shown; at least three options."""
        return self._predictions.ask(prediction_id, question, options)

    def answer(self, prediction_id: str, key: str, sure: float | None = None) -> Panel:
        """Commits to an option, with how sure she is in per cent."""
        return self._predictions.answer(prediction_id, key, sure)

    def skip(self, prediction_id: str) -> Panel:
        """Shows the result without a prediction."""
        return self._predictions.skip(prediction_id)

    def reveal(self, prediction_id: str, key: str, explanation: Explanation = "") -> Panel:
        """Shows what happened, once she has predicted; ``key`` is computed from the result."""
        return self._predictions.reveal(prediction_id, key, explanation)

    def ledger(self) -> Picture | Note:
        """How well her confidence fits: a plot once there are 20 answers."""
        found = ledger(self.progress)
        return found if isinstance(found, Picture) else note(found)

    # ----------------------------------------------------------------------------------------------------- the rest

    def steps(self, count: int) -> int:
        """Training steps: ``count``, or 2 in the short mode."""
        return 2 if self.fast else count

    @contextmanager
    def training(self, *modules: nn.Module, steps: int | None = None) -> Iterator[None]:
        """Inside, something is trained behind a progress bar: at least two steps, and weights that change and stay finite.

        Args:
            modules: what is trained.
            steps: how many steps of optimisers are to be expected, for the bar.

        Raises:
            AssertionError: fewer steps, weights that stayed what they were, or weights that are not finite.
        """
        bar = tqdm(total=steps, desc="training", unit="step", leave=False)

        done = 0

        def count(*_: object) -> None:
            nonlocal done
            done += 1
            bar.update()

        before = [parameter.detach().clone() for module in modules for parameter in module.parameters()]
        hook = register_optimizer_step_post_hook(count)
        try:
            yield
        finally:
            hook.remove()
            bar.close()
        after = [parameter.detach() for module in modules for parameter in module.parameters()]
        assert done >= 2, f"expected at least 2 optimiser steps, got {done}"
        assert any(not torch.equal(a, b) for a, b in zip(after, before, strict=True)), "the weights did not change"
        assert all(bool(a.isfinite().all()) for a in after), "some weights are no longer finite"

    @property
    def character(self) -> Character:
        """Her character of lesson 00, or a default one."""
        return saved(self.progress)

    def keep_character(self, character: Character) -> Note:
        """Keeps a character for all lessons."""
        self.progress.set_character(character.to_json())
        return note(f"**{character.name}** will be with you in every lesson from now on.")

    def map(self) -> Any:
        """The architecture map: what she has built is marked as hers."""
        exercises = [exercise for lesson in lessons.all_lessons() for exercise in lesson.exercises]
        return draw_map(self.progress.all_passed(), exercises, self.lesson.number)

    def film(self, frames: Tensor | np.ndarray[Any, Any], caption: str = "", fps: float = 12.0, alt: str = "") -> Note:
        """A film as animated WebP, with credits: which of her functions made it.

        Args:
            frames: (T, 3, H, W) in [0, 1], or uint8 (T, H, W, 3).
            caption: one sentence under it.
            fps: frames a second.
            alt: what is seen, for those who cannot see it; made from the caption if empty.
        """
        pixels = to_frames(frames) if isinstance(frames, Tensor) else frames
        data = _webp(pixels, fps)
        size = f"{pixels.shape[2]} by {pixels.shape[1]} pixels"
        said = alt or f"Film of {len(pixels)} frames, {size}: {caption or 'no caption'}"
        return note(f"{caption}\n\n{self.credits()}".strip(), film=data, alt=said)

    def credits(self) -> str:
        """Whose functions ran, and that the film is synthetic (markdown)."""
        hers: list[str] = []
        theirs: list[str] = []
        for lesson in lessons.all_lessons():
            if lesson.number <= self.lesson.number:
                for exercise in lesson.exercises:
                    (theirs if install.installed(exercise) is None else hers).append(f"`{exercise.name}`")
        mine = f"**Written by you:** {', '.join(hers)}. " if hers else ""
        rest = f"Still the library's: {', '.join(theirs)}. " if theirs else ""
        return f"{mine}{rest}Synthetic: no such film was ever recorded."


def _user_namespace(caller: dict[str, Any]) -> dict[str, Any]:
    """The notebook's names, or the caller's outside one."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return caller
    shell = get_ipython()
    return caller if shell is None else dict(shell.user_ns)


def _source(function: Function, name: str) -> str:
    """Text that defines a function under the exercise's name, or nothing where there is none (a built-in)."""
    try:
        text = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    except (OSError, TypeError):
        return ""
    if not text.startswith(("def ", "@")):
        return text if text.startswith(f"{name} =") else ""
    own = getattr(function, "__name__", name)
    return text if own == name else f"{text}\n\n{name} = {own}\n"


def _webp(frames: np.ndarray[Any, Any], fps: float) -> bytes:
    """A looping WebP at twice the size, at most 48 frames."""
    step = max(1, -(-len(frames) // 48))
    larger = np.ascontiguousarray(frames[::step].repeat(2, axis=1).repeat(2, axis=2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.webp"
        write_video(path, larger, fps / step)
        return path.read_bytes()
