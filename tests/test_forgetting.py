"""What is taken back is gone: from the archive and its raw pages, from memory, turns, exports; and it stays away."""
from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin import forgetting
from twin.archive import Archive, traces, typed_in
from twin.archive.traces import MARK, RUN, redacted, runs_of, sample
from twin.claims import free_claims, free_id
from twin.errors import HomeBusy, UsageError
from twin.facets import facets, shown
from twin.home import Home
from twin.importers import Found
from twin.memory import Memory
from twin.person import Claim, Decision, Evidence, FreeClaim, Profile
from twin.profile import Point, build
from twin.types import Conversation, Message, Recalled, Route, Turn, Written
from twin.verification import snapshot, verify

ROOT = Path(__file__).parent.parent
UID = "5f0c2a6e-1111-4222-8333-9a8b7c6d5e4f"
SECRET = "Ключ от дачи лежит под третьим кирпичом у старого колодца."  # noqa: S105 - a sentence
OTHER = "The blue bicycle needs a new chain before the summer trip."



class Shelf:
    """The least memory there can be: one file, as real as the text in it."""

    def __init__(self, home: Home) -> None:
        self.path = home.memory / "shelf.json"

    def add(self, archive: Archive) -> None:
        self.path.parent.mkdir(exist_ok=True, parents=True)
        self._write({f"{conversation} {message.id}": message.text for conversation, message in archive.messages()})

    def forget(self, keys: Collection[tuple[str, str]]) -> int:
        held = dict(self._read())
        gone = {" ".join(key) for key in keys} & held.keys()
        self._write({key: text for key, text in held.items() if key not in gone})
        return len(gone)

    def contents(self) -> Iterator[tuple[str, str]]:
        yield from self._read().items()

    def _read(self) -> dict[str, str]:
        return json.loads(self.path.read_text("utf-8")) if self.path.exists() else {}

    def _write(self, held: dict[str, str]) -> None:
        if self.path.parent.is_dir():
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(held, ensure_ascii=False), "utf-8")
            new.replace(self.path)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(Home(tmp_path / "home"))


def forget(archive: Archive, target: str) -> forgetting.Forgotten:
    return forgetting.forget(archive.home, archive, Shelf(archive.home), target)


def said(id: str, text: str, **more: Any) -> Message:
    return Message(id, more.pop("role", "user"), text, **more)


def talk(id: str, *texts: str, source: str | None = "chatgpt") -> Conversation:
    return Conversation(id, tuple(said(f"m{n}", text) for n, text in enumerate(texts, 1)), source=source)


def texts(archive: Archive) -> list[str]:
    return [message.text for _, message in archive.messages()]


def places_of(folder: Path, text: str) -> list[str]:
    """Files with a run of the text, searched the plain way: independent of the scanner under test."""
    runs = {text[at:at + RUN].encode() for at in range(len(text) - RUN + 1)}
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))
            if path.is_file() and any(run in path.read_bytes() for run in runs)]


def turn(id: str, question: str, answer: str, *shown: Recalled, chat: str = "chat", **more: Any) -> Turn:
    return Turn(id, chat, question, answer, Route("evolutionist", {"evolutionist": 1.0}, "asked"), "answered", "core",
                "map", memories=shown, written=Written("core", (1, 2, 3)), **more)


def recalled(conversation: str, message: str, text: str) -> Recalled:
    return Recalled((message,), text, 0.5, "words: ключ", conversation)


# ---- gone, and it stays away -----------------------------------------------------------------------------------------

def test_a_forgotten_message_is_gone_and_an_import_does_not_bring_it_back(archive: Archive) -> None:
    archive.add([talk("c", SECRET, OTHER)])
    gone = forget(archive, "c/m1")

    assert (gone.kind, gone.messages, gone.conversations, gone.tombstones) == ("message", 1, 0, 1)
    assert texts(archive) == [OTHER]
    report, changed = archive.add([talk("c", SECRET, OTHER, "newer")])
    assert (report.imported, report.unchanged, dict(report.skipped)) == (1, 1, {"forgotten": 1})
    assert report.reconciles
    assert changed == [("c", "m3")]
    assert archive.forgotten() == {"messages": 1, "conversations": 0, "claims": 0}


def test_a_dry_run_knows_what_is_forgotten(archive: Archive) -> None:
    archive.add([talk("c", SECRET, OTHER)])
    forget(archive, "c/m1")
    dry, _ = archive.add([talk("c", SECRET, OTHER)], dry_run=True)

    assert dry == replace(archive.add([talk("c", SECRET, OTHER)])[0], dry_run=True)


def test_a_forgotten_conversation_stays_out_with_all_that_is_new_in_it(archive: Archive) -> None:
    archive.add([talk("c", SECRET), talk("d", OTHER)])
    gone = forget(archive, "c")
    report, _ = archive.add([talk("c", SECRET, "said later")])

    assert (gone.kind, gone.messages, gone.conversations) == ("conversation", 1, 1)
    assert dict(report.skipped) == {"forgotten": 2}
    assert [conversation.id for conversation in archive.conversations()] == ["d"]
    assert archive.forgotten()["conversations"] == 1


def test_a_forgotten_conversation_is_known_under_another_name_and_in_another_format(archive: Archive) -> None:
    """The note of a chat has other conversation ids than its export; what they share is the id of a message. Once
    known, the other name alone is enough."""
    export = Conversation("chat", (said("a", "First"), said(UID, SECRET)), source="chatgpt")
    note = Conversation("note", (said(UID, SECRET), said("z", "Noted later")), source="nexus")
    archive.add([export])
    forget(archive, "conversation:chat")

    assert dict(archive.add([note])[0].skipped) == {"forgotten": 2}
    assert dict(archive.add([Conversation("note", (said("zz", "Much later"),))])[0].skipped) == {"forgotten": 1}
    assert texts(archive) == []


def test_other_names_of_a_conversation_are_forgotten_with_it(archive: Archive) -> None:
    archive.add([Conversation("a", (said(UID, SECRET), said("s", "short id"))),
                 Conversation("b", (said(UID, SECRET),))])
    forget(archive, "message:a/s")
    forget(archive, "b")  # the alias

    assert texts(archive) == []
    again, _ = archive.add([Conversation("b", (said("s", "short id"), said("t", "new")))])
    assert dict(again.skipped) == {"forgotten": 2}


def test_a_message_is_known_in_another_conversation_by_an_id_that_is_unique(archive: Archive) -> None:
    archive.add([Conversation("a", (said(UID, SECRET), said("x", OTHER)))])
    forget(archive, UID)
    report, _ = archive.add([Conversation("b", (said(UID, SECRET), said("x", "of another chat")))])

    assert (report.imported, dict(report.skipped)) == (1, {"forgotten": 1})
    assert SECRET not in texts(archive)


def test_short_ids_of_other_conversations_are_not_forgotten(archive: Archive) -> None:
    archive.add([talk("c", SECRET), talk("d", OTHER)])
    forget(archive, "c")
    report, _ = archive.add([talk("e", "m1 of another chat")])

    assert report.imported == 1


def test_all_that_a_source_brought_goes_also_what_another_brought_too(archive: Archive) -> None:
    both = talk("c", SECRET, "in both")
    archive.add([Found("export.zip/a.json", both), Found("export.zip/b.json", talk("only", "only here"))],
                root="export.zip")
    archive.add([Found("notes/c.md", talk("c", SECRET, "in both", "only in the note", source="nexus"))], root="notes")
    gone = forget(archive, "export.zip")

    assert (gone.kind, gone.messages, gone.conversations, dict(gone.also)) == ("source", 3, 1, {"notes": 2})
    assert texts(archive) == ["only in the note"]
    assert [(one.name, one.messages) for one in archive.sources()] == [("notes", 1)]
    again, _ = archive.add([Found("export.zip/a.json", both)], root="export.zip")
    assert dict(again.skipped) == {"forgotten": 2}
    assert [one["root"] for one in archive.files()] == ["notes"], "the name of a forgotten file came back"


@pytest.mark.parametrize(("target", "left"), [
    ("export.zip/a.json", ["two", "three"]), ("kind:telegram", ["one", "two"]), ("telegram", ["one", "two"]),
    ("source:export.zip", ["three"])])
def test_a_file_and_a_kind_can_be_forgotten(archive: Archive, target: str, left: list[str]) -> None:
    archive.add([Found("export.zip/a.json", talk("a", "one")), Found("export.zip/b.json", talk("b", "two"))],
                root="export.zip")
    archive.add([talk("t", "three", source="telegram")])
    forget(archive, target)

    assert texts(archive) == left


# ---- what is meant ---------------------------------------------------------------------------------------------------

def test_an_unknown_name_is_told_what_is_near(archive: Archive) -> None:
    archive.add([Found("a.json", talk("c", SECRET))], root="export-2026.zip")
    with pytest.raises(UsageError, match=r"export-2025\.zip.*Near it: export-2026\.zip"):
        forget(archive, "export-2025.zip")
    with pytest.raises(UsageError, match=r"nonsense.*twin sources"):
        forget(archive, "nonsense")
    assert texts(archive) == [SECRET]


def test_a_name_of_several_things_is_not_guessed(archive: Archive) -> None:
    archive.add([talk("c", SECRET), talk("d", OTHER), talk("chatgpt", "a conversation of this name")])
    with pytest.raises(UsageError, match=r"Say which: message:c/m1, message:d/m1"):
        forget(archive, "m1")
    with pytest.raises(UsageError, match=r"kind:chatgpt, conversation:chatgpt"):
        forget(archive, "chatgpt")
    assert len(texts(archive)) == 3
    assert forget(archive, "message:d/m1").messages == 1
    assert forget(archive, "conversation:chatgpt").messages == 1
    assert texts(archive) == [SECRET]


# ---- nothing of it is left in the file -------------------------------------------------------------------------------

def test_raw_pages_hold_nothing_of_it_nor_does_what_older_versions_left(archive: Archive) -> None:
    """SQLite keeps what was deleted in free pages; an older twin deleted without overwriting, and copied the file
    whole before a migration."""
    archive.add([talk("c", SECRET * 300, OTHER)])
    with closing(sqlite3.connect(archive.home.archive, isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("CREATE TABLE scratch (text TEXT)")
        db.execute("INSERT INTO scratch VALUES (?)", (SECRET * 200,))
        db.execute("DROP TABLE scratch")
    shutil.copy(archive.home.archive, archive.home.root / "archive.sqlite.v2.bak")
    assert places_of(archive.home.root, SECRET) == ["archive.sqlite", "archive.sqlite.v2.bak"]
    gone = forget(archive, "c/m1")

    assert places_of(archive.home.root, SECRET) == []
    assert gone.removed == ("archive.sqlite.v2.bak",)
    assert gone.clean
    assert texts(archive) == [OTHER]


def test_tombstones_hold_no_ids(archive: Archive) -> None:
    archive.add([Conversation("a-conversation-of-mine", (said("a-message-of-mine-1", SECRET),), source="chatgpt")])
    forget(archive, "a-conversation-of-mine")

    raw = archive.home.archive.read_bytes()
    assert b"of-mine" not in raw
    assert archive.forgotten() == {"messages": 1, "conversations": 1, "claims": 0}


def test_revisions_titles_points_and_the_digest_go_with_a_message(archive: Archive) -> None:
    archive.add([Conversation("c", (said("m1", SECRET), said("m2", OTHER)), title=f"О том, что {SECRET[:20]}")])
    archive.add([talk("c", SECRET.replace("третьим", "пятым"), OTHER, source=None)])
    archive.save_points("core", [Point("c", "m1", 0, 9, "empiric", 0.7)], [("c", "m1"), ("c", "m2")])
    archive.set_setting("profile.digest", "He hides keys.")
    forget(archive, "c/m1")

    assert archive.revisions("c", "m1") == archive.points() == []
    assert archive.read_keys() == {("c", "m2")}
    assert archive.setting("profile.digest") is None
    assert archive.conversation("c").title == f"О том, что {MARK}"
    assert places_of(archive.home.root, SECRET) == []


def test_a_reader_that_holds_the_old_file_is_waited_for_and_the_rest_is_done_later(archive: Archive) -> None:
    archive.add([talk("c", SECRET, OTHER)])
    with closing(sqlite3.connect(archive.home.archive, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        with pytest.raises(HomeBusy, match="do the same again"):
            forget(archive, "c/m1")
        assert archive.pending() is not None
    done = forgetting.finish(archive.home, archive, Shelf(archive.home))

    assert done is not None
    assert archive.pending() is None
    assert places_of(archive.home.root, SECRET) == []
    assert forgetting.finish(archive.home, archive, Shelf(archive.home)) is None


# ---- turns -----------------------------------------------------------------------------------------------------------

def test_a_turn_loses_what_it_recalled_and_quoted(archive: Archive) -> None:
    archive.add([talk("c", SECRET, OTHER)])
    shown = recalled("c", "m2", OTHER), recalled("c", "m1", SECRET), recalled("c", "m2", OTHER)
    archive.save_turn(turn("1", "Где ключ от дачи?", "Ключ от дачи лежит под третьим кирпичом [2], цепь [3], [1], [9].",
                           *shown, cited=(2, 3), thinking=f"Записано: {SECRET}"))
    archive.save_turn(turn("2", "И всё?", "Да: под третьим кирпичом.", header="Ты evolutionist"))
    gone = forget(archive, "c/m1")
    first, second = archive.turns()

    assert gone.turns == 2
    assert first.memories == (shown[0], shown[2])
    assert first.cited == (2,)
    assert first.answer == f"{MARK} {MARK}, цепь [2], [1], [9]."
    assert first.thinking == f"Записано: {MARK}"
    assert (first.written, second.written) == (None, None)
    assert second.answer == f"Да: {MARK}."
    assert first.route.role == "evolutionist"
    assert (second.question, second.header) == ("И всё?", "Ты evolutionist")


def test_other_turns_keep_what_is_said_elsewhere_too(archive: Archive) -> None:
    """A phrase that a message which remains says as well is no trace; a run of its own is one wherever it stands."""
    archive.add([talk("c", f"Мне нужно понять, где это. {SECRET}", "Мне нужно понять, где мы.")])
    kept = turn("1", "Мне нужно понять, где кот.", "Не знаю.", chat="other")
    archive.save_turn(kept)
    archive.save_turn(turn("2", "Что под третьим кирпичом у колодца?", "Не знаю.", chat="other"), own=False)
    forget(archive, "c/m1")
    first, second = archive.turns()

    assert first == kept
    assert second.question == f"Что {MARK} колодца?"
    assert places_of(archive.home.root, SECRET) == []


def test_an_answer_that_was_written_meanwhile_does_not_bring_it_back(archive: Archive) -> None:
    """Another process may recall a message, take a minute to answer, and store the turn when it is forgotten."""
    archive.add([talk("c", SECRET, OTHER)])
    forget(archive, "c/m1")
    archive.save_turn(turn("1", "Где ключ?", f"Так: {SECRET} [1]", recalled("c", "m1", SECRET)))

    assert archive.turns()[0].memories == ()
    assert archive.turns()[0].answer == f"Так: {MARK} {MARK}"
    assert places_of(archive.home.root, SECRET) == []


# ---- files -----------------------------------------------------------------------------------------------------------

def written(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return sha256(text.encode()).hexdigest()


def test_exports_snapshots_and_caches_made_of_it_go(archive: Archive, tmp_path: Path) -> None:
    archive.add([talk("c", SECRET, OTHER)])
    home = archive.home
    files = {name: home.root / name for name in ("exports/all.md", "exports/kept.md", "exports/unknown.md",
                                                 "snapshots/a.kv", "snapshots/.a.kv.x7", "cache/c.bin")}
    hashes = {name: written(path, SECRET if name != "exports/kept.md" else OTHER) for name, path in files.items()}
    archive.register("export", files["exports/all.md"], sha256=hashes["exports/all.md"])
    archive.register("export", files["exports/kept.md"], keys=[("c", "m2")])
    archive.register("cache", files["cache/c.bin"], keys=[("c", "m1"), ("c", "nothing")])
    same, changed, moved = (tmp_path / name for name in ("same.md", "changed.md", "moved.md"))
    archive.register("export", same, sha256=written(same, SECRET))
    archive.register("export", changed, sha256=written(changed, SECRET))
    archive.register("export", moved, sha256="0" * 64)
    written(changed, f"My own words round it: {SECRET}")
    gone = forget(archive, "c/m1")

    assert set(gone.removed) == {*files.keys() - {"exports/kept.md"}, str(same)}
    assert gone.carried_away == (str(changed), str(moved))
    assert [path.name for path in (same, changed) if path.exists()] == ["changed.md"]
    assert [path.name for path in home.root.rglob("*.md")] == ["kept.md"]
    assert [one.path for one in archive.derived()] == [files["exports/kept.md"]]
    assert {check.where: (check.before > 0, check.after) for check in gone.proof if check.where in (
        "exports", "snapshots", "cache")} == dict.fromkeys(("exports", "snapshots", "cache"), (True, 0))
    assert gone.clean


def test_a_file_that_a_path_or_a_link_leads_to_outside_the_home_goes_only_by_its_sum(
        archive: Archive, tmp_path: Path) -> None:
    archive.add([talk("c", SECRET)])
    home, elsewhere = archive.home, tmp_path / "elsewhere"
    for name in ("climbed.md", "linked.md"):
        written(elsewhere / name, SECRET)
    (home.root / "cache").symlink_to(elsewhere)
    archive.register("export", home.root / "cache" / "linked.md")
    archive.register("export", "x.md")
    with closing(sqlite3.connect(home.archive)) as db:
        db.execute("UPDATE derived SET path = '../elsewhere/climbed.md' WHERE path = 'x.md'")
        db.commit()
    gone = forget(archive, "c/m1")

    assert sorted(path.name for path in elsewhere.iterdir()) == ["climbed.md", "linked.md"]
    assert len(gone.carried_away) == 2
    assert archive.derived() == []


def test_an_adapter_trained_on_it_is_stale_until_the_person_allows_it(archive: Archive) -> None:
    archive.add([talk("c", SECRET, OTHER)])
    paths = [archive.home.adapters / name for name in ("all.gguf", "one.gguf", "other.gguf")]
    for path, keys in zip(paths, (None, [("c", "m1")], [("c", "m2")]), strict=True):
        archive.register("adapter", path, sha256=written(path, path.name), keys=keys)
    gone = forget(archive, "c/m1")

    assert gone.adapters == (str(paths[0]), str(paths[1]))
    assert [(one.path, one.sha256) for one in archive.stale_adapters()] == [
        (path, sha256(path.name.encode()).hexdigest()) for path in paths[:2]]
    assert all(path.exists() for path in paths)
    assert archive.allow_adapter(paths[0]) == archive.allow_adapter(sha256(b"one.gguf").hexdigest()) == 1
    assert archive.stale_adapters() == []
    assert archive.allow_adapter(paths[2]) == 0


def test_an_unknown_kind_of_file_is_not_registered(archive: Archive) -> None:
    with pytest.raises(UsageError, match="export"):
        archive.register("photo", "a.jpg")


# ---- claims ----------------------------------------------------------------------------------------------------------

FACET, (SENTENCE, AGAIN, THIRD, *_) = next((key, found) for key, found in (
    (key, [one for language in ("en", "ru") for one in facet.supports[language] if key in shown(one)])
    for key, facet in facets().items()) if len(found) > 2)


def test_a_forgotten_claim_takes_its_points_and_exports_along_and_stays_away(archive: Archive) -> None:
    archive.add([talk("c", SENTENCE, OTHER)])
    archive.save_points("core", [Point("c", "m1", 0, 9, FACET, 0.9)], [("c", "m1")])
    says = facets()[FACET].text["en"]
    archive.set_setting("profile.digest", says)
    written(archive.home.exports / "prompt.md", says)
    adapter = archive.home.adapters / "a.gguf"
    archive.register("adapter", adapter)
    gone = forget(archive, f"claim:{FACET}")

    assert (gone.kind, gone.claims, gone.messages, gone.removed) == ("claim", (FACET,), 0, ("exports/prompt.md",))
    assert gone.clean
    assert {check.where for check in gone.proof if check.before} == {"archive.sqlite", "exports"}
    assert texts(archive) == [SENTENCE, OTHER], "what was said stays"
    assert archive.forgotten_claims(facets()) == {FACET}
    assert archive.stale_adapters() == []
    archive.save_points("core", [Point("c", "m1", 0, 9, FACET, 0.9)], [("c", "m1")])
    assert archive.points() == []
    assert places_of(archive.home.root, says) == []


def test_claims_that_lose_their_last_evidence_are_named(archive: Archive) -> None:
    """A claim takes two conversations, so it is lost with the last but one."""
    archive.add([talk("a", SENTENCE), talk("b", f"{OTHER} {AGAIN}")])
    before = {claim.facet for claim in build(archive.messages()).claims}
    gone = forget(archive, "a")
    after = {claim.facet for claim in build(archive.messages()).claims}

    assert FACET in before
    assert set(gone.claims) == before - after


def test_a_claim_with_other_evidence_is_not_lost(archive: Archive) -> None:
    archive.add([talk("a", SENTENCE), talk("b", f"{OTHER} {AGAIN}"), talk("c", THIRD), talk("d", SENTENCE)])

    assert FACET not in forget(archive, "a").claims
    assert FACET not in forget(archive, "d").claims
    assert FACET in forget(archive, "b").claims


def test_what_was_no_claim_is_not_lost(archive: Archive) -> None:
    archive.add([talk("a", SENTENCE), talk("b", OTHER), talk("c", SENTENCE)])

    assert forget(archive, "a").claims == ()


# ---- what is kept of the profile -------------------------------------------------------------------------------------

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def keep(archive: Archive, *claims: Claim) -> str:
    """Keep a version of a profile of these claims; returns its name."""
    one = snapshot(Profile(claims, (), 3, 3, 2, 0, "ru"), NOON)
    archive.save_snapshot(one)
    return one.version


def claim(archive: Archive, name: str, text: str, *keys: tuple[str, str], authority: Any = "inferred") -> Claim:
    """A claim that quotes these messages whole."""
    held = {(conversation, message.id): message.text for conversation, message in archive.messages()}
    return Claim(name, text, authority, 0.5, tuple(Evidence(held[key], *key, 0, len(held[key])) for key in keys))


def claims(archive: Archive) -> list[tuple[str, int]]:
    """The claims of all versions, with how many quotes each has."""
    return [(one.id, len(one.quotes)) for version in archive.snapshots() for one in version.claims]


def test_what_was_concluded_from_a_message_leaves_with_it(archive: Archive) -> None:
    """A claim in the catalogue's words loses its quote, and goes with the last one; one in the person's words goes with
    any. The version keeps its name."""
    archive.add([talk("c", SECRET, OTHER), talk("d", "Second of two.")])
    gone, other = ("c", "m1"), ("d", "m1")
    version = keep(
        archive, claim(archive, FACET, facets()[FACET].text["ru"], gone, other),
        claim(archive, "plans_steps", facets()["plans_steps"].text["ru"], gone),
        claim(archive, "doubts_self", "Ключ у колодца", gone, other, authority="said"),
        claim(archive, "fact.1", "У него есть дача.", gone, other, authority="said"),
        claim(archive, "free.2", "Прячет ключи.", gone), claim(archive, "preference.3", OTHER, ("c", "m2")))
    keep(archive, claim(archive, "fact.1", "У него есть дача.", other, authority="said"))
    assert sha256(SECRET.encode()).digest() in archive.home.archive.read_bytes()
    lost = forget(archive, "c/m1").claims

    assert archive.snapshots(1)[0].version != archive.snapshots()[0].version == version
    assert claims(archive) == [(FACET, 1), ("preference.3", 1)]
    assert {"free.2"} <= set(lost)
    assert not {"fact.1", "preference.3"} & set(lost), "another message says it too, or nothing happened to it"
    assert verify(archive.snapshot(version), archive.messages()).quotes == 2
    assert places_of(archive.home.root, SECRET) == []
    raw = archive.home.archive.read_bytes()
    assert not any(words.encode() in raw for words in ("Прячет ключи", "У него есть дача"))
    assert sha256(SECRET.encode()).digest() not in raw, "whoever guesses the words could prove it"


def test_decisions_about_it_leave_only_a_rejection_by_its_id(archive: Archive) -> None:
    archive.add([talk("c", SECRET, OTHER)])
    keep(archive, *(claim(archive, f"fact.{n}", f"Утверждение {n}", ("c", "m1"), authority="said") for n in range(5)),
         claim(archive, FACET, "Измеряет.", ("c", "m1"), ("c", "m2")))
    made = [("fact.0", "reject", "не так"), ("fact.1", "edit", "Ключ под камнем"), ("fact.2", "reject", ""),
            ("fact.2", "undo", ""), ("fact.3", "approve", ""), ("fact.9", "edit", "Другое"), (FACET, "approve", ""),
            ("plans_steps", "edit", f"Помни: {SECRET[10:40]}"), ("plans_steps", "pin", "")]
    for name, action, text in made:
        archive.save_decision(Decision(name, action, text, NOON))  # type: ignore[arg-type]
    forget(archive, "c/m1")

    assert [(one.claim, one.action, one.text) for one in archive.decisions()] == [
        ("fact.0", "reject", ""), ("fact.9", "edit", "Другое"), (FACET, "approve", ""), ("plans_steps", "pin", "")]
    assert places_of(archive.home.root, SECRET) == []
    assert places_of(archive.home.root, "Ключ под камнем") == []


def test_claims_of_a_core_and_its_failures_leave_with_what_they_read(archive: Archive) -> None:
    """Also those that only repeat words of it: a core that read another message may have been told them."""
    archive.add([talk("c", SECRET, OTHER), talk("d", "Second of two.")])
    spans = ("c", "m1", 0, 5), ("d", "m1", 0, 6)
    archive.save_free("core", [FreeClaim("fact", "Hides keys at the well.", "en", spans, 0.9),
                               FreeClaim("fact", "Rides a bicycle.", "en", (("c", "m2", 0, 3),), 0.9),
                               FreeClaim("fact", f"Said: {SECRET[:30]}", "ru", (("d", "m1", 0, 6),), 0.9)],
                      [("c", "m1"), ("c", "m2"), ("d", "m1")])
    archive.save_failure("core", "truncated", [("c", "m1"), ("c", "m2")], "The writer hides")
    archive.save_failure("core", "invalid output", [("d", "m1")], f"{{'quote': '{SECRET}'")
    archive.save_failure("core", "no claims", [("c", "m2")], "nothing")
    gone = forget(archive, "c/m1")

    assert [one.text for one in archive.free()] == ["Rides a bicycle."]
    assert archive.free_read_keys() == {("c", "m2"), ("d", "m1")}
    assert [one.raw for one in archive.failures()] == ["nothing"]
    assert len([name for name in gone.claims if name.startswith("free.")]) == 2
    assert gone.clean
    for text in (SECRET, "Hides keys at", "The writer hides"):
        assert places_of(archive.home.root, text) == []


def test_a_claim_in_the_catalogues_words_is_no_trace_of_a_message_that_says_them(archive: Archive) -> None:
    says = facets()[FACET].text["ru"]
    archive.add([talk("c", says), talk("d", "Second of two.")])
    keep(archive, claim(archive, FACET, says, ("d", "m1")))
    forget(archive, "c")

    assert claims(archive) == [(FACET, 1)]


def test_a_forgotten_claim_leaves_every_version_and_stays_away(archive: Archive) -> None:
    archive.add([talk("c", SECRET, OTHER)])
    hidden = FreeClaim("fact", "Прячет запасные ключи снаружи дома.", "ru", (("c", "m1", 0, 4),), 0.9)
    archive.save_free("core", [hidden, replace(hidden, text="Другое о нём.")], [("c", "m1")])
    name = free_id(hidden.kind, hidden.text)
    keep(archive, claim(archive, name, hidden.text, ("c", "m1")), claim(archive, FACET, "Измеряет.", ("c", "m2")))
    keep(archive, claim(archive, name, hidden.text, ("c", "m1")))
    archive.save_decision(Decision(name, "edit", "Прячет запасные ключи под камнем."))
    archive.save_decision(Decision(FACET, "pin"))
    archive.save_failure("core", "Truncated", [("c", "m2")], f"[{hidden.text}")
    archive.save_failure("core", "NoClaims", [("c", "m2")], "[]")
    other = replace(hidden, kind="preference")
    archive.save_free("other", [other], [("c", "m1")])
    gone = forget(archive, f"claim:{name}")

    assert (gone.kind, gone.claims, gone.messages, gone.clean) == ("claim", (name,), 0, True)
    assert [check.before > 0 for check in gone.proof if check.where == "archive.sqlite"] == [True]
    assert claims(archive) == [(FACET, 1)]
    assert [one.text for one in archive.free()] == ["Другое о нём.", other.text]
    assert [one.claim for one in archive.decisions()] == [FACET]
    assert [one.raw for one in archive.failures()] == ["[]"]
    assert places_of(archive.home.root, "ключи под камнем") == []
    assert texts(archive) == [SECRET, OTHER], "what was said stays"
    forget(archive, f"claim:{free_id(other.kind, other.text)}")
    assert places_of(archive.home.root, hidden.text) == []
    archive.save_free("core", [hidden], [("c", "m1")])
    keep(archive, claim(archive, name, "новая версия", ("c", "m1")))
    assert (archive.free(), claims(archive)) == ([], [(FACET, 1)])
    same = free_id(other.kind, other.text)
    assert archive.forgotten_claims([name, FACET, same]) == {name, same}
    with pytest.raises(UsageError, match="Nothing here is called"):
        forget(archive, f"claim:{name}")


def test_a_claim_of_a_core_is_forgotten_with_those_that_say_the_same(archive: Archive) -> None:
    """A profile shows equal statements as one; forgotten alone it would come back in the words of another."""
    archive.add([talk("c", "Кухню я крашу в синий цвет."), talk("d", "Кухня снова будет синей.")])
    spans = ("c", "m1", 0, 27), ("d", "m1", 0, 24)
    free = [FreeClaim("values", text, "ru", (span,), 0.9) for text, span in (
        ("Любит красить кухню в синий цвет.", spans[0]), ("Кухню любит красить в синий цвет.", spans[1]),
        ("Любит очень красить кухню в синий цвет.", spans[1]), ("Ценит тишину и покой дома.", spans[1]))]
    archive.save_free("core", free, [span[:2] for span in spans])
    own = {(conversation, message.id): message for conversation, message in archive.messages()}
    shown, = free_claims(archive.free(), own, "ru")
    keep(archive, shown)
    gone = forget(archive, f"claim:{shown.id}")

    assert [one.text for one in archive.free()] == ["Ценит тишину и покой дома."]
    assert shown.id in gone.claims
    assert len(gone.claims) == 2, "three wordings, two of them of the same words"
    assert free_claims(archive.free(), own, "ru") == []


def test_a_claim_that_is_nearly_named_is_told(archive: Archive) -> None:
    archive.add([talk("c", SECRET)])
    keep(archive, claim(archive, "fact.0a1b2c3d", "Есть дача", ("c", "m1"), authority="said"))
    with pytest.raises(UsageError, match=r"Near it: fact\.0a1b2c3d"):
        forget(archive, "claim:fact.0a1b2c3e")


# ---- what was typed to the twin --------------------------------------------------------------------------------------

ANSWER = "In the shed behind the third apple tree, I believe."


def type_in(archive: Archive, id: str, question: str, answer: str = ANSWER, chat: str = "chat") -> None:
    archive.save_turn(turn(id, question, answer, chat=chat, time=NOON))


@pytest.mark.parametrize("target", [
    "twin:chat/1", "message:twin:chat/1", "conversation:twin:chat", "twin", "kind:twin"])
def test_what_was_typed_goes_with_its_turn(archive: Archive, target: str) -> None:
    archive.add([talk("c", OTHER)])
    type_in(archive, "1", SECRET)
    type_in(archive, "2", "И всё?", f"Да. Ты сказал: {SECRET}")
    whole = "1" not in target
    gone = forget(archive, target)

    assert (gone.messages, gone.turns, gone.clean) == (2, 2, True) if whole else (1, 2, True)
    assert texts(archive) == ([OTHER] if whole else [OTHER, "И всё?"])
    assert [(one.question, one.answer) for one in archive.turns()] == ([] if whole else [
        ("И всё?", f"Да. Ты сказал: {MARK}")])
    for text in (SECRET, ANSWER):
        assert places_of(archive.home.root, text) == []


def test_a_chat_whose_words_were_forgotten_can_be_gone_on_with(archive: Archive) -> None:
    """No import can bring them back, so what is typed later is new; the forgotten turn itself does not return."""
    type_in(archive, "1", SECRET)
    forget(archive, "twin:chat")
    type_in(archive, "1", SECRET)
    type_in(archive, "2", OTHER)

    assert texts(archive) == [OTHER]
    assert [one.id for one in archive.turns()] == ["2"]
    assert [key for key, _ in archive.messages()] == [typed_in("chat")]


def test_a_turn_of_the_same_name_elsewhere_stays(archive: Archive) -> None:
    """Message ids of imports may equal the id of a turn; only what was typed is one."""
    type_in(archive, "m1", SECRET)
    archive.add([talk("c", OTHER)])
    forget(archive, "c/m1")

    assert [one.id for one in archive.turns()] == ["m1"]
    assert texts(archive) == [SECRET]


def test_what_a_turn_recalled_of_what_was_typed_goes_too(archive: Archive) -> None:
    type_in(archive, "1", SECRET)
    archive.save_turn(turn("2", "Где?", f"Там: {SECRET} [1]", recalled(typed_in("chat"), "1", SECRET), chat="other"))
    forget(archive, "twin:chat/1")

    assert [(one.memories, one.answer) for one in archive.turns()] == [((), f"Там: {MARK} {MARK}")]
    assert places_of(archive.home.root, SECRET) == []


@pytest.mark.parametrize("target", [
    "1", "turn:1", "twin:chat/1", "twin:chat", "conversation:twin:chat", "chat", "twin", "kind:twin"])
def test_a_turn_that_is_no_own_word_can_be_forgotten(archive: Archive, target: str) -> None:
    """With `remember off`, and from before there were own words in chats."""
    archive.add([talk("c", OTHER)])
    for name, question, answer in (("1", SECRET, ANSWER), ("2", "И всё?", f"Да. Ты сказал: {SECRET}")):
        archive.save_turn(turn(name, question, answer, time=NOON), own=False)
    archive.save_turn(turn("3", "Что ещё?", f"Говорят: {SECRET}", chat="other"), own=False)
    gone = forget(archive, target)

    left = {"И всё?": f"Да. Ты сказал: {MARK}"} if "1" in target else {}
    left |= {} if target.endswith("twin") else {"Что ещё?": f"Говорят: {MARK}"}
    assert {one.question: one.answer for one in archive.turns()} == left
    assert (gone.messages, gone.tombstones, gone.turns, gone.clean) == (0, 0, 3, True)
    assert gone.kind == ("turn" if "1" in target else "conversation" if "chat" in target else "kind")
    assert [check.before > len(SECRET) for check in gone.proof if check.where == "archive.sqlite"] == [True]
    assert texts(archive) == [OTHER]
    for text in (SECRET, ANSWER):
        assert places_of(archive.home.root, text) == []


def test_what_a_core_says_in_every_answer_is_no_trace_of_one_of_them(archive: Archive) -> None:
    usual = "I know nothing of that from your records."
    archive.save_turn(turn("1", SECRET, f"{usual} {ANSWER}"), own=False)
    archive.save_turn(turn("2", "And?", usual), own=False)
    gone = forget(archive, "1")

    assert gone.clean
    assert [one.answer for one in archive.turns()] == [usual]
    assert places_of(archive.home.root, ANSWER) == []


def test_a_chat_goes_with_turns_of_both_sorts_and_twin_means_all_of_them(archive: Archive) -> None:
    for chat, typed, asked in (("chat", SECRET, OTHER), ("other", "Why does rye need wet hands?", "Who sells rye?")):
        type_in(archive, f"{chat} 1", typed, chat=chat)
        archive.save_turn(turn(f"{chat} 2", asked, "Yes.", chat=chat), own=False)
    assert forget(archive, "chat").turns == 2
    assert [one.id for one in archive.turns()] == ["other 1", "other 2"]
    gone = forget(archive, "twin")

    assert (archive.turns(), texts(archive), gone.clean) == ([], [], True)
    with pytest.raises(UsageError, match="Nothing here is called"):
        forget(archive, "twin")


def test_a_chat_and_a_conversation_of_one_name_are_told_apart(archive: Archive) -> None:
    archive.add([talk("chat", OTHER)])
    archive.save_turn(turn("1", SECRET, ANSWER), own=False)
    with pytest.raises(UsageError, match="conversation:chat, conversation:twin:chat"):
        forget(archive, "chat")
    forget(archive, "conversation:twin:chat")

    assert (archive.turns(), texts(archive)) == ([], [OTHER])


# ---- the proof -------------------------------------------------------------------------------------------------------

def test_the_proof_finds_it_before_and_not_after(archive: Archive) -> None:
    archive.add([talk("c", SECRET, OTHER)])
    Shelf(archive.home).add(archive)
    gone = forget(archive, "c/m1")
    checks = {check.where: check for check in gone.proof}

    assert gone.clean
    assert gone.passages == 1
    assert gone.runs == len(SECRET) - RUN + 1
    for where in ("archive.sqlite", "memory", "memory, decoded"):
        assert checks[where].before == gone.runs
        assert checks[where].after == 0
        assert checks[where].searched > 0
    assert checks["memory, files older than this"].searched == 1
    assert list(Shelf(archive.home).contents()) == [("c m2", OTHER)]


def test_what_the_person_wrote_into_the_home_by_hand_is_named_and_left(archive: Archive) -> None:
    archive.add([talk("c", SECRET)])
    note = archive.home.root / "constitution.md"
    note.write_text(f"Помни: {SECRET}", "utf-8")
    gone = forget(archive, "c/m1")

    assert not gone.clean
    assert [(check.where, check.files) for check in gone.proof if check.after] == [
        ("constitution.md", ("constitution.md",))]
    assert note.exists()


def test_a_memory_that_kept_an_old_file_is_found_out(archive: Archive) -> None:
    """LanceDB keeps old versions: a file from before may hold what no decoded column shows."""
    archive.add([talk("c", SECRET)])
    Shelf(archive.home).add(archive)
    old = archive.home.memory / "old.lance"
    old.write_bytes(b"compressed")
    os.utime(old, (1e9, 1e9))

    gone = forget(archive, "c/m1")
    assert not gone.clean
    assert gone.proof[-1].files == ("memory/old.lance",)


def test_what_remains_elsewhere_is_no_trace(archive: Archive) -> None:
    archive.add([talk("c", SECRET), talk("d", f"Она спросила: {SECRET}")])
    gone = forget(archive, "c")

    assert (gone.runs, gone.clean) == (0, True)
    assert places_of(archive.home.root, SECRET) == ["archive.sqlite"]


def test_what_lies_side_by_side_in_a_page_is_no_trace(archive: Archive) -> None:
    """SQLite writes the columns of a row with nothing between: a text that ends with "review", then its time."""
    archive.add([talk("c", "see review2024-01-05 of mine"),
                 Conversation("d", (said("m", "the review", time=datetime(2024, 1, 5, tzinfo=UTC)),))])

    assert forget(archive, "c").clean
    assert places_of(archive.home.root, "review2024-01-05") == ["archive.sqlite"]


def test_short_messages_go_though_they_have_no_run(archive: Archive) -> None:
    archive.add([talk("c", "да", OTHER)])
    gone = forget(archive, "c/m1")

    assert (gone.runs, gone.messages, texts(archive)) == (0, 1, [OTHER])


_LETTERS = st.text(st.sampled_from("абвгдеёжз abcdefgh\n🙂"), min_size=RUN, max_size=60)


@settings(max_examples=80, deadline=None)
@given(_LETTERS, st.binary(max_size=70_000), st.integers(0, 7))
def test_the_scanner_finds_every_run_wherever_it_stands(text: str, around: bytes, shift: int) -> None:
    """In any bytes, at any alignment, and across the places where a file is cut."""
    runs = sample([text])
    with TemporaryDirectory() as folder:
        file = Path(folder, "file")
        file.write_bytes(around * 2 + b"x" * shift + text.encode() + around)

        assert len(runs.within_file(file)) == len(runs)
        file.write_bytes(around)
        assert len(runs.within_file(file)) == sum(run.encode() in around for run in {
            text[at:at + RUN] for at in range(len(text) - RUN + 1)} if len(set(run)) > 4)


@settings(max_examples=80, deadline=None)
@given(_LETTERS, st.lists(_LETTERS, max_size=3), st.integers(0, 30))
def test_nothing_is_left_of_a_redacted_text_and_nothing_else_goes(secret: str, others: list[str], cut: int) -> None:
    text = secret[cut:].join(["", *others, ""])
    clean = redacted(text, runs_of([secret]))
    runs = {secret[at:at + RUN] for at in range(len(secret) - RUN + 1)}

    assert not any(run in clean.replace(MARK, "\0") for run in runs)
    assert redacted(text, runs_of(["ничего такого здесь нет"])) == text
    if not any(run in text for run in runs):
        assert clean == text


def test_a_sample_of_much_text_has_some_of_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_MOST", 4096)
    texts = [f"message {number} says {number * 7919} and goes on with {number % 13} more" for number in range(2000)]
    runs = sample(texts)

    assert 2000 <= len(runs) <= 4096
    assert all(len(runs.within([text])) for text in texts)
    assert len(sample(texts * 3)) >= 1000


# ---- whole, with the real memory -------------------------------------------------------------------------------------

def test_the_real_memory_keeps_nothing_of_it(archive: Archive) -> None:
    """LanceDB keeps old versions and packs its columns: decoded they must not hold it, and none may be from before."""
    memory = Memory(archive.home.memory, None)
    archive.add([talk("c", SECRET, OTHER), talk("d", *(f"Заметка номер {n} о погоде и дороге." for n in range(40)))])
    memory.add(archive.messages())
    memory.add(archive.messages())  # another version
    assert memory.recall("ключ от дачи", 1)[0].message_ids == ("m1",)
    gone = forgetting.forget(archive.home, archive, memory, "c/m1")
    checks = {check.where: check for check in gone.proof}

    assert gone.clean
    assert gone.passages == 1
    assert checks["memory, decoded"].before == gone.runs
    assert checks["memory, files older than this"].searched > 0
    assert places_of(archive.home.root, SECRET) == []
    assert all(SECRET[:RUN] not in text for _, text in memory.contents())
    assert [one.message_ids for one in memory.recall("ключ колодец кирпич", 5)] == []
    assert memory.recall("blue bicycle", 1)[0].message_ids == ("m2",)
    archive.add([talk("c", SECRET, OTHER)])
    assert {message.id for _, message in archive.messages()} == {f"m{n}" for n in range(1, 41)}


def test_stems_of_what_remains_are_no_trace(archive: Archive) -> None:
    """The memory keeps the stems of "tests. First, again" as "test first again"."""
    memory = Memory(archive.home.memory, None)
    archive.add([talk("c", "simple test first again then design"), talk("d", "Simple. Tests, first! Again: and then.")])
    memory.add(archive.messages())
    gone = forgetting.forget(archive.home, archive, memory, "c")

    assert gone.clean
    assert any("simpl test first" in text for _, text in memory.contents()), "there was nothing to be excused"


def test_a_memory_left_behind_by_a_crash_is_cleaned_by_the_next_call(archive: Archive) -> None:
    memory = Memory(archive.home.memory, None)
    archive.add([talk("c", SECRET, OTHER)])
    memory.add(archive.messages())
    archive.forget([("c", "m1")])  # and then the process died
    done = forgetting.finish(archive.home, archive, memory)

    assert done is not None
    assert done.passages == 1
    assert memory.recall("ключ", 5) == []
    assert places_of(archive.home.root, SECRET) == []


# ---- killed half-way -------------------------------------------------------------------------------------------------

KILLED = """
import os, shutil, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.test_forgetting import Shelf, forgetting
from twin.archive import Archive, traces, typed_in
from twin.home import Home

CALLS = {{"execute", "executemany", "unlink", "replace", "rename"}}

def run(home, n):
    count = 0
    def count_calls(frame, event, function):
        nonlocal count
        if event == "c_call" and function.__name__ in CALLS:
            count += 1
            if count == n:
                os.kill(os.getpid(), signal.SIGKILL)
    archive = Archive(home)
    sys.setprofile(count_calls)
    forgetting.forget(home, archive, Shelf(home), "c/m1")

template, n, points = Path(sys.argv[1]), 0, 0
while True:
    n += int(sys.argv[2])
    copy = Path(f"{{template}}-{{n}}")
    shutil.copytree(template, copy)
    child = os.fork()
    if not child:
        run(Home(copy), n)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
print(n)
"""


def state(home: Home) -> dict[str, Any]:
    archive = Archive(home)
    return {"messages": list(archive.messages()), "turns": archive.turns(), "forgotten": archive.forgotten(),
            "versions": archive.snapshots(), "decisions": archive.decisions(), "free": archive.free(),
            "failures": archive.failures(),
            "derived": [(one.kind, one.path.name, one.stale) for one in archive.derived()],
            "files": sorted(path.relative_to(home.root).as_posix() for path in home.root.rglob("*") if path.is_file()
                            and not path.name.startswith(".")),
            "memory": sorted(Shelf(home).contents()), "pending": archive.pending(),
            "traces": places_of(home.root, SECRET)}


def test_killed_at_any_point_it_is_finished_by_the_next_call(archive: Archive, tmp_path: Path) -> None:
    """Before the archive's commit nothing has happened; after it the rest is done without being asked for again. Every
    statement and every removal is such a point; `make fuzz` tries them all."""
    step = 1 if os.environ.get("TWIN_FUZZ") else 7
    archive.add([talk("c", SECRET, OTHER)])
    archive.save_turn(turn("1", "Где ключ?", f"{SECRET} [1]", recalled("c", "m1", SECRET)))
    keep(archive, claim(archive, "fact.1", SECRET[:20], ("c", "m1"), authority="said"))
    archive.save_decision(Decision("fact.1", "edit", "Ключ у колодца"))
    archive.save_free("core", [FreeClaim("fact", "Прячет ключи.", "ru", (("c", "m1", 0, 4),), 0.9)], [("c", "m1")])
    archive.save_failure("core", "Truncated", [("c", "m1")], SECRET)
    Shelf(archive.home).add(archive)
    archive.register("export", archive.home.exports / "a.md", sha256=written(archive.home.exports / "a.md", SECRET))
    archive.register("adapter", archive.home.adapters / "a.gguf")
    written(archive.home.snapshots / "a.kv", "tokens")
    written(archive.home.root / "archive.sqlite.v2.bak", SECRET)
    untouched = state(archive.home)
    done = subprocess.run([sys.executable, "-c", KILLED.format(root=str(ROOT)), str(archive.home.root), str(step)],
                          cwd=ROOT, capture_output=True, text=True, check=True)
    last = int(done.stdout)
    outcomes = []
    for n in range(step, last, step):
        home = Home(f"{archive.home.root}-{n}")
        before = Archive(home).pending()
        forgetting.finish(home, Archive(home), Shelf(home))
        outcomes.append((before is not None, state(home)))
    whole = state(Home(f"{archive.home.root}-{last}"))

    assert last > 60, "too few points for a test of them"
    assert whole["traces"] == []
    assert whole["memory"] == [("c m2", OTHER), ("twin:chat 1", "Где ключ?")]
    assert [one.claims for one in whole["versions"]] == [()]
    assert (whole["decisions"], whole["free"], whole["failures"]) == ([], [], [])
    assert {found for found, _ in outcomes} == {True, False}
    assert all(after == whole for found, after in outcomes if found)
    assert all(after in (untouched, whole) for found, after in outcomes if not found)
