"""Our own check that a report has the rows that its templates make mandatory.

The validators that exist let a report without "Procedure reported" pass. The rows stand here as a table: those that
PS3.16 makes mandatory, with their numbers, and those that IHE AIR and Candor's own promise add, without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.sr.coding import Code

from cxr.dicom import codes

_VALUE: Final = {
    "CODE": "ConceptCodeSequence",
    "CONTAINER": "ContentSequence",
    "IMAGE": "ReferencedSOPSequence",
    "NUM": "MeasuredValueSequence",
    "SCOORD": "GraphicData",
    "TEXT": "TextValue",
    "UIDREF": "UID",
}
"""Where a content item of each value type keeps its value (PS3.3 C.17.3)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a template.

    Parameters
    ----------
    reference
        Where PS3.16 has it.
    relationship, value_type
        Relationship Type (0040,A010) and Value Type (0040,A040).
    name
        Concept name of the content item.
    """

    reference: str
    relationship: str
    value_type: str
    name: Code

    def __str__(self) -> str:
        name = f'({self.name.value}, {self.name.scheme_designator}, "{self.name.meaning}")'
        return f"{self.reference}: {self.relationship} {self.value_type} {name}"

    def is_met_by(self, item: Dataset) -> bool:
        """Whether the content item is this row's, and has a value."""
        return (
            item.get("RelationshipType") == self.relationship
            and item.get("ValueType") == self.value_type
            and _name(item) == (self.name.value, self.name.scheme_designator)
            and bool(item.get(_VALUE[self.value_type]))
        )


def _dicom(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


_MODIFIER, _CONTEXT, _CONTAINS = "HAS CONCEPT MOD", "HAS OBS CONTEXT", "CONTAINS"

_IMAGING_MEASUREMENTS: Final = Row("TID 1500 row 6", _CONTAINS, "CONTAINER", _dicom("126010", "Imaging Measurements"))
_REPORT: Final = (
    Row("TID 1204 row 1", _MODIFIER, "CODE", _dicom("121049", "Language of Content Item and Descendants")),
    Row("TID 1002 row 1", _CONTEXT, "CODE", _dicom("121005", "Observer Type")),
    Row("TID 1004 row 1", _CONTEXT, "UIDREF", _dicom("121012", "Device Observer UID")),
    Row("TID 1500 row 4", _MODIFIER, "CODE", _dicom("121058", "Procedure reported")),
    _IMAGING_MEASUREMENTS,
)
"""Below the root: TID 1500 with TID 1204, and TID 1001 with 1002 and 1004 for a device."""

_MEASUREMENT_GROUP: Final = Row("TID 1500 row 9", _CONTAINS, "CONTAINER", _dicom("125007", "Measurement Group"))
_TRACKING_IDENTIFIER: Final = _dicom("112039", "Tracking Identifier")
_TRACKING_UID: Final = _dicom("112040", "Tracking Unique Identifier")
_ALGORITHM: Final = (
    Row("TID 4019 row 1", _MODIFIER, "TEXT", _dicom("111001", "Algorithm Name")),
    Row("TID 4019 row 2", _MODIFIER, "TEXT", _dicom("111003", "Algorithm Version")),
)
_GROUPS: Final = {
    "1501": (
        Row("TID 1501 row 2", _CONTEXT, "TEXT", _TRACKING_IDENTIFIER),
        Row("TID 1501 row 3", _CONTEXT, "UIDREF", _TRACKING_UID),
        *_ALGORITHM,
    ),
    "1410": (
        Row("TID 1410 row 2", _CONTEXT, "TEXT", _TRACKING_IDENTIFIER),
        Row("TID 1410 row 3", _CONTEXT, "UIDREF", _TRACKING_UID),
        *_ALGORITHM,
        Row("TID 1410", _CONTAINS, "SCOORD", _dicom("111030", "Image Region")),
    ),
}
"""Below each Measurement Group, by its Template Identifier (0040,DB00); groups without an algorithm are not ours."""

_FINDING_GROUP: Final = (
    Row("TID 1501 row 3b", _CONTAINS, "CODE", _dicom("121071", "Finding")),
    Row("TID 1501 row 6", _MODIFIER, "CODE", Code("363698007", "SCT", "Finding Site")),
    Row("TID 1501 row 10", _CONTAINS, "NUM", codes.CERTAINTY),
    Row("TID 1501", _CONTAINS, "CODE", codes.PRESENCE),
)
"""Below each group that is about a finding: what IHE AIR asks of a qualitative finding, and its certainty."""

_SOURCE: Final = Row("TID 1501", _CONTAINS, "IMAGE", _dicom("121112", "Source of Measurement"))
"""Below each group that is about a finding without a region; a region names its image itself (TID 1410)."""


def missing_rows(dataset: Dataset) -> list[str]:
    """List the mandatory rows of TID 1500, 1501, 1410 and 4019 that a report lacks.

    A row counts as missing where its content item is not there, has another relationship, value type or concept
    name, or has no value.

    Returns
    -------
    One line for each, in the order of the tree; none for a complete report.

    References
    ----------
    DICOM PS3.16 TID 1500, 1501, 1410, 4019, 1204, 1001, 1002, 1004; IHE AIR 6.5.3.
    """
    return list(_missing(dataset))


def _missing(dataset: Dataset) -> Iterator[str]:
    if _template(dataset) != "1500" or dataset.get("ValueType") != "CONTAINER" or not _name(dataset):
        yield 'TID 1500 row 1: CONTAINER with a concept name from CID 7021 and Template Identifier "1500"'
    content = _children(dataset)
    yield from map(str, _unmet(_REPORT, content))
    for container in filter(_IMAGING_MEASUREMENTS.is_met_by, content):
        for number, group in enumerate(_children(container), 1):
            for line in _missing_of_group(group):
                yield f"group {number}, {line}"


def _missing_of_group(group: Dataset) -> Iterator[str]:
    template = _template(group)
    if template not in _GROUPS or not _MEASUREMENT_GROUP.is_met_by(group):
        yield f'{_MEASUREMENT_GROUP}, Template Identifier "1501" or "1410"'
        return
    rows, content = _GROUPS[template], _children(group)
    is_about_a_finding = len(list(_unmet(_FINDING_GROUP, content))) < len(_FINDING_GROUP)
    if is_about_a_finding:
        rows = (*rows, *_FINDING_GROUP, *((_SOURCE,) if template == "1501" else ()))
    yield from map(str, _unmet(rows, content))


def _unmet(rows: Sequence[Row], content: Sequence[Dataset]) -> Iterator[Row]:
    return (row for row in rows if not any(map(row.is_met_by, content)))


def _children(item: Dataset) -> Sequence[Dataset]:
    return item.get("ContentSequence") or ()


def _template(item: Dataset) -> str:
    """Read the item's Template Identifier; "" where it names none."""
    sequence = item.get("ContentTemplateSequence") or [Dataset()]
    return str(sequence[0].get("TemplateIdentifier", ""))


def _name(item: Dataset) -> tuple[str, str] | None:
    """Read the code value and scheme of the item's concept name."""
    sequence = item.get("ConceptNameCodeSequence")
    return (sequence[0].CodeValue, sequence[0].CodingSchemeDesignator) if sequence else None
