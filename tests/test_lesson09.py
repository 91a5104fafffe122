"""Lesson 09: the hand-written LSTM is torch's, a pass drives a predictor, slips are told apart, figures say what they show.

The kill matrix itself is `verify`'s.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from monkeynet_edu import prediction
from monkeynet_edu.course import install
from monkeynet_edu.course.exercise import Exercise
from monkeynet_edu.course.judge import Verdict, judge
from monkeynet_edu.course.lessons import figures09
from monkeynet_edu.course.lessons.lesson09 import LESSON
from monkeynet_edu.course.reference import lstm
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.prediction import Predictor, PredictorConfig

EXERCISES = {exercise.id: exercise for exercise in LESSON.exercises}


def two_layers() -> nn.LSTM:
    torch.manual_seed(3)
    return nn.LSTM(4, 5, 2, batch_first=True).double()


def a_predictor() -> tuple[Predictor, Keypoints]:
    torch.manual_seed(4)
    predictor = Predictor(PredictorConfig(keypoints=3, hidden=8, layers=2)).eval()
    nn.init.normal_(predictor.output.weight, std=0.2)
    return predictor, Keypoints(0.6 * torch.rand(2, 3, 2) - 0.3, (0.02 * torch.eye(2)).expand(2, 3, 2, 2))


def test_the_misconceptions_of_the_lesson_are_among_the_mutants() -> None:
    mutants = {(e.id, m.name) for e in LESSON.exercises for m in e.mutants}
    assert {
        ("covariance-from-factor", "a-times-a"),
        ("lstm-step", "forget-gate-inverted"),
        ("roll-out", "always-the-first"),
        ("shifted", "not-shifted"),
    } <= mutants
    assert any(exercise.level == "blank page" for exercise in LESSON.exercises)


# ------------------------------------------------------------------------------------------------ the LSTM, step by step


def test_a_step_is_that_of_torchs_own_cell() -> None:
    torch.manual_seed(0)
    cell = nn.LSTMCell(3, 6).double()
    x, h, c = torch.randn(4, 3).double(), torch.randn(4, 6).double(), torch.randn(4, 6).double()
    mine = lstm.lstm_step(x, h, c, cell.weight_ih, cell.weight_hh, cell.bias_ih + cell.bias_hh)
    for got, wanted in zip(mine, cell(x, (h, c)), strict=True):
        torch.testing.assert_close(got, wanted)


def test_layers_on_the_step_say_what_torchs_layers_say_and_share_their_weights() -> None:
    own = two_layers()
    inputs, state = torch.randn(3, 7, 4).double(), (torch.randn(2, 3, 5).double(), torch.randn(2, 3, 5).double())
    stepped = lstm.SteppedLSTM(own)
    outputs, last = stepped(inputs, state)
    wanted, wanted_last = own(inputs, state)
    torch.testing.assert_close(outputs, wanted)
    for got, right in zip(last, wanted_last, strict=True):
        torch.testing.assert_close(got, right)
    outputs.sum().backward()
    mine = [p.grad.clone() for p in own.parameters()]
    own.zero_grad()
    own(inputs, state)[0].sum().backward()
    for got, parameter in zip(mine, own.parameters(), strict=True):
        torch.testing.assert_close(got, parameter.grad)


def test_a_passed_step_drives_a_predictors_film() -> None:
    predictor, first = a_predictor()
    by_torch = predictor.predict(first, 6)
    predictor.lstm = lstm.SteppedLSTM(predictor.lstm)
    counted = install.install(EXERCISES["lstm-step"], lstm.lstm_step)
    try:
        by_hand = predictor.predict(first, 6)
    finally:
        install.remove(EXERCISES["lstm-step"])
    assert counted.calls == 5 * 2  # frames after the first, layers
    torch.testing.assert_close(by_hand.mean, by_torch.mean)
    torch.testing.assert_close(by_hand.cov, by_torch.cov)


@pytest.mark.parametrize("name", ["roll-out", "covariance-from-factor"])
def test_other_passes_drive_a_predictors_film_too(name: str) -> None:
    predictor, first = a_predictor()
    exercise = EXERCISES[name]
    counted = install.install(exercise, exercise.alternatives[0])
    try:
        predictor.predict(first, 4)
    finally:
        install.remove(exercise)
    assert counted.calls >= 1


def test_shifted_targets_and_masked_loss_are_what_a_predictor_is_trained_with() -> None:
    predictor, _ = a_predictor()
    windows = torch.cat([torch.rand(2, 5, 6) - 0.5, torch.tensor([0.02, 0, 0, 0.02] * 3).expand(2, 5, 12)], dim=-1)
    recipe = prediction.PredictorRecipe()
    counted = [install.install(EXERCISES[name], EXERCISES[name].alternatives[0]) for name in ("shifted", "masked-l1")]
    try:
        prediction.sequence_loss(predictor, windows, torch.ones(2, 5, dtype=torch.bool), recipe, torch.Generator())
    finally:
        for name in ("shifted", "masked-l1"):
            install.remove(EXERCISES[name])
    assert [c.calls for c in counted] == [1, 1]


# ---------------------------------------------------------------------------------------------------------------- sines


def test_sines_have_their_height_after_a_quarter_of_the_period() -> None:
    curve = lstm.sines(torch.tensor([0.0, math.pi / 2]), 25)
    assert curve.shape == (2, 25, 1)
    assert curve[0, [0, 6, 12, 18, 24], 0].tolist() == pytest.approx([0, 0.8, 0, -0.8, 0], abs=1e-6)
    assert curve[1, 0, 0].item() == pytest.approx(0.8)


def test_a_forecaster_continues_from_what_it_has_read() -> None:
    torch.manual_seed(1)
    forecaster = lstm.Forecaster(5)
    seen = torch.randn(2, 4, 1)
    got = forecaster.continued(seen, 3)
    x, state = seen[:, 0], forecaster.start(2)
    for t in range(4 + 2):
        y, state = forecaster.step(x, state)
        x = seen[:, t + 1] if t < 3 else y
        if t >= 3:
            torch.testing.assert_close(got[:, t - 3], y)
    assert got.shape == (2, 3, 1)
    assert forecaster.continued(seen[:, :1], 2).shape == (2, 2, 1)


def test_a_forecaster_says_its_last_value_plus_a_change() -> None:
    forecaster = lstm.Forecaster(3)
    nn.init.zeros_(forecaster.output.weight)
    nn.init.constant_(forecaster.output.bias, 0.25)
    assert forecaster.continued(torch.ones(1, 2, 1), 3).flatten().tolist() == pytest.approx([1.25, 1.5, 1.75])


# --------------------------------------------------------------------------------------------------- strangers' answers


def test_a_roll_out_that_returns_a_list_hears_that_one_tensor_is_wanted() -> None:
    def listed(step, first, state, length):
        x, said = first, []
        for _ in range(length):
            x, state = step(x, state)
            said.append(x)
        return said

    verdict = judge(EXERCISES["roll-out"], listed)
    assert verdict.status == "FAIL"
    assert "tensor" in verdict.message


def test_a_roll_out_that_cuts_the_gradient_is_wrong() -> None:
    def cut(step, first, state, length):
        x, said = first, []
        for _ in range(length):
            y, state = step(x.detach(), state)
            said.append(y)
            x = y
        return torch.stack(said, dim=1)

    verdict = judge(EXERCISES["roll-out"], cut)
    assert verdict.status == "FAIL"
    assert "gradient" in verdict.message.lower()


def test_a_loss_that_multiplies_by_the_mask_hears_about_nan() -> None:
    def multiplied(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        gap = (prediction - target).abs() * mask[..., None]
        return gap.sum() / (mask.sum() * prediction.shape[-1])

    verdict = judge(EXERCISES["masked-l1"], multiplied)
    assert (verdict.status, verdict.mutant) == ("FAIL", "multiplied")
    assert "NaN" in verdict.message


def test_a_product_of_a_with_itself_hears_about_lengths() -> None:
    verdict = judge(EXERCISES["covariance-from-factor"], lambda raw: raw.unflatten(-1, (2, 2)).matrix_power(2))
    assert (verdict.status, verdict.mutant) == ("FAIL", "a-times-a")


def test_a_covariance_of_the_whole_batch_transposed_is_an_error_or_wrong() -> None:
    def reversed_axes(raw: Tensor) -> Tensor:
        a = raw.reshape(*raw.shape[:-1], 2, 2)
        return a.transpose(0, -1) @ a

    verdict: Verdict = judge(EXERCISES["covariance-from-factor"], reversed_axes)
    assert verdict.status in ("FAIL", "ERROR")


def test_a_step_with_its_state_as_a_pair_of_pairs_is_wrong_in_words() -> None:
    verdict = judge(EXERCISES["lstm-step"], lambda x, hidden, cell, weight_x, weight_hidden, bias: hidden)
    assert verdict.status == "FAIL"
    assert "2 tensors" in verdict.message


@pytest.mark.parametrize("exercise", LESSON.exercises, ids=lambda e: e.id)
def test_an_answer_that_returns_nothing_hears_so(exercise: Exercise) -> None:
    verdict = judge(exercise, lambda *args: None)
    assert verdict.status == "FAIL"
    assert "returned nothing" in verdict.message


# ------------------------------------------------------------------------------------------------ what the pictures show


@pytest.mark.parametrize(
    ("matrix", "right"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], True),
        ([[1.0, 2.0], [2.0, 1.0]], False),  # eigenvalues 3 and -1
        ([[1.0, 0.5], [0.4, 1.0]], False),  # not symmetric
        ([[1.0, 1.0], [1.0, 1.0]], True),  # eigenvalues 2 and 0
    ],
)
def test_a_covariance_is_told_from_what_is_none(matrix: list[list[float]], right: bool) -> None:
    assert figures09.is_covariance(torch.tensor(matrix)) is right


def test_bumps_are_counted_in_words() -> None:
    matrices = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.4, 1.0]]])
    alt = figures09.figure_bumps({"some": matrices}, size=5).alt
    assert "1 × a bump" in alt
    assert "1 × grows outwards" in alt
    assert "1 × not symmetric" in alt


def test_a_mask_is_written_as_rows_of_boxes() -> None:
    assert figures09.masked_rows(torch.tensor([[True, True], [True, False]])) == "██\n█·"


def test_a_small_film_keeps_its_frames_side_by_side_in_few_colours() -> None:
    film = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    small = figures09.small_film(film, film, colours=5)
    assert small.shape == (3, 8, 16, 3)
    assert len({tuple(colour) for colour in small.reshape(-1, 3).tolist()}) <= 5
    assert (small[:, :, :8] == small[:, :, 8:]).all()


def test_figures_take_their_alt_text_and_draw() -> None:
    film = torch.rand(4, 3, 8, 8)
    pictures = (
        figures09.figure_motion({"one": (film, 1.5), "other": (film, 0.0)}, (0, 3), "said"),
        figures09.figure_trails(film[0], {"trail": torch.rand(4, 3, 2) - 0.5}, "said"),
        figures09.figure_curves({"panel": {"true": (0, torch.rand(5)), "free": (2, torch.rand(3))}}, "said"),
    )
    for picture in pictures:
        assert picture.alt == "said"
        assert len(picture.png(dpi=40)) > 1000
