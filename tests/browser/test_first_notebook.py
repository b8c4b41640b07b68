"""The first five minutes: notebook 01 in JupyterLab, run on the real small core from top to bottom, then talked to."""
from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Open

pytestmark = [pytest.mark.browser, pytest.mark.timeout(3600)]

WATCH = """(chat) => {
  window.lengths = new Set();
  new MutationObserver(() => window.lengths.add(chat.innerText.length))
    .observe(chat, {childList: true, subtree: true, characterData: true});
}"""


def scribe_tells(chat: Locator) -> None:
    """Ask for something long, of a role that was picked."""
    chat.get_by_label("Role").select_option("Scribe")
    field = chat.get_by_placeholder("Ask in any language; Enter sends")
    field.fill("Write a long story about a lighthouse keeper and a storm.")
    field.press("Enter")


def test_the_first_notebook_runs_and_its_chat_answers_word_by_word(opened: Open) -> None:
    book = opened("01_meet_your_twin.ipynb")
    book.run_all(patience_s=1800)
    expect(book.errors).to_have_count(0)
    for name, source in (("levels", "plots.levels"), ("profile", 'twin.panel("profile")'), ("asked", "twin.ask"),
                         ("critic", "%%twin critic"), ("chat", "chat = twin.chat()")):
        book.shot(f"first-{name}", book.cell(source))
    expect(book.cell("%%twin critic")).to_contain_text("Critic")
    chat = book.cell("chat = twin.chat()").locator(".jp-OutputArea-output")
    expect(chat).to_contain_text("Which of my habits would you keep?")  # what chat.send asked in the cell below
    chat.evaluate(WATCH)
    scribe_tells(chat)
    expect(chat.get_by_role("button", name="Stop")).to_be_enabled()
    expect(chat.get_by_role("button", name="Stop")).to_be_disabled()
    assert book.page.evaluate("window.lengths.size") > 4, "it came in pieces"
    expect(chat).to_contain_text("Scribe")
    book.shot("first-chat-answered", chat)
    assert book.asked_for <= {"127.0.0.1", ""}, "nothing is fetched from anywhere else"
