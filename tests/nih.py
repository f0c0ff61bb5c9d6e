"""A miniature ChestX-ray14: small made-up pictures in which each finding is a planted pattern."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.study.findings import NO_FINDING, Finding
from training.data.readers import Dataset, read_dataset

SIDE = 72
PLANTED = (Finding.CARDIOMEGALY, Finding.EFFUSION)


def make_nih(folder: Path, train_val: int = 150, test: int = 230, seed: int = 0) -> Path:
    """Write ``images.csv``, ``images/`` and ``labels_all.csv.gz``; ``train_val`` and ``test`` count patients.

    Every third patient has two pictures. A disc in the middle is cardiomegaly, a bright lower edge is effusion.
    """
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(train_val + test):
        for number in range(2 if patient % 3 == 0 else 1):
            name = f"{patient:05d}_{number:03d}.png"
            found = [finding for finding in PLANTED if rng.random() < 0.4]
            cv2.imwrite(str(folder / "images" / f"{Path(name).stem}.jpg"), picture(found, rng))
            labels = "|".join(finding.label for finding in found) or NO_FINDING
            rows.append((name, labels, patient, "train_val" if patient < train_val else "test"))
    with (folder / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "labels", "patient_id", "split"), *rows])
    write_label_table(folder / "labels_all.csv.gz")
    return folder


def add_small(folder: Path, patients: Sequence[int], side: int = 24) -> None:
    """Add the folder ``small`` to a miniature: one more picture of each of its patients, at another size."""
    (folder / "small" / "images").mkdir(parents=True)
    with (folder / "images.csv").open(newline="") as file:
        lists = {int(row["patient_id"]): row["split"] for row in csv.DictReader(file)}
    rows = []
    for patient in patients:
        name = f"{patient:05d}_009.png"
        pixels = cv2.resize(picture([], np.random.default_rng(patient)), (side, side), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / "small" / "images" / f"{Path(name).stem}.jpg"), pixels)
        rows.append((name, NO_FINDING, patient, lists[patient]))
    with (folder / "small" / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "labels", "patient_id", "split"), *rows])


def read_nih(folder: Path, findings: Sequence[Finding] = tuple(Finding)) -> Dataset:
    """Read a ChestX-ray14 in the layout of the shared selection."""
    return read_dataset(folder, "nih-shared", findings=findings)


def picture(found: list[Finding], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise with the patterns of some findings on it: ``(SIDE, SIDE)`` uint8."""
    pixels = rng.normal(100, 12, (SIDE, SIDE))
    if Finding.CARDIOMEGALY in found:
        pixels[28:48, 26:46] += 70
    if Finding.EFFUSION in found:
        pixels[-12:] += 70
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write_label_table(path: Path) -> None:
    """Write a label table in which every finding has a prevalence of 1/20."""
    with gzip.open(path, "wt", newline="") as file:
        table = csv.writer(file)
        table.writerow(("Image Index", "Finding Labels"))
        table.writerows((f"{k}.png", finding.label) for k, finding in enumerate(Finding))
        table.writerows((f"{k}.png", NO_FINDING) for k in range(14, 20))
