"""The policies for uncertain labels: what they count as, for each finding.

A labeller that reads reports marks a finding as uncertain where the report hedges ("possible edema"). Training needs a
number there, or must leave the label out of the loss.

References
----------
Irvin et al. 2019 (CheXpert), "Uncertainty Approaches" and table 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final

from candor.study.findings import Finding


@unique
class Uncertain(Enum):
    """The label that an uncertain one counts as."""

    ONES = "u-ones"  # present
    ZEROS = "u-zeros"  # absent
    IGNORE = "u-ignore"  # neither: the label is NaN

    @property
    def label(self) -> float:
        """1, 0 or NaN."""
        return {Uncertain.ONES: 1.0, Uncertain.ZEROS: 0.0, Uncertain.IGNORE: float("nan")}[self]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy for uncertain labels: one rule, and exceptions by finding."""

    rule: Uncertain = Uncertain.IGNORE
    exceptions: Mapping[Finding, Uncertain] = field(default_factory=dict)

    def of(self, finding: Finding) -> Uncertain:
        """Return what an uncertain label of a finding counts as."""
        return self.exceptions.get(finding, self.rule)


U_ONES: Final = Policy(Uncertain.ONES)
U_ZEROS: Final = Policy(Uncertain.ZEROS)
U_IGNORE: Final = Policy(Uncertain.IGNORE)

CHEXPERT_FIVE: Final = Policy(
    Uncertain.IGNORE,
    {
        Finding.ATELECTASIS: Uncertain.ONES,
        Finding.CARDIOMEGALY: Uncertain.ZEROS,
        Finding.CONSOLIDATION: Uncertain.ZEROS,
        Finding.EDEMA: Uncertain.ONES,
        Finding.EFFUSION: Uncertain.ONES,
    },
)
"""For CheXpert's five findings, the best policy of those that need only one training.

Irvin et al. 2019 finally chose U-Ones for atelectasis and edema, and name U-Zeros for consolidation. For cardiomegaly,
consolidation and effusion their last model used policies that train twice or predict three classes. For those we take
the nearer of ones and zeros, as later work on the five findings does. Only atelectasis and cardiomegaly differed
significantly between policies.
"""

POLICIES: Final = {"u-ones": U_ONES, "u-zeros": U_ZEROS, "u-ignore": U_IGNORE, "chexpert-five": CHEXPERT_FIVE}
"""By name, for command lines and bundles' configurations."""
