"""Markdown and text notes."""
from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from twin.errors import UnknownFormat
from twin.importers import Found, read
from twin.text import own_spans
from twin.types import Conversation

NOTE = """---
date: 2025-06-30
tags: [мысли]
---
Вступление без заголовка.

# Роли
Роль — это не голос, а выбор.

```python
# not a heading
x = 1
```

## Пусто

# Роли
Второй раз о том же, см. [[router|роутер]] %%потом%% ![[схема.png]]
"""


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def found(tmp_path: Path, text: str, name: str = "note.md") -> Found:
    (tmp_path / name).write_text(text, encoding="utf-8")
    (one,) = read(tmp_path / name)
    return one


def chat(one: Found) -> Conversation:
    assert one.conversation is not None
    return one.conversation


def test_each_section_is_one_own_message(tmp_path: Path, utc: None) -> None:
    one = found(tmp_path, NOTE)
    opening, first, second = chat(one).messages
    assert [said.id for said in chat(one).messages] == ["note.md#text-1", "note.md#роли-1", "note.md#роли-2"]
    assert opening.text == "Вступление без заголовка."
    assert first.text.startswith("# Роли\nРоль — это не голос")
    assert "# not a heading" in first.text
    assert second.text == "# Роли\nВторой раз о том же, см. роутер"
    assert all(said.own and said.role == "user" and "note" in said.flags for said in chat(one).messages)
    assert opening.time == datetime(2025, 6, 30, tzinfo=UTC)
    assert one.skipped == {"empty section": 1}
    assert (chat(one).source, chat(one).title) == ("markdown", "note")


def test_code_stays_in_the_text_but_out_of_the_evidence(tmp_path: Path) -> None:
    said = chat(found(tmp_path, NOTE)).messages[1]
    assert "x = 1" in said.text
    assert not any("x = 1" in said.text[a:b] for a, b in own_spans(said.text))


def test_ids_survive_an_edit_elsewhere_and_hold_no_absolute_path(tmp_path: Path) -> None:
    before = {said.id for said in chat(found(tmp_path, NOTE)).messages}
    edited = NOTE.replace("Вступление", "# Новое\nДругое вступление")
    after = {said.id for said in chat(found(tmp_path, edited)).messages}
    assert {"note.md#роли-1", "note.md#роли-2"} <= before & after
    assert not any(str(tmp_path) in ident for ident in before | after)


@pytest.mark.parametrize(("name", "text", "day"), [
    ("2024-02-03 thoughts.md", "Мысль дня", 3), ("a.md", "---\ncreated: 2024-02-04T10:00:00Z\n---\nthought", 4),
    ("2024-02-03.md", "# 2024-02-05\nмысль", 5), ("b.txt", "no date at all", None),
])
def test_the_nearest_date_counts(tmp_path: Path, utc: None, name: str, text: str, day: int | None) -> None:
    moment = chat(found(tmp_path, text, name)).messages[0].time
    assert (moment.day if moment else None) == day


def test_a_decomposed_text_is_stored_composed_and_its_original_kept(tmp_path: Path) -> None:
    text = unicodedata.normalize("NFD", "Мой ёжик")
    said = chat(found(tmp_path, text)).messages[0]
    assert (said.text, said.raw) == ("Мой ёжик", text.encode())
    assert "repaired" in said.flags


def test_the_assistants_half_of_a_transcript_is_not_the_persons(tmp_path: Path) -> None:
    one = found(tmp_path, "## User\nWhy roles?\n\n## Assistant\nBecause of this and that.\n")
    assert [said.text for said in chat(one).messages] == ["## User\nWhy roles?"]
    assert one.skipped == {"assistant in a transcript": 1}
    assert len(chat(found(tmp_path, "## AI\nmy thoughts on it\n## Books\nmore")).messages) == 2


def test_a_chat_of_several_people_is_not_taken_for_a_note(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat, match="first line"):
        found(tmp_path, "31/12/2024, 21:41 - Ann: hello\n31/12/2024, 21:42 - Ben: hi\n", "_chat.txt")


@pytest.mark.parametrize("text", ["[[ссылка]] и мысль", "[ ] сделать", "{мысль в скобках}", "[1] сноска"])
def test_a_note_that_begins_with_a_bracket_is_no_json(tmp_path: Path, text: str) -> None:
    assert chat(found(tmp_path, text)).messages[0].text.endswith(text[-4:])


def test_a_note_read_as_mac_roman_is_repaired(tmp_path: Path) -> None:
    (tmp_path / "n.md").write_bytes("# Вопрос\nКак думает система?".encode().decode("mac_roman").encode())
    repair, one = read(tmp_path / "n.md")
    assert repair.repair is not None
    assert (chat(one).messages[0].id, chat(one).messages[0].text) == ("n.md#вопрос-1", "# Вопрос\nКак думает система?")
