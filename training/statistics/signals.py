"""What an uncertainty can be: the plain signals that a learned gate must beat.

All are ``(images, findings)``, the greater the less sure; an answer with a greater one is deferred earlier. Only
``p_wrong`` is a probability.

References
----------
Chow 1970 (confidence). Lee et al. 2018 (distance in feature space).
"""

from __future__ import annotations

import numpy as np

from training.statistics.metrics import Floats


def p_wrong(probabilities: Floats) -> Floats:
    """min(p, 1 - p): the probability that the answer from 0.5 up is wrong, if the calibration holds."""
    return np.minimum(probabilities, 1 - probabilities)


def entropy(probabilities: Floats) -> Floats:
    """Entropy of the answer in nats. It puts single findings in the very order of :func:`p_wrong`."""
    p = np.clip(probabilities, 1e-300, 1.0)
    q = np.clip(1 - probabilities, 1e-300, 1.0)
    return np.asarray(-p * np.log(p) - q * np.log(q), np.float64)


def closeness(probabilities: Floats, thresholds: Floats) -> Floats:
    """How close, in log-odds, the probability lies to the threshold of the answer: minus the distance.

    The same order as :func:`p_wrong` after a shift of the prevalence that takes the threshold to 0.5.

    Parameters
    ----------
    thresholds
        Of "present", in (0, 1), in a shape that fits ``probabilities``.
    """
    return np.asarray(-np.abs(_log_odds(probabilities) - _log_odds(thresholds)), np.float64)


def _log_odds(probabilities: Floats) -> Floats:
    p = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return np.asarray(np.log(p) - np.log1p(-p), np.float64)


def of_image(signal: Floats, findings: int) -> Floats:
    """Take one number an image, such as its distance from the training images, for each of its findings."""
    return np.repeat(np.asarray(signal, np.float64)[:, np.newaxis], findings, axis=1)


def whole_images(uncertainty: Floats) -> Floats:
    """Defer images and not single answers: each of an image's findings takes the sum of them all.

    Of ``p_wrong``, that is the expected number of wrong answers on the image.
    """
    return of_image(uncertainty.sum(axis=1), uncertainty.shape[1])
