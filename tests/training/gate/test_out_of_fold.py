"""A bundle's answers out of fold: no patient is answered by a calibration or a gate that was fitted to that patient."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from candor.model.bundle import GATE, Bundle, load_bundle, load_model
from tests.training.calibration.test_calibrate import site
from training.calibration.calibrate import recalibrate
from training.calibration.choice import cross_validated
from training.calibration.prevalence import Prevalence
from training.gate import out_of_fold
from training.gate.coverage import Coverage
from training.gate.fit import fit_gate_to
from training.gate.guarantee import Promise
from training.gate.out_of_fold import answers_out_of_fold, called_each, log_odds_out_of_fold
from training.predictions.cross_fitting import folds_of
from training.records import Occasion

NOW = Occasion(date(2026, 1, 2), "made up")
CASES = site()


@pytest.fixture(scope="module")
def fitted(random_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose calibration and gate were fitted to the cases."""
    path = Path(shutil.copytree(random_bundle, tmp_path_factory.mktemp("fitted") / "cxr"))
    recalibrate(load_model(path), CASES, Prevalence({}, "prevalence of these images"), NOW)
    fit_gate_to(load_model(path), CASES, Promise(), NOW)
    return load_bundle(path)


def test_probabilities_are_those_of_cross_validation(fitted: Bundle) -> None:
    answers = answers_out_of_fold(fitted, CASES)
    expected = cross_validated(CASES.logits, CASES.labels, CASES.patients, [None] * 3)
    np.testing.assert_allclose(answers.probabilities, expected, atol=0.02)
    np.testing.assert_array_equal(answers.log_odds, log_odds_out_of_fold(fitted.calibration, CASES))


def test_a_patients_labels_do_not_change_the_answers_to_that_patient(fitted: Bundle) -> None:
    first = folds_of(CASES.patients) == 0
    before = answers_out_of_fold(fitted, CASES)
    turned = replace(CASES, labels=np.where(first[:, np.newaxis], 1 - CASES.labels, CASES.labels))
    after = answers_out_of_fold(fitted, turned)
    for name in ("log_odds", "absent", "present"):
        one, other = getattr(before, name), getattr(after, name)
        np.testing.assert_array_equal(one[first], other[first])
    assert (before.log_odds[~first] != after.log_odds[~first]).any()
    assert before.absent.any()


def test_of_other_data_the_bundles_own_answers_count(fitted: Bundle) -> None:
    elsewhere = replace(CASES, source="elsewhere")
    answers = answers_out_of_fold(fitted, elsewhere)
    np.testing.assert_array_equal(answers.log_odds, fitted.calibration.log_odds(CASES.logits))
    pairs = list(fitted.gate.thresholds.values())
    absent, present = called_each(fitted.calibration.probabilities(CASES.logits), pairs, {})
    np.testing.assert_array_equal(answers.absent, absent)
    np.testing.assert_array_equal(answers.present, present)


def test_other_logits_of_the_same_patients_get_the_same_maps(fitted: Bundle) -> None:
    turned = answers_out_of_fold(fitted, CASES, CASES.logits[::-1])
    own = answers_out_of_fold(fitted, CASES)
    assert (turned.log_odds != own.log_odds).any()
    np.testing.assert_array_equal(answers_out_of_fold(fitted, CASES, CASES.logits).log_odds, own.log_odds)


def test_a_workload_is_kept_in_every_fold(fitted: Bundle) -> None:
    path = Path(shutil.copytree(fitted.root, fitted.root.parent / "workload"))
    fit_gate_to(load_model(path), CASES, Coverage(0.4), NOW)
    answers = answers_out_of_fold(load_bundle(path), CASES)
    assert (answers.absent | answers.present).mean(axis=0) == pytest.approx([0.4] * 3, abs=0.05)


def test_what_a_group_defers_is_deferred_out_of_fold_too(fitted: Bundle, tmp_path: Path) -> None:
    """The few women of these cases are too few to say ABSENT in any fold, and the goal is that of the file."""
    path = Path(shutil.copytree(fitted.root, tmp_path / "cxr"))
    sex = np.where(folds_of(CASES.patients) == 0, "F", "M")  # all women in one fold
    told = replace(CASES, groups={"sex": sex})
    fit_gate_to(load_model(path), told, Promise(min_auc=0.55, group_confidence=0.7), NOW)
    answers = answers_out_of_fold(load_bundle(path), told)
    assert not answers.absent[sex == "F"].any()
    assert answers.absent[sex == "M"].any()
    assert out_of_fold._FittedTo.model_validate_json((path / GATE).read_text()).goal == Promise(
        min_auc=0.55, group_confidence=0.7
    )
