"""The rows of PS3.16 that reports, key object documents and rejection notes must have: tables, by where they stand.

``M`` and ``MC`` are PS3.16's requirement types; ``U`` is optional there, and asked by IHE AIR 6.5.3 or by Candor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pydicom.sr.coding import Code

from candor.dicom.check.requirements import (
    Attribute,
    Attributes,
    Filled,
    Heading,
    Need,
    Requirement,
    Row,
    Unnamed,
    children,
)
from candor.dicom.shared import codes

_REJECTED: Final = (
    codes.REJECTED_FOR_PATIENT_SAFETY.value,
    codes.REJECTED_FOR_QUALITY.value,
    codes.INCORRECT_WORKLIST_ENTRY.value,
    codes.RETENTION_EXPIRED.value,
)
_MODIFIER, _CONTEXT, _CONTAINS = "HAS CONCEPT MOD", "HAS OBS CONTEXT", "CONTAINS"
_ACQUISITION, _SELECTED = "HAS ACQ CONTEXT", "SELECTED FROM"


def _row(
    reference: str, need: str, relationship: str, value_types: str, name: tuple[str, str] | Code | None = None
) -> Row:
    """Return a row; a name without a scheme is a value and a meaning of DICOM's own scheme."""
    code = Code(name[0], "DCM", name[1]) if isinstance(name, tuple) and not isinstance(name, Code) else name
    return Row(reference, Need(need), relationship, tuple(value_types.split("|")), code)


def _is_evidence(evidence: Sequence[Attributes], document: Attributes) -> bool:
    """Return whether the evidence names each instance that the content tree refers to, with its SOP class."""
    series = (series for study in evidence for series in study.get("ReferencedSeriesSequence") or ())
    named = {_instance(item) for entry in series for item in entry.get("ReferencedSOPSequence") or ()}
    return named >= set(_referenced(document))


def _referenced(item: Attributes) -> Iterator[tuple[str, str]]:
    for child in children(item):
        yield from map(_instance, child.get("ReferencedSOPSequence") or ())
        yield from _referenced(child)


def _instance(item: Attributes) -> tuple[str, str]:
    return item.get("ReferencedSOPClassUID", ""), item.get("ReferencedSOPInstanceUID", "")


EVIDENCE: Final = Attribute(
    "PS3.3 C.17.2",
    Need.CONDITIONAL,
    "CurrentRequestedProcedureEvidenceSequence",
    "names each instance that the content refers to",
    _is_evidence,
)
"""Type 1C; the condition: the content refers to instances, as Candor's always does, and all of them of one study."""

LANGUAGE: Final = ("121049", "Language of Content Item and Descendants")
_TRACKING_IDENTIFIER: Final = ("112039", "Tracking Identifier")
_TRACKING_UID: Final = ("112040", "Tracking Unique Identifier")
_FINDING: Final = ("121071", "Finding")
_FINDING_SITE: Final = Code("363698007", "SCT", "Finding Site")

_OBSERVER: Final = (
    _row("TID 1002 row 1", "MC", _CONTEXT, "CODE", ("121005", "Observer Type")),
    _row("TID 1004 row 1", "M", _CONTEXT, "UIDREF", ("121012", "Device Observer UID")),
)
"""The condition of TID 1002 row 1: the observer is no person. Candor's is always a device (row 3, hence TID 1004)."""

IMAGING_MEASUREMENTS: Final = _row("TID 1500 row 6", "MC", _CONTAINS, "CONTAINER", ("126010", "Imaging Measurements"))
"""Its condition, one of rows 6, 10 and 12: Candor's reports use row 6."""

MEASUREMENTS: Final[tuple[Requirement, ...]] = (
    Filled("TID 1500 rows 7 and 9", Need.OURS, "at least one Measurement Group below Imaging Measurements"),
)
"""Of Imaging Measurements itself; what each group must have stands below."""

IMAGE_LIBRARY: Final = _row("TID 1600 row 1", "MC", _CONTAINS, "CONTAINER", ("111028", "Image Library"))
LIBRARY_GROUP: Final = _row("TID 1600 row 2", "MC", _CONTAINS, "CONTAINER", ("126200", "Image Library Group"))

REPORT: Final[tuple[Requirement, ...]] = (
    Heading(
        "TID 1500 row 1",
        Need.MANDATORY,
        'CONTAINER with a title of CID 7021 and Template Identifier "1500"',
        frozenset({"1500"}),
        frozenset({"126000", "126001", "126002", "126003"}),
    ),
    _row("TID 1204 row 1", "M", _MODIFIER, "CODE", LANGUAGE),
    *_OBSERVER,
    _row("TID 1500 row 4", "M", _MODIFIER, "CODE", ("121058", "Procedure reported")),
    IMAGING_MEASUREMENTS,
    EVIDENCE,
)
"""The root of a report: TID 1500 with TID 1204, and TID 1001 with 1002 and 1004 for a device."""

LIBRARY: Final[tuple[Requirement, ...]] = (LIBRARY_GROUP,)
"""Below Image Library (TID 1600, where there is one): images stand in groups."""

LIBRARY_IMAGES: Final[tuple[Requirement, ...]] = (
    _row("TID 1601 row 1", "M", _CONTAINS, "IMAGE", Code("260753009", "SCT", "Source")),
)
"""Below Image Library Group."""

LIBRARY_IMAGE: Final[tuple[Requirement, ...]] = (
    _row("TID 1602 row 1", "M", _ACQUISITION, "CODE", ("121139", "Modality")),
)
"""Below each image of the library; highdicom describes each with TID 1602."""

GROUP: Final = Heading(
    "TID 1500 rows 7 and 9",
    Need.MANDATORY,
    'CONTAINER (125007, DCM, "Measurement Group") with Template Identifier "1501" or "1410"',
    frozenset({"1501", "1410"}),
    frozenset({"125007"}),
)
"""Each content item below Imaging Measurements; other groups are not ours."""

_ALGORITHM: Final = (
    _row("TID 4019 row 1", "M", _MODIFIER, "TEXT", ("111001", "Algorithm Name")),
    _row("TID 4019 row 2", "M", _MODIFIER, "TEXT", ("111003", "Algorithm Version")),
)

MEASUREMENT_GROUP: Final[tuple[Requirement, ...]] = (
    _row("TID 1501 row 2", "U", _CONTEXT, "TEXT", _TRACKING_IDENTIFIER),
    _row("TID 1501 row 3", "U", _CONTEXT, "UIDREF", _TRACKING_UID),
    *_ALGORITHM,
)
"""Below each group of TID 1501."""

PLANAR_GROUP: Final[tuple[Requirement, ...]] = (
    _row("TID 1410 row 2", "U", _CONTEXT, "TEXT", _TRACKING_IDENTIFIER),
    _row("TID 1410 row 3", "U", _CONTEXT, "UIDREF", _TRACKING_UID),
    _row("TID 1410 row 5", "MC", _CONTAINS, "SCOORD", ("111030", "Image Region")),
    *_ALGORITHM,
)
"""Below each group of TID 1410; the condition of row 5: no segmentation (row 7), which Candor never makes."""

STUDY: Final[tuple[Requirement, ...]] = (
    _row("Candor", "U", _CONTAINS, "TEXT", codes.SUMMARY),
    _row("Candor", "U", _CONTAINS, "CODE", codes.PERMITTED_USE),
    _row("Candor", "U", _CONTAINS, "CODE", codes.DISPOSITION),
)
"""Below the group that is about the study."""

_REFERENCE_VALUES: Final = _row("Candor", "U", _CONTAINS, "TEXT", codes.REFERENCE_VALUES)

FINDING: Final[tuple[Requirement, ...]] = (
    _row("TID 1501 row 3b", "U", _CONTAINS, "CODE", _FINDING),
    _row("TID 1501 row 6", "U", _MODIFIER, "CODE", _FINDING_SITE),
    _row("TID 1501 row 10", "U", _CONTAINS, "NUM", codes.CERTAINTY),
    _row("IHE AIR 6.5.3", "U", _CONTAINS, "CODE", codes.PRESENCE),
    _REFERENCE_VALUES,
)
"""Below each group of TID 1501 that is about a finding."""

FINDING_SOURCE: Final[tuple[Requirement, ...]] = (
    _row("TID 1501 row 10b", "U", _CONTAINS, "IMAGE", ("121112", "Source of Measurement")),
)
"""Below each group of TID 1501 that is about a finding; a region names its image itself."""

PLANAR_FINDING: Final[tuple[Requirement, ...]] = (
    _row("TID 1410 row 3b", "U", _CONTAINS, "CODE", _FINDING),
    _row("TID 1419 row 2", "U", _MODIFIER, "CODE", _FINDING_SITE),
    _row("TID 1419 row 5", "M", _CONTAINS, "NUM", codes.CERTAINTY),
    _row("IHE AIR 6.5.3", "U", _CONTAINS, "CODE", codes.PRESENCE),
    _REFERENCE_VALUES,
    _row("Candor", "U", _CONTAINS, "TEXT", codes.OUTLINE),
)
"""Below each group of TID 1410: each is about a finding."""

REGION: Final[tuple[Requirement, ...]] = (_row("TID 1410 row 6", "M", _SELECTED, "IMAGE"),)
"""Below each Image Region."""

KEY_OBJECTS: Final[tuple[Requirement, ...]] = (
    Heading(
        "TID 2010 row 1",
        Need.MANDATORY,
        'CONTAINER with a title of CID 7010 that Candor uses and Template Identifier "2010"',
        frozenset({"2010"}),
        frozenset({"113000", *_REJECTED}),
    ),
    _row("TID 1204 row 1", "U", _MODIFIER, "CODE", LANGUAGE),
    *_OBSERVER,
    _row("TID 2010 row 7", "U", _CONTAINS, "TEXT", ("113012", "Key Object Description")),
    _row("TID 2010 rows 8 and 10", "MC", _CONTAINS, "IMAGE|COMPOSITE"),
    EVIDENCE,
)
"""The root of a key object document or a rejection note; the condition of rows 8 and 10: one of the two (no row 9)."""

REJECTED_FOR_QUALITY: Final[tuple[Requirement, ...]] = (
    _row("TID 2010 row 3", "MC", _MODIFIER, "CODE", ("113011", "Document Title Modifier")),
)
"""Its condition: the title is "Rejected for Quality Reasons" (CID 7011 has the reasons)."""

KEY_OBJECT: Final[tuple[Requirement, ...]] = (
    Unnamed("TID 2010 rows 8 and 10", Need.MANDATORY, "a key object has no concept name"),
)
"""Each IMAGE and COMPOSITE of a key object document."""
