"""The screen: a small network that tells how a radiograph lies on the display, before anything else is asked of it.

It answers four questions about one picture: are black and white exchanged, by how many quarter turns is it turned,
is it mirrored, and is it a frontal chest, a chest from the side, or neither. It ships with the application
(``candor/picture/assets``), is the same for every bundle, and knows nothing about findings. ``python -m training
train-screen`` makes it; its card says from what, and how often it errs.
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
"""Of the screen's input, in pixels."""

ASSETS: Final = Path(__file__).resolve().parent / "assets"
GRAPH: Final = "screen.onnx"
CARD: Final = "screen.json"
OUTPUTS: Final = ("inverted", "turned", "mirrored", "projection")

_REMEDY: Final = "install Candor again, or make the screen again (python -m training train-screen)"
_DARK: Final = 1.0  # percent of the pixels that are shown black
_LEAST_RANGE: Final = 1e-3  # of greys; less is noise, and not to be stretched

Floats = NDArray[np.float32]
Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Look:
    """What the screen makes of one picture; probabilities of a network, not of a population.

    Parameters
    ----------
    inverted
        That black and white are exchanged.
    turned
        That the picture was turned counter-clockwise by 0, 1, 2 and 3 quarters; they sum to 1.
    mirrored
        That left and right are exchanged. It means nothing where the picture is turned or no frontal chest.
    lateral, no_chest
        That the picture is a chest from the side; that it is no chest. The rest is for a frontal chest.
    """

    inverted: float
    turned: tuple[float, float, float, float]
    mirrored: float
    lateral: float
    no_chest: float

    @property
    def rotated(self) -> float:
        """That the picture does not stand upright."""
        return 1 - self.turned[0]


@dataclass(frozen=True, slots=True)
class Limits:
    """From which probability on each answer counts; in (0, 1]. Set on patients whom the screen never saw."""

    inverted: Probability
    rotated: Probability
    mirrored: Probability
    lateral: Probability
    no_chest: Probability


class Card(Record):
    """What loading needs of the screen's card."""

    graph_sha256: Text
    limits: Limits


def to_screen_input(image: Radiograph) -> Floats:
    """Squeeze one radiograph to what the screen was trained on.

    Parameters
    ----------
    image
        ``pixels``: ``(rows, columns)`` float32 in [0, 1], of any size but none.

    Returns
    -------
    ``(1, SIDE, SIDE)`` float32 in [0, 1]: the darkest hundredth of the pixels black, the brightest white.
    """
    small = np.asarray(cv2.resize(image.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)
    return stretched(small)[np.newaxis]


def stretched(pixels: Floats) -> Floats:
    """Spread the greys over [0, 1]; which of them are the darker ones stays."""
    low, high = np.percentile(pixels, [_DARK, 100 - _DARK])
    return np.asarray(np.clip((pixels - low) / max(high - low, _LEAST_RANGE), 0, 1), np.float32)


class Screen:
    """The screen, loaded once; it runs on one thread, since a look takes about a millisecond.

    Parameters
    ----------
    graph
        The ONNX file.
    limits
        From which probability on each answer counts.

    Raises
    ------
    BundleError
        The graph is missing or damaged.
    """

    def __init__(self, graph: Path, limits: Limits) -> None:
        self.limits: Final = limits
        self.sha256: Final = file_sha256(graph)
        """Of the graph, in hexadecimal."""
        self._session = open_session(graph, 1, _REMEDY)

    def look(self, image: Radiograph) -> Look:
        """Look at one radiograph, of any size but none."""
        return self.look_at(to_screen_input(image)[np.newaxis])[0]

    def look_at(self, inputs: Floats) -> list[Look]:
        """Look at ``(n, 1, SIDE, SIDE)`` float32 from :func:`to_screen_input`."""
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


def load_screen(folder: Path = ASSETS) -> Screen:
    """Load the screen and its limits.

    Raises
    ------
    BundleError
        The graph or its card is missing or damaged, or the card belongs to another graph.
    """
    file = JsonFile(folder / CARD, _REMEDY)
    card = file.read(Card)
    screen = Screen(folder / GRAPH, card.limits)
    file.require_hash("graph_sha256", card.graph_sha256, folder / GRAPH, screen.sha256)
    return screen
