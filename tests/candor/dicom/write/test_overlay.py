"""The overlays as objects: which there are, whose they are, and what they say of themselves."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace

import numpy as np
import pytest

from candor import RESEARCH_USE
from candor.dicom.shared.identity import case_fingerprint
from candor.dicom.write.overlay import build_overlay, overlay_series_uid, overlay_uid, select_overlays
from candor.evidence.overlay import Canvas
from candor.study.case import assert_set
from candor.study.errors import ReportError
from candor.study.findings import Finding
from candor.study.reasons import Reason
from candor.study.result import Decision, Note
from candor.words.texts import ENGLISH, GERMAN
from tests.cases import PROVENANCE, assessed, case_of, header_of, heatmap, refused, result

PRESENT, DEFERRED, ABSENT = Decision.PRESENT, Decision.DEFERRED, Decision.ABSENT


def overlay_of(**arguments):
    case = case_of(assessed(header_of(**arguments)))
    image, found = select_overlays(case, 1)[0]
    return build_overlay(case, image, found, PROVENANCE)


class TestSelectOverlays:
    def test_present_first_then_how_many_times_likelier_than_the_prevalence(self) -> None:
        results = [
            result(Finding.EFFUSION, DEFERRED, probability=0.5, prevalence=0.1),
            result(Finding.HERNIA, DEFERRED, probability=0.1, prevalence=0.002),
            result(Finding.MASS, PRESENT, probability=0.6, prevalence=0.05),
            result(Finding.NODULE, ABSENT, probability=0.02, prevalence=0.001),
        ]
        chosen = select_overlays(case_of(assessed(header_of(), results=results)), 4)
        assert [found.finding for _, found in chosen] == [Finding.MASS, Finding.HERNIA, Finding.EFFUSION]

    def test_at_most_so_many(self) -> None:
        case = case_of(assessed(header_of()))
        assert [len(select_overlays(case, number)) for number in (0, 1, 3, 99)] == [0, 1, 3, 10]

    def test_ties_go_by_instance_and_finding_whatever_the_order_of_files(self) -> None:
        results = [result(finding, PRESENT) for finding in (Finding.MASS, Finding.ATELECTASIS)]
        one, two = (assessed(header_of(seed=seed, study="s"), seed, results) for seed in "12")
        uids = sorted([one.sop_instance_uid, two.sop_instance_uid])
        expected = [(uid, finding) for uid in uids for finding in (Finding.ATELECTASIS, Finding.MASS)]
        for case in (case_of(one, two), case_of(two, one)):
            chosen = [(image.sop_instance_uid, found.finding) for image, found in select_overlays(case, 4)]
            assert chosen == expected

    def test_a_prevalence_of_zero_is_the_most_surprising(self) -> None:
        results = [result(Finding.MASS, PRESENT), result(Finding.HERNIA, PRESENT, prevalence=0.0)]
        chosen = select_overlays(case_of(assessed(header_of(), results=results)), 1)
        assert chosen[0][1].finding is Finding.HERNIA

    def test_not_of_refused_images_or_of_those_without_pixels(self) -> None:
        released = assessed(header_of(seed="1"))
        released.release()
        failed = assessed(header_of(seed="2"))
        failed.refuse(Reason.PROCESSING_FAILED, "")
        assert select_overlays(case_of(released, failed, refused(None, Reason.UNREADABLE)), 4) == []


class TestBuildOverlay:
    def test_is_an_rgb_image_that_can_be_shown(self) -> None:
        overlay = overlay_of()
        pixels = overlay.pixel_array
        assert pixels.shape == (overlay.Rows, overlay.Columns, 3)
        assert pixels.dtype == np.uint8
        assert overlay.PhotometricInterpretation == "RGB"
        assert np.ptp(pixels) > 200

    def test_names_its_source(self) -> None:
        overlay, source = overlay_of(), header_of()
        reference = overlay.SourceImageSequence[0]
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
        assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert overlay.StudyInstanceUID == source.StudyInstanceUID
        assert overlay.SeriesInstanceUID != source.SeriesInstanceUID

    def test_says_what_it_is_and_what_it_is_for(self) -> None:
        overlay = overlay_of()
        assert overlay.ImageType == ["DERIVED", "SECONDARY", "HEATMAP"]
        assert RESEARCH_USE in overlay.SeriesDescription
        assert len(overlay.SeriesDescription) <= 64
        assert overlay.ImageComments == f"Atelectasis: Present, P(present) 81.2 %. {RESEARCH_USE}."
        assert "Class activation for Atelectasis by candor-chest14" in overlay.DerivationDescription

    def test_all_overlays_of_a_study_are_one_series_and_each_has_its_uid(self) -> None:
        case = case_of(assessed(header_of()))
        overlays = [
            build_overlay(case, image, found, PROVENANCE, number)
            for number, (image, found) in enumerate(select_overlays(case, 3), 1)
        ]
        fingerprint = case_fingerprint(case)
        assert {overlay.SeriesInstanceUID for overlay in overlays} == {overlay_series_uid(PROVENANCE, fingerprint)}
        assert [overlay.InstanceNumber for overlay in overlays] == [1, 2, 3]
        uids = [overlay_uid(PROVENANCE, fingerprint, image, found.finding) for image, found in select_overlays(case, 3)]
        assert [overlay.SOPInstanceUID for overlay in overlays] == uids
        assert len(set(uids)) == 3

    def test_a_failure_of_another_image_leaves_the_uids_alone(self) -> None:
        case = case_of(assessed(header_of(seed="1", study="s"), "1"), assessed(header_of(seed="2", study="s"), "2"))
        before = case_fingerprint(case)
        case.images[1].refuse(Reason.PROCESSING_FAILED, "")
        assert case_fingerprint(case) == before

    def test_equipment_has_the_device_uid(self) -> None:
        (equipment,) = overlay_of().ContributingEquipmentSequence
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert equipment.DeviceUID == PROVENANCE.device_uid
        assert equipment.SoftwareVersions == PROVENANCE.software_versions
        assert equipment.ContributionDateTime == "20260102030405.678901+0000"

    def test_burned_in_annotation_is_the_sources(self) -> None:
        assert overlay_of().BurnedInAnnotation == "NO"
        assert overlay_of(BurnedInAnnotation="YES").BurnedInAnnotation == "YES"
        assert "BurnedInAnnotation" not in overlay_of(BurnedInAnnotation=None)

    def test_lossy_compression_that_only_reading_noticed_is_said(self) -> None:
        case = case_of(assessed(header_of(LossyImageCompression=None)))
        image, found = select_overlays(case, 1)[0]
        assert "LossyImageCompression" not in build_overlay(case, image, found, PROVENANCE)
        image.notices.append(Note(Reason.LOSSY))
        assert build_overlay(case, image, found, PROVENANCE).LossyImageCompression == "01"

    def test_a_finding_without_evidence_has_an_overlay_too(self) -> None:
        found = result(Finding.MASS, PRESENT, heatmap=heatmap(peak=0.0))
        case = case_of(assessed(header_of(), results=[found]))
        assert build_overlay(case, case.images[0], found, PROVENANCE).Rows > 300

    def test_a_deferred_finding_says_why_in_the_picture(self) -> None:
        found = [result(Finding.MASS, decision, reason=reason) for decision, reason in
                 ((DEFERRED, Reason.BETWEEN_THRESHOLDS), (PRESENT, None))]  # fmt: skip
        case = case_of(assessed(header_of(), results=found))
        deferred, present = (build_overlay(case, case.images[0], each, PROVENANCE) for each in found)
        assert deferred.Rows > present.Rows

    def test_a_shared_canvas_changes_nothing(self) -> None:
        case = case_of(assessed(header_of()))
        pairs = select_overlays(case, 2)
        canvas = Canvas.of(assert_set(case.images[0].radiograph))
        alone = [build_overlay(case, *pair, PROVENANCE).PixelData for pair in pairs]
        assert [build_overlay(case, *pair, PROVENANCE, canvas=canvas).PixelData for pair in pairs] == alone

    def test_speaks_the_given_language(self) -> None:
        case = case_of(assessed(header_of(SpecificCharacterSet="ISO_IR 192")))
        image, found = select_overlays(case, 1)[0]
        english, german = (build_overlay(case, image, found, PROVENANCE, texts=texts) for texts in (ENGLISH, GERMAN))
        assert german.ImageComments == f"Atelektase: Vorhanden, P(vorhanden) 81.2 %. {GERMAN.research_use}."
        assert german.PixelData != english.PixelData

    def test_letters_that_the_font_lacks_are_written_with_others(self) -> None:
        found = result(Finding.EDEMA, DEFERRED)
        case = case_of(assessed(header_of(), results=[found]))
        without = replace(
            GERMAN,
            findings={**GERMAN.findings, Finding.EDEMA: "Lungenoedem"},
            decisions={**GERMAN.decisions, DEFERRED: "Der Radiologie ueberlassen"},
            overlay_prevalence="Angenommene Praevalenz {prevalence} %",
            overlay_region="staerkste Evidenz: {region}",
        )
        pictures = [
            build_overlay(case, case.images[0], found, PROVENANCE, texts=texts).PixelData for texts in (GERMAN, without)
        ]
        assert pictures[0] == pictures[1]

    def test_the_comment_fits_the_sources_character_set(self) -> None:
        found = result(Finding.EDEMA, PRESENT)
        case = case_of(assessed(header_of(SpecificCharacterSet="ISO_IR 144"), results=[found]))
        overlay = build_overlay(case, case.images[0], found, PROVENANCE, texts=GERMAN)
        assert overlay.ImageComments.startswith("Lungenoedem: ")

    def test_needs_pixels_and_header(self) -> None:
        case = case_of(assessed(header_of()))
        image, found = select_overlays(case, 1)[0]
        image.release()
        with pytest.raises(ReportError, match="not read"):
            build_overlay(case, image, found, PROVENANCE)
        image.header = None
        with pytest.raises(ReportError, match="could not be read"):
            build_overlay(case, image, found, PROVENANCE)

    def test_the_patient_is_in_the_object_and_nowhere_else(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            overlay = overlay_of(PatientName="Canary", PatientID="Canary-4711")
        said = caplog.text + " ".join(str(warning.message) for warning in warned)
        assert overlay.PatientName == "Canary"
        assert "Canary" not in said
        assert "Canary" not in overlay.DerivationDescription + overlay.ImageComments
