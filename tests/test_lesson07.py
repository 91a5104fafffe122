"""Lesson 07: strangers' answers, and that what passes is what trains; the kill matrix itself is `verify`'s."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from test_training import discs, new_run

from monkeynet_edu import monitor, training
from monkeynet_edu.course import install
from monkeynet_edu.course.exercise import Function, original
from monkeynet_edu.course.judge import judge
from monkeynet_edu.course.lessons.lesson07 import CASES, LESSON
from monkeynet_edu.course.scaffold import learner_text
from monkeynet_edu.monitor import Monitor, Vitals

EXERCISES = {exercise.id: exercise for exercise in LESSON.exercises}


@pytest.mark.parametrize("name", EXERCISES)
def test_the_learner_gets_a_text_without_the_answer(name: str):
    text = learner_text(EXERCISES[name])
    assert "signs = {" not in text
    assert "history.append" not in text
    assert "state_dict().items()" not in text


def test_a_symptom_that_always_accuses_is_told_that_a_sound_training_deserves_silence():
    verdict = judge(EXERCISES["diagnosis"], lambda vitals: "nan")
    assert verdict.status == "FAIL"
    assert "silence" in verdict.message


def test_a_loop_that_never_steps_is_no_loop():
    def nothing(first, steps, rate, batch, take):
        return []

    assert judge(EXERCISES["training-loop"], nothing).status == "FAIL"


def test_a_checkpoint_without_optimizers_gets_the_hint_of_who_keeps_weights_only():
    def weights(model, optimizers):
        return {f"model.{name}": value for name, value in model.state_dict().items()}

    verdict = judge(EXERCISES["checkpoint"], weights)
    assert (verdict.status, verdict.mutant) == ("FAIL", "weights-are-all")


def test_cases_hold_every_fault_that_shows_in_the_vitals():
    assert {name for _, _, name in CASES} == {*monitor.SAID, None}


def counted(function: Function) -> tuple[Callable[..., object], list[int]]:
    calls: list[int] = []

    def wrapper(*args: object) -> object:
        calls.append(1)
        return function(*args)

    return wrapper, calls


@pytest.mark.parametrize("name", ["cosine-rate", "checkpoint", "diagnosis"])
def test_what_passed_is_what_trains(name: str, tmp_path: Path):
    exercise = EXERCISES[name]
    mine, calls = counted(original(exercise.target))
    with install.temporarily({exercise.target: mine}):
        run = new_run()
        training.train(run, discs(), training.Budget(steps=1), tmp_path, training_device(), monitor=Monitor(every=1))
    assert calls


def training_device():
    from test_training import CPU

    return CPU


def test_nan_vitals_are_named_nan():
    assert monitor.symptom(Vitals(*[math.nan] * 11)) == "nan"
