"""Only the person's own words are learned, nothing held out is known already, and what a person did not approve stays
out. All texts here are made up."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin import prompt, roles
from twin.claims import settle
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.person import Claim, Decision, Evidence, Profile
from twin.roles import Role
from twin.training import examples
from twin.training.examples import Sample, Split, from_claims, from_messages, need, split, together
from twin.training.samples import runs
from twin.types import Message, Piece, Prompt, Sampling

START = datetime(2024, 1, 1, tzinfo=UTC)
CUT = "not dropped, but cut inside a conversation"
TWICE, KNOWN = "said twice", "held out, but it repeats what is learned"


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def said(text: str, number: int = 1, **rest: object) -> Message:
    return Message(f"m{number}", "user", text, time=day(number), **rest)  # type: ignore[arg-type]


def sample(number: int, conversation: str = "", answer: str = "", time: bool = True) -> Sample:
    return Sample("", answer or f"answer {number}", "", day(number) if time else None, conversation)


def answers(some: Sequence[Sample]) -> list[str]:
    return [one.answer for one in some]


# ---- the cut -----------------------------------------------------------------------------------------------------

def test_the_first_in_time_are_learned_and_those_without_time_come_before_as_given() -> None:
    made = split([sample(5), sample(2), sample(1, time=False), sample(9), sample(0, time=False), sample(7), sample(8),
                  sample(3), sample(6), sample(4)])

    assert answers(made.learn) == [f"answer {n}" for n in (1, 0, 2, 3, 4, 5, 6)]
    assert answers(made.held) == [f"answer {n}" for n in (7, 8, 9)]
    assert made.dropped == {}


@given(st.lists(st.integers(1, 12), min_size=2, max_size=9), st.floats(0.1, 0.9))
def test_the_cut_goes_to_the_conversation_boundary_nearest_to_the_share(sizes: list[int], share: float) -> None:
    talks = [[sample(100 * talk + n, f"c{talk}") for n in range(size)] for talk, size in enumerate(sizes)]
    made = split([one for talk in talks for one in talk], share)
    ends = [sum(sizes[:n]) for n in range(1, len(sizes))]
    sides = {one.conversation for one in made.learn}, {one.conversation for one in made.held}

    assert (len(sides[0] & sides[1]) == 1) == (CUT in made.dropped)
    if CUT not in made.dropped:
        assert abs(len(made.learn) - share * sum(sizes)) == min(abs(end - share * sum(sizes)) for end in ends)
    assert len(made.learn) + len(made.held) == sum(sizes)
    assert made.learn
    assert made.held


def test_a_conversation_is_cut_in_time_whatever_its_order() -> None:
    made = split([sample(n, "c") for n in (3, 0, 2, 1)], 0.5)

    assert answers(made.learn) == ["answer 0", "answer 1"]
    assert answers(made.held) == ["answer 2", "answer 3"]


def test_a_single_conversation_is_cut_inside_and_that_is_said() -> None:
    made = split([sample(n, "c") for n in range(10)])

    assert (len(made.learn), len(made.held), made.dropped) == (7, 3, {CUT: 1})


def test_a_conversation_that_is_nearly_everything_is_cut_rather_than_leave_nothing_to_measure_by() -> None:
    made = split([sample(n, "long") for n in range(96)] + [sample(200 + n, "short") for n in range(4)])

    assert (len(made.learn), len(made.held), made.dropped) == (70, 30, {CUT: 1})


def test_a_held_out_answer_that_was_learned_in_another_spelling_goes_out() -> None:
    made = split([*(sample(n) for n in range(6)), sample(6, answer="Сею  В мае"), sample(7, answer="сею в\nмае"),
                  sample(8), sample(9)])

    assert answers(made.held) == ["answer 8", "answer 9"]
    assert made.dropped == {KNOWN: 1}


@pytest.mark.parametrize(("length", "left"), [(8, 2), (7, 3)])
def test_a_held_out_answer_that_shares_eight_words_with_a_learned_one_goes_out(length: int, left: int) -> None:
    run = ["я", "всегда", "сею", "горох", "рано", "утром", "до", "завтрака"][:length]
    made = split([*(sample(n) for n in range(6)), sample(6, answer=f"Знаешь, {' '.join(run)}!"),
                  sample(7, answer=f"{' '.join(run).upper()}, а бобы потом"), sample(8), sample(9)])

    assert len(made.held) == left
    assert made.dropped == ({KNOWN: 1} if left == 2 else {})


def test_the_same_after_the_same_is_learned_once_and_after_something_else_again() -> None:
    one = Sample("Peas?", "In May.", time=day(0))
    made = split([one, replace(one, time=day(1)), replace(one, context="Beans?", time=day(2)),
                  *(sample(n) for n in range(3, 9))])

    assert [one.time for one in made.learn[:2]] == [day(0), day(2)]
    assert made.dropped == {TWICE: 1}


WORDS = st.lists(st.sampled_from(["сею", "горох", "never", "in", "May", "the", "peas"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(WORDS, st.integers(0, 3)), max_size=25))
def test_nothing_held_out_is_known(texts: list[tuple[list[str], int]]) -> None:
    made = split([sample(n, f"c{talk}" if talk else "", " ".join(words)) for n, (words, talk) in enumerate(texts)])
    known = {run for one in made.learn for run in runs(one.answer)}

    assert all(known.isdisjoint(runs(one.answer)) for one in made.held)
    assert set(answers(made.learn)).isdisjoint(answers(made.held))
    assert len(made.learn) + len(made.held) + sum(made.dropped.values()) - made.dropped.get(CUT, 0) == len(texts)


def test_sources_put_together_are_apart_across_the_cut_as_well() -> None:
    made = together(split([sample(n) for n in range(10)]), Split((sample(8), sample(20)), (sample(0), sample(21)), {}))

    assert answers(made.learn) == [f"answer {n}" for n in (*range(7), 8, 20)]
    assert answers(made.held) == ["answer 7", "answer 9", "answer 21"]
    assert made.dropped == {KNOWN: 2}


@pytest.mark.parametrize("share", [0, 1, -0.2, 70])
def test_a_share_that_leaves_one_side_empty_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        split([sample(1)], share)


def test_too_little_is_refused_with_what_is_needed_and_what_there_is() -> None:
    made = split([sample(n, answer="two words") for n in range(3)])

    with pytest.raises(UsageError, match=r"3,000 in 60 messages .* and 20 messages .* there are 2 in 1, and 0\. "):
        need(made)
    need(made, words=2, learn=1, held=0)


# ---- own messages ------------------------------------------------------------------------------------------------

def learned(*messages: Message) -> Split:
    return from_messages([("c", message) for message in messages], {}, share=0.99)


@pytest.mark.parametrize(("text", "kept"), [
    ("Я сею рано.\n> когда лучше сеять?\nДа, в мае.", "Я сею рано.\nДа, в мае."),
    ("Look at this:\n```\nfor pea in bed: sow(pea)\n```\nWhat is wrong?", "Look at this:\nWhat is wrong?"),
    ("Thanks, I'll try.\n\nOn 3 May 2024 at 10:02, Anna wrote:\n> Sow them in May.", "Thanks, I'll try."),
    ("  Звони: +7 900 000-00-00, пиши: sow@example.org  ", "Звони: +7 900 000-00-00, пиши: sow@example.org"),
])
def test_own_words_are_learned_as_they_stand_and_those_of_others_are_not(text: str, kept: str) -> None:
    assert answers(learned(said(text), said("другое сообщение", 2)).learn) == [kept]


@pytest.mark.parametrize(("text", "reason"), [
    ("https://example.org/peas?sow=1", "only a link, a number or a command"),
    ("+7 900 000-00-00", "only a link, a number or a command"),
    ("sow@example.org www.example.org", "only a link, a number or a command"),
    (":-) 🌱", "only a link, a number or a command"),
    ("/start now", "only a link, a number or a command"),
    ("git push --force", "only a link, a number or a command"),
    ("$ ls -la", "only a link, a number or a command"),
    ("Спасибо!", "fewer than two words"),
    ("see https://example.org", "fewer than two words"),
    ("> Sow them in May, all of them.", "only quoted, pasted or code"),
])
def test_what_shows_no_words_of_the_person_is_left_out_and_counted(text: str, reason: str) -> None:
    made = learned(said(text))

    assert (made.learn, made.held, made.dropped) == ((), (), {reason: 1})


@pytest.mark.parametrize("text", ["/ is a slash, I think", "I like git a lot", "Да, 5", "Brew some tea for me!"])
def test_words_that_look_like_commands_are_learned(text: str) -> None:
    assert answers(learned(said(text)).learn) == [text]


@pytest.mark.parametrize("message", [
    Message("m", "assistant", "Sow them in May."), Message("m", "other", "Сей в мае.", author="Анна"),
    said("Sow them in May.", flags=("forwarded",)), said("I am the gardener king.", flags=("fiction",)),
    said("Sow them in May.", own=False)])
def test_the_words_of_others_are_never_learned(message: Message) -> None:
    assert learned(message).dropped == {"not the person's own": 1}


def test_what_was_said_before_comes_from_the_same_conversation_by_whoever_and_is_cut_from_its_beginning() -> None:
    told = [("a", Message("1", "other", "раз " * 200 + "Анна спрашивает: когда?", author="Анна")),
            ("a", Message("2", "user", "Я сею в мае.")), ("a", Message("3", "user", "Или в июне.")),
            ("b", Message("1", "user", "Another day, another bed."))]
    made = from_messages(told, examples.before(told), header="Be brief.", share=0.9)
    first, second, third = sorted((*made.learn, *made.held), key=lambda one: one.key or ("", ""))

    assert first.context.endswith("раз Анна спрашивает: когда?")
    assert 590 < len(first.context) <= 600
    assert first.context.startswith("раз ")
    assert second.context == "Я сею в мае."
    assert (third.context, third.key, third.conversation) == ("", ("b", "1"), "b")
    assert {one.header for one in (first, second, third)} == {"Be brief."}
    assert not any("Анна" in one.answer for one in (first, second, third))


def test_no_words_are_shown_in_a_repr() -> None:
    made = learned(said("Я сею горох"), said("I sow peas", 2))

    assert repr(made) == f"Split(dropped={{'{CUT}': 1}})"
    assert repr(made.learn[0]) == "Sample(('c', 'm1'), 0 + 11 characters)"


# ---- approved claims ---------------------------------------------------------------------------------------------

def claim(facet: str, text: str, quotes: Sequence[str], kind: str = "thinking") -> Claim:
    marks = tuple(Evidence(quote, "c", f"{facet}{n}", 0, len(quote), day(n)) for n, quote in enumerate(quotes))
    return Claim(facet, text, "inferred", 0.6, marks, kind=kind)  # type: ignore[arg-type]


FOUND = (claim("steps", "You lay work out as steps in order.", ["First the bed, then the seed.", "Step by step."]),
         claim("doubt", "Ты ставишь под вопрос собственные предположения.", ["А вдруг я неправ?"]),
         claim("praise", "You praise yourself.", ["I am the best gardener."]),
         claim("fact.pea", "You grow peas.", ["I grow peas."], "fact"))


def profile(*decisions: tuple[str, str]) -> Profile:
    decided = [Decision(name, action, "You step." if action == "edit" else "", day(9))  # type: ignore[arg-type]
               for name, action in decisions]
    return Profile(settle(FOUND, decided), (), 9, 9, 9)


def role(name: str = "critic") -> Role:
    return roles.seed().role(name)


def all_of(made: Split) -> list[Sample]:
    return [*made.learn, *made.held]


def test_an_answer_is_the_approved_claim_and_one_verbatim_quote_under_the_header_of_the_role() -> None:
    made = all_of(from_claims(profile(("steps", "approve"), ("doubt", "pin")), role(), "ru"))
    quotes = {one.key: one.answer for one in made}

    assert {one.header for one in made} == {roles.header(role(), "ru")}
    assert quotes["c", "steps0"] == ("You lay work out as steps in order. Твоими словами: «First the bed, then the "
                                     "seed.»")
    assert quotes["c", "doubt0"] == f"{FOUND[1].text} Твоими словами: «А вдруг я неправ?»"
    assert {text for some in examples._ASKS["ru"].values() for text in some} >= {one.context for one in made}


@pytest.mark.parametrize("language", ["ru", "en"])
def test_rejected_and_undecided_claims_never_come_in(language: str) -> None:
    made = all_of(from_claims(profile(("steps", "approve"), ("praise", "reject")), None, language))

    assert made
    assert {one.conversation for one in made} == {"claim steps"}
    assert {one.header for one in made} == {""}


def test_an_edited_claim_comes_in_its_new_words() -> None:
    made = all_of(from_claims(profile(("steps", "edit")), None, "en"))

    assert {one.answer.split(" In your words: ")[0] for one in made} == {"You step."}


def test_the_pairs_are_the_same_each_time_and_those_of_a_claim_stay_together() -> None:
    kept = [claim(f"f{n}", f"You do thing {n}.", [f"I did it {n}."]) for n in range(12)]
    known = Profile(settle(kept, [Decision(one.id, "approve", "", day(1)) for one in kept]), (), 9, 9, 9)
    made = from_claims(known, None, "en")

    turned = from_claims(replace(known, claims=known.claims[::-1]), None, "en")

    assert set(all_of(made)) == set(all_of(turned))
    assert {one.conversation for one in made.learn}.isdisjoint(one.conversation for one in made.held)
    assert len({one.context for one in all_of(made)}) > 2


@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_kind_of_claim_has_questions_of_its_own_that_differ(language: str) -> None:
    forms = examples._ASKS[language]

    assert set(forms) == {"thinking", "style", "values", "domain", "language", "fact", "preference"}
    assert all(len(set(some)) == len(some) >= examples.PAIRS for some in forms.values())


def test_a_profile_that_nobody_approved_is_refused_with_the_way_to_approve() -> None:
    with pytest.raises(UsageError, match="twin decide approve"):
        from_claims(profile(("steps", "reject")), None, "en")


# ---- answers of the core -----------------------------------------------------------------------------------------

def own() -> Iterator[tuple[str, Message]]:
    yield "a", said("Когда сеять горох?", 1)
    yield "a", said("Я сею рано.", 2)
    yield "b", said("When do I sow peas?", 3)
    yield "b", Message("m9", "assistant", "Shall I sow them?", time=day(9))
    yield "b", said("когда  сеять ГОРОХ?", 4)
    yield "b", said("What is wrong with this plan?", 5)


def test_questions_are_the_examples_of_the_role_and_what_the_person_asked_in_that_language() -> None:
    russian, english = (examples.questions(role(), own(), language) for language in ("ru", "en"))

    assert len(russian) == 21
    assert len(english) == 21  # the person's second one is an example already
    assert (russian[-1].context, russian[-1].key, russian[-1].time) == ("Когда сеять горох?", ("a", "m1"), day(1))
    assert english[-1].context == "When do I sow peas?"
    assert {one.answer for one in russian + english} == {""}


def test_own_questions_beyond_the_limit_are_taken_over_all_the_time() -> None:
    asked = [("c", said(f"When do I sow bed {n}?", n)) for n in range(100)]
    found = [one.time for one in examples.questions(role(), asked, "en", limit=4) if one.time]

    assert found == [day(n) for n in (0, 25, 50, 75)]
    assert not any(one.time for one in examples.questions(role(), asked, "en", limit=0))


ASKED = [Sample(f"Question {n}?", "", "", day(n), f"c{n}", (f"c{n}", "m")) for n in range(10)]


def test_a_compiled_answer_is_given_under_the_full_header_and_learned_without_it() -> None:
    engine = ScriptedEngine([f"Answer number {n}." for n in range(10)])
    calls: list[tuple[int, int | None]] = []
    made = examples.compiled(engine, role(), ASKED, "en", progress=lambda _, done, total: calls.append((done, total)))
    header = roles.header(role(), "en")

    assert all(any(s.text == header for s in asked.tail) for asked in engine.prompts)
    assert [one.context for one in all_of(made)] == [one.context for one in ASKED]
    assert answers(all_of(made)) == [f"Answer number {n}." for n in range(10)]
    assert {one.header for one in all_of(made)} == {""}
    assert (len(made.learn), made.held[0].key, made.held[0].time) == (7, ("c7", "m"), day(7))
    assert calls == [(8, 10), (10, 10)]
    assert header not in prompt.example("chatml", context="x", answer="y", header=made.learn[0].header).text


def test_answers_that_are_empty_cut_or_repeat_the_header_are_dropped_and_counted() -> None:
    told = roles.header(role(), "en").split()
    engine = ScriptedEngine(["", "word " * 30, f"Well: {' '.join(told[:8])}", "Yes, it is.", " ".join(told[:7])])
    made = examples.compiled(engine, role(), ASKED[:5], "en", sampling=Sampling(max_tokens=29), share=0.5)

    assert answers(all_of(made)) == ["Yes, it is.", " ".join(told[:7])]
    assert made.dropped == {"an empty answer": 1, "an answer cut by its length": 1,
                            "an answer that repeats its instructions": 1}


def test_thoughts_are_not_learned() -> None:
    engine = ScriptedEngine(["<think>Hm, the plan.</think>It breaks at the joint."], family="qwen3")

    assert answers(all_of(examples.compiled(engine, role(), ASKED[:1], "en"))) == ["It breaks at the joint."]


def test_answers_follow_no_thoughts_as_they_will_be_learned_and_are_drawn_by_seeds_of_their_own() -> None:
    class Seeded(ScriptedEngine):
        def stream_many(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling],
                        **rest: Any) -> list[Iterator[Piece]]:
            seeds.extend(one.seed for one in samplings)
            return super().stream_many(prompts, samplings, **rest)

    seeds: list[int | None] = []
    engine = Seeded([f"Answer number {n}." for n in range(10)], family="qwen3-thinking")
    examples.compiled(engine, role(), ASKED, "en", sampling=Sampling(seed=5))
    learned = prompt.example("qwen3-thinking", context=ASKED[0].context, answer="", header=roles.header(role(), "en"))

    assert seeds == [*range(5, 15)]
    assert (engine.prompts[0].prefix, engine.prompts[0].tail) == (learned.prefix, learned.tail)


def test_what_was_answered_before_a_stop_comes_back() -> None:
    engine = ScriptedEngine(lambda asked: f"To {asked.prefix[4].text} this.")
    stop: list[int] = []
    made = examples.compiled(engine, role(), ASKED, "en", progress=lambda *_: stop.append(1), cancel=lambda: bool(stop))

    assert len(all_of(made)) == 8
    assert made.dropped["stopped before it was answered"] == 2


def test_a_question_that_leaves_no_room_is_left_out_and_the_others_are_answered() -> None:
    engine = ScriptedEngine(["Yes, that one."], n_ctx=1000)
    made = examples.compiled(engine, role(), [replace(ASKED[0], context="word " * 900), ASKED[1]], "en")

    assert [one.context for one in all_of(made)] == ["Question 1?"]
    assert made.dropped["a question that leaves no room for its answer"] == 1


def test_a_stance_is_answered_with_the_nearest_approved_claims_in_front_and_learned_without_them() -> None:
    seen: list[Prompt] = []

    def answer(asked: Prompt) -> str:
        seen.append(asked)
        return f"Answer number {len(seen)}."

    many = [claim(f"f{n}", f"You like number {n}.", ["I do."]) for n in range(9)]
    found = settle((*FOUND, *many), [Decision(one.id, "approve", "", day(9)) for one in (*FOUND[:2], FOUND[3], *many)])
    question = replace(ASKED[0], context="In what order of steps do I grow peas?")
    made = examples.stance(ScriptedEngine(answer), role(), Profile(found, (), 9, 9, 9), [question, ASKED[1]], "en")
    system = seen[0].prefix[1].text

    assert prompt.CONSTITUTION in system
    assert "You lay work out as steps in order." in system
    assert "You grow peas." in system
    assert "praise" not in system
    assert system.count("\n- ") == examples.RELEVANT
    assert answers(all_of(made)) == ["Answer number 1.", "Answer number 2."]
    assert all_of(made)[0] == replace(question, answer="Answer number 1.")


def test_a_stance_may_be_learned_under_the_header_of_a_role_that_keeps_it() -> None:
    engine = ScriptedEngine(["It breaks there."])
    made = examples.stance(engine, role(), profile(("steps", "approve")), ASKED[:1], "ru", keep_header=True)

    assert all_of(made)[0].header == roles.header(role(), "ru")


def test_a_question_without_room_for_the_claims_teaches_no_stance() -> None:
    engine = ScriptedEngine(["It breaks there."])
    asked, sampling = [replace(ASKED[0], context="word " * 30)], Sampling(max_tokens=400)
    examples.compiled(engine, role(), asked, "en", sampling=sampling)
    parts = engine.prompts[0].prefix + engine.prompts[0].tail
    tight = sum(len(engine.tokenize(part.text)) for part in parts) + 400 + 20
    bare = examples.compiled(ScriptedEngine(["It breaks there."], n_ctx=tight), role(), asked, "en", sampling=sampling)
    full = examples.stance(ScriptedEngine(["It breaks there."], n_ctx=tight), role(), profile(("steps", "approve")),
                           asked, "en", sampling=sampling)

    assert answers(all_of(bare)) == ["It breaks there."]
    assert full.dropped == {"a question that leaves no room for its answer": 1}


def test_a_claim_said_back_word_for_word_is_no_stance() -> None:
    engine = ScriptedEngine(["You lay work out as steps in order, that is how."])
    made = examples.stance(engine, role(), profile(("steps", "approve")), ASKED[:1], "en")

    assert made.dropped == {"an answer that repeats its instructions": 1}
