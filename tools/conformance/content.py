"""The content trees of reports and key object documents, taken from example documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydicom import Dataset
from pydicom.sr.coding import Code

from candor.dicom.check.requirements import Row, children, concept_name, template
from candor.dicom.check.templates import places
from candor.dicom.shared import codes
from candor.study.findings import Finding
from candor.study.reasons import Reason
from tools.conformance.attributes import code_of
from tools.conformance.markdown import coded, table, uid_name

HEADER: Final = ("content item", "relationship", "value type", "how many", "value", "row")
_SHOWN: Final = 3

_FINDINGS: Final = frozenset(finding.code.value for finding in Finding)
_SITES: Final = frozenset(finding.site.value for finding in Finding)
_REASONS: Final = frozenset(reason.code for reason in Reason)

_ABOUT: Final = (
    (codes.FINDING, "a finding on an image"),
    (codes.SUMMARY, "the study"),
    (codes.REFUSAL_REASON, "images that were not assessed"),
    (codes.DEFERRAL_REASON, "an image of which every finding is deferred"),
    (codes.NOTICE, "what was noticed about an image"),
)
"""The subject of a Measurement Group, by a content item that only such a group has."""

Key = tuple[str, str, str]
"""Relationship, value type and name."""


@dataclass
class Node:
    """The content items of one name in one place, over all documents."""

    key: Key
    rows: set[str] = field(default_factory=set)
    counts: list[int] = field(default_factory=list)
    values: set[str] = field(default_factory=set)
    below: dict[Key, Node] = field(default_factory=dict)
    parents: int = 0

    def how_many_below(self, parents: int) -> str:
        """Return how often it occurs below one of its parents: 1, 0-1, 1-n, 0-n."""
        least = "0" if len(self.counts) < parents else "1"
        most = "n" if max(self.counts) > 1 else "1"
        return most if least == most else f"{least}-{most}"


def content_table(documents: Iterable[Dataset]) -> str:
    """Return one table of the content trees of documents of one kind."""
    root = Node(("", "CONTAINER", ""))
    for document in documents:
        root.values.add(f"{coded(code_of(document.ConceptNameCodeSequence[0]))}, TID {template(document)}")
        _gather(root, document, _references(document))
    title = (" or ".join(sorted(root.values)), "", "CONTAINER", "1", "", "")
    return table(HEADER, [title, *_lines(root, 1)])


def _references(document: Dataset) -> dict[int, str]:
    """Return the rows of the templates for the content items of a document, by the items' identity."""
    found: dict[int, str] = {}
    for place in places(document):
        for row in place.requirements:
            if isinstance(row, Row):
                found |= {id(item): row.reference for item in children(place.item) if row.matches(item)}
    return found


def _gather(node: Node, item: Dataset, references: dict[int, str]) -> None:
    counts: dict[Key, int] = {}
    node.parents += 1
    for child in children(item):
        key = (child.get("RelationshipType", ""), child.ValueType, _name(child))
        counts[key] = counts.get(key, 0) + 1
        below = node.below.setdefault(key, Node(key))
        below.values.update(_values(child))
        below.rows.update(filter(None, (references.get(id(child)),)))
        _gather(below, child, references)
    for key, count in counts.items():
        node.below[key].counts.append(count)


def _name(item: Dataset) -> str:
    name = concept_name(item)
    if name is None:
        return "(no concept name)"
    if name[0] in _FINDINGS:
        return "(a finding, see 8.3)"
    about = f", about {_about(item)}" if name[0] == codes.MEASUREMENT_GROUP.value else ""
    named = f", TID {template(item)}" if template(item) else ""
    return coded(code_of(item.ConceptNameCodeSequence[0])) + named + about


def _about(group: Dataset) -> str:
    names = {concept_name(child) for child in children(group)}
    return next(about for name, about in _ABOUT if (name.value, name.scheme_designator) in names)


def _values(item: Dataset) -> Iterator[str]:
    match item.ValueType:
        case "CODE":
            yield _coded_value(code_of(item.ConceptCodeSequence[0]))
        case "NUM":
            yield f"a number in {coded(code_of(item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]))}"
        case "TEXT":
            yield "a text"
        case "UIDREF":
            yield "a UID"
        case "SCOORD":
            yield f"{item.GraphicType}, closed"
        case "IMAGE" | "COMPOSITE":
            yield _referenced(item.ReferencedSOPSequence[0])


def _coded_value(value: Code) -> str:
    for those, words in ((_FINDINGS, "a finding"), (_SITES, "a finding's site"), (_REASONS, "a reason")):
        if value.value in those:
            return f"{words}, see 8.3"
    return coded(value)


def _referenced(reference: Dataset) -> str:
    name = uid_name(reference.ReferencedSOPClassUID).removesuffix(" Storage")
    frame = ", with its frame" if "ReferencedFrameNumber" in reference else ""
    shown = ", with its presentation state" if "ReferencedSOPSequence" in reference else ""
    return name + frame + shown


def _lines(node: Node, level: int) -> Iterator[Sequence[str]]:
    for below in node.below.values():
        relationship, value_type, name = below.key
        values = "; ".join(sorted(below.values)) if len(below.values) <= 2 * _SHOWN else "one of several"
        rows = ", ".join(sorted(below.rows))
        yield f"{'> ' * level}{name}", relationship, value_type, below.how_many_below(node.parents), values, rows
        yield from _lines(below, level + 1)
