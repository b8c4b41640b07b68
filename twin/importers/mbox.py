"""Mail: mbox files (Gmail Takeout, Thunderbird, Apple Mail) and single mails. One mail a message, one thread a chat.

Only what its writer typed is kept: no quotes, signatures, attachments, newsletters. Streamed: one mail in memory.
RFC 4155 (mbox), 5322 and 2047 (headers), 3676 (flowed text). Gmail's X-GM-THRID and X-Gmail-Labels are used where met.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message as Mail
from email.utils import parseaddr, parsedate_to_datetime
from typing import IO

from twin.importers.dates import Moment, to_utc
from twin.importers.found import Context, Found, id_from, message
from twin.importers.mailbody import Body, decoded, read_body
from twin.importers.people import People
from twin.text import clean
from twin.types import Conversation

SOURCE = "mail"
MAX_MAIL = 32 * 1024**2  # bytes of one mail, attachments among them; Gmail sends at most 25 MB, 34 as base64
MAX_THREADS = 500_000    # mails whose thread is remembered, about 200 bytes each
_LINE = 64 * 1024

_FROM = re.compile(rb"From \S.*\d{1,2}:\d{2}.*\d{4}")
_ESCAPED = re.compile(rb">+From ")
_HEADER = re.compile(rb"[!-9;-~]{1,70}:(?:[ \t\r\n]|$)|[ \t]+\S")
_TELLING = re.compile(rb"^(?:Date|Message-ID|MIME-Version|Received|Delivered-To|Return-Path):",
                      re.MULTILINE | re.IGNORECASE)
_SENDER = re.compile(rb"^From:", re.MULTILINE | re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>@,;\"]+@[^\s<>@,;\"]+")
_ID = re.compile(r"<([^<>\s]+)>")
_REPLY = re.compile(r"^(?:(?:re|fwd?|aw|ha|на|отв|ответ|пересл)(?:\[\d+\])?:\s*)+", re.IGNORECASE)

_SKIPPED_LABELS = {"spam": "spam", "спам": "spam", "trash": "trash", "корзина": "trash", "draft": "draft",
                   "drafts": "draft", "черновик": "draft", "черновики": "draft", "chat": "chat log",
                   "chats": "chat log", "чат": "chat log", "чаты": "chat log"}
_SENT = {"sent", "sent mail", "отправленные"}


def recognises(head: bytes) -> bool:
    """True for the first bytes of an mbox file, or of one mail: headers of which one is From."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    lines = head.split(b"\n")
    if _FROM.match(lines[0]):
        return len(lines) == 1 or _HEADER.match(lines[1]) is not None
    headers = head.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    first = headers.split(b"\n")[:-1] or [headers]  # the last line may be cut off
    return (all(map(_HEADER.match, first)) and _SENDER.search(headers) is not None
            and _TELLING.search(headers) is not None)


def read(stream: IO[bytes], context: Context) -> Iterator[Found]:
    """Each mail as a conversation of one message; those of one thread share its id. Never raises for bad content."""
    reader = _Reader(context)
    for number, raw in enumerate(_mails(stream), 1):
        where = f"{context.file}, mail {number}"
        if raw is None:
            yield Found(context.file, failure=f"{where}: it is larger than {MAX_MAIL // 1024**2} MiB. "
                                              "Save it without its attachments and import it again.")
            continue
        try:
            yield reader.read(raw)
        except Exception as error:  # broken mails make the standard parser raise nearly anything
            yield Found(context.file, failure=f"{where} cannot be read ({type(error).__name__}: {error}). "
                                              "Go on without it, or mend it in your mail program.")


def _mails(stream: IO[bytes]) -> Iterator[bytes | None]:
    """The bytes of one mail after another; None for one that is too large."""
    lines: list[bytes] = []
    size = 0
    single = blank = begun = False
    for line in iter(lambda: stream.readline(_LINE), b""):
        if not begun:
            line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            begun = True
            single = _FROM.match(line) is None
            if not single:
                continue
        elif blank and not single and line.startswith(b"From ") and _FROM.match(line):
            yield b"".join(lines) if size <= MAX_MAIL else None
            lines, size, blank = [], 0, False
            continue
        blank = line in (b"\n", b"\r\n")
        size += len(line)
        if size > MAX_MAIL:
            lines = []
        else:
            lines.append(line[1:] if line.startswith(b">") and not single and _ESCAPED.match(line) else line)
    if begun:
        yield b"".join(lines) if size <= MAX_MAIL else None


class _Reader:
    """Mails of one file. `_roots`: mail -> first mail of its thread, for answers that name only what they answer."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._me = People(context.people.me)  # asks without counting: newsletters are nobody to choose from
        self._roots: dict[str, str] = {}

    def read(self, raw: bytes) -> Found:
        """One mail, or why it is skipped. Raises whatever the standard parser raises."""
        mail = message_from_bytes(raw)
        file = self.context.file
        labels = [label.strip(' "').casefold() for label in _header(mail, "X-Gmail-Labels").split(",")]
        sent = not _SENT.isdisjoint(labels)
        reason = next((_SKIPPED_LABELS[label] for label in labels if label in _SKIPPED_LABELS), None)
        name, address = _sender(mail)
        names = tuple(filter(None, (address, name)))
        mine = sent or self._me.own(SOURCE, *names)
        if reason or (not mine and _is_bulk(mail)):
            return Found(file, skipped={reason or "bulk mail": 1})
        body = read_body(mail)
        original = body.typed
        if body.calendar or not original:
            return Found(file, skipped={_nothing(body): 1})
        mine = self.context.people.own(SOURCE, *names) or mine
        if sent:
            self.context.people.known(SOURCE, address)
        moment = _moment(mail, self.context)
        subject = _REPLY.sub("", _header(mail, "Subject"))
        # The date as written: a time without a zone is another one on another machine.
        ident = _first_id(mail, "Message-ID") or id_from((next(_dates(mail), ""), address, subject, original), "mail")
        flags = ["attachment"] * body.attached + ["local_time"] * (moment is not None and moment.local)
        said = message(ident, "user" if mine else "other", original, self.context.mended.text(original), own=mine,
                       author=self.context.mended.text(name or address) or None, flags=flags,
                       time=moment.time if moment else None)
        return Found(file, Conversation(f"mail-{clean(self._thread(mail, ident))}", (said,),
                                        self.context.mended.text(subject) or None, SOURCE))

    def _thread(self, mail: Mail, ident: str) -> str:
        """Gmail's thread, else the first mail that the thread is known to begin with."""
        given = _header(mail, "X-GM-THRID")
        if given:
            return given
        before = _ID.findall(_header(mail, "References")) + _ID.findall(_header(mail, "In-Reply-To"))
        root = self._roots.get(before[0], before[0]) if before else ident
        if root != ident and len(self._roots) < MAX_THREADS:
            self._roots[ident] = root
        return root


# ---- headers ----------------------------------------------------------------------------------------------------

def _raw(mail: Mail, name: str) -> str:
    """A header as it stands, '' when there is none. Raw, because the parsers of policy.default raise on headers that
    mail programs do write, and take 0.66 ms for the headers of a mail against 0.04 ms."""
    value = next((value for key, value in mail.raw_items() if key.lower() == name.lower()), "")
    return " ".join(str(value).split())


def _header(mail: Mail, name: str) -> str:
    """A header as people read it."""
    return _words(_raw(mail, name), mail)


def _words(value: str, mail: Mail) -> str:
    """RFC 2047 words decoded; bare bytes, which older programs wrote, by the charset of the mail."""
    if value.isascii() and "=?" not in value:
        return value
    try:
        parts = decode_header(value) if "=?" in value else [(value, None)]
    except (HeaderParseError, ValueError):
        parts = [(value, None)]
    return "".join(decoded(part, charset) if isinstance(part, bytes)
                   else decoded(part.encode("utf-8", "surrogateescape"), mail.get_content_charset())
                   for part, charset in parts)


def _sender(mail: Mail) -> tuple[str, str]:
    """Display name and address. Decoded after they are told apart: a name may hold a comma."""
    raw = _raw(mail, "From")
    name, address = parseaddr(raw)
    if "@" not in address:
        match = _ADDRESS.search(raw)
        address = match.group() if match else ""
    return _words(name, mail).strip("\"' "), address.casefold()


def _nothing(body: Body) -> str:
    """Why a mail has no text of its writer."""
    if body.calendar:
        return "calendar"
    return "only quotes" if body.text.strip() else "attachment only" if body.attached else "empty"


def _first_id(mail: Mail, name: str) -> str:
    value = _header(mail, name)
    match = _ID.search(value)
    return clean(match.group(1) if match else value.strip("<> "))


def _dates(mail: Mail) -> Iterator[str]:
    """Its date and that of the last server which took it, as written."""
    return filter(None, (_header(mail, "Date"), _header(mail, "Received").rpartition(";")[2].strip()))


def _moment(mail: Mail, context: Context) -> Moment | None:
    """When it was sent; else when the last server took it."""
    for value in _dates(mail):
        try:
            moment: datetime = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        if moment.tzinfo is None and "-0000" in value:  # UTC, of a place that is not told
            moment = moment.replace(tzinfo=UTC)
        return to_utc(moment, context.zone)
    return None


def _is_bulk(mail: Mail) -> bool:
    """Newsletters, lists and what programs send: nobody's words to the person."""
    automatic = _header(mail, "Auto-Submitted").lower()
    return (any(_header(mail, name) for name in ("List-Unsubscribe", "List-Id"))
            or _header(mail, "Precedence").lower() in ("bulk", "list", "junk")
            or automatic not in ("", "no"))
