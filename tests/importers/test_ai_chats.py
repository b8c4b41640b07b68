"""All JSON formats of AI chats beside each other: none takes another's file, and none stumbles over odd values."""
from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.importers import chatgpt, claude, gemini, messages, openwebui, sharegpt, sillytavern
from twin.importers.encoding import Mended
from twin.importers.found import Context, Found

CLAUDE = {"uuid": "cv", "name": "Trip", "account": {"uuid": "a"}, "current_leaf_message_uuid": "m2", "chat_messages": [
    {"uuid": "m1", "sender": "human", "text": "", "created_at": "2026-01-05T09:00:01Z", "attachments": [{}],
     "content": [{"type": "text", "text": "Вопрос"}], "files": [], "parent_message_uuid": "root"},
    {"uuid": "m2", "sender": "assistant", "text": "Ответ", "created_at": "2026-01-05T09:00:02Z", "attachments": [],
     "content": [{"type": "thinking", "thinking": "t"}], "files": [], "parent_message_uuid": "m1"},
    {"uuid": "m3", "sender": "human", "text": "Другой", "created_at": None, "parent_message_uuid": "m1"}]}
PROJECT = {"uuid": "p", "name": "P", "description": "d", "prompt_template": "Be brief", "created_at": "2026-01-05",
           "docs": [{"uuid": "d", "content": "x"}], "creator": {"uuid": "a"}}
MEMORY = {"conversations_memory": "Knows.", "project_memories": {"p": "Works."}, "account_uuid": "a"}
ACCOUNT = {"uuid": "a", "full_name": "Анна", "email_address": "a@example.org", "verified_phone_number": None}
CHATGPT = {"id": "c1", "conversation_id": "c1", "title": "T", "current_node": "a", "mapping": {
    "r": {"id": "r", "parent": None, "children": ["q"], "message": None},
    "q": {"id": "q", "parent": "r", "children": ["a"], "message": {
        "id": "q", "author": {"role": "user"}, "create_time": 1751277001.5, "recipient": "all",
        "content": {"content_type": "text", "parts": ["Вопрос", {"text": "голос"}]}, "metadata": {}}},
    "a": {"id": "a", "parent": "q", "children": [], "message": {
        "id": "a", "author": {"role": "assistant"}, "create_time": None, "recipient": "bio",
        "content": {"content_type": "text", "parts": ["Ответ"]}, "metadata": {"model_slug": "gpt-x"}}}}}
HISTORY = {"currentId": "a", "messages": {
    "q": {"id": "q", "parentId": None, "childrenIds": ["a"], "role": "user", "content": "Вопрос",
          "timestamp": 1751277000},
    "a": {"id": "a", "parentId": "q", "childrenIds": [], "role": "assistant", "content": "Ответ", "model": "m",
          "timestamp": 1751277001, "files": [{}]}}}
OPENWEBUI = {"id": "o1", "user_id": "u", "title": "T", "created_at": 1751277000, "meta": {"tags": []},
             "chat": {"title": "T", "models": ["m"], "history": HISTORY, "messages": []}}
OLD_OPENWEBUI = {"id": "o1", "title": "T", "models": ["m"], "history": HISTORY,
                 "messages": list(HISTORY["messages"].values())}  # type: ignore[attr-defined]
GEMINI = {"header": "Gemini Apps", "title": "Prompted Вопрос", "time": "2026-03-01T12:00:00Z",
          "products": ["Gemini Apps"], "safeHtmlItem": [{"html": "<p>Ответ</p>"}], "attachedFiles": [], "subtitles": []}
HEADER = {"user_name": "Рыцарь", "character_name": "Эльза", "create_date": "2025-6-30 @12h 00m 00s 1ms",
          "chat_metadata": {"integrity": "5f0c"}}
LINE = {"name": "Рыцарь", "is_user": True, "is_system": False, "send_date": "June 30, 2025 12:07pm", "mes": "Вопрос",
        "extra": {}, "swipes": ["Вопрос"]}
MESSAGES = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Вопрос"},
                         {"role": "assistant", "content": [{"type": "text", "text": "Ответ"}]}]}
SHAREGPT = {"conversations": [{"from": "human", "value": "Вопрос"}, {"from": "gpt", "value": "Ответ"}], "system": "s"}
ALPACA = {"instruction": "Вопрос", "input": "Текст", "output": "Ответ", "system": "s", "history": [["a", "b"]]}
TELEGRAM = {"name": "Ann", "type": "personal_chat", "id": 42, "messages": [
    {"id": 7, "type": "message", "date": "2025-06-30T12:07:00", "from": "Me", "from_id": "user1", "text": "hi"}]}
ACCOUNT_OF_TELEGRAM = {"about": "", "personal_information": {"user_id": 1}, "chats": {"list": [TELEGRAM]}}

MODULES = (chatgpt, claude, gemini, messages, openwebui, sharegpt, sillytavern)
SAMPLES: list[tuple[str, Any, ModuleType | None]] = [
    ("chatgpt", CHATGPT, chatgpt), ("claude", CLAUDE, claude), ("claude project", PROJECT, claude),
    ("claude memory", MEMORY, claude), ("claude account", ACCOUNT, claude), ("openwebui", OPENWEBUI, openwebui),
    ("old openwebui", OLD_OPENWEBUI, openwebui), ("gemini", GEMINI, gemini),
    ("sillytavern header", HEADER, sillytavern), ("sillytavern line", LINE, sillytavern),
    ("messages", MESSAGES, messages), ("bare message", MESSAGES["messages"][1], messages),
    ("sharegpt", SHAREGPT, sharegpt), ("alpaca", ALPACA, sharegpt), ("telegram", TELEGRAM, None),
    ("telegram account", ACCOUNT_OF_TELEGRAM, None),
    ("search activity", GEMINI | {"header": "Search", "products": ["Search"]}, None),
    *((str(value), value, None) for value in (None, 5, "text", [], {}, {"id": "x"}, [CLAUDE], {"messages": [5]}))]


@pytest.mark.parametrize(("name", "value", "module"), SAMPLES, ids=[name[:20] for name, _, _ in SAMPLES])
def test_one_format_takes_a_file_and_no_other(name: str, value: Any, module: ModuleType | None) -> None:
    """The order in which formats are asked must never decide whose words these are."""
    assert [one for one in MODULES if one.recognises(value)] == ([module] if module else [])


# ---- odd values -------------------------------------------------------------------------------------------------

def things(module: ModuleType, value: Any) -> int:
    """How many messages, skips and failures a value should give, by a count of its own."""
    if not isinstance(value, dict):
        return 1
    listed: Any = None
    if module is chatgpt:
        nodes = value.get("mapping")
        return sum(not isinstance(node, dict) or node.get("message") is not None
                   for node in (nodes.values() if isinstance(nodes, dict) else ())) or 1
    if module is openwebui:
        inner = openwebui._inner(value)
        history = inner.get("history")
        kept = history.get("messages") if isinstance(history, dict) else None
        listed = list(kept) if kept and isinstance(kept, dict) else inner.get("messages")
    if module is sharegpt and {"instruction", "output"} <= value.keys():
        listed = [1, 2]
        for pair in value["history"] if isinstance(value.get("history"), list) else []:
            whole = isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
            listed += [1] * (1 + whole)
    elif module in (claude, messages, sharegpt):
        listed = value.get({claude: "chat_messages", messages: "messages", sharegpt: "conversations"}[module])
    count = len(listed) if isinstance(listed, list) else 0
    if module is sharegpt and (count or isinstance(listed, list)):
        system = value.get("system")
        count += isinstance(system, str) and bool(system.strip())
    return count or 1


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, (*at, key))


junk = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.just(10**400), st.text(max_size=5),
    st.sampled_from(["m1", "q", "user", "human", "assistant", "all", "tool", "1e5", "2026-01-05", "9" * 30, "\ud83e"]),
    st.lists(st.none() | st.text(max_size=3) | st.integers(), max_size=3),
    st.dictionaries(st.sampled_from(["text", "role", "type", "id", "message", "messages", "uuid", "html"]),
                    st.none() | st.text(max_size=3) | st.lists(st.integers(), max_size=2), max_size=3))


@st.composite
def mutated(draw: st.DrawFn, good: Any) -> Any:
    """A good value with one to four of its parts replaced by something else, or gone."""
    whole = [deepcopy(good)]
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(list(paths(whole))[1:] or [(0,)]))
        holder: Any = whole
        for key in path[:-1]:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.booleans()):
            del holder[path[-1]]
        else:
            holder[path[-1]] = draw(junk)
    return whole[0]


FORMATS = [(name, value, module) for name, value, module in SAMPLES[:14] if module is not None]


@pytest.mark.parametrize(("name", "good", "module"), FORMATS, ids=[name for name, _, _ in FORMATS])
@settings(max_examples=60)
@given(data=st.data())
def test_odd_values_never_raise_and_everything_seen_is_accounted_for(name: str, good: Any, module: ModuleType,
                                                                     data: st.DataObject) -> None:
    """Exports have no contract: what a part is, only reading it tells. The good value after it must still come in."""
    value = data.draw(mutated(good))
    results = list(module.read([value, good], Context("f", Mended("f", ()))))
    whole = list(module.read([good], Context("f", Mended("f", ()))))
    assert all(result.conversation or result.skipped or result.failure for result in results)
    total = sum(map(count, results))
    if module not in (gemini, sillytavern) and not name.startswith(("claude ", "bare")):
        assert total == things(module, value) + sum(map(count, whole))
    assert total > sum(map(count, whole)) or module is sillytavern
    for said in (said for one in results if one.conversation for said in one.conversation.messages):
        assert said.id
        assert said.text.strip()
        assert said.own is False or said.role == "user"
        said.text.encode()
        said.id.encode()
    assert all(one.conversation.id.encode() for one in results if one.conversation)


def count(result: Found) -> int:
    """Messages, skips and failures of one result."""
    spoken = len(result.conversation.messages) if result.conversation else 0
    return spoken + sum(result.skipped.values()) + (result.failure is not None)
