"""Two processes under torchrun: one result, metrics over all pictures, the same batches as one process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from candor.study.errors import DataError
from tests.conftest import ROOT
from tests.nih import make_nih, read_nih
from training.__main__ import main
from training.data import batches
from training.data.batches import Inputs, Order, batch_size, validation_loader
from training.learn.learner import make_learner
from training.learn.objective import Forward
from training.learn.recipe import Recipe, Stage
from training.learn.validation import AUC, make_evaluator

OPTIONS = [
    "--network",
    "benchmark-cnn",
    "--stage",
    "32",
    "2",
    "0.01",
    "--stage",
    "32",
    "2",
    "0.1",
    "--batch",
    "8",
    "--augmentation",
    "none",
]
SETTINGS = ["--set", "recipe#precision=fp32", "--set", "board=false"]
FROZEN = ["--set", "stages#0#open_blocks=0", "--set", "stages#1#open_blocks=0"]
MARGIN = ["--set", "stages#1#losses=[{name: auc_margin, prevalences: balanced}]", "--set", "stages#1#optimiser=pesg"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("two") / "nih", train_val=60, test=1)


def torchrun(work: Path, data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    verb = ["-m", "training", "train", "--data", str(data), "--work", str(work), *OPTIONS, *SETTINGS, *more]
    return subprocess.run([*start, *verb], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def two(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes leave; a frozen trunk's batch normalisation does not see the batch."""
    work = tmp_path_factory.mktemp("two") / "work"
    done = torchrun(work, data, *FROZEN, *MARGIN)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("validation AUC") == 4
    return work


def test_two_processes_train_as_one(data: Path, two: Path, tmp_path: Path) -> None:
    """In the second stage the loss has parameters of its own, whose gradients are shared too."""
    given = ["--data", str(data), "--work", str(tmp_path), *OPTIONS, *SETTINGS, *FROZEN, *MARGIN]
    assert main(["train", *given]) == 0
    ours, theirs = (json.loads((work / "train.json").read_text())["history"] for work in (two, tmp_path))
    assert [epoch["loss"] for epoch in ours] == pytest.approx([epoch["loss"] for epoch in theirs], rel=1e-5)
    weights, others = load_file(two / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert all(torch.allclose(weights[name], others[name], atol=1e-5) for name in weights)


def test_the_validation_auc_is_over_all_processes(data: Path, two: Path, tmp_path: Path) -> None:
    recipe = Recipe("benchmark-cnn", stages=(Stage(32, 1, 0.1),), initial=str(two / "model.safetensors"))
    learner = make_learner(read_nih(data), tmp_path, recipe, torch.device("cpu"))
    loader = validation_loader(Inputs(learner.validation, learner.spec, None, ()), len(learner.validation.pixels), 8)
    watch = make_evaluator(Forward(learner.network, "fp32"), loader, learner.device)
    watch.run()
    noted = json.loads((two / "train.json").read_text())["history"][-1]["auc"]
    assert watch.state.metrics[AUC] == pytest.approx(noted, abs=1e-9)


def test_the_processes_share_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(count: int) -> list[list[tuple[int, int]]]:
        steps = iter(Order(20, 6, (0, 0)))
        return [next(steps) for _ in range(count)]

    whole, parts = first(7), []
    monkeypatch.setattr(batches, "world", lambda: 2)
    for mine in (0, 1):
        monkeypatch.setattr(batches, "rank", lambda mine=mine: mine)
        parts.append(first(7))
    for batch, one, two in zip(whole, *parts, strict=True):
        assert len(one) == len(two) == 3
        assert sorted(one + two) == sorted(batch)
    assert [epoch for batch in whole for _, epoch in batch] == [0] * 18 + [1] * 18 + [2] * 6
    assert len({position for batch in whole[:3] for position, _ in batch}) == 18
    assert np.asarray(whole[:3]).tolist() != np.asarray(whole[3:6]).tolist()


def test_a_batch_is_as_large_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert batch_size(9, 100) == 9
    monkeypatch.setattr(batches, "world", lambda: 4)
    assert (batch_size(9, 100), batch_size(9, 7)) == (8, 4)
    with pytest.raises(DataError, match=r"3 pictures a batch cannot be shared by 4 processes; take fewer"):
        batch_size(9, 3)
