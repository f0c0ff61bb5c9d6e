"""The range test: it suggests where the loss falls, for each weight decay, and leaves the network as it was."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from candor.study.errors import SettingsError
from tests.nih import PLANTED, make_nih, read_nih
from training.__main__ import main
from training.learn.learner import Learner, make_learner
from training.learn.range_test import Sweep, range_test
from training.learn.recipe import Recipe, Stage

MARGIN = Stage(32, 1, 0.1, losses=({"name": "auc_margin"},), optimiser="pesg")
RECIPE = Recipe("benchmark-cnn", stages=(Stage(32, 1, 0.1), MARGIN), batch=8, precision="fp32", augmentation=None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("range") / "nih", train_val=40, test=1)


def learner(data: Path, work: Path, recipe: Recipe) -> Learner:
    return make_learner(read_nih(data, PLANTED), work, recipe, torch.device("cpu"))


@pytest.mark.parametrize("stage", [0, 1])
def test_the_rate_rises_and_the_weights_stay(data: Path, tmp_path: Path, stage: int) -> None:
    learns = learner(data, tmp_path, RECIPE)
    before = {name: tensor.clone() for name, tensor in learns.network.state_dict().items()}
    sweeps = range_test(learns, RECIPE, [0.0, 0.5], stage=stage, low=1e-5, high=1.0, steps=40)
    assert all(torch.equal(tensor, before[name]) for name, tensor in learns.network.state_dict().items())
    assert [sweep.weight_decay for sweep in sweeps] == [0.0, 0.5]
    for sweep in sweeps:
        assert np.all(np.diff(sweep.rates) > 0)
        assert 1e-5 <= sweep.rates[0] <= sweep.rates[-1] <= 1.0 + 1e-6
    assert sweeps[0].losses[0] == pytest.approx(sweeps[1].losses[0])
    assert sweeps[0].losses[-1] != sweeps[1].losses[-1]


def test_the_suggestion_is_where_the_loss_falls_most_steeply() -> None:
    rates = np.geomspace(1e-5, 1, 60)
    losses = 1 / (1 + np.exp(3 * np.log(rates / 1e-3))) + np.where(rates > 0.1, rates, 0)
    found = Sweep(0.0, tuple(rates), tuple(losses)).suggestion
    assert found == pytest.approx(1e-3, rel=0.2)


@pytest.mark.parametrize("losses", [np.linspace(1, 2, 40), np.ones(40)])
def test_a_loss_that_never_falls_suggests_nothing(losses: np.ndarray) -> None:
    assert Sweep(0.0, tuple(np.geomspace(1e-5, 1, 40)), tuple(losses)).suggestion is None


@pytest.mark.parametrize("wrong", [{"stage": 2}, {"low": 1.0, "high": 0.1}, {"steps": 2}])
def test_an_impossible_test_is_refused(data: Path, tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=r"a range test needs a stage of the recipe's 2"):
        range_test(learner(data, tmp_path, RECIPE), RECIPE, [0.0], **wrong)


def test_the_verb_suggests_and_plots(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        "find-lr",
        "--data",
        str(data),
        "--work",
        str(tmp_path),
        "--network",
        "mimo2:benchmark-cnn",
        "--batch",
        "8",
    ]
    assert (
        main([*given, "--stage", "32", "1", "0.1", "--steps", "30", "--weight-decay", "0", "--weight-decay", "1"]) == 0
    )
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in printed[:2]] == ["weight decay 0", "weight decay 1"]
    sweeps = json.loads((tmp_path / "find-lr.json").read_text())["sweeps"]
    assert [sweep["weight_decay"] for sweep in sweeps] == [0, 1]
    assert f"{sweeps[0]['suggestion']:.2e}" in printed[0]
    picture = cv2.imread(str(tmp_path / "find-lr.png"))
    assert picture.std() > 5
