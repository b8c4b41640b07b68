"""What the tests of the screens stand on: a machine of fixed size, homes with something in them, screens opened and
waited for."""
from __future__ import annotations

from datetime import UTC, datetime

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Static

from tests.tui.conftest import CONTROL, Make, begun, screen, until
from twin import machine
from twin.tui.app import TwinApp
from twin.tui.shelf import Rows
from twin.types import Conversation, Message

HOSTILE = ("[/] [$error]x [@click=app.quit]y[/] \x1b[31m\u202e\x00\x9b2J [link=file:///etc/passwd]z[/] <b>b</b> "
           "![i](x:y)")
NARROW = (80, 24)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine is this one: 16 GB, four processors, no card."""
    monkeypatch.setattr(machine, "memory_bytes", lambda: 16_000_000_000)
    monkeypatch.setattr("twin.cores.memory_bytes", lambda: 16_000_000_000)
    monkeypatch.setattr(machine, "processors", lambda: 4)
    monkeypatch.setattr(machine, "nvidia_cards", lambda: ())


def talks() -> list[Conversation]:
    """A few conversations with what a profile can see in them."""
    asked = [
        ("How do I install the rain gauge?", "Why does it stop at night?"),
        ("What if the gauge and the barometer disagree: which of them do I trust, and what would prove it?",
         "I measured 12 mm, the airfield says 9 mm."),
        ("How do I make two gauges work together?", "I prefer screws, because glue fails in frost."),
        ("What would a station need in order to judge its own readings without marking its own homework?",
         "I measured 4 hPa more than the airfield, in 3 of 5 nights."),
        ("How should I arrange the whole station so that one broken part never stops the rest?",
         "What if it rains: which part fails first, and why?")]
    return [Conversation(f"c{number}", tuple(
        Message(f"c{number}m{place}", "user" if place % 2 == 0 else "assistant", text, time=_day(number, place))
        for place, text in enumerate((first, "Like this.", second, "I see."))),
        title=f"Station {number}", source="chat") for number, (first, second) in enumerate(asked)]


def _day(number: int, place: int) -> datetime:
    return datetime(2026, 1 + number, 3, 12, place, tzinfo=UTC)


async def still(pilot: Pilot[None]) -> None:
    """Wait until what was begun on this screen is done and drawn; a tree of folders goes on reading for ever."""
    app = pilot.app
    assert isinstance(app, TwinApp)
    await pilot.pause()
    await until(pilot, lambda: not app.background.busy)
    await pilot.pause()
    await pilot.pause()


async def at(pilot: Pilot[None], name: str, *given: object) -> None:
    """Open a screen and wait for what it reads."""
    app = pilot.app
    assert isinstance(app, TwinApp)
    await begun(pilot)
    app.open(name, *given)
    await still(pilot)


async def press(pilot: Pilot[None], *keys: str) -> None:
    """Keys, one after the other, each waited for."""
    for key in keys:
        await pilot.press(key)
        await still(pilot)


async def type_in(pilot: Pilot[None], text: str) -> None:
    """Letters into whatever has the focus."""
    for letter in text:
        await pilot.press({" ": "space", "-": "minus", "/": "slash", ".": "full_stop"}.get(letter, letter))
    await still(pilot)


async def click(pilot: Pilot[None], text: str) -> None:
    """A click on the first place where this stands on the screen."""
    rows = screen(pilot.app).split("\n")
    y = next((y for y, row in enumerate(rows) if text in row), -1)
    assert y >= 0, f"{text!r} is not on the screen:\n" + "\n".join(rows)
    await pilot.click(offset=(rows[y].index(text) + 1, y))
    await still(pilot)


def about(app: App[None]) -> str:
    """What is said of the chosen thing, whole."""
    return str(app.screen.query_one(".about", Static).content)


def said(app: App[None]) -> str:
    """The line above the keys."""
    return str(app.screen.query_one("#said", Static).content)


def rows(app: App[None]) -> list[str]:
    """The rows of the list, whole."""
    return [str(option.prompt) for option in app.screen.query_one(Rows).options]


def plain(app: App[None]) -> bool:
    """Nothing on the screen is a control character, a live link, or an action that a text asked for."""
    assert not CONTROL.search(screen(app))
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            assert not (segment.style and segment.style.link)
            asked = str(segment.style.meta.get("@click", "")) if segment.style else ""
            assert not asked or asked.startswith("app.simulate_key("), asked
    return True


def listed(app: App[None]) -> Rows:
    """The list of the screen."""
    found: Rows = app.screen.query_one(Rows)
    return found


__all__ = ["HOSTILE", "NARROW", "Make", "about", "at", "click", "desk", "listed", "plain", "press", "rows", "said",
           "still", "talks", "type_in"]
