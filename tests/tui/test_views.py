"""What the screens draw of what others wrote is plain text, whatever that is: no markup of theirs, no control byte."""
from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from textual.content import Content

from tests.tui.conftest import CONTROL
from twin.roles import Bilingual, Instructions, Role, Sections
from twin.self_profile import Shown, Why
from twin.tui import evidence, quotes, report_view, role_pages, role_view
from twin.tui.gauge import Stopped, ending
from twin.tui.shelf import both
from twin.types import Conversation, ImportReport, Message, Recalled, Repair, digest
from twin.verification import Kept, Mark
from twin.words import Words

TEXT = st.text(max_size=60) | st.sampled_from(["[/]", "[$error]x", "[@click=app.quit]x[/]", "\x1b[31m", "\u202ex",
                                               "[link=file:///etc/passwd]x", "[-a-] {+b+}", "{n}", "{0}", "\ud800"])
LANGUAGE = st.sampled_from(["en", "ru"])


def is_plain(made: Content) -> bool:
    """Nothing of it acts or moves the cursor."""
    assert not CONTROL.search(made.plain.replace("\n", " "))
    assert all("@click" not in getattr(span.style, "meta", {}) for span in made.spans)
    assert all(not isinstance(span.style, str) or span.style.count("@") == 0 for span in made.spans)
    return True


@settings(max_examples=300)
@given(TEXT, LANGUAGE, st.booleans())
def test_a_report(text: str, language: str, dry: bool) -> None:
    report = ImportReport(seen=2, imported=1, skipped={text: 1}, files=(text,), failures=(text,) * 9, dry_run=dry,
                          repairs=(Repair(text, text, 3, text, text),))
    assert is_plain(report_view.told(report, Words("twin.tui", language)))


@settings(max_examples=300)
@given(TEXT, LANGUAGE)
def test_a_role(text: str, language: str) -> None:
    said = text.replace("<!--", "").strip().strip("\x85\u2028\u2029").strip() or "x"
    role = Role(id="evil", title=Bilingual(en=f"a{said}"), purpose=Bilingual(ru=f"a{said}"),
                sections=Sections(en=Instructions(stance=f"a{said}")), examples=(f"a{said}",))
    words = Words("twin.tui", language)
    assert is_plain(role_view.row(role, words)) and is_plain(role_view.about(role, [], words))
    assert is_plain(role_view.changes([text, f"[-{text}-] {{+{text}+}}"], words))
    assert not CONTROL.search(role_pages.note(text, words))


@settings(max_examples=300)
@given(TEXT, LANGUAGE)
def test_a_memory_and_a_quote(text: str, language: str) -> None:
    words = Words("twin.tui", language)
    message = Message("m", "other", text, author=text)
    talk = Conversation(text or "c", (message, message), title=text, source=text)
    mark = Mark(text, "m", 0, len(text), digest("x"), datetime(2026, 1, 1, tzinfo=UTC))
    kept = Kept(text, "thinking", text, "said", 0.5, "rule", (mark,))
    one = evidence.Memory(1, Recalled(("m",), text, 0.5, text), True, talk, (kept,))
    assert is_plain(evidence.about(one, words))
    assert is_plain(quotes.told(Why(kept, (Shown(mark, text or "x", message, message, message),
                                           Shown(mark, "", None, None, None))), words))


def test_every_letter_has_a_key_on_the_russian_keyboard_too() -> None:
    assert both("a") == "a,ф" and both("q") == "q,й" and both("m") == "m,ь"


def test_work_that_cannot_be_stopped_ends_at_its_next_word() -> None:
    told: list[int] = []
    progress = ending(lambda _, done, __: told.append(done), lambda: len(told) == 2)
    progress("a", 1, None)
    progress("a", 2, None)
    try:
        progress("a", 3, None)
    except Stopped as stopped:
        assert "kept" in str(stopped)
    else:
        raise AssertionError("it went on")
    assert told == [1, 2]
