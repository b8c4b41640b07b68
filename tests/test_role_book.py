"""The role map with its history: hand edits are versions, broken ones change nothing, every version comes back."""
from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.test_roles import POLICY, SMALL, any_role
from twin import roles
from twin.archive.role_maps import Maps, bytes_hash
from twin.errors import RoleError, UsageError
from twin.home import Home
from twin.role_book import RoleBook
from twin.roles import COUNCIL, Role, RoleMap

BROKEN = SMALL.replace("temperature: 0.2", "temperature: hot")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def book_of(home: Home) -> RoleBook:
    return RoleBook(home, Maps(home))


def write(home: Home, text: str | bytes, name: str = "tiny.md") -> None:
    home.roles.mkdir(parents=True, exist_ok=True)
    (home.roles / name).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))


# ---- reading ---------------------------------------------------------------------------------------------------------

def test_an_empty_home_has_the_seed_roles_and_stays_empty(home: Home) -> None:
    book = book_of(home)
    assert book.current() == roles.seed()
    assert book.history() == book.diff() == []
    assert not home.root.exists()


def test_the_seed_is_put_down_once_and_is_the_first_entry(home: Home) -> None:
    book = book_of(home)
    assert book.ensure() == book.ensure() == roles.seed()
    assert roles.on_disk(home.roles) == roles.seed_files()
    (only,) = book.history()
    assert (only.number, only.parent, only.author, only.note) == (1, None, "owner", "seed roles")
    assert only.version == roles.seed().version


def test_roles_of_an_earlier_version_become_the_first_entry(home: Home) -> None:
    write(home, SMALL)
    assert book_of(home).current().ids == ("tiny",)
    assert [step.number for step in book_of(home).history()] == [1]


def test_a_hand_edit_is_an_entry_by_the_owner_with_its_words(home: Home) -> None:
    write(home, SMALL)
    book = book_of(home)
    first = book.current()
    write(home, SMALL.replace("0.2", "0.7"))
    second = book.current()
    assert book.current() is second
    newest, oldest = book.history()
    assert (newest.version, newest.parent, newest.author) == (second.version, first.version, "owner")
    assert newest.changes == ("tiny: temperature 0.2 -> 0.7",)
    assert oldest.changes == ()
    assert newest.made >= oldest.made


def test_an_edit_of_the_layout_is_kept_and_says_so(home: Home) -> None:
    write(home, SMALL)
    book = book_of(home)
    first = book.current()
    write(home, SMALL.replace("id: tiny", "# mine\nid: tiny"))
    assert book.current().version == first.version
    assert [step.changes for step in book.history()] == [("layout and comments only",), ()]
    assert book.history("ru", limit=1)[0].changes == ("только вид и комментарии",)


def test_the_same_bytes_are_stored_once_and_logged_when_they_become_active_again(home: Home) -> None:
    book = book_of(home)
    for text in (SMALL, SMALL.replace("0.2", "0.7"), SMALL, SMALL):
        write(home, text)
        book.current()
        book_of(home).current()
    assert len(book.history()) == 3
    with closing(sqlite3.connect(home.archive)) as db:
        assert db.execute("SELECT count(*) FROM role_maps").fetchone() == (2,)


def test_reading_what_did_not_change_is_quick(home: Home) -> None:
    """It stands before every question: six roles, 0.4 ms measured; 24 ms when all of them are parsed."""
    book = book_of(home)
    book.ensure()
    took = []
    for _ in range(5):
        began = time.perf_counter()
        book.current()
        took.append(time.perf_counter() - began)
    assert min(took) < 0.03


# ---- broken edits ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "text", "reason"), [
    ("tiny.md", BROKEN, "tiny.md, line 6: sampling.temperature"),
    ("tiny.md", b"---\n\xff", "tiny.md, line 2: the file is not UTF-8"),
    ("other.md", SMALL, "other.md: the role in it has the id 'tiny'"),
    (COUNCIL, POLICY.replace("max_n: 3", "max_n: 99"), f"{COUNCIL}, line 4: max_n"),
    (COUNCIL, POLICY.replace("- tiny", "- poet"), f"{COUNCIL}, line 3: there is no role 'poet'"),
])
def test_a_broken_edit_leaves_the_old_map_and_says_line_and_reason(
        home: Home, name: str, text: str | bytes, reason: str) -> None:
    write(home, SMALL.replace("id: tiny", "# mine\nid: tiny"))
    book = book_of(home)
    first, files = book.current(), roles.on_disk(home.roles)
    write(home, text, name)
    for again in (book, book, book_of(home)):
        assert roles.to_files(again.current()) == files
        assert again.current().version == first.version
        assert again.refusal is not None
        assert again.refusal.what.startswith(reason)
    assert len(book.history()) == 1


def test_a_mended_edit_is_taken_up(home: Home) -> None:
    write(home, SMALL)
    book = book_of(home)
    book.current()
    write(home, BROKEN)
    book.current()
    write(home, SMALL.replace("0.2", "0.9"))
    assert book.current().role("tiny").sampling.temperature == 0.9
    assert book.refusal is None
    assert len(book.history()) == 2


def test_a_folder_broken_from_the_start_has_no_map_to_fall_back_on(home: Home) -> None:
    write(home, BROKEN)
    with pytest.raises(RoleError, match=r"tiny\.md, line 6"):
        book_of(home).current()


def test_a_folder_that_lost_its_roles_answers_with_the_seed(home: Home) -> None:
    write(home, SMALL)
    book = book_of(home)
    book.current()
    (home.roles / "tiny.md").unlink()
    assert book.current() == roles.seed()
    assert book.ensure() == roles.seed()
    assert [step.note for step in book.history()] == ["seed roles", ""]
    assert book.rollback("1").ids == ("tiny",)


# ---- back ------------------------------------------------------------------------------------------------------------

def test_a_rollback_keeps_the_edit_it_undoes(home: Home) -> None:
    write(home, SMALL)
    book = book_of(home)
    first = book.current()
    write(home, SMALL.replace("0.2", "0.7"))
    write(home, POLICY, COUNCIL)
    assert book.rollback("1") == first == book.current()
    assert roles.on_disk(home.roles) == {"tiny.md": SMALL.encode()}
    assert [step.note for step in book.history()] == ["rollback to #1", "", ""]
    assert book.aside == {}
    book.rollback("#2")
    assert roles.on_disk(home.roles) == {"tiny.md": SMALL.replace("0.2", "0.7").encode(), COUNCIL: POLICY.encode()}


def test_a_rollback_over_a_broken_file_sets_it_aside(home: Home) -> None:
    """The archive holds valid maps only, so the one copy of a broken text is on the disk; what it holds needs none."""
    write(home, SMALL)
    write(home, SMALL.replace("tiny", "other"), "other.md")
    book = book_of(home)
    book.current()
    write(home, BROKEN)
    book.current()
    book.rollback("1")
    assert book.refusal is None
    assert book.aside == {"tiny.md": "tiny.md.old"}
    assert (home.roles / "tiny.md").read_text("utf-8") == SMALL
    assert (home.roles / "tiny.md.old").read_text("utf-8") == BROKEN
    assert sorted(file.name for file in home.roles.iterdir()) == ["other.md", "tiny.md", "tiny.md.old"]
    assert len(book.history()) == 1


def test_an_entry_is_named_by_number_version_or_bytes(home: Home) -> None:
    write(home, SMALL)
    book = book_of(home)
    first = book.current()
    write(home, SMALL.replace("0.2", "0.7"))
    second = book.current()
    assert book.map_of("1") == book.map_of("#1") == book.map_of(first.version[:10]) == first
    assert book.map_of(bytes_hash(roles.on_disk(home.roles))[:10]) == second
    assert book.diff() == book.diff("1", "2") == book.diff("1") == ["tiny: temperature 0.2 -> 0.7"]
    assert book.diff("2", "1", "ru") == ["tiny: temperature 0.7 -> 0.2"]
    for unknown in ("3", "", "#", "nothing"):
        with pytest.raises(UsageError, match=r"#1 .*#2 "):
            book.map_of(unknown)


def test_of_versions_equal_in_content_the_newest_is_meant(home: Home) -> None:
    book = book_of(home)
    for text in (SMALL, SMALL.replace("id: tiny", "# mine\nid: tiny"), SMALL.replace("0.2", "0.7")):
        write(home, text)
        book.current()
    book.rollback(book.history()[1].version)
    assert (home.roles / "tiny.md").read_text("utf-8").startswith("---\n# mine\n")


def test_a_map_made_by_code_is_logged_with_its_author_after_the_edit_before_it(home: Home) -> None:
    write(home, SMALL)
    book = book_of(home)
    made = RoleMap((book.current().role("tiny").model_copy(update={"examples": ("one",)}),))
    write(home, SMALL.replace("0.2", "0.7"))
    assert book.apply(made, "proposal", "fewer examples") == made == roles.load(home.roles)
    assert [(step.author, step.note) for step in book.history()] == [
        ("proposal", "fewer examples"), ("owner", ""), ("owner", "")]


# ---- others who write ------------------------------------------------------------------------------------------------

def test_a_question_does_not_wait_for_a_writer_and_the_edit_is_logged_later(home: Home) -> None:
    write(home, SMALL)
    book = book_of(home)
    book.current()
    write(home, SMALL.replace("0.2", "0.7"))
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with home.writing("import"):
            held.set()
            done.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    try:
        held.wait(10)
        assert book.current().role("tiny").sampling.temperature == 0.7
        assert len(book.history()) == 1
    finally:
        done.set()
        other.join()
    book.current()
    assert len(book.history()) == 2


def test_a_folder_read_while_another_process_writes_it_is_no_edit(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a rollback must not enter the history as what the owner wanted."""
    write(home, SMALL)
    book = book_of(home)
    book.current()
    half, whole = SMALL.replace("0.2", "0.5"), SMALL.replace("0.2", "0.7")
    write(home, half)
    real, parsed = roles.from_files, list[str]()

    def from_files(files: roles.Files) -> RoleMap:
        if not parsed:
            write(home, whole)  # the other process goes on between our reading and our logging
        parsed.append(files["tiny.md"].decode())
        return real(files)

    monkeypatch.setattr(roles, "from_files", from_files)
    assert book.current().role("tiny").sampling.temperature == 0.7
    assert parsed == [half, whole]
    monkeypatch.undo()
    assert [step.changes for step in book.history()] == [("tiny: temperature 0.2 -> 0.7",), ()]


# ---- any history -----------------------------------------------------------------------------------------------------

class History(RuleBasedStateMachine):
    """Edits of every kind, valid and broken, in any order; every entry's bytes come back."""

    @initialize()
    def begin(self) -> None:
        self.root = tempfile.TemporaryDirectory()
        self.home = Home(Path(self.root.name) / "home")
        self.logged: list[roles.Files] = []  # the bytes of each entry, in order
        self.broken = False
        self.put({"tiny.md": SMALL.encode()})

    def teardown(self) -> None:
        with suppress(AttributeError):
            self.root.cleanup()

    def put(self, files: roles.Files) -> None:
        """An edit by hand: the folder holds these files."""
        self.home.roles.mkdir(parents=True, exist_ok=True)
        for name in roles.on_disk(self.home.roles):
            (self.home.roles / name).unlink()
        for name, data in files.items():
            (self.home.roles / name).write_bytes(data)
        self.broken, self.there = False, files

    def log(self, files: roles.Files) -> None:
        if not self.logged or self.logged[-1] != files:
            self.logged.append(files)

    @rule(role=any_role())
    def add(self, role: Role) -> None:
        last = {name: data for name, data in self.there.items() if not self.broken}
        self.put(last | {f"{role.id}.md": role.to_markdown().encode("utf-8")})

    @rule(note=st.sampled_from(["# note\n", "#\u0451\n", "\n", "   \n"]), mark=st.sampled_from(["", "\ufeff"]),
          newline=st.sampled_from(["\n", "\r\n"]))
    def lay_out(self, note: str, mark: str, newline: str) -> None:
        text = mark + SMALL.replace("---\n", f"---\n{note}", 1).replace("\n", newline)
        self.put({"tiny.md": text.encode("utf-8")})

    @rule(size=st.integers(1, 16), newline=st.sampled_from(["\n", "\r\n"]))
    def sit_together(self, size: int, newline: str) -> None:
        policy = POLICY.replace("max_n: 3", f"max_n: {size}").replace("\n", newline)
        self.put({"tiny.md": SMALL.encode(), COUNCIL: policy.encode()})

    @rule(data=st.sampled_from([BROKEN.encode(), b"\xff\xfe", b""]))
    def break_it(self, data: bytes) -> None:
        self.put({"tiny.md": data})
        self.broken = True

    @rule()
    def ask(self) -> None:
        book = book_of(self.home)
        if self.broken and not self.logged:
            with pytest.raises(RoleError):
                book.current()
            return
        if not self.broken:
            self.log(self.there)
        assert roles.to_files(book.current()) == self.logged[-1]
        assert (book.refusal is not None) == self.broken

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        if not self.logged:
            return
        number = data.draw(st.integers(1, len(self.logged)))
        wanted = self.logged[number - 1]
        before = roles.on_disk(self.home.roles)
        book_of(self.home).rollback(str(number))
        if not self.broken:
            self.log(self.there)
        self.log(wanted)
        kept = [file.read_bytes() for file in self.home.roles.glob("*.old*")]
        assert all(text in kept or text in [*self.logged[-1].values()] for text in before.values() if self.broken)
        assert roles.on_disk(self.home.roles) == wanted
        self.there, self.broken = wanted, False

    @invariant()
    def the_history_holds_every_byte(self) -> None:
        if not hasattr(self, "logged") or not self.logged:
            return
        archive = Maps(self.home)
        assert [archive.map_files(entry) for entry in archive.map_entries()] == self.logged


TestAnyHistory = History.TestCase
TestAnyHistory.settings = settings(max_examples=25, stateful_step_count=12)
