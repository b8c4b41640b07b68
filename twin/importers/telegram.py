"""Telegram Desktop's machine-readable export (result.json): one chat or a whole account, read as a stream of events.

Shapes are those of its writer (tdesktop, export_output_json.cpp, 2018-2025). Ids are Telegram's own: the chat by kind,
as in `from_id` (a user, a group and a channel may bear one number), then the message. In groups and channels they are
the same for everyone; in personal chats each account counts for itself, so two accounts of one person that both wrote
to one friend meet in one conversation, where equal numbers are taken for edits. Media and what bots draw are unknown.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from twin.importers.dates import Moment, from_epoch, parse
from twin.importers.found import Context, Found, found, id_from, message, one_newline, trim
from twin.importers.jsonvalue import Node, as_list, as_text
from twin.importers.people import People
from twin.text import clean
from twin.types import Conversation, Message

SOURCE = "telegram"
PART = 5000  # messages that are held before they are handed on; over them is told who is who in a personal chat

# Where chats stand: the export of one chat is one, an account lists them.
_ROOTS = ("", "chats.list.item", "left_chats.list.item")
_HEADERS = {f"{root}.{key}".lstrip("."): (root, key) for root in _ROOTS for key in ("name", "type", "id")}
_MESSAGES = {f"{root}.messages.item".lstrip("."): root for root in _ROOTS}
WHOLE = frozenset(_MESSAGES)
"""Prefixes of the values that `read` expects whole: the messages."""

_KINDS = {"saved_messages": "user", "replies": "user", "personal_chat": "user", "bot_chat": "user",
          "verification_codes": "user", "private_group": "chat", "private_supergroup": "channel",
          "public_supergroup": "channel", "private_channel": "channel", "public_channel": "channel"}
_MEDIA = {"poll": "poll", "todo_list": "list of tasks", "contact_information": "contact",
          "location_information": "location", "place_name": "location", "game_title": "game",
          "invoice_information": "invoice", "giveaway_information": "giveaway",
          **dict.fromkeys(("photo", "file", "media_type", "mime_type", "thumbnail"), "attachment only")}
_NUMBER = re.compile(r"-?\d{1,18}")
_FENCE = re.compile("```|~~~")
_SHIFT = 32  # until 2020 ids of peers were written as kind << 32 | number: 1 a user, 2 a group or channel


def recognises_keys(keys: Collection[str]) -> bool:
    """True when the top-level keys of a file are those of an account or of one chat."""
    account = "about" in keys and any(key in keys for key in ("personal_information", "chats", "left_chats"))
    return account or all(key in keys for key in ("type", "id", "messages"))


def read(events: Iterable[tuple[str, str, Any]], context: Context) -> Iterator[Found]:
    """Each chat, in parts of PART messages under one id. `events` as of ijson.parse, but messages as one 'value'.

    What is no message is counted; nothing raises but `events` itself.
    """
    export = _Export(context)
    some = False
    for prefix, event, value in events:
        if done := export.take(prefix, event, value):
            some = True
            yield done
    for chat in export.chats.values():
        if done := chat.end():
            some = True
            yield done
    if not some:
        yield Found(context.file, skipped={"no chats in it": 1})


class _Export:
    """Where in the file each chat stands, and what the file says of its account."""

    def __init__(self, context: Context) -> None:
        self.chats = {"": _Chat(context, {})}
        self._context = context
        self._account: dict[str, str] = {}

    def take(self, prefix: str, event: str, value: Any) -> Found | None:
        """One event of the file; a part of a chat, or its end, when it is complete."""
        if prefix in _MESSAGES:
            root = _MESSAGES[prefix]
            if root not in self.chats:
                self.chats[root] = _Chat(self._context, self._account)
            return self.chats[root].take(event, value)
        if prefix in _ROOTS[1:]:
            return self._border(prefix, event)
        if event in ("string", "number"):
            root, key = _HEADERS.get(prefix, ("", ""))
            if key and root in self.chats:
                self.chats[root].header[key] = value
            elif prefix.startswith("personal_information."):
                self._account[prefix.partition(".")[2]] = str(value)
                if prefix.endswith(".user_id"):
                    self._context.people.known(SOURCE, f"user{value}")
        return None

    def _border(self, root: str, event: str) -> Found | None:
        if event == "start_map":
            self.chats[root] = _Chat(self._context, self._account)
        return self.chats.pop(root).end() if event == "end_map" and root in self.chats else None


class _Chat:
    """One chat while it streams by. Its header stands before its messages; what comes later is not waited for."""

    def __init__(self, context: Context, account: Mapping[str, str]) -> None:
        self.header: dict[str, Any] = {}
        self._context = context
        self._account = account
        self._key = ""
        self._who = _Who(context.people)
        self._held: list[Node] = []
        self._skipped: Counter[str] = Counter()
        self._unnumbered: Counter[str] = Counter()
        self._names: dict[str, str] = {}

    def take(self, event: str, value: object) -> Found | None:
        """One event at a message; a part of the chat when enough were held."""
        if event == "value" and isinstance(value, dict):
            if not self._key:
                self._open(value)
            self._held.append(value)
            self._who.senders.add(_peer(value.get("from_id")))
        elif event in ("value", "string", "number", "null", "boolean", "start_array"):
            self._skipped["malformed message"] += 1
        return self._part() if len(self._held) >= PART else None

    def end(self) -> Found | None:
        """What is left; None when it has gone out already or there was no chat at all."""
        return self._part() if self._held or self._skipped or (self.header and not self._key) else None

    def _part(self) -> Found:
        title = self._mended(as_text(self.header.get("name"))) or None
        read = [self._message(value) for value in self._held]
        messages = tuple(one for one in read if isinstance(one, Message))
        self._skipped.update(one for one in read if isinstance(one, str))
        done = found(self._context.file, Conversation(self._key, messages, title, SOURCE), self._skipped)
        self._held, self._skipped = [], Counter()
        return done

    def _open(self, first: Node) -> None:
        """Settle, at the first message, which chat this is and who the person is in it."""
        kind, name = as_text(self.header.get("type")), as_text(self.header.get("name"))
        number = _integer(self.header.get("id"))
        if number is None:
            content = f"{kind}\n{name}\n{first.get('id')}\n{first.get('date')}"
            self._key = id_from((clean(content),), SOURCE)
        else:
            if any(isinstance(first.get(key), int) for key in ("from_id", "actor_id")) and number >> _SHIFT in (1, 2):
                number &= (1 << _SHIFT) - 1
            self._key = f"{SOURCE}-{_KINDS.get(kind, '')}{number}"
        self._who = _who(self._context.people, self._account, kind, number)

    def _mended(self, name: str) -> str:
        if name not in self._names:
            self._names[name] = self._context.mended.text(name)
        return self._names[name]

    def _message(self, said: Node) -> Message | str:
        """A message, or the reason to skip it."""
        kind = said.get("type", "message")
        if kind != "message":
            return f"{kind} message" if kind in ("service", "unsupported") else "unknown kind of message"
        parts, attached = _parts(said), _attached(said)
        original = trim(one_newline("".join(text for _, text, _ in parts)))
        if not original.strip():
            return attached or "empty"
        blocks = any(kind in ("pre", "code", "blockquote") for kind, _, _ in parts)
        marked = _marked(parts) if blocks else original
        fixed = self._context.mended.text(original)
        moment = _moment(said, self._context)
        forwarded = "forwarded_from" in said or (self._who.saved and "saved_from" in said)
        name, sender = self._mended(as_text(said.get("from"))), _peer(said.get("from_id"))
        signature = self._mended(as_text(said.get("author"))) if self._who.channel else ""
        mine = self._who.is_me(signature, name, sender, forwarded=forwarded)
        told = {"edited": "edited" in said, "forwarded": forwarded, "attachment": attached,
                "local_time": moment and moment.local}
        return message(
            self._ident(said, original), "user" if mine else "other", original, fixed,
            fixed if marked == original else self._context.mended.text(marked),
            author=name or sender or None, time=moment.time if moment else None,
            own=mine and not forwarded and "via_bot" not in said,  # an inline bot's text was chosen, not written
            flags=[flag for flag, holds in told.items() if holds])

    def _ident(self, said: Node, original: str) -> str:
        number = _integer(said.get("id"))
        if number is not None:
            return f"{self._key}-{number}"
        content = clean(f"{said.get('date')}\n{said.get('from_id')}\n{original}")
        self._unnumbered[content] += 1
        return id_from((self._key, content, str(self._unnumbered[content])), SOURCE)


# ---- who is the person -------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class _Who:
    """What one chat tells about who the person is. Where it tells nothing, `people` are asked."""

    people: People
    owner: str = ""      # from_id of the account that was exported
    signature: str = ""  # under which it signs in channels
    partner: str = ""    # from_id of the other side of a personal chat
    saved: bool = False
    channel: bool = False
    senders: set[str] = field(default_factory=set)  # from_id of all who spoke in it so far

    def is_me(self, signature: str, name: str, sender: str, *, forwarded: bool) -> bool:
        """Whether the person sent it; `name` and `sender` are its `from` and `from_id`."""
        if self.saved and not forwarded:
            return True
        if self.owner or self.saved:
            return bool(self.owner) and (sender == self.owner or (signature != "" and signature == self.signature))
        if self.partner and len(others := self.senders - {self.partner, ""}) == 1 and self.partner in self.senders:
            return sender.startswith("user") and sender in others
        return self.people.own(SOURCE, signature, name, sender)


def _who(people: People, account: Mapping[str, str], kind: str, number: int | None) -> _Who:
    owner = f"user{account['user_id']}" if "user_id" in account else ""
    signature = " ".join(filter(None, (account.get("first_name"), account.get("last_name")))) if owner else ""
    saved = kind == "saved_messages"
    if saved and not owner and number is not None:
        owner = f"user{number}"
    partner = f"user{number}" if kind in ("personal_chat", "bot_chat") and number is not None else ""
    # A friend's export of the chat with the person: here the named side is the person. By id only, as a friend may be
    # a namesake.
    if partner and People(people.me).own(SOURCE, partner):
        partner = ""
    return _Who(people, owner, signature, partner, saved, kind.endswith("_channel"))


def _peer(value: object) -> str:
    """`from_id` as it is written since 2020, '' when there is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 34:
        kind = "channel" if value >> _SHIFT == 2 else "user"
        return f"{kind}{value & ((1 << _SHIFT) - 1)}"
    return clean(as_text(value))


def _integer(value: object) -> int | None:
    """An id that is a whole number, also one in quotes."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18 else None


# ---- what a message holds ----------------------------------------------------------------------------------------

def _moment(said: Node, context: Context) -> Moment | None:
    """UTC seconds where they are written (since 2021), else the local time of the exporting machine."""
    time = from_epoch(_integer(said.get("date_unixtime")))
    if time:
        return Moment(time, local=False)
    date = as_text(said.get("date"))
    return parse(date, zone=context.zone) if date else None


def _attached(said: Node) -> str:
    """What hangs on a message, in the words of a report; '' for nothing."""
    if said.get("media_type") == "sticker":
        return "sticker"
    return next((what for key, what in _MEDIA.items() if key in said), "")


def _parts(said: Node) -> list[tuple[str, str, str]]:
    """Kind, text and language of each span. Exports before 2022 have no text_entities; `text` says the same."""
    given = as_list(said.get("text_entities")) or said.get("text")
    return [(as_text(part.get("type")), as_text(part.get("text")), as_text(part.get("language")))
            if isinstance(part, dict) else ("plain", as_text(part), "")
            for part in (given if isinstance(given, list) else [given])]


def _marked(parts: list[tuple[str, str, str]]) -> str:
    """The text with code in fences and quotes after `> `, which twin.text.own_spans knows for foreign.

    Code that holds a fence itself, or stands beside one, goes after `> ` too: fences do not nest.
    """
    fences = any(_FENCE.search(text) for _, text, _ in parts)
    marked, apart = "", False
    for kind, text, language in parts:
        text = one_newline(text)
        code = kind == "pre" or (kind == "code" and "\n" in text)
        if not (code or kind == "blockquote") or not text.strip():
            marked += ("\n" if apart and text and not text.startswith("\n") else "") + text
            apart = apart and not text
            continue
        marked += "\n" if marked and not marked.endswith("\n") else ""
        if code and not fences:
            word = re.sub(r"[^\w+#.-]", "", language)
            marked += f"```{word}\n{text.strip(chr(10))}\n```"
        else:
            marked += "\n".join(f"> {line}" for line in text.strip("\n").split("\n"))
        apart = True
    return trim(marked)
