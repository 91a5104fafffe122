"""The stored training of lesson 07: complete, small, and told truly: the checkpoints draw the stored pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monkeynet_edu import viz
from monkeynet_edu.course import time_machine
from monkeynet_edu.data.datasets import open_dataset
from monkeynet_edu.errors import UserError

MACHINE = time_machine.load()


def test_it_is_small_enough_for_the_repository():
    sizes = {path.name: path.stat().st_size for path in MACHINE.folder.iterdir()}
    weights = sum(size for name, size in sizes.items() if name.endswith(".safetensors"))
    assert weights <= 3_000_000
    assert sum(sizes.values()) - weights <= 1_000_000


def test_steps_go_from_the_first_to_the_last_and_everything_has_one_entry_a_step():
    steps = MACHINE.steps
    assert (steps[0], steps[-1]) == (0, 3000)
    assert 50 <= len(steps) <= 60
    assert sorted(set(steps)) == list(steps)
    assert MACHINE.drawn.shape == (len(steps), 3, 2, 64, 64, 3)
    assert MACHINE.keypoints.shape == (len(steps), 2, 3, 8, 2)
    assert {len(values) for values in MACHINE.figures.values()} == {len(steps)}
    assert {len(values) for values in MACHINE.losses.values()} == {len(steps) - 1}
    assert float(MACHINE.keypoints.abs().max()) <= 1.001


def test_the_pairs_are_first_and_middle_frames_of_the_test_clips():
    for pair, clip in zip(MACHINE.pairs, open_dataset("mini-taichi", "test", size=64)[:3], strict=True):
        wanted = clip.frames[[0, len(clip.frames) // 2]].astype(float)
        assert np.abs(pair - wanted).mean() < 6  # grey levels: WebP is lossy


@pytest.mark.parametrize("name", ["early", "middle", "end"])
def test_a_checkpoint_draws_the_stored_pictures_and_keypoints(name: str):
    index = MACHINE.steps.index(MACHINE.checkpoints[name])
    source, driving = MACHINE.frames()
    made, points = time_machine.draw(MACHINE.model(name), source, driving)
    stored = MACHINE.drawn[index, :, 1]
    gaps = [np.abs(stored[n].astype(float) - viz.to_uint8(made[n])).mean() for n in range(3)]
    assert max(gaps) < 8  # grey levels, of 255
    assert float((points - MACHINE.keypoints[index]).abs().mean()) < 0.02
    other = MACHINE.drawn[MACHINE.nearest(0), :, 1]
    assert np.abs(other.astype(float) - stored).mean() > 10  # such a test can fail


def test_the_training_learned_to_move():
    assert MACHINE.share("flow_epe")[0] == pytest.approx(1, abs=0.02)
    assert MACHINE.share("flow_epe")[-1] < 0.65
    assert MACHINE.share("l1_moving")[-1] < 0.6
    assert MACHINE.share("l1")[MACHINE.nearest(200)] > 1  # worse than repeating the source, although it moves already


def test_a_picture_says_its_step_and_errors():
    index = MACHINE.nearest(725)
    picture = MACHINE.picture(index)
    assert picture.alt.startswith("Step 725 of 3000")
    assert f"flow {MACHINE.share('flow_epe')[index]:.2f}" in picture.alt
    assert len(picture.png(60)) > 10_000


def test_an_unknown_checkpoint_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean middle"):
        MACHINE.model("midle")


def test_drawing_leaves_a_model_in_the_mode_in_which_it_was():
    model = MACHINE.model("end").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    time_machine.draw(model, *MACHINE.frames())
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
