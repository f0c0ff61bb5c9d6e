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
    """Describe the assessed images (TID 1600); nothing where there is none that the template knows."""
    headers = study.headers(image for image in study.images if image.assessed)
    entries = [_library_entry(header) for header in headers if header.SOPClassUID in _IN_LIBRARY]
    return content_items.encoded(ImageLibrary(entries)) if entries else b""


def _library_entry(header: Dataset) -> Dataset:
    """Take of an image what the library describes, and nobody's identity, as highdicom takes it."""
    entry = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "Rows", "Columns"):
        setattr(entry, keyword, header[keyword].value)
    orientation = valid_values(header, "PatientOrientation")
    spacing = valid_values(header, "ImagerPixelSpacing")
    described = len(orientation) == len(spacing) == 2
    # highdicom asks the descriptors of a projection (TID 1603) of each CR and DX image, stated or not.
    entry.Modality = header.Modality if described else "OT"
    if described:
        entry.PatientOrientation = orientation
        entry.ImagerPixelSpacing = [float(value) for value in spacing]
    return entry
