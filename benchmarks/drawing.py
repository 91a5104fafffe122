"""What it brings that G draws the change of the deformed frame (`GeneratorConfig.draws`), not the whole frame.

    python benchmarks/drawing.py [--data mini-taichi mini-nemo mini-bair] [--steps 600] [--seeds 0]

Takes Δ and M of the shipped weights, lets them rest (`train --learn drawing`), and trains a new G and a new D for so many
steps of 16 pairs, at one thread, once in each form. Prints a row of a Markdown table for each: L1 on 24 characters that
neither training nor the shipped clips show, over all pixels, over those that differ from the source, and over those that
do not, of G's frame and of the deformed frame that both forms get.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import get_args

import numpy as np
import torch
from recipe import characters, keypoints_of, material
from torch import Tensor
from tqdm.auto import tqdm

from monkeynet_edu import paths, training
from monkeynet_edu.data.pairs import PairSampler
from monkeynet_edu.data.sprites import Clip, training_clips
from monkeynet_edu.generator import Draws
from monkeynet_edu.metrics.pixels import masked_mean
from monkeynet_edu.model import Device, MonkeyNet, pick_device

FRAMES = 12  # of each training clip
_MOTION = ("detector.", "generator.dense_motion_module.")


def trained(data: str, form: Draws, steps: int, seed: int, clips: list[Clip], device: Device) -> MonkeyNet:
    """The shipped Δ and M with a new G in one of the forms."""
    shipped = MonkeyNet.load(paths.weights_path(data))
    config = replace(shipped.config, generator=replace(shipped.config.generator, draws=form))
    how = training.recipe_for("mini", data, seed, generated=True).with_resting("drawing")
    run = training.start(config, how, data, device)
    motion = {name: value for name, value in shipped.state_dict().items() if name.startswith(_MOTION)}
    run.model.load_state_dict(motion, strict=False)
    run.model.train()
    sampler = PairSampler(clips, how.batch_size, how.augmentation, how.seed)
    for step in tqdm(range(steps), desc=f"{data}, {form}", leave=False, dynamic_ncols=True):
        run.optimizers.set_learning_rate(how.rate(step / steps))
        run.take(sampler.batch(step), step / steps, device)
    return run.model.eval()


@torch.no_grad()
def errors(model: MonkeyNet, clip: Clip, device: Device) -> list[float]:
    """L1 of G's frame over all, moving and standing pixels, the same of the deformed frame, and of the source over all."""
    video, truth, source = material(clip)
    with device.autocast():
        drawn = model(source, *keypoints_of(model, video))

    def over(frames: Tensor) -> list[float]:
        gap = (frames.float() - video[1:]).abs().mean(dim=1)
        return [float(gap.mean()), masked_mean(gap, truth.moving), masked_mean(gap, ~truth.moving)]

    return [*over(drawn.prediction), *over(drawn.deformed), over(source)[0]]


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Trains G in both forms.")
    parser.add_argument("--data", nargs="+", default=["mini-taichi", "mini-nemo", "mini-bair"])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    device = pick_device("cpu")
    print("| data | seed | steps | draws | all | moving | standing | deformed: all | moving | standing | source |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for data in wanted.data:
        test = characters(data)
        for seed in wanted.seeds:
            drawn = tqdm(training_clips(data, seed, frames=FRAMES), desc=f"drawing {data}", leave=False)
            clips = list(drawn)
            for form in get_args(Draws):
                model = trained(data, form, wanted.steps, seed, clips, device)
                figures = np.nanmean([errors(model, clip, device) for clip in test], axis=0)
                shown = " | ".join(f"{figure:.4f}" for figure in figures)
                print(f"| {data} | {seed} | {wanted.steps} | {form} | {shown} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
