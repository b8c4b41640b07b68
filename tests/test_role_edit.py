"""Edits of a role file: what is meant changes, and not a byte beside it."""
from __future__ import annotations

from typing import Any

import pytest
import yaml

from twin.role_edit import with_section, with_value

FILE = """---
id: tiny  # mine
title: {en: Tiny}
sampling:
  # cool
  temperature: 0.2 # of all
examples:
  - one # first

  # then
  - 'two'
---
# no comment

## Stance

You are tiny. <!-- so -->
Be it.

## Format
"""


def lines(text: str) -> set[str]:
    return set(text.splitlines())


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("where", "value", "gone", "come"), [
    (("sampling", "temperature"), 0.9, "  temperature: 0.2 # of all", "  temperature: 0.9 # of all"),
    (("sampling", "top_p"), 0.8, None, "  top_p: 0.8"),
    (("memory", "exclude"), ["a", "b: c"], None, "memory: {exclude: [a, 'b: c']}"),
    (("title", "ru"), "Кроха", "title: {en: Tiny}", "title: {en: Tiny, ru: Кроха}"),
    (("title", "en"), "To be, or", "title: {en: Tiny}", "title: {en: 'To be, or'}"),
    (("examples",), ["one", "two", "how: so?"], None, "  - 'how: so?'"),
    (("examples",), ["zero", "one", "two"], None, "  - zero"),
    (("examples",), ["one"], "  - 'two'", None),
    (("examples",), ["two"], "  - one # first", None),
    (("examples",), ["one", "two", "a\nb"], None, '  - "a\\nb"'),
    (("thinking",), "off", None, "thinking: off"),
])
def test_a_value_is_put_in_its_place(where: tuple[str, ...], value: Any, gone: str | None, come: str | None,
                                     ending: str, mark: str) -> None:
    text = mark + FILE.replace("\n", ending)
    after = with_value(text, where, value)
    assert lines(text) - lines(after) == ({gone} if gone else set())
    assert lines(after) - lines(text) == ({come} if come else set())
    front: Any = yaml.safe_load(after.replace(ending, "\n").split("---\n")[1])
    if value != "off":  # a word to us, false to YAML
        for key in where:
            front = front[key]
        assert front == value


def test_a_value_that_goes_takes_its_lines_along_and_no_note_of_others() -> None:
    assert with_value(FILE, ("sampling", "temperature"), None) == FILE.replace(
        "sampling:\n  # cool\n  temperature: 0.2 # of all\n", "")
    assert with_value(FILE, ("examples",), None) == FILE[:FILE.index("examples:")] + FILE[FILE.index("---\n#"):]
    assert with_value(FILE, ("nothing",), None) == FILE


def test_lines_without_a_fence_are_edited_alike() -> None:
    assert with_value("max_n: 2 # two", ("max_n",), 3, fenced=False) == "max_n: 3 # two"
    assert with_value("max_n: 2", ("depth",), 5, fenced=False) == "max_n: 2\ndepth: 5\n"
    assert with_value("members:\n- a\n- b", ("members",), ["b", "c"], fenced=False) == "members:\n- b\n- c\n"


@pytest.mark.parametrize("text", ["", "no fence", "---\n: [\n---\n", "---\n- a\n---\n", "---\nid: *a\n---\n"])
def test_what_cannot_be_edited_comes_back_as_it_was(text: str) -> None:
    assert with_value(text, ("id", "en"), "x") == text


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("key", "new", "old", "then"), [
    ("stance", "You are tiny. \nBe that.", "Be it.\n", "Be that.\n"),
    ("stance", "You are tiny. \nBe it.\nAnd more.", "Be it.\n", "Be it.\nAnd more.\n"),
    ("stance", "Be it.", "You are tiny. <!-- so -->\nBe it.\n", "Be it.\n\n<!-- so -->\n"),
    ("method", "Count.", "## Format\n", "## Method\n\nCount.\n\n## Format\n"),
    ("format", "A list.", "## Format\n", "## Format\n\nA list.\n\n"),
    ("stance", "", "## Stance\n\nYou are tiny. <!-- so -->\nBe it.\n\n", "<!-- so -->\n"),
    ("stance", "## Do\nBe it.", "You are tiny. <!-- so -->\nBe it.\n", "\\## Do\nBe it.\n\n<!-- so -->\n"),
])
def test_a_section_is_put_in_its_place(key: str, new: str, old: str, then: str, ending: str) -> None:
    after = with_section(FILE.replace("\n", ending), "en", key, new)
    assert after == FILE.replace(old, then).replace("\n", ending) != FILE


def test_a_section_at_the_end_keeps_the_file_without_a_last_line_end() -> None:
    text = FILE.rstrip("\n")
    assert with_section(text, "ru", "stance", "Ты кроха.") == f"{text}\n\n## Позиция\n\nТы кроха."
    assert with_section("no fence", "en", "do", "x") == "no fence"
