"""Turns of several roles, corrections and the prompt that would be asked, on real stores; the core is scripted."""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.test_cli import run
from twin import roles, verdict_text
from twin.asking import ABLE
from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import DeviceLost, UsageError
from twin.roles import Bilingual, CouncilPolicy, Instructions, Role, RoleAdapter, RoleMap, RoleSampling, Sections
from twin.types import (
    Answered,
    Conversation,
    Hypothesis,
    Interrupted,
    Message,
    Piece,
    Prompt,
    Recalled,
    Routed,
    Token,
    Weighed,
    to_plain,
)

SAID = Conversation("c1", (
    Message("m1", "user", "I never buy tomato seeds, I keep my own.", time=datetime(2025, 3, 3, tzinfo=UTC)),
), "garden", "messages")
CLAIMS = {"critic": "You keep your own seeds.", "mentor": "You keep your own seeds.", "scribe": "You buy 3 packets."}


def claims(asked: Prompt) -> str:
    if "JSON" not in "".join(segment.text for segment in asked.tail):
        return "A plain answer."
    return json.dumps({"evidence": [1] if asked.memories else [], "claim": CLAIMS.get(asked.role, "Unknown."),
                       "prediction": "", "falsifier": "", "unit": ""})


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "home", engine=ScriptedEngine(claims)) as opened:
        opened.add([SAID])
        yield opened


def prompts(twin: Twin) -> list[Prompt]:
    found: list[Prompt] = twin.engine.prompts  # type: ignore[attr-defined]
    return found


# ---- a council -----------------------------------------------------------------------------------------------------

def test_a_council_is_routed_recalled_heard_weighed_told_and_stored(twin: Twin) -> None:
    events = list(twin.stream("Which tomato seeds do I buy?", council=True, members=("critic", "mentor", "scribe")))
    kinds = [type(event) for event in events]

    assert kinds == [Routed, Recalled, Hypothesis, Hypothesis, Hypothesis, Weighed, Token, Answered]
    assert [event.role for event in events if isinstance(event, Hypothesis)] == ["critic", "mentor", "scribe"]
    turn = events[-1].turn if isinstance(events[-1], Answered) else None
    assert turn is not None
    assert turn.answer == "You keep your own seeds."
    assert twin.archive.turns() == [turn]
    assert turn.verdict is not None
    assert turn.verdict.calibrated == 0
    assert sum(one.weight for one in turn.verdict.opinions) + turn.verdict.none == pytest.approx(1)


def test_members_read_one_prefix_and_nothing_of_each_other(twin: Twin) -> None:
    twin.council("Which tomato seeds do I buy?", ["critic", "mentor", "scribe"])
    asked = prompts(twin)[-3:]

    assert asked[0].prefix == asked[1].prefix == asked[2].prefix
    assert len({one.tail for one in asked}) == 3
    assert not any(claim in one.text for one in asked for claim in CLAIMS.values())


def test_the_next_turn_goes_on_from_a_councils_answer(twin: Twin) -> None:
    twin.council("Which tomato seeds do I buy?", ["critic", "scribe", "mentor"])
    twin.ask("And why?", role="critic")
    last = prompts(twin)[-1]

    assert "You keep your own seeds." in last.text
    assert roles.header(twin.role_map.role("critic"), "en") in last.text, "its header was not read for the council"


def test_nobody_calls_a_council_unless_it_is_asked_for(twin: Twin) -> None:
    deep = "How do I make a system of experts that designs itself, weighs its hypotheses and changes its own router?"

    assert twin.ask(deep).verdict is None


def test_a_policy_calls_one_for_deep_questions(twin: Twin) -> None:
    twin.ask("hello")
    twin.role_book.apply(replace(twin.role_map, council=CouncilPolicy(on="policy", depth=5, max_n=2)), "owner")
    deep = twin.ask("How do I make a system of experts that designs itself and changes its own router?")
    flat = twin.ask("How do I sow peas?")

    assert deep.verdict is not None
    assert len(deep.verdict.hypotheses) == 2
    assert flat.verdict is None


def test_the_control_answers_with_one_role_to_as_many_tokens(twin: Twin) -> None:
    verdict = twin.council("Which tomato seeds do I buy?", ["scribe", "mentor", "critic"], control=True).verdict
    alone = verdict.control if verdict else None

    assert verdict is not None
    assert alone is not None
    assert alone.role == "scribe"
    assert alone.answer == "You buy 3 packets."
    assert abs(alone.tokens - verdict.tokens) <= alone.tokens / alone.samples


def test_a_control_that_fails_costs_nothing_but_itself(tmp_path: Path) -> None:
    def script(asked: Prompt) -> str:
        if len(engine.prompts) > 2:
            raise DeviceLost("The card is gone.", "Ask again.")
        return claims(asked)

    engine = ScriptedEngine(script)
    with Twin.open(tmp_path / "home", engine=engine) as twin:
        turn = twin.council("Which tomato seeds do I buy?", ["critic", "mentor"], control=True)

        assert turn.answer == "You keep your own seeds."
        assert turn.verdict is not None and turn.verdict.control is None
        assert turn.verdict.failed == {"(control)": "DeviceLost: The card is gone."}
        assert any("(control)" in line and "The card is gone." in line for line in verdict_text.remarks(turn.verdict))
        assert twin.archive.turns() == [turn]


@pytest.mark.parametrize("parameters", [0, int(ABLE)], ids=["medoid", "synthesis"])
def test_a_council_counts_all_that_was_read_and_when_the_first_was_heard(twin: Twin, parameters: int) -> None:
    class Shares(ScriptedEngine):
        """Three tokens of each prompt were in the cache."""

        def stream(self, *args: Any, **kwargs: Any) -> Iterator[Piece]:
            time.sleep(0.02)
            for piece in super().stream(*args, **kwargs):
                yield replace(piece, usage=piece.usage and replace(piece.usage, reused=3))

    engine = Shares(claims)
    engine.parameters = parameters
    with Twin.open(twin.home, engine=engine) as again:
        turn = again.council("Which tomato seeds do I buy?", ["critic", "mentor", "scribe"])
        read = sum(len(engine.tokenize(asked.text)) for asked in engine.prompts)

        assert len(engine.prompts) == 3 + bool(parameters)
        assert (turn.usage.prompt_tokens, turn.usage.reused) == (read, 3 * len(engine.prompts))
        assert 0.02 <= turn.usage.first_token_s < 2 / 3 * turn.usage.total_s
        assert again.archive.turns() == [turn]


def test_a_stopped_council_keeps_what_was_heard(twin: Twin) -> None:
    heard: list[object] = []
    for event in twin.stream("Which seeds?", council=True, members=("critic", "mentor", "scribe"),
                             cancel=lambda: any(isinstance(one, Hypothesis) for one in heard)):
        heard.append(event)
    last = heard[-1]

    assert isinstance(last, Interrupted)
    assert last.turn.status == "interrupted"
    assert last.turn.verdict is not None
    assert 1 <= len(last.turn.verdict.hypotheses) < 3
    assert twin.archive.turns() == [last.turn]


def test_a_member_sees_no_record_that_another_may_not_see(twin: Twin) -> None:
    """Records are recalled once, for all: what one role's scope shuts out is in nobody's prompt."""
    twin.ask("hello")
    file = twin.home.roles / "critic.md"
    narrow = "id: critic\nmemory: {exclude: [messages]}\n"
    file.write_text(file.read_text("utf-8").replace("id: critic\n", narrow), "utf-8")
    both = twin.council("Which tomato seeds do I buy?", ["critic", "mentor"])
    one = twin.council("Which tomato seeds do I buy?", ["scribe", "mentor"], conversation="b")

    assert "m1" not in str(both.memories)
    assert "m1" in str(one.memories)


def test_forgotten_words_leave_the_verdict_too(twin: Twin) -> None:
    turn = twin.council("Which tomato seeds do I buy?", ["critic", "mentor"])
    CLAIMS["critic"] = "You never buy tomato seeds, I keep my own."
    try:
        told = twin.council("Which tomato seeds do I buy?", ["critic", "mentor"], conversation="b")
    finally:
        CLAIMS["critic"] = "You keep your own seeds."
    proof = twin.forget("c1/m1")
    after = {one.id: one for one in twin.archive.turns()}

    assert "never buy tomato seeds" in str(to_plain(told.verdict))
    assert "never buy tomato seeds" not in str(to_plain(after[told.id].verdict))
    assert after[turn.id].memories == ()
    assert proof


def test_forgotten_words_leave_old_versions_of_the_role_map(twin: Twin) -> None:
    """The file in the folder is the person's to edit; the proof names it."""
    twin.ask("hello")
    file = twin.home.roles / "critic.md"
    plain = file.read_bytes()
    file.write_bytes(plain.replace(b"examples:\n", b"examples:\n  - I never buy tomato seeds, I keep my own.\n"))
    assert "never buy tomato" in str(twin.role_map.role("critic").examples)
    file.write_bytes(plain)
    assert "tomato" not in str(twin.role_map.role("critic").examples)
    proof = twin.forget("c1/m1")

    assert proof.clean
    assert [step.number for step in twin.role_book.history()] == [3, 2, 1]
    assert not any("tomato" in line for step in twin.role_book.history() for line in step.changes)


# ---- whom a message is for -----------------------------------------------------------------------------------------

def test_a_correction_is_learned_at_once_and_by_the_next_twin(twin: Twin) -> None:
    text = "Please moo like a walrus about my ledger"
    turn = twin.ask(text)
    other = "empiricist" if turn.route.role != "empiricist" else "architect"
    twin.correct(turn, other)

    assert twin.route(text).role == other
    with Twin.open(twin.home, engine=ScriptedEngine(claims)) as again:
        assert again.route(text).role == other


def test_a_label_belongs_to_something_that_was_asked(twin: Twin) -> None:
    turn = twin.ask("hello")
    with pytest.raises(UsageError, match="wizard"):
        twin.correct(turn, "wizard")
    with pytest.raises(UsageError, match="no turn"):
        twin.correct("nowhere", "critic")
    assert twin.archive.corrections() == []


def test_a_forgotten_turn_takes_its_correction_along(twin: Twin) -> None:
    turn = twin.ask("Please moo like a walrus")
    twin.correct(turn, "critic")
    twin.forget(f"twin:{turn.conversation}/{turn.id}")

    assert twin.archive.corrections() == []


def test_what_was_forgotten_is_quoted_by_no_route(twin: Twin) -> None:
    turn = twin.ask("Please moo like a walrus about my ledger")
    twin.correct(turn, "scribe")
    assert "walrus" in str(to_plain(twin.route("Moo like a walrus")))
    twin.forget(f"twin:{turn.conversation}/{turn.id}")

    assert "walrus" not in str(to_plain(twin.route("Moo like a walrus")))
    assert not any("walrus" in text for text in twin.asking.router(twin.role_map)._kept)


def test_a_correction_that_another_process_took_arrives(twin: Twin) -> None:
    text = "Please moo like a walrus about my ledger"
    turn = twin.ask(text)
    with Twin.open(twin.home, engine=ScriptedEngine(claims)) as other:
        for label in ("empiricist", "architect"):
            assert twin.route(text).role != label
            other.correct(turn, label)
            assert twin.route(text).role == label


def test_a_correction_is_learned_without_embedding_the_examples_again(twin: Twin) -> None:
    first, second = twin.ask("Please moo like a walrus"), twin.ask("Please moo like a seal")
    router = twin.asking.router(twin.role_map)
    for turn, label in ((first, "critic"), (second, "scribe"), (first, "mentor")):
        twin.correct(turn, label)

    assert twin.asking.router(twin.role_map) is router
    assert [twin.route(turn.question).role for turn in (first, second)] == ["mentor", "scribe"]


def test_no_text_is_no_message(twin: Twin) -> None:
    for bad in (None, 7, b"hello"):
        with pytest.raises(UsageError, match="is no text"):
            twin.route(bad)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="is no text"):
            twin.ask(bad)  # type: ignore[arg-type]


def test_a_broken_hand_edit_leaves_the_old_map_active(twin: Twin) -> None:
    twin.ask("hello")
    before = twin.role_map.version
    (twin.home.roles / "critic.md").write_text("---\nid: [\n---\n", "utf-8")
    turn = twin.ask("Is this a good plan?", role="critic")

    assert turn.role_map == before
    assert twin.role_book.refusal is not None
    assert "critic.md, line" in str(twin.role_book.refusal)


# ---- the prompt ----------------------------------------------------------------------------------------------------

def test_a_shown_prompt_is_what_would_be_asked_and_stores_nothing(twin: Twin) -> None:
    view = twin.show_prompt("Which tomato seeds do I buy?", "critic")
    twin.ask("Which tomato seeds do I buy?", "critic")

    assert "".join(part.text for part in view.parts) == prompts(twin)[-1].text
    assert len(twin.archive.turns()) == 1


# ---- sixteen of them -----------------------------------------------------------------------------------------------

def sixteen(core: Path, adapters: Path) -> RoleMap:
    """Half of them prompt only, half with an adapter, two of those plain LoRAs."""
    adapters.mkdir(parents=True)
    made = []
    for number in range(16):
        lora = None
        if number % 2:
            file = tiny.adapter(adapters / f"lora{number}.gguf", core, seed=number)
            lora = RoleAdapter(path=file.name, kind="lora" if number in (3, 7) else "alora", scale=0.1)
        made.append(Role(
            id=f"role{number:02}", title=Bilingual(en=f"Role {number}"), purpose=Bilingual(en=f"Thinks of {number}."),
            sections=Sections(en=Instructions(stance=f"You are number {number}.")), adapter=lora,
            sampling=RoleSampling(temperature=0.0, max_tokens=48), examples=(f"What of number {number}?",)))
    return RoleMap(tuple(made), council=CouncilPolicy(max_n=16))


@pytest.mark.slow
def test_sixteen_roles_with_and_without_adapters_tell_the_same_from_python_and_from_the_shell(tmp_path: Path) -> None:
    core = Catalog().path("smollm2-135m")
    question, told = "What of number 3?", {}
    for way in ("python", "shell"):
        home = tmp_path / way
        with Twin.open(home, model=str(core)) as twin:
            twin.role_book.apply(sixteen(core, twin.home.create().adapters), "owner")
            if way == "python":
                told[way] = [{"event": type(one).__name__, **to_plain(one)}
                             for one in twin.stream(question, council=True, n=16)]
    done = run("council", question, "-n", "16", "--events", "--model", core, home=tmp_path / "shell")
    told["shell"] = [json.loads(line) for line in done.stdout.splitlines()]
    python, shell = ([(one["event"], one.get("role"), one.get("text")) for one in told[way]] for way in told)

    assert done.returncode == 0, done.stderr
    heard = [one for one in python if one[0] == "Hypothesis"]
    turn = told["python"][-1]["turn"]
    assert len(heard) + len(turn["verdict"]["failed"]) == 16
    assert len(heard) >= 2
    assert python == shell
