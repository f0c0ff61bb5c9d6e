"""The attributes of synthetic images, which differ in everything that a result may copy."""

from __future__ import annotations

from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

from candor.study.provenance import derived_uid

FILLED: Final = (1, 2, 3)
"""Sources with different values in everything that a result may copy."""

TERSE: Final = 3
"""One of them, without the optional attributes in the items of its sequences."""

BARE: Final = 0
"""A source with only the attributes that an image must have."""


def source(number: int, place: int) -> Dataset:
    """Return the attributes of an image: the ``place``-th of the study of one source."""
    header = _bare(number, place)
    return header if number == BARE else _filled(header, number)


def _bare(number: int, place: int) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    computed = number in (BARE, 2)
    ds.SOPClassUID = ComputedRadiographyImageStorage if computed else DigitalXRayImageStorageForPresentation
    ds.Modality = "CR" if computed else "DX"
    ds.SOPInstanceUID = derived_uid("conformance instance", str(number), str(place))
    ds.SeriesInstanceUID = derived_uid("conformance series", str(number))
    ds.StudyInstanceUID = derived_uid("conformance study", str(number))
    ds.Rows, ds.Columns = 64 + 8 * number, 80 + 8 * number
    ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 16, 12, 11, 0
    ds.PhotometricInterpretation = "MONOCHROME1" if number == 2 else "MONOCHROME2"
    return ds


def _filled(ds: Dataset, number: int) -> Dataset:
    _identify(ds, number)
    ds.BodyPartExamined = ("CHEST", "THORAX", "LUNG")[number - 1]
    ds.PatientOrientation = (["L", "F"], ["R", "F"], ["L", "H"])[number - 1]
    ds.ViewPosition = ("PA", "AP", "PA")[number - 1]
    ds.BurnedInAnnotation = ("YES", "NO", "YES")[number - 1]
    ds.ImagerPixelSpacing = [0.1 * number, 0.1 * number]
    ds.LossyImageCompression = ("01", "00", "01")[number - 1]
    if number != 2:
        ds.LossyImageCompressionRatio = str(10 * number)
        ds.LossyImageCompressionMethod = ("ISO_10918_1", "", "ISO_15444_1")[number - 1]
    _grey_scale(ds, number)
    return ds


def _identify(ds: Dataset, number: int) -> None:
    ds.SpecificCharacterSet = ("ISO_IR 192", "ISO_IR 100", "ISO_IR 101")[number - 1]
    ds.PatientName, ds.PatientID = f"Example^{number}", f"P-{number}"
    ds.PatientBirthDate, ds.PatientSex = f"196{number}0101", ("F", "M", "O")[number - 1]
    ds.PatientAge, ds.IssuerOfPatientID = f"06{number}Y", f"HOSPITAL {number}"
    ds.StudyDate, ds.StudyTime = f"202601{number:02}", f"1011{number:02}"
    ds.AccessionNumber, ds.StudyID = f"A-{number}", f"S-{number}"
    ds.ReferringPhysicianName, ds.StudyDescription = f"Referrer^{number}", f"Chest {number}"
    ds.TimezoneOffsetFromUTC = f"+0{number}00"
    ds.IssuerOfPatientIDQualifiersSequence = [_qualifiers(number)]
    ds.IssuerOfAccessionNumberSequence = [_designator(f"RIS {number}", number)]
    ds.OtherPatientIDsSequence = [_other_id(number)]
    order = Dataset()
    order.RequestedProcedureID = f"R-{number}"
    if number != TERSE:
        order.RequestedProcedureDescription = f"Two views {number}"
    ds.RequestAttributesSequence = [order]


def _designator(name: str, number: int) -> Dataset:
    item = Dataset()
    if number != FILLED[1]:
        item.LocalNamespaceEntityID = name
    if number != TERSE:
        item.UniversalEntityID, item.UniversalEntityIDType = f"1.2.3.{number}", ("ISO", "UUID")[number - 1]
    return item


def _qualifiers(number: int) -> Dataset:
    item = Dataset()
    item.IdentifierTypeCode = ("MR", "PI", "PT")[number - 1]
    if number != TERSE:
        item.UniversalEntityID, item.UniversalEntityIDType = f"1.2.4.{number}", ("ISO", "UUID")[number - 1]
        item.AssigningFacilitySequence = [_designator(f"WARD {number}", number)]
    return item


def _other_id(number: int) -> Dataset:
    item = Dataset()
    item.PatientID, item.TypeOfPatientID = f"O-{number}", ("TEXT", "RFID", "BARCODE")[number - 1]
    if number != TERSE:
        item.IssuerOfPatientID = f"CITY {number}"
        item.IssuerOfPatientIDQualifiersSequence = [_qualifiers(number)]
    return item


def _grey_scale(ds: Dataset, number: int) -> None:
    """Set how the picture is shown: a window of each function, LUTs in the second."""
    if number == 2:
        ds.ModalityLUTSequence, ds.VOILUTSequence = [_lut(16, ModalityLUTType="OD")], [_lut(12)]
        return
    ds.WindowCenter, ds.WindowWidth = str(2000 + number), str(4000 + number)
    ds.VOILUTFunction = ("SIGMOID", "", "LINEAR_EXACT")[number - 1]
    ds.RescaleIntercept, ds.RescaleSlope = str(-number), str(1 + number)
    ds.RescaleType = ("OD", "", "HU")[number - 1]


def _lut(bits: int, **about: str) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, bits])
    entries = np.linspace(0, 2**bits - 1, 4096).astype("<u2")
    item.add_new("LUTData", "OW", entries.tobytes())
    for keyword, value in about.items():
        setattr(item, keyword, value)
    return item
