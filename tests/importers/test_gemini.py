"""Gemini activity: prompts without conversations or ids, in Google's words around them, with answers in HTML."""
from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from twin.importers import gemini
from twin.importers.encoding import Mended
from twin.importers.found import Context, Found, id_from
from twin.types import Conversation, Message

CONTEXT = Context("MyActivity.json", Mended("MyActivity.json", ()))
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def found(*values: Any) -> list[Found]:
    return list(gemini.read(values, CONTEXT))


def activity(title: str, minutes: float = 0, html: str = "", **more: Any) -> dict[str, Any]:
    time = (NOON + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    return {"header": "Gemini Apps", "title": title, "time": time, "products": ["Gemini Apps"],
            "activityControls": ["Gemini Apps Activity"],
            **({"safeHtmlItem": [{"html": html}]} if html else {}), **more}


def texts(results: list[Found]) -> list[list[str]]:
    return [[said.text for said in one.conversation.messages] for one in results if one.conversation]


def test_a_whole_file_newest_first() -> None:
    title, html = "Prompted Почему роли на одном ядре?", "<p>Потому что <b>оно</b> одно.</p>"
    values = [activity("Prompted And later?", 300), activity("Used an Assistant feature", 14, "<p>x</p>"),
              activity(title, 13, html), activity("Prompted What is a core?Attached 1 file.", attachedFiles=["a.png"]),
              activity("Viewed a page"), activity("Searched for cats", header="Search", products=["Search"]), 5]
    then = NOON + timedelta(minutes=13)
    when = then.isoformat()
    prompt = "Почему роли на одном ядре?"
    first, later = (id_from((time.isoformat(), text), "gemini") for time, text in (
        (NOON, "What is a core?"), (NOON + timedelta(minutes=300), "And later?")))
    assert found(*values) == [
        Found("MyActivity.json", Conversation(f"conversation-{later}", (
            Message(later, "user", "And later?", time=NOON + timedelta(minutes=300), own=True,
                    raw=b"Prompted And later?"),), None, "gemini")),
        Found("MyActivity.json", Conversation(f"conversation-{first}", (
            Message(first, "user", "What is a core?", time=NOON, own=True, flags=("attachment",),
                    raw=b"Prompted What is a core?Attached 1 file."),
            Message(id_from((when, prompt), "gemini"), "user", prompt, time=then, own=True, raw=title.encode()),
            Message(id_from((when, prompt, "answer"), "gemini"), "assistant", "Потому что оно одно.", time=then,
                    own=False, raw=html.encode()),
        ), None, "gemini")),
        Found("MyActivity.json", None, {"activity without a prompt": 2, "activity of another product": 1,
                                        "malformed activity": 1})]


def test_the_order_of_the_file_says_nothing() -> None:
    values = [activity(f"Prompted {n}", n * 20, f"<p>answer {n}</p>") for n in (0, 1, 2, 10, 11)]
    forwards, backwards = found(*values), found(*values[::-1])
    assert texts(forwards) == [["0", "answer 0", "1", "answer 1", "2", "answer 2"],
                               ["10", "answer 10", "11", "answer 11"]]
    assert forwards == backwards[::-1]


def test_activities_of_the_same_moment_keep_their_order() -> None:
    assert texts(found(activity("Prompted b", 5), activity("Prompted z", 1), activity("Prompted a", 1))) == [
        ["a", "z", "b"]]  # newest first: what stands lower was earlier
    assert texts(found(activity("Prompted a", 1), activity("Prompted z", 1), activity("Prompted b", 5))) == [
        ["a", "z", "b"]]


def test_a_conversation_that_grew_keeps_its_id() -> None:
    old = found(activity("Prompted a"))
    new = found(activity("Prompted b", 20), activity("Prompted a"))
    assert old[0].conversation is not None
    assert new[0].conversation is not None
    assert old[0].conversation.id == new[0].conversation.id
    assert old[0].conversation.messages == new[0].conversation.messages[:1]


@pytest.mark.parametrize("prefix", ["Prompted ", "Live Prompt ", "Asked ", "Prompt: ", "Eingegebener Prompt: ",
                                    "Запрос: ", "Petición: ", "Requête : ", "Requête\u00a0: "])
def test_the_words_google_puts_before_a_prompt_are_not_the_persons(prefix: str) -> None:
    assert texts(found(activity(f"{prefix}Зачем?"))) == [["Зачем?"]]
    assert found(activity(prefix.strip())) == [Found("MyActivity.json", None, {"empty": 1})]


def test_an_unknown_language_is_kept_whole_when_an_answer_shows_that_it_was_a_prompt() -> None:
    title = "Kysytty: mikä on ydin?"
    assert texts(found(activity(title, 0, "<p>Se on tämä.</p>"))) == [[title, "Se on tämä."]]
    assert found(activity(title)) == [Found("MyActivity.json", None, {"activity without a prompt": 1})]


def test_a_prompt_without_a_readable_time_stands_alone() -> None:
    results = found(activity("Prompted a"), activity("Prompted b") | {"time": "gone"}, activity("Prompted c", 1))
    assert sorted(texts(results)) == [["a", "c"], ["b"]]


def test_one_conversation_is_held_at_a_time() -> None:
    """A file has the activity of years: what was grouped goes out before the next group is read."""
    read = 0

    def counted() -> Iterator[object]:
        nonlocal read
        for n in range(1_000):
            read += 1
            yield activity(f"Prompted {n}", -60 * n)

    results = gemini.read(counted(), CONTEXT)
    next(results)
    assert read == 2
    endless = (activity(f"Prompted {n}", -n) for n in range(4_500))  # never a gap
    assert [len(group) for group in texts(list(gemini.read(endless, CONTEXT)))] == [2_000, 2_000, 500]


@pytest.mark.parametrize(("html", "text"), [
    ("<p>One\n two.</p><p>Three &amp; four&nbsp;five</p>", "One two.\n\nThree & four\u00a0five"),
    ("<h2>Шаги</h2><ul><li>раз</li><li><b>два</b> и</li></ul>конец", "Шаги\n\n- раз\n- два и\n\nконец"),
    ("a<br>b<br/>c", "a\nb\nc"), ("<pre><code>if x:\n    y()\n</code></pre>", "if x:\n    y()"),
    ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\n c"),
    ("<style>p {}</style><script>alert(1)</script>x < y", "x < y"), ("no tags", "no tags"), ("", ""),
    ("<p>cut <b>off", "cut off"), ("<![if x]>y", "y"),
], ids=lambda value: value[:12])
def test_html_becomes_the_words_it_shows(html: str, text: str) -> None:
    assert gemini.plain(html) == text
