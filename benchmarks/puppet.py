"""Milliseconds from a moved keypoint to the frame that is sent: the Python side of the puppet, without a browser.

Usage: python benchmarks/puppet.py [--threads 2] [--moves 100] [--bound 40]

A move is what the live view triggers: the model draws the source at 64x64 in a new pose, and the frame is handed
to the view. The bound leaves 25 ms of the 66 that 15 frames a second allow to JupyterLab and the browser. Exits 1
above it. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch

from monkeynet_edu import widgets
from monkeynet_edu.data.datasets import ClipFolder
from monkeynet_edu.model import MonkeyNet, pick_device
from monkeynet_edu.paths import data_set_path, weights_path


def measure(puppet: widgets.Puppet, moves: int) -> list[float]:
    """Milliseconds of each move, after five that warm up."""
    view = puppet.view
    took = []
    for number in range(moves + 5):
        points = (puppet.home + 0.2 * torch.sin(torch.tensor(number / 10))).flatten().tolist()
        began = time.perf_counter()
        if view is None:
            puppet.move(0, points[0], points[1])
        else:
            view.points = points  # what a message of the browser does
        took.append(1000 * (time.perf_counter() - began))
    return took[5:]


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Times a move of the puppet at 64x64.")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (2)")
    parser.add_argument("--moves", type=int, default=100, help="timed moves (100)")
    parser.add_argument("--bound", type=float, default=40.0, help="milliseconds a move that count as a pass (40)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    chosen = pick_device()
    model = MonkeyNet.load(weights_path("mini-taichi")).to(chosen.device)
    clip = ClipFolder(data_set_path("mini-taichi"), "test", size=64)[3]
    puppet = widgets.puppet(model, clip.frames[0], chosen)
    processor = time.process_time()
    took = measure(puppet, args.moves)
    spent = 1000 * (time.process_time() - processor) / (args.moves + 5)
    middle = statistics.median(took)
    print(
        f"{middle:.1f} ms a move (median; best {min(took):.1f}, 95 % below {sorted(took)[int(0.95 * len(took))]:.1f}; "
        f"processor {spent:.1f}), {chosen.device} {chosen.precision}, {args.threads} threads"
    )
    return int(middle > args.bound)


if __name__ == "__main__":
    sys.exit(main())
