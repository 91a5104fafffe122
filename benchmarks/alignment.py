"""How well the alignment gate and the domain score do, against the sprites' truth.

    python benchmarks/alignment.py [--pairs 60] [--photos FOLDER …]   prints the figures (two minutes)
    python benchmarks/alignment.py --domains                          makes the files of the shipped weights' domains

Everything is drawn from characters that training never showed.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from monkeynet_edu.alignment import Alignment, Domain, align, domain_path, fit_score
from monkeynet_edu.animation import Transfer, detect_clip, draw, transfer_keypoints
from monkeynet_edu.data.datasets import MINIATURES, Clip, ClipFolder
from monkeynet_edu.data.sprites import held_out_clips, make_scene, render, training_clips
from monkeynet_edu.data.video import CLIP_SUFFIXES, fit, read_image, to_tensor
from monkeynet_edu.files import enter_checksum
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import Device, MonkeyNet
from monkeynet_edu.paths import data_set_path, weights_path

CPU = Device(torch.device("cpu"), "float32")
SEED = 77
NO_FIT_PIXELS = 3.0
"""True mean distance of joints (place left out) above which frame 1 does not fit: 5 % of the frame."""


def auroc(low: npt.ArrayLike, high: npt.ArrayLike) -> float:
    """Probability that a score of ``high`` is above one of ``low`` (ties count half)."""
    a, b = np.asarray(low)[:, None], np.asarray(high)[None]
    return float((b > a).mean() + 0.5 * (a == b).mean())


def pixels(joints: Tensor, others: Tensor, size: int = 64) -> Tensor:
    """Mean distance (…) of joints (…, J, 2) in pixels, the place of the figure left out."""
    a, b = (j - j.mean(dim=-2, keepdim=True) for j in (joints, others))
    apart: Tensor = (a - b).norm(dim=-1).mean(dim=-1) * (size - 1) / 2
    return apart


def joints_of(clip: Clip) -> Tensor:
    """True joints (T, J, 2)."""
    assert clip.truth is not None
    return torch.from_numpy(clip.truth.joints)


# ------------------------------------------------------------------------------------------------------------ fit score


def fit_auroc(model: MonkeyNet, count: int = 600) -> tuple[float, float]:
    """AUROC of the fit score for pairs of the nearest against the farthest quarter, and its rank correlation."""
    clips = held_out_clips("mini-taichi", SEED, 24)
    found = [detect_clip(model, to_tensor(clip.frames), CPU) for clip in clips]
    joints = [joints_of(clip) for clip in clips]
    rng = random.Random(0)
    truth, scores = [], []
    for _ in range(count):
        a, b = rng.sample(range(len(clips)), 2)
        s, t = rng.randrange(len(found[a])), rng.randrange(len(found[b]))
        truth.append(float(pixels(joints[a][s], joints[b][t])))
        scores.append(float(fit_score(found[a][s : s + 1], found[b][t : t + 1])))
    true, score = np.array(truth), np.array(scores)
    low, high = np.quantile(true, [0.25, 0.75])
    rank = np.corrcoef(true.argsort().argsort(), score.argsort().argsort())[0, 1]
    return auroc(score[true <= low], score[true >= high]), float(rank)


# ------------------------------------------------------------------------------------------------------------ reference


class JointReader:
    """Joints from keypoints by ridge regression, learned on training characters."""

    def __init__(self, model: MonkeyNet) -> None:
        self.model = model
        clips = training_clips("mini-taichi", 5, clips=80)
        x = torch.cat([self._inputs(detect_clip(model, to_tensor(clip.frames), CPU)) for clip in clips])
        y = torch.cat([joints_of(clip) for clip in clips]).flatten(1).double()
        self.weights = torch.linalg.solve(x.T @ x + 0.01 * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)

    @staticmethod
    def _inputs(found: Keypoints) -> Tensor:
        return torch.cat([found.mean.flatten(1), torch.ones(len(found), 1)], dim=1).double()

    def __call__(self, found: Keypoints) -> Tensor:
        """Joints (T, J, 2) of keypoints (T, K)."""
        joints: Tensor = (self._inputs(found) @ self.weights).view(len(found), -1, 2).float()
        return joints

    def akd(self, animation: Tensor, wanted: Tensor) -> tuple[float, float]:
        """Mean distance in pixels of the joints in an animation from the true ones, with and without the figure's place."""
        joints = self(detect_clip(self.model, animation, CPU))
        return float((joints - wanted).norm(dim=-1).mean() * 31.5), float(pixels(joints, wanted).mean())


@dataclass(frozen=True)
class Trial:
    """One animation from frame 1 and one from the frame chosen: AKD in pixels, with and without the figure's place."""

    first_pose: float
    alignment: Alignment
    first: tuple[float, float]
    chosen: tuple[float, float]


def trials(model: MonkeyNet, count: int) -> list[Trial]:
    """Animates frames out of mid-movement with films of others; truth: the same character doing the film's movement."""
    read = JointReader(model)
    seeds = held_out_clips("mini-taichi", SEED, 24).seeds
    rng = random.Random(1)
    done = []
    for _ in range(count):
        (identity, own), (other, motion) = rng.sample(seeds, 2)
        still = make_scene("mini-taichi", identity, own)
        source = render(still, [rng.randrange(still.length)])
        scene = make_scene("mini-taichi", other, motion)
        frames = list(range(0, scene.length, 2))
        film, target = render(scene, frames), render(make_scene("mini-taichi", identity, motion), frames)
        image = to_tensor(source.frames)
        seen, driving = detect_clip(model, image, CPU), detect_clip(model, to_tensor(film.frames), CPU)
        some = torch.tensor(sorted({round(float(t)) for t in torch.linspace(0, len(frames) - 1, 10)}))
        wanted = torch.from_numpy(target.truth.joints)[some]
        found = align(seen, driving)
        begins = pixels(torch.from_numpy(source.truth.joints), torch.from_numpy(film.truth.joints[:1]))
        results = []
        for reference in (0, found.reference):
            moved = transfer_keypoints(seen, driving, Transfer("relative", reference))[some]
            made = torch.cat([drawn.prediction for drawn in draw(model, image, seen, moved, CPU)])
            results.append(read.akd(made, wanted))
        done.append(Trial(float(begins), found, results[0], results[1]))
    return done


def say_trials(done: Sequence[Trial]) -> None:
    """Share of pairs that the choice helps, and the AKD behind each verdict."""
    unfit = [trial for trial in done if trial.first_pose > NO_FIT_PIXELS]
    print(f"frame 1 does not fit (joints > {NO_FIT_PIXELS:g} px apart): {len(unfit)} of {len(done)} pairs")
    for which, name in enumerate(("AKD", "AKD, place left out")):
        wins = np.mean([trial.chosen[which] < trial.first[which] for trial in unfit])
        first, chosen = (np.mean([getattr(t, side)[which] for t in unfit]) for side in ("first", "chosen"))
        print(f"  {name}: lower from the chosen frame in {wins:.0%} of them; {first:.2f} px from frame 1, {chosen:.2f} px")
    for verdict in ("good", "fair", "poor"):
        values = [t.chosen[1] for t in done if t.alignment.verdict == verdict]
        if values:
            print(f"  verdict {verdict}: {len(values)} pairs, AKD (place left out) {np.mean(values):.2f} px")


# --------------------------------------------------------------------------------------------------------------- domain


def make_domain(name: str, model: MonkeyNet) -> Domain:
    """The domain of a shipped model, from pictures of 200 training characters."""
    return Domain.of(model, training_clips(name, clips=200, frames=1))


def pictures(size: int, folders: Sequence[Path]) -> dict[str, Tensor]:
    """Three frames of each shipped test clip, by set, and the pictures and clips of the folders (a frame of each)."""
    found = {}
    for name in MINIATURES:
        clips = ClipFolder(data_set_path(name), "test", size=size)
        found[name] = torch.cat([to_tensor(c.frames[[0, len(c.frames) // 3, -1]]) for c in clips])
    for folder in folders:
        files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in CLIP_SUFFIXES)
        found[folder.name] = to_tensor(np.concatenate([fit(read_image(f), size)[None] for f in files]))
    return found


def say_domains(folders: Sequence[Path]) -> None:
    """AUROC of each model's own held-out pictures against others, and what its limit lets through."""
    shown = pictures(64, folders)
    for name in MINIATURES:
        model = MonkeyNet.load(weights_path(name))
        domain = Domain.load(domain_path(weights_path(name)), model)
        scores = {kind: domain.scores(model, frames).numpy() for kind, frames in shown.items()}
        own = scores.pop(name)
        others = ", ".join(f"{kind} {auroc(own, s):.3f} ({(s > 1).mean():.0%})" for kind, s in scores.items())
        print(f"domain of {name}: own accepted {(own <= 1).mean():.0%}; AUROC (refused) {others}")


def main() -> None:
    """See the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--domains", action="store_true")
    wanted = parser.parse_args()
    torch.manual_seed(0)
    if wanted.domains:
        for name in MINIATURES:
            weights = weights_path(name)
            make_domain(name, MonkeyNet.load(weights)).save(domain_path(weights))
            enter_checksum(domain_path(weights))
            print(domain_path(weights))
        return
    model = MonkeyNet.load(weights_path("mini-taichi"))
    area, rank = fit_auroc(model)
    print(f"fit score, nearest against farthest quarter of true joints: AUROC {area:.3f}, rank correlation {rank:.2f}")
    say_domains(wanted.photos)
    say_trials(trials(model, wanted.pairs))


if __name__ == "__main__":
    main()
