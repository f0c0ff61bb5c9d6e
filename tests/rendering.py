"""What DCMTK shows of an object: a renderer that shares no code with what made it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Points = NDArray[np.float32]


def image(file: Path) -> Picture:
    """Render an image with its first window: ``(rows, columns)`` grey, or ``(rows, columns, 3)`` RGB."""
    return _rendered("dcm2pnm", "+Wi", "1", file)


def colour_image(file: Path) -> Picture:
    """Render a colour image, which has no window: ``(rows, columns, 3)``."""
    return _rendered("dcm2pnm", file)


def under_presentation_state(state: Path, file: Path) -> Picture:
    """Render an image with the grey-scale of a presentation state: ``(rows, columns)``; DCMTK draws no vectors."""
    return _rendered("dcmp2pgm", "-p", state, file)


def outlines(state: Path) -> dict[str, list[Points]]:
    """Read the lines of a presentation state, by graphic layer, with DCMTK's own reader: ``(corners, 2)`` of (x, y)."""
    data = json.loads(_run("dcm2json", state))
    return {
        _value(annotation, "00700002"): [
            np.array(line["00700022"]["Value"], np.float32).reshape(-1, 2) for line in _items(annotation, "00700009")
        ]
        for annotation in _items(data, "00700001")
    }


def inside(lines: Sequence[Points], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill the lines: ``(rows, columns)``, true for pixels inside; coordinates have their origin at the corner."""
    filled = np.zeros(shape, np.uint8)
    for line in lines:
        # OpenCV counts from the centre of the first pixel; 4 bits are for fractions of a pixel.
        cv2.fillPoly(filled, [np.round((line - 0.5) * 16).astype(np.int32)], 1, shift=4)
    return filled.astype(np.bool_)


@dataclass(frozen=True)
class Likeness:
    """Where and how a picture shows another.

    Parameters
    ----------
    way
        ``"as it is"``, or what was done to it: mirrored, upside down, turned by 180 degrees, and made negative.
    correlation
        Of the pixels, at most 1.
    row, column
        Where its top left corner lies.
    """

    way: str
    correlation: float
    row: int
    column: int


def likeness(picture: NDArray[Any], original: NDArray[Any]) -> Likeness:
    """Find the way and the place in which a picture shows its original best.

    Parameters
    ----------
    picture
        ``(rows, columns)`` grey, not smaller than the original.
    original
        ``(rows, columns)`` grey.
    """
    ways = {
        "as it is": original,
        "mirrored": original[:, ::-1],
        "upside down": original[::-1],
        "turned": original[::-1, ::-1],
    }
    found = []
    for way, shown in ways.items():
        scores = cv2.matchTemplate(picture.astype(np.float32), shown.astype(np.float32), cv2.TM_CCOEFF_NORMED)
        low, high, low_at, high_at = cv2.minMaxLoc(scores)
        found += [Likeness(way, high, high_at[1], high_at[0]), Likeness(f"{way}, negative", -low, low_at[1], low_at[0])]
    return max(found, key=lambda each: each.correlation)


def _rendered(*command: str | Path) -> Picture:
    """Run a renderer that writes a bitmap after its input, and read the bitmap."""
    target = Path(command[-1]).with_suffix(".rendered.pnm")
    _run(*command, target)
    bitmap = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert bitmap is not None, f"{command[0]} wrote no bitmap that can be read"
    return np.asarray(bitmap if bitmap.ndim == 2 else bitmap[..., ::-1], np.uint8)


def _run(*command: str | Path) -> str:
    words = [str(part) for part in command]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _items(item: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = item.get(tag, {}).get("Value", [])
    return found


def _value(item: dict[str, Any], tag: str) -> str:
    return str(item[tag]["Value"][0])
