"""Figures of lesson 04: shifted copies, layers that can be switched on and off, flows beside what they read.

State in, figure and alt text out; switches and stored notebooks show the same pictures.
"""

from __future__ import annotations

import html
import io
from collections.abc import Collection, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from monkeynet_edu import motion, viz
from monkeynet_edu.course.reference import pasting
from monkeynet_edu.viz import Picture, Pixels

_LIGHT, _DARK = 0.82, 0.68  # the checkerboard behind layers that are switched off


def _checkerboard(height: int, width: int) -> Tensor:
    """(3, H, W): squares of four pixels, the sign for "nothing here"."""
    rows, columns = torch.arange(height)[:, None] // 4, torch.arange(width) // 4
    return torch.where((rows + columns) % 2 == 0, _LIGHT, _DARK).expand(3, height, width)


def figure_copies(image: Tensor, shifts: Tensor, names: Sequence[str]) -> Picture:
    """Shows an image (1, 3, H, W) once for each row of `shifts` (1, N, 2), with the shifts in pixels."""
    copies = motion.shifted_copies(image, shifts)[0]
    half = (torch.tensor(image.shape[:-3:-1]) - 1) / 2
    pixels = [[round(v) for v in shift.tolist()] for shift in shifts[0] * half]
    titles = [f"{name}\nreads ({x}, {y}) px" for name, (x, y) in zip(names, pixels, strict=True)]
    said = "; ".join(f"{name} reads {x} pixels in x and {y} in y" for name, (x, y) in zip(names, pixels, strict=True))
    return viz.figure_images(
        list(copies),
        titles,
        f"{len(titles)} whole copies of one picture, each moved the opposite way of its reading and black where it would "
        f"read outside: {said}.",
    )


def layers_state(image: Tensor, masks: Tensor, shifts: Tensor, on: Collection[int], scale: int = 4) -> tuple[Pixels, str]:
    """The picture built from the layers that are switched on, a checkerboard where nothing is, and what it shows.

    Args:
        image: source (1, 3, H, W).
        masks: (1, K+1, H, W).
        shifts: (1, K+1, 2).
        on: numbers of the layers that are on; 0 is the background.
        scale: how many times larger.

    Returns:
        Pixels (H * scale, W * scale, 3), and a sentence.
    """
    chosen = torch.zeros(masks.shape[1])
    chosen[list(on)] = 1
    kept = masks * chosen[:, None, None]
    covered = kept.sum(dim=1)[0]  # (H, W)
    picture = pasting.paste_parts(image, kept, shifts)[0] + (1 - covered) * _checkerboard(*covered.shape)
    pixels = viz.to_uint8(picture).repeat(scale, axis=0).repeat(scale, axis=1)
    names = [pasting.PARTS[k].replace("_", " ") for k in sorted(on)]
    said = f"Layers on: {', '.join(names) or 'none'}. They cover {100 * float(covered.mean()):.0f} % of the frame."
    return pixels, said


def figure_layers(image: Tensor, masks: Tensor, shifts: Tensor, steps: Sequence[tuple[str, Collection[int]]]) -> Picture:
    """Shows several choices of layers side by side, each (title, numbers of the layers that are on)."""
    states = [layers_state(image, masks, shifts, on) for _, on in steps]
    said = " ".join(f"{title}: {words}" for (title, _), (_, words) in zip(steps, states, strict=True))
    pictures, titles = [pixels for pixels, _ in states], [title for title, _ in steps]
    return viz.figure_images(pictures, titles, f"Layers put together. {said}")


def layer_switches(image: Tensor, masks: Tensor, shifts: Tensor) -> Any:
    """A button for each layer, by mouse or keyboard; a picture of all layers where ipywidgets is missing."""
    names = pasting.PARTS
    try:
        import ipywidgets as widgets
    except ImportError:
        return figure_layers(image, masks, shifts, [("all layers", range(len(names)))])
    buttons = [
        widgets.ToggleButton(value=True, description=name.replace("_", " "), icon="check", layout={"width": "9.5em"})
        for name in names
    ]
    everything = widgets.Button(description="all", layout={"width": "6em"})
    nothing = widgets.Button(description="none", layout={"width": "6em"})
    shown, words = widgets.Image(format="png"), widgets.HTML()

    def redraw(_: Any = None) -> None:
        on = [k for k, button in enumerate(buttons) if button.value]
        pixels, said = layers_state(image, masks, shifts, on)
        shown.value, words.value = _png(pixels), f'<div role="status">{html.escape(said)}</div>'
        for button in buttons:
            button.icon = "check" if button.value else ""

    def set_all(value: bool) -> None:
        for button in buttons:
            button.value = value

    for button in buttons:
        button.observe(redraw, names="value")
    everything.on_click(lambda _: set_all(True))
    nothing.on_click(lambda _: set_all(False))
    redraw()
    switches = widgets.Box(buttons, layout={"flex_flow": "row wrap", "width": "32em"})
    return widgets.HBox([shown, widgets.VBox([switches, widgets.HBox([everything, nothing]), words])])


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def in_pixels(flow: Tensor) -> Tensor:
    """A flow (H, W, 2) in pixels, for drawing."""
    height, width = flow.shape[:2]
    return flow * torch.tensor([(width - 1) / 2, (height - 1) / 2])


def beside(*films: Tensor) -> Tensor:
    """Films (T, 3, H, W) side by side, (T, 3, H, n·W)."""
    return torch.cat(films, dim=-1)
