"""All figures of a data set, with small networks whose findings can be worked out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_model import SIDE, TINY
from torch import Tensor

from monkeynet_edu import geometry
from monkeynet_edu.animation import Animation
from monkeynet_edu.data.sprites import Clip, Truth, held_out_clips, training_clips
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.errors import UserError
from monkeynet_edu.evaluators import Evaluators, Points
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.metrics import evaluate, evaluation, landmark_errors, measure, measure_films
from monkeynet_edu.model import Device, MonkeyNet
from monkeynet_edu.prediction import Predictor, PredictorConfig

CPU = Device(torch.device("cpu"), "float32")
NAMES = ("red", "green", "blue")


def brightest(frames: Tensor) -> Points:
    """The brightest pixel of each colour, found where it is bright."""
    value, place = frames.flatten(2).max(dim=2)
    width = frames.shape[3]
    return Points(torch.stack([place % width, place // width], dim=-1).float(), value)


def mean_colour(frames: Tensor) -> Tensor:
    return frames.mean(dim=(2, 3))


class Colours:
    name, dimension = "colours", 3

    def __call__(self, frames: Tensor) -> Tensor:
        return mean_colour(frames)


MINE = Evaluators(brightest, mean_colour, Colours(), NAMES)


def dots(frames: int, step: int = 1, height: int = SIDE, width: int = SIDE, truth: bool = True) -> Clip:
    """A red dot that moves `step` pixels a frame to the right, a green one that moves down, a blue one at rest."""
    film = np.zeros((frames, height, width, 3), np.uint8)
    places = np.array([[[1 + step * t, 2], [9, 3 + step * t], [12, 13]] for t in range(frames)])  # (T, 3, 2), (x, y)
    for t in range(frames):
        for colour, (x, y) in enumerate(places[t]):
            film[t, y, x, colour] = 255
    name = f"{frames} frames of {height}x{width}"
    if not truth:
        return Clip(name, film)
    joints = (2 * places / (np.array([width, height]) - 1) - 1).astype(np.float32)
    labels = np.zeros((frames, height, width), np.uint8)
    seen = np.ones((frames, 3), bool)
    pose = np.zeros((frames, 1, 7), np.float32)
    return Clip(name, film, None, Truth(joints, seen, labels, pose, 1, NAMES, ("none",)))


def as_made(prediction: Tensor) -> Animation:
    """An animation of these frames, whose keypoints are the dots."""
    still = geometry.lattice(*prediction.shape[-2:]).expand(len(prediction), -1, -1, -1)
    height, width = prediction.shape[-2:]
    found = 2 * brightest(prediction).position / torch.tensor([width - 1, height - 1]) - 1
    points = Keypoints(found, torch.eye(2).expand(len(found), 3, 2, 2))
    return Animation(prediction, prediction, still, None, points, points, points)


def dots_of(model: MonkeyNet, clips: Sequence[Clip], device: Device) -> tuple[list[Tensor], list[Tensor]]:
    """The dots of clips with truth as keypoints, and the true joints."""
    known = [clip for clip in clips if clip.truth is not None]
    joints = [torch.from_numpy(clip.truth.joints) for clip in known]
    return [as_made(to_tensor(clip.frames)).driving.mean for clip in known], joints


@pytest.fixture(scope="module")
def model() -> MonkeyNet:
    torch.manual_seed(0)
    return MonkeyNet(TINY).eval()


@pytest.fixture
def makes(monkeypatch: pytest.MonkeyPatch) -> object:
    """Lets a function of the real frames stand for the model."""

    def by(change: object) -> None:
        monkeypatch.setattr(evaluation, "remake", lambda model, clip, *_: as_made(change(to_tensor(clip.frames))))
        monkeypatch.setattr(evaluation, "known_keypoints", dots_of)

    return by


def lose_green(video: Tensor) -> Tensor:
    kept = video.clone()
    kept[1:, 1] = 0
    return kept


def test_perfect_frames_have_no_error(model: MonkeyNet, makes: object) -> None:
    makes(lambda video: video)
    figures = evaluate(model, [dots(5), dots(4)], CPU, evaluators=MINE, training=[dots(6)] * 30)
    for name in ("l1", "l1_published", "akd", "akd_l1", "akd_detector", "mkr", "mkr_published", "aed", "aed_squared"):
        assert figures[name] == pytest.approx(0, abs=1e-4), name
    assert figures["fid"] == pytest.approx(0, abs=1e-8)
    assert figures["landmark_error"] < 0.2  # the ridge shrinks a little
    assert figures["landmark_error_constant"] > 0.4
    assert (figures["akd_frames"], figures["akd_points"]) == (4 + 3, 3 * 7)
    assert (figures["akd_l1_frames"], figures["fid_frames"], figures["frames"], figures["clips"]) == (9, 7, 7, 2)


def test_a_repeated_source_has_the_figures_of_its_yardsticks(model: MonkeyNet, makes: object) -> None:
    makes(lambda video: video[:1].expand_as(video))
    figures = evaluate(model, [dots(5), dots(3, 2)], CPU, evaluators=MINE)
    for name in ("l1", "akd", "mkr", "aed"):
        assert figures[name] == figures[f"{name}_repeat_source"]
    # Two of three dots are t (or 2 t) pixels off: 2/3 · mean(1, 2, 3, 4) and 2/3 · mean(2, 4), then over the clips.
    assert figures["akd"] == pytest.approx((2 / 3 * 2.5 + 2 / 3 * 3) / 2)
    # Published: half the distance along one axis; over all frames, the first included: 2/3 · (10 + 6) / 2 over 8 frames.
    assert figures["akd_l1"] == pytest.approx(2 / 3 * 16 / 2 / 8)


def test_the_first_frame_counts_in_the_published_l1_alone(model: MonkeyNet, makes: object) -> None:
    def spoilt(video: Tensor) -> Tensor:
        return torch.cat([1 - video[:1], video[1:]])

    makes(spoilt)
    clip = dots(4)
    figures = evaluate(model, [clip], CPU)
    assert figures["l1"] == 0
    off = np.abs(255 - 2.0 * clip.frames[0]).mean() / 255
    assert figures["l1_published"] == pytest.approx(off / 4, rel=1e-5)


def test_a_lost_limb_improves_akd_and_worsens_mkr(model: MonkeyNet, makes: object) -> None:
    """The green dot stays behind; without it AKD is better, and only MKR tells."""

    def left_behind(video: Tensor) -> Tensor:
        kept = video.clone()
        kept[:, 1] = video[:1, 1]
        return kept

    makes(left_behind)
    whole = evaluate(model, [dots(6)], CPU, evaluators=MINE)
    makes(lose_green)
    maimed = evaluate(model, [dots(6)], CPU, evaluators=MINE)
    assert maimed["akd"] == 0 < whole["akd"]
    assert whole["mkr"] == 0
    assert maimed["mkr"] == pytest.approx(1 / 3)
    assert (whole["akd_points"], maimed["akd_points"]) == (15, 10)


def test_the_detector_s_own_error_is_told(model: MonkeyNet, makes: object) -> None:
    def off(frames: Tensor) -> Points:
        points = brightest(frames)
        return Points(points.position + torch.tensor([3.0, 4.0]), points.confidence)

    makes(lambda video: video)
    figures = evaluate(model, [dots(5)], CPU, evaluators=replace(MINE, detector=off))
    assert figures["akd_detector"] == pytest.approx(5, rel=1e-5)
    assert figures["akd"] == 0


def test_joints_are_matched_by_name(model: MonkeyNet, makes: object) -> None:
    def turned(frames: Tensor) -> Points:
        points = brightest(frames)
        return Points(points.position[:, [2, 0]], points.confidence[:, [2, 0]])

    makes(lambda video: video)
    figures = evaluate(model, [dots(5)], CPU, evaluators=Evaluators(turned, joint_names=("blue", "red")))
    assert figures["akd_detector"] == pytest.approx(0, abs=1e-4)
    assert figures["akd_detector_points"] == 8
    strange = evaluate(model, [dots(5)], CPU, evaluators=Evaluators(turned, joint_names=("a", "b")))
    assert strange["akd_detector"] is None
    assert "other names" in strange["not_measurable"]["akd_detector"]


def test_nothing_found_is_said_in_words_and_never_nan(model: MonkeyNet, makes: object) -> None:
    makes(lambda video: video)

    def blind(frames: Tensor) -> Points:
        return Points(torch.full((len(frames), 3, 2), torch.nan), torch.zeros(len(frames), 3))

    found = evaluate(model, [dots(3)], CPU, evaluators=replace(MINE, detector=blind), training=[dots(3, truth=False)])
    assert found["akd"] is found["akd_l1"] is found["akd_detector"] is found["mkr"] is found["landmark_error"] is None
    reasons = found["not_measurable"]
    assert "found in both" in reasons["akd"]
    assert "any real frame" in reasons["mkr"]
    assert "no true joints" in reasons["landmark_error"]
    assert found["aed"] == 0
    json.dumps(found, allow_nan=False)


def test_figures_that_need_truth_are_null_where_nothing_moves(model: MonkeyNet, makes: object) -> None:
    makes(lambda video: video)
    found = evaluate(model, [dots(3)], CPU)
    assert found["flow_epe"] is found["l1_moving"] is None
    assert "nothing moves" in found["not_measurable"]["flow_epe"]
    json.dumps(found, allow_nan=False)


def test_without_networks_what_can_be_measured_is_and_the_rest_has_reasons(model: MonkeyNet) -> None:
    found = evaluate(model, [dots(3, truth=False)], CPU, evaluators=Evaluators(), training=())
    assert found["l1"] > 0
    wanted = ("akd", "akd_l1", "akd_repeat_source", "akd_detector", "mkr", "mkr_repeat_source", "aed", "aed_squared", "fid")
    for name in (*wanted, "landmark_error", "landmark_error_constant"):
        assert found[name] is None
        assert name in found["not_measurable"]
    assert "monkeynet_edu.evaluators" in found["not_measurable"]["akd"]


def test_clips_of_different_lengths_and_sizes_are_measured_each_in_its_own_pixels(model: MonkeyNet, makes: object) -> None:
    makes(lambda video: video[:1].expand_as(video))
    clips = [dots(3, truth=False), dots(6, height=20, width=24, truth=False)]
    found = measure(model, clips, CPU, evaluators=MINE)
    alone = [measure(model, [clip], CPU, evaluators=MINE) for clip in clips]
    for name in ("l1", "akd", "mkr", "aed"):
        values = [one.figures[name].value for one in alone]
        assert found.figures[name].value == pytest.approx(np.mean(values), rel=1e-6)
        assert [row[name].value for row in found.rows] == values
    assert found.figures["akd"].value == pytest.approx((2 / 3 * 1.5 + 2 / 3 * 3) / 2)


def test_fewer_frames_than_features_are_warned_of(model: MonkeyNet) -> None:
    class Many(Colours):
        dimension = 30

        def __call__(self, frames: Tensor) -> Tensor:
            return frames.flatten(1)[:, :30]

    few = evaluate(model, [dots(5)], CPU, evaluators=Evaluators(features=Many()))
    assert any("warning: fid: 4 frames" in note and "30 numbers" in note for note in few["notes"])
    one = evaluate(model, [dots(2)], CPU, evaluators=Evaluators(features=Many()))
    assert one["fid"] is None
    assert "1 frame(s)" in one["not_measurable"]["fid"]


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (Evaluators(lambda f: Points(torch.zeros(len(f), 3), torch.zeros(len(f), 3))), "detector: expected positions"),
        (Evaluators(lambda f: Points(torch.zeros(1, 3, 2), torch.zeros(1, 3))), "detector: expected positions"),
        (Evaluators(embedder=lambda f: torch.zeros(len(f))), "embedder: expected finite vectors"),
        (Evaluators(embedder=lambda f: torch.full((len(f), 2), torch.nan)), "with NaN or infinity"),
    ],
)
def test_a_network_that_gives_something_else_is_named(model: MonkeyNet, spoilt: Evaluators, words: str) -> None:
    with pytest.raises(UserError, match=words):
        evaluate(model, [dots(3)], CPU, evaluators=spoilt)


def test_an_empty_set_is_refused(model: MonkeyNet) -> None:
    for clips in ([], [dots(1)]):
        with pytest.raises(UserError, match="at least two frames, got none"):
            evaluate(model, clips, CPU, evaluators=MINE)


# ------------------------------------------------------------------------------------------------------------- landmarks


def ridge_by_loops(x: np.ndarray, y: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression as least squares with extra rows √ridge·I; the constant has none."""
    rows = np.concatenate([np.c_[x, np.ones(len(x))], np.sqrt(ridge) * np.eye(x.shape[1], x.shape[1] + 1)])
    solution = np.linalg.lstsq(rows, np.concatenate([y, np.zeros((x.shape[1], y.shape[1]))]), rcond=None)[0]
    return solution[:-1], solution[-1]


def test_landmark_error_agrees_with_least_squares_written_differently() -> None:
    rng = np.random.default_rng(0)
    keypoints = [rng.normal(size=(n, 4, 2)) for n in (30, 20)]
    clips = [dots(n, 0) for n in (30, 6)]
    joints = [rng.normal(size=(n, 3, 2)) for n in (30, 20)]
    test = rng.normal(size=(6, 4, 2))
    visible = rng.random((6, 3)) > 0.3
    truth = replace(clips[1].truth, visible=visible)
    rows = landmark_errors(
        ([torch.from_numpy(k) for k in keypoints], [torch.from_numpy(j) for j in joints]),
        [torch.from_numpy(test)],
        [replace(clips[1], truth=truth)],
    )
    x, y = np.concatenate(keypoints).reshape(50, -1), np.concatenate(joints).reshape(50, -1)
    weights, constant = ridge_by_loops(x, y, 0.01)
    told = {"landmark_error": test.reshape(6, -1) @ weights + constant, "landmark_error_constant": y.mean(axis=0)}
    for name, joint in told.items():
        error = np.linalg.norm(np.broadcast_to(joint, (6, 6)).reshape(6, 3, 2) - truth.joints, axis=-1) * (SIDE - 1) / 2
        frames = [error[t][visible[t]].mean() for t in range(6) if visible[t].any()]
        assert rows[0][name].value == pytest.approx(np.mean(frames), rel=1e-5)
        assert rows[0][name].points == visible.sum()


def test_keypoints_that_are_the_joints_beat_a_constant_and_noise_does_not(model: MonkeyNet) -> None:
    def joints(clips: Sequence[Clip]) -> list[Tensor]:
        return [torch.from_numpy(clip.truth.joints).float() for clip in clips]

    training, test = list(training_clips("mini-nemo", 3, 12, 64, 3)), list(held_out_clips("mini-nemo", 3, 2))
    learned, seen = joints(training), joints(test)
    good = landmark_errors((learned, learned), seen, test)
    assert all(row["landmark_error"].value < 0.5 * row["landmark_error_constant"].value for row in good)
    torch.manual_seed(0)
    noise = [torch.randn(len(j), 3, 2) for j in learned], learned
    bad = landmark_errors(noise, [torch.randn(len(j), 3, 2) for j in seen], test)
    assert all(row["landmark_error"].value > 0.8 * row["landmark_error_constant"].value for row in bad)


def test_clips_with_other_joints_than_those_of_training_are_named() -> None:
    with pytest.raises(UserError, match="expected 5 true joints"):
        landmark_errors(([torch.zeros(9, 2, 2)], [torch.zeros(9, 5, 2)]), [torch.zeros(3, 2, 2)], [dots(3)])


# ------------------------------------------------------------------------------------------------------------ prediction


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(1)
    return Predictor(PredictorConfig(keypoints=3, hidden=8)).eval()


def test_prediction_films_at_most_32_frames_from_the_first_alone(model: MonkeyNet, predictor: Predictor) -> None:
    long = dots(2, truth=False)
    long = replace(long, frames=np.concatenate([long.frames] * 20))
    found = evaluate(model, [long, dots(5)], CPU, "prediction", MINE, predictor)
    assert found["frames"] == 31 + 4
    assert found["fid_frames"] == found["aed_frames"] == 35
    assert "landmark_error" not in found
    other = replace(long, frames=np.concatenate([long.frames[:1], 255 - long.frames[1:]]))
    first, second = (measure(model, [clip], CPU, "prediction", MINE, predictor) for clip in (long, other))
    assert first.rows[0]["l1"] != second.rows[0]["l1"]  # the real frames differ, the film does not
    films = [evaluation.remake(model, clip, CPU, predictor).prediction[:3] for clip in (long, other)]
    torch.testing.assert_close(*films)


def test_a_predictor_for_another_number_of_keypoints_is_refused(model: MonkeyNet) -> None:
    other = Predictor(PredictorConfig(keypoints=4, hidden=8))
    with pytest.raises(UserError, match=r"4.*3|3.*4"):
        evaluate(model, [dots(3)], CPU, "prediction", MINE, other)


def test_a_task_and_its_predictor_belong_together(model: MonkeyNet, predictor: Predictor) -> None:
    with pytest.raises(UserError, match="expected a predictor, got none"):
        evaluate(model, [dots(3)], CPU, "prediction", MINE)
    with pytest.raises(UserError, match="expected no predictor, got one"):
        evaluate(model, [dots(3)], CPU, "reconstruction", MINE, predictor)


# ------------------------------------------------------------------------------------------------------- films of anybody


def test_films_of_anybody_have_the_figures_of_a_model_that_made_the_same(model: MonkeyNet, makes: object) -> None:
    makes(lambda video: video.flip(-1))
    clips = [dots(4), dots(3, truth=False)]
    theirs = measure(model, clips, CPU, evaluators=MINE)
    found = measure_films(lambda video: video.flip(-1), clips, CPU, evaluators=MINE)
    own = {"l1_deformed", "l1_deformed_moving", "flow_epe", "flow_epe_zero"}  # what only Monkey-Net has
    assert set(theirs.figures) - set(found.figures) == own & set(theirs.figures)
    assert all(found.figures[name] == theirs.figures[name] for name in found.figures)
    for mine, other in zip(found.rows, theirs.rows, strict=True):
        assert mine == {name: figure for name, figure in other.items() if name not in own}


def test_the_figures_of_a_film_are_worked_out_by_hand() -> None:
    black = measure_films(torch.zeros_like, [dots(4, truth=False)], CPU).figures
    # Of 3 · 16 · 16 numbers three are 1, in each frame; two dots move, so a frame differs from the first in four numbers.
    assert black["l1"].value == pytest.approx(3 / 768)
    assert black["l1_repeat_source"].value == pytest.approx(4 / 768)
    assert black["l1_published"].value == pytest.approx(3 / 768)
    assert (black["l1"].frames, black["l1_published"].frames) == (3, 4)

    def white_at_first(video: Tensor) -> Tensor:
        return torch.cat([torch.ones_like(video[:1]), video[1:]])

    found = measure_films(white_at_first, [dots(4, truth=False)], CPU).figures
    assert (found["l1"].value, found["l1_published"].value) == (0, pytest.approx(765 / 768 / 4))
    assert found["l1_repeat_source"].value == pytest.approx(4 / 768), "the source is the clip's own first frame"


def test_films_of_a_prediction_are_compared_over_32_frames(model: MonkeyNet) -> None:
    seen = []
    measure_films(lambda video: (seen.append(len(video)), video)[1], [dots(40, step=0)], CPU, "prediction")
    assert seen == [32]


def test_a_film_of_another_length_is_refused() -> None:
    with pytest.raises(UserError, match=r"expected a film of \(4, 3, 16, 16\), got \(3, 3, 16, 16\)"):
        measure_films(lambda video: video[1:], [dots(4)], CPU)
