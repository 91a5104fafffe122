"""What the page asks and is told: a conversation of JSON objects, the same over HTTP and in a notebook.

Nothing that goes to the page names a method, a clip or an attention check. A vote is on the disk before its answer leaves,
and a vote sent twice (the answer to the first was lost) counts once, so a page may repeat itself until it is answered.
"""

from __future__ import annotations

import base64
import io
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monkeynet_edu.course.study.folder import Film, Study
from monkeynet_edu.course.study.plans import Showing, plan
from monkeynet_edu.course.study.votes import Vote, append_vote, is_code, new_code, voted
from monkeynet_edu.data.video import Frames
from monkeynet_edu.errors import UserError

Message = Mapping[str, Any]
Answer = dict[str, Any]

CONSENT = (
    "You will see films in threes: in the middle a reference, on its left and right two films that a computer drew after "
    "it. Choose the one that corresponds better to the animation in the reference, even if you hesitate.",
    "What is kept, in a file on this computer: a random code instead of your name, which film you chose in each pair, how "
    "long it took, and how often you watched again. No name, no date, no address; nothing leaves the computer by itself. "
    "Whoever runs the study may join the files of several people and publish what came of it.",
    "Taking part is voluntary. You can stop at any time and go on later. Whoever runs the study erases your votes when you "
    "give your code: monkeynet-edu study erase FOLDER --rater CODE.",
)
_COLUMNS = 16


def sheet(frames: Frames) -> Answer:
    """Frames (T, H, W, 3) as one picture, 16 in a row, which the page cuts up: pause and speed are then its own."""
    count, height, width, _ = frames.shape
    columns = min(count, _COLUMNS)
    rows = math.ceil(count / columns)
    filled = np.zeros((rows * columns, height, width, 3), np.uint8)
    filled[:count] = frames
    picture = filled.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=3)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {
        "src": f"data:image/png;base64,{data}",
        "count": count,
        "columns": columns,
        "width": width,
        "height": height,
    }


class Sitting:
    """Answers a page; several raters may use it, one after the other or at once.

    Args:
        study: whose pairs are shown.
        synthetic: marks every vote as made by a program, to try things out.
    """

    def __init__(self, study: Study, synthetic: bool = False) -> None:
        self.study = study
        self._synthetic = synthetic
        self._plans: dict[str, tuple[Showing, ...]] = {}
        self._lock = threading.Lock()

    def answer(self, message: Message) -> Answer:
        """Answers ``{"do": "welcome" | "begin" | "next" | "vote", …}``.

        ``next`` and ``vote`` name the ``rater``; ``vote`` also the pair's ``token``, the ``side``, ``seconds`` and
        ``replays``. What is wrong is answered with ``{"stage": "error", "error": …}``.
        """
        try:
            with self._lock:
                return self._answer(message)
        except UserError as error:
            return {"stage": "error", "error": str(error)}

    def _answer(self, message: Message) -> Answer:
        deed = message.get("do")
        if deed == "welcome" or (deed == "next" and not self._known(message.get("rater"))):
            return self.welcome()
        if deed == "begin":
            return self._next(new_code())
        if deed == "next":
            return self._next(str(message["rater"]))
        if deed == "vote":
            return self._vote(message)
        raise UserError(f"do: expected welcome, begin, next or vote, got {str(deed)[:40]!r}; load the page anew")

    # ------------------------------------------------------------------------------------------------------- the pages

    def welcome(self) -> Answer:
        """The first page: consent, and who may go on."""
        total = len(self.study.trials)
        unfinished = {rater: len(done) for rater, done in self.done().items() if len(done) < total}
        return {
            "stage": "welcome",
            "question": self.study.about.question,
            "consent": list(CONSENT),
            "total": total,
            "unfinished": [{"rater": rater, "done": count} for rater, count in sorted(unfinished.items())],
        }

    def done(self) -> dict[str, set[str]]:
        """The pairs of this study on which each rater has voted."""
        known = {trial.id for trial in self.study.trials}
        found = voted(self.study.votes)
        return {rater: pairs & known for (study, rater), pairs in found.items() if study == self.study.fingerprint}

    def _known(self, rater: object) -> bool:
        return is_code(rater) and (rater in self._plans or self._path(str(rater)).is_file())

    def _path(self, rater: str) -> Path:
        return self.study.votes / f"{rater}.jsonl"

    def _plan(self, rater: str) -> tuple[Showing, ...]:
        if rater not in self._plans:
            self._plans[rater] = plan(self.study, rater)
        return self._plans[rater]

    def _left(self, rater: str) -> list[Showing]:
        """Pairs that a rater has not voted on."""
        done = self.done().get(rater, set())
        return [showing for showing in self._plan(rater) if showing.trial.id not in done]

    def _next(self, rater: str) -> Answer:
        left, total = self._left(rater), len(self.study.trials)
        if not left:
            return {"stage": "done", "rater": rater, "total": total}
        showing = left[0]
        films = showing.trial.films
        first, second = showing.sides
        shown: dict[str, Film] = {"left": films[first], "reference": showing.trial.reference, "right": films[second]}
        return {
            "stage": "pair",
            "rater": rater,
            "token": showing.token,
            "number": total - len(left) + 1,
            "total": total,
            "question": self.study.about.question,
            "fps": self.study.about.fps,
            "films": {place: sheet(self.study.frames(film)) for place, film in shown.items()},
        }

    # --------------------------------------------------------------------------------------------------------- the vote

    def _vote(self, message: Message) -> Answer:
        rater, token, side = message.get("rater"), message.get("token"), message.get("side")
        if not is_code(rater):
            raise UserError("rater: expected a code, got none; load the page anew")
        rater = str(rater)
        showing = next((one for one in self._plan(rater) if one.token == token), None)
        if showing is None:
            raise UserError("pair: expected one of this study, got another; load the page anew")
        if side not in ("left", "right"):
            raise UserError(f"side: expected left or right, got {str(side)[:20]!r}; load the page anew")
        if showing.trial.id not in self.done().get(rater, set()):
            left, right = showing.methods
            append_vote(self._path(rater), self._made(rater, showing.trial.id, (left, right), message))
        return self._next(rater)

    def _made(self, rater: str, pair: str, methods: tuple[str, str], message: Message) -> Vote:
        seconds, replays = message.get("seconds", 0.0), message.get("replays", 0)
        return Vote(
            study=self.study.fingerprint,
            data=self.study.about.data,
            rater=rater,
            pair=pair,
            left=methods[0],
            right=methods[1],
            choice="left" if message["side"] == "left" else "right",
            seconds=round(seconds, 2) if isinstance(seconds, float) else seconds,
            replays=replays,
            synthetic=self._synthetic,
        )
