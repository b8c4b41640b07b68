"""The first run: from nothing to a first answer by steps that can each be done or skipped."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from tests.tui.conftest import LANGUAGES, SIZES, Make, answer, begun, name_of, screen, snapshot, until
from tests.tui.scenes import HOSTILE, NARROW, about, at, click, desk, plain, press, rows, said, talks, type_in  # noqa: F401
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import FetchError
from twin.tui.composer import Composer
from twin.tui.cores import Cores
from twin.tui.dialogs import OneLine, Sure
from twin.tui.first import FirstRun
from twin.tui.imports import Imports
from twin.tui.profile import ProfileScreen

pytestmark = pytest.mark.usefixtures("desk")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
async def test_a_first_run_looks_like_this(make: Make, size: tuple[int, int], language: str) -> None:
    app = make(core=False, language=language)
    async with app.run_test(size=size) as pilot:
        await at(pilot, "first")
        snapshot(app, name_of("first", size, language))
        await press(pilot, "s")
        snapshot(app, name_of("first-import", size, language))


async def test_it_opens_by_itself_on_a_home_with_nothing_and_not_again(make: Make) -> None:
    app = make(core=False, fresh=True)
    async with app.run_test(size=NARROW) as pilot:
        await begun(pilot)
        await until(pilot, lambda: isinstance(app.screen, FirstRun))
        assert "qwen" in about(app) and "16.00 GB of memory" in " ".join(about(app).split())
        await press(pilot, "escape")
        assert app.screen is app.chat
    again = make(core=False, fresh=True)
    async with again.run_test(size=NARROW) as pilot:
        await begun(pilot)
        assert again.screen is again.chat, "who left once is not asked in again"


async def test_from_nothing_to_a_first_answer(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """All four steps, by keys: a core is fetched, something imported, the profile seen, a question asked."""
    app = make(core=False)

    def fetch(self: Twin, name: str, **_: Any) -> Path:
        self._engine, self._lent = ScriptedEngine(["It is the gauge."]), True
        return Path(name)

    monkeypatch.setattr(Twin, "fetch", fetch)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "first")
        await press(pilot, "enter")
        assert isinstance(app.screen, Sure)
        await press(pilot, "enter")
        assert "checked by its sha256" in said(app) and rows(app)[0].startswith("✓")
        await press(pilot, "enter")
        assert isinstance(app.screen, Imports), "the cursor went on to the next step"
        app.twin.add(talks())
        await press(pilot, "escape")
        assert "10 messages of your own are here" in rows(app)[1]
        await press(pilot, "enter")
        assert isinstance(app.screen, ProfileScreen)
        await press(pilot, "escape")
        assert rows(app)[2].startswith("✓")
        await press(pilot, "enter")
        assert isinstance(app.screen, OneLine)
        await type_in(pilot, "Which gauge is right")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.chat)
        await begun(pilot)
        assert answer(app) == "It is the gauge."
        assert [turn.question for turn in app.twin.archive.turns()] == ["Which gauge is right"]
        assert app.focused is app.chat.query_one(Composer)


async def test_every_step_can_be_skipped_and_after_the_last_one_comes_the_chat(make: Make) -> None:
    app = make(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "first")
        for number in range(4):
            assert app.screen.chosen.name == ("core", "import", "profile", "ask")[number]
            await press(pilot, "s")
        assert app.screen is app.chat


async def test_the_mouse_does_every_step(make: Make) -> None:
    app = make(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "first")
        await pilot.click("#other")
        await press(pilot)
        assert isinstance(app.screen, Cores)
        await click(pilot, "esc")
        await pilot.click("#do")
        await press(pilot)
        assert isinstance(app.screen, Sure)
        await click(pilot, "Not now")
        await pilot.click("#skip")
        await press(pilot)
        assert "skipped" in rows(app)[0]
        await click(pilot, "Bring my messages")
        assert isinstance(app.screen, Imports)


async def test_a_question_without_a_core_says_what_to_do_first(make: Make) -> None:
    app = make(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "first")
        await press(pilot, "end", "enter")
        assert isinstance(app.screen, FirstRun) and "first step fetches one" in said(app)


async def test_a_download_that_fails_is_told_and_the_step_is_still_there(make: Make,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_: Any, **__: Any) -> Path:
        raise FetchError(f"It could not be fetched. {HOSTILE}", "Try again later.", tried=(HOSTILE,))

    monkeypatch.setattr(Twin, "fetch", fetch)
    app = make(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "first")
        await press(pilot, "enter", "enter")
        assert "Try again later." in said(app) and plain(app)
        assert rows(app)[0].startswith("○")


async def test_it_speaks_the_other_language_at_once(make: Make) -> None:
    app = make(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "first")
        app.speak("ru")
        await press(pilot)
        assert "Знакомство с двойником" in screen(app) and "Пропустить" in screen(app)
        assert "Four steps" not in screen(app) and not app.screen.query(Input)
