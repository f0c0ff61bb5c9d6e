"""Content items of a report (PS3.3 C.17.3), each encoded as bytes in Explicit VR Little Endian.

A report has some 3000 elements in 900 nested data sets. Building them as objects and encoding those takes ten times as
long as encoding directly, and encoded items that are the same in many groups are made once and shared. The tests
compare these items with those that highdicom makes of the same values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_sequence_item
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from candor.dicom.shared import codes

Relationship = Literal["CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT", "HAS PROPERTIES", "SELECTED FROM"]
Template = Literal["1501", "1410"]

_ITEM: Final = b"\xfe\xff\x00\xe0"
_KEPT: Final = 1024
"""Entries of each cache; there are fewer different ones."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An object that an IMAGE item refers to (PS3.3 C.18.4, Image Reference Macro).

    Parameters
    ----------
    frame
        Number of one frame, from 1; None for the whole image.
    shown_by
        SOP Class and SOP Instance UID of the presentation state to show it with; None for none.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None = None
    shown_by: tuple[str, str] | None = None


def text(relationship: Relationship, name: Code, encoded: bytes) -> bytes:
    """Return a TEXT item.

    Parameters
    ----------
    relationship
        Relationship Type to the parent item.
    name
        The concept name.
    encoded
        The text in the report's Specific Character Set.
    """
    return _content_item(relationship, "TEXT", name, _element("TextValue", encoded))


def uid_reference(relationship: Relationship, name: Code, uid: str) -> bytes:
    """Return a UIDREF item.

    Parameters
    ----------
    relationship
        Relationship Type to the parent item.
    name
        The concept name.
    uid
        The UID.
    """
    return _content_item(relationship, "UIDREF", name, _element("UID", uid.encode()))


@lru_cache(_KEPT)
def code(relationship: Relationship, name: Code, value: Code) -> bytes:
    """Return a CODE item.

    Parameters
    ----------
    relationship
        Relationship Type to the parent item.
    name
        The concept name.
    value
        The code.
    """
    return _content_item(relationship, "CODE", name, _code_sequence("ConceptCodeSequence", value))


def number(
    name: Code, value: float, unit: Code, relationship: Relationship = "CONTAINS", properties: Iterable[bytes] = ()
) -> bytes:
    """Return a NUM item.

    Parameters
    ----------
    name
        The concept name.
    value
        The number, of at most 16 characters when written.
    unit
        The unit (UCUM).
    relationship
        Relationship Type to the parent item.
    properties
        The encoded items below it.
    """
    measured = _item(
        _code_sequence("MeasurementUnitsCodeSequence", unit),
        _element("FloatingPointValue", struct.pack("<d", value)),
        _element("NumericValue", str(value).encode()),
    )
    below = b"".join(properties)
    content = [_element("ContentSequence", below)] if below else []
    return _content_item(relationship, "NUM", name, _element("MeasuredValueSequence", measured), *content)


def image(relationship: Relationship, name: Code, reference: Reference) -> bytes:
    """Return an IMAGE item.

    Parameters
    ----------
    relationship
        Relationship Type to the parent item.
    name
        The concept name.
    reference
        The image, with the frame and the presentation state.
    """
    return _content_item(relationship, "IMAGE", name, before=_element("ReferencedSOPSequence", _referenced(reference)))


def polyline(name: Code, points: NDArray[np.float32], source: Reference) -> bytes:
    """Return a SCOORD item of a line on an image.

    Parameters
    ----------
    name
        The concept name.
    points
        ``(n, 2)`` of (column, row): the top left corner of the top left pixel is (0, 0) (PS3.3 C.18.6.1.2).
    source
        The image; the item is selected from it (PS3.16 TID 1410).
    """
    return _content_item(
        "CONTAINS",
        "SCOORD",
        name,
        _element("ContentSequence", image("SELECTED FROM", codes.SOURCE, source)),
        _element("GraphicData", points.astype("<f4").tobytes()),
        _element("GraphicType", b"POLYLINE"),
    )


def container(name: Code, children: Iterable[bytes], template: Template | None = None) -> bytes:
    """Return a CONTAINER item.

    Parameters
    ----------
    name
        The concept name.
    children
        The encoded items in it.
    template
        Number of the template (TID) that it follows; None for none.
    """
    named = [_template(template)] if template else []
    content = _element("ContentSequence", b"".join(children))
    return _content_item("CONTAINS", "CONTAINER", name, _element("ContinuityOfContent", b"CONTINUOUS"), *named, content)


def encoded(items: Iterable[Dataset]) -> bytes:
    """Return items that highdicom has made, all in ASCII, as bytes."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    for item in items:
        write_sequence_item(buffer, item, ["ascii"])
    return buffer.getvalue()


def content_sequence(items: Iterable[bytes]) -> RawDataElement:
    """Return a Content Sequence (0040,A730) of encoded items, which pydicom writes as it is and decodes on access."""
    value = b"".join(items)
    return RawDataElement(Tag("ContentSequence"), "SQ", len(value), value, 0, False, True)


def _content_item(relationship: Relationship, value_type: str, name: Code, *after: bytes, before: bytes = b"") -> bytes:
    """Return an item: the elements that all have, and those of one, in the order of their tags."""
    return _item(before, _beginning(relationship, value_type, name), *after)


@lru_cache(_KEPT)
def _beginning(relationship: Relationship, value_type: str, name: Code) -> bytes:
    return b"".join(
        (
            _element("RelationshipType", relationship.encode()),
            _element("ValueType", value_type.encode()),
            _code_sequence("ConceptNameCodeSequence", name),
        )
    )


@lru_cache(_KEPT)
def _code_sequence(keyword: str, concept: Code) -> bytes:
    """Return a sequence of one code (PS3.3 table 8.8-1a)."""
    item = _item(
        _element("CodeValue", concept.value.encode("ascii")),
        _element("CodingSchemeDesignator", concept.scheme_designator.encode("ascii")),
        _element("CodeMeaning", concept.meaning.encode("ascii")),
    )
    return _element(keyword, item)


@lru_cache(_KEPT)
def _template(template: Template) -> bytes:
    item = _item(_element("MappingResource", b"DCMR"), _element("TemplateIdentifier", template.encode()))
    return _element("ContentTemplateSequence", item)


def _referenced(reference: Reference) -> bytes:
    """Return the item of Referenced SOP Sequence (0008,1199)."""
    parts = [
        _element("ReferencedSOPClassUID", reference.sop_class_uid.encode()),
        _element("ReferencedSOPInstanceUID", reference.sop_instance_uid.encode()),
    ]
    if reference.frame is not None:
        parts.append(_element("ReferencedFrameNumber", str(reference.frame).encode()))
    if reference.shown_by is not None:
        parts.append(_element("ReferencedSOPSequence", _referenced(Reference(*reference.shown_by))))
    return _item(*parts)


def _item(*elements: bytes) -> bytes:
    """Return an item of a sequence, of explicit length (PS3.5 7.5)."""
    content = b"".join(elements)
    return _ITEM + struct.pack("<I", len(content)) + content


def _element(keyword: str, value: bytes) -> bytes:
    """Return an encoded element, with its value padded to an even length (PS3.5 6.2, 7.1.2)."""
    head, length, padding = _head(keyword)
    if len(value) % 2:
        value += padding
    return head + struct.pack(length, len(value)) + value


@lru_cache(_KEPT)
def _head(keyword: str) -> tuple[bytes, str, bytes]:
    """Return an element's tag and Value Representation, the format of its length, and its padding byte."""
    tag, vr = Tag(keyword), dictionary_VR(keyword)
    head = struct.pack("<HH", tag.group, tag.element) + vr.encode()
    return head, "<2xI" if vr in EXPLICIT_VR_LENGTH_32 else "<H", b"\0" if vr == "UI" else b" "
