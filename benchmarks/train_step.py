"""What a training step costs, in figures that hold for any machine.

Usage: python benchmarks/train_step.py [--preset shapes] [--batch-size 16] [--precision auto] [--threads 2] [--steps 9]
                                       [--device cpu] [--bound 92]

Prints seconds a step (the median; data included, and what of it went into waiting for them), the GFLOP of a step (counted,
forward and backward), the rates of matrix products in float32 and bf16, measured between the steps, and seconds times the
float32 rate: how many GFLOP of plain matrix products the step is worth. Exits 1 where that is above ``--bound`` or where
more than 5 % of a step is waiting. Beside the clock stand processor seconds: on a machine that does other work they are
what to compare.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from monkeynet_edu import training
from monkeynet_edu.data.pairs import PairSampler
from monkeynet_edu.data.sprites import training_clips
from monkeynet_edu.model import Device, pick_device, preset

DATA, WARM_UP, SIDE, MOST_WAITING = "mini-taichi", 3, 1024, 5.0


def rate(device: Device, dtype: torch.dtype) -> float:
    """GFLOP a second of a matrix product."""
    a, b = torch.rand(2, SIDE, SIDE).to(device.device, dtype)
    repeats = 200 if device.device.type == "cuda" else 4
    torch.mm(a, b)
    began = settled(device)
    for _ in range(repeats):
        torch.mm(a, b)
    return repeats * 2 * SIDE**3 / (settled(device) - began) / 1e9


def settled(device: Device) -> float:
    """The clock, once the device has done what it was asked."""
    if device.device.type == "cuda":
        torch.cuda.synchronize(device.device)
    return time.perf_counter()


def counted(run: training.Run, sampler: PairSampler, device: Device) -> float:
    """GFLOP of a step, forward and backward; only matrix products and convolutions count."""
    with FlopCounterMode(display=False) as counter:
        training.compute_gradients(run.model, *sampler.batch(0), device)
    return float(counter.get_total_flops()) / 1e9


def measure(run: training.Run, sampler: PairSampler, device: Device, steps: int) -> dict[str, float]:
    """Medians over the steps, the first ones dropped."""
    rows: dict[str, list[float]] = {}
    for step in range(WARM_UP + steps):
        began, processor = settled(device), time.process_time()
        pairs = sampler.batch(step)
        middle = settled(device)
        training.training_step(run.model, run.optimizers, *pairs, device)
        row = {
            "seconds": settled(device) - began,
            "waiting": middle - began,
            "processor": time.process_time() - processor,
            "float32": rate(device, torch.float32),
            "bfloat16": rate(device, torch.bfloat16),
        }
        for name, value in row.items() if step >= WARM_UP else ():
            rows.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in rows.items()}


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Times a training step.")
    parser.add_argument("--preset", default="shapes", help="configuration (shapes)")
    parser.add_argument("--batch-size", type=int, default=16, help="pairs in a step (16)")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="of the networks")
    parser.add_argument("--device", default="cpu", help="where to compute (cpu)")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (2)")
    parser.add_argument("--steps", type=int, default=9, help="timed steps (9)")
    parser.add_argument("--bound", type=float, default=float("inf"), help="seconds x GFLOP/s that count as a pass (any)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device, config = pick_device(args.device, args.precision), preset(args.preset)
    how = training.recipe(args.preset)
    clips = training_clips(DATA, clips=4 * args.batch_size, size=config.frame_size)
    sampler = PairSampler(clips, args.batch_size, how.augmentation, how.seed, device.device)
    for index in range(len(clips)):  # drawn now, as they are after a first epoch
        _ = clips[index]
    run = training.start(config, how, DATA, device)
    run.model.train()
    gflop = counted(run, sampler, device)
    found = measure(run, sampler, device, args.steps)
    worth, waiting = found["seconds"] * found["float32"], 100 * found["waiting"] / found["seconds"]
    print(
        f"{args.preset}, batch {args.batch_size}, {device.device} {device.precision}, {args.threads} threads: "
        f"{found['seconds']:.3f} s a step ({1 / found['seconds']:.2f} steps/s; processor {found['processor']:.3f} s), "
        f"waiting for data {waiting:.1f} %\n"
        f"{gflop:.1f} GFLOP a step; matrix products {found['float32']:.0f} GFLOP/s in float32, "
        f"{found['bfloat16']:.0f} in bf16; seconds x float32 GFLOP/s = {worth:.0f}"
    )
    return int(worth > args.bound or waiting > MOST_WAITING)


if __name__ == "__main__":
    sys.exit(main())
