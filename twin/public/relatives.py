"""Who stands after words of kin: my sons, Tariq and Bo; my brother yusuf; замужем за золтаном. Works on folded text.

Names that no list has are found here by their place; in lower case only those of the lists, or before what people do.
"""
from __future__ import annotations

import re
from collections.abc import Iterator

from twin.public.gazetteer import bases, diminutive, gazetteer, rare_given, shares, words
from twin.public.hit import Hit
from twin.public.names import Word, read

_FIRST_GAP = re.compile(r",? |: | [-–—] | \(")
_NEXT_GAP = re.compile(r", |,? (?:and|or|&|и|или) ")
_CLOSES = re.compile(r"\s*(?:[,.;:!?)]|$|\n)")
_WEDDED = re.compile(r"\b(?:married to|engaged to|divorced from|dating|замужем за|женаты? на|помолвлен[аы]? с|"
                     r"обруч[её]н[аы]? с|вышла за|разв[её]л(?:ась|ся) с|жен(?:ил|ю)(?:ся|сь) на|встречаюсь с)\s+", re.I)
_LIKELY = 0.3


def relatives(text: str) -> Iterator[Hit]:
    """Names after words of kin and after `married to`."""
    found = read(text)
    starts = {word.start: place for place, word in enumerate(found)}
    for match in _WEDDED.finditer(text):
        place = starts.get(match.end())
        if place is not None and _wedded(found, place):
            yield Hit("name", found[place].start, found[place].end)
    for place, word in enumerate(found[:-1]):
        if _kin(found, place):
            listed = _listed(text, found, place)
            if not listed and text[word.end:found[place + 1].start] == " " and _small(found, place + 1):
                listed = [found[place + 1]]
            yield from (Hit("name", one.start, one.end) for one in listed)


def _kin(found: list[Word], place: int) -> bool:
    """Words of kin that are also terms (child, parent) need somebody whose they are."""
    word = found[place]
    if _has(word, "kin") or (word.low.endswith("s") and word.low[:-1] in words("kin")):
        return True
    return _has(word, "kin_owned") and (word.cyrillic or _owned(found, place))


def _owned(found: list[Word], place: int) -> bool:
    return any(_has(word, "owning") for word in found[max(0, place - 2):place])


def _listed(text: str, found: list[Word], place: int) -> list[Word]:
    """Capitals right after: one or a list. After a comma or colon it ends its clause, or is a list."""
    first = text[found[place].end:found[place + 1].start]
    if not _FIRST_GAP.fullmatch(first):
        return []
    names: list[Word] = []
    at = place + 1
    while at < len(found) and _called(found[at]):
        names.append(found[at])
        at += 1
        if at < len(found) and found[at].low in words("joining"):  # Tariq and Bo: `and` is a word of its own
            at += 1
        if at == len(found) or not _NEXT_GAP.fullmatch(text[names[-1].end:found[at].start]):
            break
    if names and first != " " and len(names) == 1 and not _CLOSES.match(text, names[0].end):
        return []
    return names


def _called(word: Word) -> bool:
    return word.capital and not any(_has(word, name) for name in (
        "never", "terms", "kin", "kin_owned", "articles", "generic", "titles"))


def _small(found: list[Word], place: int) -> bool:
    """A name in lower case right after a word of kin."""
    word = found[place]
    if not word.text.islower() or len(word.low) < 3 or _has(word, "kin"):
        return False
    if word.cyrillic:
        if word.low in words("kin_common"):  # мой брат роман, but not: подарил жене розы
            return _owned(found, place - 1) and found[place - 1].low in words("kin") | words("kin_owned")
        return word.low not in words("common_russian") and (shares(word.low)[0] >= _LIKELY or diminutive(word.low))
    if not _owned(found, place - 1) or _plain_word(word):
        return False
    after = found[place + 1] if place + 1 < len(found) else None
    does = after is not None and (after.low in words("doing") or after.low in words("saying"))
    return does or _on_a_list(word)


def _on_a_list(word: Word) -> bool:
    lists = gazetteer()
    known = word.low in lists.given or word.low in lists.surnames or word.low in rare_given()
    return known and word.low not in words("common") and word.low not in words("given_common")


def _plain_word(word: Word) -> bool:
    """What stands between a relative and what they do, or after `married to`, and is no name."""
    return word.low.endswith(("ly", "ing", "self")) or any(word.low in words(name) for name in (
        "never", "articles", "owning", "kin", "kin_owned", "terms", "at_place", "doing", "saying", "amid", "generic"))


def _wedded(found: list[Word], place: int) -> bool:
    word = found[place]
    if word.capital:
        return _called(word)
    if word.cyrillic:
        return _small(found, place)
    return word.text.islower() and len(word.low) > 2 and not _plain_word(word) and word.low not in words("common")


def _has(word: Word, name: str) -> bool:
    return word.low in words(name) or (word.cyrillic and bool(bases(word.low) & words(name)))
