"""The graphics of a presentation state: for each finding a layer with its outlines and its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from highdicom.color import CIELabColor
from highdicom.pr import GraphicLayer, GraphicObject, TextObject
from pydicom import Dataset

from candor.dicom.shared import codes
from candor.dicom.shared.identity import reportable_images
from candor.dicom.shared.values import readable, valid_text
from candor.evidence.outline import Points, is_localised, outlines
from candor.study.case import Case, CaseImage
from candor.study.provenance import Provenance
from candor.study.result import FindingResult
from candor.words.texts import Texts

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels; the picture's top left corner is (0, 0)."""

_UNITS: Final = "PIXEL"
_NOTICE_LAYER: Final = "RESEARCH_USE"
_CODE_STRING: Final = 16  # characters at most (PS3.5 6.2)

_COLOURS: Final = (
    CIELabColor(90.0, -10.0, 75.0),
    CIELabColor(75.0, -15.0, -35.0),
    CIELabColor(75.0, 25.0, 65.0),
    CIELabColor(75.0, -45.0, 15.0),
    CIELabColor(75.0, 40.0, -10.0),
)
"""Colours of the layers, in turn: yellow, sky blue, orange, green, pink; all light and clearly not grey."""

_WIDTH: Final = 0.3
_HEIGHT: Final = 0.03
_MARGIN: Final = 0.01
_BOTTOM: Final = 0.95
"""The boxes of the names, as shares of the picture: they are at its sides, and its middle third stays free."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The image that the graphics are about, with what is needed to draw them.

    Parameters
    ----------
    case, image
        The study with its results, and the image.
    reference
        The attributes that highdicom reads of the image, with the Specific Character Set of the presentation state.
    provenance
        What made the results.
    fingerprint
        :func:`candor.dicom.shared.identity.case_fingerprint` of the case.
    texts
        The language of the texts.
    """

    case: Case
    image: CaseImage
    reference: Dataset
    provenance: Provenance
    fingerprint: str
    texts: Texts

    def readable(self, words: str) -> str:
        """Return text with only letters of the presentation state's character set."""
        return readable(words, self.reference)

    @property
    def name(self) -> str:
        """The image's name in the report: its number among the reported images, and its view."""
        names = [image.name for image in reportable_images(self.case)]
        view = valid_text(self.image.header, "ViewPosition") if self.image.header else ""
        return self.texts.image(names.index(self.image.name) + 1, view)


def graphics(subject: Subject) -> tuple[list[GraphicLayer], list[Dataset]]:
    """Return a layer with the outlines of each finding that is present, and a last one with the notice.

    Returns
    -------
    The layers in the order of the results, and one annotation for each.
    """
    results = [result for result in subject.image.results if is_localised(result)]
    shape = (int(subject.reference.Rows), int(subject.reference.Columns))
    lines = [outlines(result.heatmap, shape) for result in results]
    boxes = label_boxes([polygons[0] for polygons in lines], shape)
    name = subject.name
    layers, annotations = [], []
    for order, (result, polygons, box) in enumerate(zip(results, lines, boxes, strict=True), 1):
        layer = _layer(result.finding.label, order, subject.readable(subject.texts.finding(result.finding)))
        layers.append(layer)
        annotations.append(_finding_annotation(subject, result, layer, polygons, box, name))
    notice = subject.readable(subject.texts.research_use)
    layers.append(_layer(_NOTICE_LAYER, len(layers) + 1, notice))
    text = TextObject(notice, _UNITS, _notice_box(shape), text_justification="LEFT")
    annotations.append(_annotation(layers[-1], [text]))
    return layers, annotations


def label_boxes(polygons: Sequence[Points], shape: tuple[int, int]) -> list[Box]:
    """Return a box for a name beside each polygon: at the nearer side of the picture, at the height of its top.

    Boxes do not overlap each other, up to 31 at a side, nor the notice at the bottom.

    Parameters
    ----------
    polygons
        ``(corners, 2)`` of (column, row) each, in pixels.
    shape
        Rows and columns of the picture.
    """
    rows, columns = shape
    placed: dict[int, Box] = {}
    for right_side in (False, True):
        here = [at for at, polygon in enumerate(polygons) if (_middle(polygon) > columns / 2) == right_side]
        here.sort(key=lambda at: float(polygons[at][:, 1].min()))
        left = 1 - _MARGIN - _WIDTH if right_side else _MARGIN
        lowest = _MARGIN
        for left_over, at in zip(reversed(range(len(here))), here, strict=True):
            wanted = max(lowest, float(polygons[at][:, 1].min()) / rows)
            top = max(min(wanted, _BOTTOM - (left_over + 1) * _HEIGHT), 0.0)
            placed[at] = (left * columns, top * rows, (left + _WIDTH) * columns, (top + _HEIGHT) * rows)
            lowest = top + _HEIGHT
    return [placed[at] for at in range(len(polygons))]


def _finding_annotation(
    subject: Subject,
    result: FindingResult,
    layer: GraphicLayer,
    polygons: Sequence[Points],
    box: Box,
    name: str,
) -> Dataset:
    """Return one finding's outlines, and its name with a line to the first, all with its group's Tracking UID."""
    finding = subject.texts.finding(result.finding)
    parts = ("finding", subject.image.sop_instance_uid, result.finding.name)
    uid = subject.provenance.result_uid("tracking", subject.fingerprint, *parts)
    label = subject.readable(f"{finding}: {name}")
    words = subject.readable(f"{finding} {codes.percent(result.probability)} %")
    text = TextObject(words, _UNITS, box, _nearest(polygons[0], box), "LEFT", tracking_id=label, tracking_uid=uid)
    objects = [GraphicObject("POLYLINE", polygon, _UNITS, tracking_id=label, tracking_uid=uid) for polygon in polygons]
    annotation = _annotation(layer, [text])
    annotation.GraphicObjectSequence = objects
    return annotation


def _annotation(layer: GraphicLayer, text_objects: Sequence[TextObject]) -> Dataset:
    """Return an item of Graphic Annotation Sequence, for the one image that the presentation state is about.

    highdicom's own class refers to that image again in each item, which takes longer than everything else together.
    """
    annotation = Dataset()
    annotation.GraphicLayer = layer.GraphicLayer
    annotation.TextObjectSequence = text_objects
    return annotation


def _layer(name: str, order: int, description: str) -> GraphicLayer:
    colour = _COLOURS[(order - 1) % len(_COLOURS)]
    layer = GraphicLayer(name.upper()[:_CODE_STRING], order, description[:64], colour)
    layer.GraphicLayerRecommendedDisplayGrayscaleValue = 0xFFFF  # white on displays without colour
    return layer


def _middle(polygon: Points) -> float:
    return float(polygon[:, 0].min() + polygon[:, 0].max()) / 2


def _nearest(polygon: Points, box: Box) -> tuple[float, float]:
    """Return the polygon's corner that is nearest to a box."""
    left, top, right, bottom = box
    inside = polygon.clip(np.array([left, top]), np.array([right, bottom]))
    column, row = polygon[np.square(polygon - inside).sum(axis=1).argmin()]
    return float(column), float(row)


def _notice_box(shape: tuple[int, int]) -> Box:
    rows, columns = shape
    return _MARGIN * columns, (1 - _MARGIN - _HEIGHT) * rows, (1 - _MARGIN) * columns, (1 - _MARGIN) * rows
