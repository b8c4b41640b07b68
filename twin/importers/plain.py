"""Markdown and text notes: what a person wrote for themselves. One file a conversation, one section a message.

Code fences and quoted lines stay in the text; twin.text.own_spans keeps them out of the evidence.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from twin.importers.dates import Moment, parse
from twin.importers.encoding import Decoded
from twin.importers.found import Found, found, message, trim
from twin.importers.frontmatter import front_matter
from twin.text import clean
from twin.types import Conversation, Message

SOURCE = "markdown"

_SUFFIXES = (".md", ".markdown", ".txt", ".text")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$")
_FENCE = re.compile(r"^[ \t]*(```|~~~)")
_ISO_DATE = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
_HTML = re.compile(r"\s*<(?:!doctype|html|\?xml)", re.IGNORECASE)
# A WhatsApp line: its authors are several people, whose words must not become this person's.
_CHAT_LINE = re.compile(r"^[\u200e\u200f\ufeff]*\[?\d{1,4}[./-]\d{1,2}[./-]\d{2,4},?\s\d{1,2}[:.]\d{2}.{0,12}?"
                        r"(?:\]|\s[-–])\s")
_OBSIDIAN = re.compile(r"!\[\[[^\]\n]*\]\]|%%.*?%%|\[\[(?:[^\]|\n]*\|)?([^\]|\n]*)\]\]")
_PERSON = {"user", "you", "me", "human", "я", "вы", "пользователь"}
_MACHINE = {"assistant", "chatgpt", "claude", "gemini", "gpt", "ai", "ии", "ассистент"}

Pair = tuple[str, str]


def recognises(name: str, text: str) -> bool:
    """True for a text that may be a note: by suffix or front matter, unless it is HTML or a chat of several people."""
    lines = [line for line in text.split("\n", 200)[:200] if line.strip()]
    chat = sum(_CHAT_LINE.match(line) is not None for line in lines)
    if _HTML.match(text) or 2 * chat > len(lines):
        return False
    return name.lower().endswith(_SUFFIXES) or front_matter(text.split("\n"))[0] != {}


def read(name: str, label: str, decoded: Decoded) -> Found:
    """The note as one conversation. `name` is relative to what was imported, `label` is for the report."""
    pairs = decoded.lines
    matter, taken = front_matter([fixed for _, fixed in pairs])
    name = clean(name)
    given = next((moment for key in ("date", "created") if (moment := parse(matter.get(key, "")))), None)
    dated = given or _iso(PurePosixPath(name).name)
    sections = list(_sections(pairs[taken:]))
    speakers = {heading.casefold().strip(" :*") for heading, _ in sections}
    transcript = bool(speakers & _PERSON and speakers & _MACHINE)
    skipped: Counter[str] = Counter()
    slugs: Counter[str] = Counter()
    messages: list[Message] = []
    for heading, body in sections:
        said = _message(name, heading, body, dated, slugs)
        if said is None:
            skipped["empty section"] += 1
        elif transcript and heading.casefold().strip(" :*") in _MACHINE:
            skipped["assistant in a transcript"] += 1
        else:
            messages.append(said)
    title = matter.get("title")
    conversation = Conversation(name, tuple(messages), clean(str(title)) if title else PurePosixPath(name).stem, SOURCE)
    return found(label, conversation, skipped)


def _sections(pairs: list[Pair]) -> Iterator[tuple[str, list[Pair]]]:
    """Heading and lines of each section, the heading's own line included; '' for what stands before the first."""
    heading, body, fence = "", list[Pair](), ""
    for original, fixed in pairs:
        if mark := _FENCE.match(fixed):
            fence = "" if fence == mark.group(1) else fence or mark.group(1)
        match = None if fence else _HEADING.match(fixed)
        if match:
            if body:
                yield heading, body
            heading, body = match.group(1), []
        body.append((original, fixed))
    if body and (heading or any(fixed.strip() for _, fixed in body)):
        yield heading, body


def _message(name: str, heading: str, body: list[Pair], dated: Moment | None, slugs: Counter[str]) -> Message | None:
    """One section as a message of the person; None when nothing stands under the heading. A day in the heading is
    nearer to the words than the one of the file."""
    slug = re.sub(r"\W+", "-", clean(heading).casefold()).strip("-")[:60] or "text"
    slugs[slug] += 1
    original = trim("\n".join(line for line, _ in body))
    mended = trim(clean("\n".join(line for _, line in body)))
    text = trim(_OBSIDIAN.sub(lambda match: match.group(1) or "", mended))
    if not text.strip() or (heading and not text.partition("\n")[2].strip()):
        return None
    moment = _iso(heading) or dated
    return message(f"{name}#{slug}-{slugs[slug]}", "user", original, mended, text, own=True,
                   time=moment.time if moment else None,
                   flags=("note", "local_time") if moment and moment.local else ("note",))


def _iso(text: str) -> Moment | None:
    match = _ISO_DATE.search(text)
    return parse(match.group(1)) if match else None
