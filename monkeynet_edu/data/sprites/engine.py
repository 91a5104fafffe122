"""A small anti-aliased 2-D renderer of articulated figures that also returns the truth about every frame.

A scene is a static background and a list of parts in painter's order (later parts cover earlier ones). A part is a shape
given by a signed distance in its own *local* coordinates (u, v), a paint that is a function of the same coordinates (so
texture travels with the part), and a pose for every frame. Because a material point keeps its (u, v), the flow between any
two frames is exact: map a pixel into the part's local coordinates in one frame and out again in the other.

Scene coordinates are the library's: (x, y) in [-1, 1], y down, corners of the lattice at the centres of the corner pixels.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from monkeynet_edu.errors import UserError
from monkeynet_edu.files import check_file

Array = NDArray[np.floating]  # float32 wherever it is stored
RGB = tuple[float, float, float]

_MOST_TRUTH = 256 * 2**20
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError)


class Shape(Protocol):
    """A region of the local plane: negative inside, positive outside, about a distance near its border."""

    def distance(self, u: Array, v: Array) -> Array:
        """Signed distance at local points, in local units; same shape as ``u`` and ``v``."""
        ...

    def extent(self) -> tuple[float, float, float, float]:
        """Bounding box (u_min, v_min, u_max, v_max) in local units."""
        ...


@dataclass(frozen=True)
class Ellipse:
    """An ellipse centred on the local origin with semi-axes ``ru`` and ``rv``."""

    ru: float
    rv: float

    def distance(self, u: Array, v: Array) -> Array:
        """See :class:`Shape`."""
        out: Array = (np.hypot(u / self.ru, v / self.rv) - 1.0) * min(self.ru, self.rv)
        return out

    def extent(self) -> tuple[float, float, float, float]:
        """See :class:`Shape`."""
        return -self.ru, -self.rv, self.ru, self.rv


@dataclass(frozen=True)
class Capsule:
    """A limb from (0, 0) to (length, 0) whose radius runs from ``r0`` to ``r1``."""

    length: float
    r0: float
    r1: float

    def distance(self, u: Array, v: Array) -> Array:
        """See :class:`Shape`."""
        along = np.clip(u / self.length, 0.0, 1.0)
        out: Array = np.hypot(u - along * self.length, v) - (self.r0 + (self.r1 - self.r0) * along)
        return out

    def extent(self) -> tuple[float, float, float, float]:
        """See :class:`Shape`."""
        r = max(self.r0, self.r1)
        return -r, -r, self.length + r, r


@dataclass(frozen=True)
class Box:
    """A rectangle of half sizes ``hu``, ``hv`` with corners rounded by ``radius``."""

    hu: float
    hv: float
    radius: float = 0.0

    def distance(self, u: Array, v: Array) -> Array:
        """See :class:`Shape`."""
        du = np.abs(u) - (self.hu - self.radius)
        dv = np.abs(v) - (self.hv - self.radius)
        outside = np.hypot(np.maximum(du, 0.0), np.maximum(dv, 0.0))
        out: Array = outside + np.minimum(np.maximum(du, dv), 0.0) - self.radius
        return out

    def extent(self) -> tuple[float, float, float, float]:
        """See :class:`Shape`."""
        return -self.hu, -self.hv, self.hu, self.hv


@dataclass(frozen=True)
class Polygon:
    """A simple polygon with corners rounded outwards by ``radius``; ``points`` in local units, either orientation."""

    points: tuple[tuple[float, float], ...]
    radius: float = 0.0

    def distance(self, u: Array, v: Array) -> Array:
        """See :class:`Shape`."""
        nearest = np.full(u.shape, np.inf, dtype=np.float32)
        inside = np.zeros(u.shape, dtype=bool)
        for (au, av), (bu, bv) in zip(self.points, self.points[1:] + self.points[:1], strict=True):
            eu, ev = bu - au, bv - av
            t = np.clip(((u - au) * eu + (v - av) * ev) / max(eu * eu + ev * ev, 1e-12), 0.0, 1.0)
            nearest = np.minimum(nearest, np.hypot(u - au - t * eu, v - av - t * ev))
            if av != bv:
                crosses = (av > v) != (bv > v)
                inside ^= crosses & (u < au + (v - av) * eu / ev)
        out: Array = np.where(inside, -nearest, nearest) - np.float32(self.radius)
        return out

    def extent(self) -> tuple[float, float, float, float]:
        """See :class:`Shape`."""
        us, vs = zip(*self.points, strict=True)
        r = self.radius
        return min(us) - r, min(vs) - r, max(us) + r, max(vs) + r


@dataclass(frozen=True)
class Union:
    """Several shapes as one; each comes with the local offset of its own origin."""

    members: tuple[tuple[Shape, tuple[float, float]], ...]

    def distance(self, u: Array, v: Array) -> Array:
        """See :class:`Shape`."""
        fields = [shape.distance(u - np.float32(du), v - np.float32(dv)) for shape, (du, dv) in self.members]
        out: Array = np.minimum.reduce(fields)
        return out

    def extent(self) -> tuple[float, float, float, float]:
        """See :class:`Shape`."""
        boxes = [(np.array(s.extent()) + np.array([du, dv, du, dv])) for s, (du, dv) in self.members]
        low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
        return float(low[0]), float(low[1]), float(high[2]), float(high[3])


@dataclass(frozen=True)
class Paint:
    """Colour of a part as a function of its local coordinates. Colours are RGB in [0, 1].

    Attributes:
        base: main colour.
        second: the pattern's other colour (unused by ``plain``).
        pattern: ``plain``, ``stripes`` (across the direction ``angle``), ``checks``, ``dots`` or ``fade`` (base → second).
        period: pattern period in local units (for ``fade``: the length of the ramp, centred on the origin).
        angle: direction of the pattern in radians.
        outline: colour of the border line, or None for none.
        outline_width: width of the border line in scene units (a pixel is 2/(size-1)).
        shade: darkening towards +v, 0 (flat) to 1; gives limbs a rounded look.
    """

    base: RGB
    second: RGB = (0.0, 0.0, 0.0)
    pattern: Literal["plain", "stripes", "checks", "dots", "fade"] = "plain"
    period: float = 0.2
    angle: float = 0.0
    outline: RGB | None = None
    outline_width: float = 0.03
    shade: float = 0.0

    def _mix(self, u: Array, v: Array) -> Array:
        """Share of the second colour at local points, in [0, 1], with soft pattern edges."""
        c, s = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        a, b = (u * c + v * s) / self.period, (-u * s + v * c) / self.period
        wave_a, wave_b = np.sin(2 * np.pi * a), np.sin(2 * np.pi * b)
        if self.pattern == "stripes":
            level = 0.5 + 2.0 * wave_a
        elif self.pattern == "checks":
            level = 0.5 + 2.0 * wave_a * wave_b
        elif self.pattern == "dots":
            level = 0.5 + 2.0 * (wave_a * wave_b - 0.45)
        else:
            level = 0.5 + a
        out: Array = np.clip(level, 0.0, 1.0).astype(np.float32)
        return out

    def colour(self, u: Array, v: Array, distance: Array, half_v: float, scale: float) -> Array:
        """RGB (..., 3) at local points; ``distance`` is the shape's, ``scale`` scene units per local unit."""
        base = np.asarray(self.base, dtype=np.float32)
        rgb = np.broadcast_to(base, (*u.shape, 3)).astype(np.float32)
        if self.pattern != "plain":
            rgb = rgb + self._mix(u, v)[..., None] * (np.asarray(self.second, dtype=np.float32) - base)
        if self.shade:
            fall = np.clip(v / max(half_v, 1e-6), -1.0, 1.0)
            rgb = rgb * (1.0 - self.shade * (0.25 + 0.5 * fall * np.abs(fall)))[..., None]
        if self.outline is not None:
            # The line fades over a third of its width so that it does not flicker from frame to frame.
            depth = -distance * scale / self.outline_width
            line = np.clip((1.0 - depth) * 3.0, 0.0, 1.0)[..., None]
            rgb = rgb + line * (np.asarray(self.outline, dtype=np.float32) - rgb)
        return np.clip(rgb, 0.0, 1.0)


@dataclass(frozen=True)
class Pose:
    """Where a part is in each of T frames: local (u, v) → scene point ``centre + matrix @ (u, v + bend·u²)``.

    Attributes:
        centre: (T, 2) scene position (x, y) of the local origin.
        matrix: (T, 2, 2) linear map from local to scene units (rotation, scale, squash); must be invertible.
        bend: (T,) quadratic bending of the u axis; turns a straight capsule into a smile.
    """

    centre: Array
    matrix: Array
    bend: Array

    @staticmethod
    def of(
        centre: NDArray[np.floating],
        angle: NDArray[np.floating] | float = 0.0,
        scale: NDArray[np.floating] | float = 1.0,
        bend: NDArray[np.floating] | float = 0.0,
    ) -> Pose:
        """Builds a pose from a centre (T, 2), angles (T,) or one (radians, x axis towards y axis), scales and bends.

        ``scale`` may be one number, (T,), or (T, 2) for different scales along u and v.
        """
        c = np.atleast_2d(np.asarray(centre, dtype=np.float32))
        t = len(c)
        a = np.broadcast_to(np.asarray(angle, dtype=np.float32), (t,))
        s = np.asarray(scale, dtype=np.float32)
        s = np.broadcast_to(s if s.ndim == 2 else s[..., None], (t, 2))
        turn = np.stack([np.cos(a), -np.sin(a), np.sin(a), np.cos(a)], axis=-1).reshape(t, 2, 2)
        matrix = (turn * s[:, None, :]).astype(np.float32)
        return Pose(c, matrix, np.broadcast_to(np.asarray(bend, dtype=np.float32), (t,)).copy())

    def to_scene(self, points: NDArray[np.floating]) -> Array:
        """Maps fixed local points (N, 2) to scene points (T, N, 2)."""
        p = np.asarray(points, dtype=np.float32)
        u, v = p[:, 0], p[:, 1]
        bent = np.stack([np.broadcast_to(u, (len(self.bend), len(u))), v + self.bend[:, None] * u**2], axis=-1)
        out: Array = np.einsum("tij,tnj->tni", self.matrix, bent) + self.centre[:, None]
        return out

    def at(self, frames: Sequence[int] | NDArray[np.integer]) -> Pose:
        """The pose at some frames only."""
        index = np.asarray(frames)
        return Pose(self.centre[index], self.matrix[index], self.bend[index])


def _to_local(centre: Array, matrix: Array, bend: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Inverse of :meth:`Pose.to_scene` for scene points; the arguments broadcast, ``matrix`` is (..., 2, 2)."""
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    det = a * d - b * c
    dx, dy = x - centre[..., 0], y - centre[..., 1]
    u = (d * dx - b * dy) / det
    v = (a * dy - c * dx) / det
    return u, v - bend * u * u


@dataclass(frozen=True)
class Part:
    """A rigid or bending piece of a figure.

    Attributes:
        name: unique in its scene.
        shape: region in local coordinates.
        paint: colour in local coordinates.
        pose: where it is in each frame.
        inside: name of an earlier part that clips this one (teeth in a mouth), or None.
    """

    name: str
    shape: Shape
    paint: Paint
    pose: Pose
    inside: str | None = None


@dataclass(frozen=True)
class Joint:
    """A landmark: a fixed local point of a part.

    Attributes:
        name: unique in its scene; the same list for every scene of a data set.
        part: the part that carries it.
        point: local (u, v).
        seen_on: parts on whose pixels it counts as visible; empty means the carrying part alone.
    """

    name: str
    part: str
    point: tuple[float, float]
    seen_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """Everything that decides a clip: ``parts`` in painter's order over a ``background`` (H, W, 3) in [0, 1].

    Attributes:
        background: static picture; its height is the frame size.
        parts: figures, the hindmost first.
        joints: landmarks with known positions.
        identity: number of the character; equal numbers look alike.
        fps: frames a second for playing.
    """

    background: Array
    parts: tuple[Part, ...]
    joints: tuple[Joint, ...]
    identity: int
    fps: float = 12.0

    @property
    def size(self) -> int:
        """Side of the square frames in pixels."""
        return int(self.background.shape[0])

    @property
    def length(self) -> int:
        """Number of frames T."""
        return len(self.parts[0].pose.bend)


def lattice(size: int) -> tuple[Array, Array]:
    """Scene coordinates x (1, size) and y (size, 1) of the pixel centres."""
    line = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    return line[None, :], line[:, None]


@dataclass(frozen=True)
class Truth:
    """What is true about a clip of T frames with P parts and J joints; label 0 is the background, part p has label p+1.

    Attributes:
        joints: (T, J, 2) positions (x, y) in [-1, 1] coordinates (outside it: outside the frame).
        visible: (T, J) whether the joint is seen.
        labels: (T, H, W) uint8, the part on top of each pixel.
        pose: (T, P, 7) centre, matrix (row by row) and bend of every part.
        identity: number of the character.
        joint_names: J names.
        part_names: P names.
    """

    joints: Array
    visible: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    pose: Array
    identity: int
    joint_names: tuple[str, ...]
    part_names: tuple[str, ...]

    def masks(self, frame: int) -> NDArray[np.bool_]:
        """Part masks (P+1, H, W) of a frame, the background first; exactly one is true at each pixel."""
        out: NDArray[np.bool_] = self.labels[frame][None] == np.arange(len(self.part_names) + 1)[:, None, None]
        return out

    def flow(self, driving: int, source: int) -> tuple[Array, NDArray[np.bool_]]:
        """True backward flow: for every pixel of the driving frame, where its material point is in the source frame.

        Returns:
            ``flow`` (H, W, 2) in [-1, 1] coordinates, so that ``lattice + flow`` is the deformation (a displacement of one
            pixel is 2/(W-1)); 0 on the background. ``seen`` (H, W): the same material is visible in the source frame
            (False: uncovered since, or outside the source frame).
        """
        label = self.labels[driving]
        size = label.shape[0]
        x, y = (np.broadcast_to(axis, label.shape) for axis in lattice(size))
        # A leading identity pose stands for the background.
        rest = np.array([[0, 0, 1, 0, 0, 1, 0]], dtype=np.float32)
        here = np.concatenate([rest, self.pose[driving]])[label]
        there = np.concatenate([rest, self.pose[source]])[label]
        u, v = _to_local(here[..., :2], here[..., 2:6].reshape(*label.shape, 2, 2), here[..., 6], x, y)
        v = v + there[..., 6] * u * u
        sx = there[..., 2] * u + there[..., 3] * v + there[..., 0]
        sy = there[..., 4] * u + there[..., 5] * v + there[..., 1]
        flow = np.where(label[..., None] > 0, np.stack([sx - x, sy - y], axis=-1), 0.0).astype(np.float32)
        return flow, self._seen(label, self.labels[source], sx, sy)

    @staticmethod
    def _seen(label: NDArray[np.uint8], other: NDArray[np.uint8], x: Array, y: Array) -> NDArray[np.bool_]:
        """Whether one of the four pixels around (x, y) of the other frame shows the same part."""
        size = label.shape[0]
        column, row = (x + 1) * (size - 1) / 2, (y + 1) * (size - 1) / 2
        near = np.zeros(label.shape, dtype=bool)
        for i in (np.floor(row), np.ceil(row)):
            for j in (np.floor(column), np.ceil(column)):
                index = tuple(np.clip(k, 0, size - 1).astype(np.intp) for k in (i, j))
                near |= other[index] == label
        inside = (column >= -0.5) & (column <= size - 0.5) & (row >= -0.5) & (row <= size - 0.5)
        out: NDArray[np.bool_] = near & inside
        return out

    def moving(self, driving: int, source: int) -> NDArray[np.bool_]:
        """Moving pixels (H, W) of the driving frame.

        Those on a part that is visible in the source and whose true flow exceeds half a pixel, plus those uncovered
        (their material is not seen in the source) or newly covered (another part than in the source lies there).
        """
        flow, seen = self.flow(driving, source)
        changed: NDArray[np.bool_] = ~seen | (self.labels[driving] != self.labels[source])
        return self.displaced(flow, seen, driving) | changed

    def displaced(self, flow: Array, seen: NDArray[np.bool_], driving: int) -> NDArray[np.bool_]:
        """Pixels (H, W) on parts visible in the source whose true ``flow`` exceeds half a pixel."""
        half_pixel = 1.0 / (self.labels.shape[-1] - 1)
        out: NDArray[np.bool_] = seen & (self.labels[driving] > 0) & (np.hypot(flow[..., 0], flow[..., 1]) > half_pixel)
        return out

    def at(self, frames: Sequence[int] | NDArray[np.integer]) -> Truth:
        """The truth about some frames only."""
        index = np.asarray(frames)
        return Truth(
            self.joints[index],
            self.visible[index],
            self.labels[index],
            self.pose[index],
            self.identity,
            self.joint_names,
            self.part_names,
        )

    def save(self, path: Path) -> None:
        """Writes a compressed ``.npz`` that holds arrays and names alone."""
        np.savez_compressed(
            path,
            joints=self.joints,
            visible=self.visible,
            labels=self.labels,
            pose=self.pose,
            identity=np.int64(self.identity),
            joint_names=np.array(self.joint_names),
            part_names=np.array(self.part_names),
        )

    @staticmethod
    def load(path: Path) -> Truth:
        """Reads what :meth:`save` wrote (nothing in the file can be executed).

        Raises:
            UserError: no such file, or not a truth file.
        """
        check_file(path, "the ground truth of a sprite clip (.npz)")
        try:
            return _checked(Truth(**_arrays(path)))
        except (OSError, LookupError, ValueError, TypeError, EOFError, MemoryError, *_BAD_ZIP) as error:
            raise UserError(
                f"{path}: expected the ground truth of a sprite clip (.npz), got {type(error).__name__} "
                f"({str(error)[:80]}); make it again with: monkeynet-edu data make"
            ) from error


def _arrays(path: Path) -> dict[str, Any]:
    """The fields of a truth file; an archive that would swell to fill the memory is refused by its directory."""
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if size > _MOST_TRUTH:
            raise ValueError(f"{size:,} bytes when unpacked")
    with np.load(path, allow_pickle=False) as z:
        names = {key: tuple(str(name) for name in z[key]) for key in ("joint_names", "part_names")}
        return {key: z[key] for key in ("joints", "visible", "labels", "pose")} | {"identity": int(z["identity"])} | names


def _checked(truth: Truth) -> Truth:
    """The truth itself, where all its arrays are of the kinds and sizes that belong together."""
    frames = len(truth.labels)
    joints, parts = len(truth.joint_names), len(truth.part_names)
    wanted = {"joints": (frames, joints, 2), "visible": (frames, joints), "pose": (frames, parts, 7)}
    for name, shape in wanted.items():
        came = getattr(truth, name)
        if came.shape != shape or came.dtype.kind != ("b" if name == "visible" else "f"):
            raise ValueError(f"{name} of shape {came.shape} and {came.dtype} where {shape} is expected")
        if not np.isfinite(came).all():
            raise ValueError(f"{name} that are not finite")
    if truth.labels.ndim != 3 or truth.labels.dtype != np.uint8 or int(truth.labels.max(initial=0)) > parts:
        raise ValueError(f"labels of shape {truth.labels.shape} and {truth.labels.dtype}, or of more than {parts} parts")
    return truth


@dataclass(frozen=True)
class Clip:
    """One clip of a data set.

    Attributes:
        name: unique in its data set; the file's name without its ending.
        frames: (T, H, W, 3) uint8, RGB.
        fps: frames per second, None where the file states none.
        truth: joints, masks and flow, where the clip was rendered from sprites; else None.
    """

    name: str
    frames: NDArray[np.uint8]
    fps: float | None = None
    truth: Truth | None = None


class LazyClips(Sequence[Clip], ABC):
    """Clips that are read or drawn when asked for."""

    @abstractmethod
    def _clip(self, index: int) -> Clip:
        """Clip ``index``, from 0 to the length."""

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> list[Clip]: ...
    def __getitem__(self, index: int | slice) -> Clip | list[Clip]:
        """One clip, negative indices from the end, or a list of some."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return self._clip(index % len(self))


@dataclass(frozen=True)
class Rendered:
    """Frames (T, H, W, 3) uint8 with the truth about them."""

    frames: NDArray[np.uint8]
    truth: Truth
    fps: float


def _window(part: Part, pose: Pose, size: int) -> tuple[slice, slice] | None:
    """Rows and columns that the part can touch in any of the frames, or None when it stays outside."""
    u0, v0, u1, v1 = part.shape.extent()
    us = np.linspace(u0, u1, 5)
    corners = np.array([(u, v) for u in us for v in (v0, v1)] + ([(0.0, v0), (0.0, v1)] if u0 < 0 < u1 else []))
    reach = pose.to_scene(corners).reshape(-1, 2)
    low = np.floor((reach.min(0) + 1) * (size - 1) / 2).astype(int) - 2
    high = np.ceil((reach.max(0) + 1) * (size - 1) / 2).astype(int) + 3
    low, high = np.maximum(low, 0), np.minimum(high, size)
    if (high - low < 2).any():
        return None
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _draw(part: Part, pose: Pose, window: tuple[slice, slice], size: int) -> tuple[Array, Array]:
    """Coverage (T, h, w) and colour (T, h, w, 3) of a part inside its window."""
    x, y = lattice(size)
    centre, matrix, bend = pose.centre[:, None, None], pose.matrix[:, None, None], pose.bend[:, None, None]
    u, v = _to_local(centre, matrix, bend, x[:, window[1]], y[window[0]])
    distance = part.shape.distance(u, v)
    # Distance in pixels from the field's own slope, which stays right under squash and bend.
    slope = np.hypot(*np.gradient(distance, axis=(1, 2)))
    cover = np.clip(0.5 - distance / np.maximum(slope, 1e-4), 0.0, 1.0).astype(np.float32)
    box = part.shape.extent()
    scale = float(np.sqrt(np.abs(np.linalg.det(pose.matrix[0]))))
    return cover, part.paint.colour(u, v, distance, max(abs(box[1]), abs(box[3])), scale)


def render(scene: Scene, frames: Sequence[int] | None = None) -> Rendered:
    """Draws a scene.

    Args:
        scene: what to draw.
        frames: indices of the frames wanted, default all of them.

    Returns:
        Frames uint8 and their truth, in the order asked for.
    """
    size, index = scene.size, np.arange(scene.length) if frames is None else np.asarray(frames)
    picture = np.repeat(scene.background[None].astype(np.float32), len(index), axis=0)
    labels = np.zeros(picture.shape[:3], dtype=np.uint8)
    clips: dict[str, Array] = {}
    wanted = {part.inside for part in scene.parts}
    for number, part in enumerate(scene.parts, start=1):
        pose = part.pose.at(index)
        window = _window(part, pose, size)
        if window is None:
            continue
        cover, colour = _draw(part, pose, window, size)
        where = (slice(None), *window)
        if part.inside is not None:
            cover = cover * clips.get(part.inside, np.zeros(labels.shape, dtype=np.float32))[where]
        if part.name in wanted:
            clips[part.name] = np.zeros(labels.shape, dtype=np.float32)
            clips[part.name][where] = cover
        picture[where] += cover[..., None] * (colour - picture[where])
        labels[where][cover > 0.5] = number
    pixels = np.round(np.clip(picture, 0.0, 1.0) * 255).astype(np.uint8)
    return Rendered(pixels, _truth(scene, index, labels), scene.fps)


def _truth(scene: Scene, index: NDArray[np.integer], labels: NDArray[np.uint8]) -> Truth:
    """Collects poses, joints and their visibility for the drawn frames."""
    number = {part.name: i for i, part in enumerate(scene.parts)}
    poses = [part.pose.at(index) for part in scene.parts]
    table = np.stack([np.concatenate([p.centre, p.matrix.reshape(-1, 4), p.bend[:, None]], axis=1) for p in poses], axis=1)
    joints = np.stack([poses[number[j.part]].to_scene(np.array([j.point]))[:, 0] for j in scene.joints], axis=1)
    size = scene.size
    pixel = np.round((joints + 1) * (size - 1) / 2).astype(int)
    inside: NDArray[np.bool_] = np.all((pixel >= 0) & (pixel < size), axis=-1)
    column, row = np.moveaxis(np.clip(pixel, 0, size - 1), -1, 0)
    top = labels[np.arange(len(index))[:, None], row, column]
    visible = np.zeros(top.shape, dtype=bool)
    for j, joint in enumerate(scene.joints):
        allowed = [number[name] + 1 for name in (joint.seen_on or (joint.part,))]
        visible[:, j] = np.isin(top[:, j], allowed) & inside[:, j]
    names = tuple(j.name for j in scene.joints), tuple(p.name for p in scene.parts)
    return Truth(joints.astype(np.float32), visible, labels, table.astype(np.float32), scene.identity, *names)


def noise(rng: np.random.Generator, size: int, cells: int) -> Array:
    """Smooth random field (size, size) in [0, 1] with about ``cells`` bumps a side; for textures of backgrounds."""
    from scipy.ndimage import zoom

    field_ = zoom(rng.random((cells + 3, cells + 3)), size / cells, order=3)
    shift = int(size / cells)
    cut = field_[shift : shift + size, shift : shift + size]
    out: Array = ((cut - cut.min()) / max(float(np.ptp(cut)), 1e-6)).astype(np.float32)
    return out
