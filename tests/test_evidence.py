"""What a proof looks at is the person's own word, cut so that who makes proposals never sees what proves them."""
from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twin import evidence, operations
from twin.archive import Archive
from twin.evidence import Evidence, Labelled, Rated, Said, Split, gather, plain, read, split
from twin.home import Home
from twin.lines import Lines, Settings
from twin.proposals import Proof, Proposal
from twin.types import Conversation, Message, Route, Turn, Verdict

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


def test_conversations_stay_whole_and_those_without_time_are_training() -> None:
    assert len(split(talks(20)).proof.said) == 8
    found = split(talks(10, timed=False))
    assert (len(found.train.conversations()), found.window, found.proof.said) == (10, "", ())
    mixed = split(Evidence((), (*talks(9, timed=False).said, *talks(12, first=9).said), ()))
    assert (names(mixed.proof), names(mixed.select), names(mixed.train)) == ([10, 11], [9], [*range(9)])


def test_what_began_at_the_same_time_is_not_taken_apart() -> None:
    at_once = tuple(replace(one, time=BEGAN) for one in talks(10).said)
    assert split(Evidence((), at_once, ())).window == ""
    later = split(Evidence((), (*at_once, *talks(12, first=10).said), ()))
    assert (names(later.select), names(later.proof)) == ([], [10, 11])


# ---- the pinned cut ------------------------------------------------------------------------------------------------

def live(archive: Archive, first: int, last: int) -> None:
    """Conversations, one a day."""
    for number in range(first, last):
        archive.save_turn(turn(f"t{number}", str(number), f"What about number {number}?", "Well.", day=number))


def looked(archive: Archive) -> Split:
    """As miners look: the cut is pinned first."""
    found = evidence.parts(archive)
    evidence.pin(archive, found)
    return found


def opened(archive: Archive, *, made: datetime | None = None, stage: str = "S3") -> Split:
    """As a proof goes: the window is used and pinned where the proof set was opened."""
    found = evidence.parts(archive)
    n = len(archive.proposals())
    asked = Proposal(operations.parse({"op": "add_routing_example", "role": "critic", "text": f"Is it {n}?"}), "map-1",
                     "owner", BEGAN)
    archive.save_proposal(asked)
    archive.add_proof(Proof(asked.hash, "map-1", "e", {}, "rejected", stage, {}, made or BEGAN + timedelta(days=20),
                            window=found.window, use=found.used + (stage == "S3")))
    if stage == "S3":
        archive.use_window(found.window)
        evidence.pin(archive, found)
    return found


def test_nothing_is_pinned_where_nothing_would_be_proof(archive: Archive) -> None:
    looked(archive)
    live(archive, 0, 2)
    looked(archive)
    assert archive.setting("evidence.cut") is None
    live(archive, 2, 320)
    found = looked(archive)
    assert (len(found.train.conversations()), len(found.select.conversations()), len(found.proof.conversations())) == (
        192, 64, 64)


def test_an_unused_window_moves_along_and_never_back(archive: Archive) -> None:
    live(archive, 0, 20)
    first = looked(archive)
    live(archive, 20, 40)
    assert names(looked(archive).proof) == [*range(32, 40)]
    archive.add([Conversation(f"old{n}", (Message("m", "user", f"An old note of mine, {n}", own=True, time=BEGAN -
                                                  timedelta(days=900 - n)),)) for n in range(200)])
    after = evidence.parts(archive)

    assert names(after.proof) == [*range(32, 40)] and names(after.select) == [*range(24, 32)]
    assert after.window != first.window


def test_what_miners_could_see_is_never_selected_or_proven_by(archive: Archive) -> None:
    """Older conversations that are imported later make the newest fifth larger."""
    live(archive, 0, 10)
    could_see = set(looked(archive).train.conversations())
    for number in range(60):
        archive.add([Conversation(f"old{number}", (Message("m", "user", f"An old note of mine, {number}", own=True,
                                                           time=BEGAN - timedelta(days=900 - number)),))])
        found = looked(archive)
        assert could_see <= set(found.train.conversations())
        could_see |= set(found.train.conversations())


def test_a_window_in_use_stays_and_grows_and_its_training_does_not_shrink(archive: Archive) -> None:
    live(archive, 0, 20)
    first = opened(archive)
    live(archive, 20, 24)
    later = evidence.parts(archive)

    assert (later.window, later.used) == (first.window, 1)
    assert (names(later.train), names(later.select)) == ([*range(12)], [*range(12, 16)])
    assert names(later.proof) == [*range(16, 24)]


def test_a_window_that_holds_more_than_half_is_over(archive: Archive) -> None:
    live(archive, 0, 20)
    first = opened(archive)
    live(archive, 20, 60)
    later = evidence.parts(archive)

    assert later.window != first.window and later.used == 0
    assert names(later.proof) == [*range(48, 60)] and names(later.select) == [*range(36, 48)]


@pytest.mark.parametrize("clock", [timedelta(), timedelta(days=-400), timedelta(days=4000)])
def test_a_window_that_has_served_ten_ends_with_its_last_use_whatever_an_earlier_clock_said(
        archive: Archive, clock: timedelta) -> None:
    live(archive, 0, 20)
    for number in range(evidence.SERVES):
        first = opened(archive, made=BEGAN + timedelta(days=19, hours=1) + (clock if number == 4 else timedelta()))
    spent = looked(archive)
    live(archive, 20, 23)
    later = looked(archive)

    assert (spent.window, spent.used, names(spent.proof)) == ("", 0, [])
    assert names(later.proof) == [20, 21, 22] and later.used == 0
    assert later.window not in ("", first.window)
    live(archive, 23, 40)
    assert names(evidence.parts(archive).proof) == [*range(32, 40)]  # unused: it moves along


def test_what_miners_see_while_a_window_is_over_stays_training(archive: Archive) -> None:
    live(archive, 0, 20)
    for _ in range(evidence.SERVES):
        opened(archive)
    could_see = set(looked(archive).train.conversations())
    assert "twin:12" not in could_see and len(could_see) == 12
    archive.add([Conversation(f"old{n}", (Message("m", "user", f"An old note of mine, {n}", own=True, time=BEGAN -
                                                  timedelta(days=900 - n)),)) for n in range(30)])
    live(archive, 21, 25)
    later = looked(archive)
    assert names(later.proof) == [21, 22, 23, 24] and could_see <= set(later.train.conversations())


def test_a_clock_that_was_set_back_does_not_revive_a_window(archive: Archive) -> None:
    live(archive, 0, 20)
    for _ in range(evidence.SERVES):
        opened(archive, made=BEGAN - timedelta(days=400))
    assert evidence.parts(archive).proof.said == ()


def test_a_proof_that_did_not_open_the_set_pins_nothing(archive: Archive) -> None:
    live(archive, 0, 20)
    opened(archive, stage="S2")
    assert archive.setting("evidence.cut") is None


def test_a_conversation_that_counts_for_nothing_yet_is_closed_by_its_time(archive: Archive) -> None:
    """One word is no evidence; a thumb on its answer may be, later."""
    live(archive, 0, 20)
    archive.save_turn(turn("word", "new", "Well?", "Yes.", day=18))
    assert not looked(archive).may_see("new")
    archive.signal("word", "thumb", 1)
    assert "twin:new" in evidence.parts(archive).proof.conversations()


def test_what_a_proposal_rests_on_neither_selects_nor_proves(archive: Archive) -> None:
    live(archive, 0, 20)
    archive.save_turn(turn("word", "18", "Well?", "Yes.", day=18))
    found = evidence.without(evidence.parts(archive), {"t13", "t16", "word", "t1", "unknown"})

    assert names(found.select) == [12, 14, 15]
    assert names(found.proof) == [17, 19]
    assert names(found.train) == [*range(12)]


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

def test_plain_data_reads_back_without_any_id_and_the_same_is_the_same_in_all_parts() -> None:
    part = replace(talks(20), labelled=(Labelled("twin:19", BEGAN + timedelta(days=19), "m19-0", "a text", "critic"),),
                   rated=(Rated("twin:2", BEGAN + timedelta(days=2), "m2-0", "critic", True),))
    parted = split(part)
    told = plain(parted)
    again = {name: read(told[name]) for name in ("train", "select", "proof")}
    written = json.dumps(told)

    assert "twin:" not in written and not any(f'"{one.key}"' in written for one in part.said if one.key[-2:] == "-0")
    assert sum(len(one.conversations()) for one in again.values()) == 20
    assert len({name for one in again.values() for name in one.conversations()}) == 20
    assert [(one.time, one.text) for one in again["proof"].said] == [(one.time, one.text) for one in parted.proof.said]
    shared = again["proof"].labelled[0]
    assert [one.conversation for one in again["proof"].said if one.key == shared.turn] == [shared.conversation]
    assert again["train"].rated[0].turn in {one.key for one in again["train"].said}


def test_an_answer_of_several_roles_is_rated_as_theirs(archive: Archive) -> None:
    chat(archive)
    archive.signal("t1", "thumb", 1)
    assert [one.role for one in gather(archive).rated] == ["empiric"]
    archive.save_turn(replace(turn("t9", "z", "What now, all of you?", "This."), verdict=Verdict((), (), 1.0, 1.0)))
    archive.signal("t9", "thumb", -1)
    assert [one.role for one in gather(archive).rated if one.turn == "t9"] == ["council"]


def test_reprs_hold_no_word_of_the_person(archive: Archive) -> None:
    chat(archive)
    archive.correct("t2", "critic")
    found = gather(archive)
    shown = repr((found, found.said, found.labelled, split(found)))

    assert "rise" not in shown and "why" not in shown and "hour" not in shown
