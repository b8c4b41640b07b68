"""Files, folders and zips: what is taken, what is named, and what attacks come to."""
from __future__ import annotations

import io
import json
import os
import stat
import struct
import zipfile
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from twin.errors import BrokenFile, EmptyFile, InputError, UnknownFormat
from twin.importers import Found, containers, read

EXPORT = json.dumps([{"conversation_id": "c1", "current_node": "a", "mapping": {
    key: {"parent": parent, "message": {"id": key, "author": {"role": role}, "content": {"parts": [text]}}}
    for key, parent, role, text in (("q", None, "user", "Где граница роли?"), ("a", "q", "assistant", "У ядра."))}}])
CALLOUT = ">[!nexus_user] **User** - 30.06.2025 at 12:07\n> Вопрос\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(32)) * 8


def zipped(path: Path, members: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def packed(members: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def ids(results: list[Found]) -> list[str]:
    return [one.conversation.id for one in results if one.conversation]


def skips(results: list[Found]) -> dict[str, str]:
    return {one.file: next(iter(one.skipped)) for one in results if one.skipped and not one.conversation}


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "anything.bin").write_text(EXPORT, encoding="utf-8")
    assert ids(list(read(tmp_path / "anything.bin"))) == ["c1"]


@pytest.mark.parametrize(("name", "content", "error"), [
    ("empty.md", b"", EmptyFile), ("blank.json", b"\xef\xbb\xbf \n", EmptyFile),
    ("a.md", "\u00a0\n".encode(), EmptyFile),
    ("a.csv", b"name;age\nAnn;5\n", UnknownFormat), ("a.html", b"<!doctype html><p>x", UnknownFormat),
    ("a.png", PNG, UnknownFormat), ("a.zip", b"PK\x03\x04cut off", BrokenFile),
    ("a.json", b'{"mapping": {', BrokenFile), ("none.zip", packed({}), EmptyFile),
    ("only.zip", packed({"conversations.json": EXPORT[:50]}), BrokenFile),
    ("pics.zip", packed({"a.png": PNG}), UnknownFormat),
])
def test_bad_input_gets_a_named_error_with_a_next_step(tmp_path: Path, name: str, content: bytes,
                                                      error: type[InputError]) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error) as caught:
        list(read(tmp_path / name))
    assert str(caught.value).count(".") >= 2  # what happened, and what to do


def test_an_unknown_text_shows_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\nname;age\nAnn;5\n", encoding="utf-8")
    with pytest.raises(UnknownFormat, match="name;age"):
        list(read(tmp_path / "a.csv"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.md"):
        list(read(tmp_path / "nowhere.md"))


def test_a_folder_is_read_in_order_and_its_hidden_corners_are_not(tmp_path: Path) -> None:
    for name, content in {"b/x.md": "мысль", "a.md": "thought", ".obsidian/c.md": "no", ".trash/d.md": "no",
                          "empty.md": "", "data.csv": "a;b", "bad.json": '{"mapping"', "call.md": CALLOUT,
                          "textdocs/canvas.md": "the assistant wrote it"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    results = list(read(tmp_path))
    assert ids(results) == ["a.md", "b/x.md"]
    assert skips(results) == {"data.csv": "unknown format", "empty.md": "empty file",
                              "textdocs/canvas.md": "canvas of an export"}
    assert [one.file for one in results if one.failure] == ["bad.json", "call.md"]


def test_a_folder_with_nothing_known_is_an_unknown_format(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b", encoding="utf-8")
    with pytest.raises(UnknownFormat, match=r"a\.csv"):
        list(read(tmp_path))


def test_an_empty_folder_is_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(EmptyFile):
        list(read(tmp_path))


def test_a_link_in_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("мысль", encoding="utf-8")
    (tmp_path / "b.md").symlink_to(tmp_path / "a.md")
    (tmp_path / "loop").symlink_to(tmp_path)
    results = list(read(tmp_path))
    assert ids(results) == ["a.md"]
    assert skips(results) == {"b.md": "link", "loop": "link"}


DATED = {
    "_chat.txt": "30.06.2025, 12:07 - Анна: Да\n30.06.2025, 12:08 - Пётр: Нет\n",
    "played.jsonl": '{"user_name": "A", "character_name": "B"}\n'
                    '{"name": "A", "is_user": true, "send_date": "June 30, 2025 12:07pm", "mes": "Да"}\n',
    "one.mbox": "From x Mon Jun 30 12:07:00 2025\nFrom: Ann <ann@example.org>\nDate: Mon, 30 Jun 2025 12:07:00\n"
                "Subject: x\n\nПривет\n",
    "late.mbox": "From x Mon Jun 30 12:07:00 2025\nFrom: Ann <ann@example.org>\nDate: once\n"
                 "Received: by x; Mon, 30 Jun 2025 12:07:00\nSubject: x\n\nПривет\n",
    "call.md": ">[!nexus_user] **User** - 30.06.2025 at 12:07\n> Вопрос\n<!-- UID: aaa-1 -->\n",
    "note.md": "---\ncreated: 2025-06-30 12:07\n---\nмысль\n",
    "result.json": '{"name": "x", "type": "personal_chat", "id": 4, "messages": [{"id": null, "type": "message", '
                   '"date": "2025-06-30T12:07:00", "from": "Me", "from_id": "user1", "text": "Да"}]}',
}


@pytest.mark.parametrize("name", DATED)
def test_the_zone_changes_times_but_no_ids(tmp_path: Path, name: str) -> None:
    """A trip, or a zone named later, must not import everything again, nor bring back what was forgotten."""
    (tmp_path / name).write_text(DATED[name], encoding="utf-8")
    chats = [[one.conversation for one in read(tmp_path / name, zone=ZoneInfo(zone)) if one.conversation]
             for zone in ("UTC", "Asia/Tokyo")]
    here, there = ([(chat.id, said.id) for chat in some for said in chat.messages] for some in chats)
    assert here == there != []
    assert chats[0][0].messages[0].time != chats[1][0].messages[0].time


def test_a_zip_reads_as_its_content_bare_sharded_or_nested(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(EXPORT, encoding="utf-8")
    bare = [one.conversation for one in read(tmp_path / "c.json")]
    second = EXPORT.replace('"c1"', '"c2"')
    path = zipped(tmp_path / "export.zip", {
        "conversations-000.json": EXPORT, "conversations-001.json": second, "chat.html": "<html>", "file_a.dat": PNG,
        "user.json": '{"id": "u"}'})
    results = list(read(path))
    assert [one.conversation for one in results if one.conversation][:1] == bare
    assert ids(results) == ["c1", "c2"]
    assert skips(results) == dict.fromkeys(("export.zip/chat.html", "export.zip/file_a.dat", "export.zip/user.json"),
                                           "unknown format")
    assert ids(list(read(zipped(tmp_path / "outer.zip", {"inner.zip": path.read_bytes()})))) == ["c1", "c2"]


def test_a_zip_inside_a_folder_reads_too_and_a_third_level_does_not(tmp_path: Path) -> None:
    inner = packed({"conversations.json": EXPORT})
    zipped(tmp_path / "a.zip", {"b.zip": packed({"c.zip": inner}), "n.md": "мысль"})
    results = list(read(tmp_path))
    assert ids(results) == ["a.zip/n.md"]
    assert skips(results) == {"a.zip/b.zip/c.zip": "zip in a zip in a zip"}


def test_names_that_leave_the_zip_are_refused(tmp_path: Path) -> None:
    names = ["../up.md", "/abs.md", "C:\\w.md", "a/../../b.md", "..\\x.md"]
    results = list(read(zipped(tmp_path / "z.zip", {**dict.fromkeys(names, "мысль"), "ok.md": "мысль"})))
    assert ids(results) == ["ok.md"]
    assert list(skips(results).values()) == ["unsafe name"] * 5


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link.md")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
        archive.writestr("ok.md", "мысль")
    assert skips(list(read(tmp_path / "z.zip"))) == {"z.zip/link.md": "link"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_read_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a.md", "first")
        archive.writestr("a.md", "second")
    results = list(read(tmp_path / "z.zip"))
    assert ids(results) == ["a.md"]
    assert skips(results) == {"z.zip/a.md": "duplicate name"}


@pytest.mark.parametrize("nested", [False, True])
def test_a_bomb_is_refused_by_what_really_comes_out(tmp_path: Path, nested: bool) -> None:
    bomb = packed({"conversations.json": b"[" + b" " * 40_000_000 + b"]"})
    path = zipped(tmp_path / "z.zip", {"inner.zip": bomb}) if nested else tmp_path / "z.zip"
    if not nested:
        path.write_bytes(bomb)
    with pytest.raises(BrokenFile, match="zip bomb"):
        list(read(path))


def test_a_directory_that_claims_a_million_members_is_refused_unread(tmp_path: Path) -> None:
    data = bytearray(packed({"a.md": "x"}))
    struct.pack_into("<HH", data, data.rfind(b"PK\x05\x06") + 8, 65535, 65535)
    (tmp_path / "z.zip").write_bytes(data)
    with pytest.raises(BrokenFile, match="members"):
        list(read(tmp_path / "z.zip"))


def test_more_members_than_any_export_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_MEMBERS", 3)
    with pytest.raises(BrokenFile, match="more than 3"):
        list(read(zipped(tmp_path / "z.zip", {f"{n}.md": "x" for n in range(4)})))


def test_a_member_whose_size_lies_fails_alone(tmp_path: Path) -> None:
    data = bytearray(packed({"a.md": "мысль один", "b.md": "мысль два"}))
    at = data.find(b"PK\x01\x02")
    data[at + 16] ^= 0xFF  # the checksum of a.md in the directory
    (tmp_path / "z.zip").write_bytes(data)
    results = list(read(tmp_path / "z.zip"))
    assert ids(results) == ["b.md"]
    assert [one.file for one in results if one.failure] == ["z.zip/a.md"]


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    data = bytearray(packed({"a.md": "мысль"}))
    data[6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "z.zip").write_bytes(data)
    with pytest.raises(BrokenFile, match="encrypted"):
        list(read(tmp_path / "z.zip"))


def test_names_in_cp866_are_read_as_russian(tmp_path: Path) -> None:
    data = packed({"aaaa.md": "мысль"}).replace(b"aaaa.md", "день.md".encode("cp866"))
    (tmp_path / "z.zip").write_bytes(data)
    assert ids(list(read(tmp_path / "z.zip"))) == ["день.md"]


def test_every_cut_of_a_zip_ends_in_a_named_error_or_a_result(tmp_path: Path) -> None:
    data = packed({"conversations.json": EXPORT, "a.md": "мысль"})
    for cut in range(1, len(data), 7):
        (tmp_path / "z.zip").write_bytes(data[:cut])
        with pytest.raises(InputError):
            list(read(tmp_path / "z.zip"))


def test_random_bytes_flipped_in_a_zip_never_escape_as_foreign_errors(tmp_path: Path) -> None:
    data = packed({"conversations.json": EXPORT, "a.md": "мысль", "in.zip": packed({"b.md": "x"})})
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 0xFF
        (tmp_path / "z.zip").write_bytes(broken)
        try:
            results = list(read(tmp_path / "z.zip"))
        except InputError as error:
            assert str(error)
        else:
            assert results


def test_progress_counts_conversations(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("мысль", encoding="utf-8")
    list(read(tmp_path, progress=lambda *what: seen.append(what)))
    assert seen == [("reading a.md", 1, None), ("reading b.md", 2, None)]


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("мысль", encoding="utf-8")
    os.mkfifo(tmp_path / "a.md")
    results = list(read(tmp_path))
    assert ids(results) == ["b.md"]
    assert skips(results) == {"a.md": "no regular file"}
