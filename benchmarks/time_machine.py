"""Makes data_small/time_machine: a nano model's training, told in pictures, figures and three checkpoints.

Usage: python benchmarks/time_machine.py [--steps 3000] [--out data_small/time_machine] [--work /tmp/time_machine]

The nano model is `mini` at half the width and with fewer keypoints, so that it learns within minutes on one core. At 55
steps, spaced like the powers of a number, it draws the same three pairs of test frames, and its error on one pair of each
of the 20 test clips is measured against the truth. Three checkpoints are kept: early, middle, end.
Made with one thread (OMP_NUM_THREADS=1); with another number, or on another machine, the weights differ slightly.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from monkeynet_edu import metrics, training
from monkeynet_edu.data.datasets import open_dataset
from monkeynet_edu.data.pairs import PairSampler
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.discriminator import DiscriminatorConfig
from monkeynet_edu.files import write_checksums
from monkeynet_edu.generator import GeneratorConfig
from monkeynet_edu.keypoints import DetectorConfig
from monkeynet_edu.losses import LossWeights
from monkeynet_edu.model import Device, MonkeyNet, MonkeyNetConfig, pick_device
from monkeynet_edu.motion import EmbeddingConfig, MotionConfig

DATA = "mini-taichi"
SHOWN = (0, 1, 2)  # of the test clips: the pairs that are drawn
MARKS = 55


def nano_config() -> MonkeyNetConfig:
    """`mini` at half the width: 8 keypoints, 8 channels (at most 32 in Δ, M and D, 40 in G), 1 refinement block."""
    seen = EmbeddingConfig(("heatmap", "deformed_source"))
    return MonkeyNetConfig(
        detector=DetectorConfig(8, 8, 32, 4, least_covariance=0.001, scale=0.5),
        generator=GeneratorConfig(
            8,
            40,
            4,
            refinement_blocks=1,
            embedding=EmbeddingConfig(scale=0.5),
            motion=MotionConfig(8, 32, 4, embedding=seen, group_blocks=1, scale=0.5),
            resize="bilinear",
        ),
        discriminator=DiscriminatorConfig(8, 32, 3),
        losses=LossWeights(feature_matching=(10.0, 10.0, 10.0, 1.0), deformed=10.0),
    )


def marks(steps: int, count: int = MARKS) -> list[int]:
    """Whole numbers from 0 to `steps`, about `count` of them, spaced like powers."""
    return sorted({0, *np.geomspace(1, steps, count + 8).round().astype(int).tolist()})


def nearest(values: list[int], wanted: list[int]) -> list[int]:
    """The value nearest to each number wanted."""
    return [min(values, key=lambda value: abs(value - goal)) for goal in wanted]


def pairs(clips: list[Clip]) -> tuple[Tensor, Tensor, list[metrics.MotionTruth]]:
    """First and middle frame of each clip (N, 3, H, W), and what truly moves between them."""
    chosen = [(clip, len(clip.frames) // 2) for clip in clips]
    frames = [to_tensor(clip.frames[[0, middle]]) for clip, middle in chosen]
    truths = [metrics.MotionTruth.of(clip.truth.at([0, middle])) for clip, middle in chosen if clip.truth]
    return torch.stack([f[0] for f in frames]), torch.stack([f[1] for f in frames]), truths


@dataclass
class History:
    """What is recorded on the way; one entry a mark."""

    steps: list[int] = field(default_factory=list)
    keypoints: list[np.ndarray] = field(default_factory=list)  # (2, shown, K, 2)
    figures: dict[str, list[float]] = field(default_factory=dict)
    rows: list[np.ndarray] = field(default_factory=list)  # (64, shown·2·64, 3): deformed and generated of each pair

    def add(self, step: int, model: MonkeyNet, source: Tensor, driving: Tensor, truths: list[metrics.MotionTruth]) -> None:
        """Draws and measures."""
        model.eval()
        with torch.no_grad():
            found, wanted = training.detect_pair(model, source, driving)
            made = model(source, found, wanted)
        model.train()
        shown = list(SHOWN)
        self.steps.append(step)
        self.keypoints.append(torch.stack([found.mean[shown], wanted.mean[shown]]).numpy())
        tiles = [picture for i in shown for picture in (made.deformed[i], made.prediction[i])]
        row = torch.cat(tiles, dim=-1).permute(1, 2, 0)
        self.rows.append((row.clamp(0, 1) * 255).round().byte().numpy())
        error, warped = (made.prediction - driving).abs().mean(1), (made.deformed - driving).abs().mean(1)
        moving = torch.cat([t.moving for t in truths])
        flow = metrics.model_flow(model, made.motion.deformation, *source.shape[-2:])
        apart = (flow - torch.cat([t.flow for t in truths])).norm(dim=-1)
        displaced = torch.cat([t.displaced for t in truths])
        assert made.motion.masks is not None
        for name, value in {
            "l1": error.mean(),
            "l1_moving": error[moving].mean(),
            "l1_deformed": warped.mean(),
            "l1_deformed_moving": warped[moving].mean(),
            "flow_epe": apart[displaced].mean(),
            "background": made.motion.masks[:, 0].mean(),
        }.items():
            self.figures.setdefault(name, []).append(float(value))


def webp(picture: np.ndarray, quality: int) -> bytes:
    """A picture as lossy WebP."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", quality=quality, method=6)
    return file.getvalue()


def run(steps: int, out: Path, work: Path, quality: int) -> None:
    """Trains, records, writes."""
    device: Device = pick_device("cpu")
    recipe = replace(training.recipe_for("mini", DATA, 0, True), learning_rate=1e-3)
    clips = open_dataset(DATA, "train", size=64, seed=recipe.seed)
    sampler = PairSampler(clips, recipe.batch_size, recipe.augmentation, recipe.seed)
    source, driving, truths = pairs(list(open_dataset(DATA, "test", size=64)))
    training_run = training.start(nano_config(), recipe, DATA, device)
    model = training_run.model.train()
    history, losses, kept = History(), [], {}
    history.add(0, model, source, driving, truths)
    stops = dict(zip(nearest(marks(steps), [steps // 30, steps // 4, steps]), ("early", "middle", "end"), strict=True))
    began, wanted = time.process_time(), set(marks(steps))
    for step in tqdm(range(steps), mininterval=10):
        progress = step / steps
        training_run.optimizers.set_learning_rate(recipe.rate(progress))
        batch = sampler.batch(step, recipe.reach(progress))
        result = training.training_step(model, training_run.optimizers, *batch, device)
        losses.append([float(value) for value in result.losses.values()])
        if step + 1 in wanted:
            history.add(step + 1, model, source, driving, truths)
        if step + 1 in stops:
            model.save(work / f"step-{step + 1:05}.safetensors", torch.float16)
            kept[stops[step + 1]] = step + 1
    seconds = time.process_time() - began
    np.savez_compressed(
        work / "all.npz", rows=np.stack(history.rows), keypoints=np.stack(history.keypoints), losses=np.array(losses)
    )
    write(out, work, history, np.array(losses), list(result.losses), (source, driving, truths), kept, seconds, quality)


def write(
    out: Path,
    work: Path,
    history: History,
    losses: np.ndarray,
    names: list[str],
    shown: tuple[Tensor, Tensor, list[metrics.MotionTruth]],
    kept: dict[str, int],
    seconds: float,
    quality: int,
) -> None:
    """Writes the files that are shipped."""
    out.mkdir(parents=True, exist_ok=True)
    source, driving, truths = shown
    first = torch.cat([picture[i] for i in SHOWN for picture in (source, driving)], dim=-1).permute(1, 2, 0)
    top = (first * 255).round().byte().numpy()
    (out / "pictures.webp").write_bytes(webp(np.concatenate([top, *history.rows]), quality))
    still, moving = (source - driving).abs().mean(1), torch.cat([t.moving for t in truths])
    flow, displaced = torch.cat([t.flow for t in truths]), torch.cat([t.displaced for t in truths])
    # Losses between two marks are told by their mean: 3,000 rows would be mostly noise.
    edges = [0, *history.steps[1:]]
    means = [losses[a:b].mean(0) for a, b in itertools.pairwise(edges)]
    story = {
        "data": DATA,
        "steps": history.steps,
        "figures": {name: [round(v, 5) for v in values] for name, values in history.figures.items()},
        "repeat_source": {
            "l1": round(float(still.mean()), 5),
            "l1_moving": round(float(still[moving].mean()), 5),
            "flow_epe": round(float(flow.norm(dim=-1)[displaced].mean()), 5),
        },
        "losses": {name: [round(float(m[i]), 4) for m in means] for i, name in enumerate(names)},
        "keypoints": np.stack(history.keypoints).astype(np.float64).round(3).tolist(),
        "checkpoints": kept,
        "seconds": round(seconds),
    }
    (out / "history.json").write_text(json.dumps(story, separators=(",", ":")) + "\n", "utf-8")
    for name, step in kept.items():
        (out / f"{name}.safetensors").write_bytes((work / f"step-{step:05}.safetensors").read_bytes())
    write_checksums(out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Makes data_small/time_machine.")
    parser.add_argument("--steps", type=int, default=3000, help="of training (3000)")
    parser.add_argument("--out", type=Path, default=Path("data_small/time_machine"), help="what is shipped")
    parser.add_argument("--work", type=Path, default=Path("/tmp/time_machine"), help="what is not")
    parser.add_argument("--quality", type=int, default=80, help="of the WebP pictures (80)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    run(args.steps, args.out, args.work, args.quality)


if __name__ == "__main__":
    main()
