"""The check of mandatory rows: it passes good reports and names exactly the row that was taken out."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import pytest
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForRegion,
    TrackingIdentifier,
)
from pydicom import Dataset

from cxr.dicom import codes
from cxr.dicom.sr import build_report
from cxr.dicom.templates import missing_rows
from cxr.findings import Finding
from cxr.result import Decision
from tests.cases import PROVENANCE, assessed, case_of, header_of, pa_and_lateral, result

ROOT_ROWS = {
    "121049": "TID 1204 row 1",
    "121005": "TID 1002 row 1",
    "121012": "TID 1004 row 1",
    "121058": "TID 1500 row 4",
    "126010": "TID 1500 row 6",
}
ALGORITHM_ROWS = {"111001": "TID 4019 row 1", "111003": "TID 4019 row 2"}
FINDING_ROWS = {
    "112039": "TID 1501 row 2",
    "112040": "TID 1501 row 3",
    "121071": "TID 1501 row 3b",
    "363698007": "TID 1501 row 6",
    "111012": "TID 1501 row 10",
    "705057003": "TID 1501: CONTAINS CODE",
    "121112": "TID 1501: CONTAINS IMAGE",
    **ALGORITHM_ROWS,
}
REGION_ROWS = {
    "112039": "TID 1410 row 2",
    "112040": "TID 1410 row 3",
    "111030": "TID 1410: CONTAINS SCOORD",
    **ALGORITHM_ROWS,
}


def region_group() -> Dataset:
    """A finding with a region, as highdicom makes it (TID 1410)."""
    header = header_of()
    source = SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID)
    square = np.array([[1.0, 1.0], [9.0, 1.0], [9.0, 9.0], [1.0, 1.0]])
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid="1.2.3", identifier="region"),
        referenced_region=ImageRegion("POLYLINE", square, source_image=source),
        finding_type=codes.concept(Finding.NODULE.code),
        finding_sites=[FindingSite(codes.concept(Finding.NODULE.site))],
        algorithm_id=AlgorithmIdentification(name="a", version="1"),
        measurements=[Measurement(codes.CERTAINTY, 12.3, codes.PERCENT)],
        qualitative_evaluations=[QualitativeEvaluation(codes.PRESENCE, codes.presence_code(Decision.PRESENT))],
    )[0]


@pytest.fixture(scope="module")
def good() -> Dataset:
    """A complete report: a study group, one finding, one region."""
    report = build_report(case_of(assessed(header_of(), results=[result(Finding.MASS, Decision.PRESENT)])), PROVENANCE)
    plain = Dataset.from_json(report.to_json())
    groups_of(plain).append(region_group())
    return plain


@pytest.fixture
def report(good: Dataset) -> Dataset:
    return deepcopy(good)


def groups_of(report: Dataset) -> list[Dataset]:
    return report.ContentSequence[-1].ContentSequence


def remove(item: Dataset, concept: str) -> None:
    item.ContentSequence = [
        child for child in item.ContentSequence if child.ConceptNameCodeSequence[0].CodeValue != concept
    ]


def spoilt(child: Dataset) -> Iterator[Dataset]:
    """The content item with another relationship, another name, and without its value."""
    for keyword, value in (("RelationshipType", "INFERRED FROM"), ("ValueType", "DATE")):
        copy = deepcopy(child)
        setattr(copy, keyword, value)
        yield copy
    copy = deepcopy(child)
    copy.ConceptNameCodeSequence[0].CodeValue = "0"
    yield copy
    copy = deepcopy(child)
    for keyword in ("TextValue", "UID", "ConceptCodeSequence", "MeasuredValueSequence", "ReferencedSOPSequence"):
        if keyword in copy:
            copy[keyword].clear() if copy[keyword].VR == "SQ" else setattr(copy, keyword, "")
            delattr(copy, keyword)
    yield copy


def test_good_reports_lack_nothing(report: Dataset) -> None:
    assert missing_rows(report) == []
    assert missing_rows(build_report(pa_and_lateral(), PROVENANCE)) == []


@pytest.mark.parametrize(("concept", "row"), ROOT_ROWS.items())
def test_names_the_row_missing_below_the_root(report: Dataset, concept: str, row: str) -> None:
    remove(report, concept)
    (line,) = missing_rows(report)
    assert line.startswith(row)
    assert concept in line


@pytest.mark.parametrize(("concept", "row"), FINDING_ROWS.items())
def test_names_the_row_missing_in_a_finding(report: Dataset, concept: str, row: str) -> None:
    remove(groups_of(report)[1], concept)
    (line,) = missing_rows(report)
    assert line.startswith(f"group 2, {row}")
    assert concept in line


@pytest.mark.parametrize(("concept", "row"), REGION_ROWS.items())
def test_names_the_row_missing_in_a_region(report: Dataset, concept: str, row: str) -> None:
    remove(groups_of(report)[2], concept)
    (line,) = missing_rows(report)
    assert line.startswith(f"group 3, {row}")


@pytest.mark.parametrize("concept", ["112039", "111001", "112040"])
def test_names_the_row_missing_in_the_study_group(report: Dataset, concept: str) -> None:
    remove(groups_of(report)[0], concept)
    (line,) = missing_rows(report)
    assert line.startswith("group 1, TID")


@pytest.mark.parametrize("position", range(9))
def test_a_spoilt_row_counts_as_missing(report: Dataset, position: int) -> None:
    content = groups_of(report)[1].ContentSequence
    concept = list(FINDING_ROWS)[position]
    (place,) = [n for n, child in enumerate(content) if child.ConceptNameCodeSequence[0].CodeValue == concept]
    for replacement in spoilt(content[place]):
        content[place] = replacement
        assert [concept in line for line in missing_rows(report)] == [True]


def test_the_root_names_its_template_and_title(report: Dataset) -> None:
    report.ContentTemplateSequence[0].TemplateIdentifier = "2000"
    (line,) = missing_rows(report)
    assert line.startswith("TID 1500 row 1")


def test_a_group_names_its_template(report: Dataset) -> None:
    del groups_of(report)[1].ContentTemplateSequence
    (line,) = missing_rows(report)
    assert line.startswith("group 2, TID 1500 row 9")


def test_nothing_at_all() -> None:
    assert len(missing_rows(Dataset())) == 1 + len(ROOT_ROWS)
