"""Claude data export: conversations.json, projects.json, memories.json, users.json, or one chat of a browser extension.

Anthropic publishes no contract. The text of a message may stand only in its blocks; thoughts, tools and the texts of
uploaded documents are no speech. Instructions of a project are the person's own words, what Claude remembers of them
is Claude's. Conversation and message ids are the provider's own. Who wrote a shared project's instructions is unknown.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from twin.importers.dates import Moment, parse
from twin.importers.found import Context, Found, found, id_from, message, one_newline, trim
from twin.importers.jsonvalue import Node, as_dict, as_list, as_text
from twin.importers.tree import Tree
from twin.text import clean
from twin.types import Conversation, Message

SOURCE = "claude"

_ROLES = {"human": "user", "user": "user", "assistant": "assistant"}
_SILENT = {"thinking": "thinking", "redacted_thinking": "thinking", "tool_use": "tool", "tool_result": "tool"}


def recognises(value: object) -> bool:
    """True for a conversation, a project, the memories or the account of an export."""
    return _kind(as_dict(value)) != ""


def _kind(value: Node) -> str:
    if "chat_messages" in value:
        return "chat"
    if "uuid" in value and ("prompt_template" in value or "docs" in value):
        return "project"
    if "conversations_memory" in value or "project_memories" in value:
        return "memory"
    return "account" if {"uuid", "full_name", "email_address"} <= value.keys() else ""


def read(values: Iterable[object], context: Context) -> Iterator[Found]:
    """Each conversation, project or memory. What cannot be read comes back as a failure; nothing raises."""
    for number, value in enumerate(values, 1):
        part = as_dict(value)
        kind = _kind(part)
        if kind == "chat" and isinstance(part["chat_messages"], list):
            yield _chat(part, context)
        elif kind == "project":
            yield _project(part, context)
        elif kind == "memory":
            yield _memory(part, context)
        elif kind == "account":
            yield Found(context.file, skipped={"account of an export": 1})
        else:
            name = _name(part.get("uuid")) or f"number {number}"
            yield Found(context.file, failure=f"conversation {name}: there is no list of 'chat_messages' in it. "
                                              "Export it again, or go on without it.")


# ---- conversations -----------------------------------------------------------------------------------------------

def _chat(chat: Node, context: Context) -> Found:
    listed = chat["chat_messages"]
    said = [one for one in listed if isinstance(one, dict)]
    skipped = Counter({"malformed message": len(listed) - len(said)} if len(listed) > len(said) else {})
    nodes = _keyed(said)
    ident = _name(chat.get("uuid")) or id_from((_content(one, context) for one in said), SOURCE)
    model = as_text(chat.get("model")) or None
    counted: Counter[str] = Counter()
    messages: list[Message] = []
    for key, active in _tree(nodes, chat.get("current_leaf_message_uuid")).order():
        one = nodes[key]
        given = as_text(one.get("uuid"))
        if not given:  # none was seen without, but an extension may leave it out
            content = _content(one, context)
            counted[content] += 1
            given = id_from((ident, content, str(counted[content])), "message")
        read = _message(one, given, active, model, context)
        if isinstance(read, str):
            skipped[read] += 1
        else:
            messages.append(read)
    title = context.mended.text(as_text(chat.get("name"))) or None
    return found(context.file, Conversation(ident, tuple(messages), title, SOURCE), skipped)


def _keyed(said: Sequence[Node]) -> dict[str, Node]:
    """Messages by uuid; one without, or with another's, gets a key of its own, so that none is lost."""
    nodes: dict[str, Node] = {}
    for number, one in enumerate(said):
        uuid = as_text(one.get("uuid"))
        nodes[uuid if uuid and uuid not in nodes else f"#{number}"] = one
    return nodes


def _tree(nodes: dict[str, Node], leaf: object) -> Tree:
    """By parents where there are any, else in the order of the file. The root's parent is an id of no message."""
    keys = list(nodes)
    before = dict(zip(keys[1:], keys, strict=False))
    parents = {key: as_text(one["parent_message_uuid"]) if "parent_message_uuid" in one else before.get(key)
               for key, one in nodes.items()}
    if not any(as_text(one.get("parent_message_uuid")) in nodes for one in nodes.values()):
        parents = {key: before.get(key) for key in keys}
    return Tree(parents, leaf if isinstance(leaf, str) and leaf in nodes else keys[-1] if keys else None)


def _message(said: Node, ident: str, active: bool, model: str | None, context: Context) -> Message | str:
    """A message, or the reason to skip it."""
    role = _ROLES.get(as_text(said.get("sender")))
    if role is None:
        return "unknown speaker"
    if role == "assistant" and not active:
        return "inactive branch"
    original = _text(said)
    attached = bool(as_list(said.get("attachments")) or as_list(said.get("files")))
    if not original.strip():
        kinds = [as_text(as_dict(block).get("type")) for block in as_list(said.get("content"))]
        return next((_SILENT[kind] for kind in kinds if kind in _SILENT), "attachment only" if attached else "empty")
    moment = _moment(said.get("created_at"), context)
    flags = [name for name, applies in (("inactive", not active), ("attachment", attached),
                                        ("local_time", moment is not None and moment.local)) if applies]
    return message(ident, "user" if role == "user" else "assistant", original, context.mended.text(original),
                   author=context.mended.text(model) if model and role == "assistant" else None,
                   time=moment.time if moment else None, own=role == "user", flags=flags)


def _text(said: Node) -> str:
    """The text blocks of a message; `text` where there are none. Older exports have only that, newer may have it ''."""
    blocks = [as_text(block.get("text")) for block in map(as_dict, as_list(said.get("content")))
              if block.get("type") == "text"]
    spoken = "\n\n".join(block for block in blocks if block.strip())
    return trim(one_newline(spoken or as_text(said.get("text"))))


def _content(said: Node, context: Context) -> str:
    """What stands for a message that has no id."""
    return context.mended.text(f"{said.get('sender')}\n{said.get('created_at')}\n{_text(said)}")


def _name(value: object) -> str:
    return clean(as_text(value))


def _moment(value: object, context: Context) -> Moment | None:
    return parse(value, zone=context.zone) if isinstance(value, str) else None


# ---- what lies beside the conversations --------------------------------------------------------------------------

def _project(project: Node, context: Context) -> Found:
    """Instructions of a project: what the person told Claude to be. Texts of its documents are not taken."""
    ident = _name(project.get("uuid")) or id_from([_name(project.get("prompt_template"))], "claude-project")
    skipped = Counter({"project document": len(as_list(project.get("docs")))})
    skipped["project description"] += bool(as_text(project.get("description")).strip())
    original = trim(one_newline(as_text(project.get("prompt_template"))))
    messages: tuple[Message, ...] = ()
    if project.get("is_starter_project"):
        skipped["example project"] += 1
    elif original.strip():
        moment = _moment(project.get("updated_at") or project.get("created_at"), context)
        flags = ("custom_instructions", *(("local_time",) if moment and moment.local else ()))
        messages = (message(f"{ident}-instructions", "user", original, context.mended.text(original), own=True,
                            time=moment.time if moment else None, flags=flags),)
    else:
        skipped["project without instructions"] += 1
    title = context.mended.text(as_text(project.get("name"))) or None
    return found(context.file, Conversation(ident, messages, title, SOURCE), +skipped)


def _memory(memory: Node, context: Context) -> Found:
    """What Claude noted about the person, in general and by project: third-party claims, never evidence."""
    account = _name(memory.get("account_uuid")) or "memory"
    texts = {"conversations": memory["conversations_memory"]} if "conversations_memory" in memory else {}
    texts |= {f"project\n{name}": text for name, text in as_dict(memory.get("project_memories")).items()}
    skipped = Counter({"memory file": len(as_list(memory.get("memory_files")))})
    messages: list[Message] = []
    for name, text in texts.items():
        original = trim(one_newline(as_text(text)))
        if original.strip():
            messages.append(message(id_from((account, clean(name)), "claude-memory"), "assistant", original,
                                    context.mended.text(original), own=False, flags=("memory",)))
        else:
            skipped["empty" if isinstance(text, str | None) else "malformed message"] += 1
    return found(context.file, Conversation(f"claude-memory-{account}", tuple(messages), None, SOURCE), +skipped)
