"""The findings: the 14 of ChestX-ray14.

Column order, SR codes, data set labels and display names are all taken from this module. The codes are those of
SNOMED CT and DICOM's own scheme; pleural thickening has no verified public code and takes a private one.

References
----------
Wang et al. 2017 (ChestX-ray14, the labels and their order).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from candor.study.errors import DataError

PRIVATE_SCHEME: Final = "99CANDOR"
"""Coding Scheme Designator (0008,0102) of Candor's private codes."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded concept: Code Value, Coding Scheme Designator, Code Meaning (PS3.3 section 8.8)."""

    value: str
    scheme: str
    meaning: str


def _snomed(value: str, meaning: str) -> Coded:
    return Coded(value, "SCT", meaning)


_LUNG = _snomed("39607008", "Lung")
_PLEURA = _snomed("3120008", "Pleura")
_HEART = _snomed("80891009", "Heart")
_DIAPHRAGM = _snomed("5798000", "Diaphragm")


@unique
class Finding(Enum):
    """One finding.

    Parameters
    ----------
    label
        The name in ChestX-ray14.
    display
        The English name for people.
    code, site
        The coded finding and its anatomical site, for the report.
    """

    ATELECTASIS = ("Atelectasis", "Atelectasis", _snomed("46621007", "Atelectasis"), _LUNG)
    CARDIOMEGALY = ("Cardiomegaly", "Cardiomegaly", _snomed("8186001", "Cardiomegaly"), _HEART)
    EFFUSION = ("Effusion", "Pleural effusion", _snomed("60046008", "Pleural effusion"), _PLEURA)
    INFILTRATION = ("Infiltration", "Infiltration", Coded("112121", "DCM", "Infiltrate"), _LUNG)
    MASS = ("Mass", "Mass", _snomed("309529002", "Lung mass"), _LUNG)
    NODULE = ("Nodule", "Nodule", _snomed("786838002", "Nodule of lung"), _LUNG)
    PNEUMONIA = ("Pneumonia", "Pneumonia", _snomed("233604007", "Pneumonia"), _LUNG)
    PNEUMOTHORAX = ("Pneumothorax", "Pneumothorax", _snomed("36118008", "Pneumothorax"), _PLEURA)
    CONSOLIDATION = ("Consolidation", "Consolidation", _snomed("95436008", "Lung consolidation"), _LUNG)
    EDEMA = ("Edema", "Pulmonary edema", _snomed("19242006", "Pulmonary edema"), _LUNG)
    EMPHYSEMA = ("Emphysema", "Emphysema", _snomed("87433001", "Pulmonary emphysema"), _LUNG)
    FIBROSIS = ("Fibrosis", "Fibrosis", _snomed("51615001", "Fibrosis of lung"), _LUNG)
    PLEURAL_THICKENING = (
        "Pleural_Thickening",
        "Pleural thickening",
        Coded("PLTHICK", PRIVATE_SCHEME, "Pleural thickening"),
        _PLEURA,
    )
    HERNIA = ("Hernia", "Hiatal hernia", _snomed("84089009", "Hiatal hernia"), _DIAPHRAGM)

    def __init__(self, label: str, display: str, code: Coded, site: Coded) -> None:
        self.label = label
        self.display = display
        self.code = code
        self.site = site


_BY_NAME: Final = {
    name.replace("_", " ").casefold(): finding for finding in Finding for name in (finding.label, finding.display)
}

NO_FINDING: Final = "No Finding"
"""ChestX-ray14's label for an image without any of the 14."""


def finding_named(name: str) -> Finding:
    """Return the finding with a data set label or display name; case does not matter, and ``_`` equals a space.

    Raises
    ------
    DataError
        No finding has that name.
    """
    plain = name.replace("_", " ").casefold().strip()
    try:
        return _BY_NAME[plain]
    except KeyError:
        close = [_BY_NAME[known].label for known in difflib.get_close_matches(plain, _BY_NAME, n=1)]
        known = ", ".join(finding.label for finding in Finding)
        advice = f"did you mean {close[0]!r}?" if close else f"known findings are {known}"
        raise DataError(f"unknown finding {name!r}; {advice}") from None


def findings_named(names: Iterable[str]) -> tuple[Finding, ...]:
    """Return several findings by name, in the same order; see :func:`finding_named`."""
    return tuple(finding_named(name) for name in names)
