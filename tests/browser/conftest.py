"""The browser and a JupyterLab, one for a module; a page for each test, with pictures of where it failed."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.browser import lab as labs
from tests.browser.lab import Lab, Notebook

Open = Callable[[str], Notebook]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless. Nothing is downloaded."""
    expect.set_options(timeout=labs.PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=labs.chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a copy of the notebooks; the core is SmolLM2 where a notebook brings none of its own."""
    with labs.running(tmp_path_factory.mktemp("lab"), TWIN_MODEL="smollm2-135m") as running:
        yield running


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A window of a laptop; when a test fails, what it saw is kept as build/browser/failed-NAME.png."""
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    made.set_default_timeout(labs.PATIENCE_S * 1000)
    failed = request.session.testsfailed
    yield made
    if request.session.testsfailed > failed and made.pages:
        labs.SHOTS.mkdir(parents=True, exist_ok=True)
        made.pages[0].screenshot(path=labs.SHOTS / f"failed-{request.node.name}.png")
    made.close()


@pytest.fixture
def opened(context: BrowserContext, lab: Lab) -> Open:
    """Opens a notebook of the lab's folder."""
    return lambda name: Notebook(context.new_page(), lab, name)


@pytest.fixture
def folder(lab: Lab) -> Path:
    """Where the lab's notebooks lie."""
    return lab.folder
