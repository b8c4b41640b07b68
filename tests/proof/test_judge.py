"""The rule: what is better for sure is accepted, what is not is told apart from what cannot be told yet."""
from __future__ import annotations

from dataclasses import replace

import pytest

from tests.proof import scene
from tests.proof.scene import BAKING, OFFICE, USEFUL, a_map, answers, evidence, labels
from twin.engine.scripted import ScriptedEngine
from twin.evidence import Evidence
from twin.proof.judge import Case, judge, level_of
from twin.proof.metrics import Bits, Under
from twin.proposals import Verdict
from twin.roles import RoleMap

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
                         [(16, 10, "accepted"), (11, 99, "unproven"), (16, 7, "unproven")])
def test_too_little_data_is_never_a_yes(talks: int, touched: int, verdict: Verdict) -> None:
    """60 texts in 12 conversations to look at, 8 of them touched, in 5."""
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


def route_case(before: RoleMap, after: RoleMap, *, proof: int = 8, level: float = 0.95) -> Case:
    def part(first: int, talks: int) -> Evidence:
        return evidence(answers(first, first + talks, each=0), (*labels(first, first + talks, BAKING, "baker"),
                                                               *labels(first, first + talks, OFFICE, "clerk")))

    return Case("router", level, Under(before), Under(after), part(0, 8), part(20, 8), part(40, proof))


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


# ---- ratings ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("now", "verdict"), [((24, 2), "accepted"), ((9, 1), "unproven"), ((8, 18), "rejected")])
def test_what_was_tried_is_judged_by_its_ratings(now: tuple[int, int], verdict: Verdict) -> None:
    before, after = a_map(), a_map(form="Short.")
    rated = (*scene.ratings(12, 8, before.version), *scene.ratings(*now, after.version))
    found = judge(Case("feedback", 0.99, Under(before), Under(after), NOTHING, NOTHING, evidence(rated=rated)))

    assert found.verdict == verdict
    assert found.gain and found.gain.n == 20 + sum(now)


def test_what_nothing_said_before_shows_is_to_be_tried() -> None:
    for metric in ("feedback", "council", "placement", "none"):
        found = judge(Case(metric, 0.99, Under(a_map()), Under(a_map(form="Short.")), NOTHING, NOTHING, NOTHING))
        assert (found.verdict, found.stage) == ("unproven", "S0")
        assert "try it out" in found.reason["en"] and "попробуйте" in found.reason["ru"]
