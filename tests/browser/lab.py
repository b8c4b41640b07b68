"""A real JupyterLab in a child process, and a page of it in the system's Chromium: what a person sees and clicks.

The notebooks are copied, so nothing is written beside them; settings, history and sockets stay in a spare folder.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).parent.parent.parent
SHOTS = ROOT / "build" / "browser"
PATIENCE_S = 300.0
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
_FLAGS = ("--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=",
          "--ServerApp.disable_check_xsrf=True", "--LabApp.news_url=None")
_SETTINGS = {"@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
             "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"}}  # every cell stays in the page


def chromium() -> str:
    """The browser of this system. A missing one is a failure: nothing else shows what a person sees."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "there is no Chromium: `apt-get install chromium`, or put yours on the PATH as `chromium`"
    return found


@dataclass(frozen=True)
class Lab:
    """A JupyterLab that runs: its address, and the folder it shows."""

    url: str
    folder: Path


@contextmanager
def running(spare: Path, **environment: str) -> Iterator[Lab]:
    """JupyterLab on a copy of the notebooks, until the end of the block."""
    folder = spare / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    own = {name: str(spare / name.lower()) for name in (
        "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR", "TWIN_HOME")}
    for name, settings in _SETTINGS.items():
        path = Path(own["JUPYTERLAB_SETTINGS_DIR"]) / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings), "utf-8")
    log = spare / "lab.log"
    with log.open("w", encoding="utf-8") as told:
        child = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *_FLAGS, f"--ServerApp.root_dir={folder}"], stdout=told, stderr=told,
            env={**os.environ, **own, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
                 "PYDEVD_DISABLE_FILE_VALIDATION": "1", "TWIN_LANG": "en", **environment})
        try:
            yield Lab(_address(child, Path(own["JUPYTER_RUNTIME_DIR"]), log), folder)
        finally:
            child.terminate()
            child.wait(60)


def _address(child: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    """Where the server listens, as it says itself once it does."""
    end = monotonic() + PATIENCE_S
    while not (told := list(runtime.glob("jpserver-*.json"))):
        assert child.poll() is None, log.read_text("utf-8")
        assert monotonic() < end, "JupyterLab did not come up"
        sleep(0.1)
    url: str = json.loads(told[0].read_text("utf-8"))["url"]
    return url


class Notebook:
    """One notebook, open in the browser."""

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self.page, self.name = page, name
        self.asked_for: set[str] = set()  # hosts of everything the page fetched
        page.on("request", lambda request: self.asked_for.add(urlsplit(request.url).hostname or ""))
        page.goto(f"{lab.url}lab/tree/{name}?reset")
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        expect(self.panel.locator(".jp-Cell").first).to_be_visible()
        expect(page.locator("#jp-main-statusbar").get_by_text("| Idle")).to_be_visible()  # its kernel is there

    def run_all(self, patience_s: float = PATIENCE_S) -> None:
        """Run > Run All Cells; returns when no cell waits or runs any more."""
        self.begin_all()
        self.rest(patience_s)

    def rest(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until every cell has run."""
        expect(self.prompts.filter(has_text=re.compile(r"\[[ *]?\]"))).to_have_count(0, timeout=patience_s * 1000)

    def begin_all(self) -> None:
        """Run > Run All Cells, without waiting for the end."""
        self._menu("Run", "Run All Cells")

    def run_again(self, source: str) -> None:
        """Run the cell with these words once more, and wait for its end."""
        prompt = self.cell(source).locator(".jp-InputPrompt")
        before = prompt.inner_text()
        self.cell(source).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        expect(prompt).not_to_have_text(before)
        self.rest()

    def _menu(self, menu: str, item: str) -> None:
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        self.page.locator(".lm-Menu-item").get_by_text(item, exact=True).click()

    @property
    def prompts(self) -> Locator:
        """What stands left of the code cells: [ ], [*] while one waits or runs, [7]."""
        return self.panel.locator(".jp-CodeCell .jp-InputPrompt")

    def cell(self, source: str) -> Locator:
        """The first code cell with these words in its source."""
        cells = self.panel.locator(".jp-CodeCell")
        return cells.filter(has=self.page.locator(".jp-InputArea").filter(has_text=source)).first

    @property
    def errors(self) -> Locator:
        """Tracebacks and other red outputs."""
        return self.panel.locator('[data-mime-type="application/vnd.jupyter.error"]')

    def shot(self, name: str, of: Locator | None = None) -> None:
        """Keep a picture of the page, or of a part of it, under build/browser/."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        if of is None:
            self.page.screenshot(path=path)
            return
        box, size = of.bounding_box(), self.page.viewport_size
        assert box and size
        self.page.set_viewport_size({"width": size["width"], "height": max(size["height"], int(box["height"]) + 300)})
        of.scroll_into_view_if_needed()
        of.screenshot(path=path)
        self.page.set_viewport_size(size)


def written(folder: Path, name: str, *cells: str) -> str:
    """A notebook of these code cells in a folder; returns its name."""
    made: dict[str, Any] = {
        "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [{"cell_type": "code", "id": f"cell-{n}", "metadata": {}, "execution_count": None, "outputs": [],
                   "source": source} for n, source in enumerate(cells)]}
    (folder / name).write_text(json.dumps(made), "utf-8")
    return name
