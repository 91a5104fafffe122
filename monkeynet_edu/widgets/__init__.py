"""Widgets: thin live layers over plain functions from a state to a picture with alt text.

:func:`puppet` (drag a keypoint), :func:`layers` (switch), :func:`slider` (scrub), :func:`panel` (any controls),
:func:`dashboard` (a training in a thread) and :class:`StudyWidget` (pairs of films to choose from). Where no front end
runs, the same picture stands still. What goes wrong inside a callback is shown in words and kept in ``.error``.
"""

from __future__ import annotations

from monkeynet_edu.widgets.live_training import Dashboard, Stopped, dashboard
from monkeynet_edu.widgets.panels import Button, Check, Choice, Colour, Panel, Range, Text, layers, panel, slider
from monkeynet_edu.widgets.puppetry import Puppet, puppet, swing
from monkeynet_edu.widgets.still import Live, Still
from monkeynet_edu.widgets.study import StudyWidget

__all__ = [
    "Button",
    "Check",
    "Choice",
    "Colour",
    "Dashboard",
    "Live",
    "Panel",
    "Puppet",
    "Range",
    "Still",
    "Stopped",
    "StudyWidget",
    "Text",
    "dashboard",
    "layers",
    "panel",
    "puppet",
    "slider",
    "swing",
]
