"""What the terminal keeps, forgets and copies; commands completed by a key; marks below an answer for the mouse."""
from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static

from tests.tui.conftest import LANGUAGES, WIDE, Make, ask, begun, log, screen, until
from twin.archive import typed_in
from twin.desk import NOTES
from twin.errors import UsageError
from twin.tui.composer import Composer
from twin.tui.dialogs import Sure
from twin.tui.pages import Picker
from twin.types import Conversation, Message


async def test_a_remembered_text_is_recalled_by_the_next_question_and_can_be_taken_back(make: Make) -> None:
    app = make("Zinc.", "Unknown.")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/remember The watering can in the shed is made of zinc.")
        assert "Remembered as your own words" in log(app)
        stored = [one for chat, one in app.twin.archive.messages(own=True) if chat == typed_in(NOTES)]
        assert [one.text for one in stored] == ["The watering can in the shed is made of zinc."]
        await ask(pilot, "What is the watering can in the shed made of?")
        assert any("made of zinc" in one.text for one in app.chat.last.memories)
        await ask(pilot, f"/forget {stored[0].id}")
        for _ in range(2):
            await until(pilot, lambda: isinstance(app.screen, Sure))
            await pilot.press("y")
            await pilot.pause()
        await begun(pilot)
        assert "0 after" in log(app)
        assert not [one for chat, one in app.twin.archive.messages(own=True) if chat == typed_in(NOTES)]


@pytest.mark.parametrize(("off", "on"), [("/remember off", "/remember on"), ("/запомнить выкл", "/запомнить вкл")])
async def test_typed_words_are_kept_or_not(make: Make, off: str, on: str) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, off)
        assert not app.twin.keeps_typed
        await ask(pilot, "/remember")
        assert "is not kept" in log(app)
        await ask(pilot, on)
        assert app.twin.keeps_typed


async def test_a_no_forgets_nothing_and_what_is_not_there_is_said(make: Make) -> None:
    app = make("a")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
        await ask(pilot, "/forget twin")
        await until(pilot, lambda: isinstance(app.screen, Sure))
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen is app.chat, "Enter at once is no"
        assert len(app.twin.archive.turns()) == 1
        with pytest.raises(UsageError):
            app.twin.archive.select("nothing of that name")
        await ask(pilot, "/forget nothing of that name")
        assert app.screen is app.chat
        await ask(pilot, "/forget")
        assert isinstance(app.screen, Picker) and "twin" in screen(app)


@pytest.mark.parametrize("how", ["f5", "/copy", "/копия"])
async def test_the_answer_is_copied(make: Make, how: str) -> None:
    app = make("**Zinc**, and nothing else.")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "What is it made of?")
        await pilot.press(how) if how == "f5" else await ask(pilot, how)
        assert app.clipboard == "**Zinc**, and nothing else."


async def test_a_mark_means_the_answer_it_stands_under(make: Make) -> None:
    app = make("First.", "Second.")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "One?")
        await ask(pilot, "Two?")
        await pilot.click(app.chat.log_.exchanges[0].query_one(".marks", Static), offset=(1, 0))
        await until(pilot, lambda: bool(app.clipboard))
        assert app.clipboard == "First."
        assert app.chat.answered().answer == "Second.", "a command means the last one again"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_slash_names_the_commands_and_tab_completes_one(make: Make, language: str) -> None:
    app = make(language=language)
    typed, whole = ("/нас", "/настройки ") if language == "ru" else ("/sett", "/settings ")
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        app.query_one(Composer).text = typed
        await pilot.pause()
        assert whole.strip() in screen(app).splitlines()[-1]
        await pilot.press("tab")
        await pilot.pause()
        assert app.query_one(Composer).text == whole
        app.query_one(Composer).text = "/qqq"
        await pilot.press("tab")
        assert app.query_one(Composer).text == "/qqq"


async def test_up_in_an_empty_field_brings_back_what_was_sent(make: Make) -> None:
    app = make("a", "b")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "One?")
        await ask(pilot, "Two?")
        await pilot.press("up")
        assert app.query_one(Composer).text == "Two?"
        await pilot.press("up")
        assert app.query_one(Composer).text == "One?"
        await pilot.press("down", "down")
        assert app.query_one(Composer).text == ""
        await pilot.press("x", "up")
        assert app.query_one(Composer).text == "x", "what one writes oneself is not lost"


async def test_export_takes_a_format_a_level_and_a_place_and_lists_the_formats(make: Make, own_home: Path) -> None:
    app = make(language="ru")
    app.twin.add([Conversation("c", (Message("m", "user", "Сначала измерим давление, потом решим."),))])
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, f"/экспорт plain публично {own_home.parent / 'mine.txt'}")
        assert "level=public" in (own_home.parent / "mine.txt").read_text("utf-8")
        await ask(pilot, "/экспорт ?")
        assert isinstance(app.screen, Picker)
        assert "карточка персонажа" in screen(app)
        await pilot.press("2")
        await begun(pilot)
        assert "level=private" in (own_home / "exports" / "prompt.txt").read_text("utf-8")


async def test_claims_from_outside_are_answered_one_by_one_and_esc_leaves_them(make: Make) -> None:
    app = make()
    twin = app.twin
    for said in ("Decides by a [b]prototype[/b].", "Distrusts round numbers.", "Draws first."):
        twin.propose_claim(said, origin="a program")
    async with app.run_test(size=WIDE) as pilot:
        for keys in (("1", "1"), ("1", "2"), ("1", "escape"), ("escape",)):
            await ask(pilot, "/claims")
            assert isinstance(app.screen, Picker)
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            await begun(pilot)
        assert [one.claim.text for one in twin.waiting_claims()] == ["Draws first."]
        assert {one.state for one in twin.archive.carried(None)} == {"accepted", "refused", "waiting"}
        assert "Decides by a [b]prototype[/b]." in [claim.text for claim in twin.profile().claims]
        twin.refuse_claim(twin.waiting_claims()[0].number)
        await ask(pilot, "/claims")
        assert "No claim from outside waits" in log(app)
