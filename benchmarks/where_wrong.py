"""Where a model's frames are wrong: on what the source shows, or on what it hides; and which parts its flow misses.

    python benchmarks/where_wrong.py [--data mini-taichi …] [--model FILE]

Measures the shipped weights (or FILE) on 24 characters that neither training nor the shipped clips show. First table: L1
over moving pixels as shares of what a still source gets over all of them, split by what lies there: material that the
source shows, background that was hidden in it, parts that were; for the still source, the source read through the *true*
flow, the deformed frame and G's frame. The error of the true flow is what sampling alone and hidden material cost. Second:
the error of the flow as a share of that of no motion, part by part, those of most pixels first.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict

import torch
from recipe import characters, keypoints_of, material

from monkeynet_edu import paths
from monkeynet_edu.data.sprites import SETS, Clip
from monkeynet_edu.geometry import lattice, warp
from monkeynet_edu.metrics.pixels import model_flow
from monkeynet_edu.model import MonkeyNet

KINDS = ("shown in the source", "background hidden in it", "parts hidden in it")
FRAMES = ("still source", "true flow", "deformed frame", "G's frame")
WIDEST = 12  # parts that are listed


@torch.no_grad()
def measure(model: MonkeyNet, clip: Clip, gaps: dict[tuple[str, str], float], parts: dict[str, list[float]]) -> None:
    """Adds a clip's sums: L1 by kind and frame, and for each part pixels, error of the flow and length of the true flow."""
    assert clip.truth is not None
    video, truth, source = material(clip)
    drawn = model(source, *keypoints_of(model, video))
    flow = model_flow(model, drawn.motion.deformation, *video.shape[-2:])
    names = ("background", *clip.truth.part_names)
    for i, frame in enumerate(video[1:]):
        true_flow, seen = (torch.from_numpy(x) for x in clip.truth.flow(i + 1, 0))
        truly_deformed = warp(source[:1], (lattice(*seen.shape) + true_flow)[None])[0]
        shown = (source[0], truly_deformed, drawn.deformed[i], drawn.prediction[i])
        moving, labels = truth.moving[i], torch.from_numpy(clip.truth.labels[i + 1].astype("int64"))
        kinds = (moving & seen, moving & ~seen & (labels == 0), moving & ~seen & (labels > 0))
        for kind, mask in zip(KINDS, kinds, strict=True):
            for name, image in zip(FRAMES, shown, strict=True):
                gaps[kind, name] += float(((image - frame).abs().mean(dim=0) * mask).sum())
        wrong, true = (flow[i] - truth.flow[i]).norm(dim=-1), truth.flow[i].norm(dim=-1)
        for label in labels[truth.displaced[i]].unique().tolist():
            here = truth.displaced[i] & (labels == label)
            for k, value in enumerate((here.sum(), wrong[here].sum(), true[here].sum())):
                parts[names[label]][k] += float(value)


def tables(data: str, model: MonkeyNet) -> str:
    """Both tables of a data set, in Markdown."""
    gaps: dict[tuple[str, str], float] = defaultdict(float)
    parts: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for clip in characters(data):
        measure(model, clip, gaps, parts)
    whole = sum(gaps[kind, FRAMES[0]] for kind in KINDS)
    rows = [(kind, [gaps[kind, name] / whole for name in FRAMES]) for kind in KINDS]
    rows.append(("all", [sum(column) for column in zip(*(row for _, row in rows), strict=True)]))
    lines = [f"| {data}: moving pixels | {' | '.join(FRAMES)} |", "|---|---|---|---|---|"]
    lines += [f"| {kind} | {' | '.join(f'{share:.2f}' for share in row)} |" for kind, row in rows]
    widest = sorted(parts.items(), key=lambda item: -item[1][0])[:WIDEST]
    listed = ", ".join(f"{name} {wrong / still:.2f}" for name, (_, wrong, still) in widest)
    return "\n".join([*lines, "", f"{data}: flow of the widest parts: {listed}", ""])


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Where a model's frames are wrong.")
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--model", help="weights to measure (default: the shipped ones)")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    for data in wanted.data:
        print(tables(data, MonkeyNet.load(wanted.model or paths.weights_path(data)).eval()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
