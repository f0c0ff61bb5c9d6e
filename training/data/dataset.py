"""Labelled pictures in a fixed order: what every reader returns and every command takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from candor.study.findings import Finding
from training.data.policy import U_IGNORE, Policy
from training.data.splits import OFFICIAL, Split, Subset


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One picture with its labels and facts.

    Parameters
    ----------
    name
        Unique in its data set.
    findings
        Findings that are labelled as present.
    age
        Years; None if unknown.
    sex
        ``F``, ``M`` or empty.
    view
        ``PA``, ``AP``, ``LL`` (lateral, whichever side) or empty.
    uncertain
        Findings that the labeller could not decide; a policy says what they count as.
    unknown
        Findings that nobody looked for; their label is NaN under every policy.
    study
        Identifies the pictures taken together, unique in the data set; empty if unknown.
    site, disease
        The hospital, and a diagnosis outside the findings, as the source writes them, for probes; may be empty.
    part
        Part of the data set whose pictures are unlike the others, as ``small``; empty for the main one.
    """

    name: str
    path: Path
    patient: str
    findings: frozenset[Finding]
    subset: Subset
    age: float | None = None
    sex: str = ""
    view: str = ""
    uncertain: frozenset[Finding] = frozenset()
    unknown: frozenset[Finding] = frozenset()
    study: str = ""
    site: str = ""
    disease: str = ""
    part: str = ""

    def label(self, finding: Finding, policy: Policy) -> float:
        """Return the label of a finding: 1 present, 0 absent, NaN ignored.

        Parameters
        ----------
        finding
            The finding that is asked for.
        policy
            What an uncertain label counts as.
        """
        if finding in self.unknown:
            return float("nan")
        return policy.of(finding).label if finding in self.uncertain else float(finding in self.findings)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Pictures in a fixed order with their labels as an array; ``source`` is the data set's name, for people."""

    images: tuple[LabelledImage, ...]
    findings: tuple[Finding, ...]
    policy: Policy = U_IGNORE
    split: Split = OFFICIAL
    source: str = ""

    def labels(self) -> NDArray[np.float32]:
        """``(images, findings)`` float32: 1 present, 0 absent, NaN unknown or left out by the policy."""
        rows = [[image.label(finding, self.policy) for finding in self.findings] for image in self.images]
        return np.asarray(rows, np.float32).reshape(len(self.images), len(self.findings))

    def patients(self) -> NDArray[np.str_]:
        """``(images,)``: the patient of each picture."""
        return np.asarray([image.patient for image in self.images], dtype=np.str_)

    def only(self, *subsets: Subset) -> Dataset:
        """Keep the pictures of the given sets."""
        return self._with(image for image in self.images if image.subset in subsets)

    def main_part(self) -> Dataset:
        """Keep the pictures of the main part, at their full size."""
        return self._with(image for image in self.images if not image.part)

    def splits(self) -> dict[str, object]:
        """Return which patients are in which set and by what rule, for ``splits.json``."""
        sets = {subset.value: sorted(set(self.only(subset).patients().tolist())) for subset in Subset}
        return {"rule": self.split.rule, "seed": self.split.seed, "patients": sets}

    def _with(self, images: Iterable[LabelledImage]) -> Dataset:
        return replace(self, images=tuple(images))
