"""Whose word a sentence is: what stands beside a text, a part, a joke or another's letter shows nothing."""
from __future__ import annotations

import pytest

from twin.own_word import own_word
from twin.stated import stated
from twin.types import Message

NOT_MEANT = [
    "Summarize this article\n\nI live in Bristol and I work as a nurse.",
    "Can you shorten this?\nI live in Bristol.",
    "I live in Bristol. I love tulips.\n\nSummarize this.", "Thoughts?\n\nI live in Bristol and I love tulips.",
    "What do you think of this letter?\n\nI live in Bristol.",
    "Is this correct? I have lived in Bristol for ten years.",
    "She wrote back. I love tulips, I live in Bristol.", "My sister replied. I live in Bristol.",
    "Write a cover letter for my friend. I am a nurse.", "Act as my grandmother.\nI live in Bristol.",
    "Exercise 4. I live in Bristol. I have two sisters.", "Put the verbs in the right form. I live in Bristol.",
    "[Chorus]\nI live in Bristol and I love the rain", "The song goes like that. I love the rain.",
    "As an example, I live in Bristol.", "I love tulips (not).", "I love Mondays, said no one ever.",
    "I love Mondays, yeah right.",
    "I'll be the customer and I'm allergic to nuts, you be the waiter.",
    "Перескажи\n\nЯ живу в Твери и работаю медсестрой.", "Сократи.\nЯ живу в Твери.", "Что думаешь?\n\nЯ живу в Твери.",
    "Это правильно? Я живу в Твери уже десять лет.", "Она мне ответила. Я люблю тюльпаны и живу в Твери.",
    "Напиши сопроводительное письмо для моей подруги. Я медсестра.", "Будь моей бабушкой.\nЯ живу в Твери.",
    "Упражнение 4. Я живу в Твери. У меня две сестры.", "Раскройте скобки. Я живу в Твери.",
    "Припев:\nЯ живу в Твери и люблю дождь", "Например, я живу в Твери.", "Обожаю пробки, ага, конечно.",
    "Люблю понедельники (нет).", "Я врач :))) нет", "Я буду посетителем, у меня аллергия на орехи, а ты официант.",
    "Скажем, у меня трое детей.",
]


@pytest.mark.parametrize("text", NOT_MEANT)
def test_what_is_not_meant_of_oneself_gives_no_fact_and_no_sentence_that_is_so(text: str) -> None:
    message = Message("m", "user", text)

    assert stated([("c", message)], "en") == []
    assert not any(word in one.text for one in own_word("c", message) if not one.supposed
                   for word in ("Bristol", "tulips", "Mondays", "Твери", "тюльпаны", "понедельники", "пробки"))


@pytest.mark.parametrize("text", [
    "I'm allergic to meetings.", "I am your father.", "I live in dreams.", "I live in the past.", "I drink to you.",
    "Я пью за вас.", "Я живу в мечтах.", "Живу в прошлом.", "У меня аллергия на совещания.", "Ем себя поедом."])
def test_a_figure_of_speech_is_no_fact(text: str) -> None:
    assert stated([("c", Message("m", "user", text))], "en") == []


@pytest.mark.parametrize("text", [
    "I live in Bristol. My lease ends in May and I do not want to move again. Thoughts?",
    "Я живу в Твери. Договор кончается в мае, и переезжать мне не хочется. Что думаешь?"])
def test_ones_own_story_may_end_in_a_request(text: str) -> None:
    message = Message("m", "user", text)

    assert [claim.kind for claim in stated([("c", message)], "en")] == ["fact"]
    assert [one.supposed for one in own_word("c", message)][:2] == [False, False]


@pytest.mark.parametrize("text", ["Can you summarize the rules of chess for me please?", "Сократи это до пяти слов."])
def test_the_request_itself_is_the_persons_word(text: str) -> None:
    (one,) = own_word("c", Message("m", "user", text))

    assert not one.supposed and one.text == text
