"""The notebooks that ask most, on the core that answers people."""
from __future__ import annotations

import re

import pytest

from tests.notebooks.kernel import run
from twin import text

pytestmark = [pytest.mark.qwen, pytest.mark.timeout(3600)]


@pytest.fixture(autouse=True)
def qwen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_MODEL", "qwen2.5-coder-1.5b")


def plain(html: str) -> str:
    """The words of a page."""
    return re.sub("<[^>]+>", " ", html)


def test_01_answers_in_both_languages() -> None:
    ran = run("01")
    assert ran.errors == []
    answers = [each["data"] for each in ran.outputs if "tokens read" in each.get("data", {}).get("text/html", "")]
    english, russian = [each["text/plain"].partition("\n")[2] for each in answers]  # below who answers
    assert (text.language(english), text.language(russian)) == ("en", "ru")
    assert "qwen2.5-coder-1.5b" in plain("".join(ran.shown("text/html"))).lower()


def test_03_holds_a_council_that_comes_to_opinions() -> None:
    ran = run("03")
    assert ran.errors == []
    assert ran.pictures == 2, "routes, and the weights of what was heard"
    assert len(re.findall(r"first word after", ran.printed)) == 2
