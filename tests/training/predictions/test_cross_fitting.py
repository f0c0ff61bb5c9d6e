"""Cross-fitting: no image is answered by a fit to its own patient."""

from __future__ import annotations

import numpy as np
import pytest

from candor.study.errors import DataError
from training.data.splits import FOLDS
from training.predictions.cross_fitting import folds_of, out_of_fold

PATIENTS = np.asarray([f"p{k % 40}" for k in range(100)])


def test_folds_keep_patients_together_and_do_not_depend_on_order() -> None:
    folds = folds_of(PATIENTS)
    assert {len(set(folds[p == PATIENTS])) for p in PATIENTS} == {1}
    assert set(folds) == set(range(FOLDS))
    assert np.array_equal(folds_of(PATIENTS[::-1]), folds[::-1])


def test_each_image_is_answered_without_its_patient_and_in_its_place() -> None:
    values = np.random.default_rng(0).normal(size=100)

    def mean_beside_own(rest: np.ndarray, fold: np.ndarray) -> np.ndarray:
        assert not set(PATIENTS[rest]) & set(PATIENTS[fold])
        assert (rest ^ fold).all()
        return np.stack([np.full(fold.sum(), values[rest].mean()), values[fold]], axis=1)

    found = out_of_fold(PATIENTS, mean_beside_own)
    np.testing.assert_array_equal(found[:, 1], values)
    folds = folds_of(PATIENTS)
    np.testing.assert_allclose(found[:, 0], [values[folds != fold].mean() for fold in folds])


def test_patients_of_a_single_fold_are_too_few() -> None:
    with pytest.raises(DataError, match="1 patients are too few for cross-fitting"):
        out_of_fold(np.full(5, "p"), lambda rest, fold: np.zeros(5))
