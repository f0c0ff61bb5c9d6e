"""Weights against imbalance, computed from the labels of the training set.

References
----------
King and Zeng 2001; scikit-learn's ``compute_class_weight("balanced")``: ``n / (k n_c)`` for each of k classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from candor.study.errors import DataError

Floats = NDArray[np.float64]


def balanced_finding_weights(labels: NDArray[np.floating]) -> Floats:
    """Balance absent against present for each finding: ``n / (2 n_c)``, n of the labels that are not NaN.

    Parameters
    ----------
    labels
        ``(n, findings)`` in [0, 1], or NaN for unknown; a soft label counts as a part of each.

    Returns
    -------
    ``(findings, 2)``: the weights of absent and of present, for
    :class:`~training.learn.losses.cross_entropy.BinaryCrossEntropy`.

    Raises
    ------
    DataError
        A finding is always or never present, so that no weight balances it.
    """
    counts = _absent_and_present(labels)
    return np.asarray(counts.sum(axis=1, keepdims=True) / (2 * counts), np.float64)


def positive_weights(labels: NDArray[np.floating]) -> Floats:
    """Weigh each finding's positives by ``n_absent / n_present``: torch's ``pos_weight``, ``(findings,)``.

    Labels and errors as in :func:`balanced_finding_weights`.
    """
    counts = _absent_and_present(labels)
    return np.asarray(counts[:, 0] / counts[:, 1], np.float64)


def balanced_class_weights(labels: NDArray[np.floating]) -> Floats:
    """Balance classes that exclude each other: ``n / (k n_c)``.

    Parameters
    ----------
    labels
        ``(n, k)``, the probabilities of the k classes for each image; a row with a NaN is left out.

    Returns
    -------
    ``(k,)``, for :class:`~training.learn.losses.cross_entropy.CrossEntropy`.

    Raises
    ------
    DataError
        A class is in no image.
    """
    known = labels[~np.isnan(labels).any(axis=1)].astype(np.float64)
    return np.asarray(len(known) / (labels.shape[1] * _none_empty(known.sum(axis=0))), np.float64)


def _absent_and_present(labels: NDArray[np.floating]) -> Floats:
    known = ~np.isnan(labels)
    present = np.nansum(labels, axis=0, dtype=np.float64)
    return _none_empty(np.stack([known.sum(axis=0) - present, present], axis=1))


def _none_empty(counts: Floats) -> Floats:
    """Refuse counts that contain a zero."""
    empty = np.argwhere(counts <= 0)
    if len(empty):
        raise DataError(f"column {empty[0, 0]} of the labels lacks a class; leave it out, or add images that have it")
    return counts
