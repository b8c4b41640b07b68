"""Both stores as one: who the person is, what is recalled while vectors are made, what goes with what is forgotten."""
from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest

from twin import Conversation, Message, Twin
from twin.archive import typed_in
from twin.errors import StaleAdapter, UsageError, WhoIsMe
from twin.home import Home
from twin.records import Records
from twin.roles import RoleAdapter
from twin.types import Route, Scope, Turn

WHATSAPP = ("31/12/2024, 21:41 - Ann: The seeds came today\n31/12/2024, 21:42 - Kim: Which seeds did you buy?\n"
            "31/12/2024, 21:43 - Ann: Tomatoes and a few squashes\n")
TELEGRAM = {"name": "Garden group", "type": "private_group", "id": 77, "messages": [
    {"id": 1, "type": "message", "date": "2025-06-30T12:07:00", "date_unixtime": "1751278020", "from": "Ann K",
     "from_id": "user5", "text": "Теплица готова", "text_entities": [{"type": "plain", "text": "Теплица готова"}]},
    {"id": 2, "type": "message", "date": "2025-06-30T12:08:00", "date_unixtime": "1751278080", "from": "Kim",
     "from_id": "user6", "text": "Отлично", "text_entities": [{"type": "plain", "text": "Отлично"}]}]}


class Slow:
    """An embedder that counts: vectors by hash, equal texts near."""

    id, dim = "slow", 8

    def __init__(self) -> None:
        self.texts = 0

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += len(texts)
        return [[byte / 255 for byte in sha256(text.encode()).digest()[:8]] for text in texts]


@pytest.fixture
def twin(tmp_path: Path) -> Twin:
    return Twin(Home(tmp_path / "home"))


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    path = tmp_path / "WhatsApp Chat with Kim.txt"
    path.write_text(WHATSAPP, "utf-8")
    return path


def own(twin: Twin) -> list[str]:
    return [message.text for _, message in twin.archive.messages(own=True)]


# ---- who is me -------------------------------------------------------------------------------------------------------

def test_a_chat_of_several_people_asks_who_the_person_is_and_stores_nothing(twin: Twin, chat: Path) -> None:
    """Guessing would put another's words into the profile; the error counts who speaks, for a face to ask."""
    with pytest.raises(WhoIsMe, match=r"Ann \(2\).*Kim \(1\)") as asked:
        twin.import_path(chat)
    assert asked.value.people == {"whatsapp": {"Ann": 2, "Kim": 1}}
    assert twin.archive.counts()["messages"] == 0


def test_the_answer_is_kept_for_later_imports(twin: Twin, chat: Path) -> None:
    twin.import_path(chat, me=["ann"])
    assert own(twin) == ["The seeds came today", "Tomatoes and a few squashes"]
    chat.write_text(WHATSAPP + "01/01/2025, 10:00 - Ann: They sprout\n", "utf-8")
    report = twin.import_path(chat)
    assert (report.imported, report.unchanged) == (1, 3)
    assert own(twin)[-1] == "They sprout"


def test_a_name_that_nobody_has_is_not_taken_for_silence(twin: Twin, chat: Path) -> None:
    with pytest.raises(WhoIsMe, match="None of the authors is called Bob"):
        twin.import_path(chat, me=["Bob"])


def test_none_of_them_is_me_can_be_said(twin: Twin, chat: Path) -> None:
    assert twin.import_path(chat, me=[]).imported == 3
    assert own(twin) == []


def test_only_the_kinds_without_an_answer_ask(twin: Twin, chat: Path, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    chat.rename(folder / chat.name)
    (folder / "result.json").write_text(json.dumps(TELEGRAM), "utf-8")
    (folder / "note.md").write_text("# Сад\nМои мысли о саде.\n", "utf-8")
    with pytest.raises(WhoIsMe) as asked:
        twin.import_path(folder, me=["Ann"])
    assert list(asked.value.people) == ["telegram"]
    assert twin.import_path(folder, me=["Ann", "user5"]).own == 4


def test_an_account_export_tells_who_its_owner_is(twin: Twin, tmp_path: Path) -> None:
    """And a group exported by itself later needs no answer any more."""
    account = {"about": "", "personal_information": {"user_id": 5, "first_name": "Ann"},
               "chats": {"about": "", "list": [{**TELEGRAM, "id": 78}]}}
    (tmp_path / "account.json").write_text(json.dumps(account), "utf-8")
    (tmp_path / "group.json").write_text(json.dumps(TELEGRAM), "utf-8")
    twin.import_path(tmp_path / "account.json")
    twin.import_path(tmp_path / "group.json")
    assert own(twin) == ["Теплица готова"] * 2


def test_a_zone_that_does_not_exist_is_named(twin: Twin, chat: Path) -> None:
    with pytest.raises(UsageError, match="Mars/Olympus"):
        twin.import_path(chat, me=["Ann"], zone="Mars/Olympus")


def test_sources_of_one_name_are_told_apart_by_their_folders(twin: Twin, tmp_path: Path) -> None:
    """Every Telegram export is a result.json: forgetting one must not take the other along."""
    for folder, number in (("a", 81), ("b", 82)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "result.json").write_text(json.dumps({**TELEGRAM, "id": number}), "utf-8")
        twin.import_path(tmp_path / folder / "result.json", me=["user5"])
    assert [source.name for source in twin.sources()] == ["a/result.json", "b/result.json"]
    with pytest.raises(UsageError, match=r"source:a/result\.json"):
        twin.forget("result.json")
    assert twin.forget("a/result.json").messages == 2
    assert [conversation.id for conversation in twin.archive.conversations()] == ["telegram-chat82"]
    assert twin.forget("result.json").messages == 2


def test_two_notes_of_one_name_are_both_kept(twin: Twin, tmp_path: Path) -> None:
    """Each vault has a README; a note that shares no words with the stored one is another note, not its new text."""
    for folder, text in (("a", "# Monday\nTomatoes were watered.\n"), ("b", "# Понедельник\nЧитал о роутерах.\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "diary.md").write_text(text, "utf-8")
        assert twin.import_path(tmp_path / folder / "diary.md").imported == 1
    assert len(own(twin)) == 2
    (tmp_path / "b" / "diary.md").write_text("# Понедельник\nЧитал о роутерах и ролях.\n", "utf-8")
    assert twin.import_path(tmp_path / "b" / "diary.md").updated == 1
    assert twin.import_path(tmp_path / "a" / "diary.md").unchanged == 1
    assert sorted(own(twin)) == ["# Monday\nTomatoes were watered.", "# Понедельник\nЧитал о роутерах и ролях."]


def test_everything_in_a_home_is_for_its_owner_alone(twin: Twin) -> None:
    """LanceDB asks for no modes: a home that is copied elsewhere must not be open to others."""
    twin.add([many(3)])
    files = list(twin.home.root.rglob("*"))
    assert len(files) > 10
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_nobody_is_me_can_also_be_said_by_those_who_named_themselves_before(twin: Twin, chat: Path,
                                                                           tmp_path: Path) -> None:
    twin.import_path(chat, me=["Ann"])
    other = tmp_path / "WhatsApp Chat with Zed.txt"
    other.write_text("01/02/2025, 10:00 - Zed: hello\n01/02/2025, 10:01 - Quinn: hi\n", "utf-8")
    with pytest.raises(WhoIsMe):
        twin.import_path(other)
    assert twin.import_path(other, me=[]).imported == 2


# ---- two processes ---------------------------------------------------------------------------------------------------

def test_a_recall_while_another_process_imports_keeps_every_vector(tmp_path: Path) -> None:
    """What the other has stored and not yet indexed is added to recall, never a reason to build it anew."""
    records, other = Records(Home(tmp_path / "home"), Slow()), Records(Home(tmp_path / "home"), Slow())
    records.add([many(200)])
    records.embed()
    other.archive.add([Conversation("new", (Message("new-1", "user", "Тыква зреет."),))])  # and there it is killed
    assert records.recall("тыква")[0].message_ids == ("new-1",)
    assert records.memory.status().embedders == {"slow": 201}


def test_embedding_lets_another_process_write(tmp_path: Path) -> None:
    class Heavy(Slow):
        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            sleep(0.01 * len(texts))
            return super().embed(texts)

    records = Records(Home(tmp_path / "home"), Heavy())
    records.add([many(600)])
    thread = Thread(target=records.embed)
    thread.start()
    written = 0
    while thread.is_alive():
        Records(Home(tmp_path / "home"), None).archive.set_setting("note", str(written))  # raises HomeBusy if starved
        written += 1
        sleep(0.3)
    assert written > 5
    assert records.memory.status().missing == 0


# ---- vectors as a pass of their own ----------------------------------------------------------------------------------

def many(count: int) -> Conversation:
    said = (Message(f"m{i}", "user", f"Мысль номер {i} о саде и грядках.") for i in range(count))
    return Conversation("many", tuple(said))


def test_words_are_found_before_the_vectors_are_made_and_the_pass_can_be_stopped(tmp_path: Path) -> None:
    embedder = Slow()
    records = Records(Home(tmp_path / "home"), embedder)
    records.add([many(1500)])
    found = records.recall("номер 1234")[0]
    assert (found.message_ids, embedder.texts > 1) == (("m1234",), False)  # the query alone was embedded
    assert "no vector yet" in found.why
    stops = iter([False, True])
    first = records.embed(cancel=lambda: next(stops))
    assert 0 < first < 1500
    assert Records(Home(tmp_path / "home"), embedder).embed() == 1500 - first  # another process goes on from there
    assert embedder.texts == 1500 + 1
    assert records.memory.status().missing == 0


def test_a_few_missing_vectors_are_made_by_the_recall_that_needs_them(tmp_path: Path) -> None:
    records = Records(Home(tmp_path / "home"), Slow())
    records.add([many(5)])
    records.recall("сад")
    assert records.memory.status().missing == 0


def test_another_embedder_makes_its_own_vectors_and_recall_goes_on_meanwhile(tmp_path: Path) -> None:
    records = Records(Home(tmp_path / "home"), Slow())
    records.add([many(700)])
    records.embed()
    other = Slow()
    other.id, other.dim = "other", 4
    other.embed = lambda texts: [vector[:4] for vector in Slow.embed(other, texts)]  # type: ignore[method-assign]
    changed = Records(Home(tmp_path / "home"), other)
    assert changed.recall("номер 600")[0].message_ids == ("m600",)
    assert changed.embed() == 700
    assert changed.memory.status().missing == 0


def test_a_question_is_embedded_as_a_question_by_those_who_tell_it_apart(tmp_path: Path) -> None:
    """E5 and Qwen3-Embedding read questions behind another prefix than passages."""
    asked: list[str] = []

    class Asking(Slow):
        def embed_query(self, texts: Sequence[str]) -> list[list[float]]:
            asked.extend(texts)
            return self.embed(texts)

    records = Records(Home(tmp_path / "home"), Asking())
    records.add([many(3)])
    records.recall("Что я думаю о саде?")
    assert asked == ["Что я думаю о саде?"]


# ---- what is typed to the twin ---------------------------------------------------------------------------------------

def typed(records: Records, id: str, question: str, chat: str = "chat", **more: Any) -> None:
    route = Route("critic", {"critic": 1.0}, "asked")
    records.archive.save_turn(Turn(id, chat, question, "Yes.", route, "answered", "core", "map"), **more)


def found(records: Records, query: str, **scope: Any) -> list[tuple[str, ...]]:
    return [one.message_ids for one in records.recall(query, scope=Scope(**scope))]


def test_what_was_typed_is_recalled_in_other_conversations_and_not_in_its_own(tmp_path: Path) -> None:
    records = Records(Home(tmp_path / "home"), Slow())
    typed(records, "t1", "Когда сажать тыкву на даче?")
    typed(records, "t2", "Тыкву никому не показывай", own=False)

    assert found(records, "тыква", exclude=(typed_in("chat"),)) == []
    assert found(records, "тыква", exclude=(typed_in("other"),)) == [("t1",)]
    assert found(records, "тыква", own=True, tags=("twin",)) == [("t1",)]
    assert found(records, "тыква", exclude=(typed_in("chat"),)) == []


def test_no_turn_of_a_chat_waits_for_the_index_of_the_last(tmp_path: Path) -> None:
    records = Records(Home(tmp_path / "home"), None)
    records.add([many(5)])
    typed(records, "t1", "Когда сажать тыкву?")
    found(records, "тыква", exclude=(typed_in("chat"),))

    assert (records.archive.unindexed()[0], records.memory.count()) == (1, 5)
    typed(records, "t2", "А кабачки?", chat="new")
    assert found(records, "тыква", exclude=(typed_in("new"),)) == [("t1",)], "another chat brings it up to date"
    assert records.archive.unindexed()[0] == 1
    records.mend()
    assert (records.archive.unindexed()[0], records.memory.count()) == (0, 7)


@pytest.mark.parametrize("indexed", [True, False])
def test_what_was_typed_is_forgotten_in_both_stores(tmp_path: Path, indexed: bool) -> None:
    records = Records(Home(tmp_path / "home"), Slow())
    records.add([many(3)])
    typed(records, "t1", "Тыква лежит под третьей грядкой от забора")
    if indexed:
        records.embed()
    gone = records.forget("twin")

    assert (gone.kind, gone.messages, gone.turns, gone.clean) == ("kind", 1, 1, True)
    assert gone.passages == int(indexed)
    assert records.archive.turns() == []
    assert found(records, "тыква под грядкой", tags=("twin",)) == []
    assert records.archive.counts()["messages"] == records.memory.count() == 3


# ---- scopes ----------------------------------------------------------------------------------------------------------

def test_a_scope_keeps_to_sources_people_times_and_tags(twin: Twin) -> None:
    times = [datetime(2024, month, 1, tzinfo=UTC) for month in (1, 6, 12)]
    chat = tuple(Message(f"w{i}", "other" if i else "user", "Грядки политы", author=("Аня", "Ким")[i % 2], time=when)
                 for i, when in enumerate(times))
    play = Message("s0", "user", "Грядки политы кровью", flags=("fiction",))
    mixed = Message("e0", "user", "the грядки are watered by me every day")
    twin.add([Conversation("w", chat, source="whatsapp"), Conversation("s", (play,), source="sillytavern"),
              Conversation("e", (mixed,), source="chatgpt")])

    def ids(**scope: Any) -> set[str]:
        return {id_ for hit in twin.recall("грядки политы", scope=Scope(**scope)) for id_ in hit.message_ids}

    assert ids(tags=("whatsapp",)) == {"w0", "w1", "w2"}
    assert ids(without=("fiction", "chatgpt")) == {"w0", "w1", "w2"}
    assert ids(people=("Ким",)) == {"w1"}
    assert ids(since=times[1]) == {"w1", "w2"}
    assert ids(since=times[1], until=times[1]) == {"w1"}
    assert ids(own=True) == {"w0", "e0"}
    assert ids(tags=("en",)) == {"e0"}
    assert ids(exclude=("w", "s")) == {"e0"}


# ---- what derives from what was forgotten ----------------------------------------------------------------------------

def test_an_adapter_trained_on_what_was_forgotten_is_refused_until_it_is_allowed(twin: Twin) -> None:
    twin.add([Conversation("c", (Message("c1", "user", "Секретная мысль о компосте."),))])
    adapter = twin.home.create().adapters / "me.gguf"
    adapter.parent.mkdir()
    adapter.write_bytes(b"weights")
    twin.archive.register("adapter", adapter, sha256=sha256(b"weights").hexdigest(), keys=[("c", "c1")])
    copy = adapter.with_name("copy.gguf")
    copy.write_bytes(b"weights")
    named = twin.role_map.roles[0].model_copy(update={"adapter": RoleAdapter(path="copy.gguf")})
    assert twin.asking._adapters(named)[0].path == str(copy)
    gone = twin.forget("c")
    assert gone.clean and len(gone.adapters) == 1
    with pytest.raises(StaleAdapter, match="twin allow"):
        twin.asking._adapters(named)
    twin.allow_adapter("me.gguf")
    assert twin.asking._adapters(named)[0].path == str(copy)
    with pytest.raises(UsageError):
        twin.allow_adapter("me.gguf")


def test_an_export_of_what_was_forgotten_is_gone_too(twin: Twin) -> None:
    twin.add([Conversation("c", tuple(Message(f"c{i}", "user", f"Я всегда сначала меряю датчик номер {i}, потом решаю.")
                                      for i in range(30)))])
    made = twin.export("prompt")
    gone = twin.forget("c")
    assert made.path is not None and not made.path.exists()
    assert gone.clean and gone.messages == 30
    assert twin.profile().own_messages == 0
