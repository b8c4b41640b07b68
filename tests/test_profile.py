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
from twin.person import Claim, Decision, Depth, FreeClaim, Profile, SubQuestion
from twin.profile import COMMON_CAP, ORDINARY_CAP, RULE_CAP, Point, build, candidates, facets
from twin.report import numbers, render
from twin.types import Message, to_plain

PRAISE = re.compile(r"brilliant|gifted|\brare\b|exceptional|genius|impressive|гениальн|редк|выдающ|блестящ|талант",
                    re.IGNORECASE)
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
    "I prefer old tomato sorts to new ones. The budget is forty euros.",
    "We tried straw last year and the beds stayed wet. How do I dry them?", "Why does my compost smell?",
    "I only have one weekend for the fence. I hate to rush it.")
OGOROD = talks(
    "Как спасти салат от слизней?", "Вчера я посадила две грядки моркови.", "Почему желтеют листья?",
    "Мне нравятся старые сорта помидоров. Надо уложиться в три тысячи рублей.",
    "Мы пробовали солому, и грядки не сохли. Как просушить их?", "Почему пахнет компост?",
    "У меня всего один выходной на забор. Терпеть не могу спешку.")


# ---- claims --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("messages", "language"), [(GARDEN, "en"), (OGOROD, "ru")])
def test_a_gardener_gets_facets_in_their_language(messages: list[Said], language: str) -> None:
    profile = build(messages)
    assert profile.language == language
    assert {"asks_how_to", "asks_why", "tells_experience", "states_preferences", "works_under_constraints"} <= {
        one.facet for one in profile.claims}
    assert all(one.text == facets()[one.facet].text[language] for one in profile.claims if one.facet in facets())


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


def test_one_conversation_is_never_enough_for_a_claim() -> None:
    """A person on one bad day is not the person; what was left out is said."""
    one = [said("talk", n, f"Why does the {thing} in the shed leak?")
           for n, thing in enumerate(("tap", "roof", "pot", "jug"))]
    two = [said(f"talk{n}", n, message.text) for n, (_, message) in enumerate(one)]
    spread = claim(build(two), "asks_why")
    assert claim(build(one), "asks_why") is None
    assert spread and ORDINARY_CAP < spread.confidence <= COMMON_CAP
    assert any(note.startswith("Facets that showed in a single conversation only") and note.endswith(": 1.")
               for note in build(one).notes)
    assert not any("single conversation" in note for note in build(two).notes)


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
    assert claim(copied, "looks_for_core") is None
    twice = claim(build(talks(*["What matters is the soil."] * 6, "The main thing is water.")), "looks_for_core")
    assert twice and (twice.messages, len(twice.evidence)) == (2, 2)


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
    copied = "\n\nAnna, 30.06.2025 12:07:\nThe pots are here.\n\nWhy is it dry? Why is the {} red?"
    pairs = [said("c", 0, "What matters is the soil." + copied.format("jug")),
             said("d", 0, "The main thing is water." + copied.format("cup"))]
    profile = build(pairs)
    found = claim(profile, "looks_for_core")
    assert found and {one.quote for one in found.evidence} == {"What matters is the soil.", "The main thing is water."}
    assert claim(profile, "asks_why") is None


# ---- what speaks against, other people, topics, time -----------------------------------------------------------------

def test_what_speaks_against_a_claim_is_shown_with_it_and_lowers_its_confidence() -> None:
    for simpler, opposite in ((("Is there a simpler way to label the pots?", "A minimal pump would do for the pond."),
                               "I want the pump with every feature there is."),
                              (("А можно попроще подписать горшки?", "Хочу без лишнего: один насос."),
                               "Хочу насос со всеми функциями.")):
        clear = claim(build(talks(*simpler, "The fence is green.")), "cares_for_simplicity")
        torn = claim(build(talks(*simpler, opposite)), "cares_for_simplicity")
        assert clear and torn
        assert clear.counter == ()
        assert [one.quote for one in torn.counter] == [opposite]
        assert torn.confidence == pytest.approx(clear.confidence * 2 / 3, abs=1e-3)
        assert any(re.search("(?:sentences of yours against them|против которых есть твои же слова): 1;", note)
                   for note in build(talks(*simpler, opposite)).notes)


def test_what_speaks_against_without_anything_for_it_makes_no_claim() -> None:
    against = build(talks("I want the pump with every feature.", "Every feature of the shed, please."))
    assert claim(against, "cares_for_simplicity") is None


FILLER = [f"The {thing} number {n} stands in the long shed." for n in range(400) for thing in ("pump", "pot")]


def test_what_shows_no_more_often_than_with_others_is_held_low_and_said() -> None:
    """Two experiences told in eight hundred sentences are fewer than nearly everyone tells."""
    told = ("Yesterday I planted two rows of carrots.", "We tried straw last year and the beds stayed wet.")
    often, seldom = build(talks(*told)), build(talks(*told, *FILLER))
    assert (high := claim(often, "tells_experience")) and (low := claim(seldom, "tells_experience"))
    assert high.comparison and 2 * high.comparison.more_than > high.comparison.of
    assert low.comparison and 2 * low.comparison.more_than < low.comparison.of
    assert low.confidence <= ORDINARY_CAP < high.confidence
    assert any("not show clearly more often than with half of them: 1;" in note for note in seldom.notes)
    assert not any("clearly more often" in note for note in often.notes)


def test_the_rate_counts_different_sentences_and_for_asking_only_questions() -> None:
    messages = talks("It comes down to the soil.", "The main thing is water.", "Why is it dry in the bed?",
                     "Why is it dry in the bed?", "Why does the pump stop at night?", "Where does the hose end now?")
    core, why = claim(build(messages), "looks_for_core"), claim(build(messages), "asks_why")
    assert core and core.comparison and core.comparison.rate == pytest.approx(2 / 5)
    assert why and why.comparison and why.comparison.rate == pytest.approx(2 / 3, abs=1e-4)


def test_talk_that_only_an_assistant_hears_is_not_compared_and_neither_is_what_only_a_core_saw() -> None:
    form = claim(build(talks("Give me the dates as a table.", "Explain it in plain words.")), "asks_for_form")
    points = [point(pair, pair[1].text, "parts_as_roles") for pair in SIMPLE[:2]]
    core = claim(build(SIMPLE, points=points), "parts_as_roles")
    assert form and form.comparison is None
    assert core and core.comparison is None


def test_the_notes_say_who_the_other_people_are() -> None:
    english, russian = " ".join(build(GARDEN).notes), " ".join(build(OGOROD).notes)
    assert "with 10 people only, none of whom wrote to an assistant: 4 in a help channel, 6 in conversations" in english
    assert "всего 11, и ассистенту никто из них не писал" in russian
    assert "в дневнике 1." in russian


def test_a_claim_counts_all_its_evidence_and_says_when() -> None:
    days = [datetime(2025, month, day, tzinfo=UTC) for month, day in
            ((3, 1), (1, 5), (1, 9), (6, 2), (6, 3), (6, 4), (6, 5))]
    messages = [(f"talk{n // 2}", Message(str(n), "user", f"Why does pump {n} of the row stop?", time=day))
                for n, day in enumerate(days)]
    found = claim(build([*messages, said("undated", 0, "Why does the last pump stop?")]), "asks_why")
    assert found and (found.messages, found.talks, len(found.evidence)) == (8, 5, 5)
    assert (found.first, found.last) == (days[1], days[-1])
    assert dict(found.months) == {"2025-01": 2, "2025-03": 1, "2025-06": 4}
    assert found.kind == "thinking"


@pytest.mark.parametrize(("said_of_it", "name", "text"), [
    ("When do I turn the compost in bed {}?", "compost", "You write about this: compost."),
    ("Готов ли компост для грядки {}?", "компост", "Ты пишешь на эту тему: компост.")])
def test_a_topic_of_three_conversations_is_a_claim_with_quotes(said_of_it: str, name: str, text: str) -> None:
    three, two = (build(talks(*(said_of_it.format(n) for n in range(count)))) for count in (3, 2))
    found = [one for one in three.claims if one.text == text]
    assert len(found) == 1
    assert (found[0].kind, found[0].authority, found[0].talks, len(found[0].evidence)) == ("domain", "inferred", 3, 3)
    assert found[0].facet.startswith("domain.")
    assert name not in repr(three.claims), "an id goes to logs"
    assert {one.name for one in three.topics} == {one.name for one in two.topics}
    assert not [one for one in two.claims if one.kind == "domain"]


# ---- stated facts, claims in a core's words, decisions --------------------------------------------------------------

def test_what_the_person_says_of_themselves_stands_beside_what_is_inferred() -> None:
    """Saying it once is enough for a fact; a habit needs two conversations."""
    for messages, quote in ((GARDEN, "I live in Leeds."), (OGOROD, "Я живу в Твери.")):
        found = [one for one in build([*messages, said("new", 0, quote)]).claims if one.kind == "fact"]
        assert [(one.authority, one.evidence[0].quote) for one in found] == [("said", quote)]


def test_a_claim_in_a_cores_words_stands_on_quotes_from_two_conversations() -> None:
    spans = tuple((talk, message.id, 0, len(message.text)) for talk, message in SIMPLE[:2])
    free = [FreeClaim("values", "You like labels to be simple.", "en", spans, 0.9),
            FreeClaim("values", "You cannot stand cracks.", "en", (("talk2", "talk2-0", 0, 21),), 0.9)]
    found = {one.text: one for one in build(SIMPLE, free=free).claims}
    assert [one.quote for one in found["You like labels to be simple."].evidence] == [
        message.text for _, message in SIMPLE[:2]]
    assert "You cannot stand cracks." not in found


def test_what_the_person_decided_holds() -> None:
    approved = claim(build(SIMPLE, decisions=[Decision("cares_for_simplicity", "approve")]), "cares_for_simplicity")
    rejected = build(SIMPLE, decisions=[Decision("cares_for_simplicity", "reject")])
    assert approved and (approved.authority, approved.confidence) == ("approved", 1.0)
    assert approved.comparison == claim(build(SIMPLE), "cares_for_simplicity").comparison  # type: ignore[union-attr]
    assert claim(rejected, "cares_for_simplicity") is None


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
    assert any(": 3; they were left out" in note for note in profile.notes)


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
    assert len(profile.questions) == 1
    assert "How do the oven and the yeast affect each other?" in profile.questions[0].evidence.quote
    assert "buy flour" not in profile.questions[0].evidence.quote
    assert profile.questions[0].depth.signals["Q"] == 2
    assert profile.levels[4] == 1 == sum(profile.levels.values())


def test_standing_instructions_are_read_for_facets_but_not_rated_as_questions() -> None:
    text = "How should you answer? Briefly, please, as a list."
    profile = build([said("a", 0, text, flags=("custom_instructions",)), said("b", 0, "Send the dates as a table.")])
    assert profile.questions == ()
    assert claim(profile, "asks_for_form")


def test_a_question_sent_again_in_one_conversation_counts_once() -> None:
    assert len(build([said("a", 0, "Why so late?"), said("a", 1, "Why so late?")]).questions) == 1
    assert len(build([said("a", 0, "Why so late?"), said("b", 1, "Why so late?")]).questions) == 2


@pytest.mark.parametrize(("depth", "shown"), [
    (Depth(1.2, 1.0, 2.1, {}, "", SubQuestion("")), "1"), (Depth(1.0, 1.0, 1.9, {}, "", SubQuestion("")), "1"),
    (Depth(6.0, 5.5, 6.9, {}, "", SubQuestion("")), "6+"), (Depth(6.0, 5.4, 6.6, {}, "", SubQuestion("")), "6"),
    (Depth(7.0, 6.8, 7.0, {}, "", SubQuestion("")), "7")])
def test_a_plus_is_a_lean_and_not_what_clipping_leaves(depth: Depth, shown: str) -> None:
    assert depth.shown == shown


def test_no_question_of_the_first_level_leans_up() -> None:
    found = build(talks("Where is the salt?", "Who sells flour?", "How do I install the pump?", "Где соль?")).questions
    assert {one.depth.shown for one in found if one.depth.step == 1} == {"1"}


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
    assert profile.notes[0].startswith("Одно твоё сообщение почти ничего не доказывает")
    assert profile.claims == ()


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
    assert any("Messages in Russian: 7, in English: 7;" in note for note in unread.notes)
    assert any("without a date: 14 of 14" in note for note in unread.notes)


def test_language_can_be_chosen_and_only_russian_or_english() -> None:
    profile = build(GARDEN, language="ru")
    assert profile.language == "ru"
    assert all(re.search("[а-я]", one.text) for one in profile.claims if one.authority == "inferred")
    with pytest.raises(UsageError, match="'fr'"):
        build(GARDEN, language="fr")


def test_messages_that_no_rule_reads_are_counted_and_get_no_position() -> None:
    german = talks(*(f"Wie kann ich die Pumpe und das Rohr {n} mit dem Dach verbinden?" for n in range(45)), "12 34")
    for language, words, refused in (
            ("en", "in another language, which no rule reads: 45 of 46", "No position: fewer than two thirds"),
            ("ru", "на другом языке, которого правила не читают: 45 из 46", "Позиции нет: меньше двух третей")):
        profile = build(german, language=language)
        report = " ".join(render(profile).split())
        assert any(words in note for note in profile.notes)
        assert refused in report and "operator" not in report and "deeper than" not in report
    assert not any("no rule reads" in note for note in build(GARDEN).notes)


def test_words_confirmed_from_a_portrait_are_told_apart() -> None:
    words = ["Why do leaves turn yellow in May?", "Why does my compost smell so bad?", "Why is the pump so loud?"]
    messages = [("confirmed-1", Message(f"c{n}", "user", text, own=True, flags=("confirmed",)))
                for n, text in enumerate(words)]
    profile = build([*GARDEN, *messages])
    found = claim(profile, "asks_why")
    report = " ".join(render(profile).split())

    assert sum(one.evidence.confirmed for one in profile.questions) == 3
    assert found and found.confirmed == sum(one.conversation == "confirmed-1" for one in found.evidence) > 0
    assert any("confirmed by you, from a portrait" in note and "such words: 3" in note for note in profile.notes)
    assert f"quotes confirmed by you and not written here: {found.confirmed} of" in report
    assert "Of these questions (7), confirmed by you and not written here: 3." in report
    assert numbers(profile)["confirmed_from_a_portrait"]["questions"] == 3
    assert numbers(profile)["headline"]["confirmed"] == 3
    assert not any("confirmed by you" in note for note in build(GARDEN).notes)


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


def test_the_report_numbers_claims_in_the_order_of_the_profile() -> None:
    """`twin why 3` must show what the report calls 3."""
    told = [said(f"more{n}", n, text) for n, text in enumerate((
        "I live in Leeds.", "I love old pumps.", "Is the compost of the bed dry?", "Turn the compost of the bed.",
        "The compost of the bed smells.", "I like screws."))]
    for decisions in ((), (Decision("asks_why", "pin"),), (Decision("asks_how_to", "approve"),)):
        profile = build([*GARDEN, *told], decisions=decisions)
        report = render(profile, width=10_000)
        numbered = re.findall(r"^(\d+)\. .* \[([\w.]+)\]$", report, re.M)
        assert {one.kind for one in profile.claims} >= {"thinking", "fact", "preference", "domain"}
        assert numbered == [(str(n), one.id) for n, one in enumerate(profile.claims, 1)]


def test_months_count_own_messages_with_a_date() -> None:
    june = datetime(2025, 6, 3, tzinfo=UTC)
    messages = [("a", Message("1", "user", "The pump is loud.", time=june)),
                ("a", Message("2", "assistant", "Oil it.", time=june)), said("b", 3, "Done.")]
    assert dict(build(messages).months) == {"2025-06": 1}


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


@pytest.mark.slow
def test_ten_thousand_messages_take_seconds() -> None:
    """A person sees themselves while the core is still coming: the bar is 60 s on two cores."""
    messages = many(10_000)
    start = time.process_time()
    profile = build(messages)
    candidates(messages, 40)
    assert time.process_time() - start < 240  # far above: the bench has the figure; this catches what grows squared
    assert len(profile.questions) == 7500 and profile.own_messages == 10_000
