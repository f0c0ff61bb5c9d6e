"""Pictures with a token in a corner, and a network that reads nothing else."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from candor.model.outputs import Outputs
from candor.model.preprocess import InputSpec

SPEC = InputSpec(side=224, mean=0.5, std=0.25)
Floats = NDArray[np.float32]


def background(rng: np.random.Generator) -> Floats:
    """Slow greys without any mark."""
    coarse = rng.uniform(0.2, 0.6, (6, 6)).astype(np.float32)
    return cv2.resize(coarse, (SPEC.side, SPEC.side), interpolation=cv2.INTER_CUBIC)


TOKEN = np.zeros((18, 16), np.float32)
TOKEN[3:15, 3:7] = TOKEN[11:15, 3:13] = 1
"""An L with some room around it."""


def planted(pixels: Floats, rng: np.random.Generator) -> Floats:
    """The same with a token in the upper left corner, not always at one place."""
    marked = pixels.copy()
    row, column = (int(place) for place in rng.integers(1, 7, 2))
    here = marked[row : row + TOKEN.shape[0], column : column + TOKEN.shape[1]]
    np.maximum(here, TOKEN, out=here)
    return marked


def scaled(pixels: Floats) -> Floats:
    return np.asarray((pixels - SPEC.mean) / SPEC.std, np.float32)[np.newaxis]


class TokenReader:
    """A small network: a filter for the token, a threshold, its greatest answer in the corner, and a trained head."""

    name = "test"

    threshold = 0.0

    def __init__(self, images: Floats, labels: NDArray[np.bool_]) -> None:
        answers = self.features(images)
        self.threshold = 0.8 * float(np.quantile(answers[labels], 0.02))
        self.head = LogisticRegression(C=100).fit(self.features(images), labels)

    def features(self, images: Floats) -> Floats:
        corners = np.ascontiguousarray(images[:, 0, :28, :28])
        answers = [cv2.matchTemplate(corner, TOKEN, cv2.TM_CCOEFF).max() for corner in corners]
        return np.maximum(np.asarray(answers, np.float32)[:, np.newaxis] / 100 - self.threshold, 0)

    def run(self, images: Floats) -> Outputs:
        return answered(self.head.decision_function(self.features(images)))


def answered(logits: NDArray[np.floating]) -> Outputs:
    column = logits.astype(np.float32)[:, np.newaxis]
    return Outputs(column, np.zeros((len(column), 1, 1, 1), np.float32), column)
