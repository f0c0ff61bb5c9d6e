"""Judge a fitted learned gate against calibrated confidence, on patients to whom nothing was fitted."""

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


def judge(fitted: Fitted, test: Evidence, options: Options) -> Judged:
    """Measure the learned gate against calibrated confidence.

    Parameters
    ----------
    fitted
        The learned gate.
    test
        Images of patients to whom neither classifier, calibration nor learned gate was fitted.
    options
        Those of the fit; they give the seed of the bootstrap.
    """
    learned = fitted.model.p_wrong(test.maps, test.log_odds, test.lung_fields)
    found = verdict(test.labels, test.probabilities, learned, test.patients, options.seed)
    return Judged(options, fitted, found, _tells_wrong(test, learned, options.seed))


def _tells_wrong(test: Evidence, learned: Floats, seed: int) -> dict[str, dict[str, float] | None]:
    weights = patient_weights(test.patients, RESAMPLES, seed)
    wrong = np.where(test.known, test.wrong, np.nan)
    signals = {"learned": learned, "confidence": p_wrong(test.probabilities)}
    return {name: mean_of(aucs(wrong, p), aucs(wrong, p, weights)).json for name, p in signals.items()}
