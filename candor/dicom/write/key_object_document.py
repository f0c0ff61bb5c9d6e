"""What all Key Object Selection documents have in common: a title, what is named, and who names it (TID 2010)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import CodeContentItem, ContentItem, LanguageOfContentItemAndDescendants, RelationshipTypeValues
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from candor.dicom.report.document import observer
from candor.dicom.shared import codes
from candor.dicom.shared.file import general_equipment, sign
from candor.dicom.shared.identity import carry_character_set, carry_over, referenced_request, stamp
from candor.dicom.shared.values import readable
from candor.study.provenance import Provenance
from candor.study.result_object import ResultObject

_KINDS_OF_IMAGE: Final = frozenset({"sc", "pm"})
"""Kinds (:data:`candor.study.result_object.Kind`) that an IMAGE item names; all others take a COMPOSITE item."""


@dataclass(frozen=True, slots=True)
class Named:
    """An instance that a document names."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    is_image: bool

    @classmethod
    def of(cls, result: ResultObject) -> Self:
        """Name a result object."""
        is_image = result.kind in _KINDS_OF_IMAGE
        return cls(result.sop_instance_uid, result.sop_class_uid, result.series_instance_uid, is_image)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a document says of the instances that it names.

    Parameters
    ----------
    title
        Of CID 7010.
    description
        For a person who finds the document; no patient's data.
    language
        Of the description (CID 5000).
    modifier
        What tells more of the title, where it asks for that (TID 2010 rows 2 and 3).
    """

    title: Code
    description: str
    language: Code
    modifier: Code | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a document from others: its UID, its number (0020,0013), and the series that it is in."""

    sop_instance_uid: str
    instance_number: int
    series_instance_uid: str
    series_number: int
    series_description: str


def build_document(
    source: Dataset,
    named: Sequence[Named],
    statement: Statement,
    identity: Identity,
    provenance: Provenance,
    time: datetime,
) -> KeyObjectSelectionDocument:
    """Name instances of one study.

    Parameters
    ----------
    source
        An instance of the study: the document carries its patient, study and order.
    named
        At least one, in the order of the content items.
    provenance
        What makes the document.
    time
        When, with a time zone.

    References
    ----------
    DICOM PS3.3 A.35.4, PS3.16 TID 2010.
    """
    evidence = _evidence(named, source)
    content = KeyObjectSelection(
        document_title=statement.title,
        referenced_objects=evidence,
        observer_device_context=observer(provenance),
        description=_readable(statement.description, source),
    )
    # highdicom copies and searches the tree that it is given, which takes as long as all the rest.
    items = [*_modifiers(statement), *content[0].ContentSequence]
    content[0].ContentSequence = []
    document = KeyObjectSelectionDocument(
        evidence=evidence,
        content=content,
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        series_description=identity.series_description,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set=None,
        **general_equipment(provenance),
    )
    document.ContentSequence = document.content[0].ContentSequence = items
    for item in items:
        if item.ValueType in ("IMAGE", "COMPOSITE"):
            del item.ConceptNameCodeSequence  # TID 2010 has none; highdicom cannot do without before
    _finish(document, source, provenance, time)
    return document


def _modifiers(statement: Statement) -> Iterator[ContentItem]:
    """Say in which language the document is (TID 1204), and what modifies its title."""
    yield from LanguageOfContentItemAndDescendants(CodedConcept.from_code(statement.language))
    if statement.modifier:
        yield CodeContentItem(codes.DOCUMENT_TITLE_MODIFIER, statement.modifier, RelationshipTypeValues.HAS_CONCEPT_MOD)


def _finish(document: KeyObjectSelectionDocument, source: Dataset, provenance: Provenance, time: datetime) -> None:
    """Add what highdicom takes from its evidence, or from the clock: patient, order, equipment, times."""
    carry_over(document, source, image=False)
    request = referenced_request(source)
    if request is not None:
        document.ReferencedRequestSequence = [request]
    sign(document, provenance, time)
    stamp(document, time)


def _readable(description: str, source: Dataset) -> str:
    """Put the description into the source's character set, which the document is going to carry."""
    words = Dataset()
    carry_character_set(words, source)
    return readable(description, words)


def _evidence(named: Sequence[Named], source: Dataset) -> list[Dataset]:
    """Name the instances, without anybody's identity: highdicom logs and warns with the names that it is given."""
    evidence = []
    for item in named:
        instance = Dataset()
        instance.SOPClassUID, instance.SOPInstanceUID = item.sop_class_uid, item.sop_instance_uid
        instance.StudyInstanceUID, instance.SeriesInstanceUID = source.StudyInstanceUID, item.series_instance_uid
        if item.is_image:
            instance.Rows = instance.Columns = 1  # how highdicom tells an IMAGE item from a COMPOSITE one
        evidence.append(instance)
    first = evidence[0]  # whose patient and study highdicom takes
    first.PatientID = first.PatientName = first.PatientBirthDate = first.PatientSex = None
    first.AccessionNumber = first.StudyID = first.StudyDate = first.StudyTime = None
    return evidence
