"""The writers of result objects: what is written for whom, and what follows when one cannot be written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ComprehensiveSRStorage, EnhancedSRStorage

from app import ResidentApplication
from candor.dicom.report.document import build_report
from candor.evidence.overlay import Canvas
from candor.settings import Settings
from candor.study.case import Case
from candor.study.errors import ReportError
from candor.study.findings import Finding
from candor.study.profile import Profile, ReportClass
from candor.study.provenance import Provenance
from candor.study.reasons import Reason
from candor.study.result import Decision, Note
from candor.study.result_object import KINDS, Predecessor
from candor.words.texts import ENGLISH, GERMAN, Texts
from operators.graph.base import CASE
from operators.graph.jobs import Job
from operators.graph.sdk import Application
from operators.write.key_object_writer import KeyObjectWriter
from operators.write.object_writer import ObjectWriter
from operators.write.overlay_writer import OverlayWriter
from operators.write.parametric_map_writer import ParametricMapWriter
from operators.write.presentation_state_writer import PresentationStateWriter
from operators.write.sr_writer import SRWriter
from tests.cases import CASES, EVERYTHING, PROVENANCE, assessed, case_of, header_of, result
from tests.factory import radiograph_dataset
from tests.operators.conftest import save

FRAGMENT = Application()  # it must outlive its operators
USUAL = Profile()


class Port:
    """Stands for an operator's input and output."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def receive(self, name: str) -> Case:
        assert name == CASE
        return self._case

    def emit(self, case: Case, name: str) -> None:
        assert (case, name) == (self._case, CASE)


def profile(*kinds: Any, **changes: Any) -> Profile:
    return Profile(frozenset(kinds), **changes)


def writers(profiles: tuple[Profile, ...], texts: Texts, provenance: Provenance) -> list[ObjectWriter]:
    """All writers in the order of the path."""
    some: dict[str, Any] = {"provenance": provenance, "profiles": profiles, "texts": texts}
    return [
        OverlayWriter(FRAGMENT, name="write overlays", max_overlays=4, **some),
        PresentationStateWriter(FRAGMENT, name="write outlines", **some),
        ParametricMapWriter(FRAGMENT, name="write heatmaps", **some),
        SRWriter(FRAGMENT, name="write report", **some),
        KeyObjectWriter(FRAGMENT, name="write key objects", **some),
    ]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., dict[str, Dataset]]:
    """Let all writers work on a case, and read what they wrote, by file."""

    def run(
        case: Case, *profiles: Profile, texts: Texts = ENGLISH, provenance: Provenance = PROVENANCE
    ) -> dict[str, Dataset]:
        case.output = tmp_path / "study"
        for writer in writers(profiles, texts, provenance):
            writer.compute(Port(case), Port(case), None)
        folder = tmp_path / ".partial-study"
        files = {path.name: dcmread(path) for path in sorted(folder.glob("*"))}
        if not case.failure:
            named = {each.file: each.sop_instance_uid for each in case.written}
            assert named == {f"study/{name}": stored.SOPInstanceUID for name, stored in files.items()}
        return files

    return run


Write = Callable[..., dict[str, Dataset]]


def twins(**arguments: Any) -> Case:
    """A study with two frontal images that have everything."""
    found = [result(Finding.EFFUSION, Decision.PRESENT), result(Finding.MASS, Decision.DEFERRED)]
    images = [assessed(header_of(seed=seed, study="s"), f"{seed}.dcm", found) for seed in ("1", "2")]
    return case_of(*images, **arguments)


def words(dataset: Dataset) -> str:
    """All text of an object, a value a line."""
    return "\n".join(str(element.value) for element in dataset.iterall() if isinstance(element.value, str))


def referred(dataset: Dataset) -> set[str]:
    """SOP Instance UIDs of the instances of its study that a document or presentation state refers to."""
    return {str(element.value) for element in dataset.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_a_kind_is_written_where_an_profile_takes_it_and_the_study_has_it(write: Write, name: str, kind: str) -> None:
    has = {"positive": set(KINDS), "deferred": {"sr", "sc", "pm", "ko"}, "negative": {"sr", "pm"}}
    case = CASES[name]()
    files = write(case, profile(kind, flag_deferrals=True))
    assert {each.kind for each in case.written} == has.get(name, {"sr"}) & {kind}
    assert bool(files) == (kind in has.get(name, {"sr"}))


def test_each_object_says_whose_it_is_and_the_reports_come_first(write: Write) -> None:
    case = CASES["positive"](lateral=True)
    files = write(case, EVERYTHING)
    frontal = case.images[0].sop_instance_uid
    assert list(files) == [
        "gsps-1.dcm",
        "ko-deferred.dcm",
        "ko-present.dcm",
        "pm-1.dcm",
        *(name for name in files if name.startswith("sc-")),
        "sr.dcm",
    ]
    assert [each.kind for each in case.written] == ["sr", *["sc"] * 4, "gsps", "pm", "ko", "ko"]
    for each in case.written:
        stored = files[each.file.removeprefix("study/")]
        assert each.sop_class_uid == stored.SOPClassUID
        assert each.series_instance_uid == stored.SeriesInstanceUID
        assert each.source == (None if each.kind in ("sr", "ko") else frontal)
        assert each.profiles == ({EVERYTHING.key} if each.kind in ("sr", "ko") else None)
        assert (each.finding is not None) == (each.kind == "sc")


def test_profiles_have_reports_that_refer_to_what_they_hold(write: Write) -> None:
    case = CASES["positive"]()
    small = profile("sr", "ko")
    files = write(case, USUAL, small)
    shared = {each.sop_instance_uid for each in case.written if each.profiles is None}
    documents = [each for each in case.written if each.kind == "ko"]
    assert [each.file for each in case.written if each.kind == "sr"] == ["study/sr.dcm", "study/sr-2.dcm"]
    assert [each.file for each in documents] == ["study/ko-present.dcm", "study/ko-present-2.dcm"]
    assert len(shared) == 5
    assert referred(files["sr.dcm"]) & shared == shared
    assert referred(files["sr-2.dcm"]) & shared == set()
    assert referred(files["ko-present-2.dcm"]) & shared == set()
    for suffix in ("", "-2"):
        report = files[f"sr{suffix}.dcm"].SOPInstanceUID
        assert report in referred(files[f"ko-present{suffix}.dcm"])
    assert [each.profiles for each in documents] == [{USUAL.key}, {small.key}]
    assert {each.kind for each in small.of(case.written)} == {"sr", "ko"}


def test_profiles_that_come_to_the_same_share_their_files(write: Write) -> None:
    """A negative study has no key objects and no overlay: all is the same but the SOP class."""
    case = CASES["negative"]()
    less, old = profile("sr", "sc"), profile("sr", report_class=ReportClass.ENHANCED)
    files = write(case, USUAL, less, USUAL, old)
    assert list(files) == ["sr-2.dcm", "sr.dcm"]
    assert [each.profiles for each in case.written] == [{USUAL.key, less.key}, {old.key}]
    assert files["sr-2.dcm"].SOPClassUID == EnhancedSRStorage


def test_overlays_are_chosen_over_all_findings_whatever_an_profile_takes(write: Write) -> None:
    case = CASES["positive"]()
    choosy = profile("sr", "sc", findings=frozenset({Finding.HERNIA}))
    write(case, choosy)
    assert len([each for each in case.written if each.kind == "sc"]) == 4
    assert {each.kind for each in choosy.of(case.written)} == {"sr"}


def test_the_overlays_of_an_image_are_drawn_on_one_canvas(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    true = Canvas.of
    monkeypatch.setattr(Canvas, "of", lambda *arguments: (made.append(1), true(*arguments))[1])
    case = CASES["positive"]()
    write(case, profile("sc"))
    assert (len(case.written), len(made)) == (4, 1)


def test_the_words_are_in_the_language_set(write: Write) -> None:
    case = CASES["positive"]()
    files = write(case, EVERYTHING, texts=GERMAN)
    for name, stored in files.items():
        assert any(word in words(stored) for word in ("Forschung, keine Diagnose", "Kardiomegalie: Bild 1")), name


def test_another_model_has_another_device_uid_in_every_object(write: Write) -> None:
    def devices(provenance: Provenance) -> set[str]:
        files = write(CASES["positive"](), EVERYTHING, provenance=provenance).values()
        return {stored.ContributingEquipmentSequence[0].DeviceUID for stored in files}

    upgraded = replace(PROVENANCE, bundle_sha256="ef" * 32)
    assert devices(PROVENANCE) == {PROVENANCE.device_uid}
    assert devices(upgraded) == {upgraded.device_uid} != {PROVENANCE.device_uid}


FAILURES = {
    "write overlays": "candor.dicom.write.overlay.build_overlay",
    "write outlines": "operators.write.presentation_state_writer.build_presentation_state",
    "write heatmaps": "operators.write.parametric_map_writer.build_parametric_map",
}


@pytest.mark.parametrize("stage", FAILURES)
def test_an_image_whose_object_fails_is_refused_and_nothing_of_it_is_left(
    write: Write, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    target = FAILURES[stage].replace("candor.dicom.write.overlay", "operators.write.overlay_writer")
    module, name = target.rsplit(".", 1)
    true = getattr(__import__(module, fromlist=[name]), name)
    case = twins()
    lost, kept = case.images

    def failing(case: Case, image: Any, *more: Any, **options: Any) -> Dataset:
        if image is lost:
            raise MemoryError("Test^1")
        return true(case, image, *more, **options)

    monkeypatch.setattr(target, failing)
    files = write(case, EVERYTHING)
    assert lost.refusal == Note(Reason.PROCESSING_FAILED, f"{stage} failed with MemoryError")
    assert kept.assessed
    assert case.failure is None
    assert {each.source for each in case.written} == {None, kept.sop_instance_uid}
    assert {each.kind for each in case.written} == set(KINDS)
    mine = {each.sop_instance_uid for each in case.written}
    others = {image.sop_instance_uid for image in case.images}
    for stored in files.values():
        assert referred(stored) <= mine | others  # nothing that was removed


@pytest.mark.parametrize(
    ("target", "what"),
    [("write.sr_writer.build_report", "report"), ("write.key_object_writer.build_key_objects", "key objects")],
)
def test_a_study_without_its_report_or_its_key_objects_has_failed(
    write: Write, monkeypatch: pytest.MonkeyPatch, target: str, what: str
) -> None:
    def failing(*_: Any) -> Dataset:
        raise ReportError("a reason")

    monkeypatch.setattr(f"operators.{target}", failing)
    case = CASES["positive"]()
    write(case, USUAL)
    assert case.failure == f"the {what} could not be written: ReportError"


def test_one_profile_without_its_report_is_a_failure_too_and_the_first_failure_stays(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(case: Case, provenance: Any, of: Profile, texts: Texts) -> Dataset:
        if of.report_class is ReportClass.ENHANCED:
            raise OSError(28, "No space left on device")
        return build_report(case, provenance, of, texts)

    asked = []
    monkeypatch.setattr("operators.write.sr_writer.build_report", failing)
    monkeypatch.setattr("operators.write.key_object_writer.build_key_objects", lambda *_: asked.append(1))
    case = CASES["positive"]()
    write(case, USUAL, profile("sr", "ko", report_class=ReportClass.ENHANCED))
    assert case.failure == "the report could not be written: No space left on device"
    assert asked == []
    assert not [each for each in case.written if each.kind == "sr"]


def test_files_without_a_study_get_nothing(write: Write) -> None:
    case = CASES["positive"]()
    case.study_instance_uid = ""
    assert write(case, EVERYTHING) == {}


def test_a_job_hands_each_study_the_predecessors_of_its_own(application: ResidentApplication, tmp_path: Path) -> None:
    first, second = radiograph_dataset(seed="1"), radiograph_dataset(seed="2")
    mine = Predecessor(first.StudyInstanceUID, "1.2.3", ComprehensiveSRStorage, "1.2.3.4")
    job = Job(save(tmp_path / "in", first, second), tmp_path / "out", predecessors=(mine,))
    job.output.mkdir()
    cases = {case.study_instance_uid: case for case in application.submit(job).result(timeout=60).cases}
    assert cases[first.StudyInstanceUID].predecessors == (mine,)
    assert cases[second.StudyInstanceUID].predecessors == ()
    report = dcmread(cases[first.StudyInstanceUID].output / "sr.dcm")
    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert "PredecessorDocumentsSequence" not in dcmread(cases[second.StudyInstanceUID].output / "sr.dcm")


def test_the_application_writes_for_the_profiles_it_is_given_and_else_for_its_settings(
    models: Path, tmp_path: Path
) -> None:
    settings = Settings(objects=["sr", "pm"], report_class="enhanced", language="de-DE")
    source = save(tmp_path / "in", radiograph_dataset())
    kinds = {}
    for name, profiles in (("own", None), ("given", [profile("sr", "sc")])):
        output = tmp_path / name
        output.mkdir()
        with ResidentApplication(models, settings, profiles) as resident:
            done = resident.submit(Job(source, output)).result(timeout=60)
        (study,) = json.loads(done.index.read_text())["studies"]
        kinds[name] = [each["kind"] for each in study["objects"]]
        report = study["objects"][0]
        key = (profiles or [settings.profile])[0].key
        assert report["editions"] == [key]
        assert report["series_instance_uid"] == dcmread(output / report["file"]).SeriesInstanceUID
        assert study["objects"][1]["editions"] is None
    assert kinds == {"own": ["sr", "pm"], "given": ["sr", "sc", "sc"]}
    own = dcmread(next((tmp_path / "own").glob("*/sr.dcm")))
    assert own.SOPClassUID == EnhancedSRStorage
    assert "Kardiomegalie" in words(own)
