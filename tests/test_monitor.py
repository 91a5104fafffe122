"""The monitor names every planted fault early, keeps silent about a sound training, and changes nothing."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from test_training import CPU, HOW, TINY, assert_same_bits, discs, new_run, weights

from monkeynet_edu import monitor, training
from monkeynet_edu.data.pairs import PairSampler
from monkeynet_edu.errors import UserError
from monkeynet_edu.monitor import PLANTS, Finding, Monitor, Vitals, origin, plant, symptom
from monkeynet_edu.training import (
    CHECKPOINT_FILE,
    FINDINGS_FILE,
    LAST_GOOD_FILE,
    Budget,
    Pace,
    Run,
    sabotage,
    train,
    training_step,
)

WITHIN = 50  # steps
IN_TRAINING = [name for name in PLANTS if name != monitor.FEW_CLIPS]


def watch(run: Run, clips, steps: int, until_found: bool = True) -> Monitor:
    """Trains and lets a monitor look, without files."""
    sampler = PairSampler(clips, run.recipe.batch_size, run.recipe.augmentation, run.recipe.seed)
    watcher = Monitor()
    run.model.train()
    for step in range(steps):
        source, driving = sampler.batch(step)
        done = training_step(run.model, run.optimizers, source, driving, CPU)
        watcher.observe(step + 1, source, driving, done.keypoints, done.generated, done.losses, run.model)
        if until_found and watcher.findings:
            break
    return watcher


# -------------------------------------------------------------------------------------------------------- planted faults


@pytest.mark.parametrize("name", IN_TRAINING)
def test_a_planted_fault_is_named_within_fifty_steps_and_named_first(name: str):
    run, clips = sabotage(plant(name), TINY, HOW, discs(), "discs", CPU)
    found = watch(run, clips, WITHIN).findings
    assert [finding.name for finding in found] == [name]
    assert found[0].step <= WITHIN
    assert "\n" not in str(found[0])
    assert found[0].advice


def test_a_sound_training_draws_no_word():
    watcher = watch(new_run(), discs(), WITHIN)
    assert watcher.findings == []
    assert [step for step, _ in watcher.vitals] == [*range(5, WITHIN + 1, 5)]


def test_fewer_clips_than_a_batch_are_refused_before_the_first_step(tmp_path: Path):
    run, clips = sabotage(plant(monitor.FEW_CLIPS), TINY, HOW, discs(), "discs", CPU)
    with pytest.raises(UserError, match="expected at least 2, one for each pair of a batch, came 1; use a batch size of 1"):
        train(run, clips, Budget(steps=1), tmp_path, CPU)


def test_a_plant_starts_from_the_weights_of_the_seed():
    run, _ = sabotage(plant("outside"), TINY, HOW, discs(), "discs", CPU)
    assert_same_bits(run.model.state_dict(), new_run().model.state_dict())


def test_an_unknown_fault_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean collapsed"):
        plant("collapse")


# ------------------------------------------------------------------------------------------------------------- symptoms


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, None),
        ({"total": math.nan}, "nan"),
        ({"total": math.inf}, "nan"),
        ({"frames": 0.0}, "identical"),
        ({"update": 0.5}, "learning-rate"),
        ({"border": 1.0}, "outside"),
        ({"spread": 0.01}, "collapsed"),
        ({"displacement": 0.001}, "resting"),
        ({"foreground": 0.01}, "background"),
        ({"discriminator": 0.2, "adversarial": 0.9}, "d-won"),
        # Root causes first: nothing can move where the frames do not, nor where all keypoints are one.
        ({"frames": 0.0, "displacement": 0.0, "spread": 0.0}, "identical"),
        ({"spread": 0.0, "displacement": 0.0, "foreground": 0.0}, "collapsed"),
        ({"displacement": 0.0, "foreground": 0.0}, "resting"),
        ({"update": 2.0, "border": 1.0, "spread": 0.0}, "learning-rate"),
        ({"total": math.nan, "frames": math.nan, "spread": math.nan}, "nan"),
    ],
)
def test_a_symptom_is_the_first_cause(values: dict[str, float], name: str | None):
    assert symptom(Vitals(**values)) == name


def test_keypoints_may_move_little_where_the_frames_hardly_differ():
    assert symptom(Vitals(frames=0.005, displacement=0.002)) is None
    assert symptom(Vitals(frames=0.05, displacement=0.002)) == "resting"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"frames": math.nan, "displacement": math.nan, "generated": math.nan}, "the frames that came in"),
        ({"displacement": math.nan, "generated": math.nan}, "the keypoints"),
        ({"generated": math.nan}, "the generated frames"),
        ({}, "the losses"),
    ],
)
def test_what_is_not_finite_is_traced_to_where_it_began(values: dict[str, float], said: str):
    assert origin(Vitals(total=math.nan, **values)) == said


def conclude(names: list[str | None], patience: int = 3) -> list[tuple[str, int]]:
    """What a monitor says of looks that show these faults."""
    shows = {
        None: Vitals(),
        "identical": Vitals(frames=0.0),
        "collapsed": Vitals(spread=0.0),
        "nan": Vitals(total=math.nan),
    }
    watcher = Monitor(patience=patience)
    for step, name in enumerate(names):
        watcher._conclude(step, shows[name])
    return [(finding.name, finding.step) for finding in watcher.findings]


def test_a_fault_is_said_once_and_only_after_several_looks_in_a_row():
    same = "identical"
    assert conclude([same, same, None, same, same, "collapsed", same, same]) == []
    assert conclude([None, same, same, same, same, None, same, same, same]) == [(same, 3)]
    assert conclude([same, same, same, "collapsed", "collapsed", "collapsed"]) == [(same, 2), ("collapsed", 5)]


def test_what_is_not_finite_is_said_at_once():
    assert conclude([None, "nan", "nan"]) == [("nan", 1)]


def test_vitals_are_what_they_say():
    """Two pairs, two keypoints; every number by hand."""
    source, driving = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.25)
    first = torch.tensor([[[0.0, 0.0], [0.6, 0.0]], [[0.0, 0.0], [0.6, 0.0]]])
    second = first + torch.tensor([0.0, 0.4])
    points = [training.Keypoints(mean, torch.eye(2).expand(2, 2, 2, 2)) for mean in (first, second)]
    masks = torch.zeros(2, 3, 4, 4)
    masks[:, 0] = 1
    masks[0, :2, 1, 2] = torch.tensor([0.2, 0.8])
    moved = training.Generated(torch.full((2, 3, 8, 8), 0.5), source, monitor_motion(masks))
    losses = {name: torch.tensor(value) for name, value in (("frame", 2.0), ("adversarial", 0.6), ("discriminator", 1.5))}
    weights_ = dataclasses.replace(TINY.losses, adversarial=2.0, discriminator=3.0)
    seen = monitor.measure(source, driving, (points[0], points[1]), moved, losses, weights_, torch.tensor(0.02))
    expected = Vitals(0.25, 0.3, 0.4, 0.0, 0.4, 0.5, 2.0, 0.3, 0.5, 4.1, 0.02)
    assert dataclasses.astuple(seen) == pytest.approx(dataclasses.astuple(expected))


def monitor_motion(masks: torch.Tensor):
    from monkeynet_edu.motion import Motion

    return Motion(torch.zeros(2, 4, 4, 2), masks, None, None)


def test_the_border_counts_keypoints_at_the_edge_in_x_or_y():
    edge = torch.tensor([[[0.99, 0.0], [0.0, -1.0], [0.5, 0.5], [0.9, 0.9]]])
    points = training.Keypoints(edge, torch.eye(2).expand(1, 4, 2, 2))
    frame = torch.zeros(1, 3, 8, 8)
    made = training.Generated(frame, frame, monitor_motion(torch.ones(1, 5, 4, 4)))
    seen = monitor.measure(frame, frame, (points, points), made, {"frame": torch.tensor(1.0)}, TINY.losses, torch.zeros(()))
    assert seen.border == 0.5


def test_the_update_is_measured_over_one_step_and_against_the_first_size():
    run = new_run()
    watcher = Monitor()
    networks = (run.model.generator, run.model.detector, run.model.discriminator)
    before = [p.detach().clone() for p in monitor._probes(networks)]
    watcher._before = before
    with torch.no_grad():
        for weight in monitor._probes(networks):
            weight += 0.1 / math.sqrt(3 * weight[0].numel())  # a tenth of the size that PyTorch draws
    assert watcher._update(networks).item() == pytest.approx(0.1, rel=1e-4)


# ------------------------------------------------------------------------------------------------------------- the loop


class Silent(Monitor):
    def observe(self, *_, **__):
        return []


def test_training_is_the_same_bit_for_bit_with_and_without_the_monitor(tmp_path: Path):
    for name, watcher in (("with", Monitor(every=2)), ("without", Silent())):
        train(new_run(), discs(), Budget(steps=7), tmp_path / name, CPU, monitor=watcher)
    assert_same_bits(weights(tmp_path / "with"), weights(tmp_path / "without"))


def eager() -> Monitor:
    return Monitor(every=1, patience=1)


def test_the_loop_prints_a_finding_once_and_keeps_it_in_the_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run, clips = sabotage(plant("identical"), TINY, HOW, discs(), "discs", CPU)
    train(run, clips, Budget(steps=4), tmp_path, CPU, monitor=eager())
    assert capsys.readouterr().err.count("step 1, identical: source and driving frames") == 1
    rows = [json.loads(line) for line in (tmp_path / FINDINGS_FILE).read_text("utf-8").splitlines()]
    assert [Finding(**row).name for row in rows] == ["identical"]
    assert not (tmp_path / LAST_GOOD_FILE).exists()  # there was no checkpoint yet


def test_the_checkpoint_from_before_the_first_finding_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train(new_run(), discs(), Budget(steps=2), tmp_path, CPU)
    good = (tmp_path / CHECKPOINT_FILE).read_bytes()
    run, clips = sabotage(plant("identical"), TINY, HOW, discs(), "discs", CPU)
    run.restore(tmp_path)
    train(run, clips, Budget(steps=4), tmp_path, CPU, Pace(checkpoint=0), monitor=eager())
    assert (tmp_path / LAST_GOOD_FILE).read_bytes() == good
    assert (tmp_path / CHECKPOINT_FILE).read_bytes() != good
    assert f"is kept as {tmp_path / LAST_GOOD_FILE}" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.part"))


def test_losses_that_are_not_finite_end_the_training_at_once(tmp_path: Path):
    train(new_run(), discs(), Budget(steps=2), tmp_path, CPU)
    run, clips = sabotage(plant("nan"), TINY, HOW, discs(), "discs", CPU)
    run.restore(tmp_path)
    good = (tmp_path / CHECKPOINT_FILE).read_bytes()
    with pytest.raises(UserError, match=r"step \d+: expected finite losses, got .*nan"):
        train(run, clips, Budget(steps=40), tmp_path, CPU, Pace(log=1000))
    assert run.step <= 25
    assert (tmp_path / CHECKPOINT_FILE).read_bytes() == good == (tmp_path / LAST_GOOD_FILE).read_bytes()
    assert "nan: the keypoints are not finite" in str(Finding(**json.loads((tmp_path / FINDINGS_FILE).read_text("utf-8"))))
