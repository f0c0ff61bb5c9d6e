"""The gate's rule, and that the rule for a cost is the cheapest answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.decide.calibration import sigmoid
from candor.decide.costs import Costs
from candor.decide.gate import EVEN, Gate, Thresholds
from candor.study.findings import Finding
from candor.study.reasons import Reason
from candor.study.result import Decision

PROBABILITY = st.floats(0, 1)
PAIRS = st.tuples(st.none() | PROBABILITY, st.none() | PROBABILITY).filter(
    lambda pair: pair[0] is None or pair[1] is None or pair[0] < pair[1]
)


@pytest.mark.parametrize(
    ("lo", "hi", "probability", "decision", "reason"),
    [
        (0.2, 0.7, 0.0, Decision.ABSENT, None),
        (0.2, 0.7, 0.2, Decision.ABSENT, None),
        (0.2, 0.7, math.nextafter(0.2, 1), Decision.DEFERRED, Reason.BETWEEN_THRESHOLDS),
        (0.2, 0.7, math.nextafter(0.7, 0), Decision.DEFERRED, Reason.BETWEEN_THRESHOLDS),
        (0.2, 0.7, 0.7, Decision.PRESENT, None),
        (0.2, 0.7, 1.0, Decision.PRESENT, None),
        (None, 0.7, 0.0, Decision.DEFERRED, Reason.BETWEEN_THRESHOLDS),
        (0.2, None, 1.0, Decision.DEFERRED, Reason.BETWEEN_THRESHOLDS),
        (None, None, 0.0, Decision.DEFERRED, Reason.UNSUPPORTED),
        (None, None, 1.0, Decision.DEFERRED, Reason.UNSUPPORTED),
    ],
)
def test_decisions(
    lo: float | None, hi: float | None, probability: float, decision: Decision, reason: Reason | None
) -> None:
    assert Thresholds(lo, hi).decide(probability) == (decision, reason)


@given(PAIRS, PROBABILITY, PROBABILITY)
def test_a_likelier_finding_is_never_answered_lower(
    pair: tuple[float | None, float | None], one: float, other: float
) -> None:
    rank = {Decision.ABSENT: 0, Decision.DEFERRED: 1, Decision.PRESENT: 2}
    lower, higher = (rank[Thresholds(*pair).decide(p)[0]] for p in sorted((one, other)))
    assert lower <= higher


@given(PAIRS, PROBABILITY)
def test_a_reason_stands_with_every_deferral_and_with_nothing_else(
    pair: tuple[float | None, float | None], probability: float
) -> None:
    decision, reason = Thresholds(*pair).decide(probability)
    assert (decision is Decision.DEFERRED) == (reason is not None)


@pytest.mark.parametrize(("lo", "hi"), [(0.7, 0.2), (0.5, 0.5), (-0.1, 0.5), (0.5, 1.1), (math.nan, 0.5)])
def test_thresholds_that_cross_or_leave_the_range_are_refused(lo: float, hi: float) -> None:
    with pytest.raises(ValueError, match=r"must be below|lies in"):
        Thresholds(lo, hi)


ODDS = st.floats(-12, 12)
SHIFTS = st.floats(-6, 6)


def at(odds: float) -> float:
    """The probability of log-odds."""
    return float(sigmoid(np.asarray(odds)))


@given(ODDS, ODDS, ODDS, SHIFTS)
def test_a_prevalence_changes_no_answer_but_one_that_its_probability_contradicts(
    one: float, other: float, odds: float, shift: float
) -> None:
    lo, hi = sorted((min(one, -1e-6), max(other, 0.0)))
    pair = Thresholds(at(lo), at(hi))
    for score in (odds, lo, hi):  # the images that the thresholds were set at are among them
        before, after = pair.decide(at(score))[0], pair.moved(shift).decide(at(score + shift))[0]
        contradicted = (before is Decision.ABSENT and score + shift >= 0) or (
            before is Decision.PRESENT and score + shift < 0
        )
        if abs(score + shift) > 1e-6:
            assert after is (Decision.DEFERRED if contradicted else before)


@given(PAIRS, PROBABILITY, SHIFTS)
def test_no_answer_is_new_at_another_prevalence(
    pair: tuple[float | None, float | None], probability: float, shift: float
) -> None:
    thresholds = Thresholds(*pair)
    moved = thresholds.moved(shift)
    assert (moved.lo is None, moved.hi is None) == (thresholds.lo is None, thresholds.hi is None)
    if 1e-6 < probability < 1 - 1e-6:
        odds = math.log(probability / (1 - probability))
        nearest = min((abs(odds - math.log(t / (1 - t))) for t in pair if t is not None and 0 < t < 1), default=1.0)
        if nearest > 1e-6:
            assert moved.decide(at(odds + shift))[0] in (thresholds.decide(probability)[0], Decision.DEFERRED)


def test_the_ends_stay_and_a_hand_made_gate_is_not_raised_to_even() -> None:
    assert Thresholds(0.0, 1.0).moved(2.0) == Thresholds(0.0, 1.0)
    moved = Thresholds(0.1, 0.3).moved(0.5)
    assert moved.hi == pytest.approx(at(math.log(0.3 / 0.7) + 0.5))
    assert Thresholds(0.1, 0.3).moved(-0.5).hi == 0.3
    assert Thresholds(math.nextafter(EVEN, 0), EVEN).moved(3.0).lo == math.nextafter(EVEN, 0)


def test_a_gate_moves_the_findings_of_the_site_and_says_what_then_holds() -> None:
    gate = Gate(dict.fromkeys((Finding.MASS, Finding.NODULE), Thresholds(0.1, 0.8)), "a promise", fitted_to="here")
    assert gate.at_prevalence({Finding.MASS: 0.0}) is gate
    site = gate.at_prevalence({Finding.MASS: -0.5})
    assert site.thresholds == {Finding.MASS: Thresholds(0.1, 0.8).moved(-0.5), Finding.NODULE: Thresholds(0.1, 0.8)}
    assert site.description.startswith(
        "a promise; thresholds moved with the site's prevalence of Mass: a bound on miss"
    )
    assert site.fitted_to == "here"


GROUPED = Thresholds(
    0.3,
    0.7,
    {
        "sex": {"F": Thresholds(0.1, 0.7), "M": Thresholds(0.3, None)},
        "view": {"AP": Thresholds(0.2, 0.9), "PA": Thresholds(0.3, 0.7)},
    },
)


@pytest.mark.parametrize(
    ("groups", "lo", "hi"),
    [
        ({"sex": "F", "view": "PA"}, 0.1, 0.7),
        ({"sex": "F", "view": "AP"}, 0.1, 0.9),
        ({"sex": "M", "view": "PA"}, 0.3, None),
        ({"sex": "M"}, 0.2, None),
        ({"sex": "O", "view": "PA"}, 0.1, None),
        ({"age": "under 40"}, 0.1, None),
    ],
)
def test_an_image_is_answered_where_its_groups_agree_and_where_one_is_unknown_if_all_of_them_do(
    groups: dict[str, str], lo: float, hi: float | None
) -> None:
    assert GROUPED.within(groups) == Thresholds(lo, hi)


def test_thresholds_within_thresholds_hold_where_their_groups_meet() -> None:
    women = Thresholds(0.2, 0.7, {"age": {"under 40": Thresholds(0.1, 0.7), "40 to 59": Thresholds(0.2, None)}})
    men = Thresholds(0.3, 0.7, {"age": {"under 40": Thresholds(0.3, 0.7), "40 to 59": Thresholds(None, 0.7)}})
    pair = Thresholds(0.3, 0.7, {"sex": {"F": women, "M": men}})
    assert pair.within({"sex": "F", "age": "40 to 59"}) == Thresholds(0.2, None)
    assert pair.within({"sex": "M", "age": "under 40"}) == Thresholds(0.3, 0.7)
    assert pair.within({"sex": "F"}) == Thresholds(0.1, None)
    assert pair.within({"age": "under 40"}) == Thresholds(0.1, 0.7)
    assert pair.within({}) == Thresholds(None, None)
    assert pair.decide(0.25, {"sex": "M", "age": "under 40"}) == (Decision.ABSENT, None)
    assert pair.decide(0.25, {"sex": "F", "age": "40 to 59"}) == (Decision.DEFERRED, Reason.GROUP)
    assert pair.moved(0.5).within({"sex": "F"}) == pair.within({"sex": "F"}).moved(0.5)


def test_what_only_a_group_keeps_from_an_answer_is_deferred_with_a_reason_of_its_own() -> None:
    women = {"sex": "F", "view": "PA"}
    assert GROUPED.decide(0.1, women) == (Decision.ABSENT, None)
    assert GROUPED.decide(0.2, women) == (Decision.DEFERRED, Reason.GROUP)
    assert GROUPED.decide(0.31, women) == (Decision.DEFERRED, Reason.BETWEEN_THRESHOLDS)
    assert GROUPED.decide(0.7, women) == (Decision.PRESENT, None)
    assert GROUPED.decide(0.7, {"sex": "M", "view": "PA"}) == (Decision.DEFERRED, Reason.GROUP)
    assert GROUPED.decide(0.2) == (Decision.DEFERRED, Reason.GROUP)
    never = Thresholds(0.3, None, {"sex": {"F": Thresholds(None, None), "M": Thresholds(0.3, None)}})
    assert never.decide(0.5, {"sex": "F"}) == (Decision.DEFERRED, Reason.BETWEEN_THRESHOLDS)


def test_at_another_prevalence_the_thresholds_of_groups_move_too() -> None:
    moved = GROUPED.moved(0.5)
    assert moved.groups["sex"]["F"] == GROUPED.groups["sex"]["F"].moved(0.5)
    assert moved.within({"sex": "F", "view": "AP"}) == GROUPED.within({"sex": "F", "view": "AP"}).moved(0.5)


def test_costs_know_no_groups() -> None:
    gate = Gate({Finding.MASS: GROUPED}, "fitted").with_costs({None: Costs(1, 1, 0.3)})
    assert gate.decide(Finding.MASS, 0.29, groups={"sex": "F"}) == (Decision.ABSENT, None)


@given(PAIRS, PAIRS, PAIRS, PROBABILITY)
def test_a_group_only_ever_turns_an_answer_into_a_deferral(
    pair: tuple[float | None, float | None],
    one: tuple[float | None, float | None],
    other: tuple[float | None, float | None],
    probability: float,
) -> None:
    groups = {"sex": {"F": Thresholds(*one), "M": Thresholds(*other)}}
    whole = Thresholds(*pair).decide(probability)[0]
    for sex in ({"sex": "F"}, {"sex": "M"}, {}):
        try:
            decision, reason = Thresholds(*pair, groups).decide(probability, sex)
        except ValueError:
            continue  # thresholds of groups that cross those of the whole are not fitted
        assert decision in (whole, Decision.DEFERRED)
        assert (decision is Decision.DEFERRED) == (reason is not None)


def test_thresholds_of_single_groups_move_too() -> None:
    groups = {"view": {"AP": Thresholds(0.05, None), "PA": Thresholds(0.2, 0.8)}}
    moved = Thresholds(0.1, 0.7, groups).moved(-0.5)
    assert moved.groups == {"view": {name: pair.moved(-0.5) for name, pair in groups["view"].items()}}
    assert (moved.lo, moved.hi) == (Thresholds(0.1, 0.7).moved(-0.5).lo, Thresholds(0.1, 0.7).moved(-0.5).hi)
    for name in groups["view"]:
        for odds in (-3.5, -2.5, -1.0, 1.2, 2.0):
            before = Thresholds(0.1, 0.7, groups).decide(at(odds), {"view": name})
            assert moved.decide(at(odds - 0.5), {"view": name}) == before
