"""Outlines of localised findings, and the words of each language."""

from __future__ import annotations

from io import BytesIO
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from highdicom.sr import Comprehensive3DSR, ComprehensiveSR, EnhancedSR, srread
from pydicom import Dataset, dcmread

from candor import RESEARCH_USE
from candor.dicom.check.templates import missing_rows
from candor.dicom.report.document import build_report
from candor.dicom.shared.file import write
from candor.evidence.outline import LEVEL, outlines
from candor.study.case import Case
from candor.study.findings import Finding
from candor.study.profile import Profile, ReportClass
from candor.study.reasons import Reason
from candor.study.result import Decision, Note
from candor.study.result_object import KINDS
from candor.words.texts import ENGLISH, GERMAN
from tests.candor.dicom.report.test_references import case_with_objects
from tests.cases import CASES, PROVENANCE, assessed, case_of, header_of, heatmap, pa_and_lateral, refused, result
from tests.validators import skip_without_validators, validation_errors

CLASSES = {
    ReportClass.COMPREHENSIVE_3D: Comprehensive3DSR,
    ReportClass.COMPREHENSIVE: ComprehensiveSR,
    ReportClass.ENHANCED: EnhancedSR,
}
ALL = frozenset(KINDS)


def with_one(decision: Decision, **changes: object) -> Case:
    return case_of(assessed(header_of(), results=[result(Finding.MASS, decision, **changes)]))


def finding_groups(report: Dataset) -> list[Dataset]:
    return list(report.ContentSequence[-1].ContentSequence[1:])


def template(group: Dataset) -> str:
    return str(group.ContentTemplateSequence[0].TemplateIdentifier)


def texts_of(report: Dataset) -> list[str]:
    """All texts of the measurement groups, but for the algorithm's."""
    groups = report.ContentSequence[-1].ContentSequence
    return [
        item.TextValue
        for group in groups
        for item in group.ContentSequence
        if item.ValueType == "TEXT" and item.RelationshipType != "HAS CONCEPT MOD"
    ]


class TestOutline:
    @pytest.mark.parametrize("report_class", ReportClass)
    def test_highdicom_reads_the_region_that_holds_the_peak(self, report_class: ReportClass) -> None:
        case = with_one(Decision.PRESENT, heatmap=heatmap(row=2, column=5))
        header = case.images[0].header
        file = BytesIO()
        build_report(case, PROVENANCE, Profile(report_class=report_class)).save_as(file, enforce_file_format=True)
        file.seek(0)
        read = srread(file)
        assert type(read) is CLASSES[report_class]
        (group,) = read.content.get_planar_roi_measurement_groups()
        points = group.roi.value
        assert np.array_equal(points, outlines(heatmap(row=2, column=5), (header.Rows, header.Columns))[0])
        assert np.array_equal(points[0], points[-1])
        left, top = points.min(axis=0)
        right, bottom = points.max(axis=0)
        assert left < 5.5 / 7 * header.Columns < right
        assert top < 2.5 / 7 * header.Rows < bottom
        (source,) = group.roi.ContentSequence
        assert source.RelationshipType == "SELECTED FROM"
        assert source.referenced_sop_instance_uid == header.SOPInstanceUID
        assert len(read.content.get_image_measurement_groups()) == 1

    def test_the_text_says_at_which_level(self) -> None:
        (group,) = finding_groups(build_report(with_one(Decision.PRESENT), PROVENANCE))
        assert template(group) == "1410"
        (said,) = [item.TextValue for item in group.ContentSequence if "outline runs" in item.get("TextValue", "")]
        assert f"{LEVEL:.0%}".replace("%", " %") in said

    @pytest.mark.parametrize("decision", [Decision.DEFERRED, Decision.ABSENT])
    def test_only_a_positive_has_one(self, decision: Decision) -> None:
        (group,) = finding_groups(build_report(with_one(decision), PROVENANCE))
        assert template(group) == "1501"
        assert not any(item.ValueType == "SCOORD" for item in group.ContentSequence)

    def test_a_positive_without_evidence_has_none(self) -> None:
        (group,) = finding_groups(build_report(with_one(Decision.PRESENT, heatmap=heatmap(peak=0)), PROVENANCE))
        assert template(group) == "1501"
        assert not any("outline runs" in item.get("TextValue", "") for item in group.ContentSequence)

    def test_a_finding_on_an_image_that_may_not_be_named_has_none(self) -> None:
        case = with_one(Decision.PRESENT)
        case.images.append(refused(header_of(seed="2"), Reason.NO_PIXELS))
        case.images[1].header.StudyInstanceUID = case.study_instance_uid
        del case.images[0].header.SeriesInstanceUID
        report = build_report(case, PROVENANCE)
        group = next(group for group in finding_groups(report) if "Mass" in group.ContentSequence[0].TextValue)
        assert template(group) == "1501"
        assert {item.ValueType for item in group.ContentSequence} == {"TEXT", "UIDREF", "CODE", "NUM"}

    def test_has_all_rows_of_its_template(self) -> None:
        assert missing_rows(build_report(case_with_objects(), PROVENANCE, Profile(ALL))) == []


class TestLanguage:
    def test_german(self) -> None:
        case = pa_and_lateral()
        case.images[0].deferrals.append(Note(Reason.MUCH_TEXT))
        report = build_report(case, PROVENANCE, texts=GERMAN)
        language = report.ContentSequence[0].ConceptCodeSequence[0]
        assert (language.CodeValue, language.CodingSchemeDesignator) == ("de-DE", "RFC5646")
        said = texts_of(report)
        assert said[0] == "Untersuchung"
        assert said[1].startswith("Vorhanden: Atelektase, Infiltrat, ")
        assert f"{GERMAN.research_use}." in said
        assert GERMAN.research_use.startswith(RESEARCH_USE)
        assert any(text.startswith("Hinweise: Bild ") for text in said)
        assert any(text.startswith("Nicht beurteilt: Bild ") for text in said)
        assert any(text.startswith("Pneumothorax: Bild ") for text in said)
        assert "Viel Text oder viele Markierungen im Bild" in said

    def test_no_english_is_left_but_for_the_details(self) -> None:
        german = texts_of(build_report(case_with_objects(), PROVENANCE, texts=GERMAN))
        english = texts_of(build_report(case_with_objects(), PROVENANCE, texts=ENGLISH))
        assert len(german) == len(english)
        assert set(german) & set(english) == set()

    @pytest.mark.parametrize(
        ("declared", "expected"),
        [
            (None, "Lungenödem"),
            ("ISO_IR 100", "Lungenödem"),
            ("ISO_IR 192", "Lungenödem"),
            (["", "ISO 2022 IR 87"], "Lungenoedem"),
        ],
    )
    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_text_is_in_the_character_set_of_the_report(
        self, tmp_path: Path, declared: str | list[str] | None, expected: str
    ) -> None:
        header = header_of(SpecificCharacterSet=declared)
        case = case_of(assessed(header, results=[result(Finding.EDEMA, Decision.ABSENT)]))
        report = build_report(case, PROVENANCE, texts=GERMAN)
        write(report, tmp_path / "sr.dcm")
        for each in (report, dcmread(tmp_path / "sr.dcm")):
            assert texts_of(each)[1] == f"Nicht vorhanden: {expected}."


def all_kinds_of_studies() -> dict[str, Case]:
    return {
        f"{name}-{kind}-{1 if inverse else 2}": make(kind=kind, monochrome1=inverse, lateral=inverse)
        for name, make in CASES.items()
        for kind in ("CR", "DX")
        for inverse in (False, True)
    }


def test_independent_validators_take_reports_of_each_class(tmp_path: Path) -> None:
    skip_without_validators()
    classes = cycle(ReportClass)
    cases = [*all_kinds_of_studies().items(), *((f"objects-{each.name}", case_with_objects()) for each in ReportClass)]
    files = []
    for name, case in cases:
        files.append(tmp_path / f"{name}.dcm".replace(" ", "-"))
        write(build_report(case, PROVENANCE, Profile(ALL, next(classes))), files[-1])
    assert validation_errors(files) == []
    assert {line for file in files for line in missing_rows(dcmread(file))} == set()
