"""What a person writes about: nouns that come back in several conversations, whatever their form and language."""
from __future__ import annotations

from datetime import UTC, datetime

import pytest

from twin.topics import MOST, Subject, subjects, topics
from twin.types import Message

Said = tuple[str, Message]
JANUARY, MARCH = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)


def talks(*texts: str) -> list[Said]:
    return [(f"talk{n}", Message(str(n), "user", text)) for n, text in enumerate(texts)]


def names(messages: list[Said]) -> list[str]:
    return [one.name for one in topics(messages)]


def test_forms_of_one_word_are_one_topic() -> None:
    assert names(talks("I mended the pump.", "Two pumps in the shed are loud.", "Is the pump of my uncle older?")) == [
        "pump"]
    assert names(talks("Я чинил насос.", "В сарае шумят два насоса.", "Насосом качают воду.")) == ["насос"]


def test_function_words_verbs_adjectives_and_names_are_no_topic() -> None:
    assert names(talks("Maybe I planted green peas slowly.", "Maybe you planted green beans slowly.")) == []
    assert names(talks("Наверное, Анна быстро красила зелёный забор.", "Наверное, Анна быстро мыла зелёный пол.")) == []


def test_words_that_fit_any_topic_name_none() -> None:
    assert names(talks("It is a question of time.", "The question is a thing of the day.")) == []
    assert names(talks("Это вопрос времени.", "Вопрос дня - вещь.")) == []


def test_one_long_conversation_makes_no_topic_and_weighs_no_more_than_a_short_one() -> None:
    long = [("long", Message(f"l{n}", "user", f"The boiler of flat {n} is cold.")) for n in range(50)]
    assert names(long) == []
    short = talks("The fence is old.", "Paint the fence.", "A bird sits on the fence.")
    assert names([*long, *short, ("other", Message("o", "user", "The boiler is loud."))])[:2] == ["fence", "boiler"]


def test_pasted_quoted_and_assistant_words_are_no_topic() -> None:
    messages = [*talks("> The turbine is loud.\nThanks.", "```\nthe turbine\n```\nFine."),
                ("a", Message("a", "assistant", "Your turbine.")), ("b", Message("b", "assistant", "The turbine."))]
    assert names(messages) == []


def test_neighbours_that_belong_together_are_one_topic() -> None:
    found = names(talks("The compost heap smells.", "Turn the compost heap.", "Is the compost heap hot?",
                        "The fence is behind the compost heap.", "The fence is old."))
    assert found[0] == "compost heap"
    assert "compost" not in found
    assert "heap" not in found


def test_conversations_and_months_are_counted_once_a_message() -> None:
    messages = [(talk, Message(str(n), "user", "The pump. The pump of the well!", time=time))
                for n, (talk, time) in enumerate((("a", JANUARY), ("a", JANUARY), ("b", MARCH)))]
    found = {one.name: one for one in topics(messages)}
    assert found["pump"].talks == 2
    assert dict(found["pump"].months) == {"2025-01": 2, "2025-03": 1}
    assert found["pump"].messages == 3


def test_messages_without_a_date_count_too() -> None:
    (found,) = topics([("a", Message("1", "user", "I oiled the pump.", time=JANUARY)),
                       ("b", Message("2", "user", "The pump is loud."))])
    assert (found.messages, dict(found.months)) == (2, {"2025-01": 1})


def test_quotes_are_verbatim_sentences_that_name_the_topic() -> None:
    messages = talks("It rains. The pump behind the shed is loud. Why?", "Насос. И снова шумит старый насос в сарае.",
                     "I oiled the pump of the well.", "Где купить насос?")
    for one in subjects(messages):
        for quote in one.evidence:
            text = next(message.text for _, message in messages if message.id == quote.message)
            assert text[quote.start:quote.end] == quote.quote
            assert one.topic.name in quote.quote.lower()
    assert {one.topic.name for one in subjects(messages)} == {"pump", "насос"}
    assert [len(one.evidence) for one in subjects(messages)] == [2, 2]


def test_at_most_a_dozen_and_always_the_same() -> None:
    nouns = ["pump", "fence", "shed", "gate", "boiler", "hose", "ladder", "barrel", "wheel", "bucket", "spade", "rake",
             "kettle", "carpet", "mirror"]
    messages = talks(*(f"I painted the {noun} near {n}." for n in range(2) for noun in nouns))
    assert len(names(messages)) == MOST
    assert topics(messages) == topics(iter(messages))


@pytest.mark.parametrize("messages", [[], talks(""), talks("12 34", "!!"), talks("Ёж", "é")])
def test_nothing_gives_no_topics(messages: list[Said]) -> None:
    assert topics(messages) == ()


def test_reprs_show_no_words() -> None:
    found = subjects(talks("The pump is loud.", "I oiled the pump."))
    assert isinstance(found[0], Subject)
    assert "pump" not in repr(found)
