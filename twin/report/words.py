"""Every word the report adds of its own, in both languages. Counts stand after a colon where a language would bend."""
from __future__ import annotations

from collections.abc import Mapping

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "What your messages show",
        "size": "own messages: {own} of {all}, conversations: {talks}",
        "left": "“", "right": "”",
        # where the questions stand
        "standing": "Where your questions stand",
        "position": "Position: {position} - level {level} of 7 (95 % interval {low}-{high}; questions: {n}).",
        "half": "At least half of these questions reach level {half}.",
        "also": "The interval also allows: {also}.",
        "glance": "No position yet, questions: {n}. The rule would say {position}, level {level} of 7 (95 % interval "
                  "{low}-{high}).",
        "worth": "A position names the kind of question, not the worth of the one who asks: to get a thing running, "
                 "level 1 is the right one.",
        "illegible": "No position: fewer than two thirds of your questions are in Russian or English, and the rules "
                     "that read depth know no other language.",
        "head_confirmed": "Of these questions ({of}), confirmed by you and not written here: {n}.",
        "levels": "How deep you ask (1 how do I install it ... 7 how does a system design itself); different "
                  "questions: {n}",
        "deepest": "The deepest questions",
        "table": "The seven levels", "level": "Level", "asked": "A typical question", "you": "You?", "count": "n",
        "when": "When", "yours": "One of yours", "recent": "{n}, of them recent: {recent}",
        "no": "no", "was": "was", "outgrown": "outgrown", "yes": "yes", "now": "now",
        "edge": "the edge you push",
        "undated": "Too few questions carry a date: what is outgrown cannot be told.",
        # claims
        "claims": "What can be claimed", "said": "What you say of yourself",
        "confidence": "confidence {c:.2f}, {origin}{marks}",
        "rule": "by rules", "core": "by the core", "rule+core": "by rules and the core",
        "by_said": "in your own words", "by_approved": "approved by you",
        "pin": ", pinned by you", "edit": ", worded by you",
        "edit+pin": ", worded and pinned by you",
        "alone": ", one conversation only", "common": ", fits many",
        "showed": "messages: {messages}, conversations: {talks}", "span": ", {first} to {last}",
        "rate": "in {rate} % of your {what} (95 % interval {low}-{high} %), by the lower end more often than {more} of "
                "{of} other people{where}",
        "rate_none": "in {rate} % of your {what} (95 % interval {low}-{high} %), by the lower end no more often than "
                     "any of {of} other people{where}",
        "quotes_confirmed": "quotes confirmed by you and not written here: {n} of {of}",
        "of_sentence": "sentences", "of_question": "questions",
        "where_en": " (who wrote English)", "where_ru": " (who wrote Russian)",
        "contrast": "You do not ask {flat}, you ask {own}.",
        "flat": "“You do not ask” speaks of this one question: it is your own, made flat by rule.",
        "against": "What speaks against it:", "conflict": "Says otherwise: {ids}. Which is right, only you can say.",
        "same": "The same words stand once more: {ids}.",
        "more": "Statements that are not shown here: {n}. `twin profile --json` has them all.",
        "asked_of_you": "What only you can say",
        "ask": "{question} Both are kept. `twin decide approve ID` says which is true.",
        "nothing": "Nothing yet.",
        # beside others
        "others": "Beside other people",
        "deeper": "Mean level of your questions: {mean} (95 % interval {low}-{high}; different questions: {n}); by the "
                  "lower end deeper than {more} of {of} other people, who wrote to people, not to an assistant.",
        "deeper_none": "Mean level of your questions: {mean} (95 % interval {low}-{high}; different questions: {n}); "
                       "by the lower end not deeper than any of {of} other people, who wrote to people, not to an "
                       "assistant.",
        "compared": "Facets compared with other people: {k}. More often than at least four of five of them, by the "
                    "lower end of the interval: {out}. Not clearly more often than half of them: {fits}.",
        "anyone": "None of the facets stands out: this part of the profile would fit almost anyone.",
        "alike": "Fit many: {ids}.", "apart": "More often than four of five: {ids}.",
        "uncompared": "No facet could be compared with other people here, so nothing shows which of them fit anyone.",
        # over time
        "time": "Over time", "month": "Month", "mean": "Mean level (95 % interval)",
        "deep": "Level 5 and above (95 % interval)",
        "timeless": "Nothing carries a date, so nothing can be said about change.",
        "appearing": "Appearing: {ids}.", "fading": "Fading: {ids}.", "steady": "No change beyond chance: {ids}.",
        "unclear": "Too few messages, or one month only, to tell: {n}.",
        "life": "{id} (messages: {early} of {early_of} before, {late} of {late_of} after)",
        "life_rule": "Messages that show a claim of all own messages with a date, in the earlier and the later half; "
                     "changed = Fisher's exact test, with at most one in twenty of the changes by chance (Benjamini "
                     "and Hochberg over all claims tested).",
        "topics": "What you write about", "topic": "Topic", "talks": "Conversations", "messages": "Messages",
        # the end
        "conclusion": "Conclusion",
        "c_position": "At least one in four of your {which}{n} questions reaches level {level} of 7 (95 % interval "
                      "{low}-{high}); the rule calls that “{position}” [questions: {n}].",
        "c_which": "last ", "c_glance": "So few questions give no position yet [questions: {n}].",
        "c_claim": "{text} - messages: {messages}, conversations: {talks} [{ids}].",
        "c_apart": "Of the facets compared with other people ({k}), this many clearly show more often than with four "
                   "of five of them, who wrote to people and not to an assistant: {n} [{ids}].",
        "c_anyone": "Of the facets compared with other people ({k}), none stands out; this part would fit almost "
                    "anyone [{ids}].",
        "c_alike": "These fit many people and say little about you alone [{ids}].",
        "c_against": "Against these, words of your own speak too [{ids}].",
        "c_appearing": "More often of late than before [{ids}].",
        "c_fading": "Less often of late than before [{ids}].",
        "c_none": "From so little nothing is concluded [own messages: {own}, questions: {n}].",
        "notes": "How much this proves",
    },
    "ru": {
        "title": "Что показывают твои сообщения",
        "size": "твоих сообщений: {own} из {all}, бесед: {talks}",
        "left": "«", "right": "»",
        "standing": "Где стоят твои вопросы",
        "position": "Позиция: {position} - уровень {level} из 7 (интервал 95 %: {low}-{high}; вопросов: {n}).",
        "half": "Хотя бы половина этих вопросов доходит до уровня {half}.",
        "also": "Интервал допускает и другое: {also}.",
        "glance": "Позиции ещё нет, вопросов: {n}. По правилу вышло бы: {position}, уровень {level} из 7 "
                  "(интервал 95 %: {low}-{high}).",
        "worth": "Позиция называет вид вопроса, а не цену того, кто спрашивает: чтобы что-то заработало, нужен как раз "
                 "первый уровень.",
        "illegible": "Позиции нет: меньше двух третей твоих вопросов - по-русски или по-английски, а других языков "
                     "правила, по которым читается глубина, не знают.",
        "head_confirmed": "Из этих вопросов ({of}) подтверждено тобой, а не написано здесь: {n}.",
        "levels": "Как глубоко ты спрашиваешь (1 как установить ... 7 как система проектирует себя); разных "
                  "вопросов: {n}",
        "deepest": "Самые глубокие вопросы",
        "table": "Семь уровней", "level": "Уровень", "asked": "Типичный вопрос", "you": "Ты здесь?", "count": "n",
        "when": "Когда", "yours": "Один из твоих", "recent": "{n}, из них последних: {recent}",
        "no": "нет", "was": "был", "outgrown": "пройден", "yes": "да", "now": "сейчас",
        "edge": "граница, которую ты толкаешь",
        "undated": "Вопросов с датой слишком мало: что пройдено, сказать нельзя.",
        "claims": "Что можно утверждать", "said": "Что ты говоришь о себе",
        "confidence": "уверенность {c:.2f}, {origin}{marks}",
        "rule": "по правилам", "core": "по чтению модели", "rule+core": "по правилам и чтению модели",
        "by_said": "твоими словами", "by_approved": "подтверждено тобой",
        "pin": ", закреплено тобой", "edit": ", сформулировано тобой",
        "edit+pin": ", сформулировано и закреплено тобой",
        "alone": ", только одна беседа", "common": ", подходит многим",
        "showed": "сообщений: {messages}, бесед: {talks}", "span": ", с {first} по {last}",
        "rate": "в {rate} % твоих {what} (интервал 95 %: {low}-{high} %), по нижней границе чаще, чем у {more} из "
                "{of} других людей{where}",
        "rate_none": "в {rate} % твоих {what} (интервал 95 %: {low}-{high} %), по нижней границе не чаще, чем у "
                     "любого из {of} других людей{where}",
        "quotes_confirmed": "цитат, подтверждённых тобой, а не написанных здесь: {n} из {of}",
        "of_sentence": "предложений", "of_question": "вопросов",
        "where_en": " (писавших по-английски)", "where_ru": " (писавших по-русски)",
        "contrast": "Ты не спрашиваешь {flat}, ты спрашиваешь {own}.",
        "flat": "«Ты не спрашиваешь» сказано только об этом вопросе: это он же, упрощённый по правилу.",
        "against": "Что говорит против:", "conflict": "Иначе говорит: {ids}. Что верно, знаешь только ты.",
        "same": "Теми же словами сказано ещё раз: {ids}.",
        "more": "Высказываний, которые здесь не показаны: {n}. `twin profile --json` показывает все.",
        "asked_of_you": "Что знаешь только ты",
        "ask": "{question} Хранятся оба. Что верно, скажет `twin decide approve ID`.",
        "nothing": "Пока ничего.",
        "others": "Рядом с другими людьми",
        "deeper": "Средний уровень твоих вопросов: {mean} (интервал 95 %: {low}-{high}; разных вопросов: {n}); по "
                  "нижней границе глубже, чем у {more} из {of} других людей, которые писали людям, а не ассистенту.",
        "deeper_none": "Средний уровень твоих вопросов: {mean} (интервал 95 %: {low}-{high}; разных вопросов: {n}); "
                       "по нижней границе не глубже, чем у любого из {of} других людей, которые писали людям, а не "
                       "ассистенту.",
        "compared": "Граней, сравнённых с другими людьми: {k}. Чаще, чем хотя бы у четырёх из пяти, по нижней границе "
                    "интервала: {out}. Не заметно чаще, чем у половины: {fits}.",
        "anyone": "Ни одна не выделяется: эта часть профиля подошла бы почти любому.",
        "alike": "Подходят многим: {ids}.", "apart": "Чаще, чем у четырёх из пяти: {ids}.",
        "uncompared": "Ни одну грань не удалось сравнить с другими людьми, поэтому не видно, что подошло бы любому.",
        "time": "Во времени", "month": "Месяц", "mean": "Средний уровень (интервал 95 %)",
        "deep": "Уровень 5 и выше (интервал 95 %)",
        "timeless": "Дат нет нигде, поэтому о переменах ничего не сказано.",
        "appearing": "Появляются: {ids}.", "fading": "Уходят: {ids}.", "steady": "Без перемен сверх случая: {ids}.",
        "unclear": "Мало сообщений или только один месяц, судить нельзя: {n}.",
        "life": "{id} (сообщений: раньше {early} из {early_of}, позже {late} из {late_of})",
        "life_rule": "Сообщения, где утверждение видно, из всех твоих сообщений с датой, в ранней и поздней половине; "
                     "перемена - по точному тесту Фишера, случайна не больше чем одна из двадцати (Бенджамини и "
                     "Хохберг по всем проверенным утверждениям).",
        "topics": "О чём ты пишешь", "topic": "Тема", "talks": "Бесед", "messages": "Сообщений",
        "conclusion": "Вывод",
        "c_position": "Хотя бы каждый четвёртый из твоих {which}вопросов ({n}) доходит до уровня {level} из 7 "
                      "(интервал 95 %: {low}-{high}); по правилу это «{position}» [вопросов: {n}].",
        "c_which": "последних ", "c_glance": "Вопросов так мало, что позиции ещё нет [вопросов: {n}].",
        "c_claim": "{text} - сообщений: {messages}, бесед: {talks} [{ids}].",
        "c_apart": "Из граней, сравнённых с другими людьми ({k}), заметно чаще, чем у четырёх из пяти, видно "
                   "столько: {n}; писали они людям, а не ассистенту [{ids}].",
        "c_anyone": "Из граней, сравнённых с другими людьми ({k}), не выделяется ни одна; эта часть подошла бы почти "
                    "любому [{ids}].",
        "c_alike": "Эти подходят многим и говорят мало именно о тебе [{ids}].",
        "c_against": "Против этих есть и твои собственные слова [{ids}].",
        "c_appearing": "В последнее время чаще, чем раньше [{ids}].",
        "c_fading": "В последнее время реже, чем раньше [{ids}].",
        "c_none": "Из столь малого вывод не делается [твоих сообщений: {own}, вопросов: {n}].",
        "notes": "Насколько это доказано",
    },
}

WORDS: Mapping[str, Mapping[str, str]] = {  # no line breaks before a per cent mark
    language: {key: text.replace(" %", "\u00a0%") for key, text in words.items()} for language, words in _WORDS.items()}
