"""Activated against plain LoRA at equal training time: DATA=FOLDER python -m tests.bench.alora run | report.

DATA holds persona-dev.json (measured, never quoted). For each set of target modules both kinds get --minutes of steps:
as many as fit, by the mean step of a short trial in which all take turns (loading the core and looking at held-out
words is left out; what the steps then really took is told beside it). The best of seven looks at a third of the
held-out words is kept; the rest is measured in llama.cpp, through the exported file:

    base     the core alone
    plain    the plain adapter over a prefix of its own, as it was trained: what it can do
    shared   the plain adapter over the base's prefix: what sharing would cost it
    alora    the activated one over the base's prefix, as it was trained

kept = (base - alora) / (base - plain). And on a conversation of --conversation tokens that the base has read: seconds
to the first token when a role that has not spoken yet takes over, and when it speaks again after the base; and KV
cells that the base and four roles hold. The roles are one adapter at four strengths, which are different weights to the
engine. Sets first, at rank 8; then --ranks of the set whose activated adapter is best. Every figure is kept as a JSON
line; a run that was stopped goes on. By default (SmolLM2, 2 cores) about 50 minutes, without --ranks 35. `report`
prints the table and the default that follows, and puts them beside the lines as JSON.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

from tests.bench import own_words
from tests.bench.bare import cells
from tests.bench.council import RESULTS, read
from tests.bench.own_words import Lines, Made, Words, numbered, said_now, spread
from twin import gguf_file, machine
from twin.errors import UsageError
from twin.home import sha256_of, write_atomically
from twin.likeness import Condition, Scored, Table, measure, paired
from twin.prompt import example
from twin.training.lora import Shape
from twin.training.samples import Sample
from twin.training.steps import Settings
from twin.types import Prompt, Sampling

SETS = ("q,v", "q,k,v,o", "o,gate,up,down", "q,k,v,o,gate,up,down")
RANK, LOOKS, AIM = 8, 6, 0.95
STRENGTHS = (1.0, 0.99, 0.98, 0.97)
KINDS: tuple[Literal["alora", "lora"], ...] = ("alora", "lora")
ROOM = 512  # cells beside the conversations


@dataclass
class Bench:
    """One run under way."""

    core: Path
    words: Words
    samples: Sequence[Sample]
    header: str
    results: Lines
    given: argparse.Namespace

    @property
    def how(self) -> Settings:
        """Without a number of steps."""
        return own_words.settings(self.words, 1, self.given.seed, self.given.threads)


# ---- training ------------------------------------------------------------------------------------------------------

def paces(bench: Bench, shapes: Sequence[Shape]) -> None:
    """Seconds of a step of each shape that has none yet."""
    wanted = [shape for shape in shapes if bench.results.found(part="pace", shape=name_of(shape)) is None]
    if wanted:
        said_now(f"a few steps of {len(wanted)} adapters, in turns")
        for shape, seconds in zip(wanted, own_words.pace(bench.core, bench.words, wanted, bench.how,
                                                                bench.given.trial), strict=True):
            bench.results.add({"part": "pace", "shape": name_of(shape), "seconds": seconds})
            said_now(f"{name_of(shape)}: {seconds:.2f} s a step")


def trained(bench: Bench, shape: Shape) -> Made:
    """The adapter of this shape after --minutes of steps; no early stop, the best look is kept."""
    pace = bench.results.found(part="pace", shape=name_of(shape))
    assert pace is not None, "its pace was measured before"
    count = max(2, int(60 * bench.given.minutes / pace["seconds"]))
    how = replace(bench.how, steps=count, evaluate_every=max(1, count // LOOKS), patience=2 * LOOKS)
    made = own_words.adapter(bench.core, bench.words, shape, how, bench.given.cache, said_now, name_of(shape))
    if bench.results.found(part="trained", shape=name_of(shape)) is None:
        a_step = made.facts.get("a_step", pace["seconds"])
        bench.results.add({"part": "trained", "shape": name_of(shape), **made.facts, "step_seconds": a_step * count})
    return made


# ---- measuring -----------------------------------------------------------------------------------------------------

def scored(bench: Bench, adapters: Mapping[str, Made]) -> None:
    """Bits of the held-out words: base once, an activated adapter as it is, a plain one in both ways."""
    asked: dict[str, Condition] = {"base": Condition("base")}
    for name, made in adapters.items():
        ways = {"alora": made.adapter} if made.kind == "alora" else {
            "plain": made.adapter, "shared": replace(made.adapter, kind="alora")}
        asked |= {f"{name} {way}": Condition(way, adapter=one) for way, one in ways.items()}
    missing = {name: one for name, one in asked.items() if bench.results.found(part="bits", condition=name) is None}
    if not missing:
        return
    with closing(opened(bench, 2048)) as engine:
        for name, condition in missing.items():
            one = measure(engine, condition, bench.samples)
            bench.results.add({"part": "bits", "condition": name, "bits": one.bits, "characters": one.characters,
                               "clusters": numbered(one.clusters)})
            said_now(f"{name}: {one.per_character} bits a character")


def switched(bench: Bench, name: str, made: Made) -> None:
    """What the roles of one adapter cost on a long conversation, in seconds and cells."""
    if bench.results.found(part="switch", shape=name) is not None:
        return
    tokens = bench.given.conversation
    with closing(opened(bench, tokens + ROOM, cells=(1 + len(STRENGTHS)) * (tokens + ROOM), warm=1.0)) as engine:
        talk = _conversation(engine, tokens)
        base = example(engine.family, context=talk, answer="", header=bench.header)
        first = [replace(made.adapter, scale=scale) for scale in STRENGTHS]
        engine.prepare(base)
        _first_token(engine, base)
        alone = _first_token(engine, base)
        kept = cells(engine)
        new = [_first_token(engine, replace(base, adapters=(one,))) for one in first]
        all_cells = cells(engine)
        again = []
        for one in first:
            _first_token(engine, base)
            again.append(_first_token(engine, replace(base, adapters=(one,))))
    bench.results.add({"part": "switch", "shape": name, "base_s": alone, "new_s": median(new), "again_s": median(again),
                       "tokens": tokens, "cells_base": kept, "cells": all_cells, "cell_bytes": cell_bytes(bench.core)})
    said_now(f"{name}: first token after {median(new):.2f} s, {all_cells} cells")


def _first_token(engine: Any, asked: Prompt) -> float:
    began = time.perf_counter()
    for _piece in engine.stream(asked, Sampling(temperature=0.0, max_tokens=1)):
        pass
    return time.perf_counter() - began


def _conversation(engine: Any, tokens: int) -> str:
    """A text of about so many tokens."""
    said = ""
    number = 0
    while len(engine.tokenize(said)) < tokens:
        for _ in range(8):
            number += 1
            said += f"On day {number} the {('first', 'second', 'third')[number % 3]} row got {number * 7 % 31} litres. "
    while len(engine.tokenize(said)) > tokens:
        said = said.rpartition(" ")[0]
    return said


def cell_bytes(core: Path) -> int:
    """Bytes of keys and values of one cell in F16: layers, heads of keys, their length, both, two bytes each."""
    told = gguf_file.header(core).values
    arch = told["general.architecture"]
    heads = int(told[f"{arch}.attention.head_count"])
    length = int(told.get(f"{arch}.attention.key_length", told[f"{arch}.embedding_length"] // heads))
    return int(told[f"{arch}.block_count"]) * int(told.get(f"{arch}.attention.head_count_kv", heads)) * length * 2 * 2


def opened(bench: Bench, n_ctx: int, **how: Any) -> Any:
    from twin.engine.llama import LlamaEngine

    return LlamaEngine(bench.core, n_ctx=n_ctx, trusted=True, n_threads=bench.given.threads or None, **how)


# ---- the order of things -------------------------------------------------------------------------------------------

def name_of(shape: Shape) -> str:
    return f"{','.join(shape.targets)} r{shape.rank} {shape.kind}"


def run(bench: Bench) -> None:
    """Everything that is still missing: all sets, then other ranks of the best one."""
    _measured(bench, [_shape(targets, RANK, kind) for targets in bench.given.sets for kind in KINDS])
    best = figures(bench.results.lines).best
    _measured(bench, [_shape(best.rpartition(" ")[0], rank, kind) for rank in bench.given.ranks for kind in KINDS])


def _shape(targets: str, rank: int, kind: Literal["alora", "lora"]) -> Shape:
    return Shape(kind=kind, rank=rank, alpha=2 * rank, targets=tuple(targets.split(",")))


def _measured(bench: Bench, shapes: Sequence[Shape]) -> None:
    paces(bench, shapes)
    adapters = {name_of(shape): trained(bench, shape) for shape in shapes}
    scored(bench, adapters)
    for name, made in adapters.items():
        switched(bench, name, made)


# ---- figures -------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Figures:
    """`best`: the set and rank whose activated adapter has the fewest bits."""

    table: Table
    best: str
    verdict: str


def figures(lines: Sequence[Mapping[str, Any]]) -> Figures:
    """The table of all sets and ranks that are measured, and the default that follows. UsageError where none is."""
    made = lines[0]
    bits = {one["condition"]: Scored(one["condition"], tuple(one["bits"]), tuple(one["characters"]), tuple(
        one["clusters"])) for one in lines[1:] if one["part"] == "bits"}
    if len(bits) < 4:  # base, and one set in three ways
        raise UsageError("No set of modules is measured yet.", "Start the run again; it goes on where it stopped.")
    base = bits["base"]
    table = Table(f"Activated and plain LoRA after {made['minutes']:g} min of steps each "
                  f"({made['core'].partition('@')[0]}, {made['person']}, {len(base.bits)} held-out messages, "
                  f"base {base.per_character} bits a character)")
    found: dict[str, float] = {}
    for row in dict.fromkeys(name.rpartition(" ")[0].rpartition(" ")[0] for name in bits if name != "base"):
        if {f"{row} alora alora", f"{row} lora plain", f"{row} lora shared"} <= set(bits):
            alora, plain, shared = (bits[f"{row} {way}"] for way in ("alora alora", "lora plain", "lora shared"))
            found[row] = alora.per_character.value
            table = _row(table, row, base, alora, plain, shared)
            table = _costs(table, row, lines)
    best = min(found, key=found.__getitem__)
    return Figures(table, best, _verdict(best, base, bits))


def _row(table: Table, row: str, base: Scored, alora: Scored, plain: Scored, shared: Scored) -> Table:
    for name, one in (("alora", alora), ("plain", plain), ("shared", shared)):
        table = table.put(row, name, one.per_character)
    return table.put(row, "kept", kept(base, alora, plain)).put(
        row, "kept, shared", kept(base, shared, plain)).put(row, "alora over plain", alora.saves(plain))


def kept(base: Scored, one: Scored, plain: Scored) -> float:
    """Share of the plain adapter's gain that another keeps; NaN where that gains nothing."""
    whole = plain.saves(base).value
    return one.saves(base).value / whole if whole > 0 else math.nan


def _costs(table: Table, row: str, lines: Sequence[Mapping[str, Any]]) -> Table:
    """Training and switching of both kinds."""
    for kind, word in (("alora", "alora"), ("lora", "plain")):
        of = {one["part"]: one for one in lines[1:] if one.get("shape") == f"{row} {kind}"}
        if told := of.get("trained"):
            table = table.put(row, f"steps {word}", f"{told['taken']} in {told['step_seconds']:.0f} s").put(
                row, f"torch {word}", float(told["after"]))
        if told := of.get("switch"):
            mb = told["cells"] * told["cell_bytes"] / 1e6
            table = table.put(row, f"first token {word}", f"{told['new_s']:.2f} s, again {told['again_s']:.2f} s").put(
                row, f"KV {word}", f"{told['cells']} cells, {mb:.0f} MB")
    return table


def _verdict(best: str, base: Scored, bits: Mapping[str, Scored]) -> str:
    alora, plain = bits[f"{best} alora alora"], bits[f"{best} lora plain"]
    share = kept(base, alora, plain)
    best_plain = min((name for name in bits if name.endswith(" plain")),
                     key=lambda name: bits[name].per_character.value)
    over = paired(bits[best_plain].bits, alora.bits, alora.clusters, alora.characters)
    return (f"Default that follows: alora on {best}. It keeps {share:.0%} of the plain adapter's gain on the same "
            f"modules (aim {AIM:.0%}: {'reached' if share >= AIM else 'missed'}); against the best plain one "
            f"({best_plain.removesuffix(' lora plain')}) it saves {over} bits a character.")


# ---- from the command line -----------------------------------------------------------------------------------------

def main(*words: str) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.alora")
    parser.add_argument("mode", choices=("run", "report"))
    parser.add_argument("file", nargs="?", type=Path, help="of report")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--person", default="person-1")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--sets", nargs="*", default=list(SETS), help="each with commas")
    parser.add_argument("--ranks", nargs="*", type=int, default=[4, 32], help="of the best set, beside 8")
    for name, default in (("held", 60), ("conversation", 1500), ("trial", 12), ("seed", 0), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--header", default="", help="a role's instruction before each answer, in the tail")
    parser.add_argument("--cache", type=Path, default=own_words.default_cache())
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(words)
    out = given.file or given.out or RESULTS / f"alora-{Path(given.model).stem}.jsonl"
    if given.mode == "run":
        _run(given, out)
    report(out)


def _run(given: argparse.Namespace, out: Path) -> None:
    if "DATA" not in os.environ:
        raise UsageError("DATA does not name the folder with persona-dev.json.", "Set it: DATA=FOLDER python -m ...")
    core, crowd = own_words.core_of(given.model), own_words.people(Path(os.environ["DATA"]))
    person = crowd[own_words.chosen(given.person, crowd)[0]]
    results = Lines(out, {
        "core": f"{core.stem}@{sha256_of(core)[:16]}", "person": person.name, "minutes": given.minutes,
        "sets": given.sets, "ranks": given.ranks, "held": given.held, "conversation": given.conversation,
        "seed": given.seed, "header": given.header, "processors": machine.processors(),
        "date": datetime.now(UTC).isoformat(timespec="seconds")})
    learned = own_words.words(core, {person.name: person}, given.header)[person.name]
    samples = [replace(one, header=given.header) for one in spread(person.measured, given.held)]
    run(Bench(core, learned, samples, given.header, results, given))


def report(path: Path) -> None:
    """Print the figures of a results file and put them beside it as JSON."""
    lines = read(path)
    found = figures(lines)
    write_atomically(path.with_suffix(".json"), json.dumps(
        {"made": lines[0], **found.table.plain(), "best": found.best, "verdict": found.verdict},
        ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    print(found.table.text() + found.verdict)


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
