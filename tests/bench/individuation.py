"""Whose profile fits whose words: DATA=FOLDER python -m tests.bench.individuation [MODEL] [N].

FOLDER holds persona-dev.json (public chat of four people and a diary; not in this repository, measured, never quoted).
The first 70 % of each person's messages in time make a profile by rules, its exported prompt and their manner; N (60)
of the last 30 %, spread evenly, of 20 characters or more, are held back. For every person: bits a character of the
held-back messages under the profile prompt of each of the five, and the surprise of their manner; the difference to the
nearest other person's and to the mean of the other chat people, with 95 % bootstrap intervals over messages.
"""
from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

from tests.bench import persona
from twin.catalog import Catalog
from twin.exporters.prompt import prompt
from twin.likeness import bits, interval, manner, surprise
from twin.profile import build

BUDGET = 8000  # characters of the profile prompt: what `twin export` writes when not told otherwise


def main(model: str = "smollm2-135m", n: int = 60) -> None:
    """Print the two tables."""
    from twin.engine.llama import LlamaEngine

    people = persona.people(Path(os.environ["DATA"]))
    kept, held = {}, {}
    for name, said in people.items():
        cut = int(0.7 * len(said))
        kept[name] = said[:cut]
        late = [message.text for _, message in said[cut:] if len(message.text) >= 20]
        held[name] = [text[:400] for text in late[::max(1, len(late) // n)][:n]]
    profiles = {name: prompt(build(said), budget=BUDGET).text for name, said in kept.items()}
    manners = {name: manner(message.text for _, message in said) for name, said in kept.items()}
    everybody = list(manners.values())
    table = {name: {of: surprise(manners[of], everybody, held[name]) for of in people} for name in people}
    _print("surprise of the manner (bits a message)", table)
    with closing(LlamaEngine(Catalog().path(model), n_ctx=8192)) as engine:
        table = {name: {of: bits(engine, profiles[of], held[name]) for of in people} for name in people}
    _print(f"bits a character under the profile prompt ({model})", table)


def _print(title: str, table: dict[str, dict[str, list[float]]]) -> None:
    out = sys.stdout.write
    out(f"\n{title}: lower fits better\n")
    chat = [name for name in table if name.startswith("person")]
    wins = 0
    for name, row in table.items():
        means = {of: sum(values) / len(values) for of, values in row.items()}
        others = [of for of in chat if of != name]
        nearest = min(others, key=means.__getitem__)
        gain = [min_ - own for own, min_ in zip(row[name], row[nearest], strict=True)]
        mean = [sum(row[of][i] for of in others) / len(others) - own for i, own in enumerate(row[name])]
        best = min(means, key=means.__getitem__) == name
        wins += best and name in chat
        out(f"  {name:9} n={len(row[name])} " + " ".join(f"{of}={value:.3f}" for of, value in means.items()) +
            f" | to nearest other ({nearest}) {_said(gain)}, to the mean of the chat {_said(mean)}"
            f"{' *' if best else ''}\n")
    out(f"  the own profile fits best: {wins} of {len(chat)} chat people\n")


def _said(values: list[float]) -> str:
    mean, low, high = interval(values)
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
