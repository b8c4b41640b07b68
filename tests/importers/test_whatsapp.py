"""WhatsApp chats: every header shape, what the app writes itself, the order of dates, and which chat it is."""
from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from twin.importers import whatsapp
from twin.importers.encoding import Decoded, Mended, mended
from twin.importers.found import Context, Found
from twin.importers.people import People
from twin.types import Conversation, Message

NAME = "WhatsApp Chat with Анна.txt"


def context(*me: str, file: str = NAME, zone: str = "UTC") -> Context:
    return Context(file, Mended(file, ()), People(me), ZoneInfo(zone))


def found(text: str, at: Context | None = None) -> list[Found]:
    at = at or context()
    return list(whatsapp.read(at.file, at, mended(text, at.file)))


def chat(text: str, at: Context | None = None) -> Conversation:
    (one,) = [result.conversation for result in found(text, at) if result.conversation]
    return one


def texts(text: str, at: Context | None = None) -> list[tuple[str | None, str]]:
    return [(said.author, said.text) for said in chat(text, at).messages]


ANDROID = """30.06.2025, 12:06 - Сообщения и звонки защищены сквозным шифрованием. Подробнее.
30.06.2025, 12:07 - Пётр: Привет!
Как ты?

Я думаю: пора 👩‍💻❤️
30.06.2025, 12:08 - Анна: <Без медиафайлов>
30.06.2025, 12:08 - Анна: IMG-20250630-WA0003.jpg (файл добавлен)
вот схема
30.06.2025, 12:09 - Пётр: Данное сообщение удалено
30.06.2025, 12:10 - Пётр: Тогда завтра <Сообщение изменено>
"""
IPHONE = """\u200e[30.06.25, 12:06:01] Анна: \u200eСообщения и звонки защищены сквозным шифрованием.
[30.06.25, 12:07:31] Пётр: Привет!
Как ты?

Я думаю: пора 👩‍💻❤️
\u200e[30.06.25, 12:08:02] Анна: \u200eизображение отсутствует
\u200e[30.06.25, 12:08:40] Анна: вот схема \u200e<прикреплено: 00000003-PHOTO-2025-06-30-12-08-40.jpg>
[30.06.25, 12:09:11] Пётр: \u200eВы удалили данное сообщение.
[30.06.25, 12:10:00] Пётр: Тогда завтра \u200e<Сообщение изменено>
"""


# ---- the whole value ---------------------------------------------------------------------------------------------

def test_one_chat() -> None:
    (one,) = found(ANDROID, context("Пётр"))
    assert one.conversation
    ids = [said.id for said in one.conversation.messages]
    times = [datetime(2025, 6, 30, 12, minute, tzinfo=UTC) for minute in (7, 8, 10)]
    caption = "IMG-20250630-WA0003.jpg (файл добавлен)\nвот схема".encode()
    assert one == Found(NAME, Conversation(one.conversation.id, (
        Message(ids[0], "user", "Привет!\nКак ты?\n\nЯ думаю: пора 👩‍💻❤️", "Пётр", times[0], True, ("local_time",)),
        Message(ids[1], "other", "вот схема", "Анна", times[1], False, ("attachment", "local_time"), caption),
        Message(ids[2], "user", "Тогда завтра", "Пётр", times[2], True, ("edited", "local_time"),
                "Тогда завтра <Сообщение изменено>".encode()),
    ), "Анна", "whatsapp"), {"system line": 1, "attachment only": 1, "deleted message": 1})
    assert all(ident.startswith("whatsapp-") and len(ident) == 41 for ident in (*ids, one.conversation.id))


def test_the_same_chat_from_two_phones_is_one() -> None:
    """Formats, seconds, marks and stand-ins differ; chat, ids, texts and flags must not."""
    android, iphone = chat(ANDROID), chat(IPHONE, context(file="_chat.txt"))
    assert iphone.id == android.id
    assert [(one.id, one.text, one.flags) for one in iphone.messages] == [
        (one.id, one.text, one.flags) for one in android.messages]
    assert [one.time.second for one in iphone.messages if one.time] == [31, 40, 0]


def test_a_later_export_adds_only_what_is_new() -> None:
    first = chat(ANDROID)
    later = chat(ANDROID + "01.07.2025, 09:00 - Анна: Доброе утро\n")
    assert (later.id, later.messages[:3]) == (first.id, first.messages)


def ids(text: str, at: Context | None = None) -> list[str]:
    return [said.id for said in chat(text, at).messages]


def test_another_zone_adds_nothing() -> None:
    """Somebody who moved, or named the zone only later, must not find the chat twice, nor what was forgotten again."""
    zones = ("UTC", "Europe/Moscow", "America/New_York", "Asia/Kolkata")
    assert len({tuple(ids(ANDROID, context(zone=zone))) for zone in zones}) == 1


@pytest.mark.parametrize("later", ["1/15/24, 21:41", "15/1/24, 21:41"])
def test_a_date_that_settles_the_order_of_all_dates_adds_only_itself(later: str) -> None:
    """Until the thirteenth of a month nothing in the file says which number is the day."""
    first = "1/2/24, 21:41 - Анна: Да\n1/5/24, 21:41 - Пётр: Да\n2/1/24, 21:41 - Анна: Да\n"
    grown = ids(first + f"{later} - Анна: Да\n")
    assert (grown[:3], len(set(grown))) == (ids(first), 4)


# ---- header shapes -----------------------------------------------------------------------------------------------

def _ampm(at: datetime, space: str = " ") -> str:
    return f"{at.hour % 12 or 12}:{at:%M}{space}{'PM' if at.hour > 11 else 'AM'}"


SHAPES: dict[str, Callable[[datetime], str]] = {
    "android, day first": lambda at: f"{at:%d/%m/%Y, %H:%M} - ",
    "android, dots": lambda at: f"{at:%d.%m.%y, %H:%M} - ",
    "android, no comma": lambda at: f"{at:%d.%m.%y %H:%M} - ",
    "android, american": lambda at: f"{at.month}/{at.day}/{at:%y}, {_ampm(at)} - ",
    "android 16": lambda at: f"{at.month}/{at.day}/{at:%y}, {_ampm(at, chr(0x202f))} - ",
    "android, spanish": lambda at: f"{at:%d/%m/%Y}, {at.hour % 12 or 12}:{at:%M} {'ap'[at.hour > 11]}.\u00a0m. - ",
    "android, dotted time": lambda at: f"{at:%d/%m/%y %H.%M} - ",
    "android, iso": lambda at: f"{at:%Y-%m-%d, %H:%M} - ",
    "android, slashed year first": lambda at: f"{at:%Y/%m/%d}, {at:%H:%M} - ",
    "android, long dash": lambda at: f"{at:%d.%m.%Y, %H:%M} \u2013 ",
    "iphone": lambda at: f"[{at:%d.%m.%y, %H:%M:%S}] ",
    "iphone, marked": lambda at: f"\u200e[{at:%d.%m.%Y, %H:%M:%S}] ",
    "iphone, american": lambda at: f"[{at.month}/{at.day}/{at:%y}, {_ampm(at, f':{at:%S}{chr(0x202f)}')}] ",
    "iphone, iso": lambda at: f"[{at:%Y-%m-%d, %H:%M:%S}] ",
    "iphone, dashes": lambda at: f"[{at:%d-%m-%y %H:%M:%S}] ",
    "finnish": lambda at: f"[{at.day}.{at.month}.{at:%Y} klo {at.hour}.{at:%M.%S}] ",
    "croatian": lambda at: f"{at.day}. {at.month}. {at:%Y}. {at:%H:%M} - ",
}
Said = tuple[str, str, datetime]


def rendered(shape: str, said: list[Said]) -> str:
    return "".join(f"{SHAPES[shape](at)}{author}: {text}\n" for author, text, at in said)


# The thirteenth says which number is the day.
START = datetime(2024, 3, 13, 11, 58)
DAYS = [("Анна", "С наступающим", START), ("Пётр", "И тебя!\nУвидимся?", START + timedelta(minutes=3)),
        ("Анна", "Да", datetime(2024, 4, 5, 0, 5))]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_reads_the_same(shape: str) -> None:
    text = rendered(shape, DAYS)
    assert whatsapp.recognises("any.txt", text)
    conversation = chat(text)
    assert [(said.author, said.text, said.time) for said in conversation.messages] == [
        (author, text, at.replace(tzinfo=UTC)) for author, text, at in DAYS]
    assert conversation == chat(rendered("iphone", DAYS))


AUTHORS = st.sampled_from(["Анна", "Peter Smith", "+7 999 123-45-67", "Д'Артаньян", "Мама 🐈", "O: o", "Ü"])
LINES = st.text("абвгд xyz:.,!?-()[]0123456789👩\u200d💻\ufe0f\u2764", max_size=20).map(str.strip).filter(
    lambda line: not whatsapp._HEADER.match(line) and "  " not in line)
TEXTS = st.lists(LINES, min_size=1, max_size=4).map("\n".join).map(str.strip).filter(
    lambda text: text and whatsapp._words(text) == (text, (), ""))
CHATS = st.lists(st.tuples(AUTHORS.filter(lambda name: ":" not in name), TEXTS, st.integers(0, 5000)), max_size=12).map(
    lambda rows: [*DAYS[:2], *((who, text, START + timedelta(days=30, minutes=sum(row[2] for row in rows[:number])))
                               for number, (who, text, _) in enumerate(rows))])


@given(CHATS, st.sampled_from(sorted(SHAPES)))
def test_what_was_written_is_read_back(said: list[Said], shape: str) -> None:
    """Random chats through every header shape: authors, texts and minutes come back, ids are equal and distinct."""
    assume(not whatsapp._half_names(f"{author}: {text}" for author, text, _ in said))  # that is what a name looks like
    messages = chat(rendered(shape, said)).messages
    assert [(one.author, one.text, one.time) for one in messages] == [
        (author, text, at.replace(tzinfo=UTC)) for author, text, at in said]
    assert len({one.id for one in messages}) == len(messages)
    assert [one.id for one in messages] == [one.id for one in chat(rendered("iphone", said)).messages]


@given(CHATS, st.integers(1, 5))
@settings(max_examples=30)
def test_parts_are_the_chat_cut(said: list[Said], size: int) -> None:
    text = rendered("android, iso", [*said, ("Анна", "<Media omitted>", said[-1][2])])
    whole = chat(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whatsapp, "PART", size)
        parts = found(text)
    conversations = [part.conversation for part in parts if part.conversation]
    assert {one.id for one in conversations} == {whole.id}
    assert tuple(one for part in conversations for one in part.messages) == whole.messages
    assert sum(sum(part.skipped.values()) for part in parts) == 1


# ---- dates -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("stamps", "expected"), [
    (("03/04/24, 10:00", "13/04/24, 10:00"), [(4, 3), (4, 13)]),
    (("03/04/24, 10:00", "03/13/24, 10:00"), [(3, 4), (3, 13)]),
    (("11/02/24, 10:00", "01/03/24, 10:00", "02/03/24, 10:00"), [(2, 11), (3, 1), (3, 2)]),  # forward in time
    (("2/11/24, 10:00", "3/1/24, 10:00", "3/2/24, 10:00"), [(2, 11), (3, 1), (3, 2)]),
    (("3/4/24, 10:00 AM", "3/5/24, 9:00 PM"), [(3, 4), (3, 5)]),                              # an American
    (("03/04/24, 10:00 am", "03/05/24, 9:00 pm"), [(4, 3), (5, 3)]),                          # a Briton
    (("03.04.24, 10:00", "03.05.24, 10:00"), [(4, 3), (5, 3)]),
    (("24/12/30, 10:00", "24/12/31, 10:00", "25/01/01, 10:00"), [(12, 30), (12, 31), (1, 1)]),
])
def test_day_and_month_are_decided_once_for_a_file(stamps: tuple[str, ...], expected: list[tuple[int, int]]) -> None:
    text = "".join(f"{stamp} - Анна: Да\n" for stamp in stamps)
    assert [(said.time.month, said.time.day) for said in chat(text).messages if said.time] == expected


def test_noon_and_midnight() -> None:
    text = "3/13/24, 12:05 AM - A: 1\n3/13/24, 12:05 PM - A: 2\n3/13/24, 1:05 pm - A: 3\n"
    assert [said.time.hour for said in chat(text).messages if said.time] == [0, 12, 13]


def test_local_times_become_utc() -> None:
    (said,) = chat("30.06.2025, 12:07 - Анна: Да\n", context(zone="Europe/Moscow")).messages
    assert (said.time, said.flags) == (datetime(2025, 6, 30, 9, 7, tzinfo=UTC), ("local_time",))


def test_a_date_that_cannot_be_is_text() -> None:
    text = "30.06.2025, 12:07 - Анна: Расписание\n31.02.2025, 12:00 - Пётр: нет такого дня\n"
    assert texts(text) == [("Анна", "Расписание\n31.02.2025, 12:00 - Пётр: нет такого дня")]


def test_lines_copied_from_another_chat_stay_in_the_message() -> None:
    """Somebody pasted an iPhone's lines into an Android chat; they must not become messages of their own."""
    lines = [f"30.06.2025, 12:{minute} - Анна: Да {minute}" for minute in range(10, 25)]
    text = "\n".join([*lines, "[01.02.20, 10:00:00] Пётр: Старое", *lines])
    read = texts(text)
    assert len(read) == 30
    assert read[14] == ("Анна", "Да 24\n[01.02.20, 10:00:00] Пётр: Старое")


# ---- what the app writes -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("body", [
    "<Media omitted>", "<Без медиафайлов>", "<Medien ausgeschlossen>", "<Multimedia omitido>", "<Médias omis>",
    "<Mídia oculta>", "<Media omessi>", "<View once voice message omitted>", "\u200eimage omitted",
    "\u200eImage omitted",
    "\u200eизображение отсутствует", "\u200eстикер не добавлен", "\u200eBild weggelassen", "\u200eimagen omitida",
    "\u200eimage absente", "\u200eimagem ocultada", "\u200eimmagine omessa", "\u200eзображення відсутнє",
    "\u200eReport.pdf • \u200e3 pages \u200edocument omitted", "<attached: 00000012-PHOTO-2025-06-30-12-07-00.jpg>",
    "\u200e<прикреплено: 00000012-PHOTO-2025-06-30.jpg>", "\u200e<bijgevoegd: 00000012-PHOTO-2025-06-30.jpg>",
    "Отчёт.pdf • \u200e3 страницы \u200e<прикреплено: 00000012-Отчёт.pdf>", "IMG-20250630-WA0003.jpg (file attached)",
    "\u200ePTT-20250630-WA0003.opus (bestand bijgevoegd)", "Мой отчёт.pdf (файл добавлен)",
    "Anna.vcf (Datei angehängt)",
])
def test_stand_ins_for_media_are_no_words(body: str) -> None:
    (one,) = found(f"30.06.2025, 12:07 - Анна: {body}\n")
    assert (one.conversation, one.skipped) == (None, {"attachment only": 1})


@pytest.mark.parametrize(("body", "reason"), [
    ("This message was deleted", "deleted message"), ("You deleted this message.", "deleted message"),
    ("Данное сообщение удалено", "deleted message"), ("\u200eВы удалили данное сообщение.", "deleted message"),
    ("Diese Nachricht wurde gelöscht.", "deleted message"), ("Se eliminó este mensaje.", "deleted message"),
    ("Ce message a été supprimé", "deleted message"), ("Mensagem apagada", "deleted message"),
    ("Questo messaggio è stato eliminato", "deleted message"),
    ("location: https://maps.google.com/?q=55.75,37.61", "location"), ("", "empty"), ("\u200e", "empty"),
    ("ОПРОС:\nКогда?\nВАРИАНТ: завтра (2 голоса)", "poll"),
])
def test_other_lines_without_words_say_why(body: str, reason: str) -> None:
    (one,) = found(f"30.06.2025, 12:07 - Анна: {body}\n")
    assert (one.conversation, one.skipped) == (None, {reason: 1})


@pytest.mark.parametrize(("body", "text", "flags"), [
    ("<Media omitted>\nсмотри сюда", "смотри сюда", ("attachment",)),
    ("IMG-20250630-WA0003.jpg (file attached)\nсмотри: сюда", "смотри: сюда", ("attachment",)),
    ("смотри \u200e<attached: 00000012-PHOTO-2025-06-30.jpg>", "смотри", ("attachment",)),
    ("jpg \u200e<attached: 00000012-PHOTO-2025-06-30.jpg>", "jpg", ("attachment",)),
    ("Иду <This message was edited>", "Иду", ("edited",)),
    ("Иду \u200e<This message was edited.>", "Иду", ("edited",)),
    ("Иду \u200e<Bu mesaj düzenlendi>", "Иду", ("edited",)),
    ("Две\nстроки <Se editó este mensaje.>", "Две\nстроки", ("edited",)),
    ("Спроси @\u2068Анна\u2069, она знает", "Спроси @Анна, она знает", ()),
    ("Тег <media> в разметке", "Тег <media> в разметке", ()),
    ("if a < b: print(a)", "if a < b: print(a)", ()),
    ("Где: https://maps.google.com/?q=1,2 и рядом", "Где: https://maps.google.com/?q=1,2 и рядом", ()),
    ("image omitted in the report", "image omitted in the report", ()),
    ("👩\u200d💻 и ❤\ufe0f", "👩\u200d💻 и ❤\ufe0f", ()),
])
def test_words_beside_what_the_app_writes_are_kept(body: str, text: str, flags: tuple[str, ...]) -> None:
    (said,) = chat(f"30.06.2025, 12:07 - Анна: {body}\n").messages
    assert (said.text, said.flags) == (text, (*flags, "local_time"))
    assert (said.raw or said.text.encode()).decode() == body


@pytest.mark.parametrize("line", [
    "30.06.2025, 12:07 - Анна изменил(-а) название группы на «План: отпуск»",
    '30.06.2025, 12:07 - Anna changed the subject to "Plan: B"',
    "30.06.2025, 12:07 - You joined a group via invite in the community: Neighbours",
    "30.06.2025, 12:07 - Messages and calls are end-to-end encrypted.",
])
def test_a_line_without_an_author_is_the_apps(line: str) -> None:
    (one,) = found(f"{line}\n30.06.2025, 12:08 - Анна: Да\n")
    assert one.skipped == {"system line": 1}
    assert one.conversation
    assert [said.text for said in one.conversation.messages] == ["Да"]


def test_on_iphones_a_mark_tells_the_apps_lines_from_those_of_their_author() -> None:
    """Since 2024 iPhones put the group's or somebody's name before what the app says."""
    text = ("[30.06.25, 12:06:01] Дача: \u200eСообщения и звонки защищены сквозным шифрованием.\n"
            "[30.06.25, 12:06:02] Борис: \u200eБорис добавлен в группу\n[30.06.25, 12:07:00] Борис: Всем привет\n")
    (one,) = found(text, context(file="_chat.txt"))
    assert one.skipped == {"system line": 2}
    assert one.conversation
    assert (one.conversation.title, [said.text for said in one.conversation.messages]) == ("Дача", ["Всем привет"])


# ---- who ---------------------------------------------------------------------------------------------------------

def test_the_person_is_asked_about_with_counts() -> None:
    at = context()
    chat(ANDROID, at)
    assert at.people.strangers == {"whatsapp": {"Пётр": 2, "Анна": 1}}


@pytest.mark.parametrize("said", [["так: да"] * 3, ["0: 0", "0: 1", "0: 2"]])
def test_a_colon_in_what_was_said_is_no_part_of_a_name(said: list[str]) -> None:
    """The same words sent again, and numbers before a colon, name nobody."""
    messages = chat("".join(f"30.06.2025, 12:0{n} - Anna: {one}\n" for n, one in enumerate(said))).messages
    assert [(one.author, one.text) for one in messages] == [("Anna", one) for one in said]


def test_a_name_may_hold_a_colon() -> None:
    text = "".join(f"30.06.2025, 12:{minute} - {name}: Да: {minute}\n" for minute in range(10, 14)
                   for name in ("Мама: работа", "Мама: дом", "Пётр")) + "30.06.2025, 13:00 - Пётр: Нет\n"
    assert {author for author, _ in texts(text)} == {"Мама: работа", "Мама: дом", "Пётр"}
    assert texts(text)[0] == ("Мама: работа", "Да: 10")


def test_names_of_unknown_numbers_lose_their_marks() -> None:
    text = ("[30.06.25, 12:07:00] ~\u202fДина: Да\n"
            "[30.06.25, 12:08:00] \u202a+7\u00a0999\u00a0123-45-67\u202c: Нет\n")
    assert texts(text) == [("Дина", "Да"), ("+7 999 123-45-67", "Нет")]


def test_a_number_of_words_repeated_is_a_name() -> None:
    name = "Иван мастер по ремонту стиральных машин Боря"
    assert texts(f"30.06.2025, 12:07 - {name}: Да\n30.06.2025, 12:08 - {name}: Нет\n") == [(name, "Да"), (name, "Нет")]


# ---- which chat --------------------------------------------------------------------------------------------------

TWO = "30.06.2025, 12:07 - Анна: С Новым годом!\n30.06.2025, 12:07 - Пётр: И тебя\n"


@pytest.mark.parametrize(("file", "title"), [
    ("WhatsApp Chat with Дача.txt", "Дача"), ("WhatsApp Chat - Дача.zip/_chat.txt", "Дача"),
    ("exports/WhatsApp Chat - Дача/_chat.txt", "Дача"), ("Чат WhatsApp с контактом Дача.txt", "Дача"),
    ("Чат WhatsApp с Дача (2).txt", "Дача"), ("WhatsApp-Chat mit Дача.txt", "Дача"),
    ("Chat de WhatsApp con Дача.txt", "Дача"), ("Chat WhatsApp con Дача.txt", "Дача"),
    ("Discussion WhatsApp avec Дача.txt", "Дача"), ("Conversa do WhatsApp com Дача.txt", "Дача"),
    ("My exports/WhatsApp_Chat_with_Дача.txt", "Дача"), ("_chat.txt", "Анна, Пётр"), ("notes.txt", "Анна, Пётр"),
])
def test_the_file_may_bear_the_name_of_the_chat(file: str, title: str) -> None:
    assert chat(TWO, context(file=file)).title == title


def test_a_group_is_one_under_every_name_of_its_file_and_no_path_counts() -> None:
    names = ("WhatsApp Chat with Дача.txt", "a/b/WhatsApp Chat - Дача.zip/_chat.txt", "Чат WhatsApp с Дача (1).txt")
    assert len({chat(TWO, context(file=name)).id for name in names}) == 1


def test_two_people_are_one_chat_whatever_the_file_is_called() -> None:
    names = ("WhatsApp Chat with Анна.txt", "_chat.txt", "Чат WhatsApp с контактом Анна ❤.txt")
    assert len({chat(TWO, context(file=name)).id for name in names}) == 1


def test_one_wish_to_two_chats_in_one_minute_stays_two() -> None:
    private, group = chat(TWO), chat(TWO, context(file="WhatsApp Chat with Дача.txt"))
    other = chat(TWO.replace("Пётр", "Борис"), context(file="_chat.txt"))
    assert len({private.id, group.id, other.id}) == 3
    assert len({said.id for one in (private, group, other) for said in one.messages}) == 6


def test_a_group_without_a_file_name_is_known_by_its_first_lines() -> None:
    made = '30.06.2025, 12:00 - Анна создал(-а) группу "Дача"\n'
    assert chat(made + TWO, context(file="_chat.txt")).id == chat(TWO, context(file="WhatsApp Chat - Дача.zip")).id


def test_repeated_words_in_one_minute_are_told_apart() -> None:
    twice = chat("30.06.2025, 12:07 - Анна: Да\n30.06.2025, 12:07 - Анна: Да\n")
    assert len({said.id for said in twice.messages}) == 2


# ---- telling it apart --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text", [
    "31.12.2024, 21:41 - устал, но доволен\n01.01.2025, 10:00 - выспался\n",
    "31.12.2024\nСегодня был хороший день: гулял\n01.01.2025\nСпал\n",
    "[31.12.24, 21:41:09] устал\n[01.01.25, 10:00:09] выспался\n",
    "".join(f"{day}.01.2025, 21:41 - {word}: записал\n" for day, word in enumerate("абвгдежз", 10)),
    "2024-12-31 21:41:09 - INFO: started\n2024-12-31 21:41:10 - ERROR: stopped\n",
    "# Заметка\n\nтекст\n\nещё\n\n31.12.2024, 21:41 - Анна: привет\n",
    "31.12.2024, 21:41 - Анна: цитата\n" + "длинная заметка\n" * 30,
    "", "\n\n", "Просто текст: с двоеточием",
])
def test_diaries_logs_and_notes_are_not_taken(text: str) -> None:
    assert not whatsapp.recognises("diary.txt", text)


def test_a_chat_is_taken_under_any_name() -> None:
    assert whatsapp.recognises("x.txt", ANDROID)
    assert whatsapp.recognises("x.txt", IPHONE)
    assert whatsapp.recognises("x.txt", "\ufeff" + TWO)
    assert whatsapp.recognises("x.txt", TWO.replace("С Новым годом!", "\n".join("строка" for _ in range(8))))
    assert whatsapp.recognises("WhatsApp Chat with Анна.txt", "31.12.2024, 21:41 - Вы создали группу\n")
    assert not whatsapp.recognises("WhatsApp Chat with Анна.txt", "Просто текст")


# ---- bad content -------------------------------------------------------------------------------------------------

def test_mojibake_is_repaired_and_the_original_kept() -> None:
    broken = ANDROID.encode().decode("mac_roman")
    first = found(broken, context("Пётр"))[0].conversation
    assert first
    assert [(said.author, said.text) for said in first.messages] == texts(ANDROID)
    assert first.messages[2].raw == "Тогда завтра <Сообщение изменено>".encode().decode("mac_roman").encode()
    assert all("repaired" in said.flags for said in first.messages)


def test_lines_before_the_first_message_are_counted() -> None:
    (one,) = found(f"Экспорт\n\n{TWO}")
    assert one.skipped == {"line before the first message": 1}


PIECES = st.sampled_from(["30.06.25, 12:07 - ", "[30.06.25, 12:07:00] ", "99/99/9999, 99:99 - ", "0000-00-00, 00:00 - ",
                          "Анна", ": ", ":", "\n", "\u200e", "<", ">", "\u200e<Media omitted>", "(file attached)", "\"",
                          "«", " • ", "\ufeff", "\x00", "POLL:", "1/1/1, 1:11 PM - ", "٣", "²", "~\u202f"])


@settings(max_examples=300)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_nothing_in_a_file_raises_and_every_message_is_counted(text: str) -> None:
    whatsapp.recognises("x.txt", text)
    decoded = mended(text, NAME)
    at = context()
    results = list(whatsapp.read(NAME, at, decoded))
    again = list(whatsapp.read(NAME, context(), Decoded(decoded.text, decoded.original)))
    assert results == again
    assert all(one.failure is None for one in results)
    entries, before = whatsapp._entries(decoded.lines)
    messages = sum(len(one.conversation.messages) for one in results if one.conversation)
    skipped = sum(sum(one.skipped.values()) for one in results)
    assert messages + skipped == (len(entries) + before.total() or 1)
