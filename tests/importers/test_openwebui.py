"""Open WebUI exports: the history's tree, the flat copy, thoughts inside answers, and several accounts in one file."""
from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from twin.importers import openwebui
from twin.importers.encoding import Mended
from twin.importers.found import Context, Found
from twin.importers.people import People
from twin.types import Conversation, Message

ANNA, BORIS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
TIME = datetime(2025, 6, 30, 9, 50, tzinfo=UTC)
THOUGHTS = '<details type="reasoning" done="true" duration="3">\n<summary>Thought</summary>\n> hm\n</details>\n'


def found(*values: Any, people: People | None = None) -> list[Found]:
    return list(openwebui.read(values, Context("chats.json", Mended("chats.json", ()), people or People())))


def said(ident: str, parent: str | None, role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"id": ident, "parentId": parent, "childrenIds": [], "role": role, "content": content,
            "timestamp": 1751277000, **more}


def chat(*messages: dict[str, Any], current: str | None = None, ident: str = "c1", user: str = ANNA) -> dict[str, Any]:
    history = {"currentId": current or messages[-1]["id"], "messages": {one["id"]: one for one in messages}}
    return {"id": ident, "user_id": user, "title": "Роли", "created_at": 1751277000, "archived": False,
            "chat": {"title": "Роли", "models": ["qwen"], "history": history, "messages": [], "files": []}}


def messages(result: Found) -> tuple[Message, ...]:
    assert result.conversation is not None
    return result.conversation.messages


def test_a_whole_chat() -> None:
    value = chat(
        said("q0", None, "user", "Черновик вопроса"), said("a0", "q0", "assistant", "Old"),
        said("q1", None, "user", "Где граница роли?", files=[{"type": "file"}]),
        said("a1", "q1", "assistant", THOUGHTS + "У ядра.", model="qwen"),
        said("b1", "q1", "assistant", "From another model", model="llama"),
        said("s", "a1", "system", "rules"), said("t", "s", "tool", "42"), said("f", "t", "user", "", files=[{}]),
        said("o", "f", "assistant", '<details type="reasoning">\nstopped half-way'),
        said("u", "o", "assistant", '<details type="tool_calls" name="x">1</details>'),
        said("e", "u", "assistant", ""), said("z", "e", "user", "Спасибо"))
    assert found(value) == [Found("chats.json", Conversation("c1", (
        Message("q0", "user", "Черновик вопроса", time=TIME, own=True, flags=("inactive",)),
        Message("q1", "user", "Где граница роли?", time=TIME, own=True, flags=("attachment",)),
        Message("a1", "assistant", "У ядра.", "qwen", TIME, own=False, raw=(THOUGHTS + "У ядра.").encode()),
        Message("z", "user", "Спасибо", time=TIME, own=True),
    ), "Роли", "openwebui"), {"inactive branch": 2, "system": 1, "tool": 2, "attachment only": 1, "thinking": 1,
                              "empty": 1})]


def test_details_of_the_person_and_foldings_of_the_answer_stay() -> None:
    """Only the marks that Open WebUI itself writes are no speech."""
    fold = "<details><summary>More</summary>text</details>"
    (one,) = found(chat(said("q", None, "user", THOUGHTS + "what is this?"), said("a", "q", "assistant", fold)))
    assert [message.text for message in messages(one)] == [THOUGHTS + "what is this?", fold]


def test_a_chat_at_top_level_and_its_flat_copy_read_the_same() -> None:
    """Older files have no wrapper; without a history the list of the active branch has to do."""
    listed = [said("q", None, "user", "Q"), said("a", "q", "assistant", "A")]
    whole = chat(*listed)
    old = {"id": "c1", "title": "Роли", **whole["chat"]}
    flat = whole | {"chat": {"title": "Роли", "messages": listed}}
    assert found(whole) == found(old) == found(flat)


def test_without_a_current_message_the_latest_leaf_counts() -> None:
    value = chat(said("q", None, "user", "Q"), said("late", "q", "assistant", "B", timestamp=1751277900),
                 said("early", "q", "assistant", "A"), current="gone")
    assert [message.id for message in messages(found(value)[0])] == ["q", "late"]


def test_messages_without_ids_are_named_by_content_and_chat() -> None:
    """Very old files have none; two chats that begin alike must not become one."""
    bare = [{"role": role, "content": text} for role, text in (("user", "hi"), ("user", "hi"), ("assistant", "yes"))]
    one, two = found({"id": "c1", "chat": {"messages": bare}}, {"id": "c2", "chat": {"messages": bare}})
    assert [message.text for message in messages(one)] == ["hi", "hi", "yes"]
    assert len({message.id for result in (one, two) for message in messages(result)}) == 6


def test_the_words_of_another_account_are_not_the_persons_and_they_are_asked() -> None:
    """An administrator may export the chats of everybody: their words must not become this person's self."""
    people = People()
    mine, theirs = (chat(said("q", None, "user", "Я пишу"), ident=user, user=user) for user in (ANNA, BORIS))
    first, second = found(mine, theirs, people=people)
    assert [(said.role, said.own) for said in messages(first)] == [("user", True)]
    assert [(said.role, said.own, said.author) for said in messages(second)] == [("other", False, BORIS)]
    assert people.strangers == {"openwebui": {ANNA: 1, BORIS: 1}}


def test_an_account_named_by_its_id_is_the_person_wherever_it_stands() -> None:
    values = [chat(said("q", None, "user", "Я пишу"), ident=user, user=user) for user in (ANNA, BORIS, ANNA)]
    people = People((BORIS,))
    assert [messages(one)[0].own for one in found(*values, people=people)] == [False, True, False]
    assert people.strangers == {}


def test_a_file_of_one_account_asks_nobody() -> None:
    people = People(("Анна",))
    (one, _) = found(chat(said("q", None, "user", "Я")), chat(said("p", None, "user", "Я"), ident="c2"), people=people)
    assert messages(one)[0].own
    assert people.strangers == {}


def test_a_long_answer_of_open_marks_is_read_at_once() -> None:
    """A pattern that starts over at every mark would take minutes for a megabyte."""
    value = chat(said("q", None, "user", "Q"), said("a", "q", "assistant", "<details " * 100_000))
    began = perf_counter()
    found(value)
    assert perf_counter() - began < 5


def test_a_damaged_chat_fails_alone() -> None:
    results = found({"id": "c7", "chat": None}, None, chat(said("q", None, "user", "Q")))
    assert "conversation c7" in str(results[0].failure)
    assert "conversation number 2" in str(results[1].failure)
    assert results[2].conversation is not None
