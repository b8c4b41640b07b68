"""Telegram Desktop exports: one chat and whole accounts, who is who in them, and what of a text is the person's own."""
from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.importers import telegram
from twin.importers.encoding import Mended
from twin.importers.found import Context, Found
from twin.importers.people import People
from twin.text import own_spans
from twin.types import Conversation, Message

Event = tuple[str, str, Any]


def events(value: Any, prefix: str = "") -> Iterator[Event]:
    """What ijson.parse says of a value, messages whole."""
    inner = f"{prefix}." if prefix else ""
    if isinstance(value, dict) and prefix in telegram.WHOLE:
        yield prefix, "value", value
    elif isinstance(value, dict):
        yield prefix, "start_map", None
        for key, one in value.items():
            yield prefix, "map_key", key
            yield from events(one, f"{inner}{key}")
        yield prefix, "end_map", None
    elif isinstance(value, list):
        yield prefix, "start_array", None
        for one in value:
            yield from events(one, f"{inner}item")
        yield prefix, "end_array", None
    else:
        names = {str: "string", bool: "boolean", type(None): "null"}
        yield prefix, names.get(type(value), "number"), value


def context(*me: str, zone: ZoneInfo | None = None, codecs: tuple[str, ...] = ()) -> Context:
    return Context("result.json", Mended("result.json", codecs), People(me), zone)


def found(value: Any, at: Context | None = None) -> list[Found]:
    return list(telegram.read(events(value), at or context()))


def said(number: int, text: Any, sender: str | None = "user1", name: str | None = "Me", **more: Any) -> dict[str, Any]:
    return {"id": number, "type": "message", "date": "2025-06-30T12:07:00", "date_unixtime": str(1751278020 + number),
            "from": name, "from_id": sender, "text": text,
            "text_entities": [{"type": "plain", "text": text}] if isinstance(text, str) and text else [], **more}


def chat(*messages: Any, kind: str = "personal_chat", number: int = 42, **more: Any) -> dict[str, Any]:
    return {"name": "Анна", "type": kind, "id": number, "messages": list(messages), **more}


def account(*chats: Any, left: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {"about": "Here is the data you requested.",
            "personal_information": {"user_id": 1, "first_name": "Пётр", "last_name": "Ильин"},
            "frequent_contacts": {"about": "", "list": [{"id": 7, "type": "user", "name": "Анна"}]},
            "chats": {"about": "", "list": list(chats)}, "left_chats": {"about": "", "list": list(left)}}


def messages(value: Any, at: Context | None = None) -> list[Message]:
    return [one for result in found(value, at) if result.conversation for one in result.conversation.messages]


def spans(*parts: tuple[str, str]) -> dict[str, Any]:
    """A message of the person made of entities."""
    entities = [{"type": kind, "text": text} for kind, text in parts]
    mixed = [part["text"] if part["type"] == "plain" else part for part in entities]
    return {**said(1, mixed), "text_entities": entities}


# ---- the whole value ---------------------------------------------------------------------------------------------

def test_one_chat() -> None:
    value = chat(
        {"id": 1, "type": "service", "date": "2025-06-30T12:00:00", "date_unixtime": "1751277600",
         "actor": "Me", "actor_id": "user1", "action": "phone_call", "text": "", "text_entities": []},
        said(2, "Привет, как ты?"),
        said(3, ["See ", {"type": "link", "text": "example.org"}, "!"], "user42", "Анна",
             text_entities=[{"type": "plain", "text": "See "}, {"type": "link", "text": "example.org"},
                            {"type": "plain", "text": "!"}]),
        said(4, "Новость дня", forwarded_from="Канал"),
        said(5, "Вот схема", photo="(File not included. Change data exporting settings to download.)",
             edited="2025-06-30T12:09:00", edited_unixtime="1751278140"),
        said(6, "", file="stickers/a.webp", media_type="sticker", sticker_emoji="👍"),
        said(7, "", poll={"question": "Когда?", "answers": []}),
        said(8, "", media_type="voice_message", file="voice/a.ogg"),
        {"id": 9, "type": "unsupported"})

    def at(second: int) -> datetime:
        return datetime.fromtimestamp(1751278020 + second, UTC)

    assert found(value) == [Found("result.json", Conversation("telegram-user42", (
        Message("telegram-user42-2", "user", "Привет, как ты?", "Me", at(2), True),
        Message("telegram-user42-3", "other", "See example.org!", "Анна", at(3), False),
        Message("telegram-user42-4", "user", "Новость дня", "Me", at(4), False, ("forwarded",)),
        Message("telegram-user42-5", "user", "Вот схема", "Me", at(5), True, ("edited", "attachment")),
    ), "Анна", "telegram"), {"service message": 1, "sticker": 1, "poll": 1, "attachment only": 1,
                             "unsupported message": 1})]


def test_an_account_and_a_chat_of_it_read_the_same() -> None:
    """Both files lie in one folder; the chat must not be there twice."""
    one = chat(said(1, "Да"), said(2, "Нет", "user42", "Анна"))
    assert [result.conversation for result in found(account(one))] == [result.conversation for result in found(one)]
    assert [result.conversation for result in found(account(left=(one,)))] == [one.conversation for one in found(one)]


def test_a_user_a_group_and_a_channel_of_one_number_are_three_chats() -> None:
    kinds = ("personal_chat", "private_group", "private_channel")
    results = found(account(*(chat(said(1, "Да"), kind=kind) for kind in kinds)))
    assert [one.conversation.id for one in results if one.conversation] == [
        "telegram-user42", "telegram-chat42", "telegram-channel42"]


def test_a_group_that_became_public_stays_the_same() -> None:
    first, second = (found(chat(said(1, "Да"), kind=kind)) for kind in ("private_supergroup", "public_supergroup"))
    assert first == second


# ---- who is the person -------------------------------------------------------------------------------------------

def roles(value: Any, at: Context | None = None) -> list[tuple[str, bool | None]]:
    return [(one.role, one.own) for one in messages(value, at)]


def test_in_a_personal_chat_the_other_side_is_named_so_nobody_is_asked() -> None:
    at = context()
    value = chat(said(1, "Да"), said(2, "Нет", "user42", "Анна"), said(3, "Кто я?", "user42", None))
    assert roles(value, at) == [("user", True), ("other", False), ("other", False)]
    assert at.people.strangers == {}
    assert messages(value)[2].author == "user42"  # a deleted account has no name left, but is still one person


def test_a_personal_chat_of_three_is_asked_about() -> None:
    """Who of two others is the person, the chat does not tell; a wrong guess would make a stranger's words evidence.
    The third may speak last."""
    value = chat(said(1, "Да"), said(2, "Нет", "user42", "Анна"), said(3, "Третий", "user7", "Борис"))
    at = context()
    assert roles(value, at) == [("other", False)] * 3
    assert at.people.strangers == {"telegram": {"Me": 1, "Анна": 1, "Борис": 1}}
    assert roles(value, context("user1")) == [("user", True), ("other", False), ("other", False)]


def test_a_personal_chat_in_which_its_namesake_never_spoke_is_asked_about() -> None:
    at = context()
    assert roles(chat(said(1, "Да"), said(2, "Эй")), at) == [("other", False)] * 2
    assert at.people.strangers == {"telegram": {"Me": 2}}
    assert roles(chat(said(1, "Да")), context("me")) == [("user", True)]
    answered = chat(said(1, "Да"), said(2, "", "user42", "Анна", media_type="sticker", file="a.webp"))
    assert roles(answered) == [("user", True)]


def test_a_friends_export_of_the_chat_with_the_person() -> None:
    at = context("user42")
    assert roles(chat(said(1, "Да"), said(2, "Нет", "user42", "Анна")), at) == [("other", False), ("user", True)]


def test_a_friend_who_is_a_namesake_is_still_somebody_else() -> None:
    value = chat(said(1, "Да", name="Анна"), said(2, "Нет", "user42", "Анна"))
    assert roles(value, context("Анна")) == [("user", True), ("other", False)]


def test_a_group_is_asked_about() -> None:
    value = chat(said(1, "Да"), said(2, "Нет", "user7", "Анна"), said(3, "Да", "user7", "Анна"), kind="private_group")
    at = context()
    assert roles(value, at) == [("other", False)] * 3
    assert at.people.strangers == {"telegram": {"Me": 1, "Анна": 2}}
    for name in ("me", "user1"):
        assert roles(value, context(name)) == [("user", True), ("other", False), ("other", False)]


def test_an_account_knows_its_owner_in_every_chat() -> None:
    at = context()
    group = chat(said(1, "Да"), said(2, "Нет", "user7", "Me"), kind="private_group")
    assert roles(account(group), at) == [("user", True), ("other", False)]  # a namesake is somebody else
    assert at.people.strangers == {}
    assert at.people.own("telegram", "Ещё кто-то") is False
    assert at.people.strangers == {}


def test_what_a_person_saves_for_themselves_is_theirs_unless_it_was_forwarded() -> None:
    value = chat(said(1, "Мысль", None, None), said(2, "Чужое", "user9", "Борис", forwarded_from="Борис"),
                 said(3, "Своё из чата", saved_from="Анна"), kind="saved_messages", number=1)
    del value["name"]
    assert roles(value) == [("user", True), ("other", False), ("user", False)]
    assert roles(account(value)) == roles(value)
    assert found(value)[0].conversation == found(account(value))[0].conversation


def test_a_channel_is_not_the_persons_but_what_they_sign_is() -> None:
    posts = [said(1, "Новость", "channel5", "Вести"), said(2, "Моя колонка", "channel5", "Вести", author="Пётр Ильин")]
    value = chat(*posts, kind="public_channel", number=5)
    assert roles(account(value)) == [("other", False), ("user", True)]
    assert roles(value, context("пётр  ильин")) == [("other", False), ("user", True)]
    assert roles(value, context("channel5")) == [("user", True)] * 2  # a blog of one's own


def test_the_title_of_an_anonymous_admin_is_no_signature() -> None:
    value = chat(said(1, "Да", "channel5", "Группа", author="Пётр Ильин"), kind="private_supergroup", number=5)
    assert roles(account(value)) == [("other", False)]


def test_what_an_inline_bot_wrote_is_no_evidence() -> None:
    assert roles(chat(said(1, "Цитата дня", via_bot="@quotes")), context("Me")) == [("user", False)]


def test_a_bot_is_somebody_else() -> None:
    value = chat(said(1, "/start"), said(2, "Выберите", "user42", "Bot"), kind="bot_chat")
    assert roles(value) == [("user", True), ("other", False)]


def test_answers_to_comments_come_from_many() -> None:
    at = context()
    assert roles(chat(said(1, "Да", "user8", "Кто-то"), kind="replies"), at) == [("other", False)]
    assert "telegram" in at.people.strangers


# ---- texts -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("parts", "text"), [
    ([("plain", "Смотри:"), ("pre", "a = 1\nb = 2\n"), ("plain", "понятно?")],
     "Смотри:\n```\na = 1\nb = 2\n```\nпонятно?"),
    ([("plain", "Зови "), ("code", "run()"), ("plain", " сразу")], "Зови run() сразу"),
    ([("code", "one\ntwo")], "```\none\ntwo\n```"),
    ([("blockquote", "Чужая мысль\nв две строки"), ("plain", "\nНе согласен")],
     "> Чужая мысль\n> в две строки\nНе согласен"),
    ([("pre", "```\nfence\n```"), ("plain", "\nвот")], "> ```\n> fence\n> ```\nвот"),
    ([("pre", "   ")], ""),
    ([("bold", "Очень "), ("custom_emoji", "🔥"), ("spoiler", "важно"), ("plain", " 👩‍💻❤️")],
     "Очень 🔥важно 👩‍💻❤️"),
])
def test_code_and_quotes_are_marked(parts: list[tuple[str, str]], text: str) -> None:
    read = messages(chat(spans(*parts)))
    assert [one.text for one in read] == ([text] if text else [])
    for one in read:
        assert one.raw in (None, "".join(part for _, part in parts).strip().encode())


def test_the_language_of_code_is_kept() -> None:
    value = spans(("pre", "x"))
    value["text_entities"][0]["language"] = "c++`\n"
    assert messages(chat(value))[0].text == "```c++\nx\n```"


WORDS = st.text("абвя xyz.>\n", max_size=12)
PARTS = st.lists(st.tuples(st.sampled_from(["plain", "bold", "link", "code", "pre", "blockquote"]), WORDS), max_size=6)


@given(PARTS)
def test_a_text_is_the_chain_of_its_spans(parts: list[tuple[str, str]]) -> None:
    """Without code and quotes nothing is added or lost; with them, only marks and line ends."""
    whole = "".join(text for _, text in parts)
    read = messages(chat(spans(*parts)))
    assert bool(read) == bool(whole.strip())
    for one in read:
        assert (one.raw or one.text.encode()).decode() == whole.strip()
        assert "".join(one.text.replace("```", "").split()).replace(">", "") == (
            "".join(whole.split()).replace(">", ""))


PIECES = st.sampled_from(["", " ", "\n", "слово", "a\nb", "\nсвоё\n", "```", "~~~\nq\n~~~"])


@given(st.lists(st.tuples(st.sampled_from(["plain", "pre", "blockquote"]), PIECES), max_size=7))
def test_code_and_quotes_never_become_evidence(parts: list[tuple[str, str]]) -> None:
    """Every block is told apart by a mark of its own, which must not stand in any own span."""
    marked = [(kind, f"ЧУЖОЕ\n{text}" if kind != "plain" else text) for kind, text in parts]
    for one in messages(chat(spans(*marked))):
        assert all("ЧУЖОЕ" not in one.text[left:right] for left, right in own_spans(one.text))


def test_mojibake_is_repaired_and_the_original_kept() -> None:
    broken = "Привет, мир".encode().decode("mac_roman")
    value = chat(said(1, broken, name="Пётр".encode().decode("mac_roman")))
    (read,) = messages(value, context(codecs=("mac_roman",)))
    assert (read.text, read.author, read.flags) == ("Привет, мир", "Пётр", ("repaired",))
    assert read.raw == broken.encode()


# ---- older exports, times ----------------------------------------------------------------------------------------

def test_ids_of_2020_and_of_today_agree() -> None:
    """Until 2020 ids of peers held their kind in the upper bits; an old export must meet a new one."""
    old = chat({**said(1, "Да"), "from_id": (1 << 32) + 1, "text_entities": None},
               {**said(2, "Нет", name="Анна"), "from_id": (1 << 32) + 42}, number=(1 << 32) + 42)
    new = chat(said(1, "Да"), said(2, "Нет", "user42", "Анна"))
    assert found(old) == found(new)
    group = chat({**said(1, "Да"), "from_id": (1 << 32) + 1}, kind="private_supergroup", number=(2 << 32) + 5)
    assert found(group)[0].conversation.id == "telegram-channel5"  # type: ignore[union-attr]
    assert found(chat(said(1, "Да"), number=(1 << 32) + 42))[0].conversation.id == (  # type: ignore[union-attr]
        "telegram-user4294967338")  # a user of today may bear such a number


def test_a_local_time_is_taken_in_the_given_zone_and_says_so() -> None:
    value = said(1, "Да")
    del value["date_unixtime"]
    (read,) = messages(chat(value), context(zone=ZoneInfo("Europe/Moscow")))
    assert (read.time, read.flags) == (datetime(2025, 6, 30, 9, 7, tzinfo=UTC), ("local_time",))


@pytest.mark.parametrize("stamp", ["", "nan", "-", "9" * 5000, 10**400, 1e300, float("nan"), None, [], True])
def test_a_stamp_that_is_none_falls_back_to_the_date(stamp: Any) -> None:
    value = {**said(1, "Да"), "date_unixtime": stamp}
    (read,) = messages(chat(value), context(zone=ZoneInfo("UTC")))
    assert read.time == datetime(2025, 6, 30, 12, 7, tzinfo=UTC)
    assert messages(chat({**value, "date": "yesterday"}))[0].time is None


# ---- streaming ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_parts_are_the_chat_cut(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat of 300 MB goes out in parts; where they are cut must not show."""
    value = account(chat(*(said(number, f"Слово {number}", edited="x") for number in range(7)), {"type": "service"}),
                    chat(said(1, "Другой чат"), number=43))
    whole = found(value)
    monkeypatch.setattr(telegram, "PART", size)
    parts = found(value)
    assert all(len(one.conversation.messages) <= size for one in parts if one.conversation)
    for one in whole:
        assert one.conversation
        mine = [part for part in parts if part.conversation and part.conversation.id == one.conversation.id]
        assert tuple(said for part in mine if part.conversation for said in part.conversation.messages) == (
            one.conversation.messages)
    assert sum(sum(part.skipped.values()) for part in parts) == 1


def test_reading_again_gives_the_same() -> None:
    value = account(chat(said(1, "Да"), {**said(2, "Без номера"), "id": None}, {**said(2, "Без номера"), "id": None}))
    assert found(value) == found(value)
    assert len({one.id for one in messages(value)}) == 3


def test_a_header_that_is_missing_or_late_loses_nothing() -> None:
    value = {"messages": [said(1, "Да")], "name": "Анна", "type": "personal_chat", "id": 42}
    (one,) = found(value)
    assert one.conversation
    assert [(read.text, len(read.id) > 16) for read in one.conversation.messages] == [("Да", True)]
    assert found({"type": "personal_chat", "id": 42}) == [Found("result.json", skipped={"empty conversation": 1})]


@pytest.mark.parametrize("value", [account(), {"about": "x", "chats": {"list": []}}, {}])
def test_an_account_without_chats_says_so(value: Any) -> None:
    assert found(value) == [Found("result.json", skipped={"no chats in it": 1})]


# ---- telling it apart, and bad content ---------------------------------------------------------------------------

@pytest.mark.parametrize(("keys", "expected"), [
    (["name", "type", "id", "messages"], True),
    (["type", "id", "messages"], True),
    (["about", "personal_information", "profile_pictures"], True),
    (["about", "chats"], True),
    (["about", "left_chats"], True),
    (["messages"], False),
    (["id", "messages"], False),
    (["uuid", "name", "chat_messages"], False),
    (["id", "title", "chat", "messages"], False),
    (["about"], False),
    ([], False),
])
def test_keys_tell_the_format(keys: list[str], expected: bool) -> None:
    assert telegram.recognises_keys(keys) is expected


KEYS = st.sampled_from(["name", "type", "id", "messages", "chats", "list", "left_chats", "personal_information",
                        "user_id", "from", "from_id", "text", "text_entities", "date", "date_unixtime", "author",
                        "forwarded_from", "media_type", "language", "actor_id", "edited"])
SCALARS = (st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
           | st.sampled_from(["message", "service", "saved_messages", "public_channel", "personal_chat", "pre"])
           | st.sampled_from([10**400, -1, 1 << 33, "\ud800", "9" * 5000, "user1"]))
JUNK = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
                    max_leaves=12)
MESSAGE = st.dictionaries(KEYS, JUNK, max_size=6) | JUNK
CHAT = st.fixed_dictionaries({"type": SCALARS, "id": SCALARS, "messages": st.lists(MESSAGE, max_size=4)})


@settings(max_examples=300)
@given(JUNK | CHAT | st.lists(CHAT, max_size=2).map(lambda chats: account(*chats)))
def test_nothing_in_a_file_raises_and_everything_is_counted(value: Any) -> None:
    results = found(value)
    assert results
    shown = [one for _, event, one in events(value) if event == "value"]
    read = sum(len(one.conversation.messages) for one in results if one.conversation)
    skipped = sum(sum(one.skipped.values()) for one in results)
    assert read + skipped >= len(shown)
    assert [(one.conversation, one.skipped) for one in found(value)] == (
        [(one.conversation, one.skipped) for one in results])
