"""The settings of the terminal: each is changed by a key or a click, and is there the next time."""
from __future__ import annotations

import json

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.tui.conftest import LANGUAGES, SIZES, WIDE, Make, begun, clean, log, name_of, screen, snapshot, until
from twin.tui import look
from twin.tui.app import TwinApp
from twin.tui.settings import SettingsScreen


async def opened(pilot: Pilot[None], marked: str = "language") -> TwinApp:
    app = pilot.app
    assert isinstance(app, TwinApp)
    await begun(pilot)
    await pilot.press("f9")
    await pilot.pause()
    assert isinstance(app.screen, SettingsScreen)
    mark(app, marked)
    return app


def mark(app: TwinApp, name: str) -> None:
    listed = app.screen.query_one(OptionList)
    listed.highlighted = listed.get_option_index(name)


async def test_the_language_changes_at_once_on_every_screen_and_stays(make: Make) -> None:
    app = make("Critic says.")
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        app.open("help")
        await opened_over(pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert "Настройки" in screen(app) and "Язык" in screen(app) and "Назад" in screen(app)
        assert app.twin.language == "ru"
        await pilot.press("escape")
        await begun(pilot)
        assert app.screen is app.chat
        assert "Спросите на любом языке" in screen(app) and "помощь" in screen(app)
    again = make()
    async with again.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert "Спросите на любом языке" in screen(again)


async def test_roles_are_called_by_their_names_in_the_language_that_was_switched_to(make: Make) -> None:
    app = make("So be it.")
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert app.chat.titles["critic"] == "Critic"
        app.speak("ru")
        assert app.chat.titles["critic"] == "Критик"


async def opened_over(pilot: Pilot[None]) -> None:
    app = pilot.app
    await pilot.press("escape")
    await pilot.press("f9")
    await pilot.pause()
    assert isinstance(app.screen, SettingsScreen)


async def test_a_theme_is_tried_on_and_is_there_the_next_time(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "theme")
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press(*"nord")
        await until(pilot, lambda: "nord" in screen(app))
        await pilot.pause(0.2)
        await pilot.press("enter")
        await until(pilot, lambda: app.theme == "nord")
        assert app.twin.face("theme") == "nord"
    again = make()
    async with again.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert again.theme == "nord"
        assert look.last(again.twin.home.root)["theme"] == "nord", "and it is worn before the archive is open"


async def test_a_theme_that_is_no_more_is_no_matter(make: Make) -> None:
    app = make()
    app.twin.set_face("theme", "[/] no such theme")
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert app.theme == "textual-dark"


async def test_switches_are_switched_by_enter_and_by_a_click(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "typed")
        assert app.twin.keeps_typed
        await pilot.press("enter")
        assert not app.twin.keeps_typed
        mark(app, "idle")
        await pilot.press("enter")
        assert app.twin.face("idle") == "off"
        place = app.screen.query_one(OptionList).get_option_index("typed")
        await pilot.click(OptionList, offset=(5, place))
        await pilot.pause()
        assert app.twin.keeps_typed


async def test_a_key_is_mapped_by_pressing_it_and_given_back(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "key new")
        await pilot.press("enter", "ctrl+t")
        await pilot.pause()
        assert json.loads(app.twin.face("keys")) == {"new": "ctrl+t"}
        assert "ctrl+t" in screen(app)
        for refused in ("a", "f2", "ctrl+j"):
            mark(app, "key new")
            await pilot.press("enter", refused)
            await pilot.pause()
            assert json.loads(app.twin.face("keys")) == {"new": "ctrl+t"}
        mark(app, "key new")
        await pilot.press("enter", "escape")
        await pilot.press("delete")
        await pilot.pause()
        assert app.twin.face("keys") == ""
        assert app.key_of("new") == "ctrl+n"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_settings_look_so(make: Make, size: tuple[int, int], language: str) -> None:
    app = make(language=language)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        assert clean(app) and log(app) is not None
        snapshot(app, name_of("settings", size, language))
