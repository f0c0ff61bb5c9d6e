"""Choose the prevalence that a calibration assumes: of a table, of all ChestX-ray14, or of the data set.

The share of positives in a selection of pictures says little about how frequent a finding is where the bundle will be
used, so a table can be given. For a part of ChestX-ray14, its label table of all 112,120 images is used. For any other
data set its own share is used, and the description of the calibration says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ConfigDict, RootModel

from candor.files.reader import JsonFile
from candor.study.errors import DataError
from candor.study.findings import Finding, finding_named
from training.data.readers import Dataset, nih
from training.data.readers.tables import read_table
from training.data.shares import shares

COLUMNS: Final = ("finding", "prevalence")
_REMEDY: Final = "correct the table of prevalences"


class _Table(RootModel[dict[str, float]]):
    """A table in JSON: the prevalence by the finding's name."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Prevalence:
    """How frequent findings are where the bundle is used.

    Parameters
    ----------
    shares
        Prevalence of each finding in (0, 1); that of other findings is not known.
    source
        Where it is from, in words that follow "assumes the".
    """

    shares: Mapping[Finding, float]
    source: str

    def of(self, finding: Finding, unknown: float) -> float:
        """Return the prevalence of a finding.

        Parameters
        ----------
        finding
            The finding.
        unknown
            Returned if its prevalence is not known.
        """
        return self.shares.get(finding, unknown)


def assumed_prevalence(folder: Path, dataset: Dataset, table: Path | None = None) -> Prevalence:
    """Choose the prevalence to assume for the findings of a data set.

    Parameters
    ----------
    folder
        Folder of the data set; for ChestX-ray14 it holds the label table of all images.
    dataset
        The data set.
    table
        Is used if given, see :func:`read_prevalence`.

    Raises
    ------
    DataError
        A table is missing or damaged, or lacks a finding.
    BundleError
        A table in JSON cannot be used.
    """
    if table is not None:
        return Prevalence(read_prevalence(table, dataset.findings), f"prevalence of the table {table.name}")
    if dataset.source == nih.NAME:
        whole = nih.prevalence(nih.label_table(folder), dataset.findings)
        return Prevalence(whole, "prevalence of all ChestX-ray14")
    return Prevalence(own_shares(dataset), f"share of its positives in all of {dataset.source}")


def table_or_own(table: Path | None, findings: tuple[Finding, ...]) -> Prevalence:
    """Return the prevalence in a table; without a table, that of the images of the fit.

    Parameters
    ----------
    table
        See :func:`read_prevalence`.
    findings
        The findings that the table must give.
    """
    if table is None:
        return Prevalence({}, "prevalence of these images")
    return Prevalence(read_prevalence(table, findings), f"prevalence in {table.name}")


def own_shares(dataset: Dataset) -> dict[Finding, float]:
    """Return the share of positives of each finding among the pictures with a known label, softened by half a picture.

    A finding without any known label is left out.
    """
    labels = dataset.labels()
    each = zip(dataset.findings, shares(labels), labels.T, strict=True)
    return {finding: float(share) for finding, share, column in each if not np.isnan(column).all()}


def read_prevalence(table: Path, findings: tuple[Finding, ...]) -> dict[Finding, float]:
    """Read a table of prevalences.

    Parameters
    ----------
    table
        CSV with the columns ``finding`` and ``prevalence``, or a JSON object from labels to prevalences; it may
        hold more.
    findings
        The findings that it must give.

    Raises
    ------
    DataError
        The table cannot be read, names an unknown finding, lacks one of these, or a prevalence is not in (0, 1).
    BundleError
        The JSON cannot be read, or a value is not a number in (0, 1).
    """
    rows = _from_json(table) if table.suffix == ".json" else _from_csv(table)
    missing = [finding.label for finding in findings if finding not in rows]
    if missing:
        raise DataError(f"{table} gives no prevalence of {', '.join(missing)}; {_REMEDY}")
    for finding in findings:
        if not 0 < rows[finding] < 1:
            raise DataError(f"{table}: the prevalence of {finding.label} must lie between 0 and 1; {_REMEDY}")
    return {finding: rows[finding] for finding in findings}


def _from_json(table: Path) -> dict[Finding, float]:
    return {finding_named(label): share for label, share in JsonFile(table, _REMEDY).read(_Table).root.items()}


def _from_csv(table: Path) -> dict[Finding, float]:
    shares_of: dict[Finding, float] = {}
    for cells in read_table(table, COLUMNS):
        finding = finding_named(cells["finding"])
        if finding in shares_of:
            raise DataError(f"{table} gives {finding.label} twice; {_REMEDY}")
        shares_of[finding] = _number(cells["prevalence"], finding, table)
    return shares_of


def _number(cell: str, finding: Finding, table: Path) -> float:
    try:
        return float(cell)
    except ValueError:
        raise DataError(f"{table}: the prevalence of {finding.label} is {cell!r}, not a number; {_REMEDY}") from None
