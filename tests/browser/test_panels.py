"""Panels in a real JupyterLab: what is clicked happens, and is seen."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.lab import written

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]

PROVEN = """import tempfile
from tests.notebook.test_panels_proposals import measured, rule
from twin import Twin
from twin.engine.scripted import ScriptedEngine
home = tempfile.TemporaryDirectory()
twin = Twin.open(home.name, engine=ScriptedEngine(lambda prompt: "Noted."))
twin.role_book.ensure()
proven = measured(twin, rule("Name two risks of each plan."))
twin.panel("proposals")"""
STATE = "print(twin.archive.proposal(proven.id).state, 'Name two risks' in twin.role_text('critic'))"
OPENED = """import tempfile
from twin import Twin
from twin.engine.scripted import ScriptedEngine
home = tempfile.TemporaryDirectory()
twin = Twin.open(home.name, engine=ScriptedEngine(lambda prompt: "Noted."))
twin.import_path("sample", embed=False)"""
PANELS = ("start", "import", "profile", "roles", "proposals", "training", "evolution")


def test_a_proven_proposal_is_read_approved_and_taken_back_by_clicks(opened: Open, folder: Path) -> None:
    book = opened(written(folder, "proposals.ipynb", PROVEN, STATE))
    book.run_all()
    panel = book.cell("twin.panel").locator(".jp-OutputArea-output")
    for told in ("Name two risks of each plan.", "right routes", "What got worse", "40 items"):
        expect(panel).to_contain_text(told)
    book.shot("proposal-review", panel)
    panel.get_by_role("button", name="Approve").click()
    expect(panel).to_contain_text(re.compile(r"Version \w+ is in force\."))
    book.shot("proposal-approved", panel)
    book.run_again("twin.archive.proposal")
    expect(book.cell("twin.archive.proposal")).to_contain_text("applied True")
    panel.get_by_role("button", name="Take it back").click()
    expect(panel.get_by_role("button", name="Take it back")).to_have_count(0)
    book.run_again("twin.archive.proposal")
    expect(book.cell("twin.archive.proposal")).to_contain_text("rolled back False")


def test_every_panel_draws_itself(opened: Open, folder: Path) -> None:
    """Their pictures are kept, to be looked at."""
    book = opened(written(folder, "panels.ipynb", OPENED, *(f'twin.panel("{name}")' for name in PANELS)))
    book.run_all()
    expect(book.errors).to_have_count(0)
    for name in PANELS:
        panel = book.cell(f'twin.panel("{name}")').locator(".jp-OutputArea-output")
        expect(panel.locator("button").first).to_be_visible()
        expect(panel).not_to_contain_text("Error displaying widget")
        expect(panel).not_to_contain_text("The twin is at work")
        expect(panel.get_by_text("…", exact=True)).to_have_count(0)
        book.shot(f"panel-{name}", panel)
    assert book.asked_for <= {"127.0.0.1", ""}


def test_a_file_is_uploaded_and_the_question_who_one_is_answered_by_a_click(opened: Open, folder: Path) -> None:
    chat = folder / "WhatsApp Chat with Solder.txt"
    chat.write_text("14/10/2025, 21:02 - Rurik: The new iron is too hot\n"
                    "14/10/2025, 21:04 - Varvara Lind: What do you measure at the tip, and with what?\n"
                    "14/10/2025, 21:05 - Ilta: I wrote down all three\n"
                    "14/10/2025, 21:06 - Varvara Lind: Then which of the three is wrong?\n", "utf-8")
    book = opened(written(folder, "upload.ipynb", OPENED.replace('twin.import_path("sample", embed=False)', "None"),
                          'twin.panel("import")', "print(twin.start().own)"))
    book.run_all()
    panel = book.cell('twin.panel("import")').locator(".jp-OutputArea-output")
    with book.page.expect_file_chooser() as chosen:
        panel.locator(".widget-upload, .jupyter-widget-upload, button:has(.fa-upload)").first.click()
    chosen.value.set_files(chat)
    panel.get_by_role("button", name="Import").click()
    expect(panel).to_contain_text("Which of them are you?")
    book.shot("import-who", panel)
    panel.get_by_role("checkbox").first.check()  # who wrote most stands first
    panel.get_by_role("button", name="This is me").click()
    expect(panel).to_contain_text("What is in")
    expect(panel.get_by_role("button", name="Stop")).to_be_hidden()  # the vectors are made
    book.shot("import-done", panel)
    book.run_again("twin.start()")
    expect(book.cell("twin.start()").locator(".jp-OutputArea-output")).to_have_text("2")
