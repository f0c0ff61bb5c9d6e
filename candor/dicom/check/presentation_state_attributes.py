"""The attributes that a presentation state must have: what it draws, on which image, and how that is shown."""

from __future__ import annotations

from typing import Any, Final

from pydicom import Dataset

from candor import RESEARCH_USE
from candor.dicom.check.attributes import (
    CONDITIONAL,
    MANDATORY,
    OURS,
    SAYS_RESEARCH_USE,
    Asked,
    a_uid,
    same_instance,
    says_research_use,
    values_at,
)
from candor.dicom.check.requirements import Attribute, Attributes, Somewhere
from candor.dicom.shared.attributes import text

_LAYERS: Final = "GraphicLayerSequence"
_ANNOTATIONS: Final = "GraphicAnnotationSequence"
_OBJECTS: Final = "GraphicAnnotationSequence.GraphicObjectSequence"
_LINES: Final = f"{_OBJECTS}.GraphicData"
_TEXTS: Final = "GraphicAnnotationSequence.TextObjectSequence"
_REFERRED: Final = "ReferencedSeriesSequence.ReferencedImageSequence"
_AREAS: Final = "DisplayedAreaSelectionSequence"


def _one_says_research_use(_: Any, dataset: Attributes) -> bool:
    texts = [str(value) for value in values_at(dataset, f"{_TEXTS}.UnformattedTextValue")]
    return any(RESEARCH_USE in text for text in texts)


def _is_a_layer(value: Any, dataset: Attributes) -> bool:
    """Return whether a layer has that name; true where a layer has no name, which another requirement finds."""
    layers = values_at(dataset, f"{_LAYERS}.GraphicLayer")
    return not layers or not all(layers) or value in layers


def _is_closed(points: Any, _: Attributes) -> bool:
    return len(points) >= 8 and len(points) % 2 == 0 and list(points[:2]) == list(points[-2:])


PRESENTATION_STATE: Final[tuple[Asked, ...]] = (
    Attribute("PS3.3 C.11.10", MANDATORY, "ContentLabel"),
    Attribute("PS3.3 C.11.10", OURS, "ContentDescription", SAYS_RESEARCH_USE, says_research_use),
    Attribute("PS3.3 C.11.11", MANDATORY, "ReferencedSeriesSequence"),
    Attribute("PS3.3 C.11.11", MANDATORY, "ReferencedSeriesSequence.SeriesInstanceUID", "a UID", a_uid),
    Attribute("PS3.3 C.11.11", MANDATORY, _REFERRED),
    Attribute("PS3.3 C.11.11", MANDATORY, f"{_REFERRED}.ReferencedSOPClassUID", "a UID", a_uid),
    Attribute("PS3.3 C.11.11", MANDATORY, f"{_REFERRED}.ReferencedSOPInstanceUID", "a UID", a_uid),
    Attribute(
        "PS3.3 C.11.6",
        MANDATORY,
        "PresentationLUTShape",
        "IDENTITY or INVERSE",
        lambda value, _: value in ("IDENTITY", "INVERSE"),
    ),
    Attribute("PS3.3 C.10.4", MANDATORY, _AREAS),
    Attribute("PS3.3 C.10.4", MANDATORY, f"{_AREAS}.DisplayedAreaTopLeftHandCorner"),
    Attribute("PS3.3 C.10.4", MANDATORY, f"{_AREAS}.DisplayedAreaBottomRightHandCorner"),
    Attribute("PS3.3 C.10.4", MANDATORY, f"{_AREAS}.PresentationSizeMode"),
    Attribute("PS3.3 C.10.7", OURS, _LAYERS),
    Attribute("PS3.3 C.10.7", MANDATORY, f"{_LAYERS}.GraphicLayer"),
    Attribute("PS3.3 C.10.7", MANDATORY, f"{_LAYERS}.GraphicLayerOrder"),
    Attribute("PS3.3 C.10.7", OURS, f"{_LAYERS}.GraphicLayerDescription"),
    Attribute("PS3.3 C.10.5", OURS, _ANNOTATIONS),
    Somewhere("PS3.3 C.10.5", OURS, _OBJECTS),
    Attribute(
        "PS3.3 C.10.5",
        MANDATORY,
        f"{_ANNOTATIONS}.GraphicLayer",
        "one of the graphic layers",
        _is_a_layer,
    ),
    Attribute(
        "PS3.3 C.10.5",
        MANDATORY,
        f"{_OBJECTS}.GraphicAnnotationUnits",
        "PIXEL",
        lambda value, _: value == "PIXEL",
    ),
    Attribute("PS3.3 C.10.5", MANDATORY, f"{_OBJECTS}.GraphicType", "POLYLINE", lambda value, _: value == "POLYLINE"),
    Attribute("PS3.3 C.10.5", MANDATORY, _LINES, "closed", _is_closed),
    Attribute("PS3.3 C.10.5", CONDITIONAL, f"{_OBJECTS}.GraphicFilled", "N", lambda value, _: value == "N"),
    Attribute("PS3.3 C.10.5", OURS, f"{_OBJECTS}.TrackingID"),
    Attribute("PS3.3 C.10.5", OURS, f"{_OBJECTS}.TrackingUID", "a UID", a_uid),
    Attribute("PS3.3 C.10.5", OURS, f"{_ANNOTATIONS}.TextObjectSequence"),
    Attribute(
        "PS3.3 C.10.5",
        MANDATORY,
        f"{_TEXTS}.UnformattedTextValue",
        f"one of them {SAYS_RESEARCH_USE}",
        _one_says_research_use,
    ),
)
"""A Grayscale Softcopy Presentation State (PS3.3 A.33.1); GraphicFilled is 1C: its condition is a closed line."""


def presentation_state_of(source: Dataset) -> tuple[Asked, ...]:
    """Return what a presentation state must have because of its image: it shows all of it, with its polarity."""
    shape = "INVERSE" if text(source, "PhotometricInterpretation") == "MONOCHROME1" else "IDENTITY"
    corner = [source.Columns, source.Rows]
    return (
        same_instance(_REFERRED, source),
        Attribute(
            "PS3.3 C.11.6",
            MANDATORY,
            "PresentationLUTShape",
            f"{shape}, for its source",
            lambda value, _: value == shape,
        ),
        Attribute(
            "PS3.3 C.10.4",
            MANDATORY,
            f"{_AREAS}.DisplayedAreaTopLeftHandCorner",
            "the first pixel",
            lambda value, _: list(value) == [1, 1],
        ),
        Attribute(
            "PS3.3 C.10.4",
            MANDATORY,
            f"{_AREAS}.DisplayedAreaBottomRightHandCorner",
            "the last pixel",
            lambda value, _: list(value) == corner,
        ),
        Attribute(
            "PS3.3 C.10.5.1.2",
            MANDATORY,
            _LINES,
            "closed, and within the image",
            lambda value, _: _is_closed(value, _) and all(0 <= at <= corner[n % 2] for n, at in enumerate(value)),
        ),
    )
