"""The report: every number with its n, each sentence of the conclusion with its claims, and a person's words are data
in every form."""
from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.test_timeline import asked
from twin import position, report
from twin.facets import facets
from twin.person import Claim, ClaimKind, Comparison, Evidence, Profile, Topic
from twin.profile import build
from twin.report import numbers
from twin.report.content import content, fits_many, quoted
from twin.report.page import escaped
from twin.report.words import WORDS
from twin.types import Message

PRAISE = re.compile(r"brilliant|gifted|\brare\b|exceptional|genius|impressive|unique|гениальн|редк(?:ий|ая|ость)|выдающ"
                    r"|блестящ|талант|уникальн", re.I)
LANGUAGES = ("en", "ru")
OWN = {
    "en": ("If I move the oven to the north wall, how does that change the dough, the rack and the evening shift?",
           "How do I clean the oven?", "What actually happened with the second dough last winter?",
           "Suppose we sell bread only on Fridays: which parts of the week would fall apart first?",
           "How should I shape the whole bakery so that two people can run it?", "Why does rye crumble?"),
    "ru": ("Если перенести печь к северной стене, как это изменит тесто, полки и вечернюю смену?",
           "Как отмыть печь?", "Что на самом деле вышло со вторым тестом прошлой зимой?",
           "Допустим, хлеб продаём только по пятницам: что в неделе развалится первым?",
           "Как устроить всю пекарню, чтобы её вели двое?", "Почему крошится рожь?"),
}


def evidence(text: str, number: int = 0, month: int = 3) -> Evidence:
    return Evidence(text, f"talk{number}", f"m{number}", 0, len(text), datetime(2025, month, 5, tzinfo=UTC))


def claim(facet: str, language: str, number: int, *, kind: ClaimKind = "thinking", more: int | None = None,
          months: dict[str, int] | None = None, **others: Any) -> Claim:
    known = facets().get(facet)
    text = known.text[language] if known else f"Number {number}." if language == "en" else f"Номер {number}."
    quotes = (evidence(OWN[language][number % 6], number), evidence(OWN[language][(number + 1) % 6], number + 1, 9))
    first, last = quotes[0].time, quotes[1].time
    beside = Comparison(0.12, 0.07, 0.2, more, 20, language) if more is not None else None
    made = Claim(facet, text, "inferred", 0.7 - number / 100, quotes, kind=kind, messages=9, talks=4, first=first,
                 last=last, months=months or {"2025-03": 4, "2025-09": 5}, comparison=beside)
    return replace(made, **others)


def rich(language: str) -> Profile:
    """A profile with everything a report can show."""
    questions = [asked(1 + n % 6, f"2025-{1 + n // 4:02}", n, OWN[language][n % 6].replace("?", f" {n}?"))
                 for n in range(40)]
    claims = (
        claim("follows_conditions", language, 0, more=19),
        claim("asks_what_happened", language, 2, more=3, counter=(evidence(OWN[language][5]),)),
        claim("looks_for_core", language, 3, months={"2025-08": 4, "2025-09": 5}, conflicts=("fact.1a2b",)),
        claim("asks_why", language, 5),
        claim("domain.77aa", language, 6, kind="domain"),
        claim("fact.1a2b", language, 1, kind="fact", authority="said"),
        claim("preference.3c4d", language, 4, kind="preference", authority="approved", decided="pin", talks=1,
              evidence=(evidence(OWN[language][4]),)),
    )
    topics = (Topic("oven" if language == "en" else "печь", 7, {"2025-01": 2, "2025-04": 5}),)
    return Profile(claims, tuple(questions), 300, 120, 30, language=language, topics=topics, notes=("A note: 120.",))


def flat(text: str) -> str:
    return " ".join(text.split())


# ---- what it says --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [40, 72, 100])
def test_the_terminal_report_has_every_part_and_keeps_its_width(language: str, width: int) -> None:
    made, words = rich(language), WORDS[language]
    told = report.render(made, width=width)

    assert max(map(len, told.splitlines())) <= width
    head = position.headline(made)
    assert head and flat(head.rule) in flat(told) and position.table_rule(language)[:60] in flat(told)
    for part in ("standing", "table", "claims", "said", "others", "time", "topics", "conclusion", "notes", "against"):
        assert f"\n{words[part]}\n" in told or words[part] in flat(told)
    for one in made.claims:
        assert one.text in flat(told) and f"[{one.id}]" in told.replace("\n", "")
        assert all(quote.quote in flat(told) for quote in (*one.evidence, *one.counter))
    assert not PRAISE.search(told)


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_markdown_and_page_say_the_same(language: str) -> None:
    made = rich(language)
    said, seen = content(made), Page(report.html(made, plots=False))
    for form in (flat(report.render(made, width=10_000)), flat(plain(report.markdown(made))), flat(seen.text)):
        for sentence in (*said.standing, said.rule, said.table_rule, *said.others, *said.changes, *said.conclusion):
            assert flat(sentence) in form
        for part in (*said.shown, *said.topical, *said.stated):
            lines = (part.text, *part.lines, part.contrast, *part.quotes, *part.counter, part.conflict)
            assert [line for line in lines if flat(line) not in form] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_sentence_of_the_conclusion_names_claims_or_how_many_questions(language: str) -> None:
    made = rich(language)
    told = report.conclusion(made)
    ids = {one.id for one in made.claims}

    assert 3 <= len(told) <= 6
    for sentence in told:
        (named,) = re.findall(r"\[(.+)\]\.$", sentence)
        assert set(named.split(", ")) <= ids or re.fullmatch(r"(?:questions|вопросов): \d+", named)


def test_from_nothing_nothing_is_concluded() -> None:
    for language in LANGUAGES:
        (only,) = report.conclusion(Profile((), (), 3, 0, 1, language=language))
        assert re.search(r"\[.*: 0, .*: 0\]\.$", only)


@pytest.mark.parametrize(("language", "sent", "no_position"), [
    ("en", "How does a plan change itself?", "No position yet, questions: 1"),
    ("ru", "Может ли план изменить сам себя?", "Позиции ещё нет, вопросов: 1")])
def test_one_deep_question_makes_no_constructor(language: str, sent: str, no_position: str) -> None:
    told = flat(report.render(build([("a", Message("a", "user", sent))])))

    assert no_position in told and "1-7" in told
    assert WORDS[language]["now"] not in told.split(WORDS[language]["table"])[1].split(" = ")[0]
    assert WORDS[language]["c_glance"].format(n=1) in told


def test_what_fits_anyone_is_shown_as_such_and_people_decide_before_the_catalogue() -> None:
    common = next(one for one in facets().values() if one.common)

    assert [fits_many(claim("looks_for_core", "en", 0, more=more)) for more in (0, 9, 20)] == [True, True, False]
    assert fits_many(claim(common.id, "en", 0)) and not fits_many(claim(common.id, "en", 0, more=20))
    claims = claim("looks_for_core", "en", 0, more=2), claim("plans_steps", "en", 2, more=9)
    everyone = replace(rich("en"), claims=claims)
    told = flat(report.render(everyone))
    assert "would fit almost anyone" in told and "[looks_for_core, plans_steps]" in told
    assert told.count(", fits many") == 2


def test_a_claim_carries_its_rate_interval_and_what_it_is_counted_over() -> None:
    (line,) = [line for line in content(rich("en")).shown[0].lines if "%" in line]

    assert flat(line) == ("in 12 % of your questions (95 % interval 7-20 %), by the lower end more often than 19 of 20 "
                          "other people (who wrote English)")
    assert " %" not in line, "a number and its per cent mark stay on one line"
    assert "messages: 9, conversations: 4, 2025-03-05 to 2025-09-05" in content(rich("en")).shown[0].lines


@pytest.mark.parametrize(("language", "start"), [("en", "You do not ask “"), ("ru", "Ты не спрашиваешь «")])
def test_a_contrast_shows_a_flat_question_and_an_own_one_and_each_own_one_once(language: str, start: str) -> None:
    parts = content(rich(language)).shown
    pairs = [part.contrast for part in parts if part.contrast]

    assert pairs and all(pair.startswith(start) for pair in pairs) and len(pairs) == len(set(pairs))
    assert all(any(own in pair for own in OWN[language]) for pair in pairs)
    for part in parts:
        assert not any(quote.split(" (")[0] in part.contrast for quote in part.quotes)


def test_facts_and_topics_stand_apart_from_facets_and_get_no_contrast() -> None:
    said = content(rich("en"))

    assert [part.id for part in said.topical] == ["domain.77aa"]
    assert [part.id for part in said.stated] == ["fact.1a2b", "preference.3c4d"]
    assert not any(part.contrast for part in (*said.topical, *said.stated))
    assert "in your own words" in said.stated[0].lines[0]
    assert said.stated[1].lines[0].endswith("approved by you, one conversation only, pinned by you")


def test_a_conflict_is_asked_and_not_settled() -> None:
    told = flat(report.render(rich("en")))

    assert "Says otherwise: fact.1a2b. Which is right, only you can say." in told


def test_a_long_quote_is_cut_outside_its_marks() -> None:
    long = evidence("Why does " + "the very old pump " * 30 + "leak?")

    assert re.fullmatch(r"“Why does [a-z ]+[a-z]” … \(2025-03-05\)", quoted(long, "en", 60))
    assert quoted(evidence("Why?\n\n  So?"), "ru") == "«Why? So?» (2025-03-05)"
    assert quoted(evidence("x" * 500), "en", 60).startswith("“" + "x" * 60 + "” …")


def stated(number: int, text: str = "") -> Claim:
    text = text or f"You say: number {number}."
    return claim(f"fact.{number:08x}", "en", 0, kind="fact", authority="said", text=text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_very_many_statements_sixty_are_shown_and_the_rest_is_counted(language: str) -> None:
    made = replace(rich(language), claims=tuple(stated(n) for n in range(2000)))
    told = report.render(made)

    assert len(re.findall(r"^\d+\. You say", told, re.M)) == 60
    assert WORDS[language]["more"].format(n=1940) in flat(told)
    assert len(told) < 60_000
    assert WORDS[language]["more"].format(n=1940).split(".")[0] in flat(plain(report.markdown(made)))


def test_a_text_without_end_is_cut_wherever_it_stands() -> None:
    made = replace(rich("en"), claims=(claim("looks_for_core", "en", 0, text="word " * 20_000, decided="edit", more=20),
                                       stated(1, "other " * 20_000)))
    for form in (report.render(made), report.markdown(made), " ".join(report.conclusion(made))):
        assert "word word …" in flat(form)
        assert max(len(run.group()) for run in re.finditer(r"(?:(?:word|other)\s+)+", form)) <= 400


def test_the_same_words_stand_once_and_the_other_is_named() -> None:
    said = content(replace(rich("en"), claims=(stated(1), stated(2, "You say: number 1."), stated(3))))

    assert [(part.number, part.id) for part in said.stated] == [(1, "fact.00000001"), (3, "fact.00000003")]
    assert "fact.00000002" in said.stated[0].same and said.stated[1].same == ""


@pytest.mark.parametrize(("language", "words"), [("en", "Both are kept"), ("ru", "Хранятся оба")])
def test_the_person_is_asked_which_of_two_statements_is_true(language: str, words: str) -> None:
    york, leeds = (replace(stated(n, f"You live in {place}."), conflicts=(f"fact.{3 - n:08x}",))
                   for n, place in ((1, "York"), (2, "Leeds")))
    made = replace(rich(language), claims=(york, leeds))
    (asks,) = content(made).asks

    assert words in asks and "twin decide approve" in asks
    assert all(part in asks for part in ("fact.00000001", "fact.00000002", "York", "Leeds"))
    assert flat(asks) in flat(report.render(made)) and flat(asks) in flat(plain(report.markdown(made)))
    assert numbers(made)["asks"] == [asks]
    assert content(replace(rich(language), claims=())).asks == ()


def test_topics_count_messages_without_a_date() -> None:
    made = replace(rich("en"), topics=(Topic("garden", 3, {"2025-06": 2}, 5),))
    assert "garden (conversations: 3, messages: 5, 2025-06)" in report.render(made)


def test_more_often_than_nobody_is_said_so() -> None:
    (part,) = content(replace(rich("en"), claims=(claim("asks_why", "en", 0, more=0),))).shown
    (line,) = [line for line in part.lines if "%" in line]
    assert "no more often than any of 20 other people" in line and "than 0" not in line


def test_mean_depth_is_compared_from_twenty_different_questions_on() -> None:
    few = replace(rich("en"), questions=rich("en").questions[:19])
    copied = replace(rich("en"), questions=tuple(asked(6, "2025-01", n, "How do I shape it?") for n in range(40)))

    assert "Mean level of your questions" in report.render(rich("en"))
    assert not any("Mean level of your questions" in report.render(one) for one in (few, copied))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_per_cent_mark_begins_a_line(language: str) -> None:
    for width in range(60, 110, 7):
        assert not re.search(r"^\s*%", report.render(rich(language), width=width), re.M)


def test_both_languages_have_the_same_words_with_the_same_gaps() -> None:
    gaps = {language: {key: sorted(re.findall(r"{(\w+)", text)) for key, text in WORDS[language].items()}
            for language in LANGUAGES}

    assert gaps["en"] == gaps["ru"]
    assert not PRAISE.search(" ".join([*WORDS["en"].values(), *WORDS["ru"].values()]))


def test_what_machines_get_is_json_with_everything_the_report_adds() -> None:
    got = json.loads(json.dumps(numbers(rich("ru")), ensure_ascii=False))

    assert got["headline"]["position"] in position.POSITIONS["ru"] and len(got["table"]) == 7
    assert {row["status"] for row in got["table"]} <= {"no", "was", "outgrown", "yes", "now", "edge"}
    assert got["months"][0].keys() >= {"month", "n", "mean", "low", "high"} and got["facets_over_time"][0]["trend"]
    assert numbers(Profile((), (), 0, 0, 0))["headline"] is None


def test_a_profile_shows_itself_in_a_notebook() -> None:
    assert rich("en")._repr_markdown_() == report.markdown(rich("en"))


# ---- a person's words are data -------------------------------------------------------------------------------------

HOSTILE = ["# Heading", "a | b | c |", "<script>alert(1)</script>", "[link](http://evil.example)", "![i](http://e.example/x)",
           "`code` **bold** _it_ ~~no~~", "```", "---", "1. one", "- two", "> quote", "<http://evil.example>",
           "https://evil.example www.evil.example", "me@evil.example", "$x^2$ \\(y\\) \\[z\\]", "&lt;b&gt; &amp;",
           "[ref]: http://evil.example", "line\n\n## next\n| x |", "<img src=x onerror=alert(1)>", "a\\",
           "{{ 7*7 }} {% x %}",
           "\u202eright to left\x07", "<!-- hidden", "]( javascript:alert(1) )", "x\n===", "| --- |"]


def tokens(text: str) -> list[Token]:
    found = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    return [*found, *(child for token in found for child in token.children or ())]


def plain(text: str) -> str:
    """What a reader of the Markdown sees."""
    return Page(MarkdownIt("commonmark", {"html": False}).enable("table").render(text)).text


class Page(HTMLParser):
    """Tags, addresses and text of an HTML page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "td", "li", "h3"):
            self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data


def infected(words: str, language: str = "en") -> Profile:
    """The rich profile with these words wherever a person's or a core's words can stand."""
    clean = rich(language)
    told = evidence(words)
    claims = tuple(replace(one, text=f"{words} {n}" if n else words, evidence=(told,), counter=(told,))
                   for n, one in enumerate(clean.claims))
    questions = tuple(replace(one, evidence=replace(told, time=one.evidence.time)) for one in clean.questions)
    return replace(clean, claims=claims, questions=questions, topics=(Topic(words, 2, {"2025-01": 1}),), notes=(words,))


@pytest.mark.parametrize("words", HOSTILE)
def test_no_words_become_markup(words: str) -> None:
    made = infected(words)
    kinds = [token.type for token in tokens(report.markdown(made))]
    calm = [token.type for token in tokens(report.markdown(infected("calm")))]

    def structure(found: list[str]) -> list[str]:
        return [kind for kind in found if kind not in ("text", "text_special", "softbreak")]

    assert structure(kinds) == structure(calm)
    assert not {"link_open", "image", "html_inline", "html_block", "fence"} & set(kinds)
    assert re.search(r"(?<!\\)\$|\\\\[](){}[]|\\(?:begin|end)", report.markdown(made)) is None


@pytest.mark.parametrize("words", HOSTILE)
def test_the_page_shows_the_words_and_loads_nothing(words: str) -> None:
    page = report.html(infected(words), plots=False)
    seen = Page(page)

    assert flat(words.replace("\u202e", "\ufffd").replace("\x07", "\ufffd")) in flat(seen.text)
    assert not {"a", "script", "link", "iframe", "object", "form", "img"} & set(seen.tags)
    assert not any(name in ("src", "href") or name.startswith("on") for name, _ in seen.attributes)
    assert "default-src 'none'" in page


@settings(max_examples=60)
@given(st.text(alphabet=st.sampled_from("ab1 .\\`*_{}[]()<>#+-=!|~&;:/@$^\"'\n\u202e\u00a0é😀й"), max_size=40))
def test_whatever_is_written_stays_text(words: str) -> None:
    line = " ".join(words.split()).replace("\u202e", "\ufffd")
    (paragraph, inline, _) = MarkdownIt("commonmark").enable("table").parse("x " + escaped(words))
    alone = MarkdownIt("commonmark", {"html": True}).enable("table").parse(escaped(words))

    assert paragraph.type == "paragraph_open"
    assert "".join(child.content for child in inline.children or ()).strip() == ("x " + line).strip()
    assert [token.type for token in alone] == (["paragraph_open", "inline", "paragraph_close"] if line else [])
    assert {child.type for token in alone for child in token.children or ()} <= {"text", "text_special"}


def test_no_line_of_the_terminal_report_carries_a_control_character() -> None:
    told = report.render(infected("a\x1b[31mred\x07 \u202eleft"))

    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", told) and "red" in told


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_has_its_pictures_inside(language: str) -> None:
    page = report.html(rich(language))
    seen = Page(page)
    sources = [value for name, value in seen.attributes if name == "src"]

    assert len(sources) == 3 and all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert ("lang", language) in seen.attributes and seen.tags.count("table") == 3
    assert all(value for name, value in seen.attributes if name == "alt")
    assert report.html(rich(language)) == page


def test_nothing_heavy_loads_with_the_report() -> None:
    script = ("import sys, twin.report, twin.plots, twin.position, twin.timeline; from twin.person import Profile; "
              "twin.report.render(Profile((), (), 0, 0, 0)); "
              "print([name for name in ('jinja2', 'markdown_it', 'matplotlib', 'pymorphy3') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
