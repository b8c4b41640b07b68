"""The import wizard: completion, a look before anything is written, who one is, stopping, the report, the vectors."""
from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.widgets import Button, Input, Static

from tests.conftest import SAMPLE
from tests.tui.conftest import LANGUAGES, SIZES, Make, name_of, screen, snapshot, until
from tests.tui.scenes import HOSTILE, NARROW, at, click, plain, press, said, still
from twin.chat import Twin
from twin.records import Records
from twin.tui.imports import Imports
from twin.tui.imports import given as path_given
from twin.tui.paths import completed
from twin.tui.who import Who, listed
from twin.types import ImportReport

CHATS = SAMPLE / "chatgpt"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a person, with two things in it."""
    home = tmp_path / "olga"
    (home / "exports").mkdir(parents=True)
    (home / "notes.md").write_text("# Notes\n\nI never buy screws in spring.\n", "utf-8")
    (home / ".hidden").write_text("x", "utf-8")
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def chat(own_folder: Path) -> Path:
    """An export of a messenger that does not say who its owner is."""
    chat = {"name": "Ira", "type": "personal_chat", "id": 7, "messages": [
        {"id": number, "type": "message", "date": f"2026-01-0{number}T10:00:00", "from": name, "from_id": f"user{name}",
         "text": text} for number, (name, text) in enumerate(
             [("Ira", "Did it rain?"), ("Olga", "I measured twelve millimetres."), ("Ira", "Good.")], 1)]}
    path = own_folder / "exports" / "result.json"
    path.write_text(json.dumps(chat), "utf-8")
    return path


def report(app: object) -> str:
    """What was found, whole."""
    return str(app.screen.query_one("#report", Static).content)  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
async def test_an_import_looks_like_this(make: Make, size: tuple[int, int], language: str) -> None:
    app = make(language=language)
    async with app.run_test(size=size) as pilot:
        await at(pilot, "import")
        await until(pilot, lambda: "notes.md" in screen(app))
        snapshot(app, name_of("import", size, language))
        app.screen.query_one(Input).value = "~/notes.md"
        await press(pilot, "enter")
        snapshot(app, name_of("import-looked", size, language))


async def test_enter_looks_and_a_second_one_imports(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "import")
        app.screen.query_one(Input).value = str(CHATS)
        await press(pilot, "enter")
        assert "Would be read" in report(app) and "Nothing was written" in report(app)
        assert not app.twin.archive.counts()["messages"]
        await press(pilot, "enter")
        assert report(app).startswith("Was read")
        assert app.twin.start().own > 10
        screened = app.screen
        assert isinstance(screened, Imports) and screened.report is not None and screened.report.reconciles
        await press(pilot, "f6")
        assert screened.report.imported == 0 and screened.report.unchanged, "the same once more changes nothing"


async def test_the_mouse_reaches_everything(make: Make, own_folder: Path) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "import")
        await until(pilot, lambda: "notes.md" in screen(app))
        await click(pilot, "notes.md")
        assert Path(app.screen.query_one(Input).value) == own_folder / "notes.md"
        await click(pilot, "Look first")
        assert "Would be read" in report(app)
        await pilot.click("#bring")
        await still(pilot)
        assert report(app).startswith("Was read")
        await click(pilot, "f4 Folders")
        assert "notes.md" in screen(app) and ".hidden" not in screen(app)


async def test_who_is_asked_by_clicks_and_the_answer_is_kept(make: Make, chat: Path) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "import")
        app.screen.query_one(Input).value = str(chat)
        await press(pilot, "enter")
        assert isinstance(app.screen, Who)
        assert app.screen.query_one("#me", Button).disabled, "nobody marked is no answer"
        await click(pilot, "Olga")
        await click(pilot, "That is me")
        assert "1 message of your own" in report(app), "the look knows the answer"
        await press(pilot, "enter")
        assert app.twin.start().own == 1
        await press(pilot, "f6")
        assert isinstance(app.screen, Imports), "it is not asked again"


async def test_none_of_them_is_an_answer_and_not_now_is_none(make: Make, chat: Path) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "import")
        app.screen.query_one(Input).value = str(chat)
        await press(pilot, "f6", "escape")
        assert "Nothing was read" in said(app) and not app.twin.archive.counts()["messages"]
        await press(pilot, "f6", "tab", "enter")
        assert isinstance(app.screen, Imports)
        assert app.twin.archive.counts()["messages"] == 3 and app.twin.start().own == 0


async def test_an_import_can_be_stopped_and_goes_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    whole = Records.import_path
    waits = [True]

    def slow(self: Records, path: Path, **rest: object) -> ImportReport:
        progress = rest["progress"]
        while waits[0]:
            progress("messages stored", 500, None)  # type: ignore[operator]
        return whole(self, path, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Records, "import_path", slow)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "import")
        app.screen.query_one(Input).value = str(CHATS)
        await pilot.press("f6")
        await until(pilot, lambda: "500" in said(app))
        await pilot.press("escape")
        await still(pilot)
        assert isinstance(app.screen, Imports) and "goes on from there" in said(app)
        waits[0] = False
        await press(pilot, "f6")
        assert app.twin.start().own > 10


class Letters:
    """An embedder of two numbers."""

    id, dim = "letters", 2

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[0.6, 0.8] if len(text) % 2 else [0.8, 0.6] for text in texts]


async def test_vectors_that_are_left_are_told_and_made_when_asked(make: Make) -> None:
    app = make()
    app.twin.close()
    twin = Twin(app.twin.home, engine=app.twin._engine, embedder=Letters(), catalog=app.twin.catalog)
    app._take(twin)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "import")
        assert "Make the vectors" not in screen(app)
        app.screen.query_one(Input).value = str(CHATS)
        await press(pilot, "f6")
        left = twin.memory.status().missing
        assert left and f"{left} passages still need a vector" in report(app)
        await click(pilot, "Make the vectors")
        assert twin.memory.status().missing == 0
        assert "complete" in said(app) and "Make the vectors" not in screen(app)
    twin.close()


async def test_what_cannot_be_read_is_a_line_with_the_next_step(make: Make, tmp_path: Path) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "import")
        await press(pilot, "enter")
        assert "Name a file" in said(app)
        for name in ("/nowhere/at all", "a\x00b", "x" * 5000, "~nobody/x", HOSTILE):
            app.screen.query_one(Input).value = name
            await press(pilot, "enter")
            assert said(app) and isinstance(app.screen, Imports)
            assert plain(app)


async def test_names_and_reasons_from_outside_are_data(make: Make, monkeypatch: pytest.MonkeyPatch,
                                                       own_folder: Path) -> None:
    (own_folder / "[@click=app.quit]x[$error].md").write_text("# a", "utf-8")
    (own_folder / "\u202ered\x1b[31m.md").write_text("# b", "utf-8")
    hostile = ImportReport(seen=3, imported=1, skipped={HOSTILE: 2}, failures=(HOSTILE,) * 20, files=(HOSTILE,))
    monkeypatch.setattr(Twin, "import_path", lambda *_, **__: hostile)
    app = make()
    async with app.run_test(size=(120, 60)) as pilot:
        await at(pilot, "import")
        await until(pilot, lambda: "click" in screen(app))
        app.screen.query_one(Input).value = "/x"
        await press(pilot, "enter")
        assert plain(app) and "12 more" in screen(app)


async def test_people_from_outside_are_data(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "import")
        app.push_screen(Who({"telegram": {HOSTILE: 3, "": 1}}, app.words))
        await still(pilot)
        assert plain(app)


def test_people_are_listed_by_how_much_they_wrote() -> None:
    assert listed({"b": {"x": 1, "y": 5}, "a": {"z": 2}}) == [("a", "z", 2), ("b", "y", 5), ("b", "x", 1)]


# ---- paths -----------------------------------------------------------------------------------------------------------

def test_a_path_is_completed_as_far_as_it_is_sure(tmp_path: Path) -> None:
    for name in ("report-1.json", "report-2.json", "notes"):
        (tmp_path / name).mkdir() if name == "notes" else (tmp_path / name).write_text("")
    assert completed(f"{tmp_path}/rep") == f"{tmp_path}/report-"
    assert completed(f"{tmp_path}/n") == f"{tmp_path}/notes/"
    assert completed(f"{tmp_path}/report-") is None
    assert completed(f"{tmp_path}/zebra") is None
    assert completed("word") is None


async def test_the_right_key_takes_the_completion(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "import")
        field = app.screen.query_one(Input)
        field.value = "~/not"
        field.cursor_position = 5
        await until(pilot, lambda: field._suggestion == "~/notes.md")
        await press(pilot, "right")
        assert field.value == "~/notes.md"


@pytest.mark.parametrize(("typed", "meant"), [
    ("'/a b/c.zip'", "/a b/c.zip"), ('"/a b/c.zip" ', "/a b/c.zip"), ("file:///a%20b/c.zip", "/a b/c.zip"),
    ("/a\\ b/c.zip", "/a b/c.zip"), ("/plain.zip", "/plain.zip")])
def test_paths_are_taken_as_they_are_typed_pasted_and_dropped(typed: str, meant: str) -> None:
    assert path_given(typed) == Path(meant)


@settings(max_examples=300)
@given(st.text(max_size=80))
def test_any_text_is_a_path_or_none_and_completes_to_more_of_itself(text: str) -> None:
    with suppress(ValueError):
        path_given(text)
    made = completed(text)
    assert made is None or made.startswith(text)


async def test_a_file_whose_name_cannot_be_shown_can_still_be_chosen(make: Make, own_folder: Path) -> None:
    (own_folder / "a\x1b[31m.md").write_text("# Notes\n\nI never buy screws in spring.\n", "utf-8")
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "import")
        await until(pilot, lambda: "a\ufffd" in screen(app))
        await click(pilot, "a\ufffd")
        assert plain(app)
        await press(pilot, "f6")
        assert app.twin.start().own == 1
