"""A bundle teaches: the table holds its probabilities for the training pictures, and training takes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

from candor.model.bundle import load_model
from candor.study.errors import DataError
from tests.conftest import ROOT
from tests.nih import make_nih
from training.__main__ import main
from training.data.readers import read_dataset
from training.data.soft_labels import SoftLabels, read_soft_labels
from training.data.splits import Subset
from training.predictions.predict import predict
from training.predictions.teacher import write_soft_labels

BUNDLE = ROOT / "models" / "cxr"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("teacher") / "nih", train_val=12, test=3)


def test_the_table_holds_the_probabilities_of_the_training_pictures(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "soft.csv.gz"
    assert main(["soft-labels", "--bundle", str(BUNDLE), "--data", str(data), "--out", str(out)]) == 0
    model = load_model(BUNDLE)
    part = read_dataset(data, findings=model.findings).only(Subset.TRAIN)
    table = read_soft_labels(out)
    assert table.findings == model.findings
    assert list(table.rows) == [image.name for image in part.images]
    np.testing.assert_allclose(list(table.rows.values()), expit(predict(model, part).logits), rtol=1e-5)
    first = out.read_bytes()
    assert main(["soft-labels", "--bundle", str(BUNDLE), "--data", str(data), "--out", str(out)]) == 0
    assert out.read_bytes() == first


def test_another_table_counts_half_where_it_has_a_picture(data: Path, tmp_path: Path) -> None:
    model = load_model(BUNDLE)
    dataset = read_dataset(data, findings=model.findings)
    part = dataset.only(Subset.TRAIN)
    write_soft_labels(model, dataset, tmp_path / "alone.csv.gz")
    alone = read_soft_labels(tmp_path / "alone.csv.gz")
    known, unknown = part.images[0].name, part.images[1].name
    given = np.full(len(model.findings), 0.3)
    # Its prevalence is that of the pictures, so that nothing is shifted.
    labels = part.labels()
    same = (labels.sum(axis=0) + 0.5) / (len(labels) + 1)
    other = SoftLabels(tmp_path / "other.csv", model.findings, {known: given}, same, "")
    assert write_soft_labels(model, dataset, tmp_path / "both.csv.gz", other) == len(part.images)
    both = read_soft_labels(tmp_path / "both.csv.gz")
    np.testing.assert_allclose(both.rows[unknown], alone.rows[unknown])
    np.testing.assert_allclose(logit(both.rows[known]), (logit(alone.rows[known]) + logit(given)) / 2, atol=1e-4)


def test_a_table_without_one_of_the_findings_is_refused(data: Path, tmp_path: Path) -> None:
    model = load_model(BUNDLE)
    other = SoftLabels(tmp_path / "other.csv", model.findings[1:], {}, np.full(len(model.findings) - 1, 0.1), "")
    with pytest.raises(DataError, match=f"lacks {model.findings[0].label}; give a table with all"):
        write_soft_labels(model, read_dataset(data, findings=model.findings), tmp_path / "soft.csv.gz", other)


def test_a_table_of_other_pictures_is_refused(data: Path, tmp_path: Path) -> None:
    model = load_model(BUNDLE)
    other = SoftLabels(tmp_path / "other.csv", model.findings, {}, np.full(len(model.findings), 0.1), "")
    with pytest.raises(DataError, match="has none of the training pictures"):
        write_soft_labels(model, read_dataset(data, findings=model.findings), tmp_path / "soft.csv.gz", other)


def test_data_without_pictures_to_train_on_are_refused(data: Path, tmp_path: Path) -> None:
    model = load_model(BUNDLE)
    unseen = read_dataset(data, findings=model.findings).only(Subset.UNSEEN)
    with pytest.raises(DataError, match="no picture to train on"):
        write_soft_labels(model, unseen, tmp_path / "soft.csv.gz")
