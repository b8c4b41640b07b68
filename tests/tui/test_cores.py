"""The screen of cores: what there is, what suits, fetching with a bar that can be stopped, and using."""
from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, ProgressBar

from tests.tui.conftest import LANGUAGES, SIZES, Make, name_of, screen, snapshot, until
from tests.tui.scenes import NARROW, about, at, click, desk, plain, press, rows, said, still, type_in  # noqa: F401
from twin.chat import Twin
from twin.tui.cores import Cores
from twin.tui.dialogs import OneLine, Sure
from twin.types import Progress

pytestmark = pytest.mark.usefixtures("desk")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
async def test_cores_look_like_this(make: Make, size: tuple[int, int], language: str) -> None:
    app = make(core=False, language=language)
    async with app.run_test(size=size) as pilot:
        await at(pilot, "cores")
        snapshot(app, name_of("cores", size, language))


async def test_each_core_says_its_size_memory_licence_and_whether_it_fits(make: Make) -> None:
    app = make(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "cores")
        first = app.twin.cores()[0]
        assert rows(app)[0].startswith(f"○ {first.name}") and "recommended" in rows(app)[0]
        assert f"{first.model.memory_gb:.2f} GB - fits" in about(app)
        assert first.model.licence in about(app)
        assert any("too large" in row for row in rows(app)), "what this machine cannot hold says so"
        await press(pilot, "down")
        assert app.twin.cores()[1].model.licence in about(app)


async def test_enter_asks_first_and_no_fetches_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twin, "fetch", lambda *_, **__: pytest.fail("nothing was asked for"))
    app = make(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "cores")
        await press(pilot, "enter")
        assert isinstance(app.screen, Sure)
        assert "GB are downloaded" in screen(app)
        await press(pilot, "escape")
        assert isinstance(app.screen, Cores)


def slowly(done: threading.Event, seen: list[str]) -> Callable[..., Path]:
    """A download that tells how far it is until it is stopped or let go."""
    def fetch(_: Twin, name: str, *, progress: Progress, say: Any = None) -> Path:
        for number in range(10_000):
            progress(f"{name}.gguf", min(number, 99), 100)
            if done.wait(0.005):
                seen.append(name)
                return Path(name)
        raise AssertionError("nobody stopped it")

    return fetch


async def test_a_download_shows_a_bar_and_is_used_when_it_is_here(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    done, seen = threading.Event(), list[str]()
    monkeypatch.setattr(Twin, "fetch", slowly(done, seen))
    monkeypatch.setattr(Twin, "use", lambda _, name: seen.append(f"use {name}"))
    app = make(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "cores")
        name = app.twin.cores()[0].name
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("y")
        bar = app.screen.query_one(ProgressBar) if isinstance(app.screen, Cores) else None
        await until(pilot, lambda: app.screen.query_one(ProgressBar).percentage is not None)
        bar = app.screen.query_one(ProgressBar)
        assert bar.display and f"{name}.gguf" in said(app)
        done.set()
        await still(pilot)
        assert seen == [name, f"use {name}"]
        assert "checked by its sha256" in said(app)
        assert not bar.display


async def test_esc_stops_a_download_which_can_go_on_later(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    done, seen = threading.Event(), list[str]()
    monkeypatch.setattr(Twin, "fetch", slowly(done, seen))
    app = make(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "cores")
        await pilot.press("enter")
        await pilot.pause()
        await click_yes(pilot)
        await until(pilot, lambda: ".gguf" in said(app))
        await pilot.press("escape")
        await until(pilot, lambda: not app.background.busy)
        await pilot.pause()
        assert isinstance(app.screen, Cores), "the first esc stops, it does not leave"
        assert "goes on from there" in said(app)
        assert not seen


async def click_yes(pilot: Any) -> None:
    """The mouse on the button of a question."""
    await pilot.click("#yes")


async def test_a_file_of_ones_own_is_used_where_it_lies_and_a_wrong_one_is_refused(make: Make, tmp_path: Path) -> None:
    app = make(core=False)
    file, page = tmp_path / "own.gguf", tmp_path / "page.gguf"
    file.write_bytes(b"GGUF" + bytes(60))
    page.write_bytes(b"<!doctype html>")
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "cores")
        for path, word in ((page, "web page"), (tmp_path / "none.gguf", "no model file"), (file, "next question")):
            await press(pilot, "g")
            assert isinstance(app.screen, OneLine)
            app.screen.query_one(Input).value = str(path)
            await press(pilot, "enter")
            assert word in " ".join(said(app).split())
        assert app.twin._chosen() == str(file)
        await click(pilot, "Let the machine choose")
        assert app.twin._chosen() is None


async def test_names_of_the_catalogue_are_data(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from tests.tui.scenes import HOSTILE

    app = make(core=False)
    whole = Twin.cores

    def hostile(self: Twin) -> list[Any]:
        return [replace(one, model=replace(one.model, name=HOSTILE, purpose=HOSTILE, licence=HOSTILE))
                for one in whole(self)]

    monkeypatch.setattr(Twin, "cores", hostile)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "cores")
        assert plain(app)
        await press(pilot, "enter")
        assert plain(app)
