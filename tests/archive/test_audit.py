"""The audit: only added to, and whatever is done to it behind its back is noticed."""
from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.archive import Archive, database, hash_chain
from twin.archive.audit import add
from twin.archive.hash_chain import FILE, Entry, Head, Verified, verify
from twin.errors import HomeError, UsageError
from twin.home import Home

ROOT = Path(__file__).parent.parent.parent
TRIGGERS = ("audit_is_not_changed", "audit_is_not_deleted", "audit_goes_on")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(Home(tmp_path / "home"))


@pytest.fixture
def held(archive: Archive) -> Archive:
    """Five lines."""
    for number in range(1, 6):
        archive.audit_add("map", map=f"{number:064x}", turns=number)
    return archive


def by_hand(archive: Archive, *statements: str) -> None:
    """Edit the file as a program would that knows nothing of us."""
    with closing(sqlite3.connect(archive.home.archive)) as db:
        for name in TRIGGERS:
            db.execute(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            db.execute(statement)
        db.commit()


def test_an_empty_home_has_an_empty_audit_and_stays_empty(archive: Archive) -> None:
    assert archive.audit() == []
    assert archive.audit_verify() == Verified(True, 0)
    assert not archive.home.root.exists()


def test_lines_come_back_in_order_each_with_the_hash_of_the_one_before(archive: Archive) -> None:
    first = archive.audit_add("map", map="a" * 64, parent=None)
    second = archive.audit_add("trial ends", proposal="p-0123456789", turns=50, kept=["w-1", "w-2"], scale=0.5)

    assert archive.audit() == [first, second]
    assert (first.number, first.prev, second.number, second.prev) == (1, "", 2, first.hash)
    assert second.ids == {"proposal": "p-0123456789", "turns": 50, "kept": ["w-1", "w-2"], "scale": 0.5}
    assert archive.audit_verify() == Verified(True, 2)


@pytest.mark.parametrize("value", ["Ключ от дачи", "two words", "слово", "a\nb", "x" * 81, b"raw", {"a": "b"}, ["a b"]])
def test_nothing_that_could_be_text_gets_in(archive: Archive, value: Any) -> None:
    with pytest.raises(UsageError, match="ids, hashes and numbers"):
        archive.audit_add("map", map=value)
    assert archive.audit() == []


def test_a_kind_is_a_word_or_two(archive: Archive) -> None:
    with pytest.raises(UsageError):
        archive.audit_add("Всё о ключах")


@pytest.mark.parametrize("statement", [
    "UPDATE audit SET kind = 'x' WHERE number = 2", "DELETE FROM audit", "DELETE FROM audit WHERE number = 5",
    "INSERT OR REPLACE INTO audit SELECT 2, 'x', body, prev, hash, made FROM audit WHERE number = 2",
    "INSERT INTO audit SELECT 7, 'x', body, hash, hash, made FROM audit WHERE number = 5",
    "INSERT INTO audit SELECT 6, 'x', body, prev, hash, made FROM audit WHERE number = 5",
    "INSERT INTO audit (kind, body, prev, hash, made) SELECT 'x', body, hash, hash, made FROM audit WHERE number = 5"])
def test_the_database_itself_only_lets_lines_be_added_at_the_end(held: Archive, statement: str) -> None:
    before = held.audit()
    with closing(sqlite3.connect(held.home.archive)) as db, pytest.raises(sqlite3.IntegrityError, match="only added"):
        db.execute(statement)
    assert held.audit() == before


SWAPPED = ("UPDATE audit SET number = 99 WHERE number = 2", "UPDATE audit SET number = 2 WHERE number = 3",
           "UPDATE audit SET number = 3 WHERE number = 99")
A_LINE_TWICE = "INSERT INTO audit SELECT 3, kind, body, prev, hash, made FROM audit WHERE number = 4"


@pytest.mark.parametrize(("statements", "found"), [
    (("UPDATE audit SET body = replace(body, '3', '4') WHERE number = 3",), (3, "changed")),
    (("UPDATE audit SET made = '2020-01-01T00:00:00+00:00' WHERE number = 1",), (1, "changed")),
    (("UPDATE audit SET kind = 'undone' WHERE number = 5",), (5, "changed")),
    (("UPDATE audit SET hash = prev WHERE number = 4",), (4, "changed")),
    (("DELETE FROM audit WHERE number = 1",), (1, "removed")),
    (("DELETE FROM audit WHERE number = 3",), (3, "removed")),
    (("DELETE FROM audit WHERE number = 3", "UPDATE audit SET number = number - 1 WHERE number > 3"), (3, "changed")),
    (("UPDATE audit SET number = number + 100 WHERE number > 2", "UPDATE audit SET number = number - 99 "
      "WHERE number > 2", A_LINE_TWICE), (4, "changed")),
    (("INSERT INTO audit SELECT 0, kind, body, '', hash, made FROM audit WHERE number = 1",), (0, "inserted")),
    (SWAPPED, (2, "changed")),
    (("DELETE FROM audit WHERE number > 3",), (4, "truncated")),
    (("DELETE FROM audit",), (1, "truncated")),
])
def test_what_is_changed_removed_put_in_moved_or_cut_off_is_found(held: Archive, statements: tuple[str, ...],
                                                                  found: tuple[int, str]) -> None:
    by_hand(held, *statements)
    seen = held.audit_verify()

    assert (seen.ok, seen.broken_at, seen.reason) == (False, *found)
    assert str(seen.broken_at) in seen.say("en")
    assert str(seen.broken_at) in seen.say("ru")


def test_a_line_that_follows_by_its_hash_but_not_through_us_is_found(held: Archive) -> None:
    """Whoever appends with the right hashes but leaves the head as it was."""
    last = held.audit()[-1]
    name = hash_chain._hash(6, "map", "{}", last.hash, "2026-01-01T00:00:00+00:00")
    with closing(sqlite3.connect(held.home.archive)) as db:
        db.execute("INSERT INTO audit VALUES (6, 'map', '{}', ?, ?, '2026-01-01T00:00:00+00:00')", (last.hash, name))
        db.commit()

    assert held.audit_verify() == Verified(False, 6, 6, "inserted")


def test_lines_cut_off_together_with_the_noted_head_are_found_by_the_file(held: Archive) -> None:
    third = held.audit()[2]
    by_hand(held, "DELETE FROM audit WHERE number > 3")
    held.set_setting("audit.head", json.dumps([3, third.hash]))

    assert held.audit_verify() == Verified(False, 3, 4, "truncated")


def test_an_older_copy_of_the_archive_is_found_by_the_file_also_after_it_was_gone_on_with(
        held: Archive, tmp_path: Path) -> None:
    shutil.copy(held.home.archive, tmp_path / "old")
    held.audit_add("map", map="6")
    shutil.copy(tmp_path / "old", held.home.archive)
    assert held.audit_verify() == Verified(False, 5, 6, "truncated")

    held.audit_add("map", map="another")
    assert held.audit_verify() == Verified(False, 6, 6, "rewritten")
    held.audit_add("map", map="7")
    assert held.audit_verify() == Verified(False, 7, 6, "rewritten"), "the evidence stays"


def test_a_head_that_was_cut_off_stays_as_evidence(held: Archive) -> None:
    by_hand(held, "DELETE FROM audit WHERE number = 5")
    held.audit_add("map", map="new")

    assert held.audit_verify() == Verified(False, 5, 5, "rewritten")


@pytest.mark.parametrize("content", ["", "nonsense", "[1]", '["five", 5]', "{}"])
def test_a_head_that_cannot_be_read_is_named_and_never_replaced(held: Archive, content: str) -> None:
    (held.home.root / FILE).write_text(content, "utf-8")
    held.audit_add("map", map="6")

    assert held.audit_verify() == Verified(False, 6, None, "head")
    assert (held.home.root / FILE).read_text("utf-8") == content


def test_the_head_stands_in_a_file_of_its_owners_alone(held: Archive) -> None:
    file = held.home.root / FILE
    assert json.loads(file.read_text("utf-8")) == [5, held.audit()[-1].hash]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_home_without_an_audit_has_no_file_for_its_head(archive: Archive) -> None:
    archive.set_setting("me", "Аня")
    assert not (archive.home.root / FILE).exists()


def test_a_file_that_is_behind_or_gone_is_no_fault_and_catches_up(held: Archive) -> None:
    """A crash came between the commit and the file, or the archive alone was copied to another home."""
    file = held.home.root / FILE
    file.write_text(json.dumps([3, held.audit()[2].hash]), "utf-8")
    assert held.audit_verify() == Verified(True, 5)
    held.set_setting("any", "write")
    assert json.loads(file.read_text("utf-8"))[0] == 5
    file.unlink()
    assert held.audit_verify() == Verified(True, 5)
    held.set_setting("any", "write")
    assert json.loads(file.read_text("utf-8"))[0] == 5


def test_a_head_that_cannot_be_written_takes_nothing_back(held: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise HomeError("no space", "")

    with monkeypatch.context() as patch:
        patch.setattr(hash_chain, "write_atomically", full)
        held.audit_add("map", map="6")
    assert held.audit_verify() == Verified(True, 6)
    assert json.loads((held.home.root / FILE).read_text("utf-8"))[0] == 5


def test_a_line_stands_if_and_only_if_the_transaction_does_that_it_is_part_of(archive: Archive) -> None:
    with archive._writing("test") as db:
        add(db, "map", map="kept")
        add(db, "map", map="too")
    with pytest.raises(ZeroDivisionError), archive._writing("test") as db:
        add(db, "map", map="lost")
        raise ZeroDivisionError

    assert [one.ids["map"] for one in archive.audit()] == ["kept", "too"]
    assert archive.audit_verify() == Verified(True, 2)
    assert json.loads((archive.home.root / FILE).read_text("utf-8"))[0] == 2


# ---- any chain, any tampering ----------------------------------------------------------------------------------------

COLUMNS = ("kind", "body", "prev", "hash", "made")


@cache
def empty() -> sqlite3.Connection:
    return database.in_memory()


def lines_of(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return db.execute("SELECT * FROM audit ORDER BY number").fetchall()


@settings(max_examples=60)
@given(st.integers(1, 6), st.data())
def test_whatever_is_done_to_any_line_of_any_chain_is_found(length: int, data: st.DataObject) -> None:
    """Every way to have other lines than were written, with the numbers put right where that is possible."""
    with closing(database.in_memory(empty())) as db:
        for number in range(length):
            add(db, "map", map=f"{number:x}")
        written = lines_of(db)
        assert verify(db, None) == Verified(True, length)
        head = Head(length, written[-1][4])
        other = data.draw(st.permutations(written) | st.lists(st.sampled_from(written), max_size=length + 2))
        if data.draw(st.booleans()):
            other = [(at, *row[1:]) for at, row in enumerate(other, 1)]
        if other and data.draw(st.booleans()):
            at, column = data.draw(st.integers(0, len(other) - 1)), data.draw(st.integers(1, 5))
            changed = data.draw(st.text(max_size=5) | st.binary(max_size=3))
            other[at] = (*other[at][:column], changed, *other[at][column + 1:])
        other = list({row[0]: row for row in other}.values())
        for name in TRIGGERS:
            db.execute(f"DROP TRIGGER {name}")
        db.execute("DELETE FROM audit")
        db.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", other)
        same = lines_of(db) == written
        assert verify(db, head).ok == same
        if other and not same:  # also where whoever did it noted another head, as long as the file is ours
            last = lines_of(db)[-1]
            db.execute("UPDATE settings SET value = ? WHERE key = 'audit.head'", (json.dumps([last[0], str(last[4])]),))
            assert not verify(db, head).ok


# ---- several processes -----------------------------------------------------------------------------------------------

WRITE = """
import sys
from twin.archive import Archive
from twin.home import Home
archive = Archive(Home(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    with archive._writing("test", 60.0) as db:
        from twin.archive.audit import add
        add(db, "map", by=sys.argv[2], number=number)
"""


def together(code: str, home: Path, count: int, *more: object) -> list[str]:
    """What `count` processes printed that began at once."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen([sys.executable, "-c", code, str(home), f"w{n}", *map(str, more)], cwd=ROOT, text=True,
                                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
               for n in range(count)]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate()[0] for one in running]
    assert [one.returncode for one in running] == [0] * count
    return said


def test_processes_that_write_at_once_make_one_chain(archive: Archive) -> None:
    together(WRITE, archive.home.root, 4, 15)
    lines = archive.audit()

    assert archive.audit_verify() == Verified(True, 60)
    assert [one.number for one in lines] == list(range(1, 61))
    for writer in range(4):
        assert [one.ids["number"] for one in lines if one.ids["by"] == f"w{writer}"] == list(range(15))
    assert len({one.ids["by"] for one in lines[:20]}) > 1, "they did not write at once"
    assert json.loads((archive.home.root / FILE).read_text("utf-8")) == [60, lines[-1].hash]


def test_an_audit_is_whole_to_whoever_looks_while_it_is_written(archive: Archive) -> None:
    archive.audit_add("map", map="first")
    code = WRITE + "\nprint('done', flush=True)"
    with subprocess.Popen([sys.executable, "-c", code, str(archive.home.root), "w", "40"], cwd=ROOT, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        other.stdin.write("go\n")
        other.stdin.flush()
        seen = []
        while other.poll() is None:
            seen.append(archive.audit_verify())

    assert [one for one in seen if not one.ok] == []
    assert len({one.entries for one in seen}) > 1, "nothing was written meanwhile"
    assert archive.audit_verify() == Verified(True, 41)


def test_an_entry_names_what_it_is_about_and_nothing_else(held: Archive) -> None:
    assert isinstance(held.audit()[0], Entry)
    say: Callable[[str], str] = held.audit_verify().say
    assert (say("en"), say("ru")) == ("The audit is whole: 5 lines.", "Журнал цел, строк: 5.")
