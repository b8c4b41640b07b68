"""The archive loses nothing, counts everything, and says what is wrong with the file."""
from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor as Pool
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.archive import Archive, database, typed_in
from twin.archive.claims import FAILURES
from twin.archive.intake import Intake
from twin.errors import BrokenFile, HomeBusy, HomeError, HomeTooNew, UsageError
from twin.home import Home
from twin.person import Claim, Decision, Depth, DepthOf, Evidence, FreeClaim, Profile, SubQuestion
from twin.profile import Point
from twin.types import (
    Conversation,
    Example,
    ImportReport,
    Message,
    Recalled,
    Repair,
    Route,
    Turn,
    Usage,
    digest,
)
from twin.verification import Snapshot, snapshot, verify

UID = "5f0c2a6e-1111-4222-8333-9a8b7c6d5e4f"
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Found:
    """What an importer hands over, by shape."""

    file: str
    conversation: Conversation | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    failure: str | None = None
    repair: Repair | None = None


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(Home(tmp_path / "home"))


def said(id: str, text: str, **more: Any) -> Message:
    return Message(id, more.pop("role", "user"), text, **more)


def talk(id: str, *texts: str, source: str | None = None) -> Conversation:
    return Conversation(id, tuple(said(f"m{n}", text) for n, text in enumerate(texts, 1)), source=source)


def texts(archive: Archive, conversation: str) -> list[str]:
    return [message.text for message in archive.conversation(conversation).messages]


def everything(archive: Archive) -> list[Conversation]:
    return list(archive.conversations())


# ---- what comes back ---------------------------------------------------------------------------------------------

def test_what_was_said_comes_back_equal(archive: Archive) -> None:
    moscow = timezone(timedelta(hours=3))
    first = Conversation("c1", (
        said("a", "Как собрать роли?", author="Аня", time=datetime(2026, 1, 5, 12, 0, 1, 500, tzinfo=moscow)),
        said("b", "By their work.", role="assistant", flags=("edited",), raw=b"By their work.\r\n"),
        said("c", "Pasted by me", flags=("forwarded",)),
        said("d", "I am Anna", role="other", own=True)), title="Роли", source="chatgpt")
    archive.add([first, talk("c0", "second")])

    assert archive.conversation("c1") == first
    assert [conversation.id for conversation in archive.conversations()] == ["c1", "c0"]
    assert archive.conversation("c1").messages[0].time.tzinfo == UTC
    assert [message.id for _, message in archive.messages(own=True)] == ["a", "d", "m1"]
    assert [message.id for _, message in archive.messages(own=False)] == ["b", "c"]
    assert archive.counts() == {"conversations": 2, "messages": 5, "own_messages": 3, "turns": 0}


def test_an_empty_home_reads_as_empty_and_stays_untouched(archive: Archive) -> None:
    assert list(archive.messages()) == []
    assert archive.turns() == []
    assert archive.points() == []
    assert archive.setting("me") is None
    assert archive.counts()["messages"] == 0
    assert not archive.home.root.exists()


def test_only_the_owner_can_read_the_file(archive: Archive) -> None:
    archive.add([talk("c", "private")])

    assert stat.S_IMODE(archive.home.archive.stat().st_mode) == 0o600
    assert stat.S_IMODE(archive.home.root.stat().st_mode) == 0o700


def test_an_idle_home_holds_one_plain_file(archive: Archive) -> None:
    """Whoever copies archive.sqlite alone has everything: no -wal is left beside it."""
    archive.add([talk("c", "one", "two")])
    list(archive.messages())

    assert [path.name for path in archive.home.root.glob("archive*")] == ["archive.sqlite"]


def test_commits_reach_the_disk_before_they_are_acknowledged(archive: Archive) -> None:
    with archive._writing("test") as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_an_unknown_conversation_is_named(archive: Archive) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        archive.conversation("nowhere")


# ---- new, updated, unchanged ---------------------------------------------------------------------------------------

def test_the_same_again_changes_nothing(archive: Archive) -> None:
    conversation = talk("c", "one", "two", source="chatgpt")
    first, changed = archive.add([conversation])
    again, nothing = archive.add([conversation])

    assert (first.imported, first.unchanged, changed) == (2, 0, [("c", "m1"), ("c", "m2")])
    assert (again.imported, again.updated, again.unchanged, nothing) == (0, 0, 2, [])
    assert first.conversations == again.conversations == 1


def test_a_changed_text_replaces_the_old_one_which_is_kept(archive: Archive) -> None:
    archive.add([talk("c", "one", "two")])
    report, changed = archive.add([talk("c", "one", "TWO")])

    assert (report.updated, report.unchanged, changed) == (1, 1, [("c", "m2")])
    assert texts(archive, "c") == ["one", "TWO"]
    assert [old.text for old in archive.revisions("c", "m2")] == ["two"]


def test_a_text_changed_back_is_an_update_again(archive: Archive) -> None:
    for text in ("one", "two", "one"):
        report, _ = archive.add([talk("c", text)])

    assert report.updated == 1
    assert texts(archive, "c") == ["one"]


def test_an_old_copy_in_the_same_folder_does_not_flap(archive: Archive) -> None:
    """A note and its older copy under one id would replace each other at every import, for ever."""
    folder = [talk("c", "older"), talk("c", "newer")]
    archive.add(folder)
    again, changed = archive.add(folder)

    assert (again.updated, again.unchanged, changed) == (0, 2, [])
    assert texts(archive, "c") == ["newer"]


def test_two_formats_of_one_chat_do_not_fight(archive: Archive) -> None:
    """The note and the export of the same chat differ in trifles; whichever came first stays."""
    archive.add([talk("c", "with “quotes”", source="nexus")])
    report, _ = archive.add([talk("c", 'with "quotes"', "and more", source="chatgpt")])

    assert (report.imported, report.updated, report.unchanged) == (1, 0, 1)
    assert texts(archive, "c") == ["with “quotes”", "and more"]
    assert archive.revisions("c", "m1") == []


def test_a_note_without_front_matter_meets_the_export_of_the_same_chat(archive: Archive) -> None:
    archive.add([Conversation("hash-of-uids", (said(UID, "Question"),), source="nexus")])
    export = Conversation("chat-id", (said("first", "Before"), said(UID, "Question"), said("last", "After")),
                          source="chatgpt")
    report, changed = archive.add([export])

    assert (report.imported, report.unchanged) == (2, 1)
    assert changed == [("hash-of-uids", "first"), ("hash-of-uids", "last")]
    assert texts(archive, "hash-of-uids") == ["Before", "Question", "After"]
    assert archive.add([export])[0].unchanged == 3


def test_a_conversation_once_recognised_keeps_its_other_name(archive: Archive) -> None:
    """The next piece of the same chat may share no message with what is stored."""
    archive.add([Conversation("a", (said(UID, "Question"),)), Conversation("b", (said(UID, "Question"),))])
    archive.add([Conversation("b", (said("m", "Later"),))])

    assert texts(archive, "a") == ["Question", "Later"]
    assert archive.counts()["conversations"] == 1


def test_a_chat_that_was_branched_off_stays_a_chat_of_its_own(archive: Archive) -> None:
    """Both have ids of their provider; what they share was copied. Forgetting one must not take the other along."""
    archive.add([Conversation("one", (said(UID, "Question"), said("a", "Left")), source="chatgpt"),
                 Conversation("two", (said(UID, "Question"), said("b", "Right")), source="chatgpt")])

    assert (texts(archive, "one"), texts(archive, "two")) == (["Question", "Left"], ["Question", "Right"])
    made = "uids-" + "0" * 32
    archive.add([Conversation(made, (said(UID, "Question"), said("c", "Noted")), source="chatgpt")])
    assert archive.counts()["conversations"] == 2


def test_short_message_ids_never_join_two_conversations(archive: Archive) -> None:
    archive.add([talk("a", "one"), talk("b", "one")])

    assert [conversation.id for conversation in archive.conversations()] == ["a", "b"]


def test_new_messages_take_their_place_among_the_old_ones(archive: Archive) -> None:
    def letters(order: str) -> Conversation:
        return Conversation("c", tuple(said(letter, letter) for letter in order))

    archive.add([letters("bdf")])
    archive.add([letters("abcd")])
    archive.add([letters("fg")])
    archive.add([letters("xy")])

    assert "".join(texts(archive, "c")) == "abcdfgxy"


def test_two_texts_under_one_id_are_both_kept(archive: Archive) -> None:
    double = Conversation("c", (said("m", "one"), said("m", "two"), said("m#2", "mine"), said("m", "one")))
    report, _ = archive.add([double])
    again, _ = archive.add([double])

    assert (report.imported, report.unchanged) == (3, 1)
    assert [(m.id, m.text) for m in archive.conversation("c").messages] == [
        ("m", "one"), ("m#2#", "two"), ("m#2", "mine")]
    assert again.unchanged == 4


def test_an_empty_text_never_blanks_a_stored_one(archive: Archive) -> None:
    archive.add([talk("c", "kept")])
    report, changed = archive.add([talk("c", " \n", "")])

    assert (dict(report.skipped), report.reconciles, changed) == ({"empty": 2}, True, [])
    assert texts(archive, "c") == ["kept"]


def test_the_same_words_by_another_speaker_are_an_update(archive: Archive) -> None:
    """Who said it decides what may be evidence, so a corrected speaker must reach the archive."""
    archive.add([Conversation("c", (said("m", "I like tests", role="other"),))])
    report, _ = archive.add([Conversation("c", (said("m", "I like tests", role="other", own=True),))])

    assert report.updated == 1
    assert archive.counts()["own_messages"] == 1


def test_a_missing_title_is_filled_in_later(archive: Archive) -> None:
    archive.add([talk("c", "one", source="nexus")])
    archive.add([replace(talk("c", "one", source="chatgpt"), title="Named")])
    archive.add([replace(talk("c", "one", source="chatgpt"), title="By another")])

    assert archive.conversation("c").title == "Named"


# ---- bad values ----------------------------------------------------------------------------------------------------

def test_impossible_text_is_stored_readable_and_its_bytes_are_kept(archive: Archive) -> None:
    archive.add([Conversation("c", (said("a", "half \ud83d smile"), said("b", "nul\0byte"), said("d", "и\u0306"),
                                    said("e", "same", raw=b"kept")))])
    surrogate, nul, short, same = archive.conversation("c").messages

    assert "\ufffd" in surrogate.text
    assert surrogate.raw == "half \ud83d smile".encode("utf-8", "surrogatepass")
    assert (nul.text, nul.raw) == ("nul\ufffdbyte", b"nul\0byte")
    assert (short.text, short.raw) == ("й", "и\u0306".encode())
    assert same.raw == b"kept"


def test_a_time_without_zone_comes_back_aware_and_says_so(archive: Archive) -> None:
    naive = datetime(2026, 3, 1, 9, 30)
    archive.add([Conversation("c", (said("m", "text", time=naive),))])
    message = archive.conversation("c").messages[0]

    assert message.time == naive.astimezone()
    assert message.time.tzinfo == UTC
    assert message.flags == ("local_time",)


@pytest.mark.parametrize(("bad", "reason"), [
    (said("", "text"), "no id"), (said(7, "text"), "its id is of type int"), (said("m", None), "NoneType"),
    (said("m", "text", role="narrator"), "narrator"), (said("m", "text", time="yesterday"), "str"),
    (said("m", "text", author=3), "author"), (said("m", "text", raw="text"), "raw"),
    (said("m", "text", flags=(1,)), "flag"),
    (said("m", "text", time=datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))), "date"), ("no message", "str"),
])
def test_one_bad_message_costs_only_itself(archive: Archive, bad: Any, reason: str) -> None:
    report, _ = archive.add([Conversation("c", (said("good", "text"), bad, said("too", "text")))])

    assert (report.imported, report.failed, report.reconciles) == (2, 1, True)
    assert "message 2" in report.failures[0]
    assert reason in report.failures[0]


def test_one_bad_conversation_never_aborts_the_rest(archive: Archive) -> None:
    archive.add([talk("old", "here")])
    with closing(sqlite3.connect(archive.home.archive)) as db:
        db.execute("CREATE TRIGGER poison BEFORE INSERT ON messages WHEN new.text = 'poison' "
                   "BEGIN SELECT RAISE(ABORT, 'refused'); END")
    report, changed = archive.add([talk("a", "one"), talk("b", "two", "poison"), Conversation("", (said("m", "x"),)),
                                   Conversation(None, ()), talk("d", "three")])

    assert (report.seen, report.imported, report.failed, report.reconciles) == (6, 2, 4, True)
    assert changed == [("a", "m1"), ("d", "m1")]
    assert [c.id for c in archive.conversations()] == ["old", "a", "d"], "half a conversation was stored"
    assert any("'b': refused" in failure for failure in report.failures)


# ---- the report ----------------------------------------------------------------------------------------------------

def test_the_report_tells_all_that_the_importer_found(archive: Archive) -> None:
    repair = Repair("a.md", "mac_roman", 3, "before", "after")
    found = [Found("a.md", repair=repair), Found("a.md", talk("a", "own", "")), Found("b.json", skipped={"tool": 2}),
             Found("b.json", failure="conversation 7 has no mapping"),
             Found("b.json", Conversation("b", (said("m", "answer", role="assistant"),)))]
    report, _ = archive.add(found, hashes={"a.md": digest("a")})

    assert report == ImportReport(
        seen=6, imported=2, skipped={"empty": 1, "tool": 2}, failed=1, conversations=2,
        roles={"assistant": 1, "user": 1}, own=1, files=("a.md", "b.json"), repairs=(repair,),
        failures=("b.json: conversation 7 has no mapping",))
    assert report.reconciles


def test_the_archive_remembers_which_files_came(archive: Archive) -> None:
    for _ in range(2):
        archive.add([Found("a.md", talk("a", "own")), Found("b\udcff.md", talk("b", "own"))],
                    hashes={"a.md": digest("a")})
    first, second = archive.files()

    assert (first["file"], first["sha256"], first["report"]["unchanged"]) == ("a.md", digest("a"), 1)
    assert (second["sha256"], second["report"]["seen"]) == ("", 1)
    assert datetime.fromisoformat(first["imported"]).tzinfo == UTC


def test_a_stored_report_counts_and_quotes_nothing(archive: Archive) -> None:
    """Lines before and after a repair, and the reasons of failures, are the person's text: forgetting a message could
    not find it there."""
    repair = Repair("a.md", "mac_roman", 3, "line before", "line after")
    archive.add([Found("a.md", repair=repair, failure="a.md: first line is 'secret'"), Found("a.md", talk("a", "own"))])

    stored = archive.home.archive.read_bytes()
    assert [sum(one["report"][key] for one in archive.files()) for key in ("imported", "failed")] == [1, 1]
    assert b"secret" not in stored
    assert b"line before" not in stored


# ---- where it came from ----------------------------------------------------------------------------------------------

DAY = datetime(2026, 2, 3, tzinfo=UTC)


def chat(id: str, *messages: Message, source: str = "chatgpt") -> Conversation:
    return Conversation(id, messages, source=source)


def test_sources_tell_what_each_import_brought(archive: Archive) -> None:
    shared = said("a" * 16, "Почему память находит нужное?", time=DAY)
    archive.add([Found("export.zip/a.json", chat("a", shared, said("b", "Because.", role="assistant"))),
                 Found("export.zip/b.json", chat("b", said("x", "17", time=DAY + timedelta(days=1)))),
                 Found("export.zip/b.json", skipped={"tool": 1})], root="export.zip")
    archive.add([Found("notes/a.md", chat("note", shared, source="nexus"))], root="notes")
    export, notes = archive.sources()

    assert (export.name, export.kinds, export.files) == ("export.zip", ("chatgpt",), 2)
    assert (export.conversations, export.messages, export.own) == (2, 3, 2)
    assert (dict(export.languages), export.since, export.until) == (
        {"ru": 1, "en": 1, "und": 1}, DAY, DAY + timedelta(days=1))
    assert export.imported.tzinfo == UTC
    assert (notes.name, notes.kinds, notes.conversations, notes.messages) == ("notes", ("nexus",), 1, 1)


def test_the_same_import_again_is_the_same_source(archive: Archive) -> None:
    for _ in range(2):
        archive.add([Found("export.zip/a.json", talk("a", "one", "two", source="chatgpt"))], root="export.zip")

    assert [(one.name, one.messages, one.files) for one in archive.sources()] == [("export.zip", 2, 1)]


def test_what_came_without_a_file_stands_under_its_kind(archive: Archive) -> None:
    archive.add([talk("a", "one", source="messages")])

    assert [(one.name, one.kinds, one.files, one.messages) for one in archive.sources()] == [
        ("messages", ("messages",), 0, 1)]


def test_what_brought_nothing_leaves_no_source(archive: Archive) -> None:
    archive.add([talk("c", "kept", source="messages")])
    archive.add([Found("b.json", failure="broken"), Found("b.json", talk("b", ""))], root="b.zip")

    assert archive.files() == []


def test_a_message_knows_the_kind_of_its_source(archive: Archive) -> None:
    archive.add([talk("a", "one", source="telegram"), talk("b", "one")])

    assert [message.source for _, message in archive.messages()] == ["telegram", None]
    assert archive.conversation("a").messages[0].source == "telegram"


def test_only_some_messages_are_read_in_their_order(archive: Archive) -> None:
    archive.add([talk("b", "one", "two", "three"), talk("a", "four")])
    keys = [("a", "m1"), ("b", "m3"), ("b", "m1"), ("b", "nothing"), ("b", "m1")]

    assert [message.text for _, message in archive.messages(keys=keys)] == ["one", "three", "four"]
    assert list(archive.messages(own=False, keys=keys)) == list(archive.messages(keys=[])) == []


QUOTED = "> what she wrote to me\n\nI disagree with that."


def test_own_messages_say_what_in_them_is_not_their_writers_own(archive: Archive) -> None:
    """A scope may leave out what was pasted; the flag is the archive's, so it makes no message another one."""
    conversation = Conversation("c", (said("a", QUOTED, flags=("edited",)), said("b", QUOTED, role="assistant")))
    archive.add([conversation])
    own, other = archive.conversation("c").messages

    assert (own.flags, other.flags) == (("edited", "quoted"), ())
    assert archive.add([conversation])[0].unchanged == 2


# ---- parts of one conversation ---------------------------------------------------------------------------------------

def part(start: int, end: int, step: int = 1) -> Conversation:
    return Conversation("big", tuple(said(f"{number:04d}", f"text {number}", time=DAY + timedelta(minutes=number))
                                     for number in range(start, end, step)))


@pytest.mark.parametrize("first", [[(0, 400)], [(0, 400, 3)], [(180, 220)], [(300, 400), (100, 200)]])
def test_parts_of_a_conversation_come_together_in_order(archive: Archive, first: list[tuple[int, ...]]) -> None:
    """Whatever came earlier, in whatever order: a part that shares nothing with it goes where its time is, or after
    the part before it."""
    archive.add([part(*one) for one in first])
    report, _ = archive.add([part(start, start + 50) for start in range(0, 400, 50)])

    assert texts(archive, "big") == [f"text {number}" for number in range(400)]
    assert report.reconciles
    assert archive.add([part(0, 400)])[0].unchanged == 400


def test_there_is_always_room_between_two_messages(archive: Archive) -> None:
    """Each new one comes right after the first: positions run out of room between them long before the sixtieth."""
    archive.add([Conversation("big", (said("first", "first"), said("last", "last")))])
    for number in range(60):
        archive.add([Conversation("big", (said("first", "first"), said(f"{number}", f"text {number}")))])

    assert texts(archive, "big") == ["first", *(f"text {number}" for number in reversed(range(60))), "last"]


def test_a_part_costs_its_own_length_however_long_the_conversation_is(archive: Archive) -> None:
    """A chat of 300,000 messages comes in sixty parts: reading all that is stored for each would take minutes."""
    def steps(run: Intake, one: Conversation) -> int:
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        run.db.set_progress_handler(step, 100)
        run.take(one)
        run.db.set_progress_handler(None, 0)
        return count

    with archive._writing("test") as db:
        run = Intake(db)
        run.take(part(0, 100))
        early = steps(run, part(100, 200))
        run.take(part(200, 6000))
        late = steps(run, part(6000, 6100))
        again = steps(Intake(db), part(6000, 6100))

    assert late < 1.5 * early
    assert again < 1.5 * early


def test_a_dry_run_says_the_same_and_writes_nothing(archive: Archive) -> None:
    batch = [talk("a", "one", "", "two"), talk("a", "one", "x", "TWO"), talk("b", "three")]
    dry, wanted = archive.add(batch, dry_run=True)
    assert not archive.home.root.exists()
    archive.add([talk("b", "old")])
    before = archive.home.archive.read_bytes()
    dry, wanted = archive.add(batch, dry_run=True)
    assert archive.home.archive.read_bytes() == before
    real, changed = archive.add(batch)

    assert dry.dry_run
    assert (replace(dry, dry_run=False), wanted) == (real, changed)
    assert real.updated == 2


def test_a_file_that_cannot_be_read_at_all_leaves_nothing_behind(archive: Archive) -> None:
    def broken() -> Iterator[Conversation]:
        raise BrokenFile("It is a photograph.")
        yield

    with pytest.raises(BrokenFile):
        archive.add(broken())
    assert archive.add([]) == (ImportReport(), [])
    assert not archive.home.root.exists()


def test_progress_is_told(archive: Archive) -> None:
    heard: list[tuple[int, int | None]] = []
    archive.add([talk(str(n), *map(str, range(1, 251))) for n in range(5)],
                progress=lambda _, done, total: heard.append((done, total)))

    assert heard == [(500, None), (1000, None), (1250, 1250)]


_TEXTS = st.sampled_from(["", " ", "one", "two", "три", "q\0", "\ud800"])
_MESSAGES = st.builds(Message, id=st.sampled_from(["m", "m#2", "n", UID, ""]), text=_TEXTS,
                      role=st.sampled_from(["user", "assistant", "other", "narrator"]))
_CONVERSATIONS = st.builds(Conversation, id=st.sampled_from(["a", "b", "c", ""]), title=st.none() | st.just("Title"),
                           messages=st.lists(_MESSAGES, max_size=6).map(tuple),
                           source=st.sampled_from(["nexus", "chatgpt", None]))
_FOUND = st.builds(Found, file=st.sampled_from(["f", "g"]), conversation=st.none() | _CONVERSATIONS,
                   skipped=st.dictionaries(st.sampled_from(["tool", "empty"]), st.integers(0, 3)),
                   failure=st.none() | st.just("broken"))


@settings(max_examples=60, deadline=None)
@given(st.lists(_CONVERSATIONS | _FOUND, max_size=6))
def test_every_import_reconciles_and_once_is_enough(items: list[Any]) -> None:
    """Whatever comes, in whatever order and how often: nothing vanishes uncounted, and a second import adds nothing."""
    with TemporaryDirectory() as folder:
        archive = Archive(Home(folder))
        dry, wanted = archive.add(items, dry_run=True)
        first, changed = archive.add(items)
        before = everything(archive)
        again, nothing = archive.add(items)

        assert first.reconciles
        assert again.reconciles
        assert (replace(dry, dry_run=False), wanted) == (first, changed)
        assert (again.imported, again.updated, nothing) == (0, 0, [])
        assert (again.seen, dict(again.skipped), again.failed) == (first.seen, dict(first.skipped), first.failed)
        assert everything(archive) == before
        assert len({(c, m.id) for c, m in archive.messages()}) == archive.counts()["messages"] == first.imported


# ---- turns, points, settings -----------------------------------------------------------------------------------------

_WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
_TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
_RATIO = st.floats(0, 1)
_TURNS = st.builds(
    Turn, id=st.uuids().map(str), conversation=_WORDS, question=_WORDS, answer=_WORDS, thinking=_WORDS, model=_WORDS,
    role_map=_WORDS, status=st.sampled_from(["answered", "interrupted"]), time=_TIMES,
    route=st.builds(Route, role=_WORDS, probabilities=st.dictionaries(_WORDS, _RATIO, max_size=3), reason=_WORDS,
                    nearest=st.lists(st.builds(Example, _WORDS, _WORDS, _RATIO), max_size=2).map(tuple),
                    asked=st.booleans()),
    memories=st.lists(st.builds(Recalled, st.lists(_WORDS, max_size=2).map(tuple), _WORDS, _RATIO, _WORDS, _WORDS,
                                st.sampled_from(["user", "assistant"]), _TIMES), max_size=2).map(tuple),
    cited=st.lists(st.integers(1, 9), max_size=3).map(tuple), dropped=st.lists(_WORDS, max_size=2).map(tuple),
    usage=st.builds(Usage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), _RATIO, _RATIO))


@settings(max_examples=40, deadline=None)
@given(st.lists(_TURNS, max_size=4, unique_by=lambda turn: turn.id))
def test_a_turn_comes_back_whole(turns: list[Turn]) -> None:
    with TemporaryDirectory() as folder:
        archive = Archive(Home(folder))
        for turn in turns:
            archive.save_turn(turn)

        assert archive.turns() == turns


def turn(id: str, conversation: str = "chat", answer: str = "да") -> Turn:
    return Turn(id, conversation, "Ну?", answer, Route("critic", {"critic": 1.0}, "asked"), "answered", "core", "map")


def test_turns_come_oldest_first_and_a_limit_keeps_the_newest(archive: Archive) -> None:
    for one in (turn("1"), turn("2", "other"), turn("3"), turn("4"), turn("3", answer="lone \ud800")):
        archive.save_turn(one)

    assert [one.id for one in archive.turns()] == ["1", "2", "3", "4"]
    assert [one.id for one in archive.turns("chat", limit=2)] == ["3", "4"]
    assert archive.turns("chat", limit=0) == archive.turns("nobody") == []
    assert archive.turns("chat")[1].answer == "lone \ufffd\ufffd\ufffd"


def test_what_a_core_read_is_kept_and_read_again_replaces_it(archive: Archive) -> None:
    archive.add([talk("c", "I measure first.", "Then I decide.")])
    archive.save_points("core-a", [Point("c", "m1", 0, 16, "empiric", 0.7)], [("c", "m1"), ("c", "m2")])
    archive.save_points("core-b", [Point("c", "m1", 0, 16, "empiric", 0.9)], [("c", "m1")])

    assert archive.points() == [Point("c", "m1", 0, 16, "empiric", 0.9)]
    assert archive.points("core-a") == [Point("c", "m1", 0, 16, "empiric", 0.7)]
    assert archive.read_keys("core-b") == {("c", "m1")}
    assert archive.read_by_core() == 2
    archive.save_points("core-b", [], [("c", "m1")])
    assert archive.points("core-b") == []


def test_a_changed_text_must_be_read_again(archive: Archive) -> None:
    """Offsets into the old text would quote words the person did not write."""
    archive.add([talk("c", "I measure first.", "Other.")])
    archive.save_points("core", [Point("c", "m1", 0, 16, "empiric", 0.7)], [("c", "m1"), ("c", "m2")])
    archive.add([talk("c", "Now shorter.", "Other.")])

    assert archive.points() == []
    assert archive.read_keys("core") == {("c", "m2")}


def test_points_at_an_unknown_message_are_refused_whole(archive: Archive) -> None:
    archive.add([talk("c", "text")])
    with pytest.raises(UsageError, match="does not hold"):
        archive.save_points("core", [Point("c", "gone", 0, 1, "empiric", 0.7)], [("c", "m1")])

    assert archive.read_by_core() == 0


def test_settings_are_kept(archive: Archive) -> None:
    archive.set_setting("me", "Аня")
    archive.set_setting("me", "Анна")

    assert Archive(archive.home).setting("me") == "Анна"


# ---- what the person types to the twin -------------------------------------------------------------------------------

def asked(id: str, question: str, time: datetime | None = None, chat: str = "chat") -> Turn:
    return replace(turn(id, chat), question=question, time=time)


def typed(archive: Archive, chat: str = "chat") -> list[str]:
    return texts(archive, typed_in(chat))


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_what_is_typed_to_the_twin_is_the_persons_own_message(archive: Archive) -> None:
    archive.save_turn(asked(UID, "Почему так?\n```\ncode\n```", NOON))
    archive.save_turn(asked("t2", "And now?", NOON + timedelta(minutes=1)))
    (where, first), (_, second) = archive.messages(own=True)

    assert where == typed_in("chat") == "twin:chat"
    assert (first.id, first.role, first.time, first.source, first.flags) == (UID, "user", NOON, "twin", ("code",))
    assert second.text == "And now?"
    assert archive.conversation(where).title is None
    assert [(one.name, one.kinds, one.conversations, one.own, dict(one.languages)) for one in archive.sources()] == [
        ("twin", ("twin",), 1, 2, {"ru": 1, "en": 1})]
    assert [key for key, _ in archive.waiting(archive.unindexed()[1])] == [where, where], "the memory learns of them"


def test_nothing_typed_with_the_switch_off_becomes_a_message(archive: Archive) -> None:
    archive.save_turn(asked("t1", "Private"), own=False)

    assert [one.question for one in archive.turns()] == ["Private"]
    assert archive.counts() == {"conversations": 0, "messages": 0, "own_messages": 0, "turns": 1}
    assert archive.unindexed() == (0, 0)
    assert archive.sources() == []


def test_a_turn_that_ends_after_a_later_one_stands_where_it_was_asked(archive: Archive) -> None:
    """Two windows on one conversation: the longer answer is stored last."""
    for name, question, minute in (("a", "first", 0), ("c", "third", 2), ("b", "second", 1), ("d", "fourth", 3)):
        archive.save_turn(asked(name, question, NOON + timedelta(minutes=minute)))
    archive.save_turn(asked("e", "without a time"))

    assert typed(archive) == ["first", "second", "third", "fourth", "without a time"]


def test_a_turn_stored_again_changes_its_message_and_only_when_the_question_did(archive: Archive) -> None:
    archive.save_turn(replace(asked("t1", "What?", NOON), status="interrupted", answer="half"))
    archive.seen(archive.unindexed()[1])
    archive.save_turn(replace(asked("t1", "What?", NOON), answer="whole"))

    assert (typed(archive), archive.unindexed()[0], archive.turns()[0].answer) == (["What?"], 0, "whole")
    archive.save_turn(asked("t1", "What else?", NOON))
    assert (typed(archive), archive.unindexed()[0]) == (["What else?"], 1)
    assert [message.text for message in archive.revisions(typed_in("chat"), "t1")] == ["What?"]


def test_two_chats_typed_at_once_stay_two(archive: Archive) -> None:
    with Pool(4) as pool:
        list(pool.map(lambda n: archive.save_turn(asked(f"t{n}", f"question {n}", chat=f"chat{n % 2}"), wait_s=20),
                      range(12)))

    assert sorted(typed(archive, "chat0")) == sorted(f"question {n}" for n in range(0, 12, 2))
    assert sorted(typed(archive, "chat1")) == sorted(f"question {n}" for n in range(1, 12, 2))
    assert archive.counts()["turns"] == 12


def test_a_turn_is_stored_with_its_message_or_not_at_all(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Intake, "take", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        archive.save_turn(asked("t1", "What?"))

    assert archive.turns() == []


def test_words_the_person_confirmed_are_own_words_like_any_other(archive: Archive) -> None:
    """A face adds what the person confirmed as a conversation of its own."""
    words = said("m1", "Я пишу кратко.", flags=("confirmed",))
    archive.add([Conversation("confirmed:1", (words,), source="confirmed")])

    assert [(message.own, message.source, message.flags) for _, message in archive.messages()] == [
        (True, "confirmed", ("confirmed",))]
    assert archive.sources()[0].name == "confirmed"


# ---- what is kept of the profile -------------------------------------------------------------------------------------

def claim(archive: Archive, facet: str, *where: tuple[str, str], authority: Any = "inferred", text: str = "You ask.",
          confidence: float = 0.5) -> Claim:
    """A claim whose quotes are the first four letters of these messages."""
    held = {(conversation, message.id): message for conversation, message in archive.messages()}
    return Claim(facet, text, authority, confidence, tuple(
        Evidence(held[key].text[:4], *key, 0, 4, held[key].time) for key in where), months={"2026-03": 1})


def profile(*claims: Claim, level: float = 3) -> Profile:
    question = DepthOf(Evidence("Why?", "c", "m1", 0, 4, NOON), Depth(level, level, level, {}, "", SubQuestion("Why?")))
    return Profile(claims, (question,), 3, 2, 2, 1)


@pytest.fixture
def held(archive: Archive) -> Archive:
    """Two conversations of two messages each."""
    archive.add([talk("c", "Почему оно так устроено?", "First I measure."),
                 talk("d", "Why is it so?", "Then I decide.")])
    return archive


def kept(held: Archive, *claims: Claim, made: datetime = NOON, level: float = 3) -> Snapshot:
    one = snapshot(profile(*claims, level=level), made)
    held.save_snapshot(one)
    return one


def test_a_version_comes_back_whole_and_stands(held: Archive) -> None:
    one = kept(held, claim(held, "wants_measurements", ("c", "m2"), ("d", "m2")),
               claim(held, "fact.1", ("c", "m1"), authority="said", text="Тебе интересно."))

    assert held.snapshots() == [one]
    assert held.snapshot(one.version) == held.snapshot(one.version[:4]) == one
    assert verify(one, held.messages()).ok
    keys = [(mark.conversation, mark.message) for kept in one.claims for mark in kept.quotes]
    assert verify(one, held.messages(keys=keys)).ok


def test_words_against_a_claim_and_questions_shown_come_back_and_leave_with_their_message(held: Archive) -> None:
    one = replace(claim(held, "wants_measurements", ("c", "m2"), ("d", "m2")),
                  counter=claim(held, "x", ("d", "m1")).evidence)
    made = profile(one)
    shown = [DepthOf(claim(held, "x", key).evidence[0], made.questions[0].depth) for key in (("c", "m1"), ("d", "m1"))]
    kept = snapshot(made, NOON, shown)
    held.save_snapshot(kept)
    assert held.snapshots() == [kept]
    held.forget([("d", "m1")])
    left, = held.snapshots()

    assert [(len(one.quotes), one.counter) for one in left.claims] == [(2, ())]
    assert left.questions == kept.questions[:1]


def test_a_version_seen_again_only_moves_its_time(held: Archive) -> None:
    first, second = kept(held), kept(held, level=5, made=NOON + timedelta(days=1))
    again = replace(first, made=NOON + timedelta(days=2))
    held.save_snapshot(again)
    held.save_snapshot(first)

    assert held.snapshots(1) == [again]
    assert held.snapshots() == [second, again], "an earlier sighting that is stored late moves nothing back"


def test_an_unknown_version_is_told_which_there_are(held: Archive) -> None:
    with pytest.raises(UsageError, match=r"'zz'.*Build a profile"):
        held.snapshot("zz")
    one, two = kept(held), kept(held, level=5)
    with pytest.raises(UsageError, match=f"No version.*'zz'.*{one.version}"):
        held.snapshot("zz")
    with pytest.raises(UsageError, match=f"Several versions.*{one.version}, {two.version}"):
        held.snapshot("")
    with pytest.raises(UsageError, match="No version"):
        held.snapshot("%")


def test_a_profile_built_from_what_is_no_longer_there_is_kept_without_it(held: Archive) -> None:
    """Another process forgets while a profile is built: what is saved late must not bring it back."""
    both = claim(held, "wants_measurements", ("c", "m2"), ("d", "m2"))
    lost = claim(held, "plans_steps", ("c", "m2"))
    fact = claim(held, "fact.1", ("c", "m2"), ("d", "m2"), authority="said")
    dropped = claim(held, "doubts_self", ("d", "m2"))
    held.forget([("c", "m2")], facets=["doubts_self"])
    kept(held, both, lost, fact, dropped)

    assert [(one.id, [mark.conversation for mark in one.quotes]) for one in held.snapshots()[0].claims] == [
        ("wants_measurements", ["d"])]


def test_decisions_are_kept_in_their_order(archive: Archive) -> None:
    wanted = [Decision("plans_steps", "approve", time=NOON), Decision("fact.1", "edit", "Я живу у моря.", NOON),
              Decision("plans_steps", "reject", time=NOON)]
    for one in wanted:
        archive.save_decision(one)
    archive.save_decision(Decision("plans_steps", "undo"))

    assert archive.decisions()[:3] == wanted
    assert archive.decisions()[3].time is not None
    with pytest.raises(UsageError, match=r"'love'.*approve"):
        archive.save_decision(Decision("plans_steps", "love"))  # type: ignore[arg-type]


def test_nothing_is_decided_about_a_forgotten_claim(archive: Archive) -> None:
    archive.add([talk("c", "text")])
    archive.forget(facets=["plans_steps"])

    with pytest.raises(UsageError, match="was forgotten"):
        archive.save_decision(Decision("plans_steps", "approve"))
    assert archive.decisions() == []


def free(text: str, *spans: tuple[str, str, int, int]) -> FreeClaim:
    return FreeClaim("values", text, "en", spans, 0.75)


def test_claims_of_a_core_come_back_and_a_second_reading_replaces_them(held: Archive) -> None:
    one, two = free("Asks why.", ("c", "m1", 0, 6), ("d", "m1", 0, 3)), free("Measures.", ("c", "m2", 0, 5))
    held.save_free("core-a", [one, two], [("c", "m1"), ("c", "m2"), ("d", "m1")])
    held.save_free("core-b", [two], [("c", "m2")])

    assert held.free() == [one, two, two]
    assert held.free("core-b") == [two]
    assert held.free_read_keys("core-b") == {("c", "m2")}
    assert held.free_read_keys("core-a") == {("c", "m1"), ("c", "m2"), ("d", "m1")} == held.free_read_keys()
    held.save_free("core-a", [free("Asks.", ("d", "m1", 0, 3))], [("d", "m1")])
    assert [claim.text for claim in held.free("core-a")] == ["Measures.", "Asks."]
    assert held.read_keys() == set(), "points and claims are read apart"


def test_claims_about_an_unknown_message_are_refused_whole(held: Archive) -> None:
    for claims, keys in (([], [("c", "gone")]), ([free("A", ("c", "gone", 0, 1))], [("c", "m1")])):
        with pytest.raises(UsageError, match="does not hold"):
            held.save_free("core", claims, keys)

    assert held.free() == []
    assert held.free_read_keys() == set()


def test_a_changed_text_takes_the_claims_made_of_it_along(held: Archive) -> None:
    held.save_free("core", [free("A.", ("c", "m1", 0, 6)), free("B.", ("d", "m1", 0, 3))], [("c", "m1"), ("d", "m1")])
    held.add([talk("c", "Иначе.")])

    assert [claim.text for claim in held.free()] == ["B."]
    assert held.free_read_keys() == {("d", "m1")}


def test_the_newest_failures_are_kept_with_what_the_core_wrote(held: Archive) -> None:
    for number in range(FAILURES + 3):
        held.save_failure("core", "InvalidOutput", [("c", "m1"), ("d", "m1")], f'{{"claims": [{number}')
    held.save_failure("core", "Truncated", [("c", "unknown")], "of a message that was forgotten meanwhile")
    found = held.failures()

    assert len(found) == FAILURES
    assert (found[0].raw, found[-1].raw) == ('{"claims": [3', f'{{"claims": [{FAILURES + 2}')
    assert (found[-1].model, found[-1].kind, found[-1].keys) == ("core", "InvalidOutput", (("c", "m1"), ("d", "m1")))
    assert "claims" not in repr(found[-1])


def test_an_archive_of_the_fourth_version_is_read_with_nothing_kept(archive: Archive) -> None:
    with of_version(archive, 4) as db:
        db.execute("INSERT INTO settings VALUES ('me', 'Аня')")

    assert (archive.snapshots(), archive.decisions(), archive.free(), archive.failures()) == ([], [], [], [])
    assert archive.setting("me") == "Аня"


def test_an_empty_home_keeps_nothing_of_a_profile_and_stays_untouched(archive: Archive) -> None:
    assert (archive.snapshots(), archive.decisions(), archive.free(), archive.failures()) == ([], [], [], [])
    assert archive.free_read_keys() == set()
    assert archive.claim_texts(["plans_steps"]) == []
    assert not archive.home.root.exists()


# ---- the file: versions, damage, other writers, full disks, kills ----------------------------------------------------

def test_a_migration_goes_forward_after_a_copy(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.add([talk("c", "kept")])
    archive.save_turn(turn("1"))
    version = len(database.MIGRATIONS)
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, "ALTER TABLE settings ADD COLUMN since TEXT"))

    assert texts(archive, "c") == ["kept"], "reading brings the file to the new version"
    assert [one.id for one in archive.turns()] == ["1"]
    copy = archive.home.root / f"archive.sqlite.v{version}.bak"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as old, closing(sqlite3.connect(archive.home.archive)) as new:
        assert old.execute("PRAGMA user_version").fetchone() == (version,)
        assert new.execute("PRAGMA user_version").fetchone() == (version + 1,)
        assert old.execute("SELECT text FROM messages").fetchone() == ("kept",)
        assert "since" in [row[1] for row in new.execute("PRAGMA table_info(settings)")]


@contextmanager
def of_version(archive: Archive, version: int) -> Iterator[sqlite3.Connection]:
    """A file as an older twin left it."""
    archive.home.create()
    with closing(sqlite3.connect(archive.home.archive)) as db:
        database._functions(db)
        for script in database.MIGRATIONS[:version]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {version}")
        yield db
        db.commit()


def test_turns_of_the_first_version_are_read_with_the_new_fields_empty(archive: Archive) -> None:
    """Archives made before turns kept their header and the ids of their answer."""
    with of_version(archive, 1) as db:
        db.execute("INSERT INTO turns (id, conversation, question, answer, route, status, model, role_map, "
                   "memories, cited, dropped, thinking, usage) VALUES ('t', 'c', 'q', 'a', ?, 'answered', 'm', "
                   "'v', '[]', '[]', '[]', '', '{\"prompt_tokens\": 9, \"reused\": 4}')",
                   ('{"role": "critic", "probabilities": {}, "reason": "", "nearest": []}',))

    old = archive.turns()[0]
    assert (old.header, old.adapted, old.written, old.usage.prompt_tokens, old.usage.reread) == ("", False, None, 9, 0)


def test_an_archive_of_the_second_version_learns_languages_and_keeps_its_files(archive: Archive) -> None:
    """It did not note which file showed which message: those stand under their kind until they are imported again."""
    report = {"seen": 2, "imported": 2, "failures": ["secret"], "files": ["a.json"],
              "repairs": [{"before": "secret", "after": "secret"}]}
    with of_version(archive, 2) as db:
        db.execute("INSERT INTO conversations (id, source) VALUES ('c', 'chatgpt')")
        for position, (name, text) in enumerate((("m1", "Почему так?"), ("m2", QUOTED))):
            hash_ = digest(json.dumps(["user", True, [], text], ensure_ascii=False))
            db.execute("INSERT INTO messages VALUES ('c', ?, ?, 'user', ?, NULL, NULL, 1, '[]', NULL, 'chatgpt', ?)",
                       (name, position, text, hash_))
        db.execute("INSERT INTO sources VALUES ('a.json', '', '2026-01-01T00:00:00+00:00', ?)", (json.dumps(report),))

    source, = archive.sources()
    assert (source.name, source.messages, dict(source.languages)) == ("chatgpt", 2, {"ru": 1, "en": 1})
    assert archive.conversation("c").messages[1].flags == ("quoted",)
    assert [(one["root"], one["file"], one["report"]) for one in archive.files()] == [
        ("", "a.json", {"seen": 2, "imported": 2})]
    again, _ = archive.add([Found("a.json", talk("c", "Почему так?", QUOTED, source="chatgpt"))], root="export.zip")
    assert again.unchanged == 2
    assert [(one.name, one.messages) for one in archive.sources()] == [("export.zip", 2)]
    assert [one["root"] for one in archive.files()] == ["export.zip"]


def test_a_file_from_before_versions_is_copied_and_kept(archive: Archive) -> None:
    archive.home.create()
    with closing(sqlite3.connect(archive.home.archive)) as db:
        db.execute("CREATE TABLE sketches (text TEXT)")
        db.execute("INSERT INTO sketches VALUES ('first')")
        db.commit()
    archive.add([talk("c", "new")])

    for path in (archive.home.archive, archive.home.root / "archive.sqlite.v0.bak"):
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT text FROM sketches").fetchone() == ("first",)
    assert texts(archive, "c") == ["new"]


def test_a_migration_that_fails_changes_nothing(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.add([talk("c", "kept")])
    bad = "CREATE TABLE moods (text TEXT); ALTER TABLE nowhere ADD COLUMN since TEXT"
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, bad))
        with pytest.raises(HomeError, match="nowhere"):
            archive.counts()

    assert texts(archive, "c") == ["kept"]
    with closing(sqlite3.connect(archive.home.archive)) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'moods'").fetchone() == (0,)


def test_an_archive_of_a_newer_version_is_left_alone(archive: Archive) -> None:
    archive.add([talk("c", "kept")])
    with closing(sqlite3.connect(archive.home.archive)) as db:
        db.execute("PRAGMA user_version = 99")
    before = archive.home.archive.read_bytes()

    with pytest.raises(HomeTooNew, match="99"):
        archive.counts()
    with pytest.raises(HomeTooNew, match="Update twin"):
        archive.add([talk("c", "more")])
    assert archive.home.archive.read_bytes() == before


def test_a_damaged_file_is_named_with_a_next_step(archive: Archive) -> None:
    archive.home.create()
    archive.home.archive.write_bytes(b"<!doctype html>" * 400)

    for use in (archive.counts, lambda: archive.set_setting("a", "b"),
                lambda: archive.add([talk("c", "x")], dry_run=True)):
        with pytest.raises(HomeError, match=r"damaged.*backup"):
            use()


def test_a_second_writer_is_told_who_writes(archive: Archive) -> None:
    code = ("import sys, time; from twin.home import Home\n"
            "with Home(sys.argv[1]).writing('memory rebuild'): print('held', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", code, str(archive.home.root)], cwd=ROOT, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(HomeBusy, match=f"process {other.pid} .*memory rebuild"):
            archive.add([talk("c", "text")])
        assert archive.counts()["messages"] == 0, "reading goes on meanwhile"
        other.stdin.close()
    assert archive.add([talk("c", "text")])[0].imported == 1


def test_a_foreign_program_that_locks_the_file_is_named(archive: Archive) -> None:
    archive.add([talk("c", "text")])
    with closing(sqlite3.connect(archive.home.archive, isolation_level=None)) as browser:
        browser.execute("BEGIN IMMEDIATE")
        with pytest.raises(HomeBusy, match="database browser"):
            archive.set_setting("a", "b")
        assert archive.counts()["messages"] == 1, "reading goes on meanwhile"


def test_an_import_can_be_read_while_it_is_written(archive: Archive) -> None:
    """A reader sees whole batches, never half of one."""
    seen: list[int] = []

    def slowly() -> Iterator[Conversation]:
        for number in range(6):
            yield talk(str(number), *map(str, range(1, 251)))
            seen.append(archive.counts()["messages"])

    archive.add(slowly())

    assert seen == [0, 500, 500, 1000, 1000, 1500]


IMPORT = """
import resource, sys
from twin.archive import Archive
from twin.errors import HomeFull
from twin.home import Home
from twin.types import Conversation, Message
if int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)  # Python ignores SIGXFSZ: writes fail with EFBIG
conversations = [Conversation(f"c{n}", tuple(Message(f"m{m}", "user", f"text {n} {m} " * 20) for m in range(5)))
                 for n in range(600)]
try:
    print("done", Archive(Home(sys.argv[1])).add(
        conversations, progress=lambda what, done, total: print(done, flush=True))[0].imported)
except HomeFull as error:
    print(error)
"""


def start_import(home: Path, limit: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", IMPORT, str(home), str(limit)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE)


def assert_whole(archive: Archive) -> int:
    """Every stored conversation is complete and the file is sound; returns how many there are."""
    with closing(sqlite3.connect(archive.home.archive)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert {len(conversation.messages) for conversation in archive.conversations()} <= {5}
    return archive.counts()["conversations"]


def test_kill_9_during_an_import_loses_nothing_acknowledged(archive: Archive) -> None:
    for acknowledged in (500, 1000, 2000):
        with start_import(archive.home.root) as child:
            while (line := child.stdout.readline()) and int(line) < acknowledged:
                pass
            os.kill(child.pid, signal.SIGKILL)
        assert assert_whole(archive) >= acknowledged // 5
    with start_import(archive.home.root) as child:
        rest = int(child.communicate()[0].split()[-1])

    assert rest < 3000, "nothing was kept by the killed imports"
    assert assert_whole(archive) == 600


def test_a_full_disk_is_named_and_what_was_complete_stays(archive: Archive) -> None:
    with start_import(archive.home.root, limit=700_000) as child:
        out = child.communicate()[0]

    assert "free some space" in out.splitlines()[-1]
    kept = assert_whole(archive)
    assert 0 < kept < 600
    with start_import(archive.home.root) as child:
        assert child.communicate()[0].splitlines()[-1] == f"done {5 * (600 - kept)}"
    assert assert_whole(archive) == 600


def test_a_full_disk_at_the_very_first_write_is_named(archive: Archive) -> None:
    with start_import(archive.home.root, limit=8000) as child:
        assert "Nothing was half-written" in child.communicate()[0]
    assert archive.counts()["messages"] == 0


def test_a_home_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(HomeError):
        Archive(Home(tmp_path / "home")).set_setting("a", "b")
