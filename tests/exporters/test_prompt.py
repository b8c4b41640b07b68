"""The exported prompt fits its budget, loses the weakest claims first and takes no orders from the person's words."""
from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exporters.material import HOSTILE
from twin.errors import UsageError
from twin.exporters.prompt import QUOTE, neutral, prompt, utf16
from twin.person import Authority, Claim, Depth, DepthOf, Evidence, Profile, SubQuestion

Tongue = Literal["en", "ru"]


def evidence(quote: str) -> Evidence:
    return Evidence(quote, "c", "m", 0, len(quote))


def claim(text: str, confidence: float, quote: str = "I measure first.", authority: Authority = "said") -> Claim:
    return Claim("empiric", text, authority, confidence, (evidence(quote),))


def profile(*claims: Claim, levels: tuple[int, ...] = (1, 4, 4, 6), notes: tuple[str, ...] = (),
            language: str = "en") -> Profile:
    depths = (Depth(level, level, level, {}, "rule", SubQuestion("Why?")) for level in levels)
    questions = tuple(DepthOf(evidence("Why?"), depth) for depth in depths)
    return Profile(claims, questions, 40, 12, 5, 3, language, notes)


def test_it_says_who_how_deep_and_with_what_right() -> None:
    made = prompt(profile(claim("Asks for numbers.", 0.82, "Сколько это дало?"), notes=("Little data.",)), name="Ann")

    for part in ("AI twin: Ann", "Own messages: 12 of 40", "conversations: 5", "read by a model: 3",
                 "- **Asks for numbers.** (said, 0.82)\n  > “Сколько это дало?”", "1 ×1, 4 ×2, 6 ×1. Typical level: 4",
                 "## Honesty", "- Little data."):
        assert part in made.text
    assert made.cut == ()


def test_russian_is_a_language_of_its_own_not_a_translation_mixed_with_english() -> None:
    made = prompt(profile(claim("Просит числа.", 0.5, "Сколько?", "inferred"), language="ru"), name="Аня")

    assert "- **Просит числа.** (выведено, 0.50)\n  > «Сколько?»" in made.text
    assert "Обычный уровень: 4" in made.text
    assert re.findall(r"[A-Za-z]+", made.text) == []


@pytest.mark.parametrize(("language", "line"), [
    ("en", "- **You say: “I like dice as a judge.”** (said, 0.60, disputed)\n- **Next.** (said, 0.50)\n  > “I measure"),
    ("ru", "- **You say: “I like dice as a judge.”** (сказано, 0.60, спорно)\n- **Next.** (сказано, 0.50)\n  > «I me")])
def test_a_claim_that_is_its_own_quote_shows_it_once_and_a_contrary_one_is_marked(language: str, line: str) -> None:
    said = Claim("preference.1", "You say: “I like dice as a judge.”", "said", 0.6,
                 (evidence("I like dice as a judge."),), kind="preference", conflicts=("preference.2",))

    assert line in prompt(profile(said, claim("Next.", 0.5)), language=language).text


def test_a_pinned_claim_is_cut_last() -> None:
    pinned = replace(claim("Pinned.", 0.2), decided="pin")
    whole = profile(claim("Strong.", 0.9), pinned)

    assert prompt(whole, budget=prompt(whole).characters - 1).cut == ("Strong. (0.90)",)


@pytest.mark.parametrize(("known", "asked", "heading"), [
    ("ru", None, "## Как он думает"), ("en", None, "## How they think"), ("und", None, "## How they think"),
    ("ru", "en", "## How they think"), ("en", "ru", "## Как он думает")])
def test_the_language_is_the_profiles_unless_one_is_asked_for(known: str, asked: str | None, heading: str) -> None:
    assert heading in prompt(profile(claim("One.", 0.5), language=known), language=asked).text


def test_another_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'fr'.*en or ru"):
        prompt(profile(), language="fr")


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_person_of_whom_little_is_known_is_told_so(language: str) -> None:
    """Only where nothing is known: claims cut for room do not make a person unknown."""
    said = {"en": "Too little is known", "ru": "Данных мало"}[language]
    weakest = prompt(profile(claim("Long. " * 200, 0.5)), language=language, budget=1500)

    assert said in prompt(profile(levels=()), language=language).text
    assert len(weakest.cut) == 1
    assert said not in weakest.text


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_frame_fits_the_smallest_known_field(language: str) -> None:
    """ChatGPT's custom instructions take 1500 characters; a few claims must fit beside the frame."""
    claims = [claim(f"Claim number {n}.", 0.9 - n / 10) for n in range(3)]

    assert prompt(profile(*claims), language=language, budget=1500).cut == ()


def test_a_budget_below_the_frame_names_the_minimum_and_the_minimum_suffices() -> None:
    whole = profile(claim("One.", 0.5))
    with pytest.raises(UsageError) as refused:
        prompt(whole, budget=10)
    minimum = int(re.findall(r"\d+", refused.value.next_step)[0])

    assert prompt(whole, budget=minimum).characters == minimum
    with pytest.raises(UsageError):
        prompt(whole, budget=minimum - 1)
    with pytest.raises(UsageError):
        prompt(whole, budget=-1)


_CLAIMS = st.lists(st.builds(claim, st.text(min_size=1, max_size=60), st.integers(0, 10).map(lambda n: n / 10),
                             st.text(min_size=1, max_size=300) | st.sampled_from(HOSTILE),
                             st.sampled_from(["said", "inferred", "approved"])), max_size=8)


@settings(max_examples=80, deadline=None)
@given(claims=_CLAIMS, language=st.sampled_from(["en", "ru"]), budget=st.integers(900, 3000),
       notes=st.lists(st.sampled_from(HOSTILE), max_size=2).map(tuple), name=st.none() | st.text(max_size=20))
def test_every_budget_holds_and_only_the_weakest_claims_are_cut(claims: list[Claim], language: Tongue, budget: int,
                                                                notes: tuple[str, ...], name: str | None) -> None:
    whole = profile(*claims, notes=notes)
    try:
        made = prompt(whole, language=language, budget=budget, name=name)
    except UsageError as error:
        assert f"{budget} were given" in error.what
        return
    kept = re.findall(r"\((?:said|inferred|approved|сказано|выведено|подтверждено), (\d\.\d\d)\)\n  > ", made.text)
    strongest = sorted((claim.confidence for claim in claims), reverse=True)

    assert made.characters == len(made.text.encode("utf-16-le")) // 2 <= budget
    assert len(kept) + len(made.cut) == len(claims)
    assert [float(one) for one in kept] == strongest[:len(kept)]
    assert [float(one[-5:-1]) for one in made.cut] == strongest[len(kept):][::-1]
    assert made == prompt(whole, language=language, budget=budget, name=name), "equal input gave another text"
    if made.cut:  # the next claim would not have fitted: nothing is cut without need
        best = sorted(claims, key=lambda claim: -claim.confidence)[:len(kept) + 1]
        assert prompt(profile(*best, notes=notes), language=language, budget=10**6, name=name).characters > budget


def test_of_equal_claims_the_later_is_cut_and_named() -> None:
    whole = profile(claim("Strong.", 0.9), claim("First of two.", 0.4), claim("Second of two.", 0.4),
                    claim("Mid.", 0.6))
    room = prompt(whole).characters

    assert prompt(whole, budget=room).cut == ()
    assert prompt(whole, budget=room - 1).cut == ("Second of two. (0.40)",)
    assert prompt(whole, budget=room - 90).cut == ("Second of two. (0.40)", "First of two. (0.40)")


def test_the_budget_counts_as_web_forms_do() -> None:
    """A form counts UTF-16 units: an emoji takes two of them."""
    plain, smile = (prompt(profile(claim(text, 0.5))) for text in ("Like x", "Like 🙂"))

    assert smile.characters == plain.characters + 1
    assert utf16("я🙂") == 3


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_words_stay_in_their_block(text: str, language: Tongue) -> None:
    """Lines, headings and control marks are those of the template, whatever a person, a core or a file name wrote."""
    calm = prompt(profile(claim("Calm", 0.5, "Calm"), notes=("Calm",)), language=language, name="Calm").text
    wild = prompt(profile(claim(text, 0.5, text), notes=(text,)), language=language, name=text).text

    def frame(made: str) -> list[str]:
        return [line[:2] for line in made.split("\n")]

    assert frame(wild) == frame(calm)
    assert not re.search(r"<\||\|>|\[/?INST\]|\{\{|\{%|\{#|```|(?<!\\)</?\w|(?<!\\)`", wild)
    assert not re.search(r"^- ([-+=]|\d+[.)])", wild, re.MULTILINE)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u200b\ufeff\ud800-\udfff]", wild)
    assert "49" not in wild


def test_neutral_text_reads_as_it_was_once_markdown_is_rendered() -> None:
    written = "snake_case * {x} [y] <z> #1 | `t` ~ \\"

    assert re.sub(r"\\(.)", r"\1", neutral(written)) == written
    assert neutral("семья 👨‍👩‍👧 дома") == "семья 👨‍👩‍👧 дома"


def test_one_short_quote_stands_for_a_claim() -> None:
    long = "word " * 100
    two = Claim("f", "Two quotes", "said", 0.5, (evidence(long), evidence("The short one.")))
    one = Claim("f", "Long quote", "said", 0.4, (evidence(long),))
    unbroken = Claim("f", "No spaces", "said", 0.3, (evidence("х" * 500),))
    quotes = re.findall("> “(.*)”", prompt(profile(two, one, unbroken)).text)

    assert quotes[0] == "The short one."
    assert quotes[1].endswith("word…")
    assert quotes[2] == "х" * QUOTE + "…"
    assert len(quotes[1]) <= QUOTE
