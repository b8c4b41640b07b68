"""The evidence of an answer: memories whole, where they stand, and the claims that rest on them."""
from __future__ import annotations

from datetime import UTC, datetime

import pytest
from textual.widgets import Static

from tests.tui.conftest import LANGUAGES, SIZES, Make, Waiting, ask, begun, name_of, screen, snapshot, until
from tests.tui.scenes import HOSTILE, NARROW, about, at, click, plain, press, rows, said, still, talks
from twin.tui.composer import Composer
from twin.tui.evidence import Evidence
from twin.tui.exchange import Exchange
from twin.tui.pages import Picker
from twin.tui.quotes import Quotes
from twin.types import Conversation, Message, Recalled

QUESTION = "What if the gauge and the barometer disagree?"


def exchange(*memories: Recalled) -> Exchange:
    """A question that saw these."""
    made = Exchange(QUESTION)
    made.memories = list(memories)
    return made


def memory(number: int, text: str = "", *, conversation: str = "", message: str = "") -> Recalled:
    return Recalled((message or f"c{number}m0",), text or next(
        one.messages[0].text for one in talks() if one.id == f"c{number}"), 0.5, "words: gauge",
        conversation or f"c{number}", time=datetime(2026, 1 + number, 3, 12, tzinfo=UTC))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
async def test_evidence_looks_like_this(make: Make, size: tuple[int, int], language: str) -> None:
    app = make(language=language)
    app.twin.add(talks())
    app.twin.profile(language=language)
    async with app.run_test(size=size) as pilot:
        await at(pilot, "evidence", exchange(memory(1), memory(2)))
        snapshot(app, name_of("evidence", size, language))


async def test_f6_shows_each_memory_with_its_source_and_what_stands_around_it(make: Make) -> None:
    app = make("It rains [1].")
    app.twin.add(talks())
    async with app.run_test(size=NARROW) as pilot:
        await ask(pilot, QUESTION)
        await press(pilot, "f6")
        screened = app.screen
        assert isinstance(screened, Evidence)
        assert len(rows(app)) == len(screened.exchange.memories) > 0
        assert rows(app)[0].startswith("▪ [1]"), "the answer cites it"
        assert "cited in the answer" in about(app) and "Where it stands:" in about(app)
        assert "Station" in about(app) and "assistant: " in about(app)
        if len(rows(app)) > 1:
            await press(pilot, "down")
            assert "not cited" in about(app)
        await press(pilot, "escape")
        assert app.focused is app.chat.query_one(Composer)


async def test_claims_that_rest_on_a_memory_are_named_and_their_quotes_open(make: Make) -> None:
    app = make()
    app.twin.add(talks())
    app.twin.profile(language="en")
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "evidence", exchange(memory(1), memory(0)))
        assert "Claims of your profile" in about(app)
        await click(pilot, "Quotes of a claim")
        assert isinstance(app.screen, Picker), "there are several"
        await press(pilot, "1")
        assert isinstance(app.screen, Quotes)
        assert "confidence" in str(app.screen.query_one("#quotes", Static).content)


async def test_during_an_answer_the_words_are_there_and_the_rest_comes_later(make: Make) -> None:
    app = make(engine=Waiting(["one two three four five"]))
    app.twin.add(talks())
    async with app.run_test(size=NARROW) as pilot:
        await begun(pilot)
        app.query_one(Composer).text = QUESTION
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.chat.last and app.chat.last.memories))
        app.open("evidence", app.chat.last)
        await pilot.pause()
        assert rows(app) and "once the answer is written" in said(app)
        assert "Where it stands" not in about(app)
        app.background.stop()
        await still(pilot)


async def test_without_memories_it_says_where_they_come_from(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "evidence", exchange())
        assert "/import" in about(app) and not rows(app)


async def test_a_memory_whose_conversation_is_gone_keeps_its_words(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "evidence", exchange(memory(1, "I measured it.", conversation="gone")))
        assert "I measured it." in about(app) and "Where it stands" not in about(app)


async def test_memories_and_their_conversations_are_data(make: Make) -> None:
    app = make()
    app.twin.add([Conversation("h", (
        Message("h0", "user", HOSTILE), Message("h1", "other", HOSTILE, author=HOSTILE),
        Message("h2", "assistant", HOSTILE)), title=HOSTILE, source=HOSTILE)])
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "evidence", exchange(memory(0, HOSTILE * 30, conversation="h", message="h1")))
        assert plain(app)
        await press(pilot, "tab", "pagedown", "pagedown")
        assert plain(app) and "click=app.quit" in screen(app)
