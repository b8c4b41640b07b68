"""ShareGPT and Alpaca: training data, without ids or times, and with material that nobody said."""
from __future__ import annotations

from typing import Any

from twin.importers import sharegpt
from twin.importers.encoding import Mended
from twin.importers.found import Context, Found
from twin.text import own_spans
from twin.types import Conversation, Message

CONTEXT = Context("train.jsonl", Mended("train.jsonl", ()))


def found(*values: Any) -> list[Found]:
    return list(sharegpt.read(values, CONTEXT))


def conversation(value: Any) -> Conversation:
    (one,) = found(value)
    assert one.conversation is not None
    return one.conversation


def turn(speaker: Any, value: Any) -> dict[str, Any]:
    return {"from": speaker, "value": value}


def test_a_whole_sharegpt_conversation() -> None:
    value = {"conversations": [turn("system", "be brief"), turn("human", "Зачем роутер?"), turn("gpt", "Выбирать."),
                               turn("function_call", "{}"), turn("observation", "42"), turn("human", " "),
                               turn("narrator", "x"), turn("human", None), 5], "system": "rules", "tools": "[]"}
    results = found(value)
    (one,) = results
    assert one.conversation is not None
    asked, answered = (said.id for said in one.conversation.messages)
    assert results == [Found("train.jsonl", Conversation(one.conversation.id, (
        Message(asked, "user", "Зачем роутер?", own=True), Message(answered, "assistant", "Выбирать.", own=False),
    ), None, "sharegpt"), {"system": 2, "tool": 2, "empty": 1, "unknown speaker": 1, "malformed message": 2})]


def test_a_whole_alpaca_example() -> None:
    value = {"instruction": "Переведи на русский", "input": "A core\n\nmany roles", "output": "Ядро, много ролей",
             "system": "", "history": [["Привет", "Здравствуй"], ["broken"]]}
    (one,) = found(value)
    assert one.conversation is not None
    assert [(said.role, said.text, said.own, said.flags, said.raw) for said in one.conversation.messages] == [
        ("user", "Привет", True, (), None), ("assistant", "Здравствуй", False, (), None),
        ("user", "Переведи на русский\n\n> A core\n>\n> many roles", True, ("pasted",),
         "Переведи на русский\n\nA core\n\nmany roles".encode()),
        ("assistant", "Ядро, много ролей", False, (), None)]
    assert one.skipped == {"malformed message": 1}


def test_what_an_instruction_works_on_is_no_evidence() -> None:
    """The instruction is the person's wish; the text they pasted under it is anybody's."""
    said = conversation({"instruction": "Сократи", "input": "I am a king\nof my castle", "output": "x"}).messages[0]
    assert [said.text[a:b].strip() for a, b in own_spans(said.text)] == ["Сократи"]
    alone = conversation({"instruction": "", "input": "I am a king", "output": "x"}).messages[0]
    assert own_spans(alone.text) == []


def test_ids_stand_on_content_with_a_counter() -> None:
    one = {"conversations": [turn("human", "дальше"), turn("human", "дальше")]}
    other = {"instruction": "дальше", "output": "да"}
    first, again, third = (result.conversation for result in found(one, one, other))
    assert first is not None
    assert again is not None
    assert third is not None
    assert len({first.id, again.id, third.id}) == 3
    assert len({said.id for chat in (first, again, third) for said in chat.messages}) == 6
    assert [result.conversation for result in found(other, one)] == [third, first]


def test_a_damaged_line_fails_alone() -> None:
    results = found({"conversations": 5}, None, {"instruction": None, "output": 7}, {"instruction": "a", "output": ""})
    assert ["conversation 1" in str(results[0].failure), "conversation 2" in str(results[1].failure)] == [True, True]
    assert results[2].skipped == {"malformed message": 2}
    assert results[3].skipped == {"empty": 1}
    assert results[3].conversation is not None
