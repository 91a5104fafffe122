"""The demo, and the pictures that the command line draws: what goes in, what happens inside, what comes out, side by side.

Everything here returns uint8 pixels or writes whole files; nothing prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from monkeynet_edu import viz
from monkeynet_edu.alignment import fit_score
from monkeynet_edu.animation import Animation, Transfer, animate, detect_clip
from monkeynet_edu.data.datasets import MINIATURES, Clip, ClipFolder
from monkeynet_edu.data.video import DEFAULT_FPS, Frames, to_frames, to_tensor, write_image, write_video
from monkeynet_edu.errors import UserError
from monkeynet_edu.metrics import model_flow
from monkeynet_edu.model import Device, MonkeyNet
from monkeynet_edu.paths import data_set_path, weights_path

CELL = 192
_SHEET_FRAMES = 4
_DEMO_SOURCES = 2
_DEMO_DRIVING = 2
_DEMO_CANDIDATES = 12
_DEMO_FRAMES = 32


def enlarge(frames: Frames, cell: int = CELL) -> Frames:
    """Enlarges frames (T, H, W, 3) by the largest whole factor that keeps them within ``cell`` pixels (Lanczos)."""
    height, width = frames.shape[1:3]
    factor = max(1, cell // max(height, width))
    if factor == 1:
        return frames
    size = (width * factor, height * factor)
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.LANCZOS)) for f in frames])


def keypoint_frames(frames: Frames, mean: Tensor, cov: Tensor, cell: int = CELL) -> Frames:
    """Draws keypoints (T, K, 2) with covariances (T, K, 2, 2) on each of the frames (T, H, W, 3), enlarged."""
    scale = max(1, cell // max(frames.shape[1:3]))
    points, shapes = mean.float().cpu(), cov.float().cpu()
    return np.stack([viz.draw_keypoints(f, m, c, scale) for f, m, c in zip(frames, points, shapes, strict=True)])


def flow_frames(model: MonkeyNet, animation: Animation, cell: int = CELL) -> Frames:
    """Colours of the flow of every frame, one scale for the clip: from a pixel to where it is read in the source."""
    height, width = animation.prediction.shape[-2:]
    flow = model_flow(model, animation.deformation.float(), height, width)
    longest = max(float(flow.norm(dim=-1).max()), 1.0)
    return enlarge(np.stack([viz.flow_to_rgb(field, longest) for field in flow]), cell)


def mask_frames(animation: Animation, cell: int = CELL) -> Frames | None:
    """The part masks of every frame in colours, or None where the model has no coarse flow."""
    if animation.masks is None:
        return None
    scale = max(1, cell // max(animation.masks.shape[-2:]))
    return np.stack([viz.masks_to_rgb(masks.float(), scale) for masks in animation.masks])


def film_of(rows: Sequence[Sequence[Frames | None]], columns: Sequence[str] = (), labels: Sequence[str] = ()) -> Frames:
    """Lays clips out as a table that plays: (T, H, W, 3); a shorter clip starts again, a still one stays.

    Args:
        rows: clips (T, h, w, 3), or None for an empty cell.
        columns: one text a column, or none.
        labels: one text a row, or none.
    """
    length = max(len(clip) for row in rows for clip in row if clip is not None)
    return np.stack(
        [
            viz.grid(
                [[None if clip is None else clip[t % len(clip)] for clip in row] for row in rows],
                column_labels=columns,
                row_labels=labels,
            )
            for t in range(length)
        ]
    )


def strip(model: MonkeyNet, driving: Frames, animation: Animation) -> dict[str, Frames]:
    """The parts of a reconstruction or an animation by name, enlarged: what ``reconstruct`` shows from left to right.

    Args:
        model: that drew it.
        driving: (T, H, W, 3) driving frames at the model's frame size.
        animation: what it drew.
    """
    found = animation.driving
    return {
        "driving": enlarge(driving),
        "deformed source": enlarge(to_frames(animation.deformed)),
        "generated": enlarge(to_frames(animation.prediction)),
        "keypoints": keypoint_frames(driving, found.mean, found.cov),
        "flow": flow_frames(model, animation),
    }


def contact_sheet(model: MonkeyNet, source: Frames, driving: Frames, animation: Animation, title: str) -> Frames:
    """A few frames of an animation with everything in between, as one picture.

    Args:
        model: that drew it.
        source: (H, W, 3).
        driving: (T, H, W, 3).
        animation: what it drew.
        title: over the sheet.
    """
    shown = _spread(len(driving), _SHEET_FRAMES)
    chosen = _at(animation, shown)
    still, moved = chosen.source, chosen.moved
    masks = mask_frames(chosen)
    columns = {
        "driving and its keypoints": keypoint_frames(driving[shown], chosen.driving.mean, chosen.driving.cov),
        "source and its keypoints": np.repeat(keypoint_frames(source[None], still.mean, still.cov), len(shown), axis=0),
        "where they move to": keypoint_frames(np.stack([source] * len(shown)), moved.mean, moved.cov),
        **({} if masks is None else {"part masks": masks}),
        "flow": flow_frames(model, chosen),
        "deformed source": enlarge(to_frames(chosen.deformed)),
        "generated": enlarge(to_frames(chosen.prediction)),
    }
    labels = [f"frame {t + 1}" for t in shown]
    return viz.grid(list(zip(*columns.values(), strict=True)), column_labels=list(columns), row_labels=labels, title=title)


def _at(animation: Animation, frames: list[int]) -> Animation:
    """Some frames of an animation."""
    index = torch.tensor(frames)
    masks = None if animation.masks is None else animation.masks[index]
    parts = (animation.prediction[index], animation.deformed[index], animation.deformation[index])
    return Animation(*parts, masks, animation.source, animation.driving[index], animation.moved[index])


def _spread(length: int, count: int) -> list[int]:
    """Up to ``count`` frame numbers, evenly spread, first and last among them."""
    return sorted({round(float(t)) for t in np.linspace(0, length - 1, min(count, length))})


# ------------------------------------------------------------------------------------------------------------ the demo


@dataclass(frozen=True)
class Shown:
    """What the demo wrote for one data set.

    Attributes:
        name: of the data set.
        gif: the table of animations as GIF.
        mp4: the same as MP4.
        sheet: keypoints, masks and flow of one of them.
    """

    name: str
    gif: Path
    mp4: Path
    sheet: Path


@dataclass(frozen=True)
class Skipped:
    """A data set that the demo could not show, and why."""

    name: str
    reason: str


def run(out: Path, device: Device, names: Sequence[str] = MINIATURES) -> tuple[list[Shown], list[Skipped]]:
    """Animates sources of each miniature with driving clips of the same, by the shipped weights.

    Args:
        out: folder for a GIF, an MP4 and a contact sheet of each set.
        device: where to compute.
        names: of the miniatures.

    Returns:
        What was written, and what was left out.

    Raises:
        UserError: no set has both data and weights, or the folder cannot be written to.
    """
    shown: list[Shown] = []
    skipped: list[Skipped] = []
    for name in names:
        try:
            weights, folder = weights_path(name), data_set_path(name)
        except UserError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        model = MonkeyNet.load(weights).to(device.device)
        size = model.config.frame_size
        shown.append(show(name, model, ClipFolder(folder, "test", size=size), out, device))
    if not shown:
        raise UserError(skipped[0].reason)
    return shown, skipped


def choose_sources(model: MonkeyNet, pictures: Sequence[Frames], films: Sequence[Frames], device: Device) -> list[Frames]:
    """Sorts pictures (H, W, 3): first those whose pose is nearest to how the films (T, H, W, 3) begin."""
    model.eval()
    still = detect_clip(model, to_tensor(np.stack(pictures)), device)
    begin = detect_clip(model, to_tensor(np.stack([film[0] for film in films])), device)

    def gap(index: int) -> float:
        return float(fit_score(still[index : index + 1], begin).sum())

    return [pictures[index] for index in sorted(range(len(pictures)), key=gap)]


def show(name: str, model: MonkeyNet, clips: Sequence[Clip], out: Path, device: Device) -> Shown:
    """Animates first frames of some clips with the motion of others and writes the three files of a set.

    Raises:
        UserError: fewer than two clips, or the folder cannot be written to.
    """
    if len(clips) < 2:
        raise UserError(f"{name}: expected at least 2 clips, one to move and one to follow, got {len(clips)}")
    candidates = clips[: _DEMO_DRIVING + _DEMO_CANDIDATES]
    count = min(_DEMO_DRIVING, len(candidates) - 1)
    driving, others = candidates[:count], candidates[count:]
    films = [clip.frames[:_DEMO_FRAMES] for clip in driving]
    pictures = choose_sources(model, [clip.frames[0] for clip in others], films, device)[:_DEMO_SOURCES]
    # Every clip of a miniature begins like its source does, so its first frame is the one to move away from.
    how = Transfer(model.config.transfer, reference=0)
    made = [
        [animate(model, to_tensor(picture[None])[0], to_tensor(film), device, how) for film in films]
        for picture in pictures
    ]
    table: list[list[Frames | None]] = [[None, *(enlarge(film) for film in films)]]
    for picture, row in zip(pictures, made, strict=True):
        table.append([enlarge(picture[None]), *(enlarge(to_frames(animation.prediction)) for animation in row)])
    film = film_of(table)
    fps = driving[0].fps or DEFAULT_FPS
    sheet = contact_sheet(model, pictures[0], films[0], made[0][0], f"{name}: a still picture takes over a motion")
    return Shown(
        name,
        write_video(out / f"{name}.gif", film, fps),
        write_video(out / f"{name}.mp4", film, fps),
        write_image(out / f"{name}-inside.png", sheet),
    )
