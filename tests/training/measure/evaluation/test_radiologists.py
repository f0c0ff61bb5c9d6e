"""The radiologists' tables, and their figures against scikit-learn."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from candor.study.errors import DataError
from tests.training.measure.evaluation.samples import THREE, make_sample
from training.measure.evaluation.figures import youden_out_of_fold
from training.measure.evaluation.radiologists import IN_THE_MAJORITY, LABELS, READS, beside_readers, read_reads
from training.measure.evaluation.sample import Sample

READERS = (*sorted(IN_THE_MAJORITY), "1", "2")
NAMES = [finding.label for finding in THREE]


def write_reads(folder: Path, sample: Sample, flipped: float = 0.1) -> np.ndarray:
    """Write both tables for every other picture; all readers err alike. Returns the answers by reader."""
    rng = np.random.default_rng(3)
    truth = sample.labels[::2] > 0
    given = np.stack([truth ^ (rng.random(truth.shape) < flipped) for _ in READERS])
    majority = given[:3].sum(axis=0) >= 2
    images = [image.name for image in sample.images[::2]]
    word = np.asarray(["NO", "YES"])
    with (folder / LABELS).open("w", newline="") as file:
        rows = ([name, *word[row.astype(int)]] for name, row in zip(images, majority, strict=True))
        csv.writer(file).writerows([("Image ID", *NAMES), *rows])
    with (folder / READS).open("w", newline="") as file:
        rows = (
            [name, reader, *word[given[r, i].astype(int)]]
            for i, name in reversed(list(enumerate(images)))
            for r, reader in enumerate(READERS)
        )
        csv.writer(file).writerows([("Image ID", "Reader ID", *NAMES), *rows])
    return given


def test_the_reads_are_put_in_the_order_of_the_pictures(tmp_path: Path) -> None:
    sample = make_sample()
    given = write_reads(tmp_path, sample)
    reads = read_reads(tmp_path, sample)
    assert reads is not None
    assert list(reads.others) == ["1", "2"]
    np.testing.assert_array_equal(reads.read, np.arange(len(sample.images)) % 2 == 0)
    np.testing.assert_array_equal(reads.majority[::2], given[:3].sum(axis=0) >= 2)
    np.testing.assert_array_equal(reads.others["2"][::2], given[4])


def test_the_figures_are_of_the_pictures_that_were_read(tmp_path: Path) -> None:
    sample = make_sample()
    given = write_reads(tmp_path, sample)
    reads = read_reads(tmp_path, sample)
    assert reads is not None
    thresholds = youden_out_of_fold(sample)
    figures: Any = beside_readers(sample, reads, thresholds)
    majority, rows = reads.majority[::2, 1], np.arange(0, len(sample.images), 2)
    ranked = {name: figures[name]["ranking"]["findings"]["Effusion"]["auc"]["value"] for name in ("mined", "majority")}
    assert ranked["mined"] == pytest.approx(roc_auc_score(sample.labels[rows, 1], sample.logits[rows, 1]))
    assert ranked["majority"] == pytest.approx(roc_auc_score(majority, sample.logits[rows, 1]))

    reader = figures["readers"]["1"]["Effusion"]
    assert reader["sensitivity"]["value"] == pytest.approx(recall_score(majority, given[3, :, 1]))
    assert reader["specificity"]["value"] == pytest.approx(recall_score(1 - majority, ~given[3, :, 1]))
    mined = figures["mined_as_reader"]["Effusion"]
    assert mined["f1"]["value"] == pytest.approx(f1_score(majority, sample.labels[rows, 1]))

    called = sample.probabilities[rows, 1] >= thresholds[rows, 1]
    found = figures["majority"]["answers"]["findings"]["Effusion"]["sensitivity"]["value"]
    assert found == pytest.approx(recall_score(reads.majority[rows, 1], called))


def test_without_tables_or_without_these_pictures_there_are_no_reads(tmp_path: Path) -> None:
    sample = make_sample()
    assert read_reads(tmp_path, sample) is None
    write_reads(tmp_path, sample)
    assert read_reads(tmp_path, sample.take(np.arange(len(sample.images)) == 1)) is None


def test_an_answer_that_is_neither_yes_nor_no_is_refused(tmp_path: Path) -> None:
    sample = make_sample()
    write_reads(tmp_path, sample)
    table = tmp_path / LABELS
    table.write_text(table.read_text().replace("YES", "perhaps", 1))
    with pytest.raises(DataError, match="'perhaps'; it must be YES or NO"):
        read_reads(tmp_path, sample)


def test_a_mined_label_that_is_not_known_is_no_answer(tmp_path: Path) -> None:
    sample = make_sample()
    write_reads(tmp_path, sample)
    reads = read_reads(tmp_path, sample)
    assert reads is not None
    labels = sample.labels.copy()
    labels[::4, 1] = np.nan
    thresholds = np.full(labels.shape, 0.5)
    mined: Any = beside_readers(sample.labelled(labels), reads, thresholds)["mined_as_reader"]
    rows = np.flatnonzero(reads.read & ~np.isnan(labels[:, 1]))
    expected = recall_score(reads.majority[rows, 1], labels[rows, 1])
    assert mined["Effusion"]["sensitivity"]["value"] == pytest.approx(expected)
