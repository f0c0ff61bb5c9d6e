"""The same instance again, a corrected one, and two that cannot both be it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import ImplicitVRLittleEndian

from gateway.assess.duplicates import Content, Received, content_of, contradict, tell_apart
from gateway.store.states import InstanceState
from tests.factory import chest_like, radiograph_dataset
from tests.gateway.network import image

KEPT, DUPLICATE = InstanceState.KEPT, InstanceState.DUPLICATE
SUPERSEDED, QUARANTINED = InstanceState.SUPERSEDED, InstanceState.QUARANTINED


def states(*contents: Content) -> list[InstanceState]:
    files = [Received(number, "1.2", str(number), float(number), KEPT) for number in range(len(contents))]
    found = tell_apart(files, lambda file: contents[file.id])
    return [found[number] for number in range(len(contents))]


A, B, C = Content("one", "picture"), Content("two", "picture"), Content("one", "other picture")
BROKEN = Content("one", "")


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ((A, A), [KEPT, DUPLICATE]),
        ((A, B), [SUPERSEDED, KEPT]),
        ((A, C), [KEPT, QUARANTINED]),
        ((A, BROKEN), [KEPT, DUPLICATE]),
        ((BROKEN, A), [SUPERSEDED, KEPT]),
        ((BROKEN, BROKEN), [KEPT, DUPLICATE]),
        ((A, B, A), [SUPERSEDED, SUPERSEDED, KEPT]),
        ((A, B, B), [SUPERSEDED, KEPT, DUPLICATE]),
        ((A, C, B), [SUPERSEDED, QUARANTINED, KEPT]),
    ],
)
def test_files_of_one_instance_are_told_apart(contents: tuple[Content, ...], expected: list[InstanceState]) -> None:
    assert states(*contents) == expected


def test_exactly_one_file_of_an_instance_is_kept_whatever_comes() -> None:
    for contents in itertools.product((A, B, C, BROKEN), repeat=4):
        assert states(*contents).count(KEPT) == 1, contents


def test_what_is_in_quarantine_stays_there() -> None:
    contents = {1: C, 2: A, 3: B}
    files = [Received(1, "1.2", "x", 0.0, QUARANTINED), Received(2, "1.2", "y", 1.0, KEPT)]
    assert tell_apart(files, lambda file: contents[file.id]) == {1: QUARANTINED, 2: KEPT}
    files.append(Received(3, "1.2", "z", 2.0, KEPT))
    assert tell_apart(files, lambda file: contents[file.id]) == {1: QUARANTINED, 2: SUPERSEDED, 3: KEPT}


def test_files_that_are_alone_are_not_read() -> None:
    files = [
        Received(1, "1.2", "x", 0.0, KEPT),
        Received(2, "1.3", "y", 0.0, QUARANTINED),
    ]

    def never(file: Received) -> Content:
        raise AssertionError(file)

    assert tell_apart(files, never) == {1: KEPT, 2: QUARANTINED}


def _write(path: Path, dataset: Dataset) -> Content:
    dcmwrite(path, dataset, enforce_file_format=True)
    return content_of(path)


@pytest.mark.parametrize(
    ("change", "same_identity", "same_pixels"),
    [
        (lambda ds: setattr(ds, "InstitutionName", "Elsewhere"), True, True),
        (lambda ds: setattr(ds, "PatientName", "Corrected^Name"), False, True),
        (lambda ds: setattr(ds, "StudyDate", "20260102"), False, True),
        (lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2] + b"\x01\x00"), True, False),
    ],
)
def test_content_is_pixels_and_identity(
    tmp_path: Path, change: Callable[[Dataset], None], same_identity: bool, same_pixels: bool
) -> None:
    dataset = radiograph_dataset(chest_like(64, 64))
    before = _write(tmp_path / "a.dcm", dataset)
    change(dataset)
    after = _write(tmp_path / "b.dcm", dataset)
    assert (before.identity == after.identity, before.pixels == after.pixels) == (same_identity, same_pixels)
    assert before.pixels


def test_content_does_not_depend_on_the_encoding(tmp_path: Path) -> None:
    dataset = radiograph_dataset(chest_like(64, 64))
    before = _write(tmp_path / "a.dcm", dataset)
    again = dcmread(tmp_path / "a.dcm")
    again.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    again["PixelData"].VR = "OW"
    again.save_as(tmp_path / "b.dcm", implicit_vr=True, little_endian=True)
    assert (tmp_path / "a.dcm").read_bytes() != (tmp_path / "b.dcm").read_bytes()
    assert content_of(tmp_path / "b.dcm") == before


def test_what_cannot_be_read_has_no_content(tmp_path: Path) -> None:
    (tmp_path / "garbage").write_bytes(b"no DICOM")
    assert content_of(tmp_path / "garbage") == content_of(tmp_path / "missing") == Content("", "")
    flat = image("flat")
    flat.PixelData = np.zeros((64, 64), np.uint16).tobytes()
    content = _write(tmp_path / "flat.dcm", flat)
    assert content.identity
    assert not content.pixels


def test_a_file_with_an_attribute_more_is_the_same_instance_and_the_fuller_is_kept(tmp_path: Path) -> None:
    """As an archive adds Pixel Spacing, or the other way round; another spacing is another matter."""
    made = {
        "plain": radiograph_dataset(ImagerPixelSpacing=None),
        "fuller": radiograph_dataset(ImagerPixelSpacing=None, PixelSpacing=[0.14, 0.14]),
        "other": radiograph_dataset(ImagerPixelSpacing=None, PixelSpacing=[0.2, 0.2]),
    }
    found = {}
    for name, dataset in made.items():
        dcmwrite(tmp_path / name, dataset, enforce_file_format=True)
        found[name] = content_of(tmp_path / name)
    assert found["plain"].pixels != found["fuller"].pixels
    assert states(found["plain"], found["fuller"]) == [SUPERSEDED, KEPT]
    assert states(found["fuller"], found["plain"]) == [KEPT, DUPLICATE]
    assert states(found["fuller"], found["other"]) == [KEPT, QUARANTINED]
    assert not contradict(found["plain"], found["fuller"])
    assert contradict(found["fuller"], found["other"])
