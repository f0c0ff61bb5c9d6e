"""How common each finding is among the labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shares(labels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of positives of each finding among its known labels, softened by half a picture so as to lie in (0, 1)."""
    known = (~np.isnan(labels)).sum(axis=0)
    return np.asarray((np.nansum(labels, axis=0, dtype=np.float64) + 0.5) / (known + 1), np.float64)
