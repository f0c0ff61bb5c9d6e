"""Content items as bytes: byte for byte what highdicom and pydicom make of the same values."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    GraphicTypeValues,
    ImageContentItem,
    ImageRegion,
    NumContentItem,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom import Dataset, dcmread
from pydicom.sr.coding import Code

from candor.dicom.report import content_items
from candor.dicom.report.content_items import Reference
from candor.dicom.shared import codes

DX = "1.2.840.10008.5.1.4.1.1.1.1"
GSPS = "1.2.840.10008.5.1.4.1.1.11.1"
LINE = np.array([[0, 0], [279.75, 0.5], [10, 300], [0, 0]], np.float32)
CONTAINS = RelationshipTypeValues.CONTAINS
CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT


def expected_container(template: str | None) -> ContentItem:
    item = ContainerContentItem(codes.MEASUREMENT_GROUP, template_id=template, relationship_type=CONTAINS)
    item.ContentSequence = ContentSequence([CodeContentItem(codes.FINDING, codes.DEVICE, CONTAINS)])
    return item


def expected_image(frame: int | None = None) -> ContentItem:
    return ImageContentItem(codes.BEST_ILLUSTRATION, DX, "1.2.3", frame, relationship_type=CONTAINS)


def expected_uncertain_number() -> ContentItem:
    item = NumContentItem(codes.CERTAINTY, 81.2, codes.PERCENT, relationship_type=CONTAINS)
    relationship = RelationshipTypeValues.HAS_PROPERTIES
    above = NumContentItem(codes.UNCERTAINTY_ABOVE, 4.5, codes.PERCENT, relationship_type=relationship)
    item.ContentSequence = ContentSequence([above])
    return item


def expected_region() -> ContentItem:
    return ImageRegion(GraphicTypeValues.POLYLINE, LINE, source_image=SourceImageForRegion(DX, "1.2.3"))


CHILD = content_items.code("CONTAINS", codes.FINDING, codes.DEVICE)
ITEMS: dict[str, tuple[bytes, Callable[[], ContentItem]]] = {
    "text": (
        content_items.text("CONTAINS", codes.COMMENT, b"odd"),
        lambda: TextContentItem(codes.COMMENT, "odd", CONTAINS),
    ),
    "long text": (
        content_items.text("CONTAINS", codes.COMMENT, b"x" * 70000),
        lambda: TextContentItem(codes.COMMENT, "x" * 70000, CONTAINS),
    ),
    "code": (CHILD, lambda: CodeContentItem(codes.FINDING, codes.DEVICE, CONTAINS)),
    "uid": (
        content_items.uid_reference("HAS OBS CONTEXT", codes.TRACKING_UID, "1.2.3"),
        lambda: UIDRefContentItem(codes.TRACKING_UID, "1.2.3", CONTEXT),
    ),
    "number": (
        content_items.number(codes.CERTAINTY, 81.2, codes.PERCENT),
        lambda: NumContentItem(codes.CERTAINTY, 81.2, codes.PERCENT, relationship_type=CONTAINS),
    ),
    "tiny number": (
        content_items.number(codes.PREVALENCE_RATIO, 1.2e-07, codes.RATIO),
        lambda: NumContentItem(codes.PREVALENCE_RATIO, 1.2e-07, codes.RATIO, relationship_type=CONTAINS),
    ),
    "number with a property": (
        content_items.number(
            codes.CERTAINTY,
            81.2,
            codes.PERCENT,
            properties=[content_items.number(codes.UNCERTAINTY_ABOVE, 4.5, codes.PERCENT, "HAS PROPERTIES")],
        ),
        expected_uncertain_number,
    ),
    "image": (content_items.image("CONTAINS", codes.BEST_ILLUSTRATION, Reference(DX, "1.2.3")), expected_image),
    "frame": (
        content_items.image("CONTAINS", codes.BEST_ILLUSTRATION, Reference(DX, "1.2.3", 14)),
        lambda: expected_image(14),
    ),
    "region": (content_items.polyline(codes.IMAGE_REGION, LINE, Reference(DX, "1.2.3")), expected_region),
    "container": (
        content_items.container(codes.MEASUREMENT_GROUP, [CHILD]),
        lambda: expected_container(None),
    ),
    "template": (
        content_items.container(codes.MEASUREMENT_GROUP, [CHILD], "1410"),
        lambda: expected_container("1410"),
    ),
}


@pytest.mark.parametrize("kind", ITEMS)
def test_an_item_is_what_highdicom_makes_of_it(kind: str) -> None:
    made, expected = ITEMS[kind]
    item = expected()
    item.RelationshipType = item.get("RelationshipType", "CONTAINS")
    assert made == content_items.encoded([item])


def test_an_image_may_be_shown_by_a_presentation_state() -> None:
    shown = Reference(DX, "1.2.3", shown_by=(GSPS, "1.2.4"))
    expected = expected_image()
    state = Dataset()
    state.ReferencedSOPClassUID, state.ReferencedSOPInstanceUID = GSPS, "1.2.4"
    expected.ReferencedSOPSequence[0].ReferencedSOPSequence = [state]
    assert content_items.image("CONTAINS", codes.BEST_ILLUSTRATION, shown) == content_items.encoded([expected])


def test_a_code_beyond_ascii_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        content_items.code("CONTAINS", codes.FINDING, Code("1", "99X", "Ödem"))


@pytest.mark.parametrize("touched", [False, True])
def test_a_content_sequence_is_written_as_it_is_and_read_on_demand(touched: bool) -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    encoded = "Lungenödem".encode()
    element = content_items.content_sequence([content_items.text("CONTAINS", codes.COMMENT, encoded), CHILD])
    dataset[element.tag] = element
    dataset.set_original_encoding(False, True, ["utf8"])
    if touched:
        assert dataset.ContentSequence[0].TextValue == "Lungenödem"
    file = BytesIO()
    dataset.save_as(file, implicit_vr=False, little_endian=True)
    file.seek(0)
    read = dcmread(file, force=True)
    assert [item.ValueType for item in read.ContentSequence] == ["TEXT", "CODE"]
    assert read.ContentSequence[0].TextValue == "Lungenödem"
    assert read.get_item("ContentSequence").value is not None
