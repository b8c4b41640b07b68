"""Answers as HTML: what is Markdown looks so, what is anything else is text."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notebook.on_screen import HOSTILE, Page
from twin.notebook.html import bar, escaped, folded, piece, table
from twin.notebook.markdown import markdown
from twin.text import clean, printable

TAGS = {"div", "p", "br", "strong", "em", "code", "pre", "s", "ul", "ol", "li", "blockquote", "hr", "table", "thead",
        "tbody", "tr", "th", "td"}
ATTRIBUTES = {"dir", "class", "style", "start"}
MARKS = st.lists(st.sampled_from([
    "<script>", "</div>", "<img src=x onerror=alert(1)>", "[a](", "javascript:alert(1)", ")", "![", "](", "](<", "\n",
    "```", "~~~", "`", "&lt;", "&#60;", "|", "-|-\n", "# ", "> ", "1. ", "<!--", "<https://a.b>",
    "[r]: data:text/html,x", "\"'", "\x00", "\u202e", "\x1b[31m", "$\\href{javascript:alert(1)}{x}$", "***", "~~",
    "    ", "words"]), max_size=30)


def test_what_models_write_looks_as_they_meant_it() -> None:
    drawn = markdown("# Plan\n\n1. **dry** the *seeds*\n2. `sow`\n\n| a | b |\n|-|-|\n| 1 | 2 |\n\n```py\nx < 1\n```")
    assert "<ol>" in drawn and "<strong>dry</strong>" in drawn and "<em>seeds</em>" in drawn
    assert "<td>2</td>" in drawn and "x &lt; 1" in drawn
    assert "<h1" not in drawn and "Plan" in Page(drawn).text, "no heading of the notebook"


def test_single_line_breaks_stay() -> None:
    assert markdown("roses\nviolets").count("<br") == 1


@pytest.mark.parametrize(("text", "shown"), [
    ("[here](https://a.example/x?y=<z>)", "here (https://a.example/x?y="), ("<https://a.example>", "https://a.example"),
    ("[**bold** one](https://a.example)", "bold one (https://a.example)"), ("![cat](https://a.example/c.png)",
     "cat (https://a.example/c.png)"), ("[x](javascript:alert(1))", "[x](javascript:alert(1))")])
def test_links_and_pictures_are_text_that_fetches_and_opens_nothing(text: str, shown: str) -> None:
    page = Page(markdown(text))
    assert shown in page.text
    assert page.text.count("https://a.example") <= 1
    assert not page.tags & {"a", "img"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answers_make_no_element_of_their_own(text: str) -> None:
    page = Page(markdown(text))
    assert page.tags <= TAGS and page.attributes <= ATTRIBUTES


@given(st.one_of(st.text(max_size=200), MARKS.map("".join)))
def test_no_text_makes_an_element_that_is_not_markdown(text: str) -> None:
    page = Page(markdown(text))
    assert page.tags <= TAGS and page.attributes <= ATTRIBUTES
    assert not {letter for letter in page.text if letter in "\x00\x1b\u202e"}


@given(st.text(max_size=200), st.sampled_from(["", "opacity:.6"]))
def test_any_text_becomes_one_block_with_exactly_that_text(text: str, style: str) -> None:
    page = Page(escaped(text, style))
    assert page.tags == {"div"}
    assert page.text == printable(clean(text))


@given(st.one_of(st.text(max_size=80), MARKS.map("".join)))
def test_titles_and_cells_of_tables_are_text(text: str) -> None:
    page = Page(folded(text, piece(text)) + table([text], [[text], [piece(text)]], ready=()))
    assert page.tags <= {"details", "summary", "div", "span", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.attributes <= {"dir", "class", "style"}


def test_a_bar_is_never_longer_than_its_ground() -> None:
    assert "width:100%" in bar(7.0) and "width:0%" in bar(-1.0) and "width:25%" in bar(0.25)
