"""A question -> its tree: conditions, the change, each effect asked for, parts and resources named, further questions.

By form alone, in Russian and English; every node is a verbatim piece of the question. What a node is worth is depth's
business. Knows no messages.
"""
from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from twin.cues import cue
from twin.person import SubQuestion
from twin.question import asks, lists, pattern
from twin.russian import forms
from twin.text import own_sentences

_LONGEST = 1500  # code points that are looked at: what is longer is a paste
_MOST = 24       # nodes under one parent

Span = tuple[int, int]
_CHANGE = re.compile(r"(?:and |so |but |а |и |но |ну )?(?:what,? if|suppose|imagine|assum|say |let's say|что,? если|"
                     r"допустим|предположим|представ|положим|если бы|а если)")
_CONDITION = re.compile(r"(?:and |а |и )?(?:if|when|while|unless|provided|once|without|so that|in order to|если|"
                        r"когда|"
                        r"пока|при условии|чтобы|без)\b")
_QUESTION = re.compile(r"(?:and |but |or |а |и |но |или )?(?:then |потом |тогда )?(?:to |in |by |at |for |с |в |"
                       r"за |к |по |"
                       r"на )?(?:how|why|what|which|who|whom|whose|where|when (?:do|does|will)|whether|как(?!\s+и\b)|"
                       r"почему|зачем|что(?! бы)|чем|кто|кому|какой|какая|какую|какое|какие|каким|где|куда|"
                       r"[\w-]+ ли)\b")
_JUDGEMENT = re.compile(r"(?:and |и |а )?(?:is it|is that|would it|does it|are they|should i|should we|стоит ли|"
                        r"есть ли смысл|"
                        r"хорошо ли|лучше ли)\b")
_KINDS = {"change": _CHANGE, "condition": _CONDITION, "judgement": _JUDGEMENT, "question": _QUESTION}
_CUT = re.compile(  # before a clause: after a mark, or at a word that opens one
    r"(?<!что),\s+(?:-\s+)?|[;:?.!…]\s+(?:-\s+)?|\s[-–—]\s+|(?<!what)(?<!что)(?<!\bа)\s(?=(?:if|when|while|"
    r"unless|without|если|когда|пока|чтобы)\s)|"
    r"\s(?=(?:and|but|и|а)\s+(?:then\s+)?(?:how|why|what|who|which|where|как|почему|зачем|что|чем|кто|где)\s)")
_AND = re.compile(r"\s+(?:and|и|or|или|as well as|а также)\s+|\s*,\s+(?:(?:and|и|or|или)\s+)?")
_NOUNS = re.compile(r"(?:\s+(?!(?:and|or|in|on|at|to|of|for|with|from|the|и|или|а|в|на|за|с|из|у|по|к|от|"
                    r"до)\s)[\w-]+){1,2}")
_ENDS = re.compile(r"(?<! и)(?<! and)\s+(?:when|if|while|with|on|at|by|under|когда|если|при|на|за|с|у)\s|[?!.;:,…]")
_LEAD = re.compile(r"\s*(?:(?:on|upon|to|на|в|от|с|к)\s+)?")
_COORDINATED = re.compile(r"(?:,?\s+(?:and|or|with|и|или|с|со)|,)\s+(?:(?:the|a|an|my|our|its|their|to|on|in|of|"
                          r"for|на|в|за|к|от|"
                          r"для|мо\w+|наш\w*|сво\w+)\s+){0,2}")


@lru_cache(maxsize=64)
def flat(text: str) -> str:
    """Lower case, ё as е, of the same length as the text, so that spans keep."""
    lowered = "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
    return lowered.replace("ё", "е").replace("’", "'").replace("\n", " ").replace("\u00a0", " ")


def tree(text: str) -> SubQuestion:
    """The tree of a question; the root is the whole text. Deterministic; a text of one simple part is one node."""
    text = text.strip()
    said = [(a, b) for a, b in own_sentences(text[:_LONGEST]) if _asks_or_supposes(text[a:b])]
    if len(said) < 2:
        return SubQuestion(text, parts=_leaves(text, said[0] if said else (0, len(text[:_LONGEST]))))
    nodes = tuple(SubQuestion(text[a:b], _kind(flat(text[a:b]), "question"), _leaves(text, (a, b))) for a, b in said)
    return SubQuestion(text, parts=nodes[:_MOST])


def _asks_or_supposes(sentence: str) -> bool:
    return asks(sentence) or _CHANGE.match(flat(sentence)) is not None


def _kind(clause: str, otherwise: str = "") -> str:
    return next((kind for kind, form in _KINDS.items() if form.match(clause)), otherwise)


def _leaves(text: str, span: Span) -> tuple[SubQuestion, ...]:
    """The nodes of one sentence: the first asking clause is the sentence's own, its parts hang at the top."""
    spans = _clauses(flat(text), span)
    kinds = [_kind(flat(text[a:b])) for a, b in spans]
    if kinds == ["change"] or (len(set(kinds)) == 1 and len(kinds) == 1):
        return _named(text, *spans[0])
    nodes: list[SubQuestion] = []
    main = next((n for n, kind in enumerate(kinds) if kind in ("question", "judgement")), None)
    changed = main is not None and _affects(flat(text[slice(*spans[main])]))
    for n, ((a, b), kind) in enumerate(zip(spans, kinds, strict=True)):
        inner = _named(text, a, b)
        if kind in ("", "question", "judgement") and (n == main or not kind):
            nodes += inner
        else:
            turned = changed and kind == "condition" and n == 0
            nodes.append(SubQuestion(text[a:b], "change" if turned else kind, inner))
    return tuple(nodes[:_MOST])


def _clauses(low: str, span: Span) -> list[Span]:
    """The clauses of a sentence. A cut counts only before a word that opens a condition or a question."""
    starts = [span[0]]
    for cut in _CUT.finditer(low, *span):
        after = low[cut.end():span[1]]
        if _kind(after) or _kind(low[starts[-1]:cut.end()]) in ("condition", "change"):
            starts.append(cut.end())
    ends = [*starts[1:], span[1]]
    trimmed = [(a, a + len(low[a:b].rstrip(" ,;:-–—?.!…"))) for a, b in zip(starts, ends, strict=True)]
    return [(a, b) for a, b in trimmed if b > a]


def _affects(clause: str) -> bool:
    return pattern("influence").search(clause) is not None


# ---- what a clause names -------------------------------------------------------------------------------------------

def _named(text: str, start: int, end: int) -> tuple[SubQuestion, ...]:
    """Effects, numbered resources and coordinated parts of a clause, in order, none inside another."""
    low = flat(text)
    found = [(a, b, "effect") for a, b in _effects(low, start, end)]
    for a, b, kind in [*((a, b, "resource") for a, b in _numbered(low, start, end)),
                       *((a, b, "part") for a, b in _coordinated(low, start, end))]:
        if all(b <= c or a >= d for c, d, _ in found):
            found.append((a, b, kind))
    return tuple(SubQuestion(text[a:b], kind) for a, b, kind in sorted(found)[:_MOST])


def _effects(low: str, start: int, end: int) -> list[Span]:
    """What an influence reaches, thing by thing."""
    found = pattern("influence").search(low, start, end)
    if found is None:
        return []
    left = _LEAD.match(low, found.end()).end()  # type: ignore[union-attr]  # it matches nothing too
    stop = _ENDS.search(low, left, end)
    right = stop.start() if stop else end
    spans, at = [], left
    for joint in [*_AND.finditer(low, left, right), None]:
        till = right if joint is None else joint.start()
        piece = low[at:till]
        a = at + _LEAD.match(piece).end()  # type: ignore[union-attr]
        if till > a and any(map(str.isalpha, low[a:till])):
            spans.append((a, a + len(low[a:till].rstrip())))
        at = till if joint is None else joint.end()
    return spans


def _numbered(low: str, start: int, end: int) -> list[Span]:
    """Numbers with what they count."""
    spans: list[Span] = []
    for number in pattern("number").finditer(low, start, end):
        after = _NOUNS.match(low, number.end(), end)
        if after and (not spans or number.start() >= spans[-1][1]):
            spans.append((number.start(), _till(low, number.end(), after.end())))
    return spans


def _till(low: str, start: int, end: int) -> int:
    """The end of a counted thing: its second word only where the first is no noun of its own (a plain guess)."""
    words = [match.end() for match in re.finditer(r"[\w-]+", low[start:end])]
    last = re.search(r"[\w-]+$", low[start:end])
    if len(words) == 2 and last and last.group() in _function():
        return start + words[0]
    return end


@lru_cache(maxsize=1)
def _function() -> frozenset[str]:
    return frozenset(word for tongue in lists()["function"].values() for line in tongue for word in line.split())


@lru_cache(maxsize=1)
def _between() -> re.Pattern[str]:
    """Single words that join, form and steer, and numbers: they stand between parts and are none."""
    names = ("joint", "influence", "shape", "govern", "attach", "reality", "verify", "condition", "compare", "remake",
             "trade", "number")
    single = [phrase for name in names for tongue in lists()[name].values() for phrase in tongue
              if " " not in phrase and not phrase.startswith("re:")]
    return re.compile("|".join(map(cue, single)) + "|" + pattern("number").pattern)


@lru_cache(maxsize=65536)
def content(word: str) -> bool:
    """True for a word that can name a part."""
    if not word[0].isalpha() or len(word) < 2 or word in _function() or _between().fullmatch(word):
        return False
    return not ("а" <= word[0] <= "я" and _ACTS & forms(word)[0].tags)


_ACTS = frozenset({"INFN", "VERB", "GRND", "PRED"})  # what a Russian word does is no part; English has no such forms
_TOKEN = re.compile(r"[\w'-]+|[^\w\s]")


@lru_cache(maxsize=512)
def runs(low: str) -> tuple[Span, ...]:
    """Spans of runs of content words; without a tagger, such a run is the nearest thing to a named part."""
    spans: list[Span] = []
    opened = last = -1
    for token in _TOKEN.finditer(low + " |"):
        if content(token.group()):
            opened, last = token.start() if opened < 0 else opened, token.end()
        elif opened >= 0:
            spans.append((opened, last))
            opened = -1
    return tuple(spans)


def _coordinated(low: str, start: int, end: int) -> list[Span]:
    """Runs joined to the next by 'and', 'or', 'with' or a comma."""
    found = [span for span in runs(low) if start <= span[0] and span[1] <= end]
    kept: list[Span] = []
    for one, other in pairwise(found):
        if _COORDINATED.fullmatch(low, one[1], other[0]):
            kept += [span for span in (one, other) if span not in kept]
    return kept
