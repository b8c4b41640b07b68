"""The verbs `serve` and `mcp`: what they print, whom they refuse, the token's file, and a clean end."""
from __future__ import annotations

import builtins
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from twin.cli import main
from twin.errors import InputError, UsageError
from twin.home import Home
from twin.serve.server import TOKEN, Serving, bound, token

ROOT = Path(__file__).parent.parent
_PROGRAM = """
from twin import cli, loading
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
class Core(ScriptedEngine):
    def close(self):
        print("the core is free")
Twin.engine = property(lambda self: self._engine)
opened = Twin.open.__func__
Twin.open = classmethod(lambda cls, home=None, **how: opened(cls, home, engine=Core(lambda _: "word " * 3000)))
cli.main()
"""


# ---- the token -----------------------------------------------------------------------------------------------------

def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    home = Home(tmp_path / "new")
    made, file = token(home)
    assert file is not None and len(made) >= 43 and token(home) == (made, file)
    assert file.stat().st_mode & 0o777 == 0o600 and home.root.stat().st_mode & 0o777 == 0o700
    assert token(Home(tmp_path / "other"))[0] != made


def test_the_environment_goes_before_the_file_and_nothing_weak_is_taken(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    monkeypatch.setenv(TOKEN, "0123456789abcdef")
    assert token(home) == ("0123456789abcdef", None) and not (tmp_path / "serve.token").exists()
    for weak in ("", "short", "with a space in it", "ключ-из-шестнадцати-букв"):
        monkeypatch.setenv(TOKEN, weak)
        with pytest.raises(UsageError, match="holds no token"):
            token(home)


@pytest.mark.parametrize(("content", "mode", "said"), [
    (b"", 0o600, "holds no token"), (b"short", 0o600, "holds no token"), (b"\xff" * 40, 0o600, "cannot be read"),
    (b"a" * 43, 0o644, "can be read by others"), (b"a" * 43, 0o640, "can be read by others")])
def test_a_token_file_that_is_none_or_that_others_read_is_refused(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, mode: int, said: str) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    file = tmp_path / "serve.token"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(InputError, match=said):
        token(Home(tmp_path))


# ---- where it listens ----------------------------------------------------------------------------------------------

ALL = "0.0.0.0"  # noqa: S104 - nothing is bound to it but for the blink of a test


@pytest.mark.parametrize("host", [ALL, "::", "192.168.1.5", "example.com", ""])
def test_other_machines_are_let_in_only_by_name_and_word(host: str) -> None:
    with pytest.raises(UsageError, match="can be reached from other machines"):
        bound(host, 0)


def test_loopback_and_with_the_word_any_address_can_be_listened_at() -> None:
    for host, remote in (("localhost", False), ("127.0.0.1", False), (ALL, True)):
        bound(host, 0, remote=remote).close()
    with pytest.raises(UsageError, match="Nobody can listen"):
        bound("192.0.2.1", 0, remote=True)


def test_a_port_that_is_taken_is_an_error_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = CliRunner().invoke(main, ["serve", "--home", str(tmp_path), "--port", str(taken.getsockname()[1])])
    assert ran.exit_code == 2 and "Nobody can listen at 127.0.0.1" in ran.stderr and ran.stdout == ""


def test_a_remote_server_answers_to_addresses_and_to_no_name(tmp_path: Path) -> None:
    from twin.serve.guard import Door

    door = Door(ALL, 8765, "t", remote=True)
    assert door.known("192.168.1.5:8765") and door.known("localhost:8765") and door.known("[fe80::1]:8765")
    assert not door.known("evil.example:8765") and not door.known("192.168.1.5:80")
    named = Door("twin.lan", 8765, "t", remote=True)
    assert named.known("twin.lan:8765") and not named.known("evil.lan:8765")
    assert not Door("127.0.0.1", 8765, "t").known("192.168.1.5:8765")


# ---- the whole program ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_it_serves_until_it_is_told_to_end_and_frees_the_core(tmp_path: Path, number: signal.Signals) -> None:
    """Ended in the middle of an answer; nothing of it or of the token is on its streams."""
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "serve", "--port", "0", "--home", str(tmp_path / "home")], text=True, cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "TWIN_CACHE": str(tmp_path / "cache")})
    assert program.stderr is not None
    told = program.stderr.readline()
    url = re.search(r"http://\S+/v1", told)
    file = tmp_path / "home" / "serve.token"
    assert url and str(file) in told
    key = file.read_text().strip()
    body = {"model": "critic", "messages": [{"role": "user", "content": "secret words"}], "stream": True}
    with (httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=30) as client,
          client.stream("POST", f"{url[0]}/chat/completions", json=body) as got):
        lines = got.iter_lines()
        assert next(lines).startswith("data: ")
        began = time.monotonic()
        program.send_signal(number)
        try:
            for _ in lines:
                pass
        except httpx.HTTPError:
            pass
    out, errors = program.communicate(timeout=20)
    assert program.returncode == 0 and time.monotonic() - began < 10
    assert out == "the core is free\n"
    assert key not in errors + told and "secret" not in errors and "Traceback" not in errors


def test_the_settings_of_both_clients_start_this_program(tmp_path: Path) -> None:
    home = ["--home", str(tmp_path / "a home")]
    claude = json.loads(CliRunner().invoke(main, ["mcp", "--config", "claude", *home]).stdout)["mcpServers"]["twin"]
    assert claude == {"command": sys.executable, "args": ["-m", "twin", "mcp", "--level", "public", *home]}
    vscode = json.loads(CliRunner().invoke(main, ["mcp", "--config", "vscode", "--level", "private"]).stdout)
    assert vscode["servers"]["twin"] == {"type": "stdio", "command": sys.executable,
                                         "args": ["-m", "twin", "mcp", "--level", "private"]}


@pytest.mark.parametrize(("verb", "missing"), [("serve", "uvicorn"), ("mcp", "mcp")])
def test_without_its_packages_a_verb_says_how_to_get_them(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, missing: str) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **how: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **how)

    for name in [one for one in sys.modules if one.startswith("twin.serve")]:
        monkeypatch.delitem(sys.modules, name)
    import twin
    monkeypatch.delattr(twin, "serve", raising=False)
    monkeypatch.setattr(builtins, "__import__", absent)
    ran = CliRunner().invoke(main, [verb, "--home", str(tmp_path)])
    assert ran.exit_code == 2 and ran.stdout == ""
    assert f"`twin {verb}` needs {missing}, which is not installed." in ran.stderr
    assert "pip install 'twin[serve]'" in ran.stderr


def test_a_server_that_never_ran_gives_its_socket_back(tmp_path: Path) -> None:
    from twin.catalog import Catalog
    from twin.chat import Twin
    from twin.engine.scripted import ScriptedEngine

    with Twin(Home(tmp_path / "home"), engine=ScriptedEngine([]), catalog=Catalog(tmp_path / "none")) as twin:
        one = Serving(twin, "k" * 32, port=0)
        one.stop()
        one.run()
        with socket.create_server(("127.0.0.1", one.port)):
            pass
