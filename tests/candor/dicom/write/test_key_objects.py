"""Key objects: which images are flagged for what, what shows it, and nothing that the receiver never gets."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from highdicom.ko import KeyObjectSelectionDocument
from pydicom import Dataset, dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from candor import RESEARCH_USE
from candor.dicom.check.templates import missing_rows
from candor.dicom.shared.file import write
from candor.dicom.write.key_objects import build_key_objects, select_key_objects
from candor.study.case import Case
from candor.study.errors import ReportError
from candor.study.findings import Finding
from candor.study.profile import Profile
from candor.study.reasons import Reason
from candor.study.result import Decision
from candor.study.result_object import Kind, ResultObject
from candor.words.texts import ENGLISH, GERMAN
from tests.cases import (
    CASES,
    EVERYTHING,
    PROVENANCE,
    assessed,
    case_of,
    header_of,
    refused,
    result,
    write_results,
)
from tests.validators import pixelmed_errors, skip_without_validators, validation_errors

PRESENT, DEFERRED, ABSENT = Decision.PRESENT, Decision.DEFERRED, Decision.ABSENT
SOP_CLASSES: dict[Kind, str] = {
    "sr": Comprehensive3DSRStorage,
    "sc": SecondaryCaptureImageStorage,
    "gsps": GrayscaleSoftcopyPresentationStateStorage,
    "pm": ParametricMapStorage,
}


def study(**attributes: Any) -> Case:
    """One image with a mass and a deferred nodule, one with a nodule alone, one with nothing, one refused."""
    shared = {"study": "s", **attributes}
    return case_of(
        assessed(header_of(seed="1", **shared), "1", [result(Finding.MASS, PRESENT), result(Finding.NODULE, DEFERRED)]),
        assessed(header_of(seed="2", **shared), "2", [result(Finding.MASS, ABSENT), result(Finding.NODULE, PRESENT)]),
        assessed(header_of(seed="3", **shared), "3", [result(Finding.MASS, ABSENT)]),
        refused(header_of(seed="4", **shared), Reason.NOT_FRONTAL),
    )


def written(case: Case, kind: Kind, number: int, **about: Any) -> ResultObject:
    """Add an object to what was written; its number is in all its UIDs."""
    uids = (f"2.25.{number}", SOP_CLASSES[kind], f"2.25.9{number}")
    case.written.append(ResultObject(kind, f"{kind}-{number}.dcm", *uids, **about))
    return case.written[-1]


def named(document: KeyObjectSelectionDocument) -> list[tuple[str, str]]:
    """Value type and SOP Instance UID of all that a document names, in its order."""
    return [
        (item.ValueType, item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in document.ContentSequence
        if "ReferencedSOPSequence" in item
    ]


def in_evidence(document: KeyObjectSelectionDocument) -> set[tuple[str, str, str]]:
    (of_study,) = document.CurrentRequestedProcedureEvidenceSequence
    return {
        (series.SeriesInstanceUID, item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID)
        for series in of_study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def description(document: Dataset) -> str:
    (text,) = (item for item in document.ContentSequence if item.ValueType == "TEXT" and _is_description(item))
    return str(text.TextValue)


def _is_description(item: Dataset) -> bool:
    return bool(item.ConceptNameCodeSequence[0].CodeValue == "113012")


class TestSelectKeyObjects:
    @pytest.mark.parametrize(
        ("decisions", "without", "with_deferrals"),
        [
            ([PRESENT, DEFERRED], [PRESENT], [PRESENT, DEFERRED]),
            ([DEFERRED, ABSENT], [], [DEFERRED]),
            ([PRESENT], [PRESENT], [PRESENT]),
            ([ABSENT, ABSENT], [], []),
        ],
    )
    def test_positives_and_where_asked_for_deferrals(
        self, decisions: list[Decision], without: list[Decision], with_deferrals: list[Decision]
    ) -> None:
        results = [result(finding, decision) for finding, decision in zip(Finding, decisions, strict=False)]
        case = case_of(assessed(header_of(), results=results))
        assert select_key_objects(case, Profile()) == without
        assert select_key_objects(case, Profile(flag_deferrals=True)) == with_deferrals

    def test_not_of_images_that_were_refused_or_that_no_result_may_name(self) -> None:
        case = study()
        for image in case.images[:2]:
            image.refuse(Reason.PROCESSING_FAILED, "")
        assert select_key_objects(case, EVERYTHING) == []
        case = study()
        for image in case.images:
            assert image.header is not None
            image.header.SOPClassUID = ""
        assert select_key_objects(case, EVERYTHING) == []


class TestBuildKeyObjects:
    def test_names_the_images_with_the_decision(self) -> None:
        case = study()
        one, two = (image.sop_instance_uid for image in case.images[:2])
        assert named(build_key_objects(case, PRESENT, PROVENANCE)) == [("IMAGE", uid) for uid in sorted((one, two))]
        assert named(build_key_objects(case, DEFERRED, PROVENANCE)) == [("IMAGE", one)]

    def test_names_what_shows_the_decision_and_the_report(self) -> None:
        case = study()
        one, two, three = (image.sop_instance_uid for image in case.images[:3])
        for number, (uid, finding) in enumerate([(one, Finding.MASS), (one, Finding.NODULE), (two, Finding.NODULE)]):
            written(case, "sc", 10 + number, source=uid, finding=finding)
        for number, uid in enumerate([one, two, three]):
            written(case, "pm", 20 + number, source=uid)
        written(case, "gsps", 30, source=one)
        written(case, "gsps", 31, source=two)
        written(case, "sr", 40, profiles=frozenset({EVERYTHING.key}))
        present = build_key_objects(case, PRESENT, PROVENANCE, EVERYTHING)
        assert named(present)[2:] == [
            ("IMAGE", "2.25.10"),
            ("IMAGE", "2.25.12"),
            ("IMAGE", "2.25.20"),
            ("IMAGE", "2.25.21"),
            ("COMPOSITE", "2.25.30"),
            ("COMPOSITE", "2.25.31"),
            ("COMPOSITE", "2.25.40"),
        ]
        deferred = build_key_objects(case, DEFERRED, PROVENANCE, EVERYTHING)
        assert named(deferred) == [
            ("IMAGE", one),
            ("IMAGE", "2.25.11"),
            ("IMAGE", "2.25.20"),
            ("COMPOSITE", "2.25.40"),
        ]

    def test_the_evidence_is_what_it_names(self) -> None:
        case = study()
        image = case.images[0]
        assert image.header is not None
        written(case, "sc", 10, source=image.sop_instance_uid, finding=Finding.NODULE)
        written(case, "sr", 40, profiles=frozenset({EVERYTHING.key}))
        document = build_key_objects(case, DEFERRED, PROVENANCE, EVERYTHING)
        assert in_evidence(document) == {
            (image.header.SeriesInstanceUID, image.header.SOPClassUID, image.sop_instance_uid),
            ("2.25.910", SecondaryCaptureImageStorage, "2.25.10"),
            ("2.25.940", Comprehensive3DSRStorage, "2.25.40"),
        }

    def test_names_nothing_that_the_profile_lacks(self) -> None:
        case = study()
        one = case.images[0].sop_instance_uid
        small = Profile(kinds=frozenset({"sr", "sc", "ko"}), findings=frozenset({Finding.NODULE}))
        written(case, "sc", 10, source=one, finding=Finding.MASS)
        written(case, "pm", 20, source=one)
        written(case, "sr", 40, profiles=frozenset({EVERYTHING.key}))
        written(case, "sr", 41, profiles=frozenset({small.key}))
        uids = {uid for _, uid in named(build_key_objects(case, PRESENT, PROVENANCE, small))}
        assert uids == {one, case.images[1].sop_instance_uid, "2.25.41"}
        nothing = Profile(kinds=frozenset({"ko"}))
        assert len(named(build_key_objects(case, PRESENT, PROVENANCE, nothing))) == 2

    def test_its_title_is_of_interest_and_its_line_says_which_findings(self) -> None:
        case = study()
        document = build_key_objects(case, PRESENT, PROVENANCE)
        assert document.ConceptNameCodeSequence[0].CodeValue == "113000"
        assert description(document) == f"Present: Mass, Nodule. {RESEARCH_USE}."
        deferred = build_key_objects(case, DEFERRED, PROVENANCE)
        assert description(deferred) == f"{ENGLISH.decisions[DEFERRED]}: Nodule. {RESEARCH_USE}."
        assert RESEARCH_USE in document.SeriesDescription

    def test_the_line_is_in_the_language_and_says_so(self) -> None:
        document = build_key_objects(study(), PRESENT, PROVENANCE, texts=GERMAN)
        mass, nodule = (GERMAN.finding(finding) for finding in (Finding.MASS, Finding.NODULE))
        assert description(document) == f"{GERMAN.decisions[PRESENT]}: {mass}, {nodule}. {GERMAN.research_use}."
        language = document.ContentSequence[0]
        assert language.ConceptNameCodeSequence[0].CodeValue == "121049"
        assert language.ConceptCodeSequence[0].CodeValue == "de-DE"

    def test_the_line_fits_a_character_set_without_umlauts(self, tmp_path: Path) -> None:
        results = [result(finding, DEFERRED) for finding in Finding]
        case = case_of(assessed(header_of(SpecificCharacterSet="ISO_IR 144"), results=results))
        write(build_key_objects(case, DEFERRED, PROVENANCE, texts=GERMAN), tmp_path / "ko.dcm")
        line = description(dcmread(tmp_path / "ko.dcm"))
        assert line.isascii()
        assert "?" not in line

    def test_is_the_patients_and_the_studys(self) -> None:
        document, source = build_key_objects(study(), PRESENT, PROVENANCE), header_of(seed="1", study="s")
        for keyword in ("IssuerOfPatientID", "StudyInstanceUID", "StudyDescription"):
            assert document[keyword].value == source[keyword].value, keyword
        assert "BodyPartExamined" not in document
        assert document.ContributingEquipmentSequence[0].DeviceUID == PROVENANCE.device_uid

    def test_answers_to_the_order_of_its_image(self) -> None:
        case = study(RequestedProcedureID="RP1")
        assert build_key_objects(case, PRESENT, PROVENANCE).ReferencedRequestSequence[0].RequestedProcedureID == "RP1"

    def test_what_highdicom_reads_of_it_is_what_stands_in_it(self) -> None:
        case = study()
        written(case, "sr", 40, profiles=frozenset({EVERYTHING.key}))
        document = build_key_objects(case, PRESENT, PROVENANCE, EVERYTHING)
        references = document.content.get_references()
        assert [item.referenced_sop_instance_uid for item in references] == [uid for _, uid in named(document)]
        assert document.resolve_reference("2.25.40") == (case.study_instance_uid, "2.25.940", "2.25.40")

    def test_its_uid_rests_on_all_that_it_names_and_says(self) -> None:
        case = study()
        first = build_key_objects(case, PRESENT, PROVENANCE, EVERYTHING)
        uids = {first.SOPInstanceUID, build_key_objects(case, PRESENT, PROVENANCE, texts=GERMAN).SOPInstanceUID}
        uids.add(build_key_objects(case, DEFERRED, PROVENANCE, EVERYTHING).SOPInstanceUID)
        written(case, "pm", 20, source=case.images[0].sop_instance_uid)
        with_map = build_key_objects(case, PRESENT, PROVENANCE, EVERYTHING)
        assert len(uids | {with_map.SOPInstanceUID}) == 4
        assert with_map.SeriesInstanceUID == first.SeriesInstanceUID

    def test_profiles_with_the_same_content_share_a_document(self, tmp_path: Path) -> None:
        case = study()
        profiles = [Profile(), Profile(frozenset({"ko", "pm"}))]
        for number, profile in enumerate(profiles):
            write(build_key_objects(case, PRESENT, PROVENANCE, profile), tmp_path / f"{number}.dcm")
        first, second = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
        assert first == second

    def test_present_is_the_first_in_its_series(self) -> None:
        numbers = [build_key_objects(study(), each, PROVENANCE).InstanceNumber for each in (PRESENT, DEFERRED)]
        assert numbers == [1, 2]

    @pytest.mark.parametrize("decision", [ABSENT, DEFERRED])
    def test_without_such_an_image_there_is_no_document(self, decision: Decision) -> None:
        case = case_of(assessed(header_of(), results=[result(Finding.MASS, PRESENT)]))
        with pytest.raises(ReportError, match=f"none has a finding that is {decision.value}"):
            build_key_objects(case, decision, PROVENANCE)

    def test_the_patient_is_in_the_object_and_nowhere_else(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            document = build_key_objects(study(PatientName="Canary", PatientID="C-4711"), PRESENT, PROVENANCE)
        said = caplog.text + " ".join(str(warning.message) for warning in warned)
        assert document.PatientName == "Canary"
        assert "Canary" not in said
        assert "C-4711" not in said


@pytest.mark.parametrize("decision", [PRESENT, DEFERRED])
def test_the_mandatory_rows_are_there(decision: Decision) -> None:
    assert missing_rows(build_key_objects(study(), decision, PROVENANCE)) == []


def test_every_kind_of_study_has_the_documents_that_it_should(tmp_path: Path) -> None:
    expected = {"positive": ["ko-deferred", "ko-present"], "deferred": ["ko-deferred"]}
    for name, make in CASES.items():
        files = write_results(make(lateral=True), tmp_path / name)
        assert [file.stem for file in files if file.stem.startswith("ko")] == expected.get(name, []), name


def test_independent_validators_take_the_documents(tmp_path: Path) -> None:
    skip_without_validators()
    for kind in ("CR", "DX"):
        case = study(kind=kind)
        one = case.images[0].sop_instance_uid
        for number, named_kind in enumerate(SOP_CLASSES):
            about = {"profiles": frozenset({EVERYTHING.key})} if named_kind == "sr" else {"source": one}
            written(case, named_kind, number, **about)
        for decision in (PRESENT, DEFERRED):
            document = build_key_objects(case, decision, PROVENANCE, EVERYTHING)
            write(document, tmp_path / f"{kind}-{decision.value}.dcm")
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4
    assert validation_errors(files) == []
    assert pixelmed_errors(files[:2]) == []
