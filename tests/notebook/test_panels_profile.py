"""The profile's panel: what is shown, its quotes, the person's last word, versions - on the sample's messages."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import ipywidgets as widgets
import pytest

from tests.conftest import SAMPLE
from tests.notebook.on_screen import HOSTILE, Page, button, kinds, names, opened, pages, press, seen, whole
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.notebook.panels import panel
from twin.notebook.panels.claims import FIRST
from twin.notebook.panels.profile import ProfilePanel
from twin.position import TYPICAL
from twin.types import Conversation, Message


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("lived") / "home"
    with opened(home) as twin:
        twin.import_path(SAMPLE, embed=False)
    return home


@pytest.fixture
def twin(lived: Path, own_home: Path) -> Iterator[Twin]:
    shutil.copytree(lived, own_home)
    with opened(own_home, ScriptedEngine(lambda _: "No.")) as made:
        yield made


@pytest.fixture
def shown(twin: Twin) -> ProfilePanel:
    made = panel(twin, "profile")
    assert isinstance(made, ProfilePanel)
    return made


def first(shown: ProfilePanel) -> str:
    return shown.made.claims[0].id


def test_the_headline_and_the_seven_levels_with_own_questions_are_shown(shown: ProfilePanel) -> None:
    text = seen(shown.view)
    assert "Position: " in text
    assert "own messages: " in text
    table = Page(kinds(shown._levels, widgets.HTML)[0].value)
    assert "tr" in table.tags
    assert all(typical in table.text for typical in TYPICAL["en"])
    assert "The deepest questions" in text


def test_pictures_are_drawn_when_their_tab_is_opened_and_once(shown: ProfilePanel) -> None:
    def images() -> list[widgets.Image]:
        return kinds(shown.view, widgets.Image)

    assert len(images()) == 1
    for tab in (2, 1, 2, 0, 3):
        shown._tabs.selected_index = tab
    assert len(images()) == 3
    assert all(bytes(one.value).startswith(b"<?xml") and one.format == "svg+xml" for one in images())


def test_claims_stand_with_their_quotes_folded_and_the_rest_behind_a_button(shown: ProfilePanel) -> None:
    text = seen(shown.claims.view)
    parts = [claim for claim in shown.made.claims if claim.part == 0]
    assert all(claim.text in text for claim in parts[:FIRST])
    assert "quotes" in text
    details = [page for page in pages(shown.claims.view) if "details" in page.tags]
    assert details
    before = len(kinds(shown.claims.view, widgets.Button))
    more = [one for one in kinds(shown.claims.view, widgets.Button) if one.icon == "chevron-down"]
    assert more
    more[0].click()
    assert len(kinds(shown.claims.view, widgets.Button)) > before


def test_a_claim_is_approved_and_taken_back_by_clicks(shown: ProfilePanel) -> None:
    twin, claim = shown.twin, first(shown)
    press(shown, "Yes, this is so")
    assert [(one.claim, one.action) for one in twin.archive.decisions()] == [(claim, "approve")]
    assert "approved" in seen(shown.claims.view)
    press(shown, "Take your last decision back")
    assert [one.action for one in twin.archive.decisions()] == ["approve", "undo"]


def test_a_rejected_claim_is_gone_and_stays_gone(shown: ProfilePanel) -> None:
    claim, text = first(shown), shown.made.claims[0].text
    press(shown, "No; never say it again")
    assert shown.made.claim(claim) is None
    assert text not in seen(shown.claims.view)
    shown.refresh()
    assert shown.made.claim(claim) is None


def test_a_claim_is_worded_anew_in_a_field_below_it(shown: ProfilePanel) -> None:
    claim = first(shown)
    button(shown.claims.view, "Say it in your own words").click()
    field = kinds(shown.claims.view, widgets.Textarea)[0]
    field.value = "I measure <b>first</b>."
    press(shown, "Keep it")
    assert shown.made.claim(claim).text == "I measure <b>first</b>."  # type: ignore[union-attr]
    assert "I measure <b>first</b>." in seen(shown.claims.view)
    assert kinds(shown.claims.view, widgets.Textarea) == []
    whole(shown.view)


def test_the_field_goes_by_the_button_that_brought_it(shown: ProfilePanel) -> None:
    for fields in (1, 0):
        button(shown.claims.view, "Say it in your own words").click()
        assert len(kinds(shown.claims.view, widgets.Textarea)) == fields


def test_quotes_are_shown_in_their_context(shown: ProfilePanel) -> None:
    claim = first(shown)
    found = shown.why(claim)
    below = seen(shown.claims._below[claim])
    assert found.shown
    assert all(one.quote in below and one.mark.message in below for one in found.shown if one.message)
    press(shown, "See the quotes in their context")
    with pytest.raises(UsageError):
        shown.why("no such claim")


def test_every_decision_has_a_method(shown: ProfilePanel) -> None:
    claims = [claim.id for claim in shown.made.claims[:4]]
    shown.approve(claims[0])
    shown.pin(claims[1])
    shown.edit(claims[2], "In my own words.")
    shown.reject(claims[3])
    shown.undo(claims[3])
    assert [one.action for one in shown.twin.archive.decisions()] == ["approve", "pin", "edit", "reject", "undo"]
    assert all(word in seen(shown.claims.view) for word in ("approved", "pinned", "in your words"))


def test_every_quote_is_checked_by_a_click(shown: ProfilePanel) -> None:
    press(shown, "Check every quote")
    assert "all stand as they were kept" in seen(shown._versions)


def test_versions_are_compared_once_there_are_two(shown: ProfilePanel) -> None:
    assert "There is one version so far" in seen(shown._versions)
    with pytest.raises(UsageError, match="nothing to compare"):
        shown.diff()
    claim, text = first(shown), shown.made.claims[0].text
    shown.reject(claim)
    press(shown, "Compare")
    assert "Gone" in seen(shown._different) and text in seen(shown._different)
    assert [one.id for one in shown.diff().went] == [claim]


def test_the_core_reads_more_and_can_be_stopped(shown: ProfilePanel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, bool]] = []
    real = Twin.profile

    def profile(self: Twin, **how: object) -> object:
        if "cancel" in how:
            asked.append((how["read"], how["cancel"]()))  # type: ignore[operator, arg-type]
            return None
        return real(self, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Twin, "profile", profile)
    shown.read(5)
    press(shown, "Let the core read 200 messages")
    assert asked == [(5, False), (200, False)]


def test_in_russian_the_whole_profile_is_russian(twin: Twin) -> None:
    twin.language = "ru"
    made = panel(twin, "profile")
    assert "Позиция: " in seen(made.view)
    assert {"Уровни", "Утверждения", "Во времени", "Версии"} <= set(made._tabs.titles)
    assert "Да, это так" in names(made.view)
    assert made.made.language == "ru"


def test_without_own_messages_the_panel_says_that_there_is_nothing(own_home: Path) -> None:
    with opened(own_home) as empty:
        made = panel(empty, "profile")
        assert "Nothing yet." in seen(made.view)
        assert all(isinstance(bytes(one.value), bytes) for one in kinds(made.view, widgets.Image))
        whole(made.view)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_messages_make_no_element_and_stay_readable(own_home: Path, text: str) -> None:
    said = [f"I always check {text} first.", f"Why does {text} drift by two hectopascals?", f"I want {text} compared."]
    with opened(own_home) as made:
        made.add([Conversation(f"c{n}", tuple(Message(f"m{at}", "user", one) for at, one in enumerate(said)))
                  for n in range(3)])
        shown = panel(made, "profile")
        for claim in shown.made.claims[:3]:
            shown.why(claim.id)
        for tab in range(4):
            shown._tabs.selected_index = tab
        whole(shown.view)
        assert any("hectopascals" in page.text for page in pages(shown.view))
