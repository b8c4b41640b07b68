"""Text from outside is data in the terminal."""
from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.content import Content
from textual.widgets import Static

from tests.tui.conftest import CONTROL, WIDE, Make, ask, begun, clean, screen, until
from twin.engine.scripted import ScriptedEngine
from twin.text import printable
from twin.tui import council
from twin.tui.exchange import Exchange, Note, badge, memory_line, remarks
from twin.tui.pages import PromptPage
from twin.tui.why import why
from twin.types import Conversation, Example, Hypothesis, Message, Opinion, Prompt, Recalled, Route, Turn, Verdict
from twin.words import Words

# ---- text from outside is data ----

HOSTILE = ["[/]", "[/red] [/some/path]", "[@click=app.quit]x[/]", "[link=file:///etc/passwd]x[/link]", "[$error]x",
           "[type=x, v={'a[0]'}]", "\x1b]0;title\x07\x1b[31mred", "<script>alert(1)</script><b>bold</b>",
           "[x](javascript:alert(1)) ![i](http://example.invalid/p.png)", "[x](a'); app.quit(')",
           "\u202egnp.exe", "\x00\x7f\x9b2J", "```\n[/]", "| a |\n|---|\n| [@click=app.quit]x |"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_shown_as_text(make: Make, text: str) -> None:
    """From the person, from memories and from the core alike: no crash, no action, no control byte on the screen."""
    app = make(f"Well: {text}")
    app.twin.add([Conversation("h", (Message("h1", "user", f"quick barometer note {text}"),))])
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, f"quick barometer note {text}")
        await ask(pilot, "/why")
        await ask(pilot, "/lines")
        await pilot.press("ctrl+r", "escape")
        assert app.is_running and clean(app)


async def test_hostile_claims_and_names_are_shown_as_text_wherever_lines_and_councils_are(
        make: Make) -> None:
    hostile = "[/] [$error]x [@click=app.quit]y[/] \x1b[31m\u202e [link=file:///etc/passwd]z"

    def said(asked: Prompt) -> str:
        return json.dumps({"evidence": [], "claim": f"{asked.role} {hostile}", "prediction": hostile,
                           "falsifier": hostile, "unit": ""})

    app = make(engine=ScriptedEngine(said))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, f"/council {hostile}")
        await ask(pilot, "/fork council")
        await ask(pilot, f"/name {hostile}")
        for command in ("/lines", "/compare", "/why", "/line trunk", "/prompt"):
            await ask(pilot, command)
            assert clean(app)
        assert isinstance(app.screen, PromptPage)
        await pilot.press("escape")
        assert "[@click=app.quit]y[/]" in str(app.query_one(".claims", Static).content)


async def test_html_of_a_core_stays_readable(make: Make) -> None:
    """Markdown with HTML switched on would drop the tags, and with them what the core wrote."""
    app = make("Use <b>bold</b>\n\n<div>a block</div>")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "html?")
        assert "Use <b>bold</b>" in screen(app) and "<div>a block</div>" in screen(app)


@pytest.mark.parametrize("href", ["http://example.invalid/?q=secret", "x');app.quit('y"])
async def test_a_link_is_shown_and_never_followed(
        make: Make, monkeypatch: pytest.MonkeyPatch, href: str) -> None:
    app = make(f"[the manual](<{href}>)")
    opened: list[str] = []
    monkeypatch.setattr(app, "open_url", lambda url, **_: opened.append(url))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Where is the manual?")
        assert "the manual" in screen(app)
        await pilot.click(app.query_one(Exchange).query_one("MarkdownParagraph"), offset=(3, 0))
        await until(pilot, lambda: app.clipboard == href)
        assert not opened
        assert app.is_running


@given(st.text(alphabet=st.characters(codec=None), max_size=60))
@settings(deadline=None)
def test_printable_lets_no_control_character_through_and_keeps_all_others(text: str) -> None:
    kept = printable(text)
    assert all(letter in "\n\t" or letter.isprintable() or letter in "\u00ad\u200c\u200d" or letter.isspace()
               for letter in kept)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\ud800-\udfff]", kept)
    assert printable(kept) == kept


def test_no_break_spaces_of_russian_typography_are_not_control_characters() -> None:
    assert printable("5\u00a0% и 10\u202f000") == "5\u00a0% и 10\u202f000"


# ---- thousands of them -----------------------------------------------------------------------------------------------

PIECES = [
    "[/]", "[b]", "[$error]", "[@click=app.quit]x[/]", "[link=file:///etc/passwd]", "\x1b[31m", "\x1b]8;;http://x\x07",
    "\x1b]52;c;eA==\x07", "\u202e", "\u2066", "\u200b", "\x00", "\x07", "\x08" * 9, "\x7f", "\x9b2J", "\r", "\t",
    "<script>alert(1)</script>", "<b>", "&lt;", "](javascript:alert(1))", "![i](http://x/p.png)",
    "[x](<a'); app.quit('>)", "http://example.invalid", "```", "~~~\n", "| a |\n|---|\n", "# ", "- ", "> " * 12, "1. ",
    "***", "`", "\\", "{", "}", "{n}", "%s", "$(x)", "'", '"', "\ud800", "\U000e0041", "\ufdfa" * 4, "е\u0301" * 9,
    "界" * 30, "a" * 300, "\n\n", " ", "слово", "word"]


def hostile(count: int, seed: int = 0) -> Iterator[str]:
    """So many different texts, the same each time."""
    drawn = random.Random(seed)  # noqa: S311 - the same each time is the point
    for _ in range(count):
        yield "".join(drawn.choice(PIECES) for _ in range(drawn.randint(1, 7)))


def plain(content: Content) -> None:
    """Nothing in it can be clicked and no control character is left."""
    assert not CONTROL.search(content.plain)
    for span in content.spans:
        assert isinstance(span.style, str) or not (span.style.meta or span.style.link)


def test_five_thousand_texts_are_drawn_as_text_wherever_one_line_is() -> None:
    english, russian = Words("twin.tui", "en"), Words("twin.tui", "ru")
    for number, (text, other) in enumerate(zip(hostile(5_000), hostile(5_000, 1), strict=True)):
        route = Route(text, {text: 0.5}, other, (Example(other, text, 0.5),))
        memory = Recalled((text,), other, 0.5, text)
        said = Hypothesis(text, other, text, other, "", (1,))
        verdict = Verdict((said,), (Opinion(other, 0.5, (text,), None, {text: 1.0}, {other: text}),), 0.5, 1.0,
                          missing=(text,), failed={text: other})
        turn = Turn("t", text, other, text, route, "interrupted", other, text, (memory,), dropped=(other,),
                    verdict=verdict)
        exchange = Exchange(other, turn)
        titles = {text: other}
        for words in (english, russian) if number % 50 == 0 else (english,):  # Russian tries every template on each
            plain(badge(route, words, titles))
            plain(memory_line(1, memory, cited=True))
            plain(council.claims([said], titles))
            plain(council.weighing(verdict, words, titles))
            plain(Note(why(exchange, words, titles)).content)
            plain(Note("\n".join(remarks(turn, words))).content)


async def test_hostile_turns_are_drawn_in_a_conversation_and_in_the_list_of_them(make: Make) -> None:
    app, texts = make(), hostile(1_200, 2)
    route = Route("critic", {"critic": 1.0}, "so")
    for number in range(40):
        mine = list(itertools.islice(texts, 30))
        memories = tuple(Recalled((f"m{place}",), text, 0.5, text) for place, text in enumerate(mine[:8]))
        app.twin.archive.save_turn(
            Turn(f"t{number}", f"talk{number % 4}", text_of(mine[8]), "\n\n".join(mine[9:25]), route, "answered",
                 mine[25], mine[26], memories, dropped=(mine[27],), thinking=mine[28]), own=False)
    app.twin.set_face("idle", "off")
    async with app.run_test(size=(100, 120)) as pilot:
        await begun(pilot)
        for number in range(4):
            app.chat.resume(f"talk{number}")
            await begun(pilot)
            for _ in range(4):
                assert clean(app)
                await pilot.press("pageup")
                await pilot.pause()
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert clean(app) and app.is_running


def text_of(text: str) -> str:
    """A question is never empty."""
    return text.strip() or "?"


async def test_hostile_role_titles_and_answers_come_as_text_through_a_real_turn(make: Make) -> None:
    title = "[/] [@click=app.quit]x[/] \\u202e[$error]"
    app = make(*(f"Well: {text}" for text in HOSTILE))
    file = app.twin.home.create().roles / "critic.md"
    app.twin.role_book.ensure()
    file.write_text(file.read_text("utf-8").replace("title: {en: Critic, ru: Критик}", f'title: {{en: "{title}"}}'),
                    "utf-8")
    async with app.run_test(size=WIDE) as pilot:
        for text in HOSTILE:
            await ask(pilot, "/role critic")
            await ask(pilot, f"What is wrong? {text}")
            assert clean(app)
        for command in ("/role", "/why", f"/role {HOSTILE[0]}", f"/{HOSTILE[6]}", f"/forget {HOSTILE[2]}",
                        f"/remember {HOSTILE[6]}"):
            await ask(pilot, command)
            assert clean(app)
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert clean(app)
