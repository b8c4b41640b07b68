"""What-if: what is asked is understood or refused, measured where it can be, in the ledger, and never applied."""
from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from tests import tiny
from twin import roles, whatif
from twin.archive import Archive
from twin.engine.scripted import ScriptedEngine
from twin.errors import CannotDo, ModelError, UsageError
from twin.evidence import Said
from twin.home import Home
from twin.ledger import Ledger, Verdict
from twin.proposals import Gain, Proof
from twin.roles import RoleMap
from twin.trying import interval, roles_against
from twin.types import Engine
from twin.whatif import Asked, Means, WhatIf, read, what_if

TIMES = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(Home(tmp_path / "home").create())


@pytest.fixture
def ledger(archive: Archive) -> Ledger:
    return Ledger(archive)


def asked(text: str) -> Asked:
    return read(text, roles.seed())


def proof(verdict: Any = "accepted", low: float = 0.02, **parts: Any) -> Proof:
    reason = {"en": "It needs 80 more turns.", "ru": "Нужно ещё 80 ходов."}
    made = Proof("p", "b", "e", {}, verdict, "S3", reason, TIMES,
                 gain=Gain("bits", 0.05, low, 0.99, 90, 20), needed=80)
    return replace(made, **parts)


# ---- what is asked -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("text", "kind", "n"), [
    ("16 roles", "roles", 16), ("16 ролей", "roles", 16), ("2 роли?", "roles", 2), ("1 role", "roles", 1),
    ("8 experts", "experts", 8), ("16 active experts", "experts", 16), ("16 активных экспертов", "experts", 16)])
def test_numbers_of_roles_and_experts_are_understood(text: str, kind: Any, n: int) -> None:
    assert asked(text) == Asked(kind, n)


@pytest.mark.parametrize("text", ["temperature 0.3 for critic", "Temperature 0.3 of Critic",
                                  "температура 0,3 для критик", "температура 0.3 для роли critic",
                                  "  temperature  0.3  for critic. ",
                                  '{"op": "set_sampling", "role": "critic", "field": "temperature", "value": 0.3}'])
def test_a_temperature_is_understood_in_both_languages_and_as_json(text: str) -> None:
    operation = asked(text).operation

    assert operation is not None
    assert operation.model_dump() == {"op": "set_sampling", "role": "critic", "field": "temperature", "value": 0.3}


@pytest.mark.parametrize(("text", "reason"), [
    ("10000 roles", "1 to 64"), ("0 roles", "1 to 64"), ("make it better", "no what-if"), ("", "no what-if"),
    ("temperature 9 for critic", "0 to 1.3"), ("temperature 0.3 for nobody", "nobody"),
    ('{"op": "edit_evaluator", "text": "always yes"}', "not an operation"), ("{", "not JSON"),
    ('{"op": "retire_role", "role": "nobody"}', "nobody")])
def test_what_cannot_be_asked_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        asked(text)


# ---- roles -------------------------------------------------------------------------------------------------------

def test_roles_are_measured_and_the_row_has_its_verdict(ledger: Ledger) -> None:
    engine = ScriptedEngine(lambda _: "one two three")
    found = what_if(asked("16 roles"), roles.seed(), Means(ledger, engine))
    read_more = found.figures[0]

    assert [one.name for one in found.figures] == ["read", "held", "seconds", "first"]
    assert len(engine.prompts) == 3 * (16 + 4)
    assert 3.9 < read_more.value < 4.1  # a script shares nothing
    assert found.entry == ledger.entry(found.entry.id)
    assert found.entry.measurements[0].value == read_more.value
    assert found.entry.prediction is not None
    assert found.entry.prediction.threshold == 4


def test_a_real_core_reads_what_roles_share_once(smollm: Engine) -> None:
    measured = roles_against(smollm, roles.seed(), 3, 1, lambda *_: None, lambda: False, repeats=1, words=100)
    figures = {one.name: one for one in measured}

    assert 1 < figures["read"].value < 2.5
    assert 1 < figures["held"].value < 2.5
    assert figures["seconds"].value > 0  # how much is the machine's affair: tests/bench/conversations.py


def test_the_prediction_stands_before_anything_is_measured(ledger: Ledger) -> None:
    seen: list[int] = []

    def answer(_: Any) -> str:
        seen.append(len([one for one in ledger.entries() if one.source == "what if: roles: 2"]))
        return "yes"

    what_if(asked("2 roles"), roles.seed(), Means(ledger, ScriptedEngine(answer)))

    assert set(seen) == {1}


def test_asked_twice_it_is_one_row_with_two_measurements(ledger: Ledger) -> None:
    means = Means(ledger, ScriptedEngine(lambda _: "yes"))
    first, second = (what_if(asked("2 roles"), roles.seed(), means) for _ in range(2))

    assert first.entry.id == second.entry.id
    assert len(second.entry.measurements) == 2


def test_without_a_core_the_row_stays_open_and_says_so(ledger: Ledger) -> None:
    found = what_if(asked("16 roles"), roles.seed(), Means(ledger))

    assert (found.figures, found.entry.verdict) == ((), "open")
    assert "Not measured:\n- All of it: no core is loaded" in found.say()
    assert "Не измерено:\n- Всё: ядро не загружено" in found.say("ru")


def test_it_says_what_it_did_not_measure(ledger: Ledger) -> None:
    found = what_if(asked("16 roles"), roles.seed(), Means(ledger, ScriptedEngine(lambda _: "yes")))

    assert "300 questions" in found.say()
    assert "2.1 for 16" in found.say()
    assert "300 вопросов" in found.say("ru")


def test_as_many_roles_as_there_are_is_no_question(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="that many roles as it is: 4"):
        what_if(asked("4 roles"), roles.seed(), Means(ledger))


def test_an_engine_that_fails_and_a_stop_are_told(ledger: Ledger) -> None:
    short = what_if(asked("16 roles"), roles.seed(), Means(ledger, ScriptedEngine([])))
    stopped = what_if(asked("16 roles"), roles.seed(), Means(ledger, ScriptedEngine(lambda _: "yes")),
                      cancel=lambda: True)

    assert "The script has 0 answers" in short.say()
    assert "stopped" in stopped.say()
    assert short.entry.verdict == stopped.entry.verdict == "open"
    assert (short.stopped, stopped.stopped) == (False, True)


# ---- experts -----------------------------------------------------------------------------------------------------

def said(n: int) -> Iterator[Said]:
    for place in range(n):
        yield Said(f"c{place // 3}", None, f"m{place}", "where is it", "in the shed behind the house", "en")


def test_experts_are_scored_on_the_persons_words(ledger: Ledger) -> None:
    class Fewer(ScriptedEngine):
        def score(self, prompt: Any, continuation: str, *, temperature: float = 1.0) -> Any:
            score = super().score(prompt, continuation, temperature=temperature)
            return replace(score, bits=tuple(bit + 1 for bit in score.bits))

    texts = tuple(said(30))
    found = what_if(asked("8 experts"), roles.seed(),
                    Means(ledger, ScriptedEngine([]), reopen=lambda _: Fewer([]), texts=texts))

    assert found.figures[0].value == pytest.approx(6 / len(texts[0].text))
    assert found.entry.verdict == "refuted"


def test_a_core_without_experts_says_so_itself(ledger: Ledger) -> None:
    def reopen(_: int) -> Engine:
        raise CannotDo("small.gguf is no mixture of experts.", "Leave it.")

    found = what_if(asked("8 experts"), roles.seed(),
                    Means(ledger, ScriptedEngine([]), reopen=reopen, texts=tuple(said(3))))

    assert "no mixture of experts" in found.say()
    assert found.entry.verdict == "open"


def test_a_mixture_is_measured_with_more_experts(ledger: Ledger, tmp_path: Path) -> None:
    from twin.engine.llama import LlamaEngine

    path = tiny.core(tmp_path / "core.gguf", "qwen3moe")

    def opened(experts: int | None = None) -> Engine:
        return LlamaEngine(path, n_ctx=512, trusted=True, experts=experts)

    with closing(opened()) as engine:
        found = what_if(asked("4 experts"), roles.seed(), Means(ledger, engine, reopen=opened, texts=tuple(said(4))))
        same = what_if(asked("2 experts"), roles.seed(), Means(ledger, engine, reopen=opened, texts=tuple(said(4))))
        many = what_if(asked("5 experts"), roles.seed(), Means(ledger, engine, reopen=opened, texts=tuple(said(4))))

    assert found.figures[0].value != 0
    assert same.figures[0].value == pytest.approx(0, abs=1e-9)
    assert "has 4" in many.say()


def test_experts_need_words_of_the_person(ledger: Ledger) -> None:
    found = what_if(asked("8 experts"), roles.seed(),
                    Means(ledger, ScriptedEngine([]), reopen=lambda _: ScriptedEngine([])))

    assert "none of yours to score yet" in found.say()


# ---- operations --------------------------------------------------------------------------------------------------

def test_an_operation_is_proven_and_its_gain_entered(ledger: Ledger) -> None:
    found = what_if(asked("temperature 0.3 for critic"), roles.seed(), Means(ledger, prove=lambda _: proof()))

    assert found.proof == proof()
    assert found.entry.verdict == "supported"
    assert [one.value for one in found.entry.measurements] == [1]
    assert "bits" in found.entry.measurements[0].environment
    assert "at least 0.020 with 99% certainty, n=90" in found.say()
    assert "не меньше 0.020 с уверенностью 99%, n=90" in found.say("ru")


@pytest.mark.parametrize("gain", [None, Gain("bits", 0.05, 0.02, 0.99, 90, 20)])
def test_a_rejection_was_measured_and_refutes_the_prediction(ledger: Ledger, gain: Gain | None) -> None:
    """Also where nothing but the counts are known, and where the gain is sure and something else got worse."""
    reason = {"en": "Of 109 messages 16 go wrong.", "ru": "Из 109 сообщений 16 уходят не туда."}
    found = what_if(asked("temperature 0.3 for critic"), roles.seed(),
                    Means(ledger, prove=lambda _: proof("rejected", gain=gain, stage="S2", reason=reason)))

    assert found.entry.verdict == "refuted"
    assert "Measured here:\n- Proof: Of 109 messages 16 go wrong." in found.say()
    assert "Измерено здесь:\n- Проверка: Из 109 сообщений 16 уходят не туда." in found.say("ru")
    assert "Not measured" not in found.say() and "Не измерено" not in found.say("ru")
    assert "опровергнуто" in found.say("ru")


def test_a_proof_that_was_stopped_is_told(ledger: Ledger) -> None:
    def prove(_: Any) -> Proof:
        raise ModelError("The proof was stopped.", "Prove again.")

    found = what_if(asked("temperature 0.3 for critic"), roles.seed(), Means(ledger, prove=prove), cancel=lambda: True)

    assert (found.stopped, found.entry.verdict) == (True, "open")
    assert "The proof was stopped." in found.say()


@pytest.mark.parametrize("text", ["1 role", "16 roles", "8 experts", "1 expert", "temperature 0.3 for critic"])
def test_a_claim_is_said_as_a_prediction_and_one_is_no_plural(ledger: Ledger, text: str) -> None:
    found = what_if(asked(text), roles.seed(), Means(ledger, prove=lambda _: proof()))

    assert found.say().startswith("Predicted: ")
    assert found.say("ru").startswith("Предсказано: ")
    for wrong in ("1 roles", "1 experts", "1 ролей", "1 экспертов", "Реестр"):
        assert wrong not in found.say() + found.say("ru")
    assert not re.search(r"\d,\d", found.say("ru")), "one way to write a number"


def test_too_little_data_leaves_the_row_open_and_tells_how_much_it_would_take(ledger: Ledger) -> None:
    found = what_if(asked("temperature 0.3 for critic"), roles.seed(),
                    Means(ledger, prove=lambda _: proof("unproven", math.nan)))

    assert found.entry.verdict == "open"
    assert "80 more turns" in found.say()
    assert "80 ходов" in found.say("ru")


def test_what_shows_only_in_use_is_not_proven(ledger: Ledger) -> None:
    found = what_if(asked('{"op": "set_placement", "role": "critic", "n_ctx": 4096}'), roles.seed(),
                    Means(ledger, prove=lambda _: pytest.fail("nothing to prove")))

    assert "only in use" in found.say()


@pytest.mark.parametrize("text", ["16 roles", "8 experts", "temperature 0.3 for critic",
                                  '{"op": "retire_role", "role": "critic"}'])
def test_nothing_is_ever_applied(archive: Archive, text: str) -> None:
    before = roles.seed()
    files = roles.to_files(before)
    with archive.map_log() as log:
        log.add(files, before.version, "owner")
    role_map: RoleMap = roles.from_files(files)

    found = what_if(read(text, role_map), role_map,
                    Means(Ledger(archive), ScriptedEngine(lambda _: "yes"), prove=lambda _: proof()))

    assert isinstance(found, WhatIf)
    assert roles.to_files(role_map) == files
    assert [one.version for one in archive.map_entries()] == [before.version]
    assert found.entry.id in {one.id for one in Ledger(archive).entries()}


def test_a_notebook_shows_words_not_markup(ledger: Ledger) -> None:
    found = what_if(asked("temperature 0.3 for critic"), roles.seed(),
                    Means(ledger, prove=lambda _: proof("unproven", reason={"en": "<b>a & b", "ru": "<b>"})))
    shown = found._repr_html_()

    assert "&lt;b&gt;a &amp; b" in shown
    assert "<b>" not in shown


def test_an_interval_of_equal_ratios_is_their_value_and_of_one_unknown() -> None:
    assert (interval("read", [2.0, 2.0, 2.0]).low, interval("read", [2.0, 2.0, 2.0]).high) == (2.0, 2.0)
    assert math.isnan(interval("read", [2.0]).low)
    spread = interval("read", [1.0, 2.0, 3.0])
    assert (spread.low, spread.high) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))


def test_the_words_stand_in_both_languages() -> None:
    from twin import trying

    assert whatif._WORDS["en"].keys() == whatif._WORDS["ru"].keys()
    assert trying._NAMES["en"].keys() == trying._NAMES["ru"].keys()
    assert set(get_args(Verdict)) == whatif._VERDICTS.keys()
