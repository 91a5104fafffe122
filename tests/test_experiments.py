"""Experiments: variants differ in what their names say, runs survive anything, and tables say no more than the runs do."""

from __future__ import annotations

import copy
import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from monkeynet_edu import baselines, experiments, metrics, training
from monkeynet_edu.baselines.cmmnet import CMMNetConfig
from monkeynet_edu.baselines.x2face import X2FaceConfig
from monkeynet_edu.data.datasets import open_dataset
from monkeynet_edu.data.sprites import training_clips
from monkeynet_edu.errors import UserError
from monkeynet_edu.experiments import (
    BUDGETS,
    COUNTS,
    EXPERIMENTS,
    VARIANTS,
    Job,
    Places,
    choose_methods,
    comparison,
    effort,
    experiment,
    find_job,
    jobs_of,
    measuring,
    order_stability,
    paired_bootstrap,
    plans,
    pool,
    records,
    reproduction,
    run_job,
    runs,
    variant_config,
)
from monkeynet_edu.model import Device, MonkeyNetConfig, mini_config, plain_mini_config, preset
from monkeynet_edu.paths import data_small
from monkeynet_edu.prediction import Predictor
from monkeynet_edu.training import CHECKPOINT_FILE

CPU = Device(torch.device("cpu"), "float32")
ROOT = Path(__file__).resolve().parent.parent


def made(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------------------------------------------------- statistics


def test_a_constant_difference_has_an_interval_of_no_width() -> None:
    b = torch.rand(12, generator=made(), dtype=torch.float64)
    low, high = paired_bootstrap(b + 2, b, 500, made())
    assert (low, high) == pytest.approx((2, 2))


def test_the_interval_of_two_clips_is_worked_out_by_hand() -> None:
    # Differences 0 and 1: a draw of two clips has the mean 0, ½ or 1 with probability ¼, ½, ¼: from 0 to 1.
    assert paired_bootstrap(torch.tensor([5.0, 8.0]), torch.tensor([5.0, 7.0]), 2000, made()) == (0, 1)
    # Nine clips differ by 0, one by 10: P(it is not drawn) = 0.9^10 = 0.35, P(drawn four times or more) = 1.3 %.
    a = torch.zeros(10)
    a[3] = 10
    low, high = paired_bootstrap(a, torch.zeros(10), 5000, made())
    assert (low, high) == (0, 3)


def test_the_interval_is_that_of_a_loop_over_draws() -> None:
    a, b = (torch.rand(7, generator=made(s), dtype=torch.float64) for s in (1, 2))
    drawn = torch.randint(7, (200, 7), generator=made(5))
    means = sorted(sum(float(a[i]) - float(b[i]) for i in row) / 7 for row in drawn.tolist())
    ends = [np.interp(share * 199, range(200), means) for share in (0.025, 0.975)]
    assert paired_bootstrap(a, b, 200, made(5)) == pytest.approx(ends)


def test_the_interval_is_scipys() -> None:
    a = torch.rand(40, generator=made(1), dtype=torch.float64) ** 2
    b = torch.rand(40, generator=made(2), dtype=torch.float64) * 0.5
    theirs = stats.bootstrap(
        ((a - b).numpy(),), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert paired_bootstrap(a, b, 20_000, made()) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_pairs_are_kept_together() -> None:
    hard = torch.rand(40, generator=made(), dtype=torch.float64)
    low, high = paired_bootstrap(hard + 0.01, hard, 2000, made())
    assert (low, high) == pytest.approx((0.01, 0.01))
    low, high = paired_bootstrap(hard + 0.01, hard.flip(0), 2000, made())
    assert low < 0 < high


def test_order_stability_is_worked_out_by_hand() -> None:
    # Means of method 0 over two drawn clips: 0, ½, 1 with probability ¼, ½, ¼; method 1 always 0.4.
    shares = order_stability(torch.tensor([[0.0, 1.0], [0.4, 0.4]]), 20_000, made())
    assert shares[0, 1] == pytest.approx(0.25, abs=0.015)
    assert shares[0, 1] + shares[1, 0] == pytest.approx(1)


def test_a_tie_counts_half_and_a_method_ties_with_itself() -> None:
    shares = order_stability(torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 3.0]]), 100, made())
    assert shares.tolist() == [[0.5, 0.5, 1], [0.5, 0.5, 1], [0, 0, 0.5]]


def test_order_stability_is_that_of_a_loop_over_draws() -> None:
    values = torch.rand(3, 5, generator=made(3), dtype=torch.float64)
    drawn = torch.randint(5, (50, 5), generator=made(4)).tolist()
    wanted = torch.zeros(3, 3, dtype=torch.float64)
    for row in drawn:
        means = [sum(float(values[m, i]) for i in row) / 5 for m in range(3)]
        for i, j in itertools.product(range(3), range(3)):
            wanted[i, j] += (1.0 if means[i] < means[j] else 0.5 if i == j else 0.0) / 50
    torch.testing.assert_close(order_stability(values, 50, made(4)), wanted)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.97, "holds in 97 % of the draws"),
        (0.95, "holds in 95 % of the draws"),
        (0.61, "not decided (holds in 61 % of the draws)"),
        (0.02, "reversed (holds in 2 % of the draws)"),
    ],
)
def test_verdicts_are_words(share: float, words: str) -> None:
    assert comparison.verdict(share) == words


# ------------------------------------------------------------------------------------------------------------ variants

CHANGED = {
    "full": set(),
    "no_flow": {"generator.motion", "losses.deformed"},
    "no_residual": {"generator.motion.flow"},
    "no_coarse": {"generator.motion.flow"},
    "no_covariance": {"detector.covariance"},
    "no_source": {"generator.motion.embedding.features"},
    "k1": {"detector.keypoints"},
    "k2": {"detector.keypoints"},
    "k4": {"detector.keypoints"},
    "k10": set(),
    "k20": {"detector.keypoints"},
}


def changed_fields(ours: Any, theirs: Any, name: str = "") -> set[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        return set().union(*(changed_fields(ours[k], theirs[k], f"{name}.{k}".lstrip(".")) for k in ours))
    return set() if ours == theirs else {name}


@pytest.mark.parametrize("name", list(VARIANTS | COUNTS))
def test_a_variant_differs_from_the_full_model_in_exactly_what_its_name_says(name: str) -> None:
    config = variant_config(name)
    assert changed_fields(asdict(config), asdict(plain_mini_config())) == CHANGED[name]


def test_variants_have_the_papers_values() -> None:
    assert variant_config("no_flow").generator.motion is None
    assert variant_config("no_flow").losses.deformed == 0
    flows = {name: variant_config(name).generator.motion.flow for name in ("full", "no_residual", "no_coarse")}
    assert flows == {"full": ("coarse", "residual"), "no_residual": ("coarse",), "no_coarse": ("residual",)}
    assert variant_config("no_covariance").detector.covariance == 0.01
    assert variant_config("no_source").generator.motion.embedding.features == ("heatmap",)
    assert [variant_config(name).detector.keypoints for name in COUNTS] == [1, 2, 4, 10, 20]


@pytest.mark.parametrize("name", [name for name in VARIANTS | COUNTS if name != "k10"])
def test_every_variant_takes_a_training_step(name: str) -> None:
    config = variant_config(name)
    run = training.start(config, plans.shared_recipe("mini-taichi", 0), "mini-taichi", CPU)
    before = run.model.generator.last.weight.clone()
    torch.manual_seed(1)
    source, driving = torch.rand(2, 2, 3, 64, 64)
    result = training.training_step(run.model.train(), run.optimizers, source, driving, CPU)
    assert all(math.isfinite(float(loss)) for loss in result.losses.values())
    assert ("deformed" in result.losses) == (name != "no_flow")
    assert not torch.equal(before, run.model.generator.last.weight)
    assert result.keypoints[0].mean.shape[1] == config.detector.keypoints


def test_an_unknown_variant_budget_experiment_or_method_is_refused_with_the_nearest_name() -> None:
    for call, words in (
        (lambda: variant_config("noflow"), "no_flow"),
        (lambda: effort("gpus"), "gpu"),
        (lambda: experiment("table4"), "table"),
        (lambda: choose_methods(experiment("table2"), ["ful"]), "full"),
        (lambda: find_job(experiment("table2"), "ful-seed1", effort("short")), "full-seed1"),
        (lambda: find_job(experiment("table2"), "nonsense", effort("short")), "expected one of"),
    ):
        with pytest.raises(UserError, match=words):
            call()


# ---------------------------------------------------------------------------------------------------------------- jobs


def all_jobs(budget: str = "short") -> list[Job]:
    return [j for e in EXPERIMENTS.values() for j in jobs_of(e, choose_methods(e), (0, 1), effort(budget))]


def test_cells_that_mean_the_same_run_share_it() -> None:
    how = effort("short")
    full = find_job(experiment("table2"), "full-seed1", how)
    assert plans.job_of(experiment("fig7"), "k10", "mini-taichi", 1, how) == full
    assert plans.job_of(experiment("table1"), "ours", "mini-taichi", 1, how) == full
    other = plans.job_of(experiment("table3"), "ours", "mini-taichi", 1, how)
    assert other != full
    places = Places(Path("results"), Path("runs"))
    assert places.run(other) == places.run(full), "one model, measured at two tasks"
    assert places.record(full) == Path("results/table2/full-seed1.json")
    assert places.record(other) == Path("results/table3/full-mini-taichi-seed1.json")


def test_no_two_runs_have_the_same_record_and_budgets_lie_apart() -> None:
    places = Places(Path("results"), Path("runs"))
    jobs = set(itertools.chain(*(all_jobs(budget) for budget in BUDGETS)))
    files = [places.record(job) for job in jobs]
    assert len(set(files)) == len(files)
    folders = {(str(places.run(job)), json.dumps(job.training_identity())) for job in jobs}
    assert len({folder for folder, _ in folders}) == len(folders)


def test_every_run_can_be_named_on_the_command_line() -> None:
    for job in all_jobs():
        assert find_job(experiment(job.experiment), job.name, job.effort) == job


def test_seeds_come_before_rows_so_that_half_a_table_has_every_row() -> None:
    jobs = jobs_of(experiment("table2"), list(VARIANTS), (0, 1), effort("short"))
    assert [job.seed for job in jobs] == [0] * 6 + [1] * 6


def test_a_rival_has_cells_on_the_data_sets_of_the_paper_alone() -> None:
    what = experiment("table3")
    cells = {(job.variant, job.data) for job in jobs_of(what, choose_methods(what), (0,), effort("short"))}
    assert {data for variant, data in cells if variant == "mini"} == set(what.data)
    cells = {cell for cell in cells if cell[0] != "mini"}
    assert cells == {
        ("mocogan", "mini-taichi"),
        ("full", "mini-taichi"),
        ("mocogan", "mini-nemo"),
        ("cmmnet", "mini-nemo"),
        ("full", "mini-nemo"),
        ("mocogan", "mini-bair"),
        ("sv2p", "mini-bair"),
        ("full", "mini-bair"),
    }


def test_table_1_compares_x2face_and_both_rows_of_ours_on_every_data_set() -> None:
    what = experiment("table1")
    cells = [(job.variant, job.data) for job in jobs_of(what, choose_methods(what), (0,), effort("short"))]
    assert cells == [(model, f"mini-{data}") for data in ("taichi", "nemo", "bair") for model in ("x2face", "full", "mini")]


def test_a_point_of_figure_7_is_a_model_of_its_own_but_for_the_full_one() -> None:
    jobs = jobs_of(experiment("fig7"), list(COUNTS), (0,), effort("short"))
    assert [job.variant for job in jobs] == ["k1", "k2", "k4", "full", "k20"]


def test_rivals_learn_for_equally_many_minutes_and_the_steps_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plans.EQUAL_STEPS, "x2face", 2.5)
    how = effort("short")
    job = find_job(experiment("table1"), "x2face-mini-nemo-seed1", how)
    assert job.steps == 2.5 * how.steps
    assert job.identity()["steps"] == job.steps
    assert job.recipe == baselines.recipe_for("x2face", "mini-nemo", 1, generated=True)
    bair = find_job(experiment("table1"), "x2face-mini-bair-seed0", how)
    assert bair.recipe == baselines.recipe_for("x2face", "mini-bair", 0, generated=True) != replace(job.recipe, seed=0)


def test_one_row_of_ours_has_the_preset_mini_with_its_recipe_for_equally_many_minutes() -> None:
    how = effort("short")
    job = find_job(experiment("table1"), "mini-mini-bair-seed1", how)
    assert job.config == mini_config()
    assert job.recipe == training.recipe_for("mini", "mini-bair", 1, generated=True)
    assert job.recipe.motion_first > 0 == plans.shared_recipe("mini-bair", 1).motion_first
    assert job.steps == round(plans.EQUAL_STEPS["mini"] * how.steps) > how.steps
    assert plans.METHODS["ours"].variant == "full", "the paper's row is the paper's model"


@pytest.mark.parametrize("variant", ["full", "mini", *baselines.RIVALS])
def test_the_tables_learn_at_the_best_of_the_rates_that_were_tried(variant: str) -> None:
    log = json.loads((data_small() / "results" / "rates.json").read_text("utf-8"))
    name = "ours" if variant == "full" else variant
    tried = {key.split()[1]: found for key, found in log.items() if key.split()[0] == name}
    assert len(tried) >= 3
    best = min(tried, key=lambda rate: tried[rate]["value"])
    job = Job("table1", variant, tried[best]["data"], "reconstruction", 0, effort("short"))
    assert job.recipe.learning_rate == float(best)


def test_a_rival_that_learns_from_windows_gets_whole_clips() -> None:
    how = effort("short")
    assert find_job(experiment("table3"), "sv2p-mini-bair-seed0", how).training_clips == (how.predictor_clips, None)
    assert find_job(experiment("table1"), "x2face-mini-bair-seed0", how).training_clips == (how.clips, how.frames)


def test_a_budget_is_a_number_of_steps_and_the_smoke_budget_is_marked() -> None:
    assert [BUDGETS[name].steps for name in ("smoke", "short", "cpu", "gpu")] == sorted(
        BUDGETS[name].steps for name in ("smoke", "short", "cpu", "gpu")
    )
    assert BUDGETS["smoke"].note == "smoke: not a result"
    assert all(not BUDGETS[name].note for name in BUDGETS if name != "smoke")
    recipe = find_job(experiment("table2"), "full-seed3", effort("smoke")).recipe
    assert recipe == training.recipe_for("mini-plain", "mini-taichi", 3, generated=True)


# ---------------------------------------------------------------------------------------------------------------- runs

def tiny(_: str = "mini-plain") -> MonkeyNetConfig:
    """The small model, smaller: no run of these tests takes more than a few seconds."""
    base = preset("mini-plain")
    assert base.generator.motion is not None
    motion = replace(base.generator.motion, width=4, max_width=8, levels=3, group_blocks=0)
    return replace(
        base,
        frame_size=32,
        detector=replace(base.detector, keypoints=3, width=4, max_width=8, levels=3),
        generator=replace(base.generator, width=4, max_width=8, levels=3, refinement_blocks=1, motion=motion),
        discriminator=replace(base.discriminator, width=4, max_width=8),
    )


def tiny_effort(steps: int) -> plans.Effort:
    return replace(effort("smoke"), steps=steps, clips=16, frames=2, landmark_clips=2, checkpoint=0.0, shipped=1)


def tiny_job(steps: int = 3, method: str = "full", seed: int = 0, table: str = "table2") -> Job:
    return plans.job_of(experiment(table), method, "mini-taichi", seed, tiny_effort(steps))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs take seconds."""
    config = tiny()
    monkeypatch.setattr(plans, "preset", lambda _: config)


def places_in(folder: Path) -> Places:
    return Places(folder / "results", folder / "runs")


def compared(record: dict[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("identity", "figures", "per_clip", "clips", "note")}


def run_elsewhere(job: Job, places: Places) -> subprocess.Popen[bytes]:
    """The same run in a process of its own."""
    program = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "import test_experiments as t\n"
        "config = t.tiny()\n"
        "t.plans.preset = lambda _: config\n"
        f"places = t.Places(Path({str(places.results)!r}), Path({str(places.runs)!r}))\n"
        f"t.run_job(t.tiny_job({job.effort.steps}), places, t.CPU)\n"
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL)


def checkpoint_step(folder: Path) -> int:
    if not (folder / CHECKPOINT_FILE).is_file():
        return 0
    _, header = training.load_tensors(folder / CHECKPOINT_FILE)
    return int(json.loads(header["progress"])["step"])


@pytest.mark.slow
def test_a_run_killed_in_the_middle_and_resumed_has_the_figures_of_an_undisturbed_one(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        job = tiny_job(14)
        broken, whole = places_in(tmp_path / "broken"), places_in(tmp_path / "whole")
        process = run_elsewhere(job, broken)
        limit = time.monotonic() + 120
        while checkpoint_step(broken.run(job)) < 2 and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        reached = checkpoint_step(broken.run(job))
        assert 2 <= reached < 14, "killed in the middle"
        assert not broken.record(job).exists()
        began = []
        real = training.train
        monkeypatch.setattr(training, "train", lambda run, *rest: began.append(run.step) or real(run, *rest))
        resumed = run_job(job, broken, CPU)
        undisturbed = run_job(job, whole, CPU)
        assert began == [reached, 0]
        assert compared(resumed) == compared(undisturbed)
    finally:
        torch.set_num_threads(threads)


def test_a_record_says_what_was_done_how_and_on_what(small: None, tmp_path: Path) -> None:
    job, places = tiny_job(2), places_in(tmp_path)
    job = replace(job, effort=replace(job.effort, shipped=2))
    record = run_job(job, places, CPU)
    assert places.record(job) == tmp_path / "results" / "smoke" / "table2" / "full-seed0.json"
    assert record["note"] == "smoke: not a result"
    assert record["identity"]["config"] == json.loads(job.config.to_json())
    assert [record["identity"][k] for k in ("variant", "seed", "budget", "steps")] == ["full", 0, "smoke", 2]
    assert record["hardware"]["cores"] == torch.get_num_threads()
    assert record["clips"] == ["0000", "0001"]
    for name in ("l1", "l1_moving"):
        assert len(record["per_clip"][name]) == 2
        assert np.mean(record["per_clip"][name]) == pytest.approx(record["figures"][name], abs=2e-5)
    assert record["per_clip"]["l1"][0] == round(record["per_clip"]["l1"][0], 5)
    assert not list(places.record(job).parent.glob(".*"))


SMALL_RIVALS = {"x2face": X2FaceConfig(width=2, code=4), "cmmnet": CMMNetConfig(width=2, hidden=4)}


@pytest.fixture
def small_rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rivals' runs take seconds, too."""
    monkeypatch.setattr(plans, "config_of", lambda name: SMALL_RIVALS[name])
    monkeypatch.setattr(baselines.registry, "config_of", lambda name: SMALL_RIVALS[name])


@pytest.mark.parametrize(
    ("table", "method", "data"), [("table1", "x2face", "mini-taichi"), ("table3", "cmm-net", "mini-nemo")]
)
def test_a_rival_is_trained_measured_and_not_made_again(
    small_rivals: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, method: str, data: str
) -> None:
    how = replace(tiny_effort(1), predictor_clips=8)
    job, places = plans.job_of(experiment(table), method, data, 0, how), places_in(tmp_path)
    record = run_job(job, places, CPU)
    assert record["identity"]["steps"] == job.steps == 4  # in the time of one of ours
    assert checkpoint_step(places.run(job)) == 4
    assert record["identity"]["config"] == json.loads(SMALL_RIVALS[job.variant].to_json())
    assert {"l1", "l1_moving", "akd", "aed", "mkr"} <= set(record["per_clip"])
    assert "fid" in record["figures"]
    assert not {"flow_epe", "landmark_error"} & set(record["figures"])
    monkeypatch.setattr(training, "train", None)
    assert run_job(job, places, CPU) == record


def test_a_rival_that_was_cut_short_goes_on_to_the_end_of_its_own_steps(
    small_rivals: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, places = plans.job_of(experiment("table1"), "x2face", "mini-taichi", 0, tiny_effort(1)), places_in(tmp_path)
    whole = run_job(job, places_in(tmp_path / "whole"), CPU)
    taken = baselines.RivalRun.take

    def take(run: baselines.RivalRun, *given: Any) -> baselines.RivalStep:
        if run.step == 2:
            raise KeyboardInterrupt
        return taken(run, *given)

    with monkeypatch.context() as patch:
        patch.setattr(baselines.RivalRun, "take", take)
        with pytest.raises(KeyboardInterrupt):
            run_job(job, places, CPU)
    assert checkpoint_step(places.run(job)) == 2 > job.effort.steps
    assert compared(run_job(job, places, CPU)) == compared(whole)
    assert checkpoint_step(places.run(job)) == 4


def test_a_run_is_measured_on_shipped_and_unseen_clips_the_same_ones_for_every_seed_and_method() -> None:
    how = replace(effort("short"), shipped=2, unseen=3)
    jobs = [find_job(experiment("table1"), f"{name}-mini-nemo-seed{s}", how) for name in ("full", "x2face") for s in (0, 1)]
    clips = [measuring.measured_clips(job) for job in jobs]
    assert [clip.name for clip in clips[0]] == ["0000", "0001", "unseen-0000", "unseen-0001", "unseen-0002"]
    for other in clips[1:]:
        assert all(a.name == b.name and np.array_equal(a.frames, b.frames) for a, b in zip(clips[0], other, strict=True))
    shipped = open_dataset("mini-nemo", "test")
    assert all(np.array_equal(clips[0][i].frames, shipped[i].frames) for i in range(2))
    learned = {clip.truth.identity for job in jobs[:2] for clip in training_clips("mini-nemo", job.seed, 40, 64, 1)}
    assert learned.isdisjoint(clip.truth.identity for clip in clips[0])


def test_what_can_be_computed_depends_on_the_kind_of_model(
    small: None, small_rivals: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "_computable", {})
    table = experiment("table1")
    jobs = [plans.job_of(table, name, "mini-taichi", 0, tiny_effort(1)) for name in ("ours", "x2face")]
    found = [measuring.computable(job, CPU) for job in jobs]
    assert found[0] - found[1] >= {"flow_epe", "l1_deformed", "landmark_error"}
    assert found[1] >= {"l1", "l1_moving", "akd", "mkr", "aed"}


@pytest.mark.parametrize("budget", list(BUDGETS))
def test_every_run_of_every_budget_has_clips_for_a_batch(budget: str) -> None:
    for job in all_jobs(budget):
        assert job.training_clips[0] >= job.recipe.batch_size, job.name


def test_a_finished_run_is_not_made_again_and_one_that_lacks_figures_is_measured_without_training(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, places = tiny_job(2), places_in(tmp_path)
    first = run_job(job, places, CPU)
    monkeypatch.setattr(training, "train", None)
    measured = []
    real = runs.measure
    monkeypatch.setattr(runs, "measure", lambda *given: measured.append(1) or real(*given))
    assert run_job(job, places, CPU) == first
    assert not measured
    lacking = {**first, "per_clip": {k: v for k, v in first["per_clip"].items() if k != "l1_moving"}, "commit": "before"}
    records.write_json(places.record(job), lacking)
    again = run_job(job, places, CPU)
    assert measured == [1]
    assert compared(again) == compared(first)
    assert again["commit"] == "before", "of the training"
    records.write_json(places.record(job), {**first, "instruments": {**first["instruments"], "detector": "another"}})
    assert compared(run_job(job, places, CPU)) == compared(first)
    assert measured == [1, 1]


def test_a_record_whose_model_is_gone_stays_and_is_named(small: None, tmp_path: Path) -> None:
    job, places = tiny_job(1), places_in(tmp_path)
    records.write_json(places.record(job), shipped_record(job))
    left, stale = reproduction.unfinished([job], places, CPU)
    assert (left, list(stale)) == ([], [str(places.record(job))])
    with pytest.raises(UserError, match="no model to measure"):
        run_job(job, places, CPU)


def shipped_record(job: Job) -> dict[str, Any]:
    return {"identity": job.identity(), "figures": {}, "per_clip": {}, "clips": [], "instruments": {}}


def test_another_configuration_under_the_same_name_is_refused_in_one_line(small: None, tmp_path: Path) -> None:
    places = places_in(tmp_path)
    run_job(tiny_job(1), places, CPU)
    longer = tiny_job(2)
    for path in (places.record(longer), places.run(longer) / runs.PLAN_FILE):
        with pytest.raises(UserError) as refused:
            run_job(longer, places, CPU)
        assert str(path) in str(refused.value)
        assert "steps: 2 here, 1 there" in str(refused.value)
        assert "\n" not in str(refused.value)
        places.record(longer).unlink(missing_ok=True)


def test_a_record_of_before_a_setting_existed_counts_as_its_default(tmp_path: Path) -> None:
    job = tiny_job(1)
    ours = job.identity()
    earlier = copy.deepcopy(ours)
    del earlier["recipe"]["learns"], earlier["config"]["generator"]["draws"]
    records.check_identity(tmp_path, ours, earlier)
    ours["config"]["generator"]["draws"] = "change"
    with pytest.raises(UserError, match=r"config\.generator\.draws: change here, whole there"):
        records.check_identity(tmp_path, ours, earlier)


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"identity": 3}'], ids=["empty", "cut", "list", "bare", "part"])
def test_a_broken_record_is_named_and_nothing_is_trained(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(training, "train", None)
    job, places = tiny_job(1), places_in(tmp_path)
    path = places.record(job)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    for call in (lambda: run_job(job, places, CPU), lambda: reproduction.unfinished([job], places, CPU)):
        with pytest.raises(UserError, match=path.name) as refused:
            call()
        assert "\n" not in str(refused.value)
    assert path.read_text() == text


def test_two_processes_do_not_train_the_same_model(small: None, tmp_path: Path) -> None:
    job, places = tiny_job(1), places_in(tmp_path)
    with runs.locked(places.run(job)), pytest.raises(UserError, match="another process"):
        run_job(job, places, CPU)


def test_a_run_stopped_by_ctrl_c_has_no_record(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, places = tiny_job(2), places_in(tmp_path)
    monkeypatch.setattr(training, "train", lambda *_: training.Report(1, 1.0, False, {}))
    with pytest.raises(KeyboardInterrupt):
        run_job(job, places, CPU)
    assert not places.record(job).exists()


def test_the_prediction_task_trains_a_predictor_once_on_the_model_of_the_reconstruction(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = places_in(tmp_path)
    run_job(tiny_job(1, "ours", table="table1"), places, CPU)
    monkeypatch.setattr(training, "train", None)
    job = tiny_job(1, "ours", table="table3")
    asked, real = [], metrics.measure

    def noting(*given: Any) -> metrics.Evaluation:
        asked.append((given[3], type(given[5])))
        return real(*given)

    monkeypatch.setattr(metrics, "measure", noting)
    record = run_job(job, places, CPU)
    assert asked == [("prediction", Predictor)]
    assert record["task"] == "prediction"
    assert record["identity"]["predictor_config"]["form"] == "single"
    assert {"fid", "aed", "mkr"} <= set(record["figures"])
    assert "landmark_error" not in record["figures"], "keypoints that are predicted are of another task"
    places.record(job).unlink()
    monkeypatch.setattr(runs, "train_predictor", None)
    assert compared(run_job(job, places, CPU)) == compared(record)


# ---------------------------------------------------------------------------------------------------------------- pool


def worker(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_process_that_dies_takes_no_other_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "POLL", 0.02)
    jobs = jobs_of(experiment("table2"), list(VARIANTS), (0,), effort("smoke"))
    deeds = {
        "no_flow": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "no_coarse": "import sys; print('error: no room'); sys.exit(2)",
    }

    def command(job: Job) -> list[str]:
        return worker(deeds.get(job.variant, f"open({str(tmp_path / job.name)!r}, 'w').close()"))

    busy = pool.Pool(places_in(tmp_path), command, 2)
    busy.work(jobs)
    assert busy.failed == {"no_flow-seed0": "killed by signal 9", "no_coarse-seed0": "error: no room"}
    there = {path.name for path in tmp_path.glob("*-seed0")}
    assert there == {f"{name}-seed0" for name in VARIANTS} - set(busy.failed)


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_asks_every_process_to_save_and_waits(tmp_path: Path, asked: signal.Signals) -> None:
    saver = (
        "import pathlib, signal, sys, time\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "def save(*_):\n    time.sleep(0.2); (here / 'saved').touch(); sys.exit(130)\n"
        "signal.signal(signal.SIGINT, save)\n"
        "(here / 'began').touch()\n"
        "time.sleep(60)\n"
    )
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from monkeynet_edu.experiments import *\nfrom monkeynet_edu.experiments import pool\n"
        f"places = Places(Path({str(tmp_path)!r}), Path({str(tmp_path)!r}))\n"
        "jobs = jobs_of(experiment('table2'), ['full', 'no_flow', 'no_source'], (0,), effort('smoke'))\n"
        f"command = lambda job: [sys.executable, '-c', {saver!r}, str(places.run(job))]\n"
        "try:\n    pool.Pool(places, command, 2).work(jobs)\n"
        "except KeyboardInterrupt:\n    print('stopped')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while len(list(tmp_path.rglob("began"))) < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    process.send_signal(asked)
    out, _ = process.communicate(timeout=30)
    assert out == "stopped\n"
    assert len(list(tmp_path.rglob("saved"))) == 2
    assert len(list(tmp_path.rglob("began"))) == 2, "the third never began"


def test_processes_share_threads_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(pool, "cores", lambda: 8)
    monkeypatch.setattr(pool, "gpus", list)
    assert pool.default_jobs() == 4
    assert pool.environment(3, 4)["OMP_NUM_THREADS"] == "2"
    monkeypatch.setattr(pool, "gpus", lambda: ["0", "3"])
    assert pool.default_jobs() == 4
    assert [pool.environment(slot, 4)["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == ["0", "3", "0", "3"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert pool.environment(0, 1)["OMP_NUM_THREADS"] == "1"


# -------------------------------------------------------------------------------------------------------------- tables

NOTE = "made up for a test"


def made_up(job: Job, per_clip: dict[str, list[float | None]]) -> dict[str, Any]:
    """A record of figures that nobody measured."""
    known = {name: [v for v in values if v is not None] for name, values in per_clip.items()}
    return {
        "format": 1,
        "note": NOTE,
        "experiment": job.experiment,
        "task": job.task,
        "identity": job.identity(),
        "training_seconds": 60.0,
        "evaluation_seconds": 1.0,
        "hardware": {"processor": "none", "device": "cpu", "cores": 2, "precision": "float32", "torch": "0", "python": "0"},
        "commit": None,
        "instruments": {},
        "figures": {name: sum(values) / len(values) for name, values in known.items() if values},
        "clips": [str(i) for i in range(len(next(iter(per_clip.values()))))],
        "per_clip": per_clip,
    }


def fill(
    folder: Path, table: str, values: dict[tuple[str, int], dict[str, list[float | None]]], data: str = "mini-taichi"
) -> Places:
    """Writes made-up records: (method, seed) → figures of each clip."""
    places = places_in(folder)
    for (method, seed), per_clip in values.items():
        job = plans.job_of(experiment(table), method, data, seed, effort("short"))
        records.write_json(places.record(job), made_up(job, per_clip))
    return places


AKD = {"full": [1.0, 2.0, 3.0], "no_flow": [2.0, 3.0, 4.0], "no_source": [0.5, 1.5, 2.5]}


def simple(folder: Path) -> Places:
    values = {(m, s): {"akd": [v + s for v in akd], "l1_moving": akd} for m, akd in AKD.items() for s in (0, 1)}
    return fill(folder, "table2", values)


def test_a_comparison_has_the_differences_ranking_and_orders_that_the_figures_have(tmp_path: Path) -> None:
    what = experiment("table2")
    outcomes = comparison.gather(what, effort("short"), simple(tmp_path), list(AKD))
    found = comparison.compare(what, outcomes, "akd")
    assert found is not None
    assert found.ranking == ["no_source", "full", "no_flow"]
    assert (found.seeds, found.clips) == ((0, 1), 3)
    by_method = {d.method: (d.mean, d.low, d.high) for d in found.differences}
    assert by_method == {"no_flow": (1, 1, 1), "no_source": (-0.5, -0.5, -0.5)}
    claims = {(c.better, c.worse): c.words() for c in found.claims}
    assert claims == {
        ("full", "no_source"): "reversed (holds in 0 % of the draws); in 0 of 2 seeds",
        ("full", "no_flow"): "holds in 100 % of the draws; in 2 of 2 seeds",
        ("no_source", "no_flow"): "holds in 100 % of the draws; in 2 of 2 seeds",
    }


def test_notes_among_the_figures_of_a_record_are_no_figures(tmp_path: Path) -> None:
    job = plans.job_of(experiment("table2"), "full", "mini-taichi", 0, effort("short"))
    record = made_up(job, {"akd": [1.0, 2.0]})
    words = {"notes": ["fid: features of one network"], "not_measurable": {"fid": "too few frames"}}
    record["figures"] |= {**words, "fid": None}
    places = places_in(tmp_path)
    records.write_json(places.record(job), record)
    (outcome,) = comparison.gather(experiment("table2"), effort("short"), places, ["full"])
    assert set(outcome.figures) == {"akd", "fid"}
    assert math.isnan(outcome.figures["fid"][0])


def test_a_clip_counts_once_however_many_seeds_there_are(tmp_path: Path) -> None:
    rng = random.Random(0)
    full, other = ([rng.random() for _ in range(20)] for _ in range(2))
    found = []
    for folder, seeds in (("one", (0,)), ("four", (0, 1, 2, 3))):
        values = {(m, s): {"akd": v} for m, v in (("full", full), ("no_flow", other)) for s in seeds}
        places = fill(tmp_path / folder, "table2", values)
        what = experiment("table2")
        came = comparison.compare(what, comparison.gather(what, effort("short"), places, ["full", "no_flow"]), "akd")
        assert came is not None
        found.append(came.differences)
    assert found[0] == found[1]


def test_figures_of_several_seeds_are_averaged_clip_by_clip(tmp_path: Path) -> None:
    values: dict[tuple[str, int], dict[str, list[float | None]]] = {
        ("full", 0): {"akd": [1.0, 2.0, 3.0]},
        ("full", 1): {"akd": [3.0, 2.0, 1.0]},  # in the mean 2 on each clip
        ("no_flow", 0): {"akd": [2.0, 3.0, 4.0]},
        ("no_flow", 1): {"akd": [6.0, 5.0, 4.0]},  # in the mean 4
    }
    what, places = experiment("table2"), fill(tmp_path, "table2", values)
    came = comparison.compare(what, comparison.gather(what, effort("short"), places, ["full", "no_flow"]), "akd")
    assert came is not None
    assert [(d.mean, d.low, d.high, d.percent) for d in came.differences] == [(2, 2, 2, 50)]


def test_only_shared_seeds_and_clips_with_figures_are_compared(tmp_path: Path) -> None:
    values: dict[tuple[str, int], dict[str, list[float | None]]] = {
        ("full", 0): {"akd": [1.0, 2.0, 3.0, 4.0]},
        ("full", 1): {"akd": [100.0, 100.0, 100.0, 100.0]},
        ("no_flow", 0): {"akd": [2.0, None, 4.0, 5.0]},
    }
    what = experiment("table2")
    places = fill(tmp_path, "table2", values)
    came = comparison.compare(what, comparison.gather(what, effort("short"), places, ["full", "no_flow"]), "akd")
    assert came is not None
    assert (came.seeds, came.clips) == ((0,), 3)
    assert came.differences[0].mean == 1
    said = experiments.report(what, effort("short"), places).remarks
    assert any("same seeds" in line for line in said)
    assert any(line.startswith("No record yet: No F_residual") for line in said)


def test_records_of_other_clips_are_not_compared(tmp_path: Path) -> None:
    places = fill(tmp_path, "table2", {("full", 0): {"akd": [1.0, 2.0]}, ("no_flow", 0): {"akd": [1.0, 2.0, 3.0]}})
    with pytest.raises(UserError, match="no_flow-seed0: expected the same test clips as full"):
        experiments.report(experiment("table2"), effort("short"), places)


def test_results_of_another_budget_are_not_mixed_in(tmp_path: Path) -> None:
    what, places = experiment("table2"), simple(tmp_path)
    with pytest.raises(UserError, match="expected records of table2, got none"):
        experiments.report(what, effort("gpu"), places)
    path = places.record(find_job(what, "full-seed0", effort("gpu")))
    path.parent.mkdir(parents=True)
    path.write_bytes(places.record(find_job(what, "full-seed0", effort("short"))).read_bytes())
    with pytest.raises(UserError, match="budget: gpu here, short there"):
        experiments.report(what, effort("gpu"), places)


def test_a_table_has_the_figures_the_papers_and_the_note(tmp_path: Path) -> None:
    found = experiments.report(experiment("table2"), effort("short"), simple(tmp_path))
    assert found.columns == ["method", "L1 of moving pixels", "AKD (px)", "seeds"]
    assert found.rows[0] == ["Full", "2.0000", "2.50", "0, 1"]
    assert NOTE in found.title
    page = found.markdown("table2.png", "what it shows")
    assert "![what it shows](table2.png)" in page
    assert "AKD (px), Full below No F (paper: AKD 2.53 against 3.11): holds in 100 % of the draws; in 2 of 2 seeds." in page
    assert page.splitlines()[0].endswith(f"(budget short; {NOTE})")


def test_a_table_of_several_data_sets_names_the_one_that_each_line_speaks_of(tmp_path: Path) -> None:
    what = experiment("table1")
    for data, akd in (("mini-taichi", [1.0, 2.0, 3.0]), ("mini-nemo", [3.0, 4.0, 5.0])):
        values = {("x2face", 0): {"akd": akd}, ("ours", 0): {"akd": [2.0, 3.0, 4.0]}}
        fill(tmp_path, "table1", values, data)
    found = experiments.report(what, effort("short"), places_in(tmp_path))
    assert [line.split(":")[0] for line in found.differences] == [
        f"AKD (px) on {data}, X2Face minus the reference" for data in ("mini-taichi", "mini-nemo")
    ]
    ranked = [line for line in found.orders if line.startswith("Ranked")]
    assert ranked[0].startswith("Ranked by AKD (px) on mini-taichi, best first: X2Face, Ours. Of the paper's 1 order: ")
    assert ranked[1].startswith("Ranked by AKD (px) on mini-nemo, best first: Ours, X2Face. Of the paper's 1 order: ")


def test_the_papers_figures_stand_beside_their_own_kind(tmp_path: Path) -> None:
    figures = {"l1": [0.03, 0.04], "akd": [2.0, 2.0], "akd_l1": [1.5, 1.5], "mkr": [0.1, 0.2], "aed": [0.3, 0.3]}
    values: dict[tuple[str, int], dict[str, list[float | None]]] = {("full", 0): {**figures}}
    found = experiments.report(experiment("table2"), effort("short"), fill(tmp_path, "table2", values))
    shown = dict(zip(found.columns, found.rows[0], strict=True))
    assert shown["L1"] == "0.0350\npaper 0.050"
    assert shown["AKD (px)"] == "2.00"
    assert shown["AKD as published (px)"] == "1.50\npaper 2.53"
    assert shown["MKR"] == "15.0 %\npaper 17.4 %"
    assert shown["AED"] == "0.3000\npaper 0.210"
    assert any(line.startswith("Not ranked by") for line in found.remarks) is False


PRINTED: dict[str, dict[str, tuple[str, str]]] = {  # the paper's tables: data → names of the columns, then rows
    "table1": {
        "mini-taichi": ("L1 AKD MKR AED", "X2Face 0.068 4.50 35.7% 0.27 Ours 0.050 2.53 17.4% 0.21"),
        "mini-nemo": ("L1 AKD AED", "X2Face 0.022 0.47 0.140 Ours 0.017 0.37 0.072"),
        "mini-bair": ("L1", "X2Face 0.069 Ours 0.025"),
    },
    "table2": {
        "mini-taichi": (
            "L1 AKD MKR AED",
            "No_F 0.057 3.11 23.8% 0.24 No_F_residual 0.051 2.81 18.0% 0.22 No_F_coarse 0.052 2.75 19.7% 0.22 "
            "No_Σ_k 0.054 2.86 20.6% 0.23 No_x 0.051 2.71 19.3% 0.21 Full 0.050 2.53 17.4% 0.21",
        ),
    },
    "table3": {
        "mini-taichi": ("FID AED MKR", "MoCoGAN 54.83 0.27 46.2% Ours 19.75 0.17 30.3%"),
        "mini-nemo": ("FID AED", "MoCoGAN 51.50 0.33 CMM-Net 27.27 0.13 Ours 11.97 0.12"),
        "mini-bair": ("FID", "MoCoGAN 244.00 SV2P 57.90 Ours 23.20"),
    },
}
HEADS = {"L1": "L1", "AKD": "AKD as published (px)", "MKR": "MKR", "AED": "AED", "FID": "mini-FID"}


def number(text: str) -> float:
    """0.357 of ``35.7%`` and of ``35.7 %``."""
    return float(text.rstrip(" %")) / (100 if "%" in text else 1)


def printed(table: str) -> dict[tuple[str, str, str], float]:
    """Row, data and column → the paper's figure."""
    found = {}
    for data, (columns, text) in PRINTED[table].items():
        heads, words = columns.split(), text.split()
        for place in range(0, len(words), len(heads) + 1):
            row, *values = words[place : place + len(heads) + 1]
            title = row.replace("_", " ", 1)
            found |= {(title, data, HEADS[head]): number(v) for head, v in zip(heads, values, strict=True)}
    return found


@pytest.mark.parametrize("table", list(PRINTED))
def test_the_papers_figures_stand_in_their_own_cells_and_nowhere_else(tmp_path: Path, table: str) -> None:
    what = experiment(table)
    figures: dict[str, list[float | None]] = {n: [1.0, 2.0] for n in comparison.LABELS if n != "l1_moving"}
    for data in what.data:
        fill(tmp_path, table, {(m, 0): figures for m in choose_methods(what) if plans.covers(m, data)}, data)
    came = experiments.report(what, effort("short"), places_in(tmp_path))
    shown = {}
    for row in came.rows:
        cells = dict(zip(came.columns, row, strict=True))
        where = cells["method"], cells.get("data", what.data[0])
        shown |= {(*where, name): number(x.split("paper ")[1]) for name, x in cells.items() if "paper " in x}
    assert shown == pytest.approx(printed(table))
    assert len(came.rows) == len({outcome.method + outcome.data for outcome in came.outcomes})


def test_the_papers_ties_are_no_orders_and_figure_7_falls_with_k() -> None:
    orders = comparison.paper_orders(experiment("table2"), "mini-taichi", "l1_moving", list(VARIANTS))
    assert len(orders) == 14
    assert {("no_residual", "no_source"), ("no_source", "no_residual")}.isdisjoint(orders)
    counts = comparison.paper_orders(experiment("fig7"), "mini-taichi", "akd", list(COUNTS))
    assert counts == [("k2", "k1"), ("k4", "k2"), ("k10", "k4"), ("k20", "k10")]


def test_an_interval_says_worse_better_or_that_it_cannot_tell(tmp_path: Path) -> None:
    akd = {"full": [2.0, 4.0, 6.0], "no_flow": [3.0, 5.0, 7.0], "no_source": [1.0, 3.0, 5.0], "no_coarse": [1.0, 4.0, 8.0]}
    places = fill(tmp_path, "table2", {(m, 0): {"akd": values} for m, values in akd.items()})
    found = experiments.report(experiment("table2"), effort("short"), places)
    assert found.differences == [
        "AKD (px), No F minus the reference: +1.0000 (+25 %), 95 % interval 1.00 to 1.00: worse.",
        "AKD (px), No F_coarse minus the reference: +0.3333 (+8 %), 95 % interval -1.00 to 2.00: not told apart.",
        "AKD (px), No x minus the reference: -1.0000 (-25 %), 95 % interval -1.00 to -1.00: better.",
    ]


def test_films_are_ranked_by_aed_and_what_cannot_be_ranked_is_said(tmp_path: Path) -> None:
    rows = {("mocogan", 0): {"aed": [0.5, 0.6], "akd": [1.0, 2.0]}, ("ours", 0): {"aed": [0.2, 0.3], "akd": [3.0, 4.0]}}
    films = experiments.report(experiment("table3"), effort("short"), fill(tmp_path, "table3", rows))
    assert [line.split(".")[0] for line in films.orders if line.startswith("Ranked")] == [
        "Ranked by AED on mini-taichi, best first: Ours, MoCoGAN"
    ]
    bare = fill(tmp_path, "table2", {(m, 0): {"l1": [0.1, 0.2], "akd": [1.0, 2.0]} for m in ("full", "no_flow")})
    said = experiments.report(experiment("table2"), effort("short"), bare).remarks
    assert [line for line in said if "ranked by" in line] == [
        "Not ranked by L1 of moving pixels: not measured on at least two shared clips."
    ]


def test_the_steps_of_each_method_are_said_where_minutes_are_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plans.EQUAL_STEPS, "x2face", 2.5)
    places = fill(tmp_path, "table1", {(m, 0): {"akd": [1.0, 2.0]} for m in ("x2face", "ours")})
    said = experiments.report(experiment("table1"), effort("short"), places).remarks
    assert said[0].startswith("2 runs of equal minutes (X2Face 1500 steps; Ours 600 steps), 1 minutes")
    alike = fill(tmp_path, "table2", {(m, 0): {"akd": [1.0, 2.0]} for m in ("full", "no_flow")})
    assert experiments.report(experiment("table2"), effort("short"), alike).remarks[0].startswith("2 runs of 600 steps, 1 ")


def test_a_picture_of_several_data_sets_says_the_figures_and_differences_of_each_and_the_papers(tmp_path: Path) -> None:
    for data, rival, ours in (("mini-taichi", [2.0, 4.0], [1.0, 2.0]), ("mini-nemo", [3.0, 3.0], [2.0, 2.0])):
        fill(tmp_path, "table1", {("x2face", 0): {"akd": rival}, ("ours", 0): {"akd": ours}}, data)
    alt = experiments.report(experiment("table1"), effort("short"), places_in(tmp_path)).picture().alt
    # Differences of 1 and 2 px, of 1.5; the paper: 4.50 against 2.53 (4.50 / 2.53 = 1.78), and 0.47 against 0.37 (1.27).
    assert "mini-taichi: AKD (px): X2Face 3, Ours 1.5. Against Ours: X2Face +100 % (+67 to +133), paper +78 %." in alt
    assert "mini-nemo: AKD (px): X2Face 3, Ours 2. Against Ours: X2Face +50 % (+50 to +50), paper +27 %." in alt


def test_a_picture_of_films_shows_fid_first(tmp_path: Path) -> None:
    rows = {(m, 0): {"aed": [0.5, 0.6], "fid": [fid, fid]} for m, fid in (("mocogan", 40.0), ("ours", 20.0))}
    alt = experiments.report(experiment("table3"), effort("short"), fill(tmp_path, "table3", rows)).picture().alt
    assert "mini-taichi: mini-FID: MoCoGAN 40, Ours 20. mini-taichi: AED: MoCoGAN 0.55, Ours 0.55." in alt


def test_every_seed_is_a_dot_and_the_mean_a_line(tmp_path: Path) -> None:
    figure = experiments.report(experiment("table2"), effort("short"), simple(tmp_path)).picture().figure
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    dots = sorted(float(line.get_xdata()[0]) for line in lines if line.get_marker() != "None")
    means = [float(line.get_xdata()[0]) for line in lines if line.get_marker() == "None"]
    assert dots == [1.5, 2.0, 2.5, 3.0, 3.0, 4.0]  # no_source, full and no_flow with seeds 0 and 1
    assert means == [2.5, 3.5, 2.0]  # in the rows' order: full, no_flow, no_source


def png_text(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        return str(picture.info["Description"])


@pytest.mark.parametrize("table", list(EXPERIMENTS))
def test_page_and_picture_of_every_experiment_are_drawn_with_alt_text(tmp_path: Path, table: str) -> None:
    what = experiment(table)
    for data in what.data:
        figures: dict[str, list[float | None]] = {"akd": [1.0, 2.0], "l1_moving": [0.1, 0.2], "aed": [0.1, 0.3]}
        rows = {(method, seed): figures for method in choose_methods(what) if plans.covers(method, data) for seed in (0, 1)}
        places = fill(tmp_path, table, rows, data)
    found = experiments.report(what, effort("short"), places)
    page, picture = found.save(tmp_path)
    alt = png_text(picture)
    assert found.title in alt
    for outcome in found.outcomes:
        assert outcome.title in alt
    assert alt in page.read_text("utf-8")


def test_every_label_of_a_picture_lies_inside_it(tmp_path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    found = experiments.report(experiment("table2"), effort("short"), simple(tmp_path)).picture()
    FigureCanvasAgg(found.figure).draw()
    width, height = found.figure.bbox.size
    for axis in found.figure.axes:
        for text in [*axis.get_yticklabels(), axis.xaxis.label]:
            box = text.get_window_extent()
            assert box.x0 >= -1
            assert box.x1 <= width + 1
            assert box.y0 >= -1
            assert box.y1 <= height + 1


@pytest.mark.parametrize("table", ["table1", "table2", "table3"])
def test_no_key_of_a_shipped_tables_differences_covers_what_is_drawn(table: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    places = Places(ROOT / "data_small" / "results", Path("runs"))
    figure = experiments.report(experiment(table), effort("short"), places).picture().figure
    FigureCanvasAgg(figure).draw()
    looked = 0
    for axis in [axis for axis in figure.axes if " against " in axis.get_xlabel()]:
        key = axis.get_legend().get_window_extent().padded(4)  # a dot is wider than its place
        for line in [line for line in axis.lines if len(line.get_xdata()) and line.get_linestyle() != "--"]:
            points = axis.transData.transform(np.stack(line.get_data(), axis=1).astype(float))
            ends = np.linspace(points[0], points[-1], 20)
            looked += 1
            assert not any(key.contains(x, y) for x, y in ends), (axis.get_xlabel(), line.get_data())
    assert looked > 4


# ------------------------------------------------------------------------------------------------------------- shipped


def test_shipped_results_are_whole_and_no_smoke() -> None:
    folder = ROOT / "data_small" / "results"
    files = sorted(folder.rglob("*-seed*.json")) if folder.is_dir() else []
    if not files:
        pytest.skip("no results are shipped")
    for path in files:
        record = records.read_json(path)
        assert not (set(records.FIELDS) - set(record)), path
        assert "note" not in record, path
        assert record["identity"]["budget"] != "smoke"
        clips = len(record["clips"])
        assert all(len(values) == clips for values in record["per_clip"].values()), path
