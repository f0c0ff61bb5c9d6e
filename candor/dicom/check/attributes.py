"""The attributes that every result of Candor has, and what the tables of the single kinds have in common.

What PS3.3 makes mandatory in an IOD is the matter of its validators. These tables say what ties an object to its
source, its finding and its maker, how it must be shown, and that it says "Research use only, not for diagnosis".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydicom import Dataset
from pydicom.sr.coding import Code

from candor import RESEARCH_USE
from candor.dicom.check.requirements import Attribute, Attributes, Need, Somewhere, code_of, items_at
from candor.dicom.shared import codes
from candor.dicom.shared.attributes import is_uid
from candor.study.findings import PRIVATE_SCHEME
from candor.study.provenance import MANUFACTURER

Asked = Attribute | Somewhere
"""What is asked of an object's attributes."""

MANDATORY, CONDITIONAL, OURS = Need.MANDATORY, Need.CONDITIONAL, Need.OURS
SAYS_RESEARCH_USE: Final = f'says "{RESEARCH_USE}"'


def says_research_use(text: Any, _: Attributes) -> bool:
    """Return whether the text says what the result may be used for.

    Parameters
    ----------
    text
        The value of an attribute.
    _
        The data set, which does not matter.
    """
    # Every language begins with these words; see candor.words.texts.
    return RESEARCH_USE in str(text)


def a_uid(value: Any, _: Attributes) -> bool:
    """Return whether the value is a UID.

    Parameters
    ----------
    value
        Of an attribute.
    _
        The data set, which does not matter.
    """
    return is_uid(value)


def is_code(sequence: Sequence[Attributes] | None, code: Code) -> bool:
    """Return whether a code sequence holds a code.

    Parameters
    ----------
    sequence
        Its first item is compared; None holds no code.
    code
        Compared by value and coding scheme.
    """
    return code_of(sequence) == (code.value, code.scheme_designator)


def begins_with(values: Any, wanted: tuple[str, ...]) -> bool:
    """Return whether the first values are those wanted.

    Parameters
    ----------
    values
        Of an attribute with several values.
    wanted
        The first of them, in their order.
    """
    return tuple(values[: len(wanted)]) == wanted


def values_at(dataset: Attributes, path: str) -> list[Any]:
    """Return the values of an attribute in all items that should have it; None where one lacks it.

    Parameters
    ----------
    dataset
        The data set where the path begins.
    path
        As in :class:`candor.dicom.check.requirements.Attribute`.
    """
    *sequences, keyword = path.split(".")
    return [item.get(keyword) for item in items_at(dataset, sequences)]


EVERY_OBJECT: Final[tuple[Asked, ...]] = (
    Attribute("PS3.3 C.7.5.1", MANDATORY, "Manufacturer", MANUFACTURER, lambda value, _: value == MANUFACTURER),
    Attribute("PS3.3 C.7.5.1", OURS, "ManufacturerModelName"),
    Attribute("PS3.3 C.7.5.1", OURS, "DeviceSerialNumber"),
    Attribute("PS3.3 C.7.5.1", OURS, "SoftwareVersions"),
    Attribute("Candor", OURS, "SeriesDescription", SAYS_RESEARCH_USE, says_research_use),
    Attribute("IHE AIR 6.5.3", OURS, "ContributingEquipmentSequence"),
    Attribute(
        "IHE AIR 6.5.3",
        OURS,
        "ContributingEquipmentSequence.PurposeOfReferenceCodeSequence",
        f"({codes.PROCESSING_EQUIPMENT.value}, DCM)",
        lambda value, _: is_code(value, codes.PROCESSING_EQUIPMENT),
    ),
    Attribute("IHE AIR 6.5.3", OURS, "ContributingEquipmentSequence.DeviceUID", "a UID", a_uid),
    Attribute("IHE AIR 6.5.3", OURS, "ContributingEquipmentSequence.SoftwareVersions"),
    Attribute(
        "Candor", OURS, "ContributingEquipmentSequence.ContributionDescription", SAYS_RESEARCH_USE, says_research_use
    ),
)
"""Who made it, with what, and for what it may be used."""

PRIVATE_SCHEME_IDENTIFIED: Final = Attribute(
    "PS3.3 C.12.1.1.1",
    OURS,
    "CodingSchemeIdentificationSequence",
    f"identifies {PRIVATE_SCHEME}",
    lambda value, _: any(item.get("CodingSchemeDesignator") == PRIVATE_SCHEME for item in value),
)

REPORT_ATTRIBUTES: Final[tuple[Asked, ...]] = (PRIVATE_SCHEME_IDENTIFIED,)
"""A report always has codes of Candor's own."""

_SOURCE_CLASS: Final = "SourceImageSequence.ReferencedSOPClassUID"
_SOURCE_INSTANCE: Final = "SourceImageSequence.ReferencedSOPInstanceUID"
_SOURCE_PURPOSE: Final = "SourceImageSequence.PurposeOfReferenceCodeSequence"


def source_image(sequences: str = "") -> tuple[Asked, ...]:
    """Return the requirements that a source image is named, with its purpose (PS3.3 C.7.6.1.1.4).

    ``sequences`` are the keywords of the sequences above it, each followed by a dot.
    """
    reference = "PS3.3 C.7.6.1.1.4"
    purpose = f"({codes.SOURCE_IMAGE.value}, DCM)"
    return (
        Attribute(reference, OURS, f"{sequences}SourceImageSequence"),
        Attribute(reference, MANDATORY, f"{sequences}{_SOURCE_CLASS}", "a UID", a_uid),
        Attribute(reference, MANDATORY, f"{sequences}{_SOURCE_INSTANCE}", "a UID", a_uid),
        Attribute(
            reference,
            OURS,
            f"{sequences}{_SOURCE_PURPOSE}",
            purpose,
            lambda value, _: is_code(value, codes.SOURCE_IMAGE),
        ),
    )


def same_instance(path: str, source: Dataset) -> Attribute:
    """Return the requirement that all references at a path name the source.

    Parameters
    ----------
    path
        Keywords of the sequences, with dots.
    source
        The image that the object is about.
    """
    return Attribute(
        "Candor",
        OURS,
        f"{path}.ReferencedSOPInstanceUID",
        "the image that it is about",
        lambda value, _: value == source.SOPInstanceUID,
    )
