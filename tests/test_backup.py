"""A home that was saved comes back as it was, and no zip and no kill leaves half of one."""
from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.test_forgetting import Shelf
from twin import forgetting
from twin.archive import Archive, copying, database
from twin.backup import Backup, backup, finish, restore
from twin.backup_zip import MANIFEST
from twin.errors import BrokenFile, HomeBusy, HomeError, HomeFull, HomeTooNew, InputError, TwinError, UsageError
from twin.home import Home
from twin.records import Records
from twin.role_book import RoleBook
from twin.types import Conversation, Message

ROOT = Path(__file__).parent.parent
DAY = datetime(2026, 2, 3, tzinfo=UTC)
TEXTS = ("The blue bicycle needs a new chain.", "Ключ от дачи лежит у колодца.", "How do we measure it?")


def lived_in(root: Path) -> Home:
    """A small home with something in every place that is saved, and in every place that is not."""
    home = Home(root)
    archive = Archive(home)
    archive.add([Conversation("c", tuple(Message(f"m{n}", "user", text, time=DAY) for n, text in enumerate(TEXTS)),
                              source="chatgpt")])
    RoleBook(home, archive).ensure()
    archive.set_setting("face.language", "ru")
    contents: dict[str, str | bytes] = {
        "constitution.md": "Сначала мера.", "adapters/a.gguf": b"GGUF" + bytes(range(256)) * 40,
        "adapters/a.peft/adapter_config.json": "{}", "adapters/a.json": "[]", "likeness/profile.json": "{}",
        "memory/words.lance": "x", "snapshots/a.kv": "x", "training/b.bin": "x", "exports/prompt.md": "x",
        "serve.token": "secret", ".hidden": "x", "roles/.draft.md": "x"}
    for name, content in contents.items():
        place = home.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return home


def rows(home: Home, *, without: Iterable[str] = ("unindexed",)) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(home.archive)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()  # noqa: S608 - our own tables
                for name in tables if name not in (*without, "sqlite_sequence")}


def files(home: Home, *, but: str = "archive.sqlite") -> dict[str, bytes]:
    return {path.relative_to(home.root).as_posix(): path.read_bytes() for path in sorted(home.root.rglob("*"))
            if path.is_file() and not path.name.startswith(".") and not path.name.startswith(but)}


def state(home: Home) -> tuple[Any, ...]:
    return (rows(home), files(home)) if home.archive.exists() else ()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return lived_in(tmp_path_factory.mktemp("base") / "home")


@pytest.fixture(scope="module")
def saved(base: Home, tmp_path_factory: pytest.TempPathFactory) -> Backup:
    return backup(base, tmp_path_factory.mktemp("saved") / "b.zip", core="0123456789ab")


@pytest.fixture
def new(tmp_path: Path) -> Home:
    return Home(tmp_path / "place" / "new")


# ---- there and back --------------------------------------------------------------------------------------------------

def test_every_row_and_every_byte_comes_back(base: Home, saved: Backup, new: Home) -> None:
    back = restore(saved.path, new)
    kept = {name: content for name, content in files(base).items()
            if name.split("/")[0] in ("audit.head", "constitution.md", "roles", "adapters", "likeness")}

    assert rows(new) == rows(base)
    assert len(kept) > 8
    assert files(new) == kept
    assert (back.files, back.content, back.core, back.moved) == (saved.files, saved.content, "0123456789ab", None)
    assert (back.root, back.made) == (new.root, saved.made)
    assert RoleBook(new, Archive(new)).current().version == RoleBook(base, Archive(base)).current().version
    assert Archive(new).audit_verify().ok
    assert left(new.root.parent) == ["new"]


def test_a_restored_twin_recalls_the_same(base: Home, saved: Backup, new: Home) -> None:
    """Nobody has to ask for it: the memory is made at the first look."""
    restore(saved.path, new)
    found = Records(new, None).recall("ключ от дачи", 3)

    assert [one.message_ids for one in found][:1] == [("m1",)]
    assert Archive(new).unindexed()[0] == 0


def test_it_is_for_its_owner_only(saved: Backup, new: Home) -> None:
    restore(saved.path, new)

    assert stat.S_IMODE(saved.path.stat().st_mode) == 0o600
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in [new.root, *new.root.rglob("*")]}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_what_can_be_made_again_and_what_is_secret_stays_out(saved: Backup) -> None:
    with zipfile.ZipFile(saved.path) as packed:
        names, manifest = packed.namelist(), json.loads(packed.read(MANIFEST))
        kinds = {one.filename: one.compress_type for one in packed.infolist()}

    assert {name.split("/")[0] for name in names} == {
        "archive.sqlite", "audit.head", "constitution.md", "roles", "adapters", "likeness", MANIFEST} & {*(
            name.split("/")[0] for name in names)}
    assert not [name for name in names if "serve.token" in name or "/." in name or name.startswith((".", "memory"))]
    assert kinds["adapters/a.gguf"] == zipfile.ZIP_STORED
    assert kinds["constitution.md"] == zipfile.ZIP_DEFLATED
    assert (manifest["format"], manifest["version"], manifest["schema"]) == ("twin-backup", 1, copying.SCHEMA)
    assert {one["name"] for one in manifest["files"]} == {*names} - {MANIFEST}
    assert saved.sha256 == sha256(saved.path.read_bytes()).hexdigest()


def test_others_write_while_it_is_made_and_the_copy_is_of_one_moment(tmp_path: Path) -> None:
    home = lived_in(tmp_path / "home")
    archive, told = Archive(home), list[int]()

    def progress(what: str, done: int, total: int | None) -> None:
        told.append(done)
        if len(told) == 1:
            archive.add([Conversation("late", (Message("l", "user", "said while it was copied"),))])

    made = backup(home, tmp_path / "b.zip", progress=progress)
    restore(made.path, Home(tmp_path / "other"))

    assert told == sorted(told)
    assert told[-1] == made.content
    assert len(list(Archive(Home(tmp_path / "other")).messages())) == 3
    assert len(list(archive.messages())) == 4


def test_links_and_odd_names_are_left_out_and_named(tmp_path: Path) -> None:
    home = lived_in(tmp_path / "home")
    (home.adapters / "link.gguf").symlink_to("/etc/hostname")
    (home.adapters / "a\nb.gguf").write_bytes(b"x")

    assert sorted(backup(home, tmp_path / "b.zip").left_out) == ["adapters/a\nb.gguf", "adapters/link.gguf"]


def test_a_folder_is_given_a_file_of_its_own_and_the_exports_may_hold_one(tmp_path: Path) -> None:
    home = lived_in(tmp_path / "home")
    made = backup(home, tmp_path)
    inside = backup(home, home.exports / "whole.zip")

    assert made.path.parent == tmp_path
    assert made.path.suffix == ".zip"
    assert left(home.exports) == ["prompt.md", "whole.zip"]
    assert inside.files == made.files


def test_an_archive_of_an_older_version_comes_back_in_this_one(tmp_path: Path) -> None:
    home = Home(tmp_path / "old").create()
    with closing(sqlite3.connect(home.archive)) as db:
        database._functions(db)
        for number, script in enumerate(database.MIGRATIONS[:5], 1):
            db.executescript(f"{script}; PRAGMA user_version = {number}")
        db.execute("INSERT INTO conversations VALUES (1, 'c', NULL, 'chatgpt')")
        db.execute("INSERT INTO messages VALUES ('c', 'm', 0, 'user', 'Старое слово.', NULL, NULL, 1, '[]', NULL, "
                   "'chatgpt', 'x', 'ru')")
        db.commit()
    path = forged(tmp_path, {"archive.sqlite": home.archive.read_bytes()}, schema=5)
    restore(path, Home(tmp_path / "new"))

    assert [message.text for _, message in Archive(Home(tmp_path / "new")).messages()] == ["Старое слово."]
    assert not list((tmp_path / "new").glob("*.bak"))


# ---- what is refused -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("place", ["b.zip", "home/b.zip", "home/roles/b.zip"])
def test_a_backup_replaces_nothing_and_does_not_lie_in_what_it_saves(place: str, tmp_path: Path) -> None:
    home = lived_in(tmp_path / "home")
    (tmp_path / "b.zip").write_text("mine")
    before = files(home)
    with pytest.raises(UsageError):
        backup(home, tmp_path / place)

    assert (tmp_path / "b.zip").read_text() == "mine"
    assert files(home) == before


def test_an_empty_home_is_not_saved_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no twin"):
        backup(Home(tmp_path / "none"), tmp_path / "b.zip")
    assert left(tmp_path) == []


def test_a_damaged_archive_is_told_when_it_is_saved_not_when_it_is_needed(tmp_path: Path) -> None:
    home = lived_in(tmp_path / "home")
    with home.archive.open("r+b") as file:
        file.seek(4096 * 6)
        file.write(b"\xff" * 4096 * 3)
    with pytest.raises(HomeError, match="damaged"):
        backup(home, tmp_path / "b.zip")
    assert left(tmp_path) == ["home"]


def test_a_home_that_holds_something_is_left_alone_or_moved_aside(saved: Backup, tmp_path: Path) -> None:
    home = lived_in(tmp_path / "home")
    Archive(home).add([Conversation("mine", (Message("x", "user", "said since"),))])
    before = state(home)
    with pytest.raises(UsageError, match="--replace"):
        restore(saved.path, home)
    assert state(home) == before
    moved = [restore(saved.path, home, replace=True).moved for _ in range(2)]

    assert moved == [tmp_path / "home.old-1", tmp_path / "home.old-2"]
    assert state(Home(tmp_path / "home.old-1")) == before
    assert left(tmp_path) == ["home", "home.old-1", "home.old-2"]


def test_a_folder_with_somebodys_hidden_file_is_not_empty(saved: Backup, new: Home) -> None:
    new.root.mkdir(parents=True)
    (new.root / ".env").write_text("")
    with pytest.raises(UsageError):
        restore(saved.path, new)
    (new.root / ".env").unlink()
    with new.writing("a lock that nobody holds any more"):
        pass
    restore(saved.path, new)

    assert len(list(Archive(new).messages())) == 3


def test_a_home_in_use_is_left_alone_then_and_later(saved: Backup, tmp_path: Path) -> None:
    home = lived_in(tmp_path / "home")
    before = state(home)
    with home.writing("an import"), pytest.raises(HomeBusy, match="an import"):
        restore(saved.path, home, replace=True)

    assert finish(home) is None
    assert left(tmp_path) == ["home"]
    assert state(home) == before


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name) for name in packed.namelist() if name != MANIFEST}


def forged(folder: Path, contents: dict[str, bytes], *, raw: Callable[[zipfile.ZipFile], None] = lambda _: None,
           listed: list[dict[str, Any]] | None = None, **about: Any) -> Path:
    """A zip whose manifest agrees with it, but for what is asked."""
    if listed is None:
        listed = [{"name": name, "size": len(content), "sha256": sha256(content).hexdigest()}
                  for name, content in contents.items()]
    manifest = {"format": "twin-backup", "version": 1, "schema": copying.SCHEMA, "made": DAY.isoformat(), "core": "",
                "files": listed, **about}
    path = folder / "forged.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in contents.items():
            packed.writestr(name, content)
        packed.writestr(MANIFEST, json.dumps(manifest))
        raw(packed)
    return path


def linked(packed: zipfile.ZipFile) -> None:
    packed.getinfo("roles/a.md").external_attr = (stat.S_IFLNK | 0o777) << 16


def twice(packed: zipfile.ZipFile) -> None:
    packed.writestr("constitution.md", b"another")


EVIL = {
    "climbs": {"roles/../../evil": b"x"}, "absolute": {"/evil": b"x"}, "of Windows": {"roles/..\\evil": b"x"},
    "drive": {"C:evil": b"x"}, "secret": {"serve.token": b"x"}, "lock": {".writer.lock": b"x"},
    "hidden": {"roles/.evil.md": b"x"}, "memory": {"memory/x.lance": b"x"}, "nothing": {"roles//x": b"x"},
    "one name in two cases": {"roles/a.md": b"x", "roles/A.md": b"y"}, "no file of ours": {"evil.sh": b"x"}}


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
def test_no_name_leads_out_of_the_home_or_to_what_is_no_part_of_a_backup(
        evil: dict[str, bytes], saved: Backup, new: Home, tmp_path: Path) -> None:
    path = forged(tmp_path, {**members(saved.path), **evil})
    with pytest.raises(BrokenFile):
        restore(path, new)
    assert not new.root.exists()
    assert left(tmp_path) in (["forged.zip"], ["forged.zip", "place"])
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("changed", "error"), [
    ({"raw": linked}, BrokenFile), ({"raw": twice}, BrokenFile), ({"listed": []}, BrokenFile),
    ({"listed": [{"name": "archive.sqlite"}]}, BrokenFile), ({"listed": "x"}, BrokenFile), ({"made": 1}, BrokenFile),
    ({"format": "x"}, BrokenFile), ({"version": "1"}, BrokenFile), ({"core": "\x1b[31m"}, BrokenFile),
    ({"version": 2}, HomeTooNew), ({"schema": copying.SCHEMA + 1}, HomeTooNew)])
def test_a_manifest_that_is_not_that_of_the_zip_is_refused(
        changed: dict[str, Any], error: type[TwinError], saved: Backup, new: Home, tmp_path: Path) -> None:
    path = forged(tmp_path, {**members(saved.path), "roles/a.md": b"x"}, **changed)
    with pytest.raises(error):
        restore(path, new)
    assert not new.root.exists()


def altered(saved: Backup, *statements: str) -> bytes:
    with closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(members(saved.path)["archive.sqlite"].replace(b"\x02\x02", b"\x01\x01", 1))
        for statement in statements:
            db.execute(statement)
        db.commit()
        return db.serialize()


@pytest.mark.parametrize(("archive", "error"), [
    (lambda _: b"", BrokenFile), (lambda _: b"SQLite format 3\x00" + bytes(5000), BrokenFile),
    (lambda saved: members(saved.path)["archive.sqlite"][:40000], BrokenFile),
    (lambda saved: altered(saved, "CREATE TRIGGER t AFTER INSERT ON turns BEGIN DELETE FROM lines; END"), BrokenFile),
    (lambda saved: altered(saved, "CREATE VIEW v AS SELECT 1"), BrokenFile),
    (lambda saved: altered(saved, "CREATE TABLE t (a)"), BrokenFile),
    (lambda saved: altered(saved, "DROP TABLE corrections"), BrokenFile),
    (lambda saved: altered(saved, "PRAGMA user_version = 99"), HomeTooNew),
    (lambda saved: altered(saved, "PRAGMA user_version = 0"), BrokenFile)])
def test_an_archive_that_is_damaged_or_acts_by_itself_is_refused(
        archive: Callable[[Backup], bytes], error: type[TwinError], saved: Backup, new: Home, tmp_path: Path) -> None:
    """Its sum is right all the same: who forges one can forge the other."""
    path = forged(tmp_path, {**members(saved.path), "archive.sqlite": archive(saved)})
    with pytest.raises(error):
        restore(path, new)
    assert not new.root.exists()


def test_a_row_of_a_restored_archive_makes_no_file_go(saved: Backup, new: Home, tmp_path: Path) -> None:
    """None elsewhere, none beside the home, none of the home itself; an adapter that must not load stays so."""
    mine, beside = tmp_path / "mine.txt", new.root.parent / "beside.txt"
    beside.parent.mkdir()
    for file in (mine, beside):
        file.write_text("mine")
    row = "INSERT INTO derived (kind, path, sha256, made, whole, stale) VALUES ('{}', '{}', '{}', '2026-01-01', 1, 1)"
    rows_ = [row.format("export", mine, sha256(b"mine").hexdigest()), row.format("cache", "../beside.txt", ""),
             row.format("export", "constitution.md", ""), row.format("adapter", "adapters/a.gguf", "ab")]
    path = forged(tmp_path, {**members(saved.path), "archive.sqlite": altered(saved, *rows_)})
    restore(path, new)
    archive = Archive(new)
    forgetting.forget(new, archive, Shelf(new), "c/m0")

    assert mine.read_text() == beside.read_text() == "mine"
    assert (new.root / "constitution.md").exists()
    assert [(one.kind, one.stale) for one in archive.derived()] == [("adapter", True)]


def test_a_restored_archive_that_names_role_files_elsewhere_is_refused(
        saved: Backup, new: Home, tmp_path: Path) -> None:
    evil = altered(saved, """UPDATE role_maps SET files = '{"../../evil.md": "x"}'""")
    with pytest.raises(BrokenFile, match="not an archive"):
        restore(forged(tmp_path, {**members(saved.path), "archive.sqlite": evil}), new)
    assert not new.root.exists()


def test_a_bomb_is_told_by_what_it_says_and_by_what_comes_out(
        saved: Backup, new: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = forged(tmp_path, {**members(saved.path), "adapters/a.gguf": bytes(64 * 1024**2)})
    with pytest.raises(BrokenFile, match="unpacks to more"):
        restore(bomb, new)
    honest = {**members(saved.path), "adapters/a.gguf": bytes(3 * 1024**2)}
    lying = forged(tmp_path, honest, listed=[
        {"name": name, "size": 10 if name.endswith(".gguf") else len(content), "sha256": sha256(content).hexdigest()}
        for name, content in honest.items()])
    lying.write_bytes(lying.read_bytes().replace((3 * 1024**2).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(BrokenFile):
        restore(lying, new)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(HomeFull):
        restore(saved.path, new)
    assert not new.root.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"not a zip at all" * 99])
def test_what_is_no_backup_is_told_so(content: bytes, new: Home, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(BrokenFile, match=r"x\.zip"):
        restore(tmp_path / "x.zip", new)
    with pytest.raises(InputError, match="cannot be read"):
        restore(tmp_path / "none.zip", new)
    assert not new.root.exists()


@settings(max_examples=25)
@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3))
@example(flips=[(0.9999, 1)])
def test_whatever_bytes_are_turned_it_is_the_whole_home_or_none(flips: list[tuple[float, int]], saved: Backup,
                                                                tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    content = bytearray(saved.path.read_bytes())
    for place, mask in flips:
        content[int(place * len(content))] ^= mask
    (folder / "b.zip").write_bytes(content)
    home = Home(folder / "home")
    try:
        restore(folder / "b.zip", home)
    except TwinError:
        assert left(folder) == ["b.zip"]
    else:
        assert {name: sha256(one).hexdigest() for name, one in files(home).items()} == {
            name: sha256(one).hexdigest() for name, one in members(saved.path).items() if name != "archive.sqlite"}
        assert len(list(Archive(home).messages())) == 3


# ---- killed ----------------------------------------------------------------------------------------------------------

_EACH_FAULT = """
import os, shutil, sys, traceback
from itertools import count
from pathlib import Path
from twin import home as places
from twin.backup import backup, restore
from twin.home import Home
action, folder, base, saved = sys.argv[1], *map(Path, sys.argv[2:])
for n in count(1):
    (folder / str(n)).mkdir()
    home = Home(folder / str(n) / "home")
    if action != "into nothing":
        shutil.copytree(base, home.root)
    child = os.fork()
    if not child:
        os.environ["TWIN_FAULT_AT"], places._passed = str(n), count(1)
        try:
            if action == "backup":
                backup(home, folder / str(n) / "b.zip")
            else:
                restore(saved, home, replace=True)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 70:
        sys.exit(code)
"""


def each_fault(action: str, folder: Path, base: Home, saved: Backup) -> list[Path]:
    """The places in which an action was killed at its 1st, 2nd ... fault point; in the last it ended."""
    folder.mkdir()
    done = subprocess.run([sys.executable, "-c", _EACH_FAULT, action, folder, base.root, saved.path], cwd=ROOT,
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])})
    assert done.returncode == 0, done.stderr
    return sorted(folder.iterdir(), key=lambda path: int(path.name))


@pytest.mark.parametrize("action", ["into nothing", "over a home"])
def test_killed_at_any_point_a_restore_leaves_the_old_home_or_the_new_one(
        action: str, base: Home, saved: Backup, tmp_path: Path) -> None:
    other = lived_in(tmp_path / "other")
    Archive(other).add([Conversation("mine", (Message("x", "user", "said since"),))])
    before = () if action == "into nothing" else state(other)
    *killed, whole = each_fault(action, tmp_path / "killed", other, saved)
    new = state(Home(whole / "home"))
    found = []
    for place in killed:
        finish(Home(place / "home"))
        found.append(state(Home(place / "home")))

    assert len(killed) >= 4
    assert all(one in (before, new) for one in found)
    assert found == sorted(found, key=lambda one: one == new)  # before one point all old, after it all new
    assert before in found
    assert new in found
    for place, one in zip(killed, found, strict=True):  # what was killed can be done again, and leaves nothing over
        if one == before:
            restore(saved.path, Home(place / "home"), replace=True)
        assert state(Home(place / "home")) == new
        assert left(place) == ["home"] if before == () else ["home", "home.old-1"]
        assert before == () or state(Home(place / "home.old-1")) == before


def test_killed_at_any_point_a_backup_is_whole_or_not_there(base: Home, saved: Backup, tmp_path: Path) -> None:
    *killed, whole = each_fault("backup", tmp_path / "killed", base, saved)

    assert len(killed) >= 4
    for place in killed:
        home = Home(place / "home")
        assert state(home) == state(base) or {*files(home)} - {*files(base)} == {"exports/.backup.sqlite"}
        assert not (place / "b.zip").exists()
        backup(home, place / "b.zip")
        assert left(place) == ["b.zip", "home"]
        assert state(home) == state(base)
    assert replace(restore(whole / "b.zip", Home(whole / "new")), root=base.root, made=DAY).files == saved.files
