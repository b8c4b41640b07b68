"""SillyTavern chats: played parts, which are talk to be found again but never evidence."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from twin.importers import sillytavern
from twin.importers.encoding import Mended
from twin.importers.found import Context, Found
from twin.types import Conversation, Message

CONTEXT = Context("chat.jsonl", Mended("chat.jsonl", ()), zone=timezone(timedelta(hours=3)))
HEADER = {"user_name": "Рыцарь", "character_name": "Эльза", "create_date": "2025-6-30 @12h 00m 00s 1ms",
          "chat_metadata": {"integrity": "5f0c", "note_prompt": ""}}


def found(*lines: Any) -> list[Found]:
    return list(sillytavern.read(lines, CONTEXT))


def said(mes: str, name: str = "Рыцарь", *, user: bool = True, **more: Any) -> dict[str, Any]:
    return {"name": name, "is_user": user, "is_system": False, "send_date": "June 30, 2025 12:07pm", "mes": mes,
            "extra": {}, **more}


def messages(*lines: Any) -> tuple[Message, ...]:
    (one,) = found(*lines)
    assert one.conversation is not None
    return one.conversation.messages


def test_a_whole_chat() -> None:
    lines = [HEADER, said("Кто идёт?", "Эльза", user=False, swipe_id=1, swipes=["Стой!", "Кто идёт?"]),
             said("Это я."), said("note", is_system=True), said(""), None]
    results = found(*lines)
    (one,) = results
    assert one.conversation is not None
    greeting, answer = (said.id for said in one.conversation.messages)
    time = datetime(2025, 6, 30, 9, 7, tzinfo=UTC)
    assert results == [Found("chat.jsonl", Conversation("sillytavern-5f0c", (
        Message(greeting, "assistant", "Кто идёт?", "Эльза", time, own=False, flags=("fiction", "local_time")),
        Message(answer, "user", "Это я.", "Рыцарь", time, own=False, flags=("fiction", "local_time")),
    ), "Эльза", "sillytavern"), {"hidden": 1, "empty": 1, "malformed message": 1})]


@pytest.mark.parametrize(("stamp", "time", "local"), [
    ("June 30, 2025 12:07pm", datetime(2025, 6, 30, 9, 7, tzinfo=UTC), True),
    ("июня 30, 2025 12:07am", datetime(2025, 6, 29, 21, 7, tzinfo=UTC), True),
    ("мая 1, 2025 3:00PM", datetime(2025, 5, 1, 12, 0, tzinfo=UTC), True),
    ("2025-6-30 @12h 07m 01s 123ms", datetime(2025, 6, 30, 9, 7, 1, 123_000, tzinfo=UTC), True),
    ("2025-06-30@12h07m01s", datetime(2025, 6, 30, 9, 7, 1, tzinfo=UTC), True),
    ("2025-06-30T09:07:01.123Z", datetime(2025, 6, 30, 9, 7, 1, 123_000, tzinfo=UTC), False),
    (1751274421123, datetime(2025, 6, 30, 9, 7, 1, 123_000, tzinfo=UTC), False),
    ("1751274421123", datetime(2025, 6, 30, 9, 7, 1, 123_000, tzinfo=UTC), False),
    ("Smarch 13, 2025 1:00am", None, False), ("2025-13-45 @99h 00m 00s", None, False), ("", None, False),
    ("9" * 30, None, False), (None, None, False), ({}, None, False),
], ids=str)
def test_every_form_of_a_date(stamp: Any, time: datetime | None, local: bool) -> None:
    (one,) = messages(HEADER, said("x", send_date=stamp))
    assert (one.time, one.flags) == (time, ("fiction", "local_time") if local else ("fiction",))


def test_no_part_that_was_played_is_evidence() -> None:
    assert all(not one.own and "fiction" in one.flags for one in messages(HEADER, said("a"), said("b", user=False)))


def test_ids_stand_on_the_chat_and_its_content() -> None:
    """The same words in another chat, or twice in one, are other messages; the same chat read again is not."""
    other = HEADER | {"chat_metadata": {"integrity": "77aa"}}
    first, second = messages(HEADER, said("и"), said("и")), messages(other, said("и"), said("и"))
    assert len({one.id for one in (*first, *second)}) == 4
    assert messages(HEADER, said("и"), said("и"), said("новое"))[:2] == first


def test_older_headers_are_told_apart_by_date_and_names_and_none_by_the_first_message() -> None:
    old, older = HEADER | {"chat_metadata": {}}, {"user_name": "unused", "character_name": "unused"}
    chats = [found(*lines)[0].conversation for lines in (
        (old, said("и")), (old | {"create_date": "2025-7-1 @12h 00m 00s 1ms"}, said("и")),
        (old | {"character_name": "Анна"}, said("и")), (older, said("и")), (older, said("а")), (said("и"),))]
    assert len({chat.id for chat in chats if chat}) == 5  # without any header it is the same as with an empty one
    assert chats[3] is not None
    assert (chats[3].title, chats[3].messages[0].author) == (None, "Рыцарь")


def test_a_header_names_those_whose_lines_have_no_name() -> None:
    lines = [said("a"), said("b", user=False)]
    assert [one.author for one in messages(HEADER, *({key: value for key, value in line.items() if key != "name"}
                                                     for line in lines))] == ["Рыцарь", "Эльза"]


def test_a_long_chat_goes_on_in_parts_of_one_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sillytavern, "_PART", 3)
    results = found(HEADER, *(said("и") for _ in range(7)))
    parts = [one.conversation for one in results if one.conversation]
    assert [len(part.messages) for part in parts] == [3, 3, 1]
    assert len({part.id for part in parts}) == 1
    assert len({said.id for part in parts for said in part.messages}) == 7


def test_a_second_header_begins_another_chat_and_a_header_alone_is_empty() -> None:
    other = HEADER | {"chat_metadata": {"integrity": "77aa"}}
    assert [one.conversation and one.conversation.id for one in found(HEADER, said("a"), other, said("b"))] == [
        "sillytavern-5f0c", "sillytavern-77aa"]
    assert found(HEADER) == [Found("chat.jsonl", None, {"empty conversation": 1})]
