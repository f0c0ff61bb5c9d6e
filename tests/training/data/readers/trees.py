"""Miniature data sets, each in the layout that its publisher ships, with pictures of a few pixels."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from candor.study.findings import Finding
from training.data.readers import Dataset, LabelledImage

Table = list[list[str]]


def put_picture(path: Path) -> None:
    """Write a tiny picture, whatever it shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((6, 5), 90, np.uint8))


def put_table(path: Path, header: str, rows: Iterable[str]) -> None:
    """Write a table; the cells are given as CSV text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([header, *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def change_table(path: Path, change: Callable[[Table], object]) -> None:
    """Change the rows of a table, plain or gzipped; the first is the header."""
    packed = path.suffix == ".gz"
    text = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()).decode()
    rows = list(csv.reader(text.splitlines()))
    change(rows)
    quoted = [",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in rows]
    put_table(path, quoted[0], quoted[1:])


def put(row: int, column: int, value: str) -> Callable[[Table], object]:
    """Make a change of one cell."""
    return lambda rows: rows[row].__setitem__(column, value)


def named(dataset: Dataset, name: str) -> LabelledImage:
    """Find an image by a part of its name."""
    (found,) = [image for image in dataset.images if name in image.name]
    return found


def labels_of(dataset: Dataset, name: str, *findings: Finding) -> list[float | None]:
    """Labels of one image; None for NaN."""
    row = dataset.labels()[dataset.images.index(named(dataset, name))]
    values = [float(row[dataset.findings.index(finding)]) for finding in findings]
    return [None if np.isnan(value) else value for value in values]


NIH_2017 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
NIH_2020 = NIH_2017.replace("Gender", "Sex").rstrip(",")
NIH_ROWS = (
    "00000001_000.png,Cardiomegaly,0,1,58,M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,Cardiomegaly|Emphysema,1,1,58,M,AP,2894,2729,0.143,0.143",
    "00000002_000.png,No Finding,0,2,414,F,PA,2500,2048,0.168,0.168",
    "00000003_000.png,Pleural_Thickening|Hernia,0,3,010M,F,PA,2500,2048,0.168,0.168",
)


def make_nih_published(folder: Path, year: int = 2020) -> Path:
    """ChestX-ray14 with the table of 2017 or 2020, its lists, and two of its twelve archives; patient 3 tests."""
    if year == 2017:
        put_table(folder / "Data_Entry_2017.csv", NIH_2017, [f"{row}," for row in NIH_ROWS])
    else:
        put_table(folder / "Data_Entry_2017_v2020.csv", NIH_2020, NIH_ROWS)
    names = [row.split(",")[0] for row in NIH_ROWS]
    (folder / "train_val_list.txt").write_text("\n".join(names[:3]))  # the publisher's has no last line break
    (folder / "test_list.txt").write_text("\n".join(names[3:]))
    for number, name in enumerate(names):
        put_picture(folder / f"images_{1 if number < 3 else 12:03d}" / "images" / name)
    return folder


CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
CHEXPERT_TRAIN = (
    "patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0",
    "patient00002/study2/view1_frontal.jpg,Female,87,Frontal,AP,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,",
    "patient00002/study1/view1_frontal.jpg,Female,83,Frontal,PA,,,,1.0,,1.0,-1.0,,-1.0,0.0,1.0,,1.0,",
    "patient00002/study1/view2_lateral.jpg,Female,83,Lateral,,,,,1.0,,1.0,-1.0,,-1.0,0.0,1.0,,1.0,",
    "patient00003/study1/view1_frontal.jpg,Male,0,Frontal,PA,,,,,,,,,,,,,,",
)
CHEXPERT_VALID = (
    "patient64541/study1/view1_frontal.jpg,Unknown,73,Frontal,AP,0.0,1.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0",
)


def make_chexpert(folder: Path) -> Path:
    """CheXpert-v1.0-small: three patients to learn from, one held out."""
    for name, rows in (("train", CHEXPERT_TRAIN), ("valid", CHEXPERT_VALID)):
        put_table(folder / f"{name}.csv", CHEXPERT, [f"CheXpert-v1.0-small/{name}/{row}" for row in rows])
        for row in rows:
            put_picture(folder / name / row.split(",")[0])
    return folder


MIMIC_LABELS = (
    "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,"
    "Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
MIMIC_METADATA = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)
MIMIC_IMAGES = (
    ("02aa804e-bde0afdd", "10000032", "50414267", "PA", "train"),
    ("174413ec-4ec4c1f7", "10000032", "50414267", "LATERAL", "train"),
    ("2a2277a9-b0ded155", "10000032", "53189527", "AP", "train"),
    ("e084de3b-be89b11e", "11000764", "57375967", "LL", "validate"),
    ("68b5c4b1-227d0485", "12000898", "50771383", "", "test"),
    ("1cf9a7ab-0c0d8ac2", "12000898", "59999999", "PA", "test"),  # of a study without labels
)


def make_mimic(folder: Path, packed: bool = True) -> Path:
    """MIMIC-CXR-JPG: three patients, five studies, one without labels."""
    end = ".csv.gz" if packed else ".csv"
    labels = (
        "10000032,50414267,,,,,,,,,1.0,,,,,",
        "10000032,53189527,-1.0,,1.0,,,,,,,0.0,,-1.0,,1.0",
        "11000764,57375967,,1.0,,-1.0,,,,,,,,,0.0,",
        "12000898,50771383,1.0,,,,,,,,,1.0,,,,",
    )
    put_table(folder / f"mimic-cxr-2.0.0-chexpert{end}", MIMIC_LABELS, labels)
    splits = [f"{name},{study},{patient},{split}" for name, patient, study, _, split in MIMIC_IMAGES]
    put_table(folder / f"mimic-cxr-2.0.0-split{end}", "dicom_id,study_id,subject_id,split", splits)
    views = [f"{name},{patient},{study},CHEST,{view},9,9,2180,21,,," for name, patient, study, view, _ in MIMIC_IMAGES]
    put_table(folder / f"mimic-cxr-2.0.0-metadata{end}", MIMIC_METADATA, views)
    for name, patient, study, *_ in MIMIC_IMAGES:
        put_picture(folder / "files" / f"p{patient[:2]}" / f"p{patient}" / f"s{study}" / f"{name}.jpg")
    return folder


COVID = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,survival,view,modality,date,location,folder,filename,doi,url,"
    "license,clinical_notes"
)
COVID_ROWS = (
    '2,0,M,65,Pneumonia/Viral/COVID-19,Y,Y,PA,X-ray,2020,"Hanoi, Vietnam",images,a.jpeg,,,CC BY,',
    "2,3,M,65,COVID-19,Y,Y,AP Supine,X-ray,2020,?,images,b.jpeg,,,CC BY,",
    "2,5,M,65,COVID-19,Y,Y,Axial,CT,2020,Vietnam,volumes,c.nii.gz,,,CC BY,",
    "3,,,,No Finding,,,L,X-ray,2017,Spain,images,d.png,,,CC BY,",
    "4,,F,,todo,,,,X-ray,,,images,e.png,,,CC BY,",
    "7,,F,30,Pneumonia,,,PA,X-ray,,Spain,images,f.png,,,CC BY,",
    "9,,F,30,Pneumonia,,,PA,X-ray,,Spain,images,f.png,,,CC BY,",  # the same case, counted again
    "9,,F,31,ARDS,,,PA,X-ray,,Spain,images,g.png,,,CC BY,",
)


def make_covid(folder: Path) -> Path:
    """The COVID-19 image data collection, with a CT slice and a case that is counted twice."""
    put_table(folder / "metadata.csv", COVID, COVID_ROWS)
    for name in ("a.jpeg", "b.jpeg", "d.png", "e.png", "f.png", "g.png"):
        put_picture(folder / "images" / name)
    return folder


def make_plain(folder: Path, header: str, rows: Sequence[str]) -> Path:
    """A plain table; the first cell of each row is the path."""
    put_table(folder / "mine.csv", header, rows)
    for row in rows:
        put_picture(folder / row.split(",")[0])
    return folder
