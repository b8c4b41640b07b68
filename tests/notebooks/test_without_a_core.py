"""A notebook on a machine where no model is: it runs to its end, and says what would bring one."""
from __future__ import annotations

import pytest

from tests.notebooks.kernel import fingerprint, run

FETCH = "Fetch one with `twin models pull"


def test_the_arithmetic_of_cards_needs_no_model_at_all(no_core: None) -> None:
    ran = run("06")
    assert ran.pictures == 3
    assert "recommend" not in ran.printed
    told, = (one for one in ran.shown("text/markdown") if "300,000 tokens" in one)
    assert "29.5 GB, shared by 16 roles" in told and "first choice: 2 cores, the roles shared out" in told.lower()
    assert "qwen3-30b-a3b  f16" in ran.printed and "not loaded" in ran.printed


@pytest.mark.notebook
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("stem", "asks"), [("01", 2), ("03", 2), ("04", 1)])
def test_what_asks_a_core_names_the_command_that_fetches_one(stem: str, asks: int, no_core: None) -> None:
    before = fingerprint()
    ran = run(stem)
    assert ran.printed.count(FETCH) == asks
    assert all(FETCH in error for error in ran.errors)
    assert len(ran.errors) == (stem == "01"), "the cell that is a message fails, and says the same"
    assert fingerprint() == before, "nothing is written beside the notebooks"
