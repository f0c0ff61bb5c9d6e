"""Cross-fitting over patients: each image gets the result of a fit to the patients of the other folds.

What the bundle ships is fitted to all patients. Every figure about it is out of fold, so that no patient is judged by a
fit to their own images.

References
----------
Stone 1974 (cross-validated choice and assessment).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from candor.study.errors import DataError
from training.data.splits import fold_of

Bools = NDArray[np.bool_]
Names = NDArray[np.str_]


def folds_of(patients: Names) -> NDArray[np.int64]:
    """Return the fold that leaves each image out, ``(images,)``; all images of a patient are in one fold."""
    return np.asarray([fold_of(str(patient)) for patient in patients], np.int64)


def require_folds(patients: Names) -> None:
    """Check that patients can be cross-fitted.

    Parameters
    ----------
    patients
        ``(images,)``: the patient of each image.

    Raises
    ------
    DataError
        All of them are in one fold.
    """
    if len(np.unique(folds_of(patients))) < 2:
        raise DataError(f"{len(np.unique(patients))} patients are too few for cross-fitting; give more patients")


def out_of_fold(patients: Names, fit_and_apply: Callable[[Bools, Bools], NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return what each image gets from a fit to the patients of the other folds.

    Parameters
    ----------
    patients
        ``(images,)``: the patient of each image.
    fit_and_apply
        Is called once for each fold with two masks ``(images,)``: the images to fit to, and those of the fold. It
        returns one row for each image of the fold.

    Returns
    -------
    ``(images, ...)``: the rows of all folds in the order of the images.

    Raises
    ------
    DataError
        All patients are in one fold, so that none are left to fit to.
    """
    require_folds(patients)
    folds = folds_of(patients)
    parts = {fold: fit_and_apply(folds != fold, folds == fold) for fold in np.unique(folds)}
    whole = np.empty((len(patients), *next(iter(parts.values())).shape[1:]))
    for fold, rows in parts.items():
        whole[folds == fold] = rows
    return whole
