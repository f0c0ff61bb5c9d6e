"""What is read from each publisher's layout."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from candor.study.findings import Finding
from tests.nih import make_nih
from tests.training.data.readers.trees import (
    change_table,
    labels_of,
    make_chexpert,
    make_covid,
    make_mimic,
    make_nih_published,
    make_plain,
    named,
    put,
    put_picture,
)
from training.data.readers import Dataset, LabelledImage, read_dataset
from training.data.splits import OFFICIAL, PAPER, Listed, Subset

LEARNING = (Subset.TRAIN, Subset.VALIDATION)
CHEXPERT_FINDINGS = (
    Finding.ATELECTASIS,
    Finding.CARDIOMEGALY,
    Finding.EFFUSION,
    Finding.PNEUMONIA,
    Finding.PNEUMOTHORAX,
    Finding.CONSOLIDATION,
    Finding.EDEMA,
)


def facts(image: LabelledImage) -> tuple[str, float | None, str, str]:
    return image.patient, image.age, image.sex, image.view


class TestNih:
    @pytest.mark.parametrize("year", [2017, 2020])
    def test_labels_facts_and_lists(self, tmp_path: Path, year: int) -> None:
        dataset = read_dataset(make_nih_published(tmp_path, year))
        assert dataset.findings == tuple(Finding)
        assert not np.isnan(dataset.labels()).any()
        assert named(dataset, "1_001").findings == {Finding.CARDIOMEGALY, Finding.EMPHYSEMA}
        assert named(dataset, "3_000").findings == {Finding.PLEURAL_THICKENING, Finding.HERNIA}
        assert named(dataset, "2_000").findings == frozenset()
        assert [facts(image) for image in dataset.images] == [
            ("1", 58, "M", "PA"),
            ("1", 58, "M", "AP"),
            ("2", None, "F", "PA"),  # 414 years in the table of 2017
            ("3", pytest.approx(10 / 12), "F", "PA"),
        ]
        assert [image.subset in LEARNING for image in dataset.images] == [True, True, True, False]

    def test_the_corrected_table_goes_before_the_first(self, tmp_path: Path) -> None:
        make_nih_published(make_nih_published(tmp_path, 2017), 2020)
        change_table(tmp_path / "Data_Entry_2017.csv", put(1, 1, "Mass"))
        assert named(read_dataset(tmp_path), "1_000").findings == {Finding.CARDIOMEGALY}

    def test_archives_unpacked_into_one_folder(self, tmp_path: Path) -> None:
        make_nih_published(tmp_path)
        (tmp_path / "images").mkdir()
        for picture in list(tmp_path.glob("images_*/images/*")):
            picture.rename(tmp_path / "images" / picture.name)
        assert len(read_dataset(tmp_path).images) == 4

    def test_the_real_selection(self, nih: Path) -> None:
        dataset = read_dataset(nih).main_part()
        assert len(dataset.images) == 2664
        assert Counter(image.view for image in dataset.images) == {"PA": 1786, "AP": 878}
        assert Counter(image.sex for image in dataset.images) == {"M": 1432, "F": 1232}
        assert np.mean([image.age or 0 for image in dataset.images]) == pytest.approx(47.80, abs=0.01)
        assert dataset.split is OFFICIAL

    def test_the_real_label_table_in_the_publishers_layout(self, nih: Path, tmp_path: Path) -> None:
        """The real table's rows of the real pictures give what the shared selection gives."""
        shared = read_dataset(nih, "nih-shared")
        kept = {image.name: image for image in shared.images[:200]}
        with gzip.open(nih / "labels_all.csv.gz", "rt", newline="") as lines:
            header, *rows = csv.reader(lines)
        with (tmp_path / "Data_Entry_2017_v2020.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *(row for row in rows if row[0] in kept)])
        held_out = [name for name, image in kept.items() if image.subset not in LEARNING]
        (tmp_path / "test_list.txt").write_text("\n".join(held_out))
        (tmp_path / "train_val_list.txt").write_text("\n".join(kept.keys() - set(held_out)))
        for name in kept:
            put_picture(tmp_path / "images_001" / "images" / name)
        published = read_dataset(tmp_path, "nih")
        assert len(published.images) == 200
        for image in published.images:
            assert (image.findings, image.subset, *facts(image)) == (
                kept[image.name].findings,
                kept[image.name].subset,
                *facts(kept[image.name]),
            )


class TestChexpert:
    def test_labels_facts_and_sets(self, tmp_path: Path) -> None:
        dataset = read_dataset(make_chexpert(tmp_path / "CheXpert-v1.0-small"))
        assert dataset.findings == CHEXPERT_FINDINGS
        assert labels_of(dataset, "2/study1/view1", *CHEXPERT_FINDINGS) == [None, 0, 1, 0, 0, None, 1]
        assert labels_of(dataset, "patient64541", *CHEXPERT_FINDINGS) == [0, 1, 0, 0, 0, 0, 0]
        assert facts(named(dataset, "2/study1/view1")) == ("patient00002", 83, "F", "PA")
        assert facts(named(dataset, "2/study1/view2")) == ("patient00002", 83, "F", "LL")
        assert facts(named(dataset, "patient64541")) == ("patient64541", 73, "", "AP")
        assert [image.subset in LEARNING for image in dataset.images] == [True, True, True, True, False]

    def test_an_image_whose_labels_are_all_uncertain_is_left_out(self, tmp_path: Path) -> None:
        dataset = read_dataset(make_chexpert(tmp_path), policy="u-ones")
        assert not [image for image in dataset.images if "study2" in image.name]

    def test_whether_all_are_uncertain_depends_on_the_findings_asked_for(self, tmp_path: Path) -> None:
        findings = (Finding.ATELECTASIS, Finding.CONSOLIDATION)
        dataset = read_dataset(make_chexpert(tmp_path), findings=findings)
        assert not [image for image in dataset.images if "patient00002" in image.name]

    def test_what_it_does_not_label_is_unknown_and_what_it_does_not_mention_is_absent(self, tmp_path: Path) -> None:
        dataset = read_dataset(make_chexpert(tmp_path), findings=tuple(Finding))
        assert labels_of(dataset, "patient00003", Finding.EDEMA, Finding.MASS, Finding.HERNIA) == [0, None, None]

    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            ("u-ignore", [None, None, 1]),
            ("u-ones", [1, 1, 1]),
            ("u-zeros", [0, 0, 1]),
            ("chexpert-five", [1, 0, 1]),
        ],
    )
    def test_policies(self, tmp_path: Path, policy: str, expected: list[float | None]) -> None:
        dataset = read_dataset(make_chexpert(tmp_path), policy=policy)
        findings = (Finding.ATELECTASIS, Finding.CONSOLIDATION, Finding.EDEMA)
        assert labels_of(dataset, "2/study1/view1", *findings) == expected
        assert dataset.only(*Subset).policy is dataset.policy

    def test_views_and_studies(self, tmp_path: Path) -> None:
        folder = make_chexpert(tmp_path)
        assert "LL" not in {image.view for image in read_dataset(folder, views=("PA", "AP")).images}
        frontal, lateral = (named(read_dataset(folder), f"2/study1/{view}") for view in ("view1", "view2"))
        assert frontal.study == lateral.study == "patient00002/study1"

    def test_by_hash_all_patients_are_divided(self, tmp_path: Path) -> None:
        dataset = read_dataset(make_chexpert(tmp_path), split="70-15-15")
        assert dataset.split is PAPER
        assert {image.subset for image in dataset.images if image.patient == "patient00002"} == {
            PAPER.subset("patient00002", Listed.TRAIN)
        }


class TestMimic:
    @pytest.mark.parametrize("packed", [True, False])
    def test_labels_views_and_lists(self, tmp_path: Path, packed: bool) -> None:
        dataset = read_dataset(make_mimic(tmp_path, packed))
        assert dataset.findings == CHEXPERT_FINDINGS
        assert labels_of(dataset, "2a2277a9", *CHEXPERT_FINDINGS) == [None, 0, 0, None, 0, 1, 0]
        assert labels_of(dataset, "02aa804e", *CHEXPERT_FINDINGS) == [0] * 7
        assert [(image.patient, image.view, image.subset) for image in dataset.images[:4]] == [
            ("10000032", "PA", Subset.TRAIN),
            ("10000032", "LL", Subset.TRAIN),
            ("10000032", "AP", Subset.TRAIN),
            ("11000764", "LL", Subset.VALIDATION),
        ]
        assert [image.study for image in dataset.images[:3]] == ["50414267", "50414267", "53189527"]
        assert named(dataset, "68b5c4b1").subset not in LEARNING
        assert named(dataset, "02aa804e").path == tmp_path / "files/p10/p10000032/s50414267/02aa804e-bde0afdd.jpg"

    def test_studies_without_labels_are_left_out(self, tmp_path: Path) -> None:
        assert not [image for image in read_dataset(make_mimic(tmp_path)).images if "1cf9a7ab" in image.name]


class TestCovid:
    def test_a_diagnosis_is_no_finding_unless_it_says_pneumonia(self, tmp_path: Path) -> None:
        dataset = read_dataset(make_covid(tmp_path))
        assert dataset.findings == (Finding.PNEUMONIA,)
        labels = {name: labels_of(dataset, f"{name}.", Finding.PNEUMONIA)[0] for name in "abdefg"}
        assert labels == {"a": 1, "b": None, "d": 0, "e": None, "f": 1, "g": None}
        diseases = {image.name[0]: image.disease for image in dataset.images}
        assert diseases["a"] == "Pneumonia/Viral/COVID-19"
        assert (diseases["b"], diseases["e"], diseases["g"]) == ("COVID-19", "", "ARDS")

    def test_facts(self, tmp_path: Path) -> None:
        dataset = read_dataset(make_covid(tmp_path))
        assert facts(named(dataset, "a.jpeg")) == ("2", 65, "M", "PA")
        assert facts(named(dataset, "b.jpeg")) == ("2", 65, "M", "AP")
        assert facts(named(dataset, "d.png")) == ("3", None, "", "LL")
        assert [named(dataset, name).site for name in ("a.", "b.")] == ["Hanoi, Vietnam", ""]

    def test_ct_is_left_out_and_a_case_that_is_counted_twice_is_one_patient(self, tmp_path: Path) -> None:
        dataset = read_dataset(make_covid(tmp_path))
        assert [image.name for image in dataset.images] == ["a.jpeg", "b.jpeg", "d.png", "e.png", "f.png", "g.png"]
        assert named(dataset, "f.png").patient == named(dataset, "g.png").patient

    def test_the_real_collection(self, covid: Path) -> None:
        dataset = read_dataset(covid)
        assert len(dataset.images) == len({image.path for image in dataset.images}) == 423
        assert len(set(dataset.patients())) == 209
        assert Counter(labels_of_column(dataset)) == {1.0: 19, 0.0: 17, None: 387}
        assert Counter(image.view for image in dataset.images) == {"PA": 199, "AP": 143, "LL": 42, "": 39}
        assert sum("COVID-19" in image.disease for image in dataset.images) == 244
        assert named(dataset, "000001-24.jpg").patient == named(dataset, "000006-17.jpg").patient
        assert {image.subset for image in dataset.images} == set(Subset)


def labels_of_column(dataset: Dataset) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in dataset.labels()[:, 0]]


class TestPlain:
    def test_a_column_for_each_finding(self, tmp_path: Path) -> None:
        rows = ["in/a.png,p,s,71,F,AP,1,-1.0,,Ward,COVID-19", "b.png,q,,,,,0,0.0,1,,"]
        header = "path,patient,study,age,sex,view,Mass,pleural effusion,Hernia,site,disease"
        dataset = read_dataset(make_plain(tmp_path, header, rows))
        findings = (Finding.EFFUSION, Finding.MASS, Finding.HERNIA)
        assert dataset.findings == findings
        assert labels_of(dataset, "a.png", *findings) == [None, 1, None]
        assert labels_of(dataset, "b.png", *findings) == [0, 0, 1]
        assert facts(named(dataset, "a.png")) == ("p", 71, "F", "AP")
        image = named(dataset, "a.png")
        assert (image.study, image.site, image.disease) == ("s", "Ward", "COVID-19")
        assert dataset.split is PAPER

    def test_a_column_of_labels_and_a_split(self, tmp_path: Path) -> None:
        rows = ["a.png,p,Mass|Pleural Thickening,train", "b.png,q,No Finding,validation", "c.png,r,,test"]
        make_plain(tmp_path, "path,patient,labels,split", rows)
        dataset = read_dataset(tmp_path / "mine.csv")
        assert dataset.findings == tuple(Finding)
        assert named(dataset, "a.png").findings == {Finding.MASS, Finding.PLEURAL_THICKENING}
        assert labels_of(dataset, "b.png", Finding.MASS) == [0]
        assert labels_of(dataset, "c.png", Finding.MASS) == [None]
        assert [image.subset for image in dataset.images[:2]] == [Subset.TRAIN, Subset.VALIDATION]
        assert dataset.images[2].subset not in LEARNING
        assert dataset.split is OFFICIAL

    def test_uncertain_counts_as_the_policy_says(self, tmp_path: Path) -> None:
        make_plain(tmp_path, "path,patient,Mass,Hernia", ["a.png,p,1,-1"])
        assert labels_of(read_dataset(tmp_path, policy="u-ones"), "a.png", Finding.HERNIA) == [1]


def test_the_miniature_shared_selection_is_known_by_its_files(tmp_path: Path) -> None:
    assert len(read_dataset(make_nih(tmp_path / "nih", train_val=2, test=1)).images) == 4
