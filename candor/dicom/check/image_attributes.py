"""The attributes that the images among the results must have: overlays and parametric maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydicom import Dataset
from pydicom.sr.coding import Code

from candor.dicom.check.attributes import (
    MANDATORY,
    OURS,
    PRIVATE_SCHEME_IDENTIFIED,
    SAYS_RESEARCH_USE,
    Asked,
    begins_with,
    is_code,
    same_instance,
    says_research_use,
    source_image,
    values_at,
)
from candor.dicom.check.requirements import Attribute, Attributes, code_of
from candor.dicom.shared import codes
from candor.dicom.shared.values import valid_text

_QUANTITY: Final = Code("246205007", "SCT", "Quantity")

OVERLAY: Final[tuple[Asked, ...]] = (
    Attribute(
        "PS3.3 C.7.6.1.1.2",
        MANDATORY,
        "ImageType",
        "DERIVED, SECONDARY",
        lambda value, _: begins_with(value, ("DERIVED", "SECONDARY")),
    ),
    *source_image(),
    Attribute("PS3.3 C.7.6.1", OURS, "DerivationDescription"),
    Attribute("Candor", OURS, "ImageComments", SAYS_RESEARCH_USE, says_research_use),
    Attribute("PS3.3 C.7.6.3", MANDATORY, "PhotometricInterpretation", "RGB", lambda value, _: value == "RGB"),
    Attribute("PS3.3 C.7.6.3", MANDATORY, "PixelData"),
)
"""A Secondary Capture (PS3.3 A.8.1)."""

_FRAMES: Final = "PerFrameFunctionalGroupsSequence"
_MAPPINGS: Final = "PerFrameFunctionalGroupsSequence.RealWorldValueMappingSequence"
_DEFINITIONS: Final = f"{_MAPPINGS}.QuantityDefinitionSequence"
_DERIVATION: Final = "SharedFunctionalGroupsSequence.DerivationImageSequence"


def _defines_quantity_and_finding(definitions: Sequence[Attributes], dataset: Attributes) -> bool:
    """Return whether the definitions of a frame name the quantity, and a finding that no other frame has."""
    quantity, finding = _defined(definitions, _QUANTITY), _defined(definitions, codes.FINDING)
    others = [_defined(value or (), codes.FINDING) for value in values_at(dataset, _DEFINITIONS)]
    grad_cam = (codes.GRAD_CAM.value, codes.GRAD_CAM.scheme_designator)
    return quantity == grad_cam and finding is not None and others.count(finding) == 1


def _defined(definitions: Sequence[Attributes], name: Code) -> tuple[str, str] | None:
    named = (item for item in definitions if is_code(item.get("ConceptNameCodeSequence"), name))
    return next((code_of(item.get("ConceptCodeSequence")) for item in named), None)


def _has_as_many_groups(value: Any, dataset: Attributes) -> bool:
    groups = dataset.get(_FRAMES)
    return not groups or int(value) == len(groups)


def _has_all_floats(pixels: Any, dataset: Attributes) -> bool:
    groups = dataset.get(_FRAMES)
    return not groups or len(pixels) == 4 * dataset.get("Rows", 0) * dataset.get("Columns", 0) * len(groups)


PARAMETRIC_MAP: Final[tuple[Asked, ...]] = (
    Attribute(
        "PS3.3 C.7.6.1.1.2", MANDATORY, "ImageType", "DERIVED", lambda value, _: begins_with(value, ("DERIVED",))
    ),
    Attribute("PS3.3 C.8.32.2", MANDATORY, "ContentQualification", "RESEARCH", lambda value, _: value == "RESEARCH"),
    Attribute("PS3.3 C.8.32.2", MANDATORY, "ContentLabel"),
    Attribute("PS3.3 C.8.32.2", OURS, "ContentDescription", SAYS_RESEARCH_USE, says_research_use),
    Attribute("PS3.3 C.8.32.2", MANDATORY, "BurnedInAnnotation", "NO", lambda value, _: value == "NO"),
    Attribute("PS3.3 C.7.6.1", OURS, "DerivationDescription"),
    Attribute("Candor", OURS, "ImageComments", SAYS_RESEARCH_USE, says_research_use),
    PRIVATE_SCHEME_IDENTIFIED,
    Attribute("PS3.3 C.7.6.24", MANDATORY, "BitsAllocated", "32", lambda value, _: value == 32),
    Attribute("PS3.3 C.7.6.16", MANDATORY, "NumberOfFrames", "as many as have functional groups", _has_as_many_groups),
    Attribute("PS3.3 C.7.6.24", MANDATORY, "FloatPixelData", "32 bits for each cell of each frame", _has_all_floats),
    Attribute("PS3.3 C.7.6.16", MANDATORY, "SharedFunctionalGroupsSequence"),
    Attribute("PS3.3 C.7.6.16.2.6", OURS, _DERIVATION),
    Attribute(
        "PS3.3 C.7.6.16.2.6",
        MANDATORY,
        f"{_DERIVATION}.DerivationCodeSequence",
        f"({codes.GRAD_CAM.value}, DCM)",
        lambda value, _: is_code(value, codes.GRAD_CAM),
    ),
    *source_image(f"{_DERIVATION}."),
    Attribute("PS3.3 C.7.6.16", MANDATORY, _FRAMES),
    Attribute("PS3.3 C.7.6.16.2.2", MANDATORY, f"{_FRAMES}.FrameContentSequence"),
    Attribute("PS3.3 C.7.6.16.2.2", OURS, f"{_FRAMES}.FrameContentSequence.FrameLabel"),
    Attribute("PS3.3 C.7.6.16.2.11", MANDATORY, _MAPPINGS),
    Attribute("PS3.3 C.7.6.16.2.11", MANDATORY, f"{_MAPPINGS}.LUTLabel"),
    Attribute("PS3.3 C.7.6.16.2.11", MANDATORY, f"{_MAPPINGS}.RealWorldValueSlope"),
    Attribute("PS3.3 C.7.6.16.2.11", MANDATORY, f"{_MAPPINGS}.RealWorldValueIntercept"),
    Attribute(
        "PS3.3 C.7.6.16.2.11",
        MANDATORY,
        f"{_MAPPINGS}.MeasurementUnitsCodeSequence",
        "logits",
        lambda value, _: is_code(value, codes.LOGIT),
    ),
    Attribute(
        "PS3.3 C.7.6.16.2.11",
        OURS,
        _DEFINITIONS,
        "the quantity, and a finding that no other frame has",
        _defines_quantity_and_finding,
    ),
)
"""A Parametric Map (PS3.3 A.75)."""


def overlay_of(source: Dataset) -> tuple[Asked, ...]:
    """Return what an overlay must have because of the image that it is about."""
    burned_in = valid_text(source, "BurnedInAnnotation")
    carried = Attribute(
        "PS3.3 C.7.6.1", OURS, "BurnedInAnnotation", "as the source has it", lambda value, _: value == burned_in
    )
    return (same_instance("SourceImageSequence", source), *((carried,) if burned_in else ()))


def parametric_map_of(source: Dataset) -> tuple[Asked, ...]:
    """Return what a parametric map must have because of the image that it is about."""
    return (same_instance(f"{_DERIVATION}.SourceImageSequence", source),)
