"""Fitting a bundle's gate to a site's own cases: guarantee and workload, what the bundle says, what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from candor.model.bundle import CALIBRATION, GATE, load_bundle, load_calibration, load_model
from candor.study.errors import DataError
from candor.study.result import Decision
from tests.bundles import THREE, make_bundle
from tests.results import write_results_json
from tests.training.predictions.written import write_predictions
from training.__main__ import EXIT_UNUSABLE, main
from training.data.readers import read_dataset
from training.data.splits import Subset
from training.gate.coverage import Coverage
from training.gate.fit import ASSUMPTION, NO_GUARANTEE, fit_gate, fit_gate_to
from training.gate.guarantee import Promise
from training.gate.report import gate_report
from training.gate.thresholds import cases_of, gate_groups, guaranteed, lower_threshold
from training.predictions.table import Predictions
from training.records import Occasion
from training.statistics.patient_auc import patient_means

NOW = Occasion(date(2026, 1, 2), "python -m training fit-gate")


def site(seed: int = 0, images: int = 500) -> Predictions:
    """A site's cases, up to three images a patient: two findings that the network tells, and one that is rare."""
    rng = np.random.default_rng(seed)
    patients = np.sort(rng.integers(0, images // 2, images)).astype(str)
    labels = (rng.random((images, 3)) < [0.3, 0.4, 0.01]).astype(np.float64)
    logits = 2.5 * rng.normal(size=(images, 3)) + 5 * labels - 3
    labels[::7, 1] = np.nan
    groups = {"sex": np.where(np.arange(images) % 2, "F", "M"), "age group": np.full(images, "18 to 39")}
    return Predictions("St Elsewhere", THREE, np.arange(images).astype(str), patients, labels, logits, groups)


@pytest.fixture
def bundle(random_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that may be changed."""
    return Path(shutil.copytree(random_bundle, tmp_path / "cxr"))


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """The table of the site's cases."""
    write_predictions(tmp_path / "cases.csv", site())
    return tmp_path / "cases.csv"


def gate_of(bundle: Path) -> dict[str, Any]:
    """The gate's file."""
    content: dict[str, Any] = json.loads((bundle / GATE).read_text())
    return content


def fit(bundle: Path, cases: Path, *more: str) -> int:
    """Run the verb."""
    given = ["--bundle", str(bundle), "--predictions", str(cases), "--date", "2026-01-02", *more]
    return main(["fit-gate", *given])


def test_a_site_fits_both_to_its_own_cases(bundle: Path, cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--bundle", str(bundle), "--predictions", str(cases), "--site", "St Elsewhere"]) == 0
    capsys.readouterr()
    assert fit(bundle, cases, "--site", "St Elsewhere", "--max-missed", "0.2") == 0
    told = capsys.readouterr().out
    loaded, record = load_bundle(bundle), gate_of(bundle)
    patients = len(set(site().patients))
    assert loaded.gate.description == record["description"]
    assert record["description"] == (
        "guarantee, for each finding by itself: at most 20% of a finding's positives are called absent, and at least "
        f"50% of those called present are positive, each with 90% confidence, for patients like the {patients} of St "
        "Elsewhere of its fit, each patient counted once (2026-01-02)"
    )
    assert record["description"] in told
    assert record["assumption"] == ASSUMPTION
    assert ASSUMPTION in told
    assert (record["kind"], record["data"], record["date"]) == ("guarantee", "St Elsewhere", "2026-01-02")
    assert (record["images"], record["patients"], record["max_missed"]) == (500, patients, 0.2)
    assert loaded.gate.thresholds[THREE[0]].lo is not None
    rare = record["findings"][THREE[2].label]
    assert rare["lo"] is None
    assert 0 < rare["positives"] < rare["positives_needed"] == Promise(0.2).positives_needed
    assert rare["patients_needed"] == -(-rare["positives_needed"] * patients // rare["positives"])
    assert f"- Pneumothorax, absent: {rare['lo_unsupported']}" in told
    assert f"some {rare['patients_needed']:,} patients like these {patients}" in rare["lo_unsupported"]


def test_the_thresholds_are_those_at_the_bundles_own_probabilities_and_the_bundle_loads_them(bundle: Path) -> None:
    model, here = load_model(bundle), site()
    fitted = fit_gate_to(model, here, Promise(), NOW)
    probabilities = load_calibration(model).probabilities(here.logits)
    pairs = guaranteed(probabilities, here.labels, here.patients, gate_groups(here.groups), Promise())
    assert pairs[0].groups["sex"]["F"].lo is not None
    assert pairs[0].within({"sex": "F", "age": "under 40"}).lo is not None
    assert pairs[0].within({"sex": "F", "age": "60 and over"}).lo is None  # all are under 40
    assert list(load_bundle(bundle).gate.thresholds.values()) == list(fitted.gate.thresholds.values()) == pairs
    known = ~np.isnan(here.labels[:, 1])
    assert fitted.facts[THREE[1]]["patients"] == len(set(here.patients[known]))
    having = set(here.patients[here.labels[:, 1] > 0])
    assert fitted.facts[THREE[1]]["positives"] == len(having)


def test_the_report_tells_the_range_of_the_thresholds_and_where_a_finding_is_never_answered(bundle: Path) -> None:
    fitted = fit_gate_to(load_model(bundle), site(), Promise(), NOW)
    row = next(
        line for line in "\n\n".join(gate_report(fitted, Promise())).splitlines() if f"| {THREE[0].label} |" in line
    )
    lows = sorted(fitted.gate.thresholds[THREE[0]].within({"sex": sex, "age": "under 40"}).lo or 0 for sex in "FM")
    assert f"| {lows[0]:.4f} to {lows[1]:.4f} |" in row
    assert "60 and over (never absent)" in row
    assert "F (never" not in row
    assert "under 40 (never" not in row
    facts = fitted.facts[THREE[0]]
    assert f"| {facts['missed']:g} of {facts['positives']} |" in row


def test_a_workload_says_that_it_promises_nothing(
    bundle: Path, cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(bundle, cases, "--coverage", "0.8") == 0
    told, record, loaded = capsys.readouterr().out, gate_of(bundle), load_bundle(bundle)
    assert NO_GUARANTEE in told
    assert record["assumption"] == NO_GUARANTEE
    assert (record["kind"], record["share"]) == ("coverage", 0.8)
    assert "it promises nothing about errors" in loaded.gate.description
    assert loaded.gate.description == (
        "workload: each finding is answered on 80% of the images, the surest; it promises nothing about errors; set on "
        f"cases.csv, 500 images of {len(set(site().patients))} patients (2026-01-02)"
    )
    assert loaded.gate.description in told
    probabilities = loaded.calibration.probabilities(site().logits)
    for k, finding in enumerate(THREE):
        decided = [loaded.gate.decide(finding, p)[0] for p in probabilities[:, k].tolist()]
        assert sum(decision is not Decision.DEFERRED for decision in decided) == 400
        assert record["findings"][finding.label]["answered"] == 400


def test_the_same_cases_give_the_same_bytes_in_any_order(bundle: Path) -> None:
    model, here = load_model(bundle), site()
    contents = []
    for order in (np.arange(500), np.random.default_rng(3).permutation(500)):
        turned = replace(
            here,
            images=here.images[order],
            patients=here.patients[order],
            labels=here.labels[order],
            logits=here.logits[order],
            groups={name: names[order] for name, names in here.groups.items()},
        )
        fit_gate_to(model, turned, Promise(), NOW)
        contents.append((bundle / GATE).read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--coverage", "0.8", "--confidence", "0.9"], "--coverage sets a workload and promises nothing about errors"),
        (["--coverage", "80"], "coverage is 80.0; it must lie above 0 and be at most 1"),
        (["--max-missed", "0"], "max_missed is 0.0; it must lie between 0 and 1"),
        (["--data", "x"], "fit-gate needs either --data or --predictions, and not both"),
    ],
)
def test_what_cannot_be_asked_for_is_said(
    bundle: Path, cases: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    before = (bundle / GATE).read_bytes()
    assert fit(bundle, cases, *more) == EXIT_UNUSABLE
    assert message in capsys.readouterr().err
    assert (bundle / GATE).read_bytes() == before


def test_scores_of_other_findings_are_refused(bundle: Path, cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = site()
    write_predictions(cases, replace(other, findings=THREE[:2], labels=other.labels[:, :2], logits=other.logits[:, :2]))
    assert fit(bundle, cases) == EXIT_UNUSABLE
    assert "has no score of Pneumothorax" in capsys.readouterr().err
    with pytest.raises(DataError, match="not of the bundle's findings in its order"):
        fit_gate_to(load_model(bundle), replace(other, findings=THREE[::-1]), Promise(), NOW)


def test_a_calibration_of_other_weights_is_refused(
    bundle: Path, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_bundle(tmp_path / "other", seed=1)
    shutil.copy(other / CALIBRATION, bundle / CALIBRATION)
    assert fit(bundle, cases) == EXIT_UNUSABLE
    assert "says that it belongs to the model.safetensors" in capsys.readouterr().err


def test_of_a_data_set_all_images_are_classified(
    bundle: Path, mini_nih: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(bundle)
    part = read_dataset(mini_nih, findings=model.findings).only(Subset.UNSEEN)
    part = replace(part, images=(*part.images, replace(part.images[0], name="zzz.png")))
    for goal in (Promise(), Coverage(0.5)):
        fit_gate(model, part, goal, NOW)
        assert f"classified {len(part.images)} pictures" in capsys.readouterr().err
        assert gate_of(bundle)["images"] == len(part.images)
        assert gate_of(bundle)["patients"] == len(set(part.patients()))


def results(folder: Path, name: str, version: str) -> Path:
    """What the application would write of ten images."""
    here = site()
    images = {
        f"1.2.{row}": {finding.label: float(here.logits[row, k]) for k, finding in enumerate(THREE)}
        for row in range(10)
    }
    file = write_results_json(folder, images, name, version)
    lines = [f"1.2.{row},p{row},{row % 2},0,0" for row in range(10)]
    (folder / "labels.csv").write_text("\n".join(["image,patient," + ",".join(f.label for f in THREE), *lines]) + "\n")
    return file


def test_results_of_this_model_are_taken_and_of_another_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, labels = load_model(bundle), ["--labels", str(tmp_path / "labels.csv")]
    assert fit(bundle, results(tmp_path, model.name, model.version), *labels) == 0
    assert gate_of(bundle)["images"] == 10
    assert fit(bundle, results(tmp_path, model.name, "99"), *labels) == EXIT_UNUSABLE
    assert f"was written with {model.name} 99, but the bundle is {model.name}" in capsys.readouterr().err
    written = json.loads((tmp_path / "results.json").read_text())
    del written["model"]
    (tmp_path / "results.json").write_text(json.dumps(written))
    assert fit(bundle, tmp_path / "results.json", *labels) == EXIT_UNUSABLE
    assert "model is missing; give the results.json that the application wrote" in capsys.readouterr().err


def test_the_guarantee_holds_as_often_as_it_says_where_a_patient_has_several_images() -> None:
    """Images of a patient share most of their score; a large population shows what is truly missed."""
    rng, promise = np.random.default_rng(0), Promise()

    def drawn(patients: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        owner = np.repeat(np.arange(patients), rng.integers(1, 6, patients))
        present = rng.random(len(owner)) < (rng.random(patients) < 0.4)[owner] * 0.7
        return owner.astype(str), present, 2 * rng.normal(size=patients)[owner] + rng.normal(size=len(owner)) + present

    def missed(owner: np.ndarray, present: np.ndarray, odds: np.ndarray, cut: float) -> float:
        return float(np.mean(patient_means(owner[present].astype(int), odds[present] <= cut)[0]))

    population = drawn(100_000)
    shares = []
    for _ in range(100):
        owner, present, odds = drawn(150)
        labels, said = present[:, np.newaxis].astype(np.float64), expit(odds - 4)[:, np.newaxis]
        (cases,) = cases_of(said, labels, owner, {})
        lo = lower_threshold(cases, promise)
        assert lo is not None
        shares.append(missed(*population, float(logit(lo)) + 4))
    broken = np.mean(np.asarray(shares) > promise.max_missed)
    assert broken <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 100)
    assert np.mean(shares) > 0.035  # and it is used
