"""The miners: each finds what it is for in what a person did, says why, and finds nothing where nothing is wrong."""
from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import generated
from tests.bench import planted
from twin import examples, miners, operations, roles
from twin.archive import Archive
from twin.home import Home
from twin.linear import Lexicon
from twin.miners import Seen, SeenTurn, mine
from twin.mining import likeness
from twin.mining import seen as looking
from twin.proposals import Proposal
from twin.role_parts import Placement
from twin.roles import CouncilPolicy, RoleMap
from twin.router import Router
from twin.types import Route, Turn

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def turn(number: int, question: str, role: str = "mentor", *, now: str = "", abstained: bool = False,
         **more: Any) -> SeenTurn:
    """A turn that `role` answered and that would go to `now` today."""
    russian = any("а" <= letter <= "я" for letter in question.lower())
    return SeenTurn(f"t{number}", f"c{number // 3}", NOW, question, more.pop("answer", "An answer."),
                    "ru" if russian else "en", role, Route(now or role, {now or role: 1.0}, "", abstained=abstained),
                    **more)


def found(turns: Sequence[SeenTurn], role_map: RoleMap | None = None, **seen: Any) -> list[Proposal]:
    return mine(Seen(tuple(turns), **seen), role_map or roles.seed(), made=NOW)


def of(origin: str, proposals: Sequence[Proposal], op: str = "") -> list[Proposal]:
    return [one for one in proposals if one.origin == f"miner:{origin}" and op in ("", one.operation.op)]


def changed(role: str, **update: Any) -> RoleMap:
    """The seed map with one role changed."""
    seed = roles.seed()
    return replace(seed, roles=tuple(one.model_copy(update=update) if one.id == role else one for one in seed.roles))


FUGUES = ["Which fugue is a good one for the small organ?", "Play the fugue on the small organ tonight",
          "The fugue sounds dull on this organ", "Organ tuning before the fugue on Sunday",
          "Another fugue for the organ",
          "My organ and the fugue in minor", "Is the fugue too fast for an old organ?", "Small organ, long fugue",
          "The organ again, and that fugue"]


# ---- one by one ----------------------------------------------------------------------------------------------------

def test_m1_moves_an_example_that_its_neighbours_and_the_person_contradict() -> None:
    wrong = "Translate this leaflet about bread into German."
    role_map = changed("critic", examples=(*roles.seed().role("critic").examples, wrong))
    asked = [f"Translate this {what} into {tongue}." for what in ("letter", "leaflet", "menu")
             for tongue in ("German", "French", "Dutch")]
    turns = [turn(n, said, "critic", label="scribe") for n, said in enumerate(asked)]
    moved = of("M1", found(turns, role_map), "relabel_routing_example")
    assert (moved[0].operation.role, moved[0].operation.to, moved[0].operation.text) == ("critic", "scribe", wrong)  # type: ignore[union-attr]


def test_m1_adds_the_message_that_turns_most_of_the_confused_ones() -> None:
    turns = [turn(n, said, "mentor", label="evolutionist") for n, said in enumerate(FUGUES)]
    added = of("M1", found(turns), "add_routing_example")
    assert added[0].operation.role == "evolutionist"  # type: ignore[union-attr]
    assert added[0].operation.text in FUGUES  # type: ignore[union-attr]


def test_m2_makes_a_role_of_what_nobody_claims() -> None:
    strange = [turn(n, said, abstained=True) for n, said in enumerate(FUGUES)]
    talk = ("Good evening", "It rains", "ok then", "Bus 7")
    other = [turn(20 + n, said, abstained=True) for n, said in enumerate(talk)]
    made = of("M2", found([*strange, *other]), "add_role")
    assert set(made[0].operation.examples) <= set(FUGUES)  # type: ignore[union-attr]
    assert not of("M2", found([*strange[:5], *other]))


def test_m2_brings_back_a_role_that_was_merged_away() -> None:
    merged = operations.apply(operations.MergeRoles(role="critic", into="mentor"), roles.seed())
    past = {"critic": roles.seed().role("critic")}
    turns = [turn(n, f"Where will plan {n} break?", "critic", now="mentor", label="critic") for n in range(5)]
    back = of("M2", found(turns, merged, past=past), "split_role")[0].operation
    assert isinstance(back, operations.SplitRole)
    assert (back.role, back.id) == ("mentor", "critic")
    assert set(back.examples) == set(past["critic"].examples)


def test_m2_splits_a_role_whose_strays_have_words_of_their_own() -> None:
    merged = operations.apply(operations.MergeRoles(role="scribe", into="mentor"), roles.seed())
    things = ("letter", "speech", "poem", "story", "article")
    stray, own = ([turn(start + 10 * k + n, frame.format(what), "mentor", label=label)
                   for n, what in enumerate(things) for k, frame in enumerate(frames)] for start, label, frames in (
        (0, "none", ("Write a short {} for me.", "Translate this {} into Dutch.", "Shorten this {} to ten words.")),
        (100, "mentor", ("Explain step by step how a {} works.", "What is a {}, in plain words?", "Teach me the {}."))))
    split = of("M2", found([*stray, *own], merged), "split_role")[0].operation
    assert isinstance(split, operations.SplitRole)
    scribes = set(roles.seed().role("scribe").examples)
    assert len(scribes & set(split.examples)) > 0.6 * len(split.examples)


def test_m3_merges_two_roles_that_are_told_the_same() -> None:
    one = roles.seed().role("critic")
    double = one.model_copy(update={"id": "doubter", "examples": one.examples[::2]})
    role_map = replace(roles.seed(), roles=(*(role for role in roles.seed().roles if role is not one),
                                            one.model_copy(update={"examples": one.examples[1::2]}), double))
    turns = [turn(n, f"Where will bridge {n} break?", "critic", now="doubter", label="critic") for n in range(4)]
    merged = of("M3", found(turns, role_map))
    assert [(one.operation.role, one.operation.into) for one in merged] == [("doubter", "critic")]  # type: ignore[union-attr]
    assert not of("M3", found(turns))


def test_m4_retires_a_role_that_nothing_went_to_in_two_hundred_turns() -> None:
    five = [name for name in roles.seed().ids if name != "architect"]
    turns = [turn(n, f"Question {n}", five[n % 5]) for n in range(200)]
    assert [one.target for one in of("M4", found(turns))] == ["role:architect"]
    assert not of("M4", found(turns[:199]))


def test_m5_gives_back_instructions_that_were_swapped() -> None:
    seed = roles.seed()
    mentor, critic = seed.role("mentor"), seed.role("critic")
    swapped = replace(seed, roles=tuple(
        role.model_copy(update={"sections": {"mentor": critic, "critic": mentor}[role.id].sections})
        if role.id in ("mentor", "critic") else role for role in seed.roles))
    kept = ["Weakest assumption: that the roof holds.\n1. It rains; the sign is a stain.\nCheapest repair: a bucket.",
            "Weakest assumption: nobody is ill.\n1. Flu; the sign is a cough.\nCheapest repair: a spare singer."]
    steps = "1. Take one brush. You should see paint.\n2. Draw one line. You should see it worked.\nWhich step is new?"
    turns = [turn(n, f"Where does plan {n} fail?", "critic", liked=True, answer=kept[n % 2]) for n in range(6)]
    turns += [turn(9 + n, f"How do I paint wall {n}?", "mentor", liked=True, answer=steps) for n in range(6)]
    edits = of("M5", found(turns, swapped), "edit_prompt_section")
    assert edits, "found"
    first = edits[0].operation
    assert isinstance(first, operations.EditPromptSection)
    assert first.text == getattr(critic.sections.en, first.section)
    assert not of("M5", found(turns), "edit_prompt_section"), "nothing is wrong with the map as it was"


def test_m5_asks_for_a_line_that_kept_answers_begin_with() -> None:
    turns = [turn(n, f"How long is road {n}?", "empiricist", liked=True, answer=f"It is long.\nMargin: {n} km.")
             for n in range(6)]
    rule = of("M5", found(turns), "add_prompt_rule")[0].operation
    assert isinstance(rule, operations.AddPromptRule)
    assert "Margin:" in rule.text


@pytest.mark.parametrize(("answer", "edited", "rule"), [
    ("A long answer with many words. It goes on and on. It does not end.", "A long answer.", "not needed"),
    ("Bread, milk, salt.", "- Bread\n- Milk\n- Salt", "dash"),
    ("Bread 3, milk 2.", "| what | n |\n|---|---|\n| bread | 3 |", "table"),
    ("Хлеб лежит на полке слева.", "The bread is on the left shelf, as always.", "another language")])
def test_m6_makes_a_rule_of_what_the_person_makes_of_answers(answer: str, edited: str, rule: str) -> None:
    turns = [turn(n, f"What is on shelf {n}?", "scribe", answer=answer, edited=edited) for n in range(4)]
    rules = [one.operation.text for one in of("M6", found(turns))]  # type: ignore[union-attr]
    assert [rule in text for text in rules] == [True]
    assert not of("M6", found(turns[:2]))


@pytest.mark.parametrize(("said", "rule"), [("Shorter, please.", "not needed"), ("Короче, пожалуйста.", "лишнее"),
                                            ("As a table, please", "table"), ("Списком, пожалуйста.", "тире")])
def test_m6_hears_what_the_person_says_of_an_answer(said: str, rule: str) -> None:
    asked = "Что на полке {}?" if any("а" <= letter <= "я" for letter in said) else "What is on shelf {}?"
    turns = [turn(n, asked.format(n), "scribe", then=said) for n in range(3)]
    assert [rule in one.operation.text for one in of("M6", found(turns))] == [True]  # type: ignore[union-attr]


def test_m7_takes_the_temperature_that_was_asked_again_least() -> None:
    role_map = changed("critic", sampling=generated.at(roles.seed().role("critic"), 1.2).sampling)
    hot = [turn(n, f"Where does it break, {n}?", "critic", temperature=1.2, again=n % 3 > 0) for n in range(12)]
    cool = [turn(20 + n, f"What fails, {n}?", "critic", temperature=0.4) for n in range(12)]
    better = of("M7", found([*hot, *cool], role_map))
    assert [(one.operation.value, one.target) for one in better] == [(0.4, "role:critic")]  # type: ignore[union-attr]
    calm = [replace(one, again=False) for one in hot]
    assert not of("M7", found([*calm, *cool], role_map)), "hot is no worse"


def test_m8_takes_away_a_rule_that_the_ledger_refuted() -> None:
    role_map = changed("mentor", sections=roles.seed().role("mentor").sections.model_copy(update={
        "en": roles.seed().role("mentor").sections.en.model_copy(update={
            "do": "Give five steps. Tall green bottles keep the longest."})}))
    turns = [turn(n, f"How do I keep juice {n}?") for n in range(3)]
    gone = of("M8", found(turns, role_map, refuted=("Tall green bottles keep juice longest.",)))
    assert [one.operation.text for one in gone] == ["Tall green bottles keep the longest."]  # type: ignore[union-attr]
    assert not of("M8", found(turns, role_map, refuted=("Cats like tall green grass.",)))


def test_m9_places_a_slow_role_as_the_others_are_and_widens_a_context_that_is_too_small() -> None:
    slow = changed("critic", placement=Placement(n_gpu_layers=0))
    turns = [turn(n, f"Question {n}", "critic" if n % 2 else "mentor", speed=3.0 if n % 2 else 12.0) for n in range(16)]
    assert [(one.target, one.operation.n_gpu_layers) for one in of("M9", found(turns, slow))] == [("role:critic", -1)]  # type: ignore[union-attr]
    small = changed("mentor", placement=Placement(n_ctx=1024))
    cut = [turn(n, f"Question {n}", dropped=n < 4) for n in range(8)]
    assert [one.operation.n_ctx for one in of("M9", found(cut, small))] == [2048]  # type: ignore[union-attr]


def test_m10_sends_away_the_member_that_echoes_another_one() -> None:
    role_map = replace(roles.seed(), council=CouncilPolicy(members=("architect", "critic", "mentor")))
    echo = [turn(n, f"Question {n}", together=(("architect",), ("critic", "mentor"))) for n in range(9)]
    once = [turn(20, "Question", together=(("architect", "critic"), ("mentor",)))]
    policy = of("M10", found([*echo, *once], role_map))[0].operation
    assert isinstance(policy, operations.SetCouncilPolicy)
    assert policy.members == ("architect", "mentor")


# ---- all together --------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, generated.Truth]:
    made = Home(tmp_path_factory.mktemp("generated") / "home")
    return made, generated.build(made, seed=1004)


@pytest.fixture(scope="module")
def proposals(home: tuple[Home, generated.Truth]) -> list[Proposal]:
    return mine(miners.seen_of(Archive(home[0]), Router(roles.seed()), may_see=early(home[1])), roles.seed(), made=NOW)


def early(truth: generated.Truth) -> Callable[[str], bool]:
    names = list(dict.fromkeys(one.conversation for one in truth.turns))
    return set(names[:48]).__contains__


def test_a_person_of_known_style_gets_it_as_a_rule_among_the_first_five(
        home: tuple[Home, generated.Truth], proposals: list[Proposal]) -> None:
    rules = generated.words()["rules"][home[1].person.style].values()
    assert any(getattr(one.operation, "text", "") in rules for one in proposals[:5])


def test_proposals_fit_the_map_rest_on_three_turns_and_say_why_in_both_languages(
        home: tuple[Home, generated.Truth], proposals: list[Proposal]) -> None:
    seen = {one.id for one in home[1].turns if early(home[1])(one.conversation)}
    assert 5 < len(proposals) <= miners.MOST
    assert len({one.id for one in proposals}) == len(proposals)
    for one in proposals:
        assert operations.apply(one.operation, roles.seed()) != roles.seed()
        assert len(set(one.evidence)) >= 3
        assert set(one.evidence) <= seen, "nothing of what the proof looks at"
        assert one.why["en"] != one.why["ru"]
        assert all("{" not in text and text.strip() for text in one.why.values())


def test_the_same_turns_give_the_same_proposals_in_the_same_order(
        home: tuple[Home, generated.Truth], proposals: list[Proposal]) -> None:
    again = miners.seen_of(Archive(home[0]), Router(roles.seed()), may_see=early(home[1]))
    assert [one.hash for one in mine(again, roles.seed(), made=NOW)] == [one.hash for one in proposals]


@pytest.mark.parametrize("kind", planted.KINDS)
def test_a_planted_defect_is_found_among_the_first_five(kind: str) -> None:
    it, made = planted.mined(planted.Case(kind, 0, 1000 + planted.KINDS.index(kind)))
    assert any(it.fixes(one.operation) for one in made[:planted.FIRST]), it.what


def test_an_empty_home_has_nothing_to_propose(tmp_path: Path) -> None:
    seen = miners.seen_of(Archive(Home(tmp_path / "empty")), Router(roles.seed()))
    assert mine(seen, roles.seed(), made=NOW) == []


def test_likeness_in_blocks_is_that_of_the_whole() -> None:
    texts = [*FUGUES, *roles.seed().role("critic").examples, "", FUGUES[0]]
    whole = sum(Lexicon([kind(text) for text in texts]).among() for kind in (examples.stems_of, examples.pieces_of)) / 2
    likeness_of = likeness.among(texts)
    assert likeness_of.dtype == np.float32
    assert np.abs(likeness_of - whole).max() < 1e-5


def test_clusters_are_those_of_plain_average_linkage() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        points = rng.normal(size=(30, 3))
        kernel = np.exp(-((points[:, None] - points) ** 2).sum(axis=2))
        for least in (0.05, 0.2, 0.5):
            groups = [[i] for i in range(30)]
            while True:
                alike, a, b = max(((kernel[np.ix_(one, other)].mean(), a, b) for a, one in enumerate(groups)
                                   for b, other in enumerate(groups) if a < b), default=(0, 0, 0))
                if alike < least:
                    break
                groups[a] += groups.pop(b)
            expected = sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group))
            assert likeness.clusters(kernel.astype(np.float32), least) == expected


def test_only_the_newest_turns_of_each_language_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LOOKED", 3)
    said = [*(f"What about plan {n}?" for n in range(9)), *(f"Что с планом {n}?" for n in range(2))]
    turns = [Turn(f"t{n}", "c", text, "Well.", Route("critic", {}, ""), "answered", "core", "v", time=NOW)
             for n, text in enumerate(said)]
    seen = miners.look(turns, {}, {}, Router(roles.seed()))
    assert [one.id for one in seen.turns] == ["t6", "t7", "t8", "t9", "t10"]
    assert seen.turns[0].then == "What about plan 7?"


def test_a_look_that_is_stopped_has_seen_the_newest() -> None:
    turns = [Turn(f"t{n}", "c", f"What about plan {n}?", "Well.", Route("critic", {}, ""), "answered", "core", "v",
                  time=NOW) for n in range(9)]
    asked = iter([False, False, True])
    seen = miners.look(turns, {}, {}, Router(roles.seed()), stop=lambda: next(asked))
    assert [one.id for one in seen.turns] == ["t6", "t7", "t8"]


def test_miners_that_are_stopped_bring_what_they_found_until_then() -> None:
    turns = [turn(n, said, "mentor", label="evolutionist") for n, said in enumerate(FUGUES)]
    turns += [turn(20 + n, f"What is on shelf {n}?", "scribe", answer="Bread, milk, salt.",
                   edited="- Bread\n- Milk\n- Salt") for n in range(4)]
    everything = found(turns)
    assert {one.origin for one in everything} >= {"miner:M1", "miner:M6"}
    times = 0

    def stop() -> bool:
        nonlocal times
        times += 1
        return times > 2  # between blocks of the likeness

    some = mine(Seen(tuple(turns)), roles.seed(), made=NOW, stop=stop)
    assert {one.origin for one in some} == {"miner:M6"} and {one.hash for one in some} <= {
        one.hash for one in everything}
    assert mine(Seen(tuple(turns)), roles.seed(), made=NOW, stop=lambda: True)[1:] == []


def test_the_likeness_of_many_texts_needs_little_memory() -> None:
    """Blocks: what is held is a share of the texts times the words."""
    draw = random.Random(0)  # noqa: S311 - no secret
    texts = [" ".join(f"word{draw.randrange(9000)}" for _ in range(10)) for _ in range(1200)]
    tracemalloc.start()
    likeness.among(texts)
    assert tracemalloc.get_traced_memory()[1] < 120e6  # 1200 texts by 60,000 pieces as singles would be 290 MB
    tracemalloc.stop()


def test_earlier_maps_that_cannot_be_read_any_more_are_left_out(tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    made = Home(tmp_path / "home")
    generated.build(made, seed=1004, conversations=6)
    archive, real = Archive(made), Archive.map_files
    first = archive.map_entries()[0].version

    def redacted(self: Archive, entry: Any) -> Any:
        files = real(self, entry)
        return files if entry.version != first else {
            name: data.replace(b"temperature", b"(forgotten 1)") for name, data in files.items()}

    monkeypatch.setattr(Archive, "map_files", redacted)
    assert miners.seen_of(archive, Router(roles.seed())).turns


def test_pasted_words_do_not_become_examples() -> None:
    pasted = [replace(turn(n, said, "mentor", label="evolutionist"), mine=False) for n, said in enumerate(FUGUES)]
    assert not of("M1", found(pasted), "add_routing_example")


def test_reprs_hold_no_word_of_the_person() -> None:
    one = turn(1, "Secret plan of the attic", answer="Secret answer", edited="Secret edit", then="Secret next")
    assert "Secret" not in repr(one) + repr(Seen((one,), refuted=("Secret claim",)))
