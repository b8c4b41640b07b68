"""Keys of the terminal: none is taken twice, the help names them all, and each can be mapped anew."""
from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App
from textual.screen import Screen

from tests.tui.conftest import LANGUAGES, WIDE, Make, ask, begun, log, screen
from twin.errors import UsageError
from twin.tui import keys
from twin.tui.chat import ChatScreen
from twin.tui.composer import Composer
from twin.tui.names import called
from twin.tui.pages import help_text
from twin.words import Words


async def test_keys_are_taken_by_nothing_else_unless_they_come_first(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        first = {key for one in ChatScreen.BINDINGS if one.priority for key in one.key.split(",")}
        ours = {key for one in app.mappable.values() for key in one.key.split(",")} - first - {"ctrl+q", "escape"}
        taken = {*app.query_one(Composer)._bindings.key_to_bindings, *App._merge_bindings().key_to_bindings,
                 *Screen._merge_bindings().key_to_bindings, App.COMMAND_PALETTE_BINDING}
        assert "ctrl+q" in taken and not ours & taken


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_help_names_every_key_and_command(make: Make, language: str) -> None:
    app = make(language=language)
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        shown = help_text(app)
        commands = {f"/{called(name, language)}" for name in app.chat.commands.table}
        assert [key for key in map(app.key_of, app.mappable) if f"`{key}`" not in shown] == []
        assert [name for name in commands if f"`{name}`" not in shown and f"`{name} " not in shown] == []
        assert "{" not in shown


async def test_a_mapped_key_works_and_its_own_one_does_not(make: Make) -> None:
    app = make("a")
    app.twin.set_face("keys", json.dumps({"new": "ctrl+t", "help": "f12"}))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
        before = app.chat.conversation
        await pilot.press("ctrl+n")
        assert app.chat.conversation == before
        await pilot.press("ctrl+t")
        assert app.chat.conversation != before
        assert "f12 help" in screen(app)
        assert "`ctrl+t`" in help_text(app) and "`ctrl+n`" not in help_text(app)


@pytest.mark.parametrize(("stored", "said"), [
    ("{", "no JSON"), ("[1]", "one key"), ('{"new": 1}', "one key"), ('{"fly": "f5"}', "no action 'fly'"),
    ('{"new": "f12", "help": "f12"}', "two actions"), ('{"new": "enter"}', "needed for writing"),
    ('{"new": "a"}', "needed for writing"), ('{"new": "\\u202e[/]"}', "There is no key"),
])
async def test_a_map_that_cannot_be_used_is_said_and_ignored(make: Make, stored: str, said: str) -> None:
    app = make("a")
    app.twin.set_face("keys", stored)
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert said in log(app)
        await ask(pilot, "How warm is it?")
        before = app.chat.conversation
        await pilot.press("ctrl+n")
        assert app.chat.conversation != before, "the keys are as they were"


@given(st.text(max_size=40) | st.dictionaries(st.text(max_size=8), st.text(max_size=8)).map(json.dumps))
def test_any_text_is_a_map_of_keys_or_refused_in_words(stored: str) -> None:
    try:
        found = keys.read(stored, {"new"}, Words("twin.tui", "en"))
    except UsageError as refused:
        assert refused.what and refused.next_step
    else:
        assert set(found) <= {"new"}
