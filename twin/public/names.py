"""Names of people and places in running text, Russian and English: lists, capitals and the words around.

Works on folded text. When in doubt it finds a name: a public text that loses a word is the smaller fault.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from twin.public.gazetteer import (
    Gazetteer,
    bases,
    canonical,
    diminutive,
    gazetteer,
    phrase_index,
    phrases,
    shares,
    words,
)
from twin.public.hit import Hit

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_TITLE = re.compile(r"(?:Mc|Mac|O'|D'|Де|Ле)?[^\W\d_](?:[^\W\d_]*[-'])*[^\W\d_]*")
_OPENING = re.compile(r"(?:^|[.!?…:;\"“”«»(\[{*#>|=\n•–—]|^-|\n-|\s-|\d[.)])\s*$")
_SAME_NAME = re.compile(r"(?: |\n|\. ?|-)")
_INITIAL = re.compile(r"(?<![^\s(\"«“])(?!U\.[SK]\.)[A-ZА-ЯЁ]\.(?: ?[A-ZА-ЯЁ]\.)?[ ]?$")
_INITIALS_AFTER = re.compile(r" [A-ZА-ЯЁ]\.(?: ?[A-ZА-ЯЁ]\.)?")
# Shares of a word's readings that make it a name: whatever stands around it; at the start of a sentence when no list
# has it, and when one has (other readings of Ивановы are an adjective's); in lower case, a common name.
_SURE, _LIKELY_FIRST, _LISTED, _LOWER = 0.8, 0.7, 0.3, 0.3


@dataclass(frozen=True, repr=False)
class Word:
    """A word of folded text. `low`: without an English genitive; `opens`: a sentence, quote or line begins with it."""

    text: str
    low: str
    start: int
    end: int
    capital: bool
    opens: bool
    cyrillic: bool


def names(text: str) -> list[Hit]:
    """People and places, as the words and what stands around them say."""
    return _Reading(text).hits()


def may_name(word: str) -> bool:
    """Is a word alone, in lower case, rather a name or a place than a thing? For topics: a rose is a rose."""
    if any(bases(word) & words(name) for name in ("common", "common_russian", "never", "terms", "kin", "things")):
        return False
    if _CYRILLIC.search(word):
        return max(shares(word)) >= _LISTED or (diminutive(word) and len(word) > 3)
    lists = gazetteer()
    return word in lists.short or word in lists.great or (word in lists.given and len(word) > 3)


def certain(text: str) -> Iterator[Hit]:
    """Those that are names whatever stands around them: what no public text may hold."""
    reading = _Reading(text)
    for place, word in enumerate(reading.words):
        span = reading.phrase(place)
        kind = "place" if span else reading.certain(place)
        if kind:
            last = place + max(1, span) - 1
            if kind == "place" and last + 1 < len(reading.words) and reading._goes_on(last + 1):
                last += 1
            yield Hit(kind, word.start, reading.words[last].end)


def read(text: str) -> list[Word]:
    """The words of folded text, in order."""
    found = []
    for match in _WORD.finditer(text):
        word, start = match.group(), match.start()
        if word.endswith(("'s", "'S")):
            word = word[:-2]
        around = text[max(0, start - 1):start] + text[match.end():match.end() + 1]
        code = re.search(r"[_\\=@]", around) is not None or text[match.end():match.end() + 1] in ("(",)
        capital = word[0].isupper() and (_TITLE.fullmatch(word) is not None) and _cased(word) and not code
        low = word.casefold().replace("ё", "е")
        found.append(Word(word, low, start, start + len(word), capital,
                          _OPENING.search(text[max(0, start - 8):start]) is not None or start == 0,
                          _CYRILLIC.search(word) is not None))
    return found


def _cased(word: str) -> bool:
    """Peter, McDonald, Анна-Мария, ПЕТР (from four letters on), but neither LoRA nor GPU."""
    parts = re.sub(r"^(?:Mc|Mac|O'|D')(?=[A-Z])", "", word).replace("'", "-").split("-")
    titled = all(part == part.capitalize() or part.islower() for part in parts if part)
    return titled or (word.isupper() and len(word) > 3)


class _Reading:
    """One text and its words."""

    def __init__(self, text: str) -> None:
        self.text, self.words = text, read(text)
        self.lists: Gazetteer = gazetteer()
        latin = [word for word in self.words if not word.cyrillic and len(word.text) > 2]
        self.heading = len(latin) > 4 and sum(word.capital for word in latin) > 0.7 * len(latin)

    def hits(self) -> list[Hit]:
        """All, with what belongs to one name as one."""
        kinds: dict[int, str] = {}
        for place in range(len(self.words)):
            span = self.phrase(place)
            kinds.update(dict.fromkeys(range(place, place + span), "place"))
            if place not in kinds and (kind := self.kind(place)):
                kinds[place] = kind
            if (before := kinds.get(place - 1)) and place not in kinds and self._goes_on(place):
                kinds[place] = before  # a surname, or the rest of a place: Great Snoring
            if kinds.get(place - 2) == "name" and place not in kinds and self._joins(place):
                kinds[place] = "name"
        for place in [place for place, kind in kinds.items() if kind == "name"]:
            if place - 1 not in kinds and place and self._goes_before(place - 1):
                kinds[place - 1] = "name"
        for place in [place for place, kind in kinds.items() if kind == "place"]:
            if place and place - 1 not in kinds and self._heads_place(place - 1):
                kinds[place - 1] = "place"
        return self._joined(kinds)

    def phrase(self, place: int) -> int:
        """How many words from here are one place of several: New York, Нижнем Новгороде."""
        for length in (4, 3, 2):
            run = self.words[place:place + length]
            if len(run) == length and run[0].capital and run[-1].capital and self._together(place, length):
                forms: list[str] = [""]
                for word in run:
                    forms = [f"{form} {base}".strip() for form in forms for base in sorted(bases(word.low))[:4]]
                plain = " ".join(word.low for word in run)
                if plain in self.lists.places or any(form in self.lists.places for form in forms if not form.isascii()):
                    return length
                if run[0].cyrillic and canonical(word.low for word in run) in phrase_index():
                    return length
        return 0

    def certain(self, place: int) -> str:
        """'name' or 'place' for a capital that is nothing else, whatever stands around it; '' otherwise."""
        word = self.words[place]
        if not word.capital or self._no_one(place):
            return ""
        if word.cyrillic:
            if word.low in words("common_russian") or (word.text.isupper() and not self._listed(word)):
                return ""
            if diminutive(word.low) and not self._known(word, "things"):
                return "name"
            people, where = shares(word.low)
            return ("name" if people >= where else "place") if people + where >= _SURE and len(word.low) > 2 else ""
        if word.low in words("common") or (word.text.isupper() and word.low not in self.lists.short):
            return ""
        if word.low in self.lists.great:
            return "place"
        if all(part in self.lists.given for part in word.low.split("-")) or word.low in self.lists.surnames:
            return "name"
        return "place" if word.low in self.lists.places else ""

    def _no_one(self, place: int) -> bool:
        return self._eponym(place) or any(self._known(self.words[place], name) for name in ("never", "terms", "kin"))

    def _eponym(self, place: int) -> bool:
        """Reynolds number, критерий Поппера: what is named after somebody, unless it is somebody's first name."""
        word, listed = self.words[place], self.lists.given
        if word.cyrillic:
            before = place and self._together(place - 1, 2) and self._known(self.words[place - 1], "eponyms")
            return bool(before) and not bases(word.low) & listed
        after = self.words[place + 1:place + 2]
        return bool(after) and self._together(place, 2) and after[0].low in words("eponyms") and word.low not in listed

    def kind(self, place: int) -> str:
        """The same, by what stands around it as well."""
        word = self.words[place]
        if not word.capital:
            return self._lower(word)
        if self._beside(place):
            return "name"
        if kind := self.certain(place):
            return kind
        if self._no_one(place):
            return ""
        if any(self._before(place, count) in phrases("where") for count in (1, 2, 3)) or self._halves(place):
            return "place"
        return self._russian(word) if word.cyrillic else self._english(place)

    def _halves(self, place: int) -> bool:
        """In Great Snoring, в Малых Гусях: the first of two capitals after a preposition of place."""
        word, after = self.words[place], self.words[place + 1:place + 2]
        return bool(after) and after[0].capital and self._known(word, "place_halves") and self._together(
            place - 1, 3) and self._before(place, 1) in words("at_place")

    def _russian(self, word: Word) -> str:
        people, place = shares(word.low)
        if word.opens or word.text.isupper():
            if word.low in words("common_russian") or (word.text.isupper() and not self._listed(word)):
                return ""
            least = _LISTED if self._listed(word) else _LIKELY_FIRST
        else:
            people += 0.1 * self._listed(word)
            least = 0.01
        if max(people, place) < least:
            return ""
        return "name" if people >= place else "place"

    def _listed(self, word: Word) -> bool:
        lists, listed = self.lists, bases(word.low)
        return bool(listed & lists.given or listed & lists.surnames or listed & lists.places)

    def _english(self, place: int) -> str:
        word = self.words[place]
        if word.opens or self.heading:
            return ""
        before = self.words[place - 1].low
        if before == "the" and word.low.endswith("s") and word.low[:-1] in self.lists.surnames - words("common"):
            return "name"
        if before in words("at_place") and word.low in self.lists.places and word.low not in words("given_common"):
            return "place"
        if word.low in words("given_common") and before not in words("articles"):
            month = word.low in ("april", "may", "june", "august")
            dated = before in words("dating") or re.match(r",? \d", self.text[word.end:word.end + 3])
            return "" if month and dated else "name"
        return ""

    def _lower(self, word: Word) -> str:
        """Chats are written without capitals: only the commonest names, and no word that is anything else."""
        around = self.text[max(0, word.start - 1):word.start] + self.text[word.end:word.end + 1]
        if re.search(r"[\w./\\=@#-]", around.replace(". ", " ").rstrip(".")) or not word.text.islower():
            return ""
        if not word.cyrillic:
            return "name" if word.low in self.lists.short else "place" if word.low in self.lists.great else ""
        people, place = shares(word.low)
        if people >= _LOWER and (
                bases(word.low) & self.lists.short or (diminutive(word.low) and not self._known(word, "things"))):
            return "name"
        return "place" if place >= _SURE and bases(word.low) & self.lists.places else ""

    def _beside(self, place: int) -> bool:
        """Do the words beside this capital say that it is a person: my wife X, Mr X, X said, named X?"""
        word = self.words[place]
        if self._known(word, "never") or word.low in words("articles") or self._known(word, "kin"):
            return False
        before = self.words[place - 1] if place else None
        gap = self.text[before.end:word.start] if before else "\n"
        if before is not None and len(word.low) > 1 and self._introduced(place, gap):
            return True
        initial = _INITIAL.search(self.text[max(0, word.start - 7):word.start])
        if initial and len(word.low) > 2 and not word.text.isupper():
            return not place or before is None or self.words[max(0, place - 2)].low not in words("lettered")
        after = self.words[place + 1] if place + 1 < len(self.words) else None
        if after is None or self.text[word.end:after.start] not in (" ", "\n"):
            return False
        if after.low in words("saying") and not word.opens and not self._known(word, "terms"):
            return before is None or not (before.low in words("articles") or (before.capital and not before.opens))
        if after.low in words("saying") or after.low in words("doing"):
            return self._may_be_person(word) and not self._known(word, "terms")
        surname = after.capital and not word.cyrillic and after.low in self.lists.surnames
        return surname and word.low in self.lists.given and not self.heading

    def _introduced(self, place: int, gap: str) -> bool:
        """Mr X, named X, Hi X, hi, Anna; my wife X; my boss, X, wants; met X."""
        before, word = self.words[place - 1], self.words[place]
        if gap in (" ", ". ") and self._known(before, "titles"):
            return True
        if before.low in words("named"):
            return gap == " " or (gap in (", ", ": ") and self._may_be_person(word))
        if self._known(before, "kin") and (before.opens or not before.capital):
            return gap == " " or (gap == ", " and self.text[word.end:word.end + 1] == ",")
        if before.low in words("signing"):
            return re.fullmatch(r",?\s+", gap) is not None and not self._known(word, "terms")
        if before.low in words("meeting_only") or self._before(place, 2) in ("познакомился с", "знаком с"):
            return gap == " " and not self._known(word, "terms") and word.low not in words("common")
        return gap == " " and before.low in words("meeting") and self._may_be_person(word)

    def _may_be_person(self, word: Word) -> bool:
        if word.cyrillic:
            return sum(shares(word.low)) > 0 and not self._known(word, "terms")
        return word.low in words("given_common") or (word.low in self.lists.given and word.low not in words("common"))

    def _goes_on(self, place: int) -> bool:
        """A capital right after a name is its surname or patronymic; after a place, its other half."""
        word, before = self.words[place], self.words[place - 1]
        if not (word.capital and before.capital) or self._known(word, "never") or self._known(word, "terms"):
            return False
        return self.text[before.end:word.start] == " " and len(word.low) > 1

    def _joins(self, place: int) -> bool:
        """A capital after a name and 'and' or 'or' is one more: Раджа или Мэй."""
        word, between = self.words[place], self.words[place - 1]
        if not word.capital or word.opens or self.heading or between.low not in ("and", "or", "и", "или"):
            return False
        return self._together(place - 2, 3) and not self._no_one(place) and word.low not in words("common")

    def _goes_before(self, place: int) -> bool:
        """A Russian surname may stand first; so may any given name of the lists."""
        word, after = self.words[place], self.words[place + 1]
        if not word.capital or self.text[word.end:after.start] != " " or self._known(word, "never"):
            return False
        if word.cyrillic:
            return shares(word.low)[0] > 0.01 or (not word.opens and not self._known(word, "terms"))
        return word.low in self.lists.given and (not word.opens or word.low not in words("common"))

    def _heads_place(self, place: int) -> bool:
        """St. Petersburg, Новая Гвинея."""
        word, after = self.words[place], self.words[place + 1]
        if not word.capital or self.text[word.end:after.start] not in (" ", ". "):
            return False
        return word.low in words("place_heads") or (word.cyrillic and not word.opens and not self._known(word, "never"))

    def _known(self, word: Word, name: str) -> bool:
        return word.low in words(name) or (word.cyrillic and bool(bases(word.low) & words(name)))

    def _before(self, place: int, count: int) -> str:
        run = self.words[max(0, place - count):place]
        return " ".join(word.low for word in run) if self._together(place - count, count + 1) else ""

    def _together(self, place: int, count: int) -> bool:
        run = self.words[max(0, place):place + count]
        return all(self.text[one.end:two.start] in (" ", "\n") for one, two in pairwise(run))

    def _joined(self, kinds: dict[int, str]) -> list[Hit]:
        found: list[Hit] = []
        for place in sorted(kinds):
            word, kind = self.words[place], kinds[place]
            start, end = word.start, word.end
            if kind == "name" and (match := _INITIAL.search(self.text[max(0, start - 7):start])):
                start -= len(match.group())
            if kind == "name" and (match := _INITIALS_AFTER.match(self.text, end)):
                end = match.end()
            last = found[-1] if found else None
            if last and last.kind == kind and (start <= last.end or _SAME_NAME.fullmatch(self.text[last.end:start])):
                found[-1] = Hit(kind, last.start, max(end, last.end))
            else:
                found.append(Hit(kind, start, end))
        return found

