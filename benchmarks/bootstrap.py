"""What the bootstrap of the AUCs gains over scikit-learn's function in a loop, and how far they differ.

    python -m benchmarks.bootstrap [--resamples 100] [--rounds 3]

Both sides compute the AUC of every finding on the same resamples of patients, in turn; the default of 100 resamples
is a part of the usual 1000, for both alike. A second line times ours on 1000. The compilation, once in a process, is
not counted and stands beside.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.timing import interleaved, milliseconds, ratio
from training.statistics.metrics import Floats, aucs, patient_weights

IMAGES, PATIENTS, FINDINGS = 25_596, 2_797, 14
"""The size of ChestX-ray14's official test set."""

GOAL = 40
USUAL = 1000
PREVALENCE = 0.06


def looped(labels: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Repeat the rows of each resample and call scikit-learn for each finding: ``(resamples, findings)``."""
    return np.asarray([_resampled(labels, scores, row) for row in weights])


def _resampled(labels: NDArray[np.bool_], scores: Floats, drawn: Floats) -> list[float]:
    rows = np.repeat(np.arange(len(labels)), drawn.astype(np.int64))
    return [roc_auc_score(labels[rows, k], scores[rows, k]) for k in range(labels.shape[1])]


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description="Measure the bootstrap.")
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = rng.random((IMAGES, FINDINGS)) < PREVALENCE
    scores = np.round(rng.normal(size=labels.shape) + labels, 3)  # rounded, so that there are ties
    weights = patient_weights(rng.integers(0, PATIENTS, IMAGES).astype(np.str_), USUAL, seed=0)
    part = weights[: options.resamples]

    began = time.perf_counter()
    difference = np.abs(aucs(labels, scores, part) - looped(labels, scores, part)).max()
    print(f"{IMAGES} images, {FINDINGS} findings; largest difference {difference:.1e}")
    print(f"first call of both, with the compilation: {time.perf_counter() - began:.1f} s")
    sides: dict[str, Callable[[], object]] = {
        "scikit-learn in a loop": lambda: looped(labels, scores, part),
        "training.statistics.metrics.aucs": lambda: aucs(labels, scores, part),
    }
    times = interleaved(sides, options.rounds, warmup=0)
    for name, seconds in times.items():
        print(f"  {name:<26}{options.resamples} resamples: {milliseconds(seconds)}")
    print(f"  {'training.statistics.metrics.aucs':<26}{USUAL} resamples: ", end="")
    print(milliseconds(interleaved({"all": lambda: aucs(labels, scores, weights)}, options.rounds, 0)["all"]))
    print(f"ratio {ratio(*times.values()):.0f} (goal: at least {GOAL})")


if __name__ == "__main__":
    main()
