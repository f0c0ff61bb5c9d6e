"""What is measured: pictures with labels and answers, and the bootstrap of their patients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.decide.calibration import sigmoid
from candor.model.bundle import Bundle
from candor.study.findings import Finding
from training.data.dataset import Dataset, LabelledImage
from training.data.splits import Subset
from training.statistics.metrics import Floats, Interval, interval, mean_defined, patient_weights

RESAMPLES: Final = 1000
SEED: Final = 0

Record = dict[str, object]
"""A part of ``evaluation.json``."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Pictures in a fixed order, what is true of them and what the bundle says.

    Parameters
    ----------
    labels
        ``(images, findings)`` float64: 1 present, 0 absent, NaN not known.
    logits
        ``(images, findings)`` float64, of the network.
    probabilities
        ``(images, findings)``, calibrated, at the prevalence of the calibration's patients.
    """

    images: tuple[LabelledImage, ...]
    findings: tuple[Finding, ...]
    labels: Floats
    logits: Floats
    probabilities: Floats

    @property
    def patients(self) -> NDArray[np.str_]:
        """``(images,)``: whose picture each is."""
        return np.asarray([image.patient for image in self.images], np.str_)

    def take(self, mask: NDArray[np.bool_]) -> Sample:
        """Keep the pictures where ``(images,)`` is true."""
        kept = tuple(image for image, keep in zip(self.images, mask, strict=True) if keep)
        return replace(
            self,
            images=kept,
            labels=self.labels[mask],
            logits=self.logits[mask],
            probabilities=self.probabilities[mask],
        )

    def within(self, *subsets: Subset) -> NDArray[np.bool_]:
        """Which pictures belong to some sets of patients: ``(images,)``."""
        return np.asarray([image.subset in subsets for image in self.images], np.bool_)

    def labelled(self, labels: Floats) -> Sample:
        """Put other labels in the place of these."""
        return replace(self, labels=labels)

    def weights(self) -> Floats:
        """Draw the patients with replacement: ``(RESAMPLES, images)``, the same at every call."""
        return patient_weights(self.patients, RESAMPLES, SEED)


def sample_of(bundle: Bundle, dataset: Dataset, logits: NDArray[np.float32]) -> Sample:
    """Put a bundle's logits ``(images, findings)`` beside the labels of the pictures."""
    exact = logits.astype(np.float64)
    probabilities = sigmoid(bundle.calibration.log_odds(exact))
    return Sample(dataset.images, dataset.findings, dataset.labels().astype(np.float64), exact, probabilities)


def by_finding(sample: Sample, values: Floats, resampled: Floats) -> list[Interval]:
    """Give each finding's value its interval: ``(1, findings)`` and ``(resamples, findings)``."""
    return [interval(float(values[0, k]), resampled[:, k]) for k in range(len(sample.findings))]


def mean_of(values: Floats, resampled: Floats) -> Interval:
    """Give the mean over the findings its interval."""
    return interval(float(mean_defined(values)[0]), mean_defined(resampled))
