"""The orientation check that ships: complete, refused when damaged, and right on real radiographs if there are any."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from candor.dicom.read.file import read_pixels
from candor.picture.orientation import (
    ASSETS,
    CARD,
    GRAPH,
    SIDE,
    OrientationCheck,
    load_orientation_check,
    to_check_input,
)
from candor.picture.quality import ADULT, check
from candor.study.errors import BundleError, Refused
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from tests.conftest import ROOT

Pixels = NDArray[np.float32]


@pytest.fixture(scope="module")
def orientation() -> OrientationCheck:
    return load_orientation_check()


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """A copy that the test may damage."""
    return Path(shutil.copytree(ASSETS, tmp_path / "assets"))


def test_the_orientation_check_is_small(orientation: OrientationCheck) -> None:
    assert (ASSETS / GRAPH).stat().st_size < 2**20
    assert len(orientation.sha256) == 64


def test_the_card_says_what_it_was_made_from() -> None:
    card = json.loads((ASSETS / CARD).read_text())
    assert card["use"] == "Research use only, not for diagnosis"
    taught = card["training"]["pictures"]
    assert all("-NC" not in name for name in taught)
    assert sum(taught.values()) > 1000
    assert any("-NC" in name for name in card["measured_on_only"])
    assert card["figures"]["adults of ChestX-ray14"]["pictures"] > 300


@pytest.mark.parametrize("name", [GRAPH, CARD])
def test_a_missing_file_is_named(assets: Path, name: str) -> None:
    (assets / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_orientation_check(assets)


def test_a_graph_that_the_card_does_not_know_is_refused(assets: Path) -> None:
    (assets / GRAPH).write_bytes((assets / GRAPH).read_bytes() + b"\0")
    with pytest.raises(BundleError, match=r"SHA-256|cannot be loaded"):
        load_orientation_check(assets)


def test_a_damaged_graph_is_refused(assets: Path) -> None:
    (assets / GRAPH).write_bytes(b"no graph")
    with pytest.raises(BundleError, match="cannot be loaded"):
        load_orientation_check(assets)


@pytest.mark.parametrize("value", [None, "0.5", -0.1, 1.1])
def test_an_impossible_limit_is_refused(assets: Path, value: object) -> None:
    card = json.loads((assets / CARD).read_text())
    card["limits"]["inverted"] = value
    (assets / CARD).write_text(json.dumps(card))
    with pytest.raises(BundleError, match="inverted"):
        load_orientation_check(assets)


def test_the_input_is_stretched_and_keeps_its_polarity() -> None:
    pixels = np.linspace(0.4, 0.5, 300 * 200, dtype=np.float32).reshape(300, 200)
    seen = to_check_input(Radiograph(pixels))
    assert seen.shape == (1, SIDE, SIDE)
    assert seen.dtype == np.float32
    assert (seen.min(), seen.max()) == (0, 1)
    assert np.all(np.diff(seen[0].mean(axis=1)) > 0)  # dark above, bright below, as before
    assert np.allclose(seen, 1 - to_check_input(Radiograph(1 - pixels)), atol=1e-4)


def test_a_picture_of_one_grey_is_not_stretched_into_noise() -> None:
    seen = to_check_input(Radiograph(np.full((200, 200), 0.5, np.float32)))
    assert np.ptp(seen) < 1e-3  # the resampling rounds


def test_many_pictures_at_once_get_the_answers_of_each(orientation: OrientationCheck) -> None:
    images = np.random.default_rng(0).random((3, 1, SIDE, SIDE), np.float32)
    together = orientation.look_at(images)
    for k, look in enumerate(together):
        (alone,) = orientation.look_at(images[k : k + 1])
        assert look.turned == pytest.approx(alone.turned, abs=1e-5)
        assert look.inverted == pytest.approx(alone.inverted, abs=1e-5)
        assert sum(look.turned) == pytest.approx(1, abs=1e-5)
        assert look.rotated == 1 - look.turned[0]


def seen_in(path: Path, orientation: OrientationCheck) -> set[Reason]:
    """The reasons of the checks of one DICOM file; those of reading, where it is refused there."""
    try:
        return {flag.reason for flag in check(read_pixels(path).radiograph, ADULT, orientation)}
    except Refused as refused:
        return {refused.reason}


INVERTED_CHEST = "pydicom__JPEG2KLossless_1s_1f_u_16_16.dcm"
NO_GREY_CHEST = {
    "Spoksonat__photo.dcm",
    "pydicom__966.dcm",
    "pydicom__chrJapMulti.dcm",
    "pydicom__chrJapMultiExplicitIR6.dcm",
    "pydicom__chrKoreanMulti.dcm",
}
"""Those that end in reading: in colour, malformed, or without pixels."""


def test_a_chest_that_is_tagged_with_the_wrong_polarity_is_recognised(
    chest_dicom: Path, orientation: OrientationCheck
) -> None:
    assert Reason.INVERTED in seen_in(chest_dicom / INVERTED_CHEST, orientation)


def test_all_other_chests_pass(chest_dicom: Path, orientation: OrientationCheck) -> None:
    names = {path.name for path in chest_dicom.iterdir() if path.suffix != ".csv"}
    passing = sorted(names - NO_GREY_CHEST - {INVERTED_CHEST})
    assert len(passing) >= 7
    assert {name: seen_in(chest_dicom / name, orientation) for name in passing} == {
        name: set[Reason]() for name in passing
    }


TURNS: dict[str, tuple[Callable[[Pixels], Pixels], Reason]] = {
    "inverted": (lambda pixels: 1 - pixels, Reason.INVERTED),
    "a quarter": (lambda pixels: np.rot90(pixels), Reason.ROTATED),
    "a half": (lambda pixels: np.rot90(pixels, 2), Reason.ROTATED),
    "three quarters": (lambda pixels: np.rot90(pixels, 3), Reason.ROTATED),
}


@pytest.mark.parametrize("name", list(TURNS))
def test_defects_at_full_size_are_found(nih: Path, orientation: OrientationCheck, name: str) -> None:
    defect, reason = TURNS[name]
    paths = sorted((nih / "full").glob("*.png"))[:8]
    pictures = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    images = [Radiograph(defect(np.asarray(picture, np.float32) / np.float32(255))) for picture in pictures]
    found = [reason in {flag.reason for flag in check(image, ADULT, orientation)} for image in images]
    assert sum(found) >= len(found) - 1


def test_the_page_says_what_the_card_says() -> None:
    figures = json.loads((ASSETS / CARD).read_text())["figures"]
    page = (ROOT / "docs" / "explanation" / "image-quality.md").read_text()
    for counts in figures["with a defect"].values():
        assert f"{counts['found']} of {counts['pictures']}" in page
    groups = [
        figures["adults of ChestX-ray14"],
        figures["lateral views"],
        *figures["frontal views from elsewhere"].values(),
    ]
    for group in groups:
        assert f"{group['none']} of {group['pictures']}" in page
        assert all(f"`{code}` {count}" in page for code, count in group["reasons"].items())
