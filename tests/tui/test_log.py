"""A long conversation in the terminal: a window of it is drawn, what is read stays in its place, nothing grows."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import Make, answer, ask, begun, screen, until
from twin.archive import rows
from twin.chat import Twin
from twin.tui.log import DRAWN, MOST, Log
from twin.types import Route, Turn, Usage

CHAT = "long"


def fill(twin: Twin, turns: int) -> None:
    """A conversation of so many turns."""
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    made = [Turn(f"t{n}", CHAT, f"Question {n}?", f"Answer {n}.\n\nA second paragraph.", Route("critic", {}, "so"),
                 "answered", "scripted", "0", usage=Usage(generated=5), time=begin + timedelta(minutes=n))
            for n in range(turns)]
    with twin.archive._writing("turns") as db:
        for turn in made:
            columns = rows.columns(turn)
            marks = ", ".join("?" * len(columns))
            db.execute(f"INSERT INTO turns ({', '.join(columns)}) VALUES ({marks})", list(columns.values()))  # noqa: S608


def drawn(log: Log) -> list[str]:
    return [exchange.question for exchange in log.exchanges]


async def opened(pilot: Pilot[None], turns: int) -> Log:
    app = pilot.app
    fill(app.twin, turns)  # type: ignore[attr-defined]
    app.twin.set_face("idle", "off")  # type: ignore[attr-defined]
    await begun(pilot)
    app.chat.resume(CHAT)  # type: ignore[attr-defined]
    await begun(pilot)
    log: Log = app.chat.log_  # type: ignore[attr-defined]
    return log


async def test_the_end_of_a_long_conversation_is_drawn_and_says_how_much_is_before(make: Make) -> None:
    app = make("The newest.")
    async with app.run_test(size=(100, 30)) as pilot:
        log = await opened(pilot, 200)
        assert drawn(log) == [f"Question {n}?" for n in range(200 - DRAWN, 200)]
        assert "Answer 199." in screen(app)
        assert f"{200 - DRAWN} earlier" in str(log.query(".more").first().render())
        await ask(pilot, "And now?")
        assert answer(app) == "The newest."
        assert len(app.twin.archive.turns(CHAT)) == 201, "it is gone on with"


async def test_page_up_goes_through_all_of_it_and_no_more_than_a_window_is_drawn(make: Make) -> None:
    app = make("The newest.")
    async with app.run_test(size=(100, 30)) as pilot:
        log = await opened(pilot, 3 * MOST)
        seen: set[str] = set(drawn(log))
        for _ in range(12 * MOST):
            await pilot.press("pageup")
            await until(pilot, lambda: not log._moving)
            seen |= set(drawn(log))
            assert len(log.exchanges) <= MOST + DRAWN
            if "Question 0?" in screen(app):
                break
        assert seen == {f"Question {n}?" for n in range(3 * MOST)}
        assert len(log.exchanges) <= MOST
        assert "later" in str(log.query(".more").last().render())
        await pilot.press("ctrl+end")
        await begun(pilot)
        assert f"Answer {3 * MOST - 1}." in screen(app)
        await ask(pilot, "And now?")
        assert "The newest." in screen(app)


async def test_what_is_read_stays_where_it_is_while_earlier_ones_are_drawn(make: Make) -> None:
    app = make()
    async with app.run_test(size=(100, 30)) as pilot:
        log = await opened(pilot, 200)
        log.scroll_home(animate=False)
        await until(pilot, lambda: len(log.exchanges) == 2 * DRAWN)
        await begun(pilot)
        first = f"Question {200 - DRAWN}?"
        rows_ = [number for number, row in enumerate(screen(app).splitlines()) if first in row]
        assert rows_ and rows_[0] <= 4, "the question that stood at the top stands there still"
        assert f"Question {200 - DRAWN - 1}?" in drawn(log)


async def test_a_click_on_how_much_is_earlier_brings_it(make: Make) -> None:
    app = make()
    async with app.run_test(size=(100, 200)) as pilot:
        log = await opened(pilot, DRAWN + 3)
        assert len(log.exchanges) == DRAWN, "all of them have room, so nothing scrolls"
        await pilot.click(log.query(".more").first())
        await until(pilot, lambda: len(log.exchanges) == DRAWN + 3)
        await begun(pilot)
        assert not log.query(".more").first().display


@pytest.mark.parametrize("turns", [1, DRAWN])
async def test_a_short_conversation_is_drawn_whole(make: Make, turns: int) -> None:
    app = make()
    async with app.run_test(size=(100, 30)) as pilot:
        log = await opened(pilot, turns)
        assert len(log.exchanges) == turns
        assert not log.query(".more").first().display
