"""Who is in which set: four disjoint sets of patients, by official list and seeded hash.

The classifier learns from the official train_val patients (a tenth of them only watches); the patients of the
official test list are divided among the gate, the calibration and the test.
"""

from __future__ import annotations

import hashlib
from enum import Enum, unique
from typing import Final

SEED: Final = "candor-1"
"""Part of every hash: another seed gives other sets."""

RULE: Final = (
    "SHA-256 of 'seed:patient', its first 8 bytes as a number in [0, 1). Official train_val patients: validation "
    "under 0.10, else train. Official test patients: gate under 0.25, calibration under 0.60, else test."
)
"""The rule below in words, for whoever reads the bundle."""


@unique
class Subset(Enum):
    """What a patient's images are used for."""

    TRAIN = "train"  # gradients
    VALIDATION = "validation"  # watched while training, to choose among classifiers
    GATE = "gate"
    CALIBRATION = "calibration"
    TEST = "test"


_TRAIN_VAL_SHARES: Final = ((Subset.VALIDATION, 0.10), (Subset.TRAIN, 1.0))
_TEST_SHARES: Final = ((Subset.GATE, 0.25), (Subset.CALIBRATION, 0.60), (Subset.TEST, 1.0))
"""Upper ends of the hash's range for each subset, in order."""


def unit_hash(patient: str, seed: str = SEED) -> float:
    """Map a patient to a number in [0, 1) that depends on nothing but the patient and the seed."""
    digest = hashlib.sha256(f"{seed}:{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def subset_of(patient: str, *, official_test: bool, seed: str = SEED) -> Subset:
    """Say which set a patient belongs to; all of a patient's images go together."""
    shares = _TEST_SHARES if official_test else _TRAIN_VAL_SHARES
    position = unit_hash(patient, seed)
    return next(subset for subset, end in shares if position < end)
