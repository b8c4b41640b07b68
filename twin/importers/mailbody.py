"""The text of one mail: the readable part of its MIME tree, and of that what the writer typed.

RFC 2045 (MIME), 3676 (flowed text). Knows nothing of mailboxes and threads; attachments only leave a mark.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message as Mail
from html import unescape
from itertools import pairwise

from twin.errors import InputError
from twin.foreign import foreign_spans
from twin.importers.encoding import to_text
from twin.importers.found import one_newline, trim

_DEPTH = 20  # multiparts inside one another
_WEAK_CHARSETS = {"", "us-ascii", "ascii", "iso-8859-1", "latin1", "latin-1", "windows-1252", "cp1252"}
_FLOWED = re.compile(r"(?<!^--) \n(?![ >\n])", re.MULTILINE)
_MOBILE = re.compile(r"^(?:sent from (?:my|a) .{1,40}|get outlook for \w+|скачать outlook для \w+|_{10,}|отправлено "
                     r"(?:с|из) (?:моего|мобильн|iphone|ipad|android|samsung|outlook|почты|яндекс|mail).{0,60})$",
                     re.IGNORECASE | re.MULTILINE)
_SIGNATURE = re.compile(r"^--[ \t]*\n", re.MULTILINE)
_SIGNATURE_LINES = 10  # more lines than this after "--" are no signature
_MARKS = ("«", "“", "„", '"')
_ITEM = re.compile(r"\s|[-*•>\u2014]|\d{1,2}[.)]\s")

_SILENT = {"script", "style", "head", "title", "template"}
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "table"}
_BREAKS = _PARAGRAPHS | {"br", "div", "tr", "li", "ul", "ol", "pre", "hr"}
_TOKEN = re.compile(r"<!--.*?(?:-->|\Z)|<(/?)([A-Za-z][\w:-]*)[^<>]*+>?|<[!?][^<>]*+>?|([^<]++)|<", re.DOTALL)


@dataclass
class Body:
    """What a mail says: all of its `text`, the part of it that was `typed`, and what else was in it."""

    text: str = ""
    typed: str = ""
    attached: bool = False
    calendar: bool = False


def read_body(mail: Mail) -> Body:
    """The text of a mail. Raises what the standard parser raises."""
    body = Body()
    _collect(mail, body, 0)
    body.typed = _typed(body.text)
    return body


def decoded(data: bytes, charset: str | None) -> str:
    """Bytes of a mail as text. Programs that write UTF-8 under the name of Latin or ASCII are common."""
    charset = (charset or "").lower()
    for name in ("utf-8", charset) if charset in _WEAK_CHARSETS else (charset, "utf-8"):
        try:
            return data.decode(name) if name else to_text(data, "mail")
        except (LookupError, ValueError, InputError):
            continue
    return data.decode("utf-8", "replace")


def _collect(part: Mail, body: Body, depth: int) -> None:
    """Add the text of a part, plain before HTML."""
    kind = part.get_content_type()
    named = f"{part.get('Content-Disposition', '')} {part.get('Content-Type', '')}".lower()
    if part.is_multipart():
        if kind == "message/rfc822" or depth == _DEPTH:
            body.attached = True
            return
        parts = [child for child in part.get_payload() if isinstance(child, Mail)]
        body.calendar = body.calendar or any(child.get_content_type() == "text/calendar" for child in parts)
        for child in _best(parts) if kind == "multipart/alternative" else parts:
            _collect(child, body, depth + 1)
    elif kind == "text/calendar":
        body.calendar = True
    elif kind not in ("text/plain", "text/html") or "attachment" in named or "name=" in named:
        body.attached = True
    else:
        text = one_newline(decoded(_bytes(part), part.get_content_charset()))
        if kind == "text/html":
            text = from_html(text)
        elif "format=flowed" in named:
            text = _FLOWED.sub(" ", text)
        body.text = f"{body.text}\n{text}" if body.text else text


def _bytes(part: Mail) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _best(parts: list[Mail]) -> list[Mail]:
    """The one of several that says it in plain text; an empty one says nothing."""
    for wanted in ("text/plain", "multipart/", "text/html", ""):
        for part in parts:
            if part.get_content_type().startswith(wanted) and (part.is_multipart() or _bytes(part).strip()):
                return [part]
    return []


def from_html(html: str) -> str:
    """The text of an HTML mail, quotes with `>`. Linear also for broken pages, which html.parser is not."""
    page = _Page()
    silent = ""
    for match in _TOKEN.finditer(html):
        closing, tag, text = match.group(1), (match.group(2) or "").lower(), match.group(3)
        if silent:
            silent = "" if closing and tag == silent else silent
        elif text:
            page.line.append(unescape(text))
        elif tag in _SILENT and not closing:
            silent = tag
        elif tag in _BREAKS:
            page.tag(tag, closed=bool(closing))
    page.end_line()
    while page.lines and not page.lines[-1].strip("> "):
        page.lines.pop()
    return "\n".join(page.lines)


class _Page:
    """Lines of text as a page gives them, each with a `>` for every quote it stands in."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self.depth = 0

    def tag(self, tag: str, *, closed: bool) -> None:
        """A tag that breaks the line."""
        self.end_line()
        if tag in _PARAGRAPHS and self.lines and self.lines[-1].strip("> "):
            self.lines.append(("> " * min(self.depth, 5)).rstrip())
        if tag == "blockquote":
            self.depth = max(self.depth + (-1 if closed else 1), 0)
        elif tag == "li" and not closed:
            self.line.append("- ")

    def end_line(self) -> None:
        """What stands in the line so far, if anything."""
        text = re.sub(r"[ \t\r\n\f]+", " ", "".join(self.line)).strip(" ")
        self.line.clear()
        if text:
            self.lines.append(f"{'> ' * min(self.depth, 5)}{text}")


def _typed(text: str) -> str:
    """What the writer typed: without quotes, forwarded mails, signature and what the telephone adds. A long quotation
    between marks is part of a sentence and stays; its span keeps it out of the evidence."""
    start = 0
    pieces: list[str] = []
    for left, right, kind in [*foreign_spans(text), (len(text), len(text), "quoted")]:
        if kind in ("quoted", "copied") and text[left:left + 1] not in _MARKS:
            pieces.append(text[start:left])
            start = right
    typed = "\n\n".join(filter(None, (trim(_MOBILE.sub("", piece)) for piece in pieces)))
    for match in _SIGNATURE.finditer(f"{typed}\n"):
        if typed.count("\n", match.end()) <= _SIGNATURE_LINES:
            return _unwrapped(trim(typed[:match.start()]))
    return _unwrapped(typed)


def _unwrapped(text: str) -> str:
    """Lines that the mail program broke, as the next word did not fit, joined again: else no sentence is whole."""
    lines = text.split("\n")
    width = max(map(len, lines))
    if not 60 <= width <= 80:
        return text
    joined = [lines[0]]
    for before, line in pairwise(lines):
        if before and line and not _ITEM.match(line) and len(before) + 1 + len(line.split(" ", 1)[0]) > width:
            joined[-1] = f"{joined[-1]} {line}"
        else:
            joined.append(line)
    return "\n".join(joined)
