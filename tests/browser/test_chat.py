"""The chat in a real JupyterLab: what a person types, sees come, stops and chooses."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.lab import Notebook, written

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]

OPENS = """import tempfile
from tests.browser.engines import Paced, numbered
from twin import Twin
home = tempfile.TemporaryDirectory()
twin = Twin.open(home.name, engine=Paced({script}))
chat = twin.chat()
chat"""
ENDLESS = "lambda prompt: numbered(20_000)"


def chat_of(book: Notebook) -> Locator:
    """The chat as it stands below its cell."""
    book.run_all()
    return book.cell("twin.chat()").locator(".jp-OutputArea-output")


def field(chat: Locator) -> Locator:
    """Where a question is typed."""
    return chat.get_by_placeholder("Ask in any language; Enter sends")


def words(chat: Locator) -> int:
    """How many words of a numbered answer are on the screen."""
    return len(re.findall(r"\bw\d+\b", chat.inner_text()))


def test_an_answer_is_seen_while_it_is_written_and_stops_when_told_to(opened: Open, folder: Path) -> None:
    book = opened(written(folder, "endless.ipynb", OPENS.format(script=ENDLESS)))
    chat = chat_of(book)
    book.shot("chat-empty")
    field(chat).fill("Почему весы врут?")
    field(chat).press("Enter")
    stop, send = chat.get_by_role("button", name="Stop"), chat.get_by_role("button", name="Send")
    for seen in (3, 20, 60):  # an answer without end: what is seen is seen while it is written
        expect(chat).to_contain_text(f"w{seen} ")
        expect(stop).to_be_enabled()
        expect(send).to_be_disabled()
    book.shot("chat-streams")
    stop.click()
    expect(chat).to_contain_text("stopped; what was written is kept")
    expect(send).to_be_enabled()
    assert 60 < words(chat) < 20_000
    expect(chat).to_contain_text("Почему весы врут?")
    book.shot("chat-stopped")


def test_a_role_is_picked_and_answers_and_can_be_corrected(opened: Open, folder: Path) -> None:
    book = opened(written(folder, "roles.ipynb", OPENS.format(script="lambda prompt: f'Here speaks {prompt.role}.'")))
    chat = chat_of(book)
    chat.get_by_label("Role").select_option("Critic")
    field(chat).fill("How do I water the beans?")
    chat.get_by_role("button", name="Send").click()
    expect(chat).to_contain_text("Here speaks critic.")
    expect(chat).to_contain_text("asked for")
    chat.locator("select").filter(has_text="This was for").select_option("Mentor")
    expect(chat).to_contain_text("Learned: it was for Mentor.")
    chat.get_by_role("button", name="Good").click()
    book.shot("chat-corrected")


def test_what_a_core_writes_is_text_and_never_markup(opened: Open, folder: Path) -> None:
    script = repr(["<img src=x onerror=\"document.title='owned'\"> **bold** [link](javascript:alert(1)) <script>"
                   "document.title='owned'</script> ![picture](http://picture.example/x.png)"])
    book = opened(written(folder, "hostile.ipynb", OPENS.format(script=script)))
    chat = chat_of(book)
    field(chat).fill("<b onclick=alert(1)>Who</b> are you?")
    field(chat).press("Enter")
    expect(chat.locator("strong").filter(has_text="bold")).to_be_visible()
    expect(chat.get_by_role("button", name="Good")).to_be_visible()
    assert chat.locator("img, script, a[href]").count() == 0
    expect(chat).to_contain_text("<img src=x onerror=")
    expect(chat).to_contain_text("<b onclick=alert(1)>Who</b> are you?")
    assert "owned" not in book.page.title()
    assert book.asked_for <= {"127.0.0.1", ""}, "nothing is fetched from anywhere else"


def test_a_cell_streams_its_answer_and_the_stop_button_of_the_notebook_keeps_it(opened: Open, folder: Path) -> None:
    begins = OPENS.format(script=ENDLESS).partition("chat =")[0]
    book = opened(written(folder, "cell.ipynb", begins, 'turn = twin.ask("What happens here?", "mentor")',
                          "print(turn.status, len(turn.answer) > 9)"))
    book.begin_all()
    output = book.cell("What happens here?").locator(".jp-OutputArea-output")
    for seen in (3, 40):
        expect(output).to_contain_text(f"w{seen} ")
    book.shot("cell-streams")
    book.page.locator('.jp-NotebookPanel-toolbar [data-command="notebook:interrupt-kernel"]').first.click()
    book.rest()
    expect(output).to_contain_text("stopped; what was written is kept")
    expect(book.errors).to_have_count(0)
    expect(book.cell("turn.status")).to_contain_text("interrupted True")
