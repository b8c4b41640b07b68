"""The profile on a screen: its parts, every claim with its quotes, and the person's last word."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from textual.widgets import Input, Static

from tests.tui.conftest import LANGUAGES, SIZES, Make, name_of, screen, snapshot
from tests.tui.scenes import HOSTILE, NARROW, about, at, click, listed, plain, press, rows, said, talks
from twin.chat import Twin
from twin.errors import ModelMissing
from twin.reader import Cost
from twin.tui.app import TwinApp
from twin.tui.dialogs import OneLine, Sure
from twin.tui.imports import Imports
from twin.tui.profile import ProfileScreen
from twin.tui.quotes import Quotes
from twin.tui.versions import Versions
from twin.types import Conversation, Message


@pytest.fixture
def somebody(make: Make) -> Callable[..., TwinApp]:
    """Apps on the twin of somebody who wrote a little."""
    def app(**how: Any) -> TwinApp:
        made = make(**how)
        made.twin.add(talks())
        return made

    return app


def first_claim(app: TwinApp) -> int:
    """The row of the first claim."""
    screened = app.screen
    assert isinstance(screened, ProfileScreen)
    return next(at for at, thing in enumerate(screened.things) if thing.claim is not None)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
async def test_a_profile_looks_like_this(somebody: Callable[..., TwinApp], size: tuple[int, int],
                                         language: str) -> None:
    app = somebody(language=language)
    async with app.run_test(size=size) as pilot:
        await at(pilot, "profile")
        snapshot(app, name_of("profile", size, language))
        await press(pilot, "down")
        snapshot(app, name_of("profile-levels", size, language))
        listed(app).highlighted = first_claim(app)
        await press(pilot)
        await pilot.pause()
        snapshot(app, name_of("profile-claim", size, language))


async def test_parts_come_first_and_each_is_told_in_the_language_of_the_face(somebody: Callable[..., TwinApp]) -> None:
    app = somebody(language="ru")
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        assert "Где стоят твои вопросы" in rows(app)[0]
        await press(pilot, "down")
        assert "Как это установить?" in about(app), "the typical question of the first level"


async def test_a_claim_is_approved_pinned_reworded_rejected_and_that_is_undone(
        somebody: Callable[..., TwinApp]) -> None:
    app = somebody()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        place = first_claim(app)
        await press(pilot, *["down"] * place)
        thing = app.screen.chosen
        name = thing.claim.id

        def decided() -> list[str]:
            return [one.action for one in app.twin.person.decided(name)]

        await press(pilot, "a")
        assert decided() == ["approve"] and "✓" in rows(app)[place]
        await press(pilot, "u")
        assert decided() == [] and "taken back" in said(app)
        await click(pilot, "p Pin")
        assert decided() == ["pin"] and "comes first" in said(app)
        await press(pilot, "e")
        assert isinstance(app.screen, OneLine)
        app.screen.query_one(Input).value = "I always ask what would prove it."
        await press(pilot, "enter")
        assert decided() == ["pin", "edit"]
        assert any("I always ask what would prove it." in row for row in rows(app))
        await press(pilot, "r")
        assert decided()[-1] == "reject" and not any("what would prove it." in row for row in rows(app)[:place + 1])
        await press(pilot, "u")
        assert decided() == ["pin", "edit"], "what is not on the screen any more can be taken back too"


async def test_a_russian_keyboard_has_the_same_keys(somebody: Callable[..., TwinApp]) -> None:
    app = somebody(language="ru")
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        await press(pilot, *["down"] * first_claim(app))
        name = app.screen.chosen.claim.id
        await press(pilot, "ф")
        assert [one.action for one in app.twin.person.decided(name)] == ["approve"]


async def test_quotes_stand_in_their_context(somebody: Callable[..., TwinApp]) -> None:
    app = somebody()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        await press(pilot, *["down"] * first_claim(app), "enter")
        assert isinstance(app.screen, Quotes)
        told = str(app.screen.query_one("#quotes", Static).content)
        assert "assistant: Like this." in told or "assistant: I see." in told
        await press(pilot, "escape")
        assert isinstance(app.screen, ProfileScreen)


async def test_versions_say_what_became_different(somebody: Callable[..., TwinApp],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    app = somebody()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        await press(pilot, *["down"] * first_claim(app), "a", "v")
        assert isinstance(app.screen, Versions)
        assert len(rows(app)) == 2
        assert "inferred -> approved by you" in " ".join(about(app).split())
        await press(pilot, "down")
        assert "first one" in about(app)


async def test_every_quote_is_checked_against_what_is_stored(somebody: Callable[..., TwinApp]) -> None:
    app = somebody()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        await press(pilot, "c")
        assert "all stand as they were kept" in said(app)
        app.twin.add([replace(one, messages=tuple(replace(m, text="Other words.") for m in one.messages))
                      for one in talks()])
        await press(pilot, "c")
        assert "do not stand" in said(app)


async def test_with_nothing_there_it_says_what_to_do_and_opens_the_import(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        assert "Press i to import" in about(app)
        assert "Approve" not in screen(app)
        await press(pilot, "i")
        assert isinstance(app.screen, Imports)
        app.twin.add(talks())
        await press(pilot, "escape")
        assert rows(app), "back from the import the profile is there"


async def test_the_core_reads_after_its_price_was_told(somebody: Callable[..., TwinApp],
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = Twin.profile

    def profile(self: Twin, *, read: int = 0, **rest: Any) -> Any:
        seen.append(read)
        return whole(self, **rest)

    seen = read
    monkeypatch.setattr(Twin, "cost", lambda *_: Cost(7, 2, 12_345, 200.0))
    monkeypatch.setattr(Twin, "profile", profile)
    app = somebody()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        await press(pilot, "k")
        assert isinstance(app.screen, Sure)
        assert "7 messages, 12,345 tokens, about 3 min" in screen(app)
        await press(pilot, "escape")
        assert not any(read)
        await press(pilot, "k", "y")
        assert read[-1] == 40


async def test_without_a_core_reading_says_how_to_get_one(somebody: Callable[..., TwinApp]) -> None:
    app = somebody(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        await press(pilot, "k")
        assert "/cores" in said(app)


async def test_an_error_is_a_line_and_the_screen_goes_on(somebody: Callable[..., TwinApp],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ModelMissing("There is no core.", "Fetch one.")

    monkeypatch.setattr(Twin, "cost", missing)
    app = somebody()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        await press(pilot, "k")
        assert "Fetch one." in said(app)
        await press(pilot, "down", "down")
        assert about(app)


async def test_what_somebody_wrote_is_data(make: Make) -> None:
    app = make()
    app.twin.add([Conversation(f"{HOSTILE}{number}", (
        Message(f"m{number}", "user", f"What if pump {number} fails: which part do I trust, and what would prove it? "
                f"I measured {number} hPa. I never buy {HOSTILE} in spring.",
                time=datetime(2026, 1, 1 + number, tzinfo=UTC)),
        Message(f"n{number}", "assistant", HOSTILE)), title=HOSTILE) for number in range(4)])
    async with app.run_test(size=(120, 40)) as pilot:
        await at(pilot, "profile")
        for _ in range(len(rows(app))):
            assert plain(app)
            await press(pilot, "down")
        await press(pilot, "home", *["down"] * first_claim(app), "w")
        assert isinstance(app.screen, Quotes) and plain(app)
        await press(pilot, "escape", "e")
        app.screen.query_one(Input).value = HOSTILE
        await press(pilot, "enter")
        assert plain(app)
        await press(pilot, "v")
        assert plain(app)


async def test_it_speaks_the_other_language_at_once(somebody: Callable[..., TwinApp]) -> None:
    app = somebody()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "profile")
        app.speak("ru")
        await press(pilot)
        await pilot.pause()
        assert "Где стоят твои вопросы" in screen(app) and "Версии" in screen(app)
