"""Read a data set with the reader that fits its folder's layout."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from candor.study.errors import DataError, SettingsError
from candor.study.findings import Finding
from training.data.dataset import Dataset
from training.data.policy import POLICIES, U_IGNORE, Policy
from training.data.readers import chexpert, covid, hannover, mimic, nih, plain
from training.data.readers.cells import Mark
from training.data.readers.records import Row, assemble
from training.data.splits import OFFICIAL, PAPER, SPLITS, Listed, Split

ALL: Final = tuple(Finding)
T = TypeVar("T")


class Reader(NamedTuple):
    """Functions that recognise and read one layout."""

    recognises: Callable[[Path], bool]
    rows: Callable[[Path], tuple[Path, list[Row]]]
    findings: tuple[Finding, ...]  # labelled by default; empty: those that any row labels
    layout: str  # in words, for the error that nothing was recognised
    source: str = ""  # the data set's own name; empty: the table's


def _holds(*patterns: str) -> Callable[[Path], bool]:
    return lambda folder: all(any(folder.glob(pattern)) for pattern in patterns)


READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "nih-shared": Reader(_holds("images.csv", "images"), nih.shared_rows, ALL, "images.csv and images/", nih.NAME),
        "nih": Reader(
            _holds("Data_Entry_2017*.csv"),
            nih.published_rows,
            ALL,
            "Data_Entry_2017_v2020.csv, the official lists and images_001/images/ to images_012/images/",
            nih.NAME,
        ),
        "chexpert": Reader(
            _holds("train.csv", "valid.csv"), chexpert.rows, chexpert.FINDINGS, "train.csv and valid.csv", "CheXpert"
        ),
        "mimic": Reader(
            _holds("mimic-cxr-2.0.0-split.csv*"),
            mimic.rows,
            chexpert.FINDINGS,
            "mimic-cxr-2.0.0-split.csv.gz, -chexpert.csv.gz, -metadata.csv.gz and files/",
            "MIMIC-CXR-JPG",
        ),
        "hannover": Reader(
            hannover.recognises,
            hannover.rows,
            ALL,
            "metadata.csv with the column image_id, and images/",
            "the COVID-19 image repository of Hannover",
        ),
        "covid": Reader(
            _holds("metadata.csv", "images"),
            covid.rows,
            covid.FINDINGS,
            "metadata.csv and images/",
            "the COVID-19 image data collection",
        ),
        "csv": Reader(lambda folder: plain.table_of(folder) is not None, plain.rows, (), "one .csv with path, patient"),
    }
)
"""The readers by name, in the order in which they are tried."""


def read_dataset(
    folder: Path,
    kind: str = "auto",
    *,
    findings: Sequence[Finding] | None = None,
    policy: Policy | str = U_IGNORE,
    split: Split | str | None = None,
    views: Collection[str] | None = None,
) -> Dataset:
    """Read a data set in its publisher's layout.

    Parameters
    ----------
    folder
        The unpacked data set; for ``csv`` it may be the table itself.
    kind
        A name in ``READERS``, or ``auto`` to choose by what is in the folder.
    findings
        The columns of the labels; by default those that the source labels, in the vocabulary's order.
    policy
        What uncertain labels count as, or its name in ``POLICIES``.
    split
        How patients are divided, or its name in ``SPLITS``; by default the official lists if there are any, else
        70/15/15 by hash.
    views
        Views to keep, of ``PA``, ``AP``, ``LL`` and empty; by default all. A classifier of frontal radiographs needs
        PA and AP.

    Raises
    ------
    DataError
        No reader knows the folder, or it cannot be used; see :func:`training.data.readers.records.assemble`.
    SettingsError
        The kind, policy or split is unknown.
    """
    reader = _reader(folder, kind)
    policy = named(POLICIES, policy, "policy") if isinstance(policy, str) else policy
    split = named(SPLITS, split, "split") if isinstance(split, str) else split
    table, rows = reader.rows(folder)
    rows = [row for row in rows if views is None or row.view in views]
    wanted = reader.findings or _labelled_findings(rows) if findings is None else tuple(findings)
    dataset = assemble(rows, table, wanted, policy, split or _default_split(rows))
    return replace(dataset, source=reader.source or table.name)


def read_rows(folder: Path, kind: str = "auto") -> list[Row]:
    """Read the facts of a data set's pictures, for uses that need no labels.

    Parameters
    ----------
    folder, kind
        As for :func:`read_dataset`.

    Raises
    ------
    DataError, SettingsError
        As for :func:`read_dataset`, except that labels and pictures may be missing.
    """
    _, rows = _reader(folder, kind).rows(folder)
    return rows


def _reader(folder: Path, kind: str) -> Reader:
    return READERS[_kind_of(folder)] if kind == "auto" else named(READERS, kind, "kind")


def _labelled_findings(rows: Sequence[Row]) -> tuple[Finding, ...]:
    return tuple(finding for finding in Finding if any(row.of(finding) is not Mark.UNKNOWN for row in rows))


def _default_split(rows: Sequence[Row]) -> Split:
    return PAPER if all(row.listed is Listed.NOWHERE for row in rows) else OFFICIAL


def named(choices: Mapping[str, T], name: str, what: str) -> T:
    """Return the choice of a name.

    Parameters
    ----------
    choices
        All choices by name.
    name
        The name to look up.
    what
        The kind of choice, in one word, for the error.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    if name not in choices:
        raise SettingsError(f"there is no {what} {name!r}; choose one of {', '.join(choices)}")
    return choices[name]


def _kind_of(folder: Path) -> str:
    for kind, reader in READERS.items():
        if reader.recognises(folder):
            return kind
    layouts = "; ".join(f"{kind}: {reader.layout}" for kind, reader in READERS.items())
    if not folder.exists():
        raise DataError(f"{folder} is not there; give the folder of a data set")
    raise DataError(f"{folder} is not a known data set; it should hold one of: {layouts}")
