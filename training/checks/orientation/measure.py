"""Set the orientation check's limits on patients whom it never saw, and measure all checks of a picture on others.

The checks are those that the application runs, :func:`candor.picture.quality.check`, on pictures as they are and on
pictures with defects.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.picture.orientation import Limits, OrientationCheck
from candor.picture.quality import ADULT, check
from candor.study.errors import DataError, Refused
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from training.checks.orientation.examples import defective
from training.checks.orientation.sources import LATERAL, Source
from training.data.pictures import as_radiograph, read_picture
from training.data.splits import Subset

FALSE_ALARMS: Final = 0.0025
"""Largest share of good pictures that may exceed each limit."""

LEAST_LIMIT: Final = 0.5
"""No limit is lower than this, even if no good picture comes near."""

Pixels = NDArray[np.float32]


class Defect(NamedTuple):
    """A defect that is put into a good picture, and the reason that the checks should give for it."""

    put: Callable[[Pixels], Pixels]
    reason: Reason


def _written_on(pixels: Pixels) -> Pixels:
    canvas = np.round(pixels * 255).astype(np.uint8)
    scale = len(canvas) / 400
    for line in range(1, 9):
        where = (int(10 * scale), int(45 * line * scale))
        cv2.putText(canvas, "NAME 0123456789 CHEST", where, cv2.FONT_HERSHEY_SIMPLEX, 0.8 * scale, 255, 1)
    return as_radiograph(canvas).pixels


def _clipped(pixels: Pixels) -> Pixels:
    """Show only the middle third of the greys, as too narrow a window does."""
    low, high = np.percentile(pixels, [1, 99])
    return np.asarray(np.clip((pixels - low) / max(high - low, 1e-3) * 3 - 1, 0, 1), np.float32)


def _framed(pixels: Pixels) -> Pixels:
    """Put a picture on black of twice its area."""
    rows, columns = (round(side * (math.sqrt(2) - 1) / 2) for side in pixels.shape)
    return np.pad(pixels, ((rows, rows), (columns, columns)))


DEFECTS: Final[Mapping[str, Defect]] = MappingProxyType(
    {
        "inverted": Defect(lambda pixels: defective(pixels, inverted=True), Reason.INVERTED),
        "turned by a quarter, counter-clockwise": Defect(lambda pixels: defective(pixels, turned=1), Reason.ROTATED),
        "turned by a half": Defect(lambda pixels: defective(pixels, turned=2), Reason.ROTATED),
        "turned by a quarter, clockwise": Defect(lambda pixels: defective(pixels, turned=3), Reason.ROTATED),
        "mirrored": Defect(lambda pixels: defective(pixels, mirrored=True), Reason.MIRRORED),
        "a third of the greys shown": Defect(_clipped, Reason.CLIPPED),
        "eight lines of text": Defect(_written_on, Reason.MUCH_TEXT),
        "framed by as much black": Defect(_framed, Reason.BORDERS),
    }
)
"""The defects that are measured."""


def is_adult(source: Source) -> bool:
    """Return whether a picture shows an adult; an unknown age counts as one."""
    return source.age is None or source.age >= ADULT


def set_limits(orientation: OrientationCheck, sources: Sequence[Source]) -> Limits:
    """Set every limit so that at most ``FALSE_ALARMS`` of the good pictures exceed it, at least ``LEAST_LIMIT``.

    Parameters
    ----------
    orientation
        The trained orientation check; its own limits are not used.
    sources
        Adults among the gate's and the calibration's patients are used.

    Raises
    ------
    DataError
        There are none.
    """
    kept = (Subset.GATE, Subset.CALIBRATION)
    looks = [orientation.look(_read(source)) for source in sources if source.subset in kept and is_adult(source)]
    if not looks:
        raise DataError(
            "no picture to set the orientation check's limits on; the official test list's patients are needed"
        )
    return Limits(**{name: _limit([getattr(look, name) for look in looks]) for name in Limits.__slots__})


def _limit(scores: Sequence[float]) -> float:
    """Return the lowest limit above all but the allowed number of scores; a score equal to the limit passes it."""
    allowed = int(FALSE_ALARMS * len(scores))
    highest = sorted(scores, reverse=True)[allowed]
    return max(LEAST_LIMIT, math.nextafter(highest, math.inf))


def figures(orientation: OrientationCheck, sources: Sequence[Source]) -> dict[str, object]:
    """Measure all checks of a picture on patients of whom neither the orientation check nor its limits saw a picture.

    Parameters
    ----------
    orientation
        The orientation check with its limits.
    sources
        Those of the TEST patients are used.

    Returns
    -------
    For each group of pictures their number, and how often each reason was given; for each defect how often its own
    reason was given.
    """
    test = [source for source in sources if source.subset is Subset.TEST]
    official = [source for source in test if source.data == "NIH ChestX-ray14" and is_adult(source)]
    elsewhere = [source for source in test if source.data != "NIH ChestX-ray14" and source.view in ("PA", "AP")]
    groups = {source.data: [s for s in elsewhere if s.data == source.data] for source in elsewhere}
    lateral = [source for source in test if source.view == LATERAL]
    return {
        "adults of ChestX-ray14": counted(orientation, map(_read, official)),
        "with a defect": {name: _found(orientation, official, defect) for name, defect in DEFECTS.items()},
        "frontal views from elsewhere": {
            name: counted(orientation, map(_read, group)) for name, group in groups.items()
        },
        "lateral views": counted(orientation, map(_read, lateral)),
    }


def _found(orientation: OrientationCheck, sources: Iterable[Source], defect: Defect) -> dict[str, object]:
    images = [Radiograph(np.ascontiguousarray(defect.put(_read(source).pixels))) for source in sources]
    seen = [reasons(orientation, image) for image in images]
    return {"pictures": len(seen), "found": sum(defect.reason in found for found in seen)}


def counted(orientation: OrientationCheck, images: Iterable[Radiograph]) -> dict[str, object]:
    """Count the reasons given: ``pictures``, those with ``none``, and ``reasons`` by their code.

    Parameters
    ----------
    orientation
        The orientation check with its limits.
    images
        Pictures of adults.
    """
    seen = [reasons(orientation, image) for image in images]
    counts = Counter(reason.code for found in seen for reason in found)
    return {"pictures": len(seen), "none": sum(not found for found in seen), "reasons": dict(sorted(counts.items()))}


def reasons(orientation: OrientationCheck, image: Radiograph) -> frozenset[Reason]:
    """Return the reasons that all checks give for one picture, which is taken as an adult's.

    Parameters
    ----------
    orientation
        The orientation check with its limits.
    image
        The picture; it may be one that is refused.
    """
    try:
        return frozenset(flag.reason for flag in check(image, ADULT, orientation))
    except Refused as refused:
        return frozenset({refused.reason})


def _read(source: Source) -> Radiograph:
    return as_radiograph(read_picture(source.path))
