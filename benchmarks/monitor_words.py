"""What the monitor says of sound trainings of `mini`, and of rates that are too high, on every miniature.

Usage: python benchmarks/monitor_words.py [--data mini-taichi …] [--rates 1 10 100] [--steps 50] [--threads 1]

A line for each set and factor of the recipe's rate: what was found and when, the median change of the weights a step (the
figure that names a rate too high, bound 15 %), and the reconstruction loss at the first and the last look. Exits 1 where a
sound training (factor 1) draws a word, or one at a hundred times the rate (the planted fault) and more draws none.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from statistics import median

import torch

from monkeynet_edu import training
from monkeynet_edu.data.datasets import MINIATURES, open_dataset
from monkeynet_edu.data.pairs import PairSampler
from monkeynet_edu.model import pick_device, preset, small_preset
from monkeynet_edu.monitor import Monitor

CLIPS = 256  # of each set; fifty steps draw 800 pairs


def watched(data: str, factor: float, steps: int) -> Monitor:
    """Trains `mini` for so many steps at so many times its rate, from the command line's recipe, and watches."""
    device = pick_device("cpu", "float32")
    name = small_preset(data)
    how = training.recipe_for(name, data, 0, True)
    how = dataclasses.replace(how, learning_rate=how.learning_rate * factor)
    clips = open_dataset(data, "train", size=64, seed=0)
    clips = [clips[i] for i in range(min(CLIPS, len(clips)))]
    run, watcher = training.start(preset(name), how, data, device), Monitor()
    sampler = PairSampler(clips, how.batch_size, how.augmentation, how.seed)
    run.model.train()
    for step in range(steps):
        source, driving = sampler.batch(step, how.reach(0))
        done = training.training_step(run.model, run.optimizers, source, driving, device)
        watcher.observe(step + 1, source, driving, done.keypoints, done.generated, done.losses, run.model)
    return watcher


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Watches trainings at several learning rates.")
    parser.add_argument("--data", nargs="+", default=list(MINIATURES), help="sets (all)")
    parser.add_argument("--rates", nargs="+", type=float, default=[1, 10, 100], help="factors of the recipe's rate")
    parser.add_argument("--steps", type=int, default=50, help="steps of each training (50)")
    parser.add_argument("--threads", type=int, default=1, help="processor threads (1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    wrong = 0
    for data in args.data:
        for factor in args.rates:
            watcher = watched(data, factor, args.steps)
            said = ", ".join(f"{finding.name} at step {finding.step}" for finding in watcher.findings) or "nothing"
            seen = [vitals for _, vitals in watcher.vitals]
            change, first, last = median(v.update for v in seen), seen[0].reconstruction, seen[-1].reconstruction
            figures = f"{change:.1%} a step, loss {first:.2f} -> {last:.2f}"
            print(f"{data} at {factor:g} times the rate: {said}; {figures}", flush=True)
            wrong += bool(watcher.findings) if factor == 1 else factor >= 100 and not watcher.findings
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
