"""The presentation states: what they draw and where, and that DCMTK shows the image as it does without them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from candor import RESEARCH_USE
from candor.dicom.read.greyscale import GreyScale
from candor.dicom.read.lut import Lut
from candor.dicom.report.document import build_report
from candor.dicom.shared.file import write
from candor.dicom.shared.identity import case_fingerprint
from candor.dicom.write.graphics import label_boxes
from candor.dicom.write.presentation_state import (
    _lut_item,
    build_presentation_state,
    presentation_state_series_uid,
    presentation_state_uid,
    select_presentation_states,
)
from candor.evidence.outline import outlines
from candor.study.case import Case
from candor.study.errors import ReportError
from candor.study.findings import Finding
from candor.study.reasons import Reason
from candor.study.result import Decision, FindingResult, Note
from candor.words.texts import ENGLISH
from tests.cases import PROVENANCE, TIME, assessed, case_of, header_of, heatmap, result
from tests.factory import radiograph_dataset
from tests.validators import skip_without_validators, validation_errors

PRESENT, DEFERRED, ABSENT = Decision.PRESENT, Decision.DEFERRED, Decision.ABSENT
LEFT_SPOT, RIGHT_SPOT = heatmap(2, 1), heatmap(5, 5)


def three_results() -> list[FindingResult]:
    return [
        result(Finding.EFFUSION, PRESENT, heatmap=RIGHT_SPOT),
        result(Finding.PLEURAL_THICKENING, PRESENT, heatmap=LEFT_SPOT, probability=0.9996),
        result(Finding.NODULE, PRESENT, heatmap=heatmap(peak=0.0)),
        result(Finding.MASS, DEFERRED),
        result(Finding.HERNIA, ABSENT),
    ]


def case_with(results: list[FindingResult] | None = None, **arguments: Any) -> Case:
    return case_of(assessed(header_of(**arguments), results=three_results() if results is None else results))


def state_of(results: list[FindingResult] | None = None, notes: tuple[Note, ...] = (), **arguments: Any) -> Dataset:
    case = case_with(results, **arguments)
    case.images[0].notices += notes
    return build_presentation_state(case, case.images[0], PROVENANCE)


def written(state: Dataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, state, enforce_file_format=True)
    return buffer.getvalue()


def lut(first: int, bits: int, entries: NDArray[Any], **attributes: Any) -> Dataset:
    """An item of a LUT Sequence as a source has it."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


class TestSelection:
    def test_images_with_a_positive_that_has_a_place_by_uid(self) -> None:
        def image(seed: str, decision: Decision, peak: float = 1.0) -> Any:
            found = [result(Finding.MASS, decision, heatmap=heatmap(peak=peak))]
            return assessed(header_of(seed=seed, study="s"), seed, found)

        images = [image("1", PRESENT), image("2", DEFERRED), image("3", PRESENT, 0.0), image("4", PRESENT)]
        refused = image("5", PRESENT)
        case = case_of(*images, refused)
        refused.refuse(Reason.PROCESSING_FAILED, "")
        uids = [chosen.sop_instance_uid for chosen in select_presentation_states(case)]
        assert uids == sorted([images[0].sop_instance_uid, images[3].sop_instance_uid])

    def test_needs_a_header_and_a_place(self) -> None:
        case = case_with([result(Finding.MASS, DEFERRED)])
        with pytest.raises(ReportError, match="has a place"):
            build_presentation_state(case, case.images[0], PROVENANCE)
        case.images[0].header = None
        with pytest.raises(ReportError, match="could not be read"):
            build_presentation_state(case, case.images[0], PROVENANCE)


class TestGraphics:
    def test_one_layer_for_each_localised_positive_and_one_for_the_notice(self) -> None:
        state = state_of()
        assert [item.GraphicLayer for item in state.GraphicLayerSequence] == [
            "EFFUSION",
            "PLEURAL_THICKENI",
            "RESEARCH_USE",
        ]
        assert [item.GraphicLayerOrder for item in state.GraphicLayerSequence] == [1, 2, 3]
        assert [item.GraphicLayerDescription for item in state.GraphicLayerSequence] == [
            "Pleural effusion",
            "Pleural thickening",
            RESEARCH_USE,
        ]
        drawn = [item.GraphicLayer for item in state.GraphicAnnotationSequence]
        assert drawn == [item.GraphicLayer for item in state.GraphicLayerSequence]

    def test_layers_of_all_findings_have_names_and_neighbours_have_different_colours(self) -> None:
        state = state_of([result(finding, PRESENT) for finding in Finding])
        names = [item.GraphicLayer for item in state.GraphicLayerSequence]
        assert len(set(names)) == len(Finding) + 1
        assert max(map(len, names)) <= 16
        colours = [tuple(item.GraphicLayerRecommendedDisplayCIELabValue) for item in state.GraphicLayerSequence]
        assert all(one != other for one, other in pairwise(colours))

    def test_outlines_are_those_of_the_heatmap_closed_and_in_pixels(self) -> None:
        effusion, *_ = state_of().GraphicAnnotationSequence
        expected = outlines(RIGHT_SPOT, (300, 280))
        assert len(effusion.GraphicObjectSequence) == len(expected)
        for drawn, polygon in zip(effusion.GraphicObjectSequence, expected, strict=True):
            assert (drawn.GraphicType, drawn.GraphicAnnotationUnits, drawn.GraphicFilled) == ("POLYLINE", "PIXEL", "N")
            assert np.reshape(drawn.GraphicData, (-1, 2)) == pytest.approx(polygon)
            assert drawn.NumberOfGraphicPoints == len(polygon)

    def test_the_words_are_name_and_probability_and_research_use(self) -> None:
        texts = [item.TextObjectSequence[0].UnformattedTextValue for item in state_of().GraphicAnnotationSequence]
        assert texts == ["Pleural effusion 81.2 %", "Pleural thickening 99.96 %", RESEARCH_USE]

    def test_tracking_is_that_of_the_reports_groups(self) -> None:
        case = case_with()
        state = build_presentation_state(case, case.images[0], PROVENANCE)
        report = build_report(case, PROVENANCE)
        values = {element.value for element in report.iterall() if element.keyword in ("UID", "TextValue")}
        for annotation in list(state.GraphicAnnotationSequence)[:2]:
            (text,) = annotation.TextObjectSequence
            uids = {item.TrackingUID for item in (text, *annotation.GraphicObjectSequence)}
            assert uids <= values
            assert len(uids) == 1
            assert {item.TrackingID for item in (text, *annotation.GraphicObjectSequence)} <= values

    def test_words_in_another_language_are_put_into_the_sources_character_set(self) -> None:
        case = case_with(SpecificCharacterSet="ISO_IR 101")
        texts = replace(ENGLISH, research_use="Nur für Forschung Σ")
        state = build_presentation_state(case, case.images[0], PROVENANCE, texts=texts)
        assert dcmread(BytesIO(written(state))).ContentDescription == "Nur für Forschung ?"


class TestLabels:
    def boxes(self, corners: list[tuple[int, int]], shape: tuple[int, int] = (1000, 800)) -> NDArray[np.float64]:
        polygons = [np.array([(x, y), (x + 50, y), (x + 50, y + 50), (x, y)], np.float32) for x, y in corners]
        return np.array(label_boxes(polygons, shape))

    def test_stand_at_the_nearer_side_beside_their_outline(self) -> None:
        left, right = self.boxes([(100, 300), (600, 700)])
        assert left[2] < 800 / 3
        assert right[0] > 800 * 2 / 3
        assert [left[1], right[1]] == pytest.approx([300, 700])

    @pytest.mark.parametrize("row", [0, 400, 949])
    def test_never_overlap_or_leave_the_picture_or_cover_its_middle(self, row: int) -> None:
        boxes = self.boxes([(100, row)] * 9 + [(600, row)] * 5)
        for number, (left, top, right, bottom) in enumerate(boxes):
            assert 0 <= left < right <= 800
            assert 0 <= top < bottom <= 950.001
            assert right < 800 / 3 or left > 800 * 2 / 3
            for other in boxes[:number]:
                apart = bottom <= other[1] + 1e-6 or other[3] <= top + 1e-6
                assert apart or right < other[0] or other[2] < left

    def test_a_line_leads_to_the_nearest_corner(self) -> None:
        for annotation in list(state_of().GraphicAnnotationSequence)[:2]:
            (text,) = annotation.TextObjectSequence
            polygon = np.reshape(annotation.GraphicObjectSequence[0].GraphicData, (-1, 2))
            assert text.AnchorPointVisibility == "Y"
            assert np.abs(polygon - np.array(text.AnchorPoint)).sum(axis=1).min() < 1e-3


class TestObject:
    def test_refers_to_its_image_and_to_nothing_else(self) -> None:
        state = state_of()
        source = header_of()
        (series,) = state.ReferencedSeriesSequence
        (reference,) = series.ReferencedImageSequence
        assert series.SeriesInstanceUID == source.SeriesInstanceUID
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
        assert state.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage

    def test_shows_the_whole_image(self) -> None:
        (area,) = state_of().DisplayedAreaSelectionSequence
        assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]
        assert list(area.DisplayedAreaBottomRightHandCorner) == [280, 300]
        assert "PixelOriginInterpretation" not in area

    def test_uids_series_and_times(self) -> None:
        case = case_with()
        state = build_presentation_state(case, case.images[0], PROVENANCE, 2)
        fingerprint = case_fingerprint(case)
        assert state.SOPInstanceUID == presentation_state_uid(PROVENANCE, fingerprint, case.images[0])
        assert state.SeriesInstanceUID == presentation_state_series_uid(PROVENANCE, fingerprint)
        assert (state.SeriesNumber, state.InstanceNumber, state.Modality) == (9103, 2, "PR")
        assert RESEARCH_USE in state.SeriesDescription
        assert (state.PresentationCreationDate, state.PresentationCreationTime) == ("20260102", "030405.678901")
        assert "ContentDate" not in state
        assert state.ContributingEquipmentSequence[0].ContributionDateTime == "20260102030405.678901"

    def test_the_same_case_gives_the_same_bytes_and_another_time_none_of_now(self) -> None:
        case = case_with()
        one, other = (written(build_presentation_state(case, case.images[0], PROVENANCE)) for _ in range(2))
        assert one == other
        assert str(TIME.year).encode() in one

    def test_carries_the_identity_and_the_body_part(self) -> None:
        state = state_of(PatientName="Yamada^Tarou", BodyPartExamined="CHEST")
        assert (state.PatientName, state.IssuerOfPatientID, state.BodyPartExamined) == ("Yamada^Tarou", "TEST", "CHEST")
        assert "Laterality" not in state
        assert "PatientOrientation" not in state
        assert state.ContributingEquipmentSequence[0].DeviceUID == PROVENANCE.device_uid

    def test_without_a_body_part_laterality_is_there_and_empty(self) -> None:
        state = state_of(BodyPartExamined=None)
        assert state.Laterality == ""
        assert "BodyPartExamined" not in state

    def test_a_source_without_type_2_attributes_has_a_state_too(self) -> None:
        assert state_of(PatientName=None, PatientSex=None, StudyDate=None, AccessionNumber=None).PatientName == ""


class TestGreyScale:
    """What the presentation state says must read back as the pipeline that the application read from the image."""

    LADDER = np.linspace(0, 4000, 2000).round().astype(int)

    def read_back(self, **attributes: Any) -> tuple[GreyScale, GreyScale]:
        source = header_of(**attributes)
        state = dcmread(BytesIO(written(state_of(**attributes))))
        seen = Dataset()
        seen.PhotometricInterpretation = source.PhotometricInterpretation
        for carrier in (state, *state.get("SoftcopyVOILUTSequence", [])):
            for element in carrier.group_dataset(0x0028):
                seen[element.tag] = element
        assert state.PresentationLUTShape == ("INVERSE" if GreyScale.of(source).inverse else "IDENTITY")
        read = GreyScale.of(seen)
        if isinstance(read.voi, Lut):  # our own descriptor is right; a vendor's may not be
            read = replace(read, voi=replace(read.voi, bits=16), notices=())
        return read, GreyScale.of(source)

    @staticmethod
    def curve(grey: GreyScale) -> NDArray[np.float64]:
        """The grey of each stored value of 12 bits."""
        return grey.table(np.arange(4096.0), np.ones(4096, bool))

    @pytest.mark.parametrize("kind", ["DX", "CR"])
    @pytest.mark.parametrize("monochrome1", [False, True])
    @pytest.mark.parametrize(
        "attributes",
        [
            {},
            {"WindowCenter": ["1234.5", "40"], "WindowWidth": ["777.25", "400"]},
            {"VOILUTFunction": "SIGMOID"},
            {"VOILUTFunction": "LINEAR_EXACT", "WindowWidth": "0.5"},
            {"RescaleIntercept": "-1024.25", "RescaleSlope": "0.333333333333", "RescaleType": "HU"},
            {"VOILUTSequence": [lut(0, 12, LADDER)]},
            {"VOILUTSequence": [lut(100, 12, LADDER), lut(0, 12, LADDER[::-1])]},
            {"VOILUTSequence": [lut(-300, 12, LADDER)], "RescaleIntercept": "-500", "RescaleSlope": "1"},
            {"VOILUTSequence": [lut(0, 16, np.arange(65536))]},
        ],
    )
    def test_is_the_images_own(self, kind: str, monochrome1: bool, attributes: dict[str, Any]) -> None:
        if "RescaleSlope" in attributes:
            attributes = {"RescaleType": "US", **attributes}
        seen, expected = self.read_back(kind=kind, monochrome1=monochrome1, **attributes)
        assert (seen.modality, seen.inverse) == (expected.modality, expected.inverse)
        assert self.curve(seen) == pytest.approx(self.curve(expected), abs=1e-5)

    @pytest.mark.parametrize("stated", [{"ModalityLUTType": "OD"}, {}])
    def test_a_modality_lut_is_carried_with_its_type(self, stated: dict[str, str]) -> None:
        luts: dict[str, Any] = {"ModalityLUTSequence": [lut(0, 16, self.LADDER, **stated)]}
        rescale: dict[str, Any] = {"RescaleSlope": None, "RescaleIntercept": None, "RescaleType": None}
        rescale |= {"WindowCenter": None, "WindowWidth": None}
        seen, expected = self.read_back(**luts, **rescale)
        assert seen == expected
        (item,) = state_of(**luts, **rescale).ModalityLUTSequence
        assert item.ModalityLUTType == stated.get("ModalityLUTType", "US")

    @pytest.mark.parametrize("voi", [{}, {"VOILUTSequence": [lut(100, 12, LADDER)]}])
    def test_a_modality_lut_before_a_window_or_a_lut_becomes_one_lut_with_it(self, voi: dict[str, Any]) -> None:
        few = {"ModalityLUTSequence": [lut(0, 16, np.linspace(0, 990, 1024).round().astype(int))]}
        rescale: dict[str, Any] = {"RescaleSlope": None, "RescaleIntercept": None, "RescaleType": None}
        seen, expected = self.read_back(**few, **rescale, **voi)
        assert self.curve(seen) == pytest.approx(self.curve(expected), abs=1e-5)
        assert "ModalityLUTSequence" not in state_of(**few, **rescale, **voi)

    @pytest.mark.parametrize("count", [3000, 32768, 40000, 65536])
    def test_a_lut_of_signed_inputs_keeps_count_and_first_input(self, count: int) -> None:
        item = _lut_item(Lut(-5, 16, np.arange(count).astype("<u2").tobytes()))
        assert item["LUTDescriptor"].VR == "SS"
        # Each value of the descriptor is 16 bits; count and bits are unsigned whatever the first input is.
        buffer = BytesIO()
        dcmwrite(buffer, item, implicit_vr=False, little_endian=True)
        assert np.frombuffer(buffer.getvalue()[8:14], "<u2").tolist() == [count % 65536, 65536 - 5, 16]

    def test_no_window_where_there_is_none_or_the_application_could_not_use_it(self) -> None:
        assert "SoftcopyVOILUTSequence" not in state_of(WindowCenter=None, WindowWidth=None)
        assert "SoftcopyVOILUTSequence" not in state_of(notes=(Note(Reason.NO_VOI),))
        assert "SoftcopyVOILUTSequence" in state_of(notes=(Note(Reason.LOSSY),))

    def test_values_that_are_not_changed_have_no_modality_lut(self) -> None:
        state = state_of()
        assert "RescaleSlope" not in state
        assert "ModalityLUTSequence" not in state


def dcmtk_picture(folder: Path, source: Dataset, state: Dataset | None) -> NDArray[np.float64]:
    """The image as DCMTK shows it, with its own window or with a presentation state."""
    if shutil.which("dcmp2pgm") is None:
        pytest.skip("dcmtk is not installed; apt-get install dcmtk")
    picture = folder / "picture.pgm"
    dcmwrite(folder / "source.dcm", source, enforce_file_format=True)
    command: list[str | Path]
    if state is None:
        voi = "+Wl" if "VOILUTSequence" in source else "+Wi"
        command = ["dcm2pnm", voi, "1", folder / "source.dcm", picture]
    else:
        write(state, folder / "state.dcm")
        command = ["dcmp2pgm", "-p", folder / "state.dcm", folder / "source.dcm", picture]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return np.asarray(Image.open(picture), np.float64)


@pytest.mark.parametrize(
    "attributes", [{}, {"kind": "CR", "VOILUTSequence": [lut(0, 12, 4095 * np.sin(np.linspace(0, 1.5, 4096)))]}]
)
def test_dcmtk_shows_the_image_as_it_does_without(attributes: dict[str, Any], tmp_path: Path) -> None:
    pictures = []
    for monochrome1 in (False, True):
        source = radiograph_dataset(monochrome1=monochrome1, **attributes)
        state = state_of(monochrome1=monochrome1, **attributes)
        plain, seen = (dcmtk_picture(tmp_path, source, each) for each in (None, state))
        assert np.abs(plain - seen).max() <= 1
        pictures.append(seen)
    assert pictures[0][150, 140] > pictures[0][135, 84] + 50  # the lungs are the dark fields
    # A LUT of stored values shows the twin of MONOCHROME1 another way, but no other way up.
    assert np.corrcoef(pictures[0].ravel(), pictures[1].ravel())[0, 1] > 0.9


def test_validators_pass(tmp_path: Path) -> None:
    skip_without_validators()
    luts: dict[str, Any] = {
        "ModalityLUTSequence": [lut(0, 16, np.linspace(0, 990, 4096).round().astype(int))],
        "WindowCenter": "500",
        "WindowWidth": "900",
    }
    states = {
        "DX1": state_of(monochrome1=True),
        "DX2": state_of(),
        "CR1": state_of(kind="CR", monochrome1=True, **luts),
        "CR2": state_of(kind="CR", BodyPartExamined=None),
        "negative": state_of(kind="CR", RescaleIntercept="-500", VOILUTSequence=[lut(-300, 12, TestGreyScale.LADDER)]),
    }
    files = []
    for name, state in states.items():
        files.append(tmp_path / f"{name}.dcm")
        write(state, files[-1])
    assert validation_errors(files) == []
