"""The page names patients in their own script."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest
from pydicom import dcmwrite
from pydicom.charset import convert_encodings
from pydicom.valuerep import PersonName

from gateway.web.access.roles import Role
from gateway.web.content.patient import patient_of
from tests.candor.dicom.test_character_sets import EXAMPLES
from tests.factory import radiograph_dataset
from tests.gateway.web.node import Page

SHOWN = {
    "latin-1": "Buc, Jérôme",
    "greek": "Διονυσιος",
    "arabic": "قباني, لنزار",
    "japanese": "Yamada, Tarou = 山田 太郎 = やまだ たろう",
    "japanese with katakana": "ﾔﾏﾀﾞ, ﾀﾛｳ = 山田 太郎 = やまだ たろう",
    "korean": "Hong, Gildong = 洪 吉洞 = 홍 길동",
    "utf-8": "Wang, XiaoDong = 王 小東 = Ванг Łódź",
}


@pytest.mark.parametrize("name", SHOWN)
def test_the_study_page_shows_the_name_and_the_other_texts(name: str, page: Page) -> None:
    example = EXAMPLES[name]
    declared = list(example.declared)
    texts: dict[str, object] = {**example.values, "SpecificCharacterSet": declared or None}
    texts["PatientName"] = PersonName(example.encoded, convert_encodings(declared))
    token = page.add_study(**texts)
    answer = page.browser(Role.VIEWER).get(f"/studies/{token}")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = unescape(answer.content.decode("utf-8"))
    assert SHOWN[name] in text
    assert text.count(example.word) >= 2  # patient ID and study description


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Yamada^Tarou^^^=山田^太郎", "Yamada, Tarou = 山田 太郎"),
        ("=山田^太郎", "山田 太郎"),
        ("^Tarou", "Tarou"),
        ("Doe^John^Q^Dr^Jr", "Doe, John Q"),
        ("", ""),
    ],
)
def test_a_name_is_written_as_people_do(written: str, shown: str, tmp_path: Path) -> None:
    dcmwrite(tmp_path / "one.dcm", radiograph_dataset(PatientName=written), enforce_file_format=True)
    patient = patient_of([tmp_path / "one.dcm"])
    assert patient is not None
    assert patient.name == shown
