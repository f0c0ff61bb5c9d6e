"""The lung field: where on a frontal radiograph the lungs lie, what they hide behind the heart's shadow included.

A small U-Net answers on a fixed grid that spans the whole picture, as heatmaps do. It was trained on pictures whose
licences allow it, which are few: how well it does stands in ``docs/explanation/lung-field.md``. It says where a
heatmap should lie, and never what a finding is.

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
"""The shipped network; the card beside it, ``lungs.json``, says what it was trained on and binds its SHA-256."""

SHARES: Final = (0.08, 0.70)
"""Least and largest share of a chest radiograph that is lung.

Drawn by people, the field takes 0.09 to 0.61 of 232 frontal radiographs.
"""

_REMEDY: Final = "install Candor again, or train it again with 'python -m training train-lungs'"


class Card(Record):
    """What loading needs of the network's card."""

    sha256: Text
    input: InputSpec


class LungField:
    """The network that finds the lungs, loaded once; it runs in one thread.

    Parameters
    ----------
    asset
        The ONNX graph, with its card beside it: ``image`` ``(n, 1, side, side)`` float32 to ``lung``, the
        probability of each cell, in [0, 1].

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
        """Find the lung field of one frontal radiograph.

        Parameters
        ----------
        image
            ``pixels``: ``(rows, columns)`` float32 in [0, 1], 0 is black.

        Returns
        -------
        ``(side, side)`` bool: rows and columns span the whole picture, whatever its shape. Always an answer;
        :func:`implausible` says whether to believe it.

        Raises
        ------
        Refused
            ``TOO_SMALL``: either side is under ``input.side``.
        """
        return field(self.probabilities(to_network_input(image, self.input)[np.newaxis])[0, 0])

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Say how likely each cell is lung, for ``(n, 1, side, side)`` network inputs: the same shape, in [0, 1]."""
        (lung,) = self._session.run(["lung"], {"image": images})
        return np.asarray(lung, np.float32)


def field(probabilities: NDArray[np.float32]) -> Mask:
    """Keep what is likelier lung than not: the two largest connected pieces, without holes.

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
    """Say how much of the picture is lung, in [0, 1]."""
    return float(mask.mean())


def implausible(mask: Mask) -> str | None:
    """Say why a mask is no lung field of a frontal chest radiograph, in one sentence; None where it may be one.

    One lung alone is plausible: the other may be gone, collapsed, or white with fluid.
    """
    lowest, highest = SHARES
    found = share(mask)
    if not mask.any():
        return "no lung field was found"
    if not lowest <= found <= highest:
        return f"the lung field takes {found:.0%} of the picture, and {lowest:.0%} to {highest:.0%} would be plausible"
    return None
