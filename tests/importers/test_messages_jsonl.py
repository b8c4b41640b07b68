"""OpenAI messages: objects, arrays and JSON Lines."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from twin.importers import Found, read

CHAT = {"messages": [{"role": "system", "content": "be brief"},
                     {"role": "user", "content": "Зачем нужен роутер?", "name": "Me"},
                     {"role": "assistant", "content": None, "tool_calls": [{}]},
                     {"role": "tool", "content": "42"},
                     {"role": "assistant", "content": [{"type": "text", "text": "Чтобы выбирать."}]}]}
OTHER = {"messages": [{"role": "user", "content": "And why?"}, {"role": "assistant", "content": "Because."}]}


def found(tmp_path: Path, text: str, name: str = "chat.jsonl") -> list[Found]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return list(read(tmp_path / name))


def lines(*values: object) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


@pytest.mark.parametrize("text", [lines(CHAT), json.dumps([CHAT]), json.dumps(CHAT, indent=2),
                                  json.dumps(CHAT["messages"])], ids=["lines", "array", "object", "bare"])
def test_every_shape_reads_the_same(tmp_path: Path, text: str) -> None:
    (one,) = found(tmp_path, text)
    (expected,) = found(tmp_path, lines(CHAT))
    assert one == expected
    assert one.conversation is not None
    assert [(said.role, said.text, said.own) for said in one.conversation.messages] == [
        ("user", "Зачем нужен роутер?", True), ("assistant", "Чтобы выбирать.", False)]
    assert one.skipped == {"system": 1, "tool call": 1, "tool": 1}
    assert one.conversation.source == "messages"


def test_ids_stand_on_content_not_on_file_or_order(tmp_path: Path) -> None:
    first = [one.conversation for one in found(tmp_path, lines(CHAT, OTHER))]
    second = [one.conversation for one in found(tmp_path, lines(OTHER, CHAT), "b")]
    assert first == second[::-1]
    assert first[0] != first[1]


def test_repetitions_are_told_apart_by_a_counter(tmp_path: Path) -> None:
    again = {"messages": [{"role": "user", "content": "go on"}, {"role": "user", "content": "go on"}]}
    results = found(tmp_path, lines(again, again))
    conversations = [one.conversation for one in results if one.conversation]
    assert len({one.id for one in conversations}) == 2
    assert len({said.id for one in conversations for said in one.messages}) == 4


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_broken_line_never_aborts_the_file(tmp_path: Path, position: int) -> None:
    rows = lines(CHAT, OTHER).splitlines()
    rows.insert(position, '{"messages": [{"role": "us')
    results = found(tmp_path, "\n".join(rows))
    assert sum(one.conversation is not None for one in results) == 2
    (failure,) = [one.failure for one in results if one.failure]
    assert f"line {position + 1}" in failure


def test_a_malformed_message_is_skipped_and_the_rest_read(tmp_path: Path) -> None:
    odd = {"messages": [None, 3, {"content": "x"}, {"role": "narrator", "content": "x"},
                        {"role": "user", "content": "ok"}, {"role": "user", "content": [{"type": "image_url"}]}]}
    (one,) = found(tmp_path, lines(odd))
    assert one.skipped == {"malformed message": 3, "unknown speaker": 1, "attachment only": 1}
    assert one.conversation is not None


def test_a_conversation_without_messages_is_a_failure_of_its_own(tmp_path: Path) -> None:
    results = found(tmp_path, lines(OTHER, {"messages": "none"}, 5))
    assert [one.failure is not None for one in results] == [False, True, True]


def test_mojibake_is_repaired_over_all_strings(tmp_path: Path) -> None:
    results = found(tmp_path, lines(CHAT).encode().decode("mac_roman"))
    assert next(one.repair for one in results if one.repair).codec == "mac_roman"
    said = next(one.conversation for one in results if one.conversation).messages[0]
    assert (said.text, said.flags) == ("Зачем нужен роутер?", ("repaired",))
