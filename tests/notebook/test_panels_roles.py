"""The roles' panel: files are read, checked while they are written, put into force by a click, and brought back."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
import pytest

from tests.notebook.on_screen import HOSTILE, button, kinds, opened, pages, press, seen, until, whole
from twin import roles
from twin.chat import Twin
from twin.errors import ProposalStale, RoleError, UsageError
from twin.notebook.panels import panel
from twin.notebook.panels.roles import Roles
from twin.roles import RoleAdapter


@pytest.fixture
def twin(own_home: Path) -> Iterator[Twin]:
    with opened(own_home) as made:
        made.role_book.ensure()
        yield made


@pytest.fixture
def shown(twin: Twin) -> Roles:
    made = panel(twin, "roles")
    assert isinstance(made, Roles)
    made.open("critic")
    return made


def with_adapter(twin: Twin) -> None:
    """The critic speaks through an adapter."""
    now = twin.role_map
    lora = RoleAdapter(sha256="a" * 64, kind="alora")
    twin.role_book.apply(replace(now, roles=tuple(
        one.model_copy(update={"adapter": lora}) if one.id == "critic" else one for one in now.roles)), "owner")


def test_the_list_has_every_role_by_its_title_and_the_field_its_file(shown: Roles) -> None:
    listed = kinds(shown.view, widgets.Select)[0]
    assert [role for _, role in listed.options] == list(shown.twin.role_map.ids)
    assert shown._text.value == (shown.twin.home.roles / "critic.md").read_text("utf-8")
    assert "Finds what breaks" in seen(shown.view)
    listed.value = "scribe"
    until(lambda: shown.role == "scribe" and "id: scribe" in shown._text.value)


def test_what_is_typed_is_checked_when_the_hand_rests_and_nothing_is_written(shown: Roles) -> None:
    before = roles.on_disk(shown.twin.home.roles)
    shown._text.value = shown._text.value.replace("never the person", "never anybody")
    until(lambda: "What saving would change" in seen(shown.view))
    drawn = "".join(one.value for one in kinds(shown._changes, widgets.HTML))
    assert "<del" in drawn and "<ins" in drawn and "anybody" in drawn
    assert not button(shown.view, "Save").disabled
    shown._text.value = shown._text.value.replace("id: critic", "id: [")
    until(lambda: "critic.md, line" in seen(shown._changes))
    assert button(shown.view, "Save").disabled
    assert roles.on_disk(shown.twin.home.roles) == before


def test_a_click_saves_with_its_note_and_the_history_brings_the_bytes_back(shown: Roles) -> None:
    before = roles.on_disk(shown.twin.home.roles)
    shown._text.value = shown._text.value.replace("never the person", "never anybody")
    shown._note.value = "kinder"
    press(shown, "Save")
    assert "never anybody" in shown.twin.role_text("critic")
    assert "is in force." in seen(shown.view)
    shown._history.children[0].selected_index = 0
    assert "kinder" in seen(shown._history) and "anybody" in seen(shown._history)
    press(shown, "Back to this")
    assert roles.on_disk(shown.twin.home.roles) == before
    assert "never the person" in shown._text.value
    assert shown._history.children[0].selected_index == 0, "what was unfolded stays so"


def test_what_was_not_saved_survives_a_look_and_goes_by_its_button(shown: Roles) -> None:
    text = shown._text.value
    shown._text.value = text + "\n<!-- mine -->\n"
    shown.refresh()
    assert shown._text.value.endswith("<!-- mine -->\n")
    press(shown, "Undo my changes")
    assert shown._text.value == text


def test_a_file_that_says_less_than_nothing_new_can_be_saved_for_its_layout(shown: Roles) -> None:
    draft = shown.check(shown._text.value + "\n<!-- mine -->\n")
    assert draft.changes == ()
    assert "Only the layout and comments are different." in seen(shown.view)
    assert not button(shown.view, "Save").disabled


def test_check_and_save_without_clicking_raise_with_line_and_reason(shown: Roles) -> None:
    with pytest.raises(RoleError, match=r"critic.md, line 1: front matter"):
        shown.save("no front matter")
    assert "front matter" in seen(shown._changes)
    made = shown.save(shown._text.value.replace("temperature: 0.4", "temperature: 0.2"), note="cooler")
    assert made.role("critic").sampling.temperature == 0.2
    assert shown.twin.role_book.history()[0].note == "cooler"


def test_a_map_that_changed_meanwhile_is_not_written_over(shown: Roles, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = shown.twin.draft_role("critic", shown._text.value.replace("0.4", "0.2"))
    shown.twin.save_role(shown.twin.draft_role("scribe", None))
    monkeypatch.setattr(Twin, "draft_role", lambda *_: draft)
    button(shown.view, "Save").disabled = False
    press(shown, "Save")
    assert "is no longer" in seen(shown.view)
    with pytest.raises(ProposalStale):
        shown.save()


def test_a_new_role_begins_with_a_file_that_reads_and_is_one_when_it_is_saved(shown: Roles) -> None:
    shown._id.value = "night-cook"
    press(shown, "Add")
    assert "id: night-cook" in shown._text.value and "Night cook" in shown._text.value
    assert "night-cook" not in shown.twin.role_map.ids
    shown.refresh()
    assert "id: night-cook" in shown._text.value, "looking again loses nothing"
    press(shown, "Save")
    assert "night-cook" in shown.twin.role_map.ids
    assert shown.role == "night-cook"
    with pytest.raises(UsageError, match="already"):
        shown.add("critic")


@pytest.mark.parametrize("name", ["", "Two Words", "../x", "<b>"])
def test_an_id_that_is_none_is_said_where_the_file_is_checked(shown: Roles, name: str) -> None:
    with pytest.raises(RoleError):
        shown.add(name)
    assert sorted(shown.twin.role_map.ids) == sorted(roles.seed().ids)
    assert shown.role == "critic" and "id: critic" in shown._text.value
    whole(shown.view)


def test_a_role_is_dropped_by_the_second_click_only(shown: Roles) -> None:
    press(shown, "Drop the role")
    assert "critic" in shown.twin.role_map.ids
    press(shown, "Drop it: click once more")
    assert "critic" not in shown.twin.role_map.ids
    assert shown.role in shown.twin.role_map.ids
    shown.rollback("1")
    assert "critic" in shown.twin.role_map.ids


def test_another_role_is_not_dropped_by_a_click_meant_for_the_one_before(shown: Roles) -> None:
    press(shown, "Drop the role")
    shown.open("scribe")
    press(shown, "Drop the role")
    assert {"critic", "scribe"} <= set(shown.twin.role_map.ids)


def test_the_scale_of_an_adapter_is_a_slider_that_is_there_only_where_one_is(twin: Twin) -> None:
    with_adapter(twin)
    shown = panel(twin, "roles")
    shown.open("scribe")
    assert kinds(shown.view, widgets.FloatSlider) == []
    shown.open("critic")
    kinds(shown.view, widgets.FloatSlider)[0].value = 0.5
    until(lambda: twin.role_map.role("critic").adapter.scale == 0.5)  # type: ignore[union-attr]
    until(lambda: not shown.gate.locked())
    shown.scale(1.5)
    assert kinds(shown.view, widgets.FloatSlider)[0].value == 1.5
    press(shown, "Speak without it")
    assert twin.role_map.role("critic").adapter is None
    assert kinds(shown.view, widgets.FloatSlider) == []


def test_a_broken_hand_edit_is_said_and_the_map_before_it_is_shown(twin: Twin) -> None:
    (twin.home.roles / "critic.md").write_text("---\nid: [\n---\n", "utf-8")
    shown = panel(twin, "roles")
    assert "critic.md" in seen(shown.view)
    whole(shown.view)


def test_in_russian_titles_and_changes_are_russian(twin: Twin) -> None:
    twin.language = "ru"
    shown = panel(twin, "roles")
    shown.open("critic")
    assert "Критик" in [title for title, _ in kinds(shown.view, widgets.Select)[0].options]
    shown.check(shown._text.value.replace("temperature: 0.4", "temperature: 0.2"))
    assert "Что изменит сохранение" in seen(shown.view)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_role_files_make_no_element(shown: Roles, text: str) -> None:
    plain = text.replace("\x1b", "").replace("\u202e", "")
    file = roles.seed().role("critic").model_copy(update={"examples": (f"Is {plain} sound?",)}).to_markdown()
    made = shown.save(file.replace("never the person", f"never {text}"), note=text)
    assert made.role("critic").examples
    shown._history.children[0].selected_index = 0
    whole(shown.view)
    with pytest.raises(RoleError):
        shown.save(f"---\nid: {text}\n")
    whole(shown.view)
    assert any("never" in page.text for page in pages(shown._history))
