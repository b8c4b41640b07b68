"""A home is private, its files are whole or absent, and its lock says who holds it."""
from __future__ import annotations

import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from twin.errors import HomeBusy, HomeError, HomeFull
from twin.home import Home, write_atomically


def test_a_home_is_for_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "twin").create()

    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_a_full_folder_of_someone_else_is_not_closed(tmp_path: Path) -> None:
    """As root, `--home` on a shared folder must not lock everybody else out."""
    (tmp_path / "shared").mkdir(mode=0o755)
    (tmp_path / "shared" / "theirs.txt").write_text("x")
    Home(tmp_path / "shared").create()

    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o755


def test_naming_a_home_makes_nothing(tmp_path: Path) -> None:
    Home(tmp_path / "twin")

    assert not (tmp_path / "twin").exists()


def test_the_environment_names_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_HOME", str(tmp_path / "elsewhere"))

    assert Home().root == tmp_path / "elsewhere"


def test_a_second_writer_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    script = ("import sys; from twin.home import Home\n"
              "with Home(sys.argv[1]).writing('a long import'):\n  print('in', flush=True); sys.stdin.read()")
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        said = rf"process {first.pid} .*a long import"
        with pytest.raises(HomeBusy, match=said), Home(tmp_path).writing("x", wait_s=0.1):
            pass
        first.communicate()

    with Home(tmp_path).writing("after it"):
        pass


def test_a_dead_writer_does_not_lock_the_home_for_ever(tmp_path: Path) -> None:
    script = ("import os, sys; from twin.home import Home\n"
              "with Home(sys.argv[1]).writing('x'):\n  os.kill(os.getpid(), 9)")
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)

    with Home(tmp_path).writing("next", wait_s=0.5):
        pass


def test_a_file_is_written_whole_and_for_its_owner(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "role.md"
    write_atomically(target, "первый")
    write_atomically(target, "второй")

    assert target.read_text("utf-8") == "второй"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(target.parent.iterdir()) == [target]


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "role.md"
    write_atomically(target, "old")
    script = ("import resource, signal, sys; from pathlib import Path; from twin.home import write_atomically\n"
              "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
              "write_atomically(Path(sys.argv[1]), 'x' * 100000)")
    done = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True, check=False)

    assert HomeFull.__name__ in done.stderr
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_home_that_is_a_file_is_refused_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(HomeError, match="--home"):
        Home(tmp_path / "file").create()


def test_an_adapter_is_found_in_the_home_by_name_or_hash_and_a_pinned_one_is_no_other(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in the folder one happens to stand in is nobody's adapter."""
    home = Home(tmp_path / "home")
    home.adapters.mkdir(parents=True)
    mine = home.adapters / "me.gguf"
    mine.write_bytes(b"mine")
    (tmp_path / "me.gguf").write_bytes(b"another")
    monkeypatch.chdir(tmp_path)
    known = sha256(b"mine").hexdigest()

    assert home.adapter("me.gguf") == mine
    assert home.adapter(str(tmp_path / "me.gguf")) == tmp_path / "me.gguf"
    assert home.adapter(None, known) == home.adapter("me.gguf", known) == mine
    for nothing in (home.adapter("me.gguf", "0" * 64), home.adapter(None, "0" * 64), home.adapter("~nobody/x.gguf")):
        assert not nothing.exists()
