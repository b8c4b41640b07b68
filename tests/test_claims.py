"""The life of claims: found, merged, replaced, contested, and decided on by the person."""
from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.claims import free_claims, free_id, questions, settle
from twin.errors import UsageError
from twin.person import Action, Claim, ClaimKind, Decision, Evidence, FreeClaim
from twin.stated import slot_of, stated
from twin.text import own_sentences
from twin.types import Message

Key = tuple[str, str]
DAY = datetime(2025, 1, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return DAY + timedelta(days=number)


def said(*texts: str, dated: bool = True) -> list[Claim]:
    """Claims by rule of messages in conversations of their own, a day apart."""
    return stated([(f"talk{n}", Message("m", "user", text, time=day(n) if dated else None))
                   for n, text in enumerate(texts)], "en")


def own(*texts: str) -> dict[Key, Message]:
    return {(f"talk{n}", "m"): Message("m", "user", text, time=day(n)) for n, text in enumerate(texts)}


def free(messages: Mapping[Key, Message], text: str, *talks: int, kind: ClaimKind = "thinking", sentence: int = 0,
         probability: float = 0.9, language: str = "en") -> FreeClaim:
    """A core's statement that points at a sentence of each of these talks."""
    spans = tuple((f"talk{n}", "m", *own_sentences(messages[f"talk{n}", "m"].text)[sentence]) for n in talks)
    return FreeClaim(kind, text, language, spans, probability)


def only(claims: Sequence[Claim]) -> Claim:
    assert len(claims) == 1, [claim.text for claim in claims]
    return claims[0]


def named(claims: Sequence[Claim], words: str) -> Claim:
    return only([claim for claim in claims if words in claim.text])


def decide(action: Action, claim: Claim | str, at: int | None = 100, text: str = "") -> Decision:
    name = claim if isinstance(claim, str) else claim.id
    return Decision(name, action, text, None if at is None else day(at))


WORLD = own("A dam is a lung of the valley. It breathes once a year.", "The choir is a lung too. It rests in May.",
            "Weeds speak of the soil.", "I weld at night.")


# ---- a core's statements -------------------------------------------------------------------------------------------

def test_a_thought_needs_two_conversations_and_a_fact_one_sentence() -> None:
    one = free(WORLD, "You see bodies in things.", 0)
    both = free(WORLD, "You see bodies in things.", 0, 1)
    fact = free(WORLD, "You weld at night.", 3, kind="fact")
    assert free_claims([one], WORLD, "en") == []
    thought = only(free_claims([both], WORLD, "en"))
    assert (thought.authority, thought.origin, thought.kind, thought.talks) == ("inferred", "core", "thinking", 2)
    assert thought.id == free_id("thinking", "in things bodies you see")
    assert [one.quote for one in thought.evidence] == ["A dam is a lung of the valley.", "The choir is a lung too."]
    assert only(free_claims([fact], WORLD, "en")).authority == "said"


def test_two_sentences_of_one_conversation_are_not_two_conversations() -> None:
    spans = tuple(("talk0", "m", *span) for span in own_sentences(WORLD["talk0", "m"].text))
    assert free_claims([FreeClaim("thinking", "You see bodies.", "en", spans, 0.9)], WORLD, "en") == []


@pytest.mark.parametrize("span", [("talk0", "m", 0, 5), ("talk0", "m", 1, 30), ("talk9", "m", 0, 30),
                                  ("talk0", "x", 0, 30), ("talk0", "m", 0, 3000)])
def test_a_span_that_is_no_sentence_any_more_is_left_out(span: tuple[str, str, int, int]) -> None:
    good = free(WORLD, "You weld at night.", 3, kind="fact")
    both = FreeClaim("fact", good.text, "en", (span, *good.spans), 0.9)
    assert [one.quote for one in only(free_claims([both], WORLD, "en")).evidence] == ["I weld at night."]
    assert free_claims([FreeClaim("fact", good.text, "en", (span,), 0.9)], WORLD, "en") == []


def test_pasted_words_and_other_hands_carry_nothing() -> None:
    quoted = {("talk0", "m"): Message("m", "user", "> I weld at night.\nTrue?")}
    assert free_claims([FreeClaim("fact", "You weld.", "en", (("talk0", "m", 2, 18),), 0.9)], quoted, "en") == []
    theirs = {("talk0", "m"): Message("m", "assistant", "I weld at night.")}
    assert free_claims([FreeClaim("fact", "You weld.", "en", (("talk0", "m", 0, 16),), 0.9)], theirs, "en") == []


def test_statements_that_are_nearly_the_same_become_one_with_all_their_quotes() -> None:
    found = free_claims([free(WORLD, "You liken things to living bodies.", 0, probability=0.7),
                         free(WORLD, "You liken many things to living bodies.", 1, 2)], WORLD, "en")
    claim = only(found)
    assert claim.text == "You liken many things to living bodies." and claim.talks == 3
    different = free_claims([free(WORLD, "You weld at night.", 3, kind="fact"),
                             free(WORLD, "You do not weld at night.", 3, kind="fact"),
                             free(WORLD, "You own 3 welding sets at night.", 3, kind="fact"),
                             free(WORLD, "Shift work.", 3, kind="fact")], WORLD, "en")
    assert len(different) == 4, "a denial, a number or another thing said in one sentence is no duplicate"


def test_the_language_asked_for_gives_the_words() -> None:
    found = free_claims([free(WORLD, "You see bodies.", 0, 1), free(WORLD, "Ты видишь тела.", 0, 1, probability=0.6,
                                                                    language="ru")], WORLD, "ru")
    assert only(found).text == "Ты видишь тела."


def test_what_the_core_itself_doubts_is_no_claim_and_a_wrong_probability_an_error() -> None:
    assert free_claims([free(WORLD, "You see bodies.", 0, 1, probability=0.4)], WORLD, "en") == []
    with pytest.raises(UsageError, match="probability"):
        free_claims([free(WORLD, "You see bodies.", 0, 1, probability=1.4)], WORLD, "en")
    sure, unsure = (only(free_claims([free(WORLD, "You see bodies.", 0, 1, probability=p)], WORLD, "en"))
                    for p in (0.95, 0.6))
    assert sure.confidence > unsure.confidence


# ---- merging -------------------------------------------------------------------------------------------------------

def test_a_core_and_a_rule_that_say_the_same_are_one_claim() -> None:
    messages = own("I love fog.", "I live in Ghent.", "Люблю туман.")
    rules = stated([(key[0], message) for key, message in messages.items()], "en")
    core = free_claims([free(messages, "You like fog.", 0, kind="preference"),
                        free(messages, "You live in Ghent.", 1, kind="fact")], messages, "en")
    settled = settle([*core, *rules], ())
    assert named(settled, "fog").origin == named(settled, "Ghent").origin == "rule+core"
    assert named(settled, "fog").id.startswith("preference.") and named(settled, "fog").messages == 1


def test_a_claim_given_twice_counts_once() -> None:
    claims = said("I love fog.", "I love fog.")
    assert settle([*claims, *claims], ()) == settle(claims, ())
    assert only(settle([*claims, *claims], ())).messages == 2


def test_a_facet_of_the_catalogue_is_merged_with_nothing_else() -> None:
    evidence = said("I love fog.")[0].evidence
    facet = Claim("asks_why", "You ask for reasons.", "inferred", 0.5, evidence, kind="thinking")
    core = Claim(free_id("thinking", "You ask for reasons."), "You ask for reasons.", "inferred", 0.4, evidence, "core")
    assert {claim.id for claim in settle([facet, core], ())} == {facet.id, core.id}


# ---- what replaces what --------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("old", "new"), [
    ("I live in Ghent.", "I live in Porto."), ("I work as a glazier.", "I work as a baker."), ("I'm 41.", "I'm 43."),
    ("I work at the harbour.", "I work at a school."), ("I live in Ghent.", "I no longer live in Ghent."),
    ("I don't eat meat.", "I eat meat."), ("Я живу в Туле.", "Я живу в Риге."),
    ("Я работаю сварщиком.", "Я работаю пекарем."), ("Мне 41 год.", "Мне 43 года."),
])
def test_a_later_value_of_a_fact_replaces_the_earlier_which_speaks_against_it(old: str, new: str) -> None:
    claim = only(settle(said(old, new), ()))
    assert claim.evidence[0].quote == new and [one.quote for one in claim.counter] == [old]
    assert claim.conflicts == ()


@pytest.mark.parametrize(("one", "other"), [
    ("I live in Ghent.", "I live in Ghent Belgium."), ("I have a dog.", "I have two cats."),
    ("I speak Polish.", "I speak Welsh."), ("I live in Ghent.", "I don't live in Porto."),
    ("I love fog.", "I love frost."),
    ("I prefer tea to coffee.", "I prefer trains to planes."), ("У меня есть собака.", "У меня двое детей."),
])
def test_what_can_hold_together_stays_together(one: str, other: str) -> None:
    settled = settle(said(one, other), ())
    assert len(settled) == 2 and not any(claim.conflicts or claim.counter for claim in settled)


@pytest.mark.parametrize(("one", "other", "dated"), [
    ("I love fog.", "I can't stand fog.", True), ("I always eat breakfast.", "I never eat breakfast.", True),
    ("I prefer tea to coffee.", "I prefer coffee to tea.", True), ("I live in Ghent.", "I live in Porto.", False),
    ("I'm 41.", "I'm 43.", False), ("Люблю туман.", "Не люблю туман.", True),
    ("Всегда завтракаю дома.", "Никогда не завтракаю дома.", True), ("Я живу в Туле.", "Я живу в Риге.", False),
])
def test_contrary_claims_are_both_kept_name_each_other_and_are_asked_about(one: str, other: str, dated: bool) -> None:
    a, b = settle(said(one, other, dated=dated), ())
    assert a.conflicts == (b.id,) and b.conflicts == (a.id,)
    for language, word in (("en", "which of the two"), ("ru", "что из двух верно")):
        asked = questions([a, b], language)
        assert len(asked) == 1 and asked[0].endswith("?") and word in asked[0] and a.id in asked[0] and b.id in asked[0]
    assert questions(settle(said("I love fog."), ()), "en") == []


# ---- what the person decides ---------------------------------------------------------------------------------------

def test_approval_makes_a_claim_the_persons_own() -> None:
    found = said("I love fog.", "I love frost.", "I love frost.")
    settled = settle(found, [decide("approve", named(found, "fog"))])
    claim = settled[0]
    assert "fog" in claim.text and (claim.authority, claim.confidence, claim.decided) == ("approved", 1.0, "approve")
    assert named(settled, "frost").authority == "said"


def test_approval_resolves_a_conflict_and_the_other_stays_as_counter() -> None:
    found = said("I love fog.", "I can't stand fog.")
    claim = only(settle(found, [decide("approve", named(found, "love"))]))
    assert claim.conflicts == () and [one.quote for one in claim.counter] == ["I can't stand fog."]


def test_two_approved_claims_stay_both_without_a_mark() -> None:
    found = said("I love fog.", "I can't stand fog.")
    settled = settle(found, [decide("approve", claim) for claim in found])
    assert len(settled) == 2 and all(claim.conflicts == () and claim.counter for claim in settled)


def test_an_approved_fact_is_not_replaced_silently_by_what_is_said_later() -> None:
    found = said("I live in Ghent.", "I live in Porto.")
    settled = settle(found, [decide("approve", named(found, "Ghent"), at=0)])
    assert len(settled) == 2 and all(claim.conflicts for claim in settled)
    again = settle(found, [decide("approve", named(found, "Ghent"), at=50)])
    assert "Ghent" in only(again).text and only(again).counter[0].quote == "I live in Porto."


def test_a_rejected_claim_is_gone_and_lets_the_earlier_one_stand() -> None:
    found = said("I live in Ghent.", "I live in Porto.")
    claim = only(settle(found, [decide("reject", named(found, "Porto"))]))
    assert "Ghent" in claim.text and claim.counter == ()


def test_a_rejected_claim_never_returns_in_other_words() -> None:
    first = own("I sort my screws by size and thread.", "I sort nails the same way.")
    rejected = only(free_claims([free(first, "You like to sort small things by size.", 0, 1)], first, "en"))
    later = own("I sort my screws by size and thread.", "I sort nails the same way.", "Jars go by height.")
    reworded = free_claims([free(later, "You like to sort all small things by size.", 0, 2)], later, "en")
    assert only(reworded).id != rejected.id
    no = [decide("reject", rejected, text=rejected.text)]
    assert settle([rejected], no) == settle(reworded, no) == settle([rejected, *reworded], no) == ()
    assert settle([rejected, *reworded], [decide("reject", rejected)]) == ()


def test_a_statement_rejected_as_a_rules_claim_does_not_return_as_a_cores() -> None:
    messages = own("I live in Ghent.")
    rule = only(stated([("talk0", messages["talk0", "m"])], "en"))
    core = free_claims([free(messages, "You live in Ghent.", 0, kind="fact")], messages, "en")
    assert settle(core, [decide("reject", rule)]) == ()


def test_a_rejected_statement_does_not_return_in_a_cores_words_that_no_rule_reads() -> None:
    """The quote names the slot, the words the value; another value of the same sentence is another fact."""
    messages = own("I live in Ghent.", "I live in Ghent now, near the old dock.")
    rule = only(stated([(key[0], message) for key, message in messages.items()], "en"))
    for talk in (0, 1):
        core = free_claims([free(messages, "Your home is Ghent.", talk, kind="fact")], messages, "en")
        assert only(core).id != only(settle([rule, *core], ())).id == rule.id
        assert settle([rule, *core], [decide("reject", rule, text=rule.text)]) == ()
    other = free_claims([free(messages, "Your dock is old.", 1, kind="fact")], messages, "en")
    assert only(settle([rule, *other], [decide("reject", rule, text=rule.text)])).text == "Your dock is old."


# ---- what is forgotten ---------------------------------------------------------------------------------------------

def test_a_forgotten_claim_leaves_no_mark_on_others() -> None:
    for texts, decided in ((("I love fog.", "I can't stand fog."), ""), (("I live in Ghent.", "I live in Porto."), ""),
                           (("I live in Ghent.", "I live in Porto."), "Ghent")):
        found = said(*texts)
        stays, goes = named(found, texts[0]), named(found, texts[1])
        done = [decide("approve", stays)] if decided else []
        asked = list[set[str]]()

        def forgotten(ids: Iterable[str], name: str = goes.id, asked: list[set[str]] = asked) -> set[str]:
            asked.append({*ids})
            return {name} & asked[0]

        assert settle(found, done, forgotten) == settle([stays], done)
        assert {stays.id, goes.id} <= asked[0]


def test_what_says_the_same_as_a_forgotten_claim_is_forgotten_with_it() -> None:
    messages = own("I live in Ghent.")
    rule = only(stated([("talk0", messages["talk0", "m"])], "en"))
    core = free_claims([free(messages, "Your home is Ghent.", 0, kind="fact")], messages, "en")
    assert settle([rule, *core], (), lambda ids: {rule.id} & {*ids}) == ()


# ---- more of what the person decides -------------------------------------------------------------------------------

def test_a_claim_edited_and_pinned_says_both() -> None:
    found = said("I love fog.", "I love frost.", "I love frost.")
    one = named(found, "fog")
    for done in ([decide("pin", one, 1), decide("edit", one, 2, "You love fog at sea.")],
                 [decide("edit", one, 1, "You love fog at sea."), decide("pin", one, 2)]):
        first = settle(found, done)[0]
        assert (first.text, first.authority, first.decided) == ("You love fog at sea.", "approved", "edit+pin")
        assert settle(settle(found, done), done) == settle(found, done)


def test_a_pinned_claim_comes_first_whatever_its_evidence_and_is_not_replaced() -> None:
    found = said("I live in Ghent.", "I live in Porto.", "I love frost.", "I love frost.")
    settled = settle(found, [decide("pin", named(found, "Ghent"))])
    assert "Ghent" in settled[0].text and settled[0].decided == "pin" and settled[0].authority == "said"
    assert settled[0].confidence < settled[1].confidence and "frost" in settled[1].text
    assert named(settled, "Porto").conflicts == (settled[0].id,)
    both = settle(found, [decide("pin", named(found, "Ghent")), decide("approve", named(found, "Ghent"), at=101)])
    assert (both[0].decided, both[0].authority) == ("pin", "approved")


def test_an_edit_puts_the_persons_words_in_place_and_keeps_the_evidence() -> None:
    found = said("I love fog.", "I can't stand fog.")
    claim = only(settle(found, [decide("edit", named(found, "love"), text="You love fog at sea.")]))
    assert (claim.text, claim.authority, claim.decided) == ("You love fog at sea.", "approved", "edit")
    assert claim.evidence[0].quote == "I love fog." and claim.counter
    with pytest.raises(UsageError, match="words"):
        settle(found, [decide("edit", found[0], text=" ")])
    with pytest.raises(UsageError, match="cannot be 'praise'"):
        settle(found, [decide("praise", found[0])])  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ["approve", "reject", "pin", "edit"])
def test_undo_takes_back_the_last_decision_on_that_claim_only(action: Action) -> None:
    found = said("I love fog.", "I love frost.")
    one, other = found
    done = [decide("pin", other, 1), decide(action, one, 2, "You love fog at sea."), decide("undo", one, 3)]
    assert settle(found, done) == settle(found, done[:1])
    back = settle(found, [decide("approve", one, 1), decide("reject", one, 2), decide("undo", one, 3)])
    assert back[0].decided == "approve"
    assert settle(found, [decide("undo", one)]) == settle(found, ())


def test_decisions_run_in_the_order_of_time_and_those_of_unknown_claims_change_nothing() -> None:
    found = said("I love fog.")
    approve, reject = decide("approve", found[0], at=2), decide("reject", found[0], at=1)
    assert only(settle(found, [approve, reject])).decided == "approve"
    assert settle(found, [decide("approve", found[0], at=1), decide("reject", found[0], at=2)]) == ()
    assert settle(found, [decide("approve", found[0], None), decide("reject", found[0], None)]) == ()
    assert settle(found, [decide("reject", "fact.00000000"), decide("undo", "free.1")]) == settle(found, ())


# ---- laws ----------------------------------------------------------------------------------------------------------

POOL = own("I love fog.", "I can't stand fog.", "I live in Ghent.", "I live in Porto.", "I'm 41 and I have two kids.",
           "I don't live in Ghent.", "I prefer tea to coffee.", "I prefer coffee to tea.", "Люблю туман.",
           "Не люблю туман.", "I live in Ghent.", "I never eat breakfast at home.",
           "I never eat breakfast at home alone.")
_RULES = stated([(key[0], message) for key, message in POOL.items()], "en")
_UNDATED = stated([(f"undated{n}", Message("m", "user", one.text)) for n, one in enumerate(POOL.values())
                   if n < 6], "en")
_CORE = free_claims([free(POOL, "You live in Porto.", 3, kind="fact"),
                     free(POOL, "You like fog.", 0, kind="preference"),
                     free(POOL, "You weigh drinks against each other.", 6, 7),
                     free(POOL, "You weigh hot drinks against each other.", 6, 8),
                     free(POOL, "You do not weigh drinks against each other.", 7, 9)], POOL, "en")
EVERYTHING = [*_RULES, *_UNDATED, *_CORE]
_IDS = [*sorted({claim.id for claim in EVERYTHING}), "fact.00000000"]
CLAIMS = st.lists(st.sampled_from(EVERYTHING), max_size=12)
# One id for each statement: no core's id beside a rule's, nor that of a longer wording.
_NAMES = [name for name in _IDS if name not in {claim.id for claim in EVERYTHING if "alone" in claim.text
                                                or (claim.id.startswith("free.") and slot_of(claim))}]


def decided_on(names: Sequence[str]) -> st.SearchStrategy[list[Decision]]:
    return st.lists(st.builds(
        Decision, st.sampled_from(names), st.sampled_from(["approve", "reject", "pin", "edit", "undo"]),
        st.sampled_from(["You love fog at sea.", "You live in Porto."]), st.none() | st.integers(0, 30).map(day)),
        max_size=6)


DECISIONS = decided_on(_IDS)


def test_the_pool_of_the_laws_holds_every_kind_of_pair() -> None:
    slots = {slot_of(claim) for claim in EVERYTHING}
    assert len(_CORE) >= 4 and {"place", "likes", "prefers", "age", "always"} <= slots


@settings(max_examples=300)
@given(CLAIMS, DECISIONS, st.randoms(use_true_random=False))
def test_settling_does_not_depend_on_the_order_of_the_claims(claims: list[Claim], decisions: list[Decision],
                                                             random: Random) -> None:
    shuffled = random.sample(claims, len(claims))
    assert settle(shuffled, decisions) == settle(claims, decisions)


@settings(max_examples=300)
@given(CLAIMS, decided_on(_NAMES))
def test_settling_twice_is_settling_once(claims: list[Claim], decisions: list[Decision]) -> None:
    once = settle(claims, decisions)
    assert settle(once, decisions) == once


@settings(max_examples=200)
@given(CLAIMS, DECISIONS, st.sampled_from(_IDS))
def test_a_rejected_id_never_returns_whatever_else_was_decided_before(claims: list[Claim], decisions: list[Decision],
                                                                      name: str) -> None:
    settled = settle(claims, [*decisions, decide("reject", name, at=1000)])
    assert name not in {claim.id for claim in settled}


@settings(max_examples=200)
@given(CLAIMS, DECISIONS)
def test_marks_are_mutual_ids_are_unique_and_the_pinned_stand_first(claims: list[Claim],
                                                                    decisions: list[Decision]) -> None:
    settled = settle(claims, decisions)
    known = {claim.id: claim for claim in settled}
    assert len(known) == len(settled)
    for claim in settled:
        assert claim.evidence and all(claim.id in known[other].conflicts for other in claim.conflicts)
    pinned = [claim.decided == "pin" for claim in settled]
    assert pinned == sorted(pinned, reverse=True)
    assert len(questions(settled, "en")) == sum(len(claim.conflicts) for claim in settled) / 2


def test_two_thousand_claims_settle_within_seconds() -> None:
    def core(number: int, tool: str, other: str) -> Claim:
        quote = (Evidence("I love fog.", f"talk{number}", "m", 0, 11),)
        return Claim(f"free.{number:08x}", f"You keep {tool} beside {other}.", "inferred", 0.4, quote, "core")

    tools = [f"tool{n}" for n in range(32)]
    thoughts = [core(number, *pair) for number, pair in enumerate(itertools.product(tools, repeat=2))]
    likes = said(*(f"I {verb} tool{n}." for verb in ("love", "hate") for n in range(500)))
    start = datetime.now(UTC)
    settled = settle([*thoughts, *likes], ())
    assert len(likes) == 1000 and sum(bool(claim.conflicts) for claim in settled) == 1000
    assert datetime.now(UTC) - start < timedelta(seconds=20)
