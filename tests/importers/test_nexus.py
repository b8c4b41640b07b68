"""Notes of the Nexus plugin, every era of it."""
from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import BrokenFile
from twin.importers import nexus
from twin.importers.encoding import Mended, decode
from twin.importers.found import Context, Found
from twin.types import Conversation, Message

BARE = """>[!nexus_user] **User** - 30.06.2025 at 12:07
> Как мне связать две роли, чтобы они спорили?
>
> Ответь коротко 🧠
<!-- UID: aaa-1 -->



>[!nexus_agent] **Assistant** - 30.06.2025 at 12:08
> Дай им общий черновик.
> > и один голос
<!-- UID: aaa-2 -->

---
"""
MATTER = """---
nexus: nexus-ai-chat-importer
plugin_version: "1.3.0"
provider: chatgpt
aliases: "Weekly plan"
conversation_id: 1111-2222
create_time: 2025-04-03T09:00:00.000Z
update_time: 2025-04-03T11:00:00.000Z
---

# Title: Weekly plan

Created: 03.04.2025 at 09:00
Last Updated: 03.04.2025 at 11:00
Chat URL: https://chatgpt.com/c/1111-2222

"""


@pytest.fixture
def moscow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose zone is three hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Europe/Moscow")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def note(text: str, name: str = "note.md", zone: ZoneInfo | None = None) -> Found:
    decoded = decode(text.encode(), name)
    assert nexus.recognises(name, decoded.text)
    results = list(nexus.read(name, Context(name, Mended(name, ()), zone=zone), decoded))
    assert len(results) == 1
    return results[0]


def chat(found: Found) -> Conversation:
    assert found.conversation is not None, found
    return found.conversation


def test_callouts_and_uids_suffice() -> None:
    conversation = chat(note(BARE))
    user, assistant = conversation.messages
    assert (user.id, user.role, user.own) == ("aaa-1", "user", True)
    assert user.text == "Как мне связать две роли, чтобы они спорили?\n\nОтветь коротко 🧠"
    assert (assistant.id, assistant.role, assistant.own) == ("aaa-2", "assistant", False)
    assert assistant.text == "Дай им общий черновик.\n> и один голос"
    assert conversation.id == "uids-" + sha256(b"aaa-1\naaa-2").hexdigest()[:32]
    assert user.raw is None
    assert "repaired" not in user.flags


def test_a_note_read_as_mac_roman_is_repaired_and_keeps_its_original() -> None:
    broken = BARE.encode().decode("mac_roman")
    repair = decode(broken.encode(), "note.md").repair
    assert repair is not None
    assert (repair.codec, repair.lines, repair.file) == ("mac_roman", 4, "note.md")
    user, assistant = chat(note(broken)).messages
    assert [said.text for said in (user, assistant)] == [said.text for said in chat(note(BARE)).messages]
    body = broken.split("\n")[1:4]
    assert user.raw == "\n".join(line[2:] for line in body).encode()
    assert "repaired" in user.flags
    assert "repaired" in assistant.flags


def test_reading_again_gives_the_same() -> None:
    assert note(MATTER + BARE) == note(MATTER + BARE)
    assert chat(note(BARE)) == chat(note(BARE, "renamed.md"))


def test_windows_line_ends_change_nothing() -> None:
    assert chat(note((MATTER + BARE).replace("\n", "\r\n"))) == chat(note(MATTER + BARE))


def test_front_matter_names_the_conversation() -> None:
    conversation = chat(note(MATTER + BARE))
    assert (conversation.id, conversation.title, conversation.source) == ("1111-2222", "Weekly plan", "nexus")
    assert len(conversation.messages) == 2  # title, dates and address are the plugin's lines, not the person's


def test_broken_front_matter_still_names_the_conversation() -> None:
    """Formatters rewrite front matter; a title with a colon is no YAML any more."""
    text = MATTER.replace('"Weekly plan"', "Plan: the week: all of it") + BARE
    assert chat(note(text)).id == "1111-2222"


# One file of each era, word for word as the plugin laid it out. All say the same.
ERA_1_0 = """---
nexus: nexus-ai-chat-importer
provider: chatgpt
aliases: Rain
conversation_id: 1111-2222
create_time: 06/30/2025 at 12:07 PM
update_time: 06/30/2025 at 12:08 PM
---

# Title: Rain

Created: 06/30/2025 at 12:07 PM
Last Updated: 06/30/2025 at 12:08 PM
Chat URL: https://chatgpt.com/c/1111-2222


### User, on 06/30/2025 at 12:07 PM;
> Почему идёт дождь?
>\x20
> > так сказал он
<!-- UID: u1 -->



#### ChatGPT, on 06/30/2025 at 12:08 PM;
>> Вода.
>>\x20
>> > и ветер
<!-- UID: a1 -->

---


### User, on 06/30/2025 at 12:09 PM;
> [No text content]
<!-- UID: u2 -->

"""
ERA_1_1 = ERA_1_0.replace("ChatGPT,", "Assistant,").replace("[No text content]", "[No content found]").replace(
    "<!-- UID: u1", """
> **📎 Attachment:** cloud.png (image/png) - 3 KB
> ![[Nexus/cloud.png]]

> **📎 Missing Attachment:** notes.txt (text/plain)
> **Content:**
> somebody else's words
>\x20
> and more of them
<!-- UID: u1""")
ERA_1_2 = """---
nexus: nexus-ai-chat-importer
plugin_version: "1.2.0"
provider: chatgpt
aliases: "Rain"
conversation_id: 1111-2222
create_time: 30.06.2025 at 12:07
update_time: 30.06.2025 at 12:08
---

# Title: Rain

Created: 30.06.2025 at 12:07
Last Updated: 30.06.2025 at 12:08
Chat URL: https://chatgpt.com/c/1111-2222


>[!nexus_user] **User** - 30.06.2025 at 12:07
> Почему идёт дождь?
>\x20
> > так сказал он

>[!nexus_attachment] **cloud.png** (image/png) - 3 KB
> ![[Nexus/cloud.png]]
<!-- UID: u1 -->




>[!nexus_agent] **Assistant** - 30.06.2025 at 12:08
> Вода.
>\x20
> > и ветер
<!-- UID: a1 -->

---




>[!nexus_user] **User** - 30.06.2025 at 12:09
> [No content found]
<!-- UID: u2 -->

"""
ERA_1_3 = """---
nexus: nexus-ai-chat-importer
plugin_version: "1.3.0"
provider: chatgpt
aliases: Rain
conversation_id: 1111-2222
create_time: 2025-06-30T09:07:00.000Z
update_time: 2025-06-30T09:08:00.000Z
---

# Title: Rain

Created: 30/06/2025 at 12:07:00
Last Updated: 30/06/2025 at 12:08:00
Chat URL: https://chatgpt.com/c/1111-2222


>[!nexus_user] **User** - 30/06/2025 at 12:07:00
> Почему идёт дождь?
>
>> так сказал он
>>[!nexus_attachment] **cloud.png** (image/png)
>> Not included in archive. [Open original conversation](https://chatgpt.com/c/1111-2222)

>>[!nexus_attachment] **notes.txt** (text/plain)
>> Not included in archive.
<!-- UID: u1 -->
>[!nexus_agent] **Assistant** - 30/06/2025 at 12:08:00
> Вода.
>
>> и ветер
>
> >[!nexus_artifact] **Rain** v1
> > [[Nexus/Attachments/rain_v1|View Artifact]]
<!-- UID: a1 -->

---
>[!nexus_user] **User** - 30/06/2025 at 12:09:00
> [No content]
<!-- UID: u2 -->

## Related Queries
- why does it rain
- is rain wet"""
ERA_1_6 = ERA_1_3.replace("\"1.3.0\"", "\"1.6\"\nmodels:\n  - \"gpt-x\"").replace("Assistant**", "Assistant · gpt-x**")
# ... by a fork that renamed the key, in another of the message formats
FORK = ERA_1_6.replace("30/06/2025 at", "2025-06-30").replace("conversation_id", "chat_ref").replace(
    "1111-2222", "1111-2222-3333-4444")


@pytest.mark.parametrize(("text", "author", "ident", "question_flags", "answer_flags"), [
    (ERA_1_0, "ChatGPT", "1111-2222", (), ()), (ERA_1_1, "Assistant", "1111-2222", ("attachment",), ()),
    (ERA_1_2, "Assistant", "1111-2222", ("attachment",), ()),
    (ERA_1_3, "Assistant", "1111-2222", ("attachment",), ("attachment",)),
    (ERA_1_6, "Assistant · gpt-x", "1111-2222", ("attachment",), ("attachment",)),
    (FORK, "Assistant · gpt-x", "1111-2222-3333-4444", ("attachment",), ("attachment",)),
], ids=["1.0.2", "1.1", "1.2", "1.3", "1.6", "fork"])
def test_every_era_reads_as_the_same_chat(text: str, author: str, ident: str, question_flags: tuple[str, ...],
                                          answer_flags: tuple[str, ...]) -> None:
    """Vaults hold notes of all eras; the same chat must be the same chat whichever plugin wrote it."""
    assert note(text, zone=ZoneInfo("Europe/Moscow")) == Found("note.md", Conversation(ident, (
        Message("u1", "user", "Почему идёт дождь?\n\n> так сказал он", "User", datetime(2025, 6, 30, 9, 7, tzinfo=UTC),
                True, (*question_flags, "local_time")),
        Message("a1", "assistant", "Вода.\n\n> и ветер", author, datetime(2025, 6, 30, 9, 8, tzinfo=UTC), False,
                (*answer_flags, "local_time")),
    ), "Rain", "nexus"), {"empty": 1})


@pytest.mark.parametrize("stamp", ["2025-06-30 12:07:22", "06/30/2025 at 12:07:22 PM", "30/06/2025 at 12:07:22",
                                   "30.06.2025 12:07:22", "2025/06/30 12:07:22", "06/30/2025 at 12:07:22\u202fPM"])
def test_every_message_format_that_can_be_chosen_is_read(stamp: str) -> None:
    found = note(f">[!nexus_user] **User** - {stamp}\n> q\n<!-- UID: 1 -->\n", zone=ZoneInfo("Europe/Moscow"))
    assert chat(found).messages[0].time == datetime(2025, 6, 30, 9, 7, 22, tzinfo=UTC)


LINES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=20)
                 | st.sampled_from(["", ">", "> q", ">> q", " x", "---", "<!-- UID: no -->", "# h", "```"]), max_size=8)


@given(LINES, st.sampled_from(["1.0 user", "1.0 assistant", "1.2", "1.3"]))
def test_what_the_plugin_quotes_comes_back(lines: list[str], era: str) -> None:
    """The rules of the plugin, one for each era, and their inverse."""
    def quoted(line: str) -> str:
        if era == "1.0 assistant":
            return f">> {line}"
        return ">" + line if era == "1.3" and (not line or line.startswith(">")) else f"> {line}"

    header = {"1.0 user": "### User, on 30.06.2025 at 12:07;", "1.0 assistant": "#### ChatGPT, on 30.06.2025 at 12:07;"}
    text = "\n".join([header.get(era, ">[!nexus_user] **User** - 30.06.2025 at 12:07"),
                      *(quoted(line) for line in ["first", *lines, "last"]), "<!-- UID: 1 -->\n"])
    decoded = decode(text.encode(), "n.md")
    (found,) = nexus.read("n.md", Context("n.md", Mended("n.md", ())), decoded)
    (said,) = chat(found).messages
    if decoded.repair is None:
        assert (said.raw or said.text.encode()).decode() == "\n".join(["first", *lines, "last"])


def test_the_model_is_the_author() -> None:
    text = ">[!nexus_agent] **Assistant · gpt-x** - 2025-06-30 12:07:22\n> Да\n<!-- UID: a -->\n"
    assert chat(note(text)).messages[0].author == "Assistant · gpt-x"


def test_local_times_become_utc_and_say_so(moscow: None) -> None:
    for zone, hour in ((None, 9), (ZoneInfo("Asia/Tokyo"), 3)):
        user = chat(note(BARE, zone=zone)).messages[0]
        assert user.time == datetime(2025, 6, 30, hour, 7, tzinfo=UTC)
        assert "local_time" in user.flags


@pytest.mark.parametrize(("stamps", "expected"), [
    (("03/04/2025 at 12:07", "13/04/2025 at 12:07"), [(4, 3), (4, 13)]),
    (("03/04/2025 at 12:07 PM", "03/13/2025 at 1:07 PM"), [(3, 4), (3, 13)]),
    (("03/04/2025 at 12:07 PM", "03/05/2025 at 1:07 PM"), [(3, 4), (3, 5)]),
    (("03.04.2025 at 12:07", "05.04.2025 12:07:22"), [(4, 3), (4, 5)]),
    (("2025/04/03 12:07:22", "2025-04-05 12:07:22"), [(4, 3), (4, 5)]),
])
def test_day_and_month_are_decided_once_for_a_file(moscow: None, stamps: tuple[str, str],
                                                   expected: list[tuple[int, int]]) -> None:
    text = "".join(f">[!nexus_user] **User** - {stamp}\n> q{n}\n<!-- UID: {n} -->\n" for n, stamp in enumerate(stamps))
    times = [said.time for said in chat(note(text)).messages]
    assert [(t.month, t.day) for t in times if t] == expected


def test_front_matter_with_a_zone_decides_between_day_and_month(moscow: None) -> None:
    text = MATTER + ">[!nexus_user] **User** - 04/03/2025 at 13:07\n> q\n<!-- UID: 1 -->\n"
    assert chat(note(text)).messages[0].time == datetime(2025, 4, 3, 10, 7, tzinfo=UTC)


def test_text_between_callouts_is_the_persons_own_note() -> None:
    related = "## Related Queries\n- not mine\n- nor this\n"
    text = BARE.replace("\n---\n", f"\nМоя пометка: проверить на деле.\n\n---\n\n{related}")
    *_, mine = chat(note(MATTER + text)).messages
    assert (mine.text, mine.role, mine.own, mine.flags) == ("Моя пометка: проверить на деле.", "user", True, ("note",))
    assert mine.id.startswith("note-")
    assert len(chat(note(MATTER + text)).messages) == 3


def test_the_same_remark_in_two_chats_has_two_ids() -> None:
    """The archive takes chats that share a message for one chat; a remark must not join them."""
    text = BARE + "\nПеречитать.\n"
    one, other = (chat(note(t)).messages[-1] for t in (text, text.replace("aaa-", "bbb-")))
    assert one.text == other.text == "Перечитать."
    assert one.id != other.id
    assert chat(note(MATTER + text)).messages[-1].id == one.id
    more = ">[!nexus_user] **User** - 30.06.2025 at 12:10\n> ещё\n<!-- UID: c -->\nПеречитать."
    assert chat(note(text.replace("Перечитать.", more))).messages[-1].id == one.id  # a chat that goes on


def test_a_message_that_lost_its_uid_ends_where_the_quote_ends() -> None:
    text = BARE.replace("<!-- UID: aaa-2 -->", "Здесь пишу я сам")
    user, assistant, mine = chat(note(text)).messages
    assert (user.id, assistant.text) == ("aaa-1", "Дай им общий черновик.\n> и один голос")
    assert assistant.id.startswith("text-")
    assert mine.text == "Здесь пишу я сам"


def test_attachments_leave_only_a_flag() -> None:
    text = (">[!nexus_user] **User** - 30.06.2025 at 12:07\n> Посмотри на схему\n"
            ">>[!nexus_attachment] **a.png** (image) - 3 KB\n>> ![[a.png]]\n> и скажи\n<!-- UID: 1 -->\n"
            ">[!nexus_user] **User** - 30.06.2025 at 12:08\n"
            ">>[!nexus_attachment] **b.pdf** (pdf) - 3 KB\n<!-- UID: 2 -->\n"
            ">[!nexus_agent] **Assistant** - 30.06.2025 at 12:08\n> [No content found]\n<!-- UID: 3 -->\n")
    found = note(text)
    (said,) = chat(found).messages
    assert (said.text, said.own) == ("Посмотри на схему\nи скажи", True)
    assert "attachment" in said.flags
    assert found.skipped == {"attachment only": 1, "empty": 1}


def test_callouts_without_any_uid_are_a_broken_file_with_a_next_step() -> None:
    with pytest.raises(BrokenFile, match="no UID line") as caught:
        note(BARE.replace("<!-- UID: aaa-1 -->", "").replace("<!-- UID: aaa-2 -->", ""))
    assert caught.value.next_step


@pytest.mark.parametrize(("text", "reason"), [
    ("---\nnexus: nexus-ai-chat-importer\nartifact_id: a1\n---\n# Code\nby the assistant\n", "artifact note"),
    ("# Nexus AI Chat Importer Report\n\n## Summary\n- 3 imported\n", "import report"),
])
def test_the_plugins_own_notes_are_skipped_with_a_reason(text: str, reason: str) -> None:
    assert note(text) == Found("note.md", skipped={reason: 1})


def test_a_uid_that_comes_twice_is_counted_once() -> None:
    found = note(BARE + BARE)
    assert len(chat(found).messages) == 2
    assert found.skipped == {"repeated message": 2}
