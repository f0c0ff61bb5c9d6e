"""Build a Key Object Selection document: a title, references to instances, and the observer (TID 2010)."""

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
"""Kinds (:data:`candor.study.result_object.Kind`) that get an IMAGE item; all others get a COMPOSITE item."""


@dataclass(frozen=True, slots=True)
class Named:
    """An instance that a document refers to."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    is_image: bool

    @classmethod
    def of(cls, result: ResultObject) -> Self:
        """Return the reference to a result object."""
        is_image = result.kind in _KINDS_OF_IMAGE
        return cls(result.sop_instance_uid, result.sop_class_uid, result.series_instance_uid, is_image)


@dataclass(frozen=True, slots=True)
class Statement:
    """The title and the description of a document.

    Parameters
    ----------
    title
        The document's title (CID 7010).
    description
        A text for people; it holds no patient's data.
    language
        The language of the description (CID 5000).
    modifier
        The modifier of the title, where the title needs one (TID 2010 rows 2 and 3).
    """

    title: Code
    description: str
    language: Code
    modifier: Code | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """The UID of a document, its Instance Number (0020,0013), and its series."""

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
    """Return a document that refers to instances of one study.

    Parameters
    ----------
    source
        The attributes of an instance of the study, from which patient, study and order are copied.
    named
        The instances, at least one, in the order of the content items.
    statement
        The title and the description.
    identity
        The UID, the number and the series.
    provenance
        What makes the document.
    time
        The time of the document, with a time zone.

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
    # highdicom copies and searches the content that it gets, which takes as long as the rest, so it gets none.
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
            del item.ConceptNameCodeSequence  # TID 2010 has none, but highdicom needs it above
    _finish(document, source, provenance, time)
    return document


def _modifiers(statement: Statement) -> Iterator[ContentItem]:
    """Yield the items of the language (TID 1204) and of the title's modifier."""
    yield from LanguageOfContentItemAndDescendants(CodedConcept.from_code(statement.language))
    if statement.modifier:
        yield CodeContentItem(codes.DOCUMENT_TITLE_MODIFIER, statement.modifier, RelationshipTypeValues.HAS_CONCEPT_MOD)


def _finish(document: KeyObjectSelectionDocument, source: Dataset, provenance: Provenance, time: datetime) -> None:
    """Set patient, order, equipment and times, which highdicom takes from the evidence or from the clock."""
    carry_over(document, source, image=False)
    request = referenced_request(source)
    if request is not None:
        document.ReferencedRequestSequence = [request]
    sign(document, provenance, time)
    stamp(document, time)


def _readable(description: str, source: Dataset) -> str:
    """Return the description with only letters of the source's character set, which the document will have."""
    words = Dataset()
    carry_character_set(words, source)
    return readable(description, words)


def _evidence(named: Sequence[Named], source: Dataset) -> list[Dataset]:
    """Return the instances without the patient's identity, which highdicom would write into logs and warnings."""
    evidence = []
    for item in named:
        instance = Dataset()
        instance.SOPClassUID, instance.SOPInstanceUID = item.sop_class_uid, item.sop_instance_uid
        instance.StudyInstanceUID, instance.SeriesInstanceUID = source.StudyInstanceUID, item.series_instance_uid
        if item.is_image:
            instance.Rows = instance.Columns = 1  # so that highdicom makes an IMAGE item
        evidence.append(instance)
    first = evidence[0]  # highdicom takes patient and study from it
    first.PatientID = first.PatientName = first.PatientBirthDate = first.PatientSex = None
    first.AccessionNumber = first.StudyID = first.StudyDate = first.StudyTime = None
    return evidence
