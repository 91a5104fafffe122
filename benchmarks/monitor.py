"""What the monitor costs: its share of a training step of the `mini` preset, batch 16, 64x64.

Usage: python benchmarks/monitor.py [--threads 1] [--steps 20] [--bound 2]

Processor time of `Monitor.observe`, summed over all steps, beside that of the steps; exits 1 above the bound (per cent).
"""

from __future__ import annotations

import argparse
import sys
import time

import torch

from monkeynet_edu import training
from monkeynet_edu.model import pick_device, preset
from monkeynet_edu.monitor import Monitor


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Times the monitor against the training step.")
    parser.add_argument("--threads", type=int, default=1, help="processor threads (1)")
    parser.add_argument("--steps", type=int, default=20, help="timed steps (20)")
    parser.add_argument("--bound", type=float, default=2.0, help="per cent of a step that count as a pass (2)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device("cpu")
    run = training.start(preset("mini"), training.recipe("mini"), "noise", device)
    run.model.train()
    source, driving = torch.rand(2, 16, 3, 64, 64)
    monitor = Monitor()
    spent = {"step": 0.0, "monitor": 0.0}
    for step in range(1, args.steps + 1):
        began = time.process_time()
        done = training.training_step(run.model, run.optimizers, source, driving, device)
        middle = time.process_time()
        monitor.observe(step, source, driving, done.keypoints, done.generated, done.losses, run.model)
        spent["step"] += middle - began
        spent["monitor"] += time.process_time() - middle
    share = 100 * spent["monitor"] / spent["step"]
    each = [1000 * seconds / args.steps for seconds in spent.values()]
    verdict = "PASS" if share <= args.bound else "FAIL"
    print(f"step {each[0]:.0f} ms, monitor {each[1]:.2f} ms: {share:.2f} % of a step, bound {args.bound:g} %: {verdict}")
    return 0 if share <= args.bound else 1


if __name__ == "__main__":
    sys.exit(main())
