"""What faces say of answers and roles: in the language of the face, with the ways that the face has."""
from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from twin import feedback
from twin.chat import Twin
from twin.consent import Trial
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.words import error


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "home", engine=ScriptedEngine(lambda _: "So be it.")) as opened:
        yield opened


def test_the_language_is_that_of_the_face_whatever_the_question_was_in(twin: Twin) -> None:
    russian, english = twin.ask("Когда сеять горох?"), twin.ask("When do I sow peas?")
    twin.language = "en"
    assert feedback.rate(twin, russian, good=True) == "Noted: a good answer."
    twin.language = "ru"
    assert feedback.rate(twin, english, good=False) == "Отмечено: неудачный ответ."
    assert feedback.edit(twin, english, "In April.").startswith("Ваш вариант сохранён")
    assert feedback.again(twin, english)[1].startswith("Вопрос задан снова")
    assert feedback.no_trial(twin) == "Сейчас ничего не на пробе."


def test_an_unchanged_or_empty_version_is_no_edit(twin: Twin) -> None:
    turn = twin.ask("When do I sow peas?")
    for own in ("", "  ", "So be it."):
        with pytest.raises(UsageError) as raised:
            feedback.edit(twin, turn, own)
        assert error(raised.value, "ru").endswith("Измените ответ так, как вы хотели бы.")


@pytest.mark.parametrize(("language", "see", "end"), [("en", "See the screen.", "Take it back: click."),
                                                      ("ru", "Посмотреть: the screen.", "Вернуть как было: click.")])
def test_a_face_says_how_a_proposal_is_seen_and_a_trial_ended_there(
        twin: Twin, monkeypatch: pytest.MonkeyPatch, language: str, see: str, end: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    monkeypatch.setattr(Twin, "proposals_waiting", lambda _: 2)
    monkeypatch.setattr(Twin, "trial", lambda _: Trial("p-1", "v", 50, now, now + timedelta(14)))
    twin.language = language
    waits, trial = feedback.news(twin, "click", see="the screen")

    assert waits.endswith(see)
    assert "p-1" in trial and trial.endswith(end)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_face_says_how_one_decides_or_looks_for_something_there(
        twin: Twin, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    twin.language = language
    assert "press L" in feedback.proposals(twin, "click", look="press L")
    proposal: Any = SimpleNamespace(id="p-1", say=lambda said: f"a change ({said})")
    monkeypatch.setattr(Twin, "proposals", lambda _: [SimpleNamespace(state="accepted", proposal=proposal)])
    first, last = feedback.proposals(twin, "click", decide="press D").split("\n")

    assert first.startswith("p-1") and first.endswith(f"a change ({language})")
    assert "press D" in last and "twin " not in last


def test_nothing_on_trial_is_no_trial_to_take_back(twin: Twin) -> None:
    with pytest.raises(UsageError) as raised:
        feedback.take_back(twin)
    assert error(raised.value, "ru").startswith("Сейчас ничего не на пробе.")
