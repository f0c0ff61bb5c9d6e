"""Measure whether a heatmap points to the place where radiologists drew a box.

The negative part of a map is cut off, and the map is enlarged bilinearly to the box's picture (1024 x 1024). A pixel is
in a box if its centre is. There are two baselines beside every method: a uniform map, and the mean map of the finding
over all pictures, which knows where the finding usually is but does not know this patient.

References
----------
Zhang et al. 2016 (pointing game), here without their margin of 15 pixels. Wang et al. 2020 (Score-CAM: energy inside
the box). Wang et al. 2017 (ChestX-ray14: the boxes, and the share of them that is met at an IoU).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.study.errors import DataError
from candor.study.findings import finding_named
from training.data.readers.tables import Cells, read_table
from training.measure.evaluation.sample import Record, Sample
from training.statistics.metrics import Floats, interval, patient_weights

BOXES: Final = "boxes.csv"
CANVAS: Final = 1024
"""Pixels a side of the pictures that the boxes were drawn on."""

PEAK_SHARES: Final = (0.25, 0.5, 0.75)
"""A map's region is where it is at least this share of its peak."""

MET: Final = (0.1, 0.3, 0.5)
"""A box counts as met from this IoU up."""

Maps = NDArray[np.float32]
"""``(boxes, height, width)``: a map for each box's picture and finding; only values over 0 count."""


@dataclass(frozen=True, slots=True)
class Box:
    """One finding that a radiologist marked on one picture of a sample.

    Parameters
    ----------
    image, finding
        Index into the sample's images and findings.
    x, y, width, height
        Pixels of the 1024 x 1024 original, from its upper left corner.
    """

    image: int
    finding: int
    x: float
    y: float
    width: float
    height: float

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Rows and columns of the canvas whose centres lie in the box."""
        return _centres(self.y, self.height), _centres(self.x, self.width)


def _centres(start: float, length: float) -> slice:
    first, last = (int(np.clip(np.ceil(edge - 0.5), 0, CANVAS)) for edge in (start, start + length))
    return slice(first, last)


def read_boxes(folder: Path, sample: Sample) -> list[Box] | None:
    """Read the boxes of a sample's pictures and findings; None if there is no table, or none of these in it.

    Parameters
    ----------
    folder
        May hold ``boxes.csv``, with columns ``image``, ``finding``, ``x``, ``y``, ``w`` and ``h`` in pixels.
    sample
        The pictures and findings whose boxes are kept.

    Raises
    ------
    DataError
        The table is damaged or lacks a column, or a box is not on the picture.
    """
    if not (folder / BOXES).is_file():
        return None
    images = {image.name: k for k, image in enumerate(sample.images)}
    rows = read_table(folder / BOXES, ["image", "finding", "x", "y", "w", "h"])
    here = [row for row in rows if row["image"] in images and finding_named(row["finding"]) in sample.findings]
    found = [_box(row, images[row["image"]], sample.findings.index(finding_named(row["finding"]))) for row in here]
    return found or None


def _box(row: Cells, image: int, finding: int) -> Box:
    try:
        x, y, width, height = (float(row[side]) for side in "xywh")
    except ValueError as error:
        raise DataError(f"{BOXES}: the box of {row['image']} is not four numbers ({error}); correct the row") from error
    box = Box(image, finding, x, y, width, height)
    rows, columns = box.pixels
    if not (width > 0 and height > 0 and rows.start < rows.stop and columns.start < columns.stop):
        raise DataError(f"{BOXES}: the box of {row['image']} holds no pixel of {CANVAS} x {CANVAS}; correct the row")
    return box


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of one method's maps against the boxes.

    Parameters
    ----------
    hit
        ``(boxes,)``: 1 where the map's highest pixel is in the box; a map that is nowhere over 0 misses.
    energy
        ``(boxes,)``: share of the map's sum that is in the box; 0 for a map that is nowhere over 0.
    iou
        ``(boxes, len(PEAK_SHARES))``: intersection over union of the box and the map's region.
    """

    hit: Floats
    energy: Floats
    iou: Floats


def score(maps: Maps, boxes: Sequence[Box]) -> Scores:
    """Compare each map with its box.

    Parameters
    ----------
    maps
        ``(boxes, height, width)``; only values over 0 count.
    boxes
        One for each map.
    """
    rows = np.asarray([_score(m, box) for m, box in zip(maps, boxes, strict=True)], np.float64)
    rows = rows.reshape(len(boxes), 2 + len(PEAK_SHARES))
    return Scores(rows[:, 0], rows[:, 1], rows[:, 2:])


def _score(small: NDArray[np.float32], box: Box) -> list[float]:
    # cut off before enlarging, so that negative evidence is not averaged into positive evidence beside it
    enlarged = cv2.resize(np.maximum(small, 0), (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR)
    peak, inside = float(enlarged.max()), box.pixels
    if peak <= 0:
        return [0.0] * (2 + len(PEAK_SHARES))
    row, column = np.unravel_index(int(enlarged.argmax()), enlarged.shape)
    hit = inside[0].start <= row < inside[0].stop and inside[1].start <= column < inside[1].stop
    energy = enlarged[inside].sum(dtype=np.float64) / enlarged.sum(dtype=np.float64)
    return [float(hit), float(energy), *(_iou(enlarged >= share * peak, inside) for share in PEAK_SHARES)]


def _iou(region: NDArray[np.bool_], inside: tuple[slice, slice]) -> float:
    shared, box = np.count_nonzero(region[inside]), region[inside].size
    return float(shared / (np.count_nonzero(region) + box - shared))


def maps_of(activation: NDArray[np.float32], boxes: Sequence[Box]) -> dict[str, Maps]:
    """Return the engine's maps for each box: Grad-CAM in closed form, and the mean map of the finding.

    Parameters
    ----------
    activation
        ``(images, findings, height, width)`` float32, signed, of the sample's pictures.
    boxes
        Which picture and finding each map is taken from.
    """
    positive = np.maximum(activation, np.float32(0))
    mean = positive.mean(axis=0)
    return {
        "grad_cam": np.stack([positive[box.image, box.finding] for box in boxes]),
        "mean_map": np.stack([mean[box.finding] for box in boxes]),
    }


def localisation(
    sample: Sample, boxes: Sequence[Box], methods: Mapping[str, Maps], resamples: int, seed: int
) -> Record:
    """Measure every method over all boxes and for each finding, with intervals by patient.

    ``chance`` is the share of the picture that the boxes take: the pointing game and the energy of a uniform map.

    Parameters
    ----------
    sample
        The pictures that the boxes refer to.
    boxes
        At least one.
    methods
        For each method's name, a map for each box.
    resamples, seed
        Number of bootstrap resamples of patients, and the seed of their draw.
    """
    area = np.asarray([(rows.stop - rows.start) * (cols.stop - cols.start) for rows, cols in (b.pixels for b in boxes)])
    kinds = np.asarray([box.finding for box in boxes])
    weights = patient_weights(sample.patients[[box.image for box in boxes]], resamples, seed)
    scored = {name: _columns(score(maps, boxes)) for name, maps in methods.items()}
    places = {finding.label: kinds == k for k, finding in enumerate(sample.findings) if (kinds == k).any()}
    return {
        "boxes": len(boxes),
        "chance": float(area.mean() / CANVAS**2),
        "methods": {name: _figures(c, weights, np.ones(len(boxes), np.bool_)) for name, c in scored.items()},
        "findings": {
            label: {"boxes": int(here.sum()), "chance": float(area[here].mean() / CANVAS**2)}
            | {"methods": {name: _figures(c, weights, here) for name, c in scored.items()}}
            for label, here in places.items()
        },
    }


def _columns(scores: Scores) -> dict[str, Floats]:
    """Return by name every figure that is a mean over the boxes."""
    half = scores.iou[:, PEAK_SHARES.index(0.5)]
    return {
        "pointing_game": scores.hit,
        "energy": scores.energy,
        **{f"iou_at_{share}_of_peak": scores.iou[:, k] for k, share in enumerate(PEAK_SHARES)},
        **{f"met_at_iou_{met}": (half >= met).astype(np.float64) for met in MET},
    }


def _figures(columns: Mapping[str, Floats], weights: Floats, here: NDArray[np.bool_]) -> Record:
    rows = weights[:, here]
    with np.errstate(invalid="ignore"):
        return {
            name: interval(float(values[here].mean()), (rows @ values[here]) / rows.sum(axis=1)).json
            for name, values in columns.items()
        }
