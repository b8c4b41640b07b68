"""A portrait is checked against the person's own words; what it puts in their mouth waits for them."""
from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from twin.archive import Archive
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.home import Home
from twin.portrait import Audit, Verdict, audit, confirmed
from twin.profile import build
from twin.types import Conversation, Message, Prompt

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
           "I do not like coffee.", "Do you keep bees?"],
    "ru": ["Если выкопать пруд, что будет с лягушками и дренажом?",
           "Если продать корову, что будет с лугом и сеном?",
           "Я неделю замерял температуру почвы в полдень.", "Я замерил осадки и посчитал червей.",
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
    assert denied.verdict == "contradicted" and {one.quote for one in denied.quotes} == set(OWN[tongue][2:4])


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
    ("You never ask why things are so.", ["Why do the leaves fall?", "Why does the soil crack?"]),
    ("Ты никогда не спрашиваешь, почему всё так.", ["Почему желтеют листья?", "Почему трескается почва?"]),
])
def test_a_denial_reaches_over_the_comma_of_its_own_clause(portrait: str, own: list[str]) -> None:
    assert check(portrait, *own).sentences[0].verdict == "contradicted"


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
