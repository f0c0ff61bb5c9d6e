"""The threshold of a rule-out: at most a stated share of the abnormal is missed, with a stated confidence.

All pictures of an abnormal patient count: the patient's loss is the share of them at or below the threshold. The
losses of n patients are independent and lie in [0, 1]; their mean is tested against the allowed share. Rounded at
random to 0 or 1 they would be binomial. Given the losses, the rounded sum is at most their sum, rounded up, with a
probability of at least a half, since the median of a sum of independent 0 or 1 lies within one of its mean. So twice
the binomial probability bounds the p-value. It grows with the threshold, and the largest one that passes keeps the
promise. With one picture a patient the test is the exact binomial one, and nothing is doubled.

References
----------
Jogdeo and Samuels 1968 (the median of such a sum). Bates et al. 2021 (risk-controlling prediction sets).
Clopper and Pearson 1934 (exact binomial test).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from training.study_answer.cases import Floats, Names


def rule_out_threshold(
    scores: Floats, abnormal: Floats, patients: Names, *, max_missed: float, confidence: float
) -> float | None:
    """Return the highest score up to which a study may be called unremarkable; None if none keeps the promise.

    Parameters
    ----------
    scores
        ``(images,)``, higher where an abnormality is likelier.
    abnormal
        ``(images,)``: 1 abnormal, 0 normal.
    patients
        ``(images,)``.
    max_missed
        Largest share of the abnormal that may be missed, in (0, 1).
    confidence
        Probability that the threshold keeps the promise, in (0, 1).

    Returns
    -------
    One of ``scores``.
    """
    bad = abnormal > 0
    ordered = np.argsort(scores[bad], kind="stable")
    _, owner, pictures = np.unique(patients[bad], return_inverse=True, return_counts=True)
    lost = np.cumsum(1 / pictures[owner[ordered]])  # the sum of the losses with each abnormal picture missed
    doubled = 1.0 if (pictures == 1).all() else 2.0
    whole = np.ceil(np.round(np.append(0.0, lost), 9))
    passes = doubled * binom.cdf(whole, len(pictures), max_missed) <= 1 - confidence
    if not passes[0]:
        return None
    misses = int(np.flatnonzero(passes)[-1])  # as many abnormal pictures may lie at or below the threshold
    worst = scores[bad][ordered]
    ceiling = worst[misses] if misses < len(worst) else np.inf
    below = scores[scores < ceiling]
    return float(below.max()) if len(below) else None


def missed(scores: Floats, abnormal: Floats, patients: Names, threshold: float) -> Floats:
    """Return the loss of each abnormal patient: the share of the abnormal pictures at or below a threshold.

    Parameters
    ----------
    scores, abnormal, patients
        As for :func:`rule_out_threshold`.
    threshold
        The threshold.

    Returns
    -------
    ``(patients,)``, in [0, 1].
    """
    bad = abnormal > 0
    _, owner = np.unique(patients[bad], return_inverse=True)
    return np.asarray(np.bincount(owner, scores[bad] <= threshold) / np.bincount(owner), np.float64)
