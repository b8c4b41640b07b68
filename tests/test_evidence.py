"""What a proof looks at is the person's own word, cut so that who makes proposals never sees what proves them."""
from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twin import evidence
from twin.archive import Archive
from twin.errors import UsageError
from twin.evidence import Evidence, Labelled, Said, gather, plain, read, split
from twin.home import Home
from twin.lines import Lines, Settings
from twin.types import Conversation, Message, Route, Turn

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(Home(tmp_path / "home"))


def turn(name: str, chat: str, question: str, answer: str, *, role: str = "mentor", day: int = 0) -> Turn:
    return Turn(name, chat, question, answer, Route(role, {role: 1.0}, "so"), "answered", "core", "map-1",
                time=BEGAN + timedelta(days=day))


def chat(archive: Archive) -> None:
    archive.save_turn(turn("t1", "a", "How long does it rise?", "An hour, or two.", role="empiric"))
    archive.save_turn(turn("t2", "a", "And why so long?", "Because of the cold.", day=1))
    archive.save_turn(turn("t3", "b", "Сколько ждать теста?", "Час.", day=2))


def test_what_is_typed_follows_the_answer_before_and_is_routed_by_the_question_before(archive: Archive) -> None:
    chat(archive)
    first, second, russian = gather(archive).said

    assert (first.context, first.asked, first.text) == ("", "", "How long does it rise?")
    assert (second.context, second.asked) == ("An hour, or two.", "How long does it rise?")
    assert (russian.context, russian.language, russian.conversation) == ("", "ru", "twin:b")
    assert {one.kind for one in (first, second, russian)} == {"next"}


def test_only_own_words_of_imports_count_and_an_assistants_are_context(archive: Archive) -> None:
    pasted = "Look at this:\n> a line that somebody else wrote to me\nWhat does it mean for us?"
    archive.add([Conversation("c", (
        Message("1", "user", "Where do I begin with this?", time=BEGAN),
        Message("2", "assistant", "Begin at the beginning of it.", time=BEGAN),
        Message("3", "user", pasted, time=BEGAN),
        Message("4", "user", "a text that was forwarded to me", flags=("forwarded",), time=BEGAN),
        Message("5", "user", "ok", time=BEGAN)))])
    found = gather(archive).said

    assert [one.key for one in found] == ["1", "3"]  # one word is no evidence
    assert found[1].context == "Begin at the beginning of it."
    assert "somebody else" not in found[1].text and "What does it mean for us?" in found[1].text


def test_answers_count_where_they_were_liked_or_edited_as_they_were_kept(archive: Archive) -> None:
    chat(archive)
    archive.signal("t1", "thumb", 1)
    archive.signal("t2", "thumb", -1)
    archive.signal("t3", "edited", "Час, не меньше.")
    found = gather(archive)
    kept = {one.key: one for one in found.said if one.kind == "kept"}

    assert {name: one.text for name, one in kept.items()} == {"t1": "An hour, or two.", "t3": "Час, не меньше."}
    assert (kept["t1"].role, kept["t1"].context) == ("empiric", "How long does it rise?")
    rated = [(one.turn, one.good, one.role_map) for one in found.rated]
    assert rated == [("t1", True, "map-1"), ("t2", False, "map-1")]


def test_an_edited_answer_counts_as_edited_even_where_it_was_liked(archive: Archive) -> None:
    chat(archive)
    archive.signal("t1", "thumb", 1)
    archive.signal("t1", "edited", "One hour.")
    assert [one.text for one in gather(archive).said if one.kind == "kept"] == ["One hour."]


def test_a_correction_labels_its_message_and_a_liked_answer_its_own_role(archive: Archive) -> None:
    """Corrections alone would be a set in which every route was wrong: any change could only win."""
    chat(archive)
    archive.signal("t1", "thumb", 1)
    archive.signal("t2", "thumb", 1)
    archive.correct("t2", "critic")
    found = {one.turn: (one.label, one.kind) for one in gather(archive).labelled}

    assert found == {"t1": ("empiric", "kept"), "t2": ("critic", "correction")}


def test_lines_belong_to_their_trunk_and_what_is_asked_again_counts_once(archive: Archive) -> None:
    chat(archive)
    line, _ = Lines(archive).fork("t2", Settings(role="critic"))
    archive.save_turn(turn("t4", line.id, "And why so long?", "It is cold.", role="critic", day=3))
    archive.signal("t4", "thumb", 1)
    found = gather(archive)

    assert [one.text for one in found.said].count("And why so long?") == 1
    assert {one.conversation for one in found.said} == {"twin:a", "twin:b"}
    assert found.trunks[line.id] == "twin:a"


# ---- the cut -----------------------------------------------------------------------------------------------------

def talks(count: int, *, timed: bool = True, first: int = 0) -> Evidence:
    said = [Said(f"twin:{number}", BEGAN + timedelta(days=number) if timed else None, f"m{number}-{place}", "",
                 "so be it", "en") for number in range(first, count) for place in range(2)]
    return Evidence((), tuple(said), ())


def names(part: Evidence) -> list[int]:
    return [int(name.removeprefix("twin:")) for name in part.conversations()]


def test_the_newest_fifth_proves_the_fifth_before_selects() -> None:
    found = split(talks(20))
    assert (names(found.train), names(found.select), names(found.proof)) == (
        [*range(12)], [*range(12, 16)], [*range(16, 20)])


def test_conversations_stay_whole_and_those_without_time_keep_their_order() -> None:
    found = split(talks(10, timed=False))
    assert names(found.proof) == [8, 9]
    assert found.window == "n8"
    assert len(found.proof.said) == 4


def test_a_window_that_was_opened_stays_where_it_begins_and_grows() -> None:
    opened = split(talks(20))
    later = split(talks(30), window=opened.window, used=3)

    assert names(later.proof) == [*range(16, 30)]
    assert (later.window, later.used) == (opened.window, 3)
    assert names(later.select) == [*range(10, 16)]


def test_a_window_that_has_served_ten_is_for_training_and_the_next_one_is_all_new() -> None:
    opened = split(talks(20))
    last = BEGAN + timedelta(days=20)
    spent = split(talks(20), window=opened.window, used=evidence.SERVES, last=last)
    later = split(talks(30), window=opened.window, used=evidence.SERVES, last=last)

    assert names(spent.proof) == [] and spent.used == 0
    assert names(later.proof) == [*range(21, 30)]
    assert later.window != opened.window and later.used == 0
    assert names(split(talks(40), window=later.window, used=1).proof) == [*range(21, 40)]


def test_a_name_that_is_no_window_is_refused() -> None:
    with pytest.raises(UsageError, match="no proof window"):
        split(talks(20), window="yesterday")


def test_who_makes_proposals_may_see_training_alone_by_whatever_name(archive: Archive) -> None:
    for number in range(5):
        archive.save_turn(turn(f"t{number}", f"chat{number}", f"What about number {number}?", "Well.", day=number))
    line, _ = Lines(archive).fork("t4", Settings(role="critic"))
    found = evidence.parts(archive)

    assert names_of(found.proof) == ["twin:chat4"] and names_of(found.select) == ["twin:chat3"]
    assert [found.may_see(f"chat{number}") for number in range(5)] == [True, True, True, False, False]
    assert [found.may_see(f"twin:chat{number}") for number in range(5)] == [True, True, True, False, False]
    assert not found.may_see(line.id) and found.may_see("an import without evidence")


def names_of(part: Evidence) -> list[str]:
    return part.conversations()


def test_nothing_at_all_is_cut_into_nothing(archive: Archive) -> None:
    found = evidence.parts(archive)
    assert (found.train.said, found.select.said, found.proof.said) == ((), (), ())


# ---- as plain data -----------------------------------------------------------------------------------------------

def test_plain_data_reads_back_without_the_names_of_conversations() -> None:
    part = replace(talks(3), labelled=(Labelled("twin:1", BEGAN, "t", "a text", "critic"),))
    told = json.dumps(plain(part))
    again = read(json.loads(told))

    assert "twin:" not in told
    assert [(one.time, one.text, one.key) for one in again.said] == [(one.time, one.text, one.key) for one in part.said]
    assert again.labelled[0].conversation == again.said[2].conversation != again.said[0].conversation


def test_reprs_hold_no_word_of_the_person(archive: Archive) -> None:
    chat(archive)
    archive.correct("t2", "critic")
    found = gather(archive)
    shown = repr((found, found.said, found.labelled, split(found)))

    assert "rise" not in shown and "why" not in shown and "hour" not in shown
