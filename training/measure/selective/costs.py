"""What a gate costs: an error costs 1, a deferral c in (0, 0.5), a missed positive as much as is said.

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
    """Mean cost of an answer where everything with P(wrong) over c is deferred.

    Parameters
    ----------
    labels, called, p_wrong
        ``(images, findings)``; an answer counts where its label is not NaN.
    costs
        ``(costs,)``, each in (0, 0.5).
    weights
        ``(resamples, images)``; None is one resample.
    missed
        Cost of a missed positive, in units of a false alarm's.

    Returns
    -------
    ``(resamples, costs)``. Beside it stand c, the cost of deferring everything, and ``missed`` times the prevalence,
    that of always answering "absent".

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
