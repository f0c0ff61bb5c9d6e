"""Reading files: real ones in every syntax at hand, twins, damaged ones, and ones that are no DICOM."""

from __future__ import annotations

import copy
import logging
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from pydicom import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from candor.dicom.read.file import DecodedRadiograph, read_header, read_pixels
from candor.dicom.read.frame import MAXIMUM_PIXELS, read_frame
from candor.dicom.shared.attributes import integer, is_uid, items, number, text, values
from candor.study.errors import Refused
from candor.study.reasons import Reason
from tests.factory import chest_like, radiograph_dataset

LOSSLESS = [JPEG2000Lossless, JPEGLSLossless, RLELossless, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian]
COMPRESSED = [JPEG2000Lossless, JPEGLSLossless, RLELossless]


def save(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def encoded(dataset: Dataset, syntax: UID) -> Dataset:
    """The same instance in another transfer syntax."""
    result = copy.deepcopy(dataset)
    if syntax == JPEG2000Lossless:
        frame = encode_array(dataset.pixel_array, bits_stored=dataset.BitsStored, use_mct=False)
        put_frame(result, bytes(frame))
    elif syntax.is_encapsulated:
        result.compress(syntax, generate_instance_uid=False)
    result.file_meta.TransferSyntaxUID = syntax
    return result


def put_frame(dataset: Dataset, frame: bytes) -> None:
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


@cache
def read(path: Path) -> DecodedRadiograph:
    """Decode a real file once for all the tests that look at it."""
    return read_pixels(path)


def reason(attempt: Callable[[], object]) -> Reason:
    with pytest.raises(Refused) as refused:
        attempt()
    return refused.value.reason


def reread(dataset: Dataset, folder: Path) -> DecodedRadiograph:
    return read_pixels(save(dataset, folder / "file.dcm"))


def refusal(dataset: Dataset, folder: Path) -> Reason:
    return reason(lambda: reread(dataset, folder))


# Real files


@pytest.mark.parametrize(
    ("name", "shape", "notices"),
    [
        ("DIAGNijmegen__cxr.dcm", (440, 440), []),
        ("Enet4__RG1_JLSN", (1955, 1841), [Reason.LOSSY]),
        ("Enet4__RG1_J2KI.dcm", (1955, 1841), [Reason.LOSSY]),
        ("pypi_pydicom_data__RG1_J2KR.dcm", (1955, 1841), []),
        ("pypi_pydicom_data__RG1_UNCI.dcm", (1955, 1841), [Reason.LOSSY]),
        ("pydicom__966_fixed.dcm", (2128, 2000), []),
        ("Spoksonat__cxr.dcm", (2140, 1760), []),
        ("pydicom__JPEG2KLossless_1s_1f_u_16_16.dcm", (1416, 1420), [Reason.NO_VOI]),
    ],
)
def test_real_chest_radiographs_are_read(
    chest_dicom: Path, name: str, shape: tuple[int, int], notices: list[Reason]
) -> None:
    decoded = read(chest_dicom / name)
    pixels = decoded.radiograph.pixels
    assert pixels.shape == shape
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < pixels.max() <= 1
    assert [note.reason for note in decoded.notices] == notices


@pytest.mark.parametrize(
    "name", ["DIAGNijmegen__cxr.dcm", "Enet4__RG1_J2KI.dcm", "pydicom__966_fixed.dcm", "Spoksonat__cxr.dcm"]
)
def test_lungs_are_darker_than_the_mediastinum(chest_dicom: Path, name: str) -> None:
    pixels = read(chest_dicom / name).radiograph.pixels
    rows, columns = pixels.shape
    band = pixels[int(0.3 * rows) : int(0.4 * rows)]
    right_lung = band[:, int(0.2 * columns) : int(0.3 * columns)].mean()
    assert right_lung < band[:, int(0.45 * columns) : int(0.55 * columns)].mean()


def test_one_philips_radiograph_looks_the_same_in_all_its_syntaxes(chest_dicom: Path) -> None:
    names = ("pypi_pydicom_data__RG1_J2KR.dcm", "pypi_pydicom_data__RG1_UNCI.dcm", "Enet4__RG1_JLSN")
    reference, *others = (read(chest_dicom / name).radiograph.pixels for name in names)
    assert all(np.abs(other - reference).mean() < 0.002 for other in others)
    assert all(np.corrcoef(other.ravel(), reference.ravel())[0, 1] > 0.999 for other in others)


def test_a_modality_lut_sequence_is_applied(ood_dicom: Path) -> None:
    decoded = read_pixels(ood_dicom / "fo-dicom__CR-ModalitySequenceLUT.dcm")
    assert decoded.radiograph.pixels.shape == (1576, 1976)
    assert decoded.radiograph.pixels[700, 988] > 0.5  # teeth are bright
    assert decoded.radiograph.pixels[10, 10] == 0  # outside is not
    assert [note.reason for note in decoded.notices] == [Reason.NO_VOI]


def test_lossless_twins_of_real_files_have_one_hash(ood_dicom: Path) -> None:
    for names in (("Enet4__RG3_RLE", "Enet4__RG3_JLSL"), ("Enet4__RG2_RLE", "Enet4__RG2_J2KR")):
        first, second = (read_pixels(ood_dicom / name) for name in names)
        assert first.pixel_sha256 == second.pixel_sha256
        assert np.array_equal(first.radiograph.pixels, second.radiograph.pixels)


def test_headers_without_pixels_are_refused(chest_dicom: Path) -> None:
    for path in chest_dicom.glob("pydicom__chr*"):
        assert "PixelData" not in read_header(path)
        assert reason(partial(read_pixels, path)) is Reason.NO_PIXELS


def test_every_hostile_file_gives_a_result_or_a_refusal(hostile_dicom: Path) -> None:
    for path in sorted(hostile_dicom.iterdir()):
        with suppress(Refused):
            read_pixels(path)


def test_a_malformed_codestream_is_refused(chest_dicom: Path) -> None:
    assert reason(lambda: read_pixels(chest_dicom / "pydicom__966.dcm")) is Reason.UNDECODABLE


# One picture, many encodings


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
def test_the_hash_does_not_depend_on_the_encoding(tmp_path: Path, syntax: UID) -> None:
    plain = radiograph_dataset()
    reference = reread(plain, tmp_path)
    other = reread(encoded(plain, syntax), tmp_path)
    assert other.pixel_sha256 == reference.pixel_sha256
    assert np.array_equal(other.radiograph.pixels, reference.radiograph.pixels)


def test_big_endian_gives_the_same_picture(tmp_path: Path) -> None:
    plain = radiograph_dataset()
    reference = reread(plain, tmp_path)
    swapped = copy.deepcopy(plain)
    swapped.PixelData = plain.pixel_array.astype(">u2").tobytes()
    swapped.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    swapped.save_as(tmp_path / "big.dcm", little_endian=False, implicit_vr=False, enforce_file_format=True)
    assert read_pixels(tmp_path / "big.dcm").pixel_sha256 == reference.pixel_sha256


@pytest.mark.parametrize(
    "change",
    [
        {"WindowWidth": "2000"},
        {"VOILUTFunction": "SIGMOID"},
        {"RescaleIntercept": "7"},
        {"PixelPaddingValue": 0},
        {"PatientOrientation": ["R", "F"]},
        {"ImagerPixelSpacing": [0.2, 0.2]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_display_has_another_hash(tmp_path: Path, change: dict[str, Any]) -> None:
    reference = reread(radiograph_dataset(), tmp_path)
    assert reread(radiograph_dataset(**change), tmp_path).pixel_sha256 != reference.pixel_sha256


def test_identity_and_texts_do_not_change_the_hash(tmp_path: Path) -> None:
    reference = reread(radiograph_dataset(seed="0"), tmp_path)
    assert reread(radiograph_dataset(seed="1", StudyDescription="Other"), tmp_path).pixel_sha256 == (
        reference.pixel_sha256
    )


@pytest.mark.parametrize("kind", ["DX", "CR"])
def test_monochrome_twins_show_the_same(tmp_path: Path, kind: str) -> None:
    first, second = (
        reread(radiograph_dataset(kind=kind, monochrome1=inverted), tmp_path).radiograph.pixels
        for inverted in (False, True)
    )
    assert np.abs(first - second).max() <= 1e-6


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_all_depths_show_the_same(tmp_path: Path, bits: int) -> None:
    shown = reread(radiograph_dataset(bits=bits), tmp_path).radiograph.pixels
    assert np.abs(shown - chest_like(bits=bits) / (2.0**bits - 1)).max() < 1e-6


def test_eight_bits_allocated(tmp_path: Path) -> None:
    pixels = chest_like(bits=8).astype(np.uint8)
    dataset = radiograph_dataset(chest_like(bits=8), bits=8, BitsAllocated=8, PixelData=pixels.tobytes())
    shown = reread(dataset, tmp_path).radiograph.pixels
    assert np.abs(shown - pixels / 255).max() < 1e-6


def signed(dataset: Dataset, values_: NDArray[np.int16], **attributes: Any) -> Dataset:
    """Give a dataset signed pixels."""
    dataset.PixelData = values_.tobytes()
    dataset.PixelRepresentation = 1
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
def test_signed_pixels(tmp_path: Path, syntax: UID) -> None:
    pixels = chest_like(bits=12).astype(np.int16) - 2048
    dataset = signed(radiograph_dataset(WindowCenter="0", WindowWidth="4096"), pixels.astype(np.int16))
    shown = reread(encoded(dataset, syntax), tmp_path).radiograph.pixels
    assert np.abs(shown - (pixels + 2048) / 4095).max() < 1e-6


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_overlays_in_unused_bits_are_masked(tmp_path: Path, syntax: UID) -> None:
    plain = radiograph_dataset()
    marked = plain.pixel_array.copy()
    marked[10:20, 10:20] |= 1 << 12
    overlaid = radiograph_dataset(PixelData=marked.tobytes())
    if syntax != ExplicitVRLittleEndian:
        overlaid.compress(syntax, generate_instance_uid=False)
    assert reread(overlaid, tmp_path).pixel_sha256 == reread(plain, tmp_path).pixel_sha256


def over_range(**attributes: Any) -> Dataset:
    """A codestream of more bits than the header says."""
    dataset = encoded(radiograph_dataset(bits=12), JPEG2000Lossless)
    dataset.BitsStored, dataset.HighBit = 10, 9
    for tag, value in attributes.items():
        dataset.add_new(int(tag.removeprefix("tag"), 16), "US", value)
    return dataset


def test_codestreams_over_bits_stored_are_refused(tmp_path: Path) -> None:
    assert refusal(over_range(), tmp_path) is Reason.CONTRADICTION


def test_codestreams_with_a_declared_overlay_are_masked(tmp_path: Path) -> None:
    dataset = over_range(tag60000100=16, tag60000102=12)
    shown = reread(dataset, tmp_path)
    expected = radiograph_dataset((chest_like(bits=12) & 1023).astype(np.uint16), bits=10)
    expected.WindowCenter, expected.WindowWidth = dataset.WindowCenter, dataset.WindowWidth
    assert shown.pixel_sha256 == reread(expected, tmp_path).pixel_sha256


# What is refused


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("damage", ["half", "end", "zeros", "garbage"])
def test_damaged_pixel_data_are_refused(tmp_path: Path, syntax: UID, damage: str) -> None:
    dataset = encoded(radiograph_dataset(), syntax)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    half = len(frame) // 2
    put_frame(
        dataset,
        {
            "half": frame[:half],
            "end": frame[:-20],
            "zeros": frame[:half] + bytes(half),
            "garbage": bytes(range(256)) * 8,
        }[damage],
    )
    assert refusal(dataset, tmp_path) is Reason.UNDECODABLE


@pytest.mark.parametrize("name", ["Spoksonat__cxr.dcm", "fo-dicom__CR-ModalitySequenceLUT.dcm"])
def test_truncated_lossless_jpeg_is_refused(chest_dicom: Path, ood_dicom: Path, tmp_path: Path, name: str) -> None:
    source = next(folder / name for folder in (chest_dicom, ood_dicom) if (folder / name).exists())
    content = source.read_bytes()
    for end in (len(content) // 2, len(content) - 20_000):
        cut = tmp_path / "cut.dcm"
        cut.write_bytes(content[:end] + bytes(end % 2))
        assert reason(partial(read_pixels, cut)) is Reason.UNDECODABLE


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *COMPRESSED], ids=lambda syntax: syntax.keyword)
def test_truncated_files_are_refused(tmp_path: Path, syntax: UID) -> None:
    path = save(encoded(radiograph_dataset(), syntax), tmp_path / "file.dcm")
    content = path.read_bytes()
    path.write_bytes(content[: int(0.9 * len(content))])
    assert reason(lambda: read_pixels(path)) is Reason.UNDECODABLE


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"PixelData": b""}, Reason.NO_PIXELS),
        ({"NumberOfFrames": "2"}, Reason.MULTI_FRAME),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, Reason.COLOUR),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.COLOUR),
        ({"PhotometricInterpretation": ""}, Reason.UNDECODABLE),
        ({"Rows": 10_000, "Columns": 10_001}, Reason.TOO_LARGE),
        ({"Rows": None}, Reason.UNDECODABLE),
        ({"Rows": 0}, Reason.UNDECODABLE),
        ({"Rows": 1000}, Reason.UNDECODABLE),
        ({"BitsAllocated": 32}, Reason.UNDECODABLE),
        ({"BitsStored": 17}, Reason.UNDECODABLE),
        ({"HighBit": 15}, Reason.CONTRADICTION),
        ({"PixelRepresentation": 2}, Reason.UNDECODABLE),
        ({"PresentationLUTShape": "INVERSE"}, Reason.CONTRADICTION),
        ({"PixelData": bytes(2 * 300 * 280)}, Reason.CONSTANT_PIXELS),
        ({"PixelData": b"\x07\x01" * 300 * 280}, Reason.CONSTANT_PIXELS),
    ],
)
def test_what_is_no_radiograph_is_refused(tmp_path: Path, change: dict[str, Any], expected: Reason) -> None:
    assert refusal(radiograph_dataset(**change), tmp_path) is expected


def test_size_is_checked_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(radiograph_dataset(Rows=20_000, Columns=20_000), tmp_path / "file.dcm")
    monkeypatch.setattr("candor.dicom.read.decode.read_frame", None)
    assert MAXIMUM_PIXELS < 20_000**2
    assert reason(lambda: read_pixels(path)) is Reason.TOO_LARGE


@pytest.mark.parametrize("available", [(), ("unheard of",)])
def test_a_syntax_without_a_decoder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: tuple[str, ...]
) -> None:
    monkeypatch.setattr(Decoder, "available_plugins", available)
    path = save(encoded(radiograph_dataset(), JPEG2000Lossless), tmp_path / "file.dcm")
    with pytest.raises(Refused, match="no decoder") as refused:
        read_frame(path, JPEG2000Lossless)
    assert refused.value.reason is Reason.UNDECODABLE


def test_progressive_jpeg_has_no_decoder(ood_dicom: Path) -> None:
    (path,) = ood_dicom.glob("*JPEGProcess10_12*")
    with pytest.raises(Refused, match="no decoder") as refused:
        read_pixels(path)
    assert refused.value.reason is Reason.UNDECODABLE


def test_contradicting_polarity_of_monochrome1_is_refused(tmp_path: Path) -> None:
    dataset = radiograph_dataset(monochrome1=True, PresentationLUTShape="IDENTITY")
    assert refusal(dataset, tmp_path) is Reason.CONTRADICTION


# Lossy compression


@pytest.mark.parametrize(
    ("syntax", "stated", "expected"),
    [
        (ExplicitVRLittleEndian, "00", False),
        (ExplicitVRLittleEndian, "01", True),
        (ExplicitVRLittleEndian, None, False),
        (JPEGLSNearLossless, "00", True),
        (UID("1.2.840.10008.1.2.4.91"), None, True),
        (UID("1.2.840.10008.1.2.4.91"), "00", False),
    ],
)
def test_lossy_compression_is_noticed(tmp_path: Path, syntax: UID, stated: str | None, expected: bool) -> None:
    dataset = radiograph_dataset(LossyImageCompression=stated)
    if syntax == JPEGLSNearLossless:
        dataset.compress(syntax, jls_error=1, generate_instance_uid=False)
        dataset.LossyImageCompression = stated
    elif syntax.is_encapsulated:
        dataset = encoded(dataset, JPEG2000Lossless)
        dataset.file_meta.TransferSyntaxUID = syntax
    notices = [note.reason for note in reread(dataset, tmp_path).notices]
    assert notices == ([Reason.LOSSY] if expected else [])


# Geometry


@pytest.mark.parametrize(
    ("pixel", "imager", "expected"),
    [
        ([0.1, 0.2], [0.3, 0.3], (0.1, 0.2)),
        (None, [0.3, 0.4], (0.3, 0.4)),
        (["0.000", "0.000"], [0.3, 0.3], (0.3, 0.3)),
        ([0.1], None, None),
        (None, None, None),
    ],
)
def test_spacing(tmp_path: Path, pixel: Any, imager: Any, expected: tuple[float, float] | None) -> None:
    dataset = radiograph_dataset(ImagerPixelSpacing=imager)
    if pixel:
        dataset.PixelSpacing = pixel
    assert reread(dataset, tmp_path).radiograph.spacing == expected


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(["L", "F"], True), (["LH", "F"], True), (["R", "F"], False), (["H", "L"], None), ("", None), (None, None)],
)
def test_columns_to_left(tmp_path: Path, orientation: Any, expected: bool | None) -> None:
    decoded = reread(radiograph_dataset(PatientOrientation=orientation), tmp_path)
    assert decoded.radiograph.columns_to_left is expected


# Headers


def test_the_header_holds_everything_but_the_pixels(tmp_path: Path) -> None:
    dataset = radiograph_dataset()
    header = read_header(save(dataset, tmp_path / "file.dcm"))
    assert header.PixelData == b""
    del dataset.PixelData, header.PixelData
    assert header == dataset


@pytest.mark.parametrize("content", [b"", b"no DICOM at all", b"\x89PNG\r\n\x1a\n" + bytes(200), bytes(128) + b"DICM"])
def test_other_files_are_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert reason(lambda: read_header(path)) is Reason.UNREADABLE


def test_a_file_that_cannot_be_opened_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No such file") as refused:
        read_header(tmp_path / "Doe^Jane.dcm")
    assert "Doe" not in str(refused.value)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_bare_data_set_is_read(tmp_path: Path, syntax: UID) -> None:
    dataset = radiograph_dataset()
    reference = reread(dataset, tmp_path)
    bare = copy.deepcopy(dataset)
    del bare.file_meta
    path = tmp_path / "bare.dcm"
    bare.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    assert read_pixels(path).pixel_sha256 == reference.pixel_sha256


def malformed(path: Path, tag: bytes, old: bytes, new: bytes) -> Path:
    """Overwrite the value of one explicit VR little endian element."""
    content = path.read_bytes()
    head = tag + struct.pack("<H", len(old))
    assert content.count(head + old) == 1
    path.write_bytes(content.replace(head + old, head + new))
    return path


def with_broken(dataset: Dataset, tag: int, folder: Path) -> Path:
    """Write a dataset with one element of four bytes that says it is a double."""
    dataset.add_new(tag, "LO", "four")
    path = save(dataset, folder / "file.dcm")
    return revr(path, tag)


def revr(path: Path, tag: int) -> Path:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    content = path.read_bytes()
    assert content.count(head + b"LO") == 1
    path.write_bytes(content.replace(head + b"LO", head + b"FD"))
    return path


def test_values_that_cannot_be_converted_are_dropped(tmp_path: Path) -> None:
    path = with_broken(radiograph_dataset(), 0x00189073, tmp_path)
    assert "AcquisitionDuration" not in read_header(path)
    assert read_pixels(path).pixel_sha256 == reread(radiograph_dataset(), tmp_path).pixel_sha256


def test_broken_values_inside_sequences_are_dropped(tmp_path: Path) -> None:
    dataset = radiograph_dataset()
    dataset.ViewCodeSequence[0].add_new(0x00189073, "LO", "four")
    path = revr(save(dataset, tmp_path / "file.dcm"), 0x00189073)
    (item,) = read_header(path).ViewCodeSequence
    assert "AcquisitionDuration" not in item
    assert item.CodeValue == "272479007"


def test_a_picture_is_not_guessed_from_broken_values(tmp_path: Path) -> None:
    path = with_broken(radiograph_dataset(), 0x00280120, tmp_path)  # Pixel Padding Value
    assert reason(partial(read_pixels, path)) is Reason.UNREADABLE


def test_an_unknown_representation_in_the_file_meta_is_dropped(tmp_path: Path) -> None:
    path = save(radiograph_dataset(), tmp_path / "file.dcm")
    path.write_bytes(path.read_bytes().replace(b"\x02\x00\x02\x00UI", b"\x02\x00\x02\x00U?"))
    assert "MediaStorageSOPClassUID" not in read_header(path).file_meta
    read_pixels(path)


def test_a_broken_deflated_file_is_unreadable(tmp_path: Path) -> None:
    path = save(encoded(radiograph_dataset(), DeflatedExplicitVRLittleEndian), tmp_path / "file.dcm")
    content = path.read_bytes()
    path.write_bytes(content[:400] + b"\xff" * (len(content) - 400))
    assert reason(partial(read_header, path)) is Reason.UNREADABLE


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.3.4", "nonsense"])
def test_a_wrong_transfer_syntax_is_refused(tmp_path: Path, syntax: str) -> None:
    dataset = encoded(radiograph_dataset(), RLELossless)
    path = save(dataset, tmp_path / "file.dcm")
    old, new = (f"{uid}\0" if len(uid) % 2 else uid for uid in (RLELossless, syntax))
    value = struct.pack("<H", len(old)) + old.encode()
    size = len(old) - len(new)
    content = path.read_bytes().replace(value, struct.pack("<H", len(new)) + new.encode())
    length = struct.unpack_from("<I", content, 140)[0]
    path.write_bytes(content[:140] + struct.pack("<I", length - size) + content[144:])
    with pytest.raises(Refused) as refused:
        read_pixels(path)
    assert refused.value.reason is Reason.UNDECODABLE
    assert syntax not in str(refused.value)


def test_a_picture_is_not_guessed_from_values_that_cannot_be_converted(tmp_path: Path) -> None:
    path = save(radiograph_dataset(RescaleIntercept="1234"), tmp_path / "file.dcm")
    malformed(path, b"\x28\x00\x52\x10DS", b"1234", b"12a4")
    assert reason(lambda: read_pixels(path)) is Reason.UNREADABLE


def test_nobody_is_named_in_logs_warnings_and_errors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = radiograph_dataset(PatientID="CANARY" * 20, PatientBirthDate="CANARY", StudyInstanceUID="1.CANARY")
    dataset.SeriesNumber, dataset.RescaleSlope = "1234", "1234"
    path = save(dataset, tmp_path / "file.dcm")
    malformed(path, b"\x28\x00\x53\x10DS", b"1234", b"CNRY")
    malformed(path, b"\x20\x00\x11\x00IS", b"1234", b"CNRY")
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as caught:
        with pytest.raises(Refused) as refused:
            read_pixels(path)
        str(read_header(path))
    assert refused.value.__cause__ is None
    said = " ".join([caplog.text, str(refused.value), *(str(warning.message) for warning in caught)])
    assert not {"CANARY", "CNRY"} & set(said.replace("'", " ").split())
    assert "CANARY" not in said


def test_pydicom_says_nothing_when_the_application_runs(tmp_path: Path) -> None:
    path = save(encoded(radiograph_dataset(), RLELossless), tmp_path / "CANARY.dcm")
    path.write_bytes(path.read_bytes()[:-500])  # pydicom warns of it, with the file's name
    code = (
        "import sys; from pathlib import Path; from candor.dicom.read.file import read_pixels;"
        "read_pixels(Path(sys.argv[1]))"
    )
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=root, check=False
    )
    assert "UNDECODABLE" in done.stderr or "cannot be decoded" in done.stderr
    assert "Warning" not in done.stderr
    assert "CANARY" not in done.stderr


@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_gives_a_result_or_a_refusal(small_files: list[bytes], tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(small_files)))
    header = min(len(content), 3000)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(132, header - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.dcm"
    path.write_bytes(content[: data.draw(st.integers(140, len(content)))])
    with suppress(Refused):
        read_pixels(path)


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("small")
    plain = radiograph_dataset(chest_like(32, 32))
    syntaxes = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless)
    return [save(encoded(plain, syntax), folder / "file.dcm").read_bytes() for syntax in syntaxes]


# Attribute values


@pytest.mark.parametrize("uid", ["1.2", "1.2.840.10008.1.1", "2.25." + "1" * 59, "1.2.003"])
def test_uids(uid: str) -> None:
    assert is_uid(uid)
    assert is_uid(UID(uid))


@pytest.mark.parametrize(
    "uid", ["", "1", "1.", ".1", "1..2", "../1", "1.2\n", "1.2a", "1.2 ", "2.25." + "1" * 60, None, 1]
)
def test_what_is_no_uid(uid: object) -> None:
    assert not is_uid(uid)


def test_attribute_values() -> None:
    dataset = Dataset()
    dataset.WindowCenter = [1.5, 2]
    dataset.BodyPartExamined = " chest "
    dataset.AnatomicRegionSequence = [Dataset()]
    dataset.ViewPosition = ""
    assert number(dataset, "WindowCenter") == 1.5
    assert number(dataset, "WindowWidth") is None
    assert values(dataset, "ViewPosition") == []
    assert text(dataset, "BodyPartExamined") == "CHEST"
    assert len(items(dataset, "AnatomicRegionSequence")) == 1
    assert items(dataset, "BodyPartExamined") == []
    assert reason(lambda: integer(dataset, "WindowCenter")) is Reason.UNREADABLE
    assert reason(lambda: number(dataset, "BodyPartExamined")) is Reason.UNREADABLE
