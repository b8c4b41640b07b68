"""What in a text is not its writer's own. A foreign word taken for evidence is a lie about the person; an own word
taken for foreign is only lost, but a person's own lists, poems and stories must not be."""
from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.foreign import foreign_kinds, foreign_spans
from twin.text import own_spans

LONG_EN = ("The museum announced on Friday that its eastern wing would remain closed until autumn. Visitors who hold "
           "tickets may exchange them at the desk. Restoration of the ceiling takes longer than the architects had "
           "foreseen, said the director. ") * 3
LONG_RU = ("Музей сообщил в пятницу, что его восточное крыло останется закрытым до осени. Посетители могут обменять "
           "билеты в кассе. Восстановление потолка займёт больше времени, чем предполагали архитекторы, сказал "
           "директор. Экскурсии переносятся на лето. ") * 3


def own(text: str) -> str:
    return "".join(text[a:b] for a, b in own_spans(text)).strip()


def foreign(text: str) -> list[tuple[str, str]]:
    return [(text[a:b], kind) for a, b, kind in foreign_spans(text)]


@pytest.mark.parametrize(("text", "kind", "kept"), [
    ("Why does this fail?\nimport os\n\ndef count(path):\n    return len(os.listdir(path))\n\nprint(count('.'))",
     "code", "Why does this fail?"),
    ("Почему не работает?\nconst names = list.map(one => one.name);\nfor (const name of names) {\n  show(name);\n}",
     "code", "Почему не работает?"),
    ("SELECT name FROM cats\nWHERE age > 3\nORDER BY age;\n\nКак это ускорить?", "code", "Как это ускорить?"),
    ("Что это значит?\nTraceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    go()\n"
     "ValueError: no such thing", "code", "Что это значит?"),
    ("It dies:\nException in thread \"main\" java.lang.Error\n    at org.cats.Cat.purr(Cat.java:12)\n"
     "    at org.cats.Main.main(Main.java:3)\nWhat now?", "code", "It dies:\nWhat now?"),
    ("вот что в журнале\n2025-06-30 12:07:01 INFO started\n2025-06-30 12:07:02 WARN slow\n2025-06-30 12:07:09 ERROR x\n"
     "сервер упал", "code", "вот что в журнале\n\nсервер упал"),
    ("the config\n{\n  \"name\": \"cat\",\n  \"legs\": 4\n}\nis it right?", "code", "the config\n\nis it right?"),
    ('{"name": "cat", "legs": 4, "tail": true, "owner": "nobody"}\nчто не так?', "code", "что не так?"),
    ("<div class=\"a\">\n<p>Hello</p>\n<p>There</p>\n</div>\nКак выровнять?", "code", "Как выровнять?"),
    ("look: ```x = 1``` is it fine", "code", "look:  is it fine"),
    ("Смотри:\n```\nx = 1\n``` почему так?", "code", "Смотри:\n почему так?"),
    ("name,age,city\nann,3,riga\nben,4,oslo\nkim,5,rome\nWho is oldest?", "pasted", "Who is oldest?"),
    ("Кто старше?\n| имя | лет |\n|---|---|\n| аня | 3 |\n| боря | 4 |\n| вера | 5 |", "pasted", "Кто старше?"),
    ("Среднее?\n" + "\n".join(f"{n}.5 {n * 7}" for n in range(9)), "pasted", "Среднее?"),
    ("mean of " + ", ".join(str(n) for n in range(80)) + " please", "pasted", "mean of  please"),
])
def test_what_machines_write_is_foreign_without_any_fence(text: str, kind: str, kept: str) -> None:
    assert foreign_kinds(text) == (kind,)
    assert own(text).split() == kept.split()


@pytest.mark.parametrize(("text", "kept"), [
    ("Что ему ответить?\n\n---------- Forwarded message ---------\nFrom: Ann <ann@example.org>\nI quit.",
     "Что ему ответить?"),
    ("Глянь\n\n-------- Пересылаемое сообщение --------\n30.06.2025, 12:07, Анна:\nЯ ухожу.", "Глянь"),
    ("See below.\n\nBegin forwarded message:\n\nI love rain.", "See below."),
    ("Согласен.\n\nОт: Анна\nОтправлено: понедельник\nКому: Борис\nТема: дождь\n\nЯ люблю дождь.", "Согласен."),
    ("Fine.\n\nFrom: ann@example.org\nSubject: rain\n\nI love rain.", "Fine."),
    ("Yes.\n\nOn Mon, Jun 30, 2025 at 12:07 PM Ann Lee <ann@example.org> wrote:\n\nI love rain.", "Yes."),
    ("Yes.\n\nOn Mon, Jun 30, 2025 at 12:07 PM Ann Lee\n<ann@example.org> wrote:\n\n> I love rain.\n\nMe too.",
     "Yes.\n\nMe too."),
    ("Да.\n\nпн, 30 июн. 2025 г. в 12:07, Анна <anna@example.org>:\n\nЯ люблю дождь.", "Да."),
    ("30.06.2025 12:07, Анна пишет:\n> Я люблю дождь.\nА я снег.", "А я снег."),
    ("Анна писал(а):\nЯ люблю дождь.\n\nА я снег.", "А я снег."),
    ("Верно ли это?\n> [!quote] Из книги\n> Я люблю дождь.", "Верно ли это?"),
    ("Начальник мне написал:\n" + LONG_RU[:300] + "\n\nЧто ответить?", "Начальник мне написал:\n\n\nЧто ответить?"),
    ("My neighbour wrote:\n\n" + LONG_EN[:300], "My neighbour wrote:"),
    (f"Он сказал «{LONG_RU[:240]}» и ушёл.", "Он сказал  и ушёл."),
    (f"The sign says \"{LONG_EN[:240]}\" and nothing else.", "The sign says  and nothing else."),
    (f"The sign says “{LONG_EN[:240]}”.", "The sign says ."),
])
def test_other_peoples_words_are_quoted(text: str, kept: str) -> None:
    assert foreign_kinds(text) == ("quoted",)
    assert own(text).split() == kept.split()


@pytest.mark.parametrize(("asked", "final"), [
    ("Translate this into Russian:", ""), ("Can you summarise the article:", "What is the main point?"),
    ("Hi! Please fix the grammar:", ""), ("What do you think about this:", ""), ("Explain to a child:", ""),
    ("Переведи на английский:", ""), ("Перескажи коротко:", "В чём тут главное?"), ("Исправь ошибки, пожалуйста:", ""),
    ("Объясните простыми словами:", ""), ("Что думаешь об этом:", ""), ("Вот статья, что скажешь:", ""),
])
@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_a_long_text_under_a_request_to_work_on_it_is_pasted(asked: str, final: str, gap: str) -> None:
    text = f"{asked}{gap}{LONG_RU.strip()}\n\n{LONG_EN.strip()}" + (f"\n\n{final}" if final else "")

    assert foreign_kinds(text) == ("pasted",)
    assert own(text).split() == f"{asked} {final}".split()


def test_a_long_text_behind_the_colon_is_pasted_too() -> None:
    assert own("Переведи: " + LONG_EN) == "Переведи:"


@pytest.mark.parametrize(("text", "kept"), [
    ("Что он имел в виду?\nКостя, [14.09.2025 21:40]\nЯ прав.\n\nВсегда.", "Что он имел в виду?"),
    ("what does she want\n[30.06.25, 12:07:33] Ann: hello\n[30.06.25, 12:08:01] Ann: you there?", "what does she want"),
    ("[30.06.25, 12:07] Ann: are you there?", ""),
    ("Смотри\n[31.12, 21:41] Анна: с наступающим", "Смотри"), ("Смотри\n[21:41, 31.12.2024] Анна: привет", "Смотри"),
    ("look\n31/12/2024, 9:41 PM - Ann: hello there", "look"),
    ("Ответь им\nKim \u2014 Сегодня, в 12:07\nвсем привет", "Ответь им"),
    ("You said:\nWhy is the sky blue?\nChatGPT said:\nBecause of scattering.\nThought for 5 seconds\n"
     "You said:\nAnd at night?", "Why is the sky blue? And at night?"),
    ("Ошибка где-то тут\npython\nКопировать код\nx = cat\nпечать\n\nНайди её", "Ошибка где-то тут Найди её"),
])
def test_what_was_copied_from_a_chat_is_not_ones_own(text: str, kept: str) -> None:
    assert "".join(own(text).split()) == "".join(kept.split())
    assert set(foreign_kinds(text)) <= {"copied", "code"}


@pytest.mark.parametrize("text", [
    "1. Встать в шесть\n2. Пробежать пять километров\n3. Написать маме\n4. Дочитать книгу",
    "- milk;\n- bread;\n- two apples (red);\n- tea, green, loose",
    "Shopping for the week:\nmilk\nbread\napples",
    "Мои правила: не спешить; не врать; не спорить по ночам.",
    "The fog comes in,\nthe lamps go out,\nthe street is mine;\nI walk, I shout;\nno window opens,\nno one sees.",
    "Туман пришёл,\nфонарь погас,\nи улица моя;\nиду, пою,\nне сплю сейчас,\nи никого, и я.",
    "\u2014 Ты придёшь?\n\u2014 Приду.\n\u2014 Когда?\n\u2014 Завтра в 12:07.",
    "Let me explain: I grew up by the sea.\n" + "I have always been afraid of deep water, and I still am. " * 14,
    "Объясню, почему так вышло:\n" + "Я вырос у моря и всегда боялся глубины, и боюсь до сих пор. " * 14,
    "Что думаешь о моей идее:\n" + "Я хочу открыть мастерскую, где чинят велосипеды и учат детей. " * 14,
    "Translate my letter to the landlord:\n" + "I have lived here for ten years and I like the garden. " * 14,
    "Объясни:\n" + "\n".join(f"{n}. Почему я каждый раз откладываю то, что дорого, на завтра?" for n in range(1, 12)),
    "Вчера в 12:07 я писал:\nэто неправда. " + "Мне было стыдно, и я решил исправить это письмо. " * 6,
    "Я ей написал:\n" + "прости меня, я был неправ и очень по тебе скучаю каждый день. " * 6,
    "Она мне написала:\nприходи.\n\n" + "Я собрался и поехал через весь город, хотя шёл дождь. " * 6,
    "Тема: жизнь\nНастроение: так себе",
    "Date: Friday. I was late again.\nSubject matters, not form.",
    "Рост = 180\nВес = 80\nВозраст = 30", "height = 180\nweight = 80\nage = 30",
    "\"Dune\": slept badly after it\n\"Emma\": laughed\n\"Ulysses\": gave up",
    "if you want to:\nfor example:\ntry this at home",
    "let me know (please)\nreturn the keys (both)\nprint the tickets for Anna",
    "Лекция в 12:07\n12:30 обед\n14:00 зал\n2025-06-30 день рождения",
    "Он сказал «да», а она сказала «нет».", "She said \"yes\" and then he said \"no\" \u2014 and so on.",
    "I <3 you, x < y, a -> b, 2 > 1", "Use ``` to open a fence, I always forget it.",
    "You said:\nthat I was lazy. That hurt me.",
    "My error: I trusted him.\nError: none of it was his fault.",
    "Перевод денег занял три дня: " + "я звонил в банк, ждал и снова звонил, пока не устал. " * 14,
    "from my point of view\nimport taxes are high\nclass matters more than people say",
    "Пульс: 60, 62, 61, 75, 80. Сон: 7, 6, 8 часов.", "+371 2000 0000\n+371 2000 0001",
    "# Дневник\nСегодня было солнце.\n\n# Планы\nСпать.",
    "My neighbour wrote: come over.\nSo I did.", LONG_RU, LONG_EN,
])
def test_ones_own_lists_poems_and_stories_stay_own(text: str) -> None:
    assert foreign(text) == []


@given(st.lists(st.sampled_from(["> a", "```", "~~~", "x", "", " ", "def f(x):", "a,b,c", "1 2", "You said:",
                                 "ChatGPT said:", "Copy code", "fix:", "он писал(а):", "On 12:07 A wrote:", "From: a@b",
                                 "To: b", "{", "}", "«" + "я" * 300, "»", "\"" + "a" * 250 + "\"", "| a |",
                                 "A, [30.06.2025 12:07]", "<p>", "say ```x``` y", "explain this:",
                                 "word " * 150]), max_size=14))
def test_spans_are_disjoint_sorted_and_leave_every_word_to_one_side(lines: list[str]) -> None:
    text = "\n".join(lines)
    spans = [(a, b) for a, b, _ in foreign_spans(text)]
    parts = sorted(spans + own_spans(text))

    assert all(0 <= a < b <= len(text) for a, b in parts)
    assert all(left[1] <= right[0] for left, right in pairwise(parts))
    assert "".join("".join(text[a:b].split()) for a, b in parts) == "".join(text.split())
    assert {kind for *_, kind in foreign_spans(text)} <= {"code", "quoted", "copied", "pasted"}


@given(st.text())
def test_any_text_has_spans(text: str) -> None:
    assert all(0 <= a < b <= len(text) for a, b, _ in foreign_spans(text))


@pytest.mark.parametrize("unit", [">", "{", " ", "\n", "`", "``` ", "x ```y\n", "\"", "«", " \"", "9", "9 ", "a.",
                                  "if in ", "<p ", "wrote:", "explain: ", "[30.06.2025 12:07] ", "Traceback (most ",
                                  "On 12:07 a wrote:\n\n", "он писал(а):\n\n", "Copy code now\n", "-----", "a: b = "])
def test_a_megabyte_of_anything_takes_less_than_three_seconds(unit: str) -> None:
    """A pasted log must not freeze an import; none of the patterns may run wild. Alone it takes up to one second."""
    text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
    began = time.process_time()
    foreign_spans(text)

    assert time.process_time() - began < 3.0


ARTICLE_EN = ("I live in Bristol and I work as a nurse, and every winter I ask myself what a city owes to those who "
              "keep it alive at night. Why do we pay the least to the people we need the most, and what would have to "
              "change in us before we paid them more? The answer is not in the budget.")
ARTICLE_RU = ("Я живу в Твери и работаю медсестрой, и каждую зиму спрашиваю себя, чем город обязан тем, кто держит его "
              "живым по ночам. Почему мы меньше всего платим тем, кто нам нужнее всего, и что должно измениться в нас "
              "самих, чтобы мы стали платить им больше и не стыдились этого? Ответ не в бюджете.")


@pytest.mark.parametrize("asked", [
    "Summarize this article", "Summarize this", "Can you shorten this?", "Rewrite this email", "Translate",
    "Proofread.",
    "Please fix the grammar", "What do you think of this essay?", "Thoughts on this letter?", "Is this text correct?",
    "Hi! Could you translate this into Russian please?", "tl;dr", "Explain the following passage to a child",
    "Перескажи", "Сократи", "Переведи это", "Исправь ошибки", "Переведи на английский, пожалуйста.",
    "Что думаешь об этой статье?", "Проверь запятые", "Можешь сократить?", "О чём этот текст?",
    "Сделай краткий пересказ",
])
@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_a_block_under_a_request_that_names_a_text_is_pasted_without_a_colon(asked: str, gap: str) -> None:
    for article in (ARTICLE_EN, ARTICLE_RU):
        assert own(f"{asked}{gap}{article}") == asked
        assert own(f"Hello there.\n\n{asked}{gap}{article}\n\n{article}") == f"Hello there.\n\n{asked}"


@pytest.mark.parametrize("asked", ["Summarize this article", "Can you translate this chapter?", "Перескажи эту статью",
                                   "Переведи этот отрывок на английский"])
def test_a_request_after_the_text_makes_the_text_before_it_pasted(asked: str) -> None:
    assert own(f"{ARTICLE_EN}\n\n{ARTICLE_RU}\n\n{asked}") == own(f"{ARTICLE_RU}\n{asked}") == asked


@pytest.mark.parametrize("asked", ["Thoughts?", "What do you think?", "What do you think of this?", "Is this correct?",
                                   "Translate it.", "Что думаешь?", "Что скажешь об этом?", "Переведи это."])
def test_ones_own_story_before_a_request_stays_own(asked: str) -> None:
    """Whether facts may be taken from it is own_word's and stated's to decide."""
    assert foreign(f"{ARTICLE_EN}\n\n{asked}") == foreign(f"{ARTICLE_RU}\n\n{asked}") == []


@pytest.mark.parametrize("text", [
    f"Thoughts?\n\n{ARTICLE_EN}", f"Что думаешь?\n\n{ARTICLE_RU}", f"Explain this\n\n{ARTICLE_EN}",
    f"Translate my letter\n\n{ARTICLE_EN}", f"Перескажи мою мысль\n\n{ARTICLE_RU}",
    "Summarize this article\n\nIt is in the file.",
    f"He told me to translate this article.\n\n{ARTICLE_EN}", f"I want to rewrite the login page.\n\n{ARTICLE_EN}",
    f"Исправь ошибки в моём плане\n\n{ARTICLE_RU}", f"Check the oven\n\n{ARTICLE_EN}",
])
def test_a_block_under_a_request_that_may_be_about_oneself_stays_own(text: str) -> None:
    assert foreign(text) == []
