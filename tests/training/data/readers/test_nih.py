"""ChestX-ray14: the sets of patients, what is read, and what is refused."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.study.errors import DataError
from candor.study.findings import Finding
from tests.nih import PLANTED, add_small, make_nih, read_nih, write_label_table
from training.data.readers.nih import prevalence
from training.data.splits import OFFICIAL, Listed, Subset, unit_hash


def test_the_real_sets_are_disjoint_by_patient_and_follow_the_official_lists(nih: Path) -> None:
    dataset = read_nih(nih)
    subsets: dict[str, set[Subset]] = {}
    for image in dataset.images:
        subsets.setdefault(image.patient, set()).add(image.subset)
    assert all(len(found) == 1 for found in subsets.values())
    official = {}
    for table in (nih / "images.csv", nih / "small" / "images.csv"):
        with table.open(newline="") as lines:
            official |= {row["patient_id"]: row["split"] for row in csv.DictReader(lines)}
    for patient, (subset,) in ((patient, tuple(found)) for patient, found in subsets.items()):
        assert (subset in (Subset.TRAIN, Subset.VALIDATION)) == (official[patient] == "train_val")
    assert {subset for found in subsets.values() for subset in found} == set(Subset)
    assert len(dataset.main_part().images) == 2664
    assert len(dataset.images) == 2664 + 12_722


def test_the_real_official_test_list_agrees(nih: Path) -> None:
    with gzip.open(nih / "official_test_list.txt.gz", "rt") as lines:
        listed = {line.split()[0] for line in lines}
    for image in read_nih(nih).images:
        assert (image.name in listed) == (image.subset not in (Subset.TRAIN, Subset.VALIDATION))


def test_the_folder_of_small_pictures_belongs_to_the_data_set(tmp_path: Path) -> None:
    folder = make_nih(tmp_path / "nih", 3, 3)
    main = read_nih(folder)
    add_small(folder, [1, 4])
    both = read_nih(folder)
    assert both.main_part().images == main.images
    small = [image for image in both.images if image.part == "small"]
    assert [(image.name, image.patient) for image in small] == [("00001_009.png", "1"), ("00004_009.png", "4")]
    first = {image.patient: image.subset for image in main.images}
    assert all(image.subset is first[image.patient] for image in small)


def test_the_real_prevalence(nih: Path) -> None:
    shares = prevalence(nih / "labels_all.csv.gz")
    assert list(shares) == list(Finding)
    assert shares[Finding.INFILTRATION] == pytest.approx(19_894 / 112_120)
    assert shares[Finding.HERNIA] == pytest.approx(227 / 112_120)


@given(st.text(max_size=12), st.booleans())
def test_a_patients_set_depends_on_nothing_else(patient: str, official_test: bool) -> None:
    assert 0 <= unit_hash(patient) < 1
    listed = Listed.TEST if official_test else Listed.TRAIN_VAL
    subset = OFFICIAL.subset(patient, listed)
    assert subset is OFFICIAL.subset(patient, listed)
    assert (subset in (Subset.TRAIN, Subset.VALIDATION)) is not official_test


def test_another_seed_gives_other_sets() -> None:
    assert any(unit_hash(str(k), "one") != unit_hash(str(k), "two") for k in range(3))


def test_labels_follow_the_findings_asked_for(mini_nih: Path) -> None:
    everything, two = read_nih(mini_nih), read_nih(mini_nih, PLANTED[::-1])
    columns = [everything.findings.index(finding) for finding in PLANTED[::-1]]
    assert (two.labels() == everything.labels()[:, columns]).all()
    assert everything.labels().sum() == two.labels().sum()


def test_the_splits_record_lists_every_patient_once(mini_nih: Path) -> None:
    dataset = read_nih(mini_nih)
    sets = dataset.splits()["patients"]
    assert isinstance(sets, dict)
    listed = [patient for patients in sets.values() for patient in patients]
    assert sorted(listed) == sorted(set(dataset.patients()))


def rewrite(table: Path, change: Callable[[list[list[str]]], object]) -> None:
    """Change the rows of a CSV table; the first is the header."""
    with table.open(newline="") as lines:
        rows = list(csv.reader(lines))
    change(rows)
    with table.open("w", newline="") as lines:
        csv.writer(lines).writerows(rows)


def _put(row: int, column: int, value: str) -> Callable[[list[list[str]]], object]:
    return lambda rows: rows[row].__setitem__(column, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_put(0, 1, "patient"), r"images.csv has no column patient_id; it needs image, patient_id, labels, split"),
        (_put(1, 1, "Headache"), r"unknown finding 'Headache'; known findings are Atelectasis"),
        (_put(1, 3, "train"), r"the row of 00000_000.png is incomplete; .* split train_val or test"),
        (lambda rows: rows[1].pop(), r"the row of 00000_000.png is incomplete"),
        (
            _put(2, 3, "test"),
            r"puts 1 patients on two official lists, those of 00000_001.png \(train_val and test\); correct the lists",
        ),
        (_put(1, 0, "lost.png"), r"1 pictures of .*images.csv are not there: lost.jpg; fetch them"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, change: Callable[[list[list[str]]], object], message: str
) -> None:
    folder = make_nih(tmp_path / "nih", train_val=2, test=1)
    with (folder / "images.csv").open(newline="") as lines:
        assert next(csv.reader(lines)) == ["image", "labels", "patient_id", "split"]
    if "patient_id;" in message:
        change = _put(0, 2, "patient")
    rewrite(folder / "images.csv", change)
    with pytest.raises(DataError, match=message):
        read_nih(folder)


def test_a_folder_without_the_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images.csv is not there; give the folder"):
        read_nih(tmp_path)


def test_a_label_table_that_is_missing_damaged_or_one_sided_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "labels_all.csv.gz"
    with pytest.raises(DataError, match="is not there; it states the prevalence"):
        prevalence(table)
    table.write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read as a table"):
        prevalence(table)
    write_label_table(table)
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read as a table"):
        prevalence(table)
    with gzip.open(table, "wt") as file:
        file.write("Image Index,Labels\na.png,Mass\n")
    with pytest.raises(DataError, match="has no column Finding Labels"):
        prevalence(table)
    with gzip.open(table, "wt") as file:
        file.write("Image Index,Finding Labels\na.png,Mass\n")
    with pytest.raises(DataError, match="gives Atelectasis a prevalence of 0"):
        prevalence(table)
