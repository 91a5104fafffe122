"""Rivals of Monkey-Net: how long a step takes, and which learning rate serves each best.

    python benchmarks/rivals.py --steps [--only x2face …]     processor seconds a step, and steps in the time of one of ours
    python benchmarks/rivals.py --rates [--only x2face …]     three rates each, at equal minutes; logs to rates.json

Both with one thread. Rates are compared on characters that neither training nor the test clips show: by the L1 over moving
pixels for models that follow a driving clip, by the mini-FID for those that make films of one picture. A log is
gone on with.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from tqdm.auto import tqdm

from monkeynet_edu import baselines, metrics, training
from monkeynet_edu.baselines.registry import takes_windows
from monkeynet_edu.data.sprites import training_clips
from monkeynet_edu.evaluators import evaluators_for
from monkeynet_edu.experiments.plans import EQUAL_STEPS, METHODS, MINI, effort, shared_recipe, variant_config
from monkeynet_edu.model import Device, pick_device
from monkeynet_edu.paths import data_small
from monkeynet_edu.training import AnyRun, Recipe

OURS = "ours"
TAICHI, NEMO, BAIR = "mini-taichi", "mini-nemo", "mini-bair"
DATA = {OURS: TAICHI, MINI: TAICHI, "x2face": TAICHI, "mocogan": NEMO, "cmmnet": NEMO, "sv2p": BAIR}
RATES = {
    OURS: (4e-4, 8e-4, 1.6e-3),
    MINI: (4e-4, 8e-4, 1.6e-3),
    "x2face": (5e-4, 1e-3, 2e-3),
    "mocogan": (2e-4, 4e-4, 8e-4),
    "cmmnet": (1e-3, 2e-3, 4e-3),
    "sv2p": (5e-4, 1e-3, 2e-3),
}
STEPS = 100  # of ours; a sixth of the budget short
SEED, JUDGED, JUDGES = 11, 8_000, 12
LOG = data_small() / "results" / "rates.json"


def begun(name: str, how: Recipe | None, device: Device) -> AnyRun[Any, Any, Any]:
    """A training of ours or of a rival; with its own recipe where none is given."""
    data = DATA[name]
    if name in (OURS, MINI):
        variant = METHODS[OURS].variant if name == OURS else MINI
        return training.start(variant_config(variant, data), how or shared_recipe(data, SEED, variant), data, device)
    return baselines.start(name, how or baselines.recipe_for(name, data, SEED, generated=True), data, device)


def learned(name: str, run: AnyRun[Any, Any, Any], steps: int, device: Device, few: int | None = None) -> float:
    """Trains, on ``few`` clips or on as many as a run of a table has; returns the typical seconds of a step.

    That is the median; where Δ and M learn alone at first, of each part of the training, weighted by its length.
    """
    how, whole = effort("short"), takes_windows(name)
    size = run.config.frame_size
    frames, count = (None, how.predictor_clips) if whole else (how.frames, how.clips)
    sampler = run.sampler(training_clips(DATA[name], SEED, few or count, size, frames), device.device)
    run.model.train()
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for step in tqdm(range(steps), desc=name, leave=False, dynamic_ncols=True):
        batch = sampler.batch(step, run.recipe.reach(step / steps))
        run.optimizers.set_learning_rate(run.recipe.rate(step / steps))
        began = time.process_time()
        run.take(batch, step / steps, device)
        seconds[run.recipe.moves_first(step / steps)].append(time.process_time() - began)
        run.step += 1
    run.model.eval()
    first = run.recipe.motion_first
    parts = [(first, seconds[True]), (1 - first, seconds[False])]
    return sum(share * statistics.median(took) for share, took in parts if share)


def judged(name: str, run: AnyRun[Any, Any, Any], device: Device) -> tuple[str, float]:
    """Name and value of the figure by which rates are compared; lower is better."""
    clips = training_clips(DATA[name], JUDGED, JUDGES, run.config.frame_size, None)
    networks = evaluators_for(DATA[name])
    if name in (OURS, MINI):
        return "l1_moving", metrics.measure(run.model, clips, device).figures["l1_moving"].value or float("nan")
    task = "reconstruction" if "animate" in run.model.tasks else "prediction"
    found = baselines.measure(run.model, clips, device, task, networks if task == "prediction" else None).figures
    figure = "l1_moving" if task == "reconstruction" else "fid"
    value = found[figure].value
    return figure, float("nan") if value is None else value


def say_steps(names: Sequence[str], device: Device) -> None:
    """Prints the seconds of a step, and how many fit into one of ours.

    Clips are few, so that CMM-Net has found their landmarks by the middle of the steps, as in all but the first epoch.
    """
    took = {name: learned(name, begun(name, None, device), 13, device, few=16) for name in dict.fromkeys([OURS, *names])}
    print("| method | seconds a step | steps in the time of one of ours |\n|---|---|---|")
    for name, seconds in took.items():
        print(f"| {name} | {seconds:.3f} | {took[OURS] / seconds:.2f} |")


def logged() -> dict[str, Any]:
    """What was tried so far, by this command or by one that runs beside it: figures by method and rate."""
    found: dict[str, Any] = json.loads(LOG.read_text("utf-8")) if LOG.is_file() else {}
    return found


def say_rates(names: Sequence[str], device: Device) -> None:
    """Tries three rates of each method, logs each at once, and prints them."""
    for name in names:
        base = begun(name, None, device).recipe
        for rate in RATES[name]:
            key = f"{name} {rate:g}"
            if key not in logged():
                run = begun(name, replace(base, learning_rate=rate), device)
                steps = round(STEPS * EQUAL_STEPS.get(name, 1.0))
                seconds = learned(name, run, steps, device)
                figure, value = judged(name, run, device)
                print(f"{key}: {figure} {value:.4f} after {steps} steps of {seconds:.3f} s", flush=True)
                found = {"data": DATA[name], "steps": steps, "figure": figure, "value": round(value, 5)}
                LOG.write_text(json.dumps(logged() | {key: found}, indent=1, sort_keys=True) + "\n", "utf-8")
        tried = {key: found for key, found in logged().items() if key.split()[0] == name}
        print(f"{name}: best {min(tried, key=lambda key: tried[key]['value'])}")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--rates", action="store_true")
    parser.add_argument("--only", nargs="+", default=list(RATES), choices=list(RATES))
    chosen = parser.parse_args()
    if chosen.steps == chosen.rates:
        parser.error("expected either --steps or --rates")
    torch.set_num_threads(1)
    device = pick_device("cpu")
    (say_steps if chosen.steps else say_rates)(chosen.only, device)


if __name__ == "__main__":
    main()
