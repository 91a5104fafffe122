"""Frames a second of the puppet in a real JupyterLab: a keypoint is dragged, the frames that arrive are counted.

Usage: python benchmarks/puppet_browser.py [--seconds 4] [--bound 15]

Needs Chromium and playwright, as the browser tests do. Exits 1 below the bound. Run it on a machine that does nothing
else: server, kernel and browser share its processors.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import test_browser as browser
from playwright.sync_api import sync_playwright

CELL = """\
from monkeynet_edu import widgets
from monkeynet_edu.data.datasets import ClipFolder
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.paths import data_set_path, weights_path

clips = ClipFolder(data_set_path("mini-taichi"), "test", size=64)
widgets.puppet(MonkeyNet.load(weights_path("mini-taichi")), clips[3].frames[0])"""


def dragged(page: object, seconds: float) -> float:
    """Frames a second while keypoint 0 is led round in circles."""
    stage = page.locator(".mk").first
    stage.scroll_into_view_if_needed()
    x, y = browser.place_of(stage.locator("[data-point='0']"))
    page.mouse.move(x, y)
    page.mouse.down()
    before, began, moves = int(stage.get_attribute("data-frames")), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        moves += 1
        page.mouse.move(x + 20 + 30 * math.sin(moves / 15), y - 40 + 20 * math.cos(moves / 15))
        time.sleep(0.004)
    took, after = time.monotonic() - began, int(stage.get_attribute("data-frames"))
    page.mouse.up()
    return (after - before) / took


def measure(folder: Path, seconds: float) -> float:
    """Starts JupyterLab and Chromium, opens a notebook with the puppet, drags."""
    server = browser.Server(folder)
    try:
        server.wait_until_up()
        browser.write_notebook(server.notebooks / "puppet.ipynb", [CELL])
        with sync_playwright() as playwright:
            context = playwright.chromium.launch_persistent_context(
                str(folder / "profile"),
                executable_path=browser.CHROMIUM,
                headless=True,
                args=list(browser.FLAGS),
                viewport={"width": 1200, "height": 1000},
            )
            with browser.lab(context, server, "puppet.ipynb") as lab:
                lab.run_all()
                return max(dragged(lab.page, seconds) for _ in range(3))
    finally:
        server.end()


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Counts the puppet's frames in JupyterLab.")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each of three drags (4)")
    parser.add_argument("--bound", type=float, default=15.0, help="frames a second that count as a pass (15)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        rate = measure(Path(folder), args.seconds)
    print(f"{rate:.1f} frames a second (best of three drags), bound {args.bound:g}")
    return 0 if rate >= args.bound else 1


if __name__ == "__main__":
    sys.exit(main())
