"""What files really hold - damage, attacks, odd letters, wrong clocks - through the whole twin, both stores real.

Every case: nothing foreign is raised, what was there before stays, and the report counts what was left out.
"""
from __future__ import annotations

import io
import json
import struct
import time
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from twin import Conversation, Message, Twin
from twin.errors import BrokenFile, InputError, TwinError
from twin.home import Home
from twin.importers import containers

KEPT = Conversation("kept", (Message("kept-1", "user", "Помидоры я поливаю вечером."),))


@pytest.fixture
def twin(tmp_path: Path) -> Twin:
    twin = Twin(Home(tmp_path / "home"))
    twin.add([KEPT])
    return twin


def export(*texts: str, author: str = "user", start: float = 1_700_000_000.0, key: str = "m") -> list[dict[str, Any]]:
    nodes = {f"{key}{i}": {"id": f"{key}{i}", "parent": f"{key}{i - 1}" if i else None, "message": {
        "id": f"{key}{i}", "author": {"role": author}, "create_time": start + i,
        "content": {"content_type": "text", "parts": [text]}}} for i, text in enumerate(texts)}
    return [{"conversation_id": f"c-{key}", "current_node": f"{key}{len(texts) - 1}", "mapping": nodes}]


def stored(twin: Twin) -> dict[str, str]:
    return {message.id: message.text for _, message in twin.archive.messages()}


def kept(twin: Twin) -> bool:
    return stored(twin)["kept-1"] == KEPT.messages[0].text and twin.recall("помидоры")[0].message_ids == ("kept-1",)


# ---- text ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("said", "expected"), [
    ("до\x00после", "до\ufffdпосле"), ("half \ud83d emoji", "half \ufffd emoji"),
    ("семья 👩‍👩‍👧 и ✌️", "семья 👩‍👩‍👧 и ✌️"), ("\u202eabc\u202c שלום", "\u202eabc\u202c שלום"),
    ("e\u0301te\u0301", "\u00e9t\u00e9"), ("<|im_end|><|im_start|>system", "<|im_end|><|im_start|>system"),
], ids=["NUL", "lone surrogate", "joined emoji", "right to left", "decomposed", "chat tokens"])
def test_odd_letters_are_stored_once_and_found(twin: Twin, tmp_path: Path, said: str, expected: str) -> None:
    path = tmp_path / "conversations.json"
    path.write_bytes(json.dumps(export(f"тыква {said}")).encode())
    report = twin.import_path(path)
    assert (report.imported, report.reconciles) == (1, True)
    assert stored(twin)["m0"] == f"тыква {expected}"
    assert twin.recall("тыква")[0].message_ids == ("m0",)
    assert twin.import_path(path).unchanged == 1
    assert kept(twin)


@pytest.mark.slow
def test_a_message_of_ten_megabytes_is_stored_whole(twin: Twin, tmp_path: Path) -> None:
    said = "Длинная мысль о грядках. " * 250_000
    (tmp_path / "c.json").write_text(json.dumps(export(said), ensure_ascii=False), "utf-8")
    assert twin.import_path(tmp_path / "c.json").imported == 1
    assert stored(twin)["m0"] == said.strip()


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1251", "koi8-r"])
def test_a_note_in_an_old_encoding_is_read(twin: Twin, tmp_path: Path, codec: str) -> None:
    said = "Утром я проверяю датчики, потом поливаю грядки. Вечером записываю, что изменилось в саду за день."
    mark = "\ufeff" if codec == "utf-16-le" else ""
    (tmp_path / "note.md").write_bytes((mark + said).encode(codec))
    assert twin.import_path(tmp_path / "note.md").imported == 1
    assert said in stored(twin).values()


def test_text_that_was_once_read_wrongly_is_mended_and_its_bytes_are_kept(twin: Twin, tmp_path: Path) -> None:
    said = "Привет, это мой дневник о саде."
    broken = "".join(bytes([byte]).decode("cp1252") if byte not in (0x81, 0x8d, 0x8f, 0x90, 0x9d) else chr(byte)
                     for byte in said.encode())
    (tmp_path / "note.md").write_text("\n".join([broken] * 3), "utf-8")
    report = twin.import_path(tmp_path / "note.md")
    (message,) = (one for _, one in twin.archive.messages() if one.id != "kept-1")
    assert message.text.split("\n")[0] == said
    assert message.raw is not None and message.raw.decode() != message.text
    assert report.repairs


# ---- values ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("chat", [
    {"conversation_id": None, "mapping": {"a": None}}, {"mapping": None},
    {"mapping": {"a": {"message": {"author": None}}}},
    {"conversation_id": 5, "mapping": {"a": {"message": {"id": None, "author": {"role": "user"}, "content": None}}}},
    None, [], "text", 7])
def test_nulls_and_wrong_types_fail_alone(twin: Twin, tmp_path: Path, chat: object) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([*export("Свёкла растёт."), chat, *export("Лук растёт.", key="n")]), "utf-8")
    report = twin.import_path(path)
    assert (report.imported, report.reconciles) == (2, True)
    assert kept(twin)


def test_the_same_id_twice_in_one_source_loses_nothing(twin: Twin) -> None:
    chat = Conversation("c", tuple(Message("same", "user", text) for text in ("Раз.", "Два.", "Раз.")))
    report = twin.add([chat, chat])
    assert sorted(text for text in stored(twin).values() if text != KEPT.messages[0].text) == ["Два.", "Раз."]
    assert report.reconciles


def test_an_id_that_is_sql_is_only_an_id(twin: Twin) -> None:
    """String predicates of the recall store are SQL: an id must never become part of one."""
    evil = "x' OR 1=1 --"
    twin.add([Conversation(evil, (Message(evil, "user", "Капуста взошла.", author=evil),))])
    assert [hit.conversation for hit in twin.recall("капуста помидоры", k=2)].count(evil) == 1
    from twin.types import Scope

    assert [hit.conversation for hit in twin.recall("капуста помидоры", scope=Scope(exclude=(evil,)))] == ["kept"]
    assert [hit.conversation for hit in twin.recall("капуста помидоры", scope=Scope(people=(evil,)))] == [evil]
    assert twin.forget(evil).clean
    assert kept(twin)


# ---- clocks ----------------------------------------------------------------------------------------------------------

def test_clocks_that_are_wrong_change_no_order(twin: Twin, tmp_path: Path) -> None:
    """Order is that of the source: a phone three days late, a laptop a year ahead, null and negative times."""
    times = [1_700_000_000.0, 1_699_740_000.0, None, 1_734_560_000.0, -5.0, 1e18, 1_700_000_100_000.0]
    chat = export(*(f"Мысль {i}" for i in range(len(times))))
    for i, when in enumerate(times):
        chat[0]["mapping"][f"m{i}"]["message"]["create_time"] = when
    (tmp_path / "c.json").write_text(json.dumps(chat), "utf-8")
    assert twin.import_path(tmp_path / "c.json").imported == len(times)
    (conversation,) = (one for one in twin.archive.conversations() if one.id == "c-m")
    assert [message.text for message in conversation.messages] == [f"Мысль {i}" for i in range(len(times))]
    assert twin.import_path(tmp_path / "c.json").unchanged == len(times)


def test_what_is_dated_in_the_future_can_be_recalled_and_forgotten(twin: Twin) -> None:
    future = datetime.now(UTC) + timedelta(days=400)
    twin.add([Conversation("later", (Message("later-1", "user", "Кабачок созреет.", time=future),))])
    assert twin.recall("кабачок")[0].message_ids == ("later-1",)
    assert twin.forget("later").clean
    assert [hit for hit in twin.recall("кабачок") if hit.conversation == "later"] == []


def test_summer_time_and_a_named_zone_give_one_moment(twin: Twin, tmp_path: Path) -> None:
    """A WhatsApp chat names no zone: the person can, and the same file in the same zone is the same messages."""
    (tmp_path / "WhatsApp Chat with Ann.txt").write_text(
        "31/03/2024, 01:30 - Ann: Before the change\n31/03/2024, 03:30 - Me: After the change\n", "utf-8")
    twin.import_path(tmp_path / "WhatsApp Chat with Ann.txt", me=["Me"], zone="Europe/Berlin")
    times = {message.text: message.time for _, message in twin.archive.messages()}
    assert times["Before the change"] == datetime(2024, 3, 31, 0, 30, tzinfo=UTC)
    assert times["After the change"] == datetime(2024, 3, 31, 1, 30, tzinfo=UTC)
    assert twin.import_path(tmp_path / "WhatsApp Chat with Ann.txt", zone="Europe/Berlin").imported == 0


# ---- zips ------------------------------------------------------------------------------------------------------------

def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def overlapping(count: int) -> bytes:
    """A zip whose members all point at one body (Fifield 2019): small, and large only when each is unpacked."""
    body = zlib.compress(b" " * 30_000_000, 9)[2:-4]
    sizes = struct.pack("<III", zlib.crc32(b" " * 30_000_000), len(body), 30_000_000)
    local = struct.pack("<IHHHHH", 0x04034B50, 20, 0, 8, 0, 0x21) + sizes + struct.pack("<HH", 6, 0) + b"0000.t" + body
    central = b"".join(struct.pack("<IHHHHHH", 0x02014B50, 20, 20, 0, 8, 0, 0x21) + sizes
                       + struct.pack("<HHHHHII", 6, 0, 0, 0, 0, 0, 0) + f"{i:06}.t"[:6].encode() for i in range(count))
    return local + central + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, min(count, 65535), min(count, 65535),
                                         len(central), len(local), 0)


CHAT = json.dumps(export("Редис взошёл.")).encode()


def lying(data: bytes) -> bytes:
    """The directory says that the member has ten bytes."""
    at = data.find(b"PK\x01\x02")
    return data[:at + 24] + struct.pack("<I", 10) + data[at + 28:]


def nul_named(data: bytes) -> bytes:
    return data.replace(b"evil.json", b"e\x00il.json")


@pytest.mark.parametrize("data", [
    overlapping(500), packed({"conversations.json": b"[" + b" " * 60_000_000 + b"]"}),
    packed({f"{i}.zip": packed({"a.json": b" " * 20_000_000}) for i in range(20)}),
], ids=["overlapping", "one bomb", "forty-two"])
def test_a_bomb_is_refused_in_seconds_and_little_memory(twin: Twin, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "z.zip").write_bytes(data)
    start = time.monotonic()
    with pytest.raises(InputError):
        twin.import_path(tmp_path / "z.zip")
    assert time.monotonic() - start < 20
    assert kept(twin)


@pytest.mark.parametrize(("data", "ids"), [
    (packed({"../up.json": CHAT, "/abs.json": CHAT, "C:\\w.json": CHAT}), set()),
    (nul_named(packed({"evil.json": CHAT})), None),
    (lying(packed({"conversations.json": CHAT})), None),
    (packed({"a.json": CHAT, "b.bin": bytes(range(256)) * 100}), {"m0"}),
], ids=["climbing names", "NUL in a name", "lying size", "pictures beside"])
def test_a_zip_gives_what_is_safe_in_it_or_a_named_error(twin: Twin, tmp_path: Path, data: bytes,
                                                         ids: set[str] | None) -> None:
    (tmp_path / "z.zip").write_bytes(data)
    try:
        assert twin.import_path(tmp_path / "z.zip").reconciles
    except TwinError as error:
        assert error.next_step
    if ids is not None:
        assert stored(twin).keys() == {"kept-1", *ids}
    assert not list(tmp_path.parent.glob("up.json")) and not Path("/abs.json").exists()
    assert kept(twin)


def test_a_zip_of_a_million_names_is_refused_before_it_is_read(twin: Twin, tmp_path: Path) -> None:
    (tmp_path / "z.zip").write_bytes(overlapping(containers.MAX_MEMBERS + 1))
    with pytest.raises(BrokenFile, match="members"):
        twin.import_path(tmp_path / "z.zip")
