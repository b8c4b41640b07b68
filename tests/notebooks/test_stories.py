"""Each notebook, executed on the small core as somebody does who opens it for the first time: it shows what it says."""
from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.notebooks.kernel import fingerprint, run

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(3600)]


@pytest.fixture(autouse=True)
def nothing_is_written_beside_it(smollm2: None) -> Iterator[None]:
    before = fingerprint()
    yield
    assert fingerprint() == before


def test_01_meets_a_person_and_answers_three_times() -> None:
    ran = run("01")
    assert ran.errors == []
    assert "models pull" not in ran.printed, "the core is here, so every question was answered"
    assert " 0 failed" in ran.printed and "had been read as" in ran.printed, "the damaged note was mended"
    assert re.search("7  a system that designs itself +[1-9]", ran.printed), "some question is of the deepest level"
    assert ran.pictures == 1
    answers = [one for one in ran.shown("text/html") if "tokens read" in one]
    assert len(answers) == 2, "one by twin.ask, one by %%twin"
    assert "Critic" in answers[1]
    assert any("Which of my habits would you keep?" in page for page in ran.widgets)
    assert "characters," in ran.printed


def test_02_accounts_for_every_message_and_takes_one_source_back() -> None:
    ran = run("02")
    assert "in the home so far: nothing" in ran.printed
    assert ran.printed.count("245 imported") == 2, "the dry run told what then came in"
    assert "0 imported + 0 updated + 257 unchanged" in ran.printed, "the second time adds nothing"
    assert "'Varvara Lind': 3" in ran.printed and "3 of them are hers" in ran.printed
    assert "source: 6 messages, 6 passages; clean: True" in ran.printed
    assert "skipped, forgotten: 6" in ran.printed
    assert ran.pictures == 1


def test_03_routes_asks_two_roles_over_one_context_and_holds_a_council() -> None:
    ran = run("03")
    assert re.search(r"Hello!.*by default", ran.printed)
    read = re.findall(r"prompt of (\d+) tokens, (\d+) of them not read again", ran.printed)
    assert len(read) == 2
    assert int(read[1][1]) > 0, "the second role shares what the first one read"
    assert re.search("after:  100% empiricist", ran.printed)
    assert "What would a sceptic say of my stations?" in ran.printed, "the edit is told in words"
    assert "its very bytes: True" in ran.printed
    assert 1 <= ran.pictures <= 2, "the weights are drawn where the council came to any"
    assert sum("Council" in one for one in ran.shown("text/html")) == 1


def test_04_trains_an_adapter_switches_it_on_and_off() -> None:
    ran = run("04")
    bits = re.search(r"([\d.]+) -> ([\d.]+) bits a character", ran.printed)
    assert bits
    assert float(bits[2]) < float(bits[1]), "what it never saw surprises it less"
    assert "adapter: set" in ran.printed and "adapter: removed" in ran.printed
    assert ran.pictures == 1
    assert len([one for one in ran.shown("text/html") if "tokens read" in one]) == 2


def test_05_proposes_proves_approves_and_takes_back() -> None:
    ran = run("05")
    assert "critic is asked about parts now" in ran.printed
    assert "accepted:" in ran.printed
    assert "architect is asked about parts again" in ran.printed
    assert "the audit is whole: True" in ran.printed
    assert any("data:image/svg+xml" in one for one in ran.shown("text/html")), "the lineage shows itself"
    assert ran.pictures == 2


def test_06_answers_what_fits_and_reads_from_the_file_what_the_catalogue_says() -> None:
    ran = run("06")
    assert sum("29.5 GB, shared by 16 roles" in one for one in ran.shown("text/markdown")) == 1
    assert len(ran.shown("text/markdown")) == 4
    assert ran.pictures == 3
    told = re.findall(r"([\d,]+) bytes a token by its header, ([\d,]+) by the catalogue", ran.printed)
    assert told
    assert all(header == catalogue for header, catalogue in told)


def test_07_carries_away_what_may_leave_and_loses_what_is_taken_back() -> None:
    ran = run("07")
    assert "The copy may leave." in ran.printed
    assert r"You say: “I live in \[place\] with my sister \[name\].”" in ran.printed
    assert "clean: True" in ran.printed
    assert "the next one names Maria: False" in ran.printed
    assert ran.pictures == 3


def test_08_shows_the_report_its_pictures_and_the_evidence() -> None:
    ran = run("08")
    assert len(ran.shown("image/svg+xml")) == 3
    assert len(ran.shown("text/markdown")) == 2, "the report and the difference"
    assert "every quote" in ran.printed or "stand" in ran.printed
    assert "no evidence" in ran.printed and "supported" in ran.printed
    assert "greenhouse design itself" in ran.printed
