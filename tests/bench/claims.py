"""How right the claims about a person are, on 80 labelled messages: python -m tests.bench.claims [CORE].

tests/claims_labelled.toml: 40 messages that show one claim each, 40 traps. What is predicted for a message is a set of
(what, sentence): a facet of the catalogue, 'fact' or 'preference', or 'free' for another claim in a core's own words.
- Strict: the labelled claim is found when the same thing is predicted on an overlapping sentence; things of `also` are
  no fault and no find; everything else is false, once for each thing and message. A facet that no label ever names
  (the catalogue grew after the labels) can be neither right nor wrong: such predictions are counted apart.
- Lenient: anything predicted on the labelled sentence finds it; false is what is predicted on a trap, not in `also`.
Intervals (95 %) are bootstrapped over messages. Odd ids were used to choose thresholds and examples, even ids never.
The naive extractor asks the same core for each message for claims with exact quotes as JSON, and is judged leniently.
"""
from __future__ import annotations

import json
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from twin import free_claims, reader, text
from twin.facets import facets, shown
from twin.own_word import own_word
from twin.prompt import plain
from twin.stated import stated
from twin.types import Embedder, Engine, Message, Sampling

LABELS = Path(__file__).parent.parent / "claims_labelled.toml"
NAIVE = ("List what this message says about its writer, as JSON: claims, each with an exact quote from the message. "
         "An empty list if it says nothing.")


@dataclass(frozen=True)
class Label:
    """A labelled message: the claim and its span, or a trap. `also`: what may be found besides."""

    id: str
    language: str
    text: str
    claim: str = ""
    start: int = 0
    end: int = 0
    also: frozenset[str] = frozenset()

    @property
    def tuned(self) -> bool:
        """Whether this message was looked at while thresholds were chosen."""
        return int(self.id[-2:]) % 2 == 1


@dataclass(frozen=True)
class Found:
    """Something predicted: what, and where in which message."""

    message: str
    what: str
    start: int
    end: int


@dataclass
class Tally:
    """For each message: found (0 or 1), false, unjudged."""

    hits: list[int] = field(default_factory=list)
    false: list[int] = field(default_factory=list)
    true: list[int] = field(default_factory=list)
    unjudged: int = 0

    @property
    def precision(self) -> float:
        """Finds among what was predicted; 0 for nothing."""
        return sum(self.hits) / max(1, sum(self.hits) + sum(self.false))

    @property
    def recall(self) -> float:
        """Finds among what is there."""
        return sum(self.hits) / max(1, sum(self.true))

    def intervals(self) -> tuple[np.ndarray, np.ndarray]:
        """95 % of precision and of recall, from 2,000 resamples of the messages."""
        rows = np.array([self.hits, self.false, self.true]).T
        drawn = rows[np.random.default_rng(1).integers(len(rows), size=(2000, len(rows)))].sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = drawn[:, 0] / (drawn[:, 0] + drawn[:, 1]), drawn[:, 0] / drawn[:, 2]
        return tuple(np.nanpercentile(rate, [2.5, 97.5]) for rate in rates)  # type: ignore[return-value]


def labels() -> list[Label]:
    """The labelled set, in the order of the file."""
    made = []
    for one in tomllib.loads(LABELS.read_text("utf-8"))["message"]:
        start = one["text"].index(one["sentence"]) if "claim" in one else 0
        made.append(Label(one["id"], one["language"], one["text"], one.get("claim", ""), start,
                          start + len(one.get("sentence", "")), frozenset(one.get("also", ()))))
    return made


def named() -> frozenset[str]:
    """Everything the labels ever name."""
    table = tomllib.loads(LABELS.read_text("utf-8"))["message"]
    return frozenset(name for one in table for name in (one.get("claim"), one.get("tempts"), *one.get("also", ()))
                     if name)


# ---- what is predicted ---------------------------------------------------------------------------------------------

def by_rules(some: Sequence[Label]) -> list[Found]:
    """Cues of the catalogue in sentences that are not pasted or quoted."""
    return [Found(one.id, facet, start, end) for one in some for start, end in text.own_sentences(one.text)
            for facet in shown(one.text[start:end])]


def by_own_word(some: Sequence[Label]) -> list[Found]:
    """The same where the sentence is the person's own word as well: no reported speech, no case thought up, no joke."""
    return [Found(one.message, facet, one.start, one.end) for key in messages(some) for one in own_word(*key)
            for facet in shown(one.text) if not one.supposed or facets()[facet].unit == "question"]


def by_stated(some: Sequence[Label]) -> list[Found]:
    """Facts and preferences by the rules of stated.toml."""
    return [Found(one.id, claim.kind, evidence.start, evidence.end) for one in some
            for claim in stated(messages([one]), one.language) for evidence in claim.evidence]


def by_core(engine: Engine, some: Sequence[Label], embedder: Embedder | None,
            bars: dict[str, float]) -> tuple[list[Found], list[free_claims.Failure]]:
    """Facets the core judged, facts and preferences it pointed at, claims in its own words; and what failed."""
    found, failures = [], []
    for _, points in reader.read(engine, messages(some), facets(), embedder=embedder, bars=bars):
        found += [Found(point.message, point.facet, point.start, point.end) for point in points]
    for _, claims, failed in free_claims.read(engine, messages(some), bars=bars):
        failures += failed
        found += [Found(span[1], claim.kind if claim.kind in ("fact", "preference") else "free", *span[2:])
                  for claim in claims for span in claim.spans]
    return found, failures


def naive(engine: Engine, some: Sequence[Label]) -> list[Found]:
    """The obvious way, on the same core, with a grammar: quotes that are not verbatim stand at 0:0 of the message."""
    item = {"type": "object", "properties": {"quote": {"type": "string"}, "claim": {"type": "string"}},
            "required": ["quote", "claim"], "additionalProperties": False}
    schema = {"type": "object", "properties": {"claims": {"type": "array", "items": item, "maxItems": 3}},
              "required": ["claims"], "additionalProperties": False}
    found = []
    for first in range(0, len(some), 8):
        batch = some[first:first + 8]
        asked = [plain(engine.family, [("system", NAIVE), ("user", one.text)]) for one in batch]
        streams = engine.stream_many(asked, [Sampling(temperature=0.0, max_tokens=160)] * len(asked),
                                     schemas=[schema] * len(asked))
        for one, pieces in zip(batch, streams, strict=True):
            found += _quoted(one, "".join(piece.text for piece in pieces))
    return found


def _quoted(one: Label, raw: str) -> list[Found]:
    try:
        claims: list[dict[str, Any]] = json.loads(raw)["claims"]
    except ValueError:
        return []  # did not end: nothing can be counted
    places = [(one.text.find(claim["quote"]), len(claim["quote"])) for claim in claims if claim["quote"].strip()]
    return [Found(one.id, "free", max(0, at), max(0, at) + (length if at >= 0 else 0)) for at, length in places]


def messages(some: Iterable[Label]) -> list[tuple[str, Message]]:
    """As the readers take them, each in a conversation of its own."""
    return [(f"of {one.id}", Message(one.id, "user", one.text)) for one in some]


# ---- how right it is -----------------------------------------------------------------------------------------------

def judge(found: Iterable[Found], some: Sequence[Label], *, lenient: bool = False) -> Tally:
    """See the module."""
    known = named() | {"free"}
    by_message: dict[str, list[Found]] = {one.id: [] for one in some}
    tally = Tally()
    for one in found:
        if one.message in by_message:
            by_message[one.message].append(one)
    for label in some:
        judged = [one for one in by_message[label.id] if one.what in known]
        tally.unjudged += len(by_message[label.id]) - len(judged)
        here = [one for one in judged if label.claim and one.start < label.end and one.end > label.start]
        right = [one for one in here if lenient or one.what == label.claim]
        wrong = {one.what for one in judged if one.what not in label.also} - {one.what for one in right}
        tally.hits.append(bool(right))
        tally.false.append((bool(wrong) and not label.claim) if lenient else len(wrong))
        tally.true.append(bool(label.claim))
    return tally


def line(name: str, tally: Tally) -> str:
    """One row of the table."""
    (p_low, p_high), (r_low, r_high) = tally.intervals()
    return (f"{name:44} precision {tally.precision:.2f} [{p_low:.2f}, {p_high:.2f}]  recall {tally.recall:.2f} "
            f"[{r_low:.2f}, {r_high:.2f}]  {sum(tally.hits)} found, {sum(tally.false)} false, "
            f"{tally.unjudged} unjudged")


def table(ways: Mapping[str, Sequence[Found]], some: Sequence[Label]) -> list[str]:
    """Every way, strict and lenient, on all and on parts."""
    parts = {"all": some, "chosen on (odd)": [one for one in some if one.tuned],
             "not looked at (even)": [one for one in some if not one.tuned],
             "English": [one for one in some if one.language == "en"],
             "Russian": [one for one in some if one.language == "ru"]}
    rows = []
    for way, found in ways.items():
        for lenient in (False, True):
            if way == "naive" and not lenient:
                continue
            rows += [line(f"{way}, {'lenient' if lenient else 'strict'}, {part}", judge(found, of, lenient=lenient))
                     for part, of in parts.items()]
    return rows


def main() -> None:
    """Print the table for a core of the catalogue (default qwen2.5-coder-1.5b)."""
    from twin.catalog import Catalog
    from twin.embedder import MiniLM
    from twin.engine.llama import LlamaEngine

    catalog = Catalog()
    name = sys.argv[1] if len(sys.argv) > 1 else "qwen2.5-coder-1.5b"
    engine = LlamaEngine(catalog.path(name), n_ctx=4096, trusted=True)
    some, bars = labels(), dict[str, float]()
    said = by_own_word(some) + by_stated(some)
    began = time.perf_counter()
    core, failures = by_core(engine, some, MiniLM(catalog.path("minilm").parent), bars)
    read = time.perf_counter()
    ways = {"rules": by_rules(some), "rules+stated": said, "with core": said + core, "naive": naive(engine, some)}
    print(f"{name}: read {read - began:.0f} s, naive {time.perf_counter() - read:.0f} s")
    print("\n".join(table(ways, some)))
    print("bars:", {key: round(value, 2) for key, value in bars.items()})
    print("failures:", [(one.kind, one.reason) for one in failures])
    engine.close()


if __name__ == "__main__":
    main()
