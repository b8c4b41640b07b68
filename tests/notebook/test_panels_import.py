"""The panels of the first minutes: a core is fetched, own words come in, who one is, is answered by clicks."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest

from tests.notebook.on_screen import HOSTILE, button, inside, kinds, names, opened, press, seen, until, whole
from tests.test_records import WHATSAPP
from twin import catalog
from twin.catalog import Catalog, Model
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import UnknownFormat, UsageError, WhoIsMe
from twin.fetch import File
from twin.home import Home
from twin.notebook.panels import panel

NOTE = "# Барометр\n\nПочему мой барометр врёт на два гектопаскаля?\n"


@pytest.fixture
def twin(own_home: Path) -> Iterator[Twin]:
    with opened(own_home) as made:
        yield made


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    path = tmp_path / "WhatsApp Chat with Kim.txt"
    path.write_text(WHATSAPP, "utf-8")
    return path


def handed(view: Any, **files: str) -> None:
    """Files as a browser hands them over."""
    upload = kinds(view, widgets.FileUpload)[0]
    upload.set_state({"value": [{"name": name.replace("_", "."), "type": "", "size": len(text.encode()),
                                 "content": memoryview(text.encode()), "last_modified": 1_700_000_000_000}
                                for name, text in files.items()]})


# ---- import ----------------------------------------------------------------------------------------------------------

def test_a_path_is_looked_at_first_and_then_imported_with_a_report(twin: Twin, tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    note.write_text(NOTE, "utf-8")
    made = panel(twin, "import")
    kinds(made.view, widgets.Text)[0].value = str(note)
    press(made, "Look first")
    assert "This would come in" in seen(made.view)
    assert twin.archive.counts()["messages"] == 0
    press(made, "Import")
    assert "This came in" in seen(made.view) and "1 new message" in seen(made.view)
    assert twin.archive.counts()["own_messages"] == 1
    assert "What is in" in seen(made.view) and "note.md" in seen(made.view)
    assert kinds(made.view, widgets.Text)[0].value == ""


def test_uploaded_files_come_in_and_the_field_is_empty_afterwards(twin: Twin) -> None:
    made = panel(twin, "import")
    handed(made.view, a_md=NOTE, b_md="# Garden\n\nI sow peas in April, as always.\n")
    press(made, "Import")
    assert twin.archive.counts()["own_messages"] == 2
    assert "2 new messages" in seen(made.view)
    assert kinds(made.view, widgets.FileUpload)[0].value == ()


def test_without_a_file_or_path_a_click_says_what_is_missing(twin: Twin) -> None:
    made = panel(twin, "import")
    press(made, "Import")
    assert "No file was given." in seen(made.view)


def test_who_one_is_is_asked_and_answered_by_clicks(twin: Twin, chat: Path) -> None:
    made = panel(twin, "import")
    kinds(made.view, widgets.Text)[0].value = str(chat)
    press(made, "Import")
    assert "Which of them are you?" in seen(made.view)
    assert "Ann 2 messages" in seen(made.view) and "Kim 1 message" in seen(made.view)
    assert twin.archive.counts()["messages"] == 0
    ann = next(row for row in kinds(made.view, widgets.HBox)
               if len(row.children) == 2 and "Ann" in seen(row) and isinstance(row.children[0], widgets.Checkbox))
    ann.children[0].value = True
    press(made, "This is me")
    assert "Which of them are you?" not in seen(made.view)
    assert twin.archive.counts()["own_messages"] == 2


def test_none_of_them_is_me_by_a_click(twin: Twin, chat: Path) -> None:
    made = panel(twin, "import")
    kinds(made.view, widgets.Text)[0].value = str(chat)
    press(made, "Import")
    press(made, "None of them is me")
    counts = twin.archive.counts()
    assert (counts["messages"], counts["own_messages"]) == (3, 0)


def test_without_clicking_the_question_is_an_error_that_answer_answers(twin: Twin, chat: Path) -> None:
    made = panel(twin, "import")
    with pytest.raises(UsageError, match="Nobody was asked"):
        made.answer("Ann")
    with pytest.raises(WhoIsMe):
        made.import_path(chat)
    with pytest.raises(WhoIsMe, match="None of the authors is called Bob"):
        made.answer("Bob")
    report = made.answer("Ann")
    assert (report.imported, report.own) == (3, 2)
    again = made.upload({"chat.txt": WHATSAPP.encode()})
    assert again is not None


def test_what_is_no_export_is_said_and_nothing_is_stored(twin: Twin, tmp_path: Path) -> None:
    made = panel(twin, "import")
    binary = tmp_path / "photo.raw"
    binary.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(UnknownFormat):
        made.import_path(binary)
    kinds(made.view, widgets.Text)[0].value = str(binary)
    press(made, "Import")
    assert "photo.raw" in seen(made.view)
    assert twin.archive.counts()["messages"] == 0


def test_an_import_can_be_stopped_between_batches_and_goes_on_with_the_next_one(
        twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        (tmp_path / f"note{number}.md").write_text(f"{NOTE}\nЗапись {number}.\n", "utf-8")
    made = panel(twin, "import")
    real = made.busy.__class__.__call__

    def stops(busy: Any, stage: str, done: int, total: int | None) -> None:
        real(busy, stage, done, total)
        made.gate.stop()

    with monkeypatch.context() as patched:
        patched.setattr(made.busy.__class__, "__call__", stops)
        assert made.import_path(tmp_path) is None
    assert "Stopped." in seen(made.view)
    assert made.import_path(tmp_path) is not None
    assert twin.archive.counts()["own_messages"] >= 6
    assert twin.recall("барометр")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_of_files_and_people_make_no_element(twin: Twin, tmp_path: Path, text: str) -> None:
    name = text.replace("/", "_").replace("\x1b", "_")
    made = panel(twin, "import")
    chat = WHATSAPP.replace("Ann", name.replace(":", ""))
    with pytest.raises(WhoIsMe):
        made.upload({"chat.txt": chat.encode()})
    whole(made.view)
    made.answer()
    made.upload({f"{name}.md": NOTE.encode()})
    whole(made.view)


# ---- first steps -----------------------------------------------------------------------------------------------------

def model(name: str, kind: str = "core", **how: Any) -> Model:
    return Model(**{"name": name, "purpose": "A core of a test.", "kind": kind, "family": "chatml", "params": 0.1,
                    "active": 0.1, "hybrid": False, "licence": "Apache-2.0", "commercial": True, "n_ctx": 2048,
                    "kv_per_token": 1000, "files": (File(f"{name}.gguf", 64),), **how})


@pytest.fixture
def shop(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    """A twin whose catalogue has two cores and an embedder, none of them here; what is fetched comes in four pieces."""
    def fetch(file: File, folder: Path, given: Any, progress: Any, say: Any) -> None:
        part = folder / f".{file.name}.part"
        for done in range(16, 80, 16):
            progress(file.name, done, 64)
            part.write_bytes(b"GGUF" + bytes(done - 4))
        part.rename(folder / file.name)

    monkeypatch.setattr(catalog, "fetch", fetch)
    shelf = Catalog(own_home / "models", [model("small"), model("large", params=0.2, active=0.2),
                                          model("words", "embedder")])
    with Twin(Home(own_home), catalog=shelf) as made:
        made.language = "en"
        yield made


def test_the_first_step_recommends_a_core_for_this_machine_with_what_it_needs(shop: Twin) -> None:
    made = panel(shop, "start")
    shown = seen(made.view)
    assert "large" in shown and "recommended here" in shown and "is the ablest core that fits" in shown
    assert "0.0 GB on disk, 1.0 GB of memory, Apache-2.0" in shown
    assert "1 other core" in shown and "small" not in shown
    assert next(one for one in kinds(made.view, widgets.Button) if one.icon == "download").button_style == "primary"
    fold = next(one for one in inside(made.view) if getattr(one, "titles", ()) == ("1 other core",))
    fold.selected_index = 0
    assert "small" in seen(fold)


def test_a_download_ends_with_a_core_that_answers_and_the_next_step_opens(shop: Twin) -> None:
    made = panel(shop, "start")
    press(made, "Download 0 MB")
    assert "large is here, checked, and answers from now on." in seen(made.view)
    assert shop.has("core") and shop.start().next == "import"
    assert [one.name for one in shop.cores() if one.in_use] == ["large"]
    assert made._fold.titles[0].startswith("✓")
    assert made._fold.selected_index == 1
    until(lambda: made.imports is not None)


def test_a_stopped_download_keeps_what_is_here_and_uses_nothing(shop: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    made = panel(shop, "start")
    real = made.busy.__class__.__call__

    def stops(busy: Any, stage: str, done: int, total: int | None) -> None:
        real(busy, stage, done, total)
        if done >= 32:
            made.gate.stop()

    monkeypatch.setattr(made.busy.__class__, "__call__", stops)
    made.fetch("large")
    assert "Stopped." in seen(made.view)
    assert not shop.has("core")
    assert (shop.catalog.folder / "large" / ".large.gguf.part").stat().st_size == 16


def test_an_embedder_is_offered_where_there_is_none(shop: Twin) -> None:
    made = panel(shop, "start")
    assert "Recall by meaning" in seen(made.view)
    made.fetch("words")
    assert "when it is opened next" in seen(made.view)
    assert "Recall by meaning" not in seen(made.view)


def test_the_steps_lead_from_nothing_to_the_chat(own_home: Path) -> None:
    with opened(own_home, ScriptedEngine(lambda _: "Сверьте его.")) as twin:
        made = panel(twin, "start")
        until(lambda: made.imports is not None)
        assert made._fold.selected_index == 1, "the core is there already"
        made.open("profile")
        until(lambda: "Nothing of yours is here yet" in seen(made._boxes["profile"]))
        made.imports.upload({"note.md": NOTE.encode()})
        until(lambda: made._fold.selected_index == 2 and made.profile is not None)
        until(lambda: "Levels" in seen(made._boxes["profile"]))
        made.open("ask")
        until(lambda: "Send" in names(made._boxes["ask"]))
        whole(made.view)


def test_an_own_core_can_be_taken_again(shop: Twin) -> None:
    shop.fetch("small")
    made = panel(shop, "start")
    made.fetch("large")
    made.use("small")
    assert "small answers from the next question on." in seen(made.view)
    assert button(made.view, "Use")
