"""The table of predictions: a round trip, the published layouts, and errors that name the place."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit

from candor.model.bundle import load_model
from candor.study.errors import DataError
from candor.study.findings import Finding
from tests.bundles import THREE
from tests.nih import read_nih
from tests.results import write_results_json
from tests.training.predictions.written import write_predictions
from training.predictions.predict import predict
from training.predictions.table import CLIP, Predictions, predictions_of, read_predictions

PUBLISHED = """Image Index,prob_Effusion,prob_Mass
b.png,0.25,0
a.png,0.5,1.0
z.png,0.5,0.5
"""
LABELS = """Image Index,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position
a.png,Effusion|Hernia,7,064,M,PA
b.png,No Finding,8,17,F,AP
c.png,Mass,8,,F,
"""
OURS = """image,patient,sex,age,view,Effusion,Mass,Effusion_logit,Mass_probability
a,7,M,64,PA,1,,-1.5,0.5
b,8,,,,0,0,2.25,0.25
"""


def made(images: int = 40, patients: int = 15) -> Predictions:
    """Predictions of three findings, with unknown labels and groups."""
    rng = np.random.default_rng(0)
    return Predictions(
        "St Elsewhere",
        THREE,
        np.asarray([f"i{k}" for k in range(images)]),
        np.asarray([f"p{k % patients}" for k in range(images)]),
        rng.choice([0.0, 1.0, np.nan], (images, 3)),
        rng.normal(size=(images, 3)),
        {"sex": rng.choice(["F", "M", ""], images), "age group": np.full(images, "18 to 39")},
    )


def table(path: Path, text: str) -> Path:
    """Write a table."""
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    before = made()
    write_predictions(tmp_path / name, before)
    after = read_predictions(tmp_path / name)
    assert (after.source, after.findings) == (name, before.findings)
    for field in ("images", "patients", "labels", "logits"):
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))
    assert {k: v.tolist() for k, v in after.groups.items()} == {k: v.tolist() for k, v in before.groups.items()}
    content = (tmp_path / name).read_bytes()
    write_predictions(tmp_path / name, before)
    assert (tmp_path / name).read_bytes() == content


def test_our_layout(tmp_path: Path) -> None:
    read = read_predictions(table(tmp_path / "t.csv", OURS))
    assert read.findings == (Finding.EFFUSION, Finding.MASS)
    np.testing.assert_array_equal(read.labels, [[1, np.nan], [0, 0]])
    np.testing.assert_allclose(read.logits, [[-1.5, 0], [2.25, logit(0.25)]], rtol=1e-12)
    assert {k: v.tolist() for k, v in read.groups.items()} == {
        "sex": ["M", ""],
        "age group": ["60 and over", ""],
        "view": ["PA", ""],
    }
    assert read.description == "t.csv, 2 images of 2 patients"
    turned = read_predictions(tmp_path / "t.csv", findings=(Finding.MASS, Finding.EFFUSION))
    np.testing.assert_array_equal(turned.logits, read.logits[:, ::-1])


def test_the_published_layout_is_joined_with_its_labels(tmp_path: Path) -> None:
    labels = table(tmp_path / "labels.csv.gz", LABELS)
    read = read_predictions(table(tmp_path / "t.csv.gz", PUBLISHED), labels)
    assert read.images.tolist() == ["b.png", "a.png"]
    assert read.patients.tolist() == ["8", "7"]
    np.testing.assert_array_equal(read.labels, [[0, 0], [1, 0]])
    np.testing.assert_allclose(read.logits, logit([[0.25, CLIP], [0.5, 1 - CLIP]]), rtol=1e-6)
    assert read.groups["age group"].tolist() == ["under 18", "60 and over"]
    assert (read.groups["sex"].tolist(), read.groups["view"].tolist()) == (["F", "M"], ["AP", "PA"])


def test_the_applications_results_are_joined_by_their_uid(tmp_path: Path) -> None:
    results = write_results_json(tmp_path, {"1.2.3": {"Effusion": 0.75, "Mass": -2.0}})
    read = read_predictions(results, table(tmp_path / "l.csv", "image,patient,Effusion\n1.2.3,p,1\n"))
    np.testing.assert_array_equal(read.logits, [[0.75, -2.0]])
    np.testing.assert_array_equal(read.labels, [[1, np.nan]])


def test_halves_are_of_patients_and_of_the_seed() -> None:
    first, second = made().halves(3)
    assert not set(first.patients) & set(second.patients)
    assert len(first.images) + len(second.images) == 40
    assert abs(len(set(first.patients)) - len(set(second.patients))) <= 1
    assert made().halves(3)[0].images.tolist() == first.images.tolist() != made().halves(4)[0].images.tolist()


def test_a_bundles_own_predictions(mini_nih: Path, random_bundle: Path) -> None:
    model = load_model(random_bundle)
    dataset = read_nih(mini_nih, model.findings)
    mine = replace(dataset, images=dataset.images[:9])
    read = predictions_of(model, mine, "a site")
    np.testing.assert_array_equal(read.logits, predict(model, mine).logits)
    np.testing.assert_array_equal(read.labels, mine.labels())
    assert read.images.tolist() == [image.name for image in mine.images]
    assert set(read.groups) == {"sex", "age group", "view"}
    assert read.source == "a site"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("patient,Mass,Mass_logit\np,1,0\n", r"has no column image \(or Image Index\)"),
        ("image,Mass,Mass_logit\na,1,0\n", r"has no column patient \(or patient_id, Patient ID\)"),
        ("image,patient,Mass\na,p,1\n", "has no score of any finding; add columns such as Atelectasis_logit"),
        ("image,patient,Mass_logit\na,p,0\n", "has no label of Mass; add the columns, or --labels"),
        ("image,patient,Mass,Mass_logit\na,p,,0\n", "has no label of Mass"),
        ("image,patient,Mass,Mass_logit\na,p,1,0\na,p,1,0\n", "row 2: the image 'a' occurs twice"),
        ("image,patient,Mass,Mass_logit\n,p,1,0\n", "row 1: the image '' has no name"),
        ("image,patient,Mass,Mass_logit\na,,1,0\n", "row 1: patient is blank"),
        ("image,patient,Mass,Mass_logit\na,p,7,0\n", "unknown label '7'"),
        ("image,patient,Mass,Mass_logit\na,p,1,\n", "image a: Mass_logit is '', not a finite number"),
        ("image,patient,Mass,Mass_logit\na,p,1,inf\n", "image a: Mass_logit is 'inf', not a finite number"),
        ("image,patient,Mass,Mass_probability\na,p,1,1.5\n", "Mass_probability is '1.5', not a probability from 0"),
        ("image,patient,Mass,Mass_probability\na,p,1,-1e-9\n", "not a probability from 0 to 1"),
    ],
)
def test_a_table_that_cannot_be_used_says_where(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_predictions(table(tmp_path / "t.csv", text))


def test_a_finding_without_a_score_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no score of Hernia; add Hernia_logit or _probability"):
        read_predictions(table(tmp_path / "t.csv", OURS), findings=(Finding.MASS, Finding.HERNIA))


def test_labels_of_other_images_are_refused(tmp_path: Path) -> None:
    labels = table(tmp_path / "l.csv", "image,patient,Mass\nq,p,1\n")
    with pytest.raises(DataError, match=r"l.csv has no image of .*t.csv \(such as 'a'\)"):
        read_predictions(table(tmp_path / "t.csv", OURS), labels)
    twice = table(tmp_path / "l.csv", "image,patient,Mass\na,p,1\na,p,0\n")
    with pytest.raises(DataError, match=r"l\.csv, row 2: the image 'a' occurs twice"):
        read_predictions(tmp_path / "t.csv", twice)


@pytest.mark.parametrize("text", ["{", "[]", '{"studies": [{}]}', '{"studies": []}'])
def test_other_json_is_no_result(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"is not a results\.json|holds no image that was assessed"):
        read_predictions(table(tmp_path / "r.json", text), tmp_path / "l.csv")


def test_results_without_an_assessed_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image that was assessed"):
        read_predictions(write_results_json(tmp_path, {}), tmp_path / "l.csv")
