"""A core is one thing with one id: formed, named, compared, put back; what it holds are marks, never words."""
from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.facets import facets
from twin.firmware import Firmware
from twin.role_edit import with_value
from twin.types import Conversation, Message

DAY = datetime(2025, 3, 1, tzinfo=UTC)
THINGS = ("pump", "valve", "kiln", "clock", "fence", "boiler")  # a sentence that is said twice shows nothing new
RUSSIAN = ("насос", "клапан", "датчик", "котёл", "забор", "станок")
SAYS = ["Is there data on how long the {thing} lasts, and how big was the sample?",
        "I measured the {thing} at noon for a week. I prefer short answers with a table.",
        "First I drain the {thing}, then I change the seal, and only then the filter.",
        "If I replace the {thing}, how does that change the pressure behind it?",
        "Сначала разберу {russian}, потом измерю зазор. Какие данные есть об этом?",
        "Если заменить {russian}, как это изменит остальное?"]


def talks(count: int = 6) -> list[Conversation]:
    return [Conversation(f"c{n}", tuple(
        Message(f"m{n}.{k}", "user", said.format(thing=THINGS[n % 6], russian=RUSSIAN[n % 6]),
                time=DAY + timedelta(days=n, minutes=k)) for k, said in enumerate(SAYS))) for n in range(count)]


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "home", engine=ScriptedEngine(lambda _: "Yes.")) as opened:
        opened.embedder = None
        opened.memory.embedder = None
        opened.add(talks())
        yield opened


def test_the_same_state_is_the_same_core_and_any_change_is_another_one(twin: Twin) -> None:
    first = twin.form("winter")
    again = twin.form()
    assert (again.id, again.name) == (first.id, "winter")

    (twin.home.root / "constitution.md").write_text("Never guess.", "utf-8")
    second = twin.form("spring")
    twin.add([Conversation("new", (Message("n1", "user", "Why does the valve stick?"),))])
    third = twin.form()

    assert len({first.id, second.id, third.id}) == 3
    assert [core.name for core in twin.formed()] == ["winter", "spring", "twin"]


def test_a_name_can_be_given_later_and_is_found_like_an_id(twin: Twin) -> None:
    core = twin.form()
    twin.form("dawn")

    assert [one.name for one in twin.formed()] == ["dawn"]
    assert twin.archive.core("dawn").id == twin.archive.core(core.id[:6]).id == core.id
    with pytest.raises(UsageError, match="nobody"):
        twin.archive.core("nobody")


def test_a_core_holds_no_word_of_any_message(twin: Twin) -> None:
    twin.form()
    db = sqlite3.connect(twin.home.archive)
    body = db.execute("SELECT body FROM cores").fetchone()[0]
    db.close()

    said = {word for _, message in twin.archive.messages() for word in message.text.split() if len(word) > 6}
    assert len(said) > 10
    assert [word for word in said if word in body] == []


def test_it_comes_back_from_its_row_as_it_was(twin: Twin) -> None:
    core = twin.form("dawn")

    kept = twin.archive.core("dawn")

    assert kept == core
    assert Firmware.of("", core.name, core.made, core.body).id == core.id


def test_nothing_is_formed_of_nothing(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "empty", engine=ScriptedEngine(lambda _: "Yes.")) as empty:
        with pytest.raises(UsageError, match="no message here is your own"):
            empty.form()
        assert empty.formed() == []


def test_two_cores_are_compared_in_words(twin: Twin) -> None:
    before = twin.form("before")
    twin.save_role(twin.draft_role("critic", with_value(twin.role_text("critic"), ("sampling", "temperature"), 1.1)))
    (twin.home.root / "constitution.md").write_text("Never guess.", "utf-8")
    twin.add([Conversation(f"d{n}", (Message(f"d{n}", "user", "I always test twice. What is the number?"),))
              for n in range(4)])

    made = twin.compare_cores("before")

    assert not made.same
    assert any("critic" in line for line in made.roles)
    assert made.constitution == ("+Never guess.",)
    assert made.passages == 4
    assert twin.compare_cores("before", before.id).same


def test_restoring_puts_roles_and_constitution_back_byte_for_byte_and_can_be_undone(twin: Twin) -> None:
    rules = twin.home.root / "constitution.md"
    rules.write_text("Never guess.\n", "utf-8")
    before = twin.form("before")
    files = {path.name: path.read_bytes() for path in twin.home.roles.glob("*.md")}
    twin.save_role(twin.draft_role("critic", None))
    rules.unlink()
    after = twin.form("after")

    back = twin.restore_core("before")

    assert (back.now.id, back.aside.id) == (before.id, after.id)
    assert {path.name: path.read_bytes() for path in twin.home.roles.glob("*.md")} == files
    assert rules.read_text("utf-8") == "Never guess.\n"
    assert back.left == ()

    twin.restore_core("after")
    assert "critic" not in twin.role_map.ids
    assert not rules.exists()


def test_restoring_says_what_follows_from_messages_and_is_not_put_back(twin: Twin) -> None:
    twin.form("before")
    twin.add([Conversation("d", (Message("d", "user", "Why does the valve stick, and since when?"),))])

    left = " ".join(twin.restore_core("before").left)

    assert "own messages" in left
    assert "The profile is" in left


def test_what_is_forgotten_is_gone_from_a_frozen_core_too(twin: Twin) -> None:
    twin.form("before")
    whole = twin.material("before").profile
    twin.forget("c0")
    twin.forget("c1")

    left = twin.material("before").profile

    quotes = [(one.conversation, one.quote) for claim in left.claims for one in claim.evidence]
    assert whole.claims
    assert all(conversation not in ("c0", "c1") for conversation, _ in quotes)


def test_the_profile_of_a_core_is_the_profile_it_was_formed_of(twin: Twin) -> None:
    twin.decide(twin.profile().claims[0].id, "pin")
    now = twin.profile()
    twin.form("now")

    again = twin.material("now").profile

    assert [(one.id, one.text, one.confidence, one.authority, one.conflicts, "pin" in one.decided)
            for one in again.claims] == [(one.id, one.text, one.confidence, one.authority, one.conflicts,
                                          "pin" in one.decided) for one in now.claims]
    assert [one.evidence for one in again.claims] == [one.evidence for one in now.claims]
    assert twin.material("now").levels == now.levels


@pytest.mark.parametrize("language", ["en", "ru"])
def test_one_core_is_told_in_both_languages(twin: Twin, language: str) -> None:
    made = twin.material(language=language)

    assert made.firmware.id == twin.form().id
    assert [claim.text for claim in made.profile.claims] == [
        {one.id: one.text for one in twin.profile(language=language).claims}[claim.id] for claim in made.profile.claims]


def test_a_public_core_names_nobody_and_learned_nothing(twin: Twin) -> None:
    twin.add([Conversation(f"p{n}", (Message(f"p{n}", "user", f"I work at Siemens in Berlin with Maria. Round {n}?"),))
              for n in range(3)])
    role = twin.role_text("critic").replace("examples:", "examples:\n- Ask Maria Petrova from Berlin what she thinks")
    twin.save_role(twin.draft_role("critic", role))

    made = twin.material(level="public")

    told = " ".join([*(claim.text for claim in made.profile.claims),
                     *(one.quote for claim in made.profile.claims for one in claim.evidence),
                     *(text for role in made.role_map.roles for text in role.examples)])
    assert "Maria" not in told
    assert "Berlin" not in told
    assert made.adapters == {}
    assert set(made.role_map.ids) == set(twin.role_map.ids)


@pytest.mark.parametrize(("language", "way"), [("en", "You "), ("ru", "Ты ")])
def test_a_constitution_is_proposed_in_the_catalogues_words_and_taken_only_once(twin: Twin, language: str,
                                                                               way: str) -> None:
    said = twin.proposed_constitution(language)
    assert not (twin.home.root / "constitution.md").exists()
    lines = [line[2:] for line in said.split("\n") if line.startswith("- ")]
    assert lines and all(line.startswith(way) for line in lines)
    assert all(message.text not in said for _, message in twin.archive.messages())

    twin.take_constitution(said)

    assert twin.form().constitution.strip() == twin.asking.constitution == said
    with pytest.raises(UsageError, match="stands already"):
        twin.take_constitution("Another one.")
    with pytest.raises(UsageError, match="needs words"):
        twin.take_constitution(" ")


def test_what_the_person_approved_goes_before_what_is_only_sure(twin: Twin) -> None:
    known = [claim for claim in twin.profile(language="en").claims if claim.id in facets()]
    twin.decide(known[-1].id, "approve")

    lines = [line[2:] for line in twin.proposed_constitution("en").split("\n") if line.startswith("- ")]

    assert lines == [known[-1].text]


def test_a_constitution_comes_back_byte_for_byte(twin: Twin) -> None:
    rules, said = twin.home.root / "constitution.md", b"\r\n\n  Never guess.  \r\nEver.\n\n"
    rules.write_bytes(said)
    twin.form("before")
    rules.unlink()
    twin.form("after")

    twin.restore_core("before")

    assert rules.read_bytes() == said


def test_forgetting_reaches_names_constitutions_and_pins_of_frozen_cores(twin: Twin) -> None:
    twin.add([Conversation("secret", (Message("s", "user", "I never sell the zanzibarfly orchard behind the mill."),))])
    fact = next(claim.id for claim in twin.profile().claims if "zanzibarfly" in claim.text)
    twin.decide(fact, "pin")
    (twin.home.root / "constitution.md").write_text("I never sell the zanzibarfly orchard behind the mill.", "utf-8")
    core = twin.form("the zanzibarfly orchard behind the mill")
    (twin.home.root / "constitution.md").unlink()

    assert twin.forget("secret").clean

    kept = twin.archive.core(core.id)
    assert (kept.id, kept.name, kept.constitution, kept.pinned) == (core.id, "", "", ())
    assert b"zanzibarfly" not in twin.home.archive.read_bytes()


def test_a_core_is_found_by_id_before_name_and_by_a_name_as_it_was_typed(twin: Twin) -> None:
    first = twin.form("a   b")
    assert (first.name, twin.archive.core("a   b").id) == ("a b", first.id)
    (twin.home.root / "constitution.md").write_text("Never guess.", "utf-8")
    twin.form(first.id)

    assert twin.archive.core(first.id).id == first.id
    with pytest.raises(UsageError, match="at most 80"):
        twin.form("x" * 81)


def test_a_core_can_be_dropped(twin: Twin) -> None:
    core = twin.form("winter")
    assert twin.drop_core("winter").id == core.id
    assert twin.formed() == []


def test_a_name_that_one_message_tells_by_context_is_in_no_other_of_the_public_material(twin: Twin) -> None:
    twin.add([Conversation("z", (Message("z1", "user", "My colleague Zebulon Quartermain from the lab came by."),
                                 Message("z2", "user", "I live here and my name is **Thaddeus Vorobey**.")))])

    made = twin.material(level="public")

    assert made.hide("Zebulon said: ask Quartermain or thaddeus.") == "[name] said: ask [name] or [name]."


def test_roles_and_core_are_called_neutrally_where_they_would_name_somebody(twin: Twin) -> None:
    twin.add([Conversation("z", (Message("z1", "user", "My colleague Zebulon Quartermain from the lab came by."),))])
    text = twin.role_text("critic")
    twin.save_role(twin.draft_role("zebulon-voice", re.sub(r"^id: critic", "id: zebulon-voice", text, flags=re.M)))
    titled = re.sub(r"^id: critic", "id: plain-voice", text, flags=re.M)
    title = twin.role_map.role("critic").title.en
    twin.save_role(twin.draft_role("plain-voice", titled.replace(title, "Voice of Zebulon", 1)))
    (twin.home.roles / "council.yaml").write_text("members: [critic, zebulon-voice]\n", "utf-8")
    twin.form("zebulon_notes")
    ids = set(twin.role_map.ids)

    made = twin.material("zebulon_notes", level="public", role="zebulon-voice")

    assert made.name == "twin"
    assert set(made.role_map.ids) == ids - {"zebulon-voice", "plain-voice"} | {"role-1", "role-2"}
    assert made.role == "role-2" and made.role_map.council.members == ("critic", "role-2")
    assert made.role_map.role("role-1").title.en == "Voice of [name]"
