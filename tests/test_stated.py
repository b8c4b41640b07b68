"""What people say of themselves: a plain sentence is a claim, and nothing that merely looks like one is."""
from __future__ import annotations

import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.person import Claim
from twin.stated import MAX_QUOTES, Statement, slot_of, stated, statement_of
from twin.types import Message

LABELLED = tomllib.loads((Path(__file__).parent / "claims_labelled.toml").read_text(encoding="utf-8"))["message"]


def claims(*texts: str, language: str = "en", **more: object) -> list[Claim]:
    """The claims of messages, each in a conversation of its own."""
    return stated([(f"talk{n}", Message(f"m{n}", "user", text, **more))  # type: ignore[arg-type]
                   for n, text in enumerate(texts)], language)


def said(text: str) -> list[tuple[str, bool]]:
    """(slot, affirmed) of what one message says, sorted."""
    found = [statement_of(claim) for claim in claims(text)]
    assert None not in found, "a claim by rule is always read back from its quote"
    return sorted((one.slot, one.affirmed) for one in found if one)


@pytest.mark.parametrize(("text", "slot"), [
    ("I work as a glazier.", "work"), ("I'm a retired midwife.", "work"), ("I teach maths in the evenings.", "work"),
    ("I work at the harbour office.", "workplace"), ("I live near Ghent.", "place"), ("We live in Ghent.", "place"),
    ("I have lived in Ghent for ten years.", "place"), ("I'm 41.", "age"), ("I just turned 41 this month.", "age"),
    ("I have two daughters.", "family"), ("I'm married.", "family"), ("I speak Polish.", "language"),
    ("My native language is Welsh.", "language"), ("I'm allergic to penicillin.", "health"), ("I'm vegan.", "health"),
    ("I have a severe peanut allergy.", "health"), ("I own a small kiln.", "possession"),
    ("We've got three hens.", "possession"), ("I'm learning to weld.", "studies"),
    ("I have a degree in botany.", "studies"), ("I play the cello.", "hobby"), ("Every morning I row for an hour.",
    "habit"),
    ("I usually bake on Fridays.", "habit"), ("I bake bread every week.", "habit"),
    ("By the way, I live in Ghent, so the sea is near.", "place"),
    ("I'm a welder in Ghent, which gloves do you advise?", "work"),
    ("Я работаю сварщиком.", "work"), ("Я - учитель.", "work"),
    ("По профессии я геодезист.", "work"), ("Работаю в порту.", "workplace"), ("Я живу в Туле.", "place"),
    ("Живём под Тулой уже десять лет.", "place"), ("Мне 41 год.", "age"), ("Мне уже 41.", "age"),
    ("У меня двое детей.", "family"), ("Я замужем.", "family"), ("Я говорю по-польски.", "language"),
    ("Мой родной язык - татарский.", "language"), ("У меня аллергия на пенициллин.", "health"),
    ("Я веган.", "health"), ("У нас есть собака.", "possession"),
    ("Учусь на ветеринара.", "studies"), ("Я студентка.", "studies"), ("Играю на виолончели.", "hobby"),
    ("Каждое утро я гребу час.", "habit"), ("Обычно пеку по пятницам.", "habit"),
    ("Кстати, я живу в Туле, так что море далеко.", "place"),
])
def test_a_fact_said_plainly_is_a_claim_of_its_slot(text: str, slot: str) -> None:
    assert said(text) == [(slot, True)]
    assert claims(text)[0].kind == "fact"


@pytest.mark.parametrize(("text", "slot", "affirmed"), [
    ("I love fog.", "likes", True), ("I really enjoy cold water.", "likes", True), ("I'm fond of fog.", "likes", True),
    ("My favourite month is March.", "likes", True), ("I can't stand loud bars.", "likes", False),
    ("I don't like phone calls.", "likes", False), ("I'm not a fan of buffets.", "likes", False),
    ("I prefer trains to planes.", "prefers", True), ("I'd rather walk than drive.", "prefers", True),
    ("I always read the manual first.", "always", True), ("I never eat breakfast.", "always", False),
    ("I don't use spreadsheets.", "only", False), ("Please always answer in short paragraphs.", "form", True),
    ("I prefer short answers.", "form", True), ("Never use emoji.", "form", False),
    ("I don't eat meat.", "health", False), ("We have no kids.", "family", False), ("I'm no writer.", "work", False),
    ("I no longer live in Ghent.", "place", False),
    ("Люблю туман.", "likes", True), ("Мне очень нравится холодная вода.", "likes", True),
    ("Мой любимый месяц - март.", "likes", True), ("Терпеть не могу шумные бары.", "likes", False),
    ("Не люблю, когда опаздывают.", "likes", False), ("Кофе я не люблю.", "likes", False),
    ("Предпочитаю поезд самолёту.", "prefers", True), ("Мне больше нравится чай, чем кофе.", "prefers", True),
    ("Всегда читаю инструкцию.", "always", True), ("Я никогда не завтракаю.", "always", False),
    ("Я не пользуюсь таблицами.", "only", False), ("Всегда отвечай короткими абзацами.", "form", True),
    ("Предпочитаю короткие ответы.", "form", True), ("Никогда не используй смайлики.", "form", False),
    ("Я не ем мяса.", "health", False), ("У нас нет детей.", "family", False), ("Я не врач.", "work", False),
    ("Я больше не живу в Туле.", "place", False),
])
def test_a_preference_or_a_denial_keeps_its_sign(text: str, slot: str, affirmed: bool) -> None:
    assert said(text) == [(slot, affirmed)]


TRAPS = {
    "quoted": ["He signs every mail “I live in Ghent and love fog”.", "\"I work as a glazier.\" Who said that?",
               "Подпись у него «Живу в Туле и люблю туман».", "«Я работаю сварщиком». Кто это сказал?"],
    "code": ["```\nI live in Ghent.\n```", "```\nЯ живу в Туле.\n```"],
    "pasted mail": ["From: Ann\nSent: Monday\nTo: Bob\n\nI live in Ghent and I love fog.",
                    "От кого: Анна\nКому: Борис\nТема: привет\n\nЯ живу в Туле."],
    "work on a text": ["Translate this for me. I live in Ghent and I love fog.",
                       "I live in Ghent. I love fog. Correct the grammar of my pupil's text.",
                       "Переведи на немецкий. Я живу в Туле и люблю туман.",
                       "Я живу в Туле. Люблю туман. Проверь запятые в этом письме."],
    "reported": ["My boss says I love meetings.", "My sister tells everyone that I live in Ghent.",
                 "According to him, I work as a glazier.", "They think I'm vegan.", "Everyone says: I love fog.",
                 "Мама говорит, что я люблю шум.", "Начальник думает, я живу в Туле.",
                 "По словам соседа, я не ем мяса.", "Все считают, что у меня двое детей."],
    "hypothetical": ["If I lived in Norway, I would ski.", "If I have two kids, I live in a bigger flat.",
                     "Imagine I live in Ghent. I love fog. I have two kids.", "Suppose I'm 41.",
                     "Let's say I work as a glazier. I live in Ghent.", "Let’s say: I'm a welder.",
                     "Если бы я жил в Туле, у меня была бы собака.", "Если я живу в Туле, люблю туман.",
                     "Представь, что я веган. У меня двое детей.", "Допустим, мне 41 год. Я живу в Туле.",
                     "Будь я врачом, я бы всегда мыл руки."],
    "joke": ["I live in a volcano, jk.", "I live in Ghent. Just kidding!", "I love mosquitoes /s",
             "I love Mondays lol", "I'm a retired pilot and king of the moon :)",
             "Я живу в Кремле, шучу.", "Люблю комаров. Шутка!", "Я учитель и король луны :)",
             "Люблю понедельники, ха-ха."],
    "role play": ["Act as a pirate. I love rum.", "Pretend we met: I live in Ghent.",
                  "You are a doctor. I'm allergic to nuts.",
                  "I am a helpful assistant.", "Scene 2. I live in Ghent.",
                  "Сыграем сцену. Я живу в Туле.", "Ты - врач. У меня аллергия на орехи.",
                  "Отвечай от лица пирата. Люблю ром.",
                  "Сцена 2. Я живу в Туле."],
    "fiction": ["Write a short story. I live in Ghent.", "Lyrics:\nI love fog", "Captain: I love fog.",
                "Напиши рассказ о море. Я живу на маяке.", "Капитан: люблю туман.", "— Я живу в Туле, — сказал он."],
    "letter": ["Write: I am a teacher and I live in Ghent.", "Draft a mail to them:\nI work as a glazier.",
               "Something like this:\nI love fog.", "Напиши: я учитель, живу в Туле.",
               "Составь заявление:\nЯ работаю сварщиком.", "Примерно так:\nЛюблю туман."],
    "question": ["Am I a good teacher?", "Do I like fog?", "I like fog?", "Why do I always forget names?",
                 "Люблю ли я туман?", "Люблю ли я туман, сам не пойму.", "Я живу в Туле?",
                 "Почему я никогда не завтракаю?"],
    "past": ["It is 1990. In those days I live in Ghent, as a kid I love fog.", "I always walk to school as a child.",
             "На дворе 1990 год. Тогда я живу в Туле, в детстве люблю туман.", "Раньше я всегда хожу пешком.",
             "I used to live in Ghent.", "I used to live in Ghent and work as a glazier.", "I lived in Ghent.",
             "I was a teacher.", "As a child I loved fog.", "I always thought so.", "I never said that.",
             "Раньше жил в Туле.", "Раньше я работаю, потом сплю.", "Я был учителем.", "В детстве люблю туман.",
             "Я никогда не видел моря.", "Всегда думал иначе."],
    "wish": ["I want to be a pilot.", "I wish I lived in Ghent.", "I'd like tea.", "I would love a dog.",
             "I hope to live in Ghent.", "Хочу жить в Туле.", "Хотела бы собаку.", "Мечтаю жить в Туле.",
             "Я бы предпочёл чай."],
    "third person": ["He likes fog.", "My wife is a teacher.", "She lives in Ghent and has two kids.",
                     "Anna, 41, is vegan.",
                     "Он любит туман.", "Жена работает учителем.", "Повар поёт.", "Окончила школу и уехала.",
                     "У него двое детей."],
    "about what lies here": ["I like this version.", "I love your idea.", "I prefer the second option.",
                             "I don't like it.",
                             "Мне нравится этот вариант.", "Люблю его.", "Предпочитаю второй вариант.",
                             "Мне нравится, как ты пишешь."],
    "other worlds": ["In the game I have a dog, I live in Ghent.", "I have two kids in my story.",
                     "The hero says so. I love fog.",
                     "В игре у меня есть собака, я живу в Туле.", "Герой говорит так. Я люблю туман."],
    "a letter": ["Dear Sir, I am a teacher from Cork.", "Dear Ann,\nI live in Ghent.",
                 "Уважаемая Анна! Я работаю учителем."],
    "no statement": ["I work as hard as I can.", "I work at night.", "I am an engineer's daughter.",
                     "We live in a society.",
                     "I have one question about dogs.", "I have a cat problem.", "I prefer not to say.", "I love them.",
                     "Работаю на износ.", "Мы живём в странное время.", "Учусь на ошибках.", "У меня кот в мешке.",
                     "I like to think so.", "I'm 34 weeks pregnant with ideas.", "I'm working on it.",
                     "I'm 5 minutes away.",
                     "I am not sure.", "I eat it.", "Мне 20 минут ехать.", "Работаю над этим.", "Не знаю.", "Ем это."],
}


@pytest.mark.parametrize("text", [text for texts in TRAPS.values() for text in texts])
def test_what_is_no_word_of_the_person_about_themselves_gives_no_claim(text: str) -> None:
    assert [claim.text for claim in claims(text)] == []


@pytest.mark.parametrize("flag", ["fiction", "forwarded", "attachment", "hidden", "memory"])
def test_a_message_that_is_another_hand_gives_nothing_even_when_it_is_called_own(flag: str) -> None:
    assert claims("I live in Ghent.", flags=(flag,)) == []
    assert claims("I live in Ghent.", flags=(flag,), own=True) == []
    assert claims("I live in Ghent.", own=False) == []
    assert stated([("c", Message("m", "assistant", "I live in Ghent."))], "en") == []


def test_standing_instructions_are_the_persons_word() -> None:
    found = claims("About me: I work as a glazier.", flags=("custom_instructions",))
    assert [slot_of(one) for one in found] == ["work"]


def test_only_the_words_outside_the_quotation_count() -> None:
    assert said("I live in Ghent, and the sign says “I love fog”.") == []  # a sign speaks: the sentence is left out
    assert said("I love the novel “The Sea”.") == [("likes", True)]
    assert said("Я люблю роман «Море».") == [("likes", True)]


def test_one_sentence_may_say_several_things() -> None:
    assert said("I live in Ghent and work as a glazier.") == [("place", True), ("work", True)]
    assert said("Живу в Туле и работаю сварщиком.") == [("place", True), ("work", True)]
    assert said("Мне 41 год, у меня двое детей.") == [("age", True), ("family", True)]
    assert said("Не люблю, когда меня перебивают, и терпеть не могу шум.") == [("likes", False), ("likes", False)]


def test_the_quote_is_verbatim_and_the_claim_is_made_from_it() -> None:
    text = "Hello.  By the way,\nI  really love “old” maps!\nWhat now?"
    claim = claims(text)[0]
    evidence = claim.evidence[0]
    assert text[evidence.start:evidence.end] == evidence.quote == "I  really love “old” maps!"
    assert claim.text == "You say: “I  really love “old” maps!”"
    assert (claim.authority, claim.origin, claim.kind) == ("said", "rule", "preference")
    assert claims("Да, люблю туман.")[0].text == "Ты говоришь: «Да, люблю туман.»"
    assert claims("Люблю туман.")[0].text == "Ты говоришь: «Люблю туман.»"


def test_equal_statements_are_one_claim_with_all_their_talks_and_months() -> None:
    messages = [("a", Message("1", "user", "I live in Ghent.", time=datetime(2025, 3, 1, tzinfo=UTC))),
                ("a", Message("2", "user", "As I said, I live in Ghent.", time=datetime(2025, 3, 9, tzinfo=UTC))),
                ("b", Message("1", "user",
                "I still live in Ghent with a cat.", time=datetime(2025, 5, 2, tzinfo=UTC))),
                ("c", Message("1", "user", "I live in Ghent!"))]
    (claim,) = stated(messages, "en")
    assert (claim.messages, claim.talks, dict(claim.months)) == (4, 3, {"2025-03": 2, "2025-05": 1})
    assert claim.first == datetime(2025, 3, 1, tzinfo=UTC) and claim.last == datetime(2025, 5, 2, tzinfo=UTC)
    assert {(one.conversation, one.message) for one in claim.evidence} == {("a", "1"), ("a", "2"), ("b", "1"),
    ("c", "1")}


def test_the_id_depends_on_slot_sign_and_value_alone() -> None:
    one, other = claims("I love fog.")[0], claims("Honestly, I really like the fog.")[0]
    assert one.id == other.id and one.id.startswith("preference.") and len(one.id) == len("preference.") + 8
    assert claims("I hate fog.")[0].id != one.id
    assert claims("I love frost.")[0].id != one.id
    assert one.id == "preference.e0b7ce3d", "an id the person decided on must not change"


def test_what_is_said_in_more_talks_and_more_plainly_comes_first() -> None:
    found = claims("I love fog.", "I love fog.", "I love frost.",
                   "Well, the garden is wet, and the cat is out, but I love hail, as it happens.")
    assert [claim.evidence[0].quote[:9] for claim in found] == ["I love fo", "I love fr", "Well, the"]
    assert found[0].confidence > found[1].confidence > found[2].confidence


def test_a_claim_keeps_five_quotes_and_counts_all() -> None:
    (claim,) = claims(*["I love fog."] * 9)
    assert len(claim.evidence) == MAX_QUOTES and claim.messages == claim.talks == 9


def test_a_claim_of_a_core_is_read_back_from_its_words() -> None:
    base = claims("I love fog.")[0]

    def free(text: str) -> Statement | None:
        return statement_of(Claim("free.1", text, "said", 0.5, base.evidence, "core", "fact"))

    assert free("You live in Ghent.") == statement_of(claims("I live in Ghent.")[0])
    assert free("Ты живёшь в Туле.") == statement_of(claims("Я живу в Туле.")[0])
    assert free("Ты не любишь туман.") == statement_of(claims("Не люблю туман.")[0])
    assert free("You think in systems.") is None
    assert slot_of(Claim("asks_why", "You live in Ghent.", "inferred", 0.5, base.evidence)) == ""


def test_rules_alone_take_nothing_false_from_the_labelled_messages() -> None:
    """Recall is low there by design: those messages were worded to have no cue. What is taken must be right."""
    taken = {one["id"]: stated([("c", Message("m", "user", one["text"]))], one["language"]) for one in LABELLED}
    wanted = [one for one in LABELLED if one.get("claim") in ("fact", "preference")]
    hits = sum(any(claim.evidence[0].quote == one["sentence"] for claim in taken[one["id"]]) for one in wanted)
    false = [one["id"] for one in LABELLED if "trap" in one and taken[one["id"]]]
    known = {one["id"] for one in LABELLED if {"fact", "preference"} & {one.get("claim"), *one.get("also", ())}}
    right = [name for name, found in taken.items() if found and name in known]
    taken_from = sum(map(bool, taken.values()))
    sys.stdout.write(f"by rules: recall {hits}/{len(wanted)}, right {len(right)}/{taken_from}, traps {len(false)}/40\n")
    assert false == [] and len(right) == taken_from >= 1


def test_the_labelled_messages_are_forty_claims_and_forty_traps_in_two_languages() -> None:
    assert len({one["id"] for one in LABELLED}) == len(LABELLED) == 80
    for language in ("en", "ru"):
        mine = [one for one in LABELLED if one["language"] == language]
        assert sum("claim" in one for one in mine) == sum("trap" in one for one in mine) == 20
        assert all(one["sentence"] in one["text"] for one in mine if "claim" in one)


@given(st.text(max_size=200), st.sampled_from(["en", "ru"]))
def test_any_text_is_read_without_fault_and_quotes_fit(text: str, language: str) -> None:
    message = Message("m", "user", "I love fog. " + text)
    for claim in stated([("c", message)], language):
        for one in claim.evidence:
            assert message.text[one.start:one.end] == one.quote
        assert statement_of(claim) is not None


@pytest.mark.parametrize(("text", "slot", "affirmed"), [
    ("As a glazier I own too many ladders.", "work", True),
    ("As a glazier, I own too many ladders.", "work", True),
    ("Thirty years of laying bricks ruined my knees.",
     "activity", True), ("Our youngest swims faster than the rest.", "family", True),
    ("Insulin goes with me wherever I travel.", "health", True), ("Opera leaves me cold.", "likes", False),
    ("Networking events drain me.", "likes", False), ("Give me trains over planes.", "prefers", True),
    ("Spare me the pep talk.", "form", False), ("Karaoke is not for me.", "likes", False),
    ("Моя целиакия не лечится.", "health", True), ("У нас под Костромой ещё снег.", "home", True),
    ("Наша младшая плавает быстрее всех.", "family", True), ("Я крановщица.", "work", True),
    ("Опера не для меня.", "likes", False), ("Лучше поезд, чем самолёт.", "prefers", True),
    ("Караоке я на дух не переношу.", "likes", False), ("Пешком мне милее.", "prefers", True),
    ("Меня выматывают созвоны.", "likes", False),
])
def test_what_is_said_in_no_stock_form_is_read_by_what_stands_near(text: str, slot: str, affirmed: bool) -> None:
    assert (slot, affirmed) in said(text)


@pytest.mark.parametrize("text", [
    "My car broke down today.", "Recommend a toy for my youngest.", "My uncle keeps three goats and a migraine diary.",
    "I want a dog and a boat of my own.", "What drains me so?", "This leaves me cold.",
    "Моя машина сегодня не завелась.", "Посоветуй игрушку для моей младшей.", "Хочу, чтобы у меня был кот.",
    "Это не для меня.", "Что меня так выматывает?"])
def test_a_moment_a_plan_a_request_and_another_person_are_no_such_words(text: str) -> None:
    assert claims(text) == []
