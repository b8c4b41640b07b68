"""The self-profile on real stores: kept as versions, explained, decided about, verified, and the person's own words."""
from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twin.archive import typed_in
from twin.chat import Twin
from twin.depth import rate
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.self_profile import portrait_text
from twin.stated import stated
from twin.types import Conversation, Message, Prompt

ASKED = ["What if we moved the stove to the window, how does that change the light and the draught?",
         "If the tram came only twice a day, what happens to the market and to the school?",
         "What if the choir sang without a conductor?",
         "If I halve the salt, how does that change the crust and the crumb?"]
START = datetime(2025, 3, 1, 9, tzinfo=UTC)


def talk(number: int, text: str) -> Conversation:
    at = START + timedelta(days=20 * number)
    return Conversation(f"talk {number}", (
        Message(f"q{number}", "user", text, time=at),
        Message(f"a{number}", "assistant", "You are a rare genius of systems.", time=at + timedelta(minutes=1)),
        Message(f"t{number}", "user", "Thanks, that helps me.", time=at + timedelta(minutes=2))), source="messages")


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "home", engine=ScriptedEngine(lambda _: "Yes.")) as opened:
        opened.add([talk(number, text) for number, text in enumerate(ASKED)])
        yield opened


def test_every_claim_of_a_fresh_profile_verifies(twin: Twin) -> None:
    made = twin.profile()
    checked = twin.verify()

    assert made.claims
    assert checked.ok
    assert checked.claims == len(made.claims)
    kept = twin.versions()[-1]
    assert checked.questions == len(kept.questions) >= 3
    assert checked.quotes == checked.questions + sum(len(claim.evidence) + len(claim.counter) for claim in made.claims)


def test_one_changed_character_of_a_source_names_the_claim(twin: Twin) -> None:
    claim = next(claim for claim in twin.profile().claims if claim.facet == "follows_conditions")
    quote = claim.evidence[0]
    with sqlite3.connect(twin.home.archive) as db:
        (text,) = db.execute("SELECT text FROM messages WHERE id = ?", (quote.message,)).fetchone()
        changed = text[:quote.start + 3] + "#" + text[quote.start + 4:]
        db.execute("UPDATE messages SET text = ? WHERE id = ?", (changed, quote.message))
    checked = twin.verify()

    assert not checked.ok
    assert claim.id in {one.claim for one in checked.broken}
    assert {one.message for one in checked.broken} == {quote.message}


def test_a_message_that_comes_again_with_another_character_is_noticed_and_a_new_profile_heals(twin: Twin) -> None:
    claim = next(claim for claim in twin.profile().claims if claim.facet == "follows_conditions")
    number = int(claim.evidence[0].message[1:])
    twin.add([talk(number, ASKED[number].replace("w", "v", 1))])

    assert claim.id in {one.claim for one in twin.verify().broken}
    twin.profile()
    assert twin.verify().ok


def test_a_changed_question_that_the_report_shows_and_changed_words_against_a_claim_are_named(twin: Twin) -> None:
    twin.add([talk(7, "I love olives. I can't stand olives."), talk(8, "I love olives.")])
    twin.decide(next(claim.id for claim in twin.profile().claims if "I love" in claim.text), "approve")
    made = twin.profile()
    against = next(claim for claim in made.claims if claim.counter)
    deepest = max(made.questions, key=lambda question: question.depth.level)
    assert twin.verify().ok
    with sqlite3.connect(twin.home.archive) as db:
        for quote in (against.counter[0], deepest.evidence):
            db.execute("UPDATE messages SET text = substr(text, 1, ?1) || '#' || substr(text, ?1 + 2) WHERE id = ?2",
                       (quote.start, quote.message))
    broken = {one.claim: one.message for one in twin.verify().broken}

    assert broken[against.id] == against.counter[0].message == "q7"
    assert broken[f"question {deepest.depth.step}"] == deepest.evidence.message


def test_a_version_keeps_marks_of_the_questions_that_the_report_shows_only(twin: Twin) -> None:
    twin.add([Conversation("many", tuple(Message(f"n{number}", "user", f"How do I install part {number} of the oven?")
                                         for number in range(300)), source="messages")])
    twin.profile()

    assert len(twin.profile().questions) > 300
    assert len(twin.versions()[-1].questions) <= 10


def test_a_forgotten_claim_leaves_nothing_in_the_profile(twin: Twin) -> None:
    """Neither a conflict, nor a fact it had replaced, nor words against another claim."""
    for number, (first, second) in enumerate([("I love olives.", "I can't stand olives."),
                                              ("I live in Ghent.", "I live in Porto."),
                                              ("I love frost.", "I can't stand frost.")], 5):
        twin.add([talk(2 * number, first), talk(2 * number + 1, second)])
        assert any(claim.counter or claim.conflicts for claim in twin.profile().claims)
        if "frost" in first:
            twin.decide(next(claim.id for claim in twin.profile().claims if first in claim.text), "approve")
            assert any(claim.counter for claim in twin.profile().claims)
        gone = next(claim.id for claim in stated([("x", Message("m", "user", second))], "en"))
        twin.forget(f"claim:{gone}")
        made = twin.profile()
        stays = next(claim for claim in made.claims if first in claim.text)
        assert (stays.counter, stays.conflicts, made.claim(gone)) == ((), (), None)
        assert twin.verify().ok


def test_why_shows_the_quote_between_its_neighbours(twin: Twin) -> None:
    claim = next(claim for claim in twin.profile().claims if claim.facet == "follows_conditions")
    found = twin.why(claim.id)

    assert found.claim.id == claim.id
    assert [one.quote for one in found.shown] == [quote.quote for quote in claim.evidence]
    first = found.shown[0]
    assert first.message is not None
    assert first.after is not None
    assert first.after.role == "assistant"
    assert first.before is None
    assert twin.why("1").claim.id == twin.profile().claims[0].id


def test_an_unknown_claim_is_named_with_those_there_are(twin: Twin) -> None:
    known = twin.profile().claims[0].id
    with pytest.raises(UsageError, match=known):
        twin.why("no_such_claim")
    with pytest.raises(UsageError):
        twin.why("")


def test_a_rejected_claim_stays_rejected_through_rebuilds_and_imports(twin: Twin) -> None:
    twin.profile()
    twin.decide("follows_conditions", "reject")
    assert twin.profile().claim("follows_conditions") is None
    twin.add([talk(9, "What if the roof were flat, how does that change the rain and the snow?")])
    assert twin.profile().claim("follows_conditions") is None
    twin.decide("follows_conditions", "undo")
    assert twin.profile().claim("follows_conditions") is not None


def test_a_claim_that_is_out_of_the_profile_can_be_decided_about_again(twin: Twin) -> None:
    twin.profile()
    twin.decide("follows_conditions", "reject")
    twin.profile()
    with pytest.raises(UsageError, match=r"follows_conditions.*undo"):
        twin.decide("nothing_like_it", "approve")
    assert twin.decide("follows_cond", "pin").claim == "follows_conditions"
    assert twin.profile().claims[0].id == "follows_conditions"
    twin.decide("follows_conditions", "undo")
    assert [one.action for one in twin.person.decided("follows_conditions")] == ["reject"]
    assert twin.profile().claim("follows_conditions") is None
    assert twin.decide("follows_conditions", "edit", "I ask what follows.").text == "I ask what follows."
    assert twin.profile().claim("follows_conditions") is not None


def test_an_undo_with_nothing_to_undo_is_refused_and_stores_nothing(twin: Twin) -> None:
    twin.profile()
    with pytest.raises(UsageError, match="no decision on follows_conditions"):
        twin.decide("follows_conditions", "undo")
    assert twin.archive.decisions() == []
    twin.decide("follows_conditions", "edit", "I ask what follows.")
    assert twin.decide("follows_conditions", "undo").text == "", "the person's own words name no claim"
    with pytest.raises(UsageError):
        twin.decide("follows_conditions", "undo")
    assert len(twin.archive.decisions()) == 2


def test_an_edit_is_the_person_s_word_and_an_empty_one_is_refused(twin: Twin) -> None:
    twin.profile()
    twin.decide("follows_conditions", "edit", "I like to ask what follows.")
    claim = twin.profile().claim("follows_conditions")

    assert claim is not None
    assert (claim.text, claim.authority) == ("I like to ask what follows.", "approved")
    with pytest.raises(UsageError):
        twin.decide("follows_conditions", "edit", "  ")
    with pytest.raises(UsageError):
        twin.decide("follows_conditions", "praise")


def test_two_versions_tell_what_is_different(twin: Twin) -> None:
    twin.profile()
    with pytest.raises(UsageError):
        twin.diff()
    twin.decide("follows_conditions", "reject")
    twin.profile()
    found = twin.diff()

    assert "follows_conditions" in {one.id for one in found.went}
    assert len(twin.versions()) == 2
    assert len(twin.versions()) == len({one.version for one in twin.versions()})


def test_the_same_profile_again_is_no_new_version(twin: Twin) -> None:
    twin.profile()
    twin.profile()
    assert len(twin.versions()) == 1


def test_nothing_of_one_s_own_is_no_version_and_no_verification(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "empty") as empty:
        assert empty.profile().own_messages == 0
        assert empty.versions() == []
        with pytest.raises(UsageError, match="twin import"):
            empty.verify()
    assert not (tmp_path / "empty").exists()


def test_assistant_praise_is_no_evidence(twin: Twin) -> None:
    assert not any("genius" in quote.quote for claim in twin.profile().claims for quote in claim.evidence)


def test_a_core_that_cannot_rate_known_questions_has_no_say_and_is_asked_once(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripted core has one opinion of everything."""
    asked = "How do I make the oven and the window work together?"
    choose, tried = twin.engine.choose, list[Prompt]()

    def counted(prompt: Prompt, options: Sequence[str]) -> list[float]:
        tried.append(prompt)
        return choose(prompt, options)

    monkeypatch.setattr(twin.engine, "choose", counted)
    found, counts = twin.person.rate(asked)
    before = len(tried)

    assert (found, counts) == (rate(asked), False)
    assert twin.person.rate(asked) == (found, False)
    assert len(tried) == before > 20


# ---- what is typed --------------------------------------------------------------------------------------------------

def test_what_the_person_types_is_their_own_word_and_no_memory_of_the_same_chat(twin: Twin) -> None:
    asked = "What if the bakery closed at noon, how does that change the queue and the bread?"
    twin.ask(asked)
    twin.ask("And what about the tram?")
    typed = twin.archive.conversation(typed_in(twin.conversation))

    assert [message.text for message in typed.messages] == [asked, "And what about the tram?"]
    assert all(message.own for message in typed.messages)
    assert asked in [question.evidence.quote for question in twin.profile().questions]
    assert all(memory.conversation != typed.id for turn in twin.archive.turns() for memory in turn.memories)
    assert twin.verify().ok


def test_switched_off_it_is_not(twin: Twin) -> None:
    twin.keeps_typed = False
    twin.ask("What if the bakery closed at noon?")

    assert not twin.keeps_typed
    with pytest.raises(UsageError):
        twin.archive.conversation(typed_in(twin.conversation))
    twin.keeps_typed = True
    twin.ask("Why?")
    assert len(twin.archive.conversation(typed_in(twin.conversation)).messages) == 1


# ---- portraits ------------------------------------------------------------------------------------------------------

PORTRAIT = """# Your questions
You are a genius beyond measure.
You ask what follows when something changes.

You ask: “How does a garden plan itself?”
| level | question | you |
|---|---|---|
| 4 | "How do the oven and the window work together?" | yes |
"""


def test_confirmed_words_become_evidence_and_only_then(twin: Twin) -> None:
    audit = twin.audit(PORTRAIT)
    words = [one.text for one in audit.attributed]
    before = {question.evidence.quote for question in twin.profile().questions}

    assert "How does a garden plan itself?" in words
    assert not before & set(words)
    assert twin.confirm(audit, [words.index("How does a garden plan itself?")]).imported == 1
    after = {question.evidence.quote for question in twin.profile().questions}
    assert after - before == {"How does a garden plan itself?"}
    assert twin.verify().ok
    assert any("confirmed" in source.kinds for source in twin.sources())


def test_praise_alone_is_no_evidence_in_an_audit(twin: Twin) -> None:
    verdicts = {one.sentence: one.verdict for one in twin.audit(PORTRAIT).sentences}
    assert verdicts["You are a genius beyond measure."] == "no evidence"


def test_the_portrait_of_a_chat_is_what_the_assistant_says(tmp_path: Path) -> None:
    note = tmp_path / "chat.md"
    note.write_text(">[!nexus_user] **User** - 30.06.2025 at 12:07\n> Describe me.\n<!-- UID: 1 -->\n\n"
                    ">[!nexus_agent] **Assistant** - 30.06.2025 at 12:08\n> You think in parts.\n<!-- UID: 2 -->\n",
                    encoding="utf-8")
    plain = tmp_path / "portrait.txt"
    plain.write_text("You think in parts.", encoding="utf-8")

    assert portrait_text(note).strip() == portrait_text(plain).strip() == "You think in parts."
