"""The command line of the role map: what is shown, edited, refused and taken back."""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.test_role_book import BROKEN
from tests.test_roles import POLICY, SMALL
from twin import roles as role_map
from twin.cli_roles import roles

COOLER = SMALL.replace("0.2", "0.1")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one role, asked once."""
    place = tmp_path / "home"
    (place / "roles").mkdir(parents=True)
    (place / "roles" / "tiny.md").write_text(SMALL, "utf-8")
    run("list", home=place)
    return place


def run(*words: str | Path, home: Path, **environment: str) -> Result:
    return CliRunner().invoke(roles, [*map(str, words), "--home", str(home)], env=environment)


def document(*words: str | Path, home: Path, **environment: str) -> Any:
    done = run(*words, "--json", home=home, **environment)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def editor(tmp_path: Path, text: str) -> dict[str, str]:
    """An editor that leaves this text in the file it is given."""
    script = tmp_path / "editor.py"
    script.write_text(f"import sys\nopen(sys.argv[-1], 'w', encoding='utf-8', newline='').write({text!r})\n", "utf-8")
    return {"VISUAL": f"{sys.executable} {script}", "EDITOR": "false"}


def test_an_empty_home_lists_the_seed_roles_and_stays_empty(tmp_path: Path) -> None:
    listed = document("list", home=tmp_path / "none")
    assert [role["id"] for role in listed["roles"]] == list(role_map.seed().ids)
    assert listed["version"] == role_map.seed().version
    assert (listed["council"]["on"], listed["refusal"]) == ("asked", None)
    assert "Критик" in run("list", home=tmp_path / "none").stdout
    assert document("history", home=tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_a_role_is_shown_as_its_file(home: Path) -> None:
    assert run("show", "tiny", home=home).stdout == SMALL
    assert document("show", "tiny", home=home)["sampling"]["temperature"] == 0.2
    assert "'poet'" in run("show", "poet", home=home).stderr
    assert run("show", "poet", home=home).exit_code == 2


def test_the_council_is_shown_and_listed(home: Path) -> None:
    assert document("show", "council", home=home)["max_n"] == 4
    assert "all roles, 4 at most, only when asked for" in run("list", home=home).stdout
    (home / "roles" / "council.yaml").write_text(POLICY, "utf-8")
    assert run("show", "council", home=home).stdout == POLICY
    assert "tiny, 3 at most, by itself from depth 5" in run("list", home=home).stdout


def test_an_edit_says_what_changed(home: Path, tmp_path: Path) -> None:
    done = run("edit", "tiny", home=home, **editor(tmp_path, COOLER))
    assert done.exit_code == 0
    assert done.stdout == "tiny: temperature 0.2 -> 0.1\n"
    again = document("edit", "tiny", "--language", "ru", home=home, **editor(tmp_path, SMALL.replace("You", "Ты")))
    assert again["changes"][0] == "tiny: позиция (en): изложено иначе: [-You-] {+Ты+} are tiny."
    assert len(document("history", home=home)) == 3


def test_a_broken_edit_is_said_and_the_old_map_answers_until_it_is_mended(home: Path, tmp_path: Path) -> None:
    done = run("edit", "tiny", home=home, **editor(tmp_path, BROKEN))
    assert done.exit_code == 2
    assert "tiny.md, line 6: sampling.temperature" in done.stderr
    assert "stay as they were" in done.stderr
    assert run("show", "tiny", home=home).stdout == SMALL
    assert "tiny.md, line 6" in document("list", home=home)["refusal"]
    assert run("edit", "tiny", home=home, **editor(tmp_path, COOLER)).exit_code == 0
    assert document("list", home=home)["refusal"] is None


def test_a_file_broken_from_the_start_can_still_be_edited(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "roles").mkdir(parents=True)
    (other / "roles" / "tiny.md").write_text(BROKEN, "utf-8")
    assert run("list", home=other).exit_code == 2
    assert run("edit", "tiny", home=other, **editor(tmp_path, SMALL)).exit_code == 0
    assert run("show", "tiny", home=other).stdout == SMALL


def test_the_policy_can_be_edited_before_it_has_a_file(home: Path, tmp_path: Path) -> None:
    done = run("edit", "council", home=home, **editor(tmp_path, POLICY))
    assert "council: roles at most 4 -> 3" in done.stdout
    assert (home / "roles" / "council.yaml").read_text("utf-8") == POLICY


def test_an_edit_needs_a_file_and_an_editor(home: Path) -> None:
    assert "Choose one of: tiny." in run("edit", "poet", home=home, VISUAL="", EDITOR="true").stderr
    done = run("edit", "tiny", home=home, VISUAL="", EDITOR="/nonexistent/editor")
    assert done.exit_code == 2
    assert "EDITOR" in done.stderr


def test_a_check_names_every_broken_file_and_changes_nothing(home: Path) -> None:
    assert run("check", home=home).exit_code == 0
    (home / "roles" / "tiny.md").write_text(BROKEN, "utf-8")
    (home / "roles" / "council.yaml").write_text(POLICY.replace("- tiny", "- poet"), "utf-8")
    before = {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}
    done = run("check", home=home)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == ["tiny.md, line 6: sampling.temperature: Input should be a valid number.",
                                        "council.yaml, line 3: there is no role 'poet'."]
    found = json.loads(run("check", "--json", home=home).stdout)
    assert (found["ok"], found["checked"], len(found["refused"])) == (False, ["tiny.md", "council.yaml"], 2)
    assert before == {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}


def test_a_check_of_files_looks_at_these_alone(home: Path, tmp_path: Path) -> None:
    (home / "roles" / "tiny.md").write_text(BROKEN, "utf-8")
    good, policy = tmp_path / "tiny.md", tmp_path / "council.yaml"
    good.write_text(SMALL, "utf-8")
    policy.write_text(POLICY, "utf-8")
    assert run("check", good, policy, home=home).exit_code == 0
    assert run("check", good, tmp_path / "none.md", home=home).exit_code == 2
    policy.write_text(POLICY.replace("- tiny", "- tiny\n  - critic"), "utf-8")
    assert run("check", good, policy, home=home).exit_code == 1
    assert run("check", good, policy, home=tmp_path / "new").exit_code == 0  # the seed roles answer there
    assert not (tmp_path / "new").exists()


def test_history_diff_and_rollback_tell_the_same_story(home: Path) -> None:
    file = home / "roles" / "tiny.md"
    file.write_bytes(COOLER.replace("\n", "\r\n").encode())
    newest, oldest = document("history", home=home)
    assert newest["changes"] == document("diff", home=home)["changes"] == ["tiny: temperature 0.2 -> 0.1"]
    assert (newest["number"], newest["parent"], newest["author"]) == (2, oldest["version"], "owner")
    assert run("diff", "2", "1", home=home).stdout == "tiny: temperature 0.1 -> 0.2\n"
    done = run("rollback", "1", home=home)
    assert done.stdout == "tiny: temperature 0.1 -> 0.2\n"
    assert file.read_bytes() == SMALL.encode()
    back = document("rollback", newest["version"][:12], home=home)
    assert (back["number"], back["version"]) == (4, newest["version"])
    assert file.read_bytes() == COOLER.replace("\n", "\r\n").encode()
    assert "#4" in run("history", "--limit", "1", home=home).stdout
    assert document("diff", "1", "--language", "ru", home=home)["changes"] == newest["changes"]


def test_a_version_there_is_not_is_one_document_and_exit_status_2(home: Path) -> None:
    done = run("rollback", "7", "--json", home=home)
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"] == "UsageError"
    assert "#1" in done.stderr


def test_a_rollback_over_a_broken_file_says_where_that_file_is_now(home: Path) -> None:
    (home / "roles" / "tiny.md").write_text(BROKEN, "utf-8")
    done = run("rollback", "1", home=home)
    assert "tiny.md.old" in done.stderr
    assert "kept in the history" not in done.stderr
    (home / "roles" / "tiny.md").write_text(BROKEN + "\nAnd more.", "utf-8")
    assert document("rollback", "1", home=home)["aside"] == {"tiny.md": "tiny.md.old2"}
    (home / "roles" / "tiny.md").write_text(COOLER, "utf-8")
    assert "kept in the history" in run("rollback", "1", home=home).stderr
    assert document("rollback", "1", home=home)["aside"] == {}


def test_mending_a_file_by_an_edit_is_said(home: Path, tmp_path: Path) -> None:
    file = home / "roles" / "tiny.md"
    file.write_text(BROKEN, "utf-8")
    done = run("edit", "tiny", home=home, **editor(tmp_path, SMALL))
    assert "as it was" not in done.stderr
    assert "tiny.md, line 6" in done.stderr and "is mended" in done.stderr and "in force" in done.stderr
    file.write_text(BROKEN, "utf-8")
    assert document("edit", "tiny", home=home, **editor(tmp_path, COOLER))["mended"] is True
    assert document("edit", "tiny", home=home, **editor(tmp_path, SMALL))["mended"] is False
    assert "The content is as it was." in run("edit", "tiny", home=home, **editor(tmp_path, SMALL)).stderr


def test_mending_the_only_map_there_ever_was_is_said(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "roles").mkdir(parents=True)
    (other / "roles" / "tiny.md").write_text(BROKEN, "utf-8")
    done = run("edit", "tiny", home=other, **editor(tmp_path, SMALL))
    assert "is mended" in done.stderr and "as it was" not in done.stderr


def test_the_bare_verb_lists_and_options_before_the_verb_hold_for_the_verb(home: Path) -> None:
    other = {"TWIN_HOME": str(home.parent / "unused")}
    bare = CliRunner().invoke(roles, ["--home", str(home), "--json"], env=other)
    assert json.loads(bare.stdout) == document("list", home=home)
    shown = CliRunner().invoke(roles, ["--home", str(home), "--json", "show", "tiny"], env=other)
    assert json.loads(shown.stdout)["id"] == "tiny"
    assert not (home.parent / "unused").exists()


def test_a_file_over_the_limit_is_refused_by_check(home: Path, tmp_path: Path) -> None:
    big = tmp_path / "tiny.md"
    big.write_text(SMALL + "more\n" * 100_000, "utf-8")
    assert "256 KiB" in run("check", big, home=home).stdout
