"""Percentiles: the rank that scipy gives, at the ends and between."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import percentileofscore

from candor.decide.percentiles import POINTS, Percentiles, PercentilesFile, quantiles_of
from candor.files.reader import JsonFile
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


def read(folder: Path, values: object) -> Percentiles:
    path = folder / "percentiles.json"
    path.write_text(json.dumps({"description": "x", "weights_sha256": "0", "findings": {"Mass": values}}))
    return JsonFile(path, "evaluate again").read(PercentilesFile).percentiles((Finding.MASS,))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, list(quantiles_of(LOGITS))).rank(Finding.MASS, -2.0) == PERCENTILES.rank(Finding.MASS, -2.0)


@pytest.mark.parametrize("values", [[0.0], list(range(POINTS, 0, -1)), "x", None])
def test_what_cannot_be_is_refused(tmp_path: Path, values: object) -> None:
    with pytest.raises(BundleError, match=r"percentiles\.json.*Mass.*; evaluate again"):
        read(tmp_path, values)
