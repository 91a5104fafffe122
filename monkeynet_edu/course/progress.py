"""Progress: one local JSON file with passed answers, hints, predictions and the learner's character. No names, no clock.

Every change reads the file again, changes it and writes it back under a lock, so several notebooks may be open at once. A
file that cannot be read is set aside, never overwritten.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import platformdirs
from filelock import FileLock, Timeout

from monkeynet_edu.course import lessons
from monkeynet_edu.errors import UserError
from monkeynet_edu.paths import expanded
from monkeynet_edu.viz import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Status = Literal["PASS", "FAIL", "NOT ATTEMPTED", "ERROR"]
Data = dict[str, Any]

FORMAT, VERSION = "monkeynet-edu progress", 1
MINE = "my_monkeynet.py"
LOCK_SECONDS = 10.0


def default_path() -> Path:
    """Where progress is kept: ``$MONKEYNET_PROGRESS``, else the clone's notebooks folder, else the user's data folder."""
    chosen = os.environ.get("MONKEYNET_PROGRESS")
    if chosen:
        return expanded(chosen)
    notebooks = Path(__file__).resolve().parents[2] / "notebooks"
    kept = notebooks / "progress.json"
    if notebooks.is_dir() and os.access(notebooks, os.W_OK) and (not kept.exists() or os.access(kept, os.W_OK)):
        return kept
    return Path(platformdirs.user_data_dir("monkeynet-edu", appauthor=False)) / "progress.json"


def write_whole(path: Path, text: str) -> None:
    """Writes a text file whole or not at all: beside its place, flushed to the disk, then renamed.

    Raises:
        UserError: the place cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(
            f"{path}: expected a place to write, got {error.strerror}; set MONKEYNET_PROGRESS to another file"
        ) from error


def _empty() -> Data:
    return {"format": FORMAT, "version": VERSION, "exercises": {}, "predictions": [], "character": None}


def _is_progress(data: Any) -> bool:
    """Whether the parts that we read have the types that we write."""
    return (
        isinstance(data, dict)
        and data.get("format") == FORMAT
        and isinstance(data.get("version"), int)
        and isinstance(data.get("exercises"), dict)
        and all(isinstance(e, dict) and isinstance(e.get("lesson"), str) for e in data["exercises"].values())
        and isinstance(data.get("predictions"), list)
        and all(isinstance(p, dict) and {"lesson", "id", "option", "skipped"} <= set(p) for p in data["predictions"])
        and "character" in data
        and isinstance(data["character"], dict | None)
    )


@dataclass(frozen=True)
class Progress:
    """The learner's progress, kept in one file; every call reads or writes that file.

    Attributes:
        path: of the JSON file; it need not exist yet.
    """

    path: Path

    @staticmethod
    def open(path: Path | None = None) -> Progress:
        """Progress in a file, or where it is kept by default (see :func:`default_path`)."""
        return Progress((Path(path) if path is not None else default_path()).absolute())

    # ------------------------------------------------------------------------------------------------- the file

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(f"{self.path}.lock", timeout=LOCK_SECONDS)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise UserError(
                f"{self.path}: expected to write within {LOCK_SECONDS:.0f} s, got a lock that another program holds; "
                "stop the other notebook's kernel and try again"
            ) from error
        except OSError as error:
            raise UserError(
                f"{self.path}: expected a folder to write in, got {error.strerror}; "
                "set MONKEYNET_PROGRESS to a file in a folder of yours"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> Data:
        """What the file holds; a damaged one is set aside and counts as empty."""
        try:
            data = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return _empty()
        except (ValueError, RecursionError):
            return self._set_aside()
        except OSError as error:
            raise UserError(f"{self.path}: expected progress to read, got {error.strerror}; check its rights") from error
        if isinstance(data, dict) and data.get("format") == FORMAT and _newer(data.get("version")):
            raise UserError(
                f"{self.path}: expected progress of version {VERSION}, got {data['version']}; update monkeynet-edu, "
                "or set MONKEYNET_PROGRESS to another file"
            )
        return data if _is_progress(data) else self._set_aside()

    def _set_aside(self) -> Data:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.damaged-{number}")).exists():
            number += 1
        os.replace(self.path, aside)
        print(f"{self.path.name} could not be read: kept as {aside.name}, and a new one begun.", file=sys.stderr)
        return _empty()

    def _data(self) -> Data:
        """What the file holds now."""
        if not self.path.exists():
            return _empty()
        if not os.access(self.path.parent, os.W_OK):  # no lock can be made, and nobody writes either
            return self._read()
        with self._locked():
            return self._read()

    def _change(self, change: Callable[[Data], None]) -> None:
        with self._locked():
            data = self._read()
            change(data)
            write_whole(self.path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")

    # ------------------------------------------------------------------------------------------------- exercises

    def record_verdict(self, lesson: str, exercise_id: str, status: Status, source: str, installed: bool) -> None:
        """Keeps a verdict.

        Args:
            lesson: number of the lesson, ``01``.
            exercise_id: of the exercise.
            status: ``NOT ATTEMPTED`` is no try and leaves everything as it was.
            source: text of the answer; kept where it passed, and a later failure keeps it.
            installed: whether it runs in the model (right and not slow).
        """
        if status == "NOT ATTEMPTED":
            return

        def change(data: Data) -> None:
            entry = _entry(data, exercise_id, lesson)
            entry["tries"] += 1
            entry["last"] = status
            if status == "PASS":
                entry["passed"] = source
                if installed:
                    entry["installed"] = source

        self._change(change)

    def record_hint(self, exercise_id: str, lesson: str = "") -> None:
        """Counts one more hint."""

        def change(data: Data) -> None:
            _entry(data, exercise_id, lesson)["hints"] += 1

        self._change(change)

    def passed(self) -> dict[str, str]:
        """Sources of the answers that run in the model, by exercise."""
        return self._sources("installed")

    def all_passed(self) -> set[str]:
        """Exercises with a right answer, slow ones included."""
        return set(self._sources("passed"))

    def attempts(self, exercise_id: str) -> int:
        """How often an exercise was tried."""
        return int(self._data()["exercises"].get(exercise_id, {}).get("tries", 0))

    def hints_used(self, exercise_id: str) -> int:
        """How many hints were asked for."""
        return int(self._data()["exercises"].get(exercise_id, {}).get("hints", 0))

    def _sources(self, kind: str) -> dict[str, str]:
        exercises: Mapping[str, Data] = self._data()["exercises"]
        return {name: str(entry[kind]) for name, entry in exercises.items() if entry.get(kind) is not None}

    # ------------------------------------------------------------------------------------------------- predictions

    def record_prediction(
        self, lesson: str, prediction_id: str, option: str | None, sure: float | None, correct: bool | None, skipped: bool
    ) -> None:
        """Keeps a prediction. Until it is revealed it may be changed; then the first answer stands.

        Args:
            lesson: number of the lesson.
            prediction_id: unique in the lesson.
            option: key of the answer; None when skipped.
            sure: how sure, per cent; None when not said.
            correct: None before the reveal.
            skipped: she chose to see the answer without predicting.
        """
        new = {
            "lesson": lesson,
            "id": prediction_id,
            "option": option,
            "sure": sure,
            "correct": correct,
            "skipped": skipped,
        }

        def change(data: Data) -> None:
            for index, old in enumerate(data["predictions"]):
                if (old["lesson"], old["id"]) == (lesson, prediction_id):
                    if old.get("correct") is None and not old["skipped"]:
                        data["predictions"][index] = new
                    return
            data["predictions"].append(new)

        self._change(change)

    def predictions(self) -> list[dict[str, Any]]:
        """All predictions: ``lesson``, ``id``, ``option``, ``sure`` (per cent), ``correct`` and ``skipped``."""
        found: list[dict[str, Any]] = self._data()["predictions"]
        return found

    # ------------------------------------------------------------------------------------------------- the rest

    def character(self) -> dict[str, Any] | None:
        """The character of lesson 00, as its JSON, or None."""
        found: dict[str, Any] | None = self._data()["character"]
        return found

    def set_character(self, character: Mapping[str, Any]) -> None:
        """Keeps the character."""
        self._change(lambda data: data.update(character=dict(character)))

    def write_my_monkeynet(self, header_imports: str) -> Path:
        """Writes all passed answers as one importable file, ``my_monkeynet.py`` beside the progress, in course order.

        Args:
            header_imports: import lines that the answers need.

        Returns:
            The file.
        """
        target = self.path.with_name(MINE)
        with self._locked():
            exercises: dict[str, Data] = self._read()["exercises"]
            known = [name for name, entry in exercises.items() if entry.get("passed") is not None]
            order = course_order({name: str(exercises[name]["lesson"]) for name in known})
            blocks = [_block(name, exercises[name]) for name in order]
            head = '"""My Monkey-Net: what I wrote and what passed, in the order of the course."""\n'
            imports = "\n".join(dict.fromkeys(header_imports.strip().splitlines()))
            write_whole(
                target, "\n\n".join(filter(None, [head + ("\n" + imports if imports else ""), *blocks])).rstrip() + "\n"
            )
        return target

    def export(self, path: Path) -> None:
        """Copies the progress into another JSON file, whole or not at all.

        Raises:
            UserError: it cannot be written there.
        """
        target = Path(path)
        if target.is_dir():
            raise UserError(f"{target}: expected the name of a file to export to, got a folder; add a name, progress.json")
        write_whole(target, json.dumps(self._data(), indent=1, ensure_ascii=False) + "\n")

    def erase(self) -> list[Path]:
        """Removes the progress, ``my_monkeynet.py`` and damaged copies set aside.

        Returns:
            What was removed.
        """
        removed = []
        with self._locked():
            for path in (
                self.path,
                self.path.with_name(MINE),
                *sorted(self.path.parent.glob(f"{self.path.name}.damaged-*")),
            ):
                if path.exists():
                    path.unlink()
                    removed.append(path)
        return removed


def _newer(version: Any) -> bool:
    return isinstance(version, int) and version > VERSION


def _entry(data: Data, exercise_id: str, lesson: str) -> Data:
    """The entry of an exercise, begun where there is none."""
    fresh = {"lesson": lesson, "tries": 0, "last": None, "hints": 0, "passed": None, "installed": None}
    entry: Data = data["exercises"].setdefault(exercise_id, {})
    for key, value in fresh.items():
        entry.setdefault(key, value)
    entry["lesson"] = lesson or entry["lesson"]
    return entry


def _block(name: str, entry: Data) -> str:
    slow = "" if entry.get("installed") == entry["passed"] else " (right, but slow: the library's runs in the model)"
    return f"# lesson {entry['lesson']}: {name}{slow}\n{str(entry['passed']).strip()}\n"


def course_order(lesson_of: Mapping[str, str]) -> list[str]:
    """Exercise ids in the order of the course; those that the course does not know stand last in their lesson.

    Args:
        lesson_of: number of the lesson by exercise id.
    """
    known = set(lessons.numbers())
    places: dict[str, int] = {}
    for number in sorted(set(lesson_of.values()) & known):
        places |= {exercise.id: place for place, exercise in enumerate(lessons.load(number).exercises)}
    return sorted(lesson_of, key=lambda name: (lesson_of[name], places.get(name, len(places)), name))


# ---------------------------------------------------------------------------------------------------- how well she knows


@dataclass(frozen=True)
class Calibration:
    """How sureness and being right go together.

    Attributes:
        answers: how many predictions were answered, with a sureness, and revealed.
        right: how many of them were right.
        brier: mean of (sureness - right)², 0 to 1; the lower, the better known what is known.
        bins: (lowest per cent, highest per cent, mean sureness, share right, answers) of the bins that are not empty.
    """

    answers: int
    right: int
    brier: float
    bins: tuple[tuple[int, int, float, float, int], ...]


BIN_EDGES = (0, 50, 65, 80, 95, 101)


def calibration(predictions: list[dict[str, Any]]) -> Calibration:
    """Sums up the revealed predictions that came with a sureness."""
    pairs = [
        (float(p["sure"]) / 100, bool(p["correct"]))
        for p in predictions
        if not p["skipped"] and p.get("correct") is not None and p.get("sure") is not None
    ]
    bins = []
    for low, high in itertools.pairwise(BIN_EDGES):
        inside = [(s, r) for s, r in pairs if low <= 100 * s < high]
        if inside:
            n = len(inside)
            bins.append((low, high - 1, sum(s for s, _ in inside) / n, sum(r for _, r in inside) / n, n))
    brier = sum((s - r) ** 2 for s, r in pairs) / len(pairs) if pairs else 0.0
    return Calibration(len(pairs), sum(r for _, r in pairs), brier, tuple(bins))


# --------------------------------------------------------------------------------------------- report, table, picture


def report(progress: Progress) -> dict[str, Any]:
    """Everything as plain data for ``--json``: lessons with their exercises, predictions and their calibration."""
    data = progress._data()
    rows = []
    for lesson in lessons.all_lessons():
        entries = {e.id: data["exercises"].get(e.id, {}) for e in lesson.exercises}
        exercises = [
            {"id": name, "state": _state(entry), "tries": entry.get("tries", 0), "hints": entry.get("hints", 0)}
            for name, entry in entries.items()
        ]
        rows.append({"lesson": lesson.number, "title": lesson.title, "exercises": exercises})
    known = calibration(data["predictions"])
    skipped = sum(bool(p["skipped"]) for p in data["predictions"])
    summary: dict[str, float] = {"answers": known.answers, "right": known.right, "skipped": skipped}
    if known.answers:
        summary["brier"] = round(known.brier, 4)
    return {"file": str(progress.path), "lessons": rows, "predictions": summary, "character": data["character"]}


def _state(entry: Mapping[str, Any]) -> str:
    if entry.get("installed") is not None:
        return "passed"
    if entry.get("passed") is not None:
        return "passed, slow"
    return "tried" if entry.get("tries") else "not attempted"


_MARKS = {"passed": "✓", "passed, slow": "✓", "tried": "·", "not attempted": " "}


def table(progress: Progress) -> str:
    """Progress as text: a line per exercise with a tick and a word, and what the predictions say."""
    found = report(progress)
    lines = []
    for row in found["lessons"]:
        done = sum(e["state"].startswith("passed") for e in row["exercises"])
        lines.append(f"{row['lesson']} {row['title']}: {done} of {len(row['exercises'])} passed")
        for e in row["exercises"]:
            tries = f", {_count(e['tries'], 'try', 'tries')}" if e["tries"] else ""
            hints = f", {_count(e['hints'], 'hint')}" if e["hints"] else ""
            lines.append(f"   [{_MARKS[e['state']]}] {e['id']:<24} {e['state']}{tries}{hints}")
    said = found["predictions"]
    answers = f"Predictions: {_count(said['answers'], 'answer')}, {said['right']} right, {said['skipped']} skipped"
    brier = f"; Brier score {said['brier']:.2f} (0 is perfect, 0.25 is a coin)" if said["answers"] else ""
    name = (found["character"] or {}).get("name")
    return "\n".join([*lines, answers + brier, *([f"Character: {name}"] if name else []), f"Kept in {found['file']}"])


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


_FACES = {"passed": "#0072b2", "passed, slow": "#56b4e9", "tried": "#f0e442", "not attempted": "#ffffff"}
_WORDS = {"passed": "✓ passed", "passed, slow": "✓ slow", "tried": "tried", "not attempted": "–"}


def picture(progress: Progress) -> Picture:
    """Draws progress: a row of boxes per lesson, and how sureness and being right go together."""
    from matplotlib.figure import Figure

    found, known = report(progress), calibration(progress.predictions())
    rows = found["lessons"]
    widest = max((len(row["exercises"]) for row in rows), default=1)
    figure = Figure(figsize=(2.6 + 1.35 * widest + 3.4, max(3.2, 0.62 * len(rows) + 0.8)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2.2 + 1.35 * widest, 3.4])
    for line, row in enumerate(rows):
        left.text(-0.08, line, f"{row['lesson']} {row['title']}", ha="right", va="center", fontsize=8)
        for place, exercise in enumerate(row["exercises"]):
            _box(left, place, line, exercise["id"], exercise["state"])
    left.set(xlim=(-1.7, widest + 0.02), ylim=(len(rows) - 0.4, -0.6))
    left.set_axis_off()
    draw_calibration(right, known)
    return Picture(figure, f"{_say(rows)} {say_calibration(known)}")


def _box(axis: Axes, place: int, line: int, name: str, state: str) -> None:
    from matplotlib.patches import Rectangle

    axis.add_patch(Rectangle((place + 0.02, line - 0.36), 0.96, 0.72, facecolor=_FACES[state], edgecolor="#333333"))
    ink = "white" if state == "passed" else "#222222"
    axis.text(place + 0.5, line, f"{name}\n{_WORDS[state]}", ha="center", va="center", fontsize=6.5, color=ink)


def _say(rows: list[dict[str, Any]]) -> str:
    said = []
    for row in rows:
        done = [e["id"] for e in row["exercises"] if e["state"].startswith("passed")]
        names = f" ({', '.join(done)})" if done else ""
        said.append(f"lesson {row['lesson']}: {len(done)} of {len(row['exercises'])} exercises passed{names}")
    return f"Progress. {'; '.join(said)}." if said else "Progress. There are no lessons."


def say_calibration(known: Calibration) -> str:
    """The calibration in words and numbers."""
    if not known.answers:
        return "Predictions: none answered yet."
    bins = "; ".join(f"{100 * sure:.0f} % sure: {100 * share:.0f} % of {n} right" for _, _, sure, share, n in known.bins)
    return (
        f"Predictions: {known.right} of {known.answers} right; {bins}. "
        f"Brier score {known.brier:.2f}, where 0 is perfect and 0.25 is what a coin reaches."
    )


def draw_calibration(axis: Axes, known: Calibration) -> None:
    """Share of right answers over mean sureness of each bin, beside the diagonal of perfect calibration."""
    axis.plot([0, 100], [0, 100], "--", color="#777777", linewidth=1)
    axis.text(
        97, 88, "as right as sure", rotation=45, ha="right", va="top", rotation_mode="anchor", fontsize=7, color="#555555"
    )
    for _, _, sure, share, n in known.bins:
        axis.plot(100 * sure, 100 * share, "o", color="#0072b2", markersize=5 + min(n, 12))
        axis.annotate(
            f"{n}", (100 * sure, 100 * share), xytext=(0, 10), textcoords="offset points", ha="center", fontsize=8
        )
    axis.set(
        xlim=(0, 105), ylim=(-5, 112), xlabel="how sure (%)", ylabel="right (%)", title="predictions (number of answers)"
    )
    axis.set_box_aspect(1)
