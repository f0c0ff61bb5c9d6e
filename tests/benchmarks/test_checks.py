"""The evidence of all checks goes through the application's own operators, and its figures are what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.checks.__main__ import (
    ADULTS,
    accepted,
    by_check,
    by_pixels,
    chests,
    let_through,
    no_chests,
    not_frontal,
    shortcuts,
    stopped,
)
from benchmarks.checks.figures import Outcome, accepted_share, difference, percent, share
from benchmarks.checks.run import (
    ComposedApp,
    audit_of_every_picture,
    check_pictures,
    check_pixels,
    run_application,
    stopped_for,
)
from benchmarks.checks.sets import LATERAL, Picture, hannover, kermany, nih_adults, patient_of
from benchmarks.checks.sets import covid as covid_pictures
from candor.decide.gate import Gate, Thresholds
from candor.model.bundle import load_bundle
from candor.picture.shortcut import ShortcutAudit
from candor.settings import Settings
from candor.study.case import CaseImage
from candor.study.errors import Refused
from candor.study.findings import Finding
from candor.study.policy import Action
from candor.study.reasons import Reason
from candor.words.results_json import NoteEntry
from operators.graph.base import CaseOperator
from operators.graph.sdk import Fragment
from tests.bundles import make_bundle
from tests.conftest import needs
from tests.factory import chest_like, radiograph_dataset

NAN = float("nan")


def outcome(*stopped_by: Reason | None, moved: float = NAN, per_patient: int = 1) -> Outcome:
    """What became of pictures, each with one reason or none."""
    reasons = [frozenset({reason} if reason else ()) for reason in stopped_by]
    patients = [str(k // per_patient) for k in range(len(reasons))]
    return Outcome(reasons, np.asarray(patients), np.full(len(reasons), moved))


ONE_OF_FOUR = outcome(*[Reason.ROTATED, None, None, None] * 50)
ALL = outcome(*[Reason.PAEDIATRIC] * 40)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "cxr")
    return folder


@pytest.fixture(scope="module")
def checks(models: Path) -> list[CaseOperator]:
    return ComposedApp(load_bundle(models / "cxr"), Settings()).checks()


def test_the_checks_are_the_applications_in_its_order(checks: list[CaseOperator]) -> None:
    assert [check.name for check in checks] == [
        "check quality",
        "preprocess",
        "classify",
        "check familiarity",
        "calibrate",
        "check shortcuts",
    ]


def test_a_picture_is_stopped_for_the_age_in_its_header(checks: list[CaseOperator], tmp_path: Path) -> None:
    path = tmp_path / "chest.png"
    cv2.imwrite(str(path), (chest_like() / 16).astype(np.uint8))
    pictures = [Picture(path, "a", age) for age in ("004Y", "050Y", "")] * 4  # more than go at once
    found = check_pictures(pictures, checks)
    child, adult, unknown = found.reasons[:3]
    assert child - adult == {Reason.PAEDIATRIC}
    assert adult == unknown
    assert list(found.reasons) == [child, adult, unknown] * 4
    assert found.patients.tolist() == ["a"] * 12


def test_pixels_count_as_those_of_an_adults_chest_whatever_the_header_says(
    checks: list[CaseOperator], tmp_path: Path
) -> None:
    plain, foot = tmp_path / "chest.dcm", tmp_path / "foot.dcm"
    radiograph_dataset().save_as(plain, enforce_file_format=True)
    radiograph_dataset(BodyPartExamined="FOOT", PatientAge="003Y").save_as(foot, enforce_file_format=True)
    assert check_pixels(plain, checks) == check_pixels(foot, checks)
    nearly_constant = np.pad(np.full((1, 1), 4095, np.uint16), (0, 299), constant_values=7)
    radiograph_dataset(pixels=nearly_constant).save_as(plain, enforce_file_format=True)
    assert check_pixels(plain, checks) == {Reason.CONSTANT_PIXELS}
    (tmp_path / "broken.dcm").write_bytes(b"no file")
    with pytest.raises(Refused):
        check_pixels(tmp_path / "broken.dcm", checks)
    assert by_pixels(tmp_path / "broken.dcm", checks) == Reason.UNREADABLE.code
    assert by_pixels(plain, checks) == Reason.CONSTANT_PIXELS.code


def test_a_failure_is_no_answer_of_a_check() -> None:
    image = CaseImage("a", Path("a"))
    image.follow(Action.DEFER, Reason.ROTATED, "")
    image.follow(Action.NOTICE, Reason.BORDERS, "")
    assert stopped_for(image) == {Reason.ROTATED}
    image.refuse(Reason.PROCESSING_FAILED, "classify failed with ValueError")
    with pytest.raises(RuntimeError, match="classify failed"):
        stopped_for(image)


def test_pictures_without_an_answer_are_audited_too_and_none_is_stopped_for_it(models: Path, tmp_path: Path) -> None:
    grey = np.pad((chest_like() / 16).astype(np.uint8), ((0, 0), (40, 0)))  # has a border
    cv2.imwrite(str(tmp_path / "chest.png"), grey)
    bundle, settings = load_bundle(models / "cxr"), Settings(shortcut_limit=1e-6)
    never = replace(bundle, gate=Gate(dict.fromkeys(bundle.findings, Thresholds(None, None)), "made up for a test"))
    checks = ComposedApp(never, settings).checks()
    every = audit_of_every_picture(never, settings)
    pictures = [Picture(tmp_path / "chest.png", "a", "050Y")]
    shipped, audited = check_pictures(pictures, checks), check_pictures(pictures, [*checks, every])
    assert np.isnan(shipped.moved[0])
    assert audited.moved[0] > 1e-6
    assert audited.reasons == shipped.reasons


def test_the_most_that_an_answer_moves_is_kept(tmp_path: Path) -> None:
    class Blanks(CaseOperator):
        def work(self, case: Any) -> None:
            case.images[0].shortcut = ShortcutAudit("the borders", np.asarray([0.1, -0.7, 0.3]))

    path = tmp_path / "chest.png"
    cv2.imwrite(str(path), (chest_like() / 16).astype(np.uint8))
    moved = check_pictures([Picture(path, "a"), Picture(path, "b")], [Blanks(Fragment(), name="blank")]).moved
    assert moved[0] == 0.7
    assert np.isnan(moved[1])


def test_shares_and_their_intervals_are_those_of_patients() -> None:
    assert share(ONE_OF_FOUR).value == 0.25
    assert accepted_share(ONE_OF_FOUR).value == 0.75
    spread = np.sqrt(0.25 * 0.75 / 200)
    assert share(ONE_OF_FOUR).high - share(ONE_OF_FOUR).low == pytest.approx(2 * 1.96 * spread, rel=0.1)
    wide = share(outcome(*[Reason.ROTATED] * 50, *[None] * 150, per_patient=10))
    assert wide.high - wide.low == pytest.approx(2 * 1.96 * spread * np.sqrt(10), rel=0.2)
    assert percent(share(ALL)) == "100.0% [100.0%, 100.0%]"
    apart = difference(ALL, ONE_OF_FOUR)
    assert apart.value == 0.75
    same = difference(ONE_OF_FOUR, ONE_OF_FOUR)
    assert same.high - same.low == pytest.approx(2 * 1.96 * spread * np.sqrt(2), rel=0.1)


def test_goals_are_said_to_be_missed() -> None:
    assert "Goal (at least 97% are accepted): missed, 75.0%." in list(accepted({ADULTS: ONE_OF_FOUR}))
    assert "Goal (at least 97% are accepted): met." in list(accepted({ADULTS: outcome(*[None] * 9)}))
    base = {ADULTS: ONE_OF_FOUR}
    assert any("on its side): met." in line for line in stopped(base, {"children": ALL}))
    assert any("on its side): missed" in line for line in stopped(base, {"children": ALL, "same": ONE_OF_FOUR}))


def test_each_reason_has_its_share() -> None:
    *_, text = by_check({"some": ONE_OF_FOUR, "all": ALL})
    assert text.splitlines()[0] == "| pictures | ROTATED | PAEDIATRIC |"
    assert text.splitlines()[2:] == ["| some | 25.0% | 0.0% |", "| all | 0.0% | 100.0% |"]


def test_the_shortcut_audit_is_measured_as_if_the_gate_answered_everything() -> None:
    sets = {
        "moved": outcome(None, None, moved=0.5),
        "still": outcome(None, None, moved=0.3),
        "none": outcome(None, None),
    }
    gate = Gate({Finding.MASS: Thresholds(0.1, None), Finding.NODULE: Thresholds(None, None)}, "made up")
    _, text, rows = shortcuts(sets, gate, 0.4)
    assert "can answer 1 of 2" in text
    assert [row.split(" | ")[1:3] for row in rows.splitlines()[2:]] == [
        ["100.0%", "100.0%"],
        ["100.0%", "0.0%"],
        ["0.0%", "0.0%"],
    ]
    assert rows.splitlines()[2].endswith("| 0.0% [0.0%, 0.0%] |")
    assert list(shortcuts(sets, gate, None)) == []


def test_files_that_go_through_or_are_wrongly_stopped_are_counted(
    checks: list[CaseOperator], models: Path, tmp_path: Path
) -> None:
    for name, body_part in (("chest", "CHEST"), ("foot", "FOOT")):
        folder = tmp_path / name
        folder.mkdir()
        changes = {"BodyPartExamined": body_part, "AnatomicRegionSequence": None}
        radiograph_dataset(seed=name, **changes).save_as(folder / "a.dcm", enforce_file_format=True)
        radiograph_dataset(seed=name, **changes).save_as(folder / "twin.dcm", enforce_file_format=True)
        (folder / "manifest.csv").write_text("file\n")
    foot, chest = (run_application(tmp_path / name, models, Settings()) for name in ("foot", "chest"))
    assert "2 files with pixels" in list(no_chests(tmp_path / "foot", foot, checks))[1]
    assert list(no_chests(tmp_path / "foot", foot, checks))[-1].endswith("met.")
    clean = [file.model_copy(update={"deferrals": []}) for file in chest]
    assert list(no_chests(tmp_path / "chest", clean, checks))[-1].endswith("missed, 2 went through.")
    not_chest = NoteEntry(code="NOTCHEST", meaning="", detail="")
    stopped_too = [file.model_copy(update={"reason": not_chest, "outcome": "not assessed"}) for file in clean]
    assert list(chests(tmp_path / "chest", stopped_too))[-1].endswith("missed, 2 are wrong.")
    assert list(chests(tmp_path / "chest", clean))[-1].endswith("missed, 0 are wrong.")  # none of them is inverted


def test_patients_are_taken_from_names() -> None:
    names = (
        "bacterial_person12_bacteria_3",
        "viral-other_person12_virus_9",
        "normal_IM-0115-0001",
        "normal_NORMAL2-IM-7-1",
    )
    assert [patient_of(name) for name in names] == ["person12", "person12", "IM-0115", "IM-7"]
    with pytest.raises(ValueError, match="names no patient"):
        patient_of("chest")


def test_the_real_sets_are_as_large_as_they_are(nih: Path) -> None:
    adults = nih_adults(nih)
    assert 900 < len(adults) < 996
    assert all(int(picture.age[:3]) >= 18 for picture in adults)
    children = kermany(needs(nih.parent / "kermany"), "004Y")
    assert len(children) == 360
    assert {picture.age for picture in children} == {"004Y"}
    assert len({picture.patient for picture in children}) < 360
    elsewhere = hannover(needs(nih.parent / "hannover"))
    assert len(elsewhere) == 243
    assert len({picture.patient for picture in elsewhere}) == 71
    assert {picture.age for picture in elsewhere} == {""}


def test_other_hospitals_are_counted_by_what_stops_them() -> None:
    mixed = outcome(*[Reason.UNLIKE_CHEST] * 2, *[Reason.UNLIKE_TRAINING] * 30, Reason.ROTATED, *[None] * 67)
    text = list(let_through({"elsewhere": mixed}))
    row = next(line for line in text[2].splitlines() if line.startswith("| elsewhere"))
    assert [cell.split()[0] for cell in row.split(" | ")[3:]] == ["2.0%", "30.0%", "33.0%"]
    assert text[3:] == [
        "Goal (at most 5% are refused): met.",
        "Goal (at most 20% are unlike training): missed, 30.0%.",
    ]


def test_views_from_the_side_that_go_through_are_counted() -> None:
    *_, rows, goal = not_frontal({"laterals": ONE_OF_FOUR})
    assert rows.splitlines()[-1] == "| laterals | 200 | 200 | 50 |"
    assert goal.endswith("missed, 150 went through.")
    assert list(not_frontal({"laterals": ALL}))[-1].endswith("met.")


def test_a_collections_pictures_are_chosen_by_view_and_without_copies(covid: Path) -> None:
    laterals, frontal = covid_pictures(covid, {LATERAL}), covid_pictures(covid, {"PA", "AP"})
    assert len(laterals) == 42
    assert len(frontal) == 342
    assert {picture.age for picture in laterals} == {"050Y"}
    first = frontal[0].path.stem
    assert first not in {picture.path.stem for picture in covid_pictures(covid, {"PA", "AP"}, {first})}
