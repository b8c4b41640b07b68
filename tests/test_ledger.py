"""Hypotheses: what is frozen stays, verdicts are arithmetic, roles are judged by what came out."""
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.archive.ledger import Ledgers
from twin.errors import UsageError
from twin.home import Home
from twin.ledger import Credit, Entry, Ledger, Measurement, Plan, Prediction, brier, freeze, starters, track

NUMBERS = st.floats(-1e6, 1e6)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
GAIN = Prediction("gain", "up", 3.0, "pp")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Ledgers(Home(tmp_path)))


def measured(low: float, high: float, time: datetime | None = None) -> Measurement:
    return Measurement((low + high) / 2, low, high, 40, "a machine", time)


def settled(*credits: Credit, low: float = 4.0, high: float = 5.0, age: float = 0.0) -> Entry:
    """An entry that was judged `age` days before NOW: supported, unless the interval says otherwise."""
    claim = {"en": f"the dough rises faster {low} {age}"}
    return Entry("h-1", claim, GAIN, frozen=freeze(claim, GAIN, Plan()), credits=credits,
                 measurements=(measured(low, high, NOW - timedelta(days=age)),))


# ---- verdicts --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("direction", "low", "high", "verdict"), [
    ("up", 3.0, 4.0, "supported"), ("up", 2.9, 4.0, "inconclusive"), ("up", 1.0, 3.0, "inconclusive"),
    ("up", 1.0, 2.9, "refuted"), ("down", 1.0, 3.0, "supported"), ("down", 1.0, 3.1, "inconclusive"),
    ("down", 3.0, 4.0, "inconclusive"), ("down", 3.1, 4.0, "refuted")])
def test_the_whole_interval_has_to_lie_where_it_was_predicted(direction: str, low: float, high: float,
                                                              verdict: str) -> None:
    assert replace(GAIN, direction=direction).judge(low, high) == verdict  # type: ignore[arg-type]


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["up", "down"]))
def test_a_verdict_is_where_the_interval_lies_and_its_mirror_image_says_the_same(one: float, other: float,
                                                                                 threshold: float, way: str) -> None:
    low, high = sorted((one, other))
    found = Prediction("m", way, threshold).judge(low, high)  # type: ignore[arg-type]
    mirrored = Prediction("m", "down" if way == "up" else "up", -threshold).judge(-high, -low)
    good, bad = (low >= threshold, high < threshold) if way == "up" else (high <= threshold, low > threshold)

    assert found == mirrored == ("supported" if good else "refuted" if bad else "inconclusive")


@given(NUMBERS, NUMBERS, st.text(min_size=1), st.text(), st.integers(1, 10_000), st.floats(0, 1))
def test_neither_words_nor_counts_nor_priors_nor_roles_move_a_verdict(one: float, other: float, words: str, where: str,
                                                                      n: int, share: float) -> None:
    low, high = sorted((one, other))
    entry = Entry("h-1", {"en": words}, replace(GAIN, metric=words), Plan(words), source=where, prior=share,
                  measurements=(Measurement(low, low, high, n, where),), credits=(Credit("critic", share),))

    assert entry.verdict == GAIN.judge(low, high)


def test_what_was_not_measured_is_open_reported_or_beyond_measuring() -> None:
    reported = starters()["others-480b-cpu"]

    assert Entry("a", {"en": "x"}, GAIN).verdict == "open"
    assert Entry("a", {"en": "x"}).verdict == "not_measurable"
    assert reported.verdict == "reported"
    assert replace(reported, prediction=None).verdict == "reported"


def test_measurements_that_contradict_each_other_decide_nothing() -> None:
    good, bad, vague = measured(4, 5), measured(0, 1), measured(0, 9)
    verdicts = [Entry("a", {"en": "x"}, GAIN, measurements=some).verdict
                for some in ((vague, good), (good, vague), (bad, vague), (good, bad), (vague,))]

    assert verdicts == ["supported", "supported", "refuted", "inconclusive", "inconclusive"]


# ---- the record of roles ---------------------------------------------------------------------------------------------

def test_a_role_has_a_hit_when_its_side_was_borne_out() -> None:
    entries = [settled(Credit("critic", 0.9), Credit("builder", 0.8, "against")),
               settled(Credit("critic", 0.7), Credit("builder", 0.6), low=0, high=1)]

    assert track(entries, NOW) == {"critic": (1.0, 1.0), "builder": (0.0, 2.0)}


@pytest.mark.parametrize(("age", "share"), [(0, 1.0), (90, 0.5), (180, 0.25), (-5, 1.0)])
def test_an_outcome_counts_half_after_ninety_days(age: float, share: float) -> None:
    assert track([settled(Credit("critic", 0.9), age=age)], NOW)["critic"] == pytest.approx((share, 0.0))


def test_the_age_is_that_of_the_measurement_that_decided() -> None:
    entry = settled(Credit("critic", 0.9), age=90)
    later = replace(entry, measurements=(*entry.measurements, measured(0, 9, NOW)))

    assert track([later], NOW) == {"critic": (0.5, 0.0)}


def test_the_inconclusive_the_open_and_the_altered_never_count() -> None:
    unsure = settled(Credit("critic", 0.9), low=0, high=9)
    altered = replace(settled(Credit("critic", 0.9)), prediction=replace(GAIN, threshold=4.0))
    unmeasured = replace(settled(Credit("critic", 0.9)), measurements=())

    assert (unsure.verdict, altered.verdict, altered.intact) == ("inconclusive", "supported", False)
    assert track([unsure, altered, unmeasured], NOW) == {}
    assert brier([unsure, altered, unmeasured]) == {}


def test_the_brier_score_punishes_a_sure_role_that_was_wrong() -> None:
    entries = [settled(Credit("sure", 1.0, "against"), Credit("modest", 0.5), Credit("right", 0.9)),
               settled(Credit("right", 0.9, "against"), low=0, high=1)]

    assert brier(entries) == pytest.approx({"sure": 1.0, "modest": 0.25, "right": 0.01})


def test_the_last_word_of_a_role_before_the_measurement_counts() -> None:
    assert brier([settled(Credit("critic", 0.1), Credit("critic", 0.8))]) == pytest.approx({"critic": 0.04})


# ---- the ledger of a home --------------------------------------------------------------------------------------------

def test_the_owners_questions_are_there_before_anything_was_stored(ledger: Ledger, tmp_path: Path) -> None:
    entries = ledger.entries()
    asked = [entry for entry in entries if entry.source == "owner"]

    assert {entry.verdict for entry in asked} == {"open"}
    assert {entry.verdict for entry in entries if entry not in asked} == {"reported"}
    assert len(asked) >= 6
    assert len(entries) > len(asked)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("entry", starters().values(), ids=lambda entry: entry.id)
def test_a_starter_row_says_the_same_in_both_languages_and_can_be_judged(entry: Entry) -> None:
    assert set(entry.claim) == {"en", "ru"}
    assert entry.say("ru") != entry.say("en")
    assert entry.prediction is not None
    assert entry.intact
    assert entry.plan.command or entry.reports


def test_a_hypothesis_goes_from_claim_to_verdict_and_is_the_same_when_read_again(ledger: Ledger) -> None:
    made, new = ledger.add("Тесто на закваске поднимается быстрее", GAIN, Plan("weigh it", 40, "40 loaves", "a week"),
                           source="turn-7", prior=0.3, credits=[Credit("baker", 0.8), Credit("critic", 0.6, "against")])
    assert (new, made.id, made.verdict, made.say("en")) == (True, "h-0001", "open",
                                                            "Тесто на закваске поднимается быстрее")
    ledger.measure("h-0001", Measurement(4.0, 3.5, 4.5, 40, "two ovens", NOW))
    found = ledger.entry("h-0001")

    assert found.verdict == "supported"
    assert found == replace(made, measurements=(Measurement(4.0, 3.5, 4.5, 40, "two ovens", NOW),))
    assert found.intact
    assert len(found.measurements[0].hash) == 64
    assert track([found], NOW) == {"baker": (1.0, 0.0), "critic": (0.0, 1.0)}


def test_the_same_hypothesis_again_is_the_same_entry(ledger: Ledger) -> None:
    first, _ = ledger.add("a claim", Prediction("m", "up", 3))
    again, new = ledger.add("a claim", Prediction("m", "up", 3.0), id="other", credits=[Credit("critic", 0.7)])

    assert (again.id, new) == (first.id, False)
    assert again.credits == (Credit("critic", 0.7),)


@pytest.mark.parametrize("changed", [{"prediction": replace(GAIN, threshold=2.0)}, {"plan": Plan("otherwise")},
                                     {"claim": "another claim"}, {"prediction": replace(GAIN, direction="down")}])
@pytest.mark.parametrize("measured_before", [True, False])
def test_what_is_frozen_cannot_be_changed(ledger: Ledger, changed: dict[str, object], measured_before: bool) -> None:
    what = {"claim": "a claim", "prediction": GAIN, "plan": Plan("so")}
    ledger.add(id="mine", **what)  # type: ignore[arg-type]
    if measured_before:
        ledger.measure("mine", measured(0, 1))
    with pytest.raises(UsageError, match="mine is frozen"):
        ledger.add(id="mine", **{**what, **changed})  # type: ignore[arg-type]
    made, new = ledger.add(**{**what, **changed})  # type: ignore[arg-type]

    assert (made.id, made.verdict, new) == ("h-0001", "open", True)
    assert ledger.entry("mine").prediction == GAIN


def test_a_starter_row_is_frozen_before_it_is_kept_and_kept_when_it_is_measured(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="frozen"):
        ledger.add("what I like better", GAIN, id="roles-16-against-4")
    found = ledger.measure("roles-16-against-4", measured(-1, 1))

    assert found.verdict == "refuted"
    assert found.claim == starters()["roles-16-against-4"].claim
    assert [row.id for row in ledger.store.ledger_rows()] == ["roles-16-against-4"]
    assert len(ledger.entries()) == len(starters())


def test_what_others_report_is_judged_only_by_a_measurement_here(ledger: Ledger) -> None:
    assert ledger.measure("others-480b-cpu", Measurement(3.0, 2.8, 3.2, 10)).verdict == "supported"
    assert ledger.entry("others-480b-half-experts").verdict == "reported"


def test_nobody_takes_a_side_after_the_fact(ledger: Ledger) -> None:
    made, _ = ledger.add("a claim", GAIN)
    ledger.credit(made.id, [Credit("critic", 0.7)])
    ledger.measure(made.id, measured(4, 5))
    with pytest.raises(UsageError, match="measured already"):
        ledger.credit(made.id, [Credit("builder", 1.0)])

    assert ledger.entry(made.id).credits == (Credit("critic", 0.7),)


@pytest.mark.parametrize(("value", "low", "high", "n"), [
    (1, 2, 3, 5), (4, 2, 3, 5), (float("nan"), 2, 3, 5), (2, float("-inf"), 3, 5), (2, 1, float("nan"), 5),
    (2, 1, 3, 0)])
def test_a_measurement_is_a_value_inside_a_finite_interval(ledger: Ledger, value: float, low: float, high: float,
                                                           n: int) -> None:
    with pytest.raises(UsageError):
        ledger.measure("roles-16-against-4", Measurement(value, low, high, n))

    assert ledger.store.ledger_rows() == []


def test_a_claim_without_a_prediction_is_kept_but_cannot_be_measured(ledger: Ledger) -> None:
    made, _ = ledger.add("bread is good")

    assert made.verdict == "not_measurable"
    with pytest.raises(UsageError, match="predicts nothing"):
        ledger.measure(made.id, measured(0, 1))


@pytest.mark.parametrize("bad", [
    {"claim": " \n"}, {"claim": "a", "id": "Not A Slug"}, {"claim": "a", "prior": 1.5},
    {"claim": "a", "credits": [Credit("critic", -0.1)]}, {"claim": "a", "credits": [Credit(" ", 0.5)]},
    {"claim": "a", "prediction": replace(GAIN, threshold=float("inf"))},
    {"claim": "a", "prediction": replace(GAIN, direction="sideways")},  # type: ignore[arg-type]
    {"claim": "a", "prediction": replace(GAIN, metric="")}])
def test_what_makes_no_sense_is_refused_before_anything_is_kept(ledger: Ledger, bad: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ledger.add(**bad)  # type: ignore[arg-type]

    assert ledger.store.ledger_rows() == []


@given(st.text(min_size=1).filter(str.strip), st.text(), NUMBERS, st.sampled_from(["up", "down"]))
def test_any_entry_comes_back_as_it_was_frozen(words: str, unit: str, threshold: float, way: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Ledgers(Home(folder)))
        made, _ = ledger.add({"en": words}, Prediction("m", way, threshold, unit), Plan(words))  # type: ignore[arg-type]

        assert made.intact
        assert ledger.entry(made.id) == made


def test_half_an_emoji_in_a_unit_leaves_the_entry_intact(ledger: Ledger) -> None:
    assert ledger.add("a claim", replace(GAIN, unit="\ud83d"))[0].intact


def test_reprs_hold_no_words() -> None:
    entry = settled(Credit("critic", 0.9))

    assert "dough" not in repr(replace(entry, source="dough", plan=Plan("dough")))
