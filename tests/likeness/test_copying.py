"""Copies are what was written before and not shown: recall and echo are none."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twin.likeness import Corpus, Reply, copies
from twin.likeness.copying import copied
from twin.types import Recalled, Route, Turn

WROTE = ("the tide was out so we walked along the sand to the second pier",
         "Ёлка стояла в углу, и мы весь вечер вешали на неё старые игрушки из коробки.")
CORPUS = Corpus.of(WROTE)


def test_eight_words_in_a_row_are_a_copy_and_seven_are_none() -> None:
    assert copies(CORPUS, [Reply("I said: the tide was out so we walked along."),
                           Reply("I said: the tide was out so we walked home.")]) == [1.0, 0.0]


def test_case_yo_and_punctuation_hide_no_copy() -> None:
    assert copied(CORPUS, Reply("Елка стояла в углу - и мы весь вечер вешали на нее...")) > 0


def test_what_the_turn_was_shown_is_recalled_and_not_copied() -> None:
    reply = "You wrote that the tide was out so we walked along the sand."
    route = Route("mentor", {"mentor": 1.0}, "asked")
    asked = Turn("t", "c", "What about the day when the tide was out so we walked along the sand?", reply, route,
                 "answered", "core", "v1")
    remembered = Turn("t", "c", "What did I do?", reply, route, "answered", "core", "v1",
                      memories=(Recalled(("m",), WROTE[0], 1.0, "words"),))

    assert copies(CORPUS, [Reply(reply), Reply.of(asked), Reply.of(remembered)]) == [1.0, 0.0, 0.0]


def test_a_copy_beside_what_was_shown_is_still_one() -> None:
    reply = Reply("the tide was out so we walked along the sand to the second pier",
                  ("the tide was out so we walked along",))

    assert copied(CORPUS, reply) == 6  # 7 runs, of which 1 was shown


def test_no_run_goes_over_the_edge_of_a_message() -> None:
    corpus = Corpus.of(["one two three four", "five six seven eight"])

    assert copied(corpus, Reply("one two three four five six seven eight")) == 0
    assert copies(corpus, []) == []


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abc"), max_size=40))
def test_the_index_finds_what_a_plain_search_finds(wrote: list[str], said: list[str]) -> None:
    found = copied(Corpus.of([" ".join(wrote)]), Reply(" ".join(said)))

    assert found == sum(said[i:i + 8] in [wrote[j:j + 8] for j in range(len(wrote) - 7)] for i in range(len(said) - 7))


def test_no_reply_or_corpus_shows_words() -> None:
    assert "tide" not in repr(Reply(WROTE[0])) + repr(CORPUS)
    assert len(repr(CORPUS)) < 40
