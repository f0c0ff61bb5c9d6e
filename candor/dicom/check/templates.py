"""Check that a result has what its templates and modules make mandatory.

The validators that exist let a report without "Procedure reported" pass, and know nothing of what IHE AIR and Candor's
own promise add. What is asked stands as tables in :mod:`candor.dicom.check.template_rows` (reports, key objects,
rejection notes), :mod:`candor.dicom.check.image_attributes` (overlays and parametric maps),
:mod:`candor.dicom.check.presentation_state_attributes` (presentation states) and :mod:`candor.dicom.check.attributes`
(all results); here is where each applies in a data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from candor.dicom.check import template_rows as rows
from candor.dicom.check.attributes import EVERY_OBJECT, REPORT_ATTRIBUTES, Asked
from candor.dicom.check.image_attributes import OVERLAY, PARAMETRIC_MAP, overlay_of, parametric_map_of
from candor.dicom.check.presentation_state_attributes import PRESENTATION_STATE, presentation_state_of
from candor.dicom.check.requirements import Attributes, Need, Requirement, Row, children, concept_name, template
from candor.dicom.shared import codes

_TABLES: Final[dict[str, tuple[tuple[Asked, ...], Callable[[Dataset], tuple[Asked, ...]]]]] = {
    SecondaryCaptureImageStorage: (OVERLAY, overlay_of),
    GrayscaleSoftcopyPresentationStateStorage: (PRESENTATION_STATE, presentation_state_of),
    ParametricMapStorage: (PARAMETRIC_MAP, parametric_map_of),
}
"""What is asked of an object of each class, and what more because of its source."""

_REPORTS: Final = (Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage)


@dataclass(frozen=True, slots=True)
class Place:
    """A data set or a content item, and what is asked of it; ``label`` says where it is, "" for the data set."""

    label: str
    item: Attributes
    requirements: tuple[Requirement, ...]

    def missing(self) -> Iterator[str]:
        """Yield one line for each requirement that is not met here."""
        prefix = f"{self.label}, " if self.label else ""
        return (f"{prefix}{asked}" for asked in self.requirements if not asked.is_met_by(self.item))


@dataclass(frozen=True, slots=True)
class _Known:
    """That the data set is of a SOP class that Candor makes."""

    need: Need = Need.OURS

    def __str__(self) -> str:
        return "SOPClassUID: of a report, a key object document, an overlay, a presentation state or a parametric map"

    def is_met_by(self, dataset: Attributes) -> bool:
        """Return whether it is."""
        return dataset.get("SOPClassUID") in (*_REPORTS, KeyObjectSelectionDocumentStorage, *_TABLES)


def missing_rows(dataset: Attributes, source: Dataset | None = None) -> list[str]:
    """List the mandatory rows and attributes that a result of Candor lacks, by its SOP class.

    A row counts as missing where its content item is not there, has another relationship, value type or concept
    name, or has no value; an attribute where it is not there, is empty, or says what it must not.

    Of the conditional rows (MC), asked are those of an observer that is a device (TID 1002), of a tree with Imaging
    Measurements (TID 1500 row 6) and an Image Library (TID 1600), of a region that is no segmentation (TID 1410
    row 5), of a title that rejects for quality (TID 2010 row 3), and that a key object document names something
    (rows 8 and 10); the tables say so row by row.

    Parameters
    ----------
    dataset
        The result: pydicom's data set, or what :func:`candor.dicom.check.parsed_file.read_written` returns.
    source
        The image that an overlay, presentation state or parametric map is about; with it, asked is also what follows
        from it: that the object refers to it, and shows it the right way.

    Returns
    -------
    One line for each, in the order of the tree; none for a complete result.

    References
    ----------
    DICOM PS3.16 TID 1500, 1501, 1410, 1419, 1600, 1601, 1602, 4019, 1204, 1001, 1002, 1004, 2010; PS3.3 A.8.1
    (Secondary Capture), A.33.1 (Grayscale Softcopy Presentation State), A.75 (Parametric Map); IHE AIR 6.5.3.
    """
    return [line for place in places(dataset, source) for line in place.missing()]


def places(dataset: Attributes, source: Dataset | None = None) -> Iterator[Place]:
    """Walk over a result.

    Parameters
    ----------
    dataset, source
        As for :func:`missing_rows`.

    Yields
    ------
    Each place where something is asked, in the order of the tree.
    """
    sop_class = dataset.get("SOPClassUID")
    yield Place("", dataset, (_Known(),))
    yield Place("", dataset, EVERY_OBJECT)
    if sop_class in _TABLES:
        yield Place("", dataset, _attributes(sop_class, source))
    elif sop_class in _REPORTS:
        yield from _report(dataset)
    elif sop_class == KeyObjectSelectionDocumentStorage:
        yield from _key_objects(dataset)


def _attributes(sop_class_uid: str, source: Dataset | None) -> tuple[Asked, ...]:
    """Return what is asked of an object; where the source says more of an attribute, that is asked instead."""
    table, table_of_source = _TABLES[sop_class_uid]
    told = table_of_source(source) if source is not None else ()
    return tuple(({each.path: each for each in table} | {each.path: each for each in told}).values())


def _report(dataset: Attributes) -> Iterator[Place]:
    yield Place("", dataset, (*rows.REPORT, *REPORT_ATTRIBUTES))
    for container in _all(dataset, rows.IMAGE_LIBRARY):
        yield from _library(container)
    for container in _all(dataset, rows.IMAGING_MEASUREMENTS):
        yield Place("", container, rows.MEASUREMENTS)
        for number, group in enumerate(children(container), 1):
            yield from _group(f"group {number}", group)


def _library(library: Attributes) -> Iterator[Place]:
    yield Place("image library", library, rows.LIBRARY)
    for group in _all(library, rows.LIBRARY_GROUP):
        yield Place("image library", group, rows.LIBRARY_IMAGES)
        for number, image in enumerate(children(group), 1):
            if image.get("ValueType") == "IMAGE":
                yield Place(f"image library, image {number}", image, rows.LIBRARY_IMAGE)


def _group(label: str, group: Attributes) -> Iterator[Place]:
    yield Place(label, group, (rows.GROUP,))
    if not rows.GROUP.is_met_by(group):
        return
    if template(group) == "1410":
        yield Place(label, group, (*rows.PLANAR_GROUP, *rows.PLANAR_FINDING))
        for region in children(group):
            if region.get("ValueType") == "SCOORD":
                yield Place(f"{label}, region", region, rows.REGION)
    elif _has_any(group, rows.FINDING):
        yield Place(label, group, (*rows.MEASUREMENT_GROUP, *rows.FINDING, *rows.FINDING_SOURCE))
    elif _has_any(group, rows.STUDY):
        yield Place(label, group, (*rows.MEASUREMENT_GROUP, *rows.STUDY))
    else:
        yield Place(label, group, rows.MEASUREMENT_GROUP)


def _key_objects(dataset: Attributes) -> Iterator[Place]:
    is_for_quality = concept_name(dataset) == (codes.REJECTED_FOR_QUALITY.value, "DCM")
    yield Place("", dataset, (*rows.KEY_OBJECTS, *(rows.REJECTED_FOR_QUALITY if is_for_quality else ())))
    objects = [item for item in children(dataset) if item.get("ValueType") in ("IMAGE", "COMPOSITE")]
    for number, item in enumerate(objects, 1):
        yield Place(f"key object {number}", item, rows.KEY_OBJECT)


def _all(item: Attributes, row: Row) -> Iterator[Attributes]:
    return (child for child in children(item) if row.matches(child))


def _has_any(item: Attributes, asked: tuple[Requirement, ...]) -> bool:
    return any(row.is_met_by(item) for row in asked)
