"""Trained adapters: named by their bytes, told by a manifest, refused where they do not fit; and roles that speak
through them, header or none."""
from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tiny
from twin import adapters, roles
from twin import home as homes
from twin.adapters import Adapters, Kept
from twin.catalog import load_models
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import HomeFull, ModelBroken, ModelError, StaleAdapter, UsageError
from twin.home import Home
from twin.role_file import with_line
from twin.roles import RoleAdapter
from twin.types import Conversation, Message, Prompt, Segment

BASE = "ab" * 32


class Core(ScriptedEngine):
    """A script that says which file it is."""

    def __init__(self, sha256: str = BASE) -> None:
        super().__init__(lambda _: "Yes.")
        self.id = f"small@{sha256[:16]}"


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin(Home(tmp_path / "home"), engine=Core()) as opened:
        opened.add([Conversation("c", (Message("m", "user", "I sow peas in April."),))])
        opened.role_book.ensure()
        yield opened


def made(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """A GGUF, and a PEFT folder."""
    core = folder / "core.gguf"
    if not core.exists():
        folder.mkdir(parents=True, exist_ok=True)
        tiny.core(core)
    peft = folder / "peft"
    peft.mkdir(exist_ok=True)
    (peft / "adapter_config.json").write_text("{}", "utf-8")
    return tiny.adapter(folder / f"out{seed}.gguf", core, seed=seed), peft


def kept(home: Home, tmp_path: Path, seed: int = 0, **facts: object) -> Kept:
    return Adapters(home).keep(*made(tmp_path / "run", seed),
                               **{"base": BASE, "base_name": "small", "role": "critic", **facts})


def speaks(twin: Twin, adapter: str) -> None:
    """The critic speaks through this."""
    file = twin.home.roles / "critic.md"
    file.write_text(with_line(file.read_text("utf-8"), "adapter", f"adapter: {{{adapter}}}"), "utf-8")
    assert twin.role_map.role("critic").adapter
    assert twin.role_book.refusal is None


def last(twin: Twin) -> Prompt:
    asked: Prompt = twin.engine.prompts[-1]  # type: ignore[attr-defined]
    return asked


# ---- the manifest --------------------------------------------------------------------------------------------------

def test_an_adapter_is_named_by_its_bytes_and_told_by_its_manifest(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    one = kept(home, tmp_path, licence="Apache-2.0", samples=40, steps=9, before=2.5, after=2.25, facts={"seed": 1})
    again = Adapters(home).get(one.sha256[:8])

    assert one.path.name == f"{homes.sha256_of(one.path)}.gguf"
    assert again == one
    assert (again.on, again.reason) == (None, "")
    assert (one.peft / "adapter_config.json").is_file()
    assert {path.stat().st_mode & 0o777 for path in (one.path, one.path.with_suffix(".json"))} == {0o600}


def test_a_manifest_names_no_place_so_a_home_can_be_moved(tmp_path: Path) -> None:
    one = kept(Home(tmp_path / "home"), tmp_path)
    assert str(tmp_path) not in one.path.with_suffix(".json").read_text("utf-8")
    shutil.move(tmp_path / "home", tmp_path / "elsewhere")
    [moved] = Adapters(Home(tmp_path / "elsewhere")).all()

    assert moved.path.is_relative_to(tmp_path / "elsewhere")
    assert moved.manifest == one.manifest


def test_what_was_measured_is_kept_and_the_same_bytes_once_more_keep_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    one = Adapters(home).judge(kept(home, tmp_path), on=False, reason="Another person's does as well.",
                               likeness={"own": 2.1})
    assert kept(home, tmp_path) == one == Adapters(home).get("", role="critic")
    assert one.likeness == {"own": 2.1}


def test_without_its_last_file_an_adapter_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or a kill, between manifest and weights."""
    home, write = Home(tmp_path / "home"), adapters.write_atomically

    def full(path: Path, content: str | bytes) -> None:
        if path.suffix == ".gguf":
            raise HomeFull("No space is left.", "Free some.")
        write(path, content)

    monkeypatch.setattr(adapters, "write_atomically", full)
    with pytest.raises(HomeFull):
        kept(home, tmp_path)
    assert Adapters(home).all() == []
    monkeypatch.undo()
    one = kept(home, tmp_path)
    assert Adapters(home).all() == [one]


def test_a_name_is_the_beginning_of_one_hash(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shelf = Adapters(home)
    with pytest.raises(UsageError, match="twin train critic"):
        shelf.get("", role="critic")
    with pytest.raises(UsageError, match="no trained adapter"):
        shelf.get("ffff")
    first, second = (kept(home, tmp_path, seed, made=f"2026-01-0{seed}") for seed in (1, 2))
    with pytest.raises(UsageError, match=first.sha256[:12]):
        shelf.get("zz")
    assert shelf.get("", role="critic") == second
    assert shelf.get(f"{first.sha256}.gguf") == first
    for seed in range(3, 18):  # sixteen first letters: two of seventeen share one
        kept(home, tmp_path, seed)
    letters = [one.sha256[0] for one in shelf.all()]
    with pytest.raises(UsageError, match="adapters begin with"):
        shelf.get(max(letters, key=letters.count))


def test_another_persons_adapter_is_no_roles(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    own = kept(home, tmp_path)
    other = kept(home, tmp_path, 1, control_of=own.sha256, data="d" * 64)

    assert Adapters(home).all() == [own]
    assert Adapters(home).control(own, "d" * 64) == other
    assert Adapters(home).control(own, "e" * 64) is None
    with pytest.raises(UsageError, match="another person's words"):
        adapters.refuse_control(other)


def test_a_manifest_that_cannot_be_read_hides_nothing_else(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    first, second = kept(home, tmp_path, 1), kept(home, tmp_path, 2)
    first.path.with_suffix(".json").write_text("{", "utf-8")
    assert Adapters(home).all() == [second]
    with pytest.raises(ModelBroken, match="manifest"):
        Adapters(home).refuse_unfit(first.path, f"small@{BASE[:16]}")
    second.path.with_suffix(".json").write_text(json.dumps({**second.manifest, "version": 2}), "utf-8")
    with pytest.raises(ModelBroken, match="version 2"):
        adapters.of(second.path)


@pytest.mark.parametrize("wrong", [{"before": None}, {"facts": None}, {"made": 5}, {"on": "no"}, {"steps": True},
                                   {"sha256": "f" * 64}])
def test_a_manifest_with_values_of_another_kind_is_refused_told_and_mended_by_training_again(
        tmp_path: Path, wrong: dict[str, object]) -> None:
    home = Home(tmp_path / "home")
    whole = kept(home, tmp_path)
    whole.path.with_suffix(".json").write_text(json.dumps({**whole.manifest, **wrong}), "utf-8")
    with pytest.raises(ModelBroken, match="Train it again"):
        adapters.of(whole.path)
    assert Adapters(home).all() == []
    assert [whole.sha256[:12] in line for line in Adapters(home).damaged()] == [True]
    assert kept(home, tmp_path) == whole
    assert (Adapters(home).all(), Adapters(home).damaged()) == ([whole], [])


# ---- what fits -----------------------------------------------------------------------------------------------------

def test_an_adapter_of_another_core_is_refused_and_both_are_named(twin: Twin, tmp_path: Path) -> None:
    cores = {model.name: model.files[0].sha256 for model in load_models() if model.kind == "core"}
    one = kept(twin.home, tmp_path, base=cores["qwen3-4b"])
    speaks(twin, f"sha256: {one.sha256}")
    twin.engine.id = f"whatever@{str(cores['smollm2-135m'])[:16]}"
    with pytest.raises(ModelError, match=r"qwen3-4b .*, not on the core that runs, smollm2-135m"):
        twin.ask("Is this a good plan?", role="critic")
    twin.engine.id = f"whatever@{str(cores['qwen3-4b'])[:16]}"
    assert twin.ask("Is this a good plan?", role="critic").adapted


def test_whatever_it_is_called_and_wherever_it_lies(twin: Twin, tmp_path: Path) -> None:
    copy = shutil.copy(kept(twin.home, tmp_path, base="cd" * 32, base_name="my own").path, tmp_path / "copy.gguf")
    speaks(twin, f"path: {copy}")
    with pytest.raises(ModelError, match=r"my own \(sha256 cdcdcdcdcdcdcdcd\), not on .* small \(sha256 abab"):
        twin.ask("Is this a good plan?", role="critic")


def test_an_adapter_without_a_manifest_is_taken_as_it_is(twin: Twin, tmp_path: Path) -> None:
    twin.home.adapters.mkdir(parents=True)
    shutil.copy(made(tmp_path)[0], twin.home.adapters / "me.gguf")
    speaks(twin, "path: me.gguf")
    assert twin.ask("Is this a good plan?", role="critic").adapted


def test_a_damaged_file_is_refused(twin: Twin, tmp_path: Path) -> None:
    one = kept(twin.home, tmp_path)
    speaks(twin, f"sha256: {one.sha256}")
    data = bytearray(one.path.read_bytes())
    data[-1] ^= 1
    one.path.write_bytes(data)
    with pytest.raises(ModelBroken, match="damaged"):
        twin.ask("Is this a good plan?", role="critic")


def test_no_file_is_read_again_for_a_turn(twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = kept(twin.home, tmp_path)
    speaks(twin, f"sha256: {one.sha256}")
    twin.ask("Is this a good plan?", role="critic")
    read = {"bytes": homes._hashed.cache_info().misses, "manifests": adapters._read.cache_info().misses}
    twin.ask("And this?", role="critic")

    assert read == {"bytes": homes._hashed.cache_info().misses, "manifests": adapters._read.cache_info().misses}


def test_what_was_learned_from_forgotten_words_no_longer_speaks(twin: Twin, tmp_path: Path) -> None:
    one = kept(twin.home, tmp_path)
    twin.archive.register("adapter", one.path, sha256=one.sha256, keys=[("c", "m")])
    speaks(twin, f"sha256: {one.sha256}")
    assert twin.ask("Is this a good plan?", role="critic").adapted
    assert twin.forget("c/m").adapters == (str(one.path),)
    with pytest.raises(StaleAdapter, match="taken back"):
        twin.ask("Is this a good plan?", role="critic")


# ---- a compiled role -----------------------------------------------------------------------------------------------

def header(twin: Twin) -> str:
    return roles.header(twin.role_map.role("critic"), "en")


def test_a_compiled_role_writes_no_header_and_the_header_is_back_without_it(twin: Twin, tmp_path: Path) -> None:
    one = kept(twin.home, tmp_path, compiled=True)
    said = header(twin)
    speaks(twin, f"sha256: {one.sha256}, compiled: true")
    with_adapter = twin.ask("Is this a good plan?", role="critic")
    assert said not in last(twin).text
    assert [segment.part for segment in last(twin).tail] == ["answer"]
    assert with_adapter.adapted
    speaks(twin, f"sha256: {one.sha256}, compiled: true, scale: 0")
    twin.ask("And this?", role="critic")
    assert said in last(twin).text
    file = twin.home.roles / "critic.md"
    file.write_text(with_line(file.read_text("utf-8"), "adapter", ""), "utf-8")
    twin.ask("And that?", role="critic")
    assert Segment(said, "role") in last(twin).tail


def test_a_lines_instruction_and_a_councils_form_stay_where_the_header_goes(twin: Twin, tmp_path: Path) -> None:
    one = kept(twin.home, tmp_path, compiled=True)
    speaks(twin, f"sha256: {one.sha256}, compiled: true")
    said = header(twin)
    turn = twin.ask("Is this a good plan?", role="critic")
    line, _ = twin.fork(turn, role="critic", instruction="One word only.")
    twin.ask("Is this a good plan?", conversation=line.id)
    assert last(twin).text.count("One word only.") == 1
    assert said not in last(twin).text
    list(twin.stream("Is this a good plan?", council=True, members=("critic", "mentor"), conversation="b"))
    asked = {one.role: one for one in twin.engine.prompts}["critic"]  # type: ignore[attr-defined]
    assert "JSON" in asked.text
    assert said not in asked.text


def test_maps_without_a_compiled_role_keep_their_version() -> None:
    """`compiled` came later: what was hashed before must hash the same."""
    assert RoleAdapter(path="a.gguf").model_dump() == {"path": "a.gguf", "sha256": None, "scale": 1.0, "kind": "auto"}
    assert RoleAdapter(path="a.gguf", compiled=True).model_dump()["compiled"] is True


# ---- one line of a role's file -------------------------------------------------------------------------------------

FILE = ("---\nid: tiny # mine\ntitle: {en: Tiny}\npurpose: {en: Small.}\nsampling:\n  seed: 3\n---\n\n"
        "## Stance\n\nadapter: x\n")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_one_line_of_the_front_matter_changes_and_nothing_else(end: str) -> None:
    file = FILE.replace("\n", end)
    on = with_line(file, "adapter", "adapter: {path: a.gguf}")
    assert on == file.replace(f"seed: 3{end}", f"seed: 3{end}adapter: {{path: a.gguf}}{end}")
    assert with_line(on, "adapter", "") == file
    assert with_line(on, "adapter", "adapter: {path: b.gguf}") == on.replace("a.gguf", "b.gguf")
    assert with_line(file, "sampling", "").count("seed") == 0
    assert with_line("no fences", "adapter", "adapter: x") == "no fences"
