"""What a report names: the objects of its profile, the reports before it; and what its own UID rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pydicom import Dataset

from candor.dicom.report.document import SOP_CLASSES, build_report
from candor.dicom.report.references import Instance, hierarchy, predecessors_of
from candor.study.case import Case
from candor.study.findings import Finding
from candor.study.profile import Profile, ReportClass
from candor.study.provenance import derived_uid
from candor.study.reasons import Reason
from candor.study.result import Decision
from candor.study.result_object import KINDS, Kind, Predecessor, ResultObject
from candor.words.texts import Language, texts_of
from tests.cases import PROVENANCE, assessed, case_of, header_of, pa_and_lateral, refused, result

SOP_CLASS = {
    "sc": "1.2.840.10008.5.1.4.1.1.7",
    "gsps": "1.2.840.10008.5.1.4.1.1.11.1",
    "pm": "1.2.840.10008.5.1.4.1.1.30",
    "ko": "1.2.840.10008.5.1.4.1.1.88.59",
    "sr": "1.2.840.10008.5.1.4.1.1.88.34",
}
ALL = Profile(frozenset(KINDS))
POSITIVE, DEFERRED, ABSENT = Finding.MASS, Finding.NODULE, Finding.HERNIA


def written(kind: Kind, source: str | None, finding: Finding | None = None) -> ResultObject:
    uid = derived_uid("test", kind, str(source), str(finding))
    return ResultObject(kind, f"{kind}.dcm", uid, SOP_CLASS[kind], derived_uid("series", kind), finding, source)


def case_with_objects() -> Case:
    """A deferred, a positive and an absent finding, with everything that can be written for them."""
    decisions = {DEFERRED: Decision.DEFERRED, POSITIVE: Decision.PRESENT, ABSENT: Decision.ABSENT}
    results = [result(finding, decision) for finding, decision in decisions.items()]
    case = case_of(assessed(header_of(), results=results))
    uid = case.images[0].sop_instance_uid
    case.written += [
        written("sc", uid, POSITIVE),
        written("sc", uid, DEFERRED),
        written("gsps", uid),
        written("pm", uid),
        written("ko", None),
    ]
    return case


def named_objects(item: Dataset) -> Iterator[tuple[str, str]]:
    """All SOP Class and Instance UIDs that a content item and those below it refer to, in whichever way."""
    for reference in item.get("ReferencedSOPSequence", ()):
        yield reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID
        yield from named_objects(reference)
    for child in item.get("ContentSequence", ()):
        yield from named_objects(child)


def evidence(report: Dataset) -> set[tuple[str, str, str, str]]:
    return named_by(report.CurrentRequestedProcedureEvidenceSequence)


def named_by(studies: list[Dataset]) -> set[tuple[str, str, str, str]]:
    return {
        (study.StudyInstanceUID, series.SeriesInstanceUID, item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID)
        for study in studies
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def illustrations(report: Dataset) -> dict[str, list[Dataset]]:
    """The references that illustrate each finding, by its code."""
    found: dict[str, list[Dataset]] = {}
    for group in report.ContentSequence[-1].ContentSequence[1:]:
        named = {item.ConceptNameCodeSequence[0].CodeValue: item for item in group.ContentSequence}
        code = named["121071"].ConceptCodeSequence[0].CodeValue
        found[code] = [
            item.ReferencedSOPSequence[0]
            for item in group.ContentSequence
            if item.ConceptNameCodeSequence[0].CodeValue == "121080"
        ]
    return found


class TestObjects:
    @pytest.mark.parametrize("kinds", [("sr",), ("sr", "sc"), ("sr", "gsps"), ("sr", "pm"), ("sr", "ko"), KINDS])
    def test_evidence_and_content_name_exactly_what_the_profile_holds(self, kinds: tuple[Kind, ...]) -> None:
        case = case_with_objects()
        report = build_report(case, PROVENANCE, Profile(frozenset(kinds)))
        header = case.images[0].header
        source = (case.study_instance_uid, header.SeriesInstanceUID, header.SOPClassUID, header.SOPInstanceUID)
        made = {
            (case.study_instance_uid, each.series_instance_uid, each.sop_class_uid, each.sop_instance_uid)
            for each in case.written
            if each.kind in kinds and each.kind != "ko"
        }
        assert evidence(report) == made | {source}
        assert set(named_objects(report)) == {named[2:] for named in evidence(report)}

    def test_an_overlay_of_a_finding_that_the_profile_leaves_out_is_not_named(self) -> None:
        case = case_with_objects()
        report = build_report(case, PROVENANCE, Profile(frozenset({"sr", "sc"}), findings=frozenset({DEFERRED})))
        named = {each.sop_instance_uid for each in case.written} & {uid for *_, uid in evidence(report)}
        assert named == {case.written[1].sop_instance_uid}
        assert illustrations(report)[POSITIVE.code.value] == []

    def test_an_object_of_another_profile_is_not_named(self) -> None:
        case = case_with_objects()
        case.written = [replace(each, profiles=frozenset({"another"})) for each in case.written]
        assert len(evidence(build_report(case, PROVENANCE, ALL))) == 1

    def test_each_finding_is_illustrated_by_its_own(self) -> None:
        case = case_with_objects()
        shown = illustrations(build_report(case, PROVENANCE, ALL))
        overlay, deferred, outlines, maps, _ = case.written
        assert [item.ReferencedSOPInstanceUID for item in shown[POSITIVE.code.value]] == [
            overlay.sop_instance_uid,
            maps.sop_instance_uid,
            case.images[0].sop_instance_uid,
        ]
        (state,) = shown[POSITIVE.code.value][-1].ReferencedSOPSequence
        assert state.ReferencedSOPInstanceUID == outlines.sop_instance_uid
        assert [item.ReferencedSOPInstanceUID for item in shown[DEFERRED.code.value]] == [
            deferred.sop_instance_uid,
            maps.sop_instance_uid,
        ]

    def test_the_frame_of_a_heatmap_is_the_place_among_the_results(self) -> None:
        shown = illustrations(build_report(case_with_objects(), PROVENANCE, Profile(frozenset({"sr", "pm"}))))
        frames = {code: [item.ReferencedFrameNumber for item in named] for code, named in shown.items()}
        assert frames == {DEFERRED.code.value: [1], POSITIVE.code.value: [2], ABSENT.code.value: [3]}

    def test_objects_of_another_image_do_not_illustrate(self) -> None:
        case = case_of(*(assessed(header_of(seed=seed, study="s"), seed) for seed in "12"))
        case.written.append(written("sc", case.images[0].sop_instance_uid, Finding.ATELECTASIS))
        report = build_report(case, PROVENANCE)
        named = [item for item in named_objects(report) if item[1] == case.written[0].sop_instance_uid]
        assert len(named) == 1


class TestReportClasses:
    @pytest.mark.parametrize("make", [case_with_objects, pa_and_lateral])
    def test_the_content_is_the_same_in_each(self, make: Callable[[], Case]) -> None:
        case = make()
        reports = [build_report(case, PROVENANCE, Profile(report_class=each)) for each in ReportClass]
        assert [report.SOPClassUID for report in reports] == [SOP_CLASSES[each] for each in ReportClass]
        first = list(flat(reports[0].ContentSequence))
        assert len(first) > 50
        assert all(list(flat(report.ContentSequence)) == first for report in reports[1:])
        assert len({report.SOPInstanceUID for report in reports}) == 3


def flat(content: list[Dataset], depth: int = 0) -> Iterator[tuple[int, str]]:
    """All content items of a tree with their depth, one by one."""
    for item in content:
        alone = Dataset({tag: element for tag, element in item.items() if element.tag != 0x0040A730})
        yield depth, alone.to_json()
        yield from flat(item.get("ContentSequence", []), depth + 1)


def predecessor(name: str, *profiles: Profile) -> Predecessor:
    keys = frozenset(profile.key for profile in profiles) or None
    return Predecessor("1.2.3", f"1.2.3.{len(name)}", SOP_CLASS["sr"], derived_uid("report", name), keys)


class TestPredecessors:
    OTHER, THIRD = Profile(frozenset({"sr"})), Profile(frozenset({"sr", "pm"}))

    def chosen(self, *reports: Predecessor, profile: Profile = ALL) -> list[Predecessor]:
        case = case_with_objects()
        case.predecessors = reports
        return predecessors_of(case, profile, lambda _: "1.2.3")

    def test_none_without_earlier_reports(self) -> None:
        assert self.chosen() == []
        assert "PredecessorDocumentsSequence" not in build_report(case_with_objects(), PROVENANCE, ALL)

    def test_those_of_the_same_profile_and_those_of_all(self) -> None:
        mine, other, everybodys = predecessor("a", ALL, self.THIRD), predecessor("b", self.OTHER), predecessor("c")
        assert self.chosen(mine, other, everybodys) == [mine, everybodys]

    def test_the_last_of_each_profile_for_a_new_one(self) -> None:
        old, other, last = predecessor("a", self.OTHER), predecessor("b", self.OTHER), predecessor("c", self.THIRD)
        assert self.chosen(old, other, last) == [other, last]
        assert self.chosen(other, replace(old, profiles=last.profiles), last) == [other, last]

    def test_are_named_with_their_four_uids(self) -> None:
        case = case_with_objects()
        case.predecessors = (predecessor("a"), predecessor("bc"))
        report = build_report(case, PROVENANCE)
        assert named_by(report.PredecessorDocumentsSequence) == {
            (each.study_instance_uid, each.series_instance_uid, each.sop_class_uid, each.sop_instance_uid)
            for each in case.predecessors
        }

    def test_a_report_that_is_there_already_is_the_same_again_and_never_names_itself(self) -> None:
        case = case_with_objects()
        case.predecessors = (predecessor("a"),)
        once = build_report(case, PROVENANCE)
        case.predecessors += (replace(predecessor("a"), sop_instance_uid=once.SOPInstanceUID),)
        again = build_report(case, PROVENANCE)
        assert again.to_json() == once.to_json()

    def test_a_report_that_has_been_replaced_is_not_made_again(self) -> None:
        case = case_with_objects()
        first = build_report(case, PROVENANCE)
        case.predecessors = (replace(predecessor("a"), sop_instance_uid=first.SOPInstanceUID), predecessor("b"))
        assert build_report(case, PROVENANCE).SOPInstanceUID != first.SOPInstanceUID


class TestUID:
    def test_rests_on_all_that_the_report_says(self) -> None:
        def uid(
            change: Callable[[Case], object] = lambda _: None, profile: Profile = ALL, language: str = "en-US"
        ) -> str:
            case = case_with_objects()
            change(case)
            return str(build_report(case, PROVENANCE, profile, texts_of(Language(language))).SOPInstanceUID)

        changed = [
            uid(),
            uid(lambda case: case.written.pop(0)),
            uid(lambda case: setattr(case, "predecessors", (predecessor("a"),))),
            uid(lambda case: setattr(case, "predecessors", (predecessor("b"),))),
            uid(lambda case: case.images[0].refuse(Reason.PROCESSING_FAILED, "")),
            uid(lambda case: case.images.append(refused(header_of(seed="2"), Reason.NO_PIXELS))),
            uid(profile=replace(ALL, report_class=ReportClass.ENHANCED)),
            uid(profile=replace(ALL, findings=frozenset({POSITIVE}))),
            uid(language="de-DE"),
        ]
        assert len(set(changed)) == len(changed)

    def test_profiles_whose_reports_say_the_same_share_one(self) -> None:
        case = case_with_objects()
        flagged = build_report(case, PROVENANCE, replace(ALL, flag_deferrals=True))
        assert flagged.to_json() == build_report(case, PROVENANCE, ALL).to_json()

    def test_the_order_of_the_objects_makes_no_difference(self) -> None:
        case = case_with_objects()
        expected = build_report(case, PROVENANCE, ALL).to_json()
        case.written.reverse()
        assert build_report(case, PROVENANCE, ALL).to_json() == expected


def test_a_hierarchy_names_each_study_series_and_instance_once() -> None:
    instances = [Instance("1", "1.1", "9", "1.1.1"), Instance("2", "2.1", "9", "2.1.1")]
    instances += [Instance("1", "1.2", "9", "1.2.1"), Instance("1", "1.1", "9", "1.1.1")]
    studies = hierarchy(instances)
    assert [study.StudyInstanceUID for study in studies] == ["1", "2"]
    assert [len(series.ReferencedSOPSequence) for series in studies[0].ReferencedSeriesSequence] == [1, 1]
