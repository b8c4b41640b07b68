"""The command line of the self-profile, as a person uses it: real process, real stores, the shipped sample."""
from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import document, run


@pytest.fixture(scope="module")
def home(imported_sample: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the sample and one version of its profile."""
    place = shutil.copytree(imported_sample[0], tmp_path_factory.mktemp("profiled") / "home")
    document("profile", home=place)
    return place


def test_depth_is_one_document_with_level_interval_signals_and_tree(tmp_path: Path) -> None:
    found = document("depth", "If I double the ovens, how does that change the queue and the bread?", home=tmp_path)

    assert 1 <= found["low"] <= found["level"] <= found["high"] <= 7
    assert found["tree"]["parts"]
    assert set("QNMXCSREA") == set(found["signals"])
    assert not list(tmp_path.iterdir())


def test_a_file_of_questions_is_one_array_in_order(tmp_path: Path) -> None:
    asked = ["How do I install it?", "Как система проектирует себя?", "12", "Why does the dough stick?"]
    source = tmp_path / "questions.txt"
    source.write_text("\ufeff" + "\r\n\r\n".join(asked) + "\r\n", encoding="utf-8")
    found = document("depth", "--file", source, home=tmp_path)

    assert [one["text"] for one in found] == asked
    assert [one["level"] and round(one["level"]) for one in found] == [1, 7, None, 3]


def test_a_file_is_split_at_newlines_only_and_a_line_without_words_keeps_its_place(tmp_path: Path) -> None:
    source = tmp_path / "questions.txt"
    source.write_text("How do I install it,\u2028or run it?\n12\r\nWhy does the dough stick?\n", encoding="utf-8")
    rated = document("depth", "--file", source, home=tmp_path)
    told = run("depth", "--file", source, home=tmp_path)

    assert [one["text"] for one in rated] == ["How do I install it,\u2028or run it?", "12", "Why does the dough stick?"]
    assert told.returncode == 0
    assert [line.split()[0] for line in told.stdout.splitlines()] == ["2", "-", "3"]


def test_questions_come_from_standard_input_as_utf_8_or_not_at_all(tmp_path: Path) -> None:
    def piped(data: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([sys.executable, "-m", "twin", "depth", "--file", "-", "--json"], input=data,
                              capture_output=True, check=False, env={**os.environ, "TWIN_HOME": str(tmp_path),
                                                                     "PYTHONIOENCODING": "ascii:replace"})

    good, bad = piped("Почему тесто липнет?\n".encode()), piped("caf\u00e9, how?\n".encode("latin-1"))
    assert [one["text"] for one in json.loads(good.stdout)] == ["Почему тесто липнет?"]
    assert bad.returncode == 2
    assert "Standard input is not UTF-8" in json.loads(bad.stdout)["what"]


@pytest.mark.parametrize("words", [["depth"], ["depth", "a?", "--file", "b.txt"], ["depth", "--file", "no such.txt"],
                                   ["depth", "12"], ["profile", "--md", "--json"], ["profile", "--md", "--html"],
                                   ["profile", "--html", "--json"], ["decide", "undo", "1"], ["why", "nothing_like_it"],
                                   ["decide", "edit", "1"], ["history", "zzz"], ["audit-portrait", "no such.md"],
                                   ["lift", "?!"]])
def test_bad_use_is_two_sentences_and_status_2(words: list[str], home: Path) -> None:
    done = run(*words, home=home)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_verify_passes_on_the_sample_and_names_the_claim_after_one_changed_character(sample_home: Path) -> None:
    made = document("profile", home=sample_home)
    assert run("verify", home=sample_home).returncode == 0
    claim, quote = made["claims"][0], made["claims"][0]["evidence"][0]
    with sqlite3.connect(sample_home / "archive.sqlite") as db:
        db.execute("UPDATE messages SET text = substr(text, 1, ?1) || '#' || substr(text, ?1 + 2) "
                   "WHERE conversation = ?2 AND id = ?3", (quote["start"], quote["conversation"], quote["message"]))
    done = run("verify", home=sample_home)

    assert done.returncode == 1
    assert claim["facet"] in done.stdout


def test_why_shows_the_words_and_where_they_stand(home: Path) -> None:
    claim: dict[str, Any] = document("profile", home=home)["claims"][0]
    done = run("why", claim["facet"], home=home)

    assert done.returncode == 0
    assert claim["evidence"][0]["message"] in done.stdout
    assert f"»{' '.join(claim['evidence'][0]['quote'].split())}«" in done.stdout
    assert document("why", "1", home=home)["claim"]["id"] == claim["facet"]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_report_comes_as_text_markdown_and_a_page(home: Path, language: str, tmp_path: Path) -> None:
    text = run("profile", "--language", language, home=home)
    md = run("profile", "--md", "--language", language, home=home)
    page = tmp_path / "profile.html"
    html = run("profile", "--html", "--language", language, "--out", page, home=home)

    assert (text.returncode, md.returncode, html.returncode) == (0, 0, 0)
    assert md.stdout.startswith("#")
    assert html.stdout == ""
    whole = page.read_text(encoding="utf-8")
    assert whole.lstrip().lower().startswith("<!doctype html")
    assert "<svg" in whole or "data:image/" in whole
    assert "http://" not in whole.replace("http://www.w3.org", "")
    assert oct(page.stat().st_mode & 0o777) == "0o600"


def test_a_decision_lasts_and_history_tells_what_changed(sample_home: Path) -> None:
    first = document("profile", home=sample_home)["claims"][0]["facet"]
    document("decide", "reject", first, home=sample_home)
    assert first not in [claim["facet"] for claim in document("profile", home=sample_home)["claims"]]
    kept = document("history", home=sample_home)
    found = document("history", kept[0]["version"], home=sample_home)

    assert len(kept) == 2
    assert first in [claim["id"] for claim in found["went"]]


def test_each_decision_is_answered_with_what_it_did_and_an_undo_with_what_is_back(sample_home: Path) -> None:
    name = document("profile", home=sample_home)["claims"][0]["facet"]
    said = {action: run("decide", action, name, *text, home=sample_home).stderr for action, text in (
        ("approve", []), ("edit", ["My own words."]), ("reject", []))}
    document("profile", home=sample_home)
    back = [run("decide", "undo", name, home=sample_home) for _ in range(4)]

    for action, words in (("approve", "counts as your own word"), ("edit", "your words"), ("reject", "no profile")):
        assert words in said[action]
        assert f"twin decide undo {name}" in said[action]
    for done, words in zip(back, ("has your words", "is approved", "as it was found", "no decision"), strict=True):
        assert words in done.stderr
        assert "twin decide undo" not in done.stderr
    assert [done.returncode for done in back] == [0, 0, 0, 2]


def test_a_portrait_is_audited_and_confirmed_words_count(sample_home: Path, tmp_path: Path) -> None:
    portrait = tmp_path / "portrait.txt"
    portrait.write_text('You are a rare genius.\nYou ask: "How does a greenhouse design itself anew each spring?"\n',
                        encoding="utf-8")
    before = document("audit-portrait", portrait, home=sample_home)
    told = run("audit-portrait", portrait, home=sample_home)
    after = document("audit-portrait", portrait, "--confirm", "all", home=sample_home)

    assert before["sentences"][0]["verdict"] == "no evidence"
    assert (before["added"], after["added"]) == (0, 1)
    assert "--confirm" in told.stderr
    asked = [one["evidence"]["quote"] for one in document("profile", home=sample_home)["questions"]]
    assert "How does a greenhouse design itself anew each spring?" in asked


def test_lift_asks_a_flat_question_the_person_s_way(home: Path) -> None:
    found = document("lift", "How do I water the tomatoes?", home=home)

    assert found["lifted"]
    assert all("tomatoes" in one for one in found["lifted"])
    assert min(one["level"] for one in found["depth_after"]) > found["depth_before"]["level"]


def test_the_public_report_names_nobody_the_sample_names(home: Path) -> None:
    private = run("profile", "--md", home=home).stdout
    public = run("profile", "--md", "--public", home=home)

    assert public.returncode == 0, public.stderr
    assert public.stdout != private
    assert json.loads(run("profile", "--public", "--json", home=home).stdout)["claims"]


def test_remember_off_is_kept(tmp_path: Path) -> None:
    from twin import Twin

    assert run("remember", "off", home=tmp_path).returncode == 0
    with Twin.open(tmp_path) as twin:
        assert not twin.keeps_typed
