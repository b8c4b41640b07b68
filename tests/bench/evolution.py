"""Which search among role maps is worth its machinery: python -m tests.bench.evolution run | report FILE.

A generated person a seed. Miners and random moves see the oldest conversations, the search scores on the labelled
messages of those after them (whom a message was for is known there as in use: from corrections and thumbs). The proof
are all messages of the conversations that come later still, with their true labels: more of them than a home of that
age has, so that the interval is about the search and not about how little a home can tell.

Three ways, each with the same moves, scorer, seed and budget (words read, fitness.Routes): any parent, the front, and
always the best. With broken maps (results/evolution-broken.json) random search is right on more of the proof's messages
than the other two, so it is the default. Merging two maps by their common ancestor was a fourth way: right on +0.005
[-0.002, +0.013] more than the front without it, so it was taken out (results/evolution-merging.json).
`run` keeps each genome as it comes: a killed run goes on.
As in use the router knows the corrections of the training part besides the map; --alone: it does not. With --random the
miners' suggestions are left out; with --broken a quarter of the map's examples stand at a wrong role, which the person
has lived with: then there is something to find.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

import numpy as np

from tests import generated
from tests.generated import Truth
from twin import miners, moves, roles
from twin.evidence import Labelled
from twin.evolution import evolve
from twin.fitness import Routes
from twin.genome import Moves, Plan, Run, Way, recalled
from twin.mining.seen import look
from twin.roles import RoleMap
from twin.router import NONE, Router

RESULTS = Path(__file__).parent / "results"
WAYS: tuple[Way, ...] = get_args(Way)  # the simplest first
TRAIN, SELECT, PROOF = 48, 16, 116  # conversations, in order of time: those of a home of 80 and 100 more
MAPS, WRONG = 40, 0.25
DRAWS = 5000

Line = dict[str, Any]


class File:
    """Genomes as JSON lines, safe on the disk one by one; a line that a kill tore off is dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []
        self.rows: list[Line] = [json.loads(one) for one in whole]
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in self.rows), "utf-8")

    def genomes(self, run: str) -> list[Line]:
        found = {row["step"]: row for row in self.rows if row["run"] == run and "step" in row}
        return [found[step] for step in sorted(found)]

    def save_genome(self, run: str, row: Mapping[str, Any]) -> None:
        self.add({"run": run, **row})

    def add(self, row: Mapping[str, Any]) -> None:
        self.rows.append(dict(row))
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
            os.fsync(out.fileno())


# ---- one person ----------------------------------------------------------------------------------------------------

def broken(seed: int) -> RoleMap:
    """The seed roles with a share WRONG of their routing examples at another role."""
    base, draw = roles.seed(), Random(f"broken {seed}")  # noqa: S311 - no secret
    where = {text: role.id for role in base.roles for text in role.examples}
    for text in draw.sample(sorted(where), round(WRONG * len(where))):
        where[text] = draw.choice([name for name in base.ids if name != where[text]])
    return replace(base, roles=tuple(role.model_copy(update={
        "examples": tuple(text for text, name in where.items() if name == role.id)}) for role in base.roles))


def number(conversation: str) -> int:
    """Of a generated conversation, from 0 in order of time."""
    return int(conversation.rpartition("-")[2])


def known(truth: Truth, first: int, last: int) -> list[Labelled]:
    """Labelled messages of some conversations as evidence has them: corrected, or the answer was praised."""
    found = []
    for turn in truth.turns:
        said = dict(truth.said.get(turn.id, ()))
        if not first <= number(turn.conversation) < last:
            continue
        kind: Literal["correction", "kept"] = "correction" if "correction" in said else "kept"
        if kind == "correction" or said.get("thumb") == 1:
            label = NONE if turn.route.abstained else turn.route.role
            found.append(Labelled(turn.conversation, turn.time, turn.id, turn.question,
                                  str(said.get("correction", label)), kind))
    return found


def true(truth: Truth) -> list[Labelled]:
    """Every message of the proof, with whom it was for."""
    return [Labelled(turn.conversation, turn.time, turn.id, turn.question, truth.labels[turn.id])
            for turn in truth.turns if number(turn.conversation) >= TRAIN + SELECT]


def drawn(truth: Truth, role_map: RoleMap, mined: bool) -> Moves:
    """Moves of a search: random ones on the words of the training part, half of them the miners' where `mined`."""
    otherwise = moves.randomly([one.text for one in known(truth, 0, TRAIN)])
    if not mined:
        return otherwise
    turns = [turn for turn in truth.turns if number(turn.conversation) < TRAIN]
    seen = look(turns, truth.said, {one.version: one for one in truth.maps}, Router(role_map))
    found = miners.mine(seen, role_map, made=datetime(2026, 6, 1, tzinfo=UTC), most=60)
    return moves.suggested(lambda _: [(one.operation, one.origin) for one in found], otherwise, kinds=moves.ROUTER)


def search(file: File, seed: int, asked: argparse.Namespace, say: Callable[..., None]) -> None:
    """Every way of one seed that is not proven in the file yet."""
    done = {(row["seed"], row["name"]) for row in file.rows if "proof" in row}
    todo = [name for name in WAYS if (seed, name) not in done]
    if not todo:
        return
    root = broken(seed) if asked.broken else roles.seed()
    truth = generated.live(seed=seed, conversations=TRAIN + SELECT + PROOF, role_map=root)
    told = [] if asked.alone else [(one.text, one.label) for one in known(truth, 0, TRAIN) if one.kind == "correction"]
    moving = drawn(truth, root, not asked.random)
    score = Routes(known(truth, TRAIN, TRAIN + SELECT), corrections=told, graded=not asked.right)
    proof = Routes(true(truth), corrections=told, graded=False)
    price = score.price(root, range(score.items))
    for name in todo:
        run = evolve(root, moves=moving, score=score, budget=asked.maps * price, seed=seed, way=name,
                     plan=Plan(patience=0),
                     shelf=file, progress=partial(say, f"seed {seed}, {name}"))
        file.add({"proof": proof(run.maps[run.best.version], range(proof.items)),
                  "root": proof(root, range(proof.items)), "of": [one.conversation for one in true(truth)],
                  "run": run.id, "seed": seed, "name": name, "items": score.items, "spent": run.spent,
                  "budget": run.budget, "refused": run.refused, "best": run.best.version,
                  "mined": not asked.random, "alone": asked.alone, "broken": asked.broken, "metric": score.metric})


# ---- figures -------------------------------------------------------------------------------------------------------

def interval(gains: Sequence[float], of: Sequence[str]) -> tuple[float, float, float]:
    """Mean and its 95 % interval, whole conversations resampled (percentiles)."""
    places = {name: place for place, name in enumerate(dict.fromkeys(of))}
    at = [places[name] for name in of]
    sums, counts = np.bincount(at, gains), np.bincount(at)
    draws = np.random.default_rng(0).integers(0, len(sums), (DRAWS, len(sums)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(np.mean(gains)), float(low), float(high)


def figures(file: File) -> Line:
    """Everything that is told of a results file."""
    rows = {(row["seed"], row["name"]): row for row in file.rows if "proof" in row}
    seeds = sorted({seed for seed, _ in rows})
    names = [name for name in WAYS if all((seed, name) in rows for seed in seeds)]
    of = [f"{seed} {one}" for seed in seeds for one in rows[seed, names[0]]["of"]]

    def proof(name: str, key: str = "proof") -> Any:
        return np.concatenate([rows[seed, name][key] for seed in seeds])

    runs = {(seed, name): recalled(file, rows[seed, name]["run"]) for seed in seeds for name in names}
    return {
        "seeds": seeds, "mined": rows[seeds[0], names[0]]["mined"],
        "alone": rows[seeds[0], names[0]]["alone"], "broken": rows[seeds[0], names[0]]["broken"],
        "metric": rows[seeds[0], names[0]]["metric"],
        "messages": len(of), "conversations": len(set(of)),
        "items": [rows[seed, names[0]]["items"] for seed in seeds],
        "root": float(proof(names[0], "root").mean()),
        "ways": {name: {
            "spent": sum(rows[seed, name]["spent"] for seed in seeds),
            "maps": [len(runs[seed, name].genomes) for seed in seeds],
            "steps": [len(runs[seed, name].best.steps) for seed in seeds],
            "selection": float(np.mean([runs[seed, name].gain(runs[seed, name].best) for seed in seeds])),
            "by_seed": [float(np.subtract(rows[seed, name]["proof"], rows[seed, name]["root"]).mean())
                        for seed in seeds],
            "gain": interval(proof(name) - proof(name, "root"), of),
            "fates": fates([runs[seed, name] for seed in seeds])} for name in names},
        "over": {f"{one} over {other}": interval(proof(one) - proof(other), of)
                 for other, one in combinations(names, 2)}}


def fates(runs: Sequence[Run]) -> dict[str, int]:
    """How many genomes came to which end."""
    found: dict[str, int] = {}
    for fate in (fate for run in runs for fate in run.fates.values()):
        found[fate.state] = found.get(fate.state, 0) + 1
    return found


def told(found: Line) -> str:
    """The figures as a page of text."""
    source = "the miners' suggestions and random moves" if found["mined"] else "random moves"
    source += "; a router without corrections" if found["alone"] else "; a router that knows the training corrections"
    begins = f"seed roles, {WRONG:.0%} of the examples at a wrong one" if found["broken"] else "seed roles"
    out = [f"persons {found['seeds']}; {begins}; {source}; searched by {found['metric']}",
           f"selection items {found['items']}; proof: {found['messages']} messages of {found['conversations']} "
           f"conversations, the map as it was is right on {found['root']:.3f}", "",
           f"{'':12}{'maps':>12}{'words read':>12}{'steps':>12}{'selection':>11}{'proof gain, 95 %':>28}   by seed"]
    for name, one in found["ways"].items():
        mean, low, high = one["gain"]
        out.append(f"{name:12}{'/'.join(map(str, one['maps'])):>12}{one['spent']:12}"
                   f"{'/'.join(map(str, one['steps'])):>12}{one['selection']:+11.3f}"
                   f"{f'{mean:+.3f} [{low:+.3f}, {high:+.3f}]':>28}   "
                   + " ".join(f"{gain:+.3f}" for gain in one["by_seed"]))
    out += ["", "right messages:"]
    for name, (mean, low, high) in found["over"].items():
        verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
        out.append(f"  {name:22} {mean:+.3f} [{low:+.3f}, {high:+.3f}]  {verdict}")
    ends = (f"{name}: {one['fates']}" for name, one in found["ways"].items())
    return "\n".join([*out, "", "what became of the maps: " + "; ".join(ends)])


def report(path: Path) -> None:
    """Print the figures of a results file and put them beside it as JSON."""
    found = figures(File(path))
    path.with_suffix(".json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(told(found))


def main(*words: str) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.evolution")
    parser.add_argument("mode", choices=("run", "report"))
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[6, 7, 8], help="persons")
    parser.add_argument("--maps", type=int, default=MAPS, help="the budget, in scorings of the map it begins with")
    parser.add_argument("--alone", action="store_true", help="a router that does not know the corrections")
    parser.add_argument("--right", action="store_true", help="search by right and wrong, not by the Brier score")
    parser.add_argument("--broken", action="store_true", help="begin from a map with wrong examples")
    parser.add_argument("--random", action="store_true", help="no suggestions of the miners")
    asked = parser.parse_args(words)
    path = asked.file or RESULTS / "evolution.jsonl"
    if asked.mode == "run":
        began = time.monotonic()

        def say(name: str, _: str, done: int, total: int | None) -> None:
            print(f"{time.monotonic() - began:6.0f} s  {name}: {done} of {total} words", flush=True)

        for seed in asked.seeds:
            search(File(path), seed, asked, say)
    report(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
