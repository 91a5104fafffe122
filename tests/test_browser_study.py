"""The user study in a real browser: votes by key and mouse, a reload, a killed program, a killed kernel."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from study_example import FIRST, SECOND, small_study
from test_browser import ROOT, Lab, Server, browser, free_port, lab, server, until, write_notebook

from monkeynet_edu.course.study.votes import Vote, read_votes

__all__ = ["browser", "server"]  # fixtures

pytestmark = pytest.mark.slow


def kept(study: Path) -> tuple[Vote, ...]:
    """The votes on the disk; every line of them counts."""
    if not (study / "votes").is_dir():
        return ()
    found = read_votes([study])
    assert found.complaints == ()
    return found.votes


class Desk:
    """Somebody before the study's page."""

    def __init__(self, page: Any, study: Path) -> None:
        self.page, self.study = page, study
        self.view = page.get_by_role("region", name="User study")

    def says(self) -> str:
        """The line of progress."""
        text: str = self.view.get_by_role("status").inner_text()
        return text

    def wait_for(self, number: int) -> None:
        """Waits until a pair is shown, its films have run once, and the votes of all before are on the disk."""
        until(lambda: self.view.get_by_text(re.compile(rf"^pair {number} of")).count(), what=f"pair {number}")
        until(lambda: self.view.locator("[data-side=left]:enabled").count(), what="the end of the films")
        assert len(kept(self.study)) == number - 1
        boxes = [canvas.bounding_box() for canvas in self.view.locator("canvas").all()]
        assert len({round(box["y"]) for box in boxes}) == 1  # side by side, however narrow the page
        assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"]

    def code(self) -> str:
        """The rater's code as the page shows it."""
        (found,) = re.findall(r"Your code: (r-\w{8})", self.view.inner_text())
        return str(found)

    def frames(self) -> list[int]:
        """The frames that the three films show now."""
        return [int(n) for n in self.view.locator("canvas").evaluate_all("(all) => all.map((c) => c.dataset.frame)")]


def painted(desk: Desk) -> list[list[int]]:
    """The first pixel row of each canvas, from left to right."""
    rows: list[list[int]] = desk.view.locator("canvas").evaluate_all(
        "(all) => all.map((c) => [...c.getContext('2d').getImageData(0, 8, c.width, 1).data])"
    )
    return rows


@contextmanager
def running(study: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """``study run`` as a process of its own."""
    command = [sys.executable, "-m", "monkeynet_edu", "study", "run", str(study), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--no-browser", "--synthetic"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{port}/" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait(10)


def shot(desk: Desk, name: str) -> None:
    """Keeps a screenshot, where one is asked for."""
    if place := os.environ.get("MONKEYNET_SCREENSHOTS"):
        desk.page.screenshot(path=str(Path(place) / f"{name}.png"))


def test_votes_by_key_and_mouse_survive_a_reload_and_a_killed_program(browser: Any, tmp_path: Path) -> None:
    study = small_study(tmp_path / "study", pairs=5, checks=1, fps=40).folder
    port = free_port()
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    desk = Desk(page, study)
    try:
        with running(study, port) as process:
            page.goto(f"http://127.0.0.1:{port}/")
            desk.view.get_by_text("random code instead of your name").wait_for()
            shot(desk, "study-consent")
            desk.view.get_by_role("button", name="I agree, begin").click()
            watch_pause_and_replay(desk)
            shot(desk, "study-pair")
            (study / "votes").write_text("")  # a file where the folder of votes should be: nothing can be kept
            page.keyboard.press("ArrowRight")
            until(lambda: "place to write votes" in desk.view.get_by_role("alert").inner_text(), what="the error")
            (study / "votes").unlink()
            page.keyboard.press("ArrowLeft")
            desk.wait_for(2)
            desk.view.get_by_role("button", name="The right one").click()
            desk.wait_for(3)
            mine = desk.code()
            page.reload()
            desk.wait_for(3)
            assert desk.code() == mine
            process.kill()
            process.wait(10)
            page.keyboard.press("2")
            until(lambda: "does not answer" in desk.view.get_by_role("alert").inner_text(), what="a word on it")
        with running(study, port):
            desk.wait_for(4)  # the vote that nobody had taken is sent again, by itself
            assert desk.view.get_by_role("alert").inner_text() == ""
            for key, number in (("1", 5), ("ArrowRight", 6)):
                page.keyboard.press(key)
                desk.wait_for(number)
            page.keyboard.press("ArrowLeft")
            until(lambda: "All 6 pairs are done" in desk.says(), what="the end")
            shot(desk, "study-end")
        cast = kept(study)
        assert [one.choice for one in cast] == ["left", "right", "right", "left", "right", "left"]
        assert {one.rater for one in cast} == {mine}
        assert all(one.synthetic for one in cast)
        assert cast[0].replays == 1
        assert errors == []
    finally:
        page.close()


def watch_pause_and_replay(desk: Desk) -> None:
    """Before the films' end no vote counts; space holds all three in the same frame; R starts them again."""
    page = desk.page
    until(lambda: desk.view.locator("canvas").count() == 3, what="three films")
    page.keyboard.press("1")
    assert kept(desk.study) == ()
    desk.wait_for(1)
    seen = set()
    until(lambda: seen.update(map(tuple, painted(desk))) or len(seen) >= 4, what="moving pictures")
    assert FIRST not in page.content()
    assert SECOND not in page.content()
    page.keyboard.press(" ")
    until(lambda: desk.view.locator("[data-do=pause][aria-pressed=true]").count(), what="the pause")
    held, picture = desk.frames(), painted(desk)
    assert len(set(held)) == 1
    page.wait_for_timeout(250)
    assert (desk.frames(), painted(desk)) == (held, picture)
    page.keyboard.press("r")
    until(lambda: desk.view.locator("[data-do=pause][aria-pressed=false]").count(), what="going on")
    until(lambda: desk.frames() != held, what="moving on")
    button = desk.view.get_by_role("button", name="The left one")
    button.focus()
    page.keyboard.press(" ")  # holds the films, and does not press the button that has the focus
    until(lambda: desk.view.locator("[data-do=pause][aria-pressed=true]").count(), what="the pause")
    page.wait_for_timeout(150)
    assert kept(desk.study) == ()
    page.keyboard.press(" ")


CELL = """
import os
from monkeynet_edu.course import study
print("kernel", os.getpid())
study.take_part("STUDY")"""


def test_the_widget_survives_a_reload_and_a_killed_kernel(browser: Any, server: Server, tmp_path: Path) -> None:
    study = small_study(tmp_path / "study", pairs=3, checks=1, fps=40).folder
    write_notebook(server.notebooks / "study.ipynb", [CELL.replace("STUDY", str(study))])
    with lab(browser, server, "study.ipynb") as opened:
        page = opened.page
        opened.run_all(150)
        desk = Desk(page, study)
        desk.view.get_by_role("button", name="I agree, begin").click()
        desk.wait_for(1)
        opened.shot("study-widget")
        page.keyboard.press("ArrowRight")
        desk.wait_for(2)
        mine = desk.code()
        reload(opened)
        desk.wait_for(2)
        assert desk.code() == mine
        desk.view.get_by_role("button", name="The left one").click()
        desk.wait_for(3)
        (number,) = re.findall(r"kernel (\d+)", page.locator(".jp-OutputArea-output").first.inner_text())
        os.kill(int(number), signal.SIGKILL)
        desk.view.get_by_role("button", name="The left one").click()
        until(lambda: "Run this cell again" in desk.view.get_by_role("alert").inner_text(), 20, "a word on it")
        assert len(kept(study)) == 2
        opened.shot("study-killed-kernel")
        go_on_after_death(opened)
        desk.view.get_by_role("button", name=f"Go on as {mine} (2 of 4 done)").click()
        desk.wait_for(3)
        for key, number in (("1", 4), ("2", None)):
            page.keyboard.press(key)
            if number:
                desk.wait_for(number)
        until(lambda: "All 4 pairs are done" in desk.says(), what="the end")
        assert [one.choice for one in kept(study)] == ["right", "left", "left", "right"]
        assert {one.rater for one in kept(study)} == {mine}


def reload(opened: Lab) -> None:
    """Saves and loads the page anew; the kernel lives on."""
    page = opened.page
    page.click(".lm-MenuBar-itemLabel:text-is('File')")
    page.click(".lm-Menu-itemLabel:text-is('Save Notebook')")
    until(lambda: "widget-view" in (opened.server.notebooks / "study.ipynb").read_text("utf-8"), what="a saved notebook")
    page.reload()
    page.wait_for_selector(".jp-NotebookPanel .jp-KernelName", timeout=60_000)


def go_on_after_death(opened: Lab) -> None:
    """Takes JupyterLab's word that the kernel died, waits for the new one and runs the cell again."""
    page = opened.page
    button = page.locator(".jp-Dialog button.jp-mod-accept")
    until(lambda: button.count() or "idle" in kernel_state(opened), 30, "a new kernel")
    if button.count():
        button.first.click()
    until(lambda: kernel_state(opened) == "idle", 30, "an idle kernel")
    opened.run_all(150)


def kernel_state(opened: Lab) -> str:
    """What the notebook's light says."""
    light = opened.page.locator(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator")
    return str(light.first.get_attribute("data-status"))
