"""A training process that is killed and resumed ends with the weights of an uninterrupted one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.nih import make_nih
from tests.training.learn.test_resume import assert_same
from training.__main__ import main
from training.learn.trainer import CHECKPOINT

STEPS = 16
"""Batches of the whole run: two stages of two epochs of four batches."""

KILLED = """
import os, signal, sys
import torch
from training.learn import checkpoint
from training.__main__ import main
from training.learn.stage import StageRun

threads, place, when, *given = sys.argv[1:]
torch.set_num_threads(int(threads))
owner, name = {"step": (StageRun, "_stepped"), "write": (checkpoint.os, "fsync")}[place]
original, calls = getattr(owner, name), [0]

def counted(*arguments):
    calls[0] += 1
    if calls[0] == int(when) and place == "write":
        os.kill(os.getpid(), signal.SIGKILL)
    original(*arguments)
    if calls[0] == int(when):
        os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, counted)
main(given)
"""
"""Runs the command line, and kills itself after a number of steps, or at the n-th write of a file.

The files are the cache's first, then checkpoints and best weights.
"""


def arguments(data: Path, work: Path) -> list[str]:
    stages = [["--stage", "32", "2", "0.01"], ["--stage", "48", "2", "0.01"]]
    more = ["recipe#precision=fp32", "recipe#checkpoint_steps=3", "recipe#keep=best"]
    given = ["train", "--data", str(data), "--work", str(work), "--network", "benchmark-cnn", "--batch", "8"]
    return [*given, *stages[0], *stages[1], *(part for text in more for part in ("--set", text))]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some thirty training pictures."""
    return make_nih(tmp_path_factory.mktemp("kill") / "nih", train_val=30, test=1)


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("unbroken")
    assert main(arguments(data, work)) == 0
    return work


@pytest.mark.parametrize(
    ("place", "seed"),
    [
        ("step", 0),
        pytest.param("step", 1, marks=pytest.mark.full),
        pytest.param("step", 2, marks=pytest.mark.full),
        pytest.param("write", 0, marks=pytest.mark.full),
        pytest.param("write", 1, marks=pytest.mark.full),
    ],
)
def test_a_run_that_was_killed_ends_as_one_that_was_not(
    data: Path, unbroken: Path, tmp_path: Path, place: str, seed: int
) -> None:
    # The last checkpoint may be some steps old, and there may be none yet: both are resumed.
    when = int(np.random.default_rng([seed, 9]).integers(1, STEPS))
    given = arguments(data, tmp_path)
    command = [sys.executable, "-c", KILLED, str(torch.get_num_threads()), place, str(when), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "train.json").exists()
    if place == "step":
        assert (tmp_path / CHECKPOINT).exists() == (when >= 4)
    assert main([*given, "--resume"]) == 0
    assert_same(unbroken, tmp_path)
