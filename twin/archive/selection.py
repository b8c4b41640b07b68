"""What a name means that the person gives: a source, file, kind of export, conversation, message, turn or claim.

A turn is one that is no own word of theirs (`remember off`, or from before there was that); the others go with their
message. A chat has its id and, as a conversation, `twin:` before it. The kind `twin` is all that was ever typed.
Knows the tables and the catalogue of facets.
"""
from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, get_args

from twin.archive import typed, withdrawal
from twin.errors import UsageError
from twin.facets import facets

Key = tuple[str, str]
Meaning = Literal["source", "file", "kind", "conversation", "message", "turn", "claim"]
Found = tuple[Meaning, str, tuple[Key, ...], tuple[str, ...]]  # ..., its name, messages, turns
_CLOSE, _SHOWN = 5, 10


@dataclass(frozen=True)
class Selection:
    """What was named: its keys in the order of conversations; a claim has none. `turns`: ids of turns that go with it.
    `also`: other sources that brought some of these messages -> how many."""

    target: str
    kind: Meaning
    name: str
    keys: tuple[Key, ...] = field(default=(), repr=False)
    also: Mapping[str, int] = field(default_factory=dict)
    turns: tuple[str, ...] = field(default=(), repr=False)


_FINDS: Mapping[Meaning, str] = {
    "source": "SELECT DISTINCT c.number, c.id, o.message FROM origins o JOIN files f ON f.number = o.file "
              "JOIN conversations c ON c.number = o.conversation WHERE f.root = ?1 ORDER BY 1, 3",
    "file": "SELECT DISTINCT c.number, c.id, o.message FROM origins o JOIN files f ON f.number = o.file "
            "JOIN conversations c ON c.number = o.conversation WHERE f.file = ?1 ORDER BY 1, 3",
    "kind": "SELECT c.number, c.id, o.message FROM origins o JOIN files f ON f.number = o.file "
            "JOIN conversations c ON c.number = o.conversation WHERE f.kind = ?1 UNION "
            "SELECT c.number, c.id, m.id FROM messages m JOIN conversations c ON c.id = m.conversation "
            "WHERE m.source = ?1 ORDER BY 1, 3",
    "conversation": "SELECT c.number, c.id, m.id FROM conversations c JOIN messages m ON m.conversation = c.id WHERE "
                    "c.id = coalesce((SELECT conversation FROM aliases WHERE id = ?1), ?1) ORDER BY m.position",
    "message": "SELECT c.number, c.id, m.id FROM messages m JOIN conversations c ON c.id = m.conversation "
               "WHERE m.id = ?1 ORDER BY 1, 3",
}


def select(db: sqlite3.Connection, target: str) -> Selection:
    """What `target` names. `source:`, `file:`, `kind:`, `conversation:`, `message:`, `turn:` and `claim:` before it say
    which is meant; a message can be named CONVERSATION/MESSAGE. UsageError when it names nothing, or several things."""
    meaning, _, name = target.partition(":")
    found = _found(db, name, (meaning,)) if name and meaning in get_args(Meaning) else []
    found = found or _found(db, target, get_args(Meaning))
    if not found:
        raise UsageError(f"Nothing here is called {target!r}.", _near(db, target))
    first, *others = found
    different = [one for one in others if {*one[2], *one[3]} != {*first[2], *first[3]}]
    if different:
        choices = [f"{kind}:{name}" for kind, name, *_ in (first, *different)][:_SHOWN]
        raise UsageError(f"{target!r} names several things.", f"Say which: {', '.join(choices)}.")
    kind, name, keys, turns = first
    return Selection(target, kind, name, keys, _also(db, kind, name), turns)


def _found(db: sqlite3.Connection, name: str, meanings: tuple[str, ...]) -> list[Found]:
    """What the name means, each with its keys. A message id that stands in several conversations means several."""
    found: list[Found] = []
    for meaning, query in _FINDS.items():
        if meaning in meanings:
            if meaning == "source":
                found += [("source", root, keys, ()) for root in _roots(db, name)
                          if (keys := tuple((row[1], row[2]) for row in db.execute(query, (root,))))]
                continue
            keys = tuple((row[1], row[2]) for row in db.execute(query, (name,)))
            if meaning == "message":
                found += [("message", f"{conversation}/{message}", ((conversation, message),), ())
                          for conversation, message in keys or _by_path(db, name)]
            elif turns := typed.turns_of(db, name, meaning):
                found.append((meaning, name, keys, turns))
            elif keys:
                found.append((meaning, name, keys, ()))
    if "conversation" in meanings and not name.startswith(typed.PREFIX):
        found += _found(db, typed.conversation_of(name), ("conversation",))
    if "turn" in meanings and (turns := typed.turns_of(db, name, "turn")):
        found.append(("turn", turns[0], (), turns))
    if "claim" in meanings and (name in facets() or name in withdrawal.known(db)):
        found.append(("claim", name, (), ()))
    return found


def _roots(db: sqlite3.Connection, name: str) -> list[str]:
    """Sources of this name: whole (folder/file), else by its last part, which several may share."""
    roots = [str(row[0]) for row in db.execute("SELECT DISTINCT root FROM files WHERE root != '' ORDER BY root")]
    return [name] if name in roots else [root for root in roots if root.endswith(f"/{name}")]


def _by_path(db: sqlite3.Connection, name: str) -> list[Key]:
    """CONVERSATION/MESSAGE, wherever the stroke is: both may hold some."""
    cuts = [place for place, letter in enumerate(name) if letter == "/"]
    return [(name[:cut], name[cut + 1:]) for cut in cuts if db.execute(
        "SELECT 1 FROM messages WHERE conversation = ? AND id = ?", (name[:cut], name[cut + 1:])).fetchone()]


def _also(db: sqlite3.Connection, kind: str, name: str) -> dict[str, int]:
    if kind not in ("source", "file"):
        return {}
    column = "root" if kind == "source" else "file"
    return dict(db.execute(
        "SELECT f.root, count(DISTINCT o.conversation || ' ' || o.message) FROM origins o JOIN files f "  # noqa: S608
        f"ON f.number = o.file WHERE f.{column} != ?1 AND EXISTS (SELECT 1 FROM origins p JOIN files g "
        f"ON g.number = p.file WHERE g.{column} = ?1 AND p.conversation = o.conversation AND p.message = o.message) "
        "GROUP BY f.root ORDER BY f.root", (name,)))


def _near(db: sqlite3.Connection, target: str) -> str:
    """What is called nearly so; else what there is to name."""
    names = [str(row[0]) for row in db.execute(
        "SELECT root FROM files UNION SELECT file FROM files WHERE root != '' UNION SELECT source FROM messages "
        "WHERE source IS NOT NULL UNION ALL SELECT * FROM (SELECT id FROM conversations LIMIT 5000)") if row[0]]
    names += [*facets(), *withdrawal.known(db), *typed.chats(db)]
    if found := get_close_matches(target.partition(":")[2] or target, names, _CLOSE):
        return f"Near it: {', '.join(found)}."
    return ("Name a source of `twin sources`, a conversation or message by its id, or a claim as claim:FACET "
            f"({', '.join(list(facets())[:3])}, ...).")
