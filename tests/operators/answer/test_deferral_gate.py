"""The gate's operator: thresholds, image-wide deferrals, costs, and a learned gate where the bundle has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from candor.decide.calibration import IDENTITY, Calibration, LogitMap
from candor.decide.costs import Costs
from candor.decide.gate import Gate, Thresholds
from candor.study.case import CaseImage
from candor.study.findings import Finding
from candor.study.policy import Action
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from candor.study.result import Decision, Heatmap
from operators.answer import deferral_gate
from operators.answer.deferral_gate import DeferralGate
from operators.graph.sdk import Application

FINDINGS = (Finding.MASS, Finding.EFFUSION)
CALIBRATION = Calibration(dict.fromkeys(FINDINGS, LogitMap(IDENTITY, 0.5, 0.5)), "as it is")
GATE = Gate(dict.fromkeys(FINDINGS, Thresholds(0.2, 0.8)), "fitted")


def image(*probabilities: float) -> CaseImage:
    made = CaseImage("a.dcm", Path("a.dcm"), Dataset())
    p = np.asarray(probabilities)
    made.logits, made.probabilities = np.log(p / (1 - p)).astype(np.float32), p
    made.activation = np.zeros((len(p), 2, 2), np.float32)
    made.heatmaps = tuple(Heatmap(np.zeros((2, 2), np.float32), "") for _ in p)
    made.radiograph = Radiograph(np.full((64, 64), 0.5, np.float32))
    return made


FRAGMENT = Application()  # it must outlive its operators


def decided(made: CaseImage, gate: Gate = GATE, **parts: Any) -> list[tuple[Decision, Reason | None]]:
    operator = DeferralGate(FRAGMENT, name="gate", gate=gate, calibration=CALIBRATION, **parts)
    operator.work_on(made)
    return [(result.decision, result.reason) for result in made.results]


class LearnedGate:
    """Says what it is told, and remembers what it was asked."""

    limit = 0.25

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *wrong: float, lung_field: bool = False) -> None:
        self.lung_field, self.asked = lung_field, []
        monkeypatch.setattr(deferral_gate, "p_wrong", self._p_wrong(wrong))

    def _p_wrong(self, wrong: tuple[float, ...]) -> Any:
        def p_wrong(model: Any, calibration: Any, logits: Any, activation: Any, field: Any, present: Any) -> Any:
            self.asked.append((field, list(present)))
            return np.asarray(wrong)

        return p_wrong


class Lungs:
    def __init__(self, mask: np.ndarray) -> None:
        self._mask = mask

    def mask(self, radiograph: Radiograph) -> np.ndarray:
        return self._mask


def test_without_a_learned_gate_the_probability_says_how_likely_it_is_wrong() -> None:
    made = image(0.125, 0.875)
    assert decided(made) == [(Decision.ABSENT, None), (Decision.PRESENT, None)]
    assert [result.wrong for result in made.results] == [0.125, 0.125]


def test_an_image_that_a_check_deferred_is_deferred_in_every_finding() -> None:
    made = image(0.01, 0.99)
    made.follow(Action.DEFER, Reason.INVERTED, "")
    made.follow(Action.DEFER, Reason.PAEDIATRIC, "")
    assert decided(made) == [(Decision.DEFERRED, Reason.INVERTED)] * 2
    assert made.results[0].probability == pytest.approx(0.01)


def test_a_learned_gate_turns_answers_into_deferrals(monkeypatch: pytest.MonkeyPatch) -> None:
    learned, made = LearnedGate(monkeypatch, 0.3, 0.1), image(0.1, 0.9)
    assert decided(made, learned_gate=learned) == [(Decision.DEFERRED, Reason.LIKELY_WRONG), (Decision.PRESENT, None)]
    assert [result.wrong for result in made.results] == [0.3, 0.1]
    assert learned.asked == [(None, [False, True])]


def test_costs_ask_the_learned_gate_about_the_answer_that_they_favour(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = LearnedGate(monkeypatch, 0.1, 0.1)
    gate = GATE.with_costs({Finding.MASS: Costs(missed=4, false_alarm=1, deferral=0.5)})
    decisions = decided(image(0.3, 0.3), gate, learned_gate=learned)
    assert decisions == [(Decision.PRESENT, None), (Decision.DEFERRED, Reason.BETWEEN_THRESHOLDS)]
    assert learned.asked == [(None, [True, False])]


@pytest.mark.parametrize("wanted", [True, False])
def test_the_lung_field_is_looked_for_where_the_learned_gate_wants_it(
    monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    mask = np.zeros((128, 128), np.bool_)
    mask[30:100, 20:55] = mask[30:100, 73:108] = True
    learned = LearnedGate(monkeypatch, 0.1, 0.1, lung_field=wanted)
    decided(image(0.1, 0.9), learned_gate=learned, lungs=Lungs(mask))
    assert (learned.asked[0][0] is mask) == wanted


def test_a_lung_field_that_cannot_be_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = LearnedGate(monkeypatch, 0.1, 0.1, lung_field=True)
    decided(image(0.1, 0.9), learned_gate=learned, lungs=Lungs(np.zeros((128, 128), np.bool_)))
    assert learned.asked[0][0] is None


@pytest.mark.parametrize(
    ("view", "decision"), [("PA", Decision.ABSENT), ("AP", Decision.DEFERRED), ("", Decision.DEFERRED)]
)
def test_a_threshold_that_does_not_hold_in_a_view_defers_there_and_where_the_view_is_unknown(
    view: str, decision: Decision
) -> None:
    views = {"AP": Thresholds(None, 0.8), "PA": Thresholds(0.2, 0.8)}
    made = image(0.1, 0.1)
    if view:
        made.header = Dataset()
        made.header.ViewPosition = view
    gate = Gate({Finding.MASS: Thresholds(0.2, 0.8, {"view": views}), Finding.EFFUSION: Thresholds(0.2, 0.8)}, "fitted")
    reason = None if decision is Decision.ABSENT else Reason.GROUP
    assert decided(made, gate) == [(decision, reason), (Decision.ABSENT, None)]
