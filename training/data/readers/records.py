"""Build a data set from a publisher's rows: what all readers share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from candor.study.errors import DataError
from candor.study.findings import Finding
from training.data.dataset import Dataset, LabelledImage
from training.data.policy import Policy
from training.data.readers.cells import Mark
from training.data.splits import Listed, Split

NAMED: Final = 5
"""Number of faulty pictures that an error names."""

_ALL: Final = frozenset(Finding)


@dataclass(frozen=True, slots=True)
class Row:
    """One picture as its source describes it; a finding without a mark is unknown."""

    name: str
    path: Path
    patient: str
    marks: Mapping[Finding, Mark]
    listed: Listed = Listed.NOWHERE
    age: float | None = None
    sex: str = ""
    view: str = ""
    study: str = ""
    site: str = ""
    disease: str = ""
    part: str = ""

    def of(self, finding: Finding) -> Mark:
        """Return what the source says of a finding."""
        return self.marks.get(finding, Mark.UNKNOWN)

    def all_that_are(self, mark: Mark) -> frozenset[Finding]:
        """Return the findings with one mark."""
        return frozenset(finding for finding, given in self.marks.items() if given is mark)

    def hedged(self, findings: Iterable[Finding]) -> bool:
        """Whether every label that the source gives for these findings is uncertain."""
        if Mark.UNCERTAIN not in self.marks.values():
            return False
        given = {self.of(finding) for finding in findings} - {Mark.UNMENTIONED, Mark.UNKNOWN}
        return given == {Mark.UNCERTAIN}


def assemble(rows: Sequence[Row], table: Path, findings: Sequence[Finding], policy: Policy, split: Split) -> Dataset:
    """Check the rows, leave out those whose labels are all uncertain, and divide the patients.

    Pictures without any known label of these findings are kept, with NaN as labels: probes need them.

    Parameters
    ----------
    rows
        One for each picture.
    table
        The table's path, for the errors.
    findings
        The columns of the labels.
    policy
        What uncertain labels count as.
    split
        How patients are divided.

    Raises
    ------
    DataError
        A picture is missing or in two rows, a patient is on two lists, the split needs lists and there are none, or no
        picture has a label of these findings.
    """
    _check_pictures(rows, table)
    if split.needs_lists:
        _check_lists(rows, table, split)
    kept = [row for row in rows if not row.hedged(findings)]
    if not any(row.of(finding) is not Mark.UNKNOWN for row in kept for finding in findings):
        names = ", ".join(finding.label for finding in findings)
        raise DataError(f"{table} labels no picture for any of {names}; ask for findings that it has")
    return Dataset(tuple(_labelled(row, findings, split) for row in kept), tuple(findings), policy, split)


def _labelled(row: Row, findings: Sequence[Finding], split: Split) -> LabelledImage:
    return LabelledImage(
        name=row.name,
        path=row.path,
        patient=row.patient,
        findings=row.all_that_are(Mark.PRESENT),
        subset=split.subset(row.patient, row.listed),
        age=row.age,
        sex=row.sex,
        view=row.view,
        uncertain=row.all_that_are(Mark.UNCERTAIN),
        unknown=_ALL - row.marks.keys() | row.all_that_are(Mark.UNKNOWN),
        study=row.study,
        site=row.site,
        disease=row.disease,
        part=row.part,
    )


def first_few(names: Sequence[str]) -> str:
    """List the first few names, and the number of the others."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _check_pictures(rows: Sequence[Row], table: Path) -> None:
    missing = [row.path.name for row in rows if not row.path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} pictures of {table} are not there: {first_few(missing)}; fetch them")
    twice = [name for name, count in Counter(row.name for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"{table}: {len(twice)} pictures are in several rows: {first_few(twice)}; keep one row of each")


def _check_lists(rows: Sequence[Row], table: Path, split: Split) -> None:
    nowhere = [row.name for row in rows if row.listed not in split.shares]
    if nowhere:
        raise DataError(
            f"{table} puts {len(nowhere)} pictures on no official list: {first_few(nowhere)}; choose a split by hash, "
            "as 70-15-15"
        )
    first: dict[str, Listed] = {}
    both = {
        row.patient: f"{row.name} ({first[row.patient].value} and {row.listed.value})"
        for row in rows
        if first.setdefault(row.patient, row.listed) is not row.listed
    }
    if both:
        raise DataError(
            f"{table} puts {len(both)} patients on two official lists, those of {first_few(list(both.values()))}; "
            "correct the lists"
        )
