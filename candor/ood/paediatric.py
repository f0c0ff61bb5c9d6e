"""Whether a picture looks like a child's, by the network's own features: for headers that state no age.

A line through the space of the features' square roots (:func:`candor.ood.familiarity.stabilised`), fitted to children
and adults of one hospital, so that it cannot tell them apart by the hospital. It is no estimate of the age: it misses
most children, and says so of few adults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.float32]]

WEIGHT: Final = "child.weight"
BIAS: Final = "child.bias"
CHILD_TENSORS: Final = frozenset({WEIGHT, BIAS})


@dataclass(frozen=True, slots=True, eq=False)
class ChildLook:
    """How much pictures look like those of children, and from where on that is said.

    Parameters
    ----------
    tensors
        ``child.weight`` ``(channels,)`` and ``child.bias`` ``(1,)``, float32.
    limit
        A score over it is said; with equal parts of children and adults, a score is the log-odds of a child.

    Raises
    ------
    ValueError
        A tensor or the limit is not as it should be.
    """

    tensors: Tensors
    limit: float

    def __post_init__(self) -> None:
        if self.tensors.keys() != CHILD_TENSORS:
            raise ValueError(f"the tensors are {', '.join(sorted(self.tensors))}, not {BIAS}, {WEIGHT}")
        for name, shape in ((WEIGHT, (self.channels,)), (BIAS, (1,))):
            if self.tensors[name].shape != shape:
                raise ValueError(f"the tensor {name} has the shape {self.tensors[name].shape}, not {shape}")
        if not np.isfinite([*self.tensors[WEIGHT], *self.tensors[BIAS], self.limit]).all():
            raise ValueError("a tensor of the look for children, or its limit, is not finite")

    @property
    def channels(self) -> int:
        """How many features it weighs."""
        return self.tensors[WEIGHT].size

    def scores(self, roots: Floats) -> Floats:
        """Score ``(n, channels)`` square roots of features: ``(n,)``, higher where a child is likelier."""
        weight, bias = (self.tensors[name].astype(np.float64) for name in (WEIGHT, BIAS))
        return np.asarray(roots @ weight + bias, np.float64)

    def judge(self, roots: Floats) -> str | None:
        """Say in a sentence that one image, ``(channels,)``, looks like a child's; None where it does not."""
        score = float(self.scores(roots[np.newaxis])[0])
        if score <= self.limit:
            return None
        return (
            f"the age is not stated, and the picture looks like a child's (score {score:.2f}, limit {self.limit:.2f})"
        )
