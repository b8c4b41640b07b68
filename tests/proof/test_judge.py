"""The rule: what is better for sure is accepted, what is not is told apart from what cannot be told yet."""
from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.proof import scene
from tests.proof.scene import BAKING, OFFICE, USEFUL, a_map, answers, evidence, labels
from twin.engine.scripted import ScriptedEngine
from twin.evidence import Evidence, Said
from twin.proof import statistics
from twin.proof.case import Ruling, accepted_unless_worse
from twin.proof.foreseen import CONTROLS
from twin.proof.judge import Case, judge, level_of
from twin.proof.metrics import Bits, Under
from twin.proof.words import said
from twin.proposals import Gain, Verdict
from twin.roles import RoleMap
from twin.types import Engine

NOTHING = Evidence()


def bits_case(after: RoleMap, *, before: RoleMap | None = None, proof: Evidence | None = None,
              text: str = f"{USEFUL} done") -> Case:
    """16 conversations of proof, as many to select by, more to train."""
    train, select, shown = (evidence(answers(first, first + 16, text)) for first in (0, 20, 40))
    return Case("bits", 0.99, Under(before or a_map()), Under(after), train, select, proof or shown,
                Bits(ScriptedEngine(lambda _: "An answer.")))


def swapped(first: int, last: int) -> tuple[str, ...]:
    return (*BAKING[:first], *OFFICE[first:last], *BAKING[last:])


# ---- bits ------------------------------------------------------------------------------------------------------------

def test_words_that_the_kept_answers_have_are_accepted() -> None:
    found = judge(bits_case(a_map(form=USEFUL)))

    assert (found.verdict, found.stage) == ("accepted", "S3")
    assert found.gain and found.gain.low > 1
    assert found.gain.value == pytest.approx((11.42 - 1) * 4 / 6, abs=0.01)  # 8 bits at a temperature of 0.7 become 1
    assert "Better by" in found.reason["en"] and "Лучше" in found.reason["ru"]
    assert found.controls["after"] < found.controls["placebo"] and found.controls["before"] > found.controls["after"]
    assert {"default", "n-gram"} <= found.controls.keys()
    assert found.cost["header after"] > found.cost["header before"] > 0


def test_controls_look_at_the_newest_texts_whatever_their_alphabet(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the alphabet of what was said before them the Russian ones came first, and filled the controls alone."""
    asked: list[str] = []
    real = Under.asked

    def noted(self: Under, engine: Engine, item: Said, **how: Any) -> Any:
        if how.get("bare"):
            asked.append(item.text)
        return real(self, engine, item, **how)

    monkeypatch.setattr(Under, "asked", noted)
    said = [replace(one, context=f"Хлеб {one.context}") if number < 48 else one
            for number, one in enumerate(answers(40, 56))]

    judge(bits_case(a_map(form=USEFUL), proof=evidence(said)))

    newest = [one.text for one in said if one.kind == "kept"][-CONTROLS:]
    assert sorted(asked) == sorted(newest)


def test_words_that_nobody_says_gain_nothing() -> None:
    found = judge(bits_case(a_map(form="blue round quick loud")))

    assert (found.verdict, found.stage) == ("rejected", "S3")
    assert "No gain" in found.reason["en"]


def test_what_is_clearly_worse_on_the_training_part_is_not_tried_further() -> None:
    case = bits_case(a_map(), before=a_map(form=USEFUL))
    found = judge(case)

    assert (found.verdict, found.stage) == ("rejected", "S1")
    assert case.bits and case.bits.tokens < judge(bits_case(a_map(form=USEFUL))).cost["scorer tokens"] / 3


def test_what_loses_on_the_selection_part_never_opens_the_proof_set() -> None:
    case = bits_case(a_map(form=USEFUL))
    losing = evidence(answers(20, 36, "instruction0 instruction1"))
    found = judge(replace(case, train=NOTHING, select=losing, before=Under(a_map()), after=Under(_reworded())))

    assert (found.verdict, found.stage) == ("rejected", "S2")
    assert "proof set stays closed" in found.reason["en"]


def _reworded() -> RoleMap:
    baker, clerk = a_map().roles
    sections = baker.sections.model_copy(update={"en": baker.sections.en.model_copy(
        update={"stance": scene.STANCE.replace("instruction0", USEFUL).replace("instruction1 ", "")})})
    return RoleMap((baker.model_copy(update={"sections": sections}), clerk))


@pytest.mark.parametrize(("talks", "touched", "verdict"),
                         [(16, 14, "accepted"), (11, 99, "unproven"), (16, 12, "unproven"), (16, 7, "unproven")])
def test_too_little_data_is_never_a_yes(talks: int, touched: int, verdict: Verdict) -> None:
    """60 texts in 12 conversations to look at, 8 of them touched, in 7 of 16 conversations at 99 %."""
    items = answers(40, 40 + talks)
    acted = [one for one in items if one.kind == "kept"][:touched]
    rest = [replace(one, asked=OFFICE[0]) for one in items if one.kind == "next"]
    found = judge(bits_case(a_map(form=USEFUL), proof=evidence([*rest, *acted])))

    assert found.verdict == verdict
    if verdict == "unproven":
        assert found.stage == "S2" and found.needed > 0
        assert f"about {found.needed} more messages" in found.reason["en"]
        assert str(found.needed) in found.reason["ru"]


def test_a_gain_that_may_be_chance_says_how_much_more_it_takes() -> None:
    """Some answers have the words, others those that stood there before."""
    before, after = a_map(form="other things than those"), a_map(form=USEFUL)
    mixed = evidence(tuple(replace(one, text="other things than those") if one.kind == "kept" and
                           int(one.conversation[-1]) % 2 else one for one in answers(40, 56)))
    found = judge(bits_case(after, before=before, proof=mixed))

    assert found.verdict in ("unproven", "rejected")
    assert found.gain and found.gain.low < 0
    if found.verdict == "unproven":
        assert found.needed > 0


def test_a_text_that_repeats_the_instructions_counts_for_nobody() -> None:
    """Eight words in a row of a header are copied, not foreseen."""
    long = "one two three four five six seven eight nine"
    found = judge(bits_case(a_map(form=long), text=long))

    assert found.verdict == "rejected"
    assert found.gain and found.gain.value == 0  # only the other texts were left


def test_instructions_that_grow_by_more_than_a_fifth_are_refused_whatever_they_gain() -> None:
    found = judge(bits_case(a_map(form=" ".join([USEFUL, *(f"and{number}" for number in range(20))]))))

    assert found.verdict == "rejected"
    assert "length of the instructions" in found.reason["en"] and "длина указаний" in found.reason["ru"]


def test_a_colder_role_is_proven_by_the_answers_that_were_kept_from_it() -> None:
    """Answers of likely words only: the warmer the role, the more bits they cost. Nothing else is touched."""
    likely = " ".join(f"instruction{number}" for number in range(4))
    cold = judge(bits_case(a_map(temperature=0.3), before=a_map(temperature=1.3), text=f"{likely} rare"))
    warm = judge(bits_case(a_map(temperature=1.3), before=a_map(temperature=0.3), text=f"{likely} rare"))

    assert cold.verdict == "rejected" and warm.verdict == "accepted"  # the rare word costs more when it is cold
    assert "placebo" not in warm.controls


def test_without_a_core_nothing_is_said_of_bits() -> None:
    found = judge(replace(bits_case(a_map(form=USEFUL)), bits=None))

    assert (found.verdict, found.stage) == ("unproven", "S0")


# ---- routes ----------------------------------------------------------------------------------------------------------

WRONG = a_map(baking=(*OFFICE[:5], *BAKING[5:]), office=(*BAKING[:5], *OFFICE[5:]))


def route_case(before: RoleMap, after: RoleMap, *, proof: int = 8, level: float = 0.95, bits: bool = False) -> Case:
    def part(first: int, talks: int) -> Evidence:
        return evidence(answers(first, first + talks, each=0), (*labels(first, first + talks, BAKING, "baker"),
                                                               *labels(first, first + talks, OFFICE, "clerk")))

    return Case("router", level, Under(before), Under(after), part(0, 8), part(20, 8), part(40, proof),
                Bits(ScriptedEngine(lambda _: "An answer.")) if bits else None)


def test_examples_put_right_are_accepted_by_the_persons_word() -> None:
    found = judge(route_case(WRONG, a_map()))

    assert (found.verdict, found.stage) == ("accepted", "S3")
    assert found.controls["after"] > found.controls["before"]
    assert found.samples and found.samples[0].after != found.samples[0].before
    assert "Not measured: bits" in found.reason["en"]  # there was no core


def test_examples_put_wrong_are_rejected_before_the_proof_set_is_opened() -> None:
    found = judge(route_case(a_map(), WRONG))

    assert (found.verdict, found.stage) == ("rejected", "S2")


def test_a_change_that_moves_nothing_is_unproven() -> None:
    found = judge(route_case(a_map(), a_map(baking=(*BAKING, "Is the bread oven hot enough to bake?"))))

    assert found.verdict == "unproven" and found.needed > 0


@pytest.mark.parametrize(("talks", "level", "verdict"),
                         [(4, 0.95, "unproven"), (6, 0.99, "unproven"), (6, 0.95, "accepted"), (8, 0.99, "accepted")])
def test_five_conversations_all_one_way_at_95_and_seven_at_99(talks: int, level: float, verdict: Verdict) -> None:
    assert judge(route_case(WRONG, a_map(), proof=talks, level=level)).verdict == verdict


def test_a_merged_roles_messages_are_right_with_its_heir() -> None:
    one = RoleMap((scene.role("baker", (*BAKING, *OFFICE)),))
    lost = judge(route_case(a_map(), one))
    kept = judge(replace(route_case(a_map(), one), same={"clerk": {"baker"}}))

    assert lost.verdict == "rejected"
    assert kept.verdict == "unproven"  # nothing got worse, and nothing better


def test_examples_are_proven_at_95_all_else_at_99() -> None:
    assert level_of("relabel_routing_example") == 0.95
    assert level_of("merge_roles") == level_of("edit_prompt_section") == 0.99


def test_a_further_look_costs_half_of_what_is_left_and_all_together_twice_the_first() -> None:
    spent = [1 - level_of("merge_roles", looks) for looks in range(10)]
    assert spent[:3] == pytest.approx([0.01, 0.005, 0.0025])
    assert sum(spent) < 0.0201


def test_ten_looks_at_a_change_of_no_worth_are_not_ten_chances() -> None:
    """Two more conversations change at each look, each by the throw of a coin."""
    rng = np.random.default_rng(1)
    thrown = rng.choice([-1, 1], size=(1000, 7 + 9 * 2))
    paid, free = (sum(any(statistics.signs(row[:7 + 2 * looks].tolist()) < 1 - levels[looks] for looks in range(10))
                      for row in thrown) / 1000
                  for levels in ([level_of("merge_roles", looks) for looks in range(10)], [0.99] * 10))
    assert paid < 0.012 < free


def test_a_level_is_said_to_its_last_digit() -> None:
    for level, shown in ((0.99, "99%"), (0.995, "99.5%"), (0.95, "95%")):
        told = said("unsure", value=0.1, touched=9, low=0.01, level=level)
        assert f"at {shown})" in told["en"] and f"при {shown})" in told["ru"]


# ---- nothing else got worse ------------------------------------------------------------------------------------------

def test_the_others_have_bounds_and_what_few_conversations_tell_is_not_called_measured() -> None:
    labelled = (*labels(40, 56, BAKING, "baker"), *labels(40, 56, OFFICE, "clerk"))
    case = bits_case(a_map(form=USEFUL))
    bare, told = judge(case), judge(replace(case, proof=replace(case.proof, labelled=labelled)))
    few = judge(replace(case, proof=replace(case.proof, labelled=labelled[:3])))

    assert {one.verdict for one in (bare, told, few)} == {"accepted"}
    assert "Not measured: routes." in bare.reason["en"] and "Не измерено: маршруты." in bare.reason["ru"]
    assert "Not measured: routes." in few.reason["en"] and "Not measured" not in told.reason["en"]
    assert "nothing else got worse by more than the margin" in told.reason["en"]
    bounds = {one.metric: one for one in told.others}
    assert {(one.level, one.low <= one.value) for one in bounds.values()} == {(0.95, True)}
    assert bounds.keys() == {"bits of next", "bits of kept", "router", "header tokens"}
    assert [math.isnan(one.low) for one in few.others if one.metric == "router"] == [True]


def test_messages_that_got_a_little_worse_in_one_conversation_are_not_measured() -> None:
    gains = (Gain("bits of next", -0.0199, math.nan, 0.95, 3, 1), Gain("bits of kept", 0.0, 0.0, 0.95, 9, 5))
    found = accepted_unless_worse(route_case(WRONG, a_map(), bits=True), Ruling("rejected", "S3", {}, None, gains),
                                  "accepted router", won=7, lost=0, clusters=7, p=0.0078)
    assert found.verdict == "accepted" and "Not measured: bits of your messages." in found.reason["en"]


# ---- ratings ---------------------------------------------------------------------------------------------------------

def rating_case(before: tuple[int, int], now: tuple[int, int], *, level: float = 0.99, role: str = "baker",
                talks: int = 99) -> Case:
    """(good, bad) ratings of the baker before and after, at most so many conversations each."""
    old, new = a_map(), a_map(form="Short.")
    rated = (*scene.ratings(*before, old.version, talks), *scene.ratings(*now, new.version, talks))
    return Case("feedback", level, Under(old), Under(new), NOTHING, NOTHING, evidence(rated=rated),
                target=f"role:{role}")


@pytest.mark.parametrize(("now", "verdict"), [((25, 1), "accepted"), ((13, 3), "unproven"), ((8, 18), "rejected")])
def test_what_was_tried_is_judged_by_its_ratings(now: tuple[int, int], verdict: Verdict) -> None:
    found = judge(rating_case((12, 8), now))

    assert found.verdict == verdict
    assert found.gain and (found.gain.n, found.gain.level) == (20 + sum(now), 0.99)
    assert (found.gain.low > 0) == (verdict == "accepted")


def test_ratings_of_another_role_say_nothing() -> None:
    found = judge(rating_case((12, 8), (40, 0), role="clerk"))
    assert (found.verdict, found.stage, found.gain) == ("unproven", "S0", None)


@pytest.mark.parametrize("before", [(0, 0), (9, 0)])
def test_without_ratings_before_the_change_nothing_is_proven_and_no_figure_is_missing(before: tuple[int, int]) -> None:
    found = judge(rating_case(before, (40, 0)))

    assert (found.verdict, found.stage, found.gain) == ("unproven", "S0", None)
    assert "nan" not in str(found.reason) and not any(map(math.isnan, found.controls.values()))
    assert found.needed == 10 - sum(before)


def test_a_conversation_counts_once_however_often_it_was_rated() -> None:
    alone, few, many = (judge(rating_case((12, 8), (40, 0), talks=talks)) for talks in (1, 5, 40))

    assert (alone.stage, alone.needed) == ("S0", 4 * 2)
    assert few.verdict == "unproven" and many.verdict == "accepted"


def test_ratings_are_judged_at_the_level_of_the_operation() -> None:
    assert [judge(rating_case((12, 8), (15, 2), level=level)).verdict for level in (0.95, 0.99)] == [
        "accepted", "unproven"]


def test_what_nothing_said_before_shows_is_to_be_tried() -> None:
    for metric in ("feedback", "council", "placement", "none"):
        found = judge(Case(metric, 0.99, Under(a_map()), Under(a_map(form="Short.")), NOTHING, NOTHING, NOTHING))
        assert (found.verdict, found.stage) == ("unproven", "S0")
        assert "try it out" in found.reason["en"] and "попробуйте" in found.reason["ru"]
