"""Mail: what a person typed in it, and nothing that others or programs wrote around it."""
from __future__ import annotations

import io
import time
import tracemalloc
from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime
from email.header import Header
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.importers import mbox
from twin.importers.encoding import Mended
from twin.importers.found import Context, Found
from twin.importers.mailbody import from_html
from twin.importers.people import People
from twin.types import Conversation, Message

ME = "me@example.org"
FROM_LINE = "From 1834@xxx Mon Jun 30 12:07:00 +0000 2025\n"


def context(*me: str) -> Context:
    return Context("all.mbox", Mended("all.mbox", ()), People(me or (ME,)), ZoneInfo("Europe/Moscow"))


def mail(body: str = "Hello there.", sender: str = f"Me <{ME}>", ident: str = "<first-mail-0001@example.org>",
         subject: str = "Rain", date: str = "Mon, 30 Jun 2025 15:07:00 +0300", more: str = "") -> str:
    fields = {"From": sender, "To": "Ann <ann@example.org>", "Subject": subject, "Date": date, "Message-ID": ident}
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value) + more + f"\n{body}\n"


def read(*mails: str | bytes, within: Context | None = None) -> list[Found]:
    parts = [one.encode() if isinstance(one, str) else one for one in mails]
    raw = b"".join(FROM_LINE.encode() + part + b"\n\n" for part in parts)
    return list(mbox.read(io.BytesIO(raw), within or context()))


def one(*args: str | bytes, within: Context | None = None) -> Message:
    (found,) = read(*args, within=within)
    assert found.conversation is not None, found
    (said,) = found.conversation.messages
    return said


def test_a_mailbox_reads_as_threads_of_messages() -> None:
    """The golden file: an own mail, an answer, a newsletter, a draft, and an answer that names only its parent."""
    answer = mail("Quite.\n\nOn Mon, Jun 30, 2025 at 3:07 PM Me <me@example.org> wrote:\n> Hello there.",
                  "=?utf-8?B?0JDQvdC90LA=?= <ann@example.org>", "<second-mail-002@example.org>", "Re: Rain",
                  "Mon, 30 Jun 2025 13:00:00 GMT",
                  "References: <first-mail-0001@example.org>\nIn-Reply-To: <first-mail-0001@example.org>\n")
    third = mail("Then let us meet.", ident="<third-mail-0003@example.org>", subject="RE: Fwd: Rain", date="",
                 more="In-Reply-To: <second-mail-002@example.org>\n"
                      "Received: from a by b; Tue, 1 Jul 2025 09:00:00 +0000\n")
    letter = mail("Sale!", "Shop <shop@example.org>", "<letter@example.org>", more="List-Unsubscribe: <https://x.org>\n")
    draft = mail("Unfinished", ident="<d@example.org>", more="X-Gmail-Labels: =?UTF-8?Q?=D0=A7=D0=B5=D1=80=D0=BD?="
                 "\n =?UTF-8?Q?=D0=BE?=\n =?UTF-8?Q?=D0=B2=D0=B8=D0=BA=D0=B8?=,Important\n")
    within = context()

    assert read(mail(), answer, letter, draft, third, within=within) == [
        Found("all.mbox", Conversation("mail-first-mail-0001@example.org", (
            Message("first-mail-0001@example.org", "user", "Hello there.", "Me",
                    datetime(2025, 6, 30, 12, 7, tzinfo=UTC), True),), "Rain", "mail")),
        Found("all.mbox", Conversation("mail-first-mail-0001@example.org", (
            Message("second-mail-002@example.org", "other", "Quite.", "Анна",
                    datetime(2025, 6, 30, 13, tzinfo=UTC), False),), "Rain", "mail")),
        Found("all.mbox", skipped={"bulk mail": 1}),
        Found("all.mbox", skipped={"draft": 1}),
        Found("all.mbox", Conversation("mail-first-mail-0001@example.org", (
            Message("third-mail-0003@example.org", "user", "Then let us meet.", "Me",
                    datetime(2025, 7, 1, 9, tzinfo=UTC), True),), "Rain", "mail")),
    ]
    assert within.people.met == {"mail": Counter({ME: 2, "ann@example.org": 1})}


@pytest.mark.parametrize(("head", "is_mail"), [
    (FROM_LINE.encode() + mail().encode(), True), (b"From MAILER-DAEMON Fri Jul  8 12:08:34 2011\r\nX: y\r\n", True),
    (mail().encode(), True), (mail().replace("\n", "\r\n").encode(), True), (b"\xef\xbb\xbf" + mail().encode(), True),
    (b"From my point of view 12:07 is late in 2025\nand so on\n", False), (b"From: nobody\nI write notes.\n", False),
    (b"Date: Friday\nFrom: here\n\nto eternity", True), (b"Subject: a\nTo: b\n\nc", False), (b"", False),
    (b"\x00\x01", False), (b"{\"From\": 1}", False), ("Дорогой дневник".encode(), False),
    (b"---\ndate: 2025-01-01\n---\ntext", False),
])
def test_mail_is_told_by_its_first_bytes(head: bytes, is_mail: bool) -> None:
    assert mbox.recognises(head[:4096]) is is_mail


def test_a_single_mail_is_not_cut_where_a_line_begins_with_from() -> None:
    raw = mail("One.\n\nFrom Riga it takes until 12:07, as in 2024.\n\nTwo.").encode()
    (found,) = mbox.read(io.BytesIO(raw), context())
    assert found.conversation is not None
    assert found.conversation.messages[0].text == "One.\n\nFrom Riga it takes until 12:07, as in 2024.\n\nTwo."


def test_from_inside_a_mail_is_text_unless_a_date_follows() -> None:
    assert one(mail("Hi.\n\nFrom my window I see rain.")).text == "Hi.\n\nFrom my window I see rain."
    assert one(mail("Hi.\n\n>From my window I see rain.")).text == "Hi.\n\nFrom my window I see rain."


@given(st.lists(st.lists(st.sampled_from(["a word", "From x at 12:07 in 2025", "", ">From y", "я и ты", "From "]),
                         max_size=6), min_size=1, max_size=4))
def test_quoting_from_lines_and_reading_gives_the_lines_back(bodies: list[list[str]]) -> None:
    """The rule of mboxrd: every line of `>`s and From gets one more `>`, and loses it again."""
    texts = ["\n".join([f"mail {n}", *lines, "end"]) for n, lines in enumerate(bodies)]
    quoted = ["\n".join(f">{line}" if line.lstrip(">").startswith("From ") else line for line in text.split("\n"))
              for text in texts]
    raw = [mail(text, ident=f"<{n}@example.org>").encode() for n, text in enumerate(quoted)]
    mails = list(mbox._mails(io.BytesIO(b"".join(FROM_LINE.encode() + part + b"\n" for part in raw))))
    assert [part.partition(b"\n\n")[2].decode().rstrip("\n") for part in mails if part is not None] == texts


@pytest.mark.parametrize(("body", "typed"), [
    ("Yes.\n\n> No?\n> Really?", "Yes."), ("> Rain?\nYes.\n> Snow?\nNo.", "Yes.\n\nNo."),
    ("Yes.\n\nOn Mon, 30 Jun 2025 at 12:07, Ann <ann@example.org> wrote:\n\nNo?", "Yes."),
    ("Да.\n\nпн, 30 июн. 2025 г. в 12:07, Анна <ann@example.org>:\n\n> Нет?", "Да."),
    ("Да.\n\n30.06.2025, 12:07, \"Анна\" <ann@example.org>:\n> Нет?", "Да."),
    ("Да.\n\n30 июня 2025 г., 12:07 Анна писала:\nНет?", "Да."),
    ("Yes.\n\n-----Original Message-----\nFrom: Ann\nSent: Monday\nNo?", "Yes."),
    ("Да.\n\n________________________________\nОт: Анна <ann@example.org>\nОтправлено: 30 июня\nТема: Дождь\n\nНет?",
     "Да."),
    ("Yes.\n-- \nMe, Poet\n+371 2000", "Yes."), ("Yes.\n--\nMe", "Yes."), ("Yes.\n\nSent from my iPhone", "Yes."),
    ("Да.\n\nОтправлено с iPhone\n\n> Нет?", "Да."), ("Да.\n\nОтправлено из мобильной Почты", "Да."),
    ("Отправлено с опозданием, прости.", "Отправлено с опозданием, прости."),
    ("Look:\n--\n" + "a line\n" * 20 + "end", "Look:\n--\n" + "a line\n" * 20 + "end"),
])
def test_only_what_was_typed_stays(body: str, typed: str) -> None:
    said = one(mail(body))
    assert (said.text, said.raw) == (typed, None)


def test_lines_that_the_program_broke_are_joined() -> None:
    """Sentences end at line ends here, so a mail broken at column 72 would have no whole sentence in it."""
    broken = ("The lamp in the kitchen has been flickering since Sunday and nobody in\nthis house seems to mind, which "
              "is why I am writing it down at last.\n\nDear Ann,\nshort lines\n- stay")
    assert one(mail(broken)).text == broken.replace("nobody in\nthis", "nobody in this")
    flowed = "Content-Type: text/plain; charset=utf-8; format=flowed\n"
    assert one(mail("One \ntwo \nthree.\n\n-- \nme", more=flowed)).text == "One two three."


def multipart(kind: str, *parts: str) -> str:
    return (f"MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary=\"=b=\"\n\n"
            + "".join(f"--=b=\n{part}\n" for part in parts) + "--=b=--\n")


def with_parts(kind: str, *parts: str) -> str:
    head = mail("x").partition("\n\n")[0]
    return f"{head}\n{multipart(kind, *parts)}"


PLAIN = "Content-Type: text/plain; charset=utf-8\n\nplain words"
HTML = "Content-Type: text/html; charset=utf-8\n\n<p>html <b>words</b></p>"
PICTURE = "Content-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo="
PATCH = "Content-Type: text/plain; name=\"a.txt\"\nContent-Disposition: attachment; filename=\"a.txt\"\n\nnot typed"
INVITE = "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR"
INNER = "Content-Type: message/rfc822\n\nFrom: ann@example.org\nSubject: x\n\nher words"


@pytest.mark.parametrize(("kind", "parts", "text", "flags"), [
    ("alternative", (PLAIN, HTML), "plain words", ()), ("alternative", (HTML, PLAIN), "plain words", ()),
    ("alternative", (HTML,), "html words", ()), ("mixed", (PLAIN, PICTURE), "plain words", ("attachment",)),
    ("alternative", ("Content-Type: text/plain\n\n", HTML), "html words", ()),
    ("mixed", (PLAIN, PATCH), "plain words", ("attachment",)),
    ("mixed", (PLAIN, INNER), "plain words", ("attachment",)),
    ("mixed", (PLAIN, PICTURE, PLAIN.replace("plain words", "more words")), "plain words\nmore words", ("attachment",)),
])
def test_the_readable_part_is_read_and_attachments_never(kind: str, parts: tuple[str, ...], text: str,
                                                         flags: tuple[str, ...]) -> None:
    said = one(with_parts(kind, *parts))
    assert (said.text, said.flags, said.own) == (text, flags, True)


@pytest.mark.parametrize(("text", "reason"), [
    (with_parts("mixed", PICTURE), "attachment only"), (with_parts("mixed", INVITE), "calendar"),
    (with_parts("alternative", PLAIN, INVITE), "calendar"), (mail("> all\n> quoted"), "only quotes"),
    (mail(""), "empty"),
    (mail(more="X-Gmail-Labels: Spam,Unread\n"), "spam"), (mail(more="X-Gmail-Labels: Opened,Trash\n"), "trash"),
    (mail(more="X-Gmail-Labels: Chat\n"), "chat log"), (mail(sender="a@b.c", more="List-Id: <l.b.c>\n"), "bulk mail"),
    (mail(sender="a@b.c", more="Precedence: bulk\n"), "bulk mail"),
    (mail(sender="a@b.c", more="Auto-Submitted: auto-replied\n"), "bulk mail"),
])
def test_what_holds_no_words_of_a_person_is_skipped_with_its_reason(text: str, reason: str) -> None:
    assert read(text) == [Found("all.mbox", skipped={reason: 1})]


def test_ones_own_mail_to_a_list_is_kept() -> None:
    assert one(mail(more="List-Id: <l.b.c>\n")).own


@pytest.mark.parametrize(("me", "sender", "labels", "own"), [
    ("ME@Example.org", f"Me <{ME}>", "", True), ("Иван Ли", "=?koi8-r?B?6dfBziDs6Q==?= <x@example.org>", "", True),
    ("ann@example.org", f"Me <{ME}>", "", False), ("nobody", f"Me <{ME}>", "X-Gmail-Labels: Sent,Opened\n", True),
    ("nobody", f"Me <{ME}>", "X-Gmail-Labels: =?UTF-8?B?0J7RgtC/0YDQsNCy0LvQtdC90L3Ri9C1?=\n", True),
])
def test_the_person_is_known_by_address_by_name_or_by_what_gmail_says_was_sent(me: str, sender: str, labels: str,
                                                                               own: bool) -> None:
    within = context(me)
    said = one(mail(sender=sender, more=labels), within=within)
    assert (said.own, said.role) == (own, "user" if own else "other")
    assert bool(within.people.strangers) is not own


@pytest.mark.parametrize("codec", ["koi8-r", "cp1251", "utf-8", "iso8859-5"])
@pytest.mark.parametrize("encoding", ["base64", "8bit"])
def test_russian_mails_of_every_age_are_read(codec: str, encoding: str) -> None:
    words = "Привет, мой дорогой друг. Как твои дела?"
    body = words.encode(codec) if encoding == "8bit" else b64encode(words.encode(codec))
    head = mail("x", subject=Header("Погода", codec).encode()).partition("\n\n")[0]
    head += f"\nContent-Type: text/plain; charset={codec}\nContent-Transfer-Encoding: {encoding}\n\n"
    raw = head.encode() + body
    (found,) = read(raw)
    assert found.conversation is not None
    assert (found.conversation.title, found.conversation.messages[0].text) == ("Погода", words)


def test_bare_bytes_in_a_header_take_the_charset_of_the_mail() -> None:
    raw = mail("x", "## <i@example.org>", subject="@@", more="Content-Type: text/plain; charset=koi8-r\n").encode()
    raw = raw.replace(b"@@", "Погода".encode("koi8-r")).replace(b"##", "Иван".encode("koi8-r"))
    (found,) = read(raw)
    assert found.conversation is not None
    assert (found.conversation.title, found.conversation.messages[0].author) == ("Погода", "Иван")


@pytest.mark.parametrize("charset", ["us-ascii", "iso-8859-1", "x-unknown", "no such one", "hex", "undefined", "utf-8"])
def test_a_wrong_charset_does_not_lose_a_mail(charset: str) -> None:
    assert one(mail("Привет, Ёжик.", more=f"Content-Type: text/plain; charset=\"{charset}\"\n")).text == "Привет, Ёжик."


def test_a_name_with_a_comma_is_a_name() -> None:
    name = Header("Иванов, Иван", "utf-8").encode()
    said = one(mail(sender=f"{name} <i@example.org>"))
    assert said.author == "Иванов, Иван"


@pytest.mark.parametrize(("date", "expected", "flags"), [
    ("Mon, 30 Jun 2025 12:07:00 +0300", datetime(2025, 6, 30, 9, 7, tzinfo=UTC), ()),
    ("30 Jun 2025 12:07", datetime(2025, 6, 30, 9, 7, tzinfo=UTC), ("local_time",)),
    ("Mon, 30 Jun 2025 12:07:00 -0000", datetime(2025, 6, 30, 12, 7, tzinfo=UTC), ()),
    ("yesterday", None, ()), ("Mon, 99 Jun 2025 12:07:00 +0300", None, ()), ("", None, ()),
])
def test_times_become_utc(date: str, expected: datetime | None, flags: tuple[str, ...]) -> None:
    said = one(mail(date=date))
    assert (said.time, said.flags) == (expected, flags)


def test_a_mail_without_an_id_gets_one_by_content() -> None:
    first, again = one(mail(ident="")), one(mail(ident=""))
    assert first.id == again.id != one(mail("Other words.", ident="")).id
    assert first.id.startswith("mail-")
    assert len(first.id) >= 16


def test_gmails_thread_wins_over_references() -> None:
    (found,) = read(mail(more="X-GM-THRID: 18340000000000001\nReferences: <a@b>\n"))
    assert found.conversation is not None
    assert found.conversation.id == "mail-18340000000000001"


def test_a_broken_mail_is_a_failure_of_that_mail_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """`_mails` counts it, the next one is read, and the report says where and what to do."""
    monkeypatch.setattr(mbox, "MAX_MAIL", 2000)
    huge, good = read(mail("x" * 3000), mail())
    assert huge.failure is not None
    assert "all.mbox, mail 1" in huge.failure
    assert good.conversation is not None


@pytest.mark.parametrize("raw", [
    b"", b"\n", b":\n\n", b"From: \x00\xff\n\nx", b"From: a@b\nContent-Type: multipart/mixed\n\nx",
    b"From: a@b\nContent-Type: multipart/mixed; boundary=x\n\n--x\n--x\n--x--",
    b"From: =?utf-8?B?broken\n\nx", b"Subject: =?utf-8?B?=?=\nFrom: =?none?Q?=FF?= <a@b>\n\nx",
    b"From: a@b\nContent-Transfer-Encoding: base64\n\n!!!notbase64",
    b"From: a@b\nContent-Transfer-Encoding: uuencode\n\nx",
    b"From: a@b\nDate: Mon, 30 Jun 99999 12:07:00 +9999\n\nx", b"From: " + b"<" * 5000 + b"\n\nx",
    b"From: " + b"(" * 3000 + b"\n\nx", b"Message-ID: <\nFrom: a@b\nReferences: " + b"<" * 999 + b"\n\nx",
    b"From: a@b\nContent-Type: text/plain; charset*0*=x''%ff; charset*1=\"y\n\nx", b"From: a@b\nContent-Type: /\n\nx",
    b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(400)) + b"\nx",
    "From: a@b\nContent-Type: text/html\n\n<p>\ud83d".encode("utf-8", "surrogatepass"),
])
def test_nothing_that_a_mail_can_hold_stops_the_others(raw: bytes) -> None:
    found = read(raw, mail())
    assert len(found) == 2
    assert found[1].conversation is not None
    assert found[1].conversation.messages[0].text == "Hello there."


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(raw: bytes) -> None:
    for found in mbox.read(io.BytesIO(raw), context()):
        assert found.failure or found.skipped or found.conversation


def test_html_becomes_lines_with_its_quotes_marked() -> None:
    page = ("<html><head><title>t</title><style>p {}</style></head><body><!-- c --><div>Привет,<br>Анна&nbsp;&amp; Ян"
            "</div><ul><li>one</li><li>two</li></ul><p>a\n  b</p><div class=\"gmail_quote\"><div>On Mon, Jun 30, 2025 "
            "at 12:07 PM Ann &lt;ann@example.org&gt; wrote:<br></div><blockquote><div>x</div><blockquote>y</blockquote>"
            "</blockquote></div></body></html>")
    assert from_html(page) == ("Привет,\nАнна\u00a0& Ян\n- one\n- two\n\na b\n\nOn Mon, Jun 30, 2025 at 12:07 PM Ann "
                               "<ann@example.org> wrote:\n\n> x\n>\n> > y")
    assert one(mail(page, more="Content-Type: text/html; charset=utf-8\n")).text == (
        "Привет,\nАнна\u00a0& Ян\n- one\n- two\n\na b")


@pytest.mark.parametrize("unit", ["<", "<!--", "<p", "<p>", "&", "<blockquote>", "<script>", "</", "<![CDATA[", "&#"])
def test_a_megabyte_of_broken_html_takes_a_moment(unit: str) -> None:
    began = time.process_time()
    from_html((unit * (1_000_000 // len(unit)))[:1_000_000])
    assert time.process_time() - began < 2.0


def test_a_mailbox_is_never_in_memory_as_a_whole() -> None:
    """Takeout files have gigabytes; thirty mails must not need more than one of them does."""
    picture = b64encode(bytes(57 * 10_000)).decode()
    lines = "\n".join(picture[at:at + 76] for at in range(0, len(picture), 76))
    raw = FROM_LINE.encode() + with_parts("mixed", PLAIN, PICTURE.replace("iVBORw0KGgo=", lines)).encode() + b"\n"

    class Mailbox(io.BytesIO):
        """The same mail thirty times; only one is ever held."""

        left = 29

        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            if not line and self.left:
                self.left -= 1
                self.seek(0)
                line = super().readline(size)
            return line

    tracemalloc.start()
    count = sum(found.conversation is not None for found in mbox.read(Mailbox(raw), context()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, peak < 10_000_000) == (30, True)
