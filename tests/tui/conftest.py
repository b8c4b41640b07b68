"""The terminal as a person uses it: keys into the real app, on a real Twin with a scripted core, text out."""
from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from textual.actions import parse
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Markdown, Static

from twin import machine
from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.home import Home
from twin.tui.app import TwinApp
from twin.tui.composer import Composer
from twin.tui.exchange import Exchange
from twin.types import Piece, Prompt, Sampling, never

WIDE = (100, 40)
SIZES = [(80, 24), (120, 40)]
LANGUAGES = ["en", "ru"]
PATIENCE_S = 60.0
SNAPSHOTS = Path(__file__).parent / "snapshots"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\u2066-\u2069]")

OURS = {("", "link"), ("screen", "marked"), ("app", "simulate_key")}  # what a click may do; a link is only copied

Make = Callable[..., TwinApp]


CLAIMS = {"critic": "You keep your own seeds.", "mentor": "You keep your own seeds.", "scribe": "You buy 3 packets."}


def spoken(asked: Prompt) -> str:
    """Each role by its name; in a council a claim, of whoever is not in CLAIMS that it is unknown."""
    if "JSON" not in "".join(segment.text for segment in asked.tail):
        return f"{asked.role} says so."
    return json.dumps({"evidence": [], "claim": CLAIMS.get(asked.role, "Unknown."), "prediction": "They sprout in May.",
                       "falsifier": "", "unit": ""})


class Waiting(ScriptedEngine):
    """Says three words and then nothing more until it is told to stop."""

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        for number, piece in enumerate(super().stream(prompt, sampling, schema=schema, cancel=cancel)):
            yield piece
            patience = time.monotonic() + 20
            while number == 2 and not cancel() and time.monotonic() < patience:
                time.sleep(0.01)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the locale, the clock, the colours or the size of the machine it runs on."""
    monkeypatch.setattr(machine, "memory_bytes", lambda: 16 * 10**9)
    monkeypatch.setattr(machine, "processors", lambda: 2)
    monkeypatch.setattr(machine, "nvidia_cards", lambda: ())
    monkeypatch.setenv("TWIN_LANG", "en")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def make(own_home: Path) -> Iterator[Make]:
    """Apps on twins of their own home, closed at the end. `fresh`: the first run opens by itself where nothing is."""
    opened: list[Twin] = []

    def app(*answers: str, engine: ScriptedEngine | None = None, language: str = "", fresh: bool = False,
            core: bool = True) -> TwinApp:
        given = (engine or ScriptedEngine(answers)) if core else None
        twin = Twin(Home(own_home), engine=given, catalog=Catalog(own_home / "no models"))
        opened.append(twin)
        if language:
            twin.language = language
        if not fresh:
            twin.set_face("first", "seen")
        return TwinApp(twin)

    yield app
    for twin in opened:
        twin.close()


async def ask(pilot: Pilot[None], question: str) -> None:
    """Type, press Enter, wait for what comes of it to end."""
    app = pilot.app
    await begun(pilot)
    app.query_one(Composer).text = question
    await pilot.press("enter")
    await begun(pilot)


async def begun(pilot: Pilot[None]) -> None:
    """Wait until whatever was begun has come to its end and is drawn."""
    app = pilot.app
    assert isinstance(app, TwinApp)
    await pilot.pause()
    await until(pilot, lambda: not app.background.busy)
    if ours := [one for one in app.workers if one.group in ("open", "twin", "idle")]:  # a tree of folders has its own
        await app.workers.wait_for_complete(ours)
    await pilot.pause()


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait, generously, for something that a thread brings."""
    patience = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < patience, f"it did not come within {PATIENCE_S:.0f} s"
        await pilot.pause(0.02)


def screen(app: App[None]) -> str:
    """What stands on the screen, row by row."""
    return "\n".join("".join(segment.text for segment in strip).rstrip()
                     for strip in app.screen._compositor.render_strips())


def log(app: App[None]) -> str:
    """Every plain text in the log, whole, also what the screen cuts."""
    return "\n".join(str(widget.content) for widget in app.query("#log Static").results(Static))


def answer(app: App[None]) -> str:
    """The Markdown source of the last answer."""
    found = app.query(Exchange).last().query(Markdown)
    return found.first().source.strip() if found else ""


def clean(app: App[None]) -> bool:
    """No control character is on the screen, and nothing on it does what a text from outside says."""
    assert not CONTROL.search(screen(app)), "a control character is on the screen"
    strips = app.screen._compositor.render_strips()
    segments = [segment for strip in strips for segment in strip if segment.style]
    for click in {str(one.style.meta["@click"]) for one in segments if one.style and one.style.meta.get("@click")}:
        where, name, given = parse(click)
        assert (where, name) in OURS and len(given) == 1, f"a click would do {click}"
    assert not [one for one in segments if one.style and one.style.link], "a link that a terminal would open"
    return True


def snapshot(app: App[None], name: str) -> None:
    """Compare the screen with `snapshots/NAME.txt`; TWIN_SNAPSHOTS=write stores it instead. The home of a test has
    another path each time, so its digits and letters must not be on the screen."""
    path, shown = SNAPSHOTS / f"{name}.txt", screen(app) + "\n"
    if os.environ.get("TWIN_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, "utf-8")
    assert path.exists(), f"{path.name} is missing: run with TWIN_SNAPSHOTS=write and look at it"
    assert shown == path.read_text("utf-8")


def name_of(what: str, size: tuple[int, int], language: str) -> str:
    """What a snapshot is called."""
    return f"{what}-{size[0]}x{size[1]}-{language}"
