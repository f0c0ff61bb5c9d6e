"""Labelled pictures in a fixed order: what every reader makes and every verb takes."""

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
    """One picture with what is known of it.

    Parameters
    ----------
    name
        Unique in its data set.
    findings
        What is labelled as present.
    age
        Years; None where it is not known.
    sex
        ``F``, ``M`` or empty.
    view
        ``PA``, ``AP``, ``LL`` (lateral, whichever side) or empty.
    uncertain
        What the labeller could not decide; a policy says what it counts as.
    unknown
        What nobody looked for: its label is NaN whatever the policy.
    study
        What was taken together, unique in the data set; empty where it is not known.
    site, disease
        The hospital, and a diagnosis outside the findings, as the source writes them, for probes; may be empty.
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

    def label(self, finding: Finding, policy: Policy) -> float:
        """1 present, 0 absent, NaN not to be used."""
        if finding in self.unknown:
            return float("nan")
        return policy.of(finding).label if finding in self.uncertain else float(finding in self.findings)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Pictures in a fixed order, with their labels as an array; ``source`` is the data set's own name, for people."""

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
        """``(images,)``: whose picture each is."""
        return np.asarray([image.patient for image in self.images], dtype=np.str_)

    def only(self, *subsets: Subset) -> Dataset:
        """Keep the pictures of some sets."""
        return self._with(image for image in self.images if image.subset in subsets)

    def splits(self) -> dict[str, object]:
        """Which patients are in which set, and by what rule, for ``splits.json``."""
        sets = {subset.value: sorted(set(self.only(subset).patients().tolist())) for subset in Subset}
        return {"rule": self.split.rule, "seed": self.split.seed, "patients": sets}

    def _with(self, images: Iterable[LabelledImage]) -> Dataset:
        return replace(self, images=tuple(images))
