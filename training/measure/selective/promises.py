"""Fit two thresholds for each finding on some patients, and measure on others whether the promises hold.

References
----------
Angelopoulos et al. 2021 (learn then test); see :mod:`training.gate.thresholds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candor.decide.gate import Thresholds
from candor.study.findings import Finding
from training.measure.evaluation.sample import RESAMPLES, SEED, Record
from training.statistics.metrics import Floats, interval, patient_weights
from training.statistics.risk import Bools, ratio


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """Counts of the gate's three answers, each ``(resamples, findings + 1)``; the last column is over all findings."""

    absent: Floats
    missed: Floats
    present: Floats
    present_and_positive: Floats
    images: Floats
    positives: Floats
    answered_in_full: Floats  # (resamples,): share of the images without a deferral

    @property
    def missed_share(self) -> Floats:
        """Share of the positives that are called absent; the lower threshold promises to keep it small."""
        return ratio(self.missed, self.positives)

    @property
    def npv(self) -> Floats:
        """Share of ABSENT that is right."""
        return ratio(self.absent - self.missed, self.absent)

    @property
    def prior_npv(self) -> Floats:
        """1 - prevalence: the NPV, and the accuracy, of always answering "absent"."""
        return 1 - ratio(self.positives, self.images)

    @property
    def ppv(self) -> Floats:
        """Share of PRESENT that is right; the upper threshold promises to keep it large."""
        return ratio(self.present_and_positive, self.present)

    @property
    def absent_share(self) -> Floats:
        """Share of the answers that is ABSENT."""
        return ratio(self.absent, self.images)

    @property
    def present_share(self) -> Floats:
        """Share of the answers that is PRESENT."""
        return ratio(self.present, self.images)

    @property
    def deferred_share(self) -> Floats:
        """Share of the answers that is DEFERRED."""
        return 1 - self.absent_share - self.present_share

    @property
    def accuracy(self) -> Floats:
        """Share of the answers, ABSENT or PRESENT, that is right."""
        return ratio(self.absent - self.missed + self.present_and_positive, self.absent + self.present)


def decided(labels: Floats, absent: Bools, present: Bools, weights: Floats | None = None) -> Kinds:
    """Count the gate's answers, and how many of them are right, on patients to whom it was not fitted.

    Parameters
    ----------
    labels, absent, present
        ``(images, findings)``; an answer counts only where its label is not NaN.
    weights
        ``(resamples, images)``; None is one resample.
    """
    known, positive = ~np.isnan(labels), labels > 0
    absent, present = absent & known, present & known
    rows = np.ones((1, len(labels))) if weights is None else weights

    def counted(kind: Bools) -> Floats:
        found = rows @ kind.astype(np.float64)
        return np.concatenate([found, found.sum(axis=1, keepdims=True)], axis=1)

    whole = (absent | present | ~known).all(axis=1)
    return Kinds(
        counted(absent),
        counted(absent & positive),
        counted(present),
        counted(present & positive),
        counted(known),
        counted(positive & known),
        ratio(rows @ whole.astype(np.float64), rows.sum(axis=1)),
    )


_MEASURES = (
    "absent_share",
    "missed_share",
    "npv",
    "prior_npv",
    "present_share",
    "ppv",
    "deferred_share",
    "accuracy",
)


def promise_record(
    findings: Sequence[Finding],
    labels: Floats,
    absent: Bools,
    present: Bools,
    pairs: Sequence[Thresholds],
    patients: NDArray[np.str_],
) -> Record:
    """Measure the gate's answers on patients to whom it was not fitted, with intervals by patient.

    Parameters
    ----------
    findings
        The columns, in order.
    labels, absent, present
        ``(images, findings)``.
    pairs
        One for each finding: the thresholds that are fitted to all patients, for the record.
    patients
        ``(images,)``: the patient of each image, for the bootstrap.

    Returns
    -------
    ``findings``, and ``pooled`` over them, with ``answered_in_full``: the share of the images without a deferral.
    """
    once = decided(labels, absent, present)
    drawn = decided(labels, absent, present, patient_weights(patients, RESAMPLES, SEED))

    def figures(k: int) -> Record:
        return {name: interval(float(getattr(once, name)[0, k]), getattr(drawn, name)[:, k]).json for name in _MEASURES}

    by_finding = {
        finding.label: {"lo": pair.lo, "hi": pair.hi, "positives": int(once.positives[0, k]), **figures(k)}
        for k, (finding, pair) in enumerate(zip(findings, pairs, strict=True))
    }
    full = interval(float(once.answered_in_full[0]), drawn.answered_in_full).json
    pooled: Record = figures(-1) | {"answered_in_full": full, "positives": int(once.positives[0, -1])}
    return {"findings": by_finding, "pooled": pooled, "images": len(labels)}
