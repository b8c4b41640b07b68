"""The screen of roles: one whole, its file edited and checked as one writes, dropped, its adapter, the history."""
from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from textual.widgets import Input, Static, TextArea

from tests.tui.conftest import LANGUAGES, SIZES, Make, name_of, screen, snapshot, until
from tests.tui.scenes import HOSTILE, NARROW, about, at, click, plain, press, rows, said, type_in
from twin.adapters import Kept
from twin.apprentice import Switched
from twin.chat import Twin
from twin.errors import UsageError
from twin.role_book import RoleBook, Step
from twin.tui.app import TwinApp
from twin.tui.dialogs import OneLine, Sure
from twin.tui.role_pages import RoleEdit, RoleHistory
from twin.tui.roles import Roles

SHA = "ab" * 32


def verdict(app: TwinApp) -> str:
    """What the editor says of the file."""
    return str(app.screen.query_one(".verdict", Static).content)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
async def test_roles_look_like_this(make: Make, size: tuple[int, int], language: str,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    whole = RoleBook.history
    monkeypatch.setattr(RoleBook, "history", lambda *given: [
        replace(one, made=datetime(2026, 1, one.number, tzinfo=UTC)) for one in whole(*given)])
    app = make(language=language)
    async with app.run_test(size=size) as pilot:
        await at(pilot, "roles")
        snapshot(app, name_of("roles", size, language))
        await press(pilot, "down", "e")
        snapshot(app, name_of("role-edit", size, language))
        app.screen.query_one(TextArea).text += "\nAlso say what is missing.\n"
        await press(pilot, "f5")
        snapshot(app, name_of("role-changes", size, language))
        await press(pilot, "enter", "h")
        snapshot(app, name_of("role-history", size, language))


async def test_a_role_is_edited_checked_and_kept_with_its_changes_told_first(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "roles")
        await press(pilot, "down", "enter")
        editor = app.screen
        assert isinstance(editor, RoleEdit) and editor.role == "critic"
        area = editor.query_one(TextArea)
        whole = area.text
        area.text = whole.replace("---", "-", 1)
        await until(pilot, lambda: "line 1" in verdict(app))
        await press(pilot, "f5")
        assert app.screen is editor, "what cannot be read is not kept"
        area.text = whole.replace("title: {en: Critic", "title: {en: Devil's advocate")
        await until(pilot, lambda: "1 change" in verdict(app))
        await press(pilot, "f5")
        assert isinstance(app.screen, Sure)
        assert "Devil's advocate" in screen(app) and app.twin.role_map.role("critic").title.en == "Critic"
        await press(pilot, "enter")
        assert isinstance(app.screen, Roles)
        assert app.twin.role_map.role("critic").title.en == "Devil's advocate"
        assert "critic is kept" in said(app) and "Devil's advocate" in rows(app)[1]


async def test_leaving_with_something_written_asks_first(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "roles")
        await press(pilot, "e", "escape")
        assert isinstance(app.screen, Roles), "nothing was written, nothing is asked"
        await press(pilot, "e", "x", "escape")
        assert isinstance(app.screen, Sure)
        await press(pilot, "n")
        assert isinstance(app.screen, RoleEdit) and app.screen.text.startswith("x")
        await press(pilot, "escape", "y")
        assert isinstance(app.screen, Roles)
        assert not app.twin.archive.map_entries(), "nothing was kept"


async def test_a_new_role_begins_as_a_file_that_reads(make: Make) -> None:
    app = make(language="ru")
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "roles")
        await press(pilot, "n")
        assert isinstance(app.screen, OneLine)
        await type_in(pilot, "cook")
        await press(pilot, "enter")
        assert isinstance(app.screen, RoleEdit) and "## Позиция" in app.screen.text
        await press(pilot, "f5", "enter")
        assert "cook" in app.twin.role_map.ids
        assert app.screen.chosen.id == "cook"
        await press(pilot, "n")
        await type_in(pilot, "cook")
        await press(pilot, "enter")
        assert "уже есть" in said(app)


@pytest.mark.parametrize("name", ["../x", "Cook", "a/b", "a b", HOSTILE])
async def test_a_name_that_no_role_can_have_is_refused_before_anything_is_kept(make: Make, name: str) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "roles")
        await press(pilot, "n")
        app.screen.query_one(Input).value = name
        await press(pilot, "enter")
        assert isinstance(app.screen, RoleEdit) and plain(app)
        await press(pilot, "f5")
        assert isinstance(app.screen, RoleEdit), "there is nothing to keep"
        assert verdict(app)
        assert not app.twin.archive.map_entries()


async def test_dropping_asks_and_the_history_brings_it_back_byte_for_byte(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "roles")
        before = app.twin.role_map.version
        await press(pilot, "d")
        assert isinstance(app.screen, Sure)
        await press(pilot, "enter")
        assert app.twin.role_map.version == before, "enter at once is no"
        await press(pilot, "d", "y")
        assert "architect" not in app.twin.role_map.ids and "is dropped" in said(app)
        await press(pilot, "h")
        assert isinstance(app.screen, RoleHistory)
        assert "role removed" in about(app) and "Back to this one" not in screen(app)
        await press(pilot, "down")
        await click(pilot, "Back to this one")
        assert "role removed" in screen(app), "what would come back is told"
        await press(pilot, "enter")
        assert app.twin.role_map.version == before and "byte for byte" in said(app)
        await press(pilot, "escape")
        assert "architect" in rows(app)[0]


async def test_the_mouse_chooses_and_opens(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "roles")
        await click(pilot, "mentor ")
        assert app.screen.chosen.id == "mentor"
        assert "Mentor" in rows(app)[4]
        await click(pilot, "mentor ")
        assert isinstance(app.screen, RoleEdit) and app.screen.role == "mentor"
        await click(pilot, "esc")
        await click(pilot, "e Edit")
        assert isinstance(app.screen, RoleEdit)


async def test_an_adapter_is_switched_on_tuned_and_off(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    twin, asked = app.twin, list[Any]()
    kept = Kept(twin.home.adapters / f"{SHA}.gguf", SHA, "base", "critic")
    monkeypatch.setattr(Twin, "adapters", lambda *_, **__: [kept])

    def switch(self: Twin, role: str, adapter: str = "", *, on: bool = True, anyway: bool = False) -> Switched:
        asked.append((role, on, anyway))
        if on and not anyway:
            raise UsageError("It was not measured yet.", "Measure it.")
        text = self.role_text(role)
        line = f"adapter: {{sha256: {SHA}}}\n"
        text = text.replace("\nexamples:", f"\n{line}examples:", 1) if on else text.replace(line, "").replace(
            "scale", "scale")
        if not on:
            text = "\n".join(one for one in text.split("\n") if not one.startswith("adapter:"))
        made = self.save_role(self.draft_role(role, text))
        return Switched(role, SHA if on else "", (), made.version)

    monkeypatch.setattr(Twin, "switch", switch)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "roles")
        assert "Adapter on/off" not in screen(app), "the architect has none"
        await press(pilot, "down")
        assert "is trained and off" in about(app)
        await press(pilot, "o")
        assert isinstance(app.screen, Sure) and "not measured" in screen(app)
        await press(pilot, "escape")
        assert asked == [("critic", True, False)]
        await press(pilot, "o", "y")
        assert asked[-1] == ("critic", True, True) and "adapter 1" in rows(app)[1]
        for given, wanted in (("0,5", 0.5), ("9", 0.5), ("much", 0.5), ("", 0.5)):
            await press(pilot, "s")
            app.screen.query_one(Input).value = given
            await press(pilot, "enter")
            adapter = twin.role_map.role("critic").adapter
            assert adapter is not None and adapter.scale == wanted
        assert "adapter 0.5" in rows(app)[1]
        await press(pilot, "o")
        assert twin.role_map.role("critic").adapter is None and "without its adapter" in said(app)


async def test_a_broken_hand_edit_is_told_over_the_list(make: Make) -> None:
    app = make()
    app.twin.role_book.ensure()
    (app.twin.home.roles / "critic.md").write_text("nothing", "utf-8")
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "roles")
        assert "critic.md" in screen(app) and "stay active" in " ".join(screen(app).split())
        assert len(rows(app)) == 6


async def test_what_a_role_file_says_is_data(make: Make) -> None:
    app = make()
    app.twin.role_book.ensure()
    hostile = HOSTILE.replace("\x00", "")
    quoted = json.dumps(hostile)
    (app.twin.home.roles / "evil.md").write_text(
        f"---\nid: evil\ntitle: {{en: {quoted}}}\npurpose:\n  en: {quoted}\nexamples:\n  - {quoted}\n---\n\n"
        f"## Stance\n\n{hostile}\n", "utf-8")
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "roles")
        place = next(at for at, row in enumerate(rows(app)) if row.startswith("evil"))
        await press(pilot, *["down"] * place)
        assert plain(app) and "click=app.quit" in about(app)
        await press(pilot, "e")
        assert plain(app)
        app.screen.query_one(TextArea).text += hostile
        await press(pilot, "f5")
        assert plain(app)
        await press(pilot, "enter", "h")
        assert isinstance(app.screen, RoleHistory) and plain(app)


async def test_a_note_in_the_history_is_data(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Step(1, "v", None, "owner", datetime(2026, 1, 1, tzinfo=UTC), HOSTILE, (HOSTILE,))
    monkeypatch.setattr(RoleBook, "history", lambda *_: [step])
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "roles")
        await press(pilot, "h")
        assert plain(app)
