"""Markdown and text notes: what a person wrote for themselves. One file a conversation, one section a message.

Obsidian's marks are read as Obsidian shows them: links by their names, no comments, embeds or queries. Code fences and
quoted lines stay in the text; twin.text.own_spans keeps them out of the evidence. Templates, drawings and pages that a
clipper saved are not the person's.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import PurePosixPath

from twin.importers.dates import Moment, parse, to_utc
from twin.importers.encoding import Decoded
from twin.importers.found import Context, Found, found, message, trim
from twin.importers.frontmatter import front_matter
from twin.text import clean, own_spans
from twin.types import Conversation, Message

SOURCE = "markdown"

_SUFFIXES = (".md", ".markdown", ".txt", ".text")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t#]*$")
_FENCE = re.compile(r"^[ \t]*(```|~~~)")
_HTML = re.compile(r"\s*<(?:!doctype|html|\?xml)", re.IGNORECASE)
# A WhatsApp line: its authors are several people, whose words must not become this person's.
_CHAT_LINE = re.compile(r"^[\u200e\u200f\ufeff]*\[?\d{1,4}[./-]\d{1,2}[./-]\d{2,4},?\s\d{1,2}[:.]\d{2}.{0,12}?"
                        r"(?:\]|\s[-–])\s")
_PERSON = {"user", "you", "me", "human", "я", "вы", "пользователь"}
_MACHINE = {"assistant", "chatgpt", "claude", "gemini", "gpt", "ai", "ии", "ассистент"}

# What Obsidian shows otherwise than it is written. The first alternatives keep fences as they are, but for queries.
_MARKS = re.compile(
    r"^[ \t]*(?P<fence>```|~~~)(?P<info>[^\n]*).*?(?:^[ \t]*(?P=fence)[ \t]*$|\Z)|(?P<code>`[^`\n]+`)|%%.*?%%|"
    r"!\[\[[^][\n]{0,300}+\]\]|!\[[^][\n]{0,300}+\]\([^()\n]{0,500}+\)|"
    r"\[\[(?:[^][|\n]{0,300}+\|)?(?P<link>[^][|\n]{0,300}+)\]\]", re.MULTILINE | re.DOTALL)
_QUERIES = ("dataview", "query", "tasks", "button", "chart")
# `> [!idea] title` frames the person's own words, unless it is for quotes.
_CALLOUT = re.compile(r"^>[ \t]?\[!(?!quote|cite|цитата|nexus_|ai\b|gpt|chatgpt|assistant)[\w-]+\][+-]?[ \t]*"
                      r"([^\n]*(?:\n>[^\n]*)*)", re.MULTILINE | re.IGNORECASE)
_QUOTING = re.compile(r"^>[ \t]?", re.MULTILINE)

_TEMPLATES = {"templates", "template", "_templates", "шаблоны", "шаблон"}
_PLACEHOLDER = re.compile(r"(?<!`)(?:\{\{ ?(?:date|time|title|дата|название)\b[^}\n]{0,60}\}\}|<%[-_*+]?\s?tp[.\s])",
                          re.IGNORECASE)
_CLIPPED = {"clippings", "clipping", "webclip", "web-clip", "readwise", "highlights", "kindle", "вырезки"}

_DATE_KEYS = ("date", "created", "date created", "created_at", "creation date", "дата", "создано")
_ISO_DATE = re.compile(r"(?<![\d.-])(\d{4})[-._](\d{2})[-._](\d{2})(?![\d])")
_DMY_DATE = re.compile(r"(?<![\d.])(\d{1,2})\.(\d{1,2})\.(\d{4})(?!\d)")
_BARE_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})(\d{2})(\d{2})(?:\d{4}(?:\d{2})?)?(?!\d)")  # a slip box adds the time
_WORD_DATE = re.compile(r"(?<!\d)(?:(\d{1,2}) ([^\W\d_]{3,9})\.?,? (\d{4})|([^\W\d_]{3,9})\.? (\d{1,2}),? (\d{4}))"
                        r"(?!\d)")
_MONTHS = ("jan янв", "feb фев", "mar мар", "apr апр", "may мая май", "jun июн", "jul июл", "aug авг", "sep сен",
           "oct окт", "nov ноя", "dec дек")

Pair = tuple[str, str]


def recognises(name: str, text: str) -> bool:
    """True for a text that may be a note: by suffix or front matter, unless it is HTML or a chat of several people."""
    lines = [line for line in text.split("\n", 200)[:200] if line.strip()]
    chat = sum(_CHAT_LINE.match(line) is not None for line in lines)
    if _HTML.match(text) or 2 * chat > len(lines):
        return False
    return name.lower().endswith(_SUFFIXES) or front_matter(text.split("\n"))[0] != {}


def read(name: str, context: Context, decoded: Decoded, modified: datetime | None = None) -> Iterator[Found]:
    """The note as one conversation. `name` is relative to what was imported. The nearest date counts: of the heading,
    the front matter, the name; `modified`, when the file was last written, only where there is no other (flag
    file_time)."""
    pairs = decoded.lines
    matter, taken = front_matter([fixed for _, fixed in pairs])
    name = clean(name)
    if reason := _not_a_note(name, matter, decoded.text):
        yield Found(context.file, skipped={reason: 1})
        return
    note = _Note(name, context.zone, *_date(name, matter, modified, context.zone))
    sections = list(_sections(pairs[taken:]))
    speakers = {heading.casefold().strip(" :*") for _, heading, _ in sections}
    transcript = bool(speakers & _PERSON and speakers & _MACHINE)
    skipped: Counter[str] = Counter()
    messages: list[Message] = []
    for level, heading, body in sections:
        said = note.section(level, heading, body)
        if said is None:
            skipped["empty section"] += 1
        elif transcript and heading.casefold().strip(" :*") in _MACHINE:
            skipped["assistant in a transcript"] += 1
        else:
            messages.append(said)
    yield found(context.file, Conversation(name, tuple(messages), _title(name, matter), SOURCE), skipped)


def _not_a_note(name: str, matter: dict[str, object], text: str) -> str | None:
    """Why a file holds none of the person's words."""
    path = PurePosixPath(name.casefold())
    if path.name.endswith(".excalidraw.md") or "excalidraw-plugin" in matter:
        return "drawing"
    if not _TEMPLATES.isdisjoint(path.parts[:-1]) or (
            ("{{" in text or "<%" in text) and any(_PLACEHOLDER.search(text, a, b) for a, b in own_spans(text))):
        return "template"
    tags = matter.get("tags", matter.get("tag", ()))
    words = tags.split() if isinstance(tags, str) else map(str, tags) if isinstance(tags, list) else ()
    clipped = not _CLIPPED.isdisjoint(word.strip("#,").casefold() for word in words)
    saved = str(matter.get("source", "")).startswith("http") and "published" in matter
    return "clipping" if clipped or saved else None


def _title(name: str, matter: dict[str, object]) -> str:
    aliases = matter.get("aliases") or matter.get("alias")
    alias = aliases[0] if isinstance(aliases, list) else aliases
    return clean(str(matter.get("title") or alias or PurePosixPath(name).stem))


@dataclass
class _Note:
    """What the sections of one note share: its name, the date they have without their own, and headings so far."""

    name: str
    zone: tzinfo | None
    dated: Moment | None
    flags: tuple[str, ...]
    slugs: Counter[str] = field(default_factory=Counter)
    days: list[tuple[int, Moment]] = field(default_factory=list)

    def section(self, level: int, heading: str, body: list[Pair]) -> Message | None:
        """One section as a message of the person; None when nothing stands under the heading. A day in a heading is
        nearer to the words than the one of the file, also for the headings under it."""
        slug = re.sub(r"\W+", "-", clean(heading).casefold()).strip("-")[:60] or "text"
        self.slugs[slug] += 1
        self.days = [day for day in self.days if day[0] < level]
        if day := _day(heading, self.zone):
            self.days.append((level, day))
        original = trim("\n".join(line for line, _ in body))
        mended = trim(clean("\n".join(line for _, line in body)))
        text = trim(as_shown(mended))
        if not text.strip() or (heading and not text.partition("\n")[2].strip()):
            return None
        moment, flags = (self.days[-1][1], ("note",)) if self.days else (self.dated, ("note", *self.flags))
        return message(f"{self.name}#{slug}-{self.slugs[slug]}", "user", original, mended, text, own=True,
                       time=moment.time if moment else None,
                       flags=(*flags, "local_time") if moment and moment.local else flags)


def as_shown(text: str) -> str:
    """A Markdown text as Obsidian shows it, with its own callouts unframed; quotes and code stay marked."""
    def shown(match: re.Match[str]) -> str:
        if match["fence"]:
            return "" if match["info"].strip().casefold().startswith(_QUERIES) else match.group()
        return match["code"] or match["link"] or ""

    if "[!" in text:
        text = _CALLOUT.sub(lambda match: _QUOTING.sub("", match.group(1)), text)
    return _MARKS.sub(shown, text) if any(mark in text for mark in ("```", "~~~", "[[", "![", "%%")) else text


def _sections(pairs: list[Pair]) -> Iterator[tuple[int, str, list[Pair]]]:
    """Level, heading and lines of each section, the heading's own line included; 0 and '' for what stands before."""
    level, heading, body, fence = 0, "", list[Pair](), ""
    for original, fixed in pairs:
        if mark := _FENCE.match(fixed):
            fence = "" if fence == mark.group(1) else fence or mark.group(1)
        match = None if fence else _HEADING.match(fixed)
        if match:
            if body:
                yield level, heading, body
            level, heading, body = len(match.group(1)), match.group(2), []
        body.append((original, fixed))
    if body and (heading or any(fixed.strip() for _, fixed in body)):
        yield level, heading, body


# ---- dates ------------------------------------------------------------------------------------------------------

def _date(name: str, matter: dict[str, object], modified: datetime | None,
          zone: tzinfo | None) -> tuple[Moment | None, tuple[str, ...]]:
    """The date of a note and the flags that say how sure it is."""
    keys = {str(key).casefold(): value for key, value in matter.items()}
    given = next((moment for key in _DATE_KEYS if (moment := parse(keys.get(key, ""), zone=zone))), None)
    dated = given or _day(PurePosixPath(name).name, zone)
    if dated or modified is None:
        return dated, ()
    return to_utc(modified, zone), ("file_time",)


def _day(text: str, zone: tzinfo | None) -> Moment | None:
    """The day that a name or a heading tells, in digits or in words."""
    for pattern, order in ((_ISO_DATE, (0, 1, 2)), (_DMY_DATE, (2, 1, 0)), (_BARE_DATE, (0, 1, 2))):
        if match := pattern.search(text):
            groups = match.groups()
            return _moment(int(groups[order[0]]), int(groups[order[1]]), int(groups[order[2]]), zone)
    for match in _WORD_DATE.finditer(clean(text).casefold()):
        before, name, year, name_too, behind, year_too = match.groups()
        number = next((n for n, names in enumerate(_MONTHS, 1) if (name or name_too)[:3] in names.split()), 0)
        if number:
            return _moment(int(year or year_too), number, int(before or behind), zone)
    return None


def _moment(year: int, month: int, day: int, zone: tzinfo | None) -> Moment | None:
    try:
        return to_utc(datetime(year, month, day), zone)
    except ValueError:
        return None
