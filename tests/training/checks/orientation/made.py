"""Made-up pictures for the tests of this folder."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.checks.orientation.sources import (
    STORED_SIDE,
    Source,
)
from training.data.splits import Subset


def write_table(path: Path, columns: str, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns.split(), *(row.split(";") for row in rows)])


def chests(count: int, seed: int = 0) -> list[NDArray[np.float32]]:
    """Something with an up, a down, a left, a right and a polarity."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[0 : 1 : STORED_SIDE * 1j, 0 : 1 : STORED_SIDE * 1j]
    lungs = sum(np.exp(-(((down - 0.4) / 0.25) ** 2) - ((across - side) / 0.12) ** 2) for side in (0.25, 0.75))
    heart = np.exp(-(((down - 0.65) / 0.15) ** 2) - ((across - 0.6) / 0.12) ** 2)
    chest = np.clip(0.7 - 0.6 * lungs + 0.5 * heart + 0.3 * (down > 0.85), 0, 1)
    return [np.clip(chest + rng.normal(0, 0.02, chest.shape), 0, 1).astype(np.float32) for _ in range(count)]


def source(name: str, data: str = "x", subset: Subset = Subset.UNSEEN, age: float | None = None) -> Source:
    return Source(Path(f"{name}.jpg"), data, "CC BY", name, subset, "PA", age)
