"""Made-up data sets, as large as the commands of the pages need, in the layouts that the pages name."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from candor.model.bundle import Model
from candor.study.findings import NO_FINDING, Finding
from tests.nih import PLANTED, make_nih, picture
from tests.results import write_results_json
from tests.training.data.readers.trees import CHEXPERT, NIH_2020

PATIENTS = 160


def pictures(seed: int, number: int = PATIENTS) -> Iterator[tuple[int, list[Finding], np.ndarray]]:
    """Give patients with their findings and a picture each."""
    rng = np.random.default_rng(seed)
    for patient in range(number):
        found = [finding for finding in PLANTED if rng.random() < 0.4]
        yield patient, found, picture(found, rng)


def published_nih(folder: Path) -> Path:
    """ChestX-ray14 as its publisher ships it: half of the patients on the list to learn from."""
    inside = folder / "images_001" / "images"
    inside.mkdir(parents=True)
    rows, lists = [], {"train_val": [], "test": []}  # type: ignore[var-annotated]
    for patient, found, pixels in pictures(3, 2 * PATIENTS):
        name = f"{patient:08d}_000.png"
        cv2.imwrite(str(inside / name), pixels)
        others = [finding for k, finding in enumerate(Finding) if patient % 20 == k and finding not in found]
        labels = "|".join(finding.label for finding in [*found, *others]) or NO_FINDING
        rows.append([name, labels, "0", str(patient), "58", "M", "PA", "72", "72", "0.143", "0.143"])
        lists["train_val" if patient % 2 else "test"].append(name)
    write_table(folder / "Data_Entry_2017_v2020.csv", NIH_2020.split(","), rows)
    for name, names in lists.items():
        (folder / f"{name}_list.txt").write_text("\n".join(names))
    return folder


def chexpert(folder: Path) -> Path:
    """CheXpert with a frontal and a lateral picture for each patient."""
    header = CHEXPERT.split(",")
    rows = []
    for patient, found, pixels in pictures(4, 2 * PATIENTS):
        for view in ("view1_frontal", "view2_lateral"):
            inside = Path(f"train/patient{patient:05d}/study1/{view}.jpg")
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / inside), pixels)
            cells = dict.fromkeys(header, "")
            cells |= {"Path": f"CheXpert-v1.0-small/{inside.as_posix()}", "Sex": "Male", "Age": "50"}
            frontal = view == "view1_frontal"
            cells |= {"Frontal/Lateral": "Frontal" if frontal else "Lateral", "AP/PA": "PA" if frontal else ""}
            cells["Cardiomegaly"] = "1.0" if Finding.CARDIOMEGALY in found else "0.0"
            cells["Pleural Effusion"] = "1.0" if Finding.EFFUSION in found else "0.0"
            for finding in ("Atelectasis", "Consolidation", "Edema", "Pneumonia", "Pneumothorax"):
                cells[finding] = "1.0" if patient % 5 == 0 else ""
            rows.append([cells[column] for column in header])
    write_table(folder / "train.csv", header, rows)
    (folder / "valid.csv").write_text(
        "\n".join([CHEXPERT, f"CheXpert-v1.0-small/{_held_out(folder)},Male,50,Frontal,PA" + "," * 14])
    )
    return folder


def _held_out(folder: Path) -> str:
    place = folder / "valid" / "patient64541" / "study1" / "view1_frontal.jpg"
    place.parent.mkdir(parents=True)
    cv2.imwrite(str(place), np.full((72, 72), 90, np.uint8))
    return place.relative_to(folder).as_posix()


def selected_nih(folder: Path) -> Path:
    """ChestX-ray14 in the layout of a selection, of patients and in a size that the shipped network can be given."""
    for path in (make_nih(folder) / "images").iterdir():
        cv2.imwrite(str(path), enlarged(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))
    lines = (folder / "images.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines]
    write_table(folder / "images.csv", rows[0], [[a, b, f"9{int(patient):06d}", c] for a, b, patient, c in rows[1:]])
    return folder


def enlarged(pixels: np.ndarray) -> np.ndarray:
    """Make a picture large enough for networks of 224 pixels a side."""
    return cv2.resize(pixels, (240, 240), interpolation=cv2.INTER_NEAREST)


def prevalences(table: Path) -> None:
    """How frequent each finding is at a hospital."""
    write_table(table, ["finding", "prevalence"], [[finding.label, "0.05"] for finding in Finding])


def site(folder: Path) -> Path:
    """A hospital's own table: patients whom no network has seen."""
    header = ["path", "patient", "split", *(finding.label for finding in Finding)]
    rows = []
    (folder / "pictures").mkdir(parents=True)
    for patient, found, pixels in pictures(5, 2 * PATIENTS):
        cv2.imwrite(str(folder / "pictures" / f"{patient}.png"), enlarged(pixels))
        labels = [str(int(finding in found)) for finding in Finding]
        rows.append([f"pictures/{patient}.png", f"site-{patient}", "test", *labels])
    write_table(folder / "site.csv", header, rows)
    return folder


def predictions(folder: Path, model: Model, number: int = 600) -> None:
    """``results.json`` and ``labels.csv`` of made-up cases, whose scores tell a little of the labels."""
    rng, found = np.random.default_rng(6), list(model.findings)
    labels = rng.random((number, len(found))) < 0.25
    logits = 2.0 * labels - 1.5 + rng.normal(0, 1, labels.shape)
    images = {
        f"2.25.{k + 1}": {f.label: x for f, x in zip(found, logits[k].tolist(), strict=True)} for k in range(number)
    }
    write_results_json(folder, images, model.name, model.version)
    rows = [[f"2.25.{k + 1}", f"site-{k}", *map(str, labels[k].astype(int).tolist())] for k in range(number)]
    write_table(folder / "labels.csv", ["image", "patient", *(finding.label for finding in found)], rows)


def soft_labels(table: Path, nih: Path) -> None:
    """Another classifier's probabilities of the pictures of a miniature ChestX-ray14."""
    names = [line.split(",")[0] for line in (nih / "images.csv").read_text().splitlines()[1:]]
    header = ["Image Index", *(f"prob_{finding.label}" for finding in Finding)]
    lines = [",".join(header), *(",".join([name, *["0.3"] * len(Finding)]) for name in names)]
    table.write_bytes(gzip.compress("\n".join(lines).encode()))


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
