"""Notes of the Nexus plugin, every era of it."""
from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from twin.errors import BrokenFile
from twin.importers import Found, read
from twin.types import Conversation

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


def note(tmp_path: Path, text: str, name: str = "note.md") -> list[Found]:
    (tmp_path / name).write_bytes(text.encode())
    return list(read(tmp_path / name))


def chat(found: list[Found]) -> Conversation:
    (conversation,) = [one.conversation for one in found if one.conversation]
    return conversation


def test_callouts_and_uids_suffice(tmp_path: Path) -> None:
    conversation = chat(note(tmp_path, BARE))
    user, assistant = conversation.messages
    assert (user.id, user.role, user.own) == ("aaa-1", "user", True)
    assert user.text == "Как мне связать две роли, чтобы они спорили?\n\nОтветь коротко 🧠"
    assert (assistant.id, assistant.role, assistant.own) == ("aaa-2", "assistant", False)
    assert assistant.text == "Дай им общий черновик.\n> и один голос"
    assert conversation.id == "uids-" + sha256(b"aaa-1\naaa-2").hexdigest()[:32]
    assert user.raw is None
    assert "repaired" not in user.flags


def test_a_note_read_as_mac_roman_is_repaired_and_keeps_its_original(tmp_path: Path) -> None:
    broken = BARE.encode().decode("mac_roman")
    found = note(tmp_path, broken)
    (repair,) = [one.repair for one in found if one.repair]
    assert (repair.codec, repair.lines, repair.file) == ("mac_roman", 4, "note.md")
    user, assistant = chat(found).messages
    assert [said.text for said in (user, assistant)] == [said.text for said in chat(note(tmp_path, BARE)).messages]
    body = broken.split("\n")[1:4]
    assert user.raw == "\n".join(line[2:] for line in body).encode()
    assert "repaired" in user.flags
    assert "repaired" in assistant.flags


def test_reading_again_gives_the_same(tmp_path: Path) -> None:
    assert note(tmp_path, MATTER + BARE) == note(tmp_path, MATTER + BARE)
    assert chat(note(tmp_path, BARE)) == chat(note(tmp_path, BARE, "renamed.md"))


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    assert chat(note(tmp_path, (MATTER + BARE).replace("\n", "\r\n"))) == chat(note(tmp_path, MATTER + BARE))


def test_front_matter_names_the_conversation(tmp_path: Path) -> None:
    conversation = chat(note(tmp_path, MATTER + BARE))
    assert (conversation.id, conversation.title, conversation.source) == ("1111-2222", "Weekly plan", "nexus")
    assert len(conversation.messages) == 2  # title, dates and address are the plugin's lines, not the person's


def test_broken_front_matter_still_names_the_conversation(tmp_path: Path) -> None:
    """Formatters rewrite front matter; a title with a colon is no YAML any more."""
    text = MATTER.replace('"Weekly plan"', "Plan: the week: all of it") + BARE
    assert chat(note(tmp_path, text)).id == "1111-2222"


def written(user: str, assistant: str, body: str, answer: str, tail: str = "") -> str:
    """A note of two messages in one era's manner."""
    return f"{user}\n{body}\n{tail}<!-- UID: u1 -->\n\n{assistant}\n{answer}\n{tail}<!-- UID: u2 -->\n\n---\n"


@pytest.mark.parametrize("text", [
    written("### User, on 30.06.2025 at 12:07;", "#### Assistant, on 30.06.2025 at 12:08;",
            "> My question\n> goes on", ">> An answer\n>> \n>> > quoted", "\n"),
    written("### User, on 30.06.2025 at 12:07;", "#### ChatGPT, on 30.06.2025 at 12:08;",
            "> My question\n> goes on", ">> An answer\n>>\n>> > quoted", "\n"),
    written(">[!nexus_user] **User** - 30.06.2025 at 12:07",
            ">[!nexus_agent] **Assistant** - 30.06.2025 at 12:08",
            "> My question\n> goes on", "> An answer\n> \n> > quoted"),
    written("> [!nexus_user]+ **User** - 30.06.2025 12:07:00",
            ">[!nexus_agent] **Assistant · gpt-x** - 30.06.2025 12:08:00",
            "> My question\n> goes on", "> An answer\n>\n>> quoted"),
], ids=["1.1", "1.0.2", "1.2", "1.6"])
def test_every_era_reads_the_same(tmp_path: Path, text: str) -> None:
    user, assistant = chat(note(tmp_path, text)).messages
    assert (user.id, user.text) == ("u1", "My question\ngoes on")
    assert assistant.id == "u2"
    assert assistant.text == "An answer\n\n> quoted"
    assert user.time is not None


def test_the_model_is_the_author(tmp_path: Path) -> None:
    text = ">[!nexus_agent] **Assistant · gpt-x** - 2025-06-30 12:07:22\n> Да\n<!-- UID: a -->\n"
    assert chat(note(tmp_path, text)).messages[0].author == "Assistant · gpt-x"


def test_local_times_become_utc_and_say_so(tmp_path: Path, moscow: None) -> None:
    user = chat(note(tmp_path, BARE)).messages[0]
    assert user.time == datetime(2025, 6, 30, 9, 7, tzinfo=UTC)
    assert "local_time" in user.flags


@pytest.mark.parametrize(("stamps", "expected"), [
    (("03/04/2025 at 12:07", "13/04/2025 at 12:07"), [(4, 3), (4, 13)]),
    (("03/04/2025 at 12:07 PM", "03/13/2025 at 1:07 PM"), [(3, 4), (3, 13)]),
    (("03/04/2025 at 12:07 PM", "03/05/2025 at 1:07 PM"), [(3, 4), (3, 5)]),
    (("03.04.2025 at 12:07", "05.04.2025 12:07:22"), [(4, 3), (4, 5)]),
    (("2025/04/03 12:07:22", "2025-04-05 12:07:22"), [(4, 3), (4, 5)]),
])
def test_day_and_month_are_decided_once_for_a_file(tmp_path: Path, moscow: None, stamps: tuple[str, str],
                                                   expected: list[tuple[int, int]]) -> None:
    text = "".join(f">[!nexus_user] **User** - {stamp}\n> q{n}\n<!-- UID: {n} -->\n" for n, stamp in enumerate(stamps))
    times = [said.time for said in chat(note(tmp_path, text)).messages]
    assert [(t.month, t.day) for t in times if t] == expected


def test_front_matter_with_a_zone_decides_between_day_and_month(tmp_path: Path, moscow: None) -> None:
    text = MATTER + ">[!nexus_user] **User** - 04/03/2025 at 13:07\n> q\n<!-- UID: 1 -->\n"
    assert chat(note(tmp_path, text)).messages[0].time == datetime(2025, 4, 3, 10, 7, tzinfo=UTC)


def test_text_between_callouts_is_the_persons_own_note(tmp_path: Path) -> None:
    related = "## Related Queries\n- not mine\n- nor this\n"
    text = BARE.replace("\n---\n", f"\nМоя пометка: проверить на деле.\n\n---\n\n{related}")
    *_, mine = chat(note(tmp_path, MATTER + text)).messages
    assert (mine.text, mine.role, mine.own, mine.flags) == ("Моя пометка: проверить на деле.", "user", True, ("note",))
    assert mine.id.startswith("note-")
    assert len(chat(note(tmp_path, MATTER + text)).messages) == 3


def test_a_message_that_lost_its_uid_ends_where_the_quote_ends(tmp_path: Path) -> None:
    text = BARE.replace("<!-- UID: aaa-2 -->", "Здесь пишу я сам")
    user, assistant, mine = chat(note(tmp_path, text)).messages
    assert (user.id, assistant.text) == ("aaa-1", "Дай им общий черновик.\n> и один голос")
    assert assistant.id.startswith("text-")
    assert mine.text == "Здесь пишу я сам"


def test_attachments_leave_only_a_flag(tmp_path: Path) -> None:
    text = (">[!nexus_user] **User** - 30.06.2025 at 12:07\n> Посмотри на схему\n"
            ">>[!nexus_attachment] **a.png** (image) - 3 KB\n>> ![[a.png]]\n> и скажи\n<!-- UID: 1 -->\n"
            ">[!nexus_user] **User** - 30.06.2025 at 12:08\n"
            ">>[!nexus_attachment] **b.pdf** (pdf) - 3 KB\n<!-- UID: 2 -->\n"
            ">[!nexus_agent] **Assistant** - 30.06.2025 at 12:08\n> [No content found]\n<!-- UID: 3 -->\n")
    (found,) = note(tmp_path, text)
    (said,) = chat([found]).messages
    assert (said.text, said.own) == ("Посмотри на схему\nи скажи", True)
    assert "attachment" in said.flags
    assert found.skipped == {"attachment only": 1, "empty": 1}


def test_callouts_without_any_uid_are_a_broken_file_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile, match="no UID line") as caught:
        note(tmp_path, BARE.replace("<!-- UID: aaa-1 -->", "").replace("<!-- UID: aaa-2 -->", ""))
    assert caught.value.next_step


@pytest.mark.parametrize(("text", "reason"), [
    ("---\nnexus: nexus-ai-chat-importer\nartifact_id: a1\n---\n# Code\nby the assistant\n", "artifact note"),
    ("# Nexus AI Chat Importer Report\n\n## Summary\n- 3 imported\n", "import report"),
])
def test_the_plugins_own_notes_are_skipped_with_a_reason(tmp_path: Path, text: str, reason: str) -> None:
    assert [one.skipped for one in note(tmp_path, text)] == [{reason: 1}]


def test_a_uid_that_comes_twice_is_counted_once(tmp_path: Path) -> None:
    (found,) = note(tmp_path, BARE + BARE)
    assert len(chat([found]).messages) == 2
    assert found.skipped == {"repeated message": 2}
