"""Markdown and text notes."""
from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.importers import plain
from twin.importers.encoding import Mended, decode
from twin.importers.found import Context, Found
from twin.text import foreign_kinds, own_spans
from twin.types import Conversation, Message

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


def found(text: str, name: str = "note.md", zone: ZoneInfo | None = None, modified: datetime | None = None) -> Found:
    decoded = decode(text.encode(), name)
    assert plain.recognises(name, decoded.text)
    results = list(plain.read(name, Context(name, Mended(name, ()), zone=zone), decoded, modified))
    assert len(results) == 1
    return results[0]


def chat(one: Found) -> Conversation:
    assert one.conversation is not None, one
    return one.conversation


def test_each_section_is_one_own_message(utc: None) -> None:
    one = found(NOTE)
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


def test_code_stays_in_the_text_but_out_of_the_evidence() -> None:
    said = chat(found(NOTE)).messages[1]
    assert "x = 1" in said.text
    assert not any("x = 1" in said.text[a:b] for a, b in own_spans(said.text))


def test_ids_survive_an_edit_elsewhere() -> None:
    before = {said.id for said in chat(found(NOTE)).messages}
    edited = NOTE.replace("Вступление", "# Новое\nДругое вступление")
    after = {said.id for said in chat(found(edited)).messages}
    assert {"note.md#роли-1", "note.md#роли-2"} <= before & after


@pytest.mark.parametrize(("name", "text", "day"), [
    ("2024-02-03 thoughts.md", "Мысль дня", 3), ("a.md", "---\ncreated: 2024-02-04T10:00:00Z\n---\nthought", 4),
    ("2024-02-03.md", "# 2024-02-05\nмысль", 5), ("b.txt", "no date at all", None),
])
def test_the_nearest_date_counts(utc: None, name: str, text: str, day: int | None) -> None:
    moment = chat(found(text, name)).messages[0].time
    assert (moment.day if moment else None) == day


def test_a_decomposed_text_is_stored_composed_and_its_original_kept() -> None:
    text = unicodedata.normalize("NFD", "Мой ёжик")
    said = chat(found(text)).messages[0]
    assert (said.text, said.raw) == ("Мой ёжик", text.encode())
    assert "repaired" in said.flags


def test_the_assistants_half_of_a_transcript_is_not_the_persons() -> None:
    one = found("## User\nWhy roles?\n\n## Assistant\nBecause of this and that.\n")
    assert [said.text for said in chat(one).messages] == ["## User\nWhy roles?"]
    assert one.skipped == {"assistant in a transcript": 1}
    assert len(chat(found("## AI\nmy thoughts on it\n## Books\nmore")).messages) == 2


def test_a_chat_of_several_people_is_not_taken_for_a_note() -> None:
    assert not plain.recognises("_chat.txt", "31/12/2024, 21:41 - Ann: hello\n31/12/2024, 21:42 - Ben: hi\n")


def test_a_note_read_as_mac_roman_is_repaired() -> None:
    one = found("# Вопрос\nКак думает система?".encode().decode("mac_roman"), "n.md")
    said = chat(one).messages[0]
    assert (said.id, said.text) == ("n.md#вопрос-1", "# Вопрос\nКак думает система?")
    assert "repaired" in said.flags


DIARY = """---
title: Дождь
tags: [дневник, погода]
---
# 5 марта 2024
## Утро
Шёл дождь, я читал [[Пруст|Пруста]] и `[[код]]`. %%не забыть
позвонить%% ![[фото.png]] ![alt](a.png)

> [!idea] Мысль
> Дождь похож на ожидание.
> > так писал он

> [!quote] Пруст
> Чужая строка.

```dataview
table file.name
```
## Вечер
```python
%%time
x = [[1]]
```
Спал.
# Без даты
Потом.
"""


def test_a_vault_note_reads_as_obsidian_shows_it() -> None:
    """The golden note: dates go down the headings, marks go, the person's own callouts are words, quotes are not."""
    day = datetime(2024, 3, 4, 21, tzinfo=UTC)
    one = found(DIARY, "2023-01-02 дождь.md", ZoneInfo("Europe/Moscow"))
    morning, evening, later = chat(one).messages
    assert chat(one).title == "Дождь"
    assert morning == Message(
        "2023-01-02 дождь.md#утро-1", "user",
        "## Утро\nШёл дождь, я читал Пруста и `[[код]]`.   \n\nМысль\nДождь похож на ожидание.\n> так писал он\n\n"
        "> [!quote] Пруст\n> Чужая строка.", None, day, True, ("note", "local_time"), morning.raw)
    assert foreign_kinds(morning.text) == ("quoted",)
    assert (evening.id, evening.text, evening.time) == (
        "2023-01-02 дождь.md#вечер-1", "## Вечер\n```python\n%%time\nx = [[1]]\n```\nСпал.", day)
    assert (later.id, later.time) == ("2023-01-02 дождь.md#без-даты-1", datetime(2023, 1, 1, 21, tzinfo=UTC))
    assert one.skipped == {"empty section": 1}


@pytest.mark.parametrize(("name", "text"), [
    ("20240205.md", "x"), ("202402051330 мысль.md", "x"), ("05.02.2024.md", "x"), ("5.2.2024 мысль.txt", "x"),
    ("2024_02_05.md", "x"), ("February 5, 2024.md", "x"), ("5 февраля 2024.md", "x"), ("daily/2024-02-05.md", "x"),
    ("a.md", "---\ndate: 05.02.2024\n---\nx"), ("a.md", "---\ndate created: 2024-02-05\n---\nx"),
    ("2020-01-01.md", "# 5 Feb 2024\nx"), ("a.md", "## 05.02.2024\nx"), ("a.md", "# 5 мая 20 2024-02-05\nx"),
    ("2020-01-01.md", "---\ncreated: 2024-02-05\n---\nx"),
])
def test_dates_stand_in_many_places(name: str, text: str) -> None:
    said = chat(found(text, name, ZoneInfo("UTC"))).messages[0]
    assert (said.time, said.flags) == (datetime(2024, 2, 5, tzinfo=UTC), ("note", "local_time"))


def test_the_time_of_the_file_counts_only_where_nothing_else_is_told() -> None:
    """It changes with every copy and sync, so it says of itself that it is no more than a guess."""
    copied = datetime(2024, 5, 6, 7, 8, tzinfo=UTC)
    assert chat(found("x", modified=copied)).messages[0] == Message(
        "note.md#text-1", "user", "x", None, copied, True, ("note", "file_time"))
    dated, other = chat(found("# 2024-02-05\nx\n# b\ny", zone=ZoneInfo("UTC"), modified=copied)).messages
    assert (dated.time, dated.flags) == (datetime(2024, 2, 5, tzinfo=UTC), ("note", "local_time"))
    assert (other.time, other.flags) == (copied, ("note", "file_time"))
    assert chat(found("x", "2024-02-05.md", modified=copied)).messages[0].flags == ("note", "local_time")


@pytest.mark.parametrize("name", ["20241399.md", "2024-13-01.md", "31.02.2024.md", "tel 20245551234.md", "v2024.05.md",
                                  "1.2.3.2024.md", "5 foo 2024.md"])
def test_a_number_that_is_no_day_is_no_date(name: str) -> None:
    assert chat(found("x", name)).messages[0].time is None


@pytest.mark.parametrize(("name", "text", "reason"), [
    ("Templates/day.md", "# Day\nHow was it?", "template"), ("a/Шаблоны/день.md", "# День", "template"),
    ("day.md", "# {{date}}\nHow was it?", "template"), ("day.md", "# <% tp.date.now() %>\nHow", "template"),
    ("a.excalidraw.md", "---\nexcalidraw-plugin: parsed\n---\nText elements", "drawing"),
    ("a.md", "---\ntags: [clippings]\n---\nSomebody's article", "clipping"),
    ("a.md", "---\ntags: readwise, books\n---\nSomebody's article", "clipping"),
    ("a.md", "---\nsource: https://example.org/a\npublished: 2024-01-01\n---\nSomebody's article", "clipping"),
])
def test_what_the_person_did_not_write_is_skipped_with_its_reason(name: str, text: str, reason: str) -> None:
    assert found(text, name) == Found(name, skipped={reason: 1})


@pytest.mark.parametrize("text", [
    "In Jinja I write `{{ date }}` all day.", "```\n{{date}}\n```\nthat is how", "---\nsource: my head\n---\nA thought",
    "---\ntags: [clip, book]\n---\nA thought", "---\nsource: https://example.org\n---\nMy view", "a {{name}} b",
])
def test_notes_about_templates_and_links_are_notes(text: str) -> None:
    assert len(chat(found(text)).messages) == 1


def test_aliases_name_a_note_without_a_title() -> None:
    assert chat(found("---\naliases: [Rain, Water]\n---\nx")).title == "Rain"
    assert chat(found("---\naliases: Rain\n---\nx")).title == "Rain"


@given(st.text(st.sampled_from("ab `[]|!%>\n#~я(") | st.characters(codec="utf-8"), max_size=80))
def test_any_note_is_read_and_what_is_shown_is_no_longer(text: str) -> None:
    shown = plain.as_shown(text)
    assert len(shown) <= len(text)
    decoded = decode(f"x{text}".encode(), "n.md")
    for one in plain.read("n.md", Context("n.md", Mended("n.md", ())), decoded):
        assert one.conversation or one.skipped


@pytest.mark.parametrize("unit", ["![", "[[", "[[a|", "%%", "`", "```\n", "> [!a]\n", "{{date", "> ", "![](", "\n"])
def test_a_megabyte_of_marks_takes_a_moment(unit: str) -> None:
    text = (unit * (1_000_000 // len(unit)))[:1_000_000]
    began = time.process_time()
    plain.as_shown(text)
    assert time.process_time() - began < 2.0
