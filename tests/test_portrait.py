"""A portrait is checked against the person's own words; what it puts in their mouth waits for them."""
from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from twin.archive import Archive
from twin.cli_portrait import _chosen
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.home import Home
from twin.portrait import Audit, Verdict, audit, confirmed
from twin.profile import build
from twin.self_profile import portrait_text
from twin.types import Conversation, Message, Prompt
from twin.verdicts import QUOTES

TIME = datetime(2025, 5, 4, tzinfo=UTC)

ENGLISH = """🌿 You are a gardener of the **rarest kind**, a genius of soil.

## 🌿 How you ask

### 1. **Consequences first**
You **always look for consequences**, and you keep bees.
For example, you do not ask:
> "How do I water tomatoes?"
You ask:
> "If I move the hives, how does that affect the orchard and the neighbours?"

You never measure anything. You like coffee, and once you asked: “Is rain enough for beans?”

| Level | Question | Are you here? |
|---|---|---|
| 1 | "How do I plant garlic?" | 🟥 No |
| 6 | "How do I steer a garden through the soil and the bees?" | ✅ Now |

> You have rare philosophical depth, and you see consequences:
- a gardener's instinct,
- patience.

Want me to draw it as a card?
"""

RUSSIAN = """🌿 Ты — садовник **редкого типа**, гений почвы.

## 🌿 Как ты спрашиваешь

### 1. **Сначала последствия**
Ты **всегда ищешь последствия**, и ты держишь пчёл.
Например, ты не спрашиваешь:
> «Как поливать помидоры?»
Ты спрашиваешь:
> «Если я перенесу ульи, как это повлияет на сад и соседей?»

Ты никогда ничего не измеряешь. Ты любишь кофе, а однажды ты спросил: “Хватит ли бобам дождя?”

| Уровень | Вопрос | Ты здесь? |
|---|---|---|
| 1 | "Как посадить чеснок?" | 🟥 Нет |
| 6 | "Как направлять сад через почву и пчёл?" | ✅ Сейчас |

> У тебя редкая философская глубина, и ты видишь последствия:
- чутьё садовника,
- терпение.

Хочешь — я оформлю это карточкой?
"""

OWN = {
    "en": ["If I dig a pond, what happens to the frogs and the drains?",
           "If we sell the cow, what happens to the meadow and the hay?",
           "I measured the soil every noon for a week.", "I measured the rain and counted the worms.",
           "I measured the pond and the well.", "I measured every fence post.",
           "I do not like coffee.", "Do you keep bees?"],
    "ru": ["Если выкопать пруд, что будет с лягушками и дренажом?",
           "Если продать корову, что будет с лугом и сеном?",
           "Я неделю замерял температуру почвы в полдень.", "Я замерил осадки и посчитал червей.",
           "Я измерил пруд и колодец.", "Я измерил каждый столб забора.",
           "Я не люблю кофе.", "Ты держишь пчёл?"],
}
PORTRAIT = {"en": ENGLISH, "ru": RUSSIAN}
BOTH = pytest.mark.parametrize("tongue", ["en", "ru"])


def said(*texts: str) -> list[tuple[str, Message]]:
    return [(f"talk {n}", Message(f"m{n}", "user", text)) for n, text in enumerate(texts)]


def check(portrait: str, *texts: str, **rest: object) -> Audit:
    own = said(*texts)
    return audit(portrait, own, build(own), **rest)  # type: ignore[arg-type]


def of(result: Audit, beginning: str) -> Verdict:
    return next(one for one in result.sentences if one.sentence.startswith(beginning))


# ---- every sentence has a verdict ----------------------------------------------------------------------------------

@BOTH
def test_every_line_that_says_something_has_a_verdict_where_it_stands(tongue: str) -> None:
    portrait = PORTRAIT[tongue]
    result = check(portrait, *OWN[tongue])
    lines = [line for line in portrait.split("\n") if any(map(str.isalnum, line))]
    starts = [portrait[:one.start].count("\n") for one in result.sentences]
    assert {portrait.split("\n")[place] for place in starts} == set(lines)
    for one in result.sentences:
        assert one.sentence.split()[-1].strip("|.:?") in portrait[one.start:one.end]
        assert "**" not in one.sentence and not one.sentence.startswith((">", "#", "-", "|"))
    assert result.language == tongue and sum(result.counts.values()) == len(result.sentences)


@BOTH
def test_without_own_messages_nothing_is_borne_out(tongue: str) -> None:
    result = check(PORTRAIT[tongue])
    assert {one.verdict for one in result.sentences} == {"no evidence"}
    assert all(one.reason and not one.quotes for one in result.sentences)


@BOTH
def test_quotes_are_own_words_as_they_stand(tongue: str) -> None:
    own = dict(said(*OWN[tongue]))
    for one in check(PORTRAIT[tongue], *OWN[tongue]).sentences:
        assert (one.verdict == "no evidence") or one.quotes
        for quote in one.quotes:
            assert own[quote.conversation].text[quote.start:quote.end] == quote.quote


@BOTH
def test_a_habit_with_quotes_is_supported_and_a_denied_one_contradicted(tongue: str) -> None:
    result = check(PORTRAIT[tongue], *OWN[tongue])
    shown = of(result, {"en": "You always look", "ru": "Ты всегда ищешь"}[tongue])
    assert shown.verdict == "supported" and {one.quote for one in shown.quotes} == set(OWN[tongue][:2])
    denied = of(result, {"en": "You never measure", "ru": "Ты никогда ничего"}[tongue])
    assert denied.verdict == "contradicted" and len(denied.quotes) == QUOTES
    assert {one.quote for one in denied.quotes} <= set(OWN[tongue][2:6])


@pytest.mark.parametrize(("portrait", "own", "verdict"), [
    ("You keep two old hens.", "I keep two old hens.", "supported"),
    ("You do not keep old hens.", "I keep old hens.", "contradicted"),
    ("You keep 3 old hens.", "I keep 2 old hens.", "no evidence"),
    ("You keep old hens.", "Do I keep old hens?", "no evidence"),
    ("You keep old hens.", "They keep old hens.", "no evidence"),
    ("Ты любишь старые яблони.", "Люблю старые яблони.", "supported"),
    ("Ты любишь старые яблони.", "Я не люблю старые яблони.", "contradicted"),
    ("Ты не просто любишь старые яблони.", "Я люблю старые яблони.", "supported"),
    ("Ты любишь старые яблони.", "Она любит старые яблони.", "no evidence"),
    ("Ты любишь старые яблони.", "Люблю ли я старые яблони?", "no evidence"),
])
def test_the_same_said_by_the_person_supports_and_its_opposite_contradicts(
        portrait: str, own: str, verdict: str) -> None:
    assert check(portrait, own).sentences[0].verdict == verdict


@pytest.mark.parametrize(("portrait", "own"), [
    ("You never ask why things are so.", ["Why do the leaves fall?", "Why does the soil crack?",
                                            "Why is the well so low?", "Why do the hens moult?"]),
    ("Ты никогда не спрашиваешь, почему всё так.", ["Почему желтеют листья?", "Почему трескается почва?",
                                                     "Почему обмелел колодец?", "Почему линяют куры?"]),
])
def test_a_denial_reaches_over_the_comma_of_its_own_clause(portrait: str, own: list[str]) -> None:
    assert check(portrait, *own).sentences[0].verdict == "contradicted"


MEASURED = {"en": ["I measured the soil at noon.", "I measured the rain and the wind.",
                   "I measured the pond and the well.", "I measured every fence post."],
            "ru": ["Я измерил почву в полдень.", "Я измерил осадки и ветер.", "Я измерил пруд и колодец.",
                   "Я измерил каждый столб забора."]}
THINGS = {"en": ["cart", "horse", "barrel", "ladder", "basket", "bench", "lamp", "stove", "clock", "table", "chair",
                 "spade", "bucket", "broom", "kettle", "shelf"],
          "ru": ["телегу", "лошадь", "бочку", "лестницу", "корзину", "скамью", "лампу", "печку", "метлу", "стол",
                 "лопату", "ведро", "чайник", "полку", "куртку", "шапку"]}
IDLE = {"en": [f"The {what} stood near the old gate." for what in THINGS["en"]],
        "ru": [f"У старых ворот вчера видели {what}." for what in THINGS["ru"]]}


@pytest.mark.parametrize(("tongue", "portrait", "verdict"), [
    ("en", "You ask for measurements.", "supported"),
    ("en", "You look at hard data first.", "supported"),
    ("en", "The user relies on measurements.", "supported"),
    ("en", "You always measure.", "supported"),
    ("en", "You hate measurements and ask for none.", "contradicted"),
    ("en", "You value gut feeling above measurements.", "contradicted"),
    ("en", "Instead of measurements, you trust your gut.", "contradicted"),
    ("en", "You don't measure anything.", "contradicted"),
    ("en", "You rarely measure.", "contradicted"),
    ("en", "Your teacher asks for measurements all the time.", "no evidence"),
    ("en", "You have a teacher who asks for measurements.", "no evidence"),
    ("en", "Your teacher asks you for measurements.", "no evidence"),
    ("en", "You measure things only when forced to.", "no evidence"),
    ("en", "You ask for measurements, but rarely.", "no evidence"),
    ("en", "You do not avoid measurements.", "no evidence"),
    ("en", "You do not always measure.", "no evidence"),
    ("en", "You laugh at measurements.", "no evidence"),
    ("en", "You find measurements boring.", "no evidence"),
    ("en", "You should measure more.", "no evidence"),
    ("ru", "Ты просишь измерений.", "supported"),
    ("ru", "Тебе важны измерения.", "supported"),
    ("ru", "Пользователь опирается на измерения.", "supported"),
    ("ru", "Ты всегда измеряешь.", "supported"),
    ("ru", "Ты терпеть не можешь измерения.", "contradicted"),
    ("ru", "Ты ненавидишь измерения.", "contradicted"),
    ("ru", "Ты ценишь чутьё выше измерений.", "contradicted"),
    ("ru", "Вместо измерений ты полагаешься на чутьё.", "contradicted"),
    ("ru", "Ты редко измеряешь.", "contradicted"),
    ("ru", "Твой учитель постоянно просит измерений.", "no evidence"),
    ("ru", "У тебя есть учитель, который просит измерений.", "no evidence"),
    ("ru", "Ты измеряешь, только если заставят.", "no evidence"),
    ("ru", "Только если заставят, ты измеряешь.", "no evidence"),
    ("ru", "Ты не избегаешь измерений.", "no evidence"),
    ("ru", "Ты не всегда измеряешь.", "no evidence"),
    ("ru", "Ты смеёшься над измерениями.", "no evidence"),
    ("ru", "Ты считаешь измерения лишними.", "no evidence"),
])
def test_a_habit_counts_only_as_the_person_s_own_and_only_as_it_is_said(tongue: str, portrait: str,
                                                                        verdict: str) -> None:
    assert check(portrait, *MEASURED[tongue]).sentences[0].verdict == verdict


@pytest.mark.parametrize(("tongue", "portrait"), [
    ("en", "You always measure."), ("en", "You ask for measurements all the time."), ("en", "You rarely measure."),
    ("ru", "Ты всегда измеряешь."), ("ru", "Ты постоянно просишь измерений."), ("ru", "Ты редко измеряешь."),
])
def test_how_often_is_judged_by_how_often(tongue: str, portrait: str) -> None:
    judged, = check(portrait, *MEASURED[tongue][:3], *IDLE[tongue]).sentences
    assert judged.verdict == "no evidence" and {"en": "3 of 19", "ru": "3 из 19"}[tongue] in judged.reason
    assert not judged.quotes


@pytest.mark.parametrize(("tongue", "portrait"), [("en", "You never measure."), ("ru", "Ты никогда не измеряешь.")])
def test_a_facet_shown_weakly_denies_nothing(tongue: str, portrait: str) -> None:
    assert check(portrait, *MEASURED[tongue][:2]).sentences[0].verdict == "no evidence"
    assert check(portrait, *MEASURED[tongue]).sentences[0].verdict == "contradicted"


@pytest.mark.parametrize(("tongue", "portrait"), [("en", "You ask for measurements."), ("ru", "Ты просишь измерений.")])
def test_what_shows_no_more_than_with_others_supports_nothing(tongue: str, portrait: str) -> None:
    own = said(*MEASURED[tongue])
    profile = build(own)
    claim = profile.claim("wants_measurements")
    assert claim is not None
    common = replace(profile, claims=(replace(claim, confidence=0.3),))
    judged, = audit(portrait, own, common).sentences
    assert judged.verdict == "no evidence" and claim.text in judged.reason
    judged, = audit(portrait, own, profile).sentences
    assert judged.verdict == "supported"


@pytest.mark.parametrize(("portrait", "own", "verdict"), [
    ("You teach an evening pottery class on Fridays.", "I teach an evening pottery class on Fridays.", "supported"),
    ("You do not teach an evening pottery class on Fridays.", "I teach an evening pottery class on Fridays.",
     "contradicted"),
    ("You teach a pottery class on Mondays.", "I teach an evening pottery class on Fridays.", "no evidence"),
    ("You eat meat every day.", "I don't eat meat.", "contradicted"),
    ("You never eat meat.", "I don't eat meat.", "supported"),
    ("Ты ешь мясо.", "Я не ем мясо с 2010 года.", "contradicted"),
    ("Ты не ешь мясо.", "Я не ем мясо с 2010 года.", "supported"),
    ("Ты не ешь мясо с 2015 года.", "Я не ем мясо с 2010 года.", "no evidence"),
    ("У тебя 3 кошки.", "У меня 2 кошки.", "no evidence"),
    ("You eat meat.", "I eat meat every day.", "supported"),
    ("You always drink tea.", "I drink tea.", "no evidence"),
    ("You like coffee cake.", "I don't like coffee.", "no evidence"),
    ("You eat meat only when you are ill.", "I don't eat meat.", "no evidence"),
    ("You live in Porto and are the best cook of your street.", "I live in Porto.", "no evidence"),
    ("I live in Porto, and you know it.", "I live in Porto.", "no evidence"),
    ("Your teacher lives in Porto.", "I live in Porto.", "no evidence"),
    ("You're allergic to nuts.", "I'm allergic to nuts.", "supported"),
    ("Ты ешь мясо.", "Я не ем мясо, это правда.", "contradicted"),
    ("Ты не ешь мясо.", "Я не ем мясо, это правда.", "supported"),
    ("Вы ешьте мясо каждый день.", "Я не ем мясо.", "no evidence"),
    ("Ты ешь мясо каждый день.", "Я не ем мясо.", "contradicted"),
    ("Вы живёте в Коломне.", "Я живу в Коломне.", "supported"),
    ("Ты не живёшь в Коломне.", "Я живу в Коломне.", "contradicted"),
    ("Твой учитель живёт в Коломне.", "Я живу в Коломне.", "no evidence"),
    ("Тебе нравится чай.", "Мне не нравится чай.", "contradicted"),
    ("Ты ешь мясо, только если болеешь.", "Я не ем мясо.", "no evidence"),
])
def test_a_stated_fact_supports_itself_and_contradicts_its_denial(portrait: str, own: str, verdict: str) -> None:
    assert check(portrait, own).sentences[0].verdict == verdict


@pytest.mark.parametrize(("portrait", "own"), [
    ("You rarely keep two old hens.", "I keep two old hens."),
    ("You always keep two old hens.", "I keep two old hens."),
    ("Your teacher keeps two old hens.", "I keep two old hens."),
    ("Ты редко чинишь старый насос.", "Я чиню старый насос."),
    ("Твой учитель чинит старый насос.", "Я чиню старый насос."),
])
def test_another_subject_or_another_frequency_is_not_the_same(portrait: str, own: str) -> None:
    assert check(portrait, own).sentences[0].verdict == "no evidence"


def test_what_the_person_said_both_ways_or_took_back_decides_nothing() -> None:
    assert check("You like plain coffee.", "I like plain coffee.",
                 "I do not like plain coffee.").sentences[0].verdict == "no evidence"
    moved = [(f"talk {n}", Message(f"m{n}", "user", one, time=TIME.replace(year=2020 + n)))
             for n, one in enumerate(["I live in old Porto.", "I live in Leeds."])]
    verdicts = [audit(f"You live in {where}.", moved, build(moved)).sentences[0].verdict
                for where in ("old Porto", "Leeds")]
    assert verdicts == ["no evidence", "supported"]


@pytest.mark.parametrize(("mark", "fallen", "kept"), [
    ("Was", "supported", "contradicted"), ("Yes, outgrown", "supported", "contradicted"),
    ("Был", "supported", "contradicted"), ("Да, перерос", "supported", "contradicted"),
    ("Yes", "supported", "supported"), ("No", "contradicted", "contradicted")])
def test_a_level_left_behind_is_looked_up_in_the_table_of_levels(mark: str, fallen: str, kept: str) -> None:
    flat = [f"How do I clean a {what}?" for what in THINGS["en"][:10]]
    deep = [f"If I move the {what}, how does that affect the orchard and the neighbours?"
            for what in THINGS["en"][10:15]]
    row = f'| 1 | "How do I clean a rug?" | {mark} |'

    def verdict(*own: str, dated: bool = True) -> str:
        pairs = [(f"talk {n}", Message(f"m{n}", "user", one, time=TIME.replace(day=n + 1) if dated else None))
                 for n, one in enumerate(own)]
        return audit(row, pairs, build(pairs)).sentences[0].verdict
    assert verdict(*flat, *deep) == fallen
    assert verdict(*deep, *flat) == kept
    past = mark not in ("Yes", "No")
    assert (verdict(*flat, *deep, dated=False) == "no evidence") is past


@BOTH
def test_praise_has_no_evidence_whatever_stands_beside_it(tongue: str) -> None:
    result = check(PORTRAIT[tongue], *OWN[tongue])
    beginnings = {"en": ("You are a gardener", "You have rare"), "ru": ("Ты — садовник", "У тебя редкая")}[tongue]
    alone, beside = (of(result, one) for one in beginnings)
    assert alone.verdict == "no evidence" and not alone.quotes
    assert beside.verdict == "no evidence" and beside.quotes


@BOTH
def test_a_level_needs_own_questions_of_that_depth(tongue: str) -> None:
    flat = {"en": ["How do I plant garlic?", "Which month is for peas?"],
            "ru": ["Как посадить чеснок?", "В каком месяце сеют горох?"]}[tongue]
    deep = {"en": ["How do I steer a choir through its roles and weights?",
                   "How do I govern a farm through fields and roles?"],
            "ru": ["Как направлять хор через роли и веса?", "Как направлять хозяйство через поля и роли?"]}[tongue]

    def rows(*own: str) -> list[str]:
        return [of(check(PORTRAIT[tongue], *own), level).verdict for level in ("1 |", "6 |")]
    assert rows(*flat, *deep) == ["contradicted", "supported"]
    assert rows(flat[0], deep[0]) == rows() == ["no evidence", "no evidence"]


def test_a_portrait_pasted_into_an_own_message_proves_nothing() -> None:
    pasted = "Look what it says about me: " + " ".join(
        one.sentence for one in check(ENGLISH).sentences) + " I keep bees myself, that much is true."
    result = check(ENGLISH, pasted)
    assert {one.verdict for one in result.sentences} == {"no evidence"}
    assert all(one.found is None for one in result.attributed)


def test_a_portrait_without_words_is_refused() -> None:
    with pytest.raises(UsageError, match="no words"):
        check("---\n> **\n")


# ---- words put in the person's mouth -------------------------------------------------------------------------------

@BOTH
def test_words_it_says_are_yours_are_offered_and_those_it_says_are_not_are_not(tongue: str) -> None:
    result = check(PORTRAIT[tongue], *OWN[tongue])
    expected = {
        "en": ["If I move the hives, how does that affect the orchard and the neighbours?", "Is rain enough for beans?",
               "How do I plant garlic?", "How do I steer a garden through the soil and the bees?"],
        "ru": ["Если я перенесу ульи, как это повлияет на сад и соседей?", "Хватит ли бобам дождя?",
               "Как посадить чеснок?", "Как направлять сад через почву и пчёл?"]}[tongue]
    assert [one.text for one in result.attributed] == expected
    assert [PORTRAIT[tongue][one.start:one.end] for one in result.attributed] == expected
    assert [bool(one.mark) for one in result.attributed] == [False, False, True, True]
    assert [one.denied for one in result.attributed] == [False, False, True, False]
    assert all(one.found is None for one in result.attributed)


@pytest.mark.parametrize("line", [
    "You often say: «{}».", "Your question “{}” is typical.", "The user asks: \"{}\"", "You ask:\n> {}\n",
    "Questions like:\n> «{}»", "### A heading\n> «{}»", "> > «{}»", "You ask not «is it so» but «{}»",
    "Ты часто говоришь: «{}».", "Твой вопрос „{}“ это показывает.", "Пользователь спрашивает: \"{}\"",
    "Вопросы вроде:\n> «{}»", "Ты не только строишь, но и спрашиваешь:\n> «{}»", "Ты не просто спрашиваешь: «{}»",
])
def test_a_lead_that_hands_you_the_word(line: str) -> None:
    words = "What will the bees do?"
    assert words in [one.text for one in check(line.format(words)).attributed]


@pytest.mark.parametrize("line", [
    "You do not ask: «{}»", "You never ask:\n> «{}»", "Instead of «{}» you wait.", "Darwin wrote: «{}»",
    "It is a pattern «{}» of the bees.", "Darwin asked:\n> «{}»",
    "Ты не спрашиваешь: «{}»", "Ты никогда не спрашиваешь:\n> «{}»", "Вместо «{}» ты ждёшь.", "Дарвин писал: «{}»",
])
def test_a_lead_that_does_not(line: str) -> None:
    assert check(line.format("What will the bees do?")).attributed == ()


def test_words_that_stand_in_an_own_message_are_found_whatever_the_marks() -> None:
    own = "Hello. Ещё вопрос - что будет с пчёлами , если закрыть летки? Спасибо"
    one, = check("Ты спрашиваешь: «Что будет с пчелами, если закрыть летки?»", own).attributed
    assert one.found is not None and one.found.quote == "что будет с пчёлами , если закрыть летки?"
    assert own[one.found.start:one.found.end] == one.found.quote


def test_what_it_says_you_do_not_ask_is_contradicted_when_you_did() -> None:
    line = "You do not ask:\n> «How do I water the beans?»"
    assert check(line).sentences[1].verdict == "no evidence"
    assert check(line, "So, how do I water the beans?").sentences[1].verdict == "contradicted"


@BOTH
def test_confirmed_words_become_own_messages_and_the_portrait_never_does(tongue: str, tmp_path: Path) -> None:
    result = check(PORTRAIT[tongue])
    conversation = confirmed(result, range(len(result.attributed)), TIME, "portrait.md")
    assert conversation.source == "confirmed" and conversation.title == "portrait.md"
    assert all(one.own and one.role == "user" and one.flags == ("confirmed",) and one.time == TIME
               for one in conversation.messages)
    assistant = Conversation("portrait", (Message("p", "assistant", PORTRAIT[tongue]),))
    profile = build([(talk.id, one) for talk in (assistant, conversation) for one in talk.messages])
    assert profile.own_messages == 4 and {one.evidence.quote for one in profile.questions} == {
        one.text for one in result.attributed}
    again = audit(PORTRAIT[tongue], [(conversation.id, one) for one in conversation.messages], profile)
    assert all(one.found for one in again.attributed)
    archive = Archive(Home(tmp_path / "home"))
    assert archive.add([conversation])[0].imported == 4
    assert archive.add([conversation])[0].unchanged == 4
    assert {(one.text, one.source, one.flags) for _, one in archive.messages(own=True)} == {
        (one.text, "confirmed", ("confirmed",)) for one in result.attributed}
    later = confirmed(result, [1], TIME, "portrait.md")
    assert archive.add([later])[0].unchanged == 1 and len(list(archive.messages())) == 4


def test_confirming_more_later_adds_to_the_same_conversation() -> None:
    result = check(ENGLISH)
    first, later = (confirmed(result, [place], TIME, "p") for place in (0, 1))
    assert first.id == later.id and first.messages[0].id != later.messages[0].id


@pytest.mark.parametrize("chosen", [[], [99], [-1]])
def test_a_choice_that_is_none_is_refused(chosen: list[int]) -> None:
    with pytest.raises(UsageError, match="chosen"):
        confirmed(check(ENGLISH), chosen, TIME, "p")


# ---- on the command line, and from a file --------------------------------------------------------------------------

@BOTH
def test_the_command_line_says_which_words_the_text_itself_denies(
        tongue: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = check(PORTRAIT[tongue])
    assert _chosen(result, None, False) == []
    shown = capsys.readouterr().out.splitlines()
    denied, marked = (next(line for line in shown if words in line) for words in
                      {"en": ("plant garlic", "steer a garden"), "ru": ("посадить чеснок", "направлять сад")}[tongue])
    assert "the text says you did not ask this" in denied and {"en": "No", "ru": "Нет"}[tongue] in denied
    assert "did not ask" not in marked and {"en": "Now", "ru": "Сейчас"}[tongue] in marked
    assert sum("did not ask" in line for line in shown) == 1


@BOTH
def test_all_takes_every_word_that_was_offered(tongue: str) -> None:
    result = check(PORTRAIT[tongue])
    assert _chosen(result, "all", True) == [0, 1, 2, 3]
    assert _chosen(result, "3", True) == [2]


def chats(*talks: list[tuple[str, str]]) -> str:
    return json.dumps([{"uuid": f"talk {n}", "name": "", "created_at": "2025-05-04T10:00:00Z", "chat_messages": [
        {"uuid": f"m{n}.{place}", "sender": sender, "text": text, "created_at": "2025-05-04T10:00:00Z"}
        for place, (sender, text) in enumerate(talk)]} for n, talk in enumerate(talks)])


def test_a_file_of_several_chats_is_no_portrait(tmp_path: Path) -> None:
    ask, answer, more = ("human", "Who am I?"), ("assistant", "You keep bees."), ("assistant", "You keep hens.")
    for name, talks in {"one": [[ask, answer, ask, more]], "single": [[ask, answer], [ask]]}.items():
        file = tmp_path / f"{name}.json"
        file.write_text(chats(*talks), encoding="utf-8")
        assert portrait_text(file).startswith("You keep bees.")
    file.write_text(chats([ask, answer], [ask, more]), encoding="utf-8")
    with pytest.raises(UsageError, match="2 conversations with 2 answers") as refused:
        portrait_text(file)
    assert "the one answer into a file of its own" in str(refused.value.next_step)


# ---- with a core ---------------------------------------------------------------------------------------------------

YES = {"My two hives", "I would rather wait", "У нас в деревне", "Мне проще", "My husband", "I am just back", "На ужин",
       "Каждое лето", "My bees swarmed", "Мои пчёлы"}


def core(*, knows: bool = True) -> ScriptedEngine:
    def answer(prompt: Prompt) -> str:
        asked = prompt.text.rpartition("own words: ")[2]
        relation = "true" if "statement is true" in prompt.text else "false"
        about_bees = asked.startswith(("My bees", "Мои пчёлы"))
        right = asked.startswith(tuple(YES)) and not (relation == "false" and about_bees)
        return "Yes" if right or not knows else "No"
    return ScriptedEngine(answer)


@pytest.mark.parametrize(("portrait", "own"), [("You live among bees.", "My bees swarmed again."),
                                               ("Ты живёшь среди пчёл.", "Мои пчёлы опять роились.")])
def test_a_core_that_earned_its_bar_supports_what_words_alone_do_not(portrait: str, own: str) -> None:
    assert check(portrait, own).sentences[0].verdict == "no evidence"
    bars: dict[str, float] = {}
    result = check(portrait, own, engine=core(), bars=bars)
    assert result.sentences[0].verdict == "supported" and result.sentences[0].quotes[0].quote == own
    assert len(bars) == 2 and all(bar == 0.5 for bar in bars.values())


def test_a_core_that_cannot_tell_the_examples_apart_is_not_believed() -> None:
    result = check("You live among bees.", "My bees swarmed again.", engine=core(knows=False))
    assert result.sentences[0].verdict == "no evidence"


def test_a_core_is_not_asked_to_prove_praise() -> None:
    engine = core()
    result = check("You are a genius of bees.", "My bees swarmed again.", engine=engine)
    assert result.sentences[0].verdict == "no evidence"
    assert not engine.prompts


class Neighbours:
    """Texts about animals point one way, all others another."""

    id, dim = "neighbours", 2

    def embed(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, 0.0] if any(one in text for one in ("bees", "insects")) else [0.0, 1.0] for text in texts]


def test_an_embedder_finds_what_shares_no_word() -> None:
    portrait, own = "You love insects.", ["The rain was late.", "My bees swarmed again."]
    assert check(portrait, *own, engine=core()).sentences[0].verdict == "no evidence"
    assert check(portrait, *own, engine=core(), embedder=Neighbours()).sentences[0].verdict == "supported"
