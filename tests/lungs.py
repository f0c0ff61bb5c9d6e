"""Made-up chests with known lungs, and the three sets that the lung field is learnt from, in miniature."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

COVID_HEADER = "image,patientid,view,license"
HANNOVER_HEADER = "patient_id,image_id,projection"
SIDE = 160


def chest(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two dark ellipses in a bright body, anywhere: picture and mask, ``(SIDE, SIDE)`` uint8."""
    rng = np.random.default_rng(seed)
    middle = rng.integers(60, 100, 2)
    picture = np.full((SIDE, SIDE), 170, np.uint8)
    mask = np.zeros_like(picture)
    for side in (-1, 1):
        centre = (int(middle[0] + side * 27), int(middle[1]))
        axes = (int(rng.integers(15, 22)), int(rng.integers(35, 50)))
        cv2.ellipse(picture, centre, axes, 0, 0, 360, 60, cv2.FILLED)
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, cv2.FILLED)
    return np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8), mask


def make_lung_data(folder: Path, covid: list[str], hannover: list[str], masked: list[str]) -> tuple[Path, Path, Path]:
    """Write the two tables with pictures, and the archive of masks; give the three paths.

    Parameters
    ----------
    covid, hannover
        Lines of the tables, by ``COVID_HEADER`` and ``HANNOVER_HEADER``.
    masked
        File names in the archive.
    """
    chests: dict[str, int] = {}
    for name, header, lines, column in (
        ("covid", COVID_HEADER, covid, 0),
        ("hannover", HANNOVER_HEADER, hannover, 1),
    ):
        (folder / name / "images").mkdir(parents=True)
        (folder / name / "metadata.csv").write_text("\n".join([header, *lines]) + "\n")
        for line in lines:
            stem = line.split(",")[column].removesuffix(".jpg")
            picture, _ = chest(chests.setdefault(stem, len(chests)))
            cv2.imwrite(str(folder / name / "images" / f"{stem}.jpg"), picture)
    with zipfile.ZipFile(folder / "masks.zip", "w") as archive:
        archive.writestr("masks/", "")
        for file in masked:
            _, mask = chest(chests.get(Path(file).stem, 999))
            archive.writestr(f"masks/{file}", cv2.imencode(".png", mask)[1].tobytes())
    return folder / "covid", folder / "hannover", folder / "masks.zip"
