"""A network of two views learns from frontal and lateral radiographs, also of studies that lack one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from candor.study.errors import BundleError, DataError
from candor.study.findings import Finding
from tests.nih import PLANTED, make_nih, picture
from tests.training.data.readers.trees import CHEXPERT, put_table
from training.__main__ import EXIT_UNUSABLE, main
from training.bundles.export import export
from training.bundles.trained import read_trained
from training.data.batches import Inputs
from training.data.readers import Dataset, LabelledImage, read_dataset
from training.data.splits import Subset
from training.data.views import paired
from training.learn.learner import make_learner
from training.learn.range_test import range_test
from training.learn.recipe import Recipe, Stage
from training.learn.train import train

RECIPE = Recipe("two-view:benchmark-cnn", stages=(Stage(32, 8, 0.02),), batch=8, precision="fp32", augmentation=None)
PATIENTS = 70


@pytest.fixture(scope="module")
def chexpert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CheXpert in small: cardiomegaly shows in the frontal picture, effusion only in the lateral.

    Every seventh study has no lateral, patient 3 no frontal picture, and patient 5 two of them.
    """
    folder, rng = tmp_path_factory.mktemp("views") / "chexpert", np.random.default_rng(0)
    for table, patients in (("train", range(PATIENTS)), ("valid", range(PATIENTS, PATIENTS + 2))):
        rows = [row for patient in patients for row in _study(folder, table, patient, rng)]
        put_table(folder / f"{table}.csv", CHEXPERT, rows)
    return folder


def _study(folder: Path, table: str, patient: int, rng: np.random.Generator) -> list[str]:
    found = [finding for finding in PLANTED if rng.random() < 0.5]
    shown = {"frontal": Finding.CARDIOMEGALY, "lateral": Finding.EFFUSION}
    views = ["view1_frontal", *(["view2_frontal"] if patient == 5 else []), "view3_lateral"]
    if patient % 7 == 0:
        views.pop()
    if patient == 3:
        views = views[-1:]
    heart, fluid = (f"{finding in found:d}" for finding in PLANTED)
    rows = []
    for name in views:
        view = name.partition("_")[2]
        path = f"{table}/patient{patient:05d}/study1/{name}.jpg"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / path), picture([finding for finding in found if finding is shown[view]], rng))
        kind = "Frontal,PA" if view == "frontal" else "Lateral,"
        rows.append(f"CheXpert-v1.0-small/{path},Male,60,{kind},,,{heart},,,,,,,,{fluid},,,")
    return rows


@pytest.fixture(scope="module")
def dataset(chexpert: Path) -> Dataset:
    return read_dataset(chexpert, findings=PLANTED)


def test_frontal_and_lateral_of_a_study_are_paired(dataset: Dataset) -> None:
    pairs = paired(dataset)
    assert pairs.laterals is not None
    for frontal, lateral in zip(pairs.frontal.images, pairs.laterals, strict=True):
        assert frontal.view == "PA"
        assert (lateral is None) == (int(frontal.patient[-5:]) % 7 == 0)
        assert lateral is None or (lateral.view, lateral.study, lateral.patient) == (
            "LL",
            frontal.study,
            frontal.patient,
        )
    assert pairs.facts == {"pairs": 61, "frontal_alone": 11, "laterals_left_out": 1}


def test_pictures_of_no_study_are_never_paired() -> None:
    one = LabelledImage("a", Path("a"), "1", frozenset(), Subset.TRAIN, view="PA")
    other = replace(one, name="b", view="LL")
    pairs = paired(Dataset((one, other), PLANTED))
    assert pairs.laterals == (None,)
    assert pairs.left_out == 1


def test_the_first_lateral_by_name_is_taken_and_a_study_is_a_patients_own() -> None:
    one = LabelledImage("a", Path("a"), "1", frozenset(), Subset.TRAIN, view="AP", study="1")
    later, first, foreign = (replace(one, name=name, view="LL") for name in ("d", "c", "b"))
    pairs = paired(Dataset((one, later, first, replace(foreign, patient="2")), PLANTED))
    assert pairs.laterals == (first,)
    assert pairs.left_out == 1


def test_an_input_holds_both_views(dataset: Dataset, tmp_path: Path) -> None:
    learner = make_learner(dataset, tmp_path, RECIPE, torch.device("cpu"))
    inputs = Inputs(learner.examples, learner.spec, None, ())
    assert learner.learning.laterals is not None
    for position, lateral in enumerate(learner.learning.laterals):
        image = inputs[position, 0]["image"]
        assert image.shape == (2, 32, 32)
        assert not image[0].isnan().any()
        assert bool(image[1].isnan().all()) == (lateral is None)
    position = next(k for k, lateral in enumerate(learner.learning.laterals) if lateral is not None)
    name = learner.learning.laterals[position].name
    stored = cv2.imread(str(next(i.path for i in dataset.images if i.name == name)), cv2.IMREAD_GRAYSCALE)
    expected = cv2.resize(stored, (32, 32), interpolation=cv2.INTER_AREA) / 255
    shown = inputs[position, 0]["image"][1].numpy() * learner.spec.std + learner.spec.mean
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.95


def test_it_learns_what_only_the_lateral_shows(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(dataset, tmp_path, RECIPE)
    record = json.loads((tmp_path / "train.json").read_text())
    learning = [image for image in dataset.only(Subset.TRAIN).images if image.view == "PA"]
    assert record["images"] == len(learning) == record["views"]["pairs"] + record["views"]["frontal_alone"]
    assert "frontal radiographs with a lateral" in capsys.readouterr().err
    # Blind to the lateral, effusion would be guessed: the mean of both findings could not pass 0.75 by much.
    assert record["history"][-1]["auc"] > 0.9


def test_the_range_test_reads_both_views(dataset: Dataset, tmp_path: Path) -> None:
    learner = make_learner(dataset, tmp_path, RECIPE, torch.device("cpu"))
    (sweep,) = range_test(learner, RECIPE, [0.0], steps=10)
    assert np.isfinite(sweep.losses).all()


def test_data_without_laterals_are_refused(
    tmp_path: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_nih(tmp_path / "nih", train_val=30, test=1)
    assert main(["train", "--data", str(data), "--work", str(tmp_path), "--network", RECIPE.network]) == EXIT_UNUSABLE
    error = capsys.readouterr().err
    assert "no training study has both; give data with laterals, or train benchmark-cnn" in error
    laterals = replace(dataset, images=tuple(image for image in dataset.images if image.view == "LL"))
    with pytest.raises(DataError, match="all radiographs of the train patients are lateral"):
        train(laterals, tmp_path, RECIPE)


def test_a_bundle_of_two_views_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    train(dataset, tmp_path / "work", replace(RECIPE, stages=(Stage(32, 1, 0.02),)))
    with pytest.raises(BundleError, match=r"the application gives a network one picture; train benchmark-cnn"):
        export(read_trained(tmp_path / "work"), tmp_path / "cxr")
    assert not (tmp_path / "cxr").exists()
