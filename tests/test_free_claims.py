"""A weak core may write and point; what stands is what code quotes and checks, and this core affirms when asked."""
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from twin import free_claims
from twin.engine.scripted import ScriptedEngine
from twin.free_claims import Failure
from twin.person import FreeClaim
from twin.types import Message, Prompt

BAKER = "Sorry for the typos. My ovens at the bakery run from three every night. Which flour keeps longest?"
ПЕКАРЬ = "Извини за опечатки. Печи в моей пекарне топятся с трёх ночи. Какая мука хранится дольше?"
MESSAGES = [("c1", Message("m1", "user", BAKER)), ("c2", Message("m2", "user", ПЕКАРЬ))]
TABLE = free_claims._table()
HELD = {f"Sentence: {one['sentence']}\nClaim: {one['claim']}": one["holds"] for language in ("en", "ru")
        for one in TABLE[language]["held"]}
STATED = {sentence: holds for kind in TABLE["statement"].values() for sentence, holds in kind["held"]}


def last(prompt: Prompt) -> str:
    """What a prompt puts to the core."""
    return prompt.prefix[-2].text


def core(answer: str, *, yes: Callable[[str], bool] = lambda _: False) -> ScriptedEngine:
    """Passes the shipped examples, writes `answer`, and affirms what `yes` says."""
    def reply(prompt: Prompt) -> str:
        asked = last(prompt)
        if asked.startswith("1. "):
            return answer
        return "Yes" if HELD.get(asked, STATED.get(asked, yes(asked))) else "No"

    return ScriptedEngine(reply)


def written(*claims: tuple[list[int], str, str]) -> str:
    found = [{"sentences": numbers, "kind": kind, "text": text} for numbers, kind, text in claims]
    return json.dumps({"claims": found}, ensure_ascii=False)


def read(engine: Any, messages: Any = MESSAGES, **options: Any) -> tuple[list[FreeClaim], list[Failure]]:
    batches = list(free_claims.read(engine, messages, **options))
    return [one for _, claims, _ in batches for one in claims], [one for *_, failed in batches for one in failed]


def test_a_claim_the_core_affirms_carries_the_persons_own_words() -> None:
    engine = core(written(([2], "fact", "You work in a bakery.")), yes=lambda asked: "Claim: You work" in asked)
    claims, _ = read(engine, MESSAGES[:1])
    (span,) = claims[0].spans

    assert (claims[0].text, claims[0].kind, claims[0].language) == ("You work in a bakery.", "fact", "en")
    assert span[:2] == ("c1", "m1")
    assert BAKER[span[2]:span[3]] == "My ovens at the bakery run from three every night."


def test_facts_and_preferences_need_no_words_of_the_core() -> None:
    """The core points, code quotes: in both languages, once for each sentence, and never from a question."""
    engine = core(written(), yes=lambda asked: "bakery" in asked or "пекарне" in asked)
    claims, _ = read(engine)

    assert [(one.kind, one.text) for one in claims] == [
        ("fact", "You say: “My ovens at the bakery run from three every night.”"),
        ("fact", "Ты говоришь: «Печи в моей пекарне топятся с трёх ночи.»")]
    assert not any(last(prompt).startswith(("Which flour", "Какая мука")) for prompt in engine.prompts)


@pytest.mark.parametrize(("claim", "why"), [
    ("You are a brilliant baker.", "praise"), ("Ты живёшь в пекарне.", "another language"),
    ("You say that my ovens at the bakery run from three.", "copied"), ("You work in a bakery.", "known")])
def test_code_refuses_what_a_core_may_not_say(claim: str, why: str) -> None:
    engine = core(written(([2], "fact", claim)), yes=lambda asked: "Claim: " in asked)
    claims, failures = read(engine, MESSAGES[:1], known=["You work in a bakery."])

    assert claims == []
    assert why in failures[-1].reason


def test_a_second_look_that_says_no_leaves_nothing() -> None:
    claims, failures = read(core(written(([2], "fact", "You own ten dogs."))), MESSAGES[:1])

    assert claims == []
    assert (failures[-1].kind, failures[-1].keys) == ("NoClaims", (("c1", "m1"),))
    assert "You own ten dogs." in failures[-1].raw


def test_zero_claims_are_an_error_with_the_raw_answer() -> None:
    claims, failures = read(core(written()), MESSAGES[:1])

    assert claims == []
    assert [(one.kind, one.raw) for one in failures] == [("NoClaims", '{"claims": []}')]


@pytest.mark.parametrize("answer", ["{}", "[]", *(written(one) for one in (
    ([99], "fact", "You bake."), ([], "fact", "You bake."), ([1], "guess", "You bake.")))])
def test_an_answer_of_another_shape_is_named_and_kept(answer: str) -> None:
    _, failures = read(core(answer), MESSAGES[:1])

    assert [(one.kind, one.raw) for one in failures] == [("InvalidOutput", answer)]


def test_an_answer_that_does_not_end_is_named_and_kept() -> None:
    _, failures = read(core(json.dumps({"claims": ["word " * (free_claims.TOKENS + 1)]})), MESSAGES[:1])

    assert failures[0].kind == "Truncated"
    assert failures[0].raw.startswith('{"claims"')


def test_a_core_that_affirms_everything_yields_nothing_and_says_so() -> None:
    engine = ScriptedEngine(lambda prompt: written(([1], "fact", "You work in a bakery.")) if
                            last(prompt).startswith("1. ") else "Yes")
    batches = list(free_claims.read(engine, MESSAGES))

    assert [keys for keys, _, _ in batches] == [[], []]  # an abler core may read them
    assert {one.kind for *_, failed in batches for one in failed} >= {"NotPassed"}
    assert not any(claims for _, claims, _ in batches)


def test_traps_never_reach_the_core() -> None:
    text = 'Suppose I were a judge with four sons. My colleague says I hate mornings. "I live in Bern with two cats."'
    engine = core(written())
    read(engine, [("c", Message("m", "user", text))])

    assert not any(word in last(prompt) for prompt in engine.prompts if last(prompt) not in {*HELD, *STATED}
                   for word in ("four sons", "mornings", "Bern"))


def test_the_grammar_admits_only_numbers_that_stand_there_and_letters_of_the_language() -> None:
    item = free_claims._schema("ru", 3)["properties"]["claims"]["items"]["properties"]

    assert item["sentences"]["items"]["enum"] == [1, 2, 3]
    assert item["text"]["pattern"].startswith("^(Ты|")
    assert "A-Z" not in item["text"]["pattern"]


def test_a_reading_that_is_cancelled_yields_nothing_and_bars_are_measured_once() -> None:
    bars: dict[str, float] = {}
    first, second = core(written()), core(written())
    assert list(free_claims.read(first, MESSAGES, cancel=lambda: True)) == []

    read(first, bars=bars)
    read(second, bars=bars)

    assert set(bars) == {"stated.fact", "stated.preference", "free.en", "free.ru"}
    assert len(second.prompts) < len(first.prompts)


def test_progress_counts_batches() -> None:
    told: list[tuple[int, int | None]] = []
    read(core(written()), progress=lambda _, done, of: told.append((done, of)))

    assert told == [(1, 2), (2, 2)]


def test_nothing_of_what_was_said_stands_in_a_repr() -> None:
    claims, failures = read(core(written(), yes=lambda asked: "bakery" in asked), MESSAGES[:1])

    assert "bakery" not in repr((claims, failures, free_claims._batches(MESSAGES)))


@pytest.mark.parametrize("name", ["stated.fact", "stated.preference", "free.en", "free.ru"])
def test_no_solved_example_is_measured(name: str) -> None:
    engine = core(written())
    free_claims.bar(engine, name)

    for prompt in engine.prompts:
        assert prompt.text.count(last(prompt)) == 1


def test_the_cost_is_told_before() -> None:
    told = free_claims.cost(core(written()), MESSAGES)
    names = ("stated.fact", "stated.preference", "free.en", "free.ru")
    passed, failed = (free_claims.cost(core(written()), MESSAGES, bars=dict.fromkeys(names, bar)).tokens
                      for bar in (0.7, free_claims.OFF))

    assert (told.messages, told.batches) == (2, 2)
    assert told.tokens > 0
    assert passed > 0
    assert failed == 0
    assert told.seconds is not None
    assert free_claims.cost(core(written()), []).tokens == 0


@pytest.mark.slow
def test_a_real_small_core_reads_without_a_fault(smollm: Any) -> None:
    claims, failures = read(smollm, MESSAGES[:1])

    assert claims or failures
    assert all(0.0 <= one.probability <= 1.0 for one in claims)
