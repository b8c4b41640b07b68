"""ChatGPT data export: a conversation is a tree of messages, of which one branch is the one that was read last.

OpenAI publishes no contract; what is read here was seen in exports of 2023-2026. Conversation and message ids are the
provider's own. Assistant text of branches left behind is dropped; what the person wrote there is kept as 'inactive'.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from twin.importers.dates import from_epoch
from twin.importers.encoding import Mended
from twin.importers.found import Found, found, id_from, message, one_newline, trim
from twin.text import clean
from twin.types import Conversation, Message

SOURCE = "chatgpt"

# Citation tokens stand between private-use marks; older ones are bare words or a numbered bracket.
_CITATION = re.compile("\ue200[^\ue201]{0,2000}\ue201|[\ue200-\ue2ff]"
                       "|【\\d+[^】]{0,80}】|\\bcite(?:turn\\d+[a-z]+\\d+)+")
_FENCED = re.compile(r"```(?:\w*\n)?(.*?)```", re.DOTALL)
_DROPPED = {"thoughts": "thinking", "reasoning_recap": "thinking", "execution_output": "tool",
            "system_error": "system", "tether_quote": "quoted page", "tether_browsing_display": "quoted page",
            "sonic_webpage": "quoted page"}

Node = Mapping[str, Any]


def recognises(value: object) -> bool:
    """True for one conversation of an export, a mapping being its mark."""
    return isinstance(value, dict) and "mapping" in value


def read(value: object, number: int, file: str, mended: Mended) -> Found:
    """One conversation. What cannot be read comes back as a failure that names it; it never raises."""
    name = f"number {number}"
    if isinstance(value, dict):
        name = clean(str(value.get("conversation_id") or value.get("id") or name))
    if not isinstance(value, dict) or not isinstance(value.get("mapping"), dict):
        return Found(file, failure=f"conversation {name}: there is no tree of messages ('mapping') in it. "
                                   "Export it again, or go on without it.")
    tree = _Tree(value["mapping"], value.get("current_node"))
    skipped: Counter[str] = Counter()
    if value.get("is_do_not_remember"):
        return Found(file, None, {"asked not to be remembered": max(1, len(tree.order()))})
    reader = _Reader(skipped, mended, _text_of(value.get("default_model_slug")))
    messages = tuple(said for key, active in tree.order() if (said := reader.message(key, tree.nodes[key], active)))
    title = value.get("title")
    ident = value.get("conversation_id") or value.get("id") or id_from((said.id for said in messages), "uids")
    return found(file, Conversation(clean(str(ident)), messages,
                                    mended.text(title) if isinstance(title, str) else None, SOURCE), skipped)


class _Tree:
    """The nodes of one conversation, in reading order, each with whether its branch is the active one."""

    def __init__(self, mapping: Mapping[str, Any], current: object) -> None:
        self.nodes: dict[str, Node] = {str(key): node for key, node in mapping.items() if isinstance(node, dict)}
        self.children: dict[str | None, list[str]] = {}
        for key, node in self.nodes.items():
            parent = node.get("parent")
            known = parent if isinstance(parent, str) and parent in self.nodes else None
            self.children.setdefault(known, []).append(key)
        self.path = self._path(current if isinstance(current, str) and current in self.nodes else self._last_leaf())

    def _last_leaf(self) -> str | None:
        leaves = [key for key in self.nodes if key not in self.children]
        return max(leaves, key=lambda key: _epoch(self.nodes[key]), default=None)

    def _path(self, leaf: str | None) -> list[str]:
        path: list[str] = []
        known: set[str] = set()
        while leaf is not None and leaf in self.nodes and leaf not in known:  # a broken tree may run in a circle
            path.append(leaf)
            known.add(leaf)
            parent = self.nodes[leaf].get("parent")
            leaf = parent if isinstance(parent, str) else None
        return path[::-1]

    def order(self) -> list[tuple[str, bool]]:
        """Nodes that hold a message. A prompt that was edited stands before the one that replaced it."""
        ordered: list[tuple[str, bool]] = []
        done = set(self.path)
        parent: str | None = None
        for key in self.path:
            for sibling in self.children.get(parent, ()):
                ordered += self._branch(sibling, done)
            ordered.append((key, True))
            parent = key
        for key in [*self.children.get(parent, ()), *self.nodes]:
            ordered += self._branch(key, done)
        return [(key, active) for key, active in ordered if isinstance(self.nodes[key].get("message"), dict)]

    def _branch(self, top: str, done: set[str]) -> Iterator[tuple[str, bool]]:
        waiting = [top]
        while waiting:
            key = waiting.pop()
            if key not in done:
                done.add(key)
                yield key, False
                waiting.extend(reversed(self.children.get(key, [])))


def _epoch(node: Node) -> float:
    said = node.get("message")
    time = from_epoch(said.get("create_time")) if isinstance(said, dict) else None
    return time.timestamp() if time else 0.0


class _Reader:
    """Nodes to messages; counts what is dropped by its reason, and hands times down to nodes that have none."""

    def __init__(self, skipped: Counter[str], mended: Mended, model: str) -> None:
        self.skipped = skipped
        self.mended = mended
        self.model = model
        self.times: dict[str, datetime | None] = {}

    def message(self, key: str, node: Node, active: bool) -> Message | None:
        said: Node = node["message"]
        role = _text_of(_dict(said.get("author")).get("role"))
        content = _dict(said.get("content"))
        time = from_epoch(said.get("create_time")) or self.times.get(_text_of(node.get("parent")))
        self.times[key] = time
        ident = _text_of(said.get("id")) or key
        if custom := _custom_instructions(said, content):
            fixed = self.mended.text(custom)
            return message(ident, "user", custom, fixed, time=time, own=True, flags=("custom_instructions",))
        original, attached = _speech(content, role)
        original = trim(one_newline(original))
        reason = _why_dropped(said, content, role, active) or (
            None if original.strip() else "attachment only" if attached else "empty")
        if reason:
            self.skipped[reason] += 1
            return None
        fixed = self.mended.text(original)
        flags = (("inactive",) if not active else ()) + (("attachment",) if attached else ())
        if role == "user":
            return message(ident, "user", original, fixed, time=time, own=True, flags=flags)
        text = trim(_CITATION.sub("", fixed))
        if not text.strip():
            self.skipped["empty"] += 1
            return None
        model = _text_of(_dict(said.get("metadata")).get("model_slug")) or self.model
        return message(ident, "assistant", original, fixed, text, author=clean(model) or None, time=time, own=False,
                       flags=flags)


def _why_dropped(said: Node, content: Node, role: str, active: bool) -> str | None:
    """The reason for which a node is no speech, or None."""
    kind = _text_of(content.get("content_type"))
    if role not in ("user", "assistant"):
        return role if role in ("system", "tool") else "unknown speaker"
    if _dict(said.get("metadata")).get("is_visually_hidden_from_conversation") or kind == "user_editable_context":
        return "hidden"
    if kind in _DROPPED or (kind == "code" and role == "assistant"):
        return _DROPPED.get(kind, "code")
    if said.get("recipient") not in ("all", None):
        return "sent to a tool"
    return "inactive branch" if role == "assistant" and not active else None


def _speech(content: Node, role: str) -> tuple[str, bool]:
    """The text of a message and whether something was attached. Voice parts carry their transcript."""
    if role == "user" and content.get("content_type") == "code":
        return f"```\n{_text_of(content.get('text'))}\n```", False
    parts = content.get("parts")
    texts, attached = [], False
    for part in parts if isinstance(parts, list) else [content.get("text")]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            spoken = _text_of(part.get("text"))
            texts.append(spoken)
            attached = attached or not spoken
    return "\n".join(text for text in texts if text), attached


def _custom_instructions(said: Node, content: Node) -> str:
    """What the person wrote about themselves in the settings; '' for any other message.

    The metadata holds their words alone; the content wraps them in the provider's own, between code fences.
    """
    metadata = _dict(said.get("metadata"))
    if content.get("content_type") != "user_editable_context" and not metadata.get("is_user_system_message"):
        return ""
    kept = _dict(metadata.get("user_context_message_data"))
    texts = [_text_of(kept.get(key)) for key in ("about_user_message", "about_model_message")]
    if not any(texts):
        wrapped = [_text_of(content.get(key)) for key in ("user_profile", "user_instructions")]
        texts = ["\n".join(_FENCED.findall(text)) or text for text in wrapped]
    return one_newline("\n\n".join(text.strip() for text in texts if text.strip()))


def _dict(value: object) -> Node:
    return value if isinstance(value, dict) else {}


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else ""
