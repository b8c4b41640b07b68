"""Files that other programs wrote, to conversations. One file per foreign format; which one it is, the content says.

Only notes need a name: nothing inside a plain text tells a diary from a program's log.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path, PurePosixPath

from twin.errors import BrokenFile, EmptyFile, InputError, UnknownFormat
from twin.importers import chatgpt, messages, nexus, plain
from twin.importers.containers import Entry, bytes_of, folder, head_of, is_zip, zipped
from twin.importers.encoding import Mended, find_codecs, is_binary, mended, to_text
from twin.importers.found import Found
from twin.importers.jsontext import BrokenLine, looks_like_json, string_lines, values
from twin.types import Progress

__all__ = ["Found", "read"]

_KNOWN = "Known are: Nexus notes, ChatGPT exports, OpenAI messages, Markdown and text notes."
_HINTS = {"chat_messages": " It looks like a Claude export.", "personal_information": " It looks like Telegram.",
          "instruction": " It looks like Alpaca training data."}


def read(path: Path, *, progress: Progress | None = None) -> Iterator[Found]:
    """Every conversation in a file, a zip or a folder, and what was skipped, failed or repaired there.

    Raises InputError while iterating: UnknownFormat (names the keys or the first line), EmptyFile, BrokenFile. Inside
    a folder or zip these become skips and failures, unless nothing was recognised. `progress` counts conversations.
    """
    path = Path(path).expanduser()
    count = 0
    for result in _read(path):
        count += result.conversation is not None
        if progress is not None:
            progress(f"reading {result.file}", count, None)
        yield result


def _read(path: Path) -> Iterator[Found]:
    if path.is_dir():
        return _several(folder(path), path.name or str(path))
    head = head_of(path)
    if is_zip(head):
        return _several(zipped(path), path.name, whole=True)
    if is_binary(head):
        raise UnknownFormat(f"{path.name} is no text; it begins with {head[:8]!r}.", _KNOWN)
    return _one(Entry(path.name, path.name, lambda: bytes_of(path)))


def _several(entries: Iterator[Entry | Found], name: str, *, whole: bool = False) -> Iterator[Found]:
    """Results of many files. `whole`: they are one file to the person, so a broken only part is a broken file."""
    recognised, failures, unknown = 0, list[str](), list[str]()
    for entry in entries:
        for result in [entry] if isinstance(entry, Found) else _guarded(entry):
            if result.failure:
                failures.append(result.failure)
            elif result.skipped.keys() & {"unknown format", "empty file"} and not result.conversation:
                unknown.append(result.file)
            else:
                recognised += 1
            yield result
    if recognised or (failures and not whole):
        return
    if failures:
        raise BrokenFile(failures[0])
    if not unknown:
        raise EmptyFile(f"{name} holds no files.", "Choose the folder or file of an export, or of your notes.")
    raise UnknownFormat(f"{name} holds nothing that is known; it has {', '.join(unknown[:5])}"
                        f"{' and more' if len(unknown) > 5 else ''}.", _KNOWN)


def _guarded(entry: Entry) -> Iterator[Found]:
    """Results of one file among others: its error does not touch them."""
    if "textdocs" in PurePosixPath(entry.name).parts[:-1]:  # canvases of a ChatGPT export: the assistant wrote them
        yield Found(entry.label, skipped={"canvas of an export": 1})
        return
    try:
        yield from _one(entry)
    except EmptyFile:
        yield Found(entry.label, skipped={"empty file": 1})
    except UnknownFormat:
        yield Found(entry.label, skipped={"unknown format": 1})
    except InputError as error:
        yield Found(entry.label, failure=str(error))


def _one(entry: Entry) -> Iterator[Found]:
    data = entry.read()
    if is_binary(data[:4096]):
        raise UnknownFormat(f"{entry.label} is no text.", _KNOWN)
    text = to_text(data, entry.label)
    if not text.strip():
        raise EmptyFile(f"{entry.label} is empty.", "Export it again, or choose another file.")
    if looks_like_json(text):
        yield from _json(text, entry.label)
        return
    decoded = mended(text, entry.label)
    if nexus.recognises(decoded.text):
        result = nexus.read(entry.label, decoded)
    elif plain.recognises(entry.name, decoded.text):
        result = plain.read(entry.name, entry.label, decoded)
    else:
        first = next(line.strip() for line in decoded.text.split("\n") if line.strip())
        raise UnknownFormat(f"{entry.label} is in no known format; its first line is {first[:60]!r}.",
                            f"{_KNOWN} A note needs a name that ends with .md or .txt.")
    if decoded.repair:
        yield Found(entry.label, repair=decoded.repair)
    yield result


def _json(text: str, file: str) -> Iterator[Found]:
    """Conversations of a JSON text. It is read twice: the repair is decided over all strings, and broken JSON is
    found, before the first conversation goes out."""
    keys: list[str] = []
    kind = ""
    count = 0
    for value in values(text, file):
        count += 1
        kind = kind or _kind(value)
        if isinstance(value, dict) and not keys:
            keys = [str(key) for key in value]
    if not count:
        raise EmptyFile(f"{file} holds no conversations.", "Export it again, or choose another file.")
    if not kind:
        raise _unknown_json(file, keys)
    mending = Mended(file, find_codecs(lambda: chain.from_iterable(map(string_lines, values(text, file)))))
    if kind == "message":
        yield messages.Reader(file, mending).read({"messages": list(values(text, file))}, 1)
    else:
        yield from _conversations(text, file, kind, mending)
    if report := mending.report():
        yield Found(file, repair=report)


def _conversations(text: str, file: str, kind: str, mending: Mended) -> Iterator[Found]:
    reader = messages.Reader(file, mending)
    convert: Callable[[object, int], Found] = reader.read if kind == messages.SOURCE else (
        lambda value, number: chatgpt.read(value, number, file, mending))
    for number, value in enumerate(values(text, file), 1):
        if isinstance(value, BrokenLine):
            yield Found(file, failure=f"{file}, line {value.number}: broken JSON, {value.why}. "
                                      "Mend or remove that line.")
        else:
            yield convert(value, number)


def _kind(value: object) -> str:
    if chatgpt.recognises(value):
        return chatgpt.SOURCE
    if messages.recognises(value):
        return messages.SOURCE
    return "message" if messages.is_message(value) else ""


def _unknown_json(file: str, keys: list[str]) -> UnknownFormat:
    hint = next((text for key, text in _HINTS.items() if key in keys), "")
    seen = f"its keys are {', '.join(keys[:12])}" if keys else "it holds no objects"
    return UnknownFormat(f"{file} is JSON in no known format; {seen}.{hint}", _KNOWN)
