"""Limits, figures, and that the command writes an orientation check that loads."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from candor.picture.orientation import (
    CARD,
    GRAPH,
    OUTPUTS,
    SIDE,
    Limits,
    Look,
    OrientationCheck,
    load_orientation_check,
)
from candor.study.errors import DataError
from candor.study.radiograph import Radiograph
from tests.nih import make_nih
from tests.training.checks.orientation.made import chests, source, write_table
from training.__main__ import main
from training.checks.orientation import measure
from training.checks.orientation.measure import FALSE_ALARMS, LEAST_LIMIT, is_adult, set_limits
from training.checks.orientation.network import OrientationNetwork
from training.checks.orientation.train import write_orientation_check
from training.data.readers import nih
from training.data.splits import Subset

DAY = "2026-01-02"


class Scored:
    """An orientation check that gives pictures made-up scores in turn."""

    def __init__(self, scores: list[float]) -> None:
        self._scores = iter(scores)

    def look(self, image: Radiograph) -> Look:
        score = next(self._scores)
        return Look(score, (1 - score, score, 0, 0), 0.1, 0.2, 0.3)


def test_limits_are_passed_by_no_more_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_read", lambda source: None)
    count = 1000
    scores = np.random.default_rng(0).permutation(np.linspace(0, 0.99, count)).tolist()
    sources = [source(str(k), nih.NAME) for k in range(count)]
    limits = set_limits(Scored(scores), sources)  # type: ignore[arg-type]
    passed = sum(score >= limits.inverted for score in scores)
    assert passed == int(FALSE_ALARMS * count)
    assert limits.mirrored == limits.lateral == limits.no_chest == LEAST_LIMIT


def test_limits_are_set_on_adults_of_the_right_patients_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_read", lambda source: None)
    others = [source("child", nih.NAME, age=17), source("taught", nih.NAME, Subset.TRAIN), source("elsewhere")]
    with pytest.raises(DataError, match="official test list"):
        set_limits(Scored([1.0] * 3), others)  # type: ignore[arg-type]
    assert [is_adult(source("a", age=age)) for age in (None, 17.9, 18.0)] == [True, False, True]


def test_the_verb_leaves_a_orientation_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_nih(tmp_path / "nih", train_val=6, test=24)
    write_table(tmp_path / "covid" / "metadata.csv", "image patientid view license", "a.png;1;L;CC BY-NC")
    (tmp_path / "covid" / "images").mkdir()
    cv2.imwrite(str(tmp_path / "covid" / "images" / "a.png"), (chests(1)[0] * 255).astype(np.uint8))
    folder = tmp_path / "assets"
    arguments = ["--data", str(data), "--covid", str(tmp_path / "covid"), "--assets", str(folder), "--steps", "2"]
    assert main(["train-screen", *arguments, "--date", DAY]) == 0
    card = json.loads((folder / CARD).read_text())
    assert json.loads(capsys.readouterr().out) == card
    assert (card["date"], card["training"]["steps"]) == (DAY, 2)
    assert card["command"].startswith("python -m training train-screen --data")
    assert card["measured_on_only"]["COVID-19 image data collection, CC BY-NC"] == 1
    assert card["figures"]["lateral views"]["pictures"] == 1
    orientation = load_orientation_check(folder)
    assert card["graph_sha256"] == orientation.sha256
    assert set(card["figures"]["with a defect"]) == set(measure.DEFECTS)
    assert len(OUTPUTS) == 4


def test_a_picture_of_nothing_counts_with_its_refusal(tmp_path: Path) -> None:
    write_orientation_check(OrientationNetwork(SIDE), tmp_path / GRAPH)
    orientation = OrientationCheck(tmp_path / GRAPH, Limits(1, 1, 1, 1, 1))
    counts = measure.counted(orientation, [Radiograph(np.zeros((50, 50), np.float32))])
    assert counts == {"pictures": 1, "none": 0, "reasons": {"CONSTANT": 1}}
