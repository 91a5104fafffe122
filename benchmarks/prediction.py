"""How well keypoints are predicted from a single picture, on characters that training never showed; makes the predictors.

    python benchmarks/prediction.py [--json] [NAME …]      prints the figures of the shipped predictors
    python benchmarks/prediction.py --train NAME …         makes the predictors of a miniature and their card again

Run the second after the weights of a miniature have changed (four minutes of one core). Keypoints are found once and kept
in ``runs/predictors``. Exits 1 where a bound is missed.

L1 is the mean over coordinates of keypoints (lattice units: 2 is the frame's width), over the frames after the first, then
over clips. Constants are medians over training windows, which no other constant beats under L1: the pose; the displacement
since the first frame; that displacement for each frame number, which is no constant any more and the hardest rival of
those that do not look at the picture. On mini-nemo even that one is at 0.95 of keeping the first frame: a neutral face does
not tell where the head will turn, so the bound there is for the best of five futures.

``start``: frames 1-32 of each clip; ``anywhere``: a random window, as in training.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from monkeynet_edu.alignment import fingerprint
from monkeynet_edu.data.datasets import MINIATURES
from monkeynet_edu.data.sprites import held_out_clips, training_clips
from monkeynet_edu.files import enter_checksum
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import MonkeyNet, pick_device
from monkeynet_edu.paths import weights_path
from monkeynet_edu.prediction import (
    FRAMES,
    Form,
    Predictor,
    PredictorConfig,
    PredictorRecipe,
    extract_cached,
    future_errors,
    keypoint_vector,
    random_windows,
    shipped_predictor,
    train_predictor,
    vector_covariances,
    vector_means,
)

CACHE = Path("runs") / "predictors"
TRAINING_CLIPS, TEST_CLIPS, FUTURES = 400, 80, 5
FORMS: tuple[Form, ...] = ("several", "single")
TURNING = ("mini-taichi", "mini-mgif")
"""Sets whose limbs turn. A part's covariance tells its direction: with that of the first frame forearms come off. Faces and
the robot mostly shift, and there the means come out better where nothing else is learned."""
Figures = dict[str, float]


@dataclass(frozen=True)
class Bound:
    """What a figure has to reach: name of the data set and of the figure, and the greatest value allowed."""

    data: str
    figure: str
    most: float


BOUNDS = (
    Bound("mini-nemo", "best_of_five / first", 0.7),
    Bound("mini-taichi", "single / best_constant", 1.0),
    Bound("mini-taichi", "best_of_five / best_constant", 0.8),
)
AMPLITUDE = (0.5, 1.5)


# ---------------------------------------------------------------------------------------------------------------- clips


def training_keypoints(name: str) -> list[Keypoints]:
    """Keypoints of the training clips, found by the shipped weights."""
    clips = training_clips(name, 0, TRAINING_CLIPS, frames=None)
    model = MonkeyNet.load(weights_path(name))
    return extract_cached(model, clips, f"{name}, seed 0", CACHE / f"{name}.keypoints.safetensors", pick_device("cpu"))


def test_keypoints(name: str) -> list[Keypoints]:
    """Keypoints of clips of unseen characters."""
    clips = held_out_clips(name, 1, TEST_CLIPS)
    model = MonkeyNet.load(weights_path(name))
    cache = CACHE / f"{name}.test-keypoints.safetensors"
    return extract_cached(model, clips, f"{name}, held out, seed 1", cache, pick_device("cpu"))


def windows(sequences: list[Keypoints], anywhere: bool) -> tuple[Tensor, Tensor]:
    """One window (B, 32, F) of each clip and its mask: its first frames, or frames from anywhere."""
    drawn = torch.Generator().manual_seed(5)
    vectors = [keypoint_vector(k, "factor") for k in sequences if len(k) >= 2]
    parts = [random_windows([v if anywhere else v[:FRAMES]], FRAMES, 1, drawn) for v in vectors]
    return torch.cat([batch for batch, _ in parts]), torch.cat([mask for _, mask in parts])


# ------------------------------------------------------------------------------------------------------------ measuring


def constants(train: list[Keypoints], first: Tensor) -> dict[str, Tensor]:
    """Predictions (B or 1, 31, 2K) of means without looking, for first frames (B, 1, 2K)."""
    drawn = torch.Generator().manual_seed(3)
    vectors = [keypoint_vector(k, "first") for k in train if len(k) >= 2]
    seen, mask = random_windows(vectors, FRAMES, 1500, drawn)
    moved, there = seen[:, 1:] - seen[:, :1], mask[:, 1:]
    each = [moved[there[:, t], t] if there[:, t].any() else moved[:1, 0] * 0 for t in range(FRAMES - 1)]
    by_frame = torch.stack([frame.median(dim=0).values for frame in each])
    length = FRAMES - 1
    return {
        "first": first.expand(-1, length, -1),
        "pose": seen[mask].median(dim=0).values.expand(len(first), length, -1),
        "displacement": (first + moved[there].median(dim=0).values).expand(-1, length, -1),
        "displacement_by_frame": first + by_frame,
    }


def over_frames(values: Tensor, mask: Tensor) -> float:
    """Mean of values (B, T) over the frames that are there, then over clips."""
    there = torch.where(mask, values, 0.0).sum(dim=1) / mask.sum(dim=1).clamp_min(1)
    return float(there[mask.any(dim=1)].mean())


def amplitude(means: Tensor, mask: Tensor) -> float:
    """Motion amplitude of means (B, T, K, 2) over the frames that are there."""
    return over_frames((means[:, 1:] - means[:, :1]).norm(dim=-1).mean(dim=-1), mask[:, 1:])


def roughness(means: Tensor, mask: Tensor) -> float:
    """Mean length of second differences in time: how much films tremble."""
    bend = (means[:, 2:] - 2 * means[:, 1:-1] + means[:, :-2]).norm(dim=-1).mean(dim=-1)
    return over_frames(bend, mask[:, 2:])


def films(predictor: Predictor, batch: Tensor, count: int) -> list[Keypoints]:
    """Futures (B, 32, K) of the first frames of windows (B, 32, F)."""
    k = predictor.config.keypoints
    first = Keypoints(vector_means(batch[:, 0], k), vector_covariances(batch[:, 0], k))
    return [predictor.predict(first, FRAMES, seed) for seed in range(count)]


def measure(name: str, train: list[Keypoints], test: list[Keypoints], anywhere: bool) -> Figures:
    """All figures of one data set."""
    several, single = shipped_predictor(name), shipped_predictor(name, "single")
    batch, mask = windows(test, anywhere)
    k = several.config.keypoints
    target, there = batch[:, 1:, : 2 * k], mask[:, 1:]
    rivals = constants(train, batch[:, :1, : 2 * k])
    figures = {f"l1_{n}": float(future_errors(p[:, None], target, there).mean()) for n, p in rivals.items()}
    best = min(figures.values())
    many, alone = films(several, batch, FUTURES), films(single, batch, 1)[0]
    errors = future_errors(torch.stack([f.mean[:, 1:].flatten(-2) for f in many], dim=1), target, there)
    one = float(future_errors(alone.mean[:, None, 1:].flatten(-2), target, there).mean())
    figures |= {"l1_best_constant": best, "l1_single": one, "l1_future": float(errors.mean())}
    figures["l1_best_of_five"] = five = float(errors.min(dim=1).values.mean())
    first = figures["l1_first"]
    figures |= {"single / first": one / first, "single / best_constant": one / best}
    figures |= {"best_of_five / first": five / first, "best_of_five / best_constant": five / best}
    real = vector_means(batch, k)
    sizes = [amplitude(f.mean, mask) / amplitude(real, mask) for f in many]
    figures |= {"amplitude": sum(sizes) / len(sizes), "amplitude_least": min(sizes), "amplitude_most": max(sizes)}
    figures["amplitude_single"] = amplitude(alone.mean, mask) / amplitude(real, mask)
    figures["roughness"] = sum(roughness(f.mean, mask) for f in many) / len(many) / roughness(real, mask)
    return figures | {"clips": len(batch), "frames": int(there.sum())}


def measure_both(name: str) -> dict[str, Figures]:
    """Figures from the first frames on, and from anywhere in the clips."""
    train, test = training_keypoints(name), test_keypoints(name)
    return {"start": measure(name, train, test, False), "anywhere": measure(name, train, test, True)}


def missed(found: dict[str, dict[str, Figures]]) -> list[str]:
    """What the bounds say against the figures from the first frames on."""
    said = [
        f"{b.data}: {b.figure} = {found[b.data]['start'][b.figure]:.2f}, expected at most {b.most}"
        for b in BOUNDS
        if b.data in found and found[b.data]["start"][b.figure] > b.most
    ]
    low, high = AMPLITUDE
    for name, figures in found.items():
        if not low <= figures["start"]["amplitude"] <= high:
            said.append(f"{name}: amplitude {figures['start']['amplitude']:.2f}, expected {low} to {high}")
    return said


# ------------------------------------------------------------------------------------------------------------- training


def shipped_config(name: str, form: Form) -> PredictorConfig:
    """Configuration of a shipped predictor."""
    return PredictorConfig(form=form, covariance="factor" if form == "single" or name in TURNING else "first")


def make(name: str) -> None:
    """Trains and writes both predictors of a miniature in half precision."""
    found = training_keypoints(name)
    known = fingerprint(MonkeyNet.load(weights_path(name)))
    for form in FORMS:
        made = train_predictor(found, shipped_config(name, form), PredictorRecipe(), known)
        if not made.finished:
            raise KeyboardInterrupt
        stem = name if form == "several" else f"{name}.single"
        file = weights_path(name).parent / f"{stem}.predictor.safetensors"
        made.predictor.save(file, torch.float16)
        enter_checksum(file)


def card(name: str, figures: dict[str, Figures]) -> str:
    """Text of the predictors' card."""
    sizes = {form: sum(p.numel() for p in shipped_predictor(name, form).parameters()) for form in FORMS}
    rows = "\n".join(
        f"| `{key}` | {figures['start'][key]:.4g} | {figures['anywhere'][key]:.4g} |" for key in figures["start"]
    )
    return f"""# Model card: predictors of {name}

Two LSTMs that read the keypoints of one picture and predict those of the next 31 frames, for the weights
`{name}.safetensors`; for learning and for trying the library. Licence: MIT, as the code.

- `{name}.predictor.safetensors`: several futures, chosen by a seed ({sizes["several"]:,} parameters); what `predict` uses.
  Covariances: {"predicted as AᵀA" if name in TURNING else "those of the first frame are kept"}.
- `{name}.single.predictor.safetensors`: the paper's deterministic form ({sizes["single"]:,} parameters), covariances
  predicted as AᵀA. Its films move less: the one answer with the least L1 lies in the middle of all that may happen.
- Command: `python benchmarks/prediction.py --train {name}` (seed 0; {TRAINING_CLIPS} generated clips, characters with even
  numbers; {PredictorRecipe().steps} steps of {PredictorRecipe().batch_size} windows). They know nothing but such sprites.

Figures on {figures["start"]["clips"]} clips of characters that training never showed, by
`python benchmarks/prediction.py {name}` (its first lines say what the figures are). L1 in lattice units; amplitude and
roughness are shares of the real ones.

| figure | from frame 1 | from anywhere |
|---|---|---|
{rows}
"""


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measures, or makes, the predictors of the miniatures.")
    parser.add_argument("names", nargs="*", default=[], metavar="NAME", help="miniatures; all four where none is given")
    parser.add_argument("--train", action="store_true", help="make the predictors and their cards again")
    parser.add_argument("--cards", action="store_true", help="write the cards from what is measured")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MINIATURES)
    if unknown:
        parser.error(f"expected some of {', '.join(MINIATURES)}, got {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    found: dict[str, dict[str, Figures]] = {}
    for name in arguments.names or MINIATURES:
        if arguments.train:
            make(name)
        found[name] = measure_both(name)
        if arguments.train or arguments.cards:
            (weights_path(name).parent / f"{name}.predictor.md").write_text(card(name, found[name]), "utf-8")
    said = missed(found)
    if arguments.json:
        print(json.dumps(found | {"missed": said}, indent=2))
    else:
        for name, figures in found.items():
            print(f"\n{name:32}{'start':>10}{'anywhere':>10}")
            for key, value in figures["start"].items():
                print(f"  {key:30}{value:10.4g}{figures['anywhere'][key]:10.4g}")
        print("", *(f"missed: {text}" for text in said), sep="\n")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
