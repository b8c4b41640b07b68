"""A portrait of the person, to be checked: each sentence with a verdict, all words put in their mouth listed.

A text about someone (often an assistant's answer) is no evidence. Every line that says something - headings, list
items, table rows - is judged by verdicts.py against the person's own messages. Words it attributes to the person are
offered for confirmation; only what the person then confirms becomes a message of theirs. Knows Markdown by its lines;
knows no stores. Offsets are code points of the text as given.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from twin import text as texts
from twin.cues import plain
from twin.errors import UsageError
from twin.person import Evidence, Profile
from twin.question import asks
from twin.types import Conversation, Embedder, Engine, Message, digest
from twin.verdicts import CONFIRMED, Judge, Kind, cues, denies

SOURCE = "confirmed"
PASTED = 3  # sentences of the portrait in one own message: it was pasted there, and proves nothing


@dataclass(frozen=True, repr=False)
class Verdict:
    """One sentence of the portrait (Markdown marks left out), where it stands, and what own words say of it."""

    sentence: str
    start: int
    end: int
    verdict: Kind
    quotes: tuple[Evidence, ...]
    reason: str

    def __repr__(self) -> str:
        return f"Verdict({self.start}:{self.end}, {self.verdict}, {len(self.quotes)} quotes)"


@dataclass(frozen=True, repr=False)
class Attributed:
    """Words the portrait says are the person's, text[start:end]; `found` where they do stand in an own message.

    `mark` is what the portrait itself says in that table row ("Yes", "No"), '' elsewhere; `denied` where that is no.
    """

    text: str
    start: int
    end: int
    found: Evidence | None = None
    mark: str = ""

    @property
    def denied(self) -> bool:
        """The portrait says that the person does not ask this."""
        return _says(self.mark) == "no"

    def __repr__(self) -> str:
        return f"Attributed({self.start}:{self.end}, {'found' if self.found else 'not found'})"


@dataclass(frozen=True, repr=False)
class Audit:
    """All sentences of a portrait with their verdicts, all words attributed to the person, and its language.

    `hash` is the sha256 of the portrait: what is confirmed from one portrait goes into one conversation.
    """

    sentences: tuple[Verdict, ...]
    attributed: tuple[Attributed, ...]
    language: str
    hash: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many sentences have each verdict."""
        return {kind: sum(one.verdict == kind for one in self.sentences)
                for kind in ("supported", "contradicted", "no evidence")}

    def __repr__(self) -> str:
        return f"Audit({self.counts}, {len(self.attributed)} attributed)"


def audit(text: str, own: Sequence[tuple[str, Message]], profile: Profile, *, engine: Engine | None = None,
          embedder: Embedder | None = None, bars: MutableMapping[str, float] | None = None) -> Audit:
    """Check a portrait against (conversation id, message) pairs and the profile made of them; only own messages count.

    Deterministic without models. `bars` keeps what a core earned on the shipped examples. Raises UsageError for a text
    without words.
    """
    items = list(_items(text))
    if not items:
        raise UsageError("There are no words in this portrait.", "Give a text about the person.")
    language = texts.language(text)
    judge = Judge(_unpasted(own, items), profile, language, engine=engine, embedder=embedder, bars=bars)
    offered: dict[str, Attributed] = {}
    for one in (words for item in items for words in item.attributed):
        offered.setdefault(plain(one.text), replace(one, found=judge.find(one.text)))
    return Audit(tuple(_verdict(item, judge) for item in items), tuple(offered.values()), language, digest(text))


def confirmed(audit: Audit, chosen: Iterable[int], time: datetime | None, origin: str) -> Conversation:
    """The chosen attributed words (indices into `audit.attributed`) as messages the person confirmed as their own.

    `time`: when they were said, None where nobody knows; the day of the confirmation is not it. `origin` names what
    held the portrait and becomes the title. Ids come from hashes, so that confirming
    again adds nothing. Raises UsageError for no choice, or an index that is not there.
    """
    picked = sorted(set(chosen))
    if not picked or picked[0] < 0 or picked[-1] >= len(audit.attributed):
        raise UsageError("Nothing that can be confirmed was chosen.",
                         f"Choose among the attributed words, 0 to {len(audit.attributed) - 1}.")
    words = [audit.attributed[place].text for place in picked]
    messages = tuple(Message(f"{SOURCE}-{digest(one)[:24]}", "user", one, time=time, own=True, flags=(CONFIRMED,))
                     for one in words)
    name = audit.hash or digest("\n".join(words))
    return Conversation(f"{SOURCE}-{name[:24]}", messages, title=origin, source=SOURCE)


def _unpasted(own: Sequence[tuple[str, Message]], items: Sequence[_Item]) -> list[tuple[str, Message]]:
    """Own messages without those that hold the portrait itself."""
    said = {plain(item.sentence) for item in items if len(item.sentence) > 20 and item.kind == "prose"}
    kept = []
    for conversation, message in own:
        scope = plain(message.text) if len(message.text) > 200 else ""
        if not scope or sum(sentence in scope for sentence in said) < PASTED:
            kept.append((conversation, message))
    return kept


# ---- a portrait in pieces ----------------------------------------------------------------------------------------

@dataclass(frozen=True)
class _Item:
    """What gets one verdict. `quote`: a line that is all quotation; `row`: a table row with quoted words."""

    sentence: str
    start: int
    end: int
    kind: Literal["prose", "quote", "row"] = "prose"
    attributed: tuple[Attributed, ...] = ()
    denied: bool = False
    level: int = field(default=0)


_PREFIX = re.compile(r"(?:\s*>)*\s*(?:#{1,6}\s+|[-*+•–—→]\s+|\d{1,2}[.)]\s+|\[[ xX]\]\s+)*")
_BLOCK = re.compile(r"\s*>")
_QUOTED = re.compile(r"«([^«»]{3,})»|“([^“”]{3,})”|„([^„“”]{3,})[“”]|\"([^\"]{3,})\"")
_RULE = re.compile(r"\s*(?:>\s*)*\|?[\s:|-]+\|?\s*$")
_MARKUP = re.compile(r"\*\*|__|`|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)|<[^<>]{1,40}>")
_ASIDE = re.compile(r"^[^\w«\"“„(]+|[\s*_`]+$")  # pictures and marks before the first word
_LEVEL = re.compile(r"\W*(\d{1,2})\W*$")
SHORT = 3  # words of an inline quotation that may be somebody's words, and not just a term


def _items(text: str) -> Iterator[_Item]:
    """Every line that says something, in pieces; `lead`, the last prose before a quotation, says whose it is."""
    start, lead = 0, ""
    for line in text.split("\n"):
        if any(map(str.isalnum, line)) and not _RULE.match(line):
            for item in _line(line, start, lead):
                yield item
                if item.kind == "prose" and not item.attributed:
                    lead = item.sentence
        start += len(line) + 1


def _line(line: str, start: int, lead: str) -> Iterator[_Item]:
    bare = _BLOCK.sub("", line).strip()
    if bare.startswith("|") and bare.count("|") > 2:
        yield _row(line, start)
        return
    left = len(_PREFIX.match(line).group()) if _PREFIX.match(line) else 0  # type: ignore[union-attr]
    rest = _bare(line[left:])
    whole = _QUOTED.fullmatch(rest.strip(" .!?…"))
    if whole or (_BLOCK.match(line) and _speaks(lead) and lead.endswith(":")):
        yield _quotation(line, start, rest if whole is None else next(filter(None, whole.groups())), lead)
        return
    for a, b in _sentences(line, left):
        said = _bare(line[a:b])
        if any(map(str.isalnum, said)):
            yield _Item(said, start + a, start + b, "prose", tuple(_inline(line, a, b, start, lead)))


def _sentences(line: str, left: int) -> list[tuple[int, int]]:
    """Spans of the sentences in a line; a sentence does not end inside quotation marks."""
    inside = [(one.start(), one.end()) for one in _QUOTED.finditer(line)]
    spans: list[tuple[int, int]] = []
    for a, b in texts.sentences(line[left:]):
        a, b = left + a, left + b
        if spans and any(i < spans[-1][1] <= j - 1 and a < j for i, j in inside):
            spans[-1] = (spans[-1][0], b)
        else:
            spans.append((a, b))
    return spans


def _bare(piece: str) -> str:
    """Without Markdown marks and pictures."""
    return _ASIDE.sub("", _MARKUP.sub("", piece)).strip()


# ---- whose words -------------------------------------------------------------------------------------------------

def _speaks(lead: str) -> bool:
    """Does this lead say that what follows is the person's: "you ask:", "questions like:"?"""
    scope = plain(lead)
    return cues("like").search(scope) is not None or (
        cues("speaker").search(scope) is not None and cues("speech").search(scope) is not None)


def _denied(lead: str) -> bool:
    """"you do not ask: ..", "instead of ..": what follows is not the person's."""
    scope = plain(lead).rstrip(" :-(")
    short = re.search(r"(?:^|[ ,])(?:" + cues("instead").pattern + r")$", scope)
    negation = denies(scope)
    return short is not None or (negation is not None and cues("speech").search(scope, negation.start()) is not None)


def _anothers(lead: str) -> bool:
    """A lead that hands the word to somebody else."""
    scope = plain(lead)
    return scope.endswith(":") and cues("speech").search(scope) is not None and not _speaks(lead)


def _quotation(line: str, start: int, words: str, lead: str) -> _Item:
    """A line that is all quotation: the person's, unless the lead says it is not."""
    at = line.find(words)
    if at < 0:  # marks inside: the line as it stands
        at, words = len(_PREFIX.match(line).group()), line[len(_PREFIX.match(line).group()):]  # type: ignore[union-attr]
    said, denied = _bare(words), _denied(lead)
    mine = not denied and not _anothers(lead)
    offered = (Attributed(said, start + at, start + at + len(words)),) if mine else ()
    return _Item(said, start + at, start + at + len(words), "quote" if mine or denied else "prose", offered, denied)


def _inline(line: str, a: int, b: int, start: int, lead: str) -> Iterator[Attributed]:
    """Quotations inside a sentence of which it (or the prose before, where it begins with one) says whose they are."""
    for one in _QUOTED.finditer(line, a, b):
        words = next(filter(None, one.groups()))
        before = _bare(line[a:one.start()]) or lead
        long = len(words.split()) >= SHORT or words.rstrip().endswith("?")
        if long and _speaks(before) and not _denied(before):
            at = start + line.index(words, one.start())
            yield Attributed(_bare(words), at, at + len(words))


def _row(line: str, start: int) -> _Item:
    """A table row: quoted words (or a question) in a cell are offered with the mark of the last cell."""
    cells = [(one.start(), one.group()) for one in re.finditer(r"[^|]+", line) if one.group().strip(" >")]
    said = " | ".join(filter(None, (_bare(cell) for _, cell in cells)))
    start_, end = start + cells[0][0], start + cells[-1][0] + len(cells[-1][1].rstrip())
    quoted = next(((place, at, cell) for place, (at, cell) in enumerate(cells)
                   if _QUOTED.search(cell) or (asks(_bare(cell)) and len(cell.split()) >= SHORT and "?" in cell
                                               and place < len(cells) - 1)), None)
    if quoted is None:
        return _Item(said, start_, end)
    place, at, cell = quoted
    hit = _QUOTED.search(cell)
    words = next(filter(None, hit.groups())) if hit else _MARKUP.sub("", cell).strip()
    shift = max(0, cell.find(words))
    mark = "" if place == len(cells) - 1 else cells[-1][1].strip(" *_")
    level = next((int(found.group(1)) for _, one in cells[:place] if (found := _LEVEL.match(one))), 0)
    words_at = start + at + shift
    return _Item(said, start_, end, "row", (Attributed(words, words_at, words_at + len(words), mark=mark),),
                 level=level)


def _says(mark: str) -> str:
    """What the mark of a row says of asking at its level: outgrown, no, was, yes, or '' where that is not clear."""
    return next((name for name in ("outgrown", "no", "was", "yes") if cues(name).search(plain(mark))), "")


def _verdict(item: _Item, judge: Judge) -> Verdict:
    if item.kind == "quote":
        judged = judge.quotation(item.sentence, denied=item.denied)
    elif item.kind == "row" and item.level and item.attributed[0].mark:
        judged = judge.level(item.level, _says(item.attributed[0].mark), item.attributed[0].text)
    elif item.kind == "row":
        judged = judge.quotation(item.attributed[0].text)
    else:
        judged = judge.sentence(item.sentence)
    return Verdict(item.sentence, item.start, item.end, judged.verdict, judged.quotes, judged.reason)
