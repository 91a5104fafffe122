"""The puppet: a still picture whose keypoints are dragged, and a trained model that draws what follows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from monkeynet_edu import viz
from monkeynet_edu.animation import detect_clip
from monkeynet_edu.data.video import Frames, to_frames, to_tensor
from monkeynet_edu.errors import UserError
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.model import Device, MonkeyNet, pick_device
from monkeynet_edu.widgets.still import Live, Still

if TYPE_CHECKING:
    from monkeynet_edu.widgets.front import View

FPS = 15.0
_HINT = (
    "Drag a numbered point with the mouse or a finger. From the keyboard: Tab or a digit picks a point, arrow keys move "
    "it, with Shift in finer steps, Ctrl+Z takes back. Record notes how you move the points; Play shows it as a film."
)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One processor thread: at this size a second gains little, and the browser needs a core too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Stage:
    """A source picture, encoded once, to be drawn in any pose (sections 3.2, 3.3).

    Attributes:
        image: (3, H, W) in [0, 1].
        home: its keypoints, one batch of K.
    """

    def __init__(self, model: MonkeyNet, image: Tensor, device: Device) -> None:
        model.config.check_frame_size(image.shape[-2])
        model.config.check_frame_size(image.shape[-1])
        self.image = image
        self._model, self._device = model.eval(), device
        self._batch = image[None].to(device.device)
        self.home = detect_clip(model, self._batch, device)
        with torch.inference_mode(), device.autocast():
            self._encoded = model.generator.appearance_encoder(self._batch)

    def draw(self, means: Tensor, chunk: int = 16) -> Frames:
        """The source with its keypoints at ``means`` (T, K, 2), shapes of the points as found: uint8 (T, H, W, 3)."""
        drawn = []
        for part in torch.split(means.to(self._device.device), chunk):
            n = len(part)
            still = Keypoints(self.home.mean.expand(n, -1, -1), self.home.cov.expand(n, -1, -1, -1))
            levels = [level.expand(n, *level.shape[1:]) for level in self._encoded]
            with torch.inference_mode(), self._device.autocast(), _one_thread():
                made = self._model.generator(self._batch.expand(n, -1, -1, -1), still, Keypoints(part, still.cov), levels)
            drawn.append(to_frames(made.prediction))
        return np.concatenate(drawn)


def picture_of_puppet(image: Tensor, home: Tensor, points: Tensor, frame: Frames) -> Still:
    """The puppet's state as one picture.

    Args:
        image: source (3, H, W).
        home: its keypoints (K, 2).
        points: where they were moved to (K, 2).
        frame: what the model drew, (H, W, 3).
    """
    scale = max(1, 160 // frame.shape[1])
    plain = frame.repeat(scale, 0).repeat(scale, 1)
    row = [viz.draw_keypoints(image, home, None, scale), viz.draw_keypoints(frame, points, None, scale), plain]
    sheet = viz.grid([row], column_labels=["the one picture, keypoints found", "points moved", "what the model draws"])
    moved = [
        f"{k} from ({a[0]:.2f}, {a[1]:.2f}) to ({b[0]:.2f}, {b[1]:.2f})"
        for k, (a, b) in enumerate(zip(home.tolist(), points.tolist(), strict=True))
        if max(abs(a[0] - b[0]), abs(a[1] - b[1])) > 1e-3
    ]
    change = np.abs(frame.astype(float) - viz.to_uint8(image)).mean() / 255
    said = f"Keypoint moved: {'; '.join(moved)}." if moved else "No keypoint moved."
    return Still.of((sheet, f"Puppet. {said} The generated picture differs from the source by {change:.3f} on average."))


class Puppet(Live):
    """A picture with keypoints to drag; see :func:`puppet`.

    Attributes:
        points: where the keypoints are now, (K, 2) as (x, y) in [-1, 1].
        frame: what the model draws for them, uint8 (H, W, 3).
        path: the recorded motion, (T, K, 2), or None.
    """

    def __init__(self, model: MonkeyNet, image: Tensor, device: Device) -> None:
        super().__init__()
        self._model, self._device = model, device
        self.stage = Stage(model, image, device)
        self.home = self.stage.home.mean[0].float().cpu()
        self.points = self.home.clone()
        self.frame = self.stage.draw(self.points[None])[0]
        self.path: Tensor | None = None
        self._lock = threading.RLock()  # a front end's messages may arrive in a thread of their own

    def move(self, keypoint: int, x: float, y: float) -> None:
        """Puts one keypoint somewhere, as dragging does.

        Raises:
            UserError: there is no such keypoint.
        """
        if not 0 <= keypoint < len(self.home):
            raise UserError(f"keypoint: expected 0 to {len(self.home) - 1}, got {keypoint}; take a number in the picture")
        points = self.points.clone()
        points[keypoint] = torch.tensor([x, y]).clamp(-1, 1)
        self._put(points)

    def reset(self) -> None:
        """Puts all keypoints back where they were found."""
        self._put(self.home.clone())

    @property
    def motion(self) -> Tensor | None:
        """The recorded path as movement away from the keypoints found, (T, K, 2), or None."""
        return None if self.path is None else self.path - self.home

    def film(self, motion: Tensor | None = None, image: Tensor | None = None) -> Frames:
        """Draws a motion, frame by frame.

        Args:
            motion: (T, K, 2), movement away from the picture's keypoints; None takes the recorded one.
            image: another picture (3, H, W) to move; None takes the puppet's.

        Returns:
            uint8 (T, H, W, 3).

        Raises:
            UserError: nothing was recorded and no motion given.
        """
        motion = self.motion if motion is None else motion
        if motion is None:
            raise UserError("film: expected a motion, got none recorded; press Record and move a point, or give a motion")
        stage = self.stage if image is None else Stage(self._model, image, self._device)
        home = stage.home.mean[0].float().cpu()
        return stage.draw((home + motion).clamp(-1, 1))

    def picture(self) -> Still:
        """Source, moved points and generated frame beside each other."""
        return picture_of_puppet(self.stage.image, self.home, self.points, self.frame)

    def _take(self, points: Tensor) -> None:
        with self._lock, self._errors_said():
            self.points = points
            self.frame = self.stage.draw(points[None])[0]
            self._show(frame=self.frame.tobytes())

    def _put(self, points: Tensor) -> None:
        """Moves the points from here; the live view hears of it."""
        self._take(points)
        self._show(points=points.flatten().tolist())

    def _take_list(self, flat: list[float]) -> None:
        """Points from the live view; they are not sent back."""
        points = torch.tensor(flat).reshape(-1, 2)
        if not torch.equal(points, self.points):
            self._take(points)

    def _take_path(self, flat: list[float]) -> None:
        with self._lock, self._errors_said():
            self.path = torch.tensor(flat).reshape(-1, *self.home.shape)
            self._show(clip=self.stage.draw(self.path).tobytes())

    def _make_view(self) -> View:
        from monkeynet_edu.widgets.front import PuppetView

        view = PuppetView(
            title="The puppet",
            hint=_HINT,
            height=self.frame.shape[0],
            width=self.frame.shape[1],
            colors=["#{:02x}{:02x}{:02x}".format(*color) for color in viz.keypoint_colors(len(self.home)).tolist()],
            home=self.home.flatten().tolist(),
            points=self.points.flatten().tolist(),
            source=viz.to_uint8(self.stage.image).tobytes(),
            frame=self.frame.tobytes(),
            fps=FPS,
        )
        view.observe(lambda change: self._take_list(change["new"]), "points")
        view.observe(lambda change: self._take_path(change["new"]), "path")
        return view


def puppet(model: MonkeyNet, image: viz.ArrayLike, device: Device | None = None) -> Puppet:
    """A still picture whose keypoints can be dragged; after every move the model draws the picture anew.

    Args:
        model: trained.
        image: (3, H, W) in [0, 1], or uint8 (H, W, 3); sides that the networks can halve.
        device: where to compute; None picks.

    Raises:
        UserError: sides that the networks cannot halve.
    """
    pixels = viz.to_uint8(image)
    return Puppet(model, to_tensor(pixels[None])[0], device or pick_device())


def swing(keypoints: int, moving: dict[int, tuple[float, float]], frames: int = 24) -> Tensor:
    """A motion there and back: each moving keypoint goes to its offset and returns along half a cosine.

    Args:
        keypoints: K.
        moving: offset (x, y) by keypoint, in the units of [-1, 1].
        frames: T.

    Returns:
        (T, K, 2), zero in the first frame.
    """
    motion = torch.zeros(frames, keypoints, 2)
    share = (1 - torch.cos(torch.arange(frames) * 2 * torch.pi / frames)) / 2
    for keypoint, offset in moving.items():
        motion[:, keypoint] = share[:, None] * torch.tensor(offset)
    return motion
