"""A kept version of the profile: equal for equal profiles, checked quote by quote, compared with another one."""
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.person import Claim, Depth, DepthOf, Evidence, Profile, SubQuestion
from twin.types import Message
from twin.verification import Kept, Mark, Snapshot, diff, snapshot, verify

MAY, JUNE = datetime(2025, 5, 3, 9, tzinfo=UTC), datetime(2025, 6, 7, 9, tzinfo=UTC)
FIRST = "Сначала я измеряю, потом решаю."
SECOND = "I measure before I decide, every time."


def said(id: str, text: str, **more: Any) -> Message:
    return Message(id, "user", text, **more)


MESSAGES = [("a", said("m1", f"Привет. {FIRST}", time=MAY)), ("b", said("m2", SECOND, time=JUNE))]


def quote(conversation: str, message: Message, words: str) -> Evidence:
    start = message.text.index(words)
    return Evidence(words, conversation, message.id, start, start + len(words), message.time)


def claim(name: str = "wants_measurements", **more: Any) -> Claim:
    quotes = tuple(quote(conversation, message, words)
                   for (conversation, message), words in zip(MESSAGES, (FIRST, SECOND), strict=True))
    return Claim(name, more.pop("text", "You measure first."), more.pop("authority", "inferred"),
                 more.pop("confidence", 0.5), more.pop("evidence", quotes), **more)


def profile(*claims: Claim, asked: tuple[tuple[float, datetime | None], ...] = (), language: str = "en") -> Profile:
    """`asked`: level and time of each question."""
    questions = tuple(DepthOf(Evidence("Why?", "a", f"q{number}", 0, 4, time),
                              Depth(level, level, level, {}, "rule", SubQuestion("Why?")))
                      for number, (level, time) in enumerate(asked))
    return Profile(claims, questions, 12, 9, 2, 4, language)


def kept(*claims: Claim, made: datetime = JUNE, **more: Any) -> Snapshot:
    return snapshot(profile(*claims, **more), made)


# ---- a version -------------------------------------------------------------------------------------------------------

def test_equal_profiles_have_equal_versions_whenever_they_were_made() -> None:
    moscow = timezone(timedelta(hours=3))
    one = kept(claim(months={"2025-06": 1, "2025-05": 1}))
    again = kept(claim(months={"2025-05": 1, "2025-06": 1}), made=datetime(2025, 7, 1, 3, tzinfo=moscow))

    assert one.version == again.version
    assert len(one.version) == 12
    assert again.made == datetime(2025, 7, 1, tzinfo=UTC)
    assert again.made.tzinfo is UTC


@pytest.mark.parametrize("other", [
    claim(confidence=0.51), claim(authority="approved"), claim("plans_steps"), claim(text="You measure."),
    claim(evidence=claim().evidence[:1]), claim(months={"2025-06": 1})])
def test_another_claim_is_another_version(other: Claim) -> None:
    assert kept(claim()).version != kept(other).version


def test_other_depths_are_another_version() -> None:
    asked = ((), ((4, MAY),), ((4, JUNE),), ((5, JUNE),), ((4, JUNE), (4, JUNE)))

    assert len({kept(claim(), asked=one).version for one in asked}) == 5
    assert kept(asked=((4.2, MAY),)).version == kept(asked=((4, MAY),)).version, "the same step"


def test_a_version_holds_no_words_of_a_quote() -> None:
    one = kept(claim())

    assert one.claims[0].quotes[1] == Mark("b", "m2", 0, len(SECOND), claim().evidence[1].hash, JUNE)
    assert FIRST not in str(one.claims)
    assert SECOND not in repr(one)


def test_questions_are_counted_by_month_and_depth() -> None:
    one = kept(asked=((4, JUNE), (1, MAY), (4, JUNE), (6, JUNE), (2, None)))

    assert one.levels == {"": {2: 1}, "2025-05": {1: 1}, "2025-06": {4: 2, 6: 1}}


# ---- what no longer stands -------------------------------------------------------------------------------------------

def test_quotes_that_stand_are_counted_and_nothing_is_broken() -> None:
    found = verify(kept(claim(), claim("plans_steps", authority="said", evidence=claim().evidence[:1])), MESSAGES)

    assert (found.quotes, found.claims, found.broken, found.ok) == (3, 2, (), True)
    assert "all stand" in str(found)


@pytest.mark.parametrize(("now", "fault", "says"), [
    ([said("m1", "Привет. Сначала я спрашиваю, потом решаю.")], "changed", "other words"),
    ([said("m1", f"Добрый день. {FIRST}")], "moved", "elsewhere in that message"),
    ([said("m9", f"Привет. {FIRST}")], "gone", "is gone"),
    ([], "gone", "is gone"),
    ([said("m1", "")], "changed", "other words"),
    ([said("m1", f"Привет. {FIRST}", own=False)], "not own", "no longer your own words"),
])
def test_a_quote_that_does_not_stand_is_named_with_what_happened(now: list[Message], fault: str, says: str) -> None:
    found = verify(kept(claim()), [*(("a", message) for message in now), MESSAGES[1]])

    broken, = found.broken
    assert not found.ok
    assert (broken.claim, broken.text, broken.conversation, broken.message, broken.fault) == (
        "wants_measurements", "You measure first.", "a", "m1", fault)
    assert says in broken.happened
    assert "1 do not stand" in str(found)


def test_words_against_a_claim_and_questions_shown_are_checked_under_their_names() -> None:
    against = claim(evidence=claim().evidence[:1], counter=claim().evidence[1:], authority="said")
    shown = DepthOf(claim().evidence[1], Depth(5, 5, 5, {}, "rule", SubQuestion("Why?")))
    one = snapshot(profile(against), JUNE, [shown, shown])

    assert (verify(one, MESSAGES).quotes, verify(one, MESSAGES).questions, verify(one, MESSAGES).ok) == (3, 1, True)
    assert [(broken.claim, broken.fault) for broken in verify(one, MESSAGES[:1]).broken] == [
        ("wants_measurements", "gone"), ("question 5", "gone")]
    versions = {snapshot(profile(*claims), JUNE, some).version for claims, some in (
        ((against,), [shown]), ((against,), []), ((claim(evidence=claim().evidence[:1], authority="said"),), []))}
    assert len(versions) == 3


def test_a_quote_that_is_another_persons_words_now_is_broken() -> None:
    """The same letters at the same place, but the message quotes them: they show nothing of its writer."""
    quoted = said("m", f"> {SECOND}\nНе согласен.")
    start = quoted.text.index(SECOND)
    bad = Evidence(SECOND, "b", "m", start, start + len(SECOND))
    found = verify(kept(claim(evidence=(claim().evidence[0], bad))), [MESSAGES[0], ("b", quoted)])

    assert [broken.fault for broken in found.broken] == ["not own"]


def test_what_is_inferred_takes_two_conversations_and_what_is_said_one() -> None:
    once = claim().evidence[:1]
    found = verify(kept(claim(evidence=once), claim("plans_steps", authority="approved", evidence=once),
                        claim("fact.1", authority="said", evidence=once)), MESSAGES)

    assert [(broken.claim, broken.fault, broken.message) for broken in found.broken] == [
        ("wants_measurements", "one talk", "")]


def test_what_happened_is_said_in_the_language_of_the_version() -> None:
    found = verify(kept(claim(), language="ru"), [])

    assert {broken.happened for broken in found.broken} == {"сообщения больше нет"}
    assert "Проверено цитат: 2" in str(found)


@given(st.text(st.sampled_from("аб wy.🙂\n"), max_size=40), st.integers(0, 40), st.integers(1, 12))
def test_any_one_letter_that_changes_is_found(text: str, start: int, length: int) -> None:
    words = text[start:start + length]
    if not words.strip():
        return
    mark = Evidence(words, "a", "m", start, start + len(words))
    one = kept(claim(authority="said", evidence=(mark,)))
    assert [broken.fault for broken in verify(one, [("a", said("m", text))]).broken] in ([], ["not own"])
    for at in range(start, start + len(words)):
        other = f"{text[:at]}X{text[at + 1:]}"
        assert {broken.fault for broken in verify(one, [("a", said("m", other))]).broken} <= {"changed", "moved"}
        assert not verify(one, [("a", said("m", other))]).ok


# ---- what is different -----------------------------------------------------------------------------------------------

def test_a_version_differs_in_nothing_from_itself() -> None:
    same = diff(kept(claim()), kept(claim(), made=MAY))

    assert same.same
    assert "Nothing is different." in str(same)


def test_the_difference_names_what_came_went_rose_fell_and_changed_its_standing() -> None:
    before = kept(claim("a", confidence=0.4), claim("b", confidence=0.6), claim("c", confidence=0.3), claim("gone"),
                  claim("d"), made=MAY, asked=((3, MAY),))
    after = kept(claim("a", confidence=0.45), claim("b", confidence=0.55), claim("c", confidence=0.34), claim("new"),
                 claim("d", authority="approved"), asked=((3, MAY), (5, None)))
    found = diff(before, after)

    def names(changes: Any) -> list[str]:
        return [change.after.id for change in changes]

    assert [one.id for one in found.came] == ["new"]
    assert [one.id for one in found.went] == ["gone"]
    assert (names(found.rose), names(found.fell), names(found.authority)) == (["a"], ["b"], ["d"])
    assert found.levels == {"": {5: 1}}
    assert not found.same


def test_fewer_questions_are_told_too() -> None:
    found = diff(kept(asked=((3, MAY), (4, MAY))), kept(asked=((4, MAY),)))

    assert found.levels == {"2025-05": {3: -1}}


@pytest.mark.parametrize(("language", "words"), [
    ("en", ["From", "New", "inferred", "Questions by depth", "level", "2025-06", "Own messages: 9 -> 9"]),
    ("ru", ["От", "Новое", "выведено", "Вопросы по глубине", "уровень", "2025-06", "Своих сообщений: 9 -> 9"])])
def test_the_difference_reads_in_both_languages(language: str, words: list[str]) -> None:
    found = diff(kept(), kept(claim(), language=language, asked=((2, JUNE),)))

    assert all(word in str(found) for word in words)
    assert all(word in found.markdown() for word in words)
    assert found.markdown("ru") == replace(found, after=replace(found.after, language="ru")).markdown()


def test_words_of_a_claim_cannot_write_markdown() -> None:
    text = "You say [this](http://x) *often*\n# and so"
    shown = diff(kept(), kept(claim(text=text))).markdown()

    assert "\\[this\\](http://x) \\*often\\* \\# and so" in shown
    assert [line for line in shown.splitlines() if line.startswith("# ")] == []


def test_a_claim_is_found_by_its_name() -> None:
    one = kept(claim())

    assert isinstance(one.claim("wants_measurements"), Kept)
    assert one.claim("nothing") is None
