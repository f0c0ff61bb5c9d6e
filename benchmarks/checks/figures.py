"""What became of a set of pictures, as shares with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.study.reasons import Reason
from training.statistics.metrics import Floats, Interval, interval, patient_weights

RESAMPLES: Final = 1000
SEED: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of a set of pictures.

    Parameters
    ----------
    reasons
        For each picture, why it was refused or deferred as a whole; empty where it was accepted.
    patients
        ``(pictures,)``.
    moved
        ``(pictures,)``: the most that blanking marks and borders moves any answer, in log-odds; NaN where there is
        nothing to blank.
    """

    reasons: Sequence[frozenset[Reason]]
    patients: NDArray[np.str_]
    moved: NDArray[np.float64]

    @property
    def stopped(self) -> NDArray[np.bool_]:
        """``(pictures,)``: which were refused or deferred."""
        return np.asarray([bool(found) for found in self.reasons], np.bool_)

    def count(self, reason: Reason) -> int:
        """Count the pictures that were stopped for one reason, be it among others."""
        return sum(reason in found for found in self.reasons)

    def narrowed(self, reasons: AbstractSet[Reason]) -> Outcome:
        """Keep only some of the reasons."""
        return replace(self, reasons=[found & reasons for found in self.reasons])

    def with_shortcuts(self, limit: float) -> Outcome:
        """Stop also what the shortcut audit would stop if every finding counted, over ``limit`` in log-odds."""
        reasons = [
            found | {Reason.SHORTCUT} if moved > limit else found
            for found, moved in zip(self.reasons, self.moved, strict=True)
        ]
        return replace(self, reasons=reasons)


def shares(outcome: Outcome, seed: int = SEED) -> tuple[float, Floats]:
    """Take the share that was stopped, and the same of each resample of the patients ``(RESAMPLES,)``."""
    weights, over = patient_weights(outcome.patients, RESAMPLES, seed), outcome.stopped.astype(np.float64)
    return float(over.mean()), np.asarray(weights @ over / weights.sum(axis=1), np.float64)


def share(outcome: Outcome) -> Interval:
    """Take the share that was stopped, with its interval."""
    return interval(*shares(outcome))


def accepted_share(outcome: Outcome) -> Interval:
    """Take the share that was accepted, with its interval."""
    value, resampled = shares(outcome)
    return interval(1 - value, 1 - resampled)


def difference(outcome: Outcome, base: Outcome) -> Interval:
    """How much more often pictures of one set were stopped than those of another, which has other patients."""
    (one, ones), (other, others) = shares(outcome), shares(base, SEED + 1)
    return interval(one - other, ones - others)


def percent(estimate: Interval) -> str:
    """Write a share with its interval."""
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"
