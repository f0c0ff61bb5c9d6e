"""The references of a report as a document: its evidence, and the reports that it replaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from pydicom import Dataset

from candor.study.case import Case
from candor.study.profile import Profile
from candor.study.result_object import Kind, Predecessor, ResultObject

_EVIDENCE: Final[tuple[Kind, ...]] = ("sc", "gsps", "pm")


class Instance(NamedTuple):
    """The four UIDs by which a document refers to an object."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def evidence_of(case: Case, profile: Profile) -> list[ResultObject]:
    """Return the overlays, outlines and heatmaps that a report refers to, sorted by kind and UID.

    Parameters
    ----------
    case
        The study, with the objects that were written.
    profile
        The profile of the receivers.
    """
    held = [written for written in profile.of(case.written) if written.kind in _EVIDENCE]
    return sorted(held, key=lambda written: (_EVIDENCE.index(written.kind), written.sop_instance_uid))


def predecessors_of(
    case: Case, profile: Profile, uid_after: Callable[[Sequence[Predecessor]], str]
) -> list[Predecessor]:
    """Return the reports that a new one replaces.

    These are the earlier reports of its profile. Where there are none, because the receivers now take other objects
    than before, they are the last one of each profile.

    Parameters
    ----------
    case
        The study, with its earlier reports.
    profile
        The profile of the new report.
    uid_after
        Returns the SOP Instance UID of the new report for its predecessors.

    Returns
    -------
    Oldest first. A new report that is the same as the last one, with the same predecessors, keeps its UID, and the last
    one is not among its predecessors.
    """
    same = [report for report in case.predecessors if report.profiles is None or profile.key in report.profiles]
    last = {key: report for report in case.predecessors for key in report.profiles or ()}
    chosen = same or [report for report in case.predecessors if report in last.values()]
    if chosen and uid_after(chosen[:-1]) == chosen[-1].sop_instance_uid:
        chosen.pop()
    return chosen


def hierarchy(instances: Iterable[Instance]) -> list[Dataset]:
    """Return references by study and series, in order (PS3.3 C.17.2.1, Hierarchical SOP Instance Reference)."""
    studies: dict[str, dict[str, dict[str, str]]] = {}
    for instance in instances:
        series = studies.setdefault(instance.study_instance_uid, {}).setdefault(instance.series_instance_uid, {})
        series[instance.sop_instance_uid] = instance.sop_class_uid
    return [_study(uid, series) for uid, series in studies.items()]


def _study(uid: str, series: dict[str, dict[str, str]]) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = uid
    item.ReferencedSeriesSequence = [_series(uid, instances) for uid, instances in series.items()]
    return item


def _series(uid: str, instances: dict[str, str]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedSOPSequence = [_instance(uid, sop_class) for uid, sop_class in instances.items()]
    return item


def _instance(uid: str, sop_class_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, uid
    return item
