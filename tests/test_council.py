"""Members answer alone, over what they share; the same council says the same in the same order, whoever asks."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import tiny
from twin import roles
from twin.council import called_for, control, deliberate, effective_votes, instruction, majority, members
from twin.engine.llama import LlamaEngine
from twin.engine.scripted import ScriptedEngine
from twin.errors import PromptTooLong, UsageError
from twin.hypotheses import NoClaims
from twin.prompt import plain
from twin.types import (
    Adapter,
    Event,
    Hypothesis,
    Piece,
    Prompt,
    Recalled,
    Route,
    Sampling,
    Token,
    Verdict,
    Weighed,
)

QUESTION = "How many loaves are on the shelf?"
MEMORIES = [Recalled(("m1",), "Anna put 7 loaves on the shelf.", 0.5, "test"),
            Recalled(("m2",), "Boris likes cats.", 0.4, "test")]
SAMPLING = Sampling(temperature=0.0, max_tokens=64)
TIMELESS: dict[str, Any] = {"seconds": 0.0, "first_s": 0.0, "reused": 0}  # of a verdict: what a second run changes


def hypothesis(claim: str, evidence: tuple[int, ...] = (), prediction: str = "It is seen.") -> str:
    return json.dumps({"evidence": evidence, "claim": claim, "prediction": prediction, "falsifier": "", "unit": ""},
                      ensure_ascii=False)


def prompts(*names: str, adapters: Mapping[str, Adapter] | None = None) -> dict[str, Prompt]:
    """What is shared first, the role last, as a caller renders it."""
    shared = plain("chatml", [("system", "You are a twin."), ("user", QUESTION)])
    made = {}
    for name in names:
        tail = plain("chatml", [("system", "You are a twin."), ("user", QUESTION)], f"You are {name}.").tail
        mine = (adapters or {}).get(name)
        made[name] = Prompt(shared.prefix, tail, name, tuple(MEMORIES), adapters=(mine,) if mine else ())
    return made


def run(engine: Any, asked: Mapping[str, Prompt], samplings: Mapping[str, Sampling] | None = None,
        **options: Any) -> tuple[list[Event], Verdict]:
    settings = {"question": QUESTION, "memories": MEMORIES} | options
    council = deliberate(engine, asked, samplings or dict.fromkeys(asked, SAMPLING), **settings)
    events = []
    while True:
        try:
            events.append(next(council))
        except StopIteration as done:
            return events, done.value


def by_role(answers: Mapping[str, str]) -> Callable[[Prompt], str]:
    return lambda prompt: answers[prompt.role]


FOUR = {"critic": hypothesis("7 loaves", (1,)), "mentor": hypothesis("8 loaves"), "empiric": hypothesis(
    "Seven loaves", (1,)), "editor": hypothesis("unknown")}


# ---- a council -----------------------------------------------------------------------------------------------------

def test_hypotheses_come_in_order_then_weights_then_the_answer() -> None:
    events, verdict = run(ScriptedEngine(by_role(FOUR)), prompts(*FOUR))

    assert [type(one) for one in events] == [*[Hypothesis] * 4, Weighed, Token]
    assert [one.role for one in events if isinstance(one, Hypothesis)] == list(FOUR)
    assert [one.weight for one in events if isinstance(one, Hypothesis)] == [0.0] * 4
    assert events[-1] == Token("7 loaves")
    assert verdict.opinions[0].held_by == ("critic", "empiric")
    assert [verdict.opinions[one.opinion].weight == one.weight for one in verdict.hypotheses] == [True] * 4
    assert [one.opinion for one in verdict.hypotheses if one.role in ("critic", "empiric")] == [0, 0]
    assert sum(one.weight for one in verdict.opinions) + verdict.none == pytest.approx(1)
    assert verdict.votes == pytest.approx(effective_votes(4))
    assert (verdict.calibrated, verdict.how, dict(verdict.failed)) == (0, "medoid", {})
    assert verdict.tokens == sum(len(answer.split()) for answer in FOUR.values())


def test_no_member_reads_another() -> None:
    engine = ScriptedEngine(by_role(FOUR))
    run(engine, prompts(*FOUR))

    assert len({prompt.prefix for prompt in engine.prompts}) == 1
    assert not any(claim in prompt.text for prompt in engine.prompts for claim in ("7 loaves", "8 loaves", "unknown"))


SIXTEEN = tuple(f"role{n:02}" for n in range(16))


def in_batches(engine: ScriptedEngine, order: Callable[[int], int]) -> Any:
    """The engine, with its streams written to the end beforehand in another order, as batches of adapters do."""
    real = engine.stream_many

    def stream_many(*asked: Any, **options: Any) -> list[Iterator[Piece]]:
        streams = real(*asked, **options)
        done = {n: list(streams[n]) for n in sorted(range(len(streams)), key=order)}
        return [iter(done[n]) for n in range(len(streams))]

    return SimpleNamespace(**{name: getattr(engine, name) for name in ("id", "family", "n_ctx", "stream")},
                           stream_many=stream_many)


def test_sixteen_roles_with_and_without_adapters_say_the_same_in_the_same_order_every_time() -> None:
    adapters = {name: Adapter(f"{name}.gguf") for name in SIXTEEN[::3]}
    answers = {name: hypothesis(f"{n % 5} loaves", (1 + n % 2,)) for n, name in enumerate(SIXTEEN)}
    asked = prompts(*SIXTEEN, adapters=adapters)
    plain_events, plain_verdict = run(ScriptedEngine(by_role(answers)), asked)

    assert [one.role for one in plain_events if isinstance(one, Hypothesis)] == list(SIXTEEN)
    orders: list[Callable[[int], int]] = [lambda n: n, lambda n: -n, lambda n: n % 3, lambda n: (n * 7) % 16]
    for order in orders:
        events, verdict = run(in_batches(ScriptedEngine(by_role(answers)), order), asked)
        still = Weighed(replace(plain_verdict, **TIMELESS))
        assert [still if isinstance(one, Weighed) else one for one in events] == [
            still if isinstance(one, Weighed) else one for one in plain_events]
        assert replace(verdict, **TIMELESS) == replace(plain_verdict, **TIMELESS)


def test_sixteen_roles_on_a_real_engine_say_the_same_in_the_same_order_every_time(tmp_path: Path) -> None:
    """A tiny random core with its batches, its cache, and LoRAs for each fourth role. It only knows noise, so the
    grammar leaves it a choice of claims. The second council finds a part of the first one in the cache."""
    core = tiny.core(tmp_path / "core.gguf", "qwen2", n_embd=64, n_ctx_train=4096)
    adapters = {name: Adapter(str(tiny.adapter(tmp_path / f"{n % 8}.gguf", core, seed=n % 8)))
                for n, name in enumerate(SIXTEEN) if n % 4 == 0}
    asked = prompts(*SIXTEEN, adapters=adapters)
    choice = {"type": "object", "additionalProperties": False, "required": ["evidence", "claim"], "properties": {
        "evidence": {"const": [1]}, "claim": {"enum": ["7", "8 loaves", "seven", "unknown"]}}}

    class Choosing(LlamaEngine):
        def stream_many(self, *asked: Any, schemas: Any = (), **options: Any) -> Any:
            return super().stream_many(*asked, schemas=[choice for _ in schemas], **options)

    engine = Choosing(core, n_ctx=8192, trusted=True)
    samplings = dict.fromkeys(asked, Sampling(temperature=1.0, max_tokens=64, seed=3))
    try:
        first, again = (run(engine, asked, samplings, brief=True) for _ in range(2))
    finally:
        engine.close()

    assert [one.role for one in first[0] if isinstance(one, Hypothesis)] == list(SIXTEEN)
    assert len({one.text for one in first[1].hypotheses}) > 1
    assert [one for one in first[0] if not isinstance(one, Weighed)] == [
        one for one in again[0] if not isinstance(one, Weighed)]
    assert replace(first[1], **TIMELESS) == replace(again[1], **TIMELESS)


def test_a_member_that_fails_is_named_and_the_others_go_on() -> None:
    def answer(prompt: Prompt) -> str:
        if prompt.role == "mentor":
            raise PromptTooLong("The prompt is too long.", "")
        return {"critic": FOUR["critic"], "empiric": "{}", "editor": hypothesis("so " * 70)}[prompt.role]

    events, verdict = run(ScriptedEngine(answer), prompts("critic", "mentor", "empiric", "editor"))

    assert [one.role for one in events if isinstance(one, Hypothesis)] == ["critic"]
    assert list(verdict.failed) == ["mentor", "empiric", "editor"]
    assert verdict.failed["mentor"].startswith("PromptTooLong: ")
    assert verdict.failed["empiric"].startswith("InvalidOutput: ")
    assert verdict.failed["editor"].startswith("Truncated: ")
    assert events[-1] == Token("7 loaves")


def test_where_nobody_gives_an_answer_the_council_says_why() -> None:
    with pytest.raises(NoClaims, match="critic: InvalidOutput"):
        run(ScriptedEngine(lambda _: "{}"), prompts("critic", "mentor"))
    with pytest.raises(PromptTooLong):
        run(ScriptedEngine(lambda _: "{}", n_ctx=10), prompts("critic"))
    with pytest.raises(UsageError):
        run(ScriptedEngine([]), {})


def test_a_stopped_council_returns_what_was_heard() -> None:
    engine = ScriptedEngine(by_role(FOUR))
    events, verdict = run(engine, prompts(*FOUR), cancel=lambda: len(engine.prompts) > 2)

    assert [one.role for one in verdict.hypotheses] == ["critic", "mentor"]
    assert [type(one) for one in events] == [Hypothesis, Hypothesis]
    assert len(verdict.opinions) == 2

    events, verdict = run(ScriptedEngine(by_role(FOUR)), prompts(*FOUR), cancel=lambda: True)
    assert (events, verdict.opinions, verdict.none) == ([], (), 1.0)


def test_streams_are_given_back_when_nobody_listens_any_more() -> None:
    closed = []

    class Watched(ScriptedEngine):
        def stream_many(self, *asked: Any, **options: Any) -> list[Iterator[Piece]]:
            def watch(n: int, stream: Iterator[Piece]) -> Iterator[Piece]:
                try:
                    yield from stream
                finally:
                    closed.append(n)

            streams = [watch(n, one) for n, one in enumerate(super().stream_many(*asked, **options))]
            for one in streams[2:]:
                next(one)  # in one batch the others are under way
            return streams

    council = deliberate(Watched(by_role(FOUR)), prompts(*FOUR), dict.fromkeys(FOUR, SAMPLING), question=QUESTION,
                         memories=MEMORIES)
    next(council)
    council.close()

    assert closed == [0, 2, 3]


def test_a_strong_core_writes_the_answer_and_its_tokens_count() -> None:
    script = [*FOUR.values(), "Seven loaves. Perhaps 8."]
    events, verdict = run(ScriptedEngine(script), prompts(*FOUR), strong=True)

    assert events[-1] == Token("Seven loaves. Perhaps 8.")
    assert verdict.how == "synthesis"
    assert verdict.tokens == sum(len(answer.split()) for answer in script)


def test_brief_members_write_claim_and_evidence_only() -> None:
    engine = ScriptedEngine(lambda _: '{"evidence": [1], "claim": "7"}')
    events, verdict = run(engine, prompts("critic", "mentor"), brief=True)

    assert events[0] == Hypothesis("critic", "7", evidence=(1,))
    assert verdict.opinions[0].held_by == ("critic", "mentor")


def test_a_council_that_trusts_nothing_names_what_would_decide() -> None:
    answers = {name: hypothesis(f"{n} loaves", (2,), f"Count {n}.") for n, name in enumerate(("critic", "mentor"))}
    events, verdict = run(ScriptedEngine(by_role(answers)), prompts(*answers), track=dict.fromkeys(answers, (0, 20)))

    assert verdict.how == "none"
    assert set(verdict.missing) == {"Count 0.", "Count 1."}
    assert isinstance(events[-1], Token)
    assert events[-1].text.startswith("None of the answers")


def test_a_core_that_fails_at_the_synthesis_leaves_the_answer_to_what_was_heard() -> None:
    def script(asked: Prompt) -> str:
        if asked.role == "errand":
            raise PromptTooLong("The prompt is too long.", "Shorten it.")
        return hypothesis("7 loaves")

    events, verdict = run(ScriptedEngine(script), prompts(*FOUR), strong=True)

    assert (verdict.how, events[-1]) == ("medoid", Token("7 loaves"))
    assert verdict.failed == {"(synthesis)": "PromptTooLong: The prompt is too long."}


# ---- the control ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("tokens", [13, 60, 100, 200])
def test_the_control_samples_one_role_to_the_same_tokens_as_near_as_whole_answers_come(tokens: int) -> None:
    answers = iter(["7 loaves", "8 loaves", "seven loaves", "8 loaves", "It is 7 loaves"] * 9)
    engine = ScriptedEngine(lambda _: hypothesis(next(answers)))
    found = control(engine, prompts("a")["a"], SAMPLING, tokens, role="a", memories=MEMORIES)

    each = found.tokens / found.samples
    assert (found.role, found.answer, found.samples) == ("a", "7 loaves", len(engine.prompts))
    assert abs(found.tokens - tokens) <= each


def test_a_question_says_for_the_control_too_what_is_the_same_answer() -> None:
    heard = [Hypothesis("a", text) for text in ("Boris", "Clara", "Clara keeps the iron key")]

    assert majority(heard) == "Boris"
    assert "Clara" in majority(heard, question="Who keeps the iron key?")


def test_a_greedy_role_is_sampled_warm_and_each_sample_differs() -> None:
    seen: list[Sampling] = []

    class Watched(ScriptedEngine):
        def stream_many(self, *asked: Any, **options: Any) -> list[Iterator[Piece]]:
            seen.extend(asked[1])
            return super().stream_many(*asked, **options)

    engine = Watched(lambda _: hypothesis("7"))
    control(engine, prompts("a")["a"], replace(SAMPLING, seed=5), 60, role="a", memories=MEMORIES)

    assert {one.temperature for one in seen} == {0.7}
    assert [one.seed for one in seen] == list(range(5, 5 + len(seen)))
    assert len(seen) > 3


def test_a_sample_that_cannot_be_used_is_paid_for_and_a_stop_stops() -> None:
    engine = ScriptedEngine(lambda _: "{}")
    found = control(engine, prompts("a")["a"], SAMPLING, 5, role="a", memories=MEMORIES)

    assert (found.answer, found.samples, found.tokens) == ("", 5, 5)
    assert control(engine, prompts("a")["a"], SAMPLING, 500, role="a", cancel=lambda: True).answer == ""


def test_the_commonest_answer_wins_and_of_equals_the_first() -> None:
    heard = [Hypothesis("a", text) for text in ("8", "7 loaves", "8 loaves", "seven loaves", "9")]

    assert majority(heard) == "8"
    assert majority([*heard, heard[1]]) == "7 loaves"
    assert majority([]) == ""


# ---- who sits, and when --------------------------------------------------------------------------------------------

ROUTE = Route("critic", {"critic": 0.3, "mentor": 0.05, "empiricist": 0.25, "scribe": 0.1, "architect": 0.2,
                         "evolutionist": 0.1}, "because")
POLICY: Any = SimpleNamespace(members=(), max_n=4, on="policy", depth=5, entropy=1.2)


def test_the_routed_role_sits_first_then_the_likeliest() -> None:
    role_map = roles.seed()
    chosen: Any = SimpleNamespace(**{**vars(POLICY), "members": ("mentor", "empiricist")})

    assert members(role_map, POLICY, ROUTE) == ["critic", "empiricist", "architect", "evolutionist"]
    assert members(role_map, POLICY, ROUTE, 2) == ["critic", "empiricist"]
    assert members(role_map, POLICY, ROUTE, 99) == members(role_map, POLICY, ROUTE)
    assert members(role_map, chosen, ROUTE) == ["critic", "empiricist", "mentor"]
    with pytest.raises(UsageError):
        members(role_map, POLICY, ROUTE, 0)


@pytest.mark.parametrize(("changed", "route", "level", "called"), [
    ({}, ROUTE, 1, True), ({"entropy": None}, ROUTE, 1, False), ({"entropy": None}, ROUTE, 5, True),
    ({"entropy": None}, ROUTE, 4.9, False), ({"entropy": None}, ROUTE, None, False), ({"entropy": 9.0}, ROUTE, 7, True),
    ({"depth": None, "entropy": 9.0}, ROUTE, 7, False), ({"on": "asked"}, ROUTE, 7, False),
    ({}, replace(ROUTE, asked=True), 7, False),
    ({"depth": None}, replace(ROUTE, probabilities={"critic": 1.0}), 7, False)])
def test_a_policy_calls_for_deep_or_undecided_questions_and_never_over_a_role_that_was_named(
        changed: dict[str, Any], route: Route, level: float | None, called: bool) -> None:
    policy: Any = SimpleNamespace(**{**vars(POLICY), **changed})

    assert called_for(policy, route, level) is called


def test_members_are_told_the_form_in_the_language_of_the_question() -> None:
    for language in ("en", "ru"):
        full, brief = instruction(language), instruction(language, brief=True)
        assert all(field in brief for field in ("JSON", "evidence", "claim"))
        assert all(field in full for field in ("evidence", "claim", "prediction", "falsifier", "unit"))
        assert "prediction" not in brief
    assert instruction("und") == instruction("en")
    assert "по-русски" in instruction("ru")
