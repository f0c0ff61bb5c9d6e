"""The annex of the conformance statement on objects: every attribute of every kind, from example objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pydicom.datadict import dictionary_description

from candor.study.result_object import Kind
from tools.conformance.attributes import Attribute, Iod, Path, attributes_of
from tools.conformance.example import Made, results
from tools.conformance.markdown import code, table, uid_name

KINDS: Final[dict[Kind, tuple[str, str]]] = {
    "sr": (
        "Reports",
        "Comprehensive 3D SR, Comprehensive SR or Enhanced SR, as the destination asks (`report_class`): the same "
        "content under each SOP Class UID. One for every study, whatever could be said about it.",
    ),
    "sc": ("Overlays", "Secondary Capture Image: the picture with the evidence for one finding drawn into it."),
    "gsps": (
        "Presentation states",
        "Grayscale Softcopy Presentation State: the outlines of the positive findings of one image, one graphic layer "
        "for each, and the grey scale of that image.",
    ),
    "ko": (
        "Key objects and rejection notes",
        "Key Object Selection Document: which images have a finding, which have a deferral, and what is recalled.",
    ),
    "pm": ("Parametric maps", "Parametric Map: the heatmaps of one image as numbers, one frame for each finding."),
}
"""Title and description of each kind, in the order of the annex."""

HEADER: Final = ("module", "attribute", "tag", "VR", "type", "presence", "source", "value")
_SHOWN: Final = 4
_TELLING: Final = frozenset({"CS", "SQ"})
"""Value Representations whose values are from a list, so that all of them can be shown."""


def of_kind(kind: Kind) -> list[Made]:
    """Return the objects of one kind."""
    return [result for result in results() if result.kind == kind]


def objects_annex() -> str:
    """Return the description of every kind of object."""
    return "\n".join(f"#### {title}\n\n{what}\n\n{attribute_table(kind)}" for kind, (title, what) in KINDS.items())


def attribute_table(kind: Kind) -> str:
    """Return the attributes of one kind of object, by module."""
    made = of_kind(kind)
    iod = Iod(made[0].dataset.SOPClassUID)
    return table(HEADER, _rows(made, iod))


def _rows(made: Sequence[Made], iod: Iod) -> Iterator[Sequence[str]]:
    found = attributes_of(made)
    ordered = sorted(found, key=lambda path: (iod.position(iod.place(path[:1])[0]), path))
    for path in ordered:
        attribute, presence = found[path]
        module, kind = iod.place(path)
        yield (
            module if len(path) == 1 else "",
            f"{'> ' * (len(path) - 1)}{dictionary_description(path[-1])}",
            tag_of(path),
            attribute.vr,
            kind,
            presence,
            attribute.origin,
            _value(attribute),
        )


def tag_of(path: Path) -> str:
    """Return the tag of an attribute as the standard writes it."""
    return f"({path[-1].group:04X},{path[-1].element:04X})"


def _value(attribute: Attribute) -> str:
    """Return the values that are fixed or from a list, and none of a source."""
    values = attribute.distinct
    listed = attribute.origin == "AUTO" and attribute.vr in _TELLING and len(values) <= _SHOWN
    if not (attribute.origin == "FIXED" or listed or attribute.path[-1] == 0x00080016):
        return ""
    if any(value.startswith("#") for value in values):
        return ""
    return ", ".join(uid_name(value) if attribute.vr == "UI" else code(value) for value in values)
