"""One resident application over a small bundle, shared by the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from app import ResidentApplication
from candor.decide.gate import Thresholds
from candor.settings import Settings
from candor.study.findings import Finding
from operators.graph.jobs import Job, JobResult
from tests.bundles import make_bundle

ALWAYS = {
    Finding.CARDIOMEGALY: Thresholds(lo=None, hi=0.0),
    Finding.EFFUSION: Thresholds(lo=None, hi=None),
    Finding.PNEUMOTHORAX: Thresholds(lo=1.0, hi=None),
}
Run = Callable[..., JobResult]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with one small bundle: cardiomegaly is always present, effusion deferred, the rest absent."""
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "cxr", thresholds=ALWAYS)
    return folder


@pytest.fixture(scope="session")
def application(models: Path) -> Iterator[ResidentApplication]:
    """A resident application over that bundle."""
    with ResidentApplication(models, Settings()) as resident:
        yield resident


@pytest.fixture
def run(application: ResidentApplication, tmp_path: Path) -> Run:
    """Send instances through the resident application and return what became of them."""
    return lambda *datasets, name="job": run_job(application, tmp_path / name, datasets)


def run_job(application: ResidentApplication, folder: Path, datasets: tuple[Dataset, ...]) -> JobResult:
    """Write instances into a folder, submit it as a job, and wait."""
    job = Job(save(folder / "in", *datasets), folder / "out")
    job.output.mkdir(exist_ok=True)
    return application.submit(job).result(timeout=60)


def save(folder: Path, *datasets: Dataset) -> Path:
    """Write instances as 000.dcm, 001.dcm, ... with one modification time, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(datasets):
        path = folder / f"{number:03}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        os.utime(path, (1_767_225_600, 1_767_225_600))
    return folder
