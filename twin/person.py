"""The nouns of what is known about the person: evidence, claims, depth of questions, the profile.

Standard library only. Knows nothing of how they are found (profile.py, depth.py), kept (archive) or shown (report).
Reprs never show words.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from twin.types import digest

Authority = Literal["said", "inferred", "approved"]
ClaimKind = Literal["thinking", "style", "values", "domain", "language", "fact", "preference"]
Action = Literal["approve", "reject", "pin", "edit", "undo"]

STATED = ("fact", "preference")  # kinds that are said once and hold; how often they show means nothing


@dataclass(frozen=True, repr=False)
class Evidence:
    """A verbatim span of the person's own words: text[start:end] of the stored message (code points) == quote.

    `confirmed`: the person did not write them here, but confirmed from a portrait that they are theirs.
    """

    quote: str
    conversation: str
    message: str
    start: int
    end: int
    time: datetime | None = None
    confirmed: bool = False

    @property
    def hash(self) -> str:
        """sha256 of the quote's UTF-8."""
        return digest(self.quote)

    def __repr__(self) -> str:
        return f"Evidence({self.message!r}, {self.start}:{self.end})"


@dataclass(frozen=True)
class Comparison:
    """How often a facet shows, beside other people: `rate` of own sentences or questions (0..1) with its 95 % interval,
    and how many `of` so many people of the reference set lie below that interval: below `low`, so that `more_than`
    survives chance. `language` is that of the reference people."""

    rate: float
    low: float
    high: float
    more_than: int
    of: int
    language: str = "en"


@dataclass(frozen=True, repr=False)
class Claim:
    """One statement about the person, never without evidence.

    `facet` is its id, stable through rebuilds: a facet of the catalogue, or 'fact.', 'preference.', 'free.' and a hash.
    `origin`: rule, core, rule+core. `counter` is what speaks against it; `conflicts` names claims that say otherwise
    (both are kept, the person is asked). `messages` and `talks` count where it showed, `first` and `last` when,
    `months` ('2025-06' -> messages) how often. `decided` is what the person did: '',
    approve, pin, edit or edit+pin.
    """

    facet: str
    text: str
    authority: Authority
    confidence: float
    evidence: tuple[Evidence, ...]
    origin: str = "rule"
    kind: ClaimKind = "thinking"
    counter: tuple[Evidence, ...] = ()
    conflicts: tuple[str, ...] = ()
    messages: int = 0
    talks: int = 0
    first: datetime | None = None
    last: datetime | None = None
    months: Mapping[str, int] = field(default_factory=dict)
    comparison: Comparison | None = None
    decided: str = ""

    def __post_init__(self) -> None:
        if not self.evidence:
            raise ValueError("a claim needs at least one piece of evidence")

    @property
    def id(self) -> str:
        """Its name for `twin why` and for decisions."""
        return self.facet

    @property
    def part(self) -> int:
        """Which part of the report it stands in, and by which claims are numbered: 0 inferred, 1 stated, 2 a topic."""
        return 1 if self.kind in STATED else 2 if self.kind == "domain" else 0

    @property
    def confirmed(self) -> int:
        """How many of its quotes the person confirmed from a portrait."""
        return sum(one.confirmed for one in self.evidence)

    def __repr__(self) -> str:
        return f"Claim({self.facet!r}, {self.authority}, {self.confidence:.2f}, {len(self.evidence)} quotes)"


@dataclass(frozen=True)
class Decision:
    """What the person decided about a claim: approve, reject (for good), pin, edit (with their `text`), or undo."""

    claim: str
    action: Action
    text: str = field(default="", repr=False)
    time: datetime | None = None


@dataclass(frozen=True)
class FreeClaim:
    """A statement in a core's own words, with the spans (conversation, message, start, end) it points at, and how sure
    the core was on its second look (0..1)."""

    kind: ClaimKind
    text: str = field(repr=False)
    language: str
    spans: tuple[tuple[str, str, int, int], ...]
    probability: float


@dataclass(frozen=True)
class Carried:
    """A claim that comes from outside, with its quote: from an export of a twin, or proposed by a program. It waits for
    the person, and counts only once they say yes. `claim` is its id, `origin` tells where it is from, in words."""

    claim: str
    kind: ClaimKind
    text: str = field(repr=False)
    language: str = "en"
    quote: str = field(default="", repr=False)
    origin: str = ""


@dataclass(frozen=True)
class Accepted:
    """A claim from outside that the person said yes to, and the own message that says so, by `quote` if it does by a
    part of it."""

    claim: str
    kind: ClaimKind
    text: str = field(repr=False)
    language: str
    conversation: str
    message: str
    quote: str = field(default="", repr=False)


# ---- the depth of questions ----------------------------------------------------------------------------------------

@dataclass(frozen=True)
class SubQuestion:
    """A node of a question's tree. kind: question, condition, change, effect, part, resource, judgement."""

    text: str = field(repr=False)
    kind: str = "question"
    parts: tuple[SubQuestion, ...] = ()

    @property
    def size(self) -> int:
        """Nodes of this tree, itself included."""
        return 1 + sum(part.size for part in self.parts)


@dataclass(frozen=True)
class Depth:
    """Depth 1..7 of one question, its interval, the signals (name -> 0..3) and the rule that gave it, and its tree."""

    level: float
    low: float
    high: float
    signals: Mapping[str, int]
    rule: str
    tree: SubQuestion
    thesis: bool = False

    @property
    def step(self) -> int:
        """The whole level of the ladder, 1..7."""
        return min(7, max(1, math.ceil(self.level - 0.5)))

    @property
    def shown(self) -> str:
        """'6', or '6+' where the interval reaches further above the level than below it and past the next half.

        An interval that ends at 1 was cut there, and says nothing of where the reading leans.
        """
        leans = self.high - self.level > self.level - self.low + 1e-9 and self.high >= self.step + 0.5 and self.low > 1
        return f"{self.step}+" if leans and self.step < 7 else str(self.step)


@dataclass(frozen=True, repr=False)
class DepthOf:
    """A question of the person, where it stands, and its depth."""

    evidence: Evidence
    depth: Depth

    def __repr__(self) -> str:
        return f"DepthOf({self.evidence.message!r}, level {self.depth.level:.1f})"


# ---- the profile ---------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Topic:
    """What the person writes about: a word or two, in how many conversations and messages; `months` counts those of
    its messages that have a date."""

    name: str = field(repr=False)
    talks: int
    months: Mapping[str, int] = field(default_factory=dict)
    messages: int = 0


@dataclass(frozen=True, repr=False)
class Profile:
    """Claims, the depth of questions over time, topics, and how much all of it proves (`notes`, in words).

    Claims stand in the order they are numbered by: what is inferred, what is stated, topics, and what repeats the words
    of another. `months`: own messages by month of UTC ('2025-06'), those with a date.
    """

    claims: tuple[Claim, ...]
    questions: tuple[DepthOf, ...]
    messages: int
    own_messages: int
    conversations: int
    read_by_core: int = 0
    language: str = "en"
    notes: tuple[str, ...] = ()
    topics: tuple[Topic, ...] = ()
    months: Mapping[str, int] = field(default_factory=dict)

    @property
    def levels(self) -> dict[int, int]:
        """Number of questions at each depth 1..7."""
        return {level: sum(q.depth.step == level for q in self.questions) for level in range(1, 8)}

    def claim(self, name: str) -> Claim | None:
        """The claim of this id, or None."""
        return next((claim for claim in self.claims if claim.id == name), None)

    def __repr__(self) -> str:
        return f"Profile({len(self.claims)} claims, {len(self.questions)} questions, {self.own_messages} own messages)"

    def _repr_markdown_(self) -> str:
        from twin.report import markdown  # here: how it looks is the report's business, wanted only when shown

        return markdown(self)
