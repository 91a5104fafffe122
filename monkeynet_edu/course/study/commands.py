"""``monkeynet-edu study …``: what the command line calls."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path

from monkeynet_edu.course.study import lists, votes
from monkeynet_edu.course.study.folder import FILE, Study, build_study, import_study, open_study
from monkeynet_edu.course.study.methods import named_methods
from monkeynet_edu.course.study.reports import Report, check_against, report
from monkeynet_edu.course.study.server import StudyServer
from monkeynet_edu.course.study.sitting import Sitting
from monkeynet_edu.data.datasets import open_dataset, read_pairs
from monkeynet_edu.errors import UserError
from monkeynet_edu.files import kind_of
from monkeynet_edu.model import Device
from monkeynet_edu.paths import data_small


def make(
    folder: Path,
    pairs: Path | None,
    data: str,
    methods: Sequence[str],
    films: Path | None,
    count: int | None,
    checks: int | None,
    step: int,
    seed: int,
    device: Device,
) -> Study:
    """Makes a study from a list of pairs; None takes the shipped list of the data set.

    Raises:
        UserError: no list, a broken one, or see :func:`build_study` and :func:`import_study`.
    """
    listed = data_small() / "results" / "table4" / f"pairs-{data}.csv" if pairs is None else pairs
    if kind_of(listed) == "nothing":
        raise UserError(f"{listed}: expected a list of pairs, got nothing there; give one with --pairs")
    if lists.is_film_list(listed):
        if films is None:
            raise UserError(f"{listed}: expected --films, the folder of the films that it names, got none; add it")
        rows = lists.choose(lists.read_film_list(listed), count, seed)
        return import_study(rows, films, folder, data=data, seed=seed, checks=checks)
    if films is not None:
        raise UserError(f"{listed}: expected a list first,second,… with --films, got source,driving; leave out --films")
    clips = open_dataset(data, "test")
    chosen = lists.choose(read_pairs(listed, clips), count, seed)
    made = named_methods([name.strip() for name in methods], data, device)
    return build_study(clips, chosen, made, folder, data=data, seed=seed, checks=checks, step=step)


def run(folder: Path, port: int, browser: bool, synthetic: bool, say: Callable[[str], object]) -> None:
    """Serves a study until Ctrl-C.

    Raises:
        UserError: no study there, or a port that is taken.
    """
    sitting = Sitting(open_study(folder), synthetic)
    with StudyServer(sitting, port) as server:
        say(f"{server.address}  (Ctrl-C ends; every vote is kept at once, in {sitting.study.votes})")
        if browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            done = sitting.done()
            say(f"ended; {sum(map(len, done.values()))} votes of {len(done)} raters are kept")


def report_on(places: Sequence[Path], leave_out_failed: bool) -> Report:
    """Reads votes and says what they show; a single study's votes are checked against it.

    Raises:
        UserError: nothing there, or a broken study.
    """
    if len(places) == 1 and kind_of(places[0] / FILE) == "file":
        study = open_study(places[0])
        reading = votes.read_votes([study.votes]) if kind_of(study.votes) == "folder" else votes.Reading((), ())
        return report(check_against(study, reading), leave_out_failed)
    return report(votes.read_votes(places), leave_out_failed)


def write_page(path: Path, text: str) -> None:
    """Writes a page of text, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    if path.suffix != ".md":
        raise UserError(f"{path}: expected a page that ends in .md, got {path.suffix!r}; rename it")
    votes.replace_file(path, text.encode())


def join(target: Path, places: Sequence[Path]) -> votes.Reading:
    """Joins votes into one file.

    Raises:
        UserError: a target of another ending, or see :func:`votes.merge`.
    """
    if target.suffix != ".jsonl":
        raise UserError(f"{target}: expected a file of votes that ends in .jsonl, got {target.suffix!r}; rename it")
    return votes.merge(target, places)


def erased(place: Path, rater: str | None, everybody: bool) -> list[str]:
    """Erases votes and says what went.

    Raises:
        UserError: neither or both of a rater and all, a code that nobody has, or nothing there.
    """
    if (rater is None) == (not everybody):
        raise UserError("erase: expected --rater CODE or --all, got neither or both; say whose votes are to go")
    gone = votes.erase(place, rater)
    if not gone and rater is not None:
        raise UserError(f"{place}: expected votes of {rater}, got none; check the code")
    return [f"{path}: erased" for path in gone] or ["nothing erased: there were no votes"]
