"""The codes of the report: those of DICOM and SNOMED CT where they exist, else Candor's own (99CANDOR).

Constants are pydicom's immutable ``Code``; highdicom makes a new code sequence item for each use.
"""

from __future__ import annotations

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.coding import Code

from candor import RESEARCH_USE
from candor.study.findings import PRIVATE_SCHEME, Coded
from candor.study.provenance import MANUFACTURER
from candor.study.reasons import Reason
from candor.study.result import AnyAbnormality, Decision, Disposition


def _dicom(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _snomed(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


def _private(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


PERCENT: Final = Code("%", "UCUM", "Percent")
RATIO: Final = Code("{ratio}", "UCUM", "ratio")
LOGIT: Final = Code("{logit}", "UCUM", "logit")

IMAGING_MEASUREMENT_REPORT: Final = _dicom("126000", "Imaging Measurement Report")
PROCEDURE_REPORTED: Final = _dicom("121058", "Procedure reported")
PLAIN_XRAY_OF_CHEST: Final = _snomed("399208008", "Plain X-ray of chest")
DEVICE: Final = _dicom("121007", "Device")
ARTIFICIAL_INTELLIGENCE: Final = _dicom("123110", "Artificial Intelligence")
PROCESSING_EQUIPMENT: Final = _dicom("109102", "Processing Equipment")
SOURCE_IMAGE: Final = _dicom("121322", "Source image for image processing operation")
FINDING: Final = _dicom("121071", "Finding")
GRAD_CAM: Final = _dicom("130403", "Gradient-weighted class activation")
BEST_ILLUSTRATION: Final = _dicom("121080", "Best illustration of finding")
SUMMARY: Final = _dicom("121111", "Summary")
MEASUREMENT_GROUP: Final = _dicom("125007", "Measurement Group")
IMAGING_MEASUREMENTS: Final = _dicom("126010", "Imaging Measurements")
TRACKING_IDENTIFIER: Final = _dicom("112039", "Tracking Identifier")
TRACKING_UID: Final = _dicom("112040", "Tracking Unique Identifier")
FINDING_SITE: Final = _snomed("363698007", "Finding Site")
IMAGE_REGION: Final = _dicom("111030", "Image Region")
SOURCE: Final = _snomed("260753009", "Source")
SOURCE_OF_MEASUREMENT: Final = _dicom("121112", "Source of Measurement")
COMMENT: Final = _dicom("121106", "Comment")

OF_INTEREST: Final = _dicom("113000", "Of Interest")
DOCUMENT_TITLE_MODIFIER: Final = _dicom("113011", "Document Title Modifier")
OTHER_FAILURE: Final = _dicom("111220", "Other failure")
REJECTED_FOR_PATIENT_SAFETY: Final = _dicom("113037", "Rejected for Patient Safety Reasons")
REJECTED_FOR_QUALITY: Final = _dicom("113001", "Rejected for Quality Reasons")
INCORRECT_WORKLIST_ENTRY: Final = _dicom("113038", "Incorrect Modality Worklist Entry")
RETENTION_EXPIRED: Final = _dicom("113039", "Data Retention Policy Expired")

CERTAINTY: Final = _dicom("111012", "Certainty of Finding")
UNCERTAINTY_ABOVE: Final = _snomed("371886008", "+, range of upper measurement uncertainty")
UNCERTAINTY_BELOW: Final = _snomed("371885007", "-, range of lower measurement uncertainty")
PRESENCE: Final = _snomed("705057003", "Presence")
_PRESENT: Final = _snomed("52101004", "Present")
_ABSENT: Final = _snomed("272519000", "Absent")
_UNDETERMINED: Final = _snomed("373068000", "Undetermined")

PRIORITY: Final = _snomed("260870009", "Priority")
ANY_ABNORMALITY: Final = _private("ANYABNORMALITY", "Any abnormality")
LOOK_FIRST: Final = _private("LOOKFIRST", "Look first")

DISPOSITION: Final = _private("DISPOSITION", "Disposition of the study")
DEFERRAL_REASON: Final = _private("DEFERREASON", "Reason for deferral to a radiologist")
REFUSAL_REASON: Final = _private("REFUSEREASON", "Reason for not assessing the image")
NOTICE: Final = _private("NOTICE", "Notice on the assessed image")
HOTTEST_REGION: Final = _private("HOTREGION", "Region of the strongest evidence")
OUTLINE: Final = _private("OUTLINE", "How the outlined region was drawn")
REFERENCE_VALUES: Final = _private("REFERENCE", "Reference values of the finding's numbers")
PREVALENCE: Final = _private("PREVALENCE", "Assumed prevalence of the finding")
PREVALENCE_RATIO: Final = _private("PREVALENCERATIO", "Certainty over assumed prevalence")
PERCENTILE: Final = _private("PERCENTILE", "Share of the model's test images that score lower")
WRONG: Final = _private("PWRONG", "Probability that the likelier answer is wrong")
PERMITTED_USE: Final = _private("USE", "Permitted use of the report")
RESEARCH: Final = _private("RESEARCH", RESEARCH_USE)

_DISPOSITIONS: Final = {
    Disposition.REPORTED: _private("REPORTED", "All findings answered"),
    Disposition.DEFERRED: _private("DEFERRED", "Findings deferred to a radiologist"),
    Disposition.NOT_ASSESSED: _private("NOTASSESSED", "Not assessed"),
}
_ANY_ABNORMALITY: Final = {
    AnyAbnormality.RULED_OUT: _private("RULEDOUT", "Unremarkable by rule-out, radiologist's reading needed"),
    AnyAbnormality.NOT_RULED_OUT: _private("NOTRULEDOUT", "Abnormality not ruled out"),
    AnyAbnormality.NOT_JUDGED: _private("NOTJUDGED", "Not judged, radiologist's reading needed"),
}
_PRESENCES: Final = {Decision.PRESENT: _PRESENT, Decision.ABSENT: _ABSENT}


def concept(coded: Coded) -> Code:
    """Return a coded concept in the type that highdicom takes."""
    return Code(coded.value, coded.scheme, coded.meaning)


def reason_code(reason: Reason) -> Code:
    """Return the reason's code in Candor's coding scheme."""
    return _private(reason.code, reason.meaning)


def disposition_code(disposition: Disposition) -> Code:
    """Return the code of the study's disposition in Candor's coding scheme."""
    return _DISPOSITIONS[disposition]


def any_abnormality_code(answer: AnyAbnormality) -> Code:
    """Return the code of the answer for the study in Candor's coding scheme: none of them means normal."""
    return _ANY_ABNORMALITY[answer]


def presence_code(decision: Decision) -> Code:
    """Return the code of Present or Absent for an answer, else that of Undetermined."""
    return _PRESENCES.get(decision, _UNDETERMINED)


def percent(probability: float) -> float:
    """Return a probability in %, as results show it: with one decimal, and with two below 1 % and above 99 %."""
    value = 100.0 * probability
    return round(value, 1 if 1.0 <= value <= 99.0 else 2)


def ratio(value: float) -> float:
    """Return a ratio as results show it: with two significant digits."""
    return float(f"{value:.2g}")


def private_scheme() -> CodingSchemeIdentificationItem:
    """Return the item of Coding Scheme Identification Sequence for Candor's codes (PS3.3 C.12.1.1.1)."""
    return CodingSchemeIdentificationItem(
        designator=PRIVATE_SCHEME,
        name="Candor: reasons, answers and findings without a public code",
        responsible_organization=MANUFACTURER,
    )
