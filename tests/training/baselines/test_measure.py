"""PCANet on a data set: it finds what is planted, with intervals, and says what it was fitted to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from candor.model.preprocess import InputSpec, to_network_input
from candor.study.errors import DataError
from candor.study.findings import Finding
from tests.nih import PLANTED, make_nih
from training.__main__ import EXIT_UNUSABLE, main
from training.baselines.measure import CHUNK, WATCHED, measure_pcanet
from training.baselines.pcanet import PcaNet, PcaNetSpec
from training.data.pictures import as_radiograph, read_picture
from training.data.readers import Dataset, read_dataset
from training.data.splits import Subset

SPEC = PcaNetSpec(patch=5, filters=(4, 4), block=8, step=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("baseline") / "nih", train_val=160, test=40)


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return read_dataset(data, findings=(*PLANTED, Finding.HERNIA))


def test_the_verb_finds_what_is_planted_and_writes_it_down(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["pcanet", "--data", str(data), "--work", str(tmp_path / "work"), "--side", "32", "--date", "2026-01-02"]
    assert main(given) == 0
    record = json.loads((tmp_path / "work" / "pcanet.json").read_text())
    assert record["date"] == "2026-01-02"
    assert record["command"].startswith("python -m training pcanet --data ")
    assert "Research use only, not for diagnosis" in record["what"]
    for part in WATCHED:
        for finding in PLANTED:
            assert record[part.value]["findings"][finding.label]["auc"]["value"] > 0.9
        assert record[part.value]["findings"]["Hernia"]["auc"] is None
    shown = capsys.readouterr().out
    value = record["unseen"]["findings"]["Effusion"]["auc"]
    assert f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" in shown
    assert f"unseen, {record['unseen']['images']} images" in shown


def test_the_figures_are_those_of_the_decisions(dataset: Dataset) -> None:
    record = measure_pcanet(dataset, side=32, pictures=1000, spec=SPEC)
    learning, test = dataset.only(Subset.TRAIN), dataset.only(Subset.UNSEEN)
    assert len(test.images) % CHUNK != 0
    net = PcaNet(SPEC).fit(_shrunk(learning), learning.labels()[:, :2] > 0)
    decisions = net.decision(_shrunk(test))
    for k, finding in enumerate(PLANTED):
        expected = roc_auc_score(test.labels()[:, k], decisions[:, k])
        assert record["unseen"]["findings"][finding.label]["auc"]["value"] == pytest.approx(expected)


def _shrunk(dataset: Dataset) -> np.ndarray:
    spec = InputSpec(32, 0.0, 1.0)
    read = [to_network_input(as_radiograph(read_picture(image.path)), spec)[0] for image in dataset.images]
    return np.asarray(read, np.float64)


def test_no_more_is_learned_from_than_asked(dataset: Dataset) -> None:
    record = measure_pcanet(dataset, side=32, pictures=40, spec=SPEC)
    assert record["train"]["images"] == 40
    assert measure_pcanet(dataset, side=32, pictures=40, spec=SPEC) == record


def test_unknown_labels_teach_nothing() -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(30, 16, 16)), (rng.random((30, 1)) < 0.5).astype(np.float64)
    labels[20:] = np.nan
    part = PcaNet(SPEC).fit(images, labels)
    first = part._filters
    whole = PcaNet(SPEC)
    whole._filters = first
    known = whole._classifier(part.features(images[:20]), labels[:20, 0])
    np.testing.assert_allclose(part.decision(images)[:, 0], known.decision_function(part.features(images)))


def test_what_cannot_be_measured_is_refused(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match="no finding is both present and absent in TRAIN"):
        measure_pcanet(replace(dataset, findings=(Finding.HERNIA,)), side=32, pictures=9)
    with pytest.raises(DataError, match="no picture is left to measure PCANet on"):
        measure_pcanet(dataset.only(Subset.TRAIN), side=32, pictures=1000, spec=SPEC)
    assert main(["pcanet", "--data", str(tmp_path / "none")]) == EXIT_UNUSABLE
    assert "is not there; give the folder of a data set" in capsys.readouterr().err
