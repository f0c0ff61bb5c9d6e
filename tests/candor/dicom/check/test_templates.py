"""The check of mandatory rows: it passes good results and names exactly the row that was taken out or spoilt.

Every row of every table gets its negative controls by itself, in real objects.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import CTImageStorage

from candor.dicom.check import attributes, image_attributes, presentation_state_attributes, template_rows
from candor.dicom.check.parsed_file import read_written
from candor.dicom.check.requirements import (
    Attribute,
    Filled,
    Heading,
    Requirement,
    Row,
    Somewhere,
    Unnamed,
    children,
    items_at,
)
from candor.dicom.check.templates import Place, missing_rows, places
from candor.dicom.report.document import build_report
from candor.dicom.write.rejection_note import Rejection, build_rejection_note
from candor.study.case import CaseImage
from candor.study.findings import Finding
from candor.study.profile import Profile, ReportClass
from candor.study.reasons import Reason
from candor.study.result import Decision
from tests.cases import CASES, PROVENANCE, TIME, assessed, case_of, header_of, refused, result, write_results

TEXT = ("CS", "LO", "LT", "PN", "SH", "ST", "UI", "UT")


@dataclass(frozen=True)
class Result:
    """A real result; ``source`` where the check is told its source."""

    dataset: Dataset
    source: Dataset | None = None

    def missing(self) -> list[str]:
        return missing_rows(self.dataset, self.source)

    def missing_when_written(self) -> list[str]:
        """What is missing in the file, as the application checks it."""
        with TemporaryDirectory() as folder:
            path = Path(folder, "result.dcm")
            dcmwrite(path, self.dataset)
            return missing_rows(read_written(path), self.source)

    def copy(self) -> Result:
        # Quicker than a deep copy.
        return Result(pickle.loads(pickle.dumps(self.dataset)), self.source)

    def place(self, number: int) -> Place:
        return list(places(self.dataset, self.source))[number]


def frontal() -> CaseImage:
    """An image that is MONOCHROME1 and has a finding of each decision."""
    found = {Finding.HERNIA: Decision.PRESENT, Finding.MASS: Decision.DEFERRED, Finding.EDEMA: Decision.ABSENT}
    answers = [result(finding, decision) for finding, decision in found.items()]
    return assessed(header_of(seed="1", study="s", series="s", monochrome1=True), results=answers)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """One result of each kind, of a study with a finding of each decision and a lateral."""
    folder = tmp_path_factory.mktemp("results")
    case = case_of(frontal(), refused(header_of(seed="2", view="LL", study="s", series="s"), Reason.NOT_FRONTAL))
    source = case.images[0].header
    assert source is not None
    files = {path.name: dcmread(path) for path in write_results(case, folder, overlays=1)}
    made = {name: Result(files[name]) for name in files}
    made |= {
        f"{name} of its source": Result(it, source)
        for name, it in files.items()
        if name.startswith(("sc", "gsps", "pm"))
    }
    note = build_rejection_note(source, case.written, Rejection.QUALITY, "Withdrawn.", PROVENANCE, TIME)
    return made | {"rejection note": Result(note)}


def tables() -> Iterator[tuple[str, Requirement]]:
    """Every requirement of every table, and the headings that stand alone, by the table's name."""
    for module in (template_rows, attributes, image_attributes, presentation_state_attributes):
        for name, table in vars(module).items():
            if name.startswith("_"):
                continue
            for requirement in table if isinstance(table, tuple) else (table,):
                if isinstance(requirement, (Row, Heading, Filled, Unnamed, Attribute, Somewhere)):
                    yield name, requirement


OPTIONAL = (template_rows.IMAGE_LIBRARY,)
"""Rows that say where others apply, and are asked nowhere themselves."""

ASKED = [pytest.param(each, id=f"{name}: {each}") for name, each in tables() if each not in OPTIONAL]


@singledispatch
def spoilers(requirement: Requirement) -> Iterator[Callable[[Dataset], None]]:
    """Give the ways to break a requirement in a place that meets it; each changes the place's item."""
    raise NotImplementedError(f"no negative control for {type(requirement)}")


VALUES = (
    "TextValue",
    "UID",
    "GraphicData",
    "ConceptCodeSequence",
    "MeasuredValueSequence",
    "ReferencedSOPSequence",
)


@spoilers.register
def _(row: Row) -> Iterator[Callable[[Dataset], None]]:
    def remove(item: Dataset) -> None:
        item.ContentSequence = [child for child in children(item) if not row.matches(child)]

    def each(change: Callable[[Dataset], None]) -> Callable[[Dataset], None]:
        def changed(item: Dataset) -> None:
            for child in [child for child in children(item) if row.matches(child)]:
                change(child)

        return changed

    yield from (remove, each(change_relationship), each(change_type))
    if row.name is not None:
        yield each(rename)
    if row.value_types != ("CONTAINER",):
        yield each(take_value)


def change_relationship(child: Dataset) -> None:
    child.RelationshipType = "INFERRED FROM"


def change_type(child: Dataset) -> None:
    child.ValueType = "DATE"


def rename(child: Dataset) -> None:
    child.ConceptNameCodeSequence[0].CodeValue = "0"


def take_value(child: Dataset) -> None:
    for keyword in VALUES:
        if keyword in child:
            del child[keyword]


@spoilers.register
def _(heading: Heading) -> Iterator[Callable[[Dataset], None]]:
    def retitle(item: Dataset) -> None:
        item.ConceptNameCodeSequence[0].CodeValue = "0"

    def of_another_scheme(item: Dataset) -> None:
        item.ConceptNameCodeSequence[0].CodingSchemeDesignator = "SCT"

    def of_another_template(item: Dataset) -> None:
        item.ContentTemplateSequence[0].TemplateIdentifier = "2000"

    def of_no_template(item: Dataset) -> None:
        del item.ContentTemplateSequence

    def no_container(item: Dataset) -> None:
        item.ValueType = "TEXT"

    yield from (retitle, of_another_scheme, of_another_template, of_no_template, no_container)


@spoilers.register
def _(filled: Filled) -> Iterator[Callable[[Dataset], None]]:
    def clear(item: Dataset) -> None:
        item.ContentSequence = []

    yield clear


@spoilers.register
def _(unnamed: Unnamed) -> Iterator[Callable[[Dataset], None]]:
    def name(item: Dataset) -> None:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "260753009", "SCT", "Source"
        item.ConceptNameCodeSequence = [code]

    yield name


@spoilers.register(Attribute)
@spoilers.register(Somewhere)
def _(attribute: Attribute | Somewhere) -> Iterator[Callable[[Dataset], None]]:
    *sequences, keyword = attribute.path.split(".")

    def everywhere(change: Callable[[Dataset], None]) -> Callable[[Dataset], None]:
        def changed(item: Dataset) -> None:
            for each in items_at(item, sequences):
                if keyword in each:
                    change(each)

        return changed

    def remove(item: Dataset) -> None:
        del item[keyword]

    def empty(item: Dataset) -> None:
        item[keyword].value = [] if item[keyword].VR == "SQ" else None

    def garble(item: Dataset) -> None:
        item[keyword].value = wrong(item[keyword].value)

    yield from (everywhere(remove), everywhere(empty))
    if isinstance(attribute, Attribute) and attribute.holds is not None:
        yield everywhere(garble)


def wrong(value: Any) -> Any:
    """Make another value of the same type; in a sequence, of every text in it."""
    if isinstance(value, bytes):
        return value + b"\0\0\0\0"
    if isinstance(value, str):
        return "WRONG"
    if isinstance(value, (int, float)):
        return value + 1
    values = deepcopy(value)
    if not isinstance(values[0], Dataset):
        return [*map(wrong, values[:-1]), wrong(wrong(values[-1]))]
    for item in values:
        for element in item.iterall():
            if element.VR in TEXT:
                element.value = "WRONG"
    return values


@pytest.mark.parametrize("asked", ASKED)
def test_each_requirement_is_named_where_it_is_broken_and_nothing_else(
    results: dict[str, Result], asked: Requirement
) -> None:
    controls = 0
    for name, good in results.items():
        all_places = enumerate(places(good.dataset, good.source))
        numbers = [number for number, place in all_places if asked in place.requirements]
        for number in {*numbers[:1], *numbers[-1:]}:
            controls += control(name, good, number, asked)
    assert controls, "no real object has a place where it is asked"


def control(name: str, good: Result, number: int, asked: Requirement) -> int:
    """Break a requirement of one place in every way; returns in how many."""
    controls = 0
    for spoil in spoilers(asked):
        spoilt = good.copy()
        place = spoilt.place(number)
        spoil(place.item)
        line = f"{place.label}, {asked}".removeprefix(", ")
        assert spoilt.missing() == [line], (name, spoil)
        assert spoilt.missing_when_written() == [line], (name, spoil)
        controls += 1
    return controls


@pytest.mark.parametrize("name", ["sc-1.dcm", "gsps-1.dcm", "pm-1.dcm"])
def test_what_follows_from_the_source_is_named_where_it_is_broken(results: dict[str, Result], name: str) -> None:
    of_source = results[f"{name} of its source"]
    general = [asked for place in places(results[name].dataset) for asked in place.requirements]
    controls = 0
    for number, place in enumerate(places(of_source.dataset, of_source.source)):
        for asked in place.requirements:
            if isinstance(asked, Attribute) and asked not in general:
                controls += control(name, of_source, number, asked)
    assert controls >= 3


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("report_class", list(ReportClass))
def test_good_results_lack_nothing(tmp_path: Path, name: str, report_class: ReportClass) -> None:
    case = CASES[name](lateral=True)
    profile = Profile(frozenset({"sr", "sc", "gsps", "ko", "pm"}), report_class, flag_deferrals=True)
    files = write_results(case, tmp_path, profile=profile)
    source = case.images[0].header
    assert {file.name: missing_rows(dcmread(file), source) for file in files} == {file.name: [] for file in files}


def test_real_objects_have_every_place(results: dict[str, Result]) -> None:
    assert {name: good.missing() for name, good in results.items()} == {name: [] for name in results}
    labels = {
        place.label.split(",")[-1].strip(" 0123456789") for good in results.values() for place in places(good.dataset)
    }
    assert labels >= {"", "group", "region", "image library", "image", "key object"}


def test_an_attribute_is_asked_with_the_sequences_that_it_stands_in(results: dict[str, Result]) -> None:
    for good in results.values():
        for place in places(good.dataset, good.source):
            paths = [each.path for each in place.requirements if isinstance(each, (Attribute, Somewhere))]
            assert len(paths) == len(set(paths))
            assert {path.rpartition(".")[0] for path in paths} <= {"", *paths}


def test_a_presentation_state_must_suit_its_source(results: dict[str, Result]) -> None:
    """The source is MONOCHROME1: shown as IDENTITY it would be inverted."""
    spoilt = results["gsps-1.dcm of its source"].copy()
    spoilt.dataset.PresentationLUTShape = "IDENTITY"
    assert spoilt.missing() == ["PS3.3 C.11.6: PresentationLUTShape: INVERSE, for its source"]
    assert missing_rows(spoilt.dataset) == []


def test_two_frames_about_one_finding_are_named(results: dict[str, Result]) -> None:
    spoilt = results["pm-1.dcm"].copy()
    first, second, *_ = spoilt.dataset.PerFrameFunctionalGroupsSequence
    second.RealWorldValueMappingSequence = first.RealWorldValueMappingSequence
    (line,) = spoilt.missing()
    assert line.endswith("a finding that no other frame has")


def test_an_instance_that_the_evidence_does_not_name_is_found(results: dict[str, Result]) -> None:
    for name in ("sr.dcm", "ko-present.dcm"):
        spoilt = results[name].copy()
        spoilt.dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence.pop()
        (line,) = spoilt.missing()
        assert "CurrentRequestedProcedureEvidenceSequence" in line


def test_a_number_without_a_unit_is_no_value(results: dict[str, Result]) -> None:
    spoilt = results["sr.dcm"].copy()
    for _, place in enumerate(places(spoilt.dataset)):
        if place.requirements[:1] == template_rows.PLANAR_GROUP[:1]:
            for child in children(place.item):
                if child.ValueType == "NUM":
                    del child.MeasuredValueSequence[0].MeasurementUnitsCodeSequence
            break
    (line,) = spoilt.missing()
    assert "TID 1419 row 5" in line


def test_the_code_of_another_scheme_is_another_concept(results: dict[str, Result]) -> None:
    spoilt = results["sr.dcm"].copy()
    for child in children(spoilt.dataset):
        if child.ConceptNameCodeSequence[0].CodeValue == "121058":
            child.ConceptNameCodeSequence[0].CodingSchemeDesignator = "99CANDOR"
    (line,) = spoilt.missing()
    assert line.startswith("TID 1500 row 4")


def test_an_object_of_another_class_is_none_of_ours(results: dict[str, Result]) -> None:
    for good in results.values():
        stranger = good.copy().dataset
        stranger.SOPClassUID = CTImageStorage
        (line,) = missing_rows(stranger)
        assert line.startswith("SOPClassUID")


def test_nothing_at_all() -> None:
    lines = missing_rows(Dataset())
    assert lines[0].startswith("SOPClassUID")
    top = [each for each in attributes.EVERY_OBJECT if "." not in each.path]
    assert lines[1:] == [str(each) for each in top]


def test_a_report_of_a_study_without_a_source_in_the_library_lacks_nothing() -> None:
    case = CASES["not assessed"]()
    assert missing_rows(build_report(case, PROVENANCE)) == []
