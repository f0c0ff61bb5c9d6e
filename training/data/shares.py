"""The share of positives of each finding among the labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shares(labels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each finding's share of positives among its known labels.

    Half a picture is added to each class, so that the share is in (0, 1).
    """
    known = (~np.isnan(labels)).sum(axis=0)
    return np.asarray((np.nansum(labels, axis=0, dtype=np.float64) + 0.5) / (known + 1), np.float64)
