"""Choose the reader by what lies in the folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from cxr.errors import DataError, SettingsError
from cxr.findings import Finding
from training.datasets import nih
from training.datasets.dataset import Dataset
from training.datasets.policy import POLICIES, U_IGNORE, Policy
from training.datasets.records import Row, assemble
from training.splits import OFFICIAL, SPLITS, Split

ALL: Final = tuple(Finding)
T = TypeVar("T")


class Reader(NamedTuple):
    """How one layout is known and read."""

    here: Callable[[Path], bool]
    rows: Callable[[Path], tuple[Path, list[Row]]]
    findings: tuple[Finding, ...]  # what the source labels, and so the default
    split: Split
    layout: str  # in words, for the error that nothing was recognised


READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "nih-shared": Reader(
            lambda folder: (folder / "images.csv").is_file(), nih.shared_rows, ALL, OFFICIAL, "images.csv and images/"
        ),
    }
)
"""In the order in which a folder is tried."""


def read_dataset(
    folder: Path,
    kind: str = "auto",
    *,
    findings: Sequence[Finding] | None = None,
    policy: Policy | str = U_IGNORE,
    split: Split | str | None = None,
) -> Dataset:
    """Read a data set in its publisher's layout.

    Parameters
    ----------
    kind
        A name in ``READERS``, or ``auto``: what lies in the folder decides.
    findings
        The columns of the labels; by default what the source labels, in the vocabulary's order.
    policy
        What uncertain labels count as, or its name in ``POLICIES``.
    split
        How patients are divided, or its name in ``SPLITS``; by default the official lists where there are any, else
        70/15/15 by hash.

    Raises
    ------
    DataError
        No reader knows the folder, or it cannot be used; see :func:`training.datasets.records.assemble`.
    SettingsError
        There is no such kind, policy or split.
    """
    reader = READERS[_kind_of(folder)] if kind == "auto" else named(READERS, kind, "kind")
    wanted = reader.findings if findings is None else tuple(findings)
    policy = named(POLICIES, policy, "policy") if isinstance(policy, str) else policy
    split = named(SPLITS, split, "split") if isinstance(split, str) else split or reader.split
    table, rows = reader.rows(folder)
    return assemble(rows, table, wanted, policy, split)


def named(choices: Mapping[str, T], name: str, what: str) -> T:
    """Look a choice up.

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
        if reader.here(folder):
            return kind
    layouts = "; ".join(f"{kind}: {reader.layout}" for kind, reader in READERS.items())
    raise DataError(f"{folder} is no data set that is known; it should hold one of: {layouts}")


def read_nih(folder: Path, findings: Sequence[Finding] = ALL) -> Dataset:
    """Read the shared selection of ChestX-ray14, ``images.csv`` and ``images/``, by its official lists.

    Raises
    ------
    DataError
        The table or a picture is missing, a row cannot be used, or a patient stands in both official splits.
    """
    return read_dataset(folder, "nih-shared", findings=findings)
