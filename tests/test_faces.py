"""One turn, four faces: the command line, a cell, the chat of a notebook and the terminal get the same events from the
same twin and show the same words. Faces draw; they decide nothing."""
from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from textual.widgets import Markdown

from tests.notebook import chats
from tests.notebook.test_cell import Screen
from tests.tui import conftest as terminal
from twin import cli
from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.home import Home
from twin.notebook import cell
from twin.notebook.chat import Chat
from twin.tui.app import TwinApp
from twin.types import Event, Prompt, to_plain

QUESTION = "Which barometer should I compare with the airfield?"
ANSWER = "Compare the **rooftop** barometer [1], every morning.\n\n- write both down\n- трижды"
WORDS = ["rooftop", "every morning", "write both down", "трижды"]
THOUGHT = "It drifted twice before."
MEMORY = "I want the rooftop barometer compared with the airfield every morning."
_NEVER_EQUAL = {"id", "conversation", "time", "seconds", "first_s", "first_token_s", "total_s"}


@dataclass(frozen=True)
class Shown:
    """What came of a turn in a face: the events it drained, and the text a person sees, folded things too."""

    events: list[Any]
    text: str

    @property
    def kinds(self) -> list[str]:
        """The names of the events, a run of equal ones once."""
        names = [one["event"] for one in self.events]
        return [name for name, before in zip(names, ["", *names], strict=False) if name != before]


def script(asked: Prompt) -> str:
    """The answer with a thought before it; in a council the claim of each role."""
    if "JSON" in "".join(segment.text for segment in asked.tail):
        return chats.spoken(asked)
    return f"<think>{THOUGHT}</think>{ANSWER}"


def comparable(event: Any) -> Any:
    """An event without what cannot be the same twice: names that are drawn by lot, times of day, durations."""
    if isinstance(event, dict):
        return {key: comparable(value) for key, value in event.items() if key not in _NEVER_EQUAL}
    return [comparable(one) for one in event] if isinstance(event, list) else event


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes the same twin for each face, and notes every event that a face drains from it."""
    monkeypatch.setenv("TWIN_LANG", "en")
    opened: list[Twin] = []
    drained: dict[str, list[Any]] = {}
    plain = Twin.stream

    def stream(self: Twin, *args: Any, **how: Any) -> Iterator[Event]:
        for event in plain(self, *args, **how):
            drained[self.home.root.name].append({"event": type(event).__name__, **to_plain(event)})
            yield event

    def twin(face: str) -> tuple[Twin, list[Any]]:
        home = Home(tmp_path / face)
        opened.append(Twin(home, engine=ScriptedEngine(script), catalog=Catalog(tmp_path / "no models")))
        opened[-1].add([chats.NOTE])
        opened[-1].set_face("first", "seen")
        return opened[-1], drained.setdefault(face, [])

    monkeypatch.setattr(Twin, "stream", stream)
    yield twin
    for one in opened:
        one.close()


# ---- the faces -------------------------------------------------------------------------------------------------------

def on_the_command_line(made: Any, monkeypatch: pytest.MonkeyPatch, words: Sequence[str]) -> tuple[Shown, str]:
    """`twin ask --events`, and what `twin ask` prints on the same home."""
    texts = []
    for face, how in (("events", ["--events"]), ("printed", [])):
        twin, _ = made(face)
        with monkeypatch.context() as patch:
            patch.setattr(Twin, "open", classmethod(lambda *_args, twin=twin, **_how: twin))
            ran = CliRunner().invoke(cli.main, [*words, QUESTION, *how])
        assert ran.exit_code == 0, ran.output
        texts.append(ran.stdout)
    return Shown([json.loads(line) for line in texts[0].splitlines()], texts[1]), texts[0]


def in_a_cell(made: Any, monkeypatch: pytest.MonkeyPatch, *, council: bool) -> Shown:
    """`twin.ask(...)` in a cell of a notebook."""
    twin, events = made("cell")
    screen = Screen()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
        patch.setattr("IPython.display.display", screen.display)
        patch.setattr(cell, "_execution", lambda: screen.execution)
        patch.delenv(cell.REDACT, raising=False)
        (twin.council if council else twin.ask)(QUESTION)
    return Shown(events, screen.text())


def in_the_chat(made: Any, *, council: bool) -> Shown:
    """The chat of a notebook."""
    twin, events = made("chat")
    chat = Chat(twin)
    (chat.council if council else chat.send)(QUESTION)
    return Shown(events, chats.seen(chat))


async def in_the_terminal(made: Any, *, council: bool) -> Shown:
    """The terminal chat: the question typed, and Enter."""
    twin, events = made("terminal")
    app = TwinApp(twin)
    async with app.run_test(size=(120, 60)) as pilot:
        await terminal.ask(pilot, f"/council {QUESTION}" if council else QUESTION)
        texts = [one.source for one in app.query(Markdown)]
        if not council:
            await pilot.press("f6")
            await terminal.until(pilot, lambda: MEMORY[:40] in terminal.screen(app))
        return Shown(events, "\n".join([*texts, terminal.log(app), terminal.screen(app)]))


async def everywhere(made: Any, monkeypatch: pytest.MonkeyPatch, *, council: bool) -> dict[str, Shown]:
    """The turn in all of them."""
    printed, _ = on_the_command_line(made, monkeypatch, ["council"] if council else ["ask"])
    return {"command line": printed, "cell": in_a_cell(made, monkeypatch, council=council),
            "chat": in_the_chat(made, council=council), "terminal": await in_the_terminal(made, council=council)}


# ---- what is the same ------------------------------------------------------------------------------------------------

async def test_an_answer_with_a_thought_and_memories_is_the_same_everywhere(
        made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = await everywhere(made, monkeypatch, council=False)
    first = comparable(faces["command line"].events)
    assert faces["command line"].kinds == ["Routed", "Recalled", "Thinking", "Token", "Answered"]
    for name, shown in faces.items():
        assert comparable(shown.events) == first, name
        assert [word for word in WORDS if word not in shown.text] == [], name
    assert "".join(one["text"] for one in first if one["event"] == "Token").strip() == ANSWER
    assert first[-1]["turn"]["thinking"] == THOUGHT
    assert first[-1]["turn"]["cited"] == [1]
    for name in ("cell", "chat", "terminal"):
        assert MEMORY in " ".join(faces[name].text.split()), name
        assert THOUGHT in faces[name].text, name


async def test_a_council_is_the_same_everywhere(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = await everywhere(made, monkeypatch, council=True)
    first = comparable(faces["command line"].events)
    assert faces["command line"].kinds[-3:] == ["Weighed", "Token", "Answered"]
    assert "Hypothesis" in faces["command line"].kinds
    claims = {one["text"] for one in first if one["event"] == "Hypothesis"}
    assert claims >= {"You keep your own seeds."}
    for name, shown in faces.items():
        assert comparable(shown.events) == first, name
        assert [claim for claim in claims if claim not in shown.text] == [], name
        assert "none of these" in shown.text, name


async def test_an_error_is_the_same_two_sentences_everywhere(
        made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No core: what happened, and what to do next."""
    monkeypatch.setattr(ScriptedEngine, "tokenize", _missing)
    texts = {}
    twin, _ = made("command line")
    with monkeypatch.context() as patch:
        patch.setattr(Twin, "open", classmethod(lambda *_args, **_how: twin))
        ran = CliRunner().invoke(cli.main, ["ask", QUESTION])
    texts["command line"] = ran.stderr
    for name, ask in (("cell", lambda: in_a_cell(made, monkeypatch, council=False)),
                      ("chat", lambda: in_the_chat(made, council=False))):
        with pytest.raises(Exception, match="is not on this machine") as raised:
            ask()
        texts[name] = str(raised.value)
    twin, _ = made("terminal")
    app = TwinApp(twin)
    async with app.run_test(size=(120, 60)) as pilot:
        await terminal.ask(pilot, QUESTION)
        texts["terminal"] = " ".join(terminal.log(app).split())
    for name, text in texts.items():
        assert "The model is not on this machine." in text, name
        assert "Fetch it with `twin models pull`." in text, name


def _missing(*_: object, **__: object) -> list[int]:
    from twin.errors import ModelMissing

    raise ModelMissing("The model is not on this machine.", "Fetch it with `twin models pull`.")
