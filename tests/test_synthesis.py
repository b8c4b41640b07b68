"""An answer of a council adds nothing that no member said, and says so when nothing deserves trust."""
from __future__ import annotations

from dataclasses import replace

import pytest

from twin.engine.scripted import ScriptedEngine
from twin.synthesis import SYNTHESIS, answer, missing, settled, strange, synthesise
from twin.types import Hypothesis, Opinion, Verdict

QUESTION, ВОПРОС = "How many loaves are on the shelf?", "Сколько хлеба на полке?"
HEARD = (Hypothesis("critic", "7 loaves", "Anna counts 7.", "There are 9.", opinion=0, weight=0.5),
         Hypothesis("empiric", "The shelf holds seven loaves", "Anna counts 7.", "", opinion=0, weight=0.5),
         Hypothesis("mentor", "8 loaves", "Boris counts 8.", "", opinion=1, weight=0.3),
         Hypothesis("editor", "9 loaves", "", "", opinion=2, weight=0.05))
VERDICT = Verdict(HEARD, (Opinion("7 loaves", 0.5, ("critic", "empiric")), Opinion("8 loaves", 0.3, ("mentor",)),
                          Opinion("9 loaves", 0.05, ("editor",))), none=0.15, votes=1.7)


def test_a_weak_core_answers_with_a_hypothesis_that_was_heard() -> None:
    verdict = settled(VERDICT)

    assert (verdict.how, verdict.dissent, verdict.missing) == ("medoid", (1,), ())
    assert answer(verdict, QUESTION) == "7 loaves"


def test_the_answer_is_of_the_heaviest_opinion_however_many_hold_another() -> None:
    heavy = replace(VERDICT, hypotheses=tuple(replace(one, opinion=(1, 1, 0, 2)[n]) for n, one in enumerate(HEARD)))

    assert answer(settled(heavy), QUESTION) == "8 loaves"


@pytest.mark.parametrize(("question", "begins", "decides"), [
    (QUESTION, "None of the answers", "What would decide it:"),
    (ВОПРОС, "Ни один из услышанных", "Что решило бы вопрос:")])
def test_where_none_is_heaviest_the_answer_names_what_would_decide(question: str, begins: str, decides: str) -> None:
    verdict = settled(replace(VERDICT, none=0.6))
    said = answer(verdict, question)

    assert (verdict.how, verdict.dissent) == ("none", (0, 1))
    assert verdict.missing == ("Anna counts 7.", "Boris counts 8.", "There are 9.")
    assert said.startswith(begins)
    assert decides in said
    assert "7 loaves" in said
    assert "- Boris counts 8." in said


def test_nothing_heard_is_said_in_words() -> None:
    assert answer(settled(Verdict((), (), 1.0, 0.0)), ВОПРОС) == "Ни одного ответа не прозвучало."


def test_what_is_missing_is_named_once_heaviest_first_and_only_a_few() -> None:
    many = [Hypothesis("a", "x", f"p{n // 2}", f"f{n}", opinion=9 - n) for n in range(10)]

    assert missing(many) == ("p4", "p3", "p2", "p1")
    assert missing([Hypothesis("a", "brief")]) == ()


def test_a_strong_core_rewrites_what_was_heard() -> None:
    engine = ScriptedEngine(["Seven loaves, though 8 were counted as well."])
    said, verdict, usage = synthesise(engine, settled(VERDICT), QUESTION)
    asked = engine.prompts[0].text

    assert said == "Seven loaves, though 8 were counted as well."
    assert (verdict.how, verdict.failed) == ("synthesis", {})
    assert usage.generated == 8
    assert "7 loaves" in asked
    assert "8 loaves" in asked
    assert "9 loaves" not in asked  # too light to be heard


@pytest.mark.parametrize(("written", "why"), [
    ("There are 42 loaves.", "42"), ("There are forty-two loaves.", "42"), ("На полке 7 хлебов.", "another language"),
    ("", "empty"), ("so " * 500, "did not end")])
def test_a_synthesis_that_cannot_be_trusted_gives_way_to_the_medoid_and_that_is_said(written: str, why: str) -> None:
    said, verdict, _ = synthesise(ScriptedEngine([written]), settled(VERDICT), QUESTION)

    assert (said, verdict.how) == ("7 loaves", "medoid")
    assert why in verdict.failed[SYNTHESIS]


def test_a_russian_question_is_put_and_refused_in_russian() -> None:
    engine = ScriptedEngine(["На полке сорок два хлеба."])
    _, verdict, _ = synthesise(engine, settled(VERDICT), ВОПРОС)

    assert "Отвечай по-русски." in engine.prompts[0].text
    assert verdict.failed[SYNTHESIS] == "В нём были числа, которых нет ни в одной гипотезе: 42."


def test_thoughts_are_no_part_of_a_synthesis() -> None:
    said, verdict, _ = synthesise(ScriptedEngine(["<think>42?</think>Seven loaves."]), settled(VERDICT), QUESTION)

    assert (said, verdict.how) == ("Seven loaves.", "synthesis")


def test_a_stopped_synthesis_answers_nothing() -> None:
    said, verdict, _ = synthesise(ScriptedEngine(["Seven loaves."]), settled(VERDICT), QUESTION, cancel=lambda: True)

    assert (said, verdict.how) == ("", "medoid")


def test_numbers_may_come_from_a_prediction_or_a_falsifier() -> None:
    assert strange("7, восемь or nine, and 10", HEARD) == [10]
