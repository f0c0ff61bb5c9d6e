"""Random changes of a radiograph that keep what it shows, and presets of them.

Only presets of papers mirror: the heart has a side, and so have the findings.

References
----------
Rajpurkar et al. 2017 (CheXNet: "random horizontal flipping"; github.com/jrzech/reproduce-chexnet, ``model.py``). Yuan
et al. 2021 (github.com/Optimization-AI/LibAUC, ``libauc/datasets/chexpert.py``, after github.com/jfhealthcare/Chexpert:
affine within 15 degrees, 5% and 0.95 to 1.05, filled with grey 128). Cohen et al. 2022
(github.com/mlmed/torchxrayvision, ``scripts/train_model.py``: affine within 45 degrees, 15% and 0.85 to 1.15, filled
with black). Howard and Gugger 2020 (github.com/fastai/fastai, ``vision/augment.py``, ``aug_transforms``). Zech et al.
2018 and DeGrave et al. 2021 (marks in corners and at borders mislead).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.study.errors import SettingsError
from candor.study.radiograph import Radiograph

Pixels = NDArray[np.float32]

COARSEST: Final = 64
"""Pixels of a coarse picture's shorter side, at least."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The range of each random change.

    Parameters
    ----------
    rotation
        Largest angle in degrees, to either side.
    zoom, shift
        Largest change, as a share of the picture's side.
    shrink
        Whether the zoom may shrink too; else it only enlarges.
    fill
        Value of pixels from outside the picture, in [0, 1]; None mirrors the picture at its border.
    often
        Probability of each of rotation, zoom, contrast and brightness, in [0, 1].
    contrast, brightness
        Largest change of the factor and of the offset, for pixels in [0, 1].
    gamma
        Largest change of the exponent's logarithm.
    flip
        Probability that left and right are exchanged, in [0, 1].
    blur
        Largest standard deviation of a Gaussian, as a share of the picture's shorter side; like an unsharp detector.
    coarse
        Probability, in [0, 1], that the picture is scaled down, to between 64 pixels and its own size, and up again: it
        hides which pictures came smaller than the network's input.
    noise
        Largest standard deviation of noise, for pixels in [0, 1]; like too low a dose.
    mask, mask_size
        Probability that each corner and each border is blanked, in [0, 1], and the largest blanked share of the side.
    """

    rotation: float = 8.0
    zoom: float = 0.12
    shift: float = 0.06
    contrast: float = 0.2
    brightness: float = 0.08
    gamma: float = 0.25
    flip: float = 0.0
    blur: float = 0.0
    coarse: float = 0.0
    noise: float = 0.0
    mask: float = 0.0
    mask_size: float = 0.15
    shrink: bool = True
    fill: float | None = 0.0
    often: float = 1.0


PRESETS: Final[dict[str, Augmentation | None]] = {
    "none": None,
    "plain": Augmentation(),
    "poor-equipment": Augmentation(blur=0.004, noise=0.05),
    "no-corners": Augmentation(mask=0.25),
    "mixed-sizes": Augmentation(mask=0.1, coarse=0.5),
    "chexnet": Augmentation(0, 0, 0, 0, 0, 0, flip=0.5),
    "auc-margin": Augmentation(rotation=15, zoom=0.05, shift=0.05, contrast=0, brightness=0, gamma=0, fill=128 / 255),
    "torchxrayvision": Augmentation(rotation=45, zoom=0.15, shift=0.15, contrast=0, brightness=0, gamma=0),
    "fastai": Augmentation(
        rotation=10,
        zoom=0.1,
        shift=0,
        contrast=0.2,
        brightness=0.1,
        gamma=0,
        flip=0.5,
        shrink=False,
        fill=None,
        often=0.75,
    ),
}
"""Augmentations by name: ours, then those of the papers.

Three things differ from fastai's defaults. fastai warps the perspective too. It zooms about a random point, we about
the middle. It changes tones in log-odds; we change the pixels, by what its change does to a mid grey.
"""


def preset(name: str) -> Augmentation | None:
    """Return the augmentation of a name; None is the preset without changes.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    if name not in PRESETS:
        raise SettingsError(f"augmentation is {name!r}; it can be {', '.join(PRESETS)}")
    return PRESETS[name]


def augment(image: Radiograph, how: Augmentation, rng: np.random.Generator) -> Radiograph:
    """Change a picture at random: move it, change its tones, mirror it, then blur, noise and mask it. The shape stays.

    Parameters
    ----------
    image
        The picture to change; it is left as it is.
    how
        The range of each change.
    rng
        Source of the randomness; the same state gives the same picture.
    """
    pixels = _toned(_placed(image.pixels, how, rng), how, rng)
    if how.flip and rng.random() < how.flip:
        pixels = pixels[:, ::-1]
    pixels = _spoilt(pixels, how, rng)
    return Radiograph(np.clip(pixels, 0, 1).astype(np.float32), image.spacing, image.columns_to_left)


def _placed(pixels: Pixels, how: Augmentation, rng: np.random.Generator) -> Pixels:
    rows, columns = pixels.shape
    turn = _drawn(how, rng) * rng.uniform(-how.rotation, how.rotation)
    zoom = _drawn(how, rng) * rng.uniform(-how.zoom if how.shrink else 0, how.zoom)
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), turn, 1 + zoom)
    matrix[:, 2] += rng.uniform(-how.shift, how.shift, 2) * np.asarray([columns, rows])
    border, fill = (cv2.BORDER_REFLECT_101, 0.0) if how.fill is None else (cv2.BORDER_CONSTANT, how.fill)
    moved = cv2.warpAffine(
        pixels, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(fill,)
    )
    return np.asarray(moved, np.float32)


def _drawn(how: Augmentation, rng: np.random.Generator) -> bool:
    # No draw where a change is always made, so that a seed still gives what it gave before there was a choice.
    return how.often >= 1 or bool(rng.random() < how.often)


def _toned(pixels: Pixels, how: Augmentation, rng: np.random.Generator) -> Pixels:
    pixels = np.power(pixels, np.float32(np.exp(rng.uniform(-how.gamma, how.gamma))))
    contrast = _drawn(how, rng) * rng.uniform(-how.contrast, how.contrast)
    brightness = _drawn(how, rng) * rng.uniform(-how.brightness, how.brightness)
    pixels = (pixels - np.float32(0.5)) * np.float32(1 + contrast) + np.float32(0.5)
    return np.asarray(pixels + np.float32(brightness), np.float32)


def _spoilt(pixels: Pixels, how: Augmentation, rng: np.random.Generator) -> Pixels:
    if how.blur:
        deviation = rng.uniform(0, how.blur) * min(pixels.shape)
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), max(deviation, 1e-3)), np.float32)
    if how.coarse and rng.random() < how.coarse:
        pixels = _coarser(pixels, rng)
    if how.noise:
        grain = rng.standard_normal(pixels.shape, np.float32)
        pixels = pixels + grain * np.float32(rng.uniform(0, how.noise))
    return _masked(pixels, how, rng) if how.mask else pixels


def _coarser(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    rows, columns = pixels.shape
    scale = np.exp(rng.uniform(np.log(min(COARSEST / min(rows, columns), 1)), 0))
    small = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    shrunk = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def _masked(pixels: Pixels, how: Augmentation, rng: np.random.Generator) -> Pixels:
    """Blank corners and borders, each at random, with the picture's mean: black would be a mark of its own."""
    masked, fill = pixels.copy(), pixels.mean()
    deep = slice(None)
    for rows in (0, 1, None):
        for columns in (0, 1, None):
            if (rows, columns) != (None, None) and rng.random() < how.mask:
                high, wide = rng.uniform(0, how.mask_size, 2)
                across = deep if columns is None else _end(columns, wide, pixels.shape[1])
                masked[deep if rows is None else _end(rows, high, pixels.shape[0]), across] = fill
    return masked


def _end(last: int, share: float, length: int) -> slice:
    size = round(share * length)
    return slice(length - size, length) if last else slice(0, size)
