"""The profile by rules: evidence or no claim, own words only, and honest about how little a few messages prove."""
from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import UsageError
from twin.facets import shown
from twin.person import Claim, Profile
from twin.profile import ALONE_CAP, COMMON_CAP, RULE_CAP, Point, build, candidates, facets
from twin.report import render
from twin.types import Message, to_plain

PRAISE = re.compile(r"brilliant|gifted|rare|exceptional|genius|impressive|гениальн|редк|выдающ|блестящ|талант", re.I)
Said = tuple[str, Message]


def said(conversation: str, number: int, text: str, **more: object) -> Said:
    return conversation, Message(f"{conversation}-{number}", "user", text, **more)  # type: ignore[arg-type]


def answered(conversation: str, number: int, text: str) -> Said:
    return conversation, Message(f"{conversation}-{number}", "assistant", text)


def talks(*texts: str) -> list[Said]:
    """Each text in a conversation of its own."""
    return [said(f"talk{n}", 0, text) for n, text in enumerate(texts)]


def claim(profile: Profile, facet: str) -> Claim | None:
    return next((one for one in profile.claims if one.facet == facet), None)


def point(pair: Said, sentence: str, facet: str, probability: float = 0.9) -> Point:
    conversation, message = pair
    start = message.text.index(sentence)
    return Point(conversation, message.id, start, start + len(sentence), facet, probability)


GARDEN = talks(
    "How do I keep slugs off the lettuce?", "Yesterday I planted two rows of carrots.", "Why do leaves turn yellow?",
    "I prefer old tomato sorts to new ones.", "We tried straw last year and the beds stayed wet. How do I dry them?",
    "Why does my compost smell?", "I only have one weekend for the fence.")
OGOROD = talks(
    "Как спасти салат от слизней?", "Вчера я посадила две грядки моркови.", "Почему желтеют листья?",
    "Мне нравятся старые сорта помидоров.", "Мы пробовали солому, и грядки не сохли. Как их просушить?",
    "Почему пахнет компост?", "У меня всего один выходной на забор.")


# ---- the catalogue -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("facet", facets())
def test_every_cue_set_takes_its_supporting_sentences_and_leaves_the_others(facet: str) -> None:
    one = facets()[facet]
    for language in ("en", "ru"):
        assert one.supports[language] and one.rejects[language]
        assert [s for s in one.supports[language] if facet not in shown(s)] == []
        assert [s for s in one.rejects[language] if facet in shown(s)] == []


def test_the_catalogue_speaks_to_the_person_in_both_languages_and_never_praises() -> None:
    assert 12 <= len(facets()) <= 20
    assert {one.kind for one in facets().values()} == {"thinking", "style", "values", "language"}
    for one in facets().values():
        assert one.text["en"].startswith("You ") and one.text["ru"].startswith("Ты ")
        assert not PRAISE.search(" ".join(one.text.values()))
        assert re.match(r"[a-z]+s ", one.definition), "finishes 'the writer ...'"


@pytest.mark.parametrize("sentence", [
    "My neighbour says the main thing is to plant early.", "Сосед говорит, что главное - сажать рано.",
    "«Главное - сажать рано.»", "According to the leaflet, what matters is water."])
def test_the_words_of_others_show_nothing_about_the_person(sentence: str) -> None:
    assert shown(sentence) == []


# ---- claims --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("messages", "language"), [(GARDEN, "en"), (OGOROD, "ru")])
def test_a_gardener_gets_facets_in_their_language(messages: list[Said], language: str) -> None:
    profile = build(messages)
    assert profile.language == language
    assert {"asks_how_to", "asks_why", "tells_experience", "states_preferences", "works_under_constraints"} <= {
        one.facet for one in profile.claims}
    assert all(one.text == facets()[one.facet].text[language] for one in profile.claims)


@pytest.mark.parametrize("messages", [GARDEN, OGOROD])
def test_every_quote_is_verbatim_own_words(messages: list[Said]) -> None:
    profile = build(messages)
    texts = {(conversation, message.id): message for conversation, message in messages}
    evidence = [quote for one in profile.claims for quote in one.evidence] + [q.evidence for q in profile.questions]
    assert evidence
    for quote in evidence:
        message = texts[quote.conversation, quote.message]
        assert message.own and message.text[quote.start:quote.end] == quote.quote


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=120), st.booleans()), max_size=8))
def test_quotes_are_verbatim_whatever_was_written(rows: list[tuple[str, str, bool]]) -> None:
    texts = ["Why do leaves turn yellow? ", "Как испечь хлеб? ", ""]
    messages = [(talk, Message(str(n), "user" if own else "assistant", texts[n % 3] + text))
                for n, (talk, text, own) in enumerate(rows)]
    by_key = {(talk, message.id): message for talk, message in messages}
    profile = build(messages)
    for quote in [q.evidence for q in profile.questions] + [e for one in profile.claims for e in one.evidence]:
        assert by_key[quote.conversation, quote.message].own
        assert by_key[quote.conversation, quote.message].text[quote.start:quote.end] == quote.quote
    assert render(profile)


def test_one_conversation_is_never_enough_for_a_confident_claim() -> None:
    """A person on one bad day is not the person."""
    one = [said("talk", n, f"Why does the {thing} leak?") for n, thing in enumerate(("tap", "roof", "pot", "jug"))]
    two = [said(f"talk{n}", n, message.text) for n, (_, message) in enumerate(one)]
    alone, spread = claim(build(one), "asks_why"), claim(build(two), "asks_why")
    assert alone and spread
    assert alone.confidence <= ALONE_CAP < spread.confidence <= COMMON_CAP
    assert "only" in render(build(one)) and "1 of 1 claims rest on a single conversation" in render(build(one))


def test_confidence_grows_with_conversations_by_less_and_less() -> None:
    things = ("tap", "roof", "pot", "jug", "can", "pipe", "tank", "hose", "boat", "shoe", "vase", "cup")
    steps = [build(talks(*(f"I measured the {thing} twice." for thing in things[:n]))).claims for n in (2, 4, 8, 12)]
    found = [next(c.confidence for c in claims if c.facet == "wants_measurements") for claims in steps]
    assert found == sorted(found)
    assert found[1] - found[0] > found[3] - found[2]
    assert found[-1] <= RULE_CAP


def test_the_same_sentence_sent_many_times_counts_once() -> None:
    """Copied prompts and standing phrases are one thought, not many."""
    copied = build(talks(*["What matters is the soil."] * 6))
    found = claim(copied, "looks_for_core")
    assert found and len(found.evidence) == 1 and found.confidence <= ALONE_CAP


def test_at_most_five_quotes_each_from_another_conversation_the_short_ones_first() -> None:
    texts = [f"Why does the old green pump number {'x' * n} stop every night?" for n in range(1, 9)]
    messages = [*talks(*texts), *(said("talk0", n, f"Why is pump {n} of this loud row so loud?") for n in range(1, 6))]
    found = claim(build(messages), "asks_why")
    assert found and len(found.evidence) == 5
    assert len({quote.conversation for quote in found.evidence}) == 5
    assert max(len(quote.quote) for quote in found.evidence) <= len(texts[4])


def test_assistants_quotes_code_and_copied_chats_are_no_evidence() -> None:
    """Praise by an assistant, above all, must not come back as a trait."""
    messages = [
        answered("a", 0, "You always look for the main thing. What matters to you is measurement. Why is that so?"),
        said("b", 0, "> What matters is the soil.\n```\nwhat matters is the soil\n```\nThanks."),
        said("c", 0, "Look what came today.\n\nAnna, [30.06.2025 12:07]\nWhat matters is the soil. Why do you ask?"),
        said("d", 0, "What matters is the soil.", flags=("forwarded",)),
    ]
    profile = build(messages)
    assert profile.claims == () and profile.questions == ()


def test_only_the_words_before_a_copied_chat_count() -> None:
    """Nothing marks where a copied chat ends, so what follows is taken for the other person's."""
    pair = said("c", 0, "What matters is the soil.\n\nAnna, 30.06.2025 12:07:\nThe pots are here.\n\nWhy is it dry?")
    profile = build([pair])
    found = claim(profile, "looks_for_core")
    assert found and [quote.quote for quote in found.evidence] == ["What matters is the soil."]
    assert claim(profile, "asks_why") is None


# ---- what a core pointed at ----------------------------------------------------------------------------------------

SIMPLE = talks("Is there a simpler way to label the pots?", "I want it as simple as possible.", "The pots are cracked.")


def test_a_core_that_agrees_raises_a_claim_and_alone_counts_less() -> None:
    rule = claim(build(SIMPLE), "cares_for_simplicity")
    points = [point(pair, pair[1].text, "cares_for_simplicity") for pair in SIMPLE[:2]]
    both = claim(build(SIMPLE, points=points), "cares_for_simplicity")
    other = [point(pair, pair[1].text, "parts_as_roles") for pair in SIMPLE[:2]]
    core = claim(build(SIMPLE, points=other, read_by_core=2), "parts_as_roles")
    assert rule and both and core
    assert (rule.origin, both.origin, core.origin) == ("rule", "rule+core", "core")
    assert core.confidence < rule.confidence < both.confidence


def test_a_core_adds_evidence_and_its_sentences_are_quoted_first() -> None:
    points = [point(SIMPLE[2], "The pots are cracked.", "cares_for_simplicity")]
    found = claim(build(SIMPLE, points=points), "cares_for_simplicity")
    assert found and found.evidence[0].quote == "The pots are cracked."


def test_points_that_no_longer_fit_are_left_out_and_said() -> None:
    good = point(SIMPLE[2], "The pots are cracked.", "cares_for_simplicity")
    broken = [Point("talk2", "talk2-0", 0, 5, "cares_for_simplicity", 0.9), Point("gone", "x", 0, 5, good.facet, 0.9),
              Point(good.conversation, good.message, good.start, good.end, "no_such_facet", 0.9)]
    profile = build(SIMPLE, points=broken)
    assert claim(profile, "cares_for_simplicity") == claim(build(SIMPLE), "cares_for_simplicity")
    assert any(note.startswith("3 sentences a core pointed at") for note in profile.notes)


def test_a_point_the_core_does_not_believe_changes_nothing() -> None:
    doubt = [point(SIMPLE[2], "The pots are cracked.", "parts_as_roles", 0.4)]
    assert build(SIMPLE, points=doubt).claims == build(SIMPLE).claims


def test_a_core_cannot_point_at_words_of_others() -> None:
    pair = said("a", 0, "> The pots are cracked.\nThanks.")
    profile = build([pair], points=[point(pair, "The pots are cracked.", "cares_for_simplicity")])
    assert profile.claims == ()


@pytest.mark.parametrize("probability", [-0.1, 1.5, float("nan")])
def test_an_impossible_probability_is_a_named_error(probability: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        build(SIMPLE, points=[point(SIMPLE[0], SIMPLE[0][1].text, "asks_why", probability)])


# ---- questions -----------------------------------------------------------------------------------------------------

def test_a_message_that_asks_gives_one_depth_the_deepest() -> None:
    text = "Where do I buy flour? How do the oven and the yeast affect each other? Who sells salt?"
    profile = build([said("a", 0, text), answered("a", 1, "How does a system design itself?")])
    assert [q.evidence.quote for q in profile.questions] == ["How do the oven and the yeast affect each other?"]
    assert profile.questions[0].depth.signals["Q"] == 2
    assert profile.levels[4] == 1 == sum(profile.levels.values())


def test_standing_instructions_are_read_for_facets_but_not_rated_as_questions() -> None:
    text = "How should you answer? Briefly, please, as a list."
    profile = build([said("a", 0, text, flags=("custom_instructions",))])
    assert profile.questions == ()
    assert claim(profile, "asks_for_form")


def test_a_question_sent_again_in_one_conversation_counts_once() -> None:
    assert len(build([said("a", 0, "Why so late?"), said("a", 1, "Why so late?")]).questions) == 1
    assert len(build([said("a", 0, "Why so late?"), said("b", 1, "Why so late?")]).questions) == 2


# ---- how much it proves --------------------------------------------------------------------------------------------

def test_nothing_own_gives_an_empty_profile_that_says_so() -> None:
    for messages in ([], [answered("a", 0, "Hello")]):
        profile = build(messages)
        assert (profile.claims, profile.questions, profile.own_messages) == ((), (), 0)
        assert profile.notes == ("There is no message of your own here, so nothing is said about you.",)
        assert "Nothing yet." in render(profile)


def test_one_message_is_said_to_prove_next_to_nothing() -> None:
    profile = build([said("a", 0, "Опиши мой образ мыслей, на каком он уровне по вопросам")])
    assert profile.language == "ru" and len(profile.questions) == 1
    assert profile.notes[0].startswith("Одно своё сообщение почти ничего не доказывает")
    assert all(one.confidence <= ALONE_CAP for one in profile.claims)


@pytest.mark.parametrize(("count", "words"), [(1, "next to nothing"), (19, "too few"), (99, "sketch"), (100, "")])
def test_the_thresholds_are_named(count: int, words: str) -> None:
    notes = " ".join(build(talks(*(f"Today is day {n}." for n in range(count)))).notes)
    for each in ("next to nothing", "too few", "a sketch"):
        assert (each in notes) == bool(words and words in each)


def test_notes_say_what_no_core_has_read_and_which_languages_are_mixed() -> None:
    both = [*GARDEN, *((f"ru-{talk}", message) for talk, message in OGOROD)]
    unread, read = build(both), build(both, read_by_core=5)
    assert any("No core has read" in note for note in unread.notes)
    assert any("read 5 of 14" in note for note in read.notes)
    assert any("7 messages are in Russian, 7 in English" in note for note in unread.notes)
    assert any("14 of 14 own messages carry no date" in note for note in unread.notes)


def test_language_can_be_chosen_and_only_russian_or_english() -> None:
    profile = build(GARDEN, language="ru")
    assert profile.language == "ru"
    assert all(re.search("[а-я]", one.text) for one in profile.claims)
    with pytest.raises(UsageError, match="'fr'"):
        build(GARDEN, language="fr")


# ---- the report ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("messages", "title"), [
    (GARDEN, "What your messages show"), (OGOROD, "Что показывают твои сообщения")])
@pytest.mark.parametrize("width", [40, 72, 100])
def test_the_report_fits_its_width_and_quotes_every_claim(messages: list[Said], title: str, width: int) -> None:
    dated = [(talk, Message(m.id, "user", m.text, time=datetime(2025, 6, 30, tzinfo=UTC))) for talk, m in messages]
    profile = build(dated)
    report = render(profile, width=width)
    assert report.startswith(title)
    assert max(map(len, report.splitlines())) <= width
    assert "2025-06-30" in report
    assert not PRAISE.search(report)
    flat = " ".join(report.split())
    for one in profile.claims:
        assert one.text in flat
        assert all(quote.quote in flat for quote in one.evidence)
    assert all(note in flat for note in profile.notes)


def test_the_levels_and_the_deepest_questions_are_shown() -> None:
    report = render(build(talks("Where is the salt?", "Who sells flour?", "Can a garden redesign itself?", "Why?")))
    assert re.search(r"^  7 +█+ 1$", report, re.M) and re.search(r"^  1 +█{30} 2$", report, re.M)
    assert re.search(r"\[7\] “Can a garden redesign itself\?”\n +something designs", report)


def test_the_profile_goes_to_json_whole() -> None:
    stored = json.loads(json.dumps(to_plain(build(OGOROD)), ensure_ascii=False))
    assert len(stored["claims"][0]["evidence"][0]["hash"]) == 64
    assert stored["notes"] and stored["questions"][0]["depth"]["signals"].keys() >= {"Q", "N"}


def test_building_twice_gives_the_same_profile() -> None:
    assert build(GARDEN) == build(iter(GARDEN))


# ---- what a core should read ---------------------------------------------------------------------------------------

def test_candidates_are_own_messages_that_can_show_most() -> None:
    messages = [
        said("a", 0, "ok"), said("a", 1, "The bus was late."), answered("a", 2, "I think you should measure, why not?"),
        said("b", 0, "I decided to keep one pump, because I want less noise. What do I lose?"),
        said("c", 0, "Where is the pump?"), said("d", 0, "Where is the pump?")]
    chosen = [message.text for _, message in candidates(messages, 10)]
    assert chosen[0].startswith("I decided") and chosen[1] == "Where is the pump?"
    assert chosen.count("Where is the pump?") == 1 and "ok" not in chosen and len(chosen) == 3


def test_candidates_keep_the_budget_and_spread_over_conversations() -> None:
    messages = [said("a", n, f"I think pump {n} is loud, why is that?") for n in range(20)]
    messages += [said(f"b{n}", 0, f"I like pump {n}.") for n in range(3)]
    chosen = candidates(messages, 18)
    assert len(chosen) == 18 and candidates(messages, 0) == []
    assert {"b0", "b1", "b2"} <= {talk for talk, _ in chosen}
    with pytest.raises(UsageError, match="cannot be read"):
        candidates(messages, -1)


# ---- how fast ------------------------------------------------------------------------------------------------------

def many(count: int) -> Sequence[Said]:
    forms = ("How do I keep {} off the {}?", "Вчера я посадила {} и полила {}. Как их укрыть, если будет мороз?",
             "If I move {} to the wall, how does that change {} and the light?", "I tried {} with {} and it works.")
    return [said(f"talk{n // 12}", n, forms[n % 4].format(f"thing{n}", f"part{n % 97}")) for n in range(count)]


def test_ten_thousand_messages_take_seconds() -> None:
    """A person sees themselves while the core is still coming; measured 5 s on two shared cores."""
    messages = many(10_000)
    start = time.perf_counter()
    profile = build(messages)
    candidates(messages, 40)
    assert time.perf_counter() - start < 15
    assert len(profile.questions) == 7500 and profile.own_messages == 10_000
