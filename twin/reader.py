"""The core reads: a small core points at sentences that show a facet, code takes the quote (thinking.md, section 5).

The grammar admits only sentence numbers and facets of the closed catalogue, so a quote is verbatim by construction.
Every pointing is then put to the core again as Yes/No in both orders: what it denies, or affirms only in one order,
does not count. Knows messages and facets; the profile decides what points are worth.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from twin import text
from twin.errors import AnswerInvalid
from twin.profile import Facet, Point
from twin.prompt import plain
from twin.types import Engine, Message, Progress, Sampling, never

BATCH_SENTENCES = 10  # a 1.5B core loses count in longer lists
BATCH_CHARACTERS = 1500
MIN_CHARACTERS = 12   # "Thanks!" shows nothing
ACCEPT = 0.6          # mean probability of Yes over both orders; a starting prior, no result

_INSTRUCTION = """You look for habits of thinking in sentences one person wrote. The habits:
{habits}
Point only where the sentence itself shows the habit clearly. Most sentences show none."""
_ASK = "Which sentences show a habit? Answer with JSON: sentence number and habit. At most {most} points; none is fine."
_VERIFY = 'Sentence: "{sentence}"\nStatement: it shows that the writer {definition}\nIs the statement right? '

Key = tuple[str, str]
Sentence = tuple[str, Message, int, int]


def read(engine: Engine, messages: Sequence[tuple[str, Message]], facets: Mapping[str, Facet], *,
         progress: Progress | None = None,
         cancel: Callable[[], bool] = never) -> Iterator[tuple[list[Key], list[Point]]]:
    """Yield, batch by batch, the keys of messages that were read and the points found in them (store each at once).

    Raises AnswerInvalid with the raw text when the core's answer does not parse even for a single sentence.
    """
    done = 0
    for keys, batch in _batches(messages):
        if cancel():
            return
        if progress:
            progress("the core reads", done, len(messages))
        yield keys, _points(engine, batch, facets, cancel)
        done += len(keys)
    if progress:
        progress("the core reads", len(messages), len(messages))


def _batches(messages: Sequence[tuple[str, Message]]) -> Iterator[tuple[list[Key], list[Sentence]]]:
    """Whole messages together, up to BATCH_SENTENCES; of a longer message only its first sentences are read."""
    keys: list[Key] = []
    batch: list[Sentence] = []
    for conversation, message in messages:
        spans = [(a, b) for a, b in text.own_sentences(message.text) if b - a >= MIN_CHARACTERS]
        sentences = [(conversation, message, a, b) for a, b in spans[:BATCH_SENTENCES]]
        size = sum(b - a for _, _, a, b in batch + sentences)
        if batch and (len(batch) + len(sentences) > BATCH_SENTENCES or size > BATCH_CHARACTERS):
            yield keys, batch
            keys, batch = [], []
        keys.append((conversation, message.id))
        batch += sentences
    if keys:
        yield keys, batch


def _points(engine: Engine, batch: Sequence[Sentence], facets: Mapping[str, Facet],
            cancel: Callable[[], bool]) -> list[Point]:
    found: list[Point] = []
    if not batch:
        return found
    for number, facet in _ask(engine, batch, facets, cancel):
        conversation, message, start, end = batch[number - 1]
        probability = _verify(engine, message.text[start:end], facets[facet])
        if probability >= ACCEPT:
            found.append(Point(conversation, message.id, start, end, facet, round(probability, 3)))
    return found


def _ask(engine: Engine, batch: Sequence[Sentence], facets: Mapping[str, Facet],
         cancel: Callable[[], bool]) -> list[tuple[int, str]]:
    """The pairs (sentence number from 1, facet) the core points at, without repeats."""
    most = max(2, len(batch) // 2)
    item = {"type": "object", "required": ["sentence", "habit"], "properties": {
        "sentence": {"enum": list(range(1, len(batch) + 1))}, "habit": {"enum": list(facets)}}}
    schema: dict[str, Any] = {"type": "array", "maxItems": most, "items": item}
    numbered = "\n".join(f"{n}. {_line(message.text[a:b])}" for n, (_, message, a, b) in enumerate(batch, 1))
    habits = "\n".join(f"{name}: the writer {facet.definition}" for name, facet in facets.items())
    prompt = plain(engine.family, [("system", _INSTRUCTION.format(habits=habits)), ("user", numbered)],
                   _ASK.format(most=most))
    raw, finish = "", ""
    sampling = Sampling(temperature=0.0, max_tokens=40 * most + 20)
    for piece in engine.stream(prompt, sampling, schema=schema, cancel=cancel):
        raw += piece.text
        finish = piece.finish or finish
    if finish == "cancelled":
        return []
    try:
        pairs = [(int(point["sentence"]), str(point["habit"])) for point in json.loads(raw)]
    except (ValueError, KeyError, TypeError) as error:
        how = "was cut off" if finish == "length" else "does not parse"
        raise AnswerInvalid(f"The core's list of points {how} ({len(raw)} characters).",
                            "Read again; if it repeats, choose another core.", raw=raw) from error
    return list(dict.fromkeys(pair for pair in pairs if 1 <= pair[0] <= len(batch) and pair[1] in facets))


def _verify(engine: Engine, sentence: str, facet: Facet) -> float:
    """Mean probability of Yes over both orders of the options: a core that just prefers the first gives about 0.5."""
    question = _VERIFY.format(sentence=_line(sentence), definition=facet.definition)
    total = 0.0
    for order in ("Yes or No?", "No or Yes?"):
        total += engine.choose(plain(engine.family, [("user", question)], f"Answer with one word. {order}"),
                               ["Yes", "No"])[0]
    return total / 2


def _line(sentence: str) -> str:
    return " ".join(sentence.split()).replace('"', "'")
