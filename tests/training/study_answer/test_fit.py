"""Fitting the answer for a study: the truth, the choice of a recipe, figures out of fold, the file and the bundle."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmwrite

import candor
from candor import RESEARCH_USE
from candor.model.bundle import STUDY_ANSWER, load_bundle, load_model, load_study_answer
from candor.settings import Settings
from candor.study.errors import BundleError, DataError, SettingsError
from candor.study.findings import NO_FINDING
from candor.study.result import AnyAbnormality
from tests.factory import radiograph_dataset
from tests.nih import read_nih
from tests.training.conftest import DAY
from training.__main__ import EXIT_UNUSABLE, main
from training.calibration.write_head import shipped_head, write_head
from training.data.splits import Subset
from training.records import Occasion
from training.statistics.metrics import aucs
from training.study_answer.cases import Cases, any_label, cases_of
from training.study_answer.figures import figures, worklist
from training.study_answer.fit import Options, _fit, fit_study_answer, measured
from training.study_answer.score import CrossFit, Recipe, fit_score

TODAY = Occasion(date(2026, 7, 25), "made up")
NAN = float("nan")


def planted(patients: int = 300, *, strength: float = 2.0, seed: int = 0, read: float = 0.7) -> Cases:
    """Patients with one to three pictures; the first two features tell what is abnormal, the logits less so."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    abnormal = (rng.random(patients) < 0.6)[owner].astype(float)
    features = rng.normal(size=(len(owner), 20))
    features[:, :2] += strength * (abnormal[:, None] - 0.5)
    labelled = np.where(rng.random(len(owner)) < 0.8, abnormal, 1 - abnormal)
    names = np.asarray([f"patient {each}" for each in owner], np.str_)
    groups = {"view": np.full(len(owner), "PA"), "sex": np.where(owner % 2, "F", "M").astype(np.str_)}
    is_read = (rng.random(patients) < read)[owner]
    logits = features[:, :1] + rng.normal(size=(len(owner), 1))
    return Cases(
        "made up", names, labelled, np.where(is_read, abnormal, NAN), {"features": features, "logits": logits}, groups
    )


def test_a_picture_is_abnormal_by_the_reads_and_elsewhere_by_its_labels() -> None:
    assert any_label(np.array([[0, 1], [0, 0], [NAN, 0], [NAN, 1]])).tolist() == pytest.approx(
        [1, 0, NAN, 1], nan_ok=True
    )
    cases = planted(4)
    cases = replace(cases, read=np.full(len(cases.read), NAN))
    assert cases.truth_name == "the labels"
    assert np.array_equal(cases.truth, cases.labelled)


def test_the_score_does_not_know_a_patient_by_the_number_of_pictures() -> None:
    cases, recipe = planted(), Recipe("features", 0.1, 1e-2)
    everyone = np.ones(len(cases.patients), np.bool_)
    again = np.r_[np.arange(len(everyone)), np.repeat(np.flatnonzero(cases.patients == "patient 7"), 30)]
    more = Cases(
        cases.source,
        cases.patients[again],
        cases.labelled[again],
        cases.read[again],
        {name: values[again] for name, values in cases.inputs.items()},
        {name: values[again] for name, values in cases.groups.items()},
    )
    once, often = fit_score(cases, everyone, recipe), fit_score(more, np.ones(len(again), np.bool_), recipe)
    assert np.corrcoef(once.of(cases), often.of(cases))[0, 1] > 0.999


def test_labels_count_for_nothing_where_their_weight_is_nought() -> None:
    cases = planted()
    wrong = replace(cases, labelled=1 - cases.labelled)
    everyone, recipe = np.ones(len(cases.patients), np.bool_), Recipe("features", 0.0, 1e-2)
    assert np.array_equal(fit_score(cases, everyone, recipe).weights, fit_score(wrong, everyone, recipe).weights)
    weighed = replace(recipe, label_weight=0.3)
    assert not np.allclose(fit_score(cases, everyone, weighed).weights, fit_score(wrong, everyone, weighed).weights)


def test_a_score_out_of_fold_has_not_seen_the_patient() -> None:
    cases = planted(strength=0.0, read=1.0)
    cross = CrossFit(cases)
    recipe = Recipe("features", 0.0, 10.0)
    assert all(len(set(cross.folds[cases.patients == name])) == 1 for name in np.unique(cases.patients))
    seen, unseen = cross.fit(recipe).of(cases), cross.scores(recipe)
    auc = {name: float(aucs(cases.read[:, None], s[:, None])[0, 0]) for name, s in (("in", seen), ("out", unseen))}
    assert auc["in"] > 0.6 > auc["out"] > 0.35
    assert np.isnan(cross.scores(recipe, 2)).tolist() == (cross.folds == 2).tolist()


def test_the_better_inputs_are_chosen() -> None:
    assert CrossFit(planted()).choose().inputs == "features"
    cases = planted()
    swapped = replace(cases, inputs={"features": cases.inputs["logits"], "logits": cases.inputs["features"]})
    assert CrossFit(swapped).choose().inputs == "logits"


def test_a_larger_promise_has_a_higher_threshold() -> None:
    five, ten = (promise.threshold for promise in _fit(CrossFit(planted()), Options(), 0.5, "x").rule_outs)
    assert five < ten


def test_the_figures_are_of_patients_that_were_left_out() -> None:
    cases = planted(400)
    record = figures(cases, measured(CrossFit(cases), Options(), 0.5))
    assert record["auc"]["value"] > 0.9
    for promise in record["rule_out"]:
        assert promise["abnormal_missed"]["value"] <= promise["max_missed"]
        assert promise["normal_ruled_out"]["value"] > 0.2
        assert set(promise["groups"]) == {"view: PA", "sex: F", "sex: M"}
        assert promise["groups"]["view: PA"]["abnormal"] == record["abnormal"]
    assert record["worklist"]["first_half_abnormal"] > 0.9
    without = np.full(len(cases.patients), NAN)
    assert figures(replace(cases, read=without), measured(CrossFit(cases), Options(), 0.5))["against"] == "the labels"


def test_the_worklist_is_read_from_the_highest_priority() -> None:
    abnormal = np.array([True, True, False, True, False, False, False, False])
    priorities = np.array([90.0, 80, 70, 60, 50, 40, 30, 20])
    assert worklist(abnormal, priorities) == {"first_half_abnormal": 0.75, "last_quarter_abnormal": 0.0}


def test_the_priority_is_a_percentile_at_the_assumed_prevalence() -> None:
    cases = planted(900, read=1.0)
    model = _fit(CrossFit(cases), Options(), 0.6, "x")
    priorities = np.asarray([model.priority(score) for score in CrossFit(cases).scores(CrossFit(cases).choose())])
    assert np.quantile(priorities, [0.25, 0.5, 0.75]) == pytest.approx([25, 50, 75], abs=4)


@pytest.fixture
def with_reads(mini_nih: Path, tmp_path: Path) -> Path:
    """The miniature data set, with reads of the first two thirds of its test pictures that agree with the labels."""
    folder = Path(shutil.copytree(mini_nih, tmp_path / "nih"))
    with (folder / "images.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    reads = [(r["image"], "NO" if r["labels"] == NO_FINDING else "YES") for r in rows[: 2 * len(rows) // 3]]
    write_reads(folder, reads)
    return folder


def write_reads(folder: Path, rows: list[tuple[str, str]]) -> None:
    with (folder / "experts_labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Image ID", "Abnormal"), *rows])


def test_the_command_writes_the_file_and_the_page(
    random_bundle: Path, with_reads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(random_bundle, tmp_path / "cxr"))
    before = load_bundle(root)
    assert before.study_answer is None
    arguments = ["fit-study-answer", "--bundle", str(root), "--data", str(with_reads), "--date", DAY]
    assert main(arguments) == 0
    bundle, record = load_bundle(root), json.loads((root / STUDY_ANSWER).read_text())
    assert bundle.sha256 != before.sha256
    model = bundle.study_answer
    assert model is not None
    assert model.prevalence == 0.7  # of the label table
    assert [promise.max_missed for promise in model.rule_outs] == [0.05, 0.10]
    assert record["date"] == DAY
    assert record["measured"]["against"] == "the radiologists' reads"
    assert "images read by radiologists" in model.description
    printed, page = capsys.readouterr().out, (root / "docs" / "study-answer.md").read_text()
    auc = f"{record['measured']['auc']['value']:.3f}"
    assert auc in printed
    assert auc in page
    assert RESEARCH_USE in page
    first = (root / STUDY_ANSWER).read_bytes()
    assert main(arguments) == 0
    assert (root / STUDY_ANSWER).read_bytes() == first


def test_the_files_score_is_the_fitted_one(random_bundle: Path, with_reads: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(random_bundle, tmp_path / "cxr"))
    model, dataset = load_model(root), read_nih(with_reads, load_model(root).findings)
    fit_study_answer(model, dataset, with_reads, Options(), TODAY)
    unseen = dataset.only(Subset.UNSEEN)
    cases = cases_of(model, unseen, with_reads)
    cross = CrossFit(cases)
    expected = cross.fit(cross.choose()).of(cases)
    loaded = load_study_answer(model)
    assert loaded is not None
    pairs = zip(cases.inputs["logits"], cases.inputs["features"], strict=True)
    assert [loaded.score(*pair) for pair in pairs] == pytest.approx(expected, abs=1e-4)
    known = ~np.isnan(cases.read)
    assert known.sum() == pytest.approx(2 * len(known) / 3, abs=1)
    assert np.array_equal(cases.read[known], cases.labelled[known])


def test_an_answer_for_other_weights_is_refused(random_bundle: Path, with_reads: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(random_bundle, tmp_path / "cxr"))
    model = load_model(root)
    fit_study_answer(model, read_nih(with_reads, model.findings), with_reads, Options(), TODAY)
    record = json.loads((root / STUDY_ANSWER).read_text())
    changes = (
        ({"weights_sha256": "0" * 64}, "weights_sha256"),
        ({"inputs": "logits", "weights": [1.0]}, "has 1 values for 3 findings"),
        ({"normal": record["normal"][:-1]}, "101 numbers"),
    )
    for change, message in changes:
        (root / STUDY_ANSWER).write_text(json.dumps(record | change))
        with pytest.raises(BundleError, match=message):
            load_bundle(root)


def test_what_cannot_be_fitted_is_refused(
    random_bundle: Path, with_reads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit-study-answer", "--bundle", str(random_bundle), "--data", str(with_reads)]
    assert main([*arguments, "--max-missed", "1.5"]) == EXIT_UNUSABLE
    model = load_model(random_bundle)
    dataset = read_nih(with_reads, model.findings)
    with pytest.raises(DataError, match="unseen patient"):
        fit_study_answer(model, dataset.only(Subset.TRAIN), with_reads, Options(), TODAY)
    unseen = dataset.only(Subset.UNSEEN)
    write_reads(with_reads, [(unseen.images[0].name, "PERHAPS")])
    with pytest.raises(DataError, match=r"Abnormal of .* is 'PERHAPS'"):
        cases_of(model, unseen, with_reads)
    write_reads(with_reads, [(image.name, "YES") for image in unseen.images])
    with pytest.raises(DataError, match="all normal or all abnormal"):
        cases_of(model, unseen, with_reads)
    assert not (random_bundle / STUDY_ANSWER).exists()


@pytest.mark.parametrize("inputs", ["features", "logits"])
def test_a_refitted_head_keeps_an_answer_of_features_alone(
    random_bundle: Path, with_reads: Path, tmp_path: Path, inputs: str
) -> None:
    root = Path(shutil.copytree(random_bundle, tmp_path / "cxr"))
    model = load_model(root)
    fit_study_answer(model, read_nih(with_reads, model.findings), with_reads, Options(), TODAY)
    record = json.loads((root / STUDY_ANSWER).read_text())
    weights = record["weights"] if inputs == "features" else [1.0] * len(model.findings)
    (root / STUDY_ANSWER).write_text(json.dumps(record | {"inputs": inputs, "weights": weights}))
    weight, bias = shipped_head(model)
    folds = np.repeat(weight[np.newaxis], 5, axis=0), np.repeat(bias[np.newaxis], 5, axis=0)
    changed = write_head(model, (weight + 1, bias), folds, {"data": "made up"})
    assert changed.weights_sha256 != model.weights_sha256
    assert (load_study_answer(changed) is not None) == (inputs == "features")


def test_a_study_gets_its_answer_from_the_whole_application(
    random_bundle: Path, with_reads: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(random_bundle, tmp_path / "cxr"))
    model = load_model(root)
    fit_study_answer(model, read_nih(with_reads, model.findings), with_reads, Options(), TODAY)
    source = tmp_path / "in"
    source.mkdir()
    dcmwrite(source / "a.dcm", radiograph_dataset(view="PA"), enforce_file_format=True)
    (study,) = candor.assess(source, bundle=root)
    assert study.answer is not None
    assert len(study.images) == 1
    assert study.answer.any_abnormality in (AnyAbnormality.RULED_OUT, AnyAbnormality.NOT_RULED_OUT)
    assert 0 <= study.answer.priority <= 100
    assert study.answer.score is not None
    with pytest.raises(SettingsError, match=r"fitted to 0\.05, 0\.1"):
        candor.assess(source, bundle=root, settings=Settings(rule_out_missed=0.2))
    (nothing,) = candor.assess(source, bundle=random_bundle)
    assert nothing.answer is None
