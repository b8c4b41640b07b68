"""The verbs of what leaves, as a person types them."""
from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.test_forming import talks
from twin.chat import Twin
from twin.cli import main
from twin.exporters import FORMATS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("twin.loading.embedder", lambda _: None)
    with Twin.open(tmp_path / "home") as twin:
        twin.add(talks())
    return tmp_path / "home"


def run(home: Path, *words: str) -> Result:
    done = CliRunner().invoke(main, [words[0], "--home", str(home), *words[1:]])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def read(home: Path, *words: str) -> Any:
    return json.loads(run(home, *words, "--json").stdout)


def test_forming_prints_the_core_and_lists_compares_and_restores_it(home: Path) -> None:
    core = read(home, "form", "winter")
    assert (core["name"], len(core["id"])) == ("winter", 12)
    (home / "constitution.md").write_text("Never guess.", "utf-8")
    second = read(home, "form", "spring")

    assert [one["id"] for one in read(home, "form", "--list")] == [core["id"], second["id"]]
    assert "+Never guess." in run(home, "form", "--compare", "winter").stdout
    assert read(home, "form", "--compare", "winter", "--with", "winter")["same"]
    assert read(home, "form", "--restore", "winter")["now"]["id"] == core["id"]
    assert not (home / "constitution.md").exists()
    assert run(home, "form", "--restore", "autumn").exit_code == 2


def test_a_constitution_is_printed_and_written_only_when_it_is_accepted(home: Path) -> None:
    assert "Nothing is written" in run(home, "form", "--constitution", "--lang", "ru").stderr
    assert not (home / "constitution.md").exists()
    made = read(home, "form", "--constitution", "--accept")
    assert (home / "constitution.md").read_text("utf-8").strip() == made["text"]
    assert run(home, "form", "--constitution", "--accept").exit_code == 2


def test_the_formats_are_listed_with_what_they_are_for(home: Path) -> None:
    said = run(home, "export", "--list").stdout

    assert [line.split()[0] for line in said.splitlines()] == list(FORMATS)


def test_an_export_says_where_it_is_of_which_core_and_what_was_cut(home: Path, tmp_path: Path) -> None:
    core = read(home, "form")
    done = run(home, "export", "prompt", "-o", str(tmp_path / "me.md"), "--budget", "3000", "--lang", "ru")

    assert done.exit_code == 0
    assert done.stdout.strip() == str(tmp_path / "me.md")
    assert f"Core {core['id']}, private" in done.stderr
    assert stat.S_IMODE((tmp_path / "me.md").stat().st_mode) == 0o600
    made = read(home, "export", "plain", "--level", "public")
    assert made["files"] == ["prompt.txt"]
    assert made["core"] == core["id"]
    assert "level=public" in made["text"]


def test_claims_wait_are_accepted_and_refused_by_number(home: Path) -> None:
    with Twin.open(home) as twin:
        twin.propose_claim("Decides by a prototype.", quote="I build the prototype first.", origin="a program")
        twin.propose_claim("Distrusts round numbers.")
    first, second = read(home, "claims")
    assert "Decides by a prototype." in run(home, "claims").stdout

    assert run(home, "claims", "accept", str(first["number"])).exit_code == 0
    assert run(home, "claims", "refuse", "--all").exit_code == 0

    assert read(home, "claims") == []
    assert first["claim"] in [one["facet"] for one in read(home, "profile")["claims"]]
    assert second["claim"] not in run(home, "profile").stdout
    assert run(home, "claims", "accept", "99").exit_code == 2


def test_backup_and_restore_bring_a_home_over(home: Path, tmp_path: Path) -> None:
    core = read(home, "form", "winter")
    assert run(home, "backup", str(tmp_path / "all.zip")).exit_code == 0
    assert stat.S_IMODE((tmp_path / "all.zip").stat().st_mode) == 0o600

    new = tmp_path / "new"
    assert run(new, "restore", str(tmp_path / "all.zip")).exit_code == 0

    assert read(new, "form")["id"] == core["id"]
    assert read(new, "recall", "how long the kiln lasts")
    again = run(new, "restore", str(tmp_path / "all.zip"))
    assert again.exit_code == 2
    assert run(new, "restore", str(tmp_path / "all.zip"), "--replace").exit_code == 0
