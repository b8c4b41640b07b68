"""Results that other people report: sentences of a saved thread or article, with their numbers.

Found by rules alone: a number with a unit, words of experience, the name of a model or quantisation near. What is found
is a quote, data and never an instruction; whether it is true is measured elsewhere. Cues stand in reported.toml.
"""
from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from twin.cues import any_of, plain
from twin.errors import EmptyFile, InputError, UnknownFormat
from twin.importers.encoding import decode, is_binary
from twin.importers.mailbody import from_html
from twin.text import clean, language, sentences

MAX_REPORT = 8 * 1024**2   # bytes of a file
QUOTE = 600                # characters of a quote, and how far before it the name of a model may stand
_AFTER = 200               # ... and how far behind it, and how long the headline is
_LONGEST = 4_000           # characters of a sentence; more are a log or a file of data
_PLAIN = ("speed", "perplexity")  # are said of models alone; of minutes, gigabytes and shares the name must be nearer
_PAGE = re.compile(r"\s*<(?:!doctype|html|\?xml|head|body|meta)", re.IGNORECASE)
_MARKERS = re.compile(r"(?:[>*•#|-]+\s+|\d{1,2}[.)]\s+)+")


@dataclass(frozen=True)
class Reading:
    """Numbers with a unit. `value` is the result where it is plain: one number, or the second of 'from A to B'."""

    metric: str
    unit: str
    numbers: tuple[float, ...]
    value: float | None = None


@dataclass(frozen=True)
class Report:
    """What somebody else says. `quote` is text[start:end] of the file (code points of its NFC text; of an HTML page
    its text without tags), `sha256` that of its bytes; both are empty for what is known at second hand. `about` names
    models and quantisations in or near the quote."""

    readings: tuple[Reading, ...]
    quote: str = field(default="", repr=False)
    file: str = field(default="", repr=False)
    sha256: str = ""
    start: int = 0
    end: int = 0
    about: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def _catalogue() -> dict[str, Any]:
    return tomllib.loads(files("twin").joinpath("reported.toml").read_text("utf-8"))


_NUMBER = r"(?:\d{1,3}(?:[ \u00a0\u202f]\d{3}){1,3}(?!\d)|\d{1,12}(?:[.,]\d{1,12}){0,4}|\.\d{1,12})"
# "from 30 to 35" and "с 30 до 35" tell a change, "от 30 до 35" a range.
_SINCE = r"(?<!ranges )(?<!ranged )(?<!ranging )(?<!varies )\b(?:from|со?) "
_SPREAD = re.compile(r" ?± ?[\d.,]+%?")
_LINK = r"(?P<link>->|→|=>|to|до|vs\.?|против|[-–—])"


@dataclass(frozen=True)
class _Patterns:
    """Numbers with each unit, each unit `alone`, names of models and quantisations, sizes of machines."""

    units: tuple[tuple[dict[str, str], re.Pattern[str]], ...]
    alone: tuple[re.Pattern[str], ...]
    names: re.Pattern[str]
    hardware: re.Pattern[str]


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    def either(some: Iterable[str]) -> str:
        return f"(?:{'|'.join(some)})"

    def compiled(pattern: str) -> re.Pattern[str]:
        return re.compile(pattern, re.IGNORECASE)

    units, names = _catalogue()["unit"], _catalogue()["names"]
    return _Patterns(
        tuple((unit, compiled(_number_with(either(unit["after"]), either(unit.get("before", ()))))) for unit in units),
        tuple(compiled(rf"(?<!\w){either(unit['after'])}(?![\w/])") for unit in units),
        compiled(rf"(?<!\w){either((*names['models'], *names['quantisations']))}"),
        compiled(rf"(?<!\w){either(names['hardware'])}"))


def _number_with(after: str, before: str) -> str:
    """One number or two with a unit behind them or, where one stands `before`, after its name."""
    first = rf"(?P<since>{_SINCE})?(?:(?P<first>{_NUMBER}) ?(?:{after} ?)?{_LINK} ?)?"
    last = rf"(?<![\w.,])[~≈]?(?P<last>[+−-]?{_NUMBER})"
    behind = rf"(?<![\w.,]){first}{last}[ \u00a0-]?{after}(?![\w/])"
    named = rf"\b{before}{first}{last}(?![\w/]| ?%| ?\w+/)".replace("(?P<", "(?P<b")
    return behind if before == "(?:)" else f"{behind}|{named}"


@lru_cache(maxsize=1)
def _cues() -> dict[str, re.Pattern[str]]:
    return {name: any_of(some) for name, some in _catalogue()["cues"].items()}


def better(metric: str) -> Literal["up", "down"] | None:
    """Which way a metric gets better, where that is plain."""
    way = next((unit["direction"] for unit, _ in _patterns().units if unit["metric"] == metric), "")
    return "up" if way == "up" else "down" if way == "down" else None


def read_report(path: Path) -> list[Report]:
    """Sentences that report a result, in the order of the file. Raises InputError: not there, too long, no text."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_REPORT + 1)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}).",
                         "Name a saved thread or article.") from error
    if len(data) > MAX_REPORT:
        raise InputError(f"{path.name} has more than {MAX_REPORT // 1024**2} MiB.", "Save the thread as text.")
    if is_binary(data[:4096]):
        raise UnknownFormat(f"{path.name} is no text.", "Save the thread as text, Markdown or HTML.")
    text = decode(data, path.name).text
    if path.suffix.lower() in (".html", ".htm", ".xhtml") or _PAGE.match(text):
        text = from_html(text)
    text = clean(text.removeprefix("\ufeff"))
    if not text.strip():
        raise EmptyFile(f"{path.name} is empty.", "Save it again, as text, Markdown or HTML.")
    return [replace(one, file=path.name, sha256=sha256(data).hexdigest()) for one in find_results(text)]


def find_results(text: str) -> list[Report]:
    """Sentences and table rows of a text (NFC) that report a result: a number with a unit, words of experience in the
    sentence or in the one before it, a model or a quantisation in it, near it or in the first line. Questions report
    nothing. 0.4 ms a sentence that has a number."""
    found: list[Report] = []
    told, before, header, last = False, 0, "", 0
    for start, end in sentences(text):
        sentence, gap, last = text[start:end], text[last:start], end
        if end - start > _LONGEST or sentence.startswith("```"):
            continue
        row = sentence.startswith("|")  # the sentence above a table tells whose it is, its first row what of
        header = (header if "\n\n" not in gap else "") or sentence if row else ""
        lived = _lived(sentence)
        here = lived if lived is not None else told and (row or "\n\n" not in text[before:start])
        told, before = (told, before) if row else (bool(lived), end)
        start += len((_MARKERS.match(sentence) or [""])[0])
        readings = _readings(_with_units(sentence, header) if row else text[start:end]) if here else ()
        if not readings:
            continue
        told = True
        if end - start > QUOTE:  # no sentence any more: what stands round its first number with a unit
            middle = start + _first(text[start:end])
            start, end = max(start, middle - QUOTE // 2), min(end, middle + QUOTE // 2)
            readings = _readings(text[start:end]) or readings
        if about := _about(text, start, end, far=readings[0].metric in _PLAIN):
            found.append(Report(readings, text[start:end], start=start, end=end, about=about))
    return found


def _with_units(row: str, header: str) -> str:
    """A row of a table, each bare number followed by the unit that stands above it."""
    units = [next((match.group() for pattern in _patterns().alone if (match := pattern.search(cell))), "")
             for cell in header.split("|")]
    return "|".join(cell if re.search(r"[^\W\d]", cell) else f" {cell.strip()} {unit} "
                    for cell, unit in zip_longest(row.split("|"), units[:row.count("|") + 1], fillvalue=""))


def _about(text: str, start: int, end: int, *, far: bool) -> tuple[str, ...]:
    """Models and quantisations in the span, else the last two before it (not far: in its paragraph), else, where the
    name may be far, those behind it or in the first line."""
    def named(left: int, right: int) -> list[str]:
        return [match.group() for match in _patterns().names.finditer(text, max(0, left), max(0, right))]

    since = start - QUOTE if far else max(start - _AFTER, text.rfind("\n\n", 0, start))
    head = text.find("\n")
    return tuple(dict.fromkeys(
        named(start, end) or named(since, start)[-2:]
        or (named(end, min(len(text), end + _AFTER))[:2] or named(0, min(head, _AFTER)) if far else [])))


def _lived(sentence: str) -> bool | None:
    """Whether the sentence tells what happened (True), what is hoped, promised or asked (False), or neither."""
    said, cues = plain(sentence), _cues()
    if said.endswith("?") or cues["unreal"].search(said):
        return False
    if cues["did"].search(said):
        return True
    return False if cues["doubt"].search(said) else cues["mine"].search(said) is not None or None


def _bare(sentence: str) -> str:
    """The sentence without sizes of machines, numbers in names and spreads after ±, every letter in its place."""
    patterns = _patterns()
    bare = patterns.hardware.sub(lambda match: " " * len(match.group()), sentence)
    bare = patterns.names.sub(lambda match: re.sub(r"\d", "x", match.group()), bare)
    return _SPREAD.sub("", bare)


def _first(sentence: str) -> int:
    bare = _bare(sentence)
    found = [pattern.search(bare) for _, pattern in _patterns().units]
    return min((match.start() for match in found if match), default=0)


def _readings(sentence: str) -> tuple[Reading, ...]:
    """All numbers with a unit, those of the leading metric first."""
    if not any(map(str.isdigit, sentence)):
        return ()
    bare, spoken, found = _bare(sentence), language(sentence), list[Reading]()
    for unit, pattern in _patterns().units:
        for match in pattern.finditer(bare):
            parts = {key.removeprefix("b"): value for key, value in match.groupdict().items() if value}
            numbers = tuple(_number(parts[key], spoken) for key in ("first", "last") if key in parts)
            changed = parts.get("link") in ("->", "→", "=>") or "since" in parts
            found.append(Reading(unit["metric"], unit["unit"], numbers,
                                 numbers[-1] if len(numbers) == 1 or changed else None))
    return tuple(found)


def _number(written: str, spoken: str) -> float:
    """A number as people write it: 1 200 and, in English, 1,200 are thousands; 33,6 and, in Russian, 5,882 are not."""
    bare = re.sub(r"[ \u00a0\u202f]", "", written).replace("−", "-")
    if bare.count(",") == 1 and "." not in bare and not (spoken != "ru" and re.fullmatch(r"[+-]?\d{1,3},\d{3}", bare)):
        bare = bare.replace(",", ".")
    bare = bare.replace(",", "")
    return float(bare if bare.count(".") < 2 else bare.replace(".", ""))
