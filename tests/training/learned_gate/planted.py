"""A task with a known answer: where the classifier is wrong, its heatmap is diffuse."""

from __future__ import annotations

import numpy as np

from candor.study.findings import Finding
from training.learned_gate.evidence import Evidence

TWO = (Finding.CARDIOMEGALY, Finding.EFFUSION)


def planted(images: int = 300, seed: int = 0, *, shuffled: bool = False) -> Evidence:
    """Make answers of which a quarter is wrong, whatever their confidence; every third patient has two images.

    Shuffled, each image has another one's heatmaps: they look the same, and tell nothing.
    """
    rng = np.random.default_rng(seed)
    labels = (rng.random((images, 2)) < 0.4).astype(np.float64)
    wrong = rng.random(labels.shape) < 0.25
    log_odds = np.where((labels > 0) != wrong, 1, -1) * rng.uniform(0.1, 2.5, labels.shape)
    maps = rng.uniform(0, 0.3, (images, 2, 7, 7))
    rows, columns = rng.integers(1, 6, (2, images, 2))
    maps[np.arange(images)[:, np.newaxis], np.arange(2), rows, columns] += np.where(wrong, 0.0, 8.0)
    maps = maps[rng.permutation(images)] if shuffled else maps
    labels[rng.random(labels.shape) < 0.05] = np.nan
    patients = np.asarray([f"{k - k % 3 // 2}" for k in range(images)])
    return Evidence(maps.astype(np.float32), log_odds, labels, patients)
