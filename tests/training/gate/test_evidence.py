"""The evidence about the guarantee: its counts by hand, and that it shows which guarantee is kept."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit

from tests.bundles import THREE
from tests.training.predictions.written import write_predictions
from training.__main__ import main
from training.gate.evidence import expected_kept, gate_evidence, shared, view
from training.gate.evidence_report import as_json, page, share_kept
from training.gate.guarantee import Promise
from training.gate.thresholds import guaranteed, misses_allowed
from training.predictions.table import Predictions
from training.records import Occasion

PROMISE = Promise(max_missed=0.15, confidence=0.8)


def cases(seed: int = 0, patients: int = 400) -> Predictions:
    """Two findings whose probabilities are the true ones, and one of a single patient; some labels unknown."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), rng.integers(1, 4, patients)).astype(str)
    truth = rng.beta(1, 2, (len(owner), 3)) * [1, 1, 1e-9] + 1e-12
    labels = (rng.random(truth.shape) < truth).astype(np.float64)
    labels[0, 2] = 1
    labels[::9, 1] = np.nan
    names = np.arange(len(owner)).astype(str)
    return Predictions("St Elsewhere", THREE, names, owner, labels, logit(truth))


def test_each_patient_weighs_as_one_image() -> None:
    counted = np.array([[1, 1], [1, 0], [0, 0], [1, 1]], np.bool_)
    weights = shared(counted, np.array(["a", "a", "b", "b"]))
    np.testing.assert_array_equal(weights, [[0.5, 1], [0.5, 0], [0, 0], [1, 1]])


def test_a_view_by_hand() -> None:
    absent = np.array([[1, 0], [1, 0], [0, 0], [0, 0]], np.bool_)
    present = np.array([[0, 0], [0, 0], [1, 0], [0, 0]], np.bool_)
    positive = np.array([[1, 0], [0, 0], [1, 0], [1, 0]], np.bool_)
    known = np.array([[1, 0], [1, 0], [1, 0], [1, 0]], np.bool_)
    weight = np.array([[0.5], [0.5], [1], [1]]) * np.ones(2)
    found = view(absent, present, positive, known, weight, np.ones((4, 2)))
    assert found.missed[0] == pytest.approx(1 / 3)
    assert (found.absent[0], found.present[0]) == pytest.approx((1 / 3, 1 / 3))
    assert (found.npv[0], found.ppv[0], found.prevalence[0]) == pytest.approx((0.5, 1, 2.5 / 3))
    assert np.isnan(found.missed[1])


def test_a_guarantee_is_seen_kept_about_as_often_as_exchangeability_says() -> None:
    found = gate_evidence(cases(), PROMISE, 40)
    supported = found.lower[:, :2]
    assert supported.all()
    kept = share_kept(found.drawn[:, :2], PROMISE, supported)
    expected = np.nanmean(found.expected)
    assert kept == pytest.approx(expected, abs=0.15)
    assert PROMISE.confidence - 0.25 < expected < PROMISE.confidence
    assert not found.lower[:, 2].any()
    assert np.isnan(found.expected[:, 2]).all()
    assert 0.1 < found.every.absent[:, :2].mean() < 0.6


def test_the_expected_share_is_that_of_shuffled_halves() -> None:
    """Whatever the scores: of 40 positives in either half, how many of one lie below the other's order statistic."""
    rng = np.random.default_rng(0)
    allowed = misses_allowed(40, PROMISE)
    assert allowed is not None
    within = []
    for _ in range(4000):
        scores = rng.random(80)
        border = np.sort(scores[:40])[allowed]
        within.append((scores[40:] < border).sum() <= math.floor(0.15 * 40))
    expected = expected_kept(np.array([40, 2]), np.array([40, 2]), PROMISE)
    assert expected[0] == pytest.approx(np.mean(within), abs=0.025)
    assert np.isnan(expected[1])


def test_a_broken_guarantee_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    lax = Promise(max_missed=0.4, confidence=0.8)
    monkeypatch.setattr("training.gate.evidence.guaranteed", lambda p, y, d, _: guaranteed(p, y, d, lax))
    found = gate_evidence(cases(), PROMISE, 5)
    kept = share_kept(found.once.missed, PROMISE, found.lower)
    assert kept is not None
    assert kept < 0.2
    text = "\n".join(page(cases(), PROMISE, found, Occasion(date(2026, 1, 2), "command")))
    assert "one image a patient NOT met" in text


def test_pairs_without_a_positive_miss_none_and_none_is_no_share() -> None:
    missed = np.array([[np.nan, 0.5]])
    assert share_kept(missed, PROMISE, np.array([[True, True]])) == 0.5
    assert share_kept(missed, PROMISE, np.array([[False, False]])) is None


def test_the_command_writes_page_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_predictions(tmp_path / "cases.csv", cases(patients=150))
    out = tmp_path / "evidence.md"
    given = ["--predictions", str(tmp_path / "cases.csv"), "--splits", "3", "--max-missed", "0.15", "--date"]
    assert main(["gate-evidence", *given, "2026-01-02", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert out.read_text() == told
    assert told.startswith("# Evidence: the guarantee\n\nResearch use only, not for diagnosis.\n")
    assert "3 random halvings of the patients (2026-01-02)" in told
    assert "at most 15% of a finding's positives" in told
    record = json.loads(out.with_suffix(".json").read_text())
    assert (record["splits"], record["max_missed"], record["date"]) == (3, 0.15, "2026-01-02")
    assert record["findings"]["Pneumothorax"]["lower_supported"] == 0
    assert record["kept"]["drawn"]["all"] >= record["kept"]["drawn"]["supported"]
    assert main(["gate-evidence", *given, "2026-01-02", "--confidence", "0.8"]) == 0
    assert "with 80% confidence" in capsys.readouterr().out


def test_the_figures_are_json() -> None:
    small = cases(patients=60)
    found = gate_evidence(small, PROMISE, 2)
    assert json.dumps(as_json(small, PROMISE, found, Occasion(date(2026, 1, 2), "c")))
