"""Fit a :class:`candor.ood.linear_score.LinearScore`, and set its limit on adults whom the network never saw."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from candor.ood.familiarity import Features, stabilised
from candor.ood.linear_score import BIAS, WEIGHT, LinearScore

INVERSE_REGULARISATION: Final = 1e-3
"""C of the logistic regression: strong regularisation, since there may be more features than examples."""


def fit_score(features: Features, examples: NDArray[np.bool_], held_out: Features, alarms: float) -> LinearScore:
    """Return a logistic regression of standardised square roots of features, with weights for unscaled ones.

    Parameters
    ----------
    features
        ``(n, channels)``.
    examples
        ``(n,)``: which of them should score high; both kinds count as much.
    held_out
        ``(m, channels)`` of adults whom the network never saw.
    alarms
        Share of them that may exceed the limit, in [0, 1).
    """
    scaler = StandardScaler()
    regression = LogisticRegression(C=INVERSE_REGULARISATION, class_weight="balanced", max_iter=2000)
    regression.fit(scaler.fit_transform(stabilised(features)), examples)
    weight = regression.coef_[0] / scaler.scale_
    bias = regression.intercept_ - weight @ scaler.mean_
    tensors = {WEIGHT: np.ascontiguousarray(weight, np.float32), BIAS: np.asarray(bias, np.float32)}
    scores = LinearScore(tensors, 0.0).scores(stabilised(held_out))
    return LinearScore(tensors, quantile_limit(scores, alarms))


def quantile_limit(values: NDArray[np.float64], alarms: float) -> float:
    """Return the smallest value that at most a given share of the values exceeds.

    Parameters
    ----------
    values
        ``(n,)``, at least one.
    alarms
        The share that may exceed it, in [0, 1).
    """
    return float(np.sort(values)[-1 - int(np.floor(alarms * len(values)))])
