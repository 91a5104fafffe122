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


@pytest.mark.parametrize(
    ("order", "mutant"),
    [
        ("nan identical learning-rate outside collapsed resting d-won background", "d-won-before-background"),
        ("d-won nan identical learning-rate outside collapsed resting background", ""),
        ("nan identical d-won learning-rate outside collapsed resting background", "d-won-first"),
        ("identical learning-rate outside collapsed resting background d-won nan", "nan-last"),
    ],
)
def test_effects_before_causes_are_rejected(order: str, mutant: str):
    verdict = judge(EXERCISES["diagnosis"], in_order(order.split()))
    assert verdict.status == "FAIL"
    assert mutant in verdict.mutant


@pytest.mark.parametrize(
    "order",
    [
        "nan learning-rate identical collapsed outside resting background d-won",
        "nan identical learning-rate collapsed resting outside background d-won",
        "nan identical learning-rate collapsed resting background outside d-won",
    ],
)
def test_orders_that_the_text_leaves_open_pass(order: str):
    assert judge(EXERCISES["diagnosis"], in_order(order.split())).status == "PASS"


def in_order(names: list[str]) -> Callable[[Vitals], str | None]:
    def symptom(vitals):
        v = vitals
        signs = {
            "nan": not math.isfinite(v.total),
            "identical": v.frames < 0.0005,
            "learning-rate": v.update > 0.15,
            "outside": v.border > 0.8,
            "collapsed": v.spread < 0.05,
            "resting": v.displacement < 0.1 * v.frames,
            "background": v.foreground < 0.05,
            "d-won": v.adversarial > 1.2 * v.discriminator,
        }
        return next((name for name in names if signs[name]), None)

    return symptom


def test_none_for_a_fault_is_told_that_none_says_nothing_is_wrong():
    assert "nothing is wrong" in judge(EXERCISES["diagnosis"], lambda vitals: None).message


def test_a_loop_that_draws_twice_is_told_so():
    def loop(first, steps, rate, batch, take):
        return [take(batch(n)[0], batch(n)[1], rate(n / steps)) for n in range(first, steps)]

    verdict = judge(EXERCISES["training-loop"], loop)
    assert (verdict.status, verdict.mutant) == ("FAIL", "drawn-twice")


def test_a_checkpoint_without_prefix_is_told_of_the_prefix():
    def bare(model, optimizers):
        return dict(model.state_dict())

    verdict = judge(EXERCISES["checkpoint"], bare)
    assert verdict.status == "FAIL"
    assert "begins with `model.`" in verdict.message


def test_a_checkpoint_of_dicts_in_a_dict_is_told_of_full_names():
    def nested(model, optimizers):
        return {"model": model.state_dict(), "optimizer": {name: o.state_dict() for name, o in optimizers.items()}}

    assert "full name" in judge(EXERCISES["checkpoint"], nested).message


def test_a_checkpoint_in_half_precision_is_told_of_digits():
    def half(model, optimizers):
        tensors = {f"model.{name}": value.half() for name, value in model.state_dict().items()}
        for network, optimizer in optimizers.items():
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{network}.{index}.{key}": value.half() for key, value in state.items()}
        return tensors

    assert "every digit" in judge(EXERCISES["checkpoint"], half).message


def test_nan_vitals_are_named_nan():
    assert monitor.symptom(Vitals(*[math.nan] * 11)) == "nan"
