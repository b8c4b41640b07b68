"""What roles cost over a whole conversation, without idle gaps: python -m tests.bench.conversations [MODEL] [options].

Twenty messages (three of them Russian, in one run) to four seed roles; who answers is drawn beforehand with a fixed
share of switches. Every turn goes through twin.prompt.render and engine.stream as in Twin, and is kept with the ids it
was written with; headers are English throughout, so that only a change of role brings one. Beside it: (a) one role, the
ordinary chat; (b) all read again at each switch; (c) llama-server (see tests/bench/llama_server.py) with the same
prompts as token ids, the same threads, cache type and flash attention, in one slot, a slot a role, or a slot a set of
weights. Its batch is 128 as ours or its own, whichever reads a long prompt faster; the program says which.

Every answer has exactly 48 tokens, greedy: end-of-answer and all control tokens are forbidden on both sides, so that
token counts do not hang on what is said. For that the engine's sampler chain is replaced by one with that bias.
Adapters are random (tests/tiny.py) and load before the clock starts; so does the server. Each variant begins with an
empty cache; the constitution is read inside the clock. Rendering and tokenising are inside it, on both sides.

`read` counts prompt tokens computed, `header` those of instructions, `again` those of earlier exchanges that had been
read or written before, among them the last token of each answer, which is never decoded while it is written. Ours
reads with the base again what an activated LoRA wrote; llama-server keeps it as if the base had read it: fewer tokens,
not what a cold reading gives. (It also switches the adapter on one token before its invocation: with the same boundary
ours writes the same text.) Both sides have the cells of `--n-ctx` four times.
--idle runs ours once more with engine.prepare between turns, as Twin.settle does it, its seconds counted apart.
Figures: medians over --runs, runs interleaved. Run it on an idle machine: where other programs want the cores,
OpenMP's spinning threads make both sides many times slower, and OMP_WAIT_POLICY=passive helps.
"""
from __future__ import annotations

import argparse
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests import tiny
from tests.bench.llama_server import Reply, Server, faster_batch
from twin import machine, roles
from twin.catalog import Catalog
from twin.engine import library, sampler
from twin.engine.llama import BATCH, LlamaEngine
from twin.engine.weights import Weights
from twin.prompt import REPEATS, render
from twin.types import Adapter, Prompt, Route, Sampling, Turn, Written

ROLES = ("architect", "critic", "empiricist", "mentor")
HEADERS = {role: roles.header(roles.seed().role(role), "en") for role in ROLES}
N = 48  # tokens an answer
SMALL = "smollm2-135m"
SHAPES = {SMALL: tiny.SMOLLM2_135M, "qwen2.5-coder-1.5b": tiny.QWEN25_CODER_1_5B}
MESSAGES = (
    "I want to turn the yard behind our house into a garden that six families can share.",
    "There is room for about twelve beds, one shed and a place where children can play. How would you divide it?",
    "Half of the yard lies in shade until noon. Does that change the plan?",
    "My neighbour says raised beds are a waste of money. What is wrong with her argument, if anything?",
    "How could we find out in one season whether raised beds are worth it here?",
    "We have 900 euros. Which three things should we buy first?",
    "I have never led a group. What should I do at the first meeting so that it does not end in a quarrel?",
    "One family wants to use a strong pesticide. The others are against it, but nobody says so aloud.",
    "Suppose we forbid it. What could go wrong with such a rule?",
    "Муж считает, что общий огород развалится за год, потому что люди ленивы. Что ему ответить?",
    "Как проверить, хватит ли нам воды из колодца на всё лето?",
    "Предложи простое расписание полива, чтобы никто не чувствовал себя обиженным.",
    "The well gave 300 litres a day in June. Is that enough for twelve beds?",
    "What did I forget in the plan so far?",
    "Explain compost to me as if I had never seen a garden.",
    "Our compost smells of ammonia. What would you look at first, and what would the result tell you?",
    "Two beds gave nothing this year. Give me three explanations and say how to tell them apart.",
    "A newspaper wants to write about us. Which weak point will a sceptical reader find?",
    "Next year four more families want to join. Where do they fit?",
    "What have I learned this year, and what is the next small step?",
)


@dataclass(frozen=True)
class Cast:
    """What adapter each of the four roles has ('' for none), and whether roles bring a header along."""

    kinds: tuple[str, ...]
    headers: bool = True
    alone: bool = False  # the first role answers everything


CASTS = {"one role": Cast(("",) * 4, alone=True), "prompt": Cast(("",) * 4), "alora": Cast(("alora",) * 4),
         "compiled": Cast(("alora",) * 4, headers=False), "mixed": Cast(("", "", "alora", "lora")),
         "lora": Cast(("lora",) * 4)}


@dataclass(frozen=True)
class Variant:
    """One way to hold the conversation. slots: '' for our engine, else how llama-server's slots are given out."""

    cast: str
    how: str = ""
    slots: str = ""
    forget: bool = False
    idle: bool = False

    @property
    def name(self) -> str:
        """As it stands in the table and is matched by --only."""
        return f"{'server' if self.slots else 'ours'}: {self.cast}{', ' + self.how if self.how else ''}"


OURS = [Variant(cast) for cast in CASTS]
AGAIN = Variant("prompt", "all read again (b)", forget=True)
SERVER = [Variant(cast, how, how) for cast, how in (
    ("one role", "one slot"), ("prompt", "one slot"), ("prompt", "slot a role"), ("alora", "one slot"),
    ("compiled", "one slot"), ("mixed", "slot a set of weights"), ("lora", "slot a role"))]


@dataclass
class Figures:
    """Sums over a conversation. `to_first`: seconds until the first token of each answer, of `wall`."""

    wall: float = 0.0
    to_first: float = 0.0
    read: int = 0
    header: int = 0
    again: int = 0
    written: int = 0
    idle_s: float = 0.0
    idle_read: int = 0


Speak = Callable[[Prompt, str], Reply]  # a prompt and the role that is asked


def draw(rate: float, turns: int, seed: int = 27) -> list[str]:
    """Who answers each turn: `rate` of the turns after the first go to another role than the one before.

    The seed is one with which each role speaks four to six times in 20 turns at a rate of 0.65.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret
    switches = set(dice.sample(range(1, turns), round(rate * (turns - 1))))
    said = [dice.choice(ROLES)]
    for turn in range(1, turns):
        said.append(dice.choice([role for role in ROLES if role != said[-1]]) if turn in switches else said[-1])
    return said


def never_end(engine: LlamaEngine) -> list[int]:
    """Forbid the end of an answer and all control tokens from now on, in this process; returns these tokens."""
    lib, weights = library.llama(), engine.weights
    banned = [token for token in range(weights.n_vocab) if weights.ends(token) or weights.is_control(token)]

    def chain(_weights: Weights, _sampling: Sampling, _schema: Any) -> Any:
        made = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        biases = (lib.llama_logit_bias * len(banned))(*((token, float("-inf")) for token in banned))
        lib.llama_sampler_chain_add(made, lib.llama_sampler_init_logit_bias(weights.n_vocab, len(banned), biases))
        lib.llama_sampler_chain_add(made, lib.llama_sampler_init_greedy())
        return made

    sampler.chain = chain  # type: ignore[assignment]
    return banned


def make_adapters(engine: LlamaEngine, name: str, folder: Path) -> dict[tuple[str, str], Adapter]:
    """One random adapter for each role and kind, loaded already: (role, kind) -> adapter."""
    opening = engine.tokenize(engine.family.opening, special=True)
    made = {("", ""): Adapter("")}
    for seed, role in enumerate(ROLES):
        for kind in ("lora", "alora"):
            path = tiny.adapter(folder / f"{role}-{kind}.gguf", SHAPES.get(name, engine.path), kind, seed=seed,
                                invocation=opening, strength=0.6)
            made[role, kind] = Adapter(str(path))
            engine.weights.adapter(made[role, kind])
    return made


class Bench:
    """One core, one order of speakers, and both engines that hold the conversation."""

    def __init__(self, engine: LlamaEngine, adapters: dict[tuple[str, str], Adapter], banned: list[int],
                 program: Path | None, repeats: int) -> None:
        self.repeats = repeats
        self.engine, self.adapters, self.banned, self.batch = engine, adapters, banned, BATCH
        self.start = partial(Server, program or Path(), engine.path, slots=len(ROLES), n_ctx=engine.n_ctx,
                             threads=machine.processors())

    def hold(self, variant: Variant, order: Sequence[str]) -> Figures:
        """The whole conversation, from an empty cache."""
        cast = CASTS[variant.cast]
        if cast.alone:
            order = [order[0]] * len(order)
        self.engine.lanes.forget()
        if not variant.slots:
            return self._talk(variant, order, self._ours)
        used = sorted({kind_of(cast, role) for role in order if kind_of(cast, role)[1]})
        with self.start([Path(self.adapters[one].path) for one in used], self.batch) as server:
            def speak(made: Prompt, role: str) -> Reply:
                plan, kind = self.engine.plan(made, N), kind_of(cast, role)
                return server.complete([*plan.prefix, *plan.head, *plan.tail], N, never=self.banned,
                                       slot=slot_of(cast, role, variant.slots),
                                       adapter=used.index(kind) if kind in used else None)
            return self._talk(variant, order, speak)

    def choose_batch(self) -> str:
        """Settle the server's batch by a prompt of all messages and headers; what came of it, in words."""
        ids = self.engine.tokenize("\n".join([*MESSAGES, *HEADERS.values()]))
        self.batch, words = faster_batch(lambda batch: self.start((), batch), ids, BATCH)
        return words

    def _talk(self, variant: Variant, order: Sequence[str], speak: Speak) -> Figures:
        cast, sums, turns = CASTS[variant.cast], Figures(), list[Turn]()
        for i, (question, name) in enumerate(zip(MESSAGES, order, strict=False)):
            if variant.forget and i and name != order[i - 1]:
                self.engine.lanes.forget()
            began = time.perf_counter()
            kind = kind_of(cast, name)
            adapters = (self.adapters[kind],) if kind[1] else ()
            header = HEADERS[name] if cast.headers else ""
            made = self._render(question, name, header, turns, adapters)
            said = speak(made, name)
            sums.wall += time.perf_counter() - began
            assert len(said.ids) == N
            self._count(sums, made, said)
            turns.append(Turn(str(i), "bench", question, said.text, Route(name, {name: 1.0}, ""), "answered",
                              self.engine.id, "", header=header, adapted=bool(adapters),
                              written=Written(self.engine.id, tuple(said.ids))))
            if variant.idle:
                began = time.perf_counter()
                made = self._render("", name, "", turns, ())
                settled = tuple(segment for segment in made.prefix if segment.part != "question")
                sums.idle_read += self.engine.prepare(replace(made, prefix=settled))
                sums.idle_s += time.perf_counter() - began
        return sums

    def _render(self, question: str, role: str, header: str, turns: Sequence[Turn],
                adapters: Sequence[Adapter]) -> Prompt:
        engine = self.engine
        made = render(family=engine.family, question=question, header=header, role=role, history=turns,
                      count=lambda piece: len(engine.tokenize(piece)), budget=engine.n_ctx - N - 16,
                      adapters=adapters, repeats=self.repeats)
        if made.dropped:
            raise SystemExit(f"The conversation does not fit {engine.n_ctx} tokens: give a larger --n-ctx.")
        return made

    def _count(self, sums: Figures, made: Prompt, said: Reply) -> None:
        plan = self.engine.plan(made, N)
        sums.read += said.read
        sums.header += plan.header
        sums.again += sum(max(0, end - max(start, plan.length - said.read)) for start, end in plan.past)
        sums.written += len(said.ids)
        sums.to_first += said.reading_s

    def _ours(self, made: Prompt, _role: str) -> Reply:
        before = self.engine.lanes.read_tokens
        pieces = list(self.engine.stream(made, Sampling(temperature=0.0, max_tokens=N)))
        usage, written = pieces[-1].usage, pieces[-1].written
        assert usage and written
        read = self.engine.lanes.read_tokens - before - (N - 1)  # the last token drawn is not decoded
        return Reply(list(written.ids), "".join(piece.text for piece in pieces), read, usage.first_token_s)


def kind_of(cast: Cast, role: str) -> tuple[str, str]:
    """(role, kind) of the weights with which a role speaks; ('', '') is the base."""
    kind = cast.kinds[ROLES.index(role)]
    return (role, kind) if kind else ("", "")


def slot_of(cast: Cast, role: str, slots: str) -> int:
    """The server's slot for a role."""
    if slots == "one slot":
        return 0
    if slots == "slot a role":
        return ROLES.index(role)
    return sorted({kind_of(cast, one) for one in ROLES}).index(kind_of(cast, role))


def table(found: dict[Variant, list[Figures]]) -> Iterable[str]:
    """Lines of the table, and after it the best of the server for each cast."""
    yield f"{'':42}{'wall s':>8}{'x (a)':>7}{'to 1st':>8}{'read':>7}{'header':>7}{'again':>7}{'written':>8}"
    wall = {variant: statistics.median(one.wall for one in many) for variant, many in found.items()}
    alone = wall.get(OURS[0])
    for variant, many in found.items():
        last, first = many[-1], statistics.median(one.to_first for one in many)
        times = f"{wall[variant] / alone:7.2f}" if alone else f"{'-':>7}"
        idle = f"  idle {last.idle_s:.1f} s, {last.idle_read} tokens" if variant.idle else ""
        yield f"{variant.name:42}{wall[variant]:8.1f}{times}{first:8.1f}{last.read:7}{last.header:7}{last.again:7}" \
              f"{last.written:8}{idle}"
    for cast in CASTS:
        mine, theirs = Variant(cast), [variant for variant in found if variant.slots and variant.cast == cast]
        if mine in found and theirs:
            best = min(theirs, key=lambda variant: wall[variant])
            yield f"{cast}: {wall[mine] / wall[best]:.2f} of the best server's time ({best.how})"


def main() -> None:
    """Measure one core."""
    parser = argparse.ArgumentParser(description=str(__doc__).split(":")[0])
    parser.add_argument("model", nargs="?", default=SMALL)
    parser.add_argument("--server", type=Path, help="the program llama-server; without it part (c) is left out")
    parser.add_argument("--turns", type=int, default=len(MESSAGES))
    parser.add_argument("--switches", type=float, nargs="+", default=[0.65], help="shares of turns with another role")
    parser.add_argument("--runs", type=int, help="default: 3 for smollm2-135m, else 1")
    parser.add_argument("--only", nargs="+", default=["*"], help="variants by name, such as 'ours:*' '*lora*'")
    parser.add_argument("--skip", nargs="+", help="variants to leave out; default: none for smollm2-135m, else two")
    parser.add_argument("--idle", action="store_true", help="run ours once more with idle work between turns")
    parser.add_argument("--n-ctx", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="answers in a row that a header stands before")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a server never outlives the bench
    runs = asked.runs or (3 if asked.model == SMALL else 1)
    engine = LlamaEngine(Catalog().path(asked.model), n_ctx=asked.n_ctx, cells=4 * asked.n_ctx, trusted=True)
    wanted = [*OURS, AGAIN, *([replace(one, how="idle", idle=True) for one in OURS] if asked.idle else []),
              *(SERVER if asked.server else [])]
    skip = asked.skip or ([] if asked.model == SMALL else ["server: one role*", "server: prompt, slot a role"])
    wanted = [one for one in wanted if any(fnmatch(one.name, pattern) for pattern in asked.only)
              and not any(fnmatch(one.name, pattern) for pattern in skip)]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(engine, make_adapters(engine, asked.model, Path(folder)), never_end(engine), asked.server,
                      asked.repeats)
        print(f"{asked.model}, {machine.processors()} threads, {asked.turns} turns of {N} tokens, {runs} run(s)")
        if asked.server is None:
            print("llama-server: left out, no --server was given")
        elif any(one.slots for one in wanted):
            print(f"llama-server: {bench.choose_batch()}")
        for rate in asked.switches:
            order = draw(rate, asked.turns)
            print(f"\n{sum(one != other for one, other in pairwise(order))} switches of role")
            found: dict[Variant, list[Figures]] = {one: [] for one in wanted}
            for _ in range(runs):
                for one in wanted:
                    found[one].append(bench.hold(one, order))
            print("\n".join(table(found)), flush=True)
    engine.close()


if __name__ == "__main__":
    main()
