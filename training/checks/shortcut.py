"""Measure how far blanking marks and borders changes a bundle's answers, on patients whom it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.decide.gate import Gate
from candor.decide.groups import Groups, groups_of
from candor.model.bundle import Bundle
from candor.model.onnx_engine import OnnxEngine
from candor.picture.lungs import LungField
from candor.picture.shortcut import Auditor
from candor.study.findings import Finding
from candor.study.result import Decision
from training.data.dataset import Dataset
from training.data.pictures import as_radiograph, network_input, read_picture

LIMITS: Final = (0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Changes, in log-odds, over which pictures are counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Shifts:
    """The results of the audit on pictures.

    Parameters
    ----------
    what
        What was blanked in each picture; empty if nothing was.
    changes
        ``(pictures, findings)``: absolute changes of the calibrated log-odds.
    answered
        ``(pictures, findings)``: whether the gate answers, and does not defer.
    """

    what: tuple[str, ...]
    changes: NDArray[np.float64]
    answered: NDArray[np.bool_]

    def over(self, limit: float) -> tuple[float, float]:
        """Return the share of pictures with a change over the limit: in any finding, and in an answered one."""
        moved = self.changes > limit
        return float(moved.any(axis=1).mean()), float((moved & self.answered).any(axis=1).mean())


def measure_shifts(bundle: Bundle, dataset: Dataset) -> Shifts:
    """Audit every picture of a data set.

    Parameters
    ----------
    bundle
        A calibrated bundle with a gate.
    dataset
        At least one picture.

    Raises
    ------
    BundleError, DataError, Refused
        As for :func:`training.predictions.predict.predict`.
    """
    engine, auditor = OnnxEngine(bundle.graph), Auditor(bundle.input, LungField(), bundle.calibration)
    what, changes, logits = [], [], []
    for image in dataset.images:
        whole = network_input(as_radiograph(read_picture(image.path)), bundle.input)
        blanked = auditor.blank(whole)
        inputs = [whole] if blanked is None else [whole, blanked.network_input]
        answers = engine.run(np.stack(inputs)).logits
        logits.append(answers[0])
        what.append("" if blanked is None else blanked.what)
        changes.append(
            np.zeros(len(bundle.findings)) if blanked is None else auditor.compare(blanked, *answers).changes
        )
    probabilities = bundle.calibration.probabilities(np.stack(logits))
    groups = [groups_of(image.view, image.sex, image.age) for image in dataset.images]
    answered = _answered(bundle.gate, bundle.findings, probabilities, groups)
    return Shifts(tuple(what), np.abs(np.stack(changes)), answered)


def _answered(
    gate: Gate, findings: Sequence[Finding], probabilities: NDArray[np.float64], groups: Sequence[Groups]
) -> NDArray[np.bool_]:
    rows = [
        [
            gate.decide(finding, float(p), groups=of)[0] is not Decision.DEFERRED
            for finding, p in zip(findings, row, strict=True)
        ]
        for row, of in zip(probabilities, groups, strict=True)
    ]
    return np.asarray(rows, np.bool_)
