"""Signals of uncertainty: the plain ones that a learned gate must beat.

All are ``(images, findings)``. Answers with a greater value are less sure and deferred earlier. Only ``p_wrong`` is a
probability.

References
----------
Chow 1970 (confidence). Lee et al. 2018 (distance in feature space).
"""

from __future__ import annotations

import numpy as np

from training.statistics.metrics import Floats


def p_wrong(probabilities: Floats) -> Floats:
    """Return min(p, 1 - p): P(wrong) of an answer that is "present" from 0.5 up, if the calibration holds."""
    return np.minimum(probabilities, 1 - probabilities)


def entropy(probabilities: Floats) -> Floats:
    """Return the entropy of each answer in nats; it orders the answers as :func:`p_wrong` does."""
    p = np.clip(probabilities, 1e-300, 1.0)
    q = np.clip(1 - probabilities, 1e-300, 1.0)
    return np.asarray(-p * np.log(p) - q * np.log(q), np.float64)


def closeness(probabilities: Floats, thresholds: Floats) -> Floats:
    """Return how close each probability lies to its threshold: minus the distance in log-odds.

    It gives the same order as :func:`p_wrong` after a shift of the prevalence that takes the threshold to 0.5.

    Parameters
    ----------
    probabilities
        ``(images, findings)``, in [0, 1].
    thresholds
        Probabilities from which the answer is "present", in (0, 1), in a shape that broadcasts.
    """
    return np.asarray(-np.abs(_log_odds(probabilities) - _log_odds(thresholds)), np.float64)


def _log_odds(probabilities: Floats) -> Floats:
    p = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return np.asarray(np.log(p) - np.log1p(-p), np.float64)


def of_image(signal: Floats, findings: int) -> Floats:
    """Repeat one number for each image, such as its distance from the training images, for each finding.

    Parameters
    ----------
    signal
        ``(images,)``.
    findings
        Number of findings.
    """
    return np.repeat(np.asarray(signal, np.float64)[:, np.newaxis], findings, axis=1)


def whole_images(uncertainty: Floats) -> Floats:
    """Return for each answer the sum over its image's findings, so that whole images are deferred, not single answers.

    For ``p_wrong`` that is the expected number of wrong answers on the image.
    """
    return of_image(uncertainty.sum(axis=1), uncertainty.shape[1])
