"""What is missed out of fold and in halves of the patients, by hand and against thresholds that break the promise."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit

from candor.decide.gate import Thresholds
from tests.bundles import THREE
from tests.training.predictions.written import write_predictions
from training.__main__ import main
from training.gate.evidence import halvings, missed_shares
from training.gate.evidence_report import as_json, broken, kept, page, simulation_page
from training.gate.guarantee import Promise
from training.gate.simulation import NAMES, POPULATIONS, Sites
from training.gate.thresholds import guaranteed
from training.predictions.table import Predictions
from training.records import Occasion

PROMISE = Promise(max_missed=0.15, confidence=0.8)
NOW = Occasion(date(2026, 1, 2), "command")


def cases(seed: int = 0, patients: int = 400) -> Predictions:
    """Two findings whose probabilities are the true ones, and one of a single patient; some labels unknown."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    truth = rng.beta(1, 2, (len(owner), 3)) * [1, 1, 1e-9] + 1e-12
    labels = (rng.random(truth.shape) < truth).astype(np.float64)
    labels[0, 2] = 1
    labels[::9, 1] = np.nan
    names = np.arange(len(owner)).astype(str)
    sex = np.where(owner % 2, "F", "M")
    return Predictions("St Elsewhere", THREE, names, owner.astype(str), labels, logit(truth), {"sex": sex})


def sites(shown: int = 200, women: int = 5) -> Sites:
    """Two hundred sites that show ABSENT, some of which break the promise in women."""
    size = (200, len(NAMES))
    group_missed = np.zeros(size)
    group_missed[:women, [name for _, name in NAMES].index("F")] = 0.5
    return Sites(
        auc=0.8,
        positives=30,
        absent=np.arange(200) < shown,
        missed=np.full((200, len(POPULATIONS)), [0.1, 0.1, 0.1, 0.2, 0.3]),
        present=np.zeros(200, np.bool_),
        precise=np.full((200, len(POPULATIONS)), np.nan),
        group_absent=np.ones(size, np.bool_),
        group_missed=group_missed,
        ruled_out=np.full(200, 0.25),
    )


def test_a_patient_counts_once_by_the_share_of_the_images_that_are_missed() -> None:
    labels = np.array([[1, 0], [1, 1], [0, np.nan], [1, 0], [1, 0]])
    absent = np.array([[1, 1], [0, 1], [1, 1], [0, 0], [0, 0]]) > 0
    patients, sex = np.array(["a", "a", "a", "b", "c"]), np.array(["F", "F", "F", "M", ""])
    found = missed_shares(labels, absent, patients, {"sex": sex})
    assert set(found) == {"", "F", "M"}
    everyone, women, men = found[""], found["F"], found["M"]
    assert (everyone.positives, women.positives, men.positives) == (4, 2, 1)
    assert everyone.share is not None
    assert women.share is not None
    assert everyone.share.value == pytest.approx((0.5 + 1 + 0 + 0) / 4)
    assert women.share.value == pytest.approx(0.75)
    assert everyone.share.low < everyone.share.value < everyone.share.high
    assert missed_shares(labels[2:3], absent[2:3], patients[2:3], {})[""].share is None


def test_the_promise_is_kept_in_the_other_half_and_a_broken_one_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    found = halvings(cases(), PROMISE, 8)
    assert found.lower[:, :2].all()
    assert not found.lower[:, 2].any()
    assert 0.1 < found.answered[:, :2, 0].mean() < 0.6
    share = kept(found.missed[..., 0], PROMISE, found.lower)
    assert share is not None
    assert share > 0.6
    lax = Promise(max_missed=0.4, confidence=0.8)
    monkeypatch.setattr("training.gate.evidence.guaranteed", lambda p, y, o, g, _: guaranteed(p, y, o, {}, lax))
    found = halvings(cases(), PROMISE, 5)
    share = kept(found.missed[..., 0], PROMISE, found.lower)
    assert share is not None
    assert share < 0.2


def test_what_a_half_measures_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    here = cases(patients=60)
    pair = Thresholds(0.2, 0.6, {"sex": {"F": Thresholds(0.2, 0.6), "M": Thresholds(None, 0.6)}})
    monkeypatch.setattr("training.gate.evidence.guaranteed", lambda *_: [pair] * 3)
    found = halvings(here, PROMISE, 1)
    men = 1 + NAMES.index(("sex", "M"))
    assert (found.answered[0, :, men] == 0).all()
    assert (found.missed[0, :2, men] == 0).all()
    assert found.answered[0, 0, 0] > 0
    assert np.isnan(found.missed[0, :, 1 + NAMES.index(("view", "AP"))]).all()
    assert 0.5 < found.right[0, 0] <= 1


def test_pairs_without_a_positive_miss_none_and_none_is_no_share() -> None:
    missed = np.array([[np.nan, 0.5]])
    assert kept(missed, PROMISE, np.array([[True, True]])) == 0.5
    assert kept(missed, PROMISE, np.array([[False, False]])) is None


def test_the_page_says_which_rate_is_above_the_goal() -> None:
    promise = Promise()
    assert broken(sites(), promise)["F"] == (5, 200)
    assert broken(sites(), promise)["absent"] == (0, 200)
    told = "\n".join(simulation_page([sites()], promise))
    assert "met by all" in told
    assert "| F 2.5% (5 of 200)" in told or "F 2.5% (5 of 200)" in told
    assert "| subtler disease, half a deviation | 100.0% (200 of 200) | none shown |" in told
    told = "\n".join(simulation_page([sites(women=21)], promise))
    assert "NOT met by AUC 0.80 with 30 positives, F: 10.5% (21 of 200)" in told


def test_the_command_writes_page_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_predictions(tmp_path / "cases.csv", cases(patients=150))
    out = tmp_path / "evidence.md"
    given = ["--predictions", str(tmp_path / "cases.csv"), "--splits", "3", "--sites", "2", "--max-missed", "0.15"]
    assert main(["gate-evidence", *given, "--date", "2026-01-02", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert out.read_text() == told
    assert told.startswith("# Evidence: the guarantee\n\nResearch use only, not for diagnosis.\n")
    assert "3 random halvings of the patients (2026-01-02)" in told
    assert "at most 15% of a finding's positives" in told
    record = json.loads(out.with_suffix(".json").read_text())
    assert (record["splits"], record["max_missed"], record["date"]) == (3, 0.15, "2026-01-02")
    assert record["findings"]["Pneumothorax"]["lower_supported"] == 0
    assert len(record["simulation"]) == 15
    assert main(["simulate-promise", "--sites", "1", "--confidence", "0.8"]) == 0
    assert "1 sites of each kind" in capsys.readouterr().out


def test_the_figures_are_json() -> None:
    small = cases(patients=60)
    found = halvings(small, PROMISE, 2)
    assert json.dumps(as_json(small, PROMISE, found, [sites()], NOW), allow_nan=False)
    assert "# Evidence" in "\n".join(page(small, PROMISE, found, [sites()], NOW))
