"""A RAG pack comes back as the messages it was made of, so that the same claims stand on the same quotes."""
from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.exporters.material import claim, material
from twin.chat import Twin
from twin.errors import InputError, UnknownFormat
from twin.exporters import Exported
from twin.exporters.pack import pack
from twin.home import Home
from twin.importers import Found, read
from twin.person import Profile
from twin.types import Conversation, Message

DAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
TEXTS = (
    ("en", "I live in Riga. How do we measure that it works? What would prove me wrong?"),
    ("en", "Before we act: what is the evidence, and what would falsify it? I prefer tea to coffee."),
    ("ru", "Я живу в Риге. Как это измерить? Что должно случиться, чтобы мы признали ошибку?"),
    ("ru", "Какие данные это подтверждают? Что будет, если всё наоборот? Я люблю чай."),
    ("en", "Look:\n```python\nprint('x')\n```\nWhat does this measure? Which experiment decides?"),
    ("en", "Repaired quotes “stay” — as they are: 𝔘\u2028and so do tabs\t. How large is the error of measurement?"))


def chats() -> list[Conversation]:
    """Own messages and answers; two sources in one conversation, notes, times that are not known."""
    made = []
    for number, (_, words) in enumerate(TEXTS):
        at = DAY + timedelta(days=40 * number)
        talk = [Message(f"q{number}", "user", words, author="Я" if number % 2 else None, time=at),
                Message(f"a{number}", "assistant", "Perhaps.", time=at),
                Message(f"n{number}", "user", f"Note {number}: how do we measure this?", flags=("note", "repaired"))]
        made.append(Conversation(f"talk/{number}", tuple(talk), source=("chatgpt", "telegram")[number % 2]))
    return [*made, Conversation("talk/0", (Message("later", "user", "Which number would settle it?", time=DAY),),
                                source="nexus")]


def exported(twin: Twin, profile: Profile | None = None, **others: Any) -> Exported:
    return pack(replace(material(**others), profile=profile or twin.profile(),
                        said=lambda: twin.archive.messages(own=True)), 0)


def written(export: Exported, folder: Path) -> Path:
    for name, content in export.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)  # type: ignore[arg-type]
    return folder


def zipped(folder: Path, target: Path, top: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, top + path.relative_to(folder).as_posix())
    return target


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    twin = Twin(Home(tmp_path_factory.mktemp("first") / "home"))
    twin.add(chats())
    return twin


@pytest.fixture(scope="module")
def folder(first: Twin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(exported(first), tmp_path_factory.mktemp("packs") / "pack")


def own(twin: Twin) -> list[tuple[str, Message, str | None]]:
    return [(conversation, replace(message, raw=None), message.source)
            for conversation, message in twin.archive.messages(own=True)]


def back(path: Path, home: Path) -> Twin:
    twin = Twin(Home(home))
    report = twin.import_path(path)
    assert report.reconciles
    assert (report.failed, report.imported) == (0, report.seen)
    return twin


def test_an_empty_home_that_reads_a_pack_has_the_same_claims_on_the_same_quotes(
        first: Twin, folder: Path, tmp_path: Path) -> None:
    second = back(folder, tmp_path / "second")
    before, after = first.profile(), second.profile()

    assert len(before.claims) > 4
    assert {one.kind for one in before.claims} > {"fact"}
    assert before.claims == after.claims
    assert before.questions == after.questions
    assert own(second) == own(first)
    assert {message.source for _, message in second.archive.messages()} == {"chatgpt", "telegram", "nexus"}


def test_read_where_it_came_from_or_twice_it_changes_nothing(first: Twin, folder: Path, tmp_path: Path) -> None:
    second = back(folder, tmp_path / "second")
    for twin in (first, second):
        report = twin.import_path(folder)
        assert (report.unchanged, report.imported, report.updated) == (report.seen, 0, 0)


def test_what_was_exported_by_the_chats_own_program_is_known_after_the_pack(folder: Path, tmp_path: Path) -> None:
    """The archive's hash of a message is the same by both ways, code and quotes in it notwithstanding."""
    second = back(folder, tmp_path / "second")
    report = second.add(chats())

    assert (report.updated, report.unchanged) == (0, 13)


def test_a_pack_is_one_thing_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    """Its README is no note, its tables are nothing unknown."""
    inside = tmp_path / "things"
    inside.mkdir()
    (inside / "README.md").write_text("# A note\n\nI wrote this one.", "utf-8")
    zipped(folder, inside / "packed.zip", "deep/pack/")
    for path in folder.rglob("*"):
        if path.is_file():
            place = inside / "pack" / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    (inside / "zebra.md").write_text("Another note of mine.", "utf-8")
    alone = {path: list(read(path)) for path in (folder, zipped(folder, tmp_path / "p.zip"), folder / "twin.jsonl")}
    several = list(read(inside))

    for path, results in alone.items():
        assert {one.file.removeprefix("p.zip/") for one in results} == {"twin.jsonl"}, path
        assert not [one for one in results if one.failure or one.skipped]
    assert {one.file for one in several} == {
        "README.md", "pack/twin.jsonl", "packed.zip/deep/pack/twin.jsonl", "zebra.md"}
    assert not [one for one in several if one.failure or one.skipped]


def test_claims_that_rules_do_not_find_again_wait_for_the_person(first: Twin, tmp_path: Path) -> None:
    profile = first.profile()
    mine = claim("free.77aa", "Ты сомневаешься в лёгком.", quote="What would prove me wrong?")
    profile = replace(profile, claims=(*profile.claims, replace(mine, origin="core")))
    export = exported(first, profile=profile)
    found = list(read(written(export, tmp_path / "pack")))
    (carried,) = [one for result in found for one in result.claims]

    assert (carried.claim, carried.kind, carried.text, carried.quote) == (
        "free.77aa", "thinking", "Ты сомневаешься в лёгком.", "What would prove me wrong?")
    assert len(carried.origin) > 12


def read_lines(tmp_path: Path, *entries: object) -> list[Found]:
    file = tmp_path / "twin.jsonl"
    file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in entries), "utf-8")
    return list(read(file))


HEAD = {"twin": "pack", "version": 1, "core": "0123456789ab", "profile": "x", "level": "private"}
LINE: dict[str, Any] = {"twin": "message", "conversation": "c", "id": "m", "role": "user", "time": None, "author": None,
        "source": "chatgpt", "flags": [], "text": "How do we measure it?"}
CLAIM = {"twin": "claim", "id": "free.1", "kind": "thinking", "text": "x", "language": "en", "quote": "y"}


@pytest.mark.parametrize("damaged", [
    '{"twin": "message", "conver', {**LINE, "time": "yesterday"}, {**LINE, "role": "owner"}, {**LINE, "text": " "},
    {**LINE, "flags": "note"}, {**LINE, "id": 7}, {**LINE, "source": ["x"]}, {"twin": "message"}, {"twin": "more"}, [],
    {**CLAIM, "kind": "gossip"}, {**CLAIM, "quote": None}, {**HEAD, "level": None, "core": None} | {"twin": 5},
    {key: value for key, value in HEAD.items() if key != "level"}])
def test_a_damaged_line_is_named_and_costs_no_other(damaged: object, tmp_path: Path) -> None:
    results = read_lines(tmp_path, HEAD, LINE, damaged, {**LINE, "id": "n"}, CLAIM)

    assert len([one.failure for one in results if one.failure]) == 1
    assert [message.id for one in results if one.conversation for message in one.conversation.messages] == ["m", "n"]
    assert [one.claim for result in results for one in result.claims] == ["free.1"]


def test_without_its_first_line_the_messages_are_read_all_the_same(tmp_path: Path) -> None:
    results = read_lines(tmp_path, '{"twin": "pack", "lev', LINE)

    assert [bool(one.failure) for one in results] == [False, True]


def test_nothing_of_a_public_copy_becomes_ones_own_words(first: Twin, tmp_path: Path) -> None:
    public = written(exported(first, level="public"), tmp_path / "public")
    forged = read_lines(tmp_path, {**HEAD, "level": "public"}, LINE, CLAIM)

    assert [(one.file, dict(one.skipped)) for one in read(public)] == [("README.md", {"public copy": 1})]
    assert [dict(one.skipped) for one in forged] == [{"public copy": 2}]


def test_a_pack_without_what_is_read_back_says_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "README.md").write_bytes((folder / "README.md").read_bytes())
    (tmp_path / "pack" / "notes.md").write_text("not a note of a pack", "utf-8")

    (only,) = read(tmp_path)
    assert only.failure is not None
    assert "Export the pack again" in only.failure
    with pytest.raises(UnknownFormat, match="Import the folder"):
        list(read(tmp_path / "pack" / "README.md"))


def test_a_readme_that_cannot_be_read_is_told_as_any_other_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "README.md").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.md").write_text("A note of mine.", "utf-8")

    assert "b.md" in {one.file for one in read(tmp_path) if one.conversation}


def test_an_empty_pack_is_no_error(tmp_path: Path) -> None:
    assert [dict(one.skipped) for one in read_lines(tmp_path, HEAD)] == [{"empty pack": 1}]


def test_tables_are_never_opened(folder: Path, tmp_path: Path) -> None:
    """A table made to hurt its reader hurts nobody."""
    for path in folder.rglob("*"):
        if path.is_file():
            place = tmp_path / "pack" / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"PAR1\x00\xff" if path.suffix == ".parquet" else path.read_bytes())

    try:
        assert not [one for one in read(tmp_path / "pack") if one.failure]
    except InputError as error:
        pytest.fail(str(error))
