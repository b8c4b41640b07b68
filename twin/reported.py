"""Results that other people report: sentences of a saved thread or article, with their numbers.

Found by rules alone: a number with a unit, words of experience, the name of a model or quantisation near. What is found
is a quote, data and never an instruction; whether it is true is measured elsewhere. Cues stand in reported.toml.
"""
from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Literal

from twin.cues import any_of, plain
from twin.errors import EmptyFile, InputError, UnknownFormat
from twin.importers.encoding import decode, is_binary
from twin.importers.mailbody import from_html
from twin.text import clean, language, sentences
from twin.types import Progress

MAX_REPORT = 8 * 1024**2   # bytes of a file
MAX_RESULTS = 2_000        # of a file; one with more is a table of data, and keeping them takes time
QUOTE = 600                # characters of a quote, and how far before it the name of a model may stand
_AFTER = 200               # ... and how far behind it, and how long the headline is
_LONGEST = 4_000           # characters of a sentence; more are a log or a file of data
_NEAR = 400                # ... and how far from a unit its numbers are looked for; the longest match has some 300
_TOLD = 1_000              # sentences between two words of progress
_PLAIN = ("speed", "perplexity")  # are said of models alone; of minutes, gigabytes and shares the name must be nearer
_PAGE = re.compile(r"\s*<(?:!doctype|html|\?xml|head|body|meta)", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
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
    """Numbers with each unit, what stands `near` them whatever they are, each unit `alone`, names of models and
    quantisations, sizes of machines."""

    units: tuple[tuple[dict[str, str], re.Pattern[str]], ...]
    near: tuple[re.Pattern[str], ...]
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
        tuple(compiled("|".join((rf"(?<=[\d \u00a0-]){either(unit['after'])}(?![\w/])",
                                 *(rf"\b{name}" for name in unit.get("before", ()))))) for unit in units),
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


def read_report(path: Path, *, progress: Progress | None = None) -> list[Report]:
    """Sentences that report a result, in the order of the file. Raises InputError: not there, no file, too long, no
    text, more than MAX_RESULTS."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe that nobody writes to would be waited for
            raise InputError(f"{path.name} is no regular file.", "Save the thread or article first.")
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
    found = list(islice(_results(text, progress), MAX_RESULTS + 1))
    if len(found) > MAX_RESULTS:
        raise InputError(f"{path.name} has more than {MAX_RESULTS} results: a table of data, no thread.",
                         "Save the part of it that matters.")
    return [replace(one, file=path.name, sha256=sha256(data).hexdigest()) for one in found]


def find_results(text: str, *, progress: Progress | None = None) -> list[Report]:
    """Sentences and table rows of a text (NFC) that report a result: a number with a unit, words of experience in the
    sentence or in the one before it, a model or a quantisation in it, near it or in the first line. Questions report
    nothing. `progress` counts characters. 0.4 ms a sentence that has a number."""
    return list(_results(text, progress))


def _results(text: str, progress: Progress | None) -> Iterator[Report]:
    told: bool | str = False  # whether the sentence before tells what happened; its text while nobody has asked
    before, header, last, head = 0, "", 0, min(text.find("\n"), _AFTER)
    for number, (start, end) in enumerate(sentences(text)):
        if progress and number % _TOLD == 0:
            progress("characters read", start, len(text))
        sentence, gap, last = text[start:end], text[last:start], end
        if end - start > _LONGEST or sentence.startswith("```"):
            continue
        row = sentence.startswith("|")  # the sentence above a table tells whose it is, its first row what of
        header = (header if "\n\n" not in gap else "") or sentence if row else ""
        if _DIGIT.search(sentence) is None:
            told, before = (told, before) if row else (sentence, end)
            continue
        lived = _lived(sentence)
        told = bool(_lived(told)) if isinstance(told, str) else told
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
        if about := _about(text, start, end, head, far=readings[0].metric in _PLAIN):
            yield Report(readings, text[start:end], start=start, end=end, about=about)
    if progress:
        progress("characters read", len(text), len(text))


@lru_cache(maxsize=4)  # the rows of a table have one header
def _units_of(header: str) -> list[str]:
    return [next((match.group() for pattern in _patterns().alone if (match := pattern.search(cell))), "")
            for cell in header.split("|")]


def _with_units(row: str, header: str) -> str:
    """A row of a table, each bare number followed by the unit that stands above it."""
    units = _units_of(header)
    return "|".join(cell if re.search(r"[^\W\d]", cell) else f" {cell.strip()} {unit} "
                    for cell, unit in zip_longest(row.split("|"), units[:row.count("|") + 1], fillvalue=""))


def _about(text: str, start: int, end: int, head: int, *, far: bool) -> tuple[str, ...]:
    """Models and quantisations in the span, else the last two before it (not far: in its paragraph), else, where the
    name may be far, those behind it or in the first line, which ends at `head`."""
    def named(left: int, right: int) -> list[str]:
        return [match.group() for match in _patterns().names.finditer(text, max(0, left), max(0, right))]

    since = start - QUOTE if far else max(start - _AFTER, text.rfind("\n\n", max(start - _AFTER, 0), start))
    return tuple(dict.fromkeys(
        named(start, end) or named(since, start)[-2:]
        or (named(end, min(len(text), end + _AFTER))[:2] or named(0, head) if far else [])))


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
    bare, patterns = _bare(sentence), _patterns()
    found = [next(_numbers(pattern, near, bare), None)
             for (_, pattern), near in zip(patterns.units, patterns.near, strict=True)]
    return min((match.start() for match in found if match), default=0)


def _numbers(pattern: re.Pattern[str], near: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Numbers with their unit, looked for where the unit stands: at every number of a table of digits the pattern
    tries a dozen ways to read it, once for each unit (80 KB of digits: .8 s, so .1 s)."""
    spans: list[tuple[int, int]] = []
    for unit in near.finditer(text):
        left, right = max(0, unit.start() - _NEAR), unit.end() + _NEAR
        if spans and left <= spans[-1][1]:
            left = spans.pop()[0]
        spans.append((left, right))
    for left, right in spans:
        yield from pattern.finditer(text, left, right)


def _readings(sentence: str) -> tuple[Reading, ...]:
    """All numbers with a unit, those of the leading metric first."""
    if _DIGIT.search(sentence) is None:
        return ()
    bare, spoken, found = _bare(sentence), language(sentence), list[Reading]()
    for (unit, pattern), near in zip(_patterns().units, _patterns().near, strict=True):
        for match in _numbers(pattern, near, bare):
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
