"""What a report refers to as a document: the objects that it rests on, and the reports that it takes the place of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from pydicom import Dataset

from candor.study.case import Case
from candor.study.profile import Profile
from candor.study.result_object import Kind, Predecessor, ResultObject

_EVIDENCE: Final[tuple[Kind, ...]] = ("sc", "gsps", "pm")


class Instance(NamedTuple):
    """The four UIDs by which one document names an object."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def evidence_of(case: Case, profile: Profile) -> list[ResultObject]:
    """List the overlays, outlines and heatmaps that the profile holds: a report names these and no others.

    In an order of their own, whatever the order in which they were written.
    """
    held = [written for written in profile.of(case.written) if written.kind in _EVIDENCE]
    return sorted(held, key=lambda written: (_EVIDENCE.index(written.kind), written.sop_instance_uid))


def predecessors_of(
    case: Case, profile: Profile, uid_after: Callable[[Sequence[Predecessor]], str]
) -> list[Predecessor]:
    """Choose the reports that a new one takes the place of.

    Those of its profile. Where its receivers have had none, since they now take other objects than before: the
    last one of each profile that there was.

    Parameters
    ----------
    uid_after
        Gives the SOP Instance UID of the new report, by its predecessors.

    Returns
    -------
    Oldest first. The report's own UID is not among them: a report that says what its last predecessor says, after
    the same reports, is that one, and keeps its UID.
    """
    same = [report for report in case.predecessors if report.profiles is None or profile.key in report.profiles]
    last = {key: report for report in case.predecessors for key in report.profiles or ()}
    chosen = same or [report for report in case.predecessors if report in last.values()]
    if chosen and uid_after(chosen[:-1]) == chosen[-1].sop_instance_uid:
        chosen.pop()
    return chosen


def hierarchy(instances: Iterable[Instance]) -> list[Dataset]:
    """Name instances by study and series, in their order (PS3.3 C.17.2.1, Hierarchical SOP Instance Reference)."""
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
