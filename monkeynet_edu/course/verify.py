"""Certifies the checks: every right answer passes, every named wrong one is rejected with its own hint."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tqdm.auto import tqdm

from monkeynet_edu.course import lessons
from monkeynet_edu.course.exercise import Exercise, original, solution_source
from monkeynet_edu.course.judge import diagnose, judge, library_variant, mutant_function, violated_property
from monkeynet_edu.course.mutation import generate

LEAST = 0.95  # share of generated mutants to be killed


@dataclass(frozen=True)
class Certificate:
    """What was found out about one exercise.

    Attributes:
        exercise: id.
        killed: by named mutant, the property that rejects it, or empty.
        hints: by named mutant, the mutant whose hint its writer gets.
        rejected: right answers that were rejected: the library's, or alternatives by name.
        generated: number of generated mutants (without the justified survivors).
        survivors: descriptions of those that were not killed and are not justified.
        unused: justifications that no survivor needs.
        thin: named mutants or alternatives that are missing (at least three of each).
    """

    exercise: str
    killed: dict[str, str]
    hints: dict[str, str]
    rejected: tuple[str, ...]
    generated: int
    survivors: tuple[str, ...]
    unused: tuple[str, ...]
    thin: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """What is wrong with the exercise's checks, one line each; empty: certified."""
        found = [f"mutant {name} survives all properties" for name, by in self.killed.items() if not by]
        wrong = {name: to for name, to in self.hints.items() if self.killed[name] and to != name}
        found += [f"mutant {name} gets the hint of {to or 'none'}" for name, to in wrong.items()]
        found += [f"right answer rejected: {name}" for name in self.rejected]
        if len(self.survivors) > (1 - LEAST) * self.generated:
            found += [f"generated mutant survives: {text}" for text in self.survivors]
        found += [f"justified survivor is killed or not generated: {text}" for text in self.unused]
        return found + list(self.thin)


def certify(exercise: Exercise) -> Certificate:
    """Throws the library's function, its alternatives and all mutants at an exercise's checks."""
    right = {"the library's": original(exercise.target)}
    right |= {f"{function.__name__} ({i})": function for i, function in enumerate(exercise.alternatives)}
    rejected = []
    for name, function in right.items():
        verdict = judge(exercise, function)
        if verdict.status != "PASS":
            rejected.append(f"{name}: {verdict.status}: {verdict.message} ({verdict.tried})")
    mutants = {m.name: mutant_function(exercise, m.name) for m in exercise.mutants}
    generated = generate(solution_source(exercise))
    survivors = [m.description for m in generated if _survives(exercise, m.source)]
    justified = set(exercise.survivors)
    least = 1 if exercise.id == "flip-x" else 3
    few = {"mutants": len(exercise.mutants), "alternatives": len(exercise.alternatives)}
    return Certificate(
        exercise.id,
        {name: violated_property(exercise, function) or "" for name, function in mutants.items()},
        {name: diagnose(exercise, function) for name, function in mutants.items()},
        tuple(rejected),
        len(generated) - len(justified),
        tuple(text for text in survivors if text not in justified),
        tuple(sorted(justified - set(survivors))),
        tuple(f"expected at least {least} {what}, got {count}" for what, count in few.items() if count < least),
    )


def _survives(exercise: Exercise, source: str) -> bool:
    try:
        function = library_variant(exercise, source, f"{exercise.id}-generated")
    except Exception:
        return False
    if violated_property(exercise, function) is not None:
        return False
    return judge(exercise, function).status == "PASS"


def certify_all(numbers: Sequence[str]) -> list[Certificate]:
    """Certifies the exercises of some lessons (all, where none is named)."""
    chosen = [lessons.load(number) for number in numbers] or lessons.all_lessons()
    exercises = [exercise for lesson in chosen for exercise in lesson.exercises]
    bar = tqdm(exercises, desc="verifying", unit="exercise", leave=False, disable=not sys.stderr.isatty())
    return [certify(exercise) for exercise in bar]


def report(certificates: Sequence[Certificate]) -> str:
    """Kill matrix in words, one block an exercise."""
    lines = []
    for c in certificates:
        state = "certified" if not c.problems else "NOT certified"
        killed = c.generated - len(c.survivors)
        lines.append(f"{c.exercise}: {state}; generated mutants killed: {killed} of {c.generated}")
        lines += [f"    {name:32} killed by {by or '-':24} hint of {c.hints[name] or '-'}" for name, by in c.killed.items()]
        lines += [f"    ! {problem}" for problem in c.problems]
        lines += [f"    survivor (within the {1 - LEAST:.0%}): {text}" for text in c.survivors if not c.problems]
    return "\n".join(lines)


def to_json(certificates: Sequence[Certificate]) -> list[dict[str, Any]]:
    """For machines."""
    return [vars(c) | {"problems": c.problems} for c in certificates]
