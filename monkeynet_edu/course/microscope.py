"""The metric microscope: a film of her character is spoilt in a known way, and every metric says what it noticed.

Everything here is a function of its arguments: :class:`Specimen` holds the real films and what the external networks found
in them, :func:`spoilt` makes the films under the microscope, :func:`readings` measures them, :func:`figure_readings` draws.
A lost limb is drawn by leaving its parts out of the scene, so what was behind it shows.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from monkeynet_edu.course.character import Character, Colours, Proportions
from monkeynet_edu.data.sprites import Clip, Joint, Part, Scene, render, taichi
from monkeynet_edu.data.video import Frames, to_tensor
from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.evaluators import Evaluators
from monkeynet_edu.metrics import external, frechet, over_clips
from monkeynet_edu.metrics.distances import Counted
from monkeynet_edu.metrics.pixels import masked_mean
from monkeynet_edu.viz import Picture
from monkeynet_edu.widgets import Panel, Still
from monkeynet_edu.widgets.microscope import microscope as microscope_panel
from monkeynet_edu.widgets.panels import Values

Form = Literal["as defined", "published code"]
Shares = dict[str, dict[str, float | None]]

MOTIONS = (3, 5, 8)
FRAMES, STEP = 24, 2
LATE = 12
"""How many frames of the scene the late arm lags behind; every second one is a frame of the film."""

FORMS: tuple[Form, ...] = ("as defined", "published code")
REAL, LATE_ARM, COPY = FILMS = ("the real film", "right arm too late", "copy of the source")
ARM = ("right_hand", "right_forearm", "right_upper_arm", "right_sleeve")
LIMBS: dict[str, tuple[str, ...]] = {
    "none": (),
    "right forearm": ARM[:2],
    "right arm": ARM,
    "left leg": ("left_shoe", "left_shin", "left_thigh"),
}
QUALITIES: dict[str, int | None] = {"off": None, "good": 18, "middling": 28, "poor": 38}
"""H.264's constant rate factor: 0 is lossless, 51 the worst."""

FIGURES = ("L1", "L1 moving", "AKD", "MKR", "AED", "FID")
HARDLY, BLIND = 0.1, 0.01
"""Shares of a full bar below which a metric hardly moves, or does not."""

_MOMENT = 15  # the frame of the first film that is shown
_BAR = "#0072b2"


@dataclass(frozen=True)
class Damage:
    """What is done to a film; the values of the microscope's controls, by their names.

    Attributes:
        film: of :data:`FILMS`: where the frames come from.
        limb: of :data:`LIMBS`: which parts are not drawn.
        shift: pixels to the right; the left edge is repeated.
        blur: standard deviation of a Gaussian, in half pixels.
        recolour: per cent of the way from the clothes' colours to others, 0 to 100.
        mp4: of :data:`QUALITIES`: written as H.264 and read again.
    """

    film: str = REAL
    limb: str = "none"
    shift: int = 0
    blur: int = 0
    recolour: int = 0
    mp4: str = "off"

    def __post_init__(self) -> None:
        """Checks names and numbers."""
        for name, known in (("film", FILMS), ("limb", LIMBS), ("mp4", QUALITIES)):
            if getattr(self, name) not in known:
                raise unknown_name(name, getattr(self, name), known)
        for name, high in (("shift", 32), ("blur", 20), ("recolour", 100)):
            if not 0 <= getattr(self, name) <= high:
                came = getattr(self, name)
                raise UserError(f"{name}: expected a number from 0 to {high}, got {came!r}; choose one between")

    def describe(self) -> str:
        """The damage in words."""
        said = [self.film]
        said += [f"without {self.limb}"] if self.limb != "none" else []
        said += [f"shifted by {self.shift} px"] if self.shift else []
        said += [f"blurred (σ {self.blur / 2:g} px)"] if self.blur else []
        said += [f"clothes recoloured by {self.recolour} %"] if self.recolour else []
        said += [f"MP4 of {self.mp4} quality"] if self.mp4 != "off" else []
        return ", ".join(said)


@dataclass(frozen=True)
class Found:
    """What the external networks found in N films of T frames.

    Attributes:
        position: (N, T, J, 2) in pixels.
        seen: (N, T, J) whether the joint was found.
        identity: (N, T, D) embeddings.
        features: (N·(T-1), F) float64, of all frames but the sources, by the network that the FID names.
    """

    position: Tensor
    seen: Tensor
    identity: Tensor
    features: Tensor


@dataclass(frozen=True)
class Specimen:
    """A character in several movements, and what the networks find there.

    Attributes:
        character: who.
        evaluators: the external networks; all three are needed.
        motions: numbers of the movements, one film each.
        real: (N, T, H, W, 3) uint8; frame 0 of each film is its source.
        moving: (N, T-1, H, W) what truly moved since the source.
        found: in the real films.
        full: by form and figure, what a full bar means; see :func:`full_bars`.
    """

    character: Character
    evaluators: Evaluators
    motions: tuple[int, ...]
    real: Frames
    moving: Tensor
    found: Found
    full: Mapping[str, Mapping[str, float]]


# ------------------------------------------------------------------------------------------------------------ specimens


def prepare(character: Character, evaluators: Evaluators, motions: Sequence[int] = MOTIONS) -> Specimen:
    """Films a character and has the networks look at it; some seconds.

    Args:
        character: hers.
        evaluators: of mini-taichi: detector, embedder and feature network.
        motions: numbers of the movements, one film each.

    Raises:
        UserError: a network is missing.
    """
    missing = [item.name for item in fields(Evaluators) if getattr(evaluators, item.name) is None]
    if missing:
        raise UserError(
            f"microscope: expected all external networks, got no {', no '.join(missing)}; "
            'take evaluators_for("mini-taichi")'
        )
    clips = film_exactly(character, motions)
    real = np.stack([clip.frames for clip in clips])
    moving = np.stack([[clip.truth.moving(t, 0) for t in range(1, FRAMES)] for clip in clips if clip.truth])
    found = look_at(evaluators, real)
    specimen = Specimen(character, evaluators, tuple(motions), real, torch.from_numpy(moving), found, {})
    return replace(specimen, full=full_bars(specimen))


def film_exactly(character: Character, motions: Sequence[int] = MOTIONS) -> list[Clip]:
    """The specimen's films, with the truth about joints and motion."""
    drawn = [render(scene, range(0, scene.length, STEP)) for scene in _scenes(character, motions)]
    return [
        Clip(f"motion-{number}", film.frames, film.fps / STEP, film.truth)
        for number, film in zip(motions, drawn, strict=True)
    ]


def _scenes(character: Character, motions: Sequence[int]) -> list[Scene]:
    """The character's scenes, in its own place."""
    place = 2 * character.background + 1
    look = character.look
    return [taichi.scene_of(look, motion, identity=place, place=place, length=FRAMES * STEP) for motion in motions]


@torch.no_grad()
def look_at(evaluators: Evaluators, films: Frames) -> Found:
    """Shows films (N, T, H, W, 3) to the three networks."""
    assert evaluators.detector is not None
    assert evaluators.embedder is not None
    assert evaluators.features is not None
    count, length = films.shape[:2]
    video = to_tensor(films.reshape(-1, *films.shape[2:]))  # (N·T, 3, H, W)
    position, seen = external.find_points(evaluators.detector, video)
    identity = external.embed(evaluators.embedder, video)
    features = evaluators.features(video).double()
    apart = [values.reshape(count, length, *values.shape[1:]) for values in (position, seen, identity, features)]
    return Found(apart[0], apart[1], apart[2], apart[3][:, 1:].flatten(0, 1))


def stranger(character: Character) -> Character:
    """Somebody else in the same place: another build, other hair, other clothes."""
    body = Proportions(
        height=0.88 if character.proportions.height > 0.95 else 1.04,
        build=0.85 if character.proportions.build > 1 else 1.2,
    )
    worn = {name: _far_from(colour) for name, colour in vars(character.colours).items() if name != "skin"}
    hair = "bun" if character.hairstyle == "hat" else "hat"
    return replace(character, name="Somebody", proportions=body, colours=Colours(**worn), hairstyle=hair)


def full_bars(specimen: Specimen) -> dict[str, dict[str, float]]:
    """What a full bar means: L1, AKD, FID of copying the source; MKR: every joint lost; AED: somebody else's film."""
    other = np.stack([_film(scene) for scene in _scenes(stranger(specimen.character), specimen.motions)])
    copied, strange = spoilt(specimen, Damage(COPY)), look_at(specimen.evaluators, other)
    of_copy = look_at(specimen.evaluators, copied)
    full: dict[str, dict[str, float]] = {}
    for form in FORMS:
        told = readings(specimen, copied, form, of_copy) | {"MKR": Counted(1.0, 0, 0)}
        told["AED"] = _identity(specimen.found.identity, strange.identity, form)
        full[form] = {name: figure.value or 1.0 for name, figure in told.items()}
    return full


# --------------------------------------------------------------------------------------------------------------- damage


def _film(scene: Scene) -> Frames:
    return render(scene, range(0, scene.length, STEP)).frames


def without(scene: Scene, names: Sequence[str]) -> Scene:
    """The scene without some parts; what was behind them shows."""
    parts = tuple(part for part in scene.parts if part.name not in names)
    kept = {part.name for part in parts}
    joints = tuple(
        Joint(joint.name, joint.part, joint.point, tuple(name for name in joint.seen_on if name in kept))
        for joint in scene.joints
        if joint.part in kept
    )
    return replace(scene, parts=parts, joints=joints)


def late(scene: Scene, names: Sequence[str], root: str, frames: int) -> Scene:
    """The scene with a limb that moves too late, still hanging where it should.

    Args:
        scene: to change.
        names: parts of the limb.
        root: the part by whose local origin the limb hangs (an upper arm at its shoulder).
        frames: how many it lags behind.
    """
    then = np.maximum(np.arange(scene.length) - frames, 0)
    hangs = next(part for part in scene.parts if part.name == root).pose.centre

    def moved(part: Part) -> Part:
        pose = part.pose.at(then)
        return replace(part, pose=replace(pose, centre=pose.centre - hangs[then] + hangs))

    return replace(scene, parts=tuple(moved(part) if part.name in names else part for part in scene.parts))


def _far_from(colour: str) -> str:
    """Of a few colours, the one that differs most from another."""
    choice = ("#2a9d8f", "#e9c46a", "#6d3b8c", "#c8372d", "#264653", "#f4f1ea")
    own = np.array(_rgb(colour))
    return max(choice, key=lambda other: float(np.abs(np.array(_rgb(other)) - own).sum()))


def _rgb(code: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three numbers from 0 to 255."""
    red, green, blue = (int(code[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def recoloured(character: Character, percent: int) -> Character:
    """The character in clothes that are some per cent of the way to other colours; skin and hair stay."""

    def mixed(colour: str) -> str:
        pair = zip(_rgb(colour), _rgb(_far_from(colour)), strict=True)
        return "#" + "".join(f"{round(a + (b - a) * percent / 100):02x}" for a, b in pair)

    worn = {name: mixed(getattr(character.colours, name)) for name in ("jacket", "sleeve", "trousers", "accent")}
    return replace(character, colours=replace(character.colours, **worn))


def shifted(films: Frames, pixels: int) -> Frames:
    """Films (…, H, W, 3) moved to the right; the left edge is repeated."""
    columns = np.maximum(np.arange(films.shape[-2]) - pixels, 0)
    return films[..., columns, :]


def blurred(films: Frames, sigma: float) -> Frames:
    """Films (…, H, W, 3) under a Gaussian of a standard deviation in pixels."""
    if not sigma:
        return films
    along = (0.0,) * (films.ndim - 3) + (sigma, sigma, 0.0)
    soft: NDArray[np.float32] = gaussian_filter(films.astype(np.float32), along, mode="nearest")
    return soft.round().clip(0, 255).astype(np.uint8)


def recoded(film: Frames, quality: int, fps: int = 12) -> Frames:
    """A film (T, H, W, 3) written as MP4 (H.264, yuv420p) with a constant rate factor and read again; even sides."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=fps)
        stream.height, stream.width, stream.pix_fmt = *film.shape[1:3], "yuv420p"
        stream.options = {"crf": str(quality), "threads": "1"}  # with more threads the bytes depend on their number
        for frame in film:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as written:
        frames = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in written.decode(video=0)]
    return np.stack(frames)


def spoilt(specimen: Specimen, damage: Damage) -> Frames:
    """The films under the microscope, (N, T, H, W, 3) uint8.

    In this order: whose frames they are, lost limb and clothes (drawn anew), shift, blur, MP4.
    """
    films = []
    for scene in _scenes(recoloured(specimen.character, damage.recolour), specimen.motions):
        lagging = late(scene, ARM, "right_upper_arm", LATE) if damage.film == LATE_ARM else scene
        film = _film(without(lagging, LIMBS[damage.limb]))
        films.append(np.repeat(film[:1], FRAMES, axis=0) if damage.film == COPY else film)
    made = blurred(shifted(np.stack(films), damage.shift), damage.blur / 2)
    quality = QUALITIES[damage.mp4]
    return made if quality is None else np.stack([recoded(film, quality) for film in made])


# -------------------------------------------------------------------------------------------------------------- reading


def _identity(real: Tensor, made: Tensor, form: str) -> Counted:
    """AED of embeddings (N, T, D)."""
    name = "aed" if form == FORMS[0] else "aed_squared"
    return over_clips([external.identity_figures(*pair) for pair in zip(real, made, strict=True)], name)


def _points(real: Found, made: Found, form: str) -> dict[str, Counted]:
    """AKD and MKR."""
    rows = [
        external.point_figures((a, b), (c, d), None)
        for a, b, c, d in zip(real.position, real.seen, made.position, made.seen, strict=True)
    ]
    names = ("akd", "mkr") if form == FORMS[0] else ("akd_l1", "mkr_published")
    return {title: over_clips(rows, name) for title, name in zip(("AKD", "MKR"), names, strict=True)}


def readings(specimen: Specimen, films: Frames, form: str, found: Found | None = None) -> dict[str, Counted]:
    """What each metric says about films.

    Args:
        specimen: the real films.
        films: (N, T, H, W, 3) those under the microscope.
        form: of :data:`FORMS`. *As defined* leaves out frame 0, the source, and counts each clip once; *published code*
            does as the authors' evaluation: frame 0 counts, AKD is the mean of |Δx| and |Δy|, AED is squared. Nothing is
            published for moving pixels and FID: these are the same in both.
        found: what the networks find in the films, if it is known already.

    Returns:
        :data:`FIGURES`, each with its counts.
    """
    if form not in FORMS:
        raise unknown_name("form", form, FORMS)
    found = found or look_at(specimen.evaluators, films)
    error = torch.from_numpy(np.abs(films.astype(np.float32) - specimen.real).mean(axis=-1) / 255)  # (N, T, H, W)
    first = 1 if form == FORMS[0] else 0
    moving = np.mean([masked_mean(e[1:], m) for e, m in zip(error, specimen.moving, strict=True)])
    fid = frechet.frechet_distance(*frechet.gaussian(specimen.found.features), *frechet.gaussian(found.features))
    count = len(found.features)
    whole = error[:, first:]
    return {
        "L1": Counted(float(whole.mean()), whole.shape[0] * whole.shape[1], whole.numel()),
        "L1 moving": Counted(float(moving), count, int(specimen.moving.sum())),
        **_points(specimen.found, found, form),
        "AED": _identity(specimen.found.identity, found.identity, form),
        "FID": Counted(max(0.0, float(fid)), count, count),  # rounding leaves a tiny negative number
    }


def shares(specimen: Specimen, told: Mapping[str, Counted], form: str) -> dict[str, float | None]:
    """Each figure as a share of its full bar; None where it could not be measured."""
    full = specimen.full[form]
    return {name: None if figure.value is None else figure.value / full[name] for name, figure in told.items()}


def verdict(share: float | None) -> str:
    """How much a metric noticed, in words."""
    if share is None:
        return "cannot be measured"
    return "does not move" if share < BLIND else "hardly moves" if share < HARDLY else "moves"


def survey(specimen: Specimen, damages: Sequence[Damage], form: str = FORMS[0]) -> Shares:
    """Several damages, each alone, as all metrics see them: description to :func:`shares`."""
    return {
        damage.describe(): shares(specimen, readings(specimen, spoilt(specimen, damage), form), form) for damage in damages
    }


# ------------------------------------------------------------------------------------------------------------- pictures


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f} px" if name == "AKD" else f"{value:.1f}" if name == "FID" else f"{value:.3f}"


def say_readings(specimen: Specimen, told: Mapping[str, Counted], form: str) -> str:
    """The readings in one line: figures, and what was noticed."""
    part = shares(specimen, told, form)
    return "; ".join(f"{name} {_number(name, figure.value)}, {verdict(part[name])}" for name, figure in told.items())


def figure_readings(
    specimen: Specimen, films: Frames, found: Found, told: Mapping[str, Counted], damage: Damage, form: str
) -> Picture:
    """A real frame, the same frame under the microscope with the joints found, and a bar for each metric.

    Args:
        specimen: the real films.
        films: those under the microscope.
        found: in them.
        told: their readings.
        damage: what was done.
        form: of the readings.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 2.9), layout="constrained")
    left, right, bars = figure.subplots(1, 3, width_ratios=(1, 1, 1.6))
    left.imshow(few_colours(specimen.real[0, _MOMENT]), interpolation="nearest")
    left.set_title("real frame", fontsize=9)
    right.imshow(few_colours(films[0, _MOMENT]), interpolation="nearest")
    right.set_title("under the microscope", fontsize=9)
    lost = _draw_joints(left, right, specimen.found, found)
    part = shares(specimen, told, form)
    lengths = [min(part[name] or 0.0, 1.25) for name in FIGURES]
    bars.barh(range(len(FIGURES)), lengths, color=_BAR, height=0.55)
    bars.axvline(1, color="0.4", linewidth=1, linestyle="--")
    for row, name in enumerate(FIGURES):
        more = " (bar cut off)" if (part[name] or 0.0) > 1.25 else ""
        words = f"{_number(name, told[name].value)}  {verdict(part[name])}{more}"
        bars.text(0.02, row - 0.42, words, fontsize=7.5, va="center")
    bars.set_yticks(range(len(FIGURES)), list(FIGURES), fontsize=8)
    bars.set(xlim=(0, 1.3), ylim=(len(FIGURES) - 0.5, -0.8), xticks=[0, 1])
    bars.set_xticklabels(["0", "full bar"], fontsize=7)
    bars.set_title(form, fontsize=9)
    alt = (
        f"Metric microscope, {form}: {damage.describe()}. {say_readings(specimen, told, form)}. In the frame shown, "
        f"{lost or 'none'} of the joints found in the real frame {'is' if lost in (0, 1) else 'are'} lost."
    )
    return Picture(figure, alt)


def few_colours(pixels: Frames) -> Frames:
    """The same picture (H, W, 3) in 32 colours: a notebook of many pictures stays small."""
    chosen = Image.fromarray(pixels).quantize(32, kmeans=2, dither=Image.Dither.NONE)
    return np.asarray(chosen.convert("RGB"))


def _draw_joints(left: Any, right: Any, real: Found, made: Found) -> int:
    """Circles where joints are found, crosses in the second frame where one is lost; returns how many are."""
    for axis in (left, right):
        axis.set(xticks=[], yticks=[])
    was, now = real.seen[0, _MOMENT], made.seen[0, _MOMENT]
    rows = (
        (left, real.position[0, _MOMENT][was], "o", "none", "white"),
        (right, made.position[0, _MOMENT][was & now], "o", "none", "white"),
        (right, real.position[0, _MOMENT][was & ~now], "x", "black", "black"),
    )
    for axis, places, marker, fill, edge in rows:
        colours = {"facecolors": fill, "edgecolors": edge} if marker == "o" else {"c": fill}
        axis.scatter(places[:, 0], places[:, 1], s=34, marker=marker, linewidths=1.6, **colours)
    return int((was & ~now).sum())


def figure_survey(seen: Shares, alt_start: str = "What each metric notices") -> Picture:
    """A table of damages and metrics: shares of a full bar in per cent, in numbers and in shades.

    Args:
        seen: see :func:`survey`.
        alt_start: begins the alt text.
    """
    from matplotlib.figure import Figure

    names = list(next(iter(seen.values())))
    table = np.array([[np.nan if share is None else share for share in row.values()] for row in seen.values()])
    figure = Figure(figsize=(6.2, 0.27 * len(seen) + 0.5), layout="constrained")
    axis = figure.add_subplot()
    axis.imshow(np.nan_to_num(table).clip(0, 1), cmap="Blues", vmin=0, vmax=1.6, aspect="auto")
    for (row, column), share in np.ndenumerate(table):
        words = "–" if np.isnan(share) else "0" if share < 0.005 else f"{100 * share:.0f} %"
        axis.text(column, row, words, ha="center", va="center", fontsize=7)
    axis.set_xticks(range(len(names)), names, fontsize=7)
    axis.set_yticks(range(len(seen)), list(seen), fontsize=7)
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    said = [
        f"{what}: " + ", ".join(f"{name} {verdict(share)}" for name, share in row.items()) for what, row in seen.items()
    ]
    return Picture(figure, f"{alt_start}. {'; '.join(said)}.")


def look_through(specimen: Specimen) -> Panel:
    """The microscope itself: controls for each damage and the form, beside :func:`figure_readings`."""
    kept: dict[Damage, tuple[Frames, Found]] = {}

    def draw(values: Values) -> Still:
        settings = dict(values)
        form = settings.pop("form")
        damage = Damage(**settings)
        if damage not in kept:
            films = spoilt(specimen, damage)
            kept[damage] = films, look_at(specimen.evaluators, films)
        films, found = kept[damage]
        told = readings(specimen, films, form, found)
        picture = figure_readings(specimen, films, found, told, damage, form)
        return replace(Still.of(picture), said=say_readings(specimen, told, form))

    return microscope_panel(draw, FILMS, tuple(LIMBS), tuple(QUALITIES), FORMS)
