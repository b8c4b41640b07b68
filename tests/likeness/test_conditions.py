"""Bits under conditions: scored where chat would write, in the prompt that is learned, on the same samples."""
from __future__ import annotations

import math
import tomllib
from importlib.resources import files
from typing import Any

import pytest

from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.likeness import Condition, general, measure, standard
from twin.likeness.conditions import PERSONA, asked
from twin.prompt import ALONE, example, with_memories
from twin.text import language
from twin.training.samples import Sample
from twin.types import Adapter, Recalled

OWN, OTHER = Adapter("own.gguf"), Adapter("other.gguf")
TALK = [Sample("Shall we paint the shed?", "blue, as the door was", conversation="a"),
        Sample("", "the paint is drying", conversation="a"),
        Sample("А забор?", "забор потом", header="You are the critic.", conversation="б")]


def recall(before: str) -> list[Recalled]:
    return [Recalled(("m",), "the door was blue", 1.0, "words")] if "shed" in before else []


def test_what_is_scored_is_the_prompt_that_is_learned() -> None:
    engine = ScriptedEngine([])
    for sample in TALK:
        learned = example("chatml", context=sample.context, answer=sample.answer, header=sample.header)
        scored = asked(engine, Condition("base"), sample)

        assert learned.text == scored.text + sample.answer + "<|im_end|>"
        assert scored.prefix == learned.prefix


def test_each_part_of_a_condition_is_in_its_prompt_and_in_no_other() -> None:
    engine = ScriptedEngine([])
    rows = {one.name: asked(engine, one, TALK[0]) for one in
            standard(about="They like blue.", recall=recall, own=OWN, other=OTHER)}

    assert list(rows) == ["base", "generic persona", "profile prompt", "+ recall", "+ own adapter",
                          "+ another's adapter", "own adapter", "another's adapter"]
    assert [name for name, one in rows.items() if "They like blue." in one.text] == list(rows)[2:6]
    assert [name for name, one in rows.items() if "the door was blue" in one.text] == list(rows)[3:6]
    assert [name for name, one in rows.items() if one.adapters == (OWN,)] == ["+ own adapter", "own adapter"]
    assert [name for name, one in rows.items() if one.adapters == (OTHER,)] == list(rows)[5::2]
    assert rows["own adapter"].text == rows["base"].text
    assert PERSONA["en"] in rows["generic persona"].text


def test_a_condition_whose_part_is_missing_is_left_out() -> None:
    assert [one.name for one in standard(tongue="ru")] == ["base", "generic persona"]
    assert standard(tongue="ru")[1].about == PERSONA["ru"]
    assert [one.name for one in standard(own=OWN)] == ["base", "generic persona", "own adapter"]
    assert {one.constitution for one in standard(about="a", constitution="Be brief.")} == {"Be brief."}


def test_memories_stand_where_chat_puts_them() -> None:
    engine = ScriptedEngine([])
    scored = asked(engine, Condition("r", recall=recall), TALK[0])
    first = asked(engine, Condition("r", recall=lambda _: recall("shed")), TALK[1])

    assert with_memories(TALK[0].context, recall("shed"), "en") in scored.text
    assert with_memories(ALONE, recall("shed"), "en") in first.text


def test_bits_are_summed_over_characters_and_compared_sample_by_sample() -> None:
    """The scripted core foresees what the prompt holds: a profile that quotes the person saves bits."""
    engine, told = ScriptedEngine([]), list[int]()
    base = measure(engine, Condition("base"), TALK, progress=lambda _, done, __: told.append(done))
    profile = measure(engine, Condition("profile", "blue, as the door was"), TALK)

    assert told == [1, 2, 3]
    assert base.characters == tuple(len(one.answer) for one in TALK)
    assert base.clusters == ("a", "a", "б")
    assert base.per_character.value == pytest.approx(sum(base.bits) / sum(base.characters))
    assert profile.saves(base).value == pytest.approx((sum(base.bits) - sum(profile.bits)) / sum(base.characters))
    assert profile.saves(base).value > 0
    assert profile.saves(profile) == (0, 0, 0)


def test_a_long_answer_is_cut_alike_everywhere() -> None:
    scored = measure(ScriptedEngine([]), Condition("base"), [Sample("", "word " * 300)], longest=100)

    assert scored.characters == (100,)


def test_a_stopped_measurement_is_shorter_and_compares_with_nothing() -> None:
    engine = ScriptedEngine([])
    base = measure(engine, Condition("base"), TALK)
    told = list[int]()
    stopped = measure(engine, Condition("own"), TALK, progress=lambda _, done, __: told.append(done),
                      cancel=lambda: len(told) == 2)

    assert len(stopped.bits) == 2
    with pytest.raises(UsageError, match="other samples"):
        stopped.saves(base)
    assert math.isnan(measure(engine, Condition("own"), TALK, cancel=lambda: True).per_character.value)


def test_an_empty_answer_is_an_error_and_no_zero() -> None:
    with pytest.raises(UsageError):
        measure(ScriptedEngine([]), Condition("base"), [Sample("Well?", "")])


def test_nothing_said_is_shown() -> None:
    scored = measure(ScriptedEngine([]), Condition("base", "They like blue."), TALK)

    assert "blue" not in repr(scored) + repr(Condition("c", "They like blue.", recall=recall)) + repr(TALK)


def test_general_text_is_in_both_languages_and_of_every_kind() -> None:
    table = tomllib.loads((files("twin") / "seed" / "general.toml").read_text("utf-8"))
    kinds = {tongue: {one["kind"] for one in table[tongue]} for tongue in table}
    lengths = [len(one.answer) for one in general()]

    assert kinds["en"] == kinds["ru"] == {"prose", "fact", "instruction", "dialogue", "argument", "code"}
    assert [len(table[tongue]) for tongue in ("en", "ru")] == [40, 40]
    assert min(lengths) >= 60
    assert max(lengths) <= 400
    assert len({one.answer for one in general()}) == 80
    assert all(language(one["text"]) == tongue for tongue in table for one in table[tongue] if one["kind"] != "code")


def test_a_real_core_reads_general_text_more_easily_than_noise(smollm: Any) -> None:
    """And alike each time: what an adapter costs is a difference of a few hundredths."""
    few = general()[:2]
    scored = measure(smollm, Condition("base"), few)
    noise = [Sample(one.context, one.answer[::-1]) for one in few]

    assert 0.3 < scored.per_character.value < 1.5
    assert measure(smollm, Condition("base"), noise).per_character.value > 2 * scored.per_character.value
    assert measure(smollm, Condition("base"), few).saves(scored).value == pytest.approx(0, abs=0.02)
