"""Seconds to evaluate 100 clips of 32 frames: reconstruction, L1, AKD, MKR and AED; the bound is 60 s on two cores.

Usage: python benchmarks/evaluate_speed.py [--clips 100] [--threads 2] [--all] [--bound 60]

Rendering the clips is not timed, nor the truth's figures (``--all`` adds those, and FID). With fewer clips the time is
scaled to 100. Beside the wall clock it prints processor seconds, divided by the threads what a machine would need that does
nothing else, and the load: above the number of cores, other work was waiting too. Exits 1 above the bound.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace

import torch

from monkeynet_edu.data.sprites import Clip, held_out_clips
from monkeynet_edu.evaluators import Evaluators, evaluators_for
from monkeynet_edu.metrics import measure
from monkeynet_edu.model import MonkeyNet, pick_device
from monkeynet_edu.paths import weights_path

DATA, FRAMES = "mini-taichi", 32


def clips_of(count: int, with_truth: bool) -> list[Clip]:
    """Characters never trained on, each clip cut to 32 frames."""
    cut = []
    for clip in held_out_clips(DATA, 0, count):
        truth = clip.truth.at(range(FRAMES)) if with_truth and clip.truth is not None else None
        cut.append(replace(clip, frames=clip.frames[:FRAMES], truth=truth))
    return cut


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Times an evaluation.")
    parser.add_argument("--clips", type=int, default=100, help="clips of 32 frames (100)")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (2)")
    parser.add_argument("--all", action="store_true", help="FID and the figures against the truth too")
    parser.add_argument("--bound", type=float, default=60.0, help="seconds for 100 clips that count as a pass (60)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device()
    model = MonkeyNet.load(weights_path(DATA))
    networks = evaluators_for(DATA)
    if not args.all:
        networks = Evaluators(networks.detector, networks.embedder, None, networks.joint_names)
    clips = clips_of(args.clips, args.all)
    measure(model, clips[:1], device, evaluators=networks)  # warms up
    processor, began = time.process_time(), time.perf_counter()
    found = measure(model, clips, device, evaluators=networks)
    share = 100 / len(clips)
    took, spent = share * (time.perf_counter() - began), share * (time.process_time() - processor)
    print(
        f"{took:.1f} s for 100 clips of {FRAMES} frames ({len(clips)} measured, {found.frames} driving frames); "
        f"processor {spent:.1f} s, {spent / args.threads:.1f} s a thread; {device.device} {device.precision}, "
        f"{args.threads} threads; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return int(took > args.bound)


if __name__ == "__main__":
    sys.exit(main())
