"""Trains and measures the shipped evaluators: pose estimators, identity embedder, features of the mini-FID.

    python benchmarks/train_evaluators.py [--set NAME] [--stage pose|identity|features]   makes the files again
    python benchmarks/train_evaluators.py --measure [--set NAME] [--clips 100]            prints all figures as JSON

Everything is trained on characters with even numbers (seed 9: not those of Monkey-Net's own training) and measured on odd
ones. Frames are spoilt in training as generated ones are: blurred, noisy, compressed, with limbs missing or faded; a joint
whose limb is gone counts as not visible. Made with one thread; another number, or another machine, gives other weights.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from tqdm.auto import tqdm

from monkeynet_edu import evaluators
from monkeynet_edu.data.datasets import MINIATURES
from monkeynet_edu.data.sprites import Scene, held_out_clips, make_scene, render, training_clips
from monkeynet_edu.data.sprites.engine import Array
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.evaluators import EmbedderConfig, IdentityEmbedder, MiniFeatures, PoseConfig, PoseEstimator
from monkeynet_edu.files import enter_checksum
from monkeynet_edu.model import pick_device
from monkeynet_edu.paths import data_small

SEED = 9
CLIPS, FRAMES = 500, 12
POSE_STEPS = {"mini-taichi": 1200, "mini-nemo": 1200, "mini-bair": 1000, "mini-mgif": 700}
IDENTITY_STEPS, FEATURE_STEPS = 1100, 1000
PAIRS = {"mini-taichi": 20, "mini-nemo": 10, "mini-bair": 10, "mini-mgif": 10}
WIDTHS = {"mini-taichi": (24, 48, 64, 64)}
BATCH = 32
MOST_JOINTS = 14


# ----------------------------------------------------------------------------------------------------------------- data


@dataclass(frozen=True)
class Samples:
    """Training frames of a miniature, with the truth.

    Attributes:
        frames: (N, 3, H, W) uint8.
        backgrounds: (C, 3, H, W) uint8, the empty place of each clip.
        clip: (N,) which clip a frame is of; a clip has a character of its own.
        joints: (N, J, 2) in pixels.
        visible: (N, J).
        figure: (N, H, W) bool, what is not background.
    """

    frames: Tensor
    backgrounds: Tensor
    clip: Tensor
    joints: Tensor
    visible: Tensor
    figure: Tensor

    def batch(self, index: Tensor) -> Batch:
        """Some of the frames, as float."""
        return Batch(
            self.frames[index].float() / 255,
            self.backgrounds[self.clip[index]].float() / 255,
            self.joints[index],
            self.visible[index].float(),
            torch.ones(self.visible[index].shape),
            self.figure[index],
        )


@dataclass(frozen=True)
class Batch:
    """Frames (B, 3, H, W) in [0, 1] that are being spoilt, and what is true about them.

    Attributes:
        frames: pictures.
        backgrounds: their empty places.
        joints: (B, J, 2) pixels.
        visible: (B, J) 0 or 1.
        sure: (B, J) 0 where a limb is half faded, so that nobody can say whether it is to be seen.
        figure: (B, H, W) bool.
    """

    frames: Tensor
    backgrounds: Tensor
    joints: Tensor
    visible: Tensor
    sure: Tensor
    figure: Tensor


@dataclass(frozen=True)
class Absent:
    """A shape without a point: what takes a limb away."""

    def distance(self, u: Array, v: Array) -> Array:
        """Outside everywhere."""
        return np.ones(np.broadcast_shapes(u.shape, v.shape), dtype=np.float32)

    def extent(self) -> tuple[float, float, float, float]:
        """A point's."""
        return 0.0, 0.0, 0.01, 0.01


def without_limbs(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene without the parts on which one to three joints are seen; what carries many joints (a face) stays."""
    seen = [set(joint.seen_on or (joint.part,)) for joint in scene.joints]
    shared = {part.name for part in scene.parts if sum(part.name in names for names in seen) > 3}
    chosen = rng.choice(len(seen), size=rng.integers(1, 4), replace=False)
    gone = set.union(*(seen[int(j)] for j in chosen)) - shared
    return replace(scene, parts=tuple(replace(p, shape=Absent()) if p.name in gone else p for p in scene.parts))


@cache
def training_samples(name: str) -> Samples:
    """Frames of training characters; drawn once and kept in the folder of temporary files."""
    kept = Path(tempfile.gettempdir()) / f"monkeynet-evaluators-{name}-{SEED}-{CLIPS}x{FRAMES}.pt"
    if not kept.exists():
        part = kept.with_suffix(f".{os.getpid()}")
        torch.save(vars(drawn_samples(name)), part)
        os.replace(part, kept)
    return Samples(**torch.load(kept, weights_only=True))


def drawn_samples(name: str) -> Samples:
    """Draws frames of training characters, a quarter of them without some limbs."""
    rows: dict[str, list[np.ndarray]] = {key: [] for key in Samples.__dataclass_fields__}
    seeds = training_clips(name, SEED, CLIPS).seeds
    for number, (identity, motion) in enumerate(tqdm(seeds, desc=f"drawing {name}", leave=False)):
        rng = np.random.default_rng([identity, motion])
        scene = make_scene(name, identity, motion)
        order = rng.permutation(scene.length)[:FRAMES]
        cut = len(order) * 3 // 4
        rows["backgrounds"].append(np.round(scene.background[None] * 255).astype(np.uint8).transpose(0, 3, 1, 2))
        for part, chosen in ((scene, order[:cut]), (without_limbs(scene, rng), order[cut:])):
            drawn = render(part, chosen)
            rows["frames"].append(drawn.frames.transpose(0, 3, 1, 2))
            rows["joints"].append((drawn.truth.joints + 1) * (scene.size - 1) / 2)
            rows["visible"].append(drawn.truth.visible)
            rows["figure"].append(drawn.truth.labels > 0)
            rows["clip"].append(np.full(len(chosen), number))
    return Samples(**{key: torch.from_numpy(np.concatenate(value)) for key, value in rows.items()})


# ------------------------------------------------------------------------------------------------------------- spoiling


def uniform(shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """Random numbers in a range."""
    return low + (high - low) * torch.rand(shape)


def discs(joints: Tensor, radius: Tensor, side: int) -> Tensor:
    """Soft discs (B, J, H, W), 1 inside, about joints (B, J, 2) in pixels; radius (B, J), 0 for none."""
    line = torch.arange(side, dtype=torch.float32)
    x, y = (joints[..., i, None] for i in (0, 1))
    squared = (line - x).square()[..., None, :] + (line - y).square()[..., :, None]
    return (radius[..., None, None] - squared.sqrt() + 0.5).clamp(0, 1)


def at_joints(maps: Tensor, joints: Tensor) -> Tensor:
    """Values (B, J) of maps (B, H, W) at joints (B, J, 2) in pixels, mean of 3x3 neighbours."""
    place = joints / (maps.shape[-1] - 1) * 2 - 1
    smooth = F.avg_pool2d(maps[:, None], 3, 1, 1, count_include_pad=False)
    return F.grid_sample(smooth, place[:, :, None], padding_mode="border", align_corners=True)[:, 0, :, 0]


def lose_limbs(batch: Batch, share: float = 0.5, strengths: tuple[float, float] = (0.4, 1.4)) -> Batch:
    """Paints background over one to three joints of a share of the frames; sometimes only half, as a faded limb."""
    size, joints = batch.visible.shape
    chosen = torch.rand(size, joints).argsort(dim=1)[:, :3]
    wanted = (torch.arange(3) < torch.randint(1, 4, (size, 1))) & (torch.rand(size, 1) < share)
    radius = uniform((size, 3), 3, 9) * wanted
    middle = batch.joints.gather(1, chosen[..., None].expand(-1, -1, 2))
    middle = middle + torch.randn(size, 3, 2) * 0.35 * radius[..., None]
    hole = (discs(middle, radius, batch.frames.shape[-1]) * wanted[..., None, None]).amax(dim=1)
    hole = hole * uniform((size, 1, 1), *strengths).clamp(0, 1)
    frames = torch.lerp(batch.frames, batch.backgrounds, hole[:, None])
    gone = at_joints(hole, batch.joints)
    sure = batch.sure * ((gone < 0.35) | (gone > 0.7) | (batch.visible == 0))
    return replace(batch, frames=frames, visible=batch.visible * (gone < 0.5), sure=sure)


def move(batch: Batch) -> Batch:
    """Shifts, turns and scales the frames a little; joints that leave the frame are no longer visible."""
    size, side = len(batch.frames), batch.frames.shape[-1]
    angle, scale, shift = uniform((size,), -0.2, 0.2), uniform((size,), 0.85, 1.15), uniform((size, 2), -0.15, 0.15)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(size, 2, 2) * scale[:, None, None]
    grid = F.affine_grid(torch.cat([turn, shift[..., None]], dim=2), list(batch.frames.shape), align_corners=True)
    frames = F.grid_sample(batch.frames, grid, padding_mode="border", align_corners=True)
    place = batch.joints / (side - 1) * 2 - 1 - shift[:, None]
    joints = (place @ torch.linalg.inv(turn).mT + 1) / 2 * (side - 1)
    inside = ((joints >= -0.5) & (joints <= side - 0.5)).all(dim=-1)
    return replace(batch, frames=frames, joints=joints, visible=batch.visible * inside)


def blurred(frames: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of frames (B, 3, H, W), of each by its own standard deviation (B,) in pixels."""
    line = torch.arange(-4, 5, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (line / sigma.clamp_min(1e-3)[:, None]).square())
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)  # (3B, 9)
    x = F.pad(frames.flatten(0, 1)[None], (4, 4, 4, 4), mode="replicate")
    x = F.conv2d(x, kernel[:, None, None, :], groups=len(kernel))
    return F.conv2d(x, kernel[:, None, :, None], groups=len(kernel)).view_as(frames)


def compressed(frames: Tensor, share: float) -> Tensor:
    """Saves a share of the frames as JPEG of a random quality and reads them again."""
    out = frames.clone()
    for i in torch.nonzero(torch.rand(len(frames)) < share).flatten().tolist():
        file = io.BytesIO()
        pixels = (frames[i].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(torch.randint(35, 95, ())))
        out[i] = to_tensor(np.array(Image.open(file))[None])[0]
    return out


def degraded(frames: Tensor, colours: float = 0.12) -> Tensor:
    """Frames as cameras, codecs and generators leave them: other light, blur, noise, compression."""
    size = len(frames)
    gain = uniform((size, 3, 1, 1), 1 - colours, 1 + colours) * uniform((size, 1, 1, 1), 1 - colours, 1 + colours)
    frames = blurred(frames * gain, uniform((size,), -1.2, 1.6).clamp_min(0))
    frames = frames + torch.randn_like(frames) * uniform((size, 1, 1, 1), -0.04, 0.04).clamp_min(0)
    return compressed(frames.clamp(0, 1), 0.15)


# ------------------------------------------------------------------------------------------------------------- training


def indices(count: int, steps: int, batch: int) -> Iterator[Tensor]:
    """Random numbers of frames, every frame once before any comes again."""
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(count)])
        yield order[:batch]
        order = order[batch:]


@dataclass
class Optimiser:
    """AdamW with a one-cycle learning rate."""

    parameters: list[nn.Parameter]
    steps: int
    rate: float = 2e-3

    def __post_init__(self) -> None:
        """Builds torch's objects."""
        self.adam = torch.optim.AdamW(self.parameters, lr=self.rate, weight_decay=0.02)
        self.cycle = torch.optim.lr_scheduler.OneCycleLR(self.adam, self.rate, total_steps=self.steps, pct_start=0.15)

    def step(self, loss: Tensor) -> float:
        """One step down the loss."""
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.cycle.step()
        return float(loss.detach())


def pose_loss(estimator: PoseEstimator, batch: Batch) -> Tensor:
    """Cross entropy of the heatmaps against Gaussians of one cell, and of the confidences."""
    with pick_device("cpu").autocast():
        place, seen = estimator.maps(batch.frames)
    side = place.shape[-1]
    line = torch.arange(side, dtype=torch.float32)
    cells = (batch.joints + 0.5) / 2 - 0.5
    x, y = (-0.5 * (line - cells[..., i, None]).square() for i in (0, 1))
    target = (x[..., None, :] + y[..., :, None]).flatten(2).softmax(dim=-1)
    entropy = -(target * place.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
    weight = batch.visible * batch.sure
    unsure = F.binary_cross_entropy_with_logits(seen, batch.visible, reduction="none") * batch.sure
    return (entropy * weight).sum() / weight.sum().clamp_min(1) + 2 * unsure.mean()


def train_pose(name: str) -> None:
    """One miniature's pose estimator."""
    torch.manual_seed(SEED)
    samples = named(training_samples(name), name)
    estimator = PoseEstimator(PoseConfig(name, joint_names(name), WIDTHS.get(name, PoseConfig.widths)))
    estimator = estimator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = POSE_STEPS[name]
    optimiser, began = Optimiser(list(estimator.parameters()), steps), time.monotonic()
    bar = tqdm(indices(len(samples.frames), steps, BATCH), total=steps, desc=f"pose {name}", mininterval=5)
    for index in bar:
        batch = move(lose_limbs(samples.batch(index)))
        batch = replace(batch, frames=degraded(batch.frames))
        bar.set_postfix(loss=round(optimiser.step(pose_loss(estimator, batch)), 3), refresh=False)
    estimator.eval().save(weights_file(f"pose-{name}"))
    enter_checksum(weights_file(f"pose-{name}"))
    print(f"pose {name}: {steps} steps, {(time.monotonic() - began) / 60:.1f} minutes")


def elsewhere(batch: Batch, backgrounds: Tensor, share: float) -> Batch:
    """Puts a share of the figures before other characters' backgrounds (B, 3, H, W)."""
    swapped = batch.figure | (torch.rand(len(batch.frames), 1, 1) >= share)
    return replace(batch, frames=torch.where(swapped[:, None], batch.frames, backgrounds))


def mixed_batches(steps: int, names: tuple[str, ...] = MINIATURES) -> Iterator[list[tuple[str, Tensor]]]:
    """Numbers of a quarter of a batch of frames of each miniature."""
    streams = [indices(len(training_samples(n).frames), steps, 64 // len(names)) for n in names]
    for parts in zip(*streams, strict=True):
        yield list(zip(names, parts, strict=True))


def twice(samples: Samples, characters: int) -> Batch:
    """Two frames of each of some characters: all of them once, then all once more."""
    who = torch.randperm(len(samples.backgrounds))[:characters]
    starts, counts = torch.searchsorted(samples.clip, who), torch.bincount(samples.clip)[who]
    return samples.batch(torch.cat([starts + (torch.rand(characters) * counts).long() for _ in range(2)]))


def contrastive_loss(vectors: Tensor, temperature: float = 0.1) -> Tensor:
    """Unit vectors (2B, D), two of each character, B apart: its other one has to be the nearest of all (NT-Xent)."""
    likeness = (vectors @ vectors.T / temperature).fill_diagonal_(-torch.inf)
    partner = torch.arange(len(vectors)).roll(len(vectors) // 2)
    return F.cross_entropy(likeness, partner)


def train_identity() -> None:
    """The embedder of all miniatures: two views of many characters, most of them before another's background."""
    torch.manual_seed(SEED)
    embedder = IdentityEmbedder(EmbedderConfig())
    optimiser, began = Optimiser(list(embedder.parameters()), IDENTITY_STEPS), time.monotonic()
    bar = tqdm(range(IDENTITY_STEPS), desc="identity", mininterval=5)
    for _ in bar:
        views: list[list[Tensor]] = [[], []]
        for name in MINIATURES:
            samples = training_samples(name)
            batch = twice(samples, PAIRS[name])
            others = samples.backgrounds[torch.randint(len(samples.backgrounds), (len(batch.frames),))].float() / 255
            for view, frames in zip(views, move(elsewhere(batch, others, 0.5)).frames.chunk(2), strict=True):
                view.append(frames)
        frames = torch.cat([*views[0], *views[1]])
        with pick_device("cpu").autocast():
            vectors = embedder.embed(degraded(frames, 0.05))
        loss = contrastive_loss(vectors)
        bar.set_postfix(loss=round(optimiser.step(loss), 3), refresh=False)
    embedder.eval().save(weights_file("identity"))
    enter_checksum(weights_file("identity"))
    print(f"identity: {IDENTITY_STEPS} steps, {(time.monotonic() - began) / 60:.1f} minutes")


def recoloured(batch: Batch, amount: Tensor) -> Batch:
    """Mixes the figures' colour channels anew, by an amount (B,) from 0 to 1."""
    size = len(amount)
    mix = torch.eye(3)[torch.stack([torch.randperm(3) for _ in range(size)])]
    other = torch.einsum("bij,bjhw->bihw", mix, batch.frames) * uniform((size, 3, 1, 1), 0.6, 1.4)
    share = amount[:, None, None, None] * batch.figure[:, None]
    return replace(batch, frames=torch.lerp(batch.frames, other, share).clamp(0, 1))


class FeatureHeads(nn.Module):
    """What the features have to tell, each by a linear map; needed for training alone."""

    THUMBNAIL = 12

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.thumbnail = nn.Linear(dimension, 3 * self.THUMBNAIL**2)
        self.figure = nn.Linear(dimension, 6)
        self.damage = nn.Linear(dimension, 3)
        self.visible = nn.Linear(dimension, MOST_JOINTS * len(MINIATURES))

    def loss(self, features: Tensor, batch: Batch, damage: Tensor, sets: Tensor) -> Tensor:
        """Errors of all maps, weighted to be of one order."""
        small = F.adaptive_avg_pool2d(batch.frames, self.THUMBNAIL).flatten(1)
        colours = self._colours(batch)
        rows = self.visible(features).view(len(features), len(MINIATURES), MOST_JOINTS)
        seen = rows[torch.arange(len(features)), sets]
        missed = F.binary_cross_entropy_with_logits(seen, batch.visible, reduction="none") * batch.sure
        return (
            20 * (self.thumbnail(features) - small).square().mean()
            + 20 * (self.figure(features) - colours).square().mean()
            + 3 * (self.damage(features) - damage).square().mean()
            + 4 * missed.sum() / batch.sure.sum()
        )

    @staticmethod
    def _colours(batch: Batch) -> Tensor:
        """Mean and deviation (B, 6) of the figure's colours."""
        mask = batch.figure[:, None].float()
        count = mask.sum(dim=(2, 3)).clamp_min(1)
        mean = (batch.frames * mask).sum(dim=(2, 3)) / count
        spread = ((batch.frames - mean[..., None, None]).square() * mask).sum(dim=(2, 3)) / count
        return torch.cat([mean, spread.sqrt()], dim=1)


def padded(batch: Batch) -> Batch:
    """The same with columns for as many joints as any miniature has, never sure."""
    more = MOST_JOINTS - batch.visible.shape[1]
    joints = F.pad(batch.joints, (0, 0, 0, more))
    return replace(batch, joints=joints, visible=F.pad(batch.visible, (0, more)), sure=F.pad(batch.sure, (0, more)))


def joined(parts: list[Batch]) -> Batch:
    """One batch of several."""
    return Batch(**{key: torch.cat([getattr(part, key) for part in parts]) for key in Batch.__dataclass_fields__})


@dataclass(frozen=True)
class Spoilt:
    """Frames (B, 3, H, W) spoilt in all ways, the truth about them, by how much (B, 3), and their miniatures (B,)."""

    frames: Tensor
    batch: Batch
    damage: Tensor
    sets: Tensor


def spoilt(parts: list[tuple[str, Tensor]]) -> Spoilt:
    """Each kind of damage is done to about half of the frames, whatever else was done to them."""
    batch = joined([padded(lose_limbs(training_samples(name).batch(index), 0.4, (1, 1))) for name, index in parts])
    sets = torch.cat([torch.full((len(index),), MINIATURES.index(name)) for name, index in parts])
    size = len(sets)
    paint, blur, noise = (uniform((size,), -top, top).clamp_min(0) for top in (1.0, 2.0, 0.1))
    batch = recoloured(batch, paint)
    frames = blurred(batch.frames, blur)
    frames = (frames + noise[:, None, None, None] * torch.randn_like(frames)).clamp(0, 1)
    return Spoilt(frames, batch, torch.stack([blur, 20 * noise, 2 * paint], dim=1), sets)


@torch.no_grad()
def whiten(network: MiniFeatures) -> None:
    """Changes the last layer so that over training frames, spoilt ones among them, the covariance is the identity."""
    network.eval()
    network.norm.reset_running_stats()
    raw = torch.cat([network.describe(spoilt(parts).frames) for parts in mixed_batches(50)]).double()
    values, directions = torch.linalg.eigh(torch.cov(raw.T))
    matrix = ((values + 1e-3 * values.max()).rsqrt() * directions).T
    weight, bias = (p.double() for p in (network.head.weight, network.head.bias))
    network.head.weight.copy_(matrix @ weight)
    network.head.bias.copy_(matrix @ (bias - raw.mean(dim=0)))


def train_features() -> None:
    """The features of the mini-FID, of all miniatures."""
    torch.manual_seed(SEED)
    network = MiniFeatures(EmbedderConfig())
    heads = FeatureHeads(network.dimension)
    optimiser = Optimiser([*network.parameters(), *heads.parameters()], FEATURE_STEPS)
    bar, began = tqdm(mixed_batches(FEATURE_STEPS), total=FEATURE_STEPS, desc="features", mininterval=5), time.monotonic()
    for parts in bar:
        seen = spoilt(parts)
        with pick_device("cpu").autocast():
            features = network.describe(seen.frames)
        loss = heads.loss(features, seen.batch, seen.damage, seen.sets)
        bar.set_postfix(loss=round(optimiser.step(loss), 3), refresh=False)
    whiten(network)
    network.save(weights_file("features"))
    enter_checksum(weights_file("features"))
    print(f"features: {FEATURE_STEPS} steps, {(time.monotonic() - began) / 60:.1f} minutes")


# ------------------------------------------------------------------------------------------------------------ measuring

UNSEEN = 31
Figures = dict[str, float]


def rounded(figures: Figures) -> Figures:
    """Four digits after the point."""
    return {name: round(float(value), 4) for name, value in figures.items()}


@cache
def unseen_samples(name: str, clips: int, frames: int = 8) -> Samples:
    """Some frames, spread evenly, of each of the held-out clips."""
    rows: dict[str, list[np.ndarray]] = {key: [] for key in Samples.__dataclass_fields__}
    held_out = held_out_clips(name, UNSEEN, clips)
    for number, (identity, motion) in enumerate(tqdm(held_out.seeds, desc=f"drawing {name}", leave=False)):
        scene = make_scene(name, identity, motion)
        drawn = render(scene, np.linspace(0, scene.length - 1, frames).round().astype(int))
        rows["backgrounds"].append(np.round(scene.background[None] * 255).astype(np.uint8).transpose(0, 3, 1, 2))
        rows["frames"].append(drawn.frames.transpose(0, 3, 1, 2))
        rows["joints"].append((drawn.truth.joints + 1) * (scene.size - 1) / 2)
        rows["visible"].append(drawn.truth.visible)
        rows["figure"].append(drawn.truth.labels > 0)
        rows["clip"].append(np.full(len(drawn.frames), number))
    return Samples(**{key: torch.from_numpy(np.concatenate(value)) for key, value in rows.items()})


def pose_figures(name: str, clips: int) -> Figures:
    """Error of visible joints in pixels and quality of visibility, on clean and on spoilt frames."""
    torch.manual_seed(UNSEEN)
    estimator = PoseEstimator.load(evaluators.shipped_pose(name))
    samples = named(unseen_samples(name, clips), name)
    batch = samples.batch(torch.arange(len(samples.frames)))
    lost = lose_limbs(batch, 1.0, (1.0, 1.0))
    clean, soft, cut = (
        estimator(x) for x in (batch.frames, blurred(batch.frames, torch.ones(len(batch.frames))), lost.frames)
    )
    visible, gone = batch.visible > 0, (batch.visible > 0) & (lost.visible == 0) & (lost.sure > 0)
    both = (clean.found() & visible).sum()
    error = (clean.position - batch.joints).norm(dim=-1)
    return rounded(
        {
            "error_px": error[visible].mean(),
            "error_px_found": error[visible & clean.found()].mean(),
            "within_1px": (error[visible] <= 1).float().mean(),
            "visibility_precision": both / clean.found().sum(),
            "visibility_recall": both / visible.sum(),
            "visibility_f1": 2 * both / (clean.found().sum() + visible.sum()),
            "error_px_blur1": (soft.position - batch.joints).norm(dim=-1)[visible].mean(),
            "recall_blur1": (soft.found() & visible).sum() / visible.sum(),
            "moved_px_blur1": (soft.position - clean.position).norm(dim=-1)[visible].mean(),
            "lost_reported": (~cut.found())[gone].float().mean(),
            "joints": visible.sum(),
        }
    )


def top1(gallery: Tensor, queries: Tensor, who: Tensor) -> float:
    """Share of queries whose nearest gallery vector is their own character's."""
    return float(((queries @ gallery.T).argmax(dim=1) == who).float().mean())


def identity_figures(name: str, clips: int) -> Figures:
    """Retrieval among ``clips`` characters: gallery, the first frame of each; queries, the others."""
    torch.manual_seed(UNSEEN)
    embedder = IdentityEmbedder.load(evaluators.shipped_identity())
    samples = unseen_samples(name, clips)
    first = torch.cat([torch.ones(1, dtype=torch.bool), samples.clip[1:] != samples.clip[:-1]])
    batch = samples.batch(torch.arange(len(samples.frames)))
    places = batch.backgrounds[torch.randperm(len(batch.frames))]
    plain, moved = embedder(batch.frames), embedder(elsewhere(batch, places, 1.0).frames)
    painted = embedder(recoloured(batch, torch.ones(len(batch.frames))).frames)
    who = samples.clip[~first]
    own = plain[first][samples.clip]
    return rounded(
        {
            "top1": top1(plain[first], plain[~first], who),
            "top1_other_background": top1(moved[first], moved[~first], who),
            "distance_same": (plain - own)[~first].norm(dim=1).mean(),
            "distance_other": (plain - own.roll(len(own) // 2, 0)).norm(dim=1).mean(),
            "distance_recoloured": (plain - painted).norm(dim=1).mean(),
        }
    )


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of Gaussians fitted to features (N, D)."""
    a, b = a.double(), b.double()
    values = torch.linalg.eigvals(torch.cov(a.T) @ torch.cov(b.T)).real.clamp_min(0)
    spread = torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * values.sqrt().sum()
    return float((a.mean(dim=0) - b.mean(dim=0)).square().sum() + spread)


def feature_figures(name: str, clips: int) -> Figures:
    """Mini-FID between frames and the same frames spoilt in one way; ``halves``: between characters, nothing spoilt."""
    torch.manual_seed(UNSEEN)
    network = MiniFeatures.load(evaluators.shipped_features())
    samples = unseen_samples(name, clips)
    batch = samples.batch(torch.arange(len(samples.frames)))
    one, real = torch.ones(len(batch.frames)), network(batch.frames)
    kinds = {
        "blur0.5": blurred(batch.frames, 0.5 * one),
        "blur1": blurred(batch.frames, one),
        "lost_limbs": lose_limbs(batch, 1.0, (1.0, 1.0)).frames,
        "recoloured": recoloured(batch, one).frames,
        "channels_turned": torch.where(batch.figure[:, None], batch.frames[:, [2, 0, 1]], batch.frames),
        "noise": (batch.frames + 0.04 * torch.randn_like(batch.frames)).clamp(0, 1),
    }
    figures = {kind: frechet(real, network(frames)) for kind, frames in kinds.items()}
    odd = samples.clip % 2 == 1
    return rounded({"halves": frechet(real[odd], real[~odd]), **figures, "frames": len(real)})


def speed() -> Figures:
    """Milliseconds of processor time a frame (other programs do not count), in batches of 64, best of six."""
    shipped, frames, found = evaluators.evaluators_for("mini-taichi"), torch.rand(64, 3, 64, 64), {}
    for kind, network in (("pose", shipped.detector), ("identity", shipped.embedder), ("features", shipped.features)):
        times = []
        for _ in range(6):
            began = time.process_time()
            network(frames)
            times.append(time.process_time() - began)
        found[f"ms_{kind}"] = 1000 * min(times) / len(frames)
    return rounded(found)


def measure(names: tuple[str, ...], clips: int) -> dict[str, object]:
    """All figures that the cards state."""
    files = sorted((data_small() / "weights").glob("evaluators-*.safetensors"))
    return {
        "pose": {name: pose_figures(name, clips) for name in names},
        "identity": {name: identity_figures(name, clips) for name in names},
        "features": {name: feature_figures(name, clips) for name in names},
        "speed": {**speed(), "threads": torch.get_num_threads()},
        "bytes": sum(file.stat().st_size for file in files),
        "clips": clips,
    }


def joint_names(name: str) -> tuple[str, ...]:
    """Names of a miniature's joints, without mini-bair's toys: which of several is the first cannot be seen."""
    return tuple(joint.name for joint in make_scene(name, 1, 1).joints if not joint.name.startswith("object_"))


def named(samples: Samples, name: str) -> Samples:
    """The same with the joints of :func:`joint_names` alone."""
    wanted = joint_names(name)
    kept = [i for i, joint in enumerate(make_scene(name, 1, 1).joints) if joint.name in wanted]
    return replace(samples, joints=samples.joints[:, kept], visible=samples.visible[:, kept])


def weights_file(kind: str) -> Path:
    """Where a network is shipped."""
    return data_small() / "weights" / f"evaluators-{kind}.safetensors"


def main() -> None:
    """See the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=MINIATURES, help="one miniature only (pose; and figures)")
    parser.add_argument("--stage", choices=("pose", "identity", "features"), help="one network only")
    parser.add_argument("--measure", action="store_true", help="train nothing, print the figures")
    parser.add_argument("--clips", type=int, default=100, help="unseen characters to measure with (100)")
    parser.add_argument("--threads", type=int, default=1)
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    names = (wanted.set,) if wanted.set else MINIATURES
    if wanted.measure:
        print(json.dumps(measure(names, wanted.clips), indent=1))
        return
    if wanted.stage in (None, "pose"):
        for name in names:
            train_pose(name)
    if wanted.stage in (None, "identity"):
        train_identity()
    if wanted.stage in (None, "features"):
        train_features()


if __name__ == "__main__":
    main()
