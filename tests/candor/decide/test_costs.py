"""Costs: the cheapest answer, the paper's rule as a special case, and tables that cannot be."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.decide.costs import Costs, costs_of, equal_costs
from candor.decide.gate import Gate, Thresholds, cost_thresholds
from candor.study.errors import SettingsError
from candor.study.findings import Finding
from candor.study.reasons import Reason
from candor.study.result import Decision

COST = st.floats(0.01, 100)
PROBABILITY = st.floats(0, 1)
PAIR = Thresholds(0.1, 0.8)
GATE = Gate(dict.fromkeys([Finding.MASS, Finding.NODULE], PAIR), "fitted")


@given(COST, COST, COST, PROBABILITY)
def test_the_answer_is_the_cheapest(missed: float, false_alarm: float, deferral: float, probability: float) -> None:
    costs = Costs(missed, false_alarm, deferral)
    expected = {
        Decision.PRESENT: (1 - probability) * false_alarm,
        Decision.ABSENT: probability * missed,
        Decision.DEFERRED: deferral,
    }
    decision, _ = cost_thresholds(costs).decide(probability)
    assert expected[decision] <= min(expected.values()) * (1 + 1e-9) + 1e-9


@given(st.floats(0.001, 0.499))
def test_equal_costs_are_the_rule_of_the_paper(cost: float) -> None:
    assert cost_thresholds(equal_costs(cost)) == Thresholds(cost, 1 - cost)


def test_where_deferring_never_pays_nothing_is_deferred() -> None:
    pair = cost_thresholds(Costs(missed=4, false_alarm=1, deferral=100))
    assert pair.hi == pytest.approx(0.2)
    assert pair.decide(0.2)[0] is Decision.PRESENT
    assert pair.decide(math.nextafter(0.2, 0))[0] is Decision.ABSENT


@given(COST, COST, COST, PROBABILITY)
def test_a_learned_p_wrong_that_says_what_the_probability_says_changes_nothing(
    missed: float, false_alarm: float, deferral: float, probability: float
) -> None:
    costs = Costs(missed, false_alarm, deferral)
    gate = GATE.with_costs({None: costs})
    # on a threshold itself rounding decides
    edges = (costs.even, deferral / missed, 1 - deferral / false_alarm)
    if min(abs(probability - edge) for edge in edges) < 1e-9:
        return
    wrong = 1 - probability if probability >= costs.even else probability
    assert gate.decide(Finding.MASS, probability, wrong) == gate.decide(Finding.MASS, probability)


def test_costs_take_the_learned_p_wrong_for_the_probability_s_own() -> None:
    gate = GATE.with_costs({None: Costs(missed=1, false_alarm=1, deferral=0.2)})
    assert gate.decide(Finding.MASS, 0.4) == (Decision.DEFERRED, Reason.COST)
    assert gate.decide(Finding.MASS, 0.4, 0.1) == (Decision.ABSENT, None)
    assert gate.decide(Finding.MASS, 0.9, 0.1) == (Decision.PRESENT, None)
    assert gate.decide(Finding.MASS, 0.9, 0.3) == (Decision.DEFERRED, Reason.COST)


@given(PROBABILITY, PROBABILITY)
def test_elsewhere_a_learned_p_wrong_only_turns_answers_into_deferrals(probability: float, wrong: float) -> None:
    alone, _ = GATE.decide(Finding.MASS, probability)
    decision, reason = GATE.decide(Finding.MASS, probability, wrong)
    if alone is Decision.DEFERRED or wrong <= GATE.wrong_allowed:
        assert decision is alone
    else:
        assert (decision, reason) == (Decision.DEFERRED, Reason.LIKELY_WRONG)


def test_findings_without_costs_keep_their_thresholds_and_the_words_say_so() -> None:
    gate = GATE.with_costs({Finding.MASS: Costs(5, 1, 0.5)})
    assert gate.thresholds == {Finding.MASS: Thresholds(0.1, 0.5), Finding.NODULE: PAIR}
    assert gate.description == "costs: missed 5, false alarm 1, deferral 0.5; Nodule: fitted"
    assert GATE.with_costs({}) is GATE


def test_the_default_holds_for_whom_is_not_named() -> None:
    gate = GATE.with_costs({None: equal_costs(0.25), Finding.NODULE: equal_costs(0.125)})
    assert gate.thresholds == {Finding.MASS: Thresholds(0.25, 0.75), Finding.NODULE: Thresholds(0.125, 0.875)}
    assert gate.description == (
        "costs: Mass missed 1, false alarm 1, deferral 0.25; Nodule missed 1, false alarm 1, deferral 0.125"
    )


def test_a_table_is_read_by_the_names_of_findings() -> None:
    entry = {"missed": 5, "false_alarm": 1, "deferral": 0.5}
    assert costs_of({"default": entry, "pleural thickening": entry}) == {
        None: Costs(5, 1, 0.5),
        Finding.PLEURAL_THICKENING: Costs(5, 1, 0.5),
    }


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ([], r"costs is \[\]; it must be null, or costs for findings by name, or for 'default'"),
        ({}, "costs is {}"),
        ({"Mas": {}}, "unknown finding 'Mas'; did you mean 'Mass'?"),
        ({"Mass": {"missed": 1}}, "costs of Mass are .* give missed, false_alarm, deferral"),
        ({"Mass": 1}, "costs of Mass are 1; give missed"),
        ({"Mass": {"missed": 1, "false_alarm": 0, "deferral": 1}}, "costs of Mass: false_alarm is 0; it must be a fin"),
        ({"Mass": {"missed": True, "false_alarm": 1, "deferral": 1}}, "missed is True"),
        ({"Mass": {"missed": 1, "false_alarm": 1, "deferral": math.inf}}, "deferral is inf"),
        ({"Mass": {"missed": 1, "false_alarm": 1, "deferral": "x"}}, "deferral is 'x'"),
    ],
)
def test_a_table_that_cannot_be_is_refused(table: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        costs_of(table)
