"""Build the report: a Structured Report with TID 1500 as its root, for every study, also where nothing is assessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
)
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.dataset import FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
)

from candor import RESEARCH_USE
from candor.dicom.report import content_items
from candor.dicom.report.groups import measurement_groups
from candor.dicom.report.image_library import image_library
from candor.dicom.report.references import Instance, hierarchy, predecessors_of
from candor.dicom.report.study import ReportedStudy
from candor.dicom.shared import codes
from candor.dicom.shared.file import general_equipment, sign
from candor.dicom.shared.identity import carry_over, outcome, referenced_request, stamp
from candor.study.case import Case
from candor.study.errors import ReportError
from candor.study.profile import Profile, ReportClass
from candor.study.provenance import APPLICATION_NAME, MANUFACTURER, Provenance
from candor.study.result_object import Predecessor
from candor.words.texts import ENGLISH, Texts

DEFAULT_PROFILE: Final = Profile()
SERIES_NUMBER: Final = 9100
SERIES_DESCRIPTION: Final = f"Candor findings: {RESEARCH_USE}"
SOP_CLASSES: Final = {
    ReportClass.COMPREHENSIVE_3D: Comprehensive3DSRStorage,
    ReportClass.COMPREHENSIVE: ComprehensiveSRStorage,
    ReportClass.ENHANCED: EnhancedSRStorage,
}


def build_report(
    case: Case, provenance: Provenance, profile: Profile = DEFAULT_PROFILE, texts: Texts = ENGLISH
) -> Dataset:
    """Return the report of a study: what was found, what was deferred, what was not assessed and why.

    Parameters
    ----------
    case
        The study with its results. The report has its time, and replaces its predecessors.
    provenance
        What made the results.
    profile
        The profile of the receivers: it sets the report's SOP class, and the objects that it refers to.
    texts
        The language of the texts.

    Returns
    -------
    The report, complete and preliminary, in Explicit VR Little Endian. The same case gives the same bytes. Its
    content is encoded already, and decoded on access; :func:`highdicom.sr.srread` reads the file.

    Raises
    ------
    ReportError
        No file of the study has the valid UIDs that a report needs.

    References
    ----------
    DICOM PS3.16 TID 1500, 1501, 1410, 4019; PS3.3 A.35.13 (Comprehensive 3D SR), A.35.3 (Comprehensive SR), A.35.2
    (Enhanced SR); IHE AIR 6.5.3.
    """
    study = ReportedStudy(case, provenance, profile, texts)
    if not study.sources:
        raise ReportError(
            "no file of the study has valid Study, Series and SOP Instance and SOP Class UIDs; "
            "a report needs at least one to refer to"
        )
    report = Dataset()
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    carry_over(report, study.sources[0], image=False)
    _identify(report, study)
    _refer(report, study)
    sign(report, provenance, case.time)
    stamp(report, case.time)
    _fill(report, _content(study))
    return report


def observer(provenance: Provenance) -> ObserverContext:
    """Return the application as the observer (TID 1002 and 1004)."""
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


def _identify(report: Dataset, study: ReportedStudy) -> None:
    """Set the attributes of series, equipment and state (PS3.3 C.17.1, C.7.5.1, C.17.2, C.12.1)."""
    report.SOPClassUID = SOP_CLASSES[study.profile.report_class]
    report.Modality = "SR"
    report.SeriesInstanceUID = study.provenance.result_uid("sr-series", study.fingerprint)
    report.SeriesNumber = SERIES_NUMBER
    report.SeriesDescription = SERIES_DESCRIPTION
    report.InstanceNumber = 1
    report.ReferencedPerformedProcedureStepSequence = []
    equipment = general_equipment(study.provenance)
    report.Manufacturer = equipment["manufacturer"]
    report.ManufacturerModelName = equipment["manufacturer_model_name"]
    report.DeviceSerialNumber = equipment["device_serial_number"]
    report.SoftwareVersions = equipment["software_versions"]
    report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    report.CodingSchemeIdentificationSequence = [codes.private_scheme()]


def _refer(report: Dataset, study: ReportedStudy) -> None:
    """Set the references to order, evidence and predecessors (PS3.3 C.17.2), and the report's UID."""
    request = referenced_request(study.sources[0])
    if request is not None:
        report.ReferencedRequestSequence = [request]
    report.PerformedProcedureCodeSequence = []
    report.CurrentRequestedProcedureEvidenceSequence = hierarchy(_evidence(study))
    predecessors = predecessors_of(study.case, study.profile, lambda earlier: _uid(study, earlier))
    report.SOPInstanceUID = _uid(study, predecessors)
    if predecessors:
        report.PredecessorDocumentsSequence = hierarchy(
            Instance(
                earlier.study_instance_uid,
                earlier.series_instance_uid,
                earlier.sop_class_uid,
                earlier.sop_instance_uid,
            )
            for earlier in predecessors
        )


def _uid(study: ReportedStudy, predecessors: Sequence[Predecessor]) -> str:
    """Return the SOP Instance UID, derived from all that may differ between reports of the same images.

    That is the outcome, the form, the language, the references, and a fit to other patients where there is one.
    """
    return study.provenance.result_uid(
        "sr",
        study.fingerprint,
        outcome(study.case),
        study.profile.report_class.value,
        study.texts.language.value,
        ",".join(written.sop_instance_uid for written in study.objects),
        ",".join(earlier.sop_instance_uid for earlier in predecessors),
        *filter(None, [study.foreign_fit]),
    )


def _evidence(study: ReportedStudy) -> Iterable[Instance]:
    """Yield the study's images, and the objects that the profile holds."""
    for header in study.sources:
        yield Instance(header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPClassUID, header.SOPInstanceUID)
    for made in study.objects:
        yield Instance(
            study.case.study_instance_uid, made.series_instance_uid, made.sop_class_uid, made.sop_instance_uid
        )


def _content(study: ReportedStudy) -> list[bytes]:
    """Return the items below the root of the content tree, TID 1500."""
    return [
        _context(study.provenance, codes.concept(study.texts.code)),
        image_library(study),
        content_items.container(codes.IMAGING_MEASUREMENTS, measurement_groups(study)),
    ]


def _fill(report: Dataset, content: Iterable[bytes]) -> None:
    """Set the root of the content tree (PS3.3 C.17.3) and its items."""
    root = Dataset()
    root.MappingResource, root.TemplateIdentifier = "DCMR", "1500"
    report.ValueType = "CONTAINER"
    report.ConceptNameCodeSequence = [CodedConcept.from_code(codes.IMAGING_MEASUREMENT_REPORT)]
    report.ContinuityOfContent = "CONTINUOUS"
    report.ContentTemplateSequence = [root]
    items = content_items.content_sequence(content)
    report[items.tag] = items
    # Makes pydicom write the items as they are.
    report.set_original_encoding(False, True, convert_encodings(report.SpecificCharacterSet))


@lru_cache(maxsize=8)
def _context(provenance: Provenance, language: Code) -> bytes:
    """Return the items for language, observer and procedure (TID 1204, 1001, 1500 row 4)."""
    procedure = CodeContentItem(
        name=codes.PROCEDURE_REPORTED,
        value=codes.PLAIN_XRAY_OF_CHEST,
        relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    spoken = LanguageOfContentItemAndDescendants(CodedConcept.from_code(language))
    observed = ObservationContext(observer_device_context=observer(provenance))
    return content_items.encoded([*spoken, *observed, procedure])
