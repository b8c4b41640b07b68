"""Flat paraphrases, pairs of flat and own, and a flat question asked the person's own way."""
from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from twin.cues import plain
from twin.depth import rate
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.lift import FLAT, contrast, flatten, lift
from twin.person import Claim, Evidence
from twin.phrases import actions, content, infinitive, things
from twin.profile import build
from twin.text import language
from twin.types import Message

DEEP = {
    "en": ["If I move the greenhouse to the roof, how does that affect the water supply and the heating?",
           "If we close the workshop on Mondays, how does that affect the orders and the apprentices?",
           "Has anyone really built a cellar in clay, and what came out?",
           "How do I design a market garden that redesigns itself every year?"],
    "ru": ["Если я перенесу теплицу на крышу, как это повлияет на водоснабжение и отопление?",
           "Если закрыть мастерскую по понедельникам, как это повлияет на заказы и учеников?",
           "Кто-нибудь на самом деле строил погреб в глине, и что вышло?",
           "Как научить хозяйство самому менять собственное устройство?"],
}
FLATS = {"en": ["How do I water tomatoes?", "What is a root cellar?", "How to store apples?"],
         "ru": ["Как поливать помидоры?", "Что такое погреб?", "Как хранить яблоки?"]}


def person(*said: str):
    return build([(f"talk {n}", Message(f"m{n}", "user", one)) for n, one in enumerate(said)])


def quoting(*said: str) -> Claim:
    return Claim("follows_conditions", "Asks what follows.", "inferred", 0.5,
                 tuple(Evidence(one, f"talk {n}", f"m{n}", 0, len(one)) for n, one in enumerate(said)))


# ---- what a question does and names --------------------------------------------------------------------------------

@pytest.mark.parametrize(("question", "flat"), [
    ("If I turn the oven up to 250 degrees, how does that affect the crust and the crumb?",
     "How do I turn the oven up?"),
    ("What if we sold the tractor and bought two horses?", "What is the tractor?"),
    ("How do I steer a choir through its section leaders and their habits?", "How do I steer a choir?"),
    ("How did people really restore a Zeiss, what came out?", "How do I restore a Zeiss?"),
    ("How do I make JIT and GC work together?", "What is JIT?"),
    ("How do I make a council able to design itself?", "What is a council?"),
    ("Why does a violin sound so dark in a wooden hall?", "What is a violin?"),
    ("Если я перенесу 3 улья на крышу, как это повлияет на сбор и соседей?", "Как перенести ульи?"),
    ("Как направлять хор через старост и их привычки?", "Как направлять хор?"),
    ("Как сделать, чтобы оркестр и старая школа работали вместе?", "Что такое оркестр?"),
    ("А как на самом деле люди запускали Zeiss? Что вышло?", "Как запускать Zeiss?"),
    ("Как сформировать устройство нашей школы целиком?", "Что такое устройство?"),
    ("Как дирижёр управляет сотней музыкантов через концертмейстеров?", "Кто такой дирижёр?"),
])
def test_a_deep_question_becomes_the_flat_one_that_does_or_names_the_same(question: str, flat: str):
    assert flatten(question, "ru" if language(question) == "ru" else "en") == flat


@pytest.mark.parametrize("tongue", ["en", "ru"])
def test_a_flat_paraphrase_is_flat_in_the_same_language_and_shares_a_word(tongue: str):
    for question in DEEP[tongue]:
        flat = flatten(question, tongue)
        assert flat.endswith("?") and language(flat) == tongue
        assert rate(flat).step <= FLAT < rate(question).step
        assert set(content(flat)) & set(content(question))


@pytest.mark.parametrize("question", ["Why?", "What came of it in the end?", "Почему так?", "И что дальше?"])
def test_where_nothing_is_named_there_is_no_flat_paraphrase(question: str):
    assert flatten(question, "ru" if language(question) == "ru" else "en") == ""


def test_a_verb_that_wants_more_than_its_object_is_not_cut_short():
    assert [action for action, _ in actions("How do I combine the choir, the organ and the bells?", "en")] == []
    assert [action for action, _ in actions("Как связать хор, орган и колокола?", "ru")] == []


def test_a_russian_thing_takes_the_case_it_is_asked_for():
    thing, = things("Как открыть новую пекарню?", "ru")
    assert [thing.cased(case) for case in ("nomn", "gent", "datv", "accs", "ablt")] == [
        "новая пекарня", "новой пекарни", "новой пекарне", "новую пекарню", "новой пекарней"]
    name, = things("Как настроить LoRA?", "ru")
    assert name.cased("ablt") == "LoRA"


def test_only_a_plain_how_do_i_gives_an_infinitive():
    assert infinitive("So how can I best store apples in winter?", "en") == "store apples in winter"
    assert infinitive("Как лучше хранить яблоки зимой?", "ru") == "хранить яблоки зимой"
    assert infinitive("How does rain form?", "en") == "" and infinitive("Как работает насос?", "ru") == ""


# ---- pairs ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("tongue", ["en", "ru"])
def test_a_contrast_takes_the_deepest_question_of_the_claim(tongue: str):
    deep, deepest = DEEP[tongue][2], DEEP[tongue][0]
    pair = contrast(person(deep, deepest), quoting(deep, deepest))
    assert pair is not None and pair.own.quote == deepest
    assert rate(pair.flat).level < rate(deepest).level
    assert deepest not in repr(pair) and pair.flat not in repr(pair)


def test_a_claim_without_questions_or_with_flat_ones_only_has_no_contrast():
    said = "I moved the greenhouse to the roof."
    assert contrast(person(said), quoting(said)) is None
    flat = "How do I water tomatoes?"
    assert contrast(person(flat), quoting(flat)) is None


@pytest.mark.parametrize(("own", "flat"), [
    ("If I run the core on two machines, how does that affect the memory and the heat?", "How do I run the core?"),
    ("Если я запущу ядро на двух машинах, как это повлияет на память и на тепло?", "Как запустить ядро?")])
def test_nobody_is_told_that_they_do_not_ask_what_they_ask(own: str, flat: str):
    asked = contrast(person(own), quoting(own))
    assert asked is not None and asked.flat == flat
    assert contrast(person(own, flat), quoting(own)) is None
    assert contrast(person(own, flat.replace("How do I", "How to") + " Thanks."), quoting(own)) is None


def test_only_a_facet_of_asking_has_a_contrast():
    style = replace(quoting(DEEP["en"][0]), facet="works_under_constraints")
    assert contrast(person(DEEP["en"][0]), quoting(DEEP["en"][0])) is not None
    assert contrast(person(DEEP["en"][0]), style) is None


@pytest.mark.parametrize("own", [
    "Who designs the designer of the whole orchestra?",
    "What did other people with the same radios really find when they measured it?",
    "How should I weigh three stations that disagree, when one is late and one is early?",
    "А что на самом деле показывают дешёвые датчики через год на улице?",
    "Может ли собака сама придумать себе правила и менять их?"])
def test_a_flat_question_about_something_else_is_no_contrast(own: str):
    pair = contrast(person(own), quoting(own))
    assert pair is None or not re.match(r"(?:What (?:is|are)|Кто|Как показывать)", pair.flat)


# ---- lifting -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("tongue", ["en", "ru"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_by_rule_each_lifted_question_is_deeper_keeps_the_words_and_names_whom_it_follows(tongue: str, place: int):
    flat, own = FLATS[tongue][place], DEEP[tongue]
    made = lift(flat, person(*own))
    assert made.origin == "rule" and 1 <= len(made.lifted) == len(made.depth_after) == len(made.because)
    for question, depth, because in zip(made.lifted, made.depth_after, made.because, strict=True):
        assert language(question) == tongue and question.endswith("?") and question.count("?") == 1
        assert depth.level > made.depth_before.level and depth == rate(question)
        assert set(content(flat.replace("Что такое", ""))) <= set(content(question))
        assert because.quote in own and plain(question) not in map(plain, own)


def test_the_commonest_way_of_asking_comes_first():
    own = DEEP["en"]
    made = lift("How do I water tomatoes?", person(*own))
    assert made.lifted[0].startswith("If I water tomatoes, how does that affect")
    assert made.because[0].quote in own[:2]


def test_a_person_who_only_asks_how_it_went_is_lifted_that_way_alone():
    made = lift("Как поливать помидоры?", person(DEEP["ru"][2]))
    assert made.lifted == ("Кто-нибудь на самом деле пробовал поливать помидоры, и что вышло?",)


def test_words_agree_with_one_thing_or_many():
    own = person(DEEP["en"][0], DEEP["ru"][0])
    assert "depend on it " in lift("What is a root cellar?", own).lifted[0]
    assert "depend on them " in lift("What are cold frames?", own).lifted[0]


def test_no_deeper_question_of_ones_own_is_said_and_not_made_up():
    with pytest.raises(UsageError, match="None of your 1 questions goes deeper"):
        lift("How do I water tomatoes?", person("How do I store apples?"))
    with pytest.raises(UsageError, match="None of your 0 questions"):
        lift("How do I water tomatoes?", person("I grow tomatoes."))


def test_a_question_that_names_nothing_is_refused():
    with pytest.raises(UsageError, match="names nothing"):
        lift("Why?", person(DEEP["en"][3]))


def scripted(question: str) -> ScriptedEngine:
    return ScriptedEngine([json.dumps({"question": question}, ensure_ascii=False)])


@pytest.mark.parametrize(("tongue", "question"), [
    ("en", "If I water tomatoes only at night, how does that affect the roots and the mildew?"),
    ("ru", "Если поливать помидоры только ночью, как это повлияет на корни и плоды?"),
])
def test_a_core_sees_pairs_and_its_question_is_taken_when_it_passes(tongue: str, question: str):
    engine = scripted(question)
    made = lift(FLATS[tongue][0], person(*DEEP[tongue]), engine)
    assert made.origin == "core" and made.lifted == (question,) and made.depth_after[0].level > 2
    shown = engine.prompts[0].text
    for own in made.because:
        assert own.quote in shown and flatten(own.quote, tongue) in shown


@pytest.mark.parametrize("answer", [
    "If I water the lawn at night, how does that affect the roots and the mildew?",       # another thing
    "How do I water tomatoes by hand?",                                                   # no deeper
    "Если поливать помидоры ночью, как это повлияет на корни и на плоды?",                # another language
    "If I water tomatoes at night, what changes? How does that affect the roots?",        # two questions
    "If I water tomatoes at night, that affects the roots and the mildew.",               # no question
])
def test_what_a_core_says_amiss_gives_way_to_the_rule(answer: str):
    assert lift("How do I water tomatoes?", person(*DEEP["en"]), scripted(answer)).origin == "rule"


def test_a_copy_of_an_own_question_is_not_a_lifted_one():
    flat, own = "How do I move the greenhouse?", DEEP["en"]
    made = lift(flat, person(*own), scripted(own[0]))
    assert made.origin == "rule" and own[0] not in made.lifted


@pytest.mark.parametrize(("flat", "way"), [
    ("How do I build a cellar?", "Did other people really build a cellar"),
    ("How do I water tomatoes?", "If I water tomatoes, how does that affect"),
    ("How do I plant a garden?", "How could a system that has to plant a garden"),
])
def test_the_way_in_which_the_same_things_were_asked_comes_before_the_commonest(flat: str, way: str):
    own = DEEP["en"]
    made = lift(flat, person(*own))
    assert made.lifted[0].startswith(way)
    assert set(content(flat)) & set(content(made.because[0].quote)) or made.because[0].quote in own[:2]


def test_the_way_of_the_same_things_comes_first_in_russian_too():
    assert lift("Как строить погреб?", person(*DEEP["ru"])).lifted[0].startswith("Кто-нибудь на самом деле пробовал")
    assert lift("Как поливать помидоры?", person(*DEEP["ru"])).lifted[0].startswith("Если поливать помидоры, как это")
