"""The list of conversations in the terminal: searched, gone on with, forgotten."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from tests.tui.conftest import LANGUAGES, SIZES, WIDE, Make, ask, begun, clean, log, name_of, screen, snapshot, until
from twin.chat import Twin
from twin.tui.app import TwinApp
from twin.tui.chats import Chats
from twin.tui.dialogs import Sure
from twin.tui.exchange import Exchange
from twin.types import Route, Turn

ASKED = {"garden": ["When do I sow peas?", "How deep?"], "roof": ["Почему мой барометр врёт?"],
         "letter": ["Write to the airfield about the [b]rooftop[/b] barometer, please, and be as polite as they are"]}


def fill(twin: Twin) -> None:
    """Three conversations, days apart."""
    time = datetime(2025, 3, 1, 9, 30, tzinfo=UTC)
    for chat, questions in ASKED.items():
        for number, question in enumerate(questions):
            time += timedelta(days=1)
            twin.archive.save_turn(Turn(f"{chat}{number}", chat, question, f"About {chat}.", Route("critic", {}, "so"),
                                        "answered", "scripted", "0", time=time), own=True)


async def opened(pilot: Pilot[None]) -> TwinApp:
    app = pilot.app
    assert isinstance(app, TwinApp)
    fill(app.twin)
    await begun(pilot)
    await pilot.press("ctrl+s")
    await pilot.pause()
    assert isinstance(app.screen, Chats)
    return app


def listed(app: TwinApp) -> list[str | None]:
    return [one.id for one in app.screen.query_one(OptionList).options]


async def test_the_newest_is_first_and_enter_goes_on_with_the_marked_one(make: Make) -> None:
    async with make("It is.").run_test(size=WIDE) as pilot:
        app = await opened(pilot)
        assert listed(app) == ["letter", "roof", "garden"]
        assert "2025-03-03" in screen(app) and "2 questions" in screen(app)
        await pilot.press("down", "down", "enter")
        await begun(pilot)
        assert not isinstance(app.screen, Chats)
        assert [one.question for one in app.query(Exchange)] == ASKED["garden"]
        assert app.twin.conversation == "garden"
        await ask(pilot, "Is it warm enough?")
        assert [turn.question for turn in app.twin.archive.turns("garden")][-1] == "Is it warm enough?"


async def test_letters_search_in_either_language(make: Make) -> None:
    async with make().run_test(size=WIDE) as pilot:
        app = await opened(pilot)
        await pilot.press(*"peas")
        assert listed(app) == ["garden"]
        app.screen.query_one(Input).value = "БАРОМЕТР мой"
        await pilot.pause()
        assert listed(app) == ["roof"]
        app.screen.query_one(Input).value = "elephant"
        await pilot.pause()
        assert listed(app) == []
        assert "No conversation has these words." in screen(app)
        await pilot.press("enter", "up", "down", "ctrl+d")
        assert isinstance(app.screen, Chats), "keys with nothing marked do nothing"


async def test_a_click_goes_on_with_a_conversation(make: Make) -> None:
    async with make().run_test(size=WIDE) as pilot:
        app = await opened(pilot)
        await pilot.click(OptionList, offset=(30, 1))
        await begun(pilot)
        assert [one.question for one in app.query(Exchange)] == ASKED["roof"]


async def test_esc_goes_back_and_ctrl_n_begins_a_new_one(make: Make) -> None:
    async with make("a").run_test(size=WIDE) as pilot:
        app = await opened(pilot)
        before = app.chat.conversation
        await pilot.press("escape")
        assert app.screen is app.chat and app.chat.conversation == before
        await pilot.press("ctrl+s")
        await pilot.press("ctrl+n")
        await begun(pilot)
        assert app.screen is app.chat and app.chat.conversation not in (before, *ASKED)


async def test_a_conversation_is_forgotten_after_two_yes_and_the_proof_is_shown(make: Make) -> None:
    async with make().run_test(size=WIDE) as pilot:
        app = await opened(pilot)
        await pilot.press("down", "down", "ctrl+d")
        await until(pilot, lambda: isinstance(app.screen, Sure))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, Sure) and "cannot be undone" in screen(app))
        assert len(app.twin.archive.turns("garden")) == 2, "one yes is not enough"
        await pilot.press("y")
        await begun(pilot)
        assert app.twin.archive.turns("garden") == []
        assert "Forgotten: 2 messages" in log(app) and "traces before, 0 after" in log(app)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert listed(app) == ["letter", "roof"]


async def test_before_the_first_question_the_list_says_how_to_begin(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert "Nothing was asked yet" in screen(app)
        await pilot.press("enter", "escape")
        assert app.screen is app.chat


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_list_looks_so(make: Make, size: tuple[int, int], language: str) -> None:
    async with make(language=language).run_test(size=size) as pilot:
        app = await opened(pilot)
        assert clean(app)
        snapshot(app, name_of("chats", size, language))
