"""The probe finds what the features reveal, on patients whom it did not see, and nothing where there is nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from candor.model.bundle import load_bundle
from candor.study.errors import DataError, SettingsError
from candor.study.findings import Finding
from tests.bundles import make_bundle
from tests.nih import PLANTED, make_nih
from training.__main__ import main
from training.checks.probe import features_of, held_out_scores, probe, read_subjects
from training.checks.shortcut import measure_shifts
from training.data.readers import read_dataset
from training.data.readers.hannover import recognises
from training.data.splits import Subset
from training.predictions.predict import predict

RNG = np.random.default_rng(0)
PATIENTS = np.repeat([f"p{k:03d}" for k in range(120)], 2)
FIRST = np.repeat(RNG.random(120) < 0.4, 2)
NOISE = RNG.normal(size=(240, 6)).astype(np.float32)


def named(first: np.ndarray) -> np.ndarray:
    return np.where(first, "AP", "PA")


def told(amount: float) -> np.ndarray:
    """Features of which one tells by so much."""
    features = NOISE.copy()
    features[:, 2] += amount * FIRST
    return features


def test_what_can_be_read_off_is() -> None:
    (found,) = probe(told(6.0), named(FIRST), PATIENTS)
    assert (found.value, found.images, found.patients) == ("AP", FIRST.sum(), FIRST.sum() // 2)
    assert found.auc.value > 0.98
    assert found.auc.low <= found.auc.value <= found.auc.high


def test_the_area_is_that_of_scikit_learn() -> None:
    features = told(1.0)
    (found,) = probe(features, named(FIRST), PATIENTS)
    assert found.auc.value == pytest.approx(roc_auc_score(FIRST, held_out_scores(features, FIRST, PATIENTS)))
    assert found.auc.low < found.auc.value < found.auc.high


def test_no_patient_is_on_both_sides() -> None:
    recognised = np.repeat(np.eye(120, dtype=np.float32), 2, axis=0)  # who it is, and nothing else
    (found,) = probe(recognised, named(FIRST), PATIENTS)
    assert found.auc.value < 0.65


def test_of_several_values_each_is_told_from_the_rest_and_rare_ones_are_left_out() -> None:
    values = np.repeat(np.arange(120) % 3, 2).astype("U8")
    values[:4] = "rare"
    features = NOISE.copy()
    features[:, 0] += 8 * (values == "1")
    found = {of.value: of.auc.value for of in probe(features, values, PATIENTS)}
    assert list(found) == ["0", "1", "2"]
    assert found["1"] > 0.95


def test_nothing_to_tell_apart() -> None:
    with pytest.raises(DataError, match="no value has 10 patients with it and 10 without"):
        probe(NOISE, np.full(240, "PA"), PATIENTS)


def make_hannover(folder: Path, patients: int = 12) -> Path:
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(1)
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("patient_id", "image_id", "sex", "age", "projection", "modality"))
        for k in range(patients):
            table.writerow((f"h{k}", f"x{k}", "fm"[k % 2], "", "pa" if k % 3 else "ap", "CR"))
            pixels = np.clip(rng.normal(180, 5, (72, 72)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / "images" / f"x{k}.jpg"), pixels)
        table.writerow(("h99", "lost", "f", "", "pa", "CR"))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A data set, another hospital and a bundle."""
    root = tmp_path_factory.mktemp("probe")
    nih = make_nih(root / "nih", train_val=10, test=30)
    bundle = make_bundle(root / "cxr", findings=PLANTED)
    return nih, make_hannover(root / "hannover"), bundle


class TestSubjects:
    def test_of_several_folders_each_is_a_site(self, folders: tuple[Path, Path, Path]) -> None:
        nih, hannover, _ = folders
        subjects = read_subjects([nih, hannover], "site")
        assert set(subjects.values) == {"nih", "hannover"}
        assert (subjects.values == "hannover").sum() == 12
        assert all(path.is_file() for path in subjects.paths)

    def test_of_one_the_table_says_which_site(self, folders: tuple[Path, Path, Path]) -> None:
        assert set(read_subjects([folders[1]], "site").values) == {"Hannover"}

    def test_views_are_kept(self, folders: tuple[Path, Path, Path]) -> None:
        subjects = read_subjects([folders[1]], "sex", ["AP"])
        assert len(subjects.paths) == 4
        assert set(subjects.values) == {"F", "M"}

    def test_patients_of_two_sites_are_never_the_same(self, folders: tuple[Path, Path, Path]) -> None:
        twice = read_subjects([folders[1], folders[1]], "view")
        assert len(np.unique(twice.patients)) == 24

    def test_a_label_may_be_the_target(self, folders: tuple[Path, Path, Path]) -> None:
        assert set(read_subjects([folders[0]], Finding.EFFUSION.label).values) == {"present", "absent"}

    def test_what_is_no_target(self, folders: tuple[Path, Path, Path]) -> None:
        with pytest.raises(SettingsError, match="there is no target 'shoe'"):
            read_subjects([folders[0]], "shoe")

    def test_what_nobody_wrote_down(self, folders: tuple[Path, Path, Path]) -> None:
        with pytest.raises(DataError, match="states its Effusion"):
            read_subjects([folders[1]], Finding.EFFUSION.label)


def test_features_are_those_of_the_application(folders: tuple[Path, Path, Path]) -> None:
    nih, _, bundle = folders
    dataset = read_dataset(nih, findings=PLANTED)
    model = load_bundle(bundle)
    paths = [image.path for image in dataset.images]
    assert np.allclose(features_of(model, paths), predict(model, dataset).features, atol=1e-5)


def test_hannover_is_known_by_its_table(folders: tuple[Path, Path, Path]) -> None:
    nih, hannover, _ = folders
    assert recognises(hannover)
    assert not recognises(nih)
    with pytest.raises(DataError, match="labels no picture"):
        read_dataset(hannover)


def test_another_table_of_the_same_name_is_not_hannover(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("patientid,filename\n")
    assert not recognises(tmp_path)


class TestVerbs:
    def test_probe(self, folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
        nih, hannover, bundle = folders
        command = ["probe", "--bundle", str(bundle), "--data", str(nih), "--against", str(hannover), "--target", "site"]
        assert main(command) == 0
        out = capsys.readouterr().out
        assert "| hannover | 12 | 12 | 1.000" in out

    def test_audit_shortcuts(self, folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
        nih, _, bundle = folders
        assert main(["audit-shortcuts", "--bundle", str(bundle), "--data", str(nih)]) == 0
        assert "| 0.4 |" in capsys.readouterr().out

    def test_audit_shortcuts_of_no_patient(
        self, folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        nih = make_nih(tmp_path / "nih", train_val=3, test=0)
        assert main(["audit-shortcuts", "--bundle", str(folders[2]), "--data", str(nih)]) == 2
        assert "no picture is of an unseen patient" in capsys.readouterr().err

    def test_region_map(self, folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
        nih, _, bundle = folders
        picture = next((nih / "images").iterdir())
        out = tmp_path / "deep" / "map.json"
        command = ["region-map", "--bundle", str(bundle), "--picture", str(picture), "--grid", "3", "--out", str(out)]
        assert main(command) == 0
        assert out.read_text().count("[") == 2 * 4

    def test_region_map_of_an_impossible_grid(
        self, folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        nih, _, bundle = folders
        picture = next((nih / "images").iterdir())
        assert main(["region-map", "--bundle", str(bundle), "--picture", str(picture), "--grid", "0"]) == 2
        assert "--grid is 0" in capsys.readouterr().err


def test_shifts_are_counted_by_what_is_answered(folders: tuple[Path, Path, Path]) -> None:
    nih, _, bundle = folders
    dataset = read_dataset(nih, findings=PLANTED).only(Subset.UNSEEN)
    shifts = measure_shifts(load_bundle(bundle), dataset)
    assert shifts.changes.shape == (len(dataset.images), 2)
    assert [bool(what) for what in shifts.what] == [bool(row.any()) for row in shifts.changes]
    anywhere, answered = shifts.over(0.0)
    assert anywhere == np.mean([bool(what) for what in shifts.what])
    assert answered == (shifts.answered & (shifts.changes > 0)).any(axis=1).mean()
