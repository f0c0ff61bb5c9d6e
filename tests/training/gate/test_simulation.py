"""The simulated sites: their truth is that of a large sample, and a lax rule breaks the promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtri

from candor.decide.gate import Thresholds
from candor.decide.groups import GROUPS
from training.gate import simulation
from training.gate.guarantee import Promise
from training.gate.simulation import NAMES, PREVALENCE, Sites, simulate
from training.gate.thresholds import Cases, called, lower_threshold
from training.statistics.patient_auc import patient_auc, patient_means


def one_kind(monkeypatch: pytest.MonkeyPatch, auc: float, positives: int, sites: int) -> Sites:
    monkeypatch.setattr(simulation, "AUCS", (auc,))
    monkeypatch.setattr(simulation, "POSITIVES", (positives,))
    (found,) = simulate(Promise(), sites)
    return found


def test_the_truth_of_thresholds_is_what_a_large_site_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = {"F": Thresholds(0.03, 0.6), "M": Thresholds(0.06, None)}
    pair, seen = Thresholds(0.06, 0.6, {"sex": sides}), []

    def fit(cases: Cases, _: Promise) -> Thresholds:
        seen.append(cases)
        return pair

    monkeypatch.setattr(simulation, "fit_thresholds", fit)
    found = one_kind(monkeypatch, 0.8, 20_000, 1)
    (cases,) = seen
    assert patient_auc(cases.probabilities, cases.labels, cases.owner).value == pytest.approx(0.8, abs=0.02)
    absent, present = called(cases.probabilities, pair, cases.groups)
    shown = cases.labels
    (missed,) = patient_means(cases.owner[shown], absent[shown])
    assert found.missed[0, 0] == pytest.approx(missed.mean(), abs=0.005)
    women = shown & (cases.groups["sex"] == "F")
    (missed,) = patient_means(cases.owner[women], absent[women])
    assert found.group_missed[0, NAMES.index(("sex", "F"))] == pytest.approx(missed.mean(), abs=0.005)
    assert found.ruled_out[0] == pytest.approx(absent[~shown].mean(), abs=0.01)
    first = np.append(True, cases.owner[1:] != cases.owner[:-1])
    assert found.precise[0, 0] == pytest.approx(shown[first & present].mean(), abs=0.03)
    assert first.sum() == round(20_000 / PREVALENCE)
    assert found.missed[0, 3] > found.missed[0, 0]  # subtler disease
    assert found.missed[0, 1] == found.missed[0, 0]  # another prevalence
    assert found.precise[0, 1] < found.precise[0, 0] < found.precise[0, 2]


def test_what_is_said_to_nobody_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    never = {"AP": Thresholds(None, None), "PA": Thresholds(0.05, None)}
    monkeypatch.setattr(simulation, "fit_thresholds", lambda *_: Thresholds(0.05, None, {"view": never}))
    found = one_kind(monkeypatch, 0.7, 30, 2)
    assert found.absent.all()
    assert not found.present.any()
    assert not found.group_absent[:, NAMES.index(("view", "AP"))].any()
    assert found.group_absent[:, NAMES.index(("sex", "F"))].all()
    assert (found.group_missed[:, NAMES.index(("view", "AP"))] == 0).all()


def test_the_same_seed_gives_the_same_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = (one_kind(monkeypatch, 0.8, 30, 3) for _ in range(2))
    np.testing.assert_array_equal(first.missed, again.missed)
    assert len(np.unique(first.missed[:, 0])) > 1


def test_groups_and_auc_bring_the_rate_down_where_a_threshold_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them the promise is broken in women and in the young far more often than in all patients."""
    under_40 = NAMES.index(("age", "under 40"))
    held = one_kind(monkeypatch, 0.8, 100, 60)
    monkeypatch.setattr(simulation, "fit_thresholds", lambda c, p: Thresholds(lower_threshold(c, p), None))
    free = one_kind(monkeypatch, 0.8, 100, 60)
    assert held.absent.all()
    assert (held.group_missed[:, under_40] > 0.1).mean() <= 0.1
    assert (free.group_missed[:, under_40] > 0.1).mean() > 0.2
    assert held.ruled_out.mean() > 0.6 * free.ruled_out.mean()


def test_the_groups_are_as_frequent_as_stated() -> None:
    shares = [sum(simulation.GROUP_SHARES[attribute]) for attribute in GROUPS]
    assert shares == pytest.approx([1, 1, 1])
    assert float(simulation._SHARE.sum()) == pytest.approx(1)
    assert float(simulation._SHARE @ simulation._CENTRED) == pytest.approx(0)
    assert math.sqrt(2) * ndtri(0.8) == pytest.approx(1.19, abs=0.01)
