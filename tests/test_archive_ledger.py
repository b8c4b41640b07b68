"""The ledger's rows: numbered, frozen, all or none of them, and clean of what was forgotten."""
from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from twin.archive import ledger as rows
from twin.archive.ledger import Event, Ledgers, NewRow, Row
from twin.archive.traces import MARK, runs_of
from twin.errors import UsageError
from twin.home import Home

THEN = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Ledgers:
    return Ledgers(Home(tmp_path))


def test_an_empty_home_has_no_rows_and_stays_empty(store: Ledgers, tmp_path: Path) -> None:
    assert store.ledger_rows() == []
    assert not list(tmp_path.iterdir())


def test_rows_get_the_next_free_number_whatever_else_is_kept(store: Ledgers) -> None:
    store.add_ledger([NewRow("mine", "a", {}), NewRow("h-0041", "b", {})])

    assert store.add_ledger([NewRow("", "c", {}), NewRow("", "d", {})]) == [("h-0042", True), ("h-0043", True)]


def test_the_same_hash_is_the_same_row(store: Ledgers) -> None:
    first = store.add_ledger([NewRow("", "a", {"x": 1}), NewRow("", "a", {"x": 1})])

    assert first == [("h-0001", True), ("h-0001", False)]
    assert store.add_ledger([NewRow("", "a", {"x": 1}), NewRow("h-0001", "a", {})]) == [("h-0001", False)] * 2
    assert [row.body for row in store.ledger_rows()] == [{"x": 1}]


def test_one_row_that_is_frozen_otherwise_stops_all(store: Ledgers) -> None:
    store.add_ledger([NewRow("mine", "a", {})])
    with pytest.raises(UsageError, match="mine is frozen"):
        store.add_ledger([NewRow("", "b", {}), NewRow("mine", "c", {})])

    assert [row.frozen for row in store.ledger_rows()] == ["a"]


def test_events_come_back_in_order_with_their_row(store: Ledgers) -> None:
    row = NewRow("mine", "a", {"claim": "тесто"})
    store.add_ledger_event(row, "credit", {"role": "критик"}, unless="measured", made=THEN)
    store.add_ledger_event(row, "measured", {"value": 1.5}, made=THEN)

    assert store.ledger_rows() == [Row("mine", "a", {"claim": "тесто"}, THEN, (
        Event("credit", {"role": "критик"}, THEN), Event("measured", {"value": 1.5}, THEN)))]
    with pytest.raises(UsageError, match="mine is measured already"):
        store.add_ledger_event(row, "credit", {}, unless="measured")
    with pytest.raises(UsageError, match="frozen"):
        store.add_ledger_event(NewRow("mine", "b", {}), "measured", {})
    assert len(store.ledger_rows()[0].events) == 2


def test_forgotten_words_leave_rows_and_events_and_nothing_else_moves(store: Ledgers, tmp_path: Path) -> None:
    said = "the spare key lies under the blue pot"
    store.add_ledger_event(NewRow("mine", "a", {"claim": {"en": f"I said: {said}."}, "n": [1, "kept as it is"]}),
                           "measured", {"environment": said, "value": 2.0}, made=THEN)
    store.add_ledger([NewRow("other", "b", {"claim": "untouched"})], made=THEN)
    with sqlite3.connect(tmp_path / "archive.sqlite") as db:
        assert set(rows.texts(db)) == {f"I said: {said}.", "kept as it is", said, "untouched"}
        rows.follow(db, runs_of([said]))

    mine, other = store.ledger_rows()
    assert mine.body == {"claim": {"en": f"I said: {MARK}."}, "n": [1, "kept as it is"]}
    assert mine.events[0].body == {"environment": MARK, "value": 2.0}
    assert other.body == {"claim": "untouched"}
