"""The numbers of a text, whether it writes them in digits or in words, Russian and English alike.

Knows nothing of what is counted. Ordinal words ("second") are no numbers; "one of them" is none.
"""
from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from twin import text as texts
from twin.cues import plain

_GROUPED = r"\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?!\d)"
_TOKEN = re.compile(rf"(?<!\w)[-−](?=\d)|(?<!\d){_GROUPED}(?:[.,]\d+)?|\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)?|%")


def numbers(text: str) -> frozenset[float]:
    """The numbers of a text, digits and words alike: "двадцать один" is 21, "1 500" and "two dozen" as they mean.
    Dates and versions give their parts; ordinal words ("second") give none."""
    return split(text)[0]


def split(text: str) -> tuple[frozenset[float], list[str]]:
    """(numbers, the other words in order)."""
    tokens = [match.group() for match in _TOKEN.finditer(plain(text))]
    comma_is_point = texts.language(text) == "ru"
    found: list[float] = []
    rest: list[str] = []
    at = 0
    while at < len(tokens):
        values, used = _number(tokens, at, comma_is_point)
        found += values
        if not used and tokens[at] not in "-−%":
            rest.append(tokens[at])
        at += used or 1
    return frozenset(found), rest


def _number(tokens: Sequence[str], at: int, comma_is_point: bool) -> tuple[list[float], int]:
    """(values, tokens used) of the number that begins at a token; ([], 0) where none does."""
    sign = -1.0 if tokens[at] in ("-", "−", "minus", "минус") and at + 1 < len(tokens) else 1.0
    start = at + (sign < 0)
    if tokens[start][0].isdecimal():
        values, end = _digits(tokens[start], comma_is_point), start + 1
    else:
        values, end = _spelled(tokens, start)
    if not values:
        return [], 0
    while end < len(tokens) and tokens[end] in _values("scales"):
        values, end = [*values[:-1], values[-1] * _values("scales")[tokens[end]]], end + 1
        more, after = _spelled(tokens, end)
        if more and more[0] < 1000:
            values, end = [values[0] + more[0]], after
    return [sign * value for value in values], end - at


def _digits(token: str, comma_is_point: bool) -> list[float]:
    """"1.5" and "1,5" are one number, "1,500" is 1500 in English and 1.5 in Russian, "12.05.2024" is three."""
    token = re.sub(r"[ \u00a0\u202f]", "", token)
    parts = re.split(r"[.,]", token)
    marks = set(token) & set(".,")
    if len(parts) == 1:
        return [float(token)]
    if marks == {","} and all(len(part) == 3 for part in parts[1:]) and not (comma_is_point and len(parts) == 2):
        return [float("".join(parts))]
    if len(parts) == 2 or (marks == {",", "."} and token.rfind(".") > token.rfind(",") and token.count(".") == 1):
        return [float("".join(parts[:-1]) + "." + parts[-1])]
    return [float(part) for part in parts]


def _spelled(tokens: Sequence[str], at: int) -> tuple[list[float], int]:
    """A number in words below its scale: "forty two", "сто пятьдесят", "a dozen"; "one of them" is none."""
    table, value, start = _values("numbers"), None, at
    while at < len(tokens):
        word = tokens[at]
        if value and word == "and" and value % 100 == 0 and at + 1 < len(tokens) and tokens[at + 1] in table:
            at += 1
            continue
        if value and word in ("hundred", "hundreds") and value < 100:
            value *= 100
        elif word in table and (value is None or _joins(value, table[word])):
            value = (value or 0) + table[word]
        else:
            break
        at += 1
    if value is None and start < len(tokens) and tokens[start] in _values("scales"):
        return [1.0], start  # "a dozen", "тысяча": one of them
    lone = value == 1 and at == start + 1 and _pronoun(tokens, start)
    return ([], start) if value is None or lone else ([float(value)], at)


def _joins(value: float, unit: float) -> bool:
    """Whether a number word goes on with another: hundreds with what is less, tens with units."""
    return (value % 100 == 0 and value >= 100 > unit >= 1) or (value % 100 >= 20 and value % 10 == 0 and 1 <= unit < 10)


def _pronoun(tokens: Sequence[str], at: int) -> bool:
    around = _table()["one"]
    return (at > 0 and tokens[at - 1] in around["after"].split()) or (
        at + 1 < len(tokens) and tokens[at + 1] in around["before"].split())


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    return tomllib.loads((files("twin") / "numerals.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=2)
def _values(section: str) -> Mapping[str, float]:
    return {form: float(value) for value, forms in _table()[section].items() for form in forms.split()}
