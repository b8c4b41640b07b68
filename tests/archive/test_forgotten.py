"""What is forgotten leaves signals, proposals, proofs and genomes too; the audit stays whole, for it never held it."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.archive.test_proposals import proof, proposal
from tests.test_forgetting import OTHER, SECRET, Shelf, forget, places_of, talk, turn, type_in
from twin import forgetting, operations, roles
from twin.archive import Archive
from twin.archive.traces import MARK
from twin.home import Home
from twin.operations import AddPromptRule, AddRole, AddRoutingExample
from twin.proposals import Proposal, Sample

OWN = "Сначала осмотри третью ступеньку, потом позвони соседу."


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """A message that will be forgotten, one that stays, and a turn about neither."""
    archive = Archive(Home(tmp_path / "home"))
    archive.add([talk("c", SECRET, OTHER)])
    archive.save_turn(turn("9", "Как печь хлеб?", "Долго."), own=False)
    return archive


def asked(operation: operations.Operation, **more: Any) -> Proposal:
    return replace(proposal(**more), operation=operation)


def example(text: str) -> Proposal:
    return asked(AddRoutingExample(role="mentor", text=text))


def ids(archive: Archive) -> list[str]:
    return [one.proposal.id for one in archive.proposals()]


@pytest.mark.parametrize("state", ["open", "declined", "on trial", "applied"])
def test_a_proposal_that_asks_for_its_words_goes_with_its_proofs_and_the_audit_stays_whole(
        archive: Archive, state: Any) -> None:
    gone, stays = example(f"Скажи, {SECRET}"), example(OTHER)
    for one in (gone, stays):
        archive.save_proposal(one, note="n")
        archive.add_proof(proof(one, samples=(Sample(one.hash, "1", "2"),)))
        archive.set_state(one.id, state)
    lines, told = archive.audit(), archive.audited(gone.id)
    seen = forget(archive, "c/m1")

    assert ids(archive) == [stays.id]
    kept = archive.proposal(stays.id)
    assert (kept.proposal, kept.state, len(kept.proofs), len(kept.history)) == (stays, state, 1, 2)
    assert (archive.audit(), archive.audit_verify().ok) == (lines, True)
    assert len(told) == 3
    assert archive.audited(gone.id) == told, "that it was there is still known to who has the key of this home"
    whole = json.dumps([[one.kind, *map(str, one.ids.values())] for one in lines])
    assert not any(guess in whole for guess in (gone.hash, gone.id, gone.hash[:10])), "a guess of it is confirmed"
    assert seen.clean
    assert places_of(archive.home.root, SECRET) == []


@pytest.mark.parametrize("operation", [
    {"op": "edit_prompt_section", "role": "mentor", "language": "ru", "section": "do", "text": SECRET},
    {"op": "add_prompt_rule", "role": "mentor", "language": "ru", "section": "do", "text": SECRET},
    {"op": "remove_routing_example", "role": "mentor", "text": SECRET},
    {"op": "narrow_memory_scope", "role": "mentor", "tags": ["bread", SECRET[:50]]},
    {"op": "open_hypothesis", "claim": SECRET},
    {"op": "add_role", "id": "keeper", "title": {"ru": SECRET}, "purpose": {"ru": "Ключи."},
     "sections": {"ru": {"stance": "Ты хранишь."}}, "examples": ["один", "два", "три"]},
    {"op": "split_role", "role": "mentor", "id": "keeper", "title": {"ru": "Хранитель"}, "purpose": {"ru": SECRET},
     "sections": {"ru": {"stance": "Ты хранишь."}}, "examples": ["один", "два", "три"]},
    {"op": "split_role", "role": "mentor", "id": "keeper", "title": {"ru": "Хранитель"}, "purpose": {"ru": "Ключи."},
     "sections": {"ru": {"method": SECRET}}, "examples": ["один", "два", SECRET]}])
def test_words_are_found_in_every_field_that_may_hold_some(archive: Archive, operation: dict[str, Any]) -> None:
    archive.save_proposal(asked(operations.parse(operation)))
    forget(archive, "c/m1")

    assert archive.proposals() == []
    assert places_of(archive.home.root, SECRET) == []


def test_names_are_no_words(archive: Archive) -> None:
    """Who forgets a message about 'add_routing_example' or a role keeps the proposals of that kind."""
    archive.add([talk("d", "The evolutionist has add_routing_example and edit_prompt_section in a list.")])
    kept = [asked(AddRoutingExample(role="evolutionist", text="Why so?")), asked(AddPromptRule(
        role="evolutionist", language="en", section="method", text="Compare three."))]
    for one in kept:
        archive.save_proposal(one)
    archive.save_genome("r", {"step": 0, "version": "v", "parents": [], "origin": "miner:M1",
                              "steps": [one.operation.model_dump(mode="json") for one in kept]})
    before = archive.genomes("r")
    forget(archive, "d")

    assert ids(archive) == [one.id for one in kept]
    assert archive.genomes("r") == before


def test_reasons_notes_samples_and_genomes_lose_the_words_and_keep_the_rest(archive: Archive) -> None:
    made = replace(example(OTHER), why={"en": f"Four times: {SECRET}", "ru": OTHER})
    archive.save_proposal(made, note=f"why not: {SECRET}")
    archive.set_state(made.id, "unproven", note=f"said: {SECRET}")
    archive.add_proof(proof(made, reason={"en": f"It says {SECRET}"}, samples=(
        Sample(f"Hm: {SECRET}", "mentor", "critic"), Sample(OTHER, SECRET, f"{OTHER} {SECRET}"))))
    row = {"step": 1, "version": "v1", "parents": ["v0"], "scores": [0.5], "steps": [
        AddRoutingExample(role="mentor", text=SECRET).model_dump(mode="json")]}
    archive.save_genome("r", row)
    seen = forget(archive, "c/m1")
    kept = archive.proposal(made.id)

    assert kept.proposal == replace(made, why={"en": f"Four times: {MARK}", "ru": OTHER})
    assert (kept.note, [step.note for step in kept.history]) == (
        f"said: {MARK}", [f"why not: {MARK}", f"said: {MARK}"])
    assert [(one.about, one.before, one.after) for one in kept.proofs[0].samples] == [
        (f"Hm: {MARK}", "mentor", "critic"), (OTHER, MARK, f"{OTHER} {MARK}")]
    assert kept.proofs[0].reason == {"en": f"It says {MARK}"}
    assert archive.genomes("r") == [{**row, "steps": [
        {"op": "add_routing_example", "role": "mentor", "text": MARK}]}]
    assert seen.clean
    assert places_of(archive.home.root, SECRET) == []


def test_evidence_loses_the_ids_of_what_went(archive: Archive) -> None:
    """A turn's id, CONVERSATION/MESSAGE, and a message's id alone where no other message has it."""
    archive.add([talk("d", OTHER, "Another one.", "Third of them.")])
    type_in(archive, "7", "Где ключ?")
    made = replace(example("Why so?"), evidence=("7", "9", "c/m1", "d/m1", "m1", "m3"))
    archive.save_proposal(made)
    for target in ("9", "twin:chat/7", "c/m1", "d/m3"):
        forget(archive, target)

    assert archive.proposal(made.id).proposal == replace(made, evidence=("d/m1", "m1"))


# ---- turns -----------------------------------------------------------------------------------------------------------

def test_signals_go_with_their_turn(archive: Archive) -> None:
    type_in(archive, "1", SECRET)
    type_in(archive, "2", "И всё?")
    archive.signal("1", "thumb", 1)
    archive.signal("1", "edited", OWN)
    archive.signal("2", "thumb", -1)
    archive.signal("2", "regenerated", "1")
    seen = forget(archive, "twin:chat/1")

    assert [(one.turn, one.kind, one.body) for one in archive.signals()] == [
        ("2", "thumb", -1), ("2", "regenerated", "")]
    assert seen.clean
    assert places_of(archive.home.root, OWN) == []


def test_what_an_answer_of_the_persons_own_quotes_of_it_goes(archive: Archive) -> None:
    archive.signal("9", "edited", f"Ты сам писал: {SECRET} Пеки долго.")
    forget(archive, "c/m1")

    assert [one.body for one in archive.signals()] == [f"Ты сам писал: {MARK} Пеки долго."]
    assert places_of(archive.home.root, SECRET) == []


@pytest.mark.parametrize("own", [True, False])
def test_proofs_forget_what_a_turn_that_went_was_answered_and_how_the_person_would_have_had_it(
        archive: Archive, own: bool) -> None:
    usual, answer = "I know nothing of that from your records.", "Медный чайник стоит на верхней полке."
    archive.save_turn(turn("1", SECRET, f"{usual} {answer}"), own=own)
    archive.save_turn(turn("2", "And?", usual), own=own)
    archive.signal("1", "edited", f"{usual} {OWN}")
    made, gone = example("Why so?"), asked(AddPromptRule(role="mentor", language="ru", section="do", text=OWN))
    for one in (made, gone):
        archive.save_proposal(one)
    archive.add_proof(proof(made, samples=(Sample(f"{usual} {answer}", "1", "2"), Sample(f"{usual} {OWN}", "1", "2"))))
    seen = forget(archive, "1" if not own else "twin:chat/1")

    assert ids(archive) == [made.id]
    assert [one.about for one in archive.proposal(made.id).proofs[0].samples] == [
        f"I know nothing of that from yo{MARK}"] * 2, "a run of both goes, as everywhere"
    assert [one.answer for one in archive.turns()] == ["Долго.", usual]
    assert seen.clean
    for text in (OWN, answer):
        assert places_of(archive.home.root, text) == []


def test_the_proof_of_forgetting_looks_for_the_persons_own_answer(archive: Archive) -> None:
    """A copy in a place that nobody cleans is found: the answer they wrote is a text of theirs like the question."""
    type_in(archive, "1", "Где?")
    archive.signal("1", "edited", OWN)
    (archive.home.root / "notes.txt").write_text(OWN, "utf-8")
    seen = forget(archive, "twin:chat/1")

    assert not seen.clean
    assert [check.files for check in seen.proof if check.after] == [("notes.txt",)]


def test_a_map_of_an_earlier_day_loses_the_persons_own_answer_too(archive: Archive) -> None:
    type_in(archive, "1", "Где?")
    archive.signal("1", "edited", OWN)
    with archive.map_log() as log:
        entry = log.add({"keeper.md": f"---\nid: keeper\n---\n{OWN}\n".encode()}, "v", "proposal")
    forget(archive, "twin:chat/1")

    assert OWN.encode() not in archive.map_files(entry)["keeper.md"]
    assert places_of(archive.home.root, OWN) == []


def test_the_id_of_what_went_stands_nowhere_for_it_is_made_of_the_words(archive: Archive) -> None:
    """The id is a hash of the operation and the map: who guesses the sentence would find it confirmed."""
    made = example(SECRET)
    archive.save_proposal(made)
    archive.set_setting("reflection.shown", json.dumps({made.id: "2026-01-01", "p-0000000000": "2026-01-01"}))
    with archive.map_log() as log:
        log.add({"keeper.md": b"---\nid: keeper\n---\n"}, "v", "proposal", f"trial of {made.id}")
        log.audit(did="on_trial", proposal=made.id, before=made.base, after="a" * 64)
    forget(archive, "c/m1")

    assert [one.note for one in archive.map_entries()] == ["a proposal that was forgotten"]
    assert json.loads(archive.setting("reflection.shown") or "") == {"p-0000000000": "2026-01-01"}
    held = archive.home.archive.read_bytes()
    assert not any(name.encode() in held for name in (made.id, made.hash, made.base))
    assert archive.audit_verify().ok


# ---- role files ------------------------------------------------------------------------------------------------------

def in_force(archive: Archive, *, temperature: str = "0.6", example: str = "Чинить стул", body: str = "Ты хранишь.",
             note: str = "", author: Any = "owner") -> Path:
    """A map of one role, in the folder and the log; returns the role's file."""
    text = (f"---\nid: keeper\ntitle: {{en: Keeper}}\npurpose: {{en: Keeps}}\nsampling:\n  temperature: {temperature}\n"
            f"examples:\n- {example}\n---\n\n## Позиция\n\n{body}\n")
    files = {"keeper.md": text.encode()}
    archive.home.create()
    roles.put(files, archive.home.roles)
    with archive.map_log() as log:
        log.add(files, roles.from_files(files).version, author, note)
    return archive.home.roles / "keeper.md"


def test_a_file_that_the_twin_wrote_loses_the_words_and_the_log_goes_on(archive: Archive) -> None:
    in_force(archive)
    in_force(archive, example=f"Скажи, {SECRET}")
    file = in_force(archive, example=SECRET, note="proposal p-0123456789", author="proposal")
    names = [(one.version, one.hash) for one in archive.map_entries()]
    archive.save_turn(replace(turn("3", "Как?", "Так."), role_map=names[2][0]), own=False)
    seen = forget(archive, "c/m1")

    assert seen.clean
    assert roles.load(archive.home.roles).role("keeper").examples == ("(forgotten 1)",)
    assert places_of(archive.home.root, SECRET) == []
    last = archive.map_entries()[-1]
    assert (last.number, last.author, last.note) == (4, "owner", "what was forgotten left it")
    assert archive.map_files(last) == {"keeper.md": file.read_bytes()}
    assert last.version == roles.load(archive.home.roles).version
    left = [(one.version, one.hash) for one in archive.map_entries()]
    assert left[0] == names[0]
    told = {*sum(left, ()), *(one.role_map for one in archive.turns())}
    assert not told & {*sum(names[1:], ())}, "a guess is confirmed"
    assert archive.turns()[-1].role_map == left[2][0], "which map answered is still known"


def test_a_file_that_the_person_wrote_is_named_and_left(archive: Archive) -> None:
    file = in_force(archive, body=f"Ты хранишь. {SECRET}")
    before = file.read_bytes()
    seen = forget(archive, "c/m1")

    assert file.read_bytes() == before
    assert [check.files for check in seen.proof if check.after] == [("roles/keeper.md",)]
    assert len(archive.map_entries()) == 1
    assert SECRET.encode() not in archive.map_files(archive.map_entries()[0])["keeper.md"]


def test_an_edit_that_was_not_logged_yet_is_the_persons_too(archive: Archive) -> None:
    file = in_force(archive, note="proposal p-0123456789", author="proposal")
    file.write_bytes(file.read_bytes() + f"\n{SECRET}\n".encode())
    before = file.read_bytes()
    forget(archive, "c/m1")

    assert file.read_bytes() == before
    assert [one.author for one in archive.map_entries()] == ["proposal", "owner"]


def test_a_number_in_a_role_is_no_word_and_an_old_version_still_reads(archive: Archive) -> None:
    """A sampling block that was pasted into a chat, and forgotten, is in a role's file for another reason."""
    in_force(archive, temperature="0.6125", body=f"Ты хранишь. {SECRET}")
    in_force(archive, temperature="0.5")
    archive.add([talk("d", "sampling:\n  temperature: 0.6125\nexamples:\n- Чинить стул\nне много ли?")])
    forget(archive, "d")
    forget(archive, "c/m1")
    old = roles.from_files(archive.map_files(archive.map_entries()[0])).role("keeper")

    assert (old.id, old.sampling.temperature, len(old.examples)) == ("keeper", 0.6125, 1)
    assert old.sections.ru.stance == "Ты хранишь. (forgotten 1)"


def test_a_forgetting_that_died_before_the_role_files_is_finished(archive: Archive) -> None:
    file = in_force(archive, example=SECRET, note="proposal p-0123456789", author="proposal")
    archive.forget([("c", "m1")])  # and then the process died
    forgetting.finish(archive.home, archive, Shelf(archive.home))

    assert "(forgotten 1)" in file.read_text("utf-8")
    assert places_of(archive.home.root, SECRET) == []


def test_a_role_with_nothing_of_it_is_untouched(archive: Archive) -> None:
    made = asked(AddRole.model_validate({
        "op": "add_role", "id": "baker", "title": {"ru": "Пекарь"}, "purpose": {"en": OTHER},
        "sections": {"ru": {"stance": "Ты печёшь."}}, "examples": [OTHER, "Почему так?", "Зачем?"]}))
    archive.save_proposal(made)
    before = json.dumps([str(one.proposal.operation.model_dump()) for one in archive.proposals()])
    forget(archive, "c/m1")

    assert json.dumps([str(one.proposal.operation.model_dump()) for one in archive.proposals()]) == before
