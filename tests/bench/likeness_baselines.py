"""What likeness can be told without a core: DATA=FOLDER python -m tests.bench.likeness_baselines.

FOLDER holds persona-dev.json (public chat of four people and a diary; not in this repository, measured, never quoted).
The first 70 % of each person's messages in time are known, the last 30 % are held out, as they come (no message is left
out as training would). For the chat people: text compression, own against each other; attribution of held-out texts
among the four (chance .25) by character n-grams and by Burrows' Delta, in single messages of 20 characters or more and
in texts of 200 to 2,000 characters; how many held-out messages hold eight words in a row of the earlier ones, which is
the copy rate of the person themselves; questions that the next-question test could use. Intervals over days.

The diary has no other diary to stand against: RUSSIAN=FILE (a text, one sentence a line) is compared with it, as
whatever Russian there is. Figures under 2 minutes.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import persona
from twin.likeness import (
    Corpus,
    Estimate,
    Reply,
    attribute,
    compression_gain,
    copies,
    delta,
    hits,
    pieces,
    pooled,
    profiles,
    usage,
)
from twin.likeness.style import Floats
from twin.question import is_question
from twin.types import Message

SIZES = (0, 200, 500, 1000, 2000)  # characters of a text; 0: single messages
Pairs = list[tuple[str, Message]]


def main() -> None:
    """Print the figures."""
    people = persona.people(Path(os.environ["DATA"]))
    known = {name: said[:int(0.7 * len(said))] for name, said in people.items()}
    held = {name: said[int(0.7 * len(said)):] for name, said in people.items()}
    chat = [name for name in people if name.startswith("person")]
    _compression(known, held, chat)
    texts = {name: _texts(known[name]) for name in chat}
    grams, words = profiles(texts), usage(texts)
    _attribution("character n-grams", lambda written: attribute(grams, written), held, chat)
    _attribution("Burrows' Delta", lambda written: delta(words, written), held, chat)
    _own_copies(known, held)


def _compression(known: dict[str, Pairs], held: dict[str, Pairs], chat: Sequence[str]) -> None:
    out = sys.stdout.write
    out("text compression, bits a character that own words save against another's\n")
    means = []
    for name in chat:
        gains = {other: compression_gain(_texts(known[name]), [_texts(known[other])], _texts(held[name]))
                 for other in chat if other != name}
        every = compression_gain(_texts(known[name]), [_texts(known[one]) for one in gains], _texts(held[name]))
        means.append(every.value)
        out(f"  {name:9} {every} | " + " ".join(f"{other}={one.value:.3f}" for other, one in gains.items()) + "\n")
    out(f"  mean      {sum(means) / len(means):.3f}\n")
    if file := os.environ.get("RUSSIAN"):
        lines = [line.split(":", 1)[-1].strip() for line in Path(file).read_text("utf-8").splitlines() if line.strip()]
        out(f"  diarist   {compression_gain(_texts(known['diarist']), [lines], _texts(held['diarist']))} against it\n")


def _attribution(title: str, distances: Callable[[Sequence[str]], Floats], held: dict[str, Pairs],
                 chat: Sequence[str]) -> None:
    out = sys.stdout.write
    out(f"{title}: held-out texts attributed to their writer\n")
    for size in SIZES:
        found = [_right(distances, held[name], person, size) for person, name in enumerate(chat)]
        mean = sum(one.value for one in found) / len(found)
        out(f"  {size or 'messages':>8}  mean {mean:.3f} | " + " ".join(map(str, found)) + "\n")


def _right(distances: Callable[[Sequence[str]], Floats], said: Pairs, person: int, size: int) -> Estimate:
    """Accuracy on one person's texts, each within a day; with size 0 on their messages. The interval is over days."""
    days: dict[str, list[str]] = {}
    for day, message in said:
        days.setdefault(day, []).append(message.text)
    cut = {day: pieces(texts, size) if size else [one for one in texts if len(one) >= 20]
           for day, texts in days.items()}
    where = [day for day, texts in cut.items() for _ in texts]
    written = [one for texts in cut.values() for one in texts]
    return pooled(hits(distances(written), person) if written else [], where)


def _own_copies(known: dict[str, Pairs], held: dict[str, Pairs]) -> None:
    out = sys.stdout.write
    out("held-out messages with eight words in a row of the earlier ones; questions of four words or more\n")
    for name in known:
        corpus = Corpus.of(_texts(known[name]))
        found = pooled(copies(corpus, [Reply(one) for one in _texts(held[name])]), [day for day, _ in held[name]])
        asking = sum(is_question(one) and len(one.split()) >= 4 for one in _texts(held[name]))
        out(f"  {name:9} {found}, {asking} of {len(held[name])} ask\n")


def _texts(said: Pairs) -> list[str]:
    return [message.text for _, message in said]


if __name__ == "__main__":
    main()
