"""The small types that everything shares: findings, results, provenance, preprocessing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candor.model.preprocess import InputSpec, to_network_input
from candor.study import case as case_module
from candor.study.case import CaseImage
from candor.study.errors import DataError, Refused
from candor.study.findings import Finding, finding_named, findings_named
from candor.study.provenance import Provenance, derived_uid, study_fingerprint
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from candor.study.result import Decision, Disposition, Note, disposition, roll_up


def dihedral(a: int, b: int) -> int:
    """Multiply in the dihedral group of order 10, as Verhoeff's check does."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b - 5) % 5
    return 5 + (a - 5 - b) % 5 if b < 5 else (a - b) % 5


def verhoeff(code: str) -> bool:
    """Whether a SNOMED CT identifier's check digit is right."""
    permutation = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    check = 0
    for position, digit in enumerate(reversed(code)):
        number = int(digit)
        for _ in range(position % 8):
            number = permutation[number]
        check = dihedral(check, number)
    return check == 0


@pytest.mark.parametrize("finding", Finding)
def test_snomed_codes_pass_their_own_check(finding: Finding) -> None:
    for code in (finding.code, finding.site):
        assert len(code.meaning) <= 64
        assert len(code.value) <= 16
        if code.scheme == "SCT":
            assert verhoeff(code.value), code


def test_verhoeff_refuses_a_wrong_digit() -> None:
    assert not verhoeff("46621008")


def test_findings_are_found_by_label_and_by_display_name_in_any_case() -> None:
    for finding in Finding:
        assert finding_named(finding.label) is finding
        assert finding_named(finding.display.upper()) is finding
    assert findings_named(["Pleural Thickening", "hernia"]) == (Finding.PLEURAL_THICKENING, Finding.HERNIA)


def test_an_unknown_finding_names_the_known_ones() -> None:
    with pytest.raises(DataError, match="unknown finding 'pleural efusion'; did you mean 'Effusion'"):
        finding_named("pleural efusion")
    with pytest.raises(DataError, match="unknown finding 'Fracture'; known findings are Atelectasis"):
        finding_named("Fracture")


def test_reasons_fit_their_attributes() -> None:
    assert all(len(reason.code) <= 16 and len(reason.meaning) <= 64 for reason in Reason)
    assert len({reason.code for reason in Reason}) == len(Reason)


@pytest.mark.parametrize(
    ("decisions", "study"),
    [
        ([], Decision.NOT_ASSESSED),
        ([Decision.NOT_ASSESSED, Decision.ABSENT], Decision.ABSENT),
        ([Decision.ABSENT, Decision.DEFERRED], Decision.DEFERRED),
        ([Decision.DEFERRED, Decision.PRESENT, Decision.ABSENT], Decision.PRESENT),
    ],
)
def test_roll_up(decisions: list[Decision], study: Decision) -> None:
    assert roll_up(decisions) is study


def test_nothing_assessed_is_not_reported() -> None:
    assert disposition([]) is Disposition.NOT_ASSESSED


def test_the_first_refusal_stays() -> None:
    image = CaseImage("a", Path("a"))
    image.refuse(Reason.NOT_CHEST, "hip")
    image.refuse(Reason.TOO_SMALL, "tiny")
    assert image.refusal == Note(Reason.NOT_CHEST, "hip")
    assert not image.assessed


def test_a_stage_out_of_order_says_so() -> None:
    with pytest.raises(RuntimeError, match="a stage ran before"):
        case_module.assert_set(None)


def provenance(**changes: str) -> Provenance:
    values = dict.fromkeys(Provenance.__dataclass_fields__, "x") | changes
    return Provenance(**values)


def test_uids_are_valid_and_their_own() -> None:
    uids = {derived_uid("a", "b"), derived_uid("ab"), derived_uid("a\x1fb"), derived_uid("b", "a")}
    assert len(uids) == 4
    assert all(len(uid) <= 64 and uid.startswith("2.25.") for uid in uids)


@pytest.mark.parametrize("changed", ["application_version", "bundle_sha256", "engine", "settings_sha256"])
def test_what_changes_results_changes_their_uids(changed: str) -> None:
    assert provenance().result_uid("sr", "s") != provenance(**{changed: "y"}).result_uid("sr", "s")


def test_the_device_changes_with_the_model() -> None:
    assert provenance().device_uid != provenance(bundle_sha256="y").device_uid
    assert provenance().device_uid == provenance(settings_sha256="y").device_uid


def test_the_fingerprint_does_not_depend_on_the_order() -> None:
    assert study_fingerprint({"1": "a", "2": "b"}) == study_fingerprint({"2": "b", "1": "a"})
    assert study_fingerprint({"1": "a"}) != study_fingerprint({"1": "b"})


SPEC = InputSpec(32, 0.5, 0.25)


@settings(max_examples=30)
@given(st.integers(32, 90), st.integers(32, 90), st.integers(0, 2**16))
def test_the_network_input_is_the_area_average(rows: int, columns: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    array = to_network_input(Radiograph(pixels), SPEC)
    assert array.shape == (1, 32, 32)
    assert array.dtype == np.float32
    # An area average keeps the mean: the oracle that no interpolation passes.
    assert np.mean(array) * 0.25 + 0.5 == pytest.approx(pixels.mean(), abs=2e-3)


def test_whole_blocks_are_averaged_exactly() -> None:
    pixels = np.random.default_rng(0).random((64, 96)).astype(np.float32)
    blocks = pixels.reshape(32, 2, 32, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(to_network_input(Radiograph(pixels), SPEC)[0], (blocks - 0.5) / 0.25, atol=1e-5)


def test_a_small_picture_is_not_enlarged() -> None:
    with pytest.raises(Refused, match="31 x 90 pixels, and the network needs 32 a side") as refused:
        to_network_input(Radiograph(np.zeros((31, 90), np.float32)), SPEC)
    assert refused.value.reason is Reason.TOO_SMALL


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.float64), np.zeros((1, 4, 4), np.float32)])
def test_a_radiograph_is_valid_once_made(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pixels must be"):
        Radiograph(pixels)


def test_one_thread_and_many_resize_alike() -> None:
    pixels = np.random.default_rng(0).random((1955, 1841)).astype(np.float32)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        one = to_network_input(Radiograph(pixels), InputSpec(224, 0.5, 0.25))
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(one, to_network_input(Radiograph(pixels), InputSpec(224, 0.5, 0.25)))
