"""The core reads: recall finds sentences near a facet, the core judges them, code takes the quote.

Nothing a core writes becomes a claim here: it only says Yes or No to a sentence that stands in the archive
(thinking.md, section 5). What was measured on Qwen2.5-Coder-1.5B, and decided this shape:
- Asked which of 32 facets a sentence shows, by letter or by name and after solved examples, it names the right one in
  2 of 10 held-out examples of the catalogue and 1 of 20 labelled messages. So closeness to the examples of a facet (by
  the embedder, or by stems) and cues find candidates.
- Asked Yes or No plainly, in both orders, it says Yes to almost anything; after solved examples it tells them apart.
- A bar must not be measured on translations of the solved examples: there it looks almost perfect (area under the ROC
  curve .97), where other sentences against neighbouring facets give .76 in English and .85 in Russian.
So all examples of a facet are shown solved, and every facet has a bar that this core earns on sentences that show
something else; a facet it affirms of those is off. Knows messages and facets; the profile says what points are worth.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin import text
from twin.facets import Facet, shown
from twin.own_word import Sentence, own_word
from twin.profile import Point
from twin.prompt import plain as prompt_of
from twin.types import Embedder, Engine, Message, Progress, Prompt, never

BATCH = 80           # messages looked through before something is stored: a stop loses no more than these
GROUPS = 12          # facets judged in a batch; each costs a core on 2 processors about 10 s, 7 once it has its bar
A_GROUP = 3          # sentences judged for each facet and language
SIGNAL = 0.5         # more than any cosine of two different sentences differs from another
OTHERS = 5           # sentences that show something else, of which the bar of a facet is learned
LEAST = 0.85         # no bar lies lower
SURE = 0.97          # a core that is so sure of one of the others cannot judge the facet
OFF = 2.0            # the bar of a facet this core cannot judge: no probability reaches it
BY_FORM = frozenset({"mixes_languages", "polite", "terse", "jokes", "hedges"})  # rules see these; a core would guess

Key = tuple[str, str]


@dataclass(frozen=True)
class Cost:
    """What a reading takes, told before it starts: messages, batches, tokens the core reads or writes, seconds."""

    messages: int
    batches: int
    tokens: int
    seconds: float | None = None


def read(engine: Engine, messages: Sequence[tuple[str, Message]], facets: Mapping[str, Facet], *,
         embedder: Embedder | None = None, bars: MutableMapping[str, float] | None = None,
         progress: Progress | None = None,
         cancel: Callable[[], bool] = never) -> Iterator[tuple[list[Key], list[Point]]]:
    """Yield, batch by batch, the keys of messages that were looked through and the points found in them.

    `bars` keeps what the core earned, facet -> least probability; keep it for the next reading. A batch that was
    cancelled half-way is not yielded: it will be read again.
    """
    bars = {} if bars is None else bars
    for first in range(0, len(messages), BATCH):
        batch = messages[first:first + BATCH]
        points: list[Point] = []
        groups = _groups(_sentences(batch), facets, embedder)
        for done, (facet, sentences) in enumerate(groups):
            if cancel():
                return
            if progress:
                progress(f"the core reads messages {first + 1} to {first + len(batch)}", done + 1, len(groups))
            points += _judged(engine, facets[facet], facets, sentences, bars)
        yield [(conversation, message.id) for conversation, message in batch], points


def _sentences(batch: Sequence[tuple[str, Message]]) -> list[Sentence]:
    return [one for key in batch for one in own_word(*key)]


# ---- candidates ----------------------------------------------------------------------------------------------------

def _groups(sentences: Sequence[Sentence], facets: Mapping[str, Facet],
            embedder: Embedder | None) -> list[tuple[str, list[Sentence]]]:
    """(facet, its nearest sentences), the facets with the nearest ones first. A sentence is as near to a facet as to
    the nearest of its supporting examples in its language, less that to the nearest rejecting one; a cue of the
    catalogue in it counts SIGNAL more, so the core first judges what the rules already saw. A facet whose examples all
    ask, or none of them, is not looked for elsewhere."""
    ranked: list[tuple[float, str, list[Sentence]]] = []
    judged = {name: facet for name, facet in facets.items() if name not in BY_FORM}
    for language in ("en", "ru"):
        mine = [sentence for sentence in sentences if sentence.language == language]
        if not mine:
            continue
        cues = [set(shown(sentence.text)) for sentence in mine]
        examples = [example for facet in judged.values()
                    for example in (*facet.supports[language], *facet.rejects[language])]
        near = iter(_likeness([sentence.text for sentence in mine], examples, embedder).T)
        for name, facet in judged.items():
            for_it = np.max([next(near) for _ in facet.supports[language]], axis=0)
            against = np.max([next(near) for _ in facet.rejects[language]], axis=0)
            fits = np.array([_fits(facet, one) for one in mine])
            margin = for_it - against + SIGNAL * np.array([name in seen for seen in cues]) - 9.0 * ~fits
            best = sorted(range(len(mine)), key=lambda n, m=margin: -m[n])[:A_GROUP]  # type: ignore[misc]
            ranked.append((float(margin[best[0]]), name, [mine[n] for n in best if margin[n] > 0]))
    chosen = [group for group in sorted(ranked, key=lambda group: -group[0]) if group[2]]
    order = list(dict.fromkeys(name for _, name, _ in chosen))[:GROUPS]
    return [(name, [one for _, mine, some in chosen if mine == name for one in some]) for name in order]


def _fits(facet: Facet, sentence: Sentence) -> bool:
    asking = {example.rstrip().endswith("?") for some in facet.supports.values() for example in some}
    asks = sentence.text.rstrip().endswith("?")
    return asks in asking and (not sentence.supposed or facet.unit == "question")


def _likeness(said: Sequence[str], examples: Sequence[str], embedder: Embedder | None) -> NDArray[np.float64]:
    """Cosines (said x examples): of the embedder's vectors, or of stem counts where there is none."""
    if embedder is not None:
        mine, theirs = (np.asarray(embedder.embed(texts), float) for texts in (said, examples))
        return np.asarray(mine @ theirs.T)
    counted = [text.stems(one) for one in (*said, *examples)]
    column = {stem: n for n, stem in enumerate(sorted({stem for one in counted for stem in one}))}
    table = np.zeros((len(counted), max(1, len(column))))
    for row, one in zip(table, counted, strict=True):
        for stem in one:
            row[column[stem]] += 1
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    return np.asarray(table[:len(said)] @ table[len(said):].T)


# ---- judgement -----------------------------------------------------------------------------------------------------

def _judged(engine: Engine, facet: Facet, facets: Mapping[str, Facet], sentences: Sequence[Sentence],
            bars: MutableMapping[str, float]) -> list[Point]:
    if facet.id not in bars:
        bars[facet.id] = _bar(engine, facet, facets)
    if bars[facet.id] >= OFF:
        return []
    odds = [(one, _verify(engine, one.text, facet)) for one in sentences]
    return [Point(one.conversation, one.message, one.start, one.end, facet.id, round(p, 3))
            for one, p in odds if p >= bars[facet.id]]


def _bar(engine: Engine, facet: Facet, facets: Mapping[str, Facet]) -> float:
    """The least probability that counts for a facet on this core: more than it gives to any of OTHERS sentences that
    show something else, and LEAST; OFF where it is as good as sure of one of those."""
    highest = max(_verify(engine, one, facet) for one in _others(facet, facets))
    return OFF if highest >= SURE else max(LEAST, highest)


def _others(facet: Facet, facets: Mapping[str, Facet]) -> list[str]:
    """Sentences of other facets, spread over the catalogue and both languages, none with a cue of this one."""
    said = [one.supports[language][-1] for place, one in enumerate(facets.values())
            for language in (("en", "ru")[place % 2],) if one.id != facet.id and language in one.supports]
    said = [one for one in said if facet.id not in shown(one)]
    return said[::max(1, len(said) // OTHERS)][:OTHERS]


def _verify(engine: Engine, sentence: str, facet: Facet) -> float:
    """Probability of Yes."""
    return engine.choose(_asked(engine, sentence, facet), ["Yes", "No"])[0]


def _asked(engine: Engine, sentence: str, facet: Facet) -> Prompt:
    """The question after the examples of both languages, solved."""
    said = [("system", f"Habit: the writer {facet.definition}. "
                       "Say Yes if the sentence shows this habit, No if not."),
            ("user", "The kettle takes longer than usual today."), ("assistant", "No")]
    for language in facet.supports:
        for no, yes in zip(facet.rejects[language], facet.supports[language], strict=False):
            said += [("user", no), ("assistant", "No"), ("user", yes), ("assistant", "Yes")]
    said += [("user", "Живу у вокзала на третьем этаже."), ("assistant", "No")]
    return prompt_of(engine.family, [*said, ("user", sentence)])


# ---- what it will cost ---------------------------------------------------------------------------------------------

def cost(engine: Engine, messages: Sequence[tuple[str, Message]], facets: Mapping[str, Facet], *,
         embedder: Embedder | None = None, bars: Mapping[str, float] | None = None) -> Cost:
    """What `read` would take, told before: the very questions it would ask, counted in tokens by the core; the seconds
    from one of them that is timed now (two questions, some seconds on 2 processors).

    A facet's examples are read once for all its sentences of a batch, as the engine's cache does.
    """
    bars = bars or {}
    batches = [messages[first:first + BATCH] for first in range(0, len(messages), BATCH)]
    known = set(bars)
    shared = asked = judged = 0
    first: tuple[Facet, str] | None = None
    for batch in batches:
        for name, sentences in _groups(_sentences(batch), facets, embedder):
            facet = facets[name]
            held = [] if name in known else _others(facet, facets)
            known.add(name)
            questions = [*held, *(one.text for one in sentences if bars.get(name, 0.0) < OFF)]
            first = first or (facet, questions[0]) if questions else first
            shared += len(engine.tokenize(_asked(engine, "", facet).text)) if questions else 0
            asked += sum(len(engine.tokenize(one)) + 10 for one in questions)
            judged += len(questions)
    if first is None:
        return Cost(len(messages), len(batches), 0, 0.0)
    a_token, a_question = _timed(engine, *first)
    return Cost(len(messages), len(batches), shared + asked, shared * a_token + judged * a_question)


def _timed(engine: Engine, facet: Facet, sentence: str) -> tuple[float, float]:
    """Seconds to read a token of a long prompt, and to judge one more sentence after it."""
    tokens = len(engine.tokenize(_asked(engine, sentence, facet).text))
    began = time.perf_counter()
    _verify(engine, sentence, facet)
    between = time.perf_counter()
    _verify(engine, f"{sentence} {sentence[:40]}", facet)
    return (between - began) / max(1, tokens), time.perf_counter() - between
