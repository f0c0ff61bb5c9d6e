"""A picture is said to look like a child's over the limit alone, and broken tensors are named."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from candor.ood.paediatric import ChildLook

WEIGHT = np.float32([2, -1, 0])
LOOK = ChildLook({"child.weight": WEIGHT, "child.bias": np.float32([0.5])}, 1.5)


def test_a_score_is_a_weighted_sum() -> None:
    np.testing.assert_array_equal(LOOK.scores(np.asarray([[1.0, 1.0, 9.0], [0.0, 0.0, 0.0]])), [1.5, 0.5])


def test_only_a_score_over_the_limit_is_said() -> None:
    assert LOOK.judge(np.asarray([1.0, 1.0, 9.0])) is None
    told = LOOK.judge(np.asarray([1.1, 1.0, 9.0]))
    assert told == "the age is not stated, and the picture looks like a child's (score 1.70, limit 1.50)"


@pytest.mark.parametrize(
    ("tensors", "limit", "message"),
    [
        ({"child.weight": WEIGHT}, 1.0, "the tensors are child.weight, not child.bias, child.weight"),
        (
            {"child.weight": WEIGHT, "child.bias": np.float32([1, 2])},
            1.0,
            r"child.bias has the shape \(2,\), not \(1,\)",
        ),
        ({"child.weight": WEIGHT[np.newaxis], "child.bias": np.float32([1])}, 1.0, "child.weight has the shape"),
        ({"child.weight": WEIGHT * np.nan, "child.bias": np.float32([1])}, 1.0, "is not finite"),
        ({"child.weight": WEIGHT, "child.bias": np.float32([1])}, np.inf, "is not finite"),
    ],
)
def test_what_cannot_be_used_is_said(tensors: dict[str, NDArray[np.float32]], limit: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChildLook(tensors, limit)
