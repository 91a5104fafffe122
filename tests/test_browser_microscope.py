"""The metric microscope in a real JupyterLab: a slider moved by keys, choices, and what a screen reader hears."""

from __future__ import annotations

from typing import Any

import pytest
from test_browser import Server, browser, lab, server, until, write_notebook

from monkeynet_edu.widgets.microscope import TITLE

__all__ = ["browser", "server"]  # fixtures

pytestmark = pytest.mark.slow

CELLS = [
    """
from monkeynet_edu.course import microscope
from monkeynet_edu.course.character import Character
from monkeynet_edu.evaluators import evaluators_for

scope = microscope.look_through(microscope.prepare(Character(), evaluators_for("mini-taichi"), motions=(3,)))
scope"""
]


def test_a_slider_of_the_microscope_moves_the_bars(browser: Any, server: Server) -> None:
    write_notebook(server.notebooks / "microscope.ipynb", CELLS)
    with lab(browser, server, "microscope.ipynb") as opened:
        opened.run_all(90)
        assert opened.outputs_with_errors() == []
        scope = opened.page.get_by_role("region", name=TITLE)
        image, status = scope.locator("img"), scope.get_by_role("status")
        assert "AKD 0.00 px, does not move" in (image.get_attribute("alt") or "")
        before = image.get_attribute("src")
        scope.get_by_label("shift to the right").focus()
        opened.page.keyboard.press("ArrowRight")
        opened.page.keyboard.press("ArrowRight")
        until(lambda: "shifted by 2 px" in (image.get_attribute("alt") or ""), what="a film shifted by 2 pixels")
        assert image.get_attribute("src") != before
        until(lambda: "L1 0.000" not in status.inner_text(), what="another L1 in words")
        opened.shot("microscope")
        scope.get_by_label("form of the metrics").select_option("published code")
        until(lambda: "published code" in (image.get_attribute("alt") or ""), what="the published form")
        scope.get_by_label("drop a limb").select_option("right arm")
        until(lambda: "without right arm" in (image.get_attribute("alt") or ""), what="a film without an arm")
        opened.shot("microscope-without-an-arm")
        assert opened.outputs_with_errors() == []
