"""The external networks of the metrics: interface, files, what the shipped ones reach, and the landmark regression."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from monkeynet_edu import evaluators
from monkeynet_edu.data.sprites import SETS, held_out_clips, make_scene, render
from monkeynet_edu.data.video import read_image, to_tensor
from monkeynet_edu.errors import UserError
from monkeynet_edu.evaluators import (
    DlibFaces,
    Embedder,
    EmbedderConfig,
    Evaluators,
    FeatureNetwork,
    IdentityEmbedder,
    MiniFeatures,
    PointDetector,
    Points,
    PoseConfig,
    PoseEstimator,
    evaluators_for,
    landmark_regression,
    local_mean,
    regressed_joints,
)
from monkeynet_edu.paths import data_small

# ------------------------------------------------------------------------------------------------------------ interface


def test_found_are_the_joints_of_at_least_the_threshold() -> None:
    points = Points(torch.zeros(1, 3, 2), torch.tensor([[0.49, 0.5, 0.9]]))
    assert points.found().tolist() == [[False, True, True]]
    assert points.found(0.6).tolist() == [[False, False, True]]


def test_a_detector_of_ones_own_fits_in_five_lines() -> None:
    """The example of the module's docstring, word for word."""
    text = (evaluators.__doc__ or "").split("::\n\n")[1].split("\n\n")[0]
    lines = [line.removeprefix("    ") for line in text.splitlines()]
    assert len(lines) == 5
    names = {"torch": torch, "Points": Points, "Evaluators": Evaluators}
    exec("\n".join(lines), names)
    frames = torch.zeros(2, 3, 5, 7)
    frames[0, :, 3, 6] = frames[1, :, 0, 2] = 1.0
    mine = names["mine"]
    assert isinstance(mine, Evaluators)
    assert mine.detector is not None
    assert mine.detector(frames).position.tolist() == [[[6.0, 3.0]], [[2.0, 0.0]]]
    assert (mine.embedder, mine.features, mine.joint_names) == (None, None, ("brightest",))


def test_other_data_has_no_evaluators() -> None:
    assert evaluators_for("my-films") == Evaluators(None, None, None, ())


@pytest.mark.parametrize("name", SETS)
def test_every_miniature_has_all_three_for_its_own_joints(name: str) -> None:
    shipped, frames = evaluators_for(name), torch.rand(3, 3, 64, 64)
    detector: PointDetector | None = shipped.detector
    embedder: Embedder | None = shipped.embedder
    features: FeatureNetwork | None = shipped.features
    assert detector is not None
    assert embedder is not None
    assert features is not None
    # Which of mini-bair's toys is the first cannot be seen: they are nobody's joints.
    names = [joint.name for joint in make_scene(name, 1, 1).joints if not joint.name.startswith("object_")]
    assert list(shipped.joint_names) == names
    points = detector(frames)
    assert points.position.shape == (3, len(shipped.joint_names), 2)
    assert points.confidence.shape == (3, len(shipped.joint_names))
    assert bool(((points.confidence >= 0) & (points.confidence <= 1)).all())
    assert embedder(frames).norm(dim=1) == pytest.approx(torch.ones(3).numpy(), abs=1e-3)
    assert features(frames).shape == (3, features.dimension) == (3, 64)
    assert features.name == "mini-features-64"


@pytest.mark.parametrize(
    ("network", "width"), [(IdentityEmbedder(EmbedderConfig(8)), 8), (MiniFeatures(EmbedderConfig(8)), 8)]
)
def test_no_frames_give_no_rows(network: IdentityEmbedder | MiniFeatures, width: int) -> None:
    assert network.eval()(torch.zeros(0, 3, 64, 64)).shape == (0, width)


def tiny(joints: tuple[str, ...] = ("a", "b")) -> PoseEstimator:
    torch.manual_seed(0)
    return PoseEstimator(PoseConfig("mini-taichi", joints, (4, 4, 4, 4))).eval()


def test_the_estimator_takes_no_frames_and_refuses_other_shapes_in_one_line() -> None:
    assert tiny()(torch.zeros(0, 3, 64, 64)).position.shape == (0, 2, 2)
    with pytest.raises(UserError, match=r"^frames: expected \(T, 3, H, W\).*got \(3, 64, 64\)[^\n]*$"):
        tiny()(torch.zeros(3, 64, 64))


def test_batches_do_not_change_what_is_found() -> None:
    """70 frames are more than one batch; each is judged alone."""
    frames, estimator = torch.rand(70, 3, 64, 64), tiny()
    together = estimator(frames)
    alone = estimator(frames[68:69])
    torch.testing.assert_close(together.position[68:69], alone.position, atol=0.05, rtol=0)
    torch.testing.assert_close(together.confidence[68:69], alone.confidence, atol=0.01, rtol=0)


# ------------------------------------------------------------------------------------------------- positions from heatmaps


def test_the_local_mean_is_the_weighted_place_about_the_peak() -> None:
    """Weights 1/4, 1/2, 1/4 in columns 3, 4, 5 of row 2, skewed to 1/2, 1/2 in the second map."""
    logits = torch.full((1, 2, 8, 9), -30.0)
    logits[0, 0, 2, 3:6] = torch.tensor([0.25, 0.5, 0.25]).log()
    logits[0, 1, 5, 6:8] = torch.tensor([0.5, 0.5]).log()
    torch.testing.assert_close(local_mean(logits), torch.tensor([[[4.0, 2.0], [6.5, 5.0]]]))


def test_a_second_peak_far_away_does_not_draw_the_place() -> None:
    logits = torch.full((1, 1, 9, 9), -30.0)
    logits[0, 0, 1, 1], logits[0, 0, 7, 7] = 2.0, 1.9
    torch.testing.assert_close(local_mean(logits), torch.tensor([[[1.0, 1.0]]]))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 128), (64, 128)])
def test_positions_are_pixels_of_the_frame_that_was_given(height: int, width: int) -> None:
    """A network whose map peaks in cell (10, 20) means the point between pixels 20, 21 and 40, 41 of 64 x 64."""
    estimator = tiny(("a",))

    def peaked(frames: Tensor) -> tuple[Tensor, Tensor]:
        place = torch.full((len(frames), 1, 32, 32), -30.0)
        place[:, :, 20, 10] = 0.0
        return place, torch.zeros(len(frames), 1)

    estimator.maps = peaked  # type: ignore[method-assign]
    found = estimator(torch.zeros(1, 3, height, width))
    expected = torch.tensor([21.0 * width / 64 - 0.5, 41.0 * height / 64 - 0.5])
    torch.testing.assert_close(found.position[0, 0], expected)
    assert found.confidence.item() == 0.5


# ---------------------------------------------------------------------------------------------------------------- files

NETWORKS = {
    "pose": (tiny, PoseEstimator),
    "identity": (lambda: IdentityEmbedder(EmbedderConfig(8, (4, 4, 4, 4))).eval(), IdentityEmbedder),
    "features": (lambda: MiniFeatures(EmbedderConfig(8, (4, 4, 4, 4))).eval(), MiniFeatures),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_is_saved_is_loaded(kind: str, tmp_path: Path) -> None:
    make, cls = NETWORKS[kind]
    network, file = make(), tmp_path / "net.safetensors"
    network.save(file)
    again = cls.load(file)
    assert again.config == network.config
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)
    assert not again.training


def test_half_a_file_a_foreign_one_another_kind_and_none_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    tiny().save(file)
    with pytest.raises(UserError, match=r"^.*net.safetensors: expected an evaluator of kind 'identity', got .*pose[^\n]*$"):
        IdentityEmbedder.load(file)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"^.*net.safetensors: expected a safetensors file[^\n]*$"):
        PoseEstimator.load(file)
    safetensors.torch.save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(UserError, match=r"^.*net.safetensors: expected an evaluator .* got a foreign file[^\n]*$"):
        PoseEstimator.load(file)
    with pytest.raises(UserError, match=r"^.*none.safetensors: no such file[^\n]*$"):
        PoseEstimator.load(tmp_path / "none.safetensors")


def rewritten(file: Path, tensors: dict[str, Tensor], config: object) -> None:
    header = {"format": "monkeynet_edu evaluator", "kind": "pose", "config": json.dumps(config)}
    safetensors.torch.save_file(tensors, file, header)


def test_tensors_of_another_shape_and_a_damaged_header_are_named_in_one_line(tmp_path: Path) -> None:
    file, estimator = tmp_path / "net.safetensors", tiny()
    config = {"data": "mini-taichi", "joint_names": ["a", "b"], "widths": [4, 4, 4, 4]}
    state = {name: tensor.contiguous() for name, tensor in estimator.state_dict().items()}
    rewritten(file, {**state, "head.weight": torch.zeros(6, 4, 1, 1)}, config)
    with pytest.raises(UserError, match=r"^.*net.safetensors: .*head.weight is \(6, 4, 1, 1\) in the file[^\n]*$"):
        PoseEstimator.load(file)
    rewritten(file, state, {"data": "mini-taichi"})
    with pytest.raises(UserError, match=r"^.*net.safetensors: expected an evaluator's configuration[^\n]*$"):
        PoseEstimator.load(file)


def test_together_the_shipped_files_are_at_most_two_megabytes_and_each_has_its_card() -> None:
    files = sorted((data_small() / "weights").glob("evaluators-*.safetensors"))
    assert len(files) == len(SETS) + 2
    assert sum(file.stat().st_size for file in files) <= 2_000_000
    for card in ("pose", "identity", "features"):
        text = (data_small() / "weights" / f"evaluators-{card}.md").read_text("utf-8")
        assert f"python benchmarks/train_evaluators.py --stage {card}" in text
        assert "python benchmarks/train_evaluators.py --measure" in text


# ------------------------------------------------------------------------------------------ what the shipped ones reach


@dataclass(frozen=True)
class Shown:
    """Frames (N, 3, 64, 64) of unseen characters, their backgrounds, joints in pixels, visibility and clip numbers."""

    frames: Tensor
    backgrounds: Tensor
    joints: Tensor
    visible: Tensor
    clip: Tensor


def unseen(name: str, clips: int, frames: int = 4, seed: int = 5) -> Shown:
    columns: list[list[Tensor]] = [[], [], [], [], []]
    for number, (identity, motion) in enumerate(held_out_clips(name, seed, clips).seeds):
        scene = make_scene(name, identity, motion)
        drawn = render(scene, np.linspace(0, scene.length - 1, frames).astype(int))
        background = torch.from_numpy(np.asarray(scene.background, dtype=np.float32)).permute(2, 0, 1)
        row = (
            to_tensor(drawn.frames),
            background.expand(frames, -1, -1, -1),
            torch.from_numpy((drawn.truth.joints + 1) * 31.5),
            torch.from_numpy(drawn.truth.visible),
            torch.full((frames,), number),
        )
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return Shown(*(torch.cat(column) for column in columns))


@pytest.fixture(scope="module")
def people() -> Shown:
    return unseen("mini-taichi", 12, 5)


@pytest.fixture(scope="module")
def shipped() -> Evaluators:
    return evaluators_for("mini-taichi")


def blurred(frames: Tensor) -> Tensor:
    """Gaussian of 1 pixel."""
    line = torch.exp(-0.5 * torch.arange(-3.0, 4.0).square())
    kernel = (line[:, None] * line / line.sum() ** 2).expand(3, 1, 7, 7)
    return torch.nn.functional.conv2d(torch.nn.functional.pad(frames, (3, 3, 3, 3), "replicate"), kernel, groups=3)


def test_on_unseen_people_joints_are_within_a_pixel_and_visibility_is_told(people: Shown, shipped: Evaluators) -> None:
    assert shipped.detector is not None
    points = shipped.detector(people.frames)
    error = (points.position - people.joints).norm(dim=-1)[people.visible].mean()
    assert float(error) <= 1.0
    found = points.found()
    f1 = 2 * (found & people.visible).sum() / (found.sum() + people.visible.sum())
    assert float(f1) >= 0.95


@pytest.mark.parametrize("name", ["mini-nemo", "mini-bair", "mini-mgif"])
def test_the_other_miniatures_joints_are_found_too(name: str) -> None:
    shown, detector = unseen(name, 6, 3), evaluators_for(name).detector
    assert detector is not None
    points, known = detector(shown.frames), len(evaluators_for(name).joint_names)  # mini-bair's toys come last
    joints, visible, found = shown.joints[:, :known], shown.visible[:, :known], points.found()
    assert float((points.position - joints).norm(dim=-1)[visible].mean()) <= 1.0
    assert float(2 * (found & visible).sum() / (found.sum() + visible.sum())) >= 0.95


def test_confidence_falls_when_a_limb_is_painted_over(people: Shown, shipped: Evaluators) -> None:
    """Background over the wrist and its neighbourhood: it is no longer found; a joint far from it stays."""
    assert shipped.detector is not None
    wrist, ankle = (shipped.joint_names.index(name) for name in ("right_wrist", "left_ankle"))
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    place = people.joints[:, wrist, :, None, None]
    hole = (((x - place[:, 0]).square() + (y - place[:, 1]).square()) < 36)[:, None]
    before = shipped.detector(people.frames).confidence
    after = shipped.detector(torch.where(hole, people.backgrounds, people.frames)).confidence
    seen = people.visible[:, wrist]
    assert float((after[seen, wrist] < 0.5).float().mean()) >= 0.8
    assert float(before[seen, wrist].mean() - after[seen, wrist].mean()) >= 0.6
    assert float((after[:, ankle] - before[:, ankle]).abs().mean()) <= 0.15


def test_blur_moves_no_joint_far_and_hides_few(people: Shown, shipped: Evaluators) -> None:
    assert shipped.detector is not None
    sharp, soft = shipped.detector(people.frames), shipped.detector(blurred(people.frames))
    moved = (soft.position - sharp.position).norm(dim=-1)[people.visible]
    assert float(moved.mean()) <= 0.75
    assert float(soft.found()[people.visible].float().mean()) >= 0.95


def test_an_unseen_person_is_known_again_at_another_time_and_place(shipped: Evaluators) -> None:
    """40 people here; the card has 100. The second half of the test hides the background, by which anybody is known."""
    assert shipped.embedder is not None
    shown = unseen("mini-taichi", 40, 4)
    vectors = shipped.embedder(shown.frames).view(40, 4, -1)
    nearest = (vectors[:, 1:] @ vectors[:, 0].T).argmax(dim=-1)
    assert float((nearest == torch.arange(40)[:, None]).float().mean()) >= 0.95
    same = (vectors[:, 1:] - vectors[:, :1]).norm(dim=-1).mean()
    other = (vectors - vectors.roll(1, 0)).norm(dim=-1).mean()
    assert float(other) > 2 * float(same)


def covariance_trace(a: Tensor, b: Tensor) -> float:
    """Fréchet distance by the eigenvalues of the product of both covariances."""
    first, second = torch.cov(a.T.double()), torch.cov(b.T.double())
    roots = torch.linalg.eigvals(first @ second).real.clamp_min(0).sqrt().sum()
    apart = (a.double().mean(dim=0) - b.double().mean(dim=0)).square().sum()
    return float(apart + first.trace() + second.trace() - 2 * roots)


def test_the_features_react_to_blur_lost_limbs_and_wrong_colours_alike(shipped: Evaluators) -> None:
    assert shipped.features is not None
    network, shown = shipped.features, unseen("mini-taichi", 24, 6)
    real = network(shown.frames)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    place = shown.joints[:, :, :, None, None]
    near = ((x - place[:, :, 0]).square() + (y - place[:, :, 1]).square()) < 30
    limbs = [evaluators_for("mini-taichi").joint_names.index(n) for n in ("right_wrist", "left_wrist", "left_ankle")]
    hole = near[:, limbs].any(dim=1, keepdim=True)
    figure = ((shown.frames - shown.backgrounds).abs().amax(dim=1, keepdim=True) > 0.02).float()
    spoilt = {
        "blurred": blurred(shown.frames),
        "lost limbs": torch.where(hole, shown.backgrounds, shown.frames),
        "recoloured": torch.lerp(shown.frames, shown.frames[:, [2, 0, 1]], figure),
    }
    # A little noise, which nobody sees, is the yardstick.
    torch.manual_seed(0)
    nothing = covariance_trace(real, network((shown.frames + 0.005 * torch.randn_like(shown.frames)).clamp(0, 1)))
    for kind, frames in spoilt.items():
        assert covariance_trace(real, network(frames)) > 5 * nothing, kind


def test_the_same_frames_give_the_same_figures(people: Shown, shipped: Evaluators) -> None:
    assert shipped.detector is not None
    first, second = shipped.detector(people.frames), shipped.detector(people.frames)
    torch.testing.assert_close(first.position, second.position, rtol=0, atol=0)
    torch.testing.assert_close(first.confidence, second.confidence, rtol=0, atol=0)


# ------------------------------------------------------------------------------------------------------------ regression


def test_by_hand_the_ridge_halves_the_slope_and_leaves_the_middle() -> None:
    """x = ±1 in one coordinate, y = 3 ± 2: ΣX² = 2, ΣXY = 4, so the slope is 2 without a ridge and 1 with a ridge of 2."""
    x = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]]])
    y = torch.tensor([[[5.0, 7.0]], [[1.0, 7.0]]])
    new = torch.tensor([[[3.0, 0.0]], [[0.0, 0.0]]])
    plain = landmark_regression(x, y, new, 1e-9)
    ridged = landmark_regression(x, y, new, 2.0)
    torch.testing.assert_close(plain, torch.tensor([[[9.0, 7.0]], [[3.0, 7.0]]]))
    torch.testing.assert_close(ridged, torch.tensor([[[6.0, 7.0]], [[3.0, 7.0]]]))


def test_it_agrees_with_least_squares_on_rows_that_stand_for_the_ridge() -> None:
    """Ridge regression is least squares with √ridge·I below the centred inputs and zeros below the outputs."""
    rng = np.random.default_rng(0)
    x, y, new = rng.normal(size=(30, 3, 2)), rng.normal(size=(30, 4, 2)) + 5, rng.normal(size=(7, 3, 2))
    flat, wanted = x.reshape(30, 6), y.reshape(30, 8)
    rows = np.vstack([flat - flat.mean(0), np.sqrt(0.7) * np.eye(6)])
    weights = np.linalg.lstsq(rows, np.vstack([wanted - wanted.mean(0), np.zeros((6, 8))]), rcond=None)[0]
    expected = (new.reshape(7, 6) - flat.mean(0)) @ weights + wanted.mean(0)
    ours = landmark_regression(*(torch.from_numpy(a) for a in (x, y, new)), 0.7)
    np.testing.assert_allclose(ours.numpy(), expected.reshape(7, 4, 2), rtol=1e-10)


def test_clips_are_regressed_together_and_handed_back_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    train, test = [torch.rand(9, 3, 2), torch.rand(8, 3, 2)], [torch.rand(2, 3, 2), torch.rand(5, 3, 2)]
    shift = torch.tensor([0.5, -0.25])
    found = regressed_joints(train, [2 * k[:, :2] + shift for k in train], test, 1e-9)
    assert [tuple(f.shape) for f in found] == [(2, 2, 2), (5, 2, 2)]
    torch.testing.assert_close(found[1], (2 * test[1][:, :2] + shift).double(), atol=1e-5, rtol=0)
    monkeypatch.setattr(evaluators, "landmark_regression", lambda x, y, z, ridge: torch.zeros(len(z), 2, 2))
    assert float(regressed_joints(train, [k[:, :2] for k in train], test)[0].abs().sum()) == 0


def test_the_regression_refuses_what_does_not_fit_in_one_line() -> None:
    frames = torch.rand(4, 3, 2)
    with pytest.raises(UserError, match=r"^landmark regression: .*got 0 and 0 frames[^\n]*$"):
        regressed_joints([], [], [frames])
    with pytest.raises(UserError, match=r"^landmark regression: .*got 4 and 3 frames[^\n]*$"):
        regressed_joints([frames], [frames[:3]], [frames])
    with pytest.raises(UserError, match=r"^landmark regression: expected one number of keypoints[^\n]*$"):
        regressed_joints([frames], [frames], [frames[:, :2]])
    with pytest.raises(UserError, match=r"^landmark regression: .*ridge of at least 0[^\n]*$"):
        regressed_joints([frames], [frames], [frames], -1.0)


# --------------------------------------------------------------------------------------------------------- public detector


def test_without_its_packages_the_face_detector_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    with pytest.raises(UserError, match=r'^DlibFaces: .*found no dlib.*pip install "monkeynet-edu\[faces\]"$'):
        DlibFaces()


has_dlib = importlib.util.find_spec("dlib") is not None and importlib.util.find_spec("face_recognition_models") is not None


@pytest.mark.skipif(not has_dlib, reason='the extra is not installed: pip install "monkeynet-edu[faces]"')
def test_dlib_finds_a_face_in_a_photograph_and_none_in_a_wall() -> None:
    """Grace Hopper's portrait comes with matplotlib; eyes, nose and chin were read off the picture."""
    import matplotlib

    photo = read_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    frame = to_tensor(np.asarray(photo).reshape(1, *photo.shape[-3:]))[:, :, :512]
    detector: PointDetector = DlibFaces()
    small = torch.nn.functional.interpolate(frame, (128, 128), mode="bilinear", antialias=True)
    points = detector(torch.cat([small, torch.full_like(small, 0.5)]))
    assert points.found().float().mean(dim=1).tolist() == [1.0, 0.0]
    expected = {30: (66.5, 59.5), 36: (52.0, 48.5), 45: (80.0, 47.5), 8: (67.0, 83.0)}
    for joint, place in expected.items():
        torch.testing.assert_close(points.position[0, joint], torch.tensor(place), atol=2.5, rtol=0)
    assert len(DlibFaces.joint_names) == 68
    assert DlibFaces.joint_names[30] == "nose_3"
    assert DlibFaces.joint_names[36] == "eye_0"
