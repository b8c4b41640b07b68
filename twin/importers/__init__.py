"""Files that other programs wrote, to conversations. One file per foreign format; which one it is, the content says.

Only notes need a name: nothing inside a plain text tells a diary from a program's log.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from itertools import islice
from pathlib import Path, PurePosixPath

from twin.errors import BrokenFile, EmptyFile, InputError, UnknownFormat
from twin.importers import (
    carried,
    chatgpt,
    claude,
    gemini,
    mbox,
    messages,
    nexus,
    openwebui,
    pack,
    plain,
    sharegpt,
    sillytavern,
    telegram,
    whatsapp,
)
from twin.importers.containers import Entry, bare, folder, is_zip, zipped
from twin.importers.encoding import Decoded, Mended, find_codecs, is_binary, mended, to_text
from twin.importers.found import Context, Found
from twin.importers.jsontext import Json, looks_like_json, nothing
from twin.importers.people import People
from twin.types import Progress

__all__ = ["Found", "People", "people", "read"]

KNOWN = ("Known are: ChatGPT, Claude, Gemini (JSON), Open WebUI, SillyTavern, Telegram (JSON), WhatsApp, mail (mbox), "
         "Nexus notes, Markdown and text notes, and training data (messages, ShareGPT, Alpaca).")
_JSON = (carried, pack, chatgpt, claude, openwebui, gemini, sillytavern, messages, sharegpt)
_ASKING = (telegram.SOURCE, whatsapp.SOURCE, mbox.SOURCE)  # chats that do not say which speaker is the person
_LOOKED_AT = 20  # conversations of a file until one is recognised: the first may be damaged
_PAGE = re.compile(r"\s*<(?:!doctype|html|\?xml|head|body|meta)", re.IGNORECASE)
_PAGES = ((re.compile("tgme|Telegram|page_wrap", re.IGNORECASE),
           "It looks like a Telegram export: export again, format 'Machine-readable JSON'."),
          (re.compile("My ?Activity|Gemini|mdl-typography|outer-cell", re.IGNORECASE),
           "It looks like Google Takeout: choose JSON as the format of 'My Activity'."),
          (re.compile("chatgpt|openai|assistantName", re.IGNORECASE),
           "The conversations.json beside it holds the same chats."))


@dataclass(frozen=True)
class _Run:
    """What holds for all files of one import. `asking`: only formats that do not say who the person is."""

    people: People = field(default_factory=People)
    zone: tzinfo | None = None
    asking: bool = False

    def wants(self, source: str) -> bool:
        return not self.asking or (source in _ASKING and source not in self.people.settled)


def read(path: Path, *, me: Iterable[str] = (), zone: tzinfo | None = None,
         progress: Progress | None = None) -> Iterator[Found]:
    """Every conversation in a file, a zip or a folder, and what was skipped, failed or repaired there.

    `me`: names, ids and mail addresses of the person, for chats of several people. `zone` is that of times that name
    none (default: this machine's). Raises InputError while iterating: UnknownFormat (names the keys or the first line),
    EmptyFile, BrokenFile. Inside a folder or zip these become skips and failures, unless nothing was recognised.
    `progress` counts conversations.
    """
    count = 0
    for result in _read(Path(path).expanduser(), _Run(People(me), zone)):
        count += result.conversation is not None
        if progress is not None:
            progress(f"reading {result.file}", count, None)
        yield result


def people(path: Path, me: Iterable[str] = ()) -> People:
    """Who speaks in chats that do not say which speaker is the person; `strangers` of the result are the kinds in which
    none of `me` was found. Reads those formats only."""
    run = _Run(People(me), asking=True)
    for _ in _read(Path(path).expanduser(), run):
        pass
    return run.people


def _read(path: Path, run: _Run) -> Iterator[Found]:
    if path.is_dir():
        return _several(folder(path), path.name or str(path), run)
    entry = bare(path)
    if is_zip(entry.head()):
        return _several(zipped(path), path.name, run, whole=True)
    return _one(entry, run)


def _several(entries: Iterator[Entry | Found], name: str, run: _Run, *, whole: bool = False) -> Iterator[Found]:
    """Results of many files. `whole`: they are one file to the person, so a broken only part is a broken file."""
    recognised, failures, unknown = 0, list[str](), list[str]()
    for entry in pack.whole(entries):
        for result in [entry] if isinstance(entry, Found) else _guarded(entry, run):
            if result.failure:
                failures.append(result.failure)
            elif result.skipped.keys() & {"unknown format", "empty file"} and not result.conversation:
                unknown.append(result.file)
            else:
                recognised += 1
            yield result
    if recognised or run.asking or (failures and not whole):
        return
    if failures:
        raise BrokenFile(failures[0], f"Nothing else in {name} could be read.")
    if not unknown:
        raise EmptyFile(f"{name} holds no files.", "Choose the folder or file of an export, or of your notes.")
    raise UnknownFormat(f"{name} holds nothing that is known; it has {', '.join(unknown[:5])}"
                        f"{' and more' if len(unknown) > 5 else ''}.", KNOWN)


def _guarded(entry: Entry, run: _Run) -> Iterator[Found]:
    """Results of one file among others: its error does not touch them."""
    if "textdocs" in PurePosixPath(entry.name).parts[:-1]:  # canvases of a ChatGPT export: the assistant wrote them
        yield Found(entry.label, skipped={"canvas of an export": 1})
        return
    try:
        yield from _one(entry, run)
    except EmptyFile:
        yield Found(entry.label, skipped={"empty file": 1})
    except UnknownFormat:
        yield Found(entry.label, skipped={"unknown format": 1})
    except InputError as error:
        yield Found(entry.label, failure=str(error))


def _one(entry: Entry, run: _Run) -> Iterator[Found]:
    try:
        head = entry.head()
        if mbox.recognises(head):
            yield from _mail(entry, run)
        elif carried.is_picture(head):
            yield from _picture(entry, run)
        elif is_binary(head):
            raise UnknownFormat(f"{entry.label} is no text; it begins with {head[:8]!r}.", KNOWN)
        else:
            yield from _text(entry, to_text(head, entry.label), run)
    except OSError as error:
        raise InputError(f"{entry.label} cannot be read ({error.strerror}).", "Check the disk, and its rights."
                         ) from error


def _mail(entry: Entry, run: _Run) -> Iterator[Found]:
    if run.wants(mbox.SOURCE):
        with entry.open() as stream:
            yield from mbox.read(stream, Context(entry.label, Mended(entry.label, ()), run.people, run.zone))


def _picture(entry: Entry, run: _Run) -> Iterator[Found]:
    if not run.asking:
        with entry.open() as stream:
            yield from carried.read_picture(entry.label, stream)


def _text(entry: Entry, head: str, run: _Run) -> Iterator[Found]:
    if looks_like_json(head):
        yield from _json(Json(entry.open, entry.label), run)
        return
    if _PAGE.match(head):
        hint = next((text for mark, text in _PAGES if mark.search(head)), KNOWN)
        raise UnknownFormat(f"{entry.label} is a page for a browser (HTML).", hint)
    text = to_text(entry.read(), entry.label)
    if not text.strip():
        raise EmptyFile(f"{entry.label} is empty.", "Export it again, or choose another file.")
    if looks_like_json(text):
        yield from _json(Json(entry.open, entry.label), run)
        return
    if pack.describes(text):
        raise UnknownFormat(f"{entry.label} only describes a pack.", f"Import the folder, or {pack.BACK} beside it.")
    yield from _words(entry, mended(text, entry.label), run)


def _words(entry: Entry, decoded: Decoded, run: _Run) -> Iterator[Found]:
    context = Context(entry.label, Mended(entry.label, ()), run.people, run.zone)
    if nexus.recognises(entry.name, decoded.text):
        results = nexus.read(entry.name, context, decoded) if run.wants(nexus.SOURCE) else iter(())
    elif whatsapp.recognises(entry.name, decoded.text):
        results = whatsapp.read(entry.name, context, decoded) if run.wants(whatsapp.SOURCE) else iter(())
    elif carried.recognises_text(decoded.text):  # before notes, which a Markdown file of any kind would be
        results = carried.read_text(entry.label, decoded.text) if not run.asking else iter(())
    elif plain.recognises(entry.name, decoded.text):
        results = (plain.read(entry.name, context, decoded, modified=entry.modified) if run.wants(plain.SOURCE)
                   else iter(()))
    else:
        first = next(line.strip() for line in decoded.text.split("\n") if line.strip())
        raise UnknownFormat(f"{entry.label} is in no known format; its first line is {first[:60]!r}.",
                            f"{KNOWN} A note needs a name that ends with .md or .txt.")
    if decoded.repair:
        yield Found(entry.label, repair=decoded.repair)
    yield from results


def _json(json: Json, run: _Run) -> Iterator[Found]:
    """Conversations of a JSON text. It is read twice: the repair is decided over all strings, and broken JSON is
    found, before the first conversation goes out."""
    file = json.file
    if run.asking and json.starts_as_array:  # no chat of several people is one
        return
    if telegram.recognises_keys(json.keys) and not messages.is_message(json.first("messages.item")):
        if run.wants(telegram.SOURCE):
            context = _context(json, run)
            yield from telegram.read(json.events(telegram.WHOLE), context)
            yield from _afterwards(json, context)
        return
    if run.asking:
        return
    context = _context(json, run)
    seen = [value for value in islice(json.values(), _LOOKED_AT) if value is not None]
    if not seen and not json.broken:
        raise nothing(file)
    module = next((module for value in seen for module in _JSON if module.recognises(value)), None)
    json.broken.clear()
    if module is None:
        raise _unknown_json(file, seen)
    yield from module.read(json.values(), context)
    yield from _afterwards(json, context)


def _context(json: Json, run: _Run) -> Context:
    return Context(json.file, Mended(json.file, find_codecs(json.string_lines)), run.people, run.zone)


def _afterwards(json: Json, context: Context) -> Iterator[Found]:
    """Lines that did not parse, and what the repair changed."""
    for line in json.broken:
        yield Found(json.file, failure=f"{json.file}, line {line.number}: broken JSON, {line.why}. "
                                       "Mend or remove that line.")
    if report := context.mended.report():
        yield Found(json.file, repair=report)


def _unknown_json(file: str, values: list[object]) -> UnknownFormat:
    keys = next(([str(key) for key in value][:12] for value in values if isinstance(value, dict)), [])
    seen = f"its keys are {', '.join(keys)}" if keys else "it holds no objects"
    return UnknownFormat(f"{file} is JSON in no known format; {seen}.", KNOWN)
