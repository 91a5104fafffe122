"""The metric microscope's controls: what is done to a film, and in which form the metrics are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monkeynet_edu.widgets.panels import Choice, Control, Panel, Range, Values, panel
from monkeynet_edu.widgets.still import Shown

TITLE = "The metric microscope"
_HINT = (
    "Spoil the film and watch which bars move. Tab goes from control to control; arrow keys move a slider or a choice. "
    "The figures are also read out below."
)


def microscope(
    draw: Callable[[Values], Shown],
    films: Sequence[str],
    limbs: Sequence[str],
    qualities: Sequence[str],
    forms: Sequence[str],
) -> Panel:
    """Sliders and choices beside a picture of what every metric says.

    Args:
        draw: the values ``film``, ``limb``, ``shift`` (pixels), ``blur`` (half pixels), ``recolour`` (per cent), ``mp4``
            and ``form`` → picture.
        films: where the frames may come from; the first one at first.
        limbs: that can be dropped; the first one stands for none.
        qualities: of the MP4 file; the first one stands for no file.
        forms: of the metrics.
    """
    controls: list[Control] = [
        Choice("film", "film", tuple(films), films[0]),
        Choice("limb", "drop a limb", tuple(limbs), limbs[0]),
        Range("shift", "shift to the right (pixels)", 0, 4, 1, 0),
        Range("blur", "blur (σ in half pixels)", 0, 6, 1, 0),
        Range("recolour", "recolour the clothes (per cent)", 0, 100, 25, 0),
        Choice("mp4", "write as MP4 and read again", tuple(qualities), qualities[0]),
        Choice("form", "form of the metrics", tuple(forms), forms[0]),
    ]
    return panel(draw, controls, TITLE, _HINT)
