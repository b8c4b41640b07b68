"""The data and the checks of tests/bench/layout.py: a bench whose checker errs proves nothing."""
from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.bench import layout
from tests.bench.layout import CHECKS, Item, Outcome, compare, judge
from twin.engine.scripted import ScriptedEngine
from twin.text import language

DATA = tomllib.loads((Path(layout.__file__).with_suffix(".toml")).read_text("utf-8"))
ITEMS = layout.items_of(DATA)
CHECKED = DATA["role"] + DATA["question"]


def spaced() -> list[Item]:
    return [item for item in ITEMS if item.between]


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row["id"])
def test_each_check_tells_a_good_answer_from_a_bad_one(row: dict[str, Any]) -> None:
    assert judge(row["check"], row["passes"]) is True
    assert judge(row["check"], row["fails"]) is False
    assert judge(row["check"], " \n") is False


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row["id"])
def test_a_verdict_before_the_end_is_the_verdict_at_the_end(row: dict[str, Any]) -> None:
    """The bench stops an answer once its check is decided; that must not change the count."""
    for answer in (row["passes"], row["fails"], *(said for _, said in row.get("between", ()))):
        early = {judge(row["check"], answer[:n], ended=False) for n in range(len(answer) + 1)} - {None}
        assert early <= {judge(row["check"], answer)}, answer


@pytest.mark.parametrize("name", CHECKS)
def test_no_check_is_unused_and_so_untried(name: str) -> None:
    assert any(row["check"]["name"] == name for row in CHECKED)


@pytest.mark.parametrize(("check", "passes", "fails"), [
    ({"name": "language", "of": "ru"}, "Для таблиц возьмите библиотеку NumPy.", "Use NumPy и Python."),
    ({"name": "language", "of": "en"}, "The Russian word for a tomcat is кот, they say.", "42"),
    ({"name": "sentences", "most": 1}, "It costs 3.5 euros!", "One\nTwo"),
    ({"name": "words", "most": 3}, "a well-known 3.5", "one two three four"),
    ({"name": "bullets", "count": 2}, "• раз\n\n• два", "-раз\n-два"),
    ({"name": "json_object", "key": "a"}, '{"a": 1} as asked', '["a"]'),
    ({"name": "json_object", "key": "a"}, '```\n{"a": {"b": 2}}```', '{"a": "cut'),
    ({"name": "numbered", "least": 2}, "1) раз\n2) два", "1. one step only"),
    ({"name": "begins", "text": "Да"}, "«Да», так и есть", "Нет, да"),
    ({"name": "ends", "pattern": "\\bover"}, "Hold on. **Over**.", "Start again, moreover"),
    ({"name": "upper"}, "ДА, 5!", "5!"),
    ({"name": "mentions", "pattern": "\\d"}, "about 5", "about five"),
    ({"name": "lacks", "pattern": "\\b(?-i:I)\\b"}, "It is i.e. small", "So I went"),
    ({"name": "number", "value": -2.5}, "1 - 3,5 = -2,5", "no number"),
    ({"name": "says", "pattern": "ол[яи]"}, "ОЛЯ", "Коля"),
])
def test_a_check_draws_its_line_where_it_says(check: dict[str, Any], passes: str, fails: str) -> None:
    assert judge(check, passes) is True
    assert judge(check, fails) is False


def test_there_are_as_many_items_as_the_figures_rest_on() -> None:
    counts = Counter(item.kind for item in ITEMS)

    assert counts.pop("accuracy") == 60
    assert set(counts) == {"language", "length", "format", "step", "persona-free"}
    assert min(counts.values()) >= 20
    assert counts.total() >= 100
    assert len(spaced()) == 40


def test_half_of_what_is_asked_is_russian() -> None:
    for kind in {item.kind for item in ITEMS}:
        asked = [language(item.question) for item in ITEMS if item.kind == kind]
        assert asked.count("ru") == asked.count("en") == len(asked) / 2, kind


def test_the_language_to_answer_in_does_not_follow_the_question() -> None:
    pairs = Counter((item.check["of"], language(item.question)) for item in ITEMS if item.kind == "language")

    assert len(pairs) == 4
    assert min(pairs.values()) >= 4


def test_nothing_stands_twice() -> None:
    """Two items of one id would be one pair; a question asked twice would count twice."""
    asked = [item.question for item in ITEMS] + [ask for row in DATA["role"] for ask, _ in row.get("between", ())]
    for names in (asked, [item.id for item in ITEMS], [row["header"] for row in DATA["role"]]):
        assert [name for name, n in Counter(names).items() if n > 1] == []


def test_headers_are_as_long_as_those_of_real_roles() -> None:
    """15-60 tokens: a Russian word is about two of them, an English one a little more than one."""
    lengths = {row["id"]: len(re.findall(r"\w+", row["header"])) for row in DATA["role"]}

    assert {id_: n for id_, n in lengths.items() if not 12 <= n <= 45} == {}


@pytest.mark.parametrize("row", [row for row in DATA["role"] if "between" in row], ids=lambda row: row["id"])
def test_the_answers_between_obey_their_header(row: dict[str, Any]) -> None:
    """Else a header some turns back would be blamed for bad examples."""
    assert len(row["between"]) == 6
    assert [said for _, said in row["between"] if not judge(row["check"], said)] == []


def test_the_history_obeys_no_header() -> None:
    """It is plain talk: an item must not be passed by going on as before."""
    said = [text for lines in DATA["history"].values() for speaker, text in lines if speaker == "assistant"]
    strict = [row for row in DATA["role"] if row["check"]["name"] not in ("language", "lacks", "sentences", "mentions")]

    assert [(row["id"], text) for row in strict for text in said if judge(row["check"], text)] == []


def test_the_layouts_differ_only_in_where_the_header_stands() -> None:
    item = spaced()[0]
    prompts = [layout.last(item, "chatml"), layout.first(item, "chatml"), layout.turns_back(item, "chatml", 1)]
    for prompt in prompts:
        assert prompt.text.count(item.header) == prompt.text.count(item.question) == 1
    places = [prompt.text.index(item.header) - prompt.text.index(item.question) for prompt in prompts]

    assert places[0] > 0 > places[2] > places[1]
    assert prompts[0].text.replace(f"<|im_start|>system\n{item.header}<|im_end|>\n", "") == \
        prompts[1].text.replace(f"\n\n{item.header}", "")


@pytest.mark.parametrize("k", [1, 3, 6])
def test_a_header_k_turns_back_is_followed_by_k_answers(k: int) -> None:
    item = spaced()[0]
    after = layout.turns_back(item, "chatml", k).text.split(item.header)[1]

    assert after.count("<|im_start|>assistant\n") == k + 1  # the last one is to be written


def test_the_interval_knows_certainty_and_doubt() -> None:
    yes, no, each = [True] * 40, [False] * 40, [str(n) for n in range(40)]
    same, better = compare(yes, yes, each), compare(yes, no, each)
    mixed = compare([True, False] * 20, [False, True] * 20, each)

    assert (same.points, same.low, same.high, same.verdict) == (0, 0, 0, "no worse")
    assert (better.points, better.only_one, better.only_other) == (100, 40, 0)
    assert compare(no, yes, each).verdict == "worse"
    assert (mixed.points, mixed.only_one, mixed.only_other, mixed.verdict) == (0, 20, 20, "open")
    assert -40 < mixed.low < -20 < 20 < mixed.high < 40  # normal: 1.96 * 100 / sqrt(40) = 31


def test_items_of_one_header_count_as_less_than_as_many_headers() -> None:
    one, other = [True] * 20 + [False] * 20, [False] * 20 + [True] * 20
    alone, together = (compare(one, other, [str(n // size) for n in range(40)]) for size in (1, 4))

    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_an_answer_is_stopped_once_its_check_is_decided() -> None:
    """Writing is the slow half of the bench; the words after a broken limit tell nothing."""
    item = next(item for item in ITEMS if item.group == "headline-writer")
    engine = ScriptedEngine(["word " * 60, "Short and true."])
    long, short = (layout.ask(engine, "last", item, layout.last(item, "chatml")) for _ in range(2))

    assert (long.passed, short.passed, short.answer) == (False, True, "Short and true.")
    assert 13 <= long.written <= 14


def test_the_table_counts_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    found = {name: [Outcome(name, item.id, item.kind, passed(item), "", 30, 10, 1.5) for item in items]
             for name, items, passed in (("last", ITEMS, lambda _: True),
                                         ("first", ITEMS, lambda item: item.kind != "length"),
                                         ("1 back", spaced(), lambda item: item.kind == "length"),
                                         ("returning", spaced(), lambda _: True),
                                         ("reminded", spaced(), lambda item: item.kind != "length"))}
    layout.report("a core", ITEMS, found)
    lines = {line[2:16].strip(): line[16:].split() for line in capsys.readouterr().out.splitlines()}

    assert lines["length"][:4] == ["22", "100.0", "0.0", "+100.0"]
    assert lines["adherence"][:4] == ["110", "100.0", "80.0", "+20.0"]
    assert lines["accuracy"] == ["60", "100.0", "100.0", "+0.0", "[", "+0.0,", "+0.0]", "0", "/", "0", "no", "worse"]
    assert lines["first"] == ["170", "5100", "1700", "255", "30"]
    assert lines["1 back"] == ["40", "1200", "400", "60", "30"]
