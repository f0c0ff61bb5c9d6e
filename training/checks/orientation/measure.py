"""Set the orientation check's limits on patients whom it never saw, and measure all checks of a picture out of fold.

The checks are those that the application runs, :func:`candor.picture.quality.check`, on pictures as they are and on
pictures with defects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.picture.orientation import Limits, Look, OrientationCheck
from candor.picture.quality import ADULT, check
from candor.study.errors import DataError, Refused
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from training.checks.orientation.examples import defective
from training.checks.orientation.sources import LATERAL, Source
from training.data.pictures import as_radiograph, read_picture
from training.data.readers import nih
from training.data.splits import Subset
from training.predictions.cross_fitting import Bools, out_of_fold

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
        The UNSEEN adults of ChestX-ray14 are used.

    Raises
    ------
    DataError
        There are none.
    """
    looks = [orientation.look(_read(source)) for source in _official(sources)]
    if not looks:
        raise DataError(
            "no picture to set the orientation check's limits on; the official test list's patients are needed"
        )
    return _limits(looks)


def _official(sources: Iterable[Source]) -> list[Source]:
    return [s for s in sources if s.data == nih.NAME and s.subset is Subset.UNSEEN and is_adult(s)]


def _limits(looks: Sequence[Look]) -> Limits:
    return Limits(**{name: _limit([getattr(look, name) for look in looks]) for name in Limits.__slots__})


def _limit(scores: Sequence[float]) -> float:
    """Return the lowest limit above all but the allowed number of scores; a score equal to the limit passes it."""
    allowed = int(FALSE_ALARMS * len(scores))
    highest = sorted(scores, reverse=True)[allowed]
    return max(LEAST_LIMIT, math.nextafter(highest, math.inf))


def figures(graph: Path, orientation: OrientationCheck, sources: Sequence[Source]) -> dict[str, object]:
    """Measure all checks of a picture on patients whom the orientation check never saw.

    The adults of ChestX-ray14, on whom the limits are set, are measured out of fold.

    Parameters
    ----------
    graph
        The ONNX file of the orientation check.
    orientation
        The orientation check with its limits.
    sources
        Those of the UNSEEN patients are used.

    Returns
    -------
    For each group of pictures their number, and how often each reason was given; for each defect how often its own
    reason was given.
    """
    unseen = [source for source in sources if source.subset is Subset.UNSEEN]
    elsewhere = [source for source in unseen if source.data != nih.NAME and source.view in ("PA", "AP")]
    groups = {source.data: [s for s in elsewhere if s.data == source.data] for source in elsewhere}
    lateral = [source for source in unseen if source.view == LATERAL]
    official = _official(sources)
    patients = np.asarray([source.patient for source in official], np.str_)
    looks = [orientation.look(_read(source)) for source in official]

    def given(put: Callable[[Pixels], Pixels]) -> Bools:
        """Return which reasons are given for each official picture, by limits from the other patients."""

        def of_fold(rest: Bools, fold: Bools) -> NDArray[np.float64]:
            check = OrientationCheck(graph, _limits(list(compress(looks, rest))))
            seen = (put(_read(source).pixels) for source in compress(official, fold))
            return reasons(check, (Radiograph(np.ascontiguousarray(pixels)) for pixels in seen)).astype(np.float64)

        return np.asarray(out_of_fold(patients, of_fold) > 0, np.bool_)

    return {
        "adults of ChestX-ray14, out of fold": _counts(given(np.asarray)),
        "with a defect": {name: _found(given(defect.put), defect.reason) for name, defect in DEFECTS.items()},
        "frontal views from elsewhere": {
            name: counted(orientation, map(_read, group)) for name, group in groups.items()
        },
        "lateral views": counted(orientation, map(_read, lateral)),
    }


def _found(given: Bools, reason: Reason) -> dict[str, object]:
    return {"pictures": len(given), "found": int(given[:, list(Reason).index(reason)].sum())}


def counted(orientation: OrientationCheck, images: Iterable[Radiograph]) -> dict[str, object]:
    """Count the reasons given: ``pictures``, those with ``none``, and ``reasons`` by their code.

    Parameters
    ----------
    orientation
        The orientation check with its limits.
    images
        Pictures of adults.
    """
    return _counts(reasons(orientation, images))


def _counts(given: Bools) -> dict[str, object]:
    codes = {reason.code: int(n) for reason, n in zip(Reason, given.sum(axis=0), strict=True) if n}
    return {"pictures": len(given), "none": int((~given.any(axis=1)).sum()), "reasons": dict(sorted(codes.items()))}


def reasons(orientation: OrientationCheck, images: Iterable[Radiograph]) -> Bools:
    """Return which reasons all checks give for each picture: ``(pictures, reasons)``, in the order of :class:`Reason`.

    Parameters
    ----------
    orientation
        The orientation check with its limits.
    images
        Pictures, taken as adults'; some may be refused.
    """
    given = [_reasons(orientation, image) for image in images]
    rows = [[reason in found for reason in Reason] for found in given]
    return np.asarray(rows, np.bool_).reshape(len(rows), len(Reason))


def _reasons(orientation: OrientationCheck, image: Radiograph) -> frozenset[Reason]:
    try:
        return frozenset(flag.reason for flag in check(image, ADULT, orientation))
    except Refused as refused:
        return frozenset({refused.reason})


def _read(source: Source) -> Radiograph:
    return as_radiograph(read_picture(source.path))
