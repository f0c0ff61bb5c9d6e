"""Unusable data is refused with an error that names it and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from candor.study.errors import DataError, SettingsError
from candor.study.findings import Finding
from tests.training.data.readers.trees import (
    Table,
    change_table,
    make_chexpert,
    make_covid,
    make_mimic,
    make_nih_published,
    make_plain,
    put,
)
from training.data.readers import read_dataset

Make = Callable[[Path], Path]
Change = Callable[[Table], object]

NIH, MIMIC = "Data_Entry_2017_v2020.csv", "mimic-cxr-2.0.0-{}.csv.gz"


def plain(folder: Path) -> Path:
    rows = ["a.png,p,1,-1,train", "b.png,p,0,,train", "c.png,q,0,1,test"]
    return make_plain(folder, "path,patient,Mass,Hernia,split", rows)


@pytest.mark.parametrize(
    ("make", "table", "change", "message"),
    [
        (make_nih_published, NIH, put(0, 1, "Labels"), r"v2020.csv has no column Finding Labels; it needs Image Index"),
        (make_nih_published, NIH, put(1, 1, "Headache"), r"v2020.csv, 00000001_000.png: unknown finding 'Headache'"),
        (make_nih_published, NIH, put(1, 0, "9.png"), r"has 9.png, which is on neither train_val_list.txt nor test_li"),
        (make_nih_published, NIH, put(4, 3, "2"), r"1 patients on two official lists, those of 00000003_000.png \(t"),
        (
            make_nih_published,
            NIH,
            put(2, 0, "00000001_000.png"),
            r"1 pictures are in several rows: 00000001_000.png;",
        ),
        (make_nih_published, NIH, lambda rows: rows.__delitem__(slice(1, None)), r"v2020.csv holds no row; fetch it"),
        (make_chexpert, "train.csv", put(0, 7, "Heart"), r"train.csv has no column Cardiomegaly"),
        (make_chexpert, "train.csv", put(0, 6, "Scoliosis"), r"train.csv has unknown labels Scoliosis; take the publi"),
        (make_chexpert, "valid.csv", put(1, 7, "maybe"), r"valid.csv, valid/patient64541.*: unknown label 'maybe'; a"),
        (make_chexpert, "valid.csv", put(1, 7, "2.0"), r"unknown label '2.0'; a label is 1, 0, -1 \(uncertain\) or bl"),
        (
            make_chexpert,
            "train.csv",
            put(1, 0, "view.jpg"),
            r"'view.jpg' is not a path like CheXpert-v1.0-small/train/pa",
        ),
        (make_chexpert, "train.csv", lambda rows: rows[1].extend(["1", "1"]), r"train.csv has unknown labels None"),
        (
            make_mimic,
            MIMIC.format("split"),
            put(1, 3, "dev"),
            r"02aa804e-bde0afdd is in no known split or not in the m",
        ),
        (make_mimic, MIMIC.format("metadata"), put(1, 0, "x"), r"02aa804e-bde0afdd is in no known split or not in the"),
        (
            make_mimic,
            MIMIC.format("split"),
            put(1, 3, "test"),
            r"1 patients on two official lists, those of 2a2277a9-b0ded155 \(test and t",
        ),
        (make_mimic, MIMIC.format("chexpert"), put(1, 2, "?"), r"chexpert.csv.gz, study 50414267: unknown label '\?'"),
        (make_mimic, MIMIC.format("chexpert"), put(0, 7, "Scar"), r"chexpert.csv.gz has unknown labels Scar"),
        (make_mimic, MIMIC.format("metadata"), put(0, 4, "View"), r"metadata.csv.gz has no column ViewPosition"),
        (make_covid, "metadata.csv", put(1, 12, ""), r"a row lacks its patientid or its filename or image"),
        (make_covid, "metadata.csv", put(1, 0, ""), r"a row lacks its patientid or its filename or image"),
        (
            make_covid,
            "metadata.csv",
            put(1, 12, "z.png"),
            r"1 pictures of .*metadata.csv are not there: z.png; fet",
        ),
        (
            plain,
            "mine.csv",
            put(0, 2, "Scoliosis"),
            r"mine.csv: unknown finding 'Scoliosis'.* other columns are path, ",
        ),
        (plain, "mine.csv", put(0, 2, "hernia"), r"mine.csv names a finding in two columns of hernia, Hernia"),
        (plain, "mine.csv", put(0, 2, "labels"), r"needs either a column labels or a column for each finding, and not"),
        (plain, "mine.csv", put(0, 0, "file"), r"mine.csv has no column path; it needs path, patient"),
        (plain, "mine.csv", put(2, 1, ""), r"mine.csv: the row of b.png lacks its path or its patient"),
        (plain, "mine.csv", put(2, 0, ""), r"mine.csv: the row of a patient lacks its path or its patient"),
        (plain, "mine.csv", put(2, 4, "dev"), r"mine.csv, b.png: unknown split 'dev'; it is one of train_val, train, "),
        (plain, "mine.csv", put(2, 4, "test"), r"those of b.png \(train and test\); correct the lists"),
        (
            plain,
            "mine.csv",
            put(2, 4, ""),
            r"mine.csv puts 1 pictures on no official list: b.png; choose a split by ha",
        ),
        (plain, "mine.csv", put(2, 0, "lost.png"), r"1 pictures of .*mine.csv are not there: lost.png; fetch them"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, make: Make, table: str, change: Change, message: str) -> None:
    folder = make(tmp_path)
    change_table(folder / table, change)
    with pytest.raises(DataError, match=message):
        read_dataset(folder)


@pytest.mark.parametrize(
    ("make", "missing", "message"),
    [
        (
            make_nih_published,
            "images_012/images/00000003_000.png",
            r"are not there: 00000003_000.png; fetch",
        ),
        (make_nih_published, "test_list.txt", r"test_list.txt is missing or is not text; fetch the official list"),
        (make_mimic, MIMIC.format("chexpert"), r"chexpert.csv.gz is not there; give the folder that holds mimic-cxr"),
        (make_chexpert, "train/patient00001/study1/view1_frontal.jpg", r"are not there: view1_frontal.jpg; fetch them"),
    ],
)
def test_a_file_that_is_missing(tmp_path: Path, make: Make, missing: str, message: str) -> None:
    folder = make(tmp_path)
    (folder / missing).unlink()
    with pytest.raises(DataError, match=message):
        read_dataset(folder)


@pytest.mark.parametrize("damage", [b"no gzip", b"\x1f\x8b\x08\x00", b""])
def test_a_packed_table_that_is_damaged(tmp_path: Path, damage: bytes) -> None:
    table = make_mimic(tmp_path) / MIMIC.format("split")
    table.write_bytes(damage)
    with pytest.raises(DataError, match=r"split.csv.gz (cannot be read as a table|has no column)"):
        read_dataset(tmp_path)


def test_a_table_that_is_no_text(tmp_path: Path) -> None:
    (plain(tmp_path) / "mine.csv").write_bytes(b"path,patient\n\xff\xfe,\n")
    with pytest.raises(DataError, match=r"mine.csv cannot be read as a table \(.*; fetch it again"):
        read_dataset(tmp_path)


def test_a_table_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    table = plain(tmp_path) / "mine.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert len(read_dataset(tmp_path).images) == 3


def test_a_folder_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not a known data set; .* nih-shared: images.csv and images/; nih: Da"):
        read_dataset(tmp_path)
    with pytest.raises(DataError, match=r"nowhere is not there; give the folder of a data set"):
        read_dataset(tmp_path / "nowhere")


def test_a_choice_of_plain_tables_must_be_made(tmp_path: Path) -> None:
    (plain(tmp_path) / "other.csv").write_text("path\n")
    with pytest.raises(DataError, match="hold exactly one; give the table itself"):
        read_dataset(tmp_path, "csv")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"must be a table that ends in \.csv"):
        read_dataset(tmp_path / "notes.txt", "csv")
    assert len(read_dataset(tmp_path / "mine.csv").images) == 3


def test_findings_that_the_source_does_not_label(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train.csv labels no picture for any of Hernia, Mass; ask for findings"):
        read_dataset(make_chexpert(tmp_path), findings=(Finding.HERNIA, Finding.MASS))


def test_views_of_which_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels no picture for any of Mass, Hernia"):
        read_dataset(plain(tmp_path), findings=(Finding.MASS, Finding.HERNIA), views=("PA",))


def test_official_lists_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"puts 6 pictures on no official list: a.jpeg, b.jpeg, d.png, e.png, f.png and 1 more; choose"
    ):
        read_dataset(make_covid(tmp_path), split="official")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"kind": "padchest"},
            r"there is no kind 'padchest'; choose one of nih-shared, nih, chexpert, mimic, hannover, covid, csv",
        ),
        ({"policy": "u-twos"}, r"there is no policy 'u-twos'; choose one of u-ones, u-zeros, u-ignore, chexpert-five"),
        ({"split": "80-20"}, r"there is no split '80-20'; choose one of official, 70-15-15"),
    ],
)
def test_a_choice_that_is_none(tmp_path: Path, choice: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_dataset(plain(tmp_path), **choice)  # type: ignore[arg-type]
