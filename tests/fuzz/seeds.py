"""Small whole files that fuzzing starts from: one of each encoding, and of each way to hide something in one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from tests.factory import radiograph_dataset
from tests.hostile.bombs import compressed, jpeg, jpeg_2000, nested, nested_with_lengths

SIDE = 8
_KEPT = {
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SpecificCharacterSet", "PatientName",
    "PatientID", "Modality", "BodyPartExamined", "PatientOrientation", "ViewCodeSequence", "SamplesPerPixel",
    "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "ImagerPixelSpacing", "PixelData",
}  # fmt: skip


def plain() -> Dataset:
    """A radiograph of 8 x 8 pixels with the attributes that reading asks for."""
    dataset = radiograph_dataset(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 60)
    for element in list(dataset):
        if element.keyword not in _KEPT:
            del dataset[element.tag]
    return dataset


def encoded(dataset: Dataset, syntax: UID) -> bytes:
    """Its file in a transfer syntax."""
    result = copy.deepcopy(dataset)
    if syntax.is_encapsulated:
        result.compress(syntax, generate_instance_uid=False)
    result.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    encoding = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
    dcmwrite(buffer, result, enforce_file_format=True, **encoding)
    return buffer.getvalue()


def seeds() -> Iterator[bytes]:
    """Make all of them."""
    for syntax in (
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
    ):
        yield encoded(plain(), syntax)
    content = encoded(plain(), ExplicitVRLittleEndian)
    yield content[144 + int.from_bytes(content[140:144], "little") :]  # a bare data set
    start = content.index(b"\x28\x00\x02\x00")
    for element in (nested(4), nested(3, b"UN", 0x00091010), nested_with_lengths(4)):
        yield content[:start] + element + content[start:]
    yield encoded(_with_luts(), ExplicitVRLittleEndian)
    for frame, syntax in ((jpeg(8, 8, 0xC3), "70"), (jpeg(8, 8, 0xC1), "51"), (jpeg_2000(8, 8), "90")):
        dataset = plain()
        whole = compressed(frame, UID(f"1.2.840.10008.1.2.4.{syntax}"), 8, 8)
        dataset.PixelData = whole[whole.rindex(b"OB\0\0\xff\xff\xff\xff") + 8 : -8]
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2.4.{syntax}")
        buffer = BytesIO()
        dcmwrite(buffer, dataset, enforce_file_format=True)
        yield buffer.getvalue()


def _with_luts() -> Dataset:
    dataset, lut = plain(), Dataset()
    lut.LUTDescriptor, lut.LUTData = [4, 0, 16], [0, 1, 2, 3]
    lut["LUTData"].VR = lut["LUTDescriptor"].VR = "US"
    dataset.ModalityLUTSequence, dataset.VOILUTSequence = [lut], [copy.deepcopy(lut)]
    dataset.file_meta = FileMetaDataset(dataset.file_meta)
    return dataset
