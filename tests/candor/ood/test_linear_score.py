"""A score counts over its limit alone, and broken tensors are named."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from candor.ood.linear_score import LinearScore

WEIGHT = np.float32([2, -1, 0])
SCORE = LinearScore({"weight": WEIGHT, "bias": np.float32([0.5])}, 1.5)


def test_a_score_is_a_weighted_sum() -> None:
    np.testing.assert_array_equal(SCORE.scores(np.asarray([[1.0, 1.0, 9.0], [0.0, 0.0, 0.0]])), [1.5, 0.5])


def test_only_a_score_over_the_limit_is_said() -> None:
    assert SCORE.over(np.asarray([1.0, 1.0, 9.0])) is None
    told = SCORE.over(np.asarray([1.1, 1.0, 9.0]))
    assert told == "score 1.70, limit 1.50"


@pytest.mark.parametrize(
    ("tensors", "limit", "message"),
    [
        ({"weight": WEIGHT}, 1.0, "the tensors of a score are weight, not bias, weight"),
        (
            {"weight": WEIGHT, "bias": np.float32([1, 2])},
            1.0,
            r"the bias of a score has the shape \(2,\), not \(1,\)",
        ),
        ({"weight": WEIGHT[np.newaxis], "bias": np.float32([1])}, 1.0, "weight of a score has the shape"),
        ({"weight": WEIGHT * np.nan, "bias": np.float32([1])}, 1.0, "is not finite"),
        ({"weight": WEIGHT, "bias": np.float32([1])}, np.inf, "is not finite"),
    ],
)
def test_what_cannot_be_used_is_said(tensors: dict[str, NDArray[np.float32]], limit: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearScore(tensors, limit)
