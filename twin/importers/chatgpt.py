"""ChatGPT data export: a conversation is a tree of messages, of which one branch is the one that was read last.

OpenAI publishes no contract; what is read here was seen in exports of 2023-2026. Conversation and message ids are the
provider's own. Assistant text of branches left behind is dropped; what the person wrote there is kept as 'inactive'.
What ChatGPT noted about the person (messages to `bio`) is kept as 'memory': another's claim, never evidence.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from twin.importers.dates import from_epoch
from twin.importers.encoding import Mended
from twin.importers.found import Context, Found, found, id_from, message, one_newline, trim
from twin.importers.jsonvalue import Node, as_dict, as_text
from twin.importers.tree import Tree
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


def recognises(value: object) -> bool:
    """True for one conversation of an export, a mapping being its mark."""
    return isinstance(value, dict) and "mapping" in value


def read(values: Iterable[object], context: Context) -> Iterator[Found]:
    """Each conversation. What cannot be read comes back as a failure that names it; nothing raises."""
    for number, value in enumerate(values, 1):
        yield _read(value, number, context)


def _read(value: object, number: int, context: Context) -> Found:
    chat = as_dict(value)
    given = chat.get("conversation_id") or chat.get("id")
    if not isinstance(chat.get("mapping"), dict):
        return Found(context.file, failure=f"conversation {clean(str(given or f'number {number}'))}: there is no tree "
                                           "of messages ('mapping') in it. Export it again, or go on without it.")
    nodes = {str(key): node for key, node in chat["mapping"].items()
             if isinstance(node, dict) and isinstance(node.get("message"), dict | None)}
    order = [(key, active) for key, active in _tree(nodes, chat.get("current_node")).order()
             if nodes[key].get("message") is not None]
    if chat.get("is_do_not_remember"):
        return Found(context.file, None, {"asked not to be remembered": max(1, len(order))})
    skipped = Counter({"malformed message": gone} if (gone := len(chat["mapping"]) - len(nodes)) else {})
    reader = _Reader(skipped, context.mended, as_text(chat.get("default_model_slug")))
    messages = tuple(said for key, active in order if (said := reader.message(key, nodes[key], active)))
    ident = clean(str(given)) if given else id_from((said.id for said in messages), "uids")
    title = chat.get("title")
    return found(context.file, Conversation(ident, messages, context.mended.text(title) if isinstance(title, str)
                                            else None, SOURCE), skipped)


def _tree(mapping: Mapping[str, Node], current: object) -> Tree:
    parents = {key: as_text(node.get("parent")) or None for key, node in mapping.items()}
    times = {key: time.timestamp() for key, node in mapping.items()
             if (time := from_epoch(as_dict(node.get("message")).get("create_time")))}
    return Tree(parents, current, times)


class _Reader:
    """Nodes to messages; counts what is dropped by its reason, and hands times down to nodes that have none."""

    def __init__(self, skipped: Counter[str], mended: Mended, model: str) -> None:
        self.skipped = skipped
        self.mended = mended
        self.model = model
        self.times: dict[str, datetime | None] = {}

    def message(self, key: str, node: Node, active: bool) -> Message | None:
        said: Node = node["message"]
        role = as_text(as_dict(said.get("author")).get("role"))
        content = as_dict(said.get("content"))
        time = from_epoch(said.get("create_time")) or self.times.get(as_text(node.get("parent")))
        self.times[key] = time
        ident = as_text(said.get("id")) or key
        if custom := _custom_instructions(said, content):
            fixed = self.mended.text(custom)
            return message(ident, "user", custom, fixed, time=time, own=True, flags=("custom_instructions",))
        original, attached = _speech(content, role)
        original = trim(one_newline(original))
        memory = role == "assistant" and said.get("recipient") == "bio"
        reason = (None if memory else _why_dropped(said, content, role, active)) or (
            None if original.strip() else "attachment only" if attached else "empty")
        if reason:
            self.skipped[reason] += 1
            return None
        fixed = self.mended.text(original)
        flags = [name for name, applies in (("inactive", not active), ("attachment", attached), ("memory", memory))
                 if applies]
        if role == "user":
            return message(ident, "user", original, fixed, time=time, own=True, flags=flags)
        text = trim(_CITATION.sub("", fixed))
        if not text.strip():
            self.skipped["empty"] += 1
            return None
        model = as_text(as_dict(said.get("metadata")).get("model_slug")) or self.model
        return message(ident, "assistant", original, fixed, text, author=clean(model) or None, time=time, own=False,
                       flags=flags)


def _why_dropped(said: Node, content: Node, role: str, active: bool) -> str | None:
    """The reason for which a node is no speech, or None."""
    kind = as_text(content.get("content_type"))
    if role not in ("user", "assistant"):
        return role if role in ("system", "tool") else "unknown speaker"
    if as_dict(said.get("metadata")).get("is_visually_hidden_from_conversation") or kind == "user_editable_context":
        return "hidden"
    if kind in _DROPPED or (kind == "code" and role == "assistant"):
        return _DROPPED.get(kind, "code")
    if said.get("recipient") not in ("all", None):
        return "sent to a tool"
    return "inactive branch" if role == "assistant" and not active else None


def _speech(content: Node, role: str) -> tuple[str, bool]:
    """The text of a message and whether something was attached. Voice parts carry their transcript."""
    if role == "user" and content.get("content_type") == "code":
        return f"```\n{as_text(content.get('text'))}\n```", False
    parts = content.get("parts")
    texts, attached = [], False
    for part in parts if isinstance(parts, list) else [content.get("text")]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            spoken = as_text(part.get("text"))
            texts.append(spoken)
            attached = attached or not spoken
    return "\n".join(text for text in texts if text), attached


def _custom_instructions(said: Node, content: Node) -> str:
    """What the person wrote about themselves in the settings; '' for any other message.

    The metadata holds their words alone; the content wraps them in the provider's own, between code fences.
    """
    metadata = as_dict(said.get("metadata"))
    if content.get("content_type") != "user_editable_context" and not metadata.get("is_user_system_message"):
        return ""
    kept = as_dict(metadata.get("user_context_message_data"))
    texts = [as_text(kept.get(key)) for key in ("about_user_message", "about_model_message")]
    if not any(texts):
        wrapped = [as_text(content.get(key)) for key in ("user_profile", "user_instructions")]
        texts = ["\n".join(_FENCED.findall(text)) or text for text in wrapped]
    return one_newline("\n\n".join(text.strip() for text in texts if text.strip()))
