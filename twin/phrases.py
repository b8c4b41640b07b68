"""What a question does to what: its actions ("run the core") and the things it names ("the core"), by form alone.

Russian by the dictionary (cases, transitive verbs), English by closed classes of words: without a tagger only phrases
whose ends are certain are taken, so much is left out and little is wrong. Knows no levels and no profile.
"""
from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from twin.russian import Form, forms, inflected
from twin.text import stem, words

_TOKEN = re.compile(r"\d+(?:[.,]\d+)?\w*|\w+(?:[-'’]\w+)*|[^\w\s]")
_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_HIDDEN = str.maketrans({"\u2011": "-", "\u2010": "-", "*": " ", "_": " ", "`": " ", "«": " ", "»": " ", "“": " ",
                         "”": " ", '"': " "})


@dataclass(frozen=True)
class Thing:
    """A named thing: adjectives, head and what follows it ("ядро AGI"), as they stand in the question.

    `head` may be Latin letters in a Russian question: such a word has one form for all cases.
    """

    before: tuple[str, ...]
    head: str
    after: str
    plural: bool
    language: str

    @property
    def text(self) -> str:
        """As it stands in the question."""
        return " ".join((*self.before, self.head, *filter(None, (self.after,))))

    def cased(self, case: str) -> str | None:
        """In a Russian case (nomn, gent, datv, accs, ablt, loct); None where the dictionary has no such form.
        English has none: the text as it stands."""
        if self.language != "ru":
            return self.text
        if not _CYRILLIC.search(self.head):
            return self.text if not self.before else None
        noun = _noun(self.head)
        animacy = "anim" if noun and "anim" in noun.tags else "inan"
        number = "plur" if self.plural else "sing"
        head = _like(self.head, inflected(noun.normal, case, number, animacy)) if noun else None
        if noun is None or head is None:
            return None
        gender = () if self.plural else tuple(noun.tags & {"masc", "femn", "neut"})[:1]
        said = [_adjective(word, case, number, gender, animacy) for word in self.before]
        if None in said:
            return None
        return " ".join([*map(str, said), head, *filter(None, (self.after,))])


    @property
    def person(self) -> str:
        """'masc', 'femn' or 'plur' for a Russian word for someone, '' for something."""
        noun = _noun(self.head) if self.language == "ru" and _CYRILLIC.search(self.head) else None
        if noun is None or "anim" not in noun.tags or any("inan" in form.tags for form in forms(self.head)):
            return ""
        return "plur" if self.plural else "femn" if "femn" in noun.tags else "masc"


def things(question: str, language: str) -> list[Thing]:
    """Things the question names, in its order, each once; those that could be any ("way", "год") left out."""
    found: dict[str, Thing] = {}
    for _, thing in (_russian if language == "ru" else _english)(_tokens(question)):
        found.setdefault(" ".join(content(thing.head)), thing)
    found.pop("", None)
    return list(found.values())


def actions(question: str, language: str) -> list[tuple[str, Thing]]:
    """What the question does ("run the core", "запустить ядро"), infinitive and object, with the object by itself."""
    return list((_russian_actions if language == "ru" else _english_actions)(_tokens(question)))


_HOW = {
    "en": re.compile(r"^(?:(?:so|and|but|ok|okay|well),? )?how (?:(?:do|can|could|should|would|might) (?:i|we|you|one)"
                     r"|to) (?:(?:best|really|actually|better) )?(?P<do>[a-z][^?.!]*)[?.! ]*$", re.IGNORECASE),
    "ru": re.compile(r"^(?:(?:а|и|ну|так|но),? )?как (?:(?:мне|нам|лучше|правильно|можно|быстро) )*"
                     r"(?P<do>(?P<verb>[а-яё-]+)\b[^?.!]*)[?.! ]*$", re.IGNORECASE),
}


def infinitive(question: str, language: str) -> str:
    """All that a one-clause "how do I ..." question does, as it stands after the question words; '' for any other."""
    found = _HOW[language].match(" ".join(question.translate(_HIDDEN).split()))
    if found is None or (language == "ru" and "INFN" not in _reading(found["verb"]).tags):
        return ""
    return found["do"].strip(" ,;:") if not re.search(r"[,;:] ", found["do"]) else ""


def content(text: str) -> list[str]:
    """Stems of the words that name, do or describe something: neither function words nor numbers."""
    return [stem(word) for word in words(text.translate(_HIDDEN))
            if word not in _function() and len(word) > 1 and not word[0].isdigit()]


# ---- word lists --------------------------------------------------------------------------------------------------

@lru_cache(maxsize=1)
def _lists() -> Mapping[str, Mapping[str, frozenset[str]]]:
    table = tomllib.loads((files("twin") / "lift.toml").read_text(encoding="utf-8"))
    return {tongue: {name: frozenset(word for line in lines for word in line.split())
                     for name, lines in table[tongue].items()} for tongue in ("english", "russian")}


@lru_cache(maxsize=1)
def _function() -> frozenset[str]:
    """Words that name nothing, both languages: those of the cue lists of depth, which separate parts there."""
    table = tomllib.loads((files("twin") / "depth.toml").read_text(encoding="utf-8"))["function"]
    return frozenset(word for lines in table.values() for line in lines for word in line.split())


def _is(word: str, *names: str) -> bool:
    return any(word.casefold() in _lists()["english"][name] for name in names)


def _tokens(question: str) -> list[str]:
    """Words and marks; the capital of a first word goes, unless it is one of a name ("LoRA", "Москва")."""
    tokens = _TOKEN.findall(question.translate(_HIDDEN))
    for at, word in enumerate(tokens):
        if (at == 0 or tokens[at - 1] in ".!?:") and word[1:].islower() and word not in tokens[at + 1:]:
            known = _reading(word).tags & {"Name", "Surn", "Geox", "Orgn"} if _CYRILLIC.match(word) else False
            tokens[at] = word if known else word.lower()
    return tokens


# ---- Russian -----------------------------------------------------------------------------------------------------

@lru_cache(maxsize=4096)
def _reading(word: str) -> Form:
    return forms(word)[0]


@lru_cache(maxsize=4096)
def _noun(word: str) -> Form | None:
    """The likeliest reading, if it is a noun: of no name where there is a choice."""
    if "NOUN" not in _reading(word).tags:
        return None
    nouns = [form for form in forms(word) if "NOUN" in form.tags]
    return next((form for form in nouns if not form.tags & {"Name", "Surn", "Patr", "Geox"}), nouns[0])


def _cases(word: str, kinds: frozenset[str] = frozenset({"NOUN"})) -> frozenset[tuple[str, str]]:
    """(case, number) of all readings of these kinds."""
    return frozenset((case, number) for form in forms(word) if form.tags & kinds
                     for case in form.tags & _CASE for number in form.tags & {"sing", "plur"})


_CASE = frozenset({"nomn", "gent", "datv", "accs", "ablt", "loct", "gen2", "loc2"})
_ADJECTIVE = frozenset({"ADJF", "PRTF"})


def _is_adjective(word: str) -> bool:
    tags = _reading(word).tags
    if word.casefold() in _lists()["russian"]["question"]:
        return False
    return bool(tags & _ADJECTIVE) and "Apro" not in tags


def _russian(tokens: Sequence[str]) -> Iterator[tuple[int, Thing]]:
    """Adjectives that agree, a noun, and what hangs on it: Latin words, or a noun in the genitive."""
    at = 0
    while at < len(tokens):
        read = _phrase(tokens, at)
        if read is None:
            at += 1
            continue
        thing, end = read
        noun = _noun(thing.head)
        if noun is None or noun.normal.replace("ё", "е") not in _lists()["russian"]["generic"]:
            yield at, thing
        at = end


def _phrase(tokens: Sequence[str], at: int) -> tuple[Thing, int] | None:
    """The phrase that begins here and where it ends."""
    start = at
    while at < len(tokens) and _CYRILLIC.match(tokens[at]) and _is_adjective(tokens[at]):
        at += 1
    if at == len(tokens):
        return None
    head, before = tokens[at], tuple(tokens[start:at])
    if not _CYRILLIC.search(head):
        named = _LATIN.match(head) is not None and not before
        return (Thing((), head, "", False, "ru"), at + 1) if named else None
    noun = _noun(head)
    if noun is None or len(head) < 3:
        return None
    agreed = _cases(head)
    for word in before:
        agreed &= _cases(word, _ADJECTIVE)
    if not agreed:
        before, agreed = (), _cases(head)
    number = {number for _, number in agreed}
    counted = start > 0 and (tokens[start - 1][0].isdigit() or "NUMR" in _reading(tokens[start - 1]).tags)
    plural = number == {"plur"} or ("plur" in number and "plur" in noun.tags)
    if counted:
        plural = tokens[start - 1] != "1" and not re.match("один\\b|одн", tokens[start - 1], re.IGNORECASE)
    after = _after(tokens, at + 1)
    return Thing(before, head, " ".join(after), plural, "ru"), at + 1 + len(after)


def _after(tokens: Sequence[str], at: int) -> tuple[str, ...]:
    """One Latin name, or one noun in the genitive that can be no object of its own."""
    if at < len(tokens) and _LATIN.match(tokens[at]):
        return (tokens[at],)
    if at < len(tokens) and _CYRILLIC.match(tokens[at]) and len(tokens[at]) > 2:
        noun = _noun(tokens[at])
        if noun and "gent" in noun.tags:
            return (tokens[at],)
    return ()


def _russian_actions(tokens: Sequence[str]) -> Iterator[tuple[str, Thing]]:
    """A transitive verb (as infinitive) with the object in the accusative right after it."""
    for at, word in enumerate(tokens[:-1]):
        form = _reading(word) if _CYRILLIC.match(word) else None
        if form is None or not form.tags & {"VERB", "INFN"} or not {"tran"} & form.tags or "impr" in form.tags:
            continue
        if form.normal.replace("ё", "е") in _lists()["russian"]["light"] or (at and tokens[at - 1].casefold() == "не"):
            continue
        read = _object(tokens, at + 1)
        if read is not None:
            yield f"{form.normal} {read[1]}", read[0]


def _object(tokens: Sequence[str], at: int) -> tuple[Thing, str] | None:
    """The object that begins here, with its words in the accusative: "1 ядро" is "ядро", "16 экспертов" "экспертов"."""
    counted = tokens[at][0].isdigit() or "NUMR" in _reading(tokens[at]).tags if _TOKEN.match(tokens[at]) else False
    at += counted
    read = _phrase(tokens, at) if at < len(tokens) else None
    if read is None:
        return None
    thing, end = read
    following = tokens[end] if end < len(tokens) else "?"
    if following.casefold() in {"и", "или"} or (_CYRILLIC.match(following) and "INFN" in _reading(following).tags):
        return None  # 'сделать A и B работать': the verb wants more than this object
    second = _phrase(tokens, end + 1) if following == "," and end + 1 < len(tokens) else None
    if second and _listed(tokens, second[1]):
        return None
    noun = _noun(thing.head)
    if noun and noun.normal.replace("ё", "е") in _lists()["russian"]["generic"]:
        return None
    if _CYRILLIC.search(thing.head) and not counted and "accs" not in {case for case, _ in _cases(thing.head)}:
        return None
    said = thing.cased("accs") if counted else thing.text
    return (thing, said) if said else None


def _adjective(word: str, case: str, number: str, gender: Sequence[str], animacy: str) -> str | None:
    masculine = case == "accs" and (number == "plur" or "masc" in gender)
    made = inflected(word, case, number, *gender, *((animacy,) if masculine else ()))
    return _like(word, made)


def _like(word: str, made: str | None) -> str | None:
    """The made form with the capitals of the word."""
    if made is None:
        return None
    common = next((n for n, (a, b) in enumerate(zip(word.casefold(), made, strict=False)) if a != b),
                  min(len(word), len(made)))
    return word[:common] + (made[common:].upper() if len(word) > 1 and word.isupper() else made[common:])


def _listed(tokens: Sequence[str], at: int) -> bool:
    """Does a list go on here? Then what stood before was the first of several, and the verb wants them all."""
    return at < len(tokens) and tokens[at].casefold() in {",", "and", "or", "и", "или"}


# ---- English -----------------------------------------------------------------------------------------------------

_ASKER = {"i", "we", "you", "one", "someone", "anyone", "people", "others"}
_STOPS = ("preposition", "conjunction", "pronoun", "personal", "auxiliary", "being", "determiner", "number", "adverb",
          "light")


def _is_name(word: str) -> bool:
    return bool(_LATIN.match(word)) and not _is(word, *_STOPS) and not word.casefold().endswith("ly")


def _run(tokens: Sequence[str], at: int) -> int:
    """Where the run of naming words that begins here ends: at most four."""
    end = at
    while end < min(len(tokens), at + 4) and _is_name(tokens[end]):
        end += 1
    return end


def _determined(tokens: Sequence[str], at: int) -> tuple[tuple[str, ...], int]:
    """Determiners and numbers that stand here, and where the name after them begins. Another's is 'the'."""
    said: list[str] = []
    while at < len(tokens) and (_is(tokens[at], "determiner", "number") or tokens[at][0].isdigit()
                                or tokens[at].casefold() == "other"):
        said.append({"your": "my", "its": "the", "their": "the", "his": "the", "her": "the"}.get(
            tokens[at].casefold(), tokens[at]))
        at += 1
    if said and at < len(tokens) and tokens[at].casefold() == "own" and said[-1] == "the":
        at += 1
    return tuple(said), at


def _english(tokens: Sequence[str]) -> Iterator[tuple[int, Thing]]:
    """Runs of names whose end is certain: before a preposition, a conjunction, a mark or the end."""
    at = 0
    while at < len(tokens):
        said, start = _determined(tokens, at)
        end = _run(tokens, start)
        if end > start:
            kept = _kept(tokens, at, start, end)
            if kept > start and not _is(tokens[kept - 1], "generic"):
                yield at, _named(said, tokens[start:kept])
        at = max(end, at + 1)


def _kept(tokens: Sequence[str], at: int, start: int, end: int) -> int:
    """Where the name in tokens[start:end] (its determiners from `at` on) surely ends; `start` where nothing is sure.

    After "does", "can" and the like the last word of a run is the verb they wait for; at the start of a clause it may
    be one, so only a single word is sure there. A run without determiner must follow a preposition or its like.
    """
    before, after = tokens[at - 1] if at else ".", tokens[end] if end < len(tokens) else "?"
    verb = _is(after, "light", "auxiliary", "being") or (
        _is(after, "adverb") and end + 1 < len(tokens) and _is(tokens[end + 1], "light"))
    opens = at == 1 or (at > 1 and not tokens[at - 2][0].isalnum())  # "is a council able .."
    if (_is(before, "auxiliary") and not (at > 1 and _is(tokens[at - 2], "personal", "adverb"))) or (
            _is(before, "being") and opens):
        return end if verb or end - start == 1 else end - 1
    if before in ".!?" or before.casefold() in {"if", "when", "while", "that", "because", "suppose", "imagine"}:
        return end if verb or (end - start == 1 and not tokens[start].endswith("ing")) else start
    if _is(before, "being") and at > 1 and tokens[at - 2].casefold() == "what" and not after[0].isalnum():
        return end  # "what are cold frames?"
    if at == start and not _is(before, "preposition", "conjunction") and not any(map(str.isupper, tokens[start])):
        return start
    return end if not after[0].isalnum() or _is(after, "preposition", "conjunction", "adverb") else start


def _named(said: Sequence[str], run: Sequence[str]) -> Thing:
    head, low = run[-1], run[-1].casefold()
    single = low.endswith(("ss", "us", "is", "ics")) and not head[-2].isupper()  # a virus, but GPUs
    many = low.endswith("s") and len(low) > 2 and not single and not _is(head, "singular")
    return Thing((*said, *run[:-1]), head, "", many or _is(head, "plural"), "en")


def _english_actions(tokens: Sequence[str]) -> Iterator[tuple[str, Thing]]:
    """What the asker does to what: the verb after "how do I", "how to", "if I", "has anyone", and its object."""
    past = dict(pair.split("=") for pair in _lists()["english"]["past"])
    for at in range(1, len(tokens) - 1):
        if not _acts(tokens, at - 1):
            continue
        while at < len(tokens) - 1 and (_is(tokens[at], "adverb") or tokens[at].casefold().endswith("ly")):
            at += 1
        verb = past.get(tokens[at].casefold(), tokens[at].casefold())
        if not _is_name(verb) or verb.endswith(("ed", "ing")) or verb[:1].isdigit():
            continue
        read = _english_object(tokens, at + 1)
        if read:
            yield f"{verb} {read[1]}", read[0]


def _acts(tokens: Sequence[str], at: int) -> bool:
    """Is this the one who acts: "I" after an auxiliary or an "if", or the "to" of "how to"."""
    before, word = tokens[at - 1].casefold() if at else "", tokens[at].casefold()
    if word == "to":
        return before == "how"
    return word in _ASKER and (_is(before, "auxiliary") or before in {"if", "when", "suppose", "imagine", "what"})


def _english_object(tokens: Sequence[str], at: int) -> tuple[Thing, str] | None:
    """The object that begins here, a particle of the verb on either side of it included."""
    particle = tokens[at] if at < len(tokens) - 1 and _is(tokens[at], "particle") else ""
    said, start = _determined(tokens, at + bool(particle))
    end = _run(tokens, start)
    if end == start or _is(tokens[end - 1], "generic"):
        return None
    after = tokens[end] if end < len(tokens) else "?"
    if after[0].isalnum() and not _is(after, "preposition", "adverb") and after.casefold() not in {"if", "when", "so"}:
        return None
    following = tokens[end + 1] if end + 1 < len(tokens) else "?"
    closes = not following[0].isalnum() or _is(following, "preposition", "conjunction")
    if after == "," and _listed(tokens, _run(tokens, _determined(tokens, end + 1)[1])):
        return None
    thing = _named(said, tokens[start:end])
    late = after if not particle and _is(after, "particle") and closes else ""
    return thing, " ".join(filter(None, (particle, thing.text, late)))
