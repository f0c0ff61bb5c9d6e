"""The words of the results in each language: none missing, none left in English, none too long for its attribute."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from candor import RESEARCH_USE
from candor.dicom.report.document import build_report
from candor.evidence.heatmap import region_name
from candor.study.findings import Finding
from candor.study.reasons import Reason
from candor.study.result import AnyAbnormality, Decision
from candor.words.texts import ENGLISH, GERMAN, REGIONS, Language, Texts, texts_of
from tests.cases import PROVENANCE, case_of, header_of, refused
from tests.objects import write_objects

OTHERS = [language for language in Language if language is not Language.ENGLISH]
SAME = {"Pneumothorax"}
"""Words that are the same in other languages."""

LONG = {
    "nothing_assessed",
    "reference_values",
    "interval",
    "foreign_fit",
    "outline_level",
    "priority_reference",
    "look_first_finding",
    "rule_out_promise",
    *(f"any_abnormality {answer}" for answer in AnyAbnormality),
}
"""Sentences that stand in a text of the report alone, which has no limit (UT, PS3.5 6.2); all others fit an LO."""

TECHNICAL = {
    "CodeMeaning",
    "CodingSchemeName",
    "ContributionDescription",
    "DerivationDescription",
    "LUTLabel",
    "SeriesDescription",
}
"""Attributes that stay in English, as the codes of DICOM and SNOMED CT do; so do the algorithm's parameters."""


def words(texts: Texts) -> dict[str, str]:
    """Every text of a language by its place in the table."""
    found: dict[str, str] = {}
    for field in fields(texts):
        value: Any = getattr(texts, field.name)
        if isinstance(value, str):
            found[field.name] = value
        elif hasattr(value, "items"):
            found |= {f"{field.name} {key}": text for key, text in value.items()}
    return found


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", Language)
def test_every_language_is_in_the_table_under_its_own_tag(language: Language) -> None:
    texts = texts_of(language)
    assert texts.language is language
    assert (texts.code.value, texts.code.scheme) == (language.value, "RFC5646")


@pytest.mark.parametrize("language", Language)
def test_every_finding_decision_and_reason_has_its_own_name(language: Language) -> None:
    texts = texts_of(language)
    for names, keys in (
        ([texts.finding(finding) for finding in Finding], Finding),
        ([texts.decisions[decision] for decision in Decision], Decision),
        ([texts.reason(reason) for reason in Reason], Reason),
        ([texts.region(region) for region in REGIONS], REGIONS),
    ):
        assert all(name.strip() == name != "" for name in names)
        assert len(set(names)) == len(list(keys))


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_was_left_in_english(language: Language) -> None:
    english, other = words(ENGLISH), words(texts_of(language))
    assert english.keys() == other.keys()
    assert {place for place, text in other.items() if text == english[place] and text not in SAME} == set()


@pytest.mark.parametrize("language", Language)
def test_texts_fit_their_attributes(language: Language) -> None:
    texts = words(texts_of(language))
    assert {place: text for place, text in texts.items() if len(text) > 64 and place not in LONG} == {}
    assert not any(re.search(r"[\\\x00-\x1f]", text) for text in texts.values())


@pytest.mark.parametrize("language", OTHERS)
def test_templates_take_the_same_values_in_each_language(language: Language) -> None:
    english, other = words(ENGLISH), words(texts_of(language))
    assert {place: placeholders(text) for place, text in other.items()} == {
        place: placeholders(text) for place, text in english.items()
    }


@pytest.mark.parametrize("language", Language)
def test_research_use_begins_with_the_one_sentence(language: Language) -> None:
    assert texts_of(language).research_use.startswith(RESEARCH_USE)
    assert not texts_of(language).research_use.endswith(".")


def test_the_regions_are_those_that_a_heatmap_can_name() -> None:
    named = {region_name(np.zeros((7, 7), np.float32), None)}
    for cell in range(49):
        grid = np.zeros((7, 7), np.float32)
        grid.flat[cell] = 1
        named |= {region_name(grid, to_left) for to_left in (True, False, None)}
    assert named == set(REGIONS)


def test_images_are_named_by_number_and_view() -> None:
    assert [texts.image(2, "PA") for texts in (ENGLISH, GERMAN)] == ["image 2 (PA)", "Bild 2 (PA)"]
    assert GERMAN.image(1, "") == "Bild 1"


def test_codes_and_texts_say_the_same_in_english() -> None:
    assert all(ENGLISH.finding(finding) == finding.display for finding in Finding)
    assert all(ENGLISH.reason(reason) == reason.meaning for reason in Reason)


@pytest.mark.parametrize("table", ["findings", "decisions", "reasons", "regions"])
def test_a_language_with_a_gap_cannot_be_made(table: str) -> None:
    full = dict(getattr(GERMAN, table))
    key, _ = full.popitem()
    with pytest.raises(KeyError, match=re.escape(str(key))):
        replace(GERMAN, **{table: full})


def said(dataset: Dataset) -> str:
    """All that an object says to people: the values of its texts, but for codes and technical descriptions."""
    texts = ("LO", "SH", "ST", "LT", "UT")
    return "\n".join(
        str(element.value)
        for element in dataset.iterall()
        if element.VR in texts and element.keyword not in TECHNICAL and element.value
        if PROVENANCE.calibration not in str(element.value)
    )


def left_over(text: str, texts: Texts, other: Texts) -> list[str]:
    """Words of a language that stand in a text, and are none of the other's."""
    candidates = {words(texts)[place] for place in words(texts)} - set(words(other).values()) - {RESEARCH_USE}
    patterns = {word: re.sub(r"\\\{\w+\\\}", ".+", re.escape(word)) for word in candidates if word != "none"}
    return sorted(word for word, pattern in patterns.items() if re.search(rf"(?<!\w){pattern}(?!\w)", text))


def test_results_in_german_are_in_german(tmp_path: Path) -> None:
    expected = {
        "sr": (
            "Pleuraerguss",
            "Lungenödem",
            "Bild 1 (PA)",
            "Vorhanden: Pleuraerguss",
            "linkes Unterfeld",
            "Untersuchung",
        ),
        "sc": ("Pleuraerguss: Vorhanden",),
        "gsps": ("Pleuraerguss",),
        "pm": ("Pleuraerguss", "Lungenödem"),
        "ko": ("Vorhanden: Pleuraerguss",),
    }
    for kind, file in write_objects(header_of(), tmp_path, GERMAN).items():
        text = said(dcmread(file))
        assert [word for word in (*expected[kind], GERMAN.research_use) if word not in text] == [], kind
        assert left_over(text, ENGLISH, GERMAN) == [], kind


def test_results_in_english_are_in_english(tmp_path: Path) -> None:
    for kind, file in write_objects(header_of(), tmp_path, ENGLISH).items():
        text = said(dcmread(file))
        assert RESEARCH_USE in text
        assert "leural effusion" in text, kind
        assert left_over(text, GERMAN, ENGLISH) == [], kind
        assert left_over(text, ENGLISH, GERMAN) != [], kind


def test_the_picture_of_an_overlay_speaks_the_language(tmp_path: Path) -> None:
    pictures = []
    for name, texts in (("english", ENGLISH), ("german", GERMAN)):
        (tmp_path / name).mkdir()
        pictures.append(dcmread(write_objects(header_of(), tmp_path / name, texts)["sc"]).pixel_array)
    english, german = pictures
    top, bottom = slice(0, 60), slice(-60, None)
    assert not np.array_equal(english[top, :360], german[top, :360])
    assert not np.array_equal(english[bottom, :360], german[bottom, :360])


def test_a_report_on_nothing_in_german() -> None:
    case = case_of(refused(header_of(), Reason.NOT_CHEST, "by Body Part Examined"))
    text = said(build_report(case, PROVENANCE, texts=GERMAN))
    assert GERMAN.nothing_assessed in text
    assert "Nicht beurteilt: Bild 1 (PA)" in text
    assert left_over(text, ENGLISH, GERMAN) == []


@pytest.mark.parametrize(("declared", "word"), [("ISO_IR 100", "Lungenödem"), ("ISO_IR 126", "Lungenoedem")])
def test_umlauts_are_spelled_out_where_the_set_of_the_source_has_none(declared: str, word: str, tmp_path: Path) -> None:
    for kind, file in write_objects(header_of(SpecificCharacterSet=declared), tmp_path, GERMAN).items():
        text = said(dcmread(file))
        assert (word in text) == (kind in ("sr", "pm"))  # which name the deferred finding too
        assert "?" not in text
