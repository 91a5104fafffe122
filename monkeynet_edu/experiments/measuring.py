"""What is measured of a run's model, on what, and with which networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import nn

from monkeynet_edu import baselines, metrics
from monkeynet_edu.data.datasets import open_dataset
from monkeynet_edu.data.sprites import Clip, held_out_clips, training_clips
from monkeynet_edu.evaluators import Evaluators, evaluators_for
from monkeynet_edu.experiments.plans import Job, variant_config
from monkeynet_edu.experiments.records import Values
from monkeynet_edu.model import Device, MonkeyNet, weights_digest
from monkeynet_edu.prediction import Predictor

UNSEEN_SEED = 5_000  # of the further test clips; the shipped ones have another
LANDMARK_SEED = 6_000  # of the clips from which joints are learned: the same for every seed of a run
PROBE_FRAMES = 3


def measured_clips(job: Job) -> list[Clip]:
    """Clips of characters that no training saw: the shipped ones, then further ones."""
    shipped = open_dataset(job.data, "test")[: job.effort.shipped]
    unseen = held_out_clips(job.data, UNSEEN_SEED, job.effort.unseen, job.config.frame_size)
    return [*shipped, *(replace(clip, name=f"unseen-{clip.name}") for clip in unseen)]


def measure(
    model: MonkeyNet | baselines.Rival, predictor: Predictor | None, clips: Sequence[Clip], job: Job, device: Device
) -> metrics.Evaluation:
    """All figures of a run, over all clips and of each.

    Args:
        model: trained.
        predictor: trained, for a model of ours and the task prediction.
        clips: to measure on.
        job: what its data and task are.
        device: where and how exactly.
    """
    networks = _networks(job.data)
    if not isinstance(model, MonkeyNet):
        return baselines.measure(model, clips, device, job.task, networks)
    known = training_clips(job.data, LANDMARK_SEED, job.effort.landmark_clips, job.config.frame_size)
    learned = known if job.task == "reconstruction" else None
    return metrics.measure(model, clips, device, job.task, networks, predictor, learned)


def clip_values(found: metrics.Evaluation) -> dict[str, list[float | None]]:
    """Figures of single clips by name, in the order of the clips; None where a clip has no such figure."""
    names = dict.fromkeys(name for row in found.rows for name in row)
    return {name: [row[name].value if name in row else None for row in found.rows] for name in names}


@lru_cache(maxsize=8)
def _networks(data: str) -> Evaluators:
    return evaluators_for(data)


@lru_cache(maxsize=8)
def instruments(data: str) -> Values:
    """Fingerprints of the networks that measure: figures of different ones must not stand in one table."""
    networks = _networks(data)
    named = {"detector": networks.detector, "embedder": networks.embedder, "features": networks.features}
    return {name: _fingerprint(network) for name, network in named.items()}


def _fingerprint(network: object) -> str | None:
    return weights_digest(network.state_dict())[:12] if isinstance(network, nn.Module) else None


_computable: dict[tuple[str, str, str | None], frozenset[str]] = {}


def computable(job: Job, device: Device) -> frozenset[str]:
    """Names of the figures of single clips that can be computed now, for a job's data, task and kind of model.

    ``metrics`` itself is asked, once for each of them, with an untrained model and a few frames.
    """
    key = job.data, job.task, job.rival
    if key not in _computable:
        whole = open_dataset(job.data, "test")[0]
        truth = None if whole.truth is None else whole.truth.at(range(PROBE_FRAMES))
        clip = replace(whole, frames=whole.frames[:PROBE_FRAMES], truth=truth)
        small = replace(job, effort=replace(job.effort, landmark_clips=2))
        _computable[key] = frozenset(clip_values(measure(*_untrained(job, device), [clip], small, device)))
    return _computable[key]


def _untrained(job: Job, device: Device) -> tuple[MonkeyNet | baselines.Rival, Predictor | None]:
    """A job's model, and predictor where it has one, with random weights."""
    if job.rival:
        return baselines.start(job.rival, job.recipe, job.data, device).model, None
    torch.manual_seed(0)
    model = MonkeyNet(variant_config(job.variant, job.data)).to(device.device)
    return model, None if job.predictor is None else Predictor(job.predictor[0])


def outdated(record: Values, job: Job, device: Device) -> str | None:
    """Why a record must be measured again, or None: figures that it lacks, or networks that have changed since."""
    networks = instruments(job.data)
    changed = [name for name, mark in networks.items() if record["instruments"].get(name) != mark]
    if changed:
        return f"measured with another {' and '.join(changed)}"
    lacking = sorted(computable(job, device) - set(record["per_clip"]))
    return f"lacks {', '.join(lacking)}" if lacking else None
