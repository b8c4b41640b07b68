"""The command line as a person uses it: real process, real stores, no core but SmolLM2."""
from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SAMPLE


def run(*words: str | Path, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "twin", *map(str, words)], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, "TWIN_HOME": str(home), **environment})


def document(*words: str | Path, home: Path, **environment: str) -> Any:
    done = run(*words, "--json", home=home, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def imported(imported_sample: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    home, report = imported_sample
    return shutil.copytree(home, tmp_path_factory.mktemp("copied") / "home"), report


def test_the_sample_comes_in_whole_and_the_report_reconciles(imported: tuple[Path, Any]) -> None:
    _, report = imported

    assert report["reconciles"]
    assert report["failed"] == 0
    assert report["imported"] > 200
    assert [repair["codec"] for repair in report["repairs"]] == ["mac_roman"]


def test_a_second_import_adds_nothing(imported: tuple[Path, Any]) -> None:
    home, first = imported
    again = document("import", SAMPLE, home=home)

    assert (again["imported"], again["updated"]) == (0, 0)
    assert again["unchanged"] >= first["imported"]


def test_the_profile_has_claims_whose_quotes_are_verbatim(imported: tuple[Path, Any]) -> None:
    from twin import Twin

    home, _ = imported
    profile = document("profile", home=home)
    with Twin.open(home) as twin:
        texts = {(conversation, message.id): message for conversation, message in twin.archive.messages()}

    assert len(profile["claims"]) >= 5
    assert all(profile["levels"][str(level)] > 0 for level in range(1, 8))
    for claim in profile["claims"]:
        for evidence in claim["evidence"]:
            message = texts[evidence["conversation"], evidence["message"]]
            assert message.own
            assert message.text[evidence["start"]:evidence["end"]] == evidence["quote"]


def test_without_any_model_import_and_profile_answer_and_say_what_a_core_adds(tmp_path: Path) -> None:
    empty = {"TWIN_CACHE": str(tmp_path / "none")}
    came = run("import", SAMPLE, home=tmp_path / "home", **empty)
    told = run("profile", home=tmp_path / "home", **empty)

    assert (came.returncode, told.returncode) == (0, 0)
    assert "twin models pull" in came.stderr
    assert "A core would add" in told.stderr
    assert len(told.stdout.splitlines()) > 20


def test_json_keeps_stdout_to_one_document(imported: tuple[Path, Any]) -> None:
    home, _ = imported

    for words in (["recall", "датчик"], ["profile"], ["where"], ["export", "prompt"], ["models", "list"]):
        json.loads(run(*words, "--json", home=home).stdout)


def test_recall_says_why(imported: tuple[Path, Any]) -> None:
    home, _ = imported

    assert all(found["why"] and found["message_ids"] for found in document("recall", "датчики влажности", home=home))


def test_ask_streams_on_a_real_core(imported: tuple[Path, Any]) -> None:
    home, _ = imported
    done = run("ask", "What do I measure in the garden?", "--role", "empiricist", home=home, TWIN_MODEL="smollm2-135m")

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "[empiricist" in done.stderr


@pytest.mark.parametrize(("name", "content", "says"), [
    ("empty.json", b"", "empty"),
    ("broken.json", b'[{"mapping": {', "JSON"),
    ("broken.zip", b"PK\x03\x04 not really", "zip"),
    ("strange.json", b'{"wheels": 4, "colour": "red"}', "wheels"),
    ("note.md", ">[!nexus_user] **User** - 30.06.2025 at 12:07\n> Вопрос\n".encode(), "UID"),
])
def test_bad_input_is_named_and_nothing_is_written(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path, home = tmp_path / name, tmp_path / "home"
    path.write_bytes(content)
    done = run("import", path, home=home)

    assert done.returncode == 2
    assert says.casefold() in done.stderr.casefold()
    assert done.stdout == ""
    assert document("profile", home=home)["messages"] == 0


def test_an_error_is_a_document_too_when_json_was_asked_for(tmp_path: Path) -> None:
    done = run("import", tmp_path / "nothing.json", "--json", home=tmp_path / "home")

    assert done.returncode == 2
    assert json.loads(done.stdout)["next_step"]


def test_a_missing_core_exits_2_and_names_the_pull(tmp_path: Path) -> None:
    done = run("ask", "Who am I?", home=tmp_path / "home", TWIN_CACHE=str(tmp_path / "none"))

    assert done.returncode == 2
    assert "twin models pull" in done.stderr


def test_escape_sequences_of_a_message_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """A forwarded text must not retitle the window or clear the screen when it is recalled."""
    said = {"role": "user", "content": "Why do my pens \x1b]0;owned\x07 turn \x1b[2J green, and which of them?"}
    chat = tmp_path / "chat.jsonl"
    chat.write_text(json.dumps({"messages": [said]}), "utf-8")
    run("import", chat, home=tmp_path / "home")
    told = run("recall", "green pens", home=tmp_path / "home").stdout + run("profile", home=tmp_path / "home").stdout

    assert "green" in told
    assert "\x1b" not in told
    assert "\x07" not in told


def test_keys_of_a_foreign_file_are_shown_without_their_escape_sequences(tmp_path: Path) -> None:
    strange = tmp_path / "strange.json"
    strange.write_text('{"\\u001b]0;owned\\u0007\\u001b[2J": 1, "\\ud800x": 2}')
    plain, told = (run("import", strange, *more, home=tmp_path / "home") for more in ([], ["--json"]))

    assert (plain.returncode, told.returncode) == (2, 2)
    assert "\x1b" not in plain.stderr
    assert json.loads(told.stdout)["error"] == "UnknownFormat"


def test_a_zip_with_nothing_to_read_leaves_no_home_behind(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as file:
        file.writestr("a.png", b"\0" * 99)
    done = run("import", tmp_path / "pictures.zip", home=tmp_path / "home")

    assert done.returncode == 2
    assert not (tmp_path / "home").exists()


def test_an_export_into_a_new_home_keeps_it_private(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("First I measure, then I decide.")
    assert run("import", tmp_path / "note.md", home=tmp_path / "home").returncode == 0
    assert run("export", "prompt", home=tmp_path / "home").returncode == 0
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


@pytest.mark.parametrize("words", [
    ["export", "prompt", "--out", "{file}/x.md"], ["recall", "cats", "-k", "99999999999999999999"], ["chat"],
    ["profile", "--read", "-3"]])
def test_bad_use_is_told_in_words_not_by_a_traceback(tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    done = run(*(word.format(file=file) for word in words), home=tmp_path / "home")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_constitution_that_is_no_text_is_named(imported: tuple[Path, Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "constitution.md").write_bytes(b"\xff\xfe\xff")
    done = run("ask", "Who am I?", home=home, TWIN_MODEL="smollm2-135m")

    assert done.returncode == 2
    assert "constitution.md" in done.stderr
