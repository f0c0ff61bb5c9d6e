"""The Image Library of the report: the assessed images as their headers describe them."""

from __future__ import annotations

from typing import Final

from highdicom.sr import ImageLibrary
from pydicom import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation

from candor.dicom.report import content_items
from candor.dicom.report.study import ReportedStudy
from candor.dicom.shared.values import valid_values

_IN_LIBRARY: Final = (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation)


def image_library(study: ReportedStudy) -> bytes:
    """Return the image library (TID 1600); empty where there is no image of a SOP Class that the template allows."""
    headers = study.headers(image for image in study.images if image.assessed)
    entries = [_library_entry(header) for header in headers if header.SOPClassUID in _IN_LIBRARY]
    return content_items.encoded(ImageLibrary(entries)) if entries else b""


def _library_entry(header: Dataset) -> Dataset:
    """Return the attributes of an image that highdicom needs for the library, without the patient's identity."""
    entry = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "Rows", "Columns"):
        setattr(entry, keyword, header[keyword].value)
    orientation = valid_values(header, "PatientOrientation")
    spacing = valid_values(header, "ImagerPixelSpacing")
    described = len(orientation) == len(spacing) == 2
    # highdicom requires the descriptors of a projection (TID 1603) for each CR and DX image.
    entry.Modality = header.Modality if described else "OT"
    if described:
        entry.PatientOrientation = orientation
        entry.ImagerPixelSpacing = [float(value) for value in spacing]
    return entry
