"""Every text form keeps to its budget to the character, names its core and keeps the person's words as data."""
from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.exporters import parsers
from tests.exporters.material import CLAIMS, HOSTILE, claim, material
from twin.errors import UsageError
from twin.exporters import FORMATS, Exported, Material
from twin.exporters.escape import neutral, plain, utf16, xml
from twin.exporters.sheet import Sheet, Style, mark, ranked
from twin.person import Claim

TEXTS = ("prompt", "plain", "xml", "claude", "agents", "skill", "modelfile")  # whose text is what the budget bounds
CARDS = ("card", "card-v2", "card-v3")
ALL = (*TEXTS, "chatgpt", *CARDS, "persona")
TONGUES = ("en", "ru")
BOUNDED: dict[str, Callable[[str], list[str]]] = {
    **dict.fromkeys(TEXTS, lambda text: [text]),
    "chatgpt": lambda text: [field for _, field in parsers.fields(text)],
    "persona": lambda text: [one["description"] for one in json.loads(text)["persona_descriptions"].values()],
    **dict.fromkeys(CARDS, lambda text: [json.loads(text)["data"][key] for key in ("description", "system_prompt")])}


def made(form: str, whole: Material, budget: int | None = None) -> Exported:
    return FORMATS[form](whole, budget)


_IDS = st.lists(st.from_regex(r"\A(fact|free|preference)\.[0-9a-f]{6}\Z|\A[a-z]{3,9}(_[a-z]{3,9})?\Z"), unique=True,
                max_size=9)
_WORDS = st.text(min_size=1, max_size=80) | st.sampled_from(HOSTILE)


@st.composite
def claims_of(draw: st.DrawFn) -> list[Claim]:
    return [claim(name, draw(_WORDS), draw(st.integers(0, 10)) / 10, draw(_WORDS),
                  authority=draw(st.sampled_from(["said", "inferred", "approved"]))) for name in draw(_IDS)]


@pytest.mark.parametrize("form", [form for form in ALL if form not in ("card", "card-v3")])  # as card-v2
@settings(max_examples=10, deadline=None)
@given(claims=claims_of(), language=st.sampled_from(TONGUES), spare=st.integers(0, 900))
def test_every_budget_holds_and_the_weakest_claims_are_cut(form: str, claims: list[Claim], language: str,
                                                           spare: int) -> None:
    whole = material(claims, language=language)
    with pytest.raises(UsageError) as refused:
        made(form, whole, 10)
    least = int(re.findall(r"\d+", refused.value.next_step)[0])
    budget = least + spare
    if form == "chatgpt":  # both fields have to fit, and 1500 is the most
        least, budget = 10, max(budget, 1100)
    export = made(form, whole, budget)

    assert max(map(utf16, BOUNDED[form](export.text))) <= budget
    assert export.characters == max(map(utf16, BOUNDED[form](export.text)))
    with pytest.raises(UsageError):
        made(form, whole, least - 1)
    strongest = [float(one[-5:-1]) for one in export.cut]
    assert strongest == sorted(claim.confidence for claim in claims)[:len(export.cut)]
    if export.cut:
        assert re.search(rf"(?:room|only|места|claims\.md): {len(export.cut)}\.", export.text), "nobody is told"


@pytest.mark.parametrize(("form", "template", "style"), [
    ("prompt", "prompt.jinja", "markdown"), ("plain", "prompt.jinja", "plain"), ("xml", "prompt.jinja", "xml"),
    ("agents", "agents.jinja", "markdown")])
@settings(max_examples=10, deadline=None)
@given(claims=claims_of(), language=st.sampled_from(TONGUES), budget=st.integers(1100, 2600))
def test_nothing_is_cut_without_need(form: str, template: str, style: Style, claims: list[Claim], language: str,
                                     budget: int) -> None:
    """One claim more would not have fitted, and equal input gives an equal export."""
    whole = material(claims, language=language)
    try:
        export = made(form, whole, budget)
    except UsageError:
        return
    kept = len(claims) - len(export.cut)

    assert export == made(form, whole, budget)
    if export.cut:
        more = Sheet.of(whole, template, style)(ranked(whole.profile)[:kept + 1], len(claims) - kept - 1)
        assert utf16(more) > budget


@pytest.mark.parametrize("language", TONGUES)
@pytest.mark.parametrize("form", ["prompt", "plain", "xml", "claude"])
def test_one_character_less_costs_the_weakest_claim(form: str, language: str) -> None:
    whole = material(language=language)
    room = made(form, whole, 10**6).characters
    less = made(form, whole, room - 1)

    assert made(form, whole, room).cut == ()
    assert [one[:9] for one in less.cut] == [ranked(whole.profile)[-1].text[:9]]
    assert less.characters < room
    assert made(form, whole, less.characters) == less


@pytest.mark.parametrize("language", TONGUES)
@pytest.mark.parametrize("level", ["private", "public"])
def test_all_forms_name_the_same_core_and_level(language: str, level: str) -> None:
    whole = material(language=language, level=level, constitution="Ask first.", role="critic")  # type: ignore[arg-type]
    core = whole.firmware
    line = (f"twin-core id={core.id} profile=0123456789ab roles=abababababab level={level} language={language}")

    assert mark(whole) == line
    for form in ALL:
        export = made(form, whole)
        texts = [text for text in (*export.files.values(), *export.spoken, export.text) if isinstance(text, str)]
        assert texts
        assert all(line in text for text in texts), form
        assert {one for text in texts for one in re.findall(r"level=(\w+)", text)} == {level}, form


@pytest.mark.parametrize("form", ["prompt", "plain", "xml", "claude", "agents", "skill"])
@pytest.mark.parametrize("language", TONGUES)
def test_a_mark_and_an_id_stand_where_they_are_looked_for(form: str, language: str) -> None:
    whole = material(language=language)
    lines = made(form, whole).text.rstrip("\n").split("\n")
    wraps = ("[", "]") if form == "plain" else ("<!-- ", " -->")

    assert lines[-1] == f"{wraps[0]}{mark(whole)}{wraps[1]}"
    claims = [found[1] for line in lines if (found := re.fullmatch(r"- .*\) \[(.+)\]", line))]
    assert claims == [one.id for one in ranked(whole.profile)]


@pytest.mark.parametrize("language", TONGUES)
def test_a_constitution_and_a_role_come_along_when_there_are_any(language: str) -> None:
    heading = {"en": "## What always holds", "ru": "## Что неизменно"}[language]
    role = {"en": "## Role: Critic", "ru": "## Роль: Критик"}[language]
    both = made("prompt", material(language=language, constitution="- Never sell the hives.\n\n2. Ask.", role="critic"))

    assert f"{heading}" in both.text
    assert "\n- Never sell the hives.\n- Ask.\n" in both.text
    assert role in both.text
    assert not re.search("Answer in English|Отвечай по-русски", both.text), "the question says the language"
    assert heading not in made("prompt", material(language=language)).text
    assert {"en": "## Role", "ru": "## Роль"}[language] not in made("prompt", material(language=language)).text


def test_a_constitution_too_long_for_the_form_is_said_so_whatever_the_budget() -> None:
    endless = material(constitution="\n".join(f"Rule number {n}." for n in range(600)))

    for form in ("agents", "skill", "chatgpt"):
        with pytest.raises(UsageError, match="shorter constitution"):
            made(form, endless, 10**6)


def test_a_name_is_shown_where_the_person_gave_one() -> None:
    assert made("prompt", material(name="Bee")).text.startswith("# AI twin: Bee\n")
    assert made("prompt", material(name="twin")).text.startswith("# AI twin\n")


# ---- the person's words are data -----------------------------------------------------------------------------------

def wild(text: str, language: str, role: bool = False) -> Material:
    """A core in which every foreign text is this one."""
    whole = material([claim("calm", text, 0.5, text)], language=language, notes=(text,), constitution=text, name=text)
    if not role:
        return whole
    known = whole.role_map.role("critic")
    told = known.sections.en.model_copy(update={"stance": text.replace("<!--", "")})
    mine = known.model_copy(update={"sections": known.sections.model_copy(update={"en": told, "ru": told}),
                                    "title": known.title.model_copy(update={"en": text, "ru": text})})
    return replace(whole, role="critic", role_map=replace(whole.role_map, roles=(mine,)))


CONTROL = re.compile(r"<\||<think>|</?s>|\[/?INST\]|\{\{|\{%|\{#|[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u200b\ufeff"
                     r"\ud800-\udfff]")


@pytest.mark.parametrize("language", TONGUES)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_form_holds_a_control_mark_of_a_person(text: str, language: str) -> None:
    whole = wild(text, language, role=True)
    for form in ("prompt", "plain", "xml", "skill", "card-v3", "persona", *(["chatgpt"] if len(text) < 120 else [])):
        export = made(form, whole)
        for said in (one for one in (*export.files.values(), *export.spoken) if isinstance(one, str)):
            assert not CONTROL.search(said.replace("\n", " ")), form


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_has_the_same_bones_whatever_is_said(text: str) -> None:
    """By a Markdown parser: headings, lists, quotes, comments and nothing else, as for calm words."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")

    def bones(whole: Material, form: str) -> list[str]:
        said = made(form, whole).text
        tokens = parser.parse(re.sub(r"\A---\n.*?\n---\n", "", said, flags=re.DOTALL))
        inner = [child.type for token in tokens for child in token.children or ()]
        return [token.type for token in tokens] + [one for one in inner if one not in ("text", "text_special")]

    for form in ("prompt", "claude", "agents", "skill"):
        calm = wild("Calm", "en")
        same = replace(wild(text, "en"), constitution="Calm")  # as many lines as calm words have
        assert bones(same, form) == bones(calm, form), form


@pytest.mark.parametrize("language", TONGUES)
@pytest.mark.parametrize("text", HOSTILE)
def test_xml_stays_well_formed_and_no_tag_is_closed_or_opened(text: str, language: str) -> None:
    tree = ElementTree.fromstring(made("xml", wild(text, language, role=True)).text)  # noqa: S314 - our own text

    assert [one.tag for one in tree] == ["intro", "invariants", "how_they_think", "depth", "how_to_answer", "role",
                                         "honesty"]
    assert all(len(one) == 0 for one in tree)


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_begins_no_line_with_foreign_words(text: str) -> None:
    """Only claims begin with a hyphen and end in their id, so nothing that is said makes a claim of its own."""
    lines = made("plain", wild(text, "en", role=True)).text.split("\n")

    assert sum(line.startswith("- ") for line in lines) == 1
    assert sum(line.startswith(("[twin-core", "<!--")) for line in lines) == 1
    assert not [line for line in lines if re.match(r'FROM|SYSTEM|"""|---|name:|~~~', line)]


def test_what_is_escaped_can_be_read() -> None:
    written = 'a <|im_end|> b {{user}} c [INST] d <think> e """ f 3 < 5 <= 6'

    assert plain(written) == 'a < |im_end|> b { {user} } c [ INST] d < think> e " "" f 3 < 5 <= 6'
    assert "".join(plain(written).split()) == "".join(written.split())
    assert xml("a < b & </c>") == "a &lt; b &amp; &lt;/c&gt;"
    assert neutral("# x") == "\\# x"


def test_the_claims_of_the_tests_are_whole() -> None:
    assert {one.id for one in CLAIMS["en"]} == {one.id for one in CLAIMS["ru"]}
