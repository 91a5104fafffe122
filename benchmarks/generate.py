"""Milliseconds to draw one 64x64 frame with the `mini` preset, keypoints given: M and G, as `animate` runs them.

Usage: python benchmarks/generate.py [--threads 2] [--rounds 40] [--bound 15]

Weights are random: they do not change the time. Prints one line for each batch size and precision; exits 1 if with some
batch size a frame takes longer than the bound even in the faster precision. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass

import torch

from monkeynet_edu.animation import detect_clip, draw
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import Device, MonkeyNet, Precision, pick_device, preset

SIDE = 64


@dataclass(frozen=True)
class Timing:
    """Milliseconds a frame.

    Attributes:
        wall: median over the rounds.
        best: of the rounds.
        processor: of all cores together, mean.
    """

    wall: float
    best: float
    processor: float


def measure(model: MonkeyNet, image: torch.Tensor, poses: Keypoints, device: Device, rounds: int) -> Timing:
    """Times drawing all poses in one batch, after two rounds that warm up."""
    batch = len(poses)
    source = poses[:1]
    walls: list[float] = []
    processor = time.process_time()
    for round_ in range(rounds + 2):
        if round_ == 2:
            walls, processor = [], time.process_time()
        began = time.perf_counter()
        for drawn in draw(model, image, source, poses, device, chunk=batch):
            drawn.prediction.cpu()  # waits for an accelerator
        walls.append(1000 * (time.perf_counter() - began) / batch)
    spent = 1000 * (time.process_time() - processor) / (rounds * batch)
    return Timing(statistics.median(walls), min(walls), spent)


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Times drawing one 64x64 frame with the mini preset.")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (2)")
    parser.add_argument("--rounds", type=int, default=40, help="timed rounds (40)")
    parser.add_argument("--bound", type=float, default=15.0, help="milliseconds a frame that count as a pass (15)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    chosen = pick_device()
    model = MonkeyNet(preset("mini")).to(chosen.device).eval()
    clip = torch.rand(16, 3, SIDE, SIDE, device=chosen.device)
    poses = detect_clip(model, clip, chosen)
    worst = 0.0
    precisions: tuple[Precision, ...] = ("float32", "bfloat16") if chosen.precision == "bfloat16" else ("float32",)
    for batch in (1, 16):
        times: list[float] = []
        for precision in precisions:
            device = Device(chosen.device, precision)
            timing = measure(model, clip[:1], poses[:batch], device, max(3, args.rounds // (1 if batch == 1 else 4)))
            times.append(timing.wall)
            print(
                f"batch {batch:2d}  {precision:8s}  {timing.wall:6.2f} ms a frame (median; best {timing.best:.2f}; "
                f"{timing.processor:.2f} ms of processor time)  {chosen.device.type}, {args.threads} threads"
            )
        worst = max(worst, min(times))
    verdict = "PASS" if worst <= args.bound else "FAIL"
    print(f"slower batch size, faster precision: {worst:.2f} ms a frame, bound {args.bound:g}: {verdict}")
    return 0 if worst <= args.bound else 1


if __name__ == "__main__":
    sys.exit(main())
