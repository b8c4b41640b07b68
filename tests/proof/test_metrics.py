"""What is measured is what use would bring: the same roles and prompts, each text once. And the controls."""
from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from tests.proof import scene
from tests.proof.scene import BAKING, OFFICE, a_map, answers, kept, labels
from twin.engine.scripted import ScriptedEngine
from twin.evidence import Labelled, Said
from twin.proof import metrics
from twin.proof.controls import NGram, placebo
from twin.proof.metrics import Bits, Remembering, Under
from twin.role_parts import RoleAdapter
from twin.roles import RoleMap, header
from twin.types import Adapter, Prompt, Score


class Counting(ScriptedEngine):
    """Notes what is scored."""

    def __init__(self) -> None:
        super().__init__(lambda _: "An answer.")
        self.scored: list[tuple[str, float]] = []

    def score(self, prompt: Prompt, continuation: str, *, temperature: float = 1.0) -> Score:
        self.scored.append((prompt.text, temperature))
        return super().score(prompt, continuation, temperature=temperature)


ITEMS = answers(0, 4)


def test_only_what_a_change_touches_is_scored_under_both_maps() -> None:
    engine = Counting()
    found = metrics.pairs(Bits(engine), Under(a_map()), Under(a_map(form="Short.")), ITEMS)
    touched = [pair for pair in found if pair.touched]

    assert [pair.item for pair in found] == list(ITEMS)
    assert 0 < len(touched) < len(ITEMS)
    assert len(engine.scored) == 2 * len(touched)
    assert {pair.roles for pair in touched} == {("baker", "baker")}
    assert all(pair.gain == 0 for pair in found if not pair.touched)


def test_the_same_text_under_the_same_prompt_is_scored_once() -> None:
    engine = Counting()
    bits = Bits(engine)
    metrics.pairs(bits, Under(a_map()), Under(a_map(form="Short.")), ITEMS)
    spent, asked = bits.tokens, len(engine.scored)
    metrics.pairs(bits, Under(a_map()), Under(a_map(form="Short.")), ITEMS)

    assert (bits.tokens, len(engine.scored)) == (spent, asked)
    assert bits.drift() == 0


def test_a_core_forgets_between_prefixes_and_not_between_the_two_maps() -> None:
    """What was read before would shift the batches, and with them the figures."""
    class Keeping(Counting):
        def forget(self) -> None:
            self.scored.append(("forgets", 0.0))

    engine = Keeping()
    some = [kept(number, "so be it", place=place) for number in range(2) for place in range(2)]
    metrics.pairs(Bits(engine), Under(a_map()), Under(a_map(form="Short.")), some)
    told = engine.scored.copy()
    alone = Bits(engine)
    metrics.pairs(alone, Under(a_map()), Under(a_map(form="Short.")), some[:1])
    alone.drift()
    assert ["f" if text == "forgets" else "s" for text, _ in told] == list("fssfss")
    assert ["f" if text == "forgets" else "s" for text, _ in engine.scored[len(told):]] == list("fssfs")


def test_two_temperatures_are_two_readings_of_the_text_and_one_of_the_prompt() -> None:
    """All but the end of the prompt is its prefix then, which a core keeps; the text of the prompt is the same."""
    class Seeing(Counting):
        def score(self, prompt: Prompt, continuation: str, *, temperature: float = 1.0) -> Score:
            seen.append(prompt)
            return super().score(prompt, continuation, temperature=temperature)

    seen: list[Prompt] = []
    item, warm, cold = kept(1, "so be it"), Under(a_map()), Under(a_map(temperature=0.3))
    metrics.pairs(Bits(Seeing()), warm, cold, [item])
    metrics.pairs(Bits(Seeing()), warm, Under(a_map(form="Short.")), [item])

    usual = warm.asked(Counting(), item).prompt
    assert seen[0] == seen[1] and seen[0].text == usual.text
    assert (len(seen[0].tail), seen[2]) == (1, usual)


def test_items_with_the_same_context_are_scored_one_after_the_other() -> None:
    """So that a core reads what they share once."""
    engine = Counting()
    mixed = [kept(number % 3, f"text {number}", place=number) for number in range(9)]
    metrics.pairs(Bits(engine), Under(a_map()), Under(a_map(form="Short.")), mixed)
    contexts = [text.split("bread number ")[1][0] for text, _ in engine.scored]

    assert contexts == sorted(contexts)


def test_a_kept_answer_is_read_at_the_temperature_of_its_role_and_a_message_at_1() -> None:
    engine = Counting()
    message = Said("c", None, "m", "Well?", "I will wait for it.", "en", asked=BAKING[0])
    for item, temperature in ((kept(1, "so"), 0.4), (message, 1.0)):
        asked = Under(a_map(temperature=0.4)).asked(engine, item)
        assert asked.temperature == temperature
    assert Under(a_map(temperature=0.0)).asked(engine, kept(1, "so")).temperature == metrics.COLD


def test_the_message_before_says_who_would_have_answered_not_the_text_itself() -> None:
    under = Under(a_map())
    for before, role in ((BAKING[0], "baker"), (OFFICE[0], "clerk")):
        assert under.role(Said("c", None, "m", "Well?", BAKING[1], "en", asked=before)).id == role
    assert under.role(kept(1, "so", name="clerk")).id == "clerk"
    gone = Under(RoleMap((scene.role("baker", BAKING),)))
    assert gone.role(kept(1, "so", name="clerk")).id == "baker"  # whose messages go elsewhere now


def test_corrections_are_known_and_those_for_roles_that_are_gone_are_not() -> None:
    under = Under(a_map(), corrections=[("Is it done?", "clerk"), ("Is it cold?", "gone"), ("Hm?", "none")])
    assert under.route("Is it done?") == ("clerk", False)
    assert under.route("Hm?")[1]


def test_a_header_is_given_in_the_language_of_what_is_answered() -> None:
    item = Said("c", None, "m", "", "Да, подожду.", "ru", asked="Сколько ждать тесто?")
    asked = Under(a_map()).asked(Counting(), item)
    assert "Отвечай по-русски." in asked.prompt.text


def test_a_role_speaks_through_its_adapter_and_the_default_prompt_through_none() -> None:
    baker, clerk = a_map().roles
    adapted = RoleMap((baker.model_copy(update={"adapter": RoleAdapter(sha256="a" * 64, scale=0.5)}), clerk))
    under = Under(adapted, adapter=lambda named: Adapter("x.gguf", named.scale))

    assert under.asked(Counting(), kept(1, "so")).prompt.adapters == (Adapter("x.gguf", 0.5),)
    assert under.asked(Counting(), kept(1, "so"), header="", bare=True).prompt.adapters == ()
    assert metrics.touched(Counting(), Under(a_map()), under, [kept(1, "so")])


def test_right_is_the_role_that_was_said_and_for_nobody_to_abstain() -> None:
    items = (*labels(0, 4, BAKING, "baker"), Labelled("c", None, "t9", "zzz qqq", "none"),
             Labelled("c", None, "t10", BAKING[0], "gone"))
    found = metrics.choices(Under(a_map()), Under(a_map(baking=OFFICE, office=BAKING)), items)

    assert [one.right for one in found] == [(True, False)] * 4 + [(True, True)]
    assert metrics.rerouted(Under(a_map()), Under(a_map(baking=OFFICE, office=BAKING)), BAKING) == 1


def test_an_embedder_is_asked_once_for_a_text() -> None:
    class Lengths:
        id, dim, asked = "lengths", 1, 0

        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            self.asked += len(texts)
            return [[1.0] for _ in texts]

    inner = Lengths()
    remembering = Remembering(inner)
    assert remembering.embed(["a", "b", "a"]) == remembering.embed(["a", "b", "a"]) == [[1.0]] * 3
    assert inner.asked == 2


# ---- controls --------------------------------------------------------------------------------------------------------

def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_placebo_is_as_long_as_the_header_and_says_nothing_of_it(language: str) -> None:
    told = header(scene.role("baker", BAKING), language)
    neutral = placebo(told, language, words)

    assert abs(words(neutral) - words(told)) <= 5
    assert neutral.splitlines()[-1] == told.splitlines()[-1]  # the line that asks for the language stays
    assert set(scene.STANCE.split()).isdisjoint(neutral.split())


def test_an_n_gram_model_knows_what_it_has_seen_and_spells_what_it_has_not() -> None:
    model = NGram(["the dough rests for an hour", "the dough rests overnight"])
    known, new = "the dough rests for an hour", "jumping zebras vex quickly!"

    assert model.bits(known) / len(known) < 2 < model.bits(new) / len(new)
    assert NGram().bits("aaaaaaaaaa") < 10 * 16  # it learns while it reads
    before = model.bits("тесто подходит час")
    assert model.bits("тесто подходит час") < before


def test_shares_of_the_n_gram_model_sum_to_no_more_than_1() -> None:
    model = NGram(["abracadabra", "cadabra"])
    assert sum(model._share("bra", sign) for sign in "abcdr\n xyz") < 1
    assert math.isfinite(model.bits("x"))
