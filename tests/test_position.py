"""Where the questions stand: a printed rule over counts, an interval that small numbers cannot hide, no flattery."""
from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_timeline import asked, profile
from twin.person import DepthOf, Profile
from twin.position import POSITIONS, TYPICAL, headline, split, table, table_rule


def months(*levels: Sequence[float]) -> Profile:
    """One month for each sequence of levels, all of them dated."""
    questions = [asked(level, f"2025-{month:02}", 100 * month + n)
                 for month, some in enumerate(levels, 1) for n, level in enumerate(some)]
    return profile(questions)


def statuses(made: Profile) -> list[str]:
    return [row.status for row in table(made)]


def undated(*levels: float) -> Profile:
    """All of them count as recent."""
    return profile([asked(level, None, n) for n, level in enumerate(levels)])


# ---- the headline ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("level", "english", "russian"), [
    (1, "operator", "оператор"), (2, "operator", "оператор"), (3, "framework builder", "сборщик каркасов"),
    (4, "framework builder", "сборщик каркасов"), (5, "architect", "архитектор"), (6, "architect", "архитектор"),
    (6.5, "architect", "архитектор"), (6.6, "constructor", "конструктор"), (7, "constructor", "конструктор")])
def test_the_position_follows_the_level_in_both_languages(level: float, english: str, russian: str) -> None:
    made = undated(*[level] * 30)
    told, сказано = headline(made), headline(replace(made, language="ru"))

    assert told and сказано and (told.position, сказано.position) == (english, russian)
    assert all(name in told.rule for name in POSITIONS["en"]) and "quarter" in told.rule
    assert all(name in сказано.rule for name in POSITIONS["ru"]) and "четверть" in сказано.rule


def test_without_questions_there_is_no_position() -> None:
    assert headline(profile()) is None
    assert statuses(profile()) == ["no"] * 7


def test_the_level_is_the_deepest_that_a_quarter_of_the_recent_questions_reaches() -> None:
    found = [headline(undated(*[6] * n, *[2] * (12 - n))) for n in range(1, 6)]

    assert [told and told.level for told in found] == [2, 2, 6, 6, 6]


def test_half_of_the_questions_are_named_beside_the_quarter() -> None:
    told = headline(undated(*[6] * 4, *[2] * 8))

    assert told and (told.level, told.half) == (6, 2)


def test_only_recent_questions_count_for_it() -> None:
    told = headline(months([7] * 20, [2] * 10))

    assert told and (told.position, told.n) == ("operator", 10) and "10" in told.rule


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_few_questions_get_an_interval_that_admits_it(count: int) -> None:
    """Fewer than thirteen cannot bound an upper quartile from above, whatever they are."""
    told = headline(undated(*[3] * count))

    assert told and told.high == 7 and "constructor" in told.also and told.n == count


def test_thirty_equal_questions_leave_the_error_of_reading_one() -> None:
    told = headline(undated(*[3] * 30))

    assert told and (told.low, told.high, told.also) == (2.5, 3.5, ())


def test_the_interval_covers_the_true_level_nineteen_times_in_twenty() -> None:
    """Of a person who asks on level 6 in 3 cases of 10 a quarter reach 6, whichever we happen to see."""
    dice = random.Random(7)  # noqa: S311 - no secret
    samples = [headline(undated(*(6 if dice.random() < 0.3 else 2 for _ in range(24)))) for _ in range(300)]

    assert sum(told is not None and told.low <= 6 <= told.high for told in samples) >= 0.95 * 300


@given(st.lists(st.tuples(st.integers(1, 7), st.sampled_from(["2025-01", "2025-03", "2025-09", None])), max_size=60))
def test_whatever_was_asked_the_table_adds_up(rows: list[tuple[int, str | None]]) -> None:
    made = profile([asked(level, month, n) for n, (level, month) in enumerate(rows)])
    told, found = headline(made), table(made)
    before, recent = split(made)

    assert [row.level for row in found] == [1, 2, 3, 4, 5, 6, 7]
    assert sum(row.n for row in found) == len(rows) and sum(row.recent for row in found) == len(recent)
    assert all((row.status == "no") == (row.n == 0) == (row.example is None) for row in found)
    assert sum(row.status == "now" for row in found) == (len(recent) >= 5)
    assert not before or len(before) >= 5 <= len(recent) < len(before) + 5
    assert (told is None) == (not rows)
    assert told is None or (1 <= told.low <= told.level <= told.high <= 7 and told.half <= told.level)
    assert table(made) == found and headline(made) == told


def test_a_question_pasted_into_many_conversations_counts_once() -> None:
    same = [asked(7, "2025-05", n, "How does a garden design itself?") for n in range(8)]
    others = [asked(2, "2025-05", 20 + n) for n in range(8)]
    made = profile([*same, *others])
    told = headline(made)

    assert told and (told.n, told.level) == (9, 2)
    assert [row.n for row in table(made)] == [0, 8, 0, 0, 0, 0, 1]


def test_of_equal_questions_the_latest_stands() -> None:
    made = profile([asked(3, month, text="Why does it leak?") for month in (None, "2025-02", "2025-09", "2025-04")])

    (one,) = split(made)[1]
    assert one.evidence.time is not None and one.evidence.time.month == 9


FOREIGN = ("Wie kann ich die Pumpe auf dem Dach und im Keller mit {} Rohren verbinden?",
           "Як мені з'єднати насос на даху і в підвалі, якщо є лише {} труби?")


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_language_that_no_rule_reads_gives_no_position(foreign: str) -> None:
    def mixed(unread: int, read: int) -> Profile:
        return profile([asked(2, None, n, foreign.format(n)) for n in range(unread)]
                       + [asked(2, None, 100 + n) for n in range(read)])

    assert headline(mixed(45, 0)) is None
    assert headline(mixed(20, 20)) is None
    assert headline(mixed(4, 40)) is not None


def test_short_questions_that_could_be_english_are_judged_together() -> None:
    short = ("Warum stoppt die Pumpe {}?", "Wo liegt das Rohr {}?", "Was kostet der Filter {}?")
    assert headline(profile([asked(2, None, n, short[n % 3].format(n)) for n in range(30)])) is None


def test_confirmed_words_are_counted_in_the_headline() -> None:
    questions = [asked(3, None, n) for n in range(6)]
    told = headline(profile([replace(one, evidence=replace(one.evidence, confirmed=n < 2))
                             for n, one in enumerate(questions)]))

    assert told and (told.n, told.confirmed) == (6, 2)


# ---- the table ---------------------------------------------------------------------------------------------------

def test_a_ladder_climbed_shows_every_status() -> None:
    """Eighteen early questions on levels 2 to 4, nine recent ones on 5 and 6, one of them on 7; level 3 once more."""
    made = months([2] * 2 + [3] * 2 + [4] * 14, [5] * 2 + [3] + [6] * 5 + [7])

    assert statuses(made) == ["no", "was", "yes", "outgrown", "yes", "now", "edge"]


def test_a_level_that_is_missing_by_chance_is_not_called_outgrown() -> None:
    assert statuses(months([2, 2, 4, 4, 4, 4], [4] * 5))[1] == "was"
    assert statuses(months([2] * 12 + [4] * 4, [4] * 8))[1] == "outgrown"


def test_a_deeper_level_of_the_past_was_and_is_not_outgrown() -> None:
    assert statuses(months([6] * 12, [3] * 6))[5] == "was"


@pytest.mark.parametrize("month", [None, "2025-03"])
def test_without_dates_or_with_few_nothing_is_outgrown_and_the_rule_says_so(month: str | None) -> None:
    made = profile([asked(level, month, level) for level in (2, 2, 3, 5, 5, 6)])
    told = headline(made)

    assert not {"was", "outgrown"} & set(statuses(made))
    assert told and told.n == 6 and "too few to tell earlier from now" in told.rule


def test_fewer_than_five_questions_have_no_now() -> None:
    assert statuses(months([3, 3, 5, 5])) == ["no", "no", "yes", "no", "yes", "no", "no"]


def test_the_evidence_is_an_own_question_that_can_be_read_and_the_latest_of_those() -> None:
    def said(text: str, month: str, *, thesis: bool = False) -> DepthOf:
        question = asked(3, month, text=text)
        return replace(question, depth=replace(question.depth, thesis=thesis))

    questions = [said("Why does the tap leak?", "2025-01"), said("Why does the roof leak?", "2025-04"),
                 said("Why?", "2025-06"), said("x" * 400, "2025-07"),
                 said("A roof is like a boat.", "2025-08", thesis=True)]
    row = table(profile(questions))[2]

    assert row.example is not None and row.example.evidence.quote == "Why does the roof leak?"
    assert row.first is not None and row.last is not None and (row.first.month, row.last.month) == (1, 8)


def test_the_words_cover_both_languages_and_praise_nobody() -> None:
    for language in ("en", "ru"):
        assert len(TYPICAL[language]) == 7 and len(POSITIONS[language]) == 4 and len(table_rule(language)) > 100
    assert [row.typical for row in table(replace(months([3]), language="ru"))] == list(TYPICAL["ru"])
