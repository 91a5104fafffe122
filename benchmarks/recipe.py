"""What each part of `mini`'s recipe brings: the same short training with that part taken out.

    python benchmarks/recipe.py [--data mini-taichi] [--steps 1500] [--seeds 0] [--without PART …] [--save FOLDER]

Trains Δ and M alone (``training.motion_step``), where all of these parts act, at one thread, and measures the flow on 24
characters that neither training nor the shipped test clips show: its error on moving parts as a share of that of no motion
(over all of them, and where they move by more than 8 of 64 pixels: arms), and the L1 of the deformed frame over moving
pixels as a share of that of the still source. Prints a row of a Markdown table for each training.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from monkeynet_edu import training
from monkeynet_edu.data.pairs import PairSampler
from monkeynet_edu.data.sprites import Clip, held_out_clips, training_clips
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.metrics.pixels import MotionTruth, masked_mean, model_flow
from monkeynet_edu.model import Device, MonkeyNet, MonkeyNetConfig, pick_device, preset, small_preset
from monkeynet_edu.training import Recipe

SEED, CHARACTERS, FRAMES = 77, 24, 7
FAR = 8.0  # pixels
Setting = tuple[MonkeyNetConfig, Recipe]


def _dark(config: MonkeyNetConfig) -> MonkeyNetConfig:
    """Heatmaps with a peak of 1/100, as published."""
    motion = config.generator.motion
    assert motion is not None
    motion = replace(motion, embedding=replace(motion.embedding, normalisation=100.0))
    return replace(config, generator=replace(config.generator, motion=motion))


PARTS: dict[str, Callable[[MonkeyNetConfig, Recipe], Setting]] = {
    "nothing": lambda config, how: (config, how),
    "bright-heatmaps": lambda config, how: (_dark(config), how),
    "coverage": lambda config, how: (replace(config, losses=replace(config.losses, coverage=0.0)), how),
    "four-sizes": lambda config, how: (replace(config, losses=replace(config.losses, deformed_scales=1)), how),
    "high-rate": lambda config, how: (config, replace(how, motion_rate=how.learning_rate)),
    "near-pairs-first": lambda config, how: (config, replace(how, first_reach=1.0)),
    "batches-of-16": lambda config, how: (config, replace(how, batch_size=8)),
    "covariances": lambda config, how: (replace(config, detector=replace(config.detector, covariance=0.01)), how),
}


def trained(setting: Setting, clips: list[Clip], steps: int, device: Device) -> MonkeyNet:
    """A model whose Δ and M have learned for so many steps of 16 pairs (twice as many of 8)."""
    config, how = setting
    run = training.start(config, how, "ablation", device)
    run.model.train()
    sampler = PairSampler(clips, how.batch_size, how.augmentation, how.seed)
    steps = steps * 16 // how.batch_size
    for step in tqdm(range(steps), leave=False, dynamic_ncols=True):
        share = step / steps * how.motion_first
        run.optimizers.set_learning_rate(how.rate(share))
        training.motion_step(run.model, run.optimizers, *sampler.batch(step, how.reach(share)), device)
    return run.model.eval()


def material(clip: Clip) -> tuple[Tensor, MotionTruth, Tensor]:
    """Frames (T, 3, H, W), the truth of all but the first, and the first as the source of each of these."""
    assert clip.truth is not None
    video = to_tensor(clip.frames)
    return video, MotionTruth.of(clip.truth), video[:1].expand(len(video) - 1, -1, -1, -1)


def keypoints_of(model: MonkeyNet, video: Tensor) -> tuple[Keypoints, Keypoints]:
    """Keypoints of the first frame, once for each of the others, and those of the others."""
    found = model.detect(video)
    return found[torch.zeros(len(video) - 1, dtype=torch.long)], found[1:]


@torch.no_grad()
def errors(model: MonkeyNet, clip: Clip, device: Device) -> list[float]:
    """Error of the flow and of none, both again where parts move far, L1 of the deformed frame and of the source."""
    video, truth, source = material(clip)
    with device.autocast():
        motion = model.generator.estimate_motion(source, *keypoints_of(model, video))
    flow = model_flow(model, motion.deformation.float(), *video.shape[-2:])
    deformed = model.generator.deform(source, motion)
    far = truth.displaced & (truth.flow.norm(dim=-1) > FAR)

    def gap(frames: Tensor) -> Tensor:
        return (frames - video[1:]).abs().mean(dim=1)

    wrong, still = (flow - truth.flow).norm(dim=-1), truth.flow.norm(dim=-1)
    pairs = ((wrong, truth.displaced), (still, truth.displaced), (wrong, far), (still, far))
    return [masked_mean(v, m) for v, m in (*pairs, (gap(deformed), truth.moving), (gap(source), truth.moving))]


def characters(data: str) -> list[Clip]:
    """A few frames, spread over the clip, of each character that is measured on."""
    chosen = []
    for clip in held_out_clips(data, SEED, CHARACTERS):
        frames = np.unique(np.linspace(0, len(clip.frames) - 1, FRAMES).astype(int))
        assert clip.truth is not None
        chosen.append(replace(clip, frames=clip.frames[frames], truth=clip.truth.at(frames)))
    return chosen


def row(part: str, data: str, steps: int, seed: int, save: Path | None) -> str:
    """Trains without one part, measures, and saves the weights where a folder is given: a line of the table."""
    device = pick_device("cpu")
    name = small_preset(data)
    setting = PARTS[part](preset(name), training.recipe_for(name, data, seed, generated=True))
    clips = list(training_clips(data, seed))
    began = time.monotonic()
    model = trained(setting, clips, steps, device)
    seconds = time.monotonic() - began
    if save is not None:
        model.save(save / f"{data}-without-{part}-{seed}.safetensors")
    each = [errors(model, clip, device) for clip in characters(data)]
    wrong, still, far, far_still, gap, source = np.nanmean(each, axis=0)
    shares = f"{wrong / still:.2f} | {far / far_still:.2f} | {gap / source:.2f}"
    return f"| {part} | {data} | {seed} | {steps} | {seconds:.0f} s | {shares} |"


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Trains without single parts of the recipe.")
    parser.add_argument("--data", default="mini-taichi")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--without", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="where to keep the weights (default: nowhere)")
    wanted = parser.parse_args()
    if wanted.save is not None:
        wanted.save.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    print("| without | data | seed | steps | time | flow | flow, far | deformed |\n|---|---|---|---|---|---|---|---|")
    for seed in wanted.seeds:
        for part in wanted.without:
            print(row(part, wanted.data, wanted.steps, seed, wanted.save), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
