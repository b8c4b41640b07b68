"""A core's opinion counts only where it earned it, and never by more than half a rung."""
from __future__ import annotations

import pytest

from twin.depth import rate
from twin.depth_core import MOST, CoreRater, _known
from twin.engine.scripted import ScriptedEngine
from twin.types import Prompt

LEVELS = {text: level for rows in _known().values() for level, text in rows}
OPEN = {"depth.en": 1.0, "depth.en.at": 0.0, "depth.en.slope": 1.0}
DEEP = "How does the smell of rain come about?"


def knowing(prompt: Prompt) -> str:
    """A core that knows the known questions and takes every other for a 7."""
    return str(next((level for text, level in LEVELS.items() if text in prompt.text), 7))


def contrary(prompt: Prompt) -> str:
    return str(8 - int(knowing(prompt)))


def muddled(prompt: Prompt) -> str:
    return str(1 + len(prompt.text) % 7)


def test_three_known_questions_a_level_in_each_language() -> None:
    for tongue in ("en", "ru"):
        assert sorted(level for level, _ in _known()[tongue]) == sorted([1, 2, 3, 4, 5, 6, 7] * 3)


def test_a_core_that_knows_depth_moves_the_level_less_than_half_a_rung() -> None:
    rules = rate(DEEP)
    found = CoreRater(ScriptedEngine(knowing), dict(OPEN)).adjust(DEEP, rules)
    assert 0 < found.level - rules.level <= MOST + 1e-9
    assert found.low <= found.level <= found.high
    assert found.high > rules.high, "they disagree: less sure"
    assert (found.rule, found.signals, found.tree) == (rules.rule, rules.signals, rules.tree)


def test_agreement_narrows_the_interval() -> None:
    rules = rate(DEEP)
    found = CoreRater(ScriptedEngine(lambda _: "3"), dict(OPEN)).adjust(DEEP, rules)
    assert found.high - found.low < rules.high - rules.low


def test_a_core_that_knows_the_known_questions_gets_a_say() -> None:
    gate: dict[str, float] = {}
    CoreRater(ScriptedEngine(knowing), gate).adjust(DEEP, rate(DEEP))
    assert gate["depth.en"] == 1.0
    assert gate["depth.en.slope"] == pytest.approx(1.0)
    assert "depth.ru" not in gate


@pytest.mark.parametrize("core", [contrary, muddled, lambda _: "4"])
def test_a_core_that_does_not_know_depth_changes_nothing(core: object) -> None:
    rules = rate(DEEP)
    gate: dict[str, float] = {}
    assert CoreRater(ScriptedEngine(core), gate).adjust(DEEP, rules) == rules  # type: ignore[arg-type]
    assert gate["depth.en"] == 0.0


def test_the_gate_is_asked_once() -> None:
    engine, gate = ScriptedEngine(muddled), dict[str, float]()
    rater = CoreRater(engine, gate)
    rater.adjust("Почему течёт кран?", rate("Почему течёт кран?"))
    asked = len(engine.prompts)
    assert asked == 2 * len(_known()["ru"])
    CoreRater(engine, gate).adjust("Почему скрипит дверь?", rate("Почему скрипит дверь?"))
    assert len(engine.prompts) == asked


def test_the_rubric_is_read_in_both_orders() -> None:
    engine = ScriptedEngine(lambda _: "2")
    assert CoreRater(engine, {}).opinion("Where is the salt?") == 2.0
    first, second = (prompt.text for prompt in engine.prompts)
    assert first.index("1: ") < first.index("7: ") and second.index("7: ") < second.index("1: ")
