"""The shortcut audit: whether an answer depends on a mark or a border rather than on the patient.

Each image is classified twice, as it is and with its marks and borders blanked. Evidence in the patient stays; evidence
in a letter in a corner goes. The audit cannot find shortcuts that cover the whole picture, such as the grey texture of
one scanner; ``python -m training probe`` looks for those.

References
----------
Zech et al. 2018. DeGrave et al. 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.decide.calibration import Calibration
from candor.model.outputs import Engine
from candor.model.preprocess import InputSpec, network_pixels, with_change
from candor.picture.lungs import LungField, field
from candor.picture.marks import Marks, candidates, in_corners, inner, outside, without, without_borders
from candor.study.result import ShortcutAudit

Floats = NDArray[np.float32]

BATCH: Final = 16
"""The number of pictures that :func:`region_map` classifies at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Blanked:
    """The network's input of an image without its marks and borders.

    Parameters
    ----------
    what
        What was blanked, in words: ``"the marks in the upper left corner and the borders"``.
    network_input
        ``(sizes, side, side)`` float32.
    """

    what: str
    network_input: Floats


class Auditor:
    """Blanks marks and borders of an image, and compares the network's answers.

    Parameters
    ----------
    spec
        The form of the network's input.
    lungs
        Finds the lungs, in which nothing is blanked.
    calibration
        The calibration of the network's logits.
    """

    def __init__(self, spec: InputSpec, lungs: LungField, calibration: Calibration) -> None:
        self._spec = spec
        self._lungs = lungs
        self._calibration = calibration

    def blank(self, network_input: Floats) -> Blanked | None:
        """Return a network input ``(sizes, side, side)`` without its marks and borders; None where there are none."""
        pixels = network_pixels(network_input, self._spec)
        marks, within = self._marks(pixels), inner(pixels)
        if marks is None and within is None:
            return None
        if marks is not None:
            pixels = without(pixels, marks.mask)
        if within is not None:
            pixels = without_borders(pixels, within)
        blanked = with_change(network_input, self._spec, pixels)
        return Blanked(_in_words(marks, borders=within is not None), blanked)

    def compare(self, blanked: Blanked, logits: Floats, logits_without: Floats) -> ShortcutAudit:
        """Return the changes of an image's answers.

        Parameters
        ----------
        blanked
            The result of :meth:`blank` for the image.
        logits, logits_without
            ``(findings,)`` float32: of the image, and of its blanked network input.
        """
        before, after = self._calibration.log_odds(np.stack([logits, logits_without]))
        return ShortcutAudit(blanked.what, after - before)

    def _marks(self, pixels: Floats) -> Marks | None:
        """Return the marks. The lungs are only searched for where a candidate could be in them."""
        pieces = candidates(pixels)
        if not pieces.any():
            return None
        marks = outside(pieces, None if in_corners(pieces) else self._lung(pixels))
        return marks if marks.places else None

    def _lung(self, pixels: Floats) -> NDArray[np.bool_]:
        spec = self._lungs.input
        small = cv2.resize(pixels, (spec.side, spec.side), interpolation=cv2.INTER_AREA)
        scaled = np.asarray((small - spec.mean) / spec.std, np.float32)
        return field(self._lungs.probabilities(scaled[np.newaxis, np.newaxis])[0, 0])


def _in_words(marks: Marks | None, *, borders: bool) -> str:
    parts = [] if marks is None else [f"the marks {_listed(marks.places)}"]
    return " and ".join(parts + ["the borders"] * borders)


def _listed(places: Sequence[str]) -> str:
    *first, last = places
    return f"{', '.join(first)} and {last}" if first else last


def region_map(
    engine: Engine, calibration: Calibration, network_input: Floats, spec: InputSpec, grid: int = 8
) -> NDArray[np.float64]:
    """Return how the answers change when each region of an image is blanked.

    Parameters
    ----------
    engine
        Runs the network.
    calibration
        The calibration of its logits.
    network_input
        ``(sizes, side, side)`` float32.
    spec
        The form of the network's input.
    grid
        Regions along a side, 1 to ``side``.

    Returns
    -------
    ``(findings, grid, grid)`` float64: ln(p of the image without the region / p of the image). Negative where the
    region is evidence for the finding, positive where it is evidence against it.

    Raises
    ------
    ValueError
        ``grid`` is out of its range.

    References
    ----------
    Zech et al. 2018, whose maps compare a region's probability with the baseline's by the same logarithm.
    """
    pixels = network_pixels(network_input, spec)
    if not 1 <= grid <= len(pixels):
        raise ValueError(f"a grid has 1 to {len(pixels)} regions a side, not {grid}")
    blanked = (with_change(network_input, spec, without(pixels, region)) for region in _regions(len(pixels), grid))
    inputs = np.stack([network_input, *blanked])
    logits = [engine.run(inputs[start : start + BATCH]).logits for start in range(0, len(inputs), BATCH)]
    baseline, *regions = np.log(calibration.probabilities(np.concatenate(logits)))
    return np.asarray(np.stack(regions, axis=-1) - baseline[:, np.newaxis], np.float64).reshape(-1, grid, grid)


def _regions(side: int, grid: int) -> list[NDArray[np.bool_]]:
    """Return the masks ``(side, side)`` of all regions, row by row."""
    cell = np.arange(side) * grid // side
    number = cell[:, np.newaxis] * grid + cell
    return [number == k for k in range(grid * grid)]
