"""Depth 1..7: the owner's ladder, other fields and other wordings, and the ways to fool it.

The three labelled sets print their agreement beside the two dumb baselines (length, number of question marks):
`pytest tests/test_depth.py -s -k agreement`.
"""
from __future__ import annotations

import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.depth import agreement, anchors, cumulative, design, found_of, step, weighed
from tests.bench.depth import labelled as labelled_for_fit
from twin import scorecard
from twin.depth import RULES, SIGNALS, is_question, locate, rate, readings
from twin.errors import UsageError
from twin.types import digest

HERE = Path(__file__).parent


def labelled(name: str) -> list[tuple[str, int]]:
    table = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    rows = table.get("question") or table["questions"]
    return [(row.get("text") or row["question"], row["level"]) for row in rows]


# ---- agreement -----------------------------------------------------------------------------------------------------

def kappa(one: Sequence[int], other: Sequence[int]) -> float:
    """Quadratic weighted kappa over levels 1..7 (Cohen 1968)."""
    n, first, second = len(one), Counter(one), Counter(other)
    seen = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / n
    chance = sum(first[a] * second[b] * (a - b) ** 2 for a in first for b in second) / n**2
    return 1 - seen / chance


def by_rank(questions: Sequence[str], gold: Sequence[int], measure: Callable[[str], float]) -> list[int]:
    """A generous baseline: order by the measure, ties by hash (the files are sorted by level), then deal out the true
    levels in that order."""
    order = sorted(range(len(questions)), key=lambda i: (measure(questions[i]), digest(questions[i])))
    dealt = sorted(gold)
    return [dealt[order.index(i)] for i in range(len(questions))]


@pytest.mark.parametrize(("name", "exact", "near", "least"), [
    ("depth_labels", 0.88, 0.97, 0.93),   # tuned on
    ("sample_depths", 0.85, 0.95, 0.90),  # labelled by another hand, tuned on since; at first contact .63, .64, .37
    ("depth_heldout", 0.80, 0.88, 0.70),  # never tuned on
])
def test_agreement_with_labels(name: str, exact: float, near: float, least: float) -> None:
    """Length alone comes to .2-.5 (kappa)."""
    questions, gold = zip(*labelled(name), strict=True)
    found = [rate(question).step for question in questions]
    same = sum(map(int.__eq__, found, gold)) / len(gold)
    close = sum(abs(a - b) <= 1 for a, b in zip(found, gold, strict=True)) / len(gold)
    agreed, length, marks = kappa(found, gold), *(
        kappa(by_rank(questions, gold, measure), gold) for measure in (len, lambda q: q.count("?")))
    sys.stdout.write(f"\n{name}: n={len(gold)} exact {same:.3f} within one {close:.3f} kappa {agreed:.3f}"
                     f" | length {length:.3f} question marks {marks:.3f}\n")
    assert same >= exact
    assert close >= near
    assert agreed >= least
    assert agreed >= length + 0.15


def test_the_held_out_questions_are_not_among_the_tuned_ones() -> None:
    tuned = {question for name in ("depth_labels", "sample_depths") for question, _ in labelled(name)}
    assert not tuned & {question for question, _ in labelled("depth_heldout")}


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_level_has_labels_in_both_languages(language: str) -> None:
    rows = tomllib.loads((HERE / "depth_labels.toml").read_text(encoding="utf-8"))["question"]
    counts = Counter(row["level"] for row in rows if row["language"] == language)
    assert min(counts[level] for level in range(1, 8)) >= 6


# ---- the owner's ladder --------------------------------------------------------------------------------------------

LADDER = [
    (1, "how do I install it", "как это установить"),
    (1, "How do I install an LLM?", "Как поставить LLM?"),
    (2, "how do I run it on one GPU", "как запустить на одной видеокарте"),
    (2, "How do I run Qwen3 on 1 GPU?", "Как запускать Qwen3 на 1 видеокарте?"),
    (3, "how do I attach a part", "как присоединить деталь"),
    (3, "How do I connect a LoRA?", "Как подсоединить LoRA?"),
    (4, "how do I make two parts work together", "как заставить две части работать вместе"),
    (4, "How did other people really run Qwen? What came out?", "Как на деле другие запускали Qwen? Что получилось?"),
    (5, "how do I shape an architecture", "как выстроить архитектуру"),
    (6, "how do I direct thinking through experts and routing", "как вести мышление через экспертов и маршруты"),
    (6, "If I turn thinking up to 16 experts, how does that affect the council and the weighting of hypotheses "
        "with a 300k context on 8 GPUs?",
     "Если поднять мышление до 16 экспертов, как это отразится на совете и на взвешивании гипотез при контексте "
     "300k на 8 GPU?"),
    (7, "how does a system design itself", "как система проектирует себя"),
    (7, "How do I make a model able to design itself?", "Как получить модель, способную проектировать себя?"),
]


@pytest.mark.parametrize(("level", "english", "russian"), LADDER)
def test_the_owners_ladder_is_reproduced(level: int, english: str, russian: str) -> None:
    assert abs(rate(english).level - level) <= 0.5 and abs(rate(russian).level - level) <= 0.5


@pytest.mark.parametrize("question", [
    "What if I run one core and let the other 7 cards be utility agents?",
    "Что, если оставить одно ядро, а остальные 7 карт отдать подсобным агентам?"])
def test_one_core_and_seven_utility_cards_lean_over_five(question: str) -> None:
    assert rate(question).level >= 5.5


@pytest.mark.parametrize("question", [
    "If I turn thinking up to 16 experts, how does that affect the council and the weighting of hypotheses "
    "with a 300k context on 8 GPUs?",
    "Если поднять мышление до 16 экспертов, как это отразится на совете и на взвешивании гипотез при контексте "
    "300k на 8 GPU?",
    "If I turn service up to 16 cooks, how does that affect the brigade and the weighting of menus "
    "with a 300-guest banquet on 8 stoves?",
    "Если поднять зал до 16 пультов, как это отразится на дирижёре и на взвешивании партий при концерте "
    "на 300 мест в 8 залах?"])
def test_a_change_followed_into_two_effects_is_at_least_six_with_its_tree(question: str) -> None:
    found = rate(question)
    assert found.level >= 6
    assert found.tree.size >= 4


SWAPPED = [
    (1, "How do I install a {thing}?", ("stove", "hive", "lathe")),
    (3, "How do I connect a {thing}?", ("grill", "pump", "loudspeaker")),
    (4, "How do I make the {thing} and the {other} work together?", ("oven", "choir", "mule"), ("pan", "band", "cart")),
    (5, "How do I form the architecture of a {thing}?", ("kitchen", "festival", "farm")),
    (6, "How do I direct a {thing} through {other} and routing?", ("kitchen", "choir", "port"),
     ("cooks", "soloists", "pilots")),
    (7, "How do I make a {thing} able to design itself?", ("kitchen", "choir", "harbour")),
]


@pytest.mark.parametrize(("level", "form", "things", "others"), [(*row, ("",) * 3)[:4] for row in SWAPPED])
def test_other_nouns_leave_the_level(level: int, form: str, things: tuple[str, ...], others: tuple[str, ...]) -> None:
    """Depth is in the build of a question: a kitchen asks as deep as a model."""
    found = [rate(form.format(thing=thing, other=other)) for thing, other in zip(things, others, strict=True)]
    assert {one.step for one in found} == {level}
    assert max(one.level for one in found) - min(one.level for one in found) <= 0.7


@pytest.mark.parametrize(("english", "russian"), [
    ("How do I bake bread?", "Как испечь хлеб?"),
    ("Why does the dough stick?", "Почему липнет тесто?"),
    ("How do I make the cache and the queue work together when the network drops?",
     "Как сделать, чтобы кэш и очередь работали вместе при обрыве сети?"),
    ("What if we sold two of the four ovens and hired a second baker?",
     "Что, если продать две печи из четырёх и нанять второго пекаря?"),
    ("Can a library reorganise itself?", "Может ли библиотека перестроить себя?"),
])
def test_twins_in_two_languages_get_one_level(english: str, russian: str) -> None:
    assert rate(english).step == rate(russian).step


# ---- what must not fool it -----------------------------------------------------------------------------------------

RAMBLE = ("my neighbour says that everything depends on everything and that the whole system of the village affects "
          "the wells and the roads, her brother rewrites the rules every spring, we argued about budgets and "
          "trade-offs for three evenings, but anyway, ")
BOLTANKA = ("соседка говорит, что всё зависит от всего и что вся система посёлка влияет на колодцы и дороги, её брат "
            "каждую весну переписывает правила, мы три вечера спорили о бюджете и компромиссах, но короче, ")


@pytest.mark.parametrize(("story", "question"), [(RAMBLE, "how do I bake bread?"), (BOLTANKA, "как испечь хлеб?")])
def test_a_long_story_does_not_deepen_a_first_step(story: str, question: str) -> None:
    assert rate(question).step == rate(story + question).step == 1
    assert rate(story.rstrip(", ") + ". " + question.capitalize()).step == 1


def test_many_simple_questions_are_not_one_deep_question() -> None:
    found = rate("What is yeast? Where do I buy flour? Who sells salt? When do shops open? What is a sieve?")
    assert (found.step, found.signals["Q"]) == (1, 3)


@pytest.mark.parametrize("question", [
    "Can a law amend itself?", "Who judges the judge?", "Как школе менять саму себя?"])
def test_a_short_question_can_be_the_deepest(question: str) -> None:
    assert rate(question).step == 7


@pytest.mark.parametrize("question", [
    "Как изменить себя?", "Как научить себя рано вставать?", "How do I teach myself guitar?",
    "How does a bird build its own nest?", "How do I clean the oven itself?"])
def test_a_person_or_a_bird_is_no_self_designing_system(question: str) -> None:
    assert rate(question).step < 5


@pytest.mark.parametrize("question", [
    "What is system architecture?", "What is self-organization?", "Что такое баланс?"])
def test_naming_a_big_word_asks_one_fact(question: str) -> None:
    assert rate(question).step == 1


@pytest.mark.parametrize(("question", "dressed"), [
    ("Чем отличается ёж от ежа?", "ЧЕМ ОТЛИЧАЕТСЯ ЕЖ ОТ ЕЖА???"),
    ("How do I make RAG and LoRA work together?", "**how do I make `RAG` and \"LoRA\" work together**?!"),
    ("Как свет и звук влияют друг на друга?", "а как   свет и звук\u00a0влияют друг на друга"),
    ("What if I ran one core and kept the other 7 cards as agents?",
     "hi all, what if I ran one core — and kept the other 7 cards as agents…?"),
])
def test_case_yo_marks_and_punctuation_change_nothing(question: str, dressed: str) -> None:
    assert rate(question).step == rate(dressed).step
    assert abs(rate(question).level - rate(dressed).level) <= 0.3


def test_this_points_back_to_the_sentence_before() -> None:
    text = "We want to double the ovens. How would that affect the baker and the shop? Thanks!"
    found, start, end = locate(text)
    assert found.step >= 4
    assert text[start:end].startswith("We want") and text[start:end].endswith("shop?")


def test_the_span_is_the_deepest_question() -> None:
    text = "Привет! Где купить муку? Как печь и духовка влияют друг на друга? Спасибо."
    _, start, end = locate(text)
    assert text[start:end] == "Как печь и духовка влияют друг на друга?"


def test_code_and_quoted_lines_are_not_rated() -> None:
    quoted = "> How does a system design itself?\n```\nhow does a system design itself?\n```\n"
    assert rate(quoted + "Where is the salt?").step == 1
    assert not is_question(quoted)
    with pytest.raises(UsageError, match="no words"):
        rate(quoted)


# ---- form of the answer --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text", [
    "Опиши мой почерк", "объясни, как это работает", "подскажите, где касса", "how to sharpen a knife", "explain tides",
    "Хочу понять, откуда берётся ветер", "Is it far?", "Can you tell me the time", "Чем отличается лук от чеснока"])
def test_requests_and_interrogatives_are_questions(text: str) -> None:
    assert is_question(text)


@pytest.mark.parametrize("text", [
    "I planted carrots.", "Когда я пришёл, было темно.", "What a day.", "See https://example.org/?q=1 for more.", "",
    "Как мы и думали, дождь прошёл.", "Thanks, that helped."])
def test_statements_are_not_questions(text: str) -> None:
    assert not is_question(text)


@pytest.mark.parametrize(("text", "least"), [
    ("An adapter is not just a fine-tune, it is an architectural personality.", 3),
    ("I can do it on a small core if the structure of roles and experts is assembled as thinking.", 5),
    ("Роутер - это не переключатель, а то, что направляет мысль через роли и веса.", 3)])
def test_a_statement_is_a_thesis_with_a_wider_spread(text: str, least: int) -> None:
    found = rate(text)
    assert found.thesis and found.level - found.low >= 0.75
    assert found.step >= least


def test_the_asker_s_own_thinking_is_an_object() -> None:
    for text in ("Describe how I think, by my questions", "Опиши мой образ мыслей по моим вопросам"):
        found = rate(text)
        assert (found.step, found.signals["R"], found.thesis) == (5, 1, False)


@given(st.text(max_size=200))
def test_any_text_gets_a_level_or_a_named_error(text: str) -> None:
    try:
        found, start, end = locate(text)
    except UsageError:
        return
    assert 1 <= found.level <= 7
    assert set(found.signals) == set(SIGNALS)
    assert all(0 <= value <= 3 for value in found.signals.values())
    assert any(found.rule in rule for rule in RULES.values())
    assert 0 <= start < end <= len(text)
    assert found == rate(text)


def test_a_paste_without_full_stops_is_read_only_so_far() -> None:
    """Time grows with what is read: some 1 ms of processor time a question (tests/bench/depth.py), a paste no more."""
    paste = "если бы я и мы через это и то, " * 2000 + "как?"
    assert all(len(one.question) <= 1500 for one in readings(paste))
    assert rate(paste).tree.size < 200


# ---- anchors: rated by another hand, never seen by the rules before they were committed ------------------------------

def test_anchors_and_twins_agree_within_one_level() -> None:
    """At first contact .655 and .667; `tests/bench/depth.py fresh` prints the set that was never tuned on."""
    found = agreement(found_of(anchors("anchors"), step))
    assert found["within one"] >= 0.90
    assert found["twins within one"] >= 0.95


def test_every_interval_holds_its_level_and_theses_and_unknown_wording_are_less_sure() -> None:
    for row in anchors("anchors"):
        for tongue in ("en", "ru"):
            depth = rate(row[tongue])
            assert 1 <= depth.low <= depth.level <= depth.high <= 7
            assert depth.shown.rstrip("+") == str(depth.step)
    known = rate("How does a kitchen redesign itself?")
    unknown = rate("Kitchens and their frobnication, or what of it?")
    assert known.level - known.low < unknown.level - unknown.low
    thesis, question = rate("A kitchen redesigns itself."), rate("Does a kitchen redesign itself?")
    assert thesis.thesis and thesis.level - thesis.low > question.level - question.low


def test_intervals_hold_the_labels() -> None:
    """On what the scorecard was not fitted on they hold .90 of the labels (tests/bench/depth.py, `unseen`)."""
    rows = tomllib.loads((HERE / "depth_extra.toml").read_text(encoding="utf-8"))["chat"]
    held = [depth.low <= row["level"] <= depth.high for row in rows for depth in [rate(row["text"])]]
    assert sum(held) / len(held) >= 0.85


def test_the_shipped_weights_are_those_of_the_labels() -> None:
    """`python -m tests.bench.depth fit` writes them."""
    data = design(labelled_for_fit())
    start, weights = weighed(data, cumulative(data, np.ones(len(data.labels), bool)))
    shipped_start, shipped = scorecard.weights()
    assert start == pytest.approx(shipped_start, abs=0.01)
    assert weights.keys() == shipped.keys()
    assert max(abs(a - b) for name in weights for a, b in zip(weights[name], shipped[name], strict=True)) <= 0.02


@pytest.mark.parametrize(("shallow", "deep"), [
    ("How do I run it?", "How do I run it on one GPU?"),
    ("Как испечь хлеб?", "Как испечь хлеб без духовки?"),
    ("How do I make RAG and LoRA work together?",
     "If I make RAG and LoRA work together, how does that affect the memory and the answers?"),
    ("Как заставить две части работать вместе?", "Как выстроить архитектуру из двух частей?"),
    ("How do I design a kitchen?", "How does a kitchen redesign itself?"),
])
def test_a_condition_a_whole_or_a_self_added_never_makes_a_question_shallower(shallow: str, deep: str) -> None:
    assert rate(deep).level > rate(shallow).level


def test_levels_tell_questions_of_one_rung_apart() -> None:
    found = [rate(question).level for question, level in labelled("depth_labels") if level == 5]
    assert len(set(found)) > len(found) / 2


@pytest.mark.parametrize("text", [
    "When I was ten, we moved to York.", "Which is why I stopped.", "What I have is a shed.",
    "What I am sure of after this year: measure first.", "Design matters more than code.", "Propose or perish.",
    "Вряд ли это поможет.", "Едва ли не лучший год.", "Дай бог здоровья.", "Почему-то стало тихо.", "Где-то гремит.",
    "Отчего-то все молчат."])
def test_what_only_begins_like_a_question_asks_nothing(text: str) -> None:
    assert not is_question(text)
    assert rate(text).thesis


@pytest.mark.parametrize("text", [
    "how i can install it", "what should i do next", "When does the bus leave", "Где взять ключи",
    "почему липнет тесто", "Есть ли смысл чинить", "what you would do here", "Design a course for beginners.",
    "Which is better for frost"])
def test_a_question_needs_no_mark(text: str) -> None:
    assert is_question(text)
