"""The desk: conversations, roles as files, cores and uploads, on a real home; the core is scripted."""
from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import core_path
from tests.test_catalog import GGUF, model
from twin.archive import typed
from twin.archive.talks import _TALKS
from twin.catalog import Catalog
from twin.chat import Twin
from twin.desk import _name
from twin.engine.scripted import ScriptedEngine
from twin.errors import ModelMissing, ProposalStale, RoleError, UnknownFormat, UsageError, WhoIsMe
from twin.home import Home
from twin.types import Route, Turn

NOTE = "Я лучше всего планирую посадки вечером.\n\nI never buy tomato seeds.\n"
WHATSAPP = ("12/03/2024, 10:01 - Anna: I keep the seeds in paper bags\n"
            "12/03/2024, 10:02 - Boris: mine rot in plastic every winter\n"
            "12/03/2024, 10:03 - Anna: paper breathes, that is all there is to it\n")
CORES = (model(name="small", params=0.5, active=0.5), model(name="middle", params=1.5, active=1.5),
         model(name="vectors", kind="embedder"))


@pytest.fixture
def twin(own_home: Path) -> Iterator[Twin]:
    with Twin(Home(own_home), engine=ScriptedEngine(lambda _: "So be it."), catalog=shelf(own_home)) as opened:
        yield opened


def shelf(home: Path, *present: str) -> Catalog:
    folder = home.with_name("models")
    for name in present:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "tiny.gguf").write_bytes(GGUF)
    return Catalog(folder, CORES)


def reopened(twin: Twin) -> Twin:
    return Twin(Home(twin.home.root), engine=twin._engine, catalog=twin.catalog)


# ---- how it speaks -----------------------------------------------------------------------------------------------

def test_a_chosen_language_outlives_the_run_and_outranks_the_locale(twin: Twin,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_LANG", "en")
    twin.language = "ru"

    assert twin.language == "ru"
    assert reopened(twin).language == "ru"


def test_without_a_choice_it_is_twin_lang_and_then_the_locale(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "ru_RU.UTF-8")
    found = [twin.language]
    monkeypatch.setenv("TWIN_LANG", "en")
    found.append(twin.language)
    for twin.language in ("ru", None):
        found.append(twin.language)

    assert found == ["ru", "en", "ru", "en"]


def test_a_language_that_is_not_spoken_is_refused(twin: Twin) -> None:
    with pytest.raises(UsageError, match="en, ru"):
        twin.language = "de"


def test_a_setting_of_a_face_is_kept_and_empty_before(twin: Twin) -> None:
    assert twin.face("theme") == ""
    twin.set_face("theme", "nord")

    assert reopened(twin).face("theme") == "nord"


def test_asking_what_is_here_writes_nothing(twin: Twin) -> None:
    assert (twin.start().next, twin.language, twin.talks()) == ("import", twin.language, [])
    assert not twin.home.root.exists()


def test_the_start_names_the_next_step_until_somebody_is_at_home(own_home: Path) -> None:
    with Twin(Home(own_home), catalog=shelf(own_home)) as bare:
        assert bare.start().next == "import"
        bare.upload({"note.md": NOTE.encode()}, me=())
        assert bare.start().next == "core"
        shelf(own_home, "small")
        assert bare.start().next == "ask"
    with Twin(Home(own_home), engine=ScriptedEngine(lambda _: "Yes."), catalog=shelf(own_home)) as able:
        able.ask("When do I plan?")
        assert able.start().next == ""


# ---- conversations -------------------------------------------------------------------------------------------------

def turn(number: int, conversation: str, question: str) -> Turn:
    return Turn(f"t{number}", conversation, question, "an answer", Route("scribe", {"scribe": 1.0}, "asked for", ()),
                "answered", "scripted", "a map", time=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number))


def test_conversations_are_listed_the_newest_first_by_their_first_question(twin: Twin) -> None:
    twin.ask("When do I sow\n peas?", conversation="a")
    twin.ask("What is a lane?", conversation="b")
    last = twin.ask("How deep do they go?", conversation="a")

    assert [(talk.id, talk.title, talk.turns, talk.lines) for talk in twin.talks()] == [
        ("a", "When do I sow peas?", 2, 0), ("b", "What is a lane?", 1, 0)]
    assert twin.talks()[0].last == last.time
    assert [talk.id for talk in twin.talks(limit=1)] == ["a"]


def test_lines_belong_to_the_conversation_they_leave(twin: Twin) -> None:
    twin.ask("When do I sow peas?", conversation="a")
    line, asked = twin.fork()
    twin.ask(asked.question, conversation=line.id)
    deeper, _ = twin.fork(after=True)  # nothing was asked on it yet

    assert [(talk.id, talk.turns, talk.lines) for talk in twin.talks()] == [("a", 2, 2)]
    assert [one.id for one in twin.lines.all("a")] == ["a", line.id, deeper.id]


def test_a_title_is_the_beginning_of_a_long_question_and_stands_in_no_repr(twin: Twin) -> None:
    twin.ask("seeds " * 100, conversation="a")
    talk = twin.talks()[0]

    assert talk.title == ("seeds " * 100)[:80]
    assert "seeds" not in repr(talk)


def test_a_conversation_is_gone_on_with_where_it_was_left(twin: Twin) -> None:
    twin.ask("When do I sow peas?", conversation="a")
    twin.ask("What is a lane?", conversation="b")
    turns = twin.resume("a")
    twin.ask("How deep do they go?")

    assert [one.question for one in turns] == ["When do I sow peas?"]
    assert [one.question for one in twin.lines.history("a")] == ["When do I sow peas?", "How deep do they go?"]


def test_a_new_conversation_knows_nothing_of_the_one_before(twin: Twin) -> None:
    first = twin.ask("When do I sow peas?").conversation
    second = twin.new()

    assert twin.ask("What is a lane?").conversation == second != first
    assert [talk.id for talk in twin.talks()] == [second, first]


def test_a_text_that_is_remembered_is_ones_own_recalled_and_can_be_taken_back(twin: Twin) -> None:
    note = twin.remember("  I keep the seeds in paper bags.\x00 ")

    (found,) = twin.recall("paper bags for seeds", own=True)
    assert "I keep the seeds in paper bags." in found.text and note.id in found.message_ids
    assert twin.forget(note.id).clean
    assert twin.recall("paper bags for seeds", own=True) == []


def test_an_empty_text_cannot_be_remembered(twin: Twin) -> None:
    with pytest.raises(UsageError):
        twin.remember(" \n")
    assert twin.sources() == []


def test_what_is_to_be_done_at_the_close_is_done_while_the_core_is_there(own_home: Path) -> None:
    engine, seen = ScriptedEngine([]), []
    twin = Twin(Home(own_home), engine=engine, catalog=shelf(own_home))
    twin.at_close(lambda: seen.append(twin._engine is engine))
    twin.close()

    assert seen == [True]


def test_a_line_is_gone_on_with_from_where_it_leaves(twin: Twin) -> None:
    twin.ask("When do I sow peas?", conversation="a")
    line, _ = twin.fork(after=True)
    twin.ask("And in a cold spring?", conversation=line.id)
    twin.conversation = "elsewhere"

    assert [one.question for one in twin.resume(line.id)] == ["When do I sow peas?", "And in a cold spring?"]
    assert twin.conversation == line.id


def test_what_is_not_there_cannot_be_resumed_and_changes_nothing(twin: Twin) -> None:
    before = twin.conversation
    with pytest.raises(UsageError):
        twin.resume("nobody")
    assert twin.conversation == before


def test_a_forgotten_conversation_leaves_the_list(twin: Twin) -> None:
    said = twin.ask("When do I sow my secret peas?", conversation="a")
    twin.ask("What is a lane?", conversation="b")
    twin.forget(said.id)

    assert [talk.title for talk in twin.talks()] == ["What is a lane?"]


def test_a_line_whose_trunk_was_forgotten_can_still_be_found_and_resumed(twin: Twin) -> None:
    said = twin.ask("When do I sow my secret peas?", conversation="a")
    line, _ = twin.fork()
    twin.ask("What is a lane?", conversation=line.id)
    twin.forget(said.id)
    talk, = twin.talks()

    assert (talk.title, talk.turns, talk.lines) == ("What is a lane?", 1, 1)
    assert twin.resume(talk.id) == []
    assert [one.question for one in twin.resume(line.id)] == ["What is a lane?"]


def test_two_thousand_turns_are_listed_by_their_index(twin: Twin) -> None:
    with twin.archive._writing("turns") as db:
        for number in range(2000):
            typed.save(db, turn(number, f"chat {number % 400}", f"question {number}"), own=False)
    found = twin.talks()

    assert len(found) == 400
    assert (found[0].id, found[0].title, found[0].turns) == ("chat 399", "question 399", 5)
    with twin.archive._reading() as db:
        plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {_TALKS}", (500,)))
    assert "SEARCH t USING COVERING INDEX turns_in_order" in plan


# ---- roles as files --------------------------------------------------------------------------------------------------

def test_a_role_is_edited_as_its_file_and_the_difference_is_told_before_it_counts(twin: Twin) -> None:
    before = twin.role_map
    text = twin.role_text("critic").replace("temperature: 0.4", "temperature: 0.1")
    draft = twin.draft_role("critic", text)

    assert any("0.1" in line for line in draft.changes)
    assert twin.role_map == before
    twin.save_role(draft, "cooler")
    assert twin.role_map.role("critic").sampling.temperature == 0.1
    assert twin.role_book.history()[0].note == "cooler"
    assert (twin.home.roles / "critic.md").read_text("utf-8") == text


def test_the_difference_is_told_in_the_language_of_the_face(twin: Twin) -> None:
    said: list[str] = []
    for twin.language in ("en", "ru"):
        said += twin.draft_role("critic", None).changes

    assert said == ['critic: role removed: "Critic"', "critic: роль убрана: «Критик»"]


def test_a_mistake_is_told_with_its_line_and_nothing_changes(twin: Twin) -> None:
    text = twin.role_text("critic").replace("temperature: 0.4", "temperature: hot")
    line = next(number for number, one in enumerate(text.split("\n"), 1) if "hot" in one)

    with pytest.raises(RoleError, match=f"critic.md, line {line}: "):
        twin.draft_role("critic", text)


@given(text=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_role_or_an_error_with_a_reason(twin: Twin, text: str) -> None:
    try:
        twin.draft_role("critic", text)
    except RoleError as error:
        assert error.what and error.next_step


def test_a_role_is_added_and_dropped_again_and_its_file_stays_aside(twin: Twin) -> None:
    text = twin.role_text("critic").replace("id: critic", "id: gardener")
    twin.save_role(twin.draft_role("gardener", text))
    assert "gardener" in twin.role_map.ids
    draft = twin.draft_role("gardener", None)
    twin.save_role(draft)

    assert len(draft.changes) == 1
    assert "gardener" not in twin.role_map.ids
    assert (twin.home.roles / "gardener.md.old").read_text("utf-8") == text


@pytest.mark.parametrize("name", ["../gardener", "", "a/b", "council.yaml", ".hidden"])
def test_a_role_cannot_be_put_elsewhere_by_its_name(twin: Twin, name: str) -> None:
    with pytest.raises(RoleError):
        twin.draft_role(name, twin.role_text("critic").replace("id: critic", f"id: {name}"))


def test_a_file_that_says_another_id_is_refused(twin: Twin) -> None:
    with pytest.raises(RoleError, match="'critic'"):
        twin.draft_role("gardener", twin.role_text("critic"))


def test_a_role_that_is_not_there_can_be_neither_read_nor_dropped(twin: Twin) -> None:
    for action in (lambda: twin.role_text("nobody"), lambda: twin.draft_role("nobody", None)):
        with pytest.raises(UsageError, match=r"Choose one of: .*critic"):
            action()


def test_the_last_role_stays(twin: Twin) -> None:
    for name in twin.role_map.ids[1:]:
        twin.save_role(twin.draft_role(name, None))
    with pytest.raises(RoleError, match="at least one role"):
        twin.draft_role(twin.role_map.ids[0], None)


def test_a_draft_of_a_map_that_was_changed_meanwhile_is_refused(twin: Twin) -> None:
    text = twin.role_text("critic")
    old = twin.draft_role("critic", text.replace("temperature: 0.4", "temperature: 0.1"))
    twin.save_role(twin.draft_role("critic", text.replace("temperature: 0.4", "temperature: 0.2")))

    with pytest.raises(ProposalStale, match="Open the role again"):
        twin.save_role(old)
    assert twin.role_map.role("critic").sampling.temperature == 0.2


def test_a_role_that_was_spoilt_by_hand_is_mended_here(twin: Twin) -> None:
    twin.ask("Anything?")
    file = twin.home.roles / "critic.md"
    whole = file.read_text("utf-8")
    file.write_text("no front matter", "utf-8")
    assert twin.role_text("critic") == "no front matter"
    twin.save_role(twin.draft_role("critic", whole.replace("temperature: 0.4", "temperature: 0.1")))

    assert twin.role_book.refusal is None
    assert twin.role_map.role("critic").sampling.temperature == 0.1
    assert (twin.home.roles / "critic.md.old").read_text("utf-8") == "no front matter"


def test_no_words_of_a_role_stand_in_the_repr_of_its_draft(twin: Twin) -> None:
    text = twin.role_text("critic") + "\nA secret method.\n"
    assert "secret" not in repr(twin.draft_role("critic", text))


def adapted(twin: Twin) -> None:
    text = twin.role_text("critic").replace("---\n", "---\nadapter:\n  path: a.gguf  # mine\n  scale: 1.0\n", 1)
    twin.save_role(twin.draft_role("critic", text))


def test_an_adapter_is_tuned_and_the_rest_of_the_file_stays_byte_for_byte(twin: Twin) -> None:
    adapted(twin)
    before = twin.role_text("critic")
    twin.tune("critic", scale=0.4)

    assert twin.role_map.role("critic").adapter.scale == 0.4  # type: ignore[union-attr]
    assert twin.role_text("critic") == before.replace("scale: 1.0", "scale: 0.4")


@pytest.mark.parametrize("scale", [-0.1, 1.6, float("nan"), float("inf")])
def test_an_adapter_cannot_be_tuned_beyond_what_it_bears(twin: Twin, scale: float) -> None:
    adapted(twin)
    with pytest.raises(UsageError, match=r"from 0 to 1\.5"):
        twin.tune("critic", scale=scale)


def test_a_role_without_an_adapter_has_nothing_to_tune(twin: Twin) -> None:
    with pytest.raises(UsageError, match="no adapter"):
        twin.tune("critic", scale=0.5)


# ---- cores -----------------------------------------------------------------------------------------------------------

def test_the_core_that_is_used_is_used_in_later_runs_too(own_home: Path) -> None:
    catalog = shelf(own_home, "small", "middle")
    with Twin(Home(own_home), catalog=catalog) as first:
        assert [one.name for one in first.cores() if one.in_use] == ["middle"]
        first.use("small")
        assert [one.name for one in first.cores() if one.in_use] == ["small"]
    with Twin(Home(own_home), catalog=catalog) as second:
        assert [one.name for one in second.cores() if one.in_use] == ["small"]
        second.use("")
        assert [one.name for one in second.cores() if one.in_use] == ["middle"]


def test_a_core_that_was_asked_for_at_opening_outranks_the_one_that_was_kept(own_home: Path) -> None:
    catalog = shelf(own_home, "small", "middle")
    with Twin(Home(own_home), catalog=catalog) as first:
        first.use("small")
    with Twin(Home(own_home), model="middle", catalog=catalog) as second:
        assert [one.name for one in second.cores() if one.in_use] == ["middle"]


def test_what_is_not_here_is_not_used_and_the_choice_before_it_stays(own_home: Path) -> None:
    with Twin(Home(own_home), catalog=shelf(own_home, "small")) as twin:
        twin.use("small")
        with pytest.raises(ModelMissing, match="twin models pull middle"):
            twin.use("middle")
        with pytest.raises(UsageError, match="no model 'nothing'"):
            twin.use("nothing")
        assert [one.name for one in twin.cores() if one.in_use] == ["small"]


def test_an_embedder_is_no_core_to_answer_with(own_home: Path) -> None:
    with Twin(Home(own_home), catalog=shelf(own_home, "vectors")) as twin, pytest.raises(UsageError, match="no core"):
        twin.use("vectors")


def test_a_core_that_was_loaded_is_let_go_when_another_one_is_chosen(own_home: Path) -> None:
    closed = []

    class Loaded(ScriptedEngine):
        def close(self) -> None:
            closed.append(self)

    with Twin(Home(own_home), catalog=shelf(own_home, "small")) as twin:
        twin._engine = Loaded(["a"])
        twin.use("small")
        assert len(closed) == 1
        assert vars(twin)["_engine"] is None


def test_whether_a_core_is_here_is_told_of_the_one_that_would_answer(own_home: Path) -> None:
    with Twin(Home(own_home), catalog=shelf(own_home)) as twin:
        assert not twin.has("core")
        shelf(own_home, "small")
        assert twin.has("core")
    with Twin(Home(own_home), model="middle", catalog=shelf(own_home)) as twin:
        assert not twin.has("core")


def test_an_embedder_that_was_fetched_is_used_at_once(own_home: Path) -> None:
    core_path("minilm")
    with Twin(Home(own_home), engine=ScriptedEngine(["Yes."])) as twin:
        twin.upload({"note.md": NOTE.encode()}, me=())
        assert not twin.has("embedder")
        assert twin.embed() == 0
        twin.fetch("minilm")
        assert twin.has("embedder")
        assert twin.embed() > 0
        assert twin.ask("Когда я сажаю?").memories


# ---- uploads -----------------------------------------------------------------------------------------------------

@pytest.fixture
def spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files that were handed over lie for a moment."""
    folder = tmp_path / "spare"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_file_that_was_handed_over_is_imported_and_nothing_of_it_stays_on_the_disk(twin: Twin, spare: Path) -> None:
    report = twin.upload({"note.md": NOTE.encode()})

    assert report.own == 1
    assert twin.recall("tomato seeds")[0].text
    assert list(spare.iterdir()) == []
    assert [source.name for source in twin.sources()] == ["upload/note.md"]


def test_the_same_file_again_changes_nothing(twin: Twin) -> None:
    twin.upload({"note.md": NOTE.encode()})
    again = twin.upload({"note.md": NOTE.encode()})

    assert (again.imported, again.unchanged) == (0, 1)
    assert len(twin.sources()) == 1


def test_several_files_come_in_together_and_are_one_source_each_time(twin: Twin) -> None:
    files = {"a.md": NOTE.encode(), "b.md": b"Peas go in early.\n", "c.txt": b"I water in the morning.\n"}
    for _ in range(2):
        report = twin.upload(files)

    assert (report.own, report.unchanged) == (3, 3)
    assert [source.name for source in twin.sources()] == ["upload/a.md and 2 more"]


def test_files_of_the_same_name_are_all_read(twin: Twin) -> None:
    report = twin.upload({"x/note.md": NOTE.encode(), "y/note.md": b"Peas go in early.\n", "NOTE.md": b"Dig in May.\n"})

    assert report.own == 3


def test_a_zip_is_opened(twin: Twin) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("notes/a.md", NOTE)
    assert twin.upload({"notes.zip": packed.getvalue()}).own == 1


@pytest.mark.parametrize("name", ["../../note.md", "/etc/note.md", r"C:\Users\me\note.md", "a/b/note.md", "..", "",
                                  "note\x00.md", "\ud800note.md", "n" * 400 + ".md", "ы" * 400 + ".md", ".md"])
def test_no_name_leads_out_of_the_folder_or_hides_the_file(twin: Twin, spare: Path, name: str) -> None:
    report = twin.upload({name: NOTE.encode(), "other.md": b"Peas go in early.\n"})

    assert report.own + sum(report.skipped.values()) == 2
    assert list(spare.iterdir()) == []


@given(st.text())
def test_whatever_a_file_is_called_it_has_a_name_that_a_disk_takes(name: str) -> None:
    made = _name(name)

    assert made and made not in (".", "..") and not made.startswith(".")
    assert "/" not in made and "\\" not in made and "\x00" not in made
    assert len(made.encode()) <= 200


def test_no_file_is_nothing_to_import(twin: Twin) -> None:
    with pytest.raises(UsageError, match="No file was given"):
        twin.upload({})


def test_a_look_writes_nothing(twin: Twin, spare: Path) -> None:
    report = twin.upload({"note.md": NOTE.encode()}, dry_run=True)

    assert (report.dry_run, report.own) == (True, 1)
    assert not twin.home.archive.exists()
    assert list(spare.iterdir()) == []


def test_a_chat_of_several_people_asks_who_you_are_and_then_comes_in(twin: Twin, spare: Path) -> None:
    files = {"WhatsApp Chat with Boris.txt": WHATSAPP.encode()}
    with pytest.raises(WhoIsMe) as asked:
        twin.upload(files)
    assert {name for people in asked.value.people.values() for name in people} == {"Anna", "Boris"}
    assert list(spare.iterdir()) == []

    assert twin.upload(files, me=["Anna"]).own == 2


def test_what_nobody_can_read_is_named_and_nothing_of_it_stays(twin: Twin, spare: Path) -> None:
    with pytest.raises(UnknownFormat, match=r"photo\.bin"):
        twin.upload({"photo.bin": bytes(range(256))})
    assert list(spare.iterdir()) == []


def test_an_import_that_was_stopped_keeps_what_it_has_and_goes_on_from_there(twin: Twin, spare: Path) -> None:
    chats = [{"messages": [{"role": "user", "content": f"I sow peas in week {n}."},
                           {"role": "assistant", "content": "Good."}]} for n in range(800)]
    files = {"chats.jsonl": "\n".join(map(json.dumps, chats)).encode()}
    told = []

    with pytest.raises(UsageError, match="goes on from there"):
        twin.upload(files, progress=lambda stage, *_: told.append(stage), cancel=lambda: "messages stored" in told)
    assert list(spare.iterdir()) == []
    there = twin.archive.counts()["messages"]
    assert 0 < there < 1600

    report = twin.upload(files)
    assert (report.imported, report.unchanged) == (1600 - there, there)
    assert twin.recall("week 799")[0].text


@pytest.mark.parametrize("path", ["", " "])
def test_no_path_is_not_the_folder_one_happens_to_stand_in(
        twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / "private.md").write_text(NOTE, "utf-8")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError):
        twin.import_path(path)
    assert twin.sources() == []
