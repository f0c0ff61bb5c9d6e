"""The conformance statement's annex against objects that the tests build: nothing is left out or made up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.tag import Tag

from candor.dicom.shared import codes
from candor.dicom.write.rejection_note import Rejection, build_rejection_note
from candor.study.case import Case
from candor.study.findings import PRIVATE_SCHEME
from candor.study.profile import Profile, ReportClass
from candor.study.reasons import Reason
from candor.study.result import Note
from candor.study.result_object import KINDS, Kind, Predecessor
from tests.cases import CASES, EVERYTHING, PROVENANCE, TIME, assessed, case_of, header_of, pa_and_lateral, write_results
from tests.statement import Row, section, table, tables

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TITLES: dict[Kind, str] = {
    "sr": "Reports",
    "sc": "Overlays",
    "gsps": "Presentation states",
    "ko": "Key objects and rejection notes",
    "pm": "Parametric maps",
}
CONTENT = Tag("ContentSequence")
CODED = {Tag("CodeValue"), Tag("CodingSchemeDesignator"), Tag("CodeMeaning")}

Path_ = tuple[int, ...]


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def lut(bits: int, **values: Any) -> Dataset:
    made = item(**values)
    made.add_new("LUTDescriptor", "US", [4096, 0, bits])
    made.add_new("LUTData", "OW", np.linspace(0, 2**bits - 1, 4096).astype("<u2").tobytes())
    return made


def rich_sources() -> Iterator[dict[str, Any]]:
    """Attributes of sources that have all that a result may carry, shown by windows and by LUTs."""
    issuer = item(LocalNamespaceEntityID="RIS", UniversalEntityID="1.2.3.4", UniversalEntityIDType="ISO")
    qualifiers = item(
        UniversalEntityID="1.2.3.5",
        UniversalEntityIDType="ISO",
        IdentifierTypeCode="MR",
        AssigningFacilitySequence=[issuer],
    )
    other = item(
        PatientID="4712",
        TypeOfPatientID="RFID",
        IssuerOfPatientID="CITY",
        IssuerOfPatientIDQualifiersSequence=[qualifiers],
    )
    shared = {
        "IssuerOfPatientIDQualifiersSequence": [qualifiers],
        "IssuerOfAccessionNumberSequence": [issuer],
        "OtherPatientIDsSequence": [other],
        "RequestAttributesSequence": [item(RequestedProcedureID="P1", RequestedProcedureDescription="Chest")],
        "TimezoneOffsetFromUTC": "+0100",
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "12",
        "LossyImageCompressionMethod": "ISO_10918_1",
    }
    yield shared | {"VOILUTFunction": "SIGMOID", "RescaleSlope": "2", "RescaleIntercept": "-5", "RescaleType": "OD"}
    luts = {"ModalityLUTSequence": [lut(16, ModalityLUTType="OD")], "VOILUTSequence": [lut(12)]}
    rescale = dict.fromkeys(("RescaleSlope", "RescaleIntercept", "RescaleType"))
    yield shared | luts | rescale | {"BodyPartExamined": None, "SpecificCharacterSet": None}


def studies() -> Iterator[Case]:
    for number, attributes in enumerate(rich_sources()):
        case = pa_and_lateral(**attributes)
        case.images[0].deferrals = [Note(Reason.MUCH_TEXT, "a third of the picture")]
        earlier = Predecessor(case.study_instance_uid, "1.2.3", "1.2.840.10008.5.1.4.1.1.88.34", f"1.2.3.{number}")
        case.predecessors = (earlier,)
        yield case
        yield case_of(assessed(header_of(**attributes)))
    for make in CASES.values():
        yield make(kind="CR", monochrome1=True, lateral=True)
    yield case_of(assessed(header_of(seed="7")), assessed(header_of(seed="8", study="7", series="7")))


@cache
def built() -> dict[Kind, list[tuple[Dataset, Case]]]:
    """Results of every kind, read back from their files, each with its study."""
    found: dict[Kind, list[tuple[Dataset, Case]]] = {kind: [] for kind in KINDS}
    with TemporaryDirectory() as folder:
        for number, case in enumerate(studies()):
            profile = EVERYTHING if number else Profile(EVERYTHING.kinds, ReportClass.ENHANCED, None, True)
            for path in write_results(case, Path(folder) / str(number), profile=profile):
                kind: Any = path.name.split("-")[0].removesuffix(".dcm")
                found[kind].append((dcmread(path), case))
            found["ko"] += [(note, case) for note in rejection_notes(case)]
    return found


def rejection_notes(case: Case) -> Iterator[Dataset]:
    source = case.images[0].header
    assert source is not None
    for rejection in Rejection:
        yield build_rejection_note(source, case.written, rejection, "Withdrawn.", PROVENANCE, TIME)


def is_coded_entry(element: DataElement) -> bool:
    return element.VR == "SQ" and len(element.value) == 1 and set(element.value[0].keys()) == CODED


def elements(dataset: Dataset, path: Path_ = ()) -> Iterator[tuple[Path_, DataElement]]:
    """All elements with their paths, as the annex has them: coded entries on one line, content items on one level."""
    for element in dataset:
        here = (*path, int(element.tag))
        if path and path[0] == CONTENT and element.tag == CONTENT:
            here = (CONTENT, CONTENT)
        yield here, element
        if element.VR == "SQ" and not is_coded_entry(element):
            below = (int(CONTENT),) if here == (CONTENT, CONTENT) else here
            for each in element.value:
                yield from elements(each, below)


@cache
def listed(kind: Kind) -> dict[Path_, Row]:
    """The rows of the annex by the paths that they stand for."""
    found: dict[Path_, Row] = {}
    path: Path_ = ()
    for row in table(TITLES[kind]):
        level = row["attribute"].count("> ")
        group, element = re.fullmatch(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)", row["tag"]).groups()  # type: ignore[union-attr]
        path = (*path[:level], int(group + element, 16))
        found[path] = row
    return found


@pytest.mark.parametrize("kind", KINDS)
class TestAttributes:
    def test_every_attribute_of_an_object_is_listed(self, kind: Kind) -> None:
        """With its value representation, which for some depends on other attributes."""
        rows = listed(kind)
        for dataset, _ in built()[kind]:
            for path, element in elements(dataset):
                assert path in rows, (kind, [str(Tag(tag)) for tag in path], element.keyword)
                assert {rows[path]["VR"], element.VR} in ({element.VR}, {"US", "SS"}, {"OB", "OW"}), element.keyword

    def test_every_attribute_that_is_listed_is_in_some_object(self, kind: Kind) -> None:
        found = {path for dataset, _ in built()[kind] for path, _ in elements(dataset)}
        missing = [(row["attribute"], row["tag"]) for path, row in listed(kind).items() if path not in found]
        assert not missing

    def test_a_fixed_value_is_that_of_every_object(self, kind: Kind) -> None:
        rows = listed(kind)
        seen = 0
        for dataset, _ in built()[kind]:
            for path, element in elements(dataset):
                row = rows[path]
                if row["source"] == "FIXED" and row["value"] and element.VR not in ("SQ", "UI"):
                    value = "\\".join(map(str, element.value)) if element.VM > 1 else element.value
                    same = (
                        float(value) == float(row["value"])
                        if element.VR in ("DS", "FD")
                        else str(value) == row["value"]
                    )
                    assert same, (element.keyword, value)
                    seen += 1
        assert seen > 20

    def test_what_is_always_there_is_there_with_a_value(self, kind: Kind) -> None:
        always = [path for path, row in listed(kind).items() if row["presence"] == "ALWAYS" and len(path) == 1]
        empty = [path for path, row in listed(kind).items() if row["presence"] == "EMPTY" and len(path) == 1]
        assert len(always) > 15
        for dataset, _ in built()[kind]:
            assert all(Tag(tag) in dataset and not dataset[Tag(tag)].is_empty for (tag,) in always)
            assert all(Tag(tag) in dataset and dataset[Tag(tag)].is_empty for (tag,) in empty)

    def test_what_is_copied_stands_in_a_source(self, kind: Kind) -> None:
        rows = listed(kind)
        for dataset, case in built()[kind]:
            held = {_said(each.value) for image in case.images for each in (image.header or Dataset()).iterall()}
            for path, element in elements(dataset):
                if rows[path]["source"] == "COPY" and not element.is_empty:
                    assert _said(element.value) in held, element.keyword

    def test_nothing_is_private(self, kind: Kind) -> None:
        assert "None." in section("8.2 Data dictionary of private attributes")
        for dataset, _ in built()[kind]:
            assert not any(element.tag.is_private for element in dataset.iterall())


def _said(value: Any) -> str:
    """A value in words, whatever a number was written with."""
    if isinstance(value, bytes):
        return value.hex()
    text = "\\".join(map(str, value)) if isinstance(value, (list, tuple)) or hasattr(value, "append") else str(value)
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def all_codes() -> set[tuple[str, str, str]]:
    """Every coded entry of every object: value, scheme, meaning."""
    found = set()
    for each in (dataset for kind in KINDS for dataset, _ in built()[kind]):
        stack = [each]
        while stack:
            dataset = stack.pop()
            stack += [below for element in dataset if element.VR == "SQ" for below in element.value]
            if "CodeValue" in dataset:
                found.add((dataset.CodeValue, dataset.CodingSchemeDesignator, dataset.CodeMeaning))
    return found


def test_every_code_of_an_object_is_listed_with_its_meaning() -> None:
    private = {row["code value"]: row["code meaning"] for row in table(f"8.3.1 Coding scheme {PRIVATE_SCHEME}")}
    public, findings = tables(section("8.3.2 Other codes"))
    others = {(row["code value"], row["scheme"], row["code meaning"]) for row in public}
    written = " ".join(" ".join(row.values()) for row in findings) + section("8.3.3 Templates") + section("Overlays")
    assert len(all_codes()) > 60
    for value, scheme, meaning in all_codes():
        if scheme == PRIVATE_SCHEME:
            assert private.get(value) == meaning
        else:
            coded = f'({value}, {scheme}, "{meaning}")'
            assert (value, scheme, meaning) in others or coded in written or coded in section("Parametric maps"), coded


def test_no_private_code_has_two_meanings() -> None:
    rows = table(f"8.3.1 Coding scheme {PRIVATE_SCHEME}")
    assert len({row["code value"] for row in rows}) == len(rows)
    assert {reason.code for reason in Reason} <= {row["code value"] for row in rows}


def tree_paths(number: int) -> set[tuple[str, ...]]:
    """The content items of a table of templates, each with those above it: relationship, value type, concept."""
    found: set[tuple[str, ...]] = set()
    path: tuple[str, ...] = ()
    for row in tables(section("8.3.3 Templates"))[number][1:]:
        level = row["content item"].count("> ")
        name = re.sub(r"^(> )+", "", row["content item"])
        path = (*path[: level - 1], f"{row['relationship']} {row['value type']} {_plain(name)}")
        found.add(path)
    return found


def _plain(name: str) -> str:
    return "a finding" if name.startswith("(a finding") else re.sub(r", (TID \d+|about ).*$", "", name)


def item_paths(node: Dataset, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    findings = {row["finding"].split(",")[0].strip("(") for row in tables(section("8.3.2 Other codes"))[1]}
    for child in node.get("ContentSequence", []):
        name = "(no concept name)"
        if "ConceptNameCodeSequence" in child:
            (code,) = child.ConceptNameCodeSequence
            name = f'({code.CodeValue}, {code.CodingSchemeDesignator}, "{code.CodeMeaning}")'
            name = "a finding" if code.CodeValue in findings else name
        path = (*above, f"{child.RelationshipType} {child.ValueType} {name}")
        yield path
        yield from item_paths(child, path)


@pytest.mark.parametrize(("number", "kind"), [(0, "sr"), (1, "ko")])
def test_the_content_tree_is_that_of_the_documents(number: int, kind: Kind) -> None:
    """Every content item of a document in its place in the table, and every line of the table in some document."""
    found = {path for dataset, _ in built()[kind] for path in item_paths(dataset)}
    assert found == tree_paths(number)
    assert codes.RESEARCH.meaning in section("8.3.3 Templates")
