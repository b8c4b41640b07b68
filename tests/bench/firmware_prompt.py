"""Whether an exported system prompt works: DATA=FOLDER python -m tests.bench.firmware_prompt [MODEL] [N] [FILE].

FOLDER holds persona-dev.json (public chat of four people and a diary; not in this repository, measured, never quoted).
The first 70 % of each person's messages in time make a profile by rules and, of it, the export `prompt` in their own
language; N (60) of the last 30 %, spread evenly, of 20 characters or more, are held back. Bits a character of these
under no prompt, a generic persona, the own prompt and every other person's; differences with 95 % bootstrap intervals
over messages. FILE keeps every row as a JSON line, and what stands there is not measured again.
"""
from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import persona
from twin import roles
from twin.catalog import Catalog
from twin.exporters import FORMATS, Material
from twin.firmware import Firmware
from twin.likeness import bits, interval
from twin.likeness.conditions import PERSONA
from twin.profile import build
from twin.types import Engine

BUDGET = 4000  # characters: what a core of 1.5B reads in 20 s on two threads
LONGEST = 400  # characters of a held-back message
Rows = dict[str, list[float]]


def main(model: str = "smollm2-135m", n: int = 60, file: str = "") -> None:
    """Measure what is missing, then print the table."""
    from twin.engine.llama import LlamaEngine

    people = persona.people(Path(os.environ["DATA"]))
    held, prompts = {}, {"nothing": "", "generic": ""}
    for name, said in people.items():
        cut = int(0.7 * len(said))
        late = [message.text for _, message in said[cut:] if len(message.text) >= 20]
        held[name] = [text[:LONGEST] for text in late[::max(1, len(late) // n)][:n]]
        made = build(said[:cut])
        core = Firmware(name, datetime.now(UTC), name, roles.seed().version, "", 0, language=made.language)
        prompts[name] = FORMATS["prompt"](Material(core, made, made.levels, roles.seed(), language=made.language),
                                          BUDGET).text
    place = Path(file) if file else None
    rows: dict[tuple[str, str], list[float]] = {}
    for line in place.read_text("utf-8").splitlines() if place and place.exists() else ():
        row = json.loads(line)
        if row["model"] == model and row["n"] == n:
            rows[row["of"], row["under"]] = row["bits"]
    with closing(LlamaEngine(Catalog().path(model), n_ctx=4096, trusted=True)) as engine:
        for under, about in prompts.items():  # what a prompt begins with is read once for all
            for of in people:
                if (of, under) not in rows:
                    rows[of, under] = _bits(engine, under, about, of, held[of])
                    row = {"model": model, "n": n, "of": of, "under": under, "bits": rows[of, under]}
                    if place:
                        with place.open("a", encoding="utf-8") as out:
                            out.write(json.dumps(row) + "\n")
    for of in people:
        _print(of, {under: rows[of, under] for under in prompts})


def _bits(engine: Engine, under: str, about: str, of: str, texts: list[str]) -> list[float]:
    generic = PERSONA["ru" if of == "diarist" else "en"]
    return bits(engine, generic if under == "generic" else about, texts)


def _print(of: str, row: Rows) -> None:
    others = [name for name in row if name.startswith("person") and name != of]
    own = row[of]
    another = [sum(row[name][at] for name in others) / len(others) for at in range(len(own))]
    out = sys.stdout.write
    out(f"{of:9} n={len(own)} nothing {_mean(row['nothing']):.3f}, generic {_mean(row['generic']):.3f}, own "
        f"{_mean(own):.3f}, other chat people's {_mean(another):.3f}; own saves over nothing "
        f"{_saved(row['nothing'], own)}, over generic {_saved(row['generic'], own)}, over others' "
        f"{_saved(another, own)}\n")


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _saved(before: list[float], after: list[float]) -> str:
    mean, low, high = interval([one - two for one, two in zip(before, after, strict=True)])
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]), *sys.argv[3:4])
