"""Small made-up samples for the tests of the evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from candor.decide.calibration import sigmoid
from candor.study.findings import Finding
from training.data.dataset import LabelledImage
from training.data.splits import Subset
from training.measure.evaluation.sample import Sample

THREE = (Finding.CARDIOMEGALY, Finding.EFFUSION, Finding.HERNIA)


def make_sample(images: int = 240, seed: int = 0) -> Sample:
    """Pictures of two patients out of three with one picture; Hernia is never present."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((images, 3)) < 0.35).astype(np.float64)
    labels[:, 2] = 0
    logits = np.round(rng.normal(size=labels.shape) + labels - 1, 1)
    pictures = tuple(
        LabelledImage(
            name=f"{k:04d}.png",
            path=Path(f"{k:04d}.jpg"),
            patient=f"p{2 * k // 3}",
            findings=frozenset(f for f, there in zip(THREE, labels[k], strict=True) if there),
            subset=Subset.UNSEEN,
            age=None if k == 0 else float(rng.integers(5, 90)),
            sex="FM"[k % 2],
            view="PA" if k % 4 else "AP",
        )
        for k in range(images)
    )
    return Sample(pictures, THREE, labels, logits, sigmoid(0.8 * logits))
