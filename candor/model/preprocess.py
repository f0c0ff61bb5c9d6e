"""Preprocessing: from a radiograph to the network's input, the same for training and inference.

The picture is resized to a square by area averaging, as ChestX-ray14's own 1024 x 1024 pictures were, and
standardised with the mean and the standard deviation of the training images. Resizing implementations differ by up to
0.17 of the range, so this one must not change: a bundle that was trained with another cannot be used with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from candor.files.reader import Whole
from candor.study.errors import Refused
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason

Floats = NDArray[np.float32]
Side = Annotated[Whole, Field(ge=16, le=4096)]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The form of the network's input. The limits are checked when it is read from a file.

    Parameters
    ----------
    side
        Rows and columns, in pixels.
    mean, std
        Mean and standard deviation of pixels in [0, 1] over the training images.
    smaller_sides
        Further sizes of the picture, the largest first, where the members of an ensemble read several.
    detail
        The picture is reduced to so many rows and columns first, and enlarged again where a member reads more: networks
        that learnt from pictures of several sizes see the same detail in all. None for all the detail that there is.
    """

    side: Side
    mean: Annotated[float, Field(ge=0, le=1)]
    std: Annotated[float, Field(ge=1e-3, le=1)]
    smaller_sides: tuple[Side, ...] = ()
    detail: Side | None = None

    @property
    def least(self) -> int:
        """The least rows and columns of a picture that need not be enlarged."""
        return min(self.side, self.detail or self.side)

    @property
    def sides(self) -> tuple[int, ...]:
        """All sizes of the picture, the largest first."""
        return (self.side, *self.smaller_sides)


def to_network_input(image: Radiograph, spec: InputSpec) -> Floats:
    """Return one radiograph as the network's input.

    Parameters
    ----------
    image
        ``pixels``: ``(rows, columns)`` float32 in [0, 1], 0 is black.
    spec
        From the bundle's ``metadata.json``.

    Returns
    -------
    ``(sizes, side, side)`` float32: the picture at each size. A smaller one is in the upper left of its channel, and
    the rest of the channel is 0.

    Raises
    ------
    Refused
        ``TOO_SMALL``: either side is under ``spec.least``; enlarging would invent detail.
    """
    if min(image.rows, image.columns) < spec.least:
        raise Refused(
            Reason.TOO_SMALL, f"{image.rows} x {image.columns} pixels, and the network needs {spec.least} a side"
        )
    pixels = image.pixels if spec.detail is None else _resized(image.pixels, spec.detail)
    return _stacked([_resized(pixels, side) for side in spec.sides], spec)


def with_change(network_input: Floats, spec: InputSpec, pixels: Floats) -> Floats:
    """Return a network input in which the picture is changed.

    Parameters
    ----------
    network_input
        From :func:`to_network_input`.
    spec
        The form of the input.
    pixels
        ``(side, side)`` float32 in [0, 1]: the changed picture at the largest size. The smaller ones change by as much
        as its area average does, so that they keep their own detail elsewhere.
    """
    change = pixels - network_pixels(network_input, spec)
    pictures = [
        network_pixels(channel[np.newaxis, :side, :side], spec) + _resized(change, side)
        for channel, side in zip(network_input[1:], spec.smaller_sides, strict=True)
    ]
    return _stacked([pixels, *pictures], spec)


def network_pixels(network_input: Floats, spec: InputSpec) -> Floats:
    """Return the picture ``(side, side)`` in [0, 1] of a network input, at the largest size.

    Parameters
    ----------
    network_input
        From :func:`to_network_input`.
    spec
        The form of the input.
    """
    return np.asarray(network_input[0] * np.float32(spec.std) + np.float32(spec.mean), np.float32)


def _resized(pixels: Floats, side: int) -> Floats:
    if pixels.shape == (side, side):
        return pixels
    how = cv2.INTER_LINEAR if side > min(pixels.shape) else cv2.INTER_AREA
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=how), np.float32)


def _stacked(pictures: Sequence[Floats], spec: InputSpec) -> Floats:
    stacked = np.zeros((len(pictures), spec.side, spec.side), np.float32)
    for channel, picture in zip(stacked, pictures, strict=True):
        rows, columns = picture.shape
        channel[:rows, :columns] = (picture - np.float32(spec.mean)) / np.float32(spec.std)
    return stacked
