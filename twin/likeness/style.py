"""How much a text is written as a person writes: character n-grams, the commonest words, the marks of their manner.

Measures that know nothing of each other, none of which reads a core. None says that a text is good, only whose it is
like. Lower is nearer in all of them.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twin import text as texts
from twin.depth import rate
from twin.errors import UsageError
from twin.facets import shown
from twin.question import is_question

Floats = NDArray[np.float64]

# Chosen on persona-dev's four chat people (first 70 % against last 30 %); accuracy in single messages, in about 200 and
# in about 500 characters of one person, chance .25: n of 2 to 4 with 0.1 added .63 .82 .90, n = 3 alone .62 .80 .87,
# n = 4 .62 .77 .86, n of 3 to 5 .63 .80 .89, 0.5 added .62 .80 .86, in lower case .64 .82 .88; cosine of the z-scores
# of the 20,000 commonest .59 .73 .79.
GRAMS, ADDED = (2, 3, 4), 0.1
# Delta in about 200, 500, 1,000 and 2,000 characters, mean (and the worst person): 150 words .51 .64 .76 .83 (.37 .52
# .67 .67); 100 words .54 .62 .75 .82 (.28 .29 .50 .50); 150 words of all that everybody said, not of equally much, .46
# .55 .74 .80 (.06 .00 .33 .33). Cosine of 300 words' z-scores (Smith and Aldridge 2011) would be a bit better, .59 .75
# .83 .88 (.43 .58 .58 .67), n-grams far better; Delta stays as the field's yardstick.
WORDS, SEGMENT = 150, 2000


# ---- character n-grams ----------------------------------------------------------------------------------------------

@dataclass(frozen=True, repr=False)
class Profiles:
    """How often each person uses each run of 2 to 4 characters, as -log2 of its smoothed share: (runs, people). The
    last row is for a run that nobody used."""

    names: tuple[str, ...]
    cost: Floats
    row: Mapping[str, int]

    def __repr__(self) -> str:
        return f"Profiles({len(self.names)} people, {len(self.row)} runs)"


def profiles(people: Mapping[str, Sequence[str]]) -> Profiles:
    """Of messages by person, in order of time: the newest of each, as many characters as the one with fewest has, so
    that nobody is likelier for having said more. Raises UsageError for fewer than two people, or one without words."""
    kept = _equal(people)
    counts = {name: Counter(gram for message in said for gram in _grams(message)) for name, said in kept.items()}
    row = {gram: place for place, gram in enumerate(dict.fromkeys(gram for one in counts.values() for gram in one))}
    table = np.full((len(row) + 1, len(counts)), ADDED)
    for column, count in enumerate(counts.values()):
        table[[row[gram] for gram in count], column] += list(count.values())
    return Profiles(tuple(counts), -np.log2(table / table.sum(axis=0)), row)


def attribute(people: Profiles, written: Sequence[str]) -> Floats:
    """(texts, people): bits a run that the text costs by each person's habits; 0 throughout for a text without any.
    Naive Bayes over character n-grams (Peng et al. 2003, "Language independent authorship attribution")."""
    found = np.zeros((len(written), len(people.names)))
    for place, one in enumerate(written):
        rows = [people.row.get(gram, -1) for gram in _grams(one)]
        if rows:
            found[place] = people.cost[rows].mean(axis=0)
    return found


def hits(distances: Floats, person: int) -> list[float]:
    """For each text 1 where the person is the nearest, 0 where another is, a share where they are equally near."""
    nearest = np.isclose(distances, distances.min(axis=1, keepdims=True), rtol=0, atol=1e-12)
    return [float(value) for value in nearest[:, person] / nearest.sum(axis=1)]


def pieces(messages: Iterable[str], size: int) -> list[str]:
    """Messages joined by line breaks to texts of at least `size` characters; a rest that is shorter is left out."""
    found: list[str] = []
    waiting: list[str] = []
    for message in messages:
        waiting.append(message)
        if sum(map(len, waiting)) + len(waiting) - 1 >= size:
            found.append("\n".join(waiting))
            waiting = []
    return found


def _equal(people: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    least = min((sum(map(len, said)) for said in people.values()), default=0)
    if len(people) < 2 or not least:
        raise UsageError("Whose words these are can be asked of two people or more, all with words of their own.",
                         "Give messages of at least one other person.")
    kept: dict[str, list[str]] = {}
    for name, said in people.items():
        left, kept[name] = least, []
        for message in reversed(said):
            if left <= 0:
                break
            kept[name].insert(0, message[-left:])
            left -= len(message)
    return kept


def _grams(said: str) -> list[str]:
    line = f" {' '.join(said.split())} "
    return [line[start:start + n] for n in GRAMS for start in range(len(line) - n + 1)] if line.strip() else []


# ---- Burrows' Delta -------------------------------------------------------------------------------------------------

@dataclass(frozen=True, repr=False)
class Usage:
    """Shares of the commonest words: z-scores of each person (people, words), and what they are reckoned with."""

    names: tuple[str, ...]
    words: Mapping[str, int]
    mean: Floats = field(repr=False)
    deviation: Floats = field(repr=False)
    scores: Floats = field(repr=False)

    def __repr__(self) -> str:
        return f"Usage({len(self.names)} people, {len(self.words)} words)"


def usage(people: Mapping[str, Sequence[str]], words: int = WORDS) -> Usage:
    """Of messages by person, as many characters of each as in `profiles`: the `words` commonest of all together. The
    mean is over people; the deviation is over their texts of SEGMENT characters, since a handful of people has none to
    speak of. Raises UsageError for fewer than two people, or one without words."""
    people = _equal(people)
    counts = [Counter(word for message in said for word in texts.words(message)) for said in people.values()]
    if len(people) < 2 or not all(counts):
        raise UsageError("Whose words these are can be asked of two people or more, all with words of their own.",
                         "Give messages of at least one other person.")
    share: dict[str, float] = {}
    for count in counts:
        for word, n in count.items():
            share[word] = share.get(word, 0.0) + n / count.total()
    place = {word: column for column, word in enumerate(sorted(share, key=lambda one: (-share[one], one))[:words])}
    whole = _shares(place, ["\n".join(said) for said in people.values()])
    parts = _shares(place, [one for said in people.values() for one in pieces(said, SEGMENT) or ["\n".join(said)]])
    mean, deviation = whole.mean(axis=0), parts.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return Usage(tuple(people), place, mean, deviation, (whole - mean) / deviation)


def delta(people: Usage, written: Sequence[str]) -> Floats:
    """(texts, people): mean absolute difference of the z-scores of the commonest words (Burrows 2002, "Delta: a measure
    of stylistic difference"). Meant for long texts; under 2,000 characters it says little."""
    scores = (_shares(people.words, written) - people.mean) / people.deviation
    return np.asarray(np.abs(scores[:, None, :] - people.scores[None, :, :]).mean(axis=2), float)


def _shares(place: Mapping[str, int], written: Sequence[str]) -> Floats:
    """(texts, words) of shares among all words of a text."""
    found = np.zeros((len(written), len(place)))
    for row, one in enumerate(written):
        words = texts.words(one)
        for word in words:
            if word in place:
                found[row, place[word]] += 1 / len(words)
    return found


# ---- manner ---------------------------------------------------------------------------------------------------------

_MARKS: Mapping[str, re.Pattern[str]] = {name: re.compile(pattern) for name, pattern in {
    "begins small": r"\A[^\w]*[a-zа-яё]", "no full stop": r"[^.!?…)\]:]\s*\Z", "exclaims": "!", "comma": ",",
    "dots": r"\.\.\.|…", "brackets": r"\(", "smiles": r"[:;]-?[)(DPp]|\^\^|[\U0001f300-\U0001faff]|\)\)",
    "number": r"\d", "quotes": "[\"“«„`]", "dash": r"\s[-–—]\s|--", "capitals": r"\b[A-ZА-ЯЁ]{2,}\b",
    "small i": r"\bi\b(?!\.)", "apostrophe": r"\w['’]\w", "addresses": r"\A\S+[:,] ", "line break": "\n",
    "link": r"https?://"}.items()}
_LENGTHS = (1, 3, 6, 11, 21, 41)  # words at which a longer kind of message begins
_WORDS = 60                       # commonest words of a person that count as habits


@dataclass(frozen=True, repr=False)
class Manner:
    """How someone writes, counted over `n` messages: how many show each mark, facet, depth, and habitual word."""

    n: int
    counts: Mapping[str, int]

    def __repr__(self) -> str:
        return f"Manner({self.n} messages)"


def manner(messages: Iterable[str]) -> Manner:
    """The manner of a person, from messages of their own."""
    found = [_traits(message) for message in messages]
    return Manner(len(found), Counter(trait for traits in found for trait in traits))


def surprise(who: Manner, others: Sequence[Manner], messages: Sequence[str]) -> list[float]:
    """Bits by which each message is less expected of `who` than of everybody together: the negative log2 odds of a
    naive Bayes model over traits (present or not, add-half smoothing). `others` are all people, `who` among them."""
    everybody = sum(one.n for one in others)
    pooled = Counter({"": 0})
    for one in others:
        pooled.update(one.counts)
    habits = {name for one in others for name in _habits(one)}
    names = [name for name in pooled if name and (not name.startswith("word ") or name in habits)]
    mine = np.array([(who.counts.get(name, 0) + 0.5) / (who.n + 1) for name in names])
    all_ = np.array([(pooled[name] + 0.5) / (everybody + 1) for name in names])
    present, absent = np.log2(mine / all_), np.log2((1 - mine) / (1 - all_))
    place = {name: column for column, name in enumerate(names)}
    rest = float(absent.sum())
    totals = []
    for message in messages:
        columns = [place[name] for name in _traits(message) if name in place]
        totals.append(-(rest + float((present[columns] - absent[columns]).sum())))
    return totals


def _habits(one: Manner) -> list[str]:
    words = [(count, name) for name, count in one.counts.items() if name.startswith("word ")]
    return [name for _, name in sorted(words, reverse=True)[:_WORDS]]


def _traits(message: str) -> set[str]:
    words = texts.words(message)
    traits = {name for name, pattern in _MARKS.items() if pattern.search(message)}
    traits.add(f"length {sum(len(words) >= least for least in _LENGTHS)}")
    traits |= {f"word {word}" for word in words}
    traits |= {f"facet {key}" for start, end in texts.own_sentences(message) for key in shown(message[start:end])}
    if is_question(message):
        traits |= {"asks", f"depth {rate(message).step}"}
    return traits
