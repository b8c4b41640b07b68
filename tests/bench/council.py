"""Whether a council beats its best member asked as often: python -m tests.bench.council run | report FILE | cost.

`run` asks a core and keeps every answer as it comes (JSON lines; a killed run goes on when it is started again):
1. other questions (seed 2), asked of a council of 8: the six seed roles, and twice the core without a role. They choose
   the best voice (a role or none, whichever was right most often) and fit the council's weights;
2. test questions (seed 1; the shipped probe uses seed 0): the same council, the best voice 8 times, and its likeliest
   answer (greedy). Answers of one question share the prefix and are written in one batch;
3. a few questions of seed 3, asked cold for each N, by both ways: only these give the seconds.
`report` computes everything from the file, without a model (council_figures.py says how), and puts the figures beside
it as JSON.
`cost` measures what 16 roles read and hold over one, on a conversation of 1,500 tokens, a process for each.
"""
from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.bare import cells
from tests.bench.council_figures import MEMBERS, METHODS, OTHERS, SIZES, TEST, TIMED, Line, asked_of, best_of, figures
from twin import hypotheses, machine, probe, prompt, roles
from twin.catalog import Catalog
from twin.errors import UsageError
from twin.home import write_atomically
from twin.probe import ProbeQuestion
from twin.roles import Role, RoleMap
from twin.types import Engine, Prompt, Sampling, Usage, Written, digest

RESULTS = Path(__file__).parent / "results"
TIMINGS, N_CTX, PLAIN = 2, 8192, "plain"
COST, COST_CTX, COUNTED = 1500, 8192, 8  # tokens; at the last of the answer's first so many cells are counted


# ---- drawing -------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Member:
    """One answer to draw: by whom, which draw of theirs, and whether the likeliest one."""

    voice: str
    draw: int = 0
    greedy: bool = False


def council_of(role_map: RoleMap) -> list[Member]:
    """Each role, then the core without one until there are MEMBERS."""
    members = [Member(role) for role in role_map.ids][:MEMBERS]
    return members + [Member(f"{PLAIN}-{n}") for n in range(1, MEMBERS - len(members) + 1)]


def role_of(role_map: RoleMap, voice: str) -> Role | None:
    """The role of a voice; None for the core without one."""
    return None if voice.startswith(PLAIN) else role_map.role(voice)


def draw(engine: Engine, role_map: RoleMap, question: ProbeQuestion, members: Sequence[Member]) -> list[Line]:
    """Answers of all members, in one batch; each role's header is read once, after what all share."""
    asked = [headed(probe.rendered(engine, role_of(role_map, one.voice), question)) for one in members]
    samplings = [sampling(role_map, question, one) for one in members]
    schema = hypotheses.schema(len(question.memories), brief=True)
    streams = engine.stream_many(asked, samplings, schemas=[schema] * len(asked))
    made = []
    for one, stream in zip(members, streams, strict=True):
        pieces = list(stream)
        usage = pieces[-1].usage
        assert usage is not None, "an answer ended without a count"
        made.append({"voice": one.voice, "raw": "".join(piece.text for piece in pieces), "finish": usage.finish,
                     "tokens": usage.generated, "prompt": usage.prompt_tokens, "reused": usage.reused})
    return made


def headed(asked: Prompt) -> Prompt:
    """The same prompt with the role's header in the shared part, so that several draws of a role read it once."""
    whole = asked.prefix + asked.tail
    return Prompt(whole[:-1], whole[-1:], asked.role, asked.memories, asked.dropped, asked.adapters)


def sampling(role_map: RoleMap, question: ProbeQuestion, one: Member) -> Sampling:
    """The role's own sampling with a seed of this question and draw."""
    own = probe.sampling(role_of(role_map, one.voice), f"{question.id} {one}")
    return replace(own, temperature=0.0) if one.greedy else own


class Results:
    """A file of JSON lines: what made them first, then a line a question. Another making is refused; a line that a
    kill tore off is dropped."""

    def __init__(self, path: Path, made: Line) -> None:
        self.path = path
        lines = read(path) if path.exists() else []
        if lines and {**lines[0], "date": ""} != {**made, "date": ""}:
            raise UsageError(f"{path} was made otherwise: {lines[0]}.", "Name another file with --out.")
        self.lines = lines or [made]
        write_atomically(path, "".join(_line(one) for one in self.lines).encode())

    def of(self, part: str) -> dict[str, Line]:
        """The lines of one part, by question."""
        return {one["question"]: one for one in self.lines[1:] if one["part"] == part}

    def add(self, line: Line) -> None:
        """Append a line, safe on the disk when this returns."""
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8") as out:
            out.write(_line(line))
            out.flush()
            os.fsync(out.fileno())


def _line(one: Line) -> str:
    return json.dumps(one, ensure_ascii=False) + "\n"


def read(path: Path) -> list[Line]:
    """Whole lines of a results file."""
    return [json.loads(one) for one in path.read_text("utf-8").split("\n")[:-1]]


def run(engine: Engine, role_map: RoleMap, results: Results, route: Callable[[str], str],
        say: Callable[[str], None]) -> None:
    """Everything that is still missing in the results."""
    meta = results.lines[0]
    others, test, timed = asked_of(meta)

    def missing(part: str, some: Sequence[ProbeQuestion]) -> Iterable[ProbeQuestion]:
        left = [one for one in some if one.id not in results.of(part)]
        began = time.monotonic()
        for done, one in enumerate(left):
            yield one
            took = (time.monotonic() - began) / (done + 1)
            say(f"{part}: {len(some) - len(left) + done + 1} of {len(some)}, {took:.1f} s each, "
                f"{took * (len(left) - done - 1) / 60:.0f} min left in this part")

    members = council_of(role_map)
    for one in missing("others", others):
        results.add({"part": "others", "question": one.id, "council": draw(engine, role_map, one, members)})
    best = best_of(results.lines)
    sampled = [Member(best, 1 + n) for n in range(MEMBERS)]
    for one in missing("test", test):
        drawn = draw(engine, role_map, one, [*members, *sampled, Member(best, greedy=True)])
        results.add({"part": "test", "question": one.id, "routed": route(one.text), "council": drawn[:MEMBERS],
                     "sampled": drawn[MEMBERS:-1], "greedy": drawn[-1:]})
    for one in missing("timed", timed):
        results.add({"part": "timed", "question": one.id,
                     "seconds": {name: {n: cold(engine, role_map, one, some[:n]) for n in SIZES}
                                 for name, some in (("council", members), ("sampled", sampled))}})


def cold(engine: Engine, role_map: RoleMap, question: ProbeQuestion, members: Sequence[Member]) -> Line:
    """Seconds and tokens of a batch when only the constitution was read before."""
    if hasattr(engine, "lanes"):
        engine.lanes.forget()
        first = probe.rendered(engine, None, question).prefix
        stop = [segment.part for segment in first].index("question")
        engine.prepare(Prompt(first[:stop], first[stop:]))  # a day's first turn has read this already
    began = time.perf_counter()
    heard = draw(engine, role_map, question, members)
    return {"seconds": round(time.perf_counter() - began, 2), "load": round(os.getloadavg()[0], 1),
            "tokens": sum(one["tokens"] for one in heard),
            "read": sum(one["prompt"] - one["reused"] for one in heard)}


# ---- telling -------------------------------------------------------------------------------------------------------

def told(found: Line) -> str:
    """The figures as a page of text."""
    made = found["made"]
    out = [f"{made['core']}, {made['date'][:10]}: {found['questions']} test questions (seed {made['seeds']['test']}), "
           f"weights and best voice from {found['others']} others (seed {made['seeds']['others']})",
           "right on the others: " + ", ".join(f"{voice} {rate:.2f}" for voice, rate in found["alone"].items()),
           f"best voice: {found['best']}; answers that could not be used: {found['unusable']:.1%}", "",
           f"{'':30}" + "".join(f"{f'N = {n}':>24}" for n in SIZES),
           f"{'':30}" + f"{'right  Brier  tokens':>24}" * len(SIZES)]
    for name, title in METHODS.items():
        cells = [found["table"][n][name] for n in SIZES]
        out.append(f"{title:30}" + "".join(
            f"{one['accuracy']:10.3f} " + (f"{'':5}" if "any" in name else f"{one['brier']:6.3f}")
            + f"{one['tokens']:7.0f}" for one in cells))
    out += ["", "the council's gain in accuracy, 95 %:"]
    for n in SIZES[1:]:
        out.append(f"  N = {n}: " + "; ".join(f"over {METHODS[name]} {mean:+.3f} [{low:+.3f}, {high:+.3f}]"
                                             for name, (mean, low, high) in found["gain"][n].items()))
    out += ["", f"right by part, N = {MEMBERS}:"]
    out += [f"  {part:13}" + ", ".join(f"{name} {rate:.2f}" for name, rate in row.items())
            for part, row in found["parts"].items()]
    out += ["error correlation (rho) and effective votes: " + "; ".join(
        f"{name} {rho:.2f}, {votes:.1f} of {n}" for name, (rho, votes, n) in found["rho"].items())]
    gates = "; ".join(f"{language} {name} {gate}" for language, row in found["calibration"]["gates"].items()
                      for name, gate in row.items())
    out += [f"calibration: n = {found['calibration']['n']}, rho {found['calibration']['rho']:.2f}; gates: {gates}"]
    for way, row in found["seconds"].items():
        out.append(f"{METHODS[way]}, cold: " + "; ".join(
            f"N = {n} {seconds:.1f} s, {read:.0f} tokens read, {tokens:.0f} written"
            for n, (seconds, read, tokens) in row.items()))
    beats, on = ("beats", "yes") if found["on"] else ("does not beat", "no")
    equal, (mean, low, high) = found["equal"], found["equal"]["gain"]
    out += ["", f"Verdict: a council of {equal['n']} ({equal['tokens']:.2f} of the tokens) {beats} the best voice "
            f"sampled {MEMBERS} times ({mean:+.3f} [{low:+.3f}, {high:+.3f}]); on by default: {on}."]
    return "\n".join(out)


# ---- what it costs -------------------------------------------------------------------------------------------------

def cost(model: str, sizes: Sequence[int] = (1, 16), repeated: int = 2) -> str:
    """Tokens computed and peak memory of N roles on one conversation, each N in a process of its own."""
    out = [f"{model}: a conversation of {COST} tokens, the seed roles with a number each, answers of {probe.TOKENS} "
           f"tokens; the largest memory and the median seconds of {repeated} processes. The context's cells are taken "
           "when it is made, so the process grows little: KV cells say what is held",
           "  N   prompt tokens   computed   over N = 1   KV cells   over N = 1   process peak   seconds"]
    first: tuple[float, float] | None = None
    for n in sizes:
        runs = [json.loads(subprocess.run([sys.executable, "-m", "tests.bench.council", "cost", "--model", model,
                                           "--child", str(n)], capture_output=True, check=True, text=True).stdout)
                for _ in range(repeated)]
        computed, mib = runs[0]["computed"], max(one["kib"] for one in runs) / 1024
        held = runs[0]["cells"]
        first = first or (computed, held)
        out.append(f"{n:3} {runs[0]['prompt']:15} {computed:10} {computed / first[0]:12.2f} {held:10} "
                   f"{held / first[1]:12.2f} {mib:10.0f} MiB {median(one['seconds'] for one in runs):9.1f}")
    return "\n".join(out)


def child(model: str, n: int) -> Line:
    """One measurement of `cost`, in this process."""
    with closing(open_engine(model, COST_CTX)) as engine:
        words = " ".join(f"Day {i}: the {('first', 'second', 'third')[i % 3]} row got {i * 7 % 31} litres."
                         for i in range(COST // 8))
        ids = engine.tokenize(words)[:COST]
        shared = prompt.plain(engine.family, [("user", "")]).prefix
        conversation = tuple(replace(one, written=Written(engine.id, tuple(ids))) if not one.text else one
                             for one in shared)
        many = roles.seed().roles
        asked = [Prompt(conversation, prompt.plain(engine.family, [], f"You are number {i}.\n"
                        + roles.header(many[i % len(many)], "en")).tail) for i in range(n)]
        began = time.perf_counter()
        streams = engine.stream_many(asked, [Sampling(max_tokens=probe.TOKENS, seed=i) for i in range(n)])
        for _ in range(COUNTED):
            pieces = [next(stream) for stream in streams]
        took, kib = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        held = cells(engine)  # a copy of the state, so after the peak was taken
        last: list[Usage | None] = [piece.usage or list(stream)[-1].usage
                                    for piece, stream in zip(pieces, streams, strict=True)]
        usages = [one for one in last if one is not None]
        return {"prompt": sum(one.prompt_tokens for one in usages),
                "computed": sum(one.prompt_tokens - one.reused for one in usages), "cells": held,
                "seconds": took, "kib": kib}


# ---- from the command line -----------------------------------------------------------------------------------------

def open_engine(model: str, n_ctx: int) -> Any:
    """A core of the catalogue."""
    from twin.engine.llama import LlamaEngine

    return LlamaEngine(Catalog().path(model), n_ctx=n_ctx, trusted=True)


def making(engine: Engine, role_map: RoleMap, test: int, others: int, languages: Sequence[str]) -> Line:
    """What makes the results: two runs that differ in any of it are not one."""
    asked = {"test": test, "others": others, "timed": TIMINGS, "languages": list(languages)}
    some = [one.id for part in asked_of(asked) for one in part]
    return asked | {"core": engine.id, "role_map": role_map.version, "questions": digest(" ".join(some))[:16],
                    "prompts": digest("".join(probe.rendered(engine, role, one).text for part in asked_of(asked)
                                              for one in part[:4] for role in role_map.roles))[:16],
                    "seeds": {"test": TEST, "others": OTHERS, "timed": TIMED}, "members": MEMBERS,
                    "tokens": probe.TOKENS, "llama_cpp_python": version("llama-cpp-python"),
                    "processors": machine.processors(),
                    "date": datetime.now(UTC).isoformat(timespec="seconds")}


def main(*words: str) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.council")
    parser.add_argument("mode", choices=("run", "report", "cost"))
    parser.add_argument("file", nargs="?", type=Path, help="of report")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--others", type=int, default=36)
    parser.add_argument("--languages", default="en,ru")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.child:
        print(json.dumps(child(asked.model, asked.child)))
    elif asked.mode == "cost":
        print(cost(asked.model))
    elif asked.mode == "report":
        report(asked.file or RESULTS / f"council-{asked.model}.jsonl")
    else:
        _run(asked.model, asked.questions, asked.others, asked.languages.split(","),
             asked.out or RESULTS / f"council-{asked.model}.jsonl")


def _run(model: str, test: int, others: int, languages: Sequence[str], out: Path) -> None:
    from twin import loading
    from twin.router import Router

    role_map = roles.seed()
    router = Router(role_map, loading.embedder(Catalog()))
    with closing(open_engine(model, N_CTX)) as engine:
        results = Results(out, making(engine, role_map, test, others, languages))
        run(engine, role_map, results, lambda said: router.route(said).role,
            lambda said: print(f"{datetime.now(UTC):%H:%M:%S} {said}", flush=True))
    report(out)


def report(path: Path) -> None:
    """Print the figures of a results file and put them beside it as JSON."""
    found = figures(read(path))
    path.with_suffix(".json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(told(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
