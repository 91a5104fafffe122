"""The user study (the paper's Table 4): two films and the driving one, blind, and what the votes say.

`lists` reads pairs, `folder` makes films and keeps them, `plans` shuffles, `sitting` answers the page, `server` and
:func:`take_part` show it, `votes` keeps what was chosen, `statistics` and `reports` say what it means.
"""

from __future__ import annotations

from pathlib import Path

from monkeynet_edu import viz
from monkeynet_edu.course.study.folder import build_study, import_study, make_films, open_study
from monkeynet_edu.course.study.plans import plan
from monkeynet_edu.course.study.reports import report, shipped_table4, table4
from monkeynet_edu.course.study.sitting import Sitting
from monkeynet_edu.course.study.votes import erase, merge, read_votes
from monkeynet_edu.widgets.still import Still
from monkeynet_edu.widgets.study import StudyWidget

__all__ = [
    "Sitting",
    "build_study",
    "erase",
    "import_study",
    "make_films",
    "merge",
    "open_study",
    "plan",
    "read_votes",
    "report",
    "shipped_table4",
    "table4",
    "take_part",
]

_NOBODY = "r-aaaaaaaa"


def take_part(folder: Path | str) -> StudyWidget:
    """Shows a study in a notebook; votes go to ``votes/`` in its folder, one by one.

    Raises:
        UserError: no study there.
    """
    sitting = Sitting(open_study(Path(folder)))
    return StudyWidget(sitting.answer, lambda: cover(sitting))


def cover(sitting: Sitting) -> Still:
    """A look at one pair, and how many votes there are: what a stored notebook shows."""
    first = plan(sitting.study, _NOBODY)[0]
    left, right = (first.trial.films[side] for side in first.sides)
    films = [sitting.study.frames(film) for film in (left, first.trial.reference, right)]
    row = [film[len(film) // 2].repeat(2, 0).repeat(2, 1) for film in films]
    total, votes = len(sitting.study.trials), sum(map(len, sitting.done().values()))
    sheet = viz.grid([row], column_labels=["left", "reference", "right"])
    alt = f"User study: {total} pairs, {votes} votes so far. A frame of the film on the left, the reference, and the right."
    return Still.of((sheet, alt))
