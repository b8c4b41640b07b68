"""The core only says Yes or No; what counts is decided by what this very core earned on the catalogue's examples."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twin import profile, reader
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.facets import facets
from twin.own_word import own_word
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
    """A core that says Yes to these sentences, No to all else."""
    return ScriptedEngine(lambda prompt: "Yes" if asked(prompt) in sentences else "No")


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


@pytest.mark.parametrize("text", [
    'Mend the commas: "I always ask why the north bed dries out before the south one." Thanks.',
    "My aunt says I ask why all the time and never listen.",
    "Пусть так: по словам тёти, я всё время спрашиваю почему.",
    "Я спрашиваю почему, шучу конечно.",
    "Let's practise, you are the customer. Why does this cheese cost so much?",
])
def test_traps_are_not_put_to_the_core_as_what_is_so(text: str) -> None:
    """Quoted, reported, joked, played: whatever stays of them is marked as supposed."""
    words = [one.text for one in own_word("c", Message("m", "user", text)) if not one.supposed]

    assert not any("спрашиваю" in one or "I ask" in one or "always ask" in one or "cheese" in one for one in words)


def test_a_case_that_is_thought_up_can_only_show_how_it_is_thought_up() -> None:
    supposed = Message("m", "user", "Suppose the pump stops in May. What happens to the beds then?")
    groups = reader._groups(own_word("c", supposed), FACETS, None)

    assert {name for name, _ in groups} <= {name for name, facet in FACETS.items() if facet.unit == "question"}


def test_a_facet_whose_examples_all_ask_is_not_looked_for_in_what_does_not() -> None:
    said = own_word("c", Message("m", "user", "The reason why the bed dries out is the slope."))

    assert "asks_why" not in {name for name, _ in reader._groups(said, FACETS, None)}


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
    reader._bar(engine, facet, FACETS)
    solved = {one for some in (*facet.supports.values(), *facet.rejects.values()) for one in some}

    assert len(engine.prompts) == reader.OTHERS
    assert not solved & {asked(prompt) for prompt in engine.prompts}


def test_the_cost_is_told_and_is_what_is_read() -> None:
    """Counted on the questions themselves: the same ones, none forgotten and none twice."""
    engine, counter = sure_of(), sure_of()
    told = reader.cost(counter, MESSAGES, FACETS)
    list(reader.read(engine, MESSAGES, FACETS))
    said = sum(len(engine.tokenize(asked(prompt))) for prompt in engine.prompts)

    assert (told.messages, told.batches) == (2, 1)
    assert told.tokens > said
    assert told.seconds is not None
    assert told.seconds >= 0.0
    assert reader.cost(sure_of(), [], FACETS) == reader.Cost(0, 0, 0, 0.0)


def test_a_core_that_passed_for_nothing_costs_nothing() -> None:
    bars = dict.fromkeys(FACETS, reader.OFF)

    assert reader.cost(sure_of(), MESSAGES, FACETS, bars=bars).tokens == 0


def test_a_reading_that_is_cancelled_stores_nothing_of_its_batch() -> None:
    assert list(reader.read(sure_of(WHY), MESSAGES, FACETS, cancel=lambda: True)) == []


def test_points_raise_a_claim_and_are_kept_with_the_reading(tmp_path: Path) -> None:
    other = "Why does the pump stall at night?"  # nothing is claimed from one conversation
    engine = sure_of(WHY, other)
    with Twin.open(tmp_path, engine=engine) as twin:
        twin.add([SAID, Conversation("c9", (Message("m9", "user", other),))])
        before, after = twin.profile(), twin.profile(read=10)
        asks = len(engine.prompts)
        once_more = twin.profile(read=10)

    claims = {claim.facet: claim for claim in after.claims}
    assert before.read_by_core == 0
    assert after.read_by_core == 3
    assert claims["asks_why"].origin == "rule+core"
    assert once_more == after
    assert len(engine.prompts) == asks


@pytest.mark.parametrize("embedder", [False, True])
def test_the_nearest_sentences_are_judged_first(embedder: bool, request: pytest.FixtureRequest) -> None:
    from tests.conftest import core_path
    from twin.embedder import MiniLM

    parts = MiniLM(core_path("minilm").parent) if embedder else None
    groups = reader._groups(reader._sentences(MESSAGES), FACETS, parts)
    nearest = {name: sentences[0].text for name, sentences in groups}

    assert nearest["asks_why"] == WHY


@pytest.mark.slow
def test_a_real_small_core_reads_without_a_fault(smollm: Any) -> None:
    keys, points = read(smollm)

    assert len(keys) == 2
    assert all(0.0 <= point.probability <= 1.0 for point in points)
