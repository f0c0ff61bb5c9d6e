"""A score of one picture that is linear in the square roots of the network's features, with its limit.

:mod:`candor.ood.familiarity` has two of them. One tells pictures that are no upright frontal chest radiograph from
those that are. The other tells children from adults, for headers that state no age. Each was fitted to pictures of one
hospital on both sides, so that what separates them is not the hospital.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.float32]]

WEIGHT: Final = "weight"
BIAS: Final = "bias"
PARTS: Final = frozenset({WEIGHT, BIAS})


@dataclass(frozen=True, slots=True, eq=False)
class LinearScore:
    """The score, with its limit.

    Parameters
    ----------
    tensors
        ``weight`` ``(channels,)`` and ``bias`` ``(1,)``, float32.
    limit
        The score counts above it. Among as many examples as counterexamples, a score is the log-odds of an example.

    Raises
    ------
    ValueError
        A tensor or the limit is not valid.
    """

    tensors: Tensors
    limit: float

    def __post_init__(self) -> None:
        if self.tensors.keys() != PARTS:
            raise ValueError(f"the tensors of a score are {', '.join(sorted(self.tensors))}, not {BIAS}, {WEIGHT}")
        for name, shape in ((WEIGHT, (self.channels,)), (BIAS, (1,))):
            if self.tensors[name].shape != shape:
                raise ValueError(f"the {name} of a score has the shape {self.tensors[name].shape}, not {shape}")
        if not np.isfinite([*self.tensors[WEIGHT], *self.tensors[BIAS], self.limit]).all():
            raise ValueError("a tensor of a score, or its limit, is not finite")

    @property
    def channels(self) -> int:
        """The number of features."""
        return self.tensors[WEIGHT].size

    def scores(self, roots: Floats) -> Floats:
        """Return the scores ``(n,)`` of features' square roots ``(n, channels)``."""
        weight, bias = (self.tensors[name].astype(np.float64) for name in (WEIGHT, BIAS))
        return np.asarray(roots @ weight + bias, np.float64)

    def over(self, roots: Floats) -> str | None:
        """Return one image's score ``(channels,)`` and the limit in words where it is over it, else None."""
        score = float(self.scores(roots[np.newaxis])[0])
        return f"score {score:.2f}, limit {self.limit:.2f}" if score > self.limit else None
