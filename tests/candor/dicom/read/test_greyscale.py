"""The grey-scale pipeline against pydicom's, which was written by others and works on whole arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

from candor.dicom.read.greyscale import GreyScale
from candor.study.errors import Refused
from candor.study.reasons import Reason

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
FUNCTIONS = st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"])


def header(**attributes: Any) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.BitsStored, dataset.PixelRepresentation = "MONOCHROME2", 12, 0
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def shown(dataset: Dataset, stored: NDArray[Any] = RAMP) -> NDArray[np.float32]:
    return GreyScale.of(dataset).render(stored)[0]


def lut(data: Any, first: int = 0, bits: int = 16, count: int | None = None) -> Dataset:
    """An item of a LUT Sequence."""
    item = Dataset()
    entries = len(data) if count is None else count
    item.LUTDescriptor = [entries, first, bits]
    item.LUTData = data
    item["LUTData"].VR = "OW" if isinstance(data, bytes) else "US"
    return item


def refusal(dataset: Dataset, stored: NDArray[Any] = RAMP) -> Reason:
    with pytest.raises(Refused) as refused:
        shown(dataset, stored)
    return refused.value.reason


@given(
    center=st.floats(-500, 5000),
    width=st.floats(1, 9000),
    function=FUNCTIONS,
    slope=st.sampled_from([1.0, 0.5, -2.0]),
    intercept=st.sampled_from([0.0, -1024.0, 3.5]),
)
def test_windows_agree_with_pydicom(center: float, width: float, function: str, slope: float, intercept: float) -> None:
    dataset = header(
        WindowCenter=round(center, 3),
        WindowWidth=round(width, 3),
        VOILUTFunction=function,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
    )
    with np.errstate(over="ignore"):
        theirs = apply_windowing(apply_modality_lut(RAMP, dataset), dataset)
    low, high = intercept, 4095 * slope + intercept
    theirs = (theirs - low) / (high - low)
    pixels, notice = GreyScale.of(dataset).render(RAMP)
    assert notice or np.abs(pixels - theirs).max() < 1e-6
    assert notice is None or np.ptp(theirs) < 1 / 65535


@given(
    first=st.integers(0, 2000),
    entries=st.lists(st.integers(0, 4095), min_size=2, max_size=300),
    packed=st.booleans(),
)
def test_voi_luts_agree_with_pydicom(first: int, entries: list[int], packed: bool) -> None:
    entries = [*entries, 4095]  # a table that never comes near its top is scaled by its entries
    data = np.asarray(entries, "<u2").tobytes() if packed else entries
    dataset = header(VOILUTSequence=[lut(data, first, 12, len(entries))])
    dataset.set_original_encoding(False, True)
    theirs = apply_voi(RAMP, dataset) / 4095
    if np.ptp(theirs):
        assert np.abs(shown(dataset) - theirs).max() < 1e-6


@given(first=st.integers(0, 2000), entries=st.lists(st.integers(0, 65535), min_size=2, max_size=300, unique=True))
def test_modality_luts_agree_with_pydicom(first: int, entries: list[int]) -> None:
    dataset = header(ModalityLUTSequence=[lut(entries, first)], WindowCenter=32768, WindowWidth=65536)
    theirs = apply_modality_lut(RAMP, dataset) / 65535
    assert np.abs(shown(dataset) - theirs).max() < 1e-6


def test_a_modality_lut_goes_before_a_rescale() -> None:
    dataset = header(ModalityLUTSequence=[lut([0, 65535])], RescaleSlope=3, RescaleIntercept=5)
    assert set(np.unique(shown(dataset))) == {0, 1}


def test_a_voi_lut_goes_before_a_window() -> None:
    dataset = header(VOILUTSequence=[lut([0, 4095], 7, 12)], WindowCenter=2048, WindowWidth=4096)
    assert set(np.unique(shown(dataset))) == {0, 1}


def test_a_voi_lut_after_a_rescale_below_zero_starts_below_zero() -> None:
    entries = list(range(4096))
    dataset = header(VOILUTSequence=[lut(entries, 65536 - 1024, 12)], RescaleSlope=1, RescaleIntercept=-1024)
    assert np.abs(shown(dataset) - RAMP / 4095).max() < 1e-6


def test_bytes_packed_in_pairs() -> None:
    data = bytes(range(256))
    dataset = header(VOILUTSequence=[lut(data, 0, 8, 256)])
    assert np.abs(shown(dataset) - np.minimum(RAMP, 255) / 255).max() < 1e-6


def test_a_full_lut_has_a_count_of_zero() -> None:
    data = np.arange(65536, dtype="<u2").tobytes()
    dataset = header(VOILUTSequence=[lut(data, 0, 16, 0)])
    assert np.abs(shown(dataset) - RAMP / 65535).max() < 1e-6


@pytest.mark.parametrize(
    "item",
    [
        lut([0, 1], 0, 12, count=3),
        lut(b"\x00\x00", 0, 12, count=4),
        lut([0, 1], 0, 17),
        lut([0, 1], 0, 0),
    ],
)
def test_luts_that_do_not_fit_their_descriptor_are_refused(item: Dataset) -> None:
    assert refusal(header(VOILUTSequence=[item])) is Reason.CONTRADICTION


def test_luts_without_data_or_descriptor_are_refused() -> None:
    item = lut([0, 1])
    del item.LUTData
    assert refusal(header(VOILUTSequence=[item])) is Reason.CONTRADICTION
    assert refusal(header(ModalityLUTSequence=[Dataset()])) is Reason.UNREADABLE


def test_a_window_of_width_one_is_a_threshold() -> None:
    pixels = shown(header(WindowCenter=100, WindowWidth=1))
    assert np.array_equal(pixels, (RAMP > 99.5).astype(np.float32))


@pytest.mark.parametrize(
    "voi",
    [
        {},
        {"WindowCenter": 100},
        {"WindowCenter": 100, "WindowWidth": 0},
        {"WindowCenter": 100, "WindowWidth": -5},
        {"WindowCenter": 100, "WindowWidth": 0.5},
        {"WindowCenter": 100, "WindowWidth": 0, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 100, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 100, "WindowWidth": 10, "VOILUTFunction": "LOGISTIC"},
        {"WindowCenter": -9000, "WindowWidth": 10},
        {"VOILUTSequence": [], "WindowCenter": ""},
    ],
)
def test_without_a_window_that_shows_something_the_full_range_is_shown(voi: dict[str, Any]) -> None:
    stored = (RAMP // 2 + 100).astype(np.uint16)
    pixels, notice = GreyScale.of(header(**voi)).render(stored)
    assert notice is not None
    assert notice.reason is Reason.NO_VOI
    assert notice.detail
    assert np.abs(pixels - (stored - 100.0) / 2047).max() < 1e-6


def test_the_first_of_several_windows_is_shown() -> None:
    several = header(WindowCenter=[100, 2000], WindowWidth=[50, 60])
    assert np.array_equal(shown(several), shown(header(WindowCenter=100, WindowWidth=50)))


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_windows_that_are_no_numbers_are_refused(value: str) -> None:
    assert refusal(header(WindowCenter=100, WindowWidth=float(value))) is Reason.UNREADABLE


@pytest.mark.parametrize(("value", "limit"), [(4095, None), (4000, 4095), (4095, 4000)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_out_of_the_range(value: int, limit: int | None, photometric: str) -> None:
    dataset = header(PhotometricInterpretation=photometric, PixelPaddingValue=value)
    if limit is not None:
        dataset.PixelPaddingRangeLimit = limit
    first = value if limit is None else min(value, limit)
    pixels = shown(dataset)
    assert not pixels[first <= RAMP].any()
    assert pixels[first > RAMP].min() == 0
    assert pixels[first > RAMP].max() == 1


def test_padding_of_signed_pixels() -> None:
    stored = (RAMP.astype(np.int16) - 2048).astype(np.int16)
    dataset = header(PixelRepresentation=1, PixelPaddingValue=-2048)
    dataset["PixelPaddingValue"].VR = "SS"
    assert shown(dataset, stored)[0, 0] == 0
    assert shown(dataset, stored)[0, 1] == 0  # the lowest value of the picture
    assert shown(dataset, stored)[-1, -1] == 1


@pytest.mark.parametrize(
    ("dataset", "stored"),
    [
        (header(), np.full((8, 8), 7, np.uint16)),
        (header(PixelPaddingValue=0), np.eye(8, dtype=np.uint16)),
        (header(RescaleSlope=0), RAMP),
    ],
)
def test_no_picture_is_refused(dataset: Dataset, stored: NDArray[np.uint16]) -> None:
    assert refusal(dataset, stored) is Reason.CONSTANT_PIXELS


@pytest.mark.parametrize(
    ("photometric", "shape", "inverse"),
    [
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "", True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "", False),
        ("MONOCHROME2", "LIN OD", False),
    ],
)
def test_polarity(photometric: str, shape: str, inverse: bool) -> None:
    pixels = shown(header(PhotometricInterpretation=photometric, PresentationLUTShape=shape))
    assert pixels[0, 0] == float(inverse)
    assert pixels[-1, -1] == 1 - float(inverse)


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")])
def test_contradicting_polarity_is_refused(photometric: str, shape: str) -> None:
    dataset = header(PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert refusal(dataset) is Reason.CONTRADICTION
