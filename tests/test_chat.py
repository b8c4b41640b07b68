"""One turn from message to stored turn, on real stores; the core is scripted so that the logic can be seen."""
from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from tests import tiny
from twin import prompt, roles
from twin.answer import _Thoughts
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import ModelMissing, PromptTooLong, UsageError
from twin.types import (
    Answered,
    Conversation,
    Failed,
    Interrupted,
    Message,
    Recalled,
    Routed,
    Thinking,
    Token,
)

SAID = Conversation("c1", (
    Message("m1", "user", "Я лучше всего планирую посадки вечером.", time=datetime(2025, 3, 2, tzinfo=UTC)),
    Message("m2", "assistant", "Хорошо, запомню это.", time=datetime(2025, 3, 2, tzinfo=UTC)),
    Message("m3", "user", "I never buy tomato seeds, I keep my own.", time=datetime(2025, 3, 3, tzinfo=UTC)),
), "garden", "messages")


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    engine = ScriptedEngine(lambda _: "You keep your own seeds [1], not [7].")
    with Twin.open(tmp_path / "home", engine=engine) as opened:
        yield opened


def test_a_turn_is_routed_then_recalled_then_told_then_stored(twin: Twin) -> None:
    twin.add([SAID])
    events = list(twin.stream("Which tomato seeds do I buy?"))
    kinds = [type(event) for event in events]

    assert kinds[0] is Routed
    assert kinds[-1] is Answered
    assert kinds.index(Recalled) < kinds.index(Token)
    assert "".join(e.text for e in events if isinstance(e, Token)) == "You keep your own seeds [1], not [7]."
    turn = events[-1].turn if isinstance(events[-1], Answered) else None
    assert twin.archive.turns() == [turn]


def test_only_citations_of_memories_that_exist_count(twin: Twin) -> None:
    twin.add([SAID])
    turn = twin.ask("Which tomato seeds do I buy?")

    assert turn.memories[0].message_ids == ("m3",)
    assert turn.cited == (1,)


def test_the_assistants_words_are_never_offered_as_memories(twin: Twin) -> None:
    twin.add([SAID])

    assert all("m2" not in memory.message_ids for memory in twin.ask("Запомнишь, когда я планирую посадки?").memories)


def test_the_header_speaks_the_language_of_the_question(twin: Twin) -> None:
    twin.ask("Когда сеять горох?")
    twin.ask("When do I sow peas?")
    russian, english = (prompt.tail[1].text for prompt in twin.engine.prompts)  # type: ignore[attr-defined]

    assert any("а" <= letter <= "я" for letter in russian)
    assert not any("а" <= letter <= "я" for letter in english)


def test_a_named_role_is_asked_and_an_unknown_one_is_refused_with_the_known(twin: Twin) -> None:
    assert twin.ask("Is this a good plan?", role="critic").route.asked
    with pytest.raises(UsageError, match="critic"):
        twin.ask("Is this a good plan?", role="wizard")


@pytest.fixture
def alive(tmp_path: Path) -> Iterator[Twin]:
    """A twin on a tiny random core: it says nothing, but through real adapters and a real cache."""
    core = tiny.core(tmp_path / "core.gguf", n_ctx_train=16384)
    with Twin.open(tmp_path / "home", model=str(core), n_ctx=16384) as opened:
        yield opened


def retold(twin: Twin, old: str, new: str, role: str = "critic") -> None:
    """Edit a role file by hand."""
    file = twin.home.roles / f"{role}.md"
    file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")


@pytest.mark.parametrize("kind", ["auto", "alora"])
def test_a_role_with_an_adapter_speaks_through_it(alive: Twin, kind: str) -> None:
    """By the name of its file in the home, or by its sha256, wherever its name went."""
    alive.ask("hello", role="scribe")
    retold(alive, "sampling: {temperature: 0.4}", "sampling: {temperature: 0, max_tokens: 12}")
    plain = alive.ask("Is this a good plan?", role="critic")
    alive.home.adapters.mkdir()
    lora = tiny.adapter(alive.home.adapters / "me.gguf", Path(alive.engine.path))  # type: ignore[attr-defined]
    retold(alive, "id: critic\n", f"id: critic\nadapter: {{path: me.gguf, kind: {kind}}}\n")
    told = next(event.turn for event in alive.stream("Is this a good plan?", role="critic", conversation="b")
                if isinstance(event, Answered))
    again = "path: me.gguf", f"sha256: {sha256(lora.read_bytes()).hexdigest()}"
    retold(alive, *again)
    lora.rename(lora.with_name("another name.gguf"))
    by_hash = next(event.turn for event in alive.stream("Is this a good plan?", role="critic", conversation="c")
                   if isinstance(event, Answered))

    assert (plain.adapted, told.adapted) == (False, True)
    assert plain.answer != told.answer == by_hash.answer


def test_an_adapter_that_is_not_there_fails_the_turn_by_name(alive: Twin) -> None:
    """An adapter that silently does nothing would pass for one that changes nothing."""
    alive.ask("hello", role="scribe")
    retold(alive, "id: critic\n", "id: critic\nadapter: {path: me.gguf}\n")

    with pytest.raises(ModelMissing, match="no adapter"):
        alive.ask("Is this a good plan?", role="critic")
    assert len(alive.archive.turns()) == 1


def test_a_header_is_read_until_the_roles_own_answers_carry_it(twin: Twin) -> None:
    """It stays where it was read, so a role that goes on costs nothing then, and one that changes its own header."""
    asked = ["critic"] * 4 + ["mentor", "critic"]
    for role in asked:
        twin.ask("Is this a good plan?", role=role)
    prompts = twin.engine.prompts  # type: ignore[attr-defined]
    headers = [roles.header(twin.role_map.role(role), "en") for role in ("critic", "mentor")]

    assert [len(prompt.tail) > 1 for prompt in prompts] == [True] * 3 + [False, True, True]
    assert [prompts[-1].text.count(header) for header in headers] == [4, 1]
    for earlier, later in pairwise(prompts):
        said = earlier.text + "You keep your own seeds [1], not [7]."
        assert later.text.startswith(said), "the history is what was read, byte for byte"


def test_a_conversation_reads_only_what_is_new(alive: Twin) -> None:
    """On a real cache: an answer goes on from its own ids; an adapter's answer is read again, in idle time if any."""
    for question in ("hello", "Is that so?", "Really?"):
        alive.ask(question, role="critic")
    onward = alive.ask("Is this a good plan?", role="critic").usage
    changed = alive.ask("And why?", role="mentor").usage

    assert onward.header == 0
    assert onward.reread <= 1, "the last token of an answer that was cut was drawn and never read"
    assert onward.prompt_tokens - onward.reused < 80
    assert changed.header > 300
    assert changed.reread <= 1
    alive.home.adapters.mkdir()
    tiny.adapter(alive.home.adapters / "me.gguf", Path(alive.engine.path))  # type: ignore[attr-defined]
    retold(alive, "id: critic\n", "id: critic\nadapter: {path: me.gguf, kind: alora}\n")
    adapted = alive.ask("And then?", role="critic")
    assert adapted.adapted
    assert alive.settle() >= adapted.usage.generated
    assert alive.settle() == 0
    assert alive.ask("Well?", role="mentor").usage.reread == 0


def test_a_conversation_goes_on_after_a_restart_without_reading_it_again(alive: Twin, tmp_path: Path) -> None:
    for question in ("Is this a good plan?", "And that one?"):
        alive.ask(question, role="critic")
    alive.close()  # keeps what was read
    conversation, length = alive.conversation, alive.archive.turns()[-1].usage.prompt_tokens
    core = str(tmp_path / "core.gguf")
    with Twin.open(tmp_path / "home", model=core, n_ctx=16384) as again:
        turn = next(event.turn for event in again.stream("And why?", role="critic", conversation=conversation)
                    if isinstance(event, Answered))

    assert turn.usage.reused >= length
    assert turn.usage.reread <= 1


def test_the_next_turn_sees_the_last_one_and_a_new_conversation_does_not(twin: Twin) -> None:
    twin.keeps_typed = False  # as own words it would be recalled there
    twin.ask("First question of mine?")
    twin.ask("Second question of mine?")
    list(twin.stream("Third question of mine?", conversation="another"))
    prompts = twin.engine.prompts  # type: ignore[attr-defined]

    assert "First question of mine?" in prompts[1].text
    assert "First question of mine?" not in prompts[2].text


def test_stopping_keeps_what_was_written(twin: Twin) -> None:
    told: list[str] = []
    events = []
    for event in twin.stream("What do I keep?", cancel=lambda: len(told) >= 3):
        events.append(event)
        if isinstance(event, Token):
            told.append(event.text)

    assert isinstance(events[-1], Interrupted)
    assert events[-1].turn.answer == "You keep your"
    assert [turn.status for turn in twin.archive.turns()] == ["interrupted"]


def test_a_turn_that_fails_says_why_and_stores_nothing(tmp_path: Path) -> None:
    with Twin.open(tmp_path, engine=ScriptedEngine(["never told"], n_ctx=500)) as twin:
        events = list(twin.stream("word " * 600))

        assert isinstance(events[-1], Failed)
        assert isinstance(events[-1].error, PromptTooLong)
        assert twin.archive.turns() == []
        with pytest.raises(PromptTooLong):
            twin.ask("word " * 600)


@pytest.mark.parametrize("question", ["", "  \n "])
def test_an_empty_question_is_refused(twin: Twin, question: str) -> None:
    with pytest.raises(UsageError, match="empty"):
        twin.ask(question)


def test_without_a_core_the_error_names_the_command_that_fetches_one(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_CACHE", str(tmp_path / "empty-cache"))
    with Twin.open(tmp_path / "home") as twin:
        twin.add([SAID])

        assert not twin.has("core")
        assert not twin.has("embedder")
        assert twin.recall("tomato seeds")[0].message_ids == ("m3",)
        assert twin.profile().own_messages == 2
        with pytest.raises(ModelMissing, match="twin models pull"):
            twin.ask("Which seeds?")


def test_the_same_conversations_again_change_nothing(twin: Twin) -> None:
    assert twin.add([SAID]).imported == 3
    again = twin.add([SAID])

    assert (again.imported, again.unchanged, again.reconciles) == (0, 3, True)
    assert twin.memory.count() == 3


def test_an_import_that_died_between_the_two_stores_is_mended(twin: Twin) -> None:
    """kill -9 after the archive's commit and before the index: what the archive lists makes recall complete again."""
    twin.archive.add([SAID])
    assert twin.archive.unindexed()[0] == 3

    assert twin.recall("tomato seeds")[0].message_ids == ("m3",)
    assert twin.archive.unindexed()[0] == 0


def test_vectors_come_to_messages_that_were_imported_before_the_embedder(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = monkeypatch
    cache.setenv("TWIN_CACHE", str(tmp_path / "empty"))
    with Twin.open(tmp_path / "home") as before:
        before.add([SAID])
    cache.delenv("TWIN_CACHE")
    with Twin.open(tmp_path / "home") as after:
        after.recall("plants that fruit red")

        assert after.memory.status().missing == 0


def test_a_dry_run_writes_nothing(twin: Twin, tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    note.write_text("# Сад\nЯ сею горох в марте.\n", "utf-8")
    report = twin.import_path(note, dry_run=True)

    assert report.imported == 1
    assert not twin.home.root.exists()


def test_an_own_constitution_replaces_the_shipped_one(twin: Twin) -> None:
    twin.home.create()
    (twin.home.root / "constitution.md").write_text("Ты двойник Вари.", "utf-8")
    twin.ask("Когда сеять?")

    assert "Ты двойник Вари." in twin.engine.prompts[0].prefix[1].text  # type: ignore[attr-defined]


def test_an_export_lands_in_the_home_for_its_owner_only(twin: Twin) -> None:
    twin.add([SAID])
    made = twin.export("prompt")

    assert made.path is not None
    assert made.path.read_text("utf-8") == made.text
    assert made.path.stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="prompt"):
        twin.export("papyrus")


def test_a_repr_shows_nothing_a_person_wrote(twin: Twin) -> None:
    twin.add([SAID])
    turn = twin.ask("Which tomato seeds do I buy?")
    shown = f"{twin!r} {turn!r} {turn.memories!r} {SAID!r} {SAID.messages!r} {twin.profile()!r}"

    assert not any(word in shown for word in ("tomato", "seeds", "посадки"))


@pytest.mark.parametrize("cut", range(1, 12))
def test_thoughts_are_told_apart_however_the_stream_is_cut(cut: int) -> None:
    told = "a<think>why</think>b < c"
    splitter, thought, answer = _Thoughts(), "", ""
    pieces = [told[n:n + cut] for n in range(0, len(told), cut)]
    for n, piece in enumerate(pieces):
        for kind, part in splitter.feed(piece, last=n == len(pieces) - 1):
            thought += part if kind is Thinking else ""
            answer += part if kind is Token else ""

    assert (thought, answer) == ("why", "ab < c")


def test_a_core_whose_answers_begin_inside_the_thoughts_is_heard_right() -> None:
    splitter = _Thoughts(prompt.FAMILIES["qwen3.5-thinking"].thinks)

    assert list(splitter.feed("why</think>b", last=True)) == [(Thinking, "why"), (Token, "b")]
