"""The next question: nine fair others, and a rank that chance cannot lift."""
from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.likeness import Condition, items, made_by, pick
from twin.likeness.next_question import _placed, fits
from twin.text import language
from twin.training.samples import Sample
from twin.types import Prompt, Recalled, Score

PLACES = ("attic", "cellar", "garden", "kitchen", "garage", "office", "bedroom", "workshop", "stable", "hallway",
          "studio")
OTHERS = [f"Where do I put the shelf in the {place}?" for place in PLACES] + [
    f"How does the {thing} in the mill work?" for thing in ("wheel", "sluice", "stone")] + [
    f"Почему в комнате {thing} так холодно?" for thing in ("зимой", "утром", "ночью")]
REAL = Sample("The mill has a new wheel.", "How fast does the mill turn its wheel?", conversation="mill")


def make(context: str) -> list[str]:
    return ["Who built the new mill wheel?", "Who built the new mill wheel?", "What is a mill for, in the end?",
            "Почему?", "When was the new wheel made?", "Is the old wheel still there?"]


def test_only_a_question_of_four_words_after_something_counts() -> None:
    assert fits(REAL)
    assert fits(Sample("Мельница готова.", "Как быстро она крутит колесо?"))
    assert not any(map(fits, (Sample("", REAL.answer), Sample("The mill.", "How fast?"),
                              Sample("The mill.", "It turns fast enough for us."))))


def test_nine_others_three_of_each_kind_in_the_same_language() -> None:
    found, counts = items([REAL, Sample("So.", "it is done now")], OTHERS, make=make)

    assert counts == {"no question with a context": 1, "made by the core": 3, "replaced": 0}
    assert Counter(found[0].kinds) == {"topic": 3, "core": 3, "random": 3}
    assert len({one.casefold() for one in (*found[0].others, REAL.answer)}) == 10
    assert {language(one) for one in found[0].others} == {"en"}
    assert all("mill" in one for one in found[0].others[:3])
    assert found[0].cluster == "mill"


def test_what_the_core_cannot_ask_is_replaced_by_others_and_counted() -> None:
    few, counts = items([REAL], OTHERS, make=lambda _: make("")[:2])
    none, without = items([REAL], OTHERS)

    assert Counter(few[0].kinds) == {"topic": 3, "core": 1, "random": 5}
    assert (counts["made by the core"], counts["replaced"]) == (1, 2)
    assert Counter(none[0].kinds) == {"topic": 3, "random": 6}
    assert without["replaced"] == 3


def test_too_few_others_leave_the_question_out_and_say_so() -> None:
    assert items([REAL], OTHERS[:5]) == ([], {"too few others": 1})
    assert items([REAL], [REAL.answer] * 20) == ([], {"too few others": 1})
    russian = Sample("Мельница готова.", "Как быстро она крутит колесо?")
    assert items([russian], OTHERS)[1] == {"too few others": 1}


def test_others_are_drawn_alike_each_time_and_of_like_length() -> None:
    long = [f"{one[:-1]} when the whole family comes to stay with us for the summer holidays?" for one in OTHERS[:11]]
    once, again = (items([REAL], OTHERS + long)[0][0].others for _ in range(2))

    assert once == again
    assert all(len(one) < 60 for one in once[3:])
    assert items([REAL], OTHERS + long, seed=1)[0][0].others != once


def test_the_embedder_says_what_is_on_the_topic() -> None:
    class Shelves:
        id, dim = "shelves", 2

        def embed(self, texts: Any) -> list[list[float]]:
            return [[1.0, 0.0] if "studio" in one or "fast" in one else [0.0, 1.0] for one in texts]

    assert "studio" in items([REAL], OTHERS, embedder=Shelves())[0][0].others[0]


def test_the_core_is_asked_until_it_has_three_different_questions() -> None:
    answers = iter(["I think it is fine.", "Who built this new mill? And why?", "who built this NEW mill?",
                    "Is the stone of good quality?", "Why is there a mill at all?", "never asked"])
    engine = ScriptedEngine(lambda _: next(answers))

    assert made_by(engine)("The mill is new.") == ["Who built this new mill?", "Is the stone of good quality?",
                                                   "Why is there a mill at all?"]
    assert len(engine.prompts) == 5


def test_a_core_that_only_repeats_itself_gives_fewer_and_stops() -> None:
    engine = ScriptedEngine(lambda _: "Кто построил эту мельницу?")

    assert made_by(engine, tries=4)("Мельница новая.") == ["Кто построил эту мельницу?"]
    assert len(engine.prompts) == 4
    assert "следующий вопрос" in engine.prompts[0].text
    assert made_by(engine, cancel=lambda: True)("Мельница новая.") == []


class Knowing(ScriptedEngine):
    """Foresees the real question after its context only; and the other mill questions anywhere."""

    def score(self, prompt: Prompt, continuation: str) -> Score:
        known = REAL.context in prompt.text and continuation == REAL.answer
        bits = 30.0 if "sluice" in continuation else 60.0 if known else 80.0
        return Score((bits * len(continuation) / 40,), len(continuation))


def test_what_is_likely_anywhere_beats_the_real_question_only_by_the_plain_score() -> None:
    found, _ = items([REAL], OTHERS)
    summary = pick(Knowing([]), Condition("base"), found).summary()

    assert (summary["hit"].value, summary["mrr"].value) == (1.0, 1.0)
    assert (summary["plain hit"].value, summary["plain mrr"].value) == (0.0, 0.5)
    assert math.isnan(summary["hit"].low)  # one conversation


def test_without_context_there_is_no_recall_either() -> None:
    engine = Knowing([])
    seen: list[Prompt] = []
    score = engine.score
    engine.score = lambda prompt, said: (seen.append(prompt), score(prompt, said))[1]  # type: ignore[method-assign]
    found, _ = items([REAL], OTHERS)
    pick(engine, Condition("r", recall=lambda _: [Recalled(("m",), "a sluice", 1.0, "words")]), found)

    assert len(seen) == 20
    assert ["a sluice" in prompt.text for prompt in seen] == [True] * 10 + [False] * 10


def test_equal_scores_are_worth_what_chance_gives() -> None:
    hit, reciprocal = _placed([1.0] * 10)

    assert hit == pytest.approx(0.1)
    assert reciprocal == pytest.approx(sum(1 / place for place in range(1, 11)) / 10)
    assert _placed([2.0, 1.0, 3.0]) == (0.0, 0.5)
    assert _placed([1.0, 2.0, 3.0]) == (1.0, 1.0)


def test_a_core_that_knows_nothing_hits_by_chance() -> None:
    class Blind(ScriptedEngine):
        def score(self, prompt: Prompt, continuation: str) -> Score:  # noqa: ARG002
            return Score((1.0 * len(continuation),), len(continuation))

    found, _ = items([REAL] * 3, OTHERS)
    summary = pick(Blind([]), Condition("base"), found).summary()

    assert summary["hit"].value == pytest.approx(0.1)
    assert summary["plain mrr"].value == pytest.approx(0.293, abs=0.001)


def test_stopped_and_empty_differ() -> None:
    found, _ = items([REAL] * 2, OTHERS)
    told = list[int]()
    half = pick(Knowing([]), Condition("base"), found, progress=lambda _, done, __: told.append(done),
                cancel=lambda: len(told) == 1)

    assert len(half.hit) == len(half.clusters) == 1
    assert math.isnan(pick(Knowing([]), Condition("base"), found, cancel=lambda: True).summary()["hit"].value)
    assert items([REAL], OTHERS, cancel=lambda: True) == ([], {})
    with pytest.raises(UsageError, match="no question"):
        pick(Knowing([]), Condition("base"), [])


def test_no_item_shows_words() -> None:
    found, _ = items([REAL], OTHERS)

    assert "mill" not in repr(found) + repr(pick(Knowing([]), Condition("base"), found))
