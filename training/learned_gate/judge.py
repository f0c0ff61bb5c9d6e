"""Judge a fitted learned gate against calibrated confidence, out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from training.learned_gate.evidence import Evidence
from training.learned_gate.fit import Fitted
from training.learned_gate.options import Options
from training.measure.evaluation.sample import RESAMPLES, mean_of
from training.measure.selective.verdict import Verdict, verdict
from training.statistics.metrics import Floats, aucs, patient_weights
from training.statistics.signals import p_wrong


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A fitted learned gate with its verdict.

    Parameters
    ----------
    tells_wrong
        How well each signal, ``"learned"`` and ``"confidence"``, tells wrong answers from right ones: the mean over
        the findings of its AUC, with its interval, or null.
    """

    options: Options
    fitted: Fitted
    verdict: Verdict
    tells_wrong: Mapping[str, dict[str, float] | None]


def judge(fitted: Fitted, evidence: Evidence, options: Options) -> Judged:
    """Measure the learned gate against calibrated confidence.

    Parameters
    ----------
    fitted
        The learned gate.
    evidence
        What it was fitted to, with answers calibrated on other patients.
    options
        Those of the fit; they give the seed of the bootstrap.
    """
    learned = fitted.out_of_fold
    found = verdict(evidence.labels, evidence.probabilities, learned, evidence.patients, options.seed)
    return Judged(options, fitted, found, _tells_wrong(evidence, learned, options.seed))


def _tells_wrong(evidence: Evidence, learned: Floats, seed: int) -> dict[str, dict[str, float] | None]:
    weights = patient_weights(evidence.patients, RESAMPLES, seed)
    wrong = np.where(evidence.known, evidence.wrong, np.nan)
    signals = {"learned": learned, "confidence": p_wrong(evidence.probabilities)}
    return {name: mean_of(aucs(wrong, p), aucs(wrong, p, weights)).json for name, p in signals.items()}
