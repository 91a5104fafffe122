"""The metric microscope: each damage is what it says, each reading is right on films whose faults are known."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from monkeynet_edu.course import microscope
from monkeynet_edu.course.character import Character
from monkeynet_edu.course.lessons.figures10 import CoarseColours
from monkeynet_edu.course.microscope import COPY, FORMS, LATE_ARM, Damage, Specimen
from monkeynet_edu.data.sprites import Scene, render
from monkeynet_edu.errors import UserError
from monkeynet_edu.evaluators import Evaluators, Points, evaluators_for
from monkeynet_edu.metrics import distances, frechet
from monkeynet_edu.metrics.distances import Counted
from monkeynet_edu.widgets import Range
from monkeynet_edu.widgets.microscope import TITLE
from monkeynet_edu.widgets.microscope import microscope as microscope_panel

CHARACTER = Character()


def middle_of_trousers(frames: Tensor) -> Points:
    """A detector of one joint: the middle of what is blue (trousers); found where at least 20 pixels are."""
    blue = ((frames[:, 2] - frames[:, 0]) > 0.2).float()  # (T, H, W)
    count = blue.sum(dim=(1, 2))
    x, y = torch.arange(64.0), torch.arange(64.0)
    places = [(blue.sum(dim=1) * x).sum(dim=1), (blue.sum(dim=2) * y).sum(dim=1)]
    position = torch.stack(places, dim=-1) / count.clamp_min(1)[:, None]
    return Points(position[:, None], (count >= 20).float()[:, None])


def mean_colour(frames: Tensor) -> Tensor:
    return frames.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def specimen() -> Specimen:
    simple = Evaluators(middle_of_trousers, mean_colour, CoarseColours(), ("trousers",))
    return microscope.prepare(CHARACTER, simple, motions=(3, 5))


def told(specimen: Specimen, damage: Damage, form: str = FORMS[0]) -> dict[str, Counted]:
    return microscope.readings(specimen, microscope.spoilt(specimen, damage), form)


def a_scene() -> Scene:
    return microscope._scenes(CHARACTER, (3,))[0]


# --------------------------------------------------------------------------------------------------------------- damage


def test_a_shift_moves_to_the_right_and_repeats_the_left_edge() -> None:
    row = np.array([1, 2, 3, 4], np.uint8)[None, :, None].repeat(3, axis=2)
    assert microscope.shifted(row, 1)[0, :, 0].tolist() == [1, 1, 2, 3]
    assert microscope.shifted(row, 0)[0, :, 0].tolist() == [1, 2, 3, 4]


def test_a_blur_spreads_in_the_picture_alone() -> None:
    film = np.zeros((2, 9, 9, 3), np.uint8)
    film[0, 4, 4, 0] = 200
    soft = microscope.blurred(film, 1.0)
    assert soft[0, 4, 5, 0] > 0
    assert soft[0, 4, 4, 0] < 200
    assert not soft[1].any()  # no other frame
    assert not soft[0, ..., 1:].any()  # no other colour
    assert np.array_equal(microscope.blurred(film, 0), film)


def test_a_worse_mp4_is_farther_from_the_film(specimen: Specimen) -> None:
    film = specimen.real[0]
    gaps = [np.abs(microscope.recoded(film, quality).astype(int) - film).mean() for quality in (18, 28, 38)]
    assert microscope.recoded(film, 18).shape == film.shape
    assert 0 < gaps[0] < gaps[1] < gaps[2] < 20


def test_without_an_arm_what_was_behind_it_shows() -> None:
    scene, frames = a_scene(), (0, 30)
    whole, cut = render(scene, frames), render(microscope.without(scene, microscope.ARM), frames)
    numbers = [i for i, part in enumerate(scene.parts, start=1) if part.name in microscope.ARM]
    arm = np.isin(whole.truth.labels, numbers)
    names = np.array(["background", *cut.truth.part_names])
    assert set(names[cut.truth.labels[arm]]) >= {"background", "jacket"}
    changed = (whole.frames != cut.frames).any(axis=-1)
    near = arm | np.roll(arm, 1, 1) | np.roll(arm, -1, 1) | np.roll(arm, 1, 2) | np.roll(arm, -1, 2)
    corners = np.roll(near, 1, 1) | np.roll(near, -1, 1) | np.roll(near, 1, 2) | np.roll(near, -1, 2)
    assert changed[arm].mean() > 0.9
    assert not changed[~corners].any()
    assert "right_wrist" not in cut.truth.joint_names
    assert "left_wrist" in cut.truth.joint_names


def test_a_late_arm_hangs_at_the_shoulder_and_points_where_it_pointed() -> None:
    scene = a_scene()
    lagging = microscope.late(scene, microscope.ARM, "right_upper_arm", 12)
    before, after = ({part.name: part.pose for part in s.parts} for s in (scene, lagging))
    now, then = 40, 28
    assert np.array_equal(after["right_upper_arm"].centre, before["right_upper_arm"].centre)
    assert np.array_equal(after["right_hand"].matrix[now], before["right_hand"].matrix[then])
    reach = after["right_hand"].centre[now] - after["right_upper_arm"].centre[now]
    assert reach == pytest.approx(before["right_hand"].centre[then] - before["right_upper_arm"].centre[then], abs=1e-6)
    assert after["left_hand"] is before["left_hand"]
    assert after["right_hand"].centre[0] == pytest.approx(before["right_hand"].centre[0], abs=1e-6)


def test_new_clothes_leave_skin_and_hair_and_movement() -> None:
    other = microscope.recoloured(CHARACTER, 100)
    assert microscope.recoloured(CHARACTER, 0) == CHARACTER
    for name in ("jacket", "sleeve", "trousers", "accent"):
        assert getattr(other.colours, name) != getattr(CHARACTER.colours, name)
    assert (other.colours.skin, other.colours.hair) == (CHARACTER.colours.skin, CHARACTER.colours.hair)
    half = microscope.recoloured(CHARACTER, 50).colours.jacket
    ends = (CHARACTER.colours.jacket, other.colours.jacket)
    assert int(half[1:3], 16) == pytest.approx(sum(int(code[1:3], 16) for code in ends) / 2, abs=1)


def test_the_copy_repeats_the_source_and_the_undamaged_film_is_the_real_one(specimen: Specimen) -> None:
    copy = microscope.spoilt(specimen, Damage(COPY))
    assert np.array_equal(copy, np.repeat(specimen.real[:, :1], microscope.FRAMES, axis=1))
    assert np.array_equal(microscope.spoilt(specimen, Damage()), specimen.real)


def test_exact_films_come_with_their_truth(specimen: Specimen) -> None:
    clips = microscope.film_exactly(CHARACTER, (3, 5))
    assert np.array_equal(np.stack([clip.frames for clip in clips]), specimen.real)
    assert all(clip.truth is not None and len(clip.truth.joints) == microscope.FRAMES for clip in clips)
    assert bool(specimen.moving.any(dim=(2, 3)).float().mean() > 0.9)  # something moves in nearly every frame


def test_damages_can_be_combined(specimen: Specimen) -> None:
    both = microscope.spoilt(specimen, Damage(limb="left leg", shift=2))
    alone = microscope.spoilt(specimen, Damage(limb="left leg"))
    assert np.array_equal(both, microscope.shifted(alone, 2))
    assert Damage(LATE_ARM, "left leg", 2, 3, 50, "poor").describe() == (
        "right arm too late, without left leg, shifted by 2 px, blurred (σ 1.5 px), clothes recoloured by 50 %, "
        "MP4 of poor quality"
    )


@pytest.mark.parametrize(
    ("setting", "word"), [({"limb": "tail"}, "right arm"), ({"mp4": "best"}, "poor"), ({"shift": -1}, "from 0 to 32")]
)
def test_a_damage_that_does_not_exist_is_refused_in_one_line(setting: dict[str, Any], word: str) -> None:
    with pytest.raises(UserError, match=word) as caught:
        Damage(**setting)
    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("form", FORMS)
def test_the_real_film_is_perfect_in_every_figure(specimen: Specimen, form: str) -> None:
    for name, figure in told(specimen, Damage(), form).items():
        assert figure.value == pytest.approx(0, abs=1e-6), name
        assert figure.frames > 0


@pytest.mark.parametrize("form", FORMS)
def test_copying_the_source_fills_the_bars_of_l1_akd_and_fid(specimen: Specimen, form: str) -> None:
    part = microscope.shares(specimen, told(specimen, Damage(COPY), form), form)
    assert [part[name] for name in ("L1", "L1 moving", "AKD", "FID")] == pytest.approx([1.0] * 4)
    assert specimen.full[form]["MKR"] == 1


def test_two_pixels_are_two_pixels_as_defined_and_one_as_published(specimen: Specimen) -> None:
    assert told(specimen, Damage(shift=2))["AKD"].value == pytest.approx(2, abs=0.01)
    assert told(specimen, Damage(shift=2), "published code")["AKD"].value == pytest.approx(1, abs=0.01)  # (2 + 0)/2


def test_l1_is_the_mean_absolute_difference_of_all_frames_but_the_source(specimen: Specimen) -> None:
    films = microscope.spoilt(specimen, Damage(blur=2))
    gap = np.abs(films.astype(float) - specimen.real) / 255
    plain, published = (microscope.readings(specimen, films, form)["L1"] for form in FORMS)
    assert plain.value == pytest.approx(gap[:, 1:].mean(), rel=1e-5)
    assert published.value == pytest.approx(gap.mean(), rel=1e-5)
    assert (plain.frames, published.frames) == (2 * 23, 2 * 24)
    moving = [gap[n, 1:].mean(axis=-1)[t][specimen.moving[n, t].numpy()].mean() for n in range(2) for t in range(23)]
    told_moving = microscope.readings(specimen, films, FORMS[0])["L1 moving"].value
    assert told_moving == pytest.approx(np.mean(moving), rel=1e-4)


def test_a_lost_joint_leaves_akd_and_enters_mkr(specimen: Specimen) -> None:
    blind = replace(specimen, evaluators=replace(specimen.evaluators, detector=lambda frames: Points(*_nothing(frames))))
    lost = told(blind, Damage(shift=1))
    assert (lost["AKD"].value, lost["AKD"].points) == (None, 0)
    assert lost["MKR"].value == 1
    assert microscope.verdict(microscope.shares(blind, lost, FORMS[0])["AKD"]) == "cannot be measured"


def _nothing(frames: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros(len(frames), 1, 2), torch.zeros(len(frames), 1)


def test_squared_embeddings_are_squared(specimen: Specimen) -> None:
    films = microscope.spoilt(specimen, Damage(recolour=100))
    apart = (mean_of(films) - mean_of(specimen.real)).norm(dim=-1)  # (N, T)
    plain, published = (microscope.readings(specimen, films, form)["AED"].value for form in FORMS)
    assert plain == pytest.approx(float(apart[:, 1:].mean()), rel=1e-4)
    assert published == pytest.approx(float(apart.square().mean()), rel=1e-4)


def mean_of(films: np.ndarray) -> Tensor:
    return torch.from_numpy(films.astype(np.float32) / 255).mean(dim=(2, 3))


def test_her_own_functions_are_inside(specimen: Specimen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "average_keypoint_distance", lambda *_: torch.tensor(7.0))
    monkeypatch.setattr(frechet, "frechet_distance", lambda *_: torch.tensor(5.0))
    found = told(specimen, Damage(shift=1))
    assert (found["AKD"].value, found["FID"].value) == (7.0, 5.0)


def test_all_networks_are_needed() -> None:
    with pytest.raises(UserError, match="no embedder, no features"):
        microscope.prepare(CHARACTER, Evaluators(middle_of_trousers))


def test_an_unknown_form_is_refused(specimen: Specimen) -> None:
    with pytest.raises(UserError, match="as defined"):
        microscope.readings(specimen, specimen.real, "as defind")


@pytest.fixture(scope="module")
def shipped() -> Specimen:
    return microscope.prepare(CHARACTER, evaluators_for("mini-taichi"), motions=(3,))


def test_with_the_shipped_networks_a_lost_limb_improves_akd_and_mkr_tells(shipped: Specimen) -> None:
    late, cut = told(shipped, Damage(LATE_ARM)), told(shipped, Damage(LATE_ARM, "right arm"))
    assert late["AKD"].value is not None
    assert cut["AKD"].value is not None
    assert cut["AKD"].value < 0.8 * late["AKD"].value
    assert late["MKR"].value == pytest.approx(0, abs=0.03)
    assert cut["MKR"].value is not None
    assert cut["MKR"].value > 0.08


def test_with_the_shipped_networks_copying_beats_a_shift_in_l1_and_loses_in_akd(shipped: Specimen) -> None:
    copy, shift = told(shipped, Damage(COPY)), told(shipped, Damage(shift=3))
    assert copy["L1"].value < shift["L1"].value  # type: ignore[operator]
    assert copy["AKD"].value > shift["AKD"].value  # type: ignore[operator]


# ------------------------------------------------------------------------------------------------- pictures and controls


def test_the_picture_says_damage_form_and_figures(specimen: Specimen) -> None:
    damage = Damage(shift=2)
    films = microscope.spoilt(specimen, damage)
    found = microscope.look_at(specimen.evaluators, films)
    figures = microscope.readings(specimen, films, FORMS[0], found)
    alt = microscope.figure_readings(specimen, films, found, figures, damage, FORMS[0]).alt
    assert "as defined: the real film, shifted by 2 px" in alt
    assert "AKD 2.00 px" in alt
    assert "MKR 0.000, does not move" in alt
    assert "none of the joints" in alt


def test_verdicts_follow_the_share_of_a_full_bar() -> None:
    assert [microscope.verdict(share) for share in (0.0, 0.05, 0.5, None)] == [
        "does not move",
        "hardly moves",
        "moves",
        "cannot be measured",
    ]


def test_the_survey_shows_each_damage_in_numbers(specimen: Specimen) -> None:
    seen = microscope.survey(specimen, [Damage(), Damage(COPY)])
    picture = microscope.figure_survey(seen)
    assert list(seen) == ["the real film", "copy of the source"]
    words = [text.get_text() for text in picture.figure.axes[0].texts]
    assert words[: len(microscope.FIGURES)] == ["0"] * len(microscope.FIGURES)
    assert words[len(microscope.FIGURES)] == "100 %"
    assert "the real film: L1 does not move" in picture.alt


def test_the_controls_are_the_damages_and_the_form() -> None:
    seen = []
    made = microscope_panel(
        lambda values: seen.append(dict(values)) or (np.zeros((4, 4), np.uint8), "black"),  # type: ignore[func-returns-value]
        microscope.FILMS,
        tuple(microscope.LIMBS),
        tuple(microscope.QUALITIES),
        microscope.FORMS,
    )
    assert made.title == TITLE
    first = seen[0]
    assert first.pop("form") == "as defined"
    assert Damage(**first) == Damage()
    assert {control.name for control in made.controls} == {item.name for item in fields(Damage)} | {"form"}
    assert all(control.label for control in made.controls)
    for control in made.controls:
        if isinstance(control, Range):
            highest: dict[str, Any] = {control.name: int(control.high)}
            Damage(**highest)  # within what a damage allows


def test_looking_through_follows_the_controls_and_looks_once_at_each_film(
    specimen: Specimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    plain = microscope.look_at
    monkeypatch.setattr(microscope, "look_at", lambda *args: looked.append(1) or plain(*args))  # type: ignore[func-returns-value]
    scope = microscope.look_through(specimen)
    assert "the real film" in scope.picture().alt
    scope.set(shift=1)
    assert "shifted by 1 px" in scope.picture().alt
    assert "AKD 1.00 px" in scope.picture().said
    scope.set(form="published code")
    assert "AKD 0.50 px" in scope.picture().said
    assert len(looked) == 2
    scope.set(limb="tail")
    assert "unknown limb 'tail'" in scope.error
    assert "shifted by 1 px" in scope.picture().alt  # the last good one stays
    bundle = scope._repr_mimebundle_()
    assert "alt=" in bundle["text/html"]
