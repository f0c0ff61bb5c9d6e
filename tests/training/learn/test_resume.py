"""A resumed run continues as if it had not been killed; files that are not its checkpoint are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from candor.study.errors import DataError, SettingsError
from tests.nih import PLANTED, make_nih, read_nih
from training.data.readers import Dataset
from training.learn.checkpoint import read_checkpoint, write_checkpoint, write_weights
from training.learn.recipe import Recipe, Stage
from training.learn.stage import StageRun
from training.learn.train import train
from training.learn.trainer import CHECKPOINT

RECIPE = Recipe(
    "mimo2:benchmark-cnn",
    stages=(Stage(32, 2, 0.01), Stage(48, 2, 0.01, losses=({"name": "focal"},), optimiser="sgd")),
    batch=8,
    precision="fp32",
    checkpoint_steps=2,
)
MARGIN = ({"name": "auc_margin", "prevalences": "balanced"},)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Some thirty training pictures."""
    return read_nih(make_nih(tmp_path_factory.mktemp("resume") / "nih", train_val=30, test=1), PLANTED)


class Killed(BaseException):
    """Simulates a kill: nothing in the training code may catch it."""


def killed_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process, in simulation, after a number of optimiser steps."""
    original, taken = StageRun._stepped, [0]

    def stepped(self: StageRun, *given: object) -> None:
        original(self, *given)
        taken[0] += 1
        if taken[0] == steps:
            raise Killed

    monkeypatch.setattr(StageRun, "_stepped", stepped)


def result(work: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    return json.loads((work / "train.json").read_text()), load_file(work / "model.safetensors")


def assert_same(one: Path, two: Path) -> None:
    (record, weights), (other, others) = result(one), result(two)
    assert record == other
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.fixture(scope="module")
def unbroken(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(dataset, tmp_path_factory.mktemp("unbroken"), RECIPE).parent


@pytest.mark.parametrize("steps", [1, 3, 5, 8, 11, 14])
def test_a_killed_run_ends_as_an_unbroken_one(
    dataset: Dataset, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patched:
        killed_after(steps, patched)
        with pytest.raises(Killed):
            train(dataset, tmp_path, RECIPE)
    assert not (tmp_path / "train.json").exists()
    train(dataset, tmp_path, RECIPE, resume=True)
    assert_same(unbroken, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": (Stage(32, 3, 0.05, losses=MARGIN, optimiser="pesg"),)},
        {"accumulate": 2, "stages": (Stage(32, 3, 0.01, open_blocks=1),), "rate_groups": 2},
        {"precision": "bf16", "network": "benchmark-cnn/concat-pool", "keep": "best"},
    ],
    ids=["pesg", "accumulation", "dropout"],
)
def test_every_kind_of_state_is_saved(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    recipe = replace(RECIPE, **changes)
    train(dataset, tmp_path / "unbroken", recipe)
    with monkeypatch.context() as patched:
        killed_after(5, patched)
        with pytest.raises(Killed):
            train(dataset, tmp_path / "killed", recipe)
    train(dataset, tmp_path / "killed", recipe, resume=True)
    assert_same(tmp_path / "unbroken", tmp_path / "killed")


def test_resuming_what_is_done_changes_nothing(dataset: Dataset, unbroken: Path) -> None:
    before = result(unbroken)[0], (unbroken / "model.safetensors").read_bytes()
    train(dataset, unbroken, RECIPE, resume=True)
    assert (result(unbroken)[0], (unbroken / "model.safetensors").read_bytes()) == before


def test_a_checkpoint_of_another_recipe_is_refused(dataset: Dataset, unbroken: Path) -> None:
    with pytest.raises(SettingsError, match="is of another recipe or other pictures"):
        train(dataset, unbroken, replace(RECIPE, seed=1), resume=True)


def test_resuming_without_a_checkpoint_begins(dataset: Dataset, unbroken: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path, RECIPE, resume=True)
    assert_same(unbroken, tmp_path)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"a": [1, 2.5, None, {"b": torch.arange(3)}], "c": {0: torch.ones(()), 1: "text"}, "d": float("-inf")}
    write_checkpoint(tmp_path / "c.safetensors", state)
    back = read_checkpoint(tmp_path / "c.safetensors")
    assert torch.equal(back["a"].pop()["b"], state["a"].pop()["b"])
    assert back["c"].pop(0) == 1
    assert back == {"a": [1, 2.5, None], "c": {1: "text"}, "d": float("-inf")}
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_weights_that_cannot_be_written_leave_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "best.safetensors"
    write_weights(path, {"a": torch.zeros(3)})
    before = path.read_bytes()

    def cut(_: object, target: Path, **__: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("full")

    monkeypatch.setattr("training.learn.checkpoint.save_file", cut)
    with pytest.raises(OSError, match="full"):
        write_weights(path, {"a": torch.ones(3)})
    assert path.read_bytes() == before


def test_what_a_checkpoint_cannot_hold_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"not (Posix|Windows)?Path"):
        write_checkpoint(tmp_path / "c", {"a": tmp_path})


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_checkpoint_is_refused(dataset: Dataset, unbroken: Path, tmp_path: Path, damage: str) -> None:
    whole = (unbroken / CHECKPOINT).read_bytes()
    if damage == "cut":
        (tmp_path / CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    else:
        save_file({"a": torch.ones(1)}, tmp_path / CHECKPOINT)
    with pytest.raises(DataError, match="remove it, and training begins anew"):
        train(dataset, tmp_path, RECIPE, resume=True)
