"""The live views: anywidget models, their scripts inline (no build step, nothing loaded from elsewhere).

JupyterLab 4 is tested. VS Code and Colab are written for (only the public anywidget interface is used) and untested.
"""

from __future__ import annotations

import anywidget
import traitlets

from monkeynet_edu.widgets.scripts import PANEL_SCRIPT, PUPPET_SCRIPT, STYLE
from monkeynet_edu.widgets.study_script import STUDY_SCRIPT, STUDY_STYLE


class View(anywidget.AnyWidget):
    """What all views share: a title, one sentence on how to use it, and the last error in words."""

    _css = STYLE
    title = traitlets.Unicode("").tag(sync=True)
    hint = traitlets.Unicode("").tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)


class PanelView(View):
    """Controls, a picture with alt text, and lines of words."""

    _esm = PANEL_SCRIPT
    controls = traitlets.List(traitlets.Dict()).tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    disabled = traitlets.List(traitlets.Unicode()).tag(sync=True)
    image = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)


class PuppetView(View):
    """A canvas with keypoints to drag; points are flat lists x0, y0, x1, y1, … in [-1, 1], pictures raw RGB."""

    _esm = PUPPET_SCRIPT
    height = traitlets.Int().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    colors = traitlets.List(traitlets.Unicode()).tag(sync=True)
    home = traitlets.List(traitlets.Float()).tag(sync=True)
    points = traitlets.List(traitlets.Float()).tag(sync=True, echo_update=False)  # one message less for each move
    source = traitlets.Bytes(b"").tag(sync=True)
    frame = traitlets.Bytes(b"").tag(sync=True)
    path = traitlets.List(traitlets.Float()).tag(sync=True)
    clip = traitlets.Bytes(b"").tag(sync=True)
    fps = traitlets.Float(15.0).tag(sync=True)


class StudyView(View):
    """Pairs of films to choose from; everything but the rater's code goes by messages, see `study_script`."""

    _esm = STUDY_SCRIPT
    _css = STYLE + STUDY_STYLE
    rater = traitlets.Unicode("").tag(sync=True)
