"""One instance in several files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from candor.dicom.read.duplicates import settle_duplicates
from candor.dicom.read.file import read_header, read_pixels
from candor.dicom.shared.identity import fingerprint
from candor.study.case import CaseImage, assert_set
from candor.study.reasons import Reason
from tests.factory import radiograph_dataset


def image(name: str, known_as: str = "same", seed: str = "0") -> CaseImage:
    return CaseImage(name, Path(name), radiograph_dataset(seed=seed), fingerprint=known_as)


def refusals(*images: CaseImage) -> list[Reason | None]:
    settle_duplicates(images)
    return [one.refusal.reason if one.refusal else None for one in images]


def test_the_first_by_name_stays() -> None:
    assert refusals(image("b"), image("a"), image("c")) == [Reason.DUPLICATE, None, Reason.DUPLICATE]


def test_other_instances_are_left_alone() -> None:
    assert refusals(image("a"), image("b", seed="1")) == [None, None]


def test_none_stays_where_they_differ() -> None:
    assert refusals(image("a"), image("b", "other"), image("c")) == [Reason.CONTRADICTION] * 3


def test_a_file_that_was_refused_shuts_nobody_out() -> None:
    broken = image("a", "")
    broken.refuse(Reason.UNDECODABLE, "truncated")
    assert refusals(broken, image("b")) == [Reason.UNDECODABLE, None]


def test_the_detail_names_the_file_that_is_assessed() -> None:
    first, second = image("a"), image("b")
    settle_duplicates([first, second])
    assert second.refusal is not None
    assert second.refusal.detail == "the same pixels and identity as a, which is assessed"


def read(folder: Path, name: str, **attributes: Any) -> CaseImage:
    """An image of a file, as the operators read it."""
    path = folder / name
    radiograph_dataset(**attributes).save_as(path, enforce_file_format=True)
    image = CaseImage(name, path, read_header(path))
    image.fingerprint = fingerprint(assert_set(image.header), read_pixels(path).pixel_sha256)
    return image


PLAIN: dict[str, Any] = {"ImagerPixelSpacing": None, "AccessionNumber": ""}


@pytest.mark.parametrize(
    "more",
    [
        {"ImagerPixelSpacing": [0.14, 0.14]},
        {"PixelSpacing": [0.14, 0.14], "AccessionNumber": "A1"},
        {"AccessionNumber": "A1"},
        {"PatientAge": "050Y"},
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_files_the_one_with_an_attribute_more_is_assessed(
    tmp_path: Path, more: dict[str, Any], is_first: bool
) -> None:
    """As an archive and a modality send the same image: Pixel Spacing is added, or the order's number."""
    plain = {"PatientAge": None, **PLAIN} if "PatientAge" in more else PLAIN
    files = [read(tmp_path, "b.dcm" if is_first else "a.dcm", **plain)]
    files.append(read(tmp_path, "a.dcm" if is_first else "b.dcm", **{**plain, **more}))
    assert files[0].fingerprint != files[1].fingerprint
    assert refusals(*files) == [Reason.DUPLICATE, None]
    assert files[0].refusal is not None
    assert files[1].name in files[0].refusal.detail


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ImagerPixelSpacing": [0.14, 0.14]}, {"ImagerPixelSpacing": [0.2, 0.2]}),
        ({"AccessionNumber": "A1"}, {"AccessionNumber": "A2"}),
        ({"PatientID": "1"}, {"PatientID": "2"}),
        ({"PatientID": "1"}, {"PatientID": ""}),  # of nobody, and so not of the same patient
        ({"PatientName": "A^B"}, {"PatientName": "C^D"}),
        ({"AccessionNumber": "A1", "ImagerPixelSpacing": None}, {"AccessionNumber": "", "ImagerPixelSpacing": [1, 1]}),
        ({"WindowCenter": 2000}, {"WindowCenter": 1000}),
    ],
)
def test_files_that_state_different_things_contradict(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any]
) -> None:
    files = [read(tmp_path, "a.dcm", **one), read(tmp_path, "b.dcm", **other)]
    assert refusals(*files) == [Reason.CONTRADICTION] * 2
