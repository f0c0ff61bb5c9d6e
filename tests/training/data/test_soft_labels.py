"""Soft labels change only the targets of the training pictures."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.special import expit, logit

from candor.study.errors import DataError, SettingsError
from candor.study.findings import Finding
from tests.nih import PLANTED, make_nih
from training.__main__ import EXIT_UNUSABLE, main
from training.data.readers import Dataset, read_dataset
from training.data.shares import shares
from training.data.soft_labels import read_soft_labels, softened
from training.data.splits import Subset
from training.learn.learner import make_learner
from training.learn.recipe import Recipe, Stage
from training.learn.train import train

RECIPE = Recipe("benchmark-cnn", stages=(Stage(32, 1, 0.01),), batch=8, precision="fp32", augmentation=None)
HEADER = ("Image Index", "prob_Cardiomegaly", "prob_Effusion")
Row = Sequence[object]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("soft") / "nih", train_val=40, test=2)


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return read_dataset(data, findings=PLANTED)


@pytest.fixture(scope="module")
def probabilities(dataset: Dataset) -> NDArray[np.float64]:
    """For each picture, those of the training set and all others."""
    return np.random.default_rng(0).uniform(0.01, 0.5, (len(dataset.images), len(PLANTED)))


@pytest.fixture(scope="module")
def table(dataset: Dataset, probabilities: NDArray[np.float64], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of all pictures, gzipped, and one picture more."""
    rows = [(image.name, *map(repr, row.tolist())) for image, row in zip(dataset.images, probabilities, strict=True)]
    return written(tmp_path_factory.mktemp("soft") / "soft.csv.gz", [*rows, ("other.png", 0.5, 0.5)])


def written(path: Path, rows: Iterable[Row], header: Row = HEADER) -> Path:
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def learning(dataset: Dataset) -> tuple[Dataset, NDArray[np.bool_]]:
    return dataset.only(Subset.TRAIN), np.asarray([image.subset is Subset.TRAIN for image in dataset.images])


def test_the_target_is_the_label_mixed_with_the_shifted_probability(
    dataset: Dataset, probabilities: NDArray[np.float64], table: Path
) -> None:
    train_set, mask = learning(dataset)
    found = softened(read_soft_labels(table), train_set, 0.3)
    labels = train_set.labels()
    before = np.concatenate([probabilities, [[0.5, 0.5]]]).mean(axis=0)
    shifted = expit(logit(probabilities[mask]) + logit(shares(labels)) - logit(before))
    assert found.targets == pytest.approx(0.7 * labels + 0.3 * shifted, abs=1e-6)
    assert found.images == len(train_set.images)
    assert found.sha256 == hashlib.sha256(table.read_bytes()).hexdigest()


def test_probabilities_of_the_right_prevalence_are_taken_as_they_are(dataset: Dataset, tmp_path: Path) -> None:
    train_set, _ = learning(dataset)
    share = shares(train_set.labels())
    rows = [(image.name, *map(repr, share.tolist())) for image in train_set.images]
    found = softened(read_soft_labels(written(tmp_path / "soft.csv", rows)), train_set, 1.0)
    assert found.targets == pytest.approx(np.tile(share, (len(rows), 1)), abs=1e-6)


def test_what_the_table_has_not_keeps_its_label(dataset: Dataset, tmp_path: Path) -> None:
    train_set, _ = learning(dataset)
    rows = [(train_set.images[3].name, 1, 0.25), ("other.png", 0, 0.75)]
    header = ("Image Index", "prob_Effusion", "prob_Hernia")
    found = softened(read_soft_labels(written(tmp_path / "soft.csv", rows, header)), train_set, 0.5)
    changed = train_set.labels()
    changed[3, PLANTED.index(Finding.EFFUSION)] = (changed[3, PLANTED.index(Finding.EFFUSION)] + 1) / 2
    assert np.array_equal(found.targets, changed)
    assert found.images == 1


def test_a_label_that_is_not_to_be_used_stays_so(dataset: Dataset, table: Path) -> None:
    train_set, _ = learning(dataset)
    first = replace(train_set.images[0], unknown=frozenset({Finding.EFFUSION}))
    found = softened(read_soft_labels(table), replace(train_set, images=(first, *train_set.images[1:])), 0.5)
    assert np.argwhere(np.isnan(found.targets)).tolist() == [[0, PLANTED.index(Finding.EFFUSION)]]


def test_whoever_watches_and_the_weights_of_the_loss_see_labels(dataset: Dataset, table: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, soft_labels=str(table))
    learner = make_learner(dataset, tmp_path, recipe, torch.device("cpu"))
    validation = dataset.only(Subset.VALIDATION).labels()
    assert np.array_equal(learner.validation.targets, validation)
    assert np.array_equal(learner.examples.labels, dataset.only(Subset.TRAIN).labels())
    assert not np.isin(learner.examples.targets, (0, 1)).any()


def test_training_reads_them_and_says_so(data: Path, table: Path, tmp_path: Path) -> None:
    common = ["train", "--data", str(data), "--network", "benchmark-cnn", "--stage", "32", "1", "0.01"]
    common += ["--set", "recipe#precision=fp32"]
    soft = ["--soft-labels", str(table), "--soft-weight", "0.8"]
    for work, more in (("hard", []), ("soft", soft)):
        assert main([*common, "--work", str(tmp_path / work), *more]) == 0
    hard, mixed = (json.loads((tmp_path / work / "train.json").read_text()) for work in ("hard", "soft"))
    assert hard["soft_labels"] is None
    assert mixed["soft_labels"] == {"sha256": hashlib.sha256(table.read_bytes()).hexdigest(), "images": mixed["images"]}
    assert (mixed["recipe"]["soft_labels"], mixed["recipe"]["soft_weight"]) == (str(table), 0.8)
    assert mixed["shares"] == hard["shares"]
    one, other = (load_file(tmp_path / work / "model.safetensors") for work in ("hard", "soft"))
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_a_run_does_not_go_on_with_another_table(
    dataset: Dataset, probabilities: NDArray[np.float64], tmp_path: Path
) -> None:
    rows: list[Row] = [(image.name, 0.2, 0.3) for image in dataset.images]
    recipe = replace(RECIPE, soft_labels=str(written(tmp_path / "soft.csv", rows)))
    train(dataset, tmp_path / "work", recipe)
    written(tmp_path / "soft.csv", [*rows, ("other.png", 0.1, 0.1)])
    with pytest.raises(SettingsError, match="is of another recipe or other pictures"):
        train(dataset, tmp_path / "work", recipe, resume=True)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (HEADER, [("a.png", 0.5, 1.5)], "the row of a.png holds a value that is not a probability from 0 to 1"),
        (HEADER, [("a.png", -0.1, 0.5)], "the row of a.png holds a value that is not a probability"),
        (HEADER, [("a.png", "nan", 0.5)], "the row of a.png holds a value that is not a probability"),
        (HEADER, [("a.png", "", 0.5)], "the row of a.png holds a value that is not a probability"),
        (HEADER, [("a.png", 0.5)], "the row of a.png holds a value that is not a probability"),
        (HEADER, [("a.png", 0.5, 0.5, 0.5)], "has the unknown column without a name"),
        (HEADER, [("a.png", 0.5, 0.5)] * 2, "has 2 rows for 1 pictures; keep one row of each"),
        (HEADER, [("a.png", 0.5, 0), ("b.png", 0.5, 0)], "prob_Effusion is 0 or 1 for all pictures"),
        (HEADER, [("a.png", 0.5, 0.5)], "has none of the training pictures; give a table made from these data"),
        (("Image Index", "prob_Hernia"), [("{known}", 0.5)], "has none of the findings"),
        (("Image Index", "prob_Gout"), [("a.png", 0.5)], "column prob_Gout: "),
        (("Image Index", "Effusion"), [("a.png", 0.5)], "has the unknown column Effusion; its columns are Image Index"),
        (("Image Index",), [("a.png",)], "has no column prob_<Finding>"),
        (("image", "prob_Effusion"), [("a.png", 0.5)], "has no column Image Index"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    dataset: Dataset, tmp_path: Path, header: Row, rows: list[Row], message: str
) -> None:
    train_set, _ = learning(dataset)
    rows = [(str(name).format(known=train_set.images[0].name), *cells) for name, *cells in rows]
    path = written(tmp_path / "soft.csv", rows, header)
    with pytest.raises(DataError) as caught:
        softened(read_soft_labels(path), train_set, 0.5)
    assert message in str(caught.value)


def test_a_table_that_is_away_is_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["train", "--data", str(data), "--work", str(tmp_path), "--soft-labels", str(tmp_path / "none.csv")]
    assert main([*given, "--network", "benchmark-cnn"]) == EXIT_UNUSABLE
    assert "none.csv is not there" in capsys.readouterr().err


MARGIN = (Stage(32, 1, 0.01, losses=({"name": "auc_margin"},), optimiser="pesg"),)
CLASSES = (Stage(32, 1, 0.01, losses=({"name": "cross_entropy"},)),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"soft_weight": 0.0}, "soft_weight is 0.0; give more than 0 and at most 1"),
        ({"soft_weight": 1.1}, "soft_weight is 1.1; give more than 0 and at most 1"),
        ({"stages": MARGIN}, "the loss auc_margin needs hard labels; leave soft_labels out, or take bce or focal"),
        ({"stages": CLASSES}, "the loss cross_entropy needs hard labels"),
    ],
)
def test_a_recipe_that_soft_labels_do_not_suit_is_refused(changes: dict[str, Any], message: str) -> None:
    replace(RECIPE, **{**changes, "soft_weight": 0.5})
    with pytest.raises(SettingsError, match=message):
        replace(RECIPE, soft_labels="soft.csv", **changes)
