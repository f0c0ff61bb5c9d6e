"""What a result object must have, one requirement at a time: a content item, the heading of a container, an attribute.

Each requirement says where it stands, so that what it finds can be looked up, and can be asked of any data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any, Final, Protocol

from pydicom.sr.coding import Code

_VALUE: Final = {
    "CODE": "ConceptCodeSequence",
    "COMPOSITE": "ReferencedSOPSequence",
    "IMAGE": "ReferencedSOPSequence",
    "NUM": "MeasuredValueSequence",
    "SCOORD": "GraphicData",
    "TEXT": "TextValue",
    "UIDREF": "UID",
}
"""Where a content item of each value type keeps its value (PS3.3 C.17.3); a CONTAINER has none."""


@unique
class Need(Enum):
    """Requirement Type of a template's row or an attribute, as PS3.16 6.1.7 and PS3.5 7.4 have it."""

    MANDATORY = "M"
    CONDITIONAL = "MC"
    """Mandatory where its condition holds; the text of the requirement names the condition, where it is asked."""
    OURS = "U"
    """Optional in DICOM; IHE AIR 6.5.3 or Candor's own promise asks it of every result."""


class Attributes(Protocol):
    """A data set or an item of a sequence: pydicom's, or one of :mod:`candor.dicom.check.parsed_file`."""

    def get(self, keyword: str, default: Any = None, /) -> Any:
        """Return the value of an attribute.

        Parameters
        ----------
        keyword
            DICOM's keyword of the attribute.
        default
            What is returned where the attribute is not there.
        """


class Requirement(Protocol):
    """Something that a data set must have."""

    @property
    def need(self) -> Need:
        """Its requirement type."""

    def is_met_by(self, dataset: Attributes) -> bool:
        """Return whether the data set has it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a template: a content item right below the data set.

    Parameters
    ----------
    reference
        Where PS3.16 has it.
    relationship, value_types
        Relationship Type (0040,A010), and the Value Types (0040,A040) of which it is one.
    name
        Concept name of the content item; None where any will do, or none.
    """

    reference: str
    need: Need
    relationship: str
    value_types: tuple[str, ...]
    name: Code | None

    def __str__(self) -> str:
        name = f' ({self.name.value}, {self.name.scheme_designator}, "{self.name.meaning}")' if self.name else ""
        return f"{self.reference}: {self.relationship} {' or '.join(self.value_types)}{name}"

    def is_met_by(self, dataset: Attributes) -> bool:
        """Return whether a content item right below the data set is this row's and has a value."""
        return any(map(self.matches, children(dataset)))

    def matches(self, item: Attributes) -> bool:
        """Return whether the content item is this row's and has a value."""
        return (
            item.get("RelationshipType") == self.relationship
            and item.get("ValueType") in self.value_types
            and (self.name is None or concept_name(item) == (self.name.value, self.name.scheme_designator))
            and _has_value(item)
        )


@dataclass(frozen=True, slots=True)
class _Stated:
    """Base of the requirements that are written in words."""

    reference: str
    need: Need
    says: str

    def __str__(self) -> str:
        return f"{self.reference}: {self.says}"


@dataclass(frozen=True, slots=True)
class Heading(_Stated):
    """What a container says of itself: its Value Type, its title, and its template.

    Parameters
    ----------
    says
        The requirement in words.
    templates
        Template Identifiers (0040,DB00) of which it has one.
    titles
        Code Values, all of the scheme DCM, of which its concept name is one.
    """

    templates: frozenset[str]
    titles: frozenset[str]

    def is_met_by(self, dataset: Attributes) -> bool:
        """Return whether the data set is a container with such a heading."""
        value, scheme = concept_name(dataset) or ("", "")
        return (
            dataset.get("ValueType") == "CONTAINER"
            and (value in self.titles and scheme == "DCM")
            and template(dataset) in self.templates
        )


@dataclass(frozen=True, slots=True)
class Filled(_Stated):
    """A container with content items."""

    def is_met_by(self, dataset: Attributes) -> bool:
        """Return whether there is at least one content item right below the data set."""
        return bool(children(dataset))


@dataclass(frozen=True, slots=True)
class Unnamed(_Stated):
    """A content item without a concept name."""

    def is_met_by(self, dataset: Attributes) -> bool:
        """Return whether the content item has no concept name."""
        return concept_name(dataset) is None


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute with a value, of the data set or of every item of its sequences.

    Parameters
    ----------
    path
        Keywords from the data set to the attribute, with dots: ``"SourceImageSequence.ReferencedSOPInstanceUID"``.
        A sequence without items is found by the requirement for that sequence.
    says
        What of its value is asked, in words; "" where any will do.
    holds
        Whether a value will do, given the whole data set.
    """

    reference: str
    need: Need
    path: str
    says: str = ""
    holds: Callable[[Any, Attributes], bool] | None = None

    def __str__(self) -> str:
        return f"{self.reference}: {self.path}{f': {self.says}' if self.says else ''}"

    def is_met_by(self, dataset: Attributes) -> bool:
        """Return whether each item that should have the attribute has it, with a value that will do."""
        *sequences, keyword = self.path.split(".")
        return all(self._is_met(item.get(keyword), dataset) for item in items_at(dataset, sequences))

    def _is_met(self, value: Any, dataset: Attributes) -> bool:
        if value is None or (hasattr(value, "__len__") and len(value) == 0):
            return False
        return self.holds is None or self.holds(value, dataset)


@dataclass(frozen=True, slots=True)
class Somewhere:
    """An attribute with a value in at least one item of a sequence.

    A sequence without items is found by the requirement for that sequence.

    Parameters
    ----------
    path
        As in :class:`Attribute`.
    """

    reference: str
    need: Need
    path: str

    def __str__(self) -> str:
        return f"{self.reference}: {self.path}: in at least one item"

    def is_met_by(self, dataset: Attributes) -> bool:
        """Return whether an item has the attribute; true where there is no item."""
        *sequences, keyword = self.path.split(".")
        items = list(items_at(dataset, sequences))
        return not items or any(item.get(keyword) for item in items)


def items_at(dataset: Attributes, sequences: Sequence[str]) -> Iterator[Any]:
    """Walk down nested sequences.

    Parameters
    ----------
    dataset
        Where to begin.
    sequences
        Keywords, from the outermost; empty for the data set itself.

    Yields
    ------
    Every item of the innermost sequence.
    """
    if not sequences:
        yield dataset
        return
    for item in dataset.get(sequences[0]) or ():
        yield from items_at(item, sequences[1:])


def children(item: Attributes) -> Sequence[Any]:
    """Return the content items right below one."""
    return item.get("ContentSequence") or ()


def template(item: Attributes) -> str:
    """Return the item's Template Identifier; "" where it names none."""
    sequence = item.get("ContentTemplateSequence")
    return str(sequence[0].get("TemplateIdentifier", "")) if sequence else ""


def concept_name(item: Attributes) -> tuple[str, str] | None:
    """Return the code value and scheme of the item's concept name; None where it has none."""
    return code_of(item.get("ConceptNameCodeSequence"))


def code_of(sequence: Sequence[Attributes] | None) -> tuple[str, str] | None:
    """Return the code value and scheme of a code sequence's first item; None where there is none."""
    return (sequence[0].get("CodeValue", ""), sequence[0].get("CodingSchemeDesignator", "")) if sequence else None


def _has_value(item: Attributes) -> bool:
    value_type = item.get("ValueType")
    if value_type == "CONTAINER":
        return True
    value = item.get(_VALUE[value_type])
    if value_type == "NUM" and value:
        return value[0].get("NumericValue") not in (None, "") and bool(value[0].get("MeasurementUnitsCodeSequence"))
    return bool(value)
