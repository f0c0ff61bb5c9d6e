"""The mean cost of a gate's answers: an error costs 1, a deferral c in (0, 0.5), a missed positive what is asked for.

References
----------
Chow 1970. Madras et al. 2018.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from training.statistics.metrics import Floats
from training.statistics.risk import Bools, ratio

COSTS: Final = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.49)


def cost_curve(
    labels: Floats,
    called: Bools,
    p_wrong: Floats,
    costs: Floats,
    weights: Floats | None = None,
    missed: float = 1.0,
) -> Floats:
    """Return the mean cost of an answer if every answer with P(wrong) over c is deferred, for each c.

    Parameters
    ----------
    labels, called, p_wrong
        ``(images, findings)``; an answer counts where its label is not NaN.
    costs
        ``(costs,)``: the values of c, each in (0, 0.5).
    weights
        ``(resamples, images)``; None is one resample.
    missed
        Cost of a missed positive; a false alarm costs 1.

    Returns
    -------
    ``(resamples, costs)``. To compare: deferring everything costs c, and always answering "absent" costs ``missed``
    times the prevalence.

    Raises
    ------
    ValueError
        A cost is not in (0, 0.5).
    """
    if not ((costs > 0) & (costs < 0.5)).all():
        raise ValueError(f"the cost of deferring lies between 0 and 0.5 of the cost of an error, not at {costs}")
    rows = np.ones((1, len(labels))) if weights is None else weights
    known = ~np.isnan(labels)
    error = np.where(labels > 0, missed * ~called, called) * known
    image = [np.where(p_wrong > c, c * known, error).sum(axis=1) for c in costs]
    return ratio(rows @ np.stack(image, axis=1), (rows @ known.sum(axis=1))[:, np.newaxis])
