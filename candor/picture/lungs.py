"""The lung field of a frontal radiograph, including the parts of the lungs behind the heart.

A small U-Net finds it on a fixed grid over the whole picture, as heatmaps have. It was trained on the few pictures
whose licences allow it; ``docs/explanation/lung-field.md`` has its accuracy. It is only used to compare heatmaps with
the lungs, never to answer for a finding.

References
----------
Ronneberger et al. 2015 (U-Net).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.files.reader import JsonFile, Record, Text
from candor.model.onnx_engine import open_session
from candor.model.preprocess import InputSpec, to_network_input
from candor.study.radiograph import Radiograph

Mask = NDArray[np.bool_]

ASSET: Final = Path(__file__).parent / "assets" / "lungs.onnx"
"""The shipped network. Its card, ``lungs.json``, lists the training data and holds its SHA-256."""

SHARES: Final = (0.08, 0.70)
"""Smallest and largest plausible share of the lungs in a chest radiograph.

Lung fields that people drew cover 0.09 to 0.61 of 232 frontal radiographs.
"""

_REMEDY: Final = "install Candor again, or train it again with 'python -m training train-lungs'"


class Card(Record):
    """The fields of ``lungs.json`` that loading needs."""

    sha256: Text
    input: InputSpec


class LungField:
    """The network that finds the lungs, loaded once; it runs in one thread.

    Parameters
    ----------
    asset
        The ONNX graph, with its card in the same folder. It maps ``image`` ``(n, 1, side, side)`` float32 to ``lung``,
        the probability of each cell, in [0, 1].

    Raises
    ------
    BundleError
        The graph or its card is missing or damaged, or they do not belong together.
    """

    def __init__(self, asset: Path = ASSET) -> None:
        file = JsonFile(asset.with_suffix(".json"), _REMEDY)
        card = file.read(Card)
        file.require_hash("sha256", card.sha256, asset)
        self.input = card.input
        self._session = open_session(asset, 1, _REMEDY)

    def mask(self, image: Radiograph) -> Mask:
        """Return the lung field of one frontal radiograph.

        Parameters
        ----------
        image
            ``pixels``: ``(rows, columns)`` float32 in [0, 1], 0 is black.

        Returns
        -------
        ``(side, side)`` bool: rows and columns span the whole picture, whatever its shape. It may be
        wrong; :func:`implausible` checks it.

        Raises
        ------
        Refused
            ``TOO_SMALL``: either side is under ``input.side``.
        """
        return field(self.probabilities(to_network_input(image, self.input)[np.newaxis])[0, 0])

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability that each cell is lung, in [0, 1], for network inputs ``(n, 1, side, side)``."""
        (lung,) = self._session.run(["lung"], {"image": images})
        return np.asarray(lung, np.float32)


def field(probabilities: NDArray[np.float32]) -> Mask:
    """Return the lung field: the two largest connected pieces with a probability over 0.5, without holes.

    Parameters
    ----------
    probabilities
        ``(height, width)`` float32, in [0, 1].
    """
    likely = (probabilities > 0.5).astype(np.uint8)
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(likely, connectivity=4)
    largest = 1 + np.argsort(-facts[1:, cv2.CC_STAT_AREA], kind="stable")[:2]
    kept = np.isin(pieces, largest).astype(np.uint8)
    outlines, _ = cv2.findContours(kept, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(kept, outlines, -1, 1, cv2.FILLED), np.bool_)


def share(mask: Mask) -> float:
    """Return the share of the picture that is lung, in [0, 1]."""
    return float(mask.mean())


def implausible(mask: Mask) -> str | None:
    """Return a sentence about why a mask is not the lung field of a frontal chest; None where it may be.

    A single lung is plausible: the other may have been removed, be collapsed, or be white with fluid.
    """
    lowest, highest = SHARES
    found = share(mask)
    if not mask.any():
        return "no lung field was found"
    if not lowest <= found <= highest:
        return f"the lung field takes {found:.0%} of the picture, and {lowest:.0%} to {highest:.0%} would be plausible"
    return None
