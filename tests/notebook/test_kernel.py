"""Cells and magics in a real Jupyter kernel, and what a notebook that ran holds afterwards."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

BEGIN = """
import os, signal, threading, time
from twin import Twin
from twin.engine.scripted import ScriptedEngine

class Slow(ScriptedEngine):
    pressed = 0
    def stream(self, prompt, sampling, *, schema=None, cancel=lambda: False):
        for number, piece in enumerate(super().stream(prompt, sampling, schema=schema, cancel=cancel)):
            yield piece
            while self.pressed and number == 2 and not cancel():
                if self.pressed == 1:
                    self.pressed = 2
                    os.kill(os.getpid(), signal.SIGINT)  # what the stop button does
                time.sleep(0.01)

engine = Slow(lambda asked: f"The {asked.role} says <script>alert(1)</script> **so** at last.")
twin = Twin.open(engine=engine)
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookClient]:
    """One kernel for all: each takes seconds to begin."""
    folder = tmp_path_factory.mktemp("kernel")
    made = NotebookClient(nbformat.v4.new_notebook(), timeout=240, kernel_name="python3", allow_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWIN_HOME", str(folder / "home"))
        patch.setenv("TWIN_LANG", "en")
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        with made.setup_kernel():
            run(made, BEGIN)
            yield made


def run(client: NotebookClient, source: str) -> list[dict[str, Any]]:
    """Run a cell at the end of the notebook; its outputs, as they are saved."""
    cell = nbformat.v4.new_code_cell(source)
    client.nb.cells.append(cell)
    done = client.execute_cell(cell, len(client.nb.cells) - 1)
    return list(done["outputs"])


def html(outputs: list[dict[str, Any]]) -> str:
    return "".join(one["data"].get("text/html", "") for one in outputs if "data" in one)


def test_an_answer_streams_into_its_cell_and_is_saved_once(client: NotebookClient) -> None:
    outputs = run(client, "twin.ask('When do I sow peas?', 'critic')")
    assert [one["output_type"] for one in outputs] == ["display_data"]
    assert "The critic says &lt;script&gt;" in html(outputs) and "<strong>so</strong>" in html(outputs)
    assert "You asked for Critic" in html(outputs)
    assert outputs[0]["data"]["text/plain"].endswith("**so** at last.")


def test_a_turn_that_was_kept_shows_itself_in_another_cell(client: NotebookClient) -> None:
    assert len(run(client, "turn = twin.ask('And beans?', 'mentor')")) == 1
    assert html(run(client, "turn")).count("The mentor says") == 1


def test_a_turn_that_was_streamed_shows_itself_as_words_and_no_markup(client: NotebookClient) -> None:
    (outputs,) = run(client, "list(twin.stream('And leeks?', 'critic'))[-1].turn")
    assert "text/markdown" not in outputs["data"] and "<script>" not in html([outputs])
    assert "The critic says &lt;script&gt;" in html([outputs])


def test_the_stop_button_ends_the_answer_and_keeps_what_was_written(client: NotebookClient) -> None:
    outputs = run(client, "engine.pressed = 1\nturn = twin.ask('Count', 'scribe')\n"
                          "engine.pressed = 0\nprint(turn.status, '|', turn.answer)")
    assert "stopped; what was written is kept" in html(outputs)
    assert [one["text"] for one in outputs if one["output_type"] == "stream"] == [
        "interrupted | The scribe says\n"]


def test_magics_ask_and_fail_without_a_traceback(client: NotebookClient) -> None:
    assert run(client, "%load_ext twin") == []
    outputs = run(client, "%%twin critic\nWhen do I\nsow leeks?")
    assert [one["output_type"] for one in outputs] == ["display_data"] and "The critic says" in html(outputs)
    (failed,) = run(client, "%twin role wizard")
    assert failed["output_type"] == "error" and "wizard" in failed["evalue"]
    assert len(failed["traceback"]) == 1 and "Traceback" not in failed["traceback"][0]


def test_a_chat_is_a_widget_that_leaves_no_word_in_the_output(client: NotebookClient) -> None:
    outputs = run(client, "chat = twin.chat()\nturn = chat.send('A private question')\nchat")
    assert set(outputs[-1]["data"]) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert "private" not in json.dumps(outputs)


def test_with_redaction_a_saved_notebook_holds_no_word(client: NotebookClient) -> None:
    outputs = run(client, "os.environ['TWIN_NOTEBOOK_REDACT'] = '1'\nturn = twin.ask('What?')\nturn")
    assert "keeps out of this notebook" in html(outputs) and "at last" not in json.dumps(outputs)
    assert "at last" not in json.dumps(run(client, "turn\nturn"))
    run(client, "del os.environ['TWIN_NOTEBOOK_REDACT']")


def test_a_page_made_of_the_notebook_shows_the_answers(client: NotebookClient, tmp_path: Path) -> None:
    run(client, "twin.ask('When do I sow chard?', 'critic')")
    page, _ = HTMLExporter().from_notebook_node(client.nb)
    assert "The critic says &lt;script&gt;alert(1)&lt;/script&gt; <strong>so</strong>" in page
