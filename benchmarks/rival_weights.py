"""Figures of the rivals' shipped weights, on characters that no training showed.

    python benchmarks/rival_weights.py [x2face mocogan cmmnet sv2p] [--clips 20] [--films FOLDER]

X2Face: L1 over moving pixels, of repeating the source. SV2P: squared error of films from the prior (mean of five), of
repeating the first frame. CMM-Net: L1 of landmarks after the first frame (mode 0; mean and best of five), of keeping the
first frame's. MoCoGAN: mini-FID, and the amplitude of the joints that the pose estimator finds, as a share of the real
films'. With --films, a sheet of real and made frames each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from monkeynet_edu import baselines, metrics, viz
from monkeynet_edu.baselines import Rival
from monkeynet_edu.baselines.cmmnet import CMMNet
from monkeynet_edu.data.sprites import Clip, held_out_clips
from monkeynet_edu.data.video import to_frames, to_tensor, write_image
from monkeynet_edu.evaluators import evaluators_for
from monkeynet_edu.model import Device, pick_device
from monkeynet_edu.prediction import FRAMES, motion_amplitude

SEED = 5_000
FUTURES = 5
Figures = dict[str, float]


def x2face(rival: Rival, clips: Sequence[Clip], device: Device) -> Figures:
    """L1 over moving pixels."""
    found = baselines.measure(rival, clips, device).figures
    return {
        name: float(found[name].value or 0) for name in ("l1_moving", "l1_moving_repeat_source", "l1", "l1_repeat_source")
    }


def sv2p(rival: Rival, clips: Sequence[Clip], device: Device) -> Figures:
    """Squared errors after the first frame, over all frames and over those of a training window."""
    rows = []
    for clip in tqdm(clips, leave=False):
        video = to_tensor(clip.frames)
        films = rival.predict(video[0], len(video), device, FUTURES)
        made = (films[:, 1:] - video[1:]).square().mean(dim=(0, 2, 3, 4))  # (T - 1,)
        still = (video[:1] - video[1:]).square().mean(dim=(1, 2, 3))
        near = rival.config.frames - 1
        rows.append([float(x) for x in (made.mean(), still.mean(), made[:near].mean(), still[:near].mean())])
    names = ("l2", "l2_repeat_source", "l2_window", "l2_window_repeat_source")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def cmmnet(rival: Rival, clips: Sequence[Clip], device: Device) -> Figures:
    """L1 of landmarks, in units of [-1, 1], as the detector finds them in the real frames."""
    assert isinstance(rival, CMMNet)
    rows = []
    for clip in tqdm(clips, leave=False):
        real, seen = rival.detect(to_tensor(clip.frames))  # (T, J, 2), (T, J)
        made = rival.predict_landmarks(real[0], len(real), FUTURES)
        known = seen[1:, :, None].expand_as(real[1:])
        errors = torch.stack([(film[1:] - real[1:]).abs()[known].mean() for film in made])  # (futures,)
        still = (real[:1] - real[1:]).abs()[known].mean()
        rows.append([float(x) for x in (errors[0], errors.mean(), errors.min(), still)])
    names = ("landmarks_mode_0", "landmarks_mean", "landmarks_best_of_5", "landmarks_repeat_source")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def mocogan(rival: Rival, clips: Sequence[Clip], device: Device) -> Figures:
    """mini-FID and amplitude of joints."""
    data = next(name for name in baselines.RIVALS["mocogan"].shipped)
    networks = evaluators_for(data)
    assert networks.detector is not None
    amplitudes = []
    for clip in tqdm(clips, leave=False):
        video = to_tensor(clip.frames)[:FRAMES]
        pairs = [networks.detector(film) for film in (video, rival.predict(video[0], len(video), device)[0])]
        seen = torch.stack([points.found() for points in pairs]).flatten(0, 1).all(dim=0)
        amplitudes.append([float(motion_amplitude(points.position[None, :, seen] / 31.5 - 1)) for points in pairs])
    real, made = np.nanmean(amplitudes, axis=0)
    fid = baselines.measure(rival, clips, device, "prediction", networks).figures["fid"].value
    still = metrics.measure_films(lambda v: v[:1].expand_as(v), clips, device, "prediction", networks).figures["fid"].value
    return {"fid": float(fid or 0), "fid_repeat_source": float(still or 0), "amplitude": float(made / real)}


MEASURES: dict[str, Callable[[Rival, Sequence[Clip], Device], Figures]] = {
    "x2face": x2face,
    "mocogan": mocogan,
    "cmmnet": cmmnet,
    "sv2p": sv2p,
}


def made_film(rival: Rival, video: Tensor, device: Device) -> Tensor:
    """A clip remade, in the way that the rival can."""
    if "animate" in rival.tasks:
        return rival.animate(video[0], video, device)
    return rival.predict(video[0], len(video), device)[0]


def sheet(rival: Rival, clips: Sequence[Clip], device: Device, path: Path) -> None:
    """Every fourth frame: a row of real frames above a row of made ones, for each clip."""
    rows, labels = [], []
    for clip in clips:
        video = to_tensor(clip.frames)[:FRAMES]
        for label, film in (("real", video), ("made", made_film(rival, video, device))):
            rows.append([frame.repeat(2, 0).repeat(2, 1) for frame in to_frames(film[::4])])
            labels.append(label)
    write_image(path, viz.grid(rows, row_labels=labels))


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(MEASURES))
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--films", type=Path, default=None)
    parser.add_argument("--weights", type=Path, default=None, help="a file or run folder in place of the shipped one")
    chosen = parser.parse_args()
    device = pick_device("cpu")
    for name in chosen.names:
        for data in baselines.RIVALS[name].shipped:
            rival = baselines.load(chosen.weights) if chosen.weights else baselines.shipped(name, data)
            clips = held_out_clips(data, SEED, chosen.clips)
            found = MEASURES[name](rival, clips, device)
            print(f"{name}, {data}, {len(clips)} clips: " + ", ".join(f"{key} {value:.4f}" for key, value in found.items()))
            if chosen.films:
                sheet(rival, clips[:4], device, chosen.films / f"{name}-{data}.png")


if __name__ == "__main__":
    main()
