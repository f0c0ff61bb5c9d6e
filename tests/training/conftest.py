"""A miniature data set and a bundle trained on it, end to end, once for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bundles import make_bundle
from tests.nih import make_nih
from training.__main__ import main

DAY = "2026-01-02"


@dataclass(frozen=True)
class Made:
    """What a run of all verbs left: the data, the work folder, the bundle, and what each verb printed."""

    data: Path
    work: Path
    bundle: Path


@pytest.fixture(scope="session")
def mini_nih(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature ChestX-ray14."""
    return make_nih(tmp_path_factory.mktemp("mini") / "nih")


@pytest.fixture(scope="session")
def made(mini_nih: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A bundle that was trained, exported, calibrated, gated and evaluated by the commands."""
    folder = tmp_path_factory.mktemp("made")
    work, bundle = folder / "work", folder / "models" / "cxr"
    stage = ["--stage", "48", "1", "0.01", "--stage", "64", "3", "0.01"]
    data, target = ["--data", str(mini_nih)], ["--bundle", str(bundle)]
    runs = (
        ["train", *data, "--work", str(work), "--network", "benchmark-cnn", "--batch", "16", *stage],
        ["export", "--work", str(work), *target],
        ["calibrate", *data, *target, "--date", DAY],
        ["fit-gate", *data, *target, "--date", DAY],
        ["fit-percentiles", *data, *target],
        ["evaluate", *data, *target, "--date", DAY],
    )
    for arguments in runs:
        assert main(arguments) == 0
    return Made(mini_nih, work, bundle)


@pytest.fixture(scope="session")
def random_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle with random weights that no test changes."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "cxr")
