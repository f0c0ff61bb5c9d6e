"""A sample: pictures with labels and answers, and the bootstrap of their patients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.study.findings import Finding
from training.data.dataset import Dataset, LabelledImage
from training.statistics.metrics import Floats, Interval, interval, mean_defined, patient_weights

RESAMPLES: Final = 1000
SEED: Final = 0

FEWEST_PATIENTS: Final = 5
"""A finding with fewer positive patients gets no figures of ranking and answers, and is in no mean."""

Record = dict[str, object]
"""A part of ``evaluation.json``."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Pictures in a fixed order, with their labels and the bundle's answers.

    Parameters
    ----------
    labels
        ``(images, findings)`` float64: 1 present, 0 absent, NaN unknown.
    logits
        ``(images, findings)`` float64, of the network.
    probabilities
        ``(images, findings)``, calibrated on other patients, at the prevalence of the fit.
    """

    images: tuple[LabelledImage, ...]
    findings: tuple[Finding, ...]
    labels: Floats
    logits: Floats
    probabilities: Floats

    @property
    def patients(self) -> NDArray[np.str_]:
        """``(images,)``: the patient of each picture."""
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

    def labelled(self, labels: Floats) -> Sample:
        """Return the same sample with other labels, ``(images, findings)``."""
        return replace(self, labels=labels)

    @property
    def positive_patients(self) -> NDArray[np.int64]:
        """``(findings,)``: how many patients have at least one picture with the finding."""
        return positive_patients(self.labels, self.patients)

    @property
    def few(self) -> NDArray[np.bool_]:
        """``(findings,)``: whether there are fewer positive patients than :data:`FEWEST_PATIENTS`."""
        return np.asarray(self.positive_patients < FEWEST_PATIENTS, np.bool_)

    def weights(self) -> Floats:
        """Draw the patients with replacement: ``(RESAMPLES, images)``, the same at every call."""
        return patient_weights(self.patients, RESAMPLES, SEED)


def sample_of(dataset: Dataset, logits: NDArray[np.float32], probabilities: Floats) -> Sample:
    """Combine a bundle's answers with the labels of the pictures.

    Parameters
    ----------
    dataset
        Data of the bundle's findings, in the bundle's order.
    logits, probabilities
        ``(images, findings)``, of the data set's pictures; the probabilities are calibrated on other patients.
    """
    labels = dataset.labels().astype(np.float64)
    return Sample(dataset.images, dataset.findings, labels, logits.astype(np.float64), probabilities)


def positive_patients(labels: Floats, patients: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return how many patients have each finding in at least one picture, ``(findings,)``.

    Parameters
    ----------
    labels
        ``(images, findings)``: over 0 where the finding is present.
    patients
        ``(images,)``: the patient of each picture.
    """
    return np.asarray([len(np.unique(patients[column > 0])) for column in labels.T], np.int64)


def by_finding(values: Floats, resampled: Floats) -> list[Interval]:
    """Return each finding's value with its 95% interval.

    Parameters
    ----------
    values
        ``(1, findings)``, from the pictures as they are.
    resampled
        ``(resamples, findings)``.
    """
    return [interval(float(values[0, k]), resampled[:, k]) for k in range(values.shape[1])]


def mean_of(values: Floats, resampled: Floats) -> Interval:
    """Return the mean over the findings with its 95% interval; undefined findings are left out.

    Parameters
    ----------
    values
        ``(1, findings)``, from the pictures as they are.
    resampled
        ``(resamples, findings)``.
    """
    return interval(float(mean_defined(values)[0]), mean_defined(resampled))
