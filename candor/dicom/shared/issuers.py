"""Copy the issuers of patient IDs and of accession numbers, completely or not at all.

References
----------
DICOM PS3.3 tables 10-17 (HL7v2 Hierarchic Designator Macro) and 10-18 (Issuer of Patient ID Macro).
"""

from __future__ import annotations

from typing import Final

from pydicom import Dataset

from candor.dicom.shared.attributes import items
from candor.dicom.shared.values import carry_where_valid, valid_text

_ENTITY_TYPES: Final = frozenset({"DNS", "EUI64", "ISO", "URI", "UUID", "X400", "X500"})


def carry_issuers(target: Dataset, source: Dataset) -> None:
    """Copy the issuers of Patient ID and Accession Number, and the patient's other IDs with their issuers.

    Parameters
    ----------
    target
        The result; changed in place.
    source
        The source's attributes.
    """
    _carry_patient_id_issuer(target, source)
    carry_designator(target, source, "IssuerOfAccessionNumberSequence")
    other_ids = [item for item in map(_other_patient_id, items(source, "OtherPatientIDsSequence")) if item]
    if other_ids:
        target.OtherPatientIDsSequence = other_ids


def _other_patient_id(source: Dataset) -> Dataset | None:
    """Return an item of Other Patient IDs Sequence, or None where it lacks a type 1 attribute (PS3.3 table C.7-1)."""
    item = Dataset()
    for keyword in ("PatientID", "TypeOfPatientID"):
        carry_where_valid(item, source, keyword)
    _carry_patient_id_issuer(item, source)
    return item if "PatientID" in item and "TypeOfPatientID" in item else None


def _carry_patient_id_issuer(target: Dataset, source: Dataset) -> None:
    carry_where_valid(target, source, "IssuerOfPatientID")
    qualifiers = Dataset()
    for item in items(source, "IssuerOfPatientIDQualifiersSequence")[:1]:
        _carry_universal_entity(qualifiers, item)
        carry_where_valid(qualifiers, item, "IdentifierTypeCode")
        carry_designator(qualifiers, item, "AssigningFacilitySequence")
    if qualifiers:
        target.IssuerOfPatientIDQualifiersSequence = [qualifiers]


def carry_designator(target: Dataset, source: Dataset, keyword: str) -> None:
    """Copy a sequence of the Hierarchic Designator Macro, where it has a valid name.

    Parameters
    ----------
    target
        The result; changed in place.
    source, keyword
        The source's attributes, and the keyword of the sequence.
    """
    designator = Dataset()
    for item in items(source, keyword)[:1]:
        carry_where_valid(designator, item, "LocalNamespaceEntityID")
        _carry_universal_entity(designator, item)
    if designator:
        setattr(target, keyword, [designator])


def _carry_universal_entity(target: Dataset, source: Dataset) -> None:
    """Copy Universal Entity ID together with its type; it has no meaning without."""
    if valid_text(source, "UniversalEntityID") and valid_text(source, "UniversalEntityIDType") in _ENTITY_TYPES:
        carry_where_valid(target, source, "UniversalEntityID")
        carry_where_valid(target, source, "UniversalEntityIDType")
