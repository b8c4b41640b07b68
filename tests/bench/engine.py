"""What one shared context saves and what the engine adds to llama.cpp: python tests/bench/engine.py [MODEL ...].

A table a claim: the measurement beside the obvious alternative (reading all again, a context for each role, one answer
after another) and the physical limit (the bare loop of bare.py), and the aim. Ratios are medians over pairs measured
in turn, so that a machine that slows down slows both; in brackets their smallest and largest. Nothing else may run
beside it: llama.cpp's threads wait for each other, and one that waits for a processor makes all wait.
"""
from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from bare import Bare, cells  # beside this file

from twin.catalog import Catalog
from twin.engine.llama import LlamaEngine
from twin.engine.snapshots import Snapshots
from twin.engine.weights import BASE
from twin.types import Prompt, Sampling, Segment, Written

SHARED, TAILS, RESTORED, N_CTX = (500, 1500, 4000), (5, 100, 400), 1500, 6144  # tokens
ROLES, COUNCIL, KEPT, TOGETHER = 16, (500, 50), 8, (1, 4, 8, 16)
WRITTEN, WRITTEN_TOGETHER = 48, 8  # tokens an answer
REPEATED = 5
FEWER, SLOW = 3, 5.0  # readings over SLOW seconds are repeated FEWER times or computed; the output says so
COUNTING = ", ".join(map(str, range(1, 30))) + ","  # a core goes on counting, so no answer ends by itself

Tokens = list[int]


# ---- prompts -------------------------------------------------------------------------------------------------------

def text(engine: LlamaEngine, n: int, opening: str = "Diary.") -> Tokens:
    """n tokens of plain English that begin with an opening."""
    day = "On day {} the bed by the wall got {} litres at dawn, and the {} row stayed dry until it rained. "
    words = "".join(day.format(i, i * 7 % 31, ("first", "second", "third")[i % 3]) for i in range(n // 20 + 1))
    return engine.tokenize(f"{opening} {words}")[:n]


def tail(engine: LlamaEngine, n: int, role: int = 0) -> Tokens:
    """n tokens of a role."""
    return text(engine, n, f"{role} is your number, critic: name the weakest assumption.")


def prompt(engine: LlamaEngine, shared: Tokens, own: Tokens) -> Prompt:
    """A prompt of exactly these tokens."""
    first, last = (Segment("", part, written=Written(engine.id, tuple(ids)))
                   for part, ids in (("history", shared), ("role", own)))
    return Prompt((first,), (last,))


def counting(engine: LlamaEngine, bare: Bare) -> tuple[Prompt, Tokens]:
    """A prompt whose answer does not end by itself, its prefix read in both, and its tail."""
    ids = engine.tokenize(COUNTING)
    engine.lanes.forget()
    bare.share(engine, ids[:-3])
    return prompt(engine, ids[:-3], ids[-3:]), ids[-3:]


def greedy(n: int) -> Sampling:
    """The likeliest n tokens."""
    return Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=n)


# ---- measures: seconds ---------------------------------------------------------------------------------------------

def in_turn(repeated: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Columns of measures taken A, B, A, B ...; a first round under SLOW seconds only warms caches."""
    rounds = [[measure() for measure in measures]]
    rounds += [[measure() for measure in measures] for _ in range(repeated - (sum(rounds[0]) >= SLOW))]
    return [list(column) for column in zip(*rounds[-repeated:], strict=True)]


def ratio(over: Sequence[float], under: Sequence[float], digits: int = 2) -> str:
    """Median, smallest and largest of the ratios of pairs."""
    pairs = [one / other for one, other in zip(over, under, strict=True)]
    return f"{median(pairs):6.{digits}f} [{min(pairs):.{digits}f}..{max(pairs):.{digits}f}]"


def first_token(engine: LlamaEngine, asked: Prompt) -> float:
    """To the first piece of an answer, which is then closed, so that it leaves nothing behind."""
    began = time.perf_counter()
    stream: Any = engine.stream(asked, greedy(8))
    next(stream)
    took = time.perf_counter() - began
    stream.close()
    return took


def reading(engine: LlamaEngine, shared: Tokens, *, anew: bool = True) -> float:
    """Reading a prefix: anew, or from where a shorter one ended."""
    if anew:
        engine.lanes.forget()
    began = time.perf_counter()
    engine.prepare(prompt(engine, shared, shared[:1]))
    return time.perf_counter() - began


def writing(engine: LlamaEngine, asked: Prompt, n: int, together: int = 1) -> float:
    """The n - 1 steps after the first token of `together` answers."""
    streams: list[Any] = engine.stream_many([asked] * together, [greedy(n + 8)] * together)
    for stream in streams:
        next(stream)
    began = time.perf_counter()
    for stream in streams:
        assert len(list(islice(stream, n - 1))) == n - 1, "an answer ended by itself"
    took = time.perf_counter() - began
    for stream in streams:
        stream.close()
    return took


# ---- claims --------------------------------------------------------------------------------------------------------

def switches(engine: LlamaEngine, bare: Bare) -> float:
    """First token after a role switch, over the bare loop and under reading all again; returns tokens read a second."""
    print(f"""
1. First token after a role switch, {REPEATED} pairs a line. bare: the bare loop with the same tokens shared. alone: the
   role in an empty context; what bare takes longer than this is attention to what is shared, no overhead. again: all
   read anew, and the switch.
   shared  role    switch      bare  switch/bare               alone  bare/alone    again  again/switch""")
    alone = {n: median(in_turn(REPEATED, partial(bare.first_token, tail(engine, n)))[0]) for n in TAILS}
    laid = 0.0
    for part, shared in enumerate(SHARED, 1):
        ids = text(engine, shared)
        laid += reading(engine, ids, anew=part == 1)
        again, how = laid, f"COMPUTED from one reading (part {part} of the longest): too slow to repeat"
        if laid < SLOW:
            again, how = median(in_turn(REPEATED, partial(reading, engine, ids))[0]), f"median of {REPEATED}"
        print(f"   reading {shared} tokens: {again:.2f} s, {shared / again:.0f} tokens/s ({how})")
        bare.share(engine, ids)
        for n in TAILS:
            own, lone = tail(engine, n), alone[n]
            ours, theirs = in_turn(REPEATED, partial(first_token, engine, prompt(engine, ids, own)),
                                   partial(bare.first_token, own))
            a, b = median(ours), median(theirs)
            print(f"   {shared:6} {n:5} {a:7.3f} s {b:7.3f} s {ratio(ours, theirs):22} {lone:7.3f} s {b / lone:11.2f}"
                  f" {again + a:6.1f} s {(again + a) / a:13.0f}   aim: switch/bare <= 1.15")
    return shared / again


def restoring(engine: LlamaEngine, speed: float) -> None:
    """A lane from disk over reading it again; `speed`: tokens read a second, to know how often that can be afforded."""
    ids, repeated = text(engine, RESTORED), FEWER if RESTORED / speed > SLOW else REPEATED
    asked, alone = prompt(engine, ids, tail(engine, 5)), []
    with tempfile.TemporaryDirectory() as folder:
        snapshots = engine.snapshots = Snapshots(Path(folder))
        engine.prepare(asked, keep=True)
        (file,) = snapshots.files()

        def reread() -> float:
            engine.snapshots = None
            alone.append(reading(engine, ids))
            return alone[-1] + first_token(engine, asked)

        def restored() -> float:
            engine.snapshots = snapshots
            engine.lanes.forget()
            return first_token(engine, asked)

        def loaded() -> float:
            engine.lanes.forget()
            began = time.perf_counter()
            found = snapshots.best(engine._key_text(BASE), ids)
            state = snapshots.load(found) if found else None
            assert found and state and engine.lanes.restore(BASE, found.tokens, state)
            return time.perf_counter() - began

        def copied() -> float:
            began = time.perf_counter()
            file.read_bytes()
            return time.perf_counter() - began

        anew, back, load, copy = in_turn(repeated, reread, restored, loaded, copied)
        size = file.stat().st_size / 1e6
    engine.snapshots = None
    why = f" (not {REPEATED}: a reading takes over {SLOW:.0f} s)" if repeated < REPEATED else ""
    print(f"""
2. {RESTORED} tokens from disk over reading them again, {repeated} pairs{why}. The file has {size:.1f} MB and lies
   in the system's cache of files; the limit is to read its bytes, {median(copy):.4f} s.""")
    for what, slow, fast in ("first token", anew, back), ("state alone", alone[-repeated:], load):
        print(f"   {what}   read {median(slow):6.2f} s   from disk {median(fast):.4f} s   {ratio(slow, fast, 0):22}"
              f"   aim: >= 50")


def council(engine: LlamaEngine) -> None:
    """What 16 roles read and keep, over one."""
    length, own = COUNCIL
    shared, found = text(engine, length), []
    print(f"""
3. A council on {length} shared tokens, {own} tokens a role, answers left out. KV cells: distinct ones, counted
   by llama.cpp while all answers are being written.
   roles   tokens read   KV cells   a context for each""")
    for roles in (1, ROLES):
        engine.lanes.forget()
        before = engine.lanes.read_tokens
        asked = [prompt(engine, shared, tail(engine, own, role)) for role in range(roles)]
        streams: list[Any] = engine.stream_many(asked, [greedy(40)] * roles)
        for stream in streams:
            next(stream)
        written = sum(len(lane.tokens) - length - own for lane in engine.lanes.lanes if lane.busy)
        found.append((engine.lanes.read_tokens - before - written, cells(engine) - written))
        print(f"   {roles:5} {found[-1][0]:13} {found[-1][1]:10} {roles * (length + own):20}")
        for stream in streams:
            stream.close()
    read, held = (many - one for one, many in zip(*found, strict=True))
    print(f"   {ROLES} over 1: {read} tokens and {held} cells more   aim: {(ROLES - 1) * own}, the other roles alone")


def lingering(engine: LlamaEngine, bare: Bare) -> None:
    """The switch again, after other roles have answered: the engine keeps answers, so that they can be gone on with."""
    shared, own = text(engine, COUNCIL[0]), tail(engine, TAILS[0])
    engine.prepare(prompt(engine, shared, own))
    bare.share(engine, shared)
    for role in range(1, KEPT + 1):
        list(engine.stream(prompt(engine, shared, tail(engine, 100, role)), greedy(4)))
    held = cells(engine)
    ours, theirs = in_turn(REPEATED, partial(first_token, engine, prompt(engine, shared, own)),
                           partial(bare.first_token, own))
    print(f"""
4. A switch after {KEPT} roles of 100 tokens have answered: {len(own)} tokens on {len(shared)}, {REPEATED} pairs
   switch {median(ours):.3f} s with {held} cells held, bare {median(theirs):.3f} s with {len(shared)}
   switch/bare {ratio(ours, theirs)}   aim: <= 1.15""")


def streaming(engine: LlamaEngine, bare: Bare) -> None:
    """Tokens a second of one answer, over the bare loop."""
    asked, own = counting(engine, bare)
    ours, theirs = in_turn(REPEATED, partial(writing, engine, asked, WRITTEN), partial(bare.writing, own, WRITTEN))
    fast, limit = ((WRITTEN - 1) / median(took) for took in (ours, theirs))
    print(f"\n5. Writing {WRITTEN} tokens, {REPEATED} pairs\n   stream {fast:.1f} tokens/s, bare {limit:.1f} tokens/s, "
          f"stream/bare {ratio(theirs, ours, 3)}   aim: >= 0.97")


def together(engine: LlamaEngine, bare: Bare) -> None:
    """Tokens a second of several answers in one batch, over one answer and over the bare loop."""
    asked, own = counting(engine, bare)
    print(f"""
6. Answers written together, {WRITTEN_TOGETHER} tokens each, {REPEATED} pairs a line; tokens/s of all
   answers   stream_many      bare  stream_many/bare      over one answer""")
    one, n = 0.0, WRITTEN_TOGETHER
    for k in TOGETHER:
        ours, theirs = in_turn(REPEATED, partial(writing, engine, asked, n, k), partial(bare.writing, own, n, k))
        fast, limit = (k * (n - 1) / median(took) for took in (ours, theirs))
        one = one or fast
        print(f"   {k:7} {fast:13.1f} {limit:9.1f}  {ratio(theirs, ours):20} {fast / one:16.2f}   "
              f"aim: stream_many/bare >= 0.97")


def start() -> float:
    """Seconds of `twin --help`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "twin", "--help"], capture_output=True, check=True)
    return time.perf_counter() - began


def main(*names: str) -> None:
    """Measure each core, then the command line."""
    for name in names or ("smollm2-135m",):
        began = time.perf_counter()
        engine = LlamaEngine(Catalog().path(name), n_ctx=N_CTX, trusted=True)
        bare = Bare(engine)
        print(f"{name}: context {engine.n_ctx}, batch {bare.n_batch}, {bare.threads} threads")
        restoring(engine, switches(engine, bare))
        council(engine)
        lingering(engine, bare)
        streaming(engine, bare)
        together(engine, bare)
        bare.close()
        engine.close()
        print(f"\n{name} took {time.perf_counter() - began:.0f} s")
    times = in_turn(REPEATED, start)[0]
    print(f"\n7. twin --help {median(times):.2f} s [{min(times):.2f}..{max(times):.2f}]   aim: <= 0.3")


if __name__ == "__main__":
    main(*sys.argv[1:])
