"""Divide patients into disjoint sets: by official lists and a seeded hash, or by the hash alone.

The network learns from TRAIN, and VALIDATION chooses among networks. It never sees UNSEEN. Whatever is fitted after
training (calibration, gate, limits of the checks) is fitted to all UNSEEN patients for the bundle, and measured out of
fold: fitted to the patients of the other folds and applied to those of the fold, see
:mod:`training.predictions.cross_fitting`. If a publisher gives lists, UNSEEN are the patients for testing.

References
----------
Levin, Ruh, Yin 2020 (70/15/15).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from itertools import accumulate
from typing import Final

from candor.study.errors import SettingsError

SEED: Final = "candor-1"
"""Part of every hash; another seed gives other sets."""

FOLDS: Final = 5
"""Into how many folds the patients are divided for cross-fitting."""

FOLD_SEED: Final = "folds"


@unique
class Subset(Enum):
    """The use of a patient's images."""

    TRAIN = "train"  # gradients
    VALIDATION = "validation"  # measured while training, to choose among networks
    UNSEEN = "unseen"  # all that is fitted and measured afterwards


@unique
class Listed(Enum):
    """The publisher's list that a patient is on."""

    TRAIN_VAL = "train_val"  # to learn from, without a validation list
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    NOWHERE = ""  # the data set comes without lists


Shares = Mapping[Subset, float]
"""The share of the patients in each set, in the order of the hash from 0 to 1; the sum is 1."""


def unit_hash(patient: str, seed: str = SEED) -> float:
    """Return a number in [0, 1) that depends only on the patient and the seed.

    Parameters
    ----------
    patient
        The patient's identifier, or another name to hash.
    seed
        Text that is hashed with it.
    """
    digest = hashlib.sha256(f"{seed}:{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def fold_of(patient: str, folds: int = FOLDS, seed: str = FOLD_SEED) -> int:
    """Return the fold that leaves a patient out, from 0.

    Parameters
    ----------
    patient
        The patient's identifier.
    folds
        How many folds there are.
    seed
        Text that is hashed with the identifier. It must not be the seed of the split by hash, whose UNSEEN patients
        would all be in the last fold.
    """
    return int(unit_hash(patient, seed) * folds)


@dataclass(frozen=True, slots=True)
class Split:
    """A rule by which patients are divided.

    Parameters
    ----------
    shares
        For each list of the publisher; patients of a list that is missing here cannot be divided.
    seed
        Part of every hash.

    Raises
    ------
    SettingsError
        The shares of a list are not in (0, 1] or do not sum to 1.
    """

    shares: Mapping[Listed, Shares]
    seed: str = SEED

    def __post_init__(self) -> None:
        for shares in self.shares.values():
            if not all(0 < share <= 1 for share in shares.values()) or not math.isclose(sum(shares.values()), 1):
                given = ", ".join(f"{subset.value} {share:g}" for subset, share in shares.items())
                raise SettingsError(f"a split into {given} is impossible; give shares over 0 that sum to 1")

    @classmethod
    def by_hash(cls, shares: Shares, seed: str = SEED) -> Split:
        """Return a split that divides all patients by the hash alone, whatever list they are on.

        Parameters
        ----------
        shares
            The share of the patients in each set.
        seed
            Part of every hash.
        """
        return cls(dict.fromkeys(Listed, shares), seed)

    @property
    def needs_lists(self) -> bool:
        """Whether a data set without lists cannot be divided in this way."""
        return Listed.NOWHERE not in self.shares

    def subset(self, patient: str, listed: Listed) -> Subset:
        """Return the set that a patient belongs to; all of a patient's images are in one set.

        Parameters
        ----------
        patient
            The patient's identifier.
        listed
            The publisher's list that the patient is on.
        """
        shares = self.shares[listed]
        position = unit_hash(patient, self.seed)
        ends = [round(end, 9) for end in accumulate(shares.values())]
        return next(subset for subset, end in zip(shares, [*ends[:-1], 1.0], strict=True) if position < end)

    @property
    def rule(self) -> str:
        """The rule in words, for readers of the bundle."""
        texts = {listed: _in_words(shares) for listed, shares in self.shares.items()}
        lists = (
            [f"Official {listed.value} patients: {text}." for listed, text in texts.items()]
            if self.needs_lists
            else [f"All patients: {texts[Listed.NOWHERE]}."]
        )
        return " ".join(["SHA-256 of 'seed:patient', its first 8 bytes as a number in [0, 1).", *lists])


def _in_words(shares: Shares) -> str:
    *first, last = shares
    ends = accumulate(shares.values())
    return ", ".join(
        [f"{subset.value} under {round(end, 9):g}" for subset, end in zip(first, ends, strict=False)]
        + [f"else {last.value}" if first else f"all {last.value}"]
    )


OFFICIAL: Final = Split(
    {
        Listed.TRAIN_VAL: {Subset.VALIDATION: 0.10, Subset.TRAIN: 0.90},
        Listed.TEST: {Subset.UNSEEN: 1.0},
        Listed.TRAIN: {Subset.TRAIN: 1.0},
        Listed.VALIDATION: {Subset.VALIDATION: 1.0},
    }
)
"""The publisher's lists; without a validation list, a tenth of the training patients is for validation."""

PAPER: Final = Split.by_hash({Subset.VALIDATION: 0.15, Subset.TRAIN: 0.70, Subset.UNSEEN: 0.15})
"""The deferral paper's 70/15/15."""

SPLITS: Final = {"official": OFFICIAL, "70-15-15": PAPER}
