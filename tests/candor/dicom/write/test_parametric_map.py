"""The heatmaps as numbers: the very values, whose they are, which finding each frame is about."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.pm import ParametricMap
from pydicom import Dataset, dcmread

from candor import RESEARCH_USE
from candor.dicom.shared.file import write
from candor.dicom.shared.identity import case_fingerprint
from candor.dicom.write.parametric_map import (
    build_parametric_map,
    lut_label,
    parametric_map_series_uid,
    parametric_map_uid,
)
from candor.study.case import Case
from candor.study.errors import ReportError
from candor.study.findings import Finding
from candor.study.reasons import Reason
from candor.study.result import Decision, FindingResult, Heatmap, Note
from candor.words.texts import ENGLISH, GERMAN, Texts
from tests.cases import PROVENANCE, all_results, assessed, case_of, header_of, heatmap, result
from tests.validators import skip_without_validators, validation_errors

ATTRIBUTES: list[dict[str, Any]] = [
    {},
    {"ImagerPixelSpacing": None, "PatientOrientation": None, "BodyPartExamined": None},
    {"PixelSpacing": [0.2, 0.3], "PatientOrientation": ["R", "F"], "LossyImageCompression": "01"},
]


def map_of(results: tuple[FindingResult, ...] | None = None, texts: Texts = ENGLISH, **header: Any) -> ParametricMap:
    case = case_of(assessed(header_of(**header), results=results))
    return build_parametric_map(case, case.images[0], PROVENANCE, texts=texts)


def read_back(dataset: ParametricMap, folder: Path) -> ParametricMap:
    write(dataset, folder / "pm.dcm")
    return ParametricMap.from_file(folder / "pm.dcm")


def grids(results: tuple[FindingResult, ...]) -> Any:
    return np.stack([each.heatmap.grid for each in results])


def coded(item: Dataset) -> tuple[str, str]:
    return item.CodeValue, item.CodingSchemeDesignator


@pytest.mark.parametrize("number", [1, 2, 14])
def test_the_values_are_read_back_exactly_in_the_order_of_the_results(tmp_path: Path, number: int) -> None:
    results = tuple(reversed(all_results()))[:number]
    stored = read_back(map_of(results), tmp_path)
    assert np.array_equal(stored.get_frames(apply_real_world_transform=False), grids(results))
    assert np.array_equal(stored.get_frames(apply_real_world_transform=True), grids(results))
    pixels = dcmread(tmp_path / "pm.dcm").pixel_array
    assert pixels.dtype == np.float32
    assert np.array_equal(pixels.reshape(number, 7, 7), grids(results))


def test_a_grid_need_not_be_square_and_its_values_need_not_be_round(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    results = tuple(
        result(finding, Decision.ABSENT, heatmap=Heatmap(random.gamma(1, 3, (10, 8)).astype(np.float32), ""))
        for finding in (Finding.MASS, Finding.HERNIA)
    )
    stored = read_back(map_of(results), tmp_path)
    assert np.array_equal(stored.get_frames(apply_real_world_transform=True), grids(results))


def test_empty_heatmaps_are_frames_like_others(tmp_path: Path) -> None:
    results = tuple(result(finding, Decision.ABSENT, heatmap=heatmap(peak=0.0)) for finding in Finding)
    stored = read_back(map_of(results), tmp_path)
    assert not stored.get_frames(apply_real_world_transform=True).any()
    (window,) = stored.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence
    assert window.WindowWidth > 0


@pytest.mark.parametrize("number", [1, 14])
def test_a_program_reads_which_finding_a_frame_is_about(number: int) -> None:
    results = all_results()[:number]
    frames = map_of(results).PerFrameFunctionalGroupsSequence
    for position, (frame, found) in enumerate(zip(frames, results, strict=True), 1):
        (mapping,) = frame.RealWorldValueMappingSequence
        defined = {
            coded(item.ConceptNameCodeSequence[0]): coded(item.ConceptCodeSequence[0])
            for item in mapping.QuantityDefinitionSequence
        }
        assert defined == {
            ("246205007", "SCT"): ("130403", "DCM"),
            ("121071", "DCM"): (found.finding.code.value, found.finding.code.scheme),
        }
        assert coded(mapping.MeasurementUnitsCodeSequence[0]) == ("{logit}", "UCUM")
        (content,) = frame.FrameContentSequence
        assert content.DimensionIndexValues == position
        assert content.FrameLabel == mapping.LUTExplanation == found.finding.display


def test_the_finding_is_the_one_dimension() -> None:
    built = map_of()
    (organization,), (dimension,) = built.DimensionOrganizationSequence, built.DimensionIndexSequence
    assert dimension.DimensionOrganizationUID == organization.DimensionOrganizationUID
    assert (dimension.DimensionIndexPointer, dimension.FunctionalGroupPointer) == (0x00409210, 0x00409096)


def test_findings_have_short_labels_of_their_own() -> None:
    labels = [lut_label(finding) for finding in Finding]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= 16
    assert "Pleural effusion" in labels


def test_people_read_the_finding_in_their_language() -> None:
    results = (result(Finding.PLEURAL_THICKENING, Decision.PRESENT),)
    built = map_of(results, GERMAN)
    assert built.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0].FrameLabel == GERMAN.finding(
        Finding.PLEURAL_THICKENING
    )
    assert built.ImageComments == f"{GERMAN.research_use}."


@pytest.mark.parametrize("finding", Finding)
def test_german_names_fit_a_character_set_without_umlauts(tmp_path: Path, finding: Finding) -> None:
    built = map_of((result(finding, Decision.PRESENT),), GERMAN, SpecificCharacterSet="ISO_IR 144")
    label = built.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0].FrameLabel
    assert "?" not in label
    stored = read_back(built, tmp_path)
    assert stored.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0].FrameLabel == label


def test_says_what_it_is_and_what_it_is_for() -> None:
    built = map_of()
    for keyword in ("SeriesDescription", "ContentDescription", "ImageComments"):
        assert RESEARCH_USE in built[keyword].value, keyword
        assert keyword == "ImageComments" or len(built[keyword].value) <= 64, keyword
    assert built.ContentQualification == "RESEARCH"
    assert built.ImageType[0] == "DERIVED"
    assert built.DerivationDescription == (
        "Class activation by candor-chest14 0.1.0+1.0.0.abababab, in units of the logit, on the network's grid over "
        "the whole source image."
    )


def test_what_is_assumed_of_its_place_is_said() -> None:
    said = map_of(ImagerPixelSpacing=None, PatientOrientation=None).DerivationDescription
    assert "no pixel spacing: 1 mm" in said
    assert "no orientation: rows to the left and columns to the feet" in said


def test_lies_in_a_frame_of_reference_of_its_own() -> None:
    case = case_of(assessed(header_of(seed="1", study="s"), "1"), assessed(header_of(seed="2", study="s"), "2"))
    maps = [build_parametric_map(case, image, PROVENANCE) for image in case.images]
    assert len({built.FrameOfReferenceUID for built in maps}) == 2
    (shared,) = maps[0].SharedFunctionalGroupsSequence
    assert shared.PixelMeasuresSequence[0].PixelSpacing == pytest.approx([0.143 * 300 / 7, 0.143 * 280 / 7])
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 0, -1]
    assert shared.PlanePositionSequence[0].ImagePositionPatient == pytest.approx([2.7885, 0, -2.9928], abs=1e-4)
    assert "PatientOrientation" not in maps[0]


def test_names_its_source_and_its_derivation() -> None:
    built, source = map_of(), header_of()
    (derivation,) = built.SharedFunctionalGroupsSequence[0].DerivationImageSequence
    assert coded(derivation.DerivationCodeSequence[0]) == ("130403", "DCM")
    (reference,) = derivation.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert coded(reference.PurposeOfReferenceCodeSequence[0]) == ("121322", "DCM")
    assert built.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID


def test_is_the_patients_and_the_studys() -> None:
    built, source = map_of(), header_of()
    for keyword in ("PatientName", "PatientID", "IssuerOfPatientID", "StudyInstanceUID", "AccessionNumber",
                    "BodyPartExamined"):  # fmt: skip
        assert built[keyword].value == source[keyword].value, keyword
    assert built.ContributingEquipmentSequence[0].DeviceUID == PROVENANCE.device_uid


def test_nothing_is_burned_in_whatever_the_source_has() -> None:
    assert map_of(BurnedInAnnotation="YES").BurnedInAnnotation == "NO"


def test_lossy_compression_that_only_reading_noticed_is_said() -> None:
    case = case_of(assessed(header_of(LossyImageCompression=None)))
    assert build_parametric_map(case, case.images[0], PROVENANCE).LossyImageCompression == "00"
    case.images[0].notices.append(Note(Reason.LOSSY))
    assert build_parametric_map(case, case.images[0], PROVENANCE).LossyImageCompression == "01"


def test_the_same_case_gives_the_same_bytes(tmp_path: Path) -> None:
    def written(name: str) -> bytes:
        write(map_of(), tmp_path / name)
        return (tmp_path / name).read_bytes()

    assert written("first") == written("again")


def test_all_maps_of_a_study_are_one_series_and_each_has_its_uid() -> None:
    case = case_of(assessed(header_of(seed="1", study="s"), "1"), assessed(header_of(seed="2", study="s"), "2"))
    maps = [build_parametric_map(case, image, PROVENANCE, number) for number, image in enumerate(case.images, 1)]
    fingerprint = case_fingerprint(case)
    assert {built.SeriesInstanceUID for built in maps} == {parametric_map_series_uid(PROVENANCE, fingerprint)}
    assert [built.SOPInstanceUID for built in maps] == [
        parametric_map_uid(PROVENANCE, fingerprint, image) for image in case.images
    ]
    assert [built.InstanceNumber for built in maps] == [1, 2]
    assert maps[0].SOPInstanceUID != maps[1].SOPInstanceUID


def test_needs_no_pixels_but_header_and_results() -> None:
    case: Case = case_of(assessed(header_of()))
    image = case.images[0]
    image.release()
    assert build_parametric_map(case, image, PROVENANCE).NumberOfFrames == 14
    image.results = ()
    with pytest.raises(ReportError, match="no results"):
        build_parametric_map(case, image, PROVENANCE)
    image.header = None
    with pytest.raises(ReportError, match="could not be read"):
        build_parametric_map(case, image, PROVENANCE)


def test_the_patient_is_in_the_object_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        built = map_of(PatientName="Canary", PatientID="Canary-4711")
    assert built.PatientName == "Canary"
    assert "Canary" not in caplog.text + " ".join(str(warning.message) for warning in warned)


def test_independent_validators_take_the_maps(tmp_path: Path) -> None:
    skip_without_validators()
    empty = tuple(result(finding, Decision.ABSENT, heatmap=heatmap(peak=0.0)) for finding in Finding)
    maps = {"one": map_of(all_results()[:1]), "empty": map_of(empty)} | {
        f"{number}-{kind}-{monochrome1}": map_of(kind=kind, monochrome1=monochrome1, **attributes)
        for number, attributes in enumerate(ATTRIBUTES)
        for kind in ("CR", "DX")
        for monochrome1 in (False, True)
    }
    for name, built in maps.items():
        write(built, tmp_path / f"{name}.dcm")
    files = sorted(tmp_path.iterdir())
    assert len(files) == 14
    assert validation_errors(files) == []
