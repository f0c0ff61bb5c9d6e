"""Every kind of result object of every kind of study, before judges that share no code with what made it.

All five objects, for CR and DX, MONOCHROME1 and 2, frontal alone and with a lateral, positive, deferred, negative and
not assessed, and in all three classes of report: valid, taken by an archive and given back as they were, and shown
the right way up and with the right polarity.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from candor.dicom.check.templates import missing_rows
from candor.dicom.read.file import read_pixels
from candor.dicom.shared.file import write
from candor.dicom.write.rejection_note import Rejection, build_rejection_note
from candor.study.case import Case
from candor.study.findings import Finding
from candor.study.profile import Profile, ReportClass
from candor.study.result import Decision
from candor.study.result_object import KINDS
from tests import rendering
from tests.cases import CASES, PROVENANCE, TIME, assessed, case_of, header_of, heatmap, result, write_results
from tests.e2e.orthanc import AE_TITLE, Orthanc, skip_without
from tests.factory import chest_like, radiograph_dataset
from tests.validators import pixelmed_errors, skip_without_validators, validation_errors

OVERLAYS = 2
MODALITIES = {"sr": "SR", "sc": "OT", "gsps": "PR", "ko": "KO", "pm": "OT"}
"""Of each kind's series, as the archive lists it."""

EXPECTED = {
    "positive": {"sr": 1, "sc": OVERLAYS, "gsps": 1, "ko": 2, "pm": 1},
    "deferred": {"sr": 1, "sc": OVERLAYS, "ko": 1, "pm": 1},
    "negative": {"sr": 1, "pm": 1},
    "not assessed": {"sr": 1},
}
"""How many objects of each kind a study has; a positive one has deferred findings too."""


@dataclass(frozen=True)
class Study:
    """One cell of the matrix."""

    outcome: str
    kind: str = "DX"
    monochrome1: bool = False
    lateral: bool = False
    report_class: ReportClass = ReportClass.COMPREHENSIVE_3D

    def __str__(self) -> str:
        views = "with lateral" if self.lateral else "frontal"
        photometric = "MONOCHROME1" if self.monochrome1 else "MONOCHROME2"
        return f"{self.outcome}, {self.kind}, {photometric}, {views}, {self.report_class.value}"

    @property
    def profile(self) -> Profile:
        """Everything, with this report class."""
        return Profile(frozenset(KINDS), self.report_class, flag_deferrals=True)

    def case(self) -> Case:
        """The study, with made-up results."""
        name = str(self)
        return CASES[self.outcome](
            kind=self.kind, monochrome1=self.monochrome1, lateral=self.lateral, study=name, series=name
        )


STUDIES = [
    *(Study(*cell) for cell in product(CASES, ("DX", "CR"), (False, True), (False, True))),
    *(
        Study(outcome, lateral=True, report_class=report_class)
        for outcome, report_class in product(CASES, (ReportClass.COMPREHENSIVE, ReportClass.ENHANCED))
    ),
]


@dataclass(frozen=True)
class Written:
    """A study's results on disk."""

    case: Case
    files: list[Path]

    @property
    def source(self) -> Dataset:
        """The frontal image's header."""
        assert self.case.images[0].header is not None
        return self.case.images[0].header


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[Study, Written]:
    """All results of all studies."""
    folder = tmp_path_factory.mktemp("objects")
    made = {}
    for number, study in enumerate(STUDIES):
        case = study.case()
        files = write_results(case, folder / f"{number:02}", overlays=OVERLAYS, profile=study.profile)
        made[study] = Written(case, files)
    return made


@pytest.fixture(scope="module")
def archive(written: dict[Study, Written], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Orthanc, after DCMTK's storescu has sent it all results."""
    skip_without("storescu", "Orthanc")
    orthanc = Orthanc(tmp_path_factory.mktemp("archive"), node_port=1)
    files = [file for results in written.values() for file in results.files]
    with orthanc.running():
        command = ["storescu", "-R", "-v", "-aec", AE_TITLE, "localhost", str(orthanc.port), *map(str, files)]
        sent = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        answers = Counter(
            line.partition("(")[2] for line in sent.stderr.splitlines() if "Received Store Response" in line
        )
        assert (sent.returncode, answers) == (0, {"Success)": len(files)}), sent.stderr[-2000:]
        yield orthanc


each_study = pytest.mark.parametrize("study", STUDIES, ids=str)


@each_study
def test_a_study_has_the_objects_that_it_should_have_and_none_lacks_a_row(
    written: dict[Study, Written], study: Study
) -> None:
    results = written[study]
    assert Counter(each.kind for each in results.case.written) == EXPECTED[study.outcome]
    assert len(results.files) == len(results.case.written)
    assert [line for file in results.files for line in missing_rows(dcmread(file), results.source)] == []


@each_study
def test_objects_refer_to_what_there_is_and_to_one_another(written: dict[Study, Written], study: Study) -> None:
    results = written[study]
    objects = {dataset.SOPInstanceUID: dataset for dataset in map(dcmread, results.files)}
    images = {image.sop_instance_uid for image in results.case.images}
    named = {uid: set(values_of(dataset, "ReferencedSOPInstanceUID")) for uid, dataset in objects.items()}
    assert set().union(*named.values()) <= images | set(objects)
    report = next(uid for uid, dataset in objects.items() if dataset.Modality == "SR")
    by_kind = {kind: {each.sop_instance_uid for each in results.case.written if each.kind == kind} for kind in KINDS}
    assert named[report] >= images | by_kind["sc"] | by_kind["gsps"] | by_kind["pm"]
    assert all(report in named[uid] for uid in by_kind["ko"])
    groups = set(values_of(objects[report], "UID"))
    assert {uid for state in by_kind["gsps"] for uid in values_of(objects[state], "TrackingUID")} <= groups


def values_of(dataset: Dataset, keyword: str) -> list[str]:
    """Every value of an attribute, in the data set and in its sequences."""
    return [str(element.value) for element in dataset.iterall() if element.keyword == keyword]


@each_study
def test_independent_validators_take_every_object(written: dict[Study, Written], study: Study) -> None:
    skip_without_validators()
    assert validation_errors(written[study].files) == []


@each_study
def test_an_archive_takes_every_object_and_gives_it_back_as_it_was(
    written: dict[Study, Written], archive: Orthanc, study: Study
) -> None:
    results = written[study]
    for file in results.files:
        ours = dcmread(file)
        theirs = dcmread(BytesIO(archive.instance(ours.SOPInstanceUID)))
        assert differences(ours, theirs) == []
    expected = sorted((MODALITIES[kind], number) for kind, number in EXPECTED[study.outcome].items())
    assert archive.series(results.case.study_instance_uid) == expected


def differences(ours: Dataset, theirs: Dataset) -> list[str]:
    """Name the elements that are not the same in both, with their path; File Meta Information is the archive's own."""
    found = [element.keyword for element in theirs if element.tag not in ours]
    for element in ours:
        other = theirs.get(element.tag)
        if other is None or other.VR != element.VR:
            found.append(element.keyword)
        elif element.VR != "SQ":
            found += [element.keyword] if other.value != element.value else []
        elif len(other.value) != len(element.value):
            found.append(element.keyword)
        else:
            pairs = zip(element.value, other.value, strict=True)
            found += [f"{element.keyword}.{inner}" for pair in pairs for inner in differences(*pair)]
    return found


def test_the_comparison_sees_what_an_archive_might_change() -> None:
    ours = header_of(AnatomicRegionSequence=[header_of(seed="inner")])
    for change in ("remove", "add", "replace", "inside", "item"):
        theirs = header_of(AnatomicRegionSequence=[header_of(seed="inner")])
        assert differences(ours, theirs) == []
        if change == "remove":
            del theirs.PatientName
        elif change == "add":
            theirs.ImageComments = "new"
        elif change == "replace":
            theirs.PatientID = "other"
        elif change == "inside":
            theirs.AnatomicRegionSequence[0].PatientID = "other"
        else:
            theirs.AnatomicRegionSequence.append(header_of())
        assert len(differences(ours, theirs)) == 1


def documents(files: list[Path]) -> list[Path]:
    """The reports and key objects among them."""
    return [file for file in files if file.name.startswith(("sr", "ko"))]


def test_the_template_validator_takes_key_objects_and_rejection_notes(tmp_path: Path) -> None:
    """It takes its time for reports: those with one group of each kind are the matter of the report's own tests."""
    skip_without_validators()
    case = CASES["positive"](lateral=True)
    files = [file for file in write_results(case, tmp_path, overlays=1) if file.name.startswith("ko")]
    for rejection in Rejection:
        files.append(tmp_path / f"{rejection.name}.dcm")
        source = Written(case, files).source
        write(build_rejection_note(source, case.written, rejection, "Withdrawn.", PROVENANCE, TIME), files[-1])
    assert len(files) == 2 + len(Rejection)
    assert validation_errors(files) == []
    assert pixelmed_errors(files) == []


@pytest.mark.full
def test_the_template_validator_takes_documents_of_every_outcome_and_class(written: dict[Study, Written]) -> None:
    """It takes ten seconds for a report; to the templates the kind and the polarity of the image are all one."""
    skip_without_validators()
    chosen = [study for study in STUDIES if study.lateral and (study.kind, study.monochrome1) == ("DX", False)]
    assert {(study.outcome, study.report_class) for study in chosen} == set(product(CASES, ReportClass))
    assert pixelmed_errors([file for study in chosen for file in documents(written[study].files)]) == []


@dataclass(frozen=True)
class Shown:
    """A radiograph with a bright block in its top left corner, and evidence low on the right, with what DCMTK shows."""

    folder: Path
    radiograph: rendering.Picture

    @property
    def source(self) -> Path:
        """Its file."""
        return self.folder / "source.dcm"


@pytest.fixture(
    scope="module",
    params=list(product(("DX", "CR"), (False, True))),
    ids=lambda it: f"{it[0]}, MONOCHROME{1 if it[1] else 2}",
)
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A positive study, read from its file as the application reads it, and its results."""
    skip_without("dcm2pnm", "dcmp2pgm", "dcm2json")
    kind, monochrome1 = request.param
    folder = tmp_path_factory.mktemp("shown")
    pixels = chest_like()
    pixels[:40, :50] = 4095
    source = radiograph_dataset(pixels, kind=kind, monochrome1=monochrome1)
    source.save_as(folder / "source.dcm", enforce_file_format=True)
    del source.PixelData
    image = assessed(source, "source.dcm", [result(Finding.MASS, Decision.PRESENT, heatmap=heatmap(row=4, column=4))])
    image.radiograph = read_pixels(folder / "source.dcm").radiograph
    write_results(case_of(image), folder / "results")
    return Shown(folder, rendering.image(folder / "source.dcm"))


def test_the_presentation_state_shows_the_picture_as_the_picture_shows_itself(shown: Shown) -> None:
    under_state = rendering.under_presentation_state(shown.folder / "results" / "gsps-1.dcm", shown.source)
    assert np.array_equal(under_state, shown.radiograph)
    assert under_state[:40, :50].min() == 255
    assert under_state[-40:, -50:].max() < 255


def test_the_outline_lies_around_the_evidence(shown: Shown) -> None:
    """The spot's middle is 4.5 of 7 cells down and across; half of its peak is 1.18 cells away from there."""
    lines = rendering.outlines(shown.folder / "results" / "gsps-1.dcm")
    assert len(lines["MASS"]) == 1
    filled = rendering.inside(lines["MASS"], shown.radiograph.shape)
    rows, columns = (np.arange(size) + 0.5 for size in filled.shape)
    cells = (rows[:, None] / len(rows) * 7 - 4.5, columns[None] / len(columns) * 7 - 4.5)
    distance = np.hypot(*cells)
    assert filled[distance < 1.05].all()
    assert not filled[distance > 1.35].any()


def test_the_overlay_shows_the_picture_the_right_way(shown: Shown) -> None:
    overlay = rendering.colour_image(shown.folder / "results" / "sc-1.dcm")
    found = rendering.likeness(overlay.mean(axis=2), shown.radiograph)
    assert found.way == "as it is"
    assert found.correlation > 0.8
    picture = overlay[found.row :, found.column :][: shown.radiograph.shape[0], : shown.radiograph.shape[1]]
    assert picture[2:38, 2:48].min() > 250
    grey = np.ptp(picture.astype(np.int16), axis=2) == 0
    filled = rendering.inside(
        rendering.outlines(shown.folder / "results" / "gsps-1.dcm")["MASS"], shown.radiograph.shape
    )
    assert grey[:60].all(), "there is no evidence in the upper fifth"
    assert (~grey)[filled].mean() > 0.9, "the colours lie inside the outline"
    assert np.abs(picture[:60, :, 0].astype(int) - shown.radiograph[:60]).max() <= 1


def test_the_likeness_tells_every_way(shown: Shown) -> None:
    original = shown.radiograph
    framed = np.pad(original, ((7, 3), (5, 9)))
    assert (rendering.likeness(framed, original).row, rendering.likeness(framed, original).column) == (7, 5)
    assert rendering.likeness(original[:, ::-1], original).way == "mirrored"
    assert rendering.likeness(original[::-1], original).way == "upside down"
    assert rendering.likeness(original[::-1, ::-1], original).way == "turned"
    assert rendering.likeness(255 - original[::-1], original).way == "upside down, negative"
    assert rendering.likeness(255 - original, original).way == "as it is, negative"
