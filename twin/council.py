"""A council: roles answer one question over one shared context, each alone; what they say is weighed, then answered.

No member reads another. Prompts come rendered, what is shared first and the role's tail last, so that one reading
serves all. A member that fails is named and the others go on. Roles of one core are not independent votes: `control`
answers with one role sampled to the same number of tokens, which is what a council has to beat.
"""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event as Flag

from twin import synthesis
from twin.calibration import Track
from twin.errors import TwinError, UsageError
from twin.hypotheses import NoClaims, Unusable, cluster, parse, schema
from twin.roles import CouncilPolicy, RoleMap
from twin.types import (
    Control,
    Embedder,
    Engine,
    Event,
    Hypothesis,
    Piece,
    Prompt,
    Recalled,
    Route,
    Sampling,
    Token,
    Usage,
    Verdict,
    Weighed,
    never,
)
from twin.weighing import Calibration, medoid, prior, weigh
from twin.weighing import effective_votes as effective_votes

BATCH = 8    # samples of the control that are written at once
WARM = 0.7   # temperature of the control for a role that is greedy: equal samples would be one

# Seven ways to ask Qwen 1.5B for a brief claim were tried on three questions: asked in words alone it wrote half
# sentences, shown examples in numbers it copied them (5 of 9 claims); this one sets up calculations and copies nothing.
# A calculation is all the thinking that fits 32 tokens, and clusters count it by its result.
_INSTRUCTION = {
    "en": {"evidence": "Answer with JSON alone. evidence: numbers of the records that say it, [] if none. ",
           "brief": "claim: only a calculation in the numbers of the question, step by step, like A*B=C, C-D=E, or one "
                    'to four words that were asked for, or "unknown" if no record says it. Never a sentence.',
           "full": "claim: your one answer to the question, one definite sentence in English; say so if it cannot be "
                   "known. prediction: what will be seen if it is true. falsifier: what would refute it. unit: of what "
                   "is measured, or empty."},
    "ru": {"evidence": "Ответь только JSON. evidence: номера записей, где это сказано, [] - если нигде. ",
           "brief": "claim: только вычисление из чисел вопроса, по шагам, вроде A*B=C, C-D=E, или одно-четыре слова, о "
                    'которых спросили, или "неизвестно", если ни в одной записи этого нет. Не предложение.',
           "full": "claim: твой единственный ответ на вопрос, одно определённое предложение по-русски; скажи, если "
                   "узнать нельзя. prediction: что будет видно, если он верен. falsifier: что его опровергло бы. unit: "
                   "единица того, что измеряется, или пусто."},
}


def instruction(language: str, brief: bool = False) -> str:
    """What is added last to a member's header, so that it writes a typed hypothesis."""
    words = _INSTRUCTION["ru" if language == "ru" else "en"]
    return words["evidence"] + words["brief" if brief else "full"]


# ---- who sits, and when -------------------------------------------------------------------------------------------

def members(role_map: RoleMap, policy: CouncilPolicy, route: Route, n: int | None = None) -> list[str]:
    """Ids of the roles that sit: the routed one, then by probability those the policy names (all, if it names none).

    At most `policy.max_n`, and at most `n`. Raises UsageError for less than one.
    """
    if n is not None and n < 1:
        raise UsageError(f"A council of {n} cannot sit.", "Ask for one member or more.")
    able = [one for one in role_map.ids if one in policy.members or not policy.members]
    rest = sorted((one for one in able if one != route.role), key=lambda one: -route.probabilities.get(one, 0.0))
    return [route.role, *rest][:min(policy.max_n, n or policy.max_n)]


def best(names: Sequence[str], calibration: Calibration | None) -> str:
    """The role of these that was right most often on the probe; the routed one, which sits first, without a probe."""
    seen = calibration.track if calibration else {}

    def rate_of(name: str) -> float:
        hits, misses = seen.get(name, (0.0, 0.0))
        return (1 + hits) / (2 + hits + misses)

    return max(names, key=rate_of)


def called_for(policy: CouncilPolicy, route: Route, level: float | None) -> bool:
    """Whether the policy calls a council by itself, for a question of this depth (None: not known) and this route.

    Never where the person named a role.
    """
    if policy.on != "policy" or route.asked:
        return False
    spread = -sum(p * math.log(p) for p in route.probabilities.values() if p > 0)
    return (policy.depth is not None and level is not None and level >= policy.depth) or (
        policy.entropy is not None and spread >= policy.entropy)


# ---- a council ----------------------------------------------------------------------------------------------------

@dataclass
class _Heard:
    """What came of the members so far."""

    hypotheses: list[Hypothesis]
    failed: dict[str, str]
    tokens: int = 0
    prompt_tokens: int = 0
    reused: int = 0
    first_s: float = 0.0
    stopped: bool = False
    error: TwinError | None = None


def deliberate(engine: Engine, prompts: Mapping[str, Prompt], samplings: Mapping[str, Sampling], *, question: str,
               memories: Sequence[Recalled], calibration: Calibration | None = None, track: Track | None = None,
               embedder: Embedder | None = None, strong: bool = False, brief: bool = False,
               second: Mapping[str, Engine] | None = None, failed: Mapping[str, str] | None = None,
               cancel: Callable[[], bool] = never) -> Generator[Event, None, Verdict]:
    """Hold a council. Yields each Hypothesis in the order of `prompts`, Weighed, and the answer as Token.

    The value is the verdict; its tokens are those that were written. Stopped half-way it is what was heard by then,
    with no answer. `strong`: the core writes a synthesis. `brief`: claims of a few words. `second`: the roles that
    another core answers, meanwhile; `failed`: those that could not be asked. Raises UsageError for no
    member; where nobody gave an answer, the error of the engine or NoClaims.
    """
    if not prompts:
        raise UsageError("A council without members cannot sit.", "Name at least one role.")
    began = time.perf_counter()
    heard = yield from _hear(engine, prompts, samplings, len(memories), brief, second or {}, failed or {}, cancel)
    if not heard.hypotheses and not heard.stopped:
        reasons = "; ".join(f"{role}: {why}" for role, why in heard.failed.items())
        raise heard.error or NoClaims(f"No member of the council gave an answer that can be used ({reasons}).", "",
                                      "Ask again, or ask one role.")
    verdict = _weighed(heard, question, memories, calibration, track, embedder)
    verdict = replace(verdict, seconds=time.perf_counter() - began)
    if heard.stopped:
        return verdict
    yield Weighed(verdict)
    if strong and verdict.how == "medoid":
        answer, verdict = _synthesised(engine, verdict, question, cancel)
    else:
        answer = synthesis.answer(verdict, question)
    if answer:
        yield Token(answer)
    return replace(verdict, seconds=time.perf_counter() - began)


def _synthesised(engine: Engine, verdict: Verdict, question: str, cancel: Callable[[], bool]) -> tuple[str, Verdict]:
    """The core's own answer to what was heard; the medoid where it fails: what was heard is not lost for that."""
    try:
        answer, verdict, usage = synthesis.synthesise(engine, verdict, question, cancel=cancel)
    except TwinError as error:
        return synthesis.answer(verdict, question), without(verdict, synthesis.SYNTHESIS, error)
    return answer, replace(verdict, tokens=verdict.tokens + usage.generated, reused=verdict.reused + usage.reused,
                           prompt_tokens=verdict.prompt_tokens + usage.prompt_tokens)


def without(verdict: Verdict, part: str, error: TwinError) -> Verdict:
    """The verdict where a part of it failed: that is named, and what was heard stays."""
    return replace(verdict, failed={**verdict.failed, part: named(error)})


def named(error: TwinError) -> str:
    """What failed, as it stands in Verdict.failed."""
    return f"{type(error).__name__}: {error.what}"


def _hear(engine: Engine, prompts: Mapping[str, Prompt], samplings: Mapping[str, Sampling], memories: int, brief: bool,
          second: Mapping[str, Engine], failed: Mapping[str, str],
          cancel: Callable[[], bool]) -> Generator[Event, None, _Heard]:
    """Pull the members one after the other; those with the same adapters are written in one batch meanwhile, and those
    of the second core in a thread of their own."""
    began, heard, form = time.perf_counter(), _Heard([], dict(failed)), schema(memories, brief=brief)
    here = [role for role in prompts if role not in second]
    streams = dict(zip(here, engine.stream_many(
        [prompts[role] for role in here], [samplings[role] for role in here], schemas=[form] * len(here),
        cancel=cancel), strict=True))
    left = Flag()
    pool = ThreadPoolExecutor(1, "twin-second") if second else None

    def elsewhere(role: str) -> tuple[str, Piece]:
        return _read(second[role].stream(prompts[role], samplings[role], schema=form,
                                         cancel=lambda: left.is_set() or cancel()))

    there = {role: pool.submit(elsewhere, role) for role in second} if pool else {}
    try:
        for role in prompts:
            try:
                raw, last = there[role].result() if role in there else _read(streams[role])
                used = last.usage or Usage()
                heard.tokens += used.generated
                heard.prompt_tokens += used.prompt_tokens
                heard.reused += used.reused
                heard.stopped |= last.finish == "cancelled"
                if last.finish == "cancelled":
                    continue
                made = parse(raw, role=role, memories=memories, finish=last.finish or "stop", brief=brief)
            except TwinError as error:
                heard.failed[role] = named(error)
                if not isinstance(error, Unusable) and role not in there:
                    heard.error = heard.error or error
                continue
            heard.hypotheses.append(made)
            heard.first_s = heard.first_s or time.perf_counter() - began
            yield made
    finally:
        left.set()
        if pool:
            pool.shutdown(cancel_futures=True)
        for stream in streams.values():
            _close(stream)
    return heard


def _read(stream: Iterator[Piece]) -> tuple[str, Piece]:
    """All that is written, and the last piece."""
    raw, last = "", Piece("", "stop")
    for last in stream:
        raw += last.text
    return raw, last


def _close(stream: Iterator[Piece]) -> None:
    """Give back what a stream that was not read to its end holds."""
    if close := getattr(stream, "close", None):
        close()


def _weighed(heard: _Heard, question: str, memories: Sequence[Recalled], calibration: Calibration | None,
             track: Track | None, embedder: Embedder | None) -> Verdict:
    """The verdict on what was heard, with each hypothesis under its opinion."""
    groups = cluster(heard.hypotheses, embedder, question=question)
    known = calibration or prior()
    opinions, none, votes, order = weigh(heard.hypotheses, groups, question=question, memories=memories,
                                         calibration=known, track=track)
    place = {i: rank for rank, c in enumerate(order) for i in groups[c]}
    marked = tuple(replace(one, opinion=place[i], weight=opinions[place[i]].weight)
                   for i, one in enumerate(heard.hypotheses))
    return synthesis.settled(Verdict(marked, opinions, none, votes, known.n, failed=heard.failed, tokens=heard.tokens,
                                     prompt_tokens=heard.prompt_tokens, reused=heard.reused, first_s=heard.first_s))


# ---- the control --------------------------------------------------------------------------------------------------

def control(engine: Engine, prompt: Prompt, sampling: Sampling, tokens: int, *, role: str, question: str = "",
            memories: Sequence[Recalled] = (), embedder: Embedder | None = None, brief: bool = False,
            cancel: Callable[[], bool] = never) -> Control:
    """One role sampled to as many tokens as `tokens`, as near as whole answers come: its commonest answer, of equals
    the one that came first. `question`: what was asked, for what counts as the same answer.

    A greedy role is sampled at WARM. The answer is '' where no sample could be used. Raises the engine's errors.
    """
    began, form = time.perf_counter(), schema(len(memories), brief=brief)
    warm = sampling if sampling.temperature > 0 else replace(sampling, temperature=WARM)
    heard: list[Hypothesis] = []
    samples = spent = 0
    stopped = False
    while not stopped and (not samples or tokens - spent >= spent / samples / 2):  # one more comes nearer
        each = spent / samples if samples else warm.max_tokens
        n = min(BATCH, max(1, int((tokens - spent) / each)))
        drawn = [replace(warm, seed=None if warm.seed is None else warm.seed + samples + k) for k in range(n)]
        for stream in engine.stream_many([prompt] * n, drawn, schemas=[form] * n, cancel=cancel):
            raw, last = _read(stream)
            samples, spent = samples + 1, spent + max(last.usage.generated if last.usage else 0, 1)
            stopped |= last.finish == "cancelled"
            try:
                heard.append(parse(raw, role=role, memories=len(memories), finish=last.finish or "stop", brief=brief))
            except Unusable:
                continue  # counted, as it was paid for
    return Control(role, majority(heard, embedder, question), samples, spent, time.perf_counter() - began)


def majority(hypotheses: Sequence[Hypothesis], embedder: Embedder | None = None, question: str = "") -> str:
    """The commonest answer among samples, of equals the one that came first; '' for none (self-consistency, Wang 2023).
    """
    groups = cluster(hypotheses, embedder, question=question)
    if not groups:
        return ""
    most = [hypotheses[i] for i in max(groups, key=lambda group: (len(group), -group[0]))]
    return most[medoid(most)].text
