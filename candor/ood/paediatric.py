"""Whether a picture looks like a child's, by the network's features, for headers that state no age.

The score is linear in the square roots of the features (:func:`candor.ood.familiarity.stabilised`). It was fitted to
children and adults of one hospital, so that it does not depend on the hospital. It is not an estimate of the age: it
misses most children, and is wrong for few adults.
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
    """The score of how much a picture looks like a child's, with its limit.

    Parameters
    ----------
    tensors
        ``child.weight`` ``(channels,)`` and ``child.bias`` ``(1,)``, float32.
    limit
        A picture with a score above it looks like a child's. Among as many children as adults, a score is the log-odds
        of a child.

    Raises
    ------
    ValueError
        A tensor or the limit is not valid.
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
        """The number of features."""
        return self.tensors[WEIGHT].size

    def scores(self, roots: Floats) -> Floats:
        """Return the scores ``(n,)`` of features' square roots ``(n, channels)``, higher where a child is likelier."""
        weight, bias = (self.tensors[name].astype(np.float64) for name in (WEIGHT, BIAS))
        return np.asarray(roots @ weight + bias, np.float64)

    def judge(self, roots: Floats) -> str | None:
        """Return a sentence where one image, ``(channels,)``, looks like a child's; None where it does not."""
        score = float(self.scores(roots[np.newaxis])[0])
        if score <= self.limit:
            return None
        return (
            f"the age is not stated, and the picture looks like a child's (score {score:.2f}, limit {self.limit:.2f})"
        )
