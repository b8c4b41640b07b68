"""Open WebUI exports: an array of chats, each a tree of messages ('history') beside a flat copy of its active branch.

Older files have the chat at top level. Ids are Open WebUI's own. An administrator's export holds the chats of several
accounts; which of them is the person's, only they can say.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from twin.importers.dates import from_epoch
from twin.importers.found import Context, Found, found, id_from, message, trim
from twin.importers.jsonvalue import Node, as_dict, as_list, as_text
from twin.importers.messages import speech
from twin.importers.tree import Tree
from twin.text import clean
from twin.types import Conversation, Message

SOURCE = "openwebui"

# Thoughts and tools stand in the answer itself; an answer that was stopped may leave them open.
_DETAILS = re.compile(r"<details\b[^<>]*\btype=\"(?:reasoning|tool_calls|code_interpreter)\"[^<>]*>"
                      r".*?(?:</details>\s*|\Z)", re.DOTALL)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def recognises(value: object) -> bool:
    """True for a chat with a history, or with messages inside `chat`."""
    return bool(_inner(as_dict(value)))


def _inner(value: Node) -> Node:
    """The chat itself; empty when this is none."""
    chat = as_dict(value.get("chat"))
    if isinstance(chat.get("history"), dict) or isinstance(chat.get("messages"), list):
        return chat
    return value if isinstance(as_dict(value.get("history")).get("messages"), dict) else {}


def read(values: Iterable[object], context: Context) -> Iterator[Found]:
    """Each chat. What cannot be read comes back as a failure that names it; nothing raises."""
    reader = _Reader(context)
    for number, value in enumerate(values, 1):
        yield reader.read(as_dict(value), number)


class _Reader:
    """Chats of one file, and whose they are."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._named = any(_UUID.fullmatch(name) for name in context.people.me)
        self._owner = ""
        self._untold: Counter[str] = Counter()

    def read(self, value: Node, number: int) -> Found:
        """One chat, or a failure that names it."""
        context, chat = self.context, _inner(value)
        given = clean(as_text(value.get("id")) or as_text(chat.get("id")))
        if not chat:
            return Found(context.file, failure=f"conversation {given or f'number {number}'}: there are no messages in "
                                               "it. Export it again, or go on without it.")
        nodes, malformed = _nodes(chat, given)
        skipped = Counter({"malformed message": malformed} if malformed else {})
        user = clean(as_text(value.get("user_id")))
        mine = self._mine(user, sum(one.get("role") == "user" for one in nodes.values()))
        messages: list[Message] = []
        for key, active in _tree(nodes, as_dict(chat.get("history")).get("currentId")).order():
            read = self._message(nodes[key], key, active, user if not mine else "")
            if isinstance(read, str):
                skipped[read] += 1
            else:
                messages.append(read)
        title = context.mended.text(as_text(value.get("title")) or as_text(chat.get("title"))) or None
        ident = given or id_from((one.id for one in messages), "uids")
        return found(context.file, Conversation(ident, tuple(messages), title, SOURCE), skipped)

    def _mine(self, user: str, messages: int) -> bool:
        """Whether an account is the person's: the one they named by its id, else the first of the file. When a second
        one turns up, all of them are made known, so that the person is asked."""
        people = self.context.people
        if self._named and user:
            return people.own(SOURCE, user, messages=messages)
        self._owner = self._owner or user
        self._untold[user] += messages
        if len(self._untold) > 1:
            for name, count in self._untold.items():
                people.own(SOURCE, name, messages=count)
                self._untold[name] = 0
        return user == self._owner

    def _message(self, said: Node, key: str, active: bool, stranger: str) -> Message | str:
        """A message, or the reason to skip it. `stranger`: the account, when it is not the person's."""
        role = as_text(said.get("role"))
        if role not in ("user", "assistant"):
            return role if role in ("system", "tool") else "unknown speaker"
        if role == "assistant" and not active:
            return "inactive branch"
        original, attached = speech(said.get("content"))
        attached = attached or bool(as_list(said.get("files")))
        fixed = self.context.mended.text(original)
        text = trim(_DETAILS.sub("", fixed)) if role == "assistant" else fixed
        if not text.strip():
            if original.strip():
                return "thinking" if 'type="reasoning"' in original else "tool"
            return "attachment only" if attached else "empty"
        flags = [name for name, applies in (("inactive", not active), ("attachment", attached)) if applies]
        time = from_epoch(said.get("timestamp"))
        if role == "assistant":
            model = self.context.mended.text(as_text(said.get("model")) or as_text(said.get("modelName")))
            return message(key, "assistant", original, fixed, text, author=model or None, time=time, own=False,
                           flags=flags)
        return message(key, "other" if stranger else "user", original, fixed, author=stranger or None, time=time,
                       own=not stranger, flags=flags)


def _nodes(chat: Node, given: str) -> tuple[dict[str, Node], int]:
    """Messages by id, and how many were none. The flat copy may be stale: it counts only where there is no history."""
    listed = as_dict(as_dict(chat.get("history")).get("messages")) or _flat(as_list(chat.get("messages")), given)
    nodes: dict[str, Node] = {key: one for key, one in listed.items() if isinstance(one, dict)}
    return nodes, len(listed) - len(nodes)


def _flat(said: list[Any], given: str) -> dict[str, object]:
    """A list of messages as a tree of one branch. The oldest files have no ids: content and a counter stand in."""
    nodes: dict[str, object] = {}
    before = None
    for one in said:
        key = as_text(as_dict(one).get("id"))
        number = 1
        while not key or key in nodes:
            key, number = id_from((given, str(one), str(number)), "message"), number + 1
        nodes[key] = {**one, "parentId": before} if isinstance(one, dict) else one
        before = key if isinstance(one, dict) else before
    return nodes


def _tree(nodes: Mapping[str, Node], current: object) -> Tree:
    parents = {key: as_text(one.get("parentId")) or None for key, one in nodes.items()}
    times = {key: time.timestamp() for key, one in nodes.items() if (time := from_epoch(one.get("timestamp")))}
    return Tree(parents, current, times)
