"""``results.json`` says what the model can check, and what it cannot; it is read as it was written, and documented."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from candor.study.errors import DataError
from candor.study.provenance import NO_FAMILIARITY, ForeignFit
from candor.study.reasons import Reason
from candor.words.results_json import Results, read_results, summarise
from tests.cases import PROVENANCE, case_of, header_of, pa_and_lateral, refused, study_answer, write_results

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "results.md"


def test_a_model_with_a_check_of_familiarity_tells_what_it_was_fitted_to() -> None:
    model = summarise([], PROVENANCE).model
    assert model.familiarity == PROVENANCE.familiarity
    assert model.notes == []


def test_a_model_without_one_says_so() -> None:
    model = summarise([], replace(PROVENANCE, familiarity=None)).model
    assert model.familiarity is None
    assert model.notes == [NO_FAMILIARITY]


def test_a_fit_to_other_patients_is_named_with_its_reason() -> None:
    case = pa_and_lateral()
    case.foreign_fit = ForeignFit("a" * 64, "NIH ChestX-ray14", "a trial until May")
    (note,) = summarise([case], PROVENANCE).model.notes
    assert "a fit to NIH ChestX-ray14, not to this site" in note
    assert note.endswith("a trial until May")


def test_results_of_before_have_no_interval(tmp_path: Path) -> None:
    summary = summarise([pa_and_lateral()], PROVENANCE)
    (finding, *_) = summary.studies[0].images[0].findings
    assert finding.interval is not None
    assert finding.interval.low < finding.probability < finding.interval.high
    content = json.loads(summary.to_json())
    for each in content["studies"][0]["images"][0]["findings"]:
        del each["interval"]
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert read_results(tmp_path / "results.json").studies[0].images[0].findings[0].interval is None


def test_what_was_written_is_read(tmp_path: Path) -> None:
    case = pa_and_lateral()
    write_results(case, tmp_path)
    written = summarise([case, case_of(refused(header_of(), Reason.NOT_CHEST))], PROVENANCE)
    file = tmp_path / "results.json"
    file.write_bytes(written.to_json())
    assert read_results(file) == written
    assert [each.result_object for each in read_results(file).studies[0].objects] == case.written
    assert read_results(file).to_json() == file.read_bytes()


def test_the_answer_for_a_study_is_written_with_its_promises(tmp_path: Path) -> None:
    case = pa_and_lateral()
    case.answer = study_answer()
    written = summarise([case], replace(PROVENANCE, study_answer="made up"))
    assert written.model.study_answer == "made up"
    file = tmp_path / "results.json"
    file.write_bytes(written.to_json())
    said = json.loads(file.read_bytes())["studies"][0]["answer"]
    assert (said["any_abnormality"], said["worklist_priority"], said["score"]) == ("not ruled out", 87.4, 1.25)
    assert [(look["finding"], look["odds_over_prevalence"]) for look in said["look_first"]] == [
        ("Mass", 4.53),
        ("Nodule", 3.53),
    ]
    assert [(each["max_missed"], each["ruled_out"]) for each in said["promises"]] == [(0.05, False), (0.1, False)]
    assert read_results(file) == written
    assert summarise([pa_and_lateral()], PROVENANCE).studies[0].answer is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        (b"{", "the file is not valid"),
        (summarise([], PROVENANCE).to_json().replace(b'"version"', b'"v"'), "application.version is missing"),
        (summarise([], PROVENANCE).to_json().replace(b'"studies": []', b'"studies": "PATIENT^A"'), "studies is not"),
    ],
    ids=["no file", "no JSON", "a field is missing", "a field is of another type"],
)
def test_what_the_application_did_not_write_is_refused(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "results.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=problem) as raised:
        read_results(file)
    assert "PATIENT" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_page_lists_the_fields_in_their_order() -> None:
    assert dict(_documented()) == dict(_described(Results, "(all)"))


def _documented() -> Iterator[tuple[str, list[str]]]:
    """Read the table of the page: the fields by each key."""
    section = PAGE.read_text().partition("\n## results.json\n")[2]
    for line in section.splitlines():
        if line.startswith("|") and not line.startswith(("| key", "|---")):
            keys, fields = line.strip("|").split("|")[:2]
            for key in re.findall(r"`(.+?)`", keys) or [keys.strip()]:
                yield key, re.findall(r"`(.+?)`", fields)


def _described(entry: type[BaseModel], key: str) -> Iterator[tuple[str, list[str]]]:
    """List the fields of an entry and of those in it, by the key that the page calls them by."""
    yield key, list(entry.model_fields)
    for name, field in entry.model_fields.items():
        where = name if key == "(all)" else f"{key}.{name}"
        for part in _entries(field.annotation):
            yield from _described(part, f"{where}[]" if "list" in str(field.annotation) else where)


def _entries(annotation: Any) -> Iterator[type[BaseModel]]:
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            yield each
