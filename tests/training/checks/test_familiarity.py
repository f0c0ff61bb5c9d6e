"""The check keeps its promise on held-out images, finds planted outliers, and is written by its command."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest

from candor.model.bundle import FAMILIARITY, FAMILIARITY_TENSORS, load_bundle, load_model
from candor.ood.familiarity import Familiarity, fit_tensors
from candor.ood.linear_score import LinearScore
from candor.study.errors import DataError, SettingsError
from tests.factory import radiograph_dataset
from tests.nih import make_nih, read_nih
from training.__main__ import main
from training.checks.familiarity import (
    ADULTS,
    CHILDREN,
    adults,
    features_of_files,
    fit_familiarity,
    limits,
    measure,
    shares,
)
from training.checks.familiarity_settings import Choice
from training.data.splits import Subset
from training.records import Occasion

OCCASION_DAY = date(2026, 1, 2)


def normal(n: int, seed: int) -> np.ndarray:
    """Features whose square roots are standard normal about 9."""
    return np.asarray(np.random.default_rng(seed).normal(9, 1, (n, 20)) ** 2, np.float32)


def test_the_share_of_alarms_is_as_promised() -> None:
    fitted = Familiarity(fit_tensors(normal(2000, 0), 5), 1.0, 1.0, "")
    for alarms in (0.01, 0.05, 0.2):
        training, chest = limits(fitted.distances(normal(1000, 1)), Choice(alarms=alarms))
        held_out, unseen = fitted.distances(normal(1000, 1)), fitted.distances(normal(20_000, 2))
        assert np.mean(held_out > training) == alarms
        assert np.mean(unseen > training) == pytest.approx(alarms, abs=3 * np.sqrt(alarms * (1 - alarms) / 1000))
        assert chest == pytest.approx(1.25 * held_out.max())


def test_shares_count_each_image_once() -> None:
    fitted = Familiarity(fit_tensors(normal(500, 0), 5), 1.5, 4.0, "")
    features = np.concatenate([normal(6, 1), (np.full((3, 20), 12.0) ** 2), (np.full((1, 20), 40.0) ** 2)])
    counted = {"images": 10, "unlike_training": 0.3, "unlike_chest": 0.1, "like_a_child": None}
    assert shares(fitted, features.astype(np.float32)) == counted
    empty = dict.fromkeys(counted, None) | {"images": 0}
    assert shares(fitted, np.empty((0, 20), np.float32)) == empty
    look = LinearScore({"weight": np.ones(20, np.float32), "bias": np.float32([0])}, 220.0)
    assert shares(replace(fitted, child=look), features.astype(np.float32)) == counted | {"like_a_child": 0.4}


@pytest.mark.parametrize(
    "values", [{"kept": 0}, {"alarms": 0.0}, {"alarms": 1.0}, {"margin": -0.1}, {"margin": np.nan}]
)
def test_impossible_choices_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="at least 1, between 0 and 1, and at least 0"):
        Choice(**values)  # type: ignore[arg-type]


@pytest.fixture
def bundle(random_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may change."""
    return Path(shutil.copytree(random_bundle, tmp_path / "cxr"))


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Files that are no chest: a checkerboard, a DICOM image, one too small, one broken; and a table."""
    folder = tmp_path / "odd"
    folder.mkdir()
    cv2.imwrite(str(folder / "board.png"), np.kron(np.indices((9, 9)).sum(axis=0) % 2, np.ones((8, 8))) * 255)
    cv2.imwrite(str(folder / "small.png"), np.zeros((20, 20), np.uint8))
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.csv").write_text("a,b\n")
    radiograph_dataset().save_as(folder / "image.dcm", enforce_file_format=True)
    return folder


def test_the_verb_writes_what_the_bundle_loads_and_says_what_it_does(
    mini_nih: Path, bundle: Path, odd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit-familiarity", "--bundle", str(bundle), "--data", str(mini_nih), "--kept", "8"]
    assert main([*command, "--date", "2026-01-02", "--measure", str(odd)]) == 0
    printed = capsys.readouterr().out
    record = json.loads((bundle / FAMILIARITY).read_text())
    loaded = load_bundle(bundle).familiarity
    assert loaded is not None
    assert loaded.description in printed
    assert record["date"] == "2026-01-02"
    assert record["kept"] == 8
    assert loaded.not_frontal is not None
    assert record["limits"] == {
        "unlike_training": loaded.unlike_training,
        "unlike_chest": loaded.unlike_chest,
        "not_frontal": loaded.not_frontal.limit,
    }
    figures = record["figures"]
    assert figures[str(odd)]["images"] == figures[str(odd)]["unread"] == 2
    assert figures[str(odd)]["unlike_chest"] >= 0.5
    assert figures[ADULTS]["unlike_training"] < 0.1
    assert f"| {odd} | 2 |" in printed
    assert loaded.child is None
    assert record["child"]["left_out"].startswith(
        "0 patients are stated to be under 16 years, 0 pictures older; it takes"
    )
    assert "too few children" in printed


@pytest.fixture
def aged(tmp_path: Path) -> Path:
    """A miniature ChestX-ray14 with ages, in which children's pictures are brighter."""
    folder = make_nih(tmp_path / "aged")
    table = folder / "images.csv"
    header, *rows = list(csv.reader(table.open(newline="")))
    for row in rows:
        young = int(row[2]) % 5 == 0
        row.append("7" if young else "57")
        path = folder / "images" / f"{Path(row[0]).stem}.jpg"
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), np.clip(grey + 60.0 * young, 0, 255))
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([[*header, "age"], *rows])
    return folder


def test_the_look_of_children_is_learnt_where_ages_are_stated(
    aged: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit-familiarity", "--bundle", str(bundle), "--data", str(aged), "--kept", "8", "--date", "2026-01-02"]
    assert main(command) == 0
    record, loaded = json.loads((bundle / FAMILIARITY).read_text()), load_bundle(bundle).familiarity
    assert loaded is not None
    assert loaded.child is not None
    assert record["limits"]["child"] == loaded.child.limit
    assert f"like a child's over {loaded.child.limit:.3f}" in capsys.readouterr().out
    child, figures = record["child"], record["figures"]
    assert (child["under_years"], child["patients"]) == (16, 30)
    assert child["told_apart"]["auc"]["value"] > 0.95
    assert figures[ADULTS]["like_a_child"] < 0.1
    assert figures[CHILDREN]["like_a_child"] > 0.5


def test_the_same_data_make_the_same_bytes(mini_nih: Path, bundle: Path) -> None:
    made = []
    for _ in range(2):
        model = load_model(bundle)
        dataset = read_nih(mini_nih, model.findings)
        fit_familiarity(model, dataset, {}, Choice(kept=4), Occasion(OCCASION_DAY, "made up"))
        made.append([(bundle / file).read_bytes() for file in (FAMILIARITY, FAMILIARITY_TENSORS)])
    assert made[0] == made[1]


def test_missing_pictures_are_named(mini_nih: Path, bundle: Path) -> None:
    model = load_model(bundle)
    dataset = read_nih(mini_nih, model.findings)
    occasion = Occasion(OCCASION_DAY, "made up")
    with pytest.raises(DataError, match="no unseen picture of an adult"):
        fit_familiarity(model, dataset.only(Subset.TRAIN, Subset.VALIDATION), {}, Choice(), occasion)
    with pytest.raises(DataError, match=r"familiarity cannot be fitted: .* keep fewer"):
        fit_familiarity(model, dataset, {}, Choice(kept=32), occasion)


def test_children_set_no_limits(mini_nih: Path) -> None:
    dataset = read_nih(mini_nih)
    ages = (5.0, 17.9, 18.0, None)
    images = tuple(replace(image, age=age) for image, age in zip(dataset.images, ages, strict=False))
    assert [image.age for image in adults(replace(dataset, images=images)).images] == [18.0, None]


def test_a_set_of_which_nothing_is_seen_is_said(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    model = load_model(bundle)
    features, unread = features_of_files(model, [tmp_path / "broken.jpg"])
    assert (len(features), unread) == (0, 1)
    fitted = Familiarity(fit_tensors(normal(50, 0), 5), 1.0, 2.0, "")
    figures = measure(model, fitted, {"broken": [tmp_path / "broken.jpg"]})["broken"]
    assert (figures["images"], figures["unread"], figures["unlike_chest"]) == (0, 1, None)


def test_an_empty_folder_is_named(
    mini_nih: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none").mkdir()
    command = ["fit-familiarity", "--bundle", str(bundle), "--data", str(mini_nih), "--measure", str(tmp_path / "none")]
    assert main(command) == 2
    assert "holds no file to measure on" in capsys.readouterr().err
