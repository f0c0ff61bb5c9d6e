"""The orientation check: a small network that runs on each picture before the classifier does.

It answers four questions about one picture: are black and white exchanged, by how many quarter turns is it rotated,
is it mirrored, and is it a frontal chest, a lateral chest, or neither. It ships with the application
(``candor/picture/assets``), is the same for every bundle, and knows nothing about findings. ``python -m training
train-screen`` makes it; its card lists the data and the error rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from candor.files.hashes import file_sha256
from candor.files.reader import JsonFile, Record, Text
from candor.model.onnx_engine import open_session
from candor.study.radiograph import Radiograph

SIDE: Final = 96
"""Rows and columns of the network's input."""

ASSETS: Final = Path(__file__).resolve().parent / "assets"
GRAPH: Final = "screen.onnx"
CARD: Final = "screen.json"
OUTPUTS: Final = ("inverted", "turned", "mirrored", "projection")

_REMEDY: Final = "install Candor again, or make the orientation check again (python -m training train-screen)"
_DARK: Final = 1.0  # percent of the pixels that become black
_LEAST_RANGE: Final = 1e-3  # of greys; a smaller range is noise and is not stretched

Floats = NDArray[np.float32]
Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Look:
    """The network's answers for one picture: its probabilities, which are not calibrated.

    Parameters
    ----------
    inverted
        Probability that black and white are exchanged.
    turned
        Probabilities that the picture was turned counter-clockwise by 0, 1, 2 and 3 quarters; they sum to 1.
    mirrored
        Probability that left and right are exchanged. Only meaningful for an upright frontal chest.
    lateral, no_chest
        Probabilities that the picture is a lateral chest, and that it is not a chest. The remainder is the
        probability of a frontal chest.
    """

    inverted: float
    turned: tuple[float, float, float, float]
    mirrored: float
    lateral: float
    no_chest: float

    @property
    def rotated(self) -> float:
        """Probability that the picture is not upright."""
        return 1 - self.turned[0]


@dataclass(frozen=True, slots=True)
class Limits:
    """The probability from which each answer counts, in (0, 1]. Set on patients who are not in the training data."""

    inverted: Probability
    rotated: Probability
    mirrored: Probability
    lateral: Probability
    no_chest: Probability


class Card(Record):
    """The fields of ``screen.json`` that loading needs."""

    graph_sha256: Text
    limits: Limits


def to_check_input(image: Radiograph) -> Floats:
    """Return one radiograph as the network's input.

    Parameters
    ----------
    image
        ``pixels``: ``(rows, columns)`` float32 in [0, 1], of any size but empty.

    Returns
    -------
    ``(1, SIDE, SIDE)`` float32 in [0, 1]: the darkest hundredth of the pixels black, the brightest white.
    """
    small = np.asarray(cv2.resize(image.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)
    return stretched(small)[np.newaxis]


def stretched(pixels: Floats) -> Floats:
    """Return the pixels with their greys stretched over [0, 1]; black stays darker than white."""
    low, high = np.percentile(pixels, [_DARK, 100 - _DARK])
    return np.asarray(np.clip((pixels - low) / max(high - low, _LEAST_RANGE), 0, 1), np.float32)


class OrientationCheck:
    """The orientation check, loaded once. It runs on one thread, because a picture takes about a millisecond.

    Parameters
    ----------
    graph
        The ONNX file.
    limits
        The probability from which each answer counts.

    Raises
    ------
    BundleError
        The graph is missing or damaged.
    """

    def __init__(self, graph: Path, limits: Limits) -> None:
        self.limits: Final = limits
        self.sha256: Final = file_sha256(graph)
        """Hash of the graph, in hexadecimal."""
        self._session = open_session(graph, 1, _REMEDY)

    def look(self, image: Radiograph) -> Look:
        """Return the answers for one radiograph, of any size but empty."""
        return self.look_at(to_check_input(image)[np.newaxis])[0]

    def look_at(self, inputs: Floats) -> list[Look]:
        """Return the answers for ``(n, 1, SIDE, SIDE)`` float32 from :func:`to_check_input`."""
        answers = self._session.run(list(OUTPUTS), {"image": inputs})
        return [
            Look(
                inverted=float(inverted),
                turned=(float(turned[0]), float(turned[1]), float(turned[2]), float(turned[3])),
                mirrored=float(mirrored),
                lateral=float(projection[1]),
                no_chest=float(projection[2]),
            )
            for inverted, turned, mirrored, projection in zip(*answers, strict=True)
        ]


def load_orientation_check(folder: Path = ASSETS) -> OrientationCheck:
    """Load the orientation check and its limits.

    Raises
    ------
    BundleError
        The graph or its card is missing or damaged, or the card belongs to another graph.
    """
    file = JsonFile(folder / CARD, _REMEDY)
    card = file.read(Card)
    orientation = OrientationCheck(folder / GRAPH, card.limits)
    file.require_hash("graph_sha256", card.graph_sha256, folder / GRAPH, orientation.sha256)
    return orientation
