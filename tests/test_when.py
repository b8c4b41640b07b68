"""A time in a question is found in both languages, and what is no time is left alone."""
from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.when import parse

NOW = datetime(2025, 7, 16, 15, 30, tzinfo=UTC)  # a Wednesday


def days(text: str) -> tuple[str, str] | None:
    found = parse(text, NOW)
    return (found.since.date().isoformat(), found.until.date().isoformat()) if found else None


@pytest.mark.parametrize(("text", "first", "last"), [
    ("what happened in May 2023?", "2023-05-01", "2023-05-31"),
    ("on May 3rd, 2023", "2023-05-03", "2023-05-03"),
    ("the 3rd of May 2023", "2023-05-03", "2023-05-03"),
    ("2024-02-29 please", "2024-02-29", "2024-02-29"),
    ("02.03.2024", "2024-03-02", "2024-03-02"),
    ("3 июля 2024 года", "2024-07-03", "2024-07-03"),
    ("в мае 2023", "2023-05-01", "2023-05-31"),
    ("декабрь 2023", "2023-12-01", "2023-12-31"),
    ("in the summer of 2022", "2022-06-01", "2022-08-31"),
    ("летом 2022", "2022-06-01", "2022-08-31"),
    ("зимой 2023 года", "2022-12-01", "2023-02-28"),
    ("in 2021", "2021-01-01", "2021-12-31"),
    ("в 2021 году", "2021-01-01", "2021-12-31"),
    ("between 2019 and 2021", "2019-01-01", "2021-12-31"),
    ("с 2019 по 2021 год", "2019-01-01", "2021-12-31"),
    ("since 2023", "2023-01-01", "2025-07-16"),
    ("с 2023 года", "2023-01-01", "2025-07-16"),
])
def test_a_date_a_month_a_season_or_years_are_read(text: str, first: str, last: str) -> None:
    assert days(text) == (first, last)
    assert parse(text, NOW).relative == ""  # type: ignore[union-attr]


@pytest.mark.parametrize(("text", "first", "last"), [
    ("what did I say yesterday?", "2025-07-15", "2025-07-15"),
    ("The day before yesterday", "2025-07-14", "2025-07-14"),
    ("что я писал Вчера о даче", "2025-07-15", "2025-07-15"),
    ("позавчера", "2025-07-14", "2025-07-14"),
    ("last week", "2025-07-07", "2025-07-13"),
    ("на прошлой неделе", "2025-07-07", "2025-07-13"),
    ("в этом месяце", "2025-07-01", "2025-07-31"),
    ("last month", "2025-06-01", "2025-06-30"),
    ("в прошлом году", "2024-01-01", "2024-12-31"),
    ("last summer", "2024-06-01", "2024-08-31"),
    ("прошлым летом", "2024-06-01", "2024-08-31"),
    ("last winter", "2024-12-01", "2025-02-28"),
    ("in May", "2025-05-01", "2025-05-31"),
    ("in October", "2024-10-01", "2024-10-31"),
    ("в прошлом октябре", "2024-10-01", "2024-10-31"),
    ("two weeks ago", "2025-06-29", "2025-07-05"),
    ("неделю назад", "2025-07-06", "2025-07-12"),
    ("пару дней назад", "2025-07-14", "2025-07-14"),
    ("3 days ago", "2025-07-13", "2025-07-13"),
])
def test_times_that_count_from_now_are_read_and_marked(text: str, first: str, last: str) -> None:
    """Marked: the word "yesterday" in an old message does not mean the yesterday of the question."""
    assert days(text) == (first, last)
    found = parse(text, NOW)
    assert found is not None
    assert found.relative == found.cue
    assert found.relative in text


@pytest.mark.parametrize("text", [
    "", "what do I like?", "may I ask?", "I marched on", "мой любимый кот", "room 2023", "лишь бы", "31 June",
    "99999 лет назад", "9999 years ago", "2024-02-30", "mayor of the town", "август", "since 2030"])
def test_what_is_no_time_is_left_alone(text: str) -> None:
    assert days(text) is None


def test_years_ago_mean_half_a_year_around() -> None:
    """Nobody who says "three years ago" means one day."""
    found = parse("3 года назад", NOW)
    assert found is not None
    assert found.covers(datetime(2022, 7, 16, tzinfo=UTC))
    assert found.covers(datetime(2022, 3, 1, tzinfo=UTC))
    assert not found.covers(datetime(2023, 7, 1, tzinfo=UTC))


def test_days_are_those_of_the_persons_zone() -> None:
    east = timezone(timedelta(hours=5))
    found = parse("yesterday", datetime(2025, 7, 16, 2, 0, tzinfo=east))
    assert found is not None
    assert found.since == datetime(2025, 7, 14, 19, 0, tzinfo=UTC)
    assert found.covers(datetime(2025, 7, 15, 18, 59))  # without a zone: UTC
    assert not found.covers(datetime(2025, 7, 15, 19, 0, tzinfo=UTC))


@given(st.dates(date(1901, 1, 1), date(2099, 12, 30)))
def test_any_date_written_in_figures_is_that_day(day: date) -> None:
    for text in (day.isoformat(), f"{day.day}.{day.month}.{day.year}"):
        found = parse(f"что было {text}?", NOW)
        assert found is not None
        assert (found.since.date(), found.until.date()) == (day, day)


@given(st.text(st.sampled_from("0123456789. -смартвлеоnag yJul"), max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    found = parse(text, NOW)
    assert found is None or found.since <= found.until
