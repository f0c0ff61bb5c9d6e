"""The report: what a radiologist and a program read in it, and that independent validators take it."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from highdicom.sr import MeasurementProperties
from pydicom import Dataset, dcmread

from candor import RESEARCH_USE
from candor.dicom.check.templates import missing_rows
from candor.dicom.report.document import build_report
from candor.study.case import Case
from candor.study.errors import ReportError
from candor.study.findings import Finding
from candor.study.provenance import NO_FAMILIARITY, ForeignFit
from candor.study.reasons import Reason
from candor.study.result import AnyAbnormality, Decision, Interval, Note
from candor.words.texts import ENGLISH, GERMAN, Texts
from tests.cases import (
    PROVENANCE,
    assessed,
    case_of,
    header_of,
    heatmap,
    pa_and_lateral,
    refused,
    result,
    study_answer,
    write_results,
)
from tests.conftest import DATA, ROOT
from tests.validators import pixelmed_errors, skip_without_validators, validation_errors

HEADERS = (
    "pypi_pydicom_data__RG1_UNCI.dcm",
    "pydicom__966_fixed.dcm",
    "pydicom__JPEG2KLossless_1s_1f_u_16_16.dcm",
    "DIAGNijmegen__cxr.dcm",
    "Spoksonat__cxr.dcm",
    "pydicom__chrJapMulti.dcm",
    "pydicom__chrJapMultiExplicitIR6.dcm",
    "pydicom__chrKoreanMulti.dcm",
)


def not_an_image() -> Dataset:
    """The header of somebody else's report in the same study."""
    header = header_of(seed="3", study="s", series="3")
    header.SOPClassUID, header.Modality = "1.2.840.10008.5.1.4.1.1.88.33", "SR"
    del header.Rows, header.Columns
    return header


def nothing_assessed() -> Case:
    """A CT, a lateral, a report and a file that is not DICOM."""
    ct = header_of(seed="1", study="s")
    ct.SOPClassUID, ct.Modality = "1.2.840.10008.5.1.4.1.1.2", "CT"
    return case_of(
        refused(ct, Reason.NOT_RADIOGRAPHY, "Modality is CT", "ct"),
        refused(header_of(seed="2", study="s", view="LL"), Reason.NOT_FRONTAL, name="ll"),
        refused(not_an_image(), Reason.NOT_AN_IMAGE, name="sr"),
        refused(None, Reason.UNREADABLE, "no preamble", "txt"),
    )


def of_real_header(path: Path, assess: bool) -> Case:
    """A real file's header, with made-up results."""
    header = dcmread(path, stop_before_pixels=True)
    return case_of(assessed(header) if assess else refused(header, Reason.NO_PIXELS))


def two_frontals() -> Case:
    return case_of(*(assessed(header_of(seed=seed, study="s", kind="CR"), seed) for seed in "12"))


SYNTHETIC: dict[str, Callable[[], Case]] = {
    "dx": lambda: case_of(assessed(header_of())),
    "cr-monochrome1": lambda: case_of(assessed(header_of(kind="CR", monochrome1=True))),
    "pa-and-lateral": pa_and_lateral,
    "two-frontals": two_frontals,
    "nothing": nothing_assessed,
    "utc+9": lambda: case_of(assessed(header_of(TimezoneOffsetFromUTC="+0900", RequestedProcedureID="P1"))),
    "subset": lambda: case_of(assessed(header_of(), results=[result(Finding.MASS, Decision.ABSENT)])),
}


def items(item: Dataset, meaning: str) -> list[Dataset]:
    """The content items below one, whose concept name says so."""
    return [child for child in item.ContentSequence if child.ConceptNameCodeSequence[0].CodeMeaning == meaning]


def groups(report: Dataset) -> list[Dataset]:
    """All Measurement Groups."""
    return list(items(report, "Imaging Measurements")[0].ContentSequence)


def value(group: Dataset, meaning: str) -> str:
    """The value of the one content item of that name: text, the meaning of a code, or a number."""
    (item,) = items(group, meaning)
    if item.ValueType == "NUM":
        measured = item.MeasuredValueSequence[0]
        return f"{measured.NumericValue} {measured.MeasurementUnitsCodeSequence[0].CodeValue}"
    return item.TextValue if item.ValueType == "TEXT" else item.ConceptCodeSequence[0].CodeMeaning


def labelled(report: Dataset, start: str) -> list[Dataset]:
    """The groups whose Tracking Identifier starts so."""
    return [group for group in groups(report) if value(group, "Tracking Identifier").startswith(start)]


def references(item: Dataset) -> Iterator[str]:
    """All SOP Instance UIDs that the content refers to."""
    for reference in item.get("ReferencedSOPSequence", ()):
        yield reference.ReferencedSOPInstanceUID
    for child in item.get("ContentSequence", ()):
        yield from references(child)


class TestFindings:
    def test_one_group_for_each_finding_present_first(self) -> None:
        report = build_report(case_of(assessed(header_of())), PROVENANCE)
        decisions = [value(group, "Presence") for group in groups(report)[1:]]
        assert decisions == ["Present"] * 5 + ["Undetermined"] * 5 + ["Absent"] * 4
        found = {items(group, "Finding")[0].ConceptCodeSequence[0].CodeValue for group in groups(report)[1:]}
        assert found == {finding.code.value for finding in Finding}

    def test_certainty_is_the_probability_of_presence_whatever_the_decision(self) -> None:
        results = [
            result(Finding.MASS, Decision.PRESENT, probability=0.8123),
            result(Finding.NODULE, Decision.ABSENT, probability=0.002),
        ]
        report = build_report(case_of(assessed(header_of(), results=results)), PROVENANCE)
        certainties = [value(group, "Certainty of Finding") for group in groups(report)[1:]]
        assert certainties == ["81.2 %", "0.2 %"]
        assert value(groups(report)[1], "Assumed prevalence of the finding") == "5.0 %"
        assert value(groups(report)[1], "Probability that the likelier answer is wrong") == "12.5 %"
        assert value(groups(report)[1], "Share of the model's test images that score lower") == "97.0 %"
        assert value(groups(report)[1], "Certainty over assumed prevalence").endswith(" {ratio}")

    def test_a_deferred_finding_says_why(self) -> None:
        report = build_report(case_of(assessed(header_of())), PROVENANCE)
        (group,) = labelled(report, "Cardiomegaly")
        assert value(group, "Presence") == "Undetermined"
        assert value(group, "Reason for deferral to a radiologist") == Reason.BETWEEN_THRESHOLDS.meaning
        assert value(group, "Region of the strongest evidence") == "left lower zone"
        assert value(group, "Comment") == Reason.BETWEEN_THRESHOLDS.meaning

    def test_numbers_state_what_they_are_to_be_read_against(self) -> None:
        found = result(Finding.MASS, Decision.ABSENT, prevalence=0.0123)
        report = build_report(case_of(assessed(header_of(), results=[found])), PROVENANCE)
        stated = value(groups(report)[1], "Reference values of the finding's numbers")
        assert "certainty 1.2 % (the assumed prevalence)" in stated

    def test_an_interval_stands_below_its_certainty_as_highdicom_puts_it(self) -> None:
        found = result(Finding.MASS, Decision.ABSENT, probability=0.042, interval=Interval(0.0291, 0.06))
        report = build_report(case_of(assessed(header_of(), results=[found])), PROVENANCE)
        (certainty,) = items(groups(report)[1], "Certainty of Finding")
        expected = MeasurementProperties(upper_measurement_uncertainty=1.8, lower_measurement_uncertainty=1.3)
        assert [(item.RelationshipType, item.ConceptNameCodeSequence[0].CodeValue) for item in expected] == [
            (item.RelationshipType, item.ConceptNameCodeSequence[0].CodeValue) for item in certainty.ContentSequence
        ]
        numbers = [item.MeasuredValueSequence[0] for item in certainty.ContentSequence]
        assert [float(number.NumericValue) for number in numbers] == [1.8, 1.3]
        assert {number.MeasurementUnitsCodeSequence[0].CodeValue for number in numbers} == {"%"}
        stated = value(groups(report)[1], "Reference values of the finding's numbers")
        assert "90 % interval of the certainty: 2.9 % to 6.0 %" in stated
        assert "Where the prevalence differs, so does the certainty" in stated

    def test_a_finding_without_an_interval_has_a_bare_certainty(self) -> None:
        found = result(Finding.MASS, Decision.ABSENT, interval=None)
        report = build_report(case_of(assessed(header_of(), results=[found])), PROVENANCE)
        assert "ContentSequence" not in items(groups(report)[1], "Certainty of Finding")[0]
        assert "interval" not in value(groups(report)[1], "Reference values of the finding's numbers")

    def test_an_image_without_a_percentile_has_no_share(self) -> None:
        found = result(Finding.MASS, Decision.ABSENT, percentile=None)
        report = build_report(case_of(assessed(header_of(), results=[found])), PROVENANCE)
        assert items(groups(report)[1], "Share of the model's test images that score lower") == []

    def test_an_absent_finding_has_no_region(self) -> None:
        report = build_report(case_of(assessed(header_of())), PROVENANCE)
        (group,) = labelled(report, "Pleural effusion")
        assert items(group, "Region of the strongest evidence") == []

    def test_no_evidence_has_no_region(self) -> None:
        found = result(Finding.MASS, Decision.PRESENT, heatmap=heatmap(peak=0))
        report = build_report(case_of(assessed(header_of(), results=[found])), PROVENANCE)
        assert items(groups(report)[1], "Region of the strongest evidence") == []

    def test_the_algorithm_names_calibration_gate_engine_and_use(self) -> None:
        report = build_report(case_of(assessed(header_of())), PROVENANCE)
        for group in groups(report):
            parameters = value(group, "Algorithm Parameters").split("; ")
            assert parameters == [PROVENANCE.calibration, PROVENANCE.gate, "engine onnxruntime-cpu", RESEARCH_USE]
            assert value(group, "Algorithm Version") == PROVENANCE.software_versions

    def test_a_bundle_without_a_check_of_familiarity_says_so(self) -> None:
        report = build_report(case_of(assessed(header_of())), replace(PROVENANCE, familiarity=None))
        parameters = value(groups(report)[1], "Algorithm Parameters").split("; ")
        assert parameters[2] == NO_FAMILIARITY

    def test_each_group_refers_to_its_image_and_has_its_own_uid(self) -> None:
        case = two_frontals()
        report = build_report(case, PROVENANCE)
        assert len(labelled(report, "Mass")) == 2
        sources = {next(references(group)) for group in labelled(report, "Mass")}
        assert sources == {image.sop_instance_uid for image in case.images}
        uids = [items(group, "Tracking Unique Identifier")[0].UID for group in groups(report)]
        assert len(set(uids)) == len(uids)


class TestStudyGroup:
    def test_use_disposition_and_summary(self) -> None:
        (group,) = labelled(build_report(pa_and_lateral(), PROVENANCE), "Study")
        assert value(group, "Permitted use of the report") == RESEARCH_USE
        assert value(group, "Comment") == f"{RESEARCH_USE}."
        assert group.ContentSequence[2] is items(group, "Summary")[0]
        assert "\n" not in value(group, "Summary")
        assert value(group, "Disposition of the study") == "Findings deferred to a radiologist"
        assert value(group, "Summary").startswith("Present: Atelectasis, Infiltration, ")
        assert ". Deferred to a radiologist: Cardiomegaly, " in value(group, "Summary")
        assert ". Absent: Pleural effusion, " in value(group, "Summary")

    def test_the_answer_for_the_study_comes_first_in_words_and_in_codes(self) -> None:
        case = pa_and_lateral()
        case.answer = study_answer()
        (group,) = labelled(build_report(case, replace(PROVENANCE, study_answer="any abnormality: made up")), "Study")
        summary = value(group, "Summary")
        assert summary.startswith(
            "An abnormality is not ruled out. Worklist priority 87 of 100. Look first: Mass (odds "
        )
        assert "Mass (odds 4.5 times those at the assumed prevalence: 20 % against 5.2 %" in summary
        assert summary.index("Nodule (odds") < summary.index("Present: ")
        names = [item.ConceptNameCodeSequence[0].CodeMeaning for item in group.ContentSequence]
        assert names[2:7] == ["Summary", "Any abnormality", "Priority", "Look first", "Look first"]
        assert value(group, "Any abnormality") == "Abnormality not ruled out"
        assert items(group, "Priority")[0].MeasuredValueSequence[0].NumericValue == 87.4
        looks = [item.ConceptCodeSequence[0].CodeMeaning for item in items(group, "Look first")]
        assert looks == [Finding.MASS.code.meaning, Finding.NODULE.code.meaning]
        assert "any abnormality: made up" in value(group, "Algorithm Parameters")
        comments = [item.TextValue for item in items(group, "Comment")]
        assert comments[0].startswith("Worklist priority: share of the calibration studies that score lower")
        assert comments[-1] == f"{RESEARCH_USE}."

    @pytest.mark.parametrize("texts", [ENGLISH, GERMAN], ids=["English", "German"])
    def test_unremarkable_is_never_called_normal(self, texts: Texts) -> None:
        case = pa_and_lateral()
        case.answer = study_answer(AnyAbnormality.RULED_OUT, look_first=())
        (group,) = labelled(build_report(case, PROVENANCE, texts=texts), texts.study_name)
        sentence, _, rest = value(group, "Summary").partition(". ")
        assert "Candor" in sentence
        assert "normal" not in value(group, "Summary").lower()
        assert value(group, "Any abnormality") == "Unremarkable by rule-out, radiologist's reading needed"
        promise = [item.TextValue for item in items(group, "Comment")][1]
        assert "5 %" in promise
        assert "90 %" in promise
        assert rest

    def test_a_study_that_was_not_judged_has_a_priority(self) -> None:
        case = nothing_assessed()
        case.answer = study_answer(AnyAbnormality.NOT_JUDGED, look_first=())
        (group,) = labelled(build_report(case, PROVENANCE), "Study")
        assert value(group, "Summary").startswith(
            "Candor could not judge this study; a radiologist's reading is needed."
        )
        assert value(group, "Any abnormality") == "Not judged, radiologist's reading needed"

    def test_the_studys_decision_is_the_roll_up_of_its_images(self) -> None:
        findings = [Finding.MASS, Finding.NODULE, Finding.HERNIA]
        first = [result(finding, Decision.ABSENT) for finding in findings]
        second = [result(Finding.MASS, Decision.PRESENT), result(Finding.NODULE, Decision.DEFERRED), first[2]]
        one, two = header_of(seed="1", study="s"), header_of(seed="2", study="s")
        case = case_of(assessed(one, "1", first), assessed(two, "2", second))
        (group,) = labelled(build_report(case, PROVENANCE), "Study")
        decided = [value(group, finding.code.meaning) for finding in findings]
        assert decided == ["Present", "Undetermined", "Absent"]
        assert items(group, "Pneumonia") == []

    def test_a_study_without_an_assessed_image_says_that_it_says_nothing(self) -> None:
        (group,) = labelled(build_report(nothing_assessed(), PROVENANCE), "Study")
        assert value(group, "Disposition of the study") == "Not assessed"
        assert "says nothing" in value(group, "Summary")
        assert [item for item in group.ContentSequence if item.ValueType == "IMAGE"] == []


class TestImages:
    def test_an_image_that_was_not_assessed_says_why(self) -> None:
        case = pa_and_lateral()
        report = build_report(case, PROVENANCE)
        (group,) = labelled(report, "Not assessed: image ")
        assert value(group, "Tracking Identifier").endswith(" (LL)")
        assert value(group, "Reason for not assessing the image") == Reason.NOT_FRONTAL.meaning
        assert list(references(group)) == [case.images[1].sop_instance_uid]

    def test_only_images_of_the_study_are_referred_to_as_images(self) -> None:
        case = nothing_assessed()
        case.images.append(refused(header_of(seed="9", study="other"), Reason.CONTRADICTION, name="other"))
        report = build_report(case, PROVENANCE)
        assert set(references(report)) == {image.sop_instance_uid for image in case.images[:2]}
        assert len(labelled(report, "Not assessed")) == 5
        assert value(labelled(report, "Not assessed")[0], "Comment") == f"{Reason.UNREADABLE.meaning}: no preamble"

    def test_many_images_with_one_reason_are_one_group(self) -> None:
        slices = [
            refused(header_of(seed=str(number), study="s"), Reason.NOT_RADIOGRAPHY, name=str(number))
            for number in range(5)
        ]
        (group,) = labelled(build_report(case_of(*slices), PROVENANCE), "Not assessed")
        assert value(group, "Tracking Identifier") == "Not assessed: 5 images"
        assert len(list(references(group))) == 5

    def test_notices_are_coded_on_their_image(self) -> None:
        (group,) = labelled(build_report(pa_and_lateral(), PROVENANCE), "Notices: image ")
        assert value(group, "Notice on the assessed image") == Reason.NO_VOI.meaning
        assert value(group, "Comment") == f"{Reason.NO_VOI.meaning}: the full range is 0 to 4095"

    def test_why_an_image_is_deferred_is_coded_on_it(self) -> None:
        case = pa_and_lateral()
        case.assessed_images[0].deferrals += [Note(Reason.INVERTED, "by the pixels"), Note(Reason.PAEDIATRIC)]
        (group,) = labelled(build_report(case, PROVENANCE), "Deferred to a radiologist: image ")
        reasons = [
            item.ConceptCodeSequence[0].CodeValue for item in items(group, "Reason for deferral to a radiologist")
        ]
        assert reasons == ["INVERTED", "PAEDIATRIC"]
        comments = [item.TextValue for item in items(group, "Comment")]
        assert comments == [f"{Reason.INVERTED.meaning}: by the pixels", Reason.PAEDIATRIC.meaning]

    def test_an_image_without_results_does_not_pass_in_silence(self) -> None:
        (group,) = labelled(build_report(case_of(assessed(header_of(), results=[])), PROVENANCE), "Not assessed")
        assert value(group, "Reason for not assessing the image") == Reason.PROCESSING_FAILED.meaning

    def test_the_library_describes_what_the_header_states(self) -> None:
        stated = build_report(case_of(assessed(header_of())), PROVENANCE)
        bare = build_report(case_of(assessed(header_of(kind="CR", PatientOrientation=None))), PROVENANCE)
        counts = [
            len(items(report, "Image Library")[0].ContentSequence[0].ContentSequence[0].ContentSequence)
            for report in (stated, bare)
        ]
        assert counts == [7, 3]
        assert items(build_report(nothing_assessed(), PROVENANCE), "Image Library") == []

    def test_details_are_plain_ascii_in_any_character_set(self) -> None:
        header = header_of(SpecificCharacterSet=["", "ISO 2022 IR 87"])
        report = build_report(case_of(refused(header, Reason.NOT_CHEST, "Körperteil 手")), PROVENANCE)
        comment = value(labelled(report, "Not assessed")[0], "Comment")
        assert comment == f"{Reason.NOT_CHEST.meaning}: Koerperteil ?"

    def test_details_are_one_line_without_control_characters(self) -> None:
        report = build_report(case_of(refused(header_of(), Reason.NOT_CHEST, "a\x00b\r\nc\x1b\\d")), PROVENANCE)
        assert value(labelled(report, "Not assessed")[0], "Comment").endswith(": a b c \\d")


class TestObject:
    def test_is_complete_preliminary_and_unverified(self) -> None:
        report = build_report(pa_and_lateral(), PROVENANCE)
        flags = (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag)
        assert flags == ("COMPLETE", "PRELIMINARY", "UNVERIFIED")
        assert "BodyPartExamined" not in report
        assert RESEARCH_USE in report.SeriesDescription

    def test_equipment_and_order(self) -> None:
        report = build_report(case_of(assessed(header_of(RequestedProcedureID="P1"))), PROVENANCE)
        assert report.ReferencedRequestSequence[0].RequestedProcedureID == "P1"
        assert [item.DeviceUID for item in report.ContributingEquipmentSequence] == [PROVENANCE.device_uid]
        assert value(report, "Device Observer Serial Number") == report.DeviceSerialNumber == "ab" * 8

    def test_another_outcome_of_the_same_images_has_another_uid(self) -> None:
        reports = [build_report(case, PROVENANCE) for case in (pa_and_lateral(), pa_and_lateral())]
        failed = pa_and_lateral()
        failed.images[0].refuse(Reason.PROCESSING_FAILED, "")
        reports.append(build_report(failed, PROVENANCE))
        assert [one.SOPInstanceUID == two.SOPInstanceUID for one, two in pairwise(reports)] == [True, False]
        assert len({report.SeriesInstanceUID for report in reports}) == 1

    def test_a_fit_to_other_patients_is_named_and_changes_the_uid(self) -> None:
        case = pa_and_lateral()
        plain = build_report(case, PROVENANCE)
        case.foreign_fit = ForeignFit("a" * 64, "NIH ChestX-ray14", "a trial until May")
        report = build_report(case, PROVENANCE)
        comments = [item.TextValue for item in items(groups(report)[0], "Comment")]
        assert comments[1].startswith("The answers rest on a fit to NIH ChestX-ray14, not to this site's own cases.")
        assert comments[1].endswith("a trial until May")
        assert report.SOPInstanceUID != plain.SOPInstanceUID
        case.foreign_fit = ForeignFit("a" * 64, "NIH ChestX-ray14", "another")
        assert build_report(case, PROVENANCE).SOPInstanceUID != report.SOPInstanceUID

    def test_a_report_without_an_answer_names_no_fit(self) -> None:
        case = nothing_assessed()
        case.foreign_fit = ForeignFit("a" * 64, "NIH ChestX-ray14", "a trial until May")
        assert len(items(groups(build_report(case, PROVENANCE))[0], "Comment")) == 1

    def test_a_study_that_cannot_be_named_has_no_report(self) -> None:
        broken = header_of()
        del broken.SOPInstanceUID
        with pytest.raises(ReportError, match="UIDs"):
            build_report(case_of(refused(broken, Reason.INVALID_IDENTIFIERS)), PROVENANCE)
        with pytest.raises(ReportError, match="UIDs"):
            build_report(case_of(refused(header_of(), Reason.OWN_RESULT)), PROVENANCE)

    def test_the_patient_is_in_the_object_and_nowhere_else(self, caplog: pytest.LogCaptureFixture) -> None:
        header = header_of(PatientName="Canary", PatientID="Canary-4711", StudyDescription="Canary")
        with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            report = build_report(case_of(assessed(header)), PROVENANCE)
        assert (report.PatientName, report.PatientID) == ("Canary", "Canary-4711")
        said = caplog.text + " ".join(str(warning.message) for warning in warned)
        assert "Canary" not in said
        assert "Canary" not in str(report.ContentSequence)


class TestRealHeaders:
    @pytest.mark.parametrize("name", HEADERS)
    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_the_patient_is_the_sources(self, chest_dicom: Path, tmp_path: Path, name: str) -> None:
        case = of_real_header(chest_dicom / name, assess=True)
        source = case.images[0].header
        for file in write_results(case, tmp_path, overlays=1):
            written = dcmread(file)
            assert str(written.PatientName) == str(source.get("PatientName", ""))
            assert written.PatientID == source.get("PatientID", "")
            assert written.StudyInstanceUID == source.StudyInstanceUID
            assert missing_rows(written) == [] or file.name != "sr.dcm"


def results_digest(folder: Path) -> str:
    """Hash of all results of a case with everything in it."""
    digest = hashlib.sha256()
    for file in write_results(pa_and_lateral(), folder):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def test_the_same_case_gives_the_same_bytes_anywhere(tmp_path: Path) -> None:
    here = results_digest(tmp_path / "1")
    assert results_digest(tmp_path / "2") == here
    elsewhere = subprocess.run(
        [sys.executable, "-c", "import sys, pathlib; "
         "from tests.candor.dicom.report.test_document import results_digest; "
         "print(results_digest(pathlib.Path(sys.argv[1])))", str(tmp_path / "3")],
        env={**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"},
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert elsewhere.stdout.strip() == here


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_independent_validators_take_all_reports(tmp_path: Path) -> None:
    skip_without_validators()
    cases = {name: make() for name, make in SYNTHETIC.items()} | dict(_cases_of_real_headers())
    for name, case in cases.items():
        write_results(case, tmp_path / name, overlays=1)
    reports = [(tmp_path / name / "sr.dcm").rename(tmp_path / f"{name}.dcm") for name in cases]
    assert validation_errors(reports) == []
    assert {line for report in reports for line in missing_rows(dcmread(report))} == set()


def test_pixelmed_takes_each_kind_of_group(tmp_path: Path) -> None:
    skip_without_validators()
    case = pa_and_lateral()
    case.images[0].results = case.images[0].results[:2]
    write_results(case, tmp_path, overlays=1)
    assert pixelmed_errors([tmp_path / "sr.dcm"]) == []


def _cases_of_real_headers() -> Iterator[tuple[str, Case]]:
    """Real headers where they lie beside the repository; the validators' test is worth running without them too."""
    folder = DATA / "dicom" / "chest"
    if folder.exists():
        yield from ((name, of_real_header(folder / name, assess=True)) for name in HEADERS)
        yield "header-only", of_real_header(folder / HEADERS[-1], assess=False)
