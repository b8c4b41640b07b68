"""The core only says Yes or No; what counts is decided by what this very core earned on the catalogue's examples."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twin import profile, reader
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.facets import facets
from twin.types import Conversation, Message, Prompt

FACETS = facets()
WHY = "Why does the north bed dry out before the south one?"
SAID = Conversation("c1", (
    Message("m1", "user", f"{WHY} Thanks."),
    Message("m2", "assistant", "Why indeed! You always ask why."),
    Message("m3", "user", "> Why do they say so?\nThe pump is green."),
))
MESSAGES = [("c1", message) for message in SAID.messages if message.own]


def asked(prompt: Prompt) -> str:
    """The sentence a prompt puts to the core."""
    return prompt.prefix[-2].text


def sure_of(*sentences: str) -> ScriptedEngine:
    """A core that says Yes to the catalogue's supporting examples and to these sentences, No to all else."""
    yes = {one for facet in FACETS.values() for found in facet.supports.values() for one in found} | set(sentences)
    return ScriptedEngine(lambda prompt: "Yes" if asked(prompt) in yes else "No")


def read(engine: Any, **options: Any) -> tuple[list[reader.Key], list[profile.Point]]:
    batches = list(reader.read(engine, MESSAGES, FACETS, **options))
    assert len(batches) == 1
    return batches[0]


def test_a_sentence_the_core_affirms_becomes_a_point_on_the_stored_text() -> None:
    keys, points = read(sure_of(WHY))
    by_facet = {point.facet: point for point in points}

    assert keys == [("c1", "m1"), ("c1", "m3")]
    assert by_facet["asks_why"].probability == 1.0
    assert SAID.messages[0].text[by_facet["asks_why"].start:by_facet["asks_why"].end] == WHY


def test_a_core_that_says_yes_to_everything_gives_no_points() -> None:
    """Measured on a real 1.5B core: asked plainly it affirms nearly everything. Its Yes must not count then."""
    bars: dict[str, float] = {}
    _, points = read(ScriptedEngine(lambda _: "Yes"), bars=bars)

    assert points == []
    assert set(bars.values()) == {reader.OFF}


def test_what_was_quoted_or_said_by_the_assistant_is_never_put_to_the_core() -> None:
    engine = sure_of()
    read(engine)

    assert not any("Why do they say so" in prompt.text or "You always ask" in prompt.text for prompt in engine.prompts)


def test_bars_are_measured_once_and_kept() -> None:
    bars: dict[str, float] = {}
    first, second = sure_of(), sure_of()
    read(first, bars=bars)
    read(second, bars=bars)

    assert bars
    assert len(second.prompts) < len(first.prompts)


def test_a_bar_uses_no_example_it_shows_as_solved() -> None:
    """Otherwise the core would be judged on answers it was just given."""
    facet = FACETS["asks_why"]
    engine = sure_of()
    reader._bar(engine, facet, "en")

    for prompt in engine.prompts:
        assert prompt.text.count(asked(prompt)) == 1


def test_a_reading_that_is_cancelled_stores_nothing_of_its_batch() -> None:
    assert list(reader.read(sure_of(WHY), MESSAGES, FACETS, cancel=lambda: True)) == []


def test_points_raise_a_claim_and_are_kept_with_the_reading(tmp_path: Path) -> None:
    engine = sure_of(WHY)
    with Twin.open(tmp_path, engine=engine) as twin:
        twin.add([SAID])
        before, after = twin.profile(), twin.profile(read=10)
        asks = len(engine.prompts)
        again = twin.profile(read=10)

    claims = {claim.facet: claim for claim in after.claims}
    assert before.read_by_core == 0
    assert after.read_by_core == 2
    assert claims["asks_why"].origin == "rule+core"
    assert again == after
    assert len(engine.prompts) == asks


@pytest.mark.parametrize("embedder", [False, True])
def test_the_nearest_sentences_are_judged_first(embedder: bool, request: pytest.FixtureRequest) -> None:
    from tests.conftest import core_path
    from twin.embedder import MiniLM

    parts = MiniLM(core_path("minilm").parent) if embedder else None
    groups = reader._groups(reader._sentences(MESSAGES), FACETS, parts)
    nearest = {name: sentences[0].text for name, language, sentences in groups if language == "en"}

    assert nearest["asks_why"] == WHY


def test_a_real_small_core_reads_without_a_fault(smollm: Any) -> None:
    keys, points = read(smollm)

    assert len(keys) == 2
    assert all(0.0 <= point.probability <= 1.0 for point in points)
