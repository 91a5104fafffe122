"""The notebooks in a real JupyterLab, driven by a headless Chromium: what only a browser can tell.

One server and one browser for all. The notebooks are copies (JupyterLab saves what it opens), the settings are private, and
kernels are ended over REST before the server. Without Chromium or Playwright the tests are skipped with a word.

`MONKEYNET_SCREENSHOTS=folder` keeps a picture of each stage.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LESSON = "00_a_still_picture_moves.ipynb"
TOKEN = "lane"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
# JupyterLab asks the network for news, and draws only the cells in view: both would make the lane depend on chance.
SETTINGS = {
    "apputils-extension/notification.jupyterlab-settings": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
}

pytestmark = pytest.mark.slow


def why_not() -> str:
    """Why the lane cannot run here; empty where it can."""
    if not CHROMIUM:
        return "no Chromium here: apt-get install chromium, or name it in CHROMIUM="
    for module in ("playwright", "jupyterlab", "anywidget"):
        try:
            __import__(module)
        except ImportError:
            return f"no {module} here: pip install -e '.[test]'"
    return ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A JupyterLab of its own: address, folder with the notebooks' copies."""

    def __init__(self, folder: Path) -> None:
        self.port, self.home = free_port(), folder
        self.notebooks = folder / "clone" / "notebooks"
        self.notebooks.mkdir(parents=True)
        settings = folder / "settings" / "@jupyterlab"
        for name, values in SETTINGS.items():
            (settings / name).parent.mkdir(parents=True, exist_ok=True)
            (settings / name).write_text(json.dumps(values))
        own = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        own |= {
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "IPYTHONDIR": str(folder / "ipython"),
            "MONKEYNET_PROGRESS": str(folder / "progress.json"),
            "MONKEYNET_DATA": str(ROOT / "data_small"),
            "MONKEYNET_EDU_FAST": "1",
            "PYTHONPATH": str(ROOT),
        }
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": self.port,
            "ServerApp.open_browser": False,
            "ServerApp.root_dir": self.notebooks.parent,
            "ServerApp.allow_root": True,
            "IdentityProvider.token": TOKEN,
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", *(f"--{k}={v}" for k, v in options.items())]
        self.log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(command, env={**os.environ, **own}, stdout=self.log, stderr=self.log, cwd=folder)

    def ask(self, path: str, method: str = "GET") -> Any:
        """One request to the server's REST interface."""
        address = f"http://127.0.0.1:{self.port}/api/{path}?token={TOKEN}"
        with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=10) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def wait_until_up(self) -> None:
        """Waits until it answers."""
        for _ in range(900):
            assert self.process.poll() is None, (self.home / "server.log").read_text()[-2000:]
            with suppress(OSError):
                self.ask("status")
                return
            time.sleep(0.1)
        raise AssertionError("JupyterLab did not answer within 90 s")

    def end(self) -> None:
        """Ends kernels, then the server."""
        with suppress(OSError):
            for kernel in self.ask("kernels"):
                self.ask(f"kernels/{kernel['id']}", "DELETE")
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if reason := why_not():
        pytest.skip(reason)
    made = Server(tmp_path_factory.mktemp("lab"))
    try:
        made.wait_until_up()
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("chromium")),
            executable_path=CHROMIUM,
            headless=True,
            args=list(FLAGS),
            viewport={"width": 1200, "height": 1000},
        )
        context.set_default_timeout(30_000)
        yield context
        context.close()


class Lab:
    """An open notebook."""

    def __init__(self, page: Any, server: Server) -> None:
        self.page, self.server = page, server
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, name: str) -> None:
        """Opens a notebook and waits for an idle kernel: before that, Run All would ask for one."""
        self.page.goto(f"http://127.0.0.1:{self.server.port}/lab/tree/notebooks/{name}?token={TOKEN}&reset")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-KernelName", timeout=90_000)
        self.page.wait_for_function(
            """() => {
              const name = document.querySelector('.jp-NotebookPanel .jp-KernelName');
              const light = document.querySelector('.jp-NotebookPanel .jp-Notebook-ExecutionIndicator');
              return name && !name.textContent.includes('No Kernel') && light && light.dataset.status === 'idle';
            }""",
            timeout=90_000,
        )

    def run_all(self, seconds: float = 60) -> None:
        """Runs all cells and waits until every one of them has its number."""
        self.page.click(".lm-MenuBar-itemLabel:text-is('Run')")
        self.page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
        self.page.wait_for_function(
            """() => {
              const cells = [...document.querySelectorAll('.jp-NotebookPanel .jp-CodeCell')];
              const done = (c) => /\\[\\d+\\]/.test(c.querySelector('.jp-InputPrompt').textContent)
                || !c.querySelector('.cm-content').textContent.trim();
              return cells.length && cells.every(done);
            }""",
            timeout=1000 * seconds,
        )

    def outputs_with_errors(self) -> list[str]:
        """Tracebacks in the notebook and errors that widgets show."""
        found = self.page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error'], .mk-error")
        return [text for text in found.all_inner_texts() if text.strip()]

    def shot(self, name: str) -> None:
        """Keeps a screenshot, where one is asked for."""
        if folder := os.environ.get("MONKEYNET_SCREENSHOTS"):
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"))


@contextmanager
def lab(browser: Any, server: Server, name: str) -> Iterator[Lab]:
    """Opens a notebook in a page of its own; ends its kernel and checks that the page raised nothing."""
    page = browser.new_page()
    opened = Lab(page, server)
    try:
        opened.open(name)
        yield opened
        assert opened.errors == []
    finally:
        page.close()
        for session in server.ask("sessions"):
            server.ask(f"sessions/{session['id']}", "DELETE")


def until(check: Callable[[], Any], seconds: float = 30, what: str = "it") -> Any:
    """Waits until a check holds; returns what it returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds:g} s")


# ------------------------------------------------------------------------------------------------------------- helpers


def picture(widget: Any, canvas: int = 0) -> list[int]:
    """A coarse fingerprint of a canvas: 16 by 16 grey values."""
    values: list[int] = (
        widget.locator("canvas")
        .nth(canvas)
        .evaluate(
            """(canvas) => {
          const small = document.createElement('canvas');
          small.width = small.height = 16;
          const pen = small.getContext('2d');
          pen.drawImage(canvas, 0, 0, 16, 16);
          const data = pen.getImageData(0, 0, 16, 16).data;
          return [...Array(256).keys()].map((i) => data[4 * i] + data[4 * i + 1] + data[4 * i + 2]);
        }"""
        )
    )
    return values


def differs(a: list[int], b: list[int]) -> bool:
    """Whether two fingerprints differ by more than noise: somewhere a tenth of the range."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) > 25


def place_of(handle: Any) -> tuple[float, float]:
    """Middle of an element on the page."""
    box = handle.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def spoken(widget: Any, keypoint: int) -> tuple[float, float]:
    """Where a screen reader hears that a keypoint is."""
    said = widget.locator(f"[data-point='{keypoint}']").get_attribute("aria-label")
    x, y = re.findall(r"-?\d+\.\d+", said)
    return float(x), float(y)


def write_notebook(path: Path, cells: list[str]) -> None:
    """A notebook of code cells."""
    import nbformat

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)


# --------------------------------------------------------------------------------------------------------- the lessons


WIDGETS = [
    """
import time
import numpy as np
from monkeynet_edu import widgets

def frame(i):
    return np.full((60, 90), 8 * i, np.uint8), f"frame {i}"

machine = widgets.slider(frame, [f"step {10 * i}" for i in range(30)], "Time machine", "step", fps=20)
machine""",
    """
def train(report):
    for step in range(3000):
        time.sleep(0.02)
        report(step, {"frame": 1 / (step + 1)}, np.full((32, 32), step % 255, np.uint8))

board = widgets.dashboard(train, "Training", monitor=lambda rows: [f"{len(rows)} steps seen"])
board""",
    """
def broken(values):
    if values["which"] == "bad":
        raise ValueError("no picture of bad")
    return np.full((20, 20), 99, np.uint8), "a grey square"

widgets.panel(broken, [widgets.Choice("which", "which", ("good", "bad"), "good")], "Fragile")""",
]


def learner_notebook(folder: Path) -> Path:
    """The learner's notebook of lesson 00, from its source: what the build writes."""
    from monkeynet_edu.course import lessons
    from monkeynet_edu.course.sources import lesson_texts, text_of

    source = ROOT / "solutions" / f"{Path(LESSON).stem}.py"
    path = folder / LESSON
    path.write_text(text_of(lesson_texts(source, lessons.load("00"), None)["learner"]), "utf-8")
    return path


def drag(page: Any, handle: Any, dx: float, dy: float) -> None:
    """Drags an element with the mouse, in ten steps."""
    x, y = place_of(handle)
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(1, 11):
        page.mouse.move(x + dx * i / 10, y + dy * i / 10)
    page.mouse.up()


def test_lesson_00_runs_whole_and_its_puppet_and_designer_answer(browser: Any, server: Server) -> None:
    learner_notebook(server.notebooks)
    with lab(browser, server, LESSON) as opened:
        page = opened.page
        opened.run_all(200)
        assert opened.outputs_with_errors() == []
        puppet = page.get_by_role("region", name="The puppet")
        puppet.scroll_into_view_if_needed()
        before = until(lambda: any(picture(puppet)) and picture(puppet), what="the first picture")
        opened.shot("lesson")
        drag_by_mouse(opened, puppet, before)
        move_by_keys(opened, puppet, before)
        record_and_play(opened, puppet)
        design(opened)
        assert opened.outputs_with_errors() == []


def drag_by_mouse(opened: Lab, puppet: Any, before: list[int]) -> None:
    """The limb follows the mouse; the source stays; Reset brings all back."""
    source, home = picture(puppet, 1), spoken(puppet, 0)
    drag(opened.page, puppet.locator("[data-point='0']"), 30, -40)
    until(lambda: differs(before, picture(puppet)), what="another picture after a drag")
    assert spoken(puppet, 0)[0] > home[0] + 0.1
    assert spoken(puppet, 0)[1] < home[1] - 0.1
    assert picture(puppet, 1) == source
    opened.shot("dragged")
    puppet.get_by_role("button", name="Reset", exact=True).click()
    until(lambda: not differs(before, picture(puppet)), what="the old picture after Reset")
    assert spoken(puppet, 0) == home


def move_by_keys(opened: Lab, puppet: Any, before: list[int]) -> None:
    """Digits pick, Tab goes on, arrows move, Shift moves less, Ctrl+Z takes back; JupyterLab keeps its hands off."""
    keys = opened.page.keyboard
    cells = opened.page.locator(".jp-Cell").count()
    puppet.locator("[data-point='8']").focus()
    keys.press("Tab")
    assert opened.page.evaluate("document.activeElement.dataset.point") == "9"
    keys.press("0")
    assert opened.page.evaluate("document.activeElement.dataset.point") == "0"
    home = spoken(puppet, 0)
    for _ in range(5):
        keys.press("ArrowUp")
    until(lambda: differs(before, picture(puppet)), what="another picture after arrow keys")
    far = spoken(puppet, 0)
    assert far[1] == pytest.approx(home[1] - 0.3, abs=0.02)
    keys.press("Shift+ArrowRight")
    assert 0 < spoken(puppet, 0)[0] - far[0] < 0.03
    assert "keypoint 0 at" in puppet.get_by_role("status").inner_text()
    opened.shot("keys")
    keys.press("Control+z")
    until(lambda: spoken(puppet, 0) == home, what="the old place after Ctrl+Z")
    assert opened.page.locator(".jp-Cell").count() == cells


def record_and_play(opened: Lab, puppet: Any) -> None:
    """A recorded path is drawn by the model and played; playing can be paused."""
    puppet.get_by_role("button", name="Record", exact=True).click()
    opened.page.wait_for_timeout(200)
    drag(opened.page, puppet.locator("[data-point='2']"), 30, -50)
    opened.page.wait_for_timeout(200)
    puppet.get_by_role("button", name="Stop recording").click()
    play = puppet.get_by_role("button", name="Play", exact=True)
    until(play.is_enabled, what="the film of the recorded path")
    play.click()
    until(lambda: int(puppet.get_attribute("data-played") or 0) > 3, what="playing")
    puppet.get_by_role("button", name="Pause", exact=True).click()
    played = puppet.get_attribute("data-played")
    opened.page.wait_for_timeout(300)
    assert puppet.get_attribute("data-played") == played


def write_over(page: Any, field: Any, text: str) -> None:
    """Replaces the text of a field, key by key."""
    field.focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.type(text)


def design(opened: Lab) -> None:
    """The designer follows its controls, says what is wrong, and keeps the character."""
    form = opened.page.get_by_role("region", name="Design your character")
    form.scroll_into_view_if_needed()
    alt = form.locator("img").get_attribute("alt")
    form.locator("[data-name='hairstyle']").select_option("hat")
    until(lambda: "straw hat" in (form.locator("img").get_attribute("alt") or ""), what="a straw hat")
    assert form.locator("img").get_attribute("alt") != alt
    name = form.locator("[data-name='name']")
    write_over(opened.page, name, "")
    until(lambda: "expected 1 to 24" in form.get_by_role("alert").inner_text(), what="a word about the name")
    write_over(opened.page, name, "Ada")
    until(lambda: not form.get_by_role("alert").inner_text(), what="the end of the complaint")
    form.get_by_role("button", name="Keep this character").click()
    until(lambda: "Ada is kept" in form.get_by_role("status").inner_text(), what="that Ada is kept")
    opened.shot("designer")
    assert "Ada" in (opened.server.home / "progress.json").read_text("utf-8")


def test_time_machine_dashboard_and_a_failing_callback(browser: Any, server: Server) -> None:
    write_notebook(server.notebooks / "widgets.ipynb", WIDGETS)
    with lab(browser, server, "widgets.ipynb") as opened:
        opened.run_all(100)
        scrub(opened)
        stop_training(opened)
        fail_in_words(opened)


def scrub(opened: Lab) -> None:
    """The slider follows keys and mouse, the picture follows the slider, Play can be paused."""
    machine = opened.page.get_by_role("region", name="Time machine")
    slider, image = machine.get_by_role("slider"), machine.locator("img")
    slider.focus()
    for _ in range(3):
        opened.page.keyboard.press("ArrowRight")
    until(lambda: image.get_attribute("alt") == "frame 3", what="frame 3")
    assert slider.get_attribute("aria-valuetext") == "step 30"
    opened.page.keyboard.press("End")
    until(lambda: image.get_attribute("alt") == "frame 29", what="the last frame")
    box = slider.bounding_box()
    opened.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    until(lambda: image.get_attribute("alt") in {"frame 14", "frame 15"}, what="the middle frame")
    opened.page.keyboard.press("Home")
    machine.get_by_role("button", name="Play").click()
    until(lambda: int(slider.input_value()) > 3, what="playing")
    machine.get_by_role("button", name="Pause").click()
    at = slider.input_value()
    opened.page.wait_for_timeout(250)
    assert slider.input_value() == at
    until(lambda: image.get_attribute("alt") == f"frame {at}", what="the picture of where it was paused")
    opened.shot("time-machine")


def stop_training(opened: Lab) -> None:
    """The training runs in the background, is shown, holds at Pause, goes on, and ends at Stop."""
    board = opened.page.get_by_role("region", name="Training")
    board.scroll_into_view_if_needed()
    status = board.get_by_role("status")

    def step() -> int:
        return int(re.findall(r"step (\d+)", status.inner_text() + " step 0")[0])

    until(lambda: step() > 5, what="some steps")
    assert "steps seen" in board.locator(".mk-words").inner_text()
    board.get_by_role("button", name="Pause").click()
    until(lambda: "paused" in status.inner_text(), what="the pause")
    held = step()
    opened.page.wait_for_timeout(700)
    assert step() <= held + 1
    board.get_by_role("button", name="Go on").click()
    until(lambda: step() > held + 5, what="going on")
    opened.shot("dashboard")
    board.get_by_role("button", name="Stop").click()
    until(lambda: "stopped" in status.inner_text(), 10, "the stop")
    assert step() < 2999
    assert board.get_by_role("button", name="Stop").is_disabled()


def fail_in_words(opened: Lab) -> None:
    """What a callback raises is said in the widget."""
    fragile = opened.page.get_by_role("region", name="Fragile")
    fragile.locator("select").select_option("bad")
    until(lambda: "no picture of bad" in fragile.get_by_role("alert").inner_text(), what="the error in words")
    fragile.locator("select").select_option("good")
    until(lambda: not fragile.get_by_role("alert").inner_text(), what="the end of the error")


def test_the_lane_says_why_it_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "CHROMIUM", None)
    assert "apt-get install chromium" in why_not()
    monkeypatch.setattr(sys.modules[__name__], "CHROMIUM", "/usr/bin/chromium")
    monkeypatch.setitem(sys.modules, "playwright", None)
    assert "no playwright here" in why_not()
