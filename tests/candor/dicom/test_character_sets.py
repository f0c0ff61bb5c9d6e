"""Names and numbers in any character set come back from every result as the source has them.

The names are the examples of DICOM PS3.5 annexes H to K, byte by byte. Who reads the results back is pydicom, and
DCMTK, which shares no code with it; where DCMTK's build knows no conversion, the bytes that it reads must be the
source's under the same declaration.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.charset import convert_encodings
from pydicom.valuerep import PersonName

from candor.dicom.read.file import read_header
from candor.study.result_object import KINDS, Kind
from candor.words.texts import ENGLISH, GERMAN
from tests.factory import radiograph_dataset
from tests.objects import write_objects
from tests.validators import skip_without_validators, validation_errors

UTF_8 = "ISO_IR 192"


@dataclass(frozen=True)
class Example:
    """A patient's name in a character set, and a word in the same script for the other attributes."""

    declared: tuple[str, ...]
    encoded: bytes
    name: str
    word: str
    converted: bool = True  # whether DCMTK with the C library's iconv can convert it

    @property
    def values(self) -> dict[str, str]:
        """What each carried text says."""
        texts = ("StudyDescription", "PatientID", "IssuerOfPatientID", "StudyID", "AccessionNumber")
        return dict.fromkeys(texts, self.word) | {"PatientName": self.name, "ReferringPhysicianName": self.word}


EXAMPLES = {
    "latin-1": Example(("ISO_IR 100",), b"Buc^J\xe9r\xf4me", "Buc^Jérôme", "Übergröße"),
    "latin-2": Example(("ISO_IR 101",), b"Wa\xb3\xeasa^Lech", "Wałęsa^Lech", "Łódź"),
    "cyrillic": Example(("ISO_IR 144",), b"\xbb\xee\xda\xe1\xd5\xdc\xd1\xe3\xe0\xd3", "Люксембург", "Снимок"),
    "greek": Example(("ISO_IR 126",), b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος", "Θώρακας"),
    "arabic": Example(("ISO_IR 127",), b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار", "صدر"),
    "hebrew": Example(("ISO_IR 138",), b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה", "חזה"),
    "japanese": Example(
        ("", "ISO 2022 IR 87"),
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "胸部",
        converted=False,
    ),
    "japanese, ASCII by name": Example(
        ("ISO 2022 IR 6", "ISO 2022 IR 87"),
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
        "Yamada^Tarou=山田^太郎",
        "胸部 PA",
        converted=False,
    ),
    "japanese with katakana": Example(
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        "胸部",
        converted=False,
    ),
    "katakana": Example(("ISO_IR 13",), b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ", "ﾑﾈ"),
    "korean": Example(
        ("", "ISO 2022 IR 149"),
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
        "흉부",
    ),
    "chinese": Example(("GB18030",), b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东", "胸片"),
    "utf-8": Example(
        (UTF_8,), "Wang^XiaoDong=王^小東=Ванг^Łódź".encode(), "Wang^XiaoDong=王^小東=Ванг^Łódź", "胸 ü Θ ﾑ"
    ),
    "undeclared": Example((), b"Buc^J\xe9r\xf4me", "Buc^Jérôme", "Thorax"),
}
CONVERTED = [name for name, example in EXAMPLES.items() if example.converted and example.declared]
OTHERS = [name for name in EXAMPLES if name not in CONVERTED]


def source_header(example: Example, folder: Path) -> Dataset:
    """Write an image with the example's texts, and read its header as the application does."""
    other, order, issuer = Dataset(), Dataset(), Dataset()
    other.PatientID, other.TypeOfPatientID, other.IssuerOfPatientID = example.word, "TEXT", example.word
    order.RequestedProcedureID, order.RequestedProcedureDescription = "P1", example.word
    issuer.LocalNamespaceEntityID = example.word
    declared = {"SpecificCharacterSet": list(example.declared) or None}
    source = radiograph_dataset(**declared, **example.values)
    source.PatientName = PersonName(example.encoded, convert_encodings(list(example.declared)))
    source.OtherPatientIDsSequence, source.RequestAttributesSequence = [other], [order]
    source.IssuerOfAccessionNumberSequence = [issuer]
    source.save_as(folder / "source.dcm", enforce_file_format=True)
    return read_header(folder / "source.dcm")


@dataclass(frozen=True)
class Results:
    """A source and what was made of it."""

    source: Path
    files: dict[Kind, Path]


ResultsOf = Callable[..., Results]


@pytest.fixture(scope="module")
def results_of(tmp_path_factory: pytest.TempPathFactory) -> ResultsOf:
    @cache
    def make(name: str, german: bool = False) -> Results:
        folder = tmp_path_factory.mktemp("names")
        header = source_header(EXAMPLES[name], folder)
        return Results(folder / "source.dcm", write_objects(header, folder, GERMAN if german else ENGLISH))

    return make


def lines(file: Path, *options: str) -> list[str]:
    """What DCMTK reads of the carried texts, at the top of the file: tag, VR and value."""
    keywords = [word for keyword in EXAMPLES["utf-8"].values for word in ("+P", keyword)]
    dumped = subprocess.run(["dcmdump", "-q", "+L", *options, *keywords, str(file)], capture_output=True, check=True)
    text = dumped.stdout.decode("utf-8", "surrogateescape")
    # PS3.5 6.2.1: a "=" with nothing behind it may be left out.
    return sorted(re.sub(r"=?\]\s+#\s+\d+, \d+ ", "] ", line) for line in text.splitlines())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_result_says_what_the_source_says(name: str, results_of: ResultsOf) -> None:
    example, results = EXAMPLES[name], results_of(name)
    assert results.files.keys() == set(KINDS)
    for file in (results.source, *results.files.values()):
        dataset = dcmread(file)
        assert {keyword: str(dataset[keyword].value) for keyword in example.values} == {
            **example.values,
            "PatientName": example.name,
        }, file.name
        assert dataset.OtherPatientIDsSequence[0].PatientID == example.word
        assert dataset.OtherPatientIDsSequence[0].IssuerOfPatientID == example.word
        assert dataset.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == example.word
    for kind in ("sr", "ko"):
        request = dcmread(results.files[kind]).ReferencedRequestSequence[0]
        assert (request.RequestedProcedureDescription, request.AccessionNumber) == (example.word, example.word)


@pytest.mark.parametrize("name", EXAMPLES)
def test_names_keep_their_bytes_and_their_declaration(name: str, results_of: ResultsOf) -> None:
    example, results = EXAMPLES[name], results_of(name)
    for file in results.files.values():
        dataset = dcmread(file)
        assert dataset.PatientName.original_string.rstrip(b" =") == example.encoded.rstrip(b" =")
        declared = dataset.SpecificCharacterSet
        names = [declared] if isinstance(declared, str) else list(declared)
        assert names == (list(example.declared) or ["ISO_IR 100"])


@pytest.mark.parametrize("name", CONVERTED)
def test_dcmtk_reads_in_each_result_what_it_reads_in_the_source(name: str, results_of: ResultsOf) -> None:
    skip_without_validators()
    example, results = EXAMPLES[name], results_of(name)
    expected = lines(results.source, "+U8")
    assert f"(0010,0010) PN [{example.name}]" in "\n".join(expected)
    assert sum(f"[{example.word}]" in line for line in expected) >= 6
    for kind, file in results.files.items():
        assert set(expected) <= set(lines(file, "+U8")), kind


@pytest.mark.parametrize("name", OTHERS)
def test_dcmtk_reads_the_same_bytes_where_it_cannot_convert(name: str, results_of: ResultsOf) -> None:
    skip_without_validators()
    results = results_of(name)
    expected = lines(results.source)
    for kind, file in results.files.items():
        assert set(expected) <= set(lines(file)), kind


@pytest.mark.parametrize("name", CONVERTED)
@pytest.mark.parametrize("kind", ["sr", "ko"])
def test_dcmtk_shows_the_name_over_the_document(name: str, kind: Kind, results_of: ResultsOf) -> None:
    skip_without_validators()
    command = ["dsrdump", "-q", "+U8", str(results_of(name).files[kind])]
    text = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    shown = text.partition("Patient")[2].partition("\n")[0]
    assert re.split(r"[\^=]", EXAMPLES[name].name)[0] in shown


@pytest.mark.parametrize("name", ["latin-1", "japanese", "utf-8"])
def test_results_in_german_say_the_same_name_and_are_valid(name: str, results_of: ResultsOf) -> None:
    skip_without_validators()
    results = results_of(name, german=True)
    for file in results.files.values():
        assert str(dcmread(file).PatientName) == EXAMPLES[name].name
    errors = validation_errors(list(results.files.values()))
    # dcmpschk takes the bytes of UTF-8 for letters of Latin-1, some of which are control characters.
    assert [error for error in errors if name != "utf-8" or "dcmpschk" not in error] == []


@pytest.mark.parametrize("name", ["chrJapMulti", "chrJapMultiExplicitIR6", "chrKoreanMulti"])
def test_real_files(name: str, chest_dicom: Path, tmp_path: Path) -> None:
    source = read_header(chest_dicom / f"pydicom__{name}.dcm")
    for kind, file in write_objects(source, tmp_path).items():
        made = dcmread(file)
        assert str(made.PatientName) == str(source.PatientName), kind
        assert made.PatientName.original_string == source.PatientName.original_string
        assert made.SpecificCharacterSet == source.SpecificCharacterSet


def test_a_text_that_could_not_be_written_again_goes_into_utf_8(tmp_path: Path) -> None:
    """JIS X 0201 has letters and katakana; pydicom writes either of them into a value, and "?" for a mixture."""
    mixture, placeholder = "XR ﾑﾈ", "XR @@"
    source = radiograph_dataset(SpecificCharacterSet="ISO_IR 13", StudyDescription=placeholder, PatientName="ﾔﾏﾀﾞ")
    source.save_as(tmp_path / "source.dcm", enforce_file_format=True)
    data = (tmp_path / "source.dcm").read_bytes()
    (tmp_path / "source.dcm").write_bytes(data.replace(b"XR @@", mixture.encode("shift_jis")))
    header = read_header(tmp_path / "source.dcm")
    assert header.StudyDescription == mixture
    for kind, file in write_objects(header, tmp_path).items():
        made = dcmread(file)
        assert (made.SpecificCharacterSet, made.StudyDescription) == (UTF_8, mixture), kind
        assert made.PatientName == "ﾔﾏﾀﾞ"
