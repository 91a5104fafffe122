"""Lesson 04: keypoints that moved become shifted copies, masks choose among them, and a flow comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, Violation, expect
from monkeynet_edu.keypoints import Keypoints

IMPORTS = """\
import torch
from torch import Tensor

from monkeynet_edu import geometry, model, motion, paths, viz
from monkeynet_edu.course.lessons import figures04
from monkeynet_edu.course.reference import pasting
from monkeynet_edu.keypoints import Keypoints"""


# ------------------------------------------------------------------------------------------------------------- inputs


def _keypoints(mean: Tensor) -> Keypoints:
    """Keypoints at (B, K, 2), each with a round covariance."""
    return Keypoints(mean, (0.02 * torch.eye(2, dtype=mean.dtype)).expand(*mean.shape, 2))


def _points(*shape: int) -> Tensor:
    """Random points (*shape, 2) in [-0.8, 0.8]."""
    return 1.6 * torch.rand(*shape, 2) - 0.8


def _masks(*shape: int) -> Tensor:
    """Random masks (B, K+1, H, W) with the sum 1 at every pixel."""
    weights = (2 * torch.randn(*shape)).exp()
    return weights / weights.sum(dim=1, keepdim=True)


def _pixel_shifts(shifts: Sequence[tuple[int, int]], height: int, width: int) -> Tensor:
    """Shifts of whole (columns, rows) in [-1, 1] units: (1, N, 2)."""
    return torch.tensor([[(2 * dx / (width - 1), 2 * dy / (height - 1)) for dx, dy in shifts]])


def _moved(image: Tensor, dx: int, dy: int) -> Tensor:
    """(C, H, W) read (dx, dy) pixels away, by two loops; black outside the frame."""
    height, width = image.shape[-2:]
    out = torch.zeros_like(image)
    for i in range(height):
        for j in range(width):
            if 0 <= i + dy < height and 0 <= j + dx < width:
                out[:, i, j] = image[:, i + dy, j + dx]
    return out


_STEPS = ((0, 0), (1, 0), (0, -2), (-2, 1))


def _teaches_logits(f: Callable[[Tensor], Tensor], logits: Tensor, values: Tensor, tried: str) -> None:
    """The gradient along the softmax that makes masks, by hand: p_k·(what part k alone would give - what there is).

    Args:
        f: makes the result (1, C, H, W) from masks (1, K+1, H, W).
        logits: (1, K+1, H, W).
        values: (K+1, C, H, W): the result where part k's mask is 1.
        tried: the input, in words.
    """
    leaf = logits.clone().requires_grad_()
    out = f(leaf.softmax(dim=1))
    cut = Violation(
        "No gradient reaches the masks: the result is cut from the graph. Leave out .detach(), .numpy(), torch.tensor(…) "
        "of a tensor, and argmax: in training the masks are learned",
        tried,
        "a gradient",
        "none",
    )
    if not out.requires_grad:
        raise cut
    upstream = torch.rand_like(out)
    (got,) = torch.autograd.grad(out, leaf, upstream.detach(), allow_unused=True)
    if got is None:
        raise cut
    odds = logits[0].double().exp()
    total = sum(odds[k] for k in range(len(odds)))
    share = [odds[k] / total for k in range(len(odds))]
    mixed = sum(share[k] * values[k].double() for k in range(len(odds)))
    wanted = [share[k] * (upstream[0].detach().double() * (values[k] - mixed)).sum(dim=0) for k in range(len(odds))]
    message = "The gradient for the numbers from which a softmax makes the masks is not right, so they would learn wrongly"
    expect(got, torch.stack(wanted)[None], message, tried, 1e-3)


# ------------------------------------------------------------------------------------------------------- displacements


def _displacement_calls() -> Sequence[Call]:
    return (
        Call("random keypoints, 2 images, 3 keypoints", (_keypoints(_points(2, 3)), _keypoints(_points(2, 3)))),
        Call("random keypoints, 1 image, 5 keypoints", (_keypoints(_points(1, 5)), _keypoints(_points(1, 5)))),
    )


def _displacement_hand(f: Function) -> None:
    source, driving = torch.tensor([[[-0.5, 0.0], [0.25, 0.5]]]), torch.tensor([[[0.0, 0.0], [0.25, 0.75]]])
    message = "The hand of the lesson went from (-½, 0) to (0, 0): to find it, read ½ to the left"
    tried = "source (-½, 0) and (¼, ½), driving (0, 0) and (¼, ¾); part 0 is the background, part 1 the hand"
    wanted = [[[0.0, 0.0], [-0.5, 0.0], [0.0, -0.25]]]
    expect(f(_keypoints(source), _keypoints(driving)), wanted, message, tried)


def _displacement_background(f: Function) -> None:
    out = f(_keypoints(_points(2, 3)), _keypoints(_points(2, 3)))
    message = "Part 0 is the background, and it does not move: its displacement has to be (0, 0)"
    expect(out, torch.cat([torch.zeros(2, 1, 2), out[:, 1:]], dim=1), message, "random keypoints; part 0")


def _displacement_lands(f: Function) -> None:
    source, driving = _points(2, 4), _points(2, 4)
    message = "Driving keypoint plus displacement has to be the source keypoint: there it is read"
    out = f(_keypoints(source), _keypoints(driving))
    lands = torch.cat([out[:, :1], driving + out[:, 1:]], dim=1)
    expect(lands, torch.cat([out[:, :1], source], dim=1), message, "random keypoints; part k+1 is keypoint k")


def _displacement_together(f: Function) -> None:
    points, offset = _points(1, 3), torch.tensor([0.1, -0.2])
    message = "Keypoints that all moved together keep the background still, and share one displacement"
    wanted = torch.cat([torch.zeros(1, 1, 2), (-offset).expand(1, 3, 2)], dim=1)
    expect(f(_keypoints(points), _keypoints(points + offset)), wanted, message, "all keypoints moved by (0.1, -0.2)")


def _displacement_filled(source: Keypoints, driving: Keypoints) -> Tensor:
    batch, count = source.mean.shape[:2]
    out = source.mean.new_zeros(batch, count + 1, 2)
    out[:, 1:] = source.mean - driving.mean
    return out


def _displacement_padded(source: Keypoints, driving: Keypoints) -> Tensor:
    return torch.nn.functional.pad(source.mean.double() - driving.mean.double(), (0, 0, 1, 0)).to(source.mean.dtype)


def _displacement_loop(source: Keypoints, driving: Keypoints) -> Tensor:
    rows = [source.mean[:, k] - driving.mean[:, k] for k in range(source.mean.shape[1])]
    return torch.stack([torch.zeros_like(rows[0]), *rows], dim=1)


DISPLACEMENTS = Exercise(
    id="displacements",
    title="Displacements",
    target="monkeynet_edu.motion:displacements",
    statement=(
        "For each keypoint, say where to read relative to the driving pixel, so that the source is found. Put a row of "
        "zeros "
        "for the background **first**."
    ),
    level="stub",
    steps=(
        "for each keypoint: what has to be added to its place in the driving frame to get its place in the source",
        "a part that does not move: zeros for one more part, (B, 1, 2)",
        "the background first, then the keypoints",
    ),
    hints=(
        "You stand on a pixel of the driving frame and look for its colour in the source. Which way do you look when the "
        "hand "
        "has come from the left?",
        "`source.mean` and `driving.mean` are (B, K, 2); the result is (B, K+1, 2). `torch.zeros_like(moved[:, :1])` makes "
        "the missing row, `torch.cat` along dimension 1 joins.",
        "`moved = source.mean - driving.mean`, then `torch.cat([background, moved], dim=1)`.",
    ),
    calls=_displacement_calls,
    properties=(
        Property("background", "the background, part 0, does not move", _displacement_background),
        Property("by-hand", "a hand that came from the left is read on the left", _displacement_hand),
        Property("lands", "driving keypoint plus displacement is the source keypoint", _displacement_lands),
        Property("together", "a common motion leaves the background alone", _displacement_together),
    ),
    mutants=(
        Mutant(
            "sign",
            "the displacement points the way the hand went",
            "Your arrows point the way the parts *went*. A backward map starts at the driving pixel and asks where that "
            "colour "
            "*came from*. Which of the two keypoints does it start at?",
            (("source.mean - driving.mean", "driving.mean - source.mean"),),
        ),
        Mutant(
            "background-last",
            "the background is one more class, appended at the end",
            "The numbers are right and the row of zeros is there, but at which end? The masks put the background in "
            "channel 0, "
            "and part k+1 has to meet mask k+1.",
            (("[background, moved]", "[moved, background]"),),
        ),
        Mutant(
            "background-on-average",
            "the background moves like the keypoints do on average",
            "Your background moves along with the keypoints' mean. The paper assumes that camera and background stand "
            "still.",
            (("torch.zeros_like(moved[:, :1])", "moved.mean(dim=1, keepdim=True)"),),
        ),
        Mutant(
            "source-place",
            "a part is read at the source keypoint",
            "Your result does not depend on the driving keypoints. The displacement is added to each pixel's own place "
            "later: a *difference* is needed here, not a place.",
            (("source.mean - driving.mean", "source.mean.clone()"),),
        ),
        Mutant(
            "y-before-x",
            "a displacement is (rows, columns)",
            "The numbers are right, but x and y have changed places. `mean` holds (x, y) already, and so does a "
            "displacement: is there a flip too many?",
            (("torch.cat([background, moved], dim=1)", "torch.cat([background, moved], dim=1).flip(-1)"),),
        ),
        Mutant(
            "in-pixels",
            "a displacement counts pixels",
            "Your displacements are in pixels. They are added to a lattice that runs from -1 to 1, so they stay in its "
            "units; -15.75 pixels were only there to imagine -0.5.",
            (("source.mean - driving.mean", "(source.mean - driving.mean) * 63 / 2"),),
        ),
    ),
    alternatives=(_displacement_filled, _displacement_padded, _displacement_loop),
    box="shifts",
    differentiable=("source", "driving"),
)


# ------------------------------------------------------------------------------------------------------ shifted copies


def _copies_calls() -> Sequence[Call]:
    return (
        Call("random images of 5×7 pixels, 2 images, 3 random shifts", (torch.rand(2, 3, 5, 7), 0.5 * _points(2, 3))),
        Call("a random image of 6×4 pixels with 1 channel, 4 random shifts", (torch.rand(1, 1, 6, 4), _points(1, 4))),
    )


def _copies_still(f: Function) -> None:
    image = torch.rand(2, 3, 4, 6)
    wanted = torch.stack([image, image], dim=1)
    message = "A shift of (0, 0) has to give the image itself, each image of the batch its own"
    expect(f(image, torch.zeros(2, 2, 2)), wanted, message, "2 random images, 2 shifts of (0, 0)")


def _copies_pixels(f: Function) -> None:
    image = torch.rand(1, 3, 4, 6)
    wanted = torch.stack([_moved(image[0], dx, dy) for dx, dy in _STEPS])[None]
    message = "Copy n at a pixel has to be what the image shows one shift n away, and black outside the frame"
    expect(f(image, _pixel_shifts(_STEPS, 4, 6)), wanted, message, "4×6 pixels, shifts of whole pixels (dx, dy)")


def _copies_hand(f: Function) -> None:
    image = torch.tensor([[[[0.0, 0.8, 0.0, 0.0, 0.0]] * 3]])
    message = "With 5 columns a pixel is ½ wide: whoever reads ½ to the left sees the bright column come from the left"
    wanted = torch.tensor([[[[[0.0, 0.0, 0.8, 0.0, 0.0]] * 3]]])
    expect(f(image, torch.tensor([[[-0.5, 0.0]]])), wanted, message, "3×5 pixels, column 1 is 0.8; shift (-½, 0)")


def _copies_between(f: Function) -> None:
    image = torch.tensor([[[[0.2, 0.4, 0.8]] * 2]])
    wanted = torch.tensor([[[[[0.3, 0.6, 0.4]] * 2]]])
    message = "A shift of half a pixel reads between two columns, and half outside at the border"
    expect(f(image, torch.tensor([[[0.5, 0.0]]])), wanted, message, "2×3 pixels 0.2, 0.4, 0.8; shift (½, 0): half a pixel")


def _copies_types(f: Function) -> None:
    for kinds in ((torch.float32, torch.float64), (torch.float64, torch.float32)):
        image, shifts = torch.rand(1, 3, 4, 6).to(kinds[0]), _pixel_shifts(_STEPS, 4, 6).to(kinds[1])
        tried = f"an image of {kinds[0]} and shifts of {kinds[1]}"
        out = f(image, shifts)
        if out.dtype != kinds[1]:
            raise Violation("The copies have to be of the type of the shifts", tried, str(kinds[1]), str(out.dtype))
        wanted = torch.stack([_moved(image[0], dx, dy) for dx, dy in _STEPS])[None]
        expect(out, wanted, "Image and shifts may be of different types", tried)


def _by_grid_sample(image: Tensor, shift: Tensor) -> Tensor:
    """One shift (B, 2) of images (B, C, H, W), with torch's own affine grid."""
    eye = torch.eye(2, dtype=shift.dtype).expand(len(shift), 2, 2)
    grid = torch.nn.functional.affine_grid(
        torch.cat([eye, shift[:, :, None]], dim=2), list(image.shape), align_corners=True
    )
    return torch.nn.functional.grid_sample(image.to(shift.dtype), grid, align_corners=True)


def _copies_loop(image: Tensor, shifts: Tensor) -> Tensor:
    return torch.stack([_by_grid_sample(image, shifts[:, n]) for n in range(shifts.shape[1])], dim=1)


def _copies_pixel_loop(image: Tensor, shifts: Tensor) -> Tensor:
    rows = [torch.cat([_by_grid_sample(one[None], s[None]) for s in each]) for one, each in zip(image, shifts, strict=True)]
    return torch.stack(rows)


def _copies_interleaved(image: Tensor, shifts: Tensor) -> Tensor:
    batch, count = shifts.shape[:2]
    many = image.double().repeat_interleave(count, dim=0)
    read = _by_grid_sample(many, shifts.double().reshape(-1, 2))
    return read.reshape(batch, count, *image.shape[1:]).to(shifts.dtype)


COPIES = Exercise(
    id="shifted-copies",
    title="Shifted copies",
    target="monkeynet_edu.motion:shifted_copies",
    statement=(
        "Make N whole copies of each image, copy n read at lattice + shift n. `geometry.warp` reads one picture for each "
        "deformation, so batch and copies have to share the first dimension for a moment."
    ),
    level="stub",
    steps=(
        "how many images, how many shifts each",
        "the lattice of the image's size: geometry.lattice(H, W, device=…, dtype=…), with the type of the shifts",
        "lattice + shift for each shift: (B, N, H, W, 2), by broadcasting",
        "each image N times: (B, N, C, H, W), in the type of the shifts",
        "read them all at once with geometry.warp: flatten (B, N) into one dimension, for copies and deformation alike",
        "back to (B, N, C, H, W)",
    ),
    hints=(
        "One shift moves *all* of the picture: the same two numbers are added to every point of the lattice. That is a "
        "deformation; lesson 01 reads it.",
        "`shifts[:, :, None, None, :]` is (B, N, 1, 1, 2) and the lattice (H, W, 2): their sum is (B, N, H, W, 2). "
        "`image[:, None].expand(B, N, C, H, W)` repeats without copying, and `x.flatten(0, 1)` makes (B·N, …).",
        "`deformation = grid + shifts[:, :, None, None, :]`; then `geometry.warp(copies.flatten(0, 1), "
        "deformation.flatten(0, 1))` and `torch.unflatten(read, 0, (batch, count))`.",
    ),
    calls=_copies_calls,
    properties=(
        Property("still", "a shift of zero gives the image itself", _copies_still),
        Property("by-hand", "reading ½ to the left brings in what lies on the left", _copies_hand),
        Property("pixels", "shifts of whole pixels agree with two loops", _copies_pixels),
        Property("between", "half a pixel mixes two neighbours", _copies_between),
        Property("types", "image and shifts may be of different types; the copies take that of the shifts", _copies_types),
    ),
    mutants=(
        Mutant(
            "sign",
            "the copy goes the way the shift points",
            "Your copies move the way their shifts point. But a shift says where to *read*: whoever reads on the left "
            "brings "
            "in what lies on the left. Is it lattice plus or lattice minus?",
            (("grid + shifts", "grid - shifts"),),
        ),
        Mutant(
            "y-before-x",
            "the first number of a shift is the row",
            "Horizontal shifts move your copies vertically. Points are (x, y), lattice and shifts alike: is there a flip "
            "too "
            "many?",
            (("shifts[:, :, None, None, :]", "shifts.flip(-1)[:, :, None, None, :]"),),
        ),
        Mutant(
            "one-place",
            "the deformation is the shift",
            "Each of your copies has one colour: every pixel reads at the same place. A shift is meant *relative* to the "
            "pixel; what has to be added?",
            (("grid + shifts[:, :, None, None, :]", "shifts[:, :, None, None, :].expand(batch, count, *grid.shape)"),),
        ),
        Mutant(
            "images-mixed",
            "repeating a batch N times puts the copies of one image side by side",
            "With one image all is well; with two, some copies show the other image. After flattening (B, N), the copies "
            "of "
            "image 0 come first. `repeat` gives 0 1 0 1 …; what do you need?",
            (("copies.flatten(0, 1)", "image.to(shifts.dtype).repeat(count, 1, 1, 1)"),),
        ),
    ),
    alternatives=(_copies_loop, _copies_pixel_loop, _copies_interleaved),
    box="shifts",
    differentiable=("image", "shifts"),
)


# --------------------------------------------------------------------------------------------------------- paste parts


def _paste_calls() -> Sequence[Call]:
    return (
        Call(
            "random images of 5×7 pixels, 3 parts, random masks and shifts",
            (torch.rand(2, 3, 5, 7), _masks(2, 3, 5, 7), 0.5 * _points(2, 3)),
        ),
        Call(
            "a random image of 6×4 pixels, 4 parts, random masks and shifts",
            (torch.rand(1, 1, 6, 4), _masks(1, 4, 6, 4), 0.5 * _points(1, 4)),
        ),
    )


def _paste_white(f: Function) -> None:
    message = "Masks share out each pixel and sum to 1: layers of one colour have to give that colour"
    image = torch.full((1, 3, 4, 6), 0.7)
    expect(f(image, _masks(1, 4, 4, 6), torch.zeros(1, 4, 2)), image, message, "an image that is 0.7 everywhere, no shifts")


def _paste_alone(f: Function) -> None:
    image, shifts = torch.rand(1, 3, 4, 6), _pixel_shifts(_STEPS, 4, 6)
    for k, (dx, dy) in enumerate(_STEPS):
        masks = torch.zeros(1, 4, 4, 6)
        masks[:, k] = 1
        message = f"Where mask {k} is 1 everywhere, the result has to be copy {k}"
        expect(f(image, masks, shifts), _moved(image[0], dx, dy)[None], message, f"mask {k} is 1, the others 0")


def _paste_square(f: Function) -> None:
    image = torch.zeros(1, 1, 3, 6)
    image[..., 1, 1] = 0.9
    masks = torch.zeros(1, 2, 3, 6)
    masks[:, 1, 1, 4] = 1
    masks[:, 0] = 1 - masks[:, 1]
    wanted = image.clone()
    wanted[..., 1, 4] = 0.9
    message = "The mask marks where the part is in the *driving* frame: there its copy has to appear"
    tried = "a bright pixel at column 1 went to column 4; mask 1 is 1 at column 4; shift 1 is -3 pixels"
    expect(f(image, masks, _pixel_shifts(((0, 0), (-3, 0)), 3, 6)), wanted, message, tried)


def _paste_by_loop(f: Function) -> None:
    image, masks = torch.rand(1, 2, 4, 6), _masks(1, 4, 4, 6)
    wanted = sum(masks[:, k : k + 1] * _moved(image[0], dx, dy) for k, (dx, dy) in enumerate(_STEPS))
    message = "The result has to be Σ mask·copy over the parts"
    expect(f(image, masks, _pixel_shifts(_STEPS, 4, 6)), wanted, message, "4×6 pixels, soft masks, whole-pixel shifts")


def _paste_teaches(f: Function) -> None:
    image, logits = torch.rand(1, 2, 4, 6), torch.randn(1, 4, 4, 6)
    copies = torch.stack([_moved(image[0], dx, dy) for dx, dy in _STEPS])
    shifts = _pixel_shifts(_STEPS, 4, 6)
    _teaches_logits(lambda masks: f(image, masks, shifts), logits, copies, "4×6 pixels, 4 parts, masks from a softmax")


def _paste_einsum(image: Tensor, masks: Tensor, shifts: Tensor) -> Tensor:
    return torch.einsum("bkchw,bkhw->bchw", _copies_loop(image, shifts), masks)


def _paste_loop(image: Tensor, masks: Tensor, shifts: Tensor) -> Tensor:
    out = torch.zeros_like(image)
    for k in range(masks.shape[1]):
        out = out + masks[:, k, None] * _by_grid_sample(image, shifts[:, k])
    return out


def _paste_wide(image: Tensor, masks: Tensor, shifts: Tensor) -> Tensor:
    copies = _copies_loop(image.double(), shifts.double())
    return (copies.movedim(1, -1) * masks.double().movedim(1, -1)[:, None]).sum(dim=-1).to(image.dtype)


def _paste_rest(image: Tensor, masks: Tensor, shifts: Tensor) -> Tensor:
    copies = _copies_loop(image, shifts)
    rest = 1 - masks[:, 1:].sum(dim=1, keepdim=True)
    return rest * copies[:, 0] + (masks[:, 1:, None] * copies[:, 1:]).sum(dim=1)


_CUT = "image[:, None] * masks[:, :, None]"
_THEN_SHIFT = "torch.stack([motion.shifted_copies(copies[:, k], shifts)[:, k] for k in range(shifts.shape[1])], dim=1)"
_SEEN_THROUGH = "(1 - masks[:, k + 1 :, None]).prod(dim=1)"  # what the layers above k leave of it
_LAID = f"torch.stack([layers[:, k] * {_SEEN_THROUGH} for k in range(masks.shape[1])]).sum(dim=0)"
_OPAQUE = f"torch.stack([(layers if k else copies)[:, k] * {_SEEN_THROUGH} for k in range(masks.shape[1])]).sum(dim=0)"
_LIES_OVER = (
    "You lay each layer over those below it, (1 - mask)·below + mask·copy, so each takes something away from the others. "
    "The masks have shared out each pixel already: nobody lies above anybody. Only add."
)

PASTE = Exercise(
    id="paste-parts",
    title="Layers",
    target="monkeynet_edu.course.reference.pasting:paste_parts",
    statement=(
        "Build the driving frame from layers: the shifted copies of the source (`motion.shifted_copies`), each seen "
        "through "
        "its mask, added up. The masks lie in the coordinates of the **driving** frame."
    ),
    level="stub",
    steps=(
        "one shifted copy of the whole image for each part: (B, K+1, C, H, W)",
        "each copy through its mask; a mask has no colour channels, so it needs a dimension for them",
        "the sum over the parts",
    ),
    hints=(
        "Each copy brings one part to its new place (and everything else to wrong places). The mask then keeps the region "
        "where that copy is right. First shift, then mask.",
        "Copies are (B, K+1, C, H, W), masks (B, K+1, H, W): `masks[:, :, None]` is (B, K+1, 1, H, W) and broadcasts. The "
        "parts are dimension 1.",
        "`layers = copies * masks[:, :, None]`, then `layers.sum(dim=1)`.",
    ),
    calls=_paste_calls,
    properties=(
        Property("white", "what has one colour keeps it", _paste_white),
        Property("alone", "a mask that is 1 everywhere shows its copy", _paste_alone),
        Property("driving", "masks lie in the driving frame", _paste_square),
        Property("loop", "it agrees with a loop over parts and pixels", _paste_by_loop),
        Property("teaches", "a gradient reaches the masks, as a softmax makes them", _paste_teaches),
    ),
    mutants=(
        Mutant(
            "masks-in-the-source",
            "a mask cuts the part out of the source, and the piece is then moved",
            "You cut in the source and move the pieces: then the holes they leave stay empty, and the masks would have "
            "to know "
            "the source. These masks say what each pixel of the *driving* frame shows. Shift first, then mask.",
            (
                ("motion.shifted_copies(image, shifts)", _CUT),
                ("copies * masks[:, :, None]", _THEN_SHIFT),
            ),
        ),
        Mutant(
            "background-last",
            "the last mask is the background's",
            "Each copy is seen through its neighbour's mask. In which channel is the background, and is it the same for "
            "masks "
            "and shifts?",
            (("masks[:, :, None]", "masks.roll(-1, dims=1)[:, :, None]"),),
        ),
        Mutant(
            "averaged",
            "layers are averaged",
            "Everything has become too dark, by the number of parts. The masks already share out each pixel: they sum to "
            "1.",
            (("layers.sum(dim=1)", "layers.mean(dim=1)"),),
        ),
        Mutant(
            "brightest-on-top",
            "of several layers, the largest value is what one sees",
            "You keep the brightest layer. Where two masks are a half each, both copies count a half; none covers the "
            "other.",
            (("layers.sum(dim=1)", "layers.amax(dim=1)"),),
        ),
        Mutant(
            "laid-over-background",
            "layers lie over each other, on a background that is opaque",
            _LIES_OVER,
            (("layers.sum(dim=1)", _OPAQUE),),
        ),
        Mutant(
            "laid-over-black",
            "layers lie over each other, the background's too",
            _LIES_OVER + " (And the background is a layer like the others.)",
            (("layers.sum(dim=1)", _LAID),),
        ),
        Mutant(
            "background-left-out",
            "the background is no part",
            "You leave out part 0. The background is a layer like the others: its mask says where nothing of the figure is "
            "seen, and without it these pixels go dark.",
            (("layers.sum(dim=1)", "layers[:, 1:].sum(dim=1)"),),
        ),
        Mutant(
            "second-softmax",
            "masks have to be made by a softmax here",
            "You send the masks through a softmax. They have been through one: they sum to 1 already, and a second one "
            "makes a sharp mask flat.",
            (("masks[:, :, None]", "masks.softmax(dim=1)[:, :, None]"),),
        ),
    ),
    alternatives=(_paste_einsum, _paste_loop, _paste_wide, _paste_rest),
    box="masks",
    differentiable=("image", "shifts"),
)


# --------------------------------------------------------------------------------------------------------- coarse flow


def _flow_calls() -> Sequence[Call]:
    return (
        Call("random masks of 4×6 pixels, 2 images, 3 parts, random shifts", (_masks(2, 3, 4, 6), _points(2, 3))),
        Call("random masks of 5×3 pixels, 1 image, 6 parts, random shifts", (_masks(1, 6, 5, 3), _points(1, 6))),
    )


def _flow_hand(f: Function) -> None:
    masks = torch.tensor([[[[0.75]], [[0.25]]]])
    message = "With ¾ background and ¼ of a part whose shift is (-½, ¼), the flow has to be (-⅛, 1/16)"
    expect(f(masks, torch.tensor([[[0.0, 0.0], [-0.5, 0.25]]])), [[[[-0.125, 0.0625]]]], message, "one pixel, two parts")


def _flow_alone(f: Function) -> None:
    shifts = torch.tensor([[[0.0, 0.0], [-0.5, 0.25], [0.3, 0.1]]])
    for k in range(3):
        masks = torch.zeros(1, 3, 2, 4)
        masks[:, k] = 1
        message = f"Where mask {k} is 1, the flow has to be shift {k}"
        expect(f(masks, shifts), shifts[:, k].expand(1, 2, 4, 2), message, f"2×4 pixels, mask {k} is 1, the others 0")


def _flow_corner(f: Function) -> None:
    masks = torch.zeros(1, 2, 3, 5)
    masks[:, 0] = 1
    masks[0, :, 0, 4] = torch.tensor([0.0, 1.0])
    wanted = torch.zeros(1, 3, 5, 2)
    wanted[0, 0, 4] = torch.tensor([0.5, -0.25])
    message = "Only the pixel whose mask names the part may move"
    tried = "3×5 pixels, part 1 only at row 0, column 4; its shift is (½, -¼)"
    expect(f(masks, torch.tensor([[[0.0, 0.0], [0.5, -0.25]]])), wanted, message, tried)


def _flow_by_loop(masks: Tensor, shifts: Tensor) -> Tensor:
    """Σ mask·shift pixel by pixel."""
    batch, parts, height, width = masks.shape
    rows = []
    for b in range(batch):
        for i in range(height):
            for j in range(width):
                rows.append(sum(masks[b, k, i, j] * shifts[b, k] for k in range(parts)))
    return torch.stack([row for row in rows if isinstance(row, Tensor)]).reshape(batch, height, width, 2)


def _flow_loop(f: Function) -> None:
    masks, shifts = _masks(2, 3, 3, 4), _points(2, 3)
    expect(
        f(masks, shifts),
        _flow_by_loop(masks, shifts),
        "At every pixel the flow has to be Σ mask·shift",
        "random 3×4 pixels",
    )


def _flow_teaches(f: Function) -> None:
    logits, shifts = torch.randn(1, 3, 3, 4), _points(1, 3)
    alone = shifts[0][:, :, None, None].expand(3, 2, 3, 4)
    tried = "random 3×4 pixels, 3 parts, masks from a softmax"
    _teaches_logits(lambda masks: f(masks, shifts).movedim(-1, 1), logits, alone, tried)


def _flow_einsum(masks: Tensor, shifts: Tensor) -> Tensor:
    return torch.einsum("bkhw,bkd->bhwd", masks, shifts)


def _flow_broadcast(masks: Tensor, shifts: Tensor) -> Tensor:
    return (masks[..., None] * shifts[:, :, None, None]).sum(dim=1)


def _flow_parts(masks: Tensor, shifts: Tensor) -> Tensor:
    flow = torch.zeros(len(masks), *masks.shape[2:], 2, dtype=torch.float64)
    for k in range(masks.shape[1]):
        flow = flow + masks[:, k, :, :, None].double() * shifts[:, k, None, None, :].double()
    return flow.to(masks.dtype)


def _flow_mean(masks: Tensor, shifts: Tensor) -> Tensor:
    weights = masks[..., None]
    return (weights * shifts[:, :, None, None]).sum(dim=1) / weights.sum(dim=1)


FLOW = Exercise(
    id="coarse-flow",
    title="Coarse flow",
    target="monkeynet_edu.motion:coarse_flow",
    statement=(
        "Average motions instead of colours: at every pixel the sum, over all parts, of mask times shift (the masks sum to "
        "1, so it is a mean already). Return the flow with (x, y) in the last dimension."
    ),
    level="blank page",
    steps=(
        "pixels in one dimension",
        "for each pixel, Σ over the parts of mask times shift",
        "pixels back into rows and columns",
    ),
    hints=(
        "It is the mean of lesson 03 once more: there a heatmap weighed the points of the lattice, here the masks weigh "
        "the "
        "parts' shifts, at every pixel anew.",
        "(B, K+1, H, W) and (B, K+1, 2) → (B, H, W, 2): the parts are summed away. Broadcast both to (B, K+1, H, W, 2) and "
        "sum over dimension 1, or use `torch.einsum`, or a matrix product.",
        '`torch.einsum("bkhw,bkd->bhwd", masks, shifts)`, or `(masks[..., None] * shifts[:, :, None, None]).sum(dim=1)`.',
    ),
    calls=_flow_calls,
    properties=(
        Property("by-hand", "¾ background and ¼ part make a quarter of the shift", _flow_hand),
        Property("alone", "where one mask is 1, the flow is that part's shift", _flow_alone),
        Property("place", "only where a mask says so, something moves", _flow_corner),
        Property("loop", "it agrees with a loop over pixels and parts", _flow_loop),
        Property("teaches", "a gradient reaches the masks, as a softmax makes them", _flow_teaches),
    ),
    mutants=(
        Mutant(
            "strongest-only",
            "each pixel follows the one part with the largest mask",
            "Each of your pixels follows a single part. In the paper the masks are weights, and all parts have a say; "
            "only so "
            "does a gradient tell a mask to grow or to shrink.",
            (("masks.flatten(2)", "(masks == masks.amax(dim=1, keepdim=True)).to(masks.dtype).flatten(2)"),),
        ),
        Mutant(
            "background-last",
            "the last shift is the background's",
            "Every mask meets its neighbour's shift. The background comes first in both: channel 0 of the masks, row 0 "
            "of the "
            "shifts.",
            (("@ shifts", "@ shifts.roll(-1, dims=1)"),),
        ),
        Mutant(
            "scrambled",
            "reshape brings dimensions into another order",
            "The numbers are mixed up between pixels and parts. `reshape` reads on in memory order; to *exchange* "
            "dimensions you "
            "need `transpose`, `permute` or `einsum`.",
            (("weights.transpose(1, 2)", "weights.reshape(len(weights), -1, masks.shape[1])"),),
        ),
        Mutant(
            "y-before-x",
            "a flow stores rows before columns",
            "x and y have changed places in your flow. Points and flows are (x, y) in this library, rows of the picture "
            "notwithstanding.",
            (("@ shifts", "@ shifts.flip(-1)"),),
        ),
        Mutant(
            "divided-by-parts",
            "a mean over K+1 parts divides by K+1",
            "All your motion is too small by the number of parts. A weighted mean divides by the sum of its weights; "
            "what do "
            "the masks sum to?",
            (("@ shifts", "@ shifts / masks.shape[1]"),),
        ),
        Mutant(
            "background-left-out",
            "the background's shift is (0, 0), so it may be left out",
            "You leave part 0 out. Today its shift is (0, 0), but that is decided where the shifts are made: here a row is "
            "what it says, the first one too (a camera may pan).",
            (("weights.transpose(1, 2) @ shifts", "weights[:, 1:].transpose(1, 2) @ shifts[:, 1:]"),),
        ),
        Mutant(
            "second-softmax",
            "masks have to be made by a softmax here",
            "You send the masks through a softmax. They have been through one: they sum to 1 already, and a second one "
            "gives every part a share everywhere.",
            (("masks.flatten(2)", "masks.softmax(dim=1).flatten(2)"),),
        ),
        Mutant(
            "lattice-added",
            "a flow is the place to read at",
            "You add the lattice. A *flow* says how far; where nothing moves it is (0, 0) everywhere. The place to read at "
            "is the deformation, and that comes later.",
            (
                (
                    "torch.unflatten(flow, 1, masks.shape[-2:])",
                    "geometry.lattice(*masks.shape[-2:]) + torch.unflatten(flow, 1, masks.shape[-2:])",
                ),
            ),
        ),
    ),
    alternatives=(_flow_einsum, _flow_broadcast, _flow_parts, _flow_mean),
    box="masks",
    differentiable=("shifts",),
)


# --------------------------------------------------------------------------------------------------------- deformation


def _assemble_calls() -> Sequence[Call]:
    return (
        Call("random flows of 4×6 pixels, 2 images", (torch.randn(2, 4, 6, 2), torch.randn(2, 2, 4, 6))),
        Call("random flows of 5×3 pixels, 1 image", (torch.randn(1, 5, 3, 2), torch.randn(1, 2, 5, 3))),
    )


def _assemble_nothing(f: Function) -> None:
    out = f(torch.zeros(1, 3, 5, 2), torch.zeros(1, 2, 3, 5))
    wanted = [[[[2 * j / 4 - 1, 2 * i / 2 - 1] for j in range(5)] for i in range(3)]]
    message = "Where nothing moves, every pixel has to read at its own place: the lattice"
    expect(out, torch.tensor(wanted), message, "3×5 pixels, no flow at all")


def _assemble_hand(f: Function) -> None:
    coarse, residual = torch.zeros(1, 3, 5, 2), torch.zeros(1, 2, 3, 5)
    coarse[0, 1, 3] = torch.tensor([-0.5, 0.25])
    residual[0, :, 1, 3] = torch.tensor([0.125, -0.5])
    message = "The pixel at (½, 0) with coarse flow (-½, ¼) and residual (⅛, -½) has to read at (⅛, -¼)"
    expect(f(coarse, residual)[0, 1, 3], [0.125, -0.25], message, "3×5 pixels; the pixel in row 1, column 3")


def _assemble_channels(f: Function) -> None:
    residual = torch.randn(2, 2, 3, 4)
    flow = f(torch.zeros(2, 3, 4, 2), residual) - f(torch.zeros(2, 3, 4, 2), torch.zeros(2, 2, 3, 4))
    message = "Channel 0 of the residual has to be added to x and channel 1 to y, at the same pixel"
    expect(flow, torch.stack([residual[:, 0], residual[:, 1]], dim=-1), message, "a random residual of 3×4 pixels")


def _assemble_sum(f: Function) -> None:
    coarse, residual = torch.randn(1, 3, 4, 2), torch.randn(1, 2, 3, 4)
    none = torch.zeros(1, 3, 4, 2), torch.zeros(1, 2, 3, 4)
    wanted = f(coarse, none[1]) + f(none[0], residual) - f(*none)
    message = "Coarse flow and residual have to be added"
    expect(f(coarse, residual), wanted, message, "random flows, together and one by one")
    expect(
        f(coarse, none[1]) - f(*none),
        coarse,
        "The coarse flow has to be added to the lattice",
        "a random coarse flow alone",
    )


def _own_lattice(like: Tensor, height: int, width: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], dim=-1).to(like)


def _assemble_movedim(coarse: Tensor, residual: Tensor) -> Tensor:
    return residual.movedim(1, -1) + (coarse + _own_lattice(coarse, *coarse.shape[1:3]))


def _assemble_split(coarse: Tensor, residual: Tensor) -> Tensor:
    grid = _own_lattice(coarse, *coarse.shape[1:3])
    x = grid[..., 0] + coarse[..., 0] + residual[:, 0]
    return torch.stack([x, grid[..., 1] + coarse[..., 1] + residual[:, 1]], dim=-1)


def _assemble_wide(coarse: Tensor, residual: Tensor) -> Tensor:
    planes = coarse.double().permute(0, 3, 1, 2) + residual.double()
    grid = _own_lattice(planes, *coarse.shape[1:3])
    return (planes.permute(0, 2, 3, 1) + grid).to(coarse.dtype)


DEFORMATION = Exercise(
    id="deformation",
    title="The deformation",
    target="monkeynet_edu.motion:assemble_deformation",
    statement=(
        "Add up where every driving pixel reads in the source: its own place, plus the coarse flow, plus the residual. The "
        "residual comes from a convolution, so its two channels stand in front of the rows."
    ),
    level="blank page",
    steps=("coarse flow plus residual, (x, y) in the last dimension", "every pixel's own place", "their sum"),
    hints=(
        "A flow says how far; a deformation says where. Between the two lies the pixel's own place, and lesson 01 has a "
        "function for it.",
        "(B, 2, H, W) → (B, H, W, 2): `permute(0, 2, 3, 1)`; `reshape` would scramble. The lattice (H, W, 2) broadcasts "
        "over "
        "the batch.",
        "`geometry.lattice(*coarse.shape[1:3], device=coarse.device, dtype=coarse.dtype) + coarse + "
        "residual.permute(0, 2, 3, 1)`.",
    ),
    calls=_assemble_calls,
    properties=(
        Property("nothing", "no flow: every pixel reads at its own place", _assemble_nothing),
        Property("by-hand", "one pixel by hand", _assemble_hand),
        Property("channels", "channel 0 is x, channel 1 is y", _assemble_channels),
        Property("sum", "coarse flow and residual are added", _assemble_sum),
    ),
    mutants=(
        Mutant(
            "flow-as-deformation",
            "the flow is the deformation",
            "Without any motion, all your pixels read at (0, 0), the middle of the picture. A flow says *how far*, a "
            "deformation says *where*: from where does a pixel start?",
            (("grid + flow", "flow.clone()"),),
        ),
        Mutant(
            "minus",
            "what moved right has to be read with a minus",
            "You subtract the flow. The turn from forward to backward is done already: it is in the sign of the "
            "displacements.",
            (("grid + flow", "grid - flow"),),
        ),
        Mutant(
            "scrambled",
            "reshape moves the channels to the end",
            "Your residual ends up at the wrong pixels. `reshape` reads on in memory order: the first two numbers of "
            "channel 0 "
            "become one point. To move a dimension, use `permute`.",
            (("residual.permute(0, 2, 3, 1)", "residual.reshape(coarse.shape)"),),
        ),
        Mutant(
            "y-before-x",
            "the first channel is the vertical one",
            "Your residual has x and y exchanged. Channel 0 is x.",
            (("residual.permute(0, 2, 3, 1)", "residual.flip(1).permute(0, 2, 3, 1)"),),
        ),
        Mutant(
            "residual-instead",
            "the residual is the better flow and replaces the coarse one",
            "Your result does not depend on the coarse flow. A *residual* is what is left over: it corrects, and is added.",
            (("coarse + residual", "residual"),),
        ),
        Mutant(
            "residual-in-pixels",
            "a network's flow is in pixels",
            "Your residual is far too small: you convert it from pixels. It is in [-1, 1] units already, like the coarse "
            "flow; the network learns the scale.",
            (("residual.permute(0, 2, 3, 1)", "residual.permute(0, 2, 3, 1) * 2 / (coarse.shape[2] - 1)"),),
        ),
        Mutant(
            "residual-forgotten",
            "lattice plus coarse flow is all",
            "Your result does not depend on the residual. Lattice, coarse flow, residual: three things are added.",
            (("coarse + residual.permute(0, 2, 3, 1)", "coarse.clone()"),),
        ),
        Mutant(
            "residual-subtracted",
            "what is left over is taken away",
            "You subtract the residual. It is what the coarse flow lacks, so it is added.",
            (("coarse + residual", "coarse - residual"),),
        ),
        Mutant(
            "lattice-y-before-x",
            "the lattice is (rows, columns)",
            "Without any motion your picture comes out turned over its diagonal: the lattice has x and y exchanged. "
            "`geometry.lattice` gives (x, y) already.",
            (("grid + flow", "grid.flip(-1) + flow"),),
        ),
        Mutant(
            "clamped",
            "a place to read at must lie in the picture",
            "You hold the places within [-1, 1]. A pixel may read outside; there the warp of lesson 01 finds black, and "
            "a clamp would smear the border instead (and stop the gradient).",
            (("grid + flow", "(grid + flow).clamp(-1, 1)"),),
        ),
    ),
    alternatives=(_assemble_movedim, _assemble_split, _assemble_wide),
    box="flow",
    differentiable=("coarse", "residual"),
)


LESSON = Lesson(
    number="04",
    slug="flow_from_parts",
    title="Flow from parts",
    minutes=150,
    imports=IMPORTS,
    exercises=(DISPLACEMENTS, COPIES, PASTE, FLOW, DEFORMATION),
)
