"""The probe's questions can be checked by code, a stopped run goes on, and the bench counts what it says it counts."""
from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny
from tests.bench import council as bench
from tests.bench import council_figures as figures
from twin import probe, roles, text
from twin.archive.probes import Probes
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.home import Home
from twin.probe import ProbeQuestion
from twin.roles import CouncilPolicy, RoleMap, RoleSampling
from twin.types import Hypothesis, Prompt, Verdict, never

SOME = probe.questions(200)
KINDS = {"arithmetic", "planted", "unanswerable"}


def said(claim: str, *evidence: int) -> str:
    """A brief answer of a member, as the grammar forces it."""
    return json.dumps({"evidence": list(evidence), "claim": claim}, ensure_ascii=False)


def truth(question: ProbeQuestion) -> str:
    return question.answer or ("Не известно." if question.language == "ru" else "Not known.")


def verdict(*claims: str) -> Verdict:
    return Verdict(tuple(Hypothesis(role, claim) for role, claim in zip("abcdef", claims, strict=False)), (), 0.0, 1.0)


# ---- the questions ---------------------------------------------------------------------------------------------------

def test_the_same_seed_asks_the_same_and_another_one_something_else() -> None:
    assert probe.questions(60, 1) == probe.questions(60, 1)
    ids = [{one.id for one in probe.questions(60, seed)} for seed in range(3)]
    texts = [{one.text + "".join(memory.text for memory in one.memories) for one in probe.questions(60, seed)}
             for seed in range(3)]
    assert not ids[0] & ids[1] and not texts[0] & texts[1] and not texts[1] & texts[2]


def test_fewer_questions_are_the_beginning_of_more() -> None:
    """A longer probe of a core goes on from a shorter one."""
    assert probe.questions(40) == SOME[:40]


def test_both_languages_and_all_kinds_are_there_in_the_shares_it_says() -> None:
    counts = Counter((one.kind, one.language) for one in SOME)
    assert counts == {(kind, language): n for kind, n in (("arithmetic", 40), ("planted", 40), ("unanswerable", 20))
                      for language in ("en", "ru")}
    assert all(text.language(one.text) == one.language for one in SOME)
    assert {one.form for one in SOME if one.kind == "planted"} == {"single", "newest", "both", "link"}
    assert len({(one.text, one.memories) for one in SOME}) == len({one.id for one in SOME}) == 200


def test_every_story_and_record_of_the_table_is_asked_and_filled_in() -> None:
    table = probe._table()
    many = probe.questions(1000, 7)
    assert {one.form for one in many if one.kind == "arithmetic"} == {story["answer"] for story in table["story"]}
    everything = [one.text for one in many] + [memory.text for one in many for memory in one.memories]
    assert not [one for one in everything if re.search(r"[{}|]", one)]
    for record in table["record"]:
        for language in ("en", "ru"):
            start = record[language]["asks"].split("{", 1)[0]
            assert any(one.text.startswith(start) for one in many), (record["name"], language)


def test_what_is_asked_stands_in_the_records_or_does_not() -> None:
    for one in SOME:
        told = "\n".join(memory.text for memory in one.memories)
        if one.kind == "arithmetic":
            assert not one.memories and int(one.answer) >= 1
        elif one.form == "both" and one.answer:
            assert sum(int(number) for number in re.findall(r"\d+", told)) >= int(one.answer)
        elif one.kind == "planted":
            assert one.answer in told and 3 <= len(one.memories) <= 6
        else:
            assert one.answer == ""


def test_an_unanswerable_question_names_a_thing_that_no_record_names() -> None:
    things = {thing for record in probe._table()["record"] for language in ("en", "ru")
              for thing in record[language]["things"]}
    for one in SOME:
        asked = {thing for thing in things if re.search(rf"\b{thing}\b", one.text)}
        told = {thing for thing in asked for memory in one.memories if re.search(rf"\b{thing}\b", memory.text)}
        if one.kind == "unanswerable":
            assert asked - told, one.text  # of two things, one is enough
        elif one.kind == "planted":
            assert told, one.text


def test_the_newest_record_on_a_thing_is_the_later_one() -> None:
    newest = [one for one in SOME if one.kind == "planted" and one.form == "newest"]
    for one in newest:
        times = [memory.time for memory in one.memories]
        assert None not in times and times == sorted(times, key=str)
        holding = [memory.text for memory in one.memories if one.answer in memory.text]
        assert holding[-1] in (memory.text for memory in one.memories[1:])
    assert newest


@pytest.mark.parametrize(("number", "form"), [(1, "книгу"), (2, "книги"), (4, "книги"), (5, "книг"), (11, "книг"),
                                              (21, "книгу"), (112, "книг"), (104, "книги")])
def test_russian_numbers_take_the_right_form(number: int, form: str) -> None:
    assert probe._counted("{n:книгу|книги|книг}", {"n": number}) == f"{number} {form}"


# ---- what is right ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("one", SOME, ids=lambda one: one.id)
def test_the_reference_answer_is_right_and_others_are_wrong(one: ProbeQuestion) -> None:
    assert probe.right(one, truth(one))
    assert not probe.right(one, "")
    assert not any(probe.right(one, other) for other in one.others if other != one.answer)
    if one.answer:
        assert not probe.right(one, "not known") and not probe.right(one, "В записях этого нет.")
    if one.answer.isdecimal():
        assert not probe.right(one, str(int(one.answer) + 1)) and not probe.right(one, f"{one.answer}0")


NUMBER = ProbeQuestion("n", "arithmetic", "en", "How many?", "36")
WORD = ProbeQuestion("w", "planted", "ru", "Где ключ?", "синий ящик", others=("корзина", "письменный стол"))
NOTHING = ProbeQuestion("u", "unanswerable", "en", "Where?", "")


@pytest.mark.parametrize("answer", ["36", "36 apples", "36.", "12 * 3 = 36", "12 * 3 = 36 euros", "It is 36.0",
                                    "thirty-six", "Тридцать шесть яблок.", "Ответ: 36", "36. That is 12 times 3.",
                                    "3*13-3=36", "12 + 12 = 24, 24 + 12 = 36", "12 times 3 is 36",
                                    "Answer: 36 of 40", "36 [2]"])
def test_a_number_is_read_out_of_a_short_answer(answer: str) -> None:
    assert probe.right(NUMBER, answer)


@pytest.mark.parametrize("answer", ["37", "12 * 3", "12 * 3 =", "36 - 4 = 32", "about", "sixty-three", "Answer: 12",
                                    "360", "3 and 6", "not known, perhaps"])
def test_another_number_or_none_is_wrong(answer: str) -> None:
    assert not probe.right(NUMBER, answer)


@pytest.mark.parametrize("answer", ["синий ящик", "Синий ящик.", "В синем ящике [1]", "ключ лежит в синем ящике"])
def test_a_value_is_found_in_any_case_of_the_noun(answer: str) -> None:
    assert probe.right(WORD, answer)


@pytest.mark.parametrize("answer", ["ящик", "корзина", "синий ящик или корзина", "не указано", "синий стол", ""])
def test_a_part_of_a_value_or_several_values_are_wrong(answer: str) -> None:
    assert not probe.right(WORD, answer)


@pytest.mark.parametrize("answer", ["Not known.", "unknown", "The records do not say it.", "There is no record of it",
                                    "I don't know", "не известно", "Неизвестно.", "Не знаю", "В записях этого нет",
                                    "нет данных", "не указано", "None", "The records don't mention it [1]",
                                    "not measured"])
def test_saying_that_nothing_is_known_is_right_only_where_nothing_is(answer: str) -> None:
    assert probe.right(NOTHING, answer)
    assert not probe.right(NUMBER, answer) and not probe.right(WORD, answer)


@given(st.integers(0, 999),
       st.sampled_from(["{}", "{}.", "= {}", "2 * 3 = {} kg", "Ответ: {} рублей", "{} [1]", "It is {}"]))
def test_any_number_is_right_alone_in_any_of_the_forms(n: int, form: str) -> None:
    question = ProbeQuestion("n", "arithmetic", "en", "How many?", str(n))
    assert probe.right(question, form.format(n))
    assert not probe.right(question, form.format(n + 1))


@given(st.text(max_size=80))
def test_judging_any_text_takes_no_harm_and_never_finds_two_truths(answer: str) -> None:
    assert not (probe.right(NUMBER, answer) and probe.right(NOTHING, answer))
    assert not (probe.right(WORD, answer) and probe.right(NOTHING, answer))


# ---- asking it -------------------------------------------------------------------------------------------------------

@pytest.fixture
def store(tmp_path: Path) -> Probes:
    return Probes(Home(tmp_path / "home"))


def test_a_stopped_run_goes_on_and_asks_nothing_twice(store: Probes) -> None:
    engine, role_map, asked = ScriptedEngine([]), roles.seed(), SOME[:12]
    heard: list[str] = []
    seen: list[tuple[int, int | None]] = []

    def ask(question: ProbeQuestion, cancel: Any) -> Verdict:
        heard.append(question.id)
        return verdict(truth(question), "4711", truth(question))

    stopped = probe.run(engine, store, role_map, ask, asked, cancel=lambda: len(heard) >= 5)
    assert stopped is None
    assert len(store.probes("scripted", probe.version(role_map))) == 4  # the one that was cut off is not kept
    made = probe.run(engine, store, role_map, ask, asked, progress=lambda _, done, of: seen.append((done, of)))
    assert made is not None and made.n == 12 and (made.core, made.role_map) == ("scripted", probe.version(role_map))
    assert Counter(heard) == Counter([one.id for one in asked] + [asked[4].id])
    assert seen[0] == (4, 12) and seen[-1] == (12, 12)
    again = probe.run(engine, store, role_map, ask, asked)
    assert again == made and len(heard) == 13


def test_answers_of_another_core_or_map_do_not_count(store: Probes) -> None:
    one = SOME[0]
    store.save_probe("core", "map", one.id, {"hypotheses": [], "failed": {}})
    keys = ("core", "map"), ("core", "other"), ("other", "map")
    assert [len(probe.outcomes(store, *key, SOME)) for key in keys] == [1, 0, 0]
    store.save_probe("core", "map", "a question that is not asked any more", {"hypotheses": []})
    assert len(probe.outcomes(store, "core", "map", SOME)) == 1


def test_only_what_a_role_says_and_how_it_is_drawn_asks_for_the_probe_anew() -> None:
    role_map = roles.seed()

    def changed(**change: object) -> str:
        return probe.version(RoleMap([role_map.roles[0].model_copy(update=change), *role_map.roles[1:]]))

    same = probe.version(role_map)
    assert changed(examples=()) == same == probe.version(RoleMap(role_map.roles, council=CouncilPolicy(max_n=2)))
    assert changed(sampling=RoleSampling(temperature=0.1)) != same != changed(id="zeta")


def test_what_is_kept_comes_back_as_it_was_said(store: Probes) -> None:
    question = next(one for one in SOME if one.kind == "planted" and one.language == "ru")
    heard = (Hypothesis("critic", "это \ud800 «да»", evidence=(1, 3)), Hypothesis("mentor", question.answer))
    probe.run(ScriptedEngine([]), store, roles.seed(), lambda *_: Verdict(heard, (), 0.0, 1.0), [question])
    (kept,) = probe.outcomes(store, "scripted", probe.version(roles.seed()), [question])
    assert kept.hypotheses[1:] == heard[1:] and kept.hypotheses[0].evidence == (1, 3)
    assert sorted(zip(kept.clusters, kept.right, strict=True)) == [((0,), False), ((1,), True)]
    assert (kept.id, kept.memories) == (question.id, question.memories)


def test_a_scripted_council_is_asked_through_the_same_door_as_a_real_one(store: Probes) -> None:
    role_map = roles.seed()
    known = {one.text: one for one in SOME[:4]}

    def answer(asked: Prompt) -> str:
        (question,) = [one for key, one in known.items() if key in asked.text]
        return said("12" if asked.role == "critic" else truth(question))

    engine = ScriptedEngine(answer)
    made = probe.run(engine, store, role_map, probe.asker(engine, role_map), SOME[:4])
    assert made is not None and made.n == 4
    assert {asked.role for asked in engine.prompts} == set(role_map.ids)
    heard = probe.outcomes(store, engine.id, probe.version(role_map), SOME[:4])
    assert all(len(one.hypotheses) == 6 and one.by_role["mentor"] for one in heard)


# ---- the bench -------------------------------------------------------------------------------------------------------

META = {"test": 8, "others": 8, "timed": 0, "languages": ["en", "ru"], "core": "made up", "date": "2025-01-01",
        "seeds": {"test": 1, "others": 2, "timed": 3}}


def results(council: list[bool], sampled: list[bool]) -> list[dict[str, Any]]:
    """A file in which members and samples are right or wrong as told, on each question; the wrong ones differ."""
    role_map = roles.seed()
    voices = [one.voice for one in bench.council_of(role_map)]

    def drawn(question: ProbeQuestion, voice: str, right: bool, place: int) -> dict[str, Any]:
        claim = truth(question) if right else f"{9000 + 7 * place} zebras"
        return {"voice": voice, "raw": said(claim), "finish": "stop", "tokens": 10, "prompt": 100, "reused": 60}

    others, test, _ = figures.asked_of(META)
    lines: list[dict[str, Any]] = [META]
    for part, some in (("others", others), ("test", test)):
        for one in some:
            line: dict[str, Any] = {"part": part, "question": one.id, "council": [
                drawn(one, voices[place], right, place) for place, right in enumerate(council)]}
            if part == "test":
                best = voices[council.index(True)]
                line |= {"routed": voices[1], "sampled": [
                    drawn(one, best, right, place) for place, right in enumerate(sampled)],
                    "greedy": [drawn(one, best, True, 0)]}
            lines.append(line)
    return lines


def test_a_council_that_is_always_right_beats_samples_that_are_half_right() -> None:
    found = figures.figures(results([True] * 8, [True, False] * 4))
    at_eight, at_one = found["table"][8], found["table"][1]
    assert at_eight["council"]["accuracy"] == at_eight["uniform"]["accuracy"] == 1.0
    assert at_eight["sampled"]["accuracy"] == 1.0  # four alike against four that differ
    assert at_one["sampled"]["accuracy"] == at_one["best"]["accuracy"] == 0.5
    assert found["gain"][1]["sampled"] == (0.5, 0.5, 0.5) and not found["on"]
    assert at_eight["council"]["tokens"] == 80 and at_one["council"]["tokens"] == 10


def test_the_default_follows_from_the_lower_bound_of_the_gain() -> None:
    found = figures.figures(results([True] * 8, [False] * 8))
    assert found["gain"][8]["sampled"] == (1.0, 1.0, 1.0) and found["on"]
    assert "beats the best voice sampled 8 times (+1.000 [+1.000, +1.000]); on by default: yes" in bench.told(
        found | {"made": META})
    worse = figures.figures(results([True] + [False] * 7, [True] * 8))
    assert worse["gain"][8]["sampled"][2] <= 0 and not worse["on"]
    assert "does not beat" in bench.told(worse)


def test_two_right_of_eight_that_differ_win_by_plurality_and_shuffling_costs_them_that() -> None:
    found = figures.figures(results([True, True] + [False] * 6, [True] + [False] * 7))
    row = found["table"][8]
    assert row["uniform"]["accuracy"] == 1.0 and row["any"]["accuracy"] == row["any_sampled"]["accuracy"] == 1.0
    assert row["shuffled"]["accuracy"] == pytest.approx(1 / 7)
    assert row["sampled"]["accuracy"] == pytest.approx(1 / 8)  # eight answers of one vote each: the mean over ties
    assert row["uniform"]["brier"] == pytest.approx((2 / 8 - 1) ** 2)
    assert found["table"][1]["council"]["accuracy"] == pytest.approx(2 / 8)
    assert found["alone"]["architect"] == 1.0 and found["alone"]["scribe"] == 0.0 and found["best"] == "architect"


def test_voices_that_err_together_are_one_vote() -> None:
    assert figures.correlation({"a": [True, False, True], "b": [True, False, True]}) == pytest.approx(1.0)
    assert figures.correlation({"a": [True, False] * 2, "b": [True, True, False, False]}) == pytest.approx(0.0)


def test_a_bench_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """The last line may be torn; what stands whole is not asked again; another making is refused."""
    role_map, path = roles.seed(), tmp_path / "r.jsonl"
    meta = {"test": 3, "others": 2, "timed": 1, "languages": ["en"], "core": "scripted"}
    known = {one.text: one for part in figures.asked_of(meta) for one in part}

    def answer(asked: Prompt) -> str:
        return said(truth(next(one for key, one in known.items() if key in asked.text)))

    engine, told = ScriptedEngine(answer), list[str]()
    bench.run(engine, role_map, bench.Results(path, meta), lambda _: "mentor", told.append)
    whole, asked = path.read_text("utf-8"), len(engine.prompts)
    assert asked == 2 * 8 + 3 * 17 + 2 * (1 + 2 + 4 + 8) and len(whole.splitlines()) == 7
    path.write_text(whole[:whole.rindex('{"part": "timed"') - 40], "utf-8")
    bench.run(engine, role_map, bench.Results(path, meta), lambda _: "mentor", told.append)
    assert len(engine.prompts) == asked + 17 + 30
    assert [{**json.loads(one), "seconds": 0} for one in path.read_text("utf-8").splitlines()] == [
        {**json.loads(one), "seconds": 0} for one in whole.splitlines()]
    with pytest.raises(UsageError, match="made otherwise"):
        bench.Results(path, meta | {"core": "another"})
    assert never() is False and any("3 of 3" in one for one in told)


def test_draws_read_what_they_share_once_and_each_header_once(tmp_path: Path) -> None:
    """The counters of a real engine, on a tiny core."""
    question = next(one for one in SOME if one.kind == "planted")
    with closing(bench.open_engine(str(tiny.core(tmp_path / "tiny.gguf", n_ctx_train=16384)), 16384)) as engine:
        critic, mentor, again = bench.draw(engine, roles.seed(), question, [
            bench.Member("critic"), bench.Member("mentor"), bench.Member("critic", 1)])
        opening = len(engine.tokenize(engine.family.opening, special=True))
        shared = len(engine.tokenize(question.memories[0].text))
    assert critic["reused"] == 0 and shared < mentor["reused"] < mentor["prompt"] - opening
    assert again["prompt"] - again["reused"] == opening


def test_sixteen_roles_would_read_the_conversation_once(tmp_path: Path) -> None:
    path = str(tiny.core(tmp_path / "tiny.gguf", n_ctx_train=8192))
    one, four = bench.child(path, 1), bench.child(path, 4)
    assert one["computed"] == one["prompt"] > bench.COST
    assert four["prompt"] - four["computed"] >= 3 * bench.COST
    assert four["computed"] < 2.5 * one["computed"]
