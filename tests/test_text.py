"""Words, sentences and languages, in Russian and English."""
from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin import text


@pytest.mark.parametrize(("said", "language"), [
    ("Как подключить LoRA к Qwen через llama.cpp?", "ru"), ("How do I bake bread?", "en"), ("12 + 30 = ?", "und"),
    ("Explain слово to me, please, in a few plain English words", "en"), ("", "und")])
def test_the_language_is_told_by_script_even_among_foreign_terms(said: str, language: str) -> None:
    assert text.language(said) == language


@pytest.mark.parametrize("said", [
    "Як підключити цю модель до мого комп'ютера?", "Добры дзень, як ў вас справы", "Қалай қосамын",
    "Wie kann ich das Brot backen?", "Guten Tag, ich habe eine Frage", "Grüße aus München",
    "Comment est-ce que je peux faire du pain", "¿Cómo puedo hacer pan con las manos?", "Non so che pane è"])
def test_another_language_is_not_taken_for_russian_or_english(said: str) -> None:
    assert text.language(said) == "und"


@pytest.mark.parametrize(("said", "language"), [
    ("Мой друг уехал в Київ, и я скучаю по нему каждый день", "ru"), ("въезд, объект, съёмка", "ru"),
    ("I met Zoë Müller in a café in São Paulo", "en"), ("Hi Müller", "en"), ("a naïve résumé", "en"),
    ("The sign said: das ist nicht für dich, and I did not understand it", "en"), ("el niño is what it is", "en"),
    ("Что значит das ist nicht für dich?", "ru"), ("print hello world", "en")])
def test_names_and_quotations_do_not_change_the_language(said: str, language: str) -> None:
    assert text.language(said) == language


@pytest.mark.parametrize(("one", "other"), [
    ("машина", "машины"), ("вопросы", "вопросами"), ("ёлка", "елка"), ("running", "runs"), ("Questions", "question")])
def test_forms_of_a_word_share_a_stem(one: str, other: str) -> None:
    assert text.stems(one) == text.stems(other)


def test_quoted_lines_and_code_are_not_ones_own_words() -> None:
    said = "My question:\n> he wrote this\n```python\nprint('what?')\n```\nWhy does it print?"

    own = "".join(said[a:b] for a, b in text.own_spans(said))

    assert "My question" in own
    assert "Why does it print?" in own
    assert "he wrote" not in own
    assert "print('" not in own


def test_a_message_copied_from_another_chat_is_not_ones_own() -> None:
    said = "Что он имеет в виду?\nКостя, [14.09.2025 21:40]\nЯ никогда не ошибаюсь.\n\nИ всегда прав."

    assert "".join(said[a:b] for a, b in text.own_spans(said)).strip() == "Что он имеет в виду?"


def test_an_open_fence_runs_to_the_end() -> None:
    assert text.own_spans("```\ncode without an end") == []


@given(st.text())
def test_spans_point_at_what_they_say(said: str) -> None:
    for a, b in [*text.sentences(said), *text.own_sentences(said)]:
        assert 0 <= a < b <= len(said)
        assert said[a:b] == said[a:b].strip()


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_clean_text_is_nfc_and_cleaning_twice_changes_nothing(said: str) -> None:
    cleaned = text.clean(said)

    assert unicodedata.is_normalized("NFC", cleaned)
    assert text.clean(cleaned) == cleaned


def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    """SQLite, LanceDB and llama.cpp all refuse it; a message must not be lost for one half of an emoji."""
    assert text.clean("a\ud83db") == "a\ufffdb"
    assert text.clean("\ud83d\ude00 да") == "\U0001f600 да"


def test_a_long_run_of_marks_costs_no_more_than_its_length() -> None:
    began = time.process_time()
    assert text.sentences("." * 200_000 + "x") == [(0, 200_001)]
    assert time.process_time() - began < 2
