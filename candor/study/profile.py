"""A receiver's profile: which result objects it takes, and in which form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique

from candor.study.findings import Finding
from candor.study.result_object import KINDS, Kind, ResultObject


@unique
class ReportClass(Enum):
    """The SOP class of the Structured Report; the content is the same in each."""

    COMPREHENSIVE_3D = "comprehensive-3d"
    COMPREHENSIVE = "comprehensive"
    ENHANCED = "enhanced"


@dataclass(frozen=True, slots=True)
class Profile:
    """What one receiver takes.

    Receivers that take the same objects share a profile. A report and a key object document refer only to objects of
    their profile, so that they never name an object that the receiver does not get.

    Parameters
    ----------
    kinds
        Kinds of objects that the receiver takes.
    report_class
        SOP class of its reports.
    findings
        The findings whose overlays it takes; None for all.
    flag_deferrals
        Whether its key objects name deferred images as well as positive ones; most studies have a deferral.
    """

    kinds: frozenset[Kind] = frozenset({"sr", "sc", "gsps", "ko"})
    report_class: ReportClass = ReportClass.COMPREHENSIVE_3D
    findings: frozenset[Finding] | None = None
    flag_deferrals: bool = False

    @property
    def key(self) -> str:
        """The profile in one short line, the same for equal profiles: its name in tables and files."""
        chosen = "all" if self.findings is None else "+".join(f.label for f in Finding if f in self.findings)
        kinds = "+".join(kind for kind in KINDS if kind in self.kinds)
        return f"{self.report_class.value}:{kinds}:{chosen}{':deferrals' if self.flag_deferrals else ''}"

    def takes(self, written: ResultObject) -> bool:
        """Return whether the receiver takes an object."""
        if written.kind not in self.kinds:
            return False
        if written.profiles is not None:
            return self.key in written.profiles
        return written.finding is None or self.findings is None or written.finding in self.findings

    def of(self, objects: Iterable[ResultObject]) -> list[ResultObject]:
        """Return those objects that the receiver takes."""
        return [written for written in objects if self.takes(written)]
