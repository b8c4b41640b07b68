"""Claude exports: conversations with and without parents, and what lies beside them."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from twin.importers import claude
from twin.importers.encoding import Mended
from twin.importers.found import Context, Found
from twin.types import Conversation, Message

ROOT = "00000000-0000-4000-8000-000000000000"
CONTEXT = Context("conversations.json", Mended("conversations.json", ()))


def found(*values: Any) -> list[Found]:
    return list(claude.read(values, CONTEXT))


def said(uuid: str, sender: str, text: str = "", **more: Any) -> dict[str, Any]:
    return {"uuid": uuid, "sender": sender, "text": text, "created_at": "2026-01-05T09:00:01Z", "content": [],
            "attachments": [], "files": [], **more}


def chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"uuid": "cv-1", "name": "Поездка", "created_at": "2026-01-05T09:00:00Z", "account": {"uuid": "a"},
            "chat_messages": list(messages), **more}


def conversation(*values: Any) -> Conversation:
    (one,) = found(*values)
    assert one.conversation is not None
    return one.conversation


def test_a_whole_conversation() -> None:
    value = chat(
        said("m1", "human", "", content=[{"type": "text", "text": "Ненавижу ранние рейсы"}]),
        said("m2", "assistant", "Fly later.", created_at="2026-01-05T10:00:05.250+01:00", content=[
            {"type": "thinking", "thinking": "they hate mornings"}, {"type": "text", "text": "Fly later."},
            {"type": "tool_use", "name": "search", "input": {}}, {"type": "tool_result", "content": []},
            {"type": "text", "text": "After ten, say."}]),
        said("m3", "human", "See the file", attachments=[{"file_name": "", "extracted_content": "THEIR WORDS"}]),
        said("m4", "human", files=[{"file_name": "a.png", "file_uuid": "f"}]),
        said("m5", "assistant", content=[{"type": "tool_use", "name": "x"}]),
        said("m6", "assistant", content=[{"type": "thinking", "thinking": "hm"}]),
        said("m7", "human", "  "), said("m8", "narrator", "Then"), model="claude-x")
    time = datetime(2026, 1, 5, 9, 0, 1, tzinfo=UTC)
    assert found(value, chat()) == [Found("conversations.json", Conversation("cv-1", (
        Message("m1", "user", "Ненавижу ранние рейсы", time=time, own=True),
        Message("m2", "assistant", "Fly later.\n\nAfter ten, say.", "claude-x",
                time + timedelta(seconds=4, microseconds=250_000), own=False),
        Message("m3", "user", "See the file", time=time, own=True, flags=("attachment",)),
    ), "Поездка", "claude"), {"attachment only": 1, "tool": 1, "thinking": 1, "empty": 1, "unknown speaker": 1}),
        Found("conversations.json", None, {"empty conversation": 1})]


def test_the_tree_is_rebuilt_from_parents_not_from_the_order_of_the_file() -> None:
    """Arrays mix branches; what the person wrote on a branch they left is theirs all the same."""
    value = chat(
        said("q1", "human", "First try", parent_message_uuid=ROOT),
        said("q2", "human", "Second try", parent_message_uuid=ROOT),
        said("a1", "assistant", "To the first", parent_message_uuid="q1"),
        said("a2", "assistant", "To the second", parent_message_uuid="q2"),
        said("q3", "human", "Thanks", parent_message_uuid="a1"), current_leaf_message_uuid="a2")
    (one,) = found(value)
    assert one.conversation is not None
    assert [(message.id, message.flags) for message in one.conversation.messages] == [
        ("q1", ("inactive",)), ("q3", ("inactive",)), ("q2", ()), ("a2", ())]
    assert one.skipped == {"inactive branch": 1}


def test_without_a_current_leaf_the_last_message_ends_the_active_branch() -> None:
    value = chat(said("q", "human", "Q", parent_message_uuid=ROOT),
                 said("b", "assistant", "B", parent_message_uuid="q", created_at="2026-01-05T12:00:00Z"),
                 said("a", "assistant", "A", parent_message_uuid="q"))
    for leaf in (None, "gone"):
        assert [one.id for one in conversation(value | {"current_leaf_message_uuid": leaf}).messages] == ["q", "a"]


@pytest.mark.parametrize("parent", [{}, {"parent_message_uuid": None}, {"parent_message_uuid": ROOT}])
def test_where_no_parent_is_known_the_order_of_the_file_counts(parent: dict[str, Any]) -> None:
    value = chat(*(said(name, sender, name, **parent)
                   for name, sender in (("q", "human"), ("a", "assistant"), ("r", "human"))))
    assert [(one.id, one.flags) for one in conversation(value).messages] == [("q", ()), ("a", ()), ("r", ())]


def test_messages_without_an_id_get_one_by_content_and_none_is_lost() -> None:
    bare = [{key: value for key, value in said("", "human", text).items() if key != "uuid"} for text in ("a", "a", "b")]
    first, second = conversation(chat(*bare)), conversation(chat(*bare[::-1]))
    assert [one.text for one in first.messages] == ["a", "a", "b"]
    assert {one.id for one in first.messages} == {one.id for one in second.messages}
    other = conversation(chat(*bare) | {"uuid": "cv-2"})
    assert not {one.id for one in first.messages} & {one.id for one in other.messages}


def test_the_same_id_twice_keeps_both_texts() -> None:
    value = chat(said("m", "human", "one"), said("m", "human", "two"), said("m", "human", "one"))
    (one,) = found(value)
    assert one.conversation is not None
    assert [(message.id, message.text) for message in one.conversation.messages] == [("m", "one"), ("m#2", "two")]
    assert one.skipped == {"repeated message": 1}


def test_a_time_without_a_zone_is_local_and_says_so() -> None:
    context = Context("f", Mended("f", ()), zone=timezone(timedelta(hours=3)))
    value = chat(said("m", "human", "x", created_at="2026-01-05T12:00:00"), said("n", "human", "y", created_at="soon"))
    (one,) = claude.read([value], context)
    assert one.conversation is not None
    first, second = one.conversation.messages
    assert (first.time, first.flags) == (datetime(2026, 1, 5, 9, tzinfo=UTC), ("local_time",))
    assert (second.time, second.flags) == (None, ())


def test_instructions_of_a_project_are_own_words_and_its_documents_are_not() -> None:
    project = {"uuid": "p-1", "name": "Роутер", "description": "about it", "is_private": True,
               "prompt_template": "Отвечай как редактор", "updated_at": "2026-02-01T00:00:00Z",
               "created_at": "2026-01-01T00:00:00Z", "docs": [{"uuid": "d", "filename": "a.md", "content": "THEIRS"}]}
    starter = project | {"is_starter_project": True, "docs": [], "description": ""}
    assert found(project, starter, project | {"prompt_template": "", "docs": None}) == [
        Found("conversations.json", Conversation("p-1", (
            Message("p-1-instructions", "user", "Отвечай как редактор", time=datetime(2026, 2, 1, tzinfo=UTC), own=True,
                    flags=("custom_instructions",)),), "Роутер", "claude"),
              {"project document": 1, "project description": 1}),
        Found("conversations.json", None, {"example project": 1}),
        Found("conversations.json", None, {"project description": 1, "project without instructions": 1})]


def test_what_claude_remembers_is_its_claim_not_the_persons_words() -> None:
    value = {"account_uuid": "acc", "conversations_memory": "**Work**\n\nBuilds routers.", "memory_files": [{}],
             "project_memories": {"p-1": "Prefers short answers.", "p-2": "", "p-3": 5}}
    (one,) = found(value)
    assert one.conversation is not None
    assert one.conversation.id == "claude-memory-acc"
    assert [(said.role, said.text, said.own, said.flags) for said in one.conversation.messages] == [
        ("assistant", "**Work**\n\nBuilds routers.", False, ("memory",)),
        ("assistant", "Prefers short answers.", False, ("memory",))]
    assert one.skipped == {"memory file": 1, "empty": 1, "malformed message": 1}
    changed = conversation(value | {"conversations_memory": "Builds roles."})
    assert changed.messages[0].id == one.conversation.messages[0].id  # what is remembered changes: a revision


def test_the_account_is_skipped_and_a_damaged_chat_fails_alone() -> None:
    results = found({"uuid": "a", "full_name": "Анна", "email_address": "a@example.org"},
                    chat() | {"chat_messages": None}, None, chat(said("m", "human", "ok")))
    assert results[0].skipped == {"account of an export": 1}
    assert "conversation cv-1" in str(results[1].failure)
    assert "conversation number 3" in str(results[2].failure)
    assert results[3].conversation is not None


def test_mojibake_is_repaired_and_the_original_kept() -> None:
    broken = "Привет".encode().decode("mac_roman")
    (one,) = claude.read([chat(said("m", "human", broken), name=broken)], Context("f", Mended("f", ("mac_roman",))))
    assert one.conversation is not None
    assert (one.conversation.title, one.conversation.messages[0].text) == ("Привет", "Привет")
    assert one.conversation.messages[0].raw == broken.encode()
    assert one.conversation.messages[0].flags == ("repaired",)
