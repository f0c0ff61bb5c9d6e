"""The report: a Comprehensive 3D SR with TID 1500 as its root, for every study, whatever could be said about it."""

from __future__ import annotations

from typing import Final

from highdicom.sr import (
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
)
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from cxr import RESEARCH_USE
from cxr.case import Case, WrittenObject
from cxr.dicom import codes
from cxr.dicom.carried import valid_values
from cxr.dicom.identity import carry_over, outcome, referenced_request, stamp
from cxr.dicom.sc import overlay_series_uid
from cxr.dicom.sr_groups import measurement_groups
from cxr.dicom.sr_study import ReportedStudy
from cxr.dicom.write import general_equipment, sign
from cxr.errors import ReportError
from cxr.provenance import APPLICATION_NAME, MANUFACTURER, Provenance

SERIES_NUMBER: Final = 9100
SERIES_DESCRIPTION: Final = f"Candor findings: {RESEARCH_USE}"
_IN_LIBRARY: Final = (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation)


def build_report(case: Case, provenance: Provenance) -> Comprehensive3DSR:
    """Report a study: what was found, what was deferred, what was not assessed and why.

    Parameters
    ----------
    case
        The study with its results; its time stands in the report, and the report refers to the overlays among
        the objects that were written for it.
    provenance
        What made the results.

    Returns
    -------
    The report, complete and preliminary. The same case gives the same bytes.

    Raises
    ------
    ReportError
        No file of the study has the valid identifiers that a report must name.

    References
    ----------
    DICOM PS3.16 TID 1500, 1501, 4019; PS3.3 A.35.13 (Comprehensive 3D SR); IHE AIR 6.5.3.
    """
    study = ReportedStudy(case, provenance)
    headers = study.headers(study.images)
    if not headers:
        raise ReportError(
            "no file of the study has valid Study, Series and SOP Instance and SOP Class UIDs; "
            "a report needs at least one to refer to"
        )
    content = _content(study)
    # highdicom copies and searches the tree that it is given, which takes three times as long as building it.
    measurements = content.ContentSequence.pop()
    report = Comprehensive3DSR(
        evidence=[_evidence(header) for header in headers] + _overlay_evidence(study),
        content=content,
        series_instance_uid=provenance.result_uid("sr-series", study.fingerprint),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=provenance.result_uid("sr", study.fingerprint, outcome(case)),
        instance_number=1,
        is_complete=True,
        is_final=False,
        coding_schemes=[codes.private_scheme()],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set=None,
        **general_equipment(provenance),
    )
    report.ContentSequence.append(measurements)
    report.content[0].ContentSequence.append(measurements)
    _finish(report, headers[0], case, provenance)
    return report


def _finish(report: Comprehensive3DSR, source: Dataset, case: Case, provenance: Provenance) -> None:
    """Add what highdicom takes from its evidence, or from the clock: patient, order, equipment, times."""
    carry_over(report, source, image=False)
    request = referenced_request(source)
    if request is not None:
        report.ReferencedRequestSequence = [request]
    sign(report, provenance, case.time)
    stamp(report, case.time)


def _content(study: ReportedStudy) -> Dataset:
    """Make the content tree, TID 1500."""
    report = MeasurementReport(
        title=codes.IMAGING_MEASUREMENT_REPORT,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept.from_code(codes.ENGLISH)
        ),
        observation_context=ObservationContext(observer_device_context=observer(study.provenance)),
        procedure_reported=codes.PLAIN_XRAY_OF_CHEST,
        imaging_measurements=measurement_groups(study),
        referenced_images=_library(study),
    )
    root: Dataset = report[0]
    return root


def observer(provenance: Provenance) -> ObserverContext:
    """Name the application as the observer (TID 1002 and 1004)."""
    equipment = general_equipment(provenance)
    return ObserverContext(
        observer_type=CodedConcept.from_code(codes.DEVICE),
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=provenance.device_uid,
            name=APPLICATION_NAME,
            manufacturer_name=MANUFACTURER,
            model_name=equipment["manufacturer_model_name"],
            serial_number=equipment["device_serial_number"],
        ),
    )


def _evidence(header: Dataset) -> Dataset:
    """Copy an instance's UIDs and nobody's identity: highdicom logs and warns with the names that it is given."""
    item = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(item, keyword, header[keyword].value)
    _leave_identity_empty(item)
    return item


def _overlay_evidence(study: ReportedStudy) -> list[Dataset]:
    """Name the overlays, which are of the same study and of one series."""
    return [_overlay(study, written) for written in study.overlays]


def _overlay(study: ReportedStudy, written: WrittenObject) -> Dataset:
    item = Dataset()
    item.SOPClassUID = SecondaryCaptureImageStorage
    item.SOPInstanceUID = written.sop_instance_uid
    item.StudyInstanceUID = study.case.study_instance_uid
    item.SeriesInstanceUID = overlay_series_uid(study.provenance, study.fingerprint)
    return item


def _leave_identity_empty(item: Dataset) -> None:
    item.PatientID = item.PatientName = item.PatientBirthDate = item.PatientSex = None
    item.AccessionNumber = item.StudyID = item.StudyDate = item.StudyTime = None


def _library(study: ReportedStudy) -> list[Dataset]:
    """Describe the assessed images for the Image Library (TID 1600), as highdicom takes them."""
    headers = study.headers(image for image in study.images if image.assessed)
    return [_library_entry(header) for header in headers if header.SOPClassUID in _IN_LIBRARY]


def _library_entry(header: Dataset) -> Dataset:
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
