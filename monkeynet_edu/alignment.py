"""Before a transfer: does the film begin in the source's pose, and has the model ever seen such a picture?

Relative transfer adds the film's movement since a reference frame to the source's own pose, so both poses have to be alike
(the limitation named in section 3.5 of the paper). :func:`align` measures how alike they are by keypoints and covariances
alone, and finds the frame that fits best. :class:`Domain` tells pictures like those that a model was trained on from
others. Neither needs a detector of people, faces or anything else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from monkeynet_edu import geometry
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.errors import UserError
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import MonkeyNet, load_tensors, parsed, save_tensors, weights_digest

Verdict = Literal["good", "fair", "poor"]

GOOD_FIT = 0.17
"""Fit scores up to this: the poses agree (mini-taichi: joints 1.8 of 64 pixels apart, characters differing in build)."""
POOR_FIT = 0.25
"""Above this relative transfer breaks down (mini-taichi: joints of the animation more than 3 of 64 pixels off)."""
CLEARLY_NEARER = 0.8
"""Another frame than the first is the reference where its score is below this share of the first's."""

_DIRECTIONS = 16
_PICTURES = 200
_MARGIN = 1.05
_LEAST_SPREAD = 0.01


# ---------------------------------------------------------------------------------------------------------- fit of poses


def procrustes_distance(points: Tensor, others: Tensor) -> Tensor:
    """Distance of two sets of points whose place and size do not count: (..., P, 2), (..., P, 2) → (...).

    Both sets are moved to the origin (their mean is 0) and scaled so that the sum of all their squared coordinates is 1;
    then the root of the sum of squared differences is taken. 0: the same shape; √2: nothing in common; 2: turned upside
    down. Turning is not undone: the flow of a part is a shift, so a pose that leans is another pose. The gradient is
    finite at equal shapes too. Sets without size (all points in one place) have no distance: NaN.
    """
    a = points - points.mean(dim=-2, keepdim=True)
    b = others - others.mean(dim=-2, keepdim=True)
    a = a / a.square().sum(dim=(-2, -1), keepdim=True).sqrt()
    b = b / b.square().sum(dim=(-2, -1), keepdim=True).sqrt()
    squared = (a - b).square().sum(dim=(-2, -1))
    return squared.clamp_min(1e-24).sqrt()  # a root has no slope at 0


def covariance_root(cov: Tensor) -> Tensor:
    """The symmetric square root of covariances (..., 2, 2), in closed form: (Σ + √detΣ·I) / √(trΣ + 2√detΣ)."""
    root = torch.linalg.det(cov).clamp_min(0).sqrt()
    trace = cov.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    eye = torch.eye(2, dtype=cov.dtype, device=cov.device)
    result: Tensor = (cov + root[..., None, None] * eye) / (trace + 2 * root).sqrt()[..., None, None]
    return result


def ellipse_points(keypoints: Keypoints) -> Tensor:
    """Four points on the 1σ ellipse of each keypoint: (..., K) → (..., 4K, 2).

    They are h ± each column of √Σ: what a keypoint says about place, size and direction of its part, as points.
    """
    arms = covariance_root(keypoints.cov).mT  # (..., K, 2, 2): each row is a column of the root
    centre = keypoints.mean[..., None, :]
    return torch.cat([centre + arms, centre - arms], dim=-2).flatten(-3, -2)


def fit_score(source: Keypoints, driving: Keypoints) -> Tensor:
    """How far each driving pose (T, K) is from the source's (1, K): (T,), 0 the same, about 1.4 unrelated.

    The Procrustes distance of the points on all ellipses, so shapes of parts count as well as their places.
    """
    return procrustes_distance(ellipse_points(driving), ellipse_points(source))


@dataclass(frozen=True)
class Alignment:
    """How well a source and a driving film fit.

    Attributes:
        reference: driving frame that relative transfer starts from.
        score: fit of that frame (:func:`fit_score`; smaller is better).
        first: fit of frame 0.
        movement: how far the film gets from the reference's pose, in the same measure.
        frames: length of the film.
    """

    reference: int
    score: float
    first: float
    movement: float
    frames: int

    @property
    def verdict(self) -> Verdict:
        """``poor`` where relative transfer breaks down.

        A film that moves much less than its pose differs is never poor: what differs is then the build (two faces at
        rest), not the pose.
        """
        if self.score <= GOOD_FIT:
            return "good"
        return "poor" if self.score > POOR_FIT and self.movement > self.score / 2 else "fair"

    def describe(self) -> str:
        """One line for the user: the frame, the score and what it means."""
        meaning = {
            "good": "the poses agree",
            "fair": "the poses differ somewhat: parts may sit a little off",
            "poor": "the poses do not agree",
        }[self.verdict]
        return f"reference frame: {self.reference} of {self.frames}, fit score {self.score:.2f}: {meaning}"

    def advice(self) -> str:
        """What to do where the verdict is ``poor``; empty otherwise."""
        if self.verdict != "poor":
            return ""
        return (
            f"relative transfer will not work here: no frame of the film is near the source's pose (fit score "
            f"{self.score:.2f}, good up to {GOOD_FIT}); take a picture in the pose in which the film begins, or a film "
            "that passes the picture's pose, or --mode absolute, which uses the film's own poses and build"
        )


def align(source: Keypoints, driving: Keypoints, reference: int | None = None) -> Alignment:
    """Chooses the reference frame and says how well it fits.

    It is the first frame, as published, unless another one is clearly nearer: two characters differ in build even when
    they stand alike, and small differences of the score tell nothing.

    Args:
        source: (1, K).
        driving: (T, K).
        reference: the frame to judge; None for the choice.
    """
    scores = fit_score(source, driving)
    nearest = int(scores.argmin())
    chosen = reference
    if chosen is None:
        chosen = nearest if scores[nearest] < CLEARLY_NEARER * scores[0] else 0
    movement = fit_score(driving[chosen : chosen + 1], driving).max()
    return Alignment(chosen, float(scores[chosen]), float(scores[0]), float(movement), len(driving))


# ------------------------------------------------------------------------------------------------------- known pictures


@torch.no_grad()
def appearance(model: MonkeyNet, frames: Tensor, chunk: int = 64) -> Tensor:
    """What the detector's encoder sees in frames (B, 3, H, W), without places: (B, F), float32, on the CPU.

    Mean and logarithm of the variance over all positions, of each channel of each level, the picture's colours first.
    """
    device = next(model.parameters()).device
    found = []
    for part in torch.split(frames, chunk):
        small = geometry.downscale(part.to(device), model.config.detector.scale)
        levels = model.detector.predictor.encoder(small)
        variances = [(level.var(dim=(2, 3), correction=0) + 1e-6).log() for level in levels]
        means = [level.mean(dim=(2, 3)) for level in levels]
        found.append(torch.cat(means + variances, dim=1).cpu())
    return torch.cat(found)


def fingerprint(model: MonkeyNet) -> str:
    """SHA-256 of the weights of the detector's encoder: what :func:`appearance` depends on."""
    return weights_digest(model.detector.predictor.encoder.state_dict())


@dataclass(frozen=True)
class Domain:
    """The pictures that a model knows: a Gaussian of their appearance (probabilistic PCA; Tipping & Bishop 1999).

    Attributes:
        centre: (F,) mean appearance of training pictures.
        spread: (F,) standard deviation.
        directions: (R, F) orthonormal directions in which standardised appearances differ most.
        variances: (R,) along them, beyond the floor.
        floor: variance in every direction.
        limit: distance of the strangest training picture that was held back, plus 5 %.
        weights: :func:`fingerprint` of the model that it belongs to.
    """

    centre: Tensor
    spread: Tensor
    directions: Tensor
    variances: Tensor
    floor: float
    limit: float
    weights: str

    @staticmethod
    def of(model: MonkeyNet, clips: Sequence[Clip]) -> Domain:
        """Learns which pictures a model knows from clips like those that it was trained on.

        Every fifth clip is held back: it tells how far a known picture may be from the others.

        Args:
            model: trained, in eval mode.
            clips: at least ten; up to 200 pictures are taken, spread evenly.

        Raises:
            UserError: fewer than ten clips.
        """
        if len(clips) < 10:
            raise UserError(f"domain: expected at least 10 clips like those trained on, got {len(clips)}; give more")
        chosen = clips[:_PICTURES]
        each = -(-_PICTURES // len(chosen))
        seen = [appearance(model, to_tensor(clip.frames[_spread(len(clip.frames), each)])) for clip in chosen]
        held_back = torch.cat(seen[::5])
        known = torch.cat([part for number, part in enumerate(seen) if number % 5])
        centre, spread = known.mean(dim=0), known.std(dim=0).clamp_min(_LEAST_SPREAD)
        _, values, directions = torch.linalg.svd((known - centre) / spread, full_matrices=False)
        rank = min(_DIRECTIONS, len(known) // 4)
        z = (held_back - centre) / spread
        along = z @ directions[:rank].T
        floor = float((z.square().sum(dim=1) - along.square().sum(dim=1)).mean()) / (z.shape[1] - rank)
        unit = Domain(
            centre, spread, directions[:rank], values[:rank].square() / len(known), floor, 1.0, fingerprint(model)
        )
        return replace(unit, limit=_MARGIN * float(unit._distance(held_back).max()))

    def _distance(self, appearances: Tensor) -> Tensor:
        """Mahalanobis distance (B,) of appearances (B, F), divided by √F."""
        z = (appearances - self.centre) / self.spread
        along = z @ self.directions.T
        inside = (along.square() / (self.variances + self.floor)).sum(dim=1)
        outside = (z.square().sum(dim=1) - along.square().sum(dim=1)).clamp_min(0) / self.floor
        return ((inside + outside) / z.shape[1]).sqrt()

    def scores(self, model: MonkeyNet, frames: Tensor) -> Tensor:
        """Domain score (B,) of frames (B, 3, H, W): up to 1 like the pictures known, above it unlike all of them."""
        return self._distance(appearance(model, frames)) / self.limit

    def check(self) -> None:
        """Refuses fields of kinds and sizes that do not belong together.

        Raises:
            ValueError: naming the first such field.
        """
        count, size = self.directions.shape
        wanted = {"centre": (size,), "spread": (size,), "directions": (count, size), "variances": (count,)}
        for name, shape in wanted.items():
            came = getattr(self, name)
            if tuple(came.shape) != shape or not came.is_floating_point() or not came.isfinite().all():
                raise ValueError(f"{name}: expected finite numbers {shape}, got {tuple(came.shape)} of {came.dtype}")
        for name in ("floor", "limit"):
            if not (isinstance(value := getattr(self, name), float) and 0 < value < math.inf):
                raise ValueError(f"{name}: expected a positive number, got {value!r}")

    def save(self, path: str | Path) -> None:
        """Writes one small safetensors file; beside its place, then renamed."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        numbers = {"floor": self.floor, "limit": self.limit, "weights": self.weights}
        save_tensors(Path(path), tensors, {"format": "monkeynet_edu domain", "domain": json.dumps(numbers)})

    @staticmethod
    def load(path: str | Path, model: MonkeyNet) -> Domain:
        """Reads what :meth:`save` wrote.

        Raises:
            UserError: no such file, a foreign one, or one made for other weights.
        """
        tensors, header = load_tensors(Path(path))
        try:
            fields: dict[str, Any] = {**tensors, **parsed(header["domain"])}
            domain = Domain(**fields)
            domain.check()
        except (AttributeError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path}: expected a domain that monkeynet_edu saved, got a foreign file ({error})") from error
        if domain.weights != fingerprint(model):
            raise UserError(
                f"{path}: expected the domain of these weights, got that of others; make it again "
                "(shipped weights: python benchmarks/alignment.py --domains)"
            )
        return domain


def domain_path(weights: str | Path) -> Path:
    """Where the domain of a file of weights (or a run folder) lies: ``mini-taichi.domain.safetensors`` beside it."""
    file = Path(weights)
    return file / "model.domain.safetensors" if file.is_dir() else file.with_suffix(".domain.safetensors")


def _spread(length: int, count: int) -> list[int]:
    """Up to ``count`` frame numbers, evenly spread."""
    return sorted({round(float(t)) for t in torch.linspace(0, length - 1, min(count, length))})
