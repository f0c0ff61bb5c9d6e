"""Fitting a bundle's calibration to a site's own cases: what is fitted, what is kept, and what is said of both."""

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

from candor.decide.calibration import Beta, Calibration, CalibrationKind, Isotonic, Line, LogitMap, Origin
from candor.model.bundle import CALIBRATION, GATE, Model, load_bundle, load_calibration, load_model
from candor.study.errors import BundleError, DataError
from candor.study.findings import Finding
from tests.bundles import THREE
from tests.training.predictions.written import write_predictions
from training.__main__ import EXIT_UNUSABLE, main
from training.bundles.fitted import write_calibration
from training.calibration.calibrate import AFTER, FLOOR, calibration_figures, recalibrate
from training.calibration.choice import FEWEST_POSITIVES
from training.calibration.evidence import corrected_interval, evidence, in_words, some
from training.calibration.prevalence import Prevalence
from training.calibration.report import refit_report
from training.predictions.table import Predictions
from training.records import Occasion

NOW = Occasion(date(2026, 1, 2), "python -m training calibrate")
THEIR_OWN = Prevalence({}, "prevalence of these images")
TRUTHS = (Line(CalibrationKind.PLATT, 0.4, -1.0), Beta(0.3, 2.0, 0.0), Line(CalibrationKind.PLATT, 0.5, -6.0))
SHIPPED = LogitMap(Line(CalibrationKind.PLATT, 0.9, 0.1), 0.4, 0.05)


def site(seed: int = 0, images: int = 1500) -> Predictions:
    """A site's cases: logits that are too sure, of two frequent findings and a rare one; some labels unknown."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, 3))
    odds = np.stack([truth.log_odds(logits[:, k]) for k, truth in enumerate(TRUTHS)], axis=1)
    labels = (rng.random((images, 3)) < expit(odds)).astype(np.float64)
    labels[::10, 1] = np.nan
    patients = np.asarray([f"p{k // 2}" for k in range(images)])
    return Predictions("St Elsewhere", THREE, np.asarray([f"i{k}" for k in range(images)]), patients, labels, logits)


@pytest.fixture
def bundle(random_bundle: Path, tmp_path: Path) -> Path:
    """A bundle whose calibration was fitted before."""
    path = Path(shutil.copytree(random_bundle, tmp_path / "cxr"))
    before = Calibration(dict.fromkeys(THREE, SHIPPED), "made up", Origin("its makers", date(2025, 1, 1), 99))
    write_calibration(load_model(path), before, {})
    return path


def record(bundle: Path) -> dict[str, Any]:
    """The calibration's file."""
    content: dict[str, Any] = json.loads((bundle / CALIBRATION).read_text())
    return content


def test_a_refit_fits_the_frequent_and_keeps_the_rare(bundle: Path) -> None:
    model, cases = load_model(bundle), site()
    assert 0 < np.nansum(cases.labels[:, 2]) < FEWEST_POSITIVES
    refit = recalibrate(model, cases, THEIR_OWN, NOW)
    maps = list(refit.calibration.maps.values())
    assert replace(maps[2], band=None) == SHIPPED
    for k in (0, 1):
        share = np.nanmean(cases.labels[:, k])
        assert maps[k].fitted_prevalence == maps[k].assumed_prevalence == pytest.approx(share, abs=0.01)
        grid = np.linspace(-3, 3, 50)
        np.testing.assert_allclose(maps[k].curve.log_odds(grid), TRUTHS[k].log_odds(grid), atol=1.0)
    told = record(bundle)["findings"]
    for k, finding in enumerate(THREE):
        facts = told[finding.label]
        band = facts["interval"]
        own = expit(maps[k].curve.log_odds(np.asarray(band["logits"])) + maps[k].shift)
        assert ((band["low"] <= own) & (own <= band["high"])).mean() > 0.9
        assert facts["positives"] == np.nansum(cases.labels[:, k])
        assert facts["known"] == (~np.isnan(cases.labels[:, k])).sum()
        if k < 2:
            for figure in ("nll", "ece", "brier"):
                assert facts["after_cross_validated"][figure] < facts["before_at_this_prevalence"][figure]
    assert [told[f.label]["kept"] for f in THREE] == [False, False, True]
    rare = told[THREE[2].label]
    assert rare["after_cross_validated"] is None
    assert f"{rare['positives']} positives and" in rare["unfitted"]
    assert "20 of each are needed" in rare["unfitted"]


def test_a_map_that_is_right_is_kept_at_the_prevalence_of_the_site(bundle: Path) -> None:
    model, cases = load_model(bundle), site()
    shares = np.nanmean(cases.labels, axis=0)
    right = {f: LogitMap(t, float(s), 0.5) for f, t, s in zip(THREE, TRUTHS, shares, strict=True)}
    write_calibration(model, Calibration(right, "made up", Origin("its makers", date(2025, 1, 1), 99)), {})
    maps = recalibrate(model, cases, THEIR_OWN, NOW).calibration.maps
    kept = [f for f in THREE if record(bundle)["findings"][f.label]["kept"]]
    assert THREE[1] in kept
    for finding in kept[:-1]:
        assert maps[finding].curve == right[finding].curve
        assert maps[finding].assumed_prevalence == pytest.approx(right[finding].fitted_prevalence, abs=0.01)
    assert replace(maps[THREE[2]], band=None) == right[THREE[2]]


def test_the_refit_that_is_loaded_is_the_one_that_was_made(bundle: Path) -> None:
    refit = recalibrate(load_model(bundle), site(), THEIR_OWN, NOW)
    loaded = load_bundle(bundle)
    assert all(m.band is not None for m in loaded.calibration.maps.values())
    assert loaded.calibration == refit.calibration
    assert loaded.calibration.origin == Origin("St Elsewhere", NOW.day, 1500)
    assert loaded.calibration.description == (
        "calibrated on St Elsewhere, 1,500 images of 750 patients (2026-01-02); assumes the prevalence of these images"
    )
    assert all(pair.lo is pair.hi is None for pair in loaded.gate.thresholds.values())
    told = record(bundle)
    assert (told["site"], told["date"], told["images"], told["patients"]) == ("St Elsewhere", "2026-01-02", 1500, 750)


def test_a_fit_that_does_harm_says_so(bundle: Path) -> None:
    model, cases = load_model(bundle), site()
    refit = recalibrate(model, cases, THEIR_OWN, NOW)
    worse = {f: dict(facts) for f, facts in refit.facts.items()}
    for facts in worse.values():
        if facts[AFTER]:
            facts[AFTER] = dict(facts[AFTER], ece=0.2)
    means = next(text for text in refit_report(replace(refit, facts=worse)) if text.startswith("Mean ECE"))
    assert "NOT met" in means
    assert means.endswith("The new calibration is worse than the old one at this prevalence.")


def test_figures_before_are_what_the_bundle_said(bundle: Path) -> None:
    cases = site()
    odds = 0.9 * cases.logits[:, 0] + 0.1
    labels = cases.labels[:, 0]
    recalibrate(load_model(bundle), cases, THEIR_OWN, NOW)
    facts = record(bundle)["findings"][THREE[0].label]
    shipped = calibration_figures(labels, expit(odds + logit(0.05) - logit(0.4)))
    assert facts["before"] == pytest.approx(shipped)
    share = (labels.sum() * (labels.sum() + 1) / (labels.sum() + 2)) + (labels == 0).sum() / ((labels == 0).sum() + 2)
    here = calibration_figures(labels, expit(odds + logit(share / len(labels)) - logit(0.4)))
    assert facts["before_at_this_prevalence"] == pytest.approx(here)


def test_a_given_prevalence_is_assumed_for_kept_findings_too(bundle: Path) -> None:
    given = {THREE[0]: 0.02, THREE[2]: 0.003}
    maps = recalibrate(load_model(bundle), site(), Prevalence(given, "prevalence of a table"), NOW).calibration.maps
    assert (maps[THREE[0]].assumed_prevalence, maps[THREE[2]].assumed_prevalence) == (0.02, 0.003)
    assert maps[THREE[2]].curve == SHIPPED.curve
    assert maps[THREE[1]].assumed_prevalence == maps[THREE[1]].fitted_prevalence


def test_a_first_fit_shares_the_slope_and_leaves_what_nobody_knows(random_bundle: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(random_bundle, tmp_path / "cxr"))
    cases = site()
    cases.labels[:, 1] = np.nan
    shipped = load_calibration(load_model(path))
    assert shipped.origin is None
    recalibrate(load_model(path), cases, THEIR_OWN, NOW)
    told, maps = record(path)["findings"], load_bundle(path).calibration.maps
    assert maps[THREE[1]] == shipped.maps[THREE[1]]
    assert told[THREE[1].label]["unfitted"] == "no image of the fit has a known label"
    assert told[THREE[1].label]["before"] is None
    assert [told[f.label]["shared_slope"] for f in THREE] == [False, False, False]  # one other has no slope to lend
    assert maps[THREE[2]].kind is CalibrationKind.PLATT
    assert maps[THREE[2]].curve.slope == 1


def test_a_calibration_of_other_weights_is_not_kept(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = record(bundle)
    (bundle / CALIBRATION).write_text(json.dumps(told | {"weights_sha256": "0" * 64}))
    with pytest.raises(BundleError, match="belongs to the model"):
        load_calibration(load_model(bundle))
    metadata = bundle / "configs" / "metadata.json"
    content = json.loads(metadata.read_text())
    content["candor"]["training"] = {"shares": {f.label: 0.25 for f in THREE}}
    metadata.write_text(json.dumps(content))
    maps = recalibrate(load_model(bundle), site(), THEIR_OWN, NOW).calibration.maps
    assert "cannot be kept for any finding" in capsys.readouterr().err
    assert maps[THREE[2]].curve != SHIPPED.curve


@pytest.mark.parametrize("refit", [True, False])
def test_cases_that_can_fit_nothing_are_refused(bundle: Path, refit: bool) -> None:
    model = load_model(bundle)
    few = site().take(np.arange(1500) < 15)
    if not refit:
        few = replace(few, labels=np.full_like(few.labels, np.nan))
        write_calibration(model, Calibration(dict.fromkeys(THREE, SHIPPED), "made up"), {})
    before = (bundle / CALIBRATION).read_bytes()
    with pytest.raises(DataError, match="St Elsewhere has no finding that can be fitted"):
        recalibrate(model, few, THEIR_OWN, NOW)
    assert (bundle / CALIBRATION).read_bytes() == before


def test_predictions_of_other_findings_are_refused(bundle: Path) -> None:
    other = replace(site(), findings=(Finding.MASS, *THREE[1:]))
    with pytest.raises(DataError, match="not of the bundle's findings"):
        recalibrate(load_model(bundle), other, THEIR_OWN, NOW)


def test_every_kind_of_curve_is_read_as_it_was_written(bundle: Path) -> None:
    model: Model = load_model(bundle)
    curves = (Beta(0.1, 2.0, -0.3), Isotonic((-1.0, 0.1, 2.0), (-3.0, -1 / 3, 0.7)), SHIPPED.curve)
    maps = {f: LogitMap(curve, 0.3, 0.1) for f, curve in zip(THREE, curves, strict=True)}
    made = Calibration(maps, "made up", Origin("here", date(2026, 3, 4), 5))
    write_calibration(model, made, {})
    assert load_calibration(model) == made


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"a": -1.0}, "findings.Cardiomegaly: a and b must be 0 or more"),
        ({"a": None}, "findings.Cardiomegaly.a is None; it must be a number"),
        ({"kind": "isotonic"}, "findings.Cardiomegaly.logits is missing"),
        (
            {"kind": "isotonic", "logits": [0, 1], "log_odds": [0, "1"]},
            "Cardiomegaly.log_odds.1 is '1'; it",
        ),
        (
            {"kind": "isotonic", "logits": [0, 1], "log_odds": [1, 0]},
            "Cardiomegaly: the knots' logits and log-odds",
        ),
        ({"kind": "spline"}, "findings.Cardiomegaly.kind is 'spline'; it must be"),
    ],
)
def test_a_broken_curve_is_refused(bundle: Path, change: dict[str, object], problem: str) -> None:
    model = load_model(bundle)
    maps = dict.fromkeys(THREE, LogitMap(Beta(1.0, 1.0, 0.0), 0.3, 0.1))
    write_calibration(model, Calibration(maps, "made up"), {})
    told = record(bundle)
    told["findings"]["Cardiomegaly"] |= change
    (bundle / CALIBRATION).write_text(json.dumps(told))
    with pytest.raises(BundleError, match=problem):
        load_calibration(model)


def test_a_date_that_is_none_is_refused(bundle: Path) -> None:
    (bundle / CALIBRATION).write_text(json.dumps(record(bundle) | {"date": "yesterday"}))
    with pytest.raises(BundleError, match="date is 'yesterday'; it must be a valid date"):
        load_calibration(load_model(bundle))


def test_a_site_refits_with_one_command(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "cases.csv.gz"
    write_predictions(table, site())
    given = ["calibrate", "--bundle", str(bundle), "--predictions", str(table), "--site", "St Elsewhere"]
    given += ["--reliability", str(tmp_path / "reliability.png")]
    assert main([*given, "--date", "2026-01-02"]) == 0
    told = capsys.readouterr().out
    assert "calibrated on St Elsewhere, 1,500 images of 750 patients (2026-01-02)" in told
    assert "- Pneumothorax: " in told
    assert "(kept)" in told
    assert "Mean ECE of the 2 findings that were fitted" in told
    figures = [record(bundle)["findings"][f.label] for f in THREE[:2]]
    after, least = (np.mean(part) for part in zip(*((f[AFTER]["ece"], f[FLOOR]) for f in figures), strict=True))
    assert f"after / floor: {after / least:.2f} (aim: at most 1.7, met)" in told
    assert "worse than the old one" not in told
    assert (tmp_path / "reliability.png").stat().st_size > 5000
    assert f"python -m training fit-gate --bundle {bundle} --predictions {table}" in told
    assert all(pair.lo is pair.hi is None for pair in load_bundle(bundle).gate.thresholds.values())
    content = [(bundle / file).read_bytes() for file in (CALIBRATION, GATE)]
    write_calibration(load_model(bundle), Calibration(dict.fromkeys(THREE, SHIPPED), "x", Origin("y", NOW.day, 1)), {})
    assert main([*given, "--date", "2026-01-02"]) == 0
    assert [(bundle / file).read_bytes() for file in (CALIBRATION, GATE)] == content


@pytest.mark.parametrize("sources", [[], ["--data", "x", "--predictions", "y"]])
def test_calibrate_takes_one_source(sources: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", *sources]) == EXIT_UNUSABLE
    assert "either --data or --predictions, and not both" in capsys.readouterr().err


def test_the_evidence_shows_a_refit_that_helps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "cases.csv"
    write_predictions(table, site(images=1200))
    assert main(["calibration-evidence", "--predictions", str(table), "--halvings", "3"]) == 0
    told = capsys.readouterr().out
    assert "cases.csv, 1,200 images of 600 patients; 3 random halvings" in told
    assert "| halvings in which it fell | 3 of 3 |" in told
    assert "refit to 500 images" in told
    assert "refit to 1000 images" not in told
    assert "with fewer than 20 positives)" in told


def test_the_evidence_says_when_the_goal_is_missed() -> None:
    cases = site(images=600)
    right = np.stack([truth.log_odds(cases.logits[:, k]) for k, truth in enumerate(TRUTHS)], axis=1)
    calibrated = replace(cases, logits=right)
    found = evidence(calibrated, 2)
    assert "NOT met" in "\n".join(in_words(calibrated, found))
    assert found.errors["floor"].mean() == pytest.approx(found.errors["before"].mean(), rel=0.4)
    assert np.array_equal(evidence(calibrated, 2).errors["after"], found.errors["after"])


def test_the_interval_is_nadeaus_and_bengios() -> None:
    found = corrected_interval(np.asarray([1.0, 2.0, 3.0, 4.0]))
    half = 3.182446 * np.sqrt(5 / 3 * (1 / 4 + 1))
    assert (found.value, found.low, found.high) == pytest.approx((2.5, 2.5 - half, 2.5 + half), rel=1e-5)


def test_some_images_are_of_whole_patients() -> None:
    patients = np.asarray([f"p{k // 3}" for k in range(300)])
    mask = some(patients, 50, 1)
    assert 45 <= mask.sum() <= 50
    assert not set(patients[mask]) & set(patients[~mask])
    assert not np.array_equal(mask, some(patients, 50, 2))
