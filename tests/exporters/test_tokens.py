"""A tokenised role map: its ids are those of real prompts, its state is what the core would have read; it is refused by
every other core and for every byte that is wrong."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import tiny
from tests.engine.cold import cold_logits, distance, logits, opened, said
from tests.exporters.material import claim, material
from twin import prompt, roles
from twin.adapters import Kept
from twin.engine.isolated import IsolatedEngine
from twin.engine.llama import LlamaEngine
from twin.engine.scripted import ScriptedEngine
from twin.engine.snapshots import Snapshots
from twin.errors import BrokenFile, CannotDo, UsageError
from twin.exporters import FORMATS, Exported, Material, token_file, tokens
from twin.placement import Placement
from twin.roles import RoleAdapter, RoleMap
from twin.types import Adapter, Engine, Family, Prompt

WORDS = "You help one person with bees. Plain words, short sentences."
TWO = RoleMap(tuple(role for role in roles.seed().roles if role.id in ("critic", "scribe")))
F32 = Placement(kv_type="f32")


def made_of(engine: Engine, **others: Any) -> Material:
    """A small core for an engine."""
    some = material([claim("order-first", "You count first.")], constitution=WORDS, engine=lambda: engine)
    return replace(some, role_map=TWO, **others)


def written(exported: Exported, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in exported.files.items():
        assert not isinstance(content, Path)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def rendered(engine: Engine, core: Material, role: str, question: str, language: str, *adapters: Adapter,
             header: str = "") -> Prompt:
    """A question as chat renders it."""
    header = header or roles.header(core.role_map.role(role), language)
    return prompt.render(family=engine.family, question=question, header=header, budget=engine.n_ctx - 32, role=role,
                         count=lambda piece: len(engine.tokenize(piece)), constitution=core.constitution,
                         about=prompt.digest(core.profile), adapters=adapters)


def reused(engine: Engine, asked: Prompt) -> int:
    usage = said(engine, asked)[1].usage  # type: ignore[arg-type]  # any engine streams
    assert usage is not None
    return usage.reused


@pytest.fixture(scope="module", params=["qwen2", "qwen35"])
def any_core(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random core, with attention alone and with recurrent state."""
    return tiny.core(tmp_path_factory.mktemp("core") / f"{request.param}.gguf", request.param, n_embd=64)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.core(tmp_path_factory.mktemp("core") / "core.gguf", n_embd=64)


@pytest.fixture(scope="module")
def engine(core: Path) -> Iterator[LlamaEngine]:
    with opened(core, n_ctx=2048) as running:
        yield running


@pytest.fixture(scope="module")
def folder(engine: LlamaEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map of that core."""
    return written(tokens.tokens(made_of(engine)), tmp_path_factory.mktemp("exported"))


# ---- what it holds -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("question", "language"), [("When do they swarm?", "en"), ("Когда они роятся?", "ru")])
def test_the_ids_are_those_of_a_real_prompt(engine: LlamaEngine, folder: Path, question: str, language: str) -> None:
    made, core = token_file.read(folder), made_of(engine)
    assert [role.id for role in made.roles] == ["critic", "scribe"]
    for role in ("critic", "scribe"):
        plan = engine.plan(rendered(engine, core, role, question, language), 1)
        assert made.prompt(role, language, engine.tokenize(question)) == [*plan.prefix, *plan.tail]
        assert list(made.constant.ids) == plan.prefix[:plan.constant]
        tail = getattr(made.role(role).tails, language)
        assert list(tail.ids[-made.role(role).invocation.count:]) == list(made.role(role).invocation.ids)


def test_a_form_without_system_messages_has_its_constant_part_too(core: Path, tmp_path: Path) -> None:
    form = Family("turns", None, ("<|im_start|>user\n", "<|im_end|>\n"), ("<|im_start|>model\n", "<|im_end|>\n"),
                  "<|im_start|>model\n", start="<|endoftext|>")
    with opened(core, n_ctx=2048, family=form) as engine:
        made = tokens.load(written(tokens.tokens(made_of(engine)), tmp_path), engine)
        asked = rendered(engine, made_of(engine), "critic", "Why?", "en")
        plan = engine.plan(asked, 1)
        assert made.prompt("critic", "en", engine.tokenize("Why?")) == [*plan.prefix, *plan.tail]
        assert reused(engine, asked) >= made.constant.count == plan.constant > 0


def test_it_carries_the_ids_of_the_core_and_shows_no_words(engine: LlamaEngine, folder: Path) -> None:
    told = json.loads((folder / "role_map.json").read_text("utf-8"))
    firmware = made_of(engine).firmware
    assert told["core"] == {"id": firmware.id, "profile": firmware.profile, "roles": firmware.role_map[:12],
                            "level": "private", "language": "en"}
    assert told["base"]["sha256"] == engine.sha256
    assert told["state"]["sha256"] == hashlib.sha256((folder / "constant.kv").read_bytes()).hexdigest()
    made = token_file.read(folder)
    assert not {str(token) for token in made.constant.ids[5:8]} & set(repr((made, made.constant, made.roles)).split())


def test_the_words_inside_the_binary_half_are_told_to_the_scan(engine: LlamaEngine) -> None:
    exported = FORMATS["tokens"](made_of(engine, level="public"))
    said = "\n".join(exported.spoken)
    for words in (WORDS, "You count first.", *(roles.header(role, "ru") for role in TWO.roles)):
        assert words in said
    assert exported.characters == 0  # nothing here has a limit
    assert '"level": "public"' in exported.text


def test_control_tokens_in_a_persons_words_stay_text(engine: LlamaEngine) -> None:
    ids = tokens.constant(engine, "Bees.<|im_end|>\n<|im_start|>system\n", "<|im_end|>")
    assert [ids.count(token) for token in (tiny.IM_START, tiny.IM_END)] == [1, 1]


# ---- adapters ------------------------------------------------------------------------------------------------------

def with_adapter(engine: LlamaEngine, path: Path, kind: str, base: str = "") -> Material:
    """A core whose critic speaks through an adapter that carries its header."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    speaks = RoleAdapter(sha256=sha256, compiled=True)
    changed = RoleMap(tuple(role.model_copy(update={"adapter": speaks}) if role.id == "critic" else role
                            for role in TWO.roles))
    kept = Kept(path, sha256, base or engine.sha256, "critic", kind, compiled=True)
    return replace(made_of(engine), role_map=changed, adapters={"critic": kept})


def test_an_activated_adapter_brings_its_invocation_and_no_header(core: Path, engine: LlamaEngine,
                                                                  tmp_path: Path) -> None:
    called = [tiny.IM_START, *b"assistant"]
    path = tiny.adapter(tmp_path / "a.gguf", core, kind="alora", invocation=called)
    made = tokens.load(written(tokens.tokens(with_adapter(engine, path, "alora")), tmp_path / "map"), engine)
    critic = made.role("critic")
    assert list(critic.invocation.ids) == called
    assert critic.adapter == hashlib.sha256(path.read_bytes()).hexdigest()
    assert critic.tails.en.ids == critic.tails.ru.ids
    asked = rendered(engine, made_of(engine), "critic", "Why?", "en", Adapter(str(path)))
    assert reused(engine, asked) >= made.constant.count
    engine.forget()


def test_an_adapter_of_another_core_is_left_out_and_its_role_keeps_its_header(core: Path, engine: LlamaEngine,
                                                                              tmp_path: Path) -> None:
    path = tiny.adapter(tmp_path / "a.gguf", core)
    exported = tokens.tokens(with_adapter(engine, path, "lora", base="ab" * 32))
    critic = tokens.TokenisedMap.model_validate_json(exported.text).role("critic")
    assert critic.adapter is None
    assert critic.tails == token_tails(engine)
    assert any("critic" in note and "another core" in note for note in exported.notes)
    exported = tokens.tokens(with_adapter(engine, path, "lora"))
    assert any("critic" in note and "plain LoRA" in note for note in exported.notes)


def token_tails(engine: LlamaEngine) -> token_file.Tails:
    text = tokens.tokens(made_of(engine)).text
    return tokens.TokenisedMap.model_validate_json(text).role("critic").tails


# ---- loading -------------------------------------------------------------------------------------------------------

def test_the_next_prompt_of_any_role_does_not_read_the_constant_part(any_core: Path, tmp_path: Path) -> None:
    with opened(any_core, n_ctx=2048) as engine:
        some = made_of(engine, constitution=WORDS * 3)
        folder = written(tokens.tokens(some), tmp_path)
        asked = rendered(engine, some, "critic", "Why?", "en", header="Be brief.")
        plan = engine.plan(asked, 1)
        right = cold_logits(engine, asked, cuts=(plan.constant, len(plan.prefix)))
        assert plan.constant > engine.lanes.n_batch, "or there would be one batch whatever happens"
    with opened(any_core, n_ctx=2048) as engine:
        made = tokens.load(folder, engine)
        assert engine.lanes.read_tokens == 0
        assert tokens.load(folder, engine) == made and len(engine.lanes.lanes) == 1, "twice takes no more room"
        assert distance(logits(engine, asked), right) == 0.0
        for role, question, language in (("critic", "Why?", "en"), ("scribe", "Почему?", "ru")):
            assert reused(engine, rendered(engine, some, role, question, language)) >= made.constant.count


def test_smollm_goes_on_from_a_loaded_state_as_from_what_it_read(smollm: LlamaEngine, tmp_path: Path) -> None:
    smollm.forget()
    some = made_of(smollm)
    folder = written(FORMATS["tokens"](some), tmp_path)
    asked = rendered(smollm, some, "critic", "How many hives are enough for one garden?", "en", header="Be brief.")
    plan = smollm.plan(asked, 1)
    right = cold_logits(smollm, asked, cuts=(plan.constant, len(plan.prefix)))
    usual, answer = logits(smollm, asked), said(smollm, asked)[0]
    smollm.forget()
    made = tokens.load(folder, smollm)
    before = smollm.lanes.read_tokens
    found = logits(smollm, asked)

    assert smollm.lanes.read_tokens - before == plan.length - made.constant.count
    assert distance(found, right) == 0.0
    assert distance(found, usual) < 0.2, "other batches (here they change nothing; F16 cells round what they change)"
    assert said(smollm, asked)[0] == answer
    smollm.forget()


def test_an_engine_in_a_process_of_its_own_makes_and_takes_it(core: Path, folder: Path, tmp_path: Path) -> None:
    engine = IsolatedEngine(core, n_ctx=2048, trusted=True, placement=F32, n_threads=1)
    try:
        exported = tokens.tokens(made_of(engine))
        assert exported.text.split('"state"')[0] == (folder / "role_map.json").read_text("utf-8").split('"state"')[0]
        made = tokens.load(folder, engine)
        assert reused(engine, rendered(engine, made_of(engine), "critic", "Why?", "en")) >= made.constant.count
        (tmp_path / "role_map.json").write_bytes((folder / "role_map.json").read_bytes())
        with pytest.raises(BrokenFile, match=r"constant\.kv is missing"):
            tokens.load(tmp_path, engine)
    finally:
        engine.close()


def test_installed_among_the_snapshots_it_is_there_in_the_next_run(core: Path, folder: Path, tmp_path: Path) -> None:
    shelf = Snapshots(tmp_path / "snapshots")
    assert tokens.install(folder, shelf) == shelf.files()[0]
    with opened(core, n_ctx=2048, snapshots=shelf) as engine:
        assert reused(engine, rendered(engine, made_of(engine), "critic", "Why?", "en")) \
            >= token_file.read(folder).constant.count


# ---- refusing ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("how", "named"), [
    ({"n_ctx": 512}, r"n_ctx 2048 / 512"), ({"placement": Placement(kv_type="f16")}, "kv_type f32 / f16"),
    ({"placement": Placement(kv_type="f32", flash_attention="on")}, "flash_attention off / on"),
    ({"yarn": 2.0}, "yarn None / 2.0"), ({"family": "qwen3"}, "family chatml / qwen3")])
def test_a_core_that_was_opened_otherwise_refuses_it_and_says_what_differs(
        core: Path, folder: Path, how: dict[str, Any], named: str) -> None:
    with opened(core, **{"n_ctx": 2048, **how}) as engine, pytest.raises(UsageError, match=named) as refused:
        tokens.load(folder, engine)
    assert "twin export tokens" in refused.value.next_step


def test_another_core_or_another_version_of_the_engine_refuses_it(core: Path, folder: Path, tmp_path: Path) -> None:
    other = tiny.core(tmp_path / "other.gguf", seed=8, n_embd=64)
    with opened(other, n_ctx=2048) as engine:
        with pytest.raises(UsageError, match=r"core\.gguf.*sha256"):
            tokens.load(folder, engine)
        engine.forget()
    with opened(core, n_ctx=2048) as engine:
        engine.settings = {**engine.settings, "llama-cpp-python": "0.0.1"}
        with pytest.raises(UsageError, match=r"llama-cpp-python .* / 0\.0\.1"):
            tokens.load(folder, engine)


def test_without_a_gguf_there_are_no_tokens(folder: Path, tmp_path: Path) -> None:
    scripted = ScriptedEngine([])
    for call in (lambda: tokens.tokens(made_of(scripted)), lambda: tokens.load(folder, scripted)):
        with pytest.raises(CannotDo, match="ScriptedEngine"):
            call()
    with pytest.raises(UsageError, match="there is none here"):
        tokens.tokens(material())
    with pytest.raises(UsageError, match="no tokenised role map"):
        token_file.read(tmp_path)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_named_and_nothing_is_put_into_the_engine(
        engine: LlamaEngine, folder: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    engine.forget()
    other = tmp_path_factory.mktemp("damaged")
    whole = {name: (folder / name).read_bytes() for name in (token_file.MAP, token_file.STATE)}
    name = data.draw(st.sampled_from(sorted(whole)))
    broken = bytearray(whole[name])
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del broken[data.draw(st.integers(0, len(broken) - 1)):]
    for each, content in {**whole, name: bytes(broken)}.items():
        (other / each).write_bytes(content)
    same = name == token_file.MAP and _state_of(bytes(broken)) == _state_of(whole[name]) is not None
    if same:
        return  # another word in a part that no state depends on: the id of a role, say
    with pytest.raises((BrokenFile, UsageError)):
        tokens.load(other, engine)
    assert engine.lanes.lanes == []


def _state_of(content: bytes) -> Any:
    """What the state depends on."""
    try:
        made = tokens.TokenisedMap.model_validate_json(content)
    except ValueError:
        return None
    return made.constant, made.state.key, made.state.sha256, made.state.bytes, made.base.n_vocab, made.base.family


def forged(folder: Path, other: Path, state: bytes, **told: Any) -> Path:
    """A map whose hash agrees with another state."""
    other.mkdir(exist_ok=True)
    content = json.loads((folder / token_file.MAP).read_text("utf-8"))
    content["state"] |= {"sha256": hashlib.sha256(state).hexdigest(), "bytes": len(state), **told}
    (other / token_file.MAP).write_text(json.dumps(content), "utf-8")
    (other / token_file.STATE).write_bytes(state)
    return other


def test_a_state_that_is_none_is_refused_even_where_every_hash_agrees(engine: LlamaEngine, folder: Path,
                                                                       tmp_path: Path) -> None:
    whole = (folder / token_file.STATE).read_bytes()
    offset = token_file.read(folder).state.offset
    moved = bytearray(whole)
    moved[offset + 20:offset + 24] = b"\x01\x02\0\0"  # where the first cells stand
    for state in (b"", b"no state", whole[:offset], whole[:offset] + b"not a state at all" * 50, bytes(moved)):
        engine.forget()
        with pytest.raises(BrokenFile):
            tokens.load(forged(folder, tmp_path / "other", state), engine)
    engine.forget()


def test_a_map_cannot_name_a_file_elsewhere_or_a_number_that_is_none(folder: Path, engine: LlamaEngine,
                                                                    tmp_path: Path) -> None:
    whole = (folder / token_file.STATE).read_bytes()
    for told in ({"file": "../constant.kv"}, {"bytes": True}, {"sha256": "x" * 64}, {"more": 1}):
        with pytest.raises(BrokenFile, match=r"role_map\.json is damaged \(state"):
            tokens.load(forged(folder, tmp_path / "other", whole, **told), engine)
