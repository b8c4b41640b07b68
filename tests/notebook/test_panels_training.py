"""The training's panel: the cost told before, a curve while it goes, stop and go on, adapters on, off and measured."""
from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets as widgets
import pytest

from tests.notebook.on_screen import button, kinds, names, opened, press, seen, until, whole
from tests.test_apprentice import FEW, MINE, Core, played, talk
from tests.test_apprentice import core as core
from tests.test_apprentice import play as play
from twin import training
from twin.chat import Twin
from twin.errors import UsageError
from twin.likeness import Table
from twin.likeness.report import Gate
from twin.likening import Likeness
from twin.notebook.pace import Pace
from twin.notebook.panels import panel
from twin.notebook.panels.adapters import likeness_page
from twin.notebook.panels.training import Training, _Watch
from twin.training.steps import Step
from twin.words import Words


@pytest.fixture
def twin(own_home: Path, core: Path) -> Iterator[Twin]:
    """A twin of 276 own messages; its core is a script."""
    with opened(own_home, Core(core)) as made:
        made.add(talk(MINE, 46))
        yield made


@pytest.fixture
def shown(twin: Twin, play: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Training:
    """A panel whose plans cost what is said here, and whose trainings are played."""
    plain = training.plan

    def plan(*given: Any, **how: Any) -> Any:
        return SimpleNamespace(**vars(plain(*given, **how)), seconds=600.0, memory_bytes=3 * 10**9,
                               free_bytes=8 * 10**9, disk_bytes=50 * 10**6)

    monkeypatch.setattr(training, "plan", plan)
    made = panel(twin, "training")
    assert isinstance(made, Training)
    return made


def test_what_it_would_cost_is_told_before_and_nothing_is_learned(shown: Training, play: list[Any]) -> None:
    press(shown, "What would it cost?")
    text = seen(shown.view)
    assert "About 10 min for all steps, at most 3.0 GB of memory (8.0 free now), 50 MB on the disk." in text
    assert "2,112 words in 192 samples to learn; 28 later ones tell when to stop." in text
    assert "alora, rank 8; at most 100 steps of 8 samples." in text
    assert play == [] and shown.twin.adapters() == []


def test_the_fields_say_what_is_learned(shown: Training) -> None:
    role, source, kind = kinds(shown.view, widgets.Dropdown)[:3]
    assert [name for _, name in role.options] == list(shown.twin.role_map.ids)
    role.value, source.value, kind.value = "scribe", "scope", "lora"
    kinds(shown.view, widgets.BoundedIntText)[0].value = 7
    press(shown, "What would it cost?")
    assert shown.planned is not None
    assert (shown.planned.role.id, shown.planned.source, shown.planned.settings.steps) == ("scribe", "scope", 7)
    assert shown.planned.shape.kind == "lora"


def test_a_training_draws_a_curve_and_ends_with_an_adapter_that_is_off(shown: Training) -> None:
    press(shown, "Train")
    text = seen(shown.view)
    assert shown.kept is not None and shown.kept.on is None
    assert f"Learned: {shown.kept.sha256[:12]}" in text
    assert "5.000 → 4.500 bits a character (+0.500 saved)" in text
    assert "Step 2 of 100" in text and "4.500 bits a character" in text and "at most 60 s left" in text
    assert shown._live.value.count("<svg") == 2
    assert "Not measured yet" in text and "off" in text
    whole(shown.view)


def test_the_curve_is_one_value_a_few_times_a_second_and_its_last_state_arrives(shown: Training) -> None:
    drawn: list[str] = []
    watch = _Watch(shown, 500)
    watch._pace = Pace(drawn.append, seconds=math.inf)
    for step in range(500):
        watch(Step(step, 3 - step / 500, 5 - step / 250 if step % 50 == 0 else None, .001, None))
    assert len(drawn) == 1
    watch.end()
    assert len(drawn) == 2 and "Step 499 of 500" in drawn[-1]


def test_a_stopped_training_keeps_the_best_so_far_and_goes_on_the_next_time(
        shown: Training, play: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def train(planned: Any, folder: Path, **how: Any) -> Any:
        asked.append((folder, how["fresh"]))
        if len(asked) == 1:
            shown.gate.stop()
        return played(planned, folder, len(asked))

    monkeypatch.setattr(training, "train", train)
    shown.train()
    assert "Stopped; the best so far is kept." in seen(shown.view)
    shown.train()
    assert "Stopped" not in seen(shown.view)
    assert asked[0] == asked[1] == (asked[0][0], False), "the same folder, with its checkpoints"
    shown._fresh.value = True
    shown.train(steps=7)
    assert asked[2][1] is True and asked[2][0] != asked[0][0]


def test_an_adapter_that_was_not_measured_is_on_by_the_second_click_only(shown: Training) -> None:
    twin, kept = shown.twin, shown.train("critic", **FEW)
    assert kept is not None
    press(shown, "Switch it on")
    assert twin.role_map.role("critic").adapter is None
    press(shown, "Not measured; on all the same?")
    assert twin.role_map.role("critic").adapter.sha256 == kept.sha256  # type: ignore[union-attr]
    assert "on: critic" in seen(shown.view)
    press(shown, "Switch it off")
    assert twin.role_map.role("critic").adapter is None
    with pytest.raises(UsageError, match="not measured yet"):
        shown.switch("critic")
    assert shown.switch("critic", anyway=True).adapter == kept.sha256


def test_too_few_words_are_said_and_nothing_is_begun(own_home: Path, core: Path) -> None:
    with opened(own_home, Core(core)) as poor:
        made = panel(poor, "training")
        press(made, "Train")
        assert "own words" in seen(made.view)
        assert made.kept is None
        assert button(made.view, "Train").button_style == "primary"


def likeness(twin: Twin, **how: Any) -> Likeness:
    table = Table("bits").put("base", "bits/char", 2.5).put("own adapter", "bits/char", 2.25).put(
        "own adapter", "<b>new</b>", float("nan"))
    gate = Gate(False, ("own?",), {"en": "Off: it was not measured.", "ru": "Выключен: не измерено."})
    return Likeness(table, gate, "a" * 64, "critic", False, twin.home.root, ("<i>No words</i> of another person.",))


def test_how_like_the_person_it_is_stands_as_a_table_with_the_verdict(
        shown: Training, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def measured(self: Twin, role: str, **how: Any) -> Likeness:
        asked.append({"role": role, "other": how["other"], "quick": how["quick"]})
        return likeness(self)

    shown.train("critic", **FEW)
    monkeypatch.setattr(Twin, "likeness", measured)
    fold = next(one for one in kinds(shown.adapters.view, widgets.Accordion) if one.titles == ("Is it like you?",))
    fold.selected_index = 0
    kinds(fold, widgets.Text)[0].value = str(tmp_path)
    press(shown, "Measure")
    assert asked == [{"role": "critic", "other": str(tmp_path), "quick": False}]
    text = seen(shown.view)
    assert "Off: it was not measured." in text and "your adapter" in text and "2.250" in text
    assert "<i>No words</i> of another person." in text
    whole(shown.view)


def test_in_russian_the_table_and_the_cost_are_russian(shown: Training) -> None:
    twin = shown.twin
    text = "".join(likeness_page(likeness(twin), Words("twin.notebook", "ru")))
    assert "Выключен: не измерено." in text and "ваш адаптер" in text and "бит на символ" in text
    twin.language = "ru"
    made = panel(twin, "training")
    press(made, "Чего это стоит?")
    assert "Около 10 мин на все шаги" in seen(made.view)
    assert "Обучить" in names(made.view)


def test_a_real_training_runs_from_the_panel(own_home: Path, core: Path) -> None:
    """Real torch on a tiny random core; the core frees itself and comes back."""
    with opened(own_home) as lent:
        lent.add(talk(MINE, 46))
    with Twin.open(own_home, model=str(core), n_ctx=2048) as twin:
        twin.language = "en"
        made = panel(twin, "training")
        kept = made.train("critic", **FEW)
        assert kept is not None and kept.steps == 2
        until(lambda: not made.gate.locked())
        assert "Step 2 of 2" in seen(made.view) and made._live.value.count("<svg") == 2
        assert "About" in seen(made._cost)
