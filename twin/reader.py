"""The core reads: recall finds sentences near a facet, the core judges them, code takes the quote.

Nothing a core writes becomes a claim: it only says Yes or No to a sentence that stands in the archive (thinking.md,
section 5). Measured on Qwen2.5-Coder-1.5B with the catalogue's own examples and the sample:
- Asked to point at sentences in a numbered list, it named the first facets of the list for nearly everything; 2 of 20
  labels survived judgement. So closeness to the examples of a facet (by the embedder, or by stems) finds candidates.
- Asked Yes or No plainly, in both orders, it says Yes to almost anything: 0.83 to a supporting sentence, 0.78 to "Tell
  me if the shop is open". After solved examples it tells them apart: 0.97 and 0.18.
So every facet has a bar that this core earns on the catalogue's examples; a facet whose examples it cannot tell apart
is off. Knows messages and facets; the profile decides what points are worth.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin import text
from twin.facets import Facet, shown
from twin.profile import Point
from twin.prompt import plain
from twin.types import Embedder, Engine, Message, Progress, never

BATCH = 40           # messages looked through before something is stored: a stop loses no more than these
GROUPS = 12          # (facet, language) pairs judged in a batch; each costs a core on 2 processors about 5 s
A_GROUP = 3          # sentences judged for each
MIN_CHARACTERS = 12  # "Thanks!" shows nothing
SIGNAL = 0.5         # more than any cosine of two different sentences differs from another
GAP = 0.1            # supports must lie this far above rejects, in mean probability of Yes; a starting prior
OFF = 2.0            # the bar of a facet this core cannot judge: no probability reaches it

Key = tuple[str, str]


@dataclass(frozen=True)
class _Sentence:
    conversation: str
    message: str
    start: int
    end: int
    text: str
    language: str


def read(engine: Engine, messages: Sequence[tuple[str, Message]], facets: Mapping[str, Facet], *,
         embedder: Embedder | None = None, bars: MutableMapping[str, float] | None = None,
         progress: Progress | None = None,
         cancel: Callable[[], bool] = never) -> Iterator[tuple[list[Key], list[Point]]]:
    """Yield, batch by batch, the keys of messages that were looked through and the points found in them.

    `bars` keeps what the core earned, 'facet.language' -> least probability; keep it for the next reading. A batch that
    was cancelled half-way is not yielded: it will be read again.
    """
    bars = {} if bars is None else bars
    for first in range(0, len(messages), BATCH):
        batch = messages[first:first + BATCH]
        points: list[Point] = []
        groups = _groups(_sentences(batch), facets, embedder)
        for done, (facet, language, sentences) in enumerate(groups):
            if cancel():
                return
            if progress:
                progress(f"the core reads messages {first + 1} to {first + len(batch)}", done + 1, len(groups))
            points += _judged(engine, facets[facet], facet, language, sentences, bars)
        yield [(conversation, message.id) for conversation, message in batch], points


def _sentences(batch: Sequence[tuple[str, Message]]) -> list[_Sentence]:
    return [_Sentence(conversation, message.id, start, end, " ".join(message.text[start:end].split()),
                      "ru" if text.language(message.text[start:end]) == "ru" else "en")
            for conversation, message in batch for start, end in text.own_sentences(message.text)
            if end - start >= MIN_CHARACTERS]


def _groups(sentences: Sequence[_Sentence], facets: Mapping[str, Facet],
            embedder: Embedder | None) -> list[tuple[str, str, list[_Sentence]]]:
    """(facet, language, its nearest sentences), the facets with the nearest ones first. A sentence is as near to a
    facet as to the nearest of its supporting examples in its language, less that to the nearest rejecting one; a cue of
    the catalogue in it counts SIGNAL more, so the core first judges what the rules already saw."""
    groups = []
    for language in ("en", "ru"):
        mine = [sentence for sentence in sentences if sentence.language == language]
        if not mine:
            continue
        cues = [set(shown(sentence.text)) for sentence in mine]
        examples = [example for facet in facets.values()
                    for example in (*facet.supports[language], *facet.rejects[language])]
        near = iter(_likeness([sentence.text for sentence in mine], examples, embedder).T)
        for name, facet in facets.items():
            for_it = np.max([next(near) for _ in facet.supports[language]], axis=0)
            against = np.max([next(near) for _ in facet.rejects[language]], axis=0)
            margin = for_it - against + SIGNAL * np.array([name in seen for seen in cues])
            best = sorted(range(len(mine)), key=lambda n, m=margin: -m[n])[:A_GROUP]  # type: ignore[misc]
            groups.append((float(margin[best[0]]), name, language, [mine[n] for n in best if margin[n] > 0]))
    groups.sort(key=lambda group: -group[0])
    return [(name, language, found) for _, name, language, found in groups if found][:GROUPS]


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


def _judged(engine: Engine, facet: Facet, name: str, language: str, sentences: Sequence[_Sentence],
            bars: MutableMapping[str, float]) -> list[Point]:
    key = f"{name}.{language}"
    if key not in bars:
        bars[key] = _bar(engine, facet, language)
    if bars[key] >= OFF:
        return []
    odds = [(one, _verify(engine, one.text, facet, language)) for one in sentences]
    return [Point(one.conversation, one.message, one.start, one.end, name, round(p, 3))
            for one, p in odds if p >= bars[key]]


def _bar(engine: Engine, facet: Facet, language: str) -> float:
    """The least probability that counts for a facet on this core, from the catalogue's own examples in one language;
    OFF if it cannot tell them apart. Two or three examples a side make this a coarse gate, but a measured one."""
    yes = [_verify(engine, sentence, facet, language) for sentence in facet.supports[language]]
    no = [_verify(engine, sentence, facet, language) for sentence in facet.rejects[language]]
    high, low = sum(yes) / len(yes), sum(no) / len(no)
    return (high + low) / 2 if high - low >= GAP else OFF


def _verify(engine: Engine, sentence: str, facet: Facet, language: str) -> float:
    """Probability of Yes. The solved examples are those of the other language: the bar is measured on this one's."""
    other = "en" if language == "ru" else "ru"
    solved = [("system", f"Habit: the writer {facet.definition}. "
                         "Say Yes if the sentence shows this habit, No if not.")]
    for no, yes in zip(facet.rejects[other], facet.supports[other], strict=False):
        solved += [("user", no), ("assistant", "No"), ("user", yes), ("assistant", "Yes")]
    return engine.choose(plain(engine.family, [*solved, ("user", sentence)]), ["Yes", "No"])[0]
