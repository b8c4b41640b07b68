"""How the terminal opens: at once, before the twin is; what is typed too early waits; what cannot be opened is said."""
from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.tui.conftest import PATIENCE_S, WIDE, Make, answer, ask, begun, clean, screen, until
from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import HomeTooNew
from twin.home import Home
from twin.tui import look
from twin.tui.app import TwinApp
from twin.tui.composer import Composer


async def test_the_first_paint_needs_no_twin_and_what_is_sent_before_it_is_answered(own_home: Path) -> None:
    free = threading.Event()

    def opens() -> Twin:
        assert free.wait(PATIENCE_S)
        return Twin(Home(own_home), engine=ScriptedEngine(["Here I am."]), catalog=Catalog(own_home / "none"))

    app = TwinApp(opens, Home(own_home))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "opening" in screen(app))
        app.query_one(Composer).text = "Are you there?"
        await pilot.press("enter", "f9", "ctrl+s", "f2", "escape")
        assert "your question waits" in screen(app)
        free.set()
        await until(pilot, lambda: bool(app.query("Exchange")))
        await begun(pilot)
        assert answer(app) == "Here I am."
    app.twin.close()


async def test_a_home_that_cannot_be_opened_ends_the_terminal_with_the_reason(own_home: Path) -> None:
    def opens() -> Twin:
        raise HomeTooNew("The home is of a newer version.", "Update.")

    app = TwinApp(opens, Home(own_home))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: app.refused is not None)
    assert str(app.refused) == "The home is of a newer version. Update."
    assert not app.ready


async def test_language_and_theme_of_the_last_time_are_there_at_the_first_paint(make: Make, own_home: Path) -> None:
    app = make(language="ru")
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        app.theme = "nord"
        await pilot.pause()
    free = threading.Event()

    def opens() -> Twin:
        assert free.wait(PATIENCE_S)
        return app.twin

    again = TwinApp(opens, Home(own_home))
    async with again.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "Спросите на любом языке" in screen(again))
        assert again.theme == "nord" and "открывается" in screen(again)
        free.set()
        await begun(pilot)


def test_a_look_that_is_no_json_is_no_look(tmp_path: Path) -> None:
    (tmp_path / look.NAME).write_text("[1", "utf-8")
    assert look.last(tmp_path) == {}
    look.keep(tmp_path / "not there", {"theme": "nord"})
    assert not (tmp_path / "not there").exists()


async def test_on_a_home_with_nothing_the_first_run_opens_by_itself_and_only_there(make: Make) -> None:
    app = make("a", fresh=True)
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        await until(pilot, lambda: type(app.screen).__name__ == "FirstRun")
    home = make("a")
    async with home.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
    again = make(fresh=True)
    async with again.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert again.screen is again.chat, "somebody who asked before is at home"


def test_nothing_of_a_twin_is_imported_before_the_first_paint() -> None:
    """Half a second of imports would stand between the person and the screen."""
    heavy = ["twin.chat", "twin.archive", "twin.roles", "pydantic", "numpy", "twin.tui.settings", "twin.tui.first",
             "twin.tui.commands"]
    script = f"import sys, twin.tui.app; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["/settings", "/профиль", "/roles", "/proposals", "/импорт", "/cores", "/chats",
                                     "/help", "/first"])
async def test_every_door_leads_to_a_screen_that_esc_leaves(make: Make, command: str) -> None:
    app = make("a")
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        app.query_one(Composer).text = command
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not app.chat)
        await begun(pilot)
        assert clean(app)
        await pilot.press("escape")
        await begun(pilot)
        assert app.screen is app.chat
        assert app.query_one(Composer).has_focus, "one can go on writing"
