"""Own messages -> what the person writes about: nouns by the number of conversations they come back in. No models.

Russian nouns are told by the dictionary (twin.russian), English ones by where they stand: behind a determiner or a
preposition, before the end of the phrase. Names of people are no topic (in English that cannot be told). A word counts
once for a conversation, so that a long talk weighs no more than a short one.
"""
from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

from twin import russian
from twin.person import Evidence, Topic
from twin.text import own_sentences, stem
from twin.types import Message

MOST = 12              # topics shown
LEAST = 2              # conversations of a topic
SHORTEST, LONGEST = 12, 300  # characters of a sentence that can be a quote, as in profile.py
_NOUN = 0.4            # share of a word's places that must be a noun's, in English
_PAIR = 0.4            # share of the commoner word's messages in which two words are neighbours, to be one topic
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_TOKEN = re.compile(rf"{_WORD.pattern}|[^\w\s]")
_CYRILLIC = re.compile(r"[а-я]")

Said = list[list[list[str]]]  # tokens by message and sentence


@dataclass(frozen=True, repr=False)
class Subject:
    """A topic, its stems ('compost heap'), and one sentence of each message that names it, where one can be a quote."""

    topic: Topic
    key: str
    evidence: tuple[Evidence, ...]


@dataclass
class _Word:
    """Where one stem stands: conversation -> messages; its surface forms, all and where a noun could stand."""

    talks: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    surfaces: Counter[str] = field(default_factory=Counter)
    nouns: Counter[str] = field(default_factory=Counter)

    @property
    def messages(self) -> int:
        return sum(map(len, self.talks.values()))


def topics(messages: Iterable[tuple[str, Message]]) -> tuple[Topic, ...]:
    """At most MOST topics of the own ones among (conversation id, message) pairs, those of most conversations first."""
    return tuple(one.topic for one in subjects(messages))


def subjects(messages: Iterable[tuple[str, Message]]) -> tuple[Subject, ...]:
    """The same with the sentences that name them."""
    own = [(conversation, message) for conversation, message in messages if message.own]
    said = [[_tokens(message.text[a:b]) for a, b in own_sentences(message.text)] for _, message in own]
    words = _words(own, said)
    names = _names(words)
    pairs = _pairs(own, said, words, names)
    found: dict[str, list[int]] = defaultdict(list)  # topic -> places in `own`
    wanted = names.keys() | pairs.keys()
    for place, sentences in enumerate(said):
        for key in {pairs.get(one, one) for sentence in sentences for one in _stems(sentence) if one in wanted}:
            found[key].append(place)
    made = [_subject(_named(key, words, names), key, [own[place] for place in places], pairs)
            for key, places in found.items()]
    made = [one for one in made if one.topic.talks >= LEAST]
    made.sort(key=lambda one: (-one.topic.talks, -one.topic.messages, one.topic.name))
    return tuple(made[:MOST])


# ---- words ----------------------------------------------------------------------------------------------------------

@lru_cache(maxsize=8)
def _listed(name: str) -> frozenset[str]:
    table = tomllib.loads((files("twin") / "topics.toml").read_text(encoding="utf-8"))
    return frozenset(word.replace("ё", "е") for lines in table[name].values() for line in lines
                     for word in line.split())


@lru_cache(maxsize=1)
def _generic() -> frozenset[str]:
    return frozenset(map(stem, _listed("generic")))


def _tokens(sentence: str) -> list[str]:
    return _TOKEN.findall(sentence.casefold().replace("ё", "е").replace("’", "'"))


@lru_cache(maxsize=65536)
def _content(token: str) -> bool:
    return len(token) > 2 and token[0].isalpha() and token not in _listed("function")


def _stems(tokens: Iterable[str]) -> list[str]:
    """Stems of the content words, '' for all others."""
    return [stem(token) if _content(token) else "" for token in tokens]


def _words(own: list[tuple[str, Message]], said: Said) -> dict[str, _Word]:
    words: dict[str, _Word] = defaultdict(_Word)
    opens = _listed("determiner")
    for (conversation, message), sentences in zip(own, said, strict=True):
        for tokens in sentences:
            for place, token in enumerate(tokens):
                if _content(token):
                    word = words[stem(token)]
                    word.talks[conversation].add(message.id)
                    word.surfaces[token] += 1
                    closes = place + 1 == len(tokens) or not _content(tokens[place + 1])
                    if closes and not opens.isdisjoint(tokens[max(0, place - 2):place]):
                        word.nouns[token] += 1
    return words


def _names(words: dict[str, _Word]) -> dict[str, str]:
    """Stem -> name of the nouns of most conversations: three times as many as are shown, since pairs become one. Asked
    in this order, so that the dictionary is asked for some dozens of words, not for all."""
    names: dict[str, str] = {}
    for key in sorted((key for key, word in words.items() if len(word.talks) >= LEAST),
                      key=lambda key: (-len(words[key].talks), -words[key].messages, key)):
        if key not in _generic() and (name := _noun(words[key])):
            names[key] = name
            if len(names) == 3 * MOST:
                break
    return names


_NO_TOPIC = {"Name", "Surn", "Patr", "Subx"}  # Subx: an adjective that stands for a noun


def _commonest(surfaces: Counter[str]) -> str:
    return min(surfaces, key=lambda one: (-surfaces[one], one))


def _noun(word: _Word) -> str:
    """The name of a word that is a noun: the dictionary form in Russian, the commonest form in English; else ''."""
    surface = _commonest(word.surfaces)
    if not _CYRILLIC.search(surface):
        return _commonest(word.nouns) if word.nouns.total() >= _NOUN * word.surfaces.total() else ""
    best = russian.forms(surface)[0]
    if "NOUN" not in best.tags or best.tags & _NO_TOPIC or best.normal.replace("ё", "е") in _listed("generic"):
        return ""
    return best.normal


# ---- pairs ----------------------------------------------------------------------------------------------------------

def _pairs(own: list[tuple[str, Message]], said: Said, words: dict[str, _Word],
           names: dict[str, str]) -> dict[str, str]:
    """Stem -> 'stem stem' of the two words it is one topic with. The second is a noun; so is the first, or any
    English word: what 'compost' in 'compost heap' is, its place cannot tell."""
    beside: dict[tuple[str, str], set[int]] = defaultdict(set)
    for place, sentences in enumerate(said):
        for sentence in sentences:
            for left, right in pairwise(_stems(sentence)):
                if right in names and left not in ("", right) and (left in names or not _CYRILLIC.search(left)):
                    beside[left, right].add(place)
    pairs: dict[str, str] = {}
    for (left, right), places in sorted(beside.items(), key=lambda one: (-len(one[1]), one[0])):
        talks = len({own[place][0] for place in places})
        commoner = max(words[left].messages, words[right].messages)
        if talks >= LEAST and len(places) >= _PAIR * commoner and not {left, right} & pairs.keys():
            pairs[left] = pairs[right] = f"{left} {right}"
    return pairs


def _named(key: str, words: dict[str, _Word], names: dict[str, str]) -> str:
    return " ".join(names.get(one) or _commonest(words[one].surfaces) for one in key.split())


def _subject(name: str, key: str, where: list[tuple[str, Message]], pairs: dict[str, str]) -> Subject:
    months: Counter[str] = Counter(f"{message.time:%Y-%m}" for _, message in where if message.time)
    evidence: list[Evidence] = []
    for conversation, message in where:
        words = message.text
        spans = ((a, b) for a, b in own_sentences(words) if SHORTEST <= b - a <= LONGEST
                 and any(pairs.get(one, one) == key for one in _stems(_tokens(words[a:b]))))
        if span := next(spans, None):
            evidence.append(Evidence(words[slice(*span)], conversation, message.id, *span, message.time))
    topic = Topic(name, len({conversation for conversation, _ in where}), dict(sorted(months.items())), len(where))
    return Subject(topic, key, tuple(evidence))
