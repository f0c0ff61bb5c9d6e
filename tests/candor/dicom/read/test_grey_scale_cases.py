"""Grey scales as vendors write them: broken LUTs, windows, shutters and paddings, each against a sane twin.

The right outcome is that of the standard or, where the file breaks it, what viewers do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from candor.dicom.read.file import DecodedRadiograph, read_pixels
from candor.dicom.read.select import select
from candor.picture.pixels import measure_pixels
from candor.picture.quality import check_pixels
from candor.study.case import CaseImage
from candor.study.errors import Refused
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from tests.factory import chest_like, radiograph_dataset

STORED = chest_like()
IDENTITY = np.arange(4096, dtype="<u2")
SANE = STORED / 4095
FULL = (STORED - float(STORED.min())) / float(np.ptp(STORED))
ROWS, COLUMNS = STORED.shape
ROW, COLUMN = np.mgrid[1 : ROWS + 1, 1 : COLUMNS + 1]


def lut(entries: NDArray[Any], bits: int, first: int = 0, count: int | None = None, vr: str = "US") -> Dataset:
    """An item of a LUT Sequence whose data are what they are, whatever its descriptor says."""
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [len(entries) if count is None else count, first, bits])
    item.add_new("LUTData", "OW", entries.tobytes())
    return item


def without(item: Dataset, keyword: str, value: Any = None) -> Dataset:
    """An item that lacks an attribute, or has another value of it."""
    delattr(item, keyword)
    if value is not None:
        item.add_new(keyword, "US", value)
    return item


def signed(**attributes: Any) -> dict[str, Any]:
    """The picture as signed values around 0."""
    stored = (STORED.astype(np.int32) - 2048).astype("<i2")
    return {"PixelData": stored.tobytes(), "PixelRepresentation": 1, **attributes}


def framed(value: int) -> bytes:
    """The picture with a frame of one value."""
    stored = STORED.copy()
    stored[:8], stored[-8:], stored[:, :8], stored[:, -8:] = value, value, value, value
    return stored.tobytes()


def in_frame(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    frame = np.zeros_like(grey)
    frame[8:-8, 8:-8] = grey[8:-8, 8:-8]
    return frame


def inside(shown: NDArray[np.bool_], outside: float = 0.0) -> NDArray[np.float64]:
    return np.where(shown, SANE, outside)


NO_WINDOW: dict[str, Any] = {"WindowCenter": None, "WindowWidth": None}
INNER = STORED[8:-8, 8:-8].astype(np.float64)
RECTANGLE = {"ShutterLeftVerticalEdge": 11, "ShutterRightVerticalEdge": COLUMNS - 20} | {
    "ShutterUpperHorizontalEdge": 21,
    "ShutterLowerHorizontalEdge": ROWS - 5,
}
IN_RECTANGLE = (COLUMN >= 11) & (COLUMN <= COLUMNS - 20) & (ROW >= 21) & (ROW <= ROWS - 5)
CIRCLE = {"CenterOfCircularShutter": [ROWS // 2, COLUMNS // 2], "RadiusOfCircularShutter": ROWS // 3}
IN_CIRCLE = (ROW - ROWS // 2) ** 2 + (COLUMN - COLUMNS // 2) ** 2 <= (ROWS // 3) ** 2
POLYGON = [21, 11, 21, COLUMNS - 20, ROWS - 5, COLUMNS - 20, ROWS - 5, 11]


@dataclass(frozen=True)
class Case:
    """What a file states beside the sane twin's attributes, and what is right.

    Parameters
    ----------
    changes
        Attributes by keyword; None removes one.
    notices
        The notices about the pixels.
    shown
        The right picture.
    within
        How far a grey may be off.
    """

    changes: dict[str, Any]
    notices: tuple[Reason, ...] = ()
    shown: NDArray[np.float64] | None = None
    within: float = 1e-6


LUT_BITS, LUT_BROKEN, NO_VOI, SHUTTER = Reason.LUT_BITS, Reason.LUT_BROKEN, Reason.NO_VOI, Reason.SHUTTER

SHOWN: dict[str, Case] = {
    # VOI LUTs
    "a sane LUT": Case({"VOILUTSequence": [lut(IDENTITY, 12)]}),
    "Agfa: 16 bits, and entries to 4095": Case({"VOILUTSequence": [lut(IDENTITY, 16)], **NO_WINDOW}, (LUT_BITS,)),
    "14 bits, and entries to 4095": Case({"VOILUTSequence": [lut(IDENTITY, 14)]}, (LUT_BITS,)),
    "10 bits, and entries to 4095": Case({"VOILUTSequence": [lut(IDENTITY, 10)]}, (LUT_BITS,)),
    "8 bits in pairs": Case({"VOILUTSequence": [lut((IDENTITY >> 4).astype("u1"), 8)]}, within=0.004),
    "8 bits in words": Case({"VOILUTSequence": [lut(IDENTITY >> 4, 8)]}, within=0.004),
    "12 bits, and 8 in pairs": Case(
        {"VOILUTSequence": [lut((IDENTITY >> 4).astype("u1"), 12)]}, (LUT_BITS,), None, 0.004
    ),
    "one entry less than values": Case({"VOILUTSequence": [lut(IDENTITY[:4095], 12)]}, within=0.0003),
    "65,536 entries": Case({"VOILUTSequence": [lut(np.arange(65536).clip(max=4095).astype("<u2"), 12, 0, 0)]}),
    "too few entries": Case({"VOILUTSequence": [lut(IDENTITY[:4000], 12, 0, 4096)]}, (LUT_BROKEN,)),
    "a descriptor of one value": Case(
        {"VOILUTSequence": [without(lut(IDENTITY, 12), "LUTDescriptor", 4096)]}, (LUT_BROKEN,)
    ),
    "no descriptor": Case({"VOILUTSequence": [without(lut(IDENTITY, 12), "LUTDescriptor")]}, (LUT_BROKEN,)),
    "no data": Case({"VOILUTSequence": [without(lut(IDENTITY, 12), "LUTData")]}, (LUT_BROKEN,)),
    "an empty item": Case({"VOILUTSequence": [Dataset()]}, (LUT_BROKEN,)),
    "no item": Case({"VOILUTSequence": []}),
    "0 bits": Case({"VOILUTSequence": [lut(IDENTITY, 0)]}, (LUT_BROKEN,)),
    "32 bits": Case({"VOILUTSequence": [lut(IDENTITY, 32)]}, (LUT_BROKEN,)),
    "entries all the same": Case({"VOILUTSequence": [lut(np.full(4096, 7, "<u2"), 12)]}, (LUT_BROKEN,)),
    "a LUT beyond the picture": Case({"VOILUTSequence": [lut(IDENTITY, 12, 50000)], **NO_WINDOW}, (NO_VOI,), FULL),
    "a LUT below zero": Case(signed(VOILUTSequence=[lut(IDENTITY, 12, -2048, vr="SS")], **NO_WINDOW)),
    "a LUT after a rescale": Case(
        signed(RescaleIntercept=2048, RescaleSlope=1, VOILUTSequence=[lut(IDENTITY, 16)], **NO_WINDOW), (LUT_BITS,)
    ),
    # Windows
    "a window below zero": Case(signed(WindowCenter=0)),
    "a window of no width": Case({"WindowWidth": 0}, (NO_VOI,), FULL),
    "a window of negative width": Case({"WindowWidth": -4096}, (NO_VOI,), FULL),
    "a window beside the picture": Case({"WindowCenter": 30000, "WindowWidth": 10}, (NO_VOI,), FULL),
    "a center alone": Case({"WindowWidth": None}, (NO_VOI,), FULL),
    "no window": Case(NO_WINDOW, (NO_VOI,), FULL),
    "two windows": Case({"WindowCenter": [2048, 1000], "WindowWidth": [4096, 500]}),
    "a sigmoid in small letters": Case(
        {"VOILUTFunction": "sigmoid"}, (), 1 / (1 + np.exp(-4 * (STORED - 2048.0) / 4096))
    ),
    "an unknown function": Case({"VOILUTFunction": "SAMPLED_SIGMOID"}, (NO_VOI,), FULL),
    # Shutters
    "a rectangle": Case({"ShutterShape": "RECTANGULAR", **RECTANGLE}, (SHUTTER,), inside(IN_RECTANGLE)),
    "a circle": Case({"ShutterShape": "CIRCULAR", **CIRCLE}, (SHUTTER,), inside(IN_CIRCLE)),
    "a polygon": Case(
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": POLYGON}, (SHUTTER,), inside(IN_RECTANGLE)
    ),
    "a rectangle and a circle": Case(
        {"ShutterShape": ["RECTANGULAR", "CIRCULAR"], **RECTANGLE, **CIRCLE},
        (SHUTTER,),
        inside(IN_RECTANGLE & IN_CIRCLE),
    ),
    "a white shutter": Case(
        {"ShutterShape": "CIRCULAR", "ShutterPresentationValue": 65535, **CIRCLE}, (SHUTTER,), inside(IN_CIRCLE, 1.0)
    ),
    "a shutter outside the picture": Case(
        {"ShutterShape": "CIRCULAR", **CIRCLE, "RadiusOfCircularShutter": 9999}, (SHUTTER,)
    ),
    "a bitmap": Case({"ShutterShape": "BITMAP", "ShutterOverlayGroup": 0x6000}, (SHUTTER,)),
    "a shutter of an unknown shape": Case({"ShutterShape": "STAR"}, (SHUTTER,)),
    "a shutter without edges": Case({"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 3}, (SHUTTER,)),
    "a polygon of two corners": Case(
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 9, 9]}, (SHUTTER,)
    ),
    "a shutter that leaves nothing": Case(
        {"ShutterShape": "CIRCULAR", **CIRCLE, "RadiusOfCircularShutter": 1}, (SHUTTER,)
    ),
    # Padding, overlays, and the like
    "a white frame that is padding": Case(
        {"PixelData": framed(4095), "PixelPaddingValue": 4095}, (), in_frame(np.where(STORED == 4095, 0, SANE))
    ),
    "a frame that is padding, without a window": Case(
        {"PixelData": framed(0), "PixelPaddingValue": 0, **NO_WINDOW},
        (NO_VOI,),
        in_frame((STORED - INNER[INNER > 0].min()) / (INNER.max() - INNER[INNER > 0].min())).clip(min=0),
    ),
    "padding that is below zero, written as unsigned": Case(
        signed(WindowCenter=0, UnsignedPadding=65536 - 2048), (), SANE
    ),
    "pixels that are not square": Case({"PixelAspectRatio": [2, 1]}),
    "spacings that are not the same": Case({"ImagerPixelSpacing": [0.2, 0.1]}),
    "an overlay in the unused bits": Case({"PixelData": (STORED | 0xF000).tobytes(), "OverlayBitPosition": 12}),
    "an overlay of its own": Case({"OverlayData": bytes(ROWS * COLUMNS // 8)}),
    "proportional to intensity": Case({"PixelIntensityRelationship": "LIN", "PixelIntensityRelationshipSign": 1}),
    "proportional to its logarithm": Case({"PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": -1}),
}

REFUSED: dict[str, tuple[dict[str, Any], Reason]] = {
    "too few entries, and no window": (
        {"VOILUTSequence": [lut(IDENTITY[:4000], 12, 0, 4096)], **NO_WINDOW},
        Reason.CONTRADICTION,
    ),
    "an empty item, and no window": ({"VOILUTSequence": [Dataset()], **NO_WINDOW}, Reason.UNREADABLE),
    "no data, and a window of no width": (
        {"VOILUTSequence": [without(lut(IDENTITY, 12), "LUTData")], "WindowWidth": 0},
        Reason.CONTRADICTION,
    ),
    "a Modality LUT without data": (
        {"ModalityLUTSequence": [without(lut(IDENTITY, 12), "LUTData")]},
        Reason.CONTRADICTION,
    ),
    "shown inverse, and said not to be": ({"PresentationLUTShape": "INVERSE"}, Reason.CONTRADICTION),
    "nothing but padding": (
        {"PixelData": framed(0), "PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095},
        Reason.CONSTANT_PIXELS,
    ),
}


def read(folder: Path, changes: dict[str, Any]) -> DecodedRadiograph:
    dataset = radiograph_dataset(STORED, **{"WindowCenter": 2048, "WindowWidth": 4096, **_plain(changes)})
    if "OverlayData" in changes:
        dataset.add_new(0x60003000, "OW", changes["OverlayData"])
    if "OverlayBitPosition" in changes:
        dataset.add_new(0x60000102, "US", changes["OverlayBitPosition"])
    if "UnsignedPadding" in changes:
        dataset.add_new("PixelPaddingValue", "US", changes["UnsignedPadding"])
    path = folder / "case.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return read_pixels(path)


def _plain(changes: dict[str, Any]) -> dict[str, Any]:
    return {keyword: value for keyword, value in changes.items() if not keyword.startswith(("Overlay", "Unsigned"))}


@pytest.mark.parametrize("name", SHOWN)
def test_a_grey_scale_is_shown_as_its_twin_or_as_viewers_do(tmp_path: Path, name: str) -> None:
    case = SHOWN[name]
    decoded = read(tmp_path, case.changes)
    assert tuple(note.reason for note in decoded.notices) == case.notices
    assert all(note.detail for note in decoded.notices)
    expected = SANE if case.shown is None else case.shown
    assert np.abs(decoded.radiograph.pixels - expected).max() <= case.within


@pytest.mark.parametrize("name", REFUSED)
def test_a_grey_scale_that_nobody_can_read_is_refused(tmp_path: Path, name: str) -> None:
    changes, reason = REFUSED[name]
    with pytest.raises(Refused) as refused:
        read(tmp_path, changes)
    assert refused.value.reason is reason


def test_there_are_many_cases() -> None:
    assert len(SHOWN) + len(REFUSED) >= 40


def test_a_shutter_is_part_of_the_picture_and_its_absence_changes_no_hash(tmp_path: Path) -> None:
    plain = read(tmp_path, {}).pixel_sha256
    assert read(tmp_path, {"PixelAspectRatio": [2, 1]}).pixel_sha256 == plain
    assert read(tmp_path, {"ShutterShape": "BITMAP"}).pixel_sha256 == plain
    assert read(tmp_path, {"ShutterShape": "RECTANGULAR", **RECTANGLE}).pixel_sha256 != plain


@pytest.mark.parametrize(
    ("make", "is_narrow"),
    [
        (lambda grey: grey, False),
        (lambda grey: grey / 6, True),  # what an Agfa LUT made of a picture
        (lambda grey: 0.4 + grey / 8, True),
        (lambda grey: 1 - grey / 8, True),
        (lambda grey: np.pad(0.45 + grey / 10, 60), True),  # a black border does not hide it
        (lambda grey: np.pad(grey, 60), False),
    ],
)
def test_a_picture_that_uses_few_of_its_greys_is_never_passed_without_a_word(
    make: Callable[[NDArray[np.float64]], NDArray[np.float64]], is_narrow: bool
) -> None:
    flags = check_pixels(measure_pixels(Radiograph(make(SANE).astype(np.float32))))
    assert (Reason.NARROW_RANGE in [flag.reason for flag in flags]) is is_narrow


def test_of_two_twins_the_one_for_presentation_is_assessed() -> None:
    twins = [
        CaseImage("a.dcm", Path("a.dcm"), radiograph_dataset(seed="a", PresentationIntentType="FOR PROCESSING")),
        CaseImage("b.dcm", Path("b.dcm"), radiograph_dataset(seed="b")),
    ]
    select(twins, 100)
    assert [twin.refusal and twin.refusal.reason for twin in twins] == [Reason.FOR_PROCESSING, None]
