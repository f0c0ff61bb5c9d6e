"""Synthetic DICOM instances for the tests: valid by PS3.3, no patient behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

from candor.study.provenance import derived_uid

STORAGE = {"DX": DigitalXRayImageStorageForPresentation, "CR": ComputedRadiographyImageStorage}
VIEWS = {
    "PA": ("272479007", "postero-anterior"),
    "AP": ("399348003", "antero-posterior"),
    "LL": ("399173006", "left lateral"),
}


def coded(value: str, scheme: str, meaning: str) -> Dataset:
    """A code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def chest_like(rows: int = 300, columns: int = 280, bits: int = 12, seed: int = 0) -> NDArray[np.uint16]:
    """A smooth picture with two dark fields on bright ground, in the range of ``bits``, as MONOCHROME2."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    y, x = y / rows, x / columns
    field = sum(np.exp(-(((x - cx) / 0.13) ** 2 + ((y - 0.45) / 0.25) ** 2)) for cx in (0.3, 0.7))
    noise = np.random.default_rng(seed).normal(0, 0.01, (rows, columns))
    grey = np.clip(0.85 - 0.6 * field + noise, 0, 1)
    return np.asarray(np.round(grey * (2**bits - 1)), np.uint16)


def radiograph_dataset(
    pixels: NDArray[np.uint16] | None = None,
    *,
    kind: str = "DX",
    monochrome1: bool = False,
    bits: int = 12,
    view: str = "PA",
    seed: str = "0",
    study: str | None = None,
    series: str | None = None,
    **attributes: Any,
) -> Dataset:
    """A valid DX For Presentation or CR instance, uncompressed; ``attributes`` replace or add by keyword.

    ``pixels`` are given as MONOCHROME2 and inverted here for MONOCHROME1, so that both twins show the same.
    An attribute of None is removed.
    """
    top = 2**bits - 1
    stored = chest_like(bits=bits) if pixels is None else pixels
    if monochrome1:
        stored = (top - stored).astype(np.uint16)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = STORAGE[kind]
    ds.SOPInstanceUID = derived_uid("test instance", seed)
    ds.StudyInstanceUID = derived_uid("test study", study or seed)
    ds.SeriesInstanceUID = derived_uid("test series", series or seed)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = f"Test^{seed}", f"T-{seed}", "TEST"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "", "O", "060Y"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", f"A{seed}"[:16], ""
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20260101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101112"
    ds.StudyDescription, ds.SeriesDescription = f"XR CHEST {view}", f"Chest {view}"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = kind, 1, 1, 1
    ds.Manufacturer, ds.ManufacturerModelName, ds.DeviceSerialNumber = "Test", "Picture", "1"
    ds.SoftwareVersions = "1"
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", view
    ds.PatientOrientation = ["A", "F"] if view == "LL" else ["L", "F"]
    ds.ImageType, ds.BurnedInAnnotation, ds.LossyImageCompression = ["ORIGINAL", "PRIMARY", ""], "NO", "00"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, 0
    ds.ImagerPixelSpacing = [0.143, 0.143]
    ds.WindowCenter, ds.WindowWidth = str((top + 1) / 2), str(top + 1)
    if kind == "DX":
        ds.PresentationIntentType, ds.ImageLaterality = "FOR PRESENTATION", "U"
        ds.PixelIntensityRelationship = "LOG"
        ds.PixelIntensityRelationshipSign = -1 if monochrome1 else 1
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
        ds.PresentationLUTShape = "INVERSE" if monochrome1 else "IDENTITY"
        ds.DetectorType, ds.DetectorConfiguration, ds.DetectorID = "DIRECT", "AREA", "D1"
        ds.PositionerType = "NONE"
        ds.AnatomicRegionSequence = [coded("816094009", "SCT", "Chest")]
        view_code = coded(VIEWS[view][0], "SCT", VIEWS[view][1])
        view_code.ViewModifierCodeSequence = []
        ds.ViewCodeSequence = [view_code]
        ds.AcquisitionContextSequence = []
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds
