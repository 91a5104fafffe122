"""Measures a model on clips: remakes each, compares with the real frames, and averages; nothing unmeasured becomes NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn
from tqdm.auto import tqdm

from monkeynet_edu.animation import Animation, reconstruct
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.errors import UserError
from monkeynet_edu.evaluators import Evaluators
from monkeynet_edu.metrics.distances import Counted
from monkeynet_edu.metrics.external import IDENTITY_FIGURES, OVER_FRAMES, POINT_FIGURES, external_figures
from monkeynet_edu.metrics.frechet import FrechetMeter
from monkeynet_edu.metrics.landmarks import known_keypoints, landmark_errors
from monkeynet_edu.metrics.pixels import film_figures, pixel_figures
from monkeynet_edu.model import Device, MonkeyNet
from monkeynet_edu.prediction import FRAMES, Predictor, predicted_film

Task = Literal["reconstruction", "prediction"]
Row = dict[str, Counted]

LANDMARK_FIGURES = ("landmark_error", "landmark_error_constant")
_ALWAYS_COUNTED = ("l1", "l1_repeat_source", "l1_deformed", "l1_published")


@dataclass(frozen=True)
class Evaluation:
    """Figures of a set of clips.

    Attributes:
        figures: name to mean and counts, over all clips.
        rows: the same for each clip (without FID, which a clip alone does not have), for paired comparisons.
        missing: name of each figure that has no value, to the reason in words.
        notes: what must be said beside the figures, warnings first.
        frames: driving frames compared (the first frame of a clip, its source, left out).
    """

    figures: Row
    rows: tuple[Row, ...]
    missing: dict[str, str]
    notes: tuple[str, ...]
    frames: int

    def flat(self) -> dict[str, Any]:
        """One flat dictionary for JSON: figures (None where not measurable), counts, ``not_measurable``, ``notes``.

        ``NAME_frames`` and ``NAME_points`` stand beside each figure but L1 over all pixels, whose count is ``frames``.
        """
        flat: dict[str, Any] = {name: figure.value for name, figure in self.figures.items()}
        for name, figure in self.figures.items():
            if name not in _ALWAYS_COUNTED:
                flat |= {f"{name}_frames": figure.frames, f"{name}_points": figure.points}
        if self.missing:
            flat["not_measurable"] = dict(self.missing)
        if self.notes:
            flat["notes"] = list(self.notes)
        return {**flat, "frames": self.frames, "clips": len(self.rows)}


def over_clips(rows: Sequence[Row], name: str) -> Counted:
    """Mean of a figure over clips (published ones: over the frames of all clips); clips without it do not count."""
    found = [row[name] for row in rows if name in row]
    known = [(figure.value, figure.frames) for figure in found if figure.value is not None]
    frames, points = sum(figure.frames for figure in found), sum(figure.points for figure in found)
    if not known:
        return Counted(None, frames, points)
    values, weights = zip(*known, strict=True)
    mean = np.average(values, weights=weights) if name in OVER_FRAMES else np.mean(values)
    return Counted(float(mean), frames, points)


class _Tally:
    """What is gathered while the clips go by."""

    def __init__(self, evaluators: Evaluators | None, device: Device) -> None:
        self.device = device
        self.evaluators = evaluators if evaluators is not None else Evaluators()
        for network in (self.evaluators.detector, self.evaluators.embedder, self.evaluators.features):
            if isinstance(network, nn.Module):
                network.to(device.device).eval()
        self.rows: list[Row] = []
        self.known: list[tuple[int, Clip, Tensor]] = []  # clips with truth: row, clip, keypoints
        self.frames = 0
        features = self.evaluators.features
        self.meter = FrechetMeter(features) if features is not None else None

    def add(self, clip: Clip, film: Tensor, pixels: Row, means: Tensor | None) -> None:
        """Measures one clip: its film, the figures of its pixels, and the keypoints (T, K, 2) if a model has any."""
        real, generated = to_tensor(clip.frames), film.float()
        row = pixels | external_figures(self.evaluators, clip, real, generated)
        if self.meter is not None:
            self.meter.add(real[1:], generated[1:])
        if clip.truth is not None and means is not None:
            self.known.append((len(self.rows), clip, means.float().cpu()))
        self.rows.append(row)
        self.frames += len(clip.frames) - 1

    def add_landmarks(self, model: MonkeyNet, training: Sequence[Clip]) -> None:
        """Adds what the keypoints mean, learned on other clips."""
        learned = known_keypoints(model, training, self.device) if self.known else ([], [])
        if not learned[0]:
            return
        numbers, clips, keypoints = zip(*self.known, strict=True)
        for number, errors in zip(numbers, landmark_errors(learned, keypoints, clips), strict=True):
            self.rows[number] |= errors

    def result(self, names: Sequence[str]) -> Evaluation:
        """Averages; ``names`` are the figures asked for beside those of pixels."""
        shared = [name for name in self.rows[0] if all(name in row for row in self.rows) and name not in names]
        figures = {name: over_clips(self.rows, name) for name in [*shared, *names] if name != "fid"}
        if "fid" in names:
            figures["fid"] = Counted(None, 0, 0) if self.meter is None else self.meter.figure()
        notes = [] if self.meter is None else self.meter.notes()
        missing = {name: reason(name, f, self.evaluators) for name, f in figures.items() if f.value is None}
        return Evaluation(figures, tuple(self.rows), missing, tuple(sorted(notes, reverse=True)), self.frames)


def reason(name: str, figure: Counted, evaluators: Evaluators) -> str:
    """Why a figure has no value."""
    if name in POINT_FIGURES and evaluators.detector is None:
        return "no point detector for this data; see monkeynet_edu.evaluators for one of your own in five lines"
    if name in IDENTITY_FIGURES and evaluators.embedder is None:
        return "no identity embedder for this data; give one in monkeynet_edu.evaluators.Evaluators"
    if name == "fid":
        if evaluators.features is None:
            return "no feature network for this data; give one, or Inception with --inception"
        return f"{figure.frames} frame(s), fewer than the two that a covariance needs"
    if name == "akd_detector":
        return "no joint is both visible in the truth and found in the real frame (or no truth, or joints of other names)"
    if name.startswith("mkr"):
        return "no point was found in any real frame"
    if name.startswith("akd"):
        return "no point was found in both of the frames that are compared"
    if name in LANDMARK_FIGURES:
        return "no true joints, in these clips or in those to learn from"
    return "nothing moves between the first frame and the others"


def remake(model: MonkeyNet, clip: Clip, device: Device, predictor: Predictor | None, seed: int = 0) -> Animation:
    """Rebuilds a clip from the keypoints of its frames, or, with a predictor, films it from its first frame alone."""
    video = to_tensor(clip.frames)
    if predictor is None:
        return reconstruct(model, video, device)
    return predicted_film(model, predictor, video[0], len(video), seed, device)


def _shortened(clip: Clip, frames: int) -> Clip:
    """The first frames of a clip, truth included."""
    if len(clip.frames) <= frames:
        return clip
    truth = None if clip.truth is None else clip.truth.at(range(frames))
    return replace(clip, frames=clip.frames[:frames], truth=truth)


def measure(
    model: MonkeyNet,
    clips: Sequence[Clip],
    device: Device,
    task: Task = "reconstruction",
    evaluators: Evaluators | None = None,
    predictor: Predictor | None = None,
    training: Sequence[Clip] | None = None,
    seed: int = 0,
) -> Evaluation:
    """As :func:`evaluate`, with the figures of each clip, the reasons for what is missing and the notes."""
    if (task == "prediction") != (predictor is not None):
        raise UserError(
            f"task {task}: expected {'a' if task == 'prediction' else 'no'} predictor, got "
            f"{'none' if predictor is None else 'one'}; a predictor belongs to the task prediction"
        )
    model = model.to(device.device).eval()
    if predictor is not None:
        predictor.check_fits(model)
        predictor.to(device.device).eval()
    tally = _Tally(evaluators, device)
    for clip in _usable(clips, task):
        for side in set(clip.frames.shape[1:3]):
            model.config.check_frame_size(side)
        made = remake(model, clip, device, predictor, seed)
        tally.add(clip, made.prediction, pixel_figures(model, clip, made), made.driving.mean)
    names = _names(evaluators)
    if training is not None and task == "reconstruction":
        tally.add_landmarks(model, training)
        names += LANDMARK_FIGURES
    return tally.result(names)


def _usable(clips: Sequence[Clip], task: Task) -> Iterator[Clip]:
    """Clips of at least two frames, cut to what a prediction is compared with; shows how far it has got.

    Raises:
        UserError: there is none.
    """
    found = 0
    for whole in tqdm(clips, desc="evaluating", unit="clip", leave=False, dynamic_ncols=True):
        clip = whole if task == "reconstruction" else _shortened(whole, FRAMES)
        if len(clip.frames) >= 2:
            found += 1
            yield clip
    if not found:
        raise UserError("evaluate: expected clips of at least two frames, got none; choose another data set")


def _names(evaluators: Evaluators | None) -> list[str]:
    """Figures asked for beside those of pixels."""
    return [] if evaluators is None else [*POINT_FIGURES, *IDENTITY_FIGURES, "fid"]


def measure_films(
    make: Callable[[Tensor], Tensor],
    clips: Sequence[Clip],
    device: Device,
    task: Task = "reconstruction",
    evaluators: Evaluators | None = None,
) -> Evaluation:
    """Measures films that anything may have made; what only Monkey-Net has (flow, deformed frames, keypoints) is left out.

    Args:
        make: real frames (T, 3, H, W) to generated ones; for the task prediction it looks at the first alone.
        clips: as for :func:`evaluate`.
        device: where the evaluators compute.
        task: whole clips (reconstruction) or their first min(32, T) frames (prediction).
        evaluators: external networks, or None.

    Raises:
        UserError: no clip has two frames, or films of another shape than the clips.
    """
    tally = _Tally(evaluators, device)
    for clip in _usable(clips, task):
        video = to_tensor(clip.frames)
        film = make(video).float().cpu()
        if film.shape != video.shape:
            raise UserError(f"clip {clip.name}: expected a film of {tuple(video.shape)}, got {tuple(film.shape)}")
        tally.add(clip, film, film_figures(clip, film), None)
    return tally.result(_names(evaluators))


def evaluate(
    model: MonkeyNet,
    clips: Sequence[Clip],
    device: Device,
    task: Task = "reconstruction",
    evaluators: Evaluators | None = None,
    predictor: Predictor | None = None,
    training: Sequence[Clip] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Remakes clips and measures them.

    A clip counts once, however long it is; the source (frame 0) is left out. The *published* figures do as the authors'
    code: they count frame 0 and, of AKD, MKR and AED, average over the frames of all clips together.

    Args:
        model: any model; its frame size need not be the clips', whose sides must be multiples of its stride.
        clips: of any lengths and sizes, with truth (all figures) or without. Clips of one frame are passed over.
        device: where to compute.
        task: ``reconstruction``: a clip from its first frame and the keypoints of all; ``prediction``: its first
            min(32, T) frames from the first alone, as in Table 3 (FID, AED, MKR; the other figures compare with one of
            many possible futures).
        evaluators: external networks for AKD, MKR, AED and FID; None: not asked for.
        predictor: for the task ``prediction``.
        training: clips with truth of other characters, to learn what keypoints mean; None: not asked for.
        seed: of the predicted futures.

    Returns:
        Flat figures, None where not measurable (then ``not_measurable`` has the reason), with ``NAME_frames`` and
        ``NAME_points`` counted, ``notes``, ``frames`` compared and ``clips``:

        - ``l1``, ``l1_repeat_source``, ``l1_deformed`` in [0, 1], and ``l1_published`` (frame 0 included); with truth
          ``l1_moving``, ``l1_moving_repeat_source``, ``l1_deformed_moving`` over moving pixels and ``flow_epe``,
          ``flow_epe_zero`` in pixels: end-point error on moving parts visible in the source, of the model and of no motion;
        - ``akd`` (Euclidean), ``akd_l1`` (published), ``akd_repeat_source`` (the source in place of every frame),
          ``akd_detector`` (the detector against the truth on real frames), in pixels;
        - ``mkr``, ``mkr_repeat_source``, ``mkr_published`` in [0, 1];
        - ``aed``, ``aed_repeat_source`` (Euclidean), ``aed_squared`` (published);
        - ``fid``, over all driving frames of all clips;
        - ``landmark_error`` and, of a constant, ``landmark_error_constant``, in pixels.

    Raises:
        UserError: no clip has two frames, the networks cannot halve the frames, a predictor for another number of
            keypoints, a task without its predictor, or a network that gives other shapes.
    """
    return measure(model, clips, device, task, evaluators, predictor, training, seed).flat()
