"""What is no frontal chest gets no answer though its header says so, and other hospitals' chests are not stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from benchmarks.checks import sets
from benchmarks.checks.__main__ import MOST_REFUSED, MOST_UNLIKE, REFUSING, codes, elsewhere, has_pixels
from benchmarks.checks.figures import percent, share
from benchmarks.checks.run import ComposedApp, check_pictures, run_application
from benchmarks.checks.sets import LATERAL, Picture
from candor.model.bundle import find_bundle, load_bundle
from candor.settings import load_settings
from candor.study.reasons import Reason
from tests.conftest import ROOT, needs
from tests.factory import radiograph_dataset
from training.data.pictures import read_picture

pytestmark = pytest.mark.full

MODELS = ROOT / "models"
SETTINGS = load_settings(ROOT / "app.yaml")

PIXELS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelData", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope"),
    *("ModalityLUTSequence", "VOILUTSequence", "PresentationLUTShape", "PixelPaddingValue"),
)
"""Attributes that say how the pixels are shown; all others are those of a chest."""


def as_chest(path: Path) -> Dataset:
    """A file's pixels as they are stored, under the header of an adult's chest, DX, PA."""
    original, made = dcmread(path), radiograph_dataset(seed=path.name)
    for keyword in PIXELS:
        if keyword in original:
            made[keyword] = original[keyword]
        elif keyword in made:
            del made[keyword]
    made.file_meta.TransferSyntaxUID = original.file_meta.TransferSyntaxUID
    return made


def picture_as_chest(picture: Picture) -> Dataset:
    """A picture under the same header, 12 bits."""
    return radiograph_dataset(read_picture(picture.path).astype(np.uint16) * 16, seed=picture.path.stem)


def gone_through(folder: Path, made: Sequence[Dataset]) -> list[str]:
    """Run the application over files, and name those that were neither refused nor deferred as a whole."""
    for number, dataset in enumerate(made):
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    files = run_application(folder, MODELS, SETTINGS)
    assert len(files) == len(made)
    return [file.name for file in files if not codes(file)]


def test_what_shows_no_chest_is_stopped(
    ood_dicom: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    made = [as_chest(path) for path in sorted(ood_dicom.iterdir()) if path.suffix != ".csv" and has_pixels(path)]
    through = gone_through(tmp_path, made)
    record_property("measured", f"no chests, tagged as chests: {len(made) - len(through)} of {len(made)} stopped")
    assert made
    assert not through


def test_chests_from_the_side_are_stopped(
    covid: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    made = [picture_as_chest(picture) for picture in sets.covid(covid, {LATERAL})]
    through = gone_through(tmp_path, made)
    record_property("measured", f"laterals, tagged PA: {len(made) - len(through)} of {len(made)} stopped")
    assert len(made) > 30
    assert not through


def test_chests_of_other_hospitals_are_let_through(covid: Path, record_property: Callable[[str, object], None]) -> None:
    needs(covid.parent / "hannover")
    checks = ComposedApp(load_bundle(find_bundle(MODELS)), SETTINGS).checks()
    for name, pictures in elsewhere(covid.parent).items():
        found = check_pictures(pictures, checks)
        refused, unlike = share(found.narrowed(REFUSING)), share(found.narrowed({Reason.UNLIKE_TRAINING}))
        record_property(
            "measured", f"{name}, {len(pictures)}: {percent(refused)} refused, {percent(unlike)} unlike training"
        )
        assert refused.value <= MOST_REFUSED
        assert unlike.value <= MOST_UNLIKE
