"""What a member may write is forced, what it wrote is checked, and what says the same is one opinion."""
from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.hypotheses import (
    BRIEF,
    CLAIM,
    InvalidOutput,
    NoClaims,
    Truncated,
    abstains,
    cluster,
    negative,
    parse,
    schema,
    similarity,
)
from twin.prompt import plain
from twin.types import Hypothesis, Sampling


def said(*texts: str) -> list[Hypothesis]:
    return [Hypothesis(f"role{n}", text) for n, text in enumerate(texts)]


def opinions(*texts: str, embedder: Any = None) -> set[frozenset[str]]:
    return {frozenset(texts[i] for i in group) for group in cluster(said(*texts), embedder)}


def written(claim: Any = "Seven.", evidence: Any = (1,), **more: Any) -> str:
    return json.dumps({"evidence": evidence, "claim": claim, "prediction": "p", "falsifier": "f", "unit": "km"} | more,
                      ensure_ascii=False)


# ---- the form ----------------------------------------------------------------------------------------------------

def test_the_grammar_admits_only_numbers_of_memories_that_exist() -> None:
    assert schema(2)["properties"]["evidence"]["items"] == {"enum": [1, 2]}
    assert schema(0)["properties"]["evidence"] == {"const": []}
    assert list(schema(2, brief=True)["properties"]) == ["evidence", "claim"]
    assert list(schema(2)["properties"]) == ["evidence", "claim", "prediction", "falsifier", "unit"]


@pytest.mark.parametrize(("claim", "fits"), [
    ("12*5=60, 60-37=23", True), ("7 - 9 = -2", True), ("Clara", True), ("семь яблок", True), ("23", True),
    ("24/7", True), ("12*5-37", False), ("12*5-37=23", False), ("3*4=12, 12-2=10, 10-1=9", False), ("a \"b\"", False),
    ("", False), (" 7", False), ("x" * (BRIEF + 1), False)])
def test_a_brief_claim_is_a_few_words_or_a_calculation_step_by_step(claim: str, fits: bool) -> None:
    pattern = schema(0, brief=True)["properties"]["claim"]["pattern"]

    assert (re.match(pattern, claim) is not None) is fits


@pytest.mark.parametrize("memories", [0, 2])
def test_a_real_core_writes_the_form(smollm: Any, memories: int) -> None:
    """The smallest core there is, and still a brief answer ends within its tokens and cites what exists."""
    prompt = plain(smollm.family, [("user", "[1] Anna has 7 apples.\n[2] Boris has a dog.\nHow many apples has Anna?")],
                   "Answer as JSON with evidence and claim.")
    raw, finish = "", None
    for piece in smollm.stream(prompt, Sampling(temperature=0.0, max_tokens=48), schema=schema(memories, brief=True)):
        raw, finish = raw + piece.text, piece.finish or finish
    told = json.loads(raw)

    assert finish == "stop"
    assert list(told) == ["evidence", "claim"]
    assert set(told["evidence"]) <= set(range(1, memories + 1))
    assert 0 < len(told["claim"]) <= BRIEF


def test_an_answer_becomes_a_hypothesis() -> None:
    made = parse(written("Семь  яблок.", [2, 1, 2]), role="critic", memories=2)

    assert made == Hypothesis("critic", "Семь яблок.", "p", "f", "km", (1, 2))
    assert parse('{"evidence": [], "claim": "7"}', role="a", memories=0, brief=True) == Hypothesis("a", "7")


@pytest.mark.parametrize(("raw", "fault"), [
    ("", InvalidOutput), ("no JSON", InvalidOutput), ("[]", InvalidOutput), ('{"claim": "7"}', InvalidOutput),
    (written(evidence=[3]), InvalidOutput), (written(evidence=[0]), InvalidOutput),
    (written(evidence=[True]), InvalidOutput), (written(evidence="1"), InvalidOutput), (written(more=1), InvalidOutput),
    (written(claim="x" * (CLAIM + 1)), InvalidOutput), (written(claim=7), InvalidOutput),
    (written(claim=" ... "), NoClaims), (written(claim=""), NoClaims),
    (written(claim="Should I?"), NoClaims)])
def test_what_is_not_a_hypothesis_is_named_and_kept(raw: str, fault: type[Exception]) -> None:
    with pytest.raises(fault) as found:
        parse(raw, role="critic", memories=2)

    assert type(found.value) is fault
    assert found.value.raw == raw  # type: ignore[attr-defined]


def test_a_cut_answer_is_truncated_not_invalid() -> None:
    """And one that was complete when its tokens ended counts."""
    with pytest.raises(Truncated):
        parse(written()[:-9], role="critic", memories=2, finish="length")
    assert parse(written(), role="critic", memories=2, finish="length").text == "Seven."


def test_a_claim_that_the_grammar_cut_is_truncated() -> None:
    """The grammar closes the string at its limit, whatever the core still wanted to say."""
    for end in "x,":
        with pytest.raises(Truncated):
            parse(written(claim=("so it is " * 40)[:CLAIM - 1] + end), role="critic", memories=2)
    assert parse(written(claim="x" * (CLAIM - 1) + "."), role="critic", memories=2).text.endswith("x.")


@given(st.text(max_size=80), st.sampled_from(["stop", "length"]))
def test_no_text_gets_past_the_check(raw: str, finish: str) -> None:
    with pytest.raises((InvalidOutput, Truncated)):
        parse(raw, role="critic", memories=2, finish=finish)


# ---- what says the same --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("texts", [
    ("7", "seven", "Seven apples.", "the answer is 7", "3 + 4 = 7", "(2+1) x 3-2=7", "3 apples + 4 apples = 7 apples"),
    ("12*5=60-37=23", "23", "There are 12 * 5 - 37 = 23 loaves left.", "12*5=60, 60-37=23"),
    ("7", "семь", "Ответ: 7", "7 яблок"),
    ("Paris", "paris.", "It is Paris"), ("yes", "Yes."), ("A", "a)", "The answer is A"),
    ("The key is with Anna", "Anna has the key"), ("Ключ у Анны", "ключ у Анны."),
    ("unknown", "Not stated in the records.", "неизвестно", "В записях это не указано"),
    ("Not only the oven is broken", "The oven is broken only")])
def test_the_same_answer_in_other_words_is_one_opinion(texts: Sequence[str]) -> None:
    assert opinions(*texts) == {frozenset(texts)}


@pytest.mark.parametrize(("one", "other"), [
    ("7 apples", "8 apples"), ("seven", "70"), ("7 km", "7 m"), ("5 кг муки", "5 г муки"),
    ("Anna has the key", "Anna does not have the key"), ("The queue won't grow", "The queue will grow"),
    ("Очередь вырастет", "Очередь не вырастет"), ("Поезд придёт с билетами", "Поезд придёт без билетов"),
    ("The new ovens make the queue at noon longer", "The new ovens make the queue at noon shorter"),
    ("Новые печи увеличат утреннюю очередь покупателей", "Новые печи уменьшат утреннюю очередь покупателей"),
    ("yes", "no"), ("да", "нет"), ("unknown", "7"), ("неизвестно", "семь"), ("A", "B"),
    ("Anna has the key", "Boris has the key"), ("Tom keeps the key to the workshop by the river", "Jane keeps the key "
     "to the workshop by the river"), ("The old van at the gate of the bakery is red", "The old van at the gate of the "
     "bakery is dark blue"), ("Хлеб в пекарню у моста привозят в понедельник", "Хлеб в пекарню у моста привозят во "
     "вторник"), ("Новую печь для пекарни делает Иван Петров", "Новую печь для пекарни делает Пётр Сидоров")])
def test_numbers_polarity_units_and_opposites_keep_opinions_apart(one: str, other: str) -> None:
    """Cosines of such pairs are among the highest there are, so wording alone must never join them."""
    class Alike:
        id, dim = "alike", 1

        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            return [[1.0] for _ in texts]

    assert opinions(one, other) == {frozenset([one]), frozenset([other])}
    assert len(opinions(one, other, embedder=Alike())) == 2


def test_an_embedder_joins_english_paraphrases_and_says_nothing_of_russian() -> None:
    class Alike:
        id, dim = "alike", 1

        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            return [[1.0] for _ in texts]

    english = ("The ovens heat too slowly in winter", "In winter the ovens need hours to become hot")
    russian = ("Печи зимой греются слишком вяло", "Зимой печам нужно много часов до жара")

    assert len(opinions(*english)) == len(opinions(*russian)) == len(opinions(*russian, embedder=Alike())) == 2
    assert opinions(*english, embedder=Alike()) == {frozenset(english)}


def test_a_bare_number_does_not_tie_two_things_that_were_counted() -> None:
    assert len(opinions("7 apples", "7 pears", "7")) == 2


@pytest.mark.parametrize(("question", "same", "another"), [
    ("Who keeps the key to the workshop?", ("Clara", "Clara keeps the key to the workshop."), "Boris keeps the key."),
    ("У кого ключ от мастерской?", ("У Клары", "ключ от мастерской у Клары"), "ключ от мастерской у Бориса"),
    ("Is the key with Anna or with Boris?", ("Anna, surely",), "Boris, surely"),
    ("Is the van red or blue?", ("The van is red now",), "The van is blue now")])
def test_words_of_the_question_do_not_tell_answers_apart(question: str, same: Sequence[str], another: str) -> None:
    found = cluster(said(*same, another), question=question)

    assert found == [list(range(len(same))), [len(same)]]


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_two_texts_can_be_compared(one: str, other: str) -> None:
    assert 0.0 <= similarity(one, other) <= 1.0
    assert sorted(i for group in cluster(said(one, other), question=one) for i in group) == [0, 1]


CLAIMS = st.lists(st.sampled_from([
    "7", "seven apples", "7 pears", "8", "unknown", "нет данных", "семь яблок", "Anna has the key", "Anna has no key",
    "The key is with Anna", "ключ у Анны", "yes", "no", "The queue grows by 7", "Очередь вырастет на 7"]), max_size=8)


@given(CLAIMS, st.randoms(use_true_random=False))
def test_opinions_do_not_depend_on_who_spoke_first(texts: list[str], random: Any) -> None:
    mixed = list(texts)
    random.shuffle(mixed)
    groups = cluster(said(*texts))

    assert sorted(i for group in groups for i in group) == list(range(len(texts)))
    assert opinions(*texts) == opinions(*mixed)


@given(CLAIMS)
def test_likeness_is_symmetric_and_full_with_itself(texts: list[str]) -> None:
    for one in texts:
        assert similarity(one, one) == 1.0
        for other in texts:
            assert similarity(one, other) == similarity(other, one)


@pytest.mark.parametrize(("text", "denies"), [
    ("It isn't so", True), ("не вырастет", True), ("without salt", True), ("без соли", True), ("not only salt", False),
    ("не только соль", False), ("a knot of notes", False), ("небо и нетто", False), ("никогда", True)])
def test_negation_is_heard_in_both_languages(text: str, denies: bool) -> None:
    assert negative(text) is denies


def test_not_knowing_is_told_from_denying() -> None:
    assert abstains("This is not stated.")
    assert abstains("Этого нельзя определить")
    assert not abstains("Anna has no key")
    assert not abstains("not stated, perhaps 7")
