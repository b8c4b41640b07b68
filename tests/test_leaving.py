"""What leaves is written whole, for its owner, registered, and nameless where it is for the public; what comes back
waits for a yes."""
from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_forming import talks
from twin import exporters
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import HomeError, NotPublic, UsageError
from twin.exporters import Exported, Format, Material
from twin.person import Carried
from twin.types import Conversation, Message


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "home", engine=ScriptedEngine(lambda _: "Yes.")) as opened:
        opened.embedder = opened.memory.embedder = None
        opened.add(talks())
        yield opened


@pytest.fixture
def tray(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A format that gives what the test puts in; as one file 'tray', as a folder 'trays'."""
    content: dict[str, Any] = {"files": {"tray.md": "One."}, "spoken": ()}

    def make(_: Material, __: int) -> Exported:
        return Exported("One.", files=content["files"], spoken=content["spoken"])

    import twin.exporters.prompt as room

    monkeypatch.setattr(room, "tray", make, raising=False)
    formats = {name: Format(name, "tray.md" if name == "tray" else "tray", "for a test", "prompt:tray",
                            folder=name == "trays") for name in ("tray", "trays")}
    monkeypatch.setattr("twin.leaving.FORMATS", {**exporters.FORMATS, **formats})
    return content


# ---- writing ---------------------------------------------------------------------------------------------------------

def test_every_export_says_which_core_it_is_of(twin: Twin) -> None:
    core = twin.form("dawn")

    made = twin.export("prompt")

    assert made.core == core.id
    assert f"twin-core id={core.id} profile={core.profile} roles={core.role_map[:12]} level=private" in made.text


def test_a_frozen_core_leaves_as_it_was(twin: Twin) -> None:
    core = twin.form("dawn")
    before = twin.export("prompt").text
    twin.decide(twin.profile().claims[0].id, "reject")
    assert twin.export("prompt").text != before

    again = twin.export("prompt", core="dawn")

    assert (again.core, again.text) == (core.id, before)


def test_a_folder_is_written_whole_private_and_over_an_earlier_export_only(twin: Twin, tray: dict[str, Any],
                                                                          tmp_path: Path) -> None:
    tray["files"] = {"a.md": "One.", "deep/b.bin": b"\x00\x01"}
    made = twin.export("trays", path=tmp_path / "out")
    assert made.path == tmp_path / "out"
    assert [stat.S_IMODE(one.stat().st_mode) for one in (made.path, made.path / "deep", made.path / "a.md",
                                                         made.path / "deep/b.bin")] == [0o700, 0o700, 0o600, 0o600]

    tray["files"] = {"c.md": "Two."}
    twin.export("trays", path=tmp_path / "out")
    assert sorted(one.name for one in made.path.iterdir()) == ["c.md"]

    (tmp_path / "out" / "mine.txt").write_text("mine")
    again = twin.export("trays", path=tmp_path / "out")  # it holds something else now: the export goes into it
    assert again.path == tmp_path / "out" / "tray"
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert [one.name for one in tmp_path.glob(".*")] == []


def test_a_folder_of_somebody_is_not_written_over(twin: Twin, tray: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "tray").mkdir()
    (tmp_path / "tray" / "mine.txt").write_text("mine")

    with pytest.raises(UsageError, match="there already"):
        twin.export("trays", path=tmp_path)

    assert (tmp_path / "tray" / "mine.txt").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named_and_leaves_nothing(twin: Twin, tray: dict[str, Any],
                                                                    tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name in ("tray", "trays"):
        with pytest.raises(HomeError, match="cannot be written"):
            twin.export(name, path=tmp_path / "file" / "out")

    assert (tmp_path / "file").read_text() == "x"


def test_what_is_forgotten_goes_from_every_file_of_an_export(twin: Twin, tray: dict[str, Any], tmp_path: Path) -> None:
    tray["files"] = {"a.md": "One.", "deep/b.bin": b"\x00\x01"}
    twin.export("trays", path=tmp_path / "out")
    twin.export("prompt")

    twin.forget("c0")

    assert [one for one in (tmp_path / "out").rglob("*") if one.is_file()] == []
    assert list(twin.home.exports.rglob("*.md")) == []


# ---- in public -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("files", "spoken"), [
    ({"tray.md": "Call Maria Petrova, +49 30 901820."}, ()),
    ({"a.json": json.dumps({"deep": ["fine", {"note": "ask maria.petrova@example.org"}]})}, ()),
    ({"a.jsonl": b'{"text": "fine"}\n{"text": "ask maria.petrova@example.org"}\n'}, ()),
    ({"a.bin": b"\xff\x00"}, ("ask maria.petrova@example.org",))])
def test_a_public_export_that_still_names_somebody_is_not_written(
        twin: Twin, tray: dict[str, Any], tmp_path: Path, files: dict[str, Any], spoken: tuple[str, ...]) -> None:
    tray.update(files=files, spoken=spoken)

    with pytest.raises(NotPublic):
        twin.export("trays", level="public", path=tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_ids_and_hashes_are_no_numbers_of_anybody(twin: Twin, tray: dict[str, Any], tmp_path: Path) -> None:
    tray["files"] = {"a.md": "twin-core id=493012345678 profile=493098765432",
                     "b.json": json.dumps({"sha256": "4" * 64})}

    assert twin.export("trays", level="public", path=tmp_path / "out").path is not None


def test_what_cannot_lose_names_has_no_public_form(twin: Twin) -> None:
    with pytest.raises(UsageError, match="no public export"):
        twin.export("adapter", level="public")


# ---- back ------------------------------------------------------------------------------------------------------------

def test_a_proposed_claim_only_waits(twin: Twin) -> None:
    before = twin.profile()

    number = twin.propose_claim("Decides by a prototype.", origin="a program")

    assert [(one.number, one.claim.text, one.state) for one in twin.waiting_claims()] == [
        (number, "Decides by a prototype.", "waiting")]
    assert twin.profile() == before
    assert twin.propose_claim("Decides by a prototype.") == 0


def test_a_quote_counts_only_where_the_person_wrote_it_and_who_proposes_is_not_told(twin: Twin) -> None:
    stood = twin.propose_claim("Counts the days.", quote="I measured the kiln at noon for a week.")
    other = twin.propose_claim("Counts the nights.", quote="I measured the moon at noon for a week.")
    assert [one.claim.quote for one in twin.waiting_claims()] == ["I measured the kiln at noon for a week.", ""]
    before = len(list(twin.archive.messages()))

    twin.accept_claim(stood)
    assert len(list(twin.archive.messages())) == before
    claim = twin.profile().claim(twin.archive.carried("accepted")[0].claim.claim)
    assert claim is not None
    assert claim.evidence[0].quote == "I measured the kiln at noon for a week."
    twin.accept_claim(other)
    assert len(list(twin.archive.messages())) == before + 1
    assert twin.verify().ok


def test_what_is_said_yes_to_can_be_read_before(twin: Twin) -> None:
    """A claim of the catalogue comes in the catalogue's words, and no quote is longer than what is shown."""
    twin.take_claims([Carried("keeps_records", "thinking", "Gives everything to Mallory."),
                      Carried("free.0a1b2c3d", "thinking", "Draws first.", quote="I draw. " * 100)])

    one, two = (waiting.claim for waiting in twin.waiting_claims())
    assert "Mallory" not in one.text and one.text.startswith("You ")
    assert (two.text, two.quote) == ("Draws first.", "")


def test_an_accepted_claim_stands_under_its_id_as_approved_and_verifies(twin: Twin) -> None:
    twin.take_claims([Carried("free.0a1b2c3d", "thinking", "Decides by a prototype.",
                              quote="I build the prototype, then I decide.")])
    number = twin.waiting_claims()[0].number
    claim_id = twin.waiting_claims()[0].claim.claim

    twin.accept_claim(number)

    claim = twin.profile().claim(claim_id)
    assert claim is not None
    assert (claim.authority, claim.evidence[0].quote, claim.evidence[0].confirmed) == (
        "approved", "I build the prototype, then I decide.", True)
    assert twin.verify().ok
    assert twin.waiting_claims() == []
    with pytest.raises(UsageError, match="No claim waits"):
        twin.accept_claim(number)


def test_a_refused_claim_loses_its_words_and_is_not_asked_about_again(twin: Twin) -> None:
    number = twin.propose_claim("Decides by a prototype.")
    twin.refuse_claim(number)

    assert twin.waiting_claims() == []
    assert twin.archive.carried("refused")[0].claim.text == ""
    assert twin.propose_claim("Decides by a prototype.") == 0


def test_forgetting_the_words_a_claim_was_accepted_by_takes_the_claim_along(twin: Twin) -> None:
    twin.propose_claim("Decides by a prototype.")
    claim_id, number = twin.waiting_claims()[0].claim.claim, twin.waiting_claims()[0].number
    twin.accept_claim(number)
    message = twin.profile().claim(claim_id).evidence[0]  # type: ignore[union-attr]

    gone = twin.forget(message.conversation)

    assert gone.clean
    assert twin.profile().claim(claim_id) is None
    assert twin.archive.carried(None) == []


@pytest.mark.parametrize("said", ["", "  \u200b ", "x" * 501])
def test_a_claim_is_a_sentence(twin: Twin, said: str) -> None:
    with pytest.raises(UsageError, match="sentence"):
        twin.propose_claim(said)


def test_words_that_are_a_quotation_cannot_become_ones_own(twin: Twin) -> None:
    number = twin.propose_claim("> Somebody else said that.")

    with pytest.raises(UsageError, match="quotation"):
        twin.accept_claim(number)

    assert [one.number for one in twin.waiting_claims()] == [number]


def test_claims_of_an_export_wait_unless_they_are_known_or_named_by_a_public_number(twin: Twin) -> None:
    known = twin.profile().claims[0]
    told = [Carried(known.id, known.kind, known.text), Carried("fact.3", "fact", "Lives in [place]."),
            Carried("free.0a1b2c3d", "thinking", "Draws before writing.", quote="I draw first.")]

    assert twin.take_claims(told) == (3, 1)
    assert [one.claim.claim for one in twin.waiting_claims()] == ["free.0a1b2c3d"]


@pytest.mark.parametrize("format", ["prompt", "plain", "xml", "card", "card-v2", "card-v3"])
@pytest.mark.parametrize("language", ["en", "ru"])
def test_an_export_reads_back_to_the_same_claims_in_another_home(twin: Twin, tmp_path: Path, format: str,
                                                                 language: str) -> None:
    made = twin.export(format, language=language)
    wanted = [claim.id for claim in twin.profile().claims]
    with Twin.open(tmp_path / "other", engine=ScriptedEngine(lambda _: "Yes.")) as other:
        other.embedder = other.memory.embedder = None
        report = other.import_path(made.path)
        assert (report.carried, report.waiting) == (len(wanted), len(wanted))
        for one in other.waiting_claims():
            other.accept_claim(one.number)

        assert set(wanted) <= {claim.id for claim in other.profile().claims}

    assert twin.import_path(made.path).waiting == 0


def test_a_dry_run_counts_and_queues_nothing(twin: Twin, tmp_path: Path) -> None:
    made = twin.export("prompt")
    with Twin.open(tmp_path / "other", engine=ScriptedEngine(lambda _: "Yes.")) as other:
        report = other.import_path(made.path, dry_run=True)
        assert (report.carried, report.waiting, report.dry_run) == (len(twin.profile().claims), 0, True)
        assert other.waiting_claims() == []


def test_every_listed_format_has_its_exporter() -> None:
    """Nothing is listed that nobody makes."""
    from importlib import import_module

    for one in exporters.FORMATS.values():
        module, function = one.where.split(":")
        assert callable(getattr(import_module(f"twin.exporters.{module}"), function))


def test_all_formats_of_one_state_carry_one_id(twin: Twin) -> None:
    twin.add([Conversation("late", (Message("l", "user", "Which of the two valves is the cause?"),))])
    core = twin.form()
    formats = [one for one in exporters.FORMATS if one not in ("adapter", "tokens")]

    assert {twin.export(one).core for one in formats} == {core.id}
    texts = {one: twin.export(one).text for one in formats}
    assert [one for one, text in texts.items() if core.id not in text] == []


def test_a_tokenised_role_map_need_not_be_read_again_unless_the_profile_changed(tmp_path: Path, smollm: Any) -> None:
    with Twin.open(tmp_path / "home", engine=smollm) as twin:
        twin.embedder = twin.memory.embedder = None
        twin.add(talks(2))
        made = twin.export("tokens", path=tmp_path / "map")
        loaded = twin.load_tokens(tmp_path / "map")
        assert (loaded.core, loaded.used) == (made.core, True)
        assert loaded.tokens > 50
        assert list(twin.home.snapshots.glob("*.kv"))

        twin.decide(twin.profile().claims[0].id, "edit", "Measures before deciding, always.")

        assert not twin.load_tokens(tmp_path / "map").used
        twin._engine = None  # it is not this twin's to close


def test_a_budget_where_there_is_none_and_a_skill_called_otherwise_than_its_folder_are_refused(
        twin: Twin, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no budget"):
        twin.export("pack", budget=100)
    with pytest.raises(UsageError, match="folder of a skill"):
        twin.export("skill", path=tmp_path / "My Skill")


@pytest.mark.parametrize(("form", "budget"), [("card", 4000), ("card-v2", 4000), ("chatgpt", 1500), ("persona", 2500)])
def test_the_characters_that_are_told_are_those_the_budget_bounds(twin: Twin, form: str, budget: int) -> None:
    assert 0 < twin.export(form, budget=budget).characters <= budget


# ---- where an export may go, and killed on its way -------------------------------------------------------------------

@pytest.mark.parametrize("place", ["archive.sqlite", "constitution.md", "roles/x.md", "exports/../constitution.md",
                                   "exports/../../{home}/archive.sqlite"])
def test_an_export_does_not_go_into_what_a_home_is_made_of(twin: Twin, place: str) -> None:
    (twin.home.root / "roles").mkdir(exist_ok=True)
    before = twin.home.archive.stat().st_ino
    for form in ("prompt", "pack"):
        with pytest.raises(UsageError, match="lies in the home"):
            twin.export(form, path=twin.home.root / place.format(home=twin.home.root.name))

    assert twin.home.archive.stat().st_ino == before
    assert not (twin.home.root / "constitution.md").exists()


def test_a_file_of_somebody_is_not_written_over_and_an_export_is(twin: Twin, tmp_path: Path) -> None:
    mine, link = tmp_path / "repo" / "AGENTS.md", tmp_path / "link.md"
    mine.parent.mkdir()
    mine.write_text("mine")
    made = twin.export("prompt", path=tmp_path / "new.md")
    link.symlink_to(made.path)  # type: ignore[arg-type]
    for place in (mine.parent, mine, link):
        with pytest.raises(UsageError, match="there already"):
            twin.export("agents", path=place)
    again = twin.export("plain", path=tmp_path / "new.md")

    assert mine.read_text() == "mine"
    assert again.path is not None
    assert again.path.read_text("utf-8") == again.text


def test_a_folder_of_several_exports_is_none_to_be_replaced(twin: Twin, tray: dict[str, Any], tmp_path: Path) -> None:
    for folder in (tmp_path / "out", twin.home.exports):
        folder.mkdir(exist_ok=True, mode=0o700)
        twin.export("prompt", path=folder / "a.md")
        assert twin.export("trays", path=folder).path == folder / "tray"
        assert sorted(one.name for one in folder.iterdir()) == ["a.md", "tray"]


def test_no_empty_folder_of_an_export_is_left_and_no_other_is_touched(twin: Twin, tray: dict[str, Any],
                                                                     tmp_path: Path) -> None:
    tray["files"] = {"a.md": "One.", "deep/b.bin": b"\x00"}
    (tmp_path / "repo").mkdir()
    twin.export("agents", path=tmp_path / "repo")
    twin.export("trays", path=tmp_path / "out")
    twin.export("trays", path=tmp_path / "other")
    (tmp_path / "other" / "mine.txt").write_text("mine")
    twin.export("trays")
    twin.export("modelfile")
    twin.forget("c0")

    assert sorted(one.relative_to(tmp_path).as_posix() for one in tmp_path.rglob("*") if "home" not in one.parts) == [
        "other", "other/mine.txt", "repo"]
    assert list(twin.home.exports.iterdir()) == []
    assert twin.archive.derived("export") == twin.archive.derived("cache") == []


_KILLED = """
import os, shutil, sys
from itertools import count
from pathlib import Path
import twin.leaving
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
folder, form = Path(sys.argv[1]), sys.argv[2]
home = shutil.copytree(folder / "home", folder / "warm" / "home")
with Twin.open(home, engine=ScriptedEngine(lambda _: "Yes.")) as warm:  # what is read once: not by each child
    warm.embedder = warm.memory.embedder = None
    warm.export(form, path=folder / "warm" / "out", language="ru")
assert "lancedb" not in sys.modules, "its threads would not outlive a fork"
for n in count(1):
    passed = count(1)
    child = os.fork()
    if not child:
        def fault(_):
            if next(passed) == n:
                os._exit(70)
        home = shutil.copytree(folder / "home", folder / str(n) / "home")
        with Twin.open(home, engine=ScriptedEngine(lambda _: "Yes.")) as twin_:
            twin_.embedder = twin_.memory.embedder = None
            twin_.export(form, path=folder / str(n) / "out", language="en")
            shutil.copytree(folder / str(n), folder / f"before-{n}", ignore=lambda *_: ["home"])
            twin.leaving.fault = fault
            twin_.export(form, path=folder / str(n) / "out", language="ru")
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 70:
        sys.exit(code)
"""


def held(place: Path) -> dict[str, bytes]:
    if place.is_file():
        return {"": place.read_bytes()}
    return {one.relative_to(place).as_posix(): one.read_bytes() for one in place.rglob("*") if one.is_file()}


@pytest.mark.parametrize(("form", "points"), [pytest.param("prompt", 4, marks=pytest.mark.slow), ("skill", 6)])
def test_killed_at_any_point_an_export_is_the_old_or_the_new_one_and_forgetting_finds_all_of_it(
        twin: Twin, tmp_path: Path, form: str, points: int) -> None:
    twin.close()
    done = subprocess.run([sys.executable, "-c", _KILLED, tmp_path, form], check=False, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    assert done.returncode == 0, done.stderr
    *killed, whole = sorted((one for one in tmp_path.iterdir() if one.name.isdigit()), key=lambda one: int(one.name))
    assert len(killed) >= points
    wanted = held(whole / "out")
    assert sorted(one.name for one in whole.iterdir()) == ["home", "out"]

    for place in killed:
        before = held(tmp_path / f"before-{place.name}" / "out")
        assert before != wanted
        stands = held(place / "out") or held(next(place.glob(".twin-export-*")) / "old")  # between two renames
        assert stands in (before, wanted)
        with Twin.open(place / "home", engine=ScriptedEngine(lambda _: "Yes.")) as opened:
            opened.embedder = opened.memory.embedder = None
            if int(place.name) % 2:  # it can be written over as it is
                assert opened.export(form, path=place / "out", language="ru").path == place / "out"
                assert held(place / "out") == wanted
            assert opened.forget("c0").clean
        assert [one.name for one in place.iterdir()] == ["home"]


@pytest.mark.parametrize("said", ["Pay with 4111111111111111 now.", "Call 4479460958123 now."])
def test_a_bare_number_in_a_public_text_is_seen_and_ids_of_the_core_are_not_numbers(
        twin: Twin, tray: dict[str, Any], said: str) -> None:
    core = twin.form()
    ids = f"{core.id} {core.profile} {core.role_map} {core.role_map[:12]} {core.pack}"
    tray["files"] = {"tray.md": ids}
    twin.export("tray", level="public")
    for files, spoken in (({"tray.md": said}, ()), ({"tray.json": json.dumps({"a": said})}, ()), ({}, (said,))):
        tray["files"], tray["spoken"] = files, spoken
        with pytest.raises(NotPublic):
            twin.export("tray", level="public")


def test_a_public_skill_lies_in_a_folder_that_names_nobody(twin: Twin, tmp_path: Path) -> None:
    twin.add([Conversation("z", (Message("z1", "user", "My colleague Zebulon Quartermain from the lab came by."),))])
    twin.form("Zebulon")

    assert twin.export("skill", level="public").path.name == "twin"  # type: ignore[union-attr]
    for called in ("zebulon-notes", "about-gregory"):
        with pytest.raises(NotPublic, match="folder"):
            twin.export("skill", level="public", path=tmp_path / called)
        assert not (tmp_path / called).exists()
    assert twin.export("skill", level="public", path=tmp_path / "my-thinking").path == tmp_path / "my-thinking"
