"""The gate's rule, and that the rule for a cost is the cheapest answer."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.decide.gate import Thresholds
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
