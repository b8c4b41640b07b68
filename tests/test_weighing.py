"""Weights mean something only where labelled questions showed it; what showed nothing carries none, and says so."""
from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.calibration import FEATURES, JOINT, RHO, error_correlation, measure
from twin.errors import UsageError
from twin.hypotheses import cluster
from twin.types import Hypothesis, Recalled, to_plain
from twin.weighing import Calibration, Gate, Outcome, effective_votes, fit, medoid, prior, weigh

ROLES = ("a", "b", "c", "d", "e")
QUESTION = "How many loaves are on the shelf?"


def memory(text: str) -> Recalled:
    return Recalled((text[:3],), text, 0.5, "test")


def said(*texts: str, roles: Sequence[str] = ROLES) -> list[Hypothesis]:
    return [Hypothesis(role, text) for role, text in zip(roles, texts, strict=False)]


def labelled(n: int, *, skill: float = 0.6, russian: bool = False, best: float | None = None, seed: int = 0,
             herd: float = 0.0) -> list[Outcome]:
    """Questions that five roles answer: right with probability `skill` (role e with `best`), else one of three wrong
    numbers; with probability `herd` all say what the first one says."""
    draw = random.Random(seed)  # noqa: S311 - a simulation
    made = []
    for q in range(n):
        good = draw.randint(0, 3)  # equal weights are ordered by text, which must not tell
        chances = [skill] * 4 + [skill if best is None else best]
        answers = [good if draw.random() < p else (good + draw.randint(1, 3)) % 4 for p in chances]
        if draw.random() < herd:
            answers = [answers[0]] * 5
        told = tuple(said(*(f"{10 * q + one} {'штук' if russian else 'pieces'}" for one in answers)))
        groups = tuple(tuple(group) for group in cluster(told))
        question = "Сколько штук лежит на полке?" if russian else QUESTION
        made.append(Outcome(question, told, groups, tuple(answers[group[0]] == good for group in groups), id=f"q{q}"))
    return made


# ---- votes -------------------------------------------------------------------------------------------------------

def test_roles_of_one_core_are_few_votes() -> None:
    """The figures of the design effect at rho .44: nine judges carry two votes."""
    assert [round(effective_votes(n), 2) for n in (0, 1, 3, 9, 16)] == [0.0, 1.0, 1.6, 1.99, 2.11]
    assert effective_votes(16, 0.0) == 16
    assert effective_votes(16, 1.0) == 1


def test_error_correlation_is_measured_once_there_are_enough_joint_questions() -> None:
    alone = labelled(200, seed=1)
    together = labelled(200, seed=1, herd=0.8)

    assert error_correlation([one.by_role for one in alone[:JOINT - 1]]) == (RHO, 0)
    assert error_correlation([one.by_role for one in alone])[0] < 0.15
    rho, joint = error_correlation([one.by_role for one in together])
    assert rho > 0.6
    assert joint == 200


# ---- weights of a prior --------------------------------------------------------------------------------------------

TEXTS = st.lists(st.sampled_from(["7", "8 loaves", "seven loaves", "unknown", "Anna took 7 loaves", "no loaves"]),
                 min_size=1, max_size=5)


@settings(max_examples=60)
@given(TEXTS, st.randoms(use_true_random=False))
def test_weights_sum_to_one_and_do_not_depend_on_the_order(texts: list[str], mix: Any) -> None:
    memories = [memory("Anna put 7 loaves on the shelf."), memory("Boris likes cats.")]
    heard = [replace(one, evidence=(1,)) if "7" in one.text else one for one in said(*texts)]
    mixed = list(heard)
    mix.shuffle(mixed)
    found = weigh(heard, cluster(heard), question=QUESTION, memories=memories)
    again = weigh(mixed, cluster(mixed), question=QUESTION, memories=memories)

    assert sum(one.weight for one in found.opinions) + found.none == pytest.approx(1.0)
    assert [one.weight for one in found.opinions] == sorted((one.weight for one in found.opinions), reverse=True)
    assert sorted(found.order) == list(range(len(found.opinions)))
    assert [(one.text, one.held_by, round(one.weight, 9)) for one in found.opinions] == [
        (one.text, one.held_by, round(one.weight, 9)) for one in again.opinions]


def test_shuffled_memories_change_no_weight() -> None:
    memories = [memory("Anna put 7 loaves on the shelf."), memory("Boris likes cats."), memory("The shelf is blue.")]
    heard = [Hypothesis("a", "7 loaves", evidence=(1, 3)), Hypothesis("b", "8 loaves", evidence=(2,))]
    turned = [replace(one, evidence=tuple(sorted(4 - n for n in one.evidence))) for one in heard]
    found = weigh(heard, [[0], [1]], question=QUESTION, memories=memories)

    assert weigh(turned, [[0], [1]], question=QUESTION, memories=memories[::-1]) == found


def test_a_prior_has_no_interval_and_prefers_evidence_agreement_and_a_good_record() -> None:
    memories = [memory("Anna put 7 loaves on the shelf.")]
    heard = [Hypothesis("a", "7 loaves", evidence=(1,)), Hypothesis("b", "8 loaves"), Hypothesis("c", "8 loaves"),
             Hypothesis("d", "9 loaves"), Hypothesis("e", "10 loaves", evidence=(1,))]
    found = weigh(heard, cluster(heard), question=QUESTION, memories=memories, track={"d": (0, 9)})
    weights = {one.text: one.weight for one in found.opinions}

    assert weights["7 loaves"] > weights["8 loaves"] > weights["9 loaves"]
    assert weights["10 loaves"] < weights["8 loaves"]  # its number stands in no passage it cites
    assert {one.interval for one in found.opinions} == {None}
    assert found.opinions[0].off == {}
    assert set(found.opinions[0].features) == {"evidence", "agreement", "track"}
    assert prior().n == 0


@pytest.mark.parametrize(("passage", "claim", "question"), [
    ("The shelf holds no rye bread.", "The shelf holds rye bread", "What does the shelf hold?"),
    ("На полке нет ржаного хлеба.", "На полке ржаной хлеб", "Что на полке?")])
def test_evidence_that_says_the_opposite_counts_less(passage: str, claim: str, question: str) -> None:
    against, for_it = (measure([Hypothesis("a", claim, evidence=(1,))], [[0]], question, [memory(text)], RHO, {})[0, 0]
                       for text in (passage, f"{claim}."))

    assert against < for_it - 0.3


def test_nothing_heard_weighs_nothing() -> None:
    assert weigh([], [], question=QUESTION) == ((), 1.0, 0.0, ())


def test_the_medoid_is_the_answer_most_others_are_like() -> None:
    heard = said("The oven is the weak point of the plan", "The weak point of the plan is the oven in winter",
                 "Nobody buys bread", "The oven")

    assert medoid(heard) == 0
    assert medoid(heard, [0.0, 0.0, 1.0, 0.0]) == 2
    assert medoid(heard, None, [1, 2]) == 1


# ---- gates and fits ------------------------------------------------------------------------------------------------

def test_a_feature_that_tells_nothing_is_off_and_says_why() -> None:
    """Nobody cites anything here, so evidence cannot tell right from wrong."""
    known = fit(labelled(120))
    gate = known.gates["en"]["evidence"]
    found = weigh(said("7", "8"), [[0], [1]], question=QUESTION, calibration=known)

    assert (gate.auroc, gate.passed) == (0.5, False)
    assert found.opinions[0].off["evidence"] == str(gate)
    assert str(gate).startswith("AUROC 0.50")
    assert "evidence" not in found.opinions[0].features
    assert known.beta["evidence"] == 0.0


def test_agreement_passes_where_members_are_often_right_and_fails_where_they_are_not() -> None:
    assert fit(labelled(120, skill=0.6)).gates["en"]["agreement"].passed
    assert not fit(labelled(120, skill=0.25)).gates["en"]["agreement"].passed


def test_a_good_gate_on_few_questions_stays_shut() -> None:
    assert not Gate(0.9, 0.7, 9).passed
    assert not Gate(0.7, 0.5, 50).passed
    assert not Gate(0.6, 0.55, 50).passed
    assert Gate(0.7, 0.55, 50).passed


def test_gates_are_of_one_language() -> None:
    """What was measured in English says nothing of Russian questions."""
    known = fit(labelled(120) + labelled(8, russian=True))
    english, russian = (weigh(said("7", "7", "8"), [[0, 1], [2]], question=question, calibration=known)
                        for question in (QUESTION, "Сколько хлеба на полке?"))

    assert "agreement" in english.opinions[0].features
    assert "agreement" in russian.opinions[0].off
    assert english.opinions[0].weight > english.opinions[1].weight
    assert russian.opinions[0].weight == pytest.approx(russian.opinions[1].weight)


def test_a_track_record_counts_without_the_question_it_is_used_for() -> None:
    """One role is much better than four that guess: the record finds it. Random roles give a record no gate."""
    assert fit(labelled(150, skill=0.3, best=0.9)).gates["en"]["track"].passed
    assert not fit(labelled(150, skill=0.3)).gates["en"]["track"].passed


def test_fitted_weights_are_probabilities() -> None:
    """On questions that were not fitted: mean weight of the front opinion near its accuracy, and a better Brier score
    than weights that say the same of each."""
    known = fit(labelled(200, skill=0.55, seed=3))
    shares, hits, flat = [], [], []
    for one in labelled(300, skill=0.55, seed=4):
        found = weigh(one.hypotheses, one.clusters, question=one.question, calibration=known)
        shares.append(found.opinions[0].weight)
        hits.append(one.right[found.order[0]])
        flat.append(1 / (len(found.opinions) + 1))
    brier = np.mean((np.array(shares) - hits) ** 2)

    assert abs(np.mean(shares) - np.mean(hits)) < 0.06
    assert brier < np.mean((np.array(flat) - hits) ** 2)


def test_none_of_these_weighs_more_where_members_were_wrong_more_often() -> None:
    able, weak = (weigh(said("7", "8"), [[0], [1]], question=QUESTION, calibration=fit(labelled(120, skill=skill)))
                  for skill in (0.7, 0.1))

    assert weak.none > able.none + 0.2


def test_a_calibration_brings_intervals_that_hold_the_weight() -> None:
    known = fit(labelled(60))
    found = weigh(said("7", "7", "8"), [[0, 1], [2]], question=QUESTION, calibration=known)

    assert len(known.draws) == 50
    for one in found.opinions:
        assert one.interval is not None
        low, high = one.interval
        assert 0 <= low <= one.weight <= high <= 1
        assert high - low > 0.005


def test_a_calibration_survives_json_and_a_fit_repeats() -> None:
    known = fit(labelled(60, best=0.9), core="core", role_map="map")

    assert Calibration.of(json.loads(json.dumps(to_plain(known)))) == known
    assert fit(labelled(60, best=0.9), core="core", role_map="map") == known
    assert (known.n, known.core, known.role_map, known.joint) == (60, "core", "map", 60)


def test_length_is_fitted_and_left_out_of_predictions() -> None:
    """Right answers are the long ones here, by chance; a long answer gains nothing from it."""
    draw = random.Random(0)  # noqa: S311 - a simulation
    made = []
    for q in range(80):
        told = tuple(said(f"{q} loaves of the best bread that there is on all our shelves", f"{q + 500}"))
        made.append(Outcome(QUESTION, told, ((0,), (1,)), (draw.random() < 0.9, False)))
    known = fit(made)
    short, long = (weigh(said(text, "5"), [[0], [1]], question=QUESTION, calibration=replace(known, gates={}))
                   for text in ("7", "7 loaves of the best bread that there is on all our shelves"))

    assert known.beta["length"] > 0.3
    assert short.opinions[0].weight == pytest.approx(long.opinions[0].weight)


def test_questions_nobody_answered_teach_nothing() -> None:
    with pytest.raises(UsageError):
        fit([])
    with pytest.raises(UsageError):
        fit([Outcome(QUESTION, (), (), ())])
    assert fit([*labelled(20), Outcome(QUESTION, (), (), ())]).n == 20


def test_several_right_opinions_and_none_are_fitted_as_they_are() -> None:
    """Two wordings that clusters keep apart may both be right; where none is, "none of these" is."""
    told = tuple(said("7", "7 loaves of rye", "8"))
    both = Outcome(QUESTION, told, ((0,), (1,), (2,)), (True, True, False))
    neither = Outcome(QUESTION, told, ((0,), (1,), (2,)), (False, False, False))

    assert fit([both] * 40).beta["none"] < fit([neither] * 40).beta["none"] - 1


def test_every_feature_has_a_prior_and_a_name_of_its_own() -> None:
    assert len({feature.name for feature in FEATURES}) == len(FEATURES) == 4
    assert all(feature.prior[2] > 0 for feature in FEATURES)


def test_where_no_feature_carries_weight_heads_are_counted() -> None:
    shut = {feature.name: Gate(0.5, 0.4, 40) for feature in FEATURES}
    core = replace(prior(), n=40, gates={"en": shut, "ru": shut})
    heard = said("9 loaves", "4 loaves", "9 loaves", "1 loaf")
    weighed = weigh(heard, cluster(heard), question=QUESTION, calibration=core)

    assert weighed.opinions[0].text == "9 loaves"
    assert len({round(one.weight, 9) for one in weighed.opinions}) == 1
