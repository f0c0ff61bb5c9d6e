"""Percentiles: the rank that scipy gives, at the ends and between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import percentileofscore

from candor.decide.percentiles import POINTS, Percentiles, quantiles_of, read_percentiles
from candor.files.document import Document
from candor.study.errors import BundleError
from candor.study.findings import Finding

LOGITS = np.random.default_rng(0).normal(-2, 1, 4000)
PERCENTILES = Percentiles({Finding.MASS: quantiles_of(LOGITS)}, "made up")


@pytest.mark.parametrize("logit", [-5.0, -3.3, -2.0, -1.99, 0.0, 1.5])
def test_the_rank_is_scipys(logit: float) -> None:
    expected = percentileofscore(LOGITS, logit, kind="mean")
    assert PERCENTILES.rank(Finding.MASS, logit) == pytest.approx(
        expected, abs=0.6
    )  # the quantiles are a percent apart


def test_beyond_the_test_images_the_rank_ends() -> None:
    assert PERCENTILES.rank(Finding.MASS, -99.0) == 0
    assert PERCENTILES.rank(Finding.MASS, 99.0) == 100


def test_equal_logits_share_the_middle_of_their_ranks() -> None:
    flat = Percentiles({Finding.MASS: np.zeros(POINTS)}, "all alike")
    assert flat.rank(Finding.MASS, 0.0) == 50
    assert flat.rank(Finding.MASS, -1e-9) == 0


def document(values: object) -> Document:
    return Document({"description": "x", "findings": {"Mass": values}}, Path("percentiles.json"), "evaluate again")


def test_what_was_written_is_read() -> None:
    read = read_percentiles(document(list(quantiles_of(LOGITS))), (Finding.MASS,))
    assert read.rank(Finding.MASS, -2.0) == PERCENTILES.rank(Finding.MASS, -2.0)


@pytest.mark.parametrize("values", [[0.0], list(range(POINTS, 0, -1)), "x", None])
def test_what_cannot_be_is_refused(values: object) -> None:
    with pytest.raises(BundleError, match=r"percentiles\.json.*Mass"):
        read_percentiles(document(values), (Finding.MASS,))
