"""What a core does on this machine, measured by any engine's own door: tokens a second and seconds, on invented words.

Every prompt begins with words nobody has drawn before, so that nothing of it can be reused but what a figure is about;
answers are greedy. Knows no home and no ledger.
"""
from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from statistics import median, stdev

from twin.bench.machine_told import Told, told
from twin.bench.report import HIGHEST, UNITS, Figure, Method, Metric, Report, line, middle, predicted
from twin.errors import CannotDo, ContextFull, PromptTooLong, UsageError
from twin.prompt import plain
from twin.types import Engine, Piece, Progress, Prompt, Sampling, Usage, never

FEWEST = 8      # tokens after the first that a rate is taken over
TAIL = 48       # tokens of a role's instruction
_FRAME = 64     # tokens at most for the task and the chat form around the words
# A core goes on counting, so that hardly any answer ends by itself.
_TASK = "Count on in digits, one number after another, up to 9999: 1, 2, 3, 4, 5, 6, 7,"
# Of 2 to 5 readings: the 97.5 % quantile of Student's t, times how much wider a median scatters than a mean (normal
# order statistics: 1, 1.160, 1.092, 1.198).
_T = (12.706, 4.303 * 1.160, 3.182 * 1.092, 2.776 * 1.198)


@dataclass(frozen=True)
class Sizes:
    """What is measured: lengths of prompts in tokens, tokens of an answer, roles that take turns, members of a council,
    how often, and tokens of the history that roles and members share. Raises UsageError for what gives no figure."""

    prefill: tuple[int, ...] = (128, 512, 2048)
    decode: int = 64
    roles: int = 4
    council: int = 4
    repeats: int = 3
    shared: int = 512

    def __post_init__(self) -> None:
        if not self.prefill or min(*self.prefill, self.shared) < 2 * _FRAME or self.decode <= FEWEST \
                or min(self.roles, self.council, self.repeats) < 2:
            raise UsageError("These sizes give no figure.", f"Take prompts of {2 * _FRAME} tokens or more, answers of "
                             f"more than {FEWEST}, and two roles, members and repeats at least.")

    def fitting(self, n_ctx: int) -> tuple[int, ...]:
        """The lengths of prompts that a context holds with their answer, in order."""
        return tuple(sorted({one for one in self.prefill if one + self.decode + _FRAME <= n_ctx}))


FULL = Sizes()
QUICK = Sizes((128, 512), 32, 3, 3, 3, 256)  # under a minute on two slow processors with SmolLM2-135M


class _Stopped(Exception):
    """The person stopped it; what was measured by then is kept."""


def run(engine: Engine, sizes: Sizes = FULL, *, prediction: Mapping[str, tuple[float, float, float]] | None = None,
        note: str = "", progress: Progress | None = None, cancel: Callable[[], bool] = never,
        seed: int | None = None, clock: Callable[[], float] = time.perf_counter,
        known: Told | None = None) -> Report:
    """Measure an engine. `prediction`: metric -> (low, value, high) of prefill and decode in tok/s and memory in bytes.

    What cannot be measured is left out and named; when it is stopped, what is complete by then is kept. `seed`: of the
    words, drawn anew when None, for a server may remember those of an earlier run. `known`: what `told(engine)` gave.
    Raises UsageError where nothing could be measured, and what the engine raises.
    """
    expected, found = predicted(prediction), known or told(engine)
    bench = _Bench(engine, sizes, progress, cancel, Random(seed), clock)  # noqa: S311 - words, no secret
    bench.all()
    figures = list(bench.figures())
    if not figures:
        raise UsageError("Nothing could be measured.", f"{'; '.join(bench.left_out)}.")
    figures += _memory(found, engine.n_ctx, bench.left_out)
    return Report(
        when=datetime.now(UTC).date(), core=found.core, placement=found.where, build=found.build,
        method=Method(shared=sizes.shared, decode=sizes.decode, roles=sizes.roles, council=sizes.council,
                      repeats=sizes.repeats),
        figures=tuple(figures), prediction=expected, left_out=tuple(map(line, bench.left_out)), note=line(note))


def _memory(found: Told, n_ctx: int, left_out: list[str]) -> Iterator[Figure]:
    held: dict[Metric, int] = {"memory": found.memory, "buffers": sum(found.buffers.values())}
    for metric, value in held.items():
        if value:
            yield Figure(metric=metric, unit="bytes", value=value, low=value, high=value, n=1, at=n_ctx)
    if not found.memory:
        left_out.append("memory: the core runs in no process of this machine that tells it")


def interval(readings: Sequence[float]) -> tuple[float, float, float]:
    """(low, median, high) of readings above 0, at least two: a 95 % interval of the median.

    From six readings on by order statistics, free of any distribution: the narrowest pair x(k), x(n+1-k) with
    P(Bin(n, 1/2) < k) <= 2.5 %. Of fewer no pair reaches 95 %; there Student's t on the logarithms, widened for a
    median.
    """
    values, n = sorted(readings), len(readings)
    centre = median(values)
    if n > len(_T) + 1:
        k = _rank(n)
        return values[k - 1], centre, values[n - k]
    factor = math.exp(min(_T[n - 2] * stdev(map(math.log, values)) / math.sqrt(n), 12.0))
    return centre / factor, centre, centre * factor


def _rank(n: int) -> int:
    below, k = 1, 0
    while 40 * below <= 2**n:
        k += 1
        below += math.comb(n, k)
    return k


@dataclass(frozen=True)
class _Answer:
    """Seconds to the first piece and from there to the end, on the clock of who asked."""

    first_s: float
    rest_s: float
    usage: Usage


class _Bench:
    """One run over one engine."""

    def __init__(self, engine: Engine, sizes: Sizes, progress: Progress | None, cancel: Callable[[], bool],
                 random: Random, clock: Callable[[], float]) -> None:
        self.engine, self.sizes, self.cancel, self.clock = engine, sizes, cancel, clock
        self.progress = progress or (lambda *_: None)
        self.left_out: list[str] = []
        self._random = random
        self._readings: dict[tuple[Metric, int], list[float]] = defaultdict(list)

    def figures(self) -> Iterator[Figure]:
        """Of every metric that was read at least twice."""
        order = list(UNITS)
        for metric, at in sorted(self._readings, key=lambda one: (order.index(one[0]), one[1])):
            readings = self._readings[metric, at]
            if len(readings) < 2:
                self.left_out.append(f"{metric} at {at}: read {len(readings)} times, which gives no interval")
                continue
            low, value, high = interval(readings)
            high = min(high, HIGHEST[UNITS[metric]])  # of two readings that differ it reaches anywhere
            yield Figure(metric=metric, unit=UNITS[metric], value=value, low=low, high=high,
                         n=len(readings), at=at)

    def all(self) -> None:
        """Measure part after part. A part that the engine refuses is named, and the others go on."""
        try:
            self._ask(self._prompt(2 * _FRAME), FEWEST)  # a core that has just been loaded reads its weights first
            for part, name in ((self.lengths, "reading and writing"), (self.switches, "role switch"),
                               (self.councils, "council")):
                try:
                    part()
                except (CannotDo, ContextFull, PromptTooLong) as error:
                    self.left_out.append(f"{name}: {error.what}")
        except _Stopped:
            self.left_out.append("the rest: it was stopped")

    # ---- parts -------------------------------------------------------------------------------------------------

    def lengths(self) -> None:
        """Reading prompts of each length; after the shortest and the longest an answer is written as well."""
        fit = self.sizes.fitting(self.engine.n_ctx)
        for length in sorted(set(self.sizes.prefill) - set(fit)):
            self.left_out.append(f"prefill at {length}: the context holds {self.engine.n_ctx} tokens")
        ended = 0
        for turn in range(self.sizes.repeats):
            for length in fit:
                self.progress("reading and writing", turn, self.sizes.repeats)
                writes = length in (fit[0], fit[-1])
                answer = self._ask(self._prompt(length), self.sizes.decode if writes else 1)
                read = (answer.usage.prompt_tokens or length) - answer.usage.reused
                if read >= length / 2:
                    self._read("prefill", length, read / answer.first_s)
                if writes and answer.usage.generated > FEWEST:
                    self._read("decode", length, (answer.usage.generated - 1) / answer.rest_s)
                elif writes:
                    ended += 1
        if ended:
            self.left_out.append(f"decode: {ended} answers ended by themselves within {FEWEST} tokens")
        self.progress("reading and writing", self.sizes.repeats, self.sizes.repeats)

    def switches(self) -> None:
        """A history that is new, then the same with other roles: what is read again is the role's own."""
        shared, repeats = self.sizes.shared, self.sizes.repeats
        if shared + TAIL + _FRAME > self.engine.n_ctx:
            self.left_out.append(f"role switch at {shared}: the context holds {self.engine.n_ctx} tokens")
            return
        for turn in range(repeats):
            self.progress("role switch", turn, repeats)
            history = self._words(shared - _FRAME)
            for role in range(self.sizes.roles):
                answer = self._ask(self._prompt(shared, history, role), 1)
                self._read("switch" if role else "anew", shared, answer.first_s)
        self.progress("role switch", repeats, repeats)

    def councils(self) -> None:
        """Members on a history that was read, in one batch and, on another one, each after the other."""
        shared, n, repeats = self.sizes.shared, self.sizes.council, self.sizes.repeats
        if shared + _FRAME + n * (TAIL + _FRAME + self.sizes.decode) > self.engine.n_ctx:
            self.left_out.append(f"council of {n}: the context holds {self.engine.n_ctx} tokens")
            return
        for turn in range(repeats):
            for together in (True, False):
                self.progress("council", turn, repeats)
                history = self._words(shared - _FRAME)
                self._ask(self._prompt(shared, history, n), 1)
                asked = [self._prompt(shared, history, member) for member in range(n)]
                seconds, written = self._together(asked) if together else self._in_turn(asked)
                self._read("council time" if together else "serial time", n, seconds)
                if written:
                    self._read("council" if together else "serial", n, written / seconds)
        self.progress("council", repeats, repeats)

    # ---- one reading -------------------------------------------------------------------------------------------

    def _read(self, metric: Metric, at: int, value: float) -> None:
        self._readings[metric, at].append(value)

    def _greedy(self, n: int) -> Sampling:
        return Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=n)

    def _ask(self, asked: Prompt, n: int) -> _Answer:
        began = self.clock()
        stream = self.engine.stream(asked, self._greedy(n), cancel=self.cancel)
        first: float | None = None
        usage = Usage(finish="cancelled")
        pieces = 0
        for piece in stream:
            first = self.clock() if first is None else first
            pieces += bool(piece.text)
            usage = piece.usage or usage
        ended = self.clock()
        self._unless_stopped(usage)
        first = ended if first is None else first
        # A server that counts nothing sends about a piece a token.
        return _Answer(max(first - began, 1e-9), max(ended - first, 1e-9),
                       usage if usage.generated else Usage(usage.prompt_tokens, usage.reused, generated=pieces))

    def _together(self, asked: Sequence[Prompt]) -> tuple[float, int]:
        """Seconds and tokens of all answers at once."""
        began = self.clock()
        streams = self.engine.stream_many(asked, [self._greedy(self.sizes.decode)] * len(asked), cancel=self.cancel)
        pieces, going = 0, list(streams)
        ends: list[Usage] = []
        while going:
            for stream in list(going):
                piece: Piece | None = next(stream, None)
                if piece is None:
                    going.remove(stream)
                    continue
                pieces += bool(piece.text)
                if piece.usage:
                    ends.append(piece.usage)
        took = max(self.clock() - began, 1e-9)
        for usage in ends:
            self._unless_stopped(usage)
        return took, sum(usage.generated for usage in ends) or pieces

    def _in_turn(self, asked: Sequence[Prompt]) -> tuple[float, int]:
        answers = [self._ask(one, self.sizes.decode) for one in asked]
        return sum(one.first_s + one.rest_s for one in answers), sum(one.usage.generated for one in answers)

    def _unless_stopped(self, usage: Usage) -> None:
        if usage.finish == "cancelled" or self.cancel():
            raise _Stopped

    # ---- prompts -----------------------------------------------------------------------------------------------

    def _prompt(self, length: int, words: str | None = None, role: int | None = None) -> Prompt:
        """About `length` tokens of one user's message, and a role's instruction after it where a role is meant."""
        said = words or self._words(length - _FRAME)
        told_last = "" if role is None else f"You are member {role}. {self._words(TAIL - 16)}"
        return plain(self.engine.family, [("user", f"{said}\n\n{_TASK}")], told_last)

    def _words(self, n: int) -> str:
        """Invented words of about n tokens, by the core's own count."""
        made = [_word(self._random) for _ in range(n)]
        for _ in range(3):
            counted = len(self.engine.tokenize(" ".join(made)))
            if abs(counted - n) <= max(2, n // 50):
                break
            wanted = max(1, round(len(made) * n / max(counted, 1)))
            made = made[:wanted] + [_word(self._random) for _ in range(wanted - len(made))]
        return " ".join(made)


def _word(random: Random) -> str:
    return "".join(random.choice("bdfgklmnprstvz") + random.choice("aeiou") for _ in range(random.choice((2, 3))))


def headline_length(sizes: Sizes, n_ctx: int, metric: Metric) -> int:
    """The `at` of the figure that a prediction of this metric speaks of, known before it is measured (see
    Report.headline); 0 where none will fit."""
    fit = sizes.fitting(n_ctx)
    return n_ctx if metric == "memory" else 0 if not fit else fit[middle(len(fit)) if metric == "prefill" else 0]
