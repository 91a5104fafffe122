"""What is compared: the variants of the model, the budgets, and the paper's tables as lists of methods and data sets.

An experiment is a list of methods × data sets at one task. A *job* is one of its cells with one seed; several cells may
share one trained model (K = 10 of Figure 7 is the full model of Table 2), which is then trained and measured once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from monkeynet_edu import baselines
from monkeynet_edu.baselines.registry import config_of, takes_windows
from monkeynet_edu.errors import unknown_name
from monkeynet_edu.keypoints import DetectorConfig
from monkeynet_edu.model import MonkeyNetConfig, preset
from monkeynet_edu.motion import EmbeddingConfig, MotionConfig
from monkeynet_edu.prediction import PredictorConfig, PredictorRecipe
from monkeynet_edu.training import Recipe, recipe_for

Task = Literal["reconstruction", "prediction"]
BudgetName = Literal["smoke", "short", "cpu", "gpu"]
SMOKE_NOTE = "smoke: not a result"
SHIPPED_BUDGET: BudgetName = "short"
"""Of the results that lie in ``data_small/results``, and of a command that names none."""

# ------------------------------------------------------------------------------------------------------------ variants


@dataclass(frozen=True)
class Variant:
    """A model that differs from the full one in what its name says.

    Attributes:
        title: as in the paper's tables.
        said: what is missing, in words.
        change: full configuration → the variant's.
    """

    title: str
    said: str
    change: Callable[[MonkeyNetConfig], MonkeyNetConfig]


def _full(config: MonkeyNetConfig) -> MonkeyNetConfig:
    return config


def without_flow(config: MonkeyNetConfig) -> MonkeyNetConfig:
    """The configuration without a motion network: nothing is deformed (the paper's "No F", Table 2).

    Args:
        config: of the whole model.

    Returns:
        The same, but for ``generator.motion``, which is None, and for the weight of the loss on the deformed frame: without
        a flow that frame is the source itself, the loss a constant, and its weight 0.
    """
    generator = replace(config.generator, motion=None)
    losses = replace(config.losses, deformed=0.0)
    return replace(config, generator=generator, losses=losses)


def _no_flow(config: MonkeyNetConfig) -> MonkeyNetConfig:
    return without_flow(config)  # looked up at each call: a learner's own version may stand in its place


def _with_motion(config: MonkeyNetConfig, change: Callable[[MotionConfig], MotionConfig]) -> MonkeyNetConfig:
    assert config.generator.motion is not None
    return replace(config, generator=replace(config.generator, motion=change(config.generator.motion)))


def _no_residual(config: MonkeyNetConfig) -> MonkeyNetConfig:
    return _with_motion(config, lambda motion: replace(motion, flow=("coarse",)))


def _no_coarse(config: MonkeyNetConfig) -> MonkeyNetConfig:
    return _with_motion(config, lambda motion: replace(motion, flow=("residual",)))


def _no_source(config: MonkeyNetConfig) -> MonkeyNetConfig:
    def blind(embedding: EmbeddingConfig) -> EmbeddingConfig:
        return replace(embedding, features=tuple(f for f in embedding.features if f != "deformed_source"))

    return _with_motion(config, lambda motion: replace(motion, embedding=blind(motion.embedding)))


def _with_detector(config: MonkeyNetConfig, change: Callable[[DetectorConfig], DetectorConfig]) -> MonkeyNetConfig:
    return replace(config, detector=change(config.detector))


def _no_covariance(config: MonkeyNetConfig) -> MonkeyNetConfig:
    return _with_detector(config, lambda detector: replace(detector, covariance=0.01))


def _keypoints(count: int) -> Variant:
    def change(config: MonkeyNetConfig) -> MonkeyNetConfig:
        return _with_detector(config, lambda detector: replace(detector, keypoints=count))

    return Variant(f"K = {count}", f"{count} keypoint{'s' if count > 1 else ''}", change)


KEYPOINT_COUNTS = (1, 2, 4, 10, 20)
FULL_COUNT = 10

VARIANTS: dict[str, Variant] = {
    "full": Variant("Full", "the whole model", _full),
    "no_flow": Variant("No F", "nothing is deformed: M is missing", _no_flow),
    "no_residual": Variant("No F_residual", "flow from parts alone", _no_residual),
    "no_coarse": Variant("No F_coarse", "no parts: the network draws the flow", _no_coarse),
    "no_covariance": Variant("No Σ_k", "every keypoint a disc of one size (0.01)", _no_covariance),
    "no_source": Variant("No x", "M does not see the source image", _no_source),
}
"""The rows of the paper's Table 2."""

COUNTS: dict[str, Variant] = {f"k{count}": _keypoints(count) for count in KEYPOINT_COUNTS}
"""The points of the paper's Figure 7."""


MINI = "mini"
OURS_AS_MINI = Variant("Ours, preset mini", "with what taught our small models to move limbs", _full)
"""Rivals were given what made them work at this size; a row of ours has that, too: the preset of that name."""


@dataclass(frozen=True)
class Method:
    """A row of a table.

    Attributes:
        title: as it is printed.
        variant: the model behind it, a variant of ours or a rival; rows with the same one share their runs.
    """

    title: str
    variant: str


METHODS: dict[str, Method] = {
    **{name: Method(variant.title, name) for name, variant in VARIANTS.items()},
    **{name: Method(variant.title, "full" if name == f"k{FULL_COUNT}" else name) for name, variant in COUNTS.items()},
    "ours": Method("Ours", "full"),
    "ours-mini": Method(OURS_AS_MINI.title, MINI),
    "x2face": Method("X2Face", "x2face"),
    "mocogan": Method("MoCoGAN", "mocogan"),
    "cmm-net": Method("CMM-Net", "cmmnet"),
    "sv2p": Method("SV2P", "sv2p"),
}

EQUAL_STEPS = {MINI: 1.9, "x2face": 4.0, "mocogan": 1.5, "cmmnet": 3.5, "sv2p": 0.9}
"""Steps of a rival, or of ours with the preset mini, in the time of one of ours, so that all methods of a table learn for
equally many minutes: measured by ``benchmarks/rivals.py --steps`` on one core in bf16 (benchmarks/training.md)."""


def variant(name: str) -> Variant:
    """Looks a variant up.

    Raises:
        UserError: unknown name.
    """
    known = VARIANTS | COUNTS | {MINI: OURS_AS_MINI}
    if name not in known:
        raise unknown_name("variant", name, known)
    return known[name]


def variant_config(name: str, data: str = "mini-taichi") -> MonkeyNetConfig:
    """Configuration of a variant of our small model (``model.plain_mini_config``) for a data set.

    Raises:
        UserError: unknown variant.
    """
    return variant(name).change(preset(preset_of(data, name)))


def preset_of(data: str, variant: str = "full") -> str:
    """The preset that a miniature is trained with: the paper's losses, since the paper's tables are what is compared.

    Args:
        data: miniature.
        variant: whose row it is; ``mini`` alone has a preset of its own.
    """
    name = MINI if variant == MINI else "mini-plain"
    return f"{name}-absolute" if data == "mini-mgif" else name


def shared_recipe(data: str, seed: int, variant: str = "full") -> Recipe:
    """How every variant of a preset is trained on a data set: all alike, so that only the configuration differs."""
    return recipe_for(preset_of(data, variant), data, seed, generated=True)


def covers(method: str, data: str) -> bool:
    """Whether a row of a table has a cell on a data set: the paper compares CMM-Net and SV2P on one each."""
    behind = METHODS[method].variant
    return behind not in baselines.RIVALS or data in baselines.RIVALS[behind].data


# ------------------------------------------------------------------------------------------------------------- budgets


@dataclass(frozen=True)
class Effort:
    """How much one run may cost: a number of *steps*, never of minutes, so that no figure depends on the machine's load.

    Attributes:
        name: of the budget.
        steps: of training, of ours; others take as many as fit into the same time (``EQUAL_STEPS``).
        clips: training clips drawn from the seed.
        frames: drawn of each of them.
        seeds: how many, where nothing else is asked for.
        shipped: of the shipped test clips, this many are measured.
        unseen: so many clips of further unseen characters are measured too.
        landmark_clips: from which true joints are told from keypoints.
        predictor_clips: whole clips whose keypoints a predictor learns from, or whose frames a rival does that makes films.
        predictor_steps: of its training.
        checkpoint: seconds between checkpoints.
        note: marks everything that comes of it, or empty.
    """

    name: BudgetName
    steps: int
    clips: int
    frames: int
    seeds: int
    shipped: int
    unseen: int
    landmark_clips: int
    predictor_clips: int
    predictor_steps: int
    checkpoint: float = 120.0
    note: str = ""


BUDGETS: dict[str, Effort] = {
    "smoke": Effort("smoke", 4, 16, 4, 1, 2, 0, 4, 8, 4, 5.0, SMOKE_NOTE),
    # 0.45 s a step on two quiet cores (mini, 16 pairs, bf16): 4.5 and 12 minutes.
    "short": Effort("short", 600, 1000, 12, 2, 20, 20, 100, 300, 600),
    "cpu": Effort("cpu", 1600, 1000, 12, 2, 20, 20, 100, 300, 600),
    "gpu": Effort("gpu", 5000, 1000, 12, 2, 20, 20, 100, 300, 600),
}


def effort(name: str) -> Effort:
    """Looks a budget up.

    Raises:
        UserError: unknown name.
    """
    if name not in BUDGETS:
        raise unknown_name("budget", name, BUDGETS)
    return BUDGETS[name]


# --------------------------------------------------------------------------------------------------------- experiments


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the paper.

    Attributes:
        name: on the command line.
        title: what it shows.
        task: what the models do in it.
        methods: rows, rivals included.
        data: data sets.
    """

    name: str
    title: str
    task: Task
    methods: tuple[str, ...]
    data: tuple[str, ...] = ("mini-taichi",)


# The first experiment that holds a cell is where its record lies.
EXPERIMENTS: dict[str, Experiment] = {
    e.name: e
    for e in (
        Experiment("table2", "Table 2 in miniature: ablations", "reconstruction", tuple(VARIANTS)),
        Experiment("fig7", "Figure 7 in miniature: number of keypoints", "reconstruction", tuple(COUNTS)),
        Experiment(
            "table1",
            "Table 1 in miniature: reconstruction",
            "reconstruction",
            ("x2face", "ours", "ours-mini"),
            ("mini-taichi", "mini-nemo", "mini-bair"),
        ),
        Experiment(
            "table3",
            "Table 3 in miniature: image to video",
            "prediction",
            ("mocogan", "cmm-net", "sv2p", "ours", "ours-mini"),
            ("mini-taichi", "mini-nemo", "mini-bair"),
        ),
    )
}


def experiment(name: str) -> Experiment:
    """Looks an experiment up.

    Raises:
        UserError: unknown name.
    """
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]


def choose_methods(what: Experiment, wanted: Sequence[str] | None = None) -> list[str]:
    """Rows to run, in the order of the paper's table.

    Args:
        what: the experiment.
        wanted: names; None for all of its rows.

    Raises:
        UserError: a name that is no row of this experiment.
    """
    for name in wanted or ():
        if name not in what.methods:
            raise unknown_name(f"method of {what.name}", name, what.methods)
    return [name for name in what.methods if wanted is None or name in wanted]


# ---------------------------------------------------------------------------------------------------------------- jobs


@dataclass(frozen=True)
class Job:
    """One run: a model to train with one seed, and to measure at one task.

    Attributes:
        experiment: where its record lies.
        variant: of the model.
        data: miniature.
        task: what is measured.
        seed: of weights, training clips and everything drawn.
        effort: how long.
    """

    experiment: str
    variant: str
    data: str
    task: Task
    seed: int
    effort: Effort

    @property
    def name(self) -> str:
        """Of the record: ``VARIANT-seedN``, with the data set between where the experiment has several."""
        several = len(EXPERIMENTS[self.experiment].data) > 1
        return f"{self.variant}{f'-{self.data}' if several else ''}-seed{self.seed}"

    @property
    def rival(self) -> str | None:
        """Name of the rival that is trained, or None for a model of ours."""
        return self.variant if self.variant in baselines.RIVALS else None

    @property
    def config(self) -> MonkeyNetConfig | baselines.RivalConfig:
        """Of the model."""
        return config_of(self.rival) if self.rival else variant_config(self.variant, self.data)

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        if self.rival:
            return baselines.recipe_for(self.rival, self.data, self.seed, generated=True)
        return shared_recipe(self.data, self.seed, self.variant)

    @property
    def steps(self) -> int:
        """Of training: as many as take the time of ``effort.steps`` of ours."""
        return max(1, round(self.effort.steps * EQUAL_STEPS.get(self.variant, 1.0)))

    @property
    def training_clips(self) -> tuple[int, int | None]:
        """How many clips are learned from, and how many frames of each; None for all."""
        if self.rival and takes_windows(self.rival):
            return self.effort.predictor_clips, None
        return self.effort.clips, self.effort.frames

    @property
    def predictor(self) -> tuple[PredictorConfig, PredictorRecipe] | None:
        """Of the keypoints to come, for the task prediction: the paper's deterministic form."""
        if self.task != "prediction" or self.rival:
            return None
        config = PredictorConfig(variant_config(self.variant, self.data).detector.keypoints)
        return config, PredictorRecipe(steps=self.effort.predictor_steps, seed=self.seed)

    def training_identity(self) -> dict[str, Any]:
        """Everything that decides the trained model, as JSON values: two runs of one name must agree in it."""
        plan = {
            "variant": self.variant,
            "data": self.data,
            "seed": self.seed,
            "budget": self.effort.name,
            "steps": self.steps,
            "training_clips": self.training_clips[0],
            "frames": self.training_clips[1],
            "config": asdict(self.config),
            "recipe": asdict(self.recipe),
        }
        return _json_values(plan)

    def identity(self) -> dict[str, Any]:
        """Everything that decides a record's figures, as JSON values: the model, the predictor, the clips."""
        plan = {"test_clips": [self.effort.shipped, self.effort.unseen], **self.training_identity()}
        if self.predictor is not None:
            config, how = self.predictor
            plan |= {"predictor_clips": self.effort.predictor_clips}
            plan |= {"predictor_config": asdict(config), "predictor_recipe": asdict(how)}
        return _json_values(plan)


def _json_values(plan: dict[str, Any]) -> dict[str, Any]:
    """What a JSON file would give back."""
    values: dict[str, Any] = json.loads(json.dumps(plan))
    return values


def job_of(what: Experiment, method: str, data: str, seed: int, how: Effort) -> Job:
    """The run behind one cell; cells that mean the same run give the same job."""
    behind = METHODS[method].variant
    for other in EXPERIMENTS.values():
        held = {METHODS[name].variant for name in other.methods}
        if other.task == what.task and data in other.data and behind in held:
            return Job(other.name, behind, data, what.task, seed, how)
    raise AssertionError(what, method, data)


def jobs_of(what: Experiment, methods: Sequence[str], seeds: Sequence[int], how: Effort) -> list[Job]:
    """All runs of an experiment, seed by seed, so that a table stopped half way has every row."""
    cells = [(data, method) for data in what.data for method in methods if covers(method, data)]
    return [job_of(what, method, data, seed, how) for seed in seeds for data, method in cells]


def find_job(what: Experiment, name: str, how: Effort) -> Job:
    """The run of a name as in ``full-seed0``.

    Raises:
        UserError: the experiment has no such run.
    """
    match = re.fullmatch(r".+-seed(\d+)", name)
    jobs = jobs_of(what, what.methods, [int(match[1])] if match else [0], how)
    for job in jobs:
        if job.name == name:
            return job
    raise unknown_name(f"run of {what.name}", name, [job.name for job in jobs])
